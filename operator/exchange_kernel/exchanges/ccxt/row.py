"""A venue as a row: what differs from ccxt's unified way, as data. `spoken.py` makes a dialect of it; the rows are in `rows.py`.

What a row does not say is the safe guess: no expiry, orders found by going through lists, limit orders only, no error that proves anything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from exchange_kernel.api import AmendQuantity, DuplicateIdsRefused, ExpiryCheck, LookupAuthority
from exchange_kernel.core.venue import Capabilities
from exchange_kernel.exchanges.ccxt.dialect import AllowList, Words

NOTHING = AllowList()

HOUR_MS = 3600 * 1000


def words(**lists: AllowList) -> Words:
    """Those a venue's documentation gives; the others prove nothing."""
    return Words(**{name: lists.get(name, NOTHING) for name in ("duplicates", "refusals", "time", "unknown_order", "not_found", "busy")})


def codes(*rows: str, text: str = "%s") -> AllowList:
    """Codes that mean one thing each: their message is for people, differs by language and release, and is not looked at."""
    return AllowList((rows, (text,)))


def texts(*messages: str) -> AllowList:
    """For venues whose message is the code."""
    return AllowList(*(((message,), ("%s",)) for message in messages))


def same(text: str) -> str:
    return text


def no_error(document: Any) -> tuple[str, str] | None:
    """No error of this venue is known: none proves anything."""
    return None


#: One unified call: the method of ccxt, and its arguments.
Asked = tuple[str, tuple[Any, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    exchange_id: str                                                   # ccxt's
    market_type: str                                                   # spot | swap
    options: Mapping[str, Any] = field(default_factory=dict)           # ccxt's options: among them those without which it asks something else first
    skips: tuple[str, ...] = ()                                        # ccxt's methods that would ask something else first: nothing is asked
    send_as: str = "clientOrderId"                                     # the parameter of create_order that carries our id
    id_written: Callable[[str], str] = same                            # our id as this venue spells it
    id_sent: Callable[[str], str] | None = None                        # what ccxt spells so, where it does the spelling
    id_read: Callable[[str], str] = same                               # and back
    id_in: str | None = None                                           # the venue's field for it, where ccxt does not read it
    create_params: Mapping[str, Any] = field(default_factory=dict)     # with every order
    market_params: Mapping[str, Any] | None = None                     # with a market order; None: a quantity may mean another thing there
    cancel_by: Callable[[str, str], Asked] | None = None               # (our id as written, symbol); None: by the venue's id only
    lookup_by: Callable[[str, str], Asked] | None = None               # (our id as written, symbol); None: by going through lists
    lookup_by_theirs: bool = True                                      # whether ccxt's fetch_order takes the venue's id
    listed_by: str | None = None                                       # the parameter that narrows those lists to our id
    open_symbols: tuple[str, tuple[str, ...]] | None = None            # where no list has all: ccxt's implicit method for the markets that have some
    trades_by: str | None = None                                       # the parameter that narrows own trades to an order; None: ccxt's method for it
    settle: str | None = None                                          # only markets settled in this: the list of open orders has no others
    ended: tuple[str, ...] = ("fetch_closed_orders",)                  # the lists of orders that are over; with fetch_open_orders they are all
    ended_page: int = 100                                              # a list of so many may go on
    account_method: str | None = None                                  # ccxt's method that reads the account; None: the balance
    account_params: Mapping[str, Any] = field(default_factory=dict)    # of that method
    hedge_mode_in: tuple[str | int, ...] = ()                          # the way to whether the account is in hedge mode; empty: it is not
    hedged: Callable[[str, str], Mapping[str, Any]] | None = None      # what says which position is meant in hedge mode: (its side, the order's)
    position_sides: tuple[str, Mapping[str, str]] | None = None        # the venue's field for which of two positions it is, and its words, in ccxt's
    account_number: tuple[str | int, ...] = ()                         # the way to its number in the answer; empty: the key is the account's name
    read_error: Callable[[Any], tuple[str, str] | None] = no_error
    statuses: Mapping[str, str] = field(default_factory=dict)          # the venue's words for the state of an order that ccxt hands on, in ccxt's
    errors_in_200: bool = False
    succeeded: Callable[[Any], bool] = lambda document: True           # the envelope of an answer that is not an error
    words: Words = field(default_factory=words)
    time_header: str | None = None                                     # carries the last moment (venue ms) at which the request may be taken
    deadline: Callable[[int], Mapping[str, Any]] | None = None         # the same as parameters of create_order, from the stamp
    increasing_nonce: bool = False                                     # each request's number must be greater than the last one's
    id_codec: str = "hex32"
    id_max_length: int = 32
    duplicates: DuplicateIdsRefused = DuplicateIdsRefused.NEVER
    window_ms: int = 0
    expiry_check: ExpiryCheck = ExpiryCheck.NONE
    retention_ms: int = 2 * HOUR_MS
    history_ms: int | None = None                                      # how far back an order is looked for where some are kept for longer than that
    open_page: int = 20                                                # a list of so many open orders may go on
    times_in_force: frozenset[str] = frozenset({"GTC"})
    post_only: bool = False
    reduce_only: bool = False

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(
            client_order_id_codec=self.id_codec,
            client_order_id_max_length=self.id_max_length,
            duplicate_ids_refused=self.duplicates,
            lookup=LookupAuthority.LISTING if self.lookup_by is None else LookupAuthority.AUTHORITATIVE,
            lookup_delay_ms=2000,                                      # ours; no venue here promises one
            request_window_ms=self.window_ms,
            accepts_ahead_ms=1000,                                     # ours; it only delays
            expiry_check=self.expiry_check,
            retention_ms=self.retention_ms,
            amend=AmendQuantity.NONE,
            cancel_by_client_id=self.cancel_by is not None,
            order_types=frozenset({"Limit"} if self.market_params is None else {"Limit", "Market"}),
            times_in_force=self.times_in_force,
            post_only=self.post_only,
            reduce_only=self.reduce_only,
            max_open_orders_listed=self.open_page,
        )
