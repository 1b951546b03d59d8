"""Several operator processes in one loop: each can be stopped and continued like one under SIGSTOP, and sees the store through a watch of its own.

The Lease between them is the product's own, over an API server that knows Leases and nothing else.
"""

from __future__ import annotations

import asyncio
import contextvars
import copy
from collections import deque
from collections.abc import Callable

from exchange_kernel.core.order import OrderRecord
from exchange_kernel.kube.client import Answer
from exchange_kernel.kube.lease import LeaseOwnership, Spokesman
from exchange_kernel.stores.cache import Cache
from exchange_kernel.stores.memory import MemoryGroupStore, MemoryIntentStore
from exchange_kernel.stores.port import Conflict, CreateOutcome, Found, Gone, GroupWritten, Snapshot, Unavailable, WriteOutcome, Written
from tests.scripted import Desk, LoopClock, OneAccount, ScriptedExchange, an_account_record
from tests.virtual_time import VirtualTimeLoop

_PROCESS: contextvars.ContextVar[Process] = contextvars.ContextVar("process")


def current_process() -> Process | None:
    """Whose code is running."""
    return _PROCESS.get(None)


class Process:
    """Whose code runs. While it is stopped none of it does: what falls due meanwhile runs when it goes on."""

    def __init__(self, name: str) -> None:
        self.name, self.stopped, self._due = name, False, []
        self._context = contextvars.copy_context()
        self._context.run(_PROCESS.set, self)

    def run(self, function: Callable, *arguments):
        return self._context.copy().run(function, *arguments)

    def stop(self) -> None:
        self.stopped = True

    def go_on(self) -> None:
        self.stopped = False
        due, self._due = self._due, []
        loop = asyncio.get_running_loop()
        for entry in due:
            loop.call_soon(self._deliver, *entry[:3], context=entry[3])

    def _deliver(self, handle: list[asyncio.Handle], callback: Callable, arguments: tuple) -> None:
        if handle[0].cancelled():
            return
        if self.stopped:
            self._due.append((handle, callback, arguments, contextvars.copy_context()))
        else:
            callback(*arguments)


class ProcessLoop(VirtualTimeLoop):
    """Virtual time in which a process can be stopped between any two steps of it."""

    def call_soon(self, callback, *arguments, context=None):
        return self._guarded(super().call_soon, callback, arguments, context)

    def call_at(self, when, callback, *arguments, context=None):
        return self._guarded(lambda *rest, **named: super(ProcessLoop, self).call_at(when, *rest, **named), callback, arguments, context)

    def _guarded(self, schedule, callback, arguments, context):
        context = context if context is not None else contextvars.copy_context()
        process = context.get(_PROCESS)
        if process is None or getattr(callback, "__func__", None) is Process._deliver:
            return schedule(callback, *arguments, context=context)
        cell: list[asyncio.Handle] = []
        handle = schedule(process._deliver, cell, callback, arguments, context=context)
        cell.append(handle)
        return handle


