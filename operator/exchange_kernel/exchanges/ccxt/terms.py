"""What an order says beside quantity and price, by the row: its trigger, and the position that it acts on."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from exchange_kernel.core.venue import OrderRequest
from exchange_kernel.exchanges.ccxt import said
from exchange_kernel.exchanges.ccxt.row import Row
from exchange_kernel.exchanges.ccxt.unified import NotBuilt

STYLES = {"limit": "Limit", "market": "Market", "ioc": "Limit"}


def trigger_params(row: Row, request: OrderRequest, price: str) -> Mapping[str, Any]:
    """Raises NotBuilt where the trigger would be lost."""
    by = None if row.triggers is None else row.triggers.prices.get(request.trigger_price_type or "")
    if row.triggers is None or by is None:
        raise NotBuilt("this exchange's adapter has no such triggers")
    stop = request.type.startswith("Stop")
    direction = row.triggers.rising if stop == (request.side == "Buy") else row.triggers.falling
    return {row.triggers.stop if stop else row.triggers.take_profit: price, **direction, **by}


def position_params(row: Row, request: OrderRequest, *, hedge_mode: bool) -> Mapping[str, Any]:
    """Which position, in hedge mode, and whether it may only become smaller. `hedge_mode` is the account's, where it could be read."""
    side = request.position_side
    if side is None:
        if hedge_mode:
            raise NotBuilt("the account has two positions per market, and the order does not say which is meant: set spec.positionSide")
        return {"reduceOnly": True} if request.reduce_only else {}
    if request.reduce_only and (request.side == "Buy") == (side == "Long"):
        raise NotBuilt("an order of this side adds to that position, and can't be reduce-only")
    if hedge_mode and row.hedged is not None:
        return row.hedged(side, request.side)
    if side not in row.hedge:
        raise NotBuilt("this account has one position per market")
    return {**row.hedge[side], "reduceOnly": True} if request.reduce_only and row.hedge_takes_reduce_only else row.hedge[side]


def trigger_of(row: Row, source: Mapping[str, Any]) -> Decimal | None:
    """The trigger price of an order as ccxt read it."""
    if row.triggers is None:
        return None
    return next((price for name in ("triggerPrice", "stopLossPrice", "takeProfitPrice") if (price := said.amount(source, name))), None)


def type_of(row: Row, source: Mapping[str, Any], trigger: Decimal | None) -> str:
    """An OrderIntent's type, or the venue's own word for what is none."""
    style = source.get("type") or ("limit" if source.get("price") is not None else "market")
    if trigger is None or row.triggers is None:
        return STYLES.get(style, style)
    return f"{row.triggers.kind(source)}{'Limit' if said.amount(source, 'price') else 'Market'}"
