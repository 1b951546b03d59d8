"""Every row of the table against a venue at loopback that speaks its words: what is written, what each answer proves, and what proves nothing."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

import pytest

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
from exchange_kernel.core.identity import encode
from exchange_kernel.core.venue import OrderRequest
from exchange_kernel.exchanges.ccxt import dialect_of, open_venue
from exchange_kernel.exchanges.ccxt.budget import Limit
from exchange_kernel.exchanges.ccxt.dialect import AllowList, Call
from exchange_kernel.exchanges.ccxt.probe import ID, SYMBOLS, Arrival, find_id, find_number, find_side, invented_markets, probe
from exchange_kernel.exchanges.ccxt.row import Row
from exchange_kernel.exchanges.ccxt.rows import ROWS
from exchange_kernel.exchanges.ccxt.wire import STAMP
from exchange_kernel.exchanges.port import Clearance, ClockReading, Credentials, Gap, OrderRef
from tests.contract.fake_venue import Answer, FakeVenue, drops, fake_venue, holds, says, says_bytes, truncates
from tests.contract.test_ccxt_adapter import Gate

THEIRS = "987654321012"
Json = Any


@dataclass(frozen=True)
class Speech:
    """How a venue answers: documents as its documentation shows them."""

    accepted: Callable[[str], Json]                  # (our id as written)
    error: Callable[[str, str], tuple[int, Json]]    # (code, message)
    found: Callable[[str], Json] | None = None       # a lookup's answer
    nothing: Json = None                             # an empty list
    empty: tuple[int, Json] | None = None


def okx(code: str, message: str) -> tuple[int, Json]:
    return 200, {"code": "1", "msg": "All operations failed", "data": [{"ordId": "", "clOrdId": "", "tag": "", "sCode": code, "sMsg": message}]}


def bybit(code: str, message: str) -> tuple[int, Json]:
    return 200, {"retCode": int(code), "retMsg": message, "result": {}, "retExtInfo": {}, "time": 1_800_000_000_000}


def binance_order(ours: str) -> Json:
    return {
        "orderId": int(THEIRS), "symbol": "BTCUSDTPERP", "status": "NEW", "clientOrderId": ours, "price": "31234", "avgPrice": "0.00", "origQty": "12.5",
        "executedQty": "0.5", "cumQty": "0.5", "cumQuote": "0", "timeInForce": "GTC", "type": "LIMIT", "reduceOnly": False, "side": "BUY",
        "positionSide": "BOTH", "updateTime": 1_800_000_000_000, "time": 1_800_000_000_000,
    }


def okx_order(ours: str) -> Json:
    return {"code": "0", "msg": "", "data": [{
        "instType": "SPOT", "instId": "BTCUSDT", "ordId": THEIRS, "clOrdId": ours, "px": "31234", "sz": "12.5", "ordType": "limit", "side": "buy",
        "accFillSz": "0.5", "avgPx": "", "state": "partially_filled", "fee": "0", "feeCcy": "BTC", "cTime": "1800000000000", "uTime": "1800000000000",
    }]}


def bybit_orders(ours: str) -> Json:
    return {"retCode": 0, "retMsg": "OK", "result": {"category": "spot", "nextPageCursor": "", "list": [{
        "orderId": THEIRS, "orderLinkId": ours, "symbol": "BTCUSDT", "price": "31234", "qty": "12.5", "side": "Buy", "orderStatus": "PartiallyFilled",
        "cumExecQty": "0.5", "cumExecValue": "15617.25", "leavesQty": "12", "orderType": "Limit", "timeInForce": "GTC", "createdTime": "1800000000000",
        "updatedTime": "1800000000000",
    }]}, "time": 1_800_000_000_000}


def kraken_order(ours: str) -> Json:
    return {"error": [], "result": {"open": {THEIRS: {
        "refid": None, "userref": None, "cl_ord_id": ours, "status": "open", "opentm": 1800000000.0, "vol": "12.5", "vol_exec": "0.5", "cost": "15617.25",
        "fee": "0", "price": "31234", "descr": {"pair": "BTCUSDT", "type": "buy", "ordertype": "limit", "price": "31234", "price2": "0"},
    }}}}


def coinbase_orders(ours: str) -> Json:
    return {"orders": [{
        "order_id": THEIRS, "product_id": "BTCUSDT", "side": "BUY", "client_order_id": ours, "status": "OPEN", "time_in_force": "GOOD_UNTIL_CANCELLED",
        "created_time": "2027-01-15T08:00:00.000Z", "filled_size": "0.5", "filled_value": "15617.25", "average_filled_price": "31234", "total_fees": "0",
        "order_type": "LIMIT", "order_configuration": {"limit_limit_gtc": {"base_size": "12.5", "limit_price": "31234", "post_only": False}},
    }], "has_next": False, "cursor": ""}


def kucoin_order(ours: str) -> Json:
    return {"code": "200000", "data": {
        "id": THEIRS, "clientOid": ours, "symbol": "BTCUSDT", "type": "limit", "side": "buy", "price": "31234", "size": "12.5", "dealSize": "0.5",
        "dealFunds": "15617.25", "fee": "0", "feeCurrency": "USDT", "timeInForce": "GTC", "active": True, "cancelExist": False, "createdAt": 1_800_000_000_000,
    }}


def gate_order(ours: str) -> Json:
    return {
        "id": THEIRS, "text": ours, "create_time_ms": 1_800_000_000_000, "update_time_ms": 1_800_000_000_000, "status": "open", "currency_pair": "BTCUSDT",
        "type": "limit", "account": "spot", "side": "buy", "amount": "12.5", "price": "31234", "time_in_force": "gtc", "left": "12", "filled_total": "15617.25",
        "fee": "0", "fee_currency": "BTC",
    }


def gate_swap_order(ours: str) -> Json:
    return {
        "id": int(THEIRS), "text": ours, "create_time": 1_800_000_000.5, "status": "open", "contract": "BTCUSDTPERP", "size": "12.5", "left": "12",
        "price": "31234", "fill_price": "31234", "tif": "gtc", "is_reduce_only": False, "is_close": False, "iceberg": "0", "tkfr": "0.0005", "mkfr": "0",
    }


def bitget_order(ours: str) -> Json:
    return {"code": "00000", "msg": "success", "data": [{
        "userId": "1", "symbol": "BTCUSDT", "orderId": THEIRS, "clientOid": ours, "price": "31234", "size": "12.5", "orderType": "limit", "side": "buy",
        "status": "partially_filled", "priceAvg": "31234", "baseVolume": "0.5", "quoteVolume": "15617.25", "cTime": "1800000000000", "uTime": "1800000000000",
    }]}


def deribit_order(ours: str) -> Json:
    return {
        "order_id": THEIRS, "label": ours, "instrument_name": "BTCUSDTPERP", "order_state": "open", "order_type": "limit", "direction": "buy", "price": 31234,
        "amount": 12.5, "filled_amount": 0.5, "time_in_force": "good_til_cancelled", "creation_timestamp": 1_800_000_000_000,
        "last_update_timestamp": 1_800_000_000_000, "average_price": 31234,
    }


def mexc_order(ours: str) -> Json:
    return {
        "symbol": "BTCUSDT", "orderId": THEIRS, "orderListId": -1, "clientOrderId": ours, "price": "31234", "origQty": "12.5", "executedQty": "0.5",
        "cummulativeQuoteQty": "15617.25", "status": "PARTIALLY_FILLED", "timeInForce": None, "type": "LIMIT", "side": "BUY", "time": 1_800_000_000_000,
        "updateTime": 1_800_000_000_000,
    }


def htx_order(ours: str) -> Json:
    return {"status": "ok", "data": {
        "id": int(THEIRS), "symbol": "BTCUSDT", "account-id": 100009, "client-order-id": ours, "amount": "12.5", "price": "31234", "type": "buy-limit",
        "field-amount": "0.5", "field-cash-amount": "15617.25", "field-fees": "0", "source": "spot-api", "state": "partial-filled",
        "created-at": 1_800_000_000_000,
    }}


def cryptocom_order(ours: str) -> Json:
    return {"id": 1, "method": "private/get-order-detail", "code": 0, "result": {
        "account_id": "1", "order_id": THEIRS, "client_oid": ours, "order_type": "LIMIT", "time_in_force": "GOOD_TILL_CANCEL", "side": "BUY", "exec_inst": [],
        "quantity": "12.5", "limit_price": "31234", "avg_price": "31234", "cumulative_quantity": "0.5", "cumulative_value": "15617.25",
        "cumulative_fee": "0", "status": "ACTIVE", "instrument_name": "BTCUSDT", "fee_instrument_name": "BTC", "create_time": 1_800_000_000_000,
        "update_time": 1_800_000_000_000,
    }}


def hyperliquid_order(ours: str) -> Json:
    return {"status": "order", "order": {"status": "open", "statusTimestamp": 1_800_000_000_000, "order": {
        "coin": "BTC", "side": "B", "limitPx": "31234", "sz": "12", "origSz": "12.5", "oid": int(THEIRS), "timestamp": 1_800_000_000_000, "tif": "Gtc",
        "orderType": "Limit", "reduceOnly": False, "isTrigger": False, "cloid": ours,
    }}}


SPEECHES: Mapping[str, Speech] = {
    "okx": Speech(
        lambda ours: {"code": "0", "msg": "", "data": [{"ordId": THEIRS, "clOrdId": ours, "tag": "", "sCode": "0", "sMsg": ""}]}, okx, okx_order,
        {"code": "0", "msg": "", "data": []}),
    "bybit": Speech(
        lambda ours: {"retCode": 0, "retMsg": "OK", "result": {"orderId": THEIRS, "orderLinkId": ours}, "retExtInfo": {}, "time": 1}, bybit, bybit_orders,
        {"retCode": 0, "retMsg": "OK", "result": {"category": "spot", "list": [], "nextPageCursor": ""}, "time": 1}),
    "kraken": Speech(
        lambda ours: {"error": [], "result": {"descr": {"order": "buy 12.5 BTCUSDT @ limit 31234"}, "txid": [THEIRS]}},
        lambda code, message: (200, {"error": [code]}), kraken_order, {"error": [], "result": {"open": {}, "closed": {}, "count": 0}}),
    "coinbase": Speech(
        lambda ours: {"success": True, "success_response": {"order_id": THEIRS, "product_id": "BTCUSDT", "side": "BUY", "client_order_id": ours}},
        lambda code, message: (200, {"success": False, "error_response": {"error": code, "message": message, "error_details": ""}}), coinbase_orders,
        {"orders": [], "has_next": False, "cursor": ""}),
    "kucoin": Speech(
        lambda ours: {"code": "200000", "data": {"orderId": THEIRS, "clientOid": ours}}, lambda code, message: (200, {"code": code, "msg": message}),
        kucoin_order, {"code": "200000", "data": {"items": [], "lastId": 0}}),
    "gate": Speech(gate_order, lambda code, message: (400, {"label": code, "message": message}),
                   lambda ours: [{"currency_pair": "BTCUSDT", "total": 1, "orders": [gate_order(ours)]}], []),
    "gate-swap": Speech(gate_swap_order, lambda code, message: (400, {"label": code, "message": message}), lambda ours: [gate_swap_order(ours)], []),
    "bitget": Speech(
        lambda ours: {"code": "00000", "msg": "success", "data": {"orderId": THEIRS, "clientOid": ours}},
        lambda code, message: (400, {"code": code, "msg": message, "requestTime": 1, "data": None}), bitget_order,
        {"code": "00000", "msg": "success", "data": []}),
    "binanceusdm": Speech(binance_order, lambda code, message: (400, {"code": int(code), "msg": message}), binance_order, []),
    "hyperliquid": Speech(
        lambda ours: {"status": "ok", "response": {"type": "order", "data": {"statuses": [{"resting": {"oid": int(THEIRS), "cloid": ours}}]}}},
        lambda code, message: (200, {"status": code} if code == "unknownOid" else
                               {"status": "ok", "response": {"type": "order", "data": {"statuses": [{"error": message}]}}}),
        hyperliquid_order, []),
    "deribit": Speech(
        lambda ours: {"jsonrpc": "2.0", "result": {"trades": [], "order": deribit_order(ours)}},
        lambda code, message: (400, {"jsonrpc": "2.0", "error": {"code": int(code), "message": message}}),
        lambda ours: {"jsonrpc": "2.0", "result": [deribit_order(ours)]}, {"jsonrpc": "2.0", "result": []}),
    "mexc": Speech(
        lambda ours: {"symbol": "BTCUSDT", "orderId": THEIRS, "orderListId": -1, "price": "31234", "origQty": "12.5", "type": "LIMIT", "side": "BUY",
                      "transactTime": 1_800_000_000_000},
        lambda code, message: (400, {"code": int(code), "msg": message, "_extend": None}), mexc_order, []),
    "htx": Speech(
        lambda ours: {"status": "ok", "data": THEIRS}, lambda code, message: (200, {"status": "error", "err-code": code, "err-msg": message, "data": None}),
        htx_order, {"status": "ok", "data": []}),
    "cryptocom": Speech(
        lambda ours: {"id": 1, "method": "private/create-order", "code": 0, "result": {"order_id": THEIRS, "client_oid": ours}},
        lambda code, message: (200 if code == "40401" else 400, {"id": 1, "method": "private/create-order", "code": int(code), "message": message}),
        cryptocom_order, {"id": 1, "method": "private/get-open-orders", "code": 0, "result": {"data": []}}),
}


def speech_of(row: Row) -> Speech:
    """Where a venue's markets speak differently, that of the market type."""
    return SPEECHES.get(f"{row.exchange_id}-{row.market_type}") or SPEECHES[row.exchange_id]


