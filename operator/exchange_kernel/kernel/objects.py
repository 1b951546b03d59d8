"""Between the strategy's nouns and the API server's objects: an OrderIntent's manifest from an order, and a kernel's answers from an object."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from exchange_kernel.api import GROUP, VERSION, Condition, ConditionStatus, OrderIntentSpec, OrderIntentStatus, reconcile_asked, spec_patch
from exchange_kernel.kernel.errors import ValidationError
from exchange_kernel.kernel.models import Fee, Fill, OrderIntent, OrderState
from exchange_kernel.schema import StandardOrder

FINALIZER: Final = "exchange-kernel.io/order"
STRATEGY_LABEL: Final = "exchange-kernel.io/strategy"

# The bounds of spec.metadata, which the API server keeps too: met here, the error can name the key.
MAX_NOTES = 32
MAX_NOTE_NAME = 64
MAX_NOTE_TEXT = 1024

#: Reasons in an intent's conditions that mean: the exchange can't be reached for this order now.
NOT_REACHABLE = frozenset({"AccountNotFound", "AccountNotReady", "AnotherAccount", "NotSent"})

ORDER_FIELDS = frozenset(StandardOrder.model_fields) - {"symbol_id"} | {"symbol"}

Body = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class IntentObject:
    """An OrderIntent as the API server has it."""

    uid: str
    name: str
    version: int  # of the object; numbers, and growing, on an API server backed by etcd
    generation: int
    created: datetime
    strategy: str | None
    deleting: bool
    spec: OrderIntentSpec
    status: OrderIntentStatus
    asked: str | None = None  # the token with which somebody asks for a reading
    terms: Body = field(default_factory=dict, repr=False, compare=False)  # the spec as it was sent

    @property
    def intent_id(self) -> str:
        return self.name

    @property
    def finished(self) -> bool:
        return self.status.completion_time is not None

    @property
    def answered(self) -> bool:
        """The status is about this spec, not an earlier one."""
        return self.finished or self.status.observed_generation >= self.generation


def reconciled(token: str, asked: str | None, done: str | None) -> bool:
    """Whether a reading that `token` asked for is `done`, by an object that is no older than that: for itself, or for who asked later."""
    return done is not None and done in (token, asked)


def intent_object(raw: Body, known: IntentObject | None = None) -> IntentObject:
    """Raises pydantic's ValidationError (a ValueError) if it does not fit this version's schema. `known`: an earlier sight, read already."""
    metadata, terms = raw["metadata"], raw["spec"]
    return IntentObject(
        uid=metadata["uid"],
        name=metadata["name"],
        version=int(metadata["resourceVersion"]),
        generation=metadata.get("generation", 0),
        created=datetime.fromisoformat(metadata["creationTimestamp"]),
        strategy=(metadata.get("labels") or {}).get(STRATEGY_LABEL),
        deleting="deletionTimestamp" in metadata,
        spec=known.spec if known is not None and known.terms == terms else OrderIntentSpec.model_validate(terms),
        status=OrderIntentStatus.model_validate(raw.get("status") or {}),
        asked=reconcile_asked(metadata),
        terms=terms,
    )


def manifest(name: str, order: StandardOrder, notes: Mapping[str, Any] | None, *, account: str, strategy: str | None) -> Body:
    """The object that wants this order. Raises ValidationError if the notes can't be kept."""
    metadata: Body = {"name": name, "finalizers": [FINALIZER]}
    if strategy is not None:
        metadata["labels"] = {STRATEGY_LABEL: strategy}
    spec: Body = {"accountRef": {"name": account}, **order.document()}
    if notes:
        spec["metadata"] = as_text(notes)
    return {"apiVersion": f"{GROUP}/{VERSION}", "kind": "OrderIntent", "metadata": metadata, "spec": spec}


def changed_spec(raw: Body, order: StandardOrder) -> Body | None:
    """The patch that makes an intent the other order; None if it is that already. What is not the order's own stays, and so does an idempotency key."""
    old = OrderIntentSpec.model_validate(raw["spec"])
    terms = {"symbol" if name == "symbol_id" else name: getattr(order, name) for name in StandardOrder.model_fields}
    new = old.model_copy(update={**terms, "idempotency_key": order.idempotency_key or old.idempotency_key})
    patch = spec_patch(old, new)
    return {"spec": patch} if patch else None


