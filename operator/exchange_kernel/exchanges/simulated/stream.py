"""The websocket API at /ws-api/v3, as far as the private stream needs it. Source: binance-spot-api-docs, web-socket-api.md and user-data-stream.md."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from typing import Any

import orjson
from aiohttp import WSCloseCode, WSMsgType, web

from exchange_kernel.exchanges.simulated.accounts import Account
from exchange_kernel.exchanges.simulated.errors import VenueError, already_subscribed, bad_json, not_subscribed, unsupported_operation
from exchange_kernel.exchanges.simulated.exchange import SimulatedExchange
from exchange_kernel.exchanges.simulated.faults import Lane, Network
from exchange_kernel.exchanges.simulated.order_lists import ListReport
from exchange_kernel.exchanges.simulated.orders import ZERO, ExecutionType, Order, Rejection, Report
from exchange_kernel.exchanges.simulated.parameters import Parameters
from exchange_kernel.exchanges.simulated.render import Document, money

CONNECT_WEIGHT = 2
PING_EVERY_S = 20.0
CLOSE_WITHIN_S = 1.0
HELD_S = 0.2            # how long an event waits to be overtaken


class Streams:
    """All connections, for what happens to all of them at once."""

    def __init__(self, exchange: SimulatedExchange) -> None:
        self._exchange = exchange
        self._connections: set[Connection] = set()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self._exchange.requests.seen(f"GET {request.path}", CONNECT_WEIGHT)
        if self._exchange.faults.network is not Network.OPEN:
            await self._exchange.faults.until_lifted()
            raise web.HTTPServiceUnavailable
        try:
            self._exchange.weight_limit.charge(CONNECT_WEIGHT)
        except VenueError as refused:
            return web.Response(status=refused.status, body=orjson.dumps(refused.document()), headers=refused.headers, content_type="application/json")
        socket = web.WebSocketResponse(autoping=False, timeout=CLOSE_WITHIN_S, compress=False)
        await socket.prepare(request)
        connection = Connection(self._exchange, socket, request.transport)
        self._connections.add(connection)
        try:
            await connection.run()
        finally:
            self._connections.discard(connection)
        return socket

    def disconnect(self) -> None:
        """As when the network drops them: without a goodbye."""
        for connection in self._connections:
            connection.abort()

    def terminate(self) -> None:
        """All subscriptions end, and say so; the connections stay."""
        for connection in self._connections:
            connection.unsubscribe(None)

    async def close(self) -> None:
        await asyncio.gather(*(connection.close() for connection in self._connections))


class Connection:
    def __init__(self, exchange: SimulatedExchange, socket: web.WebSocketResponse, transport: asyncio.Transport | None) -> None:
        self._exchange = exchange
        self._socket = socket
        self._transport = transport
        self._outbox: asyncio.Queue[bytes] = asyncio.Queue()
        self._subscriptions: dict[int, Subscription] = {}
        self._subscription_ids = count()
        self._methods: dict[str, tuple[int, Callable[[Parameters, str], Any]]] = {
            "ping": (1, self._ping),
            "time": (1, self._time),
            "session.subscriptions": (2, self._list),
            "userDataStream.subscribe.signature": (2, self._subscribe),
            "userDataStream.unsubscribe": (2, self._unsubscribe),
        }

    async def run(self) -> None:
        tasks = [asyncio.create_task(self._write()), asyncio.create_task(self._ping_regularly())]
        try:
            async for message in self._socket:
                if message.type not in (WSMsgType.PING, WSMsgType.TEXT):
                    continue
                if self._exchange.faults.mute:
                    self._exchange.requests.seen("WS unanswered", 0)
                elif message.type is WSMsgType.PING:
                    await self._socket.pong(message.data)
                else:
                    self.send(self._answer(message.data))
        finally:
            for subscription in self._subscriptions.values():
                subscription.close()
            for task in tasks:
                task.cancel()

    def send(self, document: Document) -> None:
        self._outbox.put_nowait(orjson.dumps(document))

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    async def close(self) -> None:
        """In order, after the venue's word for it. [web-socket-api.md, Server Shutdown]"""
        with suppress(ConnectionError):
            await self._socket.send_json({"event": {"e": "serverShutdown", "E": self._exchange.clock.now_ms()}})
        await self._socket.close(code=WSCloseCode.GOING_AWAY)

    def unsubscribe(self, subscription_id: int | None) -> None:
        """One, or all. The last event of each says that it was."""
        for one in [subscription_id] if subscription_id is not None else list(self._subscriptions):
            subscription = self._subscriptions.pop(one)
            subscription.close()
            subscription.push({"e": "eventStreamTerminated", "E": self._exchange.clock.now_ms()})

    async def _ping_regularly(self) -> None:
        """[web-socket-api.md, General API Information]. Who doesn't answer is not disconnected here."""
        while True:
            await asyncio.sleep(PING_EVERY_S)
            if not self._exchange.faults.mute:
                with suppress(ConnectionError):
                    await self._socket.ping()

    async def _write(self) -> None:
        while True:
            message = await self._outbox.get()
            try:
                await self._socket.send_frame(message, WSMsgType.TEXT)
            except ConnectionError:
                return

    # ── Requests ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _answer(self, text: str) -> Document:
        request_id: Any = None
        try:
            try:
                request = orjson.loads(text)
                request_id, method, params = request.get("id"), str(request["method"]), request.get("params") or {}
                pairs = [(str(name), _plain(value)) for name, value in params.items()]
            except (orjson.JSONDecodeError, AttributeError, KeyError):
                raise bad_json() from None
            weight, act = self._methods.get(method, (1, None))
            self._exchange.requests.seen(f"WS {method}", weight)
            self._exchange.weight_limit.charge(weight)
            if act is None:
                raise unsupported_operation()
            signed = "&".join(f"{name}={value}" for name, value in sorted(pairs) if name != "signature")
            answer: Document = {"id": request_id, "status": 200, "result": act(Parameters(pairs), signed)}
        except VenueError as refused:
            answer = {"id": request_id, "status": refused.status, "error": refused.document()}
        limit = self._exchange.weight_limit
        return {**answer, "rateLimits": [{**limit.document(), "count": limit.used}]}

    def _ping(self, parameters: Parameters, signed: str) -> Any:
        parameters.finish()
        return {}

    def _time(self, parameters: Parameters, signed: str) -> Any:
        parameters.finish()
        return {"serverTime": self._exchange.clock.now_ms()}

    def _list(self, parameters: Parameters, signed: str) -> Any:
        parameters.finish()
        return [{"subscriptionId": one} for one in self._subscriptions]

    def _subscribe(self, parameters: Parameters, signed: str) -> Any:
        caller = self._exchange.keys.admit(parameters.optional("apiKey"), signed, parameters)
        parameters.finish()
        if any(subscription.account is caller.account for subscription in self._subscriptions.values()):
            raise already_subscribed()
        subscription = Subscription(self._exchange, self, caller.account, next(self._subscription_ids))
        self._subscriptions[subscription.subscription_id] = subscription
        return {"subscriptionId": subscription.subscription_id}

    def _unsubscribe(self, parameters: Parameters, signed: str) -> Any:
        subscription_id = parameters.optional_integer("subscriptionId")
        parameters.finish()
        if not self._subscriptions or (subscription_id is not None and subscription_id not in self._subscriptions):
            raise not_subscribed()
        self.unsubscribe(subscription_id)
        return {}


