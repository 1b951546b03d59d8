"""What a session does beside its orders, for as long as its term lasts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import structlog

log = structlog.get_logger(__name__)

BEGUN_ANEW_S = 2.0  # after a failure that should not be


class Background:
    """Tasks that end with the block they belong to. One that fails by a bug of ours is told at once and begins anew: nothing else would take its place."""

    def __init__(self) -> None:
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Background:
        return self

    def start(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._tasks.append(asyncio.get_running_loop().create_task(self._go_on(work)))

    @staticmethod
    async def _go_on(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        while True:
            try:
                return await work()
            except Exception:
                log.exception("a background task of an account failed, and begins anew")
            await asyncio.sleep(BEGUN_ANEW_S)

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def either(*waits: Awaitable[Any]) -> None:
    """Return once one of these has; the others are given up."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
