"""A market's steps change under live orders: nobody edited them, so nothing is done to them (rule 10). Told in virtual time."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal

import pytest

from exchange_kernel.api import AmendQuantity, DriftPolicy, OrderState, OrderType
from exchange_kernel.core.answers import OrderStatus
from tests.builders import a_spec
from tests.scripted import World, until
from tests.unit.groups.desk import Groups, a_bracket, an_oco
from tests.unit.interleavings.stories import condition, live, open_order, orders_per_id, story, the_order
from tests.virtual_time import run

TICK_GROWS = {"price_step": Decimal("0.1")}
LOT_GROWS = {"quantity_step": Decimal("0.1"), "min_quantity": Decimal("0.1")}
TICK_HALVES = {"price_step": Decimal("0.005")}
LOT_HALVES = {"quantity_step": Decimal("0.000005"), "min_quantity": Decimal("0.000005")}

#: Off every coarser grid, and rounded on the old one.
SPEC = {"quantity": "1.050007", "price": "50000.057"}

GRIDS = pytest.mark.parametrize("grid", [TICK_GROWS, LOT_GROWS, TICK_GROWS | LOT_GROWS, TICK_HALVES, LOT_HALVES, TICK_HALVES | LOT_HALVES], ids=[
    "tick grows", "lot grows", "both grow", "tick halves", "lot halves", "both halve"])
RESTARTED = pytest.mark.parametrize("restarted", [False, True], ids=["same process", "after a restart"])
VENUES = pytest.mark.parametrize("amend", [AmendQuantity.NONE, AmendQuantity.TOTAL, AmendQuantity.DECREASE], ids=["replaces", "amends", "amends to less"])


def change(world: World, **steps) -> None:
    world.exchange.market = replace(world.exchange.market, **steps)


def quiet_since(world: World) -> list[str]:
    return [call for call in world.exchange.calls if call in ("submit", "cancel", "amend", "replace", "submit_group")]


async def swept(world: World, restarted: bool = False) -> None:
    """The new steps are known, and everything was looked at with them."""
    if restarted:
        await world.crash()
        await world.start()
    await asyncio.sleep(60)


@pytest.mark.proves("rule 10")
@GRIDS
@RESTARTED
@VENUES
def test_nobody_edited_my_order_so_a_new_tick_or_lot_does_nothing_to_it(grid, restarted, amend):
    async def tell(world):
        await open_order(world, **SPEC)
        before, asked, version = the_order(world), quiet_since(world), world.store.get("a").resource_version
        change(world, **grid)
        await swept(world, restarted)
        assert the_order(world) == before
        assert quiet_since(world) == asked
        assert condition(world, "Ready").status == "True"
        if not restarted:
            assert world.store.get("a").resource_version == version, "a change of the market alone writes nothing"

    story(tell, amend=amend)


@GRIDS
@RESTARTED
def test_my_stop_is_not_taken_off_the_exchange_for_a_moment(grid, restarted):
    async def tell(world):
        await open_order(world, type="StopMarket", price=None, triggerPrice="45000.057", quantity="1.050007", side="Sell", triggerPriceType="Last")
        before = the_order(world)
        change(world, **grid)
        await swept(world, restarted)
        assert the_order(world) == before
        assert condition(world, "Ready").status == "True"

    story(tell, order_types=frozenset({"Market", "Limit", "StopMarket"}), trigger_prices=frozenset({"Last"}))


@GRIDS
@RESTARTED
def test_what_i_edit_beside_the_terms_does_not_replace_it_either(grid, restarted):
    async def tell(world):
        await open_order(world, **SPEC)
        before, asked = the_order(world), quiet_since(world)
        change(world, **grid)
        await swept(world, restarted)
        for changes in ({"ttlSecondsAfterFinished": 60}, {"metadata": {"why": '"tidy"'}}, {"deletionPolicy": "Orphan"}, {"suspend": True}, {"suspend": False}):
            world.store.edit("a", a_spec(**SPEC, **changes))
            await asyncio.sleep(10)
        await swept(world, restarted)
        assert the_order(world) == before
        assert quiet_since(world) == asked
        assert world.status("a").observed_generation == world.store.get("a").generation

    story(tell)


@pytest.mark.proves("rule 10")
@RESTARTED
@pytest.mark.parametrize("amend", [AmendQuantity.NONE, AmendQuantity.TOTAL], ids=["replaces", "amends"])
def test_my_edit_is_made_on_the_new_steps_and_the_snapshot_says_so(restarted, amend):
    async def tell(world):
        await open_order(world, **SPEC)
        change(world, **TICK_GROWS, **LOT_GROWS)
        await swept(world, restarted)
        world.store.edit("a", a_spec(quantity="1.050007", price="49000.057"))
        await until(lambda: live(world) and live(world)[0].price == Decimal("49000.0"))
        await swept(world, restarted)
        (order,) = live(world)
        assert (order.quantity, order.price) == (Decimal("1.0"), Decimal("49000.0"))
        assert (world.status("a").market.quantity_step, world.status("a").market.price_step) == (Decimal("0.1"), Decimal("0.1"))
        assert condition(world, "Ready").status == "True"
        assert orders_per_id(world) == {1}
        before, asked = live(world), quiet_since(world)
        change(world, **TICK_HALVES, **LOT_HALVES)
        await swept(world, restarted)
        assert (live(world), quiet_since(world)) == (before, asked), "the same again, from the new snapshot on"

    story(tell, amend=amend)


@RESTARTED
def test_the_market_became_finer_and_i_edit_by_less_than_the_old_step(restarted):
    """On the old steps it would be the same order; on the new ones it is not."""

    async def tell(world):
        change(world, quantity_step=Decimal(1), min_quantity=Decimal(1))
        await swept(world)
        await open_order(world, quantity="5.2")
        assert the_order(world).quantity == 5
        change(world, quantity_step=Decimal("0.1"), min_quantity=Decimal("0.1"))
        await swept(world, restarted)
        assert the_order(world).quantity == 5
        world.store.edit("a", a_spec(quantity="5.4"))
        await until(lambda: [order.quantity for order in live(world)] == [Decimal("5.4")])

    story(tell)


def test_a_finer_market_does_not_buy_the_rest_of_what_i_never_edited():
    """5.2 was asked for as 5 of whole ones; it fills, and 0.2 could be ordered by now."""

    async def tell(world):
        change(world, quantity_step=Decimal(1), min_quantity=Decimal(1))
        await swept(world)
        client_order_id = await open_order(world, quantity="5.2")
        change(world, quantity_step=Decimal("0.1"), min_quantity=Decimal("0.1"))
        await swept(world)
        world.exchange.fill(client_order_id, "5")
        await until(lambda: world.status("a").completion_time is not None)
        assert world.status("a").state is OrderState.FILLED
        assert len(world.exchange.orders_by_id) == 1

    story(tell)


def test_an_edit_that_may_not_be_made_and_is_taken_back_leaves_it_as_it_was():
    async def tell(world):
        await open_order(world, modifyPolicy="Reject", **SPEC)
        before = the_order(world)
        change(world, **TICK_GROWS, **LOT_GROWS)
        await swept(world)
        world.store.edit("a", a_spec(modifyPolicy="Reject", quantity="1.050007", price="49000"))
        await until(lambda: condition(world, "Ready").reason == "ModifyNotPermitted")
        world.store.edit("a", a_spec(**SPEC))
        await until(lambda: condition(world, "Ready").status == "True")
        await swept(world)
        assert the_order(world) == before

    story(tell)


@pytest.mark.parametrize("policy", list(DriftPolicy))
def test_somebody_else_s_change_is_still_seen_after_the_steps_changed(policy):
    async def tell(world):
        await open_order(world, driftPolicy=str(policy), **SPEC)
        change(world, **TICK_GROWS, **LOT_GROWS)
        await swept(world)
        order = the_order(world)
        world.exchange._set(replace(order, price=Decimal("48000.0"), update_time_ms=world.exchange.now_ms()))
        if policy is DriftPolicy.REPORT:
            await until(lambda: condition(world, "Ready").reason == "Drifted")
        else:
            await until(lambda: live(world) and live(world)[-1].price == Decimal("50000.0"))
            assert live(world)[-1].quantity == Decimal("1.0"), "what is sent, is sent on the steps of now"
            await until(lambda: condition(world, "Ready").status == "True")

    story(tell)


def test_an_older_status_without_the_terms_is_compared_on_its_own_snapshot():
    async def tell(world):
        await open_order(world, **SPEC)
        before = the_order(world)
        await world.crash()
        record = world.store.get("a")
        world.store._put(replace(record, status=record.status.model_copy(update={"asked_terms": None}), resource_version=world.store._next()))
        change(world, **TICK_GROWS, **LOT_GROWS)
        await world.start()
        await swept(world)
        assert the_order(world) == before
        world.store.edit("a", a_spec(quantity="1.050007", price="49000.057"))
        await until(lambda: live(world) and live(world)[0].price == Decimal("49000.0"))

    story(tell)


class Desk(Groups, World):
    """Groups in one process."""


def of_groups(tell) -> None:
    async def whole() -> None:
        world = Desk()
        world.exchange.market = replace(world.exchange.market, quantity_step=Decimal("0.01"), min_quantity=Decimal("0.01"), price_step=Decimal("0.01"))
        await world.start()
        try:
            await tell(world)
        finally:
            await world.desk.stop()

    run(whole())


def working(world: Desk):
    return {(order.type, order.exchange_order_id): (order.quantity, order.price, order.trigger_price) for order in world.exchange.orders_by_id.values()
            if order.status is OrderStatus.OPEN}


@RESTARTED
@pytest.mark.parametrize("policy", ["Cancel", "Reduce"])
def test_both_orders_of_my_pair_stay_where_they_are(restarted, policy):
    async def tell(world):
        world.place(an_oco(onPartialFill=policy, nativePolicy="Never"))
        await until(lambda: len(working(world)) == 2)
        before, asked = working(world), quiet_since(world)
        change(world, quantity_step=Decimal(4), min_quantity=Decimal(4), price_step=Decimal(3))
        await swept(world, restarted)
        assert (working(world), quiet_since(world)) == (before, asked)

    of_groups(tell)


@RESTARTED
def test_the_exits_of_my_position_are_not_made_smaller_by_a_larger_lot(restarted):
    """The entry filled 0.15 of ten, one exit filled 0.05 of that: what is left is off the new lot, and nobody asked for less."""

    async def tell(world):
        world.place(a_bracket(nativePolicy="Never"))
        await until(lambda: len(working(world)) == 1)
        (entry,) = world.exchange.orders_by_id.values()
        world.exchange.fill(entry.client_order_id, "0.15")
        await until(lambda: len(working(world)) == 3)
        await asyncio.sleep(20)
        take = next(order for order in live(world) if order.type == OrderType.LIMIT and order.side == "Sell")
        world.exchange.fill(take.client_order_id, "0.05")
        await asyncio.sleep(60)
        stop = next(order for order in live(world) if order.type == OrderType.STOP_MARKET)
        assert stop.quantity == Decimal("0.10")
        before, asked = working(world), quiet_since(world)
        change(world, quantity_step=Decimal("0.04"), min_quantity=Decimal("0.04"), price_step=Decimal(3))
        await swept(world, restarted)
        assert (working(world), quiet_since(world)) == (before, asked)

    of_groups(tell)
