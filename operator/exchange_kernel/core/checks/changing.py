"""Changes of an order that is live: one at a time, towards the newest spec (rule 10)."""

from __future__ import annotations

from decimal import Decimal

from exchange_kernel.api import AmendQuantity, DriftPolicy, ModifyPolicy, ReplaceKind
from exchange_kernel.core import risk
from exchange_kernel.core.actions import Amend, Decision, Lookup, Replace, Settle, Waiting, WriteAhead, WriteAmend
from exchange_kernel.core.answers import OrderStatus
from exchange_kernel.core.checks.finding import look_for_the_tail
from exchange_kernel.core.checks.pace import RETRY_MS, ask_at, due, settle_due
from exchange_kernel.core.checks.sending import NOT_SENT, may_not_send
from exchange_kernel.core.facts import Facts
from exchange_kernel.core.market_rules import halted, too_small, unacceptable, unsent_parameters
from exchange_kernel.core.money import ZERO
from exchange_kernel.core.sending import SendStage, Terms
from exchange_kernel.core.venue import OrderRequest

DRIFTED = "Somebody else changed the order at the exchange: write spec as the order is now, or set spec.driftPolicy: Enforce to have it changed back."
MODIFY_REJECTED = "spec.modifyPolicy is Reject: the order at the exchange stays as it was. Set AmendOrReplace, or put the old values back."
PART_OF_LIST = "The exchange keeps this order in one list with others, which would end with any of them: put the old values back, or create a new OrderGroup."
CANT_AMEND = "This exchange can't amend an order in place: set spec.modifyPolicy: AmendOrReplace, or put the old values back."
ONLY_LESS = "This exchange amends an order only to a smaller quantity: set spec.modifyPolicy: AmendOrReplace, or put the old values back."

CHANGE_HALTED = Waiting(
    "MarketHalted", "The market is not open for trading at the exchange: the order there stays as it was, and is changed once the market opens."
)


REQUESTS_MS = 1_000  # a cancel, a reading and a submit, of a replacement
WOULD_UNPROTECT = Waiting(
    "ReplacementWouldUnprotect",
    "To change the stop, the exchange has to cancel it and place it anew, which leaves the position without one for longer than maxUnprotectedSeconds of the "
    "OrderGroup: it stays as it was. Raise maxUnprotectedSeconds, put the old values back, or close the position.",
    person=True,
)


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
        return Decision(Settle(number), operation="Amending") if settle_due(facts, number) else Decision(operation="Amending", again_ms=RETRY_MS)
    look_at = ask_at(facts, number, quiet_ms - facts.seen.account.capabilities.quiet_after_ms)
    if now_ms >= look_at:
        return Decision(Lookup(number), operation="Amending")
    return Decision(operation="Amending", again_ms=min(look_at, quiet_ms) - now_ms)


def change_if_different(facts: Facts) -> Decision | None:
    """10: one change at a time, towards the newest spec: amend in place, or write the next attempt, cancel this one, and send the rest once it is final."""
    if not facts.numbers or facts.nothing_at_exchange(facts.numbers[-1]):
        return None
    number, market = facts.numbers[-1], facts.seen.market
    rest = max(ZERO, facts.remaining() or ZERO)  # lowered to what is filled or below: the order is cancelled and counts as filled
    grown = facts.end_of(number) is OrderStatus.FILLED and rest > 0  # it filled whole, and more was asked for before that was told
    if market is None or (number not in facts.seen.orders and not grown):
        return None
    if facts.exceeds:
        return _less_at_once(facts, number, rest)
    if facts.live(number) and (unsent := unsent_parameters(facts.spec)) is not None:
        return Decision(waiting=Waiting("ChangeRefused", f"{unsent} The order at the exchange stays as it was."))
    if facts.matches(number) and not grown:
        return None
    if not grown and facts.drifted(number) and facts.spec.drift_policy is DriftPolicy.REPORT and not facts.late(number):
        return Decision(waiting=Waiting("Drifted", DRIFTED, person=True))
    if facts.seen.group is not None and facts.seen.group.native:
        return Decision(waiting=Waiting("ModifyNotPermitted", PART_OF_LIST))
    if facts.spec.modify_policy is ModifyPolicy.REJECT:
        return Decision(waiting=Waiting("ModifyNotPermitted", MODIFY_REJECTED))
    if rest > 0 and not grown and (amend := _amend(facts, number)) is not None:
        return amend
    if rest > 0 and (bare := _would_unprotect(facts, number)) is not None:
        return bare
    request = facts.replacement(number, market, rest)
    return _change_refused(facts, request, rest) or look_for_the_tail(facts) or Decision(WriteAhead(number + 1, request), operation="Replacing")


