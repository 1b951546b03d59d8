"""The position of a group: who opens it, how much is open, and how exits share it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from exchange_kernel.api import DesiredState, GroupMember, GroupMode, MemberRole, OrderGroupSpec, OrderType, Side
from exchange_kernel.core.money import ZERO, add, share_of, subtract
from exchange_kernel.core.venue import MarketRules

if TYPE_CHECKING:
    from exchange_kernel.core.groups import Member

HUNDRED = Decimal(100)
HELD = "held"  # the name of what stands in place of an Entry, which has no order and is not shown
ACCOUNT = "Account"
OF_AN_EXIT = ("quantity_percent", "price", "trigger_price", "trigger_price_type", "trailing", "position_effect")


def held_entry(spec: OrderGroupSpec, position: Decimal | None) -> GroupMember:
    """Return what stands in place of an Entry for mode Exits: the position that is held."""
    first, taken = spec.members[0], {one.name for one in spec.members}
    name = next(name for name in (HELD, *(f"{HELD}-{number}" for number in range(len(taken)))) if name not in taken)
    return first.model_copy(update={
        "name": name, "role": MemberRole.ENTRY, "type": OrderType.MARKET, "side": Side.SELL if first.side == "Buy" else Side.BUY, "quantity": position,
        "desired_state": DesiredState.WORKING, **dict.fromkeys(OF_AN_EXIT),
    })


def held(spec: OrderGroupSpec, free: Decimal) -> Decimal:
    """Return how much of what is free the Exits close."""
    return free if spec.position in (None, ACCOUNT) else min(free, Decimal(str(spec.position)))


def of_exits(members: Iterable[Member]) -> Decimal | None:
    """Return the position that exits which were made are for; None if none was made.

    The group made each as large as the position less what others had closed.
    """
    made = [one for one in members if one.order is not None]
    sizes = [add(one.order.spec.quantity or ZERO, *(other.filled for other in made if other is not one)) for one in made if one.order is not None]
    return max(sizes, default=None)


@dataclass(frozen=True, slots=True)
class Opening:
    """The Entries of a group, taken together: they open one position."""

    entries: Sequence[Member]

    @property
    def filled(self) -> Decimal:
        return add(*(one.filled for one in self.entries))

    @property
    def quantity(self) -> Decimal:
        return add(*(one.quantity for one in self.entries))

    @property
    def finished(self) -> bool:
        """Return whether none of them can fill any more."""
        return all(one.finished for one in self.entries)

    @property
    def cancelled(self) -> bool:
        return all(one.cancelled for one in self.entries)

    def brought(self, markets: Mapping[str, MarketRules]) -> Decimal:
        """Return how much of their fills is there to be closed."""
        return add(*(one.brought(markets) for one in self.entries))


def opening(members: Iterable[Member]) -> Opening:
    """Return the Entries among these members."""
    return Opening([one for one in members if one.spec.role is MemberRole.ENTRY])


def asked(spec: GroupMember, opened: Decimal) -> Decimal:
    """Return how much of `opened` an exit asks for: its quantity, its percentage, or all."""
    if spec.quantity is not None:
        return spec.quantity
    return share_of(opened, spec.quantity_percent, HUNDRED) if spec.quantity_percent is not None else opened


def entered(spec: OrderGroupSpec) -> Decimal | None:
    """Return how much the Entries are for together; None where one has a quoteQuantity."""
    sizes = [one.quantity for one in spec.members if one.role is MemberRole.ENTRY]
    known = [size for size in sizes if size is not None]
    return add(*known) if len(known) == len(sizes) else None


def alternatives(spec: OrderGroupSpec, member: GroupMember) -> bool:
    """Return whether an exit covers all that is open beside its like, as two stops do."""
    return spec.mode in (GroupMode.BRACKET, GroupMode.EXITS) and member.role is MemberRole.STOP_LOSS


def sharing(spec: OrderGroupSpec, member: Member, exits: Iterable[Member]) -> list[Member]:
    """Return the exits that share what is open with this one, itself among them."""
    if alternatives(spec, member.spec):
        return [member]
    return [one for one in exits if one.spec.role is member.spec.role]


def closed_besides(alike: Iterable[Member], exits: Iterable[Member]) -> Decimal:
    """Return how much the exits have closed that share nothing with these."""
    names = {one.name for one in alike}
    return add(*(one.filled for one in exits if one.name not in names))


def with_rounding(member: Member, left: Decimal, alike: Sequence[Member], allowed: Callable[[Member], Decimal], step: Decimal) -> Decimal:
    """Return how much an exit may close, with what rounding left over.

    Where percentages make up the whole, the last exit by name gets what rounding left of the others' shares.

    `left`: what is open for all of `alike`; `allowed`: the share of one, on the market's step.
    """
    own = allowed(member)
    percentages = [one.spec.quantity_percent for one in alike if one.spec.quantity_percent is not None]
    if len(percentages) < len(alike) or add(*percentages) != HUNDRED:
        return own
    if member.name != max((one.name for one in alike if not one.finished), default=None):
        return own
    others = add(*(one.filled if one.finished else max(one.filled, allowed(one)) for one in alike if one.name != member.name))
    rest = subtract(subtract(left, others), own)
    return add(own, rest) if ZERO < rest < step * len(alike) else own
