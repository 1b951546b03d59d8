"""How a group stands and how it ended: the status that should be written, from its members and what is wanted of them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal

from exchange_kernel.api import (
    Condition,
    DesiredState,
    GroupDesiredState,
    GroupMode,
    MemberCounts,
    MemberRole,
    MemberStatus,
    OrderGroupStatus,
    OrderIntentStatus,
    OrderState,
)
from exchange_kernel.core import extra_members, group_positions, group_prices
from exchange_kernel.core.actions import Waiting
from exchange_kernel.core.groups import EXITS, NOT_RECORDED, GroupRecord, Member, Members, Want, settled
from exchange_kernel.core.lifecycle import ENDED
from exchange_kernel.core.market_rules import too_small
from exchange_kernel.core.money import ZERO, add, plain, share_of, subtract
from exchange_kernel.core.venue import MarketRules

TRUE, FALSE, UNKNOWN = "True", "False", "Unknown"

#: Why Protected is False while no stop works and something is under way.
ON_ITS_WAY = ("StopPending", "StopUnknown", "Closing")

#: And while one works.
OTHER_SIZE = ("StopResizing", "StopSmaller", "StopLarger")

CAPPED = "An exit asks for more than the Entry: it is kept at what the Entry filled and no exit closed. Make it smaller, or the Entry larger."

#: What holds back the stop of an open position that a person put there, and only a person takes away.
HELD_BACK = ("Suspended", "TradingModeCancelOnly", "TradingModeReduceOnly", "RiskLimit")

Wanted = Mapping[str, Want]
Markets = Mapping[str, MarketRules]


@dataclass(frozen=True, slots=True)
class Verdict:
    succeeded: bool
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Protection:
    """What Protected says. `person`: there is a position without a stop, and nothing under way that would change that."""

    status: str
    reason: str
    message: str = ""
    person: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What a group's status is made from."""

    group: GroupRecord
    members: Members
    wanted: Wanted
    markets: Markets
    native: bool = False  # the exchange keeps its orders as one list
    denied: Waiting | None = None  # nothing of it is placed
    waits: Waiting | None = None  # why nothing of it is placed yet
    unfit: Waiting | None = None  # why a member that was not sent can't be sent as it stands
    trouble: Waiting | None = None  # why it can't go on by itself, or not now
    position: Decimal | None = None  # of Exits: how much of what the account holds they close, by a reading that is not written yet
    bare_s: float = 0.0  # for how long this process has seen its position `bare`

    @property
    def finished(self) -> bool:
        return self.denied is not None or all(
            settled(self.group, member, self.wanted[member.name]) for member in self.members if not member.held
        )


def changes_in_ms(outlook: Outlook) -> int | None:
    """Return in how many ms time alone changes what the group wants; None if it does not."""
    found = (group_prices.changes_in_ms(outlook.group, outlook.members), extra_members.closes_again_in_ms(outlook.members))
    return min((left_ms for left_ms in found if left_ms), default=None)


def project(outlook: Outlook, at: datetime) -> OrderGroupStatus:
    """The whole status now."""
    group, old = outlook.group, outlook.group.status
    if group.finished:
        return old if group.deleting or old.observed_generation >= group.generation else _of_generation(old, group.generation)
    finished = outlook.finished
    members = [_member(outlook, member) for member in sorted(outlook.members, key=lambda member: member.name) if not member.held]
    return OrderGroupStatus(
        observed_generation=group.generation,
        members=members,
        native=outlook.native,
        counts=_counts(members),
        position=old.position if old.position is not None else outlook.position,
        opened_time=old.opened_time or _opened_time(outlook),
        completion_time=at if finished else None,
        conditions=_conditions(outlook, finished, at),
    )


def _opened_time(outlook: Outlook) -> datetime | None:
    opened_ms = extra_members.opened(outlook.group, group_positions.opening(outlook.members).entries)
    return datetime.fromtimestamp(opened_ms / 1000, UTC) if opened_ms is not None else None