def open_account(venue: FakeVenue, exchange_id: str, market_type: str) -> Any:
    return open_venue(
        dialect_of(exchange_id, market_type), environment="Simulated", rest=venue.rest, websocket=None, ca_pem=None, requests_per_second=None,
        cancel_reserve_percent=10,
        credentials=Credentials({"apiKey": "key", "secret": "c2VjcmV0IG9mIDMyIGJ5dGVzIG9mIHRoZSB0ZXN0cy4=", "password": "password",
                                 "walletAddress": "0x" + "22" * 20, "privateKey": "0x" + "11" * 32}),
    )


@asynccontextmanager
async def connected(row: Row) -> AsyncIterator[tuple[Any, FakeVenue]]:
    """The account at a fake venue whose markets and time are known."""
    async with fake_venue() as venue:
        exchange = open_account(venue, row.exchange_id, row.market_type)
        there = exchange._ccxt
        markets = [{**market, "settle": row.settle or market["settle"], "symbol": symbol_of(row)} for market in invented_markets(there)
                   if market["type"] == row.market_type]

        async def fetch_markets() -> Any:
            return markets

        there.fetch_markets = fetch_markets
        there.accounts = [{"id": "100009", "type": row.numbered_account}] if row.numbered_account else None
        exchange._time.read(ClockReading(int(time.time() * 1000), time.monotonic(), time.monotonic()))
        exchange._budget.resize(Limit(1_000_000, 1))
        assert await exchange.markets()
        try:
            yield exchange, venue
        finally:
            await exchange.close()


