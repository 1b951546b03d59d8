"""The API client against a server of its own: what it waits for, and for how long."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from email.utils import formatdate

import pytest
from aiohttp import web

from exchange_kernel.kube.client import ApiClient
from exchange_kernel.kube.config import Access
from exchange_kernel.kube.server_time import ServerClock

LIMIT_S = 1.5


@asynccontextmanager
async def a_client(monkeypatch: pytest.MonkeyPatch, answer: Callable[[web.Request], Awaitable[web.StreamResponse]], connections: int, clock: ServerClock | None = None) -> AsyncIterator[ApiClient]:
    monkeypatch.setattr("exchange_kernel.kube.client.TIMEOUT_S", LIMIT_S)
    server = web.Server(answer)
    runner = web.ServerRunner(server, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0]
    try:
        async with ApiClient(Access(f"http://{host}:{port}", None, lambda: None), connections=connections, clock=clock) as client:
            yield client
    finally:
        await runner.cleanup()


async def test_what_waits_for_a_connection_is_not_given_up_unsent(monkeypatch):
    """Three requests of one connection, each answered in time: together they take longer than one may."""
    async def slow(request: web.BaseRequest) -> web.Response:
        await asyncio.sleep(LIMIT_S / 2)
        return web.json_response({})

    async with a_client(monkeypatch, slow, connections=1) as client:
        answers = await asyncio.gather(*(client.get("/") for _ in range(4)))
    assert [answer.status for answer in answers] == [200] * 4


async def test_an_answer_that_does_not_come_is_none(monkeypatch):
    async def silent(request: web.BaseRequest) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError("never")

    async with a_client(monkeypatch, silent, connections=2) as client:
        answer = await client.patch("/", {})
    assert (answer.status, answer.message) == (0, "No answer from the API server (SocketTimeoutError).")


@pytest.mark.parametrize("status", [200, 409, 503])
async def test_each_answer_tells_its_clock_the_server_s_time(monkeypatch, status):
    async def six_minutes_ahead(request: web.BaseRequest) -> web.Response:
        return web.json_response({}, status=status, headers={"Date": formatdate(time.time() + 360, usegmt=True)})

    clock = ServerClock()
    async with a_client(monkeypatch, six_minutes_ahead, connections=1, clock=clock) as client:
        await client.get("/")
    assert clock.wall_ms() / 1000 - time.time() == pytest.approx(360, abs=1.5)
