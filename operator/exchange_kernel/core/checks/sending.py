"""Whether it may be sent, and how (rules 4, 6)."""

from __future__ import annotations

from exchange_kernel.api import AttemptStage, OrderState, RefusalKind, TradingMode, TriggerPassedPolicy
from exchange_kernel.core import risk
from exchange_kernel.core.actions import AddFinalizer, Decision, Submit, Verdict, Waiting, WriteAhead
from exchange_kernel.core.checks.pace import BACKED_OFF_MS, CLOSED_MS, EXIT_MS, FUNDS_FREE_MS, LONG_CLOSED_MS, LONG_EXIT_MS, RETRY_MS, due
from exchange_kernel.core.deadline import ms_to_submit_deadline, submit_deadline_passed
from exchange_kernel.core.facts import MARKETS_WITHIN_MS, Facts
from exchange_kernel.core.groups import DIFFERS
from exchange_kernel.core.market_rules import halted, unacceptable, unsent_parameters
from exchange_kernel.core.sending import SendStage, Terms

REST_UNSENT = Waiting(
    "MarketGone", "The exchange lists the order's market no more, and what is left of the order can't be sent: set spec.desiredState: Canceled, or delete it.",
    person=True,
)
SENT_AS_LIST = Waiting("SentAsList", "It is sent with the other members of its group, as one list of the exchange's.")
CLOSED = "The exchange refused the order, for its market is not open for trading: it is sent again once the market opens."
EXIT_REFUSED = "The exchange refused an exit of an open position:"
EXIT_AGAIN = "It is sent again, at last once a minute: put right what the exchange says, close the position, or protect it by another order."
NOT_SENT = "It could not be sent yet: no connection to the exchange."


def may_not_send(facts: Facts) -> Waiting | None:
    """4: what makes a send wait. None of these ever holds back a cancel, a lookup or a delete."""
    account = facts.seen.account
    if facts.spec.group_ref is not None:
        if facts.seen.group is None and all(facts.nothing_at_exchange(number) for number in facts.numbers):
            return Waiting("GroupGone", "Its OrderGroup is gone, which alone could have it sent: delete it, and create a new OrderIntent.", person=True)
        if facts.seen.group is not None and facts.seen.group.held is not None:
            return facts.seen.group.held
    if facts.spec.suspend:
        return Waiting("Suspended", "spec.suspend is true: nothing is sent until it is false.")
    if facts.order.restored:
        message = "This object was restored from a backup, and its order may have been sent before: remove the label velero.io/restore-name to send it."
        return Waiting("Restored", message, person=True)
    if account.trading_mode is TradingMode.CANCEL_ONLY:
        return Waiting("TradingModeCancelOnly", "The account's tradingMode is CancelOnly: nothing is sent until it is Enabled.")
    if account.trading_mode is TradingMode.REDUCE_ONLY and facts.spec.position_effect != "ReduceOnly":
        return Waiting("TradingModeReduceOnly", "The account's tradingMode is ReduceOnly: only orders with positionEffect ReduceOnly are sent.")
    if (unsent := unsent_parameters(facts.spec)) is not None:
        return Waiting("ExchangeParameters", unsent, person=True)
    if not account.ready:
        return Waiting("AccountNotReady", "The account is not ready to trade: see its conditions.")
    if not account.mode_known:
        return Waiting("TradingModeUnknown", "The account could not be read again from the API server: nothing is sent until its tradingMode is known.")
    return None


def deny_unsent(facts: Facts) -> Decision | None:
    """4: what can never be sent as it stands ends as Denied: provably never live at the exchange. Only before a first send."""
    if not facts.submits_first or (facts.seen.group is not None and facts.seen.group.held is DIFFERS):
        return None  # of a member, what the group is about to put right is no reason
    if (missed := _deadline_passed(facts)) is not None:
        return Decision(verdict=missed)
    if facts.spec.expire_time is not None and facts.now.venue_ms >= facts.spec.expire_time.timestamp() * 1000:
        return Decision(verdict=Verdict(OrderState.DENIED, "ExpireTimePassed", "spec.expireTime passed before the order could be sent: create a new intent."))
    if facts.spec.group_ref is None and (unsent := unsent_parameters(facts.spec)) is not None:
        return _denied(facts, "ExchangeParameters", unsent)  # a group is denied whole, before anything of it is made
    account, market = facts.seen.account, facts.seen.market
    if account.symbols and facts.spec.symbol not in account.symbols:
        return _denied(facts, "SymbolNotAllowed", "The account's spec.symbols does not list this symbol: add it there, or use another account.")
    if market is None:
        if not account.ready:
            return None
        if facts.newer_than_markets:
            waiting = Waiting("MarketUnknown", "The exchange's list of markets has no such market: it is read again, for the market may be newer.")
            return Decision(waiting=waiting, markets=True, again_ms=RETRY_MS)
        return _denied(facts, "UnknownSymbol", "The exchange has no such market: write the symbol as ccxt does, for example BTC/USDT.")
    request = facts.request(_next(facts), market)
    if (problem := unacceptable(request, market, account.capabilities)) is not None:
        return _denied(facts, "MarketRules", problem)
    refusal = facts.risk(request)
    return _denied(facts, risk.REASON, refusal.message) if refusal is not None and not refusal.waits else None


