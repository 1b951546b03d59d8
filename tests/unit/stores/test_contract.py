"""What a store of intents or groups keeps whatever the order in which its watch, its lists and its answers tell (rule 15).

Played by the product's stores, and by the double that stands for them in tests of the reconcilers.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest

from exchange_kernel.api import OrderGroupStatus
from exchange_kernel.core.groups import GroupRecord
from exchange_kernel.kube.client import Answer
from exchange_kernel.stores.cache import Cache
from exchange_kernel.stores.port import Conflict, Gone, GroupWritten, Snapshot, Unavailable, Written
from tests.builders import T0, a_spec
from tests.processes import ProcessLoop
from tests.unit.groups.desk import an_oco
from tests.unit.stores.stages import KINDS, STAGES, ProductStage
from tests.virtual_time import run

pytestmark = pytest.mark.proves("rule 15")

each_store = pytest.mark.parametrize("whose", STAGES)
each_kind = pytest.mark.parametrize("kind", KINDS)


def play(whose: str, kind: str, tell) -> None:
    """Tell it on a stage with one object `a` that the watch has told of. Answers take 300 ms, the watch 10."""

    async def whole() -> None:
        stage = STAGES[whose](kind)
        stage.create("a")
        await asyncio.sleep(1)
        stage.times(answers_s=0.3)
        stage.woken.clear()
        await tell(stage)

    run(whole(), ProcessLoop)


def written(outcome) -> object:
    assert isinstance(outcome, Written | GroupWritten), outcome
    return outcome.record


def listed(answer) -> set[str]:
    assert not isinstance(answer, Unavailable)
    return {record.uid for record in (answer.records if isinstance(answer, Snapshot) else answer)}


# ── Answers to writes ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

@each_store
@each_kind
def test_a_cancel_that_the_watch_told_of_is_not_lost_to_the_late_answer_of_our_own_write(whose, kind):
    async def tell(stage):
        writing = asyncio.create_task(stage.store.write_status(stage.store.get("a"), stage.a_status))
        await asyncio.sleep(0.1)
        stage.cancel("a")
        await asyncio.sleep(0.1)
        assert stage.cancelled("a"), "the watch has told"
        record = written(await writing)
        assert stage.cancelled("a")
        assert record == stage.store.get("a"), "whoever wrote sees the newest"
        assert record.status.observed_generation == 1, "and that the write is made"

    play(whose, kind, tell)


@each_store
@each_kind
def test_an_object_that_was_deleted_during_our_write_does_not_come_back_with_its_answer(whose, kind):
    async def tell(stage):
        writing = asyncio.create_task(stage.store.write_status(stage.store.get("a"), stage.a_status))
        await asyncio.sleep(0.1)
        stage.force_delete("a")
        await asyncio.sleep(0.1)
        assert stage.store.get("a") is None
        assert isinstance(await writing, Gone)
        await asyncio.sleep(1)
        assert stage.known() == set()

    play(whose, kind, tell)


@each_store
@each_kind
def test_the_read_after_a_conflict_is_no_newer_than_the_moment_it_was_made(whose, kind):
    async def tell(stage):
        stage.times(lag_s=0.05)
        stage.suspend("a")
        writing = asyncio.create_task(stage.store.write_status(stage.store.get("a"), stage.a_status))
        await asyncio.sleep(0.4)          # refused at 0.3 s, and read again since
        stage.cancel("a")
        await asyncio.sleep(0.1)
        assert stage.cancelled("a")
        assert isinstance(await writing, Conflict)
        assert stage.cancelled("a")

    play(whose, kind, tell)


@each_store
@each_kind
def test_what_was_deleted_before_the_read_after_a_conflict_is_gone(whose, kind):
    async def tell(stage):
        stage.times(lag_s=0.05)
        stage.suspend("a")
        writing = asyncio.create_task(stage.store.write_status(stage.store.get("a"), stage.a_status))
        await asyncio.sleep(0.4)
        stage.force_delete("a")
        assert isinstance(await writing, Gone)
        assert stage.store.get("a") is None

    play(whose, kind, tell)


@each_store
def test_a_cancel_that_only_the_read_after_a_conflict_brings_wakes_whoever_has_the_order(whose):
    """The watch has no news then, and who wrote may be the order's group."""

    async def tell(stage):
        stage.times(lag_s=2)
        stage.cancel("a")
        assert isinstance(await stage.store.write_spec(stage.store.get("a"), a_spec(price="1")), Conflict)
        assert stage.cancelled("a")
        assert stage.woken == ["a"]

    play(whose, "intents", tell)


@each_store
@each_kind
def test_the_write_that_lets_an_object_go_is_made_though_the_watch_told_of_the_end_first(whose, kind):
    async def tell(stage):
        stage.delete("a")
        await asyncio.sleep(0.1)
        outcome = await stage.store.remove_finalizer(stage.store.get("a"))
        if kind == "intents":
            assert not written(outcome).finalizer
        else:
            assert isinstance(outcome, Gone)
        await asyncio.sleep(1)
        assert not stage.there("a")
        assert stage.known() == set()

    play(whose, kind, tell)


