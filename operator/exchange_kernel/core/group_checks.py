"""Whether a group can be placed as a whole: each member is judged as it will be needed, before the first of them is sent (rule 16). Pure.

A check yields what it finds. What is not known (`Known`) is not judged, and nothing is guessed in its place. How a group's members then grow and shrink is
`core/groups.py`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import cached_property
from typing import TypeAlias

from exchange_kernel.api import (
    GroupMember,
    GroupMode,
    MemberRole,
    MemberStatus,
    NativePolicy,
    OrderGroupSpec,
    OrderGroupStatus,
    OrderState,
    OrderType,
    TimeInForce,
)
from exchange_kernel.core import group_positions, group_prices, groups, risk
from exchange_kernel.core.actions import Waiting
from exchange_kernel.core.groups import EXITS, GroupRecord, Member, Members, Want
from exchange_kernel.core.market_rules import (
    TRIGGERED,
    breaks_rules,
    not_on_market,
    out_of_band,
    request_for,
    too_small,
    unacceptable,
    unsent_parameters,
)
from exchange_kernel.core.money import ZERO, add, multiply, plain, quantise_quantity, share_of, subtract
from exchange_kernel.core.risk import Exposure, LimitRecord, Proposal
from exchange_kernel.core.venue import Capabilities, MarketRules, OrderRequest

SEEN_LATER = "The group waits for it, and is Denied at the Entry's submit deadline."


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What a group is judged by. What is None, or not in a mapping, is not known."""

    markets: Mapping[str, MarketRules]
    all_markets: bool = True  # a market that is not among them does not exist
    venue: Capabilities | None = None
    symbols: Sequence[str] = ()  # those of the account's spec; empty: all
    fee_asset: str | None = None  # in which the account pays all fees; None: in what it buys
    limits: tuple[LimitRecord, ...] | None = None
    prices: Mapping[str, Decimal] = field(default_factory=dict)  # of each market's last trade
    judges_positions: bool = False  # whether the account can be read for it
    open_orders: Mapping[str, int] = field(default_factory=dict)  # of the account, by market
    trigger_orders: Mapping[str, int] = field(default_factory=dict)  # of them, those that wait for a trigger
    wall_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a group can't be placed as it stands."""

    reason: str
    message: str
    waits: bool = False  # it may be placed later as it stands

    @property
    def waiting(self) -> Waiting:
        return Waiting(self.reason, self.message)


@dataclass(frozen=True, slots=True)
class Sent:
    """A member that is not made yet, with the order that it will be, in its full size."""

    member: Member
    market: MarketRules
    request: OrderRequest

    @property
    def exit(self) -> bool:
        return self.member.spec.role in EXITS

    def problem(self, reason: str, sentence: str, *, waits: bool = False) -> Problem:
        return Problem(reason, f"Member {self.member.name}: {sentence}", waits)


@dataclass(frozen=True)
class Case:
    """One judgement. What several checks ask for is reckoned once: a group that is about to be sent waits for it."""

    group: GroupRecord
    members: Members
    known: Known

    @cached_property
    def unmade(self) -> list[Member]:
        """Members of which nothing was sent, and that are wanted."""
        return [self._priced(one) for one in self.members if not (_sent_once(one) or one.cancelled or one.finished or one.extra or one.held)]

    def _priced(self, member: Member) -> Member:
        """Return the member with its offsets' prices, from where the Entry is expected to fill."""
        if not group_prices.unpriced(member.spec):
            return member
        return replace(member, spec=group_prices.priced(member.spec, self.reference, self.known.markets.get(member.spec.symbol)))

    @cached_property
    def sent(self) -> list[Sent]:
        """The orders of `unmade`, as far as their markets are known."""
        known = ((one, self.known.markets.get(one.spec.symbol), _needed(self, one)) for one in self.unmade if not group_prices.unpriced(one.spec))
        return [_sent(self, one, market, size) for one, market, size in known if market is not None and (size or one.spec.quote_quantity)]

    @cached_property
    def entries(self) -> list[GroupMember]:
        if (entry := self.group.entry) is None:
            return []
        return [entry] if self.group.spec.mode is GroupMode.EXITS else [one for one in self.group.spec.members if one.role is MemberRole.ENTRY]

    @cached_property
    def native(self) -> bool | None:
        """Return whether the exchange is to keep the group; None where that is settled or unknown."""
        if self.known.venue is None or any(member.made for member in self.members):
            return None
        return groups.goes_native(self.group, self.members, self.known.markets, self.known.venue)

    @cached_property
    def reference(self) -> Decimal | None:
        """Return the expected price of the (first) Entry; None if nothing says."""
        return self.paid_by(self.group.entry)

    def paid_by(self, entry: GroupMember | None) -> Decimal | None:
        """Return the expected price of an Entry; None if nothing says."""
        if entry is None or entry.type is OrderType.TRAILING_STOP:
            return None
        last = self.known.prices.get(entry.symbol)
        if entry.type is OrderType.MARKET:
            return last
        if entry.type is not OrderType.LIMIT or entry.price is None or last is None:
            return entry.trigger_price or entry.price
        return min(entry.price, last) if entry.side == "Buy" else max(entry.price, last)  # it takes what is better at once


