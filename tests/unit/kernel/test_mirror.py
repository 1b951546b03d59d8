"""The mirror against scripted answers: what a real API server is hard to bring to. Lists, watches and 410 as they are: tests/cluster/test_kernel.py."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from exchange_kernel.kernel import BaseEvent, EventType, State, telling
from exchange_kernel.kernel.groups import GroupMirror
from exchange_kernel.kernel.mirror import Mirror, Scope
from exchange_kernel.kernel.objects import STRATEGY_LABEL
from exchange_kernel.kube.client import Answer
from tests.support import aeventually
from tests.unit.groups.desk import an_oco
from tests.unit.kernel.builders import a_fill, a_status, an_object

GONE = {"type": "ERROR", "object": {"code": 410, "message": "too old resource version"}}


class Script:
    """An API server that gives these answers to lists and to watches, one after the other; then its watch stays silent."""

    def __init__(self, lists: list[Answer], watches: list[list[dict[str, Any]]]) -> None:
        self.lists, self.watches, self.asked = lists, watches, []
        self.idle = asyncio.Event()

    async def get(self, path, **query):
        self.asked.append(("get", query.get("limit"), query.get("continue")))
        return self.lists.pop(0)

    async def watch(self, path, **query):
        self.asked.append(("watch", query["resourceVersion"]))
        if not self.watches:
            self.idle.set()
            await asyncio.Event().wait()
        for event in self.watches.pop(0):
            yield event


def a_list(version: int, *items: dict[str, Any], more: str | None = None) -> Answer:
    return Answer(200, {"metadata": {"resourceVersion": str(version), **({"continue": more} if more else {})}, "items": list(items)})


def event(kind: str, raw: dict[str, Any]) -> dict[str, Any]:
    return {"type": kind, "object": raw}


def bookmark(version: int) -> dict[str, Any]:
    return event("BOOKMARK", {"metadata": {"resourceVersion": str(version)}})


def a_mirror(strategy: str | None = "grid") -> tuple[Mirror, list[BaseEvent]]:
    events: list[BaseEvent] = []
    return Mirror(Scope("default", "main", strategy), events.append), events


async def follow(mirror: Mirror, script: Script) -> None:
    """Until the script has nothing more to say."""
    assert await mirror.begin(script) is None
    following = asyncio.create_task(mirror.follow(script))
    await asyncio.wait_for(script.idle.wait(), 60)
    following.cancel()


def kinds(events: list[BaseEvent]) -> list[tuple[str, str, bool]]:
    return [(event.intent_id, str(event.event_type), event.after_gap) for event in events]


OPEN, PARTLY = a_status(State.OPEN), a_status(State.PARTIALLY_FILLED, a_fill("1", "4"))
FILLED = a_status(State.FILLED, a_fill("1", "4"), a_fill("2", "6", at=1), end="Filled")


async def test_a_list_in_pages_is_one_list():
    mirror, events = a_mirror()
    script = Script([a_list(10, an_object("a", version=5), more="page-2"), a_list(10, an_object("b", version=6, status=OPEN))], [])
    await follow(mirror, script)
    assert script.asked == [("get", "500", None), ("get", "500", "page-2"), ("watch", "10")]
    assert kinds(events) == [("a", "Resynced", False), ("b", "Resynced", False)]


async def test_a_watch_is_resumed_where_it_ended_and_bookmarks_count():
    mirror, events = a_mirror()
    script = Script([a_list(10, an_object("a", version=5))], [[event("MODIFIED", an_object("a", version=12, status=OPEN))], [bookmark(30)]])
    await follow(mirror, script)
    assert [asked for asked in script.asked if asked[0] == "watch"] == [("watch", "10"), ("watch", "12"), ("watch", "30")]
    assert kinds(events)[1:] == [("a", "Accepted", False)]


async def test_a_version_that_is_gone_is_answered_by_a_list_and_what_it_shows_is_told():
    mirror, events = a_mirror()
    before = a_list(10, an_object("stays", version=5), an_object("changes", version=6, status=OPEN), an_object("ends", version=7))
    after = a_list(90, an_object("stays", version=5), an_object("changes", version=80, status=FILLED), an_object("comes", version=81, status=PARTLY))
    await follow(mirror, Script([before, after], [[GONE]]))
    assert kinds(events)[3:] == [
        ("changes", "PartiallyFilled", True), ("changes", "Filled", True), ("changes", "Finished", True), ("changes", "Resynced", True),
        ("comes", "Accepted", True), ("comes", "PartiallyFilled", True), ("comes", "Resynced", True),
        ("ends", "Deleted", True),
    ]


async def test_an_object_that_does_not_fit_stops_nothing():
    mirror, events = a_mirror()
    script = Script([a_list(10)], [[event("ADDED", an_object("bad", version=11, side="Up")), event("ADDED", an_object("good", version=12, status=OPEN))]])
    await follow(mirror, script)
    assert kinds(events) == [("good", "Accepted", False)]


async def test_an_answer_like_no_other_is_followed_by_a_list():
    mirror, events = a_mirror()
    await follow(mirror, Script([a_list(10), a_list(20, an_object("a", version=15, status=OPEN))], [[event("ADDED", {"nonsense": True})]]))
    assert kinds(events) == [("a", "Accepted", True), ("a", "Resynced", True)]
    assert mirror.problem == ""


async def test_an_api_server_that_was_restored_is_noticed_and_its_word_holds():
    mirror, events = a_mirror()
    refused = {"type": "ERROR", "object": {"code": 0, "message": "No answer."}}
    lost = [a_list(100, an_object("back", version=90, status=PARTLY), an_object("lost", version=95)), a_list(40), a_list(40, an_object("back", version=30, status=OPEN))]
    script = Script(lost, [[refused]])
    await follow(mirror, script)
    assert script.asked[-1] == ("watch", "40")
    assert kinds(events)[2:] == [("back", "FillReversed", True), ("back", "Resynced", True), ("lost", "Deleted", True)]


@pytest.mark.parametrize(("reason", "raw", "taken"), [
    ("newer than the watch", an_object("a", version=25, status=PARTLY), State.PARTIALLY_FILLED),
    ("the watch was faster", an_object("a", version=15), State.OPEN),
    ("deleted meanwhile: the watch has passed it", an_object("b", version=20), None),
    ("created, and the watch has yet to say so", an_object("b", version=31, status=OPEN), State.OPEN),
    ("another account's", an_object("b", version=31, account="other"), None),
    ("another strategy's", an_object("b", version=31, strategy="other"), None),
])
async def test_an_answer_to_a_request_of_ours_is_taken_for_what_it_is(reason, raw, taken):
    mirror, _ = a_mirror()
    await follow(mirror, Script([a_list(10)], [[event("ADDED", an_object("a", version=20, status=OPEN)), bookmark(24)]]))
    known = mirror.learn(raw)
    assert (known and known.intent.status.state) == taken


async def test_a_group_that_ended_before_our_request_was_answered_does_not_come_back():
    group = {
        "metadata": {"name": "pair", "namespace": "default", "uid": "g-1", "resourceVersion": "11", "generation": 1, "creationTimestamp": "2026-01-31T12:00:00Z",
                     "labels": {STRATEGY_LABEL: "grid"}},
        "spec": an_oco().document(),
    }
    ended = {**group, "metadata": {**group["metadata"], "resourceVersion": "12"}}
    mirror = GroupMirror(Scope("default", "main", "grid"))
    await follow(mirror, Script([a_list(10)], [[event("ADDED", group), event("DELETED", ended)]]))
    assert mirror.learn(group) is None
    assert mirror.all() == []
    assert mirror.learn({**group, "metadata": {**group["metadata"], "uid": "g-2", "resourceVersion": "13"}}) is not None, "a later one of its name"


async def test_a_name_that_is_used_again_is_another_order():
    mirror, events = a_mirror()
    script = Script([a_list(10, an_object("a", version=5, status=FILLED))], [[event("ADDED", an_object("a", version=20, uid="uid-2", status=OPEN))]])
    await follow(mirror, script)
    assert [(str(event.event_type), event.sequence) for event in events] == [("Resynced", 1), ("Deleted", 2), ("Accepted", 3)]


async def test_the_end_of_an_object_of_another_uid_is_not_ours():
    mirror, events = a_mirror()
    await follow(mirror, Script([a_list(10, an_object("a", version=9, uid="uid-2"))], [[event("DELETED", an_object("a", version=20, uid="uid-1"))]]))
    assert EventType.DELETED not in [event.event_type for event in events]


async def test_who_waits_is_told_of_the_end_and_may_ask_what_was_there():
    mirror, _ = a_mirror()
    script = Script([a_list(10, an_object("a", version=9))], [[event("MODIFIED", an_object("a", version=11, status=FILLED)), event("DELETED", an_object("a", version=12, status=FILLED))]])
    await mirror.begin(script)
    waiting = asyncio.create_task(mirror.until("a", lambda known: known is None or known.intent.finished, 5))
    following = asyncio.create_task(mirror.follow(script))
    assert await waiting is None
    following.cancel()
    assert mirror.last_of("a").status.state is State.FILLED


async def test_who_waits_goes_on_before_the_events_of_it_are_told():
    told: list[str] = []
    mirror = Mirror(Scope("default", "main", "grid"), lambda event: told.append(str(event.event_type)))
    await mirror.begin(Script([a_list(10, an_object("a", version=5))], []))
    await asyncio.sleep(0)

    async def wait():
        await mirror.until("a", lambda known: known is not None and known.intent.status.state is State.OPEN, 5)
        told.append("waited")

    waiting = asyncio.create_task(wait())
    await asyncio.sleep(0)
    mirror.learn(an_object("a", version=11, status=OPEN))
    await waiting
    await asyncio.sleep(0)
    assert told == ["Resynced", "waited", "Accepted"]


async def test_whoever_asks_for_the_number_of_the_last_event_is_answered_after_that_is_told():
    mirror, events = a_mirror()
    await mirror.begin(Script([a_list(10, an_object("a", version=5))], []))
    mirror.learn(an_object("a", version=11, status=FILLED))
    assert (mirror.sequence("a"), mirror.sequence("b")) == (len(events), 0) == (5, 0)


async def test_what_was_seen_is_told_when_a_mirror_is_closed():
    mirror, events = a_mirror()
    await mirror.begin(Script([a_list(10, an_object("a", version=5))], []))
    mirror.close()
    assert kinds(events) == [("a", "Resynced", False)]


async def test_a_spec_that_changed_is_read_whatever_its_generation_says():
    mirror, _ = a_mirror()
    await mirror.begin(Script([a_list(10, an_object("a", version=5))], []))
    before = mirror.get("a").intent.spec
    assert mirror.learn(an_object("a", version=11, status=OPEN)).intent.spec is before
    assert mirror.learn(an_object("a", version=12, quantity="11")).intent.spec.quantity == 11


async def test_events_that_can_not_be_told_hold_up_no_others(monkeypatch):
    mirror, events = a_mirror()
    derive = telling.derive
    monkeypatch.setattr(telling, "derive", lambda told, intent, **how: 1 / 0 if intent.name == "a" else derive(told, intent, **how))
    await follow(mirror, Script([a_list(10)], [[event("ADDED", an_object("a", version=11, status=OPEN)), event("ADDED", an_object("b", version=12, status=OPEN))]]))
    assert kinds(events) == [("b", "Accepted", False)]


async def test_nobody_waits_for_a_mirror_that_is_closed():
    mirror, _ = a_mirror()
    await mirror.begin(Script([a_list(10)], []))
    waiting = asyncio.create_task(mirror.until("a", lambda known: known is not None, 60))
    await asyncio.sleep(0)
    mirror.close()
    assert await asyncio.wait_for(waiting, 30) is None


async def test_a_refusal_is_kept_as_the_problem_until_the_server_is_heard_again():
    mirror, _ = a_mirror()
    script = Script([a_list(10), a_list(10), Answer(200, {"metadata": {"resourceVersion": "10"}})], [[{"type": "ERROR", "object": {"code": 403, "message": "forbidden"}}]])
    await mirror.begin(script)
    following = asyncio.create_task(mirror.follow(script))
    await aeventually(lambda: mirror.problem == "forbidden", within=60, every=0, what="the refusal is kept")
    script.watches.append([{"type": "OPENED", "object": {}}])
    await asyncio.wait_for(script.idle.wait(), 60)
    following.cancel()
    assert mirror.problem == ""
