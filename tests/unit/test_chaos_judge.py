"""The judge of `make chaos` convicts every crime it is there for, and nobody else."""

from __future__ import annotations

from decimal import Decimal

import pytest

from exchange_kernel.core.identity import member_order_id, order_id, owner_prefix
from tests.chaos.bare import LONGEST_S, RECOVERS_S, BareWatch
from tests.chaos.group_user import GroupNote
from tests.chaos.judge import Judge
from tests.chaos.user import Note, Notes

OWNER = owner_prefix("chaos")
FIRST = order_id(OWNER, uid="u", attempt=1)


def an_order(status: str, executed: str, client_order_id: str = FIRST) -> dict:
    return {"clientOrderId": client_order_id, "status": status, "origQty": "2", "executedQty": executed}


def an_intent(state: str, filled: str, *, finished: bool) -> dict:
    conditions = [{"type": "Finished", "status": str(finished)}, {"type": "Ready", "status": "True"}]
    status = {"state": state, "filledQuantity": filled, "clientOrderId": FIRST, "observedGeneration": 1, "conditions": conditions}
    return {"kind": "OrderIntent", "metadata": {"uid": "u", "name": "n", "generation": 1}, "spec": {"quantity": "2"}, "status": status}


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
    notes = Notes(intents=[Note("n", "u", "BTC/USDT", "Limit", Decimal(2), deleted)])
    assert Judge(OWNER).judge(notes, objects, orders, {}).counts == guilty, reason


# ── Groups ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

BRACKET, OCO = ("entry", "take", "stop"), ("take", "stop")


def a_leg(member: str, status: str, executed: str, quantity: str = "2", *, attempt: int = 1, of_list: int = -1) -> dict:
    return {"clientOrderId": member_order_id(OWNER, group_uid="g", member=member, attempt=attempt), "status": status, "origQty": quantity,
            "executedQty": executed, "orderListId": of_list, "side": "BUY" if member == "entry" else "SELL"}


def its_objects(orders: list[dict], names: tuple[str, ...], said: dict[str, str]) -> list[dict]:
    """The group and its members as the ledger has them, all with `said` as the group's conditions, each <status>/<reason>."""
    filled = {name: sum(Decimal(order["executedQty"]) for order in orders if order["clientOrderId"] == a_leg(name, "", "")["clientOrderId"]) for name in names}
    conditions = [{"type": kind, "status": word.split("/")[0], "reason": word.split("/")[1]} for kind, word in said.items()]
    members = [{"name": name, "uid": f"u-{name}", "filledQuantity": str(filled[name])} for name in names]
    objects = [{"kind": "OrderGroup", "metadata": {"uid": "g", "name": "g", "generation": 1}, "spec": {},
                "status": {"observedGeneration": 1, "members": members, "conditions": conditions}}]
    for name in names:
        mine = [order for order in orders if order["clientOrderId"] == a_leg(name, "", "")["clientOrderId"]]
        live = any(order["status"] in ("NEW", "PARTIALLY_FILLED") for order in mine)
        one = an_intent("Open" if live else "Filled" if filled[name] == 2 else "Canceled", str(filled[name]), finished=not live)
        one["metadata"] |= {"uid": f"u-{name}", "name": f"g-{name}"}
        one["spec"]["groupRef"] = {"name": "g", "uid": "g", "member": name}
        one["status"]["clientOrderId"] = mine[-1]["clientOrderId"] if mine else None
        objects.append(one)
    return objects


def a_note(names: tuple[str, ...], policy: str = "CancelEntries", **changes: object) -> GroupNote:
    spec = {"mode": "Bracket" if "entry" in names else "OneCancelsOther", "deletionPolicy": policy, "members": [{"name": name, "quantity": "2"} for name in names]}
    return GroupNote({"metadata": {"name": "g"}, "spec": spec}, "g", **changes)


WORKS = {"Ready": "True/Working", "Protected": "True/StopWorking", "Succeeded": "Unknown/Working", "Finished": "False/Working"}
ENDED = {"Ready": "True/Filled", "Succeeded": "True/Filled", "Finished": "True/Filled"}


