"""What the perpetual engine keeps for any sequence of commands: nobody's gain is without somebody's loss, and no order that only reduces adds."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from exchange_kernel.exchanges.simulated.orders import Side
from exchange_kernel.exchanges.simulated.perpetual.accounts import PerpetualAccount
from exchange_kernel.exchanges.simulated.perpetual.contracts import contract
from exchange_kernel.exchanges.simulated.perpetual.engine import PerpetualEngine
from exchange_kernel.exchanges.simulated.perpetual.errors import PerpetualError
from exchange_kernel.exchanges.simulated.perpetual.orders import FinishAs, NewOrder, Order, Slot, Tif

BTC = contract("BTC/USDT:USDT")
ZERO = Decimal(0)

accounts = st.integers(0, 2)
sides = st.sampled_from(list(Side))
prices = st.one_of(st.none(), st.integers(59_990, 60_010).map(Decimal))
sizes = st.integers(1, 40)


class PerpetualMarket(RuleBasedStateMachine):
    @initialize(maker_fee=st.sampled_from(["0", "-0.0001", "0.0002"]), poor=st.booleans(), dual=st.lists(st.booleans(), min_size=3, max_size=3))
    def open(self, maker_fee: str, poor: bool, dual: list[bool]) -> None:
        self.engine = PerpetualEngine([BTC], lambda: 0, maker_fee=Decimal(maker_fee), taker_fee=Decimal("0.0005"))
        self.accounts = [PerpetualAccount(uid, Decimal(300 if poor else 100_000)) for uid in range(3)]
        for account, on in zip(self.accounts, dual, strict=True):
            account.set_dual_mode(on)
        self.paid_in = sum((account.balance for account in self.accounts), ZERO)

    @rule(account=accounts, side=sides, size=sizes, price=prices, tif=st.sampled_from([Tif.GTC, Tif.GTC, Tif.IOC, Tif.FOK, Tif.POC]), reduce_only=st.booleans())
    def place(self, account: int, side: Side, size: int, price: Decimal | None, tif: Tif, reduce_only: bool) -> None:
        owner = self.accounts[account]
        if price is None:
            tif = Tif.IOC
        held = owner.position(BTC, owner.slot(side, reduces=reduce_only)).size
        before = {slot: position.size for (_, slot), position in owner.positions.items()}
        try:
            order = self.engine.place(owner, NewOrder(contract=BTC, side=side, size=size, price=price, tif=tif, reduce_only=reduce_only))
        except PerpetualError:
            assert before == {slot: position.size for (_, slot), position in owner.positions.items()}, "a refusal changes nothing"
            return
        assert order.open == (order.left > 0 and order.finish_as is None)
        assert tif is not Tif.FOK or order.finish_as is FinishAs.FILLED, "all or nothing"
        assert tif is not Tif.POC or order.filled == 0
        if reduce_only:
            assert held * order.sign < 0
            assert abs(order.filled) <= abs(held) or self._traded_with_itself(order)
        assert all(fill.price <= price if side is Side.BUY else fill.price >= price for fill in order.executions if price is not None)

    def _traded_with_itself(self, order: Order) -> bool:
        return any(fill.trade_id == own.trade_id and fill is not own for fill in order.account.executions for own in order.executions)

    def _open(self) -> list[Order]:
        return [order for account in self.accounts for order in account.open.values()]

    @precondition(lambda self: self._open())
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        order = data.draw(st.sampled_from(self._open()))
        filled = order.filled
        self.engine.cancel(order.account, order.order_id)
        assert (order.finish_as, order.filled) == (FinishAs.CANCELLED, filled)

    @precondition(lambda self: self._open())
    @rule(data=st.data(), counterparty=accounts)
    def fill_on_cue(self, data: st.DataObject, counterparty: int) -> None:
        order = data.draw(st.sampled_from(self._open()))
        filled = order.filled
        try:
            self.engine.fill(self.accounts[counterparty], order)
        except PerpetualError:
            assert order.filled == filled
        else:
            assert not order.open or order.filled > filled

    @rule(price=st.integers(30_000, 90_000).map(Decimal))
    def move_the_mark(self, price: Decimal) -> None:
        self.engine.market(BTC.name).mark = price

    @invariant()
    def for_each_contract_held_long_one_is_held_short(self) -> None:
        assert sum(position.size for account in self.accounts for position in account.positions.values()) == 0

    @invariant()
    def nothing_is_made_or_lost(self) -> None:
        held = sum((account.balance + account.unrealised(self.engine.mark) for account in self.accounts), ZERO)
        assert held + self.engine.fees == self.paid_in

    @invariant()
    def a_position_is_the_sum_of_its_trades(self) -> None:
        for account in self.accounts:
            assert sum(fill.size for fill in account.executions) == sum(position.size for position in account.positions.values())
            realised = sum((position.closed_pnl - position.fees for position in account.positions.values()), ZERO)
            assert account.balance == self.paid_in / 3 + realised

    @invariant()
    def in_dual_mode_a_long_is_never_short(self) -> None:
        for account in self.accounts:
            for (_, slot), position in account.positions.items():
                assert slot is not Slot.LONG or position.size >= 0
                assert slot is not Slot.SHORT or position.size <= 0

    @invariant()
    def what_rests_to_reduce_could_reduce(self) -> None:
        for order in self._open():
            assert not order.reduce_only or order.account.reducible(order) > 0

    @invariant()
    def the_book_is_what_is_open_and_never_crossed(self) -> None:
        book = self.engine.market(BTC.name).book
        for side in Side:
            resting = [order for level in book.levels(side) for order in level.orders.values()]
            assert {order.order_id for order in resting} == {order.order_id for order in self._open() if order.side is side}
            assert all(level.quantity == sum((order.remaining for order in level.orders.values()), ZERO) for level in book.levels(side))
        bid, ask = book.best(Side.BUY), book.best(Side.SELL)
        assert bid is None or ask is None or bid.price < ask.price


TestPerpetualMarket = PerpetualMarket.TestCase
TestPerpetualMarket.settings = settings(max_examples=120, stateful_step_count=40, deadline=None)
