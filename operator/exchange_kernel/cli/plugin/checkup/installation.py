"""The API server, our kinds in it, the admission policies, and whether an operator runs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from exchange_kernel.api import KINDS, VERSION, ExchangeAccount, Kind
from exchange_kernel.api.crd import crd
from exchange_kernel.cli.plugin.checkup.findings import Check, Finding, Level
from exchange_kernel.cli.plugin.cluster import Body, Cluster, Forbidden, NotFound
from exchange_kernel.cli.plugin.operator_pods import operator_pods, operator_user
from exchange_kernel.cli.plugin.reading import models
from exchange_kernel.kube.client import EXCHANGE_ACCOUNTS, Resource

OLDEST = (1, 30)  # selectable fields of custom resources
WITH_MUTATION = (1, 36)  # MutatingAdmissionPolicy is stable
CRDS = Resource("apiextensions.k8s.io", "v1", "customresourcedefinitions")
ADMISSION = "admissionregistration.k8s.io"
MUTATING = (Resource(ADMISSION, "v1", "mutatingadmissionpolicies"), Resource(ADMISSION, "v1", "mutatingadmissionpolicybindings"))
VALIDATING = (Resource(ADMISSION, "v1", "validatingadmissionpolicies"), Resource(ADMISSION, "v1", "validatingadmissionpolicybindings"))


@dataclass(frozen=True, slots=True)
class Policy:
    """An admission policy of manifests/admission/, and what is lost without it."""

    about: str
    name: str
    value: str  # of the chart: policies.VALUE
    holds: str
    lost: str
    unnamed: str  # what becomes of an operator that its variable `operators` does not name
    resources: tuple[Resource, ...]
    optional: bool = False


FINALIZER = Policy(
    "Admission", "exchange-kernel-order-finalizer", "finalizer", "The policy that keeps the finalizer on orders and groups is in force.",
    "an object may disappear while its order lives, where something takes the finalizer off.", "", MUTATING,
)
STATUS = Policy(
    "Status writers", "exchange-kernel-status", "status", "A status is taken from {user} alone.",
    "whoever may patch a status may end an order that is still open.",
    "No status is taken from {user}: if the operator runs as that, it can record nothing.", VALIDATING,
)
CREATOR = Policy(
    "Creators", "exchange-kernel-creator", "creator", "Orders and groups are stamped with who made them.",
    "nobody can tell later who placed an order.", "Members that {user} makes are not stamped with their group's creator.", (*MUTATING, *VALIDATING),
)
MEMBER = Policy(
    "Group members", "exchange-kernel-member", "member", "A group's member is taken from {user} alone.",
    "whoever may create an OrderIntent may call it a group's member, and only the operator tells that it is none.",
    "No member is taken from {user}: if the operator runs as that, no OrderGroup is placed, and no position gets its stop.", VALIDATING,
)
ACCOUNT = Policy(
    "Account writers", "exchange-kernel-account", "account", "Who changes an account needs the verb configure, or pause to stop it, and may read its Secret.",
    "whoever may patch an account can have its keys sent elsewhere, and undo the kill switch.",
    "{user} may neither open a new account nor let one go: it can't write its finalizer.", VALIDATING,
)
RESOLVE = Policy(
    "Words on orders", "exchange-kernel-resolve", "resolve", "Who tells what became of an order needs the verb resolve.",
    "whoever may patch an order may tell that it is absent, and have it sent again.", "", VALIDATING,
)
USE = Policy(
    "Use of accounts", "exchange-kernel-use", "use", "Who trades on an account needs the verb use on it, and who changes others' orders the verb manage.",
    "whoever may write orders in a namespace trades on every account in it, and cancels others' orders.",
    "{user} may not make members of groups nor change them.", VALIDATING, optional=True,
)


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


def admission(cluster: Cluster, namespace: str) -> Iterator[Finding]:
    if server_version(cluster.get("/version")) < WITH_MUTATION:
        yield Finding(Level.WARNING, "Admission", "This Kubernetes has no MutatingAdmissionPolicy: the operator adds the finalizer before it sends, and a "
                      "strategy that replaces the object may take it off again. Nobody is stamped as an order's creator.",
                      "Upgrade to Kubernetes 1.36, and apply manifests/admission/.")
        return
    for policy in (FINALIZER, CREATOR):
        yield from _policy(cluster, namespace, policy)


def policy_check(policy: Policy) -> Check:
    """Return the check of one policy."""
    return lambda cluster, namespace: _policy(cluster, namespace, policy)


def _policy(cluster: Cluster, namespace: str, policy: Policy) -> Iterator[Finding]:
    """Whether a policy is there, bound, and knows the operator where it asks who that is."""
    user, named = operator_user(cluster, namespace), True
    for resource in policy.resources:
        try:
            found = cluster.one_everywhere(resource, policy.name)
        except NotFound:
            if policy.optional:
                yield Finding(Level.OK, policy.about, f"{policy.name} is not installed: {policy.lost}")
            else:
                yield Finding(Level.WARNING, policy.about, f"{resource.plural}/{policy.name} is not installed: {policy.lost}",
                              f"Apply manifests/admission/, or set policies.{policy.value} in the chart.")
            return
        if policy.unnamed and resource in (MUTATING[0], VALIDATING[0]):
            expressions = " ".join(variable["expression"] for variable in found.get("spec", {}).get("variables", ()))
            named = named and re.search(rf"""['"]{re.escape(user)}['"]""", expressions) is not None
    if named:
        yield Finding(Level.OK, policy.about, policy.holds.format(user=user))
    else:
        yield Finding(Level.WARNING, policy.about, policy.unnamed.format(user=user),
                      "Add it to operatorUsers in the chart, or to the variable `operators` of the policy.")


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
