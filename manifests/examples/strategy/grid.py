"""A grid: buys at prices below the market, sells each buy one step higher, and buys there again.

It keeps nothing itself: what each level should do next follows from the orders that are there, and each order has a key of its own. So it can be killed
at any moment, started again, and even run twice, and no level ever has two orders at work.
"""

import asyncio
import os
import signal
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from exchange_kernel.kernel import BaseEvent, ExchangeError, ExchangeKernel, KubernetesKernel, State, ValidationError
from exchange_kernel.schema import OrderType, Side, StandardOrder

LOOK_AGAIN_S = 30.0


@dataclass
class Grid:
    """`name` makes the orders' keys: a new one begins afresh. Prices and the step are in the quote currency, the quantity in the base."""

    kernel: ExchangeKernel
    name: str
    symbol_id: str
    bottom: Decimal
    step: Decimal
    levels: int
    quantity: Decimal

    async def run(self, stop: asyncio.Event) -> None:
        """Until it is to stop. Its orders stay."""
        changed = asyncio.Event()

        def hear(event: BaseEvent) -> None:
            changed.set()

        subscription = self.kernel.subscribe_events(hear)
        stopping = asyncio.ensure_future(stop.wait())
        try:
            while not stop.is_set():
                changed.clear()
                await self.rebalance()
                await asyncio.wait({stopping, asyncio.ensure_future(changed.wait())}, timeout=LOOK_AGAIN_S, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
            self.kernel.unsubscribe_events(subscription)

    async def rebalance(self) -> None:
        """Give each level that is at rest its next order. Any number of extra calls changes nothing."""
        laps: dict[int, tuple[int, str]] = {}
        for intent in await self.kernel.get_all_intents(self.symbol_id):
            if intent.metadata.get("grid") == self.name:
                laps[intent.metadata["level"]] = max(laps.get(intent.metadata["level"], (-1, "")), (intent.metadata["lap"], intent.intent_id))
        for level in range(self.levels):
            lap, intent_id = laps.get(level, (-1, ""))
            if not intent_id or (await self.kernel.get_order_state(intent_id)).state is State.FILLED:
                await self._place(level, lap + 1)

    async def _place(self, level: int, lap: int) -> None:
        """Even laps buy at the level, odd ones sell a step above it."""
        buys = lap % 2 == 0
        order = StandardOrder(
            symbol_id=self.symbol_id,
            side=Side.BUY if buys else Side.SELL,
            type=OrderType.LIMIT,
            quantity=self.quantity,
            price=self.bottom + self.step * (level if buys else level + 1),
            idempotency_key=f"{self.name}-{level}-{lap}",
            submit_deadline_time=datetime.now(UTC) + timedelta(minutes=5),
        )
        try:
            await self.kernel.place_order(order, {"grid": self.name, "level": level, "lap": lap})
        except (ValidationError, ExchangeError) as error:
            print(f"level {level}, lap {lap}: {error}", flush=True)


def grid_of(kernel: ExchangeKernel, environ: dict[str, str]) -> Grid:
    return Grid(
        kernel,
        name=environ.get("GRID_NAME", "grid-1"),
        symbol_id=environ.get("GRID_SYMBOL", "BTC/USDT"),
        bottom=Decimal(environ.get("GRID_BOTTOM", "40000")),
        step=Decimal(environ.get("GRID_STEP", "500")),
        levels=int(environ.get("GRID_LEVELS", "4")),
        quantity=Decimal(environ.get("GRID_QUANTITY", "0.001")),
    )


async def main() -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    kernel = KubernetesKernel(os.environ.get("EXCHANGE_ACCOUNT", "simulated"), strategy="grid")
    await kernel.start()
    try:
        with suppress(asyncio.CancelledError):
            await grid_of(kernel, dict(os.environ)).run(stop)
    finally:
        await kernel.stop()


if __name__ == "__main__":
    asyncio.run(main())
