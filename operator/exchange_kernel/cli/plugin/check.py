"""`kubectl exchange check -f FILE`: what would be sent of orders and groups, and what would be refused. Nothing is created, and nothing is sent."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from pydantic import ValidationError

from exchange_kernel.api import GROUP, ExchangeAccount, MarketSpec, OrderGroupSpec, OrderIntentSpec, RiskLimitSpec
from exchange_kernel.cli.plugin.cluster import Body, Cluster, Failure, Forbidden
from exchange_kernel.cli.plugin.command import command
from exchange_kernel.cli.plugin.output import Document, DocumentFlag, cells, console, print_document, table
from exchange_kernel.cli.plugin.reading import account as read_account
from exchange_kernel.core.group_checks import Known
from exchange_kernel.core.money import plain
from exchange_kernel.core.risk import LimitRecord
from exchange_kernel.core.venue import MarketRules
from exchange_kernel.kernel.checking import Check, CheckedOrder, check_group, check_order
from exchange_kernel.kernel.holdings import market_of, venue_of
from exchange_kernel.kube.client import MARKETS, RISK_LIMITS

SPECS: dict[str, type[OrderGroupSpec] | type[OrderIntentSpec]] = {"OrderGroup": OrderGroupSpec, "OrderIntent": OrderIntentSpec}


@command
def check(
    cluster: Cluster,
    file: Annotated[str, typer.Option("--file", "-f", help="Manifests of OrderIntents and OrderGroups; - reads standard input.")],
    output: DocumentFlag = Document.TABLE,
) -> None:
    """Show what would be sent of the orders and groups in a file, and what would be refused. Nothing is created. Exit code 1 if something is refused."""
    checked = [(kind, name, _checked(cluster, kind, name, namespace, spec)) for kind, name, namespace, spec in _manifests(file)]
    if output is Document.TABLE:
        for kind, name, found in checked:
            _print(kind, name, found)
    else:
        shown = [
            {"kind": kind, "name": name, "accepted": found.accepted, **found.model_dump(mode="json", by_alias=True, exclude_none=True)}
            for kind, name, found in checked
        ]
        print_document(shown, as_yaml=output is Document.YAML)
    if not all(found.accepted for _, _, found in checked):
        raise typer.Exit(1)


# ── What is to be judged ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _manifests(file: str) -> Iterator[tuple[str, str, str | None, Any]]:
    """Yield kind, name, namespace and spec of each manifest."""
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text()
        documents = [one for one in yaml.safe_load_all(text) if one is not None]
    except OSError as error:
        raise Failure(f"{file} can't be read ({error.strerror}): name a file of manifests with -f.") from None
    except (yaml.YAMLError, UnicodeDecodeError):
        raise Failure(f"{file} is no YAML: name a file of manifests with -f.") from None
    items = [item for one in documents for item in (one.get("items") or [] if isinstance(one, dict) and one.get("kind") == "List" else [one])]
    ours = [one for one in items if isinstance(one, dict) and one.get("kind") in SPECS and str(one.get("apiVersion", "")).startswith(f"{GROUP}/")]
    if not ours:
        raise Failure(f"{file} has no OrderIntent and no OrderGroup: name a file that has one with -f.")
    for one in ours:
        metadata = one.get("metadata")
        metadata = metadata if isinstance(metadata, dict) else {}
        yield one["kind"], str(metadata.get("name") or metadata.get("generateName") or "unnamed"), metadata.get("namespace"), one.get("spec")


def _checked(cluster: Cluster, kind: str, name: str, namespace: str | None, document: Any) -> Check:
    try:
        spec = SPECS[kind].model_validate(document)
    except ValidationError as error:
        wrong = (f"{'.'.join(map(str, one['loc'])) or 'spec'}: {one['msg']}" for one in error.errors(include_url=False))
        return Check(refusals=tuple(wrong))
    symbols = {member.symbol for member in spec.members} if isinstance(spec, OrderGroupSpec) else {spec.symbol}
    known = _known(cluster, namespace or cluster.namespace, spec.account_ref.name, symbols)
    return check_group(spec, name, known) if isinstance(spec, OrderGroupSpec) else check_order(spec, known)


# ── What it is judged by ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _known(cluster: Cluster, namespace: str, account: str, symbols: set[str]) -> Known:
    """The account's capabilities, its markets and RiskLimits as the cluster has them. Prices are the exchange's, and not asked."""
    found = read_account(Cluster(namespace, False, cluster.host, cluster.request), account)
    capabilities = found.status.capabilities
    return Known(
        markets={symbol: rules for symbol in symbols if (rules := _market(cluster, namespace, found, symbol)) is not None},
        all_markets=False,
        venue=venue_of(capabilities) if capabilities is not None else None,
        symbols=found.spec.symbols,
        fee_asset=found.spec.fee_asset,
        limits=_limits(cluster, namespace, account),
    )


def _market(cluster: Cluster, namespace: str, account: ExchangeAccount, symbol: str) -> MarketRules | None:
    for raw in cluster.items(MARKETS, {"fieldSelector": f"spec.symbol={symbol}"}, everywhere=False, namespace=namespace):
        if any(owner.get("uid") == account.metadata.uid for owner in raw["metadata"].get("ownerReferences", ())):
            try:
                return market_of(MarketSpec.model_validate(raw["spec"])).rules
            except ValidationError:
                return None  # another version's
    return None


def _limits(cluster: Cluster, namespace: str, account: str) -> tuple[LimitRecord, ...] | None:
    try:
        found = [_limit(raw) for raw in cluster.items(RISK_LIMITS, everywhere=False, namespace=namespace)]
    except Forbidden:
        return None
    return tuple(sorted((one for one in found if one.covers(account)), key=lambda one: one.name))


def _limit(raw: Body) -> LimitRecord:
    metadata = raw["metadata"]
    try:
        spec = RiskLimitSpec.model_validate(raw["spec"])
    except ValidationError:
        spec = None  # another version's: the operator says what it makes of it
    return LimitRecord(uid=metadata["uid"], namespace=metadata["namespace"], name=metadata["name"], spec=spec)


# ── What is shown ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _print(kind: str, name: str, found: Check) -> None:
    how = "" if found.native is None else ", kept by the exchange as one list" if found.native else ", kept by the operator"
    typer.echo(f"{kind} {name}: {'nothing is known against it' if found.accepted else 'would be refused'}{how if found.accepted else ''}")
    if found.orders:
        made = table("Member", "When", "Symbol", "Side", "Type", "Quantity", "Price", "Trigger", "TIF")
        for order in found.orders:
            when = "once the Entry fills" if order.after_entry else "at once"
            made.add_row(*cells(
                order.name or "", when, order.symbol_id, order.side, order.type, _quantity(order), _text(order.price), _text(order.trigger_price),
                order.time_in_force or "",
            ))
        console().print(made)
    for sentence in found.refusals:
        typer.echo(f"refused: {sentence}")
    for sentence in found.not_judged:
        typer.echo(f"not judged here: {sentence}")


def _quantity(order: CheckedOrder) -> str:
    return f"{plain(order.quote_quantity)} (quote)" if order.quote_quantity is not None else _text(order.quantity)


def _text(value: Any) -> str:
    return plain(value) if value is not None else ""
