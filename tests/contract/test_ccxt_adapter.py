"""The ccxt adapter against a venue with the socket in hand: what is written, what each kind of answer proves, and what is never done twice."""

from __future__ import annotations

import asyncio
import decimal
import hashlib
import hmac
import itertools
import logging
import ssl
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from ipaddress import ip_address
from typing import Any

import aiohttp
import pytest
from aiohttp.http_writer import StreamWriter
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

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
from exchange_kernel.exchanges.ccxt import dialect_of, open_exchange, wire
from exchange_kernel.exchanges.port import ClockReading, Closed, Credentials, Exchange, OrderRef, OrderUpdate
from tests.contract.fake_venue import (
    API_KEY,
    EXCHANGE_INFO,
    SECRET,
    Answer,
    FakeVenue,
    Received,
    Socket,
    a_trade,
    an_order,
    cancelled,
    drops,
    error,
    fake_venue,
    holds,
    never,
    says,
    says_bytes,
    submitted,
    truncates,
)

ID = "a1b2c3d4e5f60718293a4b5c6d7e8f90"
REF = OrderRef("BTC/USDT", ID)
ORDER = ("POST", "/api/v3/order")
CANCEL = ("DELETE", "/api/v3/order")
LOOKUP = ("GET", "/api/v3/order")


def a_request(**changes: Any) -> OrderRequest:
    values: dict[str, Any] = {
        "client_order_id": ID, "symbol": "BTC/USDT", "side": "Buy", "type": "Limit", "quantity": Decimal("1"), "price": Decimal("50000"),
        "time_in_force": "GTC",
    }
    return OrderRequest(**{**values, **changes})


@dataclass
class Gate:
    """A clearance that says what it is told to, and keeps what it was asked."""

    closed_at_stamp: str | None = None
    closed_at_check: str | None = None
    events: list[str] = field(default_factory=list)
    stamped: int = 0
    checked: int = 0
    on_check: Callable[[], object] = lambda: None

    def stamp(self) -> int | Closed:
        self.events.append("stamp")
        if self.closed_at_stamp:
            return Closed(self.closed_at_stamp)
        self.stamped = int(time.time() * 1000)
        return self.stamped

    def check(self, stamp: int) -> Closed | None:
        self.events.append("check")
        self.checked = stamp
        self.on_check()
        return Closed(self.closed_at_check) if self.closed_at_check else None


@asynccontextmanager
async def connected(**options: Any) -> AsyncIterator[tuple[Exchange, FakeVenue]]:
    async with fake_venue() as venue:
        exchange = open_account(venue, **options)
        try:
            yield exchange, venue
        finally:
            await exchange.close()


def open_account(venue: FakeVenue, **options: Any) -> Exchange:
    return open_exchange("binance", **{
        "market_type": "spot", "environment": "Simulated", "credentials": Credentials({"apiKey": API_KEY, "secret": SECRET}), "rest": venue.rest,
        "websocket": venue.websocket, "ca_pem": None, "requests_per_second": None, "cancel_reserve_percent": 10, **options,
    })


# ── What is written ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

@pytest.mark.parametrize(("request_", "written", "absent", "reason"), [
    (a_request(), {"type": "LIMIT", "side": "BUY", "quantity": "1", "price": "50000", "timeInForce": "GTC"}, {"quoteOrderQty"}, "a limit order"),
    (a_request(side="Sell", time_in_force="IOC"), {"side": "SELL", "timeInForce": "IOC"}, set(), "time in force as asked"),
    (a_request(time_in_force=None), {"timeInForce": "GTC"}, set(), "a limit order without one is good till cancelled"),
    (a_request(post_only=True), {"type": "LIMIT_MAKER", "price": "50000"}, {"timeInForce"}, "post-only is a type of its own here"),
    (a_request(type="Market", price=None, time_in_force=None), {"type": "MARKET", "quantity": "1"}, {"price", "timeInForce", "quoteOrderQty"},
     "a market order never carries a price"),
    (a_request(type="Market", price=None, time_in_force=None, quantity=None, quote_quantity=Decimal("123.456789019")),
     {"type": "MARKET", "quoteOrderQty": "123.45678901"}, {"price", "quantity"}, "by quote quantity, on the quote asset's grid"),
    (a_request(quantity=Decimal("0.123459"), price=Decimal("50000.019")), {"quantity": "0.12345", "price": "50000.01"}, set(), "a buy rounds its price down"),
    (a_request(side="Sell", price=Decimal("50000.011")), {"price": "50000.02"}, set(), "a sell rounds its price up"),
    (a_request(quantity=Decimal("1E+3"), price=Decimal("5E+4")), {"quantity": "1000", "price": "50000"}, set(), "digits, never an exponent"),
], ids=lambda value: value if isinstance(value, str) else "")
async def test_an_order_is_written_as_the_venue_takes_it_and_never_past_the_limit(request_: OrderRequest, written: dict[str, str], absent: set[str],
                                                                                  reason: str) -> None:
    async with connected() as (exchange, venue):
        venue.on(*ORDER, submitted())
        outcome = await exchange.submit(request_, Gate())
    assert isinstance(outcome, Accepted)
    [sent] = venue.calls(*ORDER)
    assert written.items() <= sent.params.items(), reason
    assert not absent & sent.params.keys(), reason
    assert sent.params["newClientOrderId"] == ID
    assert sent.params["newOrderRespType"] == "FULL"
    assert "x-" not in sent.body


@pytest.mark.proves("rule 4")
async def test_the_request_is_signed_with_the_stamp_and_the_window_that_the_proofs_count_on() -> None:
    async with connected() as (exchange, venue):
        venue.on(*ORDER, submitted())
        gate = Gate()
        await exchange.submit(a_request(), gate)
    [sent] = venue.calls(*ORDER)
    assert sent.params["timestamp"] == str(gate.stamped) == str(gate.checked)
    assert sent.params["recvWindow"] == str(exchange.capabilities.request_window_ms) == "3000"
    unsigned, _, signature = sent.body.rpartition("&signature=")
    assert signature == hmac.new(SECRET.encode(), unsigned.encode(), hashlib.sha256).hexdigest()
    assert sent.headers["x-mbx-apikey"] == API_KEY


