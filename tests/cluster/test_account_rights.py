"""Who may do what with an ExchangeAccount beyond RBAC's verbs, each with the token of a ServiceAccount that has such rights and no more."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from exchange_kernel.kube.client import EXCHANGE_ACCOUNTS, MERGE_PATCH, Answer, ApiClient
from exchange_kernel.kube.config import access
from tests.cluster.desks import with_token
from tests.cluster.people import in_force
from tests.support import condition, eventually

JSON_PATCH, APPLY_PATCH = "application/json-patch+json", "application/apply-patch+yaml"
OURS, SECRETS = ("exchange-kernel.io", "exchangeaccounts"), ("", "secrets")
WRITES = ["get", "create", "update", "patch", "delete"]
#: Everybody's rights: ClusterRoles by name, or rules of a Role of their own.
PEOPLE: dict[str, Any] = {
    "on-call": "exchange-kernel-on-call",
    "admin": "admin",
    "editor": [(OURS, WRITES, [])],                                                                        # as a role of one's own from before there was a verb
    "keeper": [(OURS, [*WRITES, "configure"], [])],                                                        # of all about an account but its keys
    "custodian": [(OURS, [*WRITES, "configure"], []), (SECRETS, ["get"], ["keys"])],                       # of one Secret
    "greedy": [(OURS, ["*"], [])],
}
ENDPOINT = {"rest": "http://sim.desk.svc:8080"}
SPEC = {"exchange": "binance", "environment": "Simulated", "endpoint": ENDPOINT, "credentialsSecretRef": {"name": "keys"}}


def an_account(name: str = "main", **spec: Any) -> dict[str, Any]:
    return {"apiVersion": "exchange-kernel.io/v1alpha1", "kind": "ExchangeAccount", "metadata": {"name": name}, "spec": {**SPEC, **spec}}


@dataclass
class Rights:
    """A namespace with an account that nobody looks at, and the people with rights in it."""

    kube: Any
    namespace: str
    dir: Path

    def give(self) -> None:
        rbac, objects = "rbac.authorization.k8s.io", []
        for who, role in PEOPLE.items():
            kind, name = ("ClusterRole", role) if isinstance(role, str) else ("Role", who)
            if kind == "Role":
                rules = [{"apiGroups": [group], "resources": [plural], "verbs": verbs, "resourceNames": names} for (group, plural), verbs, names in role]
                objects.append({"apiVersion": f"{rbac}/v1", "kind": "Role", "metadata": {"name": who}, "rules": rules})
            objects.append({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": who}})
            objects.append({"apiVersion": f"{rbac}/v1", "kind": "RoleBinding", "metadata": {"name": who}, "roleRef": {"apiGroup": rbac, "kind": kind, "name": name},
                            "subjects": [{"kind": "ServiceAccount", "name": who, "namespace": self.namespace}]})
        self.apply({"apiVersion": "v1", "kind": "List", "items": [*objects, an_account()]})
        in_force(self.kube, self.namespace)

    def run(self, *arguments: str, stdin: str | None = None) -> str:
        return str(self.kube.kubectl("--namespace", self.namespace, *arguments, stdin=stdin).stdout)

    def apply(self, document: dict[str, Any]) -> None:
        self.run("apply", "-f", "-", stdin=json.dumps(document))

    def path(self, name: str | None = "main") -> str:
        return EXCHANGE_ACCOUNTS.path(self.namespace, name)

    def kubeconfig(self, who: str) -> Path:
        operator, path = ("exchange-kernel-system", "exchange-kernel"), self.dir / f"{who}.kubeconfig"
        return path if path.exists() else with_token(self.kube, operator if who == "operator" else (self.namespace, who), path)

    @asynccontextmanager
    async def as_(self, who: str) -> AsyncIterator[ApiClient]:
        async with ApiClient(access(self.kubeconfig(who))) as api:
            yield api

    async def patched(self, who: str, body: Any, kind: str = MERGE_PATCH) -> Answer:
        async with self.as_(who) as api:
            return await api.patch(self.path() + ("?fieldManager=test&force=true" if kind == APPLY_PATCH else ""), body, kind)

    def found(self, name: str = "main") -> dict[str, Any]:
        return dict(json.loads(self.run("get", "xa", name, "-o", "json")))


@pytest.fixture
def rights(kube: Any, namespace: str, tmp_path: Path) -> Rights:
    found = Rights(kube, namespace, tmp_path)
    found.give()
    user = f"--as=system:serviceaccount:{namespace}:editor"
    eventually(lambda: "the verb configure" in kube.kubectl("--namespace", namespace, "label", "xa", "main", "one=two", "--overwrite", "--dry-run=server", user, check=False).stderr,
               within=60, every=0.5, what="the policy and the roles in force")
    return found


def refused(answer: Answer, *words: str) -> None:
    assert answer.status == 403, (answer.status, answer.message)
    for word in words:
        assert word in answer.message


# ── Whoever may edit an account does not get its keys ───────────────────────────────────────────────────────────────────────────────────────

@pytest.mark.parametrize(("what", "patch"), [
    ("its endpoint to my machine", {"spec": {"endpoint": {"rest": "http://mine.desk.svc"}}}),
    ("its stream alone", {"spec": {"endpoint": {"websocket": "ws://mine.desk.svc"}}}),
    ("the CA by which my machine is believed", {"spec": {"endpoint": {"caSecretRef": {"name": "mine"}}}}),
    ("the same Secret for another name of it", {"spec": {"credentialsSecretRef": {"name": "keys-too"}}}),
    ("endpoint and Secret at once", {"spec": {"endpoint": {"rest": "http://mine.desk.svc"}, "credentialsSecretRef": {"name": "keys-too"}}}),
], ids=lambda what: what if isinstance(what, str) else "")
async def test_i_keep_the_accounts_and_may_not_read_their_keys_so_i_point_elsewhere(rights: Rights, what: str, patch: dict[str, Any]) -> None:
    refused(await rights.patched("keeper", patch), "you must be allowed to get the Secret", f"in {rights.namespace}")
    assert rights.found()["spec"]["endpoint"] == ENDPOINT


async def test_nor_by_any_other_way_of_writing(rights: Rights) -> None:
    mine = {"rest": "http://mine.desk.svc"}
    refused(await rights.patched("keeper", [{"op": "replace", "path": "/spec/endpoint/rest", "value": "http://mine.desk.svc"}], JSON_PATCH), "get the Secret keys")
    refused(await rights.patched("keeper", an_account(endpoint=mine), APPLY_PATCH), "get the Secret keys")
    async with rights.as_("keeper") as api:
        found = (await api.get(rights.path())).body
        found["spec"]["endpoint"] = mine
        refused(await api.replace(rights.path(), found), "get the Secret keys")
        refused(await api.create(rights.path(None), an_account("new", endpoint=mine)), "get the Secret keys")
        assert (await api.delete(rights.path())).status in (200, 202), "to delete it is a verb of its own"
        refused(await api.create(rights.path(None), an_account(endpoint=mine)), "get the Secret keys")


async def test_i_may_read_one_secret_and_point_the_account_at_another(rights: Rights) -> None:
    assert (await rights.patched("custodian", {"spec": {"endpoint": {"rest": "http://sim-2.desk.svc"}}})).ok
    refused(await rights.patched("custodian", {"spec": {"credentialsSecretRef": {"name": "others"}}}), "get the Secret others")
    refused(await rights.patched("custodian", {"spec": {"endpoint": {"caSecretRef": {"name": "others"}}}}), "caSecretRef", "get the Secret others")
    assert (await rights.patched("custodian", {"spec": {"endpoint": {"caSecretRef": {"name": "keys"}}}})).ok
    assert (await rights.patched("custodian", {"spec": {"endpoint": {"caSecretRef": None}}})).ok
    async with rights.as_("custodian") as api:
        assert (await api.create(rights.path(None), an_account("second"))).ok
        refused(await api.create(rights.path(None), an_account("third", credentialsSecretRef={"name": "others"})), "get the Secret others")


async def test_what_is_no_way_to_the_keys_needs_no_secret(rights: Rights) -> None:
    for patch in ({"spec": {"resyncSeconds": 30}}, {"spec": {"tradingMode": "CancelOnly"}}, {"spec": {"tradingMode": "Enabled"}}, {"metadata": {"labels": {"a": "b"}}},
                  {"spec": {"symbols": ["BTC/USDT"], "rateLimit": {"requestsPerSecond": 5}}}):
        answer = await rights.patched("keeper", patch)
        assert answer.ok, answer.message


async def test_the_namespaces_administrator_goes_on_as_ever(rights: Rights) -> None:
    for patch in ({"spec": {"endpoint": {"rest": "http://sim-2.desk.svc"}}}, {"spec": {"credentialsSecretRef": {"name": "newer"}}}, {"metadata": {"annotations": {"a": "b"}}},
                  {"spec": {"tradingMode": "CancelOnly"}}, {"spec": {"tradingMode": "Enabled"}}):
        answer = await rights.patched("admin", patch)
        assert answer.ok, answer.message


# ── The kill switch is a right of its own ───────────────────────────────────────────────────────────────────────────────────────────────────

async def test_on_call_i_make_an_account_stricter_step_by_step_and_never_looser(rights: Rights) -> None:
    for mode in ("ReduceOnly", "ReduceOnly", "CancelOnly", "CancelOnly"):
        answer = await rights.patched("on-call", {"spec": {"tradingMode": mode}})
        assert answer.ok, answer.message
    for mode in ("ReduceOnly", "Enabled", None):
        refused(await rights.patched("on-call", {"spec": {"tradingMode": mode}}), f"tradingMode CancelOnly to {mode or 'Enabled'}", "the verb configure", "exchange-kernel-admin")
    assert rights.found()["spec"]["tradingMode"] == "CancelOnly"


async def test_on_call_i_pause_by_whatever_writes_a_patch(rights: Rights) -> None:
    assert (await rights.patched("on-call", [{"op": "replace", "path": "/spec/tradingMode", "value": "ReduceOnly"}], JSON_PATCH)).ok
    applied = await rights.patched("on-call", an_account(tradingMode="CancelOnly"), APPLY_PATCH)
    assert applied.ok, f"who manages a field is no change of the account: {applied.message}"


@pytest.mark.parametrize(("what", "patch"), [
    ("another field", {"spec": {"resyncSeconds": 5}}),
    ("another field beside the mode", {"spec": {"tradingMode": "CancelOnly", "resyncSeconds": 5}}),
    ("a field that was not there", {"spec": {"tradingMode": "CancelOnly", "rateLimit": {"requestsPerSecond": 1}}}),
    ("a field taken away", {"spec": {"tradingMode": "CancelOnly", "endpoint": {"websocket": "ws://mine.desk.svc"}}}),
    ("orphans cancelled", {"spec": {"tradingMode": "CancelOnly", "orphanPolicy": "Cancel"}}),
    ("a label", {"metadata": {"labels": {"a": "b"}}}),
    ("a label beside the mode", {"metadata": {"labels": {"a": "b"}}, "spec": {"tradingMode": "CancelOnly"}}),
    ("an annotation", {"metadata": {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}"}}}),
    ("finalizers", {"metadata": {"finalizers": ["example.com/mine"]}}),
    ("an owner, with which it would go", {"metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "gone", "uid": "00000000-0000-0000-0000-000000000000"}]}}),
], ids=lambda what: what if isinstance(what, str) else "")
async def test_on_call_i_change_nothing_else(rights: Rights, what: str, patch: dict[str, Any]) -> None:
    before = rights.found()
    refused(await rights.patched("on-call", patch), "to change this account needs the verb configure")
    assert rights.found() == before


async def test_on_call_i_take_no_finalizer_off_and_neither_create_nor_delete(rights: Rights) -> None:
    assert (await rights.patched("operator", {"metadata": {"finalizers": ["exchange-kernel.io/account"]}})).ok
    refused(await rights.patched("on-call", {"metadata": {"finalizers": None}}), "the verb configure")
    async with rights.as_("on-call") as api:
        refused(await api.delete(rights.path()), "cannot delete")
        refused(await api.create(rights.path(None), an_account("second")), "cannot create")
        refused(await api.replace(rights.path(), rights.found()), "cannot update")
        refused(await api.get(f"/api/v1/namespaces/{rights.namespace}/secrets/keys"), "cannot get")


async def test_patch_alone_as_it_was_once_given_is_no_right_to_anything(rights: Rights) -> None:
    refused(await rights.patched("editor", {"spec": {"tradingMode": "CancelOnly"}}), "needs the verb pause", "exchange-kernel-on-call")
    refused(await rights.patched("editor", {"spec": {"resyncSeconds": 5}}), "the verb configure")
    refused(await rights.patched("editor", {"metadata": {"labels": {"a": "b"}}}), "the verb configure")
    assert (await rights.patched("editor", {"spec": {"resyncSeconds": 60}})).ok, "what changes nothing is no change"


async def test_a_role_with_every_verb_has_the_virtual_ones_too_and_no_secret(rights: Rights) -> None:
    assert (await rights.patched("greedy", {"spec": {"resyncSeconds": 5, "tradingMode": "CancelOnly"}})).ok
    assert (await rights.patched("greedy", {"spec": {"tradingMode": "Enabled"}})).ok
    refused(await rights.patched("greedy", {"spec": {"endpoint": {"rest": "http://mine.desk.svc"}}}), "get the Secret keys")


# ── Who must not be hindered ────────────────────────────────────────────────────────────────────────────────────────────────────────────────

async def test_the_operator_keeps_and_lets_go_an_account_and_configures_none(rights: Rights) -> None:
    assert (await rights.patched("operator", {"metadata": {"finalizers": ["exchange-kernel.io/account"]}})).ok
    refused(await rights.patched("operator", {"spec": {"endpoint": {"rest": "http://mine.desk.svc"}}}), "the verb configure")
    refused(await rights.patched("operator", {"spec": {"tradingMode": "ReduceOnly"}}), "the verb pause")
    refused(await rights.patched("operator", {"metadata": {"labels": {"a": "b"}}}), "the verb configure")
    assert (await rights.patched("operator", {"metadata": {"finalizers": []}})).ok
    async with rights.as_("operator") as api:
        assert (await api.patch(f"{rights.path()}/status", {"status": {"tradingMode": "CancelOnly"}})).ok


async def test_the_garbage_collector_takes_an_owner_off_and_the_namespace_ends(rights: Rights) -> None:
    rights.run("create", "configmap", "owner")
    uid = json.loads(rights.run("get", "configmap", "owner", "-o", "json"))["metadata"]["uid"]
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": uid}
    rights.run("patch", "xa", "main", "--type=merge", "-p", json.dumps({"metadata": {"ownerReferences": [owner], "labels": {"a": "b"}}}))
    rights.run("delete", "configmap", "owner", "--cascade=orphan")
    eventually(lambda: "ownerReferences" not in rights.found()["metadata"], within=60, what="the collector has taken the owner off")
    rights.kube.kubectl("delete", "namespace", rights.namespace, "--wait=false")
    eventually(lambda: rights.kube.kubectl("get", "namespace", rights.namespace, check=False).returncode != 0, within=60, every=0.5, what="the namespace is gone")


# ── kubectl exchange ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

def test_on_call_with_the_plugin_i_pause_and_am_told_who_resumes(desk: Any, kube: Any, tmp_path: Path) -> None:
    trading = desk.trading
    desk.start()
    trading.await_account()
    rights = Rights(kube, trading.namespace, tmp_path)
    rights.run("create", "serviceaccount", "on-call")
    rights.run("create", "rolebinding", "on-call", "--clusterrole=exchange-kernel-on-call", f"--serviceaccount={trading.namespace}:on-call")
    in_force(kube, trading.namespace)
    kubeconfig = rights.kubeconfig("on-call")

    def plugin(command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        code = "import sys; from exchange_kernel.cli.plugin.main import main; sys.exit(main())"
        return subprocess.run([sys.executable, "-c", code, command, "-n", trading.namespace, *arguments], env={**os.environ, "KUBECONFIG": str(kubeconfig)},
                              text=True, capture_output=True, timeout=300, check=False)

    paused = plugin("pause", "main")
    assert paused.returncode == 0, paused.stderr
    assert "tradingMode CancelOnly is in force" in paused.stdout
    resumed = plugin("resume", "main")
    assert resumed.returncode == 1
    for word in ("to let this account send more (tradingMode CancelOnly to Enabled)", "needs the verb configure", "exchange-kernel-admin"):
        assert word in " ".join(resumed.stderr.split())
    checked = " ".join(plugin("doctor").stdout.split())
    assert f"You may pause accounts in {trading.namespace}." in checked
    assert f"You may not resume and configure accounts in {trading.namespace}" in checked


# ── An endpoint that the operator does not know ─────────────────────────────────────────────────────────────────────────────────────────────

class Listener:
    """Somebody's own machine, which waits for whoever connects."""

    def __init__(self) -> None:
        self.calls = 0
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        threading.Thread(target=self._wait, daemon=True).start()

    def _wait(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.calls += 1
            connection.close()

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def listener() -> Iterator[Listener]:
    found = Listener()
    yield found
    found.close()


def test_nothing_is_ever_sent_to_a_host_that_the_operator_was_not_told_of(desk: Any, listener: Listener) -> None:
    trading, here = desk.trading, f"https://127.0.0.1:{listener.port}"
    for name, spec in (("rest", {"endpoint": {"rest": here}}), ("stream", {"endpoint": {"websocket": here.replace("http", "ws")}}), ("ca", {"endpoint": {"caSecretRef": {"name": "ca"}}})):
        trading.open_account(name, environment="Live", **spec)
    desk.start()
    trading.await_account()

    def conditions(name: str) -> dict[str, Any]:
        account = json.loads(trading.run("get", "xa", name, "-o", "json"))
        return {kind: condition(account, kind) for kind in ("Ready", "Stalled", "Connected")}

    for name in ("rest", "stream", "ca"):
        eventually(lambda name=name: conditions(name)["Ready"].get("reason") == "EndpointNotAllowed", within=60, what=f"{name} says why")
        assert conditions(name)["Stalled"]["status"] == "True"
        assert "--allow-endpoint" in conditions(name)["Connected"]["message"]
    assert listener.calls == 0
    desk.operators[-1].stop()
    desk.start("--allow-endpoint", f"127.0.0.1:{listener.port}")
    eventually(lambda: conditions("rest")["Ready"].get("reason") == "Unreachable", within=60, what="where it is listed, it is connected to")
    assert listener.calls > 0
    eventually(lambda: (reason := conditions("stream")["Ready"].get("reason")) is not None and reason != "EndpointNotAllowed", within=60, what="and so is its stream")
