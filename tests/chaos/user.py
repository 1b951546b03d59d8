"""The user: creates, edits, cancels and deletes intents and groups through the Kubernetes API, and keeps notes of what was ever asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any, TypeVar

import urllib3
from kubernetes import client, config

from tests.chaos.group_user import GroupMaker, GroupNote
from tests.cluster.operating import intent

#: Symbol → price grid, quantity grid, a usual quantity.
MARKETS = {
    "BTC/USDT": (Decimal("0.01"), Decimal("0.00001"), Decimal("0.01")),
    "ETH/USDT": (Decimal("0.01"), Decimal("0.0001"), Decimal("0.2")),
    "SOL/USDT": (Decimal("0.01"), Decimal("0.001"), Decimal("4")),
    "LTC/USDT": (Decimal("0.01"), Decimal("0.001"), Decimal("8")),
}
PLACE = ("exchange-kernel.io", "v1alpha1")
INTENT, GROUP = "OrderIntent", "OrderGroup"
KINDS = {INTENT: "orderintents", GROUP: "ordergroups"}
GROUPS = 1 / 8              # of what is created
AnyNote = TypeVar("AnyNote")
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


@dataclass
class Notes:
    """All that there is or was."""

    intents: list[Note] = field(default_factory=list)
    groups: list[GroupNote] = field(default_factory=list)


class Api:
    """OrderIntents and OrderGroups of one namespace. An answer that never came is asked for again until there is one."""

    def __init__(self, kubeconfig: Path, namespace: str) -> None:
        self._objects = client.CustomObjectsApi(config.new_client_from_config(str(kubeconfig)))
        self._namespace = namespace

    def list(self) -> list[dict[str, Any]]:
        return [one for plural in KINDS.values() for one in self._objects.list_namespaced_custom_object(*PLACE, self._namespace, plural, _request_timeout=30)["items"]]

    def get(self, kind: str, name: str) -> dict[str, Any]:
        return dict(self._objects.get_namespaced_custom_object(*PLACE, self._namespace, KINDS[kind], name, _request_timeout=5))

    def create(self, body: dict[str, Any]) -> None:
        self._objects.create_namespaced_custom_object(*PLACE, self._namespace, KINDS[body["kind"]], body, _request_timeout=5)

    def patch(self, kind: str, name: str, spec: dict[str, Any]) -> None:
        self._objects.patch_namespaced_custom_object(*PLACE, self._namespace, KINDS[kind], name, {"spec": spec}, _request_timeout=5)

    def delete(self, kind: str, name: str) -> None:
        self._objects.delete_namespaced_custom_object(*PLACE, self._namespace, KINDS[kind], name, _request_timeout=5)


@dataclass
class User:
    api: Api
    random: Random
    middle: Callable[[str], Decimal]
    notes: Notes = field(default_factory=Notes)
    refused: int = 0            # edits of what had finished meanwhile, say
    unanswered: int = 0
    _pending: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        self._groups = GroupMaker(self.random, self.middle, self._quantity, {symbol: tick for symbol, (tick, _, _) in MARKETS.items()})

    def act(self) -> None:
        """One creation, and now and then a change to one of the latest."""
        self._create()
        if self.notes.intents and self.random.random() < 0.6:
            self._asked(self._change, self.random.choice(self.notes.intents[-60:]))
        if self.notes.groups and self.random.random() < 0.15:
            self._asked(self._change_group, self.random.choice(self.notes.groups[-15:]))

    def _create(self) -> None:
        body = self._pending or (self._groups.new(f"group-{len(self.notes.groups):05}") if self.random.random() < GROUPS else self._new())
        self._pending = body
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
            uid = self.api.get(body["kind"], body["metadata"]["name"])["metadata"]["uid"]
        except (client.ApiException, *NO_ANSWER):
            self.unanswered += 1
            return
        self._pending = None
        if body["kind"] == GROUP:
            self.notes.groups.append(GroupNote(body, uid))
        else:
            spec = body["spec"]
            self.notes.intents.append(Note(body["metadata"]["name"], uid, spec["symbol"], spec["type"], Decimal(spec["quantity"])))

    def _new(self) -> dict[str, Any]:
        symbol = self.random.choice(list(MARKETS))
        side = self.random.choice(["Buy", "Sell"])
        spec: dict[str, Any] = {"symbol": symbol, "side": side, "quantity": str(self._quantity(symbol)), "submitDeadlineSeconds": 0}
        if self.random.random() < 0.25:
            spec["type"] = "Market"
        else:
            spec |= {"type": "Limit", "price": str(self._price(symbol, side)), "timeInForce": "IOC" if self.random.random() < 0.1 else "GTC"}
        return intent(f"storm-{len(self.notes.intents):05}", **spec)

    def _quantity(self, symbol: str) -> Decimal:
        _, step, usual = MARKETS[symbol]
        return (usual * self.random.randint(5, 20) / 10).quantize(step)

    def _price(self, symbol: str, side: str) -> Decimal:
        """Near the middle half of the time, where it fills soon; else far enough to rest."""
        tick, _, _ = MARKETS[symbol]
        away = self.random.choice([self.random.uniform(-0.002, 0.002), self.random.uniform(0.005, 0.05)])
        return (self.middle(symbol) * (1 + Decimal(str(round(-away if side == "Buy" else away, 6))))).quantize(tick)

    def _asked(self, change: Callable[[AnyNote], None], note: AnyNote) -> None:
        try:
            change(note)
        except client.ApiException:
            self.refused += 1
        except NO_ANSWER:
            self.unanswered += 1

    def _change(self, note: Note) -> None:
        if note.deleted:
            return
        what = self.random.choices(["price", "quantity", "cancel", "delete"], [4, 3, 3, 2])[0]
        if what in ("price", "quantity") and note.type == "Market":
            what = "delete"
        if what == "delete":
            note.deleted = True         # it may have been carried out, answered or not: the judge asks the API server
            self.api.delete(INTENT, note.name)
        elif what == "cancel":
            self.api.patch(INTENT, note.name, {"desiredState": "Canceled"})
        elif what == "price":
            tick, _, _ = MARKETS[note.symbol]
            self.api.patch(INTENT, note.name, {"price": str((self.middle(note.symbol) * Decimal(str(self.random.choice([0.97, 0.999, 1.001, 1.03])))).quantize(tick))})
        else:
            wanted = self._quantity(note.symbol)
            note.largest = max(note.largest, wanted)        # before it is asked: an unanswered edit counts
            self.api.patch(INTENT, note.name, {"quantity": str(wanted)})

    def _change_group(self, note: GroupNote) -> None:
        """Of a group that was deleted, what it left may be deleted too."""
        what = self.random.choices(["price", "cancel", "delete", "cancel a member", "delete a member"], [5, 2, 3, 1, 2])[0] if not note.deleted else "delete a member"
        member = self.random.choice(list(note.members))
        if what == "price":
            note.body = self._groups.edited(note.body)
            self.api.patch(GROUP, note.name, {"members": note.body["spec"]["members"]})
        elif what == "cancel":
            self.api.patch(GROUP, note.name, {"desiredState": "Canceled"})
        elif what == "delete":
            note.deleted = True
            self.api.delete(GROUP, note.name)
        elif what == "cancel a member":
            note.canceled.add(member)
            self.api.patch(INTENT, f"{note.name}-{member}", {"desiredState": "Canceled"})
        else:
            note.removed.add(member)
            self.api.delete(INTENT, f"{note.name}-{member}")
