"""RiskLimits on the API server: the watch's cache, mended by lists. Nothing of them is ever written."""

from __future__ import annotations

import structlog
from pydantic import ValidationError

from exchange_kernel.api import RiskLimitSpec
from exchange_kernel.core.risk import LimitRecord
from exchange_kernel.kube.client import RISK_LIMITS, ApiClient, Body

log = structlog.get_logger(__name__)


def limit_record(raw: Body) -> LimitRecord:
    """A RiskLimit as the API server sends it; one that says what this version does not know is a limit all the same, which nothing passes."""
    metadata = raw["metadata"]
    try:
        spec = RiskLimitSpec.model_validate(raw["spec"])
    except ValidationError as error:
        log.error("a RiskLimit does not fit the schema", name=metadata["name"], namespace=metadata["namespace"], errors=error.error_count())
        spec = None
    return LimitRecord(uid=metadata["uid"], namespace=metadata["namespace"], name=metadata["name"], spec=spec)


class KubernetesLimitStore:
    """All RiskLimits this process watches."""

    def __init__(self, api: ApiClient) -> None:
        self._api = api
        self._records: dict[str, tuple[int, LimitRecord]] = {}  # by UID, with the version
        self._read: set[str] = set()  # namespaces

    def observe(self, kind: str | None, raw: Body) -> str | None:
        """Take in a watch event (kind None: from a list). Returns the namespace whose orders are to be looked at again, or None."""
        uid, version = str(raw["metadata"]["uid"]), int(raw["metadata"]["resourceVersion"])
        if kind == "DELETED":
            return str(raw["metadata"]["namespace"]) if self._records.pop(uid, None) is not None else None
        if (known := self._records.get(uid)) is not None and known[0] >= version:
            return None
        record = limit_record(raw)
        self._records[uid] = version, record
        return record.namespace

    def of_account(self, namespace: str, account: str) -> tuple[LimitRecord, ...] | None:
        if namespace not in self._read:
            return None
        records = [record for _, record in self._records.values() if record.namespace == namespace and record.covers(account)]
        return tuple(sorted(records, key=lambda record: record.name))

    async def read(self, namespace: str) -> bool:
        answer = await self._api.get(RISK_LIMITS.path(namespace))
        if not answer.ok:
            if namespace not in self._read:
                log.warning("the RiskLimits can't be read", namespace=namespace, reason=answer.message)
            return False
        listed = {str(raw["metadata"]["uid"]) for raw in answer.body.get("items", ())}
        for raw in answer.body.get("items", ()):
            self.observe(None, raw)
        version = int(answer.body["metadata"]["resourceVersion"])
        for uid, (seen, record) in list(self._records.items()):
            if record.namespace == namespace and uid not in listed and seen <= version:
                del self._records[uid]
        self._read.add(namespace)
        return True
