"""What a group wants of its members now: which of them exist, how large they are, whether they may be sent, and whether they are to go.

Pure and level-triggered: it follows from how much each member has filled and how it stands, however often it is asked and whatever crashed in between.
Members act by themselves on what is said here (`core/decide.py`); who makes and changes their objects is `reconcile/order_group.py`. How a group ends
and what is shown of it is `core/group_status.py`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from exchange_kernel.api import (
    DeletionPolicy,
    DesiredState,
    FailurePolicy,
    GroupDeletionPolicy,
    GroupDesiredState,
    GroupMember,
    GroupMode,
    GroupRef,
    MemberRole,
    MemberStatus,
    NativePolicy,
    OrderGroupSpec,
    OrderGroupStatus,
    OrderIntentSpec,
    OrderState,
    OrderTerms,
    PartialFillPolicy,
    PositionEffect,
    RefusalKind,
    TriggerPassedPolicy,
)
from exchange_kernel.api.order_terms import IDENTITY, UNCHANGEABLE
from exchange_kernel.core import extra_members, fees, group_positions, group_prices
from exchange_kernel.core.actions import Waiting
from exchange_kernel.core.facts import Facts
from exchange_kernel.core.market_rules import group_unacceptable, request_for, too_small
from exchange_kernel.core.money import ZERO, add, quantise_quantity, share_of, subtract
from exchange_kernel.core.order import Closing, OrderRecord
from exchange_kernel.core.sending import SendStage
from exchange_kernel.core.venue import Capabilities, GroupLeg, GroupRequest, MarketRules

NOT_RECORDED = Waiting("MembersBeingMade", "The group's members are being made: none is sent before all are.")
SUSPENDED = Waiting("Suspended", "spec.suspend of the OrderGroup is true: nothing is sent until it is false.")
RESTORED = Waiting(
    "Restored", "The OrderGroup was restored from a backup, and its orders may have been sent before: remove the label velero.io/restore-name to send them.",
    person=True,
)
ANOTHER_UNKNOWN = Waiting("MemberUnknown", "What became of another member of the group is being found out: nothing that opens a position is sent meanwhile.")
NO_MEMBER = Waiting(
    "NoMember",
    "spec.groupRef names an OrderGroup that did not make this OrderIntent, and nothing is sent: delete it, or set desiredState: Canceled, and write an "
    "OrderGroup, or an OrderIntent without groupRef.",
    person=True,
)
DIFFERS = Waiting(
    "MemberDiffers", "spec is not what the OrderGroup wants of it now: nothing is sent before the group has put that right. Edit the OrderGroup to change it."
)
NOTHING_OPEN = Waiting("NothingOpen", "Exits have closed what the Entry filled so far: this one is sent if the Entry fills more.")
BELOW_MINIMUM = "What the Entry filled is below the market's smallest order."
NEEDS_NATIVE = Waiting(
    "NeedsNativeGroup",
    "Two resting orders of one position need its balance twice on spot, unless the exchange keeps them as one list, and this one's does not do just what "
    "the operator would: set nativePolicy: Require and onPartialFill: Cancel to use its list by its rules, or Never to have it tried.",
)

LARGER_EXITS = Waiting(
    "ExitsLargerThanEntry",
    "The StopLoss or the TakeProfit members are larger than the Entry, alone or together, and would open a position the other way: create the group with "
    "exits that are at most as large.",
)

#: Modes whose exits are of one position, and make each other smaller.
OF_A_POSITION = (GroupMode.BRACKET, GroupMode.EXITS)

#: Roles that close a position.
EXITS = (MemberRole.STOP_LOSS, MemberRole.TAKE_PROFIT)

#: Fields of an OrderIntent's spec that can't be changed: what differs in these is never made the same.
FIXED = frozenset(
    name for name, one in OrderIntentSpec.model_fields.items()
    if (one.alias or name) in ("accountRef", "idempotencyKey", "groupRef", *IDENTITY, *UNCHANGEABLE)
)
#: Fields of a member that its order is sent by. Its size follows fills, and the group chooses the rest.
_SENT = frozenset(OrderTerms.model_fields) - {
    "quantity", "desired_state", "position_effect", "submit_deadline_seconds", "submit_deadline_time", "metadata",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupRecord:
    """An OrderGroup as the store has it."""

    uid: str
    namespace: str
    name: str
    generation: int
    resource_version: str
    created_ms: int  # by the API server's clock
    spec: OrderGroupSpec
    status: OrderGroupStatus
    deleting: bool = False
    finalizer: bool = False
    restored: bool = False
    strategy: str | None = None  # whose it is, by its label: its members are theirs too
    creator: str | None = None  # the user who made it, as admission stamped it: its members carry the same stamp

    @property
    def finished(self) -> bool:
        return self.status.completion_time is not None

    @property
    def unread(self) -> bool:
        """Return whether it is of mode Exits and its position is not written down."""
        return self.spec.mode is GroupMode.EXITS and self.status.position is None

    @property
    def unwanted(self) -> bool:
        """Whether its entries and legs are to go from the exchange."""
        asked = self.spec.desired_state is GroupDesiredState.CANCELED
        return asked or (self.deleting and self.spec.deletion_policy is not GroupDeletionPolicy.ORPHAN)

    @property
    def entry(self) -> GroupMember | None:
        """Return the (first) member on whose fills others depend; of Exits, what is held."""
        if self.spec.mode is GroupMode.EXITS:
            return group_positions.held_entry(self.spec, self.status.position)
        if self.spec.mode not in (GroupMode.ONE_TRIGGERS_OTHER, GroupMode.BRACKET):
            return None
        return next(member for member in self.spec.members if member.role is MemberRole.ENTRY)

    @property
    def reduces(self) -> bool:
        """Whether a fill of one makes the others smaller, rather than cancelling them."""
        default = PartialFillPolicy.REDUCE if self.spec.mode in OF_A_POSITION else PartialFillPolicy.CANCEL
        return (self.spec.on_partial_fill or default) is PartialFillPolicy.REDUCE


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One member: what is wanted of it, what was written of it, and its intent as far as there is one."""

    spec: GroupMember
    status: MemberStatus
    order: OrderRecord | None = None
    facts: Facts | None = None  # None while the account's session can't be asked
    recorded: bool = True  # the group's status, as it is written, has its UID if it has one
    held: bool = False  # it is no order, but the position that Exits close

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def extra(self) -> bool:
        """Return whether the group added it by itself."""
        return self.status.extra_of is not None

    @property
    def made(self) -> bool:
        """Whether it was ever made: then it is never made again."""
        return self.status.uid is not None or self.order is not None

    @property
    def gone(self) -> bool:
        return self.status.uid is not None and self.order is None

    @property
    def finished(self) -> bool:
        """Whether nothing about it can change any more."""
        return self.gone or self.status.finished if self.order is None else self.order.finished

    @property
    def state(self) -> OrderState:
        return self.order.status.state if self.order is not None else self.status.state

    @property
    def failed(self) -> bool:
        """Refused by the exchange, the operator, or the API server."""
        return self.finished and self.state in (OrderState.REJECTED, OrderState.DENIED)

    @property
    def refused(self) -> bool:
        """16: whether the exchange refused the last attempt of an exit, for what may not pass, and nothing of it works."""
        if self.facts is None or self.finished or self.live or not self.facts.numbers:
            return False
        last = self.facts.numbers[-1]
        return self.facts.refused(last) and self.facts.refusal(last) in (None, RefusalKind.BALANCE)

    @property
    def filled(self) -> Decimal:
        """The most that is known, seen or written."""
        written = self.order.status.filled_quantity if self.order is not None else None
        return max(self.facts.filled_total() if self.facts is not None else ZERO, written or ZERO, self.status.filled_quantity or ZERO)

    def brought(self, markets: Mapping[str, MarketRules]) -> Decimal:
        """How much of its fills is there to be closed: on spot, what was bought less the fees that were taken in it."""
        if self.order is None and self.status.arrived_quantity is not None:
            return min(self.filled, self.status.arrived_quantity)  # its object is gone, and its fees with it
        market = markets.get(self.spec.symbol)
        if self.spec.side != "Buy" or market is None or market.contract_size is not None or self.filled <= 0:
            return self.filled
        written = fees.amounts(self.order.status.fees) if self.order is not None else {}
        paid = fees.paid(self.facts).total if self.facts is not None else written
        return max(ZERO, subtract(self.filled, max(ZERO, paid.get(market.base, ZERO))))

    @property
    def quantity(self) -> Decimal:
        return self.spec.quantity or ZERO

    @property
    def working(self) -> Decimal:
        """How much of it may still fill at the exchange: 0 unless it is live."""
        if self.facts is None or self.finished:
            return ZERO
        return add(*(self._open(self.facts, number) for number in self.facts.numbers if self.facts.live(number)))

    def _open(self, facts: Facts, number: int) -> Decimal:
        asked = facts.quantity_of(number)
        twins = add(*(twin.quantity or ZERO for twin in facts.seen.duplicates.get(number, ()) if not twin.status.ended))
        return max(ZERO, subtract(add(asked if asked is not None else self.quantity, twins), facts.filled(number).quantity))

    @property
    def live(self) -> bool:
        """Whether the exchange has it working."""
        return self.facts is not None and not self.finished and any(self.facts.live(number) for number in self.facts.numbers)

    @property
    def unknown(self) -> bool:
        """Whether an order of it may exist that is not known. One on its way for the first time is not: its answer comes, or makes it so."""
        if self.facts is None or self.finished:
            return self.state is OrderState.UNKNOWN
        sends = {number: self.facts.send(number) for number in self.facts.numbers}
        return any(
            not self.facts.settled(number) and (send is None or send.stage is not SendStage.IN_FLIGHT) for number, send in sends.items()
        )

    @property
    def cancelled(self) -> bool:
        """Whether a person wants this one gone: by the group's spec, by its own, or by deleting it."""
        return self.spec.desired_state is DesiredState.CANCELED or (
            self.order is not None and (self.order.deleting or self.order.spec.desired_state is DesiredState.CANCELED)
        )


