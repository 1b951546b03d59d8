"""What must hold of every decision, whatever is recorded and whatever is seen."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange_kernel.api import OrderState, TradingMode
from exchange_kernel.core.absence import Evidence
from exchange_kernel.core.actions import Cancel, Lookup, ProveAbsence, Release, Settle, Submit, WriteAhead
from exchange_kernel.core.answers import OrderStatus
from exchange_kernel.core.decide import decide
from exchange_kernel.core.facts import Facts
from exchange_kernel.core.sending import CancelRecord, SendStage
from exchange_kernel.core.status import project
from tests.builders import IDS, T0, a_market, a_report, a_send, a_sight, a_spec, a_status, a_trade, a_venue, an_account, an_attempt, an_order, at

times = st.integers(0, 400_000)
quantities = st.sampled_from(["0", "0.3", "1"])


@st.composite
def orders(draw):
    spec = a_spec(
        price=draw(st.sampled_from(["50000", "49000"])), quantity=draw(st.sampled_from(["1", "2", "0.2"])), desiredState=draw(st.sampled_from(["Working", "Canceled"])),
        suspend=draw(st.booleans()), deletionPolicy=draw(st.sampled_from(["Cancel", "Orphan"])), modifyPolicy=draw(st.sampled_from(["AmendOrReplace", "Reject"])),
        timeInForce=draw(st.sampled_from([None, "IOC", "FOK"])), idempotencyKey=None,
    )
    attempts = []
    for number in range(1, draw(st.integers(0, 2)) + 1):
        stage = draw(st.sampled_from(["Prepared", "Sent", "Live", "Ended", "Refused", "Absent"]))
        attempts.append(an_attempt(number, stage, **({"outcome": draw(st.sampled_from(["Canceled", "Filled", "Expired"]))} if stage == "Ended" else {}),
                                   filledQuantity=draw(quantities) if stage in ("Live", "Ended") else None))
    status = {"completionTime": "2027-01-15T08:00:00Z", "state": "Canceled"} if draw(st.integers(0, 9)) == 0 else {}
    return an_order(spec=spec, attempts=[{key: value for key, value in attempt.items() if value is not None} for attempt in attempts], status=status,
                    deleting=draw(st.booleans()), finalizer=draw(st.booleans()))


@st.composite
def sights(draw, order):
    seen = {"sends": {}, "orders": {}, "trades": {}, "cancels": {}, "evidence": {}, "looked_up_ms": {}, "ended_ms": {}, "settle_read_ms": {}}
    for number in range(1, max([attempt.number for attempt in order.attempts], default=0) + draw(st.integers(0, 1)) + 1):
        if draw(st.booleans()):
            seen["sends"][number] = a_send(draw(st.sampled_from(SendStage)), number, last_stamp_ms=draw(st.none() | times.map(lambda ms: T0 + ms)), tried_ms=draw(st.none() | times.map(lambda ms: T0 + ms)))
        accepted = number in seen["sends"] and seen["sends"][number].stage is SendStage.ACCEPTED
        if accepted or draw(st.booleans()):      # what was accepted is known
            filled = draw(quantities)
            seen["orders"][number] = a_report(number, draw(st.sampled_from(OrderStatus)) if filled != "1" else OrderStatus.FILLED, filled)
            if draw(st.booleans()) and filled != "0":
                seen["trades"][number] = (a_trade(str(number), filled, number),)
        seen["cancels"][number] = CancelRecord(in_flight=draw(st.booleans()), asked_ms=draw(st.none() | times.map(lambda ms: T0 + ms)), unknown=draw(st.booleans()))
        for name in ("looked_up_ms", "ended_ms", "settle_read_ms"):
            if draw(st.booleans()):
                seen[name][number] = T0 + draw(times)
        if draw(st.booleans()):
            seen["evidence"][number] = Evidence(tuple(sorted(T0 + ms for ms in draw(st.lists(times, max_size=3)))))
    account = an_account(trading_mode=draw(st.sampled_from(TradingMode)), ready=draw(st.booleans()), send_first=draw(st.booleans()),
                         capabilities=a_venue(request_window_ms=draw(st.sampled_from([0, 3000]))))
    return a_sight(new=draw(st.booleans()), account=account, market=draw(st.sampled_from([None, a_market()])),
                   missing=draw(st.dictionaries(st.integers(1, 2), times.map(lambda ms: T0 + ms))), **seen)


@st.composite
def cases(draw):
    order = draw(orders())
    return order, draw(sights(order)), at(draw(times))


@pytest.mark.proves("rule 3", "rule 9", "rule 10", "rule 11")
@settings(max_examples=1500, deadline=None)
@given(cases())
def test_every_decision_keeps_the_rules(case):
    order, seen, now = case
    facts = Facts(order, seen, now)
    decision = decide(facts)
    action, verdict = decision.action, decision.verdict
    numbers = facts.numbers or ([] if facts.never_sent else [1])
    unsettled = [number for number in numbers if not facts.settled(number)]
    live = [number for number in facts.numbers if facts.live(number)]

    assert decision == decide(Facts(order, seen, now)), "the same facts give the same decision"
    if order.finished:
        assert verdict is None
        assert isinstance(action, Release | None)
        return
    if unsettled:      # 3
        assert verdict is None
        assert isinstance(action, Lookup | ProveAbsence | Settle | Cancel | None)
        assert not isinstance(action, Settle) or action.number not in unsettled, "only what ended is read once more meanwhile"
    if verdict is not None:
        assert not live, "no end while something lives"
        assert not unsettled
        assert all(facts.final(number) for number in facts.numbers)
    if verdict is not None and verdict.state is OrderState.DENIED:
        assert all(facts.nothing_at_exchange(number) for number in facts.numbers), "Denied is provably never live"
    if isinstance(action, Release):
        assert order.deleting
        assert order.spec.deletion_policy == "Orphan"
    if isinstance(action, Cancel):
        assert facts.live(action.number) or (action.number in unsettled and facts.unwanted), "only of what may exist"
        assert facts.unwanted or action.number < facts.numbers[-1]
    if isinstance(action, Settle | Lookup | ProveAbsence):
        assert action.number in IDS
    if isinstance(action, Submit):      # 4, 6, 10
        assert not live
        assert facts.never_sent or facts.send(action.number).stage is SendStage.PREPARED
        assert seen.account.ready
        assert seen.account.trading_mode is TradingMode.ENABLED
        assert not order.spec.suspend
        assert not facts.unwanted
        assert order.finalizer
        assert facts.filled_total() + action.request.quantity <= order.spec.quantity, "live + filled never above the target"
        assert action.request.client_order_id == seen.ids[action.number]
    if isinstance(action, WriteAhead) and action.request.quantity > 0:
        assert not facts.unwanted
        assert not order.spec.suspend


@settings(max_examples=500, deadline=None)
@given(cases())
def test_the_status_of_any_facts_can_be_written_and_is_written_once(case):
    order, seen, now = case
    if order.finished:
        return
    facts = Facts(order, seen, now)
    decision = decide(facts)
    first = project(facts, decision)
    filled_before = max((attempt.filled_quantity or Decimal(0) for attempt in order.attempts), default=Decimal(0))
    assert first.filled_quantity >= filled_before, "a recorded fill never falls"
    again = an_order(spec=order.spec, status={}, deleting=order.deleting, finalizer=order.finalizer)
    again = type(again)(**{**{name: getattr(again, name) for name in again.__dataclass_fields__}, "status": a_status(**first.document())})
    facts = Facts(again, seen, now)
    if decision.verdict is None and not isinstance(decision.action, WriteAhead) and decide(facts) == decision:
        second = project(facts, decision)
        assert {name for name in type(first).model_fields if getattr(first, name) != getattr(second, name)} == set()