def _of_generation(status: OrderGroupStatus, generation: int) -> OrderGroupStatus:
    """Return a settled end as it stands under a later generation; nothing else of it moves."""
    told = [condition.model_copy(update={"observed_generation": generation}) for condition in status.conditions]
    return status.model_copy(update={"observed_generation": generation, "conditions": told})


def urgent(old: OrderGroupStatus, new: OrderGroupStatus) -> bool:
    """Whether somebody waits for what is new: a member to be sent or let go, or a person for an end, a violation, trouble, or a position without a stop."""
    telling = ("Finished", "Succeeded", "Stalled", "Protected")
    # A stop of another size follows each fill, and most of them are right before it could be written: that is gathered.
    said = [{one.type: TRUE if one.reason in OTHER_SIZE else one.status for one in status.conditions if one.type in telling} for status in (old, new)]
    members = [{(one.name, one.uid, one.gone, one.finished) for one in status.members} for status in (old, new)]
    return old.observed_generation != new.observed_generation or said[0] != said[1] or members[0] != members[1]


def _member(outlook: Outlook, member: Member) -> MemberStatus:
    want = outlook.wanted[member.name]
    if outlook.denied is not None:
        why = outlook.denied
        return MemberStatus(
            name=member.name, intent_name=member.status.intent_name, state=OrderState.DENIED, finished=True, reason=why.reason, message=why.message
        )
    name = member.order.name if member.order is not None else member.status.intent_name
    if member.order is None:
        if not member.made and not member.status.finished:
            quantity = want.quantity if want.quantity is not None else member.spec.quantity if want.exists else None
            reason, message = ("NotNeeded", want.never) if want.never is not None else (want.held.reason, want.held.message) if want.held else (None, None)
            canceled = want.never is not None and want.unwanted
            return MemberStatus(name=member.name, intent_name=name, state=OrderState.CANCELED if canceled else OrderState.PENDING, quantity=quantity,
                                extra_of=member.status.extra_of, finished=want.never is not None, reason=reason, message=message)
        return member.status.model_copy(update={"gone": member.gone, "finished": True}) if member.gone else member.status
    status = member.order.status
    ready = next((condition for condition in status.conditions if condition.type == "Ready"), None)
    return MemberStatus(
        name=member.name, intent_name=name, uid=member.status.uid or member.order.uid, state=status.state, finished=member.order.finished,
        extra_of=member.status.extra_of,
        quantity=member.order.spec.quantity, filled_quantity=status.filled_quantity or ZERO, average_price=status.average_price,
        arrived_quantity=arrived if (arrived := member.brought(outlook.markets)) < member.filled else None,
        reason=ready.reason if ready is not None else None, message=ready.message or None if ready is not None else None,
    )


def recorded(group: GroupRecord, name: str, end: OrderIntentStatus) -> bool:
    """11: whether the group's status tells this member's end as the member's own does."""
    told = next((member for member in group.status.members if member.name == name), None)
    return told is not None and told.finished and (told.filled_quantity or ZERO) == (end.filled_quantity or ZERO) and told.state is end.state


def _counts(members: list[MemberStatus]) -> MemberCounts:
    states = [member.state for member in members]
    return MemberCounts(
        total=len(states),
        open=sum(state in (OrderState.OPEN, OrderState.PARTIALLY_FILLED) for state in states),
        filled=states.count(OrderState.FILLED),
        ended=sum(state in ENDED and state is not OrderState.FILLED for state in states),
        unknown=states.count(OrderState.UNKNOWN),
    )


# ── Conditions ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

def _conditions(outlook: Outlook, finished: bool, at: datetime) -> list[Condition]:
    group = outlook.group
    before = {condition.type: condition for condition in group.status.conditions}
    made = []
    for kind, (status, reason, message) in _table(outlook, finished).items():
        previous = before.get(kind)
        since = previous.last_transition_time if previous is not None and previous.status == status else at
        made.append(Condition(type=kind, status=status, reason=reason, message=message, observed_generation=group.generation, last_transition_time=since))
    return made


