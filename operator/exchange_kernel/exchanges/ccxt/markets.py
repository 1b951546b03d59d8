"""The markets of a venue, as they were last loaded, and reading entries that name them."""

from __future__ import annotations

import asyncio
import decimal
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

import aiohttp

from exchange_kernel.core.answers import Unreachable
from exchange_kernel.core.venue import MarketRules
from exchange_kernel.exchanges.ccxt.aside import apart, aside
from exchange_kernel.exchanges.ccxt.bounds import MARKETS
from exchange_kernel.exchanges.ccxt.budget import Budget, Granted, Priority
from exchange_kernel.exchanges.ccxt.dialect import Dialect, Market
from exchange_kernel.exchanges.ccxt.link import CLOSED, Link
from exchange_kernel.exchanges.ccxt.outcomes import BUSY, GARBAGE, TOO_LARGE, Answered, unreachable
from exchange_kernel.exchanges.ccxt.parsing import Unreadable, entries, strictly
from exchange_kernel.exchanges.ccxt.share import Share
from exchange_kernel.exchanges.ccxt.wire import CALL, WireCall

log = logging.getLogger(__name__)

#: How long a list of markets is used: steps, limits and what is open for trading change without a word.
GOOD_FOR_S = 3600.0

#: How long it is good enough for something that names a market that it lacks.
RELOAD_AFTER_S = 60.0

#: A longer list is not read. The longest ones have about 4,000.
MAX_MARKETS = 10_000

#: How long ccxt's own requests for the markets may take together.
LOAD_S = 60.0

#: Entries that are read in one step of the loop: a fifth of a millisecond. Each step of others' orders waits for one of each list that is being read.
AT_ONCE = 4

#: Entries of the longest page that a venue documents. What comes after them takes a fifth of the loop's time at most.
LONG, REST_S = 1000, 0.001

Read = TypeVar("Read")
Context = TypeVar("Context")


