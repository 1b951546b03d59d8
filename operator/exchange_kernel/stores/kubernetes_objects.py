"""One kind's objects on the API server: the watch's cache overlaid with lists, reads and the answers to our own writes.

Every write carries the resourceVersion it was decided on. A record that comes by another way than the watch is no news any more when the watch tells of it:
`changed` is called for it, so that nobody waits for a wake that the watch does not give. The kinds are in `kubernetes.py` and `kubernetes_groups.py`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import structlog
from pydantic import ValidationError

from exchange_kernel.kube.client import Answer, ApiClient, Body, Resource
from exchange_kernel.stores.cache import Cache, Held, Named
from exchange_kernel.stores.port import Conflict, Gone, Unavailable

log = structlog.get_logger(__name__)


class Versioned(Named, Protocol):
    @property
    def resource_version(self) -> str: ...


R = TypeVar("R", bound=Versioned)


@dataclass(frozen=True, slots=True)
class Listed:
    """What one consistent list said."""

    uids: frozenset[str]
    version: int
    complete: bool  # False when an object could not be read


def ended(raw: Body) -> bool:
    """Whether this is the last of an object: the write that takes off the last finalizer of a deleted one is answered with what it was."""
    return "deletionTimestamp" in raw["metadata"] and not raw["metadata"].get("finalizers")


class KubernetesObjects(Generic[R]):
    """All objects of one kind that this process watches."""

    def __init__(
        self,
        api: ApiClient,
        resource: Resource,
        record: Callable[[Body], R],
        finalizer: str,
        *,
        unwritten: Body | None = None,
        changed: Callable[[str], None] = lambda uid: None,
        gone: Callable[[R], None] = lambda record: None,
    ) -> None:
        """`record`: reads an object, or raises ValidationError. `unwritten`: the status that the schema shows until somebody writes.

        `changed` is told the UID of what a list or a read brought before the watch, and `gone` the last record of each object that is gone.
        """
        self._api, self._resource, self._record, self._finalizer, self._unwritten = api, resource, record, finalizer, unwritten
        self._changed = changed
        self._cache: Cache[R] = Cache(gone)

    # ── Taking in ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def observe(self, kind: str | None, raw: Body) -> str | None:
        """Take in a watch event (kind None: from a list). Returns the UID to wake, or None if there is nothing new in it."""
        uid = str(raw["metadata"]["uid"])
        if kind == "DELETED" or ended(raw):
            self._take_in(raw)  # what it was in the end, which may be news too
            return uid if self._cache.bury(uid) else None
        news = self._take_in(raw)
        if kind == "ADDED":
            # The one event whose version is that of the creation, on a watch without selectors that began from a list (H22).
            self._cache.added(uid, int(raw["metadata"]["resourceVersion"]))
        return uid if news else None

    def _take_in(self, raw: Body, asked: int | None = None) -> bool:
        """Put the object into the cache. `asked`: the number of the request that it answers. False if it is no news, or can't be read."""
        metadata = raw["metadata"]
        uid, version = str(metadata["uid"]), int(metadata["resourceVersion"])
        if not self._cache.news(uid, version, asked):
            return False
        try:
            record = self._record(raw)
        except ValidationError as error:
            # One malformed object never stops the others (rule 14). The schema refuses such objects; an older CRD may not.
            log.error(
                "an object does not fit the schema",
                kind=self._resource.plural,
                name=metadata["name"],
                namespace=metadata["namespace"],
                errors=error.error_count(),
            )
            return False
        unwritten = self._unwritten is not None and raw.get("status") == self._unwritten
        return self._cache.put(record, version, finalizers=metadata.get("finalizers") or (), unwritten=unwritten, asked=asked)

    def _bring(self, raw: Body, asked: int) -> None:
        """Take in what a list or a read shows, and tell of it: the watch will not."""
        if self._take_in(raw, asked):
            self._changed(str(raw["metadata"]["uid"]))

    # ── Reading ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def get(self, uid: str) -> R | None:
        return self._cache.get(uid)

    def named(self, namespace: str, name: str) -> R | None:
        return self._cache.named(namespace, name)

    async def read(self, uid: str) -> R | Unavailable | None:
        """The object as it is now, past all caches; None once it is gone."""
        known = self._cache.get(uid)
        if known is None:
            return None
        with self._cache.asking() as asked:
            answer = await self._api.get(self._resource.path(known.namespace, known.name))
            if answer.ok:
                self._bring(answer.body, asked)
            elif answer.status != 404:
                return Unavailable(answer.message)
            if answer.status == 404 or answer.body["metadata"]["uid"] != uid:
                self._cache.bury(uid)
            elif not self._cache.knows(uid, int(answer.body["metadata"]["resourceVersion"])):
                return Unavailable("The object does not fit the schema of this version.")
        return self._cache.get(uid)

    async def _list(self, namespace: str | None, after: Callable[[int], Unavailable | None] = lambda version: None) -> Listed | Unavailable:
        """One consistent list: no resourceVersion asked for, so the API server answers from the quorum. It also mends the cache.

        `after` may refuse the list for its version.
        """
        with self._cache.asking() as asked:
            answer = await self._api.get(self._resource.path(namespace))
            if not answer.ok:
                return Unavailable(answer.message)
            version = int(answer.body["metadata"]["resourceVersion"])
            if (refused := after(version)) is not None:
                return refused
            items: Iterable[Body] = answer.body.get("items", ())
            for raw in items:
                self._bring(raw, asked)
            listed = frozenset(str(raw["metadata"]["uid"]) for raw in items)
            complete = all(self._cache.knows(str(raw["metadata"]["uid"]), int(raw["metadata"]["resourceVersion"])) for raw in items)
            self._cache.bury_unlisted(namespace, listed, version)
            return Listed(listed, version, complete)

    # ── Writing ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _decided_on(self, record: R) -> Held[R] | Conflict | Gone:
        """What is held of the object, if it is still what was decided on: the API server would refuse a write to any other version."""
        held = self._cache.held(record.uid)
        if held is None:
            return Gone()
        return held if held.version == int(record.resource_version) else Conflict()

    async def add_finalizer_to(self, record: R) -> R | Conflict | Gone | Unavailable:
        held = self._decided_on(record)
        return await self._write_finalizers(record, [*held.finalizers, self._finalizer]) if isinstance(held, Held) else held

    async def take_finalizer_off(self, record: R) -> R | Conflict | Gone | Unavailable:
        held = self._decided_on(record)
        return await self._write_finalizers(record, [name for name in held.finalizers if name != self._finalizer]) if isinstance(held, Held) else held

    async def _write_finalizers(self, record: R, finalizers: list[str]) -> R | Conflict | Gone | Unavailable:
        # A merge patch replaces the list whole; with the version it was read at, nobody else's finalizer is lost by it.
        body = {"metadata": {"resourceVersion": record.resource_version, "finalizers": finalizers}}
        return await self._write(record, self._api.patch(self._resource.path(record.namespace, record.name), body))

    async def _delete(self, record: R) -> Conflict | Gone | Unavailable:
        """Delete this very version. Gone once the API server has agreed; finalizers may keep the object."""
        body = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": record.uid, "resourceVersion": record.resource_version}}
        path = self._resource.path(record.namespace, record.name)
        with self._cache.asking() as asked:
            answer = await self._api.delete(path, body)
            if not answer.ok:
                return await self._refused(record, answer)
            metadata = answer.body.get("metadata", {})
            if metadata.get("uid") == record.uid and metadata.get("finalizers"):
                self._take_in(answer.body, asked)
            else:
                self._cache.bury(record.uid)
        return Gone()

    async def _write(self, record: R, request: Awaitable[Answer]) -> R | Conflict | Gone | Unavailable:
        with self._cache.asking() as asked:
            return await self._written(record, await request, asked)

    async def _written(self, record: R, answer: Answer, asked: int) -> R | Conflict | Gone | Unavailable:
        """The newest that is known of the object, if the write is made: the watch may have told of a later change, or of the end, before the answer."""
        if not answer.ok:
            return await self._refused(record, answer)
        if answer.body.get("metadata", {}).get("uid") != record.uid:
            self._cache.bury(record.uid)
            return Gone()
        if ended(answer.body):
            self._cache.bury(record.uid)
            return self._record(answer.body)
        self._take_in(answer.body, asked)
        return self._cache.get(record.uid) or Gone()

    async def _refused(self, record: R, answer: Answer) -> Conflict | Gone | Unavailable:
        if answer.status == 404:
            self._cache.bury(record.uid)
            return Gone()
        if answer.status != 409:
            return Unavailable(answer.message)
        fresh = await self.read(record.uid)
        return fresh if isinstance(fresh, Unavailable) else Gone() if fresh is None else Conflict()
