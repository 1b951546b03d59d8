"""The status that should be written now, from the record, what was seen and what was decided. Pure; equal inputs give an equal status."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal

from exchange_kernel.api import (
    AccountSnapshot,
    AmendTarget,
    AskedTerms,
    Attempt,
    AttemptStage,
    EarlierAttempts,
    FillEntry,
    FillFee,
    MarketSnapshot,
    Operation,
    OrderIntentStatus,
    OrderState,
    OrderType,
)
from exchange_kernel.api.order_intent import MAX_BUSTED
from exchange_kernel.core import fees, fills
from exchange_kernel.core.actions import Decision, Waiting, WriteAhead, WriteAmend
from exchange_kernel.core.answers import OrderStatus, Trade
from exchange_kernel.core.checks.ending import ended_as_wanted, ended_by_exchange, fell_short
from exchange_kernel.core.claims import filled_through
from exchange_kernel.core.conditions import Outlook, conditions
from exchange_kernel.core.deadline import suspended_ms
from exchange_kernel.core.facts import Facts, when
from exchange_kernel.core.lifecycle import advance, legal
from exchange_kernel.core.money import ZERO, add, average_price, subtract
from exchange_kernel.core.order import Now, OrderRecord, Seen
from exchange_kernel.core.resolution import CONTRADICTED, SENT_AGAIN, told_by
from exchange_kernel.core.sending import SendStage, Terms
from exchange_kernel.core.time_limits import first_sent_ms

MAX_FILLS = 20
MAX_ATTEMPTS = 9


def project(facts: Facts, decision: Decision) -> OrderIntentStatus:
    """The whole status after what was decided on these facts. With a WriteAhead it holds the attempt that is about to be sent."""
    order, seen, now = facts.order, facts.seen, facts.now
    old = order.status
    if decision.waiting is not None and facts.anothers:
        return unaccounted(order, decision.waiting, now.wall_ms, state=OrderState.PENDING if not order.attempts else old.state)
    ahead = decision.action if isinstance(decision.action, WriteAhead) else None
    amend = decision.action if isinstance(decision.action, WriteAmend) else None
    numbers = sorted({*facts.numbers, *((ahead.number,) if ahead is not None else ())})
    cost, more_assets = fees.listed(fees.paid(facts), old.fees)
    attempts = [_attempt(facts, number, now, ahead if ahead is not None and ahead.number == number else None, amend) for number in numbers]
    earlier = _without_those_listed_again(facts)
    while len(attempts) > MAX_ATTEMPTS:
        earlier = _summed_up(earlier, _leave_out(facts, attempts), cost, filled_through(order))
    filled_quantity = add(earlier.filled_quantity if earlier else ZERO, *(attempt.filled_quantity or ZERO for attempt in attempts))
    filled_quote = add(earlier.filled_quote_quantity if earlier else ZERO, *(attempt.filled_quote_quantity or ZERO for attempt in attempts))
    if sum(bool(attempt.filled_quantity) for attempt in attempts) > 1 or (earlier is not None and earlier.filled_quantity > 0):
        attempts = [attempt.model_copy(update={"fees": fees.totals(cost.attempts.get(attempt.number, {}))}) for attempt in attempts]
    verdict = decision.verdict
    suspension = _suspension(order, now)
    state = verdict.state if verdict is not None else _state(facts, ahead, filled_quantity)
    if order.finished or legal(old.state, state):
        advance(old.state, state, settled=order.finished)
    # Else another hand wrote the old state (or a bug of ours did, which the writer counts): what is known of the order stands, wherever it comes from.
    at = when(now.wall_ms)
    current = _current(attempts)
    live = next((seen.orders[number] for number in reversed(numbers) if number in seen.orders), None)
    matches = ahead is None and not (facts.numbers and facts.live(facts.numbers[-1]) and not facts.matches(facts.numbers[-1]))
    matches = matches and not facts.spec.exchange_parameters  # none is at the exchange
    outlook = Outlook(state=state, settled=verdict is not None, decision=decision, matches=matches, generation=order.generation)
    target = order.spec.quantity
    market, asked_terms = _asked_on(facts, attempts, anew=ahead is not None or amend is not None)
    sent = any(attempt.stage is not AttemptStage.PREPARED for attempt in attempts)
    return OrderIntentStatus(
        observed_generation=order.generation,
        state=state,
        operation=Operation(decision.operation) if decision.operation is not None else None,
        # A person who is asked what became of an order needs its id, sent first and recorded nowhere as it may be.
        client_order_id=current.client_order_id if current is not None else seen.ids[1] if state is OrderState.UNKNOWN else None,
        exchange_order_id=current.exchange_order_id if current is not None else None,
        filled_quantity=filled_quantity,
        filled_quote_quantity=filled_quote,
        remaining_quantity=max(ZERO, subtract(target, filled_quantity)) if target is not None else None,
        average_price=average_price(filled_quote, filled_quantity),
        fees=fees.totals(cost.total),
        more_fee_assets=True if more_assets or old.more_fee_assets else None,
        fills=_fills(facts),
        attempts=attempts,
        earlier_attempts=earlier,
        account=old.account
        or (AccountSnapshot(uid=seen.account.uid, fingerprint=seen.account.fingerprint, exchange=seen.account.exchange) if attempts else None),
        market=market,
        asked_terms=asked_terms,
        submit_time=old.submit_time or (when(first_ms) if sent and (first_ms := first_sent_ms(order, seen)) is not None else None),
        acknowledge_time=old.acknowledge_time or (when(live.created_time_ms or now.venue_ms) if live is not None else None),
        trigger_time=old.trigger_time or (when(live.trigger_time_ms) if live is not None and live.trigger_time_ms is not None else None),
        suspend_time=suspension[0],
        suspended_seconds=suspension[1],
        reconciled_token=old.reconciled_token,
        completion_time=old.completion_time if order.finished else at if verdict is not None else None,
        conditions=conditions(outlook, old.conditions, at),
    )


def _suspension(order: OrderRecord, now: Now) -> tuple[datetime | None, int | None]:
    """Since when it has been suspended, and for how long before that (s): kept while the order is not at the exchange, for its deadline."""
    old = order.status
    if old.acknowledge_time is not None:
        return old.suspend_time, old.suspended_seconds
    if order.suspended:
        seen_from_the_start = old.observed_generation == -1
        return old.suspend_time or when(order.created_ms if seen_from_the_start else now.wall_ms), old.suspended_seconds
    if old.suspend_time is None:
        return None, old.suspended_seconds
    return None, suspended_ms(order, now.wall_ms) // 1000


def _current(attempts: list[Attempt]) -> Attempt | None:
    """The attempt that names the order: the newest that reached the exchange, else the newest."""
    reached = [attempt for attempt in attempts if attempt.stage in (AttemptStage.LIVE, AttemptStage.ENDED)]
    return reached[-1] if reached else attempts[-1] if attempts else None


def _attempt(facts: Facts, number: int, now: Now, ahead: WriteAhead | None, amend: WriteAmend | None) -> Attempt:
    old = facts.recorded(number)
    found, send, amount = facts.seen.orders.get(number), facts.send(number), facts.filled(number)
    stage, reason, outcome = _stage(facts, number, ahead)
    if ahead is not None:
        terms = Terms.of(ahead.request)
    elif found is not None:
        # What was asked, and not what somebody else made of it, until spec asks for that too.
        terms = Terms.of(found) if facts.matches(number) else facts.asked(number)
    else:
        terms = send.terms if send is not None else Terms(None, None)
    return Attempt(
        number=number,
        client_order_id=facts.seen.ids[number],
        exchange_order_id=found.exchange_order_id if found is not None else old.exchange_order_id if old is not None else None,
        quantity=terms.quantity if terms.quantity is not None else old.quantity if old is not None else None,
        quote_quantity=facts.spec.quote_quantity,
        price=terms.price if terms.price is not None else old.price if old is not None else None,
        trigger_price=terms.trigger_price if terms.trigger_price is not None else old.trigger_price if old is not None else None,
        amend=_target(facts, number, now, amend),
        stage=stage,
        outcome=outcome,
        filled_quantity=amount.quantity,
        filled_quote_quantity=amount.quote_quantity,
        busted_quantity=facts.busted(number) or (old.busted_quantity if old is not None else None),
        busted_trades=[*(old.busted_trades if old is not None else ()), *(trade.trade_id for trade in facts.busts(number))][:MAX_BUSTED],
        trade_cursor=_cursor(facts, number),
        prepared_time=when(now.wall_ms) if ahead is not None else old.prepared_time if old is not None else None,
        end_time=(
            old.end_time
            if old is not None and old.end_time is not None
            else when(found.update_time_ms or now.venue_ms)
            if found is not None and found.status.ended
            else None
        ),
        reason=reason or None,
        refusal=facts.refusal(number) if stage is AttemptStage.REFUSED else None,
        type=OrderType.MARKET if facts.at_market(number) else None,
    )


def _target(facts: Facts, number: int, now: Now, amend: WriteAmend | None) -> AmendTarget | None:
    """What the attempt's order is being amended to, for as long as that is under way."""
    if amend is not None and amend.number == number:
        return AmendTarget(
            quantity=amend.request.quantity,
            price=amend.request.price,
            trigger_price=amend.request.trigger_price,
            prepared_time=when(now.wall_ms),
        )
    recorded = facts.recorded(number)
    return recorded.amend if recorded is not None and facts.amending(number) is not None else None


