"""What would hold the event loop, done beside it: large answers are read in one thread for all accounts, and ccxt's loading of markets in its own.

The thread takes turns with the loop: the interpreter is asked to change over every half of a millisecond while both have something to do.
"""

from __future__ import annotations

import asyncio
import contextvars
import sys
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import ContextVar
from functools import cache
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

#: How long the loop waits for its turn at most while a thread computes.
TURN_S = 0.0005

#: The loop on which requests are made, for what runs on a loop of its own.
HOME: ContextVar[asyncio.AbstractEventLoop | None] = ContextVar("HOME", default=None)


@cache
def _reader() -> ThreadPoolExecutor:
    """One thread: the large answers of hostile exchanges queue behind each other, and need the memory of one."""
    sys.setswitchinterval(min(sys.getswitchinterval(), TURN_S))
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="large-answers")


async def aside(function: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
    """Run a function in the thread for large answers, in the caller's context."""
    context = contextvars.copy_context()
    return await asyncio.get_running_loop().run_in_executor(_reader(), lambda: context.run(function, *arguments, **named))


async def apart(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine on a loop and in a thread of its own. What it awaits through `at_home` runs on the caller's loop."""
    _reader()
    HOME.set(asyncio.get_running_loop())
    context, outcome = contextvars.copy_context(), Future[T]()

    def run() -> None:
        try:
            outcome.set_result(asyncio.run(work()))
        except BaseException as error:  # handed to who waits for it
            outcome.set_exception(error)

    threading.Thread(target=context.run, args=(run,), name="markets", daemon=True).start()
    HOME.set(None)
    return await asyncio.wrap_future(outcome)


async def at_home(work: Coroutine[Any, Any, T]) -> T:
    """Await on the loop that `apart` was called on; here if this is that loop."""
    home = HOME.get()
    if home is None or home is asyncio.get_running_loop():
        return await work
    return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, home))