@pytest.mark.proves("rule 4", "H3")
@pytest.mark.parametrize("verb", ["submit", "cancel"])
async def test_nothing_is_awaited_between_the_gate_and_the_first_byte(verb: str, monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []
    write, write_lines = StreamWriter._write, StreamWriter._writelines
    monkeypatch.setattr(StreamWriter, "_write", lambda self, chunk: (events.append("written"), write(self, chunk)))
    monkeypatch.setattr(StreamWriter, "_writelines", lambda self, chunks: (events.append("written"), write_lines(self, chunks)))
    async with connected() as (exchange, venue):
        venue.on(*ORDER, submitted())
        venue.on(*CANCEL, cancelled())
        await exchange.markets()
        loop = asyncio.get_running_loop()
        gate = Gate(events=events, on_check=lambda: loop.call_soon(events.append, "the loop turned"))
        events.clear()
        outcome = await (exchange.submit(a_request(), gate) if verb == "submit" else exchange.cancel(REF, gate))
    assert isinstance(outcome, Accepted)
    assert events[:4] == ["stamp", "check", "written", "the loop turned"]


@pytest.mark.proves("rule 4")
@pytest.mark.parametrize("verb", ["submit", "cancel"])
@pytest.mark.parametrize("gate", [Gate(closed_at_stamp="the lease is lost"), Gate(closed_at_check="the lease is lost")], ids=["stamp", "check"])
async def test_a_shut_gate_lets_no_byte_through(verb: str, gate: Gate) -> None:
    async with connected() as (exchange, venue):
        venue.on(*ORDER, submitted())
        venue.on(*CANCEL, cancelled())
        assert await (exchange.submit(a_request(), gate) if verb == "submit" else exchange.cancel(REF, gate)) == NotSent("the lease is lost")
        assert not venue.calls(*ORDER)
        assert not venue.calls(*CANCEL)
        assert isinstance(await exchange.submit(a_request(), Gate()), Accepted)      # and the adapter is none the worse for it


@pytest.mark.proves("F7", "F37")
@pytest.mark.parametrize(("request_", "reason"), [
    (a_request(reduce_only=True), "reduce-only is a promise, not a hint"),
    (a_request(type="Iceberg"), "a type this adapter doesn't speak"),
    (a_request(time_in_force="GTD"), "an order that should end would not"),
    (a_request(price=None), "a limit order without its limit"),
    (a_request(type="Market", time_in_force=None), "a market order with a price is a budget to ccxt"),
    (a_request(quantity=Decimal("0.000009")), "nothing is left of it on the market's grid"),
    (a_request(quote_quantity=Decimal(5)), "two quantities"),
    (a_request(symbol="DOGE/USDT"), "no such market"),
    (a_request(client_order_id="a" * 37), "the venue would cut or refuse the id we look it up by"),
], ids=lambda value: value if isinstance(value, str) else "")
async def test_what_would_be_bent_on_the_way_is_not_sent(request_: OrderRequest, reason: str) -> None:
    async with connected() as (exchange, venue):
        venue.on(*ORDER, submitted())
        assert isinstance(await exchange.submit(request_, Gate()), NotSent), reason
        assert not venue.calls(*ORDER)


async def test_a_cancel_names_the_order_by_both_ids_where_both_are_known() -> None:
    async with connected() as (exchange, venue):
        venue.on(*CANCEL, cancelled())
        outcome = await exchange.cancel(OrderRef("BTC/USDT", ID, "28"), Gate())
    assert isinstance(outcome, Accepted)
    assert outcome.order.client_order_id == ID, "the answer's clientOrderId is the cancel's own name"
    assert outcome.order.status is OrderStatus.CANCELED
    [sent] = venue.calls(*CANCEL)
    assert (sent.params["origClientOrderId"], sent.params["orderId"], sent.params["symbol"]) == (ID, "28", "BTCUSDT")


async def test_fills_in_the_answer_are_trades_with_fees() -> None:
    fills = [
        {"price": "49999.00000000", "qty": "0.40000000", "commission": "0.00040000", "commissionAsset": "BTC", "tradeId": 56},
        {"price": "50000.00000000", "qty": "0.60000000", "commission": "-0.01000000", "commissionAsset": "BNB", "tradeId": 57},
    ]
    async with connected() as (exchange, venue):
        venue.on(*ORDER, submitted(status="FILLED", executedQty="1.00000000", cummulativeQuoteQty="49999.60000000", fills=fills))
        outcome = await exchange.submit(a_request(), Gate())
    assert isinstance(outcome, Accepted)
    assert (outcome.order.status, outcome.order.filled_quantity, outcome.order.filled_quote_quantity) == (
        OrderStatus.FILLED, Decimal("1.00000000"), Decimal("49999.60000000"))
    assert [(trade.trade_id, trade.quantity, trade.price, trade.fee and (trade.fee.asset, trade.fee.amount)) for trade in outcome.trades] == [
        ("56", Decimal("0.4"), Decimal("49999"), ("BTC", Decimal("0.0004"))), ("57", Decimal("0.6"), Decimal("50000"), ("BNB", Decimal("-0.01")))]


# ── What answers prove ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

GARBAGE: list[tuple[Answer, str]] = [
    (says_bytes(200, b"<html>login</html>", Content_Type="text/html"), "200 with a page"),
    (says_bytes(200, b""), "200 with nothing"),
    (says_bytes(200, b'{"symbol": "BTCUS'), "200 with broken JSON"),
    (says_bytes(200, b"null"), "200 with null"),
    (says(200, {}), "200 with an empty object"),
    (says(200, []), "200 with an empty list"),
    (says(200, {"code": -2010, "msg": "Account has insufficient balance for requested action."}), "an error with a 200 is not what the venue documents"),
    (says(200, {**an_order(clientOrderId=ID), "origClientOrderId": ID, "transactTime": 1, "success": False}), "ccxt knows it for an error"),
    (truncates(an_order(clientOrderId=ID)), "a body cut short"),
    (says_bytes(200, b"this is no gzip", Content_Encoding="gzip"), "a body that can't be unpacked"),
    (says_bytes(502, b"<html>bad gateway</html>", Content_Type="text/html"), "a gateway's page"),
    (says_bytes(504, b"<html>gateway timeout</html>", Content_Type="text/html"), "a gateway's timeout"),
    (says_bytes(403, b"<html>forbidden</html>", Content_Type="text/html"), "a firewall's page"),
    (error(500, -1000, "An unknown error occurred while processing the request."), "the venue's own fault"),
    (error(503, -1008, "Server is currently overloaded with other requests. Please try again in a few minutes."), "overload"),
    (error(408, -1007, "Timeout waiting for response from backend server. Send status unknown; execution status unknown."), "says so itself"),
    (error(500, -2010, "Account has insufficient balance for requested action."), "a 5xx proves nothing, whatever its body says"),
    (error(400, -2010, "Something new."), "a known code with words we don't know"),
    (error(400, -9999, "Account has insufficient balance for requested action."), "known words with a code we don't know"),
    (drops, "hung up"),
]


@pytest.mark.proves("rule 1", "F3")
@pytest.mark.parametrize(("answer", "reason"), GARBAGE, ids=lambda value: value if isinstance(value, str) else "")
async def test_what_proves_nothing_is_unknown_or_unreachable(answer: Answer, reason: str) -> None:
    async with connected() as (exchange, venue):
        for call in (ORDER, CANCEL, LOOKUP, ("GET", "/api/v3/openOrders"), ("GET", "/api/v3/allOrders"), ("GET", "/api/v3/myTrades")):
            venue.on(*call, answer)
        assert isinstance(await exchange.submit(a_request(), Gate()), Unknown), reason
        assert isinstance(await exchange.cancel(REF, Gate()), Unknown), reason
        assert isinstance(await exchange.lookup(REF), Unreachable), reason
        if reason != "200 with an empty list":
            assert isinstance(await exchange.open_orders(), Unreachable), reason
            assert isinstance(await exchange.orders("BTC/USDT", 0), Unreachable), reason
            assert isinstance(await exchange.trades("BTC/USDT", exchange_order_id="28"), Unreachable), reason
        assert len(venue.calls(*ORDER)) == len(venue.calls(*CANCEL)) == 1, "and nothing was sent twice"


@pytest.mark.proves("rule 1", "F1")
async def test_no_answer_in_time_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "TIMEOUT_S", 0.2)
    async with connected() as (exchange, venue):
        for call in (ORDER, CANCEL, LOOKUP):
            venue.on(*call, never)
        assert await exchange.submit(a_request(), Gate()) == Unknown("no answer came in time")
        assert await exchange.cancel(REF, Gate()) == Unknown("no answer came in time")
        assert await exchange.lookup(REF) == Unreachable("no answer came in time")


