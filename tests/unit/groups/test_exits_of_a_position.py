"""Exits of a position that the account holds already: read once, written down, and never more of it sold."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal

import pytest

from exchange_kernel.api import AmendQuantity, GroupDesiredState, OrderGroupSpec, OrderGroupStatus, RiskLimitSpec
from exchange_kernel.core.answers import Balance, Position, Unreachable
from tests.scripted import until
from tests.unit.groups.desk import a_group, a_group_world, a_member
from tests.unit.groups.test_added_orders import ended_by_the_exchange, sold
from tests.unit.groups.test_exit_sizes import BOTH, rest, working
from tests.virtual_time import scenario

OPEN = "Open"


def exits(*members: dict, position: str = "Account", **changes) -> OrderGroupSpec:
    members = members or (a_member("take", "TakeProfit", quantity=None), a_member("stop", "StopLoss", quantity=None))
    return a_group("Exits", *members, position=position, **changes)


@asynccontextmanager
async def a_holder(*, contracts: str | None = None, coins: str | None = None, locked: str = "0", amend: AmendQuantity = AmendQuantity.NONE):
    """An account that holds so much already: contracts of a perpetual, or coins on spot."""
    async with a_group_world() as world:
        if coins is not None:
            world.on_spot()
            world.exchange.keeps_lists = True
            world.exchange.held_balances = [Balance("BTC", Decimal(coins), Decimal(locked))]
        if contracts is not None:
            world.exchange.held_positions = [Position("BTC/USDT", "Net", Decimal(contracts))]
        world.exchange.capabilities = replace(world.exchange.capabilities, amend=amend)
        await world.start()
        yield world


async def unreachable(symbol=None) -> Unreachable:
    return Unreachable("silent")


@BOTH
@scenario
async def test_a_position_that_was_there_gets_a_stop_and_a_take_of_its_size(amend):
    async with a_holder(contracts="10", amend=amend) as world:
        world.place(exits())
        await world.settle(take=OPEN, stop=OPEN)
        assert (working(world, "take"), working(world, "stop")) == (10, 10)
        assert world.group().status.position == 10
        assert {one.name for one in world.group().status.members} == {"take", "stop"}
        assert world.intent("stop").spec.position_effect == "ReduceOnly"
        await until(lambda: world.condition("Protected") == ("True", "StopWorking"))
        assert world.condition("Ready") == ("True", "Working")
        world.fill("take", "4")
        await rest(world, take=6, stop=6)
        world.fill("stop", "6")
        await world.finished()
        assert world.condition("Succeeded") == ("True", "Closed")
        assert sold(world) == 10
        assert not world.live()


@pytest.mark.parametrize(("asked", "closed"), [("4", 4), ("25", 10), ("Account", 10)])
@scenario
async def test_a_quantity_is_no_more_than_what_is_held(asked, closed):
    async with a_holder(contracts="10") as world:
        world.place(exits(position=asked))
        await rest(world, take=closed, stop=closed)
        assert world.group().status.position == closed


@scenario
async def test_takes_share_the_position_and_a_short_one_is_bought_back():
    async with a_holder(contracts="-10") as world:
        halves = [a_member(f"take{number}", "TakeProfit", side="Buy", price="40000", quantity=None, quantityPercent="50") for number in (1, 2)]
        world.place(exits(*halves, a_member("stop", "StopLoss", side="Buy", triggerPrice="55000", quantity=None)))
        await rest(world, take1=5, take2=5, stop=10)


@scenario
async def test_on_spot_what_is_free_is_held_and_one_list_keeps_both():
    async with a_holder(coins="10", locked="3") as world:
        world.place(exits(onPartialFill="Cancel"))
        await world.settle(take=OPEN, stop=OPEN)
        assert world.group().status.native is True
        assert (working(world, "take"), working(world, "stop")) == (10, 10)
        world.fill("take", "10")
        await world.finished()
        assert world.condition("Succeeded") == ("True", "Closed")


@scenario
async def test_on_spot_a_stop_alone_needs_no_list():
    async with a_holder(coins="10") as world:
        world.place(exits(a_member("stop", "StopLoss", quantity=None)))
        await rest(world, stop=10)
        world.fill("stop", "10")
        await world.finished()
        assert world.condition("Succeeded") == ("True", "Closed")


@scenario
async def test_two_exits_on_spot_that_are_not_one_list_are_denied_whole():
    async with a_holder(coins="10") as world:
        world.place(exits())
        await world.finished()
        assert world.condition("Succeeded") == ("False", "NeedsNativeGroup")
        assert not world.exchange.orders_by_id


@scenario
async def test_who_holds_nothing_waits_for_it_and_is_denied_at_the_deadline():
    async with a_holder(contracts="0") as world:
        world.place(exits())
        await until(lambda: world.condition("Ready") == ("False", "NoPosition"))
        assert world.condition("Reconciling")[0] == "True"
        world.exchange.held_positions = [Position("BTC/USDT", "Net", Decimal(5))]
        await rest(world, take=5, stop=5)
    async with a_holder(contracts="0") as world:
        world.place(exits())
        await until(lambda: world.group().finished, within=400)
        assert world.condition("Succeeded") == ("False", "SubmitDeadlineExceeded")
        assert not world.exchange.orders_by_id


@scenario
async def test_a_reading_that_fails_guesses_nothing():
    async with a_holder(contracts="10") as world:
        read, world.exchange.positions = world.exchange.positions, unreachable
        world.place(exits())
        await asyncio.sleep(60)
        assert world.condition("Ready") == ("False", "PositionUnknown")
        assert not world.exchange.orders_by_id
        world.exchange.positions = read
        await world.settle(take=OPEN, stop=OPEN)


@scenario
async def test_what_was_read_first_holds_after_a_restart():
    async with a_holder(contracts="10") as world:
        world.place(exits())
        await until(lambda: world.group().status.position is not None)
        world.desk.kill()
        world.exchange.held_positions = [Position("BTC/USDT", "Net", Decimal(20))]
        await world.start()
        await rest(world, take=10, stop=10)
        world.fill("take", "3")
        world.exchange.held_positions = [Position("BTC/USDT", "Net", Decimal(17))]
        world.desk.kill()
        await world.start()
        await rest(world, take=7, stop=7)
        assert world.group().status.position == 10


@scenario
async def test_a_stop_on_the_wrong_side_of_the_market_sells_nothing():
    async with a_holder(contracts="10") as world:
        world.place(exits(a_member("stop", "StopLoss", quantity=None, triggerPrice="65000")))
        await world.finished()
        assert world.condition("Succeeded") == ("False", "WrongSide")
        assert not world.exchange.orders_by_id


@scenario
async def test_limits_of_size_hold_no_exit_back_up_to_what_is_held():
    async with a_holder(contracts="10") as world:
        world.limits.put("desk", RiskLimitSpec.model_validate({
            "maxOrderNotional": [{"asset": "USDT", "amount": "1"}], "maxPosition": [{"symbol": "BTC/USDT", "quantity": "1"}],
        }))
        world.place(exits())
        await rest(world, take=10, stop=10)


@scenario
async def test_a_stop_that_the_exchange_cancelled_is_told_and_not_sent_again():
    async with a_holder(contracts="10") as world:
        world.place(exits())
        await world.settle(take=OPEN, stop=OPEN)
        ended_by_the_exchange(world, "stop")
        await until(lambda: world.condition("Protected") == ("False", "StopGone"))
        assert world.condition("Stalled") == ("True", "StopGone")
        assert world.condition("Ready")[0] == "False"
        await asyncio.sleep(30)
        assert world.intent("stop-2") is None


@scenario
async def test_deleting_the_group_leaves_the_stop_of_what_is_held():
    async with a_holder(contracts="10") as world:
        world.place(exits())
        await world.settle(take=OPEN, stop=OPEN)
        world.groups.delete("pair")
        await until(lambda: world.group() is None)
        assert world.live() == {"stop"}


@scenario
async def test_cancelled_with_all_its_orders_it_ends_and_says_that_the_position_is_open():
    async with a_holder(contracts="10") as world:
        world.place(exits(deletionPolicy="CancelAll", desiredState="Working"))
        await world.settle(take=OPEN, stop=OPEN)
        world.groups.edit("pair", world.group().spec.model_copy(update={"desired_state": GroupDesiredState.CANCELED}))
        await world.finished()
        assert not world.live()


@pytest.mark.parametrize("restarts", [False, True], ids=["the same process", "the next"])
@scenario
async def test_a_wiped_status_makes_the_position_no_smaller(restarts):
    """What is held by then lacks what was closed, and on spot what the exits lock."""
    async with a_holder(coins="10") as world:
        world.place(exits(a_member("stop", "StopLoss", quantity=None)))
        await rest(world, stop=10)
        world.fill("stop", "4")
        world.exchange.held_balances = [Balance("BTC", Decimal(0), Decimal(6))]
        await asyncio.sleep(5)
        if restarts:
            world.desk.kill()
        await world.groups.write_status(world.group(), OrderGroupStatus())
        if restarts:
            await world.start()
        await rest(world, stop=6)
        assert world.group().status.position == 10
        assert world.condition("Protected") == ("True", "StopWorking")
        world.fill("stop", "6")
        await world.finished()
        assert world.condition("Succeeded") == ("True", "Closed")
        assert sold(world) == 10


@pytest.mark.proves("rule 3")
@scenario
async def test_rule_3_a_stop_whose_object_and_status_are_gone_is_looked_for_before_one_is_sent():
    async with a_holder(contracts="10") as world:
        world.place(exits())
        await world.settle(take=OPEN, stop=OPEN)
        world.store.delete(world.intent("stop").uid)
        await until(lambda: world.intent("stop") is None)
        world.desk.kill()
        await world.groups.write_status(world.group(), OrderGroupStatus())
        await world.start()
        await asyncio.sleep(60)
        ids = [order.client_order_id for order in world.exchange.orders_by_id.values()]
        assert len(ids) == len(set(ids)), "one id, one order"


@scenario
async def test_cancelled_before_anything_is_held_it_ends():
    async with a_holder(contracts="0") as world:
        world.place(exits())
        await until(lambda: world.condition("Ready") == ("False", "NoPosition"))
        world.groups.edit("pair", world.group().spec.model_copy(update={"desired_state": GroupDesiredState.CANCELED}))
        await world.finished()
        assert world.condition("Succeeded") == ("True", "CanceledAsAsked")


@scenario
async def test_a_cancelled_group_whose_status_was_wiped_keeps_its_stop_and_says_so():
    async with a_holder(contracts="10") as world:
        world.place(exits())
        await world.settle(take=OPEN, stop=OPEN)
        world.groups.edit("pair", world.group().spec.model_copy(update={"desired_state": GroupDesiredState.CANCELED}))
        await asyncio.sleep(5)
        world.desk.kill()
        await world.groups.write_status(world.group(), OrderGroupStatus())
        await world.start()
        await rest(world, stop=10)
        assert world.condition("Protected") == ("True", "StopWorking")


@scenario
async def test_a_member_may_have_the_name_of_what_is_held():
    async with a_holder(contracts="10") as world:
        world.place(exits(a_member("held", "StopLoss", quantity=None), a_member("held-0", "TakeProfit", quantity=None)))
        await rest(world, **{"held": 10, "held-0": 10})
        world.fill("held", "4")
        await rest(world, **{"held": 6, "held-0": 6})