class StoreView:
    """One process's sight of the store: its watch, which may be late, overlaid with the answers to its own requests, which may be later.

    As `stores/kubernetes_objects.py` keeps it, and in the same `Cache`; `tests/unit/stores/test_contract.py` has both keep the same contract.
    """

    def __init__(
        self, store: MemoryIntentStore | MemoryGroupStore, process: Process, wake: Callable[[str], None], gone: Callable[[OrderRecord], None] = lambda record: None
    ) -> None:
        self._store, self._process, self._wake = store, process, wake
        self._created_version = getattr(store, "created_version", lambda uid: None)
        self._cache: Cache[OrderRecord] = Cache(gone)
        for record in store.everything():
            self._put(record)
        self._coming: deque[tuple[str, OrderRecord | None, int | None]] = deque()
        self.lag_s = 0.0
        self.answers_s = 0.0                       # how long an answer is on its way, once what was asked for is done
        self.failures: deque[str] = deque()        # of the next writes: "unavailable", "answer lost", "conflict"
        self.down = False
        self.away = False                          # the watch is: what it does not tell meanwhile it never tells

    def tell(self, uid: str) -> None:
        """Something changed: the watch will say so, in order, when the process runs and the event has come."""
        if self.away:
            return
        self._coming.append((uid, self._store.get(uid), self._created_version(uid)))
        self._process.run(lambda: asyncio.get_running_loop().call_later(self.lag_s, self._take))

    def _take(self) -> None:
        uid, record, created = self._coming.popleft()
        if record is None:
            news = self._cache.bury(uid)
        else:
            news = self._put(record)
            if created is not None and int(record.resource_version) == created:
                self._cache.added(uid, created)
        if news:
            self._wake(uid)

    def _put(self, record: OrderRecord, asked: int | None = None) -> bool:
        return self._cache.put(record, int(record.resource_version), asked=asked)

    def _bring(self, record: OrderRecord, asked: int) -> None:
        if self._put(record, asked):
            self._wake(record.uid)

    async def _answered(self) -> None:
        if self.answers_s:
            await asyncio.sleep(self.answers_s)

    # ── IntentStore ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def get(self, uid: str) -> OrderRecord | None:
        return self._cache.get(uid)

    def everything(self) -> list[OrderRecord]:
        return self._cache.everything()

    def of_account(self, namespace: str, account: str):
        return [record for record in self.everything() if record.namespace == namespace and record.spec.account_ref.name == account]

    def created_version(self, uid: str) -> int | None:
        return self._cache.created_version(uid)

    async def read(self, uid: str) -> OrderRecord | Unavailable | None:
        if self._cache.get(uid) is None:
            return None
        if self.down:
            return Unavailable("down")
        with self._cache.asking() as asked:
            record = self._store.get(uid)
            await self._answered()
            if record is None:
                self._cache.bury(uid)
            else:
                self._bring(record, asked)
        return self._cache.get(uid)

    async def list_all(self, namespace: str):
        if self.down:
            return Unavailable("down")
        with self._cache.asking() as asked:
            listed, version = await self._store.list_all(namespace), self._store.version
            await self._answered()
            for record in (found := listed.records if isinstance(listed, Snapshot) else listed):
                self._bring(record, asked)
            self._cache.bury_unlisted(namespace, {record.uid for record in found}, version)
        records = tuple(record for record in self.everything() if record.namespace == namespace)
        return Snapshot(records, version) if isinstance(listed, Snapshot) else records

    def named(self, namespace: str, name: str) -> OrderRecord | None:
        return self._cache.named(namespace, name)

    async def create_member(self, group, name, spec, *, owned) -> CreateOutcome:
        failure = "unavailable" if self.down else self.failures.popleft() if self.failures else None
        if failure in ("unavailable", "conflict"):
            return Unavailable("down")
        with self._cache.asking() as asked:
            found = self._store.named(group.namespace, name)
            outcome = await self._store.create_member(group, name, spec, owned=owned)
            await self._answered()
            if failure == "answer lost":
                return Unavailable("the answer was lost")
            if not isinstance(outcome, Written | Found):
                return outcome
            self._put(outcome.record, asked)
            if found is None:
                self._cache.added(outcome.record.uid, int(outcome.record.resource_version))
        current = self.get(outcome.record.uid)
        return type(outcome)(current) if current is not None else Unavailable("It was deleted at once.")

    async def write_spec(self, record, spec):
        return await self._write(record, self._store.write_spec(record, spec))

    async def remove(self, record) -> WriteOutcome:
        return await self._write(record, self._store.remove(record))

    async def write_status(self, record, status) -> WriteOutcome:
        return await self._write(record, self._store.write_status(record, status))

    async def add_finalizer(self, record) -> WriteOutcome:
        return await self._write(record, self._store.add_finalizer(record))

    async def remove_finalizer(self, record) -> WriteOutcome:
        return await self._write(record, self._store.remove_finalizer(record))

    async def _write(self, record: OrderRecord, writing) -> WriteOutcome:
        failure = "unavailable" if self.down else self.failures.popleft() if self.failures else None
        if failure == "unavailable":
            writing.close()
            return Unavailable("down")
        with self._cache.asking() as asked:
            if failure == "conflict":
                writing.close()
                outcome: WriteOutcome = Conflict()
            else:
                outcome = await writing
            there = self._store.get(record.uid)
            await self._answered()
            if failure == "answer lost":
                return Unavailable("the answer was lost")
            match outcome:
                case Written(record=written) | GroupWritten(record=written):
                    if there is None:
                        self._cache.bury(record.uid)
                        return outcome
                    self._put(written, asked)
                    current = self.get(record.uid)
                    return type(outcome)(current) if current is not None else Gone()
                case Gone():
                    if there is None:
                        self._cache.bury(record.uid)
                    else:
                        self._put(there, asked)
                case Conflict():
                    fresh = await self.read(record.uid)
                    return fresh if isinstance(fresh, Unavailable) else Gone() if fresh is None else outcome
        return outcome


