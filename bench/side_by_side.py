"""Two sides of one comparison, measured in turns in one process, so that whatever the machine does meets both."""

from __future__ import annotations

import gc
import time
from collections.abc import Awaitable, Callable

Side = Callable[[int], Awaitable[None]]     # does so many units


async def cpu_per_unit(ours: Side, theirs: Side, *, units: int, runs: int, clean: Callable[[], Awaitable[None]]) -> tuple[list[float], list[float]]:
    """CPU seconds of this process for each unit, of each run. One run of each side before it begins warms it up; who goes first alternates.

    `clean` is done after each run, and not counted.
    """
    for side in (ours, theirs):
        await side(units)
        await clean()
    measured: dict[Side, list[float]] = {ours: [], theirs: []}
    for run in range(runs):
        for side in (ours, theirs) if run % 2 == 0 else (theirs, ours):
            gc.collect()
            began = time.process_time()
            await side(units)
            measured[side].append((time.process_time() - began) / units)
            await clean()
    return measured[ours], measured[theirs]
