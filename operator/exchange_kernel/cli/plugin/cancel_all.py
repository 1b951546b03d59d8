"""`kubectl exchange cancel-all`: every order of an account, a market or a strategy, and the groups that would place more."""

from __future__ import annotations

from collections.abc import Sequence

from exchange_kernel.api import OrderGroup, OrderIntent
from exchange_kernel.cli.plugin.cancel import add_group
from exchange_kernel.cli.plugin.cancelling import WAIT_S, Plan, cancel_and_tell, key, member_step, order_step
from exchange_kernel.cli.plugin.cluster import Cluster
from exchange_kernel.cli.plugin.command import DryRun, DryRunFlag, Timeout, Yes, command, confirm
from exchange_kernel.cli.plugin.orders import Account, Strategy, Symbol
from exchange_kernel.cli.plugin.output import Document, DocumentFlag
from exchange_kernel.cli.plugin.reading import models, selectors
from exchange_kernel.kernel.objects import STRATEGY_LABEL
from exchange_kernel.kube.client import ORDER_GROUPS, ORDER_INTENTS


@command(everywhere=True)
def cancel_all(
    cluster: Cluster,
    account: Account = None,
    symbol: Symbol = None,
    strategy: Strategy = None,
    yes: Yes = False,
    timeout: Timeout = WAIT_S,
    dry_run: DryRunFlag = DryRun.NONE,
    output: DocumentFlag = Document.TABLE,
) -> None:
    """Cancel every order that matches, wait, and print how many are proved cancelled. Without a filter: all in the namespace."""
    orders = models(OrderIntent, cluster.items(ORDER_INTENTS, selectors(account=account)))
    groups = models(OrderGroup, cluster.items(ORDER_GROUPS, selectors(account=account)))
    plan = plan_of(orders, groups, symbol=symbol, strategy=strategy)
    if dry_run is DryRun.NONE and plan.steps:
        where = "all namespaces" if cluster.everywhere else f"namespace {cluster.namespace}"
        confirm(f"{len(plan.orders)} orders and {len(plan.groups)} groups in {where} at {cluster.host} are to be cancelled.", yes)
    cancel_and_tell(cluster, plan, timeout, dry_run, output)


def plan_of(orders: Sequence[OrderIntent], groups: Sequence[OrderGroup], *, symbol: str | None, strategy: str | None) -> Plan:
    """A group whose members all match is cancelled as a whole, so that it places nothing later; else the members that match are, in its spec.

    Of a strategy: groups with its label, and members with it.
    """
    plan = Plan()
    open_orders = [order for order in orders if order.status.completion_time is None]
    by_group: dict[str, list[OrderIntent]] = {}
    for order in open_orders:
        if order.spec.group_ref is not None:
            by_group.setdefault(order.spec.group_ref.uid, []).append(order)
    governed = set()
    for group in groups:
        if group.status.completion_time is not None:
            continue
        own = by_group.get(group.metadata.uid or "", [])
        governed.add(group.metadata.uid)
        if of_strategy(group, strategy) and all(symbol in (None, member.symbol) for member in group.spec.members):
            add_group(plan, group, own)
            continue
        matching = [member.name for member in group.spec.members if symbol in (None, member.symbol)]
        labelled = {order.spec.group_ref.member for order in own if order.spec.group_ref is not None and of_strategy(order, strategy)}
        wanted = [name for name in matching if of_strategy(group, strategy) or name in labelled]
        plan.steps += [member_step(group, name) for name in wanted]
        plan.orders |= {key(order): order for order in own if order.spec.group_ref is not None and order.spec.group_ref.member in wanted}
        extras = {member.name for member in group.status.members if member.extra_of is not None}
        for order in own:
            added = order.spec.group_ref is not None and order.spec.group_ref.member in extras
            if added and symbol in (None, order.spec.symbol) and of_strategy(group, strategy):
                plan.orders[key(order)] = order
                plan.steps.append(order_step(order))
    for order in open_orders:
        own_say = order.spec.group_ref is None or order.spec.group_ref.uid not in governed
        if own_say and symbol in (None, order.spec.symbol) and of_strategy(order, strategy):
            plan.orders[key(order)] = order
            plan.steps.append(order_step(order))
    return plan


def of_strategy(item: OrderGroup | OrderIntent, strategy: str | None) -> bool:
    return strategy in (None, (item.metadata.labels or {}).get(STRATEGY_LABEL))
