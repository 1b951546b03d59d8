"""Orders that somebody wants read from the exchange now (the annotation exchange-kernel.io/reconcile): read once for each token, however many wait for it.

A reading runs beside the order's reconcile and holds up nothing of it, no cancel above all. What it finds is taken in as from any other report, and what
is done about it is decided as ever. Not finding an order proves nothing here.
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
        self._reading: set[str] = set()  # UIDs
        self._tried: dict[str, tuple[str, float]] = {}  # by UID: the token of the last reading, and when it ended
        self._answers: dict[str, str] = {}  # by UID: the last token whose reading was answered

    def look(self, record: OrderRecord, seen: Seen, session: AccountSession) -> float | None:
        """Begin a reading if one is due. Returns in how many seconds to look again, if nothing else wakes the order before."""
        token, now = record.reconcile, session.clock.monotonic()
        if token is None or record.finished or record.uid in self._reading or token in (record.status.reconciled_token, self.answer(record)):
            return None
        tried, at = self._tried.get(record.uid, ("", now - APART_S))
        if now < at + APART_S:
            # If it was tried for this token, the exchange did not answer: the next sweep that is answered wakes the order.
            return at + APART_S - now if token != tried else None
        self._reading.add(record.uid)
        session.track(self._read(record, token, seen, session))
        return None

    async def _read(self, record: OrderRecord, token: str, seen: Seen, session: AccountSession) -> None:
        """One lookup, of the newest order that the intent has, or may have."""
        uid, began = record.uid, session.venue_ms()
        client_order_id = seen.ids[max({1, *(attempt.number for attempt in record.attempts), *seen.sends, *seen.orders})]
        try:
            exchange = session.exchange
            answer = await exchange.lookup(ref_of(session, record, client_order_id)) if exchange is not None else Unreachable("not held")
        finally:
            self._reading.discard(uid)
            self._tried[uid] = token, session.clock.monotonic()
        if isinstance(answer, Unreachable):
            return
        if isinstance(answer, Found):
            session.memory.learn(answer.order, (), session.venue_ms())
        elif (known := session.memory.peek(client_order_id)) is not None and known.order is not None and not known.order.status.ended:
            known.missing_ms = began if known.missing_ms is None and known.reported_ms < began else known.missing_ms  # as for a list that does not have it: ask
        self._answers[uid] = token
        session.wake(uid)

    def answer(self, record: OrderRecord) -> str | None:
        """The token to write into the status, if the one that stands in the annotation was read for."""
        return record.reconcile if record.reconcile is not None and self._answers.get(record.uid) == record.reconcile else None

    def forget(self, uid: str) -> None:
        self._tried.pop(uid, None)
        self._answers.pop(uid, None)
