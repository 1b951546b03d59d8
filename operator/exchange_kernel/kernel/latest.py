"""The newest of each object of a kind, where nothing is told of what was before."""

from __future__ import annotations

from abc import abstractmethod
from typing import Protocol, TypeVar

import structlog

from exchange_kernel.kernel.following import Following
from exchange_kernel.kernel.objects import Body

log = structlog.get_logger(__name__)


class Versioned(Protocol):
    @property
    def uid(self) -> str: ...

    @property
    def version(self) -> int: ...


Seen = TypeVar("Seen", bound=Versioned)


class Latest(Following[Seen]):
    """By name."""

    @abstractmethod
    def _read(self, raw: Body) -> Seen | None:
        """The object, or None if it is not one to follow. Raises ValueError if it does not fit this version's schema."""

    def learn(self, raw: Body) -> Seen | None:
        """Take in the answer to a request of ours, and return what is known then. It may be older than what the watch told meanwhile."""
        if raw["metadata"]["name"] not in self._known and int(raw["metadata"]["resourceVersion"]) <= self._version:
            return None  # the watch has told of its end already
        return self._take_in(raw)

    def _take_in(self, raw: Body) -> Seen | None:
        name = raw["metadata"]["name"]
        known = self._known.get(name)
        if known is not None and int(raw["metadata"]["resourceVersion"]) <= known.version:
            return known
        try:
            seen = self._read(raw)
        except ValueError as error:
            log.error("an object does not fit the schema", kind=self.plural, name=name, namespace=self._namespace, error=str(error))
            return known
        if seen is None:
            return known
        self._known[name] = seen
        self._wake(name)
        return seen

    def _take_in_list(self, items: list[Body], version: int) -> None:
        went_back = version < self._version
        self._version = version
        if went_back:
            self._known.clear()
        for raw in items:
            self._take_in(raw)
        listed = {raw["metadata"]["name"] for raw in items}
        for name, known in list(self._known.items()):
            if name not in listed and known.version <= version:
                self._forget(name)

    def _on_event(self, kind: str, raw: Body) -> None:
        if kind != "DELETED":
            self._take_in(raw)
        elif (known := self._known.get(raw["metadata"]["name"])) is not None and known.uid == raw["metadata"]["uid"]:
            self._forget(raw["metadata"]["name"])

    def _forget(self, name: str) -> None:
        self._known.pop(name)
        self._wake(name)
