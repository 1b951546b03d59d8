"""What to do next for one order. Pure and total: any record, any sight of the world, gives one decision, and the same ones give the same.

The checks below are the policy, read top to bottom; each carries the number of the rule it keeps. Who carries a decision out is `reconcile/`.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from exchange_kernel.api import AmendQuantity, AttemptStage, DeletionPolicy, DriftPolicy, ModifyPolicy, OrderState, ReplaceKind, TimeInForce, TradingMode
from exchange_kernel.core import absence
from exchange_kernel.core.actions import (
    AddFinalizer,
    Amend,
    Cancel,
    Decision,
    Delete,
    Lookup,
    ProveAbsence,
    Release,
    Replace,
    Settle,
    Submit,
    Verdict,
    Waiting,
    WriteAhead,
    WriteAmend,
)
from exchange_kernel.core.answers import OrderStatus
from exchange_kernel.core.deadline import submit_deadline_passed
from exchange_kernel.core.facts import Facts
from exchange_kernel.core.market_rules import request_for, unacceptable
from exchange_kernel.core.money import ZERO
from exchange_kernel.core.order import Now, OrderRecord, Seen
from exchange_kernel.core.sending import CancelRecord, SendRecord, SendStage, Terms
from exchange_kernel.core.venue import OrderRequest

RETRY_MS = 1_000  # between repeated questions about one order
FUNDS_FREE_MS = 500  # before a replacement is offered again, doubled each time
CANCEL_RETRY_MS = 2_000  # between repeated cancels of one order
NOT_SENT = "It could not be sent yet: no connection to the exchange."
DRIFTED = "Somebody else changed the order at the exchange: write spec as the order is now, or set spec.driftPolicy: Enforce to have it changed back."
MODIFY_REJECTED = "spec.modifyPolicy is Reject: the order at the exchange stays as it was. Set AmendOrReplace, or put the old values back."
CANT_AMEND = "This exchange can't amend an order in place: set spec.modifyPolicy: AmendOrReplace, or put the old values back."
ANOTHER_ORDER = (
    "The exchange has an order of this idempotencyKey that differs in symbol, side, type or quantity, and nothing is done to it: use another key, or write "
    "spec as that order is."
)


def decide(order: OrderRecord, seen: Seen, now: Now) -> Decision:
    """What to do next for one order, from what is recorded, what was seen and what the venue can do. The first check with an opinion wins."""
    facts = Facts(order, seen, now)
    for check in CHECKS:
        if (decision := check(facts)) is not None:
            return decision
    return Decision()


def already_finished(facts: Facts) -> Decision | None:
    """11: a settled end never moves; what is left is to let the object go."""
    return after_the_end(facts.order, facts.now.wall_ms) if facts.order.finished else None


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


def without_account(order: OrderRecord, waiting: Waiting) -> Decision:
    """11: what is decided of an intent whose account can't be used. Nothing can be proved without it; whoever deletes it is told the two ways out."""
    if not order.deleting:
        return Decision(waiting=waiting)
    if order.spec.deletion_policy is DeletionPolicy.ORPHAN:
        return _release(order)
    message = (
        "Its account can't be used, so nothing proves that no order of it is live: make the account usable again (its conditions say how), or set "
        "spec.deletionPolicy: Orphan to let this object go and leave at the exchange what is there."
    )
    return Decision(waiting=Waiting(waiting.reason, message, person=True))


def leave_it_to_its_holder(facts: Facts) -> Decision | None:
    """2: an order that another intent has is that one's: this one sends nothing, and going away it takes nothing with it."""
    if facts.seen.holder is None:
        return None
    if facts.order.deleting:
        return _release(facts.order)
    why = (
        f"OrderIntent {facts.seen.holder} has the same idempotencyKey and holds its order: delete one of the two, or use another key."
        if facts.spec.idempotency_key is not None
        else f"This object's status was copied from OrderIntent {facts.seen.holder}, which holds its order: delete this one, and create it without status."
    )
    return Decision(waiting=Waiting("HeldByAnotherIntent", why, person=True))


