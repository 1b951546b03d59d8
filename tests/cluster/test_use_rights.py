"""Who trades on which account, and whose orders are whose: the optional policy `exchange-kernel-use`, with tokens that the API server gave.

And without it, who becomes a trader by the cluster's own roles.
"""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.groups import ENTRY, STOP, TAKE
from tests.cluster.people import JSON_PATCH, KINDS, Person, a_group, an_order, employ, person
from tests.support import aeventually, eventually

POLICY = Path(__file__).parents[2] / "manifests" / "admission" / "use-policy.yaml"
BOTH = pytest.mark.parametrize("plural", KINDS)
TRADER = ("exchange-kernel-view", "exchange-kernel-edit")
USES_MAIN = {"resources": ["exchangeaccounts"], "resourceNames": ["main"], "verbs": ["use"]}
PEOPLE = {
    "alice": (*TRADER, USES_MAIN),
    "carol": (*TRADER, USES_MAIN, {"resources": ["orderintents", "ordergroups"], "verbs": ["deletecollection"]}),
    "rita": (*TRADER, USES_MAIN, "exchange-kernel-resolve"),
    "bob": TRADER,
    "dora": (*TRADER, {"resources": ["orderintents", "ordergroups"], "verbs": ["manage"]}),
    "erin": (*TRADER, {"resources": ["orderintents", "ordergroups"], "resourceNames": ["hers"], "verbs": ["manage"]}),
    "greedy": ({"resources": ["*"], "verbs": ["*"]},),
    "everywhere": (*TRADER, "exchange-kernel-use"),
    "head": ("admin",),
    "deployer": ("edit",),
}
MAY_NOT_TRADE = "you may not trade on the ExchangeAccount {}"
NOT_YOURS = "may change, cancel or delete it"
CANCEL: dict[str, Any] = {"spec": {"desiredState": "Canceled"}}


def installed(kube: Any, *namespaces: str) -> str:
    """The policy as it is shipped, for these namespaces only: other tests have no such rights to give."""
    policy, binding = yaml.safe_load_all(POLICY.read_text())
    binding["spec"]["matchResources"] = {"namespaceSelector": {"matchExpressions": [
        {"key": "kubernetes.io/metadata.name", "operator": "In", "values": list(namespaces)}]}}
    text = yaml.safe_dump_all([policy, binding])
    kube.kubectl("apply", "-f", "-", stdin=text)
    return text


@pytest.fixture(scope="module")
def office(kube: Any, shared: Any) -> Iterator[str]:
    """A namespace of people, where the policy is in force; as it is for the operator's orders in the shared one."""
    name = f"office-{os.getpid()}"
    kube.kubectl("create", "namespace", name)
    employ(kube, name, **PEOPLE)
    policy = installed(kube, name, shared.namespace)

    def refused() -> bool:
        done = kube.kubectl("--namespace", name, "create", "--dry-run=server", "-f", "-", f"--as=system:serviceaccount:{name}:bob", stdin=json.dumps(an_order("tried")), check=False)
        return MAY_NOT_TRADE.format("main") in done.stderr

    try:
        eventually(refused, within=60, every=0.3, what="the policy in force")
        yield name
    finally:
        kube.kubectl("delete", "-f", "-", stdin=policy)
        kube.kubectl("delete", "namespace", name, "--wait=false")
        for kind in ("ordergroups", "orderintents"):
            for left in kube.kubectl("--namespace", name, "get", kind, "-o", "name").stdout.split():
                kube.kubectl("--namespace", name, "patch", left, "--type=merge", "-p", '{"metadata":{"finalizers":null}}', check=False)


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tokens")


@pytest.fixture
async def people(kube: Any, office: str, tokens: Path, request: pytest.FixtureRequest) -> AsyncIterator[dict[str, Person]]:
    """Those whom the test names: each token takes kubectl its time."""
    async with AsyncExitStack() as stack:
        yield {name: await stack.enter_async_context(person(kube, (office, name), tokens)) for name in request.param}


