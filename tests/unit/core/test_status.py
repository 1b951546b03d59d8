"""What is written: the status that follows from a record, a sight and a decision."""

from dataclasses import replace
from decimal import Decimal

import pytest

from exchange_kernel.api import OrderState
from exchange_kernel.core.answers import OrderStatus
from exchange_kernel.core.decide import decide
from exchange_kernel.core.facts import Facts
from exchange_kernel.core.lifecycle import EDGES, IllegalTransition, advance
from exchange_kernel.core.sending import SendStage
from exchange_kernel.core.status import project
from exchange_kernel.core.time_limits import first_sent_ms
from tests.builders import T0, a_report, a_send, a_sight, a_spec, a_trade, an_attempt, an_order, at


def written(order, seen, after_ms=0):
    facts = Facts(order, seen, at(after_ms))
    return project(facts, decide(facts))


def conditions(status):
    return {condition.type: (str(condition.status), condition.reason) for condition in status.conditions}


FILLED = {"orders": {1: a_report(status=OrderStatus.FILLED, filled="1")}, "trades": {1: (a_trade("1", "0.4"), a_trade("2", "0.6"))}}


def test_a_market_order_is_written_once_with_all_there_is_to_say():
    status = written(an_order(), a_sight(new=True, **FILLED, sends={1: a_send(SendStage.ACCEPTED, last_stamp_ms=T0 + 1)}))
    assert (status.state, status.filled_quantity, status.average_price, status.remaining_quantity) == (OrderState.FILLED, Decimal(1), Decimal(50000), 0)
    assert [(fee.asset, fee.amount) for fee in status.fees] == [("BTC", Decimal("0.002"))]
    assert status.completion_time is not None
    assert conditions(status)["Finished"] == conditions(status)["Succeeded"] == ("True", "Filled")


@pytest.mark.parametrize(("spec", "state", "reason"), [
    pytest.param({"timeInForce": "IOC"}, OrderState.CANCELED, "its rest was not to be had at once", id="IOC"),
    pytest.param({"timeInForce": "IOC", "desiredState": "Canceled"}, OrderState.CANCELED, "as asked", id="asked"),
    pytest.param({}, OrderState.EXPIRED, "the venue's own doing", id="GTC"),
])
def test_an_end_that_has_not_settled_is_called_what_it_will_be_called(spec, state, reason):
    order = an_order(spec=a_spec(**spec), attempts=[an_attempt()])
    seen = a_sight(orders={1: a_report(status=OrderStatus.EXPIRED, filled="0.5")}, trades={1: (a_trade("1", "0.5"),)})
    first = written(order, seen)
    settled = written(an_order(spec=a_spec(**spec), status=first.document()), replace(seen, ended_ms={1: T0}, settle_read_ms={1: T0 + 1000}), after_ms=1100)
    assert first.completion_time is None
    assert settled.completion_time is not None
    assert (first.state, settled.state) == (state, state), reason


@pytest.mark.proves("rule 8", "F22")
def test_rule_8_what_trades_do_not_explain_is_inferred_and_later_replaced():
    order, guessed = an_order(attempts=[an_attempt()]), None
    guessed = written(order, a_sight(orders={1: a_report(filled="0.5")}, trades={1: (a_trade("1", "0.2"),)}))
    assert [(fill.inferred, fill.quantity) for fill in guessed.fills] == [(False, Decimal("0.2")), (True, Decimal("0.3"))]
    again = written(an_order(attempts=[an_attempt()], status=guessed.document()), a_sight(orders={1: a_report(filled="0.5")}, trades={1: (a_trade("1", "0.2"),)}))
    assert {fill.trade_id for fill in again.fills} == {fill.trade_id for fill in guessed.fills}
    order = an_order(status=again.document())
    known = written(order, a_sight(orders={1: a_report(filled="0.5")}, trades={1: (a_trade("1", "0.2"), a_trade("9", "0.3"))}))
    assert [(fill.trade_id, fill.inferred) for fill in known.fills] == [("1", False), ("9", False)]
    assert known.filled_quantity == Decimal("0.5")


@pytest.mark.proves("H15")
def test_h15_fees_of_trades_that_are_no_longer_listed_are_not_counted_twice():
    trades = tuple(a_trade(str(number), "0.01") for number in range(1, 26))
    ended = an_attempt(1, "Ended", outcome="Canceled", exchangeOrderId="1001", filledQuantity="0.2", filledQuoteQuantity="10000")
    first = written(an_order(attempts=[ended, an_attempt(2)]), a_sight(orders={2: a_report(2, filled="0.25")}, trades={2: tuple(replace(trade, exchange_order_id="1002") for trade in trades)}))
    assert (len(first.fills), first.fees[0].amount) == (20, Decimal("0.025"))
    # Restarted: the first attempt is not in memory, and all trades of the second are read again, with one more.
    again = tuple(replace(trade, exchange_order_id="1002") for trade in (*trades, a_trade("26", "0.01")))
    second = written(an_order(status=first.document()), a_sight(orders={2: a_report(2, filled="0.26")}, trades={2: again}))
    assert second.fees[0].amount == Decimal("0.026")