def adopt_only_what_agrees(facts: Facts) -> Decision | None:
    """2: an order found by a key that is not the one spec asks for is never taken for it: the key was used for something else."""
    if not facts.anothers:
        return None
    return _release(facts.order) if facts.order.deleting else Decision(waiting=Waiting("AnotherOrder", ANOTHER_ORDER, person=True))


def _release(order: OrderRecord) -> Decision:
    return Decision(Release()) if order.finalizer and not order.gone else Decision()


def right_account_only(facts: Facts) -> Decision | None:
    """13: on another account at the exchange "not found" is honest and means nothing, so nothing is asked, sent or let go there."""
    pinned = facts.order.status.account
    if pinned is None or pinned.fingerprint == facts.seen.account.fingerprint:
        return None
    message = "The account's credentials are of another account at the exchange than the one this order is on: put the old Secret back."
    return Decision(waiting=Waiting("AnotherAccount", message, person=True))


def settle_first(facts: Facts) -> Decision | None:
    """3: an order that is neither unsent nor recorded is looked up, and nothing else is done to it until it is Found or ProvenAbsent."""
    if facts.never_sent:
        return None
    for number in facts.numbers or [1]:
        if facts.settled(number):
            continue
        send = facts.send(number)
        if send is not None and send.stage is SendStage.IN_FLIGHT:
            return Decision()  # its answer wakes us
        return _locate(facts, number, send)
    if (tail := facts.unproved_tail) is not None:
        return _locate(facts, tail, None)
    return None


def _locate(facts: Facts, number: int, send: SendRecord | None) -> Decision:
    """5: cheap questions until E, then passes of all readings until found or proved absent."""
    venue, now_ms, quiet_ms = facts.seen.account.capabilities, facts.now.venue_ms, facts.quiet_from(number)
    evidence = facts.seen.evidence.get(number, absence.Evidence())
    asked_ms = facts.seen.looked_up_ms.get(number)
    if isinstance(facts.resolution, str):
        person = Waiting("ResolveNotReadable", facts.resolution, person=True)
        return Decision(Lookup(number), waiting=person) if _due(asked_ms, now_ms) else Decision(waiting=person, again_ms=RETRY_MS)
    if send is not None and send.stage is SendStage.EXISTS:
        person = Waiting(
            "OutcomeUnknown",
            "The exchange says that an order with this id exists, and does not show it: look for it at the exchange.",
            person=now_ms > quiet_ms + 30_000,
        )
        return Decision(Lookup(number), waiting=person) if _due(asked_ms, now_ms) else Decision(waiting=person, again_ms=RETRY_MS)
    if not venue.proves_absence:
        person = Waiting(
            "OutcomeUnknown", "This exchange can't prove that an order does not exist: look for it there by its client order id.", person=now_ms > quiet_ms
        )
        return Decision(Lookup(number), waiting=person) if _due(asked_ms, now_ms) else Decision(waiting=person, again_ms=RETRY_MS)
    if absence.beyond_retention(now_ms, facts.order.created_ms, venue):
        person = Waiting("OutcomeUnknown", "The exchange may have forgotten this order by now: look for it in the account's records.", person=True)
        return Decision(Lookup(number), waiting=person) if _due(asked_ms, now_ms, 60_000) else Decision(waiting=person, again_ms=60_000)
    waiting = Waiting("OutcomeUnknown", "Whether the order reached the exchange is being found out.")
    pass_at = absence.next_pass_at(evidence, quiet_ms, venue)
    if now_ms >= pass_at and _due(asked_ms, now_ms):
        return Decision(ProveAbsence(number), waiting=waiting)
    if now_ms < quiet_ms and _due(asked_ms, now_ms):
        return Decision(Lookup(number), waiting=waiting)
    return Decision(waiting=waiting, again_ms=max(1, min(RETRY_MS, max(pass_at - now_ms, (asked_ms or 0) + RETRY_MS - now_ms))))


def _due(asked_ms: int | None, now_ms: int, every_ms: int = RETRY_MS) -> bool:
    return asked_ms is None or now_ms - asked_ms >= every_ms


def _settle_due(facts: Facts, number: int) -> bool:
    now_ms = facts.now.venue_ms
    return _due(facts.seen.settle_read_ms.get(number), now_ms) and _due(facts.seen.looked_up_ms.get(number), now_ms)


