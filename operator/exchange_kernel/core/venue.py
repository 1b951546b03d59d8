"""What decisions need to know of a venue: capabilities as data, the rules of a market, and the order as it is handed to an adapter.

Shared by `core.decide`, which judges by them, and `exchanges/`, which fills them in.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from exchange_kernel.api import AmendQuantity, DuplicateIdsRefused, ExpiryCheck, LookupAuthority, ReplaceKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a venue can do and promise, in the venue's own time. Published in ExchangeAccount.status.capabilities."""

    client_order_id_codec: str  # a name in core/identity.CODECS; versioned, never changed in place
    client_order_id_max_length: int
    client_order_id_pattern: str = ""  # what the venue takes; empty: not documented
    duplicate_ids_refused: DuplicateIdsRefused  # how long the venue remembers an id
    lookup: LookupAuthority
    lookup_delay_ms: int  # A2: an accepted order is visible to lookups within this time
    request_window_ms: int  # A1: a signed request older than this is refused; 0 = the venue has no expiry
    request_expiry_parameter: str | None = None  # the venue's name for it
    accepts_ahead_ms: int  # how far ahead of its clock the venue accepts a stamp
    expiry_check: ExpiryCheck
    retention_ms: int  # the shortest time for which an ended order of any kind can still be found: of those without a fill
    retention_filled_ms: int | None = None  # of filled ones; None: not documented
    orders_horizon_ms: int | None = None  # how far back its lists of orders go; None: not documented
    trades_horizon_ms: int | None = None
    amend: AmendQuantity
    replace: ReplaceKind = ReplaceKind.NONE
    cancel_by_client_id: bool
    order_types: frozenset[str]
    times_in_force: frozenset[str]
    post_only: bool
    reduce_only: bool
    trigger_prices: frozenset[str] = frozenset()  # which prices a trigger may be compared with; those of the API's TriggerPriceType
    trailing_units: frozenset[str] = frozenset()
    hedge_mode: bool = False  # orders say which of the two positions of a market they act on
    native_groups: frozenset[str] = frozenset()  # modes of an OrderGroup that the venue keeps itself
    max_open_orders_listed: int | None = None  # a listing of exactly so many is taken as truncated
    max_batch_create: int = 0  # orders in one request; 0: it can't, or it is not documented. Not used: one order is one request
    max_batch_cancel: int = 0
    taker_fee: Decimal | None = None  # the account's, as a share of what an order brings; None: the venue does not say
    dead_man_switch: bool = False  # the venue cancels all if it isn't told for a while that we live. Not used

    @property
    def proves_absence(self) -> bool:
        """Whether "not found" can ever become proof (rule 5): the venue lets old requests die, and shows what it accepted."""
        return self.request_window_ms > 0 and self.expiry_check is ExpiryCheck.BY_ENGINE and self.lookup is not LookupAuthority.NONE

    @property
    def sends_first(self) -> bool:
        """Whether a first send may go out before it is written (rule 6)."""
        return self.proves_absence and self.lookup is LookupAuthority.AUTHORITATIVE

    @property
    def quiet_after_ms(self) -> int:
        """How long after the last possible stamp no request can become an order any more, nor an order stay hidden."""
        return self.accepts_ahead_ms + self.request_window_ms + self.lookup_delay_ms


@dataclass(frozen=True, slots=True)
class PriceBand:
    """How far from the market a limit price of one side may be, as factors of the venue's reference price."""

    lowest: Decimal
    highest: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketRules:
    """One market's constraints. Steps and limits are exact decimals; None where the venue sets no limit."""

    symbol: str
    base: str
    quote: str
    active: bool  # open for trading
    status: str = ""  # the venue's word for one that is not open, where it has one: BREAK, HALT …
    venue_id: str = ""  # the venue's own name for it
    quantity_step: Decimal | None
    price_step: Decimal | None
    min_quantity: Decimal | None = None
    max_quantity: Decimal | None = None
    min_price: Decimal | None = None
    max_price: Decimal | None = None
    min_notional: Decimal | None = None  # quote units
    contract_size: Decimal | None = None  # of one contract: base units, or quote units if it is inverse; None on spot
    order_types: frozenset[str] | None = None  # those of an OrderIntent that this market has; None: the venue does not say, or all of its own
    post_only: bool | None = None  # whether this market has post-only orders; None: the venue does not say
    native_groups: frozenset[str] | None = None  # modes of an OrderGroup that the venue keeps on this market; None: the venue does not say
    buy_band: PriceBand | None = None  # of limit prices, by side
    sell_band: PriceBand | None = None
    max_open_orders: int | None = None  # of one account on this market
    max_trigger_orders: int | None = None  # of them, those that wait for a trigger

    def band(self, side: str) -> PriceBand | None:
        return self.buy_band if side == "Buy" else self.sell_band

    @property
    def settle(self) -> str | None:
        """What a contract is settled in, by ccxt's way of writing its symbol (BASE/QUOTE:SETTLE-…); None on spot."""
        _, colon, settled = self.symbol.partition(":")
        return settled.partition("-")[0] if colon else None

    @property
    def inverse(self) -> bool:
        """Whether a contract is of the quote asset and settled in the base asset."""
        return self.settle is not None and self.settle == self.base and self.settle != self.quote


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRequest:
    """One attempt of an order, ready for the wire: quantised, and never past the user's limit."""

    client_order_id: str
    symbol: str  # ccxt unified
    side: str  # Buy | Sell
    type: str  # an OrderIntent's type
    quantity: Decimal | None  # base units on spot, contracts on derivatives
    quote_quantity: Decimal | None = None
    price: Decimal | None = None
    trigger_price: Decimal | None = None
    trigger_price_type: str | None = None  # Last | Mark | Index; None without a trigger
    trailing_offset: Decimal | None = None  # in trailing_unit
    trailing_unit: str | None = None  # Price | BasisPoints
    position_side: str | None = None  # Long | Short, in hedge mode
    time_in_force: str | None = None  # GTC | IOC | FOK | GTD; None on Market
    expire_time_ms: int | None = None  # when a GTD order ends
    post_only: bool = False
    reduce_only: bool = False


@dataclass(frozen=True, slots=True)
class GroupLeg:
    role: str  # Entry | TakeProfit | StopLoss | Leg
    request: OrderRequest  # whole as if it were sent alone, its client order id too


@dataclass(frozen=True, slots=True)
class GroupRequest:
    """Orders that the venue itself is to tie together, in one request (`Capabilities.native_groups`)."""

    list_id: str  # ours for the list, as the legs' client order ids are for them
    mode: str  # OneCancelsOther: two legs | OneTriggersOther: the first works, the second waits | Bracket: the first works, the two exits wait
    legs: tuple[GroupLeg, ...]
