"""Rule 9: a cancel goes before whatever explains, refreshes or settles, and no reading holds it."""

from __future__ import annotations

import asyncio

import pytest

from exchange_kernel.api import OrderState
from exchange_kernel.core.answers import Unknown
from tests.builders import a_spec
from tests.scripted import World, until
from tests.unit.interleavings.stories import condition, finished, live, open_order, story, the_id, the_order

READINGS = {
    "slow": lambda venue: setattr(venue, "reads_take_s", 1.1),
    "hanging": lambda venue: setattr(venue, "reads_take_s", 30.0),
    "failing": lambda venue: setattr(venue, "readable", False),
}
WISHES = {
    "an edit": lambda world: world.store.edit("a", a_spec(desiredState="Canceled")),
    "a delete": lambda world: world.store.delete("a"),
}


def works_again(world: World) -> None:
    world.exchange.reads_take_s, world.exchange.readable = 0.0, True


async def ends(world: World) -> None:
    """The order is known to be cancelled, or its object went."""
    await until(lambda: world.store.get("a") is None or world.status("a").completion_time is not None, within=90)


@pytest.mark.proves("rule 9")
@pytest.mark.parametrize("wish", WISHES.values(), ids=WISHES)
@pytest.mark.parametrize("reading", READINGS.values(), ids=READINGS)
def test_a_fill_whose_trade_is_not_told_yet_does_not_hold_the_cancel(reading, wish):
    async def tell(world):
        await open_order(world)
        world.exchange.lost_trades.add("101")
        world.exchange.fill(the_id(), "0.4", tell=False)
        await until(lambda: world.status("a").filled_quantity is not None and world.status("a").filled_quantity > 0)
        reading(world.exchange)
        await asyncio.sleep(300)
        wish(world)
        await until(lambda: not live(world), within=1)
        works_again(world)
        world.exchange.lost_trades.clear()
        await ends(world)

    story(tell)


@pytest.mark.proves("rule 9")
@pytest.mark.parametrize("wish", WISHES.values(), ids=WISHES)
@pytest.mark.parametrize("reading", READINGS.values(), ids=READINGS)
def test_a_restart_while_readings_fail_does_not_hold_the_cancel(reading, wish):
    async def tell(world):
        await open_order(world)
        world.kill()
        reading(world.exchange)
        world.boot()
        await asyncio.sleep(7)
        wish(world)
        await until(lambda: not live(world), within=10)
        works_again(world)
        await ends(world)

    story(tell)


@pytest.mark.proves("rule 9")
@pytest.mark.parametrize("reading", READINGS.values(), ids=READINGS)
def test_an_order_that_was_never_recorded_is_cancelled_though_no_reading_finds_it(reading):
    """Sent first, and the process died before it wrote: the id is known by itself."""

    async def tell(world):
        world.exchange.accepted = world.kill
        world.store.create("a", a_spec())
        await until(lambda: world.desk is None)
        world.exchange.accepted = lambda: None
        reading(world.exchange)
        world.store.delete("a")
        world.boot()
        await until(lambda: not live(world), within=30)
        works_again(world)
        await ends(world)

    story(tell)


def test_a_cancel_of_what_may_exist_proves_nothing():
    """It answers "unknown order" while the send is still on its way: the order is found afterwards, and cancelled then."""

    async def tell(world):
        world.exchange.flight_s = 2.5
        world.exchange.reply = lambda order: Unknown("garbage")
        world.store.create("a", a_spec())
        await asyncio.sleep(0.1)
        world.store.edit("a", a_spec(desiredState="Canceled"))
        await ends(world)
        assert not live(world)
        assert the_order(world).status == "Canceled"
        assert world.status("a").state is OrderState.CANCELED

    story(tell)


def test_an_order_that_one_list_did_not_have_is_cancelled_though_it_cannot_be_looked_up():
    async def tell(world):
        await open_order(world)
        world.exchange.unlisted.add(the_order(world).exchange_order_id)
        world.exchange.lookup = unanswered
        await asyncio.sleep(30)
        world.store.edit("a", a_spec(desiredState="Canceled"))
        await until(lambda: not live(world), within=1)

    async def unanswered(ref):
        await asyncio.sleep(3600)

    story(tell)


@pytest.mark.proves("rule 8")
def test_a_fill_is_told_though_the_reading_of_its_trade_hangs():
    async def tell(world):
        await open_order(world)
        world.exchange.trades = unanswered
        world.exchange.fill(the_id(), "0.4", tell=False)
        await until(lambda: (world.status("a").filled_quantity or 0) > 0, within=10)
        assert world.status("a").fills[0].inferred

    async def unanswered(symbol, **about):
        await asyncio.sleep(3600)

    story(tell)


def test_a_trade_that_is_never_told_is_asked_for_ever_more_rarely():
    async def tell(world):
        await open_order(world)
        world.exchange.lost_trades.add("101")
        world.exchange.fill(the_id(), "0.4", tell=False)
        await asyncio.sleep(600)
        world.exchange.calls.clear()
        await asyncio.sleep(600)
        assert world.exchange.calls.count("lookup") < 60
        assert condition(world, "Ready").status == "True"
        world.exchange.lost_trades.clear()
        await until(lambda: not any(fill.inferred for fill in world.status("a").fills), within=60)
        world.exchange.fill(the_id(), "0.6")
        assert (await finished(world)).state is OrderState.FILLED

    story(tell)
