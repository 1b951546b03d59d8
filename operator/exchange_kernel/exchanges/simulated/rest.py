"""The venue's endpoints as a table, and the lookups among them. `http.py` carries them. Source: binance-spot-api-docs, rest-api.md.

What changes orders is in `trading.py`, public data in `market_data.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from exchange_kernel.exchanges.simulated import market_data, render, trading
from exchange_kernel.exchanges.simulated.accounts import Account
from exchange_kernel.exchanges.simulated.errors import (
    bad_combination,
    mandatory,
    no_such_list,
    no_such_order,
    not_valid,
    one_of,
    too_long,
    wrong_client_order_id,
)
from exchange_kernel.exchanges.simulated.exchange import SimulatedExchange
from exchange_kernel.exchanges.simulated.order_lists import OrderList
from exchange_kernel.exchanges.simulated.order_parameters import read_names, read_symbol
from exchange_kernel.exchanges.simulated.parameters import Parameters

T = TypeVar("T")

DAY_MS = 24 * 3600 * 1000
PAGE, LONGEST_PAGE = 500, 1000
FEE_ASSET = "BNB"


@dataclass(frozen=True, slots=True)
class Public:
    answer: Callable[[SimulatedExchange, Parameters], Any]
    weight: int | Callable[[Parameters], int] = 1


@dataclass(frozen=True, slots=True)
class Signed:
    answer: Callable[[SimulatedExchange, Account, Parameters], Any]
    weight: int | Callable[[Parameters], int] = 1


# ── Lookups ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

def query_order(exchange: SimulatedExchange, account: Account, parameters: Parameters) -> Any:
    symbol = read_symbol(exchange, parameters)
    order_id, client_order_id = read_names(parameters, "orderId", "origClientOrderId")
    parameters.finish()
    order = exchange.visibility.lookup().order(account.find(symbol, order_id, client_order_id))
    if order is None:
        raise no_such_order()
    if client_order_id not in (None, order.client_order_id):
        raise wrong_client_order_id()
    return render.queried(order)


def open_orders(exchange: SimulatedExchange, account: Account, parameters: Parameters) -> Any:
    symbol = read_symbol(exchange, parameters) if "symbol" in parameters else None
    parameters.finish()
    return [render.queried(order) for order in exchange.visibility.listing().open_orders(account, symbol)]


def all_orders(exchange: SimulatedExchange, account: Account, parameters: Parameters) -> Any:
    symbol = read_symbol(exchange, parameters)
    from_id, (start, end), limit = parameters.optional_integer("orderId"), _span(parameters), _limit(parameters)
    parameters.finish()
    found = [
        order for order in exchange.visibility.listing().orders(account, symbol)
        if (from_id is None or order.order_id >= from_id) and _within(order.time, start, end)
    ]
    return [render.queried(order) for order in _page(found, limit, oldest=from_id is not None or start is not None)]


def my_trades(exchange: SimulatedExchange, account: Account, parameters: Parameters) -> Any:
    symbol = read_symbol(exchange, parameters)
    order_id, from_id = parameters.optional_integer("orderId"), parameters.optional_integer("fromId")
    (start, end), limit = _span(parameters), _limit(parameters)
    parameters.finish()
    if (start is not None or end is not None) and (order_id is not None or from_id is not None):
        raise bad_combination()
    found = [
        trade for trade in exchange.visibility.listing().trades(account, symbol)
        if (order_id is None or trade.order_id == order_id) and (from_id is None or trade.trade_id >= from_id)
        and _within(trade.time, start, end)
    ]
    return [render.traded(trade) for trade in _page(found, limit, oldest=from_id is not None or start is not None)]


def query_list(exchange: SimulatedExchange, account: Account, parameters: Parameters) -> Any:
    list_id, client_order_id = read_names(parameters, "orderListId", "origClientOrderId")
    parameters.finish()
    order_list = account.find_list(list_id, client_order_id)
    if order_list is None or not _shows_list(exchange, order_list):
        raise no_such_list()
    return render.listed(order_list)


def open_lists(exchange: SimulatedExchange, account: Account, parameters: Parameters) -> Any:
    parameters.finish()
    return [render.listed(order_list) for order_list in account.open_lists.values() if _shows_list(exchange, order_list)]


def all_lists(exchange: SimulatedExchange, account: Account, parameters: Parameters) -> Any:
    from_id, (start, end), limit = parameters.optional_integer("fromId"), _span(parameters), _limit(parameters)
    parameters.finish()
    if from_id is not None and (start is not None or end is not None):
        raise bad_combination()
    found = [
        order_list for order_list in account.lists
        if (from_id is None or order_list.list_id >= from_id) and _within(order_list.time, start, end) and _shows_list(exchange, order_list)
    ]
    return [render.listed(order_list) for order_list in _page(found, limit, oldest=from_id is not None or start is not None)]


def prevented_matches(exchange: SimulatedExchange, account: Account, parameters: Parameters) -> Any:
    symbol = read_symbol(exchange, parameters)
    match_id, order_id = parameters.optional_integer("preventedMatchId"), parameters.optional_integer("orderId")
    from_id, limit = parameters.optional_integer("fromPreventedMatchId"), _limit(parameters)
    parameters.finish()
    if match_id is None and order_id is None:
        raise one_of("preventedMatchId", "orderId")
    found = [
        match for match in account.prevented
        if match.symbol == symbol and match_id in (None, match.match_id) and order_id in (None, match.taker_order_id, match.maker_order_id)
        and (from_id is None or match.match_id >= from_id)
    ]
    return [render.prevented(match) for match in found[:limit]]


def _shows_list(exchange: SimulatedExchange, order_list: OrderList) -> bool:
    view = exchange.visibility.lookup()
    return all(view.order(order) is not None for order in order_list.orders)


def account_information(exchange: SimulatedExchange, account: Account, parameters: Parameters) -> Any:
    omit_zero = parameters.optional("omitZeroBalances")
    parameters.finish()
    return render.account(account, exchange.engine.maker_fee, exchange.engine.taker_fee, omit_zero=omit_zero == "true")


def order_counts(exchange: SimulatedExchange, account: Account, parameters: Parameters) -> Any:
    parameters.finish()
    return exchange.order_limits[account.uid].counts()


def fee_asset(exchange: SimulatedExchange, account: Account, parameters: Parameters) -> Any:
    """Of another of the venue's APIs (sapi): whether commissions are taken in BNB. The other switch, of margin interest, does nothing here."""
    burns = parameters.optional("spotBNBBurn")
    parameters.optional("interestBNBBurn")
    parameters.finish()
    if burns not in (None, "true", "false"):
        raise not_valid("spotBNBBurn")
    if burns is not None:
        account.fee_asset = FEE_ASSET if burns == "true" else None
    return {"spotBNBBurn": account.fee_asset is not None, "interestBNBBurn": False}


