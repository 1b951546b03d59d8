"""Markets are facts that age: steps change, markets close and open, and some leave the list while an order of mine is there. Told in virtual time."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal

import pytest

from exchange_kernel.api import AttemptStage, OrderState, RefusalKind
from exchange_kernel.core.answers import OrderStatus, Refused, Unknown, Unreachable
from tests.builders import a_spec
from tests.scripted import World, until
from tests.unit.interleavings.stories import condition, finished, live, open_order, orders_per_id, story, the_id, the_order
from tests.unit.interleavings.test_attack import resolve

COARSE = {"quantity_step": Decimal("0.1"), "min_quantity": Decimal("0.1"), "price_step": Decimal("0.5")}
OFF_THE_NEW_STEPS = {"quantity": "1.05", "price": "50000.13"}


def judging(tell, **account):
    """The exchange refuses what its rules refuse, and its list is read anew only where somebody asks for it."""

    async def whole(world):
        world.exchange.judges = world.exchange.keeps_markets = True
        await tell(world)

    story(whole, account=account)


def refusing(world: World, message: str, kind: RefusalKind, before=lambda: None):
    """Every order is refused so; what takes them is returned."""
    submit = world.exchange.submit

    async def refused(request, clearance):
        world.exchange.calls.append("submit")
        before()
        return Refused("-1013", message, kind)

    world.exchange.submit = refused
    return submit


async def known(world: World, check) -> None:
    """The list is read anew, and what is asked for shows in it."""
    world.desk.session.market_readings.ask()
    await until(lambda: check(world.desk.session.term.markets))


def waits(world: World, reason: str, uid: str = "a") -> bool:
    return any((one.type, one.reason) == ("Ready", reason) for one in world.status(uid).conditions)


def of_account(world: World, kind: str):
    return next(condition for condition in world.accounts.record.status.conditions if condition.type == kind)


# ── Steps ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

@pytest.mark.proves("rule 10")
def test_the_tick_and_the_lot_changed_and_my_new_order_is_rounded_anew_and_sent():
    async def tell(world):
        world.exchange.market = replace(world.exchange.market, **COARSE)
        world.store.create("a", a_spec(**OFF_THE_NEW_STEPS))
        await until(lambda: world.status("a").state is OrderState.OPEN, within=10)
        assert (the_order(world).quantity, the_order(world).price) == (Decimal("1.0"), Decimal("50000.0"))
        first, second = world.status("a").attempts
        assert (first.stage, first.refusal, first.reason) == (AttemptStage.REFUSED, RefusalKind.MARKET_RULES, "Filter failure: LOT_SIZE")
        assert (second.stage, second.client_order_id) == (AttemptStage.LIVE, the_id(2))
        assert second.prepared_time is not None, "what follows a refusal is written before it is sent"
        assert condition(world, "Ready").status == "True"
        assert world.exchange.market_reads == 1
        world.store.create("b", a_spec(**OFF_THE_NEW_STEPS))
        await until(lambda: world.status("b").state is OrderState.OPEN)
        assert len(world.status("b").attempts) == 1, "the next one is sent as it is to be"

    judging(tell)


def test_an_order_that_no_rule_of_the_list_explains_is_rejected_as_ever():
    async def tell(world):
        refusing(world, "Filter failure: NOTIONAL", RefusalKind.MARKET_RULES)
        world.store.create("a", a_spec())
        status = await finished(world)
        assert (status.state, condition(world, "Succeeded").reason) == (OrderState.REJECTED, "RejectedByExchange")
        assert "NOTIONAL" in condition(world, "Succeeded").message
        assert world.exchange.calls.count("submit") == 1
        assert world.exchange.market_reads == 1

    judging(tell)


def test_what_the_new_rules_take_in_no_rounding_is_rejected_and_not_tried_for_ever():
    async def tell(world):
        world.exchange.market = replace(world.exchange.market, quantity_step=Decimal(2), min_quantity=Decimal(2))
        world.store.create("a", a_spec(quantity="1"))
        status = await finished(world)
        assert status.state is OrderState.REJECTED
        assert world.exchange.calls.count("submit") == 1

    judging(tell)


def test_rules_that_change_with_each_reading_cost_one_attempt_a_reading():
    async def tell(world):
        steps = iter(Decimal(number) for number in range(2, 40))

        def finer():
            world.exchange.market = replace(world.exchange.market, price_step=next(steps))

        refusing(world, "Filter failure: PRICE_FILTER", RefusalKind.MARKET_RULES, finer)
        world.store.create("a", a_spec(price="49999.99"))
        status = await finished(world, within=400)
        assert status.state in (OrderState.REJECTED, OrderState.DENIED)
        sent = world.exchange.calls.count("submit")
        assert 1 < sent <= world.exchange.market_reads + 1

    judging(tell, resyncSeconds=60)


@pytest.mark.parametrize("reply", ["hangs", "fails"])
def test_the_list_does_not_come_and_my_order_is_rejected_with_the_exchange_s_words(reply):
    async def tell(world):
        async def never():
            if reply == "hangs":
                await asyncio.Event().wait()
            return Unreachable("silent")

        world.exchange.markets_reply = never
        world.exchange.market = replace(world.exchange.market, **COARSE)
        world.store.create("a", a_spec(**OFF_THE_NEW_STEPS))
        await until(lambda: waits(world, "MarketRulesChanged"))
        world.store.create("b", a_spec(quantity="2", price="40000"))
        await until(lambda: world.status("b").state is OrderState.OPEN, within=2)
        world.store.delete("b")
        await until(lambda: world.store.get("b") is None, within=10)
        status = await finished(world)
        assert status.state is OrderState.REJECTED
        assert "LOT_SIZE" in condition(world, "Succeeded").message

    judging(tell)


@pytest.mark.proves("rule 1", "rule 10")
def test_the_answer_to_the_order_was_lost_and_no_new_steps_send_a_second_one():
    async def tell(world):
        world.exchange.reply = lambda order: Unknown("lost")
        world.store.create("a", a_spec())
        await until(lambda: bool(world.exchange.orders_by_id))
        world.exchange.market = replace(world.exchange.market, **COARSE)
        world.desk.session.market_readings.ask()
        await until(lambda: world.status("a").state is OrderState.OPEN)
        await asyncio.sleep(60)
        assert len(world.exchange.orders_by_id) == 1

    judging(tell)


def test_the_process_dies_while_the_rules_are_read_anew_and_the_next_one_sends_it_once():
    async def tell(world):
        world.exchange.market = replace(world.exchange.market, **COARSE)
        world.exchange.markets_reply = asyncio.Event().wait
        world.store.create("a", a_spec(**OFF_THE_NEW_STEPS))
        await until(lambda: waits(world, "MarketRulesChanged"))
        await world.crash()
        world.exchange.markets_reply = None
        await world.start()
        await until(lambda: world.status("a").state is OrderState.OPEN)
        assert the_order(world).price == Decimal("50000.0")
        assert orders_per_id(world) == {1}

    judging(tell)


def test_the_deadline_passes_while_the_rules_are_read_and_nothing_is_sent_after_it():
    async def tell(world):
        async def late():
            await asyncio.sleep(8)
            return {"BTC/USDT": world.exchange.market}

        world.exchange.markets_reply = late
        world.exchange.market = replace(world.exchange.market, **COARSE)
        world.store.create("a", a_spec(submitDeadlineSeconds=5, **OFF_THE_NEW_STEPS))
        status = await finished(world)
        assert status.state in (OrderState.REJECTED, OrderState.DENIED)
        assert not world.exchange.orders_by_id

    judging(tell)


def test_my_replacement_is_refused_by_a_new_tick_and_goes_out_on_it():
    async def tell(world):
        await open_order(world)
        world.exchange.market = replace(world.exchange.market, **COARSE)
        world.store.edit("a", a_spec(price="49000.13"))
        await until(lambda: [order.price for order in live(world)] == [Decimal("49000.0")], within=20)
        await until(lambda: condition(world, "Ready").status == "True")
        assert orders_per_id(world) == {1}

    judging(tell)


# ── Halts ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

def halt(world: World, status: str = "BREAK") -> None:
    world.exchange.market = replace(world.exchange.market, active=status == "", status=status)


@pytest.mark.parametrize("status", ["BREAK", "HALT", "PRE_TRADING"])
def test_the_market_is_halted_for_a_while_and_my_order_goes_out_when_it_opens(status):
    async def tell(world):
        halt(world, status)
        await known(world, lambda markets: not markets["BTC/USDT"].active)
        world.store.create("a", a_spec())
        await until(lambda: waits(world, "MarketHalted"))
        assert (world.status("a").state, condition(world, "Stalled").status) == (OrderState.PENDING, "False")
        assert status in condition(world, "Ready").message
        assert "submit" not in world.exchange.calls
        await asyncio.sleep(10)
        halt(world, "")
        await until(lambda: world.status("a").state is OrderState.OPEN, within=30)
        assert len(world.status("a").attempts) == 1

    judging(tell)


def test_the_market_closed_a_moment_ago_and_the_refusal_tells_us_first():
    async def tell(world):
        halt(world)
        world.store.create("a", a_spec())
        await until(lambda: waits(world, "MarketHalted"))
        assert world.status("a").state is OrderState.PENDING
        await asyncio.sleep(10)
        halt(world, "")
        await until(lambda: world.status("a").state is OrderState.OPEN, within=30)
        assert world.status("a").client_order_id == the_id(2)
        assert world.exchange.calls.count("submit") == 2

    judging(tell)


def test_the_list_never_says_that_the_market_is_closed_and_it_is_tried_ever_less_often():
    async def tell(world):
        submit = refusing(world, "Market is closed", RefusalKind.MARKET_CLOSED)
        world.store.create("a", a_spec(submitDeadlineSeconds=3600))
        await asyncio.sleep(600)
        assert 4 <= world.exchange.calls.count("submit") <= 14
        assert world.status("a").state in (OrderState.PENDING, OrderState.SUBMITTING)
        world.exchange.submit = submit
        await until(lambda: world.status("a").state is OrderState.OPEN, within=70)

    judging(tell)


@pytest.mark.proves("rule 4")
def test_the_market_stays_closed_and_my_order_is_denied_at_its_deadline_and_not_before():
    async def tell(world):
        halt(world)
        began = asyncio.get_running_loop().time()
        world.store.create("a", a_spec(submitDeadlineSeconds=120))
        status = await finished(world, within=200)
        assert 119 <= asyncio.get_running_loop().time() - began <= 125
        assert (status.state, condition(world, "Succeeded").reason) == (OrderState.DENIED, "SubmitDeadlineExceeded")
        assert "not open for trading" in condition(world, "Succeeded").message

    judging(tell)


def test_the_operator_restarts_in_the_halt_and_the_order_goes_out_all_the_same():
    async def tell(world):
        halt(world)
        world.store.create("a", a_spec())
        await until(lambda: waits(world, "MarketHalted") and len(world.status("a").attempts) == 1)
        await world.crash()
        await world.start()
        await asyncio.sleep(20)
        assert condition(world, "Ready").reason == "MarketHalted"
        halt(world, "")
        await until(lambda: world.status("a").state is OrderState.OPEN, within=70)
        assert orders_per_id(world) == {1}

    judging(tell)


def test_i_cancel_and_delete_orders_that_wait_for_a_halted_market():
    async def tell(world):
        halt(world)
        for uid in "ab":
            world.store.create(uid, a_spec())
        await until(lambda: all(waits(world, "MarketHalted", uid) for uid in "ab"))
        world.store.edit("a", a_spec(desiredState="Canceled"))
        world.store.delete("b")
        await until(lambda: world.store.get("b") is None, within=5)
        assert (await finished(world, within=5)).state is OrderState.CANCELED

    judging(tell)


def test_my_live_order_in_a_halted_market_can_be_cancelled_and_is_repriced_once_it_opens():
    async def tell(world):
        await open_order(world)
        await open_order(world, uid="b")
        halt(world)
        await known(world, lambda markets: not markets["BTC/USDT"].active)
        world.store.edit("a", a_spec(price="49000"))
        world.store.delete("b")
        await until(lambda: waits(world, "MarketHalted"))
        await until(lambda: world.store.get("b") is None, within=10)
        assert [order.price for order in live(world)] == [Decimal(50000)], "the old one stays until the new one can go out"
        halt(world, "")
        await until(lambda: [order.price for order in live(world)] == [Decimal(49000)], within=70)

    judging(tell)


def test_the_market_closes_between_the_cancel_and_the_replacement():
    async def tell(world):
        await open_order(world)
        cancel = world.exchange.cancel

        async def cancelled_as_it_closes(ref, clearance):
            halt(world)
            return await cancel(ref, clearance)

        world.exchange.cancel = cancelled_as_it_closes
        world.store.edit("a", a_spec(price="49000"))
        await until(lambda: waits(world, "MarketHalted"))
        assert world.status("a").operation == "Replacing"
        await asyncio.sleep(400)
        assert world.status("a").completion_time is None, "a replacement has no deadline"
        halt(world, "")
        await until(lambda: [order.price for order in live(world)] == [Decimal(49000)], within=130)

    judging(tell)


def test_ten_thousand_seconds_of_waiting_write_my_order_once():
    async def tell(world):
        halt(world)
        await known(world, lambda markets: not markets["BTC/USDT"].active)
        world.store.create("a", a_spec(submitDeadlineSeconds=0))
        await until(lambda: waits(world, "MarketHalted"))
        version, reads = world.store.get("a").resource_version, world.exchange.market_reads
        await asyncio.sleep(10_000)
        assert world.store.get("a").resource_version == version
        assert 100 < world.exchange.market_reads - reads < 200, "a halted market is looked at each minute in the end"

    judging(tell)


# ── Readings ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

def test_the_list_is_read_every_quarter_of_an_hour_and_not_more_often():
    async def tell(world):
        await asyncio.sleep(4 * 3600)
        assert 13 <= world.exchange.market_reads <= 18

    judging(tell)


def test_a_thousand_orders_refused_at_once_cost_one_reading():
    async def tell(world):
        world.exchange.market = replace(world.exchange.market, **COARSE)
        for number in range(100):
            world.store.create(f"o{number}", a_spec(**OFF_THE_NEW_STEPS))
        await until(lambda: all(world.status(f"o{number}").state is OrderState.OPEN for number in range(100)), within=30)
        assert world.exchange.market_reads <= 2

    judging(tell)


def test_a_market_was_listed_a_minute_ago_and_my_first_order_there_goes_out():
    async def tell(world):
        world.exchange.listed = False
        await world.crash()
        await world.start()
        await asyncio.sleep(60)
        world.exchange.listed = True
        world.store.create("a", a_spec())
        await until(lambda: world.status("a").state is OrderState.OPEN, within=20)
        assert world.exchange.market_reads == 1

    judging(tell)


def test_a_symbol_that_no_list_has_is_denied_after_one_reading():
    async def tell(world):
        await asyncio.sleep(60)
        world.store.create("a", a_spec(symbol="TYPO/USDT"))
        status = await finished(world, within=5)
        assert (status.state, condition(world, "Succeeded").reason) == (OrderState.DENIED, "UnknownSymbol")
        world.exchange.markets_reply = asyncio.Event().wait
        world.store.create("b", a_spec(symbol="TYPO/USDT"))
        status = await finished(world, "b", within=25)
        assert (status.state, condition(world, "Succeeded", "b").reason) == (OrderState.DENIED, "UnknownSymbol")

    judging(tell)


def test_a_market_that_one_list_lacks_is_there_until_a_second_one_lacks_it():
    async def tell(world):
        world.exchange.listed = False
        world.desk.session.market_readings.ask()
        await until(lambda: world.exchange.market_reads == 1)
        world.exchange.listed = True
        world.store.create("a", a_spec())
        await until(lambda: world.status("a").state is OrderState.OPEN, within=2)
        await asyncio.sleep(60)
        assert "BTC/USDT" in world.desk.session.term.markets

    judging(tell)


# ── Markets that go ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

async def delisted(world: World) -> None:
    world.exchange.listed = False
    await known(world, lambda markets: "BTC/USDT" not in markets)


def test_my_order_s_market_leaves_the_list_and_everybody_is_told_what_to_do():
    async def tell(world):
        await open_order(world)
        await delisted(world)
        await until(lambda: condition(world, "Ready").status == "False")
        assert condition(world, "Ready").reason == condition(world, "Stalled").reason == "MarketGone"
        assert "desiredState: Canceled" in condition(world, "Ready").message
        assert world.status("a").state is OrderState.OPEN
        await until(lambda: of_account(world, "Ready").status == "False")
        assert (of_account(world, "Ready").reason, "BTC/USDT" in of_account(world, "Ready").message) == ("MarketGone", True)
        world.store.create("b", a_spec())
        status = await finished(world, "b")
        assert (status.state, condition(world, "Succeeded", "b").reason) == (OrderState.DENIED, "UnknownSymbol")
        world.exchange.listed = True
        await until(lambda: condition(world, "Ready").status == "True", within=1000)
        await until(lambda: of_account(world, "Ready").status == "True", within=20)

    judging(tell)


@pytest.mark.parametrize("restarted", [False, True], ids=["same process", "after a restart"])
@pytest.mark.parametrize("how", ["cancel", "delete"])
def test_i_cancel_or_delete_my_order_in_a_market_that_is_gone(restarted, how):
    async def tell(world):
        world.exchange.market = replace(world.exchange.market, venue_id="BTCUSDT")
        await known(world, lambda markets: markets["BTC/USDT"].venue_id == "BTCUSDT")
        client_order_id = await open_order(world)
        await delisted(world)
        if restarted:
            await world.crash()
            await world.start()
            assert {market.venue_id for market in world.exchange.recalled} == {"BTCUSDT"}
        world.exchange.fill(client_order_id, "0.25")
        await until(lambda: world.status("a").filled_quantity == Decimal("0.25"))
        if how == "delete":
            world.store.delete("a")
            await until(lambda: world.store.get("a") is None, within=30)
        else:
            world.store.edit("a", a_spec(desiredState="Canceled"))
            status = await finished(world)
            assert (status.state, status.filled_quantity) == (OrderState.CANCELED, Decimal("0.25"))
            assert condition(world, "Succeeded").status == "True"
        assert not live(world)

    judging(tell)


def test_my_order_fills_whole_in_a_market_that_is_gone():
    async def tell(world):
        client_order_id = await open_order(world)
        await delisted(world)
        world.exchange.fill(client_order_id, "1", tell=False)
        status = await finished(world)
        assert (status.state, status.filled_quantity) == (OrderState.FILLED, Decimal(1))

    judging(tell)


def test_the_exchange_cancels_my_order_as_it_delists_its_market_and_the_end_is_told_without_a_person():
    async def tell(world):
        client_order_id = await open_order(world)
        world.exchange.fill(client_order_id, "0.4")
        order = the_order(world)
        world.exchange._set(replace(order, status=OrderStatus.CANCELED, update_time_ms=world.exchange.now_ms()), tell=False)
        await delisted(world)
        status = await finished(world)
        assert (status.state, status.filled_quantity, condition(world, "Succeeded").reason) == (OrderState.CANCELED, Decimal("0.4"), "CanceledByExchange")

    judging(tell)


@pytest.mark.proves("rule 11")
def test_the_exchange_cancels_my_order_after_it_delisted_its_market_and_nobody_doubts_it():
    async def tell(world):
        client_order_id = await open_order(world)
        await delisted(world)
        order = the_order(world)
        world.exchange._set(replace(order, status=OrderStatus.CANCELED, update_time_ms=world.exchange.now_ms()))
        seen = set()
        while world.status("a").completion_time is None:
            await asyncio.sleep(0.1)
            seen.add(world.status("a").state)
        assert seen == {OrderState.OPEN, OrderState.CANCELED} or seen == {OrderState.CANCELED}
        assert world.status("a").client_order_id == client_order_id

    judging(tell)


def test_the_exchange_forgets_my_order_with_its_market_and_my_word_ends_it():
    async def tell(world):
        client_order_id = await open_order(world)

        async def unanswered(ref):
            return Unreachable("the venue answered with error -1121")

        world.exchange.forgotten.update(world.exchange.orders_by_id)
        world.exchange.lookup = unanswered
        await delisted(world)
        await until(lambda: world.status("a").state is OrderState.UNKNOWN, within=60)
        assert "resolve" in condition(world, "Stalled").message
        resolve(world, client_order_id, "Canceled")
        assert (await finished(world)).state is OrderState.CANCELED

    judging(tell)


def test_my_order_is_between_its_cancel_and_its_replacement_when_its_market_goes():
    async def tell(world):
        await open_order(world)
        halt(world)
        await known(world, lambda markets: not markets["BTC/USDT"].active)
        halt(world, "")
        await delisted(world)
        world.store.edit("a", a_spec(price="49000"))
        await asyncio.sleep(30)
        assert [order.price for order in live(world)] == [Decimal(50000)], "what can't be sent replaces nothing"
        assert condition(world, "Ready").reason == "MarketGone"

    judging(tell)
