"""`kubectl exchange` as a person types it: the real kubectl finds the plugin on PATH; a real API server, the real operator, the simulated exchange."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cluster.operating import API_KEY, API_SECRET, Trading
from tests.cluster.people import in_force
from tests.support import eventually

ROOT = Path(__file__).parents[2]
REST = {"type": "Limit", "price": "20000", "quantity": "0.01"}      # far below the market: it rests
Exchange = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> str:
    """PATH with the executables that pip makes of [project.scripts]."""
    bin = tmp_path_factory.mktemp("bin")
    for name, function in (("kubectl-exchange", "main"), ("kubectl_complete-exchange", "complete")):
        script = bin / name
        script.write_text(f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(ROOT / 'operator')!r})\nfrom exchange_kernel.cli.plugin.main import {function}\n{function}()\n")
        script.chmod(0o755)
    return f"{bin}:{os.environ['PATH']}"


@pytest.fixture
def exchange(kube, trading: Trading, path: str) -> Exchange:
    return _plugin(kube, trading.namespace, kube.kubeconfig, path)


def _plugin(kube, namespace: str, kubeconfig: Path, path: str) -> Exchange:
    def run(command: str, *arguments: str, check: bool = True, stdin: str = "") -> subprocess.CompletedProcess[str]:
        done = subprocess.run([os.fspath(kube._kubectl), "exchange", command, "-n", namespace, *arguments], env={**os.environ, "PATH": path, "KUBECONFIG": str(kubeconfig)},
                              input=stdin, text=True, capture_output=True, timeout=300, check=False)
        assert "Traceback" not in done.stderr, done.stderr
        if check:
            assert done.returncode == 0, f"{done.stdout}{done.stderr}"
        return done

    return run


@pytest.fixture
def own(trading: Trading, request: pytest.FixtureRequest) -> Iterator[str]:
    """A strategy's label of this test's own, whose orders are cancelled after it."""
    name = request.node.name.replace("_", "-")[:60].strip("-")
    yield name
    for raw in json.loads(trading.run("get", "oi", "-l", f"exchange-kernel.io/strategy={name}", "-o", "json"))["items"]:
        if "completionTime" not in raw.get("status", {}):
            trading.patch(raw["metadata"]["name"], desiredState="Canceled")


def place(trading: Trading, strategy: str, *names: str, **spec: str) -> None:
    for name in names:
        trading.place(name, **spec)
        trading.run("label", "oi", name, f"exchange-kernel.io/strategy={strategy}")


def live(trading: Trading, name: str) -> bool:
    (order,) = trading.exchange.orders(trading.status(name)["clientOrderId"])
    return order["status"] in ("NEW", "PARTIALLY_FILLED")


def test_orders_tree_and_describe_tell_of_a_filled_order(trading, exchange, own):
    place(trading, own, "look-filled")
    trading.wait("look-filled", "Succeeded")
    header, row = exchange("orders", "--strategy", own).stdout.splitlines()
    assert header.split()[:3] == ["NAME", "STATE", "SIDE"]
    assert row.split()[:3] == ["look-filled", "Filled", "Buy"]
    status = trading.status("look-filled")
    tree = exchange("tree", "oi/look-filled").stdout
    assert status["clientOrderId"] in tree
    assert f"fill {status['fills'][0]['tradeId']}" in tree
    eventually(lambda: "Normal Filled" in exchange("describe", "look-filled").stdout, within=60, every=0.5, what="the Event is told")
    story = json.loads(exchange("describe", "look-filled", "-o", "json").stdout)["timeline"]
    assert [moment["time"] for moment in story] == sorted(moment["time"] for moment in story)
    assert exchange("orders", "--strategy", own, "--state", "Open").stdout == ""
    assert exchange("orders", "-A", "--strategy", own, "-o", "name").stdout == "orderintent.exchange-kernel.io/look-filled\n"


def test_watch_shows_each_change_until_it_is_interrupted(kube, trading, path, own):
    arguments = [os.fspath(kube._kubectl), "exchange", "orders", "-n", trading.namespace, "--watch", "--symbol", "ETH/USDT", "-o", "json"]
    watching = subprocess.Popen(
        arguments, env={**os.environ, "PATH": path, "KUBECONFIG": str(kube.kubeconfig)}, stdout=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),        # a shell has what it runs in the background ignore it
    )
    try:
        place(trading, own, "watched", symbol="ETH/USDT", type="Limit", price="1000", quantity="0.1")
        trading.await_state("watched", "Open")
        trading.patch("watched", desiredState="Canceled")
        states: list[str] = []
        for line in watching.stdout:
            raw = json.loads(line)
            if raw["metadata"]["name"] == "watched":
                states.append(raw["status"]["state"])
                if "completionTime" in raw["status"]:
                    break
        assert states[-1] == "Canceled"
        watching.send_signal(signal.SIGINT)
        assert watching.wait(60) == 130
    finally:
        if watching.poll() is None:
            watching.kill()


def test_cancel_returns_when_the_exchange_has_cancelled(trading, exchange, own):
    place(trading, own, "cancel-me", **REST)
    trading.await_state("cancel-me", "Open")
    assert "(server dry run)" in exchange("cancel", "cancel-me", "--dry-run", "server").stdout
    assert live(trading, "cancel-me")
    assert exchange("cancel", "cancel-me").stdout == "1 order is proved cancelled\n"
    assert not live(trading, "cancel-me")
    again = exchange("cancel", "cancel-me")
    assert again.stdout == "1 order is proved cancelled\n", "idempotent"
    assert exchange("cancel", "no-such-order", check=False).returncode == 1


def test_a_member_is_cancelled_in_its_groups_spec_and_a_group_as_a_whole(trading, exchange):
    legs = [{"name": name, "symbol": "BTC/USDT", "side": "Buy", **REST} for name in ("a", "b")]
    group = {"apiVersion": "exchange-kernel.io/v1alpha1", "kind": "OrderGroup", "metadata": {"name": "bk"}, "spec": {"accountRef": {"name": "main"}, "mode": "Basket", "failurePolicy": "Continue", "members": legs}}
    trading.run("apply", "-f", "-", stdin=json.dumps(group))
    eventually(lambda: trading.run("get", "oi", "bk-a", "bk-b", "-o", "jsonpath={.items[*].status.state}", check=False) == "Open Open", within=60, what="both members work")
    shown = exchange("tree", "bk").stdout
    assert shown.startswith("og/bk  Basket")
    assert "Leg oi/bk-a  Open" in shown
    exchange("cancel", "bk-a")
    members = json.loads(trading.run("get", "og", "bk", "-o", "json"))["spec"]["members"]
    assert {member["name"]: member["desiredState"] for member in members} == {"a": "Canceled", "b": "Working"}
    assert (live(trading, "bk-a"), live(trading, "bk-b")) == (False, True)
    assert exchange("cancel", "og/bk").stdout == "1 order is proved cancelled\n"
    assert not live(trading, "bk-b")


def test_cancel_all_takes_a_strategys_orders_only_and_prints_their_number(trading, exchange, own):
    place(trading, own, "all-1", "all-2", "all-3", **REST)
    place(trading, f"{own}x", "not-this", **REST)
    for name in ("all-1", "all-2", "all-3", "not-this"):
        trading.await_state(name, "Open")
    refused = exchange("cancel-all", "--strategy", own, check=False)
    assert (refused.returncode, live(trading, "all-1")) == (2, True), "nobody said yes"
    assert exchange("cancel-all", "--strategy", own, "--yes").stdout == "3 orders are proved cancelled\n"
    assert [live(trading, name) for name in ("all-1", "all-2", "all-3", "not-this")] == [False, False, False, True]
    done = json.loads(exchange("cancel-all", "--strategy", f"{own}x", "--yes", "-o", "json").stdout)
    assert done["canceled"] == 1


def test_a_paused_account_sends_nothing_until_it_is_resumed(trading, exchange, own):
    exchange("pause", "main")
    try:
        assert json.loads(trading.run("get", "xa", "main", "-o", "json"))["status"]["tradingMode"] == "CancelOnly"
        sent = trading.exchange.requests().get("POST /api/v3/order", 0)
        place(trading, own, "while-paused", **REST)
        eventually(lambda: trading.condition("while-paused", "Ready"), within=60, what="the operator has looked at it")
        assert trading.exchange.requests().get("POST /api/v3/order", 0) == sent
    finally:
        exchange("resume", "main")
    trading.await_state("while-paused", "Open")


def test_a_person_resolves_what_the_exchange_cannot_tell(trading, exchange, own):
    if trading.run("get", "xa", "swap", "--ignore-not-found") == "":
        trading.open_account("swap", exchange="gate", marketType="Swap", endpoint={"rest": trading.exchange.rest}, resyncSeconds=5)
    trading.await_account("swap")
    trading.exchange.fault(do="drop-request", match={"method": "POST", "path": "/api/v4/futures/usdt/orders"}, count=1)
    place(trading, own, "who-knows", accountRef={"name": "swap"}, symbol="BTC/USDT:USDT", type="Limit", price="30000", quantity="2")
    trading.await_state("who-knows", "Unknown")
    trading.exchange.heal()
    known = trading.status("who-knows")["clientOrderId"]
    assert known in exchange("resolve", "who-knows").stdout
    done = exchange("resolve", "who-knows", "--outcome", "Absent", "--yes")
    assert any(f"orderintent/who-knows: {state}" in done.stdout for state in ("Pending", "Submitting", "Open")), done.stdout
    annotations = trading.get("who-knows")["metadata"]["annotations"]
    assert annotations["exchange-kernel.io/resolved-by"] == json.loads(trading.run("auth", "whoami", "-o", "json"))["status"]["userInfo"]["username"]
    assert json.loads(annotations["exchange-kernel.io/resolve"])["clientOrderId"] == known
    trading.await_state("who-knows", "Open")
    assert exchange("resolve", "who-knows", "--outcome", "Absent", "--yes", check=False).returncode == 1, "the exchange can tell itself now"


def test_capabilities_top_and_doctor_of_what_runs(trading, exchange, shared):
    assert json.loads(exchange("capabilities", "main", "-o", "json").stdout)["lookup"] == "Authoritative"
    assert "No latency and rates" in exchange("top", "--interval", "0.2").stderr, "no pod runs here"
    found = exchange("doctor", check=False)
    assert found.returncode == 0, found.stdout
    assert f"{trading.namespace}/main is ready" in found.stdout
    assert "that of version" in found.stdout, "the API server keeps the kinds as they were written"


def test_doctor_finds_an_account_that_nobody_looks_at(kube, namespace, path, trading):
    other = Trading(kube.kubectl, namespace, trading.exchange)
    other.open_account()
    found = _plugin(kube, namespace, kube.kubeconfig, path)("doctor", check=False)
    assert (found.returncode, f"{namespace}/main: no operator has looked at it" in found.stdout) == (1, True), found.stdout


def test_a_report_holds_no_secret(trading, exchange, own, tmp_path):
    place(trading, own, "in-report")
    trading.wait("in-report", "Succeeded")
    exchange("report", "-f", str(tmp_path / "report.tar.gz"))
    with tarfile.open(tmp_path / "report.tar.gz") as archive:
        texts = {name: archive.extractfile(name).read().decode() for name in archive.getnames()}
    everything = "\n".join(texts.values())
    assert "in-report" in texts["exchange-kernel-report/orderintents.yaml"]
    assert "main-keys" in texts["exchange-kernel-report/exchangeaccounts.yaml"], "the Secret's name is no secret"
    for secret in (API_KEY, API_SECRET):
        assert secret not in everything


def test_a_viewer_sees_and_may_not_cancel_and_is_told_so_in_a_sentence(kube, trading, path, own, tmp_path):
    if kube.control_plane is None:
        pytest.skip("another identity can be made on a control plane of our own only")
    place(trading, own, "not-yours", **REST)
    trading.await_state("not-yours", "Open")
    viewer = kube.control_plane.kubeconfig_for("viewer", [], tmp_path / "viewer")
    trading.run("create", "rolebinding", "viewer", "--clusterrole=exchange-kernel-view", "--user=viewer")
    in_force(kube, trading.namespace)
    exchange = _plugin(kube, trading.namespace, viewer, path)
    assert "not-yours" in exchange("orders").stdout
    refused = exchange("cancel", "not-yours", check=False)
    assert (refused.returncode, len(refused.stderr.strip().splitlines())) == (1, 1)
    assert "You may not do this" in refused.stderr
    shown = exchange("doctor", check=False).stdout
    assert "You may see orders" in shown
    assert "You may not place, change and cancel orders" in shown
    assert live(trading, "not-yours")


def test_kubectl_completes_the_plugins_words_and_the_orders_names(kube, trading, path, own):
    place(trading, own, "complete-this", **REST)
    asked = subprocess.run([os.fspath(kube._kubectl), "__complete", "exchange", "cancel", "-n", trading.namespace, "complete-"], text=True, capture_output=True, timeout=300,
                           env={**os.environ, "PATH": path, "KUBECONFIG": str(kube.kubeconfig)}, check=False)
    assert "complete-this" in asked.stdout, asked


def test_no_api_server_is_a_sentence(kube, tmp_path, path):
    nowhere = tmp_path / "nowhere"
    nowhere.write_text(json.dumps({"apiVersion": "v1", "kind": "Config", "clusters": [{"name": "n", "cluster": {"server": "http://127.0.0.1:1"}}], "contexts": [{"name": "n", "context": {"cluster": "n", "user": "n"}}], "users": [{"name": "n", "user": {}}], "current-context": "n"}))
    for command in (["orders"], ["doctor"], ["cancel", "x"]):
        done = _plugin(kube, "default", nowhere, path)(*command, check=False)
        assert done.returncode == 1
        assert "does not answer (connection refused)" in done.stdout + done.stderr


def test_a_trader_cancels_but_has_no_say_over_the_account_nor_over_what_became_of_an_order(kube, trading, path, own, tmp_path):
    if kube.control_plane is None:
        pytest.skip("another identity can be made on a control plane of our own only")
    place(trading, own, "traders", **REST)
    trading.await_state("traders", "Open")
    trader = kube.control_plane.kubeconfig_for("trader", [], tmp_path / "trader")
    for role in ("view", "edit"):
        trading.run("create", "rolebinding", f"trader-{role}", f"--clusterrole=exchange-kernel-{role}", "--user=trader")
    in_force(kube, trading.namespace)
    exchange = _plugin(kube, trading.namespace, trader, path)
    assert exchange("cancel", "traders").stdout == "1 order is proved cancelled\n"
    refused = exchange("pause", "main", check=False)
    assert (refused.returncode, "You may not do this" in refused.stderr) == (1, True)
    assert json.loads(trading.run("get", "xa", "main", "-o", "json"))["spec"]["tradingMode"] == "Enabled"
    if trading.run("get", "xa", "swap", "--ignore-not-found") == "":
        trading.open_account("swap", exchange="gate", marketType="Swap", endpoint={"rest": trading.exchange.rest}, resyncSeconds=5)
    trading.await_account("swap")
    trading.exchange.fault(do="drop-request", match={"method": "POST", "path": "/api/v4/futures/usdt/orders"}, count=1)
    place(trading, own, "nobody-knows", accountRef={"name": "swap"}, symbol="BTC/USDT:USDT", type="Limit", price="35000", quantity="2")
    trading.await_state("nobody-knows", "Unknown")
    trading.exchange.heal()
    refused = exchange("resolve", "nobody-knows", "--outcome", "Canceled", "--yes", check=False)
    assert (refused.returncode, "You may not do this" in refused.stderr, "verb resolve on orderintents" in refused.stderr) == (1, True, True)
    trading.run("create", "rolebinding", "trader-resolve", "--clusterrole=exchange-kernel-resolve", "--user=trader")
    in_force(kube, trading.namespace)
    assert "nobody-knows: Canceled" in exchange("resolve", "nobody-knows", "--outcome", "Canceled", "--yes").stdout
