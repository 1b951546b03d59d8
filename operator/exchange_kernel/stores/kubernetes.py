"""Intents and accounts on the API server. How they are kept is `kubernetes_objects.py`'s.

A list whose version is lower than one already seen means a restored etcd, and then nothing in memory can be trusted (rule 7).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import partial

from exchange_kernel.api import ExchangeAccountSpec, ExchangeAccountStatus, OrderIntentSpec, OrderIntentStatus, reconcile_asked, spec_patch, status_patch
from exchange_kernel.core.groups import GroupRecord
from exchange_kernel.core.order import OrderRecord
from exchange_kernel.kube.client import EXCHANGE_ACCOUNTS, ORDER_GROUPS, ORDER_INTENTS, ApiClient, Body
from exchange_kernel.stores.cache import Held
from exchange_kernel.stores.kubernetes_objects import KubernetesObjects
from exchange_kernel.stores.port import (
    AccountRecord,
    Conflict,
    CreateOutcome,
    Found,
    Gone,
    Inadmissible,
    NameTaken,
    Snapshot,
    Unavailable,
    WriteOutcome,
    Written,
)

ORDER_FINALIZER = "exchange-kernel.io/order"
ACCOUNT_FINALIZER = "exchange-kernel.io/account"
RESTORE_LABELS = frozenset({"velero.io/restore-name", "exchange-kernel.io/restored"})  # put by whoever creates objects again from a backup
STRATEGY_LABEL = "exchange-kernel.io/strategy"
RESOLVE_ANNOTATION = "exchange-kernel.io/resolve"
RESOLVED_BY_ANNOTATION = "exchange-kernel.io/resolved-by"  # the user's name: stamped by admission, or written by the plugin
CREATOR_ANNOTATION = "exchange-kernel.io/created-by"  # stamped by admission, from the request's user
_INTENT = {"apiVersion": ORDER_INTENTS.api_version, "kind": "OrderIntent"}
_UNWRITTEN = OrderIntentStatus().document()  # what the schema shows until somebody writes


def intent_record(raw: Body, *, require_stamp: bool = False) -> OrderRecord:
    """An OrderIntent as the API server sends it. Raises ValidationError if it does not fit this version's schema."""
    metadata = raw["metadata"]
    annotations = metadata.get("annotations") or {}
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
        finalizer=ORDER_FINALIZER in (metadata.get("finalizers") or ()),
        restored=not RESTORE_LABELS.isdisjoint(metadata.get("labels") or ()),
        resolve=annotations.get(RESOLVE_ANNOTATION),
        resolved_by=annotations.get(RESOLVED_BY_ANNOTATION) or None,
        unstamped=require_stamp and RESOLVE_ANNOTATION in annotations and not annotations.get(RESOLVED_BY_ANNOTATION),
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
        finalizer=ACCOUNT_FINALIZER in (metadata.get("finalizers") or ()),
    )


def ms_of(timestamp: str) -> int:
    return int(datetime.fromisoformat(timestamp).timestamp() * 1000)


