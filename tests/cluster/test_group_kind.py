"""OrderGroup as the API server serves it: what can be changed when, in which words it refuses, and who may do what. Refused manifests are in test_crds.py."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from exchange_kernel.api import OrderGroupSpec
from tests.cluster.desks import AS_OPERATOR
from tests.cluster.groups import ENTRY, STOP, TAKE
from tests.cluster.people import in_force

ELSEWHERE, FINALIZER = "create a new OrderGroup", "exchange-kernel.io/group"
SPEC = {"accountRef": {"name": "simulated"}, "mode": "OneCancelsOther", "members": [TAKE, STOP]}


@dataclass(frozen=True)
class Groups:
    kube: Any
    namespace: str

    def run(self, *arguments: str, **options: Any) -> Any:
        return self.kube.kubectl("--namespace", self.namespace, *arguments, **options)

    def create(self, **changes: Any) -> str:
        name = f"group-{uuid.uuid4().hex[:10]}"
        spec = {field: value for field, value in {**SPEC, **changes}.items() if value is not None}
        self.run("create", "-f", "-", stdin=json.dumps({"apiVersion": "exchange-kernel.io/v1alpha1", "kind": "OrderGroup", "metadata": {"name": name}, "spec": spec}))
        return name

    def patch(self, name: str, spec: dict[str, Any], *options: str) -> Any:
        return self.run("patch", "og", name, "--type=merge", "-p", json.dumps({"spec": spec}), *options, check=False)


@pytest.fixture(scope="module")
def groups(kube: Any) -> Iterator[Groups]:
    """No operator looks at them."""
    name = f"groups-{uuid.uuid4().hex[:10]}"
    kube.kubectl("create", "namespace", name)
    made = Groups(kube, name)
    yield made
    made.run("delete", "og", "--all", "--wait=false")
    for left in made.run("get", "og", "-o", "name").stdout.split():
        made.run("patch", left, "--type=merge", "-p", '{"metadata":{"finalizers":null}}', check=False)
    kube.kubectl("delete", "namespace", name, "--wait=false")


@dataclass(frozen=True)
class Change:
    reason: str
    patch: dict[str, Any]
    refused: str | None = None


CHANGES = [
    Change("a member's price follows the market", {"members": [{**TAKE, "price": "91000"}, STOP]}),
    Change("so does its quantity", {"members": [{**TAKE, "quantity": "0.02"}, STOP]}),
    Change("the order of members means nothing", {"members": [STOP, TAKE]}),
    Change("a group can be suspended", {"suspend": True}),
    Change("and cancelled", {"desiredState": "Canceled"}),
    Change("what deleting does can be said later", {"deletionPolicy": "CancelAll"}),
    Change("and when it goes", {"ttlSecondsAfterFinished": 60}),
    Change("a refusal's consequences too", {"failurePolicy": "Continue"}),
    Change("a member can't join", {"members": [TAKE, STOP, {**TAKE, "name": "more"}]}, f"members can't be added or removed: {ELSEWHERE}"),
    Change("nor leave", {"members": [TAKE, {**STOP, "name": "other"}]}, f"members can't be added or removed: {ELSEWHERE}"),
    Change("nor change its role", {"members": [{**TAKE, "role": "Leg"}, STOP]}, f"role can't be changed: {ELSEWHERE}"),
    Change("nor its side", {"members": [{**TAKE, "side": "Buy"}, STOP]}, f"side can't be changed: {ELSEWHERE}"),
    Change("nor its market", {"members": [{**TAKE, "symbol": "ETH/USDT"}, STOP]}, f"symbol can't be changed: {ELSEWHERE}"),
    Change("nor its type", {"members": [{**TAKE, "type": "TakeProfitLimit", "triggerPrice": "90000"}, STOP]}, f"type can't be changed: {ELSEWHERE}"),
    Change("another account is another group", {"accountRef": {"name": "other"}}, f"accountRef can't be changed: {ELSEWHERE}"),
    Change("so is another mode", {"mode": "OneTriggersOther", "members": [{**TAKE, "role": "Entry"}, STOP]}, f"mode can't be changed: {ELSEWHERE}"),
    Change("who keeps it is settled", {"nativePolicy": "Never"}, f"nativePolicy can't be changed: {ELSEWHERE}"),
    Change("what a part of a fill does can't come later", {"onPartialFill": "Reduce"}, f"onPartialFill can't be changed: {ELSEWHERE}"),
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.reason)
def test_what_can_be_changed(groups, change):
    done = groups.patch(groups.create(), change.patch, "--dry-run=server")
    assert (done.returncode == 0) == (change.refused is None), done.stdout + done.stderr
    assert (change.refused or "") in done.stderr


BRACKET = {"mode": "Bracket", "members": [ENTRY, TAKE, STOP]}


@pytest.mark.parametrize("change", [
    Change("the entry is lowered to what it filled", {"members": [{**ENTRY, "quantity": "0.004"}, TAKE, STOP]}),
    Change("an exit is made larger than the entry", {"members": [ENTRY, TAKE, {**STOP, "quantity": "0.02"}]}),
    Change("a group of such exits is cancelled", {"desiredState": "Canceled"}),
], ids=lambda change: change.reason)
def test_an_edit_of_sizes_is_not_refused_where_the_operator_keeps_exits_at_the_position(groups, change):
    name = groups.create(**BRACKET)
    assert groups.patch(name, {"members": [{**ENTRY, "quantity": "0.005"}, TAKE, STOP]}).returncode == 0
    done = groups.patch(name, change.patch)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_cancel_is_not_taken_back(groups):
    name = groups.create(desiredState="Canceled")
    for back in ("Working", None):      # None: the default, Working, fills in
        assert f"desiredState never goes back to Working: {ELSEWHERE}" in groups.patch(name, {"desiredState": back}).stderr


def test_closed_is_not_taken_back_and_canceled_may_become_closed(groups):
    name = groups.create(**BRACKET, desiredState="Canceled")
    assert groups.patch(name, {"desiredState": "Closed"}).returncode == 0
    for back in ("Working", "Canceled"):
        assert "what is being closed can't be kept: leave desiredState: Closed" in groups.patch(name, {"desiredState": back}).stderr


def test_what_the_server_stores_of_a_spec_is_what_our_model_says(groups):
    """The defaults of the schema and those of the class are the same."""
    stored = json.loads(groups.run("get", "og", groups.create(), "-o", "json").stdout)["spec"]
    assert OrderGroupSpec.model_validate(SPEC).document() == stored


def test_a_group_nobody_has_looked_at_says_so(groups):
    status = json.loads(groups.run("get", "ordergroups", groups.create(), "-o", "json").stdout)["status"]
    assert status["observedGeneration"] == -1


@pytest.mark.parametrize("path", ["og", "og.spec", "og.spec.members", "og.status", "og.status.members", "og.status.counts"])
def test_explain_says_something_of_every_field(kube, path):
    shown = kube.kubectl("explain", path).stdout
    assert "<no description>" not in shown
    assert "<empty>" not in shown


def test_a_strategy_makes_and_changes_groups_and_neither_deletes_them_nor_writes_their_status(groups):
    groups.run("create", "rolebinding", "strategy", "--clusterrole=exchange-kernel-strategy", "--serviceaccount=default:strategy")
    in_force(groups.kube, groups.namespace)

    def may(question: str) -> bool:
        answer = groups.run("auth", "can-i", *question.split(), "--as=system:serviceaccount:default:strategy", check=False)
        return str(answer.stdout).strip() == "yes"

    assert {what for what in ("get", "list", "watch", "create", "patch", "update", "delete") if may(f"{what} ordergroups")} == {"get", "list", "watch", "create", "patch"}
    assert not may("patch ordergroups --subresource=status")


# ── The finalizer ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

def document(name: str, **metadata: Any) -> str:
    return json.dumps({"apiVersion": "exchange-kernel.io/v1alpha1", "kind": "OrderGroup", "metadata": {"name": name, **metadata}, "spec": SPEC})


def finalizers(groups: Groups, name: str) -> list[str]:
    return list(json.loads(groups.run("get", "og", name, "-o", "json").stdout)["metadata"].get("finalizers", []))


def take_off(groups: Groups, name: str) -> None:
    groups.run("patch", "og", name, "--type=merge", "-p", '{"metadata":{"finalizers":null}}')


def test_a_group_has_the_finalizer_from_the_first_moment_and_nothing_takes_it_off(groups):
    name = groups.create()
    assert finalizers(groups, name) == [FINALIZER]

    groups.run("replace", "-f", "-", stdin=document(name))
    assert finalizers(groups, name) == [FINALIZER], "a replace without finalizers"

    groups.run("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=document(name, finalizers=["example.com/other"]))
    assert set(finalizers(groups, name)) == {FINALIZER, "example.com/other"}, "a server-side apply that names another one"

    groups.run("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=document(name, finalizers=[]))
    assert finalizers(groups, name) == [FINALIZER], "and one that names none"

    take_off(groups, name)
    assert finalizers(groups, name) == [FINALIZER], "a merge patch"

    groups.run("patch", "og", name, "--type=json", "-p", '[{"op":"remove","path":"/metadata/finalizers"}]')
    assert finalizers(groups, name) == [FINALIZER], "a JSON patch"


def test_an_orders_finalizer_on_a_group_is_not_the_groups(groups):
    name = f"group-{uuid.uuid4().hex[:10]}"
    groups.run("create", "-f", "-", stdin=document(name, finalizers=["exchange-kernel.io/order"]))
    assert finalizers(groups, name) == ["exchange-kernel.io/order", FINALIZER]


def test_a_request_that_claims_that_the_group_is_finished_is_not_believed(groups):
    name = f"group-{uuid.uuid4().hex[:10]}"
    claimed = json.dumps(json.loads(document(name)) | {"status": {"completionTime": "2026-01-31T12:00:00Z"}})
    for verb in ("create", "replace"):
        groups.run(verb, "-f", "-", stdin=claimed)
        assert finalizers(groups, name) == [FINALIZER], verb


def test_a_finished_group_is_let_go_and_is_not_held_again(groups):
    name = groups.create()
    groups.run("patch", "og", name, "--subresource=status", "--type=merge", "-p", '{"status":{"completionTime":"2026-01-31T12:00:00Z"}}', *AS_OPERATOR)
    take_off(groups, name)
    assert finalizers(groups, name) == []
    groups.run("label", "og", name, "a=b")
    assert finalizers(groups, name) == []
    groups.run("delete", "og", name, "--timeout=60s")


def test_a_deleted_group_waits_for_its_finalizer_and_goes_when_it_is_taken_off(groups):
    name = groups.create()
    groups.run("delete", "og", name, "--wait=false")
    assert finalizers(groups, name) == [FINALIZER]
    take_off(groups, name)
    assert "NotFound" in groups.run("get", "og", name, check=False).stderr


@pytest.mark.parametrize("how", [(), ("--server-side",)], ids=["client-side", "server-side"])
def test_a_groups_diff_is_empty_after_an_apply(groups, how):
    name = f"group-{uuid.uuid4().hex[:10]}"
    groups.run("apply", *how, "-f", "-", stdin=document(name))
    diff = groups.run("diff", *how, "-f", "-", stdin=document(name), check=False)
    assert (diff.returncode, diff.stdout) == (0, ""), diff.stderr
