"""A position of several orders: takes that share it, entries that build it, and two stops that each cover it."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal

import pytest

from exchange_kernel.api import AmendQuantity, DesiredState, GroupDesiredState, OrderGroupSpec
from tests.scripted import until
from tests.unit.groups.desk import SPOT, VENUE, a_bracket, a_group, a_group_world, a_member
from tests.unit.groups.test_exit_sizes import BOTH, edit, rest
from tests.virtual_time import scenario

OPEN, CANCELED = "Open", "Canceled"
ALL = {"quantity": None}
TRAILING = {"type": "TrailingStop", "triggerPrice": None, "trailing": {"offset": "500", "unit": "BasisPoints"}}


def a_ladder(*percents: str, **changes) -> OrderGroupSpec:
    """An Entry, a stop for all of it, and takes of so many percent, each higher than the last."""
    takes = [
        a_member(f"take{number}", "TakeProfit", quantity=None, quantityPercent=percent, price=str(54000 + 1000 * number))
        for number, percent in enumerate(percents, 1)
    ]
    return a_group("Bracket", a_member("entry", "Entry"), *takes, a_member("stop", "StopLoss", **ALL), **changes)


def a_scale_in(**changes) -> OrderGroupSpec:
    """Two entries of 10, one below the other, with one stop and one take for what both fill."""
    return a_group(
        "Bracket", a_member("first", "Entry"), a_member("second", "Entry", price="48000"), a_member("take", "TakeProfit", **ALL),
        a_member("stop", "StopLoss", **ALL), **changes,
    )


def two_stops() -> OrderGroupSpec:
    """A fixed stop and one that trails."""
    return a_group("Bracket", a_member("entry", "Entry"), a_member("stop", "StopLoss", **ALL), a_member("trail", "StopLoss", **ALL, **TRAILING))


@asynccontextmanager
async def a_position(spec: OrderGroupSpec, amend: AmendQuantity = AmendQuantity.NONE, **filled: str):
    """The group, with its entries open and then filled so far."""
    async with a_group_world() as world:
        types = VENUE.order_types | {"TrailingStop"}
        world.exchange.capabilities = replace(VENUE, amend=amend, order_types=types, trailing_units=frozenset({"BasisPoints"}))
        await world.start()
        world.place(spec)
        await world.settle(**{member.name: OPEN for member in spec.members if member.role == "Entry" and member.type != "Market"})
        for name, quantity in filled.items():
            world.fill(name, quantity)
        yield world


def cancel(world, name: str) -> None:
    """A person wants this member gone."""
    members = [one.model_copy(update={"desired_state": DesiredState.CANCELED}) if one.name == name else one for one in world.group().spec.members]
    world.groups.edit("pair", world.group().spec.model_copy(update={"members": members}))


def never_more_than(world, quantity: int) -> bool:
    return sum(order.filled_quantity for order in world.exchange.orders_by_id.values() if order.side == "Sell") <= quantity


@BOTH
@scenario
async def test_each_take_of_a_ladder_shrinks_the_stop(amend):
    async with a_position(a_ladder("50", "30", "20"), amend, entry="10") as world:
        await rest(world, take1=5, take2=3, take3=2, stop=10)
        world.fill("take1", "5")
        await rest(world, take1=0, take2=3, take3=2, stop=5)
        assert world.condition("Protected") == ("True", "StopWorking")
        world.fill("take2", "3")
        await rest(world, take2=0, take3=2, stop=2)
        world.fill("take3", "2")
        await world.finished()
        assert world.condition("Succeeded") == ("True", "Closed")
        assert not world.live()


@BOTH
@scenario
async def test_a_ladder_follows_an_entry_that_fills_in_parts(amend):
    async with a_position(a_ladder("50", "50"), amend, entry="4") as world:
        await rest(world, take1=2, take2=2, stop=4)
        world.fill("entry", "6")
        await rest(world, take1=5, take2=5, stop=10)


@scenario
async def test_what_rounding_leaves_of_a_ladder_is_the_last_takes():
    async with a_position(a_ladder("50", "50"), entry="7") as world:
        await rest(world, take1=3, take2=4, stop=7)
        world.fill("take2", "4")
        await rest(world, take1=3, stop=3)
        world.fill("take1", "3")
        await world.finished()
        assert world.condition("Succeeded") == ("True", "Closed")


@scenario
async def test_a_ladder_of_less_than_all_leaves_the_rest_to_the_stop():
    async with a_position(a_ladder("30", "20"), entry="10") as world:
        await rest(world, take1=3, take2=2, stop=10)
        world.fill("take1", "3")
        world.fill("take2", "2")
        await rest(world, stop=5)
        assert world.condition("Protected") == ("True", "StopWorking")
        assert not world.group().finished


@scenario
async def test_the_stop_takes_a_part_and_the_takes_share_what_is_left():
    async with a_position(a_ladder("50", "50"), entry="10") as world:
        await rest(world, take1=5, take2=5, stop=10)
        world.fill("stop", "4")
        await rest(world, take1=3, take2=3, stop=6)
        world.fill("stop", "6")
        await world.finished()
        assert not world.live()
        assert never_more_than(world, 10)


@pytest.mark.parametrize("while_down", ["take1", "stop"])
@scenario
async def test_an_exit_of_a_ladder_that_fills_while_the_operator_is_down_is_found(while_down):
    async with a_position(a_ladder("50", "50"), entry="10") as world:
        await rest(world, take1=5, take2=5, stop=10)
        await world.crash()
        world.fill(while_down, "5")
        await world.start()
        await rest(world, **({"take1": 0, "take2": 5, "stop": 5} if while_down == "take1" else {"take1": 2, "take2": 3, "stop": 5}))
        assert world.condition("Protected") == ("True", "StopWorking")


@scenario
async def test_a_take_of_a_ladder_that_a_person_cancels_leaves_the_others_as_they_are():
    async with a_position(a_ladder("50", "50"), entry="10") as world:
        await rest(world, take1=5, take2=5, stop=10)
        cancel(world, "take2")
        await rest(world, take1=5, take2=0, stop=10)


@scenario
async def test_percentages_above_the_whole_are_denied():
    async with a_group_world() as world:
        await world.start()
        world.place(a_ladder("60", "50"))
        await world.finished()
        assert world.condition("Succeeded") == ("False", "ExitsLargerThanEntry")
        assert not world.exchange.orders_by_id


@scenario
async def test_a_share_too_small_to_be_an_order_is_denied_with_its_name():
    async with a_group_world() as world:
        await world.start()
        world.place(a_ladder("95", "5"))
        await world.finished()
        assert world.condition("Succeeded") == ("False", "TooSmallToProtect")
        assert not world.exchange.orders_by_id
        assert "take2" in next(one.message for one in world.group().status.conditions if one.type == "Succeeded")


@BOTH
@scenario
async def test_two_entries_that_fill_in_turn_have_one_stop_for_both(amend):
    async with a_position(a_scale_in(), amend, first="4") as world:
        await rest(world, first=6, second=10, take=4, stop=4)
        world.fill("second", "3")
        await rest(world, take=7, stop=7)
        world.fill("first", "6")
        world.fill("second", "7")
        await rest(world, take=20, stop=20)
        assert world.condition("Protected") == ("True", "StopWorking")
        world.fill("stop", "20")
        await world.finished()
        assert world.condition("Succeeded") == ("True", "Closed")
        assert not world.live()


@scenario
async def test_an_exits_fill_ends_every_entry():
    async with a_position(a_scale_in(), first="10") as world:
        await rest(world, second=10, take=10, stop=10)
        world.fill("take", "10")
        await world.finished()
        assert world.state("second") == CANCELED
        assert not world.live()
        assert world.condition("Succeeded") == ("True", "Closed")


@scenario
async def test_the_second_entry_fills_while_the_operator_is_down():
    async with a_position(a_scale_in(), first="10") as world:
        await rest(world, second=10, take=10, stop=10)
        await world.crash()
        world.fill("second", "5")
        await world.start()
        await rest(world, second=5, take=15, stop=15)


@scenario
async def test_an_entry_that_a_person_cancels_leaves_the_others_position_protected():
    async with a_position(a_scale_in(), first="4") as world:
        await rest(world, take=4, stop=4)
        cancel(world, "second")
        await rest(world, first=6, second=0, take=4, stop=4)
        assert world.condition("Protected") == ("True", "StopWorking")


@scenario
async def test_one_entry_edited_to_less_changes_nothing_of_what_is_open():
    async with a_position(a_scale_in(), first="4", second="4") as world:
        await rest(world, take=8, stop=8)
        edit(world, first="4", second="6")
        await rest(world, first=0, second=2, take=8, stop=8)


@scenario
async def test_entries_that_end_unfilled_leave_nothing():
    async with a_position(a_scale_in()) as world:
        world.groups.edit("pair", world.group().spec.model_copy(update={"desired_state": GroupDesiredState.CANCELED}))
        await world.finished()
        assert world.condition("Succeeded") == ("True", "CanceledAsAsked")
        assert not world.live()


@scenario
async def test_a_take_below_one_of_the_entries_is_denied():
    async with a_group_world() as world:
        await world.start()
        spec = a_scale_in()
        members = [one.model_copy(update={"price": Decimal(49000)}) if one.name == "take" else one for one in spec.members]
        world.place(spec.model_copy(update={"members": members}))
        await world.finished()
        assert world.condition("Succeeded") == ("False", "WrongSide")
        assert not world.exchange.orders_by_id


@BOTH
@scenario
async def test_each_of_two_stops_covers_the_whole_position(amend):
    async with a_position(two_stops(), amend, entry="4") as world:
        await rest(world, stop=4, trail=4)
        world.fill("entry", "6")
        await rest(world, stop=10, trail=10)
        assert world.condition("Protected") == ("True", "StopWorking")


@scenario
async def test_the_trailing_stop_fills_while_the_fixed_one_lives():
    async with a_position(two_stops(), entry="10") as world:
        await rest(world, stop=10, trail=10)
        world.fill("trail", "4")
        await rest(world, stop=6, trail=6)
        world.fill("trail", "6")
        await world.finished()
        assert world.state("stop") == CANCELED
        assert never_more_than(world, 10)
        assert world.condition("Succeeded") == ("True", "Closed")


@scenario
async def test_one_of_two_stops_is_cancelled_and_the_other_protects_all():
    async with a_position(two_stops(), entry="10") as world:
        await rest(world, stop=10, trail=10)
        cancel(world, "trail")
        await rest(world, stop=10, trail=0)
        assert world.condition("Protected") == ("True", "StopWorking")


def a_spend(amount: str) -> OrderGroupSpec:
    """An Entry for so much money, with exits for what it buys."""
    entry = a_member("entry", "Entry", type="Market", price=None, quantity=None, quoteQuantity=amount)
    takes = [a_member(f"take{number}", "TakeProfit", quantity=None, quantityPercent="50", price="55000") for number in (1, 2)]
    return a_group("Bracket", entry, *takes, a_member("stop", "StopLoss", **ALL), nativePolicy="Never")


@scenario
async def test_an_entry_by_money_has_exits_for_what_it_bought():
    async with a_group_world() as world:
        world.exchange.market = SPOT
        world.exchange.last = Decimal(50000)
        await world.start()
        world.place(a_spend("350000"))
        await until(lambda: world.intent("entry") is not None and world.order("entry") is not None)
        world.fill("entry", "7")
        await rest(world, take1=3, take2=4, stop=7)
        assert world.condition("Protected") == ("True", "StopWorking")


@scenario
async def test_money_that_buys_too_little_to_protect_is_denied():
    async with a_group_world() as world:
        world.exchange.market = SPOT
        world.exchange.last = Decimal(50000)
        await world.start()
        world.place(a_spend("60000"))
        await world.finished()
        assert world.condition("Succeeded") == ("False", "TooSmallToProtect")
        assert not world.exchange.orders_by_id


REFUSED = {
    "two fixed stops": lambda: a_group("Bracket", a_member("entry", "Entry"), a_member("stop", "StopLoss"), a_member("other", "StopLoss")),
    "six takes": lambda: a_ladder("10", "10", "10", "10", "10", "10"),
    "a take of more than all": lambda: a_ladder("101"),
    "a ladder of which one has no share": lambda: a_group(
        "Bracket", a_member("entry", "Entry"), a_member("stop", "StopLoss"), a_member("one", "TakeProfit", **ALL), a_member("two", "TakeProfit", quantity="5")),
    "a ladder that a fill cancels": lambda: a_ladder("50", "50", onPartialFill="Cancel"),
    "a leg by percent": lambda: a_group("Basket", a_member("leg", quantity=None, quantityPercent="50")),
    "a size in two ways": lambda: a_group("Bracket", a_member("entry", "Entry"), a_member("stop", "StopLoss", quantityPercent="50")),
    "an exit of nothing": lambda: a_group("OneCancelsOther", a_member("take"), a_member("stop", "StopLoss", **ALL)),
    "a fixed size of what money buys": lambda: a_group(
        "Bracket", a_member("entry", "Entry", type="Market", price=None, quantity=None, quoteQuantity="100"), a_member("stop", "StopLoss")),
}


@pytest.mark.parametrize("shape", REFUSED)
def test_the_api_refuses_what_does_not_fit(shape):
    assert REFUSED[shape]().problems()


@pytest.mark.parametrize("spec", [a_ladder("50", "30", "20"), a_scale_in(), two_stops(), a_bracket()], ids=["ladder", "scale-in", "two stops", "bracket"])
def test_the_api_takes_what_fits(spec):
    assert spec.problems() == []
