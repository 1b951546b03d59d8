"""What goes wrong on request: each fault as a client meets it, and what the venue's own ledger says afterwards."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import aiohttp
import pytest

from exchange_kernel.exchanges.simulated.faults import Lane
from tests.support import aeventually
from tests.unit.exchanges.simulated.client import Client, StoppedClock, a_venue, cases

ORDER = {"method": "POST", "path": "/api/v3/order"}
LIMIT = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "1", "price": "50000"}
PATIENCE = aiohttp.ClientTimeout(total=1.0)


@pytest.fixture
async def venue():
    async with a_venue() as client:
        yield client


async def fault(venue: Client, **fields: Any) -> Any:
    return await venue.control("POST", "/faults", fields)


async def send(venue: Client, **others: str) -> tuple[int, bytes]:
    async with venue.ask("POST", "/api/v3/order", body=venue.signed(**LIMIT, **others)) as response:
        return response.status, await response.read()


async def accepted(venue: Client) -> int:
    return len((await venue.control("GET", "/ledger"))["orders"])


@pytest.mark.parametrize(("reason", "fields", "error", "orders"), cases(
    ("dropped before it was read", {"do": "drop-request"}, aiohttp.ServerDisconnectedError, 0),
    ("dropped after it was accepted", {"do": "drop-reply"}, aiohttp.ServerDisconnectedError, 1),
    ("half an answer", {"do": "truncate"}, aiohttp.ClientPayloadError, 1),
    ("half an answer to what was not accepted", {"do": "drop-reply", "accepted": False}, aiohttp.ServerDisconnectedError, 0),
))
async def test_the_connection_breaks(venue, reason, fields, error, orders):
    await fault(venue, match=ORDER, **fields)
    with pytest.raises(error):
        await send(venue)
    assert await accepted(venue) == orders
    assert (await send(venue))[0] == 200, "once only"


@pytest.mark.parametrize(("reason", "fields", "status", "body", "orders"), cases(
    ("a gateway's page, the order accepted", {"do": "status", "status": 502}, 502, b"<html>", 1),
    ("a gateway's page, the order lost", {"do": "status", "status": 502, "accepted": False}, 502, b"<html>", 0),
    ("execution unknown, in the venue's words", {"do": "status", "status": 504, "body": '{"code":-1007,"msg":"…"}'}, 504, b'{"code":-1007', 1),
    ("too many requests", {"do": "status", "status": 429, "headers": {"Retry-After": "7"}, "body": "{}"}, 429, b"{}", 0),
    ("a page instead of an answer", {"do": "garbage"}, 200, b"<html>", 1),
    ("nothing", {"do": "empty"}, 200, b"", 1),
))
async def test_the_answer_is_not_the_venues(venue, reason, fields, status, body, orders):
    await fault(venue, match=ORDER, **fields)
    answered, content = await send(venue)
    assert answered == status
    assert content.startswith(body)
    assert (content == b"") is (body == b"")
    assert await accepted(venue) == orders


async def test_headers_of_a_status_are_sent(venue):
    await fault(venue, match=ORDER, do="status", status=418, headers={"Retry-After": "7"})
    async with venue.ask("POST", "/api/v3/order", body=venue.signed(**LIMIT)) as response:
        assert (response.status, response.headers["Retry-After"]) == (418, "7")


@pytest.mark.parametrize(("reason", "fields", "orders"), cases(
    ("it hangs before it is accepted", {"do": "hang"}, 0),
    ("it hangs after it was accepted", {"do": "hang", "accepted": True}, 1),
    ("its reply comes too late", {"do": "delay-reply", "ms": 60_000}, 1),
))
async def test_the_client_gives_up(venue, reason, fields, orders):
    await fault(venue, match=ORDER, **fields)
    with pytest.raises(TimeoutError):
        async with venue.session.post(f"{venue.served.rest}/api/v3/order", data=venue.signed(**LIMIT), headers={"X-MBX-APIKEY": venue.key}, timeout=PATIENCE):
            pass
    assert await accepted(venue) == orders


async def test_a_late_reply_is_still_the_answer(venue):
    await fault(venue, match=ORDER, do="delay-reply", ms=50)
    began = time.monotonic()
    assert (await send(venue))[0] == 200
    assert time.monotonic() - began >= 0.05


async def test_a_request_that_waited_before_the_engine_is_accepted_within_its_window_and_refused_beyond_it():
    clock = StoppedClock()
    async with a_venue(clock) as venue:
        for waited, status in ((3000, 200), (3001, 400)):
            await fault(venue, match=ORDER, do="delay-before", ms=1500)
            request = asyncio.create_task(send(venue, recvWindow="3000"))
            await seen(venue, "POST /api/v3/order")
            clock.at += waited
            assert (await request)[0] == status
            await venue.control("POST", "/requests/reset")
        assert await accepted(venue) == 1


async def seen(venue: Client, name: str) -> None:
    await aeventually(lambda: venue.exchange.requests.counts[name].count, within=60, every=0.001, what=f"{name} has arrived")


async def test_a_fault_is_for_what_it_matches_as_often_as_it_says_and_counts_are_kept(venue):
    await fault(venue, match={**ORDER, "params": {"symbol": "ETHUSDT"}}, do="drop-request")
    await fault(venue, match=ORDER, do="status", status=503, count=2)
    assert [(await send(venue))[0] for _ in range(3)] == [503, 503, 200]
    left = (await venue.control("GET", "/faults"))["faults"]
    assert left == [{"match": {"method": "POST", "path": "/api/v3/order", "params": {"symbol": "ETHUSDT"}}, "do": "drop-request", "left": 1}]
    assert (await venue.control("GET", "/requests"))["requests"]["POST /api/v3/order"] == {"count": 3, "weight": 3}


async def test_without_a_count_left_it_goes_on_until_it_is_lifted(venue):
    await fault(venue, match={"path": "/api/v3/order"}, do="status", status=503, count=None)
    assert [(await send(venue))[0] for _ in range(3)] == [503] * 3
    assert (await venue.control("DELETE", "/faults"))["faults"] == []
    assert (await send(venue))[0] == 200


@pytest.mark.proves("F49")
async def test_an_accepted_order_is_hidden_from_lookups_and_from_nothing_else():
    clock = StoppedClock()
    async with a_venue(clock) as venue:
        await fault(venue, do="visibility-delay", ms=1000)
        await venue.place(newClientOrderId="mine")
        await venue.control("POST", "/market", {"fill": {"clientOrderId": "mine", "quantity": "0.5"}})
        for after_ms, visible in ((999, False), (1, True)):
            clock.at += after_ms
            assert (await venue.attempt("GET", "/api/v3/order", symbol="BTCUSDT", origClientOrderId="mine"))[0] == (200 if visible else 400)
            for path in ("/api/v3/openOrders", "/api/v3/allOrders", "/api/v3/myTrades"):
                assert len(await venue.call("GET", path, symbol="BTCUSDT")) == visible, path
        assert await accepted(venue) == 1


async def test_a_hidden_order_can_be_cancelled_and_its_id_is_taken(venue):
    await fault(venue, do="visibility-delay", ms=60_000)
    await venue.place(newClientOrderId="mine")
    assert (await venue.refused("POST", "/api/v3/order", **LIMIT, newClientOrderId="mine"))[2] == "Duplicate order sent."
    assert (await venue.call("DELETE", "/api/v3/order", symbol="BTCUSDT", origClientOrderId="mine"))["status"] == "CANCELED"
    await venue.control("DELETE", "/faults")
    assert (await venue.call("GET", "/api/v3/order", symbol="BTCUSDT", origClientOrderId="mine"))["status"] == "CANCELED", "lifted, it shows"


@pytest.mark.proves("F49")
async def test_a_silent_venue_answers_nobody_until_it_is_lifted(venue):
    await fault(venue, do="silence")
    asked = [asyncio.create_task(venue.public("/api/v3/time")), asyncio.create_task(send(venue))]
    await seen(venue, "POST /api/v3/order")
    await seen(venue, "GET /api/v3/time")
    assert not any(task.done() for task in asked)
    await venue.control("DELETE", "/faults")
    for error in await asyncio.gather(*asked, return_exceptions=True):
        assert isinstance(error, aiohttp.ServerDisconnectedError)
    assert await accepted(venue) == 0
    assert (await send(venue))[0] == 200


async def test_a_venue_that_refuses_is_not_there_and_comes_back_at_the_same_address(venue):
    assert (await send(venue))[0] == 200
    await fault(venue, do="silence", mode="refuse")
    async with aiohttp.ClientSession() as fresh:        # not a connection from before, which was dropped
        with pytest.raises(aiohttp.ClientConnectorError):
            await send(Client(venue.served, fresh))
    await fault(venue, do="lift")
    assert (await send(venue))[0] == 200
    assert await accepted(venue) == 2


async def test_the_venues_own_port_answers_control_too_and_survives_its_own_refusal(venue):
    async with venue.session.post(f"{venue.served.rest}/control/faults", json={"do": "silence", "mode": "refuse"}) as response:
        assert (await response.json())["network"] == "refuse"
    assert (await venue.control("DELETE", "/faults"))["network"] == "open"


@pytest.mark.parametrize(("reason", "body", "words"), cases(
    ("a fault that isn't", {"do": "explode"}, "explode"),
    ("a status without one", {"do": "status"}, "status needs a status"),
    ("a delay without one", {"do": "delay-reply"}, "needs ms"),
    ("a field that isn't", {"do": "hang", "milliseconds": 5}, "milliseconds"),
))
async def test_a_fault_that_makes_no_sense_is_refused_in_words(venue, reason, body, words):
    async with venue.session.post(f"{venue.served.control}/faults", json=body) as response:
        assert response.status == 400
        assert words in (await response.json())["error"]


async def test_a_probability_spares_some_and_the_same_seed_spares_the_same():
    runs = []
    for _ in range(2):
        async with a_venue() as venue:
            await fault(venue, match=ORDER, do="status", status=503, count=None, probability=0.5)
            runs.append([(await send(venue))[0] for _ in range(20)])
            suffered = (await venue.control("GET", "/faults"))["suffered"]
            assert suffered == {"status 503": runs[-1].count(503)}
    assert runs[0] == runs[1]
    assert set(runs[0]) == {200, 503}


@pytest.mark.parametrize(("reason", "fields", "copies"), cases(
    ("every event is lost", {"loss": 1}, 0),
    ("every event comes twice", {"duplication": 1}, 2),
    ("nothing is wrong", {}, 1),
))
async def test_a_stream_is_unreliable_until_it_is_lifted(venue, reason, fields, copies):
    await fault(venue, do="unreliable-stream", **fields)
    assert venue.exchange.faults.told(Lane(), "event", trade=False) == ["event"] * copies
    await fault(venue, do="lift")
    assert venue.exchange.faults.told(Lane(), "event", trade=False) == ["event"]
