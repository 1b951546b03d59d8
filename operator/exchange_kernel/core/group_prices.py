"""Prices of exits relative to what their Entry filled at, and their steps over time. Pure.

An exit is priced anew at each look, from all that has filled so far, so that nothing has to be remembered. Its prices are rounded to the market's step, up
for a Sell and down for a Buy: a stop never risks more than was asked, and a take never brings less. Fills that leave the rounded price as it is change nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING

from exchange_kernel.api import GroupMember, MemberRole
from exchange_kernel.core import extra_members
from exchange_kernel.core.money import ZERO, add, average_price, multiply, quantise_price, share_of
from exchange_kernel.core.venue import MarketRules

if TYPE_CHECKING:
    from exchange_kernel.core.groups import GroupRecord, Member

PERCENT, BASIS_POINTS = Decimal(100), Decimal(10_000)


def relative(spec: GroupMember) -> bool:
    """Return whether a member's prices follow what the Entry fills at."""
    return spec.price_offset is not None or spec.trigger_offset is not None or bool(spec.price_steps)


def unpriced(spec: GroupMember) -> bool:
    """Return whether a member has an offset whose price is not known yet."""
    return (spec.price_offset is not None and spec.price is None) or (spec.trigger_offset is not None and spec.trigger_price is None)


def offset_from(reference: Decimal, offset: str) -> Decimal:
    """Return the price at an offset: in percent, basis points, or the quote currency."""
    if offset.endswith("%"):
        return add(reference, share_of(reference, Decimal(offset[:-1]), PERCENT))
    if offset.endswith("bp"):
        return add(reference, share_of(reference, Decimal(offset[:-2]), BASIS_POINTS))
    return add(reference, Decimal(offset))


def priced(spec: GroupMember, reference: Decimal | None, market: MarketRules | None) -> GroupMember:
    """Return the member with its offsets' prices; unchanged where one would not be above zero."""
    if reference is None or market is None or not relative(spec):
        return spec
    asked = {"price": spec.price_offset, "trigger_price": spec.trigger_offset}
    prices = {name: quantise_price(offset_from(reference, one), market.price_step, spec.side) for name, one in asked.items() if one is not None}
    return spec.model_copy(update=prices) if all(price > 0 for price in prices.values()) else spec


def stepped(spec: GroupMember, open_for_ms: int | None) -> GroupMember:
    """Return the member with the offsets of its latest priceStep that is due."""
    due = [step for step in spec.price_steps or () if open_for_ms is not None and step.after_seconds * 1000 <= open_for_ms]
    offsets: dict[str, str] = {}
    for step in sorted(due, key=lambda one: one.after_seconds):
        said = {"price_offset": step.price_offset, "trigger_offset": step.trigger_offset}
        offsets |= {name: offset for name, offset in said.items() if offset is not None}
    return spec.model_copy(update=offsets) if offsets else spec


def changes_in_ms(group: GroupRecord, members: Sequence[Member]) -> int | None:
    """Return in how many ms a priceStep, or the end of the position's time, is due; else None."""
    open_for_ms = extra_members.open_for(group, members)
    if open_for_ms is None:
        return None
    steps = [step.after_seconds * 1000 - open_for_ms for one in members for step in one.spec.price_steps or ()]
    return min((left_ms for left_ms in (*steps, extra_members.closes_in_ms(group, members) or 0) if left_ms > 0), default=None)


def as_filled(group: GroupRecord, members: Sequence[Member], markets: Mapping[str, MarketRules]) -> tuple[Member, ...]:
    """Return the members with the prices that follow from what filled, and how long ago.

    While that can't be said, an exit stays as it stands.
    """
    if not any(relative(one.spec) for one in members):
        return tuple(members)
    reference = average(one for one in members if one.spec.role is MemberRole.ENTRY)
    open_for_ms = extra_members.open_for(group, members)
    return tuple(_as_filled(one, reference, markets.get(one.spec.symbol), open_for_ms) if relative(one.spec) else one for one in members)


def _as_filled(member: Member, reference: Decimal | None, market: MarketRules | None, open_for_ms: int | None) -> Member:
    spec = priced(stepped(member.spec, open_for_ms), reference, market)
    if unpriced(spec) and member.order is not None:
        stands = {"price": spec.price_offset and member.order.spec.price, "trigger_price": spec.trigger_offset and member.order.spec.trigger_price}
        spec = spec.model_copy(update={name: price for name, price in stands.items() if price is not None})
    return replace(member, spec=spec)


def average(entries: Iterable[Member]) -> Decimal | None:
    """Return the average price of what the Entries filled; None while it is not known."""
    filled, worth = ZERO, ZERO
    for entry in entries:
        if entry.filled <= 0:
            continue
        if (price := _average_of(entry)) is None:
            return None
        filled, worth = add(filled, entry.filled), add(worth, multiply(entry.filled, price))
    return average_price(worth, filled)


def _average_of(entry: Member) -> Decimal | None:
    facts = entry.facts
    if facts is not None and facts.numbers:
        amounts = [facts.filled(number) for number in facts.numbers]
        quantity, quote = add(*(one.quantity for one in amounts)), add(*(one.quote_quantity for one in amounts))
        if quantity >= entry.filled and quote > 0:
            return average_price(quote, quantity)
    return (entry.order.status.average_price if entry.order is not None else None) or entry.status.average_price
