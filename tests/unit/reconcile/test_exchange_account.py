"""An account's coming, going and rivals, and keys that change: told in virtual time (rules 11, 13; H17, H20, H25)."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from exchange_kernel.api import OrderState
from exchange_kernel.core.answers import OrderStatus
from tests.builders import T0, a_spec
from tests.scripted import a_world, an_account_record, until
from tests.virtual_time import run


def story(tell):
    async def whole():
        async with a_world() as world:
            await tell(world)

    run(whole())


def ready(world, uid: str | None = None):
    record = world.accounts.get(uid or world.accounts.first)
    return next((condition for condition in record.status.conditions if condition.type == "Ready"), None)


def is_ready(world, uid: str | None = None) -> bool:
    return (found := ready(world, uid)) is not None and found.status == "True"


async def open_order(world, uid: str = "a", **spec) -> str:
    world.store.create(uid, a_spec(**spec))
    await until(lambda: world.status(uid).state is OrderState.OPEN)
    return world.status(uid).client_order_id


# ── The finalizer ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

def test_nothing_of_an_account_is_used_before_its_finalizer_is_on():
    async def tell(world):
        async def refuse(record):
            return False

        put, world.accounts.add_finalizer = world.accounts.add_finalizer, refuse
        desk = world.boot()
        await asyncio.sleep(30)
        assert not desk.account_reconciler._running
        world.accounts.add_finalizer = put
        await desk.ready()
        assert world.accounts.record.finalizer
        assert world.accounts.record.status.holder == "this-process"

    story(tell)


@pytest.mark.proves("rule 11", "H25")
def test_a_deleted_account_stays_while_an_intent_uses_it_sends_nothing_and_goes_once_it_is_cancelled():
    async def tell(world):
        await world.start()
        await open_order(world)
        world.accounts.delete(world.accounts.first)
        await until(lambda: ready(world).reason == "Deleting")
        assert "deletionPolicy: Orphan" in ready(world).message
        world.store.create("b", a_spec())
        await asyncio.sleep(60)
        assert world.accounts.all()
        assert len(world.exchange.orders_by_id) == 1, "nothing new is sent"
        world.store.edit("a", a_spec(desiredState="Canceled"))
        world.store.delete("b")
        await until(lambda: not world.accounts.all())
        assert [order.status for order in world.exchange.orders_by_id.values()] == [OrderStatus.CANCELED]
        assert not world.desk.account_reconciler._running

    story(tell)


def test_or_once_its_orders_are_left_behind():
    async def tell(world):
        await world.start()
        await open_order(world, deletionPolicy="Orphan")
        world.accounts.delete(world.accounts.first)
        world.store.delete("a")
        await until(lambda: not world.accounts.all())
        assert [order.status for order in world.exchange.orders_by_id.values()] == [OrderStatus.OPEN]

    story(tell)


def test_it_stays_until_a_force_deleted_intents_order_is_cancelled():
    async def tell(world):
        await world.start()
        await open_order(world)
        world.exchange.reachable = False
        world.store._remove("a")
        world.accounts.delete(world.accounts.first)
        await asyncio.sleep(30)
        assert world.accounts.all()
        world.exchange.reachable = True
        await until(lambda: not world.accounts.all())
        assert all(order.status.ended for order in world.exchange.orders_by_id.values())

    story(tell)


def test_a_draining_account_is_still_swept():
    async def tell(world):
        await world.start()
        client_order_id = await open_order(world)
        world.accounts.delete(world.accounts.first)
        await asyncio.sleep(10)
        world.exchange.fill(client_order_id, "1", tell=False)
        await until(lambda: not world.accounts.all(), within=30)
        assert world.status("a").state is OrderState.FILLED

    story(tell)


# ── One object for one account at the exchange ──────────────────────────────────────────────────────────────────────────────────────────────

def rival(world, age_ms: int, uid: str = "bbbb-rival", **changes) -> str:
    world.accounts.records[uid] = replace(an_account_record(), uid=uid, namespace="other", created_ms=T0 + age_ms, **changes)
    return uid


@pytest.mark.proves("rule 13")
@pytest.mark.parametrize("at_once", [True, False], ids=["both at once", "one after the other"])
def test_the_older_of_two_objects_on_one_account_stays_and_the_other_recovers_when_it_is_gone(at_once):
    async def tell(world):
        world.accounts.record = replace(world.accounts.record, created_ms=T0)
        if not at_once:
            await world.start()
        younger = rival(world, 1000)
        world.boot() if at_once else world.desk.account_keys.wake(younger)
        await until(lambda: ready(world, younger) is not None and ready(world, younger).reason == "AnotherExchangeAccount")
        await until(lambda: is_ready(world))
        await asyncio.sleep(30)
        assert is_ready(world)
        assert not is_ready(world, younger)
        world.accounts.delete(world.accounts.first)
        await until(lambda: is_ready(world, younger))
        world.accounts.first = younger

    story(tell)


def test_an_older_object_that_comes_to_the_account_later_waits_until_the_younger_has_made_room():
    async def tell(world):
        await world.start()
        older = rival(world, -1000)
        both = []
        world.desk.account_keys.wake(older)

        def settled():
            both.append(is_ready(world) and is_ready(world, older))
            return is_ready(world, older)

        await until(settled)
        assert not any(both)
        await until(lambda: ready(world).reason == "AnotherExchangeAccount")

    story(tell)


def test_a_refused_object_can_still_cancel_what_it_has_at_the_exchange():
    async def tell(world):
        await world.start()
        await open_order(world)
        older = rival(world, -1000)
        world.desk.account_keys.wake(older)
        await until(lambda: is_ready(world, older))
        assert world.accounts.get(older).status.orphan_orders == 0, "another object's intent explains it"
        world.store.edit("a", a_spec(desiredState="Canceled"))
        await until(lambda: world.status("a").completion_time is not None)
        world.store.create("b", a_spec())
        await asyncio.sleep(30)
        assert [order.status for order in world.exchange.orders_by_id.values()] == [OrderStatus.CANCELED], "and sends nothing"

    story(tell)


def test_simulated_exchanges_at_two_addresses_are_two_exchanges():
    async def tell(world):
        spec = an_account_record(endpoint={"rest": "http://sim-2"}).spec
        other = rival(world, 1000, spec=spec)
        await world.start()
        await until(lambda: is_ready(world) and is_ready(world, other))

    story(tell)


# ── Keys ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

def test_newer_keys_of_the_same_account_are_used_from_the_next_sweep_on():
    async def tell(world):
        await world.start()
        await open_order(world)
        world.exchange.secret = "newer keys"
        await until(lambda: world.exchange.opened_with == "newer keys")
        await until(lambda: is_ready(world))
        await open_order(world, "b")

    story(tell)


def test_refused_keys_end_the_session_and_it_begins_again_once_the_secret_has_good_ones():
    async def tell(world):
        await world.start()
        world.exchange.refused_keys.add("keys")
        await until(lambda: ready(world).reason == "Refused")
        world.exchange.secret = "newer keys"
        await until(lambda: is_ready(world))

    story(tell)


@pytest.mark.proves("rule 13", "H17")
def test_h17_keys_of_another_account_stop_everything_until_the_old_ones_are_back():
    async def tell(world):
        await world.start()
        world.exchange.secret = "another's keys"
        await until(lambda: ready(world).reason == "AnotherAccount")
        world.store.create("a", a_spec())
        await asyncio.sleep(60)
        assert not world.exchange.orders_by_id
        world.exchange.secret = "keys"
        await until(lambda: is_ready(world))
        await until(lambda: world.status("a").state is OrderState.OPEN, within=120)

    story(tell)
