"""Nothing opens that can't be protected: what traders saw, in virtual time, with the exchange's ledger and the conditions that they read."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal

import pytest

from exchange_kernel.api import RiskLimitSpec
from tests.builders import a_market
from tests.scripted import until
from tests.unit.groups.desk import LISTS, VENUE, Groups, a_group, a_group_world, a_member
from tests.unit.groups.test_exit_sizes import edit
from tests.unit.groups.test_restored_status import WIPED, write_status
from tests.virtual_time import scenario

TYPES = VENUE.order_types | {"TrailingStop"}
SPOT = a_market()
SENDS = ("submit", "submit_group")


def a_long(*exits, entry=None, mode="Bracket", **changes):
    members = [a_member("entry", "Entry", quantity="0.01", **(entry or {})), *exits]
    return a_group(mode, *members, **{"nativePolicy": "Never", **changes})


def a_stop(**changes):
    return a_member("stop", "StopLoss", **{"quantity": "0.01", "type": "StopLimit", "triggerPrice": "45000", "price": "44900", **changes})


def a_take(**changes):
    return a_member("take", "TakeProfit", **{"quantity": "0.01", **changes})


def on_spot(world: Groups, *, taker_fee: str | None = None, **market) -> None:
    world.exchange.market = replace(SPOT, **market)
    world.exchange.capabilities = replace(VENUE, order_types=TYPES, reduce_only=False, native_groups=LISTS, taker_fee=Decimal(taker_fee) if taker_fee else None)


async def denied_whole(world: Groups, reason: str, says: str) -> None:
    """Nothing was sent or made, the member is named, and all conditions say so."""
    await world.finished()
    told = {one.type: one for one in world.group().status.conditions}
    assert {name: str(told[name].status) for name in ("Finished", "Succeeded", "Ready", "Stalled")} == {
        "Finished": "True", "Succeeded": "False", "Ready": "False", "Stalled": "True"}
    assert {told[name].reason for name in ("Finished", "Succeeded", "Ready", "Stalled")} == {reason}
    assert says in told["Succeeded"].message, told["Succeeded"].message
    assert says in told["Stalled"].message
    assert {str(member.state) for member in world.group().status.members} == {"Denied"}
    assert not any(world.exchange.calls.count(one) for one in SENDS)
    assert all(world.intent(member.name) is None for member in world.group().spec.members)


SMALL_ENTRY = {"type": "Market", "price": None, "quantity": "0.0001"}


@pytest.mark.proves("rule 16")
@pytest.mark.parametrize(("mode", "policy"), [("Bracket", "Never"), ("Bracket", "Prefer"), ("OneTriggersOther", "Never"), ("Bracket", "Require")])
@scenario
async def test_my_entry_of_6_usdt_is_not_bought_if_its_stop_is_worth_4_49(mode, policy):
    async with a_group_world() as world:
        on_spot(world)
        world.exchange.last = Decimal(60000)
        await world.start()
        cancel = {"onPartialFill": "Cancel"} if mode == "Bracket" else {}
        stop = a_stop(quantity="0.0001")
        entry = SMALL_ENTRY if policy != "Require" else {"quantity": "0.0001", "price": "60000"}
        world.place(a_group(mode, a_member("entry", "Entry", **entry), stop, nativePolicy=policy, **cancel))
        await denied_whole(world, "TooSmallToProtect", "Member stop: filled whole, the Entry leaves it 0.0001 BTC, worth 4.49 USDT")


@pytest.mark.proves("rule 16")
@pytest.mark.parametrize("mode", ["Bracket", "OneTriggersOther", "OneCancelsOther", "Basket"])
@scenario
async def test_nothing_is_bought_on_a_symbol_that_has_no_stop_orders(mode):
    async with a_group_world() as world:
        on_spot(world, order_types=frozenset({"Market", "Limit"}))
        await world.start()
        if mode == "OneCancelsOther":
            world.place(a_group(mode, a_take(), a_stop(), nativePolicy="Never"))
        elif mode == "Basket":
            world.place(a_group(mode, a_member("take", quantity="0.01"), {**a_stop(), "role": "Leg"}))
        else:
            world.place(a_long(a_stop(), mode=mode))
        await denied_whole(world, "MarketRules", "Member stop: The market BTC/USDT has no orders of type StopLimit: use one of Limit, Market.")


@pytest.mark.proves("rule 16")
@pytest.mark.parametrize("policy", ["Never", "Require"])
@scenario
async def test_my_stop_above_my_entry_does_not_sell_at_once(policy):
    async with a_group_world() as world:
        on_spot(world)
        world.exchange.last = Decimal(50000)
        await world.start()
        native = {"nativePolicy": policy, **({"onPartialFill": "Cancel"} if policy == "Require" else {})}
        world.place(a_long(a_stop(triggerPrice="65000", price="64900"), a_take(), **native))
        await denied_whole(world, "WrongSide", "Member stop: a StopLoss that sells is below the Entry's price")


@pytest.mark.proves("rule 16")
@scenario
async def test_a_market_entry_under_its_stop_is_not_bought():
    async with a_group_world() as world:
        on_spot(world)
        world.exchange.last = Decimal(44000)
        await world.start()
        world.place(a_long(a_stop(), entry={"type": "Market", "price": None}))
        await denied_whole(world, "WrongSide", "below the market's last price")


@pytest.mark.proves("rule 16")
@scenario
async def test_a_market_entry_waits_until_the_price_can_be_read_and_then_goes():
    async with a_group_world() as world:
        on_spot(world)
        world.exchange.last = None
        await world.start()
        world.place(a_long(a_stop(), entry={"type": "Market", "price": None}))
        await until(lambda: world.condition("Ready") == ("False", "PriceUnknown"))
        assert (world.condition("Reconciling"), world.condition("Stalled")) == (("True", "PriceUnknown"), ("False", "Progressing"))
        await asyncio.sleep(60)
        assert world.exchange.calls.count("submit") == 0
        assert world.exchange.calls.count("last_price") < 60
        world.exchange.last = Decimal(50000)
        await until(lambda: world.exchange.calls.count("submit") == 1)


@pytest.mark.proves("rule 16")
@scenario
async def test_a_price_that_never_comes_ends_the_wait_at_the_deadline():
    async with a_group_world() as world:
        on_spot(world)
        world.exchange.last = None
        await world.start()
        world.place(a_long(a_stop(), entry={"type": "Market", "price": None, "submitDeadlineSeconds": 30}))
        await denied_whole(world, "SubmitDeadlineExceeded", "is not known")


@pytest.mark.proves("rule 16")
@scenario
async def test_a_limit_that_forbids_my_stop_forbids_my_entry():
    async with a_group_world() as world:
        on_spot(world)
        await world.start()
        world.limits.put("desk", RiskLimitSpec.model_validate({"allowedTypes": ["Limit", "Market"]}))
        world.place(a_long(a_stop()))
        await denied_whole(world, "RiskLimit", "Member stop: RiskLimit desk: its allowedTypes are Limit, Market")


@pytest.mark.proves("rule 16")
@scenario
async def test_the_fee_on_what_i_bought_can_leave_too_little_for_my_stop():
    async with a_group_world() as world:
        on_spot(world, taker_fee="0.001")
        await world.start()
        world.place(a_group("Bracket", a_member("entry", "Entry", quantity="0.00011"), a_stop(quantity="0.00011", triggerPrice="45500", price="45460"), nativePolicy="Never"))
        await denied_whole(world, "TooSmallToProtect", "Member stop")


def listed(size: str | None, mode: str = "Bracket") -> object:
    """A list of the exchange's own, with exits of this size; None: all that the Entry fills."""
    exits = [a_stop(quantity=size), *([a_take(quantity=size, price="75000")] if mode == "Bracket" else [])]
    changes = {"onPartialFill": "Cancel"} if mode == "Bracket" else {}
    return a_group(mode, a_member("entry", "Entry", quantity="0.01"), *exits, nativePolicy="Require", **changes)


