"""The objects of a file, spoken to as an API server is: the same answers and watches, the same rules, in process.

What the API server checks by schema and CEL is checked by the models that those are made from (`api/base.py`, `problems`).
"""

from __future__ import annotations

import asyncio
import uuid
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import takewhile
from typing import Any, Generic

from exchange_kernel.api import GROUP, VERSION, Model, OrderGroup, OrderGroupSpec, OrderIntent, OrderIntentSpec
from exchange_kernel.api.base import rfc3339
from exchange_kernel.core.groups import GroupRecord
from exchange_kernel.core.order import OrderRecord
from exchange_kernel.kernel.following import GONE
from exchange_kernel.kernel.objects import Body
from exchange_kernel.kube.client import ORDER_GROUPS, ORDER_INTENTS, WATCH_S, Answer
from exchange_kernel.stores.memory import NotKept, R, Records
from exchange_kernel.stores.sqlite import SqliteGroupStore, SqliteIntentStore

NAMESPACE = "local"
REMEMBERED = 10_000  # changes: a watch from before them lists again


@dataclass(frozen=True, slots=True)
class _Change:
    version: int
    event: Body


class Objects(Generic[R]):
    """One kind: its store as bodies, and what changed in it."""

    def __init__(self, kind: type[OrderIntent] | type[OrderGroup], store: Records[R], create: Callable[[str, Body], R], edit: Callable[[str, Body], R]) -> None:
        self._kind: type[OrderIntent] | type[OrderGroup] = kind
        self._store: Records[R] = store
        self._create: Callable[[str, Body], R] = create
        self._edit: Callable[[str, Body], R] = edit
        self._shown = {record.uid: self._body(record) for record in store.everything()}
        self._since = store.version  # changes after it are remembered
        self._changes: deque[_Change] = deque(maxlen=REMEMBERED)
        self._told = asyncio.Event()

    def changed(self, uid: str) -> None:
        """To be called after each change of the store."""
        record = self._store.get(uid)
        known = uid in self._shown
        if record is not None:
            body = self._shown[uid] = self._body(record)
        elif known:
            body = self._shown.pop(uid)
            body = {**body, "metadata": {**body["metadata"], "resourceVersion": str(self._store.version)}}
        else:
            return
        if len(self._changes) == REMEMBERED:
            self._since = self._changes[0].version
        kind = "DELETED" if record is None else "MODIFIED" if known else "ADDED"
        self._changes.append(_Change(int(body["metadata"]["resourceVersion"]), {"type": kind, "object": body}))
        self._told.set()
        self._told = asyncio.Event()

    def everything(self) -> Answer:
        return Answer(200, {"metadata": {"resourceVersion": str(self._store.version)}, "items": list(self._shown.values())})

    def get(self, name: str) -> Answer:
        record = self._store.named(NAMESPACE, name)
        return Answer(200, self._shown[record.uid]) if record is not None else _status(404, f"There is no {name}.")

    def create(self, body: Body) -> Answer:
        name = body["metadata"]["name"]
        if self._store.named(NAMESPACE, name) is not None:
            return _status(409, f"There is a {name} already.", reason="AlreadyExists")
        return self._answer(body, None, lambda: self._create(name, body))

    def patch(self, name: str, patch: Body) -> Answer:
        record = self._store.named(NAMESPACE, name)
        if record is None:
            return _status(404, f"There is no {name}.")
        old = self._shown[record.uid]
        if patch.get("metadata", {}).get("resourceVersion", record.resource_version) != record.resource_version:
            return _status(409, f"{name} has been changed since.", reason="Conflict")
        body = {**old, "spec": _merged(old["spec"], patch.get("spec", {}))}
        if body["spec"] == old["spec"]:
            return Answer(200, old)
        return self._answer(body, old, lambda: self._edit(record.uid, body))

    def _answer(self, body: Body, old: Body | None, write: Callable[[], R]) -> Answer:
        problems: list[str] = _problems(self._kind, body, old)
        if problems:
            causes = [{"field": "<nil>", "message": ""}, *({"field": "", "message": problem} for problem in problems)]
            return _status(422, "; ".join(problems), details={"causes": causes})
        try:
            record = write()
        except NotKept as failure:
            return _status(500, str(failure))
        return Answer(201, self._shown[record.uid])

    async def watch(self, version: int) -> AsyncGenerator[Body, None]:
        if version < self._since:
            yield {"type": "ERROR", "object": {"code": GONE, "message": "too old resource version"}}
            return
        yield {"type": "OPENED", "object": {}}
        while True:
            told = self._told
            for change in self._after(version):
                yield change.event
                version = change.version
            if told.is_set():
                continue
            with suppress(TimeoutError):
                await asyncio.wait_for(told.wait(), WATCH_S)
            if not told.is_set():
                yield {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": str(version)}}}

    def _after(self, version: int) -> list[_Change]:
        """Oldest first. What is new is at the end, and few."""
        return list(takewhile(lambda change: change.version > version, reversed(self._changes)))[::-1]

    def _body(self, record: R) -> Body:
        metadata: Body = {
            "name": record.name,
            "namespace": record.namespace,
            "uid": record.uid,
            "resourceVersion": record.resource_version,
            "generation": record.generation,
            "creationTimestamp": rfc3339(datetime.fromtimestamp(record.created_ms / 1000, UTC)),
        }
        if record.deleting:
            metadata["deletionTimestamp"] = metadata["creationTimestamp"]
        documents: dict[str, Model] = {"spec": record.spec, "status": record.status}
        return {
            "apiVersion": f"{GROUP}/{VERSION}",
            "kind": self._kind.__name__,
            "metadata": metadata,
            **{name: model.document() for name, model in documents.items()},
        }


class LocalApi:
    """What a kernel asks an API server, of a file in this process."""

    def __init__(self, intents: SqliteIntentStore, groups: SqliteGroupStore) -> None:
        self.intents: Objects[OrderRecord] = Objects(
            OrderIntent,
            intents,
            lambda name, body: intents.create(str(uuid.uuid4()), OrderIntentSpec.model_validate(body["spec"]), namespace=NAMESPACE, name=name),
            lambda uid, body: intents.edit(uid, OrderIntentSpec.model_validate(body["spec"])),
        )
        self.groups: Objects[GroupRecord] = Objects(
            OrderGroup,
            groups,
            lambda name, body: groups.create(str(uuid.uuid4()), OrderGroupSpec.model_validate(body["spec"]), namespace=NAMESPACE, name=name, finalizer=True),
            lambda uid, body: groups.edit(uid, OrderGroupSpec.model_validate(body["spec"])),
        )
        self._kinds: dict[str, Objects[Any]] = {ORDER_INTENTS.plural: self.intents, ORDER_GROUPS.plural: self.groups}

    def _at(self, path: str) -> tuple[Objects[Any], str | None]:
        plural, *name = path.partition("?")[0].partition(f"/{NAMESPACE}/")[2].split("/")
        return self._kinds[plural], name[0] if name else None

    async def get(self, path: str, **query: str) -> Answer:
        objects, name = self._at(path)
        return objects.everything() if name is None else objects.get(name)

    async def create(self, path: str, body: Body) -> Answer:
        return self._at(path)[0].create(body)

    async def patch(self, path: str, body: Body) -> Answer:
        objects, name = self._at(path)
        return objects.patch(name or "", body)

    def watch(self, path: str, **query: str) -> AsyncGenerator[Body, None]:
        return self._at(path)[0].watch(int(query["resourceVersion"]))

    async def close(self) -> None:
        """The file is closed by who opened it."""


def _problems(kind: type[OrderIntent] | type[OrderGroup], body: Body, old: Body | None) -> list[str]:
    try:
        new = kind.model_validate(body)
    except ValueError as error:
        return [str(error)]
    return new.problems(kind.model_validate(old) if old is not None else None)


def _merged(old: Any, patch: Any) -> Any:
    """RFC 7396."""
    if not isinstance(patch, dict):
        return patch
    merged = {name: value for name, value in old.items() if patch.get(name, ...) is not None} if isinstance(old, dict) else {}
    return {**merged, **{name: _merged(merged.get(name), value) for name, value in patch.items() if value is not None}}


def _status(code: int, message: str, **more: Any) -> Answer:
    return Answer(code, {"kind": "Status", "code": code, "message": message, **more})
