"""Who may tell what became of an order: with real tokens, against the API server with our policies and the roles we ship."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from exchange_kernel.kube.client import ApiClient, Body
from exchange_kernel.kube.config import access
from tests.cluster.desks import AS_OPERATOR, OPERATOR_USER, Desk, with_token
from tests.cluster.operating import intent
from tests.cluster.people import in_force as roles_in_force
from tests.support import eventually

WORD, STAMP = "exchange-kernel.io/resolve", "exchange-kernel.io/resolved-by"
ABSENT = json.dumps({"clientOrderId": "0a1b2c", "outcome": "Absent"})
SAYS = "may not tell what became of an order"
ROOT = Path(__file__).parents[2]


def is_stamped(kube: Any) -> bool:
    """Whether the administrator's own word would be stamped: a policy holds a moment after it was created, or deleted."""
    shown = kube.kubectl("create", "--dry-run=server", "-o", "json", "-f", "-", stdin=json.dumps(an_order("probe", {WORD: ABSENT})), check=False)
    return shown.returncode == 0 and STAMP in json.loads(shown.stdout)["metadata"].get("annotations", {})


def is_judged(kube: Any) -> bool:
    """Whether a word of somebody without the verb is refused by the policy, and not only for want of a role."""
    kube.kubectl("create", "clusterrolebinding", "probe", "--clusterrole=exchange-kernel-edit", "--user=probe", check=False)
    shown = kube.kubectl("create", "--dry-run=server", "-f", "-", "--as=probe", stdin=json.dumps(an_order("probe", {WORD: ABSENT})), check=False)
    return SAYS in shown.stderr


@pytest.fixture(scope="module", autouse=True)
def in_force(kube: Any) -> None:
    eventually(lambda: is_stamped(kube) and is_judged(kube), within=60, every=0.5, what="the resolve policies in force")


@contextmanager
def without(kube: Any, *bindings: str) -> Iterator[None]:
    """For a while these bindings are gone: as before Kubernetes 1.36, or as where somebody switched the policies off."""
    kube.kubectl("delete", *bindings)
    try:
        yield
    finally:
        kube.kubectl("apply", "--server-side", "--force-conflicts", "-k", str(ROOT / "manifests" / "admission"))
        eventually(lambda: is_stamped(kube) and is_judged(kube), within=60, every=0.5, what="the resolve policies in force again")


MUTATING, VALIDATING = "mutatingadmissionpolicybinding/exchange-kernel-resolve-stamp", "validatingadmissionpolicybinding/exchange-kernel-resolve"


@dataclass
class Who:
    """Somebody with a token, in one namespace."""

    api: ApiClient
    user: str
    namespace: str

    def path(self, name: str = "") -> str:
        return f"/apis/exchange-kernel.io/v1alpha1/namespaces/{self.namespace}/orderintents" + (f"/{name}" if name else "")

    async def annotate(self, annotations: dict[str, str | None], name: str = "order") -> Any:
        return await self.api.patch(self.path(name), {"metadata": {"annotations": annotations}})

    async def annotations(self, name: str = "order") -> dict[str, str]:
        return dict((await self.api.get(self.path(name))).body["metadata"].get("annotations", {}))

    async def create(self, name: str, annotations: dict[str, str]) -> Any:
        return await self.api.create(self.path(), an_order(name, annotations))


def an_order(name: str, annotations: dict[str, str] | None = None) -> Body:
    raw: Body = {"apiVersion": "exchange-kernel.io/v1alpha1", **intent(name, type="Limit", price="20000")}
    raw["metadata"] = {"name": name, **({"annotations": annotations} if annotations else {})}
    return raw


@pytest.fixture
def order(kube: Any, namespace: str) -> str:
    """An order that nobody looks at. The namespace."""
    kube.kubectl("--namespace", namespace, "apply", "-f", "-", stdin=json.dumps(an_order("order")))
    return namespace


def token(kube: Any, namespace: str, name: str, role: str, dir: Path) -> Path:
    kube.kubectl("--namespace", namespace, "create", "serviceaccount", name)
    kube.kubectl("--namespace", namespace, "create", "rolebinding", name, f"--clusterrole={role}", f"--serviceaccount={namespace}:{name}")
    roles_in_force(kube, namespace)
    return with_token(kube, (namespace, name), dir / f"{name}.kubeconfig")


@pytest.fixture
async def strategy(kube: Any, order: str, tmp_path: Path) -> AsyncIterator[Who]:
    async with ApiClient(access(token(kube, order, "strategy", "exchange-kernel-strategy", tmp_path))) as api:
        yield Who(api, f"system:serviceaccount:{order}:strategy", order)


