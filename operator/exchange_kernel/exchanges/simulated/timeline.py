"""What came in and went out, and when: for measuring how long somebody took to act on an event. To the microsecond, unlike the venue's own times."""

from __future__ import annotations

import time
from collections import deque

KEPT = 10_000


class Timeline:
    """The last requests and stream events of orders, in their order; what faults swallowed included."""

    def __init__(self) -> None:
        self._moments: deque[tuple[int, str, str]] = deque(maxlen=KEPT)

    def note(self, what: str, client_order_id: str) -> None:
        self._moments.append((time.monotonic_ns() // 1000, what, client_order_id))

    def document(self) -> list[dict[str, object]]:
        """Times in microseconds from no particular moment."""
        return [{"us": at, "what": what, "clientOrderId": client_order_id} for at, what, client_order_id in self._moments]