def cast(*names: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("people", [names], indirect=True, ids=[" ".join(names)])


@pytest.fixture
def own(request: pytest.FixtureRequest) -> str:
    """A name that no other test has."""
    return f"o-{abs(hash(request.node.nodeid)) % 10**10}"


# ── use ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

@BOTH
@cast("alice", "bob", "everywhere", "greedy")
async def test_i_trade_on_the_account_that_i_was_given_and_on_no_other(people: dict[str, Person], plural: str, own: str) -> None:
    refused = await people["bob"].create(plural, KINDS[plural](own))
    assert (refused.status, MAY_NOT_TRADE.format("main") in refused.message) == (403, True), refused.message
    assert "the verb use on exchangeaccounts/main" in refused.message, "it says what is missing"
    assert (await people["bob"].apply(plural, KINDS[plural](own), "bob")).status == 403, "nor by an apply"
    made = await people["alice"].create(plural, KINDS[plural](own))
    assert made.ok, made.message
    refused = await people["alice"].create(plural, KINDS[plural](f"{own}-2", account="other"))
    assert (refused.status, MAY_NOT_TRADE.format("other") in refused.message) == (403, True), refused.message
    assert (await people["everywhere"].create(plural, KINDS[plural](f"{own}-3", account="other"))).ok, "exchange-kernel-use is for all of a namespace"
    assert (await people["greedy"].create(plural, KINDS[plural](f"{own}-4", account="other"))).ok, "a role with all verbs has these too"


@BOTH
@cast("alice", "bob")
async def test_my_right_was_taken_away_and_i_can_still_get_out(kube: Any, people: dict[str, Person], plural: str, own: str) -> None:
    leaver = people["bob"]
    kube.kubectl("--namespace", leaver.namespace, "create", "rolebinding", own, "--clusterrole=exchange-kernel-use", f"--serviceaccount={leaver.namespace}:bob")
    for name in (own, f"{own}-2"):
        await aeventually(lambda name=name: created(leaver, plural, name), within=60, every=0.3, what="the right is known")
    kube.kubectl("--namespace", leaver.namespace, "delete", "rolebinding", own)
    await aeventually(lambda: still_refused(leaver), within=60, every=0.3, what="the right is gone")

    larger = ({"spec": {"quantity": "5"}} if plural == "orderintents"
              else {"spec": {"members": [{**member, "quantity": "5"} for member in a_group(own)["spec"]["members"]]}})
    refused = await leaver.patch(plural, own, larger)
    assert (refused.status, "you may still cancel, suspend and delete" in refused.message) == (403, True), refused.message
    assert (await leaver.patch(plural, own, {"metadata": {"labels": {"mine": "yes"}}})).ok
    assert (await leaver.patch(plural, own, {"spec": {"suspend": True}})).ok
    assert (await leaver.patch(plural, own, {"spec": {"suspend": False}})).status == 403, "to go on is to trade"
    assert (await leaver.patch(plural, own, CANCEL)).ok
    assert (await leaver.delete(plural, f"{own}-2")).ok


async def created(who: Person, plural: str, name: str) -> bool:
    made = await who.create(plural, KINDS[plural](name))
    assert made.ok, made.message
    return True


async def still_refused(who: Person) -> bool:
    return (await who.api.create(who.path("orderintents", dryRun="All"), an_order("tried"))).status == 403


# ── manage ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

@BOTH
@cast("alice", "carol", "rita")
async def test_another_strategy_of_my_namespace_leaves_my_order_alone(people: dict[str, Person], plural: str, own: str) -> None:
    alice, carol, rita = people["alice"], people["carol"], people["rita"]  # rita may tell what became of an order, and no more of it than that
    assert (await alice.create(plural, KINDS[plural](own))).ok
    before = told(await alice.get(plural, own))
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "no-such", "uid": "00000000-0000-0000-0000-000000000000"}
    tries: list[tuple[str, Any]] = [
        ("cancels it", CANCEL),
        ("suspends it", {"spec": {"suspend": True}}),
        ("labels it: a restore's label suspends", {"metadata": {"labels": {"exchange-kernel.io/restored": "yes"}}}),
        ("has it read: the exchange's patience is the account's", {"metadata": {"annotations": {"exchange-kernel.io/reconcile": "now"}}}),
        ("takes its finalizer off", {"metadata": {"finalizers": None}}),
        ("gives it an owner that is gone, for the garbage collector", {"metadata": {"ownerReferences": [owner]}}),
        ("calls it theirs", {"metadata": {"annotations": {"exchange-kernel.io/created-by": carol.user}}, **CANCEL}),
    ]
    with_a_word: list[tuple[str, Any]] = [
        ("cancels it beside a word on what became of it", {"metadata": {"annotations": {"exchange-kernel.io/resolve": "Absent"}}, **CANCEL}),
        ("labels it beside such a word", {"metadata": {"annotations": {"exchange-kernel.io/resolve": "Absent"}, "labels": {"a": "b"}}}),
        ("annotates it beside such a word", {"metadata": {"annotations": {"exchange-kernel.io/resolve": "Absent", "a": "b"}}}),
    ]
    for who, what, patch in [*((carol, *one) for one in tries), *((rita, *one) for one in with_a_word)]:
        refused = await who.patch(plural, own, patch)
        if refused.ok and patch["metadata"].get("finalizers", ()) is None:
            continue                                    # put on again before anything is judged
        assert (refused.status, NOT_YOURS in refused.message) == (403, True), f"{who.user} {what}: {refused.message}"
        assert alice.user in refused.message, "it says whose it is"
    assert (await carol.patch(plural, own, [{"op": "replace", "path": "/spec/desiredState", "value": "Canceled"}], JSON_PATCH)).status == 403
    assert (await carol.apply(plural, KINDS[plural](own, suspend=True), "carol")).status == 403
    changed = await carol.get(plural, own)
    changed["spec"]["desiredState"] = "Canceled"
    assert (await carol.replace(plural, own, changed)).status == 403
    for name in (own, ""):
        refused = await carol.delete(plural, name)
        assert (refused.status, NOT_YOURS in refused.message) == (403, True), f"a delete of {name or 'all'}: {refused.message}"
    assert told(await alice.get(plural, own)) == before
    assert (await alice.delete(plural, own)).ok
    refused = await carol.patch(plural, own, {"metadata": {"finalizers": None}})
    assert (refused.status, NOT_YOURS in refused.message) == (403, True), "nor while it is being deleted, when nothing else keeps it"


