"""Every order comes to an end, or to Unknown and Stalled with a way out; and no end is told while an order of the intent may live."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from decimal import Decimal

import pytest

from exchange_kernel.api import OrderIntentStatus, OrderState
from exchange_kernel.core.answers import NotFound, OrderStatus, Unreachable
from exchange_kernel.exchanges.port import OrderUpdate
from exchange_kernel.telemetry import metrics
from tests.builders import a_spec
from tests.scripted import World, until
from tests.unit.interleavings.stories import condition, finished, live, open_order, report, story, the_id, the_order


def wipe(world: World, status: OrderIntentStatus | None = None) -> None:
    """Somebody writes an older status, or none, over ours."""
    record = world.store.get("a")
    world.store._put(replace(record, status=status or OrderIntentStatus(), resource_version=world.store._next()))


async def restarted(world: World) -> None:
    world.kill()
    await world.start()


async def changed_to(world: World, price: str) -> None:
    world.store.edit("a", a_spec(price=price))
    await until(lambda: [order.price for order in live(world)] == [Decimal(price)] and world.status("a").state in (OrderState.OPEN, OrderState.PARTIALLY_FILLED))


def tell_outcome(world: World, outcome: str, **about: str) -> None:
    world.store.annotate("a", json.dumps({"clientOrderId": world.status("a").client_order_id, "outcome": outcome, **about}))


# ── Ends that come ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

@pytest.mark.proves("rule 10")
def test_a_reprice_that_loses_the_race_to_the_full_fill_leaves_dust_and_ends():
    async def tell(world):
        await open_order(world, quantity="1.000005")
        world.exchange.late_fill = "1"
        world.store.edit("a", a_spec(quantity="1.000005", price="49000"))
        status = await finished(world)
        assert (status.state, status.filled_quantity) == (OrderState.FILLED, 1)
        assert world.exchange.calls.count("submit") == 1

    story(tell)


@pytest.mark.parametrize("restart", [False, True])
def test_what_is_asked_for_while_the_order_fills_whole_is_sent_though_the_operator_restarts(restart):
    async def tell(world):
        await open_order(world)
        world.exchange.readable = False
        world.store.edit("a", a_spec(quantity="2", suspend=True))
        world.exchange.fill(the_id(), "1")
        await until(lambda: world.status("a").state is OrderState.FILLED)
        world.exchange.readable = True
        if restart:
            await restarted(world)
        await asyncio.sleep(30)
        world.store.edit("a", a_spec(quantity="2"))
        await until(lambda: live(world), within=30)
        world.exchange.fill(the_id(2), "1")
        status = await finished(world)
        assert (status.state, status.filled_quantity) == (OrderState.FILLED, 2)

    story(tell)


@pytest.mark.proves("rule 11")
@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize("wish", ["a delete", "an edit", "nothing"])
def test_an_order_that_the_exchange_forgot_needs_a_person_and_a_persons_word_ends_it(wish, restart):
    async def tell(world):
        await open_order(world)
        if restart:
            world.kill()
        world.exchange.orders_by_id.clear()
        if restart:
            await world.start()
        if wish == "a delete":
            world.store.delete("a")
        elif wish == "an edit":
            world.store.edit("a", a_spec(price="49000"))
        await until(lambda: world.status("a").state is OrderState.UNKNOWN, within=60)
        stalled = condition(world, "Stalled")
        assert (stalled.status, stalled.reason) == ("True", "OutcomeUnknown")
        assert "resolve" in stalled.message
        assert condition(world, "Ready").status == "False"
        tell_outcome(world, "Canceled", filledQuantity="0.4", averagePrice="50000")
        if wish == "an edit" and not restart:  # the replacement was written down already: the rest is sent
            await until(lambda: live(world) and world.status("a").state is OrderState.PARTIALLY_FILLED, within=60)
            world.exchange.fill(the_id(2), "0.6")
        await until(lambda: world.store.get("a") is None or world.status("a").completion_time is not None, within=60)
        if wish == "nothing":
            assert (world.status("a").state, world.status("a").filled_quantity) == (OrderState.CANCELED, Decimal("0.4"))

    story(tell)


def test_an_order_that_was_not_found_for_a_while_and_is_shown_again_goes_on():
    async def tell(world):
        await open_order(world)
        hidden = dict(world.exchange.orders_by_id)
        world.exchange.orders_by_id.clear()
        await until(lambda: world.status("a").state is OrderState.UNKNOWN, within=60)
        world.exchange.orders_by_id.update(hidden)
        await until(lambda: world.status("a").state is OrderState.OPEN, within=120)
        world.exchange.fill(the_id(), "1")
        assert (await finished(world)).state is OrderState.FILLED

    story(tell)


@pytest.mark.parametrize("restart", [False, True])
def test_an_order_whose_market_is_gone_needs_a_person_and_a_persons_word_ends_it(restart):
    """A delisted market: no list shows its orders, and no question about them can be asked."""

    async def tell(world):
        await open_order(world)

        async def unanswered(ref, clearance=None):
            return Unreachable("The market is not known.")

        async def no_markets(*, reload=False):
            return {}

        world.exchange.unlisted.add(the_order(world).exchange_order_id)
        world.exchange.lookup, world.exchange.markets = unanswered, no_markets
        if restart:
            await restarted(world)
        await until(lambda: world.status("a").state is OrderState.UNKNOWN, within=120)
        assert condition(world, "Stalled").status == "True"
        world.store.delete("a")
        tell_outcome(world, "Expired")
        await until(lambda: world.store.get("a") is None, within=60)

    story(tell)


def test_an_ended_order_that_the_exchange_forgets_at_once_still_ends():
    async def tell(world):
        await open_order(world)

        async def forgotten(ref):
            return NotFound()

        world.exchange.lookup = forgotten
        world.store.edit("a", a_spec(desiredState="Canceled"))
        assert (await finished(world)).state is OrderState.CANCELED

    story(tell)


@pytest.mark.parametrize("state", OrderState)
def test_a_state_written_by_hand_is_overwritten_and_the_order_goes_on(state):
    async def tell(world):
        await open_order(world)
        seen = metrics.ILLEGAL_TRANSITIONS._value.get()
        wipe(world, world.status("a").model_copy(update={"state": state}))
        await until(lambda: world.status("a").state is OrderState.OPEN, within=30)
        world.exchange.fill(the_id(), "1")
        assert (await finished(world)).state is OrderState.FILLED
        metrics.ILLEGAL_TRANSITIONS._value.set(seen)  # a hand did it

    story(tell)


def test_an_end_written_by_hand_over_a_live_order_counts_for_nothing():
    async def tell(world):
        await open_order(world)
        status = world.status("a")
        wipe(world, status.model_copy(update={"state": OrderState.CANCELED, "completion_time": status.submit_time}))
        await until(lambda: world.status("a").state is OrderState.OPEN, within=30)
        assert world.status("a").completion_time is None
        assert world.store.get("a").finalizer
        world.store.edit("a", a_spec(desiredState="Canceled"))
        await finished(world)
        assert not live(world)

    story(tell)


def test_a_wait_for_an_end_returns_though_the_finished_object_was_edited_after_it():
    async def tell(world):
        await open_order(world)
        world.exchange.fill(the_id(), "1")
        before = await finished(world)
        world.store.edit("a", a_spec(ttlSecondsAfterFinished=3600))
        await until(lambda: world.status("a").observed_generation == 2, within=5)
        after = world.status("a")
        assert {told.observed_generation for told in after.conditions} == {2}
        assert (after.state, after.completion_time, after.fills) == (before.state, before.completion_time, before.fills)
        assert [told.last_transition_time for told in after.conditions] == [told.last_transition_time for told in before.conditions]

    story(tell)


# ── No end while an order of it may live ────────────────────────────────────────────────────────────────────────────────────────────────────

VENUES = {"expiry": {}, "no expiry": {"request_window_ms": 0}}


@pytest.mark.proves("rule 2", "rule 10", "H12")
@pytest.mark.parametrize("venue", VENUES.values(), ids=VENUES)
@pytest.mark.parametrize("how", ["restored", "wiped"])
def test_a_status_two_replacements_late_ends_nothing_that_lives(how, venue):
    async def tell(world):
        await open_order(world)
        old = world.status("a")
        await changed_to(world, "49000")
        await changed_to(world, "48000")
        world.kill()
        wipe(world, old if how == "restored" else None)
        await world.start()
        await asyncio.sleep(60)
        assert world.status("a").completion_time is None
        assert len(live(world)) == 1
        (order,) = live(world)
        world.exchange.fill(order.client_order_id, "1")
        status = await finished(world)
        assert (status.state, status.filled_quantity) == (OrderState.FILLED, 1)
        assert len(world.exchange.orders_by_id) == 3

    story(tell, account={"sendPolicy": "WriteAhead"} if venue else None, **venue)


@pytest.mark.proves("rule 8", "H12")
@pytest.mark.parametrize("how", ["restored", "wiped"])
def test_what_filled_of_attempts_that_a_restored_status_lacks_is_not_lost(how):
    async def tell(world):
        await open_order(world)
        old = world.status("a")
        await changed_to(world, "49000")
        world.exchange.fill(the_id(2), "0.3")
        await changed_to(world, "48000")
        world.kill()
        world.exchange.fill(the_id(3), "0.7")
        wipe(world, old if how == "restored" else None)
        await world.start()
        status = await finished(world)
        assert (status.state, status.filled_quantity) == (OrderState.FILLED, 1)

    story(tell)


@pytest.mark.proves("H12")
def test_a_change_under_a_restored_status_sends_no_second_order():
    async def tell(world):
        await open_order(world)
        old = world.status("a")
        await changed_to(world, "49000")
        await changed_to(world, "48000")
        world.kill()
        wipe(world, old)
        world.store.edit("a", a_spec(price="47000"))
        await world.start()
        await until(lambda: [order.price for order in live(world)] == [Decimal(47000)], within=120)
        assert len(world.exchange.orders_by_id) == 4

    story(tell)


@pytest.mark.proves("rule 11")
@pytest.mark.parametrize("told", [OrderStatus.CANCELED, OrderStatus.EXPIRED])
def test_one_false_word_of_a_stream_finishes_nothing_that_every_reading_shows_open(told):
    async def tell(world):
        await open_order(world)
        report(world, replace(the_order(world), status=told))
        await asyncio.sleep(60)
        assert world.status("a").completion_time is None
        assert world.status("a").state is OrderState.OPEN
        world.exchange.fill(the_id(), "1")
        assert (await finished(world)).state is OrderState.FILLED

    story(tell)


def test_an_order_left_at_the_exchange_on_purpose_keeps_no_other_from_its_end():
    """An orphan of ours on the same market and side, and a restart."""

    async def tell(world):
        world.store.create("left", a_spec(deletionPolicy="Orphan"))
        await until(lambda: world.status("left").state is OrderState.OPEN)
        world.store.delete("left")
        await until(lambda: world.store.get("left") is None)
        await open_order(world)
        await restarted(world)
        world.store.edit("a", a_spec(desiredState="Canceled"))
        assert (await finished(world)).state is OrderState.CANCELED
        assert len(live(world)) == 1

    story(tell)


def test_the_stream_tells_of_an_attempt_that_a_wiped_status_lacks():
    async def tell(world):
        await open_order(world)
        await changed_to(world, "49000")
        await changed_to(world, "48000")
        world.kill()
        wipe(world)
        (order,) = live(world)
        world.exchange.unlisted.add(order.exchange_order_id)
        await world.start()
        for stream in world.exchange._streams:
            stream.put_nowait(OrderUpdate(order))
        await until(lambda: world.status("a").state is OrderState.OPEN and len(world.status("a").attempts) == 3, within=60)

    story(tell, retention_ms=1)


