"""A replica without a way to the exchange beside one that has one: who holds no Lease contradicts nobody, and where nobody holds the account one speaks."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace

import pytest

from exchange_kernel.api import DeletionPolicy, OrderState
from exchange_kernel.core.answers import Unreachable
from tests.builders import a_spec
from tests.processes import Processes, ProcessLoop, current_process
from tests.scripted import OneAccount, ScriptedExchange, until
from tests.unit.groups.desk import an_oco
from tests.virtual_time import run

FIGHT = 300        # so many writes are a fight that does not end: it is stopped, and the test fails
UIDS = [f"order-{number}" for number in range(5)]


class CutOff:
    """The exchange as a process sees it that has no way to it, until it has one."""

    def __init__(self, exchange: ScriptedExchange, why: str = "no route") -> None:
        self._exchange, self.why = exchange, why

    def __getattr__(self, name: str):
        return getattr(self._exchange, name)

    async def clock(self):
        return Unreachable(self.why) if self.why else await self._exchange.clock()


class Accounts:
    """The accounts as each process sees them: every one hears of a change. Counts whose status writes arrive."""

    def __init__(self, shared: OneAccount, writes: Counter) -> None:
        self._shared, self._writes = shared, writes

    def __getattr__(self, name: str):
        return getattr(self._shared, name)

    async def write_status(self, record, status):
        process = current_process()
        self._writes[process.name if process is not None else "by hand"] += status != record.status
        return await self._shared.write_status(record, status)


class Replicas(Processes):
    """Replicas by name; those that are `cut` off have no way to the exchange. Who writes what is counted."""

    def __init__(self, **spec) -> None:
        super().__init__(**spec)
        self.writers: list[tuple[str, str]] = []       # which process changed which object
        self.account_writers: Counter = Counter()
        self.roads: dict[str, CutOff] = {}
        self.on_change = self._written
        self.accounts.changed = self._account_changed

    def _written(self, uid: str) -> None:
        self.writers.append((current_process().name if current_process() else "", uid))
        if len(self.writers) > FIGHT:
            for name in list(self.replicas):
                self.kill(name)

    def _account_changed(self, uid: str) -> None:
        for replica in self.replicas.values():
            replica.process.run(lambda replica=replica: asyncio.get_running_loop().call_soon(replica.desk.account_keys.wake, uid))

    def begin(self, name: str, *, cut: str = "") -> None:
        def through(room):
            if isinstance(room, ScriptedExchange):
                self.roads[name] = CutOff(room, cut)
                return self.roads[name]
            return Accounts(room, self.account_writers) if isinstance(room, OneAccount) else room

        replica = self.boot(name, through)
        self.accounts.changed = self._account_changed
        replica.process.run(lambda: [replica.desk.wake_intent(uid) for uid in list(self.store._records)])   # as a watch does that begins

    def counted(self) -> Counter:
        """Writes of processes, by order; users' own left out."""
        return Counter(uid for process, uid in self.writers if process)

    def begin_counting(self) -> None:
        self.writers.clear()
        self.account_writers.clear()

    def condition(self, uid: str, kind: str = "Ready"):
        return next((one for one in self.status(uid).conditions if one.type == kind), None)

    def account_condition(self, kind: str = "Ready"):
        return next((one for one in self.accounts.record.status.conditions if one.type == kind), None)


def told(tell, **spec):
    async def story():
        world = Replicas(**spec)
        try:
            await tell(world)
        finally:
            await world.close()

    run(story(), ProcessLoop)


@pytest.mark.proves("rule 7")
def test_a_replica_without_a_way_to_the_exchange_does_not_fight_the_holder_over_my_orders():
    """It looked at the Lease while nobody held it, and is not going to look again for ten seconds."""

    async def tell(world):
        world.begin("cut", cut="no route")
        await asyncio.sleep(20)
        world.begin("well")
        await until(lambda: world.account_condition().status == "True")
        for uid in UIDS:
            world.store.create(uid, a_spec())
        world.begin_counting()
        await asyncio.sleep(60)
        assert {world.status(uid).state for uid in UIDS} == {OrderState.OPEN}
        assert {world.condition(uid).status for uid in UIDS} == {"True"}
        assert max(world.counted().values()) <= 2
        assert not [uid for process, uid in world.writers if process.startswith("cut")]
        assert world.account_condition().status == "True"

    told(tell)


def test_the_holder_comes_while_the_orders_say_that_nobody_is_there():
    """Five orders wait for an account that nobody can use; then one replica can. Each is written for what happens to it and no more."""

    async def tell(world):
        world.begin("cut", cut="no route")
        for uid in UIDS:
            world.store.create(uid, a_spec())
        await until(lambda: all(world.condition(uid) is not None for uid in UIDS))
        world.begin_counting()
        world.begin("well")
        await asyncio.sleep(120)
        assert {world.status(uid).state for uid in UIDS} == {OrderState.OPEN}
        assert max(world.counted().values()) <= 4, world.counted()     # Unknown, written ahead, open
        assert not [uid for process, uid in world.writers if process.startswith("cut")]

    told(tell)


def test_the_only_replica_is_cut_off_it_says_so_once():
    async def tell(world):
        world.begin("cut", cut="no route")
        for uid in UIDS:
            world.store.create(uid, a_spec())
        await asyncio.sleep(120)
        assert world.counted() == dict.fromkeys(UIDS, 1)
        assert {world.condition(uid).reason for uid in UIDS} == {"AccountNotReady"}
        assert world.account_condition("Connected").reason == "Unreachable"
        assert world.account_writers["cut-1"] <= 2

    told(tell)


