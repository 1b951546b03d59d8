"""Cancels and changes whose steps meet fills, late words and crashes: never two orders for one wish, never an end that is none."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal

import pytest

from exchange_kernel.api import Operation, OrderState
from exchange_kernel.core.answers import Accepted, NotSent, OrderStatus
from tests.builders import a_spec
from tests.scripted import until
from tests.unit.interleavings.stories import finished, live, open_order, orders_per_id, report, story, the_id, the_order


@pytest.mark.proves("rule 9", "F10")
def test_a_cancel_without_an_answer_is_no_cancel():
    """The exchange falls silent as the cancel goes out, for ten minutes. Nothing is Canceled until it says so."""

    async def tell(world):
        await open_order(world)
        world.exchange.reachable = False
        world.store.edit("a", a_spec(desiredState="Canceled"))
        await asyncio.sleep(600)
        status = world.status("a")
        assert (status.state, status.operation, status.completion_time) == (OrderState.OPEN, Operation.CANCELING, None)
        assert the_order(world).status is OrderStatus.OPEN
        world.exchange.reachable = True
        assert (await finished(world)).state is OrderState.CANCELED
        assert the_order(world).status is OrderStatus.CANCELED

    story(tell)


@pytest.mark.proves("rule 9", "F15")
def test_a_cancel_that_is_accepted_and_carried_out_later():
    """The answer shows the order open still. It fills a little more, and is cancelled twenty seconds later."""

    async def tell(world):
        client_order_id = await open_order(world)

        async def later(ref, clearance):
            return Accepted(the_order(world))

        world.exchange.cancel = later
        world.store.edit("a", a_spec(desiredState="Canceled"))
        await asyncio.sleep(10)
        assert (world.status("a").state, world.status("a").operation) == (OrderState.OPEN, Operation.CANCELING)
        world.exchange.fill(client_order_id, "0.25")
        await asyncio.sleep(10)
        world.exchange._set(replace(the_order(world), status=OrderStatus.CANCELED))
        status = await finished(world)
        assert (status.state, status.filled_quantity) == (OrderState.CANCELED, Decimal("0.25"))

    story(tell)


@pytest.mark.proves("rule 10", "F11")
def test_the_old_orders_end_is_told_again_when_its_replacement_is_live():
    """The cancel report of attempt 1 comes late, and twice: attempt 2 lives on."""

    async def tell(world):
        first = await open_order(world)
        world.store.edit("a", a_spec(price="49000"))
        await until(lambda: [order.price for order in live(world)] == [Decimal(49000)] and world.status("a").operation is None)
        for _ in range(2):
            report(world, world.exchange.named(first)[0])
        await asyncio.sleep(30)
        assert (world.status("a").state, world.status("a").completion_time) == (OrderState.OPEN, None)
        assert world.status("a").client_order_id == the_id(2)
        assert [order.price for order in live(world)] == [Decimal(49000)]

    story(tell)


@pytest.mark.proves("rule 10", "F12")
def test_the_replacement_fills_before_anything_said_that_it_exists():
    """The stream tells of attempt 2's fill while the response to its submit is under way."""

    async def tell(world):
        await open_order(world)
        world.exchange.hold_reply, world.exchange.reply = asyncio.Event(), lambda order: Accepted(order)
        world.store.edit("a", a_spec(price="49000"))
        await until(lambda: world.exchange.named(the_id(2)))
        world.exchange.fill(the_id(2), "1")
        await asyncio.sleep(1)
        world.exchange.hold_reply.set()
        status = await finished(world)
        assert (status.state, status.filled_quantity, status.average_price) == (OrderState.FILLED, 1, 49000)
        assert len(world.exchange.orders_by_id) == 2

    story(tell, account={"resyncSeconds": 600})


@pytest.mark.proves("rule 6", "rule 10", "H12")
@pytest.mark.parametrize("filled_meanwhile", [False, True], ids=["it rests", "it fills meanwhile"])
def test_killed_after_the_replacement_was_accepted(filled_meanwhile):
    """Cancelled, the rest sent and taken, and killed before the answer: what was cancelled is not the end of it."""

    async def tell(world):
        await open_order(world)
        world.exchange.hold_reply = asyncio.Event()
        world.store.edit("a", a_spec(price="49000"))
        await until(lambda: world.exchange.named(the_id(2)))
        await world.crash()
        world.exchange.hold_reply = None
        if filled_meanwhile:
            world.exchange.fill(the_id(2), "1", tell=False)
        await world.start()
        if filled_meanwhile:
            assert (await finished(world)).state is OrderState.FILLED
        else:
            await until(lambda: world.status("a").state is OrderState.OPEN and world.status("a").operation is None)
            await asyncio.sleep(30)
            assert world.status("a").completion_time is None
        assert world.status("a").client_order_id == the_id(2)
        assert [order.client_order_id for order in live(world)] == ([] if filled_meanwhile else [the_id(2)])
        assert orders_per_id(world) == {1}

    story(tell)


