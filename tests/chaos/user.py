"""The user: creates, edits, cancels and deletes intents through the Kubernetes API, and keeps notes of what was ever asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import urllib3
from kubernetes import client, config

from tests.cluster.operating import intent

#: Symbol → price grid, quantity grid, a usual quantity.
MARKETS = {
    "BTC/USDT": (Decimal("0.01"), Decimal("0.00001"), Decimal("0.01")),
    "ETH/USDT": (Decimal("0.01"), Decimal("0.0001"), Decimal("0.2")),
    "SOL/USDT": (Decimal("0.01"), Decimal("0.001"), Decimal("4")),
    "LTC/USDT": (Decimal("0.01"), Decimal("0.001"), Decimal("8")),
}
PLACE = ("exchange-kernel.io", "v1alpha1")
NO_ANSWER = (urllib3.exceptions.HTTPError, OSError)


@dataclass
class Note:
    """One object, by its UID."""

    name: str
    uid: str
    symbol: str
    type: str
    largest: Decimal            # the largest quantity that was ever asked for, base units
    deleted: bool = False


class Api:
    """OrderIntents of one namespace. An answer that never came is asked for again until there is one."""

    def __init__(self, kubeconfig: Path, namespace: str) -> None:
        self._objects = client.CustomObjectsApi(config.new_client_from_config(str(kubeconfig)))
        self._namespace = namespace

    def list(self) -> list[dict[str, Any]]:
        return list(self._objects.list_namespaced_custom_object(*PLACE, self._namespace, "orderintents", _request_timeout=30)["items"])

    def get(self, name: str) -> dict[str, Any]:
        return dict(self._objects.get_namespaced_custom_object(*PLACE, self._namespace, "orderintents", name, _request_timeout=5))

    def create(self, body: dict[str, Any]) -> None:
        self._objects.create_namespaced_custom_object(*PLACE, self._namespace, "orderintents", body, _request_timeout=5)

    def patch(self, name: str, spec: dict[str, Any]) -> None:
        self._objects.patch_namespaced_custom_object(*PLACE, self._namespace, "orderintents", name, {"spec": spec}, _request_timeout=5)

    def delete(self, name: str) -> None:
        self._objects.delete_namespaced_custom_object(*PLACE, self._namespace, "orderintents", name, _request_timeout=5)


@dataclass
class User:
    api: Api
    random: Random
    middle: Callable[[str], Decimal]
    notes: list[Note] = field(default_factory=list)
    refused: int = 0            # edits of what had finished meanwhile, say
    unanswered: int = 0
    _pending: dict[str, Any] | None = None

    def act(self) -> None:
        """One creation, and now and then a change to one of the latest."""
        self._create()
        if self.notes and self.random.random() < 0.6:
            self._change(self.random.choice(self.notes[-60:]))

    def _create(self) -> None:
        body = self._pending or self._new()
        self._pending = body
        name = body["metadata"]["name"]
        try:
            self.api.create(body)
        except client.ApiException as error:
            if error.status != 409:         # 409: the creation that was not answered had been carried out
                self.unanswered += 1
                return
        except NO_ANSWER:
            self.unanswered += 1
            return
        try:
            uid = self.api.get(name)["metadata"]["uid"]
        except (client.ApiException, *NO_ANSWER):
            self.unanswered += 1
            return
        spec = body["spec"]
        self.notes.append(Note(name, uid, spec["symbol"], spec["type"], Decimal(spec["quantity"])))
        self._pending = None

    def _new(self) -> dict[str, Any]:
        symbol = self.random.choice(list(MARKETS))
        side = self.random.choice(["Buy", "Sell"])
        spec: dict[str, Any] = {"symbol": symbol, "side": side, "quantity": str(self._quantity(symbol)), "submitDeadlineSeconds": 0}
        if self.random.random() < 0.25:
            spec["type"] = "Market"
        else:
            spec |= {"type": "Limit", "price": str(self._price(symbol, side)), "timeInForce": "IOC" if self.random.random() < 0.1 else "GTC"}
        return intent(f"storm-{len(self.notes):05}", **spec)

    def _quantity(self, symbol: str) -> Decimal:
        _, step, usual = MARKETS[symbol]
        return (usual * self.random.randint(5, 20) / 10).quantize(step)

    def _price(self, symbol: str, side: str) -> Decimal:
        """Near the middle half of the time, where it fills soon; else far enough to rest."""
        tick, _, _ = MARKETS[symbol]
        away = self.random.choice([self.random.uniform(-0.002, 0.002), self.random.uniform(0.005, 0.05)])
        return (self.middle(symbol) * (1 + Decimal(str(round(-away if side == "Buy" else away, 6))))).quantize(tick)

    def _change(self, note: Note) -> None:
        if note.deleted:
            return
        what = self.random.choices(["price", "quantity", "cancel", "delete"], [4, 3, 3, 2])[0]
        if what in ("price", "quantity") and note.type == "Market":
            what = "delete"
        try:
            if what == "delete":
                note.deleted = True         # it may have been carried out, answered or not: the judge asks the API server
                self.api.delete(note.name)
            elif what == "cancel":
                self.api.patch(note.name, {"desiredState": "Canceled"})
            elif what == "price":
                tick, _, _ = MARKETS[note.symbol]
                self.api.patch(note.name, {"price": str((self.middle(note.symbol) * Decimal(str(self.random.choice([0.97, 0.999, 1.001, 1.03])))).quantize(tick))})
            else:
                wanted = self._quantity(note.symbol)
                note.largest = max(note.largest, wanted)        # before it is asked: an unanswered edit counts
                self.api.patch(note.name, {"quantity": str(wanted)})
        except client.ApiException:
            self.refused += 1
        except NO_ANSWER:
            self.unanswered += 1
