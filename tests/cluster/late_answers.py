"""An API server whose answers to writes are late: a proxy on loopback, between one client and the real one. What is read and watched passes at once."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp
from aiohttp import web

from exchange_kernel.kube.config import Access, access

LATE_S = 0.3


@contextmanager
def late_answers(kubeconfig: Path, dir: Path, late_s: float = LATE_S, until: threading.Event | None = None) -> Iterator[Path]:
    """A kubeconfig that leads through the proxy, as whoever `kubeconfig` names.

    A write is done at once, and its answer kept back for so long, and until `until` is set.
    """
    loop, started, stop = asyncio.new_event_loop(), threading.Event(), asyncio.Event()
    ports: list[int] = []

    async def serve() -> None:
        async with aiohttp.ClientSession(auto_decompress=False, timeout=aiohttp.ClientTimeout(total=None)) as session:
            runner = web.AppRunner(_app(access(kubeconfig), session, late_s, until), shutdown_timeout=0.1)
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            ports.append(runner.addresses[0][1])
            started.set()
            await stop.wait()
            await runner.cleanup()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()), daemon=True)
    thread.start()
    if not started.wait(60):
        raise AssertionError("the proxy did not start")
    through = dir / "late.kubeconfig"
    through.write_text(json.dumps({
        "apiVersion": "v1", "kind": "Config", "current-context": "late",
        "clusters": [{"name": "late", "cluster": {"server": f"http://127.0.0.1:{ports[0]}"}}],
        "users": [{"name": "late", "user": {}}],
        "contexts": [{"name": "late", "context": {"cluster": "late", "user": "late"}}],
    }))
    try:
        yield through
    finally:
        if until is not None:
            until.set()
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        loop.close()


def _app(cluster: Access, session: aiohttp.ClientSession, late_s: float, until: threading.Event | None) -> web.Application:
    async def forward(request: web.Request) -> web.StreamResponse:
        headers = {name: value for name, value in request.headers.items() if name in ("Accept", "Content-Type", "User-Agent")}
        if (token := cluster.token()) is not None:
            headers["Authorization"] = f"Bearer {token}"
        body = await request.read()
        async with session.request(
            request.method, cluster.server + request.path_qs, data=body or None, headers=headers, ssl=cluster.ssl_context or True
        ) as answer:
            passed_on = web.StreamResponse(status=answer.status, headers={"Content-Type": answer.headers.get("Content-Type", "application/json")})
            with contextlib.suppress(ConnectionResetError, aiohttp.ClientConnectionError):
                if request.method != "GET":
                    whole = await answer.read()
                    await asyncio.sleep(late_s)
                    if until is not None:
                        await asyncio.to_thread(until.wait)
                    await passed_on.prepare(request)
                    await passed_on.write(whole)
                    return passed_on
                await passed_on.prepare(request)
                async for chunk in answer.content.iter_any():
                    await passed_on.write(chunk)
            return passed_on

    app = web.Application(client_max_size=16 << 20)
    app.router.add_route("*", "/{path:.*}", forward)
    return app