@pytest.mark.parametrize(("reason", "names", "said", "orders", "guilty"), [
    ("both rest", OCO, WORKS, [a_leg("take", "NEW", "0"), a_leg("stop", "NEW", "0")], {}),
    ("one filled", OCO, ENDED, [a_leg("take", "FILLED", "2"), a_leg("stop", "CANCELED", "0")], {}),
    ("both filled, and it is said", OCO, {**ENDED, "Succeeded": "False/BothLegsFilled"}, [a_leg("take", "FILLED", "2"), a_leg("stop", "CANCELED", "1")], {}),
    ("both filled, and nobody says so", OCO, ENDED, [a_leg("take", "FILLED", "2"), a_leg("stop", "CANCELED", "1")], {"oco violations unreported": 1}),
    ("said of one that filled alone", OCO, {**ENDED, "Succeeded": "False/BothLegsFilled"}, [a_leg("take", "FILLED", "2"), a_leg("stop", "CANCELED", "0")],
     {"oco violations unreported": 1}),
    ("the other of what filled rests on", OCO, WORKS, [a_leg("take", "FILLED", "2"), a_leg("stop", "NEW", "0")], {"overexposed": 1}),
    ("finished with a live order", OCO, ENDED, [a_leg("take", "NEW", "0"), a_leg("stop", "CANCELED", "0")], {"false terminals": 1}),
    ("at rest, and not Ready", OCO, {**WORKS, "Ready": "False/Placing"}, [a_leg("take", "NEW", "0"), a_leg("stop", "NEW", "0")], {"unconverged": 1}),
    ("a member's id twice", OCO, ENDED, [a_leg("take", "FILLED", "1"), a_leg("take", "FILLED", "1"), a_leg("stop", "CANCELED", "0")], {"duplicates": 1}),
    ("two lists", OCO, WORKS, [a_leg("take", "NEW", "0", of_list=1), a_leg("stop", "NEW", "0", of_list=2)], {"duplicates": 1}),
    ("exits for what the entry filled", BRACKET, WORKS, [a_leg("entry", "PARTIALLY_FILLED", "1"), a_leg("take", "NEW", "0", "1"), a_leg("stop", "NEW", "0", "1")], {}),
    ("exits above what it filled", BRACKET, WORKS, [a_leg("entry", "PARTIALLY_FILLED", "1"), a_leg("take", "NEW", "0", "1"), a_leg("stop", "NEW", "0", "2")],
     {"overexposed": 1}),
    ("a stop above what is left to close", BRACKET, WORKS, [a_leg("entry", "FILLED", "2"), a_leg("take", "CANCELED", "1"), a_leg("stop", "NEW", "0")],
     {"overexposed": 1}),
    ("held as it is, for the entry may fill on", BRACKET, WORKS, [a_leg("entry", "PARTIALLY_FILLED", "1"), a_leg("take", "CANCELED", "1"), a_leg("stop", "NEW", "0", "1")], {}),
    ("no stop, and it is said", BRACKET, {**WORKS, "Protected": "False/StopRejected"}, [a_leg("entry", "PARTIALLY_FILLED", "1"), a_leg("take", "NEW", "0", "1")], {}),
    ("no stop, and it is said, so that it is not Ready", BRACKET, {**WORKS, "Ready": "False/StopRejected", "Protected": "False/StopRejected"},
     [a_leg("entry", "PARTIALLY_FILLED", "1"), a_leg("take", "NEW", "0", "1")], {}),
    ("a stop that is still being placed", BRACKET, {**WORKS, "Ready": "False/StopPending", "Protected": "False/StopPending"},
     [a_leg("entry", "PARTIALLY_FILLED", "1"), a_leg("take", "NEW", "0", "1")], {"unconverged": 1}),
    ("no stop, and nobody says so", BRACKET, WORKS, [a_leg("entry", "PARTIALLY_FILLED", "1"), a_leg("take", "NEW", "0", "1")], {"unprotected unreported": 1}),
    ("a stop for what arrived after the fee", BRACKET, WORKS, [a_leg("entry", "FILLED", "2"), a_leg("take", "NEW", "0"), a_leg("stop", "NEW", "0", "1.998")], {}),
    ("a stop for less than arrived", BRACKET, WORKS, [a_leg("entry", "FILLED", "2"), a_leg("take", "NEW", "0"), a_leg("stop", "NEW", "0", "1.996")],
     {"unprotected unreported": 1}),
    ("a stop for less", BRACKET, WORKS, [a_leg("entry", "FILLED", "2"), a_leg("take", "NEW", "0"), a_leg("stop", "NEW", "0", "1")], {"unprotected unreported": 1}),
    ("a stop that was added for the rest", BRACKET, WORKS, [a_leg("entry", "FILLED", "2"), a_leg("take", "NEW", "0"), a_leg("stop", "NEW", "0", "1"), a_leg("stop-2", "NEW", "0", "1")],
     {}),
    ("stops that are too large together", BRACKET, WORKS, [a_leg("entry", "FILLED", "2"), a_leg("take", "NEW", "0"), a_leg("stop", "NEW", "0"), a_leg("stop-2", "NEW", "0", "1")],
     {"overexposed": 1}),
    ("a stop that was added, and is too small", BRACKET, WORKS, [a_leg("entry", "FILLED", "2"), a_leg("take", "NEW", "0", "1"), a_leg("stop", "FILLED", "1", "1"), a_leg("stop-2", "NEW", "0", "0.5")],
     {"unprotected unreported": 1}),
], ids=lambda value: value if isinstance(value, str) else "")
def test_the_verdict_on_a_group(reason, names, said, orders, guilty):
    added = ("stop-2",) if any(order["clientOrderId"] == a_leg("stop-2", "", "")["clientOrderId"] for order in orders) else ()
    assert Judge(OWNER).judge(Notes(groups=[a_note(names)]), its_objects(orders, (*names, *added), said), orders, {}).counts == guilty, reason


