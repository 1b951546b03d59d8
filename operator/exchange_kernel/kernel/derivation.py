"""Events from committed status: what one status says beyond what was told before. Pure; equal inputs give equal events.

Several changes may reach us as one: status is coalesced, and a watch has gaps. So nothing here follows steps. Each call compares what has been told
with what is now, and tells the difference in the order in which it must have happened.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Context, Decimal
from typing import Any, TypeAlias

from exchange_kernel.api import Condition, OrderIntentStatus, plain
from exchange_kernel.kernel.events import (
    BaseEvent,
    OrderAccepted,
    OrderCanceled,
    OrderDeleted,
    OrderDenied,
    OrderExpired,
    OrderFilled,
    OrderFillExplained,
    OrderFillReversed,
    OrderFinished,
    OrderOutcomeUnknown,
    OrderPartiallyFilled,
    OrderRejected,
    OrderReopened,
    OrderReplaced,
    OrderResynced,
    OrderStalled,
)
from exchange_kernel.kernel.models import Fill, State
from exchange_kernel.kernel.objects import IntentObject, fees, fills, holds, order_state

ZERO = Decimal(0)
WORKING = frozenset({State.OPEN, State.PARTIALLY_FILLED})
ENDS: Mapping[State, type[BaseEvent]] = {
    State.CANCELED: OrderCanceled,
    State.EXPIRED: OrderExpired,
    State.REJECTED: OrderRejected,
    State.DENIED: OrderDenied,
}

#: Used explicitly: the decimal context is the process's, and not ours.
_EXACT = Context(prec=100)
_PRICE = Context(prec=28)

Fact: TypeAlias = tuple[type[BaseEvent], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Told:
    """What the events of one intent have told so far."""

    sequence: int = 0
    state: State = State.PENDING
    exchange_order_id: str | None = None
    stalled: bool = False
    finished: bool = False
    filled: Decimal = ZERO  # what the fill events add up to
    filled_quote: Decimal = ZERO
    executed: Decimal = ZERO  # how much of it the exchange's own executions make up; the rest was inferred
    trade_ids: frozenset[str] = frozenset()


def derive(told: Told, intent: IntentObject, *, seen_time: datetime, after_gap: bool = False) -> tuple[list[BaseEvent], Told]:
    """The events that bring their hearer from `told` to the intent's status, and what has been told then."""
    status = intent.status
    conditions = {condition.type: condition for condition in status.conditions}
    counted = _count(told, status)
    facts = [*_placed(told, status), *counted.facts, *_moved(told, status, conditions), *_ended(told, intent, conditions)]
    sequence = told.sequence + len(facts) + after_gap
    if after_gap:
        facts.append((OrderResynced, {"order": order_state(intent, sequence=sequence, age_seconds=0)}))
    events = _numbered(facts, told.sequence, intent, seen_time, after_gap)
    return events, Told(
        sequence=sequence,
        state=status.state,
        exchange_order_id=status.exchange_order_id or told.exchange_order_id,
        stalled=stalled(intent),
        finished=intent.finished,
        filled=counted.filled,
        filled_quote=status.filled_quote_quantity or ZERO,
        executed=counted.executed,
        trade_ids=told.trade_ids | counted.trade_ids,
    )


def checkpoint(intent: IntentObject, *, seen_time: datetime) -> tuple[list[BaseEvent], Told]:
    """For an intent that was there before its hearer: where it stands, and nothing of how it came there."""
    _, told = derive(Told(), intent, seen_time=seen_time)
    fact: Fact = (OrderResynced, {"order": order_state(intent, sequence=1, age_seconds=0)})
    return _numbered([fact], 0, intent, seen_time, False), replace(told, sequence=1)


def deleted(told: Told, intent: IntentObject, *, seen_time: datetime, after_gap: bool = False) -> tuple[list[BaseEvent], Told]:
    """For an intent that is gone; `intent` is the last that was seen of it."""
    fact: Fact = (OrderDeleted, {"state": intent.status.state, "finished": intent.finished})
    return _numbered([fact], told.sequence, intent, seen_time, after_gap), Told(sequence=told.sequence + 1)


def _numbered(facts: Iterable[Fact], after: int, intent: IntentObject, seen_time: datetime, after_gap: bool) -> list[BaseEvent]:
    common = {"intent_id": intent.name, "symbol_id": intent.spec.symbol, "seen_time": seen_time, "after_gap": after_gap}
    return [kind(sequence=number, **common, **values) for number, (kind, values) in enumerate(facts, after + 1)]


def _placed(told: Told, status: OrderIntentStatus) -> Iterator[Fact]:
    """Only an order that the exchange has, or had, is given an id by it."""
    if status.exchange_order_id is not None and status.exchange_order_id != told.exchange_order_id:
        kind = OrderAccepted if told.exchange_order_id is None else OrderReplaced
        yield kind, {"exchange_order_id": status.exchange_order_id, "client_order_id": status.client_order_id}


