"""The venue's endpoints as a table, and what the signed ones do. `http.py` carries them. Source: binance-spot-api-docs, rest-api.md.

Each first reads all its parameters and then does one thing, without waiting for anything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeVar

from exchange_kernel.exchanges.simulated import market_data, render
from exchange_kernel.exchanges.simulated.accounts import Account
from exchange_kernel.exchanges.simulated.errors import (
    VenueError,
    bad_combination,
    bad_order_type,
    bad_restrictions,
    bad_side,
    bad_time_in_force,
    mandatory,
    no_such_order,
    not_valid,
    one_of,
    too_long,
    unsupported_type,
    wrong_client_order_id,
)
from exchange_kernel.exchanges.simulated.exchange import SimulatedExchange
from exchange_kernel.exchanges.simulated.orders import NewOrder, OrderType, Side, Status, TimeInForce
from exchange_kernel.exchanges.simulated.parameters import CLIENT_ORDER_ID, WORD, Parameters
from exchange_kernel.exchanges.simulated.symbols import Symbol

T = TypeVar("T")

DAY_MS = 24 * 3600 * 1000
PAGE, LONGEST_PAGE = 500, 1000

UNSUPPORTED_TYPES = {
    "STOP_LOSS": "Stop loss", "STOP_LOSS_LIMIT": "Stop loss limit", "TAKE_PROFIT": "Take profit", "TAKE_PROFIT_LIMIT": "Take profit limit",
}

RESTRICTIONS = {"ONLY_NEW": Status.NEW, "ONLY_PARTIALLY_FILLED": Status.PARTIALLY_FILLED}


class Shape(StrEnum):
    ACK = "ACK"
    RESULT = "RESULT"
    FULL = "FULL"


class ReplaceMode(StrEnum):
    STOP_ON_FAILURE = "STOP_ON_FAILURE"
    ALLOW_FAILURE = "ALLOW_FAILURE"


@dataclass(frozen=True, slots=True)
class Public:
    answer: Callable[[SimulatedExchange, Parameters], Any]
    weight: int | Callable[[Parameters], int] = 1


@dataclass(frozen=True, slots=True)
class Signed:
    answer: Callable[[SimulatedExchange, Account, Parameters], Any]
    weight: int | Callable[[Parameters], int] = 1


# ── Orders ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

def new_order(exchange: SimulatedExchange, account: Account, parameters: Parameters) -> Any:
    new, shape = _read_order(exchange, parameters)
    parameters.finish()
    return render.placed(exchange.engine.place(account, new), shape)


def test_order(exchange: SimulatedExchange, account: Account, parameters: Parameters) -> Any:
    new, _ = _read_order(exchange, parameters)
    parameters.finish()
    exchange.engine.check(new)
    return {}


def cancel_order(exchange: SimulatedExchange, account: Account, parameters: Parameters) -> Any:
    symbol = _symbol(exchange, parameters)
    order_id, client_order_id = _named(parameters, "orderId", "origClientOrderId")
    name, only = parameters.optional("newClientOrderId", CLIENT_ORDER_ID), _restriction(parameters)
    parameters.finish()
    order, name = exchange.engine.cancel(account, symbol, order_id=order_id, client_order_id=client_order_id, name=name, only=only)
    return render.cancelled(order, name)


def cancel_open_orders(exchange: SimulatedExchange, account: Account, parameters: Parameters) -> Any:
    symbol = _symbol(exchange, parameters)
    parameters.finish()
    return [render.cancelled(order, name) for order, name in exchange.engine.cancel_all(account, symbol)]


def cancel_replace(exchange: SimulatedExchange, account: Account, parameters: Parameters) -> Any:
    """Not atomic, as at the venue: the cancel may succeed and the new order fail, and the answer says so."""
    new, shape = _read_order(exchange, parameters)
    mode = parameters.word("cancelReplaceMode", ReplaceMode, lambda: not_valid("cancelReplaceMode"))
    order_id, client_order_id = _named(parameters, "cancelOrderId", "cancelOrigClientOrderId")
    name, only = parameters.optional("cancelNewClientOrderId", CLIENT_ORDER_ID), _restriction(parameters)
    parameters.finish()
    exchange.engine.check(new)
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
    symbol = _symbol(exchange, parameters)
    order_id, client_order_id = _named(parameters, "orderId", "origClientOrderId")
    quantity, name = parameters.decimal("newQty"), parameters.optional("newClientOrderId", CLIENT_ORDER_ID)
    parameters.finish()
    return render.amended(*exchange.engine.amend(account, symbol, quantity, order_id=order_id, client_order_id=client_order_id, name=name))


def _read_order(exchange: SimulatedExchange, parameters: Parameters) -> tuple[NewOrder, Shape]:
    """[New order, "Some additional mandatory parameters based on order type"]"""
    symbol = _symbol(exchange, parameters)
    side = parameters.word("side", Side, bad_side)
    if (unsupported := UNSUPPORTED_TYPES.get(parameters.peek("type") or "")) is not None:
        raise unsupported_type(unsupported)
    kind = parameters.word("type", OrderType, bad_order_type)
    shape = parameters.optional_word("newOrderRespType", Shape, lambda: not_valid("newOrderRespType"))
    if parameters.optional("selfTradePreventionMode", WORD) not in (None, "NONE"):
        raise not_valid("selfTradePreventionMode")
    quantity = price = quote_quantity = None
    time_in_force = TimeInForce.GTC
    if kind is OrderType.MARKET:
        parameters.refuse("price", "timeInForce")
        quantity, quote_quantity = parameters.optional_decimal("quantity"), parameters.optional_decimal("quoteOrderQty")
        if quantity is None and quote_quantity is None:
            raise one_of("quantity", "quoteOrderQty")
        if quantity is not None and quote_quantity is not None:
            raise bad_combination()
    else:
        parameters.refuse("quoteOrderQty")
        quantity, price = parameters.decimal("quantity"), parameters.decimal("price")
        if kind is OrderType.LIMIT:
            time_in_force = parameters.word("timeInForce", TimeInForce, bad_time_in_force)
        else:
            parameters.refuse("timeInForce")
    new = NewOrder(
        symbol=symbol, side=side, type=kind, quantity=quantity, quote_quantity=quote_quantity, price=price, time_in_force=time_in_force,
        client_order_id=parameters.optional("newClientOrderId", CLIENT_ORDER_ID),
    )
    return new, shape or (Shape.ACK if kind is OrderType.LIMIT_MAKER else Shape.FULL)


def _attempt(act: Callable[[], T]) -> T | VenueError:
    try:
        return act()
    except VenueError as refused:
        return refused


def _restriction(parameters: Parameters) -> Status | None:
    value = parameters.optional("cancelRestrictions")
    if value is not None and value not in RESTRICTIONS:
        raise bad_restrictions()
    return None if value is None else RESTRICTIONS[value]


# ── Lookups ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

def query_order(exchange: SimulatedExchange, account: Account, parameters: Parameters) -> Any:
    symbol = _symbol(exchange, parameters)
    order_id, client_order_id = _named(parameters, "orderId", "origClientOrderId")
    parameters.finish()
    order = account.find(symbol, order_id, client_order_id)
    if order is None or not exchange.visibility.shows(order):
        raise no_such_order()
    if client_order_id not in (None, order.client_order_id):
        raise wrong_client_order_id()
    return render.queried(order)


def open_orders(exchange: SimulatedExchange, account: Account, parameters: Parameters) -> Any:
    symbol = _symbol(exchange, parameters) if "symbol" in parameters else None
    parameters.finish()
    return [
        render.queried(order) for order in account.open.values()
        if (symbol is None or order.symbol == symbol) and exchange.visibility.shows(order)
    ]


def all_orders(exchange: SimulatedExchange, account: Account, parameters: Parameters) -> Any:
    symbol = _symbol(exchange, parameters)
    from_id, (start, end), limit = parameters.optional_integer("orderId"), _span(parameters), _limit(parameters)
    parameters.finish()
    found = [
        order for order in account.orders[symbol.name]
        if (from_id is None or order.order_id >= from_id) and _within(order.time, start, end) and exchange.visibility.shows(order)
    ]
    return [render.queried(order) for order in _page(found, limit, oldest=from_id is not None or start is not None)]


def my_trades(exchange: SimulatedExchange, account: Account, parameters: Parameters) -> Any:
    symbol = _symbol(exchange, parameters)
    order_id, from_id = parameters.optional_integer("orderId"), parameters.optional_integer("fromId")
    (start, end), limit = _span(parameters), _limit(parameters)
    parameters.finish()
    if (start is not None or end is not None) and (order_id is not None or from_id is not None):
        raise bad_combination()
    found = [
        trade for trade in account.executions[symbol.name]
        if (order_id is None or trade.order_id == order_id) and (from_id is None or trade.trade_id >= from_id)
        and _within(trade.time, start, end) and exchange.visibility.shows_trade(trade)
    ]
    return [render.traded(trade) for trade in _page(found, limit, oldest=from_id is not None or start is not None)]


def account_information(exchange: SimulatedExchange, account: Account, parameters: Parameters) -> Any:
    omit_zero = parameters.optional("omitZeroBalances")
    parameters.finish()
    return render.account(account, exchange.engine.maker_fee, exchange.engine.taker_fee, omit_zero=omit_zero == "true")


def coins(exchange: SimulatedExchange, account: Account, parameters: Parameters) -> Any:
    """Of another of the venue's APIs (sapi): unless it is told not to, ccxt with keys asks for currencies and margin pairs with its markets."""
    parameters.finish()
    return [{"coin": asset, "name": asset, "isLegalMoney": False, "trading": True, "networkList": []} for asset in exchange.assets]


