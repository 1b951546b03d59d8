"""AccountStates on the API server: one object for each ExchangeAccount, of its name, which goes with it."""

from __future__ import annotations

import structlog
from pydantic import ValidationError

from exchange_kernel.api import AccountStateStatus, status_patch
from exchange_kernel.kube.client import ACCOUNT_STATES, ApiClient, Body
from exchange_kernel.stores.port import AccountRecord, AccountStateStore, Unavailable

log = structlog.get_logger(__name__)

API_VERSION = f"{ACCOUNT_STATES.group}/{ACCOUNT_STATES.version}"


class KubernetesAccountStateStore(AccountStateStore):
    """Remembers what it last wrote or read, so that an account that does not change costs no request."""

    def __init__(self, api: ApiClient) -> None:
        self._api = api
        self._known: dict[str, tuple[str, AccountStateStatus]] = {}  # by the account's UID: resourceVersion and status

    async def current(self, account: AccountRecord) -> AccountStateStatus | Unavailable:
        if (known := self._known.get(account.uid)) is not None:
            return known[1]
        answer = await self._api.get(ACCOUNT_STATES.path(account.namespace, account.name))
        if answer.status == 404:
            owner = {"apiVersion": API_VERSION, "kind": "ExchangeAccount", "name": account.name, "uid": account.uid, "controller": True}
            metadata = {"name": account.name, "namespace": account.namespace, "ownerReferences": [owner]}
            body = {"apiVersion": API_VERSION, "kind": "AccountState", "metadata": metadata, "spec": {"accountRef": {"name": account.name}}}
            answer = await self._api.create(ACCOUNT_STATES.path(account.namespace), body)
        if not answer.ok:
            log.warning("the AccountState can't be had", account=account.name, namespace=account.namespace, reason=answer.message)
            return Unavailable(answer.message)
        if all(owner["uid"] != account.uid for owner in answer.body["metadata"].get("ownerReferences", ())):
            # An earlier account's of this name, which is being collected.
            return Unavailable("it is another account's")
        return self._keep(account, answer.body)

    async def write(self, account: AccountRecord, old: AccountStateStatus, new: AccountStateStatus) -> bool:
        version, _ = self._known[account.uid]
        body = {"metadata": {"resourceVersion": version}, "status": status_patch(old, new)}
        answer = await self._api.patch(ACCOUNT_STATES.path(account.namespace, account.name, "status"), body)
        if not answer.ok:
            self._known.pop(account.uid)  # somebody annotated or deleted it, or the answer was lost: it is read again
            log.info("the AccountState was not written", account=account.name, reason=answer.message)
            return False
        self._keep(account, answer.body)
        return True

    def _keep(self, account: AccountRecord, raw: Body) -> AccountStateStatus:
        try:
            status = AccountStateStatus.model_validate(raw.get("status") or {})
        except ValidationError:
            status = AccountStateStatus()
        self._known[account.uid] = raw["metadata"]["resourceVersion"], status
        return status
