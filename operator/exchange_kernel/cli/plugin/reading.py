"""Objects of the API as the kinds' own models, for the commands that look into them."""

from __future__ import annotations

from typing import TypeVar

import typer
from pydantic import ValidationError

from exchange_kernel.api import ExchangeAccount, Kind, OrderGroup, OrderIntent
from exchange_kernel.cli.plugin.cluster import Body, Cluster, Failure
from exchange_kernel.kernel.objects import STRATEGY_LABEL
from exchange_kernel.kube.client import EVENTS, EXCHANGE_ACCOUNTS, ORDER_GROUPS, ORDER_INTENTS

K = TypeVar("K", bound=Kind)


def model(kind: type[K], raw: Body) -> K:
    try:
        return kind.model_validate(raw)
    except ValidationError as error:
        raise Failure(f"{kind.__name__} {raw['metadata']['name']} does not fit this version of the plugin ({error.error_count()} fields): "
                      "install the version that the cluster runs.") from None


def models(kind: type[K], objects: list[Body]) -> list[K]:
    """Those that fit this version; of the others a word on standard error."""
    fit = []
    for raw in objects:
        try:
            fit.append(model(kind, raw))
        except Failure as failure:
            typer.echo(f"warning: {failure}", err=True)
    return fit


def intent(cluster: Cluster, name: str, *, namespace: str | None = None) -> OrderIntent:
    return model(OrderIntent, cluster.one(ORDER_INTENTS, name, namespace=namespace))


def group(cluster: Cluster, name: str, *, namespace: str | None = None) -> OrderGroup:
    return model(OrderGroup, cluster.one(ORDER_GROUPS, name, namespace=namespace))


def account(cluster: Cluster, name: str) -> ExchangeAccount:
    return model(ExchangeAccount, cluster.one(EXCHANGE_ACCOUNTS, name))


def selectors(*, account: str | None = None, symbol: str | None = None, strategy: str | None = None) -> dict[str, str]:
    """The filters of `orders` and `cancel-all` as the API server takes them."""
    fields = [f"spec.accountRef.name={account}" if account else "", f"spec.symbol={symbol}" if symbol else ""]
    return {"fieldSelector": ",".join(filter(None, fields)), "labelSelector": f"{STRATEGY_LABEL}={strategy}" if strategy else ""}


def events_of(cluster: Cluster, kind: type[Kind], raw_or_model: Kind) -> list[Body]:
    """What was told of one object, oldest first. The API server keeps Events for an hour or so."""
    metadata = raw_or_model.metadata
    query = {"fieldSelector": f"regarding.kind={kind.__name__},regarding.name={metadata.name}"}
    found = cluster.items(EVENTS, query, everywhere=False, namespace=metadata.namespace)
    own = [event for event in found if (event.get("regarding") or {}).get("uid") in (metadata.uid, None)]
    return sorted(own, key=event_time)


def event_time(event: Body) -> str:
    return str(event.get("eventTime") or event.get("deprecatedFirstTimestamp") or event["metadata"]["creationTimestamp"])
