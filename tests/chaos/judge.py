"""The judge: the exchange's ledger against every status and against the user's notes. Rules 1, 2, 8, 9 and 11 as sums."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from exchange_kernel.core.identity import order_id
from tests.chaos.user import Note

ZERO = Decimal(0)
LIVE = ("NEW", "PARTIALLY_FILLED")
ATTEMPTS = 100          # more than any intent makes in a storm
VERDICTS = ("duplicates", "overexposed", "lost fills", "false terminals", "unconverged")

Order = Mapping[str, Any]


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

    def line(self, intents: int, faults: int) -> str:
        return f"chaos: intents: {intents}  faults: {faults}  " + "  ".join(f"{kind}: {self.counts[kind]}" for kind in VERDICTS)


class Judge:
    def __init__(self, owner: str) -> None:
        self._owner = owner
        self._ids: dict[str, str] = {}
        self._known: set[str] = set()

    def by_intent(self, notes: Iterable[Note], orders: Iterable[Order]) -> tuple[dict[str, list[Order]], list[Order]]:
        """Each UID's orders, and those that no note explains."""
        for note in notes:
            if note.uid not in self._known:
                self._known.add(note.uid)
                self._ids |= {order_id(self._owner, uid=note.uid, attempt=attempt): note.uid for attempt in range(1, ATTEMPTS + 1)}
        found: dict[str, list[Order]] = defaultdict(list)
        strangers: list[Order] = []
        for order in orders:
            uid = self._ids.get(order["clientOrderId"])
            (found[uid] if uid is not None else strangers).append(order)
        return found, strangers

    def overexposed(self, notes: Iterable[Note], orders: Iterable[Order]) -> dict[str, str]:
        """Of one moment, by UID. Asked during the storm too: an excess that was cancelled again is an excess."""
        notes = list(notes)
        found, _ = self.by_intent(notes, orders)
        excess = {}
        for note in notes:
            exposure = sum((exposed(order) for order in found[note.uid]), ZERO)
            if exposure > note.largest:
                excess[note.uid] = f"{exposure} filled and live of at most {note.largest}"
        return excess

    def judge(self, notes: list[Note], objects: Iterable[dict[str, Any]], orders: list[Order], seen_before: Mapping[str, str]) -> Verdict:
        verdict = Verdict()
        found, strangers = self.by_intent(notes, orders)
        present = {one["metadata"]["uid"]: one for one in objects}
        for order in strangers:
            verdict.found("duplicates", order["clientOrderId"], "an order that belongs to no attempt of any intent")
        for uid, what in {**seen_before, **self.overexposed(notes, orders)}.items():
            verdict.found("overexposed", uid, what)
        for note in notes:
            mine = found[note.uid]
            for client_order_id, times in Counter(order["clientOrderId"] for order in mine).items():
                if times > 1:
                    verdict.found("duplicates", note.uid, f"{times} orders with the id {client_order_id}")
            if note.uid in present:
                self._present(verdict, note.uid, present[note.uid], mine)
            elif any(order["status"] in LIVE for order in mine):
                verdict.found("false terminals", note.uid, "the object is gone and its order lives on")
            if note.uid not in present and not note.deleted:
                verdict.found("false terminals", note.uid, "the object is gone and nobody deleted it")
        return verdict

    def _present(self, verdict: Verdict, uid: str, one: dict[str, Any], mine: list[Order]) -> None:
        status, filled = one.get("status") or {}, sum((Decimal(order["executedQty"]) for order in mine), ZERO)
        live = [order for order in mine if order["status"] in LIVE]
        if Decimal(status.get("filledQuantity") or 0) != filled:
            verdict.found("lost fills", uid, f"{status.get('filledQuantity')} in status, {filled} in the ledger")
        if finished(one):
            if (word := contradiction(status["state"], filled, Decimal(one["spec"]["quantity"]), live)) is not None:
                verdict.found("false terminals", uid, word)
        elif (reason := unconverged(one)) is not None:
            verdict.found("unconverged", uid, reason)
        elif [order["clientOrderId"] for order in live] != [status.get("clientOrderId")]:
            verdict.found("unconverged", uid, f"{status.get('state')} with {len(live)} live orders")


def exposed(order: Order) -> Decimal:
    return Decimal(order["origQty"]) if order["status"] in LIVE else Decimal(order["executedQty"])


def condition(one: Mapping[str, Any], kind: str) -> str:
    return next((str(each["status"]) for each in (one.get("status") or {}).get("conditions", []) if each["type"] == kind), "")


def finished(one: Mapping[str, Any]) -> bool:
    return condition(one, "Finished") == "True"


def unconverged(one: Mapping[str, Any]) -> str | None:
    """Why an object is not at rest yet, or None: finished, or open as its spec says."""
    status = one.get("status") or {}
    if one["metadata"].get("deletionTimestamp"):
        return "deleted, and still there"
    if finished(one):
        return None
    if status.get("state") not in ("Open", "PartiallyFilled"):
        return f"it is {status.get('state')}"
    if status.get("observedGeneration") != one["metadata"]["generation"]:
        return "its last edit is not answered"
    return None if condition(one, "Ready") == "True" else "it is open and not Ready"


def contradiction(state: str, filled: Decimal, target: Decimal, live: list[Order]) -> str | None:
    if live:
        return f"{state} with a live order"
    if state == "Filled" and filled < target:
        return f"Filled with {filled} of {target}"
    if state in ("Denied", "Rejected") and filled:
        return f"{state} with {filled} filled"
    return None
