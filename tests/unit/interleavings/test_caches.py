"""What the watch tells late or not at all, and answers that come later than the watch: no cancel is lost, and no order is forgotten (rules 11, 15)."""

from __future__ import annotations

import asyncio

import pytest

from exchange_kernel.api import OrderState
from tests.builders import a_spec
from tests.processes import Processes, ProcessLoop
from tests.scripted import World, until
from tests.unit.groups.desk import PERPETUAL, VENUE, an_oco
from tests.unit.interleavings.stories import open_order, story
from tests.unit.stores.stages import ProductDesk
from tests.virtual_time import run

pytestmark = pytest.mark.proves("rule 11", "rule 15")


def on_the_product(tell, *, groups: bool = False, **account) -> None:
    """Tell it of a desk over the product's own stores."""

    async def whole() -> None:
        world = ProductDesk(**account)
        if groups:
            world.exchange.market, world.exchange.capabilities = PERPETUAL, VENUE
        await world.start()
        try:
            await tell(world)
        finally:
            await world.desk.stop()

    run(whole())


async def opened(world: ProductDesk, uid: str = "a", **spec) -> None:
    world.create(uid, **spec)
    await until(lambda: world.status(uid).get("state") == "Open")


# ── Answers that come later than the watch ──────────────────────────────────────────────────────────────────────────────────────────────────

def test_a_cancel_asked_while_our_own_write_is_answered_late_leaves_at_once():
    async def tell(world):
        await opened(world)
        world.slow(0.3)
        world.exchange.fill(next(iter(world.exchange.orders_by_id.values())).client_order_id, "0.5")
        await asyncio.sleep(0.1)
        assert world.status("a")["state"] == "PartiallyFilled", "written, and not answered"
        world.cancel("a")
        await until(lambda: world.live() == 0, within=0.5)
        await until(lambda: world.status("a").get("completionTime") is not None)

    on_the_product(tell, resyncSeconds=60)


def test_a_market_order_does_not_leave_after_the_watch_told_of_its_cancel():
    """What the order waits for is the answer to the write of its finalizer; the cancel is told before that comes."""

    async def tell(world):
        world.slow(0.3)
        world.create("a", finalizer=False, type="Market", price=None)
        await asyncio.sleep(0.1)
        assert world.intents.objects["default", "a"]["metadata"]["finalizers"]
        world.cancel("a")
        await until(lambda: world.status("a").get("completionTime") is not None)
        assert world.status("a")["state"] == "Canceled"
        assert world.exchange.orders_by_id == {}

    on_the_product(tell, resyncSeconds=60)


def test_what_was_force_deleted_while_our_write_was_answered_late_does_not_come_back():
    async def tell(world):
        await opened(world)
        world.slow(0.3)
        world.exchange.fill(next(iter(world.exchange.orders_by_id.values())).client_order_id, "0.5")
        await asyncio.sleep(0.1)
        world.force_delete("a")
        await until(lambda: world.live() == 0, within=1)
        for _ in range(20):
            await asyncio.sleep(0.1)
            assert world.store.get("a") is None
        assert world.desk.memory.gone == {}, "its end was settled, and it is forgotten"

    on_the_product(tell, resyncSeconds=60)


# ── What the watch never tells ──────────────────────────────────────────────────────────────────────────────────────────────────────────────

def test_an_order_force_deleted_while_the_watch_was_away_is_cancelled_by_its_deletion_policy():
    async def tell(world):
        await opened(world)
        world.intents.away = True
        world.force_delete("a")
        await until(lambda: world.live() == 0, within=10)
        await asyncio.sleep(30)
        assert world.accounts.record.status.orphan_orders == 0
        assert world.exchange.calls.count("cancel") == 1
        assert world.desk.memory.gone == {}

    on_the_product(tell)


def test_an_order_to_be_left_behind_that_was_force_deleted_while_the_watch_was_away_is_an_orphan():
    async def tell(world):
        await opened(world, deletionPolicy="Orphan")
        world.intents.away = True
        world.force_delete("a")
        await until(lambda: world.accounts.record.status.orphan_orders == 1)
        assert world.live() == 1
        assert world.exchange.calls.count("cancel") == 0

    on_the_product(tell)


@pytest.mark.parametrize("policy", ["Cancel", "Orphan"])
def test_and_so_is_one_that_this_process_never_saw_but_in_a_list(policy):
    """It takes over an account whose order it has not reconciled yet when that is deleted past its finalizer."""

    async def tell():
        world = Processes(resyncSeconds=5)
        world.boot("a")
        await asyncio.sleep(15)
        world.store.create("order", a_spec(deletionPolicy=policy))
        await until(lambda: world.status("order").state is OrderState.OPEN)
        other = world.boot("b")
        await asyncio.sleep(1)
        other.view.away = True
        world.kill("a")
        world.store._remove("order")
        if policy == "Cancel":
            await until(lambda: world.exchange.calls.count("cancel") == 1)
            await until(lambda: all(order.status.ended for order in world.exchange.orders_by_id.values()))
        else:
            await until(lambda: world.accounts.record.status.orphan_orders == 1)
            assert world.exchange.calls.count("cancel") == 0
        await world.close()

    run(tell(), ProcessLoop)


def test_an_order_force_deleted_while_nobody_held_the_account_is_cancelled_when_it_is_held_again():
    async def tell(world: World):
        await open_order(world)
        world.desk.lease.renewing = False
        await until(lambda: world.desk.session.term is None)
        world.store._remove("a")
        await asyncio.sleep(1)
        assert world.exchange.calls.count("cancel") == 0
        world.desk.lease.renewing = True
        await until(lambda: all(order.status.ended for order in world.exchange.orders_by_id.values()))
        await asyncio.sleep(30)
        assert world.accounts.record.status.orphan_orders == 0

    story(tell)


def test_a_force_deleted_order_to_be_left_behind_is_shown_as_an_orphan_and_its_fills_are_counted():
    async def tell(world: World):
        client_order_id = await open_order(world, deletionPolicy="Orphan")
        world.store._remove("a")
        await until(lambda: world.accounts.record.status.orphan_orders == 1)
        world.exchange.fill(client_order_id, "1")
        await until(lambda: world.accounts.record.status.unattributed_fills == 1)
        assert world.exchange.calls.count("cancel") == 0

    story(tell)


def test_an_account_whose_orders_were_force_deleted_stays_until_those_are_cancelled():
    async def tell(world: World):
        await open_order(world)
        world.exchange.reachable = False
        world.desk.session.memory._orders.clear()   # as a process that only knows the object
        world.store._remove("a")
        world.accounts.delete(world.accounts.first)
        await asyncio.sleep(30)
        assert world.accounts.all()
        world.exchange.reachable = True
        await until(lambda: not world.accounts.all())
        assert all(order.status.ended for order in world.exchange.orders_by_id.values())

    story(tell)


@pytest.mark.parametrize("what", ["cancelled", "deleted"])
def test_a_groups_cancel_that_the_watch_never_told_leaves_with_the_next_sweep(what):
    async def tell(world):
        world.groups.make({"metadata": {"name": "pair", "namespace": "default"}, "spec": an_oco().document()}, "pair")
        await until(lambda: world.live() == 2)
        await asyncio.sleep(5)      # nothing of it is left to be written
        world.groups.away = True
        if what == "cancelled":
            world.groups.change("pair", {"spec": {"desiredState": "Canceled"}})
        else:
            world.groups.mark_deleted("pair")
        await until(lambda: world.live() == 0, within=10)
        if what == "deleted":
            await until(lambda: world.groups.objects == {})

    on_the_product(tell, groups=True)
