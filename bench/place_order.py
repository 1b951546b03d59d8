"""How long `place_order` takes until the exchange's verdict is in, beside the least that could do it: a bare create, ccxt call and watch, in turns.

On both sides a strategy's process creates an OrderIntent and waits for its status, and another process makes one order of it and writes that status; same API
server, same exchange, same kind. Ours are `KubernetesKernel` and the operator. The bare ones, `bare_operator.py` and `Bare` below, keep, check and
repeat nothing. Both strategies are this process, one order after the other, with a pause in which the one before it has come to rest.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
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

BARE = "bare"       # the namespace in which no operator of ours is
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
    count, ours, theirs = max(2, units // 10), list[list[float]](), list[list[float]]()
    with operated() as desk, TemporaryDirectory() as dir:
        desk.control("/keys", {"apiKey": KEY, "apiSecret": SECRET})
        async with strategies(desk, Path(dir)) as (kernel, bare, clean):
            for run in range(runs + 1):                     # the first warms both up
                mine, other = list[float](), list[float]()
                for number in range(count):
                    name = f"bench-{run}-{number}"
                    sides = [(mine, lambda: kernel.place_order(ORDER)), (other, lambda name=name: bare.place_order(name))]
                    for times, place in sides if number % 2 else reversed(sides):
                        times.append(await _timed(place))
                        await asyncio.sleep(PAUSE_S)
                await kernel.cancel_all_orders()
                await clean()
                if run:
                    ours.append(mine)
                    theirs.append(other)
    return [_figure(50, ours, theirs, TARGET), _figure(99, [list(chain(*ours))], [list(chain(*theirs))], TARGET_P99)]


async def _timed(place: Callable[[], Awaitable[Any]]) -> float:
    """In microseconds."""
    began = time.perf_counter()
    await place()
    return (time.perf_counter() - began) * 1e6


def _figure(percent: int, ours: list[list[float]], theirs: list[list[float]], target: float) -> Figure:
    """The 99th percentile is of all orders together: one run has too few."""
    mine, other = ([quantiles(run, n=100, method="inclusive")[percent - 1] for run in side] for side in (ours, theirs))
    return Figure("place-order", f"place_order to the verdict, p{percent}", BESIDE, "µs", mine, other, target)


@asynccontextmanager
async def strategies(desk: Operated, dir: Path) -> AsyncIterator[tuple[KubernetesKernel, Bare, Callable[[], Awaitable[None]]]]:
    """Both, started, each with a strategy's rights and its operator at work; and what takes the bare side's orders from the exchange."""
    desk.kubectl("create", "namespace", BARE, check=True)
    kubeconfigs = {}
    for namespace in (NAMESPACE, BARE):
        for what in (("serviceaccount", "bench"), ("rolebinding", "bench", "--clusterrole=exchange-kernel-strategy", f"--serviceaccount={namespace}:bench")):
            desk.kubectl("--namespace", namespace, "create", *what, check=True)
        user = f"system:serviceaccount:{namespace}:bench"
        kubeconfigs[namespace] = desk.plane.kubeconfig_for(user, ["system:serviceaccounts"], dir / f"{namespace}.kubeconfig")
    operators = desk.plane.kubeconfig_for(OPERATOR_USER, ["system:serviceaccounts"], dir / "operator.kubeconfig")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.bare_operator", str(operators), BARE, desk.exchange["rest"], desk.exchange["websocket"], KEY, SECRET,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    stdin, stdout = process.stdin, process.stdout

    async def clean() -> None:
        stdin.write(b"\n")
        assert await stdout.readline() == b"clean\n"

    kernel = KubernetesKernel("simulated", namespace=NAMESPACE, strategy="bench", kubeconfig=kubeconfigs[NAMESPACE])
    try:
        assert await stdout.readline() == b"ready\n"
        async with ApiClient(access(kubeconfigs[BARE])) as api:
            bare = Bare(api)
            following = asyncio.create_task(bare.follow())
            await kernel.start()
            await bare.opened.wait()
            yield kernel, bare, clean
            following.cancel()
    finally:
        await kernel.stop()
        stdin.close()
        await process.wait()