POSITION = [a_leg("entry", "FILLED", "2"), a_leg("take", "CANCELED", "0")]


@pytest.mark.parametrize(("reason", "note", "orders", "left", "guilty"), [
    ("a position keeps its stop", a_note(BRACKET, deleted=True), [*POSITION, a_leg("stop", "NEW", "0")], ("stop",), {}),
    ("not under CancelAll", a_note(BRACKET, "CancelAll", deleted=True), [*POSITION, a_leg("stop", "NEW", "0")], ("stop",), {"false terminals": 1}),
    ("no position, no stop", a_note(BRACKET, deleted=True), [a_leg("entry", "CANCELED", "0"), a_leg("stop", "CANCELED", "0")], (), {}),
    ("a take profit left", a_note(BRACKET, deleted=True), [a_leg("entry", "FILLED", "2"), a_leg("take", "NEW", "0")], ("take",), {"false terminals": 1}),
    ("gone, and nobody deleted it", a_note(OCO), [], (), {"false terminals": 1}),
], ids=lambda value: value if isinstance(value, str) else "")
def test_the_verdict_on_a_group_that_is_gone(reason, note, orders, left, guilty):
    objects = [one for one in its_objects(orders, BRACKET, WORKS) if one["spec"].get("groupRef", {}).get("member") in left]
    assert Judge(OWNER).judge(Notes(groups=[note]), objects, orders, {}).counts == guilty, reason


@pytest.mark.parametrize(("removed", "guilty"), [({"stop"}, {}), (set(), {"false terminals": 1})])
def test_a_members_object_goes_only_if_somebody_deletes_it(removed, guilty):
    orders = [a_leg("take", "FILLED", "2"), a_leg("stop", "CANCELED", "0")]
    objects = its_objects(orders, OCO, ENDED)[:2]
    assert Judge(OWNER).judge(Notes(groups=[a_note(OCO, removed=removed)]), objects, orders, {}).counts == guilty


# ── Bare positions ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

OPENED = a_leg("entry", "FILLED", "2")


def watched(*looks: tuple[float, list[dict], float | None], note: GroupNote | None = None) -> BareWatch:
    """What is found by looks of a moment, the ledger then, and since when all was well."""
    watch, notes = BareWatch(), Notes(groups=[note or a_note_with_prices()])
    for at, orders, well_since_s in looks:
        watch.look(at, notes.groups, Judge(OWNER).by_intent(notes, orders)[0], well_since_s)
    return watch