def bare(outlook: Outlook) -> bool:
    """Whether there is a position whose stop is on its way, or being found out about, and none works."""
    protection = _protection(outlook)
    return protection is not None and protection.reason in ON_ITS_WAY


def _in_time(outlook: Outlook, protection: Protection | None) -> Protection | None:
    """16: a position that has had no stop for longer than it may needs a person, whatever is under way."""
    if protection is None or protection.reason not in ON_ITS_WAY or outlook.bare_s <= outlook.group.spec.max_unprotected_seconds:
        return protection
    return replace(protection, message=f"{protection.message} It takes longer than maxUnprotectedSeconds.", person=True)


def _table(outlook: Outlook, finished: bool) -> dict[str, tuple[str, str, str]]:
    violation, protection = violated(outlook), _in_time(outlook, _protection(outlook))
    table: dict[str, tuple[str, str, str]] = {}
    if finished:
        end = violation or _ended(outlook)
        word = TRUE if end.succeeded else FALSE
        table["Finished"] = (TRUE, end.reason, end.message)
        table["Succeeded"] = (word, end.reason, end.message)
        table["Ready"] = (word, end.reason, end.message)
        table["Reconciling"] = (FALSE, "Finished", "")
        table["Stalled"] = (FALSE if end.succeeded else TRUE, end.reason, "" if end.succeeded else end.message)
    else:
        trouble = _trouble(outlook, protection)
        held = next((want.held for want in outlook.wanted.values() if want.held is not None and want.exists), None)
        why = trouble or held
        working = why is None and all(member.live or member.finished or not member.made for member in outlook.members) and any(
            member.made for member in outlook.members)
        reason, message = (why.reason, why.message) if why is not None else ("Working" if working else "Placing", "")
        if why is None and protection is not None and protection.status == FALSE:
            working, reason, message = False, protection.reason, protection.message  # 16: a position without its stop is never Ready
        elif working and _capped(outlook.group):
            reason, message = "ExitsCapped", CAPPED
        person = trouble is not None and trouble.person
        table["Finished"] = (FALSE, reason, "")
        table["Succeeded"] = (FALSE, violation.reason, violation.message) if violation is not None else (UNKNOWN, reason, "")
        table["Ready"] = (TRUE if working else FALSE, reason, message)
        table["Reconciling"] = (FALSE if person or working else TRUE, reason, "")
        table["Stalled"] = (TRUE if person else FALSE, reason if person else "Progressing", message if person else "")
    if protection is not None:
        table["Protected"] = (protection.status, protection.reason, protection.message)
    return table


def _trouble(outlook: Outlook, protection: Protection | None) -> Waiting | None:
    """Why the group can't go on by itself: 16, a position without a stop of which nothing is under way, or a member that will not be."""
    if outlook.trouble is not None and outlook.trouble.person:
        return outlook.trouble
    if protection is not None and protection.person:
        return Waiting(protection.reason, protection.message, person=True)
    return outlook.trouble or outlook.waits or outlook.unfit or _lost(outlook) or _told(outlook)


def _told(outlook: Outlook) -> Waiting | None:
    """What the first of its members says of itself that is not as spec says, and that nothing is being done about just now."""
    for member in outlook.members:
        if member.order is not None and not member.finished and (said := _said(member)) is not None:
            return Waiting(said.reason, f"Member {member.name}: {said.message}", person=said.person)
    return None


def _lost(outlook: Outlook) -> Waiting | None:
    """The member that is not and will not be as spec says, where the others go on without it."""
    if any(outlook.wanted[member.name].unwanted and not member.finished for member in outlook.members):
        return None  # they are being cancelled for it
    for member in outlook.members:
        if member.failed:
            why = _said(member)
            said = f"Member {member.name} was refused and is not sent again: {why.message if why is not None else member.state}"
            return Waiting("MemberRefused", said, person=True)
        undone = not outlook.group.reduces and any(other.filled > 0 for other in outlook.members if other.name != member.name)
        stop = outlook.group.entry is None and member.spec.role is MemberRole.STOP_LOSS and not outlook.group.unwanted and not undone
        if stop and member.finished and member.filled == 0 and member.spec.desired_state is not DesiredState.CANCELED:
            return Waiting("StopGone", STOP_GONE, person=True)
    return None


