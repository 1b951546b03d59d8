"""The sweeper: the venue's lists against what we believe (rule 12), and the private stream that makes most sweeps boring."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING

from exchange_kernel.core.answers import Bust, Unreachable
from exchange_kernel.core.identity import is_ours
from exchange_kernel.exchanges.port import Gap, OrderUpdate
from exchange_kernel.stores.port import Unavailable

if TYPE_CHECKING:
    from exchange_kernel.reconcile.session import AccountSession, Term

RETRY_S = 2.0  # after a sweep that could not read everything


class Sweeper:
    """One account's. Sweeps are single-flight; the timer only asks whether one is due."""

    def __init__(self, session: AccountSession) -> None:
        self._session = session
        self._lock = asyncio.Lock()
        self._due = 0.0

    async def sweep_if_due(self) -> None:
        term = self._session.term
        if term is not None and term.ready and not self._lock.locked() and self._session.clock.monotonic() >= self._due:
            await self.sweep()

    async def sweep(self) -> bool:
        """The venue's list first, then a consistent list of intents: an intent always precedes its order. True if everything could be read."""
        session = self._session
        term = session.term
        if term is None or term.over.is_set():
            return False
        async with self._lock:
            done = await self._sweep(term)
        # Spread by account, so that many accounts never sweep in step.
        spread = 0.9 + (int(session.account.uid.replace("-", "")[:4] or "0", 16) % 200) / 1000
        self._due = session.clock.monotonic() + (session.account.spec.resync_seconds * spread if done else RETRY_S)
        session.report(replace(session.health, synced=done, connected=done))
        return done

    async def _sweep(self, term: Term) -> bool:
        session, memory = self._session, self._session.memory
        if not await session.measure_clock(term.exchange):
            return False
        began = session.venue_ms()
        listing = await term.exchange.open_orders()
        if isinstance(listing, Unreachable):
            return False
        for order in listing.items:
            if is_ours(order.client_order_id, session.owner):
                memory.learn(order, (), began)
        if listing.complete:
            # Only a complete list says anything about what is missing from it, and then no more than "ask".
            listed = {order.client_order_id for order in listing.items}
            for client_order_id in memory.believed_open(self.belongs, began):
                if client_order_id not in listed:
                    memory.of(client_order_id).missing = True
        snapshot = await session.store.list_all(session.account.namespace)
        if isinstance(snapshot, Unavailable):
            return False
        for record in snapshot.records:
            if record.spec.account_ref.name == session.account.name and (record.finalizer or not record.finished):
                session.wake(record.uid)
        return listing.complete

    def belongs(self, client_order_id: str) -> bool:
        """Whether an order is this account's: bound to one of its intents."""
        uid = self._session.memory.uid_of(client_order_id)
        record = self._session.store.get(uid) if uid is not None else None
        account = self._session.account
        return record is not None and (record.namespace, record.spec.account_ref.name) == (account.namespace, account.name)

    async def read_stream(self, term: Term) -> None:
        """Take in the private stream for as long as the term lasts. Every gap in it is swept over REST."""
        session = self._session
        async with aclosing(term.exchange.stream()) as facts:
            async for fact in facts:
                if term.over.is_set():
                    return
                if isinstance(fact, OrderUpdate):
                    uid = session.memory.learn(fact.order, (fact.trade,) if fact.trade is not None else (), session.venue_ms())
                    if uid is not None:
                        session.wake(uid)
                    continue
                if isinstance(fact, Bust):
                    uid = session.memory.learn_bust(fact)
                    if uid is not None:
                        session.wake(uid)
                    continue
                session.report(replace(session.health, stream_live=fact is Gap.SUBSCRIBED))
                self._due = 0.0
                session.track(self.sweep_if_due())
