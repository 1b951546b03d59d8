"""What a kernel answers with: frozen values that survive JSON (`Model.model_validate_json(value.model_dump_json())` is equal).

Quantities are in the unit of StandardOrder.quantity: base units on spot, contracts on derivatives. Prices are in the quote currency. Times are UTC.
`age_seconds` says how old the knowledge is: seconds since the source was last heard from, when the value was made.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from pydantic import Field

from exchange_kernel.api import DesiredState, Model, NonNegativeDecimal, Operation, PositionSide, SignedDecimal
from exchange_kernel.api import OrderState as _State
from exchange_kernel.api.base import Asset, Time
from exchange_kernel.schema import StandardOrder

#: Where an order stands; what each means is in the reference page of OrderIntent, under status.state.
State: TypeAlias = _State


class OrderIntent(Model):
    """The order that is wanted."""

    intent_id: str
    exchange_id: str = Field(description="The kernel's exchange_id.")
    account: str = Field(description="Name of the exchange account it is on.")
    strategy: str | None = Field(default=None, description="Whose it is; None: nobody's in particular.")
    order: StandardOrder
    desired_state: DesiredState = Field(description="Canceled once a cancel was asked for; never Working again.")
    suspended: bool = Field(default=False, description="Nothing is sent or changed until this is lifted; cancels go on.")
    metadata: dict[str, Any] = Field(default_factory=dict, description="The strategy's own notes, as they were given to place_order.")
    create_time: Time
    age_seconds: float = Field(ge=0)


class Fee(Model):
    """What was paid in one asset."""

    asset_id: Asset
    amount: SignedDecimal = Field(description="Negative for a maker's rebate.")


class Fill(Model):
    """One execution."""

    trade_id: str = Field(description="The exchange's id; of an inferred one, ours.")
    quantity: NonNegativeDecimal
    price: NonNegativeDecimal
    fee: Fee | None = Field(default=None, description="None: the exchange did not say.")
    time: Time | None = Field(description="By the exchange's clock; None if it is known only that it happened.")
    inferred: bool = Field(default=False, description="The order's total proves that so much was filled, and no execution shows how (yet).")


class OrderState(Model):
    """The order as the exchange has it, by the last status that was committed."""

    intent_id: str
    symbol_id: str
    state: State
    operation: Operation | None = Field(default=None, description="Change under way.")
    finished: bool = Field(description="The end is settled: nothing about the order can change any more.")
    succeeded: bool | None = Field(description="Whether it ended as asked; None while it has not.")
    stalled: bool = Field(default=False, description="It goes no further by itself, for `reason`.")
    reachable: bool | None = Field(description="Whether the exchange answered for this order when it was last asked; None: not known.")
    reason: str = Field(default="", description="Why it is as it is, in one CamelCase word for programs.")
    message: str = Field(default="", description="The same as a sentence for people: stable text.")
    client_order_id: str | None = None
    exchange_order_id: str | None = None
    filled_quantity: NonNegativeDecimal
    filled_quote_quantity: NonNegativeDecimal = Field(description="In the quote currency.")
    remaining_quantity: NonNegativeDecimal | None = Field(default=None, description="None for an order by quote_quantity, or not looked at yet.")
    average_price: NonNegativeDecimal | None = None
    fees: tuple[Fee, ...] = Field(default=(), description="Paid so far, by asset.")
    fills: tuple[Fill, ...] = Field(default=(), description="The last 20, oldest first. What counts is filled_quantity.")
    submit_time: Time | None = Field(default=None, description="First sent, by the exchange's clock.")
    acknowledge_time: Time | None = None
    trigger_time: Time | None = None
    completion_time: Time | None = None
    current: bool = Field(description="The status answers the newest change of the intent; False: the operator has not come to it yet.")
    sequence: int = Field(ge=0, description="Number of the last event told of this intent.")
    age_seconds: float = Field(ge=0)


class Position(Model):
    """What is held of one market. On spot this follows from balances; on derivatives there is one for each side in hedge mode, else one."""

    symbol_id: str
    side: PositionSide
    quantity: NonNegativeDecimal = Field(description="Base units on spot, contracts on derivatives.")
    contract_size: NonNegativeDecimal | None = Field(default=None, description="Base units of one contract; None on spot.")
    entry_price: NonNegativeDecimal | None = None
    mark_price: NonNegativeDecimal | None = None
    liquidation_price: NonNegativeDecimal | None = None
    leverage: NonNegativeDecimal | None = None
    unrealized_pnl: SignedDecimal | None = Field(default=None, description="In the settlement asset.")
    time: Time = Field(description="When the exchange said so.")
    age_seconds: float = Field(ge=0)


class Balance(Model):
    """What the account has of one asset."""

    asset_id: Asset
    free: SignedDecimal
    used: SignedDecimal = Field(description="Held back for open orders and positions.")
    total: SignedDecimal


class AccountState(Model):
    """One consistent snapshot of the account at the exchange."""

    exchange_id: str
    account: str
    balances: tuple[Balance, ...] = ()
    positions: tuple[Position, ...] = ()
    margin_used: SignedDecimal | None = Field(default=None, description="In `margin_asset_id`; None on spot.")
    margin_free: SignedDecimal | None = None
    margin_asset_id: Asset | None = None
    maker_fee_rate: SignedDecimal | None = Field(default=None, description="Share of the quote amount; a rebate is negative.")
    taker_fee_rate: SignedDecimal | None = None
    time: Time = Field(description="When the reading began, by the exchange's clock. What was filled before is in it.")
    answer_time: Time = Field(description="When it ended. What was filled later is not in it.")
    settled: bool = Field(description="Nothing was filled between the two, so that no fill is counted twice or missed by who goes by these times.")
    truncated: bool = Field(default=False, description="The account holds more than is told here.")
    age_seconds: float = Field(ge=0)


class AssetMetadata(Model):
    """An asset that is traded or paid with."""

    asset_id: Asset
    name: str | None = None
    quantity_step: NonNegativeDecimal | None = Field(default=None, description="Amounts are multiples of this.")
    active: bool = True