STOP_GONE = "The stop was cancelled and is not sent again: protect the position by another order, or close it."


def _said(member: Member) -> Waiting | None:
    """What the member's own intent says that keeps it from working; None where it says nothing."""
    told = {condition.type: condition for condition in member.order.status.conditions} if member.order is not None else {}
    ready, stalled = told.get("Ready"), told.get("Stalled")
    if ready is not None and ready.status == FALSE and ready.message:
        return Waiting(ready.reason, ready.message, person=stalled is not None and stalled.status == TRUE)
    if member.order is None and member.status.reason is not None and member.status.message is not None:
        return Waiting(member.status.reason, member.status.message)
    return None


def _capped(group: GroupRecord) -> bool:
    """Whether an exit was edited to be larger than its Entry, or the Entry to be smaller."""
    whole = group_positions.entered(group.spec) if group.entry is not None else None
    whole = group.status.position if group.spec.mode is GroupMode.EXITS else whole
    return whole is not None and any((one.quantity or ZERO) > whole for one in group.spec.members if one.role in EXITS)


BOTH_FILLED = Verdict(False, "BothLegsFilled", "Orders of which one was to cancel the other have both filled, before any cancel could arrive: compare "
                      "status.members with the position that is wanted, and close what is too much.")


def violated(outlook: Outlook) -> Verdict | None:
    """41: what a group is there to prevent and could not, for the exchange was faster. Shown for ever."""
    mode, members = outlook.group.spec.mode, outlook.members
    if mode is GroupMode.ONE_CANCELS_OTHER:
        if not outlook.group.reduces:
            return BOTH_FILLED if sum(member.filled > 0 for member in members) > 1 else None
        return BOTH_FILLED if add(*(share_of(Decimal(1), member.filled, member.quantity) for member in members)) > 1 else None
    if outlook.group.entry is not None:
        return BOTH_FILLED if _closed(outlook) > _opened(outlook) else None
    return None


def _opened(outlook: Outlook) -> Decimal:
    return add(*(member.filled for member in outlook.members if member.spec.role is MemberRole.ENTRY))


def _brought(outlook: Outlook) -> Decimal:
    """What of it is there to be closed: less the fees that were taken in it."""
    return add(*(member.brought(outlook.markets) for member in outlook.members if member.spec.role is MemberRole.ENTRY))


def _closed(outlook: Outlook) -> Decimal:
    """Of what the Entry filled, in its unit."""
    return add(*(member.filled for member in outlook.members if member.spec.role in EXITS))


def _protection(outlook: Outlook) -> Protection | None:
    """Whether a stop works for all of the position and no more; None for a group that has no Entry and stop of its own."""
    stops = [member for member in outlook.members if member.spec.role is MemberRole.STOP_LOSS]
    entry = group_positions.opening(outlook.members)
    if not stops or not entry.entries:
        return None
    position = max(ZERO, subtract(_brought(outlook), _closed(outlook)))
    if outlook.native and not entry.finished:
        if position <= 0:
            return Protection(TRUE, "NoPosition")  # its exits wait in their list
        if any(stop.live for stop in stops):
            return Protection(FALSE, "StopPending", "There is a position, and the exchange's list places its stop once the Entry is filled whole.")
    sizes = [add(*(one.working for one in extra_members.chain(stop, stops))) for stop in stops if not stop.extra]
    working = max(sizes) if group_positions.alternatives(outlook.group.spec, stops[0].spec) else add(*sizes)
    if working > 0:
        return _by_size(outlook, stops, subtract(working, position))
    return _without_stop(outlook, entry, stops, position) if position > 0 else Protection(TRUE, "NoPosition")


