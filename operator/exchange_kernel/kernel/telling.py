"""The events of one kernel's intents: derived from each sight of an intent in turn, and published.

That is done a moment after the sight, so that whoever waits for the intent goes on first; nobody sees the difference, for what is asked about events is
answered once all is told that was seen.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum

import structlog

from exchange_kernel.kernel.derivation import Told, checkpoint, deleted, derive
from exchange_kernel.kernel.events import BaseEvent
from exchange_kernel.kernel.objects import IntentObject

log = structlog.get_logger(__name__)


class Sight(Enum):
    """What was seen of an intent."""

    FOUND = "Found"  # there before its hearer
    CHANGED = "Changed"
    REPLACED = "Replaced"  # gone, and another in its place whose events go on with its numbers
    GONE = "Gone"


@dataclass(frozen=True, slots=True)
class _Seen:
    sight: Sight
    intent: IntentObject  # when it is gone: the last that was seen of it
    at_ms: int
    after_gap: bool


class Telling:
    def __init__(self, publish: Callable[[BaseEvent], None]) -> None:
        self._publish = publish
        self._told: dict[str, Told] = {}  # by name
        self._untold: deque[_Seen] = deque()

    def see(self, sight: Sight, intent: IntentObject, at_ms: int, *, after_gap: bool = False) -> None:
        if not self._untold:
            asyncio.get_running_loop().call_soon(self.tell)
        self._untold.append(_Seen(sight, intent, at_ms, after_gap))

    def sequence(self, name: str) -> int:
        """The number of an intent's last event."""
        self.tell()
        return self._told.get(name, Told()).sequence

    def tell(self) -> None:
        """Publish what has not been yet."""
        while self._untold:
            seen = self._untold.popleft()
            try:
                for event in self._derived(seen):
                    self._publish(event)
            except Exception:  # a bug: the other intents' events are told
                log.exception("the events of an intent could not be told", intent=seen.intent.name)

    def _derived(self, seen: _Seen) -> list[BaseEvent]:
        name, seen_time = seen.intent.name, datetime.fromtimestamp(seen.at_ms / 1000, UTC)
        told = self._told.pop(name, Told())
        if seen.sight is Sight.FOUND:
            events, self._told[name] = checkpoint(seen.intent, seen_time=seen_time)
        elif seen.sight is Sight.CHANGED:
            events, self._told[name] = derive(told, seen.intent, seen_time=seen_time, after_gap=seen.after_gap)
        else:
            events, last = deleted(told, seen.intent, seen_time=seen_time, after_gap=seen.after_gap)
            if seen.sight is Sight.REPLACED:
                self._told[name] = last
        return events
