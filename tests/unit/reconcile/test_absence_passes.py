"""Rule 5's passes are shared: what a restart with many unsettled orders costs, and what one unexplained trade does to them."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal
from types import SimpleNamespace

import pytest

from exchange_kernel.api import OrderIntentStatus, OrderState
from exchange_kernel.core.answers import ExchangeOrder, Fee, Found, Listing, NotFound, OrderStatus, Trade
from exchange_kernel.core.venue import OrderRequest
from tests.builders import T0, a_spec
from tests.scripted import a_world, until
from tests.virtual_time import run

MANY = 40


def story(tell):
    async def whole():
        async with a_world() as world:
            await world.start()
            await tell(world)

    run(whole())


async def many_created_while_down(world) -> None:
    await world.crash()
    for number in range(MANY):
        world.store.create(f"late-{number}", a_spec())
    world.exchange.calls.clear()
    await world.start()


async def all_open(world) -> None:
    await until(lambda: all(world.status(f"late-{number}").state is OrderState.OPEN for number in range(MANY)))


def test_many_unsettled_orders_share_the_lists_of_their_market():
    async def tell(world):
        await many_created_while_down(world)
        await all_open(world)
        assert world.exchange.calls.count("orders") <= 8, "lists are read per market and pass, not per order"
        assert world.exchange.calls.count("lookup") <= 4 * MANY

    story(tell)


def somebody_else_s_trade(world, known: bool) -> None:
    """Of an order that is older than what the passes list: its trade is in their window, and it is not."""
    old = world.exchange._new(a_request("someone-else"))
    world.exchange._set(replace(old, status=OrderStatus.FILLED, filled_quantity=Decimal(1), created_time_ms=world.exchange.now_ms() - 3_600_000), tell=False)
    world.exchange.trades_of[old.exchange_order_id].append(
        Trade("t-1", "BTC/USDT", old.exchange_order_id, Decimal(1), Decimal(50000), world.exchange.now_ms(), Fee("USDT", Decimal(1))))
    if not known:
        lookup = world.exchange.lookup

        async def silent_on_it(ref):
            return NotFound() if ref.exchange_order_id == old.exchange_order_id else await lookup(ref)

        world.exchange.lookup = silent_on_it


def a_request(client_order_id: str):
    return OrderRequest(client_order_id=client_order_id, symbol="BTC/USDT", side="Buy", type="Limit", quantity=Decimal(1), price=Decimal(50000), time_in_force="GTC")


def test_a_trade_of_an_older_order_is_explained_by_asking_for_it():
    async def tell(world):
        somebody_else_s_trade(world, known=True)
        await many_created_while_down(world)
        await all_open(world)

    story(tell)


@pytest.mark.proves("rule 5", "H8")
def test_h8_a_trade_that_nothing_explains_may_be_the_missing_order_s():
    async def tell(world):
        somebody_else_s_trade(world, known=False)
        await many_created_while_down(world)
        await asyncio.sleep(60)
        assert all(world.status(f"late-{number}").state is OrderState.UNKNOWN for number in range(MANY))
        assert "submit" not in world.exchange.calls

    story(tell)


# ── Exchange order ids are counted per symbol ───────────────────────────────────────────────────────────────────────────────────────────────

NUMBER = "77"
ANOTHERS = ExchangeOrder(client_order_id="another", exchange_order_id=NUMBER, symbol="ETH/USDT", side="Buy", type="Limit", status=OrderStatus.FILLED, quantity=Decimal(1),
                         filled_quantity=Decimal(1), filled_quote_quantity=Decimal(2000), price=Decimal(2000), created_time_ms=T0)


def run_to_its_end(work) -> object:
    """Of a coroutine that waits for nothing."""
    try:
        work.send(None)
    except StopIteration as ended:
        return ended.value
    raise AssertionError("it waits")


def an_intent_s(world) -> None:
    """It is in the status of an intent of the other symbol."""
    world.store.create("eth", a_spec(symbol="ETH/USDT"))
    attempt = {"number": 1, "clientOrderId": "another", "exchangeOrderId": NUMBER, "stage": "Ended", "outcome": "Filled"}
    status = OrderIntentStatus.model_validate({"state": "Filled", "observedGeneration": 1, "completionTime": "2026-01-01T00:00:00Z", "attempts": [attempt]})
    world.store._put(replace(world.store.get("eth"), status=status))


def one_in_memory(world) -> None:
    """The exchange told of it while this process ran."""
    world.desk.session.memory.learn(ANOTHERS, (), T0)


def one_in_the_list(world) -> None:
    """A list that the exchange gave has it."""
    world.exchange.orders_by_id[NUMBER] = replace(ANOTHERS, created_time_ms=world.exchange.now_ms())
    world.exchange.trades_of[NUMBER] = []


def one_asked_for_before(world) -> None:
    """It is older than the lists, and was asked for because of its own trade."""
    its_own = Trade("t-1", "ETH/USDT", NUMBER, Decimal(1), Decimal(2000), T0)

    async def found(ref):
        return Found(ANOTHERS)

    asking = world.desk.session.absence._explains(SimpleNamespace(lookup=found), Listing((its_own,), complete=True), set(), world.store.get("late"))
    assert run_to_its_end(asking)


@pytest.mark.proves("rule 5", "H8")
@pytest.mark.parametrize("another", [an_intent_s, one_in_memory, one_in_the_list, one_asked_for_before])
def test_an_order_of_another_symbol_with_the_same_number_does_not_explain_a_trade(another):
    """Binance numbers orders per symbol. The trade may be the missing order's, which was executed and is in no list: it is not sent again."""
    async def tell(world):
        trades, lookup = world.exchange.trades, world.exchange.lookup

        async def with_ours(symbol, *, since_ms=None, exchange_order_id=None):
            listing = await trades(symbol, since_ms=since_ms, exchange_order_id=exchange_order_id)
            ours = Trade("t-1", "BTC/USDT", NUMBER, Decimal(1), Decimal(50000), world.exchange.now_ms(), Fee("USDT", Decimal(1)))
            return replace(listing, items=(*listing.items, ours)) if symbol == "BTC/USDT" and exchange_order_id in (None, NUMBER) else listing

        async def of_its_symbol(ref):
            return NotFound() if ref.exchange_order_id == NUMBER and ref.symbol == "BTC/USDT" else await lookup(ref)

        world.exchange.trades, world.exchange.lookup = with_ours, of_its_symbol
        await world.crash()
        world.store.create("late", a_spec())
        world.exchange.calls.clear()
        desk = world.boot()
        await until(lambda: desk.account_reconciler._running)
        another(world)
        await desk.ready()
        await asyncio.sleep(60)
        assert world.status("late").state is OrderState.UNKNOWN
        assert "submit" not in world.exchange.calls

    story(tell)