def _denied(facts: Facts, reason: str, message: str) -> Decision:
    if facts.closing is not None:
        # 16: the position stays open, and what forbids its exit may change: nothing that a person can put right ends it.
        return Decision(waiting=Waiting(reason, message, person=True), markets=reason in ("MarketRules", "UnknownSymbol"), again_ms=BACKED_OFF_MS)
    return Decision(verdict=Verdict(OrderState.DENIED, reason, message))


def _next(facts: Facts) -> int:
    """The attempt that is sent next: a definite refusal that is no end closes the one before it."""
    number = facts.next_number
    return number + 1 if facts.refused(number) and facts.goes_on(number) else number


def _deadline_passed(facts: Facts) -> Verdict | None:
    if not submit_deadline_passed(facts.order, facts.now.wall_ms):
        return None
    why = "Its market was not open for trading. " if _closed(facts) is not None else ""
    said = f"{why}The deadline for the first submission passed before it could be sent: create a new intent."
    return Verdict(OrderState.DENIED, "SubmitDeadlineExceeded", said)


def _closed(facts: Facts) -> Waiting | None:
    """What an order waits for whose market is not open, by the list of markets or by the last refusal."""
    market = facts.seen.market
    if market is not None and (why := halted(market)) is not None:
        return Waiting("MarketHalted", why)
    if facts.numbers and facts.refusal(facts.numbers[-1]) is RefusalKind.MARKET_CLOSED:
        return Waiting("MarketHalted", CLOSED)
    return None


def _wait_for_the_market(facts: Facts) -> Decision | None:
    """Wait for a market that opens, and after a refusal for the rules that it came of. A halted one opens without a word: it is read again and again."""
    last = facts.numbers[-1] if facts.numbers else 0
    send = facts.send(last)
    unread = facts.markets_unread(last)
    if unread and facts.refusal(last) is RefusalKind.MARKET_RULES and send is not None:
        waiting = _refused_exit(facts)
        if waiting is None or facts.refused_in_a_row == 1:
            waiting = Waiting("MarketRulesChanged", f"The exchange refused the order by its market's rules, which are read anew: {send.reason}.")
        return Decision(waiting=waiting, operation=facts.operation, markets=True, again_ms=RETRY_MS)
    if (closed := _closed(facts)) is None:
        return None
    deadline_ms = ms_to_submit_deadline(facts.order, facts.now.wall_ms) if facts.submits_first else None
    again_ms = [RETRY_MS + deadline_ms] if deadline_ms is not None else []
    if facts.seen.market is not None and facts.seen.market.active:
        # The list calls it open, and the last refusal does not: it may be older, or not tell.
        pause_ms = MARKETS_WITHIN_MS if unread else min(LONG_CLOSED_MS, CLOSED_MS << min(facts.refused_in_a_row - 1, 8))
        if facts.closing is not None:
            pause_ms = _pause_ms(facts)
        refused_ms = send.refused_ms if send is not None and send.refused_ms is not None else 0
        if due(refused_ms, facts.now.venue_ms, pause_ms):
            return None
        again_ms.append(refused_ms + pause_ms - facts.now.venue_ms)
    return Decision(waiting=closed, operation=facts.operation, markets=True, again_ms=min(again_ms, default=None))


def _pause_ms(facts: Facts) -> int:
    """How long after its last refusal an exit of an open position is sent again."""
    return min(LONG_EXIT_MS, EXIT_MS << min(max(0, facts.refused_in_a_row - 1), 8))


