"""The intents of one kernel as the API server has them: one list, then one watch that is resumed where it ended; and the events that follow from them.

Nothing is lost between a list and its watch, nor across reconnects: a watch goes on from the last version that was taken in. Where the API server no
longer knows that version (410), or was restored to an earlier state, everything is listed again and compared with what had been told (`derivation.py`).
Answers to the kernel's own requests are taken in as they come, so that it reads what it wrote.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from exchange_kernel.kernel.derivation import Told, checkpoint, deleted, derive
from exchange_kernel.kernel.events import BaseEvent
from exchange_kernel.kernel.objects import STRATEGY_LABEL, Body, IntentObject, intent_object
from exchange_kernel.kube.client import ORDER_INTENTS, WATCH_S, Answer, ApiClient

log = structlog.get_logger(__name__)

PAGE = 500
RETRY_S = (0.1, 0.25, 0.5, 1.0, 2.0, 5.0)
SHORT_LIVED_S = 1.0  # a watch that ends sooner did not do its work: the next one waits a little
GONE = 410
REMEMBERED = 1000  # intents that are gone


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose intents: those of one account in one namespace, and of one strategy if it is named."""

    namespace: str
    account: str
    strategy: str | None

    def has(self, intent: IntentObject) -> bool:
        return intent.spec.account_ref.name == self.account and self.strategy in (None, intent.strategy)

    @property
    def selector(self) -> dict[str, str]:
        # By account would be a field selector, which API servers before 1.32 do not have for our kinds.
        return {} if self.strategy is None else {"labelSelector": f"{STRATEGY_LABEL}={self.strategy}"}


@dataclass(slots=True)
class Mirrored:
    """An intent, and what its events have told."""

    intent: IntentObject
    told: Told
    unanswered_since: float | None  # by our monotonic clock; None: the status is about this spec


