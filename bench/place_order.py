"""How long `place_order` takes until the exchange's verdict is in, beside the least that could do it: a bare create, ccxt call and watch, in turns.

On both sides a strategy's process creates an OrderIntent and waits for its status, and another process makes one order of it and writes that status; same API
server, same exchange, same kind. Ours are `KubernetesKernel` and the operator. The bare ones, `bare_operator.py` and `Bare` below, keep, check and
repeat nothing. All strategies are this process, one order after the other, with a pause in which the one before it has come to rest.

How much of the difference comes with kopf and with what a status has to say is measured too: `KubernetesKernel` again, with `kopf_operator.py`.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from itertools import chain
from pathlib import Path
from statistics import quantiles
from tempfile import TemporaryDirectory
from typing import Any

from bench.operated import NAMESPACE, OPERATOR_USER, Operated, operated
from bench.report import Figure
from exchange_kernel.kernel import KubernetesKernel
from exchange_kernel.kube.client import ORDER_INTENTS, ApiClient
from exchange_kernel.kube.config import access
from exchange_kernel.schema import OrderType, Side, StandardOrder

BARE, KOPF = "bare", "kopf"     # namespaces in which no operator of ours is
PAUSE_S = 0.03
TARGET, TARGET_P99 = 1.2, 1.5
KEY, SECRET = "bare-api-key-of-the-bench", "bare-api-secret-of-the-bench"
BESIDE = "a bare create, ccxt create_order, status write and watch"
ORDER = StandardOrder(symbol_id="BTC/USDT", side=Side.BUY, type=OrderType.LIMIT, quantity=Decimal("0.001"), price=Decimal(20000))


class Bare:
    """The strategy's other side: one create, and one watch on which the status is waited for."""

    def __init__(self, api: ApiClient) -> None:
        self._api, self._path = api, ORDER_INTENTS.path(BARE)
        self._waiting: dict[str, asyncio.Future[None]] = {}
        self.opened = asyncio.Event()

    async def follow(self) -> None:
        version = (await self._api.get(self._path)).body["metadata"]["resourceVersion"]
        async with aclosing(self._api.watch(self._path, resourceVersion=version, timeoutSeconds="3600")) as events:
            async for event in events:
                self.opened.set()
                raw = event["object"]
                if raw.get("status", {}).get("state") == "Open" and (waiting := self._waiting.pop(raw["metadata"]["name"], None)) is not None:
                    waiting.set_result(None)

    async def place_order(self, name: str) -> None:
        placed = self._waiting[name] = asyncio.get_running_loop().create_future()
        spec = {"accountRef": {"name": "simulated"}, "symbol": "BTC/USDT", "side": "Buy", "type": "Limit", "quantity": "0.001", "price": "20000"}
        metadata = {"name": name, "finalizers": ["exchange-kernel.io/order"], "labels": {"exchange-kernel.io/strategy": "bench"}}
        answer = await self._api.create(self._path, {"apiVersion": "exchange-kernel.io/v1alpha1", "kind": "OrderIntent", "metadata": metadata, "spec": spec})
        assert answer.ok, answer.message
        await placed


