"""Who made an order and who last changed it: the API server's word, of which no request can say anything else."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.desks import OPERATOR_USER
from tests.cluster.people import JSON_PATCH, KINDS, Person, a_group, an_order, employ, person
from tests.support import aeventually, eventually

CREATED_BY, CHANGED_BY = "exchange-kernel.io/created-by", "exchange-kernel.io/last-changed-by"
BOTH = pytest.mark.parametrize("plural", KINDS)
REST = [{"name": leg, "symbol": "BTC/USDT", "side": "Sell", "type": "Limit", "quantity": "0.01", "price": price} for leg, price in (("high", "90000"), ("higher", "95000"))]


def forged(user: str | None = "system:serviceaccount:other:bob", key: str = CREATED_BY) -> dict[str, Any]:
    return {"metadata": {"annotations": {key: user}}}


def stamps(raw: dict[str, Any]) -> tuple[str | None, str | None]:
    """Who made it, and who last changed it."""
    annotations = raw["metadata"].get("annotations", {})
    return annotations.get(CREATED_BY), annotations.get(CHANGED_BY)


@pytest.fixture
async def alice(kube: Any, namespace: str, tmp_path: Path) -> AsyncIterator[Person]:
    employ(kube, namespace, alice=("exchange-kernel-view", "exchange-kernel-edit"), bob=("exchange-kernel-view", "exchange-kernel-edit"))
    async with person(kube, (namespace, "alice"), tmp_path) as found:
        yield found


@pytest.fixture
async def bob(kube: Any, alice: Person, tmp_path: Path) -> AsyncIterator[Person]:
    async with person(kube, (alice.namespace, "bob"), tmp_path) as found:
        yield found


@pytest.fixture
async def operator(kube: Any, namespace: str, tmp_path: Path) -> AsyncIterator[Person]:
    async with person(kube, ("exchange-kernel-system", "exchange-kernel"), tmp_path, namespace) as found:
        assert found.user == OPERATOR_USER
        yield found


# ── At creation ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

@BOTH
@pytest.mark.parametrize("metadata", [
    pytest.param({}, id="nothing is said of it"),
    pytest.param({"annotations": None}, id="there are no annotations at all"),
    pytest.param({"annotations": {}}, id="there are none in them"),
    pytest.param({"annotations": {"mine": "kept"}}, id="there are others"),
    pytest.param({"annotations": {CREATED_BY: "system:admin"}}, id="somebody else's name"),
    pytest.param({"annotations": {CREATED_BY: ""}}, id="nobody's name"),
    pytest.param({"annotations": {CREATED_BY: None}}, id="no name"),
    pytest.param({"annotations": {CREATED_BY: OPERATOR_USER, CHANGED_BY: "system:admin"}}, id="the operator's name, and a change that never was"),
    pytest.param({"name": None, "generateName": "any-"}, id="a name that the API server makes"),
])
async def test_what_i_place_carries_my_name_whatever_i_write(alice: Person, plural: str, metadata: dict[str, Any]) -> None:
    made = await alice.create(plural, KINDS[plural]("mine", metadata=metadata))
    assert made.ok, made.message
    assert stamps(made.body) == (alice.user, None)
    assert made.body["metadata"]["annotations"].get("mine") == (metadata.get("annotations") or {}).get("mine")


@BOTH
async def test_what_i_apply_server_side_carries_my_name_too(alice: Person, plural: str) -> None:
    made = await alice.apply(plural, KINDS[plural]("mine", metadata={"annotations": {CREATED_BY: "system:admin"}}), "mine")
    assert (made.status, stamps(made.body)) == (201, (alice.user, None))


async def test_an_object_without_a_spec_is_refused_in_the_schemas_words(alice: Person) -> None:
    refused = await alice.create("orderintents", {name: value for name, value in an_order("bad").items() if name != "spec"})
    assert (refused.status, "spec: Required value" in refused.message) == (422, True), refused.message


# ── Later ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

@BOTH
async def test_nobody_makes_my_order_theirs(kube: Any, alice: Person, bob: Person, plural: str) -> None:
    document = KINDS[plural]("mine", metadata={"annotations": {"note": "1"}})
    await alice.create(plural, document)
    for who in (bob, alice):
        for say in (forged(), forged(bob.user), forged(None), forged(""), {"metadata": {"annotations": None}}):
            assert (await who.patch(plural, "mine", say)).ok
            assert stamps(await alice.get(plural, "mine")) == (alice.user, None), f"{who.name} patches {say}"
        assert (await who.patch(plural, "mine", [{"op": "remove", "path": "/metadata/annotations"}], JSON_PATCH)).ok
        assert stamps(await alice.get(plural, "mine")) == (alice.user, None), f"{who.name} removes it by a JSON patch"
        found = await alice.get(plural, "mine")
        found["metadata"]["annotations"] = {CREATED_BY: who.user + "-2", CHANGED_BY: bob.user}
        assert (await who.replace(plural, "mine", found)).ok
        assert stamps(await alice.get(plural, "mine")) == (alice.user, None), f"{who.name} replaces the object"
        for manager in ("first", "second"):
            say = {**document, "metadata": {"name": "mine", "annotations": {CREATED_BY: bob.user}}}
            assert (await who.apply(plural, say, manager)).ok
            assert stamps(await alice.get(plural, "mine")) == (alice.user, None), f"{who.name} applies it by force"
            assert (await who.apply(plural, {**document, "metadata": {"name": "mine"}}, manager)).ok, "and takes that back"
            assert stamps(await alice.get(plural, "mine")) == (alice.user, None)
    kube.kubectl("--namespace", alice.namespace, "annotate", plural, "mine", f"{CREATED_BY}-")
    assert stamps(await alice.get(plural, "mine")) == (alice.user, None), "nor does the administrator"


@BOTH
async def test_both_stamps_outlive_whatever_takes_all_annotations_off(alice: Person, bob: Person, plural: str) -> None:
    document = KINDS[plural]("mine")
    await alice.apply(plural, {**document, "metadata": {"name": "mine", "annotations": {"note": "1"}}}, "alice")
    assert (await alice.patch(plural, "mine", {"spec": {"suspend": True}})).ok
    for take_off in (
        lambda: bob.patch(plural, "mine", {"metadata": {"annotations": None}}),
        lambda: bob.patch(plural, "mine", [{"op": "replace", "path": "/metadata/annotations", "value": {}}], JSON_PATCH),
        lambda: alice.apply(plural, document, "alice"),
    ):
        answer = await take_off()
        assert answer.ok, answer.message
        assert (await alice.get(plural, "mine"))["metadata"]["annotations"] == {CREATED_BY: alice.user, CHANGED_BY: alice.user}


async def test_nor_does_the_operator_once_it_is_made(alice: Person, operator: Person) -> None:
    await alice.create("orderintents", an_order("mine"))
    for say in (forged(operator.user), forged(None), forged("system:admin", CHANGED_BY)):
        assert (await operator.patch("orderintents", "mine", say)).ok
        assert stamps(await alice.get("orderintents", "mine")) == (alice.user, None)


async def test_an_order_from_before_the_stamps_gets_none(alice: Person, operator: Person) -> None:
    """As the operator makes the members of a group that has none."""
    assert (await operator.create("orderintents", an_order("old"))).ok
    for say in ({"metadata": {"labels": {"a": "b"}}}, forged(alice.user), forged("")):
        assert (await alice.patch("orderintents", "old", say)).ok
        assert stamps(await alice.get("orderintents", "old")) == (None, None), say
    assert (await alice.patch("orderintents", "old", {"spec": {"price": "21000"}})).ok
    assert stamps(await alice.get("orderintents", "old")) == (None, alice.user), "who changes it is known"


@BOTH
async def test_who_changed_my_order_last_is_known(alice: Person, bob: Person, operator: Person, plural: str) -> None:
    await alice.create(plural, KINDS[plural]("mine"))
    assert (await bob.patch(plural, "mine", {"metadata": {"labels": {"seen": "yes"}}})).ok
    assert stamps(await alice.get(plural, "mine")) == (alice.user, None), "a label is no change"
    assert (await bob.patch(plural, "mine", {"spec": {"suspend": True}})).ok
    assert stamps(await alice.get(plural, "mine")) == (alice.user, bob.user)
    assert (await alice.patch(plural, "mine", {"spec": {"suspend": False}, **forged(bob.user, CHANGED_BY)})).ok
    assert stamps(await alice.get(plural, "mine")) == (alice.user, alice.user), "whoever alice says it was"
    for say in (forged(None, CHANGED_BY), forged(bob.user, CHANGED_BY), {"spec": {"suspend": False}}):
        assert (await bob.patch(plural, "mine", say)).ok
        assert stamps(await alice.get(plural, "mine")) == (alice.user, alice.user), "no change"
    status = await operator.api.patch(operator.path(plural, "mine/status"), {"status": {"observedGeneration": 3}})
    assert status.ok, status.message
    assert (await operator.patch(plural, "mine", {"metadata": {"finalizers": []}})).ok
    assert stamps(await alice.get(plural, "mine")) == (alice.user, alice.user), "nor are a status and finalizers"
    assert (await bob.patch(plural, "mine", {"spec": {"desiredState": "Canceled"}})).ok
    assert stamps(await alice.get(plural, "mine")) == (alice.user, bob.user), "a cancel is one"


async def test_a_change_by_the_operator_is_no_persons(alice: Person, operator: Person) -> None:
    await alice.create("orderintents", an_order("mine"))
    await alice.patch("orderintents", "mine", {"spec": {"price": "21000"}})
    assert (await operator.patch("orderintents", "mine", {"spec": {"quantity": "0.02"}})).ok
    assert stamps(await alice.get("orderintents", "mine")) == (alice.user, alice.user)


# ── For who uses kubectl ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

@pytest.mark.parametrize("how", [(), ("--server-side",)], ids=["client-side", "server-side"])
@pytest.mark.parametrize("said", [{}, {"annotations": {CREATED_BY: "somebody"}}], ids=["plain", "with a forged stamp"])
async def test_applying_the_same_manifest_again_changes_nothing(kube: Any, alice: Person, bob: Person, how: tuple[str, ...], said: dict[str, Any]) -> None:
    text = yaml.safe_dump_all([an_order("mine", metadata=said), a_group("ours", metadata=said)])

    def run(*arguments: str) -> Any:
        return kube.kubectl("--namespace", alice.namespace, *arguments, stdin=text, check=False)

    assert run("apply", *how, "-f", "-").returncode == 0
    assert (await bob.patch("orderintents", "mine", {"spec": {"suspend": True}})).ok
    assert (await bob.patch("orderintents", "mine", {"spec": {"suspend": False}})).ok
    run("apply", *how, "-f", "-")                   # the first update stores what reading had shown all along
    before = [await alice.get(plural, name) for plural, name in (("orderintents", "mine"), ("ordergroups", "ours"))]
    diff = run("diff", *how, "-f", "-")
    assert (diff.returncode, diff.stdout) == (0, ""), diff.stderr
    again = run("apply", *how, "-f", "-")
    assert again.returncode == 0, again.stderr
    assert [await alice.get(plural, name) for plural, name in (("orderintents", "mine"), ("ordergroups", "ours"))] == before
    assert stamps(before[0])[1] == bob.user


async def test_kubectl_replace_and_edit_keep_the_stamps(kube: Any, alice: Person, namespace: str) -> None:
    await alice.create("orderintents", an_order("mine"))
    await alice.patch("orderintents", "mine", {"spec": {"price": "21000"}})
    kube.kubectl("--namespace", namespace, "replace", "-f", "-", stdin=json.dumps(an_order("mine", price="21000")))
    assert stamps(await alice.get("orderintents", "mine")) == (alice.user, alice.user), "with the same spec"
    kube.kubectl("--namespace", namespace, "replace", "-f", "-", stdin=json.dumps(an_order("mine", price="22000")))
    made, changed = stamps(await alice.get("orderintents", "mine"))
    assert made == alice.user
    assert changed not in (None, alice.user), "with another: by the administrator"


# ── Past the stamps ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

def forger(namespace: str) -> list[dict[str, Any]]:
    """Somebody's own policy, which writes after ours whenever ours has written."""
    path = "/metadata/annotations/exchange-kernel.io~1created-by"
    return [
        {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingAdmissionPolicy", "metadata": {"name": f"zz-forger-{namespace}"}, "spec": {
            "failurePolicy": "Fail", "reinvocationPolicy": "IfNeeded",
            "matchConstraints": {"resourceRules": [{"apiGroups": ["exchange-kernel.io"], "apiVersions": ["*"], "operations": ["CREATE", "UPDATE"], "resources": ["orderintents"]}]},
            "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": 'has(object.metadata.annotations) ? [JSONPatch{op: "add", path: "' + path + '", value: "bob"}] : []'}}]}},
        {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingAdmissionPolicyBinding", "metadata": {"name": f"zz-forger-{namespace}"}, "spec": {
            "policyName": f"zz-forger-{namespace}", "matchResources": {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}}}},
    ]


