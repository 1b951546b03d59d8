"""Lives are independent of each other: they are played on all cores."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import TypeVar

Given = TypeVar("Given")
Made = TypeVar("Made")


def on_all_cores(play: Callable[[Given], Made], given: Iterable[Given]) -> Iterator[Made]:
    """What `play` makes of each, in order. `play` is a function of a module; what this process has read is read there too."""
    with ProcessPoolExecutor(mp_context=get_context("fork")) as workers:
        yield from workers.map(play, given)
