"""Time that jumps to the next moment at which anything happens: hours pass in milliseconds, and always in the same order. For backtests and tests."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from datetime import UTC, datetime
from typing import Any, TypeVar

from exchange_kernel.exchanges.simulated.clock import VenueClock

T = TypeVar("T")

START = datetime(2026, 1, 1, tzinfo=UTC)


class _Selector(selectors.DefaultSelector):
    def __init__(self, loop: VirtualTimeLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout:
            self._loop.now += timeout
        if not ready and timeout is None:
            raise RuntimeError("everything waits and nothing will happen")
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop that waits for nothing but its own timers. Sockets and threads have no place in it."""

    def __init__(self) -> None:
        self.now = 1000.0
        super().__init__(_Selector(self))

    def time(self) -> float:
        return self.now


class LoopClock(VenueClock):
    """The running loop's time: one clock for a kernel (its `clock`) and for a simulated exchange, so that both live in the same moment."""

    def __init__(self, start: datetime = START) -> None:
        super().__init__()
        self._start_ms, self._began = int(start.timestamp() * 1000), asyncio.get_running_loop().time()

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    def wall_ms(self) -> int:
        return self._start_ms + round((self.monotonic() - self._began) * 1000)

    def now_ms(self) -> int:
        return self.wall_ms() + self.offset_ms

    def steady_ms(self) -> int:
        return round(self.monotonic() * 1000)


def run_in_virtual_time(main: Coroutine[Any, Any, T]) -> T:
    """As asyncio.run."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(main)
