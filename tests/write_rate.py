"""Rule 17 as tests hold it against a desk: no object is written more than ten times a minute by us without a new fact."""

from __future__ import annotations

import asyncio
from collections import defaultdict

MOST, WITHIN_S = 10, 60.0


class WriteRate:
    """Counts the status writes of each object, and those since the last new fact: what the exchange tells, and what a user writes."""

    def __init__(self, world) -> None:
        self.total: dict[str, int] = defaultdict(int)
        self._since_fact: dict[str, list[float]] = defaultdict(list)
        self.worst = 0
        self._watch(world.store, "write_status", self._wrote)
        for room, name in ((world.store, "create"), (world.store, "edit"), (world.store, "delete"), (world.exchange, "_set"), (world.exchange, "bust")):
            self._watch(room, name, self.fact)

    def _watch(self, room, name: str, then) -> None:
        call = getattr(room, name)

        def watched(*args, **kwargs):
            then(*args)
            return call(*args, **kwargs)

        setattr(room, name, watched)

    def fact(self, *_) -> None:
        """Something new is known."""
        self._since_fact.clear()

    def _wrote(self, record, status) -> None:
        now, writes = asyncio.get_running_loop().time(), self._since_fact[record.uid]
        writes.append(now)
        self.total[record.uid] += 1
        self.worst = max(self.worst, sum(at > now - WITHIN_S for at in writes))

    def check(self) -> None:
        assert self.worst <= MOST, f"{self.worst} writes of one object in a minute, and nothing new"
