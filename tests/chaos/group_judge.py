"""The judge of groups: what the orders of their members make together, and whether their statuses say so (F40-F44 as sums)."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from tests.chaos.group_user import GroupNote
from tests.chaos.verdict import LIVE, ZERO, Object, Order, Verdict, condition, exposure, filled_of, finished, judge_orders, unconverged

#: What the simulated exchange takes of what an order receives, and the coarsest step of the storm's markets.
FEE, DUST = Decimal("0.001"), Decimal("0.001")

#: By member.
Orders = Mapping[str, list[Order]]


def of_members(note: GroupNote, found: Mapping[tuple[str, str], list[Order]]) -> Orders:
    return {name: found.get((note.uid, name), []) for name in note.everything}


def overexposed(note: GroupNote, orders: Orders) -> str | None:
    """At any moment: no member above its own quantity, and no exit above what its entry has filled."""
    for name, most in note.members.items():
        allowed = most if name == note.entry or note.entry is None else min(most, filled_of(orders[note.entry]))
        mine = stop_orders(note, orders) if name == "stop" else orders[name]
        if (exposed := exposure(mine)) > allowed:
            return f"{name} has {exposed} filled and live of at most {allowed}"
    return None


def judge(verdict: Verdict, note: GroupNote, group: Object | None, members: Mapping[str, Object | None], orders: Orders) -> None:
    """At rest. `group` and each of `members`: None if the object is gone, or never was."""
    for name in note.everything:
        judge_orders(verdict, note.uid, members[name], orders[name])
    lists = {order["orderListId"] for mine in orders.values() for order in mine} - {-1}
    if len(lists) > 1:
        verdict.found("duplicates", note.uid, f"lists {sorted(lists)} of one group")
    live = {name for name in note.everything if any(order["status"] in LIVE for order in orders[name])}
    if group is None:
        _gone(verdict, note, live, orders)
    else:
        _present(verdict, note, group, members, live, orders)
    _too_much_at_rest(verdict, note, live, orders)


def _gone(verdict: Verdict, note: GroupNote, live: set[str], orders: Orders) -> None:
    if not note.deleted:
        verdict.found("false terminals", note.uid, "the group is gone and nobody deleted it")
    stays = set(note.stops) if note.entry is not None and note.deletion_policy == "CancelEntries" and note.position(orders) > 0 else set()
    if live - stays:
        verdict.found("false terminals", note.uid, f"the group is gone and {', '.join(sorted(live - stays))} lives on")


def _present(verdict: Verdict, note: GroupNote, group: Object, members: Mapping[str, Object | None], live: set[str], orders: Orders) -> None:
    told = {member["name"]: member for member in (group.get("status") or {}).get("members", [])}
    for name in note.everything:
        filled, said = filled_of(orders[name]), told.get(name, {})
        if Decimal(said.get("filledQuantity") or 0) != filled:
            verdict.found("lost fills", note.uid, f"{name} has {said.get('filledQuantity')} in the group's status, {filled} in the ledger")
        if said.get("uid") and members[name] is None and name not in note.removed and not note.deleted:
            verdict.found("false terminals", note.uid, f"the object of {name} is gone and nobody deleted it")
    if (reason := unconverged(group)) is not None:
        verdict.found("unconverged", note.uid, reason)
    if finished(group) and live:
        verdict.found("false terminals", note.uid, f"the group is finished and {', '.join(sorted(live))} lives on")
    violated = note.violated(orders)
    if violated != (condition(group, "Succeeded") == ("False", "BothLegsFilled")):
        verdict.found("oco violations unreported", note.uid, f"by the ledger {'both legs' if violated else 'not both legs'} filled")
    if note.entry is not None and not finished(group) and (position := note.position(orders)) > 0:
        stopped = sum((left_of(order) for order in stop_orders(note, orders) if order["status"] in LIVE), ZERO)
        arrived = position - lost_on_the_way(orders[note.entry])
        if stopped < arrived and condition(group, "Protected")[0] != "False":
            verdict.found("unprotected unreported", note.uid, f"a position of {position}, a stop of {stopped}, Protected is {condition(group, 'Protected')}")


def _too_much_at_rest(verdict: Verdict, note: GroupNote, live: set[str], orders: Orders) -> None:
    """What could still fill and would be too much. While its Entry is not final, an exit is held as it is."""
    if note.entry is None:
        filled = {name for name in note.members if filled_of(orders[name]) > 0}
        if any(filled - {name} for name in live):
            verdict.found("overexposed", note.uid, f"{', '.join(sorted(filled))} filled and {', '.join(sorted(live))} lives on")
    elif note.entry not in live:
        for name in live:
            if (left := sum((left_of(order) for order in orders[name] if order["status"] in LIVE), ZERO)) > note.position(orders):
                verdict.found("overexposed", note.uid, f"{name} may close {left} of a position of {note.position(orders)}")


def stop_orders(note: GroupNote, orders: Orders) -> list[Order]:
    """The orders of the stop, and of those that its group added for it."""
    return [order for name in note.stops for order in orders[name]]


def lost_on_the_way(entry: list[Order]) -> Decimal:
    """How much less than it bought an Entry may leave to be closed: the fee, and what is below the market's step."""
    bought = sum((Decimal(order["executedQty"]) for order in entry if order["side"] == "BUY"), ZERO)
    return bought * FEE + DUST if bought > 0 else ZERO


def left_of(order: Order) -> Decimal:
    return Decimal(order["origQty"]) - Decimal(order["executedQty"])
