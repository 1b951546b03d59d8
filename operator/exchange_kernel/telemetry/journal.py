"""The audit journal: JSON lines, one before and one after each mutation outside. What is written in them is `reconcile/journaled.py`'s.

A line is handed to the kernel with one write(2) before its mutation begins: a crash of this process loses none, a power failure may lose the last ones.
Lines are only ever added (O_APPEND): whoever rotates the file may copy and truncate it. A line that can't be written is counted, never waited for.
"""

from __future__ import annotations

import contextlib
import os
import stat
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal

import orjson
import structlog

from exchange_kernel.core.money import plain
from exchange_kernel.telemetry import metrics

log = structlog.get_logger(__name__)

VERSION = 1  # of the lines; their first field, which also tells them from others'
STDOUT = "-"


def open_journal(path: str) -> int:
    """A descriptor to append to: of a file that is made if need be, or of standard output. Raises OSError."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC
    if path != STDOUT:
        descriptor = os.open(path, flags | os.O_CREAT, 0o600)
        keep_private(descriptor)
        return descriptor
    if stat.S_ISFIFO(os.fstat(1).st_mode):
        # A descriptor of our own for the same pipe, so that a reader who stops reading loses lines and holds up no order.
        try:
            return os.open("/proc/self/fd/1", flags | os.O_NONBLOCK)
        except OSError:
            pass  # no /proc: a blocking one, then
    return os.dup(1)


def keep_private(descriptor: int) -> None:
    """Let nobody but its owner read a file that was there already. One that is another user's stays as it is."""
    found = os.fstat(descriptor)
    if stat.S_ISREG(found.st_mode) and found.st_mode & 0o077:
        with contextlib.suppress(PermissionError):
            os.fchmod(descriptor, 0o600)


class FileJournal:
    """One process's lines, numbered from 1."""

    def __init__(self, descriptor: int, instance: str) -> None:
        self._descriptor, self._instance = descriptor, instance
        self._seq, self._torn, self._failing = 0, False, False

    def begin(self, action: str, facts: Mapping[str, object]) -> Callable[[Mapping[str, object]], None]:
        began, before = time.monotonic_ns(), self._write("before", action, facts)

        def end(outcome: Mapping[str, object]) -> None:
            self._write("after", action, {**facts, "before": before, "duration_ms": (time.monotonic_ns() - began) / 1e6, **outcome})

        return end

    def fact(self, what: str, facts: Mapping[str, object]) -> None:
        self._write("fact", what, facts)

    def _write(self, phase: str, action: str, facts: Mapping[str, object]) -> int:
        self._seq += 1
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        line = {"journal": VERSION, "time": now, "instance": self._instance, "seq": self._seq, "phase": phase, "action": action, **facts}
        try:
            text = orjson.dumps(line, default=_plain, option=orjson.OPT_APPEND_NEWLINE)
            text = b"\n" + text if self._torn else text
            written = os.write(self._descriptor, text)
            self._torn = written < len(text) if written else self._torn
            self._note(None if written == len(text) else "The line was not written whole.")
        except (OSError, TypeError) as error:
            self._note(str(error))
        return self._seq

    def _note(self, problem: str | None) -> None:
        if problem is not None:
            metrics.JOURNAL_LINES_LOST.inc()
        if (problem is not None) is not self._failing:
            self._failing = problem is not None
            if problem is not None:
                log.error("the audit journal can't be written: orders go on without it", reason=problem)
            else:
                log.info("the audit journal is written again")


def _plain(value: object) -> str:
    return plain(value) if isinstance(value, Decimal) else str(value)
