"""What the simulated exchange's engine keeps when orders wait for prices and for each other, and when accounts may not trade with themselves."""

from __future__ import annotations

from contextlib import suppress
from decimal import Decimal
from itertools import count, pairwise
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from exchange_kernel.exchanges.simulated.accounts import Account
from exchange_kernel.exchanges.simulated.engine import Engine
from exchange_kernel.exchanges.simulated.errors import VenueError
from exchange_kernel.exchanges.simulated.order_lists import ListReport, ListStatus, NewOrderList, OrderList
from exchange_kernel.exchanges.simulated.orders import ExecutionType, NewOrder, Order, OrderType, Rejection, Report, Side, Status, TimeInForce
from exchange_kernel.exchanges.simulated.symbols import SelfTradePrevention, symbol

BTC_USDT, BNB_USDT, BNB_BTC = symbol("BTC/USDT"), symbol("BNB/USDT"), symbol("BNB/BTC")
ZERO = Decimal(0)

accounts = st.integers(0, 2)
sides = st.sampled_from(list(Side))
offsets = st.integers(-8, 8).filter(bool).map(Decimal)                  # dollars from the last price
quantities = st.integers(1, 200).map(lambda hundredths: Decimal(hundredths) / 100)
preventions = st.sampled_from(list(SelfTradePrevention))
times_in_force = st.sampled_from(list(TimeInForce))


class Watcher:
    """Keeps when each order came to the market, and what was told of lists."""

    def __init__(self) -> None:
        self.came: dict[Order, int] = {}
        self.done: list[OrderList] = []
        self._sequence = count()

    def reported(self, report: Report) -> None:
        if report.kind is ExecutionType.NEW and not report.order.waits:
            assert report.order not in self.came, "once"
            self.came[report.order] = next(self._sequence)

    def list_reported(self, report: ListReport) -> None:
        if report.status is ListStatus.ALL_DONE:
            self.done.append(report.order_list)

    def rejected(self, rejection: Rejection) -> None:
        pass

    def balances_changed(self, account: Account, assets: set[str], time: int) -> None:
        pass


