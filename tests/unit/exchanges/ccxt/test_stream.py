"""The private stream against a scripted socket: what goes before what. Over a real one: tests/contract/test_ccxt_stream.py."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import asynccontextmanager
from types import SimpleNamespace

import aiohttp

from exchange_kernel.exchanges.ccxt.dialect import Said, StreamDialect
from exchange_kernel.exchanges.ccxt.stream import PrivateStream, StreamTiming
from exchange_kernel.exchanges.port import Gap, OrderUpdate
from tests.builders import a_report


class ScriptedSocket:
    """Has all it will ever say at once; then it is silent."""

    def __init__(self, *messages: str) -> None:
        self._messages = deque(messages)

    async def send_str(self, text: str) -> None: ...

    async def receive(self) -> aiohttp.WSMessage:
        if not self._messages:
            await asyncio.Event().wait()
        return aiohttp.WSMessage(aiohttp.WSMsgType.TEXT, self._messages.popleft(), None)


async def test_what_a_fact_makes_be_done_goes_before_the_next_message():
    told: list[str] = []

    def read(document, markets):
        told.append(f"read {document['number']}")
        return Said("1", None) if document["number"] == 0 else OrderUpdate(a_report())

    @asynccontextmanager
    async def ws_connect(url, **_):
        yield ScriptedSocket(*(f'{{"number": {number}}}' for number in range(3)))

    async def ready():
        return None

    async def act(number: int, hops: int = 4) -> None:
        """As a wake-up is handed on to whoever sends: from task to task."""
        if hops:
            await asyncio.create_task(act(number, hops - 1))
        else:
            told.append(f"sent {number}")

    dialect = StreamDialect(url=(), weight=1, subscribe=lambda ccxt, number: {}, heartbeat=lambda number: {}, read=read)
    stream = PrivateStream(
        dialect, None, SimpleNamespace(ws_connect=ws_connect), "", SimpleNamespace(stamp=lambda: 1), StreamTiming(), time_refusals=None, markets=dict, prepare=ready)
    facts = stream.facts()
    assert await anext(facts) is Gap.SUBSCRIBED
    for number in (1, 2):
        assert isinstance(await anext(facts), OrderUpdate)
        await act(number)
    await facts.aclose()
    assert told == ["read 0", "read 1", "sent 1", "read 2", "sent 2"]
