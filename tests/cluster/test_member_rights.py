"""Who makes a group's member: the API server takes spec.groupRef from the operator's token alone, and the operator takes no other's."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from exchange_kernel.kube.client import ApiClient
from exchange_kernel.kube.config import access
from tests.cluster.desks import OPERATOR_USER, with_token
from tests.cluster.groups import Group
from tests.cluster.operating import intent
from tests.support import condition, eventually

SAYS = "spec.groupRef is written by the operator alone"
PATH = "/apis/exchange-kernel.io/v1alpha1/namespaces/{namespace}/orderintents"
REF = {"name": "pair", "uid": "5e3b63f9-2c7a-4a4e-8a3d-5a8f2f5d6b01", "member": "stop"}


def forged(name: str = "pair-stop", **changes: Any) -> dict[str, Any]:
    """For 47,500 USDT, whatever a RiskLimit says."""
    return intent(name, **{"type": "Limit", "price": "47500", "quantity": "1", "groupRef": REF, **changes})


@pytest.fixture(scope="session")
def member_policy(kube: Any) -> None:
    eventually(lambda: kube.kubectl("create", "--dry-run=server", "-f", "-", stdin=json.dumps(forged()), check=False).returncode != 0, within=60, every=0.2, what="the member policy in force")


@pytest.fixture
def strategy(kube: Any, namespace: str, member_policy: None, tmp_path: Path) -> Path:
    """A ServiceAccount with the role that we hand to strategies, by its token."""
    kube.kubectl("--namespace", namespace, "create", "serviceaccount", "strategy")
    kube.kubectl("--namespace", namespace, "create", "rolebinding", "strategy", "--clusterrole=exchange-kernel-strategy", f"--serviceaccount={namespace}:strategy")
    kubeconfig = with_token(kube, (namespace, "strategy"), tmp_path / "strategy.kubeconfig")
    eventually(lambda: kube.kubectl("--namespace", namespace, "auth", "can-i", "create", "orderintents.exchange-kernel.io", f"--as=system:serviceaccount:{namespace}:strategy", check=False).returncode == 0, within=60, what="its role")
    return kubeconfig


@pytest.fixture
def member(kube: Any, namespace: str, strategy: Path) -> str:
    """A member as the operator makes it. Its name."""
    kube.kubectl("--namespace", namespace, "create", "-f", "-", f"--as={OPERATOR_USER}", "--as-group=system:masters", stdin=json.dumps(forged()))
    return "pair-stop"


async def test_my_strategy_forges_no_member_of_a_group_with_its_token(namespace: str, strategy: Path) -> None:
    async with ApiClient(access(strategy)) as api:
        path = PATH.format(namespace=namespace)
        refused = await api.create(path, forged())
        assert refused.status == 403
        assert SAYS in refused.message
        assert "write or restore the OrderGroup" in refused.message, "it says what to do instead"
        assert (await api.create(path, forged("plain", groupRef=None))).ok, "an order of its own it may place"
        assert (await api.patch(f"{path}/plain", {"spec": {"groupRef": REF}})).status in (403, 422), "and not call a member later"
        assert "groupRef" not in (await api.get(f"{path}/plain")).body["spec"]


async def test_the_operators_own_token_makes_one(kube: Any, namespace: str, member_policy: None, tmp_path: Path) -> None:
    async with ApiClient(access(with_token(kube, ("exchange-kernel-system", "exchange-kernel"), tmp_path / "operator.kubeconfig"))) as api:
        assert (await api.create(PATH.format(namespace=namespace), forged())).ok


async def test_a_member_that_there_is_can_be_cancelled_and_labelled_and_not_put_into_another_group(namespace: str, strategy: Path, member: str) -> None:
    async with ApiClient(access(strategy)) as api:
        path = f"{PATH.format(namespace=namespace)}/{member}"
        assert (await api.patch(path, {"metadata": {"labels": {"desk": "7"}}})).ok
        assert (await api.patch(path, {"spec": {"groupRef": None}})).status in (403, 422), "nor taken out of its own"
        assert (await api.patch(path, {"spec": {"groupRef": {**REF, "member": "take"}}})).status in (403, 422)
        assert (await api.get(path)).body["spec"]["groupRef"] == REF
        assert (await api.patch(path, {"spec": {"desiredState": "Canceled"}})).ok


def test_an_administrator_restores_a_member_of_a_group_and_is_told_to_restore_the_group(kube: Any, namespace: str, strategy: Path, member: str) -> None:
    """As a backup tool does, and as `kubectl apply` of what was dumped: it is the same object for as long as it is there."""

    def run(*arguments: str, stdin: str | None = None) -> Any:
        return kube.kubectl("--namespace", namespace, *arguments, stdin=stdin, check=False)

    dumped = json.loads(run("get", "oi", member, "-o", "json").stdout)
    for name in ("uid", "resourceVersion", "creationTimestamp", "managedFields", "generation"):
        dumped["metadata"].pop(name, None)
    assert run("apply", "-f", "-", stdin=json.dumps(dumped)).returncode == 0
    assert run("replace", "-f", "-", stdin=json.dumps(dumped)).returncode == 0
    assert run("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=json.dumps(dumped)).returncode == 0
    assert run("delete", "oi", member, "--wait=false").returncode == 0
    assert run("patch", "oi", member, "--type=merge", "-p", '{"metadata":{"finalizers":null}}').returncode == 0
    eventually(lambda: run("get", "oi", member).returncode != 0, within=60, what="it is gone")
    for way in (["create"], ["apply"], ["apply", "--server-side", "--force-conflicts"]):
        refused = run(*way, "-f", "-", stdin=json.dumps(dumped))
        assert refused.returncode != 0
        assert SAYS in refused.stderr, way


def test_a_namespace_with_members_goes(kube: Any, member_policy: None) -> None:
    name = "members-go"
    kube.kubectl("create", "namespace", name)
    kube.kubectl("--namespace", name, "create", "-f", "-", f"--as={OPERATOR_USER}", "--as-group=system:masters", stdin=json.dumps(forged()))
    kube.kubectl("delete", "namespace", name, "--wait=false")
    eventually(lambda: "deletionTimestamp" in json.loads(kube.kubectl("--namespace", name, "get", "oi", "pair-stop", "-o", "json").stdout)["metadata"], within=60, what="its member is being deleted")
    kube.kubectl("--namespace", name, "patch", "oi", "pair-stop", "--type=merge", "-p", '{"metadata":{"finalizers":null}}')
    eventually(lambda: kube.kubectl("get", "namespace", name, check=False).returncode != 0, within=60, what="the namespace is gone")


# ── Where the policy is absent ──────────────────────────────────────────────────────────────────────────────────────────────────────────────

@pytest.fixture
def without_the_policy(kube: Any, namespace: str, member_policy: None) -> Iterator[None]:
    """In this test's namespace."""
    binding = json.loads(kube.kubectl("get", "validatingadmissionpolicybinding", "exchange-kernel-member", "-o", "json").stdout)
    elsewhere = {"namespaceSelector": {"matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": [namespace]}]}}
    kube.kubectl("patch", "validatingadmissionpolicybinding", "exchange-kernel-member", "--type=merge", "-p", json.dumps({"spec": {"matchResources": elsewhere}}))
    probe = json.dumps(forged("probe"))
    eventually(lambda: kube.kubectl("--namespace", namespace, "create", "--dry-run=server", "-f", "-", stdin=probe, check=False).returncode == 0, within=60, every=0.2, what="the policy is off here")
    yield
    kube.kubectl("patch", "validatingadmissionpolicybinding", "exchange-kernel-member", "--type=merge", "-p", json.dumps({"spec": {"matchResources": binding["spec"].get("matchResources")}}))
    eventually(lambda: kube.kubectl("--namespace", namespace, "create", "--dry-run=server", "-f", "-", stdin=probe, check=False).returncode != 0, within=60, every=0.2, what="the policy in force again")


