"""Rule 5's passes are shared: what a restart with many unsettled orders costs, and what one unexplained trade does to them."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal

import pytest

from exchange_kernel.api import OrderState
from exchange_kernel.core.answers import Fee, NotFound, OrderStatus, Trade
from exchange_kernel.core.venue import OrderRequest
from tests.builders import a_spec
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