def _stage(facts: Facts, number: int, ahead: WriteAhead | None) -> tuple[AttemptStage, str, str | None]:
    found, send = facts.seen.orders.get(number), facts.send(number)
    if number == facts.resolved_number and ahead is None:
        end = facts.end_of(number)
        reason = told_by(facts.order.resolved_by)
        return (AttemptStage.ABSENT, reason, None) if end is None else (AttemptStage.ENDED, reason, str(end))
    if found is not None:
        reason = CONTRADICTED if facts.contradicted(number) else ""
        return (AttemptStage.ENDED, reason, str(found.status)) if found.status.ended else (AttemptStage.LIVE, reason, None)
    old = facts.recorded(number)
    again = SENT_AGAIN if facts.told_absent(number) or (old is not None and old.reason == SENT_AGAIN) else ""
    if ahead is not None or old is None:
        if ahead is not None or send is None:
            return AttemptStage.PREPARED, again, None
    elif send is None or facts.told_before(number):
        return old.stage, old.reason or "", old.outcome
    assert send is not None
    if send.stage is SendStage.REFUSED:
        return AttemptStage.REFUSED, send.reason, None
    if send.stage is SendStage.ABSENT:
        return AttemptStage.ABSENT, "", None
    return (AttemptStage.SENT if send.open_ended else AttemptStage.PREPARED), again, None