@pytest.fixture
async def trader(kube: Any, order: str, tmp_path: Path) -> AsyncIterator[Who]:
    async with ApiClient(access(token(kube, order, "trader", "exchange-kernel-edit", tmp_path))) as api:
        yield Who(api, f"system:serviceaccount:{order}:trader", order)


@pytest.fixture
async def on_call(kube: Any, order: str, tmp_path: Path) -> AsyncIterator[Who]:
    async with ApiClient(access(token(kube, order, "on-call", "exchange-kernel-resolve", tmp_path))) as api:
        yield Who(api, f"system:serviceaccount:{order}:on-call", order)


def refused(answer: Any, words: str) -> bool:
    return answer.status == 403 and words in answer.message


async def test_i_am_a_strategy_and_my_word_on_my_own_order_is_not_taken(strategy: Who) -> None:
    assert refused(await strategy.annotate({WORD: ABSENT}), SAYS)
    assert refused(await strategy.annotate({WORD: ABSENT, STAMP: "system:serviceaccount:exchange-kernel-system:exchange-kernel"}), SAYS)
    assert refused(await strategy.annotate({WORD: ""}), SAYS), "an empty one neither"
    assert WORD not in await strategy.annotations()


async def test_nor_by_an_update_an_apply_or_at_create(strategy: Who, kube: Any, tmp_path: Path) -> None:
    assert refused(await strategy.create("born-told", {WORD: ABSENT, STAMP: "admin"}), SAYS)
    found = (await strategy.api.get(strategy.path("order"))).body
    found["metadata"]["annotations"] = {WORD: ABSENT}
    assert (await strategy.api.replace(strategy.path("order"), found)).status == 403
    kubeconfig = str(tmp_path / "strategy.kubeconfig")
    for options in ((), ("--server-side", "--force-conflicts")):
        done = kube.kubectl("--kubeconfig", kubeconfig, "--namespace", strategy.namespace, "apply", *options, "-f", "-", stdin=json.dumps(an_order("order", {WORD: ABSENT})), check=False)
        assert done.returncode != 0
        assert SAYS in done.stderr


async def test_a_stamp_alone_is_written_by_nobody(strategy: Who, on_call: Who) -> None:
    for who in (strategy, on_call):
        assert (await who.annotate({STAMP: "admin"})).ok, "it is passed over"
        assert STAMP not in await who.annotations()
    assert (await strategy.create("born-stamped", {STAMP: "admin"})).ok
    assert STAMP not in await strategy.annotations("born-stamped")


async def test_with_the_role_the_word_is_taken_and_the_stamp_is_mine_whatever_name_i_wrote(on_call: Who) -> None:
    assert (await on_call.annotate({WORD: ABSENT, STAMP: "somebody-else"})).ok
    assert await on_call.annotations() | {WORD: ABSENT, STAMP: on_call.user} == await on_call.annotations()


async def test_nobody_takes_the_stamp_off_or_changes_the_word_under_it(on_call: Who, strategy: Who) -> None:
    assert (await on_call.annotate({WORD: ABSENT})).ok
    for stamp in ("strategy", "", None):
        assert (await strategy.annotate({STAMP: stamp})).ok, "it is passed over"
        assert (await strategy.annotations())[STAMP] == on_call.user
    assert refused(await strategy.annotate({WORD: ABSENT.replace("Absent", "Canceled")}), SAYS)
    assert refused(await strategy.annotate({WORD: None}), SAYS), "nor is it taken back"
    assert (await strategy.api.patch(strategy.path("order"), {"spec": {"price": "20001"}})).ok, "the order goes on"
    assert (await strategy.annotate({"team": "one"})).ok
    assert await strategy.annotations() | {WORD: ABSENT, STAMP: on_call.user} == await strategy.annotations()


async def test_whoever_takes_the_word_back_takes_the_stamp_along(on_call: Who) -> None:
    assert (await on_call.annotate({WORD: ABSENT})).ok
    assert (await on_call.annotate({WORD: None})).ok
    assert not {WORD, STAMP} & set(await on_call.annotations())


async def test_a_trader_with_edit_has_no_such_right_and_the_namespaces_admin_has(kube: Any, order: str, trader: Who, tmp_path: Path) -> None:
    assert refused(await trader.annotate({WORD: ABSENT}), SAYS)
    async with ApiClient(access(token(kube, order, "admin", "admin", tmp_path))) as api:
        admin = Who(api, f"system:serviceaccount:{order}:admin", order)
        eventually_ok = [(await admin.annotate({WORD: ABSENT})).ok]
        until = time.monotonic() + 60
        while not eventually_ok[-1] and time.monotonic() < until:  # roles are aggregated by a controller
            eventually_ok.append((await admin.annotate({WORD: ABSENT})).ok)
        assert eventually_ok[-1]
        assert (await admin.annotations())[STAMP] == admin.user


