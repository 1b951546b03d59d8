"""The operator and its exchange as real processes, and an order's life as a user and the exchange see it."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from exchange_kernel.cli.children import Child
from tests.support import aeventually, answered, condition, eventually

T = TypeVar("T")

API_KEY, API_SECRET = "sim-test-key-3141592653589793", "sim-test-secret-2718281828459045"


class Exchange:
    """A simulated exchange process, and its control endpoint: the ledger is the judge of every test."""

    def __init__(self, dir: Path, *, symbols: str = "BTC/USDT,ETH/USDT", maker: bool = True, name: str = "exchange", seed: int = 11, extra: tuple[str, ...] = ()) -> None:
        arguments = ["simulate", "--port", "0", "--symbols", symbols, "--seed", str(seed), "--balance", "USDT=5000000", "--balance", "BTC=100", "--balance", "ETH=1000", *([] if maker else ["--no-market-maker"]), *extra]
        self._child = Child(name, arguments, dir, environ={"EXCHANGE_KERNEL_SIM_API_KEY": API_KEY, "EXCHANGE_KERNEL_SIM_API_SECRET": API_SECRET})
        self.rest: str = self._child.ready["rest"]
        self.websocket: str = self._child.ready["websocket"]
        self._control: str = self._child.ready["control"]

    def stop(self) -> None:
        self._child.stop()

    def _call(self, method: str, path: str, body: object = None) -> Any:
        request = urllib.request.Request(self._control + path, method=method, data=None if body is None else json.dumps(body).encode(), headers={"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            raw = answer.read()
        return json.loads(raw) if raw else None

    def by_hand(self, method: str, **order: str) -> dict[str, Any]:
        """A request for an order of BTC/USDT with the account's own keys, past all of us."""
        query = urllib.parse.urlencode({"symbol": "BTCUSDT", **order, "timestamp": str(int(time.time() * 1000)), "recvWindow": "10000"})
        signature = hmac.new(API_SECRET.encode(), query.encode(), hashlib.sha256).hexdigest()
        request = urllib.request.Request(f"{self.rest}/api/v3/order?{query}&signature={signature}", method=method, headers={"X-MBX-APIKEY": API_KEY})
        with urllib.request.urlopen(request, timeout=60) as answer:
            return dict(json.loads(answer.read()))

    def ledger(self) -> dict[str, Any]:
        return dict(self._call("GET", "/ledger"))

    def orders(self, client_order_id: str | None = None) -> list[dict[str, Any]]:
        return [order for order in self.ledger()["orders"] if client_order_id in (None, order["clientOrderId"])]

    def requests(self) -> dict[str, int]:
        """How often each method and path was asked."""
        return {path: seen["count"] for path, seen in self._call("GET", "/requests")["requests"].items()}

    def fault(self, **fault: Any) -> None:
        self._call("POST", "/faults", fault)

    def heal(self) -> None:
        self._call("DELETE", "/faults")

    def suffered(self) -> dict[str, int]:
        """How often requests and events met each fault, since the start."""
        return dict(self._call("GET", "/faults")["suffered"])

    def markets(self) -> dict[str, Any]:
        return dict(self._call("GET", "/market")["markets"])

    def shift_clock(self, seconds: float) -> None:
        """The venue's clock, against ours."""
        self._call("POST", "/clock", {"offsetMs": int(seconds * 1000)})

    def change(self, symbol: str, **what: Any) -> None:
        """Another status, filter or listing of a market."""
        self._call("POST", "/market", {"change": {"symbol": symbol, **what}})

    def stop_market(self) -> None:
        self._call("POST", "/market", {"maker": "stop"})

    def start_market(self) -> None:
        self._call("POST", "/market", {"maker": "start"})

    def move(self, symbol: str, price: str) -> None:
        self._call("POST", "/market", {"price": {"symbol": symbol, "price": price}})

    def try_fill(self, client_order_id: str, quantity: str) -> bool:
        """False if the order had ended by then."""
        try:
            self.fill(client_order_id, quantity)
        except urllib.error.HTTPError:
            return False
        return True

    def fill(self, client_order_id: str, quantity: str) -> None:
        self._call("POST", "/market", {"fill": {"clientOrderId": client_order_id, "quantity": quantity}})


