"""The private stream over a real socket: nothing is lost between two looks, and every hole is said."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import pytest

from exchange_kernel.core.answers import OrderStatus
from exchange_kernel.exchanges.ccxt import open_exchange
from exchange_kernel.exchanges.ccxt.stream import StreamTiming
from exchange_kernel.exchanges.port import Credentials, Exchange, Gap, OrderUpdate, StreamFact
from tests.contract.fake_venue import API_KEY, SECRET, FakeVenue, error, fake_venue, says

ID = "a1b2c3d4e5f60718293a4b5c6d7e8f90"


def a_report(**changes: Any) -> dict[str, Any]:
    """An executionReport, as the venue pushes it."""
    event = {
        "e": "executionReport", "E": 1_800_000_000_002, "s": "BTCUSDT", "c": ID, "S": "BUY", "o": "LIMIT", "f": "GTC", "q": "1.00000000",
        "p": "50000.00000000", "P": "0.00000000", "F": "0.00000000", "g": -1, "C": "", "x": "NEW", "X": "NEW", "r": "NONE", "i": 28,
        "l": "0.00000000", "z": "0.00000000", "L": "0.00000000", "n": "0", "N": None, "T": 1_800_000_000_001, "t": -1, "I": 8641984, "w": True,
        "m": False, "M": False, "O": 1_800_000_000_000, "Z": "0.00000000", "Y": "0.00000000", "Q": "0.00000000", "W": 1_800_000_000_000, "V": "NONE",
    }
    return {"subscriptionId": 0, "event": {**event, **changes}}


@asynccontextmanager
async def streaming(timing: StreamTiming | None = None) -> AsyncIterator[tuple[AsyncIterator[StreamFact], FakeVenue, Exchange]]:
    async with fake_venue() as venue:
        exchange: Any = open_exchange(
            "binance", market_type="spot", environment="Simulated", credentials=Credentials({"apiKey": API_KEY, "secret": SECRET}), rest=venue.rest,
            websocket=venue.websocket, ca_pem=None, requests_per_second=None, cancel_reserve_percent=10)
        exchange._stream_timing = timing or StreamTiming(heartbeat_s=5, first_retry_s=0.01, last_retry_s=0.05)
        facts = exchange.stream()
        try:
            yield facts, venue, exchange
        finally:
            await facts.aclose()
            await exchange.close()


async def test_it_begins_with_a_gap_once_it_is_subscribed_with_a_signature_of_the_venues_time() -> None:
    began = time.monotonic()
    async with streaming() as (facts, venue, _):
        venue.on("GET", "/api/v3/time", says(200, {"serverTime": 1_900_000_000_000}))
        assert await anext(facts) is Gap.SUBSCRIBED
        [message], took_ms = venue.stream_messages, (time.monotonic() - began) * 1000
    assert message["method"] == "userDataStream.subscribe.signature"
    params = dict(message["params"])
    signature = params.pop("signature")
    assert signature == hmac.new(SECRET.encode(), urlencode(sorted(params.items())).encode(), hashlib.sha256).hexdigest()
    assert 0 <= params["timestamp"] - 1_900_000_000_000 < max(1000, took_ms)
    assert params["apiKey"] == API_KEY


async def test_an_event_that_overtakes_the_answer_to_the_subscription_is_kept() -> None:
    async with streaming() as (facts, venue, _):
        venue.overtakes = [a_report(i=1), a_report(i=2)]
        assert await anext(facts) is Gap.SUBSCRIBED
        for number in ("1", "2"):
            fact = await anext(facts)
            assert isinstance(fact, OrderUpdate)
            assert fact.order.exchange_order_id == number


async def test_a_fill_is_the_orders_total_and_the_one_execution() -> None:
    async with streaming() as (facts, venue, _):
        await anext(facts)
        socket = await venue.sockets.get()
        await socket.send_json(a_report(x="TRADE", X="PARTIALLY_FILLED", l="0.10000000", z="0.30000000", L="49999.00000000", Z="14999.70000000", n="0.0001",
                                        N="BNB", t=77))
        fact = await anext(facts)
    assert isinstance(fact, OrderUpdate)
    order, trade = fact.order, fact.trade
    assert (order.client_order_id, order.exchange_order_id, order.symbol, order.status) == (ID, "28", "BTC/USDT", OrderStatus.OPEN)
    assert (order.filled_quantity, order.filled_quote_quantity, order.quantity, order.price) == (
        Decimal("0.3"), Decimal("14999.7"), Decimal(1), Decimal(50000))
    assert (order.update_time_ms, order.created_time_ms) == (1_800_000_000_001, 1_800_000_000_000)
    assert trade is not None
    assert (trade.trade_id, trade.quantity, trade.price, trade.client_order_id) == ("77", Decimal("0.1"), Decimal(49999), ID)
    assert trade.fee is not None
    assert (trade.fee.asset, trade.fee.amount) == ("BNB", Decimal("0.0001"))


async def test_a_burst_reaches_a_reader_that_is_slow_or_away_whole_and_in_order() -> None:
    async with streaming() as (facts, venue, _):
        await anext(facts)
        socket = await venue.sockets.get()
        for number in range(1200):
            await socket.send_json(a_report(x="TRADE", X="PARTIALLY_FILLED", i=number // 4, l="0.1", z=f"0.{number % 4 + 1}", L="1", Z="1", t=number, N="BNB"))
        seen = []
        for _ in range(1200):
            fact = await anext(facts)
            await asyncio.sleep(0)             # others get their turn between two looks
            assert isinstance(fact, OrderUpdate)
            assert fact.trade is not None
            seen.append(fact.trade.trade_id)
    assert seen == [str(number) for number in range(1200)]


@pytest.mark.proves("F30")
async def test_a_lost_connection_is_a_gap_and_so_is_the_new_subscription() -> None:
    async with streaming() as (facts, venue, _):
        await anext(facts)
        first = await venue.sockets.get()
        await first.send_json(a_report())
        assert isinstance(await anext(facts), OrderUpdate)
        await first.close()
        assert await anext(facts) is Gap.DISCONNECTED
        assert await anext(facts) is Gap.SUBSCRIBED
        second = await venue.sockets.get()
        await second.send_json(a_report(X="CANCELED", x="CANCELED", c="the-cancel", C=ID))
        fact = await anext(facts)
    assert isinstance(fact, OrderUpdate)
    assert (fact.order.client_order_id, fact.order.status) == (ID, OrderStatus.CANCELED), "the order's own id is in C"


@pytest.mark.proves("F30")
@pytest.mark.parametrize("event", ["eventStreamTerminated", "serverShutdown"])
async def test_the_venue_may_end_the_subscription_and_leave_the_socket_open(event: str) -> None:
    async with streaming() as (facts, venue, _):
        await anext(facts)
        socket = await venue.sockets.get()
        await socket.send_json({"event": {"e": event, "E": 1}})
        assert await anext(facts) is Gap.DISCONNECTED
        assert await anext(facts) is Gap.SUBSCRIBED


@pytest.mark.proves("F31")
async def test_silence_is_a_gap_even_while_the_gateway_pings() -> None:
    async with streaming(StreamTiming(heartbeat_s=0.5, first_retry_s=0.01, last_retry_s=0.05)) as (facts, venue, _):
        venue.on_ping = lambda message: None
        await anext(facts)
        socket = await venue.sockets.get()

        async def pings() -> None:
            while True:
                await socket.ping()
                await asyncio.sleep(0.01)

        gateway = asyncio.create_task(pings())
        assert await anext(facts) is Gap.SILENT
        gateway.cancel()
        assert await anext(facts) is Gap.SUBSCRIBED
    assert [message["method"] for message in venue.stream_messages][:2] == ["userDataStream.subscribe.signature", "ping"]


async def test_a_quiet_stream_that_answers_is_alive() -> None:
    async with streaming(StreamTiming(heartbeat_s=0.5, first_retry_s=0.01, last_retry_s=0.05)) as (facts, venue, _):
        answered = asyncio.Event()
        pongs = 0

        def on_ping(message: Any) -> Any:
            nonlocal pongs
            pongs += 1
            if pongs == 4:
                answered.set()
            return {"id": message["id"], "status": 200, "result": {}}

        venue.on_ping = on_ping
        await anext(facts)
        socket = await venue.sockets.get()
        await answered.wait()
        await socket.send_json(a_report())
        assert isinstance(await anext(facts), OrderUpdate), "no gap came between"


@pytest.mark.proves("F30", "F38")
@pytest.mark.parametrize(("message", "reason"), [
    ("this is no JSON", "not JSON"),
    ("[]", "not an object"),
    ('{"event": {"e": "executionReport", "s": "BTCUSDT"}}', "a report without its order"),
    ('{"event": {}}', "an event without a name"),
], ids=lambda value: value)
async def test_what_cannot_be_read_is_a_gap_and_the_stream_goes_on(message: str, reason: str) -> None:
    async with streaming() as (facts, venue, _):
        await anext(facts)
        socket = await venue.sockets.get()
        await socket.send_str(message)
        await socket.send_json(a_report())
        assert await anext(facts) is Gap.UNREADABLE, reason
        assert isinstance(await anext(facts), OrderUpdate), reason


async def test_a_report_of_a_market_we_do_not_know_is_a_gap() -> None:
    async with streaming() as (facts, venue, _):
        await anext(facts)
        await (await venue.sockets.get()).send_json(a_report(s="NEWUSDT"))
        assert await anext(facts) is Gap.UNREADABLE


async def test_what_is_of_no_concern_is_no_fact() -> None:
    async with streaming() as (facts, venue, _):
        await anext(facts)
        socket = await venue.sockets.get()
        for event in ({"e": "outboundAccountPosition", "E": 1, "B": []}, {"e": "balanceUpdate"}, {"e": "listStatus"}, {"e": "aThingOfTomorrow"},
                      a_report(x="REJECTED", X="REJECTED", i=-1, r="INSUFFICIENT_BALANCES")["event"]):
            await socket.send_json({"subscriptionId": 0, "event": event})
        await socket.send_json(a_report(i=99))
        fact = await anext(facts)
    assert isinstance(fact, OrderUpdate)
    assert fact.order.exchange_order_id == "99"


async def test_a_subscription_refused_for_its_time_reads_the_clock_before_the_next() -> None:
    async with streaming() as (facts, venue, _):
        refusals = iter([{"code": -1021, "msg": "Timestamp for this request is outside of the recvWindow."}, {"code": -2015, "msg": "Invalid API-key."}])

        def refuse(message: Any) -> Any:
            refusal = next(refusals, None)
            return {"id": message["id"], **({"status": 400, "error": refusal} if refusal else {"status": 200, "result": {"subscriptionId": 0}})}

        venue.on_subscribe = refuse
        assert await anext(facts) is Gap.SUBSCRIBED
    assert len(venue.calls("GET", "/api/v3/time")) == 2
    assert len(venue.stream_messages) == 3


async def test_a_venue_that_is_down_is_tried_until_it_is_up() -> None:
    async with streaming() as (facts, venue, _):
        venue.on("GET", "/api/v3/exchangeInfo", error(503, -1008, "Server is currently overloaded."), *venue.script[("GET", "/api/v3/exchangeInfo")])
        assert await anext(facts) is Gap.SUBSCRIBED
    assert len(venue.calls("GET", "/api/v3/exchangeInfo")) == 2


@pytest.mark.proves("F45")
async def test_a_trigger_that_fires_is_told_with_its_time() -> None:
    async with streaming() as (facts, venue, _):
        await anext(facts)
        socket = await venue.sockets.get()
        waits = {"o": "STOP_LOSS_LIMIT", "S": "SELL", "P": "48000.00000000", "w": False, "W": None}
        for report in (a_report(**waits), a_report(**{**waits, "w": True, "W": 1_800_000_000_700}), a_report(**waits, x="CANCELED", X="CANCELED", C=ID, c="cancel"),
                       a_report(**{**waits, "o": "STOP_LOSS", "P": "0.00000000"}, d=250, D=-1), a_report()):
            await socket.send_json(report)
        told = []
        for _ in range(5):
            fact = await anext(facts)
            assert isinstance(fact, OrderUpdate)
            told.append((fact.order.type, fact.order.trigger_price, fact.order.trigger_time_ms))
    assert told == [
        ("StopLimit", Decimal(48000), None), ("StopLimit", Decimal(48000), 1_800_000_000_700), ("StopLimit", Decimal(48000), None),
        ("TrailingStop", None, None), ("Limit", None, None)]


async def test_after_an_amend_the_order_is_told_of_under_the_id_it_has_now() -> None:
    async with streaming() as (facts, venue, _):
        await anext(facts)
        await (await venue.sockets.get()).send_json(a_report(x="REPLACED", c=ID, C="the-id-before", q="0.40000000"))
        fact = await anext(facts)
    assert isinstance(fact, OrderUpdate)
    assert (fact.order.client_order_id, fact.order.quantity) == (ID, Decimal("0.4"))
