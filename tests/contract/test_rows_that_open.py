"""An account that this release can't use says so at once: what a row's readings need is one request each, or the row is declared not usable."""

from __future__ import annotations

from decimal import Decimal

import pytest

from exchange_kernel.core.answers import Listing
from exchange_kernel.exchanges.ccxt import open_exchange
from exchange_kernel.exchanges.ccxt.dialect import Call
from exchange_kernel.exchanges.ccxt.parsing import Unreadable
from exchange_kernel.exchanges.ccxt.row import Row
from exchange_kernel.exchanges.ccxt.rows import ROWS
from exchange_kernel.exchanges.ccxt.wire import Answer
from exchange_kernel.exchanges.port import CannotOpen
from tests.contract.fake_venue import Json, says
from tests.contract.test_rows import connected, speech_of
from tests.contract.test_sandboxes import KEYS

USABLE = [row for row in ROWS.values() if not row.not_usable]


@pytest.mark.parametrize("row", USABLE, ids=lambda row: f"{row.exchange_id}-{row.market_type}")
async def test_no_reading_of_an_account_wants_a_second_request(row: Row) -> None:
    """ccxt may ask something else first: such a reading is never answered, and an account that needs it is never ready."""
    async with connected(row) as (exchange, _):
        there = exchange._dialect
        calls = [there.account(), next(there.open_orders(None)), next(there.holdings.balances())]
        calls += [next(there.holdings.positions(None))] if there.holdings.positions is not None else []
        problems = [(call.path, problem_of(call, speech_of(row).nothing)) for call in calls]
    assert not [path for path, problem in problems if "NotBuilt" in problem]


def problem_of(call: Call, document: Json) -> str:
    """Why a document can't be read as the answer to a call; empty if it can."""
    try:
        call.extract(Answer(200, document))
    except Unreadable as problem:
        return str(problem)
    return ""


async def test_an_exchange_that_can_not_be_opened_yet_says_that_it_is_not_usable() -> None:
    with pytest.raises(CannotOpen, match="hyperliquid swap is not usable in this release") as refused:
        open_exchange("hyperliquid", market_type="swap", environment="Live", credentials=KEYS, rest=None, websocket=None, ca_pem=None,
                      requests_per_second=None, cancel_reserve_percent=10)
    assert (refused.value.reason, refused.value.by_credentials) == ("NotUsable", False)
    assert "Create the account for another exchange" in str(refused.value)


async def test_positions_at_binance_futures_are_read_in_one_request() -> None:
    position = {
        "symbol": "BTCUSDTPERP", "positionSide": "BOTH", "positionAmt": "-1.5", "entryPrice": "31000.0", "breakEvenPrice": "31000.0", "markPrice": "31234.0",
        "unRealizedProfit": "-351.0", "liquidationPrice": "0", "isolatedMargin": "0", "notional": "-46851.0", "marginAsset": "USDT", "isolatedWallet": "0",
        "initialMargin": "2342.5", "maintMargin": "200.0", "positionInitialMargin": "2342.5", "openOrderInitialMargin": "0", "adl": 2, "bidNotional": "0",
        "askNotional": "0", "updateTime": 1_800_000_000_000,
    }
    async with connected(ROWS["binanceusdm", "swap"]) as (exchange, venue):
        venue.on("GET", "/fapi/v3/positionRisk", says(200, [position]))
        venue.received.clear()
        listing = await exchange.positions()
        assert isinstance(listing, Listing), listing
        assert [(request.method, request.path) for request in venue.received] == [("GET", "/fapi/v3/positionRisk")]
    [held] = listing.items
    assert (held.symbol, held.side, held.quantity, held.unrealised_pnl, held.margin) == ("BTC/USDT:USDT", "Net", Decimal("-1.5"), Decimal(-351), Decimal("2342.5"))
