"""How it ends: cancelled, settled, let go (rules 9, 11)."""

from __future__ import annotations

from decimal import Decimal

from exchange_kernel.api import DeletionPolicy, ModifyPolicy, OrderState, TimeInForce
from exchange_kernel.core.actions import Cancel, Decision, Delete, Lookup, Release, Settle, Verdict, Waiting
from exchange_kernel.core.answers import OrderStatus
from exchange_kernel.core.checks.belonging import release
from exchange_kernel.core.checks.changing import replace_in_one_request
from exchange_kernel.core.checks.finding import NOT_LISTED, look_for_the_tail, no_word
from exchange_kernel.core.checks.pace import CANCEL_RETRY_MS, ask_at, cancel_retry_ms, due
from exchange_kernel.core.facts import Facts
from exchange_kernel.core.money import ZERO, subtract
from exchange_kernel.core.order import OrderRecord
from exchange_kernel.core.sending import CancelRecord, SendStage

MARKET_GONE = Waiting(
    "MarketGone",
    "The exchange lists the order's market no more. The order is followed for as long as the exchange answers about it, its fills count, and it can't be "
    "changed. To end it, set spec.desiredState: Canceled or delete this object; if the exchange forgets it, say what became of it with "
    "`kubectl exchange resolve`.",
    person=True,
)
ABSENT_ORDER = Waiting(
    "AbsentOrderFound", "The exchange has an order that was called Absent, beside the one sent in its place: it is cancelled, and what filled of it counts."
)


def already_finished(facts: Facts) -> Decision | None:
    """11: a settled end never moves; what is left is to let the object go."""
    if not facts.order.finished:
        return None
    if facts.seen.group is not None and not facts.seen.group.recorded:
        return Decision()  # its group has not written this end down yet: an object that went before would take its fills along
    return after_the_end(facts.order, facts.now.wall_ms)


def after_the_end(order: OrderRecord, wall_ms: int) -> Decision:
    """What is left to do for a finished intent. It needs nothing but the record: neither the exchange nor an account."""
    if order.gone:
        return Decision()
    if order.finalizer:
        return Decision(Release())
    ttl, end = order.spec.ttl_seconds_after_finished, order.status.completion_time
    if ttl is None or end is None or order.deleting:
        return Decision()
    left_ms = int(end.timestamp() * 1000) + ttl * 1000 - wall_ms
    return Decision(Delete()) if left_ms <= 0 else Decision(again_ms=left_ms)


ACCOUNT_NOT_FOUND = Waiting(
    "AccountNotFound", "No ExchangeAccount of the name in spec.accountRef is in this namespace: create it, or correct the name.", person=True
)


def without_account(order: OrderRecord, waiting: Waiting, *, sent: bool) -> Decision:
    """11: what is decided of an intent whose account can't be used. Nothing can be proved without it; whoever deletes it is told the two ways out.

    `sent`: whether this process remembers sending anything for the intent.
    """
    if not order.deleting:
        return Decision(waiting=waiting)
    if order.spec.deletion_policy is DeletionPolicy.ORPHAN or (waiting is ACCOUNT_NOT_FOUND and not sent and _never_had_an_account(order)):
        return release(order)
    message = (
        "Its account can't be used, so nothing proves that no order of it is live: make the account usable again (its conditions say how), or set "
        "spec.deletionPolicy: Orphan to let this object go and leave at the exchange what is there."
    )
    return Decision(waiting=Waiting(waiting.reason, message, person=True))


def _never_had_an_account(order: OrderRecord) -> bool:
    """3: whether nothing can have been sent: an account stays for as long as an intent of its own is unfinished, and this one tells of none.

    A key may be that of an order which an earlier object sent.
    """
    return order.status.account is None and not order.attempts and order.spec.idempotency_key is None and order.status.state is OrderState.PENDING


def leave_alone_if_orphaned(facts: Facts) -> Decision | None:
    """11: with deletionPolicy Orphan the object goes and the order stays."""
    if not (facts.order.deleting and facts.spec.deletion_policy is DeletionPolicy.ORPHAN):
        return None
    return release(facts.order)


def cancel_if_unwanted(facts: Facts) -> Decision | None:
    """9: cancel what may exist, before anything that explains, refreshes or settles.

    Never blocked by suspend, trading mode, risk or policies, nor by a reading under way. An order that replaces another unwants it too (10).
    """
    if not facts.adopted or (facts.order.deleting and facts.spec.deletion_policy is DeletionPolicy.ORPHAN):
        return None
    return _cancel(facts) or _cancel_unsettled(facts)


def cancel_or_wait(facts: Facts) -> Decision | None:
    """9, 10: cancel what a key found, and say of what is being cancelled that it is."""
    if (cancel := _cancel(facts)) is not None:
        return cancel
    for number in facts.numbers:
        if _to_be_cancelled(facts, number):
            record, operation = facts.seen.cancels.get(number, CancelRecord()), _operation(facts, number)
            waiting = _cancel_refused(record) or (ABSENT_ORDER if facts.contradicted(number) and not facts.unwanted else None)
            return Decision(operation=operation, waiting=waiting, again_ms=None if record.in_flight else CANCEL_RETRY_MS)
    return None


