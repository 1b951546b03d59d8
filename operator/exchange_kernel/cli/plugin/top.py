"""`kubectl exchange top`: how quick and how busy the operator is, by account, from its metrics; without them, what the accounts' status says."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

import typer
import urllib3
from prometheus_client.parser import text_string_to_metric_families

from exchange_kernel.api import ExchangeAccount
from exchange_kernel.cli.plugin.cluster import ANSWER_WITHIN_S, Cluster, Failure
from exchange_kernel.cli.plugin.command import command
from exchange_kernel.cli.plugin.operator_pods import DEFAULT_NAMESPACE, OperatorNamespace, metrics_of, operator_pods
from exchange_kernel.cli.plugin.output import Document, DocumentFlag, cells, console, print_document, progress_console, table
from exchange_kernel.cli.plugin.reading import models
from exchange_kernel.kube.client import EXCHANGE_ACCOUNTS

PREFIX = "exchange_kernel_"


@dataclass(slots=True)
class Sample:
    """The operator's counters at one moment, summed over its processes."""

    totals: dict[tuple[str, str, str], float] = field(default_factory=dict)  # (metric, account, outcome)
    buckets: dict[str, dict[float, float]] = field(default_factory=dict)  # account → upper bound in seconds → sends that took no longer

    def sum(self, metric: str, account: str | None = None) -> float:
        return sum(value for (name, of, _), value in self.totals.items() if name == metric and account in (None, of))


@command(everywhere=True)
def top(
    cluster: Cluster,
    metrics_url: Annotated[str | None, typer.Option(help="Address of an operator's /metrics, if it is not reached through the API server.")] = None,
    interval: Annotated[float, typer.Option(help="Seconds over which rates are measured.", min=0.2, max=300)] = 2.0,
    operator_namespace: OperatorNamespace = DEFAULT_NAMESPACE,
    output: DocumentFlag = Document.TABLE,
) -> None:
    """Show latency and rates by account."""
    accounts = models(ExchangeAccount, cluster.items(EXCHANGE_ACCOUNTS))
    samples: tuple[Sample, Sample] | None = None
    try:
        read = _reader(cluster, metrics_url, operator_namespace)
        with progress_console().status(f"Measuring for {interval:g} s"):
            before = read()
            time.sleep(interval)
            samples = before, read()
    except Failure as failure:
        typer.echo(f"No latency and rates: {failure}", err=True)
    rows = [row_of(account, samples, interval) for account in accounts]
    if output is not Document.TABLE:
        print_document({"accounts": rows, **({"operator": _totals(samples, interval)} if samples is not None else {})}, as_yaml=output is Document.YAML)
        return
    made = table("Namespace", "Account", "Mode", "Ready", "Open", "Sends", "Sends/s", "Refused", "Unknown", "Cancels/s", "p50", "p99")
    for row in rows:
        latency = (_duration(row["p50Seconds"]), _duration(row["p99Seconds"]))
        made.add_row(*cells(*("-" if value is None else value for value in (*list(row.values())[:-2], *latency))))
    console().print(made)
    if samples is not None:
        totals = _totals(samples, interval)
        typer.echo(f"\nOrders whose outcome is unknown: {totals['unknownOrders']:g}   status writes/s: {totals['statusWritesPerSecond']:g}   "
                   f"conflicts: {totals['statusConflicts']:g}   groups without a working stop: {totals['unprotectedGroups']:g}   "
                   f"journal lines lost: {totals['journalLinesLost']:g}")


def _reader(cluster: Cluster, url: str | None, namespace: str) -> Callable[[], Sample]:
    """How a sample is taken. Raises Failure with a sentence where there is nothing to take it from."""
    if url is not None:
        return lambda: parse([_fetched(url)])
    pods = operator_pods(cluster, namespace)
    if not pods:
        raise Failure(f"no operator pod runs in namespace {namespace}: name its namespace with --operator-namespace, or an address with --metrics-url.")
    return lambda: parse([metrics_of(cluster, pod) for pod in pods])