@pytest.mark.proves("rule 7")
def test_all_replicas_are_cut_off_and_one_of_them_says_so():
    """Each for a reason of its own, so that two who spoke would contradict each other for ever."""

    async def tell(world):
        for name in ("a", "b", "c"):
            world.begin(name, cut=f"no route from {name}")
        for uid in UIDS:
            world.store.create(uid, a_spec())
        await asyncio.sleep(120)
        assert world.counted() == dict.fromkeys(UIDS, 1)
        assert len({process for process, _ in world.writers if process}) == 1
        assert len(world.account_writers) == 1
        assert {world.condition(uid).reason for uid in UIDS} == {"AccountNotReady"}

    told(tell)


def test_the_one_that_spoke_is_gone_and_another_speaks():
    async def tell(world):
        for name in ("a", "b"):
            world.begin(name, cut=f"no route from {name}")
        world.store.create("x", a_spec())
        await until(lambda: world.condition("x") is not None)
        speaker = next(process for process, uid in world.writers if uid == "x" and process)
        world.kill(speaker[0])
        world.store.create("y", a_spec())
        await until(lambda: world.condition("y") is not None, within=30)
        assert world.condition("y").reason == "AccountNotReady"
        assert world.counted() == {"x": 1, "y": 1}

    told(tell)


def test_the_way_to_the_exchange_comes_back_and_the_orders_go():
    async def tell(world):
        for name in ("a", "b"):
            world.begin(name, cut=f"no route from {name}")
        for uid in UIDS:
            world.store.create(uid, a_spec())
        await until(lambda: all(world.condition(uid) is not None for uid in UIDS))
        world.roads["b"].why = ""
        await until(lambda: {world.status(uid).state for uid in UIDS} == {OrderState.OPEN}, within=120)
        await asyncio.sleep(60)
        assert world.leases.holder.startswith("b")
        assert max(world.counted().values()) <= 5, world.counted()
        assert len(world.exchange.orders_by_id) == len(UIDS)

    told(tell)


def test_the_holder_loses_its_way_and_says_so_and_the_other_is_silent():
    """Its term goes on: what it can't read it doesn't contradict, and the cut-off one beside it adds nothing."""

    async def tell(world):
        world.begin("well")
        await until(lambda: world.leases.holder is not None)
        world.begin("cut", cut="no route")
        for uid in UIDS:
            world.store.create(uid, a_spec())
        await until(lambda: {world.status(uid).state for uid in UIDS} == {OrderState.OPEN})
        world.begin_counting()
        world.exchange.reachable = False
        await asyncio.sleep(60)
        assert not [uid for process, uid in world.writers if process.startswith("cut")]
        assert not world.account_writers["cut-2"]

    told(tell)


@pytest.mark.proves("rule 7")
@pytest.mark.parametrize("ever", [True, False], ids=["deleted", "never was"])
def test_of_an_order_without_an_account_one_replica_tells(ever):
    async def tell(world):
        if not ever:
            world.accounts.records.clear()
        for name in ("a", "b", "c"):
            world.begin(name)
        if ever:
            await until(lambda: world.leases.holder is not None)
            await asyncio.sleep(20)
            world.accounts.records.clear()
            world._account_changed(world.accounts.first)
            await asyncio.sleep(20)
        world.begin_counting()
        for uid in UIDS:
            world.store.create(uid, a_spec())
        await asyncio.sleep(60)
        assert world.counted() == dict.fromkeys(UIDS, 1)
        assert len({process for process, _ in world.writers if process}) == 1
        assert {world.condition(uid).reason for uid in UIDS} == {"AccountNotFound"}

    told(tell)


@pytest.mark.parametrize("which", ["left behind", "finished"])
def test_an_order_of_an_account_that_is_gone_can_be_let_go(which):
    async def tell(world):
        for name in ("a", "b"):
            world.begin(name)
        await until(lambda: world.leases.holder is not None)
        world.store.create("x", a_spec(deletionPolicy="Orphan"))
        await until(lambda: world.status("x").state is OrderState.OPEN)
        if which == "finished":
            # Finished, and its finalizer came back by hand.
            world.exchange.fill(world.status("x").client_order_id, "1")
            await until(lambda: world.status("x").completion_time is not None and not world.store.get("x").finalizer)
            record = world.store.get("x")
            world.store._put(replace(record, finalizer=True, resource_version=world.store._next()))
        world.accounts.records.clear()
        world._account_changed(world.accounts.first)
        await asyncio.sleep(20)
        assert world.store.get("x").spec.deletion_policy is DeletionPolicy.ORPHAN
        world.begin_counting()
        world.store.delete("x")
        await until(lambda: world.store.get("x") is None, within=60)
        assert len({process for process, uid in world.writers if process and uid == "x"}) <= 1

    told(tell)


def test_a_group_of_an_account_that_nobody_can_use_is_told_of_by_one_replica():
    async def tell(world):
        written = []
        put = world.groups._put
        world.groups._put = lambda record: (written.append(current_process().name if current_process() else ""), put(record))[1]
        for name in ("a", "b"):
            world.begin(name, cut=f"no route from {name}")
        world.groups.create("pair", an_oco())
        await asyncio.sleep(60)
        assert len({process for process in written if process}) == 1
        assert len([process for process in written if process]) <= 3, "the finalizer, and what there is to say"
        assert next(one.reason for one in world.groups.get("pair").status.conditions if one.type == "Ready") == "AccountNotReady"

    told(tell)
