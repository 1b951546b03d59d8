"""Markets on the API server: listed when they are to be written, and not watched."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import structlog
from pydantic import ValidationError

from exchange_kernel.api import MarketSpec, spec_patch
from exchange_kernel.kube.client import EXCHANGE_ACCOUNTS, MARKETS, ApiClient, Body
from exchange_kernel.stores.port import AccountRecord, MarketRecord, Unavailable

log = structlog.get_logger(__name__)

AT_ONCE = 50  # objects that are read in one step of the loop


class KubernetesMarketStore:
    def __init__(self, api: ApiClient) -> None:
        self._api = api

    async def list_all(self, namespace: str) -> tuple[MarketRecord, ...] | Unavailable:
        answer = await self._api.get(MARKETS.path(namespace), resourceVersion="0")  # from the API server's cache: versions guard the writes
        if not answer.ok:
            return Unavailable(answer.message)
        records: list[MarketRecord] = []
        for raw in answer.body.get("items", ()):
            if len(records) % AT_ONCE == AT_ONCE - 1:
                await asyncio.sleep(0)  # there may be thousands
            records.append(_record(raw))
        return tuple(records)

    async def create(self, account: AccountRecord, name: str, spec: MarketSpec) -> bool:
        metadata = {"name": name, "namespace": account.namespace, "ownerReferences": _references({account.uid: account.name})}
        body = {"apiVersion": MARKETS.api_version, "kind": "Market", "metadata": metadata, "spec": spec.document()}
        answer = await self._api.create(MARKETS.path(account.namespace), body)
        return answer.ok or _told(name, answer.message)

    async def write(self, old: MarketRecord, new: MarketRecord) -> bool:
        body = {
            "metadata": {"resourceVersion": old.resource_version, "ownerReferences": _references(new.owners)},
            "spec": spec_patch(old.spec, new.spec) if old.spec is not None and new.spec is not None else new.spec.document() if new.spec is not None else {},
        }
        answer = await self._api.patch(MARKETS.path(old.namespace, old.name), body)
        return answer.ok or _told(old.name, answer.message)

    async def remove(self, record: MarketRecord) -> bool:
        body = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": record.uid, "resourceVersion": record.resource_version}}
        answer = await self._api.delete(MARKETS.path(record.namespace, record.name), body)
        return answer.ok or answer.status == 404 or _told(record.name, answer.message)


def _told(name: str, message: str) -> bool:
    log.info("a Market could not be written; it is tried again", market=name, reason=message)
    return False


def _references(owners: Mapping[str, str]) -> list[Body]:
    return [{"apiVersion": EXCHANGE_ACCOUNTS.api_version, "kind": "ExchangeAccount", "name": name, "uid": uid} for uid, name in sorted(owners.items())]


def _record(raw: Body) -> MarketRecord:
    metadata = raw["metadata"]
    try:
        spec = MarketSpec.model_validate(raw["spec"])
    except ValidationError:
        spec = None  # of another version of this operator: written over
    owners = {owner["uid"]: owner["name"] for owner in metadata.get("ownerReferences", ()) if owner["kind"] == "ExchangeAccount"}
    return MarketRecord(
        uid=metadata["uid"], namespace=metadata["namespace"], name=metadata["name"], resource_version=metadata["resourceVersion"], spec=spec, owners=owners
    )
