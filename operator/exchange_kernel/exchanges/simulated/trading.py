"""Placing, cancelling and changing orders and lists of orders. Source: binance-spot-api-docs, rest-api.md, "Trading endpoints".

Each first reads all its parameters and then does one thing, without waiting for anything.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Any, TypeVar

from exchange_kernel.exchanges.simulated import render
from exchange_kernel.exchanges.simulated.accounts import Account
from exchange_kernel.exchanges.simulated.errors import VenueError, not_valid
from exchange_kernel.exchanges.simulated.exchange import SimulatedExchange
from exchange_kernel.exchanges.simulated.order_lists import NewOrderList
from exchange_kernel.exchanges.simulated.order_parameters import (
    Shape,
    read_names,
    read_oco,
    read_order,
    read_oto,
    read_otoco,
    read_restriction,
    read_shape,
    read_symbol,
)
from exchange_kernel.exchanges.simulated.parameters import CLIENT_ORDER_ID, Parameters

T = TypeVar("T")


class ReplaceMode(StrEnum):
    STOP_ON_FAILURE = "STOP_ON_FAILURE"
    ALLOW_FAILURE = "ALLOW_FAILURE"


def new_order(exchange: SimulatedExchange, account: Account, parameters: Parameters) -> Any:
    new, shape = read_order(exchange, parameters)
    parameters.finish()
    exchange.order_limits[account.uid].charge(1)
    return render.placed(exchange.engine.place(account, new), shape)


def test_order(exchange: SimulatedExchange, account: Account, parameters: Parameters) -> Any:
    new, _ = read_order(exchange, parameters)
    parameters.finish()
    exchange.engine.check(new)
    return {}


def cancel_order(exchange: SimulatedExchange, account: Account, parameters: Parameters) -> Any:
    symbol = read_symbol(exchange, parameters)
    order_id, client_order_id = read_names(parameters, "orderId", "origClientOrderId")
    name, only = parameters.optional("newClientOrderId", CLIENT_ORDER_ID), read_restriction(parameters)
    parameters.finish()
    return render.cancelled(*exchange.engine.cancel(account, symbol, order_id=order_id, client_order_id=client_order_id, name=name, only=only))


def cancel_open_orders(exchange: SimulatedExchange, account: Account, parameters: Parameters) -> Any:
    symbol = read_symbol(exchange, parameters)
    parameters.finish()
    return render.all_cancelled(exchange.engine.cancel_all(account, symbol))


def cancel_replace(exchange: SimulatedExchange, account: Account, parameters: Parameters) -> Any:
    """Not atomic, as at the venue: the cancel may succeed and the new order fail, and the answer says so."""
    new, shape = read_order(exchange, parameters)
    mode = parameters.word("cancelReplaceMode", ReplaceMode, lambda: not_valid("cancelReplaceMode"))
    order_id, client_order_id = read_names(parameters, "cancelOrderId", "cancelOrigClientOrderId")
    name, only = parameters.optional("cancelNewClientOrderId", CLIENT_ORDER_ID), read_restriction(parameters)
    parameters.finish()
    exchange.engine.check(new)
    exchange.order_limits[account.uid].charge(1)
    cancel = _attempt(lambda: render.cancelled(*exchange.engine.cancel(
        account, new.symbol, order_id=order_id, client_order_id=client_order_id, name=name, only=only)))
    if isinstance(cancel, VenueError) and mode is ReplaceMode.STOP_ON_FAILURE:
        placed = None
    else:
        placed = _attempt(lambda: render.placed(exchange.engine.place(account, new), shape))
    results = {
        "cancelResult": "FAILURE" if isinstance(cancel, VenueError) else "SUCCESS",
        "newOrderResult": "NOT_ATTEMPTED" if placed is None else "FAILURE" if isinstance(placed, VenueError) else "SUCCESS",
        "cancelResponse": cancel.document() if isinstance(cancel, VenueError) else cancel,
        "newOrderResponse": placed.document() if isinstance(placed, VenueError) else placed,
    }
    if results["cancelResult"] == results["newOrderResult"] == "SUCCESS":
        return results
    if "SUCCESS" in (results["cancelResult"], results["newOrderResult"]):
        raise VenueError(-2021, "Order cancel-replace partially failed.", status=409, data=results)
    raise VenueError(-2022, "Order cancel-replace failed.", data=results)


def amend_order(exchange: SimulatedExchange, account: Account, parameters: Parameters) -> Any:
    symbol = read_symbol(exchange, parameters)
    order_id, client_order_id = read_names(parameters, "orderId", "origClientOrderId")
    quantity, name = parameters.decimal("newQty"), parameters.optional("newClientOrderId", CLIENT_ORDER_ID)
    parameters.finish()
    return render.amended(*exchange.engine.amend(account, symbol, quantity, order_id=order_id, client_order_id=client_order_id, name=name))


def _attempt(act: Callable[[], T]) -> T | VenueError:
    try:
        return act()
    except VenueError as refused:
        return refused


# ── Lists of orders ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

def new_oco(exchange: SimulatedExchange, account: Account, parameters: Parameters) -> Any:
    return _new_list(exchange, account, parameters, read_oco(exchange, parameters))


def new_oto(exchange: SimulatedExchange, account: Account, parameters: Parameters) -> Any:
    return _new_list(exchange, account, parameters, read_oto(exchange, parameters))


def new_otoco(exchange: SimulatedExchange, account: Account, parameters: Parameters) -> Any:
    return _new_list(exchange, account, parameters, read_otoco(exchange, parameters))


def _new_list(exchange: SimulatedExchange, account: Account, parameters: Parameters, new: NewOrderList) -> Any:
    """The docs name no default for the shape of the reports: RESULT, as in their examples."""
    shape = read_shape(parameters) or Shape.RESULT
    parameters.finish()
    exchange.order_limits[account.uid].charge(len(new.legs))
    return render.list_placed(*exchange.engine.place_list(account, new), shape)


def cancel_list(exchange: SimulatedExchange, account: Account, parameters: Parameters) -> Any:
    symbol = read_symbol(exchange, parameters)
    list_id, client_order_id = read_names(parameters, "orderListId", "listClientOrderId")
    name = parameters.optional("newClientOrderId", CLIENT_ORDER_ID)
    parameters.finish()
    return render.list_cancelled(*exchange.engine.cancel_list(account, symbol, list_id=list_id, client_order_id=client_order_id, name=name))
