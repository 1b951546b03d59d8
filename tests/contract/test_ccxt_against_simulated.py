"""The whole path: our adapter, ccxt's signature, sockets, and a venue in another process that matches orders and keeps the truth in its ledger."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import aiohttp
import pytest

from exchange_kernel.core.answers import (
    Accepted,
    Duplicate,
    ExchangeOrder,
    Found,
    GroupAccepted,
    GroupFound,
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
from exchange_kernel.core.venue import GroupLeg, GroupRequest, OrderRequest
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


LOST: list[tuple[dict[str, Any], bool, str]] = [
    ({"do": "drop-reply"}, True, "taken, and no answer"),
    ({"do": "truncate"}, True, "taken, and half an answer"),
    ({"do": "garbage"}, True, "taken, and a page"),
    ({"do": "empty"}, True, "taken, and nothing"),
    ({"do": "status", "status": 502}, True, "taken, and a gateway's 502"),
    ({"do": "status", "status": 503, "accepted": False}, False, "not taken, and a 503"),
    ({"do": "drop-request"}, False, "not taken, and no answer"),
]


@pytest.mark.proves("rule 1", "F1")
@pytest.mark.parametrize(("fault", "lives", "reason"), LOST, ids=lambda value: value if isinstance(value, str) else "")
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


# ── Orders that wait, amends and lists ──────────────────────────────────────────────────────────────────────────────────────────────────────

async def trade_at(venue: Venue, *prices: str) -> None:
    """The last price is each of these in turn."""
    for price in prices:
        maker = a_request(side="Sell", quantity=Decimal("0.001"), price=Decimal(price))
        await accepted(venue, maker)
        taker = await accepted(venue, a_request(quantity=Decimal("0.001"), price=Decimal(price), time_in_force="IOC"))
        assert taker.order.status is OrderStatus.FILLED, "at this price somebody else was in the book"


def a_stop(**changes: Any) -> OrderRequest:
    return a_request(**{"side": "Sell", "type": "StopMarket", "price": None, "time_in_force": None, "trigger_price": Decimal(49000), "trigger_price_type": "Last",
                        **changes})


def a_trail(**changes: Any) -> OrderRequest:
    return a_stop(**{"type": "TrailingStop", "trigger_price": None, "trailing_offset": Decimal(200), "trailing_unit": "BasisPoints", **changes})


async def looked_up(venue: Venue, request: OrderRequest) -> ExchangeOrder:
    found = await venue.exchange.lookup(ref_of(request))
    assert isinstance(found, Found), found
    return found.order


@pytest.mark.proves("F37", "F45")
@pytest.mark.parametrize(("request_", "idle", "fires"), [
    (a_stop(type="StopLimit", price=Decimal(50500), time_in_force="GTC"), "49500", "49000"),
    (a_stop(type="TakeProfitLimit", price=Decimal(51500), time_in_force="GTC", trigger_price=Decimal(51000)), "50500", "51000"),
    (a_stop(type="StopLimit", side="Buy", price=Decimal(49500), time_in_force="GTC", trigger_price=Decimal(51000)), "50500", "51000"),
    (a_stop(type="TakeProfitLimit", side="Buy", price=Decimal(48500), time_in_force="GTC"), "49500", "49000"),
], ids=lambda value: f"{value.side} {value.type}" if isinstance(value, OrderRequest) else "")
async def test_an_order_with_a_limit_waits_for_its_price_and_then_rests(venue: Venue, request_: OrderRequest, idle: str, fires: str) -> None:
    request = replace(request_, client_order_id=uuid.uuid4().hex)
    await trade_at(venue, "50000")
    facts = venue.exchange.stream()
    assert await anext(facts) is Gap.SUBSCRIBED
    waits = (await accepted(venue, request)).order
    assert (waits.type, waits.status, waits.trigger_price, waits.trigger_time_ms) == (request.type, OrderStatus.OPEN, request.trigger_price, None)
    await trade_at(venue, idle)
    assert (await looked_up(venue, request)).trigger_time_ms is None
    await trade_at(venue, fires)
    fired = await looked_up(venue, request)
    assert (fired.status, fired.type, fired.price, fired.trigger_price) == (OrderStatus.OPEN, request.type, request.price, request.trigger_price)
    assert fired.trigger_time_ms is not None
    told = [update.order for update in await _updates_of(facts, request, 2)]
    assert [(order.type, order.trigger_price, order.trigger_time_ms) for order in told] == [
        (request.type, request.trigger_price, None), (request.type, request.trigger_price, fired.trigger_time_ms)]
    assert isinstance(await venue.exchange.cancel(ref_of(request), Gate()), Accepted)
    await facts.aclose()


async def _updates_of(facts: AsyncIterator[StreamFact], request: OrderRequest, count: int) -> list[OrderUpdate]:
    """The next so many of one order, among those of others."""
    found: list[OrderUpdate] = []
    async with asyncio.timeout(10):
        while len(found) < count:
            if (update := await _update(facts)).order.client_order_id == request.client_order_id:
                found.append(update)
    return found


async def test_a_stop_at_the_market_takes_what_the_book_offers_when_its_price_comes(venue: Venue) -> None:
    await trade_at(venue, "50000")
    bid = a_request(quantity=Decimal("0.5"), price=Decimal(48900))
    request = a_stop()
    await accepted(venue, bid)
    await accepted(venue, request)
    await trade_at(venue, "49000")
    order = await looked_up(venue, request)
    assert (order.type, order.status, order.filled_quantity, order.filled_quote_quantity) == (
        "StopMarket", OrderStatus.FILLED, Decimal("0.5"), Decimal("0.5") * 48900)
    assert order.trigger_time_ms is not None


async def test_a_stop_that_finds_nothing_to_take_expires(venue: Venue) -> None:
    await trade_at(venue, "50000")
    request = a_stop()
    await accepted(venue, request)
    await trade_at(venue, "49000")
    order = await looked_up(venue, request)
    assert (order.status, order.filled_quantity) == (OrderStatus.EXPIRED, Decimal(0)), "by its own terms: a market order takes what is there"


@pytest.mark.parametrize(("request_", "moves", "fires", "reason"), [
    (a_trail(), ["51000", "50000"], "49980", "down from the highest, two in a hundred"),
    (a_trail(side="Buy"), ["49000", "49900"], "49980", "up from the lowest"),
    (a_trail(trigger_price=Decimal(51000)), ["49000", "51000", "52000", "51000"], "50960", "a sale follows only from its activation on"),
    (a_trail(side="Buy", trigger_price=Decimal(49000)), ["51000", "49000", "48000", "48900"], "48960", "and so does a purchase"),
], ids=lambda value: value if isinstance(value, str) else "")
async def test_a_trailing_stop_follows_the_market(venue: Venue, request_: OrderRequest, moves: list[str], fires: str, reason: str) -> None:
    request = replace(request_, client_order_id=uuid.uuid4().hex)
    await trade_at(venue, "50000")
    waits = (await accepted(venue, request)).order
    assert (waits.type, waits.trigger_price, waits.trigger_time_ms) == ("TrailingStop", request.trigger_price, None)
    await trade_at(venue, *moves)
    order = await looked_up(venue, request)
    assert (order.type, order.status, order.trigger_price, order.trigger_time_ms) == ("TrailingStop", OrderStatus.OPEN, request.trigger_price, None), reason
    await trade_at(venue, fires)
    assert (await looked_up(venue, request)).trigger_time_ms is not None, reason


@pytest.mark.parametrize("request_", [a_stop(trigger_price=Decimal(50500)), a_stop(type="TakeProfitMarket", trigger_price=Decimal(49500)),
                                      a_trail(trigger_price=Decimal(49500))], ids=lambda request: request.type)
async def test_what_would_trigger_at_once_is_refused_and_makes_no_order(venue: Venue, request_: OrderRequest) -> None:
    request = replace(request_, client_order_id=uuid.uuid4().hex)
    await trade_at(venue, "50000")
    assert await venue.exchange.submit(request, Gate()) == Refused("-2010", "Stop price would trigger immediately")
    assert await venue.exchange.lookup(ref_of(request)) == NotFound()
    assert await venue.ledger(request.client_order_id) == []


@pytest.mark.proves("rule 10")
async def test_an_amend_lowers_the_quantity_and_the_order_is_found_by_the_id_it_had(venue: Venue) -> None:
    facts = venue.exchange.stream()
    assert await anext(facts) is Gap.SUBSCRIBED
    request = a_request()
    order = (await accepted(venue, request)).order
    await venue.fill(request.client_order_id, "0.1")
    outcome = await venue.exchange.amend(ref_of(request, order.exchange_order_id), replace(request, quantity=Decimal("0.3")), Gate())
    assert isinstance(outcome, Accepted)
    amended = outcome.order
    assert (amended.client_order_id, amended.exchange_order_id, amended.quantity, amended.filled_quantity, amended.price, amended.status) == (
        request.client_order_id, order.exchange_order_id, Decimal("0.3"), Decimal("0.1"), PRICE, OrderStatus.OPEN)
    found = await looked_up(venue, request)
    assert (found.exchange_order_id, found.quantity, found.filled_quantity) == (order.exchange_order_id, Decimal("0.3"), Decimal("0.1"))
    told = [update.order for update in await _updates_of(facts, request, 3)]
    assert [(one.quantity, one.filled_quantity) for one in told] == [(Decimal("0.5"), Decimal(0)), (Decimal("0.5"), Decimal("0.1")), (Decimal("0.3"), Decimal("0.1"))]
    for quantity, words in (("0.3", "The requested action would change no state; rejecting"), ("0.4", "Order amend (quantity increase) is not supported")):
        refused = await venue.exchange.amend(ref_of(request), replace(request, quantity=Decimal(quantity)), Gate())
        assert refused == Refused("-2038", words)
    await venue.exchange.cancel(ref_of(request), Gate())
    assert isinstance(await venue.exchange.amend(ref_of(request), replace(request, quantity=Decimal("0.2")), Gate()), UnknownOrder)
    await facts.aclose()


@pytest.mark.proves("rule 1")
@pytest.mark.parametrize("fault", [{"do": "drop-reply"}, {"do": "garbage"}, {"do": "status", "status": 502}, {"do": "truncate"}], ids=str)
async def test_an_amend_without_an_answer_was_made_once_and_is_found(venue: Venue, fault: dict[str, Any]) -> None:
    request = a_request()
    await accepted(venue, request)
    await venue.faults(**fault, match={"method": "PUT"})
    assert isinstance(await venue.exchange.amend(ref_of(request), replace(request, quantity=Decimal("0.3")), Gate()), Unknown)
    assert (await looked_up(venue, request)).quantity == Decimal("0.3")
    await venue.exchange.cancel(ref_of(request), Gate())


def exits(**changes: Any) -> tuple[OrderRequest, OrderRequest]:
    return a_request(side="Sell", price=Decimal(51000), **changes), a_stop(**changes)


def a_group(mode: str, *requests: OrderRequest) -> GroupRequest:
    return GroupRequest(uuid.uuid4().hex, mode, tuple(GroupLeg("Leg", request) for request in requests))


async def group_accepted(venue: Venue, request: GroupRequest) -> GroupAccepted:
    outcome = await venue.exchange.submit_group(request, Gate())
    assert isinstance(outcome, GroupAccepted), outcome
    assert [order.client_order_id for order in outcome.orders] == [leg.request.client_order_id for leg in request.legs]
    assert await venue.exchange.lookup_group("BTC/USDT", request.list_id) == GroupFound(
        request.list_id, outcome.exchange_list_id, tuple(sorted((leg.request.client_order_id for leg in request.legs), key=_place(outcome))))
    return outcome


def _place(outcome: GroupAccepted) -> Any:
    """The venue lists a group's orders by its own numbers for them."""
    number = {order.client_order_id: int(order.exchange_order_id) for order in outcome.orders}
    return number.__getitem__


