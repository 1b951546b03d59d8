"""What KubernetesKernel tells of the account and has the operator read, on a real API server with the operator: with a strategy's own rights, and without them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from exchange_kernel.kernel import ExchangeError, KubernetesKernel, State, ValidationError, kubernetes
from exchange_kernel.schema import OrderType, Side, StandardOrder
from tests.cluster.operating import Trading, at_rest, status_writes
from tests.cluster.people import in_force
from tests.support import aeventually, eventually

REST = StandardOrder(symbol_id="BTC/USDT", side=Side.BUY, type=OrderType.LIMIT, quantity="0.01", price="20000")
TOO_LITTLE = REST.model_copy(update={"quantity": Decimal("0.0000001")})
ROLES = {
    "full": "exchange-kernel-strategy",
    "orders": None,          # what a strategy needed before it asked for anything else
}


@pytest.fixture
def kernels(kube, trading: Trading, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, KubernetesKernel]]:
    """A kernel for each of two ServiceAccounts: one with the strategies' ClusterRole, one that may write orders and read nothing else."""
    if kube.control_plane is None:
        pytest.skip("identities can be made on a control plane of our own only")
    trading.await_markets()
    monkeypatch.setattr(kubernetes, "RECONCILED_WITHIN_S", 120.0)
    made = {}
    for name, role in ROLES.items():
        if role is None:
            role_of = f"--role={name}"
            trading.run("create", "role", name, "--verb=create,get,list,watch,patch", "--resource=orderintents.exchange-kernel.io,ordergroups.exchange-kernel.io")
        else:
            role_of = f"--clusterrole={role}"
        trading.run("create", "rolebinding", name, role_of, f"--serviceaccount={trading.namespace}:{name}")
        user = f"system:serviceaccount:{trading.namespace}:{name}"
        kubeconfig = kube.control_plane.kubeconfig_for(user, ["system:serviceaccounts"], tmp_path / f"{name}.kubeconfig")
        made[name] = KubernetesKernel("main", namespace=trading.namespace, strategy=name, kubeconfig=kubeconfig, acknowledge_timeout=60)
    in_force(kube, trading.namespace)
    yield made
    for name in ROLES:
        trading.run("delete", f"rolebinding/{name}", f"role/{name}", "--ignore-not-found")


async def test_with_a_strategy_s_role_a_reading_costs_one_write_and_an_idle_account_none(kernels, trading, audit_log):
    def counted() -> tuple[int, int]:
        return status_writes(audit_log, trading.namespace, "main", resource="accountstates"), status_writes(audit_log, trading.namespace, name)

    kernel = kernels["full"]
    await kernel.start()
    name = await kernel.place_order(REST)
    order = str((await kernel.get_order_state(name)).client_order_id)
    await kernel.force_reconciliation()
    accounts, intents = await at_rest(counted)
    await asyncio.gather(*(kernel.force_reconciliation(name) for _ in range(10)))
    assert await at_rest(counted, other_than=(accounts, intents)) == (accounts, intents + 1)
    await asyncio.gather(*(kernel.force_reconciliation() for _ in range(10)))
    assert await at_rest(counted, other_than=(accounts, intents + 1)) == (accounts + 1, intents + 1)
    assert len(trading.exchange.orders(order)) == 1
    await kernel.cancel_all_orders()
    await kernel.stop()


