"""StandardOrder, StandardOrderGroup and SymbolMetadata: what a strategy hands over, and what it should know of a market before it does.

A StandardOrder has the fields of an OrderIntent's spec without what concerns the object rather than the order. Amounts are `Decimal` (or decimal
text), never float: `quantity` exactly as ccxt means `amount` for that market, base units on spot and contracts on derivatives; prices in the quote currency.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from exchange_kernel.api import (
    DriftPolicy,
    ExecutionPolicy,
    FailurePolicy,
    GroupMode,
    MarketType,
    MemberRole,
    Model,
    ModifyPolicy,
    NativePolicy,
    NonNegativeDecimal,
    OrderIntentSpec,
    OrderType,
    PartialFillPolicy,
    PositionEffect,
    PositionSide,
    PositiveDecimal,
    Side,
    SignedDecimal,
    Spec,
    TimeInForce,
    Trailing,
    TriggerPassedPolicy,
    TriggerPriceType,
)
from exchange_kernel.api.base import INT32_MAX, Asset, Time
from exchange_kernel.api.order_group import MAX_MEMBERS, MAX_STEPS, HeldPosition, Offset, PriceStep
from exchange_kernel.api.order_intent import IdempotencyKey, MemberName
from exchange_kernel.api.order_terms import Name, ParameterValue, Symbol


class StandardOrder(Spec):
    """An order that is wanted. `problems()` says which rules between the fields it breaks, in the words in which the API server refuses it."""

    symbol_id: Symbol = Field(
        validation_alias="symbol", serialization_alias="symbol", description="Market to trade, as ccxt writes it: BTC/USDT, or ETH/USDT:USDT for a perpetual."
    )
    side: Side
    type: OrderType
    quantity: PositiveDecimal | None = Field(
        default=None, description="How much: base units on spot, contracts on derivatives. Exactly one of quantity and quote_quantity is given."
    )
    quote_quantity: PositiveDecimal | None = Field(default=None, description="How much to spend or raise, in the quote currency; type Market only.")
    price: PositiveDecimal | None = Field(default=None, description="Worst price, in the quote currency; limit types only.")
    trigger_price: PositiveDecimal | None = Field(default=None, description="Price at which a Stop or TakeProfit becomes active, in the quote currency.")
    trigger_price_type: TriggerPriceType | None = Field(default=None, description="Which price triggers; absent: Last.")
    trailing: Trailing | None = Field(default=None, description="How a TrailingStop follows the market.")
    time_in_force: TimeInForce | None = Field(default=None, description="Absent: GTC. Not allowed with type Market, which takes what is there.")
    expire_time: Time | None = Field(default=None, description="When a GTD order ends; kept by the operator where the exchange has no GTD.")
    execution_policy: ExecutionPolicy = Field(default=ExecutionPolicy.ANY, description="PostOnly: refused rather than taking liquidity.")
    position_effect: PositionEffect = Field(default=PositionEffect.ANY, description="ReduceOnly: makes a position smaller, never larger or reversed.")
    position_side: PositionSide | None = Field(default=None, description="Position to act on, in hedge mode.")
    modify_policy: ModifyPolicy = Field(default=ModifyPolicy.AMEND_OR_REPLACE, description="What a change of quantity or price may do to the order.")
    drift_policy: DriftPolicy = Field(default=DriftPolicy.REPORT, description="What to do when someone else changed the order at the exchange.")
    submit_deadline_seconds: int = Field(
        default=300, ge=0, le=INT32_MAX, description="The first submission never happens later than so many seconds after it is placed; 0: no deadline."
    )
    submit_deadline_time: Time | None = Field(default=None, description="The first submission never happens after this time. Replaces submit_deadline_seconds.")
    time_limit_seconds: int | None = Field(
        default=None, ge=1, le=INT32_MAX, description="The order is cancelled if it is not filled so many seconds after it was first sent; not for exits."
    )
    idempotency_key: IdempotencyKey | None = Field(
        default=None,
        description="Names this order: placed again with the same key, whatever crashed in between, it is the same one. Needs submit_deadline_time.",
    )
    exchange_parameters: Annotated[dict[Name, ParameterValue], Field(max_length=16)] | None = Field(
        default=None, description="Parameters of one exchange only, as its adapter names and allows them."
    )

    rules = tuple(rule for rule in OrderIntentSpec.rules if not rule.is_transition)


# ── Groups ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


class GroupMember(Spec):
    """One order of a group. Its intent id is `<group>-<name>`."""

    name: MemberName = Field(description="Unique in the group.")
    role: MemberRole = Field(default=MemberRole.LEG, description="What it is for; a Bracket has one to five Entries, a StopLoss and at most five TakeProfits.")
    order: StandardOrder
    quantity_percent: PositiveDecimal | None = Field(
        default=None, description="How much of what the Entry fills an exit closes, in percent, instead of order.quantity; neither: all of what is open."
    )
    price_offset: Offset | None = Field(
        default=None, description="An exit's price, instead of order.price, from what the Entry filled at: +3%, +150bp, or +500 in quote."
    )
    trigger_offset: Offset | None = Field(default=None, description="The same instead of order.trigger_price.")
    price_steps: Annotated[list[PriceStep], Field(max_length=MAX_STEPS)] | None = Field(
        default=None, description="What an exit's offsets become so many seconds after the Entry first filled."
    )
    on_trigger_passed: TriggerPassedPolicy | None = Field(
        default=None, description="What follows where the market is past an exit's trigger already; absent: Market for StopLoss, Report for TakeProfit."
    )


class StandardOrderGroup(Spec):
    """Orders that depend on each other."""

    mode: GroupMode
    members: tuple[GroupMember, ...] = Field(min_length=1, max_length=MAX_MEMBERS)
    native_policy: NativePolicy = Field(default=NativePolicy.PREFER, description="Whether the exchange's own order lists are used.")
    on_partial_fill: PartialFillPolicy | None = Field(
        default=None, description="What a partial fill of one does to the others; absent: Cancel for OneCancelsOther, Reduce for exits."
    )
    failure_policy: FailurePolicy = Field(default=FailurePolicy.CANCEL_ALL, description="What the failure of one does to the others.")
    position: HeldPosition | None = Field(default=None, description="Of Exits: how much of what is held they close, a quantity or Account for all of it.")
    position_time_limit_seconds: int | None = Field(
        default=None, ge=1, le=INT32_MAX, description="Close what is open at market so many seconds after the Entry first filled; absent: never."
    )


# ── Markets ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


class SymbolMetadata(Model):
    """A market, and the rules that its orders keep."""

    symbol_id: Symbol
    base_asset_id: Asset
    quote_asset_id: Asset = Field(description="What prices are in.")
    settle_asset_id: Asset | None = Field(default=None, description="What a derivative is settled in; absent on spot.")
    market_type: MarketType
    active: bool = Field(description="Whether it can be traded now.")
    quantity_step: NonNegativeDecimal | None = Field(default=None, description="Quantities are multiples of this, in the unit of StandardOrder.quantity.")
    price_step: NonNegativeDecimal | None = Field(default=None, description="Prices are multiples of this, in the quote currency.")
    min_quantity: NonNegativeDecimal | None = None
    max_quantity: NonNegativeDecimal | None = None
    min_notional: NonNegativeDecimal | None = Field(default=None, description="Smallest quantity times price, in the quote currency.")
    contract_size: NonNegativeDecimal | None = Field(default=None, description="Base units of one contract; absent on spot.")
    order_types: tuple[OrderType, ...] = Field(default=(), description="What the exchange's adapter offers here.")
    maker_fee_rate: SignedDecimal | None = Field(default=None, description="Share of the quote amount: 0.001 is a tenth of a percent; a rebate is negative.")
    taker_fee_rate: SignedDecimal | None = Field(default=None, description="The same for an order that takes liquidity.")
