"""One account's orders in process: the stores of one file, the reconcilers that a cluster's operator has, and a timer of their own."""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import socket
import uuid
from collections.abc import Callable, Mapping

import structlog

from exchange_kernel.api import ExchangeAccountSpec, RiskLimitSpec
from exchange_kernel.core.identity import owner_prefix
from exchange_kernel.exchanges.port import Exchange
from exchange_kernel.kernel.local_api import NAMESPACE, LocalApi
from exchange_kernel.reconcile.memory import Memory
from exchange_kernel.reconcile.ports import Clock, NotConnectable
from exchange_kernel.reconcile.reconcilers import Reconcilers
from exchange_kernel.reconcile.session import AccountSession
from exchange_kernel.stores.memory import MemoryLimitStore
from exchange_kernel.stores.port import AccountRecord
from exchange_kernel.stores.sqlite import OrdersFile, SqliteAccountStore, SqliteGroupStore, SqliteIntentStore

log = structlog.get_logger(__name__)

TICK_S = 1.0  # how often it is asked whether a sweep is due
RENEW_S = 1.0
DRAIN_S = 6.0  # what a stop waits for reconciles under way

OpenExchange = Callable[[], Exchange]


class LocalDesk:
    """From the opening of the file to its closing. Raises what OrdersFile raises."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        account: str,
        spec: ExchangeAccountSpec,
        open_exchange: OpenExchange,
        clock: Clock,
        risk_limits: Mapping[str, RiskLimitSpec],
    ) -> None:
        self._file = OrdersFile(path)
        self.memory, self._clock, self._open_exchange, self._limits = Memory(), clock, open_exchange, MemoryLimitStore()
        for name, limit in risk_limits.items():
            self._limits.put(name, limit, namespace=NAMESPACE)
        try:
            self.accounts = SqliteAccountStore(self._file, self._account_changed, clock.wall_ms)
            self.intents = SqliteIntentStore(self._file, self._intent_changed, clock.wall_ms)
            self.groups = SqliteGroupStore(self._file, self._group_changed, clock.wall_ms)
            self.api = LocalApi(self.intents, self.groups)
            self._reconcilers = Reconcilers(
                accounts=self.accounts, groups=self.groups, intents=self.intents, memory=self.memory, clock=clock, new_session=self._new_session
            )
            self.intents.gone = self._reconcilers.intent_gone
            self.account = self._open_account(account, spec)
        except BaseException:
            self._file.close()
            raise
        self._ticking: asyncio.Task[None] | None = None
        self._moved = asyncio.Event()

    def _open_account(self, name: str, spec: ExchangeAccountSpec) -> str:
        """The file's account. Its UID names the orders at the exchange, and stays with the file. Raises NotKept."""
        known = self.accounts.named(NAMESPACE, name)
        if known is None:
            return self.accounts.create(str(uuid.uuid4()), spec, namespace=NAMESPACE, name=name).uid
        if known.spec != spec:
            self.accounts.edit(known.uid, spec)
        return known.uid

    def _new_session(self, account: AccountRecord, changed: Callable[[], None]) -> AccountSession:
        return AccountSession(
            account,
            opener=_Opener(self._open_exchange),
            ownership=FileIsOurs(self._clock),
            store=self.intents,
            accounts=self.accounts,
            memory=self.memory,
            clock=self._clock,
            owner=owner_prefix(account.uid),
            wake=self._reconcilers.wake_intent,
            changed=lambda: self._session_changed(changed),
            groups=self.groups,
            wake_group=self._reconcilers.group_wakeups.wake,
            limits=self._limits,
        )

    # ── Wakeups ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _account_changed(self, uid: str) -> None:
        self._reconcilers.account_wakeups.wake(uid)

    def _session_changed(self, changed: Callable[[], None]) -> None:
        changed()
        self._moved.set()

    def _intent_changed(self, uid: str) -> None:
        self.api.intents.changed(uid)
        self._reconcilers.wake_intent(uid)

    def _group_changed(self, uid: str) -> None:
        self.api.groups.changed(uid)
        self._reconcilers.group_wakeups.wake(uid)

    def wake_all(self) -> None:
        self._reconcilers.wake_namespace(NAMESPACE)

    # ── Life ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def run(self) -> None:
        self._reconcilers.account_wakeups.wake(self.account)
        self.wake_all()
        self._ticking = asyncio.get_running_loop().create_task(self._tick())

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            await self._reconcilers.account_reconciler.sweep(self.account)

    @property
    def session(self) -> AccountSession | None:
        return self._reconcilers.account_reconciler.running_session(self.account)

    @property
    def problem(self) -> NotConnectable | None:
        """Why the account can't be traded on now, where that is known."""
        return self.session.health.problem if self.session is not None else None

    async def ready(self, within: float) -> None:
        """Return once the account is traded on, or it is known why it can't be; or after so many seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                while self.problem is None and not ((session := self.session) is not None and session.term is not None and session.term.ready):
                    self._moved.clear()
                    await self._moved.wait()

    async def idle(self) -> None:
        """Return when nothing is being reconciled."""
        intents, groups = self._reconcilers.intent_wakeups, self._reconcilers.group_wakeups
        for wakeups in (intents, groups, intents):
            await wakeups.idle()

    async def close(self) -> None:
        """Begin nothing new, let what is under way be answered, and give the file back. Open orders stay open."""
        if self._ticking is not None:
            self._ticking.cancel()
        await self._reconcilers.close(drain=DRAIN_S)
        self._file.close()


class FileIsOurs:
    """Ownership by the file's lock: nobody else can have the account's orders while this process lives, and whoever comes next begins after its end."""

    duration, held_until, elsewhere = math.inf, math.inf, False

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.identity = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"

    async def look(self) -> None: ...

    async def acquire(self) -> None: ...

    async def hold(self, before_renewal: Callable[[float], None], renewed: Callable[[float], None]) -> None:
        """There is nothing to renew but the time that stamps are counted from: a process that was frozen signs with the time at which it was."""
        while True:
            at = self._clock.monotonic()
            before_renewal(at)
            renewed(at)
            await asyncio.sleep(RENEW_S)

    async def release(self) -> None: ...


class _Opener:
    def __init__(self, open_exchange: OpenExchange) -> None:
        self._open_exchange = open_exchange

    async def open(self, account: AccountRecord) -> Exchange | NotConnectable:
        try:
            return self._open_exchange()
        except ValueError as error:
            return NotConnectable("Connected", "NotUsable", str(error), person=True)

    async def outdated(self, account: AccountRecord) -> bool:
        return False