async def test_without_the_rights_orders_are_placed_all_the_same_and_each_question_names_the_rule(kernels, trading):
    kernel = kernels["orders"]
    await kernel.start()
    name = await kernel.place_order(REST)
    assert (await kernel.get_order_state(name)).state is State.OPEN
    await kernel.force_reconciliation(name)          # a patch of its own intent
    with pytest.raises(ValidationError, match="smallest order") as denied:
        await kernel.place_order(TOO_LITTLE)          # by the operator's word
    assert (await kernel.get_order_state(str(denied.value.intent_id))).state is State.DENIED
    for call in (kernel.get_account_state, kernel.get_positions, kernel.force_reconciliation, kernel.get_reconciliation_metrics):
        with pytest.raises(ExchangeError, match=rf"get, list, watch and patch on accountstates\.exchange-kernel\.io in namespace {trading.namespace}"):
            await call()
    for call in (kernel.list_symbols, lambda: kernel.get_symbol_metadata("BTC/USDT"), lambda: kernel.get_asset_metadata("BTC")):
        with pytest.raises(ExchangeError, match=rf"get, list and watch on markets\.exchange-kernel\.io in namespace {trading.namespace}"):
            await call()
    await kernel.cancel_all_orders()
    await kernel.stop()


async def test_what_a_stranger_writes_into_the_annotation_is_ignored_unless_it_is_a_token(kernels, trading, audit_log):
    kernel = kernels["full"]
    await kernel.start()
    await kernel.force_reconciliation()

    def written() -> int:
        return status_writes(audit_log, trading.namespace, "main", resource="accountstates")

    before = await at_rest(written)
    for word in ("x" * 5000, "two words", '{"all": true}'):
        trading.run("annotate", "acct", "main", "--overwrite", f"exchange-kernel.io/reconcile={word}")
        await asyncio.sleep(1.5)          # the operator would look within one second
    assert await at_rest(written) == before
    trading.run("annotate", "acct", "main", "--overwrite", "exchange-kernel.io/reconcile=by-hand")
    told = eventually(lambda: (status := json.loads(trading.run("get", "acct", "main", "-o", "json"))["status"])["reconciledToken"] == "by-hand" and status,
                      within=60, what="a token written by hand is answered")
    assert told["reconciliation"]["failedSweeps"] == 0
    assert await at_rest(written, other_than=before) == before + 1, "that one alone"
    await kernel.stop()


async def test_two_kernels_that_ask_at_the_same_time_are_both_answered(kernels, trading, kube):
    others = [KubernetesKernel("main", namespace=trading.namespace, strategy=f"asks-{number}", kubeconfig=kube.kubeconfig) for number in range(4)]
    await asyncio.gather(*(kernel.start() for kernel in others))

    def readings() -> int:
        return trading.exchange.requests()["GET /api/v3/openOrders"]

    before = readings()
    trading.exchange.fault(match={"method": "GET", "path": "/api/v3/openOrders"}, do="delay-reply", ms=5000, count=1)
    try:
        first = asyncio.create_task(others[0].force_reconciliation())
        await aeventually(lambda: readings() > before, within=60, what="a reading is under way, and takes its time")
        await asyncio.gather(first, *(kernel.force_reconciliation() for kernel in others[1:]))
    finally:
        trading.exchange.heal()
    assert readings() - before <= 4          # two, and the timer's, and one for who came in between
    await asyncio.gather(*(kernel.stop() for kernel in others))


async def test_where_no_operator_answers_it_says_so_after_a_while(kube, namespace, monkeypatch):
    monkeypatch.setattr(kubernetes, "RECONCILED_WITHIN_S", 1.0)
    kernel = KubernetesKernel("main", namespace=namespace, strategy="alone", kubeconfig=kube.kubeconfig, acknowledge_timeout=0)
    await kernel.start()
    name = await kernel.place_order(REST)
    with pytest.raises(ExchangeError, match=r"has not read the order .* check that it runs") as error:
        await kernel.force_reconciliation(name)
    assert error.value.intent_id == name
    for call in (kernel.force_reconciliation, kernel.get_account_state, kernel.get_reconciliation_metrics):
        with pytest.raises(ExchangeError, match="told nothing of what account 'main' holds yet"):
            await call()
    with pytest.raises(ExchangeError, match="told no market of account 'main' yet"):
        await kernel.get_symbol_metadata("BTC/USDT")
    await kernel.stop()