def margin_pairs(exchange: SimulatedExchange, account: Account, parameters: Parameters) -> Any:
    parameters.finish()
    return []


def _symbol(exchange: SimulatedExchange, parameters: Parameters) -> Symbol:
    return exchange.engine.market(parameters.text("symbol")).symbol


def _named(parameters: Parameters, by_id: str, by_client_id: str) -> tuple[int | None, str | None]:
    order_id, client_order_id = parameters.optional_integer(by_id), parameters.optional(by_client_id)
    if order_id is None and client_order_id is None:
        raise one_of(by_client_id, by_id)
    return order_id, client_order_id


def _span(parameters: Parameters) -> tuple[int | None, int | None]:
    start, end = parameters.optional_integer("startTime"), parameters.optional_integer("endTime")
    if start is not None and end is not None and end - start > DAY_MS:
        raise too_long(24)
    return start, end


def _limit(parameters: Parameters) -> int:
    limit = parameters.optional_integer("limit")
    if limit == 0:
        raise mandatory("limit")
    return PAGE if limit is None else min(limit, LONGEST_PAGE)


def _within(time: int, start: int | None, end: int | None) -> bool:
    return (start is None or time >= start) and (end is None or time <= end)


def _page(found: list[T], limit: int, *, oldest: bool) -> list[T]:
    """Always in chronological order: from a beginning, the oldest; without one, the most recent. [General API Information]"""
    return found[:limit] if oldest else found[-limit:]


