"""What a venue's row has to say: everything in which venues differ, as data and small functions. The rows are in `dialects.py`."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, TypeAlias

from exchange_kernel.api import RefusalKind
from exchange_kernel.core.answers import Balance, ExchangeOrder, GroupFound, Position, Trade
from exchange_kernel.core.venue import Capabilities, GroupRequest, MarketRules, OrderRequest
from exchange_kernel.exchanges.ccxt.budget import Limit
from exchange_kernel.exchanges.ccxt.wire import Answer
from exchange_kernel.exchanges.port import OrderRef, OrderUpdate


@dataclass(frozen=True, slots=True)
class Call:
    """One request to the venue, before it is signed. `api`, `method` and `path` are ccxt's names for the endpoint."""

    method: str
    path: str
    params: Any = field(default_factory=dict)              # a mapping, or a list of them
    weight: float = 1
    api: tuple[str, ...] = ("private",)
    signed: bool = True
    stamped: Callable[[], Any] | None = None                       # the parameters as of the stamp, where they hold a time
    headers: Callable[[int], Mapping[str, str]] | None = None      # of the stamp; unsigned
    extract: Callable[[Answer], Any] | None = None                 # what is read is inside of the document; raises Unreadable


@dataclass(frozen=True, slots=True)
class Market:
    """A market as its venue names it."""

    id: str
    rules: MarketRules
    quote_step: Decimal | None = None      # the grid of amounts in the quote asset


#: Markets by the venue's own name for them.
Markets: TypeAlias = Mapping[str, Market]

#: A listing that goes on: yields the next request, is sent the page it brought, returns after the last.
Pages: TypeAlias = Generator[Call, list[Any], None]


@dataclass(frozen=True, slots=True)
class Listed:
    """Codes with the messages any of them may come with, as the venue documents them: `%s` stands for what varies."""

    codes: tuple[str, ...]
    messages: tuple[str, ...]
    meaning: str                   # in our words, for the table of errors
    source: str = ""               # a page or file of the venue's documentation, or of ccxt; empty: that of the list it is in
    kind: RefusalKind | None = None    # of a refusal: what it is about, where that decides what follows


class AllowList:
    """(code, message) pairs that prove something. What isn't here proves nothing (rule 1)."""

    def __init__(self, *rows: Listed) -> None:
        self.rows = rows
        self._patterns: dict[str, list[tuple[re.Pattern[str], Listed]]] = {}
        for row in rows:
            pattern = re.compile("|".join(f"(?:{re.escape(template).replace('%s', '.{0,200}')})" for template in row.messages))
            for code in row.codes:
                self._patterns.setdefault(code, []).append((pattern, row))

    def has(self, code: str, message: str) -> bool:
        return self._row(code, message) is not None

    def kind(self, code: str, message: str) -> RefusalKind | None:
        """What an error of this list is about, where that decides what follows it."""
        row = self._row(code, message)
        return row.kind if row is not None else None

    def _row(self, code: str, message: str) -> Listed | None:
        return next((row for pattern, row in self._patterns.get(code, ()) if pattern.fullmatch(message) is not None), None)


#: What a refusal is about, as the rows say it: steps, limits or the market's name, which a newer list may have otherwise; that it is not open now.
RULES, CLOSED = RefusalKind.MARKET_RULES, RefusalKind.MARKET_CLOSED

#: Or that its trigger has been passed; or that the account has less than it asks for.
PASSED, BALANCE = RefusalKind.TRIGGER_PASSED, RefusalKind.BALANCE


