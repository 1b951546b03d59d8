"""An exit of an open position that the exchange refuses is not an end: what follows, how often, and what is said meanwhile. Told in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal

import pytest

from exchange_kernel.api import AttemptStage, DesiredState, OrderState, RefusalKind, RiskLimitSpec, TradingMode
from exchange_kernel.core.answers import Balance, Fee, OrderStatus, Refused, Unknown
from tests.scripted import until
from tests.unit.groups.desk import PERPETUAL, SPOT, a_bracket, a_group, a_group_world, a_member
from tests.virtual_time import scenario

TRIGGERS_AT_ONCE = Refused("-2010", "Stop price would trigger immediately", RefusalKind.TRIGGER_PASSED)
CLOSED = Refused("-1013", "Market is closed", RefusalKind.MARKET_CLOSED)
NO_FUNDS = Refused("-2010", "Account has insufficient balance for requested action", RefusalKind.BALANCE)
LOT_SIZE = Refused("-1013", "Filter failure: LOT_SIZE", RefusalKind.MARKET_RULES)
NOT_ALLOWED = Refused("-2010", "This action is disabled on this account")

Refuse = Callable[[object], Refused | Unknown | None]


def refusing(world, refuse: Refuse) -> list[object]:
    """The exchange refuses what `refuse` has an answer for. Every request that arrived, in its order."""
    take, arrived = world.exchange._take_order, []

    async def take_or_refuse(request, stamp):
        arrived.append(request)
        answer = refuse(request)
        return answer if answer is not None else await take(request, stamp)

    world.exchange._take_order = take_or_refuse
    return arrived


def stops(answer: Refused | Unknown) -> Refuse:
    return lambda request: answer if request.type.startswith("Stop") else None


def sells(answer: Refused) -> Refuse:
    return lambda request: answer if request.side == "Sell" else None


def with_a_stop(**changes):
    return a_group("Bracket", a_member("entry", "Entry"), a_member("stop", "StopLoss", **changes))


@asynccontextmanager
async def a_filled_entry(refuse: Refuse, spec=None, *, filled: str = "10", spot: bool = False):
    """An Entry that filled, at an exchange that refuses."""
    async with a_group_world() as world:
        if spot:
            world.on_spot()
        await world.start()
        world.place(spec or with_a_stop())
        await world.settle(entry="Open")
        world.arrived = refusing(world, refuse)
        world.fill("entry", filled)
        await until(lambda: world.arrived)
        yield world


def attempts(world, member: str = "stop"):
    return [(attempt.stage, attempt.refusal, attempt.type) for attempt in world.intent(member).status.attempts]


def stalled_since(world, of: str):
    status = world.group().status if of == "group" else world.intent(of).status
    return next((one.status, one.last_transition_time) for one in status.conditions if one.type == "Stalled")


def exactly_once(world) -> None:
    """No id was accepted twice, none was sent twice without a definite refusal before, and no more is sold than the Entry bought."""
    ids = [request.client_order_id for request in world.arrived]
    assert len(ids) == len(set(ids)), "each attempt is one request, under an id of its own"
    sold = sum(order.filled_quantity if order.status.ended else order.quantity for order in world.exchange.orders_by_id.values() if order.side == "Sell")
    assert sold <= world.intent("entry").status.filled_quantity


# ── The market is past the stop's trigger ───────────────────────────────────────────────────────────────────────────────────────────────────

@pytest.mark.proves("rule 16")
@scenario
async def test_the_market_fell_through_my_stop_before_it_was_placed_and_my_position_is_closed_at_market():
    async with a_filled_entry(stops(TRIGGERS_AT_ONCE)) as world:
        await until(lambda: world.order("stop") is not None and world.order("stop").type == "Market", within=5)
        assert world.order("stop").quantity == 10
        assert attempts(world) == [(AttemptStage.REFUSED, RefusalKind.TRIGGER_PASSED, None), (AttemptStage.LIVE, None, "Market")]
        assert world.intent("stop").status.attempts[1].prepared_time is not None, "written before it is sent"
        assert world.intent("stop").spec.type == "StopMarket", "what was asked for stands"
        world.fill("stop", "10")
        await world.finished()
        assert world.condition("Succeeded") == ("True", "Closed")
        assert world.condition("Stalled") == ("False", "Closed")
        exactly_once(world)


@scenario
async def test_my_limit_on_types_allows_stops_only_and_the_stop_that_is_due_still_closes_my_position():
    async with a_filled_entry(stops(TRIGGERS_AT_ONCE)) as world:
        world.limits.put("stops-only", RiskLimitSpec.model_validate({"allowedTypes": ["Limit", "StopMarket"]}))
        await until(lambda: world.order("stop") is not None, within=5)
        assert world.order("stop").type == "Market"


@scenario
async def test_i_said_wait_and_my_stop_is_placed_once_the_market_is_back():
    below = [True]
    async with a_filled_entry(lambda request: TRIGGERS_AT_ONCE if below[0] and request.side == "Sell" else None, with_a_stop(onTriggerPassed="Wait")) as world:
        await until(lambda: world.condition("Ready") == ("False", "TriggerPassed"), within=5)
        assert world.condition("Protected") == ("False", "TriggerPassed")
        await asyncio.sleep(30)
        assert 4 <= len(world.arrived) <= 7, "ever later: after 1, 2, 4, 8, 16 s"
        below[0] = False
        await world.settle(stop="Open")
        await until(lambda: world.condition("Protected") == ("True", "StopWorking"))
        assert world.order("stop").type == "StopMarket"
        exactly_once(world)


@scenario
async def test_i_said_report_and_my_stop_ends_as_rejected_and_i_am_told():
    async with a_filled_entry(stops(TRIGGERS_AT_ONCE), with_a_stop(onTriggerPassed="Report")) as world:
        await world.settle(stop="Rejected")
        await world.finished()
        assert world.condition("Protected") == ("False", "StopRejected")
        assert (world.condition("Ready"), world.condition("Stalled")) == (("False", "PositionOpen"), ("True", "PositionOpen"))
        await asyncio.sleep(60)
        assert len(world.arrived) == 1


@scenario
async def test_my_take_profit_would_trigger_at_once_and_is_reported_while_the_stop_works():
    spec = a_group("Bracket", a_member("entry", "Entry"), a_member("stop", "StopLoss"),
                   a_member("take", "TakeProfit", type="TakeProfitMarket", price=None, triggerPrice="55000"), failurePolicy="Continue")
    async with a_filled_entry(lambda request: TRIGGERS_AT_ONCE if request.type == "TakeProfitMarket" else None, spec) as world:
        await world.settle(take="Rejected", stop="Open")
        await until(lambda: world.condition("Stalled") == ("True", "MemberRefused"))
        assert world.condition("Protected") == ("True", "StopWorking")


@scenario
async def test_i_move_the_stop_below_the_market_while_the_market_order_is_refused_and_get_my_stop():
    """The Market order was for the old trigger: another one is another wish."""
    def refuse(request):
        return TRIGGERS_AT_ONCE if request.trigger_price == 45000 else CLOSED if request.type == "Market" else None

    async with a_filled_entry(refuse) as world:
        await until(lambda: world.condition("Ready") == ("False", "MarketHalted"), within=10)
        spec = world.group().spec
        members = [one.model_copy(update={"trigger_price": Decimal(40000)}) if one.name == "stop" else one for one in spec.members]
        world.groups.edit("pair", spec.model_copy(update={"members": members}))
        await world.settle(stop="Open")
        assert (world.order("stop").type, world.order("stop").trigger_price) == ("StopMarket", 40000)


@scenario
async def test_the_process_dies_between_the_refusal_and_the_market_order_and_it_is_sent_once():
    async with a_filled_entry(stops(TRIGGERS_AT_ONCE)) as world:
        await until(lambda: len(attempts(world)) == 2 or world.order("stop") is not None, within=5)
        await world.crash()
        await world.start()
        await until(lambda: world.order("stop") is not None, within=60)
        await asyncio.sleep(10)
        assert [order.type for order in world.exchange.orders_by_id.values() if order.side == "Sell"] == ["Market"]
        exactly_once(world)


# ── The market is closed ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

@pytest.mark.proves("rule 16")
@scenario
async def test_a_halt_of_ten_seconds_between_my_entry_and_my_stop_ends_with_a_stop():
    halted = [True]
    async with a_filled_entry(lambda request: CLOSED if halted[0] else None) as world:
        await until(lambda: world.condition("Ready") == ("False", "MarketHalted"), within=2)
        assert world.condition("Protected") == ("False", "MarketHalted")
        assert world.condition("Stalled")[0] == "False", "nobody is needed: it opens by itself"
        await asyncio.sleep(10)
        halted[0] = False
        await world.settle(stop="Open")
        await until(lambda: world.condition("Ready")[0] == "True", within=2)
        assert world.condition("Protected") == ("True", "StopWorking")
        assert len(world.arrived) <= 6
        exactly_once(world)


@scenario
async def test_a_halt_of_hours_is_asked_about_once_a_minute_and_my_stop_comes_after_it():
    halted = [True]
    async with a_filled_entry(lambda request: CLOSED if halted[0] else None) as world:
        await asyncio.sleep(2 * 3600)
        assert 100 < len(world.arrived) < 130
        assert len(world.intent("stop").status.attempts) <= 9
        halted[0] = False
        await until(lambda: world.state("stop") == "Open", within=61)
        exactly_once(world)


@scenario
async def test_the_market_is_halted_by_its_list_and_my_stop_waits_until_it_opens():
    async with a_group_world() as world:
        await world.start()
        world.place(with_a_stop())
        await world.settle(entry="Open")
        world.arrived = refusing(world, lambda request: None if world.exchange.market.active else CLOSED)
        world.exchange.market = replace(world.exchange.market, active=False, status="HALT")
        world.fill("entry", "10")
        await until(lambda: world.condition("Ready") == ("False", "MarketHalted"), within=5)
        await asyncio.sleep(10)
        world.exchange.market = replace(world.exchange.market, active=True, status="")
        await until(lambda: world.state("stop") == "Open", within=30)
        assert world.condition("Protected") == ("True", "StopWorking")


# ── Its rules have changed ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────

@pytest.mark.proves("rule 16")
@scenario
async def test_the_lot_changed_between_my_entry_and_my_stop_and_the_stop_is_rounded_and_sent_again():
    async with a_group_world() as world:
        await world.start()
        world.place(with_a_stop(triggerPrice="45000.5"))
        await world.settle(entry="Open")
        world.exchange.market = replace(PERPETUAL, price_step=Decimal(1))
        world.arrived = refusing(world, lambda request: LOT_SIZE if request.trigger_price is not None and request.trigger_price % 1 else None)
        world.fill("entry", "10")
        await world.settle(stop="Open")
        assert [stage for stage, _, _ in attempts(world)] == [AttemptStage.REFUSED, AttemptStage.LIVE]
        await until(lambda: world.condition("Ready")[0] == "True")
        exactly_once(world)


@scenario
async def test_no_reading_explains_the_filter_and_my_stop_is_tried_on_and_i_am_told_in_the_exchange_s_words():
    strict = [True]
    async with a_filled_entry(lambda request: LOT_SIZE if strict[0] and request.side == "Sell" else None) as world:
        await until(lambda: world.condition("Stalled") == ("True", "ExitRefused"), within=60)
        assert world.condition("Ready") == ("False", "ExitRefused")
        message = next(one.message for one in world.group().status.conditions if one.type == "Stalled")
        assert "Filter failure: LOT_SIZE" in message
        strict[0] = False
        await world.settle(stop="Open")
        await until(lambda: world.condition("Stalled")[0] == "False")


# ── There is less to give than it asks for ──────────────────────────────────────────────────────────────────────────────────────────────────

@pytest.mark.proves("rule 16")
@scenario
async def test_less_arrived_than_was_bought_and_my_stop_is_as_large_as_what_is_there():
    async with a_filled_entry(lambda request: NO_FUNDS if request.side == "Sell" and request.quantity > 9 else None, spot=True) as world:
        world.exchange.held_balances = [Balance("BTC", Decimal("9.99"), Decimal(0))]
        await until(lambda: world.order("stop") is not None, within=10)
        assert world.order("stop").quantity == 9, "down to the market's step"
        assert world.condition("Protected")[0] == "False"
        await asyncio.sleep(30)
        assert len(world.arrived) == 2, "and it stays as it is"
        world.fill("stop", "9")
        await until(lambda: world.state("stop") == "Filled")
        await asyncio.sleep(10)
        assert len(world.arrived) == 2, "nothing is left to be sold"
        exactly_once(world)


@scenario
async def test_nothing_is_there_to_give_and_my_stop_is_asked_for_again_and_again():
    empty = [True]
    async with a_filled_entry(lambda request: NO_FUNDS if empty[0] and request.side == "Sell" else None, spot=True) as world:
        await until(lambda: world.condition("Stalled") == ("True", "ExitRefused"), within=10)
        empty[0] = False
        await world.settle(stop="Open")
        assert world.order("stop").quantity == 10


# ── Anything else ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

@pytest.mark.proves("rule 16")
@scenario
async def test_my_stop_is_refused_for_a_reason_that_no_table_has_and_i_am_told_while_it_is_tried_on():
    broken = [True]
    async with a_filled_entry(lambda request: NOT_ALLOWED if broken[0] and request.side == "Sell" else None) as world:
        await until(lambda: world.condition("Stalled") == ("True", "ExitRefused"), within=5)
        assert world.condition("Ready") == ("False", "ExitRefused")
        assert world.condition("Protected") == ("False", "ExitRefused")
        assert "This action is disabled on this account" in next(one.message for one in world.group().status.conditions if one.type == "Stalled")
        since = {kind: stalled_since(world, kind) for kind in ("group", "stop")}
        await asyncio.sleep(600)
        assert 10 < len(world.arrived) < 20, "at last once a minute"
        assert {kind: stalled_since(world, kind) for kind in ("group", "stop")} == since, "and in trouble all the while, with no Event for each try"
        broken[0] = False
        await until(lambda: world.state("stop") == "Open", within=61)
        await until(lambda: world.condition("Stalled")[0] == "False")
        exactly_once(world)


@pytest.mark.proves("rule 16")
@scenario
async def test_the_answer_to_my_stop_is_lost_and_no_second_one_is_sent():
    async with a_filled_entry(stops(Unknown("silent"))) as world:
        await until(lambda: world.condition("Protected") == ("False", "StopUnknown"), within=5)
        sent = len(world.arrived)
        await asyncio.sleep(4)
        assert len(world.arrived) == sent == 1


@scenario
async def test_cancel_only_holds_the_next_attempt_and_nothing_is_sent_until_it_is_lifted():
    async with a_filled_entry(stops(NOT_ALLOWED)) as world:
        await until(lambda: world.condition("Stalled") == ("True", "ExitRefused"), within=5)
        account = world.accounts.record
        world.accounts.put(replace(account, generation=2, spec=account.spec.model_copy(update={"trading_mode": TradingMode.CANCEL_ONLY})))
        await asyncio.sleep(5)
        sent = len(world.arrived)
        await asyncio.sleep(300)
        assert len(world.arrived) == sent
        assert world.condition("Ready") == ("False", "TradingModeCancelOnly")
        assert world.condition("Stalled") == ("True", "TradingModeCancelOnly"), "the position has no stop, and somebody holds it back"


@scenario
async def test_i_suspend_the_group_and_its_refused_stop_waits_and_that_is_no_quiet_state():
    async with a_filled_entry(stops(NOT_ALLOWED)) as world:
        await until(lambda: world.condition("Stalled") == ("True", "ExitRefused"), within=5)
        world.groups.edit("pair", world.group().spec.model_copy(update={"suspend": True}))
        await asyncio.sleep(5)
        sent = len(world.arrived)
        await asyncio.sleep(300)
        assert len(world.arrived) == sent
        assert (world.condition("Ready"), world.condition("Stalled")) == (("False", "Suspended"), ("True", "Suspended"))


@scenario
async def test_the_position_is_closed_by_the_other_exit_and_the_refused_stop_is_given_up():
    async with a_filled_entry(stops(NOT_ALLOWED), a_bracket(failurePolicy="Continue")) as world:
        await world.settle(take="Open")
        await until(lambda: world.condition("Stalled") == ("True", "ExitRefused"), within=5)
        world.fill("take", "10")
        await world.finished()
        assert world.condition("Succeeded") == ("True", "Closed")
        exactly_once(world)


@scenario
async def test_my_stop_can_t_be_placed_and_the_entry_buys_no_more():
    async with a_filled_entry(stops(NOT_ALLOWED), filled="4") as world:
        await until(lambda: world.state("entry") == "Canceled", within=10)
        assert world.condition("Stalled") == ("True", "ExitRefused")
        assert world.intent("entry").status.filled_quantity == 4


@scenario
async def test_the_replacement_of_my_stop_is_refused_and_that_is_no_end():
    refuse = [False]
    async with a_group_world() as world:
        await world.start()
        await world.open_position(with_a_stop(), "4", "stop")
        world.arrived = refusing(world, lambda request: NOT_ALLOWED if refuse[0] else None)
        refuse[0] = True
        world.fill("entry", "6")
        await until(lambda: world.condition("Stalled") == ("True", "ExitRefused"), within=20)
        refuse[0] = False
        await until(lambda: world.state("stop") == "Open" and world.order("stop").quantity == 10, within=61)
        await until(lambda: world.condition("Protected") == ("True", "StopWorking"))


@scenario
async def test_a_limit_forbids_my_stop_and_it_waits_for_the_limit_and_is_no_end():
    async with a_group_world() as world:
        await world.start()
        world.place(with_a_stop())
        await world.settle(entry="Open")
        world.limits.put("no-stops", RiskLimitSpec.model_validate({"allowedTypes": ["Limit"]}))
        world.fill("entry", "10")
        await until(lambda: world.condition("Stalled") == ("True", "RiskLimit"), within=10)
        assert world.condition("Ready") == ("False", "RiskLimit")
        world.limits.delete("no-stops")
        await world.settle(stop="Open")
        await until(lambda: world.condition("Ready")[0] == "True")


# ── What somebody ended stays ended ─────────────────────────────────────────────────────────────────────────────────────────────────────────

@pytest.mark.parametrize("who", ["the exchange", "a person", "who deletes its object"])
@scenario
async def test_my_stop_was_cancelled_and_is_not_sent_again_and_i_am_told(who):
    async with a_group_world() as world:
        await world.start()
        await world.open_position(a_bracket(), "10", "take", "stop")
        if who == "the exchange":
            world.exchange._cancel(world.order("stop").exchange_order_id)
        elif who == "a person":
            intent = world.intent("stop")
            world.store.edit(intent.uid, intent.spec.model_copy(update={"desired_state": DesiredState.CANCELED}))
        else:
            world.store.delete(world.intent("stop").uid)
        await until(lambda: world.condition("Protected") == ("False", "StopGone"), within=20)
        await asyncio.sleep(30)
        assert (world.condition("Ready"), world.condition("Stalled")) == (("False", "StopGone"), ("True", "StopGone"))
        assert world.live() == {"take"}
        assert [order.status for order in world.exchange.orders_by_id.values() if order.type == "StopMarket"] == [OrderStatus.CANCELED]
        assert world.state("stop") in (None, OrderState.CANCELED)


# ── Fees that were taken in what was bought ─────────────────────────────────────────────────────────────────────────────────────────────────

@asynccontextmanager
async def a_spot_bracket(spec=None, *, step: str = "0.001"):
    """On a venue that takes a tenth of a percent of what is bought."""
    async with a_group_world() as world:
        world.on_spot()
        world.exchange.market = replace(SPOT, quantity_step=Decimal(step), min_quantity=Decimal(step))
        fill = world.exchange.fill

        def fill_and_charge(client_order_id, quantity, *, tell=True):
            order = world.exchange.named(client_order_id)[-1]
            fill(client_order_id, quantity, tell=False)
            trade = world.exchange.trades_of[order.exchange_order_id][-1]
            if order.side == "Buy":
                trade = replace(trade, fee=Fee("BTC", trade.quantity / 1000))
                world.exchange.trades_of[order.exchange_order_id][-1] = trade
            world.exchange._set(world.exchange.orders_by_id[order.exchange_order_id], trade, tell)

        world.exchange.fill = fill_and_charge
        await world.start()
        world.place(spec or with_a_stop())
        await world.settle(entry="Open")
        yield world


@pytest.mark.proves("rule 16", "F43")
@scenario
async def test_my_stop_is_as_large_as_what_arrived_and_the_group_succeeds_when_that_is_sold():
    async with a_spot_bracket() as world:
        world.fill("entry", "4")
        await until(lambda: world.state("stop") == "Open" and world.order("stop").quantity == Decimal("3.996"))
        world.fill("entry", "6")
        await until(lambda: world.state("stop") == "Open" and world.order("stop").quantity == Decimal("9.99"), within=20)
        await until(lambda: world.condition("Protected") == ("True", "StopWorking") and world.condition("Ready")[0] == "True")
        world.fill("stop", "9.99")
        await world.finished()
        assert world.condition("Succeeded") == ("True", "Closed")


def working_stops(world):
    """The orders of the stop's intent that work at the exchange."""
    ids = {attempt.client_order_id for attempt in world.intent("stop").attempts}
    return [order for order in world.exchange.orders_by_id.values() if order.client_order_id in ids and not order.status.ended]


