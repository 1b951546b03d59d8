"""The API server's time, by the Date of its answers: what the times in its objects are compared with.

An operator's own clock may be minutes off, and people's deadlines are in the API server's time: creationTimestamp is written by it. An answer that was
asked for at `a` and came at `b`, by our monotonic clock, says that its Date, which is cut to whole seconds, was the time at some moment between the two.
The estimate moves no further than each answer proves, and so is good to a fraction of a second after a few, and follows any step of either clock.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime

import structlog

log = structlog.get_logger(__name__)

TOLD_S = 5.0  # our own clock is told to be off beyond this; nothing is judged by it


class ServerClock:
    """A Clock of the reconcilers. Without a Date from anybody the machine's clock is the only one there is."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic, machine_s: Callable[[], float] = time.time) -> None:
        self._monotonic, self._machine_s = monotonic, machine_s
        self._ahead: float | None = None  # the API server's time less our monotonic clock's (s)
        self._last: tuple[str, float | None] = ("", None)  # the last Date, and what it says: it is the same for a second's answers
        self._told = False

    def monotonic(self) -> float:
        return self._monotonic()

    def wall_ms(self) -> int:
        return int((self._machine_s() if self._ahead is None else self._ahead + self._monotonic()) * 1000)

    def heard(self, date: str | None, asked_at: float, answered_at: float) -> None:
        """Take in the Date of an answer, with when it was asked for and when it came (monotonic)."""
        if date is None or (told := self._seconds(date)) is None:
            return
        least, most = told - answered_at, told + 1 - asked_at
        self._ahead = (least + most) / 2 if self._ahead is None else min(max(self._ahead, least), most)
        self._tell(self._machine_s() - self._ahead - answered_at)

    def _tell(self, off: float) -> None:
        if (abs(off) > TOLD_S) is self._told:
            return
        self._told = not self._told
        if self._told:
            log.warning("this machine's clock is off: the API server's time is used instead; check the node's time synchronisation", seconds=round(off))
        else:
            log.info("this machine's clock agrees with the API server's again")

    def _seconds(self, date: str) -> float | None:
        if date != self._last[0]:
            try:
                self._last = (date, parsedate_to_datetime(date).timestamp())
            except (ValueError, OverflowError):
                self._last = (date, None)
        return self._last[1]
