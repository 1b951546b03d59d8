"""Passes of rule 5, shared: one reading of a market's lists serves every order of it that is being looked for, so a restart costs O(markets) lists.

A pass reads open → closed → by id what neither shows → trades, each whole; one that was not whole counts for nothing. Before E it only finds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import structlog

from exchange_kernel.core import absence
from exchange_kernel.core.answers import Found, Listing, LookupOutcome, NotFound, Trade, Unreachable
from exchange_kernel.core.order import OrderRecord
from exchange_kernel.core.sending import SendRecord, SendStage
from exchange_kernel.exchanges.port import Exchange, OrderRef

if TYPE_CHECKING:
    from exchange_kernel.reconcile.session import AccountSession, Term

log = structlog.get_logger(__name__)

SKEW_MS = 60_000  # how much earlier than the object's creation its order is looked for: clocks differ
AT_ONCE = 8  # questions by id under way together


@dataclass(frozen=True, slots=True)
class _Sought:
    """One order that is being looked for."""

    record: OrderRecord
    client_order_id: str
    ref: OrderRef
    answered: asyncio.Future[None]


class AbsencePasses:
    """One account's. Whoever asks while a pass of its market is under way is served by the next."""

    def __init__(self, session: AccountSession) -> None:
        self._session = session
        self._waiting: dict[str, list[_Sought]] = {}
        self._running: dict[str, asyncio.Task[None]] = {}  # by symbol
        self._explained: set[str] = set()  # exchange ids of older orders, asked for because of their trades

    async def take_part(self, record: OrderRecord, ref: OrderRef) -> None:
        """Return when one pass that began after this call is over."""
        sought = _Sought(record, ref.client_order_id, ref, asyncio.get_running_loop().create_future())
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
        while members := self._waiting.pop(symbol, []):
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
        since = min(sought.record.created_ms for sought in members) - SKEW_MS
        open_orders = await exchange.open_orders(symbol)
        if isinstance(open_orders, Unreachable):
            return
        closed = await exchange.orders(symbol, since)
        if isinstance(closed, Unreachable):
            return
        listed = {order.client_order_id: order for order in (*open_orders.items, *closed.items)}
        missing = [sought for sought in members if sought.client_order_id not in listed and began >= self._quiet_from(term, sought)]
        by_id = await _each(exchange, missing)
        trades = await exchange.trades(symbol, since_ms=since)
        if isinstance(trades, Unreachable):
            return
        found = [answer.order for answer in by_id if isinstance(answer, Found)]
        for sought in members:
            if (order := listed.get(sought.client_order_id)) is not None:
                found.append(order)
        for order in found:
            own = tuple(trade for trade in trades.items if trade.exchange_order_id == order.exchange_order_id)
            memory.learn(order, own, self._session.venue_ms())
        if not missing or not (open_orders.complete and closed.complete and trades.complete):
            return
        explained = {order.exchange_order_id for order in (*listed.values(), *found)}
        if await self._unexplained(exchange, trades, explained, members[0].record):
            return  # an own trade that no known order explains may be any missing order's
        for sought, answer in zip(missing, by_id, strict=True):
            if memory.of(sought.client_order_id).order is None and isinstance(answer, NotFound):
                self._count(term, sought, began)

    def _quiet_from(self, term: Term, sought: _Sought) -> int:
        known = self._session.memory.of(sought.client_order_id)
        return absence.quiet_from(known.send, term.started_ms, term.exchange.capabilities)

    async def _unexplained(self, exchange: Exchange, trades: Listing[Trade], listed: set[str], record: OrderRecord) -> bool:
        """Whether an own trade belongs to no order that is known. Orders older than the lists are asked for by the exchange's id, once."""
        memory, store = self._session.memory, self._session.store
        recorded = {attempt.exchange_order_id for peer in store.of_account(record.namespace, record.spec.account_ref.name) for attempt in peer.attempts}
        known = listed | self._explained | recorded
        unknown = {trade.exchange_order_id: trade for trade in trades.items if trade.exchange_order_id not in known}
        for exchange_order_id, trade in unknown.items():
            if memory.knows_exchange_id(exchange_order_id):
                continue
            answer = await exchange.lookup(OrderRef(trade.symbol, trade.client_order_id or "", exchange_order_id))
            if not isinstance(answer, Found):
                return True
            self._explained.add(exchange_order_id)
            if memory.peek(answer.order.client_order_id) is not None:
                memory.learn(answer.order, (), self._session.venue_ms())
        return False

    def _count(self, term: Term, sought: _Sought, began: int) -> None:
        """One more whole pass without it; two of them, after E and apart, are the proof."""
        known, venue = self._session.memory.of(sought.client_order_id), term.exchange.capabilities
        known.evidence = known.evidence.with_pass(began)
        if absence.proved(known.evidence, quiet_ms=self._quiet_from(term, sought), first_possible_send_ms=sought.record.created_ms, venue=venue):
            known.send = replace(known.send or SendRecord(sought.client_order_id, SendStage.ABSENT), stage=SendStage.ABSENT)
            known.evidence = absence.Evidence()
            log.info("proved absent", client_order_id=sought.client_order_id, intent=f"{sought.record.namespace}/{sought.record.name}")


async def _each(exchange: Exchange, members: Sequence[_Sought]) -> list[LookupOutcome]:
    places = asyncio.Semaphore(AT_ONCE)

    async def ask(sought: _Sought) -> LookupOutcome:
        async with places:
            return await exchange.lookup(sought.ref)

    return list(await asyncio.gather(*(ask(sought) for sought in members)))


def _answer(members: Sequence[_Sought]) -> None:
    for sought in members:
        if not sought.answered.done():
            sought.answered.set_result(None)
