"""Accounts whose fake exchange answers somebody else's account id, told in virtual time: they take nothing from whom it belongs to (rule 13)."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace

import pytest

from exchange_kernel.api import ExchangeAccountStatus
from exchange_kernel.reconcile.ports import NotConnectable
from tests.builders import T0
from tests.scripted import ScriptedExchange, World, an_account_record, until
from tests.virtual_time import run

NOT_ALLOWED = NotConnectable("Connected", "EndpointNotAllowed", "Leave spec.endpoint out.", person=True)
LIVE = {"environment": "Live", "endpoint": None}
FAKE = {"environment": "Live", "endpoint": {"rest": "https://fake.example.com"}}
PINNED = ExchangeAccountStatus(fingerprint="42")


class Told:
    """Every Event of an account, as one text."""

    def __init__(self):
        self.notes = []

    def account_event(self, account, type, reason, note):
        self.notes.append(note)

    def order_event(self, order, event):
        self.notes.append(event.note)

    def group_event(self, group, event): ...


@contextlib.asynccontextmanager
async def a_desk(**spec):
    world = World(**spec)
    world.accounts.record = replace(world.accounts.record, created_ms=T0)
    world.events = Told()
    try:
        yield world
    finally:
        if world.desk is not None:
            await world.desk.stop()


def another(world, name, *, age_ms=-1000, namespace="secretive-desk", status=PINNED, exchange=None, **spec):
    """An object of somebody else's, by default older and with my account's id in its status."""
    record, uid = an_account_record(**spec), f"bbbb-{name}"
    world.accounts.records[uid] = replace(record, uid=uid, namespace=namespace, name=f"{name}-account", created_ms=T0 + age_ms, status=status)
    if exchange is not None:
        world.exchanges[uid] = exchange
    return uid


def an_exchange(**changes) -> ScriptedExchange:
    exchange = ScriptedExchange()
    for name, value in changes.items():
        setattr(exchange, name, value)
    return exchange


def conditions(world, uid=None):
    return {one.type: one for one in world.accounts.get(uid or world.accounts.first).status.conditions}


def ready(world, uid=None):
    return "Ready" in (found := conditions(world, uid)) and found["Ready"].status == "True"


def edit(world, uid, **spec):
    record = world.accounts.get(uid)
    world.accounts.put(replace(record, spec=an_account_record(**spec).spec, generation=record.generation + 1))


@pytest.mark.proves("rule 13")
def test_they_pinned_my_account_through_a_fake_endpoint_before_the_upgrade_and_i_trade():
    async def tell():
        async with a_desk(**LIVE) as world:
            squatter = another(world, "squatter", exchange=an_exchange(cannot_open=NOT_ALLOWED), **FAKE)
            world.boot()
            await until(lambda: ready(world))
            assert conditions(world, squatter)["Ready"].reason == "EndpointNotAllowed"
            assert conditions(world, squatter)["Stalled"].status == "True"
            await asyncio.sleep(60)
            assert ready(world)

    run(tell())


def test_then_they_took_the_endpoint_off_so_that_it_looks_like_mine():
    async def tell():
        async with a_desk(**LIVE) as world:
            fake = an_exchange(cannot_open=NOT_ALLOWED)
            squatter = another(world, "squatter", exchange=fake, **FAKE)
            world.boot()
            await until(lambda: ready(world))
            fake.cannot_open = None
            fake.refused_keys = {"keys"}                    # at the venue itself they have none
            edit(world, squatter, **LIVE)
            await until(lambda: conditions(world, squatter)["Ready"].reason == "Refused")
            await world.crash()
            world.boot()
            await asyncio.sleep(60)
            assert ready(world)

    run(tell())


@pytest.mark.parametrize("refusal", ["Refused", "AnotherAccount"])
def test_or_they_took_it_off_before_the_upgrade_and_the_venue_itself_says_otherwise(refusal):
    async def tell():
        async with a_desk(**LIVE) as world:
            venue = an_exchange(refused_keys={"keys"}) if refusal == "Refused" else an_exchange(secret="another's keys")
            squatter = another(world, "squatter", exchange=venue, **LIVE)
            world.boot()
            await until(lambda: ready(world))
            assert conditions(world, squatter)["Ready"].reason == refusal

    run(tell())


@pytest.mark.proves("rule 13")
def test_their_simulated_exchange_has_my_accounts_number_and_they_move_it_to_the_address_of_mine():
    async def tell():
        async with a_desk() as world:
            theirs = an_exchange()
            squatter = another(world, "squatter", status=ExchangeAccountStatus(), exchange=theirs, endpoint={"rest": "http://theirs"})
            await world.start()
            await until(lambda: ready(world, squatter))
            theirs.refused_keys = {"keys"}
            edit(world, squatter, endpoint={"rest": "http://sim"})
            await until(lambda: conditions(world, squatter)["Ready"].reason == "Refused")
            await asyncio.sleep(60)
            assert ready(world)

    run(tell())


def test_a_gateway_that_is_not_allowed_any_more_keeps_nobody_out():
    async def tell():
        async with a_desk(**LIVE) as world:
            gateway = an_exchange()
            squatter = another(world, "squatter", status=ExchangeAccountStatus(), exchange=gateway, **FAKE)
            world.boot()
            await until(lambda: ready(world, squatter))
            await until(lambda: conditions(world)["Ready"].reason == "AnotherExchangeAccount")
            await world.crash()
            gateway.cannot_open = NOT_ALLOWED               # the operator starts with another list
            world.boot()
            await until(lambda: ready(world))

    run(tell())


def test_two_objects_on_one_account_from_before_the_upgrade_stay_as_they_were():
    async def tell():
        async with a_desk(**LIVE) as world:
            world.accounts.record = replace(world.accounts.record, status=PINNED)
            younger = another(world, "younger", age_ms=1000, exchange=world.exchange, **LIVE)
            seen = []
            world.boot()
            for _ in range(1200):
                await asyncio.sleep(0.05)
                seen.append(ready(world, younger))
            assert ready(world)
            assert not any(seen)
            assert world.accounts.record.status.fingerprint_source == "Exchange"

    run(tell())


@pytest.mark.parametrize("spelled", ["http://SIM", "http://sim/", "http://sim:80", "http://sim."])
def test_one_simulated_exchange_is_one_however_its_address_is_spelled(spelled):
    async def tell():
        async with a_desk() as world:
            younger = another(world, "younger", age_ms=1000, status=ExchangeAccountStatus(), exchange=world.exchange, endpoint={"rest": spelled})
            await world.start()
            await until(lambda: conditions(world, younger)["Ready"].reason == "AnotherExchangeAccount")
            assert ready(world)

    run(tell())


@pytest.mark.parametrize("age_ms", [-1000, 1000], ids=["an older one comes", "a younger one comes"])
def test_i_am_not_told_whose_the_other_object_is(age_ms):
    async def tell():
        async with a_desk(**LIVE) as world:
            await world.start()
            other = another(world, "other", age_ms=age_ms, status=ExchangeAccountStatus(), exchange=world.exchange, **LIVE)
            world.desk.account_keys.wake(other)
            refused = world.accounts.first if age_ms < 0 else other
            await until(lambda: "Ready" in conditions(world, refused) and conditions(world, refused)["Ready"].reason == "AnotherExchangeAccount")
            told = [one.message for uid in world.accounts.records for one in conditions(world, uid).values()] + world.events.notes
            assert any("another ExchangeAccount of this installation" in text for text in told)
            assert not [text for text in told if "secretive-desk" in text or "other-account" in text or "default/" in text]

    run(tell())


def test_of_my_own_namespace_i_am_told_which_it_is():
    async def tell():
        async with a_desk(**LIVE) as world:
            await world.start()
            other = another(world, "other", age_ms=1000, namespace="default", status=ExchangeAccountStatus(), exchange=world.exchange, **LIVE)
            world.desk.account_keys.wake(other)
            await until(lambda: "Ready" in conditions(world, other) and conditions(world, other)["Ready"].reason == "AnotherExchangeAccount")
            assert "ExchangeAccount main of this namespace" in conditions(world, other)["Ready"].message

    run(tell())


