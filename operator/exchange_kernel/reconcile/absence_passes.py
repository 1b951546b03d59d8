"""Passes of rule 5, shared: one reading of a market's lists serves every order of it that is being looked for, so a restart costs O(markets) lists.

A pass reads open → by id → closed → trades, each whole; one that was not whole counts for nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import structlog

from exchange_kernel.core import absence
from exchange_kernel.core.answers import ExchangeOrder, Found, Listing, LookupOutcome, NotFound, Trade, Unreachable
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


@dataclass(frozen=True, slots=True)
class _Lists:
    """What a market's lists said in one pass."""

    open: Listing[ExchangeOrder]
    closed: Listing[ExchangeOrder]
    trades: Listing[Trade]

    @property
    def complete(self) -> bool:
        return self.open.complete and self.closed.complete and self.trades.complete


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
        if ref.symbol not in self._running:
            self._running[ref.symbol] = asyncio.get_running_loop().create_task(self._run(ref.symbol))
        await sought.answered

    def close(self) -> None:
        for task in self._running.values():
            task.cancel()

    async def _run(self, symbol: str) -> None:
        members: list[_Sought] = []
        try:
            while members := self._waiting.pop(symbol, []):
                term = self._session.term
                if term is not None and not term.over.is_set():
                    await self._pass(term, symbol, members)
                _answer(members)
        finally:
            self._running.pop(symbol)
            _answer([*members, *self._waiting.pop(symbol, [])])

    async def _pass(self, term: Term, symbol: str, members: Sequence[_Sought]) -> None:
        memory, began, exchange = self._session.memory, self._session.venue_ms(), term.exchange
        for sought in members:
            memory.of(sought.client_order_id).looked_up_ms = began
        open_orders = await exchange.open_orders(symbol)
        if isinstance(open_orders, Unreachable):
            return
        by_id = await _each(exchange, members)
        since = min(sought.record.created_ms for sought in members) - SKEW_MS
        closed = await exchange.orders(symbol, since)
        if isinstance(closed, Unreachable):
            return
        trades = await exchange.trades(symbol, since_ms=since)
        if isinstance(trades, Unreachable):
            return
        lists = _Lists(open_orders, closed, trades)
        found = tuple(answer.order for answer in by_id if isinstance(answer, Found))
        wanted = {sought.client_order_id for sought in members}
        listed = (*open_orders.items, *closed.items, *found)
        for order in listed:
            if order.client_order_id in wanted:
                memory.learn(order, (), self._session.venue_ms())
        mystery = await self._unexplained(exchange, trades, {order.exchange_order_id for order in listed}, members[0].record)
        for sought, answer in zip(members, by_id, strict=True):
            # An own trade that no known order explains may be any missing order's.
            if memory.of(sought.client_order_id).order is None and isinstance(answer, NotFound) and lists.complete and not mystery:
                self._count(term, sought, began)

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
        quiet_ms = absence.quiet_from(known.send, term.started_ms, venue)
        if absence.proved(known.evidence, quiet_ms=quiet_ms, first_possible_send_ms=sought.record.created_ms, venue=venue):
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
