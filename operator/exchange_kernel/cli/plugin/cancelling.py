"""How an order is cancelled, for `cancel` and `cancel-all`: by its spec, a group's member by its group's; and the wait until that is proved."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from exchange_kernel.api import MemberRole, OrderGroup, OrderIntent, OrderState
from exchange_kernel.api.order_terms import DesiredState
from exchange_kernel.cli.plugin.cluster import POLL_S, Body, Cluster, Failure, NotFound, Unreachable
from exchange_kernel.cli.plugin.command import DryRun
from exchange_kernel.cli.plugin.output import Document, print_document, progress_console
from exchange_kernel.cli.plugin.reading import group as read_group
from exchange_kernel.cli.plugin.reading import intent as read_intent
from exchange_kernel.kube.client import JSON_PATCH, MERGE_PATCH, ORDER_GROUPS, ORDER_INTENTS, Resource

CANCELED = str(DesiredState.CANCELED)
WAIT_S = 60.0
AT_ONCE = 8  # edits on their way together

#: Reasons of a group's Protected that say that its stop works, of whatever size.
STOP_WORKS = ("StopWorking", "StopResizing", "StopSmaller", "StopLarger")


@dataclass(frozen=True, slots=True)
class Step:
    """One edit. Each holds for the object that was read only, not for another of the same name."""

    resource: Resource
    namespace: str
    name: str
    patch: Body | list[Body]
    kind: str
    says: str


@dataclass(slots=True)
class Plan:
    """The edits, the orders whose ends they bring about, and the groups that they end (by namespace and name)."""

    steps: list[Step] = field(default_factory=list)
    orders: dict[tuple[str, str], OrderIntent] = field(default_factory=dict)
    groups: set[tuple[str, str]] = field(default_factory=set)


def order_step(order: OrderIntent) -> Step:
    patch = {"metadata": {"uid": order.metadata.uid}, "spec": {"desiredState": CANCELED}}
    return Step(ORDER_INTENTS, _namespace(order), order.metadata.name, patch, MERGE_PATCH, f"orderintent/{order.metadata.name}: desiredState Canceled")


def group_step(group: OrderGroup) -> Step:
    patch = {"metadata": {"uid": group.metadata.uid}, "spec": {"desiredState": CANCELED}}
    return Step(ORDER_GROUPS, _namespace(group), group.metadata.name, patch, MERGE_PATCH, f"ordergroup/{group.metadata.name}: desiredState Canceled")


def order_of_a_group_step(group: OrderGroup, order: OrderIntent) -> Step:
    """Cancel a member in its group's spec, and what the group added in its own."""
    member = order.spec.group_ref.member if order.spec.group_ref is not None else ""
    return member_step(group, member) if any(one.name == member for one in group.spec.members) else order_step(order)


def member_step(group: OrderGroup, member: str) -> Step:
    """By place in the list, and only if it still stands there: a merge patch would replace the whole list, and with it what somebody else edits."""
    place = next(index for index, item in enumerate(group.spec.members) if item.name == member)
    patch: list[Body] = [
        {"op": "test", "path": "/metadata/uid", "value": group.metadata.uid},
        {"op": "test", "path": f"/spec/members/{place}/name", "value": member},
        {"op": "add", "path": f"/spec/members/{place}/desiredState", "value": CANCELED},
    ]
    says = f"ordergroup/{group.metadata.name}: desiredState Canceled for its member {member}"
    return Step(ORDER_GROUPS, _namespace(group), group.metadata.name, patch, JSON_PATCH, says)


def _namespace(item: OrderIntent | OrderGroup) -> str:
    return item.metadata.namespace or "default"


def key(item: OrderIntent | OrderGroup) -> tuple[str, str]:
    return _namespace(item), item.metadata.name


def carry_out(cluster: Cluster, steps: Sequence[Step], dry_run: DryRun) -> list[str]:
    """Make the edits, several at once. One that is refused does not hold up the others: returned are the sentences of those that were."""
    note = {DryRun.NONE: "", DryRun.CLIENT: " (dry run)", DryRun.SERVER: " (server dry run)"}[dry_run]
    if dry_run is DryRun.CLIENT:
        refused: list[str | None] = [None] * len(steps)
    else:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            refused = list(pool.map(lambda step: _refused(cluster, step, server_dry_run=dry_run is DryRun.SERVER), steps))
    for step, why in zip(steps, refused, strict=True):
        if why is not None:
            typer.echo(f"error: {step.says}: {why}", err=True)
        elif note:
            typer.echo(f"{step.says}{note}")
    return [why for why in refused if why is not None]


def _refused(cluster: Cluster, step: Step, *, server_dry_run: bool) -> str | None:
    path = step.resource.path(step.namespace, step.name)
    try:
        cluster.patch(path, step.patch, step.kind, dry_run=server_dry_run)
    except Failure as failure:
        return None if _is_over(cluster, path) else str(failure)
    return None


def _is_over(cluster: Cluster, path: str) -> bool:
    """What ended or went since it was read takes no edit, and needs none."""
    try:
        return "completionTime" in cluster.get(path).get("status", {})
    except NotFound:
        return True
    except Failure:
        return False