@pytest.mark.proves("rule 10", "H13", "H14", "F13")
@pytest.mark.parametrize("when", ["before the cancel", "at the cancel, unknown to its answer"])
def test_what_the_old_order_fills_is_taken_off_the_rest(when):
    """0.25 fill while it is changed, and nobody tells of it but the readings. Ten were wanted, and never more than ten are there."""

    async def tell(world):
        client_order_id = await open_order(world, quantity="10")
        if when == "before the cancel":
            world.exchange.fill(client_order_id, "0.25", tell=False)
        else:
            world.exchange.late_fill, world.exchange.trades_lag_ms = "0.25", 700
        world.store.edit("a", a_spec(quantity="10", price="49000"))
        await until(lambda: world.exchange.named(the_id(2)))
        assert [(order.price, order.quantity) for order in live(world)] == [(Decimal(49000), Decimal("9.75"))]
        world.exchange.late_fill = None
        world.exchange.fill(the_id(2), "9.75")
        status = await finished(world)
        assert (status.state, status.filled_quantity) == (OrderState.FILLED, Decimal(10))

    story(tell, account={"resyncSeconds": 600})


@pytest.mark.proves("rule 10", "F14")
def test_cancelled_for_a_change_and_no_way_to_send_the_rest_for_a_minute():
    """The wish is kept, the same id is used, and it goes out when there is a way."""

    async def tell(world):
        await open_order(world)
        submit = world.exchange.submit

        async def no_way(request, clearance):
            return NotSent("no connection could be made")

        world.exchange.submit = no_way
        world.store.edit("a", a_spec(price="49000"))
        await until(lambda: not live(world))
        await asyncio.sleep(60)
        assert (world.status("a").operation, world.status("a").completion_time) == (Operation.REPLACING, None)
        world.exchange.submit = submit
        await until(lambda: world.status("a").operation is None and live(world))
        assert [order.client_order_id for order in live(world)] == [the_id(2)]
        assert [attempt.number for attempt in world.status("a").attempts] == [1, 2]

    story(tell)


@pytest.mark.proves("F17")
def test_a_cancel_names_one_order_and_others_on_the_account_live_on():
    async def tell(world):
        client_order_id = await open_order(world)
        await open_order(world, "b")
        by_hand = world.exchange._set(replace(world.exchange.named(client_order_id)[0], client_order_id="web-1", exchange_order_id="7777"))
        world.exchange.trades_of["7777"] = []
        world.store.edit("a", a_spec(desiredState="Canceled"))
        await finished(world)
        await asyncio.sleep(60)
        assert {order.client_order_id for order in live(world)} == {by_hand.client_order_id, the_id(uid="b")}
        assert world.exchange.calls.count("cancel") == 1

    story(tell)


@pytest.mark.proves("F18")
def test_a_stop_begins_nothing_and_leaves_what_is_open():
    """One order is open; another waits for the rate budget when the operator is told to stop."""

    async def tell(world):
        await open_order(world)
        world.exchange.budget_s = 5.0
        world.store.create("b", a_spec())
        await until(lambda: world.desk.memory.sent_for("b"))
        await world.desk.stop()
        world.desk = None
        await asyncio.sleep(60)
        assert the_order(world).status is OrderStatus.OPEN
        assert "cancel" not in world.exchange.calls

    story(tell)


@pytest.mark.proves("rule 10", "F50")
def test_ten_edits_in_a_second_lead_to_the_newest_and_to_no_more_orders_than_it_takes():
    """One operation at a time: what is edited meanwhile is seen when it is over."""

    async def tell(world):
        await open_order(world)
        for step in range(1, 11):
            world.store.edit("a", a_spec(price=str(50000 - step)))
            await asyncio.sleep(0.1)
        await until(lambda: [order.price for order in live(world)] == [Decimal(49990)])
        await until(lambda: world.status("a").operation is None)
        assert len(world.exchange.orders_by_id) <= 3

    story(tell)
