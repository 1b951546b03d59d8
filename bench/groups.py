"""How long a fill of one order takes to become the cancel of the other: the operator's emulated OneCancelsOther beside a bare loop, in turns.

Both times are the exchange's: when it sent the fill's event, and when the cancel's request came. Each pair is filled on its own, after a pause of random
length: one that is always the same puts every fill in step with what the operator has to do for earlier groups a quarter of a second and more later.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
from collections.abc import Iterable
from itertools import chain
from statistics import quantiles
from typing import Any

from bench.operated import Operated, operated
from bench.report import Figure

PAUSE_S = (0.25, 0.5)
ASKED_AGAIN_S = 0.25
TARGET, TARGET_P99 = 1.3, 1.5
KEY, SECRET = "bare-api-key-of-the-bench", "bare-api-secret-of-the-bench"
Pair = tuple[str, str]      # client order ids: what is filled, and what is to be cancelled for it


async def measure(units: int, runs: int) -> list[Figure]:
    """Figures in microseconds. A pair of orders counts as ten of other benchmarks' units: it waits for its pause."""
    count, ours, theirs = max(2, units // 10), list[list[int]](), list[list[int]]()
    with operated() as desk:
        desk.control("/keys", {"apiKey": KEY, "apiSecret": SECRET})
        bare = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bench.bare", desk.exchange["rest"], desk.exchange["websocket"], KEY, SECRET,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=2**22)
        assert bare.stdin is not None
        try:
            for run in range(runs + 1):                     # the first warms both up
                size = count if run else max(2, count // 10)
                mine, other = await asyncio.to_thread(_grouped, desk, run, size), await _paired(bare, size)
                for number in range(size):
                    for pair in (mine[number], other[number]) if number % 2 else (other[number], mine[number]):
                        await asyncio.to_thread(desk.control, "/market", {"fill": {"clientOrderId": pair[0], "quantity": "0.01"}})
                        await asyncio.sleep(random.uniform(*PAUSE_S))
                moments = await _moments(desk, {second for _, second in (*mine, *other)})
                if run:
                    ours.append(_latencies(moments, mine))
                    theirs.append(_latencies(moments, other))
        finally:
            bare.stdin.close()
            await bare.wait()
    return [_figure(50, ours, theirs, TARGET), _figure(99, [list(chain(*ours))], [list(chain(*theirs))], TARGET_P99)]


def _figure(percent: int, ours: list[list[int]], theirs: list[list[int]], target: float) -> Figure:
    """The 99th percentile is of all pairs together: one run has too few."""
    mine, other = ([quantiles(run, n=100, method="inclusive")[percent - 1] for run in side] for side in (ours, theirs))
    return Figure("groups", f"fill to sibling's cancel, p{percent}", "a bare loop: private stream, ccxt cancel_order", "µs", mine, other, target)


def _grouped(desk: Operated, run: int, count: int) -> list[Pair]:
    """So many groups, all of whose orders work."""
    names = [f"run-{run}-{number}" for number in range(count)]
    desk.apply(*(_group(name) for name in names))
    desk.run("wait", "--for=condition=Ready", *(f"og/{name}" for name in names), "--timeout=120s")
    members: dict[str, dict[str, str]] = {}
    for item in json.loads(desk.run("get", "oi", "-o", "json"))["items"]:
        ref = item["spec"]["groupRef"]
        if ref["name"] in names:
            members.setdefault(ref["name"], {})[ref["member"]] = item["status"]["clientOrderId"]
    return [(found["take"], found["other"]) for found in members.values()]


def _group(name: str) -> dict[str, Any]:
    terms = {"symbol": "BTC/USDT", "side": "Sell", "type": "Limit", "quantity": "0.01"}
    legs = [{"name": "take", **terms, "price": "90000"}, {"name": "other", **terms, "price": "95000"}]
    return {
        "apiVersion": "exchange-kernel.io/v1alpha1", "kind": "OrderGroup", "metadata": {"name": name},
        "spec": {"accountRef": {"name": "simulated"}, "mode": "OneCancelsOther", "nativePolicy": "Never", "members": legs, "ttlSecondsAfterFinished": 1},
    }


async def _paired(bare: asyncio.subprocess.Process, count: int) -> list[Pair]:
    assert bare.stdin is not None
    assert bare.stdout is not None
    bare.stdin.write(f"{count}\n".encode())
    return [(take, other) for take, other in json.loads(await bare.stdout.readline())]


async def _moments(desk: Operated, cancelled: set[str]) -> list[dict[str, Any]]:
    """The exchange's timeline, once all of these have been cancelled: how late is what is measured, and never is an error."""
    async with asyncio.timeout(60):
        while True:
            moments: list[dict[str, Any]] = (await asyncio.to_thread(desk.control, "/timeline"))["moments"]
            if cancelled <= {moment["clientOrderId"] for moment in moments if moment["what"].startswith("DELETE")}:
                return moments
            await asyncio.sleep(ASKED_AGAIN_S)


def _latencies(moments: Iterable[dict[str, Any]], pairs: Iterable[Pair]) -> list[int]:
    """Of each pair, in microseconds; a pair of which the cancel never came is a failure of the benchmark."""
    filled = {moment["clientOrderId"]: moment["us"] for moment in moments if moment["what"] == "WS TRADE"}
    cancelled: dict[str, int] = {}
    for moment in moments:
        if moment["what"].startswith("DELETE"):
            cancelled.setdefault(moment["clientOrderId"], moment["us"])
    return [cancelled[other] - filled[take] for take, other in pairs]
