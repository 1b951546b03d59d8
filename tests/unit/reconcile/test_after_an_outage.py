"""What hundreds of unknown outcomes cost after an outage, by the weights and the limit of a minute that Binance has: the real budget, in virtual time."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from decimal import Decimal

import pytest

from exchange_kernel.api import OrderState
from exchange_kernel.core.answers import Fee, Listing, OrderStatus, Trade, Unknown
from exchange_kernel.core.venue import OrderRequest
from exchange_kernel.exchanges.ccxt.budget import Budget, Limit, Priority
from tests.builders import a_spec
from tests.scripted import ScriptedExchange, World, until
from tests.virtual_time import run

MANY = 300
OUTAGE_S = 300
ROUND_TRIP_S = 0.05


class Weighed(ScriptedExchange):
    """Every request waits for its turn and takes its time."""

    def __init__(self) -> None:
        super().__init__()
        self.budget, self.weight, self.asked = Budget(Limit(6000, 60), timer=asyncio.get_running_loop()), 0, Counter()
        self.strangers: list[Trade] = []      # executions of orders that can't be seen

    async def _turn(self, name: str, weight: int, priority: Priority) -> None:
        await self.budget.turn(weight, priority)
        self.weight, self.asked = self.weight + weight, self.asked + Counter([name])
        await asyncio.sleep(ROUND_TRIP_S)

    async def submit(self, request, clearance):
        await self._turn("submit", 1, Priority.SUBMIT)
        return await super().submit(request, clearance)

    async def cancel(self, ref, clearance):
        await self._turn("cancel", 1, Priority.CANCEL)
        return await super().cancel(ref, clearance)

    async def lookup(self, ref):
        await self._turn("lookup", 4, Priority.LOOKUP)
        return await super().lookup(ref)

    async def open_orders(self, symbol=None):
        await self._turn("open orders", 80 if symbol is None else 6, Priority.LISTING)
        return await super().open_orders(symbol)

    async def orders(self, symbol, since_ms):
        await self._turn("orders", 20, Priority.LISTING)
        return await super().orders(symbol, since_ms)

    async def trades(self, symbol, *, since_ms=None, exchange_order_id=None):
        await self._turn("trades", 20 if exchange_order_id is None else 5, Priority.LISTING)
        listed = await super().trades(symbol, since_ms=since_ms, exchange_order_id=exchange_order_id)
        return replace(listed, items=(*listed.items, *self.strangers)) if isinstance(listed, Listing) and since_ms is not None else listed


def in_an_outage(tell):
    """Of `MANY` orders each second one has reached the exchange, and no answer came to any; then nothing answers."""

    async def whole():
        world = World(resyncSeconds=60)
        world.exchange = exchange = Weighed()
        desk = await world.start()
        exchange.reply = lambda order: Unknown("no answer in time")
        for number in range(0, MANY, 2):
            world.store.create(f"order-{number}", a_spec(submitDeadlineSeconds=0))
        exchange.accepted = lambda: setattr(exchange, "reachable", len(exchange.orders_by_id) < MANY // 2)
        exchange.visibility_ms = 1000
        await until(lambda: not exchange.reachable)
        for number in range(1, MANY, 2):
            world.store.create(f"order-{number}", a_spec(submitDeadlineSeconds=0))
        exchange.reply, exchange.accepted = None, lambda: None
        try:
            await tell(world)
        finally:
            await desk.stop()

    run(whole())


def states(world) -> set[OrderState]:
    return {world.status(f"order-{number}").state for number in range(MANY)}


async def spent(world, seconds: float) -> tuple[int, Counter[str]]:
    """Weight, and requests by name."""
    world.exchange.weight = 0
    world.exchange.asked.clear()
    await asyncio.sleep(seconds)
    return world.exchange.weight, world.exchange.asked


@pytest.mark.proves("rule 14")
def test_an_outage_costs_by_the_market_and_not_by_the_order():
    async def tell(world):
        weight, asked = await spent(world, 20)
        assert asked["lookup"] <= 80, "before E a few are asked for by id, and lists are read for the rest"
        assert weight <= 600, asked
        weight, asked = await spent(world, OUTAGE_S)
        assert asked.total() <= OUTAGE_S / 3, asked
        assert states(world) == {OrderState.UNKNOWN}

    in_an_outage(tell)


@pytest.mark.proves("rule 5", "rule 14")
def test_after_an_outage_all_converge_within_ten_seconds_and_cancels_and_first_sends_go_before():
    async def tell(world):
        await asyncio.sleep(OUTAGE_S)
        world.exchange.reachable, world.exchange.weight, began = True, 0, asyncio.get_running_loop().time()
        await asyncio.sleep(3)
        world.store.create("new", a_spec())
        await until(lambda: world.status("new").state is OrderState.OPEN, within=0.5)
        world.store.edit("new", a_spec(desiredState="Canceled"))
        await until(lambda: world.exchange.orders_by_id[world.status("new").exchange_order_id].status.ended, within=0.5)
        await until(lambda: states(world) == {OrderState.OPEN})
        assert asyncio.get_running_loop().time() - began <= 10
        assert world.exchange.weight <= 4 * MANY + MANY / 2 + 800, "each that never arrived is asked for by id twice, and sent; the rest is lists"
        assert len(world.exchange.orders_by_id) == MANY + 1

    in_an_outage(tell)


@pytest.mark.proves("rule 5", "H8")
def test_while_something_keeps_absence_from_being_proved_passes_cost_their_lists_only():
    """Somebody's trade is listed before its order can be seen: it may be any missing order's."""

    async def tell(world):
        exchange = world.exchange
        await asyncio.sleep(OUTAGE_S)
        stranger = exchange._new(OrderRequest(client_order_id="a-person", symbol="BTC/USDT", side="Buy", type="Limit", quantity=Decimal(1), price=Decimal(50000)))
        exchange.strangers = [Trade("t-1", "BTC/USDT", stranger.exchange_order_id, Decimal(1), Decimal(50000), exchange.now_ms(), Fee("USDT", Decimal(1)))]
        exchange.orders_by_id.pop(stranger.exchange_order_id)
        exchange.reachable = True
        await until(lambda: states(world) == {OrderState.OPEN, OrderState.UNKNOWN})
        await asyncio.sleep(60)
        weight, asked = await spent(world, OUTAGE_S)
        assert weight <= 10 * OUTAGE_S, asked
        assert states(world) == {OrderState.OPEN, OrderState.UNKNOWN}
        exchange.orders_by_id[stranger.exchange_order_id] = replace(stranger, status=OrderStatus.FILLED, filled_quantity=Decimal(1))
        await until(lambda: states(world) == {OrderState.OPEN}, within=30)

    in_an_outage(tell)
