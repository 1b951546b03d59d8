"""The other side of `place_order.py`, a process of its own: each OrderIntent of a namespace becomes one order, and what is known of it its status.

One watch, one ccxt call and one write for each; nothing is kept, checked or repeated. Says "ready" on standard output once it watches, cancels all at the
exchange for each line on standard input, and ends when that does.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import sys
from contextlib import aclosing
from pathlib import Path
from typing import Any

import uvloop

from bench.bare import connect
from exchange_kernel.kube.client import ORDER_INTENTS, ApiClient
from exchange_kernel.kube.config import access


async def ordered(bare: Any, raw: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The order that an OrderIntent asks for, made: its client order id, and the exchange's answer."""
    spec = raw["spec"]
    client_order_id = hashlib.blake2b(raw["metadata"]["uid"].encode(), digest_size=16).hexdigest()
    return client_order_id, await bare.create_order(
        spec["symbol"], spec["type"].lower(), spec["side"].lower(), spec["quantity"], spec["price"],
        {"clientOrderId": client_order_id, "timeInForce": "GTC", "newOrderRespType": "FULL"})


async def place(api: ApiClient, bare: Any, namespace: str, raw: dict[str, Any]) -> None:
    client_order_id, order = await ordered(bare, raw)
    spec, name = raw["spec"], raw["metadata"]["name"]
    status = {
        "state": "Open", "observedGeneration": raw["metadata"]["generation"], "clientOrderId": client_order_id, "exchangeOrderId": order["id"],
        "filledQuantity": "0", "remainingQuantity": spec["quantity"],
    }
    answer = await api.patch(ORDER_INTENTS.path(namespace, name, "status"), {"status": status})
    assert answer.ok, answer.message


async def serve(api: ApiClient, bare: Any, namespace: str) -> None:
    path, placing = ORDER_INTENTS.path(namespace), set[asyncio.Task[None]]()
    version = (await api.get(path)).body["metadata"]["resourceVersion"]
    print("ready", flush=True)
    async with aclosing(api.watch(path, resourceVersion=version, timeoutSeconds="3600")) as events:
        async for event in events:
            if event["type"] == "ADDED":
                task = asyncio.create_task(place(api, bare, namespace, event["object"]))
                placing.add(task)
                task.add_done_callback(placing.discard)


async def main(kubeconfig: str, namespace: str, rest: str, websocket: str, key: str, secret: str) -> None:
    bare = connect(rest, websocket, key, secret)
    async with ApiClient(access(Path(kubeconfig))) as api:
        await bare.load_markets()
        await until_told(asyncio.create_task(serve(api, bare, namespace)), bare)


async def until_told(serving: asyncio.Task[None], bare: Any) -> None:
    """Serve until standard input ends; each line there asks for all orders to be cancelled."""
    while await asyncio.to_thread(sys.stdin.readline):
        await bare.cancel_all_orders("BTC/USDT")
        print("clean", flush=True)
    serving.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await serving
    await bare.close()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(*sys.argv[1:]))
