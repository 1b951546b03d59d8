"""One process of the fleet: some strategies, each with a kernel of its own, that trade and write down all that they are told.

    python -m tests.fleet.strategy --kubeconfig … --namespace … --notes … --first 0 --kernels 10 --orders 50

The notes of each strategy are a file of JSON lines: {"order": …} for each order that it wanted, with how placing it ended, {"event": …} for each event, in
the order of telling, and {"done": …} at the end.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import uvloop

from exchange_kernel.kernel import BaseEvent, EventType, ExchangeError, KernelError, KubernetesKernel, NotFoundError
from exchange_kernel.schema import OrderType, Side, StandardOrder, TimeInForce

TELLS_WITHIN_S = 300.0
PAUSE_S = 0.5
LOW, RESTS = Decimal(20000), Decimal(21000)     # far below the market; what rests at RESTS is filled in two parts by the fleet's driver


def order(symbol_id: str = "BTC/USDT", side: Side = Side.BUY, type: OrderType = OrderType.LIMIT, quantity: str = "0.002", price: Decimal | None = LOW, **more: Any) -> StandardOrder:
    return StandardOrder(symbol_id=symbol_id, side=side, type=type, quantity=Decimal(quantity), price=price, **more)


#: What strategies want, in turns.
WANTED = {
    "bought": order(type=OrderType.MARKET, price=None),
    "canceled": order(),
    "rested": order(price=RESTS),
    "found nothing": order(time_in_force=TimeInForce.IOC),
    "sold": order(type=OrderType.MARKET, side=Side.SELL, price=None),
    "refused": order(quantity="300"),           # more than there is to pay with
}


class Strategy:
    def __init__(self, name: str, namespace: str, kubeconfig: Path, notes: Path, orders: int) -> None:
        self._kernel = KubernetesKernel("main", namespace=namespace, strategy=name, kubeconfig=kubeconfig)
        self._kernel.subscribe_events(self._hear)
        self._notes, self._orders = (notes / f"{name}.jsonl").open("w"), orders
        self._told = asyncio.Event()
        self._placed: set[str] = set()
        self._answered: set[str] = set()
        self._finished: set[str] = set()

    def _note(self, what: str, document: dict[str, Any]) -> None:
        self._notes.write(json.dumps({what: document}) + "\n")
        self._notes.flush()

    def _hear(self, event: BaseEvent) -> None:
        self._note("event", event.model_dump(mode="json"))
        if event.event_type is not EventType.OUTCOME_UNKNOWN:
            self._answered.add(event.intent_id)
        if event.event_type is EventType.FINISHED:
            self._finished.add(event.intent_id)
        self._told.set()

    async def run(self) -> None:
        await _until_it_is_clear(self._kernel.start)        # as a pod is started again that could not
        try:
            kinds = list(WANTED)
            for number in range(self._orders):
                await self._trade(kinds[number % len(kinds)])
            await self._until(lambda: self._placed <= self._finished)
            health = await self._kernel.health_check()
        finally:
            await self._kernel.stop()
        self._note("done", {"lists": health["lists"], "problems": health["problems"]})

    async def _until(self, told: Callable[[], bool]) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(TELLS_WITHIN_S):
                while not told():
                    self._told.clear()
                    await self._told.wait()

    async def _trade(self, kind: str) -> None:
        """One order after the other: the next is for when this one has been heard of, however long the exchange's verdict takes."""
        intent_id = await self._place(kind)
        self._placed.add(intent_id)
        if kind == "canceled":
            await _until_it_is_clear(lambda: self._kernel.cancel_order(intent_id))
        await self._until(lambda: intent_id in self._answered)

    async def _place(self, kind: str) -> str:
        """The intent's id, whatever became of it. After an error that says so, the order is placed again only once it is known that there is none."""
        while True:
            try:
                intent_id = await self._kernel.place_order(WANTED[kind])
            except ExchangeError as error:
                self._note("order", {
                    "kind": kind, "intent": error.intent_id, "error": str(error), "reason": error.reason, "unknown": error.outcome_unknown})
                if error.intent_id is not None and await self._there_is(error.intent_id):
                    return error.intent_id
                await asyncio.sleep(PAUSE_S)
            else:
                self._note("order", {"kind": kind, "intent": intent_id})
                return intent_id

    async def _there_is(self, intent_id: str) -> bool:
        try:
            await _until_it_is_clear(lambda: self._kernel.get_order_state(intent_id))
        except NotFoundError:
            return False
        return True


async def _until_it_is_clear(ask: Callable[[], Awaitable[object]]) -> None:
    """Once more for as long as the API server does not answer."""
    while True:
        try:
            await ask()
        except NotFoundError:
            raise
        except KernelError:
            await asyncio.sleep(PAUSE_S)
        else:
            return


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kubeconfig", type=Path, required=True)
    parser.add_argument("--namespace", required=True)
    parser.add_argument("--notes", type=Path, required=True)
    parser.add_argument("--first", type=int, required=True)
    parser.add_argument("--kernels", type=int, required=True)
    parser.add_argument("--orders", type=int, required=True)
    given = parser.parse_args()
    await asyncio.gather(*(
        Strategy(f"strategy-{number:03}", given.namespace, given.kubeconfig, given.notes, given.orders).run()
        for number in range(given.first, given.first + given.kernels)))


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
