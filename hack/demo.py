"""`make demo`: from nothing to a story of some orders, told by kubectl and checked against the exchange's own ledger. Exits 0 only if they agree."""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path
from typing import Any

from rich.console import Console

from exchange_kernel.api import KINDS
from exchange_kernel.cli.children import Child, ChildError
from exchange_kernel.cli.controlplane import ControlPlane, ControlPlaneError, Kubectl, Progress

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "manifests" / "examples"
NAMESPACE = "demo"
GIVE_UP_S = 180.0  # on one kubectl: longer than any --timeout below, whose words say more
console = Console(highlight=False, width=160)


class DemoFailed(Exception):
    """The story did not go as it must."""


def say(text: str) -> None:
    console.print(f"\n[bold]▌ {text}[/bold]")


class Story:
    """kubectl as a person would type it, and the exchange's own word."""

    def __init__(self, kubectl: Kubectl, control: str) -> None:
        self._kubectl, self._control = kubectl, control

    def kubectl(self, *arguments: str, check: bool = True, show: bool = True, stdin: str | None = None) -> str:
        if show:
            console.print(f"[dim]$ kubectl {' '.join(arguments)}[/dim]", soft_wrap=True)
        done = self._kubectl("--namespace", NAMESPACE, *arguments, stdin=stdin, timeout=GIVE_UP_S)
        output = (done.stdout + done.stderr).rstrip()
        if show and output:
            console.print(output, soft_wrap=True, markup=False)
        if check and done.returncode != 0:
            raise DemoFailed(f"kubectl {' '.join(arguments)} failed: {output}")
        return output

    def refused(self, *arguments: str) -> None:
        console.print(f"[dim]$ kubectl {' '.join(arguments)}[/dim]", soft_wrap=True)
        done = self._kubectl("--namespace", NAMESPACE, *arguments)
        console.print(done.stderr.rstrip(), soft_wrap=True, markup=False)
        if done.returncode == 0:
            raise DemoFailed("a bad manifest was accepted")

    def intents(self) -> list[dict[str, Any]]:
        return list(json.loads(self._kubectl("--namespace", NAMESPACE, "get", "oi", "-o", "json", check=True).stdout)["items"])

    def ledger(self) -> list[dict[str, Any]]:
        with urllib.request.urlopen(f"{self._control}/ledger", timeout=10) as answer:
            return list(json.load(answer)["orders"])

    def fill(self, name: str, quantity: str) -> None:
        """Have the exchange fill so much of an intent's order, on cue."""
        intent = next(intent for intent in self.intents() if intent["metadata"]["name"] == name)
        cue = {"fill": {"clientOrderId": intent["status"]["clientOrderId"], "quantity": quantity}}
        console.print(f"[dim]… the exchange fills {quantity} of {name}[/dim]")
        urllib.request.urlopen(f"{self._control}/market", data=json.dumps(cue).encode(), timeout=10).close()

    def until(self, what: str, check: Callable[[], bool], within: float = 60.0) -> None:
        deadline = time.monotonic() + within
        while not check():
            if time.monotonic() > deadline:
                raise DemoFailed(f"not within {within:.0f} s: {what}")
            time.sleep(0.1)


def install(kubectl: Kubectl) -> None:
    kubectl("apply", "--server-side", "-k", str(ROOT / "manifests"), check=True)
    kubectl(
        "wait", "--for=condition=Established", "--timeout=30s", *(f"crd/{kind.resource.crd_name}" for kind in KINDS), check=True
    )


def account_manifest(exchange: str) -> str:
    """The example account, pointed at the exchange that runs here."""
    text = (EXAMPLES / "account.yaml").read_text()
    return text.replace("http://exchange-kernel-simulated:8080", exchange).replace("ws://exchange-kernel-simulated:8080", exchange.replace("http", "ws"))


