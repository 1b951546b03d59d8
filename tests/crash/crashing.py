"""Crash points: every await on a store (of intents or accounts), an exchange or a Lease, before and after its effect. They are found by running, not listed by hand."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from contextlib import aclosing
from enum import Enum
from functools import cache
from types import FunctionType, MethodType


class CrashPoints:
    """Counts the points that one life passes, and ends the life at one of them; or only stops it there, if it `survives`."""

    def __init__(self, crash: Callable[[], None], at: int | None, *, survives: bool = False) -> None:
        self._crash, self._at, self._survives = crash, at, survives
        self.passed: list[str] = []
        self.dead = False

    def reach(self, name: str) -> None:
        if self.dead:
            raise asyncio.CancelledError        # nothing a dead process does has an effect
        self.passed.append(name)
        if len(self.passed) == self._at:
            self._crash()
            if not self._survives:
                self.dead = True
                raise asyncio.CancelledError

    async def wait_at(self, name: str) -> None:
        self.reach(name)
        if self._survives:
            await asyncio.sleep(0)              # where a process that was stopped stays

    def spare(self) -> None:
        """The story is over: how this life ends is no part of it."""
        self._at, self.dead = None, False

    def around(self, room: object) -> object:
        return _Around(room, self)


class _Kind(Enum):
    GENERATOR, COROUTINE, PLAIN = range(3)


@cache
def _kind(function: FunctionType) -> _Kind:
    if inspect.isasyncgenfunction(function):
        return _Kind.GENERATOR
    return _Kind.COROUTINE if inspect.iscoroutinefunction(function) else _Kind.PLAIN


class _Around:
    def __init__(self, room: object, points: CrashPoints) -> None:
        self._room, self._points = room, points

    def __getattr__(self, name: str):
        value = getattr(self._room, name)
        kind = _kind(value.__func__) if isinstance(value, MethodType) else _kind(value) if isinstance(value, FunctionType) else None
        if kind is _Kind.GENERATOR:
            return self._each(value, f"{type(self._room).__name__}.{name}")
        if kind is not _Kind.COROUTINE or name == "close":
            return value
        point = f"{type(self._room).__name__}.{name}"

        async def call(*arguments, **named):
            await self._points.wait_at(f"before {point}")
            answer = await value(*arguments, **named)
            await self._points.wait_at(f"after {point}")
            return answer

        setattr(self, name, call)       # thousands of lives pass here
        return call

    def _each(self, generate: Callable, point: str) -> Callable:
        async def passed_on(*arguments, **named):
            async with aclosing(generate(*arguments, **named)) as items:
                async for item in items:
                    self._points.reach(f"after {point}")
                    yield item

        return passed_on
