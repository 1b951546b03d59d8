"""A forward proxy between the operator and the exchange: a real one on loopback, REST and stream through it, and nothing beside it."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest

from exchange_kernel.core.answers import Accepted, NotSent, OrderStatus, Unreachable
from exchange_kernel.exchanges.ccxt import open_exchange
from exchange_kernel.exchanges.port import Credentials, Exchange, Gap
from tests.contract.test_ccxt_adapter import a_private_ca
from tests.contract.test_ccxt_against_simulated import Gate, a_request, addresses, ref_of

__all__ = ["addresses"]


@dataclass
class Proxy:
    """A proxy that forwards plain requests, and tunnels those that say CONNECT."""

    port: int = 0
    refuses: int | None = None  # with this status
    asked: list[str] = field(default_factory=list)  # the first line of each request

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            line = head.split(b"\r\n", 1)[0].decode()
            self.asked.append(line)
            method, target, _ = line.split(" ")
            if self.refuses is not None:
                writer.write(f"HTTP/1.1 {self.refuses} No\r\nContent-Length: 0\r\n\r\n".encode())
                await writer.drain()
            elif method == "CONNECT":
                host, _, port = target.rpartition(":")
                inner = await asyncio.open_connection(host, int(port))
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                await _both_ways((reader, writer), inner)
            else:
                host, _, port = target.split("/")[2].rpartition(":")
                inner = await asyncio.open_connection(host, int(port))
                origin = f"http://{host}:{port}".encode()
                inner[1].write(head.replace(origin, b"", 1))
                await _both_ways((reader, writer), inner, drop=origin)  # of each request on this connection
        writer.close()


async def _both_ways(one: tuple[Any, Any], other: tuple[Any, Any], *, drop: bytes | None = None) -> None:
    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, drop: bytes | None = None) -> None:
        with contextlib.suppress(OSError):
            while chunk := await reader.read(65536):
                writer.write(chunk if drop is None else chunk.replace(drop, b"", 1))
                await writer.drain()
        writer.close()

    await asyncio.gather(copy(one[0], other[1], drop), copy(other[0], one[1]))


@dataclass
class Behind:
    """The simulated exchange as it is reached through the proxy, encrypted or not."""

    exchange: Exchange
    proxy: Proxy
    encrypted: bool
    control: str
    http: aiohttp.ClientSession


@contextlib.asynccontextmanager
async def served(handle: Any, **options: Any) -> AsyncIterator[int]:
    tasks: set[asyncio.Task[None]] = set()

    async def kept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await handle(reader, writer)
        finally:
            tasks.discard(task)

    server = await asyncio.start_server(kept, "127.0.0.1", 0, **options)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture(params=[False, True], ids=["plain", "tunnelled"])
async def behind(request: pytest.FixtureRequest, addresses: dict[str, str]) -> AsyncIterator[Behind]:
    proxy, key = Proxy(), uuid.uuid4().hex
    ca, trust = a_private_ca()
    plain = addresses["rest"].removeprefix("http://")

    async def unwrapped(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, _, port = plain.rpartition(":")
        await _both_ways((reader, writer), await asyncio.open_connection(host, int(port)))

    async with served(proxy.serve) as proxy.port, served(unwrapped, ssl=trust) as encrypted, aiohttp.ClientSession() as http:
        async with http.post(f"{addresses['control']}/keys", json={"apiKey": key, "apiSecret": "s3cret"}) as response:
            assert response.status == 200
        rest = f"https://127.0.0.1:{encrypted}" if request.param else addresses["rest"]
        exchange = open_exchange(
            "binance", market_type="spot", environment="Simulated", credentials=Credentials({"apiKey": key, "secret": "s3cret"}), rest=rest,
            websocket=None if request.param else addresses["websocket"], ca_pem=ca if request.param else None, requests_per_second=None,
            cancel_reserve_percent=10, proxy=f"http://127.0.0.1:{proxy.port}")
        try:
            yield Behind(exchange, proxy, request.param, addresses["control"], http)
        finally:
            await exchange.close()


async def test_an_order_lives_and_streams_through_the_proxy_and_nothing_goes_beside_it(behind: Behind) -> None:
    facts = behind.exchange.stream()
    assert await anext(facts) is Gap.SUBSCRIBED
    wanted = a_request()
    placed = await behind.exchange.submit(wanted, Gate())
    assert isinstance(placed, Accepted), placed
    ended = await behind.exchange.cancel(ref_of(wanted, placed.order.exchange_order_id), Gate())
    assert isinstance(ended, Accepted), ended
    assert ended.order.status is OrderStatus.CANCELED
    fact = await anext(facts)
    assert getattr(fact, "order", None) is not None, fact
    lines = behind.proxy.asked
    if behind.encrypted:
        assert lines, "the proxy was asked"
        assert all(line.startswith("CONNECT 127.0.0.1:") for line in lines), "and heard of no request"
    else:
        assert any(line.startswith("POST http://") and "/api/v3/order" in line for line in lines)
    await facts.aclose()


async def test_a_proxy_that_refuses_is_named_and_nothing_was_sent(behind: Behind) -> None:
    behind.proxy.refuses = 407
    outcome = await behind.exchange.submit(a_request(), Gate())
    if behind.encrypted:
        assert isinstance(outcome, NotSent), outcome
        assert outcome.reason == "the proxy refused to connect to the exchange (HTTP 407)"
        clock = await behind.exchange.clock()
        assert isinstance(clock, Unreachable)
        assert "proxy" in clock.reason
    else:
        assert not isinstance(outcome, Accepted), "its answer is not told from the exchange's"


async def test_a_proxy_that_is_down_is_named_and_nothing_was_sent(addresses: dict[str, str]) -> None:
    async with served(Proxy().serve) as port:
        pass
    exchange = open_exchange(
        "binance", market_type="spot", environment="Simulated", credentials=Credentials({"apiKey": "key", "secret": "s3cret"}), rest=addresses["rest"],
        websocket=addresses["websocket"], ca_pem=None, requests_per_second=None, cancel_reserve_percent=10, proxy=f"http://me:s3same@127.0.0.1:{port}")
    try:
        outcome = await exchange.submit(a_request(), Gate())
        assert isinstance(outcome, NotSent), outcome
        assert outcome.reason == f"the proxy 127.0.0.1:{port} could not be reached"
        assert "s3same" not in outcome.reason
    finally:
        await exchange.close()
