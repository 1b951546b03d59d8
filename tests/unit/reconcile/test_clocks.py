"""Clocks that are wrong: the operator's machine's, the API server's, the exchange's. No deadline is denied or forgotten for one of them."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import formatdate

import pytest

from exchange_kernel.api import OrderState
from exchange_kernel.kube.server_time import ServerClock
from tests.builders import a_spec, a_venue
from tests.scripted import LoopClock, World, until
from tests.virtual_time import scenario

SIX_MINUTES = 360


class Machine:
    """The operator's: its clock is off, and the API server's answers come to it as renewals of its Lease do."""

    def __init__(self, off: float) -> None:
        self.off = off
        self.clock = ServerClock(asyncio.get_running_loop().time, lambda: LoopClock().wall_ms() / 1000 + self.off)
        self.answers = asyncio.create_task(self._answers())

    async def _answers(self) -> None:
        while True:
            asked_at = self.clock.monotonic()
            await asyncio.sleep(0.01)
            date = formatdate(LoopClock().wall_ms() // 1000, usegmt=True)
            await asyncio.sleep(0.01)
            self.clock.heard(date, asked_at, self.clock.monotonic())
            await asyncio.sleep(1.48)


async def a_world_on(machine: Machine) -> World:
    world = World()
    world.clock = lambda: machine.clock
    await world.start()
    return world


async def in_mode(world: World, mode: str) -> None:
    record = world.accounts.record
    world.accounts.record = replace(record, spec=type(record.spec).model_validate({**record.spec.document(), "tradingMode": mode}))
    world.desk.account_keys.wake(record.uid)
    await asyncio.sleep(0.1)


@pytest.mark.parametrize("off", [SIX_MINUTES, -SIX_MINUTES])
@scenario
async def test_an_operator_six_minutes_off_sends_what_is_in_time_and_denies_what_is_not(off):
    world = await a_world_on(Machine(off))
    world.store.create("a", a_spec())
    await until(lambda: world.status("a").state is OrderState.OPEN, within=5)

    await in_mode(world, "CancelOnly")
    began = LoopClock().wall_ms()
    world.store.create("b", a_spec(submitDeadlineSeconds=60))
    world.store.create("c", a_spec(submitDeadlineTime=datetime.fromtimestamp(began / 1000 + 60, UTC)))
    world.store.create("d", a_spec(submitDeadlineSeconds=60))
    await asyncio.sleep(58)
    assert {world.status(uid).state for uid in "bcd"} == {OrderState.PENDING}
    await in_mode(world, "Enabled")
    await until(lambda: {world.status(uid).state for uid in "bcd"} == {OrderState.OPEN}, within=1)
    await world.desk.stop()


@pytest.mark.parametrize("off", [SIX_MINUTES, -SIX_MINUTES])
@scenario
async def test_a_deadline_ends_at_the_right_time_by_a_clock_that_is_six_minutes_off(off):
    world = await a_world_on(Machine(off))
    await in_mode(world, "CancelOnly")
    deadline = datetime.fromtimestamp(LoopClock().wall_ms() / 1000 + 60, UTC)
    world.store.create("b", a_spec(submitDeadlineSeconds=60))
    world.store.create("c", a_spec(submitDeadlineTime=deadline))
    await asyncio.sleep(63)
    await in_mode(world, "Enabled")
    await until(lambda: {world.status(uid).state for uid in "bc"} == {OrderState.DENIED}, within=1)
    assert not world.exchange.orders_by_id
    for uid in "bc":
        late = world.status(uid).completion_time - deadline
        assert 0 <= late.total_seconds() <= 5, "and its status tells the API server's time"
    await world.desk.stop()


@pytest.mark.parametrize("step", [SIX_MINUTES, -SIX_MINUTES])
@scenario
async def test_the_operator_s_clock_is_stepped_while_an_order_waits(step):
    machine = Machine(0)
    world = await a_world_on(machine)
    await in_mode(world, "CancelOnly")
    world.store.create("a", a_spec(submitDeadlineSeconds=60))
    await asyncio.sleep(20)
    machine.off = step
    await asyncio.sleep(38)
    assert world.status("a").state is OrderState.PENDING
    await asyncio.sleep(5)
    await in_mode(world, "Enabled")
    await until(lambda: world.status("a").state is OrderState.DENIED, within=1)
    await world.desk.stop()


@scenario
async def test_time_suspended_is_the_same_for_two_operators_whose_clocks_are_twelve_minutes_apart():
    world = await a_world_on(Machine(SIX_MINUTES))
    world.store.create("a", a_spec(suspend=True, submitDeadlineSeconds=60))
    await until(lambda: world.status("a").suspend_time is not None)
    await asyncio.sleep(300)
    await world.crash()
    other = Machine(-SIX_MINUTES)
    world.clock = lambda: other.clock
    await world.start()
    world.store.edit("a", a_spec(submitDeadlineSeconds=60))
    await until(lambda: world.status("a").state is OrderState.OPEN, within=30)
    await world.desk.stop()


@scenario
async def test_without_a_date_from_the_api_server_the_operator_s_own_clock_is_used():
    machine = Machine(0)
    machine.answers.cancel()
    world = await a_world_on(machine)
    world.store.create("a", a_spec())
    await until(lambda: world.status("a").state is OrderState.OPEN, within=5)
    await world.desk.stop()


# ── The exchange's ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

@pytest.mark.parametrize("off_s", [SIX_MINUTES, -SIX_MINUTES])
@scenario
async def test_expire_time_is_judged_by_the_exchange_s_clock_for_the_exchange_ends_the_order_by_it(off_s):
    world = World()
    world.exchange.capabilities, world.exchange.clock_jump_ms = a_venue(times_in_force=frozenset({"GTC", "GTD"})), off_s * 1000
    await world.start()
    in_three_minutes = datetime.fromtimestamp(LoopClock().wall_ms() / 1000 + 180, UTC)
    world.store.create("a", a_spec(timeInForce="GTD", expireTime=in_three_minutes))
    await until(lambda: world.status("a").state is (OrderState.DENIED if off_s > 0 else OrderState.OPEN), within=5)
    await world.desk.stop()


@pytest.mark.proves("rule 5")
@pytest.mark.parametrize("off_s", [0, SIX_MINUTES, -SIX_MINUTES])
@scenario
async def test_an_order_is_looked_for_since_its_creation_by_the_exchange_s_clock(off_s):
    """Where the exchange is six minutes behind, its lists since the object's creation would begin six minutes too late."""
    world = World()
    world.exchange.clock_jump_ms = off_s * 1000
    await world.start()
    await world.crash()
    at_the_exchange = world.exchange.now_ms()
    world.store.create("a", a_spec())
    since, trades = [], world.exchange.trades

    async def asked(symbol, *, since_ms=None, exchange_order_id=None):
        since.append(since_ms)
        return await trades(symbol, since_ms=since_ms, exchange_order_id=exchange_order_id)

    world.exchange.trades = asked
    await world.start()
    await until(lambda: world.status("a").state is OrderState.OPEN)
    passes = [asked_ms for asked_ms in since if asked_ms is not None]
    assert passes
    assert max(passes) <= at_the_exchange
    await world.desk.stop()


@pytest.mark.parametrize("off_s", [0, SIX_MINUTES, -SIX_MINUTES])
@scenario
async def test_the_sends_of_the_last_minute_are_counted_by_the_next_holder_whatever_the_exchange_s_clock_says(off_s):
    world = World()
    world.exchange.clock_jump_ms = off_s * 1000
    await world.start()
    for uid in "abc":
        world.store.create(uid, a_spec())
    await until(lambda: all(world.status(uid).state is OrderState.OPEN for uid in "abc"))
    await world.crash()
    desk = await world.start()
    assert desk.session.risk.sends.last_minute(LoopClock().monotonic()) == 3
    await world.desk.stop()
