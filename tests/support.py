"""What tests of every kind share. Waiting is polling with a deadline, never a sleep that hopes."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar, cast

T = TypeVar("T")


def eventually(check: Callable[[], T], *, within: float, every: float = 0.05, what: str) -> T:
    """The first true answer of `check`. An AssertionError inside it means "not yet"; any other exception is the test's failure.

    Fails after `within` seconds, saying what was awaited and what was seen last.
    """
    deadline = time.monotonic() + within
    while True:
        seen: object
        try:
            if answer := check():
                return answer
            seen = answer
        except AssertionError as error:
            seen = error
        if time.monotonic() >= deadline:
            raise AssertionError(_too_late(what, within, seen))
        time.sleep(every)


async def aeventually(check: Callable[[], T | Awaitable[T]], *, within: float, every: float = 0.05, what: str) -> T:
    """`eventually` for a loop that must go on meanwhile; `check` may be a coroutine function."""
    deadline = time.monotonic() + within
    while True:
        seen: object
        try:
            answer = check()
            if inspect.isawaitable(answer):
                answer = await answer
            if answer:
                return cast(T, answer)
            seen = answer
        except AssertionError as error:
            seen = error
        if time.monotonic() >= deadline:
            raise AssertionError(_too_late(what, within, seen))
        await asyncio.sleep(every)


def _too_late(what: str, within: float, seen: object) -> str:
    return f"not within {within:g} s: {what}; last seen: {seen}"
