"""Exits whose prices follow what the Entry filled at."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from exchange_kernel.api import OrderGroupSpec
from exchange_kernel.api.order_group import PriceStep
from exchange_kernel.core import group_prices
from exchange_kernel.core.answers import OrderStatus
from exchange_kernel.stores.port import Unavailable
from tests.scripted import until
from tests.unit.groups.desk import a_group, a_group_world, a_member
from tests.unit.groups.test_exit_sizes import BOTH
from tests.unit.groups.test_positions import a_position
from tests.virtual_time import scenario

AT_ONCE = {"type": "Market", "price": None}


def a_relative_bracket(entry: dict | None = None, stop: str = "-2%", take: str = "+300bp", **changes) -> OrderGroupSpec:
    return a_group(
        "Bracket", a_member("entry", "Entry", **(entry or {})), a_member("stop", "StopLoss", quantity=None, triggerPrice=None, triggerOffset=stop),
        a_member("take", "TakeProfit", quantity=None, price=None, priceOffset=take), **changes,
    )


def edit_stop(world, **changes) -> None:
    members = [one.model_copy(update=changes) if one.name == "stop" else one for one in world.group().spec.members]
    world.groups.edit("pair", world.group().spec.model_copy(update={"members": members}))


@pytest.mark.parametrize(("offset", "price"), [("-2%", "49000"), ("+1.5%", "50750"), ("150bp", "50750"), ("-500", "49500"), ("-0.25", "49999.75")])
def test_an_offset_is_percent_basis_points_or_an_amount(offset, price):
    assert group_prices.offset_from(Decimal(50000), offset) == Decimal(price)


@BOTH
@scenario
async def test_a_stop_and_a_take_stand_so_far_from_what_the_entry_filled_at(amend):
    async with a_position(a_relative_bracket(), amend, entry="10") as world:
        await world.settle(stop="Open", take="Open")
        assert (world.order("stop").trigger_price, world.order("take").price) == (Decimal(49000), Decimal(51500))


@BOTH
@scenario
async def test_an_entry_that_fills_in_many_parts_at_one_price_does_not_move_them(amend):
    async with a_position(a_relative_bracket(), amend, entry="1") as world:
        await world.settle(stop="Open", take="Open")
        for _ in range(9):
            world.fill("entry", "1")
            await asyncio.sleep(7)
        await until(lambda: world.order("stop").quantity == 10)
        assert {order.trigger_price for order in world.exchange.orders_by_id.values() if order.trigger_price} == {Decimal(49000)}


@scenario
async def test_they_hold_over_a_restart():
    async with a_position(a_relative_bracket(), entry="4") as world:
        await world.settle(stop="Open", take="Open")
        await world.crash()
        await world.start()
        await asyncio.sleep(30)
        assert (world.order("stop").trigger_price, world.order("stop").quantity, len(world.live())) == (Decimal(49000), Decimal(4), 3)


@scenario
async def test_an_entry_that_filled_while_the_operator_was_down_is_protected_at_its_price():
    async with a_position(a_relative_bracket()) as world:
        filled = world.intent("entry").status.client_order_id
        await world.crash()
        world.exchange.fill(filled, "10", tell=False)
        await world.start()
        await world.settle(stop="Open", take="Open")
        assert world.order("stop").trigger_price == Decimal(49000)


@BOTH
@scenario
async def test_an_edit_of_the_offset_moves_the_stop(amend):
    async with a_position(a_relative_bracket(), amend, entry="10") as world:
        await world.settle(stop="Open", take="Open")
        edit_stop(world, trigger_offset="-0.5%")
        await until(lambda: world.order("stop").trigger_price == Decimal(49750) and world.state("stop") == "Open")


@scenario
async def test_two_entries_at_two_prices_make_one_average():
    spec = a_group(
        "Bracket", a_member("first", "Entry"), a_member("second", "Entry", price="48000"),
        a_member("stop", "StopLoss", quantity=None, triggerPrice=None, triggerOffset="-1000"),
    )
    async with a_position(spec, first="10") as world:
        await world.settle(stop="Open")
        assert world.order("stop").trigger_price == Decimal(49000)
        world.fill("second", "10")
        await until(lambda: world.order("stop").trigger_price == Decimal(48000) and world.order("stop").quantity == 20)


@pytest.mark.parametrize("stop", ["+2%", "-60000"], ids=["on the wrong side", "that makes no price"])
@scenario
async def test_an_offset_that_can_not_be_is_denied_before_anything_is_sent(stop):
    async with a_group_world() as world:
        world.exchange.last = Decimal(50000)
        await world.start()
        world.place(a_relative_bracket(stop=stop))
        await until(lambda: world.condition("Finished") is not None and world.condition("Finished")[0] == "True")
        assert not world.exchange.orders_by_id


@pytest.mark.parametrize(("member", "said"), [
    ({"role": "StopLoss", "triggerOffset": "-2%"}, "triggerPrice and triggerOffset exclude each other"),
    ({"role": "TakeProfit", "priceOffset": "2%"}, "price and priceOffset exclude each other"),
    ({"role": "Entry", "price": None, "priceOffset": "-2%"}, "offsets are for StopLoss and TakeProfit"),
    ({"role": "StopLoss", "triggerPrice": None}, "triggerPrice is required"),
    ({"role": "StopLoss", "priceOffset": "-2%"}, "priceOffset is for limit types only"),
    ({"role": "TakeProfit", "timeLimitSeconds": 60}, "an exit has no timeLimitSeconds"),
])
def test_what_does_not_fit_together_is_refused_in_a_sentence(member, said):
    role = member.pop("role")
    spec = a_group("Bracket", *(a_member(one.lower(), one, **(member if one == role else {})) for one in ("Entry", "StopLoss", "TakeProfit")))
    assert [said in one for one in spec.problems()] == [True]


@scenario
async def test_an_entry_whose_time_is_up_leaves_what_it_filled_protected():
    async with a_position(a_relative_bracket({"timeLimitSeconds": 60}), entry="4") as world:
        await world.settle(stop="Open", take="Open")
        await world.settle(entry="Canceled")
        await asyncio.sleep(60)
        assert (world.live(), world.order("stop").quantity) == ({"stop", "take"}, Decimal(4))


# ── A stop that is moved again and again ────────────────────────────────────────────────────────────────────────────────────────────────────

@BOTH
@scenario
async def test_a_stop_that_is_moved_twenty_times_under_fills_never_leaves_the_position_bare(amend):
    """Break-even and trailing by edits, while the Entry goes on filling and the take begins to."""
    async with a_position(a_relative_bracket(entry={"quantity": "40"}), amend, entry="10") as world:
        await world.settle(stop="Open", take="Open")
        bare, since, now = 0.0, None, asyncio.get_running_loop().time
        stop = {attempt.client_order_id for attempt in world.intent("stop").attempts}
        done = asyncio.Event()

        async def watch() -> None:
            nonlocal bare, since, stop
            while not done.is_set():
                stop |= {attempt.client_order_id for attempt in world.intent("stop").attempts}
                works = any(order.client_order_id in stop and not order.status.ended for order in world.exchange.orders_by_id.values())
                since = None if works else since or now()
                bare = max(bare, now() - since if since is not None else 0.0)
                await asyncio.sleep(0.05)

        watching = asyncio.get_running_loop().create_task(watch())
        for step in range(20):
            edit_stop(world, trigger_offset=f"-{990 - 40 * step}")
            if step % 5 == 1:
                world.fill("entry", "5")
            if step == 17:
                world.fill("take", "3")
            await asyncio.sleep(11)
        await until(lambda: world.order("stop").trigger_price == Decimal(50000 - 230) and world.state("stop") == "Open")
        done.set()
        await watching
        assert bare <= world.group().spec.max_unprotected_seconds
        assert sum(order.status is not OrderStatus.FILLED and not order.status.ended and order.client_order_id in stop
                   for order in world.exchange.orders_by_id.values()) == 1


@scenario
async def test_no_list_of_the_exchange_s_is_asked_to_keep_a_time_that_it_can_t():
    """A GTD stop of an OCO that the exchange would keep: the operator keeps the pair, and its time, itself."""
    async with a_group_world() as world:
        world.on_spot()
        await world.start()
        far = {"timeInForce": "GTD", "expireTime": "2100-01-01T00:00:00Z"}
        world.place(a_group("OneCancelsOther", a_member("take", **far), a_member("stop", "StopLoss")))
        await until(lambda: world.condition("Finished") is not None and bool(world.group().status.members))
        await asyncio.sleep(10)
        assert (world.exchange.lists, "submit_group" in world.exchange.calls) == ({}, False)


# ── Steps over time ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

FALLING = [{"afterSeconds": 1200, "priceOffset": "+2%"}, {"afterSeconds": 2400, "priceOffset": "+1%"}, {"afterSeconds": 3600, "priceOffset": "0%"}]


def a_table(**changes) -> OrderGroupSpec:
    """A take at 4 percent that asks for less as time goes by, and a stop that is moved to what was paid."""
    return a_group(
        "Bracket", a_member("entry", "Entry"), a_member("take", "TakeProfit", quantity=None, price=None, priceOffset="+4%", priceSteps=FALLING),
        a_member("stop", "StopLoss", quantity=None, triggerPrice=None, triggerOffset="-10%", priceSteps=[{"afterSeconds": 3000, "triggerOffset": "0%"}]), **changes,
    )


def prices(world) -> tuple[Decimal, Decimal]:
    return world.order("take").price, world.order("stop").trigger_price


@BOTH
@scenario
async def test_a_take_asks_for_less_the_longer_it_waits_and_the_stop_comes_after(amend):
    async with a_position(a_table(), amend, entry="10") as world:
        begun = asyncio.get_running_loop().time()
        seen = []
        for at, take, stop in ((1190, 52000, 45000), (1210, 51000, 45000), (2410, 50500, 45000), (3010, 50500, 50000), (3610, 50000, 50000)):
            await asyncio.sleep(at - (asyncio.get_running_loop().time() - begun))
            seen.append((prices(world), (take, stop)))
        assert [found for found, _ in seen] == [wanted for _, wanted in seen]
        assert world.condition("Protected") == ("True", "StopWorking")
        world.fill("take", "10")
        await world.finished()
        assert world.condition("Succeeded") == ("True", "Closed")


@scenario
async def test_after_steps_that_were_missed_the_latest_holds_and_counts_from_the_first_fill():
    async with a_position(a_table(), entry="4") as world:
        await world.settle(take="Open", stop="Open")
        await asyncio.sleep(600)
        world.fill("entry", "6")
        await until(lambda: world.order("take").quantity == 10)
        world.desk.kill()
        await asyncio.sleep(2000)
        await world.start()
        await until(lambda: prices(world)[0] == 50500)
        assert prices(world) == (50500, 45000)


@scenario
async def test_a_step_may_be_set_while_the_position_is_open():
    async with a_position(a_relative_bracket(), entry="10") as world:
        await world.settle(take="Open", stop="Open")
        await asyncio.sleep(100)
        edit_stop(world, price_steps=[PriceStep.model_validate({"afterSeconds": 200, "triggerOffset": "+0.1%"})])
        await asyncio.sleep(90)
        assert prices(world)[1] == 49000
        await asyncio.sleep(20)
        assert prices(world)[1] == 50050


@scenario
async def test_a_member_that_could_not_be_made_is_tried_again_soon_whatever_comes_later():
    async with a_position(a_table(positionTimeLimitSeconds=7200)) as world:
        make = world.store.create_member

        async def unavailable(*arguments, **options):
            return Unavailable("down")

        world.store.create_member = unavailable
        world.fill("entry", "10")
        await asyncio.sleep(5)
        world.store.create_member = make
        await until(lambda: world.state("stop") == "Open", within=15)


@scenario
async def test_steps_and_the_positions_time_go_on_where_the_entrys_object_is_gone():
    async with a_position(a_table(positionTimeLimitSeconds=2000), entry="10") as world:
        await world.settle(take="Open", stop="Open")
        await asyncio.sleep(1300)
        assert prices(world) == (51000, 45000)
        world.store.delete(world.intent("entry").uid)
        await asyncio.sleep(60)
        assert prices(world) == (51000, 45000), "the first price does not come back"
        await until(lambda: world.intent("close") is not None and world.state("close") == "Open", within=1000)


@scenario
async def test_a_trailing_stop_begins_to_follow_from_another_price_with_time():
    trailing = {"type": "TrailingStop", "triggerPrice": None, "triggerOffset": "+2%", "trailing": {"offset": "100", "unit": "BasisPoints"}}
    steps = [{"afterSeconds": 600, "triggerOffset": "+1%"}]
    spec = a_group("Bracket", a_member("entry", "Entry"), a_member("stop", "StopLoss", quantity=None, **trailing, priceSteps=steps))
    assert spec.problems() == []
    async with a_position(spec, entry="10") as world:
        await world.settle(stop="Open")
        assert world.order("stop").trigger_price == 51000
        await asyncio.sleep(620)
        assert world.order("stop").trigger_price == 50500
