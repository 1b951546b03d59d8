"""Groups in virtual time, judged by the exchange's own orders: who is sent, how large, who is cancelled, and what is said of it."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from exchange_kernel.api import AccountRef, DesiredState, GroupDesiredState
from exchange_kernel.stores.port import Snapshot
from tests.scripted import until
from tests.unit.groups.desk import a_bracket, a_group, a_group_world, a_member, an_oco
from tests.virtual_time import scenario

OPEN, PART, FILLED, CANCELED = "Open", "PartiallyFilled", "Filled", "Canceled"


# ── One cancels the other ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────

@pytest.mark.proves("F40")
@scenario
async def test_a_fill_of_one_cancels_the_other():
    async with a_group_world() as world:
        await world.start()
        world.place(an_oco())
        await world.settle(take=OPEN, stop=OPEN)
        world.fill("take", "10")
        await world.finished()
        assert (world.state("take"), world.state("stop")) == (FILLED, CANCELED)
        assert world.condition("Succeeded") == ("True", "Filled")
        assert len(world.exchange.orders_by_id) == 2


@scenario
async def test_a_wait_for_a_groups_end_returns_though_the_finished_group_was_edited_after_it():
    async with a_group_world() as world:
        await world.start()
        spec = an_oco()
        world.place(spec)
        await world.settle(take=OPEN, stop=OPEN)
        world.fill("take", "10")
        await world.finished()
        before = world.group().status
        world.groups.edit("pair", spec.model_copy(update={"ttl_seconds_after_finished": 3600}))
        await until(lambda: world.group().status.observed_generation == 2, within=5)
        after = world.group().status
        assert {told.observed_generation for told in after.conditions} == {2}
        assert (after.members, after.completion_time) == (before.members, before.completion_time)
        assert [told.last_transition_time for told in after.conditions] == [told.last_transition_time for told in before.conditions]


@pytest.mark.proves("F41")
@scenario
async def test_the_cancel_of_the_other_waits_for_no_write_of_the_group_and_none_of_the_fill():
    async with a_group_world() as world:
        await world.start()
        spec = an_oco()
        world.place(spec)
        await world.settle(take=OPEN, stop=OPEN)
        await asyncio.sleep(1)
        world.groups.write_status = slowly(world.groups.write_status, 30.0)
        world.store.write_status = slowly(world.store.write_status, 30.0)
        world.groups.edit("pair", spec.model_copy(update={"ttl_seconds_after_finished": 60}))
        await asyncio.sleep(0.1)  # the group is at its write
        world.fill("take", "10")
        await asyncio.sleep(0.1)
        assert not world.live()


@scenario
async def test_what_fills_in_a_quarter_of_a_second_is_one_write_of_the_group():
    async with a_group_world() as world:
        await world.start()
        world.place(a_group("Basket", a_member("one"), a_member("other")))
        await world.settle(one=OPEN, other=OPEN)
        await asyncio.sleep(1)
        written: list[object] = []
        world.groups.write_status = counted(world.groups.write_status, written)
        for _ in range(9):
            world.fill("one", "1")
            await asyncio.sleep(0.02)
        await asyncio.sleep(1)
        assert len(written) == 1
        assert {member.name: member.filled_quantity for member in world.group().status.members} == {"one": 9, "other": 0}


def counted(write, written):
    async def counts(*arguments):
        written.append(arguments)
        return await write(*arguments)

    return counts


@scenario
async def test_a_part_of_one_cancels_the_other_whole_and_the_rest_of_the_first_works_on():
    async with a_group_world() as world:
        await world.start()
        world.place(an_oco())
        await world.settle(take=OPEN, stop=OPEN)
        world.fill("take", "3")
        await world.settle(take=PART, stop=CANCELED)
        world.fill("take", "7")
        await world.finished()
        assert world.condition("Succeeded") == ("True", "Filled")


@pytest.mark.proves("F42")
@scenario
async def test_with_reduce_the_other_is_made_smaller_by_what_filled():
    async with a_group_world() as world:
        await world.start()
        world.place(an_oco(onPartialFill="Reduce"))
        await world.settle(take=OPEN, stop=OPEN)
        world.fill("take", "3")
        await until(lambda: world.order("stop").quantity == 7 and world.live() == {"take", "stop"})
        world.fill("stop", "7")
        await world.finished()
        assert world.condition("Succeeded") == ("True", "Filled")
        assert world.intent("take").status.filled_quantity + world.intent("stop").status.filled_quantity == 10


@pytest.mark.proves("F41")
@scenario
async def test_both_filled_before_a_cancel_could_arrive_is_shown_for_ever():
    async with a_group_world() as world:
        await world.start()
        world.place(an_oco())
        await world.settle(take=OPEN, stop=OPEN)
        world.fill("take", "10")
        world.fill("stop", "4")
        await world.finished()
        assert world.condition("Succeeded") == ("False", "BothLegsFilled")
        assert world.intent("stop").status.filled_quantity == 4
        assert world.condition("Stalled") == ("True", "BothLegsFilled")


@scenario
async def test_one_refused_cancels_the_rest():
    async with a_group_world() as world:
        await world.start()
        world.place(a_group("OneCancelsOther", a_member("take"), a_member("large", quantity="5000")))
        await world.finished()
        assert world.state("large") == "Rejected"
        assert world.state("take") == CANCELED
        assert world.condition("Succeeded") == ("False", "MemberRefused")
        assert not world.live()


@scenario
async def test_one_refused_leaves_the_rest_if_asked_to():
    async with a_group_world() as world:
        await world.start()
        world.place(a_group("Basket", a_member("small"), a_member("large", quantity="5000"), failurePolicy="Continue"))
        await world.settle(small=OPEN, large="Rejected")
        world.fill("small", "10")
        await world.finished()
        assert world.condition("Succeeded") == ("False", "MemberRefused")


# ── A bracket ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

@pytest.mark.proves("F43")
@scenario
async def test_exits_follow_the_entrys_fills_and_one_cancels_the_other():
    async with a_group_world() as world:
        await world.start()
        world.place(a_bracket())
        await world.settle(entry=OPEN)
        assert world.intent("stop") is None, "nothing is filled yet"
        world.fill("entry", "4")
        await world.settle(take=OPEN, stop=OPEN)
        assert (world.order("take").quantity, world.order("stop").quantity) == (4, 4)
        assert world.condition("Protected") == ("True", "StopWorking")
        world.fill("entry", "6")
        await until(lambda: world.order("take").quantity == 10 and world.order("stop").quantity == 10 and world.live() == {"take", "stop"})
        world.fill("take", "10")
        await world.finished()
        assert world.condition("Succeeded") == ("True", "Closed")
        assert world.state("stop") == CANCELED
        assert world.condition("Protected") == ("True", "NoPosition")


@scenario
async def test_an_exits_part_makes_the_other_smaller_and_ends_the_entry():
    async with a_group_world() as world:
        await world.start()
        await world.open_position(a_bracket(), "6", "take", "stop")
        world.fill("take", "2")
        await world.settle(entry=CANCELED)
        await until(lambda: world.order("stop").quantity == 4 and world.live() == {"take", "stop"})
        world.fill("stop", "4")
        await world.finished()
        assert world.condition("Succeeded") == ("True", "Closed")
        assert sum(order.filled_quantity for order in world.exchange.orders_by_id.values() if order.side == "Sell") == 6


@scenario
async def test_the_entry_may_fill_while_it_is_cancelled_and_the_stop_is_there_for_it():
    async with a_group_world() as world:
        await world.start()
        await world.open_position(a_bracket(), "4", "take", "stop")
        world.exchange.late_fill = "3"
        world.fill("take", "4")
        await world.settle(entry=CANCELED)
        world.exchange.late_fill = None
        await until(lambda: world.order("stop").quantity == 3 and world.live() == {"stop"})
        world.fill("stop", "3")
        await world.finished()
        assert world.condition("Succeeded") == ("True", "Closed")


@scenario
async def test_an_entry_that_ends_unfilled_has_no_exits():
    async with a_group_world() as world:
        await world.start()
        world.place(a_bracket())
        await world.settle(entry=OPEN)
        world.exchange._cancel(world.order("entry").exchange_order_id)
        await world.finished()
        assert world.intent("stop") is None
        assert world.condition("Succeeded") == ("False", "EntryNotFilled")
        assert len(world.exchange.orders_by_id) == 1


@scenario
async def test_after_a_part_of_the_entry_the_exits_stay_for_what_was_filled():
    async with a_group_world() as world:
        await world.start()
        await world.open_position(a_bracket(), "4", "take", "stop")
        world.exchange._cancel(world.order("entry").exchange_order_id)
        await world.settle(entry=CANCELED)
        assert world.live() == {"take", "stop"}
        world.fill("stop", "4")
        await world.finished()
        assert world.condition("Succeeded") == ("True", "Closed")


@scenario
async def test_a_stop_that_the_exchange_cancels_is_said():
    async with a_group_world() as world:
        await world.start()
        await world.open_position(a_bracket(), "10", "take", "stop")
        world.exchange._cancel(world.order("stop").exchange_order_id)
        await world.settle(stop=CANCELED)
        await until(lambda: world.condition("Protected") == ("False", "StopGone"))
        assert (world.condition("Ready"), world.condition("Stalled")) == (("False", "StopGone"), ("True", "StopGone"))
        assert world.live() == {"take"}


@scenario
async def test_exits_are_reduce_only_on_derivatives():
    async with a_group_world() as world:
        await world.start()
        await world.open_position(a_bracket(), "10", "take", "stop")
        assert world.intent("entry").spec.position_effect == "Any"
        assert {world.intent(name).spec.position_effect for name in ("take", "stop")} == {"ReduceOnly"}


# ── Objects ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

@pytest.mark.proves("H19")
@pytest.mark.parametrize("when", ["open", "filled"])
def test_a_member_that_was_deleted_is_never_made_again(when):
    async def story():
        async with a_group_world() as world:
            await world.start()
            world.place(a_group("Basket", a_member("a"), a_member("b")))
            await world.settle(a=OPEN, b=OPEN)
            if when == "filled":
                world.fill("a", "10")
                await world.settle(a=FILLED)
            world.store.delete(world.intent("a").uid)
            await until(lambda: world.intent("a") is None)
            world.fill("b", "10")
            await world.finished()
            assert len(world.exchange.orders_by_id) == 2
            gone = next(member for member in world.group().status.members if member.name == "a")
            assert gone.gone
            assert (gone.filled_quantity, str(gone.state)) == ((10, FILLED) if when == "filled" else (0, CANCELED))

    scenario(story)()


@scenario
async def test_a_group_that_is_made_before_its_account_is_ready_is_placed_once_it_is():
    async with a_group_world() as world:
        world.boot()
        world.place(an_oco())
        await world.settle(take=OPEN, stop=OPEN)


@scenario
async def test_a_member_that_the_watch_has_not_told_of_yet_is_not_gone():
    async with a_group_world() as world:
        await world.start()
        world.place(an_oco())
        await world.settle(take=OPEN, stop=OPEN)
        await until(lambda: world.group().status.counts.open == 2)
        world.kill()
        unheard = dict(world.store._records)
        world.store._records.clear()                    # a process begins, and its watch of groups is ahead of that of intents

        async def listed(namespace):
            world.store._records.update(unheard)
            return Snapshot(tuple(unheard.values()), world.store._version)

        world.store.list_all, world.exchange.reachable = listed, False
        desk = world.boot()
        await until(lambda: desk.account_reconciler._running and desk.session.health.problem is not None)
        desk.groups.wake("pair")
        await until(lambda: world.condition("Ready") == ("False", "AccountNotReady"))
        world.exchange.reachable = True
        await desk.ready()
        world.fill("take", "10")
        await world.finished()
        assert not any(member.gone for member in world.group().status.members)
        assert world.condition("Succeeded") == ("True", "Filled")


@scenario
async def test_a_persons_edit_of_a_member_is_put_back_but_for_its_cancel():
    async with a_group_world() as world:
        await world.start()
        world.place(an_oco(onPartialFill="Reduce"))
        await world.settle(take=OPEN, stop=OPEN)
        take = world.intent("take")
        world.store.edit(take.uid, take.spec.model_copy(update={"price": Decimal(60000)}))
        await until(lambda: world.intent("take").spec.price == 55000)
        world.store.edit(take.uid, world.intent("take").spec.model_copy(update={"desired_state": DesiredState.CANCELED}))
        await world.settle(take=CANCELED)
        assert world.live() == {"stop"}


@scenario
async def test_a_change_of_the_group_changes_its_members():
    async with a_group_world() as world:
        await world.start()
        spec = an_oco()
        world.place(spec)
        await world.settle(take=OPEN, stop=OPEN)
        take, stop = spec.members
        world.groups.edit("pair", spec.model_copy(update={"members": [take.model_copy(update={"price": Decimal(56000)}), stop.model_copy(update={"trigger_price": Decimal(44000)})]}))
        await until(lambda: world.order("take").price == 56000 and world.order("stop").trigger_price == 44000 and world.live() == {"take", "stop"})


@scenario
async def test_a_strangers_intent_of_a_members_name_is_left_alone():
    from tests.builders import a_spec

    async with a_group_world() as world:
        await world.start()
        world.store.create("stranger", a_spec(quantity="1"), name="pair-take")
        await until(lambda: world.store.get("stranger").status.state == OPEN)
        world.place(an_oco())
        await until(lambda: world.condition("Stalled") == ("True", "NameConflict"))
        assert world.store.get("stranger").spec == a_spec(quantity="1")


# ── Cancel, suspend, delete ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────

@pytest.mark.parametrize(("policy", "left"), [("CancelEntries", {"stop"}), ("CancelAll", set()), ("Orphan", {"entry", "take", "stop"})])
def test_what_deleting_a_group_with_a_position_leaves(policy, left):
    async def story():
        async with a_group_world() as world:
            await world.start()
            await world.open_position(a_bracket(deletionPolicy=policy), "4", "take", "stop")
            world.groups.delete("pair")
            await until(lambda: world.group() is None)
            assert world.live() == left

    scenario(story)()


@scenario
async def test_what_the_entry_fills_while_its_group_goes_gets_its_stop():
    async with a_group_world() as world:
        await world.start()
        world.place(a_bracket())
        await world.settle(entry=OPEN)
        world.exchange.late_fill = "4"
        world.groups.delete("pair")
        await until(lambda: world.group() is None)
        assert world.live() == {"stop"}
        assert world.order("stop").quantity == 4


@scenario
async def test_a_stop_that_is_left_is_an_order_of_its_own():
    async with a_group_world() as world:
        await world.start()
        await world.open_position(a_bracket(), "10", "take", "stop")
        world.groups.delete("pair")
        await until(lambda: world.group() is None and world.live() == {"stop"})
        world.store.delete(world.intent("stop").uid)
        await until(lambda: world.intent("stop") is None)
        assert not world.live()


@pytest.mark.proves("F43")
@scenario
async def test_a_position_that_opens_as_its_group_is_deleted_gets_its_stop():
    async with a_group_world() as world:
        await world.start()
        world.place(a_bracket())
        await world.settle(entry=OPEN)
        world.fill("entry", "4")
        world.groups.delete("pair")
        await until(lambda: world.group() is None)
        assert world.live() == {"stop"}
        assert world.order("stop").quantity == 4


@scenario
async def test_what_was_not_sent_when_its_group_was_orphaned_is_never_sent():
    async with a_group_world() as world:
        await world.start()
        world.place(an_oco(deletionPolicy="Orphan"))
        world.exchange.budget_s = 2.0
        await until(lambda: world.exchange.calls.count("submit") == 2)
        world.groups.delete("pair")
        await until(lambda: world.group() is None)
        await asyncio.sleep(30)
        assert not world.exchange.orders_by_id
        assert {world.state("take"), world.state("stop")} <= {"Pending", "Submitting"}


@pytest.mark.proves("rule 11", "H25")
@scenario
async def test_all_that_is_deleted_at_once_goes_however_slow_the_writes_are():
    async with a_group_world() as world:
        await world.start()
        await world.open_position(a_bracket(), "4", "take", "stop")
        world.accounts.delete("aaaa-account")
        for member in ("entry", "take", "stop"):
            world.store.delete(world.intent(member).uid)
        world.groups.delete("pair")
        world.groups.write_status = slowly(world.groups.write_status, 0.5)
        await until(lambda: not world.accounts.all() and world.group() is None and not world.store.of_account("default", "main"), within=60)
        assert not world.live()


def slowly(write, seconds):
    async def written(*arguments):
        await asyncio.sleep(seconds)
        return await write(*arguments)

    return written


@scenario
async def test_a_cancelled_group_leaves_the_exits_of_a_position():
    async with a_group_world() as world:
        await world.start()
        spec = a_bracket()
        await world.open_position(spec, "4", "take", "stop")
        world.groups.edit("pair", spec.model_copy(update={"desired_state": GroupDesiredState.CANCELED}))
        await world.settle(entry=CANCELED)
        assert world.live() == {"take", "stop"}
        world.fill("take", "4")
        await world.finished()
        assert world.condition("Succeeded") == ("True", "Closed")


@scenario
async def test_nothing_of_a_suspended_group_is_sent():
    async with a_group_world() as world:
        await world.start()
        spec = an_oco(suspend=True)
        world.place(spec)
        await until(lambda: world.condition("Ready") == ("False", "Suspended"))
        assert not world.exchange.orders_by_id
        world.groups.edit("pair", spec.model_copy(update={"suspend": False}))
        await world.settle(take=OPEN, stop=OPEN)


# ── Refused before anything is sent ─────────────────────────────────────────────────────────────────────────────────────────────────────────

@pytest.mark.parametrize(("policy", "contract", "reason"), [
    ("Prefer", None, "NeedsNativeGroup"), ("Require", Decimal("0.001"), "NoNativeGroup"), ("Never", None, None), ("Prefer", Decimal("0.001"), None),
])
def test_two_resting_exits_on_spot_need_a_list_of_the_exchanges_own(policy, contract, reason):
    from dataclasses import replace

    async def story():
        async with a_group_world() as world:
            world.exchange.market = replace(world.exchange.market, contract_size=contract)
            await world.start()
            world.place(an_oco(nativePolicy=policy))
            if reason is None:
                await until(lambda: len(world.exchange.orders_by_id) == 2)
            else:
                await world.finished()
                assert world.condition("Succeeded") == ("False", reason)
                assert not world.exchange.orders_by_id
                assert {(str(member.state), member.finished, member.reason) for member in world.group().status.members} == {("Denied", True, reason)}
                assert world.intent("take") is None

    scenario(story)()


@scenario
async def test_a_member_that_is_cancelled_before_it_is_made_has_ended_and_is_never_made():
    async with a_group_world() as world:
        await world.start()
        spec = a_group("OneTriggersOther", a_member("entry", "Entry"), a_member("then"))
        world.place(spec)
        await world.settle(entry=OPEN)
        entry, then = spec.members
        world.groups.edit("pair", spec.model_copy(update={"members": [entry, then.model_copy(update={"desired_state": DesiredState.CANCELED})]}))
        await until(lambda: {member.name: (member.state, member.finished) for member in world.group().status.members}["then"] == (CANCELED, True))
        world.fill("entry", "10")
        await world.finished()
        assert world.intent("then") is None


# ── Parameters of the exchange's own ────────────────────────────────────────────────────────────────────────────────────────────────────────

@scenario
async def test_a_bracket_whose_stop_has_parameters_that_are_not_sent_opens_nothing():
    async with a_group_world() as world:
        await world.start()
        world.place(a_group("Bracket", a_member("entry", "Entry"), a_member("stop", "StopLoss", exchangeParameters={"workingType": "MARK_PRICE"})))
        await world.finished()
        assert world.exchange.calls.count("submit") == 0, "its stop could not be placed as it is asked for"
        assert world.condition("Succeeded") == ("False", "ExchangeParameters")


@scenario
async def test_parameters_that_are_added_to_a_stop_later_leave_the_stop_where_it_is():
    async with a_group_world() as world:
        await world.start()
        await world.open_position(a_bracket(), "10", "stop")
        world.groups.edit("pair", a_group("Bracket", a_member("entry", "Entry"), a_member("take", "TakeProfit"),
                                          a_member("stop", "StopLoss", exchangeParameters={"workingType": "MARK_PRICE"})))
        await until(lambda: any(one.reason == "ChangeRefused" for one in world.intent("stop").status.conditions))
        assert not world.order("stop").status.ended
        assert next(one.status for one in world.intent("stop").status.conditions if one.type == "Ready") == "False", "spec asks for more than is there"


@scenario
async def test_a_group_whose_account_never_was_goes_when_i_delete_it():
    async with a_group_world() as world:
        await world.start()
        world.place(an_oco().model_copy(update={"account_ref": AccountRef(name="mian")}))
        await until(lambda: world.condition("Stalled") == ("True", "AccountNotFound"))
        world.groups.delete("pair")
        await until(lambda: world.groups.get("pair") is None)
