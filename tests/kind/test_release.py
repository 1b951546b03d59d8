"""The chart on a real kubelet. Each case is judged by the exchange's own ledger. They run in the order they are written: the last ones uninstall."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest

from tests.kind.conftest import RELEASE, ROOT, SYSTEM
from tests.support import eventually

EXAMPLES = ROOT / "manifests" / "examples"
ORDER = {"method": "POST", "path": "/api/v3/order"}


def by_client_id(release, status):
    return [order for order in release.orders() if order["clientOrderId"] == status["clientOrderId"]]


def test_the_readmes_commands_fill_an_order(release):
    release.kubectl("apply", "-f", str(EXAMPLES / "market-order.yaml"))
    release.kubectl("wait", "--for=condition=Succeeded", "oi/market-order", "--timeout=120s")
    status = release.intent("market-order")["status"]
    (order,) = by_client_id(release, status)
    assert (order["status"], Decimal(order["executedQty"])) == ("FILLED", Decimal(status["filledQuantity"]))


def test_an_example_rests_and_is_cancelled(release):
    release.kubectl("apply", "-f", str(EXAMPLES / "limit-order.yaml"))
    release.kubectl("wait", "--for=condition=Ready", "oi/limit-order", "--timeout=120s")
    release.kubectl("delete", "oi", "limit-order", "--timeout=120s")
    assert [order["status"] for order in release.orders() if order["type"] == "LIMIT"] == ["CANCELED"]


def test_the_operator_runs_as_nobody_with_no_more_than_its_role(release):
    subject = f"system:serviceaccount:{SYSTEM}:{RELEASE}"
    for verb, what in (("list", "secrets"), ("create", "ordergroups.exchange-kernel.io"), ("delete", "exchangeaccounts.exchange-kernel.io"), ("get", "pods")):
        assert release.kubectl("auth", "can-i", verb, what, f"--as={subject}", check=False).strip() == "no"
    (pod,) = json.loads(release.kubectl("get", "pods", "-l", "app.kubernetes.io/component=operator", "-o", "json"))["items"]
    assert pod["spec"]["containers"][0]["securityContext"]["readOnlyRootFilesystem"] is True
    assert pod["spec"]["securityContext"]["runAsNonRoot"] is True


STRATEGY = [
    {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "strategy"}},
    {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "strategy"},
     "rules": [{"apiGroups": ["exchange-kernel.io"], "resources": ["orderintents", "ordergroups"], "verbs": ["create", "get", "list", "watch", "patch"]},
               {"apiGroups": ["exchange-kernel.io"], "resources": ["markets", "accountstates"], "verbs": ["get", "list", "watch"]},
               {"apiGroups": ["exchange-kernel.io"], "resources": ["accountstates"], "resourceNames": ["simulated"], "verbs": ["patch"]}]},
    {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "strategy"},
     "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "strategy"}, "subjects": [{"kind": "ServiceAccount", "name": "strategy", "namespace": SYSTEM}]},
    {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "strategy"}, "data": {"strategy.py": (Path(__file__).parent / "strategy.py").read_text()}},
    {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "strategy"}, "spec": {
        "serviceAccountName": "strategy", "restartPolicy": "Never", "volumes": [{"name": "code", "configMap": {"name": "strategy"}}],
        "containers": [{"name": "strategy", "image": "exchange-kernel:dev", "imagePullPolicy": "Never", "command": ["/opt/exchange-kernel/bin/python", "/code/strategy.py"],
                        "volumeMounts": [{"name": "code", "mountPath": "/code"}]}]}},
]


def test_a_strategy_pod_places_an_order_through_the_python_contract_and_sees_it_filled(release):
    release.kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": STRATEGY}))
    ended = eventually(lambda: (phase := release.kubectl("get", "pod", "strategy", "-o", "jsonpath={.status.phase}")) in ("Succeeded", "Failed") and phase,
                       within=300, every=0.5, what="the strategy's pod ends")
    said = release.kubectl("logs", "strategy", check=False)
    assert ended == "Succeeded", said
    told = json.loads(said.splitlines()[-1])
    (order,) = by_client_id(release, release.intent(told["intent"])["status"])
    assert (told["state"], Decimal(told["filled"])) == ("Filled", Decimal(order["executedQty"])) == ("Filled", Decimal("0.03"))
    assert told["event_of"] == told["intent"], "the fill came as an event"


def killed_pod_case(release, name: str) -> None:
    """The operator is killed between the exchange's acceptance and the status write: exactly one order exists, and it is the one in status."""
    known = {order["orderId"] for order in release.orders()}
    release.control("POST", "/faults", {"match": ORDER, "do": "delay-reply", "ms": 60_000, "count": 1})
    release.place(name)
    (first,) = eventually(lambda: [order for order in release.orders() if order["orderId"] not in known], within=120, what="the exchange accepted the order")
    release.kill_operator()
    release.control("DELETE", "/faults")
    release.kubectl("wait", "--for=condition=Finished", f"oi/{name}", "--timeout=120s")
    made = [order for order in release.orders() if order["orderId"] not in known]
    assert len(made) == 1, f"{len(made)} orders for one intent"
    assert release.intent(name)["status"]["exchangeOrderId"] == str(first["orderId"])


def test_rule_3_the_operators_pod_is_killed_while_an_order_is_in_flight(release):
    killed_pod_case(release, "killed")


def test_the_killed_pod_case_fails_with_recovery_switched_off(release):
    with release.broken_operator("--without-recovery"):
        release.await_account()
        with pytest.raises(AssertionError, match="2 orders for one intent"):
            killed_pod_case(release, "killed-without-recovery")


def test_helm_upgrade_leaves_kinds_and_intents(release):
    before = {name: release.intent(name)["metadata"]["uid"] for name in ("market-order", "killed")}
    release.upgrade("log.level=DEBUG")
    assert {name: release.intent(name)["metadata"]["uid"] for name in before} == before
    release.await_account()
    release.place("after-upgrade")
    release.kubectl("wait", "--for=condition=Succeeded", "oi/after-upgrade", "--timeout=120s")


def test_helm_uninstall_leaves_kinds_and_intents(release):
    release.helm("uninstall", RELEASE, "--wait", "--timeout", "120s")
    assert "orderintents.exchange-kernel.io" in release.kubectl("get", "crd", "-o", "name")
    assert release.intent("market-order")["status"]["state"] == "Filled"
    assert release.kubectl("get", "deployments", "-o", "name") == ""
