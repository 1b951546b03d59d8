"""The requests that Binance spot takes. Pages of its documentation in brackets, as in `binance.py`."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import replace
from typing import Any

from exchange_kernel.core.market_rules import STOPS
from exchange_kernel.core.money import plain, quantise_price, quantise_quantity, quantise_trigger
from exchange_kernel.core.venue import GroupRequest, OrderRequest
from exchange_kernel.exchanges.ccxt.binance_answers import read_balances, report_of
from exchange_kernel.exchanges.ccxt.dialect import Call, Market, Pages
from exchange_kernel.exchanges.ccxt.parsing import integer, record
from exchange_kernel.exchanges.port import OrderRef

DAY_MS = 24 * 3600 * 1000
PAGE = 1000


#: Ours as the venue's; Limit and TrailingStop by what else the order says.
TYPES = {
    "Market": "MARKET", "StopMarket": "STOP_LOSS", "StopLimit": "STOP_LOSS_LIMIT", "TakeProfitMarket": "TAKE_PROFIT", "TakeProfitLimit": "TAKE_PROFIT_LIMIT",
}


def last_price(market: Market) -> Call:
    """[rest-api.md, Symbol price ticker]"""
    return Call("GET", "ticker/price", {"symbol": market.id}, weight=2, api=("public",), signed=False)


def submit(request: OrderRequest, market: Market) -> Call:
    """[rest-api.md, New order]"""
    params: dict[str, Any] = {
        "symbol": market.id, "side": request.side.upper(), "newClientOrderId": request.client_order_id, "newOrderRespType": "FULL",
    }
    if request.quote_quantity is not None:
        params["quoteOrderQty"] = plain(quantise_quantity(request.quote_quantity, market.quote_step))
    else:
        params["quantity"] = _quantity(request, market)
    return Call("POST", "order", {**params, **_terms(request, market)})


def _quantity(request: OrderRequest, market: Market) -> str:
    assert request.quantity is not None
    return plain(quantise_quantity(request.quantity, market.rules.quantity_step))


def _terms(request: OrderRequest, market: Market, *, maker: bool = False) -> dict[str, str]:
    """The type and what belongs to it. `maker`: a limit order that may only make, as every limit order of an OCO."""
    terms = {"type": _type(request, maker or request.post_only)}
    if request.price is not None:              # never with a market order: ccxt would take it for a budget
        terms["price"] = plain(quantise_price(request.price, market.rules.price_step, request.side))
        if terms["type"] != "LIMIT_MAKER":
            terms["timeInForce"] = request.time_in_force or "GTC"
    if request.trigger_price is not None:
        terms["stopPrice"] = plain(quantise_trigger(request.trigger_price, market.rules.price_step))
    if request.trailing_offset is not None:    # in basis points
        terms["trailingDelta"] = plain(request.trailing_offset)
    return terms


def _type(request: OrderRequest, maker: bool) -> str:
    """From an activation price on, a stop follows the market that has moved in its favour: that is the venue's TAKE_PROFIT with a delta, on either side;
    without one either type does the same. [faqs/trailing-stop-faq.md, What kind of price changes will trigger my trailing stop order?]
    """
    if request.type == "TrailingStop":
        return "STOP_LOSS" if request.trigger_price is None else "TAKE_PROFIT"
    if request.type == "Limit":
        return "LIMIT_MAKER" if maker else "LIMIT"
    return TYPES[request.type]


def amend(ref: OrderRef, request: OrderRequest, market: Market) -> Call:
    """Our id again as the order's new one, or the venue makes one up. [rest-api.md, Order Amend Keep Priority]"""
    params: dict[str, Any] = {
        "symbol": market.id, "origClientOrderId": ref.client_order_id, "newClientOrderId": ref.client_order_id, "newQty": _quantity(request, market),
    }
    if ref.exchange_order_id is not None:
        params["orderId"] = ref.exchange_order_id
    return Call("PUT", "order/amend/keepPriority", params, weight=4)


def submit_list(request: GroupRequest, market: Market) -> Call:
    """[rest-api.md, New Order list - OCO, - OTO, - OTOCO]"""
    params: dict[str, Any] = {"symbol": market.id, "listClientOrderId": request.list_id, "newOrderRespType": "FULL"}
    first, *rest = (leg.request for leg in request.legs)
    if request.mode == "OneCancelsOther":
        return Call("POST", "orderList/oco", {**params, "side": first.side.upper(), "quantity": _quantity(first, market), **_pair((first, *rest), market)})
    params |= {"workingSide": first.side.upper(), "workingQuantity": _quantity(first, market), **_leg("working", first, market)}
    if request.mode == "OneTriggersOther":
        [second] = rest
        params |= {"pendingSide": second.side.upper(), "pendingQuantity": _quantity(second, market), **_leg("pending", second, market)}
        return Call("POST", "orderList/oto", params)
    params |= {"pendingSide": rest[0].side.upper(), "pendingQuantity": _quantity(rest[0], market)}
    params |= {f"pending{name[0].upper()}{name[1:]}": value for name, value in _pair(rest, market).items()}
    return Call("POST", "orderList/otoco", params)


def _pair(requests: Iterable[OrderRequest], market: Market) -> dict[str, str]:
    """Which is above the market and which below: a sale takes its profit above and its loss below, a purchase the other way round."""
    params: dict[str, str] = {}
    for request in requests:
        above = (request.type in STOPS) == (request.side == "Buy")
        params |= _leg("above" if above else "below", request, market, maker=True)
    return params


def _leg(name: str, request: OrderRequest, market: Market, *, maker: bool = False) -> dict[str, str]:
    terms = {"clientOrderId": request.client_order_id, **_terms(request, market, maker=maker)}
    return {f"{name}{key[0].upper()}{key[1:]}": value for key, value in terms.items()}


def lookup_list(list_id: str) -> Call:
    """[rest-api.md, Query Order list]"""
    return Call("GET", "orderList", {"origClientOrderId": list_id}, weight=4)


def balances() -> Pages:
    """[rest-api.md, Account information]"""
    yield Call("GET", "account", {"omitZeroBalances": "true"}, weight=20, extract=read_balances)


def cancel(ref: OrderRef, market: Market) -> Call:
    """By our id; with the venue's id too where it is known, so that a reused client id can't hit another order. [rest-api.md, Cancel order]"""
    params: dict[str, Any] = {"symbol": market.id, "origClientOrderId": ref.client_order_id}
    if ref.exchange_order_id is not None:
        params["orderId"] = ref.exchange_order_id
    return Call("DELETE", "order", params, extract=lambda answer: report_of(answer.document, ref.client_order_id))


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
