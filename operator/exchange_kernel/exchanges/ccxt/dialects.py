"""The table: every venue we speak, by ccxt's id and market type, and what becomes of a venue that is not in it."""

from __future__ import annotations

import importlib

from exchange_kernel.exchanges.ccxt.binance import BINANCE_SPOT
from exchange_kernel.exchanges.ccxt.dialect import Dialect
from exchange_kernel.exchanges.ccxt.probe import SYMBOLS, Arrival, invented, probe
from exchange_kernel.exchanges.ccxt.row import Row
from exchange_kernel.exchanges.ccxt.rows import REFUSED, ROWS
from exchange_kernel.exchanges.ccxt.unified import NotBuilt, built
from exchange_kernel.exchanges.port import CannotOpen

DIALECTS = {(row.exchange_id, row.market_type): row for row in (
    BINANCE_SPOT,
)}

#: What to do about an account that is refused.
INSTEAD = "Create the account for another exchange or market (docs/exchanges.md has the list), or describe this one: \"How to add a row\" there."


def dialect_of(exchange_id: str, market_type: str) -> Dialect | Row:
    """The venue's own dialect, its row, or a row that says nothing. Raises CannotOpen where there is no safe way."""
    key = (exchange_id, market_type)
    if (known := DIALECTS.get(key) or ROWS.get(key)) is not None:
        return known
    if (why := REFUSED.get(key)) is not None:
        raise CannotOpen("UnsafeExchange", f"{exchange_id} {market_type} can't be traded safely: {why}. {INSTEAD}")
    of_it = sorted(market for one, market in {*DIALECTS, *ROWS} if one == exchange_id)
    if of_it:
        raise CannotOpen("UnknownMarketType", f"There is no adapter for {exchange_id} {market_type}: its markets here are {' and '.join(of_it)}. "
                         "Set spec.marketType to one of them.")
    if exchange_id not in importlib.import_module("ccxt.async_support").exchanges or market_type not in SYMBOLS:
        raise CannotOpen("UnknownExchange", f"There is no adapter for {exchange_id} {market_type}. {INSTEAD}")
    return _by_the_probe(exchange_id, market_type)


def _by_the_probe(exchange_id: str, market_type: str) -> Row:
    """A venue that nobody described: only if all of an order reaches its wire. Cancelled by its own id, found by lists, absent never."""
    if (problem := _problem(exchange_id, market_type)) is not None:
        raise CannotOpen("UnsafeExchange", f"{exchange_id} {market_type} can't be traded safely: {problem}. {INSTEAD}")
    return Row(exchange_id=exchange_id, market_type=market_type, options={"defaultType": market_type})


def _problem(exchange_id: str, market_type: str) -> str | None:
    ccxt = invented(exchange_id)
    if not ccxt.has.get(market_type):
        return "ccxt knows no such markets there"
    if not ccxt.has.get("fetchTime"):
        return "it can't be asked for its time, which orders are signed with"
    try:
        built(ccxt, "fetch_open_orders", None)
    except NotBuilt:
        return "ccxt can't list the open orders of all its markets in one request"
    report = probe(exchange_id, market_type)
    lost = " and ".join(name for name, arrival in report.create.items() if arrival is not Arrival.ARRIVES)
    return f"whether the {lost} of an order would reach it unchanged is not known" if lost else None