def _by_size(outlook: Outlook, stops: Members, excess: Decimal) -> Protection:
    """Of stops that work: whether they are as large as the position, to the market's step."""
    market = outlook.markets.get(stops[0].spec.symbol)
    step = (market.quantity_step if market is not None else None) or ZERO
    if excess == 0 or -step < excess < 0:
        dust = f"{plain(-excess)} of the position is less than the market's step, and no order can close it." if excess < 0 else ""
        return Protection(TRUE, "StopWorking", dust)
    if any(_being_resized(outlook, stop) for stop in stops):
        return Protection(FALSE, "StopResizing", "The stop is not as large as the position, and is being made so.")
    if excess < 0:
        why = "The stop is smaller than the position: raise its quantity or see status.members, or protect the rest by another order."
        return Protection(FALSE, "StopSmaller", why)
    why = "The stop is larger than the position and could open one the other way: see status.members, or cancel it at the exchange."
    return Protection(FALSE, "StopLarger", why)


def _being_resized(outlook: Outlook, stop: Member) -> bool:
    """Whether what keeps a stop from its size is a change under way, and nothing that a person is to see to."""
    want, order = outlook.wanted[stop.name], stop.order
    if order is None or order.finished:
        return False
    asked = want.unwanted or (want.quantity is not None and want.quantity != order.spec.quantity)
    return asked or order.status.operation is not None or order.status.observed_generation < order.generation or _entry_goes(outlook)


def _entry_goes(outlook: Outlook) -> bool:
    """Whether exits wait as they are for the end of an Entry that is being cancelled."""
    entries = group_positions.opening(outlook.members).entries
    return _closed(outlook) >= _brought(outlook) and any(outlook.wanted[entry.name].unwanted and not entry.finished for entry in entries)


def _without_stop(outlook: Outlook, entry: group_positions.Opening, stops: Members, position: Decimal) -> Protection:
    market = outlook.markets.get(stops[0].spec.symbol)
    small = market is not None and all(too_small(stop.spec, position, market) for stop in stops)
    if extra_members.closes_now(outlook.group, outlook.members) and entry.finished:
        return _being_closed(outlook, small)
    if any(stop.unknown for stop in stops):
        return Protection(FALSE, "StopUnknown", "There is a position, and what became of its stop is being found out: look at the exchange if it takes long.")
    ended = [stop for stop in stops if stop.finished]
    if small and (len(ended) == len(stops) or not any(stop.made for stop in stops)):
        why = "There is a position, and it is below the market's smallest order: it can't be protected."
        return Protection(FALSE, "BelowMinimum", why, person=entry.finished)
    if len(ended) == len(stops):
        return _ended_stop(ended[0])
    waits = next((waits for stop in stops if (waits := _waits(outlook, stop)) is not None), None)
    if waits is None:
        return Protection(FALSE, "StopPending", "There is a position, and its stop is being placed.")
    return Protection(FALSE, waits.reason, f"There is a position without its stop. {waits.message}", person=waits.person or waits.reason in HELD_BACK)


def _being_closed(outlook: Outlook, small: bool) -> Protection:
    """Return what Protected says while a position without its stop is being closed."""
    closing = next((one for one in reversed(extra_members.closing_orders(outlook.members))), None)
    if small and (closing is None or closing.finished):
        return Protection(FALSE, "BelowMinimum", "There is a position, and it is below the market's smallest order: it can't be closed.", person=True)
    if closing is not None and closing.finished:
        return Protection(FALSE, "NotClosed", "There is a position, and the order that was to close it has ended: close the rest, or protect it.", person=True)
    waits = _waits(outlook, closing) if closing is not None else outlook.trouble
    if waits is None or waits is extra_members.MAKING_WAY:
        return Protection(FALSE, "Closing", "There is a position without its stop, and it is being closed at market.")
    return Protection(FALSE, waits.reason, f"There is a position without its stop. {waits.message}", person=waits.person or waits.reason in HELD_BACK)