def _state(facts: Facts, ahead: WriteAhead | None, filled_quantity: Decimal) -> OrderState:
    """The state that the facts give, without a settled end. It follows the newest attempt that counts."""
    if any(facts.lost(number) for number in facts.numbers):
        return OrderState.UNKNOWN
    for number in facts.numbers:
        if not facts.settled(number):
            send = facts.send(number)
            return OrderState.SUBMITTING if send is not None and send.stage is SendStage.IN_FLIGHT else OrderState.UNKNOWN
    if not facts.numbers and ahead is None:
        return OrderState.PENDING if facts.never_sent or facts.order.finished else OrderState.UNKNOWN
    if any(facts.live(number) for number in facts.numbers):
        return OrderState.PARTIALLY_FILLED if filled_quantity > 0 else OrderState.OPEN
    last = facts.numbers[-1] if facts.numbers else 1
    if ahead is not None or facts.offered_again(last) or facts.goes_on(last) or (facts.nothing_at_exchange(last) and not facts.refused(last)):
        if not facts.submits_first:
            return OrderState.SUBMITTING  # between an order that ended and the one that replaces it
        send = facts.send(facts.numbers[-1]) if facts.numbers else None
        return OrderState.PENDING if ahead is None and (send is None or send.stage is not SendStage.PREPARED) else OrderState.SUBMITTING
    if facts.refused(last):
        return OrderState.REJECTED
    match facts.end_of(last):
        case None:
            return OrderState.UNKNOWN
        case OrderStatus.FILLED if facts.busted(last) > 0 and fell_short(facts) and not facts.unwanted:
            return OrderState.CANCELED
        case OrderStatus.FILLED:
            return OrderState.FILLED
        case _ if facts.unwanted:
            return ended_as_wanted(facts).state
        case ended:
            return ended_by_exchange(facts, ended).state  # by its cause from the first, as it will be once it has settled


def _fills(facts: Facts) -> list[FillEntry]:
    """The last fills, for people: those listed before, those counted since, and what is inferred."""
    old = facts.order.status
    gone = {trade_id for attempt in old.attempts for trade_id in attempt.busted_trades}
    gone |= {trade.trade_id for trades in facts.seen.busted.values() for trade in trades}
    entries = {entry.trade_id: entry for entry in old.fills if not entry.inferred and entry.trade_id not in gone}
    for number in facts.numbers:
        known, amount = facts.explained(number), facts.filled(number)
        entries |= {trade.trade_id: _entry(trade) for trade in (facts.trades(number) if known.by_trades else known.changes.new)}
        if amount.unexplained > 0:
            guess = _infer(facts, number, amount)
            entries[guess.trade_id] = _entry(guess)
    return _last(entries.values())


def _cursor(facts: Facts, number: int) -> str | None:
    """The highest id of the executions counted, for venues that number theirs; none while some are not known."""
    known = facts.explained(number)
    if facts.filled(number).unexplained != 0:
        return None
    if known.by_trades:
        ids = [trade.trade_id for trade in facts.trades(number)]
    elif known.changes.cursor is not None:
        ids = [known.changes.cursor, *(trade.trade_id for trade in known.changes.new)]
    else:
        return None
    return max(ids, key=int) if ids and all(trade_id.isdecimal() for trade_id in ids) else None