@pytest.mark.proves("rule 1", "rule 14", "F1")
@pytest.mark.parametrize("verb", ["submit", "cancel", "lookup"])
async def test_a_dead_keep_alive_connection_gets_one_request_and_no_resend(verb: str) -> None:
    async with connected() as (exchange, venue):
        for call in (ORDER, CANCEL, LOOKUP):
            venue.on(*call, drops)
        await exchange.markets()      # the connection is alive, and kept
        await exchange.clock()
        before = venue.connections
        if verb == "submit":
            assert isinstance(await exchange.submit(a_request(), Gate()), Unknown)
        elif verb == "cancel":
            assert isinstance(await exchange.cancel(REF, Gate()), Unknown)
        else:
            assert isinstance(await exchange.lookup(REF), Unreachable)
        assert venue.connections == before, "the kept connection was used"
        assert len(venue.calls(*ORDER)) + len(venue.calls(*CANCEL)) + len(venue.calls(*LOOKUP)) == 1


@pytest.mark.proves("rule 1", "H23")
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_an_answer_and_not_a_way(status: int) -> None:
    async with connected() as (exchange, venue), fake_venue() as elsewhere:
        elsewhere.on(*ORDER, submitted())
        for call in (ORDER, CANCEL, LOOKUP):
            venue.on(*call, says_bytes(status, b"", Location=f"{elsewhere.rest}/api/v3/order"))
        assert await exchange.submit(a_request(), Gate()) == Unknown(f"the venue answered with HTTP {status}")
        assert await exchange.cancel(REF, Gate()) == Unknown(f"the venue answered with HTTP {status}")
        assert await exchange.lookup(REF) == Unreachable(f"the venue answered with HTTP {status}")
        assert not elsewhere.received


@pytest.mark.proves("rule 1")
@pytest.mark.parametrize("rest", ["http://127.0.0.1:1", "http://no-such-host.invalid:80"], ids=["refused", "no such name"])
async def test_where_no_connection_could_be_made_nothing_was_sent(rest: str) -> None:
    async with connected() as (exchange, _):
        await exchange.markets()
        await exchange.clock()
        there: Any = exchange
        there._ccxt.urls["api"] = wire.rebase(there._ccxt.urls["api"], rest, None)
        there._ccxt.addresses.clear()
        assert await exchange.submit(a_request(), Gate()) == NotSent("no connection could be made")
        assert await exchange.cancel(REF, Gate()) == NotSent("no connection could be made")
        assert await exchange.lookup(REF) == Unreachable("no connection could be made")


@pytest.mark.proves("rule 1", "H23", "F2")
@pytest.mark.parametrize(("answer", "outcome", "reason"), [
    (error(400, -2010, "Account has insufficient balance for requested action."),
     Refused("-2010", "Account has insufficient balance for requested action"), "no funds, no order"),
    (error(400, -2010, "Duplicate order sent."), Duplicate("-2010"), "the same code, and it means the opposite: it exists"),
    (error(400, -1013, "Filter failure: NOTIONAL"), Refused("-1013", "Filter failure: NOTIONAL"), "refused before the engine"),
    (error(401, -2015, "Invalid API-key, IP, or permissions for action."), Refused("-2015", "Invalid API-key, IP, or permissions for action"), "not our account"),
    (error(400, -1021, "Timestamp for this request is outside of the recvWindow."),
     TimeRefused("Timestamp for this request is outside of the recvWindow"), "too old: no order, and our clock is not to be trusted"),
    (error(400, -1021, "Timestamp for this request was 1000ms ahead of the server's time."),
     TimeRefused("Timestamp for this request was 1000ms ahead of the server's time"), "too young"),
    (submitted(clientOrderId="b" * 32), Unknown("the venue answered about another order"), "somebody else's answer"),
    (submitted(symbol="ETHUSDT"), Unknown("the venue's answer can't be read"), "another market's answer"),
    (submitted(status="DANCING"), Unknown("the venue's answer can't be read"), "a status nobody documented"),
    (submitted(executedQty=0.1), Unknown("the venue's answer can't be read"), "money as a JSON number has been through a float"),
], ids=lambda value: value if isinstance(value, str) else "")
async def test_a_definite_answer_needs_its_code_and_its_words(answer: Answer, outcome: object, reason: str) -> None:
    async with connected() as (exchange, venue):
        venue.on(*ORDER, answer)
        assert await exchange.submit(a_request(), Gate()) == outcome, reason


