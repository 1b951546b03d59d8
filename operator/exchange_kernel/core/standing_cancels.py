"""Whose order goes when another's fills, known before it does: so that the cancel waits for the news of the fill, and for no reckoning.

It follows from what `groups` would want after that fill and from nothing else; what members decide by themselves comes to the same, a little later.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal

from exchange_kernel.core.groups import GroupRecord, Member, Members, want_of
from exchange_kernel.core.venue import MarketRules

#: Less than any market trades: the very first fill.
ANY = Decimal("1E-30")


@dataclass(frozen=True, slots=True)
class StandingCancels:
    """Reckoned of one generation of a group, from the orders that worked and those of them that had filled."""

    generation: int
    orders: tuple[tuple[str, bool], ...]
    triggers: Mapping[str, Mapping[str, Decimal]]  # by the UID of whose order goes: whose fill does it, by client order id, and from how much on


def standing_cancels(
    group: GroupRecord, members: Members, markets: Mapping[str, MarketRules], *, before: StandingCancels | None = None
) -> StandingCancels:
    """Among the orders that work now. `before`: what was reckoned last, which is returned where it still stands."""
    working = {member.name: client_order_id for member in members if (client_order_id := _working(member)) is not None}
    orders = tuple((working[member.name], member.filled > 0) for member in members if member.name in working)
    if before is not None and (before.generation, before.orders) == (group.generation, orders):
        return before
    triggers: dict[str, dict[str, Decimal]] = {}
    for filling in members:
        if filling.name not in working or filling.order is None:
            continue
        for filled in (filling.order.spec.quantity or filling.quantity, ANY):  # the least that does it is kept
            after = [_with_filled(member, filled) if member is filling else member for member in members]
            for member in after:
                going = member.order if member.name in working and member.name != filling.name else None
                if going is not None and want_of(group, member, after, markets).unwanted:
                    triggers.setdefault(going.uid, {})[working[filling.name]] = filled
    return StandingCancels(group.generation, orders, triggers)


def _working(member: Member) -> str | None:
    """The client order id of its only order at the exchange."""
    if member.facts is None or member.finished:
        return None
    live = [number for number in member.facts.numbers if member.facts.live(number)]
    return member.facts.seen.ids[live[0]] if len(live) == 1 else None


def _with_filled(member: Member, quantity: Decimal) -> Member:
    return replace(member, status=member.status.model_copy(update={"filled_quantity": quantity}))
