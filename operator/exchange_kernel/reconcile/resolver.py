"""The only place that asks: one question by id, the passes that prove absence (rule 5), and the last reading before an end counts (rule 11)."""

from __future__ import annotations

from exchange_kernel.api import AttemptStage
from exchange_kernel.core.answers import Found, NotFound, Unreachable
from exchange_kernel.core.order import OrderRecord
from exchange_kernel.exchanges.port import OrderRef
from exchange_kernel.reconcile.session import AccountSession


async def lookup(session: AccountSession, record: OrderRecord, client_order_id: str) -> None:
    """Ask for one order. Not finding it proves nothing here."""
    await session.absence.look(record, ref_of(session, record, client_order_id))


async def prove_absence(session: AccountSession, record: OrderRecord, client_order_id: str) -> None:
    """Take part in one pass of rule 5 over the order's market."""
    await session.absence.take_part(record, ref_of(session, record, client_order_id))


async def settle(session: AccountSession, record: OrderRecord, client_order_id: str) -> bool:
    """Read the order and its trades, so that its quantity is explained and, some time after its end, final.

    A reading settles an end only if it does not show the order open.
    """
    exchange = session.exchange
    if exchange is None:
        return False
    known, began = session.memory.of(client_order_id), session.venue_ms()
    known.looked_up_ms = began
    known.reads_in_vain += 1  # until something new is learned
    recorded, whole = record.attempt_of(client_order_id), True
    for ref in (ref_of(session, record, client_order_id), *(OrderRef(record.spec.symbol, client_order_id, twin) for twin in list(known.others))):
        answer = await exchange.lookup(ref)
        if isinstance(answer, Unreachable):
            return False
        if isinstance(answer, Found):
            session.memory.revive(answer.order, began, exchange.capabilities.lookup_delay_ms)
            session.memory.learn(answer.order, (), session.venue_ms())
            ref = OrderRef(ref.symbol, client_order_id, answer.order.exchange_order_id)
        else:
            session.memory.learn_absent(client_order_id, began)
        # An end that an earlier life of this process recorded is the exchange's word too, though it has forgotten the order by now.
        ended = known.order.status.ended if known.order is not None else recorded is not None and recorded.stage is AttemptStage.ENDED
        if isinstance(answer, NotFound) and not ended:
            return True
        if ref.exchange_order_id is None:
            continue  # a person told its end: there are no trades to ask for
        trades = await exchange.trades(ref.symbol, exchange_order_id=ref.exchange_order_id)
        if isinstance(trades, Unreachable):
            return False
        session.memory.learn_trades(client_order_id, trades.items)
        # A venue that forgets an ended order soon does not contradict the end; one that shows it open does.
        whole = whole and trades.complete and (isinstance(answer, NotFound) or known.order is None or answer.order.status.ended == known.order.status.ended)
    if whole:
        known.settle_read_ms = began
    return True


def ref_of(session: AccountSession, record: OrderRecord, client_order_id: str) -> OrderRef:
    known = session.memory.peek(client_order_id)
    named = known.order if known is not None and known.order is not None else record.attempt_of(client_order_id)
    return OrderRef(record.spec.symbol, client_order_id, named.exchange_order_id if named is not None else None)
