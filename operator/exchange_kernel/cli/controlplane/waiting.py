"""Waiting, with progress and without leaving anything behind: for a lock, for a program's end, for a condition."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from exchange_kernel.cli.controlplane.progress import Progress, Tick


@contextmanager
def locked(path: Path, progress: Progress, busy: str) -> Iterator[None]:
    """Held until the block ends, or this process does. `busy` is told while another process holds it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        if not _try_lock(file.fileno()):
            with progress.step(busy) as tick:
                while not _try_lock(file.fileno()):
                    tick("waiting for it")
                    time.sleep(0.2)
        yield


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def wait_for_exit(process: subprocess.Popen[bytes], tick: Tick, detail: Callable[[], str] = lambda: "") -> int:
    """The exit code. The process must lead its own session: if we are interrupted, it and its children end first."""
    try:
        while True:
            with suppress(subprocess.TimeoutExpired):
                return process.wait(timeout=0.5)
            tick(detail())
    except BaseException:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=5)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise


def until(condition: Callable[[], bool], within: float, tick: Callable[[], None] = lambda: None) -> bool:
    """Polls until the condition holds; False if it does not within so many seconds."""
    deadline = time.monotonic() + within
    while not condition():
        if time.monotonic() >= deadline:
            return False
        tick()
        time.sleep(0.025)
    return True


def tail(log: Path, lines: int = 15) -> str:
    if not log.exists():
        return ""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 64_000))
        return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])
