"""LocalKernel over the scripted exchange, in virtual time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from exchange_kernel.kernel import LocalKernel
from exchange_kernel.schema import OrderType, Side, StandardOrder
from tests.scripted import LoopClock, ScriptedExchange

LIMIT = StandardOrder(symbol_id="BTC/USDT", side=Side.BUY, type=OrderType.LIMIT, quantity="1", price="50000")


@asynccontextmanager
async def a_local_kernel(path: Path, exchange: ScriptedExchange, *, heard: list | None = None, **options) -> AsyncIterator[LocalKernel]:
    kernel = LocalKernel("scripted", exchange, path=path, clock=LoopClock(), **options)
    if heard is not None:
        kernel.subscribe_events(heard.append)
    await kernel.start()
    try:
        yield kernel
    finally:
        await kernel.stop()
