"""RiskLimits on the real API server: refused at apply where it can judge, by the operator where only it can, and never in the way of a cancel."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.cluster.desks import AS_OPERATOR
from tests.cluster.operating import Trading, intent
from tests.support import eventually

REST = {"type": "Limit", "price": "20000", "quantity": "0.01"}      # worth 200 USDT, far below the market
TIGHT = {"maxOrderNotional": [{"asset": "USDT", "amount": "1000"}], "allowedTypes": ["Limit", "StopMarket", "Market"]}


def limit(name: str, **spec: Any) -> str:
    return json.dumps({"apiVersion": "exchange-kernel.io/v1alpha1", "kind": "RiskLimit", "metadata": {"name": name}, "spec": spec})


def group(name: str, mode: str, *members: dict[str, Any]) -> str:
    return json.dumps({"apiVersion": "exchange-kernel.io/v1alpha1", "kind": "OrderGroup", "metadata": {"name": name},
                       "spec": {"accountRef": {"name": "main"}, "mode": mode, "members": list(members)}})


def member(name: str, role: str, **changes: Any) -> dict[str, Any]:
    return {"name": name, "role": role, "symbol": "BTC/USDT", "side": "Buy", "type": "Limit", "quantity": "0.01", "price": "20000", **changes}


@pytest.fixture
def judged(kube, namespace):
    """A namespace with a limit in force; nobody acts on its orders."""
    trading = Trading(kube.kubectl, namespace, None)                # type: ignore[arg-type]
    trading.run("apply", "-f", "-", stdin=limit("desk", **TIGHT))
    eventually(lambda: refusal(trading, json.dumps(intent("probe", **REST | {"quantity": "1"}))), within=60, what="the risk policy in force")
    return trading


def refusal(trading: Trading, manifest: str) -> str:
    """What the API server says against it; empty if it takes it."""
    done = trading.kubectl("--namespace", trading.namespace, "apply", "--dry-run=server", "-f", "-", stdin=manifest, check=False)
    return str(done.stderr) if done.returncode else ""


def test_an_order_beyond_a_limit_is_refused_at_apply_with_its_sentence(judged):
    entry, stop = member("entry", "Entry"), member("stop", "StopLoss", side="Sell", type="StopMarket", triggerPrice="19000", price=None)
    stop = {name: value for name, value in stop.items() if value is not None}
    table = [
        ("worth as much as allowed", intent("a", **REST | {"quantity": "0.05"}), ""),
        ("worth more", intent("a", **REST | {"quantity": "0.0501"}), "RiskLimit desk: maxOrderNotional is 1000 USDT, and the order is worth more."),
        ("a type that is not allowed", intent("a", type="StopLimit", price="1", triggerPrice="1", quantity="1"), "RiskLimit desk: its allowedTypes are Limit, StopMarket, Market."),
        ("another quote asset", intent("a", **REST | {"symbol": "ETH/BTC"}), "maxOrderNotional has no amount for the quote asset of the order, only for USDT."),
        ("of contracts too", intent("a", **REST | {"symbol": "ETH/USD:ETH"}), "maxOrderNotional has no amount"),
        ("what contracts are worth, the operator judges", intent("a", **REST | {"symbol": "BTC/USDT:USDT", "quantity": "100"}), ""),
        ("a market order by quantity", intent("a", type="Market", quantity="0.001"), "an order without a price"),
        ("a market order by what it spends", intent("a", type="Market", quantity=None, quoteQuantity="1000"), ""),
        ("and one that spends more", intent("a", type="Market", quantity=None, quoteQuantity="1001"), "worth more"),
        ("a stop by its trigger", intent("a", type="StopMarket", triggerPrice="20000", quantity="0.06"), "worth more"),
        ("a member of a group", json.loads(group("g", "Basket", member("a", "Leg"), member("b", "Leg", quantity="0.06"))), "worth more"),
        ("the entry of a group", json.loads(group("g", "Bracket", {**entry, "quantity": "0.06"}, {**stop, "quantity": "0.06"})), "worth more"),
        ("but not the exits of one that passes", json.loads(group("g", "Bracket", {**entry, "quantity": "0.05"}, {**stop, "quantity": "0.05", "triggerPrice": "20500"})), ""),
    ]
    for reason, manifest, want in table:
        said = refusal(judged, json.dumps(manifest))
        assert (want in said) if want else said == "", f"{reason}: {said}"


def test_only_changes_of_what_is_traded_are_judged(judged):
    judged.run("apply", "-f", "-", stdin=json.dumps(intent("order", **REST)))
    judged.run("apply", "-f", "-", stdin=group("basket", "Basket", member("a", "Leg"), member("b", "Leg")))
    judged.run("apply", "-f", "-", stdin=limit("desk", maxOrderNotional=[{"asset": "USDT", "amount": "1"}]))
    eventually(lambda: refusal(judged, json.dumps(intent("probe", **REST))), within=60, what="the tighter limit in force")

    def patch(kind: str, name: str, body: dict[str, Any], *options: str) -> str:
        done = judged.kubectl("--namespace", judged.namespace, "patch", kind, name, "--type=merge", "-p", json.dumps(body), *options, check=False)
        return str(done.stderr) if done.returncode else ""

    assert "RiskLimit desk" in patch("oi", "order", {"spec": {"price": "21000"}})
    assert "RiskLimit desk" in patch("oi", "order", {"spec": {"quantity": "0.02"}})
    assert "RiskLimit desk" in patch("og", "basket", {"spec": {"members": [member("a", "Leg", price="21000"), member("b", "Leg")]}})
    assert patch("oi", "order", {"metadata": {"labels": {"desk": "7"}}}) == ""
    assert patch("oi", "order", {"spec": {"suspend": True}}) == ""
    assert patch("og", "basket", {"spec": {"suspend": True}}) == ""
    assert patch("oi", "order", {"status": {"state": "Open"}}, "--subresource=status", *AS_OPERATOR) == ""
    assert patch("oi", "order", {"spec": {"desiredState": "Canceled", "price": "21000"}}) == "", "a cancel is never in the way"
    assert patch("og", "basket", {"spec": {"desiredState": "Canceled"}}) == ""
    judged.run("delete", "oi", "order", "--wait=false")
    assert patch("oi", "order", {"metadata": {"finalizers": None}}) == ""


def test_all_limits_on_an_account_must_be_kept_and_those_on_others_are_not_its_own(judged):
    judged.run("apply", "-f", "-", stdin=limit("smaller", maxOrderNotional=[{"asset": "USDT", "amount": "100"}], accountSelector={"names": ["main"]}))
    judged.run("apply", "-f", "-", stdin=limit("others", maxOrderNotional=[{"asset": "USDT", "amount": "1"}], accountSelector={"names": ["another"]}))
    said = eventually(lambda: refusal(judged, json.dumps(intent("probe", **REST))), within=60, what="the second limit in force")
    assert "RiskLimit smaller: maxOrderNotional is 100 USDT" in said
    assert refusal(judged, json.dumps(intent("probe", **REST | {"quantity": "0.005"}))) == ""
    assert "RiskLimit others" in refusal(judged, json.dumps(intent("probe", accountRef={"name": "another"}, **REST | {"quantity": "0.005"})))


def test_the_operator_keeps_what_the_api_server_can_not_judge(desk):
    desk.start()
    trading = desk.trading
    trading.await_account()
    trading.place("resting", **REST)
    trading.await_state("resting", "Open")
    trading.run("apply", "-f", "-", stdin=limit("few", maxOpenOrders=2))
    trading.run("apply", "-f", "-", stdin=limit("small", maxPosition=[{"symbol": "BTC/USDT", "quantity": "100.5"}], maxOrderNotional=[{"asset": "USDT", "amount": "100000"}]))
    # The account holds 100 BTC (tests/cluster/operating.py), and 0.01 may yet be bought.
    eventually(lambda: refusal(trading, json.dumps(intent("probe", **REST | {"symbol": "ETH/BTC"}))), within=60, what="the limits in force at apply")
    trading.place("second", **REST)
    trading.await_state("second", "Open")

    trading.place("too-large", **REST | {"quantity": "0.49"})
    trading.wait("too-large", "Finished")
    assert trading.status("too-large")["state"] == "Denied"
    assert trading.condition("too-large", "Finished")["reason"] == "RiskLimit"
    assert "RiskLimit small: maxPosition of BTC/USDT is 100.5" in trading.condition("too-large", "Finished")["message"]

    trading.place("third", **REST)
    eventually(lambda: trading.condition("third", "Ready").get("reason") == "RiskLimit", within=60, what="the third order waits")
    assert "RiskLimit few: maxOpenOrders is 2" in trading.condition("third", "Ready")["message"]
    assert len(trading.exchange.orders()) == 2

    trading.run("apply", "-f", "-", stdin=limit("few", maxOpenOrders=0, maxOrdersPerMinute=0))
    trading.patch("second", desiredState="Canceled")
    trading.wait("second", "Finished")
    trading.run("delete", "oi", "resting", "--timeout=60s")
    assert {order["status"] for order in trading.exchange.orders()} == {"CANCELED"}

    trading.run("delete", "rl", "few", "small")
    trading.await_state("third", "Open")