def codes(
    *codes: str, meaning: str, messages: tuple[str, ...] = ("%s",), source: str = "", kind: RefusalKind | None = None
) -> Listed:
    """A code that means one thing has any message: it is for people, and differs by language and release. Of one that means several, these tell."""
    return Listed(codes, messages, meaning, source, kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """What a venue's errors prove."""

    duplicates: AllowList          # the id exists: asked before the refusals, which may share the code
    refusals: AllowList            # this request made no order, or cancelled none
    time: AllowList                # refused for its timestamp
    unknown_order: AllowList       # a cancel's order is not known
    not_found: AllowList           # a lookup's order does not exist
    busy: AllowList                # too many requests: the whole account stays away


#: The lists of `Words`, and what an error on one of them proves: for the generated page.
PROOFS: Mapping[str, str] = {
    "duplicates": "the id exists: it is looked up",
    "refusals": "this request made no order, or cancelled none",
    "time": "refused for its timestamp, and our clock is read again",
    "unknown_order": "on a cancel: the order is looked up",
    "not_found": "on a lookup: the order is not there",
    "busy": "the account stays away for a while; whether it was taken is unknown",
}


def words(source: str = "", **lists: tuple[Listed, ...]) -> Words:
    """Those a venue's documentation gives, each from `source` unless it says another; the others prove nothing."""
    def from_there(listed: Listed) -> Listed:
        return listed if listed.source else replace(listed, source=source)

    return Words(**{name: AllowList(*map(from_there, lists.get(name, ()))) for name in PROOFS})


@dataclass(frozen=True, slots=True)
class StreamEnded:
    """The venue says that this subscription is over, or soon will be."""


@dataclass(frozen=True, slots=True)
class Said:
    """The answer to a request of ours on the stream; `error` is a (code, message) pair, None if it succeeded."""

    request_id: str
    error: tuple[str, str] | None = None


StreamEvent: TypeAlias = OrderUpdate | StreamEnded | Said


@dataclass(frozen=True, slots=True)
class Ban:
    """The longest that a venue keeps an account or an address away, as it documents. A longer Retry-After is cut to it."""

    seconds: float
    source: str = ""               # page and section; empty: not documented, and ours


#: Where no length is documented. Long enough for every limit that is counted by the minute, and an answer that lies costs an account no more.
UNDOCUMENTED = Ban(600.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamDialect:
    """The private stream: where it is, how one subscribes, and how its messages are read."""

    url: tuple[str, ...]                                       # the way to it in ccxt's `urls["api"]`
    weight: float                                              # of connecting and subscribing
    subscribe: Callable[[Any, str], Mapping[str, Any]]         # (ccxt's exchange, which signs; request id) → the message
    heartbeat: Callable[[str], Mapping[str, Any]]              # request id → a message that is answered if the other end lives
    read: Callable[[Any, Markets], StreamEvent | None]         # None: of no concern here; raises Unreadable


@dataclass(frozen=True, slots=True, kw_only=True)
class Amends:
    """Changing an order in place; it keeps its ids."""

    request: Callable[[OrderRef, OrderRequest, Market], Call]
    read: Callable[[Any, Market], ExchangeOrder]


@dataclass(frozen=True, slots=True, kw_only=True)
class Groups:
    """Lists of orders that the venue keeps."""

    request: Callable[[GroupRequest, Market], Call]
    read: Callable[[Any, Market], tuple[GroupFound, tuple[ExchangeOrder, ...], tuple[Trade, ...]]]
    lookup: Callable[[str], Call]                              # by our id for the list
    read_found: Callable[[Any], GroupFound]


@dataclass(frozen=True, slots=True, kw_only=True)
class Holdings:
    """What the account has. `positions` is None where there are no positions, as on spot."""

    balances: Callable[[], Pages]
    read_balance: Callable[[Any, Callable[[str], str]], Balance]             # (entry, ccxt's name for an asset of the venue)
    positions: Callable[[Market | None], Pages] | None = None
    read_position: Callable[[Any, Markets], Position] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    exchange_id: str               # ccxt's
    market_type: str
    capabilities: Capabilities
    options: Mapping[str, Any]     # ccxt's options for this venue
    limit: Limit                   # the weights it allows, until it publishes others

    submit: Callable[[OrderRequest, Market], Call]
    cancel: Callable[[OrderRef, Market], Call]
    lookup: Callable[[OrderRef, Market], Call | None]          # None: by going through lists
    open_orders: Callable[[Market | None], Pages]
    order_pages: Callable[[Market, int, int], Pages]                        # (market, since, now: the venue's time in ms)
    trade_pages: Callable[[Market, int | None, str | None, int], Pages]     # (market, since, exchange order id, now)
    find_pages: Callable[[OrderRef, Market, int], Pages] | None = None      # the lists for that, (ref, market, now)
    clock: Call
    account: Callable[[], Call]
    markets: Call | None           # None: by ccxt's own requests

    read_error: Callable[[Any], tuple[str, str] | None]        # (code, message), if the document is an error
    read_submitted: Callable[[Any, Market], tuple[ExchangeOrder, tuple[Trade, ...]]]
    read_cancelled: Callable[[Any, Market], ExchangeOrder]
    read_order: Callable[[Any, Markets], ExchangeOrder]
    read_trade: Callable[[Any, Markets], Trade]
    read_clock: Callable[[Any], int]                           # the venue's time, ms
    read_account: Callable[[Any], str]                         # the account's fingerprint
    read_id: Callable[[str], str] = lambda theirs: theirs      # our client order id as we write it, from the venue's spelling
    read_taker_fee: Callable[[Any], Decimal | None] = lambda document: None    # from the same answer: the account's, as a share
    last_price: Callable[[Market], Call] | None = None         # None: not read
    read_last_price: Callable[[Any], Decimal] | None = None
    read_hedge_mode: Callable[[Any], bool] | None = None       # from the same answer: whether the account has two positions per market
    read_markets: Callable[[Any], Iterable[Any]]               # the entries
    read_market: Callable[[Any, Callable[[str], str]], Market] # (entry, ccxt's name for an asset of the venue)
    read_limit: Callable[[Any], Limit | None]                  # the weights allowed, as published with the markets
    read_used_weight: Callable[[Mapping[str, str]], float | None]           # the venue's own count, from an answer's headers

    words: Words
    stream: StreamDialect | None   # None: the account is swept instead
    amends: Amends | None = None
    groups: Groups | None = None
    holdings: Holdings | None = None
    longest_ban: Ban = UNDOCUMENTED
    one_at_a_time: bool = False    # requests must arrive in the order of their numbers: the next is signed when the last is answered
    errors_in_200: bool = False    # the venue says its errors with a 200
