"""A Sandbox account never reaches the live exchange: each row's wire is told from live's by its host or by a header, or the account does not open."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from exchange_kernel.exchanges.ccxt import open_exchange
from exchange_kernel.exchanges.ccxt.dialects import DIALECTS
from exchange_kernel.exchanges.ccxt.probe import invented_markets
from exchange_kernel.exchanges.ccxt.rows import ROWS
from exchange_kernel.exchanges.port import CannotOpen, Credentials
from tests.contract.fake_venue import Answer, FakeVenue, Received, fake_venue, says
from tests.contract.test_ccxt_adapter import Gate
from tests.contract.test_rows import a_request

KEYS = Credentials({"apiKey": "key", "secret": "c2VjcmV0IG9mIDMyIGJ5dGVzIG9mIHRoZSB0ZXN0cy4=", "password": "password",
                    "walletAddress": "0x" + "22" * 20, "privateKey": "0x" + "11" * 32})

#: Where a Sandbox account's orders go, and the header that says that they are not live.
SANDBOXES: dict[tuple[str, str], tuple[str, dict[str, str]]] = {
    ("binance", "spot"): ("testnet.binance.vision", {}),
    ("bybit", "spot"): ("api-testnet.bybit.com", {}),
    ("bybit", "swap"): ("api-testnet.bybit.com", {}),
    ("okx", "spot"): ("www.okx.com", {"x-simulated-trading": "1"}),
    ("okx", "swap"): ("www.okx.com", {"x-simulated-trading": "1"}),
    ("gate", "spot"): ("api-testnet.gateapi.io", {}),
    ("gate", "swap"): ("api-testnet.gateapi.io", {}),
    ("deribit", "swap"): ("test.deribit.com", {}),
    ("cryptocom", "spot"): ("uat-api.3ona.co", {}),
    ("cryptocom", "swap"): ("uat-api.3ona.co", {}),
}
WITHOUT = sorted({*ROWS, *DIALECTS} - {*SANDBOXES})


def opened(exchange_id: str, market_type: str, environment: str, rest: str | None = None) -> Any:
    return open_exchange(exchange_id, market_type=market_type, environment=environment, credentials=KEYS, rest=rest, websocket=None, ca_pem=None,
                         requests_per_second=None, cancel_reserve_percent=10)


class Anything(dict[tuple[str, str], deque[Answer]]):
    """Answers whatever is asked."""

    def __missing__(self, where: tuple[str, str]) -> deque[Answer]:
        return deque([says(200, {})])


@asynccontextmanager
async def at_loopback(exchange: Any) -> AsyncIterator[FakeVenue]:
    """Every address of the account is on loopback, with its own host as the first part of the path: nothing else is contacted."""
    def redirected(urls: Any) -> Any:
        if isinstance(urls, dict):
            return {name: redirected(url) for name, url in urls.items()}
        return urls if not isinstance(urls, str) else f"{venue.rest}/{urls.partition('://')[2]}"

    async with fake_venue() as venue:
        venue.script = Anything(venue.script)
        exchange._ccxt.urls["api"] = redirected(exchange._ccxt.urls["api"])
        try:
            yield venue
        finally:
            await exchange.close()


async def an_order_of(exchange: Any, key: tuple[str, str]) -> Received:
    """The request that sends an order, as it arrived."""
    row = ROWS[key]

    async def fetch_markets() -> Any:
        return [{**market, "settle": row.settle or market["settle"]} for market in invented_markets(exchange._ccxt) if market["type"] == row.market_type]

    async with at_loopback(exchange) as venue:
        exchange._ccxt.fetch_markets = fetch_markets
        await exchange.markets()
        await exchange.submit(a_request(row), Gate())
        [sent] = [request for request in venue.received if request.params or request.body]
    return sent


@pytest.mark.parametrize("key", [key for key in SANDBOXES if key in ROWS], ids="-".join)
async def test_an_order_of_a_sandbox_account_is_not_one_that_the_live_exchange_would_take(key: tuple[str, str]) -> None:
    host, headers = SANDBOXES[key]
    sandbox = await an_order_of(opened(*key, "Sandbox"), key)
    live = await an_order_of(opened(*key, "Live"), key)
    assert sandbox.path.split("/")[1] == host
    assert headers.items() <= sandbox.headers.items()
    assert host != live.path.split("/")[1] or headers
    assert not headers.keys() & live.headers.keys(), "a live order does not say that it is simulated"


async def test_binances_sandbox_is_another_host_by_rest_and_by_its_stream() -> None:
    sandbox, live = opened("binance", "spot", "Sandbox"), opened("binance", "spot", "Live")
    for exchange, rest, stream in ((sandbox, "testnet.binance.vision", "ws-api.testnet.binance.vision"), (live, "api.binance.com", "ws-api.binance.com")):
        assert rest in exchange._ccxt.urls["api"]["private"]
        assert stream in exchange._ccxt.urls["api"]["ws"]["ws-api"]["spot"]
        await exchange.close()


@pytest.mark.parametrize("key", WITHOUT, ids="-".join)
async def test_without_a_sandbox_that_can_be_told_from_live_the_account_does_not_open(key: tuple[str, str]) -> None:
    with pytest.raises(CannotOpen) as refused:
        opened(*key, "Sandbox")
    assert refused.value.reason in ("NoSandbox", "NotUsable")


async def test_each_row_is_on_one_of_the_two_lists() -> None:
    assert set(SANDBOXES) <= {*ROWS, *DIALECTS}
    assert WITHOUT == [("binanceusdm", "swap"), ("bitget", "spot"), ("coinbase", "spot"), ("htx", "spot"), ("hyperliquid", "swap"), ("kraken", "spot"),
                       ("kucoin", "spot"), ("mexc", "spot")]


async def test_what_is_public_says_so_too_for_a_demo_has_other_markets() -> None:
    async with at_loopback(exchange := opened("okx", "spot", "Sandbox")) as venue:
        await exchange.clock()
        assert venue.received
        assert all(request.headers["x-simulated-trading"] == "1" for request in venue.received)


@pytest.mark.parametrize(("exchange_id", "rest"), [("bybit", "https://api.bybit.com"), ("binance", "https://api.binance.com"), ("kraken", "https://api.kraken.com")])
async def test_a_sandbox_whose_endpoint_is_the_live_exchange_does_not_open(exchange_id: str, rest: str) -> None:
    with pytest.raises(CannotOpen, match="can't be told from live") as refused:
        opened(exchange_id, "spot", "Sandbox", rest)
    assert refused.value.reason == "NoSandbox"


async def test_behind_a_gateway_an_okx_demo_still_says_that_it_is_one() -> None:
    row = ROWS["okx", "spot"]
    async with fake_venue() as venue:
        venue.script = Anything(venue.script)
        exchange = opened("okx", "spot", "Sandbox", venue.rest)
        exchange._ccxt.set_markets(invented_markets(exchange._ccxt))

        async def fetch_markets() -> Any:
            return [market for market in invented_markets(exchange._ccxt) if market["type"] == "spot"]

        exchange._ccxt.fetch_markets = fetch_markets
        await exchange.markets()
        await exchange.submit(a_request(row), Gate())
        await exchange.close()
        [sent] = venue.calls("POST", "/api/v5/trade/order")
    assert sent.headers["x-simulated-trading"] == "1"


async def test_an_exchange_without_a_sandbox_can_be_reached_through_a_gateway_to_one() -> None:
    async with fake_venue() as venue:
        await opened("kraken", "spot", "Sandbox", venue.rest).close()
