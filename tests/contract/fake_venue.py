"""A scripted venue that speaks Binance's paths, with the socket in hand: it can take a request and drop it, cut an answer short, say anything.

It matches nothing: what it says is what the script says. `exchanges/simulated` is the venue that thinks.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import WSMsgType, web

API_KEY, SECRET = "the-api-key", "the-secret-of-the-tests"

Json = Any


@dataclass(frozen=True, slots=True)
class Received:
    """A request as it arrived, parameters of query and body together."""

    method: str
    path: str
    params: Mapping[str, str]
    headers: Mapping[str, str]
    body: str
    connection: int


@dataclass(slots=True)
class Socket:
    """The server's end of a connection, for an answer to be written on."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    keep_open: bool = True

    async def write(self, content: bytes) -> None:
        self.writer.write(content)
        await self.writer.drain()

    def drop(self) -> None:
        self.keep_open = False


Answer = Callable[[Received, Socket], Awaitable[None]]


def says(status: int, document: Json, **headers: str) -> Answer:
    return says_bytes(status, json.dumps(document).encode(), **{"Content-Type": "application/json", **headers})


def says_bytes(status: int, body: bytes, **headers: str) -> Answer:
    async def answer(request: Received, socket: Socket) -> None:
        lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(body)}", *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())]
        await socket.write("\r\n".join([*lines, "", ""]).encode() + body)

    return answer


def error(status: int, code: int, message: str, **headers: str) -> Answer:
    return says(status, {"code": code, "msg": message}, **headers)


async def drops(request: Received, socket: Socket) -> None:
    """Takes the request, and hangs up."""
    socket.drop()