async def test_what_writes_after_the_stamp_is_refused(kube: Any, alice: Person) -> None:
    await alice.create("orderintents", an_order("before"))
    policies = json.dumps({"apiVersion": "v1", "kind": "List", "items": forger(alice.namespace)})
    kube.kubectl("apply", "-f", "-", stdin=policies)
    try:
        refused = await aeventually(lambda: refused_by_turns(kube, alice), within=60, every=0.3, what="the forger at work, and its turn after ours")
        assert "exchange-kernel.io/created-by is the name of who made the object" in refused
        changed = await alice.patch("orderintents", "before", {"spec": {"price": "21000"}})
        assert changed.status == 403, "nor in an update"
    finally:
        kube.kubectl("delete", "-f", "-", stdin=policies)


async def refused_by_turns(kube: Any, who: Person) -> str | None:
    """Return what a create is refused with, if it is.

    The order of policies is chance, drawn again at each change of one. Where ours is the last, its word holds.
    """
    answer = await who.api.create(who.path("orderintents", dryRun="All"), an_order("mine"))
    if not answer.ok:
        return answer.message
    assert stamps(answer.body) == (who.user, None), "what is taken has the true name"
    kube.kubectl("annotate", "--overwrite", "mutatingadmissionpolicybinding", f"zz-forger-{who.namespace}", f"drawn={time.monotonic_ns()}")
    return None


