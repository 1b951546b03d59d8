"""The matching engine: price-time priority, contingent orders and order lists. Pure: no I/O, and time comes from the clock it is given.

Money moves in `clearing.py`, prices wait in `triggers.py`, what orders of a list do to each other is in `contingencies.py`. Icebergs are left out.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from copy import copy
from dataclasses import replace
from decimal import Decimal
from itertools import count

from exchange_kernel.exchanges.simulated import admission, contingencies, liquidity
from exchange_kernel.exchanges.simulated.accounts import Account
from exchange_kernel.exchanges.simulated.clearing import Clearing
from exchange_kernel.exchanges.simulated.errors import (
    amend_rejected,
    bad_symbol,
    duplicate_order,
    insufficient_balance,
    invalid,
    restricted_cancel,
    unknown_list,
    unknown_order,
)
from exchange_kernel.exchanges.simulated.market import Market
from exchange_kernel.exchanges.simulated.order_lists import ListStatus, NewOrderList, OrderList
from exchange_kernel.exchanges.simulated.orders import (
    ZERO,
    Execution,
    ExecutionType,
    NewOrder,
    Order,
    OrderType,
    Side,
    Status,
    TimeInForce,
)
from exchange_kernel.exchanges.simulated.prevention import prevent
from exchange_kernel.exchanges.simulated.symbols import Symbol

__all__ = ["Engine", "Market"]


class Engine:
    """Every method is one command: it raises VenueError and changes nothing, or is done as a whole when it returns."""

    def __init__(self, symbols: Iterable[Symbol], now: Callable[[], int], *, maker_fee: Decimal, taker_fee: Decimal) -> None:
        """`now` in ms; fees as fractions of what an order receives."""
        self.now = now
        self.maker_fee, self.taker_fee = maker_fee, taker_fee
        self.markets = {symbol.name: Market(symbol, now()) for symbol in symbols}
        self._clearing = Clearing(now, maker_fee=maker_fee, taker_fee=taker_fee, ended=self._ended, price=self._price)
        self.fees = self._clearing.fees         # what the venue earned, by asset
        self._order_ids = count(1)
        self._list_ids = count(1)
        self._names = count(1)
        self._released: deque[OrderList] = deque()      # their working orders are filled

    def market(self, name: str) -> Market:
        if (market := self.markets.get(name)) is None:
            raise bad_symbol()
        return market

    # ── Commands ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def check(self, new: NewOrder) -> None:
        """The market's filters."""
        admission.check(self.markets[new.symbol.name], new)

    def place(self, account: Account, new: NewOrder) -> Order:
        new.symbol.check_open()
        self.check(new)
        market = self.markets[new.symbol.name]
        with admission.told(self._clearing, account, new):
            admission.admit(market, account, new)
            order = self._order(account, market, new)
            needed = liquidity.cost(market.book, order.quantity) if new.type is OrderType.MARKET and new.side is Side.BUY else order.reserve(order.quantity)
            self._clearing.lock(order, needed)
        self._accept(order)
        self._start(market, order)
        self._settle()
        return order

    def place_list(self, account: Account, new: NewOrderList) -> tuple[OrderList, list[Order]]:
        """The list, and copies of its orders as the answer shows them: a pending order of a list whose working order filled at once is still pending."""
        new.symbol.check_open()
        for leg in new.legs:
            self.check(leg)
        market = self.markets[new.symbol.name]
        with admission.told(self._clearing, account, *new.legs):
            admission.admit_list(market, account, new)
            order_list = OrderList(
                account=account, symbol=new.symbol, list_id=0, client_order_id=new.client_order_id or self._name(), contingency=new.contingency,
                time=self.now(),
            )
            order_list.orders = [self._order(account, market, leg, order_list) for leg in new.legs]
            starting = order_list.others if order_list.working is None else [order_list.working]
            needs = contingencies.pair_needs(starting)
            if account.balances[starting[0].gives].free < sum(needs.values()):
                raise insufficient_balance()
            order_list.list_id = next(self._list_ids)
        account.accept_list(order_list)
        for order in order_list.orders:
            if order in needs:
                self._clearing.lock(order, needs[order])
            else:
                order.status = Status.PENDING_NEW
            self._accept(order)
        self._clearing.report_list(order_list, ListStatus.EXEC_STARTED)
        for order in starting:
            self._start(market, order)
        answered = [copy(order) for order in order_list.orders]
        self._settle()
        return order_list, answered

    def cancel(self, account: Account, symbol: Symbol, *, order_id: int | None = None, client_order_id: str | None = None,
               name: str | None = None, only: Status | None = None) -> tuple[Order, str]:
        """The cancelled order, and the name of the cancel. The others of its list go with it. `only`: refuse unless the order is in this state."""
        order = account.find_open(symbol, order_id, client_order_id)
        if order is None:
            raise unknown_order()
        if only not in (None, order.status):
            raise restricted_cancel()
        name = name or self._name()
        self._cancel([order] if order.order_list is None else order.order_list.orders, name)
        return order, name

    def cancel_list(self, account: Account, symbol: Symbol, *, list_id: int | None = None, client_order_id: str | None = None,
                    name: str | None = None) -> tuple[OrderList, str]:
        order_list = account.find_list(list_id, client_order_id, open_only=True)
        if order_list is None or order_list.symbol != symbol:
            raise unknown_list()
        name = name or self._name()
        self._cancel(order_list.orders, name)
        return order_list, name

    def cancel_all(self, account: Account, symbol: Symbol) -> list[tuple[Order, str]]:
        orders = [order for order in account.open.values() if order.symbol == symbol]
        if not orders:
            raise unknown_order()
        name = self._name()
        self._cancel(orders, name)
        return [(order, name) for order in orders]

    def amend(self, account: Account, symbol: Symbol, quantity: Decimal, *, order_id: int | None = None, client_order_id: str | None = None,
              name: str | None = None) -> tuple[Order, str, int]:
        """Less of an order, in its old place: the order, its former name, and the report's id. [faqs/order_amend_keep_priority.md]

        The two of a pair always have one quantity, so the other is amended with it.
        """
        order = account.find_open(symbol, order_id, client_order_id)
        if order is None:
            raise unknown_order()
        symbol.check_quantity(quantity, market=False)
        if quantity > order.quantity:
            raise amend_rejected("Order amend (quantity increase) is not supported.")
        if quantity == order.quantity or quantity <= order.executed:        # the latter isn't documented: nothing would be left to amend
            raise amend_rejected("The requested action would change no state; rejecting")
        former, name = order.client_order_id, name or self._name()
        if name != former:
            if account.has_open(name):
                raise duplicate_order()
            account.rename(order, name)
        sibling = order.order_list.sibling(order) if order.order_list is not None else None
        report_id = self._reduce(order, quantity, former)
        if sibling is not None:
            self._reduce(sibling, quantity, "")
        if order.order_list is not None and name != former:
            self._clearing.report_list(order.order_list, ListStatus.UPDATED)
        self._clearing.tell_balances()
        return order, former, report_id

    def fill(self, counterparty: Account, order: Order, quantity: Decimal | None = None) -> Execution:
        """Trade with this very order, whatever stands before it in the queue: for fills on cue."""
        quantity = order.remaining if quantity is None else quantity
        if not order.status.open or order.waits:
            raise unknown_order()
        if not 0 < quantity <= order.remaining or quantity % order.symbol.step:
            raise invalid("quantity")
        new = NewOrder(symbol=order.symbol, side=order.side.opposite, type=OrderType.LIMIT, quantity=quantity, price=order.price,
                       time_in_force=TimeInForce.IOC)
        market = self.markets[order.symbol.name]
        taker = self._order(counterparty, market, new)
        self._clearing.lock(taker, taker.reserve(quantity))
        taker.order_id, taker.working_time = next(self._order_ids), self.now()
        counterparty.accept(taker)
        execution = self._trade(market, taker, order, quantity)
        self._end_or_rest(market, taker)
        self._settle()
        return execution

    def observe(self, symbol: Symbol, price: Decimal) -> None:
        """Others traded at this price, outside of the book: the last price, and the contingent orders that waited for it."""
        market = self.markets[symbol.name]
        market.traded(price, symbol.min_quantity, self.now())
        self._settle()

    def fill_together(self, counterparty: Account, fills: Iterable[tuple[Order, Decimal | None]]) -> list[Execution]:
        """As if neither knew of the others, were they of one list: a fault. An order that waits for its stop price has seen it."""
        found = list(fills)
        for order, quantity in found:
            if not order.status.open or not order.price or not 0 < (quantity or order.remaining) <= order.remaining or (quantity or ZERO) % order.symbol.step:
                raise invalid("quantity")
        lacking: defaultdict[tuple[Account, str], Decimal] = defaultdict(Decimal)
        for order, _ in found:
            lacking[order.account, order.gives] += max(ZERO, order.reserve(order.remaining) - order.locked)
        if any(lack > account.balances[asset].free for (account, asset), lack in lacking.items()):
            raise insufficient_balance()
        for order, _ in found:
            if order.order_list is not None:
                order.order_list.broken = True
            if order.waits:
                self.markets[order.symbol.name].triggers.disarm(order)
                order.working_time = self.now()
                self.markets[order.symbol.name].book.rest(order)
            self._afford(order, order.reserve(order.remaining))
        return [self.fill(counterparty, order, quantity) for order, quantity in found]

    def expire(self, order: Order) -> None:
        """The venue ends an order by itself, as for maintenance. [enums.md, Order status: EXPIRED]"""
        if not order.status.open:
            raise unknown_order()
        self._expire(order, "EXCHANGE_CANCELED")
        self._settle()

    def bust(self, order: Order, execution: Execution) -> None:
        """Take one side of a trade back, at the venue's cost. No report tells of it, as none does at the venue: the trade is gone from the lists."""
        book = self.markets[order.symbol.name].book
        book.discard(order)
        self._clearing.take_back(order, execution)
        if order.status.open:
            self._clearing.lock(order, order.reserve(execution.quantity))
            book.rest(order)
        self._clearing.tell_balances()

    # ── The life of an order ────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _order(self, account: Account, market: Market, new: NewOrder, order_list: OrderList | None = None) -> Order:
        sized = new if new.quantity is not None else replace(new, quantity=liquidity.sized(market.book, new))
        now = self.now()
        return Order(
            account=account, symbol=new.symbol, order_id=0, client_order_id=new.client_order_id or self._name(), side=new.side, type=new.type,
            time_in_force=new.time_in_force, quantity=sized.quantity or ZERO, quote_quantity=new.quote_quantity or ZERO, price=new.price or ZERO,
            time=now, update_time=now, stop_price=new.stop_price, trailing_delta=new.trailing_delta, order_list=order_list,
            lock_price=new.stop_price or market.tape.last,
            self_trade_prevention=new.symbol.self_trade_prevention if new.self_trade_prevention is None else new.self_trade_prevention,
        )

    def _accept(self, order: Order) -> None:
        order.order_id = next(self._order_ids)
        if order.status is Status.NEW and not order.type.contingent:
            order.working_time = order.time
        order.account.accept(order)
        self._clearing.report(ExecutionType.NEW, order)

    def _start(self, market: Market, order: Order) -> None:
        """A contingent order begins to wait, any other to work."""
        if order.type.contingent:
            market.triggers.arm(order, market.tape.last, self.now())
        else:
            self._work(market, order)

    def _work(self, market: Market, order: Order) -> None:
        if order.time_in_force is not TimeInForce.FOK or liquidity.fills_whole(market.book, order):
            self._match(market, order)
        self._end_or_rest(market, order)

    def _match(self, market: Market, taker: Order) -> None:
        while taker.status.open and (maker := market.book.counterpart(taker)) is not None:
            if prevent(market, taker, maker, self._clearing):
                continue
            quantity = min(taker.remaining, maker.remaining)
            if taker.type.at_market and taker.side is Side.BUY and not self._afford(taker, quantity * maker.price):
                break       # what it was to take at better prices was its own and expired
            self._trade(market, taker, maker, quantity)

    def _trade(self, market: Market, taker: Order, maker: Order, quantity: Decimal) -> Execution:
        """At the price of the order that rested, and at the moment when the other came. The maker's side of it is returned."""
        price, trade_id, now = maker.price, market.next_trade_id(), taker.working_time or taker.time
        contingencies.goes_alone(maker, self._clearing)
        if quantity == maker.remaining:
            market.book.remove(maker)
        else:
            market.book.reduce(maker, quantity)
        self._clearing.execute(taker, trade_id, price, quantity, now, is_maker=False)
        execution = self._clearing.execute(maker, trade_id, price, quantity, now, is_maker=True)
        market.traded(price, quantity, now)
        return execution

    def _end_or_rest(self, market: Market, order: Order) -> None:
        if not order.status.open:
            return
        if order.type.at_market:
            self._expire(order, "INSUFFICIENT_LIQUIDITY")
        elif order.time_in_force is TimeInForce.IOC:
            self._expire(order, "UNFILLED_IOC_QUANTITY_EXPIRED")
        elif order.time_in_force is TimeInForce.FOK:
            self._expire(order, "UNFILLED_FOK_ORDER_EXPIRED")
        else:
            market.book.rest(order)

    def _expire(self, order: Order, reason: str) -> None:
        self._clearing.end(order, Status.EXPIRED, ExecutionType.EXPIRED, reason=reason)

    def _cancel(self, orders: Iterable[Order], name: str) -> None:
        """These, and the others of their lists."""
        for order in orders:
            for one in [order] if order.order_list is None else order.order_list.orders:
                if one.status.open:
                    self._clearing.end(one, Status.CANCELED, ExecutionType.CANCELED, name=name)
        self._clearing.tell_balances()

    def _reduce(self, order: Order, quantity: Decimal, former: str) -> int:
        less = order.quantity - quantity
        if not order.waits:
            self.markets[order.symbol.name].book.reduce(order, less)
        order.quantity = quantity
        order.update_time = self.now()
        if order.locked:
            self._clearing.unlock(order, order.reserve(less))
        return self._clearing.report(ExecutionType.REPLACED, order, original=former)

    def _ended(self, order: Order) -> None:
        market = self.markets[order.symbol.name]
        market.book.discard(order)
        market.triggers.disarm(order)
        if contingencies.ended(order, self._clearing) and order.order_list is not None:
            self._released.append(order.order_list)

    # ── What a command sets off ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _settle(self) -> None:
        """Until nothing is due: pending orders whose time has come, and then contingent orders that a trade met."""
        while True:
            if self._released:
                self._release(self._released.popleft())
            elif (found := self._next_due()) is not None:
                self._trigger(*found)
            else:
                break
        self._clearing.tell_balances()

    def _next_due(self) -> tuple[Market, Order] | None:
        for market in self.markets.values():
            if (order := market.triggers.next_due()) is not None:
                return market, order
        return None

    def _trigger(self, market: Market, order: Order) -> None:
        contingencies.goes_alone(order, self._clearing)
        order.working_time = order.update_time = self.now()
        if order.type.at_market and order.side is Side.BUY and not self._afford(order, liquidity.cost(market.book, order.quantity)):
            self._expire(order, contingencies.REJECTED)
            return
        self._clearing.report(ExecutionType.NEW, order)
        self._work(market, order)

    def _release(self, order_list: OrderList) -> None:
        """Each pending order is now placed as any other would be, or expires."""
        market = self.markets[order_list.symbol.name]
        others = [order for order in order_list.others if order.status.open]
        needs = contingencies.pair_needs(others) if others else {}
        for order in others:
            if not order.status.open:
                continue
            at_market = order.type is OrderType.MARKET and order.side is Side.BUY
            needed = liquidity.cost(market.book, order.quantity) if at_market else needs[order]
            if admission.refusal(market, order) is not None or not self._afford(order, needed):
                self._expire(order, contingencies.REJECTED)
                continue
            order.status, order.update_time = Status.NEW, self.now()
            if not order.type.contingent:
                order.working_time = order.update_time
            self._clearing.report(ExecutionType.NEW, order)
        for order in others:
            if order.status.open:
                self._start(market, order)

    def _afford(self, order: Order, needed: Decimal) -> bool:
        """What it still lacks is locked, if there is so much."""
        lacking = needed - order.locked
        if lacking > order.account.balances[order.gives].free:
            return False
        if lacking > 0:
            self._clearing.lock(order, lacking)
        return True

    def _price(self, asset: str, unit: str) -> Decimal | None:
        """At the last prices of the markets between the two."""
        if (market := self.markets.get(asset + unit)) is not None:
            return market.tape.last
        market = self.markets.get(unit + asset)
        return None if market is None else 1 / market.tape.last

    def _name(self) -> str:
        return f"auto-{next(self._names)}"
