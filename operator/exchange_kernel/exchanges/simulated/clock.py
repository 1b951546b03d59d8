"""The venue's time, which a test may shift."""

from __future__ import annotations

import time


class VenueClock:
    def __init__(self) -> None:
        self.offset_ms = 0

    def now_ms(self) -> int:
        """Wall time as the venue believes it."""
        return time.time_ns() // 1_000_000 + self.offset_ms

    def steady_ms(self) -> int:
        """For durations: no shift moves it."""
        return time.monotonic_ns() // 1_000_000
