"""Ready is True only when it is true: what a group says of a position without a stop, of members that can't be made, and of who else writes them."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal

import pytest

from exchange_kernel.api import DesiredState, ModifyPolicy, TimeInForce
from exchange_kernel.stores.port import Inadmissible, Unavailable
from tests.scripted import until
from tests.unit.groups.desk import PERPETUAL, SPOT, a_bracket, a_group, a_group_world, a_member, an_oco
from tests.virtual_time import scenario

QUOTA = 'orderintents.exchange-kernel.io "pair-stop" is forbidden: exceeded quota: desk, requested: count/orderintents=1, used: 2, limited: 2'
POLICY = "ValidatingAdmissionPolicy 'no-stops' denied request: stops are not for this desk"
WEBHOOK = 'Internal error occurred: failed calling webhook "desk.example": connection refused'


def message(world, kind: str) -> str:
    return next(one.message for one in world.group().status.conditions if one.type == kind)


def no_stop(world, answer):
    """The API server takes no object for the stop, until the answer is None."""
    create = world.store.create_member
    refusing = [answer]

    async def create_or_not(group, name, spec, *, owned):
        if name.endswith("-stop") and refusing[0] is not None:
            return refusing[0]
        return await create(group, name, spec, owned=owned)

    world.store.create_member = create_or_not
    return refusing


# ── A member that is not made ───────────────────────────────────────────────────────────────────────────────────────────────────────────────

@pytest.mark.proves("rule 16")
@pytest.mark.parametrize(("answer", "reason"), [
    (Unavailable(QUOTA), "MemberNotMade"), (Inadmissible(POLICY), "NotAdmitted"), (Unavailable(WEBHOOK), "MemberNotMade"),
], ids=["a quota", "an admission policy", "a dead webhook"])
@scenario
async def test_what_keeps_my_stop_from_being_made_is_said_and_the_stop_is_there_once_it_is_gone(answer, reason):
    async with a_group_world() as world:
        await world.start()
        refusing = no_stop(world, answer)
        world.place(a_bracket())
        await world.settle(entry="Open")
        world.fill("entry", "10")
        await until(lambda: world.condition("Stalled") == ("True", reason), within=30)
        words = answer.reason if isinstance(answer, Unavailable) else answer.message
        assert words in message(world, "Stalled")
        assert (world.condition("Ready"), world.condition("Protected")) == (("False", reason), ("False", reason))
        assert world.live() == {"take"}
        refusing[0] = None
        await world.settle(stop="Open")
        await until(lambda: world.condition("Protected") == ("True", "StopWorking") and world.condition("Stalled")[0] == "False")
        assert world.condition("Ready")[0] == "True"


@scenario
async def test_somebody_has_my_stop_s_name_and_the_group_is_stalled_for_as_long_as_he_has():
    async with a_group_world() as world:
        await world.start()
        world.place(a_bracket())
        await world.settle(entry="Open")
        entry = world.intent("entry").spec
        squatter = entry.model_copy(update={"group_ref": None, "suspend": True})
        world.store.create("squatter", squatter, name="pair-stop")
        world.fill("entry", "10")
        await until(lambda: world.condition("Stalled") == ("True", "NameConflict"))
        assert (world.condition("Ready"), world.condition("Protected")) == (("False", "NameConflict"), ("False", "NameConflict"))
        world.store.delete("squatter")
        await until(lambda: world.intent("stop") is not None and world.state("stop") == "Open")
        await until(lambda: world.condition("Protected") == ("True", "StopWorking"))


# ── A position that can't be protected ──────────────────────────────────────────────────────────────────────────────────────────────────────

@scenario
async def test_a_fill_below_the_smallest_order_is_not_ready_and_stalled_once_it_can_grow_no_more():
    async with a_group_world() as world:
        world.exchange.market = replace(PERPETUAL, min_quantity=Decimal(3))
        await world.start()
        world.place(a_bracket())
        await world.settle(entry="Open")
        world.fill("entry", "2")
        await until(lambda: world.condition("Protected") == ("False", "BelowMinimum"))
        assert (world.condition("Ready"), world.condition("Stalled")[0]) == (("False", "BelowMinimum"), "False"), "it may grow"
        world.exchange._cancel(world.order("entry").exchange_order_id)
        await until(lambda: world.condition("Stalled")[0] == "True")
        assert world.condition("Ready")[0] == "False"
        assert world.condition("Succeeded") != ("True", "Closed")


@scenario
async def test_the_stop_of_an_oco_is_cancelled_at_the_exchange_and_the_group_is_not_ready():
    async with a_group_world() as world:
        await world.start()
        world.place(an_oco())
        await world.settle(take="Open", stop="Open")
        world.exchange._cancel(world.order("stop").exchange_order_id)
        await until(lambda: world.condition("Stalled") == ("True", "StopGone"))
        assert world.condition("Ready") == ("False", "StopGone")
        assert world.live() == {"take"}


@scenario
async def test_one_of_a_basket_is_refused_and_the_group_is_not_ready_with_the_rest():
    async with a_group_world() as world:
        await world.start()
        world.place(a_group("Basket", a_member("small"), a_member("large", quantity="5000"), failurePolicy="Continue"))
        await world.settle(small="Open", large="Rejected")
        await until(lambda: world.condition("Stalled") == ("True", "MemberRefused"))
        assert world.condition("Ready") == ("False", "MemberRefused")
        assert "insufficient balance" in message(world, "Stalled")


@scenario
async def test_dust_that_the_exits_left_is_told_in_the_end():
    async with a_group_world() as world:
        world.on_spot()
        world.exchange.market = replace(SPOT, min_quantity=Decimal(3))
        await world.start()
        await world.open_position(a_bracket(nativePolicy="Never"), "10", "take", "stop")
        world.fill("take", "8")
        await world.settle(stop="Canceled")
        world.exchange._cancel(world.order("take").exchange_order_id)
        await until(lambda: world.group().finished, within=60)
        assert world.condition("Succeeded") == ("True", "Closed")
        assert "2 of it is left, which is below the market's smallest order" in message(world, "Succeeded")


# ── Who else writes a member ────────────────────────────────────────────────────────────────────────────────────────────────────────────────

def counted(world) -> list[float]:
    """When the group wrote a member's spec."""
    write, at = world.store.write_spec, []

    async def writes(record, spec):
        at.append(asyncio.get_running_loop().time())
        return await write(record, spec)

    world.store.write_spec = writes
    return at


