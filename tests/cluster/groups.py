"""OrderGroups as a user and the exchange see them. Prices are so far from the market that nothing fills but on cue."""

from __future__ import annotations

import json
from typing import Any

from tests.cluster.operating import Exchange, Trading
from tests.support import condition, eventually

ENTRY = {"name": "entry", "role": "Entry", "symbol": "BTC/USDT", "side": "Buy", "type": "Limit", "quantity": "0.01", "price": "40000"}
TAKE = {"name": "take", "role": "TakeProfit", "symbol": "BTC/USDT", "side": "Sell", "type": "Limit", "quantity": "0.01", "price": "90000"}
STOP = {"name": "stop", "role": "StopLoss", "symbol": "BTC/USDT", "side": "Sell", "type": "StopLimit", "quantity": "0.01", "price": "29900", "triggerPrice": "30000"}
LIVE = ("NEW", "PARTIALLY_FILLED")


def a_leg(name: str, **changes: str) -> dict[str, str]:
    return {"name": name, "symbol": "BTC/USDT", "side": "Buy", "type": "Limit", "quantity": "0.01", "price": "40000", **changes}


class Group:
    """One OrderGroup."""

    def __init__(self, trading: Trading, name: str) -> None:
        self.trading, self.name = trading, name

    @property
    def exchange(self) -> Exchange:
        return self.trading.exchange

    # ── What a user does ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def place(self, mode: str, *members: dict[str, str], **spec: Any) -> Group:
        body = {"accountRef": {"name": "main"}, "mode": mode, "members": list(members), **spec}
        self.trading.run("apply", "-f", "-", stdin=json.dumps(
            {"apiVersion": "exchange-kernel.io/v1alpha1", "kind": "OrderGroup", "metadata": {"name": self.name}, "spec": body}))
        return self

    def oco(self, **spec: Any) -> Group:
        return self.place("OneCancelsOther", TAKE, STOP, **spec)

    def bracket(self, **spec: Any) -> Group:
        """On spot, where two resting exits go only if that is tried."""
        return self.place("Bracket", ENTRY, TAKE, STOP, nativePolicy="Never", **spec)

    def opened(self, **spec: Any) -> Group:
        """A bracket with a position and its exits, and an entry that may still fill."""
        self.bracket(**spec)
        self.await_state("Open", "entry")
        self.fill("entry", "0.004")
        self.await_state("Open", "take", "stop")
        return self

    def patch(self, **spec: Any) -> None:
        self.trading.run("patch", "og", self.name, "--type=merge", "-p", json.dumps({"spec": spec}))

    def delete(self, *options: str) -> None:
        self.trading.run("delete", "og", self.name, *options)

    def wait(self, kind: str, within: int = 60) -> None:
        self.trading.run("wait", f"--for=condition={kind}", f"og/{self.name}", f"--timeout={within}s")

    def fill(self, member: str, quantity: str) -> None:
        self.exchange.fill(self.client_order_id(member), quantity)

    # ── What a user sees ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def get(self) -> dict[str, Any]:
        return dict(json.loads(self.trading.run("get", "og", self.name, "-o", "json")))

    def status(self) -> dict[str, Any]:
        return dict(self.get()["status"])

    def member(self, name: str) -> dict[str, Any]:
        return next((dict(member) for member in self.status().get("members", []) if member["name"] == name), {})

    def condition(self, kind: str) -> tuple[str, str]:
        """Empty while it is of an earlier spec."""
        found = condition(self.get(), kind)
        return found.get("status", ""), found.get("reason", "")

    def intent(self, member: str) -> dict[str, Any]:
        return self.trading.get(f"{self.name}-{member}")

    def client_order_id(self, member: str) -> str:
        return str(self.intent(member)["status"]["clientOrderId"])

    def exists(self, member: str | None = None) -> bool:
        what = ("og", self.name) if member is None else ("oi", f"{self.name}-{member}")
        return self.trading.kubectl("--namespace", self.trading.namespace, "get", *what, check=False).returncode == 0

    def await_state(self, state: str, *members: str, within: float = 60) -> None:
        for member in members:
            eventually(lambda name=member: self.exists(name), within=within, what=f"{self.name}-{member} is made")
            self.trading.await_state(f"{self.name}-{member}", state, within=within)

    def await_condition(self, kind: str, status: str, reason: str, within: float = 60) -> None:
        eventually(lambda: self.condition(kind) == (status, reason), within=within, what=f"{kind}={status}/{reason}: {self.status()}")

    def await_gone(self, within: float = 60) -> None:
        eventually(lambda: not self.exists(), within=within, what=f"{self.name} is gone")

    def events(self) -> list[str]:
        found = json.loads(self.trading.run(
            "get", "events.events.k8s.io", "-o", "json", "--field-selector", f"regarding.kind=OrderGroup,regarding.name={self.name}"))["items"]
        return [event["reason"] for event in sorted(found, key=lambda event: event["eventTime"])]

    # ── What the exchange has ───────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def ids(self) -> dict[str, str]:
        """Each client order id that a member ever had, and whose it is."""
        items = json.loads(self.trading.run("get", "oi", "-l", f"exchange-kernel.io/group={self.name}", "-o", "json"))["items"]
        return {attempt["clientOrderId"]: item["spec"]["groupRef"]["member"] for item in items for attempt in item["status"].get("attempts", [])}

    def ledger(self, ids: dict[str, str] | None = None) -> dict[str, list[tuple[str, str]]]:
        """The state and the filled quantity of each order of each member, in the order in which the exchange accepted them."""
        whose = ids or self.ids()
        orders: dict[str, list[tuple[str, str]]] = {}
        for order in self.exchange.orders():
            if order["clientOrderId"] in whose:
                orders.setdefault(whose[order["clientOrderId"]], []).append((order["status"], f"{float(order['executedQty']):g}"))
        return orders

    def live(self, ids: dict[str, str]) -> set[str]:
        return {member for member, orders in self.ledger(ids).items() if any(status in LIVE for status, _ in orders)}