@dataclass
class Trading:
    """A namespace with an account in it, seen through kubectl."""

    kubectl: Callable[..., Any]
    namespace: str
    exchange: Exchange

    def run(self, *arguments: str, stdin: str | None = None, check: bool = True) -> str:
        done = self.kubectl("--namespace", self.namespace, *arguments, stdin=stdin, check=False)
        if check:
            assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr}{done.stdout}"
        return str(done.stdout)

    def open_account(self, name: str = "main", **spec: Any) -> None:
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": f"{name}-keys"}, "stringData": {"apiKey": API_KEY, "secret": API_SECRET}}
        account = {
            "apiVersion": "exchange-kernel.io/v1alpha1", "kind": "ExchangeAccount", "metadata": {"name": name},
            "spec": {
                "exchange": "binance", "environment": "Simulated", "marketType": "Spot", "credentialsSecretRef": {"name": f"{name}-keys"},
                "endpoint": {"rest": self.exchange.rest, "websocket": self.exchange.websocket}, **spec,
            },
        }
        self.run("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": [secret, account]}))

    def await_account(self, name: str = "main") -> None:
        self.run("wait", "--for=condition=Ready", f"xa/{name}", "--timeout=60s")

    def await_markets(self, count: int = 2, account: str = "main") -> None:
        """Of this account: another in the namespace has its own."""
        def told() -> bool:
            owners = [one["metadata"]["ownerReferences"][0]["name"] for one in json.loads(self.run("get", "mkt", "-o", "json"))["items"]]
            return owners.count(account) == count

        eventually(told, within=60, what=f"the {count} markets of {account} are told")

    def place(self, name: str, **spec: Any) -> None:
        self.run("apply", "-f", "-", stdin=json.dumps(intent(name, **spec)))

    def patch(self, name: str, **spec: Any) -> None:
        self.run("patch", "oi", name, "--type=merge", "-p", json.dumps({"spec": spec}))

    def get(self, name: str) -> dict[str, Any]:
        return dict(json.loads(self.run("get", "oi", name, "-o", "json")))

    def status(self, name: str) -> dict[str, Any]:
        return dict(self.get(name).get("status") or {})

    def condition(self, name: str, kind: str) -> dict[str, Any]:
        """Empty while it is of an earlier spec."""
        return condition(self.get(name), kind)

    def await_state(self, name: str, *states: str, within: float = 60) -> dict[str, Any]:
        def reached() -> dict[str, Any] | None:
            found = self.get(name)
            status = dict(found.get("status") or {})
            return status if answered(found) and status.get("state") in states else None

        return eventually(reached, within=within, what=f"{name} is {' or '.join(states)}: {self.status(name)}")

    def wait(self, name: str, kind: str, within: int = 60) -> float:
        """kubectl wait; the wall time (s since the epoch) at which it returned."""
        self.run("wait", f"--for=condition={kind}", f"oi/{name}", f"--timeout={within}s")
        return time.time()

    def await_gone(self, name: str, within: float = 60) -> None:
        eventually(lambda: self.kubectl("--namespace", self.namespace, "get", "oi", name, check=False).returncode != 0, within=within, what=f"{name} is gone")


def intent(name: str, **spec: Any) -> dict[str, Any]:
    values = {"accountRef": {"name": "main"}, "symbol": "BTC/USDT", "side": "Buy", "type": "Market", "quantity": "0.01", **spec}
    return {
        "apiVersion": "exchange-kernel.io/v1alpha1", "kind": "OrderIntent", "metadata": {"name": name},
        "spec": {key: value for key, value in values.items() if value is not None},
    }


def operator_arguments(kubeconfig: Path, *namespaces: str, lease_seconds: float = 6.0, extra: tuple[str, ...] = ()) -> list[str]:
    watched = [argument for namespace in namespaces for argument in ("--namespace", namespace)] or ["--all-namespaces"]
    return ["run", *watched, "--kubeconfig", str(kubeconfig), "--lease-namespace", "exchange-kernel-system", "--host", "127.0.0.1", "--port", "0",
            "--lease-seconds", str(lease_seconds), *extra]


def operator_program(broken: str | None = None) -> tuple[str, ...]:
    """What Python runs as the operator: the product's command, or that command with a part broken on purpose."""
    return ("-m", "exchange_kernel.cli.main") if broken is None else (str(Path(__file__).parents[1] / "broken_operator.py"), broken)


def status_writes(audit_log: Path, namespace: str, name: str | None = None, *, resource: str = "orderintents") -> int:
    """How often the status of an OrderIntent, or of another kind's object, was written, by the API server's own audit log."""
    return sum(what in (f"patch {resource}/status", f"update {resource}/status") and name in (None, of) for what, of in writes(audit_log, namespace))


def writes(audit_log: Path, namespace: str) -> list[tuple[str, str]]:
    """Every write of a kind of ours that the API server took, by its own audit log: verb and resource, and the object's name."""
    found = []
    for line in audit_log.read_text().splitlines():
        try:
            event = json.loads(line)
        except json.JSONDecodeError:
            continue                       # the line being written
        ref = event.get("objectRef", {})
        if ref.get("apiGroup") != "exchange-kernel.io" or ref.get("namespace") != namespace or event["verb"] not in ("create", "patch", "update", "delete"):
            continue
        if event["responseStatus"]["code"] in (200, 201):
            found.append((f"{event['verb']} {'/'.join(filter(None, (ref['resource'], ref.get('subresource'))))}", str(ref.get("name"))))
    return found


# What is counted goes on being counted for a moment after it was told: the API server's audit log has a write after the watch has told of it.


async def at_rest(count: Callable[[], T], *, other_than: T | None = None) -> T:
    """Return what `count` reads once it stayed the same for five seconds, and differs from `other_than`."""
    seen: list[T] = []
    await aeventually(lambda: _rests(seen, count, other_than), within=90, every=1.0, what=f"it rests, and is not {other_than}")
    return seen[-1]


def settled(count: Callable[[], T], *, other_than: T | None = None) -> T:
    """`at_rest`, for a test without a loop."""
    seen: list[T] = []
    eventually(lambda: _rests(seen, count, other_than), within=90, every=1.0, what=f"it rests, and is not {other_than}")
    return seen[-1]


def _rests(seen: list[T], count: Callable[[], T], other_than: T | None) -> bool:
    seen.append(count())
    return seen[-1] != other_than and len(seen) > 5 and all(one == seen[-1] for one in seen[-6:])
