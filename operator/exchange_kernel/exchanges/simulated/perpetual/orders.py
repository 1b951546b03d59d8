"""What the perpetual engine works on, in Gate's words [FuturesOrder, MyFuturesTrade]."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING

from exchange_kernel.exchanges.simulated.orders import ZERO, Side
from exchange_kernel.exchanges.simulated.perpetual.contracts import Contract

if TYPE_CHECKING:
    from exchange_kernel.exchanges.simulated.perpetual.accounts import PerpetualAccount


class Tif(StrEnum):
    GTC = "gtc"
    IOC = "ioc"
    FOK = "fok"
    POC = "poc"         # pending or cancelled: post-only


class Slot(StrEnum):
    """Which position of a contract: the one there is, or in dual mode one of two. The words are a position's `mode` [Position]."""

    SINGLE = "single"
    LONG = "dual_long"
    SHORT = "dual_short"


class FinishAs(StrEnum):
    """How an order ended. Gate knows more; these are the ones that happen here."""

    FILLED = "filled"
    CANCELLED = "cancelled"
    IOC = "ioc"
    REDUCE_ONLY = "reduce_only"             # what is left of it would no longer reduce
    POSITION_CLOSED = "position_closed"     # it rested to reduce a position that is gone


@dataclass(frozen=True, slots=True, kw_only=True)
class NewOrder:
    contract: Contract
    side: Side
    size: int                       # contracts, more than 0
    price: Decimal | None           # None: market
    tif: Tif = Tif.GTC
    reduce_only: bool = False
    text: str = ""                  # `t-` and what the user wants; anything but unique


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """One side of a trade."""

    contract: Contract
    trade_id: int                   # ascends over all contracts; the two sides share it
    order_id: int
    text: str
    size: int                       # negative: sold
    close_size: int                 # how much of it closed a position, with the same sign
    price: Decimal
    fee: Decimal                    # quote; negative where the venue pays for it
    time: int                       # ms
    is_maker: bool


@dataclass(slots=True, eq=False, kw_only=True)
class Order:
    """An order that the engine accepted, as it stands."""

    account: PerpetualAccount
    contract: Contract
    order_id: int
    text: str
    side: Side
    size: int                       # contracts, more than 0
    price: Decimal                  # 0 for market
    tif: Tif
    reduce_only: bool
    slot: Slot
    time: int                       # accepted, ms
    left: int
    is_close: bool = False          # asked for as "close the position"
    update_time: int = 0
    finish_as: FinishAs | None = None
    value: Decimal = ZERO           # of what is filled, quote
    executions: list[Execution] = field(default_factory=list)

    @property
    def open(self) -> bool:
        return self.finish_as is None

    @property
    def remaining(self) -> Decimal:
        return Decimal(self.left)

    @property
    def limit(self) -> Decimal | None:
        return self.price or None

    @property
    def sign(self) -> int:
        return 1 if self.side is Side.BUY else -1

    @property
    def filled(self) -> int:
        return self.size - self.left

    @property
    def fill_price(self) -> Decimal:
        return self.value / (self.filled * self.contract.multiplier) if self.filled else ZERO