def believed(written: MemberStatus, known: MemberStatus | None, order: OrderRecord | None) -> MemberStatus:
    """What a member's status says as far as it fits: one that was wiped, set back or written by hand makes no member new and ends none.

    `known`: as this process last had it; `order`: the intent found for it.
    """
    if order is not None:
        own = order.uid == written.uid or (written.uid is None and not order.attempts and (known is None or known.uid is None))
        return written if own else written.model_copy(update={"uid": order.uid, "gone": False, "finished": False})
    if known is not None and known.uid is not None and (written.uid != known.uid or (known.finished and not written.finished)):
        return known
    if known is not None and known.uid is None and written.uid is None and known.finished is not written.finished:
        return known
    return written


def ended_by_nobody(group: GroupRecord, members: Members) -> bool:
    """Whether the group's status tells an end that its members contradict."""
    return group.finished and any(member.order is not None and not member.order.finished for member in members)


def is_native(group: GroupRecord) -> bool:
    """Whether the exchange keeps the group as one list, as was written before it was sent, and as its spec allows."""
    return group.status.native and _native_by_spec(group)


def _native_by_spec(group: GroupRecord) -> bool:
    policy, does_the_same = group.spec.native_policy, _list_mode(group) is GroupMode.ONE_CANCELS_OTHER and not group.reduces
    return policy is not NativePolicy.NEVER and not group.reduces and (policy is NativePolicy.REQUIRE or does_the_same)