def symbol_of(row: Row) -> str:
    return "BTC/USDC:USDC" if row.exchange_id == "hyperliquid" else SYMBOLS[row.market_type]


def ours_of(row: Row) -> str:
    return encode(ID, row.id_codec)


def a_request(row: Row, **changes: Any) -> OrderRequest:
    values: dict[str, Any] = {
        "client_order_id": ours_of(row), "symbol": symbol_of(row), "side": "Buy", "type": "Limit", "quantity": Decimal("12.5"),
        "price": Decimal("31234"), "time_in_force": "GTC",
    }
    return OrderRequest(**{**values, **changes})


def a_ref(row: Row, *, by_theirs: bool = False) -> OrderRef:
    return OrderRef(symbol_of(row), ours_of(row), THEIRS if by_theirs else None)


def answers(exchange: Any, venue: FakeVenue, call: Call, answer: Answer) -> tuple[str, str]:
    """Let the venue answer this call; where that is."""
    signed = exchange._ccxt.sign(call.path, list(call.api), call.method, call.params)
    where = (call.method, urlsplit(signed["url"]).path)
    venue.on(*where, answer)
    return where


def submit_call(exchange: Any, row: Row) -> Call:
    request = a_request(row)
    return exchange._dialect.submit(request, exchange._by_symbol[request.symbol])


