"""When a group adds an order by itself. What such orders are is `core/extra_members.py`'s. Pure.

One is added for what is open and no exit can cover any more. It is not added in place of what a person or the exchange cancelled (16).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from exchange_kernel.api import AmendQuantity, GroupMember, MemberRole, MemberStatus, OrderState, RefusalKind
from exchange_kernel.core import extra_members, group_positions, group_prices
from exchange_kernel.core.checks.changing import replacement_ms
from exchange_kernel.core.groups import GroupRecord, Member, want_of
from exchange_kernel.core.venue import MarketRules

IntentName = Callable[[str], str]


def due(group: GroupRecord, members: Sequence[Member], markets: Mapping[str, MarketRules], intent_name: IntentName) -> Member | None:
    """Return the order that the group is to add now; None if it needs none.

    `intent_name`: gives the name of a member's intent by the member's name.
    """
    if group.entry is None or group.finished or extra_members.full(one.status for one in members):
        return None
    entry = group_positions.opening(members)
    if entry.filled <= 0:
        return None
    if entry.finished and extra_members.closes_now(group, members):
        before = extra_members.closing_orders(members)
        return _added(group, group.entry, members, markets, intent_name) if not before or extra_members.ended_by_itself(before[-1]) else None
    stops = [one for one in members if one.spec.role is MemberRole.STOP_LOSS]
    covered = not all(one.finished for one in stops)
    for first in (one for one in stops if not one.extra):
        last = extra_members.chain(first, members)[-1]
        if not (_stays_small(group, last) if covered else _served(last)):
            continue
        base = next(one for one in group.spec.members if one.name == first.name)
        if (added := _added(group, base, members, markets, intent_name)) is not None:
            return added
    return None


def _added(
    group: GroupRecord, base: GroupMember, members: Sequence[Member], markets: Mapping[str, MarketRules], intent_name: IntentName
) -> Member | None:
    """Return the next order for this member of spec, if the group wants anything of it."""
    taken = {one.name for one in members}
    name = next((one for one in extra_members.names(group.spec, base) if one not in taken), None)
    if name is None:
        return None
    status = MemberStatus(name=name, intent_name=intent_name(name), extra_of=base.name)
    one = Member(spec=extra_members.spec_of(base, name), status=status, recorded=False)
    *_, one = together = group_prices.as_filled(group, [*members, one], markets)
    want = want_of(group, one, together, markets)
    return one if want.exists and want.quantity and not want.unwanted else None


def _served(stop: Member) -> bool:
    """Return whether a stop has filled, or was given up as others had closed the position."""
    if not stop.finished or _cut(stop):
        return False
    if stop.state is OrderState.FILLED:
        return True
    order = stop.order
    return order is not None and not stop.cancelled and any(one.type == "Finished" and one.reason == "CanceledAsAsked" for one in order.status.conditions)


def _cut(stop: Member) -> bool:
    """Return whether a stop was made smaller for what the account had: no more is there."""
    facts, order = stop.facts, stop.order
    if facts is None or order is None or order.spec.quantity is None or stop.filled >= order.spec.quantity:
        return False
    return any(facts.refusal(number) is RefusalKind.BALANCE for number in facts.numbers)


def _stays_small(group: GroupRecord, stop: Member) -> bool:
    """Return whether making a stop larger would leave the position bare for too long."""
    facts = stop.facts
    if facts is None or not stop.live or stop.cancelled or facts.seen.account.capabilities.amend is AmendQuantity.TOTAL:
        return False
    return replacement_ms(facts) > group.spec.max_unprotected_seconds * 1000
