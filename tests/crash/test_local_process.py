"""A process that trades with LocalKernel is killed again and again, by SIGKILL. The exchange is another process and keeps the truth in its ledger."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
import time
from collections import Counter
from decimal import Decimal
from pathlib import Path

import pytest

from exchange_kernel.kernel import LocalKernel, State
from exchange_kernel.stores.sqlite import OrdersFile
from tests.cluster.operating import Exchange
from tests.conformance.bench import an_exchange, local_adapter
from tests.support import aeventually

LIVES = 5
LIVE = ("NEW", "PARTIALLY_FILLED")

TRADER = """
import asyncio, itertools, random, sys
from decimal import Decimal
from exchange_kernel.kernel import KernelError, LocalKernel
from exchange_kernel.schema import GroupMember, GroupMode, OrderType, Side, StandardOrder, StandardOrderGroup
from tests.conformance.bench import local_adapter

path, rest, websocket, seed = sys.argv[1:]
chance = random.Random(seed)


def an_order(type="Limit", side="Buy", price="20000"):
    quantity = Decimal(chance.randint(1, 9)) / 1000
    return StandardOrder(symbol_id="BTC/USDT", side=Side(side), type=OrderType(type), quantity=quantity, price=None if type == "Market" else Decimal(price))


async def trade(kernel):
    placed = await kernel.place_order(an_order(chance.choice(("Limit", "Limit", "Market"))))
    print(placed, flush=True)
    match chance.randrange(4):
        case 0:
            await kernel.cancel_order(placed)
        case 1:
            await kernel.modify_order(placed, (await kernel.get_order_intent(placed)).order.model_copy(update={"price": Decimal(21000)}))
        case 2:
            legs = [GroupMember(name=name, order=an_order(side="Sell", price=price)) for name, price in (("near", "90000"), ("far", "95000"))]
            await kernel.place_order_group(StandardOrderGroup(mode=GroupMode.ONE_CANCELS_OTHER, members=legs))


async def main():
    kernel = LocalKernel("binance", local_adapter(rest, websocket), path, acknowledge_timeout=2)
    await kernel.start()

    async def go_on():
        while True:
            try:
                await trade(kernel)
            except KernelError as error:
                print("#", error, flush=True)

    await asyncio.gather(*(go_on() for _ in range(4)))

asyncio.run(main())
"""


def a_life(path: Path, exchange: Exchange, seed: int) -> list[str]:
    """Trade until so many orders more are at the exchange, and die. The names that the strategy was given."""
    enough = len(exchange.orders()) + random.Random(seed).randint(3, 15)
    with subprocess.Popen([sys.executable, "-c", TRADER, str(path), exchange.rest, exchange.websocket, str(seed)], stdout=subprocess.PIPE, text=True) as trader:
        try:
            deadline = time.monotonic() + 120
            while len(exchange.orders()) < enough:
                assert trader.poll() is None, "it ended by itself"
                assert time.monotonic() < deadline, "it does not trade"
        finally:
            trader.kill()
        return [line for line in trader.stdout.read().splitlines() if line.startswith("order-")]


@pytest.mark.proves("rule 3", "rule 6", "rule 8")
async def test_after_any_number_of_kills_the_file_and_the_exchange_s_ledger_agree(tmp_path):
    path, told = tmp_path / "orders.db", []
    with an_exchange(tmp_path / "exchange") as exchange:
        exchange.fault(do="visibility-delay", ms=300)
        for seed in range(LIVES):
            told += a_life(path, exchange, seed)
        kernel = LocalKernel("binance", local_adapter(exchange.rest, exchange.websocket), path)
        await kernel.start()
        try:
            await aeventually(lambda: rested(kernel), within=120, what="every order finished, or open as wanted")
            exchange.stop_market()
            await asyncio.sleep(1)
            await kernel.force_reconciliation()
            orders = await kernel.get_all_orders()
        finally:
            await kernel.stop()
        ledger = exchange.orders()
    attempts = attempts_in(path)
    assert {name for name in told if name not in {order.intent_id for order in orders}} == set(), "what was told as placed is there"
    assert [one for one, count in Counter(order["clientOrderId"] for order in ledger).items() if count > 1] == []
    assert {order["clientOrderId"] for order in ledger} - set(attempts) == set(), "no order without its intent"
    filled = Counter()
    for order in ledger:
        filled[attempts[order["clientOrderId"]]] += Decimal(order["executedQty"])
    assert {order.intent_id: order.filled_quantity for order in orders if order.filled_quantity} == {name: quantity for name, quantity in filled.items() if quantity}
    live = {attempts[order["clientOrderId"]] for order in ledger if order["status"] in LIVE}
    assert {order.intent_id for order in orders if not order.finished} == live
    print(f"\nkilled {LIVES} times: {len(orders)} intents, {len(ledger)} orders at the exchange, {len(live)} of them live, all in the file")


async def rested(kernel: LocalKernel) -> bool:
    return all(order.finished or (order.state in (State.OPEN, State.PARTIALLY_FILLED) and order.operation is None) for order in await kernel.get_all_orders())


def attempts_in(path: Path) -> dict[str, str]:
    """Client order id → intent, of every attempt that was ever written down."""
    file = OrdersFile(path)
    try:
        documents, _ = file.read("OrderIntent")
    finally:
        file.close()
    return {attempt["clientOrderId"]: document["name"] for document in documents for attempt in document["status"].get("attempts", ())}
