"""An exchange that lies beside one that does not: no answer of it ends anything, proves anything, or takes what the other needs."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import os
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import orjson
import pytest
from aiohttp import web
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exchange_kernel.core.answers import Accepted, Found, Listing, NotFound, NotSent, Refused, Unknown, Unreachable
from exchange_kernel.exchanges.ccxt import bounds, wire
from exchange_kernel.exchanges.ccxt.dialect import UNDOCUMENTED, Call, Dialect
from exchange_kernel.exchanges.ccxt.dialects import DIALECTS
from exchange_kernel.exchanges.ccxt.outcomes import Answered, cancel_outcome, lookup_outcome, reply, submit_outcome
from exchange_kernel.exchanges.ccxt.parsing import Unreadable, strictly
from exchange_kernel.exchanges.ccxt.row import Row
from exchange_kernel.exchanges.ccxt.rows import ROWS
from exchange_kernel.exchanges.ccxt.wire import Answer as Heard
from exchange_kernel.exchanges.ccxt.wire import json_or_none
from exchange_kernel.exchanges.port import Gap, OrderUpdate
from tests.contract.fake_venue import EXCHANGE_INFO, Answer, FakeVenue, an_order, cancelled, says, says_bytes, submitted
from tests.contract.hostile import MIB, as_bytes, contradictions, drips, hundreds, packed, places, replaced_at, tricks
from tests.contract.test_ccxt_adapter import CANCEL, ID, LOOKUP, ORDER, REF, Gate, a_request, connected
from tests.contract.test_ccxt_stream import a_report, streaming
from tests.contract.test_rows import EVERY, a_ref, answers, cancel_call, lookup_calls, ours_of, speech_of, submit_call
from tests.contract.test_rows import a_request as a_request_of
from tests.contract.test_rows import connected as connected_to

LISTS = (("GET", "/api/v3/openOrders"), ("GET", "/api/v3/allOrders"), ("GET", "/api/v3/myTrades"))
EXAMPLES = int(os.environ.get("HOSTILE_EXAMPLES", "1200"))


# ── On the wire ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

@pytest.mark.proves("rule 1")
@pytest.mark.parametrize("trick", tricks())
async def test_no_trick_is_an_acceptance_a_refusal_or_an_absence(trick: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "TIMEOUT_S", 3.0)
    async with connected() as (exchange, venue):
        await exchange.markets()
        await exchange.clock()
        for call in (ORDER, CANCEL, LOOKUP, *LISTS, ("GET", "/api/v3/account")):
            venue.on(*call, tricks()[trick])
        assert isinstance(await exchange.submit(a_request(), Gate()), Unknown)
        assert isinstance(await exchange.cancel(REF, Gate()), Unknown)
        for unreachable in (
            await exchange.lookup(REF), await exchange.open_orders(), await exchange.orders("BTC/USDT", 0),
            await exchange.trades("BTC/USDT", exchange_order_id="28"), await exchange.balances(), await exchange.fingerprint(),
        ):
            assert isinstance(unreachable, Unreachable)
        venue.on(*ORDER, submitted())
        assert isinstance(await exchange.submit(a_request(), Gate()), Accepted), "and the adapter is none the worse for it"


@pytest.mark.proves("rule 1")
@pytest.mark.parametrize(("answer", "reason"), [(drips(), "a drip"), (hundreds(), "announcements without an end")], ids=lambda value: str(value)[:20])
async def test_an_answer_that_never_ends_ends_with_the_request(answer: Answer, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "TIMEOUT_S", 0.3)
    async with connected() as (exchange, venue):
        for call in (ORDER, CANCEL, LOOKUP):
            venue.on(*call, answer)
        assert isinstance(await exchange.submit(a_request(), Gate()), Unknown), reason
        assert isinstance(await exchange.cancel(REF, Gate()), Unknown), reason
        assert isinstance(await exchange.lookup(REF), Unreachable), reason


@pytest.mark.parametrize("packing", ["", "gzip"])
async def test_a_large_answer_that_is_honest_is_read(packing: str) -> None:
    orders = [an_order(orderId=number, clientOrderId=f"{number:032}") for number in range(3000)]
    body = as_bytes(orders)
    assert len(body) > 10 * bounds.SLICE
    async with connected() as (exchange, venue):
        answer = says_bytes(200, body) if not packing else packed(gzip.compress(body))
        venue.on(*LISTS[0], answer)
        listing = await exchange.open_orders()
        assert isinstance(listing, Listing)
        assert [order.exchange_order_id for order in listing.items] == [str(number) for number in range(3000)]
        assert listing.complete


async def test_a_list_of_markets_that_goes_on_for_ever_is_given_up() -> None:
    """ccxt asks for the next page for as long as the venue names one."""
    row = ROWS["bybit", "spot"]
    page = {"retCode": 0, "retMsg": "OK", "result": {"category": "linear", "list": [{"symbol": "A"}], "nextPageCursor": "again"}, "time": 1}
    async with connected_to(row) as (exchange, venue):
        del exchange._ccxt.fetch_markets

        async def for_ever(params: Any = None) -> Any:
            found: list[Any] = []
            while True:
                found += (await exchange._ccxt.publicGetV5MarketInstrumentsInfo({"category": "linear"}))["result"]["list"]

        exchange._ccxt.fetch_markets = for_ever
        venue.on("GET", "/v5/market/instruments-info", says(200, page))
        venue.received.clear()
        assert isinstance(await exchange.markets(reload=True), Unreachable)
        assert len(venue.received) == wire.MAX_REQUESTS


async def test_a_list_of_more_markets_than_any_exchange_has_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("exchange_kernel.exchanges.ccxt.markets.MAX_MARKETS", 10)
    symbols = [{**EXCHANGE_INFO["symbols"][0], "symbol": f"A{number}USDT", "baseAsset": f"A{number}"} for number in range(11)]
    async with connected() as (exchange, venue):
        venue.on("GET", "/api/v3/exchangeInfo", says(200, {**EXCHANGE_INFO, "symbols": symbols}))
        assert isinstance(await exchange.markets(), Unreachable)


@pytest.mark.parametrize("limit", [0, -1, 1, 10**30], ids=str)
async def test_a_published_limit_that_would_silence_the_account_is_not_believed(limit: int) -> None:
    async with connected() as (exchange, venue):
        venue.on("GET", "/api/v3/exchangeInfo", says(200, {**EXCHANGE_INFO, "rateLimits": [{**EXCHANGE_INFO["rateLimits"][0], "limit": limit}]}))
        assert isinstance(await asyncio.wait_for(exchange.markets(), 30), Unreachable)


@pytest.mark.proves("rule 14")
@pytest.mark.parametrize("header", ["9" * 4000, "31536000000", "99999999999999999999999999999999999"], ids=lambda header: f"{len(header)} digits")
@pytest.mark.parametrize("key", [("bybit", "spot"), ("kraken", "spot")], ids="-".join)
async def test_no_header_silences_an_account_for_longer_than_its_venue_documents(key: tuple[str, str], header: str) -> None:
    row = ROWS[key]
    async with connected_to(row) as (exchange, venue):
        call = submit_call(exchange, row)
        answers(exchange, venue, call, says(429, {}, Retry_After=header))
        outcome = await exchange.submit(a_request_of(row), Gate())
        assert outcome == Unknown("the venue asked this account to stay away for a while", row.longest_ban.seconds)
        lookup = await exchange.lookup(a_ref(row))
        assert isinstance(lookup, Unreachable)
        assert lookup.retry_after_s == pytest.approx(row.longest_ban.seconds, abs=2)


def test_the_longest_ban_of_a_row_has_its_source() -> None:
    for row in (*ROWS.values(), *DIALECTS.values()):
        assert row.longest_ban is UNDOCUMENTED or (row.longest_ban.source and 60 <= row.longest_ban.seconds <= 3 * 24 * 3600)


# ── The stream ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

@asynccontextmanager
async def elsewhere() -> AsyncIterator[tuple[str, list[str]]]:
    """A host that a venue may name; what it was asked for."""
    asked: list[str] = []

    async def hear(request: web.Request) -> web.StreamResponse:
        asked.append(str(request.rel_url))
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        return socket

    application = web.Application()
    application.router.add_get("/{any:.*}", hear)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}", asked
    finally:
        await runner.cleanup()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_the_stream_follows_no_redirect(status: int) -> None:
    tried = asyncio.Event()
    async with elsewhere() as (there, asked), connected() as (exchange, venue):

        async def redirects(request: web.Request) -> web.StreamResponse:
            tried.set()
            return web.Response(status=status, headers={"Location": there})

        application = web.Application()
        application.router.add_get("/{any:.*}", redirects)
        runner = web.AppRunner(application, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        account: Any = exchange
        account._ccxt.urls["api"] = wire.rebase(account._ccxt.urls["api"], venue.rest, f"ws://127.0.0.1:{runner.addresses[0][1]}")
        facts = exchange.stream()
        first = asyncio.ensure_future(anext(facts))
        await tried.wait()
        with pytest.raises(aiohttp.ClientConnectionError):
            await account._http.ws_connect(f"http://127.0.0.1:{runner.addresses[0][1]}/")
        first.cancel()
        await asyncio.wait([first])
        await facts.aclose()
        await runner.cleanup()
    assert not asked


@pytest.mark.parametrize("message", [
    '{"event": "' + "a" * MIB + '"}', "[" * 100_000, json.dumps({"event": {"e": ["executionReport"]}}), '{"event": {"e": "executionReport", "e": "x"}}',
    json.dumps(a_report(i=10**18, z="1e1000000000")), json.dumps(a_report(T=2**62)), json.dumps(a_report(s=["BTCUSDT"])), json.dumps(a_report(N={}, x="TRADE")),
], ids=lambda message: message[:40])
async def test_a_hostile_event_is_a_gap_and_the_stream_goes_on(message: str) -> None:
    async with streaming() as (facts, venue, _):
        assert await anext(facts) is Gap.SUBSCRIBED
        socket = await venue.sockets.get()
        await socket.send_str(message)
        assert await anext(facts) in (Gap.UNREADABLE, Gap.DISCONNECTED)
        socket = venue.sockets.get_nowait() if not venue.sockets.empty() else socket
        while not isinstance(fact := await _pushed(facts, venue, socket), OrderUpdate):
            assert isinstance(fact, Gap)
            if fact is Gap.SUBSCRIBED:
                socket = await venue.sockets.get()


async def _pushed(facts: AsyncIterator[Any], venue: FakeVenue, socket: web.WebSocketResponse) -> Any:
    if not socket.closed:
        await socket.send_json(a_report())
    return await anext(facts)


async def test_a_stream_that_pours_events_waits_for_its_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("exchange_kernel.exchanges.ccxt.stream.MAX_WAITING", 50)
    async with streaming() as (facts, venue, exchange):
        assert await anext(facts) is Gap.SUBSCRIBED
        socket = await venue.sockets.get()
        [stream] = exchange._streams  # type: ignore[attr-defined]
        full, put = asyncio.Event(), stream.put

        def counted(fact: Any) -> None:
            put(fact)
            if stream._facts.qsize() > 50:
                full.set()

        monkeypatch.setattr(stream, "put", counted)
        for number in range(300):
            await socket.send_json(a_report(i=number))
        await full.wait()
        for _ in range(200):
            await asyncio.sleep(0)
            assert stream._facts.qsize() <= 51
        told = [await anext(facts) for _ in range(300)]
    assert [fact.order.exchange_order_id for fact in told if isinstance(fact, OrderUpdate)] == [str(number) for number in range(300)]


# ── Beside a healthy account ────────────────────────────────────────────────────────────────────────────────────────────────────────────────

async def test_an_account_beside_a_hostile_one_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each trick is played again and again while a neighbour's orders go out, each in its own time."""
    monkeypatch.setattr(wire, "TIMEOUT_S", 3.0)     # what waits behind the other account's requests waits for as long
    async with connected() as (good, venue), connected() as (bad, liar):
        for exchange in (good, bad):
            await exchange.markets()
            await exchange.clock()
        venue.on(*ORDER, submitted())
        venue.on(*CANCEL, cancelled())
        done = asyncio.Event()

        async def play() -> None:
            for name, answer in tricks().items():
                for call in (ORDER, LOOKUP, *LISTS):
                    liar.on(*call, answer)
                outcomes = await asyncio.gather(bad.submit(a_request(), Gate()), bad.lookup(REF), bad.open_orders())
                assert isinstance(outcomes[0], Unknown), name
            done.set()

        playing = asyncio.create_task(play())
        sent = 0
        while not done.is_set() and not playing.done():
            assert isinstance(await asyncio.wait_for(good.submit(a_request(), Gate()), 2.5), Accepted)
            assert isinstance(await asyncio.wait_for(good.cancel(REF, Gate()), 2.5), Accepted)
            sent += 1
            await asyncio.sleep(0.005)
        await playing
        assert sent > 20


