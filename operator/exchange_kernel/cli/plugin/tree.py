"""`kubectl exchange tree`: groups, their members' orders, the attempts at the exchange, and the fills."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer
from rich.text import Text
from rich.tree import Tree

from exchange_kernel.api import Attempt, FillEntry, OrderGroup, OrderIntent, OrderIntentSpec, plain
from exchange_kernel.cli.plugin.cluster import Body, Cluster, NotFound
from exchange_kernel.cli.plugin.command import command, complete_groups, named
from exchange_kernel.cli.plugin.output import Document, DocumentFlag, cells, clock, console, print_document
from exchange_kernel.cli.plugin.reading import models
from exchange_kernel.kube.client import ORDER_GROUPS, ORDER_INTENTS


@command(everywhere=True)
def tree(
    cluster: Cluster,
    name: Annotated[str | None, typer.Argument(help="A group or an order (NAME, og/NAME, oi/NAME); all if absent.", autocompletion=complete_groups)] = None,
    output: DocumentFlag = Document.TABLE,
) -> None:
    """Show groups → orders → attempts → fills."""
    groups, intents = _chosen(cluster, name)
    if output is not Document.TABLE:
        print_document(nested(groups, intents), as_yaml=output is Document.YAML)
        return
    if not groups and not intents:
        typer.echo("No orders found.", err=True)
    for branch in branches(models(OrderGroup, groups), models(OrderIntent, intents), namespaced=cluster.everywhere):
        console().print(branch)


def _chosen(cluster: Cluster, name: str | None) -> tuple[list[Body], list[Body]]:
    if name is None:
        return cluster.items(ORDER_GROUPS), cluster.items(ORDER_INTENTS)
    resource, wanted = named(name)
    if resource is ORDER_GROUPS or "/" not in name:
        try:
            group = cluster.one(ORDER_GROUPS, wanted)
            uid = group["metadata"]["uid"]
            return [group], [raw for raw in cluster.items(ORDER_INTENTS, everywhere=False) if (raw["spec"].get("groupRef") or {}).get("uid") == uid]
        except NotFound:
            if "/" in name:
                raise
    return [], [cluster.one(ORDER_INTENTS, wanted)]


def nested(groups: Sequence[Body], intents: Sequence[Body]) -> Body:
    """The same for programs: groups with their orders, and the orders of no group that is here."""
    uids = {raw["metadata"]["uid"] for raw in groups}

    def group_of(raw: Body) -> str | None:
        return (raw["spec"].get("groupRef") or {}).get("uid")

    return {
        "groups": [{"group": raw, "orders": [order for order in intents if group_of(order) == raw["metadata"]["uid"]]} for raw in groups],
        "orders": [raw for raw in intents if group_of(raw) not in uids],
    }


def branches(groups: Sequence[OrderGroup], intents: Sequence[OrderIntent], *, namespaced: bool) -> list[Tree]:
    made = []
    left = {intent.metadata.uid: intent for intent in intents}
    for group in groups:
        root = Tree(Text.assemble((f"og/{_full_name(group, namespaced)}", "bold"), "  ", group.spec.mode, "  ", *_succeeded(group)))
        own = {intent.spec.group_ref.member: intent for intent in intents if intent.spec.group_ref and intent.spec.group_ref.uid == group.metadata.uid}
        statuses = {status.name: status for status in group.status.members}
        roles = {member.name: str(member.role) for member in group.spec.members}
        added = {status.name: f"added for {status.extra_of}" for status in group.status.members if status.extra_of is not None}
        for name, role in sorted((roles | added).items()):
            intent = own.get(name)
            if intent is not None:
                left.pop(intent.metadata.uid, None)
                _add_order(root, intent, f"{role} ", namespaced=False)
            else:
                told = statuses.get(name)
                why = "its OrderIntent is gone" if told is not None and told.gone else (told.message if told is not None else None) or "not placed yet"
                root.add(Text.assemble(f"{role} {name}  ", *_state(str(told.state) if told is not None else "Pending"), f"  {why}"))
        made.append(root)
    for intent in left.values():
        root = Tree(_headline(intent, "", namespaced))
        _add_attempts(root, intent)
        made.append(root)
    return made


def _add_order(parent: Tree, intent: OrderIntent, role: str, *, namespaced: bool) -> None:
    _add_attempts(parent.add(_headline(intent, role, namespaced)), intent)


def _add_attempts(branch: Tree, intent: OrderIntent) -> None:
    status = intent.status
    if status.earlier_attempts is not None and status.earlier_attempts.count:
        branch.add(f"{status.earlier_attempts.count} earlier attempts, filled {plain(status.earlier_attempts.filled_quantity)}")
    node = branch
    for attempt in status.attempts:
        node = branch.add(attempt_line(attempt))
    # Which attempt an execution belongs to is not told of it: under the attempt where there is one only, else beside them.
    under = node if len(status.attempts) == 1 and status.earlier_attempts is None else branch
    for fill in status.fills:
        under.add(fill_line(fill))


def _headline(intent: OrderIntent, role: str, namespaced: bool) -> Text:
    status = intent.status
    filled = f"  filled {plain(status.filled_quantity)}" if status.filled_quantity else ""
    average = f" at {plain(status.average_price)}" if status.average_price else ""
    operation = f"  {status.operation}" if status.operation is not None else ""
    name = (f"oi/{_full_name(intent, namespaced)}", "bold")
    return Text.assemble(role, name, "  ", *_state(status.state), f"  {wanted(intent.spec)}{filled}{average}{operation}")


def wanted(spec: OrderIntentSpec) -> str:
    """An order in a line: Buy 0.01 BTC/USDT Limit at 42000."""
    size = plain(spec.quantity) if spec.quantity is not None else f"for {plain(spec.quote_quantity)}" if spec.quote_quantity is not None else ""
    price = f" at {plain(spec.price)}" if spec.price is not None else ""
    trigger = f" triggered at {plain(spec.trigger_price)}" if spec.trigger_price is not None else ""
    return f"{spec.side} {size} {spec.symbol} {spec.type}{price}{trigger}"


def attempt_line(attempt: Attempt) -> Text:
    size = attempt.quantity if attempt.quantity is not None else attempt.quote_quantity
    asked = f"  {plain(size)}" if size is not None else ""
    price = f" at {plain(attempt.price)}" if attempt.price is not None else ""
    filled = f"  filled {plain(attempt.filled_quantity)}" if attempt.filled_quantity else ""
    ids = f"  {attempt.client_order_id}" + (f" / {attempt.exchange_order_id}" if attempt.exchange_order_id else "")
    reason = f"  {attempt.reason}" if attempt.reason else ""
    return Text.assemble(f"attempt {attempt.number}  ", *_state(attempt.outcome or attempt.stage), f"{asked}{price}{filled}{ids}{reason}")


def fill_line(fill: FillEntry) -> str:
    fee = f"  fee {plain(fill.fee.amount)} {fill.fee.asset}" if fill.fee is not None else ""
    return f"fill {fill.trade_id}  {plain(fill.quantity)} at {plain(fill.price)}{fee}  {clock(fill.time)}{'  inferred' if fill.inferred else ''}"


def _full_name(item: OrderGroup | OrderIntent, namespaced: bool) -> str:
    return f"{item.metadata.namespace}/{item.metadata.name}" if namespaced else item.metadata.name


def _state(state: str) -> list[Text]:
    return cells(str(state))


def _succeeded(group: OrderGroup) -> list[Text | str]:
    condition = next((condition for condition in group.status.conditions if condition.type == "Succeeded"), None)
    return [f"{'finished: ' if group.status.completion_time else ''}{condition.reason}"] if condition is not None else []
