"""`kubectl exchange resolve`: a person's word on an order of which nobody can say what became of it. What it does is `core/resolution.py`'s."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated

import typer
from pydantic import ValidationError

from exchange_kernel.api import Attempt, AttemptStage, OrderIntent, OrderState
from exchange_kernel.cli.plugin.cluster import Cluster, Failure
from exchange_kernel.cli.plugin.command import DryRun, DryRunFlag, Timeout, Yes, command, complete_orders, confirm
from exchange_kernel.cli.plugin.output import cells, clock, console, table
from exchange_kernel.cli.plugin.reading import intent as read_intent
from exchange_kernel.cli.plugin.tree import attempt_line, wanted
from exchange_kernel.core.checks.finding import NOT_LISTED
from exchange_kernel.core.resolution import Resolution
from exchange_kernel.kube.client import ORDER_INTENTS
from exchange_kernel.stores.kubernetes import RESOLVE_ANNOTATION, RESOLVED_BY_ANNOTATION

WHO_AM_I = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
WAIT_S = 30.0


class Outcome(StrEnum):
    """As `core.resolution.Resolution.outcome`."""

    ABSENT = "Absent"
    FILLED = "Filled"
    CANCELED = "Canceled"
    EXPIRED = "Expired"
    REJECTED = "Rejected"


@command
def resolve(
    cluster: Cluster,
    name: Annotated[str, typer.Argument(help="The OrderIntent.", autocompletion=complete_orders)],
    outcome: Annotated[Outcome | None, typer.Option(help="What became of it: Absent if it never reached the exchange. Without it: show what is asked.")] = None,
    filled_quantity: Annotated[str | None, typer.Option(help="How much of it was filled, in the unit of spec.quantity.")] = None,
    average_price: Annotated[str | None, typer.Option(help="At which average price, in the quote currency.")] = None,
    client_order_id: Annotated[str | None, typer.Option(help="Which attempt; default: the one whose outcome is unknown.")] = None,
    yes: Yes = False,
    timeout: Timeout = WAIT_S,
    dry_run: DryRunFlag = DryRun.NONE,
) -> None:
    """Tell what became of an order whose outcome the exchange can't tell. Look at the exchange first: the word is believed."""
    order = read_intent(cluster, name.removeprefix("oi/"))
    if not asks(order):
        raise Failure(f"Nothing is to be told of {order.metadata.name}: it is {order.status.state}, and the exchange's word counts.")
    asked = client_order_id or asked_about(order)
    _show(order, asked)
    if outcome is None:
        typer.echo("\nFind this client order id at the exchange, and tell what became of it with --outcome, for example --outcome Absent.")
        return
    word = word_of(asked, outcome, filled_quantity, average_price)
    if asked not in _client_order_ids(order):
        raise Failure(f"{asked} is no client order id of {order.metadata.name}: it has {', '.join(sorted(_client_order_ids(order)))}.")
    told = word.model_copy(update={"time": datetime.now(UTC).replace(microsecond=0)}).model_dump_json(by_alias=True, exclude_defaults=True)
    typer.echo(f"\n{RESOLVE_ANNOTATION}: {told}")
    if dry_run is DryRun.NONE:
        confirm(f"{consequence(word)}", yes, answer=order.metadata.name)
    if dry_run is not DryRun.CLIENT:
        # Where a policy stamps it, it writes the same name; where one only judges, it takes no other.
        patch = {"metadata": {"uid": order.metadata.uid, "resourceVersion": order.metadata.resource_version,
                              "annotations": {RESOLVE_ANNOTATION: told, RESOLVED_BY_ANNOTATION: _user(cluster)}}}
        cluster.patch(ORDER_INTENTS.path(cluster.namespace, order.metadata.name), patch, dry_run=dry_run is DryRun.SERVER)
    if dry_run is not DryRun.NONE:
        typer.echo(f"orderintent/{order.metadata.name}: not written ({'server ' if dry_run is DryRun.SERVER else ''}dry run)")
        return
    _await(cluster, order.metadata.name, timeout)


def asks(order: OrderIntent) -> bool:
    """Whether the order waits for a person's word: nobody knows what became of it, or what was filled of it is never listed."""
    return order.status.state is OrderState.UNKNOWN or _never_listed(order)


