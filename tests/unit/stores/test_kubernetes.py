"""What the stores on an API server make of its answers, and of answers and events in any order."""

from __future__ import annotations

from typing import Any

import pytest

from exchange_kernel.api import AccountStateStatus, OrderGroupStatus, OrderIntentStatus, OrderState
from exchange_kernel.core.groups import GroupRecord
from exchange_kernel.kube.client import Answer
from exchange_kernel.stores.kubernetes import ACCOUNT_FINALIZER, KubernetesAccountStore, KubernetesIntentStore, account_record, intent_record
from exchange_kernel.stores.kubernetes_account_states import KubernetesAccountStateStore
from exchange_kernel.stores.kubernetes_groups import group_record
from exchange_kernel.stores.kubernetes_limits import KubernetesLimitStore
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
        if not self.watch_is_away:
            self.store.observe("DELETED", an_account(12, deleting=True))
        return Answer(200, an_account(12, self.left, deleting=True))

    async def get(self, path: str) -> Answer:
        return Answer(200, {"metadata": {"resourceVersion": "20"}, "items": []})

    def __init__(self, left: list[str], *, watch_is_away: bool = False) -> None:
        self.left, self.watch_is_away = left, watch_is_away


async def test_the_answer_that_takes_the_last_finalizer_off_brings_no_account_back():
    api = Api(left=[])
    store = api.store = KubernetesAccountStore(api)
    store.observe("ADDED", an_account(10, [ACCOUNT_FINALIZER], deleting=True))
    assert await store.remove_finalizer(store.get("u-1"))
    assert list(store.all()) == []


async def test_what_is_gone_from_a_list_is_gone_from_the_cache():
    api = Api(left=["somebody/else"], watch_is_away=True)
    store = api.store = KubernetesAccountStore(api)
    store.observe("ADDED", an_account(10, [ACCOUNT_FINALIZER, "somebody/else"], deleting=True))
    assert await store.remove_finalizer(store.get("u-1"))
    assert [record.name for record in store.all()] == ["main"], "as far as the answer knows"
    assert await store.list_all() == ()
    assert list(store.all()) == []


# ── What comes late (rule 15) ───────────────────────────────────────────────────────────────────────────────────────────────────────────────

class Late:
    """An API server with these answers, each of which comes after what `meanwhile` does."""

    def __init__(self, *answers: Answer) -> None:
        self._answers, self.meanwhile = list(answers), lambda: None

    async def _next(self, *arguments: Any, **query: str) -> Answer:
        answer = self._answers.pop(0)
        self.meanwhile()
        return answer

    get = patch = create = _next


def a_list(version: int, *items: dict[str, Any]) -> Answer:
    return Answer(200, {"metadata": {"resourceVersion": str(version)}, "items": list(items)})


@pytest.mark.proves("rule 15")
async def test_a_kill_switch_that_only_a_list_brings_is_acted_on():
    """An account's session goes by what its reconcile call saw, and the watch has no news of it any more."""
    off = an_account(12, [ACCOUNT_FINALIZER])
    off["spec"]["tradingMode"] = "CancelOnly"
    woken: list[str] = []
    store = KubernetesAccountStore(Late(a_list(12, off)), changed=woken.append)
    store.observe("ADDED", an_account(10, [ACCOUNT_FINALIZER]))
    (listed,) = await store.list_all()
    assert (listed.spec.trading_mode, woken) == ("CancelOnly", ["u-1"])
    assert store.observe("MODIFIED", off) is None


@pytest.mark.proves("rule 15")
async def test_a_kill_switch_is_not_lost_to_the_late_answer_of_a_status_write():
    off = an_account(12, [ACCOUNT_FINALIZER])
    off["spec"]["tradingMode"] = "CancelOnly"
    api = Late(Answer(200, an_account(11, [ACCOUNT_FINALIZER])))
    store = KubernetesAccountStore(api)
    store.observe("ADDED", an_account(10, [ACCOUNT_FINALIZER]))
    api.meanwhile = lambda: store.observe("MODIFIED", off)
    assert await store.write_status(store.get("u-1"), store.get("u-1").status.model_copy(update={"holder": "me"}))
    assert store.get("u-1").spec.trading_mode == "CancelOnly"


def a_limit(version: int, **spec: Any) -> dict[str, Any]:
    metadata = {"name": "limit", "namespace": "default", "uid": "l-1", "resourceVersion": str(version), "creationTimestamp": "2026-01-31T12:00:00Z"}
    return {"metadata": metadata, "spec": {"maxOpenOrders": 5, **spec}}