def explain_fills(facts: Facts) -> Decision | None:
    """8: what the venue's total says beyond our trades is fetched, before any terminal word is believed and while the order lives."""
    for number in facts.numbers:
        if facts.filled(number).unexplained > 0 and _settle_due(facts, number):
            return Decision(Settle(number))
    return None


def refresh_unseen(facts: Facts) -> Decision | None:
    """8, 12: an order believed live that this session has not seen, or a complete list did not have, may have ended: ask for it."""
    for number in facts.numbers:
        unseen = facts.recorded_stage(number) is AttemptStage.LIVE and number not in facts.seen.orders
        if unseen or number in facts.seen.missing:
            if _due(facts.seen.looked_up_ms.get(number), facts.now.venue_ms):
                return Decision(Lookup(number))
            return Decision(again_ms=RETRY_MS)
    return None


def leave_alone_if_orphaned(facts: Facts) -> Decision | None:
    """11: with deletionPolicy Orphan the object goes and the order stays."""
    if not (facts.order.deleting and facts.spec.deletion_policy is DeletionPolicy.ORPHAN):
        return None
    return _release(facts.order)


def cancel_if_unwanted(facts: Facts) -> Decision | None:
    """9: never blocked by suspend, trading mode, risk or policies. An order that replaces another unwants it too (10)."""
    for number in facts.numbers:
        superseded = number < facts.numbers[-1]
        if not facts.live(number) or not (facts.unwanted or superseded):
            continue
        operation = "Replacing" if superseded and not facts.unwanted else "Canceling"
        record = facts.seen.cancels.get(number, CancelRecord())
        if record.in_flight:
            return Decision(operation=operation)
        if record.unknown and (facts.seen.looked_up_ms.get(number) or 0) <= (record.asked_ms or 0):
            return Decision(Lookup(number), operation=operation)
        if (replaced := _replace(facts, number)) is not None:
            return replaced
        if _due(record.asked_ms, facts.now.venue_ms, CANCEL_RETRY_MS):
            return Decision(Cancel(number), operation=operation)
        waiting = Waiting("CancelRefused", f"The exchange refused the cancel: {record.refusal}.") if record.refusal else None
        return Decision(operation=operation, waiting=waiting, again_ms=CANCEL_RETRY_MS)
    return None


def _replace(facts: Facts, number: int) -> Decision | None:
    """10: both in one request, where the venue minds what fills meanwhile and nothing has filled yet. Only as the next attempt was written ahead for."""
    send = facts.send(number + 1)
    if facts.unwanted or facts.seen.account.capabilities.replace is not ReplaceKind.FILL_AWARE or facts.filled_total() > 0 or facts.seen.duplicates.get(number):
        return None
    if send is None or send.stage is not SendStage.PREPARED or not send.quantity or _may_not_send(facts) is not None or facts.seen.market is None:
        return None
    request = request_for(facts.spec, facts.seen.ids[number + 1], facts.seen.market, quantity=facts.remaining())
    return Decision(Replace(number, request), operation="Replacing") if send.terms == Terms(request.quantity, request.price) else None


