"""Accounts: one session for each, its conditions, and which session an intent belongs to."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import structlog

from exchange_kernel.api import AccountCapabilities, Condition, ExchangeAccountStatus, OrphanPolicy
from exchange_kernel.core.actions import Waiting
from exchange_kernel.core.checks.ending import ACCOUNT_NOT_FOUND
from exchange_kernel.core.endpoints import ENDPOINT_NOT_ALLOWED
from exchange_kernel.core.events import of_account
from exchange_kernel.core.groups import GroupRecord
from exchange_kernel.core.order import OrderRecord
from exchange_kernel.core.venue import Capabilities
from exchange_kernel.reconcile.admission import learned_at, named_to, refused_by
from exchange_kernel.reconcile.memory import Memory
from exchange_kernel.reconcile.ports import Events, NoEvents
from exchange_kernel.reconcile.session import AccountSession, Health
from exchange_kernel.stores.port import AccountRecord, AccountStore, IntentStore, Unavailable
from exchange_kernel.telemetry import metrics

log = structlog.get_logger(__name__)

WRITE_RETRY_S = 1.0
TOLD_SYMBOLS = 5
DRAIN_CHECK_S = 1.0
SPOKEN_S = 2.0  # how often the process that spoke of an account goes on as the one that does
SILENT_S = 5.0  # after which a process that may not speak looks again whether what there is to say was said

DELETING = (
    "The account is being deleted and nothing is sent any more; it goes once none of its OrderIntents is unfinished. Two ways out: finish, cancel or "
    "delete them, or set their spec.deletionPolicy: Orphan and delete them, which leaves their orders at the exchange."
)


STAY_AWAY = "StayAway"


def market_gone(symbols: Sequence[str]) -> str:
    """The message for an account with orders in markets that its exchange lists no more."""
    more = f" and {len(symbols) - TOLD_SYMBOLS} more" if len(symbols) > TOLD_SYMBOLS else ""
    return (
        f"The exchange lists {', '.join(symbols[:TOLD_SYMBOLS])}{more} no more, and orders of ours may be open there: cancel or delete their OrderIntents, or "
        "say what became of them with `kubectl exchange resolve`. Other markets are traded as ever."
    )


def stay_away(until_ms: int) -> str:
    """The message for an account that its exchange keeps away."""
    until = datetime.fromtimestamp(until_ms / 1000, UTC)
    return (
        f"The exchange asked this account to stay away until {until:%Y-%m-%dT%H:%M:%SZ}. Nothing is asked or sent until then, except for one cancel every ten "
        "seconds. Find out what else uses the account's rate limit, or its address."
    )


NOT_READY = Waiting("AccountNotReady", "The account is not ready to trade: see its conditions.")

Speaks = Callable[[], Awaitable[bool]]


async def alone() -> bool:
    """Of a process that has no others beside it."""
    return True


@dataclass(slots=True)
class _Running:
    session: AccountSession
    task: asyncio.Task[None]
    told: object = None  # what the account's intents and groups were last woken for
    said: object = None  # what was last written of it while nobody held it

    @property
    def accounted_for(self) -> bool:
        term = self.session.term
        return (term is not None and term.ready) or self.session.health.problem is not None


class ExchangeAccountReconciler:
    """All accounts of this process."""

    def __init__(
        self,
        *,
        store: AccountStore,
        intents: IntentStore,
        memory: Memory,
        new_session: Callable[[AccountRecord, Callable[[], None]], AccountSession],
        wake: Callable[[str], None],
        wake_after: Callable[[str, float], None],
        wake_intents: Callable[[AccountRecord], None],
        wall_ms: Callable[[], int],
        events: Events | None = None,
        speaks: Speaks = alone,
        wake_record_after: Callable[[OrderRecord | GroupRecord, float], None] = lambda record, seconds: None,
    ) -> None:
        """`speaks`: whether this process, of all there are, is the one that tells of accounts which nobody holds."""
        self._speaks_of_unheld, self._wake_record_after = speaks, wake_record_after
        self._store, self._new_session, self._wake, self._wake_intents, self._wall_ms = store, new_session, wake, wake_intents, wall_ms
        self._wake_after, self._intents, self._memory = wake_after, intents, memory
        self._events = events or NoEvents()
        self._running: dict[str, _Running] = {}

    async def reconcile(self, uid: str) -> None:
        """Bring the session in line with the account, and the account's status with the session."""
        account, running = self._store.get(uid), self._running.get(uid)
        if account is None:
            if running is not None:
                await self._stop(uid)
            return
        if account.deleting and await self._drained(account):
            if running is not None:
                await self._stop(uid)
            if account.finalizer and not await self._store.remove_finalizer(account):
                self._wake_after(uid, WRITE_RETRY_S)
                return
            self._wake_intents(account)  # and their groups: who waited for the session goes on without it
            return
        if not account.finalizer and not account.deleting:
            # Before anything of it is used: it must stay for as long as its orders need its credentials (rule 11).
            if not await self._store.add_finalizer(account):
                self._wake_after(uid, WRITE_RETRY_S)
                return
            account = self._store.get(uid) or account
        if running is not None and _connection(running.session.account) != _connection(account):
            log.info("account changed: a new session begins", account=account.name)
            await self._stop(uid)
            running = None
        if running is None:
            session = self._new_session(account, lambda: self._wake(uid))
            running = self._running[uid] = _Running(session, asyncio.get_running_loop().create_task(self._run(session)))
        session = running.session
        session.account, session.trading_mode = account, account.spec.trading_mode
        self._make_room(session)
        if await self._speaks(running, account):
            await self._say(running, account)
        if (away_ms := session.health.away_until_ms - self._wall_ms()) > 0:
            self._wake_after(uid, away_ms / 1000 + 0.1)  # to tell that it is over
        if account.deleting:
            # No timer ticks for an object that is being deleted.
            session.track(session.sweeper.sweep_if_due())
            self._wake_after(uid, DRAIN_CHECK_S)
        ready = session.term is not None and session.term.ready
        if running.told != (news := (session.trading_mode, session.health.problem, account.deleting, session.held_elsewhere, ready)):
            running.told = news
            self._wake_intents(account)

    async def _speaks(self, running: _Running, account: AccountRecord) -> bool:
        """Whether this process may write the account's status: the holder always, and while there is none one says once what it has to say."""
        news = (running.session.health, account.generation)
        if running.session.holds:
            running.said = news
            return True
        if running.said == news and not running.session.held_elsewhere and await self._speaks_of_unheld():
            self._wake_after(account.uid, SPOKEN_S)  # nobody says it otherwise while this process is there
            return False
        running.said = news if await self._may_speak(running.session) else None
        self._wake_after(account.uid, SILENT_S if running.said is None else SPOKEN_S)
        return running.said is not None

    async def _may_speak(self, session: AccountSession | None) -> bool:
        """7: whoever holds no Lease contradicts nobody who does. Of several that see no holder, one speaks."""
        if session is not None and await session.look_who_holds():
            return False
        return await self._speaks_of_unheld()

    async def _say(self, running: _Running, account: AccountRecord) -> None:
        """Write the account's status, and once it is committed tell what is new in it."""
        status = self._status(account, running.session)
        if not await self._store.write_status(account, status):
            running.said = None
            self._wake_after(account.uid, WRITE_RETRY_S)
            return
        for event in of_account(account.status, status):
            self._events.account_event(account, event.type, event.reason, event.note)

    async def _drained(self, account: AccountRecord) -> bool:
        """Whether no intent of the account is unfinished, by a consistent list, nor anything of a force-deleted one live."""
        if self._memory.gone_of(account.namespace, account.name):
            return False
        if any(not record.finished for record in self._intents.of_account(account.namespace, account.name)) or self._memory.unsettled(account.uid):
            return False
        snapshot = await self._intents.list_all(account.namespace)
        if isinstance(snapshot, Unavailable) or not snapshot.complete:
            return False
        return all(record.finished for record in snapshot.records if record.spec.account_ref.name == account.name)

    def _make_room(self, session: AccountSession) -> None:
        """13: the older of two objects on one account at the exchange has it; this one's term ends, and the next is not admitted."""
        if session.term is not None and session.term.admitted and (older := refused_by(session.account, self._store.all())) is not None:
            log.warning("an older object is on the same account at the exchange", account=session.label, older=f"{older.namespace}/{older.name}")
            session.end_term(f"An older object is on the same account at the exchange: {named_to(session.account, older)}.")

    async def _run(self, session: AccountSession) -> None:
        try:
            await session.run()
        except asyncio.CancelledError:
            raise
        except Exception:
            log.exception("the account's session failed", account=session.account.name)
            self._running.pop(session.account.uid, None)
            await asyncio.sleep(5.0)
            self._wake(session.account.uid)

    async def _stop(self, uid: str) -> None:
        running = self._running.pop(uid)
        running.session.end_term("stopped")
        running.task.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await running.task
        await running.session.release()

    async def close(self) -> None:
        await asyncio.gather(*(self._stop(uid) for uid in list(self._running)))

    async def session_of(self, record: OrderRecord | GroupRecord) -> AccountSession | Waiting | None:
        """The session of an intent's or a group's account, or why there is none; None if it is not known yet, and its account will wake the intent."""
        namespace, name = record.namespace, record.spec.account_ref.name
        account = self._store.named(namespace, name)
        if account is None:
            return await self._told_by_one(record, ACCOUNT_NOT_FOUND, None) if await self._store.missing(namespace, name) else None
        session = self.running_session(account.uid)
        if session is None or session.held_elsewhere:
            return None
        if session.term is None and session.health.problem is not None:
            return await self._told_by_one(record, replace(NOT_READY, person=session.health.problem.person), session)
        return session

    async def _told_by_one(self, record: OrderRecord | GroupRecord, waiting: Waiting, session: AccountSession | None) -> Waiting | None:
        """Why there is no session, for the one process that may say so. The others look again until it is said."""
        if await self._may_speak(session):
            return waiting
        said = any((one.reason, one.observed_generation) == (waiting.reason, record.generation) for one in record.status.conditions)
        if not said or (record.finalizer and (record.deleting or record.finished)):
            self._wake_record_after(record, SILENT_S)
        return None

    def session_at_hand(self, record: OrderRecord) -> AccountSession | None:
        """The session of an intent's account if there is one, ready or not: for who does nothing without a term."""
        account = self._store.named(record.namespace, record.spec.account_ref.name)
        return self.running_session(account.uid) if account is not None else None

    def running_session(self, uid: str) -> AccountSession | None:
        running = self._running.get(uid)
        return running.session if running is not None else None

    async def sweep(self, uid: str) -> None:
        running = self._running.get(uid)
        if running is not None:
            self._make_room(running.session)
            await running.session.sweeper.sweep_if_due()

    def all_ready(self) -> bool:
        """Whether every account is held and swept, or shows a condition that says why it can't be."""
        return all((running := self._running.get(account.uid)) is not None and running.accounted_for for account in self._store.all())

    # ── Status ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _status(self, account: AccountRecord, session: AccountSession) -> ExchangeAccountStatus:
        term, health, old, census = session.term, session.health, account.status, session.census
        away = health.away_until_ms > self._wall_ms() and (health.problem is None or health.problem.reason == STAY_AWAY)
        ready = term is not None and term.ready and not account.deleting and not away
        metrics.ACCOUNT_READY.labels(account=f"{account.namespace}/{account.name}").set(1 if ready else 0)
        all_well = ready and not health.gone_markets
        at = datetime.fromtimestamp(self._wall_ms() / 1000, UTC)
        before = {condition.type: condition for condition in old.conditions}

        def condition(kind: str, status: bool | None, reason: str, message: str = "") -> Condition:
            word = "Unknown" if status is None else "True" if status else "False"
            previous = before.get(kind)
            since = previous.last_transition_time if previous is not None and previous.status == word else at
            return Condition(type=kind, status=word, reason=reason, message=message, observed_generation=account.generation, last_transition_time=since)

        problem = health.problem
        why = (
            ("Deleting", DELETING)
            if account.deleting
            else (STAY_AWAY, stay_away(health.away_until_ms))
            if away
            else (problem.reason, problem.message)
            if problem is not None
            else ("WaitingForLease", "Another holder's term, or a new Lease's first one, is being waited out: a minute at most.")
            if term is None
            else ("ListNotReadable", health.lack)
            if health.lack
            else ("MarketGone", market_gone(health.gone_markets))
            if ready and health.gone_markets
            else ("Sweeping", "Orders are being read from the exchange.")
        )
        stalled = problem is not None and problem.person
        return old.model_copy(
            update={
                "observed_generation": account.generation,
                "holder": session.holder if term is not None else None,
                "fingerprint": term.fingerprint if term is not None else old.fingerprint,
                "fingerprint_source": _source(account, session),
                "trading_mode": session.trading_mode,
                "open_intents": census.open_intents if census is not None else old.open_intents,
                "orphan_orders": census.orphans if census is not None else old.orphan_orders,
                "external_orders": census.external if census is not None else old.external_orders,
                "unattributed_fills": max(old.unattributed_fills or 0, session.memory.unattributed(account.uid)),
                "capabilities": _capabilities(term.exchange.capabilities) if term is not None else old.capabilities,
                "conditions": [
                    condition("Ready", all_well, "Ready" if all_well else why[0], "" if all_well else why[1]),
                    condition("Stalled", stalled, why[0] if stalled else "Progressing", why[1] if stalled else ""),
                    condition("Connected", health.connected, "Connected" if health.connected else why[0], "" if health.connected else why[1]),
                    condition(
                        "CredentialsValid",
                        health.credentials_valid,
                        "Valid" if health.credentials_valid else "NotChecked" if health.credentials_valid is None else why[0],
                        why[1] if health.credentials_valid is False else "",
                    ),
                    condition("ClockSynced", *_clock(health, session.clock_offset_s)),
                    condition(
                        "Synced",
                        health.synced,
                        "Swept" if health.synced else "ListIncomplete" if health.cut else "ListNotReadable" if health.lack else "NotSwept",
                        "" if health.synced else health.lack or "The account's orders are not read yet.",
                    ),
                    condition("OrphanOrders", None, "ListIncomplete" if health.cut else "NotSwept")
                    if census is None or health.cut
                    else condition("OrphanOrders", bool(census.orphans), *_orphans(census.orphans, account.spec.orphan_policy)),
                ],
            }
        )


