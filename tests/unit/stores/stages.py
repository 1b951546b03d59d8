"""What the contract of the stores is played on: the product's, over an API server in memory, and the double that stands for it in tests of the reconcilers.

Both have a watch that tells `lag_s` after a change, unless it is away, and answers that come `answers_s` after what was asked for is done.
"""

from __future__ import annotations

import asyncio
import copy
from collections import deque
from datetime import UTC, datetime
from typing import Any

from exchange_kernel.api import OrderGroupStatus, OrderIntentStatus
from exchange_kernel.kube.client import ORDER_GROUPS, ORDER_INTENTS, Answer, Body, Resource
from exchange_kernel.stores.kubernetes import ORDER_FINALIZER, KubernetesIntentStore
from exchange_kernel.stores.kubernetes_groups import GROUP_FINALIZER, KubernetesGroupStore
from exchange_kernel.stores.memory import MemoryGroupStore, MemoryIntentStore
from tests.builders import a_spec
from tests.processes import Process, StoreView
from tests.scripted import Desk, LoopClock, OneAccount, ScriptedExchange, an_account_record
from tests.unit.groups.desk import an_oco

KINDS = ("intents", "groups")
FINALIZERS = {"intents": ORDER_FINALIZER, "groups": GROUP_FINALIZER}


class FakeApi:
    """One kind's objects on an API server: versions, preconditions, finalizers and merge patches as it has them."""

    def __init__(self, resource: Resource) -> None:
        self._unwritten = OrderIntentStatus().document() if resource is ORDER_INTENTS else OrderGroupStatus().document()
        self._version = 100
        self.objects: dict[tuple[str, str], Body] = {}      # by namespace and name
        self.lag_s, self.answers_s, self.away = 0.01, 0.0, False
        self.next_answers: deque[float] = deque()           # in place of `answers_s`, for the next requests
        self.refusals: deque[Answer] = deque()              # answers to the next requests, which are not carried out
        self.store: Any = None
        self.woken: list[str] = []
        self.wake = self.woken.append
        self.calls: list[str] = []

    # ── What happens there ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def put(self, raw: Body, kind: str) -> Body:
        self._version += 1
        raw["metadata"]["resourceVersion"] = str(self._version)
        key = raw["metadata"]["namespace"], raw["metadata"]["name"]
        if kind == "DELETED" or ("deletionTimestamp" in raw["metadata"] and not raw["metadata"].get("finalizers")):
            kind = "DELETED"
            self.objects.pop(key, None)
        else:
            self.objects[key] = raw
        self._tell(kind, raw)
        return raw

    def make(self, body: Body, uid: str) -> Body:
        raw = copy.deepcopy(body)
        raw["metadata"] |= {"uid": uid, "generation": 1, "creationTimestamp": datetime.fromtimestamp(LoopClock().wall_ms() / 1000, UTC).isoformat()}
        raw.setdefault("status", copy.deepcopy(self._unwritten))
        return self.put(raw, "ADDED")

    def change(self, name: str, patch: Body, namespace: str = "default") -> Body:
        raw = _merged(copy.deepcopy(self.objects[namespace, name]), patch)
        raw["metadata"]["generation"] += "spec" in patch
        return self.put(raw, "MODIFIED")

    def _tell(self, kind: str, raw: Body) -> None:
        if not self.away:
            asyncio.get_running_loop().call_later(self.lag_s, self._deliver, kind, copy.deepcopy(raw))

    def _deliver(self, kind: str, raw: Body) -> None:
        if (uid := self.store.observe(kind, raw)) is not None:
            self.wake(uid)

    # ── What is asked of it ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _answer(self, verb: str, path: str, answer: Answer) -> Answer:
        self.calls.append(f"{verb} {path.rsplit('/', 1)[-1]}")
        answer = Answer(answer.status, copy.deepcopy(answer.body))
        await asyncio.sleep(self.next_answers.popleft() if self.next_answers else self.answers_s)
        return answer

    def _at(self, path: str) -> tuple[str, str]:
        parts = path.split("/")
        place = parts.index("namespaces")
        return parts[place + 1], parts[place + 3] if len(parts) > place + 3 else ""

    async def get(self, path: str, **query: str) -> Answer:
        namespace, name = self._at(path)
        if self.refusals:
            return await self._answer("GET", path, self.refusals.popleft())
        if name:
            found = self.objects.get((namespace, name))
            return await self._answer("GET", path, Answer(200, found) if found is not None else Answer(404, {"reason": "NotFound"}))
        items = [raw for (there, _), raw in self.objects.items() if there == namespace]
        return await self._answer("LIST", path, Answer(200, {"metadata": {"resourceVersion": str(self._version)}, "items": items}))

    async def create(self, path: str, body: Body) -> Answer:
        name = body["metadata"]["name"]
        if (self._at(path)[0], name) in self.objects:
            return await self._answer("POST", path, Answer(409, {"reason": "AlreadyExists"}))
        return await self._answer("POST", path, Answer(201, self.make(body, f"uid-{self._version}")))

    async def replace(self, path: str, body: Body) -> Answer:
        there = self.objects.get(self._at(path), {"status": {}})["status"]
        metadata, left_out = {"resourceVersion": body["metadata"]["resourceVersion"]}, dict.fromkeys(there.keys() - body["status"].keys())
        return await self._write("PUT", path, {"metadata": metadata, "status": {**left_out, **body["status"]}})

    async def patch(self, path: str, body: Body) -> Answer:
        return await self._write("PATCH", path, body)

    async def _write(self, verb: str, path: str, patch: Body) -> Answer:
        namespace, name = self._at(path)
        if self.refusals:
            return await self._answer(verb, path, self.refusals.popleft())
        found = self.objects.get((namespace, name))
        if found is None:
            return await self._answer(verb, path, Answer(404, {"reason": "NotFound"}))
        if patch["metadata"]["resourceVersion"] != found["metadata"]["resourceVersion"]:
            return await self._answer(verb, path, Answer(409, {"reason": "Conflict"}))
        return await self._answer(verb, path, Answer(200, self.change(name, patch, namespace)))

    async def delete(self, path: str, body: Body) -> Answer:
        found = self.objects.get(self._at(path))
        if found is None:
            return await self._answer("DELETE", path, Answer(404, {"reason": "NotFound"}))
        if body["preconditions"]["resourceVersion"] != found["metadata"]["resourceVersion"]:
            return await self._answer("DELETE", path, Answer(409, {"reason": "Conflict"}))
        if found["metadata"].get("finalizers"):
            return await self._answer("DELETE", path, Answer(200, self.mark_deleted(found["metadata"]["name"])))
        self.put(copy.deepcopy(found), "DELETED")
        return await self._answer("DELETE", path, Answer(200, {"kind": "Status", "status": "Success"}))

    def mark_deleted(self, name: str) -> Body:
        return self.change(name, {"metadata": {"deletionTimestamp": "2026-01-31T12:05:00Z"}})


