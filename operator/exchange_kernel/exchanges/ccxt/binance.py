"""Binance spot. Sources: the venue's own documentation (github.com/binance/binance-spot-api-docs), page and section in brackets, read 2026-07."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

from exchange_kernel.api import AmendQuantity, DuplicateIdsRefused, ExpiryCheck, LookupAuthority
from exchange_kernel.core.answers import ExchangeOrder, Fee, OrderStatus, Trade
from exchange_kernel.core.money import plain, quantise_price, quantise_quantity
from exchange_kernel.core.venue import Capabilities, MarketRules, OrderRequest
from exchange_kernel.exchanges.ccxt.budget import Limit
from exchange_kernel.exchanges.ccxt.dialect import (
    AllowList,
    Call,
    Dialect,
    Market,
    Markets,
    Pages,
    Said,
    StreamDialect,
    StreamEnded,
    StreamEvent,
    Words,
)
from exchange_kernel.exchanges.ccxt.parsing import (
    UnknownMarket,
    Unreadable,
    amount,
    decimal,
    entries,
    identifier,
    integer,
    positive,
    positive_or_none,
    record,
    text,
    time_ms,
    word,
)
from exchange_kernel.exchanges.port import OrderRef, OrderUpdate

DAY_MS = 24 * 3600 * 1000
PAGE = 1000
REQUEST_WINDOW_MS = 3000

CAPABILITIES = Capabilities(
    client_order_id_codec="hex32",
    client_order_id_max_length=36,          # ^[\.A-Z\:/a-z0-9_-]{1,36}$ [derivatives: New Order; spot states uniqueness only]
    duplicate_ids_refused=DuplicateIdsRefused.WHILE_OPEN,      # "accepted only when the previous one is filled" [rest-api.md, New order, newClientOrderId]
    lookup=LookupAuthority.AUTHORITATIVE,   # GET /api/v3/order by origClientOrderId, memory then database [rest-api.md, Query order]
    lookup_delay_ms=1000,                   # ours: "some delay in the response is normal and expected" [rest-api.md, Data Sources]
    request_window_ms=REQUEST_WINDOW_MS,    # recvWindow, any value to 60000 [rest-api.md, Timing security]
    accepts_ahead_ms=1000,                  # timestamp < serverTime + 1 second [rest-api.md, Timing security]
    expiry_check=ExpiryCheck.BY_ENGINE,     # checked again just before the matching engine [CHANGELOG.md, 2025-05-22; rest-api.md, Timing security]
    retention_ms=90 * DAY_MS,               # cancelled or expired without a fill: archived after 90 days [errors.md, -2026 ORDER_ARCHIVED]
    amend=AmendQuantity.NONE,               # the venue can (keepPriority); this release doesn't
    cancel_by_client_id=True,               # origClientOrderId [rest-api.md, Cancel order]
    order_types=frozenset({"Market", "Limit"}),
    times_in_force=frozenset({"GTC", "IOC", "FOK"}),    # [enums.md, Time in force]
    post_only=True,                         # LIMIT_MAKER [rest-api.md, New order]
    reduce_only=False,                      # spot has no positions
)

SIDES = {"BUY": "Buy", "SELL": "Sell"}

TYPES = {
    "MARKET": "Market", "LIMIT": "Limit", "LIMIT_MAKER": "Limit", "STOP_LOSS": "StopMarket", "STOP_LOSS_LIMIT": "StopLimit",
    "TAKE_PROFIT": "TakeProfitMarket", "TAKE_PROFIT_LIMIT": "TakeProfitLimit",
}

#: [enums.md, Order status]. EXPIRED is told apart by its cause, below.
STATUSES = {
    "NEW": OrderStatus.OPEN, "PENDING_NEW": OrderStatus.OPEN, "PARTIALLY_FILLED": OrderStatus.OPEN, "PENDING_CANCEL": OrderStatus.OPEN,
    "FILLED": OrderStatus.FILLED, "CANCELED": OrderStatus.CANCELED, "REJECTED": OrderStatus.REJECTED, "EXPIRED": OrderStatus.EXPIRED,
    "EXPIRED_IN_MATCH": OrderStatus.CANCELED,       # by the venue's self-trade prevention, not by the order's time in force
}

#: [user-data-stream.md, Order Expiry Reason]. What isn't here was ended by the venue, not by the order's own terms.
EXPIRED_BY_ITS_TERMS = {"UNFILLED_IOC_QUANTITY_EXPIRED", "UNFILLED_FOK_ORDER_EXPIRED", "INSUFFICIENT_LIQUIDITY"}


# ── Requests ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

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


# ── Answers ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

def read_error(document: Any) -> tuple[str, str] | None:
    """{"code": -1121, "msg": "Invalid symbol."} [rest-api.md, Error Codes]"""
    if not isinstance(document, dict) or type(document.get("code")) is not int or not isinstance(document.get("msg"), str):
        return None
    return str(document["code"]), document["msg"]


def read_submitted(document: Any, market: Market) -> tuple[ExchangeOrder, tuple[Trade, ...]]:
    """[rest-api.md, New order, Response - FULL]"""
    source = record(document)
    order = _order(source, market, client_order_id=text(source, "clientOrderId"), updated="transactTime", created="transactTime")
    trades = tuple(
        Trade(
            trade_id=identifier(fill, "tradeId"), symbol=order.symbol, exchange_order_id=order.exchange_order_id, quantity=positive(fill, "qty"),
            price=positive(fill, "price"), time_ms=time_ms(source, "transactTime"), fee=Fee(text(fill, "commissionAsset"), decimal(fill, "commission")),
            client_order_id=order.client_order_id,
        )
        for fill in map(record, entries(source.get("fills", [])))
    )
    return order, trades


def read_cancelled(document: Any, market: Market) -> ExchangeOrder:
    """`clientOrderId` is the cancel's own name; the order's is `origClientOrderId`. [rest-api.md, Cancel order]"""
    source = record(document)
    return _order(source, market, client_order_id=text(source, "origClientOrderId"), updated="transactTime", created=None)


def read_order(document: Any, markets: Markets) -> ExchangeOrder:
    """[rest-api.md, Query order]"""
    source = record(document)
    return _order(source, _market(source, "symbol", markets), client_order_id=text(source, "clientOrderId"), updated="updateTime", created="time")


def _order(source: Mapping[str, Any], market: Market, *, client_order_id: str, updated: str, created: str | None) -> ExchangeOrder:
    if text(source, "symbol") != market.id:
        raise Unreadable("the answer is about another market")
    return ExchangeOrder(
        client_order_id=client_order_id,
        exchange_order_id=identifier(source, "orderId"),
        symbol=market.rules.symbol,
        side=word(source, "side", SIDES),
        type=word(source, "type", TYPES),
        status=_status(text(source, "status"), source.get("expiryReason"), text(source, "type"), source.get("timeInForce")),
        quantity=positive_or_none(source, "origQty"),              # zero while the venue sizes an order by quote quantity
        filled_quantity=amount(source, "executedQty"),
        filled_quote_quantity=_known_quote(source, "cummulativeQuoteQty"),
        price=positive_or_none(source, "price"),                   # zero on market orders
        update_time_ms=time_ms(source, updated),
        created_time_ms=None if created is None else time_ms(source, created),
    )


def _status(status: str, reason: Any, type_: str, time_in_force: Any) -> OrderStatus:
    if status not in STATUSES:
        raise Unreadable("status can't be read")
    if status != "EXPIRED":
        return STATUSES[status]
    if reason == "REJECTED":                   # a contingent order that the engine refused when its time came
        return OrderStatus.REJECTED
    by_its_terms = reason in EXPIRED_BY_ITS_TERMS if isinstance(reason, str) and reason != "NONE" else type_ == "MARKET" or time_in_force in ("IOC", "FOK")
    return OrderStatus.EXPIRED if by_its_terms else OrderStatus.CANCELED


def _known_quote(source: Mapping[str, Any], key: str) -> Decimal | None:
    """Negative on some historical orders: not available. [rest-api.md, Query order, Notes]"""
    value = decimal(source, key)
    return None if value < 0 else value


def read_trade(document: Any, markets: Markets) -> Trade:
    """[rest-api.md, Account trade list]"""
    source = record(document)
    return Trade(
        trade_id=identifier(source, "id"), symbol=_market(source, "symbol", markets).rules.symbol, exchange_order_id=identifier(source, "orderId"),
        quantity=positive(source, "qty"), price=positive(source, "price"), time_ms=time_ms(source, "time"),
        fee=Fee(text(source, "commissionAsset"), decimal(source, "commission")),
    )


def _market(source: Mapping[str, Any], key: str, markets: Markets) -> Market:
    market = markets.get(text(source, key))
    if market is None:
        raise UnknownMarket("the market is not among those loaded")
    return market


def read_clock(document: Any) -> int:
    return time_ms(record(document), "serverTime")


def read_account(document: Any) -> str:
    """[rest-api.md, Account information]"""
    return identifier(record(document), "uid")


def read_markets(document: Any) -> list[Any]:
    """[rest-api.md, Exchange information]"""
    if not (symbols := entries(record(document).get("symbols"))):
        raise Unreadable("the venue lists no markets")
    return symbols


def read_market(document: Any, asset: Callable[[str], str]) -> Market:
    """The filters' own decimals: ccxt's `precision` and `limits` are floats of them. [filters.md]"""
    source = record(document)
    filters = {text(one, "filterType"): one for one in map(record, entries(source.get("filters")))}
    lot, price, notional = filters.get("LOT_SIZE", {}), filters.get("PRICE_FILTER", {}), filters.get("NOTIONAL") or filters.get("MIN_NOTIONAL") or {}
    base, quote = asset(text(source, "baseAsset")), asset(text(source, "quoteAsset"))
    rules = MarketRules(
        symbol=f"{base}/{quote}", base=base, quote=quote,
        active=source.get("status") == "TRADING" and source.get("isSpotTradingAllowed") is not False,
        quantity_step=positive_or_none(lot, "stepSize"), min_quantity=positive_or_none(lot, "minQty"), max_quantity=positive_or_none(lot, "maxQty"),
        price_step=positive_or_none(price, "tickSize"), min_price=positive_or_none(price, "minPrice"), max_price=positive_or_none(price, "maxPrice"),
        min_notional=positive_or_none(notional, "minNotional"),
    )
    return Market(id=text(source, "symbol"), rules=rules, quote_step=Decimal((0, (1,), -integer(source, "quoteAssetPrecision"))))


def read_limit(document: Any) -> Limit | None:
    """[enums.md, Rate limiters]"""
    seconds = {"SECOND": 1, "MINUTE": 60, "HOUR": 3600, "DAY": 86400}
    for one in map(record, entries(record(document).get("rateLimits", []))):
        if one.get("rateLimitType") == "REQUEST_WEIGHT" and (interval := seconds.get(text(one, "interval"))) is not None:
            return Limit(integer(one, "limit"), integer(one, "intervalNum") * interval)
    return None


def read_used_weight(headers: Mapping[str, str]) -> float | None:
    """[rest-api.md, IP Limits]"""
    used = headers.get("X-MBX-USED-WEIGHT-1M", "")
    return float(used) if used.isdecimal() else None


# ── Words [errors.md] ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

#: "Messages for -1010, -2010, -2011 and -2038", without those that speak of an order that may exist.
ENGINE_REFUSALS = (
    "Market is closed.",
    "Account has insufficient balance for requested action.",
    "Market orders are not supported for this symbol.",
    "Price * QTY is zero or less.",
    "This action is disabled on this account.",
    "This account may not place or cancel orders.",
    "Unsupported order combination",
    "Unsupported order combination.",
    "Order would immediately match and take.",
    "Quote order qty market orders are not support for this symbol.",
    "This symbol is not permitted for this account.",
    "This symbol is restricted for this account.",
    "Rest API trading is not enabled.",
    "Order book liquidity is less than %s filter minimum quantity.",
    "Order book liquidity is less than symbol minimum quantity.",
)

WORDS = Words(
    # One code for "no funds" and "exists": asked first.
    duplicates=AllowList((("-1010", "-1013", "-2010"), ("Duplicate order sent.",))),
    refusals=AllowList(
        (("-1010", "-1013", "-2010"), ENGINE_REFUSALS),
        (("-1010", "-1013", "-2010"), ("Filter failure: %s",)),
        (("-1013",), ("Invalid quantity.", "Invalid price.")),      # seen by ccxt (binance.py, handle_errors)
        (("-2011",), (
            "Order was not canceled due to cancel restrictions.", "This action is disabled on this account.", "This account may not place or cancel orders.",
            "Cancel order is invalid. Check origClOrdId and orderId.", "Rest API trading is not enabled.",
        )),
        (("-1002",), ("You are not authorized to execute this request.",)),
        (("-1014",), ("Unsupported order combination.",)),
        (("-1020",), ("This operation is not supported.",)),
        (("-1022",), ("Signature for this request is not valid.",)),
        (("-1100",), ("Illegal characters found in a parameter.", "Illegal characters found in parameter '%s'; legal range is '%s'.")),
        (("-1101",), (
            "Too many parameters sent for this endpoint.", "Too many parameters; expected '%s' and received '%s'.",
            "Duplicate values for a parameter detected.", "Duplicate values for parameter '%s'.",
        )),
        (("-1102",), (
            "A mandatory parameter was not sent, was empty/null, or malformed.", "Mandatory parameter '%s' was not sent, was empty/null, or malformed.",
            "Param '%s' or '%s' must be sent, but both were empty/null!", "Field value was empty or malformed.",
            "'%s' contains unexpected value. Cannot be greater than %s.",
        )),
        (("-1103",), ("An unknown parameter was sent.",)),
        (("-1104",), ("Not all sent parameters were read.", "Not all sent parameters were read; read '%s' parameter(s) but was sent '%s'.")),
        (("-1105",), ("A parameter was empty.", "Parameter '%s' was empty.")),
        (("-1106",), ("A parameter was sent when not required.", "Parameter '%s' sent when not required.")),
        (("-1108",), ("Parameter '%s' overflowed.",)),
        (("-1111",), ("Parameter '%s' has too much precision.", "Precision is over the maximum defined for this asset.")),
        (("-1112",), ("No orders on book for symbol.",)),
        (("-1114",), ("TimeInForce parameter sent when not required.",)),
        (("-1115",), ("Invalid timeInForce.",)),
        (("-1116",), ("Invalid orderType.",)),
        (("-1117",), ("Invalid side.",)),
        (("-1118",), ("New client order ID was empty.",)),
        (("-1119",), ("Original client order ID was empty.",)),
        (("-1121",), ("Invalid symbol.",)),
        (("-1128",), ("Combination of optional parameters invalid.", "Fields [%s] must be sent together or omitted entirely.")),
        (("-1130",), ("Invalid data sent for a parameter.", "Data sent for parameter '%s' is not valid.")),
        (("-2014",), ("API-key format invalid.",)),
        (("-2015",), ("Invalid API-key, IP, or permissions for action.",)),
    ),
    time=AllowList((("-1021",), ("Timestamp for this request %s",))),
    unknown_order=AllowList((("-2011",), ("Unknown order sent.",)), (("-2013",), ("Order does not exist.",))),
    # Not -2026 (archived), which says that it existed and was once sent for new orders by mistake [CHANGELOG.md].
    not_found=AllowList((("-2013",), ("Order does not exist.",))),
    busy=AllowList((("-1003",), ("%s",)), (("-1015",), ("%s",))),
)


# ── The private stream [web-socket-api.md, User Data Stream requests; user-data-stream.md] ──────────────────────────────────────────────────

def subscribe(exchange: Any, request_id: str) -> Mapping[str, Any]:
    return {"id": request_id, "method": "userDataStream.subscribe.signature", "params": exchange.sign_params({})}


def heartbeat(request_id: str) -> Mapping[str, Any]:
    """"A safe way to test request-response handling" [web-socket-api.md, Test connectivity]"""
    return {"id": request_id, "method": "ping"}


def read_stream(document: Any, markets: Markets) -> StreamEvent | None:
    source = record(document)
    if "event" not in source:
        error = source.get("error")
        return Said(str(source.get("id")), None if error is None and source.get("status") == 200 else read_error(error) or ("", ""))
    event = record(source["event"])
    match text(event, "e"):
        case "executionReport":
            return _execution_report(event, markets)
        case "eventStreamTerminated" | "serverShutdown":
            return StreamEnded()
        case _:                                # balances, locks, order lists
            return None


def _execution_report(event: Mapping[str, Any], markets: Markets) -> OrderUpdate | None:
    execution, status = text(event, "x"), text(event, "X")
    if execution == "REJECTED":
        # It may be the refusal of a second request under the id of an order that lives. The answer and the lookup say which.
        return None
    market = _market(event, "s", markets)
    # On a cancel, `c` is the name of the cancel, and the order's own is `C`; after an amend it is `c`.
    named = event.get("C")
    client_order_id = named if isinstance(named, str) and named not in ("", "null") and execution != "REPLACED" else text(event, "c")
    order = ExchangeOrder(
        client_order_id=client_order_id,
        exchange_order_id=identifier(event, "i"),
        symbol=market.rules.symbol,
        side=word(event, "S", SIDES),
        type=word(event, "o", TYPES),
        status=_status(status, event.get("eR"), text(event, "o"), event.get("f")),
        quantity=positive_or_none(event, "q"),
        filled_quantity=amount(event, "z"),
        filled_quote_quantity=_known_quote(event, "Z"),
        price=positive_or_none(event, "p"),
        update_time_ms=time_ms(event, "T"),
        created_time_ms=time_ms(event, "O"),
    )
    if execution != "TRADE":
        return OrderUpdate(order)
    return OrderUpdate(order, Trade(
        trade_id=identifier(event, "t"), symbol=order.symbol, exchange_order_id=order.exchange_order_id, quantity=positive(event, "l"),
        price=positive(event, "L"), time_ms=time_ms(event, "T"), client_order_id=client_order_id,
        fee=Fee(text(event, "N"), decimal(event, "n")) if event.get("N") is not None else None,
    ))


BINANCE_SPOT = Dialect(
    exchange_id="binance",
    market_type="spot",
    capabilities=CAPABILITIES,
    options={
        "defaultType": "spot", "fetchMarkets": {"types": ["spot"]}, "fetchCurrencies": False, "fetchMargins": False,
        "recvWindow": REQUEST_WINDOW_MS, "timeDifference": 0, "adjustForTimeDifference": False,
    },
    limit=Limit(6000, 60),                     # [enums.md, Rate limiters, REQUEST_WEIGHT]
    submit=submit,
    cancel=cancel,
    lookup=lookup,
    open_orders=open_orders,
    order_pages=order_pages,
    trade_pages=trade_pages,
    clock=Call("GET", "time", api=("public",), signed=False),
    account=lambda: Call("GET", "account", {"omitZeroBalances": "true"}, weight=20),
    markets=Call("GET", "exchangeInfo", weight=20, api=("public",), signed=False),
    read_error=read_error,
    read_submitted=read_submitted,
    read_cancelled=read_cancelled,
    read_order=read_order,
    read_trade=read_trade,
    read_clock=read_clock,
    read_account=read_account,
    read_markets=read_markets,
    read_market=read_market,
    read_limit=read_limit,
    read_used_weight=read_used_weight,
    words=WORDS,
    stream=StreamDialect(url=("ws", "ws-api", "spot"), weight=4, subscribe=subscribe, heartbeat=heartbeat, read=read_stream),
)