Check: TypeAlias = Callable[[Case], Iterator[Problem]]


def problems(group: GroupRecord, members: Members, known: Known) -> Iterator[Problem]:
    """Yield what keeps the members that are not made yet from being placed, in the order of the checks."""
    case = Case(group, members, known)
    for check in CHECKS:
        yield from check(case)


def denial(group: GroupRecord, members: Members, known: Known) -> Problem | None:
    """Return why the group can't be placed, or why it waits; None once anything of it is made: an order may be at the exchange."""
    if group.unwanted or any(member.made for member in members):
        return None
    found = first(group, problems(group, members, known), known.wall_ms if not _stands_still(group) else None)
    return None if found is not None and found.waits and _stands_still(group) else found


def first(group: GroupRecord, found: Iterable[Problem], wall_ms: int | None) -> Problem | None:
    """Return what can never pass, or else what waits. What waits longer than the Entry's submit deadline can't pass."""
    waits = None
    for problem in found:
        if not problem.waits:
            return problem
        waits = waits or problem
    if waits is not None and wall_ms is not None and _deadline_passed(group, wall_ms):
        return Problem("SubmitDeadlineExceeded", f"The deadline for the first submission passed: create a new group. {waits.message}")
    return waits


def unfit(group: GroupRecord, members: Members, known: Known) -> Waiting | None:
    """Return what is known against members that were not sent, of a group that has members: it was edited, its market changed, or it waited long.

    Once an order was sent, prices of the market are no reason any more: they move, and what is open is protected as well as it can be.
    """
    if group.unwanted or group.finished:
        return None
    begun = nothing_sent(members) is False
    found = first(group, problems(group, members, replace(known, prices={}) if begun else known), None)
    if found is None or (found.waits and (begun or _stands_still(group))):
        return None
    return found.waiting if found.waits else Waiting(found.reason, f"{found.message} Edit the group, or cancel it.", person=True)


def nothing_sent(members: Members) -> bool:
    """Whether provably no member has ever been an order. One that may have been sent by an earlier process is none of those, until it is looked for."""
    return not any(_sent_once(member) for member in members)


def _sent_once(member: Member) -> bool:
    if member.gone or member.order is None or not member.order.attempts:
        return member.gone
    facts = member.facts
    return facts is None or facts.numbers != [1] or not facts.nothing_at_exchange(1) or facts.refused(1)


def price_wanted(group: GroupRecord, members: Members) -> str | None:
    """Return the market whose last price the exits are compared with; None if none is."""
    entry = group.entry
    compared = group.spec.mode is GroupMode.EXITS
    compared = compared or any(one.role is MemberRole.ENTRY and one.type in (OrderType.MARKET, OrderType.LIMIT) for one in group.spec.members)
    if entry is None or group.unwanted or _stands_still(group) or not compared or not nothing_sent(members):
        return None
    return entry.symbol if any(_aim(one) is not None or group_prices.unpriced(one.spec) for one in members) else None


def _stands_still(group: GroupRecord) -> bool:
    """Whether nothing of it is sent until somebody says so: it is judged again then."""
    return group.spec.suspend or group.restored


