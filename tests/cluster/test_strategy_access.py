"""What a strategy's ServiceAccount may do and may not: one table, asked with `kubectl auth can-i` and tried with the account's own token.

Both of the ways in which a strategy is given its rights are held to it: the Role of manifests/examples/strategy, and the ClusterRole that is installed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import pytest
import yaml

from exchange_kernel.api import NativePolicy
from exchange_kernel.cli.controlplane import Kubectl
from exchange_kernel.kernel import KubernetesKernel, State
from exchange_kernel.kube.client import Answer, ApiClient
from exchange_kernel.kube.config import access
from exchange_kernel.schema import GroupMember, GroupMode, OrderType, Side, StandardOrder, StandardOrderGroup
from tests.cluster.people import in_force
from tests.support import aeventually

ROOT = Path(__file__).parents[2]
ACCESS = ROOT / "manifests" / "examples" / "strategy" / "access.yaml"
ACCOUNT = "grid-strategy"
EXAMPLE, INSTALLED = "the example's Role", "the ClusterRole for strategies"
OURS, OTHER, EVERYWHERE = "ours", "other", "everywhere"     # where: the strategy's namespace, another one, all of them at once
PLACES = {
    "exchange-kernel.io": "/apis/exchange-kernel.io/v1alpha1", "": "/api/v1", "coordination.k8s.io": "/apis/coordination.k8s.io/v1", "apps": "/apis/apps/v1",
    "rbac.authorization.k8s.io": "/apis/rbac.authorization.k8s.io/v1", "admissionregistration.k8s.io": "/apis/admissionregistration.k8s.io/v1",
    "apiextensions.k8s.io": "/apis/apiextensions.k8s.io/v1",
}
#: Of a whole cluster: they have no namespace.
CLUSTER_WIDE = {"namespaces", "clusterrolebindings", "validatingadmissionpolicies", "mutatingadmissionpolicies", "customresourcedefinitions"}
WITHOUT_NAME = {"list", "watch", "create", "deletecollection"}


@dataclass(frozen=True, slots=True)
class Right:
    reason: str
    verbs: tuple[str, ...]
    resource: str               # plural.group, with /subresource
    permitted: bool = False
    where: str = OURS


RIGHTS = [
    Right("orders and groups are placed, seen, followed and changed", ("create", "get", "list", "watch", "patch"), "orderintents.exchange-kernel.io", permitted=True),
    Right("a group is one object of the same kind of rights", ("create", "get", "list", "watch", "patch"), "ordergroups.exchange-kernel.io", permitted=True),
    Right("the rules of markets are the operator's to tell", ("get", "list", "watch"), "markets.exchange-kernel.io", permitted=True),
    Right("and so is what the account has", ("get", "list", "watch"), "accountstates.exchange-kernel.io", permitted=True),
    Right("an order is cancelled and never deleted: what is deleted can't be looked up", ("delete", "deletecollection", "update"), "orderintents.exchange-kernel.io"),
    Right("nor is a group", ("delete", "deletecollection", "update"), "ordergroups.exchange-kernel.io"),
    Right("what became of an order is the operator's word alone", ("patch", "update"), "orderintents.exchange-kernel.io/status"),
    Right("and so is what became of a group", ("patch", "update"), "ordergroups.exchange-kernel.io/status"),
    Right("a Secret holds the account's credentials", ("get", "list", "watch", "create", "patch", "update", "delete"), "secrets"),
    Right("an edited account trades elsewhere, with other keys, or again after the kill switch", ("create", "patch", "update", "delete"), "exchangeaccounts.exchange-kernel.io"),
    Right("the account's status holds its fingerprint and mode", ("patch", "update"), "exchangeaccounts.exchange-kernel.io/status"),
    Right("a limit that who is limited can change is none", ("create", "patch", "update", "delete"), "risklimits.exchange-kernel.io"),
    Right("but for nobody else to write", ("create", "patch", "update", "delete"), "markets.exchange-kernel.io"),
    Right("nor are balances; a reading is asked for by an annotation", ("patch", "update"), "accountstates.exchange-kernel.io/status"),
    Right("which are made and removed with the account", ("create", "update", "delete"), "accountstates.exchange-kernel.io"),
    Right("who holds the Lease trades the account", ("get", "create", "patch", "update", "delete"), "leases.coordination.k8s.io"),
    Right("a shell in a pod has that pod's account", ("create", "get"), "pods/exec"),
    Right("a new pod can mount any Secret of the namespace", ("create",), "pods"),
    Right("and so can a workload's", ("create", "patch"), "deployments.apps"),
    Right("a token is another account's identity", ("create",), "serviceaccounts/token"),
    Right("nobody gives rights to itself", ("create", "patch"), "rolebindings.rbac.authorization.k8s.io"),
    Right("nor changes those it has", ("create", "patch"), "roles.rbac.authorization.k8s.io"),
    Right("nor gets them in the whole cluster", ("create", "patch"), "clusterrolebindings.rbac.authorization.k8s.io", where=EVERYWHERE),
    Right("limits at apply are a policy", ("patch", "delete"), "validatingadmissionpolicies.admissionregistration.k8s.io", where=EVERYWHERE),
    Right("the finalizer is kept by one", ("patch", "delete"), "mutatingadmissionpolicies.admissionregistration.k8s.io", where=EVERYWHERE),
    Right("the rules of orders are the kinds'", ("patch", "delete"), "customresourcedefinitions.apiextensions.k8s.io", where=EVERYWHERE),
    Right("other strategies' orders are in their namespaces", ("get", "list", "watch", "create", "patch"), "orderintents.exchange-kernel.io", where=OTHER),
    Right("and their groups", ("get", "list", "create", "patch"), "ordergroups.exchange-kernel.io", where=OTHER),
    Right("and their accounts", ("get", "list", "patch"), "exchangeaccounts.exchange-kernel.io", where=OTHER),
    Right("and their balances", ("get", "list"), "accountstates.exchange-kernel.io", where=OTHER),
    Right("and their Secrets", ("get", "list"), "secrets", where=OTHER),
    Right("all orders of the cluster are not one strategy's", ("list", "watch"), "orderintents.exchange-kernel.io", where=EVERYWHERE),
    Right("all Secrets are nobody's", ("list",), "secrets", where=EVERYWHERE),
    Right("which namespaces there are is not for it to know", ("list", "create"), "namespaces", where=EVERYWHERE),
]
CASES = [pytest.param(right, verb, id=f"{right.where}: {verb} {right.resource}, {right.reason}") for right in RIGHTS for verb in right.verbs]


@dataclass(frozen=True, slots=True)
class Strategy:
    """The ServiceAccount with a token that the API server gave it."""

    namespace: str
    kubeconfig: Path
    kubectl: Kubectl


@pytest.fixture(scope="module", params=[EXAMPLE, INSTALLED])
def strategy(request: pytest.FixtureRequest, kube, shared, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Strategy]:
    if kube.control_plane is None:
        pytest.skip("kubectl under another identity needs a control plane of our own")
    account, role, binding = yaml.safe_load_all(ACCESS.read_text())
    name = ACCOUNT if request.param == EXAMPLE else f"{ACCOUNT}-cluster"
    account["metadata"]["name"] = binding["metadata"]["name"] = binding["subjects"][0]["name"] = name
    if request.param == INSTALLED:
        binding["roleRef"] |= {"kind": "ClusterRole", "name": "exchange-kernel-strategy"}
    shared.run("apply", "-f", "-", stdin=yaml.safe_dump_all([account, role, binding]))
    in_force(kube, shared.namespace)
    config = yaml.safe_load(kube.kubeconfig.read_text())
    config["users"][0]["user"] = {"token": shared.run("create", "token", name).strip()}
    kubeconfig = tmp_path_factory.mktemp("strategy") / "kubeconfig"
    kubeconfig.write_text(yaml.safe_dump(config))
    yield Strategy(shared.namespace, kubeconfig, kube.control_plane.kubectl.as_user(kubeconfig))
    shared.run("delete", f"rolebinding/{name}", f"serviceaccount/{name}")


def place(strategy: Strategy, where: str) -> str | None:
    return {OURS: strategy.namespace, OTHER: "default", EVERYWHERE: None}[where]


@pytest.mark.parametrize("strategy", [EXAMPLE], indirect=True)
@pytest.mark.parametrize("right", RIGHTS, ids=lambda right: f"{right.where}: {right.resource}, {right.reason}")
def test_kubectl_says_who_may_what(right: Right, strategy: Strategy):
    """Of each row one verb, for kubectl takes its time; the rest of the table is below."""
    resource, _, subresource = right.resource.partition("/")
    namespace = place(strategy, right.where)
    cluster_wide = resource.partition(".")[0] in CLUSTER_WIDE
    scope = [] if cluster_wide else ["--all-namespaces"] if namespace is None else [f"--namespace={namespace}"]
    said = strategy.kubectl("auth", "can-i", right.verbs[0], resource, f"--subresource={subresource}", *scope)
    assert said.stdout.strip() == ("yes" if right.permitted else "no"), f"{right.reason}: {said.stderr}"


@pytest.mark.parametrize(("right", "verb"), CASES)
async def test_what_is_not_permitted_is_refused_to_its_token(right: Right, verb: str, strategy: Strategy):
    """What is not permitted is refused before anything of the request is looked at; what is gets an answer, if only that this is no such object."""
    async with ApiClient(access(strategy.kubeconfig)) as api:
        status, message = await attempt(api, right, verb, place(strategy, right.where))
    if right.permitted:
        assert status in (200, 400, 404), f"{right.reason}: {message}"
    else:
        assert status == 403, f"{right.reason}: {message}"
        assert f"system:serviceaccount:{strategy.namespace}:{ACCOUNT}" in message


async def attempt(api: ApiClient, right: Right, verb: str, namespace: str | None) -> tuple[int, str]:
    resource, _, subresource = right.resource.partition("/")
    plural, _, group = resource.partition(".")
    path = PLACES[group] + (f"/namespaces/{namespace}" if namespace is not None else "") + f"/{plural}"
    if verb not in WITHOUT_NAME or subresource:
        path += "/no-such" + (f"/{subresource}" if subresource else "")
    if verb == "watch":
        async for event in api.watch(path, timeoutSeconds="1"):
            return event["object"].get("code", 200), str(event["object"].get("message"))
    body = {"metadata": {"name": "no-such"}}
    answer: Answer = await {
        "get": lambda: api.get(path), "list": lambda: api.get(path), "create": lambda: api.create(path, body), "update": lambda: api.replace(path, body),
        "patch": lambda: api.patch(path, body), "delete": lambda: api.delete(path), "deletecollection": lambda: api.delete(path),
    }[verb]()
    return answer.status, answer.message


REST = StandardOrder(symbol_id="BTC/USDT", side=Side.BUY, type=OrderType.LIMIT, quantity=Decimal("0.01"), price=Decimal(20000))


async def test_a_kernel_lives_its_whole_life_with_that_and_no_more(strategy: Strategy, trading):
    name = f"whole-life-{strategy.kubeconfig.parent.name}".replace("_", "-")
    kernel = KubernetesKernel("main", namespace=strategy.namespace, strategy=name, kubeconfig=strategy.kubeconfig, acknowledge_timeout=60)
    heard: list[str] = []
    kernel.subscribe_events(lambda event: heard.append(str(event.event_type)))
    await kernel.start()
    first = await kernel.place_order(REST, {"level": 1})
    await kernel.modify_order(first, REST.model_copy(update={"price": Decimal(21000)}))
    assert (await kernel.get_order_intent(first)).order.price == 21000
    await kernel.cancel_order(first)
    members = await kernel.place_order_group(StandardOrderGroup(mode=GroupMode.ONE_CANCELS_OTHER, native_policy=NativePolicy.NEVER, members=[
        GroupMember(name="high", order=REST.model_copy(update={"side": Side.SELL, "price": Decimal(90000)})),
        GroupMember(name="higher", order=REST.model_copy(update={"side": Side.SELL, "price": Decimal(95000)})),
    ]))
    await kernel.cancel_order(members[0])
    bought = await kernel.place_order(StandardOrder(symbol_id="BTC/USDT", side=Side.BUY, type=OrderType.MARKET, quantity=Decimal("0.01")))
    await kernel.stop()
    await kernel.start()
    assert (await kernel.get_order_state(bought)).state is State.FILLED
    assert len(await kernel.get_all_intents()) == 4
    await kernel.cancel_all_orders()
    assert not [state for state in await kernel.get_all_orders() if state.state in (State.OPEN, State.PENDING)]
    await aeventually(lambda: heard.count("Finished") == 4, within=60, what=f"four ends are told: {heard}")
    assert (await kernel.health_check())["problems"] == []
    await kernel.stop()
