"""What users are told by Events, and what the audit journal of a real operator process holds."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from exchange_kernel.cli.children import ChildError
from tests.cluster.operating import API_KEY, API_SECRET
from tests.support import eventually

REST = {"type": "Limit", "price": "20000", "quantity": "0.01"}  # far below the market: it rests


def events(trading, name: str, kind: str = "OrderIntent") -> list[dict[str, Any]]:
    found = json.loads(trading.run("get", "events.events.k8s.io", "-o", "json", "--field-selector", f"regarding.kind={kind},regarding.name={name}"))["items"]
    return sorted(found, key=lambda event: event["eventTime"])


def reasons(trading, name: str, kind: str = "OrderIntent") -> list[str]:
    return [event["reason"] for event in events(trading, name, kind)]


def lines(path: Path, **wanted: Any) -> list[dict[str, Any]]:
    """The journal's lines among whatever else a file holds."""
    found = []
    for text in path.read_text().splitlines(keepends=True):
        if text.startswith('{"journal":') and text.endswith("\n"):      # or it is being written
            found.append(json.loads(text))
    return [line for line in found if all(line.get(key) == value for key, value in wanted.items())]


def of_order(path: Path, name: str) -> list[dict[str, Any]]:
    return [line for line in lines(path) if (line.get("intent") or {}).get("name") == name]


def test_kubectl_shows_an_orders_life_and_the_journal_has_both_lines_of_each_step(desk):
    trading, operator = desk.trading, desk.start()
    trading.await_account()
    trading.place("told")
    trading.wait("told", "Succeeded")
    eventually(lambda: reasons(trading, "told") == ["Submitted", "Filled"], within=60, what="both are told")
    shown = trading.run("get", "events", "--field-selector", "involvedObject.name=told")
    assert re.search(r"Normal\s+Submitted\s+orderintent/told\s+The exchange has the order", shown), shown
    assert re.search(r"Normal\s+Filled\s+orderintent/told", shown), shown
    assert "Filled" in trading.run("events", "--for", "orderintent/told"), "kubectl events finds them by the object"
    (submitted, _), uid = events(trading, "told"), trading.get("told")["metadata"]["uid"]
    assert (submitted["regarding"]["uid"], submitted["reportingController"]) == (uid, "exchange-kernel.io/operator")
    eventually(lambda: "Ready" in reasons(trading, "main", "ExchangeAccount"), within=60, what="the account's is told")

    status = trading.status("told")
    steps = [("before", "submit"), ("after", "submit"), ("before", "removeFinalizer"), ("after", "removeFinalizer")]
    eventually(lambda: [(line["phase"], line["action"]) for line in of_order(operator.log, "told")] == steps, within=60, what="the journal has both lines of each step")
    told = of_order(operator.log, "told")
    before, after = told[:2]
    assert after["before"] == before["seq"]
    assert (before["intent"]["uid"], before["attempt"], before["client_order_id"]) == (uid, 1, status["clientOrderId"])
    assert (before["request"]["symbol"], before["request"]["quantity"]) == ("BTC/USDT", "0.01")
    assert (after["outcome"]["result"], after["outcome"]["order"]["exchange_order_id"]) == ("Accepted", status["exchangeOrderId"])
    assert before["account"]["fingerprint"] == status["account"]["fingerprint"]


def test_partial_fills_are_one_event_with_a_count(desk):
    trading = desk.trading
    desk.start()
    trading.await_account()
    trading.place("rest", **REST)
    status = trading.await_state("rest", "Open")
    for number in range(1, 4):
        trading.exchange.fill(status["clientOrderId"], "0.002")
        eventually(lambda want=number: trading.status("rest").get("filledQuantity") == f"0.00{want * 2}", within=60, what="the fill is in status")
    eventually(lambda: [event.get("series", {}).get("count") for event in events(trading, "rest") if event["reason"] == "PartiallyFilled"] == [3],
               within=60, what="one Event that was seen three times")
    trading.patch("rest", desiredState="Canceled")
    trading.wait("rest", "Finished")
    eventually(lambda: reasons(trading, "rest") == ["Submitted", "PartiallyFilled", "Canceled"], within=60, what="and then its end")


def test_who_dies_in_a_send_leaves_the_line_before_it_and_the_next_process_tells_the_rest(desk, tmp_path):
    trading, journal = desk.trading, tmp_path / "journal.jsonl"
    operator = desk.start("--journal", str(journal))
    trading.await_account()
    trading.exchange.fault(match={"method": "POST", "path": "/api/v3/order"}, do="hang", count=1)
    trading.place("cut", **REST)
    eventually(lambda: lines(journal, action="submit"), within=60, what="the line before")
    operator.kill()
    assert [line["phase"] for line in lines(journal, action="submit")] == ["before"]
    trading.exchange.heal()
    desk.start("--journal", str(journal))
    trading.await_state("cut", "Open", within=60)
    eventually(lambda: {"OutcomeUnknown"} <= set(reasons(trading, "cut")), within=60, what="that it was not known for a while")
    def both_of_each() -> bool:
        first, *rest = lines(journal, action="submit")
        assert all(line["instance"] != first["instance"] for line in rest)
        return len([line for line in rest if line["phase"] == "before"]) == len([line for line in rest if line["phase"] == "after"])

    eventually(both_of_each, within=60, what="whatever was begun since is told to its end")
    everything = journal.read_text() + operator.log.read_text()
    assert all(secret not in everything for secret in (API_KEY, API_SECRET))


def test_refused_credentials_are_told_on_the_account(trading):
    trading.run("create", "secret", "generic", "refused-keys", "--from-literal=apiKey=wrong", "--from-literal=secret=wrong")
    trading.run("apply", "-f", "-", stdin=json.dumps({
        "apiVersion": "exchange-kernel.io/v1alpha1", "kind": "ExchangeAccount", "metadata": {"name": "refused"},
        "spec": {"exchange": "binance", "environment": "Simulated", "endpoint": {"rest": trading.exchange.rest, "websocket": trading.exchange.websocket},
                 "credentialsSecretRef": {"name": "refused-keys"}},
    }))
    eventually(lambda: reasons(trading, "refused", "ExchangeAccount") == ["CredentialsInvalid"], within=60, what="one Event, however often it is tried")
    trading.run("delete", "xa/refused", "--timeout=60s")


def test_a_journal_that_cannot_be_opened_is_an_error_at_once(desk):
    with pytest.raises(ChildError, match="nowhere"):
        desk.start("--journal", "/nowhere/journal.jsonl")
