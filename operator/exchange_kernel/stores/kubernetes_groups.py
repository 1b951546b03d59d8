"""OrderGroups on the API server: as intents are kept in `kubernetes.py`, the watch's cache overlaid with the answers to our own writes."""

from __future__ import annotations

from collections.abc import Iterable

import structlog
from pydantic import ValidationError

from exchange_kernel.api import OrderGroupSpec, OrderGroupStatus, status_patch
from exchange_kernel.core.groups import GroupRecord
from exchange_kernel.kube.client import ORDER_GROUPS, Answer, ApiClient, Body
from exchange_kernel.stores.kubernetes import RESTORE_LABELS, STRATEGY_LABEL, ms_of
from exchange_kernel.stores.port import Conflict, Gone, GroupWriteOutcome, GroupWritten, Unavailable

log = structlog.get_logger(__name__)

GROUP_FINALIZER = "exchange-kernel.io/group"


def group_record(raw: Body) -> GroupRecord:
    """An OrderGroup as the API server sends it. Raises ValidationError if it does not fit this version's schema."""
    metadata = raw["metadata"]
    return GroupRecord(
        uid=metadata["uid"],
        namespace=metadata["namespace"],
        name=metadata["name"],
        generation=metadata.get("generation", 0),
        resource_version=metadata["resourceVersion"],
        created_ms=ms_of(metadata["creationTimestamp"]),
        spec=OrderGroupSpec.model_validate(raw["spec"]),
        status=OrderGroupStatus.model_validate(raw.get("status") or {}),
        deleting="deletionTimestamp" in metadata,
        finalizer=GROUP_FINALIZER in metadata.get("finalizers", ()),
        restored=not RESTORE_LABELS.isdisjoint(metadata.get("labels", {})),
        strategy=metadata.get("labels", {}).get(STRATEGY_LABEL),
    )


class KubernetesGroupStore:
    """All OrderGroups this process watches."""

    def __init__(self, api: ApiClient) -> None:
        self._api = api
        self._records: dict[str, GroupRecord] = {}
        self._finalizers: dict[str, list[str]] = {}

    def observe(self, kind: str | None, raw: Body) -> str | None:
        """Take in a watch event (kind None: from a list). Returns the UID to wake, or None if there is nothing new in it."""
        uid = str(raw["metadata"]["uid"])
        if kind == "DELETED":
            return uid if self._drop(uid) else None
        known = self._records.get(uid)
        if known is not None and int(known.resource_version) >= int(raw["metadata"]["resourceVersion"]):
            return None
        return uid if self._put(raw) else None

    def _put(self, raw: Body) -> bool:
        metadata = raw["metadata"]
        try:
            self._records[metadata["uid"]] = group_record(raw)
        except ValidationError as error:
            log.error("a group does not fit the schema", name=metadata["name"], namespace=metadata["namespace"], errors=error.error_count())
            return False
        self._finalizers[metadata["uid"]] = list(metadata.get("finalizers", ()))
        return True

    def _drop(self, uid: str) -> bool:
        self._finalizers.pop(uid, None)
        return self._records.pop(uid, None) is not None

    def get(self, uid: str) -> GroupRecord | None:
        return self._records.get(uid)

    def of_account(self, namespace: str, account: str) -> Iterable[GroupRecord]:
        return [record for record in self._records.values() if record.namespace == namespace and record.spec.account_ref.name == account]

    async def write_status(self, record: GroupRecord, status: OrderGroupStatus) -> GroupWriteOutcome:
        body = {"metadata": {"resourceVersion": record.resource_version}, "status": status_patch(record.status, status)}
        return await self._written(record, await self._api.patch(ORDER_GROUPS.path(record.namespace, record.name, "status"), body))

    async def add_finalizer(self, record: GroupRecord) -> GroupWriteOutcome:
        return await self._write_finalizers(record, [*self._finalizers.get(record.uid, ()), GROUP_FINALIZER])

    async def remove_finalizer(self, record: GroupRecord) -> GroupWriteOutcome:
        return await self._write_finalizers(record, [name for name in self._finalizers.get(record.uid, ()) if name != GROUP_FINALIZER])

    async def remove(self, record: GroupRecord) -> GroupWriteOutcome:
        body = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": record.uid, "resourceVersion": record.resource_version}}
        answer = await self._api.delete(ORDER_GROUPS.path(record.namespace, record.name), body)
        return Gone() if answer.ok else await self._written(record, answer)

    async def _write_finalizers(self, record: GroupRecord, finalizers: list[str]) -> GroupWriteOutcome:
        body = {"metadata": {"resourceVersion": record.resource_version, "finalizers": finalizers}}
        return await self._written(record, await self._api.patch(ORDER_GROUPS.path(record.namespace, record.name), body))

    async def _written(self, record: GroupRecord, answer: Answer) -> GroupWriteOutcome:
        if answer.ok and answer.body.get("metadata", {}).get("uid") == record.uid:
            if "deletionTimestamp" in answer.body["metadata"] and not answer.body["metadata"].get("finalizers"):
                self._drop(record.uid)  # with its last finalizer the object went
                return Gone()
            self._put(answer.body)
            return GroupWritten(self._records[record.uid])
        if answer.ok or answer.status == 404:
            self._drop(record.uid)
            return Gone()
        if answer.status != 409:
            return Unavailable(answer.message)
        fresh = await self._api.get(ORDER_GROUPS.path(record.namespace, record.name))
        if fresh.ok and fresh.body["metadata"]["uid"] == record.uid:
            self.observe(None, fresh.body)
            return Conflict()
        if fresh.ok or fresh.status == 404:
            self._drop(record.uid)
            return Gone()
        return Unavailable(fresh.message)
