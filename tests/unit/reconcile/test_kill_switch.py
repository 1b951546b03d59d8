"""The watch of the account is deaf: its connection died without a word. The kill switch holds all the same."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from exchange_kernel.api import OrderState
from exchange_kernel.reconcile.kill_switch import KNOWN_FOR_S, READ_EVERY_S
from exchange_kernel.stores.port import Conflict, Unavailable
from tests.builders import a_spec
from tests.scripted import LoopClock, OneAccount, World, an_account_record, until
from tests.unit.groups.desk import PERPETUAL, VENUE, an_oco
from tests.virtual_time import scenario


class Watched(OneAccount):
    """What the API server has of the account, and what a watch told of it: nothing more once it is `deaf`. Readings may fail, or hang."""

    def __init__(self, record) -> None:
        super().__init__(record)
        self.served, self.deaf, self.readable, self.hanging, self.readings = {record.uid: record}, False, True, False, 0

    def switch(self, mode: str) -> None:
        """As a user does."""
        record = self.served[self.first]
        self.served[self.first] = replace(record, spec=type(record.spec).model_validate({**record.spec.document(), "tradingMode": mode}),
                                          generation=record.generation + 1, resource_version=str(int(record.resource_version) + 1))
        if not self.deaf:
            super().put(self.served[self.first])

    def put(self, record):
        """An own write, on the newest version; what was known before is known from its answer."""
        newest = self.served[record.uid]
        if record.generation != newest.generation:
            return False
        self.served[record.uid] = replace(record, resource_version=str(int(newest.resource_version) + 1))
        return super().put(self.served[record.uid])

    async def write_status(self, record, status):
        return record.status == status or self.put(replace(self.records[record.uid], status=status))

    async def read(self, uid):
        self.readings += 1
        if self.hanging:
            await asyncio.sleep(5)
            self.hanging = False
            return Unavailable("No answer from the API server (SocketTimeoutError).")
        if not self.readable:
            return Unavailable("HTTP 503")
        if uid not in self.served:
            self.records.pop(uid, None)
            return None
        self.records[uid] = self.served[uid]
        return self.records[uid]


async def a_watched_world() -> World:
    world = World()
    world.rereads = True
    world.exchange.market, world.exchange.capabilities = PERPETUAL, VENUE
    world.accounts = Watched(an_account_record())
    await world.start()
    return world


def sent(world: World) -> int:
    return len(world.exchange.orders_by_id)


@pytest.mark.proves("rule 4")
@scenario
async def test_a_kill_switch_behind_a_deaf_watch_stops_the_orders_that_still_come():
    world = await a_watched_world()
    world.accounts.deaf = True
    world.accounts.switch("CancelOnly")
    at = LoopClock().monotonic()
    last_sent = at
    for number in range(120):
        before = sent(world)
        world.store.create(f"a-{number}", a_spec())
        await asyncio.sleep(0.25)
        if sent(world) > before:
            last_sent = LoopClock().monotonic()
    assert last_sent - at <= READ_EVERY_S + 0.5
    assert world.status("a-119").state is OrderState.PENDING
    assert next(one for one in world.status("a-119").conditions if one.type == "Ready").reason == "TradingModeCancelOnly"
    assert world.accounts.record.status.trading_mode == "CancelOnly", "and status shows it"
    world.accounts.switch("Enabled")
    await until(lambda: world.status("a-119").state is OrderState.OPEN, within=READ_EVERY_S + 1)
    await world.desk.stop()


@pytest.mark.proves("rule 4")
@scenario
async def test_where_the_account_can_t_be_read_sends_wait_and_cancels_go():
    world = await a_watched_world()
    world.store.create("open", a_spec())
    await until(lambda: world.status("open").state is OrderState.OPEN)
    world.accounts.deaf, world.accounts.readable = True, False
    world.accounts.switch("CancelOnly")
    await asyncio.sleep(KNOWN_FOR_S)
    world.store.create("late", a_spec())
    await asyncio.sleep(5)
    assert sent(world) == 1
    waiting = next(one for one in world.status("late").conditions if one.type == "Ready")
    assert waiting.reason == "TradingModeUnknown"
    world.store.edit("open", a_spec(desiredState="Canceled"))
    await until(lambda: world.status("open").state is OrderState.CANCELED, within=10)
    world.accounts.switch("Enabled")
    world.accounts.readable = True
    await until(lambda: world.status("late").state is OrderState.OPEN, within=3)
    await world.desk.stop()


@pytest.mark.proves("rule 4")
@scenario
async def test_an_order_that_waits_for_the_exchange_s_rate_budget_is_held_at_the_wire_too():
    world = await a_watched_world()
    world.exchange.budget_s = 20.0
    world.accounts.deaf = True
    world.store.create("a", a_spec())
    await asyncio.sleep(1)
    world.accounts.switch("CancelOnly")
    await asyncio.sleep(60)
    assert sent(world) == 0
    await world.desk.stop()


@pytest.mark.proves("rule 4")
@scenario
async def test_a_group_behind_a_deaf_watch_is_not_sent_either():
    world = await a_watched_world()
    world.groups.create("before", an_oco())
    await until(lambda: sent(world) == 2)
    world.accounts.deaf = True
    world.accounts.switch("CancelOnly")
    await asyncio.sleep(READ_EVERY_S + 1)
    world.groups.create("pair", an_oco())
    await asyncio.sleep(30)
    assert sent(world) == 2
    await world.desk.stop()


@scenario
async def test_one_reading_that_hangs_for_its_whole_time_holds_no_order_up():
    world = await a_watched_world()
    await asyncio.sleep(READ_EVERY_S * 3 - 0.5)
    world.accounts.hanging = True
    for number in range(60):
        world.store.create(f"a-{number}", a_spec())
        await until(lambda number=number: world.status(f"a-{number}").state is OrderState.OPEN, within=0.2)
        await asyncio.sleep(0.25)
    await world.desk.stop()


@scenario
async def test_orders_cost_no_reading_each_and_an_idle_account_one_in_a_few_seconds():
    world = await a_watched_world()
    world.accounts.readings = 0
    for number in range(200):
        world.store.create(f"a-{number}", a_spec())
        await asyncio.sleep(0.1)
    assert world.accounts.readings <= 20 / READ_EVERY_S + 1
    await world.desk.stop()


@scenario
async def test_an_account_that_was_deleted_behind_a_deaf_watch_has_nothing_sent():
    world = await a_watched_world()
    world.accounts.deaf = True
    world.accounts.served.clear()
    await asyncio.sleep(READ_EVERY_S + 1)
    world.store.create("a", a_spec())
    await asyncio.sleep(30)
    assert sent(world) == 0
    await world.desk.stop()


@pytest.mark.proves("rule 4", "rule 6")
@scenario
async def test_an_order_that_waited_and_was_cancelled_behind_a_deaf_watch_of_orders_is_not_sent():
    """It is written ahead, at the version that is known: the API server refuses that, and the cancel is read."""
    world = await a_watched_world()
    world.accounts.switch("CancelOnly")
    await asyncio.sleep(1)
    world.store.create("a", a_spec(type="Market", price=None))
    await until(lambda: world.status("a").observed_generation > 0)
    cancelled, write = replace(world.store.get("a"), spec=a_spec(type="Market", price=None, desiredState="Canceled"), generation=2, resource_version="99"), world.store.write_status

    async def refused_once(record, status):
        world.store.write_status = write
        world.store._know(cancelled)
        return Conflict()

    world.store.write_status = refused_once
    world.accounts.switch("Enabled")
    await until(lambda: world.status("a").state is OrderState.CANCELED)
    assert "submit" not in world.exchange.calls
    await world.desk.stop()
