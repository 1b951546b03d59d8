"""Answers that are within every bound and still cost a second to read: what one account may take of the process for them, and in what steps it does."""

from __future__ import annotations

import asyncio
import gc
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from exchange_kernel.core.answers import Accepted, Found, Listing, Unknown, Unreachable
from exchange_kernel.exchanges.ccxt import bounds, link, markets, share
from exchange_kernel.exchanges.ccxt.outcomes import TOO_LARGE
from exchange_kernel.exchanges.ccxt.share import BURST_S, PER_SECOND, Share
from exchange_kernel.handlers import settings
from tests.contract.fake_venue import EXCHANGE_INFO, an_order, cancelled, says, submitted
from tests.contract.hostile import as_bytes
from tests.contract.test_ccxt_adapter import CANCEL, ID, LOOKUP, ORDER, REF, Gate, a_request, connected

OPEN_ORDERS = ("GET", "/api/v3/openOrders")
MARKETS = ("GET", "/api/v3/exchangeInfo")


@dataclass
class Hand:
    """A clock that is moved by hand."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


def many(number: int = 3000) -> list[dict[str, Any]]:
    return [an_order(orderId=one, clientOrderId=f"{one:032}") for one in range(number)]


# ── What an account may take ────────────────────────────────────────────────────────────────────────────────────────────────────────────────

def test_a_burst_is_free_and_what_is_beyond_it_is_paid_by_the_second() -> None:
    hand = Hand()
    mine = Share(hand)
    mine.take(BURST_S - 0.1)
    assert mine.used_up_s == 0
    mine.take(0.3)
    assert mine.used_up_s == pytest.approx(0.2 / PER_SECOND)
    hand.now += 0.2 / PER_SECOND
    assert mine.used_up_s == pytest.approx(0, abs=1e-6)
    hand.now += 10**6
    mine.take(BURST_S + 0.01)
    assert mine.used_up_s == pytest.approx(0.01 / PER_SECOND), "no more than a burst is saved up"


@pytest.mark.proves("rule 14")
async def test_an_exchange_that_used_up_its_share_is_asked_for_no_list_and_orders_go_on() -> None:
    hand = Hand()
    async with connected() as (exchange, venue):
        await exchange.markets()
        await exchange.clock()
        account: Any = exchange
        account._share = Share(hand)
        account._share.take(BURST_S + 1)
        for call, answer in ((OPEN_ORDERS, says(200, [])), (ORDER, submitted()), (CANCEL, cancelled()), (LOOKUP, says(200, an_order(clientOrderId=ID)))):
            venue.on(*call, answer)
        venue.received.clear()
        assert await exchange.open_orders() == Unreachable(TOO_LARGE)
        assert await exchange.markets(reload=True) == Unreachable(TOO_LARGE)
        assert venue.received == [], "nothing was asked"
        assert isinstance(await exchange.submit(a_request(), Gate()), Accepted)
        assert isinstance(await exchange.cancel(REF, Gate()), Accepted)
        assert isinstance(await exchange.lookup(REF), Found)
        hand.now += 1 / PER_SECOND
        assert isinstance(await exchange.open_orders(), Listing), "and once it is paid, lists are read again"


@pytest.mark.proves("rule 1")
async def test_a_large_answer_without_a_share_left_proves_nothing() -> None:
    async with connected() as (exchange, venue):
        await exchange.markets()
        await exchange.clock()
        account: Any = exchange
        padded = {**an_order(clientOrderId=ID), "padding": ["a" * 1000] * 100}
        assert len(as_bytes(padded)) > bounds.SLICE
        venue.on(*LOOKUP, says(200, padded))
        assert isinstance(await exchange.lookup(REF), Found), "with a share it is read"
        account._share.take(BURST_S + 1)
        for call in (ORDER, CANCEL):
            venue.on(*call, says(200, padded))
        assert isinstance(await exchange.submit(a_request(), Gate()), Unknown)
        assert isinstance(await exchange.cancel(REF, Gate()), Unknown)
        assert isinstance(await exchange.lookup(REF), Unreachable)


@pytest.mark.proves("rule 14")
async def test_what_large_lists_take_is_their_own_accounts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lists without a fault, again and again: the next one is not asked for, and a neighbour's is."""
    monkeypatch.setattr(share, "BURST_S", 0.2)
    monkeypatch.setattr(link, "PATIENCE_S", 0.0)
    async with connected() as (one, liar), connected() as (other, honest):
        for exchange in (one, other):
            await exchange.markets()
            await exchange.clock()
        liar.on(*OPEN_ORDERS, says(200, many()))
        honest.on(*OPEN_ORDERS, says(200, [an_order()]))
        read = 0
        while isinstance(listed := await one.open_orders(), Listing):
            assert len(listed.items) == 3000
            read += 1
            assert read < 50, "nothing is taken of the share"
        assert listed == Unreachable(TOO_LARGE)
        assert read, "a list that is begun is read to its end"
        assert isinstance(await other.open_orders(), Listing)


