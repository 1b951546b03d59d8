"""ccxt's own code without a wire: which request it makes, what it reads, and what it is not let do."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from exchange_kernel.exchanges.ccxt.unified import Built, NotBuilt, built, read
from exchange_kernel.exchanges.ccxt.wire import STAMP, wired


class Unified:
    """Methods as ccxt writes them, over the request of the wired class."""

    options: dict[str, Any]

    def __init__(self) -> None:
        self.exchange = wired("binance")({"apiKey": "a", "secret": "b"})

    def __getattr__(self, name: str) -> Any:
        return getattr(self.exchange, name)

    async def once(self, id_: str) -> Any:
        return [await self.exchange.fetch2("order", ["private"], "GET", {"id": id_, "at": self.exchange.milliseconds()})]

    async def twice(self) -> Any:
        first = await self.exchange.fetch2("account", "private", "GET", {})
        return first, await self.exchange.fetch2("order", ["private"], "POST", {})

    async def catches(self) -> Any:
        try:
            return await self.exchange.fetch2("order", "private")
        except Exception:
            return "hidden"

    async def never(self) -> Any:
        return "nothing was asked"

    async def breaks(self) -> Any:
        raise KeyError("secret text")

    async def sleeps(self) -> Any:
        await asyncio.sleep(1)

    async def gathers(self) -> Any:
        return await asyncio.gather(self.once("a"), self.once("b"))


def test_a_request_is_seen_and_not_made() -> None:
    assert built(Unified(), "once", "x") == Built("order", ("private",), "GET", {"id": "x", "at": 1_500_000_000_000}, 1)
    token = STAMP.set(1_800_000_000_000)
    assert built(Unified(), "once", "x").params["at"] == 1_800_000_000_000, "what holds a time holds the stamp"
    STAMP.reset(token)
    assert STAMP.get() == 0


def test_ccxts_own_except_does_not_hide_it() -> None:
    assert built(Unified(), "catches").path == "order"


@pytest.mark.parametrize(("method", "why"), [
    ("never", "ccxt makes no request of this"), ("breaks", r"ccxt makes no request of this \(KeyError\)"),
    ("sleeps", "ccxt waits for something else first"), ("gathers", "ccxt waits for something else first"),
])
async def test_what_is_no_single_request_is_not_built(method: str, why: str) -> None:
    before = asyncio.all_tasks()
    with pytest.raises(NotBuilt, match=f"^{why}$"):
        built(Unified(), method)
    assert asyncio.all_tasks() == before, "and nothing was started"
    assert asyncio.get_running_loop().is_running()


def test_an_answer_is_read_where_it_is_the_only_one() -> None:
    assert read(Unified(), {"a": 1}, "once", "x") == [{"a": 1}]
    with pytest.raises(NotBuilt, match="more than once"):
        read(Unified(), {"a": 1}, "twice")


def test_what_ccxt_would_make_up_is_left_out() -> None:
    exchange = wired("binance")({"apiKey": "a", "secret": "b"})
    said = {"id": "1", "status": "closed", "amount": "2", "filled": None}
    assert exchange.safe_order(said) == said
    assert exchange.safe_trade({"amount": "2", "price": "3"}) == {"amount": "2", "price": "3"}


def test_a_number_for_once_is_never_used_again_where_the_venue_counts_them() -> None:
    exchange = wired("kraken")({"apiKey": "a", "secret": "b"})
    token = STAMP.set(1_800_000_000_000)
    assert (exchange.nonce(), exchange.nonce()) == (1_800_000_000_000, 1_800_000_000_000)
    exchange.increasing_nonce = True
    assert [exchange.nonce(), exchange.nonce(), exchange.nonce()] == [1_800_000_000_000, 1_800_000_000_001, 1_800_000_000_002]
    STAMP.reset(token)
    assert exchange.nonce() == 0, "unstamped is still what every venue refuses"