@pytest.mark.proves("rule 8", "F24")
def test_rule_8_the_recorded_fill_never_falls():
    order = an_order(attempts=[an_attempt(filledQuantity="0.7", filledQuoteQuantity="35000")], status={"state": "PartiallyFilled"})
    assert written(order, a_sight(orders={1: a_report(filled="0.2")})).filled_quantity == Decimal("0.7")


def test_writing_twice_changes_nothing():
    order, seen = an_order(), a_sight(new=True, orders={1: a_report()}, sends={1: a_send(SendStage.ACCEPTED, last_stamp_ms=T0)})
    first = written(order, seen)
    assert written(an_order(status=first.document()), seen, after_ms=60_000) == first


def test_last_transition_time_moves_only_with_the_condition():
    first = written(an_order(), a_sight(new=True, orders={1: a_report()}))
    later = written(an_order(status=first.document(), generation=2), a_sight(new=True, orders={1: a_report()}), after_ms=60_000)
    assert [condition.last_transition_time for condition in first.conditions] == [condition.last_transition_time for condition in later.conditions]
    assert {condition.observed_generation for condition in later.conditions} == {2}


@pytest.mark.parametrize(("reason", "order", "seen", "after_ms", "state", "want"), [
    ("open as asked", an_order(attempts=[an_attempt()]), a_sight(orders={1: a_report()}), 0, "Open",
     {"Finished": "False", "Succeeded": "Unknown", "Ready": "True", "Stalled": "False", "Synced": "True", "Reconciling": "False", "OutcomeUnknown": "False"}),
    ("open, not as asked", an_order(spec=a_spec(price="49000", modifyPolicy="Reject"), attempts=[an_attempt()]), a_sight(orders={1: a_report()}), 0, "Open",
     {"Finished": "False", "Ready": "False", "Synced": "False"}),
    ("unknown", an_order(), a_sight(sends={1: a_send(SendStage.UNKNOWN)}), 0, "Unknown",
     {"Finished": "False", "Succeeded": "Unknown", "Ready": "False", "Stalled": "False", "OutcomeUnknown": "True", "Synced": "Unknown"}),
    ("rejected", an_order(), a_sight(new=True, sends={1: a_send(SendStage.REFUSED, reason="no money")}), 0, "Rejected",
     {"Finished": "True", "Succeeded": "False", "Ready": "False", "Stalled": "True", "Reconciling": "False"}),
    ("denied", an_order(), a_sight(new=True, market=None), 0, "Denied", {"Finished": "True", "Succeeded": "False", "Ready": "False", "Stalled": "True"}),
    ("canceled as asked, never sent", an_order(spec=a_spec(desiredState="Canceled")), a_sight(new=True), 0, "Canceled",
     {"Finished": "True", "Succeeded": "True", "Ready": "True", "Stalled": "False"}),
    ("canceled by the exchange", an_order(attempts=[an_attempt()]), a_sight(orders={1: a_report(status=OrderStatus.CANCELED)}, ended_ms={1: T0}, settle_read_ms={1: T0 + 1000}), 2000, "Canceled",
     {"Finished": "True", "Succeeded": "False", "Ready": "False", "Stalled": "True"}),
    ("ended, not settled", an_order(attempts=[an_attempt()]), a_sight(orders={1: a_report(status=OrderStatus.CANCELED)}, ended_ms={1: T0}), 10, "Canceled",
     {"Finished": "False", "Succeeded": "Unknown", "Ready": "False", "Reconciling": "True"}),
    ("suspended", an_order(spec=a_spec(suspend=True)), a_sight(new=True), 0, "Pending", {"Finished": "False", "Ready": "False", "Stalled": "False"}),
], ids=lambda value: value if isinstance(value, str) and " " in value else "")
def test_conditions_are_the_designs_table(reason, order, seen, after_ms, state, want):
    status = written(order, seen, after_ms)
    assert status.state == state
    assert {kind: conditions(status)[kind][0] for kind in want} == want


def test_an_edge_that_is_not_in_the_table_raises():
    with pytest.raises(IllegalTransition):
        advance(OrderState.DENIED, OrderState.OPEN, settled=False)
    with pytest.raises(IllegalTransition):
        advance(OrderState.CANCELED, OrderState.FILLED, settled=True)
    assert advance(OrderState.FILLED, OrderState.FILLED, settled=True) is OrderState.FILLED


def test_every_state_has_its_edges():
    assert set(EDGES) == set(OrderState)


def test_the_time_of_the_first_attempt_is_written_though_only_the_exchange_knows_it():
    """As after a status was wiped: the time limit that counts from it is the same before and after it is written."""
    orders = {1: a_report(1, status=OrderStatus.CANCELED, filled="0.2", created_time_ms=T0 - 60_000), 2: a_report(2, quantity="0.8", created_time_ms=T0)}
    order, seen = an_order(attempts=[an_attempt(1), an_attempt(2)]), a_sight(orders=orders, trades={1: (a_trade("1", "0.2"),)})
    status = written(order, seen)
    assert status.submit_time is not None
    assert int(status.submit_time.timestamp() * 1000) == first_sent_ms(order, seen) == T0 - 60_000