# ── The end ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

@dataclass(slots=True)
class Ends:
    """What became of the orders. `canceled` is proved: the exchange's word and its final quantity, or proof that it was never sent."""

    canceled: list[str] = field(default_factory=list)
    otherwise: dict[str, str] = field(default_factory=dict)  # ended, but not so: filled before the cancel arrived, for one
    kept: list[str] = field(default_factory=list)  # stops of open positions, which a group's cancel leaves
    open: dict[str, str] = field(default_factory=dict)  # not ended within the timeout, with their states


def cancel_and_tell(cluster: Cluster, plan: Plan, within: float, dry_run: DryRun, output: Document) -> None:
    """Carry the plan out, wait and print what became of it; exit code 1 if an edit was refused or something has not ended in time."""
    refused = carry_out(cluster, plan.steps, dry_run)
    ends = Ends()
    if dry_run is DryRun.NONE:
        ends = await_ends(cluster, plan, within if len(refused) < len(plan.steps) else 0)
        print_ends(ends, output)
    if refused or ends.open:
        raise typer.Exit(1)


def await_ends(cluster: Cluster, plan: Plan, within: float) -> Ends:
    """Until every order's end is settled (status.completionTime), or the time is over."""
    deadline = time.monotonic() + within
    seen: dict[tuple[str, str], OrderIntent | None] = dict(plan.orders)
    with Progress(TextColumn("Cancelling"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=progress_console(), transient=True,
                  disable=not progress_console().is_terminal) as progress:
        task = progress.add_task("", total=len(seen))
        kept: set[tuple[str, str]] = set()
        while True:
            for where, order in seen.items():
                if order is not None and not _ended(order) and where not in kept:
                    with contextlib.suppress(Unreachable):  # it is asked again
                        seen[where] = _read(cluster, where)
            left = [where for where, order in seen.items() if order is not None and not _ended(order)]
            with contextlib.suppress(Unreachable):
                kept = _kept(cluster, plan.groups, {where: order for where in left if (order := seen[where]) is not None})
            progress.update(task, completed=len(seen) - len(left) + len(kept))
            if set(left) <= kept or time.monotonic() >= deadline:
                return _ends(seen, kept)
            time.sleep(POLL_S)


def _ended(order: OrderIntent) -> bool:
    return order.status.completion_time is not None


def _read(cluster: Cluster, where: tuple[str, str]) -> OrderIntent | None:
    try:
        return read_intent(cluster, where[1], namespace=where[0])
    except NotFound:
        return None  # its finalizer keeps it until its end is settled


def _kept(cluster: Cluster, groups: Iterable[tuple[str, str]], left: Mapping[tuple[str, str], OrderIntent]) -> set[tuple[str, str]]:
    """Stops that their group keeps, since there is a position: nothing else of it is left, and it has answered."""
    kept: set[tuple[str, str]] = set()
    for namespace, name in groups:
        own = {where for where, order in left.items() if order.spec.group_ref is not None and (where[0], order.spec.group_ref.name) == (namespace, name)}
        if not own:
            continue
        try:
            group = read_group(cluster, name, namespace=namespace)
        except NotFound:
            continue  # deleted meanwhile: its orders are followed to their own ends
        stops = {member.name for member in group.spec.members if member.role is MemberRole.STOP_LOSS}
        stops |= {member.name for member in group.status.members if member.extra_of in stops}
        answered = group.status.observed_generation >= (group.metadata.generation or 0)
        protected = any(condition.type == "Protected" and condition.reason in STOP_WORKS for condition in group.status.conditions)
        if answered and protected and all(order.spec.group_ref is not None and order.spec.group_ref.member in stops
                                          for where, order in left.items() if where in own):
            kept |= own
    return kept


def _ends(seen: Mapping[tuple[str, str], OrderIntent | None], kept: set[tuple[str, str]]) -> Ends:
    ends = Ends()
    for where, order in seen.items():
        name = "/".join(where)
        if order is None:
            ends.otherwise[name] = "gone"
        elif where in kept:
            ends.kept.append(name)
        elif not _ended(order):
            ends.open[name] = str(order.status.state)
        elif order.status.state is OrderState.CANCELED:
            ends.canceled.append(name)
        else:
            ends.otherwise[name] = str(order.status.state)
    return ends


def print_ends(ends: Ends, output: Document) -> None:
    """What became of them."""
    if output is not Document.TABLE:
        shown: dict[str, Any] = {"canceled": len(ends.canceled), "orders": ends.canceled, "otherwise": ends.otherwise, "kept": ends.kept, "open": ends.open}
        print_document(shown, as_yaml=output is Document.YAML)
    else:
        for name, state in ends.otherwise.items():
            typer.echo(f"{name} is {state}: it ended before the cancel arrived")
        for name in ends.kept:
            typer.echo(f"{name} stays: it is the stop of an open position; cancel it by its own name if that is meant")
        for name, state in ends.open.items():
            typer.echo(f"{name} is still {state}: the cancel stands in its spec, and is carried out as soon as that is possible")
        typer.echo(f"{len(ends.canceled)} {'order is' if len(ends.canceled) == 1 else 'orders are'} proved cancelled")
