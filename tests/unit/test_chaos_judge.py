"""The judge of `make chaos` convicts every crime it is there for, and nobody else."""

from __future__ import annotations

from decimal import Decimal

import pytest

from exchange_kernel.core.identity import order_id, owner_prefix
from tests.chaos.judge import Judge
from tests.chaos.user import Note

OWNER = owner_prefix("chaos")
FIRST = order_id(OWNER, uid="u", attempt=1)


def an_order(status: str, executed: str, client_order_id: str = FIRST) -> dict:
    return {"clientOrderId": client_order_id, "status": status, "origQty": "2", "executedQty": executed}


def an_intent(state: str, filled: str, *, finished: bool) -> dict:
    conditions = [{"type": "Finished", "status": str(finished)}, {"type": "Ready", "status": "True"}]
    status = {"state": state, "filledQuantity": filled, "clientOrderId": FIRST, "observedGeneration": 1, "conditions": conditions}
    return {"metadata": {"uid": "u", "name": "n", "generation": 1}, "spec": {"quantity": "2"}, "status": status}


@pytest.mark.parametrize(("reason", "objects", "orders", "deleted", "guilty"), [
    ("filled in both", [an_intent("Filled", "2", finished=True)], [an_order("FILLED", "2")], False, {}),
    ("open in both", [an_intent("PartiallyFilled", "1", finished=False)], [an_order("PARTIALLY_FILLED", "1")], False, {}),
    ("deleted, and cancelled first", [], [an_order("CANCELED", "1")], True, {}),
    ("one id, two orders", [an_intent("Filled", "4", finished=True)], [an_order("FILLED", "2")] * 2, False, {"duplicates": 1, "overexposed": 1}),
    ("an id of nobody's", [], [an_order("CANCELED", "0", "x" * 32)], True, {"duplicates": 1}),
    ("a fill that status lacks", [an_intent("Canceled", "0", finished=True)], [an_order("CANCELED", "1")], False, {"lost fills": 1}),
    ("finished with a live order", [an_intent("Canceled", "0", finished=True)], [an_order("NEW", "0")], False, {"false terminals": 1}),
    ("filled, but not wholly", [an_intent("Filled", "1", finished=True)], [an_order("CANCELED", "1")], False, {"false terminals": 1}),
    ("gone with a live order", [], [an_order("NEW", "0")], True, {"false terminals": 1}),
    ("gone, and nobody deleted it", [], [], False, {"false terminals": 1}),
    ("open without an order", [an_intent("Open", "0", finished=False)], [], False, {"unconverged": 1}),
    ("still unknown", [an_intent("Unknown", "0", finished=False)], [], False, {"unconverged": 1}),
], ids=lambda value: value if isinstance(value, str) else "")
def test_the_verdict(reason, objects, orders, deleted, guilty):
    note = Note("n", "u", "BTC/USDT", "Limit", Decimal(2), deleted)
    assert Judge(OWNER).judge([note], objects, orders, {}).counts == guilty, reason
