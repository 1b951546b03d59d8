"""From a strategy's order to the object that wants it, and back."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from exchange_kernel.core.actions import Waiting
from exchange_kernel.kernel import ValidationError
from exchange_kernel.kernel.models import State
from exchange_kernel.kernel.objects import intent_object, manifest, order_intent, order_state
from exchange_kernel.schema import OrderType, Side, StandardOrder
from tests.unit.kernel.builders import a_fill, a_status, an_intent, an_object

ORDER = StandardOrder(symbol_id="BTC/USDT", side=Side.BUY, type=OrderType.LIMIT, quantity="0.5", price="42000", time_in_force="GTD", expire_time=datetime(2027, 1, 1, tzinfo=UTC),
                      idempotency_key="k-1", submit_deadline_time=datetime(2026, 12, 1, tzinfo=UTC), exchange_parameters={"a": "b"})
NOTES = {"level": 3, "text": "naïve", "nested": {"a": [1, None, True, 2.5]}, "none": None}


def through_the_api(body):
    """What a server makes of it: metadata of its own, and the rest as it was."""
    metadata = {**body["metadata"], "uid": "u", "resourceVersion": "7", "generation": 1, "creationTimestamp": "2026-01-31T12:00:00Z"}
    return intent_object({**body, "metadata": metadata})


def test_an_order_and_its_notes_come_back_as_they_were_given():
    intent = order_intent(through_the_api(manifest("grid-1", ORDER, NOTES, account="main", strategy="grid")), exchange_id="exchange", age_seconds=1.5)
    assert (intent.order, intent.metadata) == (ORDER, NOTES)
    assert (intent.intent_id, intent.exchange_id, intent.account, intent.strategy, intent.age_seconds) == ("grid-1", "exchange", "main", "grid", 1.5)


def test_the_object_is_kept_from_the_first_moment_and_says_whose_it_is():
    metadata = manifest("grid-1", ORDER, None, account="main", strategy="grid")["metadata"]
    assert metadata == {"name": "grid-1", "finalizers": ["exchange-kernel.io/order"], "labels": {"exchange-kernel.io/strategy": "grid"}}
    assert "labels" not in manifest("grid-1", ORDER, None, account="main", strategy=None)["metadata"]


def test_the_idempotency_key_is_passed_through():
    assert manifest("grid-1", ORDER, None, account="main", strategy=None)["spec"]["idempotencyKey"] == "k-1"


@pytest.mark.parametrize(("notes", "says"), [
    ({str(number): number for number in range(33)}, "metadata has 33 entries and at most 32 are kept"),
    ({"": 1}, "metadata has the key ''"),
    ({"a" * 65: 1}, "a key is text of 1 to 64 characters"),
    ({7: 1}, "metadata has the key 7"),
    ({"big": "x" * 1023}, "metadata 'big' has 1025 characters as JSON and at most 1024 are kept"),
    ({"price": Decimal("1.5")}, "metadata 'price' is not JSON"),
    ({"when": datetime(2026, 1, 1, tzinfo=UTC)}, "metadata 'when' is not JSON"),
    ({"ratio": float("nan")}, "metadata 'ratio' is not JSON"),
    ({"ok": 1, "first": {1, 2}, "second": object()}, "metadata 'first' is not JSON"),
])
def test_notes_that_cannot_be_kept_are_refused_by_name(notes, says):
    with pytest.raises(ValidationError) as refused:
        manifest("grid-1", ORDER, notes, account="main", strategy=None)
    assert says in str(refused.value)


def test_notes_at_the_bound_are_kept():
    assert len(manifest("grid-1", ORDER, {"a" * 64: "x" * 1022}, account="main", strategy=None)["spec"]["metadata"]["a" * 64]) == 1024


def test_notes_written_by_hand_are_read_as_text():
    intent = intent_object(an_object(metadata={"by": "hand", "level": "3"}))
    assert order_intent(intent, exchange_id="main", age_seconds=0).metadata == {"by": "hand", "level": 3}


@pytest.mark.parametrize(("reason", "status", "want"), [
    ("nothing written yet", None, {"state": State.PENDING, "finished": False, "succeeded": None, "reachable": None, "current": False, "filled_quantity": Decimal(0)}),
    ("working", a_status(State.OPEN), {"state": State.OPEN, "reachable": True, "current": True, "exchange_order_id": "x1"}),
    ("the account is not there", a_status(State.PENDING, waiting=Waiting("AccountNotFound", "No such account.", person=True)),
     {"reachable": False, "stalled": True, "reason": "AccountNotFound", "message": "No such account."}),
    ("nothing is known", a_status(State.UNKNOWN, waiting=Waiting("OutcomeUnknown", "It is being found out.")), {"reachable": None, "message": "It is being found out.", "stalled": False}),
    ("filled", a_status(State.FILLED, a_fill("1", "10"), end="Filled", message="Filled."), {"finished": True, "succeeded": True, "filled_quantity": Decimal(10), "reason": "Filled"}),
    ("rejected", a_status(State.REJECTED, end="RejectedByExchange", message="No funds."), {"finished": True, "succeeded": False, "message": "No funds."}),
    ("an older spec is answered", a_status(State.OPEN, generation=0), {"current": False}),
], ids=lambda value: value if isinstance(value, str) else "")
def test_what_a_status_says_of_an_order(reason, status, want):
    state = order_state(an_intent(status), sequence=4, age_seconds=0.5)
    assert {name: getattr(state, name) for name in want} == want
    assert (state.sequence, state.age_seconds) == (4, 0.5)
