"""When an order is given up: timeLimitSeconds, and expireTime where the exchange has no GTD.

Both follow from spec and from when the order was first sent, as status has it, so that a restart changes nothing. The time is the exchange's, as the
operator knows it.
"""

from __future__ import annotations

from dataclasses import dataclass

from exchange_kernel.api import OrderIntentSpec, OrderState, TimeInForce
from exchange_kernel.core.actions import Verdict
from exchange_kernel.core.market_rules import emulates_gtd
from exchange_kernel.core.order import OrderRecord, Seen

TIME_LIMIT = Verdict(OrderState.CANCELED, "TimeLimit", "Canceled by the operator: it was not filled within spec.timeLimitSeconds.")
EXPIRED = Verdict(
    OrderState.EXPIRED, "ExpiredByOperator", "Canceled by the operator once spec.expireTime had passed: this exchange has no GTD, which is emulated."
)


@dataclass(frozen=True, slots=True)
class TimeLimit:
    """A moment from which an order is not wanted any more."""

    due_ms: int  # venue time
    end: Verdict  # as what it ends by it


def time_limit(order: OrderRecord, seen: Seen, *, submits_first: bool) -> TimeLimit | None:
    """Return when the operator gives the order up first; None if never, or it was never sent.

    `submits_first`: nothing of it was at the exchange; then an expireTime that passed has it Denied instead.
    """
    limits = []
    if order.spec.time_limit_seconds is not None and (sent_ms := first_sent_ms(order, seen)) is not None:
        limits.append(TimeLimit(sent_ms + order.spec.time_limit_seconds * 1000, TIME_LIMIT))
    if not submits_first and order.spec.expire_time is not None and _emulated(order.spec, seen):
        limits.append(TimeLimit(int(order.spec.expire_time.timestamp() * 1000), EXPIRED))
    return min(limits, key=lambda one: one.due_ms, default=None)


def first_sent_ms(order: OrderRecord, seen: Seen) -> int | None:
    """Return when it was first sent (venue ms): as written, or else as this process knows it."""
    if order.status.submit_time is not None:
        return int(order.status.submit_time.timestamp() * 1000)
    stamps = [send.last_stamp_ms for send in seen.sends.values() if send.last_stamp_ms is not None]
    taken = [found.created_time_ms for found in seen.orders.values() if found.created_time_ms is not None]
    return min(stamps or taken, default=None)


def _emulated(spec: OrderIntentSpec, seen: Seen) -> bool:
    return spec.time_in_force is TimeInForce.GTD and emulates_gtd(seen.account.capabilities)
