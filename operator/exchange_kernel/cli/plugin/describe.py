"""`kubectl exchange describe`: one order, and all that is known to have happened to it, in the order of time."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

import typer
from rich.table import Table

from exchange_kernel.api import ConditionStatus, OrderIntent, plain
from exchange_kernel.cli.plugin.cluster import Body, Cluster, Forbidden
from exchange_kernel.cli.plugin.command import command, complete_orders
from exchange_kernel.cli.plugin.output import Document, DocumentFlag, cells, clock, console, print_document, table
from exchange_kernel.cli.plugin.reading import event_time, events_of, model
from exchange_kernel.cli.plugin.tree import attempt_line, fill_line, wanted
from exchange_kernel.core.resolution import Resolution
from exchange_kernel.core.resolution import read as read_word
from exchange_kernel.kernel.objects import STRATEGY_LABEL
from exchange_kernel.kube.client import ORDER_INTENTS
from exchange_kernel.stores.kubernetes import RESOLVE_ANNOTATION, RESOLVED_BY_ANNOTATION


@dataclass(frozen=True, slots=True)
class Moment:
    """Something that is known to have happened, by the clock of whom it is known from."""

    time: datetime
    source: str  # cluster, exchange or event
    what: str


@command
def describe(
    cluster: Cluster,
    name: Annotated[str, typer.Argument(help="The OrderIntent.", autocompletion=complete_orders)],
    output: DocumentFlag = Document.TABLE,
) -> None:
    """Tell one order's story: what is wanted, where it stands, and what happened when."""
    raw = cluster.one(ORDER_INTENTS, name.removeprefix("oi/"))
    intent = model(OrderIntent, raw)
    try:
        events, unread = events_of(cluster, OrderIntent, intent), None
    except Forbidden as refused:
        events, unread = [], str(refused)
    moments = timeline(intent, events)
    if output is not Document.TABLE:
        story = [{"time": moment.time.isoformat(), "source": moment.source, "what": moment.what} for moment in moments]
        print_document({"intent": raw, "events": events, "timeline": story}, as_yaml=output is Document.YAML)
        return
    out = console()
    out.print(_head(intent))
    out.print("\n[bold]Conditions[/bold]")
    out.print(_conditions(intent))
    if intent.status.attempts:
        out.print("\n[bold]Attempts[/bold]")
        for attempt in intent.status.attempts:
            out.print(attempt_line(attempt))
    out.print("\n[bold]Timeline[/bold] (UTC)")
    out.print(_moments(moments))
    if unread:
        typer.echo(f"Events are missing: {unread}", err=True)


def timeline(intent: OrderIntent, events: Sequence[Body]) -> list[Moment]:
    """All that has a time, oldest first. Times of the exchange are by its clock: within a second, they may stand in another order than they happened."""
    return sorted([*_from_the_cluster(intent), *_from_the_exchange(intent), *_told(events)], key=lambda moment: moment.time)


def _from_the_cluster(intent: OrderIntent) -> Iterator[Moment]:
    metadata, status = intent.metadata, intent.status
    if metadata.creation_timestamp is not None:
        yield Moment(metadata.creation_timestamp, "cluster", f"created: {wanted(intent.spec)}")
    if status.suspend_time is not None:
        yield Moment(status.suspend_time, "cluster", "suspended")
    for attempt in status.attempts:
        if attempt.prepared_time is not None:
            yield Moment(attempt.prepared_time, "cluster", f"attempt {attempt.number} written, to be sent as {attempt.client_order_id}")
        if attempt.amend is not None:
            yield Moment(attempt.amend.prepared_time, "cluster", f"attempt {attempt.number} is being amended")
    for condition in status.conditions:
        if condition.status is ConditionStatus.TRUE or condition.message:  # what is not so, and needs no word, is in the list above
            why = f": {condition.message}" if condition.message else ""
            yield Moment(condition.last_transition_time, "cluster", f"{condition.type} became {condition.status} ({condition.reason}){why}")
    yield from _resolved(metadata.annotations or {})
    if metadata.deletion_timestamp is not None:
        yield Moment(metadata.deletion_timestamp, "cluster", "deletion asked for")
    if status.completion_time is not None:
        yield Moment(status.completion_time, "cluster", f"its end was settled: {status.state}")


