"""The perpetual engine: positions, margin, and orders that only reduce. What must hold for all orders is in tests/property/test_perpetual.py."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from exchange_kernel.exchanges.simulated.orders import Side
from exchange_kernel.exchanges.simulated.perpetual.accounts import PerpetualAccount
from exchange_kernel.exchanges.simulated.perpetual.contracts import contract
from exchange_kernel.exchanges.simulated.perpetual.engine import PerpetualEngine
from exchange_kernel.exchanges.simulated.perpetual.errors import PerpetualError
from exchange_kernel.exchanges.simulated.perpetual.orders import FinishAs, NewOrder, Order, Slot, Tif
from exchange_kernel.exchanges.simulated.perpetual.positions import Position
from tests.unit.exchanges.simulated.client import cases

D = Decimal
BTC = replace(contract("BTC/USDT:USDT"), start_price=D(50000))      # a contract is 0.001 BTC: 50 USDT


class Desk:
    """A user with 1000 USDT at leverage 10, and somebody who trades with whatever is asked."""

    def __init__(self, *, maker_fee: str = "0", taker_fee: str = "0", balance: str = "1000") -> None:
        self.engine = PerpetualEngine([BTC], lambda: 0, maker_fee=D(maker_fee), taker_fee=D(taker_fee))
        self.user, self.other = PerpetualAccount(1, D(balance)), PerpetualAccount(2, D(0), house=True)

    def place(self, size: int, price: str | None = "50000", *, by: PerpetualAccount | None = None, **terms: Any) -> Order:
        """Sold where the size is negative; a market order where there is no price."""
        return self.engine.place(by or self.user, NewOrder(
            contract=BTC, side=Side.BUY if size > 0 else Side.SELL, size=abs(size), price=None if price is None else D(price),
            tif=terms.pop("tif", Tif.GTC if price is not None else Tif.IOC), **terms))

    def offered(self, size: int, price: str = "50000") -> Order:
        return self.place(-size, price, by=self.other)

    def hold(self, size: int, price: str = "50000", **terms: Any) -> None:
        self.place(-size, price, by=self.other)
        order = self.place(size, price, **terms)
        assert order.finish_as is FinishAs.FILLED

    def mark(self, price: str) -> None:
        self.engine.market(BTC.name).mark = D(price)

    def position(self, slot: Slot = Slot.SINGLE) -> Position:
        return self.user.position(BTC, slot)

    def refused(self, *args: Any, **terms: Any) -> str:
        before = (self.user.balance, len(self.user.open), len(self.user.orders))
        with pytest.raises(PerpetualError) as refused:
            self.place(*args, **terms)
        assert before == (self.user.balance, len(self.user.open), len(self.user.orders)), "a refusal changes nothing"
        return refused.value.label


# ── Contracts ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

@pytest.mark.parametrize(("reason", "unified", "multiplier"), cases(
    ("a thousandth of an expensive coin", "BTC/USDT:USDT", "0.001"), ("many of a cheap one", "DOGE/USDT:USDT", "1000"),
))
def test_a_contract_is_worth_some_tens_of_dollars(reason, unified, multiplier):
    made = contract(unified)
    assert made.multiplier == D(multiplier)
    assert D(10) <= made.value(1, made.start_price) <= D(100)


@pytest.mark.parametrize("unified", ["BTC/USDT", "BTC/USD:BTC", "BTC/USDC:USDC"])
def test_only_what_is_settled_in_usdt_is_a_contract_here(unified):
    with pytest.raises(ValueError, match="write BASE/USDT:USDT"):
        contract(unified)


# ── Positions ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

@pytest.mark.parametrize(("reason", "trades", "size", "entry", "realised"), cases(
    ("it opens at its price", [(10, 50000)], 10, 50000, "0"),
    ("it adds at the average", [(10, 50000), (10, 51000)], 20, 50500, "0"),
    ("it closes in part, and what is left cost what it cost", [(10, 50000), (-4, 51000)], 6, 50000, "4"),
    ("a long loses where the price falls", [(10, 50000), (-10, 49000)], 0, 0, "-10"),
    ("a short wins there", [(-10, 50000), (10, 49000)], 0, 0, "10"),
    ("more than it is turns it round, and the rest opens anew", [(10, 50000), (-15, 52000)], -5, 52000, "20"),
))
def test_a_position_after_its_trades(reason, trades, size, entry, realised):
    position = Position(contract=BTC, slot=Slot.SINGLE)
    total = sum((position.trade(many, D(price), 0)[0] for many, price in trades), D(0))
    assert (position.size, position.entry_price, total) == (size, D(entry), D(realised))
    assert position.closed_pnl == total


def test_what_it_is_worth_follows_the_mark_and_not_the_last_trade():
    desk = Desk()
    desk.hold(10)
    desk.offered(1, "49000")
    desk.place(1, "49000", by=desk.other)
    assert desk.user.unrealised(desk.engine.mark) == 0
    desk.mark("52000")
    assert desk.user.unrealised(desk.engine.mark) == D(20)


def test_fees_are_of_the_value_and_who_rests_may_be_paid():
    desk = Desk(maker_fee="-0.0001", taker_fee="0.0005")
    desk.place(10)
    desk.place(-10, by=desk.other)
    assert desk.user.balance == D(1000) + D("0.05")
    assert desk.other.balance == D("-0.25")
    assert desk.engine.fees == D("0.2")


def test_in_dual_mode_both_positions_stand_beside_each_other_and_each_is_reduced_by_name():
    desk = Desk()
    desk.user.set_dual_mode(True)
    desk.hold(10)
    desk.hold(-6)
    assert (desk.position(Slot.LONG).size, desk.position(Slot.SHORT).size) == (10, -6)
    desk.hold(-4, reduce_only=True)
    desk.hold(2, reduce_only=True)
    assert (desk.position(Slot.LONG).size, desk.position(Slot.SHORT).size) == (6, -4)


@pytest.mark.parametrize(("reason", "prepare", "label"), cases(
    ("while something is held", lambda desk: desk.hold(1), "POSITION_HOLDING"),
    ("while something is open", lambda desk: desk.place(1, "40000"), "ORDER_PENDING"),
))
def test_the_mode_is_not_changed(reason, prepare, label):
    desk = Desk()
    prepare(desk)
    with pytest.raises(PerpetualError) as refused:
        desk.user.set_dual_mode(True)
    assert refused.value.label == label


# ── Reduce-only ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

def test_an_order_that_only_reduces_stops_where_the_position_ends():
    desk = Desk()
    desk.hold(4)
    desk.place(10, "51000", by=desk.other)
    order = desk.place(-10, "51000", reduce_only=True)
    assert (order.filled, order.finish_as, desk.position().size) == (4, FinishAs.REDUCE_ONLY, 0)


def test_one_that_rests_takes_no_more_from_whoever_comes_and_gives_way_to_the_next_in_the_queue():
    desk = Desk()
    desk.hold(4)
    resting = desk.place(-10, "51000", reduce_only=True)
    behind = desk.offered(10, "51000")
    taker = desk.place(8, "51000", by=desk.other)
    assert (resting.filled, resting.finish_as) == (4, FinishAs.POSITION_CLOSED)
    assert (taker.filled, behind.filled) == (8, 4)


def test_all_that_rest_to_reduce_end_with_the_position():
    desk = Desk()
    desk.hold(4)
    resting = [desk.place(-4, price, reduce_only=True) for price in ("60000", "61000")]
    stays = desk.place(-1, "62000")
    desk.hold(-4)
    assert [order.finish_as for order in resting] == [FinishAs.POSITION_CLOSED] * 2
    assert stays.open


@pytest.mark.parametrize(("reason", "held", "size"), cases(
    ("nothing is held", 0, -5), ("it is on the position's own side", 4, 5),
))
def test_what_would_not_reduce_is_refused(reason, held, size):
    desk = Desk()
    if held:
        desk.hold(held)
    assert desk.refused(size, reduce_only=True) == "INCREASE_POSITION"


def test_it_needs_no_margin_however_little_is_left():
    desk = Desk(balance="50")
    desk.hold(10)
    desk.mark("40000")
    assert desk.user.available(desk.engine.mark) < 0
    assert desk.place(-10, "45000", reduce_only=True).open
    assert desk.place(-10, "45000").open, "nor does what closes without being told so"


# ── Margin ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

@pytest.mark.parametrize(("reason", "size", "price", "accepted"), cases(
    ("a tenth of its value is there", 200, "50000", True), ("and not for one more", 201, "50000", False), ("a lower price needs less", 250, "40000", True),
))
def test_an_order_needs_a_tenth_of_its_value_at_leverage_ten(reason, size, price, accepted):
    desk = Desk()
    assert (desk.place(size, price).open if accepted else desk.refused(size, price)) in (True, "INSUFFICIENT_AVAILABLE")


def test_open_orders_positions_and_losses_take_from_what_is_available():
    desk = Desk()
    desk.place(50, "40000")                                    # 200 of its 2000
    desk.hold(100)                                             # 500 of its 5000
    assert desk.user.available(desk.engine.mark) == D(300)
    desk.mark("49000")                                         # it lost 100, and binds 490
    assert desk.user.available(desk.engine.mark) == D(210)


def test_a_market_order_is_valued_at_the_worst_price_it_would_meet():
    desk = Desk()
    desk.offered(100, "50000")
    desk.offered(100, "60000")
    assert desk.refused(200, None) == "INSUFFICIENT_AVAILABLE"
    assert desk.place(100, None).finish_as is FinishAs.FILLED


def test_leverage_can_be_lowered_only_as_far_as_the_balance_carries_it():
    desk = Desk()
    desk.hold(100)
    desk.engine.set_leverage(desk.user, BTC, 5)
    with pytest.raises(PerpetualError, match="INSUFFICIENT_AVAILABLE"):
        desk.engine.set_leverage(desk.user, BTC, 4)
    assert desk.user.leverage[BTC.name] == 5
    with pytest.raises(PerpetualError, match="LEVERAGE_TOO_HIGH"):
        desk.engine.set_leverage(desk.user, BTC, 101)


# ── Times in force ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

@pytest.mark.parametrize(("reason", "size", "terms", "filled", "end"), cases(
    ("gtc rests with what is left", 5, {}, 3, None), ("ioc ends with it", 5, {"tif": Tif.IOC}, 3, FinishAs.IOC),
    ("market ends where the book does", 5, {"price": None}, 3, FinishAs.IOC), ("fok takes all", 3, {"tif": Tif.FOK}, 3, FinishAs.FILLED),
))
def test_three_contracts_are_offered(reason, size, terms, filled, end):
    desk = Desk()
    desk.offered(3)
    order = desk.place(size, **terms)
    assert (order.filled, order.finish_as) == (filled, end)


@pytest.mark.parametrize(("reason", "size", "terms", "label"), cases(
    ("fok or nothing", 4, {"tif": Tif.FOK}, "ORDER_FOK"), ("post-only does not take", 1, {"tif": Tif.POC}, "ORDER_POC_IMMEDIATE"),
    ("nothing is no size", 0, {}, "SIZE_TOO_SMALL"), ("it is off the grid of prices", 1, {"price": "50000.001"}, "INVALID_PARAM_VALUE"),
))
def test_three_contracts_are_offered_and_this_is_refused(reason, size, terms, label):
    desk = Desk()
    desk.offered(3)
    assert desk.refused(size, **terms) == label


def test_fok_counts_only_what_a_position_lets_a_resting_order_give():
    desk = Desk()
    desk.hold(2)
    desk.place(-5, "51000", reduce_only=True)
    with pytest.raises(PerpetualError, match="ORDER_FOK"):
        desk.place(3, "51000", by=desk.other, tif=Tif.FOK)
    assert desk.place(2, "51000", by=desk.other, tif=Tif.FOK).finish_as is FinishAs.FILLED


def test_two_orders_may_have_one_text():
    desk = Desk()
    first, second = desk.place(1, "40000", text="t-same"), desk.place(1, "40000", text="t-same")
    assert first.open
    assert second.open
    assert first.order_id < second.order_id


def test_an_order_that_is_over_is_not_cancelled_again():
    desk = Desk()
    order = desk.place(1, "40000")
    assert desk.engine.cancel(desk.user, order.order_id).finish_as is FinishAs.CANCELLED
    with pytest.raises(PerpetualError, match="ORDER_FINISHED"):
        desk.engine.cancel(desk.user, order.order_id)
    with pytest.raises(PerpetualError, match="ORDER_NOT_FOUND"):
        desk.engine.cancel(desk.user, 1)