def _never_listed(order: OrderIntent) -> bool:
    return any((condition.type, condition.status, condition.reason) == ("Stalled", "True", NOT_LISTED.reason) for condition in order.status.conditions)


def asked_about(order: OrderIntent) -> str:
    """The client order id of the attempt that is asked about. Raises Failure if status names none."""
    stages = (AttemptStage.ENDED,) if _never_listed(order) else (AttemptStage.SENT, AttemptStage.PREPARED)
    unknown = [attempt for attempt in order.status.attempts if attempt.stage in stages]
    found = unknown[-1].client_order_id if unknown else order.status.client_order_id
    if found is None:
        raise Failure(f"The status of {order.metadata.name} names no client order id: give it with --client-order-id.")
    return found


def word_of(client_order_id: str, outcome: str, filled_quantity: str | None, average_price: str | None) -> Resolution:
    """Raises BadParameter (a usage error) if it does not add up."""
    try:
        return Resolution.model_validate({"clientOrderId": client_order_id, "outcome": str(outcome),
                                          **({"filledQuantity": filled_quantity} if filled_quantity is not None else {}),
                                          **({"averagePrice": average_price} if average_price is not None else {})})
    except ValidationError as error:
        first = error.errors()[0]
        where = {"filledQuantity": "--filled-quantity: ", "averagePrice": "--average-price: "}.get(".".join(str(part) for part in first["loc"]), "")
        raise typer.BadParameter(f"{where}{first['msg'].removeprefix('Value error, ')}") from None


def consequence(word: Resolution) -> str:
    if word.outcome == "Absent":
        return ("It will count as never arrived, and IS SENT AGAIN if it is still wanted and its deadline allows. If the order exists, it may fill before it "
                "is found and cancelled.")
    filled = f"{word.filled_quantity} filled at {word.average_price}" if word.filled_quantity > Decimal(0) else "nothing filled"
    return f"It will count as {word.outcome} with {filled}."


def _client_order_ids(order: OrderIntent) -> set[str]:
    ids = {attempt.client_order_id for attempt in order.status.attempts}
    return ids | {order.status.client_order_id} if order.status.client_order_id is not None else ids


def _show(order: OrderIntent, asked: str) -> None:
    status, out = order.status, console()
    condition = next((condition for condition in status.conditions if condition.type == "OutcomeUnknown"), None)
    facts = {
        "Order": f"{order.metadata.namespace}/{order.metadata.name}", "Wanted": wanted(order.spec), "Account": order.spec.account_ref.name,
        "Exchange": f"{status.account.exchange} (account {status.account.fingerprint})" if status.account is not None else None,
        "Asked about": asked,
        "First sent": clock(status.submit_time) if status.submit_time is not None else None,
        "Unknown since": clock(condition.last_transition_time) if condition is not None else None,
        "Why": f"{condition.reason}: {condition.message}" if condition is not None else None, "Filled so far": status.filled_quantity,
    }
    made = table("", "")
    made.show_header = False
    for name, value in facts.items():
        if value is not None:
            made.add_row(*cells(name, value))
    out.print(made)
    for attempt in _by_number(status.attempts):
        out.print(attempt_line(attempt))


def _by_number(attempts: list[Attempt]) -> list[Attempt]:
    return sorted(attempts, key=lambda attempt: attempt.number)


def _user(cluster: Cluster) -> str:
    review = cluster.create(WHO_AM_I, {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"})
    return str(review.get("status", {}).get("userInfo", {}).get("username", "unknown"))


def _await(cluster: Cluster, name: str, timeout: float) -> None:
    def known() -> OrderIntent | None:
        now = read_intent(cluster, name)
        return now if not asks(now) else None

    typer.echo(f"orderintent/{name}: told")
    if not timeout:
        return
    found = cluster.wait(known, timeout)
    if found is None:
        raise Failure(f"The word is written, and {name} still waits for it after {timeout:g} s: it counts once no request can arrive any more and the exchange "
                      "has been asked again. See `kubectl exchange describe`.")
    typer.echo(f"orderintent/{name}: {found.status.state}")
