"""What is not in a venue's table of errors proves nothing: through the real adapter, over a venue at loopback that speaks its words."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from exchange_kernel.api import RefusalKind
from exchange_kernel.core.answers import Refused, Unknown, Unreachable
from exchange_kernel.exchanges.ccxt.dialect import PROOFS, AllowList, Call, Dialect, Listed, codes, words
from exchange_kernel.exchanges.ccxt.dialects import DIALECTS
from exchange_kernel.exchanges.ccxt.probe import ID
from exchange_kernel.exchanges.ccxt.row import Row
from exchange_kernel.exchanges.ccxt.rows import ROWS
from exchange_kernel.exchanges.port import ClockReading, OrderRef
from tests.contract import test_ccxt_adapter as binance
from tests.contract import test_rows as rows
from tests.contract.fake_venue import EXCHANGE_INFO, FakeVenue, says, says_bytes

VENUES: list[Dialect | Row] = [*DIALECTS.values(), *ROWS.values()]
EVERY = pytest.mark.parametrize("venue", VENUES, ids=[f"{venue.exchange_id}-{venue.market_type}" for venue in VENUES])


#: Those whose codes mean several things each, or whose messages are their codes' second half.
WORDS_MATTER = {"binance", "binanceusdm", "kucoin", "deribit", "hyperliquid"}


class Asked:
    """An account at a venue that answers each operation in the same way."""

    def __init__(self, venue: Dialect | Row, exchange: Any, there: FakeVenue) -> None:
        self.venue, self.exchange, self.there = venue, exchange, there
        self.row = venue if isinstance(venue, Row) else None

    def error(self, code: str, message: str) -> tuple[int, Any]:
        return (400, {"code": int(code), "msg": message}) if self.row is None else rows.speech_of(self.row).error(code, message)

    async def operations(self, status: int, document: Any) -> tuple[object, object, object]:
        """Submit, cancel and lookup, each answered so."""
        self.exchange._time.read(ClockReading(int(time.time() * 1000), time.monotonic(), time.monotonic()))
        answer = says_bytes(status, b"") if document is None else says(status, document)
        for call in self._calls():
            rows.answers(self.exchange, self.there, call, answer)
        request = binance.a_request() if self.row is None else rows.a_request(self.row)
        asked_by = binance.REF if self.row is None else rows.a_ref(self.row, by_theirs=self.row.cancel_by is None)
        looked_up = binance.REF if self.row is None else rows.a_ref(self.row)
        return (
            await self.exchange.submit(request, binance.Gate()), await self.exchange.cancel(asked_by, binance.Gate()), await self.exchange.lookup(looked_up),
        )

    def _calls(self) -> list[Call]:
        if self.row is not None:
            return [rows.submit_call(self.exchange, self.row), rows.cancel_call(self.exchange, self.row), *rows.lookup_calls(self.exchange, self.row)]
        dialect, market = self.exchange._dialect, self.exchange._by_symbol["BTC/USDT"]
        ref = OrderRef("BTC/USDT", ID)
        return [dialect.submit(binance.a_request(), market), dialect.cancel(ref, market), dialect.lookup(ref, market)]


@asynccontextmanager
async def asked(venue: Dialect | Row) -> AsyncIterator[Asked]:
    if isinstance(venue, Row):
        async with rows.connected(venue) as (exchange, there):
            yield Asked(venue, exchange, there)
        return
    async with binance.connected() as (binance_spot, there):
        there.on("GET", "/api/v3/exchangeInfo", says(200, EXCHANGE_INFO))
        assert await binance_spot.markets()
        yield Asked(venue, binance_spot, there)


def listed(venue: Dialect | Row) -> list[Listed]:
    return [row for name in PROOFS for row in getattr(venue.words, name).rows]


@EVERY
@pytest.mark.parametrize("code", ["77777", "0777"])
async def test_an_unknown_code_proves_nothing(venue: Dialect | Row, code: str) -> None:
    async with asked(venue) as there:
        submitted, cancelled, found = await there.operations(*there.error(code, "Something new."))
    assert isinstance(submitted, Unknown)
    assert isinstance(cancelled, Unknown)
    assert isinstance(found, Unreachable)


@EVERY
async def test_a_known_code_with_other_words_proves_nothing_where_words_matter(venue: Dialect | Row) -> None:
    by_words = {code for row in listed(venue) if row.messages not in (("%s",), ("",)) for code in row.codes}
    by_words -= {code for row in listed(venue) if row.messages == ("%s",) for code in row.codes}
    assert bool(by_words) == (venue.exchange_id in WORDS_MATTER)
    async with asked(venue) as there:
        for code in sorted(by_words):
            submitted, cancelled, found = await there.operations(*there.error(code, "Something new of an old kind."))
            assert isinstance(submitted, Unknown), code
            assert isinstance(cancelled, Unknown), code
            assert isinstance(found, Unreachable), code


@EVERY
@pytest.mark.parametrize("status", [400, 401, 403, 404, 408, 409, 500, 502, 503, 504])
async def test_an_http_error_without_the_venues_words_proves_nothing(venue: Dialect | Row, status: int) -> None:
    async with asked(venue) as there:
        submitted, cancelled, found = await there.operations(status, None)
    assert isinstance(submitted, Unknown)
    assert isinstance(cancelled, Unknown)
    assert isinstance(found, Unreachable)


@EVERY
def test_each_code_has_a_meaning_and_a_source_and_one_proof_an_operation(venue: Dialect | Row) -> None:
    for row in listed(venue):
        assert row.codes
        assert row.messages
        assert row.meaning, row
        assert row.source, row
        assert "[" not in row.meaning + row.source, "a source is a place, not a remark"
    for first, second in (("duplicates", "time"), ("duplicates", "refusals"), ("time", "refusals"), ("unknown_order", "refusals"), ("not_found", "refusals")):
        both = said_in(getattr(venue.words, first)) & said_in(getattr(venue.words, second))
        assert not both, f"{both} is both {first} and {second}"


def said_in(words: AllowList) -> set[tuple[str, str]]:
    return {(code, message) for row in words.rows for code in row.codes for message in row.messages}


def test_the_page_has_each_code_of_each_venue() -> None:
    page = (Path(__file__).parents[2] / "docs/reference/errors.md").read_text()
    sections = dict(re.findall(r"^## ([\w ]+)\n(.*?)(?=^## |\Z)", page, re.M | re.S))
    for venue in VENUES:
        section = sections.get(f"{venue.exchange_id} {venue.market_type}") or sections[venue.exchange_id]
        for row in listed(venue):
            assert all(f"`{code}`" in section for code in row.codes), row
            assert row.source in section


def test_a_source_of_its_own_is_kept_and_the_lists_is_the_others() -> None:
    told = words("the page", refusals=(codes("1", meaning="a"), codes("2", meaning="b", source="another")))
    assert [row.source for row in told.refusals.rows] == ["the page", "another"]
    assert not told.busy.rows


@pytest.mark.parametrize("code", ["110092", "110093"])
def test_a_stop_whose_trigger_the_market_passed_is_told_at_bybit(code: str) -> None:
    refusals = ROWS["bybit", "swap"].words.refusals
    assert refusals.kind(code, "expect Rising, but trigger_price[190000000] <= current[211280000]") is RefusalKind.TRIGGER_PASSED


@pytest.mark.parametrize(("exchange_id", "code"), [
    ("okx", "51022"), ("okx", "51029"), ("okx", "51030"), ("bybit", "110063"), ("bybit", "170151"),
])
async def test_a_market_that_settles_is_closed_for_now_and_not_a_definite_end(exchange_id: str, code: str) -> None:
    for venue in (one for one in VENUES if one.exchange_id == exchange_id):
        async with asked(venue) as there:
            submitted, _, _ = await there.operations(*there.error(code, "Settlement in progress."))
        assert isinstance(submitted, Refused)
        assert submitted.kind is RefusalKind.MARKET_CLOSED
