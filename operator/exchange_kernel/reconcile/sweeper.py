"""The sweeper: the venue's lists against what we believe (rule 12), and the private stream that makes most sweeps boring."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from exchange_kernel.api import OrphanPolicy
from exchange_kernel.core import claims, orphans
from exchange_kernel.core.answers import Accepted, Bust, ExchangeOrder, Found, Listing, OrderKey, TimeRefused, Unreachable
from exchange_kernel.core.identity import is_ours
from exchange_kernel.core.market_rules import market_type_of
from exchange_kernel.core.order import OrderRecord
from exchange_kernel.exchanges.port import Gap, OrderRef, OrderUpdate
from exchange_kernel.reconcile import submitter
from exchange_kernel.reconcile.admission import other_markets, same_account
from exchange_kernel.reconcile.memory import told_by_a_person, told_of
from exchange_kernel.stores.port import Unavailable

if TYPE_CHECKING:
    from exchange_kernel.reconcile.session import AccountSession, Term

WAKES_AT_ONCE, WAKES_APART_S = 8, 0.004
RETRY_S = 2.0  # after a sweep that could not read everything, and before a suspected orphan is looked at again
ASKED_AT_ONCE = 8  # questions by id about what an incomplete list does not show
TOLD_APART_S = 30.0  # between two causes of a list that stays incomplete or unreadable
WITHOUT_A_LIST_S = 15.0  # how often at most they are asked while the list can't be read at all


class Reading(StrEnum):
    """What one sweep could read. An account is ready with one that is not Unreadable; what a list lacks is not missing from the venue (rule 12)."""

    UNREADABLE = "Unreadable"
    INCOMPLETE = "Incomplete"
    WHOLE = "Whole"


@dataclass(frozen=True, slots=True)
class Sight:
    """How a sweep went, for the account's conditions."""

    reading: Reading
    lack: str = ""  # what could not be read, as a sentence: stable text
    connected: bool = True  # the exchange answered


@dataclass(frozen=True, slots=True)
class Census:
    """What a complete sweep counted."""

    open_intents: int  # of this ExchangeAccount, not finished
    orphans: int
    external: int


