"""A group whose status was wiped, restored older or written by hand: it makes nothing again, and ends only with its members."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from exchange_kernel.api import OrderGroupStatus, OrderState
from tests.scripted import until
from tests.unit.groups.desk import a_bracket, a_group_world, an_oco
from tests.virtual_time import scenario

OPEN = "Open"
RESTS_WITHIN_S = 30.0
WIPED = OrderGroupStatus()


def write_status(world, status: OrderGroupStatus) -> None:
    """As `kubectl replace --subresource=status` does, or a backup tool."""
    group = world.group()
    world.groups._put(replace(group, status=status, resource_version=world.groups._next()))


# ── A bracket's life, stage by stage ────────────────────────────────────────────────────────────────────────────────────────────────────────

async def placed(world):
    world.place(a_bracket())
    await world.settle(entry=OPEN)


async def a_part(world):
    world.fill("entry", "4")
    await world.settle(take=OPEN, stop=OPEN)


async def all_of_it(world):
    world.fill("entry", "6")
    await until(lambda: world.state("entry") == "Filled" and world.order("stop").quantity == 10)


async def some_taken(world):
    world.fill("take", "3")
    await until(lambda: world.live() == {"take", "stop"} and world.order("stop").quantity == 7)


async def closed(world):
    world.fill("take", "7")
    await world.finished()


STAGES = (placed, a_part, all_of_it, some_taken, closed)
CASES = [
    pytest.param(stage, back, restarts, id=f"{'wiped' if back is None else f'{back} stages earlier'} when {STAGES[stage].__name__}{', down meanwhile' if restarts else ''}")
    for stage in range(len(STAGES)) for back in (None, 1, 2) if back is None or stage >= back for restarts in (False, True)
]


@pytest.mark.parametrize(("stage", "back", "restarts"), CASES)
def test_a_bracket_whose_status_is_set_back_makes_nothing_again_and_ends_as_it_would_have(stage, back, restarts):
    async def story():
        async with a_group_world() as world:
            await world.start()
            taken: list[OrderGroupStatus] = []
            for one in STAGES[: stage + 1]:
                await one(world)
                await asyncio.sleep(RESTS_WITHIN_S)
                taken.append(world.group().status)
            orders, live = dict(world.exchange.orders_by_id), world.live()
            if restarts:
                world.kill()
            write_status(world, WIPED if back is None else taken[stage - back])
            if restarts:
                await world.start()
            await asyncio.sleep(RESTS_WITHIN_S)
            assert set(world.exchange.orders_by_id) == set(orders)
            assert world.live() == live
            assert world.group().finished is (not live)
            for one in STAGES[stage + 1:]:
                await one(world)
            await world.finished()
            judge(world)

    scenario(story)()


def judge(world) -> None:
    assert world.condition("Succeeded") == ("True", "Closed")
    assert not world.live()
    assert set(Counter(order.client_order_id for order in world.exchange.orders_by_id.values()).values()) == {1}
    assert {member.name: member.filled_quantity for member in world.group().status.members} == {"entry": 10, "take": 10, "stop": 0}
    assert {member.name: member.uid for member in world.group().status.members} == {name: world.intent(name).uid for name in ("entry", "take", "stop")}


# ── Members whose objects are gone ──────────────────────────────────────────────────────────────────────────────────────────────────────────

GONE = [pytest.param(back, restarts, id=f"{back}{', down meanwhile' if restarts else ''}") for back in ("wiped", "earlier") for restarts in (False, True)]


@pytest.mark.parametrize(("back", "restarts"), GONE)
def test_a_finished_group_without_its_members_places_nothing_again(back, restarts):
    """Somebody tidied the finished OrderIntents away, and then the group's status was set back."""

    async def story():
        async with a_group_world() as world:
            await world.start()
            world.place(an_oco())
            await world.settle(take=OPEN, stop=OPEN)
            await asyncio.sleep(RESTS_WITHIN_S)
            earlier = world.group().status
            world.fill("take", "10")
            await world.finished()
            for name in ("take", "stop"):
                world.store.delete(world.intent(name).uid)
            await until(lambda: world.intent("take") is None and world.intent("stop") is None)
            if restarts:
                world.kill()
            write_status(world, WIPED if back == "wiped" else earlier)
            if restarts:
                await world.start()
            await asyncio.sleep(120)
            assert len(world.exchange.orders_by_id) == 2
            assert not world.live()
            assert world.group().finished

    scenario(story)()