def _without_those_listed_again(facts: Facts) -> EarlierAttempts | None:
    """The sum of earlier attempts, less those that turned out to have a fill after all: one without fills adds nothing to it but its count."""
    earlier, recorded = facts.order.status.earlier_attempts, [attempt.number for attempt in facts.order.attempts]
    again = sum(number not in recorded and number < max(recorded, default=0) for number in facts.numbers)
    if earlier is None or not again:
        return earlier
    return earlier.model_copy(update={"count": earlier.count - again}) if earlier.count > again else None


def _leave_out(facts: Facts, attempts: list[Attempt]) -> Attempt:
    """Take the attempt out of the list that is needed least: the oldest one without fills, else the oldest. What is not final stays while it can."""
    candidates = [attempt for attempt in attempts[:-1] if facts.final(attempt.number)] or attempts[:-1]
    candidates = [attempt for attempt in candidates if not facts.told_absent(attempt.number)] or candidates  # those are asked for still
    chosen = next((attempt for attempt in candidates if not attempt.filled_quantity), candidates[0])
    attempts.remove(chosen)
    return chosen


def _summed_up(earlier: EarlierAttempts | None, attempt: Attempt, cost: fees.Paid, through: int) -> EarlierAttempts:
    """The sum of the attempts that are no longer listed, with one more."""
    before = earlier or EarlierAttempts(count=0, filled_quantity=ZERO, filled_quote_quantity=ZERO)
    through = max(through, before.filled_through or 0, attempt.number if attempt.filled_quantity else 0)
    return EarlierAttempts(
        count=before.count + 1,
        filled_quantity=add(before.filled_quantity, attempt.filled_quantity or ZERO),
        filled_quote_quantity=add(before.filled_quote_quantity, attempt.filled_quote_quantity or ZERO),
        fees=fees.totals(fees.summed(fees.amounts(before.fees), cost.attempts.get(attempt.number, {}))),
        filled_through=through or None,
    )


def _infer(facts: Facts, number: int, amount: fills.Filled) -> Trade:
    found = facts.seen.orders.get(number)
    price = average_price(amount.quote_quantity, amount.quantity) or (found.price if found is not None else None) or ZERO
    time_ms = (found.update_time_ms if found is not None else None) or facts.now.venue_ms
    return fills.inferred(facts.seen.ids[number], facts.spec.symbol, amount.explained, amount.quantity, price, time_ms)


def _entry(trade: Trade) -> FillEntry:
    return FillEntry(
        trade_id=trade.trade_id,
        quantity=trade.quantity,
        price=trade.price,
        fee=FillFee(asset=trade.fee.asset, amount=trade.fee.amount) if trade.fee is not None else None,
        time=when(trade.time_ms),
        inferred=trade.trade_id.startswith("inferred-"),
    )


def _last(entries: Iterable[FillEntry]) -> list[FillEntry]:
    return sorted(entries, key=lambda entry: (entry.inferred, entry.time, entry.trade_id))[-MAX_FILLS:]


def _asked_on(facts: Facts, attempts: list[Attempt], *, anew: bool) -> tuple[MarketSnapshot | None, AskedTerms | None]:
    """10: the market's steps, and what spec said, when the exchange was last asked for this order; or when an edit turned out to be how it is."""
    old, spec = facts.order.status, facts.spec
    last = facts.numbers[-1] if facts.numbers else None
    as_it_is = last is not None and last in facts.seen.orders and facts.live(last) and facts.edited and facts.matches(last)
    if not attempts or not (anew or as_it_is or old.market is None) or facts.seen.market is None:
        return old.market, old.asked_terms
    return _market(facts.seen), AskedTerms(quantity=spec.quantity, price=spec.price, trigger_price=spec.trigger_price)


def _market(seen: Seen) -> MarketSnapshot | None:
    market = seen.market
    if market is None:
        return None
    return MarketSnapshot(
        id=market.venue_id or None,
        base=market.base,
        quote=market.quote,
        quantity_step=market.quantity_step,
        price_step=market.price_step,
        min_notional=market.min_notional,
        contract_size=market.contract_size,
    )


def unaccounted(order: OrderRecord, waiting: Waiting, wall_ms: int, state: OrderState | None = None) -> OrderIntentStatus:
    """The status of an intent of which nothing can be told: its account can't be used, or its order is another's. Only the conditions say so."""
    at, state = when(wall_ms), state or order.status.state
    outlook = Outlook(state=state, settled=False, decision=Decision(waiting=waiting), matches=False, generation=order.generation)
    told = conditions(outlook, order.status.conditions, at)
    return order.status.model_copy(update={"observed_generation": order.generation, "state": state, "conditions": told})


def of_generation(status: OrderIntentStatus, generation: int) -> OrderIntentStatus:
    """A settled end as it stands under a later generation of the spec: whoever waits for that one is answered, and nothing else moves."""
    told = [condition.model_copy(update={"observed_generation": generation}) for condition in status.conditions]
    return status.model_copy(update={"observed_generation": generation, "conditions": told})