async def test_one_of_two_orders_that_fills_cancels_the_other(venue: Venue) -> None:
    await trade_at(venue, "50000")
    profit, loss = exits()
    facts = venue.exchange.stream()
    assert await anext(facts) is Gap.SUBSCRIBED
    assert (await group_accepted(venue, a_group("OneCancelsOther", profit, loss))).orders[1].trigger_price == Decimal(49000)
    await venue.fill(profit.client_order_id, "0.5")
    assert [update.order.status for update in await _updates_of(facts, loss, 2)] == [OrderStatus.OPEN, OrderStatus.CANCELED], "the stream tells of both"
    await facts.aclose()
    assert ((await looked_up(venue, profit)).status, (await looked_up(venue, loss)).status) == (OrderStatus.FILLED, OrderStatus.CANCELED), (
        "the venue ended the other: it is no expiry by the order's own terms")


async def test_to_cancel_one_of_two_orders_cancels_both(venue: Venue) -> None:
    await trade_at(venue, "50000")
    profit, loss = exits()
    await group_accepted(venue, a_group("OneCancelsOther", profit, loss))
    outcome = await venue.exchange.cancel(ref_of(loss), Gate())
    assert isinstance(outcome, Accepted)
    assert (outcome.order.client_order_id, outcome.order.status, outcome.order.trigger_price) == (loss.client_order_id, OrderStatus.CANCELED, Decimal(49000))
    assert [(await looked_up(venue, one)).status for one in (profit, loss)] == [OrderStatus.CANCELED, OrderStatus.CANCELED]