BOMBED = """
    import asyncio, re
    from pathlib import Path
    from tests.contract.fake_venue import fake_venue
    from tests.contract.hostile import bomb, packed, pours
    from tests.contract.test_ccxt_adapter import CANCEL, LOOKUP, ORDER, REF, Gate, a_request, open_account
    from exchange_kernel.core.answers import Unknown, Unreachable

    async def main(content):
        async with fake_venue() as venue:
            exchange = open_account(venue)
            await exchange.markets()
            await exchange.clock()
            for answer in (packed(content), pours()):
                for call in (ORDER, CANCEL, LOOKUP, ("GET", "/api/v3/openOrders"), ("GET", "/api/v3/exchangeInfo")):
                    venue.on(*call, answer)
                assert isinstance(await exchange.submit(a_request(), Gate()), Unknown)
                assert isinstance(await exchange.cancel(REF, Gate()), Unknown)
                assert isinstance(await exchange.lookup(REF), Unreachable)
                assert isinstance(await exchange.open_orders(), Unreachable)
                assert isinstance(await exchange.markets(reload=True), Unreachable)
            await exchange.close()

    asyncio.run(main(bomb(1024 * 1024 * 1024)))
    print(re.search(r"VmHWM:\\s+([0-9]+) kB", Path("/proc/self/status").read_text())[1])
"""


