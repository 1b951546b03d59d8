"""An account lives beside orders that are none of ours: a spot account at OKX, through real ccxt, with open orders elsewhere on it before and during."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from exchange_kernel.core.answers import Listing
from exchange_kernel.exchanges.ccxt import adapter as ccxt_adapter
from exchange_kernel.exchanges.ccxt import markets as ccxt_markets
from exchange_kernel.exchanges.ccxt import open_exchange
from exchange_kernel.exchanges.ccxt.rows import ROWS
from exchange_kernel.kernel.local import LocalKernel
from exchange_kernel.kernel.models import OrderState
from exchange_kernel.schema import OrderType, Side, StandardOrder
from tests.contract import test_rows as rows
from tests.contract.fake_venue import FakeVenue, Received, Socket, fake_venue, says
from tests.contract.test_sandboxes import KEYS
from tests.support import aeventually

SPOT = {
    "instType": "SPOT", "instId": "BTC-USDT", "uly": "", "baseCcy": "BTC", "quoteCcy": "USDT", "settleCcy": "", "ctVal": "", "ctMult": "", "ctValCcy": "",
    "optType": "", "stk": "", "listTime": "1600000000000", "expTime": "", "lever": "10", "tickSz": "0.1", "lotSz": "0.00001", "minSz": "0.00001",
    "ctType": "", "state": "live", "alias": "", "maxLmtSz": "9999", "maxMktSz": "9999",
}


def a_foreign(instrument: str, kind: str, number: str, ours: str = "", **changes: str) -> dict[str, str]:
    return {
        "instType": kind, "instId": instrument, "ordId": number, "clOrdId": ours, "px": "31234", "sz": "1", "ordType": "limit", "side": "sell", "posSide": "net",
        "accFillSz": "0", "avgPx": "", "state": "live", "fee": "0", "feeCcy": "USDT", "cTime": str(int(time.time() * 1000)),
        "uTime": str(int(time.time() * 1000)), "tdMode": "cross", **changes,
    }


SWAP = a_foreign("BTC-USDT-SWAP", "SWAP", "555")


@dataclass
class Okx:
    """As much of the venue as an account of limit orders needs. It lists the orders of all kinds, whatever was asked for."""

    venue: FakeVenue
    orders: dict[str, dict[str, str]] = field(default_factory=dict)
    foreign: list[Any] = field(default_factory=list)

    def serve(self) -> None:
        on = self.venue.on
        on("GET", "/api/v5/public/time", self.says_the_time)
        on("GET", "/api/v5/public/instruments", says(200, enveloped(SPOT)))
        on("GET", "/api/v5/account/config", says(200, enveloped({"uid": "42", "posMode": "net_mode", "acctLv": "2"})))
        on("GET", "/api/v5/account/balance", says(200, enveloped({"details": [{"ccy": "USDT", "cashBal": "100000", "availBal": "100000", "frozenBal": "0", "eq": "100000"}]})))
        on("GET", "/api/v5/trade/orders-pending", self.lists)
        on("POST", "/api/v5/trade/order", self.takes)
        on("GET", "/api/v5/trade/order", self.shows)
        on("GET", "/api/v5/trade/fills", self.executions)
        on("GET", "/api/v5/trade/fills-history", self.executions)

    async def says_the_time(self, request: Received, socket: Socket) -> None:
        await says(200, enveloped({"ts": str(int(time.time() * 1000))}))(request, socket)

    async def lists(self, request: Received, socket: Socket) -> None:
        pending = [order for order in self.orders.values() if order["state"] in ("live", "partially_filled")]
        await says(200, enveloped(*pending, *self.foreign))(request, socket)

    async def takes(self, request: Received, socket: Socket) -> None:
        asked = json.loads(request.body)
        number = str(900 + len(self.orders))
        self.orders[number] = a_foreign("BTC-USDT", "SPOT", number, asked["clOrdId"], px=asked["px"], sz=asked["sz"], side=asked["side"], tdMode="cash")
        await says(200, enveloped({"ordId": number, "clOrdId": asked["clOrdId"], "tag": "", "sCode": "0", "sMsg": ""}))(request, socket)

    async def shows(self, request: Received, socket: Socket) -> None:
        found = [order for order in self.orders.values() if request.params.get("ordId") == order["ordId"] or request.params.get("clOrdId") == order["clOrdId"]]
        answer = enveloped(*found) if found else {"code": "51603", "msg": "Order does not exist", "data": []}
        await says(200, answer)(request, socket)

    async def executions(self, request: Received, socket: Socket) -> None:
        await says(200, enveloped(*({
            "instType": "SPOT", "instId": "BTC-USDT", "tradeId": f"t{number}", "ordId": number, "clOrdId": order["clOrdId"], "fillPx": order["px"],
            "fillSz": order["accFillSz"], "side": order["side"], "fee": "-0.1", "feeCcy": "USDT", "ts": order["uTime"], "execType": "M",
        } for number, order in self.orders.items() if order["accFillSz"] != "0" and request.params.get("ordId") in (None, number))))(request, socket)

    def fill(self) -> None:
        for order in self.orders.values():
            order |= {"accFillSz": order["sz"], "avgPx": order["px"], "state": "filled", "uTime": str(int(time.time() * 1000))}


def enveloped(*data: Any) -> Any:
    return {"code": "0", "msg": "", "data": list(data)}


@pytest.fixture(autouse=True)
def _swept_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ccxt_adapter, "SWEPT_EVERY_S", 0.3)


@asynccontextmanager
async def a_desk(path: Path, *foreign: Any) -> AsyncIterator[tuple[LocalKernel, Okx]]:
    async with fake_venue() as venue:
        okx = Okx(venue, foreign=list(foreign))
        okx.serve()
        kernel = LocalKernel("okx", lambda: open_exchange(
            "okx", market_type="spot", environment="Simulated", credentials=KEYS, rest=venue.rest, websocket=None, ca_pem=None, requests_per_second=None,
            cancel_reserve_percent=10), path / "orders.db", acknowledge_timeout=10)
        await kernel.start()
        try:
            yield kernel, okx
        finally:
            await kernel.stop()


LIMIT = StandardOrder(symbol_id="BTC/USDT", side=Side.BUY, type=OrderType.LIMIT, quantity="0.5", price="30000", time_in_force="GTC")


async def reaches(kernel: LocalKernel, name: str, state: str) -> OrderState:
    async def reached() -> OrderState | None:
        found = await kernel.get_order_state(name)
        return found if str(found.state) == state else None

    return await aeventually(reached, within=60, what=f"{name} is {state}")


@pytest.mark.proves("rule 12", "rule 14")
async def test_an_open_order_on_another_market_of_the_account_does_not_keep_it_from_trading(tmp_path: Path) -> None:
    async with a_desk(tmp_path, SWAP) as (kernel, okx):
        name = await kernel.place_order(LIMIT)
        await reaches(kernel, name, "Open")
        okx.fill()
        await reaches(kernel, name, "Filled")
        assert (await kernel.health_check())["healthy"]
        assert (await kernel.get_reconciliation_metrics())["external_orders"] == 1


@pytest.mark.proves("rule 8")
async def test_our_fill_is_seen_though_somebody_opens_an_order_elsewhere_on_the_account_meanwhile(tmp_path: Path) -> None:
    async with a_desk(tmp_path) as (kernel, okx):
        name = await kernel.place_order(LIMIT)
        await reaches(kernel, name, "Open")
        okx.foreign += [SWAP, a_foreign("BTC-USD-261225", "FUTURES", "556")]
        okx.fill()
        await reaches(kernel, name, "Filled")


@pytest.mark.proves("rule 14")
@pytest.mark.parametrize("strange", [
    a_foreign("BTC-USDT", "SPOT", "557", state="dancing"),
    a_foreign("BTC-USDT", "SPOT", "557", sz="much"),
    {"instId": ["BTC"], "clOrdId": "web1"},
], ids=["in a state that nobody knows", "of a size that is no number", "with an instrument that breaks ccxt"])
async def test_an_order_of_somebody_else_that_can_not_be_read_takes_nothing_else_with_it(tmp_path: Path, strange: Any) -> None:
    async with a_desk(tmp_path, strange, SWAP) as (kernel, okx):
        name = await kernel.place_order(LIMIT)
        await reaches(kernel, name, "Open")
        okx.fill()
        await reaches(kernel, name, "Filled")
        assert (await kernel.get_reconciliation_metrics())["external_orders"] == 2


async def test_an_order_of_ours_that_can_not_be_read_makes_the_list_incomplete_and_our_fill_is_seen_by_its_id(tmp_path: Path) -> None:
    async with a_desk(tmp_path) as (kernel, okx):
        name = await kernel.place_order(LIMIT)
        await reaches(kernel, name, "Open")
        [order] = okx.orders.values()
        okx.foreign.append(a_foreign("BTC-USDT-SWAP", "SWAP", "558", order["clOrdId"][:6] + "0" * 26))

        async def told() -> bool:
            return any("not whole" in problem for problem in (await kernel.health_check())["problems"])

        await aeventually(told, within=60, what="the list is told to be incomplete")
        okx.fill()
        await reaches(kernel, name, "Filled")


async def test_more_open_orders_than_one_page_holds_do_not_keep_the_account_from_trading(tmp_path: Path) -> None:
    async with a_desk(tmp_path, *(a_foreign("BTC-USDT", "SPOT", str(1000 + number)) for number in range(100))) as (kernel, okx):
        name = await kernel.place_order(LIMIT)
        await reaches(kernel, name, "Open")
        okx.fill()
        await reaches(kernel, name, "Filled")
        assert "has more of them than it lists" in (await kernel.health_check())["problems"][0]


async def test_only_the_orders_of_the_accounts_own_kind_of_market_are_asked_for(tmp_path: Path) -> None:
    """A spot and a swap account of one installation share a number at the exchange: the other's orders are ours by their ids, and none of its."""
    async with a_desk(tmp_path) as (_, okx):
        asked = await okx.venue.arrival("GET", "/api/v5/trade/orders-pending")
    assert asked.params["instType"] == "SPOT"
    async with rows.connected(ROWS["okx", "swap"]) as (exchange, _):
        assert next(exchange._dialect.open_orders(None)).params["instType"] == "SWAP"


async def test_a_market_that_a_new_list_did_not_have_either_is_not_loaded_for_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ccxt_markets, "RELOAD_AFTER_S", 0.0)
    async with rows.connected(ROWS["okx", "spot"]) as (exchange, venue):
        loaded, fetch_markets = [], exchange._ccxt.fetch_markets

        async def counted() -> Any:
            loaded.append(1)
            return await fetch_markets()

        exchange._ccxt.fetch_markets = counted
        venue.on("GET", "/api/v5/trade/orders-pending", says(200, enveloped(SWAP)))
        for _ in range(3):
            listing = await exchange.open_orders()
            assert isinstance(listing, Listing)
            assert not listing.items
            assert len(listing.unread) == 1
        assert len(loaded) == 1
        assert exchange.unreadable_entries == 0, "somebody else's order is no fault of an answer"
