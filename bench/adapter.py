"""What our adapter adds to ccxt: CPU for each order, beside bare ccxt's create_order with the settings and words of our dialect.

The simulated exchange is a process of its own, so that its work is not counted. Orders go out one after the other, each awaited.
"""

from __future__ import annotations

import json
import tempfile
import time
import urllib.request
import uuid
from decimal import Decimal
from pathlib import Path
from typing import Any

import ccxt.async_support

from bench.report import Figure
from bench.side_by_side import cpu_per_unit
from exchange_kernel.cli.children import Child
from exchange_kernel.core.answers import Accepted
from exchange_kernel.core.venue import OrderRequest
from exchange_kernel.exchanges.ccxt import dialect_of, open_exchange
from exchange_kernel.exchanges.ccxt.wire import rebase
from exchange_kernel.exchanges.port import Closed, Credentials, Exchange

KEY, SECRET = "simulated-api-key", "simulated-api-secret"
TARGET = 1.3


class Open:
    """A gate that is open."""

    def stamp(self) -> int | Closed:
        return time.time_ns() // 1_000_000

    def check(self, stamp: int) -> Closed | None:
        return None


async def measure(units: int, runs: int) -> list[Figure]:
    """Figures in microseconds of CPU for each order."""
    with tempfile.TemporaryDirectory() as dir:
        limits = ["--weight-limit", "1000000000", "--order-limit", "1000000000"]
        arguments = ["simulate", "--no-market-maker", *limits, "--tick-ms", "60000", "--balance", "USDT=1000000000"]
        with Child("exchange", arguments, Path(dir)) as child:
            adapter, bare = _adapter(child.ready), _bare(child.ready)
            try:
                await bare.load_markets()
                await adapter.markets()

                async def ours(count: int) -> None:
                    for number in range(count):
                        outcome = await adapter.submit(OrderRequest(
                            client_order_id=uuid.uuid4().hex, symbol="BTC/USDT", side="Buy", type="Limit", quantity=Decimal("0.001"),
                            price=Decimal(20000 + number % 1000), time_in_force="GTC",
                        ), Open())
                        assert isinstance(outcome, Accepted), outcome

                async def theirs(count: int) -> None:
                    for number in range(count):
                        order = await bare.create_order(
                            "BTC/USDT", "limit", "buy", 0.001, 20000 + number % 1000,
                            {"clientOrderId": uuid.uuid4().hex, "timeInForce": "GTC", "newOrderRespType": "FULL"})
                        assert order["status"] == "open", order

                async def clean() -> None:
                    await bare.cancel_all_orders("BTC/USDT")

                mine, other = await cpu_per_unit(ours, theirs, units=units, runs=runs, clean=clean)
                assert _orders(child.ready) == 2 * units * (runs + 1), "each order is one request, and each request one order"
            finally:
                await adapter.close()
                await bare.close()
    return [Figure("adapter", "CPU for an order", "bare ccxt create_order", "µs", [one * 1e6 for one in mine], [one * 1e6 for one in other], TARGET)]


def _orders(ready: dict[str, Any]) -> int:
    """By the exchange's own ledger and by its count of requests, which agree."""
    with urllib.request.urlopen(f"{ready['control']}/ledger", timeout=30) as answer:
        ledger = json.load(answer)
    assert len(ledger["orders"]) == ledger["requests"]["POST /api/v3/order"]["count"]
    return len(ledger["orders"])


def _adapter(ready: dict[str, Any]) -> Exchange:
    return open_exchange(
        "binance", market_type="spot", environment="Simulated", credentials=Credentials({"apiKey": KEY, "secret": SECRET}), rest=ready["rest"],
        websocket=ready["websocket"], ca_pem=None, requests_per_second=None, cancel_reserve_percent=20)


def _bare(ready: dict[str, Any]) -> Any:
    """ccxt as anybody would use it, with what our adapter sets: the dialect's options, and no throttle."""
    bare = ccxt.async_support.binance({
        "apiKey": KEY, "secret": SECRET, "enableRateLimit": False, "options": {**dialect_of("binance", "spot").options, "recvWindow": 3000},
    })
    bare.urls["api"] = rebase(bare.urls["api"], ready["rest"], ready["websocket"])
    return bare
