"""The matching engine: price-time priority, balances with locks, fees. Pure: no I/O, and time comes from the clock it is given.

Self-trade prevention is left out: an account may trade with itself. So are contingent orders, icebergs and order lists.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import replace
from decimal import ROUND_DOWN, Decimal
from itertools import count

from exchange_kernel.exchanges.simulated.accounts import Account
from exchange_kernel.exchanges.simulated.book import Book
from exchange_kernel.exchanges.simulated.errors import (
    VenueError,
    amend_rejected,
    bad_symbol,
    duplicate_order,
    insufficient_balance,
    invalid,
    no_liquidity,
    restricted_cancel,
    unknown_order,
    would_take,
)
from exchange_kernel.exchanges.simulated.orders import (
    ZERO,
    Execution,
    ExecutionType,
    NewOrder,
    Order,
    OrderType,
    Rejection,
    Report,
    Side,
    Status,
    TimeInForce,
)
from exchange_kernel.exchanges.simulated.symbols import DECIMALS, Symbol
from exchange_kernel.exchanges.simulated.tape import Tape

SMALLEST = Decimal(1).scaleb(-DECIMALS)


class Market:
    def __init__(self, symbol: Symbol, now: int) -> None:
        self.symbol = symbol
        self.book = Book()
        self.tape = Tape.starting(symbol.start_price, now)
        self.trade_ids = count(1)


class Engine:
    """Every method is one command: it raises VenueError and changes nothing, or is done as a whole when it returns."""

    def __init__(self, symbols: Iterable[Symbol], now: Callable[[], int], *, maker_fee: Decimal, taker_fee: Decimal) -> None:
        """`now` in ms; fees as fractions of what an order receives."""
        self.now = now
        self.maker_fee, self.taker_fee = maker_fee, taker_fee
        self.markets = {symbol.name: Market(symbol, now()) for symbol in symbols}
        self.fees: defaultdict[str, Decimal] = defaultdict(Decimal)     # what the venue earned, by asset
        self._order_ids = count(1)
        self._report_ids = count(1)
        self._names = count(1)
        self._touched: defaultdict[Account, set[str]] = defaultdict(set)

    def market(self, name: str) -> Market:
        if (market := self.markets.get(name)) is None:
            raise bad_symbol()
        return market

    # ── Commands ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def check(self, new: NewOrder) -> None:
        """The market's filters. MARKET orders are valued at the last price. [filters.md, NOTIONAL with avgPriceMins 0]"""
        symbol, market = new.symbol, new.type is OrderType.MARKET
        if new.price is not None:
            symbol.check_price(new.price)
        if new.quantity is not None:
            symbol.check_quantity(new.quantity, market=market)
            price = new.price if new.price is not None else self.markets[symbol.name].tape.last
            symbol.check_notional(price * new.quantity, market=market)
        elif new.quote_quantity is not None:
            symbol.check_notional(new.quote_quantity, market=market)

    def place(self, account: Account, new: NewOrder) -> Order:
        self.check(new)
        market = self.markets[new.symbol.name]
        try:
            order = self._admitted(account, market, new)
        except VenueError as refused:
            if refused.reason:
                rejection = Rejection(new, next(self._report_ids), self.now(), refused.reason)
                for listener in account.listeners:
                    listener.rejected(rejection)
            raise
        account.accept(order)
        self._touched[account].add(order.gives)
        self._report(ExecutionType.NEW, order)
        if order.time_in_force is not TimeInForce.FOK or self._available(market, order) >= order.quantity:
            self._match(market, order)
        self._end_or_rest(market, order)
        self._tell_balances()
        return order

    def cancel(self, account: Account, symbol: Symbol, *, order_id: int | None = None, client_order_id: str | None = None,
               name: str | None = None, only: Status | None = None) -> tuple[Order, str]:
        """The cancelled order, and the name of the cancel. `only`: refuse unless the order is in this state."""
        order = account.find_open(symbol, order_id, client_order_id)
        if order is None:
            raise unknown_order()
        if only not in (None, order.status):
            raise restricted_cancel()
        name = name or self._name()
        self.markets[symbol.name].book.remove(order)
        self._end(order, Status.CANCELED, ExecutionType.CANCELED, name=name)
        self._tell_balances()
        return order, name

    def cancel_all(self, account: Account, symbol: Symbol) -> list[tuple[Order, str]]:
        orders = [order for order in account.open.values() if order.symbol == symbol]
        if not orders:
            raise unknown_order()
        name = self._name()
        return [self.cancel(account, symbol, order_id=order.order_id, name=name) for order in orders]

    def amend(self, account: Account, symbol: Symbol, quantity: Decimal, *, order_id: int | None = None, client_order_id: str | None = None,
              name: str | None = None) -> tuple[Order, str, int]:
        """Less of an order, in its old place: the order, its former name, and the report's id. [faqs/order_amend_keep_priority.md]"""
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
        less = order.quantity - quantity
        self.markets[symbol.name].book.reduce(order, less)
        order.quantity = quantity
        order.update_time = self.now()
        self._unlock(order, order.reserve(less))
        report_id = self._report(ExecutionType.REPLACED, order, original=former)
        self._tell_balances()
        return order, former, report_id

    def fill(self, counterparty: Account, order: Order, quantity: Decimal | None = None) -> Execution:
        """Trade with this very order, whatever stands before it in the queue: for fills on cue."""
        quantity = order.remaining if quantity is None else quantity
        if not order.status.open:
            raise unknown_order()
        if not 0 < quantity <= order.remaining or quantity % order.symbol.step:
            raise invalid("quantity")
        new = NewOrder(symbol=order.symbol, side=order.side.opposite, type=OrderType.LIMIT, quantity=quantity, price=order.price,
                       time_in_force=TimeInForce.IOC)
        market = self.markets[order.symbol.name]
        taker = self._admitted(counterparty, market, new)
        counterparty.accept(taker)
        execution = self._trade(market, taker, order, quantity)
        self._end_or_rest(market, taker)
        self._tell_balances()
        return execution

    # ── Admission ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _admitted(self, account: Account, market: Market, new: NewOrder) -> Order:
        if new.client_order_id is not None and account.has_open(new.client_order_id):
            raise duplicate_order()
        if new.type is OrderType.LIMIT_MAKER and next(market.book.crossed(new.side, new.price), None) is not None:
            raise would_take()
        sized = new if new.quantity is not None else replace(new, quantity=self._sized(market, new))
        quantity, now = sized.quantity or ZERO, self.now()
        order = Order(
            account=account, symbol=new.symbol, order_id=0, client_order_id=new.client_order_id or self._name(), side=new.side, type=new.type,
            time_in_force=new.time_in_force, quantity=quantity, quote_quantity=new.quote_quantity or ZERO, price=new.price or ZERO,
            time=now, update_time=now,
        )
        needed = order.reserve(quantity) if new.price is not None or new.side is Side.SELL else self._cost(market, quantity)
        if account.balances[order.gives].free < needed:
            raise insufficient_balance()
        account.balances[order.gives].lock(needed)
        order.locked = needed
        order.order_id = next(self._order_ids)
        return order

    def _sized(self, market: Market, new: NewOrder) -> Decimal:
        """How much base so much quote buys or sells now, in whole steps. [rest-api.md, New order, quoteOrderQty]"""
        left, quantity, step = new.quote_quantity or ZERO, ZERO, new.symbol.step
        for level in market.book.crossed(new.side, None):
            if (whole := level.price * level.quantity) > left:
                quantity += left // (level.price * step) * step
                break
            quantity += level.quantity
            left -= whole
        if quantity < new.symbol.min_quantity:
            raise no_liquidity()
        return quantity

    def _cost(self, market: Market, quantity: Decimal) -> Decimal:
        """What a MARKET order to buy will spend, as far as the book reaches."""
        cost = ZERO
        for level in market.book.crossed(Side.BUY, None):
            taken = min(quantity, level.quantity)
            cost += taken * level.price
            quantity -= taken
            if not quantity:
                break
        return cost

    def _available(self, market: Market, order: Order) -> Decimal:
        available = ZERO
        for level in market.book.crossed(order.side, order.limit):
            available += level.quantity
            if available >= order.quantity:
                break
        return available

    # ── Matching ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _match(self, market: Market, taker: Order) -> None:
        while taker.remaining and (maker := market.book.counterpart(taker)) is not None:
            self._trade(market, taker, maker, min(taker.remaining, maker.remaining))

    def _trade(self, market: Market, taker: Order, maker: Order, quantity: Decimal) -> Execution:
        """At the price of the order that rested, and at the moment when the other came. The maker's side of it is returned."""
        price, trade_id, now = maker.price, next(market.trade_ids), taker.time
        quote_quantity = price * quantity
        if quantity == maker.remaining:
            market.book.remove(maker)
        else:
            market.book.reduce(maker, quantity)
        self._execute(taker, trade_id, price, quantity, quote_quantity, self.taker_fee, now, is_maker=False)
        execution = self._execute(maker, trade_id, price, quantity, quote_quantity, self.maker_fee, now, is_maker=True)
        market.tape.traded(price, quantity, quote_quantity, now)
        return execution

    def _execute(self, order: Order, trade_id: int, price: Decimal, quantity: Decimal, quote_quantity: Decimal, rate: Decimal, now: int, *,
                 is_maker: bool) -> Execution:
        account, buys = order.account, order.side is Side.BUY
        received, given = (quantity, quote_quantity) if buys else (quote_quantity, quantity)
        commission = (received * rate).quantize(SMALLEST, rounding=ROUND_DOWN)
        released = given if order.type is OrderType.MARKET else order.reserve(quantity)
        order.locked -= released
        giving = account.balances[order.gives]
        giving.locked -= released
        giving.free += released - given         # a better price than its limit leaves some over
        account.balances[order.receives].free += received - commission
        self.fees[order.receives] += commission
        order.executed += quantity
        order.cumulative_quote += quote_quantity
        order.update_time = now
        order.status = Status.PARTIALLY_FILLED if order.remaining else Status.FILLED
        execution = Execution(
            symbol=order.symbol, trade_id=trade_id, order_id=order.order_id, client_order_id=order.client_order_id, price=price, quantity=quantity,
            quote_quantity=quote_quantity, commission=commission, commission_asset=order.receives, time=now, is_buyer=buys, is_maker=is_maker,
        )
        order.executions.append(execution)
        account.executed(execution)
        self._touched[account].update((order.gives, order.receives))
        if order.status is Status.FILLED:
            self._release(order)
            account.close(order)
        self._report(ExecutionType.TRADE, order, execution=execution)
        return execution

    def _end_or_rest(self, market: Market, order: Order) -> None:
        if not order.remaining:
            return
        if order.type is OrderType.MARKET:
            self._end(order, Status.EXPIRED, ExecutionType.EXPIRED, reason="INSUFFICIENT_LIQUIDITY")
        elif order.time_in_force is TimeInForce.IOC:
            self._end(order, Status.EXPIRED, ExecutionType.EXPIRED, reason="UNFILLED_IOC_QUANTITY_EXPIRED")
        elif order.time_in_force is TimeInForce.FOK:
            self._end(order, Status.EXPIRED, ExecutionType.EXPIRED, reason="UNFILLED_FOK_ORDER_EXPIRED")
        else:
            market.book.rest(order)

    def _end(self, order: Order, status: Status, kind: ExecutionType, *, name: str | None = None, reason: str | None = None) -> None:
        order.status, order.expiry_reason, order.update_time = status, reason, self.now()
        self._release(order)
        order.account.close(order)
        self._report(kind, order, name=name)

    def _release(self, order: Order) -> None:
        if order.locked:
            self._unlock(order, order.locked)

    def _unlock(self, order: Order, amount: Decimal) -> None:
        order.locked -= amount
        order.account.balances[order.gives].unlock(amount)
        self._touched[order.account].add(order.gives)

    # ── Telling ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _report(self, kind: ExecutionType, order: Order, *, execution: Execution | None = None, name: str | None = None, original: str = "") -> int:
        report_id = next(self._report_ids)
        if listeners := order.account.listeners:
            report = Report(
                kind=kind, order=order, report_id=report_id, time=order.update_time, execution=execution,
                client_order_id=name or order.client_order_id, original=order.client_order_id if name else original,
            )
            for listener in listeners:
                listener.reported(report)
        return report_id

    def _tell_balances(self) -> None:
        """Once a command, after its reports."""
        now = self.now()
        for account, assets in self._touched.items():
            account.updated = now
            for listener in account.listeners:
                listener.balances_changed(account, assets, now)
        self._touched.clear()

    def _name(self) -> str:
        return f"auto-{next(self._names)}"
