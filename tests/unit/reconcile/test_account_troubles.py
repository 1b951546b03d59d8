"""What an account says while its exchange can't be used, and how often it asks: told in virtual time."""

from __future__ import annotations

import asyncio

import pytest

from exchange_kernel.core.answers import Unreachable
from tests.scripted import a_world, until
from tests.virtual_time import run


def story(tell):
    async def whole():
        async with a_world() as world:
            await tell(world)

    run(whole())


def condition(world, kind: str):
    status = world.accounts.record.status
    return next((condition for condition in status.conditions if condition.type == kind), None)


def silenced(world, answer: Unreachable) -> list[float]:
    """The exchange gives its time to nobody; when it was asked."""
    asked: list[float] = []

    async def clock():
        asked.append(asyncio.get_running_loop().time())
        return answer

    world.exchange.clock = clock
    return asked


@pytest.mark.parametrize(("answer", "reason", "words", "why"), [
    (Unreachable("no connection could be made"), "Unreachable", "Check spec.endpoint", "nobody is there"),
    (Unreachable("the venue answered with HTTP 503", answered=True), "Unavailable", "HTTP 503", "somebody is, and does not serve"),
    (Unreachable("the venue asked", 120.0, answered=True), "StayAway", "stay away", "it said how long"),
], ids=["Unreachable", "Unavailable", "StayAway"])
def test_an_exchange_that_can_not_be_used_is_told_by_what_is_to_be_done(answer, reason, words, why):
    async def tell(world):
        silenced(world, answer)
        world.boot()
        await until(lambda: condition(world, "Connected") is not None and condition(world, "Connected").reason == reason)
        assert condition(world, "Ready").reason == reason
        assert words in condition(world, "Ready").message, why

    story(tell)


@pytest.mark.parametrize(("answer", "times"), [
    (Unreachable("no connection could be made"), range(8, 12)), (Unreachable("the venue asked", 120.0, answered=True), range(1, 2)),
], ids=["without a word", "with a Retry-After"])
def test_it_is_asked_more_and_more_seldom_and_not_at_all_while_it_wants_to_be_left_alone(answer, times):
    async def tell(world):
        asked = silenced(world, answer)
        world.boot()
        await asyncio.sleep(70)
        assert len(asked) in times

    story(tell)


def test_a_clock_that_is_off_is_told_and_orders_go_on_and_what_it_does_later_too():
    async def tell(world):
        world.exchange.clock_jump_ms = 3_600_000
        await world.start()
        said = condition(world, "ClockSynced")
        assert (said.status, said.reason) == ("False", "Offset")
        assert "3600 seconds ahead of the operator's" in said.message
        assert condition(world, "Ready").status == "True"
        world.exchange.clock_jump_ms = 0
        await until(lambda: condition(world, "ClockSynced").status == "True" and condition(world, "Ready").status == "True")

    story(tell)
