"""The lives of positions as other bots keep them, by the manifests of the examples."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import yaml

from exchange_kernel.api import OrderGroup
from tests.scripted import until
from tests.unit.groups.desk import PERPETUAL, VENUE, a_group_world
from tests.unit.groups.test_exit_sizes import working
from tests.virtual_time import scenario

MANIFESTS = Path(__file__).parents[3] / "manifests" / "examples" / "from-other-bots"
STEP = Decimal("0.001")
OPEN = "Open"


@asynccontextmanager
async def a_world_with(name: str):
    """The manifest's group on a venue of perpetual contracts, its entry open."""
    group = OrderGroup.model_validate(yaml.safe_load((MANIFESTS / f"{name}.yaml").read_text()))
    async with a_group_world() as world:
        world.exchange.market = replace(PERPETUAL, quantity_step=STEP, min_quantity=STEP, contract_size=Decimal(1))
        world.exchange.capabilities = replace(VENUE, order_types=VENUE.order_types | {"TrailingStop"}, trailing_units=frozenset({"BasisPoints"}))
        await world.start()
        spec = group.spec.model_copy(update={"account_ref": group.spec.account_ref.model_copy(update={"name": "main"})})
        world.place(spec)
        await world.settle(**{spec.members[0].name: OPEN})
        yield world


@scenario
async def test_a_roi_table_sells_for_less_the_longer_it_waits():
    async with a_world_with("freqtrade-roi-table") as world:
        world.fill("entry", "0.01")
        await world.settle(roi=OPEN, stop=OPEN, trailing=OPEN)
        assert (world.order("roi").price, world.order("stop").trigger_price, world.order("trailing").trigger_price) == (52000, 45000, 51000)
        await asyncio.sleep(10)          # as long as a replacement takes
        for minutes, price in ((20, 51000), (40, 50500), (60, 50000)):
            await asyncio.sleep(20 * 60)
            assert world.order("roi").price == price, minutes
        world.fill("roi", "0.01")
        await world.finished()
        assert world.condition("Succeeded") == ("True", "Closed")
        assert not world.live()


@scenario
async def test_an_entry_that_does_not_fill_in_ten_minutes_is_given_up():
    async with a_world_with("freqtrade-roi-table") as world:
        await asyncio.sleep(590)
        assert world.state("entry") == OPEN
        world.fill("entry", "0.004")
        await asyncio.sleep(30)
        assert world.state("entry") == "Canceled"
        assert {name: working(world, name) for name in ("roi", "stop")} == {"roi": Decimal("0.004"), "stop": Decimal("0.004")}


@scenario
async def test_the_stop_and_the_trailing_stop_close_the_position_once():
    for first in ("stop", "trailing"):
        async with a_world_with("freqtrade-roi-table") as world:
            world.fill("entry", "0.01")
            await world.settle(roi=OPEN, stop=OPEN, trailing=OPEN)
            world.fill(first, "0.01")
            await world.finished()
            assert world.condition("Succeeded") == ("True", "Closed")
            assert not world.live()


@scenario
async def test_a_triple_barrier_ends_by_its_take_its_stop_or_its_trailing_stop():
    for barrier in ("take-profit", "stop-loss", "trailing-stop"):
        async with a_world_with("hummingbot-triple-barrier") as world:
            world.fill("open", "0.01")
            await world.settle(**{"take-profit": OPEN, "stop-loss": OPEN, "trailing-stop": OPEN})
            assert (world.order("take-profit").price, world.order("stop-loss").trigger_price, world.order("trailing-stop").trigger_price) == (51000, 48500, 50750)
            world.fill(barrier, "0.01")
            await world.finished()
            assert world.condition("Succeeded") == ("True", "Closed")
            assert not world.live()


@scenario
async def test_a_triple_barrier_ends_by_its_time():
    async with a_world_with("hummingbot-triple-barrier") as world:
        world.fill("open", "0.01")
        await asyncio.sleep(3590)
        assert world.intent("close") is None
        await until(lambda: world.intent("close") is not None and world.state("close") == OPEN)
        assert working(world, "take-profit") == 0
        assert working(world, "stop-loss") == Decimal("0.01"), "it stays until the position is closed"
        world.fill("close", "0.01")
        await world.finished()
        assert world.condition("Succeeded") == ("True", "Closed")
        assert not world.live()
