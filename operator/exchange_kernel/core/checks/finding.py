"""What is at the exchange: nothing is done to an order of which that is not known (rules 3, 5, 8, 12)."""

from __future__ import annotations

from dataclasses import replace

from exchange_kernel.api import AttemptStage, LookupAuthority
from exchange_kernel.core import absence, fees
from exchange_kernel.core.actions import Decision, Lookup, ProveAbsence, Settle, Waiting
from exchange_kernel.core.checks.pace import RETRY_MS, ask_at, due, settle_due
from exchange_kernel.core.facts import Facts
from exchange_kernel.core.resolution import Unusable
from exchange_kernel.core.sending import SendRecord, SendStage

FORGOTTEN_EVERY_MS = 60_000
FORGOTTEN = Waiting(
    "OutcomeUnknown",
    "The exchange does not know this order any more: find in the account's records there what became of it, and say so with `kubectl exchange resolve`.",
    person=True,
)
NOT_ABSENT = Waiting(
    "ResolveNotReadable",
    "The annotation exchange-kernel.io/resolve says Absent, and the exchange had this order once: say how it ended, as Canceled, Filled, Expired or Rejected.",
    person=True,
)
SPENT = Waiting(
    "OutcomeUnknown",
    "The order was called Absent once and sent again under the same id, and what became of that is not known: say how it ended, as Canceled, Filled, "
    "Expired or Rejected, with `kubectl exchange resolve`.",
    person=True,
)
NOT_LISTED = Waiting(
    "FillsNotListed",
    "The order has ended, and the exchange does not list all of its executions: compare status.filledQuantity with the account's records there, and say with "
    "`kubectl exchange resolve` how it ended, with all that was filled.",
    person=True,
)
WATCH_MS = 60_000  # between questions about an order that a person called absent
FRESH_MS = 5_000  # so old at most is the last answer about it when the next one is sent in its place
ASKED_AGAIN = Waiting("AskedAgain", "The order was called Absent: the exchange is asked for it once more before anything is sent in its place.")
TAIL = Waiting("Settling", "Whether a later order of this intent is at the exchange is being looked up.")


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
        return _reading_others(facts, _locate(facts, number, send))
    return _locate(facts, tail, None) if facts.adopting and (tail := facts.unproved_tail) is not None else None


def _reading_others(facts: Facts, decision: Decision) -> Decision:
    """8: while an attempt is looked for, for ever where only a person can say, those that ended are read once more: they may have filled at the last."""
    for number in facts.numbers if decision.action is None else ():
        ended = facts.settled(number) and facts.end_of(number) is not None and number not in facts.seen.reading
        if ended and not facts.final(number) and facts.now.venue_ms >= ask_at(facts, number, facts.settles_from(number)):
            return replace(decision, action=Settle(number))
    return decision


def look_for_the_tail(facts: Facts) -> Decision | None:
    """2, 10: before an end, and before another attempt, look for one that status does not have."""
    if (tail := facts.unproved_tail) is None:
        return None
    quiet_ms, asked_ms = facts.quiet_from(tail), facts.seen.looked_up_ms.get(tail)
    if asked_ms is None or (vain := facts.seen.not_found.get(tail)) is None:
        return _ask(tail, ask_at(facts, tail, quiet_ms), facts.now.venue_ms, TAIL)
    second_ms = max(quiet_ms, vain[0] + facts.seen.account.capabilities.lookup_delay_ms, asked_ms + RETRY_MS)
    return _ask(tail, second_ms, facts.now.venue_ms, TAIL)


def no_word(facts: Facts) -> Waiting | None:
    """What to say of an annotation that is no word a person's outcome can be taken from; None if there is none such."""
    said = facts.resolution
    return Waiting(said.reason, said.message, person=True) if isinstance(said, Unusable) else None


def _locate(facts: Facts, number: int, send: SendRecord | None) -> Decision:
    """Find it out, and say so; an annotation that counts for nothing is told first, and changes nothing of it."""
    decision = _find(facts, number, send)
    return replace(decision, waiting=no_word(facts) or decision.waiting)


def _find(facts: Facts, number: int, send: SendRecord | None) -> Decision:
    """5: cheap questions until E, then passes of all readings until found or proved absent. The longer in vain, the rarer."""
    venue, now_ms, quiet_ms = facts.seen.account.capabilities, facts.now.venue_ms, facts.quiet_from(number)
    evidence = facts.seen.evidence.get(number, absence.Evidence())
    asked_ms, sent_ms = facts.seen.looked_up_ms.get(number), quiet_ms - venue.quiet_after_ms
    if send is not None and send.stage is SendStage.EXISTS:
        person = Waiting(
            "OutcomeUnknown",
            "The exchange says that an order with this id exists, and does not show it: look for it at the exchange.",
            person=now_ms > quiet_ms + 30_000,
        )
        return _ask(number, ask_at(facts, number, sent_ms), now_ms, person)
    if not venue.proves_absence:
        person = SPENT if facts.word_is_spent(number) else Waiting(
            "OutcomeUnknown", "This exchange can't prove that an order does not exist: look for it there by its client order id.", person=now_ms > quiet_ms
        )
        return _ask(number, ask_at(facts, number, sent_ms), now_ms, person)
    if absence.beyond_retention(now_ms, facts.order.created_ms, venue):
        person = Waiting("OutcomeUnknown", "The exchange may have forgotten this order by now: look for it in the account's records.", person=True)
        return Decision(Lookup(number), waiting=person) if due(asked_ms, now_ms, 60_000) else Decision(waiting=person, again_ms=60_000)
    waiting = Waiting("OutcomeUnknown", "Whether the order reached the exchange is being found out.")
    pass_at = absence.next_pass_at(evidence, quiet_ms, venue)
    prove_at = ask_at(facts, number, pass_at)
    if now_ms >= prove_at:
        return Decision(ProveAbsence(number), waiting=waiting)
    if now_ms < quiet_ms and send is None and asked_ms is None:
        # After a restart there may be many: one look at their market's lists finds those that are there.
        return Decision(ProveAbsence(number), waiting=waiting)
    if now_ms < quiet_ms and send is not None and (look_at := ask_at(facts, number, sent_ms)) < quiet_ms:
        return _ask(number, look_at, now_ms, waiting)
    return Decision(waiting=waiting, again_ms=prove_at - now_ms)


