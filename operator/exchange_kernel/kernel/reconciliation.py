"""How well what is wanted and what is are reconciled, in figures; and runs that callers at the same time share."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

from exchange_kernel.api import ReconciliationMetrics

#: The keys of `get_reconciliation_metrics`, and of its discrepancies. Counts are since the operator, or the kernel in process, began to follow the account.
METRICS = (
    "time", "age_seconds", "lag_seconds", "sweeps", "failed_sweeps", "sweep_error_rate", "sweep_seconds", "sends", "failed_sends", "send_error_rate",
    "retries", "orders_checked", "external_orders", "discrepancies", "unknown_orders", "unknown_oldest_seconds", "unresolved_operations",
)
DISCREPANCIES = ("drifted", "missing", "orphans", "overfilled", "overfilled_groups", "inferred_fills", "unattributed_fills")


class SingleFlight:
    """A run is shared by whoever asks for the same while it goes; who asks later gets one that begins later."""

    def __init__(self) -> None:
        self._going: dict[str, asyncio.Task[None]] = {}

    async def run(self, what: str, work: Callable[[], Awaitable[None]]) -> None:
        if what not in self._going:
            self._going[what] = asyncio.get_running_loop().create_task(self._do(what, work))
        await asyncio.shield(self._going[what])

    async def _do(self, what: str, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        finally:
            del self._going[what]


def metrics(told: ReconciliationMetrics, now: datetime) -> dict[str, Any]:
    age = max(0.0, (now - told.time).total_seconds()) if told.time is not None else None
    read = told.last_sweep_time
    unknown = (now - told.oldest_unknown_time).total_seconds() if told.oldest_unknown_time is not None else 0.0
    return {
        "time": told.time.timestamp() if told.time is not None else None,
        "age_seconds": age,
        "lag_seconds": max(0.0, (told.time - read).total_seconds()) if told.time is not None and read is not None else None,
        "sweeps": told.sweeps,
        "failed_sweeps": told.failed_sweeps,
        "sweep_error_rate": told.failed_sweeps / told.sweeps if told.sweeps else 0.0,
        "sweep_seconds": told.sweep_milliseconds / 1000 if told.sweep_milliseconds is not None else None,
        "sends": told.sends,
        "failed_sends": told.failed_sends,
        "send_error_rate": told.failed_sends / told.sends if told.sends else 0.0,
        "retries": told.unsent,
        "orders_checked": told.checked_orders,
        "external_orders": told.external_orders,
        "discrepancies": {
            "drifted": told.drifted_orders,
            "missing": told.missing_orders,
            "orphans": told.orphan_orders,
            "overfilled": told.overfilled_orders,
            "overfilled_groups": told.overfilled_groups,
            "inferred_fills": told.inferred_fills,
            "unattributed_fills": told.unattributed_fills,
        },
        "unknown_orders": told.unknown_orders,
        "unknown_oldest_seconds": max(0.0, unknown),
        "unresolved_operations": told.unresolved_operations,
    }
