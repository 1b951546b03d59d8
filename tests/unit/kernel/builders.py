"""Nouns for the kernel's tables: statuses as the operator writes them, and objects as the API server sends them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from exchange_kernel.api import AccountRef, Attempt, AttemptStage, FillEntry, OrderIntentSpec, OrderIntentStatus, OrderState
from exchange_kernel.core.actions import Decision, Verdict, Waiting
from exchange_kernel.core.conditions import Outlook, conditions
from exchange_kernel.kernel.objects import IntentObject

T0 = datetime(2026, 1, 31, 12, tzinfo=UTC)


def an_intent(status: OrderIntentStatus | None = None, **changes: Any) -> IntentObject:
    values: dict[str, Any] = {
        "uid": "uid-1", "name": "grid-1", "version": 100, "generation": 1, "created": T0, "strategy": "grid", "deleting": False,
        "spec": OrderIntentSpec(account_ref=AccountRef(name="main"), symbol="BTC/USDT", side="Buy", type="Limit", quantity="10", price="100"),
        "status": status or OrderIntentStatus(),
    }
    return IntentObject(**values | changes)


def a_fill(trade_id: str, quantity: str, *, price: str = "100", at: int = 0, inferred: bool = False) -> FillEntry:
    return FillEntry(trade_id=trade_id, quantity=quantity, price=price, time=T0 + timedelta(seconds=at), inferred=inferred)


def a_status(
    state: OrderState = OrderState.OPEN, *fills: FillEntry, end: str | None = None, message: str = "", waiting: Waiting | None = None, generation: int = 1, **changes: Any
) -> OrderIntentStatus:
    """As the operator would write it. `end`: the reason of a settled end."""
    total = sum((fill.quantity for fill in fills), Decimal(0))
    placed = state not in (OrderState.PENDING, OrderState.SUBMITTING, OrderState.UNKNOWN, OrderState.DENIED, OrderState.REJECTED)
    decision = Decision(verdict=Verdict(state, end, message) if end is not None else None, waiting=waiting)
    outlook = Outlook(state=state, settled=end is not None, decision=decision, matches=True, generation=generation)
    values: dict[str, Any] = {
        "observed_generation": generation, "state": state, "filled_quantity": total, "filled_quote_quantity": total * 100,
        "average_price": "100" if total else None, "fills": list(fills), "exchange_order_id": "x1" if placed else None, "client_order_id": "c1" if placed else None,
        "completion_time": T0 if end is not None else None, "conditions": conditions(outlook, (), T0),
    }
    return OrderIntentStatus(**values | changes)


def a_refusal(reason: str) -> list[Attempt]:
    return [Attempt(number=1, client_order_id="c1", stage=AttemptStage.REFUSED, reason=reason)]


def an_object(name: str = "grid-1", *, version: int = 100, uid: str = "uid-1", status: OrderIntentStatus | None = None, strategy: str | None = "grid", account: str = "main", **spec: Any) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": name, "namespace": "default", "uid": uid, "resourceVersion": str(version), "generation": 1, "creationTimestamp": "2026-01-31T12:00:00Z"}
    if strategy is not None:
        metadata["labels"] = {"exchange-kernel.io/strategy": strategy}
    values = {"accountRef": {"name": account}, "symbol": "BTC/USDT", "side": "Buy", "type": "Limit", "quantity": "10", "price": "100", **spec}
    return {"metadata": metadata, "spec": values, **({"status": status.document()} if status is not None else {})}
