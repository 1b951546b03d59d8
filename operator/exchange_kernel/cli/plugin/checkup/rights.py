"""What the operator's ServiceAccount may do, and what whoever asks may."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from exchange_kernel.cli.plugin.checkup.findings import Finding, Level
from exchange_kernel.cli.plugin.cluster import Body, Cluster, Forbidden
from exchange_kernel.cli.plugin.operator_pods import operator_user
from exchange_kernel.kube.client import GROUP

SELF_REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
REVIEWS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"


@dataclass(frozen=True, slots=True)
class Right:
    verb: str
    group: str
    resource: str  # with its subresource, if there is one: orderintents/status
    name: str = ""


def _rights(group: str, resources: str, verbs: str, name: str = "") -> list[Right]:
    return [Right(verb, group, resource, name) for resource in resources.split() for verb in verbs.split()]


#: What the operator needs wherever there are orders: manifests/rbac/operator.yaml gives just this.
OPERATORS = (
    *_rights(GROUP, "orderintents ordergroups exchangeaccounts", "get list watch patch"),
    *_rights(GROUP, "orderintents", "create delete"),
    *_rights(GROUP, "ordergroups", "delete"),
    *_rights(GROUP, "risklimits", "get list watch"),
    *_rights(GROUP, "markets", "get list create patch delete"),
    *_rights(GROUP, "accountstates", "get list watch create"),
    *_rights(GROUP, "accountstates/status", "patch"),
    *_rights(GROUP, "orderintents/status ordergroups/status exchangeaccounts/status", "patch"),
    *_rights(GROUP, "orderintents/status", "update"),
    *_rights(GROUP, "ordergroups/finalizers", "update"),
    *_rights("", "secrets", "get"),
    *_rights("events.k8s.io", "events", "create patch"),
    *_rights("", "namespaces", "get", "kube-system"),
)
#: And in its own namespace.
OPERATORS_LEASES = tuple(_rights("coordination.k8s.io", "leases", "get create update patch"))

#: What a person may do, by the role that gives it.
PEOPLE = {
    "view": ("see orders, groups and accounts", _rights(GROUP, "orderintents ordergroups exchangeaccounts", "get list watch")),
    "edit": ("place, change and cancel orders", _rights(GROUP, "orderintents ordergroups", "create patch")),
    "on-call": ("pause accounts", _rights(GROUP, "exchangeaccounts", "patch pause")),
    "admin": ("resume and configure accounts", _rights(GROUP, "exchangeaccounts", "patch configure")),
    "resolve": ("tell what became of an order", _rights(GROUP, "orderintents", "patch resolve")),
}


def operators_rights(cluster: Cluster, namespace: str) -> Iterator[Finding]:
    user = operator_user(cluster, namespace)
    wanted = [(right, cluster.namespace) for right in OPERATORS] + [(right, namespace) for right in OPERATORS_LEASES]
    try:
        missing = [right for right, where in wanted if not _allowed(cluster, REVIEWS, right, where, user)]
    except Forbidden:
        yield Finding(Level.NOT_CHECKED, "Operator's rights", "You may not ask what others may do (create on subjectaccessreviews).")
        return
    if missing:
        yield Finding(Level.WRONG, "Operator's rights", f"{user} may not {_named(missing)} in {cluster.namespace}.",
                      "Apply manifests/rbac/, or upgrade the chart; where the operator watches some namespaces only, ask about one of them with -n.")
    else:
        yield Finding(Level.OK, "Operator's rights", f"{user} may do in {cluster.namespace} what it needs to.")


def own_rights(cluster: Cluster, _: str) -> Iterator[Finding]:
    for role, (what, rights) in PEOPLE.items():
        missing = [right for right in rights if not _allowed(cluster, SELF_REVIEWS, right, cluster.namespace)]
        if not missing:
            yield Finding(Level.OK, "Your rights", f"You may {what} in {cluster.namespace}.")
        else:
            mend = f"If you are to: kubectl -n {cluster.namespace} create rolebinding NAME --clusterrole={role} --user=YOU" if role == "view" else ""
            level = Level.WARNING if role == "view" else Level.OK
            yield Finding(level, "Your rights", f"You may not {what} in {cluster.namespace} (the ClusterRole exchange-kernel-{role} gives it).", mend)


def _allowed(cluster: Cluster, path: str, right: Right, namespace: str, user: str | None = None) -> bool:
    resource, _, subresource = right.resource.partition("/")
    asked: Body = {"verb": right.verb, "group": right.group, "resource": resource, "subresource": subresource, "name": right.name,
                   "namespace": "" if resource == "namespaces" else namespace}
    groups = {"user": user, "groups": ["system:serviceaccounts", "system:authenticated"]} if user is not None else {}
    answer = cluster.create(path, {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview" if user is None else "SubjectAccessReview",
                                   "spec": {"resourceAttributes": asked, **groups}})
    return bool(answer.get("status", {}).get("allowed"))


def _named(rights: list[Right]) -> str:
    shown = ", ".join(f"{right.verb} {right.resource}" for right in rights[:4])
    return shown + (f" and {len(rights) - 4} things more" if len(rights) > 4 else "")
