"""An API server that answers from what was recorded, and remembers what it was asked; and the plugin's commands run against it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import urllib3
from typer.testing import CliRunner, Result

from exchange_kernel.cli.plugin import command, main
from exchange_kernel.cli.plugin.cluster import Cluster

T0 = "2026-11-24T10:00:00Z"
API = "/apis/exchange-kernel.io/v1alpha1/namespaces/trading"


class Response:
    def __init__(self, status: int, body: object, headers: dict[str, str]) -> None:
        self.status, self.headers = status, headers
        self._raw = (body if isinstance(body, str) else json.dumps(body)).encode()

    def read(self, decode_content: bool = True) -> bytes:
        return self._raw

    def stream(self, size: int, decode_content: bool = True) -> Iterator[bytes]:
        yield self._raw[:7]         # a line may come in pieces
        yield self._raw[7:]

    def __enter__(self) -> Response:
        return self

    def __exit__(self, *error: object) -> None: ...


@dataclass
class Recorded:
    """Answers by path; a list is answered from its objects. What is not there is NotFound."""

    objects: dict[str, dict[str, Any]] = field(default_factory=dict)
    answers: dict[str, tuple[int, object]] = field(default_factory=dict)
    asked: list[tuple[str, str, dict[str, str], Any]] = field(default_factory=list)
    down: bool = False
    date: str | None = None

    def put(self, *documents: dict[str, Any]) -> Recorded:
        for raw in documents:
            plural = {"OrderIntent": "orderintents", "OrderGroup": "ordergroups", "ExchangeAccount": "exchangeaccounts"}[raw["kind"]]
            self.objects[f"{API}/{plural}/{raw['metadata']['name']}"] = raw
        return self

    def request(self, method: str, url: str, *, body: str | None = None, headers: dict[str, str] | None = None, timeout: object = None) -> Response:
        if self.down:
            raise urllib3.exceptions.NewConnectionError(None, "Connection refused")  # type: ignore[arg-type]
        parts = urlsplit(url)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        self.asked.append((method, parts.path, query, json.loads(body) if body else None))
        status, answer = self._answer(method, parts.path)
        return Response(status, answer, {"Date": self.date} if self.date else {})

    def _answer(self, method: str, path: str) -> tuple[int, object]:
        if path in self.answers:
            return self.answers[path]
        if path in self.objects:
            return 200, self.objects[path]
        plural = path.rpartition("/")[2]
        if plural in ("orderintents", "ordergroups", "exchangeaccounts", "events", "pods", "leases"):
            found = [raw for where, raw in self.objects.items() if where.startswith(f"{path}/")]
            return 200, {"items": found, "metadata": {"resourceVersion": "100"}}
        return 404, {"message": f'{path.split("/")[-2]} "{plural}" not found', "reason": "NotFound", "details": {"name": plural}}

    def writes(self) -> list[tuple[str, Any]]:
        return [(path, body) for method, path, _, body in self.asked if method in ("PATCH", "POST", "PUT", "DELETE")]

    def cluster(self, everywhere: bool = False) -> Cluster:
        return Cluster("trading", everywhere, "https://api.example:6443", self.request)


@dataclass
class Shell:
    """`kubectl exchange …` against what was recorded."""

    server: Recorded
    patcher: pytest.MonkeyPatch

    def __call__(self, *arguments: str, stdin: str | None = None) -> Result:
        self.patcher.setattr(command, "connect", lambda **where: self.server.cluster(where["all_namespaces"]))
        return CliRunner().invoke(main.app, list(arguments), input=stdin)


def condition(kind: str, status: str, reason: str = "Because", message: str = "", at: str = "2026-11-24T10:00:02.5Z") -> dict[str, Any]:
    return {"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": at}


def an_order(name: str, *, state: str = "Open", finished: bool = False, spec: dict[str, Any] | None = None, labels: dict[str, str] | None = None, **status: Any) -> dict[str, Any]:
    return {
        "apiVersion": "exchange-kernel.io/v1alpha1", "kind": "OrderIntent",
        "metadata": {"name": name, "namespace": "trading", "uid": f"uid-{name}", "resourceVersion": "7", "generation": 1, "creationTimestamp": T0, "labels": labels or {}},
        "spec": {"accountRef": {"name": "main"}, "symbol": "BTC/USDT", "side": "Buy", "type": "Limit", "quantity": "0.5", "price": "42000", **(spec or {})},
        "status": {"state": state, "observedGeneration": 1, "clientOrderId": f"id-{name}", "conditions": [], **({"completionTime": "2026-11-24T10:00:09Z"} if finished else {}), **status},
    }


def a_member(name: str, group: str, member: str, **changes: Any) -> dict[str, Any]:
    return an_order(name, **{**changes, "spec": {"groupRef": {"name": group, "uid": f"uid-{group}", "member": member}, **changes.get("spec", {})}})


def a_group(name: str, *members: dict[str, Any], mode: str = "Bracket", finished: bool = False, labels: dict[str, str] | None = None, **status: Any) -> dict[str, Any]:
    return {
        "apiVersion": "exchange-kernel.io/v1alpha1", "kind": "OrderGroup",
        "metadata": {"name": name, "namespace": "trading", "uid": f"uid-{name}", "resourceVersion": "8", "generation": 1, "creationTimestamp": T0, "labels": labels or {}},
        "spec": {"accountRef": {"name": "main"}, "mode": mode, "members": list(members)},
        "status": {"observedGeneration": 1, "conditions": [], "members": [], **({"completionTime": "2026-11-24T10:00:09Z"} if finished else {}), **status},
    }


def leg(name: str, role: str = "Leg", symbol: str = "BTC/USDT", **terms: Any) -> dict[str, Any]:
    side = "Buy" if role == "Entry" else "Sell"
    kind = {"type": "StopMarket", "triggerPrice": "40000"} if role == "StopLoss" else {"type": "Limit", "price": "42000"}
    return {"name": name, "role": role, "symbol": symbol, "side": side, "quantity": "0.5", **kind, **terms}


def an_account(name: str = "main", **status: Any) -> dict[str, Any]:
    ready = [condition(kind, "True", "Ok") for kind in ("Ready", "Connected", "CredentialsValid", "ClockSynced", "Synced")]
    return {
        "apiVersion": "exchange-kernel.io/v1alpha1", "kind": "ExchangeAccount",
        "metadata": {"name": name, "namespace": "trading", "uid": f"uid-{name}", "resourceVersion": "9", "generation": 1, "creationTimestamp": T0},
        "spec": {"exchange": "binance", "environment": "Live", "credentialsSecretRef": {"name": "keys"}},
        "status": {"observedGeneration": 1, "tradingMode": "Enabled", "holder": "operator-0", "conditions": ready, **status},
    }