def a_note_with_prices(**changes: object) -> GroupNote:
    note = a_note(BRACKET, **changes)
    note.body["spec"]["members"][2]["triggerPrice"] = "100"
    return note


LATE = RECOVERS_S + LONGEST_S + 1


@pytest.mark.parametrize(("reason", "looks", "bare"), [
    ("no stop though all was well", [(0, [OPENED], 0), (LATE, [OPENED], 0)], True),
    ("a stop that was refused", [(t, [OPENED, a_leg("stop", "REJECTED", "0")], 0) for t in (0, LATE)], True),
    ("a stop for half of it", [(t, [OPENED, a_leg("stop", "NEW", "0", "1")], 0) for t in (0, LATE)], True),
    ("a stop of its size", [(t, [OPENED, a_leg("stop", "NEW", "0")], 0) for t in (0, LATE)], False),
    ("a stop for what arrived after the fee", [(t, [OPENED, a_leg("stop", "NEW", "0", "1.998")], 0) for t in (0, LATE)], False),
    ("not for long", [(0, [OPENED], 0), (RECOVERS_S + LONGEST_S - 1, [OPENED], 0)], False),
    ("a stop in between", [(RECOVERS_S, [OPENED], 0), (RECOVERS_S + 6, [OPENED, a_leg("stop", "NEW", "0")], 0), (LATE, [OPENED], 0)], False),
    ("something was wrong in between", [(0, [OPENED], 0), (LATE - 5, [OPENED], None), (LATE, [OPENED], LATE - 1)], False),
    ("something is wrong", [(0, [OPENED], None), (LATE, [OPENED], None)], False),
    ("all is well only now", [(0, [OPENED], 0), (LATE, [OPENED], LATE - 1)], False),
    ("opened after all was well", [(LATE, [OPENED], 0), (LATE + LONGEST_S - 1, [OPENED], 0)], False),
    ("closed", [(t, [OPENED, a_leg("take", "FILLED", "2")], 0) for t in (0, LATE)], False),
    ("too little for the exchange", [(t, [a_leg("entry", "CANCELED", "0.05")], 0) for t in (0, LATE)], False),
], ids=lambda value: value if isinstance(value, str) else "")
def test_a_position_without_its_stop_is_noticed(reason, looks, bare):
    assert (watched(*looks).found != {}) is bare, reason


@pytest.mark.parametrize("taken_away", [{"deleted": True}, {"removed": {"stop"}}, {"canceled": {"stop"}}], ids=str)
def test_a_stop_that_a_person_took_away_is_not_missed(taken_away):
    assert not watched((0, [OPENED], 0), (LATE, [OPENED], 0), note=a_note_with_prices(**taken_away)).found


def test_a_bare_position_fails_the_storm_and_is_in_its_line():
    verdict = Judge(OWNER).judge(Notes(), [], [], {}, watched((0, [OPENED], 0), (LATE, [OPENED], 0)).found)
    assert not verdict.clean
    assert verdict.line(1, 1, 0).endswith("bare positions: 1")


def test_a_position_that_is_bare_now_is_waited_for():
    assert watched((0, [OPENED], 0)).undecided
    assert not watched((0, [OPENED], 0), (LATE, [OPENED], 0)).undecided


@pytest.mark.parametrize(("stalled", "guilty"), [("True", {}), ("False", {"unconverged": 1})])
def test_an_order_that_waits_for_a_person_is_at_rest_only_if_it_says_so(stalled, guilty):
    one = an_intent("Pending", "0", finished=False)
    one["status"]["conditions"] = [{"type": "Ready", "status": "False", "reason": "WrongSide"}, {"type": "Stalled", "status": stalled, "reason": "WrongSide"}]
    notes = Notes(intents=[Note("n", "u", "BTC/USDT", "Limit", Decimal(2), False)])
    assert Judge(OWNER).judge(notes, [one], [], {}).counts == guilty