def _list_mode(group: GroupRecord) -> GroupMode:
    """Return what kind of list the exchange would keep the group as."""
    return GroupMode.ONE_CANCELS_OTHER if group.spec.mode is GroupMode.EXITS else group.spec.mode


def with_position(group: GroupRecord, members: Members, position: Decimal | None) -> tuple[GroupRecord, Members]:
    """Return Exits as they are once this reading of the position is written down."""
    if not group.unread or position is None:
        return group, members
    group = replace(group, status=group.status.model_copy(update={"position": position}))
    return group, [held_member(group) if one.held else one for one in members]


def held_member(group: GroupRecord) -> Member:
    """Return what stands in place of an Entry's member: filled once the position is known."""
    position = group.status.position
    state = OrderState.PENDING if position is None else OrderState.FILLED
    spec = group_positions.held_entry(group.spec, position)
    status = MemberStatus(name=spec.name, intent_name=spec.name, state=state, finished=position is not None, filled_quantity=position)
    return Member(spec=spec, status=status, held=True)


@dataclass(frozen=True, slots=True)
class Want:
    """What the group wants of one member now."""

    quantity: Decimal | None = None  # how large it is to be; None: as it stands in spec
    exists: bool = True  # it is to have an intent: from now on, for ever
    unwanted: bool = False  # its order is to go from the exchange
    never: str | None = None  # why it will never exist, for people
    held: Waiting | None = None  # why it may not be sent yet


Members = Sequence[Member]


def wants(group: GroupRecord, members: Members, markets: Mapping[str, MarketRules], *, native: bool = False) -> dict[str, Want]:
    """What is wanted of each member, by name. `native`: the exchange keeps them as one list."""
    return {member.name: want_of(group, member, members, markets, native=native) for member in members}


def want_of(group: GroupRecord, member: Member, members: Members, markets: Mapping[str, MarketRules], *, native: bool = False) -> Want:
    """What is wanted of one member."""
    if member.held:
        return Want(exists=False)
    by_mode = _listed if native and group.entry is not None and not member.extra else _MODES[group.spec.mode]
    before = _asked_on(member, markets)
    want = by_mode(group, member, members, before)
    if before is not markets and (member.order is None or want.quantity not in (None, member.order.spec.quantity)):
        want = by_mode(group, member, members, markets)  # another size than was asked for, so it is reckoned on the market's steps as they are now
    if native and group.entry is None and _broken(member, members):
        want = replace(want, unwanted=True)
    return _held(group, member, members, _unwanted(group, member, want))


def _asked_on(member: Member, markets: Mapping[str, MarketRules]) -> Mapping[str, MarketRules]:
    """10: this member's market with the step that its size was reckoned on, where that is another now: a new step alone changes no size."""
    taken = member.order.status.market if member.order is not None and not member.order.finished else None
    market = markets.get(member.spec.symbol)
    if taken is None or market is None or market.quantity_step == taken.quantity_step:
        return markets
    return {member.spec.symbol: replace(market, quantity_step=taken.quantity_step)}


def _unwanted(group: GroupRecord, member: Member, want: Want) -> Want:
    """Nobody's order outlives the wish for it; what never was made needs no cancel."""
    unwanted = want.unwanted or member.cancelled
    if not unwanted or member.made or not (want.exists or member.cancelled):
        return Want(want.quantity, want.exists, unwanted, want.never, want.held)
    return Want(want.quantity, False, True, want.never or "Canceled before it was made.", want.held)


