"""The private stream: our own socket, ccxt signing only. Every event is read once, in order, and every hole is said (`Gap`).

ccxt.pro keeps a cache that a reader polls; what comes between two polls is gone. Here each message becomes a fact in a queue before the next is read.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

import aiohttp
import orjson

from exchange_kernel.core.answers import Unreachable
from exchange_kernel.exchanges.ccxt.bounds import EVENT
from exchange_kernel.exchanges.ccxt.dialect import AllowList, Markets, Said, StreamDialect, StreamEnded, StreamEvent
from exchange_kernel.exchanges.ccxt.parsing import Unreadable, strictly
from exchange_kernel.exchanges.ccxt.printable import printable
from exchange_kernel.exchanges.ccxt.wire import STAMP, json_or_none
from exchange_kernel.exchanges.port import Closed, Gap, OrderUpdate, StreamFact

log = logging.getLogger(__name__)

TURNS = 6  # of the event loop, in which a fact makes its way to the cancel that it asks for: the next message may wait as long


#: Events that are read at once, how many a second after them, and how many wait for their reader. An account may send 10 to 100 orders a second.
BURST, EVENTS_PER_S, MAX_WAITING = 2000, 500, 5000


@dataclass(frozen=True, slots=True)
class StreamTiming:
    heartbeat_s: float = 10.0       # without a message for so long, we ask; without an answer for as long again, the stream is silent
    first_retry_s: float = 0.2      # doubled after each failure
    last_retry_s: float = 30.0


class Time(Protocol):
    """The venue's time, to sign with."""

    def stamp(self) -> int | Closed: ...

    def forget(self) -> None: ...


class PrivateStream:
    """One reader's stream; lives until its reader leaves, or `close`."""

    def __init__(self, dialect: StreamDialect, ccxt: Any, http: aiohttp.ClientSession, url: str, time: Time, timing: StreamTiming, *,
                 time_refusals: AllowList, markets: Callable[[], Markets], prepare: Callable[[], Awaitable[Unreachable | None]]) -> None:
        """`prepare` is awaited before each connection; `markets` is asked for each event, for they may be loaded anew meanwhile."""
        self._dialect = dialect
        self._ccxt = ccxt
        self._http = http
        self._url = url
        self._time = time
        self._timing = timing
        self._time_refusals = time_refusals
        self._markets = markets
        self._prepare = prepare
        self._facts: asyncio.Queue[StreamFact | None] = asyncio.Queue()
        self._requests = 0
        self._room = asyncio.Event()           # set once the reader caught up
        self._allowance, self._paced_at = float(BURST), 0.0
        self._connecting: asyncio.Task[None] | None = None

    def put(self, fact: StreamFact) -> None:
        self._facts.put_nowait(fact)

    async def facts(self) -> AsyncIterator[StreamFact]:
        self._connecting = asyncio.create_task(self._stay_connected())
        try:
            while (fact := await self._facts.get()) is not None:
                if self._facts.qsize() < MAX_WAITING // 2:
                    self._room.set()
                yield fact
        finally:
            await self.close()

    async def close(self) -> None:
        """Hang up; the reader still gets what was heard before."""
        self._facts.put_nowait(None)
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.wait([self._connecting])

    async def _stay_connected(self) -> None:
        retry_s = self._timing.first_retry_s
        while True:
            lived = False
            try:
                lived = await self._one_connection()
            except (aiohttp.ClientError, OSError, TimeoutError):
                log.info("the private stream could not be opened")
            except Exception as error:         # its text may hold an address
                log.error("the private stream failed with %s", type(error).__name__)
            retry_s = self._timing.first_retry_s if lived else min(retry_s * 2, self._timing.last_retry_s)
            await asyncio.sleep(retry_s * random.uniform(0.5, 1))

    async def _one_connection(self) -> bool:
        """From dialling to the end of one connection; whether it was ever subscribed. Every way out of a subscription tells its gap."""
        if (missing := await self._prepare()) is not None:
            log.info("the private stream waits: %s", missing.reason)
            return False
        async with self._http.ws_connect(self._url, timeout=aiohttp.ClientWSTimeout(ws_close=1.0), max_msg_size=EVENT.size) as socket:
            if not await self._subscribed(socket):
                return False
            gap = Gap.DISCONNECTED
            try:
                gap = await self._read(socket)
            finally:
                self.put(gap)
            return True

    async def _subscribed(self, socket: aiohttp.ClientWebSocketResponse) -> bool:
        stamp = self._time.stamp()
        if isinstance(stamp, Closed):
            return False
        request_id = self._next_id()
        token = STAMP.set(stamp)
        try:
            request = self._dialect.subscribe(self._ccxt, request_id)
        finally:
            STAMP.reset(token)
        await socket.send_str(orjson.dumps(request).decode())
        early: list[StreamFact] = []           # events may overtake the answer
        async with asyncio.timeout(self._timing.heartbeat_s):
            while True:
                message = await socket.receive()
                if message.type is not aiohttp.WSMsgType.TEXT:
                    return False
                match self._event(message.data):
                    case Said(request_id=said, error=None) if said == request_id:
                        self.put(Gap.SUBSCRIBED)
                        for fact in early:
                            self.put(fact)
                        return True
                    case Said(request_id=said, error=(code, text)) if said == request_id:
                        log.warning("the venue refused the subscription to the private stream with error %s", printable(code))
                        if self._time_refusals.has(code, text):
                            self._time.forget()
                        return False
                    case OrderUpdate() | Gap() as fact:
                        early.append(fact)
                    case StreamEnded():
                        return False

    async def _read(self, socket: aiohttp.ClientWebSocketResponse) -> Gap:
        """Read until the end of the connection; why it ended."""
        asked = False
        while True:
            heard_at = asyncio.get_running_loop().time()
            try:
                # Around the venue's own pings too, which a dead application behind its gateway may go on sending.
                async with asyncio.timeout_at(heard_at + self._timing.heartbeat_s):
                    message = await socket.receive()
            except TimeoutError:
                if asked:
                    return Gap.SILENT
                asked = True
                await socket.send_str(orjson.dumps(self._dialect.heartbeat(self._next_id())).decode())
                continue
            if message.type is not aiohttp.WSMsgType.TEXT:
                return Gap.DISCONNECTED
            asked = False
            await self._pace()
            match self._event(message.data):
                case OrderUpdate() | Gap() as fact:
                    self.put(fact)
                    for _ in range(TURNS):
                        await asyncio.sleep(0)
                case StreamEnded():
                    return Gap.DISCONNECTED

    async def _pace(self) -> None:
        """Leave in the socket what comes faster than anybody's orders change, or than its reader takes it in: the venue's end of it waits."""
        now = asyncio.get_running_loop().time()
        self._allowance = min(float(BURST), self._allowance + (now - self._paced_at) * EVENTS_PER_S) - 1
        self._paced_at = now
        if self._allowance < 0:
            await asyncio.sleep(-self._allowance / EVENTS_PER_S)
        if self._facts.qsize() > MAX_WAITING:
            self._room.clear()
            await self._room.wait()

    def _event(self, content: str) -> StreamEvent | Gap | None:
        try:
            return strictly(self._dialect.read, json_or_none(content), self._markets())
        except Unreadable as problem:
            log.warning("an event of the private stream can't be read: %s", problem)
            return Gap.UNREADABLE

    def _next_id(self) -> str:
        self._requests += 1
        return str(self._requests)
