"""A market closes or changes its steps under a group: its orders wait, or are rounded anew. Told in virtual time."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal

import pytest

from tests.scripted import until
from tests.unit.groups.desk import a_bracket, a_group_world, an_oco
from tests.virtual_time import scenario


def judging(world) -> None:
    world.exchange.judges = world.exchange.keeps_markets = True


def halt(world, status: str = "BREAK") -> None:
    world.exchange.market = replace(world.exchange.market, active=status == "", status=status)


@scenario
async def test_the_market_halts_for_ten_seconds_between_my_entry_and_its_stop_and_the_stop_goes_out():
    async with a_group_world() as world:
        judging(world)
        await world.start()
        world.place(a_bracket(nativePolicy="Never"))
        await world.settle(entry="Open")
        halt(world)
        world.fill("entry", "10")
        await until(lambda: world.intent("stop") is not None and any(one.reason == "MarketHalted" for one in world.intent("stop").status.conditions))
        await asyncio.sleep(10)
        halt(world, "")
        await world.settle(entry="Filled", take="Open", stop="Open")
        assert world.order("stop").quantity == Decimal(10)


@scenario
async def test_the_tick_changed_between_my_entry_and_its_stop_and_the_stop_is_on_the_new_one():
    async with a_group_world() as world:
        judging(world)
        world.exchange.market = replace(world.exchange.market, price_step=Decimal("0.01"))
        await world.start()
        world.place(a_bracket(nativePolicy="Never"))
        await world.settle(entry="Open")
        world.exchange.market = replace(world.exchange.market, quantity_step=Decimal(5), min_quantity=Decimal(5))
        world.fill("entry", "8")
        await until(lambda: world.intent("stop") is not None and str(world.intent("stop").status.state) == "Open")
        assert world.order("stop").quantity == Decimal(5), "the rest is less than a step of the market"


@pytest.mark.parametrize("restarted", [False, True], ids=["same process", "after a restart"])
@scenario
async def test_a_list_that_meets_a_closed_market_is_sent_once_it_opens(restarted):
    async with a_group_world() as world:
        world.on_spot()
        judging(world)
        await world.start()
        halt(world)
        world.place(an_oco())
        await until(lambda: world.intent("stop") is not None and any(one.reason == "MarketHalted" for one in world.intent("stop").status.conditions))
        if restarted:
            await world.crash()
            await world.start()
        await asyncio.sleep(10)
        assert not world.exchange.orders_by_id
        halt(world, "")
        await world.settle(take="Open", stop="Open")
        assert (len(world.exchange.orders_by_id), len(world.exchange.lists), world.exchange.calls.count("submit")) == (2, 1, 0)


@scenario
async def test_a_list_in_a_market_that_is_known_to_be_closed_waits_and_is_never_refused():
    async with a_group_world() as world:
        world.on_spot()
        judging(world)
        halt(world)
        await world.start()
        world.place(an_oco())
        await until(lambda: world.intent("stop") is not None and any(one.reason == "MarketHalted" for one in world.intent("stop").status.conditions))
        await asyncio.sleep(20)
        assert "submit_group" not in world.exchange.calls
        halt(world, "")
        await world.settle(take="Open", stop="Open")
