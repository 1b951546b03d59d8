"""What a user is told of an order or an account: the Events between one committed status and the next (rule 8). Pure.

An unchanged status gives none, so no Event is told twice, whatever restarts in between. Writing them is `kube/events.py`'s.
Notes are stable text, without ids, times and quantities: what repeats is then one Event with a count.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal

from exchange_kernel.api import AttemptStage, Condition, ExchangeAccountStatus, Operation, OrderIntentStatus, OrderState
from exchange_kernel.core.money import ZERO, add
from exchange_kernel.core.resolution import CONTRADICTED, RESOLVED, is_told

NORMAL, WARNING = "Normal", "Warning"


@dataclass(frozen=True, slots=True)
class Event:
    type: str  # Normal | Warning
    reason: str  # CamelCase, one word for programs
    note: str  # stable text


#: Every reason there is for an OrderIntent, with what was being done.
ORDER_ACTIONS: Mapping[str, str] = {
    "Submitted": "Submit",
    "PartiallyFilled": "Fill",
    "FillInferred": "Fill",
    "FillTakenBack": "Fill",
    "Replacing": "Change",
    "Replaced": "Change",
    "Amended": "Change",
    "ReplacementRefused": "Change",
    "ChangeRefused": "Change",
    "BelowMinimum": "Change",
    "ModifyNotPermitted": "Change",
    "CancelRefused": "Cancel",
    "OutcomeUnknown": "Locate",
    "Found": "Locate",
    "ProvenAbsent": "Locate",
    "Resolved": "Locate",
    "AbsentOrderFound": "Locate",
    "Stalled": "Wait",
    "Filled": "Finish",
    "Overfilled": "Finish",
    "Canceled": "Finish",
    "Expired": "Finish",
    "Rejected": "Finish",
    "Denied": "Finish",
}

SUBMITTED = Event(NORMAL, "Submitted", "The exchange has the order.")
PARTIALLY_FILLED = Event(NORMAL, "PartiallyFilled", "More of the order was filled: see status.filledQuantity.")
FILL_INFERRED = Event(NORMAL, "FillInferred", "The order's total shows a fill that no execution explains yet: it counts, and its price may still be corrected.")
FILL_TAKEN_BACK = Event(WARNING, "FillTakenBack", "The exchange took an execution back: see busted quantities in status.attempts.")
REPLACING = Event(NORMAL, "Replacing", "The order is cancelled at the exchange, to be placed anew as spec says.")
REPLACED = Event(NORMAL, "Replaced", "The exchange has the order as spec says, in place of the one before.")
AMENDED = Event(NORMAL, "Amended", "The exchange changed the order in place, as spec says.")
OUTCOME_UNKNOWN = Event(WARNING, "OutcomeUnknown", "Whether the order reached the exchange is being found out. Nothing is sent meanwhile.")
FOUND = Event(NORMAL, "Found", "The order was found at the exchange.")
PROVEN_ABSENT = Event(NORMAL, "ProvenAbsent", "It is proved that the order did not reach the exchange.")
TOLD = Event(NORMAL, "Resolved", "A person told what became of the order, in the annotation exchange-kernel.io/resolve: it counts as told.")
ABSENT_ORDER_FOUND = Event(
    WARNING, "AbsentOrderFound", "The exchange has an order that was called Absent: it is cancelled if it is open, and what filled of it counts."
)

#: Reasons of the condition Ready that tell of a no to what spec asks for, though no person may be needed.
_REFUSALS = frozenset({"ReplacementRefused", "ChangeRefused", "BelowMinimum", "ModifyNotPermitted", "CancelRefused"})


def of_order(old: OrderIntentStatus, new: OrderIntentStatus) -> list[Event]:
    """What there is to tell of an order whose status was `old` and is now written as `new`, in the order in which it is read best."""
    return [event for tell in _TELL for event in tell(old, new)]


def _located(old: OrderIntentStatus, new: OrderIntentStatus) -> Iterator[Event]:
    if _contradicted(new) - _contradicted(old):
        yield ABSENT_ORDER_FOUND
    if told := told_attempts(new) - told_attempts(old):
        yield from _told(attempt.reason for attempt in new.attempts if attempt.number in told)
    elif old.state is OrderState.UNKNOWN and new.state is not OrderState.UNKNOWN:
        if _reached(new) - _reached(old):
            yield FOUND
        elif _numbers(new, AttemptStage.ABSENT) - _numbers(old, AttemptStage.ABSENT):
            yield PROVEN_ABSENT


def _told(reasons: Iterable[str | None]) -> Iterator[Event]:
    """With the name of who told it, where it is known."""
    for reason in sorted({reason for reason in reasons if reason is not None}):
        yield TOLD if reason == RESOLVED else Event(NORMAL, "Resolved", f"{reason.removesuffix('.')}: it counts as told.")


def _at_the_exchange(old: OrderIntentStatus, new: OrderIntentStatus) -> Iterator[Event]:
    if max(_reached(new), default=0) > max(_reached(old), default=0):  # an earlier attempt may be listed again, which is no news
        if _reached(old):
            yield REPLACED
        elif old.state is not OrderState.UNKNOWN:
            yield SUBMITTED


def _changes(old: OrderIntentStatus, new: OrderIntentStatus) -> Iterator[Event]:
    if new.operation is Operation.REPLACING and old.operation is not Operation.REPLACING:
        yield REPLACING
    before = {attempt.number: attempt for attempt in old.attempts}
    for attempt in new.attempts:
        target = before[attempt.number].amend if attempt.number in before else None
        if target is not None and attempt.amend is None and (attempt.quantity, attempt.price) == (target.quantity, target.price):
            yield AMENDED


def _fills(old: OrderIntentStatus, new: OrderIntentStatus) -> Iterator[Event]:
    known = {entry.trade_id for entry in old.fills}
    if any(entry.inferred and entry.trade_id not in known for entry in new.fills):
        yield FILL_INFERRED
    whole = new.state is OrderState.FILLED and (new.completion_time is not None or not new.remaining_quantity)
    if (new.filled_quantity or ZERO) > (old.filled_quantity or ZERO) and not whole:
        yield PARTIALLY_FILLED
    if _busted(new) > _busted(old):
        yield FILL_TAKEN_BACK


def _unknown(old: OrderIntentStatus, new: OrderIntentStatus) -> Iterator[Event]:
    if new.state is OrderState.UNKNOWN and old.state is not OrderState.UNKNOWN:
        yield OUTCOME_UNKNOWN


def _waiting(old: OrderIntentStatus, new: OrderIntentStatus) -> Iterator[Event]:
    """Waiting that needs a person, and refusals: each once, until the reason is another."""
    if new.completion_time is not None:
        return
    stalled, before = _condition(new.conditions, "Stalled"), _condition(old.conditions, "Stalled")
    if stalled is not None and stalled.status == "True":
        if before is None or (before.status, before.reason) != (stalled.status, stalled.reason):
            yield Event(WARNING, "Stalled", f"{stalled.reason}: {stalled.message}")
        return
    ready, before = _condition(new.conditions, "Ready"), _condition(old.conditions, "Ready")
    if ready is not None and ready.reason in _REFUSALS and (before is None or before.reason != ready.reason):
        yield Event(WARNING, ready.reason, ready.message)


def _end(old: OrderIntentStatus, new: OrderIntentStatus) -> Iterator[Event]:
    """11: an end is told once it is settled."""
    finished, succeeded = _condition(new.conditions, "Finished"), _condition(new.conditions, "Succeeded")
    if new.completion_time is None or old.completion_time is not None or finished is None or succeeded is None:
        return
    overfilled = finished.reason == "Overfilled"
    kind = NORMAL if succeeded.status == "True" and not overfilled else WARNING
    yield Event(kind, "Overfilled" if overfilled else str(new.state), finished.message)


_TELL: tuple[Callable[[OrderIntentStatus, OrderIntentStatus], Iterator[Event]], ...] = (
    _located,
    _at_the_exchange,
    _changes,
    _fills,
    _unknown,
    _waiting,
    _end,
)


def told_attempts(status: OrderIntentStatus) -> set[int]:
    """The attempts of which a person told what became of them."""
    return {attempt.number for attempt in status.attempts if is_told(attempt.reason)}


def _contradicted(status: OrderIntentStatus) -> set[int]:
    """The attempts that a person had called absent, and the exchange has."""
    return {attempt.number for attempt in status.attempts if attempt.reason == CONTRADICTED}


def _reached(status: OrderIntentStatus) -> set[int]:
    """The attempts that the exchange is known to have taken, by its own word."""
    return _numbers(status, AttemptStage.LIVE, AttemptStage.ENDED) - told_attempts(status)


def _numbers(status: OrderIntentStatus, *stages: AttemptStage) -> set[int]:
    return {attempt.number for attempt in status.attempts if attempt.stage in stages}


def _busted(status: OrderIntentStatus) -> Decimal:
    return add(*(attempt.busted_quantity or ZERO for attempt in status.attempts))


def _condition(conditions: Iterable[Condition], kind: str) -> Condition | None:
    return next((condition for condition in conditions if condition.type == kind), None)


# ── Accounts ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

READY = Event(NORMAL, "Ready", "The account is held by an operator, and its orders are read from the exchange.")
SESSION_LOST = "SessionLost"  # its note says why, as the session knows it
ORPHAN_ORDER = Event(
    WARNING, "OrphanOrder", "The exchange has an open order that this installation placed and no OrderIntent explains: see spec.orphanPolicy and the log."
)
TOLD_ORDER_OPEN = Event(
    WARNING, "AbsentOrderFound", "The exchange has an open order that was told to be absent or ended, of an OrderIntent that has ended: it is cancelled."
)
LATE_FILL = Event(
    WARNING, "LateFill", "An order was filled that no OrderIntent follows any more: it counts in status.unattributedFills, and the audit journal says which."
)

#: Every reason there is for an ExchangeAccount.
ACCOUNT_REASONS = frozenset({"Ready", "NotReady", "CredentialsInvalid", SESSION_LOST, "OrphanOrder", "AbsentOrderFound", "LateFill"})


def of_account(old: ExchangeAccountStatus, new: ExchangeAccountStatus) -> list[Event]:
    """What there is to tell of an account whose status was `old` and is now written as `new`."""
    return [*_readiness(old, new), *_credentials(old, new)]


def _readiness(old: ExchangeAccountStatus, new: ExchangeAccountStatus) -> Iterator[Event]:
    ready, before = _condition(new.conditions, "Ready"), _condition(old.conditions, "Ready")
    if ready is None or (before is not None and before.status == ready.status):
        return
    if ready.status == "True":
        yield READY
    elif before is not None and before.status == "True":
        yield Event(WARNING, "NotReady", f"{ready.reason}: {ready.message}")


def _credentials(old: ExchangeAccountStatus, new: ExchangeAccountStatus) -> Iterator[Event]:
    valid, before = _condition(new.conditions, "CredentialsValid"), _condition(old.conditions, "CredentialsValid")
    if valid is not None and valid.status == "False" and (before is None or (before.status, before.reason) != (valid.status, valid.reason)):
        yield Event(WARNING, "CredentialsInvalid", valid.message)
