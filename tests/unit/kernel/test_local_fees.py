"""LocalKernel and an execution that the exchange does not list: the loop stays free, the file takes a bounded number of writes, and fees are what was paid."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from exchange_kernel.core.answers import Fee, Trade
from exchange_kernel.stores.sqlite import OrdersFile
from tests.scripted import ScriptedExchange
from tests.unit.kernel.desks import LIMIT, a_local_kernel
from tests.virtual_time import run


def execute(exchange: ScriptedExchange, trade_id: str, *, listed: bool = True) -> Trade:
    (order,) = exchange.orders_by_id.values()
    made = Trade(trade_id, order.symbol, order.exchange_order_id, Decimal("0.01"), Decimal(50000), exchange.now_ms(), Fee("USDT", Decimal(1)))
    if listed:
        exchange.trades_of[order.exchange_order_id].append(made)
    filled = order.filled_quantity + made.quantity
    exchange._set(replace(order, filled_quantity=filled, filled_quote_quantity=filled * 50000, update_time_ms=exchange.now_ms()), made if listed else None)
    return made


@pytest.mark.proves("rule 8", "rule 14")
@pytest.mark.parametrize("ids", ["numbers", "words"])
def test_sixty_executions_of_which_one_is_lost_do_not_hang_the_kernel(monkeypatch, ids):
    commits, write = [], OrdersFile.write

    def counted(file, kind, uid, document, version):
        commits.append(kind)
        assert len(commits) < 500, "it commits without end"
        return write(file, kind, uid, document, version)

    monkeypatch.setattr(OrdersFile, "write", counted)

    async def tell() -> None:
        with TemporaryDirectory() as directory:
            path, exchange = Path(directory) / "orders.db", ScriptedExchange()
            async with a_local_kernel(path, exchange) as kernel:
                name = await kernel.place_order(LIMIT)
                names = [str(1000 + number) if ids == "numbers" else f"t{number}" for number in range(60)]
                made = [execute(exchange, trade_id, listed=trade_id != names[30]) for trade_id in names]
                await asyncio.sleep(5)
                before = len(commits)
                await asyncio.sleep(120)
                state = await kernel.get_order_state(name)
                assert ({fee.asset_id: fee.amount for fee in state.fees}, len(commits) - before) == ({"USDT": Decimal(59)}, 0)
                other = await kernel.place_order(LIMIT.model_copy(update={"quantity": Decimal("0.5")}))
                assert (await kernel.get_order_state(other)).state == "Open"
            async with a_local_kernel(path, exchange) as kernel:
                exchange.trades_of["1000"].append(made[30])
                await asyncio.sleep(60)
                state = await kernel.get_order_state(name)
                assert {fee.asset_id: fee.amount for fee in state.fees} == {"USDT": Decimal(60)}
                assert len(commits) - before <= 20

    run(tell())