def finish_when_settled(facts: Facts) -> Decision | None:
    """11: an end is written as the end only when nothing can change it; until then it is read again."""
    if not facts.numbers:
        return None
    for number in facts.numbers:
        if facts.live(number):
            return None
    for number in facts.numbers:
        if not facts.final(number):
            ready_ms = facts.settles_from(number)
            if facts.now.venue_ms >= ready_ms and _settle_due(facts, number):
                return Decision(Settle(number), operation=_operation(facts))
            return Decision(
                operation=_operation(facts), again_ms=max(1, min(RETRY_MS, ready_ms - facts.now.venue_ms)) if ready_ms > facts.now.venue_ms else RETRY_MS
            )
    last = facts.numbers[-1]
    remaining = facts.remaining()
    status = facts.end_of(last)
    if status is OrderStatus.FILLED and (remaining is None or remaining <= 0 or _only_dust(facts, remaining)):
        return Decision(verdict=_filled(facts))
    if remaining is not None and remaining <= 0:
        return Decision(verdict=_filled(facts))
    if facts.unwanted:
        return Decision(verdict=Verdict(OrderState.CANCELED, "CanceledAsAsked", "Canceled as asked."))
    if facts.nothing_at_exchange(last) and not facts.refused(last):
        return None  # not sent yet, or proved absent: the checks below may send it
    if facts.offered_again(last):
        return None
    if facts.refused(last):
        send = facts.send(last)
        recorded = facts.recorded(last)
        why = send.reason if send is not None else (recorded.reason or "") if recorded is not None else ""
        if last > 1:
            said = f"The order was cancelled for a change, and the exchange refused its replacement: {why}. The rest is not at the exchange."
            return Decision(verdict=Verdict(OrderState.REJECTED, "ReplacementRefused", said))
        return Decision(verdict=Verdict(OrderState.REJECTED, "RejectedByExchange", f"The exchange refused the order: {why}."))
    if status is OrderStatus.FILLED:
        # The target grew after this attempt was sent and before the change was made: the rest is sent as a change, if changes are wanted.
        return None if facts.spec.modify_policy is ModifyPolicy.AMEND_OR_REPLACE else Decision(verdict=_filled(facts))
    return Decision(verdict=_ended_by_exchange(facts, status))


def _operation(facts: Facts) -> str | None:
    if facts.unwanted:
        return "Canceling"
    return "Replacing" if facts.numbers and facts.nothing_at_exchange(facts.numbers[-1]) and len(facts.numbers) > 1 else None


def _only_dust(facts: Facts, remaining: Decimal) -> bool:
    """Whether what is left can't be ordered: less than one step of the market."""
    step = facts.seen.market.quantity_step if facts.seen.market is not None else None
    return step is not None and remaining < step


def _filled(facts: Facts) -> Verdict:
    total = facts.filled_total()
    if facts.spec.quantity is not None and total > facts.spec.quantity:
        return Verdict(OrderState.FILLED, "Overfilled", "Filled beyond the quantity asked for: see status.fills.")
    return Verdict(OrderState.FILLED, "Filled", "Filled.")


def _ended_by_exchange(facts: Facts, status: OrderStatus | None) -> Verdict:
    """Canceled or Expired by cause, never by the venue's word for it: one venue expires what another cancels."""
    immediate = facts.spec.type == "Market" or facts.spec.time_in_force in (TimeInForce.IOC, TimeInForce.FOK)
    partly = facts.filled_total() > 0
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
    return Decision()


def cancel_before_the_send(facts: Facts) -> Decision | None:
    """9: what was never sent, or is proved absent, ends as Canceled without the exchange."""
    if facts.unwanted:
        return Decision(verdict=Verdict(OrderState.CANCELED, "CanceledAsAsked", "Canceled before it was sent."))
    return None


def settle_amend(facts: Facts) -> Decision | None:
    """10: an amend of which it is not known whether it was made is found out before the next change: it may arrive until its window closes (H24)."""
    if not facts.numbers or facts.amending(number := facts.numbers[-1]) is None:
        return None
    record, now_ms, quiet_ms = facts.seen.amends.get(number), facts.now.venue_ms, facts.amend_quiet_from(number)
    if record is not None and record.stage in (SendStage.PREPARED, SendStage.NOT_SENT):
        return None
    if record is not None and record.stage is SendStage.IN_FLIGHT:
        return Decision(operation="Amending")
    if now_ms >= quiet_ms:
        return Decision(Settle(number), operation="Amending") if _settle_due(facts, number) else Decision(operation="Amending", again_ms=RETRY_MS)
    if _due(facts.seen.looked_up_ms.get(number), now_ms):
        return Decision(Lookup(number), operation="Amending")
    return Decision(operation="Amending", again_ms=max(1, min(RETRY_MS, quiet_ms - now_ms)))


