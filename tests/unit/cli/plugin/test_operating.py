"""`doctor`, `report`, `top`, and the plugin as kubectl calls it."""

from __future__ import annotations

import copy
import json
import re
import subprocess
import sys
import tarfile
import tomllib
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from importlib import import_module
from pathlib import Path

import pytest
import yaml

from exchange_kernel.api import KINDS, OrderIntent
from exchange_kernel.api.crd import crd
from exchange_kernel.cli.plugin import main
from exchange_kernel.cli.plugin.checkup.installation import different
from exchange_kernel.cli.plugin.checkup.rights import OPERATORS, OPERATORS_LEASES, REVIEWS, SELF_REVIEWS, Right
from exchange_kernel.cli.plugin.report import blotted, presentable
from exchange_kernel.cli.plugin.top import parse, quantile
from tests.unit.cli.plugin.recorded import a_group, an_account, an_order, condition, leg

ROOT = Path(__file__).parents[4]
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
ADMISSION = "/apis/admissionregistration.k8s.io/v1"
POLICY = "exchange-kernel-order-finalizer"
STATUS_POLICY, MEMBER_POLICY = "exchange-kernel-status", "exchange-kernel-member"
ACCOUNT_POLICY, RESOLVE_POLICY = "exchange-kernel-account", "exchange-kernel-resolve"
CREATOR_POLICY, USE_POLICY = "exchange-kernel-creator", "exchange-kernel-use"
OPERATOR_USER = "system:serviceaccount:exchange-kernel-system:exchange-kernel"
POD = {"metadata": {"name": "operator-0", "namespace": "exchange-kernel-system"}, "spec": {"containers": [{"name": "operator", "image": "i", "env": [{"name": "X", "value": "hunter2"}]}]},
       "status": {"conditions": [{"type": "Ready", "status": "True"}], "containerStatuses": [{"restartCount": 1}]}}


@pytest.fixture
def healthy(server):
    """An installation of which nothing bad can be said."""
    server.answers["/version"] = (200, {"major": "1", "minor": "36", "gitVersion": "v1.36.3"})
    for kind in KINDS:
        stored = {**crd(kind), "status": {"conditions": [{"type": "Established", "status": "True"}]}}
        server.answers[f"{CRDS}/{kind.resource.crd_name}"] = (200, stored)
    for plural in ("mutatingadmissionpolicies", "mutatingadmissionpolicybindings"):
        server.answers[f"{ADMISSION}/{plural}/{POLICY}"] = (200, {"metadata": {}})
        server.answers[f"{ADMISSION}/{plural}/{CREATOR_POLICY}"] = (200, status_policy(OPERATOR_USER))
    for plural in ("validatingadmissionpolicies", "validatingadmissionpolicybindings"):
        for name in (STATUS_POLICY, MEMBER_POLICY, ACCOUNT_POLICY, RESOLVE_POLICY, CREATOR_POLICY, USE_POLICY):
            server.answers[f"{ADMISSION}/{plural}/{name}"] = (200, status_policy(OPERATOR_USER))
    for path in (REVIEWS, SELF_REVIEWS):
        server.answers[path] = (201, {"status": {"allowed": True}})
    server.objects["/api/v1/namespaces/exchange-kernel-system/pods/operator-0"] = POD
    server.date = format_datetime(datetime.now(UTC), usegmt=True)
    return server.put(an_account())


def findings(exchange, code=None):
    done = exchange("doctor", "-o", "json")
    assert code is None or done.exit_code == code, done.output
    return json.loads(done.stdout)


def bad(exchange, code=None):
    return [found for found in findings(exchange, code) if found["level"] in ("wrong", "warning")]


def test_of_a_healthy_installation_nothing_bad_is_said(exchange, healthy):
    assert bad(exchange, code=0) == []
    unchecked = [found["finding"] for found in findings(exchange) if found["level"] == "not checked"]
    assert len(unchecked) == 1, unchecked
    assert "whether its key may withdraw" in unchecked[0]


def status_policy(*users):
    return {"metadata": {}, "spec": {"variables": [{"name": "operators", "expression": json.dumps(users)}]}}


def test_a_policy_that_is_optional_is_not_missed_and_its_lack_is_told(exchange, healthy):
    healthy.answers[f"{ADMISSION}/validatingadmissionpolicies/{USE_POLICY}"] = (404, {"message": "not found"})
    assert bad(exchange, code=0) == []
    (found,) = [one for one in findings(exchange) if one["about"] == "Use of accounts"]
    assert (found["level"], "trades on every account" in found["finding"]) == ("ok", True)


