"""Whether the engine takes an order: the market's filters first, and then what only the engine can say. Sources: filters.md, errors.md."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise

from exchange_kernel.exchanges.simulated.accounts import Account
from exchange_kernel.exchanges.simulated.clearing import Clearing
from exchange_kernel.exchanges.simulated.errors import (
    VenueError,
    bad_relationship,
    duplicate_order,
    filter_failure,
    would_take,
    would_trigger,
)
from exchange_kernel.exchanges.simulated.market import Market
from exchange_kernel.exchanges.simulated.order_lists import Contingency, NewOrderList
from exchange_kernel.exchanges.simulated.orders import NewOrder, Order, OrderType, triggers_above


def check(market: Market, new: NewOrder) -> None:
    """What has no price of its own is valued at its stop price, or else at the last price. [filters.md, NOTIONAL with avgPriceMins 0]"""
    symbol, at_market = new.symbol, new.type.at_market
    symbol.check_type(new.type)
    if new.price is not None:
        symbol.check_price(new.price)
    if new.stop_price is not None:
        symbol.check_price(new.stop_price)
    if new.trailing_delta is not None:
        symbol.check_trailing(new.trailing_delta)
    if new.quantity is not None:
        symbol.check_quantity(new.quantity, market=at_market)
        symbol.check_notional((new.price or new.stop_price or market.tape.last) * new.quantity, market=at_market)
    elif new.quote_quantity is not None:
        symbol.check_notional(new.quote_quantity, market=at_market)


@contextmanager
def told(clearing: Clearing, account: Account, *legs: NewOrder) -> Iterator[None]:
    """The account hears of what the engine refuses. Of what the filters refuse it does not."""
    try:
        yield
    except VenueError as refused:
        if refused.reason:
            for leg in legs:
                clearing.reject(account, leg, refused.reason)
        raise


def admit(market: Market, account: Account, new: NewOrder) -> None:
    _check_account(market, account, new)
    if new.client_order_id is not None and account.has_open(new.client_order_id):
        raise duplicate_order()
    if (refused := refusal(market, new)) is not None:
        raise refused


def admit_list(market: Market, account: Account, new: NewOrderList) -> None:
    _check_account(market, account, *new.legs)
    if sum(order_list.symbol == new.symbol for order_list in account.open_lists.values()) >= new.symbol.max_lists:
        raise filter_failure("MAX_NUM_ORDER_LISTS")
    names = [leg.client_order_id for leg in new.legs if leg.client_order_id is not None]
    if len(set(names)) < len(names) or any(account.has_open(name) for name in names):
        raise duplicate_order()
    if new.client_order_id is not None and account.has_open_list(new.client_order_id):
        raise duplicate_order()
    if len(new.others) == 2:
        _check_pair(market, new)
    for leg in new.others if new.working is None else (new.working,):
        if (refused := refusal(market, leg)) is not None:
            raise refused


def refusal(market: Market, order: NewOrder | Order) -> VenueError | None:
    """Why it can not begin to wait or to work now."""
    if order.type is OrderType.LIMIT_MAKER and next(market.book.crossed(order.side, order.price), None) is not None:
        return would_take()
    if order.type.contingent and order.stop_price is not None:
        last = market.tape.last
        if last >= order.stop_price if triggers_above(order.side, order.type) else last <= order.stop_price:
            return would_trigger()
    return None


def _check_account(market: Market, account: Account, *legs: NewOrder) -> None:
    """The filters that depend on who asks, or on the last price."""
    symbol = market.symbol
    if account.is_house:
        return
    for leg in legs:
        if leg.price is not None:
            symbol.check_percentage(leg.price, market.tape.last)
    if account.open_counts[symbol.name] + len(legs) > symbol.max_orders:
        raise filter_failure("MAX_NUM_ORDERS")
    algos = sum(leg.type.contingent for leg in legs)
    if algos and account.algo_counts[symbol.name] + algos > symbol.max_algo_orders:
        raise filter_failure("MAX_NUM_ALGO_ORDERS")


def _check_pair(market: Market, new: NewOrderList) -> None:
    """What takes the profit is on one side of the last price and what stops the loss on the other. [New Order list - OCO, "Price restrictions"]

    A pair that only waits for its working order is compared with itself.
    """
    stop, profit = sorted(new.others, key=lambda leg: not leg.type.stops_loss)
    aim = profit.stop_price if profit.type is OrderType.TAKE_PROFIT else profit.price
    points = [stop.stop_price, market.tape.last if new.contingency is Contingency.OCO else None, aim]
    prices = [point for point in points if point is not None]
    if triggers_above(stop.side, stop.type):
        prices.reverse()
    if any(low >= high for low, high in pairwise(prices)):
        raise bad_relationship()
