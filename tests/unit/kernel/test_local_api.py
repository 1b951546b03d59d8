"""The objects of a file, spoken to as an API server is: its answers, and watches that miss nothing."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from pathlib import Path

import pytest

from exchange_kernel.kernel import local_api
from exchange_kernel.kernel.local_api import NAMESPACE, LocalApi
from exchange_kernel.kernel.objects import manifest
from exchange_kernel.kube.client import ORDER_INTENTS, WATCH_S
from exchange_kernel.stores.sqlite import OrdersFile, SqliteGroupStore, SqliteIntentStore
from tests.unit.kernel.desks import LIMIT
from tests.virtual_time import run

INTENTS = ORDER_INTENTS.path(NAMESPACE)


class Desk:
    def __init__(self, path: Path) -> None:
        self.file = OrdersFile(path)
        self.intents = SqliteIntentStore(self.file, lambda uid: self.api.intents.changed(uid), lambda: 1_700_000_000_000)
        self.groups = SqliteGroupStore(self.file, lambda uid: self.api.groups.changed(uid), lambda: 1_700_000_000_000)
        self.api = LocalApi(self.intents, self.groups)

    async def create(self, name: str, order=LIMIT):
        return await self.api.create(f"{INTENTS}?fieldValidation=Strict", manifest(name, order, None, account="main", strategy=None))

    async def heard(self, since: int, count: int) -> list[tuple[str, str]]:
        events = []
        async with aclosing(self.api.watch(INTENTS, resourceVersion=str(since))) as watch:
            async for event in watch:
                events.append((event["type"], event["object"].get("metadata", {}).get("name", "")))
                if len(events) == count:
                    break
        return events


@pytest.fixture
def desk(tmp_path: Path):
    desk = Desk(tmp_path / "orders.db")
    yield desk
    desk.file.close()


async def test_answers_are_those_of_an_api_server(desk):
    assert (await desk.create("a")).status == 201
    assert (await desk.create("a")).status == 409
    assert (await desk.api.get(f"{INTENTS}/nobody")).status == 404
    assert (await desk.api.patch(f"{INTENTS}/nobody", {})).status == 404
    refused = await desk.create("b", LIMIT.model_copy(update={"price": None}))
    assert (refused.status, "price is required" in refused.message) == (422, True)
    assert (await desk.api.patch(f"{INTENTS}/a", {"spec": {"side": "Sell"}})).status == 422
    assert (await desk.api.patch(f"{INTENTS}/a", {"metadata": {"resourceVersion": "999"}, "spec": {"price": "1"}})).status == 409
    changed = await desk.api.patch(f"{INTENTS}/a", {"spec": {"price": "49000"}})
    assert (changed.body["spec"]["price"], changed.body["metadata"]["generation"]) == ("49000", 2)
    assert (await desk.api.patch(f"{INTENTS}/a", {"spec": {"price": "49000"}})).body == changed.body, "nothing to change is no change"
    desk.file.close()
    assert (await desk.create("c")).status == 500


async def test_a_watch_begins_where_its_list_ended(desk):
    await desk.create("a")
    since = int((await desk.api.get(INTENTS)).body["metadata"]["resourceVersion"])
    await desk.create("b")                          # between list and watch
    watching = asyncio.create_task(desk.heard(since, 4))
    await asyncio.sleep(0)
    await desk.api.patch(f"{INTENTS}/b", {"spec": {"price": "49000"}})
    desk.intents._remove(desk.intents.named(NAMESPACE, "a").uid)
    assert await asyncio.wait_for(watching, 5) == [("OPENED", ""), ("ADDED", "b"), ("MODIFIED", "b"), ("DELETED", "a")]


async def test_a_watch_from_before_what_is_remembered_is_to_list_again(desk, monkeypatch, tmp_path):
    monkeypatch.setattr(local_api, "REMEMBERED", 2)
    small = Desk(tmp_path / "small.db")
    for name in ("a", "b", "c", "d"):
        await small.create(name)
    assert (await small.heard(0, 1))[0][0] == "ERROR"
    assert await small.heard(2, 3) == [("OPENED", ""), ("ADDED", "c"), ("ADDED", "d")]
    small.file.close()


def test_a_silent_watch_is_kept_alive_by_bookmarks(tmp_path):
    async def story():
        desk = Desk(tmp_path / "orders.db")
        began = asyncio.get_running_loop().time()
        assert await desk.heard(0, 3) == [("OPENED", ""), ("BOOKMARK", ""), ("BOOKMARK", "")]
        assert asyncio.get_running_loop().time() - began == pytest.approx(2 * WATCH_S)
        desk.file.close()

    run(story())
