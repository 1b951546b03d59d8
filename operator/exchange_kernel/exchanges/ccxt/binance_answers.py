"""The answers and events of Binance spot, read strictly. Pages of its documentation in brackets, as in `binance.py`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from exchange_kernel.core.answers import Balance, ExchangeOrder, Fee, GroupFound, OrderStatus, Trade
from exchange_kernel.core.venue import MarketRules, PriceBand
from exchange_kernel.exchanges.ccxt.budget import Limit
from exchange_kernel.exchanges.ccxt.dialect import Market, Markets, Said, StreamEnded, StreamEvent
from exchange_kernel.exchanges.ccxt.parsing import (
    UnknownMarket,
    Unreadable,
    amount,
    decimal,
    entries,
    identifier,
    integer,
    number_of,
    positive,
    positive_or_none,
    record,
    text,
    time_ms,
    word,
)
from exchange_kernel.exchanges.ccxt.wire import Answer
from exchange_kernel.exchanges.port import OrderUpdate

SIDES = {"BUY": "Buy", "SELL": "Sell"}

TYPES = {
    "MARKET": "Market", "LIMIT": "Limit", "LIMIT_MAKER": "Limit", "STOP_LOSS": "StopMarket", "STOP_LOSS_LIMIT": "StopLimit",
    "TAKE_PROFIT": "TakeProfitMarket", "TAKE_PROFIT_LIMIT": "TakeProfitLimit",
}

#: Those that wait for a price.
TRIGGERED = {"STOP_LOSS", "STOP_LOSS_LIMIT", "TAKE_PROFIT", "TAKE_PROFIT_LIMIT"}

#: [enums.md, Order status]. EXPIRED is told apart by its cause, below.
STATUSES = {
    "NEW": OrderStatus.OPEN, "PENDING_NEW": OrderStatus.OPEN, "PARTIALLY_FILLED": OrderStatus.OPEN, "PENDING_CANCEL": OrderStatus.OPEN,
    "FILLED": OrderStatus.FILLED, "CANCELED": OrderStatus.CANCELED, "REJECTED": OrderStatus.REJECTED, "EXPIRED": OrderStatus.EXPIRED,
    "EXPIRED_IN_MATCH": OrderStatus.CANCELED,       # by the venue's self-trade prevention, not by the order's time in force
}

MAX_PRECISION = 30

MAX_WEIGHT = 10**9

#: [user-data-stream.md, Order Expiry Reason]. What isn't here was ended by the venue, not by the order's own terms.
EXPIRED_BY_ITS_TERMS = {"UNFILLED_IOC_QUANTITY_EXPIRED", "UNFILLED_FOK_ORDER_EXPIRED", "INSUFFICIENT_LIQUIDITY"}


def read_error(document: Any) -> tuple[str, str] | None:
    """{"code": -1121, "msg": "Invalid symbol."} [rest-api.md, Error Codes]"""
    if not isinstance(document, dict) or type(document.get("code")) is not int or not isinstance(document.get("msg"), str):
        return None
    return str(document["code"]), document["msg"]


def read_submitted(document: Any, market: Market) -> tuple[ExchangeOrder, tuple[Trade, ...]]:
    """[rest-api.md, New order, Response - FULL]"""
    return _submitted(record(document), market)


def _submitted(source: Mapping[str, Any], market: Market) -> tuple[ExchangeOrder, tuple[Trade, ...]]:
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


def report_of(document: Any, client_order_id: str) -> Any:
    """To cancel an order of a list cancels the list, and that is what the answer tells of. [web-socket-api.md, Cancel order]"""
    if "orderReports" not in (source := record(document)):
        return document
    for report in map(record, entries(source["orderReports"])):
        if report.get("origClientOrderId") == client_order_id:
            return report
    raise Unreadable("the list has no such order")


def read_amended(document: Any, market: Market) -> ExchangeOrder:
    """`clientOrderId` is the order's name from now on. [rest-api.md, Order Amend Keep Priority]"""
    source = record(document)
    order = record(source.get("amendedOrder"))
    said = {**order, "origQty": order.get("qty"), "cummulativeQuoteQty": order.get("cumulativeQuoteQty"), "transactTime": source.get("transactTime")}
    return _order(said, market, client_order_id=text(order, "clientOrderId"), updated="transactTime", created=None)


