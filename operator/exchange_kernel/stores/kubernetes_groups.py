"""OrderGroups on the API server. How they are kept is `kubernetes_objects.py`'s."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from exchange_kernel.api import OrderGroupSpec, OrderGroupStatus, status_patch
from exchange_kernel.core.groups import GroupRecord
from exchange_kernel.kube.client import ORDER_GROUPS, ApiClient, Body
from exchange_kernel.stores.kubernetes import CREATOR_ANNOTATION, RESTORE_LABELS, STRATEGY_LABEL, ms_of
from exchange_kernel.stores.kubernetes_objects import KubernetesObjects
from exchange_kernel.stores.port import Conflict, Gone, GroupWriteOutcome, GroupWritten, Unavailable

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
        finalizer=GROUP_FINALIZER in (metadata.get("finalizers") or ()),
        restored=not RESTORE_LABELS.isdisjoint(metadata.get("labels") or ()),
        strategy=(metadata.get("labels") or {}).get(STRATEGY_LABEL),
        creator=(metadata.get("annotations") or {}).get(CREATOR_ANNOTATION),
    )


class KubernetesGroupStore(KubernetesObjects[GroupRecord]):
    """All OrderGroups this process watches."""

    def __init__(self, api: ApiClient, *, changed: Callable[[str], None] = lambda uid: None) -> None:
        super().__init__(api, ORDER_GROUPS, group_record, GROUP_FINALIZER, changed=changed, gone=lambda record: changed(record.uid))

    def of_account(self, namespace: str, account: str) -> Iterable[GroupRecord]:
        return [record for record in self._cache.everything() if record.namespace == namespace and record.spec.account_ref.name == account]

    async def list_all(self, namespace: str) -> tuple[GroupRecord, ...] | Unavailable:
        listed = await self._list(namespace)
        if isinstance(listed, Unavailable):
            return listed
        return tuple(record for record in self._cache.everything() if record.namespace == namespace)

    async def write_status(self, record: GroupRecord, status: OrderGroupStatus) -> GroupWriteOutcome:
        body = {"metadata": {"resourceVersion": record.resource_version}, "status": status_patch(record.status, status)}
        return self._outcome(await self._write(record, self._api.patch(ORDER_GROUPS.path(record.namespace, record.name, "status"), body)))

    async def add_finalizer(self, record: GroupRecord) -> GroupWriteOutcome:
        return self._outcome(await self.add_finalizer_to(record))

    async def remove_finalizer(self, record: GroupRecord) -> GroupWriteOutcome:
        return self._outcome(await self.take_finalizer_off(record))

    async def remove(self, record: GroupRecord) -> GroupWriteOutcome:
        return await self._delete(record)

    def _outcome(self, written: GroupRecord | Conflict | Gone | Unavailable) -> GroupWriteOutcome:
        if not isinstance(written, GroupRecord):
            return written
        return GroupWritten(written) if self.get(written.uid) is not None else Gone()  # with its last finalizer the object went
