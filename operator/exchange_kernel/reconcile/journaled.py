"""The exchange and the store with the audit journal around them: each mutation has its line before it and, once it is answered, its line after.

Credentials are no part of what passes here. What only reads passes untouched.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, TypeVar, cast

from exchange_kernel.api import OrderIntentStatus
from exchange_kernel.core.answers import AmendOutcome, CancelOutcome, GroupOutcome, Replaced, SubmitOutcome
from exchange_kernel.core.events import told_attempts
from exchange_kernel.core.order import OrderRecord
from exchange_kernel.core.venue import Capabilities, GroupRequest, OrderRequest
from exchange_kernel.exchanges.port import Clearance, Closed, Exchange, OrderRef
from exchange_kernel.reconcile.memory import AccountMemory
from exchange_kernel.reconcile.ports import EndLine, Journal
from exchange_kernel.stores.port import IntentStore, WriteOutcome, Written

Outcome = TypeVar("Outcome")
Facts = Mapping[str, object]


@dataclass(slots=True)
class _Noted:
    """A clearance that remembers the stamp it gave (venue time, ms)."""

    clearance: Clearance
    stamp_ms: int | None = None

    def stamp(self) -> int | Closed:
        answer = self.clearance.stamp()
        self.stamp_ms = answer if isinstance(answer, int) else self.stamp_ms
        return answer

    def check(self, stamp: int) -> Closed | None:
        return self.clearance.check(stamp)


class _JournaledExchange:
    def __init__(self, exchange: Exchange, journal: Journal, account: Facts, memory: AccountMemory, store: IntentStore) -> None:
        self._exchange, self._journal, self._account, self._memory, self._store = exchange, journal, account, memory, store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._exchange, name)

    @property
    def capabilities(self) -> Capabilities:
        return self._exchange.capabilities

    async def submit(self, request: OrderRequest, clearance: Clearance) -> SubmitOutcome:
        facts = {"client_order_id": request.client_order_id, "request": request}
        return await self._tell("submit", facts, clearance, lambda noted: self._exchange.submit(request, noted))

    async def cancel(self, ref: OrderRef, clearance: Clearance) -> CancelOutcome:
        return await self._tell("cancel", _named(ref), clearance, lambda noted: self._exchange.cancel(ref, noted))

    async def amend(self, ref: OrderRef, request: OrderRequest, clearance: Clearance) -> AmendOutcome:
        facts = {**_named(ref), "request": request}
        return await self._tell("amend", facts, clearance, lambda noted: self._exchange.amend(ref, request, noted))

    async def replace(self, ref: OrderRef, request: OrderRequest, clearance: Clearance) -> Replaced:
        facts = {"client_order_id": request.client_order_id, "replaces": _named(ref), "request": request}
        return await self._tell("replace", facts, clearance, lambda noted: self._exchange.replace(ref, request, noted))

    async def submit_group(self, request: GroupRequest, clearance: Clearance) -> GroupOutcome:
        facts = {"client_order_id": request.legs[0].request.client_order_id, "list_id": request.list_id, "request": request}
        return await self._tell("submitGroup", facts, clearance, lambda noted: self._exchange.submit_group(request, noted))

    async def _tell(self, action: str, facts: Facts, clearance: Clearance, ask: Callable[[Clearance], Awaitable[Outcome]]) -> Outcome:
        noted = _Noted(clearance)
        end = self._journal.begin(action, {"account": self._account, **self._intent(str(facts["client_order_id"])), **facts})
        return await _ended(end, ask(noted), lambda: {"stamp_ms": noted.stamp_ms})

    def _intent(self, client_order_id: str) -> Facts:
        """Whose order it is, as far as that is known: an orphan's is not, and a force-deleted intent has no more than its UID."""
        uid = self._memory.uid_of(client_order_id)
        record = self._store.get(uid) if uid is not None else None
        if record is None:
            return {"intent": {"uid": uid} if uid is not None else None, "attempt": None}
        numbers = {attempt.client_order_id: attempt.number for attempt in record.attempts}
        return {"intent": _identity(record), "attempt": numbers.get(client_order_id, max(numbers.values(), default=0) + 1)}


class _JournaledStore:
    def __init__(self, store: IntentStore, journal: Journal) -> None:
        self._store, self._journal = store, journal
        self.get = store.get  # what everybody asks all the time goes no detour

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def write_status(self, record: OrderRecord, status: OrderIntentStatus) -> WriteOutcome:
        told = sorted(told_attempts(status) - told_attempts(record.status))
        if not told:
            return await self._store.write_status(record, status)
        facts = {"attempts": told, "evidence": record.resolve, "user": record.resolved_by}
        return await self._tell("resolve", record, self._store.write_status(record, status), facts)

    async def add_finalizer(self, record: OrderRecord) -> WriteOutcome:
        return await self._tell("addFinalizer", record, self._store.add_finalizer(record))

    async def remove_finalizer(self, record: OrderRecord) -> WriteOutcome:
        return await self._tell("removeFinalizer", record, self._store.remove_finalizer(record))

    async def remove(self, record: OrderRecord) -> WriteOutcome:
        return await self._tell("deleteObject", record, self._store.remove(record))

    async def _tell(self, action: str, record: OrderRecord, write: Awaitable[WriteOutcome], facts: Facts | None = None) -> WriteOutcome:
        account = {
            "namespace": record.namespace,
            "name": record.spec.account_ref.name,
            "fingerprint": record.status.account.fingerprint if record.status.account is not None else None,
        }
        known = {"client_order_id": record.status.client_order_id, "exchange_order_id": record.status.exchange_order_id}
        return await _ended(self._journal.begin(action, {"account": account, "intent": _identity(record), **known, **(facts or {})}), write, dict)


async def _ended(end: EndLine, work: Awaitable[Outcome], late: Callable[[], Facts]) -> Outcome:
    """What `work` answers, with the line after it. Of a work that fails or is cancelled the line says that no outcome is known."""
    try:
        outcome = await work
    except BaseException as error:
        end({**late(), "outcome": {"result": "NotKnown", "reason": type(error).__name__}})
        raise
    end({**late(), "outcome": _said(outcome)})
    return outcome


def _said(outcome: object) -> Facts:
    """An answer as it came: its name, and all it holds."""
    result = {"result": type(outcome).__name__}
    match outcome:
        case Replaced(cancelled=cancelled, submitted=submitted):
            return {**result, "cancelled": _said(cancelled), "submitted": _said(submitted)}
        case Written(record=record):
            return {**result, "resource_version": record.resource_version}
    return {**result, **{field.name: getattr(outcome, field.name) for field in fields(cast(Any, outcome))}}


def _named(ref: OrderRef) -> Facts:
    return {"client_order_id": ref.client_order_id, "exchange_order_id": ref.exchange_order_id, "symbol": ref.symbol}


def _identity(record: OrderRecord) -> Facts:
    return {"namespace": record.namespace, "name": record.name, "uid": record.uid, "generation": record.generation}


def journaled_exchange(exchange: Exchange, journal: Journal, account: Facts, memory: AccountMemory, store: IntentStore) -> Exchange:
    """`account`: its namespace, name and fingerprint. `memory` and `store` tell whose order a client order id is."""
    return cast(Exchange, _JournaledExchange(exchange, journal, account, memory, store))


def journaled_store(store: IntentStore, journal: Journal) -> IntentStore:
    return cast(IntentStore, _JournaledStore(store, journal))