def cancel_call(exchange: Any, row: Row) -> Call:
    ref = a_ref(row, by_theirs=row.cancel_by is None)
    return exchange._dialect.cancel(ref, exchange._by_symbol[ref.symbol])


def list_calls(exchange: Any, row: Row) -> Iterator[Call]:
    """Every call of a lookup through lists."""
    ref = a_ref(row)
    pages = exchange._dialect.find_pages(ref, exchange._by_symbol[ref.symbol], int(time.time() * 1000))
    call = next(pages)
    while call is not None:
        yield call
        try:
            call = pages.send([])
        except StopIteration:
            return


def lookup_calls(exchange: Any, row: Row) -> list[Call]:
    ref = a_ref(row)
    call = exchange._dialect.lookup(ref, exchange._by_symbol[ref.symbol])
    return list(list_calls(exchange, row)) if call is None else [call]


def pairs(words: AllowList) -> list[tuple[str, str]]:
    return [(code, template.replace("%s", "something")) for listed in words.rows for code in listed.codes for template in listed.messages]


EVERY = pytest.mark.parametrize("row", ROWS.values(), ids=["-".join(key) for key in ROWS])


# ── What is written ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

@EVERY
async def test_all_of_an_order_reaches_the_wire_by_the_row(row: Row) -> None:
    async with connected(row) as (exchange, _):
        market = exchange._by_symbol[symbol_of(row)]
        written, token = {}, STAMP.set(1_800_000_000_000)
        for side in ("Buy", "Sell"):
            call = exchange._dialect.submit(a_request(row, side=side), market)
            signed = exchange._ccxt.sign(call.path, list(call.api), call.method, call.stamped())
            written[side] = f"{signed['url']}\n{signed['body'] or ''}\n".encode()
        STAMP.reset(token)
    assert find_id(written["Buy"], row.id_written(ours_of(row))) in (Arrival.ARRIVES, Arrival.UNMAPPED)
    assert find_number(written["Buy"], "12.5") is find_number(written["Buy"], "31234") is Arrival.ARRIVES
    assert find_side(written["Buy"], written["Sell"]) is Arrival.ARRIVES
    assert len(ours_of(row)) <= row.id_max_length


@EVERY
async def test_an_order_is_sent_once_signed_with_its_stamp_and_known_by_its_id(row: Row) -> None:
    speech = speech_of(row)
    async with connected(row) as (exchange, venue):
        where = answers(exchange, venue, submit_call(exchange, row), says(200, speech.accepted(row.id_written(ours_of(row)))))
        venue.received.clear()
        gate = Gate()
        outcome = await exchange.submit(a_request(row), gate)
        assert isinstance(outcome, Accepted), outcome
        assert (outcome.order.client_order_id, outcome.order.exchange_order_id) == (ours_of(row), THEIRS)
        assert (outcome.order.status, outcome.order.quantity, outcome.order.side) == (OrderStatus.OPEN, Decimal("12.5"), "Buy")
        assert gate.events == ["stamp", "check"]
        assert [(request.method, request.path) for request in venue.received] == [where]
        if row.time_header is not None:
            assert venue.received[0].headers[row.time_header.lower()] == str(gate.stamped + row.window_ms)
        if row.deadline is not None:
            assert row.deadline(gate.stamped).items() <= venue.received[0].params.items()


@EVERY
async def test_a_shut_gate_lets_no_byte_through(row: Row) -> None:
    async with connected(row) as (exchange, venue):
        venue.received.clear()
        shut: Clearance = Gate(closed_at_check="the lease is lost")
        assert await exchange.submit(a_request(row), shut) == NotSent("the lease is lost")
        assert await exchange.cancel(a_ref(row, by_theirs=True), shut) == NotSent("the lease is lost")
        assert not venue.received


