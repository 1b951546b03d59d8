"""The nouns of these tests: an engine on a clock that stands still, and a plain client of a served venue, which signs by the venue's own rules."""

from __future__ import annotations

import hmac
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import aiohttp
import pytest

from exchange_kernel.exchanges.simulated import DEFAULT_API_KEY, DEFAULT_API_SECRET, Served, Settings, SimulatedExchange, serve
from exchange_kernel.exchanges.simulated.accounts import Account
from exchange_kernel.exchanges.simulated.clock import VenueClock
from exchange_kernel.exchanges.simulated.engine import Engine
from exchange_kernel.exchanges.simulated.order_lists import ListReport
from exchange_kernel.exchanges.simulated.orders import NewOrder, Order, OrderType, Rejection, Report, Side, TimeInForce
from exchange_kernel.exchanges.simulated.symbols import Symbol, symbol

T0 = 1_700_000_000_000
BTC_USDT = symbol("BTC/USDT")


def cases(*rows: tuple[Any, ...]) -> list[Any]:
    """Rows of a table, each named by its first column: the reason."""
    return [pytest.param(*row, id=row[0]) for row in rows]


class StoppedClock(VenueClock):
    """Time as the test says."""

    def __init__(self) -> None:
        super().__init__()
        self.at = T0

    def now_ms(self) -> int:
        return self.at + self.offset_ms

    def steady_ms(self) -> int:
        return self.at


def an_engine(*markets: Symbol, maker_fee: str = "0.001", taker_fee: str = "0.002") -> Engine:
    return Engine(markets or (BTC_USDT,), lambda: T0, maker_fee=Decimal(maker_fee), taker_fee=Decimal(taker_fee))


def an_account(uid: int = 1, **balances: str) -> Account:
    held = {"BTC": "100", "USDT": "10000000", **balances}
    return Account(uid, {asset: Decimal(amount) for asset, amount in held.items()})


def an_order(side: str = "BUY", quantity: str | None = "1", price: str | None = "50000", **terms: Any) -> NewOrder:
    """A limit order, or a MARKET order where it has no price."""
    return NewOrder(
        symbol=terms.pop("symbol", BTC_USDT), side=Side(side), quantity=None if quantity is None else Decimal(quantity),
        price=None if price is None else Decimal(price), type=OrderType(terms.pop("type", "LIMIT" if price is not None else "MARKET")),
        time_in_force=TimeInForce(terms.pop("time_in_force", "GTC")),
        quote_quantity=Decimal(terms.pop("quote")) if "quote" in terms else None,
        stop_price=Decimal(terms.pop("stop")) if "stop" in terms else None, **terms,
    )


class Heard:
    """A listener that keeps what it was told, as it was at that moment."""

    def __init__(self, account: Account) -> None:
        self.events: list[tuple[Any, ...]] = []
        account.listeners.append(self)

    def reported(self, report: Report) -> None:
        self.events.append((report.kind.value, report.order.status.value, report.client_order_id, report.original, str(report.order.executed)))

    def rejected(self, rejection: Rejection) -> None:
        self.events.append(("REJECTED", rejection.reason, rejection.new.client_order_id))

    def list_reported(self, report: ListReport) -> None:
        self.events.append(("LIST", report.status.value, report.order_list.client_order_id))

    def balances_changed(self, account: Account, assets: set[str], time: int) -> None:
        self.events.append(("BALANCES", *sorted(assets)))


def quantities(*orders: Order) -> list[str]:
    return [str(order.executed) for order in orders]


@dataclass
class Client:
    """Asks as a trader would, and as a test does at /control."""

    served: Served
    session: aiohttp.ClientSession
    key: str = DEFAULT_API_KEY
    secret: str = DEFAULT_API_SECRET

    @property
    def exchange(self) -> SimulatedExchange:
        return self.served.exchange

    def signed(self, **params: Any) -> str:
        """A query string. `timestamp=None` leaves it out; an own `signature` stays."""
        params = {"timestamp": self.exchange.clock.now_ms(), **params}
        own = params.pop("signature", None)
        query = urlencode({name: value for name, value in params.items() if value is not None})
        return f"{query}&signature={own or hmac.digest(self.secret.encode(), query.encode(), 'sha256').hex()}"

    def ask(self, method: str, path: str, query: str = "", body: str | None = None, **headers: str) -> Any:
        """A raw request, as a context manager of its response."""
        return self.session.request(
            method, f"{self.served.rest}{path}{'?' if query else ''}{query}", data=body,
            headers={"X-MBX-APIKEY": self.key, "Content-Type": "application/x-www-form-urlencoded", **headers},
        )

    async def call(self, method: str, path: str, **params: Any) -> Any:
        """A signed request that has to succeed."""
        status, document = await self.attempt(method, path, **params)
        assert status == 200, document
        return document

    async def attempt(self, method: str, path: str, **params: Any) -> tuple[int, Any]:
        query = self.signed(**params)
        sent = self.ask(method, path, body=query) if method in ("POST", "PUT") else self.ask(method, path, query)
        async with sent as response:
            return response.status, await response.json(content_type=None)

    async def refused(self, method: str, path: str, **params: Any) -> tuple[int, int, str]:
        """Status, code and message of an error."""
        status, document = await self.attempt(method, path, **params)
        return status, document["code"], document["msg"]

    async def public(self, path: str, **params: Any) -> Any:
        async with self.ask("GET", path, urlencode(params)) as response:
            return await response.json()

    async def control(self, method: str, path: str, body: Any = None) -> Any:
        async with self.session.request(method, self.served.control + path, json=body) as response:
            document = await response.json()
            assert response.status == 200, document
            return document

    async def place(self, side: str = "BUY", quantity: str = "1", price: str | None = "50000", **params: Any) -> Any:
        terms = {"type": "MARKET"} if price is None else {"type": "LIMIT", "timeInForce": "GTC", "price": price}
        return await self.call("POST", "/api/v3/order", **{"symbol": "BTCUSDT", "side": side, "quantity": quantity, **terms, **params})


@asynccontextmanager
async def a_venue(clock: VenueClock | None = None, **settings: Any) -> AsyncIterator[Client]:
    """Served, with nobody in its market."""
    exchange = SimulatedExchange(Settings(**{"market_maker": False, **settings}), clock=clock)
    async with serve(exchange) as served, aiohttp.ClientSession() as session:
        session._retry_connection = False       # what a test sends once arrives once
        yield Client(served, session)
