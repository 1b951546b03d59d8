"""What the engine works on: orders, their executions, and the words for both. Words are Binance's (binance-spot-api-docs, enums.md)."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from exchange_kernel.exchanges.simulated.symbols import SelfTradePrevention, Symbol

if TYPE_CHECKING:
    from exchange_kernel.exchanges.simulated.accounts import Account
    from exchange_kernel.exchanges.simulated.order_lists import ListReport, OrderList

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
    STOP_LOSS = "STOP_LOSS"
    STOP_LOSS_LIMIT = "STOP_LOSS_LIMIT"
    TAKE_PROFIT = "TAKE_PROFIT"
    TAKE_PROFIT_LIMIT = "TAKE_PROFIT_LIMIT"

    @property
    def at_market(self) -> bool:
        """Without a limit, once it works."""
        return self in AT_MARKET

    @property
    def stops_loss(self) -> bool:
        return self in STOP_LOSSES

    @property
    def contingent(self) -> bool:
        """It waits for a price before it works. The venue's filters call these algo orders."""
        return self in CONTINGENT


AT_MARKET = frozenset({OrderType.MARKET, OrderType.STOP_LOSS, OrderType.TAKE_PROFIT})
STOP_LOSSES = frozenset({OrderType.STOP_LOSS, OrderType.STOP_LOSS_LIMIT})
CONTINGENT = STOP_LOSSES | {OrderType.TAKE_PROFIT, OrderType.TAKE_PROFIT_LIMIT}


class TimeInForce(StrEnum):
    GTC = "GTC"
    IOC = "IOC"
    FOK = "FOK"


class Status(StrEnum):
    NEW = "NEW"
    PENDING_NEW = "PENDING_NEW"                 # in a list, until its working order is filled
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    FILLED = "FILLED"
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"
    EXPIRED_IN_MATCH = "EXPIRED_IN_MATCH"       # it would have traded with its own account

    @property
    def open(self) -> bool:
        return self in (Status.NEW, Status.PENDING_NEW, Status.PARTIALLY_FILLED)


class ExecutionType(StrEnum):
    NEW = "NEW"
    TRADE = "TRADE"
    CANCELED = "CANCELED"
    REPLACED = "REPLACED"
    EXPIRED = "EXPIRED"
    REJECTED = "REJECTED"
    TRADE_PREVENTION = "TRADE_PREVENTION"


def triggers_above(side: Side, kind: OrderType) -> bool:
    """Whether its stop price is above the market: of a stop loss to buy, and of a take profit to sell. [rest-api.md, New order, Other info]"""
    return kind.stops_loss is (side is Side.BUY)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewOrder:
    """An order as it is asked for. `quantity` is in base; `quote_quantity` in its place only for MARKET."""

    symbol: Symbol
    side: Side
    type: OrderType
    quantity: Decimal | None = None
    quote_quantity: Decimal | None = None
    price: Decimal | None = None
    stop_price: Decimal | None = None       # contingent types have this, a trailing delta, or both
    trailing_delta: int | None = None       # basis points
    time_in_force: TimeInForce = TimeInForce.GTC
    client_order_id: str | None = None      # the engine names it if nobody did
    self_trade_prevention: SelfTradePrevention | None = None        # unsaid: the market's


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
    order_list_id: int = -1


@dataclass(frozen=True, slots=True)
class Prevented:
    """A trade with the own account that was not made. It expired the taker, the maker, or both."""

    symbol: Symbol
    match_id: int                   # ascends per symbol
    taker_order_id: int
    maker_order_id: int
    mode: SelfTradePrevention
    price: Decimal
    quantity: Decimal               # that would have traded
    taker_quantity: Decimal | None      # what was left of it and expired; None if it did not
    maker_quantity: Decimal | None
    time: int                       # ms


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
    price: Decimal                  # 0 for those at the market
    time: int                       # accepted, ms
    update_time: int
    working_time: int | None = None         # since when it is, or was, in the market; None before
    stop_price: Decimal | None = None
    trailing_delta: int | None = None       # basis points
    trailing_time: int | None = None        # since when it tracks prices
    extreme: Decimal = ZERO                 # the best price for it since then
    lock_price: Decimal = ZERO              # what a contingent order at the market is taken to cost until it works
    order_list: OrderList | None = None
    self_trade_prevention: SelfTradePrevention = SelfTradePrevention.NONE
    prevented: Prevented | None = None      # what expired it
    prevented_matches: list[Prevented] = field(default_factory=list)    # what it met as a taker
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
        return None if self.type.at_market else self.price

    @property
    def gives(self) -> str:
        return self.symbol.quote if self.side is Side.BUY else self.symbol.base

    @property
    def receives(self) -> str:
        return self.symbol.base if self.side is Side.BUY else self.symbol.quote

    def reserve(self, quantity: Decimal) -> Decimal:
        """What so much of it keeps locked."""
        return quantity * (self.lock_price if self.type.at_market else self.price) if self.side is Side.BUY else quantity

    @property
    def list_id(self) -> int:
        return -1 if self.order_list is None else self.order_list.list_id

    @property
    def waits(self) -> bool:
        """For its stop price or trailing delta, or for another order of its list."""
        return self.status.open and self.working_time is None


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

    def list_reported(self, report: ListReport) -> None: ...

    def balances_changed(self, account: Account, assets: set[str], time: int) -> None: ...