def truncates(document: Json) -> Answer:
    """Promises the whole body, and hangs up in the middle."""

    async def answer(request: Received, socket: Socket) -> None:
        body = json.dumps(document).encode()
        await socket.write(f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body[: len(body) // 2])
        socket.drop()

    return answer


def holds(until: asyncio.Event, then: Answer) -> Answer:
    async def answer(request: Received, socket: Socket) -> None:
        await until.wait()
        await then(request, socket)

    return answer


async def never(request: Received, socket: Socket) -> None:
    """No answer, on an open connection."""
    await socket.reader.read()       # until the other end gives up
    socket.drop()


EXCHANGE_INFO = {
    "timezone": "UTC",
    "serverTime": 0,
    "rateLimits": [{"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 6000}],
    "exchangeFilters": [],
    "symbols": [
        {
            "symbol": "BTCUSDT", "status": "TRADING", "baseAsset": "BTC", "baseAssetPrecision": 8, "quoteAsset": "USDT", "quoteAssetPrecision": 8,
            "quotePrecision": 8, "isSpotTradingAllowed": True,
            "orderTypes": ["LIMIT", "LIMIT_MAKER", "MARKET", "STOP_LOSS", "STOP_LOSS_LIMIT", "TAKE_PROFIT", "TAKE_PROFIT_LIMIT"], "permissions": [],
            "filters": [
                {"filterType": "PRICE_FILTER", "minPrice": "0.01000000", "maxPrice": "1000000.00000000", "tickSize": "0.01000000"},
                {"filterType": "LOT_SIZE", "minQty": "0.00001000", "maxQty": "9000.00000000", "stepSize": "0.00001000"},
                {"filterType": "NOTIONAL", "minNotional": "5.00000000", "applyMinToMarket": True, "maxNotional": "9000000.0", "avgPriceMins": 5},
            ],
        },
        {
            "symbol": "YOYOBTC", "status": "BREAK", "baseAsset": "YOYO", "baseAssetPrecision": 8, "quoteAsset": "BTC", "quoteAssetPrecision": 8,
            "quotePrecision": 8, "isSpotTradingAllowed": True, "orderTypes": ["LIMIT"], "permissions": [],
            "filters": [
                {"filterType": "PRICE_FILTER", "minPrice": "0.00000000", "maxPrice": "0.00000000", "tickSize": "0.00000001"},
                {"filterType": "LOT_SIZE", "minQty": "1.00000000", "maxQty": "90000000.00000000", "stepSize": "1.00000000"},
                {"filterType": "MIN_NOTIONAL", "minNotional": "0.00010000", "applyToMarket": True, "avgPriceMins": 5},
            ],
        },
    ],
}


def an_order(**changes: Any) -> dict[str, Any]:
    """An order as GET /api/v3/order shows it."""
    return {
        "symbol": "BTCUSDT", "orderId": 28, "orderListId": -1, "clientOrderId": "a" * 32, "price": "50000.00000000", "origQty": "1.00000000",
        "executedQty": "0.00000000", "cummulativeQuoteQty": "0.00000000", "status": "NEW", "timeInForce": "GTC", "type": "LIMIT", "side": "BUY",
        "stopPrice": "0.00000000", "icebergQty": "0.00000000", "time": 1_800_000_000_000, "updateTime": 1_800_000_000_000, "isWorking": True,
        "workingTime": 1_800_000_000_000, "origQuoteOrderQty": "0.00000000", "selfTradePreventionMode": "NONE", **changes,
    }


def a_trade(**changes: Any) -> dict[str, Any]:
    return {
        "symbol": "BTCUSDT", "id": 7, "orderId": 28, "orderListId": -1, "price": "50000.00000000", "qty": "0.10000000", "quoteQty": "5000.00000000",
        "commission": "0.00010000", "commissionAsset": "BTC", "time": 1_800_000_000_500, "isBuyer": True, "isMaker": False, "isBestMatch": True, **changes,
    }


def submitted(**changes: Any) -> Answer:
    """What a well-behaved venue says to POST /api/v3/order."""

    async def answer(request: Received, socket: Socket) -> None:
        params = request.params
        document = {
            "symbol": params["symbol"], "orderId": 28, "orderListId": -1, "clientOrderId": params["newClientOrderId"], "transactTime": 1_800_000_000_000,
            "price": params.get("price", "0.00000000"), "origQty": params.get("quantity", "0.00000000"), "executedQty": "0.00000000",
            "origQuoteOrderQty": params.get("quoteOrderQty", "0.00000000"), "cummulativeQuoteQty": "0.00000000", "status": "NEW",
            "timeInForce": params.get("timeInForce", "GTC"), "type": params["type"], "side": params["side"], "fills": [], **changes,
        }
        await says(200, document)(request, socket)

    return answer


def cancelled(**changes: Any) -> Answer:
    async def answer(request: Received, socket: Socket) -> None:
        document = {
            "symbol": request.params["symbol"], "origClientOrderId": request.params["origClientOrderId"], "orderId": 28, "orderListId": -1,
            "clientOrderId": "the-cancel-itself", "transactTime": 1_800_000_000_900, "price": "50000.00000000", "origQty": "1.00000000",
            "executedQty": "0.00000000", "origQuoteOrderQty": "0.00000000", "cummulativeQuoteQty": "0.00000000", "status": "CANCELED",
            "timeInForce": "GTC", "type": "LIMIT", "side": "BUY", **changes,
        }
        await says(200, document)(request, socket)

    return answer


@dataclass(slots=True)
class FakeVenue:
    """`script[("POST", "/api/v3/order")]` answers in order, and its last answer again for ever."""

    rest: str = ""
    websocket: str = ""
    script: dict[tuple[str, str], deque[Answer]] = field(default_factory=dict)
    received: list[Received] = field(default_factory=list)
    connections: int = 0
    sockets: asyncio.Queue[web.WebSocketResponse] = field(default_factory=asyncio.Queue)
    on_subscribe: Callable[[Json], Json] = lambda message: {"id": message["id"], "status": 200, "result": {"subscriptionId": 0}}
    on_ping: Callable[[Json], Json | None] = lambda message: {"id": message["id"], "status": 200, "result": {}}
    stream_messages: list[Json] = field(default_factory=list)
    overtakes: list[Json] = field(default_factory=list)      # pushed before the answer to a subscription
    _arrived: asyncio.Condition = field(default_factory=asyncio.Condition)

    def on(self, method: str, path: str, *answers: Answer) -> None:
        self.script[(method, path)] = deque(answers)

    def calls(self, method: str, path: str) -> list[Received]:
        return [request for request in self.received if (request.method, request.path) == (method, path)]

    async def arrival(self, method: str, path: str, count: int = 1) -> Received:
        """The `count`th request of its kind, once it is here."""
        async with self._arrived:
            await self._arrived.wait_for(lambda: len(self.calls(method, path)) >= count)
        return self.calls(method, path)[count - 1]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        connection = self.connections
        socket = Socket(reader, writer)
        try:
            while socket.keep_open and (request := await _read_request(reader, connection)) is not None:
                async with self._arrived:
                    self.received.append(request)
                    self._arrived.notify_all()
                answers = self.script[(request.method, request.path)]
                await (answers.popleft() if len(answers) > 1 else answers[0])(request, socket)
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def serve_stream(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            if message.type is not WSMsgType.TEXT:
                break
            document = json.loads(message.data)
            self.stream_messages.append(document)
            answer = self.on_ping(document) if document["method"] == "ping" else self.on_subscribe(document)
            while self.overtakes:
                await socket.send_json(self.overtakes.pop(0))
            if answer is not None:
                await socket.send_json(answer)
            if document["method"].startswith("userDataStream"):
                self.sockets.put_nowait(socket)
        return socket


async def _read_request(reader: asyncio.StreamReader, connection: int) -> Received | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    first, *lines = head.strip().split("\r\n")
    method, target, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = (await reader.readexactly(int(headers.get("content-length", "0")))).decode()
    path, _, query = target.partition("?")
    return Received(method, path, dict(parse_qsl(f"{query}&{body}")), headers, f"{query}{body}", connection)


async def _says_the_time(request: Received, socket: Socket) -> None:
    await says(200, {"serverTime": int(time.time() * 1000)})(request, socket)


@asynccontextmanager
async def fake_venue() -> AsyncIterator[FakeVenue]:
    venue = FakeVenue()
    venue.on("GET", "/api/v3/exchangeInfo", says(200, EXCHANGE_INFO))
    venue.on("GET", "/api/v3/time", _says_the_time)
    venue.on("GET", "/api/v3/account", says(200, {"uid": 354937868, "accountType": "SPOT", "balances": []}))
    server = await asyncio.start_server(venue.serve, "127.0.0.1", 0)
    application = web.Application()
    application.router.add_get("/ws-api/v3", venue.serve_stream)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    venue.rest = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    venue.websocket = f"ws://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield venue
    finally:
        server.close()
        await runner.cleanup()