def _merged(raw: Body, patch: Body) -> Body:
    for key, value in patch.items():
        if isinstance(value, dict):
            raw[key] = _merged(raw.get(key) or {}, value)
        elif value is None:
            raw.pop(key, None)
        else:
            raw[key] = value
    return raw


class _Stage:
    """One store, what it told, and what others do to its objects."""

    store: Any

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.gone: list[Any] = []        # the last records it told of

    @property
    def a_status(self) -> OrderIntentStatus | OrderGroupStatus:
        return (OrderIntentStatus if self.kind == "intents" else OrderGroupStatus)(observed_generation=1)

    def a_spec(self, **changes: Any) -> Any:
        return a_spec(**changes) if self.kind == "intents" else an_oco(**changes)

    def cancelled(self, uid: str) -> bool:
        return self.store.get(uid).spec.desired_state == "Canceled"

    def known(self) -> set[str]:
        return {record.uid for record in self.store.of_account("default", "main")}


class ProductStage(_Stage):
    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.api = FakeApi(ORDER_INTENTS if kind == "intents" else ORDER_GROUPS)
        if kind == "intents":
            self.store = KubernetesIntentStore(self.api, lambda reason: None, changed=self.api.woken.append, gone=self.gone.append)
        else:
            self.store = KubernetesGroupStore(self.api, changed=self.api.woken.append)
        self.api.store = self.store

    @property
    def woken(self) -> list[str]:
        return self.api.woken

    def times(self, *, lag_s: float | None = None, answers_s: float | None = None, away: bool | None = None) -> None:
        self.api.lag_s = self.api.lag_s if lag_s is None else lag_s
        self.api.answers_s = self.api.answers_s if answers_s is None else answers_s
        self.api.away = self.api.away if away is None else away

    def create(self, uid: str, name: str | None = None, **spec: Any) -> None:
        metadata = {"name": name or uid, "namespace": "default", "finalizers": [FINALIZERS[self.kind]]}
        self.api.make({"metadata": metadata, "spec": self.a_spec(**spec).document()}, uid)

    def _name(self, uid: str) -> str:
        return next(name for (_, name), raw in self.api.objects.items() if raw["metadata"]["uid"] == uid)

    def cancel(self, uid: str) -> None:
        self.api.change(self._name(uid), {"spec": {"desiredState": "Canceled"}})

    def suspend(self, uid: str) -> None:
        self.api.change(self._name(uid), {"spec": {"suspend": True}})

    def delete(self, uid: str) -> None:
        """As a person asks for it."""
        self.api.mark_deleted(self._name(uid))

    def force_delete(self, uid: str) -> None:
        self.api.put(copy.deepcopy(self.api.objects["default", self._name(uid)]), "DELETED")

    def there(self, uid: str) -> bool:
        return any(raw["metadata"]["uid"] == uid for raw in self.api.objects.values())

    def named(self, name: str) -> str:
        return self.api.objects["default", name]["metadata"]["uid"]