class Subscription:
    """One account's events on one connection: a listener of the engine."""

    def __init__(self, exchange: SimulatedExchange, connection: Connection, account: Account, subscription_id: int) -> None:
        self.account = account
        self.subscription_id = subscription_id
        self._exchange = exchange
        self._connection = connection
        self._lane = Lane()
        account.listeners.append(self)

    def close(self) -> None:
        if self in self.account.listeners:
            self.account.listeners.remove(self)

    def push(self, event: Document, *, trade: bool = False) -> None:
        faults = self._exchange.faults
        for arrives in faults.told(self._lane, event, trade=trade):
            late_ms = faults.stream.late_ms if trade or not faults.stream.trades_only else 0
            self._send(arrives, late_ms)
        if self._lane.held:
            asyncio.get_running_loop().call_later(HELD_S, self._release)

    def _send(self, event: Document, late_ms: int) -> None:
        message = {"subscriptionId": self.subscription_id, "event": event}
        if late_ms:
            asyncio.get_running_loop().call_later(late_ms / 1000, self._connection.send, message)
        else:
            self._connection.send(message)

    def _release(self) -> None:
        """Nothing came to overtake it."""
        for event in self._exchange.faults.overtaken(self._lane):
            self._send(event, 0)

    def reported(self, report: Report) -> None:
        self._exchange.timeline.note(f"WS {report.kind}", report.client_order_id)
        self.push(execution_report(report, self._exchange.clock.now_ms()), trade=report.kind is ExecutionType.TRADE)

    def rejected(self, rejection: Rejection) -> None:
        self.push(rejected_report(rejection, self._exchange.clock.now_ms()))

    def list_reported(self, report: ListReport) -> None:
        self.push(list_status(report, self._exchange.clock.now_ms()))

    def balances_changed(self, account: Account, assets: set[str], time: int) -> None:
        self.push({
            "e": "outboundAccountPosition", "E": self._exchange.clock.now_ms(), "u": time,
            "B": [
                {"a": asset, "f": money(account.balances[asset].free), "l": money(account.balances[asset].locked)} for asset in sorted(assets)
            ],
        })