def tell(story: Story, exchange: str) -> None:
    say("An account: where its exchange is, and which Secret holds its keys")
    story.kubectl("apply", "-f", "-", stdin=account_manifest(exchange))
    story.kubectl("wait", "--for=condition=Ready", "xa/simulated", "--timeout=60s")
    story.kubectl("get", "xa", "-o", "wide")

    say("A market order: the exchange fills it, and status says how")
    story.kubectl("apply", "-f", str(EXAMPLES / "market-order.yaml"))
    story.kubectl("wait", "--for=condition=Succeeded", "oi/market-order", "--timeout=30s")
    story.kubectl("get", "oi")

    say("A limit order far from the market rests in the book")
    story.kubectl("apply", "-f", str(EXAMPLES / "limit-order.yaml"))
    story.kubectl("wait", "--for=condition=Ready", "oi/limit-order", "--timeout=30s")

    say("Its price is changed: the old order is cancelled, proved final, and the rest is sent at the new price")
    story.kubectl("patch", "oi", "limit-order", "--type=merge", "-p", '{"spec":{"price":"41000"}}')
    # A condition carries the generation it is about, and `kubectl wait` takes none of an earlier one: no answer to the old price ends this wait.
    story.kubectl("wait", "--for=condition=Ready", "oi/limit-order", "--timeout=30s")
    if not any(order["status"] == "NEW" and Decimal(order["price"]) == 41000 for order in story.ledger()):
        raise DemoFailed("the intent is Ready and the exchange has no order at 41000")
    story.kubectl("get", "oi", "limit-order", "-o", "wide")

    say("It is cancelled, declaratively")
    story.kubectl("patch", "oi", "limit-order", "--type=merge", "-p", '{"spec":{"desiredState":"Canceled"}}')
    story.kubectl("wait", "--for=condition=Finished", "oi/limit-order", "--timeout=30s")

    say("A deleted intent is cancelled at the exchange before it disappears")
    story.kubectl("apply", "-f", str(EXAMPLES / "deleted-order.yaml"))
    story.kubectl("wait", "--for=condition=Ready", "oi/deleted-order", "--timeout=30s")
    story.kubectl("delete", "oi", "deleted-order", "--timeout=30s")
    if any(order["status"] in ("NEW", "PARTIALLY_FILLED") for order in story.ledger()):
        raise DemoFailed("the intent is gone and its order lives on")

    bracket(story)

    say("A bad one is refused with a sentence, before anything is sent")
    story.refused("apply", "-f", str(EXAMPLES / "refused" / "01-limit-without-price.yaml"))


def bracket(story: Story) -> None:
    say("A bracket: an entry, and once it fills a stop and a take-profit for what arrived, of which one cancels the other")
    story.kubectl("apply", "-f", str(EXAMPLES / "bracket.yaml"))
    story.until("the entry works", lambda: _open(story, "bracket-entry"))
    story.fill("bracket-entry", "0.004")
    story.until("exits for what filled", lambda: _open(story, "bracket-stop", "bracket-take", quantity="0.00399"))
    story.kubectl("get", "og,oi")
    story.fill("bracket-entry", "0.006")
    story.until("exits for all of it", lambda: _open(story, "bracket-stop", "bracket-take", quantity="0.00999"))
    story.fill("bracket-take", "0.00999")
    story.kubectl("wait", "--for=condition=Succeeded", "og/bracket", "--timeout=30s")
    story.kubectl("get", "og,oi")


def _open(story: Story, *names: str, quantity: str = "0.01") -> bool:
    """Whether these work at the exchange, each as large as spec says."""
    found = {intent["metadata"]["name"]: intent for intent in story.intents()}
    return all(name in found and found[name]["spec"]["quantity"] == quantity and _works(found[name]) for name in names)


def _works(intent: dict[str, Any]) -> bool:
    """Whether the exchange has it as this spec says: a Ready that is about an earlier spec is no answer yet."""
    status, generation = intent["status"], intent["metadata"]["generation"]
    return status["state"] == "Open" and any(
        one["type"] == "Ready" and one["status"] == "True" and one["observedGeneration"] >= generation for one in status.get("conditions", [])
    )