@pytest.mark.proves("rule 16")
@pytest.mark.parametrize("mode", ["Bracket", "OneTriggersOther"])
@pytest.mark.parametrize("size", ["0.01", "0.009991", None])
@scenario
async def test_a_list_whose_exit_is_larger_than_what_the_fee_leaves_is_not_sent(size, mode):
    """The exchange places the exits of its list as they were sent, and would refuse this one once the Entry filled."""
    async with a_group_world() as world:
        on_spot(world, taker_fee="0.001")
        await world.start()
        world.place(listed(size, mode))
        await denied_whole(world, "ExitsLargerThanArrives", "Member stop: after a fee of 0.001 taken in BTC the Entry brings 0.00999")


@pytest.mark.proves("rule 16")
@pytest.mark.parametrize(("fee_asset", "taken"), [("BNB", True), ("BTC", False), (None, False)])
@scenario
async def test_an_account_whose_fees_are_paid_in_another_asset_leaves_no_room_for_them(fee_asset, taken):
    async with a_group_world(feeAsset=fee_asset) as world:
        on_spot(world, taker_fee="0.001")
        await world.start()
        world.place(listed("0.01"))
        if taken:
            await until(lambda: world.exchange.calls.count("submit_group") == 1)
        else:
            await denied_whole(world, "ExitsLargerThanArrives", "Member stop")


