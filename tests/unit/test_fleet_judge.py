"""The fleet's judge: it acquits what is right, and finds each thing that can be wrong."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from tests.fleet.judge import Notes, Verdict, judge


class Case:
    """One strategy with an order that filled in two parts; a second has one of its own."""

    def __init__(self) -> None:
        self.intents = [an_intent("a-1", "a"), an_intent("b-1", "b")]
        self.ledger: dict[str, Any] = {"orders": [an_order("a-1"), an_order("b-1")], "trades": [a_trade(name, number) for name in ("a-1", "b-1") for number in (1, 2)]}
        self.orders = [{"kind": "rested", "intent": "a-1"}]
        self.events = a_life("a-1")
        self.done: dict[str, Any] | None = {"lists": 1, "problems": []}

    def judged(self) -> Verdict:
        other = Notes("b", [{"kind": "rested", "intent": "b-1"}], a_life("b-1"), {"lists": 1, "problems": []})
        return judge([Notes("a", self.orders, self.events, self.done), other], self.intents, self.ledger)

    def insert(self, at: int, *events: dict[str, Any]) -> None:
        self.events[at:at] = events
        self.number()

    def number(self) -> None:
        for number, event in enumerate(self.events, 1):
            event["sequence"] = number


def an_intent(name: str, strategy: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "labels": {"exchange-kernel.io/strategy": strategy}}, "status": {"state": "Filled", "clientOrderId": f"c-{name}", "filledQuantity": "0.002"}}


def an_order(name: str, **changes: Any) -> dict[str, Any]:
    return {"clientOrderId": f"c-{name}", "status": "FILLED", "executedQty": "0.00200000", **changes}


def a_trade(name: str, number: int) -> dict[str, Any]:
    return {"clientOrderId": f"c-{name}", "id": f"{name}/{number}"}


def an_event(kind: str, name: str, number: int = 0, **more: Any) -> dict[str, Any]:
    return {"event_type": kind, "intent_id": name, "sequence": number, "seen_time": "now", "after_gap": False, **more}


def a_fill(name: str, number: int) -> dict[str, Any]:
    return {"quantity": "0.001", "filled_quantity": f"0.00{number}", "fill": {"trade_id": f"{name}/{number}"}}


def a_life(name: str) -> list[dict[str, Any]]:
    return [an_event("Accepted", name, 1), an_event("PartiallyFilled", name, 2, **a_fill(name, 1)), an_event("Filled", name, 3, **a_fill(name, 2)), an_event("Finished", name, 4)]


def told_again(case: Case) -> None:
    case.events.append({**case.events[2], "seen_time": "later"})


def resynced(case: Case) -> None:
    for event in case.events[2:]:
        event["after_gap"] = True
    case.insert(4, an_event("Resynced", "a-1", after_gap=True))


def explained_later(case: Case) -> None:
    case.insert(3, an_event("FillExplained", "a-1", fill={"trade_id": "a-1/2"}))


def refused(case: Case) -> None:
    case.intents[0]["status"] |= {"state": "Rejected", "filledQuantity": "0"}
    case.orders = [{"kind": "refused", "intent": "a-1", "error": "insufficient balance", "unknown": False}]
    case.ledger["orders"], case.ledger["trades"] = case.ledger["orders"][1:], case.ledger["trades"][2:]
    case.events = [an_event("Rejected", "a-1", 1), an_event("Finished", "a-1", 2)]


def never_made(case: Case) -> None:
    case.orders.insert(0, {"kind": "rested", "intent": "a-0", "error": "not found out", "unknown": True})


def not_judged(case: Case) -> None:
    case.orders.insert(0, {"kind": "rested", "intent": "a-0", "error": "The API server can't judge orders", "unknown": False})


@pytest.mark.parametrize(
    "what", [lambda case: None, told_again, resynced, explained_later, refused, never_made, not_judged],
    ids=["a plain life", "told again", "after a gap", "explained later", "refused", "an unknown outcome: none", "a no of the API server"])
def test_what_is_right_is_acquitted(what: Callable[[Case], None]):
    case = Case()
    what(case)
    verdict = case.judged()
    assert verdict.clean, verdict.told


BREAKAGES: dict[str, tuple[str, Callable[[Case], Any]]] = {
    "another strategy's event": ("foreign", lambda case: case.events.append(an_event("Accepted", "b-1", 1))),
    "an event is left out": ("out of order", lambda case: case.events.pop(0)),
    "two changed places": ("out of order", lambda case: case.events.insert(1, case.events.pop(2))),
    "told again and not the same": ("out of order", lambda case: case.events.append({**case.events[2], "quantity": "0.002"})),
    "an event after the end": ("out of order", lambda case: case.insert(4, an_event("Accepted", "a-1"))),
    "a fill is not told": ("missing fills", lambda case: (case.events.pop(1), case.number())),
    "a fill counts twice": ("missing fills", lambda case: case.insert(2, copy.deepcopy(case.events[1]))),
    "a trade has no event": ("missing fills", lambda case: case.ledger["trades"].append(a_trade("a-1", 3))),
    "no end": ("missing ends", lambda case: case.events.pop()),
    "two ends": ("missing ends", lambda case: case.insert(2, an_event("Canceled", "a-1"))),
    "nothing is told": ("missing ends", lambda case: case.events.clear()),
    "a gap with no Resynced": ("resyncs unmarked", lambda case: case.events[3].update(after_gap=True)),
    "a Resynced with no gap": ("resyncs unmarked", lambda case: case.insert(4, an_event("Resynced", "a-1"))),
    "an order that is placed is not there": ("lost", lambda case: case.orders.append({"kind": "bought", "intent": "a-2"})),
    "its order never came to the exchange": ("lost", lambda case: case.ledger["orders"].pop(0)),
    "a strategy did not end": ("lost", lambda case: setattr(case, "done", None)),
    "two orders of one intent": ("doubled", lambda case: case.ledger["orders"].append(an_order("a-1"))),
    "an order of no intent": ("doubled", lambda case: case.ledger["orders"].append(an_order("nobody"))),
    "an intent that no call told of": ("doubled", lambda case: case.intents.append(an_intent("a-2", "a"))),
    "the status has less": ("contradictions", lambda case: case.intents[0]["status"].update(filledQuantity="0.001")),
    "its order lives": ("contradictions", lambda case: case.ledger["orders"][0].update(status="NEW")),
    "it ended as it should not": ("contradictions", lambda case: case.orders[0].update(kind="canceled")),
    "an error that says no, and it is there": ("unclear errors", lambda case: case.orders[0].update(error="can't judge", unknown=False)),
    "an error that says neither": ("unclear errors", lambda case: case.orders.append({"kind": "bought", "intent": None, "error": "Not permitted", "unknown": False})),
}


@pytest.mark.parametrize("name", BREAKAGES)
def test_what_is_wrong_is_found(name: str):
    fault, breakage = BREAKAGES[name]
    case = Case()
    breakage(case)
    assert case.judged().counts[fault] > 0