def compare(story: Story) -> None:
    say("What Kubernetes says …")
    story.kubectl("get", "oi", "-o", "wide")
    say("… and what the exchange says")
    ledger = story.ledger()
    for order in ledger:
        console.print(
            f"{order['orderId']:>6}  {order['symbol']:9} {order['side']:4} {order['type']:9} {order['status']:16} "
            f"qty {order['origQty']:>12} filled {order['executedQty']:>12}  {order['clientOrderId']}"
        )
    by_id = {order["clientOrderId"]: order for order in ledger}
    problems = []
    for intent in story.intents():
        name, status = intent["metadata"]["name"], intent["status"]
        for attempt in status.get("attempts", []):
            order = by_id.pop(attempt["clientOrderId"], None)
            if order is None:
                problems.append(f"{name}: the exchange has no order {attempt['clientOrderId']}")
            elif Decimal(order["executedQty"]) != Decimal(attempt["filledQuantity"]):
                problems.append(f"{name}: filled {attempt['filledQuantity']} here, {order['executedQty']} there")
            elif {"NEW": "Live", "PARTIALLY_FILLED": "Live"}.get(order["status"], "Ended") != attempt["stage"]:
                problems.append(f"{name}: {attempt['stage']} here, {order['status']} there")
    problems += [
        f"the exchange has a live order that no intent explains: {order['clientOrderId']}"
        for order in by_id.values()
        if order["status"] in ("NEW", "PARTIALLY_FILLED")
    ]
    if problems:
        raise DemoFailed("\n".join(problems))
    console.print(f"\n[bold green]They agree:[/bold green] {len(ledger)} orders at the exchange, each one accounted for.")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", action="store_true", help="leave everything running until Ctrl-C")
    keep = parser.parse_args().keep
    work = Path(tempfile.mkdtemp(prefix="exchange-kernel-demo-"))
    try:
        with ExitStack() as stack:
            stack.callback(shutil.rmtree, work, ignore_errors=True)
            say("A real Kubernetes control plane: etcd, kube-apiserver, kube-controller-manager")
            plane = stack.enter_context(ControlPlane.start(work / "cluster", progress=Progress()))
            install(plane.kubectl)
            say("An exchange to trade on, and the operator")
            exchange = stack.enter_context(Child("exchange", ["simulate", "--port", "0", "--symbols", "BTC/USDT,ETH/USDT", "--seed", "7"], work))
            plane.kubectl("create", "namespace", NAMESPACE, check=True)
            operator = stack.enter_context(
                Child(
                    "operator",
                    [
                        "run",
                        "--all-namespaces",
                        "--require-resolve-stamp",
                        "--kubeconfig",
                        str(
                            plane.kubeconfig_for(
                                "system:serviceaccount:exchange-kernel-system:exchange-kernel", ["system:serviceaccounts"], work / "operator.kubeconfig"
                            )
                        ),
                        "--lease-namespace",
                        "exchange-kernel-system",
                        "--host",
                        "127.0.0.1",
                        "--port",
                        "0",
                    ],
                    work,
                )
            )
            console.print(f"control plane {plane.url} · exchange {exchange.ready['rest']} · operator http://127.0.0.1:{operator.ready['port']}/metrics")
            story = Story(plane.kubectl, exchange.ready["control"])
            try:
                tell(story, exchange.ready["rest"])
                compare(story)
            except DemoFailed:
                console.print(f"\nthe operator's last words:\n{operator.log_tail()}", markup=False)
                raise
            if keep:
                say("It is all yours, until Ctrl-C")
                console.print(
                    f"  {plane.kubectl} --kubeconfig {plane.kubeconfig} -n {NAMESPACE} get oi\n"
                    f"  curl -s {exchange.ready['control']}/ledger\n  logs: {operator.log}",
                    soft_wrap=True,
                )
                signal.sigwait({signal.SIGINT, signal.SIGTERM})
    except (DemoFailed, ControlPlaneError, ChildError) as error:
        console.print(f"\n[bold red]The demo failed:[/bold red] {error}", markup=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
