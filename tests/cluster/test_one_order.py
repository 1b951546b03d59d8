"""One order goes all the way: kubectl → API server → operator → the real ccxt → exchange → status. The exchange's ledger judges."""

from __future__ import annotations

import json
import time
from datetime import datetime
from decimal import Decimal

import pytest

from tests.cluster.operating import intent, writes
from tests.support import eventually

REST = {"type": "Limit", "price": "20000", "quantity": "0.01"}      # far below the market: it rests


def test_a_market_order_fills_and_status_says_what_the_exchange_says(trading):
    trading.place("market", quantity="0.02")
    returned = trading.wait("market", "Succeeded")
    one_call = kubectl_takes(trading)
    status = trading.status("market")
    (order,) = trading.exchange.orders(status["clientOrderId"])
    trades = [trade for trade in trading.exchange.ledger()["trades"] if str(trade["orderId"]) == str(order["orderId"])]

    assert (status["state"], status["exchangeOrderId"]) == ("Filled", str(order["orderId"]))
    assert Decimal(status["filledQuantity"]) == Decimal(order["executedQty"]) == sum(Decimal(trade["qty"]) for trade in trades) == Decimal("0.02")
    assert Decimal(status["filledQuoteQuantity"]) == Decimal(order["cummulativeQuoteQty"])
    assert {fill["tradeId"] for fill in status["fills"]} == {str(trade["id"]) for trade in trades}
    assert {fee["asset"]: Decimal(fee["amount"]) for fee in status["fees"]} == {"BTC": sum(Decimal(trade["commission"]) for trade in trades)}
    assert returned - max(trade["time"] for trade in trades) / 1000 < max(1.0, 5 * one_call), "kubectl wait must return within a second of the fill"
    eventually(lambda: "exchange-kernel.io/order" not in trading.get("market")["metadata"].get("finalizers", []), within=60, what="it is let go")


def kubectl_takes(trading) -> float:
    """How long kubectl takes to start and be answered, now and on this machine: about 0.1 s on one that does nothing else."""
    began = time.monotonic()
    trading.get("market")
    return time.monotonic() - began


def test_the_first_status_is_written_whole_and_nothing_else_of_the_order_changes(trading, audit_log):
    order = intent("labelled", **REST)
    order["metadata"] |= {"labels": {"desk": "one"}, "annotations": {"note": "kept"}, "finalizers": ["example.com/mine"]}
    trading.run("apply", "-f", "-", stdin=json.dumps(order))
    trading.await_state("labelled", "Open")
    after = trading.get("labelled")
    assert after["metadata"]["labels"]["desk"] == "one"
    assert after["metadata"]["annotations"]["note"] == "kept"
    assert "example.com/mine" in after["metadata"]["finalizers"]
    assert (after["metadata"]["generation"], {**after["spec"], **order["spec"]}) == (1, after["spec"])
    first, *_ = eventually(lambda: [what for what, name in writes(audit_log, trading.namespace) if name == "labelled" and what.endswith("/status")], within=60, what="the audit log has it")
    assert first == "update orderintents/status"


def test_an_order_the_exchange_refuses_is_finished_and_says_why(trading):
    trading.place("too-much", **REST | {"quantity": "300"})
    trading.wait("too-much", "Finished")
    status = trading.status("too-much")
    assert status["state"] == "Rejected"
    assert trading.condition("too-much", "Succeeded")["status"] == "False"
    assert "insufficient balance" in trading.condition("too-much", "Finished")["message"]
    assert trading.exchange.orders(status["clientOrderId"]) == []


def test_a_limit_order_rests_fills_in_part_and_then_whole(trading):
    trading.place("rest", **REST)
    status = trading.await_state("rest", "Open")
    trading.exchange.fill(status["clientOrderId"], "0.004")
    status = trading.await_state("rest", "PartiallyFilled")
    assert (status["filledQuantity"], status["remainingQuantity"]) == ("0.004", "0.006")
    trading.exchange.fill(status["clientOrderId"], "0.006")
    trading.wait("rest", "Succeeded")
    status = trading.status("rest")
    assert (status["state"], status["filledQuantity"], len(status["fills"])) == ("Filled", "0.01", 2)


@pytest.mark.proves("rule 10", "F13")
def test_a_changed_price_is_a_new_order_for_the_rest_and_never_both_at_once(trading):
    trading.place("change", **REST)
    first = trading.await_state("change", "Open")
    trading.exchange.fill(first["clientOrderId"], "0.004")
    trading.await_state("change", "PartiallyFilled")
    trading.patch("change", price="21000")
    second = eventually(lambda: (status := trading.status("change"))["clientOrderId"] != first["clientOrderId"] and status.get("operation") is None and status,
                        within=60, what="the replacement is in status")
    (old,), (new,) = trading.exchange.orders(first["clientOrderId"]), trading.exchange.orders(second["clientOrderId"])
    assert (old["status"], old["executedQty"].rstrip("0"), new["status"]) == ("CANCELED", "0.004", "NEW")
    assert (Decimal(new["origQty"]), Decimal(new["price"])) == (Decimal("0.006"), Decimal(21000))
    assert Decimal(second["filledQuantity"]) == Decimal("0.004")
    assert new["time"] >= old["updateTime"], "the rest is sent only when the old order's quantity is final"


