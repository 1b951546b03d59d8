"""What a storm's judges have in common: the counts, and how one intent's status must agree with the ledger."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from tests import support

ZERO = Decimal(0)
LIVE = ("NEW", "PARTIALLY_FILLED")
VERDICTS = ("duplicates", "overexposed", "lost fills", "false terminals", "unconverged")
OF_GROUPS = ("oco violations unreported", "unprotected unreported", "bare positions")

Order = Mapping[str, Any]
Object = Mapping[str, Any]


@dataclass
class Verdict:
    counts: Counter[str] = field(default_factory=Counter)
    guilty: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))     # by UID, or by a client order id that nobody explains

    def found(self, kind: str, whose: str, what: str) -> None:
        self.counts[kind] += 1
        self.guilty[whose].append(f"{kind}: {what}")

    @property
    def clean(self) -> bool:
        return not self.counts

    def line(self, intents: int, groups: int, faults: int) -> str:
        zeros = ["  ".join(f"{kind}: {self.counts[kind]}" for kind in kinds) for kinds in (VERDICTS, OF_GROUPS)]
        return f"chaos: intents: {intents}  faults: {faults}  {zeros[0]}  groups: {groups}  {zeros[1]}"


def judge_orders(verdict: Verdict, whose: str, one: Object | None, mine: list[Order]) -> None:
    """One intent, by itself or a member, against the orders of all its attempts. `one`: None if the object is gone."""
    for client_order_id, times in Counter(order["clientOrderId"] for order in mine).items():
        if times > 1:
            verdict.found("duplicates", whose, f"{times} orders with the id {client_order_id}")
    live = [order for order in mine if order["status"] in LIVE]
    if one is None:
        if live:
            verdict.found("false terminals", whose, "the object is gone and its order lives on")
        return
    status, filled = one.get("status") or {}, filled_of(mine)
    if Decimal(status.get("filledQuantity") or 0) != filled:
        verdict.found("lost fills", whose, f"{status.get('filledQuantity')} in status, {filled} in the ledger")
    if finished(one):
        if (word := contradiction(status["state"], filled, Decimal(one["spec"]["quantity"]), live)) is not None:
            verdict.found("false terminals", whose, word)
    elif (reason := unconverged(one)) is not None:
        verdict.found("unconverged", whose, reason)
    elif not (left_to_a_person(one) and not mine) and [order["clientOrderId"] for order in live] != [status.get("clientOrderId")]:
        verdict.found("unconverged", whose, f"{status.get('state')} with {len(live)} live orders")


def exposure(orders: list[Order]) -> Decimal:
    return sum((Decimal(order["origQty"]) if order["status"] in LIVE else Decimal(order["executedQty"]) for order in orders), ZERO)


def filled_of(orders: list[Order]) -> Decimal:
    return sum((Decimal(order["executedQty"]) for order in orders), ZERO)


def condition(one: Object, kind: str) -> tuple[str, str]:
    """Its status and reason; empty while it is of an earlier spec."""
    found = support.condition(one, kind)
    return found.get("status", ""), found.get("reason", "")


def finished(one: Object) -> bool:
    return condition(one, "Finished")[0] == "True"


def unconverged(one: Object) -> str | None:
    """Why an object is not at rest yet, or None: finished, or open as its spec says."""
    status, group = one.get("status") or {}, one["kind"] == "OrderGroup"
    if one["metadata"].get("deletionTimestamp"):
        return "deleted, and still there"
    if finished(one):
        return None
    if left_to_a_person(one):
        return None
    if not group and status.get("state") not in ("Open", "PartiallyFilled"):
        return f"it is {status.get('state')}"
    if status.get("observedGeneration") != one["metadata"]["generation"]:
        return "its last edit is not answered"
    ready, reason = condition(one, "Ready")
    if group and condition(one, "Protected") == ("False", reason) and reason not in ("StopPending", "StopResizing"):
        return None     # a position without its stop is never Ready: it says so, and waits for a person
    # An order in a list of the exchange's stays as it was: the edit is answered, and never carried out.
    return None if ready == "True" or reason == "ModifyNotPermitted" else f"it is open and not Ready: {reason}"


def left_to_a_person(one: Object) -> bool:
    """Whether nothing was sent of a group because the market has passed one of its exits meanwhile: it says so, and somebody must edit it."""
    status = one.get("status") or {}
    states = {member.get("state") for member in status.get("members", [])} if one["kind"] == "OrderGroup" else {status.get("state")}
    return states <= {"Pending", "Submitting"} and condition(one, "Ready") == ("False", "WrongSide") and condition(one, "Stalled")[0] == "True"


def contradiction(state: str, filled: Decimal, target: Decimal, live: list[Order]) -> str | None:
    if live:
        return f"{state} with a live order"
    if state == "Filled" and filled < target:
        return f"Filled with {filled} of {target}"
    if state in ("Denied", "Rejected") and filled:
        return f"{state} with {filled} filled"
    return None
