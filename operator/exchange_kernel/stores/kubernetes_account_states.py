"""AccountStates on the API server: one object for each ExchangeAccount, of its name, which goes with it."""

from __future__ import annotations

from dataclasses import dataclass

import structlog
from pydantic import ValidationError

from exchange_kernel.api import AccountStateStatus, reconcile_asked, status_patch
from exchange_kernel.kube.client import ACCOUNT_STATES, EXCHANGE_ACCOUNTS, ApiClient, Body
from exchange_kernel.stores.port import AccountRecord, AccountStateStore, Unavailable

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Known:
    version: int
    owners: frozenset[str]
    asked: str | None
    status: AccountStateStatus


class KubernetesAccountStateStore(AccountStateStore):
    """What the watch told and what was last written, so that an account that does not change costs no request."""

    def __init__(self, api: ApiClient) -> None:
        self._api = api
        self._known: dict[tuple[str, str], _Known] = {}

    def observe(self, kind: str | None, raw: Body) -> tuple[str, str] | None:
        """Take in a watch event. Returns namespace and name of the account to tell, or None if there is nothing new in it."""
        key = raw["metadata"]["namespace"], raw["metadata"]["name"]
        if kind == "DELETED":
            self._known.pop(key, None)
            return None
        before = self._known.get(key)
        return key if self._keep(raw) is not before else None

    async def current(self, account: AccountRecord) -> AccountStateStatus | Unavailable:
        known = self._known.get((account.namespace, account.name))
        if known is None:
            answer = await self._api.get(ACCOUNT_STATES.path(account.namespace, account.name))
            if answer.status == 404:
                owner = {"apiVersion": EXCHANGE_ACCOUNTS.api_version, "kind": "ExchangeAccount", "name": account.name, "uid": account.uid, "controller": True}
                metadata = {"name": account.name, "namespace": account.namespace, "ownerReferences": [owner]}
                body = {"apiVersion": ACCOUNT_STATES.api_version, "kind": "AccountState", "metadata": metadata, "spec": {"accountRef": {"name": account.name}}}
                answer = await self._api.create(ACCOUNT_STATES.path(account.namespace), body)
            if not answer.ok:
                log.warning("the AccountState can't be had", account=account.name, namespace=account.namespace, reason=answer.message)
                return Unavailable(answer.message)
            known = self._keep(answer.body)
        # An earlier account's of this name is being collected.
        return known.status if account.uid in known.owners else Unavailable("it is another account's")

    def asked(self, account: AccountRecord) -> str | None:
        known = self._known.get((account.namespace, account.name))
        return known.asked if known is not None else None

    async def write(self, account: AccountRecord, old: AccountStateStatus, new: AccountStateStatus) -> bool:
        key = account.namespace, account.name
        if (known := self._known.get(key)) is None or known.status != old:
            return False
        body = {"metadata": {"resourceVersion": str(known.version)}, "status": status_patch(old, new)}
        answer = await self._api.patch(ACCOUNT_STATES.path(*key, "status"), body)
        if not answer.ok:
            self._known.pop(key, None)  # somebody annotated or deleted it, or the answer was lost: it is read again
            log.info("the AccountState was not written", account=account.name, reason=answer.message)
            return False
        self._keep(answer.body)
        return True

    def _keep(self, raw: Body) -> _Known:
        """The newest that is known of it by now."""
        metadata = raw["metadata"]
        key, version = (metadata["namespace"], metadata["name"]), int(metadata["resourceVersion"])
        known = self._known.get(key)
        if known is not None and known.version >= version:
            return known
        try:
            status = AccountStateStatus.model_validate(raw.get("status") or {})
        except ValidationError:
            status = AccountStateStatus()
        owners = frozenset(owner["uid"] for owner in metadata.get("ownerReferences", ()))
        known = self._known[key] = _Known(version, owners, reconcile_asked(metadata), status)
        return known
