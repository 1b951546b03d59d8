"""Whether this machine, the API server and the exchanges agree on the time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from exchange_kernel.cli.plugin.checkup.findings import Finding, Level
from exchange_kernel.cli.plugin.cluster import Cluster

TOLERATED_S = 2.0  # the API server's clock is told in whole seconds


def clocks(cluster: Cluster, _: str) -> Iterator[Finding]:
    """The exchange's clock is the operator's to measure: an account's ClockSynced tells of it."""
    cluster.get("/version")
    if cluster.served_at is None:
        yield Finding(Level.NOT_CHECKED, "Clock", "The API server does not tell its time.")
        return
    ahead = (datetime.now(UTC) - cluster.served_at).total_seconds()
    if abs(ahead) <= TOLERATED_S:
        yield Finding(Level.OK, "Clock", f"This machine and the API server agree within {TOLERATED_S:g} s.")
    else:
        where = "ahead of" if ahead > 0 else "behind"
        yield Finding(Level.WARNING, "Clock", f"This machine is {abs(ahead):.0f} s {where} the API server: ages and expireTime look wrong from here. "
                      "Orders are stamped with the exchange's time.", "Set both clocks by NTP.")
