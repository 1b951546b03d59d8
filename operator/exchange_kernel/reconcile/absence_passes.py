"""Questions about orders that are looked for, shared: one reading of a market's lists serves every order of it, so a restart or an outage costs O(markets).

A pass of rule 5 reads open → closed → by id what neither shows → trades, each whole; one that was not whole counts for nothing. Before E it only finds.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import structlog

from exchange_kernel.core import absence
from exchange_kernel.core.answers import ExchangeOrder, Found, Listing, LookupOutcome, NotFound, OrderKey, Trade, Unreachable
from exchange_kernel.core.order import OrderRecord
from exchange_kernel.core.sending import SendRecord, SendStage
from exchange_kernel.exchanges.port import Exchange, OrderRef

if TYPE_CHECKING:
    from exchange_kernel.reconcile.session import AccountSession, Term

log = structlog.get_logger(__name__)

SKEW_MS = 60_000  # how much earlier than the object's creation its order is looked for: clocks differ
AT_ONCE = 8  # questions by id under way together
APART_S = 1.0  # between the beginnings of two passes of one market
GATHER_S = 0.01  # for how long a pass waits for others that ask in the same moment
LISTED_MS = 24 * 3600 * 1000  # an older order is cheaper to ask for by id than to reach in a list


@dataclass(frozen=True, slots=True)
class _Sought:
    """One order that is being looked for."""

    record: OrderRecord
    client_order_id: str
    ref: OrderRef
    answered: asyncio.Future[None]
    proving: bool  # whether not finding it is to count


class AbsencePasses:
    """One account's. Whoever asks while a pass of its market is under way, or was just now, is served by the next."""

    def __init__(self, session: AccountSession) -> None:
        self._session = session
        self._waiting: dict[str, list[_Sought]] = {}
        self._running: dict[str, asyncio.Task[None]] = {}  # by symbol
        self._next: dict[str, float] = {}  # by symbol: when a pass may begin again (monotonic)
        self._by_id: Counter[str] = Counter()  # by symbol: questions about one order that are under way
        self._in_vain: dict[str, set[str]] = {}  # by symbol: what was not found by id in passes that counted for nothing
        self._explained: set[OrderKey] = set()  # older orders, asked for because of their trades

    async def look(self, record: OrderRecord, ref: OrderRef) -> None:
        """Find one order if it is there: by id, or, while many of its market are asked for, in the lists of its market."""
        session, exchange = self._session, self._session.exchange
        if self._by_id[ref.symbol] >= AT_ONCE and session.venue_ms() - record.created_ms < LISTED_MS:
            await self._join(record, ref, proving=False)
            return
        if exchange is None:
            return
        began = session.memory.of(ref.client_order_id).looked_up_ms = session.venue_ms()
        self._by_id[ref.symbol] += 1
        try:
            answer = await exchange.lookup(ref)
        finally:
            self._by_id[ref.symbol] -= 1
        if isinstance(answer, Found):
            session.memory.learn(answer.order, (), session.venue_ms())
        elif isinstance(answer, NotFound):
            session.memory.learn_absent(ref.client_order_id, began)

    async def take_part(self, record: OrderRecord, ref: OrderRef) -> None:
        """Return when one pass that began after this call is over."""
        await self._join(record, ref, proving=True)

    async def _join(self, record: OrderRecord, ref: OrderRef, *, proving: bool) -> None:
        sought = _Sought(record, ref.client_order_id, ref, asyncio.get_running_loop().create_future(), proving)
        self._waiting.setdefault(ref.symbol, []).append(sought)
        if (running := self._running.get(ref.symbol)) is None or running.done():
            self._running[ref.symbol] = asyncio.get_running_loop().create_task(self._run(ref.symbol))
        await sought.answered

    def close(self) -> None:
        """End what is under way; whoever waits for it decides afresh."""
        for task in self._running.values():
            task.cancel()
        self._running.clear()
        for members in self._waiting.values():
            _answer(members)
        self._waiting.clear()

    async def _run(self, symbol: str) -> None:
        clock = self._session.clock
        while symbol in self._waiting:
            await asyncio.sleep(max(GATHER_S, self._next.get(symbol, 0.0) - clock.monotonic()))
            members = self._waiting.pop(symbol, [])
            self._next[symbol] = clock.monotonic() + APART_S
            try:
                term = self._session.term
                if term is not None and not term.over.is_set():
                    await self._pass(term, symbol, members)
            finally:
                _answer(members)
        self._running.pop(symbol, None)

    async def _pass(self, term: Term, symbol: str, members: Sequence[_Sought]) -> None:
        memory, began, exchange = self._session.memory, self._session.venue_ms(), term.exchange
        for sought in members:
            memory.of(sought.client_order_id).looked_up_ms = began
        asking = {sought.client_order_id for sought in members}
        since = self._session.venue_ms_of(min(sought.record.created_ms for sought in members)) - SKEW_MS
        open_orders = await exchange.open_orders(symbol)
        if isinstance(open_orders, Unreachable):
            return
        closed = await exchange.orders(symbol, since)
        if isinstance(closed, Unreachable):
            return
        listed = {order.client_order_id: order for order in (*open_orders.items, *closed.items) if not self._session.sweeper.elsewhere(order)}
        unlisted = [sought for sought in members if sought.client_order_id not in listed and self._asked_for_by_id(term, sought, began)]
        known, whole = {order.key for order in listed.values()}, open_orders.complete and closed.complete
        if vain := self._in_vain.get(symbol):
            # What was not found by id is asked for again once it counts: while something in the market keeps it from counting, a pass costs its lists only.
            whole = whole and await self._explains(exchange, await exchange.trades(symbol, since_ms=since), known, members[0].record)
            unlisted = unlisted if whole else [sought for sought in unlisted if sought.client_order_id not in vain]
        by_id = await self._each(exchange, unlisted)
        trades = await exchange.trades(symbol, since_ms=since)
        found = [answer.order for answer in by_id if isinstance(answer, Found)]
        found += [order for order in listed.values() if order.client_order_id in asking or self._sought(order)]
        executed = trades.items if isinstance(trades, Listing) else ()
        for order in found:
            own = tuple(trade for trade in executed if trade.order_key == order.key)
            uid = memory.learn(order, own, self._session.venue_ms())
            if uid is not None and order.client_order_id not in asking:
                self._session.wake(uid)
        absent = [sought for sought, answer in zip(unlisted, by_id, strict=True)
                  if sought.proving and isinstance(answer, NotFound) and memory.of(sought.client_order_id).order is None]
        known |= {order.key for order in found}
        if not (absent and whole and await self._explains(exchange, trades, known, members[0].record)):
            self._in_vain.setdefault(symbol, set()).update(sought.client_order_id for sought in absent)
            return
        self._in_vain.pop(symbol, None)
        for sought in absent:
            self._count(term, sought, began)

    def _asked_for_by_id(self, term: Term, sought: _Sought, began: int) -> bool:
        """Of what the lists do not show: an order that was there once, one that can't come any more, and an attempt that status may lack."""
        if sought.proving:
            return began >= self._quiet_from(term, sought)
        return sought.ref.exchange_order_id is not None or (bool(sought.record.attempts) and sought.record.attempt_of(sought.client_order_id) is None)

    def _sought(self, order: ExchangeOrder) -> bool:
        """Whether a listed order is one that an intent waits to ask for again."""
        known = self._session.memory.peek(order.client_order_id)
        return known is not None and known.order is None

    def _quiet_from(self, term: Term, sought: _Sought) -> int:
        known = self._session.memory.of(sought.client_order_id)
        return absence.quiet_from(known.send, term.started_ms, term.exchange.capabilities)

    async def _explains(self, exchange: Exchange, trades: Listing[Trade] | Unreachable, listed: set[OrderKey], record: OrderRecord) -> bool:
        """Whether every own trade is of an order that is known: another may be any missing order's. Orders older than the lists are asked for, once."""
        if isinstance(trades, Unreachable) or not trades.complete:
            return False
        memory, store = self._session.memory, self._session.store
        peers = store.of_account(record.namespace, record.spec.account_ref.name)
        recorded = {(peer.spec.symbol, attempt.exchange_order_id) for peer in peers for attempt in peer.attempts}
        known = listed | self._explained | recorded
        unknown = {trade.order_key: trade for trade in trades.items if trade.order_key not in known}
        for key, trade in unknown.items():
            if memory.knows_order(key):
                continue
            answer = await exchange.lookup(OrderRef(trade.symbol, trade.client_order_id or "", trade.exchange_order_id))
            if not isinstance(answer, Found):
                return False
            self._explained.add(key)
            if memory.peek(answer.order.client_order_id) is not None:
                memory.learn(answer.order, (), self._session.venue_ms())
        return True

    async def _each(self, exchange: Exchange, members: Sequence[_Sought]) -> list[LookupOutcome]:
        """Ask for each by id. What is only looked for is not found by such an answer too: it may be one of hundreds, and no pass of its own comes."""
        session, places = self._session, asyncio.Semaphore(AT_ONCE)

        async def ask(sought: _Sought) -> LookupOutcome:
            async with places:
                began = session.venue_ms()
                answer = await exchange.lookup(sought.ref)
            if isinstance(answer, NotFound) and not sought.proving:
                session.memory.learn_absent(sought.client_order_id, began)
            return answer

        return list(await asyncio.gather(*(ask(sought) for sought in members)))

    def _count(self, term: Term, sought: _Sought, began: int) -> None:
        """One more whole pass without it; two of them, after E and apart, are the proof."""
        known, venue = self._session.memory.of(sought.client_order_id), term.exchange.capabilities
        known.evidence = known.evidence.with_pass(began)
        first_ms = self._session.venue_ms_of(sought.record.created_ms)
        if absence.proved(known.evidence, quiet_ms=self._quiet_from(term, sought), first_possible_send_ms=first_ms, venue=venue):
            known.send = replace(known.send or SendRecord(sought.client_order_id, SendStage.ABSENT), stage=SendStage.ABSENT)
            known.evidence = absence.Evidence()
            log.info("proved absent", client_order_id=sought.client_order_id, intent=f"{sought.record.namespace}/{sought.record.name}")


def _answer(members: Sequence[_Sought]) -> None:
    for sought in members:
        if not sought.answered.done():
            sought.answered.set_result(None)
