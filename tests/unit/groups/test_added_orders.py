"""Orders that a group adds by itself: a stop for what comes late or can't be covered by the first, and a Market order that closes the position."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal

import pytest

from exchange_kernel.api import AmendQuantity, DesiredState, GroupDesiredState, OrderGroupSpec, OrderGroupStatus, RefusalKind, RiskLimitSpec, TradingMode
from exchange_kernel.core.answers import OrderStatus, Refused, Unknown
from exchange_kernel.stores.port import Unavailable
from tests.scripted import until
from tests.unit.groups.desk import a_bracket, a_group, a_group_world, a_member
from tests.unit.groups.test_exit_sizes import AT_REST_S, rest, working
from tests.unit.groups.test_positions import cancel
from tests.virtual_time import scenario

OPEN, FILLED, CANCELED = "Open", "Filled", "Canceled"


def a_pair(mode: str = "OneTriggersOther", **changes) -> OrderGroupSpec:
    return a_group(mode, a_member("entry", "Entry"), a_member("stop", "StopLoss"), **changes)


@asynccontextmanager
async def a_position(spec: OrderGroupSpec, filled: str, *exits: str, spot: bool = False, smallest: int = 1, **venue):
    async with a_group_world() as world:
        world.exchange.market = replace(world.exchange.market, min_quantity=Decimal(smallest))
        if spot:
            world.on_spot()
            venue.setdefault("native_groups", frozenset())
        if venue:
            world.exchange.capabilities = replace(world.exchange.capabilities, **venue)
        await world.start()
        await world.open_position(spec, filled, *exits)
        yield world


def member(world, name: str):
    return next(one for one in world.group().status.members if one.name == name)


def close(world) -> None:
    world.groups.edit("pair", world.group().spec.model_copy(update={"desired_state": GroupDesiredState.CLOSED}))


def set_mode(world, mode: TradingMode) -> None:
    account = world.accounts.record
    world.accounts.put(replace(account, generation=account.generation + 1, spec=account.spec.model_copy(update={"trading_mode": mode})))


def ended_by_the_exchange(world, name: str) -> None:
    world.exchange._set(replace(world.order(name), status=OrderStatus.EXPIRED, update_time_ms=world.exchange.now_ms()))


def stops(world) -> list:
    return [order for order in world.exchange.orders_by_id.values() if order.type == "StopMarket"]


async def unavailable(*arguments, **options) -> Unavailable:
    return Unavailable("down")


def sold(world) -> Decimal:
    return sum((order.filled_quantity for order in world.exchange.orders_by_id.values() if order.side == "Sell"), Decimal(0))


# ── What the Entry brings after its stop has filled ─────────────────────────────────────────────────────────────────────────────────────────

@pytest.mark.parametrize("mode", ["OneTriggersOther", "Bracket"])
@scenario
async def test_what_comes_after_the_stop_filled_gets_a_stop_of_its_own(mode):
    async with a_position(a_pair(mode), "4", "stop") as world:
        world.fill("stop", "4")
        world.fill("entry", "6")          # before the cancel could arrive
        await until(lambda: world.intent("stop-2") is not None and world.state("stop-2") == OPEN)
        assert (member(world, "stop-2").extra_of, world.order("stop-2").quantity) == ("stop", 6)
        assert (world.order("stop-2").type, world.order("stop-2").trigger_price) == ("StopMarket", 45000)
        await until(lambda: world.condition("Protected") == ("True", "StopWorking"))
        world.fill("stop-2", "6")
        await world.finished()
        assert world.condition("Succeeded") == ("True", "Closed")
        assert sold(world) == 10


@scenario
async def test_what_comes_after_take_and_stop_closed_it_together_gets_a_stop():
    async with a_position(a_bracket(), "4", "take", "stop") as world:
        world.exchange.cancel_takes_s = 20.0
        world.fill("take", "2")
        await asyncio.sleep(5)
        world.fill("stop", "2")
        await asyncio.sleep(5)
        world.fill("entry", "6")
        await until(lambda: world.condition("Protected") == ("True", "StopWorking"), within=120)
        assert sum(working(world, name) for name in ("stop", "stop-2")) == 6
        assert sold(world) == 4


@scenario
async def test_a_stop_that_a_person_cancelled_has_no_successor():
    async with a_position(a_pair(), "4", "stop") as world:
        world.fill("stop", "2")
        cancel(world, "stop")
        world.fill("entry", "6")
        await rest(world, stop=0)
        assert world.intent("stop-2") is None
        assert world.condition("Protected") == ("False", "StopGone")
        assert world.condition("Succeeded") == ("False", "PositionOpen")


@scenario
async def test_less_than_an_order_that_comes_late_is_dust_and_told():
    async with a_position(a_pair(), "4", "stop", smallest=2) as world:
        world.fill("stop", "4")
        world.fill("entry", "1")
        await world.finished()
        assert world.intent("stop-2") is None
        assert world.condition("Succeeded") == ("True", "Closed")


@scenario
async def test_a_restart_between_writing_an_added_stop_down_and_making_it_makes_one():
    async with a_position(a_pair(), "4", "stop") as world:
        make = world.store.create_member
        world.store.create_member = unavailable
        world.fill("stop", "4")
        world.fill("entry", "6")
        await until(lambda: any(one.name == "stop-2" for one in world.group().status.members))
        world.desk.kill()
        world.store.create_member = make
        await world.start()
        await rest(world, **{"stop-2": 6})
        assert sum(order.quantity for order in world.exchange.orders_by_id.values() if order.client_order_id != world.intent("entry").status.client_order_id) == 10


@scenario
async def test_an_added_stop_is_known_again_after_its_groups_status_was_wiped():
    async with a_position(a_pair(), "4", "stop") as world:
        world.fill("stop", "4")
        world.fill("entry", "6")
        await rest(world, **{"stop-2": 6})
        world.desk.kill()
        await world.groups.write_status(world.group(), OrderGroupStatus())
        await world.start()
        await rest(world, **{"stop-2": 6})
        assert member(world, "stop-2").extra_of == "stop"
        world.fill("stop-2", "6")
        await world.finished()
        assert sold(world) == 10


# ── A stop that can't be made larger without leaving the position bare ──────────────────────────────────────────────────────────────────────

SLOW = {"lookup_delay_ms": 9000}          # a replacement takes longer than maxUnprotectedSeconds


@pytest.mark.parametrize("mode", ["OneTriggersOther", "Bracket"])
@scenario
async def test_a_stop_grows_by_a_second_order_where_a_replacement_would_take_too_long(mode):
    async with a_position(a_pair(mode), "4", "stop", **SLOW) as world:
        world.fill("entry", "3")
        await rest(world, **{"stop": 4, "stop-2": 3})
        assert world.condition("Protected") == ("True", "StopWorking")
        assert world.condition("Ready") == ("True", "Working")
        world.fill("entry", "3")
        await rest(world, **{"stop": 4, "stop-2": 3, "stop-3": 3})
        assert len(stops(world)) == 3, "none was sent twice, and none was cancelled"
        world.fill("stop", "4")
        await rest(world, **{"stop": 0, "stop-2": 3, "stop-3": 3})
        world.fill("stop-2", "3")
        world.fill("stop-3", "3")
        await world.finished()
        assert world.condition("Succeeded") == ("True", "Closed")


@scenario
async def test_a_take_shrinks_the_newest_of_the_stops_first():
    async with a_position(a_bracket(), "4", "take", "stop", lookup_delay_ms=9000, amend=AmendQuantity.DECREASE) as world:
        world.fill("entry", "6")
        await asyncio.sleep(30)
        await rest(world, **{"stop": 4, "stop-2": 6, "take": 10})
        world.fill("take", "3")
        await rest(world, **{"stop": 4, "stop-2": 3, "take": 7})
        world.fill("take", "5")
        await rest(world, **{"stop": 2, "stop-2": 0, "take": 2})
        world.fill("take", "2")
        await world.finished()
        assert world.condition("Succeeded") == ("True", "Closed")
        assert sold(world) == 10


@scenario
async def test_where_the_exchange_amends_no_second_stop_is_made():
    async with a_position(a_pair(), "4", "stop", lookup_delay_ms=9000, amend=AmendQuantity.TOTAL) as world:
        world.fill("entry", "6")
        await rest(world, stop=10)
        assert world.intent("stop-2") is None


# ── Closing at market ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

@scenario
async def test_closed_cancels_the_entry_and_closes_what_it_filled_beside_the_stop():
    async with a_position(a_bracket(), "4", "take", "stop") as world:
        sizes = []
        world.exchange.accepted = lambda: sizes.append({name: working(world, name) for name in ("take", "stop")})
        close(world)
        await until(lambda: world.intent("close") is not None and world.state("close") == OPEN)
        assert world.order("close").type == "Market"
        assert world.order("close").quantity == 4
        assert world.intent("close").spec.position_effect == "ReduceOnly"
        assert sizes[-1] == {"take": 0, "stop": 4}, "the stop stays until it is closed"
        world.fill("close", "4")
        await world.finished()
        assert world.condition("Succeeded") == ("True", "Closed")
        assert not world.live()
        assert sold(world) == 4


@scenario
async def test_a_close_that_fills_in_part_shrinks_the_stop_and_goes_on():
    async with a_position(a_pair(), "4", "stop") as world:
        close(world)
        await until(lambda: world.intent("close") is not None and world.state("close") == OPEN)
        world.fill("close", "3")
        ended_by_the_exchange(world, "close")
        await until(lambda: world.intent("close-2") is not None and world.state("close-2") == OPEN)
        assert world.order("close-2").quantity == 1
        world.fill("close-2", "1")
        await world.finished()
        assert world.condition("Succeeded") == ("True", "Closed")
        assert not world.live()
        assert sold(world) == 4


@scenario
async def test_on_spot_the_stop_makes_way_and_nothing_is_sold_twice():
    async with a_position(a_pair(), "4", "stop", spot=True) as world:
        world.exchange.accepted = lambda: in_time(world)
        close(world)
        await until(lambda: world.intent("close") is not None and world.state("close") == OPEN)
        assert working(world, "stop") == 0
        assert world.order("close").quantity == 4
        await until(lambda: world.condition("Protected") == ("False", "Closing"))
        assert world.condition("Stalled")[0] == "False"
        world.fill("close", "4")
        await world.finished()
        assert world.condition("Succeeded") == ("True", "Closed")
        assert sold(world) == 4


def in_time(world, held: int = 4) -> None:
    locked = sum(order.quantity - order.filled_quantity for order in world.exchange.orders_by_id.values() if order.side == "Sell" and not order.status.ended)
    assert locked <= held, "a spot account has no more than that"


@scenario
async def test_a_stop_that_fills_as_it_makes_way_leaves_nothing_to_close():
    async with a_position(a_pair(), "4", "stop", spot=True) as world:
        world.exchange.cancel_takes_s = 0.5
        close(world)
        await until(lambda: world.intent("close") is not None)
        world.fill("stop", "4")
        await world.finished()
        assert sold(world) == 4
        assert not world.live()
        assert world.condition("Succeeded") == ("True", "Closed")


@scenario
async def test_while_the_market_is_halted_the_stop_stays():
    async with a_position(a_pair(), "4", "stop", spot=True) as world:
        world.exchange.market = replace(world.exchange.market, active=False)
        world.desk.session.market_readings.ask()
        await asyncio.sleep(30)
        close(world)
        await rest(world, stop=4)
        assert world.condition("Protected") == ("True", "StopWorking")
        world.exchange.market = replace(world.exchange.market, active=True)
        await until(lambda: world.intent("close") is not None and world.state("close") == OPEN)
        world.fill("close", "4")
        await world.finished()
        assert sold(world) == 4


@scenario
async def test_under_cancel_only_the_stop_stays_and_it_is_said():
    async with a_position(a_pair(), "4", "stop", spot=True) as world:
        set_mode(world, TradingMode.CANCEL_ONLY)
        close(world)
        await rest(world, stop=4, entry=0)
        assert world.condition("Protected") == ("True", "StopWorking")
        assert world.condition("Ready") == ("False", "TradingModeCancelOnly")
        set_mode(world, TradingMode.ENABLED)
        await until(lambda: world.state("close") == OPEN)
        assert working(world, "stop") == 0


@scenario
async def test_closed_before_the_entry_filled_is_a_cancel():
    async with a_group_world() as world:
        await world.start()
        world.place(a_bracket())
        await world.settle(entry=OPEN)
        close(world)
        await world.finished()
        assert world.condition("Succeeded") == ("True", "CanceledAsAsked")
        assert world.intent("close") is None


@scenario
async def test_a_closing_order_that_a_person_cancelled_is_not_made_again():
    async with a_position(a_pair(), "4", "stop", spot=True) as world:
        close(world)
        await until(lambda: world.intent("close") is not None and world.state("close") == OPEN)
        world.store.edit(world.intent("close").uid, world.intent("close").spec.model_copy(update={"desired_state": DesiredState.CANCELED}))
        await until(lambda: world.group().finished)
        assert world.intent("close-2") is None
        assert world.condition("Succeeded") == ("False", "PositionOpen")


@scenario
async def test_an_owner_that_deletes_what_is_being_closed_still_has_it_closed():
    async with a_position(a_pair(), "4", "stop") as world:
        close(world)
        world.groups.delete("pair")
        await until(lambda: world.intent("close") is not None and world.state("close") == OPEN)
        world.fill("close", "4")
        await until(lambda: world.group() is None and not world.live())
        assert sold(world) == 4


@scenario
async def test_an_exchanges_list_ends_before_its_position_is_closed():
    async with a_group_world() as world:
        world.on_spot()
        world.exchange.keeps_lists = True
        await world.start()
        world.place(a_bracket(nativePolicy="Require", onPartialFill="Cancel"))
        await world.settle(entry=OPEN)
        world.fill("entry", "10")
        await asyncio.sleep(AT_REST_S)
        world.exchange.accepted = lambda: in_time(world, 10)
        close(world)
        await until(lambda: world.intent("close") is not None and world.state("close") == OPEN)
        assert {name: working(world, name) for name in ("take", "stop")} == {"take": 0, "stop": 0}
        world.fill("close", "10")
        await world.finished()
        assert world.condition("Succeeded") == ("True", "Closed")
        assert sold(world) == 10


@scenario
async def test_a_limit_for_entries_holds_back_no_closing_order():
    async with a_position(a_pair(), "4", "stop", spot=True) as world:
        world.limits.put("desk", RiskLimitSpec.model_validate({
            "allowedTypes": ["Limit", "StopMarket"], "maxOrderNotional": [{"asset": "USDT", "amount": "1"}], "maxOpenOrders": 1,
        }))
        close(world)
        await until(lambda: world.intent("close") is not None and world.state("close") == OPEN)
        world.fill("close", "4")
        await world.finished()
        assert sold(world) == 4


@pytest.mark.parametrize(("answer", "told"), [
    (Refused("-2010", "insufficient balance", RefusalKind.BALANCE), "ExitRefused"), (Refused("-9", "no"), "ExitRefused"),
    (Refused("-1013", "the market is closed", RefusalKind.MARKET_CLOSED), "MarketHalted"),
], ids=["balance", "other", "closed"])
@scenario
async def test_a_refused_close_is_sent_again_and_told_meanwhile(answer, told):
    async with a_position(a_pair(), "4", "stop", spot=True) as world:
        judged, world.exchange._judged = world.exchange._judged, lambda request: answer if request.type == "Market" else None
        close(world)
        await until(lambda: world.condition("Protected") == ("False", told))
        assert world.condition("Ready") == ("False", told)
        assert not world.group().finished
        world.exchange._judged = judged
        await until(lambda: world.state("close") == OPEN, within=400)
        world.fill("close", "4")
        await world.finished()
        assert sold(world) == 4


@scenario
async def test_a_close_that_finds_nobody_to_trade_with_is_followed_by_others_ever_later():
    async with a_position(a_pair(), "4", "stop", spot=True) as world:
        close(world)
        sent = []
        for name in ("close", "close-2", "close-3"):
            await until(lambda name=name: world.intent(name) is not None and world.state(name) == OPEN)
            sent.append(asyncio.get_running_loop().time())
            ended_by_the_exchange(world, name)
        await until(lambda: world.condition("Protected") == ("False", "NobodyTrades"))
        await until(lambda: world.intent("close-4") is not None and world.state("close-4") == OPEN)
        sent.append(asyncio.get_running_loop().time())
        assert [round(after - before) >= least for before, after, least in zip(sent, sent[1:], (1, 2, 4), strict=False)] == [True] * 3
        world.fill("close-4", "4")
        await world.finished()
        assert world.condition("Succeeded") == ("True", "Closed")
        assert sold(world) == 4


@scenario
async def test_a_close_of_which_nothing_was_heard_is_found_and_not_sent_again():
    async with a_position(a_pair(), "4", "stop", spot=True) as world:
        world.exchange.reply = lambda accepted: Unknown("the connection was lost before the answer")
        close(world)
        await until(lambda: world.intent("close") is not None and world.state("close") == OPEN)
        assert sum(order.type == "Market" for order in world.exchange.orders_by_id.values()) == 1
        world.fill("close", "4")
        await world.finished()
        assert sold(world) == 4


@pytest.mark.parametrize("stop", [{"quantityPercent": "50", "quantity": None}, {"quantity": "3"}], ids=["half", "three"])
@scenario
async def test_a_stop_for_a_part_does_not_grow_to_the_whole_by_what_is_added(stop):
    async with a_position(a_group("OneTriggersOther", a_member("entry", "Entry"), a_member("stop", "StopLoss", **stop)), "4", "stop") as world:
        first = working(world, "stop")
        world.fill("stop", str(first))
        world.fill("entry", "6")
        await asyncio.sleep(30)
        whole = 5 if first == 2 else 3
        assert first + working(world, "stop-2") == whole


# ── The time of a position ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────

@scenario
async def test_what_is_open_is_closed_once_its_time_is_over():
    async with a_position(a_bracket(positionTimeLimitSeconds=600), "4", "take", "stop") as world:
        opened = world.group().status.opened_time
        await asyncio.sleep(300)
        world.fill("entry", "2")
        await asyncio.sleep(290)
        assert world.intent("close") is None
        assert world.group().status.opened_time == opened
        await asyncio.sleep(15)
        assert world.order("close").quantity == 6
        assert working(world, "take") == 0
        assert working(world, "entry") == 0
        world.fill("close", "6")
        await world.finished()
        assert world.condition("Succeeded") == ("True", "Closed")


@scenario
async def test_a_restart_does_not_begin_the_time_of_a_position_anew():
    async with a_position(a_pair(positionTimeLimitSeconds=600), "4", "stop") as world:
        await asyncio.sleep(500)
        world.desk.kill()
        await asyncio.sleep(200)
        await world.start()
        await until(lambda: world.intent("close") is not None and world.state("close") == OPEN)
        assert world.order("close").quantity == 4


@pytest.mark.proves("rule 3")
@scenario
async def test_rule_3_an_added_order_whose_object_and_status_are_gone_is_looked_for_before_one_is_sent():
    async with a_position(a_pair(), "4", "stop") as world:
        before = world.group().status
        close(world)
        await until(lambda: world.intent("close") is not None and world.state("close") == OPEN)
        world.store.delete(world.intent("close").uid)
        await until(lambda: world.intent("close") is None)
        world.desk.kill()
        await world.groups.write_status(world.group(), before)
        await world.start()
        await asyncio.sleep(60)
        ids = [order.client_order_id for order in world.exchange.orders_by_id.values()]
        assert len(ids) == len(set(ids)), "one id, one order"
