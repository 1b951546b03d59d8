"""The way to the wire: each request gets its turn in the budget, is written once, and whatever happens to it is a Reply."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import replace
from typing import Any

import aiohttp

from exchange_kernel.core.answers import Unreachable
from exchange_kernel.core.venue import Capabilities
from exchange_kernel.exchanges.ccxt.aside import aside
from exchange_kernel.exchanges.ccxt.bounds import LIST, LOOKUP, SLICE
from exchange_kernel.exchanges.ccxt.budget import Budget, Granted, Priority
from exchange_kernel.exchanges.ccxt.dialect import Call, Dialect
from exchange_kernel.exchanges.ccxt.outcomes import BUSY, GARBAGE, TOO_LARGE, UNSIGNED, Answered, Reply, Silence, VenueError, reply, unreachable
from exchange_kernel.exchanges.ccxt.parsing import Unreadable, strictly
from exchange_kernel.exchanges.ccxt.share import Share
from exchange_kernel.exchanges.ccxt.wire import CALL, Answer, CannotSign, WireCall, copied
from exchange_kernel.exchanges.port import ClockReading, Closed

log = logging.getLogger(__name__)

TOLD_A_MINUTE = 20

#: How long a list waits for the account's share; beyond, its caller asks again in its own time.
PATIENCE_S = 5.0

CLOSED = "the connection to the exchange is closed"


class VenueTime:
    """The venue's time as estimated from the last clock reading: what reads are signed with. Sends are signed with their own clearance."""

    def __init__(self) -> None:
        self._reading: ClockReading | None = None

    def read(self, reading: ClockReading) -> None:
        self._reading = reading

    def forget(self) -> None:
        """The venue refused our time: ask it again before the next signature."""
        self._reading = None

    @property
    def known(self) -> bool:
        return self._reading is not None

    def stamp(self) -> int | Closed:
        """Never ahead of the venue, and behind it by a round trip at most."""
        if (reading := self._reading) is None:
            return Closed("the venue's time is not known")
        return reading.venue_time_ms + int((time.monotonic() - reading.received_at) * 1000)

    def check(self, stamp: int) -> Closed | None:
        return None