def told(raw: dict[str, Any]) -> dict[str, Any]:
    """The object without what says only how often it was written."""
    return {**raw, "metadata": {name: value for name, value in raw["metadata"].items() if name not in ("resourceVersion", "managedFields")}}


@BOTH
@cast("alice")
async def test_i_do_with_my_own_what_i_like(people: dict[str, Person], plural: str, own: str) -> None:
    alice = people["alice"]
    for name in (own, f"{own}-2"):
        assert (await alice.create(plural, KINDS[plural](name))).ok
    for patch in ({"metadata": {"labels": {"a": "b"}}}, {"spec": {"suspend": True}}, {"spec": {"suspend": False}}, CANCEL):
        answer = await alice.patch(plural, own, patch)
        assert answer.ok, answer.message
    assert (await alice.delete(plural, own)).ok
    assert (await alice.patch(plural, own, {"metadata": {"finalizers": None}})).ok, "while it is being deleted"


@BOTH
@cast("alice", "dora", "erin", "head", "greedy")
async def test_who_manages_the_desk_changes_and_cancels_what_others_placed(people: dict[str, Person], plural: str, own: str) -> None:
    """By a right on all orders, by all verbs, as the namespace's admin; or on an order by its name, and on no other."""
    for who in ("dora", "head", "greedy"):
        name = f"{own}-{who}"
        assert (await people["alice"].create(plural, KINDS[plural](name))).ok
        for answer in (await people[who].patch(plural, name, {"spec": {"suspend": True}}), await people[who].patch(plural, name, {"spec": {"suspend": False}}),
                       await people[who].patch(plural, name, CANCEL), await people[who].delete(plural, name)):
            assert answer.ok, f"{who}: {answer.message}"
    assert (await people["dora"].create(plural, KINDS[plural](own))).status == 403, "who manages orders does not trade by that"
    for name in ("hers", own):
        assert (await people["alice"].create(plural, KINDS[plural](name))).ok
    assert (await people["erin"].patch(plural, "hers", CANCEL)).ok
    assert (await people["erin"].patch(plural, own, CANCEL)).status == 403
    await people["alice"].delete(plural, "hers")
    await people["alice"].patch(plural, "hers", {"metadata": {"finalizers": None}})


@BOTH
@cast("alice", "carol")
async def test_a_word_on_what_became_of_an_order_is_for_another_policy_to_judge(people: dict[str, Person], plural: str, own: str) -> None:
    assert (await people["alice"].create(plural, KINDS[plural](own, metadata={"annotations": {"mine": "1"}}))).ok
    refused = await people["carol"].patch(plural, own, {"metadata": {"annotations": {"exchange-kernel.io/resolve": "Absent"}}})
    assert NOT_YOURS not in refused.message, refused.message