@scenario
async def test_defaults_notes_and_a_time_to_live_that_others_set_are_left_alone():
    async with a_group_world() as world:
        create = world.store.create_member

        async def with_defaults(group, name, spec, *, owned):
            changes = {"modify_policy": ModifyPolicy.AMEND_ONLY, "metadata": {"desk": '"7"'}, "ttl_seconds_after_finished": 3600}
            if spec.price is not None:
                changes["time_in_force"] = TimeInForce.GTC
            return await create(group, name, spec.model_copy(update=changes), owned=owned)

        world.store.create_member = with_defaults
        written = counted(world)
        await world.start()
        await world.open_position(a_bracket(), "10", "take", "stop")
        await asyncio.sleep(60)
        assert written == []
        assert (world.intent("stop").spec.modify_policy, world.intent("take").spec.ttl_seconds_after_finished) == (ModifyPolicy.AMEND_ONLY, 3600)
        assert world.condition("Ready")[0] == "True"


@scenario
async def test_what_the_group_says_itself_is_put_back():
    async with a_group_world() as world:
        await world.start()
        world.place(a_group("OneCancelsOther", a_member("take", modifyPolicy="Reject"), a_member("stop", "StopLoss")))
        await world.settle(take="Open", stop="Open")
        take = world.intent("take")
        world.store.edit(take.uid, take.spec.model_copy(update={"modify_policy": ModifyPolicy.AMEND_ONLY, "price": Decimal(60000)}))
        await until(lambda: world.intent("take").spec.modify_policy is ModifyPolicy.REJECT and world.intent("take").spec.price == 55000)


@scenario
async def test_another_controller_fights_over_my_stop_and_it_is_written_ten_times_a_minute_at_most():
    async with a_group_world() as world:
        await world.start()
        await world.open_position(a_bracket(), "10", "take", "stop")
        await asyncio.sleep(5)
        written, fighting = counted(world), True

        async def fight():
            while fighting:
                stop = world.intent("stop")
                if stop.spec.trigger_price == 45000:
                    world.store.edit(stop.uid, stop.spec.model_copy(update={"trigger_price": Decimal(44000)}))
                await asyncio.sleep(0.05)

        other = asyncio.create_task(fight())
        await asyncio.sleep(300)
        assert max(sum(at <= one < at + 59.9 for one in written) for at in written) <= 10
        assert len(written) > 20, "and it is not given up"
        await until(lambda: world.condition("Stalled") == ("True", "MemberContested"), within=60)
        fighting = False
        await other
        await until(lambda: world.intent("stop").spec.trigger_price == 45000, within=70)
        await until(lambda: world.condition("Stalled")[0] == "False" and world.condition("Ready")[0] == "True")


@scenario
async def test_a_cancel_of_one_member_by_a_person_is_left_alone():
    async with a_group_world() as world:
        written = counted(world)
        await world.start()
        world.place(a_bracket())
        await world.settle(entry="Open")
        entry = world.intent("entry")
        world.store.edit(entry.uid, entry.spec.model_copy(update={"desired_state": DesiredState.CANCELED}))
        await world.finished()
        assert world.condition("Succeeded") == ("True", "CanceledAsAsked")
        assert written == []
