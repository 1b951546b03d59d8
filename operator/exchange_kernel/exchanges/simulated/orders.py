"""What the engine works on: orders, their executions, and the words for both. Words are Binance's (binance-spot-api-docs, enums.md)."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from exchange_kernel.exchanges.simulated.symbols import Symbol

if TYPE_CHECKING:
    from exchange_kernel.exchanges.simulated.accounts import Account

ZERO = Decimal(0)


class Side(StrEnum):
    BUY = "BUY"
    SELL = "SELL"

    @property
    def opposite(self) -> Side:
        return Side.SELL if self is Side.BUY else Side.BUY


class OrderType(StrEnum):
    LIMIT = "LIMIT"
    MARKET = "MARKET"
    LIMIT_MAKER = "LIMIT_MAKER"


class TimeInForce(StrEnum):
    GTC = "GTC"
    IOC = "IOC"
    FOK = "FOK"


class Status(StrEnum):
    NEW = "NEW"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    FILLED = "FILLED"
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"

    @property
    def open(self) -> bool:
        return self in (Status.NEW, Status.PARTIALLY_FILLED)


class ExecutionType(StrEnum):
    NEW = "NEW"
    TRADE = "TRADE"
    CANCELED = "CANCELED"
    REPLACED = "REPLACED"
    EXPIRED = "EXPIRED"
    REJECTED = "REJECTED"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewOrder:
    """An order as it is asked for. `quantity` is in base; `quote_quantity` in its place only for MARKET."""

    symbol: Symbol
    side: Side
    type: OrderType
    quantity: Decimal | None = None
    quote_quantity: Decimal | None = None
    price: Decimal | None = None
    time_in_force: TimeInForce = TimeInForce.GTC
    client_order_id: str | None = None      # the engine names it if nobody did


@dataclass(frozen=True, slots=True)
class Execution:
    """One side of a trade."""

    symbol: Symbol
    trade_id: int                   # ascends per symbol; the two sides share it
    order_id: int
    client_order_id: str
    price: Decimal
    quantity: Decimal
    quote_quantity: Decimal
    commission: Decimal             # taken from what the order received
    commission_asset: str
    time: int                       # ms
    is_buyer: bool
    is_maker: bool


@dataclass(slots=True, eq=False, kw_only=True)
class Order:
    """An order that the engine accepted, as it stands."""

    account: Account
    symbol: Symbol
    order_id: int                   # ascends over all symbols
    client_order_id: str
    side: Side
    type: OrderType
    time_in_force: TimeInForce
    quantity: Decimal
    quote_quantity: Decimal         # what a MARKET order was to spend or receive; else 0
    price: Decimal                  # 0 for MARKET
    time: int                       # accepted, ms
    update_time: int
    status: Status = Status.NEW
    executed: Decimal = ZERO
    cumulative_quote: Decimal = ZERO
    locked: Decimal = ZERO          # of the asset it gives, still reserved for it
    expiry_reason: str | None = None
    executions: list[Execution] = field(default_factory=list)

    @property
    def remaining(self) -> Decimal:
        return self.quantity - self.executed

    @property
    def limit(self) -> Decimal | None:
        return None if self.type is OrderType.MARKET else self.price

    @property
    def gives(self) -> str:
        return self.symbol.quote if self.side is Side.BUY else self.symbol.base

    @property
    def receives(self) -> str:
        return self.symbol.base if self.side is Side.BUY else self.symbol.quote

    def reserve(self, quantity: Decimal) -> Decimal:
        """What so much of a limit order keeps locked."""
        return quantity * self.price if self.side is Side.BUY else quantity


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Something that has just happened to an order. `order` goes on changing: read it at once."""

    kind: ExecutionType
    order: Order
    report_id: int
    time: int
    client_order_id: str            # the name of the request: the order's own, or that of the cancel or amendment
    original: str = ""              # the order's own name, where the other is not
    execution: Execution | None = None


@dataclass(frozen=True, slots=True)
class Rejection:
    """A request for an order that the engine refused. It has no order id: it never was an order."""

    new: NewOrder
    report_id: int
    time: int
    reason: str


class Listener(Protocol):
    """Told by the engine, synchronously and in order, what happens on an account."""

    def reported(self, report: Report) -> None: ...

    def rejected(self, rejection: Rejection) -> None: ...

    def balances_changed(self, account: Account, assets: set[str], time: int) -> None: ...
