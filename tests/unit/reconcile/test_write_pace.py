"""The backstop of rule 17: a projection that never comes to rest can't starve the loop, and what is new is written at once all the same."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from exchange_kernel.api import FeeTotal, OrderState
from exchange_kernel.core.money import add
from exchange_kernel.reconcile import order_group, order_intent
from exchange_kernel.reconcile.write_pace import WritePace
from tests.builders import a_spec
from tests.scripted import until
from tests.unit.groups.desk import a_group, a_member
from tests.unit.interleavings.stories import finished, open_order, story
from tests.write_rate import WriteRate


@pytest.fixture
def never_at_rest(monkeypatch):
    """A status that differs at each look, as where fees are added to what was written before."""
    project = order_intent.project

    def grows(facts, decision):
        status = project(facts, decision)
        paid = facts.order.status.fees[0].amount if facts.order.status.fees else Decimal(0)
        return status.model_copy(update={"fees": [FeeTotal(asset="USDT", amount=add(paid, Decimal(1)))]})

    monkeypatch.setattr(order_intent, "project", grows)


@pytest.mark.proves("rule 14", "rule 17")
def test_a_status_that_never_comes_to_rest_is_written_ten_times_a_minute(never_at_rest):
    async def tell(world):
        writes = WriteRate(world)
        await open_order(world)
        await asyncio.sleep(600)
        writes.check()
        assert 50 < writes.total["a"] <= 120

    story(tell)


@pytest.mark.proves("rule 14", "rule 17")
def test_fills_cancels_and_ends_do_not_wait_for_it(never_at_rest):
    async def tell(world):
        client_order_id = await open_order(world)
        await asyncio.sleep(30)
        world.exchange.fill(client_order_id, "0.4")
        await until(lambda: world.status("a").state is OrderState.PARTIALLY_FILLED, within=0.3)
        await asyncio.sleep(30)
        world.store.edit("a", a_spec(desiredState="Canceled"))
        await until(lambda: "cancel" in world.exchange.calls, within=0.3)
        assert (await finished(world)).state is OrderState.CANCELED

    story(tell)


@pytest.mark.proves("rule 14", "rule 17")
def test_a_groups_status_that_never_comes_to_rest_is_written_ten_times_a_minute(monkeypatch):
    project, looks = order_group.group_status.project, iter(range(1_000_000))

    async def tell(world):
        writes: list[float] = []
        write = world.groups.write_status

        async def written(group, status):
            writes.append(asyncio.get_running_loop().time())
            return await write(group, status)

        world.groups.write_status = written
        monkeypatch.setattr(order_group.group_status, "project", lambda outlook, at: project(outlook, at).model_copy(update={"observed_generation": next(looks)}))
        world.groups.create("pair", a_group("Basket", a_member("leg")))
        await asyncio.sleep(600)
        assert 20 < len([at for at in writes if at > writes[0] + 60]) <= 100

    story(tell)


def test_a_clock_that_is_set_back_holds_nothing():
    now = [1_000_000]
    pace = WritePace("OrderIntent", lambda: now[0])
    for _ in range(10):
        pace.written("a", "fact")
    assert pace.wait_s("a", "fact") == 60
    assert pace.wait_s("a", "another") == 0
    now[0] -= 3_600_000
    assert pace.wait_s("a", "fact") == 0
