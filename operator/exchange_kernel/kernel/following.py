"""Following the objects of one kind: one list, then one watch that is resumed where it ended, and a list again where that can't be.

Nothing is lost between a list and its watch, nor across reconnects: a watch goes on from the last version that was taken in. Where the API server no
longer knows that version (410), or was restored to an earlier state, everything is listed again. What the objects are is `mirror.py`'s and `groups.py`'s.
"""

from __future__ import annotations

import asyncio
import random
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing, suppress
from typing import Any, Generic, Protocol, TypeVar

import structlog

from exchange_kernel.kernel.objects import Body
from exchange_kernel.kube.client import WATCH_S, Answer, Resource

log = structlog.get_logger(__name__)

PAGE = 500
RETRY_S = (0.1, 0.25, 0.5, 1.0, 2.0, 5.0)
SHORT_LIVED_S = 1.0  # a watch that ends sooner did not do its work: the next one waits a little
GONE = 410

Known = TypeVar("Known")


def monotonic() -> float:
    """The clock by which the kernel waits, in seconds."""
    return asyncio.get_running_loop().time()


def wall_ms() -> int:
    """The machine's time, which names and events carry where a kernel has no clock of its own."""
    return time.time_ns() // 1_000_000


class ObjectApi(Protocol):
    """Where the objects are: an API server, or a file. Answers are an API server's, and merge patches are what is patched with (RFC 7396)."""

    async def get(self, path: str, **query: str) -> Answer: ...

    async def create(self, path: str, body: Body) -> Answer: ...

    async def patch(self, path: str, body: Body) -> Answer: ...

    def watch(self, path: str, **query: str) -> AsyncGenerator[Body, None]: ...

    async def close(self) -> None: ...


class Following(ABC, Generic[Known]):
    """One kind in one namespace. Kept between a kernel's stop and its next start."""

    def __init__(self, resource: Resource, namespace: str, selector: Mapping[str, str], monotonic: Callable[[], float]) -> None:
        """`selector`: the query parameters that say which of the objects."""
        self._path, self._namespace, self._monotonic = resource.path(namespace), namespace, monotonic
        self.plural = resource.plural
        self._selector = selector
        self._known: dict[str, Known] = {}
        self._version = 0  # all changes up to here have been taken in; 0: none
        self._must_list = True
        self._waiting: dict[str, set[asyncio.Event]] = {}
        self._heard_at = 0.0
        self.open = False
        self.problem = ""  # why it does not see now; empty: it sees
        self.lists = 0

    # ── Reading ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def get(self, name: str) -> Known | None:
        return self._known.get(name)

    def all(self) -> list[Known]:
        return list(self._known.values())

    @property
    def age_seconds(self) -> float:
        """Since the API server was last heard from. It is heard from at least once a minute, if only by a bookmark."""
        return max(0.0, self._monotonic() - self._heard_at)

    async def until(self, name: str, enough: Callable[[Known | None], bool], within: float) -> Known | None:
        """The object as soon as it is `enough`; or as it is after so many seconds, or when following ends. None: there is none."""
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

    def _wake(self, name: str) -> None:
        for changed in self._waiting.get(name, ()):
            changed.set()

    # ── Following the API server ────────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def begin(self, api: ObjectApi) -> Answer | None:
        """List once. Returns the answer that was no list, if it was none."""
        refused = await self._list(api)
        self.open = refused is None
        return refused

    async def follow(self, api: ObjectApi) -> None:
        """Watch, and list again where that must be, until cancelled."""
        failures = 0
        while True:
            try:
                good = await self._next(api, after_failure=failures > 0)
            except Exception:  # a bug, or an answer like no other: never the end of following
                log.exception("what the API server sent could not be taken in; listing again", kind=self.plural, namespace=self._namespace)
                self._must_list, good = True, False
                self._note("Its answer could not be taken in.")
            failures = 0 if good else failures + 1
            if not good:
                await asyncio.sleep(RETRY_S[min(failures, len(RETRY_S)) - 1] * random.uniform(0.5, 1.0))

    async def _next(self, api: ObjectApi, *, after_failure: bool) -> bool:
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

    async def _list(self, api: ObjectApi) -> Answer | None:
        query = {"limit": str(PAGE), **self._selector}
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

    async def _watch(self, api: ObjectApi) -> bool:
        """One watch, to its end."""
        began, useful = self._monotonic(), False
        query = {"resourceVersion": str(self._version), "allowWatchBookmarks": "true", "timeoutSeconds": str(WATCH_S), **self._selector}
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
                    if kind != "BOOKMARK":
                        self._on_event(kind, body)
                    self._version = max(self._version, int(body["metadata"]["resourceVersion"]))
        return useful or self._monotonic() - began >= SHORT_LIVED_S

    async def _notice_a_restore(self, api: ObjectApi) -> None:
        """A watch from a version that a restored API server has yet to reach is silent, and says nothing of why."""
        answer = await api.get(self._path, limit="1")
        if answer.ok and int(answer.body["metadata"]["resourceVersion"]) < self._version:
            self._must_list = True

    def _heard(self) -> None:
        self._heard_at = self._monotonic()

    def _note(self, problem: str) -> None:
        if problem != self.problem:
            log.warning("objects can't be followed now; trying again", kind=self.plural, namespace=self._namespace, reason=problem)
        self.problem = problem

    # ── Taking in ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    @abstractmethod
    def _take_in_list(self, items: list[Body], version: int) -> None:
        """Take in a whole list, and the ends of what is not in it; set `_version`."""

    @abstractmethod
    def _on_event(self, kind: str, raw: Body) -> None:
        """Take in ADDED, MODIFIED or DELETED."""

    @abstractmethod
    def learn(self, raw: Body) -> Any:
        """Take in the answer to a request of ours, which may be older than what the watch told meanwhile. Returns what is known then, or None."""