def _held(group: GroupRecord, member: Member, members: Members, want: Want) -> Want:
    """6, 3: what makes a member wait. Only the group has its members sent, and only once their objects are written down."""
    held = want.held
    if group.spec.suspend:
        held = SUSPENDED
    elif group.restored:
        held = RESTORED
    elif member.status.uid is None or not member.recorded:
        held = NOT_RECORDED
    elif member.order is not None and member.order.uid != member.status.uid:
        held = NO_MEMBER
    elif (member.spec.role not in EXITS or group.entry is None) and any(other.unknown for other in members if other.name != member.name):
        held = ANOTHER_UNKNOWN
    return Want(want.quantity, want.exists, want.unwanted, want.never, held)


# ── The modes ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

def _one_cancels_other(group: GroupRecord, member: Member, members: Members, markets: Mapping[str, MarketRules]) -> Want:
    others = [other for other in members if other.name != member.name]
    if group.unwanted or _gave_up(group, members):
        return Want(unwanted=True)
    return _beside(group, member, others, member.quantity, markets)


def _basket(group: GroupRecord, member: Member, members: Members, markets: Mapping[str, MarketRules]) -> Want:
    return Want(unwanted=group.unwanted or _gave_up(group, members))


def _triggered(group: GroupRecord, member: Member, members: Members, markets: Mapping[str, MarketRules]) -> Want:
    """The Entry, and what follows from its fills: Legs by their share of it, exits for what is open (43)."""
    entry = group_positions.opening(members)
    others = [one for one in members if one.name != member.name]
    exits = [one for one in members if one.spec.role in EXITS]
    closing = extra_members.closes_now(group, members)
    ending = group.unwanted or closing
    if member.spec.role is MemberRole.ENTRY:
        # Once an exit fills, the position is being closed: what the Entry has not filled by then is not wanted any more.
        return Want(unwanted=ending or _gave_up(group, others) or any(one.filled > 0 for one in exits))
    closes = member.spec.role in EXITS
    if closes and (closing or member.extra) and (want := _closed_at_market(group, member, members, markets, closing=closing)) is not None:
        return want
    if entry.filled <= 0 and not (closes and member.made):
        over = entry.finished or (group.unwanted and group.unread)
        never = "The Entry ended unfilled: there is nothing to follow it." if over else None
        return Want(exists=False, never=never, unwanted=over)
    if closes:
        if group.unwanted and not _stays(group, member) and entry.finished:
            return Want(unwanted=True)
        return _exit(group, member, entry, exits, markets)
    if ending or _gave_up(group, members):
        return Want(unwanted=True)
    size = _on_grid(min(member.quantity, share_of(entry.filled, member.quantity, entry.quantity)), member.spec, markets)
    if size is None or (not member.made and too_small(member.spec, size, markets[member.spec.symbol])):
        return Want(exists=member.made, never=BELOW_MINIMUM if entry.finished and size is not None else None)
    return Want(quantity=size)


def _closed_at_market(group: GroupRecord, member: Member, members: Members, markets: Mapping[str, MarketRules], *, closing: bool) -> Want | None:
    """Return what closing at market wants of an exit; None where it wants nothing else."""
    if member.spec.role is MemberRole.STOP_LOSS:
        return Want(unwanted=True) if closing and extra_members.stops_make_way(members, markets) else None
    if not member.extra:
        return Want(unwanted=True)
    if not closing:
        return Want(unwanted=True, exists=member.made)
    if (market := markets.get(member.spec.symbol)) is None:
        return Want(exists=member.made)
    opened, links = group_positions.opening(members).brought(markets), extra_members.chain(member, members)
    elsewhere = add(*(one.filled for one in members if one.spec.role in EXITS and one not in links))
    total = max(ZERO, quantise_quantity(subtract(opened, elsewhere), market.quantity_step))
    size = max(extra_members.own_part(member, links, total), member.filled)
    if size <= member.filled:
        return Want(quantity=member.order.spec.quantity if member.order is not None else None, unwanted=True)
    if not member.made and too_small(member.spec, size, market):
        return Want(exists=False, never=BELOW_MINIMUM)
    # While something else keeps it from being sent, which it says itself, the stop stays.
    waits = extra_members.in_the_way(members, market) and (market.contract_size is not None or extra_members.stops_make_way(members, markets))
    if waits:
        return Want(quantity=size, held=extra_members.MAKING_WAY)
    return Want(quantity=size, held=extra_members.NOBODY_TRADES if extra_members.closes_again_in_ms(links) else None)


def _listed(group: GroupRecord, member: Member, members: Members, markets: Mapping[str, MarketRules]) -> Want:
    """A list of the exchange's own with an Entry: all of it is made at once, and its exits wait there until the Entry is filled whole."""
    entry = next(one for one in members if one.spec.role is MemberRole.ENTRY)
    if member is entry:
        # Of a list that was refused nothing is sent again: each of its members ends by itself, and so fails.
        failed = group.spec.failure_policy is FailurePolicy.CANCEL_ALL and any(one.failed for one in members)
        return Want(unwanted=group.unwanted or extra_members.closes_now(group, members) or _broken(member, members) or failed)
    if entry.filled <= 0 and entry.finished:
        return Want(unwanted=True)  # until then the Entry alone is cancelled: filled meanwhile, it needs them, and else they go with it
    # Of a position's exits both stay: the exchange itself keeps one from filling after the other, and would end both with either.
    if group.unwanted and entry.finished and group.spec.deletion_policy is GroupDeletionPolicy.CANCEL_ALL:
        return Want(unwanted=True)
    if entry.finished and extra_members.stops_make_way(members, markets):
        return Want(unwanted=True)
    siblings = [one for one in members if one.name != member.name and one is not entry and not one.extra] if group.spec.mode in OF_A_POSITION else []
    return Want(quantity=in_list(member, members), unwanted=any(one.filled > 0 for one in siblings))