@cast("alice", "carol", "dora")
async def test_an_order_of_which_nobody_knows_whose_it_is_can_be_cancelled_by_everybody(kube: Any, people: dict[str, Person], tokens: Path, own: str) -> None:
    carol = people["carol"]
    async with person(kube, ("exchange-kernel-system", "exchange-kernel"), tokens, carol.namespace) as operator:
        for name in (own, f"{own}-2"):
            assert (await operator.create("orderintents", an_order(name, account="other"))).ok
    refused = await carol.patch("orderintents", own, {"spec": {"quantity": "5"}})
    assert (refused.status, MAY_NOT_TRADE.format("other") in refused.message) == (403, True), "to trade more on an account is to use it"
    assert (await carol.patch("orderintents", own, CANCEL)).ok
    assert (await carol.delete("orderintents", f"{own}-2")).ok


@cast("alice", "dora")
async def test_an_order_that_its_maker_stuffed_full_can_still_be_cancelled(people: dict[str, Person], own: str) -> None:
    """Judging costs time by the size of what is judged, and there is a budget."""
    stuffed = {"annotations": {f"k{number}": "x" * 50 for number in range(3000)}, "labels": {f"l{number}": "" for number in range(1000)}}
    made = await people["alice"].create("orderintents", an_order(own, metadata=stuffed))
    assert made.ok, made.message
    for who in ("dora", "alice"):
        answer = await people[who].patch("orderintents", own, {"spec": {"suspend": who == "dora"}})
        assert answer.ok, f"{who}: {answer.message}"
    assert (await people["dora"].patch("orderintents", own, CANCEL)).ok
    assert (await people["dora"].delete("orderintents", own)).ok


@cast("alice", "carol", "dora")
async def test_the_largest_group_is_judged_within_the_budget(people: dict[str, Person], own: str) -> None:
    legs = [{**a_group(own)["spec"]["members"][0], "name": f"leg-{number}", "metadata": {f"{number}-{key}": "x" * 200 for key in range(30)}} for number in range(20)]
    made = await people["alice"].create("ordergroups", a_group(own, members=legs))
    assert made.ok, made.message
    larger = {"spec": {"members": [{**leg, "quantity": "0.02"} for leg in legs]}}
    refused = await people["carol"].patch("ordergroups", own, larger)
    assert (refused.status, NOT_YOURS in refused.message) == (403, True), refused.message
    for who in ("alice", "dora"):
        answer = await people[who].patch("ordergroups", own, larger if who == "alice" else CANCEL)
        assert answer.ok, f"{who}: {answer.message}"


# ── Who must always get through ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

@cast("alice")
async def test_the_garbage_collector_takes_what_nothing_owns_any_more(kube: Any, people: dict[str, Person], own: str) -> None:
    alice = people["alice"]
    kube.kubectl("--namespace", alice.namespace, "create", "configmap", own)
    owner = json.loads(kube.kubectl("--namespace", alice.namespace, "get", "configmap", own, "-o", "json").stdout)["metadata"]
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": own, "uid": owner["uid"]}
    assert (await alice.create("orderintents", an_order(own, metadata={"ownerReferences": [reference]}))).ok
    kube.kubectl("--namespace", alice.namespace, "delete", "configmap", own)

    async def going() -> bool:
        return "deletionTimestamp" in (await alice.get("orderintents", own))["metadata"]

    await aeventually(going, within=60, every=0.5, what="the garbage collector deletes it")


async def test_a_namespace_that_is_deleted_goes_with_everybodys_orders_in_it(kube: Any, office: str, shared: Any, tokens: Path, namespace: str) -> None:
    employ(kube, namespace, alice=PEOPLE["alice"], bob=TRADER)
    installed(kube, office, shared.namespace, namespace)
    kube.kubectl("create", "clusterrolebinding", namespace, "--clusterrole=exchange-kernel-edit", f"--serviceaccount={namespace}:bob")
    kube.kubectl("create", "clusterrolebinding", f"{namespace}-v", "--clusterrole=exchange-kernel-view", f"--serviceaccount={namespace}:bob")
    try:
        async with person(kube, (namespace, "alice"), tokens) as alice, person(kube, (namespace, "bob"), tokens) as bob:
            assert (await alice.create("orderintents", an_order("hers"))).ok
            await aeventually(lambda: not_yours(bob), within=60, every=0.3, what="the policy in force here")
            kube.kubectl("delete", "namespace", namespace, "--wait=false")

            def going() -> bool:
                shown = kube.kubectl("--namespace", namespace, "get", "oi", "hers", "-o", "json").stdout
                return "deletionTimestamp" in json.loads(shown)["metadata"]

            eventually(going, within=60, every=0.5, what="the namespace controller deletes it")
            shown = kube.kubectl("--namespace", namespace, "delete", "oi", "hers", "--wait=false", f"--as={bob.user}", check=False)
            assert shown.returncode == 0, f"and whoever helps: {shown.stderr}"
    finally:
        kube.kubectl("delete", "clusterrolebinding", namespace, f"{namespace}-v")
        installed(kube, office, shared.namespace)


