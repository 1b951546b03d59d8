"""Intents and accounts on the API server: the watch's cache overlaid with the answers to our own writes.

Every write carries the resourceVersion it was decided on. Versions are compared as numbers, which etcd-backed API servers guarantee; one that goes
back means a restored etcd, and then nothing in memory can be trusted (rule 7).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

import structlog
from pydantic import ValidationError

from exchange_kernel.api import ExchangeAccountSpec, ExchangeAccountStatus, OrderIntentSpec, OrderIntentStatus, reconcile_asked, spec_patch, status_patch
from exchange_kernel.core.groups import GroupRecord
from exchange_kernel.core.order import OrderRecord
from exchange_kernel.kube.client import EXCHANGE_ACCOUNTS, ORDER_GROUPS, ORDER_INTENTS, Answer, ApiClient, Body
from exchange_kernel.stores.port import AccountRecord, Conflict, CreateOutcome, Gone, Inadmissible, NameTaken, Snapshot, Unavailable, WriteOutcome, Written

log = structlog.get_logger(__name__)

ORDER_FINALIZER = "exchange-kernel.io/order"
ACCOUNT_FINALIZER = "exchange-kernel.io/account"
RESTORE_LABELS = frozenset({"velero.io/restore-name", "exchange-kernel.io/restored"})  # put by whoever creates objects again from a backup
STRATEGY_LABEL = "exchange-kernel.io/strategy"
RESOLVE_ANNOTATION = "exchange-kernel.io/resolve"
_INTENT = {"apiVersion": ORDER_INTENTS.api_version, "kind": "OrderIntent"}
_UNWRITTEN = OrderIntentStatus().document()  # what the schema shows until somebody writes


def intent_record(raw: Body) -> OrderRecord:
    """An OrderIntent as the API server sends it. Raises ValidationError if it does not fit this version's schema."""
    metadata = raw["metadata"]
    return OrderRecord(
        uid=metadata["uid"],
        namespace=metadata["namespace"],
        name=metadata["name"],
        generation=metadata.get("generation", 0),
        resource_version=metadata["resourceVersion"],
        created_ms=ms_of(metadata["creationTimestamp"]),
        spec=OrderIntentSpec.model_validate(raw["spec"]),
        status=OrderIntentStatus.model_validate(raw.get("status") or {}),
        deleting="deletionTimestamp" in metadata,
        finalizer=ORDER_FINALIZER in metadata.get("finalizers", ()),
        restored=not RESTORE_LABELS.isdisjoint(metadata.get("labels", {})),
        resolve=metadata.get("annotations", {}).get(RESOLVE_ANNOTATION),
        reconcile=reconcile_asked(metadata),
    )


def account_record(raw: Body) -> AccountRecord:
    metadata = raw["metadata"]
    return AccountRecord(
        uid=metadata["uid"],
        namespace=metadata["namespace"],
        name=metadata["name"],
        generation=metadata.get("generation", 0),
        resource_version=metadata["resourceVersion"],
        spec=ExchangeAccountSpec.model_validate(raw["spec"]),
        status=ExchangeAccountStatus.model_validate(raw.get("status") or {}),
        created_ms=ms_of(metadata["creationTimestamp"]),
        deleting="deletionTimestamp" in metadata,
        finalizer=ACCOUNT_FINALIZER in metadata.get("finalizers", ()),
    )


def ms_of(timestamp: str) -> int:
    return int(datetime.fromisoformat(timestamp).timestamp() * 1000)


