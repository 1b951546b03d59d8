"""A fill's cancel of another member, reckoned before the fill: whose, from how much on, and that nothing is reckoned on its way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest

from exchange_kernel.api import OrderGroupSpec
from exchange_kernel.core.answers import CancelOutcome, Unknown
from exchange_kernel.reconcile.order_group import CANCELS_FIRST_S
from tests.unit.groups.desk import a_bracket, a_group, a_group_world, a_member, an_oco
from tests.virtual_time import scenario

OPEN, FILLED, PART = "Open", "Filled", "PartiallyFilled"


@dataclass(frozen=True)
class Case:
    reason: str
    spec: OrderGroupSpec
    entry: str | None   # how much of it fills first
    fills: tuple[str, str]
    goes: str
    at_once: bool


CASES = [
    Case("an OCO's leg is cancelled by the other's first fill", an_oco(), None, ("take", "1"), "stop", True),
    Case("it holds both ways", an_oco(), None, ("stop", "10"), "take", True),
    Case("where a part makes the other smaller, only a whole fill cancels it", an_oco(onPartialFill="Reduce"), None, ("take", "10"), "stop", True),
    Case("an exit's fill, all of the position, cancels the other exit", a_bracket(), "10", ("take", "10"), "stop", True),
    Case("an exit's first fill cancels what is left of the Entry", a_bracket(), "4", ("take", "1"), "entry", True),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.reason)
@scenario
async def test_a_fills_cancel_waits_for_no_reckoning(case: Case):
    async with a_group_at_rest(case) as world:
        cancelled = watched(world)
        world.fill(*case.fills)
        await asyncio.sleep(0.1)
        assert cancelled.get(case.goes) is case.at_once


@scenario
async def test_a_part_that_only_makes_the_other_smaller_cancels_nothing():
    async with a_group_world() as world:
        await world.start()
        world.place(an_oco(onPartialFill="Reduce"))
        await world.settle(take=OPEN, stop=OPEN)
        await asyncio.sleep(1)
        world.fill("take", "4")
        await world.settle(take=PART)
        await asyncio.sleep(1)
        assert world.live() == {"take", "stop"}
        assert world.order("stop").quantity == Decimal(6)


@scenario
async def test_a_basket_has_none():
    async with a_group_world() as world:
        await world.start()
        world.place(a_group("Basket", a_member("one"), a_member("other")))
        await world.settle(one=OPEN, other=OPEN)
        await asyncio.sleep(1)
        world.fill("one", "10")
        await world.settle(one=FILLED)
        await asyncio.sleep(1)
        assert world.live() == {"other"}


@scenario
async def test_what_was_reckoned_of_another_spec_is_not_acted_on():
    """Edited, and filled before the group came to look at it: what spec says by then is what counts."""
    async with a_group_world() as world:
        await world.start()
        world.place(an_oco())
        await world.settle(take=OPEN, stop=OPEN)
        await asyncio.sleep(1)
        world.desk.groups.wake = lambda uid: None
        world.groups.edit("pair", an_oco(onPartialFill="Reduce"))
        world.fill("take", "4")
        await world.settle(take=PART)
        await asyncio.sleep(1)
        assert world.live() == {"take", "stop"}


@scenario
async def test_a_fills_cancel_takes_no_turn_of_its_own_and_a_turn_follows_it():
    async with a_group_at_rest(CASES[0]) as world:
        told = turns(world, answer=Unknown("No answer."))
        world.fill("take", "10")
        await asyncio.sleep(CANCELS_FIRST_S / 2)
        assert told[:2] == ["cancel stop", "reconcile stop"]


@scenario
async def test_a_fills_cancel_waits_for_whoever_is_at_its_order():
    async with a_group_at_rest(CASES[0]) as world:
        at_it = asyncio.Event()
        told = turns(world, before=lambda name: at_it.wait() if name == "stop" else asyncio.sleep(0))
        world.desk.intents.wake(world.intent("stop").uid)
        world.fill("take", "10")
        await asyncio.sleep(1)
        assert "cancel stop" not in told
        at_it.set()
        await world.settle(take=FILLED, stop="Canceled")
        assert told.count("cancel stop") == 1


def turns(world: Any, before: Callable[[str], Awaitable[Any]] = lambda name: asyncio.sleep(0), answer: CancelOutcome | None = None) -> list[str]:
    """What is done of the group's orders from now on, in its order: reconcile calls, each after `before`, and cancels, with an `answer` for the exchange's."""
    told: list[str] = []
    intents, names = world.desk.intent_reconciler, {world.intent(name).uid: name for name in ("take", "stop")}
    reconcile, cancel = intents.reconcile, world.exchange.cancel
    ids = {world.intent(name).status.client_order_id: name for name in names.values()}

    async def reconciles(uid: str) -> None:
        await before(names[uid])
        told.append(f"reconcile {names[uid]}")
        await reconcile(uid)

    async def cancels(ref: Any, clearance: Any) -> Any:
        told.append(f"cancel {ids[ref.client_order_id]}")
        return answer or await cancel(ref, clearance)

    intents.reconcile, world.exchange.cancel = reconciles, cancels
    return told


@asynccontextmanager
async def a_group_at_rest(case: Case) -> AsyncIterator[Any]:
    async with a_group_world() as world:
        await world.start()
        world.place(case.spec)
        if case.entry is None:
            await world.settle(take=OPEN, stop=OPEN)
        else:
            await world.settle(entry=OPEN)
            world.fill("entry", case.entry)
            await world.settle(entry=FILLED if case.entry == "10" else PART, take=OPEN, stop=OPEN)
        await asyncio.sleep(5)
        yield world


def watched(world: Any) -> dict[str, bool]:
    """By member whose cancel was asked: whether nothing of its group had been reckoned for it since."""
    reckoned: set[str] = set()
    cancelled: dict[str, bool] = {}
    intents = world.desk.intent_reconciler
    membership, cancel = intents._membership, world.exchange.cancel
    members = {world.intent(name).status.client_order_id: (name, world.intent(name).uid) for name in ("entry", "take", "stop") if world.intent(name) is not None}

    def reckons(record: Any, session: Any) -> Any:
        reckoned.add(record.uid)
        return membership(record, session)

    async def cancels(ref: Any, clearance: Any) -> Any:
        name, uid = members[ref.client_order_id]
        cancelled[name] = uid not in reckoned
        return await cancel(ref, clearance)

    intents._membership, world.exchange.cancel = reckons, cancels
    return cancelled
