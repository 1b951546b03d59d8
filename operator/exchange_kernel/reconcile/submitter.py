"""The only place that sends: submits and cancels, each with a send record made before the adapter is called and a gate at the wire (rules 3, 4)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from exchange_kernel.core.answers import (
    Accepted,
    AmendOutcome,
    CancelOutcome,
    Duplicate,
    GroupAccepted,
    GroupOutcome,
    NotSent,
    Refused,
    Replaced,
    SubmitOutcome,
    TimeRefused,
    Unknown,
    UnknownOrder,
)
from exchange_kernel.core.facts import OF_THE_MARKET
from exchange_kernel.core.order import OrderRecord
from exchange_kernel.core.sending import SendRecord, SendStage, Terms
from exchange_kernel.core.venue import GroupRequest, OrderRequest
from exchange_kernel.exchanges.port import Closed, OrderRef
from exchange_kernel.telemetry import metrics

if TYPE_CHECKING:
    from exchange_kernel.reconcile.session import AccountSession, Term

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class SendClearance:
    """Permission for one request that sends: the term it was decided in, its Lease, and nothing of intent or account having changed since the decision."""

    session: AccountSession
    term: Term
    sends: Sequence[SendRecord]  # one, or those of a list's orders
    unchanged: Callable[[], Closed | None]

    def stamp(self) -> int | Closed:
        stamp = self.session.stamp(self.term)
        if not isinstance(stamp, Closed):
            for send in self.sends:
                send.last_stamp_ms = max(send.last_stamp_ms or 0, stamp)
        return stamp

    def check(self, stamp: int) -> Closed | None:
        closed = self.session.still_ours(self.term) or self.session.switch.closed() or self.unchanged()
        for _ in self.sends if closed is None else ():
            self.session.risk.sends.sent(self.session.clock.monotonic())
        return closed


@dataclass(slots=True)
class CancelClearance:
    """Permission for one cancel: the Lease only. No suspension, mode or limit holds a cancel back (rule 9)."""

    session: AccountSession
    term: Term

    def stamp(self) -> int | Closed:
        return self.session.stamp(self.term)

    def check(self, stamp: int) -> Closed | None:
        return self.session.still_ours(self.term)


async def submit(session: AccountSession, client_order_id: str, request: OrderRequest, unchanged: Callable[[], Closed | None]) -> None:
    """Send one attempt and remember the outcome, also if whoever waits for it is cancelled meanwhile."""
    term, exchange = session.term, session.exchange
    if term is None or exchange is None:
        return
    known = session.memory.of(client_order_id)
    send = known.send = SendRecord.of(
        SendStage.IN_FLIGHT, request, tried_ms=session.venue_ms(), refusals=known.send.refusals if known.send is not None else 0
    )
    known.asked.add(send.terms)

    async def send_and_remember() -> None:
        began = session.clock.monotonic()
        try:
            outcome = await exchange.submit(request, SendClearance(session, term, (send,), unchanged))
        except BaseException as error:
            # An adapter that raises has a bug; whether bytes left is not known.
            log.error("submit failed in the adapter", client_order_id=client_order_id, exc_info=error)
            outcome = Unknown("The adapter failed.")
        _remember_send(session, send, outcome)
        metrics.SUBMITS.labels(account=session.label, outcome=type(outcome).__name__).inc()
        metrics.SUBMIT_SECONDS.labels(account=session.label).observe(session.clock.monotonic() - began)
        log.debug("submitted", client_order_id=client_order_id, outcome=type(outcome).__name__, symbol=request.symbol)

    await asyncio.shield(session.track(send_and_remember()))


def _remember_send(session: AccountSession, send: SendRecord, outcome: SubmitOutcome | AmendOutcome) -> None:
    session.counters.sends += not isinstance(outcome, NotSent | TimeRefused)
    match outcome:
        case Accepted(order=order, trades=trades):
            send.stage = SendStage.ACCEPTED
            session.memory.learn(order, trades, session.venue_ms())
        case Refused(code=code, reason=reason, kind=kind):
            send.stage, send.code, send.reason, send.refusals = SendStage.REFUSED, code, reason, send.refusals + 1
            send.refusal, send.refused_ms = kind, session.venue_ms()
            if kind in OF_THE_MARKET:
                session.market_readings.ask(refused=True)
            send.version = session.version_of(send.client_order_id)
        case Duplicate(code=code):
            send.stage, send.code = SendStage.EXISTS, code
        case NotSent(reason=reason):
            send.stage, send.reason = SendStage.NOT_SENT, reason
            session.counters.unsent += 1
        case TimeRefused(reason=reason):
            send.stage, send.reason = SendStage.NOT_SENT, reason
            session.end_term(f"The exchange refused the time of a request: {reason}")
        case Unknown(reason=reason, retry_after_s=retry_after_s):
            session.stay_away(retry_after_s)
            send.stage, send.reason = SendStage.UNKNOWN, reason
            session.counters.failed_sends += 1
        case UnknownOrder():
            send.stage = SendStage.UNKNOWN  # an amend of an order that may have ended: what it is by then, is read


async def submit_group(session: AccountSession, request: GroupRequest, unchanged: Callable[[], Closed | None]) -> None:
    """Send several orders as one list: each has its own send record, and all have the one outcome."""
    term, exchange = session.term, session.exchange
    if term is None or exchange is None:
        return
    sends = []
    for leg in request.legs:
        known = session.memory.of(leg.request.client_order_id)
        known.send = SendRecord.of(SendStage.IN_FLIGHT, leg.request, tried_ms=session.venue_ms())
        known.asked.add(known.send.terms)
        sends.append(known.send)

    async def send_and_remember() -> None:
        outcome: GroupOutcome = Unknown("The adapter failed.")
        try:
            outcome = await exchange.submit_group(request, SendClearance(session, term, sends, unchanged))
        except BaseException as error:
            log.error("a list failed in the adapter", list_id=request.list_id, exc_info=error)
        if isinstance(outcome, GroupAccepted):
            for send, order in zip(sends, outcome.orders, strict=True):
                trades = tuple(trade for trade in outcome.trades if trade.order_key == order.key)
                _remember_send(session, send, Accepted(order, trades))
        else:
            for send in sends:
                _remember_send(session, send, outcome)
        metrics.SUBMITS.labels(account=session.label, outcome=type(outcome).__name__).inc()
        log.debug("list submitted", list_id=request.list_id, outcome=type(outcome).__name__, symbol=request.legs[0].request.symbol)

    await asyncio.shield(session.track(send_and_remember()))


async def replace(session: AccountSession, record: OrderRecord, old: str, request: OrderRequest, unchanged: Callable[[], Closed | None]) -> None:
    """Cancel one attempt and send the next in one request: each half is remembered as if it had been asked alone."""
    term, exchange = session.term, session.exchange
    if term is None or exchange is None:
        return
    known = session.memory.of(request.client_order_id)
    send = known.send = SendRecord.of(SendStage.IN_FLIGHT, request, tried_ms=session.venue_ms())
    known.asked.add(send.terms)
    session.memory.cancelling(old, in_flight=True, asked_ms=session.venue_ms())

    async def replace_and_remember() -> None:
        try:
            outcome = await exchange.replace(_ref(session, record, old), request, SendClearance(session, term, (send,), unchanged))
        except BaseException as error:
            log.error("replace failed in the adapter", client_order_id=request.client_order_id, exc_info=error)
            outcome = Replaced(Unknown("The adapter failed."), Unknown("The adapter failed."))
        _remember_cancel(session, old, outcome.cancelled)
        _remember_send(session, send, outcome.submitted)
        names = f"{type(outcome.cancelled).__name__}, {type(outcome.submitted).__name__}"
        metrics.SUBMITS.labels(account=session.label, outcome=type(outcome.submitted).__name__).inc()
        log.debug("replaced", client_order_id=request.client_order_id, replaces=old, outcome=names)

    await asyncio.shield(session.track(replace_and_remember()))


async def amend(session: AccountSession, record: OrderRecord, client_order_id: str, request: OrderRequest, unchanged: Callable[[], Closed | None]) -> None:
    """Ask the exchange to change a live order in place. What came of it is what the order then is, by its answer or by a later reading."""
    term, exchange = session.term, session.exchange
    if term is None or exchange is None:
        return
    known = session.memory.of(client_order_id)
    known.asked.add(Terms.of(request))
    send = known.amend = SendRecord.of(SendStage.IN_FLIGHT, request, tried_ms=session.venue_ms())
    ref = _ref(session, record, client_order_id)

    async def amend_and_remember() -> None:
        outcome: AmendOutcome = Unknown("The adapter failed.")
        try:
            outcome = await exchange.amend(ref, request, SendClearance(session, term, (send,), unchanged))
        except BaseException as error:
            log.error("amend failed in the adapter", client_order_id=client_order_id, exc_info=error)
        _remember_send(session, send, outcome)
        metrics.AMENDS.labels(account=session.label, outcome=type(outcome).__name__).inc()
        log.debug("amend asked", client_order_id=client_order_id, outcome=type(outcome).__name__)

    await asyncio.shield(session.track(amend_and_remember()))


async def cancel(session: AccountSession, record: OrderRecord, client_order_id: str) -> None:
    """Ask the exchange to cancel one attempt. Only its word, in the answer or a later reading, makes it Canceled."""
    if (asked := begin_cancel(session, record, client_order_id)) is not None:
        await asyncio.shield(asked)


def begin_cancel(session: AccountSession, record: OrderRecord, client_order_id: str) -> asyncio.Task[None] | None:
    """As `cancel`, for who does not wait; None if the account is not ours any more."""
    term, exchange = session.term, session.exchange
    if term is None or exchange is None:
        return None
    ref = _ref(session, record, client_order_id)
    tries = session.memory.of(client_order_id).cancel.tries + 1
    session.memory.cancelling(client_order_id, in_flight=True, asked_ms=session.venue_ms(), tries=tries)

    async def cancel_and_remember() -> None:
        _remember_cancel(session, client_order_id, await cancel_ref(session, term, ref))

    return session.track(cancel_and_remember())


async def cancel_ref(session: AccountSession, term: Term, ref: OrderRef) -> CancelOutcome:
    """Ask the exchange to cancel one order, through the gate. What becomes of the answer is the caller's: `cancel` is for those who have an intent."""
    outcome: CancelOutcome = Unknown("The adapter failed.")
    try:
        outcome = await term.exchange.cancel(ref, CancelClearance(session, term))
    except BaseException as error:
        log.error("cancel failed in the adapter", client_order_id=ref.client_order_id, exc_info=error)
    metrics.CANCELS.labels(account=session.label, outcome=type(outcome).__name__).inc()
    log.debug("cancel asked", client_order_id=ref.client_order_id, outcome=type(outcome).__name__)
    return outcome