def _refused_exit(facts: Facts) -> Waiting | None:
    """What is said of an exit of an open position from its refusal on, while it is sent again: None of every other order."""
    if facts.closing is None or not facts.numbers:
        return None
    last = facts.numbers[-1] if facts.refused(facts.numbers[-1]) else facts.numbers[-1] - 1
    if not facts.refused(last):
        return None
    kind, send, recorded = facts.refusal(last), facts.send(last), facts.recorded(last)
    if kind is RefusalKind.MARKET_CLOSED:
        return Waiting("MarketHalted", CLOSED)
    why = send.reason if send is not None else (recorded.reason or "") if recorded is not None else ""
    if kind is not RefusalKind.TRIGGER_PASSED or facts.closing.trigger_passed is TriggerPassedPolicy.REPORT:
        return Waiting("ExitRefused", f"{EXIT_REFUSED} {why}. {EXIT_AGAIN}", person=True)
    if facts.closing.trigger_passed is TriggerPassedPolicy.WAIT:
        return Waiting("TriggerPassed", f"{EXIT_REFUSED} {why}. By onTriggerPassed: Wait it is sent again until the market is back.")
    return Waiting("TriggerPassed", f"{EXIT_REFUSED} {why}. By onTriggerPassed: Market a Market order of the same size is sent instead.")


def _wait_with_an_exit(facts: Facts) -> Decision | None:
    """16: after a refusal of an exit: send at once what the refusal leaves to be sent, and else the same again, ever later and for as long as it is open."""
    if facts.closing is None or not facts.numbers or not facts.refused(last := facts.numbers[-1]):
        return None
    kind, send = facts.refusal(last), facts.send(last)
    if kind is RefusalKind.MARKET_CLOSED or (kind is RefusalKind.MARKET_RULES and facts.asks_for_other(last)):
        return None
    if kind is RefusalKind.TRIGGER_PASSED and facts.at_market(last + 1) and not facts.at_market(last):
        return None
    if kind is RefusalKind.BALANCE and facts.free_since(last) and facts.asks_for_other(last):
        return None
    refused_ms = send.refused_ms if send is not None and send.refused_ms is not None else 0
    if due(refused_ms, facts.now.venue_ms, pause_ms := _pause_ms(facts)):
        return None
    return Decision(
        waiting=_refused_exit(facts), operation=facts.operation, markets=kind is RefusalKind.MARKET_RULES, holdings=kind is RefusalKind.BALANCE,
        again_ms=refused_ms + pause_ms - facts.now.venue_ms,
    )


def submit_if_unsent(facts: Facts) -> Decision | None:
    """6: send first where that is safe; in every other case write first, with the version this was decided on."""
    if (blocked := may_not_send(facts)) is not None:
        return Decision(waiting=blocked, operation=facts.operation, again_ms=None if facts.seen.account.ready and facts.seen.account.mode_known else RETRY_MS)
    if not facts.order.finalizer:
        return Decision(AddFinalizer())
    market = facts.seen.market
    if market is None:
        if facts.closing is not None:
            # 16: the position stays open, and the market may be listed again.
            return Decision(waiting=REST_UNSENT, operation=facts.operation, markets=True, again_ms=BACKED_OFF_MS)
        return Decision(waiting=REST_UNSENT, operation=facts.operation)
    if (waits := _wait_for_the_market(facts) or _wait_with_an_exit(facts)) is not None:
        return waits
    number = _next(facts)
    request = facts.request(number, market)
    if (refusal := facts.risk(request)) is not None:
        return Decision(waiting=Waiting(risk.REASON, refusal.message), operation=facts.operation, again_ms=RETRY_MS)
    send = facts.send(number)
    if facts.offered_again(number) and send is not None and not due(send.tried_ms, facts.now.venue_ms, FUNDS_FREE_MS * 2**send.refusals):
        return Decision(
            waiting=Waiting("ReplacementRefused", f"The exchange refused the replacement, which is offered again: {send.reason}."),
            operation="Replacing", again_ms=FUNDS_FREE_MS,
        )
    if send is not None and send.stage is SendStage.NOT_SENT and not due(send.tried_ms, facts.now.venue_ms):
        return Decision(
            waiting=Waiting("NotSent", NOT_SENT), operation=facts.operation, again_ms=RETRY_MS
        )
    written = facts.recorded_stage(number) is AttemptStage.PREPARED and facts.recorded_terms(number) == Terms.of(request)
    if send is not None and (send.stage is SendStage.PREPARED or (send.stage is SendStage.NOT_SENT and written)):
        if facts.seen.group is not None and facts.seen.group.native:
            return Decision(waiting=SENT_AS_LIST)
        return Decision(Submit(number, request), operation=facts.operation)
    if _sends_first(facts):
        return Decision(Submit(number, request))
    # What is being tried again is told on: it is in trouble until the exchange has taken it.
    return Decision(WriteAhead(number, request), operation=facts.operation, waiting=_refused_exit(facts))


def _sends_first(facts: Facts) -> bool:
    """6: of what came a moment ago. What waited is written first, for its watch may have been deaf since: a cancel that it did not tell ends in a 409."""
    return (
        facts.never_sent
        and facts.order.status.observed_generation < 0
        and facts.spec.group_ref is None
        and facts.seen.account.send_first
        and facts.seen.account.capabilities.sends_first
    )