def _fetched(url: str) -> str:
    try:
        answer = urllib3.request("GET", url, timeout=ANSWER_WITHIN_S, retries=False)
    except urllib3.exceptions.HTTPError as error:
        raise Failure(f"{url} does not answer ({type(error).__name__}).") from None
    if answer.status != 200:
        raise Failure(f"{url} answers {answer.status}.")
    return answer.data.decode(errors="replace")


def parse(texts: Sequence[str]) -> Sample:
    sample = Sample()
    for text in texts:
        try:
            families = list(text_string_to_metric_families(text))
        except ValueError:
            raise Failure("what answers at the metrics address is not an operator of exchange-kernel.") from None
        for family in families:
            for one in family.samples:
                if not one.name.startswith(PREFIX):
                    continue
                account = one.labels.get("account", "")
                if one.name == f"{PREFIX}submit_seconds_bucket":
                    bounds = sample.buckets.setdefault(account, {})
                    bounds[float(one.labels["le"])] = bounds.get(float(one.labels["le"]), 0.0) + one.value
                else:
                    key = (one.name.removeprefix(PREFIX), account, one.labels.get("outcome", ""))
                    sample.totals[key] = sample.totals.get(key, 0.0) + one.value
    return sample


def row_of(account: ExchangeAccount, samples: tuple[Sample, Sample] | None, interval: float) -> dict[str, Any]:
    """One account's line; what is not known is None. The latencies are since the operator started, from the call of the adapter to its outcome."""
    ready = next((str(condition.status) for condition in account.status.conditions if condition.type == "Ready"), "Unknown")
    row: dict[str, Any] = {
        "namespace": account.metadata.namespace, "account": account.metadata.name, "mode": str(account.status.trading_mode or "-"), "ready": ready,
        "open": account.status.open_intents, "sends": None, "sendsPerSecond": None, "refused": None, "unknown": None, "cancelsPerSecond": None,
        "p50Seconds": None, "p99Seconds": None,
    }
    if samples is not None:
        after, label = samples[1], f"{account.metadata.namespace}/{account.metadata.name}"
        row |= {
            "sends": int(after.sum("submits_total", label)), "sendsPerSecond": _rate("submits_total", label, samples, interval),
            "refused": int(after.totals.get(("submits_total", label, "Refused"), 0)), "unknown": int(after.totals.get(("submits_total", label, "Unknown"), 0)),
            "cancelsPerSecond": _rate("cancels_total", label, samples, interval),
            "p50Seconds": quantile(after.buckets.get(label, {}), 0.5), "p99Seconds": quantile(after.buckets.get(label, {}), 0.99),
        }
    return row


def _totals(samples: tuple[Sample, Sample], interval: float) -> dict[str, float]:
    after = samples[1]
    return {
        "unknownOrders": after.sum("unknown_orders"), "statusWritesPerSecond": _rate("status_writes_total", None, samples, interval),
        "statusConflicts": after.sum("status_conflicts_total"), "unprotectedGroups": after.sum("unprotected_groups"),
        "journalLinesLost": after.sum("journal_lines_lost_total"),
    }


def _rate(metric: str, account: str | None, samples: tuple[Sample, Sample], interval: float) -> float:
    return round(max(0.0, samples[1].sum(metric, account) - samples[0].sum(metric, account)) / interval, 2)


def quantile(buckets: dict[float, float], share: float) -> float | None:
    """As Prometheus' histogram_quantile: linear within the bucket; the last finite bound where it lies beyond. None: nothing was counted."""
    bounds = sorted(buckets)
    if not bounds or (total := buckets[bounds[-1]]) <= 0:
        return None
    rank, below, lower = share * total, 0.0, 0.0
    for bound in bounds:
        if buckets[bound] >= rank:
            inside = buckets[bound] - below
            return lower if bound == float("inf") else lower + (bound - lower) * ((rank - below) / inside if inside else 1.0)
        below, lower = buckets[bound], bound
    return lower


def _duration(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    return f"{seconds * 1000:.1f}ms" if seconds < 1 else f"{seconds:.2f}s"
