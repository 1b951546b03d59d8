"""Market: one market of an exchange and the rules that its orders keep. Written by the operator only; a strategy reads it."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, StrictBool, StrictInt, StringConstraints

from exchange_kernel.api.base import INT32_MAX, Asset, Column, Kind, Resource, Spec, field, immutable
from exchange_kernel.api.exchange_account import Environment, ExchangeId, MarketType, Word
from exchange_kernel.api.money import NonNegativeDecimal
from exchange_kernel.api.order_terms import Symbol


class ContractType(StrEnum):
    LINEAR = "Linear"
    INVERSE = "Inverse"


class MarketPriceBand(Spec):
    """How far from the market a limit price may be."""

    lowest: NonNegativeDecimal = field("The lowest price, as a factor of the exchange's reference price: 0.2 is a fifth of it.")
    highest: NonNegativeDecimal = field("The highest price, as a factor of it.")


class MarketSpec(Spec):
    """The market, as its exchange last told it. Written by the operator, which changes back what somebody else writes when it next reads the markets."""

    exchange: ExchangeId = field("The exchange, by ccxt's id.")
    environment: Environment = field("Which of the exchange's environments.")
    endpoint: Annotated[str, StringConstraints(max_length=512)] | None = field(
        "The base address of its REST API, where the accounts name one; absent: the exchange's own.", default=None)
    market_type: MarketType = field("Which of the exchange's markets.")
    symbol: Symbol = field("The market, as ccxt writes it: what spec.symbol of an order names.")
    base: Asset = field("What is traded.")
    quote: Asset = field("What prices are in.")
    settle: Asset | None = field("What contracts are settled in; absent on spot.", default=None)
    contract_type: ContractType | None = field(
        "Linear: a contract is of so much of the base asset. Inverse: of so much of the quote asset, settled in the base asset. Absent on spot.", default=None)
    contract_size: NonNegativeDecimal | None = field("How much one contract is of: base units, or quote units if it is Inverse. Absent on spot.", default=None)
    active: StrictBool = field("Whether it is open for trading.")
    quantity_step: NonNegativeDecimal | None = field("Quantities are multiples of this: base units on spot, contracts on derivatives.", default=None)
    price_step: NonNegativeDecimal | None = field("Prices are multiples of this, in the quote asset.", default=None)
    min_quantity: NonNegativeDecimal | None = field("Smallest quantity of an order.", default=None)
    max_quantity: NonNegativeDecimal | None = field("Largest quantity of an order.", default=None)
    min_price: NonNegativeDecimal | None = field("Lowest price of an order.", default=None)
    max_price: NonNegativeDecimal | None = field("Highest price of an order.", default=None)
    min_notional: NonNegativeDecimal | None = field("Smallest quantity times price of an order, in the quote asset.", default=None)

    order_types: list[Word] = field("Types of spec.type that the operator's adapter offers and this market has.", max_items=32, unique=True)
    post_only: StrictBool | None = field("Whether it has orders with executionPolicy PostOnly; absent: the exchange does not say.", default=None)
    native_groups: Annotated[list[Word], Field(max_length=8, json_schema_extra={"x-kubernetes-list-type": "set"})] | None = Field(
        description="Modes of an OrderGroup that the exchange keeps itself on this market; absent: the exchange does not say.", default=None)
    buy_price_band: MarketPriceBand | None = field("How far from the market a limit price to buy may be; absent: no limit is known.", default=None)
    sell_price_band: MarketPriceBand | None = field("How far from the market a limit price to sell may be; absent: no limit is known.", default=None)
    max_open_orders: StrictInt | None = field("Most open orders of one account on it; absent: no limit is known.", default=None, minimum=0, maximum=INT32_MAX)
    max_trigger_orders: StrictInt | None = field(
        "Most of them that may wait for a trigger; absent: no limit is known.", default=None, minimum=0, maximum=INT32_MAX)

    rules = immutable("exchange", "environment", "endpoint", "marketType", "symbol", instead="a Market is the operator's to write")


class Market(Kind):
    """One market of an exchange: an object for each exchange, environment, endpoint, market type and symbol that an ExchangeAccount of the namespace trades."""

    written_by_people = False

    kind: Literal["Market"] = "Market"
    spec: MarketSpec = field("The market, as its exchange last told it.")

    resource = Resource(
        plural="markets", singular="market", short_names=("mkt",),
        columns=(
            Column("Exchange", ".spec.exchange", "The exchange."),
            Column("Symbol", ".spec.symbol", "The market."),
            Column("Active", ".spec.active", "Whether it is open for trading.", type="boolean"),
            Column("QtyStep", ".spec.quantityStep", "Quantities are multiples of this."),
            Column("PriceStep", ".spec.priceStep", "Prices are multiples of this."),
            Column("MinNotional", ".spec.minNotional", "Smallest quantity times price."),
            Column("Age", ".metadata.creationTimestamp", "Time since creation.", type="date"),
            Column("Environment", ".spec.environment", "Live, Sandbox or Simulated.", wide=True),
            Column("Type", ".spec.marketType", "Which of the exchange's markets.", wide=True),
            Column("Contract", ".spec.contractSize", "How much one contract is of.", wide=True),
            Column("Settle", ".spec.settle", "What contracts are settled in.", wide=True),
        ),
        selectable=(".spec.exchange", ".spec.symbol", ".spec.base", ".spec.quote", ".spec.marketType"),
    )
