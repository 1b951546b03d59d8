"""RiskLimits on the API server: the watch's cache, mended by lists. Nothing of them is ever written."""

from __future__ import annotations

from collections.abc import Callable

import structlog
from pydantic import ValidationError

from exchange_kernel.api import RiskLimitSpec
from exchange_kernel.core.risk import LimitRecord
from exchange_kernel.kube.client import RISK_LIMITS, ApiClient, Body
from exchange_kernel.stores.cache import Cache

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
    """All RiskLimits this process watches. `changed` is told the namespace of what a list brought before the watch."""

    def __init__(self, api: ApiClient, *, changed: Callable[[str], None] = lambda namespace: None) -> None:
        self._api, self._changed = api, changed
        self._cache: Cache[LimitRecord] = Cache(lambda record: changed(record.namespace))
        self._read: set[str] = set()  # namespaces

    def observe(self, kind: str | None, raw: Body) -> str | None:
        """Take in a watch event (kind None: from a list). Returns the namespace whose orders are to be looked at again, or None."""
        news = self._cache.bury(str(raw["metadata"]["uid"])) if kind == "DELETED" else self._take_in(raw)
        return str(raw["metadata"]["namespace"]) if news else None

    def _take_in(self, raw: Body, asked: int | None = None) -> bool:
        version = int(raw["metadata"]["resourceVersion"])
        return self._cache.news(str(raw["metadata"]["uid"]), version, asked) and self._cache.put(limit_record(raw), version, asked=asked)

    def of_account(self, namespace: str, account: str) -> tuple[LimitRecord, ...] | None:
        if namespace not in self._read:
            return None
        records = [record for record in self._cache.everything() if record.namespace == namespace and record.covers(account)]
        return tuple(sorted(records, key=lambda record: record.name))

    async def read(self, namespace: str) -> bool:
        with self._cache.asking() as asked:
            answer = await self._api.get(RISK_LIMITS.path(namespace))
            if not answer.ok:
                if namespace not in self._read:
                    log.warning("the RiskLimits can't be read", namespace=namespace, reason=answer.message)
                return False
            items = answer.body.get("items", ())
            news = [self._take_in(raw, asked) for raw in items]
            self._cache.bury_unlisted(namespace, {str(raw["metadata"]["uid"]) for raw in items}, int(answer.body["metadata"]["resourceVersion"]))
        self._read.add(namespace)
        if any(news):
            self._changed(namespace)
        return True