async def test_numbered_requests_go_out_one_after_the_other() -> None:
    row = ROWS["kraken", "spot"]
    async with connected(row) as (exchange, venue):
        hold = asyncio.Event()
        where = answers(exchange, venue, submit_call(exchange, row), holds(hold, says(200, SPEECHES["kraken"].accepted(ID))))
        sending = [asyncio.create_task(exchange.submit(a_request(row), Gate())) for _ in range(5)]
        await venue.arrival(*where)
        await asyncio.sleep(0)
        assert len(venue.calls(*where)) == 1, "a second might overtake it on another connection"
        hold.set()
        assert all(isinstance(outcome, Accepted) for outcome in await asyncio.gather(*sending))
        numbers = [int(request.params["nonce"]) for request in venue.calls(*where)]
    assert numbers == sorted(set(numbers))
    assert len(numbers) == 5


@EVERY
async def test_what_ccxt_would_bend_is_not_sent(row: Row) -> None:
    async with connected(row) as (exchange, venue):
        venue.received.clear()
        market = exchange._ccxt.markets[symbol_of(row)]
        market["precision"] = {**market["precision"], "amount": "1"}      # ccxt's grid is coarser than ours: it would cut 12.5 to 12
        outcome = await exchange.submit(a_request(row), Gate())
        assert isinstance(outcome, NotSent)
        assert "quantity" in outcome.reason
        assert not venue.received


# ── What answers prove ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

def definite(row: Row) -> list[tuple[str, str, type]]:
    words = row.words
    return [
        *((code, message, Duplicate) for code, message in pairs(words.duplicates)), *((code, message, TimeRefused) for code, message in pairs(words.time)),
        *((code, message, Refused) for code, message in pairs(words.refusals)), ("77777", "Something new.", Unknown),
    ]


@EVERY
async def test_an_order_is_refused_by_listed_words_only(row: Row) -> None:
    speech = speech_of(row)
    async with connected(row) as (exchange, venue):
        call = submit_call(exchange, row)
        for code, message, expected in definite(row):
            answers(exchange, venue, call, says(*speech.error(code, message)))
            exchange._time.read(ClockReading(int(time.time() * 1000), time.monotonic(), time.monotonic()))
            outcome = await exchange.submit(a_request(row), Gate())
            assert type(outcome) is expected, (code, message, outcome)
            answers(exchange, venue, call, says(503, speech.error(code, message)[1]))
            assert isinstance(await exchange.submit(a_request(row), Gate()), Unknown), "a 5xx proves nothing, whatever its body says"


@EVERY
async def test_a_cancel_of_an_unknown_order_is_looked_up(row: Row) -> None:
    speech = speech_of(row)
    async with connected(row) as (exchange, venue):
        call, ref = cancel_call(exchange, row), a_ref(row, by_theirs=row.cancel_by is None)
        for code, message in pairs(row.words.unknown_order):
            answers(exchange, venue, call, says(*speech.error(code, message)))
            assert await exchange.cancel(ref, Gate()) == UnknownOrder(code)
        answers(exchange, venue, call, says(*speech.error("77777", "Something new.")))
        assert isinstance(await exchange.cancel(ref, Gate()), Unknown)


GARBAGE: list[tuple[Answer, str]] = [
    (says_bytes(200, b"<html>login</html>", Content_Type="text/html"), "a page"),
    (says_bytes(200, b""), "nothing"),
    (says_bytes(200, b'{"code": "0", "da'), "broken JSON"),
    (says(200, {}), "an empty object"),
    (says(200, {"message": "try again"}), "another object"),
    (says(200, {"code": "0", "retCode": 0, "error": []}), "half an envelope"),
    (truncates({"code": "0", "data": []}), "a body cut short"),
    (says_bytes(502, b"<html>bad gateway</html>", Content_Type="text/html"), "a gateway's page"),
    (drops, "hung up"),
]


@EVERY
async def test_what_proves_nothing_is_unknown_or_unreachable(row: Row) -> None:
    async with connected(row) as (exchange, venue):
        for answer, reason in GARBAGE:
            answers(exchange, venue, submit_call(exchange, row), answer)
            assert isinstance(await exchange.submit(a_request(row), Gate()), Unknown), reason
            answers(exchange, venue, cancel_call(exchange, row), answer)
            assert isinstance(await exchange.cancel(a_ref(row, by_theirs=row.cancel_by is None), Gate()), Unknown), reason
            for call in lookup_calls(exchange, row):
                answers(exchange, venue, call, answer)
            assert isinstance(await exchange.lookup(a_ref(row)), Unreachable), reason
            for call in list_calls(exchange, row):
                answers(exchange, venue, call, answer)
            assert isinstance(await exchange.orders(symbol_of(row), 0), Unreachable), reason
            assert isinstance(await exchange.open_orders(symbol_of(row)), Unreachable), reason


# ── Lookups ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