@pytest.mark.proves("rule 16")
@pytest.mark.parametrize("restarted", [False, True], ids=["", "after a restart"])
@scenario
async def test_my_stop_stays_as_large_as_what_arrived_though_the_entrys_object_is_gone_and_its_fees_with_it(restarted):
    """At the end of its time, or by a foreground delete of the group, which takes what it owns at once."""
    async with a_spot_bracket() as world:
        world.fill("entry", "10")
        await until(lambda: world.state("stop") == "Open" and world.order("stop").quantity == Decimal("9.99"), within=20)
        await until(lambda: world.intent("entry").finished)
        await asyncio.sleep(5)
        world.store.delete(world.intent("entry").uid)
        await until(lambda: world.intent("entry") is None)
        if restarted:
            await world.crash()
            await world.start()
        await asyncio.sleep(60)
        assert [order.quantity for order in working_stops(world)] == [Decimal("9.99")]
        world.groups.delete("pair")
        await until(lambda: world.groups.get("pair") is None)
        await asyncio.sleep(60)
        assert [order.quantity for order in working_stops(world)] == [Decimal("9.99")]


@scenario
async def test_what_arrived_is_off_the_step_and_the_dust_is_told():
    async with a_spot_bracket(step="0.1") as world:
        world.fill("entry", "10")
        await until(lambda: world.state("stop") == "Open")
        assert world.order("stop").quantity == Decimal("9.9")
        await until(lambda: world.condition("Protected") == ("True", "StopWorking"))
        told = next(one.message for one in world.group().status.conditions if one.type == "Protected")
        assert "0.09 of the position" in told
        world.fill("stop", "9.9")
        await world.finished()
        assert world.condition("Succeeded") == ("True", "Closed")
        assert "0.09 of it is left" in next(one.message for one in world.group().status.conditions if one.type == "Succeeded")


