"""Groups: makes their members' intents, keeps those as the group wants them, and writes how it stands. What it wants is `core/groups.py`'s.

A member acts on what its group wants without waiting for a write: it asks `membership` at each of its own decisions, and is woken when that changes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal

import structlog

from exchange_kernel.api import GroupMember, GroupMode, MemberRole, MemberStatus, OrderGroupStatus, OrderIntentSpec, OrderState
from exchange_kernel.core import extra_members, extras_due, group_checks, group_positions, group_prices, group_status, groups
from exchange_kernel.core.actions import Waiting
from exchange_kernel.core.answers import GroupFound, Unreachable
from exchange_kernel.core.facts import Facts
from exchange_kernel.core.group_events import EDIT_REVERTED, STOP_LEFT, of_group
from exchange_kernel.core.group_status import Outlook
from exchange_kernel.core.groups import GroupRecord, Member, Want
from exchange_kernel.core.money import quantise_quantity
from exchange_kernel.core.order import Membership, OrderRecord
from exchange_kernel.core.standing_cancels import StandingCancels, standing_cancels
from exchange_kernel.core.venue import MarketRules
from exchange_kernel.reconcile import order_list
from exchange_kernel.reconcile.order_intent import WRITE_RETRY_S, Step
from exchange_kernel.reconcile.ports import Events, NoEvents
from exchange_kernel.reconcile.session import AccountSession, Term
from exchange_kernel.reconcile.write_pace import WritePace
from exchange_kernel.stores.port import (
    Conflict,
    Found,
    Gone,
    GroupStore,
    GroupWriteOutcome,
    GroupWritten,
    Inadmissible,
    IntentStore,
    NameTaken,
    Unavailable,
    Written,
)
from exchange_kernel.telemetry import metrics

log = structlog.get_logger(__name__)

MAX_STEPS = 64  # a group of twenty makes twenty objects in one call
TROUBLE_RETRY_S = 5.0
GATHER_S = 0.25  # what changes in so short a time, and nobody needs to know at once, is one write of the group's status
PRICE_GOOD_MS = 2000  # a last price that is older is read again before anything is judged by it
JUDGED_AGAIN_S = 2.0  # what waits for a price, or for room at the exchange
LISTED_AGAIN_S = 10.0  # an open position whose exits can't be made, for the exchange's list lacks their market
UNFIT_AGAIN_S = 10.0  # what a person is to edit, if the market does not come back to it
CANCELS_FIRST_S = 0.005  # what a fill makes us cancel is on its way by then; what is to be written of it comes after
NAME_MAX = 253
LASTING_FAILURES = 4  # in a row to make a member, after which a person is told to look
CONTESTED = "Somebody changes what the group wrote as often as it is put right, so that it is written less often: find out who, and stop it. Member"

#: It has a group; what that wants of it follows from what is seen of all its members.
A_MEMBER = Membership()

NAME_CONFLICT = Waiting(
    "NameConflict", "An OrderIntent that is not this group's has the name of one of its members: delete or rename one of the two.", person=True
)
NOT_CHANGED = "MemberNotChanged"
OF_A_CHANGE = (NOT_CHANGED, "MemberContested")  # troubles that are over once no member stays other than it is wanted
OVERRULED = Waiting(
    NOT_CHANGED,
    "Something at the API server, such as an admission webhook, puts back what the operator changes of a member: let it leave members, which have "
    "spec.groupRef, as they are.",
    person=True,
)
UNNAMED = (
    "An admission policy does not know the operator by its user name, so its members are not made: add the name to operatorUsers in the chart, or to the "
    "variable `operators` of the policy; `kubectl exchange doctor` tells which."
)
STRANGER = Membership(held=groups.NO_MEMBER, recorded=True, stranger=True)


def intent_name(group: str, member: str) -> str:
    """<group>-<member>; cut and told apart by a hash where that is longer than a name may be."""
    name = f"{group}-{member}"
    if len(name) <= NAME_MAX:
        return name
    return f"{name[: NAME_MAX - 9].rstrip('-.')}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


@dataclass(slots=True)
class _Memory:
    """What this process knows of a group and no store does."""

    told: dict[str, tuple[bool, Waiting | None]]  # what each member was last woken for
    applied: dict[str, OrderIntentSpec]  # what each member's intent was last written to say
    refused: dict[str, str]  # members that admission refused, with its words
    gone: set[str]  # the UIDs that a consistent list of intents lacks
    extras: dict[str, str] = field(default_factory=dict)  # what the group added, and of which member of spec each is: their status may be lost
    known: dict[str, MemberStatus] = field(default_factory=dict)  # each member as it was last believed to be
    markets: Mapping[str, MarketRules] = field(default_factory=dict)  # as they were when it was last looked at
    native: bool | None = None  # whether the exchange keeps it, once that is decided: its members are written down
    made_before: frozenset[str] | None = None  # members that an earlier process may have made, though neither status nor an intent tells; None: not seen yet
    listed: bool = False  # its list was handed to the adapter by this process
    trouble: Waiting | None = None
    uncorrected: set[str] = field(default_factory=set)  # members that stay other than they are wanted, which is the trouble
    failures: int = 0
    standing: StandingCancels | None = None
    price: tuple[Decimal, int] | None = None  # of the market's last trade, and when it was read (our wall clock, ms)
    position: tuple[Decimal, int] | None = None  # of Exits: how much the account has to close, and when that was read (our wall clock, ms)
    written_position: Decimal | None = None  # as status last had it
    bare_since_ms: int | None = None  # since when its position has been without a stop (our wall clock)
    news_ms: int | None = None  # since when there has been something to write that may wait for more


class OrderGroupReconciler:
    """All groups of this process."""

    def __init__(
        self,
        *,
        store: GroupStore,
        intents: IntentStore,
        session_of: Callable[[GroupRecord], Awaitable[AccountSession | Waiting | None]],
        wake_intent: Callable[[str], None],
        wake_after: Callable[[str, float], None],
        wall_ms: Callable[[], int],
        unchanged: order_list.Gate,
        events: Events | None = None,
    ) -> None:
        """`unchanged`: the gate of one member's first send."""
        self._unchanged = unchanged
        self._store, self._intents, self._session_of = store, intents, session_of
        self._wake_intent, self._wake_after, self._wall_ms = wake_intent, wake_after, wall_ms
        self._events = events or NoEvents()
        self._memory: dict[str, _Memory] = {}
        self._unprotected: set[str] = set()
        self._pace, self._spec_pace = WritePace("OrderGroup", wall_ms), WritePace("OrderIntent spec", wall_ms)

    # ── What members ask ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def membership(self, record: OrderRecord, session: AccountSession) -> Membership | None:
        """What the group of this intent wants of it now; None if that group is gone."""
        ref, group = record.spec.group_ref, self._group_of(record)
        if ref is None or group is None:
            return None
        if not self._has(group, record):
            return replace(STRANGER, stranger=not record.attempts)
        members = self._members(group, session)
        if members is None:
            return Membership(held=groups.NOT_RECORDED)  # what became of another member is found out first
        member = next(member for member in members if member.name == ref.member)
        native, memory = self._native(group) and not member.extra, self._memory.get(group.uid)
        want = groups.want_of(group, member, members, _markets(session), native=native)
        if want.held is None and group_checks.nothing_sent(members):
            want = replace(want, held=self._unfit(group, members, session))
            if want.held is not None and not want.held.person:
                self._wake_after(group.uid, 0)  # a price may have grown old: the group reads it, and wakes this member
        limit = groups.exempt(group, member, members, native=native)
        differs = groups.differs(member, want, limit, memory.applied.get(ref.member) if memory is not None else None)
        closed = groups.nothing_open(group, member, members, _markets(session))
        held = want.held or (groups.DIFFERS if differs else groups.NOTHING_OPEN if closed else None)
        return Membership(
            made_before=memory is not None and ref.member in (memory.made_before or ()), closing=groups.closing(group, member, members, want),
            held=held, unwanted=want.unwanted, native=native, recorded=group_status.recorded(group, ref.member, record.status), exit=limit,
            at_market=member.extra and member.spec.role is MemberRole.TAKE_PROFIT,
        )

    def siblings(self, record: OrderRecord) -> list[str]:
        """The UIDs of the other members: what the exchange tells of one may be for them to act on."""
        group = self._group_of(record)
        told = self._told(group).values() if group is not None else ()
        return [member.uid for member in told if member.uid is not None and member.uid != record.uid]

    def undone(self, record: OrderRecord, session: AccountSession) -> bool:
        """Whether another's fill undid this member's order, by what was reckoned before it filled. False means no more than that it has to be reckoned."""
        group = self._group_of(record)
        memory = self._memory.get(group.uid) if group is not None else None
        standing = memory.standing if memory is not None else None
        if group is None or standing is None or standing.generation != group.generation:
            return False
        return any(session.memory.filled(other) >= enough for other, enough in standing.triggers.get(record.uid, {}).items())

    def _group_of(self, record: OrderRecord) -> GroupRecord | None:
        group = self._store.get(record.spec.group_ref.uid) if record.spec.group_ref is not None else None
        return group if group is not None and group.namespace == record.namespace else None

    def _has(self, group: GroupRecord, record: OrderRecord) -> bool:
        """Return whether the intent is the group's member that it says it is."""
        ref = record.spec.group_ref
        spec = next((one for one in self._specs(group) if ref is not None and one.name == ref.member), None)
        if spec is None:
            return False
        written = next((one for one in group.status.members if one.name == spec.name), None)
        found = self._intent_of(group, spec, self._told_of(group, spec, written), None)
        return found is not None and found.uid == record.uid

    # ── Reconciling ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def reconcile(self, uid: str) -> None:
        for _ in range(MAX_STEPS):
            group = self._store.get(uid)
            if group is None:
                self._memory.pop(uid, None)
                self._pace.forget(uid)
                self._unprotected.discard(uid)
                return
            session = await self._session_of(group)
            if session is None or not await self._missing_are_gone(group):
                return
            if not isinstance(session, Waiting):
                await self._read_price(group, session)
                await self._read_position(group, session)
            outlook = self._look(group, session)
            if outlook is None:
                return  # the account is not ours, or not yet: its session wakes us
            self._wake_members(outlook)
            self._stand_by(outlook)
            if await self._step(group, outlook, session) is Step.REST:
                return
        log.error("a group did not come to rest", group=uid)
        self._wake_after(uid, TROUBLE_RETRY_S)

    def _look(self, group: GroupRecord, session: AccountSession | Waiting) -> Outlook | None:
        memory = self._memory.setdefault(group.uid, _Memory({}, {}, {}, set()))
        if not memory.known:
            self._know(group, memory)
            self._find_extras(group, memory)
        if isinstance(session, Waiting):
            known = self._members(group, None)
            if known is None:
                return None
            group = _unended(group, known)
            return Outlook(group=group, members=known, wanted=groups.wants(group, known, {}), markets={}, trouble=session)
        term = session.ours
        memory.markets = _markets(session)
        members = self._members(group, session) if term is not None else None
        if term is None or members is None:
            return None
        if memory.made_before is None:
            memory.made_before = self._made_before(group, session, term)
        group = _unended(group, members)
        markets, venue = term.markets, term.exchange.capabilities
        native = memory.native if memory.native is not None else groups.goes_native(group, members, markets, venue)
        if (added := extras_due.due(group, members, markets, lambda name: intent_name(group.name, name))) is not None:
            members = (*members, added)
        wanted = groups.wants(group, members, markets, native=native)
        new = not (group.finished or memory.made_before or memory.listed)  # else an order of it may be at the exchange
        judged = groups.with_position(group, members, memory.position[0] if memory.position is not None else None)
        problem = group_checks.denial(*judged, self._known(group, members, session, term)) if new else None
        unfit = self._unfit(group, members, session) if problem is None and any(member.made for member in members) else None
        if unfit is not None and group_checks.nothing_sent(members):
            wanted = {name: replace(want, held=want.held or unfit) for name, want in wanted.items()}
        return Outlook(
            group=group,
            members=members,
            wanted=wanted,
            markets=markets,
            native=native,
            denied=problem.waiting if problem is not None and not problem.waits else None,
            waits=problem.waiting if problem is not None and problem.waits else None,
            unfit=unfit,
            trouble=memory.trouble,
            position=memory.position[0] if memory.position is not None and memory.position[0] > 0 and problem is None else None,
        )

    async def _read_position(self, group: GroupRecord, session: AccountSession) -> None:
        """Read how much the account holds of what Exits are to close, until that is written down."""
        term, memory = session.ours, self._memory.setdefault(group.uid, _Memory({}, {}, {}, set()))
        if not group.unread or group.finished or term is None:
            return
        entry = group.entry
        market = term.markets.get(entry.symbol) if entry is not None else None
        if entry is None or market is None:
            return
        if (known := self._known_position(group, session)) is not None:
            memory.position = (known, self._wall_ms())  # its status was lost: what is held now lacks what the exits have closed, and lock
            return
        if group.unwanted or (memory.position is not None and self._wall_ms() - memory.position[1] < PRICE_GOOD_MS):
            return
        unread = isinstance(await session.holdings.read(term), Unreachable)
        side = group.spec.members[0].side
        if unread or (free := session.holdings.free(market, side, entry.position_side)) is None:
            self._wake_after(group.uid, JUDGED_AGAIN_S)
            return
        memory.position = (quantise_quantity(group_positions.held(group.spec, free.quantity), market.quantity_step), self._wall_ms())

    def _known_position(self, group: GroupRecord, session: AccountSession) -> Decimal | None:
        """Return the position that status had before, or that the exits which were made are for."""
        memory = self._memory.get(group.uid)
        if memory is not None and memory.written_position is not None:
            return memory.written_position
        return group_positions.of_exits(self._members(group, session) or ())

    async def _read_price(self, group: GroupRecord, session: AccountSession) -> None:
        """Read the market's last price where the exits of a group that is not sent are compared with it."""
        term, memory = session.ours, self._memory.setdefault(group.uid, _Memory({}, {}, {}, set()))
        members = self._members(group, session) if term is not None and not group.finished else None
        if term is None or members is None or (symbol := group_checks.price_wanted(group, members)) is None or symbol not in term.markets:
            return
        if memory.price is not None and self._wall_ms() - memory.price[1] < PRICE_GOOD_MS:
            return
        price = await term.exchange.last_price(symbol)
        if isinstance(price, Unreachable):
            self._wake_after(group.uid, JUDGED_AGAIN_S)
            return
        memory.price = (price, self._wall_ms())
        for member in members:
            if member.order is not None:
                self._wake_intent(member.order.uid)  # it may have been waiting for this

    def _known(self, group: GroupRecord, members: tuple[Member, ...], session: AccountSession, term: Term) -> group_checks.Known:
        """What is known now. A price that grew old counts once a first order is written down: it was compared with a fresh one before."""
        memory, now_ms, entry = self._memory.get(group.uid), self._wall_ms(), group.entry
        written = any(member.order is not None and member.order.attempts for member in members)
        fresh = memory is not None and memory.price is not None and (written or now_ms - memory.price[1] < PRICE_GOOD_MS)
        open_orders, triggered = session.risk.orders_by_market()
        return group_checks.Known(
            markets=term.markets, venue=term.exchange.capabilities, symbols=session.account.spec.symbols, limits=session.risk.limits(),
            fee_asset=session.account.spec.fee_asset,
            prices={entry.symbol: memory.price[0]} if fresh and entry is not None and memory is not None and memory.price is not None else {},
            open_orders=open_orders, trigger_orders=triggered, wall_ms=now_ms, judges_positions=True,
        )

    def _unfit(self, group: GroupRecord, members: tuple[Member, ...], session: AccountSession) -> Waiting | None:
        """What is known against the members that were not sent, of a group that has some."""
        term = session.ours
        if term is None:
            return None
        return group_checks.unfit(group, members, self._known(group, members, session, term))

    async def _missing_are_gone(self, group: GroupRecord) -> bool:
        """Whether every member whose object this process does not have is provably gone: its watch may merely not have told of it yet."""
        if not (missing := self._missing(group)):
            return True
        snapshot = await self._intents.list_all(group.namespace)
        if isinstance(snapshot, Unavailable) or not snapshot.complete:
            self._wake_after(group.uid, TROUBLE_RETRY_S)
            return False
        memory = self._memory.setdefault(group.uid, _Memory({}, {}, {}, set()))
        memory.gone |= missing - {record.uid for record in snapshot.records}
        return not self._missing(group)

    def _made_before(self, group: GroupRecord, session: AccountSession, term: Term) -> frozenset[str]:
        """At the first sight of an older group: the members that it should have by what was written, and for which there is no intent.

        An earlier process may have made them, and their status was lost: their ids are looked up before anything is sent under them (2, 3).
        """
        now = session.now()
        newer = group.created_ms > term.started_ms + now.wall_ms - now.venue_ms
        # Where absence can't be proved, a status that tells of the others is believed: a stop that waits for a person protects nothing.
        told = group.status.observed_generation >= 0 and not term.exchange.capabilities.proves_absence
        if group.finished or newer or told:
            return frozenset()
        members = self._members(group, None) or ()
        if group.unread:
            return frozenset(member.name for member in members if member.order is None and not member.held)  # it can't be said yet which it would have
        wanted = groups.wants(group, members, term.markets, native=self._native(group))
        missing = {member.name for member in members if groups.to_be_made(group, member, wanted[member.name])}
        # What it may have added can't be said at all: each of these is looked for, if it is added.
        addable = {name for one in group.spec.members for name in extra_members.names(group.spec, one)} if group.entry is not None else set()
        return frozenset(missing | addable - {member.name for member in members})

    def _missing(self, group: GroupRecord) -> set[str]:
        """The objects of unfinished members that neither the store has nor a list was seen to lack."""
        memory = self._memory.get(group.uid)
        told = self._told(group).values()
        unfinished = {member.uid for member in told if member.uid is not None and not member.finished and self._intents.get(member.uid) is None}
        return unfinished - memory.gone if memory is not None else unfinished

    def _know(self, group: GroupRecord, memory: _Memory) -> None:
        """Take a status for what it says: the first that is seen, and then those that this process wrote."""
        memory.known = {member.name: member for member in group.status.members}
        memory.extras |= self._extras(group)
        memory.written_position = group.status.position if group.status.position is not None else memory.written_position
        if any(member.uid is not None for member in group.status.members):
            memory.native = groups.is_native(group)

    def _native(self, group: GroupRecord) -> bool:
        memory = self._memory.get(group.uid)
        return memory.native if memory is not None and memory.native is not None else groups.is_native(group)

    def _told(self, group: GroupRecord) -> dict[str, MemberStatus]:
        """What the group's status says of each member, as far as it fits what this process knows."""
        written = {member.name: member for member in group.status.members}
        return {spec.name: self._told_of(group, spec, written.get(spec.name)) for spec in self._specs(group)}

    def _specs(self, group: GroupRecord) -> list[GroupMember]:
        """Return the members of spec and what the group added, as status or this process knows."""
        extras = self._extras(group)
        if not extras:
            return group.spec.members
        bases = {one.name: one for one in group.spec.members}
        return [*group.spec.members, *(extra_members.spec_of(bases[of], name) for name, of in sorted(extras.items()))]

    def _extras(self, group: GroupRecord) -> dict[str, str]:
        """Return the orders that the group added, each with the member of spec that it is for."""
        memory = self._memory.get(group.uid)
        known = memory.extras if memory is not None else {}
        told = {one.name: one.extra_of for one in group.status.members if one.extra_of is not None and one.name not in known}
        return known | {name: of for name, of in told.items() if extra_members.base_of(group.spec, name, of) is not None}

    def _find_extras(self, group: GroupRecord, memory: _Memory) -> None:
        """Find what an older group added by its intents, for its status may have been lost."""
        for base in group.spec.members if group.entry is not None else ():
            for name in extra_members.names(group.spec, base):
                found = self._intents.named(group.namespace, intent_name(group.name, name))
                if found is not None and groups.names(group, name, found):
                    memory.extras.setdefault(name, base.name)

    def _told_of(self, group: GroupRecord, spec: GroupMember, written: MemberStatus | None) -> MemberStatus:
        """The same of one member."""
        memory = self._memory.get(group.uid)
        status = written or MemberStatus(name=spec.name, intent_name=intent_name(group.name, spec.name), extra_of=self._extras(group).get(spec.name))
        known = memory.known.get(spec.name) if memory is not None else None
        return groups.believed(status, known, self._intent_of(group, spec, status, known))

    def _members(self, group: GroupRecord, session: AccountSession | None) -> tuple[Member, ...] | None:
        """All members with what is known of each; None while the account is not provably ours, or it is not known whether one is gone."""
        if self._missing(group):
            return None
        told, memory = self._told(group), self._memory.get(group.uid)
        written = {member.name: member.uid for member in group.status.members}
        members = [groups.held_member(group)] if group.spec.mode is GroupMode.EXITS else []
        for spec in self._specs(group):
            name, status = intent_name(group.name, spec.name), told[spec.name]
            order = self._intent_of(group, spec, status, None)
            if order is None and not status.finished and status.uid is None and memory is not None and (words := memory.refused.get(spec.name)) is not None:
                status = MemberStatus(name=spec.name, intent_name=name, state=OrderState.DENIED, finished=True, reason="NotAdmitted", message=words)
            facts = None
            if order is not None and session is not None:
                seen = session.seen(order, A_MEMBER)
                if seen is None:
                    return None
                facts = Facts(order, seen, session.now())
            members.append(Member(spec=spec, status=status, order=order, facts=facts, recorded=status.uid == written.get(spec.name)))
        return group_prices.as_filled(group, members, _markets(session) if session is not None else {})

    def _intent_of(self, group: GroupRecord, member: GroupMember, status: MemberStatus, known: MemberStatus | None) -> OrderRecord | None:
        """The member's intent: of the UID that status has, or that this process knows, or else the one of its name that the group made.

        Where status has another UID, that one must have been sent: a copy of an intent that was deleted is none of the group's.
        """
        for told in (status, known):
            found = self._intents.get(told.uid) if told is not None and told.uid is not None else None
            if found is not None and groups.names(group, member.name, found):
                return found
        found = self._intents.named(group.namespace, status.intent_name)
        if found is None or not groups.names(group, member.name, found):
            return None
        if not found.attempts and any(told is not None and told.uid is not None for told in (status, known)):
            return None
        return found if groups.may_have_made(group, member, found, self._markets_of(group)) else None

    def _markets_of(self, group: GroupRecord) -> Mapping[str, MarketRules]:
        """Return the markets as they were when the group was last looked at."""
        memory = self._memory.get(group.uid)
        return memory.markets if memory is not None else {}

    def _wake_members(self, outlook: Outlook) -> None:
        """First of all: a cancel of a sibling waits for no write of ours."""
        memory = self._memory[outlook.group.uid]
        for member in outlook.members:
            want = outlook.wanted[member.name]
            if member.order is not None and memory.told.get(member.name) != (news := (want.unwanted, want.held)):
                memory.told[member.name] = news
                self._wake_intent(member.order.uid)

    def _stand_by(self, outlook: Outlook) -> None:
        """Reckon whose cancel another's fill will want, unless the exchange sees to that, or nothing of it changed since it was last reckoned."""
        memory = self._memory[outlook.group.uid]
        if outlook.trouble is not None or outlook.native or self._native(outlook.group) or outlook.group.finished:
            memory.standing = None
            return
        memory.standing = standing_cancels(outlook.group, outlook.members, outlook.markets, before=memory.standing)

    async def _step(self, stored: GroupRecord, outlook: Outlook, session: AccountSession | Waiting) -> Step:
        """The first thing that is to be done, or rest. `stored`: the group as it is written, which the outlook may not believe."""
        group, here = outlook.group, not isinstance(session, Waiting)
        if here and not group.finished and (left_ms := group_status.changes_in_ms(outlook)) is not None:
            self._wake_after(group.uid, left_ms / 1000 + 0.01)  # whatever is awaited sooner takes its place
        if not group.deleting and not group.finalizer:
            return self._written(stored, await self._store.add_finalizer(stored))  # before any member is made
        if here and not group.finished and outlook.denied is None and outlook.waits is None:
            for member in outlook.members:
                want = outlook.wanted[member.name]
                if member.extra and not any(one.name == member.name for one in stored.status.members):
                    continue  # it is written down before it is made
                if groups.to_be_made(group, member, want) and (step := await self._make(outlook, member, want)) is not None:
                    return step
        status = group_status.project(self._timed(outlook), datetime.fromtimestamp(self._wall_ms() / 1000, UTC))
        if status != stored.status and not self._may_wait(stored, status) and not self._must_wait(outlook):
            outcome = await self._store.write_status(stored, status)
            if isinstance(outcome, GroupWritten):
                self._pace.written(group.uid, _learned(outlook))
            return self._written(stored, outcome)
        if here and not group.finished:
            for member in outlook.members:
                if (step := await self._correct(outlook, member, outlook.wanted[member.name])) is not None:
                    return step
            if self._put_right_by_others(group):
                return Step.NEXT
        if outlook.native and not isinstance(session, Waiting) and await self._send_list(outlook, session):
            return Step.NEXT
        if not isinstance(session, Waiting) and groups.exits_lack_their_market(group, outlook.members, outlook.markets):
            session.market_readings.ask()
            self._wake_after(group.uid, LISTED_AGAIN_S)
        if outlook.waits is not None:
            self._wake_after(group.uid, JUDGED_AGAIN_S)
        elif outlook.unfit is not None and here and group_checks.price_wanted(group, outlook.members) is not None:
            self._wake_after(group.uid, UNFIT_AGAIN_S)
        return await self._let_go(outlook)

    def _timed(self, outlook: Outlook) -> Outlook:
        """With how long its position has been without a stop; if that lasts, it is looked at again."""
        memory, now_ms = self._memory[outlook.group.uid], self._wall_ms()
        if not group_status.bare(outlook):
            memory.bare_since_ms = None
            return outlook
        memory.bare_since_ms = memory.bare_since_ms if memory.bare_since_ms is not None else now_ms
        bare_s = (now_ms - memory.bare_since_ms) / 1000
        if (left_s := outlook.group.spec.max_unprotected_seconds - bare_s) >= 0:
            self._wake_after(outlook.group.uid, left_s + 0.1)
        return replace(outlook, bare_s=bare_s)

    def _may_wait(self, group: GroupRecord, status: OrderGroupStatus) -> bool:
        """Whether more may be gathered before this is written: only how members get on."""
        memory, now_ms = self._memory[group.uid], self._wall_ms()
        since = memory.news_ms if memory.news_ms is not None else now_ms
        left_s = GATHER_S - (now_ms - since) / 1000
        if group_status.urgent(group.status, status) or not 0 < left_s <= GATHER_S:
            memory.news_ms = None
            return False
        memory.news_ms = since
        self._wake_after(group.uid, left_s)
        return True

    def _must_wait(self, outlook: Outlook) -> bool:
        """Whether the status was written too often of late by what is known (rule 17). It is looked at again when it may be written."""
        wait_s = self._pace.wait_s(outlook.group.uid, _learned(outlook))
        if wait_s > 0:
            self._wake_after(outlook.group.uid, wait_s)
        return wait_s > 0

    async def _make(self, outlook: Outlook, member: Member, want: Want) -> Step | None:
        """One member's intent; None if it can't be made now, and the others are not held up by it."""
        group, memory = outlook.group, self._memory[outlook.group.uid]
        spec = groups.intent_spec(group, member, want, outlook.markets)
        # A foreground delete of the group takes what it owns at once, whatever finalizers say: exits of a position must outlive that.
        owned = group.entry is None or member.spec.role is MemberRole.ENTRY
        match await self._intents.create_member(group, intent_name(group.name, member.name), spec, owned=owned):
            case Written(record=made):
                # Made just now by this very request: ours, whatever an admission webhook or a newer schema wrote into it. What differs is put right.
                memory.known[member.name] = MemberStatus(name=member.name, intent_name=made.name, uid=made.uid, extra_of=member.status.extra_of)
                memory.applied[member.name] = spec
                memory.trouble, memory.failures = None, 0
                return Step.NEXT
            case Found(record=made) if groups.may_have_made(group, member.spec, made, outlook.markets):
                memory.applied[member.name] = spec
                memory.trouble, memory.failures = None, 0
                return Step.NEXT
            case Inadmissible(message=words) if groups.closes(group, member) and not outlook.native:
                # 16: a position is open, and whoever refuses its exit may think better of it.
                self._retry(group, Waiting("NotAdmitted", f"The API server refuses the OrderIntent of member {member.name}: {words}", person=True))
            case Inadmissible(message=words):
                memory.refused[member.name] = words
                return Step.NEXT
            case NameTaken() | Found():
                self._retry(group, NAME_CONFLICT)
            case Unavailable(reason=words, forbidden=True):
                self._retry(group, Waiting("MemberNotMade", f"{UNNAMED} It says: {words}", person=True))
            case Unavailable(reason=reason):
                self._not_made(group, member, reason)
        return None

    def _not_made(self, group: GroupRecord, member: Member, reason: str) -> None:
        """Try again, and say so if that was not all: a quota, a policy that can't judge or a webhook that is down may last."""
        memory = self._memory[group.uid]
        before, failures = memory.trouble, memory.failures + 1
        self._retry(group, None, reason)
        if failures > 1:
            said = f"The API server does not take the OrderIntent of member {member.name}, which is tried again: {reason}"
            waiting = Waiting("MemberNotMade", said, person=failures >= LASTING_FAILURES)
            same = before is not None and (before.reason, before.person) == (waiting.reason, waiting.person)
            memory.trouble = before if same else waiting  # its words may change each time

    async def _correct(self, outlook: Outlook, member: Member, want: Want) -> Step | None:
        """What a member's intent says, made what the group wants it to say. Finished ones are left alone."""
        group, order, memory = outlook.group, member.order, self._memory[outlook.group.uid]
        memory.uncorrected.discard(member.name)
        if order is None or order.finished or order.deleting or order.uid != member.status.uid:
            return None
        spec = groups.put_right(member, groups.intent_spec(group, member, want, outlook.markets))
        if spec == order.spec:
            memory.applied[member.name] = spec
            return None
        if (wait_s := self._spec_pace.wait_s(order.uid, (group.generation, spec))) > 0:
            memory.trouble = Waiting("MemberContested", f"{CONTESTED} {member.name}", person=True)  # 17
            memory.uncorrected.add(member.name)
            self._wake_after(group.uid, wait_s)
            return None
        edited = memory.applied.get(member.name) not in (None, order.spec)
        match await self._intents.write_spec(order, spec):
            case Written(record=written) if written.spec == order.spec:
                memory.applied[member.name] = written.spec
                memory.uncorrected.add(member.name)
                self._retry(group, OVERRULED)
            case Written(record=written):
                self._spec_pace.written(order.uid, (group.generation, spec))
                memory.applied[member.name] = written.spec
                memory.trouble, memory.failures = None, 0
                if edited:
                    self._events.group_event(group, EDIT_REVERTED)
                self._wake_intent(order.uid)
                return Step.NEXT
            case Inadmissible(message=words):
                memory.uncorrected.add(member.name)
                self._retry(group, Waiting(NOT_CHANGED, f"The API server refused a change of member {member.name}: {words}", person=True))
            case Unavailable(reason=reason):
                self._retry(group, None, reason)
            case Conflict() | Gone():
                return Step.AGAIN
        return None

    def _put_right_by_others(self, group: GroupRecord) -> bool:
        """Return whether the trouble was members that could not be changed, and none is left: somebody else changed them, or they ended."""
        memory = self._memory[group.uid]
        if memory.trouble is None or memory.trouble.reason not in OF_A_CHANGE or memory.uncorrected:
            return False
        memory.trouble, memory.failures = None, 0
        return True

    async def _send_list(self, outlook: Outlook, session: AccountSession) -> bool:
        group, memory = outlook.group, self._memory[outlook.group.uid]
        match await order_list.send(outlook, session, self._unchanged, again=memory.listed or bool(memory.made_before)):
            case tuple() as sent:
                memory.listed = memory.listed or bool(sent)
                for uid in sent:
                    self._wake_intent(uid)
                return bool(sent)
            case GroupFound():
                self._retry(group, order_list.EXISTS)
            case Unreachable(reason=reason):
                self._retry(group, None, reason)
        return False

    async def _let_go(self, outlook: Outlook) -> Step:
        """What is left of a group that is deleted, or whose time after its end is over."""
        group = outlook.group
        if not group.deleting:
            return await self._after_the_end(group)
        if not group.finalizer or not groups.may_go(group, outlook.members, outlook.wanted):
            return Step.REST
        for order in _left_behind(outlook):
            if not isinstance(await self._intents.remove(order), Gone | Written):
                self._wake_after(group.uid, WRITE_RETRY_S[0])
                return Step.REST
        if any(member.live and member.spec.role is MemberRole.STOP_LOSS and not outlook.wanted[member.name].unwanted for member in outlook.members):
            self._events.group_event(group, STOP_LEFT)
        left = [member.order.uid for member in outlook.members if member.order is not None]
        step = self._written(group, await self._store.remove_finalizer(group))
        for uid in left:
            self._wake_intent(uid)
        return step

    async def _after_the_end(self, group: GroupRecord) -> Step:
        ttl, end = group.spec.ttl_seconds_after_finished, group.status.completion_time
        if ttl is None or end is None:
            return Step.REST
        left_ms = int(end.timestamp() * 1000) + ttl * 1000 - self._wall_ms()
        if left_ms > 0:
            self._wake_after(group.uid, left_ms / 1000)
            return Step.REST
        return self._written(group, await self._store.remove(group))

    def _retry(self, group: GroupRecord, trouble: Waiting | None, reason: str = "") -> None:
        memory = self._memory[group.uid]
        memory.trouble, memory.failures = trouble, memory.failures + 1
        if trouble is None:
            log.warning("a member's intent not written", group=f"{group.namespace}/{group.name}", reason=reason)
        self._wake_after(group.uid, TROUBLE_RETRY_S if trouble is not None else WRITE_RETRY_S[min(memory.failures, len(WRITE_RETRY_S)) - 1])

    def _written(self, group: GroupRecord, outcome: GroupWriteOutcome) -> Step:
        match outcome:
            case GroupWritten(record=written):
                if written.status != group.status:
                    self._tell(group, written)
                return Step.NEXT
            case Gone():
                return Step.AGAIN
            case Conflict():
                return Step.AGAIN
            case Unavailable(reason=reason):
                self._retry(group, None, reason)
                return Step.REST

    def _tell(self, old: GroupRecord, new: GroupRecord) -> None:
        self._know(new, self._memory[new.uid])
        for event in of_group(old.status, new.status):
            self._events.group_event(new, event)
            if event.reason == "BothLegsFilled":
                metrics.GROUP_VIOLATIONS.inc()
        self._count_unprotected(new)
        for member in new.status.members:
            if member.uid is not None:
                self._wake_intent(member.uid)  # it may be sent now, or let go

    def _count_unprotected(self, group: GroupRecord) -> None:
        stopless = any(condition.type == "Protected" and condition.status == "False" for condition in group.status.conditions)
        (self._unprotected.add if stopless and not group.finished else self._unprotected.discard)(group.uid)
        metrics.UNPROTECTED_GROUPS.set(len(self._unprotected))


def _unended(group: GroupRecord, members: tuple[Member, ...]) -> GroupRecord:
    """The group without an end that its members contradict: somebody wrote it, or their own were set back."""
    if not groups.ended_by_nobody(group, members):
        return group
    return replace(group, status=group.status.model_copy(update={"completion_time": None}))


def _learned(outlook: Outlook) -> object:
    """What is known of a group and its members: two equal ones give no reason to write twice."""
    members = [
        (member.name, member.order.resource_version if member.order is not None else None, member.facts.seen.orders if member.facts is not None else None)
        for member in outlook.members
    ]
    return outlook.group.generation, outlook.group.deleting, members, outlook.native, outlook.denied, outlook.waits, outlook.unfit, outlook.trouble


def _left_behind(outlook: Outlook) -> list[OrderRecord]:
    """Finished members that the group does not own, and that would stay when it goes."""
    if outlook.group.entry is None:
        return []
    exits = [member for member in outlook.members if member.spec.role is not MemberRole.ENTRY]
    return [member.order for member in exits if member.order is not None and member.finished and not member.order.deleting]


def _markets(session: AccountSession) -> Mapping[str, MarketRules]:
    return session.term.markets if session.term is not None else {}