class KubernetesIntentStore:
    """All OrderIntents this process watches."""

    def __init__(self, api: ApiClient, restored: Callable[[str], None]) -> None:
        self._api, self._restored = api, restored
        self._records: dict[str, OrderRecord] = {}
        self._finalizers: dict[str, list[str]] = {}
        self._unwritten: set[str] = set()  # whose status nobody has written yet
        self._created: dict[str, int] = {}
        self._list_versions: dict[str, int] = {}

    # ── From the watch ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def observe(self, kind: str | None, raw: Body) -> str | None:
        """Take in a watch event (kind None: from a list). Returns the UID to wake, or None if there is nothing new in it."""
        metadata = raw["metadata"]
        uid, version = metadata["uid"], int(metadata["resourceVersion"])
        if kind == "DELETED":
            return uid if self._drop(uid) else None
        if kind == "ADDED":
            # The one event whose version is that of the creation, on a watch without selectors that began from a list (H22).
            self._created.setdefault(uid, version)
        known = self._records.get(uid)
        if known is not None and int(known.resource_version) >= version:
            return None
        return self._put(raw)

    def _put(self, raw: Body) -> str | None:
        try:
            record = intent_record(raw)
        except ValidationError as error:
            # One malformed object never stops the others (rule 14). The schema refuses such objects; an older CRD may not.
            log.error("an intent does not fit the schema", name=raw["metadata"]["name"], namespace=raw["metadata"]["namespace"], errors=error.error_count())
            return None
        self._records[record.uid] = record
        self._finalizers[record.uid] = list(raw["metadata"].get("finalizers", ()))
        (self._unwritten.add if raw.get("status") == _UNWRITTEN else self._unwritten.discard)(record.uid)
        return record.uid

    # ── IntentStore ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def get(self, uid: str) -> OrderRecord | None:
        return self._records.get(uid)

    def of_account(self, namespace: str, account: str) -> Iterable[OrderRecord]:
        return [record for record in self._records.values() if record.namespace == namespace and record.spec.account_ref.name == account]

    def created_version(self, uid: str) -> int | None:
        return self._created.get(uid)

    def named(self, namespace: str, name: str) -> OrderRecord | None:
        return next((record for record in self._records.values() if record.name == name and record.namespace == namespace), None)

    async def create_member(self, group: GroupRecord, name: str, spec: OrderIntentSpec, *, owned: bool) -> CreateOutcome:
        """Create, and never apply: that would adopt a stranger's object of this name silently."""
        member = spec.group_ref.member if spec.group_ref is not None else ""
        metadata: Body = {"name": name, "namespace": group.namespace, "finalizers": [ORDER_FINALIZER], "labels": group_labels(group, member)}
        if owned:
            metadata["ownerReferences"] = [{
                "apiVersion": ORDER_GROUPS.api_version, "kind": "OrderGroup", "name": group.name, "uid": group.uid,
                "controller": True, "blockOwnerDeletion": True,
            }]
        answer = await self._api.create(ORDER_INTENTS.path(group.namespace), {**_INTENT, "metadata": metadata, "spec": spec.document()})
        if answer.ok:
            # Ours, and made just now: as the watch's ADDED would tell.
            self._created.setdefault(answer.body["metadata"]["uid"], int(answer.body["metadata"]["resourceVersion"]))
            self.observe(None, answer.body)
            made = self._records.get(answer.body["metadata"]["uid"])
            return Written(made) if made is not None else Unavailable("The API server's answer does not fit the schema.")
        if answer.status == 409 and answer.body.get("reason") == "AlreadyExists":
            return await self._found(group, name, member)
        return Inadmissible(answer.message) if answer.inadmissible else Unavailable(answer.message)

    async def _found(self, group: GroupRecord, name: str, member: str) -> CreateOutcome:
        """What has the name: our own earlier request may have made it, of which we never heard."""
        answer = await self._api.get(ORDER_INTENTS.path(group.namespace, name))
        if not answer.ok:
            return Unavailable(answer.message)
        self.observe(None, answer.body)
        found = self._records.get(answer.body["metadata"]["uid"])
        ref = found.spec.group_ref if found is not None else None
        return Written(found) if found is not None and ref is not None and (ref.uid, ref.member) == (group.uid, member) else NameTaken()

    async def write_spec(self, record: OrderRecord, spec: OrderIntentSpec) -> WriteOutcome | Inadmissible:
        body = {"metadata": {"resourceVersion": record.resource_version}, "spec": spec_patch(record.spec, spec)}
        answer = await self._api.patch(ORDER_INTENTS.path(record.namespace, record.name), body)
        return Inadmissible(answer.message) if answer.inadmissible else await self._written(record, answer)

    async def read(self, uid: str) -> OrderRecord | Unavailable | None:
        known = self._records.get(uid)
        if known is None:
            return None
        answer = await self._api.get(ORDER_INTENTS.path(known.namespace, known.name))
        if answer.status == 404 or (answer.ok and answer.body["metadata"]["uid"] != uid):
            self._drop(uid)
            return None
        if not answer.ok:
            return Unavailable(answer.message)
        self._put(answer.body)
        return self._records.get(uid)

    async def list_all(self, namespace: str) -> Snapshot | Unavailable:
        """One consistent list: no resourceVersion asked for, so the API server answers from the quorum. It also mends the cache."""
        answer = await self._api.get(ORDER_INTENTS.path(namespace))
        if not answer.ok:
            return Unavailable(answer.message)
        version = int(answer.body["metadata"]["resourceVersion"])
        if version < self._list_versions.get(namespace, 0):
            self._restored(f"version {version} after {self._list_versions[namespace]}")
            return Unavailable("The API server was restored to an earlier state.")
        self._list_versions[namespace] = version
        listed = set()
        complete = True
        for raw in answer.body.get("items", ()):
            listed.add(raw["metadata"]["uid"])
            self.observe(None, raw)
            complete = complete and raw["metadata"]["uid"] in self._records
        for uid, record in list(self._records.items()):
            # A relist never says DELETED: what is gone from a consistent list is gone.
            if record.namespace == namespace and uid not in listed and int(record.resource_version) <= version:
                self._drop(uid)
        return Snapshot(tuple(record for record in self._records.values() if record.namespace == namespace), version, complete)

    async def write_status(self, record: OrderRecord, status: OrderIntentStatus) -> WriteOutcome:
        path = ORDER_INTENTS.path(record.namespace, record.name, "status")
        if record.uid in self._unwritten:
            # Nothing stands there that a newer version may have added, and replaced whole it is written faster than merged: an order's sender waits for it.
            metadata = {"name": record.name, "namespace": record.namespace, "uid": record.uid, "resourceVersion": record.resource_version}
            return await self._written(record, await self._api.replace(path, {**_INTENT, "metadata": metadata, "status": status.document()}))
        body = {"metadata": {"resourceVersion": record.resource_version}, "status": status_patch(record.status, status)}
        return await self._written(record, await self._api.patch(path, body))

    async def add_finalizer(self, record: OrderRecord) -> WriteOutcome:
        return await self._write_finalizers(record, [*self._finalizers[record.uid], ORDER_FINALIZER])

    async def remove_finalizer(self, record: OrderRecord) -> WriteOutcome:
        return await self._write_finalizers(record, [name for name in self._finalizers[record.uid] if name != ORDER_FINALIZER])

    async def remove(self, record: OrderRecord) -> WriteOutcome:
        body = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": record.uid, "resourceVersion": record.resource_version}}
        answer = await self._api.delete(ORDER_INTENTS.path(record.namespace, record.name), body)
        if answer.ok:
            return self._vanished(record)
        return await self._written(record, answer)

    async def _write_finalizers(self, record: OrderRecord, finalizers: list[str]) -> WriteOutcome:
        # A merge patch replaces the list whole; with the version it was read at, nobody else's finalizer is lost by it.
        body = {"metadata": {"resourceVersion": record.resource_version, "finalizers": finalizers}}
        return await self._written(record, await self._api.patch(ORDER_INTENTS.path(record.namespace, record.name), body))

    async def _written(self, record: OrderRecord, answer: Answer) -> WriteOutcome:
        if answer.ok:
            if answer.body.get("metadata", {}).get("uid") != record.uid:
                return self._vanished(record)
            if "deletionTimestamp" in answer.body["metadata"] and not answer.body["metadata"].get("finalizers"):
                # With its last finalizer the object went: what is answered is what it was.
                self._drop(record.uid)
                return Written(intent_record(answer.body))
            self._put(answer.body)
            return self._now(record)
        if answer.status == 404:
            return self._vanished(record)
        if answer.status == 409:
            fresh = await self.read(record.uid)
            return fresh if isinstance(fresh, Unavailable) else Gone() if fresh is None else Conflict()
        return Unavailable(answer.message)

    def _now(self, record: OrderRecord) -> WriteOutcome:
        current = self._records.get(record.uid)
        return Written(current) if current is not None else Gone()

    def _vanished(self, record: OrderRecord) -> Gone:
        self._drop(record.uid)
        return Gone()

    def _drop(self, uid: str) -> bool:
        self._created.pop(uid, None)
        self._finalizers.pop(uid, None)
        self._unwritten.discard(uid)
        return self._records.pop(uid, None) is not None