def _connection(account: AccountRecord) -> tuple[object, ...]:
    """What a session is built from: any change of it needs a new one."""
    spec = account.spec
    return (spec.exchange, spec.environment, spec.market_type, spec.endpoint, spec.credentials_secret_ref, spec.rate_limit)


def _source(account: AccountRecord, session: AccountSession) -> str | None:
    """Where the fingerprint was learned. An endpoint that is not allowed (any more) takes the claim away until the account is opened again."""
    if session.term is not None:
        return learned_at(account)
    problem, old = session.health.problem, account.status
    refused = problem is not None and problem.reason == ENDPOINT_NOT_ALLOWED and old.fingerprint is not None
    return ENDPOINT_NOT_ALLOWED if refused else old.fingerprint_source


def _clock(health: Health, offset_s: float) -> tuple[bool, str, str]:
    """Status, reason and message of the condition ClockSynced."""
    if not health.clock_synced:
        return False, "NotMeasured", ""
    if not offset_s:
        return True, "Synced", ""
    return False, "Offset", (
        f"The exchange's clock is {abs(offset_s):.0f} seconds {'ahead of' if offset_s > 0 else 'behind'} the API server's. Requests are signed with the "
        "exchange's time and go on. spec.expireTime is the exchange's time, submit deadlines are the API server's: check the time synchronisation of both."
    )