# ── Events ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

def execution_report(report: Report, now: int) -> Document:
    order, execution = report.order, report.execution
    event: Document = {
        "e": "executionReport", "E": now, "s": order.symbol.name, "c": report.client_order_id, "S": order.side, "o": order.type,
        "f": order.time_in_force, "q": money(order.quantity), "p": money(order.price), "P": money(order.stop_price or ZERO),
        "F": money(ZERO), "g": order.list_id, "C": report.original, "x": report.kind, "X": order.status, "r": "NONE", "i": order.order_id,
        "l": money(execution.quantity if execution else ZERO), "z": money(order.executed), "L": money(execution.price if execution else ZERO),
        "n": money(execution.commission) if execution else "0", "N": execution.commission_asset if execution else None, "T": report.time,
        "t": execution.trade_id if execution else -1, "I": report.report_id, "w": _works(order), "m": execution.is_maker if execution else False,
        "M": False, "O": order.time, "Z": money(order.cumulative_quote), "Y": money(execution.quote_quantity if execution else ZERO),
        "Q": money(order.quote_quantity), "V": order.self_trade_prevention,
    }
    if order.working_time is not None:
        event["W"] = order.working_time
    if order.trailing_delta is not None:
        event["d"], event["D"] = order.trailing_delta, -1 if order.trailing_time is None else order.trailing_time
    if (match := order.prevented) is not None:
        event |= {
            "v": match.match_id, "A": money(order.remaining), "B": money(order.remaining), "u": -1, "Cs": order.symbol.name,
            "U": match.maker_order_id if order.order_id == match.taker_order_id else match.taker_order_id,
            "pl": money(match.quantity), "pL": money(match.price), "pY": money(match.quantity * match.price),
        }
    if order.expiry_reason is not None:
        event["eR"] = order.expiry_reason
    return event


def rejected_report(rejection: Rejection, now: int) -> Document:
    new = rejection.new
    return {
        "e": "executionReport", "E": now, "s": new.symbol.name, "c": new.client_order_id or "", "S": new.side, "o": new.type,
        "f": new.time_in_force, "q": money(new.quantity or ZERO), "p": money(new.price or ZERO), "P": money(new.stop_price or ZERO), "F": money(ZERO), "g": -1,
        "C": "", "x": "REJECTED", "X": "REJECTED", "r": rejection.reason, "i": -1, "l": money(ZERO), "z": money(ZERO), "L": money(ZERO),
        "n": "0", "N": None, "T": rejection.time, "t": -1, "I": rejection.report_id, "w": False, "m": False, "M": False, "O": rejection.time,
        "Z": money(ZERO), "Y": money(ZERO), "Q": money(new.quote_quantity or ZERO), "V": "NONE",
    }


def list_status(report: ListReport, now: int) -> Document:
    of = report.order_list
    return {
        "e": "listStatus", "E": now, "s": of.symbol.name, "g": of.list_id, "c": of.contingency, "l": report.status,
        "L": "EXECUTING" if of.open else "ALL_DONE", "r": "NONE", "C": of.client_order_id, "T": report.time,
        "O": [{"s": of.symbol.name, "i": order.order_id, "c": order.client_order_id} for order in of.orders],
    }


def _works(order: Order) -> bool:
    return order.status.open and order.limit is not None and not order.waits


def _plain(value: Any) -> str:
    """JSON values as they are signed."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
