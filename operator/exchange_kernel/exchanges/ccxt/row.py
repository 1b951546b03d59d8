"""A venue as a row: what differs from ccxt's unified way, as data. `spoken.py` makes a dialect of it; the rows are in `venues/`.

What a row does not say is the safe guess: no expiry, orders found by going through lists, limit orders only, no error that proves anything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from exchange_kernel.api import AmendQuantity, DuplicateIdsRefused, ExpiryCheck, LookupAuthority
from exchange_kernel.core.venue import Capabilities
from exchange_kernel.exchanges.ccxt.dialect import UNDOCUMENTED, Ban, Words, words
from exchange_kernel.exchanges.ccxt.wire import Answer

HOUR_MS = 3600 * 1000
DAY_MS = 24 * HOUR_MS

#: The window we ask for where a venue lets us choose one.
WINDOW_MS = 3000

IMMEDIATE = frozenset({"GTC", "IOC", "FOK"})


def same(text: str) -> str:
    return text


def no_error(document: Any) -> tuple[str, str] | None:
    """No error of this venue is known: none proves anything."""
    return None


#: One unified call: the method of ccxt, and its arguments.
Asked = tuple[str, tuple[Any, ...]]


def cancel_by_ours(written: str, symbol: str) -> Asked:
    """As ccxt's unified key has it; venues that want another name say so."""
    return "cancel_order", (None, symbol, {"clientOrderId": written})


def lookup_by_ours(written: str, symbol: str) -> Asked:
    return "fetch_order", (None, symbol, {"clientOrderId": written})


