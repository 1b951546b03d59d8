"""The one adapter for every real exchange: a dialect says what to ask, ccxt signs, the wire writes, `outcomes.py` says what the answer proves."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import nullcontext
from dataclasses import replace
from typing import Any, TypeVar

import aiohttp

from exchange_kernel.core.answers import (
    Accepted,
    AmendOutcome,
    CancelOutcome,
    ExchangeOrder,
    Found,
    Listing,
    LookupOutcome,
    NotFound,
    NotSent,
    Refused,
    Replaced,
    SubmitOutcome,
    Trade,
    Unreachable,
)
from exchange_kernel.core.money import ZERO, quantise_quantity
from exchange_kernel.core.venue import Capabilities, MarketRules, OrderRequest
from exchange_kernel.exchanges.ccxt.budget import Budget, Granted, Priority
from exchange_kernel.exchanges.ccxt.dialect import Call, Dialect, Market, Markets, Pages
from exchange_kernel.exchanges.ccxt.outcomes import (
    BUSY,
    GARBAGE,
    Answered,
    Reply,
    Silence,
    VenueError,
    account_refusal,
    cancel_outcome,
    lookup_outcome,
    reply,
    submit_outcome,
    unreachable,
)
from exchange_kernel.exchanges.ccxt.parsing import UnknownMarket, Unreadable, entries
from exchange_kernel.exchanges.ccxt.stream import PrivateStream, StreamTiming
from exchange_kernel.exchanges.ccxt.unified import NotBuilt
from exchange_kernel.exchanges.ccxt.wire import CALL, Answer, WireCall, copied, open_session
from exchange_kernel.exchanges.port import Clearance, ClockReading, Closed, Gap, OrderRef, OrderUpdate, StreamFact

log = logging.getLogger(__name__)

Item = TypeVar("Item", ExchangeOrder, Trade)
Outcome = TypeVar("Outcome", SubmitOutcome, CancelOutcome)
Read = TypeVar("Read")
Context = TypeVar("Context")

#: A listing that is longer is marked incomplete: 200 pages of Binance are 200,000 orders of one market.
MAX_PAGES = 200

#: How long a list of markets is good enough for an entry that names another.
RELOAD_AFTER_S = 60.0

#: How often an account is swept whose private stream we don't read.
SWEPT_EVERY_S = 15.0

CLOSED = "the connection to the exchange is closed"


class VenueTime:
    """The venue's time as estimated from the last clock reading: what reads are signed with. Sends are signed with their own clearance."""

    def __init__(self) -> None:
        self._reading: ClockReading | None = None

    def read(self, reading: ClockReading) -> None:
        self._reading = reading

    def forget(self) -> None:
        """The venue refused our time: ask it again before the next signature."""
        self._reading = None

    @property
    def known(self) -> bool:
        return self._reading is not None

    def stamp(self) -> int | Closed:
        """Never ahead of the venue, and behind it by a round trip at most."""
        if (reading := self._reading) is None:
            return Closed("the venue's time is not known")
        return reading.venue_time_ms + int((time.monotonic() - reading.received_at) * 1000)

    def check(self, stamp: int) -> Closed | None:
        return None