def _ended_stop(stop: Member) -> Protection:
    if stop.gone or stop.state in (OrderState.CANCELED, OrderState.EXPIRED):
        return Protection(FALSE, "StopGone", f"There is a position. {STOP_GONE}", person=True)
    said = _said(stop)
    why = f" {said.message}" if said is not None else ""
    message = f"There is a position, and its stop has ended: close the position, or protect it by another order.{why}"
    return Protection(FALSE, f"Stop{stop.state}", message, person=True)


def _waits(outlook: Outlook, stop: Member) -> Waiting | None:
    """What a stop waits for that is not at the exchange; None while it is simply on its way."""
    held = outlook.wanted[stop.name].held
    if held is not None and held is not NOT_RECORDED:
        return held
    return _said(stop) if stop.made else outlook.trouble


# ── The end ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

CANCELED = Verdict(True, "CanceledAsAsked", "Canceled as asked.")


def _asked_to_end(group: GroupRecord) -> bool:
    return group.unwanted or group.spec.desired_state is GroupDesiredState.CLOSED


def _ended(outlook: Outlook) -> Verdict:
    if outlook.denied is not None:
        return Verdict(False, outlook.denied.reason, outlook.denied.message)
    group, members = outlook.group, outlook.members
    if group.entry is not None:
        return _followed(outlook)
    if group.spec.mode is GroupMode.ONE_CANCELS_OTHER:
        return _one_filled(outlook)
    if all(member.state is OrderState.FILLED for member in members):
        return Verdict(True, "Filled", "Every member is filled.")
    return _not_all(outlook, members)


def _one_filled(outlook: Outlook) -> Verdict:
    members = outlook.members
    if any(member.state is OrderState.FILLED and not member.failed for member in members):
        return Verdict(True, "Filled", "One member is filled, and the others are cancelled.")
    if outlook.group.reduces and add(*(share_of(Decimal(1), member.filled, member.quantity) for member in members)) >= 1:
        return Verdict(True, "Filled", "The members are filled, each in part and as much together as one.")
    return _not_all(outlook, members)


def _followed(outlook: Outlook) -> Verdict:
    entry = group_positions.opening(outlook.members)
    others = [member for member in outlook.members if member.spec.role is not MemberRole.ENTRY]
    if entry.filled <= 0:
        if _asked_to_end(outlook.group) or entry.cancelled:
            return CANCELED
        return Verdict(False, "EntryNotFilled", "The Entry ended unfilled, and nothing followed it: see status.members.")
    legs = [member for member in others if member.spec.role not in EXITS]
    if len(legs) < len(others):
        left = max(ZERO, subtract(_brought(outlook), _closed(outlook)))
        market = outlook.markets.get(entry.entries[0].spec.symbol)
        if left > 0 and not (market is not None and _closed(outlook) > 0 and too_small(entry.entries[0].spec, left, market)):
            return Verdict(False, "PositionOpen", "The group has ended and its position is not closed: close it, or protect it by another order.")
        if not legs:
            dust = f" {plain(left)} of it is left, which is below the market's smallest order." if left > 0 else ""
            how = "The" if outlook.group.spec.mode is GroupMode.EXITS else "The Entry is filled, and its"
            return Verdict(True, "Closed", f"{how} exits have closed the position.{dust}")
    if all(member.state is OrderState.FILLED for member in legs):
        return Verdict(True, "Filled", "The Entry is filled, and so is what followed it.")
    return _not_all(outlook, legs)


def _not_all(outlook: Outlook, members: Members) -> Verdict:
    if any(member.failed for member in members):
        return Verdict(False, "MemberRefused", "A member was refused: see status.members. What is filled stays.")
    if _asked_to_end(outlook.group) or all(member.cancelled or member.state is OrderState.FILLED for member in members):
        return CANCELED
    partly = any(member.filled > 0 for member in members)
    return Verdict(False, "PartiallyFilled" if partly else "NotFilled", "Not all that was wanted is filled: see status.members.")
