"""Events from statuses: a table of what each step tells, and the sum that always holds."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange_kernel.api import FillEntry, OrderIntentStatus
from exchange_kernel.core.actions import Waiting
from exchange_kernel.kernel import BaseEvent, EventType, OrderFilled, OrderFillReversed, OrderPartiallyFilled, State
from exchange_kernel.kernel.derivation import Told, checkpoint, deleted, derive
from tests.unit.kernel.builders import T0, a_fill, a_status, an_intent

OPEN = a_status(State.OPEN)
PENDING, SUBMITTING, UNKNOWN = a_status(State.PENDING), a_status(State.SUBMITTING), a_status(State.UNKNOWN, waiting=Waiting("OutcomeUnknown", "It is being found out."))
ONE, TWO, THREE = a_fill("1", "4", at=1), a_fill("2", "3", at=2), a_fill("3", "3", at=3)
GUESS = a_fill("inferred-a", "4", inferred=True)


@dataclass
class Case:
    """Statuses one after the other, and what each tells."""

    reason: str
    steps: list[tuple[OrderIntentStatus, list[str]]] = field(default_factory=list)

    def __str__(self) -> str:
        return self.reason


def shown(event: BaseEvent) -> str:
    match event:
        case OrderPartiallyFilled(fill=fill, quantity=quantity, filled_quantity=total):
            return f"PartiallyFilled {fill.trade_id}{' inferred' if fill.inferred else ''} +{quantity}={total}"
        case OrderFilled(fill=fill, quantity=quantity, filled_quantity=total):
            return f"Filled {fill.trade_id if fill else '-'} +{quantity}={total}"
        case OrderFillReversed(quantity=quantity, filled_quantity=total):
            return f"FillReversed -{quantity}={total}"
    match event.event_type:
        case EventType.FILL_EXPLAINED:
            return f"FillExplained {event.fill.trade_id}"
        case EventType.ACCEPTED | EventType.REPLACED:
            return f"{event.event_type} {event.exchange_order_id}"
        case EventType.CANCELED | EventType.EXPIRED | EventType.REJECTED | EventType.DENIED:
            return f"{event.event_type} {event.reason}{'' if event.settled else ' not settled'}"
        case EventType.FINISHED:
            return f"Finished {event.state} {event.succeeded}"
        case EventType.STALLED:
            return f"Stalled {event.reason}"
    return str(event.event_type)


CASES = [
    Case("before the exchange is heard there is nothing to tell", [(OrderIntentStatus(), []), (PENDING, []), (SUBMITTING, []), (PENDING, [])]),
    Case("an order that rests, fills and finishes", [
        (OPEN, ["Accepted x1"]),
        (a_status(State.PARTIALLY_FILLED, ONE), ["PartiallyFilled 1 +4=4"]),
        (a_status(State.PARTIALLY_FILLED, ONE, TWO), ["PartiallyFilled 2 +3=7"]),
        (a_status(State.FILLED, ONE, TWO, THREE), ["Filled 3 +3=10"]),
        (a_status(State.FILLED, ONE, TWO, THREE, end="Filled"), ["Finished Filled True"]),
    ]),
    Case("the same when all of it becomes one write", [(a_status(State.FILLED, ONE, TWO, THREE, end="Filled"), ["Accepted x1", "PartiallyFilled 1 +4=4", "PartiallyFilled 2 +3=7", "Filled 3 +3=10", "Finished Filled True"])]),
    Case("the same status again tells nothing", [(OPEN, ["Accepted x1"]), (OPEN, [])]),
    Case("a refusal is the exchange's word and needs no acceptance", [(a_status(State.REJECTED, end="RejectedByExchange"), ["Rejected RejectedByExchange", "Finished Rejected False"])]),
    Case("denied: never sent", [(a_status(State.DENIED, end="MarketRules"), ["Denied MarketRules", "Finished Denied False"])]),
    Case("canceled with what was filled before", [
        (OPEN, ["Accepted x1"]),
        (a_status(State.CANCELED, ONE), ["PartiallyFilled 1 +4=4", "Canceled Settling not settled"]),
        (a_status(State.CANCELED, ONE, end="CanceledAsAsked"), ["Finished Canceled True"]),
    ]),
    Case("a fill that is found while the end settles is told before Finished", [
        (a_status(State.CANCELED), ["Accepted x1", "Canceled Settling not settled"]),
        (a_status(State.CANCELED, ONE, end="CanceledAsAsked"), ["PartiallyFilled 1 +4=4", "Finished Canceled True"]),
    ]),
    Case("an end that turns out fuller", [
        (a_status(State.CANCELED, ONE), ["Accepted x1", "PartiallyFilled 1 +4=4", "Canceled Settling not settled"]),
        (a_status(State.FILLED, ONE, TWO, THREE, end="Filled"), ["PartiallyFilled 2 +3=7", "Filled 3 +3=10", "Finished Filled True"]),
    ]),
    Case("an end that is taken back", [(a_status(State.EXPIRED), ["Accepted x1", "Expired Settling not settled"]), (OPEN, ["Reopened"])]),
    Case("canceled before it was sent was never accepted", [(a_status(State.CANCELED, end="CanceledAsAsked", exchange_order_id=None), ["Canceled CanceledAsAsked", "Finished Canceled True"])]),
    Case("an outcome that is found out", [(UNKNOWN, ["OutcomeUnknown"]), (UNKNOWN, []), (a_status(State.OPEN), ["Accepted x1"])]),
    Case("an outcome that becomes unknown while the order is changed", [(OPEN, ["Accepted x1"]), (a_status(State.UNKNOWN, exchange_order_id="x1"), ["OutcomeUnknown"]), (OPEN, [])]),
    Case("a change becomes another order at the exchange", [(OPEN, ["Accepted x1"]), (a_status(State.SUBMITTING, exchange_order_id="x1"), []), (a_status(State.OPEN, exchange_order_id="x2"), ["Replaced x2"])]),
    Case("a person is needed, once and again", [
        (a_status(State.PENDING, waiting=Waiting("AccountNotFound", "Create it.", person=True)), ["Stalled AccountNotFound"]),
        (a_status(State.PENDING, waiting=Waiting("AccountNotFound", "Create it.", person=True)), []),
        (PENDING, []),
        (a_status(State.PENDING, waiting=Waiting("AccountNotFound", "Create it.", person=True)), ["Stalled AccountNotFound"]),
    ]),
    Case("a bad end stalls by convention, which is no call for a person", [(a_status(State.EXPIRED, end="Expired"), ["Accepted x1", "Expired Expired", "Finished Expired False"])]),
    Case("an inferred fill counts, and what explains it does not count again", [
        (a_status(State.PARTIALLY_FILLED, GUESS), ["Accepted x1", "PartiallyFilled inferred-a inferred +4=4"]),
        (a_status(State.PARTIALLY_FILLED, ONE), ["FillExplained 1"]),
        (a_status(State.FILLED, ONE, TWO, THREE), ["PartiallyFilled 2 +3=7", "Filled 3 +3=10"]),
    ]),
    Case("an execution that explains in part counts for the rest", [
        (a_status(State.PARTIALLY_FILLED, a_fill("inferred-a", "2", inferred=True)), ["Accepted x1", "PartiallyFilled inferred-a inferred +2=2"]),
        (a_status(State.PARTIALLY_FILLED, ONE), ["PartiallyFilled 1 +2=4"]),
    ]),
    Case("an execution beside an inferred fill counts whole", [
        (a_status(State.PARTIALLY_FILLED, GUESS), ["Accepted x1", "PartiallyFilled inferred-a inferred +4=4"]),
        (a_status(State.PARTIALLY_FILLED, TWO, a_fill("inferred-b", "4", inferred=True)), ["PartiallyFilled 2 +3=7"]),
    ]),
    Case("explained only after the order was filled", [
        (a_status(State.FILLED, a_fill("inferred-a", "10", inferred=True)), ["Accepted x1", "Filled inferred-a +10=10"]),
        (a_status(State.FILLED, ONE, TWO, THREE, end="Filled"), ["FillExplained 1", "FillExplained 2", "FillExplained 3", "Finished Filled True"]),
    ]),
    Case("more executions than status lists: the rest is inferred", [
        (a_status(State.FILLED, TWO, THREE, filled_quantity=Decimal(10), filled_quote_quantity=Decimal(1040)), ["Accepted x1", "PartiallyFilled 2 +3=3", "PartiallyFilled 3 +3=6", "Filled unlisted-10 +4=10"]),
    ]),
    Case("executions that fall off the list are not forgotten", [
        (a_status(State.PARTIALLY_FILLED, ONE, TWO), ["Accepted x1", "PartiallyFilled 1 +4=4", "PartiallyFilled 2 +3=7"]),
        (a_status(State.FILLED, TWO, THREE, filled_quantity=Decimal(10)), ["Filled 3 +3=10"]),
        (a_status(State.FILLED, ONE, THREE, filled_quantity=Decimal(10)), []),
    ]),
    Case("filled by what had been told already, less dust", [
        (a_status(State.PARTIALLY_FILLED, ONE), ["Accepted x1", "PartiallyFilled 1 +4=4"]),
        (a_status(State.FILLED, ONE, end="Filled"), ["Filled - +0=4", "Finished Filled True"]),
    ]),
    Case("an execution that the exchange takes back", [
        (a_status(State.FILLED, ONE, TWO, THREE), ["Accepted x1", "PartiallyFilled 1 +4=4", "PartiallyFilled 2 +3=7", "Filled 3 +3=10"]),
        (a_status(State.PARTIALLY_FILLED, ONE, TWO), ["FillReversed -3=7", "Reopened"]),
    ]),
    Case("filled beyond what was asked", [
        (a_status(State.FILLED, ONE, TWO, THREE), ["Accepted x1", "PartiallyFilled 1 +4=4", "PartiallyFilled 2 +3=7", "Filled 3 +3=10"]),
        (a_status(State.FILLED, ONE, TWO, THREE, a_fill("4", "1", at=4), end="Overfilled"), ["Filled 4 +1=11", "Finished Filled True"]),
    ]),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_what_each_status_tells(case):
    told, sequence = Told(), 0
    for status, want in case.steps:
        events, told = derive(told, an_intent(status), seen_time=T0)
        assert [shown(event) for event in events] == want
        assert [event.sequence for event in events] == list(range(sequence + 1, sequence + 1 + len(events)))
        sequence += len(events)
        assert told.sequence == sequence


def test_an_inferred_fill_has_the_price_that_the_totals_give():
    status = a_status(State.PARTIALLY_FILLED, TWO, filled_quantity=Decimal(7), filled_quote_quantity=Decimal(300 + 4 * 95))
    events, _ = derive(Told(), an_intent(status), seen_time=T0)
    inferred = events[-1].fill
    assert (inferred.inferred, inferred.quantity, inferred.price, inferred.time) == (True, Decimal(4), Decimal(95), None)


def test_an_end_carries_the_sentence_and_the_final_figures():
    events, _ = derive(Told(), an_intent(a_status(State.REJECTED, end="RejectedByExchange", message="The exchange refused the order: no funds.")), seen_time=T0)
    assert (events[0].message, events[1].message) == ("The exchange refused the order: no funds.",) * 2


def test_after_a_gap_every_event_says_so_and_a_checkpoint_ends_them():
    _, told = derive(Told(), an_intent(OPEN), seen_time=T0)
    events, told = derive(told, an_intent(a_status(State.FILLED, ONE, TWO, THREE)), seen_time=T0, after_gap=True)
    assert [event.event_type for event in events][-2:] == [EventType.FILLED, EventType.RESYNCED]
    assert all(event.after_gap for event in events)
    checkpoint_ = events[-1]
    assert (checkpoint_.order.filled_quantity, checkpoint_.order.sequence, checkpoint_.sequence) == (Decimal(10), told.sequence, told.sequence)


def test_an_intent_from_before_is_told_as_one_checkpoint_and_counts_on_from_there():
    events, told = checkpoint(an_intent(a_status(State.PARTIALLY_FILLED, ONE)), seen_time=T0)
    assert [event.event_type for event in events] == [EventType.RESYNCED]
    assert events[0].order.filled_quantity == Decimal(4)
    events, _ = derive(told, an_intent(a_status(State.PARTIALLY_FILLED, ONE, TWO)), seen_time=T0)
    assert [(shown(event), event.sequence) for event in events] == [("PartiallyFilled 2 +3=7", 2)]


def test_an_intent_that_is_gone_is_told_last_and_its_successor_counts_on():
    _, told = derive(Told(), an_intent(OPEN), seen_time=T0)
    events, told = deleted(told, an_intent(OPEN), seen_time=T0)
    assert [(event.event_type, event.sequence, event.state, event.finished) for event in events] == [(EventType.DELETED, 2, State.OPEN, False)]
    events, _ = derive(told, an_intent(OPEN), seen_time=T0)
    assert [(shown(event), event.sequence) for event in events] == [("Accepted x1", 3)]


@st.composite
def histories(draw: st.DrawFn) -> list[OrderIntentStatus]:
    """Statuses of an order that fills by executions; each lists only some of them, and infers some of the rest, as after any coalescing or loss."""
    quantities = draw(st.lists(st.integers(1, 50), max_size=12))
    trades = [a_fill(str(number), str(quantity), at=number) for number, quantity in enumerate(quantities)]
    happened, statuses = 0, []
    for _ in range(draw(st.integers(1, 8))):
        happened = draw(st.integers(happened, len(trades)))
        done = trades[:happened]
        known = [trade for trade in done if draw(st.booleans())][-draw(st.integers(1, 6)):]
        total = sum((trade.quantity for trade in done), Decimal(0))
        missing = total - sum((trade.quantity for trade in known), Decimal(0))
        listed: list[FillEntry] = list(known)
        if missing > 0 and draw(st.booleans()):
            listed.append(a_fill(f"inferred-{total}-{missing}", str(missing), inferred=True))
        full = happened == len(trades) and happened > 0
        statuses.append(a_status(State.FILLED if full else State.PARTIALLY_FILLED if happened else State.OPEN, *listed, filled_quantity=total, filled_quote_quantity=total * 100))
    return statuses


@settings(max_examples=400, deadline=None)
@given(histories())
def test_fill_events_add_up_to_the_filled_quantity_and_tell_no_execution_twice(statuses):
    told, total, heard = Told(), Decimal(0), []
    for status in statuses:
        events, told = derive(told, an_intent(status), seen_time=T0)
        for event in events:
            if isinstance(event, OrderPartiallyFilled | OrderFilled):
                total += event.quantity
                assert event.filled_quantity == total
            if (fill := getattr(event, "fill", None)) is not None and not fill.inferred:
                heard.append(fill.trade_id)
        assert total == status.filled_quantity
        assert (status.state is State.FILLED) == any(isinstance(event, OrderFilled) for event in events) or told.state is State.FILLED
    assert len(heard) == len(set(heard))