def _less_at_once(facts: Facts, number: int, rest: Decimal) -> Decision:
    """The change that keeps an order from filling more than spec asks for: no policy of changes, mode or limit holds it. The rest waits as any send."""
    if rest > 0 and facts.spec.modify_policy is not ModifyPolicy.REJECT and (amend := _amend(facts, number)) is not None and amend.action is not None:
        return amend
    assert facts.seen.market is not None
    request = facts.replacement(number, facts.seen.market, rest)
    return look_for_the_tail(facts) or Decision(WriteAhead(number + 1, request), operation="Replacing")


def _change_refused(facts: Facts, request: OrderRequest, rest: Decimal) -> Decision | None:
    market = facts.seen.market
    if market is not None and rest > 0 and (problem := unacceptable(request, market, facts.seen.account.capabilities)) is not None:
        reason = "BelowMinimum" if too_small(facts.spec, rest, market) else "ChangeRefused"
        return Decision(waiting=Waiting(reason, f"{problem} The order at the exchange stays as it was."))
    if market is not None and rest > 0 and halted(market) is not None:
        return Decision(waiting=CHANGE_HALTED, markets=True)
    if (blocked := may_not_send(facts)) is not None:
        return Decision(waiting=blocked, again_ms=RETRY_MS)
    if rest > 0 and (refusal := facts.risk(request, changes=facts.numbers[-1])) is not None:
        return Decision(waiting=Waiting(risk.REASON, f"{refusal.message} The order at the exchange stays as it was."), again_ms=RETRY_MS)
    return None


def _would_unprotect(facts: Facts, number: int) -> Decision | None:
    """16: a stop stays as it was where cancelling and proving it final, before the next is sent, leaves the position bare for too long."""
    closing = facts.closing
    if closing is None or closing.bare_ms is None or not facts.live(number):
        return None
    return Decision(waiting=WOULD_UNPROTECT) if replacement_ms(facts) > closing.bare_ms else None


def replacement_ms(facts: Facts) -> int:
    """Return for how long a replacement is expected to leave nothing at the exchange (ms)."""
    venue = facts.seen.account.capabilities
    if venue.replace is ReplaceKind.FILL_AWARE and facts.filled_total() == 0:
        return 0  # in one request
    return venue.lookup_delay_ms + REQUESTS_MS


def _amend(facts: Facts, number: int) -> Decision | None:
    """The change made in place, where quantity means the order's total there; None: it must be replaced."""
    wanted, record = facts.changed_to(number), facts.seen.amends.get(number)
    only = facts.spec.modify_policy is ModifyPolicy.AMEND_ONLY
    kind = facts.seen.account.capabilities.amend
    if wanted is None or kind not in (AmendQuantity.TOTAL, AmendQuantity.DECREASE):
        return Decision(waiting=Waiting("ModifyNotPermitted", CANT_AMEND)) if only else None
    terms = Terms.of(wanted)
    if kind is AmendQuantity.DECREASE and not terms.only_less_than(Terms.of(facts.seen.orders[number])):
        return Decision(waiting=Waiting("ModifyNotPermitted", ONLY_LESS)) if only else None
    if record is not None and record.stage is SendStage.REFUSED and record.terms == terms:
        return Decision(waiting=Waiting("AmendRefused", f"The exchange refused to amend the order: {record.reason}.", person=True)) if only else None
    if (refused := _change_refused(facts, wanted, wanted.quantity or ZERO)) is not None:
        return refused
    if record is not None and record.stage is SendStage.NOT_SENT and not due(record.tried_ms, facts.now.venue_ms):
        return Decision(waiting=Waiting("NotSent", NOT_SENT), operation="Amending", again_ms=RETRY_MS)
    if record is not None and record.stage in (SendStage.PREPARED, SendStage.NOT_SENT) and facts.amending(number) == record.terms == terms:
        return Decision(Amend(number, wanted), operation="Amending")
    return Decision(WriteAmend(number, wanted), operation="Amending")


def replace_in_one_request(facts: Facts, number: int) -> Decision | None:
    """10: both in one request, where the venue minds what fills meanwhile and nothing has filled yet. Only as the next attempt was written ahead for."""
    send = facts.send(number + 1)
    if facts.unwanted or facts.seen.account.capabilities.replace is not ReplaceKind.FILL_AWARE or facts.filled_total() > 0 or facts.seen.duplicates.get(number):
        return None
    if send is None or send.stage is not SendStage.PREPARED or not send.quantity or may_not_send(facts) is not None or facts.seen.market is None:
        return None
    request = facts.replacement(number, facts.seen.market, facts.remaining())
    if facts.risk(request, changes=number) is not None:
        return None
    return Decision(Replace(number, request), operation="Replacing") if send.terms == Terms.of(request) else None
