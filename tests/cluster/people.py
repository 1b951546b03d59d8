"""Users with tokens that the API server gave them, and no more rights than their roles."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from exchange_kernel.kube.client import Answer, ApiClient
from exchange_kernel.kube.config import access
from tests.cluster.desks import with_token
from tests.support import eventually

API = "/apis/exchange-kernel.io/v1alpha1"
SERVER_SIDE = "application/apply-patch+yaml"
JSON_PATCH = "application/json-patch+json"


@dataclass(frozen=True, slots=True)
class Person:
    """A ServiceAccount of one namespace, as a client of its orders there."""

    namespace: str
    name: str
    user: str
    api: ApiClient

    def path(self, plural: str, name: str = "", **query: str) -> str:
        asked = "&".join(f"{key}={value}" for key, value in query.items())
        return f"{API}/namespaces/{self.namespace}/{plural}" + (f"/{name}" if name else "") + (f"?{asked}" if asked else "")

    async def create(self, plural: str, body: Mapping[str, Any]) -> Answer:
        return await self.api.create(self.path(plural), dict(body))

    async def patch(self, plural: str, name: str, body: Any, kind: str = "application/merge-patch+json") -> Answer:
        return await self.api.patch(self.path(plural, name), body, kind)

    async def apply(self, plural: str, body: Mapping[str, Any], manager: str) -> Answer:
        """Server-side, by force."""
        return await self.api.patch(self.path(plural, body["metadata"]["name"], fieldManager=manager, force="true"), dict(body), SERVER_SIDE)

    async def replace(self, plural: str, name: str, body: Mapping[str, Any]) -> Answer:
        return await self.api.replace(self.path(plural, name), dict(body))

    async def delete(self, plural: str, name: str = "") -> Answer:
        return await self.api.delete(self.path(plural, name))

    async def get(self, plural: str, name: str) -> dict[str, Any]:
        answer = await self.api.get(self.path(plural, name))
        assert answer.ok, answer.message
        return dict(answer.body)


@asynccontextmanager
async def person(kube: Any, account: tuple[str, str], dir: Path, namespace: str | None = None) -> AsyncIterator[Person]:
    """Who this ServiceAccount (namespace and name) is to the API server; works in its own namespace unless another is named."""
    there, name = account
    kubeconfig = with_token(kube, account, dir / f"{there}-{name}.kubeconfig")
    async with ApiClient(access(kubeconfig)) as api:
        yield Person(namespace or there, name, f"system:serviceaccount:{there}:{name}", api)


def employ(kube: Any, namespace: str, **roles: Sequence[str | Mapping[str, Any]]) -> None:
    """Make a ServiceAccount for each name, with ClusterRoles by their names or with rules of its own, in this namespace."""
    documents: list[dict[str, Any]] = []
    for name, given in roles.items():
        subjects = [{"kind": "ServiceAccount", "name": name, "namespace": namespace}]
        documents.append({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}})
        for number, role in enumerate(given):
            bound, named = f"{name}-{number}", "ClusterRole"
            if not isinstance(role, str):
                documents.append({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": bound}, "rules": [
                    {"apiGroups": ["exchange-kernel.io"], **role}]})
                role, named = bound, "Role"
            documents.append({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": bound}, "subjects": subjects,
                              "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": named, "name": role}})
    kube.kubectl("--namespace", namespace, "apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": documents}))
    in_force(kube, namespace)


def in_force(kube: Any, namespace: str) -> None:
    """Wait until the API server goes by every Role and RoleBinding that there is: it learns of them in their order, and here of one more."""
    name, rbac = f"last-{uuid.uuid4().hex[:10]}", "rbac.authorization.k8s.io"
    documents = [
        {"apiVersion": f"{rbac}/v1", "kind": "Role", "metadata": {"name": name}, "rules": [
            {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": [name], "verbs": ["get"]}]},
        {"apiVersion": f"{rbac}/v1", "kind": "RoleBinding", "metadata": {"name": name}, "subjects": [{"kind": "User", "apiGroup": rbac, "name": name}],
         "roleRef": {"apiGroup": rbac, "kind": "Role", "name": name}},
    ]
    kube.kubectl("--namespace", namespace, "create", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": documents}))
    asked = ("--namespace", namespace, "auth", "can-i", "get", f"configmaps/{name}", f"--as={name}")
    eventually(lambda: kube.kubectl(*asked, check=False).returncode == 0, within=60, what=f"the roles of {namespace} in force")


def an_order(name: str, *, account: str = "main", metadata: Mapping[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    return {"apiVersion": "exchange-kernel.io/v1alpha1", "kind": "OrderIntent", "metadata": {"name": name, **(metadata or {})},
            "spec": {"accountRef": {"name": account}, "symbol": "BTC/USDT", "side": "Buy", "type": "Limit", "quantity": "0.01", "price": "20000", **spec}}


def a_group(name: str, *, account: str = "main", metadata: Mapping[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    members = [{"name": leg, "symbol": "BTC/USDT", "side": "Buy", "type": "Limit", "quantity": "0.01", "price": "20000"} for leg in ("one", "two")]
    return {"apiVersion": "exchange-kernel.io/v1alpha1", "kind": "OrderGroup", "metadata": {"name": name, **(metadata or {})},
            "spec": {"accountRef": {"name": account}, "mode": "Basket", "members": members, **spec}}


KINDS = {"orderintents": an_order, "ordergroups": a_group}