async def not_yours(who: Person) -> bool:
    answer = await who.api.delete(who.path("orderintents", "hers", dryRun="All"))
    return answer.status == 403 and NOT_YOURS in answer.message


@cast("alice")
async def test_the_operators_work_goes_on_and_members_are_their_groups_creators(kube: Any, people: dict[str, Person], shared: Any, tokens: Path) -> None:
    """A bracket's whole life, with every write of the operator's judged."""
    there = shared.namespace
    employ(kube, there, maker=(*TRADER, USES_MAIN), rival=(*TRADER, USES_MAIN))
    async with person(kube, (there, "maker"), tokens) as maker, person(kube, (there, "rival"), tokens) as rival:
        group = a_group("used", mode="Bracket", members=[ENTRY, TAKE, STOP], nativePolicy="Never")
        refused = await aeventually(lambda: refused_on(maker), within=60, every=0.3, what="the policy in force here")
        assert MAY_NOT_TRADE.format("other") in refused
        made = await maker.create("ordergroups", group)
        assert made.ok, made.message
        await aeventually(lambda: has(maker, "used-entry"), within=60, what="the entry is made")
        shared.await_state("used-entry", "Open")
        for patch in (CANCEL, {"spec": {"suspend": True}}):
            refused_patch = await rival.patch("orderintents", "used-entry", patch)
            assert (refused_patch.status, maker.user in refused_patch.message) == (403, True), refused_patch.message
        assert (await rival.delete("orderintents", "used-entry")).status == 403
        shared.exchange.fill(shared.status("used-entry")["clientOrderId"], "0.004")
        await aeventually(lambda: has(maker, "used-stop"), within=60, what="the stop is made")
        shared.await_state("used-stop", "Open")
        shared.exchange.fill(shared.status("used-entry")["clientOrderId"], "0.006")
        await aeventually(lambda: quantity(maker, "used-take", "0.00999"), within=60, what="the operator makes the exits larger")
        shared.await_state("used-take", "Open")
        shared.exchange.fill(shared.status("used-take")["clientOrderId"], "0.00999")
        shared.run("wait", "--for=condition=Succeeded", "og/used", "--timeout=60s")
        assert (await rival.delete("ordergroups", "used")).status == 403
        assert (await maker.delete("ordergroups", "used")).ok
        await aeventually(lambda: gone(maker, "used"), within=60, what="the operator lets the group go")


async def refused_on(who: Person) -> str | None:
    answer = await who.api.create(who.path("orderintents", dryRun="All"), an_order("tried", account="other"))
    return None if answer.ok else answer.message


async def has(who: Person, name: str) -> bool:
    return (await who.api.get(who.path("orderintents", name))).ok


async def quantity(who: Person, name: str, wanted: str) -> bool:
    return bool((await who.get("orderintents", name))["spec"]["quantity"] == wanted)


async def gone(who: Person, name: str) -> bool:
    return (await who.api.get(who.path("ordergroups", name))).status == 404


# ── The cluster's own roles ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────

@BOTH
@cast("deployer", "head")
async def test_i_deploy_programs_with_the_clusters_edit_and_am_no_trader_by_that(people: dict[str, Person], plural: str, own: str) -> None:
    made = await people["head"].create(plural, KINDS[plural](own))
    assert made.ok, f"the namespace's admin trades on its accounts: {made.message}"
    deployer = people["deployer"]
    for refused in (await deployer.create(plural, KINDS[plural](f"{own}-2")), await deployer.patch(plural, own, CANCEL), await deployer.delete(plural, own)):
        assert (refused.status, 'cannot' in refused.message) == (403, True), refused.message
    assert await deployer.get(plural, own), "but sees them"


@cast("head")
async def test_the_namespaces_admin_can_make_somebody_a_trader(kube: Any, people: dict[str, Person]) -> None:
    head = people["head"]
    for role in ("exchange-kernel-edit", "exchange-kernel-strategy", "exchange-kernel-use"):
        answer = await head.api.create(f"/apis/rbac.authorization.k8s.io/v1/namespaces/{head.namespace}/rolebindings", {
            "metadata": {"name": f"by-head-{role}"}, "subjects": [{"kind": "ServiceAccount", "name": "nobody", "namespace": head.namespace}],
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role}})
        assert answer.ok, f"{role}: {answer.message}"
