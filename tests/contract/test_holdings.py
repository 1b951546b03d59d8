"""Balances and positions of other venues, as ccxt reads the venue's own answer: its digits, or nothing."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from exchange_kernel.core.answers import Balance, Listing, Position, Unreachable
from exchange_kernel.exchanges.ccxt import holdings
from exchange_kernel.exchanges.ccxt.parsing import UnknownMarket, Unreadable
from exchange_kernel.exchanges.ccxt.rows import ROWS
from tests.contract import test_rows as rows
from tests.contract.fake_venue import Answer, drops, says, says_bytes

OKX_BALANCE = ("GET", "/api/v5/account/balance")
OKX_POSITIONS = ("GET", "/api/v5/account/positions")


def okx(*data: Any) -> Answer:
    return says(200, {"code": "0", "msg": "", "data": list(data)})


def okx_asset(asset: str, free: str, equity: str) -> dict[str, str]:
    return {"ccy": asset, "availBal": free, "cashBal": equity, "eq": equity, "availEq": free, "uTime": "1800000000000"}


def okx_position(**changes: Any) -> dict[str, Any]:
    return {"instType": "SWAP", "mgnMode": "cross", "posSide": "net", "pos": "-12", "avgPx": "31234.5", "upl": "-3.25", "imr": "40.5",
            "margin": "", "lever": "10", "markPx": "31300", "liqPx": "", "mmr": "1", "mgnRatio": "9", "notionalUsd": "3700", "uTime": "1800000000000",
            "cTime": "1800000000000", "ccy": "USDT", "posId": "1", "adl": "1", "interest": "", "last": "31300", **changes}


async def test_balances_are_the_venues_digits() -> None:
    async with rows.connected(ROWS["okx", "spot"]) as (exchange, venue):
        venue.on(*OKX_BALANCE, okx({"details": [okx_asset("BTC", "0.100000000000000001", "0.600000000000000001"), okx_asset("USDT", "3", "3")], "uTime": "1800000000000"}))
        listing = await exchange.balances()
    assert isinstance(listing, Listing)
    assert listing.complete
    assert {one.asset: one for one in listing.items} == {
        "BTC": Balance("BTC", Decimal("0.100000000000000001"), Decimal("0.5")), "USDT": Balance("USDT", Decimal(3), Decimal(0))}


@pytest.mark.parametrize(("answer", "reason"), [
    (says_bytes(200, b"<html>login</html>"), "a page"),
    (says(200, {}), "nothing"),
    (says(200, []), "a list"),
    (says(200, {"code": "0", "msg": "", "data": []}), "no account"),
    (says(200, {"code": "50011", "msg": "Too many requests", "data": []}), "an error in a 200"),
    (drops, "hung up"),
], ids=lambda value: value if isinstance(value, str) else "")
async def test_no_balances_are_read_from_what_is_no_answer(answer: Answer, reason: str) -> None:
    async with rows.connected(ROWS["okx", "spot"]) as (exchange, venue):
        venue.on(*OKX_BALANCE, answer)
        assert isinstance(await exchange.balances(), Unreachable), reason


async def test_spot_has_no_positions_and_asks_for_none() -> None:
    async with rows.connected(ROWS["okx", "spot"]) as (exchange, venue):
        assert await exchange.positions() == Listing((), complete=True)
        assert not venue.received


async def test_positions_are_told_with_their_sign_where_a_market_has_one() -> None:
    async with rows.connected(ROWS["okx", "swap"]) as (exchange, venue):
        venue.on(*OKX_POSITIONS, okx(okx_position(instId=exchange._ccxt.markets["BTC/USDT:USDT"]["id"])))
        listing = await exchange.positions()
    assert isinstance(listing, Listing)
    [position] = listing.items
    assert (position.symbol, position.side, position.quantity, position.entry_price, position.unrealised_pnl) == (
        "BTC/USDT:USDT", "Net", Decimal(-12), Decimal("31234.5"), Decimal("-3.25"))


MARKETS: Any = {"BTC/USDT:USDT": None}


def a_position(**changes: Any) -> dict[str, Any]:
    return {"symbol": "BTC/USDT:USDT", "side": "long", "hedged": False, "contracts": "12", "entryPrice": "31234.5", "unrealizedPnl": "-3.25", "initialMargin": "40.5",
            **changes}


@pytest.mark.parametrize(("changes", "side", "quantity", "reason"), [
    ({}, "Net", "12", "one position, long"),
    ({"side": "short"}, "Net", "-12", "one position, short"),
    ({"side": "short", "hedged": None}, "Net", "-12", "nobody says that there are two"),
    ({"hedged": True}, "Long", "12", "one of two"),
    ({"side": "short", "hedged": True}, "Short", "12", "the other of two"),
    ({"side": None, "contracts": "0"}, "Net", "0", "flat"),
], ids=lambda value: value if isinstance(value, str) else "")
def test_the_side_of_a_position(changes: dict[str, Any], side: str, quantity: str, reason: str) -> None:
    assert holdings.read_position(a_position(**changes), MARKETS) == Position(
        "BTC/USDT:USDT", side, Decimal(quantity), Decimal("31234.5"), Decimal("-3.25"), Decimal("40.5")), reason


@pytest.mark.parametrize(("changes", "problem"), [
    ({"contracts": None}, Unreadable), ({"contracts": 12.0}, Unreadable), ({"side": None}, Unreadable), ({"unrealizedPnl": 3.25}, Unreadable),
    ({"unrealizedPnl": "what"}, Unreadable), ({"symbol": "ETH/USDT:USDT"}, UnknownMarket),
], ids=str)
def test_a_position_that_is_not_told_whole_is_none(changes: dict[str, Any], problem: type[Unreadable]) -> None:
    with pytest.raises(problem):
        holdings.read_position(a_position(**changes), MARKETS)


@pytest.mark.parametrize("entry", [{"asset": "BTC", "free": "1"}, {"asset": "BTC", "used": "1", "total": "1"}, {"asset": "BTC", "free": 1.5, "used": "0"},
                                   {"asset": "BTC", "free": "-1", "used": "0"}, {"free": "1", "used": "0"}], ids=str)
def test_a_balance_that_is_not_told_whole_is_none(entry: dict[str, Any]) -> None:
    with pytest.raises(Unreadable):
        holdings.read_balance(entry, str)