@scenario
async def test_the_exits_of_one_triggers_other_are_sized_by_what_arrived_too():
    spec = a_group("OneTriggersOther", a_member("entry", "Entry"), a_member("stop", "StopLoss"), a_member("hedge", "Leg", price="70000"))
    async with a_spot_bracket(spec) as world:
        world.fill("entry", "10")
        await world.settle(stop="Open", hedge="Open")
        assert (world.order("stop").quantity, world.order("hedge").quantity) == (Decimal("9.99"), Decimal(10)), "a Leg is no exit"


@scenario
async def test_fees_in_another_asset_take_nothing_from_my_stop():
    async with a_filled_entry(lambda request: None, spot=True) as world:
        await world.settle(stop="Open")
        assert world.order("stop").quantity == 10


# ── For how long a change may leave the position bare ───────────────────────────────────────────────────────────────────────────────────────

def bare_s(world) -> Callable[[], float]:
    """For how long at a time the position has been without a stop since now, by the exchange's own orders."""
    longest, since = [0.0], [None]

    async def look():
        while True:
            now = asyncio.get_running_loop().time()
            bare = world.state("entry") in ("PartiallyFilled", "Filled") and "stop" not in world.live()
            since[0] = (since[0] if since[0] is not None else now) if bare else None
            longest[0] = max(longest[0], now - since[0] if since[0] is not None else 0.0)
            await asyncio.sleep(0.02)

    world.looking = asyncio.create_task(look())
    return lambda: longest[0]


