"""Answers to writes come 300 ms late on a real API server: no cancel is lost, and what was deleted does not come back (rule 15)."""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import aclosing, asynccontextmanager
from decimal import Decimal

import pytest

from exchange_kernel.api import OrderGroupStatus, OrderIntentStatus
from exchange_kernel.cli.children import Child
from exchange_kernel.kube.client import ORDER_GROUPS, ORDER_INTENTS, ApiClient
from exchange_kernel.kube.config import access
from exchange_kernel.stores.kubernetes import KubernetesIntentStore
from exchange_kernel.stores.kubernetes_groups import KubernetesGroupStore
from exchange_kernel.stores.port import Gone, GroupWritten, Written
from tests.cluster.late_answers import late_answers
from tests.cluster.operating import Exchange, Trading, intent, operator_arguments
from tests.support import aeventually, eventually
from tests.unit.groups.desk import an_oco

pytestmark = pytest.mark.proves("rule 9", "rule 15")

LEAVES_WITHIN_S = 2.0  # about a second; the next sweep is a minute away
REST = {"type": "Limit", "price": "20000", "quantity": "0.01"}
STORES = {"intents": (KubernetesIntentStore, ORDER_INTENTS), "groups": (KubernetesGroupStore, ORDER_GROUPS)}


async def test_a_cancel_asked_while_our_own_write_is_answered_late_leaves_within_about_a_second(kube, namespace, operator_kubeconfig, tmp_path):
    exchange = Exchange(tmp_path)
    trading = Trading(kube.kubectl, namespace, exchange)
    trading.open_account(resyncSeconds=60)
    with late_answers(operator_kubeconfig, tmp_path) as kubeconfig:
        operator = Child("operator", operator_arguments(kubeconfig, namespace), tmp_path)
        try:
            trading.await_account()
            async with ApiClient(access(kube.kubeconfig)) as api:
                for number in range(5):
                    await _cancel_meanwhile(api, exchange, namespace, f"order-{number}")
        finally:
            print(operator.log_tail(40))
            operator.stop()
            exchange.stop()


async def _cancel_meanwhile(api: ApiClient, exchange: Exchange, namespace: str, name: str) -> None:
    path = ORDER_INTENTS.path(namespace, name)

    async def status() -> dict:
        return dict((await api.get(path)).body.get("status") or {})

    placed = time.monotonic()
    assert (await api.create(ORDER_INTENTS.path(namespace), intent(name, **REST))).ok
    client_order_id = (await aeventually(lambda: _in_state(status, "Open"), within=60, what=f"{name} is open"))["clientOrderId"]
    usual = time.monotonic() - placed  # from the API server to the exchange and back, on this machine as busy as it is now
    exchange.fill(client_order_id, "0.004")
    await aeventually(lambda: _in_state(status, "PartiallyFilled"), within=60, every=0.01, what=f"the fill of {name} is written, and its answer on the way")
    assert (await api.patch(path, {"spec": {"desiredState": "Canceled"}})).ok
    asked = time.monotonic()
    (order,) = eventually(lambda: [one for one in exchange.orders(client_order_id) if one["status"] == "CANCELED"], within=60, what=f"{name} is cancelled")
    assert time.monotonic() - asked < max(LEAVES_WITHIN_S, 3 * usual)
    assert Decimal(order["executedQty"]) == Decimal("0.004")
    await aeventually(lambda: _in_state(status, "Canceled"), within=60, what=f"{name} has ended")


async def _in_state(status, state: str) -> dict | None:
    seen = await status()
    return seen if seen.get("state") == state else None


@asynccontextmanager
async def a_watched_store(kind: str, kube, namespace: str, kubeconfig):
    """The product's store over the late API server, with a watch of the real one."""
    make, resource = STORES[kind]
    async with ApiClient(access(kubeconfig)) as late, ApiClient(access(kube.kubeconfig)) as api:
        store = make(late, lambda reason: None) if kind == "intents" else make(late)
        version = (await api.get(resource.path(namespace))).body["metadata"]["resourceVersion"]

        async def watch() -> None:
            async with aclosing(api.watch(resource.path(namespace), resourceVersion=version)) as events:
                async for event in events:
                    if event["type"] in ("ADDED", "MODIFIED", "DELETED"):
                        store.observe(event["type"], event["object"])

        watching = asyncio.create_task(watch())
        try:
            yield store, api, resource
        finally:
            watching.cancel()


async def _made(store, api, resource, namespace: str, kind: str):
    body = intent("one", **REST) if kind == "intents" else {
        "apiVersion": resource.api_version, "kind": "OrderGroup", "metadata": {"name": "one"}, "spec": an_oco().document()
    }
    answer = await api.create(resource.path(namespace), body)
    assert answer.ok, answer.message
    return await aeventually(lambda: store.named(namespace, "one"), within=60, what="the watch tells of it")


@pytest.mark.parametrize("kind", STORES)
async def test_a_cancel_that_the_watch_told_of_stays(kind, kube, namespace, operator_kubeconfig, tmp_path):
    told = threading.Event()
    with late_answers(operator_kubeconfig, tmp_path, until=told) as kubeconfig:
        async with a_watched_store(kind, kube, namespace, kubeconfig) as (store, api, resource):
            record = await _made(store, api, resource, namespace, kind)
            status = (OrderIntentStatus if kind == "intents" else OrderGroupStatus)(observed_generation=1)
            writing = asyncio.create_task(store.write_status(record, status))
            await aeventually(lambda: store.get(record.uid).status.observed_generation == 1, within=60, every=0.005, what="it is written")
            assert (await api.patch(resource.path(namespace, "one"), {"spec": {"desiredState": "Canceled"}})).ok
            await aeventually(lambda: store.get(record.uid).spec.desired_state == "Canceled", within=60, every=0.005, what="the watch tells of the cancel")
            assert not writing.done()
            told.set()
            outcome = await writing
            assert isinstance(outcome, Written | GroupWritten)
            assert outcome.record == store.get(record.uid)
            assert outcome.record.spec.desired_state == "Canceled"


@pytest.mark.parametrize("kind", STORES)
async def test_an_object_that_was_deleted_past_its_finalizer_does_not_come_back(kind, kube, namespace, operator_kubeconfig, tmp_path):
    told = threading.Event()
    with late_answers(operator_kubeconfig, tmp_path, until=told) as kubeconfig:
        async with a_watched_store(kind, kube, namespace, kubeconfig) as (store, api, resource):
            record = await _made(store, api, resource, namespace, kind)
            status = (OrderIntentStatus if kind == "intents" else OrderGroupStatus)(observed_generation=1)
            writing = asyncio.create_task(store.write_status(record, status))
            await aeventually(lambda: store.get(record.uid).status.observed_generation == 1, within=60, every=0.005, what="it is written")
            path = resource.path(namespace, "one")
            assert (await api.delete(path)).ok
            await api.patch(path, {"metadata": {"finalizers": None}})
            await aeventually(lambda: store.get(record.uid) is None, within=60, every=0.005, what="the watch tells of the end")
            assert not writing.done()
            told.set()
            assert isinstance(await writing, Gone)
            assert list(store.of_account(namespace, "main")) == []
