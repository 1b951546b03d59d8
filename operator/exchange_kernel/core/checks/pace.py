"""How often the same question is asked again."""

from __future__ import annotations

from exchange_kernel.core.facts import Facts

RETRY_MS = 1_000  # between repeated questions about one order
CANCEL_RETRY_MS = 2_000  # between repeated cancels of one order: after some tries ever longer, up to BACKED_OFF_MS
CANCELS_IN_STEP = 4  # so many cancels are asked CANCEL_RETRY_MS apart
BACKED_OFF_MS = 16_000  # between questions about one order that were in vain for long
CLOSED_MS, LONG_CLOSED_MS = 5_000, 60_000  # before an order is sent again whose market was closed though the list calls it open: doubled each time
EXIT_MS, LONG_EXIT_MS = 1_000, 60_000  # before an exit of an open position is sent again that was refused: doubled each time
FUNDS_FREE_MS = 500  # before a replacement is offered again, doubled each time


def due(asked_ms: int | None, now_ms: int, every_ms: int = RETRY_MS) -> bool:
    return asked_ms is None or now_ms - asked_ms >= every_ms


def ask_at(facts: Facts, number: int, since_ms: int) -> int:
    """When to ask for an order of which something is not known since `since_ms` (venue ms): then, and in vain after 1, 2, 4 … s.

    Whole seconds keep those in step that share a reading. What was asked while the exchange did not answer counts as not asked, and so does what our
    estimate of the venue's time, if it was set back meanwhile, puts into the future.
    """
    now_ms, asked_ms = facts.now.venue_ms, facts.seen.looked_up_ms.get(number)
    since_ms = max(since_ms, min(facts.seen.account.answers_since_ms, now_ms))
    if asked_ms is None or not since_ms <= asked_ms <= now_ms + RETRY_MS:
        return since_ms
    every_ms = RETRY_MS
    while every_ms < BACKED_OFF_MS and 2 * every_ms <= asked_ms - since_ms:
        every_ms *= 2
    return asked_ms + every_ms


def settle_due(facts: Facts, number: int) -> bool:
    """Return whether to read the order and its trades again: ever later, the more readings explained nothing."""
    asked_ms = [ms for ms in (facts.seen.settle_read_ms.get(number), facts.seen.looked_up_ms.get(number)) if ms is not None]
    if not asked_ms or max(asked_ms) < facts.seen.account.answers_since_ms:
        return True
    return due(max(asked_ms), facts.now.venue_ms, min(BACKED_OFF_MS, RETRY_MS << min(facts.seen.reads_in_vain.get(number, 0), 4)))


def cancel_retry_ms(facts: Facts, number: int) -> int:
    """Return how long after the last cancel of this attempt the next one goes out (ms)."""
    record = facts.seen.cancels.get(number)
    if record is None or (record.asked_ms or 0) < facts.seen.account.answers_since_ms:
        return 0
    return min(BACKED_OFF_MS, CANCEL_RETRY_MS << min(max(0, record.tries - CANCELS_IN_STEP), 3))
