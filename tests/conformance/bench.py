"""What the conformance suite runs on: a kernel of either kind before a simulated exchange process, through ccxt."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from exchange_kernel.exchanges.ccxt import open_exchange
from exchange_kernel.exchanges.port import Credentials
from exchange_kernel.exchanges.port import Exchange as Adapter
from exchange_kernel.kernel import ExchangeKernel, KubernetesKernel, LocalKernel, OrderState
from tests.cluster.operating import API_KEY, API_SECRET, Exchange
from tests.support import aeventually

WITHIN_S = 60.0


@dataclass
class Bench:
    """For one check: kernels that share what a strategy shares with itself, and a stranger's. `make(strategy, timeout)` gives one that is not started."""

    exchange: Exchange
    make: Callable[[str, float], ExchangeKernel]
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack)
    _name: str = field(default_factory=lambda: f"c{uuid.uuid4().hex[:8]}")

    def not_started(self, *, acknowledge_timeout: float = WITHIN_S, strategy: str = "") -> ExchangeKernel:
        return self.make(self._name + strategy, acknowledge_timeout)

    async def kernel(self, **options: Any) -> ExchangeKernel:
        kernel = self.not_started(**options)
        await kernel.start()
        self._stack.push_async_callback(self._clean, kernel)
        return kernel

    async def stranger(self) -> ExchangeKernel:
        return await self.kernel(strategy="-other")

    @staticmethod
    async def _clean(kernel: ExchangeKernel) -> None:
        """No check leaves orders behind."""
        await kernel.start()
        await kernel.cancel_all_orders()
        await kernel.stop()

    async def close(self) -> None:
        await self._stack.aclose()

    # ── What checks ask again and again ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def order(self, state: OrderState) -> dict[str, Any]:
        """The newest order at the exchange of this intent, by its ledger."""
        return self.exchange.orders(state.client_order_id)[-1]

    def live(self) -> int:
        return sum(order["status"] in ("NEW", "PARTIALLY_FILLED") for order in self.exchange.orders())

    @contextmanager
    def silent_stream(self) -> Iterator[None]:
        """What happens at the exchange is told by no event."""
        self.exchange.fault(do="unreliable-stream", loss=1.0)
        try:
            yield
        finally:
            self.exchange.heal()

    async def until(self, kernel: ExchangeKernel, intent_id: str, *states: str) -> OrderState:
        async def reached() -> OrderState | None:
            state = await kernel.get_order_state(intent_id)
            return state if str(state.state) in states else None

        return await aeventually(reached, within=WITHIN_S, what=f"{intent_id} is {' or '.join(states)}")


@contextmanager
def an_exchange(directory: Path) -> Iterator[Exchange]:
    directory.mkdir()
    exchange = Exchange(directory)
    try:
        yield exchange
    finally:
        exchange.stop()


def local_adapter(rest: str, websocket: str) -> Callable[[], Adapter]:
    return lambda: open_exchange(
        "binance", market_type="spot", environment="Simulated", credentials=Credentials({"apiKey": API_KEY, "secret": API_SECRET}),
        rest=rest, websocket=websocket, ca_pem=None, requests_per_second=None, cancel_reserve_percent=20,
    )


def local_bench(exchange: Exchange, directory: Path, kind: type[LocalKernel] = LocalKernel) -> Bench:
    adapter = local_adapter(exchange.rest, exchange.websocket)
    return Bench(exchange, lambda strategy, timeout: kind("binance", adapter, directory / f"{strategy}.db", acknowledge_timeout=timeout))


def kubernetes_bench(exchange: Exchange, kubeconfig: Path, namespace: str) -> Bench:
    return Bench(
        exchange, lambda strategy, timeout: KubernetesKernel("main", namespace=namespace, strategy=strategy, kubeconfig=kubeconfig, acknowledge_timeout=timeout)
    )
