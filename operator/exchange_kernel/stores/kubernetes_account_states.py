"""AccountStates on the API server: one object for each ExchangeAccount, of its name, which goes with it."""

from __future__ import annotations

from dataclasses import dataclass

import structlog
from pydantic import ValidationError

from exchange_kernel.api import AccountStateStatus, reconcile_asked, status_patch
from exchange_kernel.kube.client import ACCOUNT_STATES, EXCHANGE_ACCOUNTS, Answer, ApiClient, Body
from exchange_kernel.stores.cache import Cache
from exchange_kernel.stores.port import AccountRecord, AccountStateStore, Unavailable

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Known:
    uid: str
    namespace: str
    name: str
    resource_version: str
    owners: frozenset[str]
    asked: str | None
    status: AccountStateStatus


class KubernetesAccountStateStore(AccountStateStore):
    """What the watch told and what was last written, so that an account that does not change costs no request."""

    def __init__(self, api: ApiClient) -> None:
        self._api = api
        self._cache: Cache[_Known] = Cache()
        self._doubted: set[str] = set()  # UIDs of those to be read again before they are written

    def observe(self, kind: str | None, raw: Body) -> tuple[str, str] | None:
        """Take in a watch event. Returns namespace and name of the account to tell, or None if there is nothing new in it."""
        if kind == "DELETED":
            self._cache.bury(raw["metadata"]["uid"])
            return None
        return (raw["metadata"]["namespace"], raw["metadata"]["name"]) if self._keep(raw) else None

    async def current(self, account: AccountRecord) -> AccountStateStatus | Unavailable:
        known = self._cache.named(account.namespace, account.name)
        if known is None or known.uid in self._doubted:
            answer = await self._read(account)
            if not answer.ok:
                log.warning("the AccountState can't be had", account=account.name, namespace=account.namespace, reason=answer.message)
                return Unavailable(answer.message)
            known = self._cache.named(account.namespace, account.name)
        if known is None:
            return Unavailable("it was deleted at once")
        # An earlier account's of this name is being collected.
        return known.status if account.uid in known.owners else Unavailable("it is another account's")

    async def _read(self, account: AccountRecord) -> Answer:
        """Read the object, or make it if there is none."""
        with self._cache.asking() as asked:
            answer = await self._api.get(ACCOUNT_STATES.path(account.namespace, account.name))
            if answer.status == 404:
                if (gone := self._cache.named(account.namespace, account.name)) is not None:
                    self._cache.bury(gone.uid)
                owner = {"apiVersion": EXCHANGE_ACCOUNTS.api_version, "kind": "ExchangeAccount", "name": account.name, "uid": account.uid, "controller": True}
                metadata = {"name": account.name, "namespace": account.namespace, "ownerReferences": [owner]}
                body = {"apiVersion": ACCOUNT_STATES.api_version, "kind": "AccountState", "metadata": metadata, "spec": {"accountRef": {"name": account.name}}}
                answer = await self._api.create(ACCOUNT_STATES.path(account.namespace), body)
            if answer.ok:
                self._keep(answer.body, asked)
                self._doubted.discard(answer.body["metadata"]["uid"])
            return answer

    def asked(self, account: AccountRecord) -> str | None:
        known = self._cache.named(account.namespace, account.name)
        return known.asked if known is not None else None

    async def write(self, account: AccountRecord, old: AccountStateStatus, new: AccountStateStatus) -> bool:
        known = self._cache.named(account.namespace, account.name)
        if known is None or known.uid in self._doubted or known.status != old:
            return False
        body = {"metadata": {"resourceVersion": known.resource_version}, "status": status_patch(old, new)}
        with self._cache.asking() as asked:
            answer = await self._api.patch(ACCOUNT_STATES.path(account.namespace, account.name, "status"), body)
            if answer.ok:
                self._keep(answer.body, asked)
                return True
        self._doubted.add(known.uid)  # somebody annotated or deleted it, or the answer was lost: it is read again
        log.info("the AccountState was not written", account=account.name, reason=answer.message)
        return False

    def _keep(self, raw: Body, asked: int | None = None) -> bool:
        """Take it in; False if a newer one is known, or its end."""
        metadata = raw["metadata"]
        try:
            status = AccountStateStatus.model_validate(raw.get("status") or {})
        except ValidationError:
            status = AccountStateStatus()
        owners = frozenset(owner["uid"] for owner in metadata.get("ownerReferences", ()))
        version = metadata["resourceVersion"]
        known = _Known(metadata["uid"], metadata["namespace"], metadata["name"], version, owners, reconcile_asked(metadata), status)
        return self._cache.put(known, int(version), asked=asked)