def _changed_kind():
    stored = copy.deepcopy(crd(OrderIntent))
    del stored["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["price"]
    return stored


@pytest.mark.parametrize(("what", "path", "answer", "level", "about", "finding"), [
    ("an old cluster", "/version", (200, {"major": "1", "minor": "29+", "gitVersion": "v1.29.1"}), "wrong", "Cluster", "v1.29.1"),
    ("no kinds", f"{CRDS}/orderintents.exchange-kernel.io", (404, {"message": "not found"}), "wrong", "Kinds", "is not installed"),
    ("another version's kinds", f"{CRDS}/orderintents.exchange-kernel.io", (200, _changed_kind()), "wrong", "Kinds", "differs at spec.price"),
    ("no policy", f"{ADMISSION}/mutatingadmissionpolicies/{POLICY}", (404, {"message": "not found"}), "warning", "Admission", "is not installed"),
    ("a status that anybody may write", f"{ADMISSION}/validatingadmissionpolicies/{STATUS_POLICY}", (404, {"message": "not found"}), "warning", "Status writers",
     "is not installed"),
    ("an operator that may not write it", f"{ADMISSION}/validatingadmissionpolicies/{STATUS_POLICY}",
     (200, status_policy("system:serviceaccount:exchange-kernel-system:exchange-kernel-2")), "warning", "Status writers", "No status is taken from"),
    ("members that anybody may make", f"{ADMISSION}/validatingadmissionpolicies/{MEMBER_POLICY}", (404, {"message": "not found"}), "warning", "Group members",
     "is not installed"),
    ("an operator that may not make them", f"{ADMISSION}/validatingadmissionpolicies/{MEMBER_POLICY}",
     (200, status_policy("system:serviceaccount:exchange-kernel-system:exchange-kernel-2")), "warning", "Group members", "No member is taken from"),
    ("orders of which nobody knows whose they are", f"{ADMISSION}/mutatingadmissionpolicies/{CREATOR_POLICY}", (404, {"message": "not found"}), "warning", "Creators",
     "is not installed"),
    ("stamps that can be got past", f"{ADMISSION}/validatingadmissionpolicies/{CREATOR_POLICY}", (404, {"message": "not found"}), "warning", "Creators", "is not installed"),
    ("an operator whose members are its own", f"{ADMISSION}/mutatingadmissionpolicies/{CREATOR_POLICY}", (200, status_policy("somebody")), "warning", "Creators", "not stamped"),
    ("an operator that may make no members", f"{ADMISSION}/validatingadmissionpolicies/{USE_POLICY}", (200, status_policy("somebody")), "warning", "Use of accounts", "may not make"),
    ("accounts that anybody redirects", f"{ADMISSION}/validatingadmissionpolicies/{ACCOUNT_POLICY}", (404, {"message": "not found"}), "warning", "Account writers",
     "is not installed"),
    ("an operator that may not let accounts go", f"{ADMISSION}/validatingadmissionpolicies/{ACCOUNT_POLICY}", (200, status_policy("somebody")), "warning",
     "Account writers", "open a new account"),
    ("words that anybody may say", f"{ADMISSION}/validatingadmissionpolicies/{RESOLVE_POLICY}", (404, {"message": "not found"}), "warning", "Words on orders",
     "is not installed"),
    ("an operator without its rights", REVIEWS, (201, {"status": {"allowed": False}}), "wrong", "Operator's rights", "may not get orderintents"),
    ("somebody without rights", SELF_REVIEWS, (201, {"status": {"allowed": False}}), "warning", "Your rights", "You may not see orders"),
], ids=lambda value: value if isinstance(value, str) and " " in value else None)
def test_what_is_wrong_is_found_and_its_mending_told(exchange, healthy, what, path, answer, level, about, finding):
    healthy.answers[path] = answer
    found = next(one for one in bad(exchange, code=1 if level == "wrong" else 0) if one["about"] == about)
    assert (found["level"], finding in found["finding"], bool(found["mend"])) == (level, True, True), found


@pytest.mark.parametrize(("what", "status", "level", "finding"), [
    ("bad keys", {"conditions": [condition("Ready", "False"), condition("CredentialsValid", "False", "Refused", "The exchange refuses the keys.")]}, "wrong", "The exchange refuses the keys."),
    ("only the first cause", {"conditions": [condition("Connected", "False", "Unreachable"), condition("Synced", "False", "NotSwept")]}, "wrong", "Connected is False"),
    ("nobody has looked", {"conditions": [], "holder": None}, "wrong", "no operator has looked at it"),
    ("the kill switch", {"tradingMode": "CancelOnly"}, "warning", "tradingMode CancelOnly is in force"),
    ("a market that is gone", {"conditions": [condition("Ready", "False", "MarketGone", "The exchange lists BTC/USDT no more.")]}, "wrong", "lists BTC/USDT no more"),
    ("orphans", {"orphanOrders": 2}, "warning", "2 open orders of ours"),
    ("late fills", {"unattributedFills": 1}, "warning", "1 executions"),
], ids=lambda value: value if isinstance(value, str) and " " in value else None)
def test_what_ails_an_account(exchange, healthy, what, status, level, finding):
    healthy.put(an_account(**status))
    (found,) = [one for one in bad(exchange) if one["about"] == "Accounts"]
    assert (found["level"], finding in found["finding"], bool(found["mend"])) == (level, True, True), found


@pytest.mark.parametrize(("reason", "level", "finding"), [
    ("MarketGone", "wrong", "trading/main BTC/USDT: the exchange lists the market no more, and of ours may be open there: 2 orders."),
    ("MarketHalted", "warning", "trading/main BTC/USDT: the market is not open for trading, and it is waited for by 2 orders."),
])
def test_orders_of_markets_that_are_closed_or_gone_are_found(exchange, healthy, reason, level, finding):
    stuck = [condition("Ready", "False", reason)]
    healthy.put(an_order("a", conditions=stuck), an_order("b", conditions=stuck), an_order("c", conditions=[condition("Ready", "True", "Open")]))
    (found,) = [one for one in bad(exchange) if one["about"] == "Markets"]
    assert (found["level"], found["finding"], bool(found["mend"])) == (level, finding, True)


@pytest.mark.parametrize(("conditions", "level", "finding"), [
    ([condition("Stalled", "True", "ExitRefused", "Refused."), condition("Protected", "False", "ExitRefused", "There is a position without its stop. Refused.")],
     "wrong", "trading/long: ExitRefused: There is a position without its stop. Refused."),
    ([condition("Stalled", "False", "Progressing"), condition("Protected", "False", "MarketHalted", "The market is closed.")],
     "warning", "trading/long: MarketHalted: The market is closed."),
    ([condition("Stalled", "True", "MemberNotMade", "exceeded quota")], "wrong", "trading/long: MemberNotMade: exceeded quota"),
])
def test_positions_without_a_stop_and_groups_that_need_a_person_are_found(exchange, healthy, conditions, level, finding):
    healthy.put(a_group("long", leg("entry", "Entry"), leg("stop", "StopLoss"), conditions=conditions))
    (found,) = [one for one in bad(exchange) if one["about"] == "Groups"]
    assert (found["level"], found["finding"], bool(found["mend"])) == (level, finding, True)


@pytest.mark.parametrize(("pod", "account", "level"), [
    ({**POD, "status": {}}, an_account(), "wrong"), (None, an_account(holder=None), "wrong"), (None, an_account(), "ok"),
], ids=["a pod that is not ready", "no pod and no holder", "an operator elsewhere"])
def test_whether_an_operator_runs(exchange, healthy, pod, account, level):
    del healthy.objects["/api/v1/namespaces/exchange-kernel-system/pods/operator-0"]
    if pod is not None:
        healthy.objects["/api/v1/namespaces/exchange-kernel-system/pods/operator-0"] = pod
    healthy.put(account)
    (found,) = [one for one in findings(exchange) if one["about"] == "Operator"]
    assert found["level"] == level, found


def test_a_clock_that_is_off_is_told(exchange, healthy):
    healthy.date = format_datetime(datetime.now(UTC) - timedelta(seconds=90), usegmt=True)
    (found,) = bad(exchange, code=0)
    ahead = re.search(r"This machine is (\d+) s ahead of the API server", found["finding"])
    assert ahead is not None, found
    assert 89 <= int(ahead[1]) <= 95, found


def test_the_rights_asked_about_are_those_of_the_account_that_the_pods_run_under(exchange, healthy):
    pod = {**POD, "spec": {"serviceAccountName": "my-release-exchange-kernel", "containers": []}}
    for path, (_, body) in list(healthy.answers.items()):
        if path.startswith(ADMISSION) and "spec" in body:
            healthy.answers[path] = (200, status_policy("system:serviceaccount:exchange-kernel-system:my-release-exchange-kernel"))
    healthy.objects["/api/v1/namespaces/exchange-kernel-system/pods/operator-0"] = pod
    assert bad(exchange, code=0) == []
    users = {body["spec"]["user"] for _, path, _, body in healthy.asked if path == REVIEWS}
    assert users == {"system:serviceaccount:exchange-kernel-system:my-release-exchange-kernel"}


def test_what_may_not_be_asked_is_not_checked_and_the_rest_is(exchange, healthy):
    for path in (REVIEWS, f"{CRDS}/orderintents.exchange-kernel.io"):
        healthy.answers[path] = (403, {"message": "forbidden"})
    found = {one["about"]: one["level"] for one in findings(exchange, code=0)}
    assert (found["Operator's rights"], found["Kinds"], found["Accounts"]) == ("not checked", "not checked", "ok")


def test_without_an_api_server_only_that_is_said(exchange, server):
    server.down = True
    (found,) = findings(exchange, code=1)
    assert (found["level"], found["about"]) == ("wrong", "Cluster")


def test_a_kind_as_the_api_server_returns_it_is_this_versions(tmp_path):
    stored = json.loads(json.dumps(crd(OrderIntent)))
    assert different(stored, OrderIntent) == []
    stored["spec"]["versions"][0]["storage"] = False
    assert different(stored, OrderIntent) == ["versions: v1alpha1 is not stored"]


def test_the_operators_rights_are_those_that_the_manifests_give():
    given, leases = set(), set()
    for document in yaml.safe_load_all((ROOT / "manifests/rbac/operator.yaml").read_text()):
        target = {"ClusterRole": given, "Role": leases}.get(document["kind"])
        for rule in document.get("rules", ()) if target is not None else ():
            for group in rule["apiGroups"]:
                target |= {Right(verb, group, resource, name) for resource in rule["resources"] for verb in rule["verbs"] for name in rule.get("resourceNames", [""])}
    assert (set(OPERATORS), set(OPERATORS_LEASES)) == (given, leases)


# ── report ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

def test_a_report_has_everything_but_secrets_and_says_what_is_left_out(exchange, healthy, tmp_path):
    order = an_order("one", spec={"metadata": {"note": '"hunter2"'}})
    order["metadata"] |= {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": '{"hunter2": 1}', "mine": "kept"}, "managedFields": [{"hunter2": 1}]}
    healthy.put(order)
    pods = "/api/v1/namespaces/exchange-kernel-system/pods"
    healthy.answers[f"{pods}/operator-0/log"] = (200, 'GET /api/v3/account?timestamp=1&signature=hunter2 X-MBX-APIKEY: hunter2\n{"secret": "hunter2", "event": "kept"}\n')
    healthy.answers[f"{pods}/operator-0:8080/proxy/metrics"] = (403, {"message": "pods/proxy is forbidden"})
    done = exchange("report", "-f", str(tmp_path / "r.tar.gz"))
    assert done.exit_code == 0, done.stderr
    assert "left out: operator/operator-0.metrics.txt: You may not do this" in done.stderr
    with tarfile.open(tmp_path / "r.tar.gz") as archive:
        texts = {name.removeprefix("exchange-kernel-report/"): archive.extractfile(name).read().decode() for name in archive.getnames()}
    assert {"versions.yaml", "doctor.txt", "orderintents.yaml", "ordergroups.yaml", "exchangeaccounts.yaml", "events.yaml", "crds.yaml", "leases.yaml", "operator/pods.yaml",
            "operator/operator-0.log", "operator/operator-0.previous.log", "left-out.txt"} <= set(texts)
    assert not [name for name, text in texts.items() if "hunter2" in text]
    assert '"event": "kept"' in texts["operator/operator-0.log"]
    assert "mine: kept" in texts["orderintents.yaml"]
    assert not [path for _, path, _, _ in healthy.asked if "/secrets" in path], "Secrets are never asked for"


@pytest.mark.parametrize("line", [
    "apiKey=hunter2", 'api_key: "hunter2"', "'secret': 'hunter2'", "Authorization: Bearer hunter2hunter2", "authorization=hunter2", "?a=1&signature=hunter2&b=2", "X-MBX-APIKEY: hunter2",
    "token=hunter2", "passphrase: hunter2", "listenKey=hunter2", "-----BEGIN EC PRIVATE KEY-----\nhunter2\n-----END EC PRIVATE KEY-----",
])
def test_what_looks_like_a_secret_is_blotted_out(line):
    assert "hunter2" not in blotted(f"before {line} after").replace("before", "").replace("after", "")


def test_what_is_no_secret_stays():
    line = '{"journal":1,"action":"submit","client_order_id":"f564fa90","credentialsSecretRef":{"name":"keys"}}'
    assert blotted(line) == line
    assert presentable({"metadata": {"name": "x"}, "spec": {"symbol": "BTC/USDT"}}) == {"metadata": {"name": "x"}, "spec": {"symbol": "BTC/USDT"}}


# ── top ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

METRICS = """# TYPE exchange_kernel_submits counter
exchange_kernel_submits_total{account="trading/main",outcome="Accepted"} %d
exchange_kernel_submits_total{account="trading/main",outcome="Refused"} 1
# TYPE exchange_kernel_submit_seconds histogram
exchange_kernel_submit_seconds_bucket{account="trading/main",le="0.01"} 5
exchange_kernel_submit_seconds_bucket{account="trading/main",le="0.02"} 10
exchange_kernel_submit_seconds_bucket{account="trading/main",le="+Inf"} 10
exchange_kernel_submit_seconds_count{account="trading/main"} 10
exchange_kernel_submit_seconds_sum{account="trading/main"} 0.1
# TYPE exchange_kernel_unknown_orders gauge
exchange_kernel_unknown_orders 2
"""
PROXY = "/api/v1/namespaces/exchange-kernel-system/pods/operator-0:8080/proxy/metrics"


def test_top_shows_rates_and_latency_through_the_api_server(exchange, healthy):
    readings = iter([METRICS % 9, METRICS % 14])
    answer = healthy._answer
    healthy._answer = lambda method, path: (200, next(readings)) if path == PROXY else answer(method, path)
    shown = json.loads(exchange("top", "--interval", "0.5", "-o", "json").stdout)
    (row,) = shown["accounts"]
    assert (row["sends"], row["sendsPerSecond"], row["refused"], row["ready"]) == (15, 10.0, 1, "True")
    assert (row["p50Seconds"], round(row["p99Seconds"], 4)) == (0.01, 0.0198)
    assert shown["operator"]["unknownOrders"] == 2


@pytest.mark.parametrize(("path", "answer", "sentence"), [
    (PROXY, (403, {"message": "pods/proxy is forbidden"}), "You may not do this"),
    ("/api/v1/namespaces/exchange-kernel-system/pods", (200, {"items": [], "metadata": {}}), "no operator pod runs"),
    (PROXY, (200, "<html>"), "is not an operator"),
])
def test_top_does_without_metrics_and_says_why(exchange, healthy, path, answer, sentence):
    healthy.answers[path] = answer
    done = exchange("top", "--interval", "0.2")
    assert (done.exit_code, sentence in done.stderr) == (0, True), done.stderr
    assert "main" in done.stdout


@pytest.mark.parametrize(("buckets", "share", "found"), [
    ({}, 0.5, None), ({1.0: 0.0, float("inf"): 0.0}, 0.5, None), ({1.0: 10.0, float("inf"): 10.0}, 0.5, 0.5),
    ({1.0: 5.0, 2.0: 10.0, float("inf"): 10.0}, 0.75, 1.5), ({1.0: 5.0, float("inf"): 10.0}, 0.99, 1.0),
])
def test_quantiles_are_prometheus_histogram_quantiles(buckets, share, found):
    assert quantile(buckets, share) == found


def test_several_operators_count_together():
    assert parse([METRICS % 9, METRICS % 1]).sum("submits_total", "trading/main") == 12


# ── As it is called ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

def test_pip_installs_what_kubectl_looks_for():
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    for name in ("kubectl-exchange", "kubectl_complete-exchange"):
        module, _, function = scripts[name].partition(":")
        assert callable(getattr(import_module(module), function))


@pytest.mark.parametrize(("words", "completed"), [
    (["canc"], ["cancel", "cancel-all", ":4"]), (["orders", "--str"], ["--strategy", ":4"]), (["report", "-f", ""], [":0"]), (["resolve", "x", "--outcome", "Exp"], ["Expired", ":4"]),
])
def test_kubectl_gets_completions_in_cobras_form(words, completed):
    done = subprocess.run([sys.executable, "-c", "from exchange_kernel.cli.plugin.main import complete; complete()", *words], capture_output=True, text=True, check=True)
    assert [line.split("\t")[0] for line in done.stdout.splitlines()] == completed


def test_every_command_has_its_place_on_the_page():
    page = (ROOT / "docs/plugin.md").read_text()
    for command in main.app.registered_commands:
        assert f"kubectl exchange {command.name}" in page, command.name


def test_usage_errors_give_2(exchange):
    assert exchange("cancel").exit_code == 2
    assert exchange("orders", "--state", "Lost").exit_code == 2
    assert exchange("cancel", "pod/x").exit_code == 2