async def test_the_right_can_be_given_for_one_order_by_its_name(kube: Any, order: str, strategy: Who) -> None:
    kube.kubectl("--namespace", order, "create", "role", "one", "--verb=resolve", "--resource=orderintents.exchange-kernel.io", "--resource-name=order")
    kube.kubectl("--namespace", order, "create", "rolebinding", "one", "--role=one", f"--serviceaccount={order}:strategy")
    assert (await strategy.create("other", {})).ok
    until = time.monotonic() + 60
    while not (await strategy.annotate({WORD: ABSENT})).ok:
        assert time.monotonic() < until
    assert refused(await strategy.annotate({WORD: ABSENT}, "other"), SAYS)


async def test_a_told_order_is_still_cancelled_deleted_and_let_go(kube: Any, order: str, on_call: Who, strategy: Who) -> None:
    """Finalizers, statuses and a namespace that ends ask for no right to resolve."""
    assert (await on_call.annotate({WORD: ABSENT})).ok
    assert (await strategy.api.patch(strategy.path("order"), {"spec": {"desiredState": "Canceled"}})).ok
    kube.kubectl("--namespace", order, "patch", "oi", "order", "--subresource=status", "--type=merge", "-p", '{"status":{"observedGeneration":1}}', *AS_OPERATOR)
    kube.kubectl("delete", "namespace", order, "--wait=false")
    deleted = ("--namespace", order, "get", "oi", "order", "-o", "jsonpath={.metadata.deletionTimestamp}")
    eventually(lambda: kube.kubectl(*deleted).stdout, within=60, what="the namespace's end reached it")
    kube.kubectl("--namespace", order, "patch", "oi", "order", "--type=merge", "-p", '{"metadata":{"finalizers":null}}', f"--as={OPERATOR_USER}")
    eventually(lambda: kube.kubectl("--namespace", order, "get", "oi", "order", check=False).returncode != 0, within=60, what="it is let go")


async def test_where_only_the_validating_policy_is_the_stamp_can_be_forged_by_nobody_either(kube: Any, on_call: Who, strategy: Who) -> None:
    with without(kube, MUTATING):
        eventually(lambda: not is_stamped(kube), within=60, every=0.5, what="nothing is stamped")
        assert refused(await on_call.annotate({WORD: ABSENT, STAMP: "somebody-else"}), "must be the name of who writes")
        assert refused(await on_call.annotate({WORD: ABSENT}), "must be the name of who writes")
        assert refused(await on_call.annotate({STAMP: on_call.user}), "changes with it only")
        assert refused(await strategy.create("born-stamped", {STAMP: strategy.user}), "changes with it only")
        assert (await on_call.annotate({WORD: ABSENT, STAMP: on_call.user})).ok, "as the plugin writes it"
        assert refused(await strategy.annotate({STAMP: "strategy"}), "changes with it only")
        assert refused(await strategy.annotate({WORD: ABSENT.replace("Absent", "Canceled"), STAMP: strategy.user}), SAYS)


def test_an_operator_that_requires_the_stamp_takes_no_word_without_it(kube: Any, desk: Desk) -> None:
    """A word from before the policies were there, or from while they were switched off; then the same is told by somebody who may."""
    trading = desk.trading
    trading.open_account("swap", exchange="gate", marketType="Swap", endpoint={"rest": desk.exchange.rest}, resyncSeconds=5)
    desk.start("--require-resolve-stamp")
    trading.await_account("swap")
    desk.exchange.fault(do="drop-request", match={"method": "POST", "path": "/api/v4/futures/usdt/orders"}, count=1)
    trading.place("lost", accountRef={"name": "swap"}, symbol="BTC/USDT:USDT", type="Limit", price="35000", quantity="2")
    trading.await_state("lost", "Unknown")
    desk.exchange.heal()
    word = {"clientOrderId": trading.status("lost")["clientOrderId"], "outcome": "Canceled"}
    with without(kube, MUTATING, VALIDATING):
        eventually(lambda: not is_stamped(kube) and not is_judged(kube), within=60, every=0.5, what="no policy holds")
        trading.run("annotate", "oi", "lost", f"{WORD}={json.dumps(word)}")
        eventually(lambda: trading.condition("lost", "Stalled").get("reason") == "ResolveNotStamped", within=60, what="it says why the word is not taken")
    assert trading.status("lost")["state"] == "Unknown"
    trading.run("annotate", "oi", "lost", "--overwrite", f"{WORD}={json.dumps({**word, 'time': '2026-01-01T00:00:00Z'})}")
    trading.wait("lost", "Finished")
    user = trading.get("lost")["metadata"]["annotations"][STAMP]
    assert trading.status("lost")["attempts"][0]["reason"] == f"Told by {user} in the annotation {WORD}."
