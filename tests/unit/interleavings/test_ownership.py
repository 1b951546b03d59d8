"""Several processes and one account: Leases that are deleted, and what a restart or a restored cluster makes of what was new."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from exchange_kernel.api import OrderState
from exchange_kernel.kube.client import Answer
from exchange_kernel.stores.kubernetes import KubernetesIntentStore
from exchange_kernel.stores.port import Snapshot, Unavailable
from tests import scripted
from tests.builders import a_spec
from tests.processes import Processes, ProcessLoop
from tests.scripted import until
from tests.unit.interleavings.stories import finished, open_order, orders_per_id, story
from tests.virtual_time import run

# ── The Lease ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.proves("rule 7", "H5")
@pytest.mark.parametrize("after_s", [0.0, 0.4, 0.8, 1.2, 1.6, 2.5, 4.0, 6.0, 9.0])
def test_the_lease_is_deleted_and_an_order_created_while_it_changes_hands(after_s):
    """Somebody deletes the Lease; the other process creates it, while the first believes in it still. The holder's answers take two seconds."""

    async def tell():
        world = Processes(resyncSeconds=30)
        world.exchange.refuses_old, world.exchange.flight_s = True, 2.0
        first = world.boot("a")
        await until(lambda: first.desk.account_reconciler._running and first.desk.account_reconciler.all_ready())
        world.boot("b")
        await asyncio.sleep(5)
        world.leases.suffer("deleted")
        await asyncio.sleep(after_s)
        world.store.create("a", a_spec())
        await until(lambda: world.status("a").state is OrderState.OPEN)
        await asyncio.sleep(30)
        assert orders_per_id(world) == {1}
        assert world.status("a").state is OrderState.OPEN
        await world.close()

    run(tell(), ProcessLoop)


@pytest.mark.proves("rule 7", "F8")
def test_two_processes_share_an_order_and_each_holder_goes_on_where_the_last_one_was():
    """The holder dies with the order half filled; its successor tells of the rest, and the first one's return changes nothing."""

    async def tell():
        world = Processes(resyncSeconds=5)
        world.boot("a")
        await asyncio.sleep(8)
        world.boot("b")
        world.store.create("a", a_spec())
        await until(lambda: world.status("a").state is OrderState.OPEN)
        client_order_id = world.status("a").client_order_id
        world.exchange.fill(client_order_id, "0.5", tell=False)
        world.kill("a")
        await until(lambda: world.status("a").filled_quantity == Decimal("0.5"))
        world.boot("a")
        world.exchange.fill(client_order_id, "0.5", tell=False)
        await until(lambda: world.status("a").completion_time is not None)
        assert world.status("a").state is OrderState.FILLED
        assert len(world.exchange.orders_by_id) == 1
        await world.close()

    run(tell(), ProcessLoop)


# ── What is new ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def an_object(version: int, uid: str = "uid-1", **metadata) -> dict:
    return {
        "metadata": {"uid": uid, "name": "a", "namespace": "default", "generation": 1, "resourceVersion": str(version), "creationTimestamp": "2027-01-15T08:00:00Z", **metadata},
        "spec": a_spec().document(),
    }


class Server:
    """An API server that answers lists."""

    def __init__(self) -> None:
        self.version, self.items = 290, []

    async def get(self, path: str) -> Answer:
        return Answer(200, {"metadata": {"resourceVersion": str(self.version)}, "items": self.items})


@pytest.mark.proves("rule 7", "H21")
async def test_a_list_older_than_one_already_seen_means_a_restored_cluster():
    """etcd comes back from a backup: its versions begin again below ours, and a watch would say nothing of what is between."""
    restored: list[str] = []
    server = Server()
    store = KubernetesIntentStore(server, restored.append)
    assert isinstance(await store.list_all("default"), Snapshot)
    server.version = 278
    assert isinstance(await store.list_all("default"), Unavailable)
    assert restored == ["version 278 after 290"]


@pytest.mark.proves("rule 6", "H22")
async def test_only_the_report_of_its_creation_makes_an_object_new():
    """What a list showed, and what was changed since, is not new however new its version is; nor is it by being reported as added again."""
    store = KubernetesIntentStore(Server(), lambda what: None)
    store.observe(None, an_object(100))
    store.observe("MODIFIED", an_object(300, labels={"team": "a"}))
    assert store.created_version("uid-1") is None
    store.observe("ADDED", an_object(301, uid="uid-2"))
    store.observe("ADDED", an_object(400, uid="uid-2", labels={"team": "a"}))
    assert store.created_version("uid-2") == 301


@pytest.mark.proves("rule 2", "H18")
def test_a_recorded_id_is_used_as_it_was_written(monkeypatch):
    """The next process makes other ids than the one that sent the order: what is recorded counts, and nothing is sent under a new one."""

    async def tell(world):
        first = await open_order(world)
        await world.crash()
        world.exchange.fill(first, "1", tell=False)
        monkeypatch.setattr(scripted, "OWNER", "ffffff")
        await world.start()
        status = await finished(world)
        assert (status.state, status.client_order_id) == (OrderState.FILLED, first)
        assert world.exchange.calls.count("submit") == 1

    story(tell)