async def test_a_list_that_is_almost_paid_for_waits() -> None:
    async with connected() as (exchange, venue):
        await exchange.markets()
        await exchange.clock()
        account: Any = exchange
        account._share.take(BURST_S + 0.1 * PER_SECOND)
        venue.on(*OPEN_ORDERS, says(200, []))
        assert isinstance(await exchange.open_orders(), Listing)


# ── In what steps ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

@pytest.mark.proves("rule 17")
async def test_no_step_reads_more_than_a_few_entries() -> None:
    seen: list[int] = []
    turned = 0

    async def turn() -> None:
        nonlocal turned
        while True:
            turned += 1
            await asyncio.sleep(0)

    def read(entry: int, _: None) -> int:
        seen.append(turned)
        return entry

    turning = asyncio.create_task(turn())
    items, _ = await markets.parsed(range(2500), read, None, Share())
    turning.cancel()
    assert items == list(range(2500))
    assert max(len(list(same)) for _, same in itertools.groupby(seen)) <= markets.AT_ONCE


@pytest.mark.proves("rule 17")
async def test_a_long_page_is_freed_in_steps() -> None:
    page: list[Any] = many(6500)
    freed, turned = 0, 0

    async def turn() -> None:
        nonlocal freed, turned
        left = len(page)
        while True:
            await asyncio.sleep(0)
            turned += 1
            freed, left = max(freed, left - len(page)), len(page)

    turning = asyncio.create_task(turn())
    await asyncio.sleep(0)
    await markets.let_go(page)
    turning.cancel()
    assert len(page) <= markets.LONG
    assert freed < markets.LONG


@pytest.fixture
def calm(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The process's collector as the operator sets it, without setting anything aside."""
    before = gc.get_threshold()
    monkeypatch.setattr(gc, "freeze", lambda: None)
    settings.calm_garbage_collector()
    yield
    gc.set_threshold(*before)


@pytest.mark.proves("rule 17")
def test_the_collector_never_looks_through_a_large_answer_at_once(calm: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "REST_S", 0.0)
    symbols = [{**EXCHANGE_INFO["symbols"][0], "symbol": f"A{number}USDT", "lists": [[]] * 100} for number in range(3000)]
    content = as_bytes({**EXCHANGE_INFO, "symbols": symbols})
    looked_through: list[int] = []

    def look(phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            looked_through.append(sum(len(gc.get_objects(generation)) for generation in range(info["generation"] + 1)))

    gc.callbacks.append(look)
    try:
        document = bounds.read_json(content, bounds.MARKETS)
    finally:
        gc.callbacks.remove(look)
    assert len(document["symbols"]) == 3000
    assert len(looked_through) > 100, "it makes as many objects as that"
    assert max(looked_through) < 30_000
