"""An order's terms: what an OrderIntent and a member of an OrderGroup both say of the order that is wanted.

Every description here is what `kubectl explain` and the reference pages show.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field, StrictInt, StringConstraints, WithJsonSchema

from exchange_kernel.api.base import INT32_MAX, Rule, Spec, Time, field, forbidden, immutable, required
from exchange_kernel.api.money import PositiveDecimal
from exchange_kernel.api.wording import SYMBOL, SYMBOLS


def _as_ccxt_writes_it(text: str) -> str:
    if (problem := SYMBOLS.problem(text)) is not None:
        raise ValueError(problem)
    return text


Symbol = Annotated[
    str, StringConstraints(min_length=3, max_length=64), AfterValidator(_as_ccxt_writes_it),
    WithJsonSchema({"type": "string", "minLength": 3, "maxLength": 64, "pattern": SYMBOL}),
]
Name = Annotated[str, StringConstraints(min_length=1, max_length=64)]
ParameterValue = Annotated[str, StringConstraints(max_length=256)]
JsonText = Annotated[str, StringConstraints(max_length=1024)]


class Side(StrEnum):
    BUY = "Buy"
    SELL = "Sell"


class PositionSide(StrEnum):
    LONG = "Long"
    SHORT = "Short"


class OrderType(StrEnum):
    MARKET = "Market"
    LIMIT = "Limit"
    STOP_MARKET = "StopMarket"
    STOP_LIMIT = "StopLimit"
    TAKE_PROFIT_MARKET = "TakeProfitMarket"
    TAKE_PROFIT_LIMIT = "TakeProfitLimit"
    TRAILING_STOP = "TrailingStop"


class TriggerPriceType(StrEnum):
    LAST = "Last"
    MARK = "Mark"
    INDEX = "Index"


class TrailingUnit(StrEnum):
    PRICE = "Price"
    BASIS_POINTS = "BasisPoints"


class TimeInForce(StrEnum):
    GTC = "GTC"
    IOC = "IOC"
    FOK = "FOK"
    GTD = "GTD"


class ExecutionPolicy(StrEnum):
    ANY = "Any"
    POST_ONLY = "PostOnly"


class PositionEffect(StrEnum):
    ANY = "Any"
    REDUCE_ONLY = "ReduceOnly"


class DesiredState(StrEnum):
    WORKING = "Working"
    CANCELED = "Canceled"


class ModifyPolicy(StrEnum):
    AMEND_OR_REPLACE = "AmendOrReplace"
    AMEND_ONLY = "AmendOnly"
    REJECT = "Reject"


class DriftPolicy(StrEnum):
    REPORT = "Report"
    ENFORCE = "Enforce"


class Trailing(Spec):
    """How a TrailingStop follows the market."""

    offset: PositiveDecimal = field("Distance from the best price reached.", examples=["50"])
    unit: TrailingUnit = field("Price: offset is in the quote currency. BasisPoints: in hundredths of a percent.")


LIMIT_TYPES = "['Limit', 'StopLimit', 'TakeProfitLimit']"
TRIGGERED_TYPES = "['StopMarket', 'StopLimit', 'TakeProfitMarket', 'TakeProfitLimit']"

#: Rules that say otherwise of a group's member, whose size or prices may follow what an Entry fills.
PRICE_REQUIRED = required(
    f"!(self.type in {LIMIT_TYPES}) || has(self.price)",
    "price is required for limit types: set spec.price, or use type: Market", at="price",
)
TRIGGER_REQUIRED = required(
    f"!(self.type in {TRIGGERED_TYPES}) || has(self.triggerPrice)",
    "triggerPrice is required for Stop and TakeProfit types: set spec.triggerPrice, or use type: Market or Limit", at="triggerPrice",
)
TRIGGER_OF_ITS_TYPE = forbidden(
    "has(self.triggerPrice) || self.type == 'TrailingStop' || !has(self.triggerPriceType)",
    "triggerPriceType needs something to trigger: set spec.triggerPrice, or remove spec.triggerPriceType", at="triggerPriceType",
)
QUANTITY_REQUIRED = required(
    "has(self.quantity) || has(self.quoteQuantity)",
    "a quantity is required: set spec.quantity, or spec.quoteQuantity with type: Market", at="quantity",
)


class OrderTerms(Spec):
    """The order that is wanted."""

    symbol: Symbol = field("Market to trade, as ccxt writes it. Can't be changed.", examples=["BTC/USDT", "ETH/USDT:USDT"])
    side: Side = field("Buy or Sell. Can't be changed.")
    position_side: PositionSide | None = field(
        "Position to act on, for accounts in hedge mode; absent: the account has one position per market. Can't be changed.", default=None)
    type: OrderType = field(
        "Market takes what the book offers; Limit names the worst price. Stop and TakeProfit types wait for triggerPrice, TrailingStop follows the market "
        "by trailing.offset. Types that the exchange's adapter does not offer end as Denied. Can't be changed.")
    quantity: PositiveDecimal | None = field(
        "How much, in the unit that the market trades in: base units on spot, contracts on derivatives. Rounded down to the market's step. "
        "Exactly one of quantity and quoteQuantity is given.", default=None, examples=["0.01"])
    quote_quantity: PositiveDecimal | None = field("How much to spend or raise, in the quote currency; for type Market only.", default=None, examples=["250"])
    price: PositiveDecimal | None = field(
        "Worst price, in the quote currency; for limit types. Rounded to the market's step, never past the limit.", default=None, examples=["42000.50"])
    trigger_price: PositiveDecimal | None = field(
        "Price at which a Stop or TakeProfit order becomes active, in the quote currency; for TrailingStop, from where it begins to follow.", default=None)
    trigger_price_type: TriggerPriceType | None = field("Which price is compared with triggerPrice; absent: Last, the last trade's.", default=None)
    trailing: Trailing | None = field("How a TrailingStop follows the market.", default=None)
    time_in_force: TimeInForce | None = field(
        "How long the order works: GTC until it is cancelled, IOC only against what is there now, FOK the same but whole or not at all, GTD until "
        "expireTime. Absent: GTC. Not allowed with type Market, which takes what is there.", default=None)
    expire_time: Time | None = field(
        "When a GTD order ends. Where the exchange has no GTD, the operator emulates it: the order is sent as GTC, and cancelled at this time, or later if the "
        "operator is down then. Can't be changed.", default=None)
    execution_policy: ExecutionPolicy = field("PostOnly: the exchange refuses the order rather than let it take liquidity.", default=ExecutionPolicy.ANY)
    position_effect: PositionEffect = field("ReduceOnly: the order may make a position smaller, never larger or reversed.", default=PositionEffect.ANY)
    desired_state: DesiredState = field(
        "Working: the order is to be at the exchange until it ends. Canceled: it is not, or no longer; there is no way back.", default=DesiredState.WORKING)
    modify_policy: ModifyPolicy = field(
        "What a change of quantity or price may do. AmendOrReplace: amend the order in place where the exchange can, else cancel it and send the rest anew. "
        "AmendOnly: never replace, which would lose the place in the queue. Reject: leave the order as it is.", default=ModifyPolicy.AMEND_OR_REPLACE)
    drift_policy: DriftPolicy = field(
        "What to do when the order was changed at the exchange by someone else. Report: show it. Enforce: change it back.", default=DriftPolicy.REPORT)
    submit_deadline_seconds: StrictInt = field(
        "The first submission never happens later than this many seconds after creation; the order is Denied instead. Time suspended does not count; "
        "0 means no deadline. submitDeadlineTime replaces it.", default=300, minimum=0, maximum=INT32_MAX)
    submit_deadline_time: Time | None = field(
        "The first submission never happens after this time. Replaces submitDeadlineSeconds, and unlike it holds for an object that is restored or "
        "created again.", default=None)
    time_limit_seconds: StrictInt | None = field(
        "The order is cancelled if it is not filled so many seconds after it was first sent (status.submitTime), and ends as Canceled with reason "
        "TimeLimit; what it filled stays. The operator keeps this time: while it is down the cancel waits. Absent: no such limit.",
        default=None, minimum=1, maximum=INT32_MAX)
    exchange_parameters: Annotated[dict[Name, ParameterValue], Field(max_length=16)] | None = field(
        "Parameters of this exchange only, as its adapter names and allows them.", default=None)
    metadata: Annotated[dict[Name, JsonText], Field(max_length=32)] | None = field(
        "The strategy's own notes; values are JSON text. The operator does not read them.", default=None)

    rules: ClassVar[Sequence[Rule]] = (
        PRICE_REQUIRED,
        forbidden(f"self.type in {LIMIT_TYPES} || !has(self.price)",
                  "price is for limit types only: remove spec.price, or use type: Limit", at="price"),
        TRIGGER_REQUIRED,
        forbidden("!(self.type in ['Market', 'Limit']) || !has(self.triggerPrice)",
                  "triggerPrice is not allowed for Market and Limit: remove spec.triggerPrice, or use a Stop or TakeProfit type", at="triggerPrice"),
        TRIGGER_OF_ITS_TYPE,
        required("self.type != 'TrailingStop' || has(self.trailing)",
                 "trailing is required for TrailingStop: set spec.trailing.offset and spec.trailing.unit", at="trailing"),
        forbidden("self.type == 'TrailingStop' || !has(self.trailing)",
                  "trailing is for TrailingStop only: remove spec.trailing, or use type: TrailingStop", at="trailing"),
        QUANTITY_REQUIRED,
        forbidden("!has(self.quantity) || !has(self.quoteQuantity)",
                  "quantity and quoteQuantity exclude each other: remove one of them", at="quoteQuantity"),
        forbidden("self.type == 'Market' || !has(self.quoteQuantity)",
                  "quoteQuantity is for type Market only: set spec.quantity instead", at="quoteQuantity"),
        forbidden("self.type != 'Market' || !has(self.timeInForce)",
                  "timeInForce is not allowed with type Market, which takes what is there: remove spec.timeInForce, or use type: Limit", at="timeInForce"),
        required("!has(self.timeInForce) || self.timeInForce != 'GTD' || has(self.expireTime)",
                 "expireTime is required with timeInForce GTD: set spec.expireTime, or use GTC", at="expireTime"),
        forbidden("!has(self.expireTime) || (has(self.timeInForce) && self.timeInForce == 'GTD')",
                  "expireTime needs timeInForce: GTD: set it, or remove spec.expireTime", at="expireTime"),
        forbidden("self.executionPolicy != 'PostOnly' || self.type == 'Limit'",
                  "PostOnly is for type Limit only: set spec.executionPolicy: Any, or use type: Limit", at="executionPolicy"),
        forbidden("self.executionPolicy != 'PostOnly' || !has(self.timeInForce) || !(self.timeInForce in ['IOC', 'FOK'])",
                  "PostOnly excludes IOC and FOK, which only take: set spec.executionPolicy: Any, or use GTC or GTD", at="executionPolicy"),
    )


#: What keeps its value for ever: what makes it this order.
IDENTITY = ("symbol", "side", "positionSide", "type")

#: No exchange changes these of a live order, and an edit that is taken and not carried out would be a lie.
UNCHANGEABLE = ("quoteQuantity", "triggerPriceType", "trailing", "timeInForce", "expireTime", "executionPolicy", "positionEffect")


def fixed_terms(*names: str, instead: str) -> tuple[Rule, ...]:
    """The rules about changes: what can't be changed, these fields among it, and that a cancel is not taken back. `instead`: what to do."""
    return (
        forbidden("oldSelf.desiredState != 'Canceled' || self.desiredState == 'Canceled'",
                  f"desiredState never goes back to Working: {instead}", at="desiredState"),
        *immutable(*names, *IDENTITY, *UNCHANGEABLE, instead=instead),
    )