@each_store
@each_kind
def test_a_write_to_what_is_gone_says_so_and_is_not_made(whose, kind):
    async def tell(stage):
        stage.times(away=True)
        record = stage.store.get("a")
        stage.force_delete("a")
        assert isinstance(await stage.store.write_status(record, stage.a_status), Gone)
        assert isinstance(await stage.store.add_finalizer(record), Gone)
        assert stage.known() == set()

    play(whose, kind, tell)


@each_store
def test_a_member_that_was_deleted_before_we_heard_that_it_was_made_does_not_come_back(whose):
    group = GroupRecord(uid="g", namespace="default", name="pair", generation=1, resource_version="1", created_ms=T0, spec=an_oco(), status=OrderGroupStatus())

    async def tell(stage):
        making = asyncio.create_task(stage.store.create_member(group, "pair-take", a_spec(), owned=False))
        await asyncio.sleep(0.1)
        uid = stage.named("pair-take")
        assert stage.store.get(uid) is not None, "the watch has told"
        stage.force_delete(uid)
        assert isinstance(await making, Unavailable)
        await asyncio.sleep(1)
        assert stage.known() == {"a"}
        assert stage.store.created_version(uid) is None

    play(whose, "intents", tell)


@each_store
def test_a_member_that_was_changed_before_we_heard_that_it_was_made_stays_changed(whose):
    group = GroupRecord(uid="g", namespace="default", name="pair", generation=1, resource_version="1", created_ms=T0, spec=an_oco(), status=OrderGroupStatus())

    async def tell(stage):
        making = asyncio.create_task(stage.store.create_member(group, "pair-take", a_spec(), owned=False))
        await asyncio.sleep(0.1)
        stage.cancel(uid := stage.named("pair-take"))
        made = written(await making)
        assert (made.uid, made.spec.desired_state) == (uid, "Canceled")
        assert stage.cancelled(uid)
        assert stage.store.created_version(uid) < int(made.resource_version)

    play(whose, "intents", tell)


# ── Lists ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

@each_store
@each_kind
def test_a_late_list_takes_nothing_back_that_the_watch_told_since(whose, kind):
    async def tell(stage):
        stage.create("doomed")
        await asyncio.sleep(0.1)
        listing = asyncio.create_task(stage.store.list_all("default"))
        await asyncio.sleep(0.1)
        stage.cancel("a")
        stage.create("newer")
        stage.force_delete("doomed")
        assert listed(await listing) == stage.known() == {"a", "newer"}
        assert stage.cancelled("a")

    play(whose, kind, tell)


@each_store
@each_kind
def test_what_happened_while_the_watch_was_away_is_told_by_the_next_list(whose, kind):
    async def tell(stage):
        stage.times(away=True)
        stage.create("newer")
        stage.cancel("a")
        await asyncio.sleep(1)
        assert stage.woken == []
        assert listed(await stage.store.list_all("default")) == {"a", "newer"}
        assert stage.cancelled("a")
        assert sorted(stage.woken) == ["a", "newer"]
        await stage.store.list_all("default")
        assert sorted(stage.woken) == ["a", "newer"], "once"

    play(whose, kind, tell)


@each_store
@pytest.mark.parametrize("known_from", ["the watch", "a list"])
def test_what_a_list_lacks_is_told_with_its_last_record(whose, known_from):
    async def tell(stage):
        stage.times(away=True)
        uid = "a"
        if known_from == "a list":
            stage.create(uid := "listed")
            await stage.store.list_all("default")
        last = stage.store.get(uid)
        stage.force_delete(uid)
        await asyncio.sleep(1)
        assert stage.gone == []
        await stage.store.list_all("default")
        assert stage.gone == [last]
        await stage.store.list_all("default")
        assert stage.gone == [last], "once"

    play(whose, "intents", tell)


@each_store
def test_a_group_that_a_list_lacks_is_looked_at_again(whose):
    async def tell(stage):
        stage.times(away=True)
        stage.force_delete("a")
        await stage.store.list_all("default")
        assert stage.known() == set()
        if whose == "the product's":
            assert stage.woken == ["a"]

    play(whose, "groups", tell)


@each_store
@each_kind
def test_what_a_list_showed_to_be_gone_does_not_come_back_with_what_the_watch_says_late(whose, kind):
    async def tell(stage):
        stage.times(lag_s=3, answers_s=0)
        stage.suspend("a")
        stage.force_delete("a")
        await stage.store.list_all("default")
        assert stage.known() == set()
        for _ in range(8):
            await asyncio.sleep(0.5)
            assert stage.known() == set()

    play(whose, kind, tell)