@pytest.mark.proves("rule 9", "F9")
@pytest.mark.parametrize(("answer", "outcome", "reason"), [
    (error(400, -2011, "Unknown order sent."), UnknownOrder("-2011"), "filled, not visible yet, or never there: look it up"),
    (error(400, -2011, "Order was not canceled due to cancel restrictions."), Refused("-2011", "Order was not canceled due to cancel restrictions"), "a no"),
    (error(400, -1021, "Timestamp for this request is outside of the recvWindow."),
     TimeRefused("Timestamp for this request is outside of the recvWindow"), "cancels carry a time too"),
    (cancelled(origClientOrderId="b" * 32), Unknown("the venue answered about another order"), "another order's cancel"),
], ids=lambda value: value if isinstance(value, str) else "")
async def test_a_cancel_that_was_not_taken(answer: Answer, outcome: object, reason: str) -> None:
    async with connected() as (exchange, venue):
        venue.on(*CANCEL, answer)
        assert await exchange.cancel(REF, Gate()) == outcome, reason


@pytest.mark.proves("rule 1", "H23")
@pytest.mark.parametrize(("answer", "outcome", "reason"), [
    (error(400, -2013, "Order does not exist."), NotFound(), "the one sentence that is evidence"),
    (error(500, -2013, "Order does not exist."), Unreachable("the venue answered with error -2013"), "but not from a venue that is in trouble"),
    (error(404, -2013, "Not here."), Unreachable("the venue answered with error -2013"), "nor in other words"),
    (error(400, -2026, "Order was canceled or expired with no executed qty over 90 days ago and has been archived."),
     Unreachable("the venue answered with error -2026"), "archived is not absent; it was sent for new orders once"),
    (error(400, -1121, "Invalid symbol."), Unreachable("the venue answered with error -1121"), "says nothing of the order"),
    (error(401, -2015, "Invalid API-key, IP, or permissions for action."), Unreachable("the venue answered with error -2015"), "a rotated key finds nothing"),
    (says(200, an_order(clientOrderId="b" * 32)), Unreachable("the venue answered about another order"), "another order"),
], ids=lambda value: value if isinstance(value, str) else "")
async def test_not_found_is_said_in_one_way_only(answer: Answer, outcome: object, reason: str) -> None:
    async with connected() as (exchange, venue):
        venue.on(*LOOKUP, answer)
        assert await exchange.lookup(REF) == outcome, reason


async def test_a_lookup_reads_the_venues_own_numbers() -> None:
    async with connected() as (exchange, venue):
        venue.on(*LOOKUP, says(200, an_order(clientOrderId=ID, status="CANCELED", executedQty="0.12345678", cummulativeQuoteQty="6172.83900000")))
        found = await exchange.lookup(REF)
        again = await exchange.lookup(OrderRef("BTC/USDT", ID, "28"))
    assert isinstance(found, Found)
    assert (found.order.status, str(found.order.filled_quantity), str(found.order.filled_quote_quantity)) == (OrderStatus.CANCELED, "0.12345678", "6172.83900000")
    assert again == found
    by_our_id, by_theirs = venue.calls(*LOOKUP)
    assert (by_our_id.params.get("origClientOrderId"), by_our_id.params.get("orderId")) == (ID, None)
    assert (by_theirs.params.get("origClientOrderId"), by_theirs.params.get("orderId")) == (None, "28")


@pytest.mark.proves("rule 5")
async def test_the_order_of_a_trade_is_found_by_the_venues_id_alone() -> None:
    """A trade on spot does not tell our id; whose order it is of is asked before the absence of another is believed."""
    async with connected() as (exchange, venue):
        venue.on(*LOOKUP, says(200, an_order(clientOrderId=ID, status="FILLED")))
        assert isinstance(await exchange.lookup(OrderRef("BTC/USDT", "", "28")), Found)
        assert isinstance(await exchange.lookup(OrderRef("BTC/USDT", "", "29")), Unreachable), "that of another order is no answer"


@pytest.mark.proves("rule 14", "F46")
@pytest.mark.parametrize(("status", "headers", "seconds"), [(429, {"Retry-After": "30"}, 30.0), (418, {"Retry-After": "120"}, 120.0), (418, {}, 120.0)])
async def test_the_venues_stay_away_holds_for_the_whole_account(status: int, headers: dict[str, str], seconds: float) -> None:
    async with connected() as (exchange, venue):
        await exchange.markets()
        await exchange.clock()
        venue.on(*ORDER, error(status, -1003, "Too much request weight used; current limit is 6000 request weight per 1 MINUTE.", **headers))
        assert await exchange.submit(a_request(), Gate()) == Unknown("the venue asked this account to stay away for a while", seconds)
        asked = len(venue.received)
        lookup = await exchange.lookup(REF)
        assert isinstance(lookup, Unreachable)
        assert lookup.retry_after_s == pytest.approx(seconds, abs=2)
        assert isinstance(await exchange.open_orders(), Unreachable)
        assert len(venue.received) == asked, "nobody of this account asked the venue anything"
        venue.on(*CANCEL, cancelled())
        assert isinstance(await exchange.cancel(REF, Gate()), Accepted), "a cancel now and then"
        assert isinstance(await exchange.cancel(REF, Gate()), NotSent)
        assert len(venue.received) == asked + 1


async def test_a_code_for_too_many_requests_means_the_same_without_the_status() -> None:
    async with connected() as (exchange, venue):
        venue.on(*ORDER, error(400, -1003, "Too many requests queued."))
        outcome = await exchange.submit(a_request(), Gate())
    assert isinstance(outcome, Unknown)
    assert outcome.retry_after_s


# ── Callers that go away ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

@pytest.mark.proves("H6")
async def test_a_caller_that_leaves_after_the_first_byte_loses_no_answer() -> None:
    async with connected() as (exchange, venue):
        answer = asyncio.Event()
        venue.on(*ORDER, holds(answer, submitted()))
        facts = exchange.stream()
        await anext(facts)                     # subscribed
        sending = asyncio.create_task(exchange.submit(a_request(), Gate()))
        await venue.arrival(*ORDER)
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        answer.set()
        fact = await anext(facts)
        assert isinstance(fact, OrderUpdate)
        assert (fact.order.client_order_id, fact.order.exchange_order_id) == (ID, "28")
        assert len(venue.calls(*ORDER)) == 1
        await facts.aclose()


