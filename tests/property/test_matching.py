"""What the simulated exchange's engine keeps for any sequence of commands: it is the judge of the operator, so it must not err itself."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import TypeVar

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from exchange_kernel.exchanges.simulated.accounts import Account
from exchange_kernel.exchanges.simulated.engine import Engine
from exchange_kernel.exchanges.simulated.errors import VenueError
from exchange_kernel.exchanges.simulated.orders import NewOrder, Order, OrderType, Side, Status, TimeInForce
from exchange_kernel.exchanges.simulated.symbols import symbol

BTC_USDT = symbol("BTC/USDT")
ZERO = Decimal(0)

T = TypeVar("T")

accounts = st.integers(0, 2)
sides = st.sampled_from(list(Side))
prices = st.integers(49_990, 50_010).map(Decimal)                       # few levels: much to match, and queues to keep
quantities = st.integers(1, 200).map(lambda hundredths: Decimal(hundredths) / 100)
client_order_ids = st.sampled_from(["a", "b", "c", None])


class Venue(RuleBasedStateMachine):
    @initialize(maker_fee=st.sampled_from(["0", "0.001", "0.00075"]), taker_fee=st.sampled_from(["0", "0.002"]), poor=st.booleans())
    def open(self, maker_fee: str, taker_fee: str, poor: bool) -> None:
        self.now = 0
        self.engine = Engine([BTC_USDT], lambda: self.now, maker_fee=Decimal(maker_fee), taker_fee=Decimal(taker_fee))
        funds = {"BTC": Decimal(3 if poor else 1000), "USDT": Decimal(150_000 if poor else 50_000_000)}
        self.accounts = [Account(uid, funds) for uid in range(3)]
        self.total = {asset: 3 * amount for asset, amount in funds.items()}
        self.orders: list[Order] = []

    # ── Commands ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _place(self, account: int, new: NewOrder) -> Order | None:
        self.now += 1
        owner = self.accounts[account]
        taken = any(order.client_order_id == new.client_order_id for order in self.orders if order.account is owner and order.status.open)
        order = _attempt(lambda: self.engine.place(owner, new))
        assert taken == (order == "Duplicate order sent."), "an id is refused while it is open, and only then"
        if isinstance(order, str):
            return None
        self.orders.append(order)
        self._has_kept_the_queue(order)
        return order

    @rule(account=accounts, side=sides, price=prices, quantity=quantities, client_order_id=client_order_ids)
    def limit(self, account: int, side: Side, price: Decimal, quantity: Decimal, client_order_id: str | None) -> None:
        order = self._place(account, NewOrder(symbol=BTC_USDT, side=side, type=OrderType.LIMIT, price=price, quantity=quantity, client_order_id=client_order_id))
        assert order is None or order.status is Status.FILLED or order.status.open

    @rule(account=accounts, side=sides, price=prices, quantity=quantities)
    def immediate_or_cancel(self, account: int, side: Side, price: Decimal, quantity: Decimal) -> None:
        order = self._place(account, NewOrder(symbol=BTC_USDT, side=side, type=OrderType.LIMIT, price=price, quantity=quantity, time_in_force=TimeInForce.IOC))
        assert order is None or not order.status.open

    @rule(account=accounts, side=sides, price=prices, quantity=quantities)
    def fill_or_kill(self, account: int, side: Side, price: Decimal, quantity: Decimal) -> None:
        order = self._place(account, NewOrder(symbol=BTC_USDT, side=side, type=OrderType.LIMIT, price=price, quantity=quantity, time_in_force=TimeInForce.FOK))
        assert order is None or (order.status, order.executed) in ((Status.FILLED, quantity), (Status.EXPIRED, ZERO))

    @rule(account=accounts, side=sides, price=prices, quantity=quantities)
    def post_only(self, account: int, side: Side, price: Decimal, quantity: Decimal) -> None:
        order = self._place(account, NewOrder(symbol=BTC_USDT, side=side, type=OrderType.LIMIT_MAKER, price=price, quantity=quantity))
        assert order is None or (order.status, order.executed) == (Status.NEW, ZERO)

    @rule(account=accounts, side=sides, quantity=quantities)
    def market(self, account: int, side: Side, quantity: Decimal) -> None:
        order = self._place(account, NewOrder(symbol=BTC_USDT, side=side, type=OrderType.MARKET, quantity=quantity))
        assert order is None or not order.status.open

    @rule(account=accounts, side=sides, budget=st.integers(5, 200_000).map(Decimal))
    def market_by_budget(self, account: int, side: Side, budget: Decimal) -> None:
        order = self._place(account, NewOrder(symbol=BTC_USDT, side=side, type=OrderType.MARKET, quote_quantity=budget))
        assert order is None or (order.status is Status.FILLED and order.cumulative_quote <= budget)

    def _open(self) -> list[Order]:
        return [order for order in self.orders if order.status.open]

    @precondition(lambda self: self._open())
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        order = data.draw(st.sampled_from(self._open()))
        executed = order.executed
        self.engine.cancel(order.account, BTC_USDT, order_id=order.order_id)
        assert (order.status, order.executed) == (Status.CANCELED, executed)

    @precondition(lambda self: self._open())
    @rule(data=st.data(), quantity=quantities)
    def amend(self, data: st.DataObject, quantity: Decimal) -> None:
        order = data.draw(st.sampled_from(self._open()))
        smaller = order.executed < quantity < order.quantity
        amended = _attempt(lambda: self.engine.amend(order.account, BTC_USDT, quantity, order_id=order.order_id, name=order.client_order_id))
        assert smaller != isinstance(amended, str), "less than it was and more than is filled is allowed"
        assert not smaller or order.quantity == quantity

    @precondition(lambda self: self._open())
    @rule(data=st.data(), counterparty=accounts)
    def fill_on_cue(self, data: st.DataObject, counterparty: int) -> None:
        order = data.draw(st.sampled_from(self._open()))
        filled = _attempt(lambda: self.engine.fill(self.accounts[counterparty], order))
        assert filled == "Account has insufficient balance for requested action." or order.status is Status.FILLED

    # ── Rules ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _has_kept_the_queue(self, taker: Order) -> None:
        """Price first, then time: who traded stood before everyone on that side who is still waiting."""
        traded = {fill.trade_id: fill for fill in taker.executions if not fill.is_maker}
        makers = [order for order in self.orders if order is not taker and any(fill.trade_id in traded and fill.is_maker for fill in order.executions)]
        for waiting in self._open():
            if waiting.side is taker.side or waiting is taker:
                continue
            for maker in makers:
                if maker is not waiting:
                    assert _rank(maker) < _rank(waiting)
        fills = [fill.price for fill in taker.executions]
        assert fills == sorted(fills, reverse=taker.side is Side.SELL), "the best price first"
        if taker.type is not OrderType.MARKET:
            assert all(price <= taker.price if taker.side is Side.BUY else price >= taker.price for price in fills), "never beyond its limit"

    @invariant()
    def nothing_is_made_or_lost(self) -> None:
        for asset, total in self.total.items():
            held = sum((account.balances[asset].free + account.balances[asset].locked for account in self.accounts), ZERO)
            assert held + self.engine.fees[asset] == total

    @invariant()
    def nothing_is_owed(self) -> None:
        for account in self.accounts:
            for balance in account.balances.values():
                assert balance.free >= 0
                assert balance.locked >= 0

    @invariant()
    def what_is_locked_is_what_open_orders_may_still_cost(self) -> None:
        for account in self.accounts:
            for asset in self.total:
                needed = sum((order.reserve(order.remaining) for order in account.open.values() if order.gives == asset), ZERO)
                assert account.balances[asset].locked == needed

    @invariant()
    def an_order_is_the_sum_of_its_trades(self) -> None:
        for order in self.orders:
            assert order.executed == sum((fill.quantity for fill in order.executions), ZERO) <= order.quantity
            assert order.cumulative_quote == sum((fill.quote_quantity for fill in order.executions), ZERO)
            assert (order.status is Status.FILLED) == (order.remaining == 0)

    @invariant()
    def the_book_is_what_is_open_and_never_crossed(self) -> None:
        book = self.engine.markets["BTCUSDT"].book
        for side in Side:
            open_orders = sorted((order for order in self._open() if order.side is side), key=_rank)
            resting = [order for level in book.levels(side) for order in level.orders.values()]
            assert resting == open_orders, "by price, and then in the order of their acceptance"
            for level in book.levels(side):
                assert level.quantity == sum((order.remaining for order in level.orders.values()), ZERO)
        bid, ask = book.best(Side.BUY), book.best(Side.SELL)
        assert bid is None or ask is None or bid.price < ask.price

    @invariant()
    def ids_ascend(self) -> None:
        for account in self.accounts:
            for numbers in ([order.order_id for order in account.orders["BTCUSDT"]], [fill.trade_id for fill in account.executions["BTCUSDT"]]):
                assert numbers == sorted(numbers)


def _attempt(command: Callable[[], T]) -> T | str:
    """What came of it, or the venue's words against it."""
    try:
        return command()
    except VenueError as refused:
        return refused.message