class KubernetesIntentStore(KubernetesObjects[OrderRecord]):
    """All OrderIntents this process watches."""

    def __init__(
        self,
        api: ApiClient,
        restored: Callable[[str], None],
        *,
        changed: Callable[[str], None] = lambda uid: None,
        gone: Callable[[OrderRecord], None] = lambda record: None,
        require_stamp: bool = False,
    ) -> None:
        """`require_stamp`: whether a person's word counts only with the user's name that admission stamps it with."""
        record_of = partial(intent_record, require_stamp=require_stamp)
        super().__init__(api, ORDER_INTENTS, record_of, ORDER_FINALIZER, unwritten=_UNWRITTEN, changed=changed, gone=gone)
        self._restored = restored
        self._list_versions: dict[str, int] = {}

    def of_account(self, namespace: str, account: str) -> Iterable[OrderRecord]:
        return [record for record in self._cache.everything() if record.namespace == namespace and record.spec.account_ref.name == account]

    def created_version(self, uid: str) -> int | None:
        return self._cache.created_version(uid)

    async def create_member(self, group: GroupRecord, name: str, spec: OrderIntentSpec, *, owned: bool) -> CreateOutcome:
        """Create, and never apply: that would adopt a stranger's object of this name silently."""
        member = spec.group_ref.member if spec.group_ref is not None else ""
        metadata: Body = {"name": name, "namespace": group.namespace, "finalizers": [ORDER_FINALIZER], "labels": group_labels(group, member)}
        if group.creator is not None:
            metadata["annotations"] = {CREATOR_ANNOTATION: group.creator}
        if owned:
            metadata["ownerReferences"] = [{
                "apiVersion": ORDER_GROUPS.api_version, "kind": "OrderGroup", "name": group.name, "uid": group.uid,
                "controller": True, "blockOwnerDeletion": True,
            }]
        with self._cache.asking() as asked:
            answer = await self._api.create(ORDER_INTENTS.path(group.namespace), {**_INTENT, "metadata": metadata, "spec": spec.document()})
            if answer.ok:
                return self._made(answer.body, asked)
            if answer.status == 409 and answer.body.get("reason") == "AlreadyExists":
                return await self._found(group, name, member)
        judged = answer.inadmissible and not answer.forbidden_by_ours
        return Inadmissible(answer.message) if judged else Unavailable(answer.message, answer.forbidden_by_ours)

    def _made(self, raw: Body, asked: int) -> CreateOutcome:
        """Ours, and made just now: as the watch's ADDED would tell."""
        uid, version = raw["metadata"]["uid"], int(raw["metadata"]["resourceVersion"])
        self._take_in(raw, asked)
        self._cache.added(uid, version)
        if (made := self._cache.get(uid)) is not None:
            return Written(made)
        return Unavailable("It was deleted at once." if self._cache.knows(uid, version) else "The API server's answer does not fit the schema.")

    async def _found(self, group: GroupRecord, name: str, member: str) -> CreateOutcome:
        """What has the name: our own earlier request may have made it, of which we never heard."""
        with self._cache.asking() as asked:
            answer = await self._api.get(ORDER_INTENTS.path(group.namespace, name))
            if not answer.ok:
                return Unavailable(answer.message)
            self._bring(answer.body, asked)
        found = self._cache.get(answer.body["metadata"]["uid"])
        ref = found.spec.group_ref if found is not None else None
        return Found(found) if found is not None and ref is not None and (ref.uid, ref.member) == (group.uid, member) else NameTaken()

    async def write_spec(self, record: OrderRecord, spec: OrderIntentSpec) -> WriteOutcome | Inadmissible:
        body = {"metadata": {"resourceVersion": record.resource_version}, "spec": spec_patch(record.spec, spec)}
        with self._cache.asking() as asked:
            answer = await self._api.patch(ORDER_INTENTS.path(record.namespace, record.name), body)
            return Inadmissible(answer.message) if answer.inadmissible else _outcome(await self._written(record, answer, asked))

    async def list_all(self, namespace: str) -> Snapshot | Unavailable:
        before = self._list_versions.get(namespace, 0)  # lists under way at once are answered in any order

        def went_back(version: int) -> Unavailable | None:
            if version < before:
                self._restored(f"version {version} after {before}")
                return Unavailable("The API server was restored to an earlier state.")
            self._list_versions[namespace] = max(version, self._list_versions.get(namespace, 0))
            return None

        listed = await self._list(namespace, went_back)
        if isinstance(listed, Unavailable):
            return listed
        records = tuple(record for record in self._cache.everything() if record.namespace == namespace)
        return Snapshot(records, listed.version, listed.complete)

    async def write_status(self, record: OrderRecord, status: OrderIntentStatus) -> WriteOutcome:
        held = self._decided_on(record)
        if not isinstance(held, Held):
            return held
        path = ORDER_INTENTS.path(record.namespace, record.name, "status")
        if held.unwritten:
            # Nothing stands there that a newer version may have added, and replaced whole it is written faster than merged: an order's sender waits for it.
            metadata = {"name": record.name, "namespace": record.namespace, "uid": record.uid, "resourceVersion": record.resource_version}
            return _outcome(await self._write(record, self._api.replace(path, {**_INTENT, "metadata": metadata, "status": status.document()})))
        body = {"metadata": {"resourceVersion": record.resource_version}, "status": status_patch(record.status, status)}
        return _outcome(await self._write(record, self._api.patch(path, body)))

    async def add_finalizer(self, record: OrderRecord) -> WriteOutcome:
        return _outcome(await self.add_finalizer_to(record))

    async def remove_finalizer(self, record: OrderRecord) -> WriteOutcome:
        return _outcome(await self.take_finalizer_off(record))

    async def remove(self, record: OrderRecord) -> WriteOutcome:
        return await self._delete(record)


def _outcome(written: OrderRecord | Conflict | Gone | Unavailable) -> WriteOutcome:
    return Written(written) if isinstance(written, OrderRecord) else written


def group_labels(group: GroupRecord, member: str) -> dict[str, str]:
    """For `kubectl get oi -l`; what counts is spec.groupRef, which can't be changed. A label's value is shorter than a name may be."""
    whose = {STRATEGY_LABEL: group.strategy} if group.strategy is not None else {}
    return {"exchange-kernel.io/group": group.name[:63].rstrip("-."), "exchange-kernel.io/group-uid": group.uid, "exchange-kernel.io/member": member, **whose}


class KubernetesAccountStore(KubernetesObjects[AccountRecord]):
    """All ExchangeAccounts this process watches: those of some namespaces, or of all."""

    def __init__(self, api: ApiClient, namespaces: Sequence[str] = (), *, changed: Callable[[str], None] = lambda uid: None) -> None:
        super().__init__(api, EXCHANGE_ACCOUNTS, account_record, ACCOUNT_FINALIZER, changed=changed, gone=lambda record: changed(record.uid))
        self._namespaces = namespaces

    async def list_all(self) -> tuple[AccountRecord, ...] | Unavailable:
        uids: set[str] = set()
        for namespace in self._namespaces or (None,):
            listed = await self._list(namespace)
            if isinstance(listed, Unavailable):
                return listed
            uids |= listed.uids
        return tuple(record for record in self._cache.everything() if record.uid in uids)

    def all(self) -> Iterable[AccountRecord]:
        return self._cache.everything()

    async def missing(self, namespace: str, name: str) -> bool:
        return (await self._api.get(EXCHANGE_ACCOUNTS.path(namespace, name))).status == 404

    async def write_status(self, record: AccountRecord, status: ExchangeAccountStatus) -> bool:
        if record.status == status:
            return True
        body = {"metadata": {"resourceVersion": record.resource_version}, "status": status_patch(record.status, status)}
        return _done(await self._write(record, self._api.patch(EXCHANGE_ACCOUNTS.path(record.namespace, record.name, "status"), body)))

    async def add_finalizer(self, record: AccountRecord) -> bool:
        return _done(await self.add_finalizer_to(record))

    async def remove_finalizer(self, record: AccountRecord) -> bool:
        return _done(await self.take_finalizer_off(record))


def _done(written: AccountRecord | Conflict | Gone | Unavailable) -> bool:
    return isinstance(written, AccountRecord | Gone)
