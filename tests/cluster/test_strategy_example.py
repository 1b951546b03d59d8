"""manifests/examples/strategy: the objects as the API server takes them, and the grid trading with its Role. What that permits: `test_strategy_access.py`."""

from __future__ import annotations

import asyncio
import runpy
from pathlib import Path

import pytest

from exchange_kernel.kernel import KubernetesKernel, State
from tests.cluster.people import in_force
from tests.support import aeventually

STRATEGY = Path(__file__).parents[2] / "manifests" / "examples" / "strategy"


@pytest.fixture
def identity(kube, trading, tmp_path: Path) -> Path:
    """The pod's, for a cluster of our own."""
    if kube.control_plane is None:
        pytest.skip("identities can be made on a control plane of our own only")
    trading.run("apply", "-f", str(STRATEGY / "access.yaml"))
    in_force(kube, trading.namespace)
    user = f"system:serviceaccount:{trading.namespace}:grid-strategy"
    return Path(kube.control_plane.kubeconfig_for(user, ["system:serviceaccounts"], tmp_path / "strategy.kubeconfig"))


def test_the_api_server_takes_all_of_it(trading):
    shown = trading.run("apply", "--dry-run=server", "-k", str(STRATEGY))
    assert {line.split("/")[0] for line in shown.splitlines()} == {
        "configmap", "serviceaccount", "role.rbac.authorization.k8s.io", "rolebinding.rbac.authorization.k8s.io", "deployment.apps"}


@pytest.mark.parametrize(("account", "permitted"), [("simulated", True), ("another", False)])
def test_it_may_ask_for_a_reading_of_its_own_account_alone(account, permitted, identity, kube, trading):
    """By a token in an annotation of the AccountState. What else its Role permits: `test_strategy_access.py`."""
    user = f"system:serviceaccount:{trading.namespace}:grid-strategy"
    asked = kube.kubectl("--namespace", trading.namespace, "auth", "can-i", "patch", f"accountstates.exchange-kernel.io/{account}", f"--as={user}", check=False)
    assert asked.stdout.strip() == ("yes" if permitted else "no")


async def test_the_grid_buys_sells_a_step_higher_and_survives_its_own_end(identity, trading):
    room = runpy.run_path(str(STRATEGY / "grid.py"))
    environ = {"GRID_NAME": f"grid-{trading.namespace}", "GRID_BOTTOM": "20000", "GRID_STEP": "70000", "GRID_LEVELS": "1"}

    async def orders(kernel: KubernetesKernel) -> list[tuple[str, str, str]]:
        intents = {intent.intent_id: intent.order for intent in await kernel.get_all_intents()}
        return [(str(intents[state.intent_id].side), str(intents[state.intent_id].price), str(state.state)) for state in await kernel.get_all_orders()]

    async def a_life(until) -> None:
        kernel = KubernetesKernel("main", namespace=trading.namespace, strategy="grid", kubeconfig=identity, acknowledge_timeout=60)
        stop = asyncio.Event()
        await kernel.start()
        running = asyncio.create_task(room["grid_of"](kernel, environ).run(stop))
        await aeventually(lambda: until(kernel), within=60, what="the grid is as it should be")
        stop.set()
        await asyncio.wait_for(running, 60)
        await kernel.stop()

    async def bought(kernel) -> bool:
        return await orders(kernel) == [("Buy", "20000", "Open")]

    await a_life(bought)
    kernel = KubernetesKernel("main", namespace=trading.namespace, strategy="grid", kubeconfig=identity, acknowledge_timeout=60)
    await kernel.start()
    first = (await kernel.get_all_orders())[0]
    trading.exchange.fill(str(first.client_order_id), "0.001")        # while no strategy runs
    await kernel.stop()

    async def sold(kernel) -> bool:
        return ("Sell", "90000", "Open") in await orders(kernel)

    await a_life(sold)
    kernel = KubernetesKernel("main", namespace=trading.namespace, strategy="grid", kubeconfig=identity, acknowledge_timeout=60)
    await kernel.start()
    assert sum(side == "Buy" and price == "20000" for side, price, _ in await orders(kernel)) == 1
    await kernel.cancel_all_orders()
    assert all(state.state is not State.OPEN for state in await kernel.get_all_orders())
    await kernel.stop()
