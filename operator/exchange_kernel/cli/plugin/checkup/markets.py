"""Orders whose market is closed, or gone from the exchange's list."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from exchange_kernel.api import OrderIntent
from exchange_kernel.cli.plugin.checkup.findings import Finding, Level
from exchange_kernel.cli.plugin.cluster import Cluster
from exchange_kernel.cli.plugin.reading import models
from exchange_kernel.kube.client import ORDER_INTENTS

#: By the reason of an order's Ready: how bad it is, what is said of so many orders, and what to do.
REASONS = {
    "MarketGone": (
        Level.WRONG, "the exchange lists the market no more, and of ours may be open there: {}.",
        "Cancel or delete them; what the exchange forgets is ended with kubectl exchange resolve.",
    ),
    "MarketHalted": (
        Level.WARNING, "the market is not open for trading, and it is waited for by {}.",
        "They go out when the exchange opens it, unless their submit deadline passes before: see spec.submitDeadlineSeconds.",
    ),
}


def markets(cluster: Cluster, _: str) -> Iterator[Finding]:
    found: Counter[tuple[str, str, str]] = Counter()
    for order in models(OrderIntent, cluster.items(ORDER_INTENTS)):
        reason = next((condition.reason for condition in order.status.conditions if condition.type == "Ready"), "")
        if reason in REASONS and order.status.completion_time is None:
            found[reason, f"{order.metadata.namespace}/{order.spec.account_ref.name}", order.spec.symbol] += 1
    for (reason, account, symbol), count in sorted(found.items()):
        level, says, mend = REASONS[reason]
        yield Finding(level, "Markets", f"{account} {symbol}: {says.format(f'{count} order' + ('s' if count > 1 else ''))}", mend)
    if not found:
        yield Finding(Level.OK, "Markets", "No order waits for a market, and none is in one that is gone.")