@pytest.mark.parametrize(("back", "restarts"), GONE)
def test_an_exit_that_closed_the_position_and_is_gone_does_not_sell_twice(back, restarts):
    async def story():
        async with a_group_world() as world:
            await world.start()
            world.place(a_bracket())
            await world.settle(entry=OPEN)
            await asyncio.sleep(RESTS_WITHIN_S)
            earlier = world.group().status
            world.fill("entry", "10")
            await world.settle(take=OPEN, stop=OPEN)
            world.fill("stop", "4")
            await until(lambda: world.order("take").quantity == 6)
            world.exchange._cancel(world.order("stop").exchange_order_id)
            await world.settle(stop="Canceled")
            await until(lambda: world.intent("stop").finished)
            world.store.delete(world.intent("stop").uid)
            await until(lambda: world.intent("stop") is None)
            if restarts:
                world.kill()
            write_status(world, WIPED if back == "wiped" else earlier)
            if restarts:
                await world.start()
            await asyncio.sleep(120)
            sold = [order for order in world.exchange.orders_by_id.values() if order.side == "Sell"]
            assert sum(order.filled_quantity for order in sold) + sum(order.quantity - order.filled_quantity for order in sold if not order.status.ended) == 10
            assert world.live() == {"take"}

    scenario(story)()


# ── A hand ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

def by_hand(status: OrderGroupStatus) -> list[OrderGroupStatus]:
    """What a person might write, believing that it helps."""
    ended = [member.model_copy(update={"finished": True, "state": OrderState.CANCELED}) for member in status.members]
    return [
        status.model_copy(update={"completion_time": datetime(2027, 1, 15, 8, tzinfo=UTC)}),
        status.model_copy(update={"completion_time": datetime(2027, 1, 15, 8, tzinfo=UTC), "members": ended}),
        status.model_copy(update={"members": ended}),
        status.model_copy(update={"members": [member.model_copy(update={"uid": "another"}) for member in status.members]}),
        status.model_copy(update={"members": [], "observed_generation": 1}),
        status.model_copy(update={"members": [member.model_copy(update={"gone": True}) for member in status.members]}),
        status.model_copy(update={"native": True}),
    ]


HANDS = ("an end", "an end of all", "members that ended", "members of other UIDs", "no members", "members that are gone", "a list of the exchange's")


@pytest.mark.parametrize("restarts", [False, True], ids=["", "down meanwhile"])
@pytest.mark.parametrize("hand", range(len(HANDS)), ids=HANDS)
def test_what_a_hand_wrote_into_its_status_ends_no_group_whose_members_live(hand, restarts):
    async def story():
        async with a_group_world() as world:
            await world.start()
            await placed(world)
            await a_part(world)
            await asyncio.sleep(RESTS_WITHIN_S)
            uids = {name: world.intent(name).uid for name in ("entry", "take", "stop")}
            if restarts:
                world.kill()
            write_status(world, by_hand(world.group().status)[hand])
            if restarts:
                await world.start()
            await asyncio.sleep(RESTS_WITHIN_S)
            assert not world.group().finished
            assert world.live() == {"entry", "take", "stop"}
            assert {member.name: (member.uid, member.gone, member.finished) for member in world.group().status.members} == {name: (uid, False, False) for name, uid in uids.items()}
            await all_of_it(world)
            await some_taken(world)
            await closed(world)
            judge(world)

    scenario(story)()