def unplaced(spec: OrderGroupSpec, name: str, *, created_ms: int = 0) -> tuple[GroupRecord, Members]:
    """Return a group as if it had just been created, for a judgement of its spec alone."""
    asked = Decimal(spec.position) if spec.position not in (None, group_positions.ACCOUNT) else None
    group = GroupRecord(uid="unplaced", namespace="", name=name, generation=1, resource_version="", created_ms=created_ms, spec=spec,
                        status=OrderGroupStatus(position=asked))
    held = [groups.held_member(group)] if spec.mode is GroupMode.EXITS else []
    return group, [
        *held, *(Member(spec=one, status=MemberStatus(name=one.name, intent_name=f"{name}-{one.name}", state=OrderState.PENDING)) for one in spec.members),
    ]


def orders(group: GroupRecord, members: Members, known: Known) -> list[Sent]:
    """Return the orders that the members will be, in their full size."""
    return Case(group, members, known).sent


def _deadline_passed(group: GroupRecord, wall_ms: int) -> bool:
    first_sent = group.entry or group.spec.members[0]
    if first_sent.submit_deadline_time is not None:
        return wall_ms > first_sent.submit_deadline_time.timestamp() * 1000
    seconds = first_sent.submit_deadline_seconds
    return seconds > 0 and wall_ms > group.created_ms + seconds * 1000


# ── How large and at what price ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _sent(case: Case, member: Member, market: MarketRules, size: Decimal | None) -> Sent:
    spec = groups.intent_spec(case.group, member, Want(quantity=size), case.known.markets)
    return Sent(member, market, request_for(spec, "", market, quantity=size))


def _needed(case: Case, member: Member) -> Decimal | None:
    """Return its full size; None if nothing says.

    A stop's is that once the smallest of several Entries is filled. Exits close what arrived, and those of one role share it.
    """
    if case.group.entry is None or member.spec.role not in EXITS:
        return member.spec.quantity
    sizes = [_entered(case, one) for one in case.entries]
    known = [size for size in sizes if size is not None]
    if len(known) < len(sizes):
        return member.spec.quantity
    opened = _arrived(case, min(known) if member.spec.role is MemberRole.STOP_LOSS else add(*known))
    own = group_positions.asked(member.spec, opened)
    alike = group_positions.sharing(case.group.spec, member, case.members)
    whole = add(*(group_positions.asked(one.spec, opened) for one in alike))
    if whole <= opened:
        return own
    market = case.known.markets.get(member.spec.symbol)
    return quantise_quantity(share_of(opened, own, whole), market.quantity_step) if market is not None else None


def _entered(case: Case, entry: GroupMember) -> Decimal | None:
    """Return how much an Entry is for.

    Of a quoteQuantity that is what it buys at the expected price, down to the market's step.
    """
    price, market = case.paid_by(entry), case.known.markets.get(entry.symbol)
    if entry.quantity is not None or entry.quote_quantity is None or not price or market is None:
        return entry.quantity
    worth = multiply(price, market.contract_size) if market.contract_size is not None else price
    return quantise_quantity(share_of(entry.quote_quantity, Decimal(1), worth), market.quantity_step)


def _arrived(case: Case, bought: Decimal) -> Decimal:
    """What is left of a purchase on spot when the fee was taken from it."""
    entry = case.group.entry
    market = case.known.markets.get(entry.symbol) if entry is not None else None
    fee = case.known.venue.taker_fee if case.known.venue is not None else None
    if entry is None or market is None or market.contract_size is not None or entry.side != "Buy" or fee is None or case.group.spec.mode is GroupMode.EXITS:
        return bought
    if case.known.fee_asset not in (None, market.base):
        return bought
    return subtract(bought, multiply(bought, fee))


def _aim(member: Member) -> Decimal | None:
    """The price at which an exit acts; None if it follows the market, or is no exit."""
    spec = member.spec
    if spec.role not in EXITS or spec.type is OrderType.TRAILING_STOP:
        return None
    return spec.trigger_price or spec.price


def _aim_from(one: Sent, aim: Decimal, reference: Decimal) -> Decimal:
    """Return the price at which an exit acts once an Entry has filled at `reference`.

    Of several Entries, each may be the only one that fills.
    """
    if not group_prices.relative(one.member.spec):
        return aim
    return _aim(replace(one.member, spec=group_prices.priced(one.member.spec, reference, one.market))) or aim


# ── The checks ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def parameters_are_sent(case: Case) -> Iterator[Problem]:
    for member in case.unmade:
        if (unsent := unsent_parameters(member.spec)) is not None:
            yield Problem("ExchangeParameters", f"Member {member.name}: {unsent}")