@EVERY
async def test_an_order_is_found_with_the_venues_own_numbers(row: Row) -> None:
    found_as = speech_of(row).found
    assert found_as is not None
    document = json.loads(json.dumps(found_as(row.id_written(ours_of(row)))).replace('"BTCUSDT"', '"BTCUSDTPERP"' if row.market_type == "swap" else '"BTCUSDT"'))
    async with connected(row) as (exchange, venue):
        nothing = speech_of(row).nothing
        first, *others = lookup_calls(exchange, row)
        for call in others:
            answers(exchange, venue, call, says(200, nothing))
        answers(exchange, venue, first, says(200, document))
        found = await exchange.lookup(a_ref(row))
    assert isinstance(found, Found), found
    assert (found.order.client_order_id, found.order.exchange_order_id, found.order.status) == (ours_of(row), THEIRS, OrderStatus.OPEN)
    assert (found.order.filled_quantity, found.order.quantity, found.order.price) == (Decimal("0.5"), Decimal("12.5"), Decimal("31234"))


@pytest.mark.parametrize(("names", "expected", "reason"), [
    ({}, Found, "the answer says both"),
    ({"clOrdId": ""}, Found, "by the venue's own id the order is certain"),
    ({"clOrdId": "b" * 32}, Unreachable, "it carries another id of ours"),
    ({"ordId": "1"}, Unreachable, "another order"),
    ({"instId": "ETHUSDT"}, Unreachable, "another market"),
])
async def test_an_order_is_looked_up_by_the_venues_id_where_it_is_known(names: dict[str, str], expected: type, reason: str) -> None:
    row = ROWS["okx", "spot"]
    document = okx_order(ID)
    document["data"][0] |= names
    async with connected(row) as (exchange, venue):
        call = exchange._dialect.lookup(a_ref(row, by_theirs=True), exchange._by_symbol["BTC/USDT"])
        assert "ordId" in call.params
        assert "clOrdId" not in call.params
        answers(exchange, venue, call, says(200, document))
        found = await exchange.lookup(a_ref(row, by_theirs=True))
        assert isinstance(found, expected), reason
        if names == {"clOrdId": ""}:
            assert isinstance(await exchange.lookup(a_ref(row)), Unreachable), "asked by our id, an answer without it may be about anything"


@EVERY
async def test_not_found_is_said_in_the_listed_ways_only(row: Row) -> None:
    speech = speech_of(row)
    async with connected(row) as (exchange, venue):
        if row.lookup_by is None:
            for call in lookup_calls(exchange, row):
                answers(exchange, venue, call, says(200, speech.nothing))
            assert await exchange.lookup(a_ref(row)) == NotFound()
        else:
            for code, message in pairs(row.words.not_found):
                answers(exchange, venue, lookup_calls(exchange, row)[0], says(*speech.error(code, message)))
                assert await exchange.lookup(a_ref(row)) == NotFound()
        for code, message in (*pairs(row.words.refusals), ("77777", "Something new.")):
            for call in lookup_calls(exchange, row):
                answers(exchange, venue, call, says(*speech.error(code, message)))
            assert isinstance(await exchange.lookup(a_ref(row)), Unreachable), code
    assert not row.capabilities.proves_absence, "no venue of these says that its engine refuses the old and its lookups see the new"


@EVERY
async def test_an_empty_list_is_the_venues_own(row: Row) -> None:
    async with connected(row) as (exchange, venue):
        for call in list_calls(exchange, row):
            answers(exchange, venue, call, says(200, speech_of(row).nothing))
        assert await exchange.open_orders(symbol_of(row)) == Listing((), complete=True)
        assert await exchange.orders(symbol_of(row), 0) == Listing((), complete=True)


# ── The table ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

@pytest.mark.parametrize(("exchange_id", "market_type", "says_", "reason"), [
    ("krakenfutures", "spot", "knows no such markets", "ccxt has no spot markets of it"),
    ("bequant", "spot", "can't be traded safely: it can't be asked for its time", "every signature needs it"),
    ("htx", "swap", "can't be traded safely: its client order ids are whole numbers", "the id arrives, and is not taken"),
    ("bitfinex", "spot", "can't be traded safely: its client order ids are whole numbers of 45 bits", "the id arrives, and names too little"),
    ("bitfinex", "swap", "can't be traded safely: its client order ids are whole numbers of 45 bits", "there too"),
    ("krakenfutures", "swap", "can't be traded safely: it remembers an order for five seconds", "and its history is read wrongly"),
    ("xt", "spot", "can't be traded safely: whether the id", "the id goes under a name that the venue may not know"),
    ("binance", "swap", "its markets here are spot. Set spec.marketType", "another market of a venue in the table"),
    ("bitmex", "swap", "no adapter", "ccxt doesn't know it"),
    ("alpaca", "option", "no adapter", "a kind of market nobody has described"),
])
def test_a_venue_whose_wire_is_not_known_to_carry_an_order_is_refused(exchange_id: str, market_type: str, says_: str, reason: str) -> None:
    with pytest.raises(ValueError, match=says_) as refused:
        dialect_of(exchange_id, market_type)
    assert re.search(r"(Create the account for another exchange or market|Set spec\.marketType) .*\.$", str(refused.value)), "and what to do"


