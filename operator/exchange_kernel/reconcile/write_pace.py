"""The backstop of rule 17: no object is written more than ten times a minute without a new fact, so that a bug in what is written can't starve the rest.

A write wakes its own object. A status that differs at each look would be written again at once, for ever, and leave the loop to nothing else.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from exchange_kernel.telemetry import metrics

log = structlog.get_logger(__name__)

WRITES, WITHIN_MS = 10, 60_000


@dataclass(slots=True)
class _Object:
    fact: object = None  # what the last write was made of
    written_ms: deque[int] = field(default_factory=lambda: deque(maxlen=WRITES))  # the writes since that fact was new
    told: bool = False
    held_until_ms: int | None = None  # since the last look a write waits for this


class WritePace:
    """The status writes of one kind, by UID."""

    def __init__(self, kind: str, wall_ms: Callable[[], int]) -> None:
        self._kind, self._wall_ms = kind, wall_ms
        self._objects: dict[str, _Object] = {}

    def wait_s(self, uid: str, fact: object) -> float:
        """How long a write has to wait that is made of `fact`; 0 for one that may go now. A new fact never waits."""
        known = self._objects.get(uid)
        if known is None or known.fact != fact or len(known.written_ms) < WRITES:
            return 0.0
        since_ms = self._wall_ms() - known.written_ms[0]
        if not 0 <= since_ms < WITHIN_MS:
            return 0.0  # over, or our clock was set back
        known.held_until_ms = known.written_ms[0] + WITHIN_MS
        if not known.told:
            known.told = True
            metrics.WRITES_HELD_BACK.labels(self._kind).inc()
            log.error("a status is written again and again without a new fact", kind=self._kind, uid=uid)
        return (WITHIN_MS - since_ms) / 1000

    def held_s(self, uid: str) -> float | None:
        """How long the write waits that was held back at this look; None if none was."""
        known = self._objects.get(uid)
        if known is None or known.held_until_ms is None:
            return None
        until_ms, known.held_until_ms = known.held_until_ms, None
        return max(0.0, (until_ms - self._wall_ms()) / 1000)

    def written(self, uid: str, fact: object) -> None:
        known = self._objects.setdefault(uid, _Object())
        if known.fact != fact:
            known.fact, known.told = fact, False
            known.written_ms.clear()
        known.written_ms.append(self._wall_ms())

    def renew(self, uid: str) -> None:
        """Somebody else wrote the object: that is a new fact."""
        if (known := self._objects.get(uid)) is not None:
            known.written_ms.clear()

    def forget(self, uid: str) -> None:
        self._objects.pop(uid, None)
