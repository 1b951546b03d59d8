"""OrderGroups on a real API server: what kubectl shows of them, what the exchange's ledger says, and what is made, put back and never made again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cluster.groups import ENTRY, STOP, TAKE, Group, a_leg
from tests.cluster.operating import intent
from tests.support import eventually

EXAMPLES = Path(__file__).parents[2] / "manifests" / "examples"


# ── The modes ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_exchanges_own_list_expires_the_other(trading):
    group = Group(trading, "native").oco()
    group.await_state("Open", "take", "stop")
    assert group.status()["native"] is True
    cancels = trading.exchange.requests().get("DELETE /api/v3/order", 0)
    group.fill("take", "0.01")
    group.wait("Succeeded")
    assert group.ledger() == {"take": [("FILLED", "0.01")], "stop": [("EXPIRED", "0")]}
    assert trading.exchange.requests().get("DELETE /api/v3/order", 0) == cancels, "the exchange ends the other itself"
    assert [(member["name"], member["state"], member.get("filledQuantity")) for member in group.status()["members"]] == [
        ("stop", group.intent("stop")["status"]["state"], "0"), ("take", "Filled", "0.01")]
    eventually(lambda: group.events() == ["Succeeded"], within=60, what="its end is told")


@pytest.mark.proves("F41")
def test_without_a_list_the_operator_cancels_the_other(trading):
    group = Group(trading, "emulated").oco(nativePolicy="Never")
    group.await_state("Open", "take", "stop")
    assert group.status().get("native", False) is False
    group.fill("take", "0.01")
    group.wait("Succeeded")
    assert group.ledger() == {"take": [("FILLED", "0.01")], "stop": [("CANCELED", "0")]}
    assert group.condition("Succeeded") == ("True", "Filled")


@pytest.mark.proves("F42", "F43")
def test_the_exits_of_a_bracket_follow_its_entry_and_one_cancels_the_other(trading):
    group = Group(trading, "bracket").bracket()
    group.await_state("Open", "entry")
    assert not group.exists("take"), "no exit before there is a position"
    group.fill("entry", "0.004")
    group.await_state("Open", "take", "stop")
    assert {group.intent(name)["spec"]["quantity"] for name in ("take", "stop")} == {"0.00399"}, "what arrived: the fee was taken in it"
    group.await_condition("Protected", "True", "StopWorking")
    group.fill("entry", "0.006")
    for name in ("take", "stop"):
        eventually(lambda name=name: (group.intent(name)["spec"]["quantity"], trading.condition(f"bracket-{name}", "Ready").get("status")) == ("0.00999", "True"),
                   within=60, what=f"the {name} is for all that arrived")
    assert "ownerReferences" in group.intent("entry")["metadata"]
    for name in ("take", "stop"):
        found = group.intent(name)
        assert "ownerReferences" not in found["metadata"], "a foreground delete must not take it"
        assert found["spec"]["submitDeadlineSeconds"] == 0, "a position stays open however late its exits are"
        assert found["spec"]["groupRef"] == {"name": "bracket", "uid": group.get()["metadata"]["uid"], "member": name}
    group.fill("take", "0.00999")
    group.wait("Succeeded")
    assert group.condition("Succeeded") == ("True", "Closed")
    ledger = group.ledger()
    assert (ledger["entry"], ledger["take"][-1], {status for status, _ in ledger["stop"]}) == ([("FILLED", "0.01")], ("FILLED", "0.00999"), {"CANCELED"})
    assert group.condition("Protected") == ("True", "NoPosition")


def test_an_entry_that_is_cancelled_unfilled_is_followed_by_nothing(trading):
    group = Group(trading, "unfollowed").bracket()
    group.await_state("Open", "entry")
    group.patch(desiredState="Canceled")
    group.wait("Succeeded")
    assert group.ledger() == {"entry": [("CANCELED", "0")]}
    assert {member["name"]: member["state"] for member in group.status()["members"]} == {"entry": "Canceled", "stop": "Canceled", "take": "Canceled"}


def test_two_resting_exits_on_spot_are_denied_before_anything_is_sent(trading):
    group = Group(trading, "denied").place("Bracket", ENTRY, TAKE, STOP)
    group.wait("Finished")
    assert group.condition("Succeeded") == ("False", "NeedsNativeGroup")
    assert not any(group.exists(name) for name in ("entry", "take", "stop"))
    eventually(lambda: group.events() == ["Failed"], within=60, what="it is told")


@pytest.mark.proves("F44")
def test_a_basket_of_which_one_is_refused_is_cancelled_and_what_filled_is_shown(trading):
    group = Group(trading, "basket").place("Basket", a_leg("bought", type="Market", price=None), a_leg("rests"), a_leg("beyond", quantity="9000"))
    group.wait("Finished")
    assert group.condition("Succeeded") == ("False", "MemberRefused")
    states = {member["name"]: (member["state"], member.get("filledQuantity")) for member in group.status()["members"]}
    assert states == {"bought": ("Filled", "0.01"), "rests": ("Canceled", "0"), "beyond": ("Rejected", "0")}


def on_the_account_of_the_examples(desk):
    """The examples name their account `simulated`."""
    trading = desk.trading
    trading.run("delete", "xa", "main", "--timeout=60s")
    trading.open_account("simulated")
    desk.start()
    trading.await_account("simulated")
    return trading


def test_the_examples_do_what_they_say(desk):
    trading = on_the_account_of_the_examples(desk)
    trading.run("apply", "-f", str(EXAMPLES / "oco.yaml"), "-f", str(EXAMPLES / "bracket.yaml"))
    oco, bracket = Group(trading, "oco"), Group(trading, "bracket")
    oco.await_state("Open", "take", "stop")
    oco.fill("take", "0.01")
    bracket.await_state("Open", "entry")
    bracket.fill("entry", "0.01")
    bracket.await_state("Open", "take", "stop")
    bracket.fill("take", "0.00999")
    oco.wait("Succeeded")
    bracket.wait("Succeeded")
    assert oco.ledger() == {"take": [("FILLED", "0.01")], "stop": [("EXPIRED", "0")]}
    assert bracket.ledger() == {"entry": [("FILLED", "0.01")], "take": [("FILLED", "0.00999")], "stop": [("CANCELED", "0")]}


def test_the_examples_of_larger_positions_do_what_they_say(desk):
    trading = on_the_account_of_the_examples(desk)
    trading.run("apply", "-f", str(EXAMPLES / "bracket-ladder.yaml"), "-f", str(EXAMPLES / "scale-in.yaml"))
    ladder, scale_in = Group(trading, "bracket-ladder"), Group(trading, "scale-in")
    ladder.await_state("Open", "entry")
    ladder.fill("entry", "0.01")
    ladder.await_state("Open", "first", "second", "third", "stop")
    for take, quantity in {"first": "0.00499", "second": "0.00299", "third": "0.00201"}.items():
        ladder.fill(take, quantity)
    ladder.wait("Succeeded")
    assert {name: filled for name, ((_, filled),) in ladder.ledger().items() if name != "stop"} == {
        "entry": "0.01", "first": "0.00499", "second": "0.00299", "third": "0.00201",
    }, "less the fee, and what rounding left is the last one's"
    scale_in.await_state("Open", "first", "second")
    scale_in.fill("first", "0.01")
    scale_in.await_state("Open", "take", "stop")
    scale_in.fill("take", "0.00999")
    scale_in.wait("Succeeded")
    assert scale_in.ledger()["second"] == [("CANCELED", "0")]


def test_the_examples_of_orders_that_follow_or_stand_beside_each_other_do_what_they_say(desk):
    trading = on_the_account_of_the_examples(desk)
    trading.run("apply", "-f", str(EXAMPLES / "one-triggers-other.yaml"), "-f", str(EXAMPLES / "basket.yaml"))
    follows, basket = Group(trading, "one-triggers-other"), Group(trading, "basket")
    follows.await_state("Open", "entry")
    assert not follows.exists("stop"), "nothing is placed before the Entry fills"
    follows.fill("entry", "0.01")
    follows.await_state("Open", "stop", "hedge")
    assert {name: follows.intent(name)["spec"]["quantity"] for name in ("stop", "hedge")} == {"stop": "0.00999", "hedge": "0.1"}
    basket.await_state("Open", "bitcoin", "ether")
    basket.fill("ether", "0.1")
    basket.await_state("Open", "bitcoin")
    basket.fill("bitcoin", "0.01")
    basket.wait("Succeeded")


# ── Orders that a group adds ────────────────────────────────────────────────────────────────────────────────────────────────────────────────

def test_the_example_of_a_position_that_is_closed_in_time_does_what_it_says(desk):
    trading = on_the_account_of_the_examples(desk)
    trading.run("apply", "-f", str(EXAMPLES / "time-boxed.yaml"))
    group = Group(trading, "time-boxed")
    group.await_state("Open", "entry")
    group.fill("entry", "0.01")
    group.await_state("Open", "stop")
    eventually(lambda: "openedTime" in group.status(), within=60, what="it is known since when the position is open")
    group.patch(positionTimeLimitSeconds=1)
    group.wait("Succeeded", within=60)
    assert group.ledger() == {"entry": [("FILLED", "0.01")], "stop": [("CANCELED", "0")], "close": [("FILLED", "0.00999")]}
    assert group.member("close")["extraOf"] == "entry"


def test_the_example_of_exits_of_what_is_held_does_what_it_says(desk):
    trading = on_the_account_of_the_examples(desk)
    trading.run("apply", "-f", str(EXAMPLES / "exits.yaml"))
    group = Group(trading, "exits")
    group.await_state("Open", "take", "stop")
    eventually(lambda: group.status().get("position") == "0.02", within=60, what="the position is told")
    assert group.status()["native"] is True
    group.await_condition("Protected", "True", "StopWorking")
    group.fill("take", "0.02")
    group.wait("Succeeded")
    assert group.ledger() == {"take": [("FILLED", "0.02")], "stop": [("EXPIRED", "0")]}


def test_positions_as_other_bots_keep_them_do_what_they_say(desk):
    trading = on_the_account_of_the_examples(desk)
    trading.exchange.stop_market()
    trading.exchange.move("BTC/USDT", "50100")
    trading.run("apply", "-f", str(EXAMPLES / "from-other-bots" / "freqtrade-roi-table.yaml"), "-f", str(EXAMPLES / "from-other-bots" / "hummingbot-triple-barrier.yaml"))
    table, barriers = Group(trading, "freqtrade-roi-table"), Group(trading, "hummingbot-triple-barrier")
    table.await_state("Open", "entry")
    table.fill("entry", "0.01")
    table.await_state("Open", "roi", "stop", "trailing")
    barriers.await_state("Open", "open")
    barriers.fill("open", "0.01")
    barriers.await_state("Open", "take-profit", "stop-loss", "trailing-stop")
    table.fill("roi", "0.00999")
    table.wait("Succeeded", within=60)
    assert {name: state for name, ((state, _),) in table.ledger().items()} == {"entry": "FILLED", "roi": "FILLED", "stop": "CANCELED", "trailing": "CANCELED"}
    barriers.patch(positionTimeLimitSeconds=1)
    barriers.await_condition("Protected", "False", "NobodyTrades")      # the market maker stands still: by now the exits have made way
    trading.exchange.start_market()
    barriers.wait("Succeeded", within=60)
    closed = {name: orders for name, orders in barriers.ledger().items() if name.startswith("close")}
    assert closed.pop("close") == [("EXPIRED", "0")]
    assert list(closed.values())[-1] == [("FILLED", "0.00999")]


def test_closed_ends_what_rests_and_sells_what_is_held_by_an_order_that_kubectl_shows(trading):
    group = Group(trading, "out").opened()
    group.patch(desiredState="Closed")
    group.wait("Succeeded", within=60)
    assert group.condition("Succeeded") == ("True", "Closed")
    assert group.ledger() == {"entry": [("CANCELED", "0.004")], "take": [("CANCELED", "0")], "stop": [("CANCELED", "0")], "close": [("FILLED", "0.00399")]}
    assert group.intent("close")["spec"]["type"] == "Market"


# ── The members' objects ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

def test_a_strangers_object_of_a_members_name_is_left_alone_and_said(trading):
    trading.place("named-take", type="Limit", price="20000", suspend=True)
    stranger = trading.get("named-take")["metadata"]["uid"]
    group = Group(trading, "named").oco(nativePolicy="Never")
    group.await_condition("Stalled", "True", "NameConflict")
    assert trading.get("named-take")["metadata"]["uid"] == stranger
    assert "groupRef" not in trading.get("named-take")["spec"]
    eventually(lambda: group.events() == ["Stalled"], within=60, what="it is told")
    trading.run("delete", "oi", "named-take", "--timeout=60s")
    group.await_state("Open", "take", "stop")
    group.patch(desiredState="Canceled")
    group.wait("Succeeded")


REFUSING = """
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {{name: {name}}}
spec:
  matchConstraints:
    resourceRules: [{{apiGroups: [exchange-kernel.io], apiVersions: ["*"], operations: [CREATE], resources: [orderintents]}}]
  validations: [{{expression: "object.metadata.name != '{refused}'", message: "not on a Friday"}}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {{name: {name}}}
spec:
  policyName: {name}
  validationActions: [Deny]
  matchResources: {{namespaceSelector: {{matchLabels: {{kubernetes.io/metadata.name: {namespace}}}}}}}
"""


@pytest.mark.proves("F44")
def test_a_member_that_admission_refuses_is_denied_and_the_others_are_cancelled(trading, kube):
    policy = REFUSING.format(name=f"refusing-{trading.namespace}", refused="admitted-second", namespace=trading.namespace)
    kube.kubectl("apply", "-f", "-", stdin=policy)
    try:
        probe = json.dumps(intent("admitted-second"))
        eventually(lambda: "Friday" in trading.kubectl("--namespace", trading.namespace, "create", "--dry-run=server", "-f", "-", stdin=probe, check=False).stderr,
                   within=60, every=0.3, what="the policy is in force")
        group = Group(trading, "admitted").place("Basket", a_leg("first"), a_leg("second"))
        group.wait("Finished")
    finally:
        kube.kubectl("delete", "-f", "-", stdin=policy)
    denied = group.member("second")
    assert (denied["state"], denied["reason"]) == ("Denied", "NotAdmitted")
    assert "not on a Friday" in denied["message"]
    assert group.member("first")["state"] == "Canceled"
    assert group.condition("Succeeded") == ("False", "MemberRefused")


def test_a_users_edit_of_a_member_is_put_back_and_told_and_a_cancel_of_it_is_honoured(trading):
    group = Group(trading, "edited").place("Basket", a_leg("first"), a_leg("second"))
    group.await_state("Open", "first", "second")
    trading.patch("edited-first", price="41000")
    eventually(lambda: group.intent("first")["spec"]["price"] == "40000", within=60, what="the price is put back")
    eventually(lambda: group.events() == ["EditReverted"], within=60, what="it is told")
    trading.patch("edited-first", desiredState="Canceled")
    trading.await_state("edited-first", "Canceled")
    assert group.intent("second")["status"]["state"] == "Open"
    group.patch(members=[a_leg("first"), a_leg("second", price="41000")])
    eventually(lambda: group.intent("second")["spec"]["price"] == "41000", within=60, what="the group's own change reaches its member")
    trading.patch("edited-second", desiredState="Canceled")
    group.wait("Succeeded")
    assert group.condition("Succeeded") == ("True", "CanceledAsAsked")


@pytest.mark.proves("H19")
def test_a_member_that_was_deleted_is_never_made_again_also_after_a_restart(desk):
    trading, exchange = desk.trading, desk.exchange
    operator = desk.start()
    trading.await_account()
    group = Group(trading, "kept").place("Basket", a_leg("bought", type="Market", price=None), a_leg("rests"), a_leg("stays"))
    group.await_state("Filled", "bought")
    group.await_state("Open", "rests", "stays")
    eventually(lambda: not group.intent("bought")["metadata"].get("finalizers"), within=60, what="what is finished is let go")
    for name in ("bought", "rests"):
        trading.run("delete", "oi", f"kept-{name}", "--timeout=60s")
        eventually(lambda name=name: group.member(name).get("gone"), within=60, what=f"{name} is shown to be gone")
    operator.stop()
    desk.start()
    group.patch(suspend=True)       # something for the new process to do
    eventually(lambda: group.intent("stays")["spec"]["suspend"], within=60, what="the new process keeps the group")
    assert not group.exists("bought")
    assert not group.exists("rests")
    assert sorted(order["status"] for order in exchange.orders()) == ["CANCELED", "FILLED", "NEW"], "three orders, and none of them twice"
    eventually(lambda: "MemberGone" in group.events(), within=60, what="it is told")


# ── What deleting leaves ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

@pytest.mark.parametrize(("policy", "left"), [
    ("CancelEntries", {"stop"}),
    ("CancelAll", set()),
    ("Orphan", {"entry", "take", "stop"}),
])
@pytest.mark.parametrize("cascade", ["background", "foreground", "orphan"])
def test_what_deleting_a_group_with_a_position_leaves_at_the_exchange(trading, cascade, policy, left):
    group = Group(trading, f"{cascade}-{policy.lower()}").opened(deletionPolicy=policy)
    ids = group.ids()
    group.delete(f"--cascade={cascade}", "--wait=false")
    group.await_gone()
    eventually(lambda: group.live(ids) == left, within=60, what=f"{left} and nothing else works at the exchange")
    if policy == "CancelEntries":
        assert group.intent("stop")["status"]["state"] == "Open"
        eventually(lambda: "StopLeft" in group.events(), within=60, what="what stays is told")
        trading.run("delete", "oi", f"{group.name}-stop", "--timeout=60s")      # an order of its own now
        assert group.live(ids) == set()
    else:
        trading.run("delete", "oi", "-l", f"exchange-kernel.io/group={group.name}", "--timeout=60s")
        assert group.live(ids) == left


def test_deleting_the_namespace_cancels_the_stop_of_an_open_position_too(desk, kube):
    trading = desk.trading
    desk.start()
    trading.await_account()
    group = Group(trading, "swept").opened()
    ids = group.ids()
    kube.kubectl("delete", "namespace", trading.namespace, "--wait=false")
    eventually(lambda: kube.kubectl("get", "namespace", trading.namespace, check=False).returncode != 0, within=90, every=0.5, what="the namespace is gone")
    assert group.live(ids) == set()


# ── What kubectl shows ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

def test_get_og_shows_the_columns(trading):
    group = Group(trading, "in-columns").oco()
    group.await_state("Open", "take", "stop")
    eventually(lambda: group.condition("Ready") == ("True", "Working"), within=60, what="it works")
    head, row = trading.run("get", "og", "in-columns").splitlines()
    assert head.split() == ["NAME", "MODE", "MEMBERS", "OPEN", "FILLED", "SUCCEEDED", "REASON", "AGE"]
    assert row.split()[:7] == ["in-columns", "OneCancelsOther", "2", "2", "0", "Unknown", "Working"]
    for title in ("ACCOUNT", "FINISHED", "PROTECTED", "UNKNOWN"):
        assert title in trading.run("get", "og", "in-columns", "-o", "wide").splitlines()[0]
    assert trading.run("get", "oi", "-l", "exchange-kernel.io/group=in-columns", "-o", "name").split() == [
        f"orderintent.exchange-kernel.io/in-columns-{name}" for name in ("stop", "take")]
    assert "ordergroup.exchange-kernel.io/in-columns" in trading.run("get", "trading", "-o", "name")
    assert "in-columns" in trading.run("get", "og", "--field-selector", "spec.mode=OneCancelsOther", "-o", "name")
    group.patch(desiredState="Canceled")
    group.wait("Succeeded")
