"""Fills that are told twice, late, in part, too much or not at all: status has what the exchange's ledger has."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal

import pytest

from exchange_kernel.api import AmendQuantity, OrderState
from exchange_kernel.core.answers import Accepted, Fee, OrderStatus, Trade
from exchange_kernel.exchanges.port import OrderUpdate
from tests.builders import a_market, a_spec
from tests.scripted import until
from tests.unit.interleavings.stories import condition, finished, open_order, report, story, the_id, the_order

QUIET = {"resyncSeconds": 600}      # no sweep comes to help


def trade(world, trade_id: str, quantity: str, *, number: str = "1000", symbol: str = "BTC/USDT", fee: Fee | None = None) -> Trade:
    made = Trade(trade_id, symbol, number, Decimal(quantity), Decimal(50000), world.exchange.now_ms(), fee)
    world.exchange.trades_of[number].append(made)
    return made


@pytest.mark.proves("rule 8", "F19")
def test_the_same_fill_by_stream_twice_and_by_three_sweeps_counts_once():
    async def tell(world):
        client_order_id = await open_order(world)
        world.exchange.fill(client_order_id, "0.4")
        ((execution,),) = world.exchange.trades_of.values()
        for stream in world.exchange._streams:
            stream.put_nowait(OrderUpdate(the_order(world), execution))
        await asyncio.sleep(20)
        status = world.status("a")
        assert (status.filled_quantity, [fill.trade_id for fill in status.fills]) == (Decimal("0.4"), ["101"])
        assert [(fee.asset, fee.amount) for fee in status.fees] == [("USDT", Decimal("0.1"))]

    story(tell)


@pytest.mark.proves("rule 8", "H15", "F20")
def test_twenty_five_fills_and_two_restarts_are_twenty_five_fills():
    """More than status lists. After each restart everything is read again, from the beginning."""

    async def tell(world):
        client_order_id = await open_order(world)
        for _ in range(24):
            world.exchange.fill(client_order_id, "0.01")
            await asyncio.sleep(0.3)
        for _ in range(2):
            await world.crash()
            await world.start()
            await asyncio.sleep(10)
            assert world.status("a").filled_quantity == Decimal("0.24")
        world.exchange.fill(client_order_id, "0.76", tell=False)
        status = await finished(world)
        assert (status.state, status.filled_quantity, len(status.fills)) == (OrderState.FILLED, 1, 20)
        assert [(fee.asset, fee.amount) for fee in status.fees] == [("USDT", Decimal("2.5"))]

    story(tell)


@pytest.mark.proves("rule 8", "F20", "F22", "F23")
def test_fills_whose_trades_come_half_an_hour_later():
    """The total says it at once, and the fill is inferred under one id through a restart. The end waits for the trades, which take its place."""

    async def tell(world):
        world.exchange.trades_lag_ms = 1_800_000
        client_order_id = await open_order(world)
        world.exchange.fill(client_order_id, "1", tell=False)
        await until(lambda: world.status("a").state is OrderState.FILLED)
        (inferred,) = world.status("a").fills
        assert (inferred.inferred, inferred.quantity, world.status("a").completion_time) == (True, 1, None)
        await world.crash()
        await world.start()
        await asyncio.sleep(600)
        assert [fill.trade_id for fill in world.status("a").fills] == [inferred.trade_id]
        assert world.status("a").completion_time is None
        status = await finished(world, within=1800)
        assert (status.filled_quantity, [(fill.trade_id, fill.inferred) for fill in status.fills]) == (1, [("101", False)])

    story(tell)


@pytest.mark.proves("rule 8", "F21")
def test_one_trade_id_in_two_markets_is_two_trades():
    async def markets(*, reload=False):
        return {"BTC/USDT": a_market(), "ETH/USDT": a_market(symbol="ETH/USDT", base="ETH")}

    async def tell(world):
        await world.crash()
        world.exchange.markets = markets
        await world.start()
        await open_order(world, "a")
        await open_order(world, "b", symbol="ETH/USDT")
        for uid, number in (("a", "1000"), ("b", "1001")):
            order = world.exchange.named(the_id(uid=uid))[0]
            execution = trade(world, "77", "0.5", number=number, symbol=order.symbol, fee=Fee("USDT", Decimal(1)))
            world.exchange._set(replace(order, filled_quantity=Decimal("0.5"), filled_quote_quantity=Decimal(25000)), execution)
        for uid in ("a", "b"):
            await until(lambda uid=uid: world.status(uid).filled_quantity == Decimal("0.5"))
            assert [(fill.trade_id, fill.inferred) for fill in world.status(uid).fills] == [("77", False)]

    story(tell)


@pytest.mark.proves("rule 8", "F24")
def test_less_than_before_is_shown_and_not_believed():
    """A lagging reading says 0.2 where 0.4 were filled; a restart in between makes it the only one there is."""

    async def tell(world):
        client_order_id = await open_order(world)
        world.exchange.fill(client_order_id, "0.4")
        await until(lambda: world.status("a").filled_quantity == Decimal("0.4"))
        await world.crash()
        world.exchange._set(replace(the_order(world), filled_quantity=Decimal("0.2"), filled_quote_quantity=Decimal(10000)), tell=False)
        world.exchange.trades_of["1000"] = []
        await world.start()
        await until(lambda: condition(world, "Ready").reason == "FillsDisagree")
        assert world.status("a").filled_quantity == Decimal("0.4")
        assert condition(world, "Stalled").status == "True"

    story(tell)


@pytest.mark.proves("rule 8", "F25")
def test_more_than_was_asked_for_is_counted_and_said():
    async def tell(world):
        client_order_id = await open_order(world)
        world.exchange.fill(client_order_id, "1.2")
        status = await finished(world)
        assert (status.state, status.filled_quantity, status.remaining_quantity) == (OrderState.FILLED, Decimal("1.2"), 0)
        assert condition(world, "Finished").reason == "Overfilled"

    story(tell)


@pytest.mark.proves("F26")
def test_a_rest_below_the_markets_step_is_no_reason_to_go_on():
    """The venue calls it filled with less than a step missing, and takes its fees in what was bought and in a third asset."""

    async def tell(world):
        await open_order(world)
        trade(world, "1", "0.5", fee=Fee("BTC", Decimal("0.0005")))
        trade(world, "2", "0.499995", fee=Fee("BNB", Decimal("0.01")))
        report(world, world.exchange._set(replace(the_order(world), filled_quantity=Decimal("0.999995"), filled_quote_quantity=Decimal("49999.75"), status=OrderStatus.FILLED), tell=False))
        status = await finished(world)
        assert (status.state, status.filled_quantity) == (OrderState.FILLED, Decimal("0.999995"))
        assert {fee.asset: fee.amount for fee in status.fees} == {"BTC": Decimal("0.0005"), "BNB": Decimal("0.01")}
        await asyncio.sleep(60)
        assert world.exchange.calls.count("submit") == 1

    story(tell)


@pytest.mark.proves("F28")
def test_an_order_by_quote_quantity_is_complete_when_the_venue_says_so():
    """100 USDT are spent on 0.0019 BTC, which nobody asked for and nobody can check: the venue's word is the end."""

    async def tell(world):
        exchange = world.exchange

        async def spend(request, clearance):
            await exchange.cleared(clearance)
            order = replace(exchange._new(request), filled_quantity=Decimal("0.0019"), filled_quote_quantity=Decimal("95"), status=OrderStatus.FILLED)
            execution = replace(trade(world, "1", "0.0019"), fee=Fee("BTC", Decimal("0.0000019")))
            return Accepted(exchange._set(order, tell=False), (execution,))

        exchange.submit = spend
        world.store.create("a", a_spec(type="Market", price=None, quantity=None, quoteQuantity="100"))
        status = await finished(world)
        assert (status.state, status.filled_quantity, status.filled_quote_quantity) == (OrderState.FILLED, Decimal("0.0019"), Decimal(95))
        assert status.remaining_quantity is None

    story(tell)


@pytest.mark.proves("rule 8", "F29")
@pytest.mark.parametrize("asked", ["amend", "cancel"])
def test_a_fill_that_only_the_answer_to_something_else_tells_of(asked):
    """No stream and no sweep: the total in the answer is all there is."""

    async def tell(world):
        client_order_id = await open_order(world)
        world.exchange.fill(client_order_id, "0.4", tell=False)
        change = {"price": "49000"} if asked == "amend" else {"desiredState": "Canceled"}
        world.store.edit("a", a_spec(**change))
        await until(lambda: world.status("a").filled_quantity == Decimal("0.4"), within=0.5)
        if asked == "cancel":
            assert (await finished(world)).state is OrderState.CANCELED

    story(tell, account=QUIET, amend=AmendQuantity.TOTAL)
