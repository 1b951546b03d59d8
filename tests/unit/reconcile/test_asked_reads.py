"""An order that somebody wants read from the exchange now: one lookup, one write, and nothing that would not have happened anyway. In virtual time."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from exchange_kernel.api import OrderState, TradingMode
from exchange_kernel.core.answers import OrderStatus
from tests.builders import a_spec
from tests.scripted import until
from tests.unit.interleavings.stories import finished, open_order, story

CALM = {"resyncSeconds": 3600}      # no sweep of its own tells what is asked for


def lookups(world) -> int:
    return world.exchange.calls.count("lookup")


def written(world) -> list[str]:
    """The UIDs of all statuses that are written from now on."""
    seen, write = [], world.store.write_status

    async def counted(record, status):
        seen.append(record.uid)
        return await write(record, status)

    world.store.write_status = counted
    return seen


def test_what_no_stream_told_is_found_and_one_write_tells_it_with_the_answer():
    async def tell(world):
        order = await open_order(world)
        world.exchange.fill(order, "0.5", tell=False)
        await asyncio.sleep(60)
        asked, writes = lookups(world), written(world)
        world.store.ask("a", "t1")
        await until(lambda: world.status("a").reconciled_token == "t1", within=1)
        assert (world.status("a").state, world.status("a").filled_quantity) == (OrderState.PARTIALLY_FILLED, Decimal("0.5"))
        assert (lookups(world) - asked, writes) == (2, ["a"]), "the one that was asked for, and the one with the trades that explain its fill"

    story(tell, account=CALM)


def test_an_order_of_which_nothing_is_new_is_written_once_and_one_that_nobody_asks_for_never():
    async def tell(world):
        await open_order(world)
        await open_order(world, "b")
        await asyncio.sleep(10)
        asked, writes, sends = lookups(world), written(world), world.exchange.calls.count("submit")
        await asyncio.sleep(60)
        assert writes == []
        world.store.ask("a", "t1")
        await asyncio.sleep(60)
        assert (world.status("a").reconciled_token, writes, lookups(world) - asked) == ("t1", ["a"], 1)
        assert world.exchange.calls.count("submit") == sends

    story(tell, account=CALM)


def test_however_many_ask_the_order_is_read_once_a_second_and_the_last_of_them_is_answered():
    async def tell(world):
        await open_order(world)
        await asyncio.sleep(10)
        asked = lookups(world)
        for number in range(200):
            world.store.ask("a", f"t{number}")
            await asyncio.sleep(0.05)
        await until(lambda: world.status("a").reconciled_token == "t199", within=3)
        assert lookups(world) - asked <= 12

    story(tell, account=CALM)


def test_an_exchange_that_does_not_answer_is_no_answer_and_is_asked_again_once_it_can_be_read():
    async def tell(world):
        order = await open_order(world)
        world.exchange.reachable = False
        world.store.ask("a", "t1")
        await asyncio.sleep(30)
        assert world.status("a").reconciled_token is None
        world.exchange.fill(order, "1", tell=False)
        world.exchange.reachable = True
        await until(lambda: world.status("a").reconciled_token == "t1", within=10)
        assert world.status("a").filled_quantity == 1

    story(tell, account={"resyncSeconds": 5})


@pytest.mark.parametrize(("reason", "account", "spec"), [
    ("it is suspended", {}, {"suspend": True}),
    ("the account sends nothing", {"tradingMode": TradingMode.CANCEL_ONLY}, {}),
    ("it was cancelled before it was sent", {}, {"desiredState": "Canceled"}),
])
def test_asking_sends_nothing(reason, account, spec):
    async def tell(world):
        world.store.create("a", a_spec(**spec))
        await asyncio.sleep(2)
        for number in range(5):
            world.store.ask("a", f"t{number}")
            await asyncio.sleep(3)
        assert world.exchange.calls.count("submit") == 0, reason
        assert world.status("a").reconciled_token == "t4" or world.status("a").completion_time is not None

    story(tell, account={**CALM, **account})


@pytest.mark.proves("rule 9")
def test_a_reading_that_hangs_holds_up_no_cancel():
    async def tell(world):
        order = await open_order(world)
        await asyncio.sleep(10)

        async def never(ref):
            await asyncio.Event().wait()

        world.exchange.lookup = never
        world.store.ask("a", "t1")
        await asyncio.sleep(1)
        world.store.edit("a", a_spec(desiredState="Canceled"))
        await until(lambda: world.exchange.named(order)[0].status is OrderStatus.CANCELED, within=1)

    story(tell, account=CALM)


@pytest.mark.proves("rule 5")
def test_not_finding_an_order_proves_nothing_and_has_it_looked_for_as_ever():
    async def tell(world):
        order = await open_order(world)
        await asyncio.sleep(10)
        world.exchange.visibility_ms = 10 ** 9
        world.store.ask("a", "t1")
        await until(lambda: world.status("a").reconciled_token == "t1", within=5)
        assert world.status("a").completion_time is None
        world.exchange.visibility_ms = 0
        await asyncio.sleep(30)
        assert (world.status("a").state, world.exchange.calls.count("submit")) == (OrderState.OPEN, 1)
        assert world.exchange.named(order)[0].status is OrderStatus.OPEN

    story(tell, account=CALM)


def test_an_answer_is_kept_and_not_given_again_by_who_comes_after():
    async def tell(world):
        order = await open_order(world)
        world.store.ask("a", "t1")
        await until(lambda: world.status("a").reconciled_token == "t1", within=5)
        await world.crash()
        writes = written(world)
        await world.start()
        await asyncio.sleep(10)
        assert writes == []
        asked = lookups(world)
        world.exchange.fill(order, "0.5")
        await until(lambda: world.status("a").filled_quantity == Decimal("0.5"), within=5)
        await asyncio.sleep(10)
        assert (world.status("a").reconciled_token, lookups(world) - asked) == ("t1", 0)

    story(tell, account=CALM)


def test_a_finished_order_has_nothing_to_ask():
    async def tell(world):
        world.exchange.fill(await open_order(world), "1")
        await finished(world)
        asked, writes = lookups(world), written(world)
        world.store.ask("a", "t1")
        await asyncio.sleep(10)
        assert (lookups(world), writes) == (asked, [])

    story(tell, account=CALM)
