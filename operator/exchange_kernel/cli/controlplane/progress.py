"""Telling a person what takes long: a spinner on a terminal, elsewhere a line now and then."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO, TypeAlias

from rich.console import Console
from rich.markup import escape

#: Called often while a step lasts, with what is known just now ("812 of 2710 packages"); it decides itself whether to show it.
Tick: TypeAlias = Callable[[str], None]


class Progress:
    """Steps follow each other, they do not nest. `every` is the pause between two lines, in seconds, where there is no terminal."""

    def __init__(self, stream: TextIO | None = None, *, every: float = 15.0) -> None:
        self._console = Console(file=stream if stream is not None else sys.stderr, highlight=False, soft_wrap=True)
        self._every = every

    @classmethod
    def silent(cls) -> Progress:
        return _Silent()

    @property
    def on_terminal(self) -> bool:
        return self._console.is_terminal

    def note(self, line: str) -> None:
        self._console.print(line, markup=False)

    @contextmanager
    def step(self, what: str, *, expect: str = "") -> Iterator[Tick]:
        """`expect` is what to be prepared for, until more is known: "about six minutes the first time"."""
        began = time.monotonic()
        if self.on_terminal:
            with self._console.status(escape(_line(what, expect=expect))) as status:
                def show(detail: str) -> None:
                    status.update(escape(_line(what, time.monotonic() - began, detail, expect)))

                yield show
            return

        self.note(_line(what, expect=expect))
        last = began

        def tick(detail: str) -> None:
            nonlocal last
            now = time.monotonic()
            if now - last >= self._every:
                last = now
                self.note(_line(what, now - began, detail, expect))

        yield tick


class _Silent(Progress):
    def note(self, line: str) -> None:
        pass

    @contextmanager
    def step(self, what: str, *, expect: str = "") -> Iterator[Tick]:
        yield lambda detail: None


def _line(what: str, elapsed: float | None = None, detail: str = "", expect: str = "") -> str:
    said = ", ".join(part for part in ("" if elapsed is None else spell(elapsed), detail or expect) if part)
    return f"{what}: {said}" if said else what


def spell(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}m{rest:02d}s" if minutes else f"{rest}s"
