"""A member's order that somebody called Absent, and that is at the exchange after all."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal

import pytest

from exchange_kernel.core.answers import Unknown
from tests.scripted import until
from tests.unit.groups.desk import VENUE, a_bracket, a_group, a_group_world, a_member
from tests.virtual_time import scenario


@asynccontextmanager
async def one_lost(member: str, spec):
    """The group's member was sent and its answer lost, at a venue that proves no absence; its owner called it Absent, and the next order is open."""
    async with a_group_world() as world:
        world.exchange.capabilities = replace(VENUE, request_window_ms=0)
        submit = world.exchange.submit

        async def losing(request, clearance):
            outcome = await submit(request, clearance)
            record = world.intent(member)
            if record is None or request.client_order_id not in {attempt.client_order_id for attempt in record.attempts}:
                return outcome
            world.exchange.forgotten.add(world.exchange.named(request.client_order_id)[-1].exchange_order_id)
            return Unknown("no answer")

        world.exchange.submit = losing
        await world.start()
        world.place(spec)
        await world.settle(**{member: "Unknown"})
        world.exchange.submit = submit
        await asyncio.sleep(30)
        record = world.intent(member)
        world.store.annotate(record.uid, json.dumps({"clientOrderId": record.status.client_order_id, "outcome": "Absent"}))
        await world.settle(**{member: "Open"})
        yield world


@pytest.mark.parametrize("restart", [False, True])
@scenario
async def test_the_order_of_a_basket_appears_and_only_the_next_one_stays(restart):
    async with one_lost("one", a_group("Basket", a_member("one"), a_member("two"))) as world:
        if restart:
            world.kill()
            await world.start()
        world.exchange.forgotten.clear()
        await until(lambda: sum(not order.status.ended for order in world.exchange.orders_by_id.values()) == 2, within=120)
        assert world.live() == {"one", "two"}
        world.fill("one", "10")
        world.fill("two", "10")
        await world.finished()
        assert world.condition("Succeeded") == ("True", "Filled")


@scenario
async def test_the_entry_of_a_bracket_appears_filled_and_the_exits_are_as_large_as_what_it_bought():
    async with one_lost("entry", a_bracket()) as world:
        first = min(world.exchange.forgotten)
        world.exchange.fill(world.exchange.orders_by_id[first].client_order_id, "10", tell=False)
        world.exchange.forgotten.clear()
        await until(lambda: world.state("entry") == "Filled", within=120)  # it is asked for once a minute, and in no list of open orders
        await world.settle(entry="Filled", take="Open", stop="Open")
        assert world.intent("entry").status.filled_quantity == Decimal(10)
        assert {world.order("take").quantity, world.order("stop").quantity} == {Decimal(10)}
        assert world.live() == {"take", "stop"}