def _remember_cancel(session: AccountSession, client_order_id: str, outcome: CancelOutcome) -> None:
    match outcome:
        case Accepted(order=order, trades=trades):
            session.memory.cancelling(client_order_id, in_flight=False, unknown=False, refusal=None)
            session.memory.learn(order, trades, session.venue_ms())
        case Refused(reason=reason):
            session.memory.cancelling(client_order_id, in_flight=False, unknown=True, refusal=reason)
        case TimeRefused(reason=reason):
            session.memory.cancelling(client_order_id, in_flight=False)
            session.end_term(f"The exchange refused the time of a request: {reason}")
        case NotSent():
            session.memory.cancelling(client_order_id, in_flight=False)
        case Unknown(retry_after_s=retry_after_s):
            session.stay_away(retry_after_s)
            session.memory.cancelling(client_order_id, in_flight=False, unknown=True)
        case UnknownOrder():
            session.memory.cancelling(client_order_id, in_flight=False, unknown=True)


def _ref(session: AccountSession, record: OrderRecord, client_order_id: str) -> OrderRef:
    """How to name an attempt's order to its venue: the one that lives, where there are several under its id."""
    known = session.memory.of(client_order_id)
    live = next((order.exchange_order_id for order in (known.order, *known.others.values()) if order is not None and not order.status.ended), None)
    recorded = record.attempt_of(client_order_id)
    return OrderRef(record.spec.symbol, client_order_id, live or (recorded.exchange_order_id if recorded is not None else None))
