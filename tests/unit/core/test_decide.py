"""The policy, case by case. Each group stands for one check and carries the number of the rule it keeps."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

import pytest

from exchange_kernel.api import AmendQuantity, ExpiryCheck, GroupRef, LookupAuthority, TradingMode
from exchange_kernel.core.absence import Evidence
from exchange_kernel.core.actions import (
    AddFinalizer,
    Cancel,
    Decision,
    Lookup,
    ProveAbsence,
    Release,
    Settle,
    Submit,
    WriteAhead,
    WriteAmend,
)
from exchange_kernel.core.answers import OrderStatus
from exchange_kernel.core.decide import decide
from exchange_kernel.core.facts import Facts
from exchange_kernel.core.order import Membership, OrderRecord, Seen
from exchange_kernel.core.sending import CancelRecord, SendStage
from tests.builders import DAY_MS, T0, a_report, a_send, a_sight, a_spec, a_trade, a_venue, an_account, an_attempt, an_order, at


@dataclass
class Case:
    reason: str
    order: OrderRecord = field(default_factory=an_order)
    seen: Seen = field(default_factory=a_sight)
    after_ms: int = 0
    action: object = None              # the action's type and number, or None for no action
    number: int | None = None
    verdict: str | None = None         # the verdict's reason
    waiting: str | None = None


def check(case: Case) -> Decision:
    decision = decide(Facts(case.order, case.seen, at(case.after_ms)))
    assert type(decision.action) is (case.action or type(None)), decision
    if case.number is not None:
        assert decision.action.number == case.number
    assert (decision.verdict.reason if decision.verdict else None) == case.verdict, decision
    if case.waiting is not None:
        assert decision.waiting is not None, decision
        assert decision.waiting.reason == case.waiting
    return decision


def table(*cases: Case):
    return pytest.mark.parametrize("case", cases, ids=lambda case: case.reason)


LIVE = [an_attempt(1, "Live", exchangeOrderId="1001")]
CANCEL = a_spec(desiredState="Canceled")
KEYED = an_order(spec=a_spec(idempotencyKey="k", submitDeadlineTime="2027-01-15T08:10:00Z"))


@pytest.mark.proves("rule 3")
@table(
    Case("created after the fence and never handed to an adapter: sent at once", seen=a_sight(new=True), action=Submit, number=1),
    Case("listed at start with an empty status: it may have been sent by a predecessor (H1)", action=ProveAbsence, number=1, waiting="OutcomeUnknown"),
    Case("deleted while we were away: still looked up first (H1)", order=an_order(deleting=True), action=ProveAbsence),
    Case("cancelled while we were away: still looked up first (H1)", order=an_order(spec=CANCEL), action=ProveAbsence),
    Case("suspended while we were away: still looked up first (H1)", order=an_order(spec=a_spec(suspend=True)), action=ProveAbsence),
    Case("past its deadline while we were away: still looked up first, not Denied (H1)", after_ms=400_000, action=ProveAbsence),
    Case("orphaned while we were away: still looked up first", order=an_order(spec=a_spec(deletionPolicy="Orphan"), deleting=True), action=ProveAbsence),
    Case("new, but memory holds a send record: not unsent any more", seen=a_sight(new=True, sends={1: a_send(SendStage.UNKNOWN)}), action=Lookup),
    Case("a send under way is waited for", seen=a_sight(new=True, sends={1: a_send(SendStage.IN_FLIGHT)})),
    Case("written ahead and found after a restart: may have been sent", order=an_order(attempts=[an_attempt(1, "Prepared")]), action=ProveAbsence),
    Case("the id is taken: it exists, and is looked up, never rejected (H23)", seen=a_sight(sends={1: a_send(SendStage.EXISTS)}), action=Lookup),
    Case("and is never proved absent, however long it is not shown", seen=a_sight(sends={1: a_send(SendStage.EXISTS)}, evidence={1: Evidence((T0 + 9000, T0 + 11000))}), after_ms=60_000, action=Lookup, waiting="OutcomeUnknown"),
    Case("an unknown replacement holds back the cancel of nothing but itself: it is located first (H12)",
         order=an_order(attempts=[*LIVE, an_attempt(2, "Prepared")]), seen=a_sight(orders={1: a_report(1, OrderStatus.CANCELED)}, ended_ms={1: T0}), action=ProveAbsence, number=2),
)
def test_rule_3_unsettled_orders_are_only_looked_up(case):
    check(case)


PARAMETERS = a_spec(exchangeParameters={"selfTradePrevention": "ExpireMaker"})


@table(
    Case("parameters that no adapter sends are not dropped: the order is Denied", order=an_order(spec=PARAMETERS, finalizer=True), seen=a_sight(new=True),
         verdict="ExchangeParameters"),
    Case("an empty map asks for nothing", order=an_order(spec=a_spec(exchangeParameters={}), finalizer=True), seen=a_sight(new=True), action=Submit),
    Case("added to an order that lives: the change is refused, and the order stays", order=an_order(spec=PARAMETERS, attempts=LIVE),
         seen=a_sight(orders={1: a_report(1)}), waiting="ChangeRefused"),
    Case("with another price: nothing of the change is made", order=an_order(spec=a_spec(price="49000", exchangeParameters={"a": "b"}), attempts=LIVE),
         seen=a_sight(orders={1: a_report(1)}), waiting="ChangeRefused"),
    Case("a cancel is not held back by them", order=an_order(spec=a_spec(desiredState="Canceled", exchangeParameters={"a": "b"}), attempts=LIVE),
         seen=a_sight(orders={1: a_report(1)}), action=Cancel),
    Case("one that ended without its rest sends nothing more with them",
         order=an_order(spec=PARAMETERS, attempts=[an_attempt(1, "Ended", outcome="Canceled", filledQuantity="0", exchangeOrderId="1001"), an_attempt(2, "Prepared")]),
         seen=a_sight(orders={1: a_report(1, OrderStatus.CANCELED)}, ended_ms={1: T0}, settle_read_ms={1: T0 + 2000}, sends={2: a_send(SendStage.PREPARED)}),
         after_ms=3000, waiting="ExchangeParameters"),
)
def test_exchange_parameters_are_never_left_out_in_silence(case):
    check(case)


UNKNOWN = {1: a_send(SendStage.UNKNOWN, last_stamp_ms=T0 + 2000)}     # E = stamp + 1000 ahead + 3000 window + 1000 delay = T0 + 7000


@table(
    Case("before E only the cheap question", seen=a_sight(sends=UNKNOWN), after_ms=6999, action=Lookup),
    Case("… asked again a second later at first", seen=a_sight(sends=UNKNOWN, looked_up_ms={1: T0 + 2100}), after_ms=3100, action=Lookup),
    Case("… and then more rarely", seen=a_sight(sends=UNKNOWN, looked_up_ms={1: T0 + 4100}), after_ms=6099, waiting="OutcomeUnknown"),
    Case("from E on, whole passes", seen=a_sight(sends=UNKNOWN), after_ms=7000, action=ProveAbsence),
    Case("… whenever it was last asked", seen=a_sight(sends=UNKNOWN, looked_up_ms={1: T0 + 6999}), after_ms=7000, action=ProveAbsence),
    Case("a pass that did not count is repeated a second later", seen=a_sight(sends=UNKNOWN, looked_up_ms={1: T0 + 7000}), after_ms=8000, action=ProveAbsence),
    Case("… and the longer in vain, the more rarely", seen=a_sight(sends=UNKNOWN, looked_up_ms={1: T0 + 307_000}), after_ms=322_999, waiting="OutcomeUnknown"),
    Case("… never more rarely than so", seen=a_sight(sends=UNKNOWN, looked_up_ms={1: T0 + 307_000}), after_ms=323_000, action=ProveAbsence),
    Case("an exchange that answers again is asked at once", seen=a_sight(sends=UNKNOWN, looked_up_ms={1: T0 + 307_000}, account=an_account(answers_since_ms=T0 + 308_000)), after_ms=308_000, action=ProveAbsence),
    Case("a pass before E counts for nothing", seen=a_sight(sends=UNKNOWN, evidence={1: Evidence((T0 + 6000,))}), after_ms=7000, action=ProveAbsence),
    Case("the second pass comes lookupDelay after the first", seen=a_sight(sends=UNKNOWN, evidence={1: Evidence((T0 + 7000,))}, looked_up_ms={1: T0 + 7000}), after_ms=7999, waiting="OutcomeUnknown"),
    Case("… and then", seen=a_sight(sends=UNKNOWN, evidence={1: Evidence((T0 + 7000,))}, looked_up_ms={1: T0 + 7000}), after_ms=8000, action=ProveAbsence),
    Case("without a send record E counts from the start of the session", seen=a_sight(), after_ms=4999, action=ProveAbsence),
    Case("… and not earlier", seen=a_sight(), after_ms=5000, action=ProveAbsence),
    Case("a venue without expiry never proves absence (H11)", seen=a_sight(sends=UNKNOWN, account=an_account(capabilities=a_venue(request_window_ms=0))), after_ms=100_000, action=Lookup, waiting="OutcomeUnknown"),
    Case("nor one whose window is checked on arrival only (H9)", seen=a_sight(sends=UNKNOWN, account=an_account(capabilities=a_venue(expiry_check=ExpiryCheck.ON_ARRIVAL))), after_ms=100_000, action=Lookup),
    Case("past the venue's memory nothing proves anything: a person (H10)", seen=a_sight(account=an_account(capabilities=a_venue(retention_ms=DAY_MS))), after_ms=2 * DAY_MS, action=Lookup, waiting="OutcomeUnknown"),
)
def test_rule_5_proof_of_absence(case):
    check(case)


@pytest.mark.proves("rule 6", "H19")
@table(
    Case("proved absent: sent again, but written first", seen=a_sight(sends={1: a_send(SendStage.ABSENT)}), after_ms=9000, action=WriteAhead, number=1),
    Case("written ahead in this session: sent", seen=a_sight(sends={1: a_send(SendStage.PREPARED)}), action=Submit, number=1),
    Case("with an idempotencyKey: an earlier object may have sent it, so it is looked for (H2)", order=KEYED, seen=a_sight(new=True), action=ProveAbsence),
    Case("with an idempotencyKey, proved absent: an earlier object may have sent the next attempt in its place", order=KEYED, seen=a_sight(new=True, sends={1: a_send(SendStage.ABSENT)}), action=Lookup, number=2),
    Case("with an idempotencyKey, proved absent and nothing beyond: written first", order=KEYED, seen=a_sight(new=True, sends={1: a_send(SendStage.ABSENT)}, not_found={2: (T0, T0)}), action=WriteAhead, number=1),
    Case("a group's member: written first", order=an_order(spec=a_spec(group_ref=GroupRef(name="pair", uid="group-1", member="take"))), seen=a_sight(new=True, group=Membership()), action=WriteAhead),
    Case("sendPolicy WriteAhead", seen=a_sight(new=True, account=an_account(send_first=False)), action=WriteAhead),
    Case("a venue without expiry: written first", seen=a_sight(new=True, account=an_account(capabilities=a_venue(request_window_ms=0))), action=WriteAhead),
    Case("a venue that finds orders by lists only: written first", seen=a_sight(new=True, account=an_account(capabilities=a_venue(lookup=LookupAuthority.LISTING))), action=WriteAhead),
    Case("no finalizer: put on before anything is sent", order=an_order(finalizer=False), seen=a_sight(new=True), action=AddFinalizer),
    Case("provably not sent: again, written first", seen=a_sight(new=True, sends={1: a_send(SendStage.NOT_SENT, tried_ms=T0)}), after_ms=1000, action=WriteAhead),
    Case("… but not at once", seen=a_sight(new=True, sends={1: a_send(SendStage.NOT_SENT, tried_ms=T0)}), after_ms=500, waiting="NotSent"),
)
def test_rule_6_the_two_ways_to_send(case):
    check(case)


NEW = {"new": True}


@pytest.mark.proves("rule 4", "F37")
@table(
    Case("suspended: waits", order=an_order(spec=a_spec(suspend=True)), seen=a_sight(**NEW), waiting="Suspended"),
    Case("suspended does not run out of time", order=an_order(spec=a_spec(suspend=True)), seen=a_sight(**NEW), after_ms=900_000, waiting="Suspended"),
    Case("kill switch: waits", seen=a_sight(**NEW, account=an_account(trading_mode=TradingMode.CANCEL_ONLY)), waiting="TradingModeCancelOnly"),
    Case("reduce-only mode lets no opening order through", seen=a_sight(**NEW, account=an_account(trading_mode=TradingMode.REDUCE_ONLY)), waiting="TradingModeReduceOnly"),
    Case("account not swept yet: waits", seen=a_sight(**NEW, account=an_account(ready=False)), waiting="AccountNotReady"),
    Case("too late for a first submission", seen=a_sight(**NEW), after_ms=300_001, verdict="SubmitDeadlineExceeded"),
    Case("in time", seen=a_sight(**NEW), after_ms=299_000, action=Submit),
    Case("0 seconds: no deadline", order=an_order(spec=a_spec(submitDeadlineSeconds=0)), seen=a_sight(**NEW), after_ms=900_000, action=Submit),
    Case("proved absent and too late: denied, provably never live", seen=a_sight(sends={1: a_send(SendStage.ABSENT)}), after_ms=400_000, verdict="SubmitDeadlineExceeded"),
    Case("below the market's smallest quantity", order=an_order(spec=a_spec(quantity="0.000001")), seen=a_sight(**NEW), verdict="MarketRules"),
    Case("below its smallest notional", order=an_order(spec=a_spec(quantity="0.00005")), seen=a_sight(**NEW), verdict="MarketRules"),
    Case("a type the adapter lacks", order=an_order(spec=a_spec(type="StopMarket", price=None, triggerPrice="40000")), seen=a_sight(**NEW), verdict="MarketRules"),
    Case("no such market", seen=a_sight(**NEW, market=None), verdict="UnknownSymbol"),
    Case("an order at the exchange outlives its submit deadline", order=an_order(attempts=LIVE), seen=a_sight(orders={1: a_report()}), after_ms=900_000),
    Case("… and the removal of its symbol from the account", order=an_order(attempts=LIVE), seen=a_sight(orders={1: a_report()}, account=an_account(symbols=frozenset({"ETH/USDT"})))),
    Case("… and of its market from the exchange", order=an_order(attempts=LIVE), seen=a_sight(orders={1: a_report()}, market=None)),
    Case("a symbol the account does not list", seen=a_sight(**NEW, account=an_account(symbols=frozenset({"ETH/USDT"}))), verdict="SymbolNotAllowed"),
)
def test_rule_4_what_waits_and_what_is_denied(case):
    check(case)


def test_rule_4_the_price_on_the_wire_is_never_past_the_limit():
    buy = decide(Facts(an_order(spec=a_spec(price="100.009", quantity="1.000019")), a_sight(new=True), at(0))).action
    sell = decide(Facts(an_order(spec=a_spec(price="100.001", side="Sell")), a_sight(new=True), at(0))).action
    assert (buy.request.price, buy.request.quantity, sell.request.price) == (Decimal("100.00"), Decimal("1.00001"), Decimal("100.01"))


OPEN = {"orders": {1: a_report()}}
DONE = {1: T0}


@pytest.mark.proves("rule 9")
@table(
    Case("never sent: canceled without the exchange", order=an_order(spec=CANCEL), seen=a_sight(new=True), verdict="CanceledAsAsked"),
    Case("proved absent: the same", order=an_order(spec=CANCEL), seen=a_sight(sends={1: a_send(SendStage.ABSENT)}), verdict="CanceledAsAsked"),
    Case("live: cancelled", order=an_order(spec=CANCEL, attempts=LIVE), seen=a_sight(**OPEN), action=Cancel, number=1),
    Case("deleted: cancelled", order=an_order(deleting=True, attempts=LIVE), seen=a_sight(**OPEN), action=Cancel),
    Case("deleted with Orphan: let go, order untouched", order=an_order(spec=a_spec(deletionPolicy="Orphan"), deleting=True, attempts=LIVE), seen=a_sight(**OPEN), action=Release),
    Case("suspended: cancelled all the same", order=an_order(spec=a_spec(desiredState="Canceled", suspend=True), attempts=LIVE), seen=a_sight(**OPEN), action=Cancel),
    Case("under the kill switch: cancelled all the same", order=an_order(spec=CANCEL, attempts=LIVE), seen=a_sight(**OPEN, account=an_account(trading_mode=TradingMode.CANCEL_ONLY)), action=Cancel),
    Case("a cancel on its way is waited for", order=an_order(spec=CANCEL, attempts=LIVE), seen=a_sight(**OPEN, cancels={1: CancelRecord(in_flight=True, asked_ms=T0)})),
    Case("unknown order: looked up before anything is believed", order=an_order(spec=CANCEL, attempts=LIVE), seen=a_sight(**OPEN, cancels={1: CancelRecord(asked_ms=T0, unknown=True)}), after_ms=10, action=Lookup),
    Case("refused: shown, and asked again later", order=an_order(spec=CANCEL, attempts=LIVE), seen=a_sight(**OPEN, cancels={1: CancelRecord(asked_ms=T0, refusal="no", unknown=True)}, looked_up_ms={1: T0 + 5}), after_ms=10, waiting="CancelRefused"),
    Case("filled before the cancel: Filled", order=an_order(spec=CANCEL, attempts=LIVE), seen=a_sight(orders={1: a_report(status=OrderStatus.FILLED, filled="1")}, trades={1: (a_trade("1", "1"),)}), verdict="Filled"),
)
def test_rule_9_cancel(case):
    check(case)


CHANGED = a_spec(price="49000")
DECREASES: dict[str, Any] = {"account": an_account(capabilities=a_venue(amend=AmendQuantity.DECREASE, order_types=frozenset({"Limit", "StopMarket"}), trigger_prices=frozenset({"Last"})))}
STOP_LESS = a_spec(type="StopMarket", price=None, side="Sell", quantity="0.5", triggerPrice="47000")
STOP_REPORT = replace(a_report(1), type="StopMarket", side="Sell", price=None, trigger_price=Decimal(48000))


@pytest.mark.proves("rule 10")
@table(
    Case("the price differs: the next attempt is written first", order=an_order(spec=CHANGED, attempts=LIVE), seen=a_sight(**OPEN), action=WriteAhead, number=2),
    Case("then this one is cancelled", order=an_order(spec=CHANGED, attempts=[*LIVE, an_attempt(2, "Prepared")]), seen=a_sight(**OPEN, sends={2: a_send(SendStage.PREPARED, 2)}), action=Cancel, number=1),
    Case("ended, but not final: read again after lookupDelay (H14)", order=an_order(spec=CHANGED, attempts=[*LIVE, an_attempt(2, "Prepared")]),
         seen=a_sight(orders={1: a_report(status=OrderStatus.CANCELED)}, ended_ms=DONE, sends={2: a_send(SendStage.PREPARED, 2)}), after_ms=1000, action=Settle, number=1),
    Case("a fill that no trade explains holds it up", order=an_order(spec=CHANGED, attempts=[*LIVE, an_attempt(2, "Prepared")]),
         seen=a_sight(orders={1: a_report(status=OrderStatus.CANCELED, filled="0.4")}, ended_ms=DONE, settle_read_ms={1: T0 + 1000}, sends={2: a_send(SendStage.PREPARED, 2)}), after_ms=3000, action=Settle),
    Case("modifyPolicy Reject: said, and left alone", order=an_order(spec=a_spec(price="49000", modifyPolicy="Reject"), attempts=LIVE), seen=a_sight(**OPEN), waiting="ModifyNotPermitted"),
    Case("a change that leaves less than the market's smallest order is not begun", order=an_order(spec=a_spec(quantity="0.00001", price="50000"), attempts=LIVE), seen=a_sight(**OPEN), waiting="BelowMinimum"),
    Case("nor is one that the market would refuse for something else", order=an_order(spec=a_spec(quantity="2000000", price="50000"), attempts=LIVE), seen=a_sight(**OPEN), waiting="ChangeRefused"),
    Case("only a smaller quantity can be amended, and that it is", order=an_order(spec=a_spec(quantity="0.5"), attempts=LIVE), seen=a_sight(**OPEN, **DECREASES), action=WriteAmend, number=1),
    Case("a larger one is replaced there", order=an_order(spec=a_spec(quantity="2"), attempts=LIVE), seen=a_sight(**OPEN, **DECREASES), action=WriteAhead, number=2),
    Case("another price is replaced there", order=an_order(spec=CHANGED, attempts=LIVE), seen=a_sight(**OPEN, **DECREASES), action=WriteAhead, number=2),
    Case("a smaller quantity at another price too", order=an_order(spec=a_spec(quantity="0.5", price="49000"), attempts=LIVE), seen=a_sight(**OPEN, **DECREASES), action=WriteAhead, number=2),
    Case("a smaller quantity with another trigger too", order=an_order(spec=STOP_LESS, attempts=LIVE), seen=a_sight(orders={1: STOP_REPORT}, **DECREASES), action=WriteAhead, number=2),
    Case("an order that waits is made smaller where it is", order=an_order(spec=STOP_LESS, attempts=LIVE), seen=a_sight(orders={1: replace(STOP_REPORT, trigger_price=Decimal(47000))}, **DECREASES), action=WriteAmend, number=1),
    Case("AmendOnly, and more is asked for: said, and left alone", order=an_order(spec=a_spec(quantity="2", modifyPolicy="AmendOnly"), attempts=LIVE), seen=a_sight(**OPEN, **DECREASES), waiting="ModifyNotPermitted"),
    Case("AmendOnly, and less is asked for", order=an_order(spec=a_spec(quantity="0.5", modifyPolicy="AmendOnly"), attempts=LIVE), seen=a_sight(**OPEN, **DECREASES), action=WriteAmend),
    Case("the exchange refused to make it smaller: replaced", order=an_order(spec=a_spec(quantity="0.5"), attempts=LIVE), action=WriteAhead, number=2,
         seen=a_sight(**OPEN, **DECREASES, amends={1: a_send(SendStage.REFUSED, quantity=Decimal("0.5"), price=Decimal(50000))})),
    Case("less than what is filled is no amend: cancelled", order=an_order(spec=a_spec(quantity="0.3"), attempts=LIVE), seen=a_sight(orders={1: a_report(filled="0.4")}, trades={1: (a_trade("1", "0.4"),)}, **DECREASES), action=WriteAhead, number=2),
    Case("suspended: no change begins", order=an_order(spec=a_spec(price="49000", suspend=True), attempts=LIVE), seen=a_sight(**OPEN), waiting="Suspended"),
    Case("the exchange cancelled it: never sent again", order=an_order(attempts=LIVE), seen=a_sight(orders={1: a_report(status=OrderStatus.CANCELED)}, ended_ms=DONE, settle_read_ms={1: T0 + 1000}), after_ms=1500, verdict="CanceledByExchange"),
)
def test_rule_10_change(case):
    check(case)


def test_rule_10_the_remainder_is_the_target_less_what_filled():
    decision = check(Case("", order=an_order(spec=CHANGED, attempts=[*LIVE, an_attempt(2, "Prepared")]), after_ms=3000, action=Submit, number=2, seen=a_sight(
        orders={1: a_report(status=OrderStatus.CANCELED, filled="0.4")}, trades={1: (a_trade("1", "0.4"),)}, ended_ms=DONE, settle_read_ms={1: T0 + 1000},
        sends={2: a_send(SendStage.PREPARED, 2)},
    )))
    assert (decision.action.request.quantity, decision.action.request.price) == (Decimal("0.6"), Decimal("49000"))


@pytest.mark.proves("rule 11")
@table(
    Case("whole: final at once", order=an_order(attempts=LIVE), seen=a_sight(orders={1: a_report(status=OrderStatus.FILLED, filled="1")}, trades={1: (a_trade("1", "0.5"), a_trade("2", "0.5"))}), verdict="Filled"),
    Case("whole, but its trades are not known: read", order=an_order(attempts=LIVE), seen=a_sight(orders={1: a_report(status=OrderStatus.FILLED, filled="1")}), after_ms=2000, action=Settle),
    Case("canceled a moment ago: not final yet", order=an_order(spec=CANCEL, attempts=LIVE), seen=a_sight(orders={1: a_report(status=OrderStatus.CANCELED)}, ended_ms=DONE), after_ms=10),
    Case("canceled, lookupDelay later: read once more", order=an_order(spec=CANCEL, attempts=LIVE), seen=a_sight(orders={1: a_report(status=OrderStatus.CANCELED)}, ended_ms=DONE), after_ms=1000, action=Settle),
    Case("… and then it is the end", order=an_order(spec=CANCEL, attempts=LIVE), seen=a_sight(orders={1: a_report(status=OrderStatus.CANCELED)}, ended_ms=DONE, settle_read_ms={1: T0 + 1000}), after_ms=1100, verdict="CanceledAsAsked"),
    Case("an IOC remainder is Canceled whatever the venue calls it", order=an_order(spec=a_spec(timeInForce="IOC"), attempts=LIVE), seen=a_sight(orders={1: a_report(status=OrderStatus.EXPIRED, filled="0.5")}, trades={1: (a_trade("1", "0.5"),)}, ended_ms=DONE, settle_read_ms={1: T0 + 1000}), after_ms=1100, verdict="PartiallyFilled"),
    Case("a FOK that found nothing", order=an_order(spec=a_spec(timeInForce="FOK"), attempts=LIVE), seen=a_sight(orders={1: a_report(status=OrderStatus.EXPIRED)}, ended_ms=DONE, settle_read_ms={1: T0 + 1000}), after_ms=1100, verdict="NotFilled"),
    Case("refused at the first send: no order, an end at once", seen=a_sight(new=True, sends={1: a_send(SendStage.REFUSED, reason="Insufficient balance")}), verdict="RejectedByExchange"),
    Case("finished: the finalizer goes", order=an_order(status={"completionTime": "2027-01-15T08:00:00Z", "state": "Filled"}), action=Release),
    Case("finished and let go: nothing", order=an_order(status={"completionTime": "2027-01-15T08:00:00Z", "state": "Filled"}, finalizer=False)),
)
def test_rule_11_finish_and_delete(case):
    check(case)


PINNED = {"account": {"uid": "account-1", "fingerprint": "another", "exchange": "binance"}}


@pytest.mark.proves("rule 13", "H17")
@table(
    Case("an order that may have been sent is not looked for on another account", order=an_order(attempts=[an_attempt(1, "Prepared")], status=PINNED), after_ms=60_000, waiting="AnotherAccount"),
    Case("a deleted one is not let go", order=an_order(attempts=LIVE, status=PINNED, deleting=True), waiting="AnotherAccount"),
    Case("a cancel does not go there", order=an_order(spec=CANCEL, attempts=LIVE, status=PINNED), seen=a_sight(**OPEN), waiting="AnotherAccount"),
    Case("the account it was sent on is the right one", order=an_order(attempts=LIVE, status={"account": {**PINNED["account"], "fingerprint": "354937868"}}), seen=a_sight(**OPEN)),
)
def test_rule_13_h17_the_right_account(case):
    check(case)


@pytest.mark.proves("rule 8", "rule 12")
@table(
    Case("recorded as live and not seen since the start: asked for", order=an_order(attempts=LIVE), action=Lookup),
    Case("missing from a complete list: asked for, not believed gone", order=an_order(attempts=LIVE), seen=a_sight(**OPEN, missing={1: T0}), action=Lookup),
    Case("seen and as wanted: nothing to do", order=an_order(attempts=LIVE), seen=a_sight(**OPEN)),
    Case("partly filled with trades missing: read", order=an_order(attempts=LIVE), seen=a_sight(orders={1: a_report(filled="0.3")}), after_ms=5000, action=Settle),
)
def test_rules_8_and_12_what_is_not_known_is_read(case):
    check(case)


@pytest.mark.proves("rule 8", "F24")
@table(
    Case("the venue shows less filled than it did: shown, and never believed", order=an_order(attempts=[an_attempt(1, "Live", exchangeOrderId="1001", filledQuantity="0.5")]),
         seen=a_sight(orders={1: a_report(filled="0.2")}), waiting="FillsDisagree"),
    Case("trades that overtook the total are no disagreement of the venue's", order=an_order(attempts=LIVE),
         seen=a_sight(orders={1: a_report(filled="0.2")}, trades={1: (a_trade("1", "0.2"), a_trade("2", "0.1"))})),
)
def test_rule_8_a_fill_never_falls(case):
    check(case)