def read_list(document: Any) -> GroupFound:
    """[rest-api.md, Query Order list]"""
    source = record(document)
    return GroupFound(
        text(source, "listClientOrderId"), identifier(source, "orderListId"),
        tuple(text(record(one), "clientOrderId") for one in entries(source.get("orders"))),
    )


def read_submitted_list(document: Any, market: Market) -> tuple[GroupFound, tuple[ExchangeOrder, ...], tuple[Trade, ...]]:
    """[rest-api.md, New Order list - OCO]"""
    reports = [_submitted(record(one), market) for one in entries(record(document).get("orderReports"))]
    return read_list(document), tuple(order for order, _ in reports), tuple(trade for _, trades in reports for trade in trades)


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
        type=_type(source, "type", "trailingDelta"),
        status=_status(text(source, "status"), source.get("expiryReason"), text(source, "type"), source.get("timeInForce")),
        quantity=positive_or_none(source, "origQty"),              # zero while the venue sizes an order by quote quantity
        filled_quantity=amount(source, "executedQty"),
        filled_quote_quantity=_known_quote(source, "cummulativeQuoteQty"),
        price=positive_or_none(source, "price"),                   # zero on market orders
        trigger_price=positive_or_none(source, "stopPrice"),
        trigger_time_ms=_triggered(text(source, "type"), source.get("workingTime"), source.get("isWorking"), time_ms(source, updated)),
        update_time_ms=time_ms(source, updated),
        created_time_ms=None if created is None else time_ms(source, created),
    )


def _type(source: Mapping[str, Any], key: str, delta: str) -> str:
    """One that follows the market differs by its delta only; with a limit price it is of a type that we don't have. [faqs/trailing-stop-faq.md]"""
    type_, basis_points = word(source, key, TYPES), source.get(delta)
    follows = type(basis_points) is int and basis_points > 0
    return "TrailingStop" if follows and type_ in ("StopMarket", "TakeProfitMarket") else type_


def _triggered(type_: str, working_time: Any, on_book: Any, updated: int) -> int | None:
    """When a waiting order began to work (venue ms): -1, or nothing, until then."""
    if type_ not in TRIGGERED:
        return None
    if type(working_time) is int and working_time > 0:
        return working_time
    return updated if on_book is True else None


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
    market = markets.get(name := text(source, key))
    if market is None:
        raise UnknownMarket(name)
    return market


def read_clock(document: Any) -> int:
    return time_ms(record(document), "serverTime")


def read_account(document: Any) -> str:
    """[rest-api.md, Account information]"""
    return identifier(record(document), "uid")


def read_balances(answer: Answer) -> list[Any]:
    """[rest-api.md, Account information]"""
    return entries(record(answer.document).get("balances"))


def read_balance(document: Any, asset: Callable[[str], str]) -> Balance:
    source = record(document)
    return Balance(asset(text(source, "asset")), free=amount(source, "free"), locked=amount(source, "locked"))


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
        active=(open_ := source.get("status") == "TRADING") and source.get("isSpotTradingAllowed") is not False,
        status="" if open_ else text(source, "status"), venue_id=text(source, "symbol"),
        quantity_step=positive_or_none(lot, "stepSize"), min_quantity=positive_or_none(lot, "minQty"), max_quantity=positive_or_none(lot, "maxQty"),
        price_step=positive_or_none(price, "tickSize"), min_price=positive_or_none(price, "minPrice"), max_price=positive_or_none(price, "maxPrice"),
        min_notional=positive_or_none(notional, "minNotional"),
        order_types=_order_types(source), post_only=_listed(source, "LIMIT_MAKER"), native_groups=_lists(source),
        buy_band=_band(filters, "bid"), sell_band=_band(filters, "ask"),
        max_open_orders=_most(filters, "MAX_NUM_ORDERS", "maxNumOrders"), max_trigger_orders=_most(filters, "MAX_NUM_ALGO_ORDERS", "maxNumAlgoOrders"),
    )
    return Market(id=text(source, "symbol"), rules=rules, quote_step=_grid(source, "quoteAssetPrecision"))


def _listed(source: Mapping[str, Any], name: str) -> bool | None:
    return name in source["orderTypes"] if isinstance(source.get("orderTypes"), list) else None


