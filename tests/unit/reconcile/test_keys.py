"""idempotencyKey, copies and restores: who has an order, told in virtual time (rule 2; H2, H18, H21)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from exchange_kernel.api import OrderState
from exchange_kernel.core.answers import OrderStatus
from tests.builders import a_spec
from tests.scripted import a_world, until
from tests.virtual_time import run

DEADLINE = "2027-06-01T00:00:00Z"


def keyed(**changes):
    return a_spec(**{"idempotencyKey": "entry-7", "submitDeadlineTime": DEADLINE, **changes})


def story(tell):
    async def whole():
        async with a_world() as world:
            await world.start()
            await tell(world)

    run(whole())


def reason(world, uid: str, kind: str = "Stalled") -> str:
    return next(condition.reason for condition in world.status(uid).conditions if condition.type == kind)


async def open_order(world, uid: str = "a", spec=None) -> str:
    world.store.create(uid, spec or keyed())
    await until(lambda: world.status(uid).state is OrderState.OPEN)
    return world.status(uid).client_order_id


@pytest.mark.proves("rule 2", "H2")
def test_h2_deleted_and_created_again_with_its_key_finds_the_same_order():
    """The object goes past its finalizer with the order live; the same manifest is applied again."""

    async def tell(world):
        first = await open_order(world, spec=keyed(deletionPolicy="Orphan"))
        world.store.delete("a")
        await until(lambda: world.store.get("a") is None)
        assert await open_order(world, "b") == first
        assert len(world.exchange.orders_by_id) == 1

    story(tell)


@pytest.mark.proves("rule 2", "H2")
@pytest.mark.parametrize("restarted", [False, True], ids=["same process", "after a restart"])
def test_h2_what_the_key_bought_before_is_not_bought_again(restarted):
    """Sent, filled, finished, deleted, applied again: Binance would take the id a second time."""

    async def tell(world):
        first = await open_order(world)
        world.exchange.fill(first, "1")
        await until(lambda: world.status("a").completion_time is not None)
        world.store.delete("a")
        if restarted:
            await world.crash()
            await world.start()
        world.store.create("b", keyed())
        await until(lambda: world.status("b").completion_time is not None)
        assert world.status("b").state is OrderState.FILLED
        assert world.status("b").client_order_id == first
        assert len(world.exchange.orders_by_id) == 1

    story(tell)


@pytest.mark.proves("H2")
def test_h2_a_key_whose_order_was_replaced_is_followed_to_the_last_attempt():
    """Attempt 1 was cancelled for a change and attempt 2 is live: what was cancelled is not the end of it."""

    async def tell(world):
        await open_order(world, spec=keyed(deletionPolicy="Orphan"))
        world.store.edit("a", keyed(deletionPolicy="Orphan", price="49000"))
        await until(lambda: len(world.exchange.orders_by_id) == 2 and world.status("a").state is OrderState.OPEN)
        second = world.status("a").client_order_id
        world.store.delete("a")
        await until(lambda: world.store.get("a") is None)
        assert await open_order(world, "b", keyed(price="49000")) == second
        assert len(world.exchange.orders_by_id) == 2

    story(tell)


@pytest.mark.proves("rule 2")
def test_the_second_holder_of_a_key_only_says_so_and_takes_over_when_the_first_is_gone():
    async def tell(world):
        first = await open_order(world)
        world.store.edit("a", keyed(deletionPolicy="Orphan"))
        world.store.create("b", keyed())
        await until(lambda: world.status("b").conditions and reason(world, "b") == "HeldByAnotherIntent")
        assert world.status("b").state is OrderState.PENDING
        world.store.delete("a")
        await until(lambda: world.status("b").state is OrderState.OPEN, within=120)
        assert world.status("b").client_order_id == first
        assert len(world.exchange.orders_by_id) == 1

    story(tell)


def test_deleting_the_second_holder_cancels_nothing():
    async def tell(world):
        first = await open_order(world)
        world.store.create("b", keyed())
        await until(lambda: world.status("b").conditions and reason(world, "b") == "HeldByAnotherIntent")
        world.store.delete("b")
        await until(lambda: world.store.get("b") is None)
        assert [order.status for order in world.exchange.named(first)] == [OrderStatus.OPEN]
        assert "cancel" not in world.exchange.calls

    story(tell)


@pytest.mark.proves("rule 2")
def test_a_key_that_was_used_for_another_order_adopts_nothing():
    async def tell(world):
        first = await open_order(world, spec=keyed(deletionPolicy="Orphan"))
        world.store.delete("a")
        await until(lambda: world.store.get("a") is None)
        world.store.create("b", keyed(side="Sell"))
        await until(lambda: world.status("b").conditions and reason(world, "b") == "AnotherOrder")
        assert [order.status for order in world.exchange.named(first)] == [OrderStatus.OPEN]
        assert len(world.exchange.orders_by_id) == 1

    story(tell)


@pytest.mark.proves("rule 7", "H21")
def test_h21_restored_without_status_nothing_is_sent_until_a_person_says_so():
    """A backup tool creates the object again, with a new UID and time: it looks as if it had never been sent."""

    async def tell(world):
        world.store.create("b", a_spec(), restored=True)
        await until(lambda: world.status("b").conditions and reason(world, "b") == "Restored")
        assert not world.exchange.orders_by_id
        world.store._put(replace(world.store.get("b"), restored=False, resource_version=str(world.store._next())))
        await until(lambda: world.status("b").state is OrderState.OPEN)

    story(tell)


@pytest.mark.proves("rule 7", "H21")
def test_h21_restored_with_a_key_finds_its_order_while_it_is_held():
    async def tell(world):
        first = await open_order(world, spec=keyed(deletionPolicy="Orphan"))
        world.store.delete("a")
        await until(lambda: world.store.get("a") is None)
        world.store.create("b", keyed(), restored=True)
        await until(lambda: world.status("b").state is OrderState.OPEN)
        assert world.status("b").client_order_id == first

    story(tell)


def test_a_copy_with_its_status_does_not_touch_the_original_s_order():
    async def tell(world):
        first = await open_order(world, spec=a_spec())
        world.store.create("b", a_spec(), status=world.status("a"))
        await until(lambda: reason(world, "b") == "HeldByAnotherIntent")
        world.store.delete("b")
        await until(lambda: world.store.get("b") is None)
        assert [order.status for order in world.exchange.named(first)] == [OrderStatus.OPEN]

    story(tell)


def test_restored_with_its_status_it_goes_on_where_it_was():
    async def tell(world):
        first = await open_order(world, spec=a_spec(deletionPolicy="Orphan"))
        status = world.status("a")
        world.store.delete("a")
        await until(lambda: world.store.get("a") is None)
        world.store.create("b", a_spec(), status=status, restored=True)
        world.exchange.fill(first, "0.4", tell=False)
        await until(lambda: world.status("b").state is OrderState.PARTIALLY_FILLED)
        assert len(world.exchange.orders_by_id) == 1

    story(tell)
