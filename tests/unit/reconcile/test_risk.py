"""RiskLimits in the operator's life: orders that race, limits that come and go, restarts, and what is held."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from exchange_kernel.api import OrderState, RiskLimitSpec
from exchange_kernel.core.answers import Balance
from tests.builders import a_spec
from tests.scripted import World, until
from tests.unit.groups.desk import a_bracket, a_group_world, an_oco
from tests.unit.interleavings.stories import condition, finished, live, open_order, story
from tests.virtual_time import run


def limit(world: World, name: str = "desk", **spec) -> None:
    world.limits.put(name, RiskLimitSpec.model_validate(spec))


def waits(world: World, uid: str) -> bool:
    return any(condition.reason == "RiskLimit" for condition in world.status(uid).conditions)


def test_of_orders_that_come_at_once_no_more_are_open_than_allowed():
    async def tell(world):
        limit(world, maxOpenOrders=2)
        world.exchange.flight_s = 0.2
        for uid in "abcde":
            world.store.create(uid, a_spec())
        await asyncio.sleep(5)
        assert len(live(world)) == 2
        waiting = [uid for uid in "abcde" if waits(world, uid)]
        assert len(waiting) == 3
        gone = next(uid for uid in "abcde" if uid not in waiting)
        world.store.edit(gone, a_spec(desiredState="Canceled"))
        await until(lambda: world.status(gone).completion_time is not None and len(live(world)) == 2)
        assert len(world.exchange.orders_by_id) == 3

    story(tell)


def test_the_third_order_of_a_minute_goes_when_the_minute_is_over_also_after_a_restart():
    async def tell(world):
        limit(world, maxOrdersPerMinute=2)
        began = world.exchange.now_ms()
        for uid in "ab":
            await open_order(world, uid)
        world.kill()
        await world.start()
        world.store.create("c", a_spec())
        await until(lambda: waits(world, "c"))
        assert len(world.exchange.orders_by_id) == 2
        await until(lambda: world.status("c").state is OrderState.OPEN, within=70)
        assert 60_000 <= world.exchange.now_ms() - began <= 70_000

    story(tell)


def test_a_limit_that_comes_between_the_decision_and_the_wire_holds():
    async def tell(world):
        world.exchange.budget_s = 2.0
        world.store.create("a", a_spec())
        await until(lambda: "submit" in world.exchange.calls)
        limit(world, maxOrderNotional=[{"asset": "USDT", "amount": "1000"}])
        assert (await finished(world)).state is OrderState.DENIED
        assert condition(world, "Finished").message.startswith("RiskLimit desk: maxOrderNotional is 1000 USDT")
        assert world.exchange.orders_by_id == {}

    story(tell)


def test_a_change_waits_and_a_cancel_does_not():
    async def tell(world):
        await open_order(world)
        limit(world, maxOrdersPerMinute=0, maxOpenOrders=0, allowedTypes=["Market"], maxOrderNotional=[{"asset": "USDT", "amount": "1"}])
        world.store.edit("a", a_spec(price="49000"))
        await until(lambda: waits(world, "a"))
        await asyncio.sleep(5)
        assert [order.price for order in live(world)] == [Decimal(50000)]
        world.store.edit("a", a_spec(price="49000", desiredState="Canceled"))
        assert (await finished(world)).state is OrderState.CANCELED

    story(tell)


def test_nothing_is_sent_before_the_limits_are_read_and_what_is_open_can_be_cancelled():
    async def tell(world):
        await open_order(world)
        world.limits.readable = False
        world.store.create("b", a_spec())
        await until(lambda: waits(world, "b"))
        world.store.edit("a", a_spec(desiredState="Canceled"))
        await finished(world, "a")
        assert len(world.exchange.orders_by_id) == 1
        world.limits.readable = True
        await until(lambda: world.status("b").state is OrderState.OPEN)

    story(tell)


def test_an_order_goes_once_the_limit_that_held_it_is_deleted():
    async def tell(world):
        limit(world, maxOpenOrders=0)
        world.store.create("a", a_spec())
        await until(lambda: waits(world, "a"))
        world.limits.delete("desk")
        await until(lambda: world.status("a").state is OrderState.OPEN, within=0.5)

    story(tell)


def test_a_position_counts_what_is_held_what_is_open_and_what_was_just_filled():
    async def tell(world):
        world.exchange.held_balances = [Balance("BTC", Decimal(1), Decimal(0))]
        limit(world, maxPosition=[{"symbol": "BTC/USDT", "quantity": "3"}])
        first = await open_order(world, "a")                        # held 1, open 1
        world.store.create("b", a_spec(quantity="1.5"))
        assert (await finished(world, "b")).state is OrderState.DENIED
        assert "maxPosition of BTC/USDT is 3" in condition(world, "Finished", "b").message
        world.exchange.fill(first, "1")
        await finished(world)                                       # and forgotten; the exchange's balances do not show it for a moment
        world.store.create("c", a_spec(quantity="1.5"))
        await asyncio.sleep(0.5)
        assert waits(world, "c")
        world.exchange.held_balances = [Balance("BTC", Decimal(2), Decimal(0))]
        assert (await finished(world, "c")).state is OrderState.DENIED
        world.store.create("d", a_spec(quantity="1.5"))
        assert (await finished(world, "d")).state is OrderState.DENIED
        await open_order(world, "e", quantity="1")
        await open_order(world, "sale", side="Sell", quantity="2")

    story(tell)


def test_a_sale_makes_room_once_it_is_read():
    async def tell(world):
        world.exchange.held_balances = [Balance("BTC", Decimal(3), Decimal(0))]
        limit(world, maxPosition=[{"symbol": "BTC/USDT", "quantity": "3"}])
        sale = await open_order(world, "sale", side="Sell", quantity="2")
        await asyncio.sleep(2)
        world.exchange.fill(sale, "2")
        world.exchange.held_balances = [Balance("BTC", Decimal(1), Decimal(0))]
        world.store.create("b", a_spec(quantity="2"))
        await until(lambda: world.status("b").state is OrderState.OPEN, within=5)

    story(tell)


def test_a_bracket_keeps_its_stop_under_a_limit_that_came_after_its_entry():
    async def whole():
        async with a_group_world() as world:
            await world.start()
            world.place(a_bracket())
            await world.settle(entry="Open")
            limit(world, maxOrderNotional=[{"asset": "USDT", "amount": "1"}], maxPosition=[{"symbol": "BTC/USDT", "quantity": "1"}])
            world.fill("entry", "10")
            await world.settle(stop="Open", take="Open")

    run(whole())


@pytest.mark.parametrize("allowed", [1, 2])
def test_a_list_of_two_orders_needs_room_for_two(allowed):
    async def whole():
        async with a_group_world() as world:
            world.on_spot()
            limit(world, maxOpenOrders=allowed)
            await world.start()
            world.place(an_oco())
            await asyncio.sleep(20)
            assert len(live(world)) == (2 if allowed == 2 else 0)

    run(whole())


def test_a_list_of_two_orders_counts_as_two_of_a_minute():
    async def whole():
        async with a_group_world() as world:
            world.on_spot()
            limit(world, maxOrdersPerMinute=1)
            await world.start()
            world.place(an_oco())
            await asyncio.sleep(70)
            assert live(world) == []
            limit(world, maxOrdersPerMinute=2)
            await until(lambda: len(live(world)) == 2)

    run(whole())
