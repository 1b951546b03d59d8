"""An event loop whose clock jumps to the next timer when nothing else is to be done: hours pass in milliseconds, in the order they would."""

from __future__ import annotations

import asyncio
import functools
import selectors


class _Selector(selectors.DefaultSelector):
    def __init__(self, loop: VirtualTimeLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout=None):
        ready = super().select(0)
        if not ready and timeout:
            self._loop.now += timeout
        if not ready and timeout is None:
            raise RuntimeError("everything waits and nothing will happen")
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self.now = 1000.0
        super().__init__(_Selector(self))

    def time(self) -> float:
        return self.now


def run(main, loop_factory=VirtualTimeLoop):
    """Run a coroutine to its end in virtual time."""
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        return runner.run(main)


def scenario(test):
    """A test that is a coroutine, run in virtual time."""

    @functools.wraps(test)
    def in_virtual_time(**cases):
        run(test(**cases))

    return in_virtual_time
