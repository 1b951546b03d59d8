"""Who is reconciled when: keys are woken, calls of one key are serial, different keys run in parallel, and a wake during a call means one more call."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable

import structlog

log = structlog.get_logger(__name__)


class Wakeups:
    """One task per woken key, none for a sleeping one."""

    def __init__(self, reconcile: Callable[[str], Awaitable[None]]) -> None:
        self._reconcile = reconcile
        self._running: dict[str, asyncio.Task[None]] = {}
        self._again: set[str] = set()
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._closed = False

    def wake(self, key: str) -> None:
        """Reconcile `key` soon. Any number of extra calls changes nothing."""
        if self._closed:
            return
        if key in self._running:
            self._again.add(key)
            return
        if (timer := self._timers.pop(key, None)) is not None:
            timer.cancel()
        task = asyncio.get_running_loop().create_task(self._run(key))
        self._running[key] = task

    def running(self, key: str) -> bool:
        return key in self._running

    def wake_after(self, key: str, seconds: float) -> None:
        """Reconcile `key` after so long, unless something wakes it before. The latest call for a key replaces earlier ones."""
        if (timer := self._timers.pop(key, None)) is not None:
            timer.cancel()
        if not self._closed:
            self._timers[key] = asyncio.get_running_loop().call_later(seconds, self._fire, key)

    def _fire(self, key: str) -> None:
        self._timers.pop(key, None)
        self.wake(key)

    async def _run(self, key: str) -> None:
        try:
            while True:
                self._again.discard(key)
                try:
                    await self._reconcile(key)
                except Exception:
                    # A bug of ours in one order must not stop the others, nor spin: it is logged whole and tried again later (rule 14).
                    log.exception("reconcile failed", key=key)
                    self.wake_after(key, 5.0)
                if key not in self._again or self._closed:
                    return
        finally:
            self._running.pop(key, None)
            if key in self._again and not self._closed:
                self.wake(key)

    async def rested(self, keys: Iterable[str]) -> None:
        """Return when none of these is being reconciled; what wakes others is not waited for."""
        for key in keys:
            while (running := self._running.get(key)) is not None:
                await asyncio.wait([running])

    async def idle(self) -> None:
        """Return when nothing is running; sleepers may still be waiting for their time."""
        while self._running:
            await asyncio.wait(list(self._running.values()))

    async def close(self, within: float) -> None:
        """Take no more wakes and let running calls finish, for so long at most."""
        self._closed = True
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        if self._running:
            _, late = await asyncio.wait(list(self._running.values()), timeout=within)
            for task in late:
                task.cancel()
