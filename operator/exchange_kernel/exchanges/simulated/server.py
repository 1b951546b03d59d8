"""A simulated exchange on its ports: the venue's own, which faults may shut, and one for control, which always answers."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from aiohttp import web

from exchange_kernel.exchanges.simulated.commands import Breaker, Fault
from exchange_kernel.exchanges.simulated.control import Control, plainly
from exchange_kernel.exchanges.simulated.exchange import SimulatedExchange
from exchange_kernel.exchanges.simulated.http import RestFace
from exchange_kernel.exchanges.simulated.perpetual.control import PerpetualControl
from exchange_kernel.exchanges.simulated.perpetual.http import PerpetualFace
from exchange_kernel.exchanges.simulated.stream import Streams

STOP_WITHIN_S = 1.0
BACKLOG = 1024


@dataclass(frozen=True, slots=True)
class Served:
    """Where it is. `rest` and `websocket` are what a client puts in front of the venue's own paths."""

    exchange: SimulatedExchange
    host: str
    port: int
    control_port: int

    @property
    def rest(self) -> str:
        return f"http://{_address(self.host)}:{self.port}"

    @property
    def websocket(self) -> str:
        return f"ws://{_address(self.host)}:{self.port}"

    @property
    def control(self) -> str:
        return f"http://{_address(self.host)}:{self.control_port}/control"


@asynccontextmanager
async def serve(exchange: SimulatedExchange, *, host: str = "127.0.0.1", port: int = 0, control_port: int = 0,
                tick_seconds: float | None = None, faults: Sequence[Fault] = ()) -> AsyncIterator[Served]:
    """On free ports unless they are given. Without `tick_seconds` the market stands still until somebody calls `exchange.tick()`."""
    streams, rest = Streams(exchange), RestFace(exchange)
    venue = web.Application(middlewares=[])
    venue.router.add_get("/ws-api/v3", streams.handle)
    venue.router.add_route("*", "/api/v4/{rest:.*}", PerpetualFace(exchange).handle)
    venue.router.add_route("*", "/api/{rest:.*}", rest.handle)
    venue.router.add_route("*", "/sapi/{rest:.*}", rest.handle)
    runner = web.AppRunner(venue, access_log=None, shutdown_timeout=STOP_WITHIN_S)
    door = _Door(runner, host, port)
    breaker = Breaker(exchange, streams, door)
    control = Control(exchange, breaker)
    for_control = web.Application(middlewares=[plainly])
    controlled = [*control.routes(), *PerpetualControl(exchange.perpetual).routes()]
    for_control.add_routes(controlled)
    venue.add_routes(controlled)          # here too, for as long as the venue answers at all
    control_runner = web.AppRunner(for_control, access_log=None, shutdown_timeout=STOP_WITHIN_S)
    ticking: asyncio.Task[None] | None = None
    try:
        await runner.setup()
        await control_runner.setup()
        await door.open()
        control_site = web.TCPSite(control_runner, host, control_port)
        await control_site.start()
        for fault in faults:
            await breaker.set(fault)
        ticking = None if tick_seconds is None else asyncio.create_task(_tick(exchange, tick_seconds))
        yield Served(exchange, host, door.port, control_runner.addresses[0][1])
    finally:
        if ticking is not None:
            ticking.cancel()
            with suppress(asyncio.CancelledError):
                await ticking
        exchange.faults.lift()
        await streams.close()
        await control_runner.cleanup()
        await runner.cleanup()
        door.give_up()


class _Door:
    """The venue's port. A second socket holds it, bound and never listening, so that it can be shut without somebody else taking the number."""

    def __init__(self, runner: web.AppRunner, host: str, port: int) -> None:
        self._runner = runner
        self._family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._host = host
        self._site: web.SockSite | None = None
        self._holder = self._bound(port)
        self.port: int = self._holder.getsockname()[1]

    async def open(self) -> None:
        if self._site is None:
            self._site = web.SockSite(self._runner, self._bound(self.port), backlog=BACKLOG)
            await self._site.start()

    async def shut(self, *, but: web.Request | None) -> None:
        if self._site is not None:
            await self._site.stop()
            self._site = None
        for connection in self._runner.server.connections if self._runner.server is not None else ():
            if connection.transport is not None and (but is None or connection.transport is not but.transport):
                connection.transport.abort()

    def give_up(self) -> None:
        self._holder.close()

    def _bound(self, port: int) -> socket.socket:
        bound = socket.socket(self._family, socket.SOCK_STREAM)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        bound.bind((self._host, port))
        return bound


async def _tick(exchange: SimulatedExchange, seconds: float) -> None:
    while True:
        await asyncio.sleep(seconds)
        exchange.tick()


def _address(host: str) -> str:
    """Of this host, as a client on it writes it."""
    if host in ("0.0.0.0", "::"):
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host
