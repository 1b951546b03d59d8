"""The only place that asks: one question by id, the passes that prove absence (rule 5), and the last reading before an end counts (rule 11)."""

from __future__ import annotations

from dataclasses import replace

import structlog

from exchange_kernel.core import absence
from exchange_kernel.core.answers import Found, NotFound, Unreachable
from exchange_kernel.core.order import OrderRecord
from exchange_kernel.core.sending import SendRecord, SendStage
from exchange_kernel.exchanges.port import OrderRef
from exchange_kernel.reconcile.session import AccountSession

log = structlog.get_logger(__name__)

SKEW_MS = 60_000  # how much earlier than the object's creation its order is looked for: clocks differ


async def lookup(session: AccountSession, record: OrderRecord, client_order_id: str) -> bool:
    """Ask for one order by id; True if there was a readable answer. Not finding it proves nothing here."""
    exchange = session.exchange
    if exchange is None:
        return False
    known = session.memory.of(client_order_id)
    known.looked_up_ms = session.venue_ms()
    answer = await exchange.lookup(_ref(session, record, client_order_id))
    if isinstance(answer, Found):
        session.memory.learn(answer.order, (), session.venue_ms())
    return not isinstance(answer, Unreachable)


async def prove_absence(session: AccountSession, record: OrderRecord, client_order_id: str) -> bool:
    """One pass: open → by id → closed → trades, each complete. A pass that was not whole counts for nothing."""
    exchange = session.exchange
    if exchange is None or session.term is None:
        return False
    known, symbol, began = session.memory.of(client_order_id), record.spec.symbol, session.venue_ms()
    known.looked_up_ms = began
    open_orders = await exchange.open_orders(symbol)
    if isinstance(open_orders, Unreachable):
        return False
    by_id = await exchange.lookup(_ref(session, record, client_order_id))
    if isinstance(by_id, Unreachable):
        return False
    since = record.created_ms - SKEW_MS
    closed = await exchange.orders(symbol, since)
    if isinstance(closed, Unreachable):
        return False
    trades = await exchange.trades(symbol, since_ms=since)
    if isinstance(trades, Unreachable):
        return False
    listed = (*open_orders.items, *closed.items, *((by_id.order,) if isinstance(by_id, Found) else ()))
    for order in listed:
        if order.client_order_id == client_order_id:
            session.memory.learn(order, (), session.venue_ms())
    if known.order is not None or not isinstance(by_id, NotFound) or not (open_orders.complete and closed.complete and trades.complete):
        return True
    explained = {order.exchange_order_id for order in listed}
    if any(trade.exchange_order_id not in explained and not session.memory.knows_exchange_id(trade.exchange_order_id) for trade in trades.items):
        return True  # an own trade that no known order explains may be this order's
    known.evidence = known.evidence.with_pass(began)
    venue = exchange.capabilities
    quiet_ms = absence.quiet_from(known.send, session.term.started_ms, venue)
    if absence.proved(known.evidence, quiet_ms=quiet_ms, first_possible_send_ms=record.created_ms, venue=venue):
        base = known.send or SendRecord(client_order_id, SendStage.ABSENT)
        known.send = replace(base, stage=SendStage.ABSENT)
        known.evidence = absence.Evidence()
        log.info("proved absent", client_order_id=client_order_id, intent=f"{record.namespace}/{record.name}")
    return True


async def settle(session: AccountSession, record: OrderRecord, client_order_id: str) -> bool:
    """Read the order and its trades, so that its quantity is explained and, some time after its end, final."""
    exchange = session.exchange
    if exchange is None:
        return False
    known, began = session.memory.of(client_order_id), session.venue_ms()
    known.looked_up_ms = began
    whole = True
    for ref in (_ref(session, record, client_order_id), *(OrderRef(record.spec.symbol, client_order_id, twin) for twin in list(known.others))):
        answer = await exchange.lookup(ref)
        if not isinstance(answer, Found):
            return not isinstance(answer, Unreachable)
        session.memory.learn(answer.order, (), session.venue_ms())
        trades = await exchange.trades(record.spec.symbol, exchange_order_id=answer.order.exchange_order_id)
        if isinstance(trades, Unreachable):
            return False
        session.memory.learn_trades(client_order_id, trades.items)
        whole = whole and trades.complete
    if whole:
        known.settle_read_ms = began
    return True


def _ref(session: AccountSession, record: OrderRecord, client_order_id: str) -> OrderRef:
    known = session.memory.peek(client_order_id)
    recorded = next((attempt.exchange_order_id for attempt in record.attempts if attempt.client_order_id == client_order_id), None)
    return OrderRef(record.spec.symbol, client_order_id, known.order.exchange_order_id if known is not None and known.order is not None else recorded)
