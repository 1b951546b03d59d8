"""The perpetual engine: price-time priority, positions, margin, fees. Pure: no I/O, and time comes from the clock it is given.

An account may trade with itself. Ids of users' own are tags: two orders may have the same one, open or not.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import replace
from decimal import Decimal
from itertools import count

from exchange_kernel.exchanges.simulated.book import Book
from exchange_kernel.exchanges.simulated.orders import ZERO, Side
from exchange_kernel.exchanges.simulated.perpetual.accounts import PerpetualAccount
from exchange_kernel.exchanges.simulated.perpetual.contracts import Contract
from exchange_kernel.exchanges.simulated.perpetual.errors import (
    insufficient,
    invalid,
    leverage_too_high,
    no_such_order,
    order_finished,
    unknown_contract,
    would_increase,
    would_not_fill,
    would_take,
)
from exchange_kernel.exchanges.simulated.perpetual.orders import Execution, FinishAs, NewOrder, Order, Slot, Tif
from exchange_kernel.exchanges.simulated.tape import Tape

#: Far from those of the spot venue, so that one number names one order on the whole port.
FIRST_ORDER_ID = 9_000_000_001


class Market:
    def __init__(self, contract: Contract, now: int) -> None:
        self.contract = contract
        self.book: Book[Order] = Book()
        self.tape = Tape.starting(contract.start_price, now)
        self.mark = contract.start_price        # moved by the market around, and never by a trade


class PerpetualEngine:
    """Every method is one command: it raises PerpetualError and changes nothing, or is done as a whole when it returns."""

    def __init__(self, contracts: Iterable[Contract], now: Callable[[], int], *, maker_fee: Decimal, taker_fee: Decimal,
                 accepted: Callable[[Hashable], None] = lambda _: None) -> None:
        """`now` in ms; fees as fractions of a trade's value, negative where the venue pays. `accepted` is told the key of each new order and execution."""
        self.now = now
        self.maker_fee, self.taker_fee = maker_fee, taker_fee
        self.markets = {contract.name: Market(contract, now()) for contract in contracts}
        self.fees = ZERO                        # what the venue earned
        self._accepted = accepted
        self._order_ids = count(FIRST_ORDER_ID)
        self._trade_ids = count(1)

    def market(self, name: str) -> Market:
        if (market := self.markets.get(name)) is None:
            raise unknown_contract()
        return market

    def mark(self, contract: Contract) -> Decimal:
        return self.markets[contract.name].mark

    # ── Commands ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def place(self, account: PerpetualAccount, new: NewOrder, *, is_close: bool = False) -> Order:
        order = self._admitted(account, new, is_close=is_close)
        market = self.markets[new.contract.name]
        account.accept(order)
        self._accepted(order_key(order))
        self._match(market, order)
        if order.open:
            if order.limit is None or order.tif in (Tif.IOC, Tif.FOK):
                self._finish(order, FinishAs.IOC)
            else:
                market.book.rest(order)
        return order

    def cancel(self, account: PerpetualAccount, order_id: int) -> Order:
        if (order := account.orders.get(order_id) or account.open.get(order_id)) is None:
            raise no_such_order()
        if not order.open:
            raise order_finished()
        self._withdraw(order, FinishAs.CANCELLED)
        return order

    def cancel_all(self, account: PerpetualAccount, contract: Contract, side: Side | None = None) -> list[Order]:
        orders = [order for order in account.open.values() if order.contract == contract and side in (None, order.side)]
        return [self.cancel(account, order.order_id) for order in orders]

    def fill(self, counterparty: PerpetualAccount, order: Order, size: int | None = None) -> Execution:
        """Trade with this very order, whatever stands before it in the queue: for fills on cue."""
        most = min(order.left, order.account.reducible(order)) if order.reduce_only else order.left
        size = most if size is None else size
        if not order.open:
            raise order_finished()
        if not 0 < size <= most:
            raise invalid("size")
        taker = self._admitted(counterparty, NewOrder(
            contract=order.contract, side=order.side.opposite, size=size, price=order.price, tif=Tif.IOC))
        counterparty.accept(taker)
        return self._trade(self.markets[order.contract.name], taker, order, size)

    def set_leverage(self, account: PerpetualAccount, contract: Contract, leverage: int) -> None:
        if not 1 <= leverage <= contract.max_leverage:
            raise leverage_too_high()
        former = account.leverage[contract.name]
        account.leverage[contract.name] = leverage
        if leverage < former and account.available(self.mark) < 0:
            account.leverage[contract.name] = former
            raise insufficient()

    # ── Admission ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _admitted(self, account: PerpetualAccount, new: NewOrder, *, is_close: bool = False) -> Order:
        contract, market = new.contract, self.markets[new.contract.name]
        contract.check_size(new.size)
        if new.price is not None:
            contract.check_price(new.price)
        now = self.now()
        order = Order(
            account=account, contract=contract, order_id=next(self._order_ids), text=new.text, side=new.side, size=new.size, price=new.price or ZERO,
            tif=new.tif, reduce_only=new.reduce_only, slot=account.slot(new.side, reduces=new.reduce_only), time=now, update_time=now, left=new.size,
            is_close=is_close,
        )
        if order.reduce_only and not account.reducible(order):
            raise would_increase()
        if order.tif is Tif.POC and next(market.book.crossed(order.side, order.limit), None) is not None:
            raise would_take()
        if order.tif is Tif.FOK and self._reach(market, order)[0] < order.size:
            raise would_not_fill()
        if not order.reduce_only and not account.house and not self._affords(market, order):
            raise insufficient()
        return order

    def _affords(self, market: Market, order: Order) -> bool:
        """With its fee as a taker, valued at its limit, or without one at the worst price that it would meet."""
        account, valued = order.account, replace(order, price=order.price or self._reach(market, order)[1])
        if account.order_margin(valued) <= account.order_margin():
            return True                             # what only closes is let through, however little is left
        return account.available(self.mark, valued) >= max(ZERO, self.taker_fee) * order.contract.value(order.size, valued.price)

    def _reach(self, market: Market, taker: Order) -> tuple[int, Decimal]:
        """How many contracts it would trade now, and the last price of those; resting orders that only reduce go no further than their positions."""
        held: dict[tuple[PerpetualAccount, Slot], int] = {}
        reached, price = 0, market.mark
        for level in market.book.crossed(taker.side, taker.limit):
            for maker in level.orders.values():
                size = min(taker.size - reached, self._takes(maker, held), self._takes(taker, held))
                if not size:
                    continue
                for order in (taker, maker):
                    held[order.account, order.slot] += order.sign * size
                reached, price = reached + size, level.price
                if reached == taker.size:
                    return reached, price
        return reached, price

    @staticmethod
    def _takes(order: Order, held: dict[tuple[PerpetualAccount, Slot], int]) -> int:
        """How much of an order can still trade, where positions have become those."""
        size = held.setdefault((order.account, order.slot), order.account.position(order.contract, order.slot).size)
        if not order.reduce_only:
            return order.left
        return min(order.left, abs(size)) if size * order.sign < 0 else 0

    # ── Matching ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _match(self, market: Market, taker: Order) -> None:
        while taker.open and (maker := market.book.counterpart(taker)) is not None:
            size = min(taker.left, maker.left)
            if maker.reduce_only:
                size = min(size, maker.account.reducible(maker))
            if taker.reduce_only:
                size = min(size, taker.account.reducible(taker))
            self._trade(market, taker, maker, size)

    def _trade(self, market: Market, taker: Order, maker: Order, size: int) -> Execution:
        """At the price of the order that rested. The maker's side of it is returned."""
        price, trade_id, now, contract = maker.price, next(self._trade_ids), self.now(), maker.contract
        if size == maker.left:
            market.book.remove(maker)
        else:
            market.book.reduce(maker, Decimal(size))
        self._execute(taker, trade_id, size, price, self.taker_fee, now, is_maker=False)
        execution = self._execute(maker, trade_id, size, price, self.maker_fee, now, is_maker=True)
        market.tape.traded(price, size * contract.multiplier, contract.value(size, price), now)
        for account in dict.fromkeys((taker.account, maker.account)):
            self._end_what_no_longer_reduces(account, contract)
        return execution

    def _execute(self, order: Order, trade_id: int, size: int, price: Decimal, rate: Decimal, now: int, *, is_maker: bool) -> Execution:
        account, contract, signed = order.account, order.contract, order.sign * size
        position = account.position(contract, order.slot)
        realised, closed = position.trade(signed, price, now)
        fee = contract.value(size, price) * rate
        position.fees += fee
        account.balance += realised - fee
        self.fees += fee
        order.left -= size
        order.value += contract.value(size, price)
        order.update_time = now
        execution = Execution(
            contract=contract, trade_id=trade_id, order_id=order.order_id, text=order.text, size=signed, close_size=closed, price=price, fee=fee, time=now,
            is_maker=is_maker,
        )
        order.executions.append(execution)
        account.executed(execution)
        self._accepted(execution_key(execution))
        if not order.left:
            self._finish(order, FinishAs.FILLED)
        return execution

    def _end_what_no_longer_reduces(self, account: PerpetualAccount, contract: Contract) -> None:
        for order in [one for one in account.open.values() if one.reduce_only and one.contract == contract]:
            if account.reducible(order):
                continue
            if self._rests(order):
                self._withdraw(order, FinishAs.POSITION_CLOSED)
            else:
                self._finish(order, FinishAs.REDUCE_ONLY)       # it is just being matched

    def _rests(self, order: Order) -> bool:
        return any(order.order_id in level.orders for level in self.markets[order.contract.name].book.levels(order.side) if level.price == order.price)

    def _withdraw(self, order: Order, how: FinishAs) -> None:
        self.markets[order.contract.name].book.remove(order)
        self._finish(order, how)

    def _finish(self, order: Order, how: FinishAs) -> None:
        order.finish_as, order.update_time = how, self.now()
        del order.account.open[order.order_id]


def order_key(order: Order) -> Hashable:
    return "perpetual order", order.order_id


def execution_key(execution: Execution) -> Hashable:
    return "perpetual trade", execution.trade_id, execution.order_id