class DoubleStage(_Stage):
    """The view that a replica in `tests/processes.py` has of the store."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.away, self.woken = False, []
        self.truth: Any = (MemoryIntentStore if kind == "intents" else MemoryGroupStore)(self._changed, LoopClock().wall_ms)
        self.store = StoreView(self.truth, Process("one"), self.woken.append, self.gone.append)
        self.store.lag_s = 0.01

    def _changed(self, uid: str) -> None:
        if not self.away:
            self.store.tell(uid)

    def times(self, *, lag_s: float | None = None, answers_s: float | None = None, away: bool | None = None) -> None:
        self.store.lag_s = self.store.lag_s if lag_s is None else lag_s
        self.store.answers_s = self.store.answers_s if answers_s is None else answers_s
        self.away = self.away if away is None else away

    def create(self, uid: str, name: str | None = None, **spec: Any) -> None:
        self.truth.create(uid, self.a_spec(**spec), name=name, finalizer=True)

    def cancel(self, uid: str) -> None:
        self.truth.edit(uid, self.truth.get(uid).spec.model_copy(update={"desired_state": "Canceled"}))

    def suspend(self, uid: str) -> None:
        self.truth.edit(uid, self.truth.get(uid).spec.model_copy(update={"suspend": True}))

    def delete(self, uid: str) -> None:
        self.truth.delete(uid)

    def force_delete(self, uid: str) -> None:
        self.truth._remove(uid)

    def there(self, uid: str) -> bool:
        return self.truth.get(uid) is not None

    def named(self, name: str) -> str:
        return self.truth.named("default", name).uid


class ProductDesk:
    """One life of the operator in virtual time, over the product's own stores: a scripted exchange, and an API server in memory."""

    def __init__(self, **account_spec: Any) -> None:
        self.exchange = ScriptedExchange()
        self.accounts = OneAccount(an_account_record(**account_spec))
        self.intents, self.groups = FakeApi(ORDER_INTENTS), FakeApi(ORDER_GROUPS)
        self.store = self.intents.store = KubernetesIntentStore(
            self.intents, lambda reason: None, changed=lambda uid: self.desk.wake_intent(uid), gone=lambda record: self.desk.reconcilers.intent_gone(record)
        )
        self.group_store = self.groups.store = KubernetesGroupStore(self.groups, changed=lambda uid: self.desk.groups.wake(uid))
        self.desk = Desk(self.exchange, self.store, self.accounts, groups=self.group_store)
        self.intents.wake, self.groups.wake = self.desk.wake_intent, self.desk.groups.wake

    async def start(self) -> None:
        self.desk.boot()
        await self.desk.ready()

    def slow(self, answers_s: float) -> None:
        """Answers come so much later than what was asked for is done."""
        self.intents.answers_s = self.groups.answers_s = answers_s

    def create(self, uid: str, *, finalizer: bool = True, **spec: Any) -> None:
        metadata = {"name": uid, "namespace": "default", "finalizers": [ORDER_FINALIZER] if finalizer else []}
        self.intents.make({"metadata": metadata, "spec": a_spec(**spec).document()}, uid)

    def status(self, uid: str) -> dict[str, Any]:
        """As the API server has it."""
        return self.intents.objects["default", uid]["status"]

    def cancel(self, uid: str) -> None:
        self.intents.change(uid, {"spec": {"desiredState": "Canceled"}})

    def force_delete(self, uid: str) -> None:
        self.intents.put(copy.deepcopy(self.intents.objects["default", uid]), "DELETED")

    def live(self) -> int:
        return sum(not order.status.ended for order in self.exchange.orders_by_id.values())


STAGES = {"the product's": ProductStage, "the double": DoubleStage}