@dataclass(frozen=True, slots=True, kw_only=True)
class Triggers:
    """How create_order carries a trigger in the one request, to an order that then stands in the same lists as any other."""

    stop: str                                                          # the parameter with the price of a stop order
    take_profit: str
    prices: Mapping[str, Mapping[str, Any]]                            # by the price it is compared with (Last, Mark, Index): parameters
    rising: Mapping[str, Any] = field(default_factory=dict)            # parameters where the price comes to it from below
    falling: Mapping[str, Any] = field(default_factory=dict)
    kind: Callable[[Mapping[str, Any]], str]                           # Stop or TakeProfit, of an order with a trigger as ccxt read it


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    exchange_id: str                                                   # ccxt's
    market_type: str                                                   # spot | swap
    not_usable: str = ""                                               # why no account is opened in this release; the sentence goes on after ": "
    options: Mapping[str, Any] = field(default_factory=dict)           # ccxt's options: among them those without which it asks something else first
    skips: tuple[str, ...] = ()                                        # ccxt's methods that would ask something else first: nothing is asked
    without: tuple[str, ...] = ()                                      # parameters of ccxt's that are left out: the code of its broker
    without_headers: tuple[str, ...] = ()                              # and unsigned headers
    send_as: str = "clientOrderId"                                     # the parameter of create_order that carries our id
    id_written: Callable[[str], str] = same                            # our id as this venue spells it
    id_sent: Callable[[str], str] | None = None                        # what ccxt spells so, where it does the spelling
    id_read: Callable[[str], str] = same                               # and back
    id_in: str | None = None                                           # the venue's field for it, where ccxt does not read it
    create_params: Mapping[str, Any] = field(default_factory=dict)     # with every order
    market_params: Mapping[str, Any] | None = None                     # with a market order; None: a quantity may mean another thing there
    triggers: Triggers | None = None
    hedge: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)    # by the position's side (Long, Short): parameters; empty: no hedge mode
    hedge_takes_reduce_only: bool = True                               # False: refused with one, for the side and the position's say it all
    cancel_by: Callable[[str, str], Asked] | None = None               # (our id as written, symbol); None: by the venue's id only
    lookup_by: Callable[[str, str], Asked] | None = None               # (our id as written, symbol); None: by going through lists
    lookup_by_theirs: bool = True                                      # whether ccxt's fetch_order takes the venue's id
    listed_by: str | None = None                                       # the parameter that narrows those lists to our id
    open_params: Mapping[str, Any] = field(default_factory=dict)       # of the list of open orders: what narrows it to the row's kind of market
    open_symbols: tuple[str, tuple[str, ...]] | None = None            # where no list has all: ccxt's implicit method for the markets that have some
    trades_by: str | None = None                                       # the parameter that narrows own trades to an order; None: ccxt's method for it
    settle: str | None = None                                          # only markets settled in this: the list of open orders has no others
    ended: tuple[str, ...] = ("fetch_closed_orders",)                  # the lists of orders that are over; with fetch_open_orders they are all
    ended_page: int = 100                                              # a list of so many may go on
    clock: Asked = ("fetch_time", ())
    clock_read: Callable[[Answer], int] | None = None                  # the venue's time (ms), where ccxt has no method for it
    account_method: str | None = None                                  # ccxt's method that reads the account; None: the balance
    account_params: Mapping[str, Any] = field(default_factory=dict)    # of that method
    hedge_mode_in: tuple[str | int, ...] = ()                          # the way to whether the account is in hedge mode; empty: it is not
    hedged: Callable[[str, str], Mapping[str, Any]] | None = None      # what says which position is meant in hedge mode: (its side, the order's)
    position_sides: tuple[str, Mapping[str, str]] | None = None        # the venue's field for which of two positions it is, and its words, in ccxt's
    account_number: tuple[str | int, ...] = ()                         # the way to its number in the answer; empty: the key is the account's name
    numbered_account: str | None = None                                # the type of the account whose number is in each order, read with the fingerprint
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
    id_pattern: str = ""                                               # what an id may be; empty: not documented
    duplicates: DuplicateIdsRefused = DuplicateIdsRefused.NEVER
    window_ms: int = 0
    expiry_parameter: str | None = None                                # the venue's name for it
    expiry_check: ExpiryCheck = ExpiryCheck.NONE
    retention_ms: int = 2 * HOUR_MS                                    # of orders that ended without a fill
    retention_filled_ms: int | None = None                             # of filled ones; None: not documented
    history_ms: int | None = None                                      # how far back an order is looked for where some are kept for longer than that
    orders_horizon_ms: int | None = None                               # how far back its lists of orders go
    trades_horizon_ms: int | None = None
    open_page: int = 20                                                # a list of so many open orders may go on
    create_batch: int = 0                                              # orders in one request; 0: it can't, or it is not documented
    cancel_batch: int = 0
    dead_man_switch: bool = False
    times_in_force: frozenset[str] = frozenset({"GTC"})
    post_only: bool = False
    reduce_only: bool = False
    longest_ban: Ban = UNDOCUMENTED                                    # how long it keeps an account away at most

    @property
    def capabilities(self) -> Capabilities:
        styles = {"Limit"} if self.market_params is None else {"Limit", "Market"}
        triggered = {f"{kind}{style}" for kind in ("Stop", "TakeProfit") for style in styles} if self.triggers is not None else set()
        return Capabilities(
            client_order_id_codec=self.id_codec,
            client_order_id_max_length=self.id_max_length,
            client_order_id_pattern=self.id_pattern,
            duplicate_ids_refused=self.duplicates,
            lookup=LookupAuthority.LISTING if self.lookup_by is None else LookupAuthority.AUTHORITATIVE,
            lookup_delay_ms=2000,                                      # ours; no venue here promises one
            request_window_ms=self.window_ms,
            request_expiry_parameter=self.expiry_parameter,
            accepts_ahead_ms=1000,                                     # ours; it only delays
            expiry_check=self.expiry_check,
            retention_ms=self.retention_ms,
            retention_filled_ms=self.retention_filled_ms,
            orders_horizon_ms=self.orders_horizon_ms,
            trades_horizon_ms=self.trades_horizon_ms,
            amend=AmendQuantity.NONE,
            cancel_by_client_id=self.cancel_by is not None,
            order_types=frozenset(styles | triggered),
            times_in_force=self.times_in_force,
            post_only=self.post_only,
            reduce_only=self.reduce_only,
            trigger_prices=frozenset() if self.triggers is None else frozenset(self.triggers.prices),
            hedge_mode=bool(self.hedge),
            max_open_orders_listed=self.open_page,
            max_batch_create=self.create_batch,
            max_batch_cancel=self.cancel_batch,
            dead_man_switch=self.dead_man_switch,
        )