def _cancel_refused(record: CancelRecord) -> Waiting | None:
    """What to say of a refused cancel, until another answer to it comes: said at each look, so that it is written once."""
    return Waiting("CancelRefused", f"The exchange refused the cancel: {record.refusal}.") if record.refusal else None


def _cancel(facts: Facts) -> Decision | None:
    """The next request that ends an order known to be live, if one is due."""
    for number in facts.numbers:
        record = facts.seen.cancels.get(number, CancelRecord())
        if not _to_be_cancelled(facts, number) or record.in_flight:
            continue
        operation, reading = _operation(facts, number), number in facts.seen.reading
        if record.unknown and not reading and (facts.seen.looked_up_ms.get(number) or 0) < (record.asked_ms or 0):
            return Decision(Lookup(number), operation=operation, waiting=_cancel_refused(record))
        if (replaced := replace_in_one_request(facts, number)) is not None:
            return replaced
        if due(record.asked_ms, facts.now.venue_ms, cancel_retry_ms(facts, number)):
            return Decision(Cancel(number), operation=operation)
    return None


def _cancel_unsettled(facts: Facts) -> Decision | None:
    """9: a cancel of a send whose outcome no reading has told yet. It proves nothing: the order is looked up all the same."""
    if not facts.unwanted or facts.never_sent:
        return None
    for number in facts.numbers or [1]:
        send, record = facts.send(number), facts.seen.cancels.get(number, CancelRecord())
        looked = number in facts.seen.reading or number in facts.seen.looked_up_ms  # most are found by the first look, and are settled then
        if facts.settled(number) or record.in_flight or not looked or not facts.can_be_named(number):
            continue
        if send is not None and send.stage is SendStage.IN_FLIGHT:
            continue
        if due(record.asked_ms, facts.now.venue_ms, cancel_retry_ms(facts, number)):
            return Decision(Cancel(number))
    return None


def _to_be_cancelled(facts: Facts, number: int) -> bool:
    return facts.live(number) and (facts.unwanted or number < facts.numbers[-1])


def _operation(facts: Facts, number: int) -> str:
    return "Replacing" if number < facts.numbers[-1] and not facts.unwanted and not facts.contradicted(number) else "Canceling"


LET_GO = Verdict(OrderState.CANCELED, "CanceledAsAsked", "Canceled for its group: other exits closed the rest of the position.")


def finish_when_settled(facts: Facts) -> Decision | None:
    """11: an end is written as the end only when nothing can change it; until then it is read again."""
    if not facts.numbers:
        return None
    for number in facts.numbers:
        if facts.live(number):
            return None
    for number in facts.numbers:
        if not facts.final(number):
            read_at = ask_at(facts, number, facts.settles_from(number))
            waiting = (no_word(facts) or NOT_LISTED) if facts.never_listed(number) else None
            if facts.now.venue_ms >= read_at:
                return Decision(Settle(number), operation=facts.operation, waiting=waiting)
            return Decision(operation=facts.operation, waiting=waiting, again_ms=read_at - facts.now.venue_ms)
    if (tail := look_for_the_tail(facts)) is not None:
        return tail
    last = facts.numbers[-1]
    remaining = facts.remaining()
    status = facts.end_of(last)
    if status is OrderStatus.FILLED and remaining is None and not fell_short(facts):
        return Decision(verdict=_filled(facts))
    if remaining is not None and (remaining <= 0 or _only_dust(facts, remaining)):
        return Decision(verdict=LET_GO if _let_go(facts, last) else _filled(facts))
    if facts.unwanted:
        return Decision(verdict=ended_as_wanted(facts))
    if status is OrderStatus.FILLED and fell_short(facts):
        return Decision(verdict=ended_by_exchange(facts, status))
    if facts.nothing_at_exchange(last) and not facts.refused(last):
        return None  # not sent yet, or proved absent: the checks below may send it
    if facts.offered_again(last) or facts.goes_on(last):
        return None
    if facts.refused(last):
        send = facts.send(last)
        recorded = facts.recorded(last)
        why = send.reason if send is not None else (recorded.reason or "") if recorded is not None else ""
        if last > 1 and not facts.submits_first:
            said = f"The order was cancelled for a change, and the exchange refused its replacement: {why}. The rest is not at the exchange."
            return Decision(verdict=Verdict(OrderState.REJECTED, "ReplacementRefused", said))
        return Decision(verdict=Verdict(OrderState.REJECTED, "RejectedByExchange", f"The exchange refused the order: {why}."))
    if status is OrderStatus.FILLED:
        # The target grew after this attempt was sent and before the change was made: the rest is sent as a change, if changes are wanted, and no list is whole.
        listed = facts.seen.group is not None and facts.seen.group.native
        return None if facts.spec.modify_policy is ModifyPolicy.AMEND_OR_REPLACE and not listed else Decision(verdict=_filled(facts))
    return Decision(verdict=ended_by_exchange(facts, status))


