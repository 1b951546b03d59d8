"""An order that is given up by the operator's clock: timeLimitSeconds, and GTD where the exchange has none. Told in virtual time."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from exchange_kernel.api import OrderState
from exchange_kernel.core.answers import OrderStatus, Unknown
from tests.builders import a_spec, a_venue
from tests.scripted import World, until
from tests.virtual_time import scenario

SIX_MINUTES_MS = 360_000


async def a_desk(**venue) -> World:
    world = World()
    world.exchange.capabilities = a_venue(**venue)
    await world.start()
    return world


def after(world, seconds: float) -> str:
    now = datetime.fromtimestamp(world.exchange.now_ms() / 1000, UTC) + timedelta(seconds=seconds)
    return now.isoformat().replace("+00:00", "Z")


def the_end(world) -> tuple[OrderState, str]:
    return world.status("a").state, next(one.reason for one in world.status("a").conditions if one.type == "Finished")


async def opened(world, **spec) -> None:
    world.store.create("a", a_spec(**spec))
    await until(lambda: world.status("a").state is OrderState.OPEN)


async def ended(world, within: float = 60.0) -> None:
    await until(lambda: world.status("a").completion_time is not None, within)


# ── timeLimitSeconds ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

@scenario
async def test_an_order_that_nobody_fills_is_cancelled_when_its_time_is_up():
    world = await a_desk()
    await opened(world, timeLimitSeconds=90)
    await asyncio.sleep(85)
    assert "cancel" not in world.exchange.calls
    await ended(world, within=30)
    assert (the_end(world), world.exchange.calls.count("cancel")) == ((OrderState.CANCELED, "TimeLimit"), 1)
    await world.desk.stop()


@scenario
async def test_an_order_that_fills_in_time_is_not_touched():
    world = await a_desk()
    await opened(world, quantity="0.5", timeLimitSeconds=60)
    world.exchange.fill(world.status("a").client_order_id, "0.5")
    await ended(world)
    await asyncio.sleep(120)
    assert (the_end(world), world.exchange.calls.count("cancel")) == ((OrderState.FILLED, "Filled"), 0)
    await world.desk.stop()


@pytest.mark.parametrize("down_s", [10, 300])
@scenario
async def test_the_time_counts_from_the_first_send_whatever_restarts_in_between(down_s):
    """A time that comes while the operator is down is made up for as soon as it is back."""
    world = await a_desk()
    await opened(world, timeLimitSeconds=120)
    sent = world.exchange.now_ms()
    await asyncio.sleep(60)
    await world.crash()
    await asyncio.sleep(down_s)
    await world.start()
    await ended(world, within=90)
    late_s = (world.exchange.now_ms() - sent) / 1000 - max(120, 60 + down_s)
    assert (the_end(world), late_s < 20) == ((OrderState.CANCELED, "TimeLimit"), True)
    await world.desk.stop()


@scenario
async def test_the_time_of_an_order_goes_on_while_it_is_suspended():
    world = await a_desk()
    await opened(world, quantity="0.5", timeLimitSeconds=60)
    world.store.edit("a", world.store.get("a").spec.model_copy(update={"suspend": True}))
    await ended(world, within=90)
    assert the_end(world) == (OrderState.CANCELED, "TimeLimit")
    await world.desk.stop()


@pytest.mark.parametrize(("fill", "end"), [("0.2", (OrderState.CANCELED, "TimeLimit")), ("0.5", (OrderState.FILLED, "Filled"))], ids=["a part", "the whole"])
@scenario
async def test_a_fill_on_its_way_when_the_time_is_up_counts(fill, end):
    world = await a_desk()
    world.exchange.late_fill = fill
    await opened(world, quantity="0.5", timeLimitSeconds=60)
    await ended(world, within=120)
    assert (the_end(world), world.status("a").filled_quantity) == (end, Decimal(fill))
    await world.desk.stop()


@scenario
async def test_a_cancel_whose_answer_is_lost_ends_by_what_the_exchange_shows():
    world = await a_desk()
    take, lost = world.exchange.cancel, []

    async def cancel(ref, clearance):
        answer = await take(ref, clearance)
        lost.append(answer)
        return Unknown("silent") if len(lost) == 1 else answer

    world.exchange.cancel = cancel
    await opened(world, quantity="0.5", timeLimitSeconds=60)
    await ended(world, within=120)
    assert (the_end(world), bool(lost)) == ((OrderState.CANCELED, "TimeLimit"), True)
    await world.desk.stop()


@scenario
async def test_an_edit_does_not_start_the_time_anew():
    """A replaced order is the same intent: its time runs from the first send."""
    world = await a_desk()
    await opened(world, timeLimitSeconds=120)
    sent = world.exchange.now_ms()
    await asyncio.sleep(100)
    world.store.edit("a", world.store.get("a").spec.model_copy(update={"price": Decimal("41000")}))
    await ended(world, within=60)
    assert (the_end(world), world.exchange.now_ms() - sent < 150_000) == ((OrderState.CANCELED, "TimeLimit"), True)
    await world.desk.stop()


# ── GTD where the exchange has none ─────────────────────────────────────────────────────────────────────────────────────────────────────────

@scenario
async def test_gtd_is_kept_by_the_operator_where_the_exchange_has_none():
    world = await a_desk()
    await opened(world, timeInForce="GTD", expireTime=after(world, 60))
    await asyncio.sleep(55)
    assert "cancel" not in world.exchange.calls
    await ended(world, within=60)
    assert (the_end(world), world.exchange.calls.count("cancel")) == ((OrderState.EXPIRED, "ExpiredByOperator"), 1)
    await world.desk.stop()


@scenario
async def test_gtd_is_sent_as_gtc_there_and_so_is_what_replaces_it():
    world = await a_desk()
    asked, submit = [], world.exchange.submit

    async def heard(request, clearance):
        asked.append((request.time_in_force, request.expire_time_ms))
        return await submit(request, clearance)

    world.exchange.submit = heard
    await opened(world, timeInForce="GTD", expireTime=after(world, 3600))
    world.store.edit("a", world.store.get("a").spec.model_copy(update={"price": Decimal("41000")}))
    await until(lambda: len(asked) == 2 and world.status("a").state is OrderState.OPEN)
    assert asked == [("GTC", None)] * 2
    await world.desk.stop()


@scenario
async def test_an_operator_that_is_down_at_expire_time_cancels_when_it_is_back():
    world = await a_desk()
    await opened(world, timeInForce="GTD", expireTime=after(world, 60))
    await world.crash()
    await asyncio.sleep(600)
    await world.start()
    await ended(world, within=90)
    assert the_end(world) == (OrderState.EXPIRED, "ExpiredByOperator")
    await world.desk.stop()


@scenario
async def test_gtd_that_passed_before_the_send_is_denied_there_too():
    world = await a_desk()
    world.store.create("a", a_spec(timeInForce="GTD", expireTime=after(world, -1)))
    await until(lambda: world.status("a").state is OrderState.DENIED)
    assert (the_end(world)[1], world.exchange.orders_by_id) == ("ExpireTimePassed", {})
    await world.desk.stop()


@scenario
async def test_an_exchange_that_has_gtd_ends_the_order_itself():
    world = await a_desk(times_in_force=frozenset({"GTC", "GTD"}))
    await opened(world, timeInForce="GTD", expireTime=after(world, 60))
    await asyncio.sleep(75)
    assert "cancel" not in world.exchange.calls
    order = next(iter(world.exchange.orders_by_id.values()))
    world.exchange._set(replace(order, status=OrderStatus.EXPIRED, update_time_ms=world.exchange.now_ms()))
    await ended(world)
    assert the_end(world) == (OrderState.EXPIRED, "Expired")
    await world.desk.stop()


@pytest.mark.parametrize("off_ms", [SIX_MINUTES_MS, -SIX_MINUTES_MS])
@scenario
async def test_the_time_is_the_exchange_s_whatever_clock_the_operator_s_machine_has(off_ms):
    world = World()
    world.exchange.clock_jump_ms = off_ms
    await world.start()
    await opened(world, quantity="0.5", timeLimitSeconds=60)
    await asyncio.sleep(50)
    assert "cancel" not in world.exchange.calls
    await ended(world, within=60)
    assert the_end(world) == (OrderState.CANCELED, "TimeLimit")
    await world.desk.stop()
