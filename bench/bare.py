"""The other side of `groups.py`, a process of its own: one order of a pair fills, and the other is cancelled. Nothing is kept, checked or repeated.

A line with a number on standard input: so many pairs are placed, and their client order ids are told in a line of JSON.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import sys
import time
import uuid
from typing import Any

import aiohttp
import ccxt.async_support
import uvloop

from exchange_kernel.exchanges.ccxt import dialect_of
from exchange_kernel.exchanges.ccxt.wire import rebase

SYMBOL = "BTC/USDT"


def connect(rest: str, websocket: str, key: str, secret: str) -> Any:
    """ccxt as anybody would use it, with what our adapter sets: the dialect's options, and no throttle."""
    bare = ccxt.async_support.binance({
        "apiKey": key, "secret": secret, "enableRateLimit": False, "options": {**dialect_of("binance", "spot").options, "recvWindow": 3000},
    })
    bare.urls["api"] = rebase(bare.urls["api"], rest, websocket)
    return bare


async def cancel_siblings(bare: Any, websocket: str, siblings: dict[str, str]) -> None:
    async with aiohttp.ClientSession() as http, http.ws_connect(f"{websocket}/ws-api/v3") as socket:
        stamp = time.time_ns() // 1_000_000
        signature = hmac.digest(bare.secret.encode(), f"apiKey={bare.apiKey}&timestamp={stamp}".encode(), "sha256").hex()
        params = {"apiKey": bare.apiKey, "timestamp": stamp, "signature": signature}
        await socket.send_json({"id": 1, "method": "userDataStream.subscribe.signature", "params": params})
        async for message in socket:
            event = json.loads(message.data).get("event", {})
            if event.get("x") == "TRADE" and (sibling := siblings.pop(event["c"], None)) is not None:
                await bare.cancel_order(None, SYMBOL, {"origClientOrderId": sibling})


async def main(rest: str, websocket: str, key: str, secret: str) -> None:
    bare, siblings = connect(rest, websocket, key, secret), dict[str, str]()
    await bare.load_markets()
    cancelling = asyncio.create_task(cancel_siblings(bare, websocket, siblings))
    try:
        while line := await asyncio.to_thread(sys.stdin.readline):
            pairs = [(uuid.uuid4().hex, uuid.uuid4().hex) for _ in range(int(line))]
            for take, other in pairs:
                for name, price in ((take, 90000), (other, 95000)):
                    await bare.create_order(SYMBOL, "limit", "sell", 0.01, price, {"clientOrderId": name})
            siblings.update(pairs)
            print(json.dumps(pairs), flush=True)
    finally:
        cancelling.cancel()
        await bare.close()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(*sys.argv[1:]))