def _let_go(facts: Facts, last: int) -> bool:
    """Return whether an exit's rest was cancelled, as others closed the position, but stands in spec.

    It is not filled then: the group's write of its smaller size has not arrived.
    """
    asked, most = facts.spec.quantity, facts.closing.most if facts.closing is not None else None
    if asked is None or not most or most > facts.filled_total() or facts.end_of(last) is OrderStatus.FILLED:
        return False
    rest = subtract(asked, facts.filled_total())
    return rest > 0 and not _only_dust(facts, rest)


def ended_as_wanted(facts: Facts) -> Verdict:
    """The end of an order that was to go: somebody's wish comes before a time that is up."""
    limit = facts.overdue if not facts.asked_away else None
    return limit.end if limit is not None else Verdict(OrderState.CANCELED, "CanceledAsAsked", "Canceled as asked.")


def _only_dust(facts: Facts, remaining: Decimal) -> bool:
    """Whether what is left after fills can't be ordered: less than one step of the market, as it was when the order was asked for."""
    recorded = facts.order.status.market
    step = facts.grid.quantity_step if facts.grid is not None else recorded.quantity_step if recorded is not None else None
    return step is not None and remaining < step and facts.filled_total() > 0


def fell_short(facts: Facts) -> bool:
    """Whether an order that the exchange calls filled is not, as where it took executions back. What spec asks for beyond the order itself is a change."""
    last = facts.numbers[-1]
    asked = facts.quantity_of(last)
    if facts.spec.quantity is None:
        return facts.busted(last) > 0
    short = subtract(asked, facts.filled(last).quantity) if asked is not None else ZERO
    return short > 0 and not _only_dust(facts, short) and facts.matches(last)


def _filled(facts: Facts) -> Verdict:
    total = facts.filled_total()
    if facts.spec.quantity is not None and total > facts.spec.quantity:
        return Verdict(OrderState.FILLED, "Overfilled", "Filled beyond the quantity asked for: see status.fills.")
    return Verdict(OrderState.FILLED, "Filled", "Filled.")


def ended_by_exchange(facts: Facts, status: OrderStatus | None) -> Verdict:
    """Canceled or Expired by cause, never by the venue's word for it: one venue expires what another cancels."""
    partly = facts.filled_total() > 0
    immediate = facts.awake and (facts.spec.price is None or facts.spec.time_in_force in (TimeInForce.IOC, TimeInForce.FOK))
    if status is OrderStatus.FILLED and facts.busted(facts.numbers[-1]) > 0:
        said = "The exchange took executions back after it had filled the order. What is missing is not sent again: create a new OrderIntent for it."
        return Verdict(OrderState.CANCELED, "FillTakenBack", said)
    if status is OrderStatus.REJECTED:
        return Verdict(OrderState.REJECTED, "RejectedByExchange", "The exchange refused the order after it had taken it.")
    if immediate:
        reason = "PartiallyFilled" if partly else "NotFilled"
        return Verdict(OrderState.CANCELED, reason, "Filled in part; the rest was not to be had at once." if partly else "Nothing was to be had at once.")
    if status is OrderStatus.EXPIRED or _ran_out(facts):
        return Verdict(OrderState.EXPIRED, "Expired", "Expired at the exchange" + (", filled in part." if partly else "."))
    return Verdict(OrderState.CANCELED, "CanceledByExchange", "Canceled at the exchange, not by this resource: it is not sent again.")


def _ran_out(facts: Facts) -> bool:
    """Whether a good-till-date order ended when its time came, whatever word the venue has for it."""
    if facts.spec.expire_time is None:
        return False
    found = facts.seen.orders.get(facts.numbers[-1])
    ended_ms = found.update_time_ms if found is not None and found.update_time_ms is not None else facts.now.venue_ms
    return ended_ms >= int(facts.spec.expire_time.timestamp() * 1000)


def leave_what_is_at_the_exchange(facts: Facts) -> Decision | None:
    """What follows is for orders that are not at the exchange: no deadline, limit or mode touches one that is."""
    if not facts.numbers or facts.nothing_at_exchange(facts.numbers[-1]):
        return None
    if any(facts.seen.duplicates.values()):
        message = "The exchange has more than one order under one id of this intent; all are counted and cancelled together. Look at them at the exchange."
        return Decision(waiting=Waiting("Duplicated", message, person=True))
    if any(facts.shows_less(number) for number in facts.numbers):
        message = "The exchange shows less filled than it did before, and has not said that it took an execution back: compare status.fills with its records."
        return Decision(waiting=Waiting("FillsDisagree", message, person=True))
    return Decision(waiting=MARKET_GONE if facts.market_gone else None)


def cancel_before_the_send(facts: Facts) -> Decision | None:
    """9: what was never sent, or is proved absent, ends as Canceled without the exchange."""
    if facts.unwanted:
        before = Verdict(OrderState.CANCELED, "CanceledAsAsked", "Canceled before it was sent.")
        return Decision(verdict=before if facts.asked_away else ended_as_wanted(facts))
    return None
