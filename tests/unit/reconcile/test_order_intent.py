"""An order's life in virtual time, judged by the exchange's own list. The same paths run on the real parts in tests/cluster."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from exchange_kernel.api import OrderState
from exchange_kernel.core.answers import Duplicate, NotSent, OrderStatus, TimeRefused, Unknown
from exchange_kernel.core.identity import order_id
from exchange_kernel.core.venue import OrderRequest
from tests.builders import a_spec
from tests.scripted import OWNER, a_world, until
from tests.virtual_time import run, scenario


@pytest.mark.proves("rule 6")
@scenario
async def test_a_market_order_is_sent_first_and_written_twice_at_most():
    async with a_world() as world:
        await world.start()
        world.exchange.fills_at_once = True
        before = int(world.store.create("a", a_spec(type="Market", price=None)).resource_version)
        await until(lambda: world.status("a").state is OrderState.FILLED and not world.store.get("a").finalizer)
        assert int(world.store.get("a").resource_version) - before == 2, "one status write, and the finalizer"
        assert world.exchange.calls.count("submit") == 1


@pytest.mark.proves("rule 3")
@scenario
async def test_rule_3_killed_before_the_answer_and_restarted():
    async with a_world() as world:
        await world.start()
        world.exchange.hold_reply = asyncio.Event()
        world.store.create("a", a_spec())
        await until(lambda: world.exchange.orders_by_id)
        await world.crash()
        world.exchange.hold_reply = None
        await world.start()
        await until(lambda: world.status("a").state is OrderState.OPEN)
        assert len(world.exchange.orders_by_id) == 1


@scenario
async def test_a_restart_long_after_the_deadline_finds_the_open_order_and_leaves_it():
    async with a_world() as world:
        await world.start()
        world.store.create("a", a_spec())
        await until(lambda: world.status("a").state is OrderState.OPEN)
        before = world.status("a")
        await world.crash()
        await asyncio.sleep(3600)
        await world.start()
        await asyncio.sleep(30)
        assert world.status("a") == before, "and writes nothing, since nothing changed"
        assert [order.status for order in world.exchange.orders_by_id.values()] == [OrderStatus.OPEN]


@pytest.mark.proves("rule 3", "H1")
@scenario
async def test_h1_killed_before_the_answer_then_deleted_while_away():
    async with a_world() as world:
        await world.start()
        world.exchange.hold_reply = asyncio.Event()
        world.store.create("a", a_spec())
        await until(lambda: world.exchange.orders_by_id)
        await world.crash()
        world.exchange.hold_reply = None
        world.store.delete("a")
        await world.start()
        await until(lambda: world.store.get("a") is None)
        assert [order.status for order in world.exchange.orders_by_id.values()] == [OrderStatus.CANCELED]


@pytest.mark.proves("rule 5", "F1")
@scenario
async def test_rule_5_a_send_that_never_arrived_is_proved_absent_and_sent_again():
    async with a_world() as world:
        await world.start()
        world.exchange.reachable = False
        world.store.create("a", a_spec())
        await until(lambda: world.status("a").state is OrderState.UNKNOWN)
        lost = world.exchange.stamps[-1]
        world.exchange.reachable = True
        await until(lambda: world.status("a").state is OrderState.OPEN)
        assert len(world.exchange.orders_by_id) == 1
        assert world.exchange.stamps[-1] >= lost + world.exchange.capabilities.quiet_after_ms + world.exchange.capabilities.lookup_delay_ms - 1     # cut to ms
        assert world.status("a").attempts[0].prepared_time is not None, "a resend is written first"


@pytest.mark.proves("rule 1", "F2")
@pytest.mark.parametrize("reply", [lambda order: Unknown("garbage"), lambda order: Duplicate("-2010")], ids=["garbage", "duplicate"])
def test_rule_1_an_answer_that_is_none_is_looked_up(reply):
    async def story():
        async with a_world() as world:
            await world.start()
            world.exchange.reply = reply
            world.store.create("a", a_spec())
            await until(lambda: world.status("a").state is OrderState.OPEN)
            assert world.exchange.calls.count("submit") == 1

    run(story())


@pytest.mark.proves("rule 4", "F47")
@scenario
async def test_rule_4_a_time_refusal_ends_the_session_and_nothing_is_sent_before_a_new_one():
    async with a_world() as world:
        desk = await world.start()
        term = desk.session.term
        world.exchange.reply = lambda order: TimeRefused("outside of the window")
        world.exchange.orders_by_id.clear()
        world.store.create("a", a_spec())
        await until(lambda: term.over.is_set())
        assert "time of a request" in term.why


@pytest.mark.proves("rule 4")
@scenario
async def test_rule_4_what_changes_between_the_decision_and_the_wire_stops_the_send():
    async with a_world() as world:
        desk = await world.start()
        submit, gate = world.exchange.submit, asyncio.Event()

        async def slow(request, clearance):
            await gate.wait()             # as a rate budget would hold it
            return await submit(request, clearance)

        world.exchange.submit = slow
        world.store.create("a", a_spec())
        await until(lambda: desk.memory.sent_for("a"))
        world.store.edit("a", a_spec(suspend=True))
        gate.set()
        await asyncio.sleep(30)
        assert world.exchange.stamps == []
        assert world.exchange.orders_by_id == {}


@pytest.mark.proves("rule 4")
@scenario
async def test_rule_4_a_send_that_was_held_up_past_its_deadline_is_not_sent():
    async with a_world() as world:
        desk = await world.start()
        submit, gate = world.exchange.submit, asyncio.Event()

        async def slow(request, clearance):
            await gate.wait()
            return await submit(request, clearance)

        world.exchange.submit = slow
        world.store.create("a", a_spec(submitDeadlineSeconds=10))
        await until(lambda: desk.memory.sent_for("a"))
        await asyncio.sleep(11)
        gate.set()
        await until(lambda: world.status("a").state is OrderState.DENIED)
        assert world.exchange.orders_by_id == {}


@pytest.mark.proves("rule 7")
@scenario
async def test_rule_7_without_renewals_nothing_is_sent():
    async with a_world() as world:
        desk = await world.start()
        desk.lease.renewing = False
        await asyncio.sleep(4)            # the Lease runs for two more seconds: a request of three would outlive it
        world.store.create("a", a_spec())
        await asyncio.sleep(1)
        assert world.exchange.orders_by_id == {}
        desk.lease.renewing = True
        await until(lambda: world.status("a").state is OrderState.OPEN)


@pytest.mark.proves("rule 6", "rule 7")
@scenario
async def test_rule_7_what_was_created_before_the_new_fence_is_not_sent_first():
    async with a_world() as world:
        desk = await world.start()
        term = desk.session.term
        desk.lease.lost.set()
        await until(term.over.is_set)
        world.store.create("a", a_spec())
        await until(lambda: world.status("a").state is OrderState.OPEN, within=120)
        assert "lookup" in world.exchange.calls, "looked up before it was sent"
        assert world.status("a").attempts[0].prepared_time is not None


@pytest.mark.proves("rule 7")
@scenario
async def test_rule_7_what_was_provably_not_sent_may_have_been_sent_by_another_holder_since():
    async with a_world() as world:
        desk = await world.start()
        submit, world.exchange.submit = world.exchange.submit, not_sent
        world.store.create("a", a_spec())
        await until(lambda: desk.memory.sent_for("a"))
        desk.lease.lost.set()
        await until(desk.session.term.over.is_set)
        # Another replica takes over, sends the order and sees it fill, and dies before it could write a word of it.
        world.exchange.submit = submit
        client_order_id = order_id(OWNER, uid="a", attempt=1)
        await submit(OrderRequest(client_order_id=client_order_id, symbol="BTC/USDT", side="Buy", type="Limit", quantity=Decimal(1), price=Decimal(50000)), Anyone())
        world.exchange.fill(client_order_id, "1", tell=False)
        await until(lambda: world.status("a").completion_time is not None, within=120)
        assert world.status("a").state is OrderState.FILLED
        assert len(world.exchange.orders_by_id) == 1


async def not_sent(request, clearance):
    return NotSent("no connection")


class Anyone:
    """Another holder's clearance."""

    def stamp(self):
        return 0

    def check(self, stamp):
        return None


