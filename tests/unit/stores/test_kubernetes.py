"""What the stores on an API server make of its answers, and of answers and events in any order."""

from __future__ import annotations

from typing import Any

import pytest

from exchange_kernel.api import OrderGroupStatus, OrderIntentStatus, OrderState
from exchange_kernel.core.groups import GroupRecord
from exchange_kernel.kube.client import Answer
from exchange_kernel.stores.kubernetes import ACCOUNT_FINALIZER, KubernetesAccountStore, KubernetesIntentStore
from exchange_kernel.stores.port import Inadmissible, Unavailable
from tests.builders import T0, a_spec
from tests.unit.groups.desk import an_oco


def an_account(version: int, finalizers: list[str] | None = None, *, deleting: bool = False) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": "main", "namespace": "default", "uid": "u-1", "resourceVersion": str(version), "generation": 1,
                                "creationTimestamp": "2026-01-31T12:00:00Z", "finalizers": finalizers or []}
    if deleting:
        metadata["deletionTimestamp"] = "2026-01-31T12:01:00Z"
    spec = {"exchange": "binance", "environment": "Simulated", "endpoint": {"rest": "http://sim"}, "credentialsSecretRef": {"name": "keys"}}
    return {"metadata": metadata, "spec": spec}


class Api:
    """An API server that has no account any more, and whose answer to the last write comes after the watch's word of the end."""

    store: KubernetesAccountStore

    async def patch(self, path: str, body: dict[str, Any]) -> Answer:
        self.store.observe("DELETED", an_account(12, deleting=True))
        return Answer(200, an_account(12, self.left, deleting=True))

    async def get(self, path: str) -> Answer:
        return Answer(200, {"metadata": {"resourceVersion": "20"}, "items": []})

    def __init__(self, left: list[str]) -> None:
        self.left = left


async def test_the_answer_that_takes_the_last_finalizer_off_brings_no_account_back():
    api = Api(left=[])
    store = api.store = KubernetesAccountStore(api)
    store.observe("ADDED", an_account(10, [ACCOUNT_FINALIZER], deleting=True))
    assert await store.remove_finalizer(store.get("u-1"))
    assert list(store.all()) == []


async def test_what_is_gone_from_a_list_is_gone_from_the_cache():
    api = Api(left=["somebody/else"])
    store = api.store = KubernetesAccountStore(api)
    store.observe("ADDED", an_account(10, [ACCOUNT_FINALIZER, "somebody/else"], deleting=True))
    assert await store.remove_finalizer(store.get("u-1"))
    assert [record.name for record in store.all()] == ["main"], "as far as the answer knows"
    assert await store.list_all() == ()
    assert list(store.all()) == []


