"""Orders that a group adds by itself, beside the members that spec names. Pure.

Each is an OrderIntent of its own and an entry of status.members whose `extraOf` says what it is for. It stands there before its intent is made, so that a
crash leaves no order that the group does not know. Its terms follow from spec at each look:

- Of a StopLoss: the same stop, for what those before it can't cover. They filled whole and the Entry fills more, or no change makes them larger without
  leaving the position bare for too long.
- Of an Entry: a Market order for what is open, by desiredState: Closed or positionTimeLimitSeconds.

When one is added is `core/extras_due.py`'s.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from itertools import groupby, pairwise
from typing import TYPE_CHECKING

from exchange_kernel.api import GroupDesiredState, GroupMember, MemberRole, MemberStatus, OrderGroupSpec, TradingMode
from exchange_kernel.api.order_group import MAX_EXTRAS
from exchange_kernel.core.actions import Waiting
from exchange_kernel.core.market_rules import halted
from exchange_kernel.core.money import ZERO, add, subtract
from exchange_kernel.core.risk import Proposal, refused
from exchange_kernel.core.venue import MarketRules

if TYPE_CHECKING:
    from exchange_kernel.core.facts import Facts
    from exchange_kernel.core.groups import GroupRecord, Member

MAX_EACH, MAX_CLOSING = 9, 20  # orders of one StopLoss, and of those that close a position
NAME_CUT = 60  # of a name of at most 63 characters, so that a number fits
CLOSE = "close"

FIRST_MS, LONGEST_MS = 1_000, 60_000  # between closing orders of which the last filled nothing

NOBODY_TRADES = Waiting("NobodyTrades", "The exchange found nobody to trade with for the order that closes the position: another is sent, ever later.")
MAKING_WAY = Waiting("ExitsMakeWay", "Other exits of the position are cancelled first: the takes, and on spot the stop, which locks what is to be sold.")


# ── What they are ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

def base_of(spec: OrderGroupSpec, name: str, of: str) -> GroupMember | None:
    """Return the member of spec that an added order is for; None if it can be for none."""
    base = next((one for one in spec.members if one.name == of), None)
    return base if base is not None and name in names(spec, base) else None


def names(spec: OrderGroupSpec, base: GroupMember) -> Iterator[str]:
    """Yield the names of orders that may be added for a StopLoss or an Entry, in order."""
    if base.role not in (MemberRole.STOP_LOSS, MemberRole.ENTRY):
        return
    taken = {one.name for one in spec.members}
    first = [CLOSE] if base.role is MemberRole.ENTRY else []
    most = MAX_CLOSING if base.role is MemberRole.ENTRY else MAX_EACH
    stem = CLOSE if base.role is MemberRole.ENTRY else base.name[:NAME_CUT].rstrip("-")
    yield from (name for name in (*first, *(f"{stem}-{number}" for number in range(2, most + 1))) if name not in taken)


def spec_of(base: GroupMember, name: str) -> GroupMember:
    """Return the terms of an added order, without its size."""
    if base.role is MemberRole.STOP_LOSS:
        return base.model_copy(update={"name": name, "quantity": None, "quantity_percent": None})
    return GroupMember.model_validate({
        "name": name, "role": "TakeProfit", "symbol": base.symbol, "side": "Sell" if base.side == "Buy" else "Buy", "type": "Market",
        "positionSide": base.position_side,
    })


def full(status: Iterable[MemberStatus]) -> bool:
    """Return whether no more may be added."""
    return sum(one.extra_of is not None for one in status) >= MAX_EXTRAS


# ── One after the other ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

def _key(member: Member) -> str:
    return member.status.extra_of or member.name


def chain(member: Member, members: Iterable[Member]) -> list[Member]:
    """Return a member with the orders that continue it, from the first to the last."""
    return sorted((one for one in members if _key(one) == _key(member) and one.spec.role is member.spec.role), key=_place)


def _place(member: Member) -> tuple[bool, int, str]:
    return member.extra, len(member.name), member.name


def joined(exits: Sequence[Member]) -> list[Member]:
    """Return the exits with each chain as one: filled together, and finished together."""
    if not any(one.extra for one in exits):
        return list(exits)
    chains = groupby(sorted(exits, key=lambda one: (one.spec.role, _key(one), *_place(one))), key=lambda one: (one.spec.role, _key(one)))
    return [_as_one(list(links)) for _, links in chains]


def _as_one(links: Sequence[Member]) -> Member:
    first = links[0]
    if len(links) == 1:
        return first
    status = first.status.model_copy(update={
        "uid": None, "gone": False, "finished": all(one.finished for one in links), "filled_quantity": add(*(one.filled for one in links)),
        "arrived_quantity": None,
    })
    return replace(first, status=status, order=None, facts=None)


def own_part(member: Member, links: Sequence[Member], total: Decimal) -> Decimal:
    """Return how large one of a chain is to be, of so much for all of it.

    Those before the last stay as they are at the exchange.
    """
    left = subtract(total, add(*(one.filled for one in links if one.finished)))
    going = [one for one in links if not one.finished]
    for one in going:
        part = max(ZERO, left if one is going[-1] else min(_stands(one), left))
        if one.name == member.name:
            return part
        left = subtract(left, max(part, one.filled))
    return member.filled


def _stands(member: Member) -> Decimal:
    """Return how large an order is in all: at the exchange, or else as its own spec says."""
    if member.live and member.facts is not None:
        return add(member.facts.filled_total(), member.working)
    return (member.order.spec.quantity if member.order is not None else None) or ZERO


# ── Closing at market ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

def closes_now(group: GroupRecord, members: Iterable[Member]) -> bool:
    """Return whether the position is to be closed at market: asked for, or its time is up."""
    if group.spec.desired_state is GroupDesiredState.CLOSED:
        return True
    left_ms = closes_in_ms(group, members)
    return left_ms is not None and left_ms <= 0


def closes_in_ms(group: GroupRecord, members: Iterable[Member]) -> int | None:
    """Return in how many ms the time of the position is up; None without one or a position."""
    limit = group.spec.position_time_limit_seconds
    if limit is None:
        return None
    open_for_ms = open_for(group, members)
    return limit * 1000 - open_for_ms if open_for_ms is not None else None


def open_for(group: GroupRecord, members: Iterable[Member]) -> int | None:
    """Return how long ago the Entry first filled (ms); None if it has not, or none can say.

    The time is the exchange's, as any member's session knows it: the Entry's own object may be gone.
    """
    together = tuple(members)
    entries = [one for one in together if one.spec.role is MemberRole.ENTRY]
    now_ms = next((one.facts.now.venue_ms for one in together if one.facts is not None), None)
    opened_ms = opened(group, entries)
    return now_ms - opened_ms if opened_ms is not None and now_ms is not None else None


def opened(group: GroupRecord, entries: Iterable[Member]) -> int | None:
    """Return when the Entry first filled (venue ms), by status or executions; else None."""
    if group.status.opened_time is not None:
        return int(group.status.opened_time.timestamp() * 1000)
    return min((time_ms for one in entries if one.filled > 0 and (time_ms := _first_fill_ms(one)) is not None), default=None)


def _first_fill_ms(entry: Member) -> int | None:
    facts, order = entry.facts, entry.order
    times = [int(fill.time.timestamp() * 1000) for fill in order.status.fills] if order is not None else []
    times += [trade.time_ms for number in facts.numbers for trade in facts.trades(number)] if facts is not None else []
    return min(times) if times else facts.now.venue_ms if facts is not None else None


def closing_orders(members: Iterable[Member]) -> list[Member]:
    """Return the Market orders that were added to close the position, in their order."""
    return sorted((one for one in members if one.extra and one.spec.role is MemberRole.TAKE_PROFIT), key=_place)


def ended_by_itself(closing: Member) -> bool:
    """Return whether a closing order ended, and no person ended it."""
    return closing.finished and not closing.gone and not closing.cancelled


def closes_again_in_ms(members: Iterable[Member]) -> int | None:
    """Return in how many ms one is sent after one that found nobody to trade with; else None."""
    unfilled = 0
    for one, following in pairwise(closing_orders(members)):
        unfilled = unfilled + 1 if one.finished and one.filled == 0 else 0
        ended = one.order.status.completion_time if one.order is not None else None
        if unfilled and not following.finished and not following.live and ended is not None and following.facts is not None:
            again_ms = int(ended.timestamp() * 1000) + min(LONGEST_MS, FIRST_MS << (unfilled - 1))
            return max(0, again_ms - following.facts.now.wall_ms)
    return None


def stops_make_way(members: Sequence[Member], markets: Mapping[str, MarketRules]) -> bool:
    """Return whether stops are to go: on spot, once only they keep a close from being sent."""
    for one in closing_orders(members):
        market = markets.get(one.spec.symbol)
        if not one.finished and one.facts is not None and market is not None and market.contract_size is None and _only_stops_wait(one, one.facts, market):
            return True
    return False


def _only_stops_wait(closing: Member, facts: Facts, market: MarketRules) -> bool:
    account, exposure = facts.seen.account, facts.seen.exposure
    if not (account.ready and account.mode_known and account.trading_mode is TradingMode.ENABLED) or halted(market) is not None:
        return False
    if facts.order.suspended or closing.status.uid != facts.order.uid or not closing.recorded:
        return False
    request = facts.request(facts.next_number, market)
    return refused(Proposal(request=request, replaces=True, exit=True, instead=True), exposure, market) is None


def in_the_way(members: Iterable[Member], market: MarketRules) -> bool:
    """Return whether a take, or on spot a stop, could still take what is to be closed."""
    spot = market.contract_size is None
    stays = [one for one in members if one.made and not _over(one)]
    return any(not one.extra if one.spec.role is MemberRole.TAKE_PROFIT else spot and one.spec.role is MemberRole.STOP_LOSS for one in stays)


def _over(member: Member) -> bool:
    """Return whether nothing of it is at the exchange and what it filled is final."""
    return member.finished or (member.facts is not None and all(member.facts.final(number) for number in member.facts.numbers))