@pytest.mark.proves("rule 9", "F9")
@scenario
async def test_rule_9_a_cancel_that_meets_a_fill_tells_of_the_fill():
    async with a_world() as world:
        await world.start()
        world.store.create("a", a_spec())
        await until(lambda: world.status("a").state is OrderState.OPEN)
        world.exchange.fill(world.status("a").client_order_id, "1", tell=False)
        world.store.edit("a", a_spec(desiredState="Canceled"))
        await until(lambda: world.status("a").completion_time is not None)
        assert (world.status("a").state, world.status("a").filled_quantity) == (OrderState.FILLED, Decimal(1))


@pytest.mark.proves("rule 10", "F50")
@scenario
async def test_rule_10_edits_while_a_change_is_under_way_lead_to_the_newest_and_never_to_two_live_orders():
    async with a_world() as world:
        await world.start()
        world.store.create("a", a_spec())
        await until(lambda: world.status("a").state is OrderState.OPEN)
        world.exchange.fill(world.status("a").client_order_id, "0.25")
        world.store.edit("a", a_spec(price="49000"))
        await asyncio.sleep(0.1)
        world.store.edit("a", a_spec(price="48000", quantity="2"))
        await until(lambda: any(not order.status.ended and order.price == 48000 for order in world.exchange.orders_by_id.values()))
        live = [order for order in world.exchange.orders_by_id.values() if not order.status.ended]
        assert [(order.price, order.quantity) for order in live] == [(Decimal(48000), Decimal("1.75"))]
        await until(lambda: world.status("a").operation is None)
        assert world.status("a").filled_quantity == Decimal("0.25")


