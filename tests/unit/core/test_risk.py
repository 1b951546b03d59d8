"""RiskLimits, case by case."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

import pytest

from exchange_kernel.api import RiskLimitSpec
from exchange_kernel.core.actions import WriteAhead
from exchange_kernel.core.answers import OrderStatus
from exchange_kernel.core.decide import decide
from exchange_kernel.core.facts import Facts
from exchange_kernel.core.order import Membership
from exchange_kernel.core.risk import Exposure, LimitRecord, Proposal, notional, refused
from exchange_kernel.core.venue import MarketRules, OrderRequest
from tests.builders import T0, a_market, a_report, a_sight, a_spec, an_attempt, an_order, at


def a_limit(name: str = "desk", **spec: Any) -> LimitRecord:
    return LimitRecord(uid=name, namespace="default", name=name, spec=RiskLimitSpec.model_validate(spec))


def a_request(**changes: Any) -> OrderRequest:
    values: dict[str, Any] = {"client_order_id": "a", "symbol": "BTC/USDT", "side": "Buy", "type": "Limit", "quantity": Decimal(1), "price": Decimal(50000)}
    return OrderRequest(**{**values, **changes})


SPOT = a_market()
LINEAR = a_market(symbol="BTC/USDT:USDT", contract_size=Decimal("0.001"))
INVERSE = a_market(symbol="BTC/USD:BTC", quote="USD", contract_size=Decimal(100))
USDT_1000 = {"maxOrderNotional": [{"asset": "USDT", "amount": "1000"}]}
AT_MOST_2 = {"maxPosition": [{"symbol": "BTC/USDT", "quantity": "2"}]}


@dataclass
class Case:
    reason: str
    limits: tuple[LimitRecord, ...] | None
    want: str | None = None              # part of the message; None: it passes
    waits: bool = False
    request: OrderRequest = field(default_factory=a_request)
    market: MarketRules = SPOT
    proposal: dict[str, Any] = field(default_factory=dict)
    exposure: dict[str, Any] = field(default_factory=dict)


CASES = [
    Case("no RiskLimit is no limit", ()),
    Case("limits that are not read yet are no licence", None, "not read yet", waits=True),
    Case("one that this version can't read lets nothing pass", (LimitRecord(uid="x", namespace="d", name="new", spec=None),), "new can't be read", waits=True),
    Case("a type that is listed", (a_limit(allowedTypes=["Limit"]),)),
    Case("a type that is not", (a_limit(allowedTypes=["Limit"]),), "allowedTypes are Limit, and the order is of type Market", request=a_request(type="Market", price=None)),
    Case("worth more than allowed", (a_limit(**USDT_1000),), "RiskLimit desk: maxOrderNotional is 1000 USDT, and the order is worth 50000 USDT."),
    Case("worth as much as allowed, to the last digit", (a_limit(**USDT_1000),), request=a_request(quantity=Decimal("0.02"))),
    Case("an asset that is not listed is refused", (a_limit(maxOrderNotional=[{"asset": "EUR", "amount": "1"}]),), "no amount for USDT"),
    Case("what a market order by quantity is worth, nobody knows", (a_limit(**USDT_1000),), "without a price", request=a_request(type="Market", price=None)),
    Case("one by quoteQuantity says it", (a_limit(**USDT_1000),), request=a_request(type="Market", price=None, quantity=None, quote_quantity=Decimal(1000))),
    Case("a stop is worth what it is at its trigger", (a_limit(**USDT_1000),), "worth 40000", request=a_request(type="StopMarket", price=None, trigger_price=Decimal(40000))),
    Case("contracts are worth their size", (a_limit(**USDT_1000),), request=a_request(symbol=LINEAR.symbol, quantity=Decimal(20)), market=LINEAR),
    Case("and no more of them pass", (a_limit(**USDT_1000),), "worth 1050", request=a_request(symbol=LINEAR.symbol, quantity=Decimal(21)), market=LINEAR),
    Case("inverse contracts are of the quote asset, without a price too", (a_limit(maxOrderNotional=[{"asset": "USD", "amount": "1000"}]),), "worth 1100",
         request=a_request(symbol=INVERSE.symbol, type="Market", price=None, quantity=Decimal(11)), market=INVERSE),
    Case("an exit is as large as the entry that was judged", (a_limit(**USDT_1000),), proposal={"exit": True}),
    Case("room for a position", (a_limit(**AT_MOST_2),), exposure={"position": Decimal(1), "position_current": True}),
    Case("no room", (a_limit(**AT_MOST_2),), "maxPosition of BTC/USDT is 2", exposure={"position": Decimal("1.5"), "position_current": True}),
    Case("no room by an old reading: there may be, by the next", (a_limit(**AT_MOST_2),), "maxPosition of BTC/USDT is 2", waits=True, exposure={"position": Decimal("1.5")}),
    Case("not read yet", (a_limit(**AT_MOST_2),), "until the account's positions are read", waits=True),
    Case("a market that is not listed is refused", (a_limit(maxPosition=[{"symbol": "ETH/USDT", "quantity": "2"}]),), "no quantity for BTC/USDT"),
    Case("a sale on spot makes it smaller", (a_limit(maxPosition=[{"symbol": "ETH/USDT", "quantity": "2"}]),), request=a_request(side="Sell")),
    Case("a sale of contracts may open the other way", (a_limit(maxPosition=[{"symbol": LINEAR.symbol, "quantity": "2"}]),), "maxPosition",
         request=a_request(symbol=LINEAR.symbol, side="Sell", quantity=Decimal(3)), market=LINEAR, exposure={"position": Decimal(0), "position_current": True}),
    Case("what closes one of two positions", (a_limit(maxPosition=[{"symbol": LINEAR.symbol, "quantity": "2"}]),),
         request=a_request(symbol=LINEAR.symbol, side="Sell", position_side="Long", quantity=Decimal(3)), market=LINEAR),
    Case("ReduceOnly is never held to it", (a_limit(maxPosition=[{"symbol": "ETH/USDT:USDT", "quantity": "2"}]),), request=a_request(symbol=LINEAR.symbol, reduce_only=True), market=LINEAR),
    Case("nor the exit of a group", (a_limit(**AT_MOST_2),), proposal={"exit": True}, exposure={"position": Decimal(2), "position_current": True}),
    Case("of a live order that is amended, its unfilled part adds", (a_limit(**AT_MOST_2),), request=a_request(quantity=Decimal(3)), proposal={"filled": Decimal(1), "replaces": True},
         exposure={"position": Decimal(0), "position_current": True}),
    Case("an order by quoteQuantity can't be judged", (a_limit(**AT_MOST_2),), "by quoteQuantity", request=a_request(type="Market", quantity=None, quote_quantity=Decimal(5), price=None)),
    Case("one open order too many waits", (a_limit(maxOpenOrders=2),), "maxOpenOrders is 2", waits=True, exposure={"open_orders": 2}),
    Case("one fewer, and it goes", (a_limit(maxOpenOrders=2),), exposure={"open_orders": 1}),
    Case("a change makes none more", (a_limit(maxOpenOrders=2),), proposal={"replaces": True}, exposure={"open_orders": 2}),
    Case("too many a minute wait", (a_limit(maxOrdersPerMinute=5),), "maxOrdersPerMinute is 5", waits=True, exposure={"sent_last_minute": 5}),
    Case("all limits must be kept", (a_limit("a", allowedTypes=["Limit"]), a_limit("b", **USDT_1000)), "RiskLimit b: maxOrderNotional"),
    Case("what can never pass goes before what waits, whichever says it", (a_limit("a", maxOpenOrders=0), a_limit("b", **USDT_1000)), "RiskLimit b: maxOrderNotional"),
    Case("none means none", (a_limit(maxOpenOrders=0),), "maxOpenOrders is 0", waits=True),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.reason)
def test_what_passes(case):
    refusal = refused(Proposal(request=case.request, **case.proposal), Exposure(limits=case.limits, **case.exposure), case.market)
    assert (refusal is None) == (case.want is None), refusal
    if refusal is not None:
        assert case.want in refusal.message
        assert refusal.waits == case.waits


@pytest.mark.parametrize(("names", "covered"), [([], True), (["main", "other"], True), (["other"], False)])
def test_a_limit_is_for_all_accounts_or_for_those_it_names(names, covered):
    assert a_limit(maxOpenOrders=1, accountSelector={"names": names}).covers("main") is covered


def test_an_inverse_contract_is_known_by_its_symbol():
    assert (SPOT.settle, LINEAR.settle, INVERSE.settle) == (None, "USDT", "BTC")
    assert (SPOT.inverse, LINEAR.inverse, INVERSE.inverse) == (False, False, True)
    assert notional(a_request(quantity=Decimal(3)), INVERSE) == 300


# ── In the decision ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

TIGHT, FULL = Exposure(limits=(a_limit(**USDT_1000),)), Exposure(limits=(a_limit(maxOpenOrders=1),), open_orders=1)
OPEN = an_order(attempts=[an_attempt(1, "Live", exchangeOrderId="1001")], spec=a_spec(price="49000"), generation=2)


def seen_live(exposure: Exposure, **changes: Any):
    return a_sight(orders={1: a_report(1)}, exposure=exposure, **changes)


def test_an_order_that_can_never_pass_is_denied_before_its_first_send():
    decision = decide(Facts(an_order(), a_sight(new=True, exposure=TIGHT), at(0)))
    assert decision.verdict is not None
    assert (decision.verdict.state, decision.verdict.reason) == ("Denied", "RiskLimit")
    assert "RiskLimit desk" in decision.verdict.message


def test_an_order_that_may_pass_later_waits():
    decision = decide(Facts(an_order(), a_sight(new=True, exposure=FULL), at(0)))
    assert (decision.action, decision.verdict) == (None, None)
    assert decision.waiting is not None
    assert decision.waiting.reason == "RiskLimit"
    assert decision.again_ms


def test_a_change_that_a_limit_refuses_leaves_the_order_as_it_was():
    decision = decide(Facts(OPEN, seen_live(TIGHT), at(5000)))
    assert decision.action is None
    assert decision.waiting is not None
    assert decision.waiting.message.endswith("The order at the exchange stays as it was.")
    assert isinstance(decide(Facts(OPEN, seen_live(Exposure()), at(5000))).action, WriteAhead)


@pytest.mark.parametrize("order", [
    replace(OPEN, spec=a_spec(desiredState="Canceled")), replace(OPEN, deleting=True), an_order(spec=a_spec(desiredState="Canceled"), attempts=[an_attempt(1, "Prepared")]),
])
def test_nothing_holds_back_a_cancel_a_delete_or_a_lookup(order):
    limits = Exposure(limits=(LimitRecord(uid="x", namespace="d", name="new", spec=None), a_limit(maxOpenOrders=0, maxOrdersPerMinute=0, **USDT_1000)))
    for exposure in (limits, Exposure(limits=None)):
        assert decide(Facts(order, a_sight(orders={1: a_report(1)} if order.attempts[0].stage == "Live" else {}, exposure=exposure), at(5000))) == \
            decide(Facts(order, a_sight(orders={1: a_report(1)} if order.attempts[0].stage == "Live" else {}), at(5000)))


def test_an_order_that_ended_is_finished_whatever_limits_say():
    order = an_order(attempts=[an_attempt(1, "Live", exchangeOrderId="1001")])
    seen = a_sight(orders={1: a_report(1, OrderStatus.FILLED, filled="1")}, ended_ms={1: T0}, settle_read_ms={1: T0 + 5000}, exposure=TIGHT)
    assert decide(Facts(order, seen, at(9000))) == decide(Facts(order, replace(seen, exposure=Exposure()), at(9000)))


def test_the_exit_of_a_group_is_sent():
    order = an_order(spec=a_spec(groupRef={"name": "g", "uid": "g", "member": "stop"}))
    decision = decide(Facts(order, a_sight(new=True, exposure=TIGHT, group=Membership(exit=order.spec.quantity)), at(0)))
    assert isinstance(decision.action, WriteAhead), decision


@pytest.mark.parametrize("exit", [Decimal("0.999"), None], ids=["more than its group wants of it", "no exit"])
def test_what_is_no_exit_of_what_is_open_is_held_to_the_limit(exit):
    order = an_order(spec=a_spec(groupRef={"name": "g", "uid": "g", "member": "stop"}, quantity="1"))
    decision = decide(Facts(order, a_sight(new=True, exposure=TIGHT, group=Membership(exit=exit)), at(0)))
    assert (decision.verdict.state, decision.verdict.reason) == ("Denied", "RiskLimit")


@pytest.mark.parametrize(("asked", "exempt"), [("6", True), ("6.001", False)])
def test_what_an_exit_filled_before_counts_towards_what_it_may_close(asked, exempt):
    """Of 10 in all, 4 filled by its first attempt."""
    order = an_order(spec=a_spec(groupRef={"name": "g", "uid": "g", "member": "stop"}, quantity="10"), attempts=[an_attempt(1, "Ended", filledQuantity="4", exchangeOrderId="1001")])
    facts = Facts(order, a_sight(orders={1: a_report(1, OrderStatus.CANCELED, filled="4")}, exposure=TIGHT, group=Membership(exit=Decimal(10))), at(0))
    assert (facts.risk(a_request(quantity=Decimal(asked))) is None) is exempt
