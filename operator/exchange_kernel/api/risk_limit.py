"""RiskLimit: what the orders of an account may not exceed. Judged at apply where CEL can, and by the operator before every send."""

from __future__ import annotations

from typing import Literal

from pydantic import StrictInt

from exchange_kernel.api.base import INT32_MAX, Asset, Column, Kind, ObjectName, Resource, Spec, field, required
from exchange_kernel.api.money import PositiveDecimal
from exchange_kernel.api.order_terms import OrderType, Symbol


class AccountSelector(Spec):
    """Which ExchangeAccounts of the namespace."""

    names: list[ObjectName] = field("Names of ExchangeAccounts; empty: all of the namespace.", max_items=64, unique=True)


class NotionalLimit(Spec):
    """The most that one order may be worth in one quote asset."""

    asset: Asset = field("The quote asset of the order's market.", examples=["USDT"])
    amount: PositiveDecimal = field("The most that quantity times price may be, in this asset; of contracts, times their size.")


class PositionLimit(Spec):
    """The most that may be held of one market."""

    symbol: Symbol = field("The market, as ccxt writes it.", examples=["BTC/USDT", "ETH/USDT:USDT"])
    quantity: PositiveDecimal = field("The largest position, long or short: base units on spot, contracts on derivatives.")


class RiskLimitSpec(Spec):
    """The limits. What is absent is not limited; an order must keep all of them, and those of every other RiskLimit on its account."""

    account_selector: AccountSelector | None = field("The accounts it is for; absent: all of the namespace. Each is limited on its own.", default=None)
    max_order_notional: list[NotionalLimit] = field(
        "The most that one order may be worth, by quote asset. Once one asset is listed, orders in any other are refused, and so are those of which nobody "
        "knows what they are worth: a Market order by quantity, a TrailingStop without triggerPrice.", max_items=64, key="asset")
    max_open_orders: StrictInt | None = field(
        "The most OrderIntents with an order that is, or may be, at the exchange. A further one waits.", default=None, minimum=0, maximum=INT32_MAX)
    max_position: list[PositionLimit] = field(
        "The largest position by market, open orders counted as if they were filled. Once one market is listed, orders in any other are refused. "
        "ReduceOnly orders and the exits of a group are not held to it.", max_items=256, key="symbol")
    max_orders_per_minute: StrictInt | None = field(
        "The most orders sent in any sixty seconds, changes of live orders counted too, cancels never. A further one waits.",
        default=None, minimum=0, maximum=INT32_MAX)
    allowed_types: list[OrderType] = field("The only types that may be sent; empty: all.", max_items=16, unique=True)

    rules = (
        required(
            "has(self.maxOrderNotional) || has(self.maxOpenOrders) || has(self.maxPosition) || has(self.maxOrdersPerMinute) || has(self.allowedTypes)",
            "a RiskLimit must limit something: set maxOrderNotional, maxOpenOrders, maxPosition, maxOrdersPerMinute or allowedTypes", at="maxOrderNotional"),
    )


class RiskLimit(Kind):
    """Limits on the orders of ExchangeAccounts in the same namespace. All RiskLimits on an account must be kept; without one there is no limit."""

    kind: Literal["RiskLimit"] = "RiskLimit"
    spec: RiskLimitSpec = field("The limits.")

    resource = Resource(
        plural="risklimits", singular="risklimit", short_names=("rl",),
        columns=(
            Column("Accounts", ".spec.accountSelector.names", "The accounts it is for; empty: all."),
            Column("Open", ".spec.maxOpenOrders", "Most open orders.", type="integer"),
            Column("PerMinute", ".spec.maxOrdersPerMinute", "Most orders a minute.", type="integer"),
            Column("Notional", ".spec.maxOrderNotional[*].amount", "Most that one order may be worth."),
            Column("Assets", ".spec.maxOrderNotional[*].asset", "In which quote assets."),
            Column("Age", ".metadata.creationTimestamp", "Time since creation.", type="date"),
            Column("Types", ".spec.allowedTypes", "The only types that may be sent.", wide=True),
            Column("Position", ".spec.maxPosition[*].quantity", "Largest position.", wide=True),
            Column("Markets", ".spec.maxPosition[*].symbol", "Of which markets.", wide=True),
        ),
        selectable=(),
    )