async def test_an_entry_releases_its_exits_once_it_is_filled(venue: Venue) -> None:
    await trade_at(venue, "50000")
    entry, (profit, loss) = a_request(price=Decimal(49500)), exits()
    accepted_group = await group_accepted(venue, a_group("Bracket", entry, profit, loss))
    assert [order.status for order in accepted_group.orders] == [OrderStatus.OPEN] * 3
    await venue.fill(entry.client_order_id, "0.5")
    await venue.fill(profit.client_order_id, "0.5")
    assert [(await looked_up(venue, one)).status for one in (entry, profit, loss)] == [OrderStatus.FILLED, OrderStatus.FILLED, OrderStatus.CANCELED]


async def test_an_order_releases_another(venue: Venue) -> None:
    await trade_at(venue, "50000")
    first, second = a_request(price=Decimal(49500)), a_request(side="Sell", price=Decimal(51000))
    await group_accepted(venue, a_group("OneTriggersOther", first, second))
    await venue.fill(first.client_order_id, "0.5")
    assert await venue.fill(second.client_order_id, "0.5")
    assert (await looked_up(venue, second)).status is OrderStatus.FILLED


@pytest.mark.proves("rule 1")
async def test_a_list_is_made_whole_or_not_at_all(venue: Venue) -> None:
    await trade_at(venue, "50000")
    profit, loss = exits()
    wrong = a_group("OneCancelsOther", replace(profit, price=Decimal(49500)), loss)
    assert await venue.exchange.submit_group(wrong, Gate()) == Refused("-2010", "The relationship of the prices for the orders is not correct")
    assert await venue.exchange.submit_group(a_group("OneCancelsOther", profit, loss), Gate(late_by_s=3.5)) == TimeRefused(
        "Timestamp for this request is outside of the recvWindow")
    assert await venue.exchange.lookup_group("BTC/USDT", wrong.list_id) == NotFound()
    assert await venue.ledger(profit.client_order_id, loss.client_order_id) == []


