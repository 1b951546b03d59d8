"""Intents, groups and accounts in memory, with the API server's optimistic concurrency: for tests of the reconcilers, and for a kernel without a cluster.

`sqlite.py` keeps the same stores in a file: each change passes `_keep` or `_let_go` before it is believed, and one that does not pass was never made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Generic, TypeVar

from exchange_kernel.api import (
    ExchangeAccountSpec,
    ExchangeAccountStatus,
    OrderGroupSpec,
    OrderGroupStatus,
    OrderIntentSpec,
    OrderIntentStatus,
    RiskLimitSpec,
)
from exchange_kernel.core.groups import GroupRecord
from exchange_kernel.core.order import OrderRecord
from exchange_kernel.core.risk import LimitRecord
from exchange_kernel.stores.port import (
    AccountRecord,
    Conflict,
    CreateOutcome,
    Found,
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

R = TypeVar("R", OrderRecord, GroupRecord, AccountRecord)


class NotKept(Exception):
    """The change could not be made to last, and was not made."""


class Records(Generic[R]):
    """All objects of one kind. `changed` is called after each change, as a watch would call."""

    def __init__(self, changed: Callable[[str], None], wall_ms: Callable[[], int]) -> None:
        self._changed, self._wall_ms = changed, wall_ms
        self._records: dict[str, R] = {}
        self._uids: dict[tuple[str, str], str] = {}  # by namespace and name
        self._version = 0

    @property
    def version(self) -> int:
        """Of the newest change."""
        return self._version

    def get(self, uid: str) -> R | None:
        return self._records.get(uid)

    def everything(self) -> list[R]:
        return list(self._records.values())

    def named(self, namespace: str, name: str) -> R | None:
        uid = self._uids.get((namespace, name))
        return self._records.get(uid) if uid is not None else None

    def delete(self, uid: str) -> None:
        """As a user does: what has a finalizer goes once that is taken off."""
        record = self._records[uid]
        if record.finalizer:
            self._put(replace(record, deleting=True, generation=record.generation + 1, resource_version=self._next()))
        else:
            self._remove(uid)

    # ── Changing ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _keep(self, record: R) -> None:
        """Make it last. Raises NotKept."""

    def _let_go(self, uid: str) -> None:
        """Make its end last. Raises NotKept."""

    def _put(self, record: R) -> R:
        self._keep(record)
        self._know(record)
        self._changed(record.uid)
        return record

    def _know(self, record: R) -> None:
        self._records[record.uid] = record
        self._uids[record.namespace, record.name] = record.uid

    def _remove(self, uid: str) -> None:
        """Past any finalizer."""
        self._next()
        self._let_go(uid)
        gone = self._records.pop(uid)
        if self._uids.get(key := (gone.namespace, gone.name)) == uid:  # and not a newer one's that has the name
            del self._uids[key]
        self._changed(uid)

    def _next(self) -> str:
        self._version += 1
        return str(self._version)

    def _written(self, record: R, change: Callable[[R], R]) -> R | Conflict | Gone | Unavailable:
        """Change the version that the writer decided on, or nothing."""
        current = self._records.get(record.uid)
        if current is None:
            return Gone()
        if current.resource_version != record.resource_version:
            return Conflict()
        changed = replace(change(current), resource_version=self._next())
        try:
            if changed.deleting and not changed.finalizer:
                self._remove(record.uid)
                return changed
            return self._put(changed)
        except NotKept as failure:
            return Unavailable(str(failure))

    def _removed(self, record: R) -> Conflict | Gone | Unavailable:
        """Delete the version that the writer decided on, or nothing."""
        current = self._records.get(record.uid)
        if current is None:
            return Gone()
        if current.resource_version != record.resource_version:
            return Conflict()
        try:
            self._remove(record.uid)
        except NotKept as failure:
            return Unavailable(str(failure))
        return Gone()


class MemoryIntentStore(Records[OrderRecord]):
    """All intents of one process."""

    def __init__(self, changed: Callable[[str], None], wall_ms: Callable[[], int]) -> None:
        super().__init__(changed, wall_ms)
        self._created: dict[str, int] = {}
        self.gone: Callable[[OrderRecord], None] = lambda record: None  # told the last record of each that is no more

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
        self._created[uid] = int(version)
        try:
            return self._put(
                OrderRecord(
                    uid=uid,
                    namespace=namespace,
                    name=name or uid,
                    generation=1,
                    resource_version=version,
                    created_ms=self._wall_ms(),
                    spec=spec,
                    status=status or OrderIntentStatus(),
                    finalizer=finalizer,
                    restored=restored,
                )
            )
        except NotKept:
            self._created.pop(uid)
            raise

    def edit(self, uid: str, spec: OrderIntentSpec) -> OrderRecord:
        record = self._records[uid]
        return self._put(replace(record, spec=spec, generation=record.generation + 1, resource_version=self._next()))

    def annotate(self, uid: str, resolve: str | None, *, by: str | None = None, unstamped: bool = False) -> OrderRecord:
        return self._put(replace(self._records[uid], resolve=resolve, resolved_by=by, unstamped=unstamped, resource_version=self._next()))

    def ask(self, uid: str, token: str) -> OrderRecord:
        """Have the order read from the exchange now."""
        return self._put(replace(self._records[uid], reconcile=token, resource_version=self._next()))

    def forget_creations(self) -> None:
        """As a restarted process: everything is first seen in a list."""
        self._created.clear()

    # ── IntentStore ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def of_account(self, namespace: str, account: str) -> Iterable[OrderRecord]:
        return [record for record in self._records.values() if record.namespace == namespace and record.spec.account_ref.name == account]

    def created_version(self, uid: str) -> int | None:
        return self._created.get(uid)

    async def create_member(self, group: GroupRecord, name: str, spec: OrderIntentSpec, *, owned: bool) -> CreateOutcome:
        found = self.named(group.namespace, name)
        if found is not None:
            return Found(found) if found.spec.group_ref == spec.group_ref else NameTaken()
        try:
            return Written(self.create(self._new_uid(group, name), spec, namespace=group.namespace, name=name))
        except NotKept as failure:
            return Unavailable(str(failure))

    def _new_uid(self, group: GroupRecord, name: str) -> str:
        """Of a member: one that no object has, or had."""
        return f"{group.uid}-{name}-{self._version}"

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
        return self._removed(record)

    def _write(self, record: OrderRecord, change: Callable[[OrderRecord], OrderRecord]) -> WriteOutcome:
        written = self._written(record, change)
        return Written(written) if isinstance(written, OrderRecord) else written

    def _remove(self, uid: str) -> None:
        last = self._records[uid]
        super()._remove(uid)
        self._created.pop(uid, None)
        self.gone(last)


class MemoryGroupStore(Records[GroupRecord]):
    """All groups of one process."""

    def create(
        self, uid: str, spec: OrderGroupSpec, *, namespace: str = "default", name: str | None = None, finalizer: bool = False, restored: bool = False
    ) -> GroupRecord:
        return self._put(
            GroupRecord(
                uid=uid,
                namespace=namespace,
                name=name or uid,
                generation=1,
                resource_version=self._next(),
                created_ms=self._wall_ms(),
                spec=spec,
                status=OrderGroupStatus(),
                finalizer=finalizer,
                restored=restored,
            )
        )

    def edit(self, uid: str, spec: OrderGroupSpec) -> GroupRecord:
        record = self._records[uid]
        return self._put(replace(record, spec=spec, generation=record.generation + 1, resource_version=self._next()))

    # ── GroupStore ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def of_account(self, namespace: str, account: str) -> Iterable[GroupRecord]:
        return [record for record in self._records.values() if record.namespace == namespace and record.spec.account_ref.name == account]

    async def list_all(self, namespace: str) -> tuple[GroupRecord, ...] | Unavailable:
        return tuple(record for record in self._records.values() if record.namespace == namespace)

    async def write_status(self, record: GroupRecord, status: OrderGroupStatus) -> GroupWriteOutcome:
        return self._write(record, lambda current: replace(current, status=status))

    async def add_finalizer(self, record: GroupRecord) -> GroupWriteOutcome:
        return self._write(record, lambda current: replace(current, finalizer=True))

    async def remove_finalizer(self, record: GroupRecord) -> GroupWriteOutcome:
        return self._write(record, lambda current: replace(current, finalizer=False))

    async def remove(self, record: GroupRecord) -> GroupWriteOutcome:
        current = self._records.get(record.uid)
        if current is None or not current.finalizer or current.resource_version != record.resource_version:
            return self._removed(record)
        written = self._written(record, lambda current: replace(current, deleting=True, generation=current.generation + 1))
        return written if isinstance(written, Unavailable) else Gone()

    def _write(self, record: GroupRecord, change: Callable[[GroupRecord], GroupRecord]) -> GroupWriteOutcome:
        written = self._written(record, change)
        if not isinstance(written, GroupRecord):
            return written
        return GroupWritten(written) if written.uid in self._records else Gone()


class MemoryAccountStore(Records[AccountRecord]):
    """All accounts of one process."""

    def create(self, uid: str, spec: ExchangeAccountSpec, *, namespace: str = "default", name: str | None = None) -> AccountRecord:
        return self._put(
            AccountRecord(
                uid=uid,
                namespace=namespace,
                name=name or uid,
                generation=1,
                resource_version=self._next(),
                created_ms=self._wall_ms(),
                spec=spec,
                status=ExchangeAccountStatus(),
            )
        )

    def edit(self, uid: str, spec: ExchangeAccountSpec) -> AccountRecord:
        record = self._records[uid]
        return self._put(replace(record, spec=spec, generation=record.generation + 1, resource_version=self._next()))

    # ── AccountStore ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def all(self) -> Iterable[AccountRecord]:
        return self.everything()

    async def read(self, uid: str) -> AccountRecord | Unavailable | None:
        return self.get(uid)

    async def list_all(self) -> tuple[AccountRecord, ...] | Unavailable:
        return tuple(self._records.values())

    async def missing(self, namespace: str, name: str) -> bool:
        return self.named(namespace, name) is None

    async def write_status(self, record: AccountRecord, status: ExchangeAccountStatus) -> bool:
        return record.status == status or self._write(record.uid, lambda current: replace(current, status=status))

    async def add_finalizer(self, record: AccountRecord) -> bool:
        return self._write(record.uid, lambda current: replace(current, finalizer=True))

    async def remove_finalizer(self, record: AccountRecord) -> bool:
        return self._write(record.uid, lambda current: replace(current, finalizer=False))

    def _write(self, uid: str, change: Callable[[AccountRecord], AccountRecord]) -> bool:
        """Of fields that this process alone writes: on whatever version there is."""
        current = self._records.get(uid)
        return current is None or isinstance(self._written(current, change), AccountRecord)


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