class CcxtExchange:
    """`port.Exchange` for one account at one venue that ccxt knows."""

    def __init__(self, dialect: Dialect, ccxt: Any, *, ca_pem: bytes | None, requests_per_second: float | None, cancel_reserve_percent: int,
                 stream_timing: StreamTiming | None = None) -> None:
        """To be made where an event loop runs. `ccxt` is an instance of `wire.wired(...)` with its addresses and credentials set."""
        self._dialect = dialect
        self._ccxt = ccxt
        self._http = ccxt.http = open_session(ca_pem)
        self._budget = Budget(dialect.limit, timer=asyncio.get_running_loop(), requests_per_second=requests_per_second,
                              cancel_reserve_percent=cancel_reserve_percent)
        self._time = VenueTime()
        self._by_symbol: Mapping[str, Market] = {}
        self._by_id: Mapping[str, Market] = {}
        self._markets_at = 0.0                           # when they were loaded (monotonic, s)
        self._loading = asyncio.Lock()
        self._in_turn = asyncio.Lock()                   # where requests are numbered
        self._calls: set[asyncio.Task[Any]] = set()      # sends on the wire: they outlive whoever asked for them
        self._under_way: set[WireCall] = set()
        self._streams: set[PrivateStream] = set()
        self._stream_timing = stream_timing or StreamTiming()
        self._closed = False
        self.unreadable_entries = 0                      # entries of listings that could not be read, since this adapter was opened

    @property
    def capabilities(self) -> Capabilities:
        return self._dialect.capabilities

    # ── Sends ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def submit(self, request: OrderRequest, clearance: Clearance) -> SubmitOutcome:
        market = await self._market(request.symbol)
        if isinstance(market, Unreachable):
            return NotSent(market.reason)
        if (problem := _unsendable(request, market, self.capabilities)) is not None:
            return NotSent(problem)

        def outcome(reply: Reply) -> SubmitOutcome:
            return submit_outcome(reply, self._dialect, request, market)

        try:
            call = self._dialect.submit(request, market)
        except NotBuilt as problem:
            return NotSent(str(problem))
        return await self._send(call, clearance, Priority.SUBMIT, outcome)

    async def cancel(self, ref: OrderRef, clearance: Clearance) -> CancelOutcome:
        market = await self._market(ref.symbol)
        if isinstance(market, Unreachable):
            return NotSent(market.reason)

        def outcome(reply: Reply) -> CancelOutcome:
            return cancel_outcome(reply, self._dialect, ref, market)

        try:
            call = self._dialect.cancel(ref, market)
        except NotBuilt as problem:
            return NotSent(str(problem))
        return await self._send(call, clearance, Priority.CANCEL, outcome)

    async def amend(self, ref: OrderRef, request: OrderRequest, clearance: Clearance) -> AmendOutcome:
        """No dialect of ours has it yet: `capabilities.amend` is None, and nothing is sent."""
        return NotSent("this exchange's adapter can't amend orders")

    async def replace(self, ref: OrderRef, request: OrderRequest, clearance: Clearance) -> Replaced:
        """As with amending: `capabilities.replace` is None."""
        never = NotSent("this exchange's adapter can't replace orders in one request")
        return Replaced(never, never)

    async def _send(self, call: Call, clearance: Clearance, priority: Priority, outcome: Callable[[Reply], Outcome]) -> Outcome:
        """Send, in a task of our own: once a byte is written, nobody's cancellation loses the answer."""
        wire = WireCall(clearance)

        async def send() -> Outcome:
            return outcome(await self._ask(call, wire, priority))

        task = asyncio.create_task(send())
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if wire.written:
                task.add_done_callback(self._tell_streams)
            else:
                wire.abandoned = True
                task.cancel()
            raise

    def _tell_streams(self, task: asyncio.Task[Any]) -> None:
        """An answer that nobody waits for any more reaches the session the other way facts do."""
        if task.cancelled() or not isinstance(accepted := task.result(), Accepted):
            return
        facts = [OrderUpdate(accepted.order, trade) for trade in accepted.trades] or [OrderUpdate(accepted.order)]
        for stream in self._streams:
            for fact in facts:
                stream.put(fact)

    # ── Reads ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def lookup(self, ref: OrderRef) -> LookupOutcome:
        market = await self._market(ref.symbol)
        if isinstance(market, Unreachable):
            return market
        try:
            call = self._dialect.lookup(ref, market)
        except NotBuilt as problem:
            return Unreachable(str(problem))
        if call is not None:
            return lookup_outcome(await self._read(call, Priority.LOOKUP), self._dialect, ref, self._by_id)
        return await self._found_in_lists(ref, market)

    async def _found_in_lists(self, ref: OrderRef, market: Market) -> LookupOutcome:
        """Where a venue knows no lookup by our id. What is in none of the whole lists was not found; a list with a hole says nothing."""
        if isinstance(now := await self._now(), Unreachable):
            return now
        assert self._dialect.find_pages is not None
        listed = await self._listed(self._dialect.find_pages(ref, market, now), self._dialect.read_order)
        if isinstance(listed, Unreachable):
            return listed
        for order in listed.items:
            if (order.symbol, order.client_order_id) == (ref.symbol, ref.client_order_id) and ref.exchange_order_id in (None, order.exchange_order_id):
                return Found(order)
        return NotFound() if listed.complete else Unreachable("the list of orders is not complete")

    async def open_orders(self, symbol: str | None = None) -> Listing[ExchangeOrder] | Unreachable:
        market = None
        if symbol is not None:
            market = await self._market(symbol)
        elif isinstance(loaded := await self.markets(), Unreachable):
            return loaded
        if isinstance(market, Unreachable):
            return market
        listed = await self._listed(self._dialect.open_orders(market), self._dialect.read_order)
        if isinstance(listed, Unreachable):
            return listed
        limit = self.capabilities.max_open_orders_listed
        return listed if limit is None or len(listed.items) < limit else Listing(listed.items, complete=False)

    async def orders(self, symbol: str, since_ms: int) -> Listing[ExchangeOrder] | Unreachable:
        market = await self._market(symbol)
        if isinstance(market, Unreachable):
            return market
        if isinstance(now := await self._now(), Unreachable):
            return now
        listed = await self._listed(self._dialect.order_pages(market, since_ms, now), self._dialect.read_order)
        if isinstance(listed, Unreachable):
            return listed
        return replace(listed, items=tuple(order for order in listed.items if order.created_time_ms is None or order.created_time_ms >= since_ms))

    async def trades(self, symbol: str, *, since_ms: int | None = None, exchange_order_id: str | None = None) -> Listing[Trade] | Unreachable:
        market = await self._market(symbol)
        if isinstance(market, Unreachable):
            return market
        if isinstance(now := await self._now(), Unreachable):
            return now
        listed = await self._listed(self._dialect.trade_pages(market, since_ms, exchange_order_id, now), self._dialect.read_trade)
        if isinstance(listed, Unreachable) or since_ms is None:
            return listed
        return replace(listed, items=tuple(trade for trade in listed.items if trade.time_ms >= since_ms))

    async def clock(self) -> ClockReading | Unreachable:
        wire = WireCall(None)
        answer = await self._ask(self._dialect.clock, wire, Priority.LOOKUP)
        received_at = time.monotonic()
        if not isinstance(answer, Answered):
            return unreachable(answer)
        try:
            reading = ClockReading(self._dialect.read_clock(answer.document), wire.written_at, received_at)
        except Unreadable:
            return unreachable(answer)
        self._time.read(reading)
        return reading

    async def fingerprint(self) -> str | Refused | Unreachable:
        if self._dialect.markets is None and isinstance(loaded := await self.markets(), Unreachable):
            return loaded                      # ccxt's methods want to know the markets first
        try:
            call = self._dialect.account()
        except NotBuilt as problem:
            return Unreachable(str(problem))
        answer = await self._read(call, Priority.LOOKUP)
        if not isinstance(answer, Answered):
            return account_refusal(answer, self._dialect)
        try:
            return self._dialect.read_account(answer.document)
        except Unreadable:
            return unreachable(answer)

    async def markets(self, *, reload: bool = False) -> Mapping[str, MarketRules] | Unreachable:
        async with self._loading:
            if (reload or not self._by_symbol) and isinstance(problem := await self._load_markets(), Unreachable):
                return problem
            return {symbol: market.rules for symbol, market in self._by_symbol.items()}

    async def _load_markets(self) -> Unreachable | None:
        if self._dialect.markets is None:
            return await self._load_by_ccxt()
        answer = await self._ask(self._dialect.markets, WireCall(None), Priority.LISTING)
        if not isinstance(answer, Answered):
            return unreachable(answer)
        try:
            found = self._dialect.read_markets(answer.document)
            limit = self._dialect.read_limit(answer.document)
        except Unreadable:
            return unreachable(answer)
        markets, problems = await _parsed(found, self._dialect.read_market, self._ccxt.safe_currency_code)
        for problem in problems:
            self._count_unreadable("the markets", problem)
        if not markets:
            return Unreachable(GARBAGE)
        if limit is not None:
            self._budget.resize(limit)
        self._by_id = {market.id: market for market in markets}
        self._by_symbol = self._named(markets)
        self._markets_at = time.monotonic()
        return None

    async def _load_by_ccxt(self) -> Unreachable | None:
        """By ccxt's own public requests, of which some venues need several."""
        turn = await self._budget.turn(1, Priority.LISTING)
        if self._closed or not isinstance(turn, Granted):
            return Unreachable(CLOSED if self._closed else BUSY)
        token = CALL.set(WireCall(None, many=True))
        try:
            listed = await self._ccxt.fetch_markets()
            self._ccxt.set_markets(listed)
        except Exception as error:                                 # its text may hold an address
            log.warning("the markets of %s can't be loaded: %s", self._dialect.exchange_id, type(error).__name__)
            return Unreachable("the markets can't be loaded")
        finally:
            CALL.reset(token)
        markets, problems = await _parsed(self._dialect.read_markets(listed), self._dialect.read_market, self._ccxt.safe_currency_code)
        for problem in problems:
            self._count_unreadable("the markets", problem)
        if not markets:
            return Unreachable(GARBAGE)
        self._by_id = {market.id: market for market in markets}
        self._by_symbol = self._named(markets)
        self._markets_at = time.monotonic()
        return None

    def _named(self, markets: list[Market]) -> Mapping[str, Market]:
        """By our names. One name of two open markets is nobody's: an order may not go to the other one."""
        by_symbol: dict[str, list[Market]] = {}
        for market in markets:
            by_symbol.setdefault(market.rules.symbol, []).append(market)
        named = {}
        for symbol, same in by_symbol.items():
            candidates = [market for market in same if market.rules.active] or same
            if len(candidates) == 1:
                named[symbol] = candidates[0]
            else:
                log.error("%s has several markets that ccxt calls %s: none of them is traded here", self._dialect.exchange_id, symbol)
        return named

    async def _market(self, symbol: str) -> Market | Unreachable:
        if (market := self._by_symbol.get(symbol)) is not None:
            return market
        if isinstance(loaded := await self.markets(), Unreachable):
            return loaded
        return self._by_symbol.get(symbol) or Unreachable("the venue has no such market")

    async def _now(self) -> int | Unreachable:
        if not self._time.known and isinstance(reading := await self.clock(), Unreachable):
            return reading
        stamp = self._time.stamp()
        return stamp if isinstance(stamp, int) else Unreachable(stamp.reason)

    async def _listed(self, pages: Pages, read: Callable[[Any, Markets], Item]) -> Listing[Item] | Unreachable:
        """All pages of a listing. What can't be read is counted, logged, and makes it incomplete; the rest is kept (rule 12)."""
        items: list[Item] = []
        complete = True
        try:
            call = next(pages)
            for _ in range(MAX_PAGES):
                answer = await self._read(call, Priority.LISTING)
                if not isinstance(answer, Answered):
                    return unreachable(answer)
                page = entries(answer.document)
                found, readable = await self._entries(page, read)
                items += found
                complete = complete and readable
                call = pages.send(page)
            complete = False
        except StopIteration:
            pass
        except NotBuilt as problem:
            return Unreachable(str(problem))
        except Unreadable as problem:
            if not items:
                return Unreachable(GARBAGE)
            self._count_unreadable("a page", problem)
            complete = False
        finally:
            pages.close()
        return Listing(tuple(items), complete)

    async def _entries(self, page: list[Any], read: Callable[[Any, Markets], Item]) -> tuple[list[Item], bool]:
        """What a page's entries say, and whether all of them could be read."""
        items, problems = await _parsed(page, read, self._by_id)
        if any(isinstance(one, UnknownMarket) for one in problems) and time.monotonic() - self._markets_at > RELOAD_AFTER_S:
            await self.markets(reload=True)                        # it is newer than our list
            items, problems = await _parsed(page, read, self._by_id)
        for one in problems:
            self._count_unreadable("a listing", one)
        return items, not problems

    def _count_unreadable(self, where: str, problem: Unreadable) -> None:
        self.unreadable_entries += 1
        log.warning("an entry of %s of %s can't be read: %s", where, self._dialect.exchange_id, problem)

    # ── The private stream ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def stream(self) -> AsyncGenerator[StreamFact, None]:
        dialect = self._dialect.stream
        if dialect is None:
            async for gap in self._swept():
                yield gap
            return
        url: Any = self._ccxt.urls["api"]
        for name in dialect.url:
            url = url[name]
        stream = PrivateStream(dialect, self._ccxt, self._http, url, self._time, self._stream_timing, time_refusals=self._dialect.words.time,
                               markets=lambda: self._by_id, prepare=self._ready_to_stream)
        self._streams.add(stream)
        try:
            if not self._closed:
                async for fact in stream.facts():
                    yield fact
        finally:
            self._streams.discard(stream)

    async def _swept(self) -> AsyncGenerator[StreamFact, None]:
        """Without a private stream that we read: a gap from time to time, so that the account is swept over REST."""
        yield Gap.SUBSCRIBED
        while not self._closed:
            await asyncio.sleep(SWEPT_EVERY_S)
            yield Gap.SUBSCRIBED

    async def _ready_to_stream(self) -> Unreachable | None:
        """Known markets, a known time and a turn in the budget, or what is missing."""
        for needed in (await self.markets(), await self._now()):
            if isinstance(needed, Unreachable):
                return needed
        assert self._dialect.stream is not None
        turn = await self._budget.turn(self._dialect.stream.weight, Priority.LOOKUP)
        return None if isinstance(turn, Granted) else Unreachable(BUSY, turn.seconds)

    async def close(self) -> None:
        """Let what is written find its answer, write nothing more, and leave no task behind."""
        self._closed = True
        self._budget.stay_away(math.inf)             # whoever waits for a turn goes home
        for wire in self._under_way:
            wire.abandoned = True
        for stream in list(self._streams):
            await stream.close()
        if self._calls:
            await asyncio.wait(self._calls)          # each ends with its own timeout
        await self._http.close()

    # ── The way to the wire ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _read(self, call: Call, priority: Priority) -> Reply:
        if isinstance(now := await self._now(), Unreachable):
            return Silence(False, now.reason, now.retry_after_s)
        return await self._ask(call, WireCall(self._time), priority)

    async def _ask(self, call: Call, wire: WireCall, priority: Priority) -> Reply:
        """One request: its turn in the budget, then the wire. Whatever happens is a Reply; only the caller's cancellation is raised."""
        turn = await self._budget.turn(call.weight, priority)
        if self._closed:
            return Silence(False, CLOSED)
        if not isinstance(turn, Granted):
            return Silence(False, BUSY, turn.seconds)
        wire.stamped, wire.headers = call.stamped, call.headers
        try:
            async with self._in_turn if wire.clearance is not None and self._dialect.one_at_a_time else nullcontext():
                return Silence(False, CLOSED) if self._closed else await self._written(call, wire)
        finally:
            if not wire.written:
                self._budget.give_back(call.weight)

    async def _written(self, call: Call, wire: WireCall) -> Reply:
        token = CALL.set(wire)
        self._under_way.add(wire)
        try:
            await self._ccxt.request(call.path, list(call.api), call.method, copied(call.params))
        except Exception as error:
            if wire.answer is None:
                return self._silence(wire, error)
            wire.answer = replace(wire.answer, disowned=True)
        finally:
            self._under_way.discard(wire)
            CALL.reset(token)
        return self._extracted(self._heard(wire.answer), call, wire)

    def _extracted(self, said: Reply, call: Call, wire: WireCall) -> Reply:
        """What is to be read, where it lies inside of the answer."""
        if call.extract is None or wire.answer is None or not isinstance(said, Answered):
            return said
        try:
            return Answered(call.extract(wire.answer))
        except Unreadable as problem:
            self._count_unreadable("an answer", problem)
            return Silence(True, GARBAGE)

    def _silence(self, wire: WireCall, error: Exception) -> Silence:
        """No answer. The error's text is never used: it may hold the address, and with it a signature."""
        if wire.shut is not None:
            return Silence(wire.written, wire.shut.reason)
        if not isinstance(error, aiohttp.ClientError | TimeoutError | OSError):
            log.error("a request to %s failed with %s", self._dialect.exchange_id, type(error).__name__)      # a bug, of ours or of ccxt
            return Silence(wire.written, "the request could not be made")
        if not wire.written:
            return Silence(False, "no connection could be made")
        return Silence(True, "no answer came in time" if isinstance(error, TimeoutError) else "the connection was lost before the answer")

    def _heard(self, answer: Answer | None) -> Reply:
        if answer is None:
            return Silence(True, "no answer came")
        if (used := self._dialect.read_used_weight(answer.headers)) is not None:
            self._budget.heard(used)
        said = reply(answer, self._dialect)
        if not isinstance(said, Answered) and said.retry_after_s is not None:
            self._budget.stay_away(said.retry_after_s)
        if isinstance(said, VenueError) and said.definite and self._dialect.words.time.has(said.code, said.message):
            self._time.forget()
        return said


