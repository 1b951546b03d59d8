"""The checks that a group passes before its first order is sent: a table of cases."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

import pytest

from exchange_kernel.api import NativePolicy, RiskLimitSpec
from exchange_kernel.core import group_checks
from exchange_kernel.core.group_checks import Known
from exchange_kernel.core.risk import LimitRecord
from exchange_kernel.core.venue import PriceBand
from tests.builders import T0, a_market, a_venue
from tests.unit.groups.desk import a_group, a_member

TYPES = frozenset({"Market", "Limit", "StopMarket", "StopLimit", "TakeProfitMarket", "TakeProfitLimit", "TrailingStop"})
SPOT = a_venue(order_types=TYPES, trigger_prices=frozenset({"Last"}), trailing_units=frozenset({"BasisPoints"}))
PERPETUAL = replace(SPOT, reduce_only=True)
CONTRACT = a_market(contract_size=Decimal("0.001"), quantity_step=Decimal(1), min_quantity=Decimal(1), min_notional=None)
ENTRY = {"quantity": "0.01"}
STOP = {"type": "StopLimit", "price": "44900", "triggerPrice": "45000", "quantity": "0.01"}
TAKE = {"price": "55000", "quantity": "0.01"}
BAND = PriceBand(Decimal("0.5"), Decimal("1.5"))


def a_bracket(entry: dict[str, Any] | None = None, stop: dict[str, Any] | None = None, take: dict[str, Any] | None = None, **changes: Any):
    members = [a_member("entry", "Entry", **{**ENTRY, **(entry or {})}), a_member("stop", "StopLoss", **{**STOP, **(stop or {})})]
    members += [a_member("take", "TakeProfit", **{**TAKE, **take})] if take is not None else []
    return a_group("Bracket", *members, nativePolicy="Never", **changes)


def at_market(**changes: Any) -> dict[str, Any]:
    return {"type": "Market", "price": None, **changes}


def a_limit(**spec: Any) -> LimitRecord:
    return LimitRecord(uid="1", namespace="default", name="desk", spec=RiskLimitSpec.model_validate(spec))


@dataclass
class Case:
    reason: str
    group: Any
    want: str | None  # the reason of what is found
    says: str = ""
    known: dict[str, Any] = field(default_factory=dict)
    market: dict[str, Any] = field(default_factory=dict)
    waits: bool = False


SHORT_STOP = {"side": "Buy", "type": "StopMarket", "price": None, "triggerPrice": "52000"}
CASES = [
    Case("a bracket that fits is placed", a_bracket(take={}), None),
    Case("a short one too", a_bracket({"side": "Sell"}, SHORT_STOP, {"side": "Buy", "price": "45000"}), None),
    Case("the exit's own price makes it too small", a_bracket({"quantity": "0.0001"}, {"quantity": "0.0001"}), "TooSmallToProtect",
         "Member stop: filled whole, the Entry leaves it 0.0001 BTC, worth 4.49 USDT at its price, and the market's smallest order is 5 USDT"),
    Case("so does the fee that is taken from what was bought", a_bracket({"quantity": "0.00011"}, {"quantity": "0.00011", "price": "45460", "triggerPrice": "45500"}),
         "TooSmallToProtect", known={"venue": replace(SPOT, taker_fee=Decimal("0.001"))}),
    Case("which a sale does not lose", a_bracket({"side": "Sell", "quantity": "0.0001"}, {**SHORT_STOP, "quantity": "0.0001"}), None,
         known={"venue": replace(SPOT, taker_fee=Decimal("0.01"))}),
    Case("a part of the position is an order of its own", a_bracket(take={"quantity": "0.00005"}), "TooSmallToProtect", "Member take"),
    Case("the market has no stops", a_bracket(), "MarketRules", "Member stop: The market BTC/USDT has no orders of type StopLimit: use one of Limit, Market.",
         market={"order_types": frozenset({"Market", "Limit"})}),
    Case("the venue has none", a_bracket(), "MarketRules", "no orders of type StopLimit", known={"venue": replace(SPOT, order_types=frozenset({"Limit"}))}),
    Case("nor this time in force", a_bracket(stop={"timeInForce": "FOK"}), "MarketRules", "no timeInForce FOK",
         known={"venue": replace(SPOT, times_in_force=frozenset({"GTC"}))}),
    Case("nor this trigger", a_bracket(stop={"triggerPriceType": "Mark"}), "MarketRules", "no triggerPriceType Mark"),
    Case("nor reduce-only", a_bracket(stop={"positionEffect": "ReduceOnly"}), "MarketRules", "no reduce-only orders"),
    Case("nor post-only here", a_bracket(take={"executionPolicy": "PostOnly"}), "MarketRules", "has no post-only orders", market={"post_only": False}),
    Case("the market does not exist", a_bracket(), "UnknownSymbol", "Member entry: the exchange has no market BTC/USDT", known={"markets": {}}),
    Case("a market that is not known here may exist", a_bracket(), None, known={"markets": {}, "all_markets": False}),
    Case("the account may not trade it", a_bracket(), "SymbolNotAllowed", known={"symbols": ["ETH/USDT"]}),
    Case("a market that is halted is waited for", a_bracket(), None, market={"active": False}),
    Case("a long's stop above its entry", a_bracket(stop={"triggerPrice": "65000"}, take={}), "WrongSide",
         "Member stop: a StopLoss that sells is below the Entry's price, and this one would act at once: correct its triggerPrice."),
    Case("a long's take below its entry", a_bracket(take={"price": "49000"}), "WrongSide", "Member take: a TakeProfit that sells is above"),
    Case("a stop at the entry", a_bracket(stop={"triggerPrice": "50000"}), "WrongSide"),
    Case("a short's stop below its entry", a_bracket({"side": "Sell"}, {**SHORT_STOP, "triggerPrice": "48000"}), "WrongSide", "is above the Entry's price"),
    Case("a short's take above its entry", a_bracket({"side": "Sell"}, SHORT_STOP, {"side": "Buy", "price": "51000"}), "WrongSide"),
    Case("a Market entry is compared with the last price", a_bracket(at_market()), "WrongSide", "below the market's last price",
         known={"prices": {"BTC/USDT": Decimal(44000)}}),
    Case("it waits while that is not known", a_bracket(at_market()), "PriceUnknown", known={"prices": {}}, waits=True),
    Case("not for ever", a_bracket(at_market()), "SubmitDeadlineExceeded", known={"prices": {}, "wall_ms": T0 + 301_000}),
    Case("not where a stop follows the market", a_bracket(at_market(), {
        "type": "TrailingStop", "price": None, "triggerPrice": None, "trailing": {"offset": "100", "unit": "BasisPoints"}}), None, known={"prices": {}}),
    Case("a Limit entry that takes a better price at once fills there", a_bracket(), "WrongSide", known={"prices": {"BTC/USDT": Decimal(44000)}}),
    Case("and so may have its take below its own price", a_bracket({"price": "60000"}, take={}), None),
    Case("an entry that waits for its trigger fills there", a_bracket({"type": "StopMarket", "price": None, "triggerPrice": "44000"}), "WrongSide"),
    Case("exits alone, of which the stop is above the take", a_group(
        "OneCancelsOther", a_member("stop", "StopLoss", **{**STOP, "triggerPrice": "56000"}), a_member("take", "TakeProfit", **TAKE), nativePolicy="Never"), "WrongSide",
        "below the price of member take"),
    Case("a price out of the market's band where the entry fills", a_bracket(take={"price": "80000"}), "PriceOutOfBand",
         "Member take: price is too far from the market, which takes prices of this side between 0.5 and 1.5 times", market={"sell_band": BAND}),
    Case("the band is the side's", a_bracket(take={"price": "80000"}), None, market={"buy_band": BAND}),
    Case("an entry out of the band of the market now", a_bracket({"price": "20000"}, {"triggerPrice": "19000", "price": "18900"}), "PriceOutOfBand", "Member entry",
         market={"buy_band": BAND}),
    Case("an exit that is over before it is sent", a_bracket(stop={"timeInForce": "GTD", "expireTime": "2020-01-01T00:00:00Z"}), "ExpireTimePassed", "Member stop",
         known={"venue": replace(SPOT, times_in_force=frozenset({"GTC", "GTD"}))}),
    Case("a RiskLimit forbids the exit's type", a_bracket(), "RiskLimit", "Member stop: RiskLimit desk: its allowedTypes are Limit",
         known={"limits": (a_limit(allowedTypes=["Limit"]),)}),
    Case("or counts the orders that a position needs", a_bracket(take={}), "RiskLimit", "maxOpenOrders is 2, and the group has 3 orders open at once",
         known={"limits": (a_limit(maxOpenOrders=2),)}),
    Case("orders that close nothing can wait for each other", a_group("Basket", *(a_member(f"m{one}", price="50000", side="Buy", quantity="1") for one in range(3))), None,
         known={"limits": (a_limit(maxOpenOrders=2),)}),
    Case("what a limit may let pass later is judged later", a_bracket(), None, known={"limits": (a_limit(maxPosition=[{"symbol": "BTC/USDT", "quantity": "1"}]),)}),
    Case("the market takes no second trigger order", a_bracket(take={"type": "TakeProfitMarket", "price": None, "triggerPrice": "55000"}), "TooManyOrders",
         market={"max_trigger_orders": 1}),
    Case("it takes none now", a_bracket(), "TooManyOrders", known={"trigger_orders": {"BTC/USDT": 5}}, market={"max_trigger_orders": 5}, waits=True),
    Case("its open orders are full", a_bracket(), "TooManyOrders", known={"open_orders": {"BTC/USDT": 199}}, market={"max_open_orders": 200}, waits=True),
    Case("two positions, and none is named", a_bracket({"quantity": "10"}, {"quantity": "10"}), "PositionSide", "Member entry: this account has two positions",
         known={"venue": replace(PERPETUAL, hedge_mode=True), "markets": {"BTC/USDT": CONTRACT}}),
    Case("an exit of the other position", a_bracket({"quantity": "10", "positionSide": "Long"}, {"quantity": "10", "positionSide": "Short"}), "PositionSide",
         "Member stop: it acts on another position",
         known={"venue": replace(PERPETUAL, hedge_mode=True), "markets": {"BTC/USDT": CONTRACT}}),
    Case("an exit that adds to what it should close", a_bracket(
        {"quantity": "10", "positionSide": "Short"}, {"quantity": "10", "positionSide": "Short"}), "PositionSide", "adds to the Short position",
        known={"venue": replace(PERPETUAL, hedge_mode=True), "markets": {"BTC/USDT": CONTRACT}}),
    Case("a position side where there is one position", a_bracket({"quantity": "10", "positionSide": "Long"}, {"quantity": "10", "positionSide": "Long"}), "MarketRules",
         "one position per market", known={"venue": PERPETUAL, "markets": {"BTC/USDT": CONTRACT}}),
    Case("exits that are larger together than the entry", a_bracket(stop={"quantity": "0.02"}), "ExitsLargerThanEntry"),
    Case("two exits of one balance without a list", a_bracket(take={}).model_copy(update={"native_policy": NativePolicy.PREFER}), "NeedsNativeGroup"),
    Case("a list is asked for where there is none", a_bracket().model_copy(update={"native_policy": NativePolicy.REQUIRE}), "NoNativeGroup"),
    Case("a leg of a basket", a_group("Basket", a_member("one", price="50000"), a_member("two", price="50000", quantity="0.00001")), "MarketRules",
         "Member two: quantity times price is below"),
    Case("a parameter that would be lost", a_bracket(stop={"exchangeParameters": {"x": "1"}}), "ExchangeParameters", "Member stop"),
    Case("a member that nobody wants is not judged", a_bracket(take={"price": "49000", "desiredState": "Canceled"}), None),
]


def judged(case: Case):
    group, members = group_checks.unplaced(case.group, "pair")
    market = replace(a_market(), **case.market)
    known = {"markets": {"BTC/USDT": market}, "venue": SPOT, "limits": (), "prices": {"BTC/USDT": Decimal(50000)}, "wall_ms": T0 + 1000, **case.known}
    return group_checks.denial(replace(group, created_ms=T0), members, Known(**known))


@pytest.mark.proves("rule 16")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.reason)
def test_what_can_not_be_protected_is_not_placed(case):
    problem = judged(case)
    assert (problem.reason if problem is not None else None) == case.want, problem
    if problem is not None:
        assert case.says in problem.message
        assert problem.waits is case.waits


def test_an_account_that_is_not_known_judges_by_the_market_alone():
    """As a kernel does that is not told of the account."""
    case = Case("", a_bracket(stop={"timeInForce": "FOK"}), None, known={"venue": None, "all_markets": False, "limits": None, "prices": {}, "wall_ms": None})
    assert judged(case) is None
    case.market = {"order_types": frozenset({"Limit"})}
    assert judged(case).reason == "MarketRules"


def test_all_that_is_wrong_is_found():
    group, members = group_checks.unplaced(a_bracket(stop={"triggerPrice": "65000"}, take={"price": "49000"}), "pair")
    known = Known(markets={"BTC/USDT": a_market(order_types=frozenset({"Limit"}))}, venue=SPOT)
    assert [one.reason for one in group_checks.problems(group, members, known)] == ["WrongSide", "WrongSide", "MarketRules"]