def _order_types(source: Mapping[str, Any]) -> frozenset[str] | None:
    """Those of an OrderIntent; a TrailingStop is a stop with a distance. [rest-api.md, Exchange information, orderTypes and allowTrailingStop]"""
    if not isinstance(source.get("orderTypes"), list):
        return None
    found = {TYPES[name] for name in entries(source["orderTypes"]) if name in TYPES}
    return frozenset(found | {"TrailingStop"} if source.get("allowTrailingStop") is not False and "StopMarket" in found else found)


def _lists(source: Mapping[str, Any]) -> frozenset[str] | None:
    """Modes of an OrderGroup. [rest-api.md, Exchange information, ocoAllowed and otoAllowed]"""
    if "ocoAllowed" not in source and "otoAllowed" not in source:
        return None
    two, chained = source.get("ocoAllowed") is not False, source.get("otoAllowed") is not False
    has = {"OneCancelsOther": two, "OneTriggersOther": chained, "Bracket": two and chained}
    return frozenset(mode for mode, there in has.items() if there)


def _band(filters: Mapping[str, Mapping[str, Any]], side: str) -> PriceBand | None:
    """[filters.md, PERCENT_PRICE_BY_SIDE and PERCENT_PRICE]"""
    by_side, both = filters.get("PERCENT_PRICE_BY_SIDE"), filters.get("PERCENT_PRICE")
    source, low, high = (by_side, f"{side}MultiplierDown", f"{side}MultiplierUp") if by_side is not None else (both, "multiplierDown", "multiplierUp")
    return PriceBand(amount(source, low), amount(source, high)) if source is not None else None


def _most(filters: Mapping[str, Mapping[str, Any]], name: str, key: str) -> int | None:
    """[filters.md, MAX_NUM_ORDERS and MAX_NUM_ALGO_ORDERS]"""
    return integer(filters[name], key) or None if name in filters else None


def read_last_price(document: Any) -> Decimal:
    """[rest-api.md, Symbol price ticker]"""
    if (price := amount(record(document), "price")) <= 0:
        raise Unreadable("the last price can't be read")
    return price


def read_taker_fee(document: Any) -> Decimal | None:
    """None where it can't be told: an account is good without it. [rest-api.md, Account information, commissionRates]"""
    rates = record(document).get("commissionRates")
    share = number_of(rates["taker"]) if isinstance(rates, Mapping) and isinstance(rates.get("taker"), str) else None
    return share if share is not None and 0 <= share < 1 else None


def _grid(source: Mapping[str, Any], key: str) -> Decimal:
    """The smallest amount of so many decimals."""
    if not 0 <= (decimals := integer(source, key)) <= MAX_PRECISION:
        raise Unreadable(f"{key} can't be read")
    return Decimal((0, (1,), -decimals))


def read_limit(document: Any) -> Limit | None:
    """[enums.md, Rate limiters]"""
    seconds = {"SECOND": 1, "MINUTE": 60, "HOUR": 3600, "DAY": 86400}
    for one in map(record, entries(record(document).get("rateLimits", []))):
        if one.get("rateLimitType") == "REQUEST_WEIGHT" and (interval := seconds.get(text(one, "interval"))) is not None:
            weight, window = integer(one, "limit"), integer(one, "intervalNum") * interval
            if not window or not window <= weight <= MAX_WEIGHT:     # less than one request a second is no limit but a silence
                raise Unreadable("rateLimits can't be read")
            return Limit(weight, window)
    return None


def read_used_weight(headers: Mapping[str, str]) -> float | None:
    """[rest-api.md, IP Limits]"""
    used = headers.get("X-MBX-USED-WEIGHT-1M", "")
    return float(used) if used.isdecimal() else None


# ── The private stream [web-socket-api.md, User Data Stream requests; user-data-stream.md] ──────────────────────────────────────────────────

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
        type=_type(event, "o", "d"),
        status=_status(status, event.get("eR"), text(event, "o"), event.get("f")),
        quantity=positive_or_none(event, "q"),
        filled_quantity=amount(event, "z"),
        filled_quote_quantity=_known_quote(event, "Z"),
        price=positive_or_none(event, "p"),
        trigger_price=positive_or_none(event, "P"),
        trigger_time_ms=_triggered(text(event, "o"), event.get("W"), event.get("w"), time_ms(event, "T")),
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
