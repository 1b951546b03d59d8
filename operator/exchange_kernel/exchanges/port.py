"""The exchange as the rest of the house sees it: a small Protocol, and what a venue can do as data.

Adapters answer in the values of `core/answers.py` and raise nothing of their own: a venue's answer is a value, an exception is a bug.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Protocol, TypeAlias

from exchange_kernel.core.answers import (
    AmendOutcome,
    Balance,
    Bust,
    CancelOutcome,
    ExchangeOrder,
    GroupLookupOutcome,
    GroupOutcome,
    Listing,
    LookupOutcome,
    Position,
    Refused,
    Replaced,
    SubmitOutcome,
    Trade,
    Unreachable,
)
from exchange_kernel.core.venue import Capabilities, GroupRequest, MarketRules, OrderRequest


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a credentials Secret holds, named as ccxt names it. Never printed: `repr` shows the names only."""

    values: Mapping[str, str]

    def __repr__(self) -> str:
        return f"Credentials({', '.join(sorted(self.values))})"


class CannotOpen(ValueError):
    """An account can't be opened as it is described: a condition's reason, and a sentence that tells its owner what to do."""

    def __init__(self, reason: str, message: str, *, by_credentials: bool = False) -> None:
        """`by_credentials`: another Secret would do; else another spec is needed."""
        super().__init__(message)
        self.reason, self.by_credentials = reason, by_credentials


@dataclass(frozen=True, slots=True)
class OrderRef:
    """How to name an order to its venue. The client order id is what we always have; the exchange's own id only after an answer."""

    symbol: str
    client_order_id: str
    exchange_order_id: str | None = None


@dataclass(frozen=True, slots=True)
class Closed:
    """The gate is shut: why nothing may be sent now (stable text)."""

    reason: str


class Clearance(Protocol):
    """Permission to write one request, asked for at the wire (rule 4).

    The adapter calls, in this order and with nothing awaited between the last two: `stamp()` once the rate budget is granted; sign with it;
    `check(stamp)` immediately before the first byte is written. Either may answer Closed: then nothing is sent and the outcome is NotSent.
    """

    def stamp(self) -> int | Closed:
        """The venue's time (ms) this request is signed with: its age at the venue is counted from here."""
        ...

    def check(self, stamp: int) -> Closed | None: ...


@dataclass(frozen=True, slots=True)
class ClockReading:
    venue_time_ms: int  # what the venue said
    sent_at: float  # our monotonic clock (s) just before the request was sent
    received_at: float  # … and just after the answer arrived


class Gap(StrEnum):
    """Why the stream may have missed something: the reader sweeps over REST (a gap is never silent)."""

    SUBSCRIBED = "Subscribed"  # events before the subscription were not seen
    DISCONNECTED = "Disconnected"
    SILENT = "Silent"  # no sign of life for longer than the venue's heartbeat
    UNREADABLE = "Unreadable"  # an event came that could not be read


@dataclass(frozen=True, slots=True)
class OrderUpdate:
    """An order as a stream event tells it, with the one execution the event carries, if it does."""

    order: ExchangeOrder
    trade: Trade | None = None


StreamFact: TypeAlias = OrderUpdate | Bust | Gap


class Exchange(Protocol):
    """One account at one venue. Methods answer, or take their time; they do not raise, and they are safe to cancel."""

    @property
    def capabilities(self) -> Capabilities: ...

    async def clock(self) -> ClockReading | Unreachable: ...

    async def fingerprint(self) -> str | Refused | Unreachable:
        """The venue's own name for this account (its uid), so that rotated keys of another account are noticed (rule 13)."""
        ...

    async def markets(self, *, reload: bool = False) -> Mapping[str, MarketRules] | Unreachable:
        """The markets that the venue lists, as last loaded; with `reload`, as it lists them now."""
        ...

    def recall(self, market: MarketRules) -> None:
        """Name this market to the venue as its `venue_id` says, though it lists it no more: an order of ours may be there. It takes no new order."""
        ...

    async def last_price(self, symbol: str) -> Decimal | Unreachable:
        """The price of the market's last trade, in the quote asset."""
        ...

    async def submit(self, request: OrderRequest, clearance: Clearance) -> SubmitOutcome: ...

    async def cancel(self, ref: OrderRef, clearance: Clearance) -> CancelOutcome: ...

    async def amend(self, ref: OrderRef, request: OrderRequest, clearance: Clearance) -> AmendOutcome:
        """Change quantity and price of a live order in place, where the capability `amend` says that this can be done.

        `request.quantity` is the order's new total, what is filled of it included; the order keeps its ids.
        """
        ...

    async def replace(self, ref: OrderRef, request: OrderRequest, clearance: Clearance) -> Replaced:
        """Cancel one order and send another in one request, where the capability `replace` is FillAware: what the first fills is taken off the second."""
        ...

    async def submit_group(self, request: GroupRequest, clearance: Clearance) -> GroupOutcome:
        """Send orders as one list that the venue keeps, where the capability `native_groups` has its mode: all of them or none.

        Each leg is an order like any other from then on: looked up, cancelled and told of under its own client order id.
        """
        ...

    async def lookup(self, ref: OrderRef) -> LookupOutcome: ...

    async def lookup_group(self, symbol: str, list_id: str) -> GroupLookupOutcome: ...

    async def open_orders(self, symbol: str | None = None) -> Listing[ExchangeOrder] | Unreachable: ...

    async def orders(self, symbol: str, since_ms: int) -> Listing[ExchangeOrder] | Unreachable:
        """Orders of any status created at or after `since_ms` (venue time)."""
        ...

    async def trades(self, symbol: str, *, since_ms: int | None = None, exchange_order_id: str | None = None) -> Listing[Trade] | Unreachable:
        """Own executions: those of one order, or those since a time; paged through to the end, or marked incomplete."""
        ...

    async def balances(self) -> Listing[Balance] | Unreachable:
        """What the account holds; assets of which it has nothing may be left out."""
        ...

    async def positions(self, symbol: str | None = None) -> Listing[Position] | Unreachable: ...

    def stream(self) -> AsyncGenerator[StreamFact, None]:
        """The private stream: begins with a Gap once subscribed, reconnects by itself, and ends only when the adapter is closed."""
        ...

    async def close(self) -> None: ...