def markets_exist(case: Case) -> Iterator[Problem]:
    for member in case.unmade:
        symbol = member.spec.symbol
        if case.known.symbols and symbol not in case.known.symbols:
            sentence = "the account's spec.symbols does not list this symbol: add it there, or use another account."
            yield Problem("SymbolNotAllowed", f"Member {member.name}: {sentence}")
        elif case.known.all_markets and symbol not in case.known.markets:
            yield Problem("UnknownSymbol", f"Member {member.name}: the exchange has no market {symbol}: write it as ccxt does, for example BTC/USDT.")


def exits_fit_the_entry(case: Case) -> Iterator[Problem]:
    """Exits that are larger than the Entry would open a position the other way. In a later edit they are kept at what it fills."""
    if case.group.generation == 1 and groups.exits_too_large(case.group):
        yield Problem(groups.LARGER_EXITS.reason, groups.LARGER_EXITS.message)


def position_is_the_entrys(case: Case) -> Iterator[Problem]:
    """In hedge mode an order says which position it acts on, and an exit acts on the one that the Entry opened."""
    entry, venue = case.group.entry, case.known.venue
    for one in case.sent:
        side = one.request.position_side
        if side is None and venue is not None and venue.hedge_mode and one.market.contract_size is not None:
            yield one.problem("PositionSide", "this account has two positions per market: set spec.positionSide.")
        elif one.member.spec.role is MemberRole.ENTRY and entry is not None and side != entry.position_side:
            yield one.problem("PositionSide", "it acts on another position than the first Entry: give both the same positionSide.")
        elif one.exit and entry is not None and side != entry.position_side:
            yield one.problem("PositionSide", "it acts on another position than the one that the Entry opens: give it the Entry's positionSide.")
        elif side is not None and one.request.reduce_only and (one.request.side == "Buy") == (side == "Long"):
            sentence = f"a {one.request.side} order adds to the {side} position, and can't be reduce-only: correct side or positionSide."
            yield one.problem("PositionSide", sentence)


def large_enough_to_protect(case: Case) -> Iterator[Problem]:
    """An exit must be an order that the market takes, at its own price and in the size that arrives."""
    for one in case.sent:
        if (sentence := _too_small(case, one)) is not None:
            yield one.problem("TooSmallToProtect", sentence)


def _too_small(case: Case, one: Sent) -> str | None:
    quantity, market = one.request.quantity, one.market
    if not one.exit or case.group.entry is None or quantity is None:
        return None
    price = one.request.price or one.request.trigger_price or case.reference
    if price is not None and market.min_notional is not None and multiply(quantity, price) < market.min_notional and quantity > 0:
        left = f"{plain(quantity)} {market.base}, worth {plain(multiply(quantity, price))} {market.quote} at its price,"
        least, more = f"{plain(market.min_notional)} {market.quote}", "make the Entry larger, or bring this price nearer."
    elif too_small(one.member.spec, quantity, market):
        left, least = f"{plain(quantity)} {_unit(market)}", f"{plain(max(market.min_quantity or ZERO, market.quantity_step or ZERO))} {_unit(market)}"
        more = "make the Entry larger."
    else:
        return None
    return f"filled whole, the Entry leaves it {left} and the market's smallest order is {least}: {more}"


def _unit(market: MarketRules) -> str:
    return market.base if market.contract_size is None else "contracts"


