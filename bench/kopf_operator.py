"""Between the two sides of `place_order.py`, a process of its own: as `bare_operator.py`, with kopf as its edge and a status as ours is.

What an operator on kopf with this contract takes if it does nothing else. The status is the one in the file that is named last, whatever the order.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from pathlib import Path
from typing import Any

import kopf
import uvloop

from bench.bare import connect
from bench.bare_operator import ordered, until_told
from exchange_kernel.handlers import settings
from exchange_kernel.kube.client import ORDER_INTENTS, ApiClient
from exchange_kernel.kube.config import access


async def place(api: ApiClient, bare: Any, namespace: str, raw: dict[str, Any], status: dict[str, Any]) -> None:
    await ordered(bare, raw)
    metadata = {name: raw["metadata"][name] for name in ("name", "namespace", "uid", "resourceVersion")}
    body = {"apiVersion": ORDER_INTENTS.api_version, "kind": "OrderIntent", "metadata": metadata, "status": status}
    answer = await api.replace(ORDER_INTENTS.path(namespace, metadata["name"], "status"), body)
    assert answer.ok, answer.message


def handlers(api: ApiClient, bare: Any, namespace: str, status: dict[str, Any]) -> kopf.OperatorRegistry:
    registry, placing = kopf.OperatorRegistry(), set[asyncio.Task[None]]()

    @kopf.on.event(ORDER_INTENTS.group, ORDER_INTENTS.version, ORDER_INTENTS.plural, registry=registry)
    async def order_intent_event(event: kopf.RawEvent, **_: Any) -> None:
        if event["type"] == "ADDED":
            task = asyncio.create_task(place(api, bare, namespace, dict(event["object"]), status))
            placing.add(task)
            task.add_done_callback(placing.discard)

    return registry


async def main(kubeconfig: str, namespace: str, rest: str, websocket: str, key: str, secret: str, status: dict[str, Any]) -> None:
    logging.getLogger("kopf").setLevel(logging.WARNING)
    bare, cluster, options, watching = connect(rest, websocket, key, secret), access(Path(kubeconfig)), kopf.OperatorSettings(), asyncio.Event()
    settings.configure(options)
    async with ApiClient(cluster) as api:
        await bare.load_markets()
        registry = handlers(api, bare, namespace, status)
        settings.register_login(registry, cluster)
        serving = asyncio.create_task(kopf.operator(registry=registry, settings=options, namespaces=[namespace], standalone=True, ready_flag=watching))
        await watching.wait()
        settings.calm_garbage_collector()
        print("ready", flush=True)
        await until_told(serving, bare)


if __name__ == "__main__":
    kubeconfig, namespace, rest, websocket, key, secret, status = sys.argv[1:]
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(kubeconfig, namespace, rest, websocket, key, secret, json.loads(Path(status).read_text())))
