"""The requests that Binance spot takes. Pages of its documentation in brackets, as in `binance.py`."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from typing import Any

from exchange_kernel.core.money import plain, quantise_price, quantise_quantity
from exchange_kernel.core.venue import OrderRequest
from exchange_kernel.exchanges.ccxt.dialect import Call, Market, Pages
from exchange_kernel.exchanges.ccxt.parsing import integer, record
from exchange_kernel.exchanges.port import OrderRef

DAY_MS = 24 * 3600 * 1000
PAGE = 1000


def submit(request: OrderRequest, market: Market) -> Call:
    """[rest-api.md, New order]"""
    params: dict[str, Any] = {
        "symbol": market.id, "side": request.side.upper(), "newClientOrderId": request.client_order_id, "newOrderRespType": "FULL",
    }
    if request.quantity is not None:
        params["quantity"] = plain(quantise_quantity(request.quantity, market.rules.quantity_step))
    elif request.quote_quantity is not None:
        params["quoteOrderQty"] = plain(quantise_quantity(request.quote_quantity, market.quote_step))
    if request.type == "Market":               # never with a price, which ccxt would take for a budget
        params["type"] = "MARKET"
    elif request.price is not None:
        params["price"] = plain(quantise_price(request.price, market.rules.price_step, request.side))
        params["type"] = "LIMIT_MAKER" if request.post_only else "LIMIT"
        if not request.post_only:
            params["timeInForce"] = request.time_in_force or "GTC"
    return Call("POST", "order", params)


def cancel(ref: OrderRef, market: Market) -> Call:
    """By our id; with the venue's id too where it is known, so that a reused client id can't hit another order. [rest-api.md, Cancel order]"""
    params: dict[str, Any] = {"symbol": market.id, "origClientOrderId": ref.client_order_id}
    if ref.exchange_order_id is not None:
        params["orderId"] = ref.exchange_order_id
    return Call("DELETE", "order", params)


def lookup(ref: OrderRef, market: Market) -> Call:
    """By the venue's id where it is known: by a client id that was used again, the venue shows one of its orders only. [rest-api.md, Query order]"""
    key = {"origClientOrderId": ref.client_order_id} if ref.exchange_order_id is None else {"orderId": ref.exchange_order_id}
    return Call("GET", "order", {"symbol": market.id, **key}, weight=4)


def open_orders(market: Market | None) -> Pages:
    """All of them, in one answer. [rest-api.md, Current open orders]"""
    yield Call("GET", "openOrders", weight=80) if market is None else Call("GET", "openOrders", {"symbol": market.id}, weight=6)


def order_pages(market: Market, since: int, now: int) -> Pages:
    """Day by day until the first order, then by order id, which ascends: a window may span one day only. [rest-api.md, All orders]"""
    every = Call("GET", "allOrders", {"symbol": market.id, "limit": PAGE}, weight=20)
    page = yield from _first_day(every, since, now)
    while page:
        page = yield replace(every, params={**every.params, "orderId": _last(page, "orderId") + 1})
        if len(page) < PAGE:
            return


def trade_pages(market: Market, since: int | None, exchange_order_id: str | None, now: int) -> Pages:
    """Of one order, or as with orders by day and then by trade id. [rest-api.md, Account trade list]"""
    if exchange_order_id is not None:
        one = {"symbol": market.id, "orderId": exchange_order_id, "limit": PAGE}
        page = yield Call("GET", "myTrades", one, weight=5)
        while len(page) >= PAGE:
            page = yield Call("GET", "myTrades", {**one, "fromId": _last(page, "id") + 1}, weight=5)
        return
    every = Call("GET", "myTrades", {"symbol": market.id, "limit": PAGE}, weight=20)
    page = yield from _first_day(every, since, now) if since is not None else _from_the_beginning(every)
    while page:
        page = yield replace(every, params={**every.params, "fromId": _last(page, "id") + 1})
        if len(page) < PAGE:
            return


def _first_day(call: Call, since: int, now: int) -> Generator[Call, list[Any], list[Any]]:
    """The first page that has anything, going forward in windows of a day; empty when today has nothing either."""
    while True:
        page = yield replace(call, params={**call.params, "startTime": since, "endTime": since + DAY_MS - 1})
        since += DAY_MS
        if page or since > now:
            return page


def _from_the_beginning(call: Call) -> Generator[Call, list[Any], list[Any]]:
    return (yield replace(call, params={**call.params, "fromId": 0}))


def _last(page: list[Any], key: str) -> int:
    return max(integer(record(entry), key) for entry in page)