def _rank(order: Order) -> tuple[Decimal, int]:
    return (-order.price if order.side is Side.BUY else order.price, order.order_id)


TestVenue = Venue.TestCase
TestVenue.settings = settings(max_examples=120, stateful_step_count=40, deadline=None)


@given(before=st.lists(st.tuples(sides, prices, quantities), max_size=12), side=sides, price=prices, quantity=quantities)
@settings(max_examples=200, deadline=None)
def test_fill_or_kill_fills_exactly_when_an_equal_immediate_or_cancel_would_fill_whole(before, side, price, quantity):
    outcomes = []
    for time_in_force in (TimeInForce.FOK, TimeInForce.IOC):
        engine = Engine([BTC_USDT], lambda: 0, maker_fee=ZERO, taker_fee=ZERO)
        others, account = (Account(uid, {"BTC": Decimal(10_000), "USDT": Decimal(10) ** 9}) for uid in range(2))
        for of, at, much in before:
            engine.place(others, NewOrder(symbol=BTC_USDT, side=of, type=OrderType.LIMIT, price=at, quantity=much))
        outcomes.append(engine.place(
            account, NewOrder(symbol=BTC_USDT, side=side, type=OrderType.LIMIT, price=price, quantity=quantity, time_in_force=time_in_force)))
    killed_or_filled, partly = outcomes
    assert (killed_or_filled.status is Status.FILLED) == (partly.executed == quantity)