@pytest.mark.proves("rule 16")
@scenario
async def test_a_list_with_room_for_the_fee_is_sent():
    async with a_group_world() as world:
        on_spot(world, taker_fee="0.001")
        await world.start()
        world.place(listed("0.00999"))
        await until(lambda: world.exchange.calls.count("submit_group") == 1)


@pytest.mark.proves("rule 16")
@scenario
async def test_a_stop_for_which_the_market_has_no_place_left_holds_the_entry_back():
    """The venue would take the entry, and refuse the stop."""
    async with a_group_world() as world:
        on_spot(world, max_trigger_orders=1)
        await world.start()
        world.place(a_long(a_stop()), "first")
        await until(lambda: world.intent("entry", "first") is not None and world.intent("entry", "first").status.client_order_id)
        world.exchange.fill(world.intent("entry", "first").status.client_order_id, "0.01")
        await until(lambda: world.condition("Protected", "first") == ("True", "StopWorking"))
        world.place(a_long(a_stop()))
        await until(lambda: world.condition("Ready") == ("False", "TooManyOrders"))
        assert world.intent("entry") is None
        stop = world.intent("stop", "first")
        world.exchange._cancel(world.exchange.named(stop.status.client_order_id)[-1].exchange_order_id)
        await until(lambda: world.intent("entry") is not None, 120)


# ── Groups that have orders already ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.proves("rule 16", "rule 3")
@scenario
async def test_a_group_whose_entry_was_sent_is_never_denied_by_what_changed_while_nobody_looked():
    async with a_group_world() as world:
        on_spot(world)
        await world.start()
        world.place(a_long(a_stop()))
        await world.settle(entry="Open")
        await world.crash()
        on_spot(world, order_types=frozenset({"Market", "Limit"}))
        write_status(world, WIPED)
        await world.start()
        await asyncio.sleep(30)
        assert not world.group().finished
        assert world.live() == {"entry"}
        assert (world.condition("Ready"), world.condition("Stalled")) == (("False", "MarketRules"), ("True", "MarketRules"))


@pytest.mark.proves("rule 16")
@scenario
async def test_an_edit_that_makes_the_stop_impossible_is_told_and_cancels_nothing():
    async with a_group_world() as world:
        on_spot(world)
        await world.start()
        world.place(a_long(a_stop()))
        await world.settle(entry="Open")
        world.groups.edit("pair", a_long(a_stop(triggerPrice="65000", price="64900")))
        await until(lambda: world.condition("Stalled") == ("True", "WrongSide"))
        assert (world.condition("Ready"), world.live()) == (("False", "WrongSide"), {"entry"})
        assert world.exchange.calls.count("cancel") == 0
        world.groups.edit("pair", a_long(a_stop()))
        await until(lambda: world.condition("Ready") == ("True", "Working"))


@pytest.mark.proves("rule 16")
@scenario
async def test_an_edit_never_takes_a_working_stop_away():
    async with a_group_world() as world:
        on_spot(world)
        await world.start()
        world.place(a_long(a_stop(), a_take()))
        await world.settle(entry="Open")
        world.fill("entry", "0.01")
        await until(lambda: world.condition("Protected") == ("True", "StopWorking"))
        world.exchange.market = replace(world.exchange.market, order_types=frozenset({"Limit", "Market"}))
        world.groups.edit("pair", a_long(a_stop(), a_take(price="56000")))
        await asyncio.sleep(20)
        assert "stop" in world.live()
        assert world.condition("Protected") == ("True", "StopWorking")


@pytest.mark.proves("rule 16")
@scenario
async def test_a_suspended_entry_is_judged_again_before_it_is_sent():
    """Its market moved below the stop while it waited."""
    async with a_group_world() as world:
        on_spot(world)
        await world.start()
        entry = {"type": "Market", "price": None}
        world.place(a_long(a_stop(), entry=entry, suspend=True))
        await until(lambda: world.intent("entry") is not None)
        await asyncio.sleep(60)
        world.exchange.last = Decimal(44000)
        world.groups.edit("pair", a_long(a_stop(), entry=entry))
        await until(lambda: world.condition("Stalled") == ("True", "WrongSide"))
        await asyncio.sleep(20)
        assert world.exchange.calls.count("submit") == 0
        world.exchange.last = Decimal(50000)
        await until(lambda: world.exchange.calls.count("submit") == 1, 120)


