"""A real API server for the session, with our kinds and policy installed; a namespace for each test."""

from __future__ import annotations

import json
import os
import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from exchange_kernel.api import KINDS
from exchange_kernel.cli.controlplane import ControlPlane, Kubectl, find_target
from tests.cluster.desks import (  # noqa: F401
    audit_log,
    desk,
    operator_kubeconfig,
    pytest_runtest_makereport,
    shared,
    trading,
)
from tests.support import eventually

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "manifests" / "examples"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With CLUSTER_PART=1/2, keep half of the files: the parts run side by side, each on a control plane of its own.

    They are dealt out there and back, as 1, 2, 2, 1, which shares the long ones better than in turns.
    """
    part, parts = (int(number) for number in os.environ.get("CLUSTER_PART", "1/1").split("/"))
    dealt = [*range(1, parts + 1), *range(parts, 0, -1)]
    kept = {path for place, path in enumerate(sorted({item.path for item in items})) if dealt[place % len(dealt)] == part}
    config.hook.pytest_deselected(items=[item for item in items if item.path not in kept])
    items[:] = [item for item in items if item.path in kept]


@dataclass(frozen=True, slots=True)
class Kube:
    """The cluster under test."""

    kubeconfig: Path
    control_plane: ControlPlane | None      # None for a cluster that TEST_KUBECONFIG names
    _kubectl: Kubectl

    def kubectl(self, *arguments: str, stdin: str | None = None, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self._kubectl(*arguments, stdin=stdin, check=check, timeout=180)


@pytest.fixture(scope="session")
def kube(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kube]:
    with find_target(os.environ.get("TEST_KUBECONFIG"), dir=tmp_path_factory.mktemp("cluster") / "plane", fsync=False) as cluster:
        kube = Kube(cluster.kubeconfig, cluster.control_plane, cluster.kubectl)
        kube.kubectl("apply", "--server-side", "--force-conflicts", "-k", str(ROOT / "manifests"))
        kube.kubectl("wait", "--for=condition=Established", "--timeout=60s", *(f"crd/{kind.resource.crd_name}" for kind in KINDS))
        kube.kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": [*_last_policy("Validating"), *_last_policy("Mutating")]}))
        eventually(lambda: _in_force(kube), within=120, every=0.2, what="all admission policies in force")
        eventually(lambda: _handed_on(kube), within=120, every=0.5, what="the cluster's own roles have the rights that ours hand on to them")
        yield kube


LAST = "zz-tests-last"


def _last_policy(kind: str) -> list[dict[str, object]]:
    """Return a policy that is made after ours: once it is enforced, ours are."""
    does: dict[str, object] = {"validations": [{"expression": "false", "message": LAST}]}
    if kind == "Mutating":
        does = {"reinvocationPolicy": "Never", "mutations": [{"patchType": "ApplyConfiguration", "applyConfiguration": {
            "expression": f'Object{{metadata: Object.metadata{{labels: {{"{LAST}": "yes"}}}}}}'}}]}
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"], "resourceNames": [f"{LAST}-{kind.lower()}"]}
    head = {"apiVersion": "admissionregistration.k8s.io/v1", "metadata": {"name": LAST}}
    return [
        {**head, "kind": f"{kind}AdmissionPolicy", "spec": {"failurePolicy": "Fail", "matchConstraints": {"resourceRules": [rule]}, **does}},
        {**head, "kind": f"{kind}AdmissionPolicyBinding", "spec": {"policyName": LAST} | ({"validationActions": ["Deny"]} if kind == "Validating" else {})},
    ]


def _in_force(kube: Kube) -> bool:
    """Return whether the last policies are enforced, and mutating ones know our kinds.

    Each kind is made known to them by itself.
    """
    refused = kube.kubectl("create", "configmap", f"{LAST}-validating", "--dry-run=server", check=False)
    changed = kube.kubectl("create", "configmap", f"{LAST}-mutating", "--dry-run=server", "-o", "json", check=False)
    if refused.returncode == 0:
        return False
    assert LAST in refused.stderr, refused.stderr
    assert changed.returncode == 0, changed.stderr
    if LAST not in json.loads(changed.stdout)["metadata"].get("labels", {}):
        return False
    examples = (EXAMPLES / name for name in ("limit-order.yaml", "oco.yaml", "account.yaml"))
    made = [kube.kubectl("create", "--dry-run=server", "-o", "json", "-f", str(path), check=False) for path in examples]
    assert all(one.returncode == 0 for one in made), [one.stderr for one in made]
    return all(json.loads(one.stdout)["metadata"].get("finalizers") for one in made[:2])


def _handed_on(kube: Kube) -> bool:
    """Return whether a controller has copied our ClusterRoles' rules into those that their labels name."""
    roles = json.loads(kube.kubectl("get", "clusterroles", "-o", "json").stdout)["items"]
    rules = {role["metadata"]["name"]: role.get("rules") or [] for role in roles}
    labels = ((into, role) for into in ("view", "edit", "admin") for role in roles if role["metadata"].get("labels", {}).get(f"rbac.authorization.k8s.io/aggregate-to-{into}") == "true")
    return all(rule in rules[into] for into, role in labels for rule in rules[role["metadata"]["name"]])


@pytest.fixture
def namespace(kube: Kube) -> Iterator[str]:
    """A fresh one. Where no operator has let its orders go, they are let go here."""
    name = f"test-{uuid.uuid4().hex[:10]}"
    kube.kubectl("create", "namespace", name)
    yield name
    kinds = "ordergroups,orderintents,exchangeaccounts"
    kube.kubectl("--namespace", name, "delete", kinds, "--all", "--wait=false")
    for left in kube.kubectl("--namespace", name, "get", kinds, "-o", "name").stdout.split():
        kube.kubectl("--namespace", name, "patch", left, "--type=merge", "-p", '{"metadata":{"finalizers":null}}', check=False)
    kube.kubectl("delete", "namespace", name, "--wait=false", "--ignore-not-found")
