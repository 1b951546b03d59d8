"""What is asked of a venue without changing anything there: orders, trades, and the account itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any, TypeVar

from exchange_kernel.core.answers import (
    Balance,
    ExchangeOrder,
    Found,
    GroupLookupOutcome,
    Listing,
    LookupOutcome,
    NotFound,
    Position,
    Refused,
    Trade,
    Unreachable,
    Unread,
)
from exchange_kernel.exchanges.ccxt.bounds import LOOKUP
from exchange_kernel.exchanges.ccxt.budget import Priority
from exchange_kernel.exchanges.ccxt.carried import inside
from exchange_kernel.exchanges.ccxt.dialect import Market, Markets, Pages
from exchange_kernel.exchanges.ccxt.markets import VenueMarkets, let_go, parsed
from exchange_kernel.exchanges.ccxt.outcomes import GARBAGE, Answered, account_refusal, group_lookup_outcome, lookup_outcome, unreachable
from exchange_kernel.exchanges.ccxt.parsing import GoesOn, UnknownMarket, Unreadable, entries, strictly
from exchange_kernel.exchanges.ccxt.unified import NotBuilt
from exchange_kernel.exchanges.ccxt.wire import WireCall
from exchange_kernel.exchanges.port import OrderRef

Item = TypeVar("Item", ExchangeOrder, Trade, Balance, Position)

#: A listing that is longer is marked incomplete: 200 pages of Binance are 200,000 orders of one market.
MAX_PAGES = 200

#: And one of more entries: they are in memory together.
MAX_ENTRIES = 100_000

#: Names of markets that a new list did not have either, kept at once: they are not asked for again.
MAX_NAMES = 1000

CUT = "the exchange has more of them than it lists"


class Reads(VenueMarkets):
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

    async def lookup_group(self, symbol: str, list_id: str) -> GroupLookupOutcome:
        if (groups := self._dialect.groups) is None:
            return Unreachable("this exchange's adapter has no order lists")
        return group_lookup_outcome(await self._read(groups.lookup(list_id), Priority.LOOKUP), self._dialect, groups, list_id)

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
        cut = limit is not None and len(listed.items) + len(listed.unread) >= limit
        return replace(listed, complete=False, lack=listed.lack or CUT) if cut else listed

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

    async def balances(self) -> Listing[Balance] | Unreachable:
        if isinstance(loaded := await self.markets(), Unreachable):
            return loaded
        if (holdings := self._dialect.holdings) is None:
            return Unreachable("this exchange's adapter can't read balances")
        return await self._listed(holdings.balances(), lambda entry, _: holdings.read_balance(entry, self._ccxt.safe_currency_code))

    async def positions(self, symbol: str | None = None) -> Listing[Position] | Unreachable:
        market = None
        if symbol is not None:
            market = await self._market(symbol)
        elif isinstance(loaded := await self.markets(), Unreachable):
            return loaded
        if isinstance(market, Unreachable):
            return market
        if (holdings := self._dialect.holdings) is None:
            return Unreachable("this exchange's adapter can't read positions")
        if holdings.positions is None or holdings.read_position is None:
            return Listing((), complete=True)  # there are none on spot
        return await self._listed(holdings.positions(market), holdings.read_position)

    async def last_price(self, symbol: str) -> Decimal | Unreachable:
        dialect = self._dialect
        market = await self._market(symbol)
        if isinstance(market, Unreachable):
            return market
        if dialect.last_price is None or dialect.read_last_price is None:
            return Unreachable("this exchange's adapter reads no prices")
        try:
            answer = await self._ask(dialect.last_price(market), WireCall(None, cap=LOOKUP), Priority.LOOKUP)
        except NotBuilt as problem:
            return Unreachable(str(problem))
        if not isinstance(answer, Answered):
            return unreachable(answer)
        try:
            return strictly(dialect.read_last_price, answer.document)
        except Unreadable:
            return unreachable(answer)

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
            fingerprint = strictly(self._dialect.read_account, answer.document)
            self._set_taker_fee(strictly(self._dialect.read_taker_fee, answer.document))
            if self._dialect.read_hedge_mode is not None:
                self._set_hedge_mode(strictly(self._dialect.read_hedge_mode, answer.document))
        except Unreadable:
            return unreachable(answer)
        return fingerprint

    def _set_hedge_mode(self, on: bool) -> None:
        """A capability of the account, not of its venue: known once the account is read."""
        self._dialect = replace(self._dialect, capabilities=replace(self._dialect.capabilities, hedge_mode=on))

    def _set_taker_fee(self, share: Decimal | None) -> None:
        self._dialect = replace(self._dialect, capabilities=replace(self._dialect.capabilities, taker_fee=share))

    async def _listed(self, pages: Pages, read: Callable[[Any, Markets], Item]) -> Listing[Item] | Unreachable:
        """All pages of a listing. What can't be read makes it incomplete, and is handed on by its texts; the rest is kept (rule 12)."""
        items: list[Item] = []
        unread: list[Unread] = []
        lack = ""
        try:
            call = next(pages)
            for _ in range(MAX_PAGES):
                answer = await self._read(call, Priority.LISTING)
                if not isinstance(answer, Answered):
                    return unreachable(answer)
                page = entries(answer.document)
                found, not_read = await self._entries(page, read)
                items += found
                unread += not_read
                if len(items) + len(unread) > MAX_ENTRIES:
                    break
                try:
                    call = pages.send(page)
                finally:
                    await let_go(page)
            lack = CUT
        except StopIteration:
            pass
        except NotBuilt as problem:
            return Unreachable(str(problem))
        except GoesOn:
            lack = CUT
        except Exception as problem:           # whatever the interpreter makes of what names the next page
            if not items and not unread:
                return Unreachable(GARBAGE)
            self._count_unreadable("a page", problem)
            lack = "a page of it can't be read"
        finally:
            pages.close()
        return Listing(tuple(items), complete=not lack and not unread, unread=tuple(unread), lack=lack)

    async def _entries(self, page: list[Any], read: Callable[[Any, Markets], Item]) -> tuple[list[Item], list[Unread]]:
        """What a page's entries say, and those that can't be read. A market that the list lacks is looked for in a new list once."""
        items, problems = await parsed(page, read, self._by_id, self._share)
        if _unknown(problems) - self._not_there and await self._reloaded():
            items, problems = await parsed(page, read, self._by_id, self._share)
            self._not_there = (self._not_there if len(self._not_there) < MAX_NAMES else frozenset()) | _unknown(problems)
        for _, problem in problems:
            if not isinstance(problem, UnknownMarket):
                self._count_unreadable("a listing", problem)
        return items, [Unread(self._texts(entry)) for entry, _ in problems]

    def _texts(self, entry: Any) -> frozenset[str] | None:
        """Every text in an entry, with our ids as we write them."""
        texts = inside(entry) if isinstance(entry, dict) else ()
        return frozenset(self._dialect.read_id(text) for text in texts if isinstance(text, str) and text) or None


def _unknown(problems: list[tuple[Any, Unreadable]]) -> frozenset[str]:
    return frozenset(problem.name for _, problem in problems if isinstance(problem, UnknownMarket))