class Mirror:
    """Kept between a kernel's stop and its next start: what happened meanwhile is told then, as after a gap."""

    def __init__(self, scope: Scope, publish: Callable[[BaseEvent], None], *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.scope, self._publish, self._monotonic = scope, publish, monotonic
        self._path = ORDER_INTENTS.path(scope.namespace)
        self._known: dict[str, Mirrored] = {}
        self._version = 0  # all changes up to here have been taken in; 0: none
        self._must_list = True
        self._gone: OrderedDict[str, IntentObject] = OrderedDict()
        self._waiting: dict[str, set[asyncio.Event]] = {}
        self._heard_at = 0.0
        self.open = False
        self.problem = ""  # why it does not see now; empty: it sees
        self.lists = 0

    # ── Reading ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def get(self, name: str) -> Mirrored | None:
        return self._known.get(name)

    def last_of(self, name: str) -> IntentObject | None:
        """The last that was seen of an intent that is gone since not long ago."""
        return self._gone.get(name)

    def all(self) -> list[Mirrored]:
        return list(self._known.values())

    @property
    def age_seconds(self) -> float:
        """Since the API server was last heard from. It is heard from at least once a minute, if only by a bookmark."""
        return max(0.0, self._monotonic() - self._heard_at)

    async def until(self, name: str, enough: Callable[[Mirrored | None], bool], within: float) -> Mirrored | None:
        """The intent as soon as it is `enough`; or as it is after so many seconds, or when the mirror closes. None: there is none."""
        changed = asyncio.Event()
        self._waiting.setdefault(name, set()).add(changed)
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, within)):
                    while self.open and not enough(self.get(name)):
                        changed.clear()
                        await changed.wait()
        finally:
            self._waiting[name].discard(changed)
            if not self._waiting[name]:
                del self._waiting[name]
        return self.get(name)

    # ── Following the API server ────────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def begin(self, api: ApiClient) -> Answer | None:
        """List once. Returns the answer that was no list, if it was none."""
        refused = await self._list(api)
        self.open = refused is None
        return refused

    async def follow(self, api: ApiClient) -> None:
        """Watch, and list again where that must be, until cancelled."""
        failures = 0
        while True:
            try:
                good = await self._next(api, after_failure=failures > 0)
            except Exception:  # a bug, or an answer like no other: never the end of following
                log.exception("what the API server sent could not be taken in; listing again", namespace=self.scope.namespace)
                self._must_list, good = True, False
                self._note("Its answer could not be taken in.")
            failures = 0 if good else failures + 1
            if not good:
                await asyncio.sleep(RETRY_S[min(failures, len(RETRY_S)) - 1] * random.uniform(0.5, 1.0))

    async def _next(self, api: ApiClient, *, after_failure: bool) -> bool:
        """One list or one watch. False if the next should not follow at once."""
        if after_failure and not self._must_list:
            await self._notice_a_restore(api)
        if not self._must_list:
            return await self._watch(api)
        if (refused := await self._list(api)) is not None:
            self._note(refused.message)
        return refused is None

    def close(self) -> None:
        """Nobody waits any longer. What is known is kept."""
        self.open, self._must_list = False, True
        for name in list(self._waiting):
            self._wake(name)

    async def _list(self, api: ApiClient) -> Answer | None:
        query = {"limit": str(PAGE), **self.scope.selector}
        items: list[Body] = []
        while True:
            answer = await api.get(self._path, **query)
            if not answer.ok:
                return answer
            items += answer.body.get("items") or []
            if not (more := answer.body["metadata"].get("continue")):
                break
            query["continue"] = more
        self._heard()
        self._take_in_list(items, int(answer.body["metadata"]["resourceVersion"]))
        self.problem, self._must_list = "", False
        self.lists += 1
        return None

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

    async def _watch(self, api: ApiClient) -> bool:
        """One watch, to its end."""
        began, useful = self._monotonic(), False
        query = {"resourceVersion": str(self._version), "allowWatchBookmarks": "true", "timeoutSeconds": str(WATCH_S), **self.scope.selector}
        async with aclosing(api.watch(self._path, **query)) as events:
            async for event in events:
                kind, body = event["type"], event["object"]
                if kind == "ERROR":
                    self._must_list = body.get("code") == GONE
                    if not self._must_list:
                        self._note(str(body.get("message", "")))
                    return False
                self._heard()
                self.problem = ""
                if kind != "OPENED":
                    useful = True
                    self._on_event(kind, body)
        return useful or self._monotonic() - began >= SHORT_LIVED_S

    def _on_event(self, kind: str, raw: Body) -> None:
        metadata = raw["metadata"]
        version = int(metadata["resourceVersion"])
        if kind == "DELETED":
            known = self._known.get(metadata["name"])
            if known is not None and known.intent.uid == metadata["uid"]:
                self._forget(metadata["name"])
        elif kind != "BOOKMARK":
            self._take_in(raw)
        self._version = max(self._version, version)

    async def _notice_a_restore(self, api: ApiClient) -> None:
        """A watch from a version that a restored API server has yet to reach is silent, and says nothing of why."""
        answer = await api.get(self._path, limit="1")
        if answer.ok and int(answer.body["metadata"]["resourceVersion"]) < self._version:
            self._must_list = True

    def _heard(self) -> None:
        self._heard_at = self._monotonic()

    def _note(self, problem: str) -> None:
        if problem != self.problem:
            log.warning("intents can't be followed now; trying again", namespace=self.scope.namespace, reason=problem)
        self.problem = problem

    # ── Taking in ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def learn(self, raw: Body) -> Mirrored | None:
        """Take in the answer to a request of ours, and return what is known then. It may be older than what the watch told meanwhile."""
        metadata = raw["metadata"]
        if metadata["name"] not in self._known and int(metadata["resourceVersion"]) <= self._version:
            return None  # the watch has told of its end already
        return self._take_in(raw)

    def _take_in(self, raw: Body, *, first: bool = False, after_gap: bool = False, went_back: bool = False) -> Mirrored | None:
        name = raw["metadata"]["name"]
        try:
            intent = intent_object(raw)
        except ValueError as error:
            # One malformed object never stops the others. The schema refuses such objects; an older or newer CRD may not.
            log.error("an intent does not fit the schema", name=name, namespace=self.scope.namespace, error=str(error))
            return self._known.get(name)
        known = self._known.get(name)
        if not self.scope.has(intent) or (known is not None and not went_back and intent.version <= known.intent.version):
            return known
        now = datetime.now(UTC)
        told = Told() if known is None else known.told if known.intent.uid == intent.uid else self._forget(name, after_gap=after_gap)
        events, told = checkpoint(intent, seen_time=now) if first and known is None else derive(told, intent, seen_time=now, after_gap=after_gap)
        self._known[name] = Mirrored(intent, told, self._unanswered_since(known, intent))
        self._tell(name, events)
        return self._known[name]

    def _unanswered_since(self, known: Mirrored | None, intent: IntentObject) -> float | None:
        if intent.answered:
            return None
        return known.unanswered_since if known is not None and known.unanswered_since is not None else self._monotonic()

    def _forget(self, name: str, *, after_gap: bool = False) -> Told:
        known = self._known.pop(name)
        self._gone[name] = known.intent
        while len(self._gone) > REMEMBERED:
            self._gone.popitem(last=False)
        events, told = deleted(known.told, known.intent, seen_time=datetime.now(UTC), after_gap=after_gap)
        self._tell(name, events)
        return told

    def _tell(self, name: str, events: list[BaseEvent]) -> None:
        self._wake(name)
        for event in events:
            self._publish(event)

    def _wake(self, name: str) -> None:
        for changed in self._waiting.get(name, ()):
            changed.set()