# ── The table ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

def _of_symbol(with_symbol: int, without: int) -> Callable[[Parameters], int]:
    return lambda parameters: with_symbol if "symbol" in parameters else without


def _of_depth(parameters: Parameters) -> int:
    limit = parameters.peek("limit") or "100"
    levels = int(limit) if limit.isdecimal() else 100
    return 5 if levels <= 100 else 25 if levels <= 500 else 50 if levels <= 1000 else 250


ENDPOINTS: Mapping[tuple[str, str], Public | Signed] = {
    ("GET", "/api/v3/ping"): Public(market_data.ping),
    ("GET", "/api/v3/time"): Public(market_data.time),
    ("GET", "/api/v3/exchangeInfo"): Public(market_data.exchange_info, 20),
    ("GET", "/api/v3/depth"): Public(market_data.depth, _of_depth),
    ("GET", "/api/v3/ticker/price"): Public(market_data.price, _of_symbol(2, 4)),
    ("GET", "/api/v3/ticker/bookTicker"): Public(market_data.book_ticker, _of_symbol(2, 4)),
    ("GET", "/api/v3/ticker/24hr"): Public(market_data.day_ticker, _of_symbol(2, 80)),
    ("POST", "/api/v3/order"): Signed(new_order),
    ("POST", "/api/v3/order/test"): Signed(test_order),
    ("POST", "/api/v3/order/cancelReplace"): Signed(cancel_replace),
    ("PUT", "/api/v3/order/amend/keepPriority"): Signed(amend_order, 4),
    ("DELETE", "/api/v3/order"): Signed(cancel_order),
    ("DELETE", "/api/v3/openOrders"): Signed(cancel_open_orders),
    ("GET", "/api/v3/order"): Signed(query_order, 4),
    ("GET", "/api/v3/openOrders"): Signed(open_orders, _of_symbol(6, 80)),
    ("GET", "/api/v3/allOrders"): Signed(all_orders, 20),
    ("GET", "/api/v3/myTrades"): Signed(my_trades, lambda parameters: 5 if "orderId" in parameters else 20),
    ("GET", "/api/v3/account"): Signed(account_information, 20),
    ("GET", "/sapi/v1/capital/config/getall"): Signed(coins, 10),
    ("GET", "/sapi/v1/margin/allPairs"): Signed(margin_pairs),
    ("GET", "/sapi/v1/margin/isolated/allPairs"): Signed(margin_pairs, 10),
}
