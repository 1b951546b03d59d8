"""An API server, the simulated exchange and the operator, each a process of its own, as they run in production."""

from __future__ import annotations

import json
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from exchange_kernel.cli.children import Child
from exchange_kernel.cli.controlplane import ControlPlane, Kubectl

ROOT = Path(__file__).parents[1]
OPERATOR_USER = "system:serviceaccount:exchange-kernel-system:exchange-kernel"
NAMESPACE = "bench"
EXCHANGE = ["simulate", "--no-market-maker", "--weight-limit", "1000000000", "--tick-ms", "60000"]


@dataclass(frozen=True, slots=True)
class Operated:
    kubectl: Kubectl
    exchange: dict[str, Any]        # its addresses
    plane: ControlPlane

    def run(self, *arguments: str, stdin: str | None = None) -> str:
        return str(self.kubectl("--namespace", NAMESPACE, *arguments, stdin=stdin, check=True).stdout)

    def apply(self, *documents: dict[str, Any]) -> None:
        self.run("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": documents}))

    def control(self, path: str, body: object = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(urllib.request.Request(self.exchange["control"] + path, data=data), timeout=30) as answer:
            return json.load(answer)


@contextmanager
def operated() -> Iterator[Operated]:
    """With an account named simulated, that is ready."""
    with ExitStack() as stack:
        dir = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        plane = stack.enter_context(ControlPlane.start(dir / "cluster", fsync=False))
        plane.kubectl("apply", "--server-side", "-k", str(ROOT / "manifests"), check=True)
        plane.kubectl("create", "namespace", NAMESPACE, check=True)
        exchange = stack.enter_context(Child("exchange", EXCHANGE, dir))
        config = plane.kubeconfig_for(OPERATOR_USER, ["system:serviceaccounts"], dir / "operator.kubeconfig")
        stack.enter_context(Child("operator", [
            "run", "--namespace", NAMESPACE, "--kubeconfig", str(config), "--lease-namespace", "exchange-kernel-system",
            "--host", "127.0.0.1", "--port", "0"], dir))
        ready = exchange.ready
        account = (ROOT / "manifests" / "examples" / "account.yaml").read_text()
        account = account.replace("http://exchange-kernel-simulated:8080", ready["rest"]).replace("ws://exchange-kernel-simulated:8080", ready["websocket"])
        desk = Operated(plane.kubectl, ready, plane)
        desk.run("apply", "-f", "-", stdin=account)
        desk.run("wait", "--for=condition=Ready", "xa/simulated", "--timeout=60s")
        yield desk
