"""Whose word a status is: the API server takes it from the operator's identity alone, whatever rights somebody else has."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from exchange_kernel.api import KINDS
from exchange_kernel.kube.client import ApiClient
from exchange_kernel.kube.config import access
from tests.cluster.desks import AS_OPERATOR, with_token
from tests.cluster.operating import intent
from tests.support import eventually

FILLED = {"status": {"state": "Filled", "completionTime": "2026-01-31T12:00:00Z"}}
SAYS = "only the operator writes a status"
OBJECTS = [
    intent("order", type="Limit", price="20000"),
    {"kind": "OrderGroup", "metadata": {"name": "group"}, "spec": {"accountRef": {"name": "main"}, "mode": "Basket", "members": [
        {"name": name, "symbol": "BTC/USDT", "side": "Buy", "type": "Limit", "quantity": "0.01", "price": "20000"} for name in ("one", "two")]}},
    {"kind": "ExchangeAccount", "metadata": {"name": "main"}, "spec": {
        "exchange": "binance", "environment": "Simulated", "endpoint": {"rest": "http://localhost:1"}, "credentialsSecretRef": {"name": "keys"}}},
    {"kind": "AccountState", "metadata": {"name": "main"}, "spec": {"accountRef": {"name": "main"}}},
]


@pytest.fixture
def objects(kube: Any, namespace: str) -> str:
    """One of each kind that has a status; nobody looks at them. The namespace."""
    documents = [{"apiVersion": "exchange-kernel.io/v1alpha1", **document} for document in OBJECTS]
    kube.kubectl("--namespace", namespace, "apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": documents}))
    return namespace


def write(kube: Any, namespace: str, what: str, *options: str) -> subprocess.CompletedProcess[str]:
    done: subprocess.CompletedProcess[str] = kube.kubectl(
        "--namespace", namespace, "patch", *what.split("/"), "--subresource=status", "--type=merge", "-p", '{"status":{"observedGeneration":1}}', *options, check=False)
    return done


STATUSES = [f"{kind.resource.plural}.exchange-kernel.io/{name}" for kind, name in zip(KINDS, ("order", "group", "main", None, None, "main"), strict=True) if name]


def test_every_kind_that_has_a_status_is_tried_here() -> None:
    assert [kind.__name__ for kind in KINDS if "status" in kind.model_fields] == [document["kind"] for document in OBJECTS]


@pytest.mark.parametrize("what", STATUSES)
def test_i_am_the_administrator_and_my_word_is_no_fact_of_the_exchange(kube: Any, objects: str, what: str) -> None:
    refused = eventually(lambda: (done := write(kube, objects, what)).returncode != 0 and done, within=60, every=0.5, what="the policy in force")
    assert SAYS in refused.stderr
    assert "kubectl exchange resolve" in refused.stderr, "it says what to do instead"
    assert write(kube, objects, what, *AS_OPERATOR).returncode == 0, "the operator's own word is taken"


async def test_a_strategy_that_was_given_all_rights_of_the_cluster_writes_no_status_with_its_token(kube: Any, objects: str, tmp_path: Path) -> None:
    kube.kubectl("--namespace", objects, "create", "serviceaccount", "greedy")
    kube.kubectl("create", "clusterrolebinding", f"greedy-{objects}", "--clusterrole=cluster-admin", f"--serviceaccount={objects}:greedy")
    try:
        may = ("--namespace", objects, "auth", "can-i", "patch", "orderintents.exchange-kernel.io", "--subresource=status", f"--as=system:serviceaccount:{objects}:greedy")
        eventually(lambda: kube.kubectl(*may, check=False).returncode == 0, within=60, what="its rights")
        kubeconfig = with_token(kube, (objects, "greedy"), tmp_path / "greedy.kubeconfig")
        path = f"/apis/exchange-kernel.io/v1alpha1/namespaces/{objects}/orderintents/order"
        async with ApiClient(access(kubeconfig)) as api:
            answer = await api.patch(f"{path}/status", FILLED)
            assert answer.status == 403
            assert SAYS in answer.message
            found = (await api.get(path)).body
            found["status"] = FILLED["status"]
            assert (await api.replace(f"{path}/status", found)).status == 403, "nor by an update"
            assert (await api.patch(path, {"spec": {"suspend": True}, **FILLED})).ok, "beside a spec a status is passed over"
            assert (await api.get(path)).body["status"] == {"observedGeneration": -1, "state": "Pending"}
    finally:
        kube.kubectl("delete", "clusterrolebinding", f"greedy-{objects}")


async def test_the_operators_own_token_writes_it(kube: Any, objects: str, tmp_path: Path) -> None:
    async with ApiClient(access(with_token(kube, ("exchange-kernel-system", "exchange-kernel"), tmp_path / "operator.kubeconfig"))) as api:
        path = f"/apis/exchange-kernel.io/v1alpha1/namespaces/{objects}/orderintents/order/status"
        assert (await api.patch(path, {"status": {"observedGeneration": 1, "state": "Open"}})).ok
