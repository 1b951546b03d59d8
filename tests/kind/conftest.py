"""A Helm release on a kind cluster. `make kind` makes the cluster, loads the image and says where both are."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support import eventually

ROOT = Path(__file__).parents[2]
RELEASE = "exchange-kernel"
SYSTEM = "exchange-kernel-system"


def environment(name: str) -> str:
    value = os.environ.get(name)
    if not value:
        pytest.exit(f"{name} is not set: run these tests by `make kind`", returncode=2)
    return value


@dataclass(frozen=True)
class Release:
    """The chart as a user installs it, and the exchange inside the cluster as the judge."""

    kubeconfig: str

    def kubectl(self, *arguments: str, stdin: str | None = None, check: bool = True, namespace: str = SYSTEM) -> str:
        command = [environment("KUBECTL"), f"--kubeconfig={self.kubeconfig}", f"--namespace={namespace}", *arguments]
        done = subprocess.run(command, input=stdin, text=True, capture_output=True, timeout=180, check=False)
        assert not check or done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr}{done.stdout}"
        return done.stdout

    def helm(self, *arguments: str) -> str:
        command = [environment("HELM"), f"--kubeconfig={self.kubeconfig}", f"--namespace={SYSTEM}", *arguments]
        done = subprocess.run(command, text=True, capture_output=True, timeout=300, check=False)
        assert done.returncode == 0, f"helm {' '.join(arguments)}: {done.stderr}{done.stdout}"
        return done.stdout

    def upgrade(self, *values: str) -> None:
        settings = ["--set", "image.tag=dev", "--set", "simulatedExchange.enabled=true", *(part for value in values for part in ("--set", value))]
        self.helm("upgrade", "--install", RELEASE, str(ROOT / "charts" / "exchange-kernel"), "--create-namespace", *settings, "--wait", "--timeout", "180s")

    @contextmanager
    def broken_operator(self, how: str) -> Iterator[None]:
        """The image's own operator, with a part of it broken by a script that is mounted beside it. The chart's Deployment is back at the end."""
        deployment, script = f"deployment/{RELEASE}", ROOT / "tests" / "broken_operator.py"
        mounted = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "broken"}, "data": {script.name: script.read_text()}}
        self.kubectl("apply", "-f", "-", stdin=json.dumps(mounted))
        operator = {"name": "operator", "command": ["/opt/exchange-kernel/bin/python", f"/broken/{script.name}", how],
                    "volumeMounts": [{"name": "broken", "mountPath": "/broken"}]}
        pod = {"containers": [operator], "volumes": [{"name": "broken", "configMap": {"name": "broken"}}]}
        self.kubectl("patch", deployment, "--type=strategic", "-p", json.dumps({"spec": {"template": {"spec": pod}}}))
        try:
            self.kubectl("rollout", "status", deployment, "--timeout=150s")
            yield
        finally:
            self.kubectl("rollout", "undo", deployment)     # an upgrade of the release would leave what the chart does not name
            self.kubectl("rollout", "status", deployment, "--timeout=150s")

    def control(self, method: str, path: str, body: object = None) -> Any:
        """The exchange's control endpoint, through the API server's proxy."""
        url = f"/api/v1/namespaces/{SYSTEM}/services/exchange-kernel-simulated:control/proxy/control{path}"
        verb = {"GET": "get", "POST": "create", "DELETE": "delete"}[method]
        feed = ("-f", "-") if body is not None else ()
        shown = self.kubectl(verb, f"--raw={url}", *feed, stdin=None if body is None else json.dumps(body))
        return json.loads(shown) if method == "GET" else None

    def orders(self) -> list[dict[str, Any]]:
        """Every order the exchange ever accepted."""
        return list(self.control("GET", "/ledger")["orders"])

    def intent(self, name: str, namespace: str = SYSTEM) -> dict[str, Any]:
        return dict(json.loads(self.kubectl("get", "oi", name, "-o", "json", namespace=namespace)))

    def place(self, name: str, **spec: Any) -> None:
        values = {"accountRef": {"name": "simulated"}, "symbol": "BTC/USDT", "side": "Buy", "type": "Market", "quantity": "0.01", **spec}
        manifest = {"apiVersion": "exchange-kernel.io/v1alpha1", "kind": "OrderIntent", "metadata": {"name": name}, "spec": values}
        self.kubectl("apply", "-f", "-", stdin=json.dumps(manifest))

    def kill_operator(self) -> None:
        """SIGKILL from the node, as the kernel's out-of-memory killer would; the kubelet starts the container again."""
        before = self._restarts()
        node = f"{os.environ.get('EXCHANGE_KERNEL_CLUSTER', 'exchange-kernel')}-control-plane"
        subprocess.run(["docker", "exec", node, "pkill", "-9", "-f", "(exchange-kernel|broken_operator.py [^ ]+) run"], check=True, timeout=60)
        eventually(lambda: self._restarts() > before, within=120, every=0.2, what="the kubelet started the operator again")

    def _restarts(self) -> int:
        pods = json.loads(self.kubectl("get", "pods", "-l", "app.kubernetes.io/component=operator", "-o", "json"))["items"]
        return sum(status["restartCount"] for pod in pods for status in pod["status"].get("containerStatuses", []))

    def await_account(self) -> None:
        self.kubectl("wait", "--for=condition=Ready", "xa/simulated", "--timeout=120s")


@pytest.fixture(scope="session")
def release() -> Release:
    found = Release(environment("TEST_KUBECONFIG"))
    found.upgrade()
    found.kubectl("apply", "-f", str(ROOT / "manifests" / "examples" / "account.yaml"))
    found.await_account()
    return found


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    if outcome.get_result().failed and "release" in item.funcargs:
        collect(item.funcargs["release"])


def collect(release: Release) -> None:
    """What a person would look at first."""
    for title, arguments in (
        ("intents and accounts", ("get", "oi,xa", "-A", "-o", "wide")),
        ("pods", ("get", "pods", "-A", "-o", "wide")),
        ("events", ("get", "events", "--sort-by=.lastTimestamp")),
        ("operator", ("logs", "-l", "app.kubernetes.io/component=operator", "--tail=80")),
        ("operator before", ("logs", "-l", "app.kubernetes.io/component=operator", "--tail=40", "--previous")),
        ("exchange", ("logs", "-l", "app.kubernetes.io/component=simulated-exchange", "--tail=40")),
    ):
        print(f"── {title}\n{release.kubectl(*arguments, check=False)}")
    try:
        print(f"── the exchange's ledger\n{json.dumps(release.orders(), indent=1)}")
    except AssertionError as error:
        print(f"── the exchange's ledger can't be read: {error}")
