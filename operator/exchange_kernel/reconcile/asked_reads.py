"""Orders that somebody wants read from the exchange now (the annotation exchange-kernel.io/reconcile): read once for each token, however many wait for it.

What is found is taken in as from any other report, and what is done about it is decided as ever. Not finding an order proves nothing here.
"""

from __future__ import annotations

from exchange_kernel.core.answers import Found, Unreachable
from exchange_kernel.core.order import OrderRecord, Seen
from exchange_kernel.reconcile.resolver import ref_of
from exchange_kernel.reconcile.session import AccountSession

APART_S = 1.0  # how often at most one order is read for whoever asks


class AskedReads:
    """Of one process."""

    def __init__(self) -> None:
        self._tried: dict[str, tuple[str, float]] = {}  # by UID: the token of the last reading, and when it ended
        self._answers: dict[str, str] = {}  # by UID: the last token whose reading was answered

    def due_in(self, record: OrderRecord, now: float) -> float | None:
        """Seconds until the order is to be read; None if nobody asks, or was answered, or the exchange did not answer: the next sweep tries again."""
        token = record.reconcile
        if token is None or record.finished or token in (record.status.reconciled_token, self.answer(record)):
            return None
        tried, at = self._tried.get(record.uid, ("", now - APART_S))
        return max(0.0, at + APART_S - now) if token != tried or now >= at + APART_S else None

    async def read(self, record: OrderRecord, seen: Seen, session: AccountSession) -> None:
        """One lookup, of the newest order that the intent has, or may have."""
        exchange, token = session.exchange, record.reconcile
        if exchange is None or token is None:
            return
        number = max({1, *(attempt.number for attempt in record.attempts), *seen.sends, *seen.orders})
        answer = await exchange.lookup(ref_of(session, record, seen.ids[number]))
        self._tried[record.uid] = token, session.clock.monotonic()
        if isinstance(answer, Unreachable):
            return
        if isinstance(answer, Found):
            session.memory.learn(answer.order, (), session.venue_ms())
        elif (known := session.memory.peek(seen.ids[number])) is not None and known.order is not None and not known.order.status.ended:
            known.missing = True  # as for a list that does not have it: ask
        self._answers[record.uid] = token

    def answer(self, record: OrderRecord) -> str | None:
        """The token to write into the status, if the one that stands in the annotation was read for."""
        return record.reconcile if record.reconcile is not None and self._answers.get(record.uid) == record.reconcile else None

    def forget(self, uid: str) -> None:
        self._tried.pop(uid, None)
        self._answers.pop(uid, None)