@pytest.mark.proves("rule 1", "F1", "F2")
@pytest.mark.parametrize(("fault", "lives", "reason"), LOST, ids=lambda value: value if isinstance(value, str) else "")
async def test_a_list_whose_answer_is_lost_is_found_with_its_orders_and_not_made_twice(venue: Venue, fault: dict[str, Any], lives: bool, reason: str) -> None:
    await trade_at(venue, "50000")
    request = a_group("OneCancelsOther", *exits())
    await venue.faults(**fault, match={"method": "POST"})
    assert isinstance(await venue.exchange.submit_group(request, Gate()), Unknown), reason
    found = await venue.exchange.lookup_group("BTC/USDT", request.list_id)
    assert isinstance(found, GroupFound if lives else NotFound), reason
    if not isinstance(found, GroupFound):
        assert await venue.ledger(*(leg.request.client_order_id for leg in request.legs)) == []
        return
    assert set(found.client_order_ids) == {leg.request.client_order_id for leg in request.legs}
    assert await venue.exchange.submit_group(request, Gate()) == Duplicate("-2010")
    assert len(await venue.ledger(*found.client_order_ids)) == 2
    await venue.exchange.cancel(ref_of(request.legs[0].request), Gate())


async def test_balances_tell_what_open_orders_hold(venue: Venue) -> None:
    request = a_request()
    await accepted(venue, request)
    held = await venue.exchange.balances()
    assert isinstance(held, Listing)
    assert held.complete
    assert {one.asset: one.locked for one in held.items}["USDT"] == Decimal("0.5") * PRICE
    await venue.exchange.cancel(ref_of(request), Gate())
    assert await venue.exchange.positions("BTC/USDT") == Listing((), complete=True)


def test_the_timeout_is_one_that_the_venue_itself_keeps() -> None:
    assert wire.TIMEOUT_S == 10
