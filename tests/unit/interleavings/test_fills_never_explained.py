"""An order ended, and the exchange never lists all of its executions: a person is asked, and a person's word ends it."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from decimal import Decimal

import pytest

from exchange_kernel.api import OrderState
from exchange_kernel.core.answers import OrderStatus
from tests.scripted import World, until
from tests.unit.interleavings.stories import condition, finished, open_order, story, the_id, the_order


def say(world: World, outcome: str, **about: str) -> None:
    world.store.annotate("a", json.dumps({"clientOrderId": the_id(), "outcome": outcome, **about}))


async def filled_and_never_listed(world: World, *, restart: bool = False, after: float = 3600) -> None:
    world.exchange.lost_trades.add("101")
    await open_order(world)
    world.exchange.fill(the_id(), "1", tell=False)
    await asyncio.sleep(after)
    if restart:
        world.kill()
        await world.start()
        await asyncio.sleep(30)


@pytest.mark.proves("rule 8", "rule 11")
@pytest.mark.parametrize("restart", [False, True])
def test_a_filled_order_whose_execution_is_never_listed_asks_for_a_person(restart):
    async def tell(world):
        await filled_and_never_listed(world, restart=restart)
        stalled = condition(world, "Stalled")
        assert (stalled.status, stalled.reason) == ("True", "FillsNotListed")
        assert "kubectl exchange resolve" in stalled.message
        assert (world.status("a").state, world.status("a").completion_time) == (OrderState.FILLED, None)

    story(tell)


def test_five_minutes_are_no_reason_to_ask():
    async def tell(world):
        await filled_and_never_listed(world, after=300)
        assert condition(world, "Stalled").status == "False"
        world.exchange.lost_trades.clear()
        assert (await finished(world)).filled_quantity == 1

    story(tell)


@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize("wish", ["a delete", "nothing"])
def test_my_word_filled_ends_it_and_the_object_goes(wish, restart):
    async def tell(world):
        await filled_and_never_listed(world, restart=restart)
        if wish == "a delete":
            world.store.delete("a")
        say(world, "Filled", filledQuantity="1", averagePrice="50000")
        if wish == "a delete":
            await until(lambda: world.store.get("a") is None, within=300)
        else:
            status = await finished(world, within=300)
            assert (status.state, status.filled_quantity, status.average_price) == (OrderState.FILLED, 1, Decimal(50000))

    story(tell)


@pytest.mark.parametrize(("reason", "outcome", "about"), [
    ("less than the exchange shows", "Filled", {"filledQuantity": "0.9", "averagePrice": "50000"}),
    ("another end than the exchange tells", "Canceled", {"filledQuantity": "1", "averagePrice": "50000"}),
    ("absent", "Absent", {}),
])
def test_a_word_that_the_exchange_contradicts_is_not_taken(reason, outcome, about):
    async def tell(world):
        await filled_and_never_listed(world)
        say(world, outcome, **about)
        await asyncio.sleep(300)
        assert world.status("a").completion_time is None
        assert condition(world, "Stalled").status == "True"

    story(tell)


def test_a_word_said_early_waits_for_the_exchange_first():
    async def tell(world):
        await filled_and_never_listed(world, after=60)
        say(world, "Filled", filledQuantity="1", averagePrice="50000")
        await asyncio.sleep(120)
        assert world.status("a").completion_time is None
        await finished(world, within=900)

    story(tell)


def test_the_execution_is_listed_after_all():
    async def tell(world):
        await filled_and_never_listed(world)
        world.exchange.lost_trades.clear()
        status = await finished(world)
        assert [fill.inferred for fill in status.fills] == [False]
        assert status.state is OrderState.FILLED

    story(tell)


def test_a_cancelled_order_with_a_fill_that_is_never_listed_ends_by_a_word_too():
    async def tell(world):
        world.exchange.lost_trades.add("101")
        await open_order(world)
        world.exchange.fill(the_id(), "0.4", tell=False)
        world.exchange._set(replace(the_order(world), status=OrderStatus.CANCELED, update_time_ms=world.exchange.now_ms()), tell=False)
        await asyncio.sleep(3600)
        assert condition(world, "Stalled").reason == "FillsNotListed"
        say(world, "Canceled", filledQuantity="0.4", averagePrice="50000")
        status = await finished(world, within=300)
        assert (status.state, status.filled_quantity) == (OrderState.CANCELED, Decimal("0.4"))

    story(tell)


def test_readings_that_fail_are_no_reason_to_ask():
    async def tell(world):
        await open_order(world)
        world.exchange.fill(the_id(), "1", tell=False)
        world.exchange.lost_trades.add("101")
        await until(lambda: world.status("a").state is OrderState.FILLED)
        world.exchange.readable = False
        await asyncio.sleep(3600)
        assert condition(world, "Stalled").reason != "FillsNotListed"

    story(tell)
