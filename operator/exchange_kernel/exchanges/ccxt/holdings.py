"""What an account has, as ccxt's `fetch_balance` and `fetch_positions` read it: the venue's digits, or nothing."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from exchange_kernel.core.answers import Balance, Position
from exchange_kernel.exchanges.ccxt import said
from exchange_kernel.exchanges.ccxt.dialect import Markets
from exchange_kernel.exchanges.ccxt.parsing import UnknownMarket, Unreadable, number_of, record


def assets(balance: Any) -> list[Any]:
    """ccxt's balance structure by asset. Raises Unreadable if it has none: nothing at all is no answer, for ccxt makes it of anything."""
    totals = record(record(balance).get("total"))
    if not totals:
        raise Unreadable("a balance without an asset")
    return [{"asset": asset, **record(balance.get(asset))} for asset in totals]


def read_balance(entry: Any, asset: Callable[[str], str]) -> Balance:
    """What is locked must be said, or follow from what ccxt was told: a venue that only tells a total tells nothing of use here."""
    source = record(entry)
    free, locked = said.amount(source, "free"), said.amount(source, "used")
    if free is None or locked is None:
        raise Unreadable("a balance without what is free and what is locked")
    return Balance(said.text(source, "asset"), free, locked)


def read_position(entry: Any, markets: Markets) -> Position:
    """A position without its side is flat. One of a market that has one position is Net, whatever ccxt calls its sign."""
    source = record(entry)
    if source.get("symbol") not in markets:
        raise UnknownMarket(source.get("symbol"))
    contracts, side = said.amount(source, "contracts"), {"long": "Long", "short": "Short"}.get(source.get("side") or "")
    if contracts is None or (side is None and contracts):
        raise Unreadable("a position without its size or its side")
    if source.get("hedged") is not True or side is None:
        contracts, side = contracts.copy_negate() if side == "Short" and contracts else contracts, "Net"
    return Position(
        source["symbol"], side, contracts, entry_price=said.amount(source, "entryPrice") or None, unrealised_pnl=_signed(source.get("unrealizedPnl")),
        margin=said.amount(source, "initialMargin") or None,
    )


def _signed(value: Any) -> Decimal | None:
    if value is None or value == "":
        return None
    number = number_of(value) if isinstance(value, str) else None
    if number is None:
        raise Unreadable("unrealizedPnl can't be read")
    return number
