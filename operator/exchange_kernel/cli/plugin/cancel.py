"""`kubectl exchange cancel`: orders and groups by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from exchange_kernel.api import OrderGroup, OrderIntent
from exchange_kernel.cli.plugin.cancelling import WAIT_S, Plan, cancel_and_tell, group_step, key, order_of_a_group_step, order_step
from exchange_kernel.cli.plugin.cluster import Cluster, NotFound
from exchange_kernel.cli.plugin.command import DryRun, DryRunFlag, Timeout, command, complete_orders, named
from exchange_kernel.cli.plugin.output import Document, DocumentFlag
from exchange_kernel.cli.plugin.reading import group as read_group
from exchange_kernel.cli.plugin.reading import intent as read_intent
from exchange_kernel.cli.plugin.reading import models
from exchange_kernel.kube.client import ORDER_GROUPS, ORDER_INTENTS


@command
def cancel(
    cluster: Cluster,
    names: Annotated[list[str], typer.Argument(help="Orders (NAME, oi/NAME) and groups (og/NAME).", autocompletion=complete_orders)],
    timeout: Timeout = WAIT_S,
    dry_run: DryRunFlag = DryRun.NONE,
    output: DocumentFlag = Document.TABLE,
) -> None:
    """Cancel orders or groups, and wait until that is proved. What has ended already is left as it is."""
    plan = Plan()
    for text in dict.fromkeys(names):
        resource, name = named(text)
        if resource is ORDER_GROUPS:
            group = read_group(cluster, name)
            own = models(OrderIntent, cluster.items(ORDER_INTENTS, everywhere=False))
            add_group(plan, group, [order for order in own if order.spec.group_ref is not None and order.spec.group_ref.uid == group.metadata.uid])
        else:
            add_order(plan, cluster, read_intent(cluster, name))
    cancel_and_tell(cluster, plan, timeout, dry_run, output)


def add_order(plan: Plan, cluster: Cluster, order: OrderIntent) -> None:
    plan.orders[key(order)] = order
    if order.status.completion_time is None:
        group = _group_of(cluster, order)
        plan.steps.append(order_of_a_group_step(group, order) if group is not None else order_step(order))


def add_group(plan: Plan, group: OrderGroup, orders: Sequence[OrderIntent]) -> None:
    plan.orders |= {key(order): order for order in orders if order.status.completion_time is None}
    if group.status.completion_time is None:
        plan.steps.append(group_step(group))
        plan.groups.add(key(group))


def _group_of(cluster: Cluster, order: OrderIntent) -> OrderGroup | None:
    """The group that has the say over it; None for an order of its own, and for what a deleted group left."""
    if (ref := order.spec.group_ref) is None:
        return None
    try:
        group = read_group(cluster, ref.name, namespace=order.metadata.namespace)
    except NotFound:
        return None
    return group if group.metadata.uid == ref.uid else None
