"""The newest of each object that this process has been told of. Every source of a record passes `Cache.put`, which only moves forward (rule 15).

A watch, a list, a read and the answer to a write tell of one object in any order: the answer to our own write may come after the watch has told of a later
change, or of the end. Versions are compared as numbers, which etcd-backed API servers guarantee. The UID of an object that is gone has a tombstone: what
was asked before the end was known may still tell of the object, and does not bring it back.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

TOMBSTONES = 20_000  # kept beyond the requests that need them: a watch may be late too


class Named(Protocol):
    @property
    def uid(self) -> str: ...

    @property
    def namespace(self) -> str: ...

    @property
    def name(self) -> str: ...


R = TypeVar("R", bound=Named)


@dataclass(frozen=True, slots=True)
class Held(Generic[R]):
    """A record, with what is known of the object at that very version."""

    record: R
    version: int
    finalizers: tuple[str, ...] = ()
    unwritten: bool = False  # nobody has written its status yet


class Cache(Generic[R]):
    """All objects of one kind, by UID. `gone` is told the last record of each that ends."""

    def __init__(self, gone: Callable[[R], None] = lambda record: None, tombstones: int = TOMBSTONES) -> None:
        self._gone, self._tombstones = gone, tombstones
        self._held: dict[str, Held[R]] = {}
        self._created: dict[str, int] = {}
        self._uids: dict[tuple[str, str], str] = {}  # by namespace and name
        self._buried: OrderedDict[str, int] = OrderedDict()  # by UID: the number of the last request that had begun by then
        self._asking: dict[int, None] = {}  # the numbers of the requests under way, in order
        self._asked = 0

    # ── Reading ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def get(self, uid: str) -> R | None:
        held = self._held.get(uid)
        return held.record if held is not None else None

    def held(self, uid: str) -> Held[R] | None:
        return self._held.get(uid)

    def named(self, namespace: str, name: str) -> R | None:
        uid = self._uids.get((namespace, name))
        return self._held[uid].record if uid is not None else None

    def everything(self) -> list[R]:
        return [held.record for held in self._held.values()]

    def created_version(self, uid: str) -> int | None:
        return self._created.get(uid)

    # ── Taking in ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    @contextmanager
    def asking(self) -> Iterator[int]:
        """A request under way, by its number; its answer is taken in before this ends."""
        self._asked += 1
        number = self._asked
        self._asking[number] = None
        try:
            yield number
        finally:
            del self._asking[number]
            self._clear()

    def news(self, uid: str, version: int, asked: int | None = None) -> bool:
        """Whether this version of the object is later than all that is known of it. `asked`: the number of the request that it answers."""
        if (buried := self._buried.get(uid)) is not None:
            # What was asked after the burial and shows the object proves the burial wrong.
            return asked is not None and asked > buried
        held = self._held.get(uid)
        return held is None or held.version < version

    def put(self, record: R, version: int, *, finalizers: Collection[str] = (), unwritten: bool = False, asked: int | None = None) -> bool:
        """Take in what some source tells. False if it was no news."""
        uid, place = record.uid, (record.namespace, record.name)
        if not self.news(uid, version, asked):
            return False
        other = self._uids.get(place)
        if other is not None and other != uid:
            # Two objects of one name never exist at once: the one that is told of at the lower version is gone.
            if self._held[other].version > version:
                self.bury(uid)
                return False
            self.bury(other)
        self._buried.pop(uid, None)
        self._held[uid] = Held(record, version, tuple(finalizers), unwritten)
        self._uids[place] = uid
        return True

    def added(self, uid: str, version: int) -> None:
        """Note the version of the object's creation, if the object is not gone by now."""
        if uid in self._held:
            self._created.setdefault(uid, version)

    def bury(self, uid: str) -> bool:
        """Let the object be gone for good. False if there was none."""
        self._buried[uid] = self._asked
        self._buried.move_to_end(uid)
        self._clear()
        held = self._held.pop(uid, None)
        if held is None:
            return False
        self._created.pop(uid, None)
        del self._uids[held.record.namespace, held.record.name]
        self._gone(held.record)
        return True

    def bury_unlisted(self, namespace: str | None, listed: Collection[str], version: int) -> None:
        """Let be gone what a consistent list of that version lacks; a list never says DELETED."""
        for uid, held in list(self._held.items()):
            if namespace in (None, held.record.namespace) and uid not in listed and held.version <= version:
                self.bury(uid)

    def knows(self, uid: str, version: int) -> bool:
        """Whether this version or a later one has been taken in, the end included."""
        held = self._held.get(uid)
        return uid in self._buried or (held is not None and held.version >= version)

    def _clear(self) -> None:
        """Forget the oldest tombstones; one stays for as long as a request is under way that began before it."""
        oldest = next(iter(self._asking), self._asked + 1)
        while len(self._buried) > self._tombstones and next(iter(self._buried.values())) < oldest:
            self._buried.popitem(last=False)