def in_list(member: Member, members: Members) -> Decimal | None:
    """How large a member of the exchange's list is: the exchange places exits as they were sent, once the Entry is filled whole."""
    entry = next((one for one in members if one.spec.role is MemberRole.ENTRY), None)
    return min(group_positions.asked(member.spec, entry.quantity), entry.quantity) if entry is not None and member.spec.role in EXITS else member.spec.quantity


def _broken(member: Member, members: Members) -> bool:
    """Whether a list that is there whole or not at all has lost another of its orders, by a person or a refusal and not by a fill."""
    lost = any(other.cancelled or other.gone or other.failed for other in members if other.name != member.name)
    return lost and not any(one.filled > 0 for one in members)


def exempt(group: GroupRecord, member: Member, members: Members, *, native: bool = False) -> Decimal | None:
    """Return how large an exit may be in all without being held to RiskLimits; else None.

    That is what the Entry filled and no other exit closed.
    """
    if not closes(group, member):
        return None
    if native:
        return in_list(member, members)  # placed by the exchange, once the Entry is filled whole
    opened, exits = group_positions.opening(members).filled, [one for one in members if one.spec.role in EXITS]
    if member.spec.quantity is None or len(extra_members.chain(member, exits)) > 1:
        return max(subtract(opened, add(*(one.filled for one in exits if one.name != member.name))), member.filled)
    return max(_allowed(group, member, opened, exits), member.filled)


def closes(group: GroupRecord, member: Member) -> bool:
    """Whether the member can only close what the group's Entry opened: an exit on its market and the other side. RiskLimits exempt no other."""
    entry = group.entry
    return (
        entry is not None and member.spec.role in EXITS and (member.spec.symbol, member.spec.position_side) == (entry.symbol, entry.position_side)
        and member.spec.side != entry.side
    )


def closing(group: GroupRecord, member: Member, members: Members, want: Want) -> Closing | None:
    """16: what an exit whose Entry has filled goes by when it is refused; None for every other member."""
    if not closes(group, member) or group_positions.opening(members).filled <= 0:
        return None
    default = TriggerPassedPolicy.MARKET if member.spec.role is MemberRole.STOP_LOSS else TriggerPassedPolicy.REPORT
    bare_ms = group.spec.max_unprotected_seconds * 1000 if member.spec.role is MemberRole.STOP_LOSS else None
    return Closing(most=want.quantity, trigger_passed=member.spec.on_trigger_passed or default, bare_ms=bare_ms)


def nothing_open(group: GroupRecord, member: Member, members: Members, markets: Mapping[str, MarketRules]) -> bool:
    """Whether exits have closed all that the Entry has filled so far: an exit that is not at the exchange is not sent then."""
    if member.live or not closes(group, member):
        return False
    opened = group_positions.opening(members).brought(markets)
    return add(*(one.filled for one in members if one.spec.role in EXITS)) >= opened > 0


def exits_lack_their_market(group: GroupRecord, members: Members, markets: Mapping[str, MarketRules]) -> bool:
    """Return whether exits of a filled Entry are unmade because their market is not listed."""
    if group.finished or not any(member.spec.role is MemberRole.ENTRY and member.filled > 0 for member in members):
        return False
    return any(member.spec.role in EXITS and not member.made and member.spec.symbol not in markets for member in members)


def _exit(group: GroupRecord, member: Member, entry: group_positions.Opening, exits: Members, markets: Mapping[str, MarketRules]) -> Want:
    """One exit, as large as what is open allows. Between the Entry's last fill and its end nothing is taken away for good: it may still fill."""
    if group_prices.unpriced(member.spec):
        return Want(exists=member.made)
    if (market := markets.get(member.spec.symbol)) is None:
        return Want(exists=member.made)
    opened = entry.brought(markets)
    allowed = _rounded(group, member, opened, exits, market)
    size = max(allowed, member.filled)
    rest = subtract(size, member.filled)
    closed = any(other.filled > 0 for other in exits if other.name != member.name)
    taken = any(other.filled > 0 for other in exits if other.name != member.name and not (other.extra or member.extra))
    if taken and group.spec.mode in OF_A_POSITION and not group.reduces:
        return Want(quantity=size, unwanted=True)
    over = rest <= 0 and (closed or allowed <= 0 or allowed < member.filled)
    if not member.made and not over and too_small(member.spec, size, markets[member.spec.symbol]):
        return Want(exists=False, never=BELOW_MINIMUM if entry.finished else None)
    if not over and not _too_large_for_good(member, rest, markets[member.spec.symbol]):
        return Want(quantity=size)
    if entry.finished:
        return Want(quantity=size, unwanted=True)
    if group_positions.asked(member.spec, opened) < member.filled and subtract(opened, add(*(one.filled for one in exits))) > 0:
        return Want(quantity=size)  # edited to less than it filled: what is open is for the others
    # An exit that is cancelled is never made again. It waits as it is: at the exchange, whatever somebody wrote into its spec.
    current = member.order.spec.quantity if member.order is not None else None
    if current is not None and member.live:
        current = min(current, add(member.filled, member.working))
    return Want(quantity=current or size, exists=member.made)


