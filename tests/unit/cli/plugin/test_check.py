"""`kubectl exchange check`: what is said of files that can't be judged, and of what is not known."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from tests.unit.cli.plugin.recorded import API, an_account, leg

CAPABILITIES = {
    "clientOrderIdCodec": "hex32", "clientOrderIdMaxLength": 36, "duplicateIdsRefused": "WhileOpen", "lookup": "Authoritative", "lookupDelayMilliseconds": 1000,
    "requestWindowMilliseconds": 3000, "acceptsAheadMilliseconds": 0, "expiryCheck": "ByEngine", "retentionSeconds": 60, "amend": "None", "cancelByClientId": True,
    "orderTypes": ["Market", "Limit", "StopMarket"], "timesInForce": ["GTC"], "postOnly": False, "reduceOnly": False, "triggerPriceTypes": ["Last"], "trailingUnits": [],
    "nativeGroups": [], "maxBatchCreate": 0, "maxBatchCancel": 0, "takerFee": "0.001",
}
MARKET = {
    "metadata": {"name": "binance-btc-usdt-1a2b3c4d", "namespace": "trading", "uid": "m", "resourceVersion": "3",
                 "ownerReferences": [{"kind": "ExchangeAccount", "name": "main", "uid": "uid-main"}]},
    "spec": {"exchange": "binance", "environment": "Live", "marketType": "Spot", "symbol": "BTC/USDT", "base": "BTC", "quote": "USDT", "active": True,
             "quantityStep": "0.00001", "priceStep": "0.01", "minNotional": "5", "orderTypes": ["Limit", "Market", "StopMarket"]},
}


@pytest.fixture
def told(server):
    """An account of which the operator has told all."""
    server.put(an_account(capabilities=CAPABILITIES))
    server.answers[f"{API}/markets"] = (200, {"items": [MARKET]})
    server.answers[f"{API}/risklimits"] = (200, {"items": []})
    return server


def a_bracket(**changes) -> str:
    members = [leg("entry", "Entry"), {**leg("stop", "StopLoss"), **changes}]
    return yaml.safe_dump({"apiVersion": "exchange-kernel.io/v1alpha1", "kind": "OrderGroup", "metadata": {"name": "long"},
                           "spec": {"accountRef": {"name": "main"}, "mode": "Bracket", "members": members}})


def test_a_group_that_can_be_placed_is_shown_and_nothing_is_written(exchange, told):
    done = exchange("check", "-f", "-", stdin=a_bracket())
    assert done.exit_code == 0, done.output
    assert "OrderGroup long: nothing is known against it, kept by the operator" in done.stdout
    assert "once the Entry fills" in done.stdout
    assert told.writes() == []


def test_what_would_be_refused_is_told_with_the_member(exchange, told):
    done = exchange("check", "-f", "-", stdin=a_bracket(triggerPrice="43000"))
    assert done.exit_code == 1
    assert "OrderGroup long: would be refused" in done.stdout
    assert "refused: Member stop: a StopLoss that sells is below the Entry's price" in done.stdout


def test_an_intent_is_judged_by_limits_and_market(exchange, told):
    told.answers[f"{API}/risklimits"] = (200, {"items": [{"metadata": {"name": "desk", "namespace": "trading", "uid": "l"}, "spec": {"allowedTypes": ["Market"]}}]})
    intent = {"apiVersion": "exchange-kernel.io/v1alpha1", "kind": "OrderIntent", "metadata": {"name": "one"}, "spec": {
        "accountRef": {"name": "main"}, "symbol": "BTC/USDT", "side": "Buy", "type": "Limit", "quantity": "0.00001", "price": "42000"}}
    done = exchange("check", "-f", "-", "-o", "json", stdin=json.dumps({"kind": "List", "items": [intent]}))
    assert done.exit_code == 1
    (shown,) = json.loads(done.stdout)
    assert (shown["name"], shown["accepted"], shown["orders"][0]["quantity"]) == ("one", False, "0.00001")
    assert [sentence.split(":")[0] for sentence in shown["refusals"]] == [
        "quantity times price is below the market's smallest notional of 5 USDT", "RiskLimit desk"]


def test_what_is_not_known_is_said_and_refuses_nothing(exchange, server):
    server.put(an_account())
    server.answers[f"{API}/markets"] = (200, {"items": []})
    server.answers[f"{API}/risklimits"] = (403, {"message": 'risklimits is forbidden: User "ann" cannot list'})
    done = exchange("check", "-f", "-", stdin=a_bracket())
    assert done.exit_code == 0, done.output
    for sentence in ("The market BTC/USDT is not known here", "What the exchange's adapter can do is not known here", "RiskLimits are not known here"):
        assert f"not judged here: {sentence}" in done.stdout


@pytest.mark.parametrize(("text", "says"), [
    ("kind: Pod\napiVersion: v1\n", "has no OrderIntent and no OrderGroup"),
    ("", "has no OrderIntent and no OrderGroup"),
    ("a: [b", "is no YAML"),
    ("- just\n- words\n", "has no OrderIntent and no OrderGroup"),
])
def test_a_file_without_orders_is_told_as_that(exchange, server, tmp_path: Path, text, says):
    file = tmp_path / "some.yaml"
    file.write_text(text)
    done = exchange("check", "-f", str(file))
    assert (done.exit_code, says in done.stderr) == (1, True)


def test_a_file_that_is_not_there_is_told_as_that(exchange, server):
    done = exchange("check", "-f", "/no/such.yaml")
    assert (done.exit_code, "can't be read" in done.stderr) == (1, True)


@pytest.mark.parametrize(("changes", "says"), [
    ({"quantity": 0.5}, "members.1.quantity"), ({"side": "Buy"}, "the exits of a Bracket are on the Entry's symbol and the other side"), ({"no": "1"}, "members.1.no"),
])
def test_what_the_api_server_would_refuse_is_refused(exchange, told, changes, says):
    done = exchange("check", "-f", "-", stdin=a_bracket(**changes))
    assert done.exit_code == 1
    assert says in done.stdout


def test_an_account_that_is_not_there_is_named(exchange, server):
    done = exchange("check", "-f", "-", stdin=a_bracket())
    assert (done.exit_code, "main" in done.stderr) == (1, True)
