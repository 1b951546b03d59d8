"""Intents in memory, with the API server's optimistic concurrency: for tests of the reconcilers, and for a kernel without a cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from exchange_kernel.api import OrderGroupSpec, OrderGroupStatus, OrderIntentSpec, OrderIntentStatus, RiskLimitSpec
from exchange_kernel.core.groups import GroupRecord
from exchange_kernel.core.order import OrderRecord
from exchange_kernel.core.risk import LimitRecord
from exchange_kernel.stores.port import (
    Conflict,
    CreateOutcome,
    Gone,
    GroupWriteOutcome,
    GroupWritten,
    Inadmissible,
    NameTaken,
    Snapshot,
    Unavailable,
    WriteOutcome,
    Written,
)


class MemoryIntentStore:
    """All intents of one process. `changed` is called after each change, as a watch would call."""

    def __init__(self, changed: Callable[[str], None], wall_ms: Callable[[], int]) -> None:
        self._changed, self._wall_ms = changed, wall_ms
        self._records: dict[str, OrderRecord] = {}
        self._created: dict[str, int] = {}
        self._version = 0
        self._made = 0  # members made, of which each has a UID of its own

    # ── What users do ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def create(
        self,
        uid: str,
        spec: OrderIntentSpec,
        *,
        namespace: str = "default",
        name: str | None = None,
        finalizer: bool = True,
        restored: bool = False,
        status: OrderIntentStatus | None = None,
    ) -> OrderRecord:
        version = self._next()
        record = OrderRecord(
            uid=uid,
            namespace=namespace,
            name=name or uid,
            generation=1,
            resource_version=str(version),
            created_ms=self._wall_ms(),
            spec=spec,
            status=status or OrderIntentStatus(),
            finalizer=finalizer,
            restored=restored,
        )
        self._created[uid] = version
        return self._put(record)

    def edit(self, uid: str, spec: OrderIntentSpec) -> OrderRecord:
        record = self._records[uid]
        return self._put(replace(record, spec=spec, generation=record.generation + 1, resource_version=str(self._next())))

    def annotate(self, uid: str, resolve: str | None) -> OrderRecord:
        return self._put(replace(self._records[uid], resolve=resolve, resource_version=str(self._next())))

    def delete(self, uid: str) -> None:
        record = self._records[uid]
        if record.finalizer:
            self._put(replace(record, deleting=True, generation=record.generation + 1, resource_version=str(self._next())))
        else:
            self._remove(uid)

    def forget_creations(self) -> None:
        """As a restarted process: everything is first seen in a list."""
        self._created.clear()

    # ── IntentStore ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def get(self, uid: str) -> OrderRecord | None:
        return self._records.get(uid)

    def of_account(self, namespace: str, account: str) -> Iterable[OrderRecord]:
        return [record for record in self._records.values() if record.namespace == namespace and record.spec.account_ref.name == account]

    def created_version(self, uid: str) -> int | None:
        return self._created.get(uid)

    def named(self, namespace: str, name: str) -> OrderRecord | None:
        return next((record for record in self._records.values() if (record.namespace, record.name) == (namespace, name)), None)

    async def create_member(self, group: GroupRecord, name: str, spec: OrderIntentSpec, *, owned: bool) -> CreateOutcome:
        found = self.named(group.namespace, name)
        if found is not None:
            return Written(found) if found.spec.group_ref == spec.group_ref else NameTaken()
        self._made += 1
        return Written(self.create(f"{group.uid}-{name}-{self._made}", spec, namespace=group.namespace, name=name))

    async def write_spec(self, record: OrderRecord, spec: OrderIntentSpec) -> WriteOutcome | Inadmissible:
        return self._write(record, lambda current: replace(current, spec=spec, generation=current.generation + 1))

    async def read(self, uid: str) -> OrderRecord | Unavailable | None:
        return self._records.get(uid)

    async def list_all(self, namespace: str) -> Snapshot | Unavailable:
        return Snapshot(tuple(record for record in self._records.values() if record.namespace == namespace), self._version)

    async def write_status(self, record: OrderRecord, status: OrderIntentStatus) -> WriteOutcome:
        return self._write(record, lambda current: replace(current, status=status))

    async def add_finalizer(self, record: OrderRecord) -> WriteOutcome:
        return self._write(record, lambda current: replace(current, finalizer=True))

    async def remove_finalizer(self, record: OrderRecord) -> WriteOutcome:
        return self._write(record, lambda current: replace(current, finalizer=False))

    async def remove(self, record: OrderRecord) -> WriteOutcome:
        current = self._records.get(record.uid)
        if current is not None and current.resource_version != record.resource_version:
            return Conflict()
        if current is not None:
            self._remove(record.uid)
        return Gone()

    def _write(self, record: OrderRecord, change: Callable[[OrderRecord], OrderRecord]) -> WriteOutcome:
        current = self._records.get(record.uid)
        if current is None:
            return Gone()
        if current.resource_version != record.resource_version:
            return Conflict()
        changed = self._put(replace(change(current), resource_version=str(self._next())))
        if changed.deleting and not changed.finalizer:
            self._remove(record.uid)
        return Written(changed)

    def _put(self, record: OrderRecord) -> OrderRecord:
        self._records[record.uid] = record
        self._changed(record.uid)
        return record

    def _remove(self, uid: str) -> None:
        """Past any finalizer."""
        self._records.pop(uid)
        self._created.pop(uid, None)
        self._changed(uid)

    def _next(self) -> int:
        self._version += 1
        return self._version


class MemoryGroupStore:
    """All groups of one process, as `MemoryIntentStore` has its intents."""

    def __init__(self, changed: Callable[[str], None], wall_ms: Callable[[], int]) -> None:
        self._changed, self._wall_ms = changed, wall_ms
        self._records: dict[str, GroupRecord] = {}
        self._version = 0

    def create(self, uid: str, spec: OrderGroupSpec, *, namespace: str = "default", name: str | None = None, restored: bool = False) -> GroupRecord:
        return self._put(
            GroupRecord(
                uid=uid, namespace=namespace, name=name or uid, generation=1, resource_version=self._next(), created_ms=self._wall_ms(), spec=spec,
                status=OrderGroupStatus(), restored=restored,
            )
        )

    def edit(self, uid: str, spec: OrderGroupSpec) -> GroupRecord:
        record = self._records[uid]
        return self._put(replace(record, spec=spec, generation=record.generation + 1, resource_version=self._next()))

    def delete(self, uid: str) -> None:
        record = self._records[uid]
        if record.finalizer:
            self._put(replace(record, deleting=True, generation=record.generation + 1, resource_version=self._next()))
        else:
            self._remove(uid)

    def get(self, uid: str) -> GroupRecord | None:
        return self._records.get(uid)

    def of_account(self, namespace: str, account: str) -> Iterable[GroupRecord]:
        return [record for record in self._records.values() if record.namespace == namespace and record.spec.account_ref.name == account]

    async def write_status(self, record: GroupRecord, status: OrderGroupStatus) -> GroupWriteOutcome:
        return self._write(record, lambda current: replace(current, status=status))

    async def add_finalizer(self, record: GroupRecord) -> GroupWriteOutcome:
        return self._write(record, lambda current: replace(current, finalizer=True))

    async def remove_finalizer(self, record: GroupRecord) -> GroupWriteOutcome:
        return self._write(record, lambda current: replace(current, finalizer=False))

    async def remove(self, record: GroupRecord) -> GroupWriteOutcome:
        if (current := self._records.get(record.uid)) is not None and current.resource_version != record.resource_version:
            return Conflict()
        self.delete(record.uid)
        return Gone()

    def _write(self, record: GroupRecord, change: Callable[[GroupRecord], GroupRecord]) -> GroupWriteOutcome:
        current = self._records.get(record.uid)
        if current is None:
            return Gone()
        if current.resource_version != record.resource_version:
            return Conflict()
        changed = self._put(replace(change(current), resource_version=self._next()))
        if changed.deleting and not changed.finalizer:
            self._remove(record.uid)
            return Gone()
        return GroupWritten(changed)

    def _put(self, record: GroupRecord) -> GroupRecord:
        self._records[record.uid] = record
        self._changed(record.uid)
        return record

    def _remove(self, uid: str) -> None:
        self._records.pop(uid)
        self._changed(uid)

    def _next(self) -> str:
        self._version += 1
        return str(self._version)


class MemoryLimitStore:
    """All RiskLimits of one process. `changed` is called with the namespace."""

    def __init__(self, changed: Callable[[str], None] = lambda namespace: None) -> None:
        self._changed = changed
        self._records: dict[tuple[str, str], LimitRecord] = {}
        self.readable = True

    def put(self, name: str, spec: RiskLimitSpec | None, *, namespace: str = "default") -> None:
        self._records[namespace, name] = LimitRecord(uid=f"{namespace}/{name}", namespace=namespace, name=name, spec=spec)
        self._changed(namespace)

    def delete(self, name: str, *, namespace: str = "default") -> None:
        self._records.pop((namespace, name))
        self._changed(namespace)

    def of_account(self, namespace: str, account: str) -> tuple[LimitRecord, ...] | None:
        if not self.readable:
            return None
        return tuple(record for key, record in sorted(self._records.items()) if key[0] == namespace and record.covers(account))

    async def read(self, namespace: str) -> bool:
        return self.readable
