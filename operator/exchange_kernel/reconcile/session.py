"""The account session: one account's adapter, clock, ownership and fence, for as long as the account is ours.

A term begins when the Lease is won and its predecessor is waited out, and ends when the Lease is lost, the venue's time can't be trusted or the
account changes. What is remembered of orders outlives it (`memory.py`); reading the account's orders is the sweeper's (`sweeper.py`).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import structlog

from exchange_kernel.api import DesiredState, GroupDesiredState, SendPolicy, TradingMode
from exchange_kernel.core import claims
from exchange_kernel.core.absence import Evidence
from exchange_kernel.core.answers import MALFORMED, ExchangeOrder, GroupLookupOutcome, Refused, Unreachable
from exchange_kernel.core.events import LATE_FILL, ORPHAN_ORDER, SESSION_LOST, TOLD_ORDER_OPEN, WARNING, Event
from exchange_kernel.core.identity import encode, keyed_order_id, list_order_id
from exchange_kernel.core.money import ZERO
from exchange_kernel.core.order import AccountFacts, Holder, Membership, Now, OrderRecord, Seen
from exchange_kernel.core.sending import SendStage
from exchange_kernel.core.venue import MarketRules
from exchange_kernel.exchanges.port import ClockReading, Closed, Exchange
from exchange_kernel.reconcile.absence_passes import AbsencePasses
from exchange_kernel.reconcile.account_state import AccountStatePublisher
from exchange_kernel.reconcile.admission import admit, other_markets, place_of, same_account
from exchange_kernel.reconcile.background import Background, either
from exchange_kernel.reconcile.exposure import AccountRisk
from exchange_kernel.reconcile.figures import Counters
from exchange_kernel.reconcile.holdings import Holdings
from exchange_kernel.reconcile.journaled import journaled_exchange
from exchange_kernel.reconcile.kill_switch import KillSwitch
from exchange_kernel.reconcile.let_go import UnattributedFill
from exchange_kernel.reconcile.market_readings import MarketReadings
from exchange_kernel.reconcile.markets import MarketPublisher
from exchange_kernel.reconcile.memory import AccountMemory, Memory, OrderMemory
from exchange_kernel.reconcile.ports import Clock, Events, Journal, NoEvents, NoJournal, NotConnectable, Opener, Ownership
from exchange_kernel.reconcile.readings import Readings
from exchange_kernel.reconcile.sweeper import Census, Reading, Sweeper
from exchange_kernel.reconcile.venue_clock import VenueClock
from exchange_kernel.stores.port import AccountRecord, AccountStateStore, AccountStore, GroupStore, IntentStore, LimitStore, MarketStore, NoLimits, Unavailable

log = structlog.get_logger(__name__)

BACKOFF_S = (0.5, 1.0, 2.0, 5.0, 10.0)
LOOK_AGAIN_S = 300.0  # at who holds an account that can't be opened here until its spec is another
ADMISSION_RETRY_S = 2.0
AWAY_TOLD_S = 15.0  # a shorter ban is over before it is read of
LONGEST_BAN_S = 7 * 24 * 3600.0  # no adapter hands on a longer one
OFFSET_TOLD_S = 5.0  # the venue's and the API server's clocks are told to differ beyond this; orders are signed with the venue's time in any case
ANSWERS_WITHIN_S = 12.0  # how long a closing session waits for answers on their way; the adapter's own limits are shorter

NO_SIGNATURE = (
    "No request can be signed with the credentials, and none was sent: a key in the Secret that spec.credentialsSecretRef names is damaged, or is not of the "
    "kind that this exchange issues. Copy it again, as the exchange gave it."
)
ANOTHER_ACCOUNT = NotConnectable(
    "CredentialsValid",
    "AnotherAccount",
    "The credentials are of another account at the exchange than the one traded on so far: put the old Secret back, or create a new ExchangeAccount.",
)


def not_readable(answer: Unreachable) -> NotConnectable:
    """The condition for an exchange that gave no account, no time or no markets: who is to do something, and what."""
    if answer.retry_after_s is not None:
        why = "The exchange asked this account to stay away for a while: it is asked again when that is over. Does something else use its rate limit?"
        return NotConnectable("Connected", "StayAway", why, answer.retry_after_s)
    if answer.answered:
        why = f"The exchange can't be used at the moment: {answer.reason}. It may be in maintenance, and is asked again. If it lasts, check spec.endpoint."
        return NotConnectable("Connected", "Unavailable", why)
    return NotConnectable("Connected", "Unreachable", f"The exchange does not answer: {answer.reason}. Check spec.endpoint and the network.")


@dataclass(frozen=True, slots=True)
class Health:
    """What the account's conditions are made from."""

    problem: NotConnectable | None = None
    connected: bool = False
    credentials_valid: bool | None = None
    clock_synced: bool = False
    synced: bool = False  # the last sweep read everything
    lack: str = ""  # what it could not read, as a sentence
    cut: bool = False  # it read a list that is not whole
    stream_live: bool = False
    gone_markets: tuple[str, ...] = ()  # not listed any more, with orders of ours that may be open
    away_until_ms: int = 0  # when the exchange's ban is over (our wall clock, ms)