class Taking:
    """An API server that takes every status, and notes how it came."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str, dict[str, Any]]] = []

    async def replace(self, path: str, body: dict[str, Any]) -> Answer:
        self.calls.append(("PUT", path, body))
        return Answer(200, an_intent(11, body["status"]))

    async def patch(self, path: str, body: dict[str, Any]) -> Answer:
        self.calls.append(("PATCH", path, body))
        return Answer(200, an_intent(12, body["status"]))


def an_intent(version: int, status: dict[str, Any]) -> dict[str, Any]:
    metadata = {"name": "one", "namespace": "default", "uid": "i-1", "resourceVersion": str(version), "generation": 1, "creationTimestamp": "2026-01-31T12:00:00Z"}
    return {"metadata": metadata, "spec": a_spec().document(), "status": status}


STATUS = "/apis/exchange-kernel.io/v1alpha1/namespaces/default/orderintents/one/status"


async def test_an_orders_first_status_is_written_whole_and_at_its_version_and_every_later_one_is_merged():
    api = Taking()
    store = KubernetesIntentStore(api, lambda reason: None)
    store.observe("ADDED", an_intent(10, {"observedGeneration": -1, "state": "Pending"}))
    first = OrderIntentStatus(observed_generation=1, state=OrderState.OPEN)
    await store.write_status(store.get("i-1"), first)
    await store.write_status(store.get("i-1"), first.model_copy(update={"state": OrderState.FILLED}))
    assert api.calls == [
        ("PUT", STATUS, {
            "apiVersion": "exchange-kernel.io/v1alpha1", "kind": "OrderIntent",
            "metadata": {"name": "one", "namespace": "default", "uid": "i-1", "resourceVersion": "10"}, "status": first.document(),
        }),
        ("PATCH", STATUS, {"metadata": {"resourceVersion": "11"}, "status": {"state": "Filled"}}),
    ]


async def test_what_a_newer_version_added_to_a_status_is_never_written_over():
    api = Taking()
    store = KubernetesIntentStore(api, lambda reason: None)
    store.observe("ADDED", an_intent(10, {"observedGeneration": -1, "state": "Pending", "foreseen": "by a newer version"}))
    await store.write_status(store.get("i-1"), OrderIntentStatus(observed_generation=1, state=OrderState.OPEN))
    assert [verb for verb, *_ in api.calls] == ["PATCH"]


@pytest.mark.parametrize(("answer", "outcome"), [
    pytest.param(Answer(403, {"message": "ValidatingAdmissionPolicy 'limits' denied request: at most 5 BTC an order"}), Inadmissible, id="a policy has judged"),
    pytest.param(Answer(422, {"message": "spec.price: Required value"}), Inadmissible, id="and so has the schema"),
    pytest.param(Answer(403, {"message": 'orderintents is forbidden: User "operator" cannot create resource "orderintents"'}), Unavailable, id="an API server that starts knows no roles"),
    pytest.param(Answer(422, {"message": "ValidatingAdmissionPolicy 'limits' denied request: failed to configure policy: no such kind"}), Unavailable, id="nor its policies"),
])
async def test_a_member_is_refused_for_good_only_by_what_judges_it(answer, outcome):
    """Its group gives up what is refused for good: an exit among it would leave a position without protection."""
    class Refusing:
        async def create(self, path: str, body: dict[str, Any]) -> Answer:
            return answer

    store = KubernetesIntentStore(Refusing(), lambda reason: None)
    group = GroupRecord(uid="g-1", namespace="default", name="pair", generation=1, resource_version="1", created_ms=T0, spec=an_oco(), status=OrderGroupStatus())
    assert isinstance(await store.create_member(group, "pair-take", a_spec(), owned=True), outcome)


class Serving:
    """An API server that answers each read with the next of these."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)

    async def get(self, path: str) -> Answer:
        return self.answers.pop(0)


async def test_an_account_that_is_read_again_is_the_newest_that_is_known_whatever_the_watch_told():
    switched = an_account(11)
    switched["spec"] = {**switched["spec"], "tradingMode": "CancelOnly"}
    store = KubernetesAccountStore(Serving(Answer(200, switched), Answer(200, an_account(10)), Answer(0, {"message": "No answer."}), Answer(403, {"message": "no"})))
    store.observe("ADDED", an_account(10))
    assert (await store.read("u-1")).spec.trading_mode == "CancelOnly"
    assert (await store.read("u-1")).spec.trading_mode == "CancelOnly", "an answer from before does not take it back"
    assert isinstance(await store.read("u-1"), Unavailable)
    assert isinstance(await store.read("u-1"), Unavailable)
    assert store.get("u-1").spec.trading_mode == "CancelOnly"


@pytest.mark.parametrize("answer", [Answer(404, {}), Answer(200, {"metadata": {"uid": "u-2"}})], ids=["deleted", "made anew"])
async def test_an_account_that_is_gone_when_it_is_read_again_is_gone(answer):
    store = KubernetesAccountStore(Serving(answer))
    store.observe("ADDED", an_account(10))
    assert await store.read("u-1") is None
    assert store.get("u-1") is None
    assert await store.read("u-1") is None
