"""What tests of every kind share. Waiting is polling with a deadline, never a sleep that hopes."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar, cast

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


# ── What an object's status says of its spec ────────────────────────────────────────────────────────────────────────────────────────────────
# `kubectl wait --for=condition=…` compares the generations in the same way (since 1.21) and needs no help; `--for=jsonpath=…` compares nothing.


def answered(thing: Mapping[str, Any]) -> bool:
    """Return whether the status is about this spec. A finished object's is for good: it is not written again."""
    status = thing.get("status") or {}
    return "completionTime" in status or bool(status.get("observedGeneration", -1) >= thing["metadata"]["generation"])


def condition(thing: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """Return the condition as it stands for this spec; empty while it stands for an earlier one."""
    status = thing.get("status") or {}
    found = next((dict(one) for one in status.get("conditions", []) if one["type"] == kind), None)
    if found is None:
        return {}
    observed = found.get("observedGeneration", status.get("observedGeneration", -1))
    return found if "completionTime" in status or observed >= thing["metadata"]["generation"] else {}


def _too_late(what: str, within: float, seen: object) -> str:
    return f"not within {within:g} s: {what}; last seen: {seen}"