def group_labels(group: GroupRecord, member: str) -> dict[str, str]:
    """For `kubectl get oi -l`; what counts is spec.groupRef, which can't be changed. A label's value is shorter than a name may be."""
    whose = {STRATEGY_LABEL: group.strategy} if group.strategy is not None else {}
    return {"exchange-kernel.io/group": group.name[:63].rstrip("-."), "exchange-kernel.io/group-uid": group.uid, "exchange-kernel.io/member": member, **whose}


class KubernetesAccountStore:
    """All ExchangeAccounts this process watches: those of some namespaces, or of all."""

    def __init__(self, api: ApiClient, namespaces: Sequence[str] = ()) -> None:
        self._api, self._namespaces = api, namespaces
        self._records: dict[str, AccountRecord] = {}
        self._finalizers: dict[str, list[str]] = {}

    def observe(self, kind: str | None, raw: Body) -> str | None:
        metadata = raw["metadata"]
        uid = str(metadata["uid"])
        if kind == "DELETED" or ("deletionTimestamp" in metadata and not metadata.get("finalizers")):
            # The answer to the write that took the last finalizer off may come after the watch's word of its end.
            return uid if self._drop(uid) else None
        known = self._records.get(uid)
        if known is not None and int(known.resource_version) >= int(metadata["resourceVersion"]):
            return None
        try:
            self._records[uid] = account_record(raw)
        except ValidationError as error:
            log.error("an account does not fit the schema", name=metadata["name"], namespace=metadata["namespace"], errors=error.error_count())
            return None
        self._finalizers[uid] = list(metadata.get("finalizers", ()))
        return uid

    def _drop(self, uid: str) -> bool:
        self._finalizers.pop(uid, None)
        return self._records.pop(uid, None) is not None

    async def read(self, uid: str) -> AccountRecord | Unavailable | None:
        known = self._records.get(uid)
        if known is None:
            return None
        answer = await self._api.get(EXCHANGE_ACCOUNTS.path(known.namespace, known.name))
        if answer.status == 404 or (answer.ok and answer.body["metadata"]["uid"] != uid):
            self._drop(uid)
            return None
        if not answer.ok:
            return Unavailable(answer.message)
        self.observe("MODIFIED", answer.body)
        return self._records.get(uid)

    async def list_all(self) -> tuple[AccountRecord, ...] | Unavailable:
        listed = set()
        for namespace in self._namespaces or (None,):
            answer = await self._api.get(EXCHANGE_ACCOUNTS.path(namespace))
            if not answer.ok:
                return Unavailable(answer.message)
            for raw in answer.body.get("items", ()):
                listed.add(str(raw["metadata"]["uid"]))
                self.observe(None, raw)
            version = int(answer.body["metadata"]["resourceVersion"])
            for uid, record in list(self._records.items()):
                if namespace in (None, record.namespace) and uid not in listed and int(record.resource_version) <= version:
                    self._drop(uid)
        return tuple(record for uid, record in self._records.items() if uid in listed)

    def all(self) -> Iterable[AccountRecord]:
        return list(self._records.values())

    def get(self, uid: str) -> AccountRecord | None:
        return self._records.get(uid)

    def named(self, namespace: str, name: str) -> AccountRecord | None:
        return next((record for record in self._records.values() if record.namespace == namespace and record.name == name), None)

    async def missing(self, namespace: str, name: str) -> bool:
        return (await self._api.get(EXCHANGE_ACCOUNTS.path(namespace, name))).status == 404

    async def write_status(self, record: AccountRecord, status: ExchangeAccountStatus) -> bool:
        if record.status == status:
            return True
        body = {"metadata": {"resourceVersion": record.resource_version}, "status": status_patch(record.status, status)}
        return await self._written(record, await self._api.patch(EXCHANGE_ACCOUNTS.path(record.namespace, record.name, "status"), body))

    async def add_finalizer(self, record: AccountRecord) -> bool:
        return await self._write_finalizers(record, [*self._finalizers.get(record.uid, ()), ACCOUNT_FINALIZER])

    async def remove_finalizer(self, record: AccountRecord) -> bool:
        return await self._write_finalizers(record, [name for name in self._finalizers.get(record.uid, ()) if name != ACCOUNT_FINALIZER])

    async def _write_finalizers(self, record: AccountRecord, finalizers: list[str]) -> bool:
        body = {"metadata": {"resourceVersion": record.resource_version, "finalizers": finalizers}}
        return await self._written(record, await self._api.patch(EXCHANGE_ACCOUNTS.path(record.namespace, record.name), body))

    async def _written(self, record: AccountRecord, answer: Answer) -> bool:
        if answer.ok:
            self.observe("MODIFIED", answer.body)
            return True
        if answer.status == 409:
            fresh = await self._api.get(EXCHANGE_ACCOUNTS.path(record.namespace, record.name))
            if fresh.ok:
                self.observe("MODIFIED", fresh.body)
        return answer.status == 404