def test_a_venue_that_nobody_described_is_spoken_safely_where_an_order_arrives_whole() -> None:
    row = dialect_of("whitebit", "spot")
    assert isinstance(row, Row)
    assert probe("whitebit", "spot").arrives
    venue = row.capabilities
    assert (venue.proves_absence, venue.sends_first, venue.cancel_by_client_id, venue.order_types) == (False, False, False, frozenset({"Limit"}))
    assert not any(pairs(words) for words in (row.words.refusals, row.words.duplicates, row.words.not_found, row.words.time))


async def test_a_venue_that_nobody_described_is_believed_in_nothing_but_a_whole_order() -> None:
    row = dialect_of("whitebit", "spot")
    assert isinstance(row, Row)
    order = {
        "orderId": int(THEIRS), "clientOrderId": ID, "market": "BTCUSDT", "side": "buy", "type": "limit", "timestamp": 1800000000.0, "dealMoney": "15617",
        "dealStock": "0.5", "amount": "12.5", "left": "12", "dealFee": "0", "price": "31234", "status": "PARTIALLY_FILLED",
    }
    async with connected(row) as (exchange, venue):
        call = submit_call(exchange, row)
        answers(exchange, venue, call, says(200, order))
        accepted = await exchange.submit(a_request(row), Gate())
        assert isinstance(accepted, Accepted), accepted
        assert (accepted.order.exchange_order_id, accepted.order.filled_quantity) == (THEIRS, Decimal("0.5"))
        for status, document in ((422, {"code": 10, "message": "Inner validation failed", "errors": {"amount": ["Not enough balance."]}}), (200, {}), (200, [])):
            answers(exchange, venue, call, says(status, document))
            assert isinstance(await exchange.submit(a_request(row), Gate()), Unknown), "nobody has said what its errors mean"
        assert isinstance(await exchange.cancel(a_ref(row), Gate()), NotSent), "by the venue's own id only"
        for call in list_calls(exchange, row):
            answers(exchange, venue, call, says(200, {}))
        assert isinstance(await exchange.lookup(a_ref(row)), Unreachable)
    assert not row.capabilities.proves_absence


OKX_INSTRUMENT = {
    "instType": "SPOT", "instId": "BTC-USDT", "baseCcy": "BTC", "quoteCcy": "USDT", "settleCcy": "", "ctVal": "", "ctMult": "", "state": "live",
    "lotSz": "0.00000001", "minSz": "0.00001", "tickSz": "0.1", "maxLmtSz": "9999", "lever": "10", "alias": "", "category": "1", "listTime": "1", "expTime": "",
}
KRAKEN_PAIR = {
    "altname": "XBTUSD", "wsname": "XBT/USD", "aclass_base": "currency", "base": "XXBT", "aclass_quote": "currency", "quote": "ZUSD", "lot": "unit",
    "pair_decimals": 1, "cost_decimals": 5, "lot_decimals": 8, "lot_multiplier": 1, "leverage_buy": [], "leverage_sell": [], "fees": [[0, 0.4]],
    "fees_maker": [[0, 0.25]], "ordermin": "0.00005", "costmin": "0.5", "tick_size": "0.1", "status": "online",
}


MEXC_SYMBOL = {
    "symbol": "BTCUSDT", "status": "1", "baseAsset": "BTC", "baseAssetPrecision": 8, "quoteAsset": "USDT", "quoteAssetPrecision": 2,
    "isSpotTradingAllowed": True, "isMarginTradingAllowed": False, "baseSizePrecision": "0.00001", "quoteAmountPrecision": "1", "maxQuoteAmount": "2000000",
}
HTX_SYMBOL = {
    "base-currency": "btc", "quote-currency": "usdt", "price-precision": 2, "amount-precision": 6, "symbol": "btcusdt", "state": "online",
    "value-precision": 8, "min-order-amt": 0.00001, "max-order-amt": 1000, "min-order-value": 10, "limit-order-min-order-amt": 0.00001, "api-trading": "enabled",
}
CRYPTOCOM_INSTRUMENT = {
    "symbol": "BTC_USDT", "inst_type": "CCY_PAIR", "display_name": "BTC/USDT", "base_ccy": "BTC", "quote_ccy": "USDT", "quote_decimals": 2,
    "quantity_decimals": 5, "price_tick_size": "0.01", "qty_tick_size": "0.00001", "max_leverage": "50", "tradable": True, "expiry_timestamp_ms": 0,
}