@pytest.fixture
def unstamped(kube: Any, namespace: str) -> Iterator[str]:
    """A namespace that is as in a cluster before MutatingAdmissionPolicy."""
    binding = ("mutatingadmissionpolicybinding", "exchange-kernel-creator", "--type=json", "-p")
    elsewhere = {"namespaceSelector": {"matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": [namespace]}]}}
    kube.kubectl("patch", *binding, json.dumps([{"op": "add", "path": "/spec/matchResources", "value": elsewhere}]))
    try:
        eventually(lambda: not stamped(kube, namespace), within=60, every=0.3, what="nothing is stamped")
        yield namespace
    finally:
        kube.kubectl("patch", *binding, '[{"op": "remove", "path": "/spec/matchResources"}]')
        eventually(lambda: stamped(kube, namespace), within=60, every=0.3, what="it is stamped again")


def stamped(kube: Any, namespace: str) -> bool:
    """Whether what is made here now would be."""
    shown = kube.kubectl("--namespace", namespace, "create", "--dry-run=server", "-o", "json", "-f", "-", stdin=json.dumps(an_order("tried")))
    return stamps(json.loads(shown.stdout)) != (None, None)


async def test_where_nothing_stamps_orders_are_placed_and_no_name_is_forged(unstamped: str, alice: Person, bob: Person) -> None:
    assert stamps((await alice.create("orderintents", an_order("plain"))).body) == (None, None)
    for key in (CREATED_BY, CHANGED_BY):
        refused = await alice.create("orderintents", an_order("mine", metadata={"annotations": {key: bob.user}}))
        assert (refused.status, "leave it out" in refused.message) == (403, True), refused.message
    assert (await alice.create("orderintents", an_order("mine", metadata={"annotations": {CREATED_BY: alice.user}}))).ok, "the truth may be said"
    for say in (forged(bob.user), forged(None), forged(bob.user, CHANGED_BY), {"metadata": {"annotations": None}}):
        assert (await bob.patch("orderintents", "mine", say)).status == 403, say
    assert (await bob.patch("orderintents", "plain", forged(bob.user))).status == 403, "what has no stamp gets none"
    assert (await bob.patch("orderintents", "mine", {"spec": {"price": "21000"}})).ok


# ── Members ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

async def test_the_members_of_my_group_are_mine_though_the_operator_makes_them(kube: Any, trading: Any, tmp_path: Path) -> None:
    employ(kube, trading.namespace, founder=("exchange-kernel-view", "exchange-kernel-edit"))
    async with person(kube, (trading.namespace, "founder"), tmp_path) as founder:
        made = await founder.create("ordergroups", a_group("stamped", members=REST))
        assert made.ok, made.message
        for member in ("stamped-high", "stamped-higher"):
            found = await aeventually(lambda name=member: found_order(founder, name), within=60, what=f"{member} is made")
            assert stamps(found) == (founder.user, None)
        assert (await founder.patch("ordergroups", "stamped", {"spec": {"desiredState": "Canceled"}})).ok
        trading.run("wait", "--for=condition=Finished", "oi/stamped-high", "--timeout=60s")
        assert stamps(await founder.get("orderintents", "stamped-high")) == (founder.user, None), "what the operator changes of them is the group's"
        assert stamps(await founder.get("ordergroups", "stamped")) == (founder.user, founder.user)


async def found_order(who: Person, name: str) -> dict[str, Any] | None:
    answer = await who.api.get(who.path("orderintents", name))
    return dict(answer.body) if answer.ok else None