@each_store
def test_another_object_of_the_same_name_is_another_object(whose):
    async def tell(stage):
        stage.times(away=True)
        before = stage.store.get("a")
        writing = asyncio.create_task(stage.store.write_status(before, stage.a_status))
        await asyncio.sleep(0.1)
        stage.force_delete("a")
        stage.create("b", name="a")
        stage.times(answers_s=0.1)
        await stage.store.list_all("default")
        assert stage.store.named("default", "a").uid == "b"
        assert [record.uid for record in stage.gone] == ["a"]
        assert isinstance(await writing, Gone)
        assert stage.known() == {"b"}

    play(whose, "intents", tell)


# ── What only an API server does ────────────────────────────────────────────────────────────────────────────────────────────────────────────

def on_the_product(kind: str, tell) -> None:
    play("the product's", kind, tell)


@each_kind
def test_somebody_elses_finalizer_is_not_lost_to_a_write_that_did_not_know_of_it(kind):
    async def tell(stage: ProductStage):
        record = stage.store.get("a")
        ours = stage.api.objects["default", "a"]["metadata"]["finalizers"]
        stage.api.change("a", {"metadata": {"finalizers": [*ours, "example.com/theirs"]}})
        await asyncio.sleep(0.1)
        assert isinstance(await stage.store.remove_finalizer(record), Conflict), "it was decided on a version without theirs"
        written(await stage.store.remove_finalizer(stage.store.get("a")))
        assert stage.api.objects["default", "a"]["metadata"]["finalizers"] == ["example.com/theirs"]

    on_the_product(kind, tell)


@each_kind
def test_a_watch_that_begins_again_with_a_list_of_its_own_takes_nothing_back(kind):
    """kopf lists where its watch broke: what it tells then may be older than what we have by another way."""

    async def tell(stage: ProductStage):
        earlier = stage.api.objects["default", "a"]
        stage.cancel("a")
        await asyncio.sleep(0.1)
        assert stage.store.observe(None, earlier) is None
        assert stage.cancelled("a")
        stage.force_delete("a")
        await asyncio.sleep(0.1)
        assert stage.store.observe(None, earlier) is None
        assert stage.store.observe("ADDED", earlier) is None
        assert stage.known() == set()

    on_the_product(kind, tell)


@each_kind
def test_a_not_found_that_was_wrong_is_mended_by_the_next_list(kind):
    async def tell(stage: ProductStage):
        stage.api.refusals.append(Answer(404, {"reason": "NotFound"}))
        assert isinstance(await stage.store.write_status(stage.store.get("a"), stage.a_status), Gone)
        assert stage.known() == set()
        await stage.store.list_all("default")
        assert stage.known() == {"a"}

    on_the_product(kind, tell)


def test_what_the_end_of_an_object_shows_is_the_last_of_it():
    async def tell(stage: ProductStage):
        stage.times(away=True)
        stage.cancel("a")
        stage.times(away=False)
        stage.force_delete("a")
        await asyncio.sleep(0.1)
        assert [record.spec.desired_state for record in stage.gone] == ["Canceled"]

    on_the_product("intents", tell)


def test_lists_that_are_answered_in_another_order_than_they_were_asked_are_no_restored_cluster():
    async def tell(stage: ProductStage):
        stage.api.next_answers.extend([0.5, 0.1])
        first = asyncio.create_task(stage.store.list_all("default"))
        await asyncio.sleep(0.01)
        stage.cancel("a")
        second = asyncio.create_task(stage.store.list_all("default"))
        assert isinstance(await second, Snapshot)
        assert isinstance(await first, Snapshot)
        assert stage.cancelled("a")

    on_the_product("intents", tell)


def test_a_list_with_a_newer_version_that_can_t_be_read_is_not_complete():
    """What stood there before is no word on what stands there now."""

    async def tell(stage: ProductStage):
        stage.times(away=True)
        stage.api.objects["default", "a"] = stage.api.change("a", {"spec": {"type": "OfANewerVersion"}})
        snapshot = await stage.store.list_all("default")
        assert not snapshot.complete
        assert isinstance(await stage.store.read("a"), Unavailable)

    on_the_product("intents", tell)


# ── Tombstones ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

@dataclass(frozen=True)
class Thing:
    uid: str
    namespace: str = "default"

    @property
    def name(self) -> str:
        return self.uid


def test_a_tombstone_stays_for_as_long_as_a_request_is_under_way_that_may_need_it_and_then_they_are_bounded():
    cache: Cache[Thing] = Cache(tombstones=10)
    with cache.asking() as asked:
        for number in range(100):
            cache.put(Thing(f"t{number}"), number)
            cache.bury(f"t{number}")
        assert len(cache._buried) == 100
        assert not any(cache.put(Thing(f"t{number}"), number, asked=asked) for number in range(100))
    assert list(cache._buried) == [f"t{number}" for number in range(90, 100)]
    assert cache.everything() == []
