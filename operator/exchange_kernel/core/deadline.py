"""The deadline of a first submission, and the time suspended that does not count towards it."""

from __future__ import annotations

from exchange_kernel.core.order import OrderRecord


def submit_deadline_passed(order: OrderRecord, wall_ms: int) -> bool:
    """Whether a first submission would come too late. A suspended order waits without running out of time."""
    if order.spec.submit_deadline_time is not None:
        return wall_ms > int(order.spec.submit_deadline_time.timestamp() * 1000)
    seconds = order.spec.submit_deadline_seconds
    return bool(seconds) and wall_ms > order.created_ms + seconds * 1000 + suspended_ms(order, wall_ms)


def ms_to_submit_deadline(order: OrderRecord, wall_ms: int) -> int | None:
    """How long a first submission may still wait (ms), if it is not suspended meanwhile; None without a deadline."""
    if order.spec.submit_deadline_time is not None:
        return max(0, int(order.spec.submit_deadline_time.timestamp() * 1000) - wall_ms)
    seconds = order.spec.submit_deadline_seconds
    return max(0, order.created_ms + seconds * 1000 + suspended_ms(order, wall_ms) - wall_ms) if seconds else None


def suspended_ms(order: OrderRecord, wall_ms: int) -> int:
    """How long it has been suspended so far, as far as that was seen (ms): time that does not count towards submitDeadlineSeconds."""
    since = order.status.suspend_time
    now = wall_ms - int(since.timestamp() * 1000) if since is not None else wall_ms - order.created_ms if order.suspended else 0
    return (order.status.suspended_seconds or 0) * 1000 + now