async def test_a_caller_that_leaves_before_it_takes_its_request_along(monkeypatch: pytest.MonkeyPatch) -> None:
    connecting, connect_now = asyncio.Event(), asyncio.Event()
    connect = aiohttp.TCPConnector.connect

    async def slowly(self: aiohttp.TCPConnector, *args: Any, **options: Any) -> Any:
        connecting.set()
        await connect_now.wait()
        return await connect(self, *args, **options)

    async with connected() as (exchange, venue):
        venue.on(*ORDER, submitted())
        await exchange.markets()
        monkeypatch.setattr(aiohttp.TCPConnector, "connect", slowly)
        gate = Gate()
        sending = asyncio.create_task(exchange.submit(a_request(), gate))
        await connecting.wait()
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        connect_now.set()
        assert isinstance(await exchange.cancel(REF, Gate(closed_at_stamp="later")), NotSent)     # the loop turned, a connection was made
        assert not venue.calls(*ORDER)
        assert gate.events == []


async def test_a_caller_that_leaves_the_queue_of_the_budget_costs_nobody_a_turn() -> None:
    async with connected(requests_per_second=2) as (exchange, venue):
        venue.on(*ORDER, submitted())
        await exchange.markets()
        first = await exchange.submit(a_request(), Gate())
        waiting = [asyncio.create_task(exchange.submit(a_request(), Gate())) for _ in range(20)]      # ten seconds' worth
        await asyncio.sleep(0)
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting)
        async with asyncio.timeout(5):
            second = await exchange.submit(a_request(), Gate())
    assert isinstance(first, Accepted)
    assert isinstance(second, Accepted)
    assert len(venue.calls(*ORDER)) == 2


async def test_a_shut_gate_costs_no_budget() -> None:
    async with connected(requests_per_second=2) as (exchange, venue):
        venue.on(*ORDER, submitted())
        await exchange.markets()
        async with asyncio.timeout(5):         # twenty requests at this rate would take ten seconds
            for _ in range(20):
                assert isinstance(await exchange.submit(a_request(), Gate(closed_at_check="shut")), NotSent)
            assert isinstance(await exchange.submit(a_request(), Gate()), Accepted)


async def test_closing_waits_for_what_is_written_sends_nothing_more_and_leaves_no_task() -> None:
    async with fake_venue() as venue:
        before = asyncio.all_tasks()
        exchange = open_account(venue)
        answer = asyncio.Event()
        venue.on(*ORDER, holds(answer, submitted()))
        facts = exchange.stream()
        await anext(facts)
        sending = asyncio.create_task(exchange.submit(a_request(), Gate()))
        await venue.arrival(*ORDER)
        closing = asyncio.create_task(exchange.close())
        await asyncio.sleep(0)
        assert await exchange.submit(a_request(), Gate()) == NotSent("the connection to the exchange is closed")
        assert await exchange.lookup(REF) == Unreachable("the connection to the exchange is closed")
        answer.set()
        assert isinstance(await sending, Accepted)
        await closing
        assert [fact async for fact in facts][-1:] != [None]
        ours = {task for task in asyncio.all_tasks() - before if "aiohttp/web" not in repr(task.get_coro()) and "FakeVenue" not in repr(task)}
        assert not ours
        assert len(venue.calls(*ORDER)) == 1


# ── Reads ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

async def test_the_clock_is_read_between_two_monotonic_moments() -> None:
    async with connected() as (exchange, venue):
        venue.on("GET", "/api/v3/time", says(200, {"serverTime": 1_800_000_000_123}))
        before = time.monotonic()
        reading = await exchange.clock()
        after = time.monotonic()
    assert isinstance(reading, ClockReading)
    assert reading.venue_time_ms == 1_800_000_000_123
    assert before <= reading.sent_at < reading.received_at <= after


@pytest.mark.proves("F47")
async def test_reads_are_signed_with_the_venues_time_and_ask_again_when_it_was_refused() -> None:
    began = time.monotonic()
    async with connected() as (exchange, venue):
        venue.on("GET", "/api/v3/time", says(200, {"serverTime": 1_900_000_000_000}))
        venue.on(*LOOKUP, error(400, -1021, "Timestamp for this request is outside of the recvWindow."), says(200, an_order(clientOrderId=ID)))
        assert isinstance(await exchange.lookup(REF), Unreachable)
        assert isinstance(await exchange.lookup(REF), Found)
        (first, second), took_ms = venue.calls(*LOOKUP), (time.monotonic() - began) * 1000
    assert 0 <= int(first.params["timestamp"]) - 1_900_000_000_000 < max(1000, took_ms)
    assert 0 <= int(second.params["timestamp"]) - 1_900_000_000_000 < max(1000, took_ms)
    assert len(venue.calls("GET", "/api/v3/time")) == 2


async def test_the_fingerprint_is_the_venues_own_number_of_the_account() -> None:
    async with connected() as (exchange, venue):
        assert await exchange.fingerprint() == "354937868"
        venue.on("GET", "/api/v3/account", says(200, {"accountType": "SPOT", "balances": []}))
        assert isinstance(await exchange.fingerprint(), Unreachable)
        venue.on("GET", "/api/v3/account", says(401, {"code": -2015, "msg": "Invalid API-key, IP, or permissions for action."}))
        assert await exchange.fingerprint() == Refused("-2015", "Invalid API-key, IP, or permissions for action")
        venue.on("GET", "/api/v3/account", says(502, {"code": -2015, "msg": "Invalid API-key, IP, or permissions for action."}))
        assert isinstance(await exchange.fingerprint(), Unreachable), "a 5xx proves nothing, whatever it says"