def coins(exchange: SimulatedExchange, account: Account, parameters: Parameters) -> Any:
    """Of another of the venue's APIs (sapi): unless it is told not to, ccxt with keys asks for currencies and margin pairs with its markets."""
    parameters.finish()
    return [{"coin": asset, "name": asset, "isLegalMoney": False, "trading": True, "networkList": []} for asset in exchange.assets]


def margin_pairs(exchange: SimulatedExchange, account: Account, parameters: Parameters) -> Any:
    parameters.finish()
    return []


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
    ("POST", "/api/v3/order"): Signed(trading.new_order),
    ("POST", "/api/v3/order/test"): Signed(trading.test_order),
    ("POST", "/api/v3/order/cancelReplace"): Signed(trading.cancel_replace),
    ("PUT", "/api/v3/order/amend/keepPriority"): Signed(trading.amend_order, 4),
    ("DELETE", "/api/v3/order"): Signed(trading.cancel_order),
    ("DELETE", "/api/v3/openOrders"): Signed(trading.cancel_open_orders),
    ("POST", "/api/v3/orderList/oco"): Signed(trading.new_oco),
    ("POST", "/api/v3/orderList/oto"): Signed(trading.new_oto),
    ("POST", "/api/v3/orderList/otoco"): Signed(trading.new_otoco),
    ("DELETE", "/api/v3/orderList"): Signed(trading.cancel_list),
    ("GET", "/api/v3/orderList"): Signed(query_list, 4),
    ("GET", "/api/v3/openOrderList"): Signed(open_lists, 6),
    ("GET", "/api/v3/allOrderList"): Signed(all_lists, 20),
    ("GET", "/api/v3/myPreventedMatches"): Signed(prevented_matches, lambda parameters: 20 if "orderId" in parameters else 2),
    ("GET", "/api/v3/order"): Signed(query_order, 4),
    ("GET", "/api/v3/openOrders"): Signed(open_orders, _of_symbol(6, 80)),
    ("GET", "/api/v3/allOrders"): Signed(all_orders, 20),
    ("GET", "/api/v3/myTrades"): Signed(my_trades, lambda parameters: 5 if "orderId" in parameters else 20),
    ("GET", "/api/v3/account"): Signed(account_information, 20),
    ("GET", "/api/v3/rateLimit/order"): Signed(order_counts, 40),
    ("GET", "/sapi/v1/bnbBurn"): Signed(fee_asset),
    ("POST", "/sapi/v1/bnbBurn"): Signed(fee_asset),
    ("GET", "/sapi/v1/capital/config/getall"): Signed(coins, 10),
    ("GET", "/sapi/v1/margin/allPairs"): Signed(margin_pairs),
    ("GET", "/sapi/v1/margin/isolated/allPairs"): Signed(margin_pairs, 10),
}