async def test_i_buy_for_47500_under_a_limit_of_1000_where_there_is_no_policy(desk: Any, without_the_policy: None, strategy: Path) -> None:
    trading = desk.trading
    desk.start()
    trading.await_account()
    trading.run("apply", "-f", "-", stdin=json.dumps({"apiVersion": "exchange-kernel.io/v1alpha1", "kind": "RiskLimit", "metadata": {"name": "desk"},
                                                      "spec": {"maxOrderNotional": [{"asset": "USDT", "amount": "1000"}]}}))
    group = Group(trading, "pair").bracket()
    group.await_state("Open", "entry")
    uid = group.get()["metadata"]["uid"]
    async with ApiClient(access(strategy)) as api:
        path = PATH.format(namespace=trading.namespace)
        assert (await api.create(path, forged(groupRef={**REF, "uid": uid}))).ok
        group.fill("entry", "0.01")
        group.await_condition("Stalled", "True", "NameConflict")
        group.await_state("Open", "take")
        eventually(lambda: trading.condition("pair-stop", "Stalled").get("reason") == "NoMember", within=60, what="and so does the forgery")
        assert not [order for order in desk.exchange.orders() if float(order["price"]) == 47500]
        assert (await api.patch(f"{path}/pair-stop", {"spec": {"desiredState": "Canceled"}})).ok
    trading.wait("pair-stop", "Finished")
    assert trading.status("pair-stop")["state"] == "Canceled"
    trading.run("delete", "oi", "pair-stop", "--timeout=60s")
    group.await_state("Open", "stop")
    eventually(lambda: condition(group.get(), "Protected").get("status") == "True", within=60, what="the group tells of its stop")