def as_text(notes: Mapping[str, Any]) -> dict[str, str]:
    problems = [f"metadata has {len(notes)} entries and at most {MAX_NOTES} are kept: put some together"] if len(notes) > MAX_NOTES else []
    texts: dict[str, str] = {}
    for name, value in notes.items():
        if not isinstance(name, str) or not 1 <= len(name) <= MAX_NOTE_NAME:
            problems.append(f"metadata has the key {name!r:.80}: a key is text of 1 to {MAX_NOTE_NAME} characters")
            continue
        try:
            texts[name] = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        except (TypeError, ValueError):
            problems.append(f"metadata {name!r} is not JSON: use text, numbers, booleans, None, and lists and dicts of them; write a Decimal as text")
            continue
        if len(texts[name]) > MAX_NOTE_TEXT:
            problems.append(f"metadata {name!r} has {len(texts[name])} characters as JSON and at most {MAX_NOTE_TEXT} are kept: shorten it")
    if problems:
        raise ValidationError(problems)
    return texts


def from_text(texts: Mapping[str, str]) -> dict[str, Any]:
    notes: dict[str, Any] = {}
    for name, text in texts.items():
        try:
            notes[name] = json.loads(text)
        except ValueError:
            notes[name] = text  # written by hand
    return notes


def order_intent(intent: IntentObject, *, exchange_id: str, age_seconds: float) -> OrderIntent:
    spec = intent.spec
    wanted = spec.model_dump(by_alias=False, exclude_none=True, include=set(ORDER_FIELDS))
    return OrderIntent(
        intent_id=intent.name,
        exchange_id=exchange_id,
        account=spec.account_ref.name,
        strategy=intent.strategy,
        order=StandardOrder.model_validate(wanted),
        desired_state=spec.desired_state,
        suspended=spec.suspend,
        metadata=from_text(spec.metadata or {}),
        create_time=intent.created,
        age_seconds=age_seconds,
    )


def order_state(intent: IntentObject, *, sequence: int, age_seconds: float) -> OrderState:
    status = intent.status
    conditions = {condition.type: condition for condition in status.conditions}
    why = conditions.get("Ready")
    return OrderState(
        intent_id=intent.name,
        symbol_id=intent.spec.symbol,
        state=status.state,
        operation=status.operation,
        finished=intent.finished,
        succeeded=holds(conditions.get("Succeeded")) if intent.finished else None,
        stalled=holds(conditions.get("Stalled")) is True,
        reachable=_reachable(conditions),
        reason=why.reason if why is not None else "",
        message=why.message if why is not None else "",
        client_order_id=status.client_order_id,
        exchange_order_id=status.exchange_order_id,
        filled_quantity=status.filled_quantity or Decimal(0),
        filled_quote_quantity=status.filled_quote_quantity or Decimal(0),
        remaining_quantity=status.remaining_quantity,
        average_price=status.average_price,
        fees=fees(status),
        fills=fills(status),
        submit_time=status.submit_time,
        acknowledge_time=status.acknowledge_time,
        trigger_time=status.trigger_time,
        completion_time=status.completion_time,
        current=intent.answered,
        sequence=sequence,
        age_seconds=age_seconds,
    )


def fills(status: OrderIntentStatus) -> tuple[Fill, ...]:
    return tuple(
        Fill(
            trade_id=entry.trade_id,
            quantity=entry.quantity,
            price=entry.price,
            fee=Fee(asset_id=entry.fee.asset, amount=entry.fee.amount) if entry.fee is not None else None,
            time=entry.time,
            inferred=entry.inferred,
        )
        for entry in status.fills
    )


def fees(status: OrderIntentStatus) -> tuple[Fee, ...]:
    return tuple(Fee(asset_id=total.asset, amount=total.amount) for total in status.fees)


def holds(condition: Condition | None) -> bool | None:
    """Whether a condition is so; None: not known."""
    if condition is None or condition.status is ConditionStatus.UNKNOWN:
        return None
    return condition.status is ConditionStatus.TRUE


def _reachable(conditions: Mapping[str, Condition]) -> bool | None:
    if holds(conditions.get("Synced")):
        return True
    ready = conditions.get("Ready")
    return False if ready is not None and ready.reason in NOT_REACHABLE else None
