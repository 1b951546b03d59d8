"""What the venue does beside, or instead of, what it was asked for: the faults of an order's own endpoints."""

from __future__ import annotations

from copy import copy
from decimal import Decimal
from typing import Any

from exchange_kernel.exchanges.simulated import render
from exchange_kernel.exchanges.simulated.accounts import Account
from exchange_kernel.exchanges.simulated.errors import unknown_order
from exchange_kernel.exchanges.simulated.exchange import SimulatedExchange
from exchange_kernel.exchanges.simulated.orders import Order, Status
from exchange_kernel.exchanges.simulated.parameters import Parameters

NAMES = (("orderId", "origClientOrderId"), ("cancelOrderId", "cancelOrigClientOrderId"))


def fill_first(exchange: SimulatedExchange, account: Account, parameters: Parameters, fraction: float) -> None:
    """The order that the request names trades just before the request is looked at."""
    order = _named(exchange, account, parameters)
    if order is None:
        return
    step = order.symbol.step
    quantity = order.remaining * Decimal(str(fraction)) // step * step
    if quantity:
        exchange.engine.fill(exchange.taker, order, quantity)


def pretended_cancel(exchange: SimulatedExchange, account: Account, parameters: Parameters) -> Any:
    """The answer of a cancel that was not done."""
    order = _named(exchange, account, parameters)
    if order is None:
        raise unknown_order()
    shown = copy(order)
    shown.status = Status.CANCELED
    return render.cancelled(shown, "pretended")


def _named(exchange: SimulatedExchange, account: Account, parameters: Parameters) -> Order | None:
    symbol = exchange.engine.market(parameters.peek("symbol") or "").symbol
    for by_id, by_client_id in NAMES:
        order_id, client_order_id = parameters.peek(by_id), parameters.peek(by_client_id)
        if order_id or client_order_id:
            return account.find_open(symbol, int(order_id) if order_id else None, client_order_id)
    return None