def _too_large_for_good(member: Member, rest: Decimal, market: MarketRules) -> bool:
    """Whether its order is larger than what is open and can't be made as small, with nothing at the exchange to keep it from opening a position."""
    reduces = member.order is not None and member.order.spec.position_effect is PositionEffect.REDUCE_ONLY
    return not reduces and member.working > rest > 0 and too_small(member.spec, rest, market)


def _rounded(group: GroupRecord, member: Member, opened: Decimal, exits: Members, market: MarketRules) -> Decimal:
    """Return how large an exit may be in all, on the market's step; a chain shares it."""
    links, chains = extra_members.chain(member, exits), extra_members.joined(exits)
    if len(links) == 1:
        return _chain_rounded(group, member, opened, chains, market)
    whole = next(one for one in chains if one.name == links[0].name)
    return extra_members.own_part(member, links, _chain_rounded(group, whole, opened, chains, market))


def _chain_rounded(group: GroupRecord, member: Member, opened: Decimal, exits: Members, market: MarketRules) -> Decimal:
    def on_step(one: Member) -> Decimal:
        return max(ZERO, quantise_quantity(_allowed(group, one, opened, exits), market.quantity_step))

    alike = group_positions.sharing(group.spec, member, exits)
    left = max(ZERO, quantise_quantity(subtract(opened, group_positions.closed_besides(alike, exits)), market.quantity_step))
    return group_positions.with_rounding(member, left, alike, on_step, market.quantity_step or ZERO)


def _allowed(group: GroupRecord, member: Member, opened: Decimal, exits: Members) -> Decimal:
    """How large an exit may be in all: what the Entry filled, less what exits of the other kind closed, and shared by quantity with others of its own.

    One that ended has no more than it filled, and one that filled beyond its share leaves the others less. Stops that are alternatives share nothing.
    """
    sharing = group_positions.sharing(group.spec, member, exits)
    left = max(ZERO, subtract(opened, group_positions.closed_besides(sharing, exits)))
    while fixed := {
        one.name: one.filled for one in sharing if one.name != member.name and (one.finished or one.filled > _share(one, opened, left, sharing))
    }:
        left = max(ZERO, subtract(left, add(*fixed.values())))
        sharing = [one for one in sharing if one.name not in fixed]
    return _share(member, opened, left, sharing)


def _share(member: Member, opened: Decimal, left: Decimal, sharing: Members) -> Decimal:
    own, whole = group_positions.asked(member.spec, opened), add(*(group_positions.asked(one.spec, opened) for one in sharing))
    return own if whole <= left else share_of(left, own, whole)


_MODES: Mapping[GroupMode, Callable[[GroupRecord, Member, Members, Mapping[str, MarketRules]], Want]] = {
    GroupMode.ONE_CANCELS_OTHER: _one_cancels_other,
    GroupMode.ONE_TRIGGERS_OTHER: _triggered,
    GroupMode.BRACKET: _triggered,
    GroupMode.EXITS: _triggered,
    GroupMode.BASKET: _basket,
}


def _beside(group: GroupRecord, member: Member, others: Members, size: Decimal, markets: Mapping[str, MarketRules]) -> Want:
    """What is left for one of several orders of which each is for the same thing: nothing once another filled, or less by its share (42)."""
    if not group.reduces:
        return Want(quantity=size, unwanted=any(other.filled > 0 for other in others))
    taken = add(*(share_of(other.filled, member.quantity, other.quantity) for other in others if other.quantity > 0))
    left = _on_grid(subtract(size, taken), member.spec, markets)
    if left is None:
        return Want(quantity=size)
    return Want(quantity=left, unwanted=True) if left <= member.filled and taken > 0 else Want(quantity=left)


def _on_grid(quantity: Decimal, terms: OrderTerms, markets: Mapping[str, MarketRules]) -> Decimal | None:
    """Down to the market's step; None while the market is not known."""
    market = markets.get(terms.symbol)
    return max(ZERO, quantise_quantity(quantity, market.quantity_step)) if market is not None else None


def _gave_up(group: GroupRecord, members: Members) -> bool:
    """44: one was refused, and the others are not wanted without it. An exit of an open position has not failed by that, and is sent again (16)."""
    if group.spec.failure_policy is not FailurePolicy.CANCEL_ALL:
        return False
    return any(member.failed or (member.refused and closes(group, member)) for member in members)


def _stays(group: GroupRecord, member: Member) -> bool:
    """Whether this exit of an open position is left working though the group is not wanted any more."""
    if group.spec.deletion_policy is GroupDeletionPolicy.CANCEL_ALL:
        return False
    # On its own a TakeProfit beside a StopLoss would be two orders for one position, with nobody to keep one from filling after the other.
    return not group.deleting or member.spec.role is MemberRole.STOP_LOSS