class VenueMarkets(Link):
    def __init__(self, dialect: Dialect, ccxt: Any, http: aiohttp.ClientSession, budget: Budget) -> None:
        super().__init__(dialect, ccxt, http, budget)
        self._by_symbol: Mapping[str, Market] = {}       # those that the venue lists
        self._former: dict[str, Market] = {}             # and those that it listed once: what is there is read and cancelled by them
        self._by_id: Mapping[str, Market] = {}           # all of them
        self._rules: Mapping[str, MarketRules] = {}
        self._not_there: frozenset[str] = frozenset()    # markets that entries name and the last new list did not have
        self._markets_at = 0.0                           # when they were loaded (monotonic, s)
        self._loading = asyncio.Lock()

    async def markets(self, *, reload: bool = False) -> Mapping[str, MarketRules] | Unreachable:
        return await self._loaded(0.0 if reload else GOOD_FOR_S)

    async def _loaded(self, good_for_s: float) -> Mapping[str, MarketRules] | Unreachable:
        """The list, loaded anew if it is older. One that grew old and can't be had anew is better than none."""
        if self._by_symbol and good_for_s and (self._loading.locked() or time.monotonic() - self._markets_at < good_for_s):
            return self._rules  # nobody waits for a reading that is slow
        async with self._loading:
            if not self._by_symbol or time.monotonic() - self._markets_at >= good_for_s:
                problem = await self._load_markets()
                if problem is not None and (not self._by_symbol or not good_for_s):
                    return problem
            return self._rules

    async def _reloaded(self) -> bool:
        """Whether the list was loaded anew, for something names a market that it lacks: perhaps a newer one."""
        before = self._markets_at
        await self._loaded(RELOAD_AFTER_S)
        return self._markets_at != before

    async def _load_markets(self) -> Unreachable | None:
        if self._dialect.markets is None:
            return await self._load_by_ccxt()
        answer = await self._ask(self._dialect.markets, WireCall(None, cap=MARKETS), Priority.LISTING)
        if not isinstance(answer, Answered):
            return unreachable(answer)
        try:
            found = entries(strictly(self._dialect.read_markets, answer.document))
            limit = strictly(self._dialect.read_limit, answer.document)
        except Unreadable:
            return unreachable(answer)
        if len(found) > MAX_MARKETS:
            return Unreachable(GARBAGE, answered=True)
        markets, problems = await parsed(taken(found), self._dialect.read_market, self._ccxt.safe_currency_code, self._share)
        for _, problem in problems:
            self._count_unreadable("the markets", problem)
        if not markets:
            return Unreachable(GARBAGE)
        if limit is not None:
            self._budget.resize(limit)
        await self._take_over(markets, whole=not problems)
        return None

    async def _load_by_ccxt(self) -> Unreachable | None:
        """By ccxt's own public requests, of which some venues need several."""
        if not await self._share_is_left():
            return Unreachable(TOO_LARGE)
        turn = await self._budget.turn(1, Priority.LISTING)
        if self._closed or not isinstance(turn, Granted):
            return Unreachable(CLOSED if self._closed else BUSY)
        token = CALL.set(WireCall(None, many=True, share=self._share))
        try:
            async with asyncio.timeout(LOAD_S):
                listed = await apart(self._share, self._fetched)
        except Exception as error:                                 # its text may hold an address
            log.warning("the markets of %s can't be loaded: %s", self._dialect.exchange_id, type(error).__name__)
            return Unreachable("the markets can't be loaded")
        finally:
            CALL.reset(token)
        try:
            found = strictly(self._dialect.read_markets, listed)
        except Unreadable:
            return Unreachable(GARBAGE, answered=True)
        markets, problems = await parsed(found, self._dialect.read_market, self._ccxt.safe_currency_code, self._share)
        for _, problem in problems:
            self._count_unreadable("the markets", problem)
        if not markets:
            return Unreachable(GARBAGE)
        await self._take_over(markets, whole=not problems)
        return None

    async def _take_over(self, markets: list[Market], *, whole: bool) -> None:
        """Go by a newer list. A market that a list lacks in which something could not be read stays as it was."""
        named = await aside(self._share, self._named, markets) if len(markets) > LONG else self._named(markets)
        ids = {market.id for market in markets}
        lacking = {symbol: market for symbol, market in self._by_symbol.items() if market.id not in ids}
        if not whole:
            named = {**lacking, **named}
        former = {symbol: market for symbol, market in {**self._former, **lacking}.items() if market.id not in ids and symbol not in named}
        self._former = dict(list(former.items())[-MAX_MARKETS:])
        self._by_id = {market.id: market for market in (*self._former.values(), *named.values(), *markets)}
        self._by_symbol, self._rules = named, {symbol: market.rules for symbol, market in named.items()}
        self._markets_at = time.monotonic()

    def recall(self, market: MarketRules) -> None:
        """As the port. ccxt makes no requests for a market that it does not know: a row's is not recalled."""
        if self._dialect.markets is None or not market.venue_id or market.symbol in self._by_symbol or market.symbol in self._former:
            return
        self._former[market.symbol] = Market(id=market.venue_id, rules=market)
        self._by_id = {market.venue_id: self._former[market.symbol], **self._by_id}

    async def _fetched(self) -> list[Any]:
        """What ccxt makes of its requests, on a loop of its own: it computes for as long as a second."""
        with decimal.localcontext():
            listed = entries(await self._ccxt.fetch_markets())
            if len(listed) > MAX_MARKETS:
                raise Unreadable("the list of markets is too long")
            symbols = {one.get("symbol") for one in listed if isinstance(one, dict)}
            former = [market for symbol, market in (self._ccxt.markets or {}).items() if symbol not in symbols]
            self._ccxt.set_markets([*former[: MAX_MARKETS - len(listed)], *listed])  # what is there is named by them
        return listed

    def _named(self, markets: list[Market]) -> dict[str, Market]:
        """By our names. One name of two open markets is nobody's: an order may not go to the other one."""
        by_symbol: dict[str, list[Market]] = {}
        for market in markets:
            by_symbol.setdefault(market.rules.symbol, []).append(market)
        named: dict[str, Market] = {}
        for symbol, same in by_symbol.items():
            candidates = [market for market in same if market.rules.active] or same
            if len(candidates) == 1:
                named[symbol] = candidates[0]
            else:
                log.error("%s has several markets that ccxt calls %s: none of them is traded here", self._dialect.exchange_id, symbol)
        return named

    async def _market(self, symbol: str, *, listed: bool = False) -> Market | Unreachable:
        """The market, for whatever is there already also one that the venue does not list any more. `listed`: for a new order, which needs one that it does."""
        if (market := self._by_symbol.get(symbol) or (None if listed else self._former.get(symbol))) is not None:
            return market
        if isinstance(loaded := await self._loaded(RELOAD_AFTER_S), Unreachable):
            return loaded
        return self._by_symbol.get(symbol) or Unreachable("the venue has no such market")


def taken(entries: list[Any]) -> Iterator[Any]:
    """Each entry, taken out of the list: a million values that are let go at once hold the loop for a tenth of a second."""
    entries.reverse()
    while entries:
        yield entries.pop()


async def let_go(page: list[Any]) -> None:
    """Free a long page step by step, as `taken` does."""
    while len(page) > LONG:
        del page[-LONG // 4:]
        await asyncio.sleep(0)


async def parsed(
    page: Iterable[Any], read: Callable[[Any, Context], Read], context: Context, share: Share,
) -> tuple[list[Read], list[tuple[Any, Unreadable]]]:
    """Entry by entry, and each that can't be read with its problem. Others keep their turn: a page may have thousands."""
    items: list[Read] = []
    problems: list[tuple[Any, Unreadable]] = []
    began = time.thread_time()
    for number, entry in enumerate(page):
        if number % AT_ONCE == AT_ONCE - 1:
            share.take(time.thread_time() - began)
            await asyncio.sleep(0 if number < LONG else REST_S)
            began = time.thread_time()
        try:
            items.append(strictly(read, entry, context))
        except Unreadable as problem:
            problems.append((entry, problem))
    share.take(time.thread_time() - began)
    return items, problems
