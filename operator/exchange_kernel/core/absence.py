"""Proof of absence (rule 5): when "not found" becomes "does not exist and never will".

Pure: the resolver reads, this judges. One pass is a complete, valid set of readings in the order triggers → open → by id and closed → trades.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from exchange_kernel.core.sending import SendRecord
from exchange_kernel.core.venue import Capabilities


@dataclass(frozen=True, slots=True)
class Evidence:
    """The passes so far that did not find one client order id. Venue time, ms."""

    passes: tuple[int, ...] = ()  # when each pass began

    def with_pass(self, began_ms: int) -> Evidence:
        return replace(self, passes=(*self.passes, began_ms)[-8:])


def quiet_from(send: SendRecord | None, session_start_ms: int, venue: Capabilities) -> int:
    """E of rule 5: from here on (venue ms) no request for the order can become one, nor the order stay hidden.

    What was sent before this session began, was stamped before it; what this process sent, it remembers.
    """
    stamp = send.last_stamp_ms or 0 if send is not None else 0
    return max(session_start_ms, stamp) + venue.quiet_after_ms


def next_pass_at(evidence: Evidence, quiet_ms: int, venue: Capabilities) -> int:
    """When the next reading can add to the proof (venue ms)."""
    counting = [began for began in evidence.passes if began >= quiet_ms]
    return max(quiet_ms, counting[0] + venue.lookup_delay_ms) if counting else quiet_ms


def proved(evidence: Evidence, *, quiet_ms: int, first_possible_send_ms: int, venue: Capabilities) -> bool:
    """Whether the passes prove that the order does not exist: two, both after E, lookupDelay apart, within the venue's retention."""
    if not venue.proves_absence:
        return False
    counting = [began for began in evidence.passes if began >= quiet_ms and began < first_possible_send_ms + venue.retention_ms]
    return len(counting) >= 2 and counting[-1] - counting[0] >= venue.lookup_delay_ms


def beyond_retention(now_ms: int, first_possible_send_ms: int, venue: Capabilities) -> bool:
    """Whether the venue may have forgotten an ended order by now: absence can't be proved any more, only a person can say."""
    return now_ms >= first_possible_send_ms + venue.retention_ms
