"""Killed, cut off and deaf operators: one order at the exchange all the same, and status tells the truth. Rules 1, 3, 5, 6 and 7."""

from __future__ import annotations

import signal

import pytest

from tests.support import eventually

ORDER = {"method": "POST", "path": "/api/v3/order"}


def placed(exchange, known):
    return [order for order in exchange.orders() if order["clientOrderId"] not in known]


@pytest.mark.proves("rule 3", "F8")
def test_rule_3_killed_between_the_exchanges_acceptance_and_the_status_write(desk):
    trading, exchange = desk.trading, desk.exchange
    operator = desk.start()
    trading.await_account()
    exchange.fault(match=ORDER, do="delay-reply", ms=60_000, count=1)
    trading.place("in-flight", type="Limit", price="20000", quantity="0.01")
    (order,) = eventually(lambda: exchange.orders(), within=60, what="the exchange accepted the order")
    operator.kill()
    exchange.heal()
    assert trading.status("in-flight").get("attempts") is None, "nothing of it is written yet"

    desk.start()
    status = trading.await_state("in-flight", "Open", within=60)
    assert (status["clientOrderId"], status["exchangeOrderId"]) == (order["clientOrderId"], str(order["orderId"]))
    trading.exchange.fill(order["clientOrderId"], "0.01")
    trading.wait("in-flight", "Succeeded")
    assert len(exchange.orders()) == 1


@pytest.mark.proves("rule 3", "H1")
def test_h1_deleted_while_the_operator_was_dead_with_the_order_accepted(desk):
    trading, exchange = desk.trading, desk.exchange
    operator = desk.start()
    trading.await_account()
    exchange.fault(match=ORDER, do="delay-reply", ms=60_000, count=1)
    trading.place("doomed", type="Limit", price="20000", quantity="0.01")
    eventually(lambda: exchange.orders(), within=60, what="the exchange accepted the order")
    operator.kill()
    exchange.heal()
    trading.run("delete", "oi", "doomed", "--wait=false")
    desk.start()
    trading.await_gone("doomed", within=60)
    assert [order["status"] for order in exchange.orders()] == ["CANCELED"], "cancelled, not forgotten"


@pytest.mark.proves("rule 1", "F4")
def test_rule_1_a_silent_exchange_is_not_an_answer(desk):
    trading, exchange = desk.trading, desk.exchange
    desk.start()
    trading.await_account()
    exchange.fault(match=ORDER, do="drop-reply", count=1)
    trading.place("dropped")
    trading.wait("dropped", "Succeeded", within=60)
    assert [order["status"] for order in exchange.orders()] == ["FILLED"]

    exchange.fault(do="silence")
    trading.place("into-silence")
    trading.await_state("into-silence", "Unknown", within=60)
    assert trading.condition("into-silence", "OutcomeUnknown")["status"] == "True"
    exchange.heal()
    trading.wait("into-silence", "Succeeded", within=60)
    assert sorted(order["status"] for order in exchange.orders()) == ["FILLED", "FILLED"]


@pytest.mark.proves("rule 7", "H3")
def test_h3_an_operator_that_was_frozen_while_another_took_over_sends_nothing_when_it_thaws(desk):
    trading, exchange = desk.trading, desk.exchange
    frozen = desk.start()
    trading.await_account()
    frozen.signal(signal.SIGSTOP)
    trading.place("contested")          # the frozen one has it in its watch's buffer, as new
    desk.start()
    trading.wait("contested", "Succeeded", within=60)
    frozen.signal(signal.SIGCONT)
    eventually(lambda: "account session over" in frozen.log.read_text(), within=60, what="the thawed operator learns that its Lease is lost")
    assert len(exchange.orders()) == 1
    trading.place("next")
    trading.wait("next", "Succeeded", within=60)
    assert len(exchange.orders()) == 2


@pytest.mark.proves("rule 12")
def test_the_timer_alone_brings_an_order_to_filled(desk):
    desk.start(broken="--drop-events")
    desk.trading.await_account()
    desk.trading.place("unheard")
    desk.trading.wait("unheard", "Succeeded", within=60)
    assert len(desk.exchange.orders()) == 1


def test_the_handlers_alone_bring_an_order_to_filled(desk):
    desk.start(broken="--no-timer")
    desk.trading.await_account()
    desk.trading.place("heard")
    desk.trading.wait("heard", "Succeeded", within=60)
    assert len(desk.exchange.orders()) == 1


def test_without_recovery_the_same_crash_makes_two_orders(desk):
    """The proof that the tests above see what they claim to see: rules 3 and 5 switched off, the same crash doubles the order."""
    trading, exchange = desk.trading, desk.exchange
    operator = desk.start(broken="--without-recovery")
    trading.await_account()
    exchange.fault(match=ORDER, do="delay-reply", ms=60_000, count=1)
    trading.place("doubled")
    eventually(lambda: exchange.orders(), within=60, what="the exchange accepted the order")
    operator.kill()
    exchange.heal()
    desk.start(broken="--without-recovery")
    eventually(lambda: len(exchange.orders()) == 2, within=60, what="a second order appears")


@pytest.mark.proves("F18")
def test_a_clean_stop_is_quick_and_leaves_the_orders(desk):
    operator = desk.start()
    desk.trading.await_account()
    desk.trading.place("stays", type="Limit", price="20000", quantity="0.01")
    desk.trading.await_state("stays", "Open")
    assert operator.stop() == 0
    assert [order["status"] for order in desk.exchange.orders()] == ["NEW"]