def _moved(told: Told, status: OrderIntentStatus, conditions: Mapping[str, Condition]) -> Iterator[Fact]:
    state = status.state
    if state is told.state:
        return
    why = conditions.get("Ready")
    reason, message = (why.reason, why.message) if why is not None else ("", "")
    if state is State.UNKNOWN:
        yield OrderOutcomeUnknown, {"message": message}
    elif state in ENDS:
        yield ENDS[state], {"reason": reason, "message": message, "settled": status.completion_time is not None}
    elif state in WORKING and (told.state in ENDS or told.state is State.FILLED):
        yield OrderReopened, {"state": state}


def _ended(told: Told, intent: IntentObject, conditions: Mapping[str, Condition]) -> Iterator[Fact]:
    status = intent.status
    if stalled(intent) and not told.stalled:
        yield OrderStalled, {"reason": conditions["Stalled"].reason, "message": conditions["Stalled"].message}
    if intent.finished and not told.finished:
        why = conditions.get("Ready")
        yield (
            OrderFinished,
            {
                "state": status.state,
                "succeeded": holds(conditions.get("Succeeded")),
                "reason": why.reason if why is not None else "",
                "message": why.message if why is not None else "",
                "filled_quantity": status.filled_quantity or ZERO,
                "average_price": status.average_price,
                "fees": fees(status),
            },
        )


def stalled(intent: IntentObject) -> bool:
    """Whether it goes no further until a person does something."""
    return not intent.finished and any(condition.type == "Stalled" and holds(condition) is True for condition in intent.status.conditions)


# ── Fills ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class _Counted:
    facts: list[Fact]
    filled: Decimal
    executed: Decimal
    trade_ids: frozenset[str]


def _count(told: Told, status: OrderIntentStatus) -> _Counted:
    """The cumulative quantity counts; executions explain it.

    An execution that is new here either raises the total or explains what an inferred fill had raised it by. Which of them do what can't be known, only
    how much: the earlier ones are taken to explain, the later ones to raise. What the total has beyond all executions that were ever listed (status lists
    the last 20) is told as an inferred fill.
    """
    filled = status.filled_quantity or ZERO
    facts: list[Fact] = []
    if filled < told.filled:
        facts.append((OrderFillReversed, {"quantity": _EXACT.subtract(told.filled, filled), "filled_quantity": filled}))
    before, executed_before = min(told.filled, filled), min(told.executed, filled)
    listed = fills(status)
    fresh = [fill for fill in listed if not fill.inferred and fill.trade_id not in told.trade_ids]
    executed = min(filled, _sum(executed_before, *(fill.quantity for fill in fresh)))
    growth = _EXACT.subtract(filled, before)
    inferred_before, inferred_now = _EXACT.subtract(before, executed_before), _EXACT.subtract(filled, executed)
    inferred = min(growth, max(ZERO, _EXACT.subtract(inferred_now, inferred_before)))

    raised = _shares(fresh, _EXACT.subtract(growth, inferred))
    tellable = list(zip(fresh, raised, strict=True))
    if inferred > 0:
        explained_quote = _sum(ZERO, *(_EXACT.multiply(share, fill.price) for fill, share in tellable))
        tellable.append((_infer(told, status, listed, inferred, explained_quote), inferred))
    facts += _executions(tellable, before, status, told.state)
    return _Counted(facts, filled, executed, frozenset(fill.trade_id for fill in fresh))


def _shares(fresh: list[Fill], total: Decimal) -> list[Decimal]:
    """By how much each raises the total: the last ones wholly, an earlier one for the rest."""
    shares: list[Decimal] = []
    for fill in reversed(fresh):
        shares.append(min(fill.quantity, total))
        total = _EXACT.subtract(total, shares[-1])
    return shares[::-1]


def _executions(tellable: list[tuple[Fill, Decimal]], filled: Decimal, status: OrderIntentStatus, told_state: State) -> Iterator[Fact]:
    full = status.state is State.FILLED
    last = max((at for at, (_, share) in enumerate(tellable) if share > 0), default=None)
    for at, (fill, share) in enumerate(tellable):
        filled = _EXACT.add(filled, share)
        if share == 0:
            yield OrderFillExplained, {"fill": fill}
        elif full and at == last:
            yield OrderFilled, {"fill": fill, "quantity": share, "filled_quantity": filled, "average_price": status.average_price}
        else:
            yield OrderPartiallyFilled, {"fill": fill, "quantity": share, "filled_quantity": filled}
    if full and last is None and told_state is not State.FILLED:
        yield OrderFilled, {"quantity": ZERO, "filled_quantity": filled, "average_price": status.average_price}


def _infer(told: Told, status: OrderIntentStatus, listed: Iterable[Fill], quantity: Decimal, explained_quote: Decimal) -> Fill:
    """A stand-in: the operator's own, where it made one; else one with the price that the totals give."""
    theirs = next((fill for fill in listed if fill.inferred), None)
    if theirs is not None:
        return theirs.model_copy(update={"quantity": quantity})
    quote = _EXACT.subtract(_EXACT.subtract(status.filled_quote_quantity or ZERO, told.filled_quote), explained_quote)
    price = _PRICE.divide(quote, quantity) if quote > 0 else status.average_price or ZERO
    return Fill(trade_id=f"unlisted-{plain(status.filled_quantity or ZERO)}", quantity=quantity, price=price, time=None, inferred=True)


def _sum(start: Decimal, *rest: Decimal) -> Decimal:
    for value in rest:
        start = _EXACT.add(start, value)
    return start
