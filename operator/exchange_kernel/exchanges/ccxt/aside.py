"""What would hold the event loop, done beside it: large answers are read in one thread for all accounts, and ccxt's loading of markets in its own.

The thread takes turns with the loop: the interpreter is asked to change over ten times a millisecond while both have something to do, for an order's way
through the process has several steps, each of which may wait for such a turn.
"""

from __future__ import annotations

import asyncio
import contextvars
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from contextvars import ContextVar
from functools import cache
from typing import Any, ParamSpec, TypeVar

from exchange_kernel.exchanges.ccxt.share import Share

P = ParamSpec("P")
T = TypeVar("T")

#: How long the loop waits for its turn at most while a thread computes.
TURN_S = 0.0001

#: The loop on which requests are made, for what runs on a loop of its own.
HOME: ContextVar[asyncio.AbstractEventLoop | None] = ContextVar("HOME", default=None)


@cache
def _reader() -> ThreadPoolExecutor:
    """One thread: the large answers of hostile exchanges queue behind each other, and need the memory of one."""
    sys.setswitchinterval(min(sys.getswitchinterval(), TURN_S))
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="large-answers")


async def aside(share: Share, function: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
    """Run a function in the thread for large answers, in the caller's context. Its time is taken from the account's share."""
    loop, context = asyncio.get_running_loop(), contextvars.copy_context()

    def run() -> T:
        began = time.thread_time()
        try:
            return context.run(function, *arguments, **named)
        finally:
            _account(loop, share, time.thread_time() - began)

    return await loop.run_in_executor(_reader(), run)


def _account(loop: asyncio.AbstractEventLoop, share: Share, seconds: float) -> None:
    """Take it on the loop, where the share lives: also when nobody waits for the outcome any more."""
    with suppress(RuntimeError):           # the loop is closed, and its accounts with it
        loop.call_soon_threadsafe(share.take, seconds)


async def apart(share: Share, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine on a loop and in a thread of its own. What it awaits through `at_home` runs on the caller's loop."""
    _reader()
    HOME.set(home := asyncio.get_running_loop())
    context, outcome = contextvars.copy_context(), Future[T]()

    def run() -> None:
        try:
            outcome.set_result(asyncio.run(work()))
        except BaseException as error:  # handed to who waits for it
            outcome.set_exception(error)
        finally:
            _account(home, share, time.thread_time())

    threading.Thread(target=context.run, args=(run,), name="markets", daemon=True).start()
    HOME.set(None)
    return await asyncio.wrap_future(outcome)


async def at_home(work: Coroutine[Any, Any, T]) -> T:
    """Await on the loop that `apart` was called on; here if this is that loop."""
    home = HOME.get()
    if home is None or home is asyncio.get_running_loop():
        return await work
    return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, home))