@pytest.mark.proves("rule 15")
async def test_a_risk_limit_that_was_deleted_during_a_list_does_not_come_back_with_it():
    api = Late(a_list(11, a_limit(10)))
    store = KubernetesLimitStore(api)
    store.observe("ADDED", a_limit(10))
    api.meanwhile = lambda: store.observe("DELETED", a_limit(12))
    assert await store.read("default")
    assert store.of_account("default", "main") == ()


@pytest.mark.proves("rule 15")
async def test_orders_of_the_namespace_are_judged_anew_by_a_risk_limit_that_only_a_list_brings():
    told: list[str] = []
    store = KubernetesLimitStore(Late(a_list(11, a_limit(10)), a_list(11, a_limit(10)), a_list(12)), changed=told.append)
    for _ in range(3):
        assert await store.read("default")
    assert told == ["default", "default"], "it came, and it went"


def a_state(version: int, uid: str = "s-1", **status: Any) -> dict[str, Any]:
    metadata = {"name": "main", "namespace": "default", "uid": uid, "resourceVersion": str(version),
                "ownerReferences": [{"kind": "ExchangeAccount", "name": "main", "uid": "u-1"}]}
    return {"metadata": metadata, "spec": {"accountRef": {"name": "main"}}, "status": status}


@pytest.mark.proves("rule 15")
async def test_an_account_state_that_was_deleted_during_our_write_is_made_again():
    api = Late(Answer(200, a_state(11, sequence=1)), Answer(404, {}), Answer(201, a_state(13, "s-2")))
    store, account = KubernetesAccountStateStore(api), account_record(an_account(10))
    store.observe("ADDED", a_state(10))
    api.meanwhile = lambda: store.observe("DELETED", a_state(12))
    old = await store.current(account)
    assert await store.write(account, old, old.model_copy(update={"sequence": 1}))
    api.meanwhile = lambda: None
    assert await store.current(account) == AccountStateStatus()
    assert store.asked(account) is None


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
    pytest.param(
        Answer(403, {"message": "ValidatingAdmissionPolicy 'exchange-kernel-member' with binding 'exchange-kernel-member' denied request: spec.groupRef is "
                                "written by the operator alone"}),
        Unavailable, id="a policy of ours does not know the operator by its name",
    ),
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


@pytest.mark.parametrize(("stamped", "member"), [({"exchange-kernel.io/created-by": "alice", "mine": "1"}, {"exchange-kernel.io/created-by": "alice"}), ({}, None)], ids=["stamped", "from before the stamps"])
async def test_a_members_object_carries_its_groups_creator_as_admission_stamped_it(stamped, member):
    class Making:
        async def create(self, path: str, body: dict[str, Any]) -> Answer:
            made.append(body)
            return Answer(500, {})

    made: list[dict[str, Any]] = []
    raw = {"metadata": {"uid": "g-1", "namespace": "default", "name": "pair", "resourceVersion": "1", "creationTimestamp": "2026-01-31T12:00:00Z", "annotations": stamped},
           "spec": an_oco().document()}
    await KubernetesIntentStore(Making(), lambda reason: None).create_member(group_record(raw), "pair-take", a_spec(), owned=True)
    assert made[0]["metadata"].get("annotations") == member


@pytest.mark.parametrize("emptied", ["annotations", "labels", "finalizers"])
def test_an_object_from_which_the_last_one_was_applied_away_is_read_as_any_other(emptied):
    """A server-side apply that drops the last entry of a map may leave it null."""
    metadata = {"uid": "i-1", "namespace": "default", "name": "a", "resourceVersion": "1", "creationTimestamp": "2026-01-31T12:00:00Z", emptied: None}
    assert intent_record({"metadata": metadata, "spec": a_spec().document()}).name == "a"
    assert group_record({"metadata": metadata, "spec": an_oco().document()}).name == "a"
    assert account_record({"metadata": metadata, "spec": an_account(1)["spec"]}).name == "a"


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


@pytest.mark.parametrize("answer", [Answer(404, {}), Answer(200, {**an_account(12), "metadata": {**an_account(12)["metadata"], "uid": "u-2"}})], ids=["deleted", "made anew"])
async def test_an_account_that_is_gone_when_it_is_read_again_is_gone(answer):
    store = KubernetesAccountStore(Serving(answer))
    store.observe("ADDED", an_account(10))
    assert await store.read("u-1") is None
    assert store.get("u-1") is None
    assert await store.read("u-1") is None
