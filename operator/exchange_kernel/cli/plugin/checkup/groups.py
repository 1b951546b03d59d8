"""OrderGroups that need a person, and positions without a stop."""

from __future__ import annotations

from collections.abc import Iterator

from exchange_kernel.api import ConditionStatus, OrderGroup
from exchange_kernel.cli.plugin.checkup.findings import Finding, Level
from exchange_kernel.cli.plugin.cluster import Cluster
from exchange_kernel.cli.plugin.reading import models
from exchange_kernel.kube.client import ORDER_GROUPS


def groups(cluster: Cluster, _: str) -> Iterator[Finding]:
    found = [finding for group in models(OrderGroup, cluster.items(ORDER_GROUPS)) for finding in _group(group)]
    yield from found or [Finding(Level.OK, "Groups", "No group needs a person, and no position lacks its stop.")]


def _group(group: OrderGroup) -> Iterator[Finding]:
    name = f"{group.metadata.namespace}/{group.metadata.name}"
    conditions = {condition.type: condition for condition in group.status.conditions}
    stalled, protected = conditions.get("Stalled"), conditions.get("Protected")
    bare = protected is not None and protected.status is ConditionStatus.FALSE
    if stalled is not None and stalled.status is ConditionStatus.TRUE and (bare or group.status.completion_time is None):
        said = protected.message if protected is not None and bare and protected.message else stalled.message
        yield Finding(Level.WRONG, "Groups", f"{name}: {stalled.reason}: {said}",
                      f"kubectl describe og {group.metadata.name} -n {group.metadata.namespace}; what its orders are is in status.members.")
    elif protected is not None and bare:
        yield Finding(Level.WARNING, "Groups", f"{name}: {protected.reason}: {protected.message}", "Look again in a minute; if it stays, look at its stop.")
