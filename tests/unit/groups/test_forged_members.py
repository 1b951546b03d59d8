"""Without admission: what somebody else writes into an OrderIntent's groupRef, or into a member, sends nothing, skips no limit and touches no other's order."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal

import pytest

from exchange_kernel.api import DesiredState, OrderGroupStatus, OrderIntentSpec, RiskLimitSpec
from exchange_kernel.core import groups
from tests.scripted import until
from tests.unit.groups.desk import SPOT, a_bracket, a_group, a_group_world, a_member, an_oco
from tests.virtual_time import scenario

OPEN, FILLED, CANCELED = "Open", "Filled", "Canceled"
A_THOUSAND = RiskLimitSpec.model_validate({"maxOrderNotional": [{"asset": "USDT", "amount": "1000"}]})
RESTS_S = 20.0


def forged(member: str = "stop", *, group: str = "pair", uid: str = "pair", **terms) -> OrderIntentSpec:
    values = {"accountRef": {"name": "main"}, "groupRef": {"name": group, "uid": uid, "member": member}, "symbol": "BTC/USDT", "side": "Sell",
              "type": "StopMarket", "triggerPrice": "45000", "quantity": "10", "positionEffect": "ReduceOnly", "submitDeadlineSeconds": 0, **terms}
    return OrderIntentSpec.model_validate({name: value for name, value in values.items() if value is not None})


def said(world, name: str) -> dict[str, tuple[str, str]]:
    return {one.type: (str(one.status), one.reason) for one in world.store.named("default", name).status.conditions}


def sent(world) -> list[tuple[str, str, Decimal]]:
    return [(order.side, order.type, order.quantity) for order in world.exchange.orders_by_id.values()]


@asynccontextmanager
async def a_spot_world():
    """Where 1 is one BTC, and a limit of 1000 USDT is in force once `limited`."""
    async with a_group_world() as world:
        world.exchange.market, world.exchange.capabilities = SPOT, replace(world.exchange.capabilities, reduce_only=False)
        await world.start()
        yield world


def small_bracket(**changes):
    """Worth 1 USDT."""
    return a_group("Bracket", a_member("entry", "Entry", price="1", quantity="1"), a_member("take", "TakeProfit", price="3", quantity="1"),
                   a_member("stop", "StopLoss", triggerPrice="0.5", quantity="1"), nativePolicy="Never", **changes)


# ── Made before the group makes its own ─────────────────────────────────────────────────────────────────────────────────────────────────────

@pytest.mark.proves("H19")
@scenario
async def test_i_buy_for_47500_under_a_limit_of_1000_by_calling_it_the_stop_of_my_bracket():
    async with a_spot_world() as world:
        world.limits.put("desk", A_THOUSAND)
        world.place(small_bracket())
        await world.settle(entry=OPEN)
        world.store.create("evil", forged(side="Buy", type="Limit", price="47500", quantity="1", triggerPrice=None, positionEffect=None), name="pair-stop")
        world.fill("entry", "1")
        await until(lambda: world.condition("Stalled") == ("True", "NameConflict"))
        await asyncio.sleep(RESTS_S)
        assert ("Buy", "Limit", Decimal(1)) in sent(world), "the Entry"
        assert not [order for order in world.exchange.orders_by_id.values() if order.price == 47500]
        assert said(world, "pair-stop")["Stalled"] == ("True", "NoMember")


@pytest.mark.parametrize("change", [{"quantity": "1000"}, {"triggerPrice": "49999"}, {"quantity": "4"}, {"positionEffect": "Any"}, {"deletionPolicy": "Orphan"},
                                    {"submitDeadlineSeconds": 0}, {"side": "Buy"}], ids=str)
def test_what_differs_from_what_the_group_would_make_is_a_stranger(change):
    """The Leg of a one-cancels-other is as large as its group says."""

    async def story():
        async with a_group_world() as world:
            world.place(an_oco())
            evil = forged(**{"submitDeadlineSeconds": 300, **change})
            world.store.create("evil", evil, name="pair-stop")
            await world.start()
            await until(lambda: world.condition("Stalled") == ("True", "NameConflict"))
            await asyncio.sleep(RESTS_S)
            assert not [one for one in sent(world) if one[1] == "StopMarket"]
            assert said(world, "pair-stop")["Stalled"] == ("True", "NoMember")
            assert world.store.get("evil").spec == evil, "it is left alone"
            world.store.delete("evil")
            await world.settle(take=OPEN, stop=OPEN)
            assert world.intent("stop").uid != "evil"

    scenario(story)()


# ── A crash between making a member and writing it down ─────────────────────────────────────────────────────────────────────────────────────

async def dies_before_the_stop_is_written_down(world) -> None:
    """The exits exist, and no status tells of them."""
    await world.start()
    world.place(a_bracket())
    await world.settle(entry=OPEN)
    await asyncio.sleep(RESTS_S)

    async def never(*arguments):
        await asyncio.Event().wait()

    world.groups.write_status, write = never, world.groups.write_status
    world.fill("entry", "4")
    await until(lambda: world.intent("stop") is not None and world.intent("take") is not None)
    world.kill()
    world.groups.write_status = write


def raise_the_trigger(world) -> None:
    spec = world.group().spec
    stop = next(member for member in spec.members if member.name == "stop")
    world.groups.edit("pair", spec.model_copy(update={"members": [*(member for member in spec.members if member.name != "stop"), stop.model_copy(update={"trigger_price": Decimal(46000)})]}))


MEANWHILE = {
    "nothing": lambda world: None,
    "the Entry fills more": lambda world: world.exchange.fill(world.intent("entry").status.client_order_id, "3", tell=False),
    "the group is edited": raise_the_trigger,
    "a person edits the member": lambda world: world.store.edit(world.intent("stop").uid, world.intent("stop").spec.model_copy(update={"trigger_price": Decimal(44000)})),
}


@pytest.mark.proves("F43")
@pytest.mark.parametrize("meanwhile", MEANWHILE)
def test_a_crash_between_making_the_stop_and_writing_it_down_leaves_no_position_without_its_stop(meanwhile):
    async def story():
        async with a_group_world() as world:
            await dies_before_the_stop_is_written_down(world)
            made = world.intent("stop").uid
            MEANWHILE[meanwhile](world)
            await world.start()
            size = 7 if meanwhile == "the Entry fills more" else 4
            await until(lambda: world.live() >= {"take", "stop"} and world.order("stop").quantity == size)
            assert world.intent("stop").uid == made
            assert world.order("stop").trigger_price == (46000 if meanwhile == "the group is edited" else 45000)
            assert len([order for order in world.exchange.orders_by_id.values() if order.type == "StopMarket"]) == 1
            await until(lambda: world.condition("Protected") == ("True", "StopWorking"))
            assert world.condition("Stalled")[0] == "False"

    scenario(story)()


# ── Beside a member that there is ───────────────────────────────────────────────────────────────────────────────────────────────────────────

@pytest.mark.parametrize("restarts", [False, True], ids=["", "after a restart"])
def test_i_cancel_anothers_stop_by_naming_its_place_in_its_group(restarts):
    """The client order id of a member is made of its group and its place: an object that names these sees and touches nothing of it."""

    async def story():
        async with a_group_world() as world:
            await world.start()
            await world.open_position(a_bracket(), "10", "take", "stop")
            world.store.create("evil", forged())
            if restarts:
                world.kill()
                await world.start()
            await until(lambda: said(world, "evil").get("Stalled") == ("True", "NoMember"))
            status = world.store.get("evil").status
            assert (str(status.state), status.attempts, status.client_order_id) == ("Pending", [], None)
            world.store.edit("evil", world.store.get("evil").spec.model_copy(update={"desired_state": DesiredState.CANCELED}))
            await until(lambda: world.store.get("evil").finished)
            assert str(world.store.get("evil").status.state) == CANCELED
            world.store.create("evil-2", forged())
            await until(lambda: said(world, "evil-2").get("Stalled") == ("True", "NoMember"))
            world.store.delete("evil-2")
            await until(lambda: world.store.get("evil-2") is None)
            await asyncio.sleep(RESTS_S)
            assert world.live() == {"take", "stop"}
            world.fill("take", "10")
            await world.finished()
            assert world.condition("Succeeded") == ("True", "Closed")

    scenario(story)()


@scenario
async def test_the_stop_is_deleted_and_created_again_under_its_name():
    async with a_group_world() as world:
        await world.start()
        await world.open_position(a_bracket(), "10", "take", "stop")
        spec = world.intent("stop").spec
        world.store.delete(world.intent("stop").uid)
        await until(lambda: world.intent("stop") is None)
        world.store.create("again", spec, name="pair-stop")
        await until(lambda: said(world, "pair-stop").get("Stalled") == ("True", "NoMember"))
        await asyncio.sleep(RESTS_S)
        assert world.live() == {"take"}
        assert next(member for member in world.group().status.members if member.name == "stop").gone


@pytest.mark.parametrize("restarts", [False, True], ids=["", "after a restart"])
@pytest.mark.parametrize("uid", ["nobody", "theirs"], ids=["of no group", "of a group in another namespace"])
def test_it_names_a_group_that_is_not_there(uid, restarts):
    async def story():
        async with a_group_world() as world:
            world.groups.create("theirs", a_bracket(accountRef={"name": "elsewhere"}), namespace="another", name="pair")
            await world.start()
            world.store.create("evil", forged(uid=uid))
            await until(lambda: said(world, "evil").get("Stalled") == ("True", "GroupGone"))
            if restarts:
                world.kill()
                await world.start()
                await asyncio.sleep(RESTS_S)
                assert said(world, "evil")["Stalled"] == ("True", "GroupGone")
            assert not sent(world)
            world.store.edit("evil", world.store.get("evil").spec.model_copy(update={"desired_state": DesiredState.CANCELED}))
            await until(lambda: world.store.get("evil").finished)
            world.store.create("evil-2", forged("take", uid=uid))
            await until(lambda: said(world, "evil-2").get("Stalled") == ("True", "GroupGone"))
            world.store.delete("evil-2")
            await until(lambda: world.store.get("evil-2") is None)

    scenario(story)()


@pytest.mark.parametrize("restarts", [False, True], ids=["", "after a restart"])
def test_i_cancel_the_stop_that_a_deleted_group_left(restarts):
    async def story():
        async with a_group_world() as world:
            await world.start()
            await world.open_position(a_bracket(), "10", "take", "stop")
            world.groups.delete("pair")
            await until(lambda: world.group() is None and world.live() == {"stop"})
            world.store.create("evil", forged())
            if restarts:
                world.kill()
                await world.start()
            await asyncio.sleep(RESTS_S)
            assert said(world, "evil")["Stalled"][0] == "True"
            assert world.store.get("evil").status.attempts == []
            world.store.delete("evil")
            await until(lambda: world.store.get("evil") is None)
            await asyncio.sleep(RESTS_S)
            assert world.live() == {"stop"}
            assert world.state("stop") == OPEN

    scenario(story)()


@scenario
async def test_it_is_on_another_account_than_its_group():
    async with a_group_world() as world:
        await world.start()
        await world.open_position(a_bracket(), "10", "take", "stop")
        group, session = world.group(), world.desk.session
        elsewhere = world.store.create("evil", forged(accountRef={"name": "elsewhere"}))
        assert world.desk.group_reconciler.membership(elsewhere, session).held == groups.NO_MEMBER
        assert world.desk.group_reconciler.membership(elsewhere, session).stranger
        assert world.group() == group


@scenario
async def test_a_hand_writes_another_objects_uid_into_the_groups_status():
    async with a_group_world() as world:
        await world.start()
        world.place(an_oco())
        await world.settle(take=OPEN, stop=OPEN)
        world.store.create("fat", forged().model_copy(update={"group_ref": None, "suspend": True}))
        await asyncio.sleep(RESTS_S)
        world.kill()
        group = world.group()
        members = [member.model_copy(update={"uid": "fat"}) if member.name == "stop" else member for member in group.status.members]
        world.groups._put(replace(group, status=group.status.model_copy(update={"members": members}), resource_version=world.groups._next()))
        await world.start()
        await asyncio.sleep(RESTS_S)
        assert {member.name: member.uid for member in world.group().status.members} == {name: world.intent(name).uid for name in ("take", "stop")}
        assert world.store.get("fat").spec.suspend


@scenario
async def test_a_late_fill_of_a_finished_member_is_told_though_another_object_names_its_place():
    async with a_group_world() as world:
        await world.start()
        world.place(an_oco())
        await world.settle(take=OPEN, stop=OPEN)
        world.store.create("aaa", forged())
        world.fill("take", "10")
        await world.finished()
        await until(lambda: world.intent("stop").finished)
        world.kill()
        order = world.exchange.named(world.intent("stop").status.client_order_id)[-1]
        world.exchange._set(replace(order, filled_quantity=Decimal(2), filled_quote_quantity=Decimal(90000)), tell=False)
        desk = await world.start()
        world.exchange._set(replace(order, filled_quantity=Decimal(3), filled_quote_quantity=Decimal(135000)))
        await asyncio.sleep(RESTS_S)
        assert world.store.get("aaa").status.attempts == []
        assert desk.session.memory.uid_of(order.client_order_id) != "aaa"
        assert order.client_order_id in desk.session.memory.let_go, "it is the account's to tell"


# ── A member that somebody edits ────────────────────────────────────────────────────────────────────────────────────────────────────────────

async def opened(world, quantity: str = "4") -> None:
    world.place(a_bracket())
    await world.settle(entry=OPEN)
    world.fill("entry", quantity)
    await world.settle(take=OPEN, stop=OPEN)
    await asyncio.sleep(RESTS_S)


EDITS = {"larger": {"quantity": Decimal(1000)}, "smaller": {"quantity": Decimal(1)}, "another price": {"trigger_price": Decimal(49999)},
         "late": {"submit_deadline_seconds": 1}}


def while_the_group_is_slow(world) -> None:
    """Its correction takes a second: until then the member decides alone."""
    write = world.store.write_spec

    async def slowly(*arguments):
        await asyncio.sleep(1.0)
        return await write(*arguments)

    world.store.write_spec = slowly


@pytest.mark.parametrize("edit", [name for name in EDITS if name != "late"])
def test_the_stop_that_i_edit_stays_as_it_is_until_its_group_puts_it_back(edit):
    async def story():
        async with a_group_world() as world:
            await world.start()
            await opened(world)
            before, stop = dict(world.exchange.orders_by_id), world.intent("stop")
            while_the_group_is_slow(world)
            world.store.edit(stop.uid, stop.spec.model_copy(update=EDITS[edit]))
            await asyncio.sleep(0.9)
            assert world.exchange.orders_by_id == before
            await until(lambda: world.intent("stop").spec == stop.spec)
            await asyncio.sleep(RESTS_S)
            assert world.exchange.orders_by_id == before
            assert said(world, "pair-stop")["Ready"][0] == "True"

    scenario(story)()


@pytest.mark.parametrize("limited", [False, True], ids=["", "under a limit"])
@pytest.mark.parametrize("edit", EDITS)
def test_the_stop_that_i_edit_before_it_was_sent_is_sent_as_its_group_wants_it(edit, limited):
    """It is neither sent as it was edited, nor Denied for it: its position would have no stop."""

    async def story():
        async with a_group_world() as world:
            await world.start()
            world.place(a_bracket())
            await world.settle(entry=OPEN)
            if limited:
                world.limits.put("desk", RiskLimitSpec.model_validate({"maxOrderNotional": [{"asset": "USDT", "amount": "1"}]}))
            written = world.groups.write_status

            async def then_edited(*arguments):
                outcome = await written(*arguments)
                if (stop := world.intent("stop")) is not None and stop.generation == 1:
                    world.store.edit(stop.uid, stop.spec.model_copy(update=EDITS[edit]))
                    await asyncio.sleep(2.0)
                return outcome

            world.groups.write_status = then_edited
            world.fill("entry", "4")
            await until(lambda: world.live() >= {"stop"})
            await asyncio.sleep(RESTS_S)
            stops = [(order.quantity, order.trigger_price) for order in world.exchange.orders_by_id.values() if order.type == "StopMarket"]
            assert stops == [(Decimal(4), Decimal(45000))]
            assert world.condition("Protected") == ("True", "StopWorking")

    scenario(story)()


@scenario
async def test_an_exit_that_waits_for_the_end_of_its_entry_is_no_larger_for_what_i_write_into_it():
    """Its position is closed and the Entry's end is not proved: the stop waits at the size that it has at the exchange."""
    async with a_group_world() as world:
        await world.start()
        await opened(world)
        world.limits.put("desk", A_THOUSAND)
        world.exchange.cancel_takes_s = 30.0
        world.fill("take", "4")
        await asyncio.sleep(3)
        stop = world.intent("stop")
        if not stop.finished:
            world.store.edit(stop.uid, stop.spec.model_copy(update={"quantity": Decimal(1000)}))
        await asyncio.sleep(60)
        assert max(order.quantity for order in world.exchange.orders_by_id.values() if order.type == "StopMarket") == 4
        await world.finished()


