"""How an account's orders go while another account's exchange plays every trick: `python -m bench.hostile` prints a table and asserts nothing.

One process has both accounts on one loop, as the operator has; each exchange is a process of its own. The healthy account sends and cancels: alone, beside
the hostile one while that has its burst (`share.py`), beside it once the burst is used up, which is how it stays, and alone again. An order's time is shown
as it was, and as the CPU time that this process used meanwhile: on a busy machine only the second can be compared. The loop is held
for the CPU time of the process by which a timer of a millisecond came late, and the memory is the process's peak.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from statistics import quantiles
from typing import Any
from unittest import mock

import uvloop

from exchange_kernel.core.answers import Accepted, Unreachable
from exchange_kernel.exchanges.ccxt import wire
from exchange_kernel.exchanges.ccxt.budget import Limit
from exchange_kernel.exchanges.ccxt.share import BURST_S
from exchange_kernel.handlers.settings import calm_garbage_collector
from tests.contract.fake_venue import EXCHANGE_INFO, FakeVenue, an_order, cancelled, fake_venue, says, says_bytes, submitted
from tests.contract.hostile import contradictions, drips, tricks
from tests.contract.test_ccxt_adapter import CANCEL, LOOKUP, ORDER, REF, Gate, a_request, open_account
from tests.contract.test_ccxt_stream import a_report

LISTS = (("GET", "/api/v3/openOrders"), ("GET", "/api/v3/allOrders"), ("GET", "/api/v3/myTrades"))
MARKETS = ("GET", "/api/v3/exchangeInfo")
PATIENCE_S = 1.0


async def serve(kind: str) -> None:
    """One exchange, until it is told to end. A hostile one goes from trick to trick by the clock, and yields the processor: its own work is not measured."""
    os.nice(19 if kind == "hostile" else 0)
    async with fake_venue() as venue:
        if kind == "healthy":
            venue.on(*ORDER, submitted())
            venue.on(*CANCEL, cancelled())
        print(json.dumps({"rest": venue.rest, "websocket": venue.websocket}), flush=True)
        ended = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
        if kind == "hostile":
            turns = [asyncio.create_task(plays(venue)), asyncio.create_task(pushes(venue))]
            await ended.wait()
            for turn in turns:
                turn.cancel()
        await ended.wait()


async def plays(venue: FakeVenue) -> None:
    many = [an_order(orderId=number, clientOrderId=f"{number:032}") for number in range(6500)]
    symbols = [{**EXCHANGE_INFO["symbols"][0], "symbol": f"A{number}USDT", "baseAsset": f"A{number}", "permissionSets": [[f"TRD_GRP_{one:03}" for one in
               range(200)]]} for number in range(4000)]
    large, markets = says(200, many), says(200, {**EXCHANGE_INFO, "symbols": [*EXCHANGE_INFO["symbols"], *symbols]})
    strange = [says_bytes(200, json.dumps(order).encode()) for order in contradictions(an_order())[::7]]
    venue.on(*MARKETS, markets)
    while True:
        for number, answer in enumerate([large, markets, *tricks().values(), drips(), *strange]):
            for call in (ORDER, CANCEL, LOOKUP):
                venue.on(*call, answer)
            for call in LISTS:                 # every other one has no fault, and costs the most
                venue.on(*call, large if number % 2 else answer)
            await asyncio.sleep(0.1)


async def pushes(venue: FakeVenue) -> None:
    """As many events as the socket takes."""
    while True:
        socket = await venue.sockets.get()
        with suppress(ConnectionError):
            while not socket.closed:
                await socket.send_json(a_report(clientOrderId="x" * 32))
                await asyncio.sleep(0)


@asynccontextmanager
async def exchange_of(kind: str) -> AsyncIterator[Any]:
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "bench.hostile", "--serve", kind, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    exchange = open_account(FakeVenue(**json.loads(await process.stdout.readline())))
    try:
        yield exchange
    finally:
        await exchange.close()
        process.terminate()
        await process.wait()


async def provoke(exchange: Any, haste: float) -> None:
    """Ask the hostile exchange all that an account asks, as often as a session does while nothing can be read, or `haste` times as often."""

    async def again(ask: Any, pause_s: float) -> None:
        while True:
            await ask()
            await asyncio.sleep(pause_s / haste)

    async def listen() -> None:
        async for _ in exchange.stream():
            pass

    async with asyncio.TaskGroup() as group:
        for ask in (lambda: exchange.submit(a_request(), Gate()), lambda: exchange.cancel(REF, Gate()), lambda: exchange.lookup(REF)):
            group.create_task(again(ask, 0.2))
        for ask in (exchange.open_orders, lambda: exchange.orders("BTC/USDT", 0), exchange.balances):
            group.create_task(again(ask, 2.0))
        group.create_task(again(lambda: exchange.markets(reload=True), 60.0))
        group.create_task(listen())


async def orders(exchange: Any, count: int) -> list[tuple[float, float]]:
    """How long one order and its cancel took and what the process worked meanwhile, ms, `count` times."""
    took = []
    for _ in range(count):
        before, used = time.perf_counter(), time.process_time()
        assert isinstance(await exchange.submit(a_request(), Gate()), Accepted)
        assert isinstance(await exchange.cancel(REF, Gate()), Accepted)
        took.append(((time.perf_counter() - before) * 1000, (time.process_time() - used) * 1000))
        await asyncio.sleep(0.005)
    return took


async def holds(until: asyncio.Event) -> list[float]:
    """For how long the loop was held by this process, ms, each time it was looked at: what others on the machine took of it is not counted."""
    held = []
    while not until.is_set():
        before, used = time.perf_counter(), time.process_time()
        await asyncio.sleep(0.001)
        held.append(min(time.perf_counter() - before - 0.001, time.process_time() - used) * 1000)
    return held


async def measure(count: int, haste: float) -> None:
    took: dict[str, list[tuple[float, float]]] = {"alone": [], "beside": [], "later": []}
    held: dict[str, list[float]] = {how: [] for how in took}
    with mock.patch.object(wire, "TIMEOUT_S", PATIENCE_S):
        async with exchange_of("healthy") as healthy, exchange_of("hostile") as hostile:
            assert not isinstance(await healthy.markets(), Unreachable)
            await healthy.clock()
            healthy._budget.resize(Limit(1_000_000, 1))        # more orders than an exchange takes: waiting for a turn is not measured
            calm_garbage_collector()
            provoking: asyncio.Task[None] | None = None
            for turn in ("alone", "beside", "later", "alone"):
                if turn == "beside":
                    provoking = asyncio.create_task(provoke(hostile, haste))
                elif turn == "later":
                    hostile._share.take(BURST_S)
                elif provoking is not None:
                    assert not provoking.done(), provoking
                    provoking.cancel()
                    await asyncio.wait([provoking])
                over = asyncio.Event()
                watch = asyncio.create_task(holds(over))
                took[turn] += await orders(healthy, count if turn == "alone" else 2 * count)
                over.set()
                held[turn] += await watch
    print(f"{'ms':8} {'orders':>7} {'p50':>8} {'p99':>8} {'work p50':>9} {'work p99':>9} {'held p50':>9} {'held p99':>9} {'longest':>8}")
    for how, figures in took.items():
        columns = (quantiles(column, n=100) for column in (*zip(*figures, strict=True), held[how]))
        shown = " ".join(f"{cut:{8 if number < 2 else 9}.2f}" for number, cut in enumerate(cut for cuts in columns for cut in (cuts[49], cuts[98])))
        print(f"{how:8} {len(figures):7} {shown} {max(held[how]):8.1f}")
    print(f"memory at its peak: {peak_mb()} MB")


def peak_mb() -> int:
    found = re.search(r"VmHWM:\s+([0-9]+) kB", Path("/proc/self/status").read_text())
    return int(found[1]) // 1024 if found else 0


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.hostile", description=__doc__)
    parser.add_argument("--orders", type=int, default=1000, help="alone, each time; beside the hostile account twice as many")
    parser.add_argument("--haste", type=float, default=1.0, help="how many times as often as a session the hostile exchange is asked")
    parser.add_argument("--serve", choices=("healthy", "hostile"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.serve:
        asyncio.run(serve(asked.serve))
        return
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(measure(asked.orders, asked.haste))


if __name__ == "__main__":
    main()