def test_a_gigabyte_in_a_megabyte_takes_no_memory() -> None:
    """A process of its own, for its peak: with the interpreter and ccxt in it, as in the operator."""
    ran = subprocess.run([sys.executable, "-c", textwrap.dedent(BOMBED)], capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 0, ran.stderr
    assert int(ran.stdout) < 400 * 1024, "kB at its peak"


# ── Each row's readers ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

class Readers:
    """One row's account: what any document would be taken for, as the answer to any of its calls. Nothing is sent."""

    def __init__(self, row: Row, exchange: Any) -> None:
        self.row, self.exchange = row, exchange
        self.dialect: Dialect = exchange._dialect
        self.request = a_request_of(row)
        self.market = exchange._by_symbol[self.request.symbol]
        self.ref = a_ref(row, by_theirs=row.cancel_by is None)
        self.submit, self.cancel, self.lookups = submit_call(exchange, row), cancel_call(exchange, row), lookup_calls(exchange, row)
        self.by_id = self.dialect.lookup(a_ref(row), self.market)
        self.others = [self.dialect.account(), next(self.dialect.open_orders(None)), self.dialect.clock]
        if self.dialect.holdings is not None:
            self.others.append(next(self.dialect.holdings.balances()))

    def heard(self, status: int, content: bytes, call: Call) -> Any:
        """The reply, as the link makes it."""
        answer = Heard(status, json_or_none(content))
        try:
            said = strictly(reply, answer, self.dialect)
            return Answered(strictly(call.extract, answer)) if call.extract is not None and isinstance(said, Answered) else said
        except Unreadable:
            return None

    def judge(self, status: int, content: bytes) -> None:
        """No exception, and nothing that proves something without its evidence."""
        document = json_or_none(content)
        evidence = document is not None and status < 500
        if (said := self.heard(status, content, self.submit)) is not None:
            outcome = submit_outcome(said, self.dialect, self.request, self.market)
            if isinstance(outcome, Accepted):
                assert evidence
                assert outcome.order.client_order_id == self.request.client_order_id
                assert ours_of(self.row) in str(document) or outcome.order.exchange_order_id in str(document)
            elif isinstance(outcome, Refused):
                assert evidence
                assert self.dialect.words.refusals.has(said.code, said.message)
                assert outcome.reason.isprintable()
        if (said := self.heard(status, content, self.cancel)) is not None:
            outcome = cancel_outcome(said, self.dialect, self.ref, self.market)
            assert not isinstance(outcome, NotSent)
            if isinstance(outcome, Accepted | Refused):
                assert evidence
        if self.by_id is not None and (said := self.heard(status, content, self.by_id)) is not None:
            outcome = lookup_outcome(said, self.dialect, a_ref(self.row), self.exchange._by_id)
            if isinstance(outcome, Found):
                assert outcome.order.client_order_id == ours_of(self.row)
            if isinstance(outcome, NotFound):
                assert self.dialect.words.not_found.has(said.code, said.message)
        for call in (*self.lookups, *self.others):
            if isinstance(said := self.heard(status, content, call), Answered) and isinstance(said.document, list):
                for entry in said.document:
                    for read in (self.dialect.read_order, self.dialect.read_trade):
                        try:
                            read_one = strictly(read, entry, self.exchange._by_id)
                        except Unreadable:
                            continue
                        assert read_one.exchange_order_id.isprintable()
                        assert len(read_one.exchange_order_id) <= 128


#: JSON as venues write it, and worse: their envelopes' names, numbers in every form, and texts that are none.
NAMES = st.sampled_from([
    "code", "msg", "message", "data", "result", "orders", "order", "list", "status", "state", "error", "retCode", "retMsg", "success", "label", "id", "ordId",
    "orderId", "clOrdId", "clientOrderId", "symbol", "side", "price", "amount", "size", "filled", "sCode", "sMsg", "txid", "err-code", "response", "statuses",
    "err-msg", "items", "error_response", "success_response", "executedQty", "origQty",
]) | st.text(max_size=6)
SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20) | st.sampled_from([
    "0", "1e1000000000", "-1e1000000000", "9" * 70, "NaN", "BTCUSDT", "BTC/USDT", "open", "buy", "ok", "\x1b[2J", "\r\nforged", "00000", "200000", ID, "0x" + ID,
])
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=6), max_leaves=20)
STATUS = st.sampled_from([200, 200, 200, 201, 204, 301, 400, 401, 403, 404, 418, 429, 500, 503])