def _resolved(annotations: Mapping[str, str]) -> Iterator[Moment]:
    """A person's word, if it says when it was told. Earlier versions wrote that, and the name, into one annotation."""
    word, by = read_word(annotations.get(RESOLVE_ANNOTATION)), annotations.get(RESOLVED_BY_ANNOTATION, "")
    if isinstance(word, Resolution) and word.time is not None:
        yield Moment(word.time, "cluster", f"{by or 'somebody'} told what became of {word.client_order_id}")
        return
    try:
        audit = json.loads(by)
        yield Moment(datetime.fromisoformat(audit["time"]), "cluster", f"{audit['user']} told what became of {audit['clientOrderId']}")
    except (ValueError, KeyError, TypeError):
        return  # somebody else's writing


def _from_the_exchange(intent: OrderIntent) -> Iterator[Moment]:
    status = intent.status
    for at, what in ((status.submit_time, "first sent"), (status.acknowledge_time, "taken by the exchange"), (status.trigger_time, "its trigger fired")):
        if at is not None:
            yield Moment(at, "exchange", what)
    for fill in status.fills:
        yield Moment(fill.time, "exchange", fill_line(fill).rpartition("  ")[0] if not fill.inferred else f"fill of {plain(fill.quantity)}, inferred")
    for attempt in status.attempts:
        if attempt.end_time is not None:
            filled = f", filled {plain(attempt.filled_quantity)}" if attempt.filled_quantity else ""
            yield Moment(attempt.end_time, "exchange", f"attempt {attempt.number} ended: {attempt.outcome or attempt.stage}{filled}")


def _told(events: Sequence[Body]) -> Iterator[Moment]:
    for event in events:
        count = (event.get("series") or {}).get("count", 1)
        again = f" (told {count} times, last {event['series']['lastObservedTime']})" if count > 1 else ""
        yield Moment(datetime.fromisoformat(event_time(event)), "event", f"{event.get('type')} {event.get('reason')}: {event.get('note', '')}{again}")


def _head(intent: OrderIntent) -> Table:
    spec, status, metadata = intent.spec, intent.status, intent.metadata
    facts = {
        "Order": f"{metadata.namespace}/{metadata.name}", "Wanted": wanted(spec), "Desired state": spec.desired_state, "Account": spec.account_ref.name,
        "Strategy": (metadata.labels or {}).get(STRATEGY_LABEL), "Group": f"{spec.group_ref.name} ({spec.group_ref.member})" if spec.group_ref else None,
        "Time in force": spec.time_in_force, "Suspended": "yes" if spec.suspend else None,
        "State": status.state, "Operation": status.operation, "Filled": plain(status.filled_quantity) if status.filled_quantity is not None else None,
        "Remaining": plain(status.remaining_quantity) if status.remaining_quantity is not None else None,
        "Average price": plain(status.average_price) if status.average_price is not None else None,
        "Fees": ", ".join(f"{plain(fee.amount)} {fee.asset}" for fee in status.fees) or None,
        "Client order id": status.client_order_id, "Exchange order id": status.exchange_order_id,
        "Answers": "the spec as it is" if status.observed_generation == metadata.generation else "an earlier spec: a change has not been looked at yet",
    }
    made = table("", "")
    made.show_header = False
    for name, value in facts.items():
        if value is not None:
            made.add_row(*cells(name, value))
    return made


def _conditions(intent: OrderIntent) -> Table:
    made = table("Type", "Status", "Reason", "Message")
    for condition in intent.status.conditions:
        made.add_row(*cells(condition.type, condition.status, condition.reason, condition.message))
    return made


def _moments(moments: Sequence[Moment]) -> Table:
    made = table("Time", "By", "What")
    for moment in moments:
        made.add_row(*cells(clock(moment.time), moment.source, moment.what))
    return made
