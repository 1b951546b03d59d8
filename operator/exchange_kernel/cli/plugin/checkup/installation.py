"""The API server, our kinds in it, the admission policies, and whether an operator runs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

from exchange_kernel.api import KINDS, VERSION, ExchangeAccount, Kind
from exchange_kernel.api.crd import crd
from exchange_kernel.cli.plugin.checkup.findings import Finding, Level
from exchange_kernel.cli.plugin.cluster import Body, Cluster, Forbidden, NotFound
from exchange_kernel.cli.plugin.operator_pods import operator_pods, operator_user
from exchange_kernel.cli.plugin.reading import models
from exchange_kernel.kube.client import EXCHANGE_ACCOUNTS, Resource

OLDEST = (1, 30)  # selectable fields of custom resources
WITH_MUTATION = (1, 36)  # MutatingAdmissionPolicy is stable
CRDS = Resource("apiextensions.k8s.io", "v1", "customresourcedefinitions")
POLICY = "exchange-kernel-order-finalizer"
ADMISSION = "admissionregistration.k8s.io"
POLICIES = (Resource(ADMISSION, "v1", "mutatingadmissionpolicies"), Resource(ADMISSION, "v1", "mutatingadmissionpolicybindings"))
STATUS_POLICY, MEMBER_POLICY = "exchange-kernel-status", "exchange-kernel-member"
VALIDATING_POLICIES = (Resource(ADMISSION, "v1", "validatingadmissionpolicies"), Resource(ADMISSION, "v1", "validatingadmissionpolicybindings"))
ADD_THE_OPERATOR = "Add it to operatorUsers in the chart, or to the variable `operators` of the policy."


def cluster(cluster: Cluster, _: str) -> Iterator[Finding]:
    served = cluster.get("/version")
    git = str(served.get("gitVersion", "unknown"))
    if server_version(served) < OLDEST:
        yield Finding(Level.WRONG, "Cluster", f"{cluster.host} is Kubernetes {git}.", "The kinds need Kubernetes 1.30 or newer: upgrade the cluster.")
    else:
        yield Finding(Level.OK, "Cluster", f"{cluster.host} answers: Kubernetes {git}.")


def server_version(served: Body) -> tuple[int, int]:
    major, minor = (int(match.group()) if (match := re.match(r"\d+", str(served.get(part, "0")))) else 0 for part in ("major", "minor"))
    return major, minor


def kinds(cluster: Cluster, _: str) -> Iterator[Finding]:
    ours, install = version("exchange-kernel"), "Install the CRDs of this version: helm upgrade, or kubectl apply --server-side -k crds/."
    for kind in KINDS:
        name = kind.resource.crd_name
        try:
            stored = cluster.one_everywhere(CRDS, name)
        except NotFound:
            yield Finding(Level.WRONG, "Kinds", f"{name} is not installed.", install)
            continue
        if differences := different(stored, kind):
            shown = ", ".join(differences[:3]) + (f" and {len(differences) - 3} more" if len(differences) > 3 else "")
            yield Finding(Level.WRONG, "Kinds", f"{name} is not that of version {ours}: it differs at {shown}.", install)
        elif not _established(stored):
            yield Finding(Level.WRONG, "Kinds", f"{name} is not served: the API server has not accepted it.", f"See kubectl describe crd {name}.")
        else:
            yield Finding(Level.OK, "Kinds", f"{name} is that of version {ours}.")


def different(stored: Body, kind: type[Kind]) -> list[str]:
    """Where the schema that the API server has is not this version's; paths, empty if it is."""
    wanted = crd(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    served = next((entry for entry in stored["spec"]["versions"] if entry["name"] == VERSION and entry.get("storage")), None)
    if served is None:
        return [f"versions: {VERSION} is not stored"]
    return list(_unequal(served.get("schema", {}).get("openAPIV3Schema", {}), wanted, ""))


def _unequal(have: Any, want: Any, path: str) -> Iterator[str]:
    if isinstance(have, dict) and isinstance(want, dict):
        for name in sorted(have.keys() | want.keys()):
            yield from _unequal(have.get(name), want.get(name), f"{path}.{name}" if name not in ("properties", "items") else path)
    elif have != want:
        yield path.lstrip(".") or "its root"


def _established(stored: Body) -> bool:
    return any(condition["type"] == "Established" and condition["status"] == "True" for condition in stored.get("status", {}).get("conditions", ()))


def admission(cluster: Cluster, _: str) -> Iterator[Finding]:
    if server_version(cluster.get("/version")) < WITH_MUTATION:
        yield Finding(Level.WARNING, "Admission", "This Kubernetes has no MutatingAdmissionPolicy: the operator adds the finalizer before it sends, and a "
                      "strategy that replaces the object may take it off again.", "Upgrade to Kubernetes 1.36, and apply manifests/admission/.")
        return
    for resource in POLICIES:
        try:
            cluster.one_everywhere(resource, POLICY)
        except NotFound:
            yield Finding(Level.WARNING, "Admission", f"{resource.plural}/{POLICY} is not installed: an order's object may disappear while its order "
                          "lives, where something takes the finalizer off.", "Apply manifests/admission/, or set policies.finalizer in the chart.")
            return
    yield Finding(Level.OK, "Admission", "The policy that keeps the finalizer on orders is in force.")


def status_writers(cluster: Cluster, namespace: str) -> Iterator[Finding]:
    missing = f"{STATUS_POLICY} is not installed: whoever may patch a status may end an order that is still open."
    if (policy := _policy(cluster, STATUS_POLICY)) is None:
        yield Finding(Level.WARNING, "Status writers", missing, "Apply manifests/admission/, or set policies.status in the chart.")
    elif _names(policy, user := operator_user(cluster, namespace)):
        yield Finding(Level.OK, "Status writers", f"A status is taken from {user} alone.")
    else:
        yield Finding(Level.WARNING, "Status writers", f"No status is taken from {user}: if the operator runs as that, it can record nothing.",
                      ADD_THE_OPERATOR)


def group_members(cluster: Cluster, namespace: str) -> Iterator[Finding]:
    missing = f"{MEMBER_POLICY} is not installed: whoever may create an OrderIntent may call it a group's member, and only the operator tells that it is none."
    if (policy := _policy(cluster, MEMBER_POLICY)) is None:
        yield Finding(Level.WARNING, "Group members", missing, "Apply manifests/admission/, or set policies.member in the chart.")
    elif _names(policy, user := operator_user(cluster, namespace)):
        yield Finding(Level.OK, "Group members", f"A group's member is taken from {user} alone.")
    else:
        yield Finding(Level.WARNING, "Group members", f"No member is taken from {user}: if the operator runs as that, no OrderGroup is placed.",
                      ADD_THE_OPERATOR)


def _policy(cluster: Cluster, name: str) -> Body | None:
    """Return the policy, if it is there with its binding."""
    try:
        policy, _ = [cluster.one_everywhere(resource, name) for resource in VALIDATING_POLICIES]
    except NotFound:
        return None
    return policy


def _names(policy: Body, user: str) -> bool:
    named = " ".join(variable["expression"] for variable in policy["spec"].get("variables", ()))
    return re.search(rf"""['"]{re.escape(user)}['"]""", named) is not None


def operator(cluster: Cluster, namespace: str) -> Iterator[Finding]:
    mend = f"See kubectl -n {namespace} get pods and the logs; --operator-namespace names another place."
    holders = {account.status.holder for account in models(ExchangeAccount, cluster.items(EXCHANGE_ACCOUNTS)) if account.status.holder is not None}
    try:
        pods = operator_pods(cluster, namespace)
    except Forbidden:
        pods = None
    ready = [pod["metadata"]["name"] for pod in pods or () if _ready(pod)]
    if ready:
        yield Finding(Level.OK, "Operator", f"{', '.join(ready)} in {namespace} {'is' if len(ready) == 1 else 'are'} ready.")
    elif pods:
        names = ", ".join(pod["metadata"]["name"] for pod in pods)
        yield Finding(Level.WRONG, "Operator", f"{names} in {namespace} is not ready: an account can't be reconciled, or it does not start.", mend)
    elif holders:
        where = "may not be seen by you" if pods is None else f"is none of the pods in {namespace}"
        yield Finding(Level.OK, "Operator", f"Accounts are held by {', '.join(sorted(holders))}, which {where}.")
    elif pods is None:
        yield Finding(Level.NOT_CHECKED, "Operator", f"You may not list pods in {namespace}, and no account says by whom it is held.")
    else:
        yield Finding(Level.WRONG, "Operator", f"No operator runs in {namespace}, and no account is held by one: nothing is sent.",
                      f"Install the chart. {mend}")


def _ready(pod: Body) -> bool:
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in pod.get("status", {}).get("conditions", ()))