class LeaseServer:
    """The API server as far as Leases go."""

    def __init__(self) -> None:
        self._leases: dict[str, dict] = {}         # by name: the account's is "main"
        self._version = 0
        self._down = False
        self._displaced: dict[str, float] = {}     # holders that a hand put out of the account's Lease, and when: they may act until their term is over

    def acts_by_right(self, name: str, term_s: float) -> bool:
        """Whether a process may act for the account: it holds the Lease, or a hand took that from it less than its term ago."""
        displaced = self._displaced.get(name)
        return self.holder in (name, None) or (displaced is not None and asyncio.get_running_loop().time() - displaced <= term_s)

    @property
    def holder(self) -> str | None:
        return self._leases["main"]["spec"]["holderIdentity"] if "main" in self._leases else None

    def suffer(self, what: str) -> None:
        """seized: someone else takes the account's Lease, and does nothing with it. deleted: by hand. down, up: the API server."""
        if what in ("seized", "deleted") and self.holder is not None:
            self._displaced[self.holder] = asyncio.get_running_loop().time()
        if what == "seized" and "main" in self._leases:
            self._put({**self._leases["main"], "spec": {**self._leases["main"]["spec"], "holderIdentity": "stranger"}})
        elif what == "deleted":
            self._leases.pop("main", None)
        else:
            self._down = what == "down"

    async def get(self, path: str) -> Answer:
        if self._down:
            return Answer(0, {})
        lease = self._leases.get(path.rsplit("/", 1)[-1])
        return Answer(404, {}) if lease is None else Answer(200, copy.deepcopy(lease))

    async def create(self, path: str, body: dict) -> Answer:
        return Answer(0, {}) if self._down else Answer(409, {}) if body["metadata"]["name"] in self._leases else self._put(body)

    async def replace(self, path: str, body: dict) -> Answer:
        return Answer(0, {}) if self._down else self._put(body) if self._current(path, body) else Answer(409, {})

    async def patch(self, path: str, patch: dict) -> Answer:
        if self._down or not self._current(path, patch):
            return Answer(0 if self._down else 409, {})
        lease = self._leases[path.rsplit("/", 1)[-1]]
        return self._put({**lease, "spec": {**lease["spec"], **patch["spec"]}})

    def _current(self, path: str, body: dict) -> bool:
        lease = self._leases.get(path.rsplit("/", 1)[-1])
        return lease is not None and body["metadata"]["resourceVersion"] == lease["metadata"]["resourceVersion"]

    def _put(self, body: dict) -> Answer:
        self._version += 1
        lease = self._leases[body["metadata"]["name"]] = {**body, "metadata": {**body["metadata"], "resourceVersion": str(self._version)}}
        return Answer(200, copy.deepcopy(lease))


class Replica:
    """One operator process with all that is its own."""

    def __init__(self, world: Processes, name: str, through: Callable[[object], object]) -> None:
        self.process = Process(name)
        self.view = StoreView(world.store, self.process, lambda uid: self.desk.wake_intent(uid), lambda record: self.desk.reconcilers.intent_gone(record))
        self.groups = StoreView(world.groups, self.process, lambda uid: self.desk.groups.wake(uid))
        lease = LeaseOwnership(through(world.leases), namespace="system", name="main", identity=name, monotonic=LoopClock().monotonic)
        spokesman = Spokesman(
            LeaseOwnership(through(world.leases), namespace="system", name="spokesman", identity=name, monotonic=LoopClock().monotonic), monotonic=LoopClock().monotonic,
        )
        self.desk = Desk(through(world.exchange), through(self.view), through(world.accounts), lease, groups=through(self.groups), speaks=spokesman.speaks)

    def boot(self) -> None:
        self.process.run(self.desk.boot)

    def kill(self) -> None:
        self.process.go_on()
        self.desk.kill()


class Processes:
    """One exchange and one store, and the processes between them."""

    def __init__(self, exchange: ScriptedExchange | None = None, **account_spec) -> None:
        self.exchange, self.accounts, self.leases = exchange or ScriptedExchange(), OneAccount(an_account_record(**account_spec)), LeaseServer()
        self.store = MemoryIntentStore(self._changed, LoopClock().wall_ms)
        self.groups = MemoryGroupStore(self._group_changed, LoopClock().wall_ms)
        self.replicas: dict[str, Replica] = {}
        self.on_change: Callable[[str], None] = lambda uid: None
        self._lives = 0

    def _changed(self, uid: str) -> None:
        self.on_change(uid)
        for replica in self.replicas.values():
            replica.view.tell(uid)

    def _group_changed(self, uid: str) -> None:
        for replica in self.replicas.values():
            replica.groups.tell(uid)

    def boot(self, name: str, through: Callable[[object], object] = lambda room: room) -> Replica:
        self._lives += 1
        replica = self.replicas[name] = Replica(self, f"{name}-{self._lives}", through)
        replica.boot()
        return replica

    def kill(self, name: str) -> None:
        self.replicas.pop(name).kill()

    async def close(self) -> None:
        for replica in self.replicas.values():
            replica.process.go_on()
        for replica in self.replicas.values():
            await replica.desk.stop()

    def status(self, uid: str):
        return self.store.get(uid).status
