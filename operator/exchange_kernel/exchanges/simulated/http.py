"""The REST face: one straight way for every request, and the faults along it. What endpoints do is in `rest.py`."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import orjson
from aiohttp import web

from exchange_kernel.exchanges.simulated.errors import VenueError
from exchange_kernel.exchanges.simulated.exchange import SimulatedExchange
from exchange_kernel.exchanges.simulated.faults import Network, RequestClass, RequestFault
from exchange_kernel.exchanges.simulated.lies import fill_first, pretended_cancel
from exchange_kernel.exchanges.simulated.parameters import Parameters
from exchange_kernel.exchanges.simulated.rest import ENDPOINTS, Public, Signed
from exchange_kernel.exchanges.simulated.security import Caller, unsigned

#: By method and the last part of a path: of Binance's APIs, whatever their prefix and version are, and of Gate's.
CLASSES = {
    ("POST", "order"): RequestClass.SUBMIT, ("POST", "cancelReplace"): RequestClass.REPLACE, ("PUT", "keepPriority"): RequestClass.AMEND,
    ("PUT", "order"): RequestClass.AMEND, ("DELETE", "order"): RequestClass.CANCEL, ("GET", "order"): RequestClass.LOOKUP,
    ("GET", "openOrders"): RequestClass.OPEN_ORDERS, ("GET", "allOrders"): RequestClass.ORDERS, ("GET", "myTrades"): RequestClass.TRADES,
    ("POST", "oco"): RequestClass.SUBMIT_LIST, ("POST", "oto"): RequestClass.SUBMIT_LIST, ("POST", "otoco"): RequestClass.SUBMIT_LIST,
    ("DELETE", "orderList"): RequestClass.CANCEL_LIST, ("GET", "orderList"): RequestClass.LOOKUP_LIST,
    ("GET", "userTrades"): RequestClass.TRADES, ("GET", "account"): RequestClass.ACCOUNT, ("GET", "exchangeInfo"): RequestClass.MARKETS,
    ("GET", "time"): RequestClass.CLOCK,
    ("POST", "orders"): RequestClass.SUBMIT, ("GET", "orders"): RequestClass.OPEN_ORDERS, ("GET", "orders_timerange"): RequestClass.ORDERS,
    ("GET", "my_trades"): RequestClass.TRADES, ("GET", "my_trades_timerange"): RequestClass.TRADES, ("GET", "accounts"): RequestClass.ACCOUNT,
    ("GET", "contracts"): RequestClass.MARKETS,
}

#: … and by the last part but one, where an order's id is the last.
CLASSES_OF_ONE = {
    ("GET", "orders"): RequestClass.LOOKUP, ("DELETE", "orders"): RequestClass.CANCEL, ("PUT", "orders"): RequestClass.AMEND,
}

PAGE_OF_HTML = "<html><head><title>502 Bad Gateway</title></head><body><center><h1>502 Bad Gateway</h1></center></body></html>"


@dataclass(slots=True)
class Ask:
    """A request as it came."""

    method: str
    path: str
    payload: str                    # what its signature covers
    pairs: list[tuple[str, str]]
    api_key: str | None
    parameters: Parameters | None = None    # None while, or because, they can't be read
    fault: RequestFault | None = None       # what happens to it

    @property
    def endpoint(self) -> Public | Signed | None:
        return ENDPOINTS.get((self.method, self.path))

    @property
    def client_order_id(self) -> str | None:
        """Of the one order that it is about."""
        return next((value for name, value in self.pairs if name in ("newClientOrderId", "origClientOrderId")), None)


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = "application/json"


class RestFace:
    def __init__(self, exchange: SimulatedExchange) -> None:
        self._exchange = exchange

    async def handle(self, request: web.Request) -> web.StreamResponse:
        ask = self._asked(request, await request.read() if request.body_exists else b"")
        if self._exchange.faults.network is not Network.OPEN:
            self._count(ask)
            return await self._hang(request)
        ask.fault = fault = self._exchange.faults.take(request_class(ask.method, ask.path), ask.method, ask.path, ask.parameters)
        if fault is not None and not fault.takes_effect:
            self._count(ask)
            return await self._reply(request, fault, Answer(200, b""))
        answer = await self._answer(ask, delay_ms=fault.ms if fault is not None and fault.do in ("delay-before", "delay-match") else 0)
        if self._exchange.faults.network is not Network.OPEN:
            return await self._hang(request)
        return _response(answer) if fault is None else await self._reply(request, fault, answer)

    def _asked(self, request: web.Request, body: bytes) -> Ask:
        return _read(request, body)

    async def _answer(self, ask: Ask, *, delay_ms: int) -> Answer:
        """Weight, signature and window, parameters, and then, maybe later and if the window is still open, the act."""
        exchange = self._exchange
        weight = self._count(ask)
        try:
            exchange.weight_limit.charge(weight)
            endpoint = ask.endpoint
            if endpoint is None:
                return Answer(404, b"", self._headers())
            if ask.parameters is None:
                ask.parameters = Parameters(ask.pairs)      # raises what was wrong with them
            caller = exchange.keys.admit(ask.api_key, ask.payload, ask.parameters) if isinstance(endpoint, Signed) else None
            if delay_ms:
                await asyncio.sleep(delay_ms / 1000)
                if caller is not None and (ask.fault is None or ask.fault.do != "delay-match"):
                    caller.check(exchange.clock.now_ms())
            return Answer(200, orjson.dumps(self._act(endpoint, caller, ask.parameters, ask.fault)), self._headers())
        except VenueError as refused:
            return Answer(refused.status, orjson.dumps(refused.document()), {**self._headers(), **refused.headers})

    def _act(self, endpoint: Public | Signed, caller: Caller | None, parameters: Parameters, fault: RequestFault | None) -> Any:
        if isinstance(endpoint, Public):
            return endpoint.answer(self._exchange, parameters)
        assert caller is not None
        if fault is not None and fault.do == "pretend":
            return pretended_cancel(self._exchange, caller.account, parameters)
        if fault is not None and fault.do == "fill-first":
            fill_first(self._exchange, caller.account, parameters, fault.fraction)
        return endpoint.answer(self._exchange, caller.account, parameters)

    def _count(self, ask: Ask) -> int:
        endpoint = ask.endpoint
        weight = 1 if endpoint is None else endpoint.weight if isinstance(endpoint.weight, int) else endpoint.weight(ask.parameters or Parameters(()))
        self._exchange.requests.seen(f"{ask.method} {ask.path}", weight)
        if (named := ask.client_order_id) is not None:
            self._exchange.timeline.note(f"{ask.method} {ask.path}", named)
        return weight

    def _headers(self) -> dict[str, str]:
        return {"X-MBX-USED-WEIGHT-1M": str(self._exchange.weight_limit.used)}

    # ── Faults ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _reply(self, request: web.Request, fault: RequestFault, answer: Answer) -> web.StreamResponse:
        """The answer, or what the fault makes of it."""
        match fault.do:
            case "delay-reply":
                await asyncio.sleep(fault.ms / 1000)
                return _response(answer)
            case "drop-request" | "drop-reply":
                return _dropped(request)
            case "hang":
                return await self._hang(request)
            case "truncate":
                return await _truncated(request, answer)
            case "status":
                body = PAGE_OF_HTML if fault.body is None else fault.body
                kind = "application/json" if body.startswith(("{", "[")) else "text/html"
                return _response(Answer(fault.status or 500, body.encode(), fault.headers, kind))
            case "garbage":
                return _response(Answer(200, (fault.body or PAGE_OF_HTML).encode(), fault.headers, "text/html"))
            case "empty":
                return _response(Answer(200, b"", fault.headers))
            case _:
                return _response(answer)

    async def _hang(self, request: web.Request) -> web.StreamResponse:
        """Never an answer; the connection is dropped once the faults are lifted."""
        await self._exchange.faults.until_lifted()
        return _dropped(request)


def request_class(method: str, path: str) -> RequestClass:
    *_, parent, last = ("", *path.split("/"))
    return CLASSES.get((method, last)) or CLASSES_OF_ONE.get((method, parent), RequestClass.OTHER)


def _read(request: web.Request, body: bytes) -> Ask:
    """Query and form together, where the query wins. [rest-api.md, "General Information on Endpoints"]"""
    path, _, query = request.raw_path.partition("?")
    try:
        form = body.decode("ascii")
    except UnicodeDecodeError:
        form = ""
    pairs = parse_qsl(query, keep_blank_values=True) if query else []
    if form:
        in_query = {name for name, _ in pairs}
        pairs += [pair for pair in parse_qsl(form, keep_blank_values=True) if pair[0] not in in_query]
    ask = Ask(request.method, path, unsigned(query) + unsigned(form), pairs, request.headers.get("X-MBX-APIKEY"))
    try:
        ask.parameters = Parameters(pairs)
    except VenueError:
        ask.parameters = None
    return ask


def _response(answer: Answer) -> web.Response:
    return web.Response(status=answer.status, body=answer.body, headers=answer.headers, content_type=answer.content_type)


def _dropped(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()       # nobody is there to get it


async def _truncated(request: web.Request, answer: Answer) -> web.StreamResponse:
    """The announced length, and half of it."""
    response = web.StreamResponse(status=answer.status, headers={**answer.headers, "Content-Type": answer.content_type})
    response.content_length = len(answer.body)
    await response.prepare(request)
    await response.write(answer.body[: len(answer.body) // 2])
    if request.transport is not None:
        request.transport.close()       # what was written still goes out
    return response