# ── What follows for the whole ──────────────────────────────────────────────────────────────────────────────────────────────────────────────

def goes_native(group: GroupRecord, members: Members, markets: Mapping[str, MarketRules], venue: Capabilities) -> bool:
    """Whether the exchange is to keep the group. Decided once, and written before anything is sent."""
    if any(status.uid is not None for status in group.status.members):
        return is_native(group)
    if any(member.order is not None and member.order.attempts for member in members):
        return _native_by_spec(group) and _list_mode(group) in venue.native_groups  # its status was lost: it was decided when they were sent
    return _native_by_spec(group) and not_listed(group, members, markets, venue) is None


def not_listed(group: GroupRecord, members: Members, markets: Mapping[str, MarketRules], venue: Capabilities) -> str | None:
    """Why the exchange can't keep the group as one list, as a sentence."""
    if _list_mode(group) not in venue.native_groups:
        return "This exchange has no list for it."
    if group.spec.mode in OF_A_POSITION and group.reduces:
        return "Its list cancels the other exit at any fill of one: set onPartialFill: Cancel."
    if group.entry is not None and any(group_prices.relative(member.spec) for member in members):
        return "Its list takes no exits whose prices follow what the Entry fills at: set price and triggerPrice."
    market = markets.get(members[0].spec.symbol)
    if market is None:
        return "Its market is not known."
    request = list_request(group, members, markets, "", dict.fromkeys((member.name for member in members), ""))
    return group_unacceptable(request, replace(market, active=True), venue)  # one that is not open now is no reason to keep it otherwise


def list_request(group: GroupRecord, members: Members, markets: Mapping[str, MarketRules], list_id: str, ids: Mapping[str, str]) -> GroupRequest:
    """All members as one list, under the ids they would have alone: the Entry first."""
    market = markets[members[0].spec.symbol]
    legs = []
    for member in sorted((one for one in members if not one.held), key=lambda one: one.spec.role is not MemberRole.ENTRY):
        spec = intent_spec(group, member, Want(quantity=in_list(member, members)), markets)
        legs.append(GroupLeg(member.spec.role, request_for(spec, ids[member.name], market, quantity=spec.quantity)))
    return GroupRequest(list_id, _list_mode(group), tuple(legs))


def exits_too_large(group: GroupRecord) -> bool:
    """Whether the exits of one kind are larger together than the Entry, as the group was created; in a later edit they are kept at what it fills."""
    if group.entry is None or group.spec.mode is GroupMode.EXITS:
        return False
    whole = group_positions.entered(group.spec)
    for role in EXITS:
        exits = [one for one in group.spec.members if one.role is role]
        sizes = [group_positions.asked(one, whole if whole is not None else group_positions.HUNDRED) for one in exits]
        together = max(sizes, default=ZERO) if any(group_positions.alternatives(group.spec, one) for one in exits) else add(*sizes)
        if together > (whole if whole is not None else group_positions.HUNDRED):
            return True
    return False


def locks_twice(group: GroupRecord, markets: Mapping[str, MarketRules]) -> bool:
    """Whether several of its orders rest at once, and each locks on spot what only one of them can use."""
    if group.spec.mode not in (GroupMode.ONE_CANCELS_OTHER, *OF_A_POSITION):
        return False
    resting = [member for member in group.spec.members if member.role is not MemberRole.ENTRY]
    seen: set[tuple[str, str]] = set()
    for member in resting:
        market = markets.get(member.symbol)
        if market is None or market.contract_size is not None:
            continue
        gives = (market.base if member.side == "Sell" else market.quote, str(member.side))
        if gives in seen:
            return True
        seen.add(gives)
    return False


def intent_spec(group: GroupRecord, member: Member, want: Want, markets: Mapping[str, MarketRules]) -> OrderIntentSpec:
    """What the member's intent is to say. A cancel that stands in it is never taken back."""
    exit_ = group.entry is not None and member.spec.role is not MemberRole.ENTRY
    market = markets.get(member.spec.symbol)
    derivative = market is not None and market.contract_size is not None
    effect = member.spec.position_effect
    if effect is None:
        effect = PositionEffect.REDUCE_ONLY if member.spec.role in EXITS and derivative else PositionEffect.ANY
        effect = member.order.spec.position_effect if member.order is not None else effect
    terms = {name: getattr(member.spec, name) for name in OrderTerms.model_fields}
    # What follows the Entry stays as large as it is while it can't be said how large it is to be.
    current = member.order.spec.quantity if exit_ and member.order is not None else None
    terms |= {
        "position_effect": effect,
        "quantity": want.quantity if want.quantity is not None and want.quantity > 0 else current or member.spec.quantity,
        "desired_state": DesiredState.CANCELED if want.unwanted or member.cancelled else DesiredState.WORKING,
    }
    if exit_:
        # A position that is open stays so however late it is: its exits have no deadline.
        terms |= {"submit_deadline_seconds": 0, "submit_deadline_time": None}
    return OrderIntentSpec(
        account_ref=group.spec.account_ref,
        group_ref=GroupRef(name=group.name, uid=group.uid, member=member.name),
        suspend=group.spec.suspend,
        deletion_policy=DeletionPolicy.ORPHAN if group.spec.deletion_policy is GroupDeletionPolicy.ORPHAN else DeletionPolicy.CANCEL,
        **terms,
    )


