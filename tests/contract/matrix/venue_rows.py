"""The matrix of the rows: each venue of the table against a scripted one that speaks its words, where the wire fails.

What the script did with a request is what is true at the venue: one that it answers with an acceptance, whatever becomes of the answer, is done.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from unittest import mock

from exchange_kernel.exchanges.ccxt import wire
from exchange_kernel.exchanges.ccxt.row import Row
from exchange_kernel.exchanges.ccxt.rows import ROWS
from tests.contract.fake_venue import Answer, FakeVenue, drops, never, says, says_bytes, truncates
from tests.contract.matrix.cells import Cell, outcome
from tests.contract.test_ccxt_adapter import Gate
from tests.contract.test_rows import (
    a_ref,
    a_request,
    answers,
    cancel_call,
    connected,
    lookup_calls,
    ours_of,
    pairs,
    speech_of,
    submit_call,
)

PAGE = b"<html><body><h1>Bad Gateway</h1></body></html>"
PAGES = {"Content-Type": "text/html"}
PATIENCE_S = 0.4        # for what never answers; whether a request had arrived by then is not asked


def on_the_wire(document: Any) -> Mapping[str, Answer]:
    """What may become of an answer."""
    return {
        "drop": drops, "truncated": truncates(document), "empty": says_bytes(200, b""), "garbage": says_bytes(200, b"\x00\xff{{", **PAGES),
        "html": says_bytes(200, PAGE, **PAGES), "an empty object": says(200, {}), "a bare string": says(200, "ok"), "502": says_bytes(502, PAGE, **PAGES),
        "503": says_bytes(503, PAGE, **PAGES), "504": says_bytes(504, PAGE, **PAGES), "500 with its words": says(500, document),
        "302": says_bytes(302, b"", Location="/elsewhere"),
    }


async def cells() -> list[Cell]:
    return [cell for row in ROWS.values() for cell in [*await _answered(row), *await _unanswered(row)]]


@dataclass(frozen=True)
class Script:
    """One row's account, and its venue."""

    row: Row
    exchange: Any
    venue: FakeVenue

    @property
    def name(self) -> str:
        return f"{self.row.exchange_id} {self.row.market_type}, scripted venue"

    async def submit(self, fault: str, answer: Answer, *, done: bool) -> Cell:
        answers(self.exchange, self.venue, submit_call(self.exchange, self.row), answer)
        return Cell(self.name, "submit", fault, outcome(await self.exchange.submit(a_request(self.row), Gate())), done)

    async def every(self, fault: str, answer: Answer) -> list[Cell]:
        """Of an answer that does not arrive as it was given."""
        row, exchange = self.row, self.exchange
        cells = [await self.submit(fault, answer, done=True)]
        answers(exchange, self.venue, cancel_call(exchange, row), answer)
        cells.append(Cell(self.name, "cancel", fault, outcome(await exchange.cancel(a_ref(row, by_theirs=row.cancel_by is None), Gate())), True))
        for call in lookup_calls(exchange, row):
            answers(exchange, self.venue, call, answer)
        return [*cells, Cell(self.name, "lookup", fault, outcome(await exchange.lookup(a_ref(row))), None)]


async def _answered(row: Row) -> list[Cell]:
    speech = speech_of(row)
    async with connected(row) as (exchange, venue):
        script, document = Script(row, exchange, venue), speech.accepted(row.id_written(ours_of(row)))
        found = [await script.submit("no fault", says(200, document), done=True)]
        for fault, answer in on_the_wire(document).items():
            found += await script.every(fault, answer)
        for fault, listed in (("refused", row.words.refusals), ("id in use", row.words.duplicates)):
            if said := pairs(listed):
                found.append(await script.submit(fault, says(*speech.error(*said[0])), done=False))
        found.append(await script.submit("a code nobody knows", says(*speech.error("999999", "Something new")), done=True))
    return found


async def _unanswered(row: Row) -> list[Cell]:
    with mock.patch.object(wire, "TIMEOUT_S", PATIENCE_S):
        async with connected(row) as (exchange, venue):
            return await Script(row, exchange, venue).every("late", never)