def exits_are_on_their_sides(case: Case) -> Iterator[Problem]:
    """A long position's stop is below its entry and its take above; a short one's the other way round."""
    entry = case.group.entry
    pairs: list[tuple[Sent, Decimal, str]] = []
    aims = [(one, aim) for one in case.sent if (aim := _aim(one.member)) is not None]
    for opens in case.entries:
        if (reference := case.paid_by(opens)) is not None:
            whose = "the Entry's price" if len(case.entries) == 1 else f"the price of member {opens.name}"
            at = "the market's last price" if reference == case.known.prices.get(opens.symbol) and reference != opens.price else whose
            pairs += [(one, subtract(_aim_from(one, aim, reference), reference), at) for one, aim in aims if one.request.side != opens.side]
    if entry is None:
        stops = [(one, aim) for one, aim in aims if one.member.spec.role is MemberRole.STOP_LOSS]
        takes = [(one, aim) for one, aim in aims if one.member.spec.role is MemberRole.TAKE_PROFIT]
        pairs += [
            (stop, subtract(aim, level), f"the price of member {take.member.name}")
            for stop, aim in stops for take, level in takes
            if (stop.request.symbol, stop.request.side) == (take.request.symbol, take.request.side)
        ]
    for one, above, what in pairs:
        stop = one.member.spec.role is MemberRole.STOP_LOSS
        wanted_above = stop == (one.request.side == "Buy")
        if above == 0 or (above > 0) != wanted_above:
            yield one.problem(
                "WrongSide",
                f"a {one.member.spec.role} that {'buys' if one.request.side == 'Buy' else 'sells'} is {'above' if wanted_above else 'below'} {what}, "
                f"and this one would act at once: correct its {'triggerPrice' if one.request.trigger_price is not None else 'price'}.",
            )


def offsets_make_prices(case: Case) -> Iterator[Problem]:
    for one in case.unmade:
        if case.reference is not None and one.spec.symbol in case.known.markets and group_prices.unpriced(one.spec):
            yield Problem("OffsetTooLarge", f"Member {one.name}: its offset from {plain(case.reference)} makes no price above zero: make it smaller.")


def position_is_there(case: Case) -> Iterator[Problem]:
    """Ask for something to close: Exits are sized by one reading of what the account holds."""
    group, entry = case.group, case.group.entry
    if group.spec.mode is not GroupMode.EXITS or entry is None or not case.known.judges_positions or any(one.made for one in case.members):
        return
    position, market = group.status.position, case.known.markets.get(entry.symbol)
    if market is not None and market.contract_size is None and entry.side != "Buy":
        yield Problem("NoPosition", "On spot what the account holds is sold: the exits' side is Sell.")
    elif position is None:
        yield Problem("PositionUnknown", f"How much of {entry.symbol} the account holds is not known. {SEEN_LATER}", waits=True)
    elif position <= 0 or (market is not None and all(too_small(one.spec, position, market) for one in case.members if not one.held)):
        yield Problem("NoPosition", f"The account holds nothing of {entry.symbol} that the exits could close, or less than the smallest order. {SEEN_LATER}",
                      waits=True)


def price_is_known(case: Case) -> Iterator[Problem]:
    """A Market entry says no price: its exits are compared with the market's last one."""
    entry = next((one for one in case.entries if one.type is OrderType.MARKET and case.paid_by(one) is None), None)
    if entry is not None and any(_aim(one) is not None or group_prices.unpriced(one.spec) for one in case.unmade):
        yield Problem("PriceUnknown", f"The last price of {entry.symbol}, with which the exits are compared, is not known. {SEEN_LATER}", waits=True)


def market_takes_it(case: Case) -> Iterator[Problem]:
    """Type, time in force, trigger, sizes and prices. A market that is not open is no reason: its orders wait for it."""
    for one in case.sent:
        if _too_small(case, one) is not None:
            continue  # that is said already
        market = replace(one.market, active=True)
        sentence = (
            unacceptable(one.request, market, case.known.venue) if case.known.venue is not None
            else not_on_market(one.request, market) or breaks_rules(one.request, market)
        )
        if sentence is not None:
            yield one.problem("MarketRules", sentence)


def price_is_in_band(case: Case) -> Iterator[Problem]:
    """An exit is sent when the market is where the Entry filled; any other order, where the market is now."""
    for one in case.sent:
        reference = case.reference if one.exit and case.group.entry is not None else case.known.prices.get(one.request.symbol)
        if reference is not None and (sentence := out_of_band(one.request, one.market, reference)) is not None:
            yield one.problem("PriceOutOfBand", sentence)


def expires_later(case: Case) -> Iterator[Problem]:
    for one in case.sent:
        if case.known.wall_ms is not None and one.request.expire_time_ms is not None and one.request.expire_time_ms <= case.known.wall_ms:
            yield one.problem("ExpireTimePassed", "its expireTime has passed: set a later one.")


