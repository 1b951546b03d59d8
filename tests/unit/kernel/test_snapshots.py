"""Markets and the AccountState as a kernel follows them, against scripted answers."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from exchange_kernel.kernel import ExchangeError
from exchange_kernel.kernel.snapshots import Snapshots
from exchange_kernel.kube.client import Answer
from tests.support import aeventually

FORBIDDEN = Answer(403, {"message": "is forbidden"})
TIMES = {"time": "2026-01-31T12:00:00.000000Z", "answerTime": "2026-01-31T12:00:01.000000Z"}


def a_market(symbol: str, *, owner: str = "main", version: int = 5, **spec: Any) -> dict[str, Any]:
    base, _, quote = symbol.partition("/")
    metadata = {"name": symbol.lower().replace("/", "-") + f"-{owner}", "namespace": "default", "uid": symbol + owner, "resourceVersion": str(version),
                "ownerReferences": [{"kind": "ExchangeAccount", "name": owner, "uid": owner}]}
    values = {"exchange": "binance", "environment": "Live", "marketType": "Spot", "symbol": symbol, "base": base, "quote": quote, "active": True, **spec}
    return {"metadata": metadata, "spec": values}


def a_state(version: int = 7, **status: Any) -> dict[str, Any]:
    metadata = {"name": "main", "namespace": "default", "uid": "state", "resourceVersion": str(version)}
    return {"metadata": metadata, "spec": {"accountRef": {"name": "main"}}, "status": {**TIMES, **status}}


class Objects:
    """An API server with these objects. `refuse`: what it says to every list instead."""

    def __init__(self, markets: list[dict[str, Any]] = (), states: list[dict[str, Any]] = ()) -> None:
        self.items = {"markets": list(markets), "accountstates": list(states)}
        self.asked: list[tuple[str, str, dict[str, str]]] = []
        self.refuse: Answer | None = None
        self.hangs = False
        self.events: dict[str, asyncio.Queue[dict[str, Any]]] = {kind: asyncio.Queue() for kind in self.items}

    async def get(self, path, **query):
        kind = path.rpartition("/")[2]
        self.asked.append(("list", kind, query))
        if self.hangs:
            await asyncio.Event().wait()
        return self.refuse or Answer(200, {"metadata": {"resourceVersion": "10"}, "items": self.items[kind]})

    async def watch(self, path, **query):
        kind = path.rpartition("/")[2]
        self.asked.append(("watch", kind, query))
        yield {"type": "OPENED", "object": {}}
        while True:
            yield await self.events[kind].get()

    def requests(self, kind: str) -> list[str]:
        return [verb for verb, asked, _ in self.asked if asked == kind]


@pytest.fixture
async def following():
    """What makes Snapshots of such an API server; they end with the test."""
    made: list[Snapshots] = []

    def follow(objects: Objects) -> Snapshots:
        made.append(Snapshots("default", "main", lambda: objects, lambda api: True))
        return made[-1]

    yield follow
    for snapshots in made:
        await snapshots.close()


async def test_nothing_is_asked_before_the_first_question_and_one_list_and_one_watch_answer_all_of_them(following):
    objects = Objects([a_market("BTC/USDT", quantityStep="0.001"), a_market("ETH/USDT")], [a_state()])
    snapshots = following(objects)
    assert objects.asked == []
    for _ in range(100):
        assert (await snapshots.market_if_known("BTC/USDT")).rules.quantity_step == Decimal("0.001")
    await asyncio.gather(*(snapshots.markets() for _ in range(10)), *(snapshots.state() for _ in range(10)))
    await aeventually(lambda: len(objects.asked) >= 4, within=60, what="both are watched")
    assert (objects.requests("markets"), objects.requests("accountstates")) == (["list", "watch"], ["list", "watch"])
    assert {query["fieldSelector"] for _, kind, query in objects.asked if kind == "accountstates"} == {"metadata.name=main"}


async def test_a_change_is_told_by_the_watch_and_so_is_a_market_that_goes(following):
    objects = Objects([a_market("BTC/USDT"), a_market("ETH/USDT")])
    snapshots = following(objects)
    markets = await snapshots.markets()
    objects.events["markets"].put_nowait({"type": "MODIFIED", "object": a_market("BTC/USDT", version=11, active=False)})
    await aeventually(lambda: markets.of("BTC/USDT").rules.active is False, within=60, what="it is closed")
    objects.events["markets"].put_nowait({"type": "DELETED", "object": a_market("ETH/USDT", version=12)})
    await aeventually(lambda: markets.of("ETH/USDT") is None, within=60, what="it is gone")


async def test_another_account_s_markets_are_not_this_one_s_and_one_that_is_let_go_is_neither(following):
    objects = Objects([a_market("BTC/USDT"), a_market("BTC/USDT", owner="other", priceStep="5"), a_market("ETH/USDT", owner="other")])
    snapshots = following(objects)
    markets = await snapshots.markets()
    assert (markets.of("BTC/USDT").rules.price_step, markets.of("ETH/USDT")) == (None, None)
    let_go = a_market("BTC/USDT", version=11)
    let_go["metadata"]["ownerReferences"][0]["name"] = "other"
    objects.events["markets"].put_nowait({"type": "MODIFIED", "object": let_go})
    await aeventually(lambda: markets.of("BTC/USDT") is None, within=60, what="it is let go")


async def test_an_object_of_another_version_of_the_schema_does_not_hide_the_others(following):
    snapshots = following(Objects([a_market("BTC/USDT"), {"metadata": {"name": "odd", "uid": "odd", "resourceVersion": "4", "ownerReferences": [{"kind": "ExchangeAccount", "name": "main"}]}, "spec": {"symbol": "ODD/USDT"}}]))
    assert (await snapshots.markets()).of("BTC/USDT") is not None
    assert await snapshots.market_if_known("ODD/USDT") is None
    assert [one.rules.symbol for one in (await snapshots.markets()).every()] == ["BTC/USDT"]


async def test_without_the_right_to_read_them_each_question_says_which_rule_to_add(following):
    objects = Objects()
    objects.refuse = FORBIDDEN
    snapshots = following(objects)
    with pytest.raises(ExchangeError, match=r"get, list and watch on markets\.exchange-kernel\.io in namespace default"):
        await snapshots.markets()
    with pytest.raises(ExchangeError, match=r"get, list, watch and patch on accountstates\.exchange-kernel\.io in namespace default"):
        await snapshots.state()


async def test_without_that_right_orders_are_placed_and_cost_no_request_each(following):
    objects = Objects([a_market("BTC/USDT")])
    objects.refuse = FORBIDDEN
    snapshots = following(objects)
    assert await asyncio.gather(*(snapshots.market_if_known("BTC/USDT") for _ in range(100))) == [None] * 100
    assert objects.requests("markets") == ["list"]


async def test_an_api_server_that_hangs_holds_up_the_first_order_only_and_for_two_seconds(following, monkeypatch):
    monkeypatch.setattr("exchange_kernel.kernel.snapshots.FIRST_WITHIN_S", 0.2)
    objects = Objects([a_market("BTC/USDT")])
    objects.hangs = True
    snapshots = following(objects)
    await asyncio.wait_for(asyncio.gather(*(snapshots.market_if_known("BTC/USDT") for _ in range(100))), 10)
    assert objects.requests("markets") == ["list"]


@pytest.mark.parametrize(("reason", "objects"), [
    ("no object", Objects()),
    ("one that was made, and not written yet", Objects(states=[{**a_state(), "status": {}}])),
])
async def test_what_is_not_told_yet_says_so_and_where_to_look(reason, objects, following):
    snapshots = following(objects)
    with pytest.raises(ExchangeError, match="kubectl -n default get xa"):
        await snapshots.state()
    with pytest.raises(ExchangeError, match="told no market of account 'main' yet"):
        await snapshots.markets()


async def test_after_a_stop_they_are_listed_again(following):
    objects = Objects([a_market("BTC/USDT")])
    snapshots = following(objects)
    await snapshots.markets()
    await snapshots.close()
    objects.items["markets"] = [a_market("BTC/USDT", version=9, minQuantity="2")]
    assert (await snapshots.market_if_known("BTC/USDT")).rules.min_quantity == 2
    assert objects.requests("markets").count("list") == 2