def _ask(number: int, at_ms: int, now_ms: int, waiting: Waiting | None = None) -> Decision:
    return Decision(Lookup(number), waiting=waiting) if now_ms >= at_ms else Decision(waiting=waiting, again_ms=at_ms - now_ms)


def explain_fills(facts: Facts) -> Decision | None:
    """8: what the venue's total says beyond our trades is fetched, before any terminal word is believed and while the order lives."""
    for number in facts.numbers:
        if facts.filled(number).unexplained > 0 and number not in facts.seen.reading and settle_due(facts, number):
            return Decision(Settle(number))
    for number in fees.to_be_read(facts):
        if number not in facts.seen.settle_read_ms and number not in facts.seen.reading and settle_due(facts, number):
            return Decision(Settle(number))
    return None


def refresh_unseen(facts: Facts) -> Decision | None:
    """8, 12: an order believed live that this session has not seen, or a complete list did not have, may have ended: ask for it."""
    for number in facts.numbers:
        if number == facts.resolved_number:
            continue
        if facts.lost(number):
            asked_ms, waiting = facts.seen.looked_up_ms.get(number), NOT_ABSENT if facts.called_absent(number) else no_word(facts) or FORGOTTEN
            if due(asked_ms, facts.now.venue_ms, FORGOTTEN_EVERY_MS):
                ask = Settle(number) if facts.end_of(number) is not None else Lookup(number)
                return Decision(ask, waiting=waiting, operation=facts.operation)
            return Decision(waiting=waiting, operation=facts.operation, again_ms=FORGOTTEN_EVERY_MS)
        unseen = facts.recorded_stage(number) is AttemptStage.LIVE and number not in facts.seen.orders
        if unseen or number in facts.seen.missing:
            unknown_since_ms = facts.seen.missing.get(number, facts.seen.account.session_start_ms)
            look_at = ask_at(facts, number, min(unknown_since_ms, facts.now.venue_ms))
            return _ask(number, look_at, facts.now.venue_ms)
    return None


def watch_what_was_called_absent(facts: Facts) -> Decision | None:
    """5: a person's Absent is no proof: the exchange is asked for the order while the intent lives, and before anything is sent in its place."""
    account, now_ms = facts.seen.account, facts.now.venue_ms
    if account.capabilities.lookup is LookupAuthority.NONE or facts.seen.market is None:
        return None
    called = [number for number in facts.numbers if facts.told_absent(number)]
    if called and called[-1] == facts.numbers[-1] and (asked := _asked_afresh(facts, called[-1])) is not None:
        return asked
    for number in called:
        if due(facts.seen.looked_up_ms.get(number), now_ms, WATCH_MS):
            return Decision(Lookup(number), operation=facts.operation)
    return _beyond_what_is_absent(facts)


def _beyond_what_is_absent(facts: Facts) -> Decision | None:
    """2: an earlier object with the same key may have sent the next attempt in place of one that was called absent: it is asked for before the first send."""
    if not facts.numbers or facts.unwanted or not facts.adopting or not facts.nothing_at_exchange(last := facts.numbers[-1]):
        return None
    if facts.seen.not_found.get(last + 1) is not None:
        return None
    if due(facts.seen.looked_up_ms.get(last + 1), facts.now.venue_ms):
        return Decision(Lookup(last + 1))
    return Decision(again_ms=RETRY_MS)


def _asked_afresh(facts: Facts, last: int) -> Decision | None:
    """The question before the next send, which needs an answer, and before an end without one, which does not."""
    asked_ms, vain = facts.seen.looked_up_ms.get(last), facts.seen.not_found.get(last)
    told_ms = asked_ms if facts.unwanted else vain[1] if vain is not None else None
    if told_ms is not None and told_ms >= facts.quiet_from(last) and facts.now.venue_ms - told_ms <= FRESH_MS:
        return None
    if due(asked_ms, facts.now.venue_ms, FRESH_MS):
        return Decision(Lookup(last), waiting=ASKED_AGAIN)
    return Decision(waiting=ASKED_AGAIN, again_ms=RETRY_MS)