@st.composite
def bent(draw: st.DrawFn, documents: tuple[Any, ...]) -> bytes:
    """A document of the venue with one to three values replaced."""
    document = draw(st.sampled_from(documents))
    for _ in range(draw(st.integers(1, 3))):
        document = replaced_at(document, draw(st.sampled_from(places(document))), draw(JSON))
    return as_bytes(document)


@EVERY
async def test_no_random_reply_is_an_exception_or_a_proof(row: Row) -> None:
    """1,200 over all rows; HOSTILE_EXAMPLES=10000 for a long run."""
    speech = speech_of(row)
    documents = [speech.accepted(row.id_written(ours_of(row))), speech.error("1", "no")[1], *([speech.found(row.id_written(ours_of(row)))] if speech.found else ())]
    replies = st.binary(max_size=60) | JSON.map(as_bytes) | bent(tuple(one for one in documents if isinstance(one, dict | list)))
    async with connected_to(row) as (exchange, _):
        readers = Readers(row, exchange)

        @settings(max_examples=max(10, EXAMPLES // len(ROWS)), deadline=None, database=None, suppress_health_check=list(HealthCheck))
        @given(STATUS, replies)
        def judged(status: int, content: bytes) -> None:
            readers.judge(status, content)

        judged()


@EVERY
async def test_a_value_that_can_not_be_is_no_exception_anywhere_in_an_order(row: Row) -> None:
    speech = speech_of(row)
    document = (speech.found or speech.accepted)(row.id_written(ours_of(row)))
    strange = ["1e1000000000", "9" * 5000, "\x1b[2J\r\nforged: line", "", None, True, [], {}, -(10**18), 10**18, 1e308, "-1", "١٢"]
    async with connected_to(row) as (exchange, _):
        readers = Readers(row, exchange)
        for place in places(document)[1:]:
            for value in strange:
                readers.judge(200, as_bytes(replaced_at(document, place, value)))


async def test_a_value_that_can_not_be_is_no_exception_anywhere_in_binances_orders() -> None:
    async with connected() as (exchange, _):
        await exchange.markets()
        account: Any = exchange
        dialect, market = account._dialect, account._by_symbol["BTC/USDT"]
        for order in contradictions({**an_order(clientOrderId=ID), "origClientOrderId": ID, "transactTime": 1, "fills": []}):
            said = Answered(orjson.loads(as_bytes(order)))
            for outcome in (submit_outcome(said, dialect, a_request(), market), cancel_outcome(said, dialect, REF, market),
                            lookup_outcome(said, dialect, REF, account._by_id)):
                if isinstance(outcome, Accepted | Found):
                    assert outcome.order.exchange_order_id.isprintable()
                    assert len(f"{outcome.order.filled_quantity:f}") <= 80


# ── What a venue writes, before people's eyes ───────────────────────────────────────────────────────────────────────────────────────────────

FORGED = "Insufficient\r\n2026-01-01 level=info forged=true \x1b[2J\x1b]0;owned\x07 \u202egnp.exe " + "a" * 5000


async def test_a_venues_words_are_one_printable_line_wherever_they_go(caplog: pytest.LogCaptureFixture) -> None:
    row = ROWS["okx", "spot"]
    caplog.set_level(logging.DEBUG)
    async with connected_to(row) as (exchange, venue):
        call = submit_call(exchange, row)
        for code, message in (("51008", FORGED), (FORGED, FORGED), ("1", FORGED)):
            answers(exchange, venue, call, says(*speech_of(row).error(code, message)))
            outcome = await exchange.submit(a_request_of(row), Gate())
            assert isinstance(outcome, Refused | Unknown)
            assert outcome.reason.isprintable()
            assert len(outcome.reason) <= 300
            for call_ in lookup_calls(exchange, row):
                answers(exchange, venue, call_, says(*speech_of(row).error(code, message)))
            lookup = await exchange.lookup(a_ref(row))
            assert not isinstance(lookup, Unreachable) or (lookup.reason.isprintable() and len(lookup.reason) <= 300)
    assert all(record.getMessage().isprintable() for record in caplog.records)


async def test_an_id_of_another_trader_with_control_characters_is_escaped_and_the_list_stays_whole() -> None:
    async with connected() as (exchange, venue):
        venue.on(*LISTS[0], says(200, [an_order(clientOrderId="a\x1b[2J\r\n"), an_order(orderId=29, clientOrderId=ID)]))
        listing = await exchange.open_orders()
    assert isinstance(listing, Listing)
    assert listing.complete
    assert [order.client_order_id for order in listing.items] == ["a\\x1b[2J\\r\\n", ID]
