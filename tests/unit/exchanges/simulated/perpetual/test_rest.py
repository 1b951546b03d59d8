"""The perpetual venue's face, asked as a trader would: who may ask, what is read, what is kept for how long, and what control does."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import orjson
import pytest

from exchange_kernel.exchanges.simulated import DEFAULT_API_KEY, DEFAULT_API_SECRET, Served, Settings, SimulatedExchange, serve
from exchange_kernel.exchanges.simulated.perpetual.venue import PerpetualVenue
from tests.unit.exchanges.simulated.client import StoppedClock, cases

FUTURES = "/api/v4/futures/usdt"
MINUTE_MS = 60_000


@dataclass
class Trader:
    served: Served
    session: aiohttp.ClientSession
    clock: StoppedClock

    @property
    def venue(self) -> PerpetualVenue:
        return self.served.exchange.perpetual

    async def ask(self, method: str, path: str, query: str = "", body: Any = None, *, late_s: int = 0, **headers: str | None) -> tuple[int, Any]:
        """Signed as the venue documents it; `headers` override, and None leaves one out."""
        content = b"" if body is None else orjson.dumps(body)
        timestamp = str(self.clock.now_ms() // 1000 - late_s)
        payload = "\n".join((method, path, query, hashlib.sha512(content).hexdigest(), timestamp))
        signature = hmac.new(DEFAULT_API_SECRET.encode(), payload.encode(), hashlib.sha512).hexdigest()
        said = {"KEY": DEFAULT_API_KEY, "Timestamp": timestamp, "SIGN": signature, **headers}
        async with self.session.request(
            method, f"{self.served.rest}{path}{'?' if query else ''}{query}", data=content, headers={name: value for name, value in said.items() if value},
        ) as response:
            return response.status, await response.json()

    async def place(self, size: int, price: str = "50000", **terms: Any) -> Any:
        status, document = await self.ask("POST", f"{FUTURES}/orders", body={"contract": "BTC_USDT", "size": size, "price": price, **terms})
        assert status == 201, document
        return document

    async def get(self, path: str, query: str = "") -> Any:
        status, document = await self.ask("GET", f"{FUTURES}/{path}", query)
        assert status == 200, document
        return document

    async def label(self, method: str, path: str, query: str = "", body: Any = None) -> str:
        status, document = await self.ask(method, f"{FUTURES}/{path}", query, body)
        assert status >= 400, document
        return document["label"]

    async def control(self, command: Any, *, status: int = 200) -> Any:
        async with self.session.post(f"{self.served.control}/perpetual/market", json=command) as response:
            assert response.status == status, await response.text()
            return await response.json()


@pytest.fixture
async def trader() -> AsyncIterator[Trader]:
    async with a_trader() as trader:
        yield trader


@asynccontextmanager
async def a_trader() -> AsyncIterator[Trader]:
    clock = StoppedClock()
    async with serve(SimulatedExchange(Settings(market_maker=False), clock=clock)) as served, aiohttp.ClientSession() as session:
        yield Trader(served, session, clock)


@pytest.mark.parametrize(("reason", "late_s", "headers", "status", "label"), cases(
    ("nobody knows the key", 0, {"KEY": "another"}, 401, "INVALID_KEY"),
    ("no key", 0, {"KEY": None}, 401, "MISSING_REQUIRED_HEADER"),
    ("another signature", 0, {"SIGN": "00"}, 401, "INVALID_SIGNATURE"),
    ("another time than was signed", 0, {"Timestamp": "1700000001"}, 401, "INVALID_SIGNATURE"),
    ("more than a minute ago", 61, {}, 403, "REQUEST_EXPIRED"),
    ("more than a minute ahead", -61, {}, 403, "REQUEST_EXPIRED"),
))
async def test_who_is_not_let_in(trader, reason, late_s, headers, status, label):
    answered, document = await trader.ask("GET", f"{FUTURES}/accounts", late_s=late_s, **headers)
    assert (answered, document["label"]) == (status, label)


@pytest.mark.parametrize("late_s", [-60, 60])
async def test_a_minute_is_not_too_late(trader, late_s):
    assert (await trader.ask("GET", f"{FUTURES}/accounts", late_s=late_s))[0] == 200


@pytest.mark.parametrize(("reason", "body", "label"), cases(
    ("a text without its prefix", {"text": "mine"}, "INVALID_PARAM_VALUE"),
    ("a text of 29 characters", {"text": "t-" + "a" * 29}, "INVALID_PARAM_VALUE"),
    ("a part of a contract", {"size": 0.5}, "INVALID_PARAM_VALUE"),
    ("no size", {"size": None}, "MISSING_REQUIRED_PARAM"),
    ("no price and the will to wait", {"price": "0"}, "INVALID_PARAM_VALUE"),
    ("a tif of nobody", {"tif": "gtd"}, "INVALID_PARAM_VALUE"),
    ("no such contract", {"contract": "XXX_USDT"}, "CONTRACT_NOT_FOUND"),
    ("a size although it closes", {"close": True}, "INVALID_PARAM_VALUE"),
    ("nothing to close", {"size": 0, "close": True}, "POSITION_EMPTY"),
    ("a side to close where there is one position", {"size": 0, "auto_size": "close_long"}, "POSITION_DUAL_MODE"),
))
async def test_an_order_that_is_none(trader, reason, body, label):
    asked = {"contract": "BTC_USDT", "size": 1, "price": "50000", **body}
    assert await trader.label("POST", "orders", body=asked) == label


async def test_a_text_of_28_characters_is_kept_as_it_is(trader):
    text = "t-" + "aZ09_-." * 4
    assert (await trader.place(1, text=text))["text"] == text
    assert (await trader.get(f"orders/{text}"))["text"] == text


@pytest.mark.parametrize(("reason", "fills", "minutes", "by_text", "by_id"), cases(
    ("a minute after it was cancelled without a fill", False, 1, True, True),
    ("after two minutes by its id only", False, 2, False, True),
    ("after eleven not at all", False, 11, False, False),
    ("one with a fill for ever", True, 1000, True, True),
))
async def test_how_long_a_cancelled_order_is_found(trader, reason, fills, minutes, by_text, by_id):
    order = await trader.place(5, text="t-mine")
    if fills:
        await trader.control({"fill": {"text": "t-mine", "size": 1}})
    assert (await trader.ask("DELETE", f"{FUTURES}/orders/t-mine"))[0] == 200
    trader.clock.at += minutes * MINUTE_MS
    found = [(await trader.ask("GET", f"{FUTURES}/orders/{name}"))[0] == 200 for name in ("t-mine", order["id"])]
    assert found == [by_text, by_id]
    assert bool(await trader.get("orders", "status=finished&contract=BTC_USDT")) is by_id


async def test_lists_are_newest_first_page_by_page_and_in_a_range_of_seconds(trader):
    ids = []
    for _ in range(3):
        ids.append((await trader.place(1))["id"])
        trader.clock.at += 1000
    assert [order["id"] for order in await trader.get("orders", "status=open&limit=2")] == ids[:0:-1]
    assert [order["id"] for order in await trader.get("orders", "status=open&limit=2&offset=2")] == ids[:1]
    since = trader.clock.at // 1000 - 2
    assert [order["id"] for order in await trader.get("orders_timerange", f"contract=BTC_USDT&from={since}")] == ids[:0:-1]


async def test_the_list_of_trades_by_time_knows_no_order_and_the_other_does(trader):
    one, other = await trader.place(1), await trader.place(2)
    for order in (one, other):
        await trader.control({"fill": {"orderId": order["id"]}})
    assert len(await trader.get("my_trades_timerange", f"contract=BTC_USDT&order={one['id']}")) == 2
    assert [trade["order_id"] for trade in await trader.get("my_trades", f"contract=BTC_USDT&order={one['id']}")] == [str(one["id"])]


async def test_dual_mode_by_its_endpoints(trader):
    assert (await trader.ask("POST", f"{FUTURES}/dual_mode", "dual_mode=true"))[1]["in_dual_mode"] is True
    for size, price in ((4, "50000"), (-3, "70000")):
        await trader.control({"fill": {"orderId": (await trader.place(size, price))["id"]}})
    both = await trader.get("dual_comp/positions/BTC_USDT")
    assert [(position["mode"], position["size"]) for position in both] == [("dual_long", "4"), ("dual_short", "-3")]
    assert await trader.label("GET", "positions/BTC_USDT") == "POSITION_DUAL_MODE"
    closing = await trader.place(0, "60000", auto_size="close_short", reduce_only=True)
    assert (closing["size"], closing["is_reduce_only"], closing["is_close"]) == ("3", True, True)


async def test_close_is_the_whole_position_the_other_way(trader):
    await trader.control({"fill": {"orderId": (await trader.place(4))["id"]}})
    closing = await trader.place(0, "61000", close=True)
    assert (closing["size"], closing["is_close"], closing["left"]) == ("-4", True, "-4")
    assert (await trader.get("positions/BTC_USDT"))["pending_orders"] == 1


async def test_leverage_is_that_of_cross_margin(trader):
    assert (await trader.ask("POST", f"{FUTURES}/positions/BTC_USDT/leverage", "leverage=0&cross_leverage_limit=20"))[1]["cross_leverage_limit"] == "20"
    assert await trader.label("POST", "positions/BTC_USDT/leverage", "leverage=20") == "INVALID_PARAM_VALUE"


async def test_control_moves_the_mark_fills_on_cue_and_says_what_it_can_not(trader):
    order = await trader.place(4, text="t-mine")
    told = await trader.control({"price": {"contract": "BTC/USDT:USDT", "price": "55000"}, "fill": {"text": "t-mine", "size": 3}})
    assert (told["contracts"]["BTC/USDT:USDT"]["mark_price"], told["trade"]["size"], told["order"]["left"]) == ("55000", "3", "1")
    assert "ORDER_NOT_FOUND" in (await trader.control({"fill": {"text": "t-nobody"}}, status=400))["error"]
    async with trader.session.get(f"{trader.served.control}/ledger") as response:
        ledger = (await response.json())["perpetual"]
    assert [entry["id"] for entry in ledger["orders"]] == [order["id"]]
    assert [(position["contract"], position["size"], position["unrealised_pnl"]) for position in ledger["positions"]] == [("BTC_USDT", "3", "15")]


async def test_the_market_around_moves_and_repeats_for_its_seed():
    def marks(seed: int) -> list[Any]:
        exchange = SimulatedExchange(Settings(seed=seed))
        for _ in range(50):
            exchange.tick()
        return [(market.mark, market.tape.trades) for market in exchange.perpetual.engine.markets.values()]

    assert marks(1) == marks(1) != marks(2)
    assert all(trades for _, trades in marks(1))


async def test_a_second_key_of_an_account_is_one_of_its_perpetual_account_too(trader):
    exchange = trader.served.exchange
    exchange.share_account("second-key", "s3cret", exchange.user)
    known, second = trader.venue.known(DEFAULT_API_KEY), trader.venue.known("second-key")
    assert known is not None
    assert second is not None
    assert known[1] is second[1]
