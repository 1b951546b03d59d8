"""Fills (rule 8): the venue's cumulative quantity counts and never falls; trades explain it; what they don't explain yet is inferred."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from exchange_kernel.core.answers import ExchangeOrder, OrderStatus, Trade
from exchange_kernel.core.money import ZERO, add, multiply, plain, subtract


def merge(old: ExchangeOrder | None, new: ExchangeOrder) -> ExchangeOrder:
    """One order from two reports of it, in any order of arrival: fills only grow, an end stays an end, details fill gaps."""
    if old is None:
        return _complete(new)
    if old.exchange_order_id != new.exchange_order_id:
        return old  # two orders under one client id: the mirror tracks both, and says so
    newer = (new.filled_quantity, new.status.ended, new.update_time_ms or 0) >= (old.filled_quantity, old.status.ended, old.update_time_ms or 0)
    base, other = (new, old) if newer else (old, new)
    status = base.status
    if not status.ended and other.status.ended:
        status = other.status  # a fill that overtook the word of the end; the end still holds
    better = {
        "status": status,
        "quantity": base.quantity if base.quantity is not None else other.quantity,
        "price": base.price if base.price is not None else other.price,
        "filled_quantity": max(base.filled_quantity, other.filled_quantity),
        "filled_quote_quantity": _largest(base.filled_quote_quantity, other.filled_quote_quantity),
        "created_time_ms": base.created_time_ms or other.created_time_ms,
    }
    changes: dict[str, Any] = {name: value for name, value in better.items() if value != getattr(base, name)}
    return _complete(replace(base, **changes) if changes else base)


def _complete(order: ExchangeOrder) -> ExchangeOrder:
    full = order.quantity is not None and order.quantity > 0 and order.filled_quantity >= order.quantity
    return replace(order, status=OrderStatus.FILLED) if full and order.status is not OrderStatus.FILLED else order


def _largest(left: Decimal | None, right: Decimal | None) -> Decimal | None:
    return max(left, right) if left is not None and right is not None else left if right is None else right


def bust(order: ExchangeOrder, trade: Trade) -> ExchangeOrder:
    """The order without an execution that its venue took back."""
    quote = order.filled_quote_quantity
    return replace(
        order,
        filled_quantity=max(ZERO, subtract(order.filled_quantity, trade.quantity)),
        filled_quote_quantity=None if quote is None else max(ZERO, subtract(quote, multiply(trade.quantity, trade.price))),
    )


@dataclass(frozen=True, slots=True)
class Filled:
    """How far one attempt is filled, and how much of that its trades explain."""

    quantity: Decimal
    quote_quantity: Decimal
    explained: Decimal

    @property
    def unexplained(self) -> Decimal:
        return subtract(self.quantity, self.explained)


@dataclass(frozen=True, slots=True)
class Changes:
    """What is known of an attempt's executions beyond its record."""

    new: tuple[Trade, ...] = ()  # provably not counted there
    returned: tuple[Trade, ...] = ()  # counted there, and taken back since
    cursor: str | None = None  # the highest id that is counted there, where that is known


@dataclass(frozen=True, slots=True)
class Explained:
    """Which executions explain the fill of one attempt, and how much of it."""

    quantity: Decimal
    by_trades: bool  # by all those known now; else by those that the record counted, with these changes
    changes: Changes = Changes()


def filled(orders: Iterable[ExchangeOrder], trades: Iterable[Trade]) -> Filled:
    """What was filled under one client order id: of its order, or of the several that the venue made of it."""
    orders, trades = tuple(orders), tuple(trades)
    explained = add(*(trade.quantity for trade in trades))
    trades_quote = add(*(multiply(trade.quantity, trade.price) for trade in trades))
    # Where the venue does not total the quote side, its trades do.
    quote = max(add(*(order.filled_quote_quantity or ZERO for order in orders)), trades_quote)
    return Filled(max(add(*(order.filled_quantity for order in orders)), explained), quote, explained)


def inferred(client_order_id: str, symbol: str, before: Decimal, after: Decimal, price: Decimal, time_ms: int) -> Trade:
    """A stand-in for executions that the cumulative quantity proves and no trade explains yet. Its id is the same each time it is inferred."""
    trade_id, quantity = inferred_id(client_order_id, before, after), subtract(after, before)
    return Trade(trade_id=trade_id, symbol=symbol, exchange_order_id="", quantity=quantity, price=price, time_ms=time_ms)


def inferred_id(client_order_id: str, before: Decimal, after: Decimal) -> str:
    digest = hashlib.sha256(f"{client_order_id}:{plain(before)}:{plain(after)}".encode()).hexdigest()
    return f"inferred-{digest[:16]}"


def fees_by_asset(trades: Iterable[Trade]) -> dict[str, Decimal]:
    totals: dict[str, Decimal] = {}
    for trade in trades:
        if trade.fee is not None:
            totals[trade.fee.asset] = add(totals.get(trade.fee.asset, ZERO), trade.fee.amount)
    return totals