def moved(world, trigger: str) -> None:
    spec = world.group().spec
    members = [one.model_copy(update={"trigger_price": Decimal(trigger)}) if one.name == "stop" else one for one in spec.members]
    world.groups.edit("pair", spec.model_copy(update={"members": members}))


@pytest.mark.proves("rule 16")
@scenario
async def test_i_move_my_stop_twenty_times_and_the_position_is_never_bare_for_longer_than_i_allow():
    async with a_group_world() as world:
        await world.start()
        await world.open_position(with_a_stop(), "4", "stop")
        longest = bare_s(world)
        for number in range(20):
            moved(world, str(45000 + 10 * number))
            if number in (5, 12):
                world.fill("entry", "3", tell=bool(number % 2))
            await asyncio.sleep(1.3)
        await until(lambda: world.state("stop") == "Open" and world.order("stop").trigger_price == 45190 and world.order("stop").quantity == 10, within=30)
        world.looking.cancel()
        assert 0 < longest() <= 5
        await until(lambda: world.condition("Ready")[0] == "True")


@scenario
async def test_a_change_that_would_take_longer_is_not_made_and_the_old_stop_stays():
    async with a_group_world() as world:
        world.exchange.capabilities = replace(world.exchange.capabilities, lookup_delay_ms=8000)
        await world.start()
        await world.open_position(with_a_stop(), "4", "stop")
        longest = bare_s(world)
        moved(world, "46000")
        await until(lambda: world.intent("stop").status.conditions and world.condition("Ready") == ("False", "ReplacementWouldUnprotect"), within=20)
        assert world.condition("Stalled") == ("True", "ReplacementWouldUnprotect")
        await asyncio.sleep(20)
        assert (world.order("stop").trigger_price, longest()) == (45000, 0), "it is known before the old one is cancelled"
        world.groups.edit("pair", world.group().spec.model_copy(update={"max_unprotected_seconds": 20}))
        await until(lambda: world.state("stop") == "Open" and world.order("stop").trigger_price == 46000, within=60)
        world.looking.cancel()
        await until(lambda: world.condition("Stalled")[0] == "False")


@scenario
async def test_a_change_below_the_smallest_order_is_known_before_the_old_stop_is_cancelled():
    async with a_group_world() as world:
        await world.start()
        await world.open_position(with_a_stop(), "4", "stop")
        world.exchange.market = replace(PERPETUAL, min_quantity=Decimal(6))
        await asyncio.sleep(10)
        longest = bare_s(world)
        moved(world, "46000")
        await asyncio.sleep(20)
        world.looking.cancel()
        assert (world.order("stop").trigger_price, longest()) == (45000, 0)
        assert world.condition("Protected") == ("True", "StopWorking")
        assert world.condition("Ready")[0] == "False"


@scenario
async def test_a_stop_that_takes_longer_than_i_allow_is_told():
    async with a_filled_entry(stops(Unknown("silent"))) as world:
        await until(lambda: world.condition("Protected") == ("False", "StopUnknown"), within=5)
        assert world.condition("Stalled")[0] == "False"
        await until(lambda: world.condition("Stalled") == ("True", "StopUnknown"), within=6)
