"""The judge of bare positions: how long what an Entry opened had no working stop of its size, while the exchange would have taken one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal

from tests.chaos.group_judge import Orders, left_of, lost_on_the_way, of_members, stop_orders
from tests.chaos.group_user import GroupNote
from tests.chaos.verdict import LIVE, ZERO, Order

#: `maxUnprotectedSeconds`, which the storm's groups leave at its default.
MOST_UNPROTECTED_S = 5.0
#: Since all was well again: a Lease of 6 s runs out, a process starts and asks for all orders, and the longest back-off of a refused exit passes.
RECOVERS_S = 20.0
#: The ledger is looked at once a second while the storm goes on, and every five seconds while it settles.
ALLOWANCE_S = 5.0
LONGEST_S = MOST_UNPROTECTED_S + ALLOWANCE_S
#: The least notional of the storm's markets is 5: a stop below it is none that the exchange would take.
LEAST_NOTIONAL = Decimal(6)


class BareWatch:
    """Looks at the ledger again and again. Only time that follows `RECOVERS_S` of health counts, and only in one piece."""

    def __init__(self) -> None:
        self.found: dict[str, str] = {}         # by UID: what was bare for too long
        self._since: dict[str, float] = {}      # by UID: since when it is bare, as of the last look

    @property
    def undecided(self) -> bool:
        """Whether a position is bare, and not yet for too long."""
        return bool(self._since.keys() - self.found.keys())

    def look(self, now_s: float, groups: Iterable[GroupNote], found: Mapping[tuple[str, str], list[Order]], well_since_s: float | None) -> None:
        """`well_since_s`: since when operators, API server, exchange and markets are all in order; None while one is not."""
        for note in groups:
            missing = unprotected(note, of_members(note, found))
            if missing == 0 or well_since_s is None:
                self._since.pop(note.uid, None)
                continue
            began = max(self._since.setdefault(note.uid, now_s), well_since_s + RECOVERS_S)
            if now_s - began > LONGEST_S:
                self.found.setdefault(note.uid, f"{missing} had no stop for more than {LONGEST_S:.0f} s while the exchange would have taken one")


def unprotected(note: GroupNote, orders: Orders) -> Decimal:
    """How much of a Bracket's position no live stop covers, where one is promised and the exchange would take it."""
    if note.entry is None or note.deleted or "stop" in note.removed | note.canceled:
        return ZERO                             # a person took the stop away, or the group that would make it
    arrived = note.position(orders) - lost_on_the_way(orders[note.entry])
    if arrived <= 0 or arrived * note.stop_price < LEAST_NOTIONAL:
        return ZERO
    return max(arrived - sum((left_of(order) for order in stop_orders(note, orders) if order["status"] in LIVE), ZERO), ZERO)
