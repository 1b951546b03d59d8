"""The whole path: our adapter, ccxt's signature, sockets, and a venue in another process that matches orders and keeps the truth in its ledger."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import aiohttp
import pytest

from exchange_kernel.core.answers import (
    Accepted,
    Duplicate,
    Found,
    Listing,
    NotFound,
    NotSent,
    OrderStatus,
    Refused,
    TimeRefused,
    Unknown,
    UnknownOrder,
    Unreachable,
)
from exchange_kernel.core.venue import OrderRequest
from exchange_kernel.exchanges.ccxt import open_exchange, wire
from exchange_kernel.exchanges.port import ClockReading, Closed, Credentials, Exchange, Gap, OrderRef, OrderUpdate, StreamFact

VENUE = """
import asyncio, json
from exchange_kernel.exchanges.simulated import Settings, SimulatedExchange, serve

async def main():
    exchange = SimulatedExchange(Settings(market_maker=False, weight_limit=10_000_000))
    async with serve(exchange) as served:
        print(json.dumps({"rest": served.rest, "websocket": served.websocket, "control": served.control}), flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""

PRICE = Decimal(50000)


@pytest.fixture(scope="module")
def addresses() -> Iterator[dict[str, str]]:
    with subprocess.Popen([sys.executable, "-c", VENUE], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())
        process.terminate()


class Gate:
    """Open, and stamped with the venue's time, which is ours here; `late_by` makes the stamp old."""

    def __init__(self, late_by_s: float = 0, closed: str | None = None) -> None:
        self._late_by_s, self._closed = late_by_s, closed

    def stamp(self) -> int | Closed:
        return int((time.time() - self._late_by_s) * 1000)

    def check(self, stamp: int) -> Closed | None:
        return Closed(self._closed) if self._closed else None


@dataclass
class Venue:
    """An account of its own at the venue, the adapter on it, and the venue's control."""

    exchange: Exchange
    http: aiohttp.ClientSession
    control: str
    uid: int

    async def command(self, path: str, command: dict[str, Any]) -> Any:
        async with self.http.post(f"{self.control}/{path}", json=command) as response:
            assert response.status == 200, await response.text()
            return await response.json()

    async def ledger(self, *client_order_ids: str) -> list[dict[str, Any]]:
        """The venue's own truth about our orders."""
        async with self.http.get(f"{self.control}/ledger") as response:
            orders = (await response.json())["orders"]
        return [order for order in orders if order["uid"] == self.uid and order["clientOrderId"] in client_order_ids]

    async def faults(self, **fault: Any) -> None:
        await self.command("faults", fault)

    async def fill(self, client_order_id: str, quantity: str) -> Any:
        return await self.command("market", {"fill": {"clientOrderId": client_order_id, "quantity": quantity}})


@pytest.fixture
async def venue(addresses: dict[str, str]) -> AsyncIterator[Venue]:
    key = uuid.uuid4().hex
    async with aiohttp.ClientSession() as http:
        async with http.post(f"{addresses['control']}/keys", json={"apiKey": key, "apiSecret": "s3cret"}) as response:
            uid = (await response.json())["uid"]
        exchange = open_exchange(
            "binance", market_type="spot", environment="Simulated", credentials=Credentials({"apiKey": key, "secret": "s3cret"}), rest=addresses["rest"],
            websocket=addresses["websocket"], ca_pem=None, requests_per_second=None, cancel_reserve_percent=10)
        try:
            yield Venue(exchange, http, addresses["control"], uid)
        finally:
            await http.delete(f"{addresses['control']}/faults")
            await exchange.close()


def a_request(**changes: Any) -> OrderRequest:
    values: dict[str, Any] = {
        "client_order_id": uuid.uuid4().hex, "symbol": "BTC/USDT", "side": "Buy", "type": "Limit", "quantity": Decimal("0.5"), "price": PRICE,
        "time_in_force": "GTC",
    }
    return OrderRequest(**{**values, **changes})


def ref_of(request: OrderRequest, exchange_order_id: str | None = None) -> OrderRef:
    return OrderRef(request.symbol, request.client_order_id, exchange_order_id)


async def accepted(venue: Venue, request: OrderRequest) -> Accepted:
    outcome = await venue.exchange.submit(request, Gate())
    assert isinstance(outcome, Accepted), outcome
    return outcome


async def test_the_life_of_an_order_is_the_same_in_answers_lookups_listings_and_the_stream(venue: Venue) -> None:
    facts = venue.exchange.stream()
    assert await anext(facts) is Gap.SUBSCRIBED
    request = a_request(quantity=Decimal("0.500009"), price=Decimal("50000.019"))
    order = (await accepted(venue, request)).order
    assert (order.status, order.quantity, order.price) == (OrderStatus.OPEN, Decimal("0.5"), Decimal("50000.01"))
    await venue.fill(request.client_order_id, "0.2")
    outcome = await venue.exchange.cancel(ref_of(request, order.exchange_order_id), Gate())
    assert isinstance(outcome, Accepted)
    assert (outcome.order.status, outcome.order.filled_quantity) == (OrderStatus.CANCELED, Decimal("0.2"))

    streamed = [await _update(facts) for _ in range(3)]
    assert [(update.order.status, update.order.filled_quantity) for update in streamed] == [
        (OrderStatus.OPEN, Decimal(0)), (OrderStatus.OPEN, Decimal("0.2")), (OrderStatus.CANCELED, Decimal("0.2"))]
    assert {update.order.client_order_id for update in streamed} == {request.client_order_id}

    found = await venue.exchange.lookup(ref_of(request))
    assert isinstance(found, Found)
    assert found == await venue.exchange.lookup(ref_of(request, order.exchange_order_id))
    assert (found.order.status, found.order.filled_quantity, found.order.client_order_id) == (OrderStatus.CANCELED, Decimal("0.2"), request.client_order_id)

    trades = await venue.exchange.trades("BTC/USDT", exchange_order_id=order.exchange_order_id)
    assert isinstance(trades, Listing)
    assert trades.complete
    [trade] = trades.items
    assert streamed[1].trade is not None
    assert (trade.trade_id, trade.quantity, trade.price, trade.fee) == (
        streamed[1].trade.trade_id, Decimal("0.2"), Decimal("50000.01"), streamed[1].trade.fee)

    listed = await venue.exchange.orders("BTC/USDT", int(time.time() * 1000) - 60_000)
    assert isinstance(listed, Listing)
    assert [(one.exchange_order_id, one.status) for one in listed.items] == [(order.exchange_order_id, OrderStatus.CANCELED)]
    assert await venue.exchange.open_orders() == Listing((), complete=True)
    await facts.aclose()


async def _update(facts: AsyncIterator[StreamFact]) -> OrderUpdate:
    fact = await anext(facts)
    assert isinstance(fact, OrderUpdate), fact
    return fact


@pytest.mark.proves("F28")
async def test_a_market_order_by_quote_quantity_is_filled_with_its_trades_in_the_answer(venue: Venue) -> None:
    seller = a_request(side="Sell", quantity=Decimal("1"))
    await accepted(venue, seller)
    request = a_request(type="Market", price=None, time_in_force=None, quantity=None, quote_quantity=Decimal(10000))
    outcome = await accepted(venue, request)
    assert outcome.order.status is OrderStatus.FILLED
    assert outcome.order.filled_quote_quantity == Decimal(10000)
    assert sum(trade.quantity for trade in outcome.trades) == outcome.order.filled_quantity == Decimal("0.2")
    await venue.exchange.cancel(ref_of(seller), Gate())


async def test_a_refused_order_does_not_exist(venue: Venue) -> None:
    rich = a_request(quantity=Decimal(190))            # nine and a half of the account's ten millions
    await accepted(venue, rich)
    for request, outcome in (
        (a_request(quantity=Decimal("0.00002"), price=Decimal(1)), Refused("-1013", "Filter failure: NOTIONAL")),
        (a_request(quantity=Decimal(20)), Refused("-2010", "Account has insufficient balance for requested action")),
    ):
        assert await venue.exchange.submit(request, Gate()) == outcome
        assert await venue.exchange.lookup(ref_of(request)) == NotFound()
        assert await venue.ledger(request.client_order_id) == []
    await venue.exchange.cancel(ref_of(rich), Gate())


async def test_a_post_only_order_that_would_take_is_refused(venue: Venue) -> None:
    seller = a_request(side="Sell")
    await accepted(venue, seller)
    assert await venue.exchange.submit(a_request(post_only=True), Gate()) == Refused("-2010", "Order would immediately match and take")
    await venue.exchange.cancel(ref_of(seller), Gate())


@pytest.mark.proves("F2")
async def test_a_second_order_under_a_living_id_is_a_duplicate_and_the_first_is_untouched(venue: Venue) -> None:
    facts = venue.exchange.stream()
    assert await anext(facts) is Gap.SUBSCRIBED
    request = a_request()
    first = await accepted(venue, request)
    assert (await _update(facts)).order.status is OrderStatus.OPEN
    assert await venue.exchange.submit(request, Gate()) == Duplicate("-2010")
    found = await venue.exchange.lookup(ref_of(request))
    assert isinstance(found, Found)
    assert found.order.exchange_order_id == first.order.exchange_order_id
    await venue.exchange.cancel(ref_of(request), Gate())
    assert (await _update(facts)).order.status is OrderStatus.CANCELED, "the refusal of the second was no fact about the first"
    await facts.aclose()


@pytest.mark.parametrize(("time_in_force", "filled", "reason"), [("IOC", "0.2", "takes what is there"), ("FOK", "0", "all or nothing")],
                         ids=lambda value: value)
async def test_what_is_not_to_be_had_at_once_expires(venue: Venue, time_in_force: str, filled: str, reason: str) -> None:
    seller = a_request(side="Sell", quantity=Decimal("0.2"))
    await accepted(venue, seller)
    outcome = await accepted(venue, a_request(time_in_force=time_in_force))
    assert (outcome.order.status, outcome.order.filled_quantity) == (OrderStatus.EXPIRED, Decimal(filled)), reason
    await venue.exchange.cancel(ref_of(seller), Gate())


@pytest.mark.proves("rule 4", "F47")
async def test_a_request_older_than_its_window_is_refused_by_the_venue_and_makes_no_order(venue: Venue) -> None:
    request = a_request()
    assert await venue.exchange.submit(request, Gate(late_by_s=3.5)) == TimeRefused("Timestamp for this request is outside of the recvWindow")
    assert isinstance(await venue.exchange.submit(request, Gate(late_by_s=-5)), TimeRefused), "nor one from the future"
    assert isinstance(await venue.exchange.cancel(ref_of(request), Gate(late_by_s=3.5)), TimeRefused)
    assert await venue.exchange.lookup(ref_of(request)) == NotFound()
    assert await venue.ledger(request.client_order_id) == []


@pytest.mark.proves("rule 4")
async def test_a_request_that_waits_in_front_of_the_engine_past_its_window_makes_no_order(venue: Venue) -> None:
    request = a_request()
    await venue.exchange.markets()
    await venue.faults(do="delay-before", ms=1200, match={"method": "POST"})
    outcome = await venue.exchange.submit(request, Gate(late_by_s=2))
    assert isinstance(outcome, TimeRefused)
    assert await venue.ledger(request.client_order_id) == []


@pytest.mark.proves("rule 1", "F1")
@pytest.mark.parametrize(("fault", "lives", "reason"), [
    ({"do": "drop-reply"}, True, "taken, and no answer"),
    ({"do": "truncate"}, True, "taken, and half an answer"),
    ({"do": "garbage"}, True, "taken, and a page"),
    ({"do": "empty"}, True, "taken, and nothing"),
    ({"do": "status", "status": 502}, True, "taken, and a gateway's 502"),
    ({"do": "status", "status": 503, "accepted": False}, False, "not taken, and a 503"),
    ({"do": "drop-request"}, False, "not taken, and no answer"),
], ids=lambda value: value if isinstance(value, str) else "")
async def test_after_an_unknown_outcome_the_lookup_tells_and_nothing_was_sent_twice(venue: Venue, fault: dict[str, Any], lives: bool, reason: str) -> None:
    request = a_request()
    await venue.exchange.markets()
    await venue.faults(**fault, match={"method": "POST"})
    assert isinstance(await venue.exchange.submit(request, Gate()), Unknown), reason
    found = await venue.exchange.lookup(ref_of(request))
    assert isinstance(found, Found if lives else NotFound), reason
    assert len(await venue.ledger(request.client_order_id)) == (1 if lives else 0), reason
    if not lives:
        return
    await venue.faults(**fault, match={"method": "DELETE"})
    assert isinstance(await venue.exchange.cancel(ref_of(request), Gate()), Unknown), reason
    [entry] = await venue.ledger(request.client_order_id)
    assert entry["status"] == "CANCELED", reason
    assert await venue.exchange.cancel(ref_of(request), Gate()) == UnknownOrder("-2011"), "and asking again doesn't know it any more"


async def test_a_venue_that_never_answers_ends_in_unknown(venue: Venue, monkeypatch: pytest.MonkeyPatch, addresses: dict[str, str]) -> None:
    request = a_request()
    await venue.exchange.markets()
    there: Any = venue.exchange
    there._http._timeout = aiohttp.ClientTimeout(total=0.3)
    await venue.faults(do="hang", match={"method": "POST"})
    assert await venue.exchange.submit(request, Gate()) == Unknown("no answer came in time")
    assert await venue.exchange.lookup(ref_of(request)) == NotFound()


async def test_a_venue_that_nobody_listens_for_got_nothing(venue: Venue) -> None:
    request = a_request()
    await venue.exchange.markets()
    await venue.exchange.clock()
    await venue.faults(do="silence", mode="refuse")
    assert await venue.exchange.submit(request, Gate()) in (NotSent("no connection could be made"), Unknown("the connection was lost before the answer"))
    assert await venue.exchange.submit(request, Gate()) == NotSent("no connection could be made"), "no kept connection is left now"
    assert await venue.exchange.lookup(ref_of(request)) == Unreachable("no connection could be made")
    await venue.http.delete(f"{venue.control}/faults")
    assert await venue.ledger(request.client_order_id) == []
    assert isinstance(await venue.exchange.submit(request, Gate()), Accepted)
    await venue.exchange.cancel(ref_of(request), Gate())


@pytest.mark.proves("F5")
async def test_an_accepted_order_may_be_hidden_from_lookups_for_a_while(venue: Venue) -> None:
    await venue.faults(do="visibility-delay", ms=60_000)
    request = a_request()
    await accepted(venue, request)
    assert await venue.exchange.lookup(ref_of(request)) == NotFound(), "evidence, not proof"
    assert await venue.exchange.open_orders() == Listing((), complete=True)
    await venue.http.delete(f"{venue.control}/faults")
    assert isinstance(await venue.exchange.lookup(ref_of(request)), Found)
    await venue.exchange.cancel(ref_of(request), Gate())


async def test_a_busy_venue_is_left_alone(venue: Venue) -> None:
    request = a_request()
    await venue.exchange.markets()
    await venue.faults(do="status", status=429, headers={"Retry-After": "30"}, match={"method": "POST"})
    outcome = await venue.exchange.submit(request, Gate())
    assert outcome == Unknown("the venue asked this account to stay away for a while", 30.0)
    assert isinstance(await venue.exchange.open_orders(), Unreachable)
    assert await venue.ledger(request.client_order_id) == []


@pytest.mark.parametrize("fault", ["disconnect-stream", "terminate-stream"])
async def test_a_stream_that_ended_says_so_and_goes_on(venue: Venue, fault: str) -> None:
    facts = venue.exchange.stream()
    assert await anext(facts) is Gap.SUBSCRIBED
    await venue.faults(do=fault)
    assert await anext(facts) is Gap.DISCONNECTED
    assert await anext(facts) is Gap.SUBSCRIBED
    request = a_request()
    await accepted(venue, request)
    assert (await _update(facts)).order.client_order_id == request.client_order_id
    await venue.exchange.cancel(ref_of(request), Gate())
    await facts.aclose()


async def test_the_fingerprint_is_the_accounts_and_not_the_keys(venue: Venue, addresses: dict[str, str]) -> None:
    assert await venue.exchange.fingerprint() == str(venue.uid)
    await venue.command("keys", {"apiKey": "rotated-" + str(venue.uid), "apiSecret": "other", "uid": venue.uid})
    rotated = open_exchange(
        "binance", market_type="spot", environment="Simulated", credentials=Credentials({"apiKey": "rotated-" + str(venue.uid), "secret": "other"}),
        rest=addresses["rest"], websocket=None, ca_pem=None, requests_per_second=None, cancel_reserve_percent=10)
    assert await rotated.fingerprint() == str(venue.uid)
    await rotated.close()


async def test_the_clock_of_a_venue_that_is_ahead_is_read_and_followed(venue: Venue) -> None:
    await venue.command("clock", {"offsetMs": 60_000})
    try:
        reading = await venue.exchange.clock()
        assert isinstance(reading, ClockReading)
        assert reading.venue_time_ms - time.time() * 1000 == pytest.approx(60_000, abs=2000)
        assert isinstance(await venue.exchange.submit(a_request(), Gate()), TimeRefused), "a send is signed with what its clearance says"
        assert await venue.exchange.lookup(OrderRef("BTC/USDT", "f" * 32)) == NotFound(), "a read with the venue's time"
    finally:
        await venue.command("clock", {"offsetMs": 0})
    assert isinstance(await venue.exchange.lookup(OrderRef("BTC/USDT", "f" * 32)), Unreachable), "the clock jumped back"
    assert await venue.exchange.lookup(OrderRef("BTC/USDT", "f" * 32)) == NotFound(), "and was read again"


async def test_five_hundred_orders_at_once_are_five_hundred_orders(venue: Venue) -> None:
    await venue.exchange.markets()
    requests = [a_request(quantity=Decimal("0.001"), price=Decimal(40000) + number) for number in range(500)]
    limited = asyncio.Semaphore(50)

    async def place(request: OrderRequest) -> Any:
        async with limited:
            return await venue.exchange.submit(request, Gate())

    outcomes = await asyncio.gather(*map(place, requests))
    assert all(isinstance(outcome, Accepted) for outcome in outcomes)
    listing = await venue.exchange.open_orders("BTC/USDT")
    assert isinstance(listing, Listing)
    assert {order.client_order_id for order in listing.items} == {request.client_order_id for request in requests}
    assert len(await venue.ledger(*(request.client_order_id for request in requests))) == 500
    await asyncio.gather(*(venue.exchange.cancel(ref_of(request), Gate()) for request in requests))
    assert await venue.exchange.open_orders() == Listing((), complete=True)


def test_the_timeout_is_one_that_the_venue_itself_keeps() -> None:
    assert wire.TIMEOUT_S == 10