async def _parsed(page: Iterable[Any], read: Callable[[Any, Context], Read], context: Context) -> tuple[list[Read], list[Unreadable]]:
    """Entry by entry. Others keep their turn: a page may have thousands."""
    items: list[Read] = []
    problems: list[Unreadable] = []
    for number, entry in enumerate(page):
        if number % 100 == 99:
            await asyncio.sleep(0)
        try:
            items.append(read(entry, context))
        except Unreadable as problem:
            problems.append(problem)
    return items, problems


def _unsendable(request: OrderRequest, market: Market, venue: Capabilities) -> str | None:
    """What would be lost or bent on the way to this venue. `core.market_rules` has said it before, to the user; here nothing is sent without it."""
    if request.type not in venue.order_types:
        return f"this exchange's adapter has no orders of type {request.type}"
    if request.time_in_force is not None and request.time_in_force not in venue.times_in_force:
        return f"this exchange's adapter has no time in force {request.time_in_force}"
    if request.post_only and not venue.post_only:
        return "this exchange's adapter has no post-only orders"
    if request.reduce_only and not venue.reduce_only:
        return "this market has no reduce-only orders"
    if len(request.client_order_id) > venue.client_order_id_max_length:
        return "the client order id is too long for this exchange"
    if (request.price is None) != (request.type == "Market"):
        return "a limit order has a price, and a market order has none"
    if (request.quantity is None) == (request.quote_quantity is None):
        return "an order has a quantity or a quote quantity"
    if request.quantity is not None and quantise_quantity(request.quantity, market.rules.quantity_step) <= ZERO:
        return "the quantity is less than one step of the market"
    if request.quote_quantity is not None and (request.type != "Market" or quantise_quantity(request.quote_quantity, market.quote_step) <= ZERO):
        return "the quote quantity is for market orders, and more than nothing"
    return None
