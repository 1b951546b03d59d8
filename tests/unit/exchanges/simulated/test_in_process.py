"""LocalKernel on the simulated exchange by plain calls, in virtual time: what backtests are made of. The page of it is docs/backtests.md."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal

import pytest

from exchange_kernel.exchanges.simulated import InProcessExchange, LoopClock, Settings, SimulatedExchange
from exchange_kernel.kernel import ExchangeError, LocalKernel, State, ValidationError
from exchange_kernel.schema import (
    ExecutionPolicy,
    GroupMember,
    GroupMode,
    MemberRole,
    NativePolicy,
    OrderType,
    Side,
    StandardOrder,
    StandardOrderGroup,
    TimeInForce,
)
from tests.scripted import until
from tests.virtual_time import scenario

MARKET = "BTC/USDT"


@dataclass
class Trading:
    market: SimulatedExchange
    adapter: InProcessExchange
    clock: LoopClock
    kernel: LocalKernel
    heard: list

    async def place(self, type: str = "Limit", side: str = "Buy", quantity: str = "0.1", **terms) -> str:
        price = terms.pop("price", "50000" if type == "Limit" else None)
        return await self.kernel.place_order(StandardOrder(symbol_id=MARKET, side=Side(side), type=OrderType(type), quantity=Decimal(quantity), price=price, **terms))

    def price(self, price: int) -> None:
        self.market.set_price(MARKET, Decimal(price))

    async def state(self, name: str):
        await asyncio.sleep(1)
        return await self.kernel.get_order_state(name)


@asynccontextmanager
async def trading(path=":memory:", **settings) -> AsyncIterator[Trading]:
    clock, heard = LoopClock(), []
    market = SimulatedExchange(Settings(symbols=[MARKET], **settings), clock=clock)
    adapter = InProcessExchange(market, clock)
    kernel = LocalKernel("simulated", adapter, path, clock=clock)
    kernel.subscribe_events(heard.append)
    await kernel.start()
    try:
        yield Trading(market, adapter, clock, kernel, heard)
    finally:
        await kernel.stop()


@scenario
async def test_a_bid_fills_when_the_market_comes_down_to_it_and_is_told_at_that_moment():
    async with trading() as desk:
        name = await desk.place(price="59000")
        assert (await desk.state(name)).state is State.OPEN
        await asyncio.sleep(3600 - 1)
        desk.price(58000)
        state = await desk.state(name)
        assert (state.state, state.filled_quantity, state.average_price) == (State.FILLED, Decimal("0.1"), Decimal(59000))
        assert sum(fee.amount for fee in state.fees) == Decimal("0.0001")
        filled = [event for event in desk.heard if event.event_type in ("PartiallyFilled", "Filled")]
        assert {event.seen_time.isoformat()[:16] for event in filled} == {"2026-01-01T01:00"}
        assert sum(event.quantity for event in filled) == Decimal("0.1")


@scenario
async def test_a_fill_on_cue_where_nobody_else_trades():
    async with trading(market_maker=False) as desk:
        name = await desk.place(price="59000")
        (order,) = desk.market.user.open.values()
        desk.market.engine.fill(desk.market.taker, order, Decimal("0.04"))
        assert (await desk.state(name)).filled_quantity == Decimal("0.04")


@pytest.mark.parametrize(("terms", "price", "ends"), [
    ({"type": "Market"}, 60000, "Filled"),
    ({"type": "Limit", "price": "61000"}, 60000, "Filled"),
    ({"type": "Limit", "price": "59000", "time_in_force": TimeInForce.IOC}, 60000, "Canceled"),
    ({"type": "Limit", "price": "59000", "time_in_force": TimeInForce.FOK}, 60000, "Canceled"),
    ({"type": "Limit", "price": "59000", "execution_policy": ExecutionPolicy.POST_ONLY}, 60000, "Open"),
    ({"type": "StopMarket", "trigger_price": "61000"}, 60500, "Open"),
    ({"type": "StopMarket", "trigger_price": "61000"}, 61100, "Filled"),
    ({"type": "StopLimit", "trigger_price": "61000", "price": "61500"}, 61100, "Filled"),
    ({"type": "TakeProfitMarket", "trigger_price": "59000"}, 58900, "Filled"),
    ({"type": "TakeProfitLimit", "trigger_price": "59000", "price": "58000"}, 58900, "Open"),
    ({"type": "TrailingStop", "trailing": {"offset": "100", "unit": "BasisPoints"}}, 60700, "Filled"),
    ({"type": "TrailingStop", "trailing": {"offset": "200", "unit": "BasisPoints"}}, 60700, "Open"),
], ids=str)
@scenario
async def test_each_type_does_what_it_says(terms, price, ends):
    async with trading() as desk:
        name = await desk.place(**terms)
        desk.price(price)
        assert (await desk.state(name)).state == ends


@scenario
async def test_what_the_exchange_refuses_is_raised_in_its_words():
    async with trading(balances={"USDT": Decimal(100)}) as desk:
        with pytest.raises(ExchangeError, match="insufficient balance"):
            await desk.place()
        with pytest.raises(ExchangeError, match="immediately match and take"):
            await desk.place(quantity="0.001", price="61000", execution_policy=ExecutionPolicy.POST_ONLY)
        with pytest.raises(ValidationError, match="smallest order"):
            await desk.place(quantity="0.0000001")
        with pytest.raises(ExchangeError, match="trigger immediately"):
            await desk.place("StopMarket", quantity="0.001", trigger_price="59000")


@scenario
async def test_an_order_is_changed_and_cancelled():
    async with trading() as desk:
        name = await desk.place()
        changed = (await desk.kernel.get_order_intent(name)).order.model_copy(update={"price": Decimal(51000), "quantity": Decimal("0.2")})
        await desk.kernel.modify_order(name, changed)
        assert [(order.price, order.quantity) for order in desk.market.user.open.values()] == [(Decimal(51000), Decimal("0.2"))]
        await desk.kernel.cancel_order(name)
        assert (await desk.state(name)).state is State.CANCELED
        assert desk.market.user.open == {}
        assert {balance.asset_id: balance.used for balance in (await desk.kernel.get_account_state()).balances} == {"BTC": 0, "USDT": 0}


@scenario
async def test_groups_are_kept_by_the_kernel():
    async with trading() as desk:
        sell = StandardOrder(symbol_id=MARKET, side=Side.SELL, type=OrderType.LIMIT, quantity=Decimal("0.1"), price=Decimal(62000))
        stop = StandardOrder(symbol_id=MARKET, side=Side.SELL, type=OrderType.STOP_MARKET, quantity=Decimal("0.1"), trigger_price=Decimal(57000))
        names = await desk.kernel.place_order_group(StandardOrderGroup(mode=GroupMode.ONE_TRIGGERS_OTHER, members=[
            GroupMember(name="entry", role=MemberRole.ENTRY, order=sell.model_copy(update={"side": Side.BUY, "price": Decimal(59000)})), GroupMember(name="then", order=sell),
        ]))
        pair = await desk.kernel.place_order_group(StandardOrderGroup(mode=GroupMode.ONE_CANCELS_OTHER, native_policy=NativePolicy.NEVER, members=[
            GroupMember(name="up", order=sell), GroupMember(name="down", order=stop),
        ]))
        await asyncio.sleep(600)
        desk.price(58500)
        await asyncio.sleep(600)
        desk.price(63000)
        await asyncio.sleep(600)
        assert [str((await desk.kernel.get_order_state(name)).state) for name in (*names, *pair)] == ["Filled", "Filled", "Filled", "Canceled"]


@scenario
async def test_what_money_bought_is_sold_in_two_steps_under_one_stop():
    async with trading() as desk:
        buy = StandardOrder(symbol_id=MARKET, side=Side.BUY, type=OrderType.MARKET, quote_quantity=Decimal(6000))
        sell = StandardOrder(symbol_id=MARKET, side=Side.SELL, type=OrderType.LIMIT, price=Decimal(62000))
        stop = StandardOrder(symbol_id=MARKET, side=Side.SELL, type=OrderType.STOP_MARKET, trigger_price=Decimal(57000))
        wanted = StandardOrderGroup(mode=GroupMode.BRACKET, native_policy=NativePolicy.NEVER, members=[
            GroupMember(name="entry", role=MemberRole.ENTRY, order=buy), GroupMember(name="stop", role=MemberRole.STOP_LOSS, order=stop),
            GroupMember(name="near", role=MemberRole.TAKE_PROFIT, order=sell, quantity_percent=Decimal(50)),
            GroupMember(name="far", role=MemberRole.TAKE_PROFIT, order=sell.model_copy(update={"price": Decimal(64000)}), quantity_percent=Decimal(50)),
        ])
        assert (await desk.kernel.check(wanted)).accepted
        entry, stop_id, near, far = await desk.kernel.place_order_group(wanted)
        await asyncio.sleep(600)
        whole = (await desk.kernel.get_order_intent(stop_id)).order.quantity
        halves = [(await desk.kernel.get_order_intent(name)).order.quantity for name in (near, far)]
        assert whole is not None
        assert sum(halves) == whole <= (await desk.state(entry)).filled_quantity
        desk.price(62500)
        await asyncio.sleep(600)
        assert (await desk.kernel.get_order_intent(stop_id)).order.quantity == whole - (await desk.state(near)).filled_quantity
        desk.price(56000)
        await asyncio.sleep(600)
        assert [str((await desk.state(name)).state) for name in (entry, near, stop_id, far)] == ["Filled", "Filled", "Filled", "Canceled"]


@scenario
async def test_a_fill_that_no_event_told_of_is_found():
    async with trading(market_maker=False) as desk:
        name = await desk.place(price="59000")
        (order,) = desk.market.user.open.values()
        for queue in list(desk.adapter._streams):            # the news of it is lost
            desk.adapter._streams.discard(queue)
        desk.market.engine.fill(desk.market.taker, order, Decimal("0.1"))
        await until(lambda: any(event.event_type == "Finished" for event in desk.heard), within=120)
        assert (await desk.state(name)).filled_quantity == Decimal("0.1")


@scenario
async def test_the_clock_begins_where_it_is_told_to():
    async with trading() as desk:
        began = desk.clock.wall_ms()
        await asyncio.sleep(24 * 3600)
        assert desk.clock.wall_ms() - began == 24 * 3600 * 1000
        assert desk.market.clock.now_ms() == desk.clock.wall_ms()