def risk_limits_allow_it(case: Case) -> Iterator[Problem]:
    """What a RiskLimit would refuse later whatever happens. What may pass by then is judged then."""
    for one in case.sent if case.known.limits else ():
        proposal = Proposal(request=one.request, exit=groups.closes(case.group, one.member))
        refusal = risk.refused(proposal, Exposure(limits=case.known.limits), one.market)
        if refusal is not None and not refusal.waits:
            yield one.problem(risk.REASON, refusal.message)
    for limit in case.known.limits or () if any(one.exit for one in case.sent) else ():
        most = limit.spec.max_open_orders if limit.spec is not None else None
        if most is not None and most < (needed := len(_at_once(case, case.sent))):
            yield Problem(risk.REASON, f"RiskLimit {limit.name}: maxOpenOrders is {most}, and the group has {needed} orders open at once: raise it.")


def orders_fit_the_market(case: Case) -> Iterator[Problem]:
    """A market takes so many orders of one account, and fewer that wait for a trigger."""
    for symbol in dict.fromkeys(one.request.symbol for one in case.sent):
        at_once = _at_once(case, [one for one in case.sent if one.request.symbol == symbol])
        if not at_once:
            continue
        market, triggered = at_once[0].market, sum(one.request.type in TRIGGERED for one in at_once)
        for most, needed, open_now, what in (
            (market.max_open_orders, len(at_once), case.known.open_orders.get(symbol, 0), "open orders"),
            (market.max_trigger_orders, triggered, case.known.trigger_orders.get(symbol, 0), "orders that wait for a trigger"),
        ):
            if most is None or needed == 0 or open_now + needed <= most:
                continue
            if needed > most:
                yield Problem("TooManyOrders", f"The market {symbol} takes {most} {what} of one account, and the group has {needed}: make it smaller.")
            else:
                why = f"The market {symbol} takes {most} {what} of one account, and too many are open for the group's {needed}: cancel some."
                yield Problem("TooManyOrders", f"{why} {SEEN_LATER}", waits=True)


def _at_once(case: Case, sent: Sequence[Sent]) -> list[Sent]:
    """The orders that may be open together: all that can rest."""
    instant = (TimeInForce.IOC, TimeInForce.FOK)
    return [one for one in sent if one.member.spec.type is not OrderType.MARKET and one.member.spec.time_in_force not in instant]


def kept_as_one_list(case: Case) -> Iterator[Problem]:
    """Require needs the exchange's list; Prefer needs it where two orders of one position would lock its balance twice."""
    group, venue = case.group, case.known.venue
    if venue is None or case.native is not False or group.unread:
        return
    if group.spec.native_policy is NativePolicy.REQUIRE:
        why = groups.not_listed(group, case.members, case.known.markets, venue) or ""
        yield Problem("NoNativeGroup", f"nativePolicy is Require, and the exchange can't keep the group as one list. {why} Or set Prefer or Never.")
    elif group.spec.native_policy is NativePolicy.PREFER and groups.locks_twice(group, case.known.markets):
        yield Problem(groups.NEEDS_NATIVE.reason, groups.NEEDS_NATIVE.message)


def list_leaves_room_for_the_fee(case: Case) -> Iterator[Problem]:
    """An exchange places the exits of its list as they were sent.

    It refuses one that is larger than what arrived by then, and the position has no protection.
    """
    venue, entry = case.known.venue, case.group.entry
    if venue is None or entry is None or entry.quantity is None or not case.native:
        return
    for one in (sent for sent in case.sent if sent.exit):
        most = quantise_quantity(_arrived(case, entry.quantity), one.market.quantity_step)
        if (groups.in_list(one.member, case.members) or ZERO) > most:
            fee = f"a fee of {plain(venue.taker_fee or ZERO)} taken in {one.market.base}"
            yield one.problem(
                "ExitsLargerThanArrives",
                f"after {fee} the Entry brings {plain(most)}, and the exchange's list places its exits as large as they are written: set its quantity to "
                f"{plain(most)} or less, or spec.feeAsset of the ExchangeAccount if fees are paid in another asset.",
            )


CHECKS: tuple[Check, ...] = (
    parameters_are_sent,
    markets_exist,
    exits_fit_the_entry,
    position_is_the_entrys,
    large_enough_to_protect,
    exits_are_on_their_sides,
    market_takes_it,
    price_is_in_band,
    expires_later,
    risk_limits_allow_it,
    kept_as_one_list,
    list_leaves_room_for_the_fee,
    orders_fit_the_market,
    position_is_there,
    price_is_known,
    offsets_make_prices,
)
