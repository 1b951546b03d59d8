"""ccxt's own code, run without a wire: to learn which request a unified method makes, and what it reads in an answer.

A unified method (`create_order`, `fetch_order` …) is a coroutine that builds a request, awaits it, and parses what came. Here it is driven by hand, with
nothing awaited: up to its first request, which is then written by our own wire, and once more over the answer that came. What wants a second
request, or anything else that must be waited for, is refused: one call of ours is one request.
"""

from __future__ import annotations

import asyncio
import decimal
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NoReturn

from exchange_kernel.exchanges.ccxt.wire import SCRIPT, STAMP

#: A time of thirteen digits that no venue takes: for a request that is built before it is stamped, only to see what it would be.
UNSTAMPED_MS = 1_500_000_000_000


@dataclass(frozen=True, slots=True)
class Built:
    """The request that ccxt would make: what it hands to `sign`, and what it counts it for."""

    path: str
    api: tuple[str, ...]
    method: str
    params: Mapping[str, Any]
    cost: float


class NotBuilt(Exception):
    """ccxt makes no such request. The text is stable."""


class _Stop(BaseException):
    """Ends a method at its first request. No Exception: ccxt's own `except` must not catch it."""


class _Waits(BaseException):
    """The method wants an event loop: to start a task, or to sleep."""


class _NoLoop:
    """Stands where an event loop would, so that nothing is started on the real one, and the same happens with and without one."""

    def create_task(self, coroutine: Any, **_: Any) -> NoReturn:
        coroutine.close()
        raise _Waits

    def __getattr__(self, name: str) -> NoReturn:
        raise _Waits


NO_LOOP: Any = _NoLoop()


def built(ccxt: Any, method: str, *arguments: Any) -> Built:
    """The first request of a unified method. Raises NotBuilt."""
    found: list[Built] = []

    def script(path: str, api: Any, verb: str, params: Any, config: Any) -> Any:
        # A list of parameters is a batch.
        values = dict(params) if isinstance(params, dict) else params
        found.append(Built(path, tuple(api), verb, values, ccxt.calculate_rate_limiter_cost(api, verb, path, params, config)))
        raise _Stop

    try:
        _driven(ccxt, script, method, arguments)
    except _Stop:
        return found[0]
    except NotBuilt:
        raise
    except Exception as problem:               # its own refusals, and whatever the interpreter makes of what it did not expect
        raise NotBuilt(f"ccxt makes no request of this ({type(problem).__name__})") from None
    raise NotBuilt("ccxt makes no request of this")


def read(ccxt: Any, document: Any, method: str, *arguments: Any) -> Any:
    """What a unified method reads in the answer to its first request. Raises whatever ccxt makes of it, and NotBuilt if it wants to ask more."""
    answers = [document]

    def script(path: str, api: Any, verb: str, params: Any, config: Any) -> Any:
        if not answers:
            raise _Stop
        return answers.pop()

    try:
        return _driven(ccxt, script, method, arguments)
    except _Stop:
        raise NotBuilt("ccxt asks more than once") from None


def _driven(ccxt: Any, script: Callable[[str, Any, str, Any, Any], Any], method: str, arguments: tuple[Any, ...]) -> Any:
    token, loop = SCRIPT.set(script), asyncio._get_running_loop()
    stamp = STAMP.set(STAMP.get() or UNSTAMPED_MS)
    asyncio._set_running_loop(NO_LOOP)
    with _without_warnings(), decimal.localcontext():        # of which ccxt changes the one it finds, which would be the process's
        try:
            waits, value = _run(getattr(ccxt, method)(*arguments))
        finally:
            asyncio._set_running_loop(loop)
            STAMP.reset(stamp)
            SCRIPT.reset(token)
    if waits:
        raise NotBuilt("ccxt waits for something else first")
    return value


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Of the coroutines that ccxt made to run and that never will. The filters are the process's: a thread that reads a large answer leaves them alone."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        yield


def _run(coroutine: Any) -> tuple[bool, Any]:
    """Whether it wants to wait for something, and what it returned if it does not."""
    try:
        coroutine.send(None)
    except StopIteration as returned:
        return False, returned.value
    except _Waits:
        pass
    finally:
        coroutine.close()
    return True, None