@pytest.mark.proves("rule 16")
@scenario
async def test_a_group_that_is_cancelled_before_it_was_placed_ends_as_asked():
    async with a_group_world() as world:
        on_spot(world)
        await world.start()
        world.place(a_long(a_stop(triggerPrice="65000", price="64900"), desiredState="Canceled"))
        await world.finished()
        assert world.condition("Succeeded") == ("True", "CanceledAsAsked")


@scenario
async def test_a_good_group_asks_for_one_price_and_no_more():
    async with a_group_world() as world:
        on_spot(world)
        await world.start()
        await world.open_position(a_long(a_stop(), a_take()), "0.01", "take", "stop")
        assert world.exchange.calls.count("last_price") == 1


@scenario
async def test_a_group_without_exits_that_are_compared_asks_for_none():
    async with a_group_world() as world:
        await world.start()
        world.place(a_group("Basket", a_member("one"), a_member("two")))
        await world.settle(one="Open", two="Open")
        assert world.exchange.calls.count("last_price") == 0


@pytest.mark.proves("rule 16", "rule 3")
@pytest.mark.parametrize("entry", [{}, {"type": "Market", "price": None}], ids=["Limit", "Market"])
@scenario
async def test_a_group_made_while_no_operator_ran_opens_nothing_either(entry):
    """An earlier process may have sent it and lost its status: it is looked for, held and told, and not called Denied."""
    async with a_group_world() as world:
        on_spot(world)
        world.place(a_long(a_stop(triggerPrice="65000", price="64900"), entry=entry))
        await asyncio.sleep(30)
        await world.start()
        await until(lambda: world.condition("Stalled") == ("True", "WrongSide"))
        await asyncio.sleep(60)
        assert world.exchange.calls.count("submit") == 0
        assert not world.group().finished
        world.groups.edit("pair", a_long(a_stop(), entry=entry))
        await until(lambda: world.exchange.calls.count("submit") == 1)


@pytest.mark.proves("rule 16")
@scenario
async def test_a_list_made_while_no_operator_ran_is_not_sent_either():
    async with a_group_world() as world:
        on_spot(world)
        world.place(a_long(a_stop(triggerPrice="65000", price="64900"), a_take(), nativePolicy="Require", onPartialFill="Cancel"))
        await asyncio.sleep(30)
        await world.start()
        await asyncio.sleep(60)
        assert not any(world.exchange.calls.count(one) for one in SENDS)
        assert world.condition("Stalled") == ("True", "WrongSide")


@pytest.mark.proves("rule 16")
@scenario
async def test_a_market_entry_whose_price_grew_old_before_it_was_written_is_compared_again(monkeypatch):
    """The API server was slow: the market may have moved since the group was judged."""
    async with a_group_world() as world:
        on_spot(world)
        await world.start()
        create = world.store.create_member

        async def slowly(*arguments, **named):
            await asyncio.sleep(10)
            world.exchange.last = Decimal(44000)
            return await create(*arguments, **named)

        monkeypatch.setattr(world.store, "create_member", slowly)
        world.place(a_long(a_stop(), entry={"type": "Market", "price": None}))
        await until(lambda: world.condition("Stalled") == ("True", "WrongSide"))
        assert world.exchange.calls.count("submit") == 0
        asked = world.exchange.calls.count("last_price")
        await asyncio.sleep(60)
        assert world.exchange.calls.count("last_price") - asked < 20
        world.exchange.last = Decimal(50000)
        await until(lambda: world.exchange.calls.count("submit") == 1)


@scenario
async def test_takes_that_were_edited_larger_than_the_entry_keep_nothing_from_its_stop():
    """What they need together is shared, and a share of a third is no quantity of a market."""
    takes = [a_member(name, "TakeProfit", quantity=quantity) for name, quantity in (("take", "6"), ("more", "4"))]
    async with a_group_world() as world:
        await world.start()
        world.place(a_group("OneTriggersOther", a_member("entry", "Entry"), *takes, a_member("stop", "StopLoss")))
        await world.settle(entry="Open")
        edit(world, take="15")
        world.fill("entry", "4")
        await world.settle(stop="Open")
        assert world.condition("Protected")[0] == "True"