def change_if_different(facts: Facts) -> Decision | None:
    """10: one change at a time, towards the newest spec: amend in place, or write the next attempt, cancel this one, and send the rest once it is final."""
    if not facts.numbers or facts.nothing_at_exchange(facts.numbers[-1]):
        return None
    number, market = facts.numbers[-1], facts.seen.market
    if market is None or number not in facts.seen.orders or facts.matches(number):
        return None
    if facts.drifted(number) and facts.spec.drift_policy is DriftPolicy.REPORT and not facts.late(number):
        return Decision(waiting=Waiting("Drifted", DRIFTED, person=True))
    if facts.spec.modify_policy is ModifyPolicy.REJECT:
        return Decision(waiting=Waiting("ModifyNotPermitted", MODIFY_REJECTED))
    rest = max(ZERO, facts.remaining() or ZERO)  # lowered to what is filled or below: the order is cancelled and counts as filled
    if rest > 0 and (amend := _amend(facts, number)) is not None:
        return amend
    request = request_for(facts.spec, facts.seen.ids[number + 1], market, quantity=rest)
    return _change_refused(facts, request, rest) or Decision(WriteAhead(number + 1, request), operation="Replacing")


def _change_refused(facts: Facts, request: OrderRequest, rest: Decimal) -> Decision | None:
    market = facts.seen.market
    if market is not None and rest > 0 and (problem := unacceptable(request, market, facts.seen.account.capabilities)) is not None:
        return Decision(waiting=Waiting("ChangeRefused", f"{problem} The order at the exchange stays as it was."))
    blocked = _may_not_send(facts)
    return Decision(waiting=blocked, again_ms=RETRY_MS) if blocked is not None else None


def _amend(facts: Facts, number: int) -> Decision | None:
    """The change made in place, where quantity means the order's total there; None: it must be replaced."""
    wanted, record = facts.wanted(number), facts.seen.amends.get(number)
    only = facts.spec.modify_policy is ModifyPolicy.AMEND_ONLY
    if wanted is None or facts.seen.account.capabilities.amend is not AmendQuantity.TOTAL:
        return Decision(waiting=Waiting("ModifyNotPermitted", CANT_AMEND)) if only else None
    terms = Terms(wanted.quantity, wanted.price)
    if record is not None and record.stage is SendStage.REFUSED and record.terms == terms:
        return Decision(waiting=Waiting("AmendRefused", f"The exchange refused to amend the order: {record.reason}.", person=True)) if only else None
    if (refused := _change_refused(facts, wanted, wanted.quantity or ZERO)) is not None:
        return refused
    if record is not None and record.stage is SendStage.NOT_SENT and not _due(record.tried_ms, facts.now.venue_ms):
        return Decision(waiting=Waiting("NotSent", NOT_SENT), operation="Amending", again_ms=RETRY_MS)
    if record is not None and record.stage in (SendStage.PREPARED, SendStage.NOT_SENT) and facts.amending(number) == record.terms == terms:
        return Decision(Amend(number, wanted), operation="Amending")
    return Decision(WriteAmend(number, wanted), operation="Amending")


def _may_not_send(facts: Facts) -> Waiting | None:
    """4: what makes a send wait. None of these ever holds back a cancel, a lookup or a delete."""
    account = facts.seen.account
    if facts.spec.suspend:
        return Waiting("Suspended", "spec.suspend is true: nothing is sent until it is false.")
    if facts.order.restored:
        message = "This object was restored from a backup, and its order may have been sent before: remove the label velero.io/restore-name to send it."
        return Waiting("Restored", message, person=True)
    if account.trading_mode is TradingMode.CANCEL_ONLY:
        return Waiting("TradingModeCancelOnly", "The account's tradingMode is CancelOnly: nothing is sent until it is Enabled.")
    if account.trading_mode is TradingMode.REDUCE_ONLY and facts.spec.position_effect != "ReduceOnly":
        return Waiting("TradingModeReduceOnly", "The account's tradingMode is ReduceOnly: only orders with positionEffect ReduceOnly are sent.")
    if not account.ready:
        return Waiting("AccountNotReady", "The account is not ready to trade: see its conditions.")
    return None


