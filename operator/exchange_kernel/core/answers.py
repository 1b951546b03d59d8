"""What an exchange can answer, as values. Exceptions mean bugs; a venue's words, its silence and its lies are all one of these.

Rule 1: a send or cancel ends Accepted, Refused, NotSent or Unknown; a lookup ends Found, NotFound or Unreachable. NotFound is one piece of
evidence and never more: only the resolver, with all the terms of rule 5, makes a ProvenAbsent of it (`core/absence.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Generic, TypeAlias, TypeVar

from exchange_kernel.api import RefusalKind


class OrderStatus(StrEnum):
    """Where an order stands by the venue's own word, before we make a state of it."""

    OPEN = "Open"
    FILLED = "Filled"
    CANCELED = "Canceled"  # by us, by its owner elsewhere, or by the venue; may carry fills
    EXPIRED = "Expired"  # the venue ended it by its time in force; may carry fills
    REJECTED = "Rejected"  # accepted for processing, then refused by the engine

    @property
    def ended(self) -> bool:
        return self is not OrderStatus.OPEN


@dataclass(frozen=True, slots=True)
class Fee:
    asset: str
    amount: Decimal  # negative for a maker rebate


#: Names an order at one account of a venue: symbol and exchange order id, for venues count order ids per symbol.
OrderKey: TypeAlias = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Trade:
    """One execution of one order. Keyed by (account, symbol, trade id): venues count trade ids per symbol."""

    trade_id: str
    symbol: str
    exchange_order_id: str
    quantity: Decimal  # base units on spot, contracts on derivatives
    price: Decimal  # quote per base
    time_ms: int  # the venue's time
    fee: Fee | None = None
    client_order_id: str | None = None  # few venues repeat it on trades

    @property
    def order_key(self) -> OrderKey:
        return self.symbol, self.exchange_order_id


@dataclass(frozen=True, slots=True)
class ExchangeOrder:
    """An order as the venue has it, at one moment. `None` where the answer did not say."""

    client_order_id: str
    exchange_order_id: str
    symbol: str
    side: str  # Buy | Sell
    type: str  # an OrderIntent's type
    status: OrderStatus
    quantity: Decimal | None  # None for a market order by quote quantity that the venue has not sized yet
    filled_quantity: Decimal
    filled_quote_quantity: Decimal | None = None
    price: Decimal | None = None
    trigger_price: Decimal | None = None
    trigger_time_ms: int | None = None  # when its trigger fired (venue time)
    update_time_ms: int | None = None  # the venue's time of the last change; orders two reports of equal fill
    created_time_ms: int | None = None

    @property
    def key(self) -> OrderKey:
        return self.symbol, self.exchange_order_id


@dataclass(frozen=True, slots=True)
class Bust:
    """The venue takes an execution back: the one event by which a fill is taken away (rule 8)."""

    client_order_id: str
    trade: Trade  # as it was reported
    time_ms: int  # the venue's time of taking it back


@dataclass(frozen=True, slots=True)
class Accepted:
    """The venue took it. `order` is what it said of the order, `trades` those executions that came with the answer."""

    order: ExchangeOrder
    trades: tuple[Trade, ...] = ()


@dataclass(frozen=True, slots=True)
class GroupAccepted:
    """The venue took a list of orders whole. `trades` are those executions that came with the answer."""

    list_id: str
    exchange_list_id: str
    orders: tuple[ExchangeOrder, ...]  # in the order of the request's legs
    trades: tuple[Trade, ...] = ()


#: The code of a refusal that is our own, before the wire: the credentials are none of the exchange's kind.
MALFORMED = "CredentialsMalformed"


@dataclass(frozen=True, slots=True)
class Refused:
    """The venue said no, with a (code, message) pair from its allow-list of definite refusals. This request made no order."""

    code: str
    reason: str  # stable text, fit for a condition's message
    kind: RefusalKind | None = field(default=None, compare=False)  # what it was about, where that decides what follows


@dataclass(frozen=True, slots=True)
class Duplicate:
    """The venue already has an order under this id: it *exists*; look it up. Never a rejection."""

    code: str


@dataclass(frozen=True, slots=True)
class TimeRefused:
    """The venue refused the request's time. This request made no order, and our clock is not to be trusted: it counts as Lease lost (rule 4)."""

    reason: str


@dataclass(frozen=True, slots=True)
class NotSent:
    """Proof that no byte of the request left us: the gate was closed, or no connection could be made."""

    reason: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """Everything else. The request may be live now, or become live until its window closes."""

    reason: str
    retry_after_s: float | None = None  # the venue asked us to stay away for so long


@dataclass(frozen=True, slots=True)
class UnknownOrder:
    """A cancel named an order the venue says it does not know. It may have filled, or not be visible yet: look it up (rule 9)."""

    code: str


@dataclass(frozen=True, slots=True)
class Found:
    order: ExchangeOrder


@dataclass(frozen=True, slots=True)
class GroupFound:
    """A list of orders as the venue has it. What became of each order, its own lookup tells."""

    list_id: str
    exchange_list_id: str
    client_order_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NotFound:
    """By an allow-listed not-found. Evidence, not proof."""


@dataclass(frozen=True, slots=True)
class Unreachable:
    """No answer that could be read. Proves nothing, however often it is repeated."""

    reason: str
    retry_after_s: float | None = None
    answered: bool = field(default=False, compare=False)  # by the venue or what stands before it, and not as asked


@dataclass(frozen=True, slots=True)
class Balance:
    asset: str  # as markets name it
    free: Decimal
    locked: Decimal  # in open orders, or as margin


@dataclass(frozen=True, slots=True)
class Position:
    symbol: str
    side: str  # Long | Short; Net where a market has one position, whose quantity is negative when it is short
    quantity: Decimal  # contracts
    entry_price: Decimal | None = None
    unrealised_pnl: Decimal | None = None  # in the settlement asset, as is `margin`
    margin: Decimal | None = None


Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Unread:
    """An entry of a listing that could not be read."""

    texts: frozenset[str] | None  # every text in it, ours as we write it; None if it has none: then whose it is can't be said


@dataclass(frozen=True, slots=True)
class Listing(Generic[Item]):
    """A list answer. What is missing from an incomplete one is not missing from the venue (rule 12)."""

    items: tuple[Item, ...]
    complete: bool  # False when truncated, or when an entry could not be read
    unread: tuple[Unread, ...] = ()
    lack: str = ""  # why it is truncated, where that is known: the end of a sentence, stable text


SubmitOutcome: TypeAlias = Accepted | Refused | Duplicate | TimeRefused | NotSent | Unknown
CancelOutcome: TypeAlias = Accepted | Refused | UnknownOrder | TimeRefused | NotSent | Unknown


@dataclass(frozen=True, slots=True)
class Replaced:
    """What became of the two halves of an atomic cancel-and-replace."""

    cancelled: CancelOutcome
    submitted: SubmitOutcome


AmendOutcome: TypeAlias = Accepted | Refused | UnknownOrder | TimeRefused | NotSent | Unknown
GroupOutcome: TypeAlias = GroupAccepted | Refused | Duplicate | TimeRefused | NotSent | Unknown
LookupOutcome: TypeAlias = Found | NotFound | Unreachable
GroupLookupOutcome: TypeAlias = GroupFound | NotFound | Unreachable
