"""The one adapter for every real exchange: a dialect says what to ask, ccxt signs, the wire writes, `outcomes.py` says what the answer proves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

from exchange_kernel.core.answers import Unreachable
from exchange_kernel.exchanges.ccxt.budget import Budget, Granted, Priority
from exchange_kernel.exchanges.ccxt.dialect import Dialect
from exchange_kernel.exchanges.ccxt.outcomes import BUSY
from exchange_kernel.exchanges.ccxt.reads import Reads
from exchange_kernel.exchanges.ccxt.sends import Sends
from exchange_kernel.exchanges.ccxt.stream import PrivateStream, StreamTiming
from exchange_kernel.exchanges.ccxt.wire import open_session
from exchange_kernel.exchanges.port import Gap, StreamFact

#: How often an account is swept whose private stream we don't read.
SWEPT_EVERY_S = 15.0


class CcxtExchange(Sends, Reads):
    """`port.Exchange` for one account at one venue that ccxt knows."""

    def __init__(self, dialect: Dialect, ccxt: Any, *, ca_pem: bytes | None, requests_per_second: float | None, cancel_reserve_percent: int,
                 proxy: str | None = None, stream_timing: StreamTiming | None = None) -> None:
        """To be made where an event loop runs. `ccxt` is an instance of `wire.wired(...)` with its addresses and credentials set."""
        super().__init__(dialect, ccxt, open_session(ca_pem, proxy), Budget(
            dialect.limit, timer=asyncio.get_running_loop(), requests_per_second=requests_per_second, cancel_reserve_percent=cancel_reserve_percent))
        self._stream_timing = stream_timing or StreamTiming()

    async def stream(self) -> AsyncGenerator[StreamFact, None]:
        dialect = self._dialect.stream
        if dialect is None:
            async for gap in self._swept():
                yield gap
            return
        url: Any = self._ccxt.urls["api"]
        for name in dialect.url:
            url = url[name]
        stream = PrivateStream(dialect, self._ccxt, self._http, url, self._time, self._stream_timing, time_refusals=self._dialect.words.time,
                               markets=lambda: self._by_id, prepare=self._ready_to_stream)
        self._streams.add(stream)
        try:
            if not self._closed:
                async for fact in stream.facts():
                    yield fact
        finally:
            self._streams.discard(stream)

    async def _swept(self) -> AsyncGenerator[StreamFact, None]:
        """Without a private stream that we read: a gap from time to time, so that the account is swept over REST."""
        yield Gap.SUBSCRIBED
        while not self._closed:
            await asyncio.sleep(SWEPT_EVERY_S)
            yield Gap.SUBSCRIBED

    async def _ready_to_stream(self) -> Unreachable | None:
        """Known markets, a known time and a turn in the budget, or what is missing."""
        for needed in (await self.markets(), await self._now()):
            if isinstance(needed, Unreachable):
                return needed
        assert self._dialect.stream is not None
        turn = await self._budget.turn(self._dialect.stream.weight, Priority.LOOKUP)
        return None if isinstance(turn, Granted) else Unreachable(BUSY, turn.seconds)

    async def close(self) -> None:
        """Let what is written find its answer, write nothing more, and leave no task behind."""
        self._closed = True
        self._budget.close()
        for wire in self._under_way:
            wire.abandoned = True
        for stream in list(self._streams):
            await stream.close()
        if self._calls:
            await asyncio.wait(self._calls)          # each ends with its own timeout
        await self._http.close()