def names(group: GroupRecord, member: str, order: OrderRecord) -> bool:
    """Return whether an intent says that it is this member, in the group's namespace and account."""
    ref = order.spec.group_ref
    return ref is not None and (order.namespace, order.spec.account_ref, ref.uid, ref.member) == (group.namespace, group.spec.account_ref, group.uid, member)


def may_have_made(group: GroupRecord, spec: GroupMember, order: OrderRecord, markets: Mapping[str, MarketRules]) -> bool:
    """Return whether an unrecorded intent is what the group makes of this member.

    A crash just after it was made leaves it so. Every field is compared that the group says. A size follows fills, so any is taken that the member may have
    had. What can be changed may differ once the group, since its status was last written, or the intent was edited: the group puts it right before anything
    is sent. One that is cancelled or deleted can't be put right.
    """
    fresh = Member(spec=spec, status=MemberStatus(name=spec.name, intent_name=order.name))
    made = intent_spec(group, fresh, Want(quantity=order.spec.quantity), markets)
    differing = {name for name in OrderIntentSpec.model_fields if getattr(made, name) != getattr(order.spec, name)} - {"desired_state"}
    differing -= _left_open(spec)
    differing -= {name for name, offset in (("price", spec.price_offset), ("trigger_price", spec.trigger_offset)) if offset is not None or spec.price_steps}
    if spec.position_effect is None and spec.symbol not in markets:
        differing -= {"position_effect"}  # it follows from the market, which is not known
    working = not order.deleting and order.spec.desired_state is DesiredState.WORKING
    edited = (order.generation > 1 and working) or group.generation > max(1, group.status.observed_generation) + group.deleting
    if order.attempts or edited:
        return not differing & FIXED
    follows = group.reduces or (group.entry is not None and spec.role is not MemberRole.ENTRY)
    grown = order.spec.quantity is not None and spec.quantity is not None and order.spec.quantity > spec.quantity
    return not differing and not grown and (follows or order.spec.quantity == spec.quantity)


def differs(member: Member, want: Want, limit: Decimal | None, applied: OrderIntentSpec | None) -> bool:
    """Return whether the member's own spec asks for what the group does not want of it.

    Somebody edited it, or it is larger than it is to be by now. `limit`: how large an exit may be; `applied`: what the group last wrote there, which may be
    sent until the next is written.
    """
    if (order := member.order) is None:
        return False
    size, own = want.quantity or member.spec.quantity, order.spec.quantity
    if own is not None and size is not None and (own > size or (limit is not None and own > limit)):
        return True
    if order.spec == applied:
        return False
    said = _SENT - _left_open(member.spec)
    return (want.quantity is not None and own != size) or any(getattr(member.spec, name) != getattr(order.spec, name) for name in said)


#: Fields of a member's intent that others may fill in where the group leaves them open: defaults by admission, notes.
LEFT_OPEN = ("modify_policy", "drift_policy", "trigger_price_type", "time_in_force", "execution_policy", "metadata")


def _left_open(spec: GroupMember) -> set[str]:
    """The fields of a member's intent that the group says nothing of: they stand as somebody set them, and so does a time to live."""
    return {*(name for name in LEFT_OPEN if getattr(spec, name) == GroupMember.model_fields[name].default), "ttl_seconds_after_finished"}


def put_right(member: Member, wanted: OrderIntentSpec) -> OrderIntentSpec:
    """What the member's intent is to say, with what the group leaves open as it stands there."""
    if member.order is None:
        return wanted
    return wanted.model_copy(update={name: getattr(member.order.spec, name) for name in _left_open(member.spec)})


def settled(group: GroupRecord, member: Member, want: Want) -> bool:
    """Whether there is nothing more to come of this member."""
    if member.made:
        return member.finished
    return member.status.finished or want.never is not None


def may_go(group: GroupRecord, members: Members, wanted: Mapping[str, Want]) -> bool:
    """Whether a deleted group can be let go: all its members have ended, or stay at the exchange on their own."""
    if group.spec.deletion_policy is GroupDeletionPolicy.ORPHAN:
        return True
    closing = extra_members.closes_now(group, members)
    return all(
        settled(group, member, want)
        or (member.live and not want.unwanted and not closing)
        or not (member.made or to_be_made(group, member, want))
        for member in members
        for want in (wanted[member.name],)
    )


def to_be_made(group: GroupRecord, member: Member, want: Want) -> bool:
    """Whether its intent is missing. Of a group that goes, only the stop of what its Entry still filled while it was cancelled."""
    missing = want.exists and not member.made and not member.status.finished and not want.unwanted
    return missing and (not group.deleting or member.extra or (group.entry is not None and member.spec.role is MemberRole.STOP_LOSS))
