"""The judge: the exchange's ledger against every status and against the user's notes. Rules 1, 2, 8, 9 and 11 as sums."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from exchange_kernel.core.identity import member_order_id, order_id
from tests.chaos import group_judge
from tests.chaos.user import Notes
from tests.chaos.verdict import Object, Order, Verdict, exposure, judge_orders

ATTEMPTS = 100          # more than any intent makes in a storm


class Judge:
    def __init__(self, owner: str) -> None:
        self._owner = owner
        self._ids: dict[str, tuple[str, str]] = {}
        self._known: set[str] = set()

    def by_intent(self, notes: Notes, orders: Iterable[Order]) -> tuple[dict[tuple[str, str], list[Order]], list[Order]]:
        """The orders of each intent, by its UID and "", and of each member, by its group's UID and its name; and those that no note explains."""
        attempts = range(1, ATTEMPTS + 1)
        for note in notes.intents:
            if note.uid not in self._known:
                self._known.add(note.uid)
                self._ids |= {order_id(self._owner, uid=note.uid, attempt=attempt): (note.uid, "") for attempt in attempts}
        for group in notes.groups:
            if group.uid not in self._known:
                self._known.add(group.uid)
                for name in group.everything:
                    self._ids |= {member_order_id(self._owner, group_uid=group.uid, member=name, attempt=attempt): (group.uid, name) for attempt in attempts}
        found: dict[tuple[str, str], list[Order]] = defaultdict(list)
        strangers: list[Order] = []
        for order in orders:
            whose = self._ids.get(order["clientOrderId"])
            (found[whose] if whose is not None else strangers).append(order)
        return found, strangers

    def overexposed(self, notes: Notes, orders: Iterable[Order]) -> dict[str, str]:
        """Of one moment, by UID. Asked during the storm too: an excess that was cancelled again is an excess."""
        found, _ = self.by_intent(notes, orders)
        excess = {}
        for note in notes.intents:
            if (exposed := exposure(found[note.uid, ""])) > note.largest:
                excess[note.uid] = f"{exposed} filled and live of at most {note.largest}"
        for group in notes.groups:
            if (what := group_judge.overexposed(group, group_judge.of_members(group, found))) is not None:
                excess[group.uid] = what
        return excess

    def judge(self, notes: Notes, objects: Iterable[Object], orders: list[Order], seen_before: Mapping[str, str], bare: Mapping[str, str] = MappingProxyType({})) -> Verdict:
        """`objects`: all OrderIntents and OrderGroups that there are. `bare`: by UID, positions that were without a stop for too long."""
        verdict = Verdict()
        found, strangers = self.by_intent(notes, orders)
        present = {one["metadata"]["uid"]: one for one in objects}
        members = {(ref["uid"], ref["member"]): one for one in present.values() if (ref := one["spec"].get("groupRef")) is not None}
        for order in strangers:
            verdict.found("duplicates", order["clientOrderId"], "an order that belongs to no attempt of any intent")
        for uid, what in {**seen_before, **self.overexposed(notes, orders)}.items():
            verdict.found("overexposed", uid, what)
        for uid, what in bare.items():
            verdict.found("bare positions", uid, what)
        for note in notes.intents:
            judge_orders(verdict, note.uid, present.get(note.uid), found[note.uid, ""])
            if note.uid not in present and not note.deleted:
                verdict.found("false terminals", note.uid, "the object is gone and nobody deleted it")
        for group in notes.groups:
            mine = {name: members.get((group.uid, name)) for name in group.everything}
            group_judge.judge(verdict, group, present.get(group.uid), mine, group_judge.of_members(group, found))
        return verdict
