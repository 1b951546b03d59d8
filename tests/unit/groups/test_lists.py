"""Groups that the exchange keeps as lists of its own: sent whole, once, and never leg by leg."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from exchange_kernel.api import DesiredState, GroupDesiredState
from exchange_kernel.core.answers import NotSent, Refused, Unknown
from tests.scripted import until
from tests.unit.groups.desk import a_bracket, a_group, a_group_world, a_member, an_oco
from tests.unit.groups.test_exit_sizes import edit
from tests.virtual_time import scenario


@scenario
async def test_one_request_sends_them_all_and_each_has_its_own_intent():
    async with a_group_world() as world:
        world.on_spot()
        await world.start()
        world.place(an_oco())
        await world.settle(take="Open", stop="Open")
        assert world.exchange.calls.count("submit_group") == 1
        assert world.exchange.calls.count("submit") == 0
        assert world.group().status.native
        world.fill("take", "10")
        world.exchange._cancel(world.order("stop").exchange_order_id)      # as the venue does
        await world.finished()
        assert world.condition("Succeeded") == ("True", "Filled")


@pytest.mark.proves("rule 1")
@scenario
async def test_a_list_whose_answer_was_lost_is_found_and_not_sent_again():
    async with a_group_world() as world:
        world.on_spot()
        world.exchange.group_reply = lambda accepted: Unknown("the connection was lost before the answer")
        await world.start()
        world.place(an_oco())
        await world.settle(take="Open", stop="Open")
        assert len(world.exchange.orders_by_id) == 2


@scenario
async def test_a_list_that_was_not_sent_is_sent_later():
    async with a_group_world() as world:
        world.on_spot()
        await world.start()
        send, world.exchange.submit_group = world.exchange.submit_group, _never
        world.place(an_oco())
        await until(lambda: world.intent("stop") is not None and world.intent("stop").status.attempts)
        world.exchange.submit_group = send
        await world.settle(take="Open", stop="Open")
        assert len(world.exchange.orders_by_id) == 2


async def _never(request, clearance):
    return NotSent("no connection could be made")


@scenario
async def test_a_list_that_is_refused_is_refused_as_a_whole():
    async with a_group_world() as world:
        world.on_spot()
        await world.start()

        async def refuse(request, clearance):
            return Refused("-2010", "Account has insufficient balance for requested action.")

        world.exchange.submit_group = refuse
        world.place(an_oco())
        await world.finished()
        assert "Rejected" in (world.state("take"), world.state("stop"))
        assert world.condition("Succeeded") == ("False", "MemberRefused")


@pytest.mark.proves("rule 3")
@scenario
async def test_after_a_crash_between_acceptance_and_answer_the_list_is_found():
    async with a_group_world() as world:
        world.on_spot()
        await world.start()
        world.exchange.accepted = world.kill
        world.place(an_oco())
        await until(lambda: world.desk is None)
        world.exchange.accepted = lambda: None
        await world.start()
        await world.settle(take="Open", stop="Open")
        assert len(world.exchange.orders_by_id) == 2


@pytest.mark.proves("rule 5")
@scenario
async def test_after_a_crash_before_anything_was_sent_the_list_is_proved_absent_and_then_sent():
    async with a_group_world() as world:
        world.on_spot()
        await world.start()
        sent = asyncio.Event()

        async def hang(request, clearance):
            sent.set()
            await asyncio.Event().wait()

        world.exchange.submit_group = hang
        world.place(an_oco())
        await sent.wait()
        world.kill()
        del world.exchange.submit_group
        await world.start()
        await world.settle(take="Open", stop="Open")
        assert len(world.exchange.orders_by_id) == 2
        assert "lookup_group" in world.exchange.calls


@scenario
async def test_a_cancelled_list_is_cancelled_once_and_both_say_as_asked():
    async with a_group_world() as world:
        world.on_spot()
        await world.start()
        spec = an_oco()
        world.place(spec)
        await world.settle(take="Open", stop="Open")
        world.groups.edit("pair", spec.model_copy(update={"desired_state": GroupDesiredState.CANCELED}))
        await world.finished()
        assert world.condition("Succeeded") == ("True", "CanceledAsAsked")
        assert not world.live()


@scenario
async def test_an_order_in_a_list_is_not_changed_on_its_own():
    async with a_group_world() as world:
        world.on_spot()
        await world.start()
        spec = an_oco()
        world.place(spec)
        await world.settle(take="Open", stop="Open")
        take, stop = spec.members
        world.groups.edit("pair", spec.model_copy(update={"members": [take.model_copy(update={"quantity": Decimal(5)}), stop]}))
        await until(lambda: any(one.reason == "ModifyNotPermitted" for one in world.intent("take").status.conditions))
        assert world.live() == {"take", "stop"}
        assert world.order("take").quantity == 10


@scenario
async def test_a_list_of_which_one_is_cancelled_before_it_was_sent_is_not_sent():
    async with a_group_world() as world:
        world.on_spot()
        await world.start()
        world.exchange.submit_group = _never
        world.place(an_oco())
        await until(lambda: world.intent("stop") is not None and world.intent("stop").status.attempts)
        take = world.intent("take")
        world.store.edit(take.uid, take.spec.model_copy(update={"desired_state": DesiredState.CANCELED}))
        await world.finished()
        assert (world.state("take"), world.state("stop")) == ("Canceled", "Canceled")


@scenario
async def test_the_rest_of_a_leg_works_on_when_the_exchange_has_ended_the_other():
    async with a_group_world() as world:
        world.on_spot()
        world.exchange.keeps_lists = True
        await world.start()
        world.place(an_oco())
        await world.settle(take="Open", stop="Open")
        world.fill("take", "3")
        await world.settle(take="PartiallyFilled", stop="Canceled")
        await until(lambda: world.condition("Ready") == ("True", "Working"), within=20)
        assert world.condition("Stalled")[0] == "False", "a fill ended the other: nobody is to see to that"
        world.fill("take", "7")
        await world.finished()
        assert world.condition("Succeeded") == ("True", "Filled")


@scenario
async def test_a_deleted_bracket_that_the_exchange_keeps_leaves_its_exits_together():
    async with a_group_world() as world:
        world.on_spot()
        world.exchange.keeps_lists = True
        await world.start()
        world.place(a_bracket(nativePolicy="Require", onPartialFill="Cancel"))
        await world.settle(entry="Open", take="Open", stop="Open")
        world.fill("entry", "10")
        await world.settle(entry="Filled")
        world.groups.delete("pair")
        await until(lambda: world.group() is None)
        assert world.live() == {"take", "stop"}


@pytest.mark.parametrize(("spec", "native"), [
    (an_oco(), True),
    (an_oco(onPartialFill="Reduce", nativePolicy="Never"), False),
    (a_bracket(nativePolicy="Require", onPartialFill="Cancel"), True),
    (a_group("OneTriggersOther", a_member("entry", "Entry"), a_member("then"), nativePolicy="Require"), True),
    (a_group("OneTriggersOther", a_member("entry", "Entry"), a_member("then")), False),
], ids=["OCO", "OCO that reduces", "bracket by the exchange's rules", "OTO by the exchange's rules", "OTO"])
def test_the_exchanges_list_is_used_where_it_does_the_same_or_is_asked_for(spec, native):
    async def story():
        async with a_group_world() as world:
            world.on_spot()
            await world.start()
            world.place(spec)
            await until(lambda: world.exchange.orders_by_id)
            assert ("submit_group" in world.exchange.calls) is native
            assert world.group().status.native is native

    scenario(story)()


@scenario
async def test_an_exit_of_a_list_that_was_edited_larger_as_it_filled_has_ended():
    async with a_group_world() as world:
        world.on_spot()
        world.exchange.keeps_lists = True
        await world.start()
        world.place(a_bracket(nativePolicy="Require", onPartialFill="Cancel"))
        await world.settle(entry="Open")
        world.fill("entry", "10")
        await asyncio.sleep(5)
        edit(world, entry="15", take="15")
        world.fill("take", "10")
        await world.finished()
        assert world.state("take") == "Filled"
        assert world.condition("Succeeded") == ("True", "Closed")