@dataclass(slots=True)
class Term:
    """What belongs to one span of ownership."""

    exchange: Exchange
    fingerprint: str
    markets: Mapping[str, MarketRules]
    markets_ms: int = 0  # venue time at which their reading began
    fence: int | None = None
    started_ms: int = 0
    admitted: bool = False  # no other ExchangeAccount object is on this account (13)
    ready: bool = False
    over: asyncio.Event = field(default_factory=asyncio.Event)
    why: str = ""


class AccountSession:
    """One account, from its first connection to its removal."""

    def __init__(
        self,
        account: AccountRecord,
        *,
        opener: Opener,
        ownership: Ownership,
        store: IntentStore,
        accounts: AccountStore,
        memory: Memory,
        clock: Clock,
        owner: str,
        wake: Callable[[str], None],
        changed: Callable[[], None],
        events: Events | None = None,
        journal: Journal | None = None,
        limits: LimitStore | None = None,
        markets: MarketStore | None = None,
        states: AccountStateStore | None = None,
        groups: GroupStore | None = None,
        wake_group: Callable[[str], None] = lambda uid: None,
        rested: Callable[[], Awaitable[None]] | None = None,
        rereads: bool = False,
    ) -> None:
        self.account, self.store, self.clock, self.owner, self.wake = account, store, clock, owner, wake
        self._memory = memory
        self.memory = self._remembered(account.status.fingerprint)  # of the account at the exchange: a recreated object goes on with it
        self.accounts, self.groups, self.wake_group, self._rested = accounts, groups, wake_group, rested
        self._events, self._journal = events or NoEvents(), journal or NoJournal()
        self.health = Health()
        self.census: Census | None = None  # as the last complete sweep counted
        self.term: Term | None = None
        self.trading_mode: TradingMode = account.spec.trading_mode
        self.risk, self.holdings = AccountRisk(self, limits or NoLimits()), Holdings(self)
        self.counters, self.holdings.published = Counters(), states is not None
        self._state = AccountStatePublisher(self, states) if states is not None else None
        self._markets = MarketPublisher(self, markets) if markets is not None else None
        self.sweeper, self.switch = Sweeper(self), KillSwitch(self, rereads=rereads)
        self.absence, self.readings, self.market_readings = AbsencePasses(self), Readings(), MarketReadings(self)
        self._opener, self._ownership, self._changed = opener, ownership, changed
        self._venue = VenueClock(clock)
        self.clock_offset_s = 0.0  # the venue's clock against the API server's, where they differ by more than requests could explain
        self._under_way: set[asyncio.Task[Any]] = set()
        self._looking, self._looks = asyncio.Lock(), 0

    @property
    def holder(self) -> str:
        """Who acts for the account while this session has a term."""
        return self._ownership.identity

    @property
    def held_elsewhere(self) -> bool:
        """Whether the account is another process's to speak for."""
        return self.term is None and self._ownership.elsewhere

    @property
    def holds(self) -> bool:
        """Whether this process has the account's Lease now."""
        return self.term is not None and not self.term.over.is_set() and self.clock.monotonic() < self._ownership.held_until

    async def look_who_holds(self) -> bool:
        """Whether another process holds the account, asked afresh: one question serves all who came before it began."""
        begun = self._looks
        async with self._looking:
            if self._looks == begun:
                self._looks += 1
                await self._ownership.look()
        return self._ownership.elsewhere

    @property
    def label(self) -> str:
        """The account's name in metrics."""
        return f"{self.account.namespace}/{self.account.name}"

    # ── Time and permission ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def now(self) -> Now:
        return Now(venue_ms=self.venue_ms(), wall_ms=self.clock.wall_ms())

    def venue_ms(self) -> int:
        return self._venue.now_ms()

    def venue_ms_of(self, wall_ms: int) -> int:
        """A time of an object as the venue's clock would have told it, or earlier: where what happened at the venue since then is looked for."""
        return wall_ms + min(0, int(self.clock_offset_s * 1000))

    def stamp(self, term: Term) -> int | Closed:
        """S of rule 4 for a request decided in `term`, if stamped now it dies within the Lease."""
        stamp = self._venue.stamp_ms()
        if self.term is not term or term.over.is_set() or stamp is None:
            return Closed("The account is not held by this process.")
        if self.clock.monotonic() + term.exchange.capabilities.request_window_ms / 1000 > self._ownership.held_until:
            return Closed("The Lease would end before the request could: waiting for its renewal.")
        return stamp

    def still_ours(self, term: Term) -> Closed | None:
        answer = self.stamp(term)
        return answer if isinstance(answer, Closed) else None

    async def measure_clock(self, exchange: Exchange) -> bool:
        """Read the venue's time. False if it can't be read; a jump of it ends the term, as a lost Lease would."""
        reading = await exchange.clock()
        if isinstance(reading, Unreachable):
            self.stay_away(reading.retry_after_s)
            return False
        if not self._take_time(reading):
            self.end_term("The exchange's clock jumped against ours.")
            return self.term is None
        return True

    def _take_time(self, reading: ClockReading) -> bool:
        """False if the venue's clock jumped against ours since the last reading."""
        offset_s = (reading.venue_time_ms - self.clock.wall_ms()) / 1000 + (self.clock.monotonic() - reading.received_at)
        if abs(offset_s - self.clock_offset_s) > OFFSET_TOLD_S:
            self.clock_offset_s = offset_s if abs(offset_s) > OFFSET_TOLD_S else 0.0
            self._changed()
        return self._venue.take(reading)

    # ── What decisions see ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def exchange(self) -> Exchange | None:
        return self.term.exchange if self.term is not None and not self.term.over.is_set() else None

    def client_order_id(self, record: OrderRecord, number: int, term: Term) -> str:
        """The id of one attempt as it would be made now."""
        if record.spec.idempotency_key is not None:
            key = record.spec.idempotency_key
            made = keyed_order_id(self.owner, fingerprint=term.fingerprint, namespace=record.namespace, key=key, attempt=number)
        else:
            made = claims.own_id(record, self.owner, number)
        return encode(made, term.exchange.capabilities.client_order_id_codec)

    def list_id(self, group_uid: str) -> str:
        """The id of the list in which the exchange is to keep a group."""
        codec = self.term.exchange.capabilities.client_order_id_codec if self.term is not None else "hex32"
        return encode(list_order_id(self.owner, group_uid=group_uid), codec)

    async def lookup_group(self, symbol: str, list_id: str) -> GroupLookupOutcome:
        exchange = self.exchange
        return await exchange.lookup_group(symbol, list_id) if exchange is not None else Unreachable("the account is not held by this process")

    @property
    def ours(self) -> Term | None:
        """The term, while the account is provably ours and its intents are listed: not for a process that was stopped and does not know it yet."""
        term = self.term
        if term is None or term.over.is_set() or term.fence is None or self.clock.monotonic() >= self._ownership.held_until:
            return None
        return term

    def seen(self, record: OrderRecord, group: Membership | None = None) -> Seen | None:
        """The sight of one order for `decide`, with what its group wants of it; None while the account is not provably ours."""
        if (term := self.ours) is None or term.fence is None:
            return None
        ids = self._ids(record, term)
        holder, known = self._holder(record, ids.values(), alone=group is None), dict[int, OrderMemory]()
        stranger = group is not None and group.stranger
        for number, client_order_id in ids.items() if holder is None and not stranger and not record.finished else ():
            self.memory.bind(client_order_id, record.uid, self.account.uid, _own(record, client_order_id))
            if (found := self.memory.peek(client_order_id)) is not None:
                known[number] = found
        created = self.store.created_version(record.uid)
        new = (created is not None and created > term.fence) or stranger
        last = known.get(max((attempt.number for attempt in record.attempts), default=1))
        sent_now = last is not None and last.send is not None and (last.send.tried_ms or 0) >= term.started_ms
        return Seen(
            new=new,
            inherited=not new and not sent_now,
            account=self._facts(term),
            market=term.markets.get(record.spec.symbol),
            ids=ids,
            sends={number: found.send for number, found in known.items() if found.send is not None},
            orders={number: found.order for number, found in known.items() if found.order is not None},
            duplicates={number: tuple(found.others.values()) for number, found in known.items() if found.others},
            trades={number: tuple(found.trades.values()) for number, found in known.items() if found.trades},
            amends={number: found.amend for number, found in known.items() if found.amend is not None},
            asked={number: frozenset(found.asked) for number, found in known.items() if found.asked},
            busted={number: tuple(bust.trade for bust in found.busts.values()) for number, found in known.items() if found.busts},
            cancels={number: found.cancel for number, found in known.items()},
            evidence={number: found.evidence for number, found in known.items() if found.evidence != Evidence()},
            looked_up_ms={number: found.looked_up_ms for number, found in known.items() if found.looked_up_ms is not None},
            ended_ms={number: found.ended_ms for number, found in known.items() if found.ended_ms is not None},
            settle_read_ms={number: found.settle_read_ms for number, found in known.items() if found.settle_read_ms is not None},
            missing={number: found.missing_ms for number, found in known.items() if found.missing_ms is not None},
            not_found={number: found.not_found for number, found in known.items() if found.not_found is not None},
            reading=frozenset(number for number, client_order_id in ids.items() if client_order_id in self.readings.under_way),
            reads_in_vain={number: found.reads_in_vain for number, found in known.items() if found.reads_in_vain},
            group=group,
            free=self.holdings.free(term.markets.get(record.spec.symbol), record.spec.side, record.spec.position_side) if group is not None else None,
            exposure=self.risk.exposure(record, term.markets.get(record.spec.symbol)),
            holder=holder,
        )

    def _ids(self, record: OrderRecord, term: Term) -> dict[int, str]:
        """The id of every recorded attempt and of the next, and on while an order is known there: an earlier object with the same key may have made it."""
        ids = {attempt.number: attempt.client_order_id for attempt in record.attempts} or {1: self.client_order_id(record, 1, term)}
        ids |= self._news_of_earlier(record, term)
        reach = self.memory.reach_of(record.uid)
        while True:
            number = max(ids) + 1
            ids[number] = self.client_order_id(record, number, term)
            found = self.memory.peek(ids[number])
            if number > reach and (found is None or found.order is None):
                return ids

    def _news_of_earlier(self, record: OrderRecord, term: Term) -> dict[int, str]:
        """The ids of attempts that status does not list and does not tell all of: one was filled after it was summed up, or lives."""
        if record.status.earlier_attempts is None or record.finished:
            return {}
        news: dict[int, str] = {}
        listed, first = {attempt.number for attempt in record.attempts}, claims.first_followed(record)
        for number in range(max(1, first - claims.FOLLOWED), max(listed, default=1)):
            known = self.memory.peek(client_order_id := self.client_order_id(record, number, term)) if number not in listed else None
            if known is None or self.memory.uid_of(client_order_id) != record.uid:
                continue
            if number < first:
                self.memory.leave(client_order_id, None if number <= claims.filled_through(record) else ZERO)
            elif known.order is not None and (known.order.filled_quantity > 0 or not known.order.status.ended):
                news[number] = client_order_id
        return news

    def summed_up(self, record: OrderRecord, client_order_id: str, term: Term) -> int | None:
        """The number of the attempt with this id, if the intent's status counts it only in a sum."""
        listed = {attempt.number for attempt in record.attempts}
        unlisted = (number for number in range(1, max(listed, default=1)) if number not in listed)
        return next((number for number in unlisted if self.client_order_id(record, number, term) == client_order_id), None)

    def _holder(self, record: OrderRecord, ids: Collection[str], *, alone: bool) -> Holder | None:
        """2: the intent that has the order which this one names: of this account at the exchange, and by a key of any market of it.

        `alone`: it has no group that says whose the place is which its groupRef names.
        """
        keyed = record.spec.idempotency_key is not None
        placed = alone and record.spec.group_ref is not None
        if not keyed and not placed and claims.ids_of_its_own(record, self.owner):
            return None
        everyone = self.accounts.all()
        accounts = [self.account, *same_account(self.account, everyone)]
        if keyed and not record.attempts and not any(self._sent_here(record, client_order_id) for client_order_id in ids):
            accounts += other_markets(self.account, everyone)
        peers = [peer for account in accounts for peer in self.store.of_account(account.namespace, account.name)]
        return claims.holder(record, peers, self.owner)

    def _sent_here(self, record: OrderRecord, client_order_id: str) -> bool:
        """Whether an order of this intent's market may be at the exchange under this id, whatever its status says."""
        known = self.memory.peek(client_order_id)
        if known is None:
            return False
        sent = known.send is not None and (known.send.open_ended or known.send.stage is SendStage.ACCEPTED)
        return sent or (known.order is not None and known.order.symbol == record.spec.symbol)

    def _facts(self, term: Term) -> AccountFacts:
        spec = self.account.spec
        return AccountFacts(
            uid=self.account.uid,
            exchange=spec.exchange,
            fingerprint=term.fingerprint,
            capabilities=term.exchange.capabilities,
            trading_mode=self.trading_mode,
            mode_known=self.switch.known,
            send_first=spec.send_policy is SendPolicy.SEND_FIRST,
            ready=term.ready and not self.account.deleting,
            symbols=frozenset(spec.symbols),
            session_start_ms=term.started_ms,
            answers_since_ms=self.sweeper.answers_since_ms,
            markets_ms=term.markets_ms,
        )

    # ── The life of a session ───────────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def run(self) -> None:
        """Term after term, until cancelled."""
        failures = 0
        while True:
            term = await self._open()
            if isinstance(term, NotConnectable):
                failures += 1
                refused = term.condition == "CredentialsValid"
                elsewhere = self.held_elsewhere
                await self._ownership.look()  # what is wrong here need not be wrong there: the holder's word counts
                if elsewhere != self.held_elsewhere:
                    self._changed()
                away_until_ms = self.health.away_until_ms
                self.report(Health(problem=term, connected=refused, credentials_valid=False if refused else None, away_until_ms=away_until_ms))
                self.stay_away(term.retry_after_s)
                again_s = LOOK_AGAIN_S if term.person else BACKOFF_S[min(failures, len(BACKOFF_S)) - 1]
                await asyncio.sleep(max(again_s, term.retry_after_s or 0.0))
                continue
            failures = 0
            self.report(replace(self.health, problem=None, connected=True, credentials_valid=True, clock_synced=True))
            try:
                await self._serve(term)
            finally:
                await self._close(term)

    async def _open(self) -> Term | NotConnectable:
        exchange = await self._opener.open(self.account)
        if isinstance(exchange, NotConnectable):
            return exchange
        try:
            term = await self._connect(exchange)
        except BaseException:
            await exchange.close()
            raise
        if isinstance(term, NotConnectable):
            await exchange.close()
        return term

    async def _connect(self, exchange: Exchange) -> Term | NotConnectable:
        """Read the venue's clock, find out who we are there, and read its markets."""
        reading = await exchange.clock()
        if isinstance(reading, Unreachable):
            return not_readable(reading)
        self._take_time(reading)
        fingerprint = await exchange.fingerprint()
        if isinstance(fingerprint, Refused):
            if fingerprint.code == MALFORMED:
                return NotConnectable("CredentialsValid", MALFORMED, NO_SIGNATURE)
            why = f"The exchange refused the credentials ({fingerprint.reason}): check the Secret that spec.credentialsSecretRef names."
            return NotConnectable("CredentialsValid", "Refused", why)
        read_ms = self.venue_ms()
        markets = await exchange.markets()
        for answer in (fingerprint, markets):
            if isinstance(answer, Unreachable):
                return not_readable(answer)
        assert isinstance(fingerprint, str)
        assert not isinstance(markets, Unreachable)
        pinned = self.account.status.fingerprint
        if pinned and pinned != fingerprint:
            return ANOTHER_ACCOUNT
        self.memory = self._remembered(fingerprint)
        return Term(journaled_exchange(exchange, self._journal, self._identity(fingerprint), self.memory, self.store), fingerprint, markets, read_ms)

    def _remembered(self, fingerprint: str | None) -> AccountMemory:
        return self._memory.at(place_of(self.account, fingerprint)) if fingerprint is not None else AccountMemory()

    def _identity(self, fingerprint: str | None) -> dict[str, str | None]:
        """The account, for the journal."""
        return {"namespace": self.account.namespace, "name": self.account.name, "fingerprint": fingerprint}

    async def _serve(self, term: Term) -> None:
        """One span of ownership: win the Lease, fence, sweep, and then act until it is over."""
        await self._ownership.acquire()
        self.memory.count_on(self.account.uid, self.account.status.unattributed_fills or 0)
        self.term = term
        async with Background() as background:
            background.start(self._hold)
            background.start(self.switch.keep)
            if not await self.measure_clock(term.exchange):
                log.warning("the exchange's clock can't be read", account=self.account.name)
                return
            term.started_ms = self.venue_ms()
            if not await self._fence(term):
                return
            await self.market_readings.note(term)
            self._wake_unwanted()
            problem = await self._admit(term)
            background.start(lambda: self.sweeper.read_stream(term))
            background.start(self.risk.know_limits)
            background.start(lambda: self.market_readings.keep(term))
            background.start(lambda: self.holdings.keep(term))
            if (markets := self._markets) is not None:
                background.start(lambda: markets.keep(term))
            if (state := self._state) is not None:
                background.start(lambda: state.keep(term))
            while not term.over.is_set() and await self.sweeper.sweep() is Reading.UNREADABLE:
                await either(term.over.wait(), asyncio.sleep(1.0))
            while not term.over.is_set() and problem is not None:
                # Nothing is sent; what its intents have at the exchange can be cancelled and goes on being followed.
                self.report(replace(self.health, problem=problem))
                await either(term.over.wait(), asyncio.sleep(ADMISSION_RETRY_S))
                if (problem := await self._admit(term)) is None:
                    await self.sweeper.sweep()  # now with the account's orphans
            self.report(replace(self.health, problem=None))
            term.ready = not term.over.is_set()
            self._changed()
            for record in self.store.of_account(self.account.namespace, self.account.name):
                self.wake(record.uid)
            log.info("account ready", account=self.account.name, namespace=self.account.namespace)
            await term.over.wait()
            log.warning("account session over", account=self.account.name, reason=term.why)
            self._tell(Event(WARNING, SESSION_LOST, term.why))

    def _wake_unwanted(self) -> None:
        """9: wake what its user wants gone. Its cancel needs the Lease and no reading, so it does not wait for the first sweep."""
        account = self.account
        groups = self.groups.of_account(account.namespace, account.name) if self.groups is not None else ()
        gone = {group.uid for group in groups if group.deleting or group.spec.desired_state is not GroupDesiredState.WORKING}
        for record in self.store.of_account(account.namespace, account.name):
            unwanted = record.deleting or record.spec.desired_state is DesiredState.CANCELED
            if not record.finished and (unwanted or (record.spec.group_ref is not None and record.spec.group_ref.uid in gone)):
                self.wake(record.uid)

    async def _admit(self, term: Term) -> NotConnectable | None:
        problem = await admit(self.accounts, self.account, term.fingerprint)
        term.admitted = problem is None
        return problem

    async def _hold(self) -> None:
        self._venue.forget_renewals()
        try:
            await self._ownership.hold(self._venue.before_renewal, self._venue.renewed)
        except Exception:  # a bug: a Lease that nobody renews is lost
            log.exception("the Lease could not be kept", account=self.label)
        self.end_term("The Lease was lost.")

    async def _fence(self, term: Term) -> bool:
        """6: the version of one consistent list of intents, taken after the Lease was ours. What is created after it, we saw being created."""
        while not term.over.is_set():
            snapshot = await self.store.list_all(self.account.namespace)
            if not isinstance(snapshot, Unavailable):
                self.memory.begin_term(self._may_be_ours, self.version_of)
                mine = [record for record in snapshot.records if record.spec.account_ref.name == self.account.name]
                self.risk.sends.take_over(mine, self.venue_ms(), self.clock.monotonic())
                term.fence = snapshot.version
                return True
            await either(term.over.wait(), asyncio.sleep(0.5))
        return False

    def _may_be_ours(self, client_order_id: str) -> bool:
        """Whether an id is of this account object, or of one that is gone: whoever has this account may have sent it under either."""
        account = self.memory.account_of(client_order_id)
        return account in (None, self.account.uid) or self.accounts.get(account) is None

    @property
    def gone(self) -> list[OrderRecord]:
        """The account's intents that go on in memory alone."""
        return self._memory.gone_of(self.account.namespace, self.account.name)

    def record_of(self, uid: str) -> OrderRecord | None:
        """An intent as the store has it, or as it goes on in memory."""
        return self.store.get(uid) or self._memory.gone.get(uid)

    def version_of(self, client_order_id: str) -> str | None:
        """The resourceVersion of the intent that follows this id, as far as it is known by now."""
        uid = self.memory.uid_of(client_order_id)
        record = self.store.get(uid) if uid is not None else None
        return record.resource_version if record is not None else None

    async def ask_who_we_are(self, term: Term) -> None:
        """The orders could not be read: if that is because of the credentials, the session opens again with the Secret as it is by now."""
        answer = await term.exchange.fingerprint()
        if isinstance(answer, Refused) or (isinstance(answer, str) and answer != term.fingerprint):
            self.end_term("The exchange refused the credentials.")

    async def notice_new_credentials(self) -> None:
        if await self._opener.outdated(self.account):
            self.end_term("The account's Secret was changed.")

    def end_term(self, why: str) -> None:
        """Stop acting for the account now; a new term needs the Lease and a fence of its own."""
        if self.term is not None and not self.term.over.is_set():
            self.term.why, self.term.ready = why, False
            self.term.over.set()
            self._changed()

    async def _close(self, term: Term) -> None:
        self.end_term("closed")
        self.absence.close()
        self.readings.close()
        self.sweeper.close()
        self.term = None
        self.report(replace(self.health, synced=False, lack="", cut=False, stream_live=False, gone_markets=()))
        if self._under_way:
            # Their outcomes are recorded in memory, whatever becomes of this session.
            await asyncio.wait(set(self._under_way), timeout=ANSWERS_WITHIN_S)
        await term.exchange.close()

    async def release(self) -> None:
        """Give the Lease back (others still wait it out)."""
        with contextlib.suppress(Exception):
            await self._ownership.release()

    def track(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run something whose outcome must be recorded even if whoever asked for it is cancelled (rule 3)."""
        task = asyncio.get_running_loop().create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return task

    def look_at_state(self) -> None:
        """The AccountState changed: somebody may have asked for a reading there."""
        if self._state is not None:
            self._state.look()

    async def rested(self) -> None:
        """Return when no intent or group of the account is being reconciled or read, of those that were when this was called."""
        if self._rested is None:
            return
        await self._rested()
        await self.readings.idle()
        await self._rested()

    def take_account(self, found: AccountRecord | None) -> None:
        """The account as it was read just now; None: it is gone. Its mode holds at once, and the rest once it is reconciled."""
        if found is not None:
            self.trading_mode = found.spec.trading_mode
        if found is None or found != self.account:
            self._changed()

    def report(self, health: Health) -> None:
        if health != self.health:
            self.health = health
            self._changed()

    def stay_away(self, seconds: float | None) -> None:
        """14: keep, for the conditions, until when an answer wants this account away. A short while is no trouble, and one end is told once."""
        until = self.clock.wall_ms() + int(min(seconds or 0.0, LONGEST_BAN_S) * 1000)
        if seconds is not None and seconds > AWAY_TOLD_S and until > self.health.away_until_ms + AWAY_TOLD_S * 1000:
            self.report(replace(self.health, away_until_ms=until // 1000 * 1000 + 1000))

    def count(self, census: Census) -> None:
        if census != self.census:
            self.census = census
            self._changed()

    def report_orphan(self, order: ExchangeOrder, *, mistaken: bool = False) -> None:
        """Tell of an order that is open and followed by no intent. `mistaken`: a person had told its end."""
        log.warning(
            "an order that a person had called ended is open: it is cancelled" if mistaken else "an order of ours that no intent explains",
            account=self.label,
            client_order_id=order.client_order_id,
            exchange_order_id=order.exchange_order_id,
            symbol=order.symbol,
        )
        self._tell(TOLD_ORDER_OPEN if mistaken else ORPHAN_ORDER)

    def tell_unattributed(self) -> None:
        """11: executions that no intent's status can tell are told here, and counted in the account's."""
        for fill in self.memory.untold():
            self.report_unattributed(fill)
            self._changed()

    def report_unattributed(self, fill: UnattributedFill) -> None:
        log.warning(
            "a fill that no intent explains",
            account=self.label,
            client_order_id=fill.order.client_order_id,
            exchange_order_id=fill.order.exchange_order_id,
            symbol=fill.order.symbol,
            side=fill.order.side,
            quantity=str(fill.quantity),
            trades=[trade.trade_id for trade in fill.trades],
            executions=fill.executions,
        )
        self._tell(LATE_FILL)
        told = {"client_order_id": fill.order.client_order_id, "order": fill.order, "quantity": fill.quantity, "trades": fill.trades}
        self._journal.fact("lateFill", {"account": self._identity(self.term.fingerprint if self.term is not None else None), **told})

    def _tell(self, event: Event) -> None:
        self._events.account_event(self.account, event.type, event.reason, event.note)


def _own(record: OrderRecord, client_order_id: str) -> tuple[str, str | None] | None:
    """The market and the exchange's id of an order that is this intent's by its id; None while only a key leads to it."""
    if record.spec.idempotency_key is not None and not record.attempts:
        return None
    attempt = record.attempt_of(client_order_id)
    return record.spec.symbol, attempt.exchange_order_id if attempt is not None else None
