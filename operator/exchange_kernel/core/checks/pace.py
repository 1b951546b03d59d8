"""How often the same question is asked again."""

from __future__ import annotations

from exchange_kernel.core.facts import Facts

RETRY_MS = 1_000  # between repeated questions about one order
CANCEL_RETRY_MS = 2_000  # between repeated cancels of one order
FUNDS_FREE_MS = 500  # before a replacement is offered again, doubled each time


def due(asked_ms: int | None, now_ms: int, every_ms: int = RETRY_MS) -> bool:
    return asked_ms is None or now_ms - asked_ms >= every_ms


def settle_due(facts: Facts, number: int) -> bool:
    now_ms = facts.now.venue_ms
    return due(facts.seen.settle_read_ms.get(number), now_ms) and due(facts.seen.looked_up_ms.get(number), now_ms)
