"""reconcile(intent): read it, look at what is seen of it, decide, act, write. Level-triggered: any number of extra calls changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import structlog

from exchange_kernel.api import OrderState
from exchange_kernel.core import actions
from exchange_kernel.core.actions import Decision, Waiting
from exchange_kernel.core.decide import decide
from exchange_kernel.core.order import Now, OrderRecord, Seen, SendRecord, SendStage
from exchange_kernel.core.status import project, unaccounted
from exchange_kernel.exchanges.port import Closed
from exchange_kernel.reconcile import resolver, submitter
from exchange_kernel.reconcile.memory import Memory
from exchange_kernel.reconcile.session import AccountSession
from exchange_kernel.stores.port import Conflict, Gone, IntentStore, Unavailable, WriteOutcome, Written
from exchange_kernel.telemetry import metrics

log = structlog.get_logger(__name__)

MAX_STEPS = 24  # an order's longest way through one call is about eight; more is a bug, and must not spin
WRITE_RETRY_S = (0.2, 0.5, 1.0, 2.0, 5.0)


class OrderIntentReconciler:
    """All intents of this process."""

    def __init__(
        self,
        *,
        store: IntentStore,
        memory: Memory,
        session_of: Callable[[OrderRecord], AccountSession | Waiting],
        wake_after: Callable[[str, float], None],
        wall_ms: Callable[[], int],
    ) -> None:
        self._store, self._memory = store, memory
        self._session_of, self._wake_after, self._wall_ms = session_of, wake_after, wall_ms
        self._last: dict[str, OrderRecord] = {}  # the newest record of each unfinished intent: what a force-delete leaves us (rule 11)
        self._write_failures: dict[str, int] = {}

    async def reconcile(self, uid: str) -> None:
        for _ in range(MAX_STEPS):
            record = self._store.get(uid) or self._ghost(uid)
            if record is None:
                return None
            session = self._session_of(record)
            if isinstance(session, Waiting):
                return await self._write_waiting(record, session)
            seen = session.seen(record)
            if seen is None:
                return None  # the account is not ours, or not yet: its session wakes us
            self._remember(record)
            decision = decide(record, seen, session.now())
            if decision.action is None:
                if await self._write(record, seen, decision, session.now()):
                    if decision.verdict is not None:
                        continue  # a written end lets the object go
                    return self._sleep(uid, decision)
                continue
            if not await self._perform(decision, record, seen, session):
                return None
        log.error("an order did not come to rest", intent=uid)
        self._wake_after(uid, 5.0)
        return None

    async def _perform(self, decision: Decision, record: OrderRecord, seen: Seen, session: AccountSession) -> bool:
        """Carry out one action; False if the call should end here and come back later."""
        match decision.action:
            case actions.Submit(number=number, request=request):
                await submitter.submit(session, seen.ids[number], request, self._unchanged(record, session))
            case actions.Cancel(number=number):
                await submitter.cancel(session, record, seen.ids[number])
            case actions.WriteAhead(number=number, request=request):
                if not await self._write(record, seen, decision, session.now()):
                    return self._store.get(record.uid) is not None and not self._write_failures.get(record.uid)
                self._memory.of(seen.ids[number]).send = SendRecord(
                    seen.ids[number],
                    SendStage.PREPARED,
                    quantity=request.quantity,
                    price=request.price,
                )
            case actions.Lookup(number=number):
                if record.status.state is not OrderState.UNKNOWN and not await self._write(record, seen, decision, session.now()):
                    return True
                await resolver.lookup(session, record, seen.ids[number])
            case actions.ProveAbsence(number=number):
                await resolver.prove_absence(session, record, seen.ids[number])
            case actions.Settle(number=number):
                await resolver.settle(session, record, seen.ids[number])
            case actions.AddFinalizer():
                return self._written(record, await self._store.add_finalizer(record))
            case actions.Release():
                return self._written(record, await self._store.remove_finalizer(record)) and not self._done(record, seen)
        return True

    def _unchanged(self, decided_on: OrderRecord, session: AccountSession) -> Callable[[], Closed | None]:
        """The gate (rule 4): deletion, desired state, suspension, trading mode and deadline as they are at the wire, not as they were decided on."""
        mode = session.trading_mode

        def check() -> Closed | None:
            current = self._store.get(decided_on.uid)
            if current is None:
                return Closed("The intent is gone.")
            if current.generation != decided_on.generation or current.deleting != decided_on.deleting or current.spec != decided_on.spec:
                return Closed("The intent changed meanwhile.")
            if session.trading_mode is not mode:
                return Closed("The account's trading mode changed meanwhile.")
            return None

        return check

    # ── Writing ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _write(self, record: OrderRecord, seen: Seen, decision: Decision, now: Now) -> bool:
        """Write the status that follows from the decision, if it differs. True if what is stored is what was meant."""
        if record.finished:
            return True
        status = project(record, seen, decision, now)
        if record.gone:
            if decision.verdict is not None:
                self._forget(record, seen)
            return decision.verdict is None
        if record.status == status:
            return True
        return self._written(record, await self._store.write_status(record, status))

    def _written(self, record: OrderRecord, outcome: WriteOutcome) -> bool:
        """Note what became of a write. The facts stay in memory whatever happens: a failed write is derived again, an order never sent again."""
        match outcome:
            case Written():
                self._write_failures.pop(record.uid, None)
                metrics.STATUS_WRITES.inc()
                return True
            case Conflict() | Gone():
                metrics.STATUS_CONFLICTS.inc()
                return False
            case Unavailable(reason=reason):
                failures = self._write_failures[record.uid] = self._write_failures.get(record.uid, 0) + 1
                self._wake_after(record.uid, WRITE_RETRY_S[min(failures, len(WRITE_RETRY_S)) - 1])
                log.warning("status not written", intent=f"{record.namespace}/{record.name}", reason=reason)
                return False

    async def _write_waiting(self, record: OrderRecord, waiting: Waiting) -> None:
        if record.finished or record.gone:
            return
        status = unaccounted(record, waiting, self._wall_ms())
        if record.status != status:
            self._written(record, await self._store.write_status(record, status))

    # ── Coming and going ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _sleep(self, uid: str, decision: Decision) -> None:
        if decision.again_ms is not None:
            self._wake_after(uid, decision.again_ms / 1000)

    def _remember(self, record: OrderRecord) -> None:
        if not record.finished:
            self._last[record.uid] = record

    def _ghost(self, uid: str) -> OrderRecord | None:
        """11: an intent that was force-deleted with something unfinished at the exchange goes on in memory, as a deleted one."""
        last = self._last.get(uid)
        if last is None:
            return None
        if not last.attempts and not self._memory.sent_for(uid):
            self._last.pop(uid)
            return None
        return replace(last, gone=True, deleting=True, finalizer=False)

    def _done(self, record: OrderRecord, seen: Seen) -> bool:
        self._forget(record, seen)
        return True

    def _forget(self, record: OrderRecord, seen: Seen) -> None:
        self._last.pop(record.uid, None)
        for client_order_id in seen.ids.values():
            self._memory.forget(client_order_id)
