"""reconcile(intent): read it, look at what is seen of it, decide, act, write. Level-triggered: any number of extra calls changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import replace
from enum import Enum
from typing import Any

import structlog

from exchange_kernel.api import DeletionPolicy, OrderIntentStatus, OrderState
from exchange_kernel.core import actions, groups
from exchange_kernel.core.actions import Decision, Waiting
from exchange_kernel.core.checks.ending import after_the_end, without_account
from exchange_kernel.core.claims import filled_through
from exchange_kernel.core.deadline import submit_deadline_passed
from exchange_kernel.core.decide import decide
from exchange_kernel.core.events import of_order
from exchange_kernel.core.facts import Facts
from exchange_kernel.core.lifecycle import legal
from exchange_kernel.core.order import Membership, OrderRecord
from exchange_kernel.core.sending import CancelRecord, SendRecord, SendStage
from exchange_kernel.core.status import of_generation, project, unaccounted
from exchange_kernel.core.venue import OrderRequest
from exchange_kernel.exchanges.port import Closed
from exchange_kernel.reconcile import resolver, submitter
from exchange_kernel.reconcile.asked_reads import AskedReads
from exchange_kernel.reconcile.memory import Memory
from exchange_kernel.reconcile.ports import Events, NoEvents
from exchange_kernel.reconcile.session import AccountSession
from exchange_kernel.reconcile.write_pace import WritePace
from exchange_kernel.stores.port import Conflict, Gone, IntentStore, Unavailable, WriteOutcome, Written
from exchange_kernel.telemetry import metrics

log = structlog.get_logger(__name__)

MAX_STEPS = 24  # an order's longest way through one call is about eight; more is a bug, and must not spin
NEVER_CANCELLED = CancelRecord()
READ_PATIENCE_S = 1.0  # after which an order whose reading is under way is decided on without it
WRITE_RETRY_S = (0.2, 0.5, 1.0, 2.0, 5.0)


class Step(Enum):
    """What follows a step of one reconcile call."""

    NEXT = "Next"  # done: look and decide on
    AGAIN = "Again"  # somebody else wrote, or the object went: look and decide afresh
    REST = "Rest"  # nothing more to do now; something will wake us


class OrderIntentReconciler:
    """All intents of this process."""

    def __init__(
        self,
        *,
        store: IntentStore,
        memory: Memory,
        session_of: Callable[[OrderRecord], Awaitable[AccountSession | Waiting | None]],
        wake_after: Callable[[str, float], None],
        wall_ms: Callable[[], int],
        events: Events | None = None,
        membership: Callable[[OrderRecord, AccountSession], Membership | None] = lambda record, session: None,
        undone: Callable[[OrderRecord, AccountSession], bool] = lambda record, session: False,
        written: Callable[[OrderRecord], None] = lambda record: None,
    ) -> None:
        """`membership`: what its group wants of an intent; `undone`: whether that is known already to be no order any more, for what another filled.

        `written` is told each record that was written, for whoever else goes by it.
        """
        self._store, self._memory = store, memory
        self._membership, self._undone, self._tell_written = membership, undone, written
        self._session_of, self._wake_after, self._wall_ms = session_of, wake_after, wall_ms
        self._events = events or NoEvents()
        self._write_failures: dict[str, int] = {}
        self._unknown: set[str] = set()
        self._asked = AskedReads()
        self._pace = WritePace("OrderIntent", wall_ms)
        self._own_versions: dict[str, str] = {}  # the version of our last write of each

    async def reconcile(self, uid: str) -> None:
        for _ in range(MAX_STEPS):
            record = self._record_of(uid)
            if record is None:
                return
            session = await self._session_of(record)
            if isinstance(session, Waiting):
                if await self._go_on_alone(record, session) is Step.REST:
                    return
                continue
            if session is None:
                return  # not known yet: its account wakes us
            if (cancelling := self.cancel_undone(record, session)) is not None:
                await asyncio.shield(cancelling)  # every decision is made after it
                continue
            seen = session.seen(record, self._membership(record, session) if record.spec.group_ref is not None else None)
            if seen is None:
                return  # the account is not ours, or not yet: its session wakes us
            look_in = self._asked.look(record, seen, session)
            facts = Facts(record, seen, session.now())
            if await self._perform(decide(facts), facts, session) is Step.REST:
                if look_in is not None:
                    self._wake_after(uid, look_in)
                return
        log.error("an order did not come to rest", intent=uid)
        metrics.RESTLESS_RECONCILES.inc()
        self._wake_after(uid, 5.0)

    def cancel_undone(self, record: OrderRecord, session: AccountSession) -> asyncio.Task[None] | None:
        """Begin the cancel that another's fill asks for, by what was reckoned before it; None where there is more to think of, or nothing to do."""
        if not self._undone(record, session) or (known := self._plainly_working(record, session)) is None:
            return None
        return submitter.begin_cancel(session, record, known)

    def _plainly_working(self, record: OrderRecord, session: AccountSession) -> str | None:
        """Return the client order id of an order that was last seen working and that nothing is being done to; else None.

        A list that lacked it, or readings that fail, hold no cancel back (9): one that finds nothing makes `decide` look for it.
        """
        if record.finished or not record.attempts or record.status.operation is not None:
            return None
        client_order_id = record.attempts[-1].client_order_id
        known, term, account = session.memory.peek(client_order_id), session.ours, record.status.account
        if known is None or term is None or account is None or account.fingerprint != term.fingerprint:
            return None
        settled = not any(request is not None and request.open_ended for request in (known.send, known.amend))
        working = known.order is not None and not known.order.status.ended and not known.others
        return client_order_id if settled and working and known.cancel == NEVER_CANCELLED else None

    async def _perform(self, decision: Decision, facts: Facts, session: AccountSession) -> Step:
        """Carry out one action, or write what there is to say and rest."""
        record, seen = facts.order, facts.seen
        match decision.action:
            case None:
                if decision.markets:
                    session.market_readings.ask(record.uid)
                if decision.holdings:
                    session.holdings.ask(record.uid)
                step = await self._write(facts, decision)
                if step is not Step.NEXT or decision.verdict is not None:
                    return step  # a written end still lets the object go
                self._sleep(record.uid, decision)
                return Step.REST
            case actions.Submit(number=number, request=request):
                await submitter.submit(session, seen.ids[number], request, self.unchanged(record, session, request, first=facts.submits_first))
                if facts.closing is not None:
                    _count_refusal(session, seen.ids[number])
            case actions.Replace(number=number, request=request):
                await submitter.replace(session, record, seen.ids[number], request, self.unchanged(record, session, request, first=False, changes=number))
            case actions.Amend(number=number, request=request):
                await submitter.amend(session, record, seen.ids[number], request, self.unchanged(record, session, request, first=False, changes=number))
            case actions.WriteAmend(number=number, request=request):
                if (step := await self._write(facts, decision, ahead=True)) is not Step.NEXT:
                    return step
                if self._store.get(record.uid) is not None:
                    session.memory.of(seen.ids[number]).amend = SendRecord.of(SendStage.PREPARED, request)
            case actions.Cancel(number=number):
                await submitter.cancel(session, record, seen.ids[number])
            case actions.WriteAhead(number=number, request=request):
                if (step := await self._write(facts, decision, ahead=True)) is not Step.NEXT:
                    return step
                current = self._store.get(record.uid)
                if current is not None and current.attempt_of(seen.ids[number]) is not None:
                    known = session.memory.of(seen.ids[number])
                    refusals = known.send.refusals if known.send is not None else 0
                    known.send = SendRecord.of(SendStage.PREPARED, request, refusals=refusals)
            case actions.Lookup(number=number):
                if await self._say_unknown(facts, decision):
                    return self._read(resolver.lookup, record, seen.ids[number], session)
            case actions.ProveAbsence(number=number):
                if await self._say_unknown(facts, decision):
                    return self._read(resolver.prove_absence, record, seen.ids[number], session)
            case actions.Settle(number=number):
                return self._read(resolver.settle, record, seen.ids[number], session)
            case actions.AddFinalizer():
                return self._written(record, await self._store.add_finalizer(record))
            case actions.Release() | actions.Delete():
                return await self._let_go(record, decision.action)
        return Step.NEXT

    async def _let_go(self, record: OrderRecord, action: actions.Release | actions.Delete) -> Step:
        if record.gone:
            self._forget(record)
            return Step.REST
        if isinstance(action, actions.Delete):
            return self._written(record, await self._store.remove(record))
        step = self._written(record, await self._store.remove_finalizer(record))
        if step is Step.NEXT:
            self._forget(record)
        return step

    async def _go_on_alone(self, record: OrderRecord, waiting: Waiting) -> Step:
        """What can be done for an intent whose account can't be used: let go of what is finished or given up, and say why nothing else is done."""
        sent = self._memory.sent_for(record.uid)
        decision = after_the_end(record, self._wall_ms()) if record.finished else without_account(record, waiting, sent=sent)
        if isinstance(decision.action, actions.Release | actions.Delete):
            return await self._let_go(record, decision.action)
        if decision.waiting is not None and not record.gone:
            status = unaccounted(record, decision.waiting, self._wall_ms())
            outcome = await self._write_in_time(record, status, decision.waiting) if record.status != status else None
            if outcome is not None:
                self._written(record, outcome)
        self._sleep(record.uid, decision)
        return Step.REST

    def _read(
        self, read: Callable[[AccountSession, OrderRecord, str], Coroutine[Any, Any, object]], record: OrderRecord,
        client_order_id: str, session: AccountSession,
    ) -> Step:
        """Begin a reading beside this call. Its end wakes the order, which goes on without it if it takes long."""
        session.readings.begin(client_order_id, lambda: read(session, record, client_order_id), lambda: session.wake(record.uid))
        self._wake_after(record.uid, READ_PATIENCE_S)
        return Step.REST

    async def _say_unknown(self, facts: Facts, decision: Decision) -> bool:
        """A question may take as long as a silent exchange does: what is not known is written before it is asked. False if that changed the record."""
        record = facts.order
        if record.status.state is OrderState.UNKNOWN or record.gone:
            return True
        step = await self._write(facts, decision)
        # A write that is not to be had now must not hold up finding out.
        return step is Step.REST or self._store.get(record.uid) is record

    def unchanged(
        self, decided_on: OrderRecord, session: AccountSession, request: OrderRequest, *, first: bool, changes: int | None = None, alongside: int = 0
    ) -> Callable[[], Closed | None]:
        """The gate (rule 4): deletion, desired state, suspension, trading mode, deadline and risk as they are at the wire, not as they were decided on.

        `changes`: the attempt whose order is changed by the request; `alongside`: so many other orders are in the same request.
        """
        mode = session.trading_mode

        def check() -> Closed | None:
            current = self._store.get(decided_on.uid)
            if current is None:
                return Closed("The intent is gone.")
            if current.generation != decided_on.generation or current.deleting != decided_on.deleting or current.spec != decided_on.spec:
                return Closed("The intent changed meanwhile.")
            if first and submit_deadline_passed(current, self._wall_ms()):
                return Closed("The submit deadline passed meanwhile.")
            if session.trading_mode is not mode:
                return Closed("The account's trading mode changed meanwhile.")
            group = self._membership(current, session) if current.spec.group_ref is not None else None
            if current.spec.group_ref is not None and ((first and group is None) or (group is not None and (group.unwanted or group.held is not None))):
                return Closed("Its group does not want it sent any more.")
            seen = session.seen(current, group) if session.risk.limits() != () else None
            if seen is not None:
                # Stamped, they count as open already.
                others = replace(seen.exposure, sent_last_minute=seen.exposure.sent_last_minute + alongside)
                if (refusal := Facts(current, replace(seen, exposure=others), session.now()).risk(request, changes=changes)) is not None:
                    return Closed(refusal.message)
            return None

        return check

    # ── Writing ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _write(self, facts: Facts, decision: Decision, *, ahead: bool = False) -> Step:
        """Write the status that follows from the decision, if it differs.

        What is written `ahead` of a request is always written: an earlier write of it may have lost its answer, and this one's says that it stands.
        """
        record = facts.order
        if record.finished:
            if record.status.observed_generation < record.generation and not record.deleting and not record.gone:
                return self._written(record, await self._store.write_status(record, of_generation(record.status, record.generation)))
            return Step.NEXT if decision.verdict is None else Step.REST
        if decision.waiting is groups.NOT_RECORDED and record.status.observed_generation < 0:
            return Step.NEXT  # for a moment only: the group is about to write it down, and says itself what keeps it
        status = project(facts, decision)
        if (token := self._asked.answer(record)) is not None:
            status = status.model_copy(update={"reconciled_token": token})
        if record.gone:
            if decision.verdict is None:
                return Step.NEXT
            self._forget(record)
            return Step.REST
        if record.status == status and not ahead:
            return Step.NEXT
        if not legal(record.status.state, status.state):
            metrics.ILLEGAL_TRANSITIONS.inc()
            log.error("a state was written that no step of ours leads from", intent=record.uid, was=str(record.status.state), now=str(status.state))
        # What a send or an end waits for is made of a new fact by its nature: it is written once.
        fact = None if decision.verdict is not None or isinstance(decision.action, actions.WriteAhead | actions.WriteAmend) else _learned(facts)
        outcome = await self._write_in_time(record, status, fact)
        if outcome is None:
            return Step.NEXT  # it waits, and nothing else does
        if isinstance(outcome, Written):
            self._leave_summed_up(facts, outcome.record)
        return self._written(record, outcome)

    async def _write_in_time(self, record: OrderRecord, status: OrderIntentStatus, fact: object | None) -> WriteOutcome | None:
        """Write it; None if it has to wait (rule 17), and is looked at again then. `fact`: what it is made of; None: never waits."""
        uid = record.uid
        if fact is not None:
            if self._own_versions.get(uid) != record.resource_version:
                self._pace.renew(uid)
            fact = (record.generation, record.deleting, record.resolve, record.reconcile, fact)
            if self._pace.wait_s(uid, fact) > 0:
                return None
        outcome = await self._store.write_status(record, status)
        if isinstance(outcome, Written):
            self._own_versions[uid] = outcome.record.resource_version
            self._pace.written(uid, fact)
        return outcome

    def _leave_summed_up(self, facts: Facts, written: OrderRecord) -> None:
        """11: what fills of an attempt after it was summed up with its fills is the account's to tell: here is what was told of it until then."""
        listed = {attempt.number for attempt in written.attempts}
        for number in facts.numbers:
            if number not in listed and number <= filled_through(written):
                self._memory.leave(written.uid, facts.seen.ids[number], facts.filled(number).quantity)

    def _written(self, record: OrderRecord, outcome: WriteOutcome) -> Step:
        """Note what became of a write. The facts stay in memory whatever happens: a failed write is derived again, an order never sent again."""
        match outcome:
            case Written(record=written):
                for event in of_order(record.status, written.status):
                    self._events.order_event(written, event)
                self._write_failures.pop(record.uid, None)
                self._tell_written(written)
                metrics.STATUS_WRITES.inc()
                self._count_unknown(record.uid)
                return Step.NEXT
            case Conflict() | Gone():
                metrics.STATUS_CONFLICTS.inc()
                return Step.AGAIN
            case Unavailable(reason=reason):
                failures = self._write_failures[record.uid] = self._write_failures.get(record.uid, 0) + 1
                self._wake_after(record.uid, WRITE_RETRY_S[min(failures, len(WRITE_RETRY_S)) - 1])
                log.warning("status not written", intent=f"{record.namespace}/{record.name}", reason=reason)
                return Step.REST

    # ── Coming and going ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _sleep(self, uid: str, decision: Decision) -> None:
        again_s = decision.again_ms / 1000 if decision.again_ms is not None else None
        if (held_s := self._pace.held_s(uid)) is not None:
            again_s = min(held_s, again_s) if again_s is not None else held_s
        if again_s is not None:
            self._wake_after(uid, again_s)

    def take_over(self, record: OrderRecord) -> None:
        """11: Go on in memory with an intent that is gone from the store, as a deleted one, if something of it may be at the exchange.

        `record`: the last that the store knew, whether this process reconciled it before or not.
        """
        sent = self._memory.sent_for(record.uid)
        left_there = record.spec.deletion_policy is DeletionPolicy.ORPHAN or not record.attempts
        if record.finished or (left_there and not sent):
            self._forget(record)
        else:
            self._memory.gone[record.uid] = replace(record, gone=True, deleting=True, finalizer=False)

    def _record_of(self, uid: str) -> OrderRecord | None:
        record = self._store.get(uid)
        if record is None:
            return self._memory.gone.get(uid)
        self._memory.gone.pop(uid, None)
        return record

    def _forget(self, record: OrderRecord) -> None:
        self._memory.forget_intent(record)
        self._asked.forget(record.uid)
        self._pace.forget(record.uid)
        self._own_versions.pop(record.uid, None)

    def _count_unknown(self, uid: str) -> None:
        current = self._store.get(uid)
        (self._unknown.add if current is not None and current.status.state is OrderState.UNKNOWN else self._unknown.discard)(uid)
        metrics.UNKNOWN_ORDERS.set(len(self._unknown))


def _count_refusal(session: AccountSession, client_order_id: str) -> None:
    """16: of an exit of an open position."""
    known = session.memory.peek(client_order_id)
    if known is not None and known.send is not None and known.send.stage is SendStage.REFUSED:
        metrics.REFUSED_EXITS.labels(account=session.label, kind=str(known.send.refusal or "Other")).inc()


def _learned(facts: Facts) -> object:
    """What is known of an order but for the times at which it was asked for: two equal ones give no reason to write twice."""
    seen = facts.seen
    refusals = {number: cancel.refusal for number, cancel in seen.cancels.items()}
    return (seen.account.trading_mode, seen.account.ready, seen.market, seen.sends, seen.orders, seen.duplicates, seen.trades, seen.amends, seen.busted,
            refusals, seen.missing, seen.group, seen.holder)
