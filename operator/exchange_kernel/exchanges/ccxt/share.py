"""How much of the process's time the large answers of one account may take (rule 14): a burst, and then a small part of each second.

An answer within its bounds and without a fault can still cost a second to read, and an exchange may send it as often as it is asked. While the share is
used up, no list is asked for, and a large answer to anything else counts as over its bounds. Sends, cancels and look-ups go on: their answers are small.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

#: Seconds of the processor at once: several times what an account of the largest venues takes to begin with, its markets and its open orders.
BURST_S: Final = 10.0

#: Of each second after them. A sweep of 1,000 open orders takes a tenth of a second, once a minute.
PER_SECOND: Final = 0.01


class Share:
    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._left, self._at = BURST_S, now()

    def take(self, seconds: float) -> None:
        """Account for time of the processor. What was begun is read to its end, so more may be taken than was left."""
        self._left = self._left_now() - seconds
        self._at = self._now()

    @property
    def used_up_s(self) -> float:
        """How long until something is left; 0 if something is."""
        return max(0.0, -self._left_now() / PER_SECOND)

    def _left_now(self) -> float:
        return min(BURST_S, self._left + (self._now() - self._at) * PER_SECOND)
