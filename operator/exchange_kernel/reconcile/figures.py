"""How well an account's orders are known, in figures: what AccountState tells, and a kernel in process."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from exchange_kernel.api import OrderState, ReconciliationMetrics
from exchange_kernel.core.group_status import BOTH_FILLED
from exchange_kernel.core.order import OrderRecord

if TYPE_CHECKING:
    from exchange_kernel.reconcile.session import AccountSession


@dataclass(slots=True)
class Counters:
    """Of one session."""

    sweeps: int = 0
    failed_sweeps: int = 0
    sends: int = 0
    failed_sends: int = 0
    unsent: int = 0
    last_sweep_ms: int | None = None  # venue time at which one ended that read everything
    sweep_took_ms: int | None = None


def figures(session: AccountSession) -> ReconciliationMetrics:
    """As they are now. Goes through the account's intents once."""
    account, counters, census = session.account, session.counters, session.census
    overfilled, unfinished = 0, list[OrderRecord]()
    for record in session.store.of_account(account.namespace, account.name):
        overfilled += _reason(record) == "Overfilled"
        if not record.finished:
            unfinished.append(record)
    unknown = [record for record in unfinished if record.status.state is OrderState.UNKNOWN]
    since = [one.last_transition_time for record in unknown for one in record.status.conditions if one.type == "OutcomeUnknown" and one.status == "True"]
    groups = session.groups.of_account(account.namespace, account.name) if session.groups is not None else ()
    return ReconciliationMetrics(
        time=time_of(session.venue_ms()),
        last_sweep_time=time_of(counters.last_sweep_ms) if counters.last_sweep_ms is not None else None,
        sweep_milliseconds=counters.sweep_took_ms,
        sweeps=counters.sweeps,
        failed_sweeps=counters.failed_sweeps,
        sends=counters.sends,
        failed_sends=counters.failed_sends,
        unsent=counters.unsent,
        checked_orders=census.open_intents if census is not None else 0,
        unresolved_operations=sum(record.status.operation is not None for record in unfinished),
        unknown_orders=len(unknown),
        oldest_unknown_time=min(since, default=None),
        orphan_orders=census.orphans if census is not None else 0,
        external_orders=census.external if census is not None else 0,
        drifted_orders=sum(any(one.reason == "Drifted" for one in record.status.conditions) for record in unfinished),
        missing_orders=session.memory.missing(account.uid),
        overfilled_orders=overfilled,
        overfilled_groups=sum(any(one.reason == BOTH_FILLED.reason for one in group.status.conditions) for group in groups),
        inferred_fills=sum(fill.inferred for record in unfinished for fill in record.status.fills),
        unattributed_fills=session.memory.unattributed(account.uid),
    )


def time_of(ms: int) -> datetime:
    return datetime.fromtimestamp(ms // 1000, UTC).replace(microsecond=ms % 1000 * 1000)


def _reason(record: OrderRecord) -> str:
    return next((condition.reason for condition in record.status.conditions if condition.type == "Ready"), "")
