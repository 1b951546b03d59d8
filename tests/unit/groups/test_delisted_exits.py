"""Exits of an open position on a market that the exchange's list lacks for a while."""

from __future__ import annotations

import asyncio

import pytest

from tests.scripted import until
from tests.unit.groups.desk import a_bracket, a_group_world
from tests.virtual_time import scenario


@pytest.mark.parametrize("away_s", [12, 200])
@scenario
async def test_my_position_gets_its_stop_soon_after_a_market_is_listed_again_though_the_operator_began_without_it(away_s):
    async with a_group_world() as world:
        world.exchange.keeps_markets = True
        await world.start()
        world.place(a_bracket())
        await world.settle(entry="Open")
        await asyncio.sleep(30)
        await world.crash()
        world.exchange.listed = False
        world.exchange.fill(world.intent("entry").status.client_order_id, "10", tell=False)
        world.exchange.read_markets = None
        await world.start()
        await asyncio.sleep(away_s)
        assert world.live() == set()
        assert world.condition("Protected") == ("False", "StopPending")
        world.exchange.listed = True
        await until(lambda: "stop" in world.live(), within=70)
        assert world.exchange.market_reads <= 3 + away_s / 20
