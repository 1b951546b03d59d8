"""Lives that an attacker of the finished protocol played: each broke an end, a cancel or a change before it was kept here."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from decimal import Decimal

import pytest

from exchange_kernel.api import OrderState
from exchange_kernel.core.answers import Refused, Unreachable
from exchange_kernel.reconcile.readings import Readings
from tests.builders import a_spec
from tests.scripted import World, until
from tests.unit.interleavings.stories import condition, finished, live, open_order, story, the_id
from tests.virtual_time import run

# ── Forgotten attempts ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def replaced_and_restarted_after_the_exchange_forgot_the_first(world: World) -> None:
    await open_order(world)
    world.store.edit("a", a_spec(price="49000"))
    await until(lambda: [order.price for order in live(world)] == [Decimal(49000)] and world.status("a").state is OrderState.OPEN)
    await asyncio.sleep(10)
    world.kill()
    world.exchange.forgotten.update(order.exchange_order_id for order in world.exchange.named(the_id()))
    await world.start()
    await asyncio.sleep(20)


@pytest.mark.proves("rule 10", "rule 11")
def test_i_reprice_a_week_later_when_the_exchange_has_forgotten_the_order_before_and_a_restart_was_between():
    async def tell(world):
        await replaced_and_restarted_after_the_exchange_forgot_the_first(world)
        world.store.edit("a", a_spec(price="48000"))
        await until(lambda: [order.price for order in live(world)] == [Decimal(48000)], within=60)

    story(tell)


@pytest.mark.proves("rule 11")
@pytest.mark.parametrize("wish", ["a cancel", "a delete", "a fill"])
def test_my_order_ends_a_week_later_though_the_exchange_has_forgotten_the_one_before_it(wish):
    async def tell(world):
        await replaced_and_restarted_after_the_exchange_forgot_the_first(world)
        if wish == "a cancel":
            world.store.edit("a", a_spec(price="49000", desiredState="Canceled"))
        elif wish == "a delete":
            world.store.delete("a")
        else:
            world.exchange.fill(the_id(2), "1")
        await until(lambda: world.store.get("a") is None or world.status("a").completion_time is not None, within=60)
        assert not live(world)

    story(tell)


def test_the_market_of_an_order_that_i_repriced_once_is_gone_and_my_word_ends_it():
    async def tell(world):
        await open_order(world)
        world.store.edit("a", a_spec(price="49000"))
        await until(lambda: [order.price for order in live(world)] == [Decimal(49000)] and world.status("a").state is OrderState.OPEN)
        world.kill()

        async def unanswered(ref):
            return Unreachable("The market is not known.")

        async def no_markets(*, reload=False):
            return {}

        world.exchange.unlisted.update(world.exchange.orders_by_id)
        world.exchange.lookup, world.exchange.markets = unanswered, no_markets
        await world.start()
        world.store.delete("a")
        await until(lambda: world.status("a").state is OrderState.UNKNOWN, within=60)
        resolve(world, the_id(2), "Expired")
        await until(lambda: world.store.get("a") is None, within=60)

    story(tell)


# ── Readings ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

def test_a_session_that_closes_in_the_instant_in_which_a_reading_begins_leaves_no_order_unread_for_ever():
    async def tell():
        readings, ended = Readings(), []

        async def read() -> None:
            await asyncio.sleep(1)

        readings.begin("order", read, lambda: ended.append("cut off"))
        readings.close()
        await asyncio.sleep(1)
        readings.begin("order", read, lambda: ended.append("read"))
        await asyncio.sleep(2)
        assert ended == ["cut off", "read"]
        assert not readings.under_way

    run(tell())


MANY = 100


async def many_open_orders_and_a_restart(world: World, *, forgotten: bool = False) -> list[str]:
    uids = [f"order-{number}" for number in range(MANY)]
    for uid in uids:
        world.store.create(uid, a_spec())
    await until(lambda: all(world.status(uid).state is OrderState.OPEN for uid in uids))
    world.kill()
    if forgotten:
        world.exchange.orders_by_id.clear()
    world.exchange.reads_take_s = 0.2
    await world.start()
    await asyncio.sleep(10)
    return uids


def test_a_hundred_orders_that_are_cancelled_at_once_after_a_restart_end_within_half_a_minute():
    async def tell(world):
        uids = await many_open_orders_and_a_restart(world)
        for uid in uids:
            world.store.edit(uid, a_spec(desiredState="Canceled"))
        await until(lambda: all(world.status(uid).completion_time is not None for uid in uids), within=30)

    story(tell)


def test_a_hundred_orders_that_the_exchange_forgot_are_said_to_be_unknown_within_half_a_minute():
    async def tell(world):
        uids = await many_open_orders_and_a_restart(world, forgotten=True)
        await until(lambda: all(world.status(uid).state is OrderState.UNKNOWN for uid in uids), within=30)

    story(tell)


def test_a_cancel_that_the_exchange_refuses_for_an_hour_is_not_written_about_again_and_again():
    async def tell(world):
        await open_order(world)

        async def refuse(ref, clearance):
            await world.exchange.cleared(clearance)
            return Refused("-1", "not now")

        world.exchange.cancel = refuse
        world.store.edit("a", a_spec(desiredState="Canceled"))
        await asyncio.sleep(60)
        before = world.store.get("a").resource_version
        await asyncio.sleep(3600)
        assert condition(world, "Ready").reason == "CancelRefused"
        assert world.store.get("a").resource_version == before

    story(tell)


# ── A person's word ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

def resolve(world: World, client_order_id: str, outcome: str, **about: str) -> None:
    world.store.annotate("a", json.dumps({"clientOrderId": client_order_id, "outcome": outcome, **about}))


def test_a_word_on_the_attempt_after_the_last_neither_cancels_nor_fills_an_order_that_is_open():
    async def tell(world):
        await open_order(world)
        await asyncio.sleep(20)
        resolve(world, the_id(2), "Filled", filledQuantity="1", averagePrice="5")
        await asyncio.sleep(60)
        assert (world.status("a").state, world.status("a").filled_quantity) == (OrderState.OPEN, 0)
        assert len(live(world)) == 1

    story(tell)


@pytest.mark.parametrize("deadline", [None, 5])
def test_a_forgotten_order_that_was_filled_in_part_is_not_sent_again_nor_denied_because_somebody_says_it_never_arrived(deadline):
    async def tell(world):
        await open_order(world, submitDeadlineSeconds=deadline)
        world.exchange.fill(the_id(), "0.4")
        await asyncio.sleep(20)
        world.exchange.orders_by_id.clear()
        await until(lambda: world.status("a").state is OrderState.UNKNOWN, within=60)
        resolve(world, the_id(), "Absent")
        await asyncio.sleep(90)
        assert (world.status("a").state, world.status("a").filled_quantity) == (OrderState.UNKNOWN, Decimal("0.4"))
        assert "Absent" in condition(world, "Stalled").message
        assert not live(world)
        resolve(world, the_id(), "Canceled", filledQuantity="0.4", averagePrice="50000")
        assert (await finished(world, within=90)).state is OrderState.CANCELED

    story(tell)


# ── Fills beside what is not known ──────────────────────────────────────────────────────────────────────────────────────────────────────────

@pytest.mark.proves("rule 8")
def test_what_filled_as_my_order_was_cancelled_is_told_though_nobody_can_say_what_became_of_its_replacement():
    """At an exchange that proves no absence, and the operator died between the cancel and the replacement."""

    async def tell(world):
        await open_order(world)
        world.exchange.late_fill = "0.1"
        world.store.edit("a", a_spec(price="49000"))
        await until(lambda: [str(attempt.stage) for attempt in world.status("a").attempts] == ["Ended", "Prepared"])
        world.kill()
        await world.start()
        await until(lambda: condition(world, "Stalled").reason == "OutcomeUnknown", within=60)
        await asyncio.sleep(30)
        assert (world.status("a").state, world.status("a").filled_quantity) == (OrderState.UNKNOWN, Decimal("0.1"))

    story(tell, request_window_ms=0)


@pytest.mark.proves("rule 10")
@pytest.mark.parametrize("venue", [{}, {"request_window_ms": 0}], ids=["expiry", "no expiry"])
def test_my_word_on_the_order_that_a_restored_status_names_ends_nothing_while_the_one_that_replaced_it_lives_unlisted(venue):
    async def tell(world):
        await open_order(world)
        restored = world.status("a")
        world.store.edit("a", a_spec(price="49000"))
        await until(lambda: [order.price for order in live(world)] == [Decimal(49000)] and world.status("a").state is OrderState.OPEN)
        world.kill()
        world.store._put(replace(world.store.get("a"), status=restored, resource_version=world.store._next()))
        world.exchange.forgotten.update(order.exchange_order_id for order in world.exchange.named(the_id()))
        world.exchange.unlisted.update(order.exchange_order_id for order in live(world))
        await world.start()
        await until(lambda: world.status("a").state is OrderState.UNKNOWN, within=60)
        resolve(world, the_id(), "Canceled")
        await until(lambda: world.status("a").state is OrderState.OPEN and world.status("a").client_order_id == the_id(2), within=60)
        world.exchange.fill(the_id(2), "1")
        assert (await finished(world)).state is OrderState.FILLED

    story(tell, **venue)