async def test_market_rules_are_the_filters_own_decimals_under_ccxts_names() -> None:
    async with connected() as (exchange, venue):
        rules = await exchange.markets()
        assert not isinstance(rules, Unreachable)
        bitcoin, yoyo = rules["BTC/USDT"], rules["YOYOW/BTC"]
        assert (bitcoin.quantity_step, bitcoin.price_step, bitcoin.min_notional) == (Decimal("0.00001"), Decimal("0.01"), Decimal(5))
        assert (bitcoin.min_quantity, bitcoin.max_quantity, bitcoin.active) == (Decimal("0.00001"), Decimal(9000), True)
        assert (yoyo.min_price, yoyo.max_price, yoyo.min_notional, yoyo.active) == (None, None, Decimal("0.0001"), False), "zero is no limit"
        await exchange.markets()
        assert len(venue.calls("GET", "/api/v3/exchangeInfo")) == 1
        await exchange.markets(reload=True)
        assert len(venue.calls("GET", "/api/v3/exchangeInfo")) == 2
    there: Any = exchange
    there._ccxt.options |= {"crossMarginPairsData": [], "isolatedMarginPairsData": []}
    for symbol in EXCHANGE_INFO["symbols"]:
        assert there._ccxt.parse_market(symbol)["symbol"] in rules, "ccxt calls it the same"


async def test_all_open_orders_of_all_markets_come_in_one_call() -> None:
    async with connected() as (exchange, venue):
        venue.on("GET", "/api/v3/openOrders", says(200, [an_order(), an_order(symbol="YOYOBTC", orderId=29)]))
        listing = await exchange.open_orders()
        assert isinstance(listing, Listing)
        assert [(order.symbol, order.exchange_order_id) for order in listing.items] == [("BTC/USDT", "28"), ("YOYOW/BTC", "29")]
        assert listing.complete
        await exchange.open_orders("BTC/USDT")
        everything, one = venue.calls("GET", "/api/v3/openOrders")
    assert "symbol" not in everything.params
    assert one.params["symbol"] == "BTCUSDT"


@pytest.mark.proves("rule 14", "F38")
async def test_an_entry_that_cannot_be_read_costs_the_completeness_and_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    async with connected() as (exchange, venue):
        venue.on("GET", "/api/v3/openOrders", says(200, [an_order(orderId=1), an_order(orderId=2, status="DANCING"), "what", an_order(orderId=3)]))
        listing = await exchange.open_orders()
    assert isinstance(listing, Listing)
    assert [order.exchange_order_id for order in listing.items] == ["1", "3"]
    assert not listing.complete
    there: Any = exchange
    assert there.unreadable_entries == 2
    assert "status can't be read" in caplog.text


async def test_an_order_of_a_market_newer_than_our_list_loads_the_list_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("exchange_kernel.exchanges.ccxt.markets.RELOAD_AFTER_S", 0.0)
    newer = {**EXCHANGE_INFO, "symbols": [*EXCHANGE_INFO["symbols"], {**EXCHANGE_INFO["symbols"][0], "symbol": "NEWUSDT", "baseAsset": "NEW"}]}
    async with connected() as (exchange, venue):
        await exchange.markets()
        venue.on("GET", "/api/v3/exchangeInfo", says(200, newer))
        venue.on("GET", "/api/v3/openOrders", says(200, [an_order(symbol="NEWUSDT")]))
        listing = await exchange.open_orders()
    assert isinstance(listing, Listing)
    assert (listing.complete, listing.items[0].symbol) == (True, "NEW/USDT")


async def test_the_list_of_markets_is_loaded_again_when_it_has_grown_old(monkeypatch: pytest.MonkeyPatch) -> None:
    finer = {**EXCHANGE_INFO, "symbols": [{**EXCHANGE_INFO["symbols"][0], "status": "BREAK"}, EXCHANGE_INFO["symbols"][1]]}
    async with connected() as (exchange, venue):
        venue.on("GET", "/api/v3/exchangeInfo", says(200, EXCHANGE_INFO), says(200, finer), error(503, -1008, "Server is currently overloaded."))
        assert not isinstance(first := await exchange.markets(), Unreachable)
        monkeypatch.setattr("exchange_kernel.exchanges.ccxt.markets.GOOD_FOR_S", 0.001)
        await asyncio.sleep(0.002)
        assert not isinstance(second := await exchange.markets(), Unreachable)
        await asyncio.sleep(0.002)
        third = await exchange.markets()
        assert (first["BTC/USDT"].active, second["BTC/USDT"].active) == (True, False)
        assert third == second, "an old list is better than none"
        assert isinstance(await exchange.markets(reload=True), Unreachable), "but who asks for a new one is told that there is none"


async def test_a_market_that_our_list_lacks_is_looked_for_in_a_newer_one_and_not_with_every_order(monkeypatch: pytest.MonkeyPatch) -> None:
    newer = {**EXCHANGE_INFO, "symbols": [*EXCHANGE_INFO["symbols"], {**EXCHANGE_INFO["symbols"][0], "symbol": "NEWUSDT", "baseAsset": "NEW"}]}
    async with connected() as (exchange, venue):
        venue.on(*ORDER, submitted())
        venue.on("GET", "/api/v3/exchangeInfo", says(200, EXCHANGE_INFO), says(200, newer))
        for _ in range(3):
            assert await exchange.submit(a_request(symbol="NEW/USDT"), Gate()) == NotSent("the venue has no such market")
        assert len(venue.calls("GET", "/api/v3/exchangeInfo")) == 1
        monkeypatch.setattr("exchange_kernel.exchanges.ccxt.markets.RELOAD_AFTER_S", 0.0)
        assert isinstance(await exchange.submit(a_request(symbol="NEW/USDT"), Gate()), Accepted)
        assert len(venue.calls("GET", "/api/v3/exchangeInfo")) == 2


async def test_an_order_of_a_market_that_is_not_listed_does_not_load_the_list_with_every_sweep() -> None:
    async with connected() as (exchange, venue):
        venue.on("GET", "/api/v3/openOrders", says(200, [an_order(symbol="GONEUSDT"), an_order()]))
        for _ in range(3):
            listing = await exchange.open_orders()
            assert isinstance(listing, Listing)
            assert (listing.complete, len(listing.items)) == (False, 1)
        assert len(venue.calls("GET", "/api/v3/exchangeInfo")) == 1


async def test_a_name_that_two_open_markets_share_is_nobodys() -> None:
    bitcoin = EXCHANGE_INFO["symbols"][0]
    both = {**EXCHANGE_INFO, "symbols": [bitcoin, {**bitcoin, "symbol": "XBTUSDT", "baseAsset": "XBT"}, EXCHANGE_INFO["symbols"][1]]}
    former = {**both, "symbols": [bitcoin, {**bitcoin, "symbol": "XBTUSDT", "baseAsset": "XBT", "status": "BREAK"}]}
    async with connected() as (exchange, venue):
        venue.on("GET", "/api/v3/exchangeInfo", says(200, both), says(200, former))
        assert set(await exchange.markets()) == {"YOYOW/BTC"}
        assert isinstance(await exchange.submit(a_request(), Gate()), NotSent)
        assert set(await exchange.markets(reload=True)) == {"BTC/USDT"}, "a closed one is no rival"