@pytest.mark.parametrize(("exchange_id", "path", "document", "symbol", "steps"), [
    ("htx", "/v1/common/symbols", {"status": "ok", "data": [HTX_SYMBOL]}, "BTC/USDT", ("0.000001", "0.01", "0.00001")),
    ("cryptocom", "/exchange/v1/public/get-instruments", {"id": 1, "method": "public/get-instruments", "code": 0, "result": {"data": [CRYPTOCOM_INSTRUMENT]}},
     "BTC/USDT", ("0.00001", "0.01", "")),
    ("okx", "/api/v5/public/instruments", {"code": "0", "msg": "", "data": [OKX_INSTRUMENT]}, "BTC/USDT", ("0.00000001", "0.1", "0.00001")),
    ("kraken", "/0/public/AssetPairs", {"error": [], "result": {"XXBTZUSD": KRAKEN_PAIR}}, "BTC/USD", ("0.00000001", "0.1", "0.00005")),
])
async def test_markets_come_by_ccxts_own_requests_with_the_venues_digits(exchange_id: str, path: str, document: Json, symbol: str,
                                                                         steps: tuple[str, str, str]) -> None:
    async with fake_venue() as venue:
        venue.on("GET", path, says(200, document))
        exchange = open_account(venue, exchange_id, "spot")
        rules = await exchange.markets()
        assert not isinstance(rules, Unreachable)
        assert (rules[symbol].quantity_step, rules[symbol].price_step, rules[symbol].min_quantity) == tuple(Decimal(step) if step else None for step in steps)
        assert {(request.method, request.path) for request in venue.received} == {("GET", path)}
        venue.on("GET", path, drops)
        assert isinstance(await exchange.markets(reload=True), Unreachable)
        await exchange.close()


async def test_markets_that_come_in_two_requests_are_the_rows_own() -> None:
    async with fake_venue() as venue:
        venue.on("GET", "/api/v3/exchangeInfo", says(200, {"timezone": "CST", "symbols": [MEXC_SYMBOL]}))
        venue.on("GET", "/api/v1/contract/detail", says(200, {"success": True, "code": 0, "data": []}))
        exchange = open_account(venue, "mexc", "spot")
        rules = await exchange.markets()
        assert not isinstance(rules, Unreachable)
        assert [(one.symbol, one.quantity_step, one.price_step, one.min_quantity, one.min_notional) for one in rules.values()] == [
            ("BTC/USDT", Decimal("0.00000001"), Decimal("0.01"), Decimal("0.00001"), Decimal("1"))]
        venue.on("GET", "/api/v1/contract/detail", drops)
        assert isinstance(await exchange.markets(reload=True), Unreachable), "half of an answer is none"
        await exchange.close()


async def test_an_account_without_a_stream_is_swept_instead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("exchange_kernel.exchanges.ccxt.adapter.SWEPT_EVERY_S", 0.001)
    async with connected(ROWS["okx", "spot"]) as (exchange, _):
        facts = exchange.stream()
        assert [await anext(facts) for _ in range(3)] == [Gap.SUBSCRIBED] * 3
        await facts.aclose()


async def test_the_fingerprint_is_the_venues_number_or_else_the_keys_name() -> None:
    async with connected(ROWS["okx", "spot"]) as (exchange, venue):
        answers(exchange, venue, exchange._dialect.account(), says(200, {"code": "0", "data": [{"uid": "4711", "acctLv": "1"}], "msg": ""}))
        assert await exchange.fingerprint() == "4711"
        answers(exchange, venue, exchange._dialect.account(), says(401, {"code": "50111", "data": [], "msg": "Invalid OK-ACCESS-KEY"}))
        assert await exchange.fingerprint() == Refused("50111", "Invalid OK-ACCESS-KEY")
    async with connected(ROWS["kraken", "spot"]) as (exchange, venue):
        answers(exchange, venue, exchange._dialect.account(), says(200, {"error": [], "result": {"XXBT": {"balance": "1", "hold_trade": "0"}}}))
        named = await exchange.fingerprint()
        assert isinstance(named, str)
        assert named.startswith("key-")
        assert "key-key" not in named
        answers(exchange, venue, exchange._dialect.account(), says(502, {}))
        assert isinstance(await exchange.fingerprint(), Unreachable)


async def test_the_trades_of_an_order_are_its_own() -> None:
    def trade(order: str, number: str) -> Json:
        return {"instType": "SPOT", "instId": "BTCUSDT", "tradeId": number, "ordId": order, "clOrdId": "", "fillPx": "31234", "fillSz": "0.5", "side": "buy",
                "execType": "M", "feeCcy": "BTC", "fee": "-0.0001", "ts": "1800000000000"}

    row = ROWS["okx", "spot"]
    async with connected(row) as (exchange, venue):
        pages = exchange._dialect.trade_pages(exchange._by_symbol["BTC/USDT"], None, THEIRS, 0)
        answers(exchange, venue, next(pages), says(200, {"code": "0", "msg": "", "data": [trade(THEIRS, "1"), trade(THEIRS, "2")]}))
        listing = await exchange.trades("BTC/USDT", exchange_order_id=THEIRS)
    assert isinstance(listing, Listing)
    assert listing.complete
    assert [(one.trade_id, one.exchange_order_id, one.quantity, one.price) for one in listing.items] == [
        (number, THEIRS, Decimal("0.5"), Decimal("31234")) for number in ("1", "2")]
    assert all(one.fee is not None and one.fee.amount == Decimal("0.0001") for one in listing.items), "what ccxt calls a cost is a fee paid"
