"""An operator that the policies do not know by its name, and a cluster that writes defaults into every order: groups get their members all the same."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from exchange_kernel.api import OrderIntentSpec
from exchange_kernel.core.groups import GroupRecord
from exchange_kernel.kube.client import ApiClient
from exchange_kernel.kube.config import access
from exchange_kernel.stores.kubernetes import KubernetesIntentStore
from exchange_kernel.stores.kubernetes_groups import group_record
from exchange_kernel.stores.port import Found, Unavailable, Written
from tests.cluster.desks import with_token
from tests.cluster.groups import Group
from tests.cluster.operating import intent
from tests.cluster.people import a_group, employ, person
from tests.support import aeventually, condition, eventually

ADMISSION = "admissionregistration.k8s.io/v1"
NOBODY = {"apiVersion": "v1", "kind": "ConfigMap", "name": "nothing", "uid": "00000000-0000-0000-0000-000000000001"}


async def member_made_by(kubeconfig: Path, group: GroupRecord) -> Any:
    spec = intent("any", groupRef={"name": group.name, "uid": group.uid, "member": "one"})["spec"]
    async with ApiClient(access(kubeconfig)) as api:
        return await KubernetesIntentStore(api, lambda reason: None).create_member(group, f"{group.name}-one", OrderIntentSpec.model_validate(spec), owned=False)


async def test_my_operator_runs_under_a_name_that_the_policies_do_not_know(kube: Any, namespace: str, tmp_path: Path) -> None:
    """What it may not do yet it may do once its name is added: no member is refused for good, for it may be the stop of an open position."""
    employ(kube, namespace, desk=("exchange-kernel-operator",), alice=("exchange-kernel-strategy",))
    async with person(kube, (namespace, "alice"), tmp_path) as alice:

        async def placed() -> dict[str, Any]:
            answer = await alice.create("ordergroups", a_group("pair"))
            assert answer.ok, answer.message
            return dict(answer.body)

        group = group_record(await aeventually(placed, within=60, what="her role"))
    other = with_token(kube, (namespace, "desk"), tmp_path / "other.kubeconfig")

    async def refused() -> bool:
        answer = await member_made_by(other, group)
        assert isinstance(answer, Unavailable)
        assert answer.forbidden, answer.reason
        return "written by the operator alone" in answer.reason

    await aeventually(refused, within=60, every=0.5, what="its role and the policy in force")
    own = with_token(kube, ("exchange-kernel-system", "exchange-kernel"), tmp_path / "own.kubeconfig")
    made = await member_made_by(own, group)
    assert isinstance(made, Written), made
    assert isinstance(await member_made_by(own, group), Found), "and it knows what it made before from what it makes now"


async def test_a_strategy_without_the_right_to_delete_has_my_order_deleted_and_nobodys_account(kube: Any, namespace: str, tmp_path: Path) -> None:
    """The garbage collector does it: docs/security.md says so."""
    employ(kube, namespace, alice=("exchange-kernel-strategy",), oncall=("exchange-kernel-on-call",))
    account = {"apiVersion": "exchange-kernel.io/v1alpha1", "kind": "ExchangeAccount", "metadata": {"name": "main"}, "spec": {
        "exchange": "binance", "environment": "Simulated", "marketType": "Spot", "endpoint": {"rest": "http://localhost:1"}, "credentialsSecretRef": {"name": "keys"}}}
    kube.kubectl("--namespace", namespace, "apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": [account, intent("mine")]}))
    async with person(kube, (namespace, "alice"), tmp_path) as alice, person(kube, (namespace, "oncall"), tmp_path) as on_call:

        async def changed() -> bool:
            assert (await alice.delete("orderintents", "mine")).status == 403
            answer = await alice.patch("orderintents", "mine", {"metadata": {"ownerReferences": [NOBODY]}})
            return answer.ok

        await aeventually(changed, within=60, every=0.5, what="her role")

        async def goes() -> bool:
            return "deletionTimestamp" in (await alice.get("orderintents", "mine"))["metadata"]

        await aeventually(goes, within=60, every=0.5, what="the garbage collector")
        refused = await on_call.patch("exchangeaccounts", "main", {"metadata": {"ownerReferences": [NOBODY]}})
        assert (refused.status, "needs the verb configure" in refused.message) == (403, True), refused.message


@pytest.fixture
def kept_for_an_hour(kube: Any, namespace: str) -> Iterator[None]:
    """A policy of the platform team's own: each OrderIntent in this namespace goes an hour after its end, whatever it says."""
    policy = {
        "apiVersion": ADMISSION, "kind": "MutatingAdmissionPolicy", "metadata": {"name": f"tidy-{namespace}"},
        "spec": {
            "failurePolicy": "Fail", "reinvocationPolicy": "Never",
            "matchConstraints": {
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
                "resourceRules": [{"apiGroups": ["exchange-kernel.io"], "apiVersions": ["*"], "operations": ["CREATE", "UPDATE"], "resources": ["orderintents"]}],
            },
            "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": '[JSONPatch{op: "add", path: "/spec/ttlSecondsAfterFinished", value: 3600}]'}}],
        },
    }
    binding = {"apiVersion": ADMISSION, "kind": "MutatingAdmissionPolicyBinding", "metadata": {"name": f"tidy-{namespace}"}, "spec": {"policyName": f"tidy-{namespace}"}}
    installed = json.dumps({"apiVersion": "v1", "kind": "List", "items": [policy, binding]})
    kube.kubectl("apply", "-f", "-", stdin=installed)

    def in_force() -> bool:
        shown = kube.kubectl("--namespace", namespace, "create", "--dry-run=server", "-o", "json", "-f", "-", stdin=json.dumps(intent("probe")), check=False)
        return shown.returncode == 0 and json.loads(shown.stdout)["spec"].get("ttlSecondsAfterFinished") == 3600

    eventually(in_force, within=60, every=0.3, what="the platform team's policy in force")
    yield
    kube.kubectl("delete", "-f", "-", stdin=installed)


def test_my_cluster_says_how_long_orders_are_kept_and_my_bracket_has_its_stop(desk: Any, kept_for_an_hour: None) -> None:
    desk.start()
    desk.trading.await_account()
    group = Group(desk.trading, "pair").bracket()
    group.await_state("Open", "entry")
    group.fill("entry", "0.01")
    group.await_state("Open", "stop")
    eventually(lambda: condition(group.get(), "Protected").get("status") == "True", within=60, what="the group tells of its stop")
    assert condition(group.get(), "Stalled")["status"] == "False"
    assert json.loads(desk.trading.run("get", "oi", "pair-stop", "-o", "json"))["spec"]["ttlSecondsAfterFinished"] == 3600