class Link:
    def __init__(self, dialect: Dialect, ccxt: Any, http: aiohttp.ClientSession, budget: Budget) -> None:
        """To be made where an event loop runs. `ccxt` is an instance of `wire.wired(...)` with its addresses and credentials set."""
        self._dialect = dialect
        self._ccxt = ccxt
        self._http = ccxt.http = http
        self._budget = budget
        self._share = Share()
        self._time = VenueTime()
        self._in_turn = asyncio.Lock()                   # where requests are numbered
        self._under_way: set[WireCall] = set()
        self._closed = False
        self._slowed_told = -60.0
        self._told_since, self._told = -60.0, 0          # entries that were logged in this minute
        self.unreadable_entries = 0                      # entries of answers that could not be read, since this adapter was opened

    @property
    def capabilities(self) -> Capabilities:
        return self._dialect.capabilities

    async def clock(self) -> ClockReading | Unreachable:
        wire = WireCall(None)
        answer = await self._ask(self._dialect.clock, wire, Priority.LOOKUP)
        received_at = time.monotonic()
        if not isinstance(answer, Answered):
            return unreachable(answer)
        try:
            reading = ClockReading(strictly(self._dialect.read_clock, answer.document), wire.written_at, received_at)
        except Unreadable:
            return unreachable(answer)
        self._time.read(reading)
        return reading

    async def _now(self) -> int | Unreachable:
        if not self._time.known and isinstance(reading := await self.clock(), Unreachable):
            return reading
        stamp = self._time.stamp()
        return stamp if isinstance(stamp, int) else Unreachable(stamp.reason)

    async def _read(self, call: Call, priority: Priority) -> Reply:
        if isinstance(now := await self._now(), Unreachable):
            return Silence(False, now.reason, now.retry_after_s)
        return await self._ask(call, WireCall(self._time, cap=LIST if priority is Priority.LISTING else LOOKUP), priority)

    async def _ask(self, call: Call, wire: WireCall, priority: Priority) -> Reply:
        """One request: its turn in the budget, then the wire. Whatever happens is a Reply; only the caller's cancellation is raised."""
        wire.share = self._share
        if priority is Priority.LISTING and not await self._share_is_left():
            return Silence(False, TOO_LARGE)
        turn = await self._budget.turn(call.weight, priority)
        if self._closed:
            return Silence(False, CLOSED)
        if not isinstance(turn, Granted):
            return Silence(False, BUSY, turn.seconds)
        wire.stamped, wire.headers = call.stamped, call.headers
        try:
            if wire.clearance is None or not self._dialect.one_at_a_time:
                return await self._written(call, wire)
            async with self._in_turn:
                return Silence(False, CLOSED) if self._closed else await self._written(call, wire)
        finally:
            if not wire.written:
                self._budget.give_back(call.weight)

    async def _share_is_left(self) -> bool:
        """Whether a list may be asked for, after a short wait if need be: what the last ones took is not to be seen in others' orders (rule 14)."""
        if (wait := self._share.used_up_s) > PATIENCE_S:
            if (now := time.monotonic()) >= self._slowed_told + 60:
                self._slowed_told = now
                log.warning("lists of %s are not read for %.0f s: %s", self._dialect.exchange_id, wait, TOO_LARGE)
            return False
        if wait:
            await asyncio.sleep(wait)
        return True

    async def _written(self, call: Call, wire: WireCall) -> Reply:
        token = CALL.set(wire)
        self._under_way.add(wire)
        try:
            await self._ccxt.request(call.path, list(call.api), call.method, copied(call.params))
        except Exception as error:
            if wire.answer is None:
                return self._silence(wire, error)
            wire.answer = replace(wire.answer, disowned=True)
        finally:
            self._under_way.discard(wire)
            CALL.reset(token)
        return await self._extracted(self._heard(wire.answer), call, wire)

    async def _extracted(self, said: Reply, call: Call, wire: WireCall) -> Reply:
        """What is to be read, where it lies inside of the answer."""
        if call.extract is None or wire.answer is None or not isinstance(said, Answered):
            return said
        try:
            if wire.read > SLICE:
                return Answered(await aside(self._share, strictly, call.extract, wire.answer))
            return Answered(strictly(call.extract, wire.answer))
        except Unreadable as problem:
            self._count_unreadable("an answer", problem)
            return Silence(True, GARBAGE)

    def _silence(self, wire: WireCall, error: Exception) -> Silence:
        """No answer. The error's text is never used: it may hold the address, and with it a signature."""
        if wire.shut is not None:
            return Silence(wire.written, wire.shut.reason)
        if isinstance(error, CannotSign):
            log.error("a request to %s can't be signed: %s", self._dialect.exchange_id, error)     # its kind alone
            return Silence(False, UNSIGNED)
        if not isinstance(error, aiohttp.ClientError | TimeoutError | OSError):
            log.error("a request to %s failed with %s", self._dialect.exchange_id, type(error).__name__)      # a bug, of ours or of ccxt
            return Silence(wire.written, "the request could not be made")
        if not wire.written:
            return Silence(False, _unconnected(error))
        return Silence(True, "no answer came in time" if isinstance(error, TimeoutError) else "the connection was lost before the answer")

    def _heard(self, answer: Answer | None) -> Reply:
        if answer is None:
            return Silence(True, "no answer came")
        try:
            used, said = strictly(self._dialect.read_used_weight, answer.headers), strictly(reply, answer, self._dialect)
        except Unreadable as problem:
            self._count_unreadable("an answer", problem)
            used, said = None, Silence(True, GARBAGE, answered=True)
        if used is not None:
            self._budget.heard(used)
        if not isinstance(said, Answered) and said.retry_after_s is not None:
            self._budget.stay_away(said.retry_after_s)
        if isinstance(said, VenueError) and said.definite and self._dialect.words.time.has(said.code, said.message):
            self._time.forget()
        return said

    def _count_unreadable(self, where: str, problem: Exception) -> None:
        """Count it, and tell the first ones of each minute: a page may have thousands."""
        self.unreadable_entries += 1
        if (now := time.monotonic()) >= self._told_since + 60:
            self._told_since, self._told = now, 0
        self._told += 1
        if self._told <= TOLD_A_MINUTE:
            why = problem if isinstance(problem, Unreadable) else type(problem).__name__
            log.warning("an entry of %s of %s can't be read: %s", where, self._dialect.exchange_id, why)


def _unconnected(error: Exception) -> str:
    """Return why there is no connection. A proxy is named without its user and password."""
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return f"the proxy refused to connect to the exchange (HTTP {error.status})"
    if isinstance(error, aiohttp.ClientProxyConnectionError):
        return f"the proxy {error.host}:{error.port} could not be reached"
    return "no connection could be made"