class Sweeper:
    """One account's. Sweeps are single-flight; the timer only asks whether one is due."""

    def __init__(self, session: AccountSession) -> None:
        self._session = session
        self.answers_since_ms = 0  # venue time of the first readable sweep after one that was not
        self._lock = asyncio.Lock()
        self._due = 0.0
        self._reading = Reading.WHOLE  # of the last sweep
        self._told_at = -math.inf  # when the cause of an incomplete or unreadable list was last told anew
        self._cut = 0  # sweeps in a row that found the list incomplete
        self._asked_at = -math.inf  # when the last of them were begun
        self._asking: asyncio.Task[None] | None = None  # questions by id about what an incomplete list does not show
        self._read_since = -math.inf  # when the last sweep began that read everything
        self._swept: Term | None = None  # the term in which the lists were read at least once
        self._early: list[OrderUpdate] = []  # told by the stream before that, of orders that the first sweep may explain
        self._suspected: dict[OrderKey, int] = {}
        self._reported: set[OrderKey] = set()  # orphans
        self._cancelling: set[OrderKey] = set()

    async def sweep_if_due(self) -> None:
        term = self._session.term
        if term is not None and self._swept is term and not self._lock.locked() and self._session.clock.monotonic() >= self._due:
            await self._session.notice_new_credentials()
            await self.sweep()

    async def sweep(self) -> Reading:
        """The venue's list first, then a consistent list of intents: an intent always precedes its order."""
        session = self._session
        term = session.term
        if term is None or term.over.is_set():
            return Reading.UNREADABLE
        async with self._lock:
            counters, began = session.counters, session.clock.monotonic()
            sight = await self._sweep(term, began)
            self._reading, whole = sight.reading, sight.reading is Reading.WHOLE
            self._cut = self._cut + 1 if sight.reading is Reading.INCOMPLETE else 0
            counters.sweeps += 1
            counters.failed_sweeps += not whole
            counters.sweep_took_ms = int((session.clock.monotonic() - began) * 1000)
            if whole:
                counters.last_sweep_ms, self._read_since = session.venue_ms(), began
        self._due = session.clock.monotonic() + self._pause_s()
        cut = sight.reading is Reading.INCOMPLETE
        session.report(replace(session.health, synced=whole, connected=sight.connected, lack=self._told(sight.lack, cut), cut=cut))
        return sight.reading

    def _told(self, lack: str, cut: bool) -> str:
        """The cause to tell. One that keeps changing is not written at each sweep."""
        health, now = self._session.health, self._session.clock.monotonic()
        if lack and health.lack and health.cut is cut and now < self._told_at + TOLD_APART_S:
            return health.lack
        if lack != health.lack:
            self._told_at = now
        return lack

    def _pause_s(self) -> float:
        """How long to wait for the next sweep: soon after one that read nothing, and ever less soon while the list stays incomplete."""
        account = self._session.account
        # Spread by account, so that many accounts never sweep in step.
        resync_s = account.spec.resync_seconds * (0.9 + (int(account.uid.replace("-", "")[:4] or "0", 16) % 200) / 1000)
        if self._reading is Reading.INCOMPLETE:
            return min(RETRY_S * 2.0 ** min(self._cut - 1, 10), resync_s)
        soon = self._reading is Reading.UNREADABLE or set(self._suspected) - self._reported
        return min(RETRY_S, resync_s) if soon else resync_s

    def read_since(self, at: float) -> bool:
        """Whether all we believe open was read, by a sweep that began no earlier than `at` (monotonic) or by id after it."""
        return self._read_since >= at

    async def _sweep(self, term: Term, began_at: float) -> Sight:
        session = self._session
        if not await session.measure_clock(term.exchange):
            return Sight(Reading.UNREADABLE, "The exchange's time can't be read: it is asked again.", connected=False)
        markets = await term.exchange.markets()  # those it read last
        if not isinstance(markets, Unreachable):
            await session.market_readings.take(term, markets)
        await session.market_readings.note(term)
        await session.risk.read_limits()
        began = session.venue_ms()
        answer = await term.exchange.open_orders()
        if isinstance(answer, Unreachable):
            session.stay_away(answer.retry_after_s)
            await session.ask_who_we_are(term)
            if session.clock.monotonic() >= self._asked_at + WITHOUT_A_LIST_S:
                self._ask_for_unlisted(term, (), began, began_at)
            return Sight(Reading.UNREADABLE, f"The exchange's list of open orders can't be read: {answer.reason}. It is asked for again.", connected=False)
        listing, others = orphans.set_aside(answer, session.owner)
        listing = replace(listing, items=tuple(order for order in listing.items if not self.elsewhere(order)))
        snapshots = [await session.store.list_all(namespace) for namespace in self._namespaces()]
        if any(isinstance(snapshot, Unavailable) for snapshot in snapshots):
            return Sight(Reading.UNREADABLE, "The account's OrderIntents can't be listed: they are asked for again.")
        # After the intents: a group whose intent was listed, and that is missing here, is gone.
        groups = await session.groups.list_all(session.account.namespace) if session.groups is not None else ()
        if isinstance(groups, Unavailable):
            return Sight(Reading.UNREADABLE, "The account's OrderGroups can't be listed: they are asked for again.")
        lists = [snapshot for snapshot in snapshots if not isinstance(snapshot, Unavailable)]
        records = self._here([record for snapshot in lists for record in snapshot.records])
        for order in listing.items:
            session.memory.revive(order, began, term.exchange.capabilities.lookup_delay_ms)
        self._take_in(term, [OrderUpdate(order) for order in listing.items], records, began)
        mine = [record for record in records if (record.namespace, record.spec.account_ref.name) == (session.account.namespace, session.account.name)]
        if listing.complete:
            self._mark_missing(listing, began)
            if all(snapshot.complete for snapshot in lists) and term.admitted:
                orphaned, external = self._judge(term, listing, records, began)
                session.count(Census(sum(not record.finished for record in mine), orphaned, external + others))
        else:
            self._ask_for_unlisted(term, listing.items, began, began_at)
        # What the stream told before waits for the intents, which are listed by now, and not for a whole list of orders.
        self._swept = term
        early, self._early = self._early, []
        self._take_in(term, early, records, began)
        session.tell_unattributed()
        if self._reading is Reading.UNREADABLE:
            self.answers_since_ms = session.venue_ms()
        unfinished = [record.uid for record in mine if record.finalizer or not record.finished]
        unfinished += [record.uid for record in session.gone]
        wakes = [(session.wake, uid) for uid in unfinished]
        wakes += [(session.wake_group, group.uid) for group in groups if group.spec.account_ref.name == session.account.name and not group.finished]
        for number, (wake, uid) in enumerate(wakes):
            # The net under every lost event, and not urgent: what the stream tells meanwhile goes before.
            if number % WAKES_AT_ONCE == WAKES_AT_ONCE - 1:
                await asyncio.sleep(WAKES_APART_S)
            wake(uid)
        return Sight(Reading.WHOLE) if listing.complete else Sight(Reading.INCOMPLETE, incomplete(listing.lack))

    def elsewhere(self, order: ExchangeOrder) -> bool:
        """Whether an order of ours is on another market type of this account, for which there is another ExchangeAccount: lists may tell of both."""
        session, kind = self._session, market_type_of(order.symbol)
        if kind in (None, session.account.spec.market_type) or not is_ours(order.client_order_id, session.owner):
            return False
        if session.term is not None and order.symbol in session.term.markets:
            return False
        return any(other.spec.market_type == kind for other in other_markets(session.account, session.accounts.all()))

    def _here(self, records: Sequence[OrderRecord]) -> list[OrderRecord]:
        """Those that may explain an order of this account: not the ones on another account, or another market type of it, that there is an object for."""
        session = self._session
        accounts = session.accounts.all()
        here = {(one.namespace, one.name) for one in (session.account, *same_account(session.account, accounts))}
        others = {(one.namespace, one.name) for one in accounts} - here
        return [record for record in records if (record.namespace, record.spec.account_ref.name) not in others]

    def _peers(self) -> list[OrderRecord]:
        """All intents that may explain an order of this account: every one, so only for an order that nobody follows."""
        session = self._session
        accounts = [session.account, *same_account(session.account, session.accounts.all())]
        return [record for account in accounts for record in session.store.of_account(account.namespace, account.name)]

    def _namespaces(self) -> list[str]:
        """Where intents may explain an order of this account: in its own namespace, and where another object on the same account is."""
        account = self._session.account
        return sorted({account.namespace, *(other.namespace for other in same_account(account, self._session.accounts.all()))})

    def _mark_missing(self, listing: Listing[ExchangeOrder], began: int) -> None:
        """Only a complete list says anything about what is missing from it, and then no more than "ask"."""
        listed = {order.client_order_id for order in listing.items}
        for client_order_id in self._session.memory.believed_open(self.belongs, began):
            if client_order_id not in listed:
                known = self._session.memory.of(client_order_id)
                known.missing_ms = known.missing_ms if known.missing_ms is not None else began

    def _ask_for_unlisted(self, term: Term, shown: Sequence[ExchangeOrder], began: int, began_at: float) -> None:
        """Begin to ask by id for each order that we believe open and the list does not show. It holds up neither sweeps nor keys."""
        if term.over.is_set() or (self._asking is not None and not self._asking.done()):
            return
        self._asked_at = began_at
        listed = {order.client_order_id for order in shown}
        unlisted = [client_order_id for client_order_id in self._session.memory.believed_open(self.belongs, began) if client_order_id not in listed]
        self._asking = self._session.track(self._ask(term, unlisted, began_at))

    async def _ask(self, term: Term, client_order_ids: Sequence[str], began_at: float) -> None:
        """Until one is not answered: then none of the others would be."""
        memory, left, answered = self._session.memory, list(reversed(client_order_ids)), True

        async def ask() -> None:
            nonlocal answered
            while left and answered and not term.over.is_set():
                known = memory.peek(client_order_id := left.pop())
                if known is None or known.order is None or known.order.status.ended:
                    continue
                answer = await term.exchange.lookup(OrderRef(known.order.symbol, client_order_id, known.order.exchange_order_id))
                if isinstance(answer, Found):
                    self._learn(OrderUpdate(answer.order), self._session.venue_ms())
                answered = answered and not isinstance(answer, Unreachable)

        await asyncio.gather(*(ask() for _ in range(ASKED_AT_ONCE)))
        if answered and not left:
            self._read_since = max(self._read_since, began_at)

    def close(self) -> None:
        """Ask no more: the next term asks for itself."""
        if self._asking is not None:
            self._asking.cancel()

    async def asked(self) -> None:
        """Return once what the last sweeps asked for by id is answered."""
        while self._asking is not None and not self._asking.done():
            await asyncio.wait([self._asking])

    def _judge(self, term: Term, listing: Listing[ExchangeOrder], records: Sequence[OrderRecord], began: int) -> tuple[int, int]:
        """12: the numbers of orphans and of others' orders, with what the account's policy wants done about orphans begun."""
        session = self._session
        listed = [order for order in listing.items if not order.status.ended]
        unfollowed = {order.client_order_id for order in listed if not self._followed(order.client_order_id)}
        explained = orphans.explain(unfollowed, records, session.owner, term.fingerprint)
        # An intent that has ended explains no order that is open: the list was read before the intents, and two of them show it.
        over = {client_order_id: record for client_order_id, record in explained.items() if record.finished}
        known = {order.client_order_id for order in listed} - unfollowed | (set(explained) - set(over))
        found = orphans.sort(listed, session.owner, known)
        apart_ms = term.exchange.capabilities.lookup_delay_ms
        self._suspected, lost = orphans.confirm(self._suspected, found.unexplained, began, apart_ms)
        for order in lost:
            # 5: its owner has it called ended or absent, and nobody wants it: no policy is asked.
            mistaken = (record := over.get(order.client_order_id)) is not None and told_by_a_person(record, order.client_order_id)
            if order.key not in self._reported:
                session.report_orphan(order, mistaken=mistaken)
            if (mistaken or session.account.spec.orphan_policy is OrphanPolicy.CANCEL) and order.key not in self._cancelling:
                self._cancelling.add(order.key)
                session.track(self._cancel(term, order))
        self._reported = {order.key for order in lost}
        return len(lost), found.external

    async def _cancel(self, term: Term, order: ExchangeOrder) -> None:
        outcome = await submitter.cancel_ref(self._session, term, OrderRef(order.symbol, order.client_order_id, order.exchange_order_id))
        if isinstance(outcome, Accepted):
            self._session.memory.learn(outcome.order, outcome.trades, self._session.venue_ms())
        elif isinstance(outcome, TimeRefused):
            self._session.end_term(f"The exchange refused the time of a request: {outcome.reason}")
        self._cancelling.discard(order.key)

    def _take_in(self, term: Term, updates: Sequence[OrderUpdate], records: Iterable[OrderRecord], at_ms: int) -> None:
        """Give each report to whom it concerns: to the intent that follows the order, or to the account if none does any more (rule 11)."""
        session, memory = self._session, self._session.memory
        ours = [update for update in updates if is_ours(update.order.client_order_id, session.owner)]
        unplaced = {update.order.client_order_id for update in ours if not self._placed(update.order.client_order_id)}
        records = list(records) if unplaced else ()
        explained = orphans.explain(unplaced, records, session.owner, term.fingerprint)
        for order in (update.order for update in ours if update.order.client_order_id in unplaced - set(explained)):
            if (found := orphans.attempt_of(order, records, session.owner, term.fingerprint)) is not None:
                explained[order.client_order_id], number = found
                memory.reaches(explained[order.client_order_id].uid, number)
                memory.bind(order.client_order_id, explained[order.client_order_id].uid, session.account.uid)
        for update in ours:
            client_order_id = update.order.client_order_id
            if client_order_id in unplaced:
                record = explained.get(client_order_id)
                if record is None and not term.admitted:
                    continue  # the one that is admitted tells of it
                told = told_of(record, client_order_id) if record is not None else None
                mine = record is not None and (record.namespace, record.spec.account_ref.name) == (session.account.namespace, session.account.name)
                earlier = session.summed_up(record, client_order_id, term) if record is not None and mine and not record.finished else None
                if record is not None and earlier is not None and earlier >= claims.first_followed(record):
                    memory.bind(client_order_id, record.uid, session.account.uid)
                elif record is None or record.finished or earlier is not None:
                    memory.let_go.add(session.account.uid, client_order_id, {} if told is None else {update.order.exchange_order_id: told})
            self._learn(update, at_ms)

    def _learn(self, update: OrderUpdate, at_ms: int) -> None:
        trades = (update.trade,) if update.trade is not None else ()
        if (uid := self._session.memory.learn(update.order, trades, at_ms)) is not None:
            self._session.wake(uid)

    def _placed(self, client_order_id: str) -> bool:
        """Whether it is known who is to hear of this order."""
        memory = self._session.memory
        if client_order_id in memory.let_go or self._followed(client_order_id):
            return True
        return memory.uid_of(client_order_id) is None and memory.peek(client_order_id) is not None

    def _followed(self, client_order_id: str) -> bool:
        """Whether an intent follows this order: an unfinished one, or one that was force-deleted and goes on in memory."""
        uid = self._session.memory.uid_of(client_order_id)
        record = self._session.record_of(uid) if uid is not None else None
        return record is not None and not record.finished

    def belongs(self, client_order_id: str) -> bool:
        """Whether an order is this account's: followed by one of its intents."""
        return self._session.memory.account_of(client_order_id) == self._session.account.uid

    async def read_stream(self, term: Term) -> None:
        """Take in the private stream for as long as the term lasts. Every gap in it is swept over REST."""
        session = self._session
        self._early, self._suspected = [], {}
        async with aclosing(term.exchange.stream()) as facts:
            async for fact in facts:
                if term.over.is_set():
                    return
                match fact:
                    case OrderUpdate():
                        self._hear(term, fact)
                    case Bust():
                        if (uid := session.memory.learn_bust(fact)) is not None:
                            session.wake(uid)
                    case Gap():
                        session.report(replace(session.health, stream_live=fact is Gap.SUBSCRIBED))
                        self._due = 0.0
                        session.track(self.sweep_if_due())

    def _hear(self, term: Term, update: OrderUpdate) -> None:
        session, client_order_id = self._session, update.order.client_order_id
        if self.elsewhere(update.order):
            return
        if self._followed(client_order_id):
            self._learn(update, session.venue_ms())
        elif self._swept is not term and not self._placed(client_order_id):
            self._early.append(update)
            return
        else:
            known = self._placed(client_order_id) or not is_ours(client_order_id, session.owner)
            self._take_in(term, [update], () if known else self._peers(), session.venue_ms())
        session.tell_unattributed()


def incomplete(lack: str) -> str:
    """What a list that lacks something suspends, as a sentence for a condition."""
    return (
        f"The exchange's list of open orders is not whole: {lack}. Orders are sent and cancelled as ever, and those it does not show are asked for by their "
        "ids; orphans and others' orders are not counted meanwhile."
    )
