"""A sibling's cancel leaves however stale the sight of it is: what may be at the exchange is cancelled, and then looked at."""

from __future__ import annotations

import asyncio

import pytest

from exchange_kernel.core.answers import Listing, Unreachable
from tests.scripted import until
from tests.unit.groups.desk import a_bracket, a_group_world, an_oco
from tests.virtual_time import scenario

OPEN = "Open"
SILENT = Unreachable("silent")


async def silent(*arguments, **options):
    return SILENT


async def lost_from_one_list(world, member: str) -> None:
    """One complete list of open orders lacks it, and from then on nothing can be read; cancels work."""
    exchange, known = world.exchange, world.desk.session.memory.of(world.intent(member).status.client_order_id)
    lists = exchange.open_orders

    async def without_it(symbol=None):
        listed = await lists(symbol)
        return Listing(tuple(order for order in listed.items if order.client_order_id != world.intent(member).status.client_order_id), True)

    exchange.open_orders, exchange.lookup, exchange.orders, exchange.trades = without_it, silent, silent, silent
    await until(lambda: known.missing_ms is not None)
    exchange.open_orders = silent


@pytest.mark.parametrize("way", ["told", "reckoned"])
def test_a_stop_that_one_list_lacked_goes_when_the_take_fills(way):
    """`reckoned`: nothing was known before the fill, as after a restart."""

    async def story():
        async with a_group_world() as world:
            await world.start()
            world.place(an_oco())
            await world.settle(take=OPEN, stop=OPEN)
            await asyncio.sleep(5)
            await lost_from_one_list(world, "stop")
            if way == "reckoned":
                world.desk.group_reconciler._memory["pair"].standing = None
                world.desk.group_reconciler._stand_by = lambda outlook: None
            world.fill("take", "10")
            await asyncio.sleep(1)
            assert "cancel" in world.exchange.calls
            assert world.live() == set()

    scenario(story)()


@scenario
async def test_an_entry_that_one_list_lacked_goes_when_an_exit_fills():
    async with a_group_world() as world:
        await world.start()
        await world.open_position(a_bracket(), "4", "take", "stop")
        await asyncio.sleep(5)
        await lost_from_one_list(world, "entry")
        world.fill("take", "1")
        await asyncio.sleep(1)
        assert world.order("entry").status.ended


@scenario
async def test_a_stop_that_is_gone_already_is_cancelled_at_a_pace_until_it_can_be_read():
    """The cancel finds nothing, and proves nothing: what became of the order is read once that is possible."""
    async with a_group_world() as world:
        await world.start()
        world.place(an_oco())
        await world.settle(take=OPEN, stop=OPEN)
        await asyncio.sleep(5)
        lookup, orders, trades, lists = world.exchange.lookup, world.exchange.orders, world.exchange.trades, world.exchange.open_orders
        await lost_from_one_list(world, "stop")
        world.exchange._cancel(world.order("stop").exchange_order_id)
        world.fill("take", "10")
        await asyncio.sleep(20)
        assert world.exchange.calls.count("cancel") <= 6
        world.exchange.lookup, world.exchange.orders, world.exchange.trades, world.exchange.open_orders = lookup, orders, trades, lists
        await world.finished()
        assert world.condition("Succeeded") == ("True", "Filled")