@scenario
async def test_a_limit_made_tighter_does_not_hold_back_a_stop_that_follows_its_entry():
    async with a_group_world() as world:
        await world.start()
        await opened(world)
        world.limits.put("desk", RiskLimitSpec.model_validate({"maxOrderNotional": [{"asset": "USDT", "amount": "1"}], "maxPosition": [{"symbol": "BTC/USDT", "quantity": "1"}]}))
        world.fill("entry", "6")
        await until(lambda: world.order("stop").quantity == 10 and world.live() == {"take", "stop"})
        world.fill("take", "3")
        await until(lambda: world.order("stop").quantity == 7 and world.live() == {"take", "stop"})


@scenario
async def test_a_stop_without_its_group_is_an_order_like_any_other_to_a_limit():
    async with a_group_world() as world:
        await world.start()
        await opened(world)
        world.groups.delete("pair")
        await until(lambda: world.group() is None and world.live() == {"stop"})
        world.limits.put("desk", RiskLimitSpec.model_validate({"maxOrderNotional": [{"asset": "USDT", "amount": "1"}]}))
        stop = world.intent("stop")
        world.store.edit(stop.uid, stop.spec.model_copy(update={"quantity": Decimal(1000)}))
        await until(lambda: said(world, "pair-stop")["Ready"] == ("False", "RiskLimit"))
        assert world.order("stop").quantity == 4


# ── The rule ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

@scenario
async def test_a_wiped_group_does_not_take_a_stranger_in():
    """Where the group's status was lost and its members' objects are gone, a new object of the name is judged as any."""
    async with a_group_world() as world:
        await world.start()
        world.place(an_oco())
        await world.settle(take=OPEN, stop=OPEN)
        await asyncio.sleep(RESTS_S)
        world.kill()
        group = world.group()
        world.groups._put(replace(group, status=OrderGroupStatus(), resource_version=world.groups._next()))
        world.store._remove(world.intent("stop").uid)
        world.store.create("evil", forged(quantity="1000", submitDeadlineSeconds=300), name="pair-stop")
        await world.start()
        await asyncio.sleep(RESTS_S)
        assert {order.quantity for order in world.exchange.orders_by_id.values()} == {Decimal(10)}
        assert said(world, "pair-stop")["Stalled"] == ("True", "NoMember")


def test_what_differs_is_told_by_names_of_the_spec():
    assert {"symbol", "side", "type", "position_effect", "account_ref", "group_ref"} <= groups.FIXED
    assert not {"quantity", "price", "trigger_price", "desired_state", "suspend"} & groups.FIXED