@pytest.mark.proves("rule 11")
@scenario
async def test_rule_11_a_force_deleted_intent_with_a_live_order_is_cancelled_from_memory():
    async with a_world() as world:
        await world.start()
        world.store.create("a", a_spec())
        await until(lambda: world.status("a").state is OrderState.OPEN)
        world.store._remove("a")
        await until(lambda: all(order.status.ended for order in world.exchange.orders_by_id.values()))


@pytest.mark.proves("rule 12", "F31")
@scenario
async def test_rule_12_a_fill_that_the_stream_lost_is_found_by_the_sweep():
    async with a_world() as world:
        await world.start()
        world.store.create("a", a_spec())
        await until(lambda: world.status("a").state is OrderState.OPEN)
        world.exchange.fill(world.status("a").client_order_id, "0.5", tell=False)
        await until(lambda: world.status("a").filled_quantity == Decimal("0.5"))
        world.exchange.fill(world.status("a").client_order_id, "0.5", tell=False)
        await until(lambda: world.status("a").completion_time is not None)
        assert world.status("a").state is OrderState.FILLED
        assert not any(fill.inferred for fill in world.status("a").fills)


@scenario
async def test_idle_orders_cost_no_writes_and_no_calls_of_their_own():
    async with a_world() as world:
        await world.start()
        for number in range(20):
            world.store.create(f"i{number}", a_spec())
        await until(lambda: all(world.status(f"i{number}").state is OrderState.OPEN for number in range(20)))
        await asyncio.sleep(10)
        version, calls = world.store._version, len(world.exchange.calls)
        await asyncio.sleep(60)
        assert world.store._version == version
        assert len(world.exchange.calls) - calls <= 14, "one listing a sweep, whatever the number of intents"