async def test_a_list_of_markets_of_which_none_can_be_read_is_no_list() -> None:
    async with connected() as (exchange, venue):
        venue.on("GET", "/api/v3/exchangeInfo", says(200, {**EXCHANGE_INFO, "symbols": ["what", {"symbol": "X"}]}))
        assert isinstance(await exchange.markets(), Unreachable)


def serves_pages(entries: list[dict[str, Any]], id_key: str, from_key: str) -> Answer:
    """Binance's paging: from an id, or within a window of at most a day, oldest first, a thousand at most."""

    async def answer(request: Received, socket: Socket) -> None:
        params = request.params
        found = entries
        if from_key in params:
            found = [entry for entry in found if entry[id_key] >= int(params[from_key])]
        if "startTime" in params:
            assert int(params["endTime"]) - int(params["startTime"]) < 24 * 3600 * 1000
            found = [entry for entry in found if int(params["startTime"]) <= entry["time"] <= int(params["endTime"])]
        await says(200, found[: int(params["limit"])])(request, socket)

    return answer


@pytest.mark.proves("F39")
async def test_orders_since_a_time_are_paged_through_to_the_last() -> None:
    now = int(time.time() * 1000)
    hour = 3600 * 1000
    # Three days of nothing, then more than two pages of which some are older than what was asked for.
    orders = [an_order(orderId=number, time=now - 50 * hour + number * 1000, updateTime=now) for number in range(2500)]
    async with connected() as (exchange, venue):
        venue.on("GET", "/api/v3/allOrders", serves_pages(orders, "orderId", "orderId"))
        listing = await exchange.orders("BTC/USDT", now - 100 * hour)
        assert isinstance(listing, Listing)
        assert (len(listing.items), listing.complete) == (2500, True)
        later = await exchange.orders("BTC/USDT", now - 50 * hour + 1_000_000)
        assert isinstance(later, Listing)
        assert [order.exchange_order_id for order in later.items] == [str(number) for number in range(1000, 2500)]
        venue.received.clear()
        nothing = await exchange.orders("BTC/USDT", now + hour)
        assert nothing == Listing((), complete=True)
        assert len(venue.calls("GET", "/api/v3/allOrders")) == 1, "even of the future it is the venue that says there is nothing"


@pytest.mark.proves("F39")
async def test_a_listing_that_breaks_off_in_the_middle_is_no_listing() -> None:
    orders = [an_order(orderId=number, time=int(time.time() * 1000)) for number in range(1000)]
    async with connected() as (exchange, venue):
        venue.on("GET", "/api/v3/allOrders", says(200, orders), drops)
        assert isinstance(await exchange.orders("BTC/USDT", int(time.time() * 1000) - 1000), Unreachable)


