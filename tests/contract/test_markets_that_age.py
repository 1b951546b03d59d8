"""Markets that change under orders: LocalKernel, real ccxt, sockets, and a simulated exchange whose steps, status and list change on cue."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from exchange_kernel.api import RefusalKind
from exchange_kernel.core.answers import Accepted, Found, Listing, OrderStatus, Refused, Unreachable
from exchange_kernel.core.venue import MarketRules
from exchange_kernel.exchanges.ccxt import open_exchange
from exchange_kernel.exchanges.port import Credentials, Exchange, OrderRef
from exchange_kernel.exchanges.simulated import Settings, SimulatedExchange, serve
from exchange_kernel.kernel.errors import ValidationError
from exchange_kernel.kernel.local import LocalKernel
from exchange_kernel.kernel.models import OrderState
from exchange_kernel.reconcile import market_readings
from exchange_kernel.schema import OrderType, Side, StandardOrder
from tests.contract.test_ccxt_against_simulated import Gate, a_request
from tests.support import aeventually

OFF_GRID = StandardOrder(symbol_id="BTC/USDT", side=Side.BUY, type=OrderType.LIMIT, quantity="0.01234", price="50000.13", time_in_force="GTC")
COARSE = {"tick": "0.5", "step": "0.001", "minQuantity": "0.001"}


class Control:
    """The venue, and what a test does to it."""

    def __init__(self, served: Any, http: aiohttp.ClientSession) -> None:
        self.served, self._http = served, http

    async def change(self, **changes: Any) -> dict[str, Any]:
        async with self._http.post(f"{self.served.control}/market", json={"change": {"symbol": "BTC/USDT", **changes}}) as answer:
            assert answer.status == 200, await answer.text()
            return dict(await answer.json())

    async def fill(self, client_order_id: str, quantity: str) -> None:
        async with self._http.post(f"{self.served.control}/market", json={"fill": {"clientOrderId": client_order_id, "quantity": quantity}}) as answer:
            assert answer.status == 200, await answer.text()

    async def fill_all(self, *client_order_ids: str) -> None:
        """In this order, before anything is told of any."""
        async with self._http.post(f"{self.served.control}/market", json={"fills": [{"clientOrderId": one} for one in client_order_ids]}) as answer:
            assert answer.status == 200, await answer.text()

    async def orders(self) -> list[dict[str, Any]]:
        async with self._http.get(f"{self.served.control}/ledger") as answer:
            return list((await answer.json())["orders"])

    def adapter(self) -> Exchange:
        keys = Credentials({"apiKey": "simulated-api-key", "secret": "simulated-api-secret"})
        return open_exchange("binance", market_type="spot", environment="Simulated", credentials=keys, rest=self.served.rest, websocket=self.served.websocket,
                             ca_pem=None, requests_per_second=None, cancel_reserve_percent=10)


@asynccontextmanager
async def a_venue() -> AsyncIterator[Control]:
    async with serve(SimulatedExchange(Settings(market_maker=False, weight_limit=10_000_000))) as served, aiohttp.ClientSession() as http:
        yield Control(served, http)


@asynccontextmanager
async def a_desk(path: Path) -> AsyncIterator[tuple[LocalKernel, Control]]:
    async with a_venue() as venue:
        kernel = LocalKernel("binance", venue.adapter, path / "orders.db", acknowledge_timeout=1)
        await kernel.start()
        try:
            yield kernel, venue
        finally:
            await kernel.stop()


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(market_readings, "APART_S", 0.1)
    monkeypatch.setattr(market_readings, "LONG_APART_S", 0.5)


async def reaches(kernel: LocalKernel, name: str, state: str) -> OrderState:
    async def reached() -> OrderState | None:
        found = await kernel.get_order_state(name)
        return found if str(found.state) == state else None

    return await aeventually(reached, within=60, what=f"{name} is {state}")


# ── The adapter ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

async def test_refusals_say_whether_the_rules_or_the_hours_of_the_market_were_meant() -> None:
    async with a_venue() as venue:
        exchange = venue.adapter()
        try:
            await exchange.markets()
            await venue.change(**COARSE)
            for request, kind in ((a_request(quantity=Decimal("0.01234")), RefusalKind.MARKET_RULES), (a_request(quantity=Decimal(10), price=Decimal(1)), None)):
                refused = await exchange.submit(request, Gate())
                assert isinstance(refused, Refused)
                assert refused.kind is kind
            await venue.change(status="BREAK")
            refused = await exchange.submit(a_request(quantity=Decimal("0.01")), Gate())
            assert isinstance(refused, Refused)
            assert (refused.reason, refused.kind) == ("Market is closed", RefusalKind.MARKET_CLOSED)
            rules = await exchange.markets(reload=True)
            assert not isinstance(rules, Unreachable)
            market = rules["BTC/USDT"]
            assert (market.active, market.status, market.venue_id, market.quantity_step) == (False, "BREAK", "BTCUSDT", Decimal("0.001"))
            await venue.change(status="TRADING", listed=False)
            refused = await exchange.submit(a_request(quantity=Decimal("0.01")), Gate())
            assert isinstance(refused, Refused)
            assert refused.kind is RefusalKind.MARKET_RULES
        finally:
            await exchange.close()


@pytest.mark.parametrize("restarted", [False, True], ids=["same process", "after a restart"])
async def test_an_order_in_a_market_that_is_gone_is_found_listed_and_cancelled_by_the_venues_name(restarted: bool) -> None:
    async with a_venue() as venue:
        exchange = venue.adapter()
        try:
            accepted = await exchange.submit(request := a_request(), Gate())
            assert isinstance(accepted, Accepted)
            await venue.change(listed=False)
            if restarted:
                await exchange.close()
                exchange = venue.adapter()
            rules = await exchange.markets(reload=True)
            assert not isinstance(rules, Unreachable)
            assert "BTC/USDT" not in rules
            ref = OrderRef("BTC/USDT", request.client_order_id, accepted.order.exchange_order_id)
            if restarted:
                assert isinstance(await exchange.lookup(ref), Unreachable)
                exchange.recall(MarketRules(symbol="BTC/USDT", base="BTC", quote="USDT", active=False, quantity_step=None, price_step=None, venue_id="BTCUSDT"))
            assert isinstance(await exchange.lookup(ref), Found)
            listed = await exchange.open_orders()
            assert isinstance(listed, Listing)
            assert ([order.exchange_order_id for order in listed.items], listed.complete) == ([ref.exchange_order_id], True)
            cancelled = await exchange.cancel(ref, Gate())
            assert isinstance(cancelled, Accepted)
            assert cancelled.order.status is OrderStatus.CANCELED
            assert isinstance(await exchange.trades("BTC/USDT", exchange_order_id=ref.exchange_order_id), Listing)
            assert not isinstance(await exchange.submit(a_request(), Gate()), Accepted), "but nothing new goes there"
        finally:
            await exchange.close()


async def test_a_market_whose_entry_cannot_be_read_any_more_stays_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    async with a_venue() as venue:
        exchange: Any = venue.adapter()
        try:
            before = await exchange.markets()
            read = exchange._dialect.read_market

            def not_bitcoin(entry: Any, asset: Any) -> Any:
                return read({} if entry["symbol"] == "BTCUSDT" else entry, asset)

            exchange._dialect = replace(exchange._dialect, read_market=not_bitcoin)
            after = await exchange.markets(reload=True)
            assert after == before
        finally:
            await exchange.close()


# ── A desk ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

async def test_the_steps_changed_under_my_strategy_and_its_next_order_arrives_on_the_new_ones(tmp_path: Path) -> None:
    async with a_desk(tmp_path) as (kernel, venue):
        await venue.change(**COARSE)
        name = await kernel.place_order(OFF_GRID)
        await reaches(kernel, name, "Open")
        (order,) = await venue.orders()
        assert (Decimal(order["origQty"]), Decimal(order["price"])) == (Decimal("0.012"), Decimal("50000.0"))
        metadata = await kernel.get_symbol_metadata("BTC/USDT")
        assert metadata.quantity_step == Decimal("0.001")


async def test_my_order_waits_for_a_market_in_break_and_goes_out_as_it_opens(tmp_path: Path) -> None:
    async with a_desk(tmp_path) as (kernel, venue):
        resting = await kernel.place_order(OFF_GRID)
        await reaches(kernel, resting, "Open")
        await venue.change(status="BREAK")
        other = StandardOrder(symbol_id="BTC/USDT", side=Side.BUY, type=OrderType.LIMIT, quantity="0.02", price="40000", time_in_force="GTC")
        name = await kernel.place_order(other)
        await reaches(kernel, name, "Pending")
        await kernel.cancel_order(resting)
        await reaches(kernel, resting, "Canceled")
        assert [order["status"] for order in await venue.orders()] == ["CANCELED"]
        await venue.change(status="TRADING")
        await reaches(kernel, name, "Open")


async def test_my_order_s_market_is_delisted_and_the_order_fills_and_is_cancelled_all_the_same(tmp_path: Path) -> None:
    async with a_desk(tmp_path) as (kernel, venue):
        name = await kernel.place_order(OFF_GRID)
        await reaches(kernel, name, "Open")
        (order,) = await venue.orders()
        await venue.change(listed=False)
        kernel._desk.session.market_readings.ask()  # type: ignore[union-attr]

        async def told() -> bool:
            return any("BTC/USDT no more" in problem for problem in (await kernel.health_check())["problems"])

        await aeventually(told, within=60, what="the account says that the market is gone")
        await venue.fill(order["clientOrderId"], "0.005")
        await reaches(kernel, name, "PartiallyFilled")
        with pytest.raises(ValidationError, match="no market"):
            await kernel.place_order(OFF_GRID)
        await kernel.cancel_order(name)
        state = await reaches(kernel, name, "Canceled")
        assert state.filled_quantity == Decimal("0.005")
