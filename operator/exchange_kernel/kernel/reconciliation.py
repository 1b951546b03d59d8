"""How well what is wanted and what is are reconciled, in figures; and runs that callers at the same time share."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from exchange_kernel.core.group_status import BOTH_FILLED
from exchange_kernel.kernel.models import State

if TYPE_CHECKING:
    from exchange_kernel.core.order import OrderRecord
    from exchange_kernel.kernel.local_desk import LocalDesk

#: The keys of `get_reconciliation_metrics`. Counts are since the kernel, or the operator, began to follow the account; durations in seconds.
METRICS = (
    "cycles", "duration", "orders_checked", "discrepancies", "fills_inferred", "external_seen", "missing_strikes", "unknown_orders", "unknown_oldest_seconds",
    "unresolved_ops", "venue_unreachable_cycles", "last_success_time", "overfills", "oco_violations",
)


class SingleFlight:
    """A run is shared by whoever asks for it while it goes; who asks later gets one that begins later."""

    def __init__(self) -> None:
        self._going: asyncio.Task[None] | None = None

    async def run(self, work: Callable[[], Awaitable[None]]) -> None:
        if self._going is None:
            self._going = asyncio.get_running_loop().create_task(self._do(work))
        await asyncio.shield(self._going)

    async def _do(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        finally:
            self._going = None


def metrics(desk: LocalDesk) -> dict[str, Any]:
    records = desk.intents.everything()
    session = desk.session
    census = session.census if session is not None else None
    unknown = [record for record in records if record.status.state is State.UNKNOWN]
    now_ms = session.venue_ms() if session is not None else 0
    tally = session.sweeper.tally if session is not None else None
    reasons = [_reason(record) for record in records]
    return {
        "cycles": tally.cycles if tally is not None else 0,
        "duration": tally.seconds if tally is not None else None,
        "orders_checked": census.open_intents if census is not None else 0,
        "discrepancies": {
            "drifted": reasons.count("Drifted"),
            "orphans": census.orphans if census is not None else 0,
            "unattributed_fills": desk.memory.unattributed(desk.account),
        },
        "fills_inferred": sum(fill.inferred for record in records for fill in record.status.fills),
        "external_seen": census.external if census is not None else 0,
        "missing_strikes": desk.memory.missing,
        "unknown_orders": len(unknown),
        "unknown_oldest_seconds": max(((now_ms - _sent_ms(record)) / 1000 for record in unknown), default=0.0),
        "unresolved_ops": sum(record.status.operation is not None for record in records),
        "venue_unreachable_cycles": tally.unreachable if tally is not None else 0,
        "last_success_time": tally.last_success_ms / 1000 if tally is not None and tally.last_success_ms else None,
        "overfills": reasons.count("Overfilled"),
        "oco_violations": sum(any(condition.reason == BOTH_FILLED.reason for condition in group.status.conditions) for group in desk.groups.everything()),
    }


def _sent_ms(record: OrderRecord) -> int:
    return int(record.status.submit_time.timestamp() * 1000) if record.status.submit_time is not None else record.created_ms


def _reason(record: OrderRecord) -> str:
    return next((condition.reason for condition in record.status.conditions if condition.type == "Ready"), "")