def deny_unsent(facts: Facts) -> Decision | None:
    """4: what can never be sent as it stands ends as Denied: provably never live at the exchange. Only before a first send."""
    if len(facts.numbers) > 1:
        return None
    if (missed := _deadline_passed(facts)) is not None:
        return Decision(verdict=missed)
    if facts.spec.expire_time is not None and facts.now.wall_ms >= facts.spec.expire_time.timestamp() * 1000:
        return _denied("ExpireTimePassed", "spec.expireTime passed before the order could be sent: create a new intent.")
    account, market = facts.seen.account, facts.seen.market
    if account.symbols and facts.spec.symbol not in account.symbols:
        return _denied("SymbolNotAllowed", "The account's spec.symbols does not list this symbol: add it there, or use another account.")
    if market is None:
        if not account.ready:
            return None
        return _denied("UnknownSymbol", "The exchange has no such market: write the symbol as ccxt does, for example BTC/USDT.")
    request = request_for(facts.spec, facts.seen.ids[1], market, quantity=facts.spec.quantity)
    if (problem := unacceptable(request, market, account.capabilities)) is not None:
        return _denied("MarketRules", problem)
    return None


def _denied(reason: str, message: str) -> Decision:
    return Decision(verdict=Verdict(OrderState.DENIED, reason, message))


def _deadline_passed(facts: Facts) -> Verdict | None:
    if not submit_deadline_passed(facts.order, facts.now.wall_ms):
        return None
    return Verdict(OrderState.DENIED, "SubmitDeadlineExceeded", "The deadline for the first submission passed before it could be sent: create a new intent.")


def submit_if_unsent(facts: Facts) -> Decision | None:
    """6: send first where that is safe; in every other case write first, with the version this was decided on."""
    number = facts.numbers[-1] if facts.numbers else 1
    if (blocked := _may_not_send(facts)) is not None:
        return Decision(waiting=blocked, operation=_operation(facts), again_ms=None if facts.seen.account.ready else RETRY_MS)
    if not facts.order.finalizer:
        return Decision(AddFinalizer())
    market = facts.seen.market
    if market is None:
        return Decision(waiting=Waiting("AccountNotReady", "The account is not ready to trade: see its conditions."), again_ms=RETRY_MS)
    request = request_for(facts.spec, facts.seen.ids[number], market, quantity=facts.remaining())
    send = facts.send(number)
    if facts.offered_again(number) and send is not None and not _due(send.tried_ms, facts.now.venue_ms, FUNDS_FREE_MS * 2**send.refusals):
        return Decision(
            waiting=Waiting("ReplacementRefused", f"The exchange refused the replacement, which is offered again: {send.reason}."),
            operation="Replacing", again_ms=FUNDS_FREE_MS,
        )
    if send is not None and send.stage is SendStage.NOT_SENT and not _due(send.tried_ms, facts.now.venue_ms):
        return Decision(
            waiting=Waiting("NotSent", NOT_SENT), operation=_operation(facts), again_ms=RETRY_MS
        )
    written = facts.recorded_stage(number) is AttemptStage.PREPARED and facts.recorded_terms(number) == Terms(request.quantity, request.price)
    if send is not None and (send.stage is SendStage.PREPARED or (send.stage is SendStage.NOT_SENT and written)):
        return Decision(Submit(number, request), operation=_operation(facts))
    if _sends_first(facts):
        return Decision(Submit(number, request))
    return Decision(WriteAhead(number, request), operation=_operation(facts))


def _sends_first(facts: Facts) -> bool:
    return (
        facts.never_sent
        and not facts.order.group_owned
        and facts.seen.account.send_first
        and facts.seen.account.capabilities.sends_first
    )


CHECKS: tuple[Callable[[Facts], Decision | None], ...] = (
    already_finished,  # 11
    right_account_only,  # 13
    leave_it_to_its_holder,  # 2
    settle_first,  # 3, 5
    adopt_only_what_agrees,  # 2
    explain_fills,  # 8
    leave_alone_if_orphaned,  # 11
    refresh_unseen,  # 8, 12
    cancel_if_unwanted,  # 9, 10
    finish_when_settled,  # 11
    settle_amend,  # 10
    change_if_different,  # 10
    leave_what_is_at_the_exchange,
    cancel_before_the_send,  # 9
    deny_unsent,  # 4
    submit_if_unsent,  # 6
)
