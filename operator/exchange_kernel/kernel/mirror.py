"""The intents of one kernel as the API server has them.

Answers to the kernel's own requests are taken in as they come, so that it reads what it wrote. The events that follow are `telling.py`'s; after a gap they
tell how everything differs from what had been told. How the API server is followed is `following.py`'s.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from exchange_kernel.kernel.events import BaseEvent
from exchange_kernel.kernel.following import Following, monotonic, wall_ms
from exchange_kernel.kernel.objects import STRATEGY_LABEL, Body, IntentObject, intent_object
from exchange_kernel.kernel.telling import Sight, Telling
from exchange_kernel.kube.client import ORDER_INTENTS

log = structlog.get_logger(__name__)

REMEMBERED = 1000  # intents that are gone


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose intents: those of one account in one namespace, and of one strategy if it is named."""

    namespace: str
    account: str
    strategy: str | None

    @property
    def selector(self) -> dict[str, str]:
        """By account would be a field selector, which API servers before 1.32 do not have for our kinds."""
        return {} if self.strategy is None else {"labelSelector": f"{STRATEGY_LABEL}={self.strategy}"}

    def has(self, intent: IntentObject) -> bool:
        return intent.spec.account_ref.name == self.account and self.strategy in (None, intent.strategy)


@dataclass(slots=True)
class Mirrored:
    """An intent, and for how long it waits for its operator."""

    intent: IntentObject
    unanswered_since: float | None  # by our monotonic clock; None: the status is about this spec


class Mirror(Following[Mirrored]):
    """Kept between a kernel's stop and its next start: what happened meanwhile is told then, as after a gap."""

    def __init__(
        self,
        scope: Scope,
        publish: Callable[[BaseEvent], None],
        *,
        monotonic: Callable[[], float] = monotonic,
        wall_ms: Callable[[], int] = wall_ms,
    ) -> None:
        super().__init__(ORDER_INTENTS, scope.namespace, scope.selector, monotonic)
        self.scope, self._telling, self._wall_ms = scope, Telling(publish), wall_ms
        self._gone: OrderedDict[str, IntentObject] = OrderedDict()

    def last_of(self, name: str) -> IntentObject | None:
        """The last that was seen of an intent that is gone since not long ago."""
        return self._gone.get(name)

    def sequence(self, name: str) -> int:
        """The number of the last event told of an intent."""
        return self._telling.sequence(name)

    def close(self) -> None:
        super().close()
        self._telling.tell()

    # ── Taking in ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _take_in_list(self, items: list[Body], version: int) -> None:
        first, went_back = self._version == 0, version < self._version
        self._version = version
        listed = set()
        for raw in items:
            listed.add(raw["metadata"]["name"])
            self._take_in(raw, first=first, after_gap=not first, went_back=went_back)
        for name, known in list(self._known.items()):
            # A list never says DELETED. What we wrote after it was made is not in it, and is there.
            if name not in listed and (went_back or known.intent.version <= version):
                self._forget(name, after_gap=True)

    def _on_event(self, kind: str, raw: Body) -> None:
        metadata = raw["metadata"]
        if kind != "DELETED":
            self._take_in(raw)
            return
        known = self._known.get(metadata["name"])
        if known is not None and known.intent.uid == metadata["uid"]:
            self._forget(metadata["name"])

    def learn(self, raw: Body) -> Mirrored | None:
        """Take in the answer to a request of ours, and return what is known then. It may be older than what the watch told meanwhile."""
        metadata = raw["metadata"]
        if metadata["name"] not in self._known and int(metadata["resourceVersion"]) <= self._version:
            return None  # the watch has told of its end already
        return self._take_in(raw)

    def _take_in(self, raw: Body, *, first: bool = False, after_gap: bool = False, went_back: bool = False) -> Mirrored | None:
        name, known = raw["metadata"]["name"], self._known.get(raw["metadata"]["name"])
        if known is not None and not went_back and int(raw["metadata"]["resourceVersion"]) <= known.intent.version:
            return known
        try:
            intent = intent_object(raw, known.intent if known is not None else None)
        except ValueError as error:
            # One malformed object never stops the others. The schema refuses such objects; an older or newer CRD may not.
            log.error("an intent does not fit the schema", name=name, namespace=self.scope.namespace, error=str(error))
            return known
        if not self.scope.has(intent):
            return known
        if known is not None and known.intent.uid != intent.uid:
            self._forget(name, Sight.REPLACED, after_gap=after_gap)
        self._known[name] = Mirrored(intent, self._unanswered_since(known, intent))
        self._wake(name)
        self._telling.see(Sight.FOUND if first and known is None else Sight.CHANGED, intent, self._wall_ms(), after_gap=after_gap)
        return self._known[name]

    def _unanswered_since(self, known: Mirrored | None, intent: IntentObject) -> float | None:
        if intent.answered:
            return None
        return known.unanswered_since if known is not None and known.unanswered_since is not None else self._monotonic()

    def _forget(self, name: str, sight: Sight = Sight.GONE, *, after_gap: bool = False) -> None:
        known = self._known.pop(name)
        self._gone[name] = known.intent
        while len(self._gone) > REMEMBERED:
            self._gone.popitem(last=False)
        self._wake(name)
        self._telling.see(sight, known.intent, self._wall_ms(), after_gap=after_gap)