async def measure(units: int, runs: int) -> list[Figure]:
    """Figures in microseconds. An order counts as ten of other benchmarks' units: it waits for its pause."""
    count, taken = max(2, units // 10), {name: list[list[float]]() for name in ("ours", "kopf", "bare")}
    with operated() as desk, TemporaryDirectory() as dir:
        desk.control("/keys", {"apiKey": KEY, "apiSecret": SECRET})
        async with strategies(desk, Path(dir)) as sides:
            for run in range(runs + 1):                     # the first warms all of them up
                times = {name: list[float]() for name in taken}
                for number in range(count):
                    name = f"bench-{run}-{number}"
                    places: dict[str, Callable[[], Awaitable[Any]]] = {
                        "ours": lambda: sides.kernel.place_order(ORDER),
                        "kopf": lambda: sides.beside_kopf.place_order(ORDER),
                        "bare": lambda name=name: sides.bare.place_order(name),
                    }
                    for side in list(places) if number % 2 else reversed(places):
                        times[side].append(await _timed(places[side]))
                        await asyncio.sleep(PAUSE_S)
                await sides.kernel.cancel_all_orders()
                await sides.clean()
                for side in taken if run else ():
                    taken[side].append(times[side])
    ours, kopf, bare = taken.values()
    what = "place_order to the verdict"
    return [
        _figure(f"{what}, p50", 50, ours, bare, TARGET),
        _figure(f"{what}, p99", 99, [list(chain(*ours))], [list(chain(*bare))], TARGET_P99),  # of all together: one run has too few
        _figure("kopf and the status alone, p50", 50, kopf, bare, None),
    ]


async def _timed(place: Callable[[], Awaitable[Any]]) -> float:
    """In microseconds."""
    began = time.perf_counter()
    await place()
    return (time.perf_counter() - began) * 1e6


def _figure(what: str, percent: int, ours: list[list[float]], theirs: list[list[float]], target: float | None) -> Figure:
    mine, other = ([quantiles(run, n=100, method="inclusive")[percent - 1] for run in side] for side in (ours, theirs))
    return Figure("place-order", what, BESIDE, "µs", mine, other, target)


@dataclass(frozen=True, slots=True)
class Sides:
    """Their strategies, started, each with a strategy's rights and its operator at work."""

    kernel: KubernetesKernel
    beside_kopf: KubernetesKernel           # as `kernel`, and what it asks for is done by `kopf_operator.py`
    bare: Bare
    clean: Callable[[], Awaitable[None]]    # takes the other sides' orders from the exchange


@asynccontextmanager
async def strategies(desk: Operated, dir: Path) -> AsyncIterator[Sides]:
    kubeconfigs = {namespace: _strategy(desk, dir, namespace) for namespace in (NAMESPACE, KOPF, BARE)}
    operators = desk.plane.kubeconfig_for(OPERATOR_USER, ["system:serviceaccounts"], dir / "operator.kubeconfig")
    exchange = (desk.exchange["rest"], desk.exchange["websocket"], KEY, SECRET)
    kernel, beside_kopf = (KubernetesKernel("simulated", namespace=name, strategy="bench", kubeconfig=kubeconfigs[name]) for name in (NAMESPACE, KOPF))
    async with ApiClient(access(kubeconfigs[BARE])) as api, _operator("bench.bare_operator", str(operators), BARE, *exchange) as (ask, answer):
        bare = Bare(api)
        following = asyncio.create_task(bare.follow())
        await bare.opened.wait()
        await kernel.start()
        placed = await kernel.place_order(ORDER)
        status = dir / "status.json"
        status.write_text(json.dumps(json.loads(desk.run("get", "oi", placed, "-o", "json"))["status"]))
        async with _operator("bench.kopf_operator", str(operators), KOPF, *exchange, str(status)):
            await beside_kopf.start()

            async def clean() -> None:
                ask.write(b"\n")
                assert await answer.readline() == b"clean\n"

            try:
                yield Sides(kernel, beside_kopf, bare, clean)
            finally:
                following.cancel()
                await kernel.stop()
                await beside_kopf.stop()


def _strategy(desk: Operated, dir: Path, namespace: str) -> Path:
    """A kubeconfig with a strategy's rights in a namespace, which is made unless it is there."""
    if namespace != NAMESPACE:
        desk.kubectl("create", "namespace", namespace, check=True)
    for what in (("serviceaccount", "bench"), ("rolebinding", "bench", "--clusterrole=exchange-kernel-strategy", f"--serviceaccount={namespace}:bench")):
        desk.kubectl("--namespace", namespace, "create", *what, check=True)
    return desk.plane.kubeconfig_for(f"system:serviceaccount:{namespace}:bench", ["system:serviceaccounts"], dir / f"{namespace}.kubeconfig")


@asynccontextmanager
async def _operator(module: str, *arguments: str) -> AsyncIterator[tuple[asyncio.StreamWriter, asyncio.StreamReader]]:
    """One of the other sides' operators, at work: its standard input, and its output."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", module, *arguments, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        assert await process.stdout.readline() == b"ready\n"
        yield process.stdin, process.stdout
    finally:
        process.stdin.close()
        await process.wait()
