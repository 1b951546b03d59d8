"""The cluster fails, or one account does: what happened at the exchange is told when it can be, and nothing is sent for want of telling it."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import replace
from decimal import Decimal

import pytest

from exchange_kernel.api import OrderState
from exchange_kernel.core.answers import OrderStatus
from tests.builders import T0, a_spec
from tests.processes import Processes, ProcessLoop
from tests.scripted import ScriptedExchange, World, a_world, an_account_record, until
from tests.unit.interleavings.stories import orders_per_id
from tests.virtual_time import run


async def one_process(world: Processes):
    replica = world.boot("a")
    await until(lambda: replica.desk.account_reconciler._running and replica.desk.account_reconciler.all_ready())
    return replica


def api_server(world: Processes, down: bool) -> None:
    world.leases.suffer("down" if down else "up")
    for replica in world.replicas.values():
        replica.view.down = down


@pytest.mark.proves("rule 3", "rule 7", "F51")
def test_ten_minutes_without_an_api_server():
    """It goes away while one order rests, one is on its way and one is about to be refused. The Lease runs out, one order fills; then it is back."""

    async def tell():
        world = Processes(resyncSeconds=5)
        replica = await one_process(world)
        world.store.create("resting", a_spec())
        await until(lambda: world.status("resting").state is OrderState.OPEN)
        world.exchange.flight_s = 1.0
        world.store.create("on-its-way", a_spec())
        world.store.create("refused", a_spec(quantity="2000"))
        await until(lambda: world.exchange.calls.count("submit") == 3)
        api_server(world, down=True)
        term, before = replica.desk.session.term, world.store._version
        await asyncio.sleep(20)
        assert term.over.is_set(), "nobody can renew a Lease"
        world.exchange.fill(world.status("resting").client_order_id, "0.5", tell=False)
        await asyncio.sleep(580)
        assert world.store._version == before
        assert world.exchange.calls.count("submit") == 3
        assert len(world.exchange.orders_by_id) == 2
        api_server(world, down=False)
        await until(lambda: world.status("refused").completion_time is not None)
        await until(lambda: world.status("on-its-way").state is OrderState.OPEN)
        await until(lambda: world.status("resting").filled_quantity == Decimal("0.5"))
        await asyncio.sleep(30)
        # Nobody wrote to it meanwhile, so nobody sent it: the refusal that could not be written down still counts.
        assert world.status("refused").state is OrderState.REJECTED
        assert (world.exchange.calls.count("submit"), orders_per_id(world)) == (3, {1})
        await world.close()

    run(tell(), ProcessLoop)


@pytest.mark.proves("rule 3", "F51")
@pytest.mark.parametrize("failure", ["unavailable", "answer lost", "conflict"])
@pytest.mark.parametrize("policy", ["SendFirst", "WriteAhead"])
def test_writes_that_fail_after_the_exchange_has_acted_send_nothing_again(failure, policy):
    """The next three writes end badly, from the creation on: the status is written in the end, and the order was sent once."""

    async def tell():
        world = Processes(resyncSeconds=5, sendPolicy=policy)
        replica = await one_process(world)
        world.exchange.fills_at_once = True
        replica.view.failures = deque([failure] * 3)
        world.store.create("a", a_spec(type="Market", price=None))
        await until(lambda: world.status("a").completion_time is not None and not world.store.get("a").finalizer)
        assert (world.status("a").state, world.status("a").filled_quantity) == (OrderState.FILLED, 1)
        assert world.exchange.calls.count("submit") == 1
        assert len(replica.view.failures) <= 1
        await world.close()

    run(tell(), ProcessLoop)


@pytest.mark.proves("rule 14")
@pytest.mark.parametrize("what", ["silent", "not answering orders", "refusing the keys"])
def test_one_accounts_exchange_fails_and_the_other_account_trades_on(what):
    """Two accounts at two exchanges: whatever the first one's does, the second one's orders are sent, filled and told in time."""

    async def tell():
        world = World()
        other = an_account_record(endpoint={"rest": "http://other"})
        world.accounts.records["bbbb-other"] = replace(other, uid="bbbb-other", name="other", created_ms=T0 + 1)
        bad, good = world.exchange, ScriptedExchange()
        world.exchanges["bbbb-other"] = good
        await world.start()
        if what == "silent":
            bad.reachable = False
        elif what == "not answering orders":
            for call in ("submit", "lookup"):
                setattr(bad, call, hangs)
        else:
            bad.refused_keys.add(bad.opened_with)
        for number in range(10):
            world.store.create(f"bad-{number}", a_spec())
        began = asyncio.get_running_loop().time()
        for number in range(10):
            world.store.create(f"good-{number}", a_spec(accountRef={"name": "other"}))
        await until(lambda: all(world.status(f"good-{number}").state is OrderState.OPEN for number in range(10)), within=1)
        assert asyncio.get_running_loop().time() - began < 0.2
        for order in list(good.orders_by_id.values()):
            good.fill(order.client_order_id, "1", tell=False)
        await until(lambda: all(world.status(f"good-{number}").completion_time is not None for number in range(10)), within=20)
        assert {order.status for order in good.orders_by_id.values()} == {OrderStatus.FILLED}
        world.desk.kill()
        world.desk = None

    run(tell())


async def hangs(*arguments, **named):
    await asyncio.Event().wait()


def stalled(world: World, uid: str) -> str | None:
    """The reason of the condition, if it is True."""
    return next((one.reason for one in world.status(uid).conditions if (one.type, str(one.status)) == ("Stalled", "True")), None)


@pytest.mark.proves("rule 3")
@pytest.mark.parametrize("restarted", [False, True], ids=["", "after a restart"])
def test_an_order_whose_account_never_was_goes_when_i_delete_it(restarted):
    """Nothing can have been sent for it: there is nothing to prove, and no account to be made usable again."""

    async def tell():
        async with a_world() as world:
            await world.start()
            world.store.create("typo", a_spec(accountRef={"name": "mian"}))
            await until(lambda: stalled(world, "typo") == "AccountNotFound")
            if restarted:
                await world.crash()
                await world.start()
            world.store.delete("typo")
            await until(lambda: world.store.get("typo") is None, within=10)

    run(tell())


@pytest.mark.proves("rule 3", "rule 11")
def test_an_order_that_was_sent_stays_though_somebody_took_its_account_away():
    async def tell():
        async with a_world() as world:
            await world.start()
            world.store.create("a", a_spec())
            await until(lambda: world.status("a").state is OrderState.OPEN)
            world.accounts.records.clear()
            world.accounts.changed(world.accounts.first)
            world.store.delete("a")
            await until(lambda: stalled(world, "a") == "AccountNotFound")
            await asyncio.sleep(600)
            assert world.store.get("a") is not None
            assert world.exchange.orders_by_id

    run(tell())