def _orphans(count: int, policy: OrphanPolicy) -> tuple[str, str]:
    """Reason and message of the condition OrphanOrders."""
    if not count:
        return "None", ""
    if policy is OrphanPolicy.CANCEL:
        return "Canceling", "Open orders that this installation placed and no OrderIntent explains are being cancelled, as spec.orphanPolicy says."
    return "NoIntent", (
        "The exchange has open orders that this installation placed and no OrderIntent explains: the operator's log names them. "
        "Cancel them at the exchange, or set spec.orphanPolicy: Cancel."
    )


def _capabilities(venue: Capabilities) -> AccountCapabilities:
    return AccountCapabilities(
        client_order_id_codec=venue.client_order_id_codec,
        client_order_id_max_length=venue.client_order_id_max_length,
        client_order_id_pattern=venue.client_order_id_pattern or None,
        duplicate_ids_refused=venue.duplicate_ids_refused,
        lookup=venue.lookup,
        lookup_delay_milliseconds=venue.lookup_delay_ms,
        request_window_milliseconds=venue.request_window_ms,
        request_expiry_parameter=venue.request_expiry_parameter,
        accepts_ahead_milliseconds=venue.accepts_ahead_ms,
        expiry_check=venue.expiry_check,
        retention_seconds=venue.retention_ms // 1000,
        filled_retention_seconds=_seconds(venue.retention_filled_ms),
        order_history_seconds=_seconds(venue.orders_horizon_ms),
        trade_history_seconds=_seconds(venue.trades_horizon_ms),
        amend=venue.amend,
        replace=venue.replace,
        cancel_by_client_id=venue.cancel_by_client_id,
        order_types=sorted(venue.order_types),
        times_in_force=sorted(venue.times_in_force),
        post_only=venue.post_only,
        reduce_only=venue.reduce_only,
        trigger_price_types=sorted(venue.trigger_prices),
        trailing_units=sorted(venue.trailing_units),
        hedge_mode=venue.hedge_mode,
        native_groups=sorted(venue.native_groups),
        max_open_orders_listed=venue.max_open_orders_listed,
        max_batch_create=venue.max_batch_create,
        max_batch_cancel=venue.max_batch_cancel,
        taker_fee=venue.taker_fee,
        dead_man_switch=venue.dead_man_switch,
    )


def _seconds(milliseconds: int | None) -> int | None:
    return None if milliseconds is None else milliseconds // 1000
