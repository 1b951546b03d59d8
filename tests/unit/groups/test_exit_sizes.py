"""How large exits are: never more than their Entry filled and no exit closed, whatever is edited, filled, busted or restarted meanwhile."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal

import pytest

from exchange_kernel.api import AmendQuantity, RiskLimitSpec
from exchange_kernel.stores.port import Unavailable
from tests.scripted import until
from tests.unit.groups.desk import PERPETUAL, SPOT, a_bracket, a_group, a_group_world, a_member
from tests.virtual_time import scenario

OPEN, PART, FILLED, CANCELED = "Open", "PartiallyFilled", "Filled", "Canceled"
EXITS = {"take", "stop"}
AT_REST_S = 8.0


@asynccontextmanager
async def a_bracket_that_filled(quantity: str | None, *, amend: AmendQuantity = AmendQuantity.NONE, spec=None):
    """A bracket of 10 of which the Entry filled so much."""
    async with a_group_world() as world:
        world.exchange.capabilities = replace(world.exchange.capabilities, amend=amend)
        await world.start()
        world.place(spec or a_bracket())
        await world.settle(entry=OPEN)
        if quantity is not None:
            world.fill("entry", quantity)
            await until(lambda: world.live() >= EXITS)
            await asyncio.sleep(AT_REST_S)
        yield world


def edit(world, **quantities: str) -> None:
    """Another quantity for some members."""
    spec = world.group().spec
    changed = [member.model_copy(update={"quantity": Decimal(quantities[member.name])}) if member.name in quantities else member for member in spec.members]
    world.groups.edit("pair", spec.model_copy(update={"members": changed}))


def working(world, member: str) -> Decimal:
    """How much of it may still fill at the exchange."""
    ids = {attempt.client_order_id for attempt in world.intent(member).attempts} if world.intent(member) is not None else set()
    mine = [order for order in world.exchange.orders_by_id.values() if order.client_order_id in ids and not order.status.ended]
    return sum((order.quantity - order.filled_quantity for order in mine), Decimal(0))


async def rest(world, **sizes: int) -> None:
    await asyncio.sleep(AT_REST_S)
    assert {name: working(world, name) for name in sizes} == sizes


BOTH = pytest.mark.parametrize("amend", [AmendQuantity.NONE, AmendQuantity.TOTAL], ids=["replaced", "amended"])


@BOTH
@scenario
async def test_who_lowers_the_entry_to_what_it_filled_does_not_double_the_stop(amend):
    async with a_bracket_that_filled("4", amend=amend) as world:
        edit(world, entry="4")
        await rest(world, entry=0, take=4, stop=4)
        assert world.condition("Protected") == ("True", "StopWorking")
        assert all(order.quantity <= 4 for order in world.exchange.orders_by_id.values() if order.side == "Sell"), "not for a moment"


@BOTH
@scenario
async def test_a_part_fill_under_a_lowered_entry_makes_exits_of_that_part(amend):
    async with a_bracket_that_filled(None, amend=amend) as world:
        edit(world, entry="6")
        await asyncio.sleep(AT_REST_S)
        world.fill("entry", "4")
        await rest(world, take=4, stop=4)
        world.fill("entry", "2")
        await rest(world, take=6, stop=6)


@BOTH
@scenario
async def test_an_entry_that_is_raised_has_a_stop_of_its_own_size_at_most_and_that_is_said(amend):
    async with a_bracket_that_filled("4", amend=amend) as world:
        edit(world, entry="20")
        await rest(world, take=4, stop=4)
        world.fill("entry", "11")
        await rest(world, take=10, stop=10)
        assert world.condition("Protected") == ("False", "StopSmaller")
        edit(world, stop="20")
        await rest(world, take=10, stop=15)
        assert world.condition("Protected") == ("True", "StopWorking")


@BOTH
@scenario
async def test_exits_that_are_edited_larger_than_the_entry_stay_at_the_position(amend):
    async with a_bracket_that_filled("4", amend=amend) as world:
        edit(world, take="30", stop="40")
        await rest(world, take=4, stop=4)
        assert world.condition("Ready") == ("True", "ExitsCapped")
        world.fill("entry", "6")
        await rest(world, take=10, stop=10)
        assert world.condition("Protected") == ("True", "StopWorking")


@BOTH
@scenario
async def test_an_exit_that_is_lowered_to_less_than_it_filled_sells_no_more(amend):
    async with a_bracket_that_filled("4", amend=amend) as world:
        world.fill("stop", "2")
        edit(world, stop="1", take="1")
        await rest(world, stop=0)
        assert working(world, "take") <= 1


@scenario
async def test_many_edits_in_a_row_end_at_the_position():
    async with a_bracket_that_filled("4") as world:
        for quantity in ("30", "7", "4", "12", "5"):
            edit(world, entry=quantity, stop=quantity)
            await asyncio.sleep(0.3)
        await rest(world, take=4, stop=4)


@scenario
async def test_a_take_that_filled_in_part_and_an_entry_that_fills_more():
    async with a_bracket_that_filled("4") as world:
        world.fill("take", "2")
        world.fill("entry", "3", tell=False)
        await rest(world, entry=0, take=5, stop=5)
        world.fill("stop", "5")
        await world.finished()
        assert world.condition("Succeeded") == ("True", "Closed")


@scenario
async def test_stop_and_take_that_fill_in_the_same_instant_leave_what_is_left():
    async with a_bracket_that_filled("10") as world:
        world.fill("take", "3")
        world.fill("stop", "4")
        await rest(world, take=3, stop=3)
        assert world.condition("Protected") == ("True", "StopWorking")


@scenario
async def test_after_a_restart_exits_are_as_large_as_before():
    async with a_bracket_that_filled("4") as world:
        world.kill()
        edit(world, entry="4")
        await world.start()
        await rest(world, entry=0, take=4, stop=4)


# ── One triggers the other ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────

def an_oto(*exits, **changes):
    return a_group("OneTriggersOther", a_member("entry", "Entry"), *exits, **changes)


@scenario
async def test_exits_of_one_entry_close_one_position_in_every_mode():
    async with a_bracket_that_filled("10", spec=an_oto(a_member("take", "TakeProfit"), a_member("stop", "StopLoss"))) as world:
        world.fill("take", "4")
        await rest(world, take=6, stop=6)
        world.fill("take", "6")
        await world.finished()
        assert world.state("stop") == CANCELED
        assert world.condition("Succeeded") == ("True", "Closed")


@scenario
async def test_two_takes_share_what_there_is_to_take():
    spec = an_oto(a_member("take", "TakeProfit", quantity="5"), a_member("more", "TakeProfit", quantity="5", price="60000"), a_member("stop", "StopLoss"))
    async with a_bracket_that_filled("4", spec=spec) as world:
        await rest(world, take=2, more=2, stop=4)
        world.fill("take", "2")
        await rest(world, more=2, stop=2)


# ── Created larger than the entry ───────────────────────────────────────────────────────────────────────────────────────────────────────────

@pytest.mark.parametrize("mode", ["Bracket", "OneTriggersOther"])
def test_who_writes_an_exit_larger_than_the_entry_is_told(mode):
    large = a_group(mode, a_member("entry", "Entry"), a_member("stop", "StopLoss", quantity="10.5"))
    assert [sentence for sentence in large.problems() if "not larger than the Entry" in sentence]
    assert not a_group(mode, a_member("entry", "Entry"), a_member("stop", "StopLoss", quantity="10.0")).problems()


def test_who_lowers_the_entry_alone_later_is_not_in_the_way_of_it():
    before = a_bracket()
    lowered = before.model_copy(update={"members": [member.model_copy(update={"quantity": Decimal(4)}) if member.name == "entry" else member for member in before.members]})
    assert not lowered.problems(before)
    assert lowered.problems()


@pytest.mark.parametrize(("change", "role"), [({"symbol": "ETH/USDT"}, "StopLoss"), ({"side": "Buy"}, "TakeProfit")], ids=["another symbol", "the same side"])
def test_an_exit_that_closes_nothing_of_the_entrys_is_no_exit(change, role):
    assert [sentence for sentence in an_oto(a_member("exit", role, **change)).problems() if "role: Leg" in sentence]


@pytest.mark.parametrize("exits", [
    [a_member("stop", "StopLoss", quantity="11")],
    [a_member("take", "TakeProfit", quantity="6"), a_member("more", "TakeProfit", quantity="6")],
], ids=["one", "two together"])
def test_a_group_that_came_past_the_rules_with_exits_too_large_is_not_placed(exits):
    async def story():
        async with a_group_world() as world:
            await world.start()
            world.place(an_oto(*exits))
            await world.finished()
            assert world.condition("Succeeded") == ("False", "ExitsLargerThanEntry")
            assert not world.exchange.orders_by_id

    scenario(story)()


@scenario
async def test_exits_of_a_list_edited_larger_before_it_was_sent_are_sent_no_larger_than_the_entry():
    async with a_group_world() as world:
        world.on_spot()
        world.exchange.keeps_lists = True
        await world.start()
        world.place(a_bracket(nativePolicy="Require", onPartialFill="Cancel", suspend=True))
        await until(lambda: world.intent("stop") is not None)
        edit(world, take="30", stop="30")
        await asyncio.sleep(AT_REST_S)
        world.groups.edit("pair", world.group().spec.model_copy(update={"suspend": False}))
        await until(lambda: world.exchange.orders_by_id)
        await asyncio.sleep(AT_REST_S)
        assert {order.quantity for order in world.exchange.orders_by_id.values()} == {10}


# ── What Protected says ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

@scenario
async def test_a_stop_for_half_of_the_position_is_not_protection():
    async with a_bracket_that_filled("10", spec=a_bracket_of(stop="5")) as world:
        await rest(world, stop=5)
        assert world.condition("Protected") == ("False", "StopSmaller")
        assert world.condition("Ready") == ("False", "StopSmaller")


def a_bracket_of(entry: str = "10", take: str = "10", stop: str = "10", **changes):
    return a_group("Bracket", a_member("entry", "Entry", quantity=entry), a_member("take", "TakeProfit", quantity=take), a_member("stop", "StopLoss", quantity=stop), **changes)


@scenario
async def test_a_stop_that_can_not_be_made_smaller_is_not_protection():
    """On spot nothing else keeps it from selling what was not bought."""
    async with a_bracket_that_filled("10") as world:
        world.groups.edit("pair", world.group().spec.model_copy(update={"suspend": True}))
        await asyncio.sleep(AT_REST_S)
        world.fill("take", "6")
        await rest(world, take=4, stop=10)
        assert world.condition("Protected") == ("False", "StopLarger")
        world.groups.edit("pair", world.group().spec.model_copy(update={"suspend": False}))
        await rest(world, take=4, stop=4)
        assert world.condition("Protected") == ("True", "StopWorking")


@scenario
async def test_a_change_of_the_stops_size_that_takes_a_moment_is_said_once_it_lasts():
    async with a_bracket_that_filled("4", amend=AmendQuantity.TOTAL) as world:
        amend, said = world.exchange.amend, set()

        async def slowly(*arguments):
            await asyncio.sleep(2)
            return await amend(*arguments)

        world.exchange.amend = slowly
        world.fill("entry", "6")
        for _ in range(40):
            await asyncio.sleep(0.1)
            said.add(world.condition("Protected"))
        assert said == {("True", "StopWorking"), ("False", "StopResizing")}
        await rest(world, stop=10)
        assert world.condition("Protected") == ("True", "StopWorking")


# ── Dust, busts, and markets that go ────────────────────────────────────────────────────────────────────────────────────────────────────────

@asynccontextmanager
async def a_spot_bracket_at_least(least: int, filled: str):
    async with a_group_world() as world:
        world.exchange.market = replace(SPOT, min_quantity=Decimal(least))
        await world.start()
        world.place(a_bracket(nativePolicy="Never"))
        await world.settle(entry=OPEN)
        world.fill("entry", filled)
        await asyncio.sleep(AT_REST_S)
        yield world


@scenario
async def test_a_first_fill_below_the_smallest_order_is_not_called_protected():
    async with a_spot_bracket_at_least(3, "2") as world:
        assert world.live() == {"entry"}
        assert world.condition("Protected") == ("False", "BelowMinimum")
        world.fill("entry", "2")
        await rest(world, take=4, stop=4)
        assert world.condition("Protected") == ("True", "StopWorking")


@scenario
async def test_what_is_left_below_the_smallest_order_has_no_stop_that_sells_more_than_was_bought():
    async with a_spot_bracket_at_least(3, "10") as world:
        world.fill("take", "8")
        await rest(world, take=2, stop=0)
        assert world.condition("Protected") == ("False", "BelowMinimum")
        world.fill("take", "2")
        await world.finished()
        assert world.condition("Succeeded") == ("True", "Closed")


@scenario
async def test_a_reduce_only_stop_stays_when_what_is_left_is_below_the_smallest_order():
    async with a_group_world() as world:
        world.exchange.market = replace(PERPETUAL, min_quantity=Decimal(3))
        await world.start()
        world.place(a_bracket())
        await world.settle(entry=OPEN)
        world.fill("entry", "10")
        await asyncio.sleep(AT_REST_S)
        world.fill("take", "8")
        await rest(world, take=2, stop=10)
        assert world.condition("Protected") == ("False", "StopLarger")
        world.fill("take", "2")
        await world.finished()
        assert world.condition("Succeeded") == ("True", "Closed")


@scenario
async def test_a_bust_of_the_entrys_fill_makes_its_exits_smaller():
    async with a_bracket_that_filled("4") as world:
        world.fill("entry", "3")
        await rest(world, take=7, stop=7)
        world.exchange.bust(world.exchange.trades_of[world.order("entry").exchange_order_id][-1].trade_id)
        await rest(world, take=4, stop=4)
        assert world.condition("Protected") == ("True", "StopWorking")


@scenario
async def test_a_bust_of_all_that_the_entry_filled_makes_no_exit_larger_and_is_said():
    async with a_bracket_that_filled("4") as world:
        world.exchange.bust(world.exchange.trades_of[world.order("entry").exchange_order_id][-1].trade_id)
        await rest(world, take=4, stop=4)
        assert world.condition("Protected") == ("False", "StopLarger")
        world.fill("entry", "6")
        await rest(world, take=6, stop=6)


@scenario
async def test_exits_whose_market_is_gone_keep_their_size():
    async with a_bracket_that_filled("4") as world:
        markets = world.desk.session.term.markets
        world.desk.session.term.markets = {}
        world.groups.edit("pair", world.group().spec.model_copy(update={"ttl_seconds_after_finished": 60}))
        await asyncio.sleep(AT_REST_S)
        assert {world.intent(name).spec.quantity for name in EXITS} == {4}
        world.desk.session.term.markets = markets
        await rest(world, take=4, stop=4)


# ── RiskLimits ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

@scenario
async def test_an_exit_on_the_entrys_side_is_not_let_past_a_risk_limit():
    """Called a stop, it would buy more of what its Entry bought."""
    async with a_group_world() as world:
        await world.start()
        world.place(an_oto(a_member("stop", "StopLoss", side="Buy", triggerPrice="60000", positionEffect="Any")))
        await world.settle(entry=OPEN)
        spec = RiskLimitSpec.model_validate({"maxOrderNotional": [{"asset": "USDT", "amount": "1"}]})
        world.limits.put("desk", spec)
        world.fill("entry", "10")
        await until(lambda: world.state("stop") == "Denied")
        assert [order.type for order in world.exchange.orders_by_id.values()] == ["Limit"]


@pytest.mark.proves("rule 16")
@pytest.mark.parametrize("down_s", [3, 12])
@scenario
async def test_a_stop_that_filled_a_part_is_not_called_filled_while_its_spec_asks_for_more(down_s):
    """The API server takes no spec of the group's while the take closes the rest: the stop's own object still asks for 10."""
    async with a_bracket_that_filled("10") as world:
        world.fill("stop", "4")
        await asyncio.sleep(AT_REST_S)
        write, world.store.write_spec = world.store.write_spec, _no_answer
        world.fill("take", "6")
        await asyncio.sleep(down_s)
        world.store.write_spec = write
        await world.finished()
        stop = world.intent("stop")
        assert (str(stop.status.state), stop.spec.quantity, stop.status.filled_quantity) == ("Canceled", 10, 4)
        assert world.condition("Succeeded") == ("True", "Closed")


async def _no_answer(record, spec):
    return Unavailable("no answer from the API server")
