"""Events on their way to the API server: off everybody's path, repeated ones as a series, dropped rather than waited for."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from exchange_kernel.core.events import PARTIALLY_FILLED, SUBMITTED
from exchange_kernel.kube.client import Answer
from exchange_kernel.kube.events import SERIES_S, WAITING_LIMIT, EventRecorder
from tests.builders import an_order
from tests.scripted import until
from tests.virtual_time import run


class ScriptedApi:
    """An API server that keeps Events, and answers as it is told first."""

    def __init__(self) -> None:
        self.events: dict[str, dict] = {}
        self.answers: list[int] = []
        self.calls: list[str] = []
        self.carries_out = False  # what it gives no answer to

    async def create(self, path, body):
        return await self._do("POST", body["metadata"]["name"], lambda name: self.events.__setitem__(name, body))

    async def patch(self, path, body):
        return await self._do("PATCH", path.rsplit("/", 1)[1], lambda name: self.events[name].update(body))

    async def _do(self, verb, name, change):
        self.calls.append(verb)
        await asyncio.sleep(0.01)
        if self.answers:
            if self.carries_out:
                change(name)
            return Answer(self.answers.pop(0), {})
        if verb == "PATCH" and name not in self.events:
            return Answer(404, {})
        if verb == "POST" and name in self.events:
            return Answer(409, {})
        change(name)
        return Answer(201, {})


class Recording:
    def __init__(self) -> None:
        self.api, self.counts = ScriptedApi(), Counter()
        self.recorder = EventRecorder(self.api, "pod-1", self._count, lambda: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=asyncio.get_running_loop().time() - 1000))

    def _count(self, outcome):
        self.counts[outcome] += 1

    def tell(self, event, **changes):
        self.recorder.order_event(an_order(**changes), event)

    @property
    def events(self):
        return list(self.api.events.values())


@asynccontextmanager
async def recording():
    found = Recording()
    task = asyncio.create_task(found.recorder.run())
    try:
        yield found
    finally:
        task.cancel()


def story(tell):
    async def whole():
        async with recording() as found:
            await tell(found)

    run(whole())


def test_an_event_says_what_it_is_about_and_who_says_it():
    async def tell(recording):
        recording.tell(SUBMITTED)
        await until(lambda: recording.events)
        (event,) = recording.events
        assert event["regarding"] == {"apiVersion": "exchange-kernel.io/v1alpha1", "kind": "OrderIntent", "namespace": "default", "name": "order", "uid": "uid-1", "resourceVersion": "7"}
        assert (event["type"], event["reason"], event["action"], event["note"]) == ("Normal", "Submitted", "Submit", SUBMITTED.note)
        assert (event["reportingController"], event["reportingInstance"], event["eventTime"]) == ("exchange-kernel.io/operator", "pod-1", "2026-01-01T00:00:00.000000Z")
        assert "series" not in event

    story(tell)


def test_what_repeats_is_one_event_with_a_count():
    async def tell(recording):
        for number in range(5):
            recording.tell(PARTIALLY_FILLED, resource_version=str(number))
            await asyncio.sleep(10)
        (event,) = recording.events
        assert event["series"] == {"count": 5, "lastObservedTime": "2026-01-01T00:00:40.000000Z"}
        assert recording.api.calls == ["POST", *["PATCH"] * 4]

    story(tell)


def test_a_burst_is_written_once():
    async def tell(recording):
        for _ in range(100):
            recording.tell(PARTIALLY_FILLED)
        await asyncio.sleep(1)
        assert (recording.api.calls, recording.events[0]["series"]["count"]) == (["POST"], 100)

    story(tell)


def test_another_order_another_event_and_after_a_while_a_new_one():
    async def tell(recording):
        recording.tell(SUBMITTED)
        recording.tell(SUBMITTED, uid="uid-2", name="other")
        await asyncio.sleep(SERIES_S + 1)
        recording.tell(SUBMITTED)
        await asyncio.sleep(1)
        assert [event["regarding"]["name"] for event in recording.events] == ["order", "other", "order"]

    story(tell)


def test_a_series_whose_event_expired_begins_again():
    async def tell(recording):
        recording.tell(SUBMITTED)
        await asyncio.sleep(1)
        recording.api.events.clear()
        recording.tell(SUBMITTED)
        await asyncio.sleep(1)
        assert len(recording.events) == 1

    story(tell)


def test_it_is_asked_again_for_what_got_no_answer_and_written_once():
    async def tell(recording):
        recording.api.answers, recording.api.carries_out = [0, 503], True
        recording.tell(SUBMITTED)
        await asyncio.sleep(10)
        assert (recording.api.calls, len(recording.events), recording.counts) == (["POST"] * 3, 1, {"Written": 1})

    story(tell)


def test_what_is_refused_is_counted_and_the_next_one_goes_on():
    async def tell(recording):
        recording.api.answers = [403]
        recording.tell(SUBMITTED)
        recording.tell(PARTIALLY_FILLED)
        await asyncio.sleep(1)
        assert ([event["reason"] for event in recording.events], recording.counts) == (["PartiallyFilled"], {"Refused": 1, "Written": 1})

    story(tell)


def test_a_silent_api_server_makes_them_drop_and_keeps_nobody_waiting():
    async def tell(recording):
        recording.api.answers = [0] * 1000
        for number in range(WAITING_LIMIT + 50):
            recording.tell(SUBMITTED, uid=f"uid-{number}")
        assert recording.counts["Dropped"] == 50
        began = asyncio.get_running_loop().time()
        await recording.recorder.close(within=1)
        assert asyncio.get_running_loop().time() - began <= 1.01

    story(tell)


def test_a_clean_stop_writes_what_waits():
    async def tell(recording):
        for number in range(20):
            recording.tell(SUBMITTED, uid=f"uid-{number}")
        await recording.recorder.close(within=1)
        assert len(recording.events) == 20

    story(tell)


def test_a_note_is_no_longer_than_the_api_server_takes():
    async def tell(recording):
        recording.recorder.account_event(an_order(), "Warning", "OrphanSeen", "x" * 5000)
        await until(lambda: recording.events)
        assert (len(recording.events[0]["note"]), recording.events[0]["regarding"]["kind"]) == (1024, "ExchangeAccount")

    story(tell)