@pytest.mark.proves("F39")
async def test_a_listing_without_end_is_marked_incomplete(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("exchange_kernel.exchanges.ccxt.reads.MAX_PAGES", 3)
    now = int(time.time() * 1000)
    orders = [an_order(orderId=number, time=now) for number in range(5000)]
    async with connected() as (exchange, venue):
        venue.on("GET", "/api/v3/allOrders", serves_pages(orders, "orderId", "orderId"))
        listing = await exchange.orders("BTC/USDT", now - 1000)
    assert isinstance(listing, Listing)
    assert (len(listing.items), listing.complete) == (3000, False)


@pytest.mark.proves("F39")
async def test_trades_of_an_order_and_since_a_time_are_paged_through_to_the_last() -> None:
    now = int(time.time() * 1000)
    trades = [a_trade(id=number, time=now - 2_000_000 + number) for number in range(1500)]
    async with connected() as (exchange, venue):
        venue.on("GET", "/api/v3/myTrades", serves_pages(trades, "id", "fromId"))
        of_one = await exchange.trades("BTC/USDT", exchange_order_id="28")
        assert isinstance(of_one, Listing)
        assert [trade.trade_id for trade in of_one.items] == [str(number) for number in range(1500)]
        assert all(request.params["orderId"] == "28" for request in venue.calls("GET", "/api/v3/myTrades"))
        since = await exchange.trades("BTC/USDT", since_ms=now - 2_000_000 + 700)
        assert isinstance(since, Listing)
        assert [trade.trade_id for trade in since.items] == [str(number) for number in range(700, 1500)]
        every = await exchange.trades("BTC/USDT")
        assert isinstance(every, Listing)
        assert len(every.items) == 1500


# ── The house ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

def addresses(urls: Any) -> list[str]:
    if isinstance(urls, dict):
        return list(itertools.chain.from_iterable(addresses(url) for url in urls.values()))
    return [urls]


@pytest.mark.parametrize(("rest", "websocket", "allowed"), [
    ("https://gateway.example/binance", "wss://gateway.example/stream", ("https://gateway.example/binance/", "wss://gateway.example/stream/")),
    ("https://gateway.example", None, ("https://gateway.example/", "wss://gateway.example/")),
], ids=["both", "one host for both"])
async def test_with_an_endpoint_nothing_else_has_an_address(rest: str, websocket: str | None, allowed: tuple[str, ...]) -> None:
    async with fake_venue() as venue:
        exchange: Any = open_account(venue, environment="Live", rest=rest, websocket=websocket)
        everywhere = addresses(exchange._ccxt.urls["api"])
        assert everywhere
        assert all(address.startswith(allowed) for address in everywhere)
        assert exchange._ccxt.urls["api"]["private"] == f"{rest}/api/v3"
        assert exchange._ccxt.urls["api"]["ws"]["ws-api"]["spot"].endswith("/ws-api/v3")
        await exchange.close()


async def test_ccxt_sends_nothing_by_itself() -> None:
    async with connected() as (exchange, venue):
        there: Any = exchange
        for call in (there._ccxt.fetch_markets, there._ccxt.load_markets, there._ccxt.fetch_balance):
            with pytest.raises(RuntimeError, match="only the adapter"):
                await call()
        assert await there._ccxt.fetch_currencies() == {}
        assert not venue.received


@pytest.mark.parametrize(("options", "message"), [
    ({"rest": "http://example.com", "websocket": None, "environment": "Live"}, "Plain http"),
    ({"rest": "https://example.com", "websocket": "ws://example.com", "environment": "Live"}, "Plain http"),
    ({"rest": None, "websocket": None}, "spec.endpoint.rest"),
    ({"credentials": Credentials({"apiKey": "a"})}, "lacks secret"),
    ({"credentials": Credentials({"apiKey": "one\ntwo", "secret": "s"})}, "apiKey in the credentials Secret has characters that no request can carry"),
    ({"credentials": Credentials({"apiKey": "\u201cquoted\u201d", "secret": "s"})}, "copy it again, without formatting"),
    ({"credentials": Credentials({"apiKey": "\n", "secret": "s"})}, "lacks apiKey"),
    ({"market_type": "swap"}, "no adapter"),
], ids=["http", "ws", "simulated without an address", "credentials", "two lines", "typographic quotes", "a line end alone", "market type"])
async def test_an_account_that_cannot_be_opened_says_what_to_change(options: dict[str, Any], message: str) -> None:
    async with fake_venue() as venue:
        with pytest.raises(ValueError, match=message):
            open_account(venue, **options)


async def test_the_line_end_that_an_editor_leaves_in_a_secret_is_no_part_of_the_key() -> None:
    async with connected(credentials=Credentials({"apiKey": f"{API_KEY}\n", "secret": f"{SECRET}\r\n"})) as (exchange, venue):
        assert await exchange.fingerprint() == "354937868"
        signed = [request for request in venue.received if "x-mbx-apikey" in request.headers]
        assert {request.headers["x-mbx-apikey"] for request in signed} == {API_KEY}
        there: Any = exchange
        assert there._ccxt.secret == SECRET


@pytest.mark.parametrize("rest", ["http://127.0.0.1:8080", "http://localhost:8080", "http://gateway", "http://gateway.trading.svc", "http://[::1]:80"])
async def test_plain_http_stays_inside(rest: str) -> None:
    async with fake_venue() as venue:
        await open_account(venue, environment="Live", rest=rest, websocket=None).close()


async def test_the_sandbox_is_the_venues_own() -> None:
    async with fake_venue() as venue:
        exchange: Any = open_account(venue, environment="Sandbox", rest=None, websocket=None)
        assert exchange._ccxt.urls["api"]["private"] == "https://testnet.binance.vision/api/v3"
        assert exchange._ccxt.urls["api"]["ws"]["ws-api"]["spot"].startswith("wss://ws-api.testnet.binance.vision")
        await exchange.close()


async def test_nothing_that_is_secret_is_ever_said(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "TIMEOUT_S", 0.5)
    caplog.set_level(logging.DEBUG)
    said: list[object] = []
    async with connected() as (exchange, venue):
        await exchange.clock()
        for answer in (drops, never, *(answer for answer, _ in GARBAGE), error(401, -1022, "Signature for this request is not valid.")):
            for call in (ORDER, CANCEL, LOOKUP, ("GET", "/api/v3/account")):
                venue.on(*call, answer)
            said += [await exchange.submit(a_request(), Gate()), await exchange.cancel(REF, Gate()), await exchange.lookup(REF), await exchange.fingerprint()]
        there: Any = exchange
        said += [repr(exchange), repr(there._ccxt), repr(Credentials({"apiKey": API_KEY, "secret": SECRET}))]
    signatures = [request.params["signature"] for request in venue.received if "signature" in request.params]
    assert signatures
    told = caplog.text + repr(said)
    for secret in (SECRET, API_KEY, *signatures, "timestamp=", venue.rest):
        assert secret not in told


async def test_our_money_does_not_depend_on_the_decimal_context_that_ccxt_changes() -> None:
    async with connected() as (exchange, venue):
        venue.on(*ORDER, submitted())
        with decimal.localcontext() as hostile:
            hostile.prec, hostile.rounding = 3, decimal.ROUND_UP
            hostile.traps[decimal.Inexact] = False
            outcome = await exchange.submit(a_request(quantity=Decimal("0.123456789"), price=Decimal("51234.5678")), Gate())
            assert (hostile.prec, hostile.rounding) == (3, decimal.ROUND_UP), "nor do we change it"
    assert isinstance(outcome, Accepted)
    [sent] = venue.calls(*ORDER)
    assert (sent.params["quantity"], sent.params["price"]) == ("0.12345", "51234.56")


async def test_many_sends_at_once_are_each_signed_with_their_own_stamp() -> None:
    async with connected() as (exchange, venue):
        venue.on(*ORDER, submitted())
        await exchange.markets()

        class Numbered(Gate):
            def stamp(self) -> int | Closed:
                return self.stamped

        requests = [a_request(client_order_id=f"{number:032x}") for number in range(50)]
        outcomes = await asyncio.gather(*(exchange.submit(request, Numbered(stamped=number + 1)) for number, request in enumerate(requests)))
    assert all(isinstance(outcome, Accepted) for outcome in outcomes)
    assert {int(sent.params["newClientOrderId"], 16) + 1: int(sent.params["timestamp"]) for sent in venue.calls(*ORDER)} == {n: n for n in range(1, 51)}


async def test_the_accounts_own_ca_is_trusted_and_no_other_stranger() -> None:
    ca_pem, context = a_private_ca()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 25\r\n\r\n" + b'{"serverTime":1800000000}')
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    rest = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with fake_venue() as venue:
        trusting, strict = open_account(venue, rest=rest, ca_pem=ca_pem), open_account(venue, rest=rest)
        assert isinstance(await trusting.clock(), ClockReading)
        assert await strict.clock() == Unreachable("no connection could be made")
        await trusting.close()
        await strict.close()
    server.close()


def a_private_ca() -> tuple[bytes, ssl.SSLContext]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "the tests' own")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    with tempfile.NamedTemporaryFile() as file:
        file.write(pem + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
        file.flush()
        context.load_cert_chain(file.name)
    return pem, context


async def test_aiohttp_still_has_the_switch_that_turns_its_resend_off() -> None:
    async with wire.open_session(None) as ours, aiohttp.ClientSession() as theirs:
        assert (ours._retry_connection, theirs._retry_connection) == (False, True)


def test_the_row_is_in_the_table() -> None:
    assert dialect_of("binance", "spot").capabilities.sends_first
    with pytest.raises(ValueError, match="its markets here are spot"):
        dialect_of("binance", "swap")