def test_desired_state_canceled_cancels_at_the_exchange(trading):
    trading.place("cancel", **REST)
    status = trading.await_state("cancel", "Open")
    trading.patch("cancel", desiredState="Canceled")
    trading.wait("cancel", "Finished")
    assert trading.condition("cancel", "Succeeded")["reason"] == "CanceledAsAsked"
    assert trading.exchange.orders(status["clientOrderId"])[0]["status"] == "CANCELED"


@pytest.mark.proves("rule 11", "F18")
def test_a_deleted_intent_is_cancelled_before_it_disappears(trading):
    trading.place("delete", **REST)
    status = trading.await_state("delete", "Open")
    trading.run("delete", "oi", "delete", "--wait=false")
    trading.await_gone("delete")
    assert trading.exchange.orders(status["clientOrderId"])[0]["status"] == "CANCELED"


def test_ioc_and_fok_end_as_canceled_by_cause(trading):
    trading.place("fok", type="Limit", price="20000", quantity="0.01", timeInForce="FOK")
    trading.place("ioc", type="Limit", price="20000", quantity="0.01", timeInForce="IOC")
    for name in ("fok", "ioc"):
        trading.wait(name, "Finished")
        assert trading.status(name)["state"] == "Canceled"
        assert trading.condition(name, "Succeeded")["reason"] == "NotFilled"


def test_what_can_never_be_sent_is_denied_before_the_exchange_hears_of_it(trading):
    trading.place("dust", quantity="0.0000001")
    trading.place("reducing", positionEffect="ReduceOnly")
    trading.place("nowhere", symbol="NOPE/USDT")
    for name, word in (("dust", "raise spec.quantity"), ("reducing", "reduce-only"), ("nowhere", "no such market")):
        trading.wait(name, "Finished")
        assert trading.status(name)["state"] == "Denied"
        assert word in trading.condition(name, "Finished")["message"]


def test_an_intent_without_an_account_says_so(trading):
    trading.place("lost", accountRef={"name": "nobody"})
    eventually(lambda: trading.condition("lost", "Stalled").get("reason") == "AccountNotFound", within=60, what="the condition names the missing account")


def test_credentials_the_exchange_refuses_are_said_on_the_account_and_on_its_intents(trading):
    trading.run("create", "secret", "generic", "wrong-keys", "--from-literal=apiKey=wrong", "--from-literal=secret=wrong")
    trading.run("apply", "-f", "-", stdin=json.dumps({
        "apiVersion": "exchange-kernel.io/v1alpha1", "kind": "ExchangeAccount", "metadata": {"name": "wrong"},
        "spec": {"exchange": "binance", "environment": "Simulated", "endpoint": {"rest": trading.exchange.rest, "websocket": trading.exchange.websocket},
                 "credentialsSecretRef": {"name": "wrong-keys"}},
    }))
    trading.run("wait", "--for=condition=CredentialsValid=False", "xa/wrong", "--timeout=60s")
    assert "spec.credentialsSecretRef" in trading.run("get", "xa", "wrong", "-o", "yaml")
    trading.place("keyless", accountRef={"name": "wrong"})
    eventually(lambda: trading.condition("keyless", "Ready").get("reason") == "AccountNotReady", within=60, what="the intent says that its account is not ready")
    # An account stays until its intents are let go: this one is by its own word, since nothing can be proved of it.
    trading.patch("keyless", deletionPolicy="Orphan")
    trading.run("delete", "oi/keyless", "--timeout=60s")
    trading.run("delete", "xa/wrong", "--timeout=60s")


def test_kubectl_shows_selects_explains_and_diffs(trading):
    trading.place("shown", symbol="ETH/USDT", **REST | {"price": "500"})
    trading.await_state("shown", "Open")
    wide = trading.run("get", "oi", "shown", "-o", "wide")
    for column in ("STATE", "SIDE", "TYPE", "SYMBOL", "QTY", "PRICE", "FILLED", "ACCOUNT", "READY", "REASON", "AGE"):
        assert column in wide
    assert "Open" in wide
    assert "shown" in trading.run("get", "oi", "--field-selector", "spec.symbol=ETH/USDT", "-o", "name")
    assert "shown" not in trading.run("get", "oi", "--field-selector", "spec.symbol=BTC/USDT", "-o", "name")
    manifest = json.dumps({"apiVersion": "exchange-kernel.io/v1alpha1", "kind": "OrderIntent", "metadata": {"name": "shown"},
                           "spec": {"accountRef": {"name": "main"}, "symbol": "ETH/USDT", "side": "Buy", "type": "Limit", "price": "500", "quantity": "0.01"}})
    assert trading.run("diff", "-f", "-", stdin=manifest) == "", "the operator never writes spec"


def test_times_are_the_exchanges_own(trading):
    trading.place("timed")
    trading.wait("timed", "Succeeded")
    status = trading.status("timed")
    (order,) = trading.exchange.orders(status["clientOrderId"])
    acknowledged = datetime.fromisoformat(status["acknowledgeTime"]).timestamp()
    assert abs(acknowledged - order["time"] / 1000) < 0.002