class Venue(RuleBasedStateMachine):
    @initialize(poor=st.booleans(), burns=st.booleans())
    def open(self, poor: bool, burns: bool) -> None:
        self.now = 0
        self.engine = Engine([BTC_USDT, BNB_USDT, BNB_BTC], lambda: self.now, maker_fee=Decimal("0.001"), taker_fee=Decimal("0.002"))
        funds = {"BTC": Decimal(3 if poor else 1000), "USDT": Decimal(150_000 if poor else 50_000_000), "BNB": Decimal(1 if poor else 100)}
        self.accounts = [Account(uid, funds) for uid in range(3)]
        self.watcher = Watcher()
        for account in self.accounts:
            account.listeners.append(self.watcher)
            account.fee_asset = "BNB" if burns else None
        self.total = {asset: 3 * amount for asset, amount in funds.items()}
        self.market = self.engine.markets["BTCUSDT"]

    def _new(self, kind: OrderType, side: Side, quantity: Decimal, *, price: Decimal | None = None, **terms: Any) -> NewOrder:
        return NewOrder(symbol=BTC_USDT, side=side, type=kind, quantity=quantity, price=None if price is None else self.market.tape.last + price, **terms)

    def _attempt(self, command: Any) -> None:
        self.now += 1
        with suppress(VenueError):
            command()

    # ── Commands ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    @rule(account=accounts, side=sides, price=offsets, quantity=quantities, force=times_in_force, prevention=preventions)
    def limit(self, account: int, side: Side, price: Decimal, quantity: Decimal, force: TimeInForce, prevention: SelfTradePrevention) -> None:
        new = self._new(OrderType.LIMIT, side, quantity, price=price, time_in_force=force, self_trade_prevention=prevention)
        self._attempt(lambda: self.engine.place(self.accounts[account], new))

    @rule(account=accounts, side=sides, quantity=quantities, prevention=preventions)
    def market_order(self, account: int, side: Side, quantity: Decimal, prevention: SelfTradePrevention) -> None:
        new = self._new(OrderType.MARKET, side, quantity, self_trade_prevention=prevention)
        self._attempt(lambda: self.engine.place(self.accounts[account], new))

    @rule(account=accounts, kind=st.sampled_from([kind for kind in OrderType if kind.contingent]), side=sides, quantity=quantities, stop=offsets,
          price=offsets, delta=st.sampled_from([None, 10, 20]), force=times_in_force, prevention=preventions)
    def contingent(self, account: int, kind: OrderType, side: Side, quantity: Decimal, stop: Decimal, price: Decimal, delta: int | None,
                   force: TimeInForce, prevention: SelfTradePrevention) -> None:
        new = self._new(
            kind, side, quantity, price=None if kind.at_market else price, stop_price=self.market.tape.last + stop, trailing_delta=delta,
            time_in_force=TimeInForce.GTC if kind.at_market else force, self_trade_prevention=prevention)
        self._attempt(lambda: self.engine.place(self.accounts[account], new))

    @rule(account=accounts, side=sides, quantity=quantities, away=st.integers(1, 8).map(Decimal), at_market=st.booleans(),
          entry=st.one_of(st.none(), offsets), prevention=preventions)
    def pair(self, account: int, side: Side, quantity: Decimal, away: Decimal, at_market: bool, entry: Decimal | None,
             prevention: SelfTradePrevention) -> None:
        """An OCO, or with an entry an OTOCO."""
        sign = 1 if side is Side.SELL else -1
        stop = self._new(
            OrderType.STOP_LOSS if at_market else OrderType.STOP_LOSS_LIMIT, side, quantity, stop_price=self.market.tape.last - sign * away,
            price=None if at_market else -sign * (away + 1), self_trade_prevention=prevention)
        profit = self._new(OrderType.LIMIT_MAKER, side, quantity, price=sign * away, self_trade_prevention=prevention)
        working = None if entry is None else self._new(OrderType.LIMIT, side.opposite, quantity, price=entry, self_trade_prevention=prevention)
        self._attempt(lambda: self.engine.place_list(self.accounts[account], NewOrderList(symbol=BTC_USDT, working=working, others=(stop, profit))))

    @rule(move=offsets)
    def others_trade(self, move: Decimal) -> None:
        self.now += 1
        self.engine.observe(BTC_USDT, self.market.tape.last + move)

    def _open(self) -> list[Order]:
        return [order for account in self.accounts for order in account.open.values()]

    @precondition(lambda self: self._open())
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        order = data.draw(st.sampled_from(self._open()))
        self.engine.cancel(order.account, BTC_USDT, order_id=order.order_id)
        assert not any(one.status.open for one in (order.order_list.orders if order.order_list is not None else [order]))

    @precondition(lambda self: self._open())
    @rule(data=st.data(), quantity=quantities)
    def amend(self, data: st.DataObject, quantity: Decimal) -> None:
        order = data.draw(st.sampled_from(self._open()))
        if order.executed < quantity < order.quantity:
            self.engine.amend(order.account, BTC_USDT, quantity, order_id=order.order_id)

    @precondition(lambda self: any(not order.waits for order in self._open()))
    @rule(data=st.data(), counterparty=accounts)
    def fill_on_cue(self, data: st.DataObject, counterparty: int) -> None:
        order = data.draw(st.sampled_from([order for order in self._open() if not order.waits]))
        self._attempt(lambda: self.engine.fill(self.accounts[counterparty], order))

    # ── Rules ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    @invariant()
    def nothing_is_made_lost_or_owed(self) -> None:
        for asset, total in self.total.items():
            balances = [account.balances[asset] for account in self.accounts]
            assert all(balance.free >= 0 and balance.locked >= 0 for balance in balances)
            assert sum((balance.free + balance.locked for balance in balances), ZERO) + self.engine.fees[asset] == total

    @invariant()
    def what_is_locked_is_what_open_orders_may_still_cost_and_of_a_pair_only_once(self) -> None:
        for account in self.accounts:
            needed = dict.fromkeys(self.total, ZERO)
            for order in account.open.values():
                sibling = order.order_list.sibling(order) if order.order_list is not None else None
                if order.status is Status.PENDING_NEW or (sibling is not None and sibling.order_id < order.order_id):
                    continue
                needed[order.gives] += max(one.reserve(one.remaining) for one in (order, sibling or order))
            assert {asset: account.balances[asset].locked for asset in needed} == needed

    @invariant()
    def of_a_pair_one_is_executed_at_most(self) -> None:
        for account in self.accounts:
            for order_list in account.lists:
                stop, profit = order_list.others
                assert not (stop.executed and profit.executed)
                live = max((order.remaining for order in (stop, profit) if order.status.open), default=ZERO)
                assert live + stop.executed + profit.executed <= max(stop.quantity, profit.quantity)
                assert not (stop.executed or profit.executed) or not (stop.status.open and profit.status.open)
                if order_list.working is not None and (stop.executed or profit.executed):
                    assert order_list.working.status is Status.FILLED

    @invariant()
    def a_list_is_done_with_its_last_order_and_told_so_once(self) -> None:
        lists = [order_list for account in self.accounts for order_list in account.lists]
        assert sorted(order_list.list_id for order_list in lists if not order_list.open) == sorted(order_list.list_id for order_list in self.watcher.done)
        for account in self.accounts:
            assert list(account.open_lists.values()) == [order_list for order_list in account.lists if order_list.open]

    @invariant()
    def the_book_is_what_works_in_the_order_in_which_it_came_and_never_crossed(self) -> None:
        book = self.market.book
        resting = [order for side in Side for level in book.levels(side) for order in level.orders.values()]
        assert set(resting) == {order for order in self._open() if not order.waits}
        for side in Side:
            for level in book.levels(side):
                assert level.quantity == sum((order.remaining for order in level.orders.values()), ZERO)
                assert all(self.watcher.came[first] < self.watcher.came[second] for first, second in pairwise(level.orders.values()))
        bid, ask = book.best(Side.BUY), book.best(Side.SELL)
        assert bid is None or ask is None or bid.price < ask.price

    @invariant()
    def nobody_who_forbids_it_trades_with_himself(self) -> None:
        for account in self.accounts:
            trades: dict[int, list[Order]] = {}
            for order in account.orders["BTCUSDT"]:
                for fill in order.executions:
                    trades.setdefault(fill.trade_id, []).append(order)
            for trade_id, (*orders,) in trades.items():
                if len(orders) == 2:
                    taker = next(order for order in orders for fill in order.executions if fill.trade_id == trade_id and not fill.is_maker)
                    assert taker.self_trade_prevention is SelfTradePrevention.NONE


TestVenue = Venue.TestCase
TestVenue.settings = settings(max_examples=120, stateful_step_count=40, deadline=None)
