"""What each row says to ccxt reaches the wire: cancels, lookups, triggers, positions, and nothing of ccxt's own."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from exchange_kernel.core.answers import Accepted, Found, NotSent, OrderStatus, Unknown
from exchange_kernel.exchanges.ccxt.dialect import Call
from exchange_kernel.exchanges.ccxt.dialects import DIALECTS, dialect_of
from exchange_kernel.exchanges.ccxt.probe import ID, Arrival, find_id, invented, request_bytes
from exchange_kernel.exchanges.ccxt.row import Row
from exchange_kernel.exchanges.ccxt.rows import REFUSED, ROWS
from exchange_kernel.exchanges.ccxt.unified import Built, NotBuilt, read
from exchange_kernel.exchanges.ccxt.wire import STAMP
from exchange_kernel.exchanges.port import ClockReading, OrderRef
from tests.contract.fake_venue import says
from tests.contract.test_ccxt_adapter import Gate
from tests.contract.test_rows import (
    EVERY,
    SPEECHES,
    THEIRS,
    a_ref,
    a_request,
    answers,
    bybit_orders,
    connected,
    kraken_order,
    lookup_calls,
    ours_of,
    speech_of,
    submit_call,
)

SIXTEEN = (
    "binance", "binanceusdm", "bybit", "okx", "kraken", "krakenfutures", "coinbase", "kucoin", "gate", "bitget", "hyperliquid", "deribit", "bitfinex", "mexc",
    "htx", "cryptocom",
)


def written(exchange: Any, call: Call) -> bytes:
    token = STAMP.set(1_800_000_000_000)
    try:
        params = call.stamped() if call.stamped is not None else call.params
        return request_bytes(exchange._ccxt, Built(call.path, call.api, call.method, params, call.weight))
    finally:
        STAMP.reset(token)


# ── Cancels and lookups ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

@pytest.mark.parametrize(("exchange_id", "market_type", "cancelled_by", "looked_up_by"), [
    ("okx", "spot", "ours", "ours"), ("okx", "swap", "ours", "ours"),
    ("bybit", "spot", "ours", "ours, in lists"), ("bybit", "swap", "ours", "ours, in lists"),
    ("kraken", "spot", "ours", "ours, in lists"),
    ("coinbase", "spot", "theirs", "lists"),
    ("kucoin", "spot", "ours", "ours"),
    ("gate", "spot", "ours", "lists"),
    ("bitget", "spot", "ours", "ours"),
    ("binanceusdm", "swap", "ours", "ours"),
    ("hyperliquid", "swap", "ours", "ours"),
    ("deribit", "swap", "theirs", "lists"),
    ("mexc", "spot", "ours", "ours"),
    ("htx", "spot", "ours", "ours"),
    ("cryptocom", "spot", "ours", "ours"), ("cryptocom", "swap", "ours", "ours"),
])
async def test_the_id_that_is_asked_by_reaches_the_wire(exchange_id: str, market_type: str, cancelled_by: str, looked_up_by: str) -> None:
    row = ROWS[exchange_id, market_type]
    async with connected(row) as (exchange, _):
        market = exchange._by_symbol[a_request(row).symbol]
        by_ours, by_theirs = a_ref(row), a_ref(row, by_theirs=True)
        ours = row.id_written(ours_of(row))
        assert find_id(written(exchange, exchange._dialect.cancel(by_theirs, market)), THEIRS) is Arrival.ARRIVES
        if cancelled_by == "ours":
            assert find_id(written(exchange, exchange._dialect.cancel(by_ours, market)), ours) is Arrival.ARRIVES
        else:
            with pytest.raises(NotBuilt, match="its own order id only"):
                exchange._dialect.cancel(by_ours, market)
        assert (exchange._dialect.lookup(by_ours, market) is not None) == (looked_up_by == "ours")
        arrived = {find_id(written(exchange, call), ours) for call in lookup_calls(exchange, row)}
        by_its_own_name = Arrival.UNMAPPED if exchange_id == "htx" else Arrival.ARRIVES       # clientOrderId is what the venue calls it there
        assert arrived == {Arrival.DROPPED if looked_up_by == "lists" else by_its_own_name}


def test_each_of_the_sixteen_has_a_row_or_a_reason() -> None:
    with_a_row = {exchange_id for exchange_id, _ in {*DIALECTS, *ROWS}}
    with_a_reason = {exchange_id for exchange_id, _ in REFUSED}
    assert with_a_row | with_a_reason == set(SIXTEEN)
    assert with_a_reason - with_a_row == {"bitfinex", "krakenfutures"}
    assert not REFUSED.keys() & {*DIALECTS, *ROWS}
    for exchange_id, market_type in REFUSED:
        with pytest.raises(ValueError, match="Create the account for another exchange"):
            dialect_of(exchange_id, market_type)


def test_what_ccxt_makes_of_krakens_futures_history_ends_an_order_that_lives() -> None:
    """The reason why there is no row for it. Fails once ccxt reads it otherwise: look again then."""
    placed = {"elements": [{"uid": "1", "timestamp": 1, "event": {"OrderPlaced": {"reason": "new_user_order", "order": {
        "uid": THEIRS, "tradeable": "BTCUSDTPERP", "direction": "Buy", "quantity": "12.5", "filled": "0", "limitPrice": "31234", "orderType": "Limit",
        "clientId": ID, "reduceOnly": False, "timestamp": 1, "lastUpdateTimestamp": 1}}}}]}
    [order] = read(invented("krakenfutures"), placed, "fetch_canceled_orders", "BTC/USDT:USDT")
    assert (order["status"], order["filled"]) == ("canceled", "0")


# ── Nothing of ccxt's own ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────

@EVERY
async def test_no_request_names_a_broker(row: Row) -> None:
    async with connected(row) as (exchange, venue):
        call = submit_call(exchange, row)
        answers(exchange, venue, call, says(200, speech_of(row).accepted(row.id_written(ours_of(row)))))
        venue.received.clear()
        await exchange.submit(a_request(row), Gate())
        [request] = venue.received
    sent = f"{request.params} {request.body} {dict(request.headers)}".lower()
    assert "ccxt" not in sent
    assert "broker" not in sent


async def test_an_id_that_is_not_asked_by_is_left_out() -> None:
    row = ROWS["cryptocom", "spot"]
    async with connected(row) as (exchange, _):
        call = exchange._dialect.cancel(a_ref(row), exchange._by_symbol["BTC/USDT"])
        assert call.params == call.stamped() == {"client_oid": ID}


# ── Triggers and positions ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────

@pytest.mark.parametrize(("key", "type_", "side", "by", "expected", "reason"), [
    (("bybit", "swap"), "StopMarket", "Buy", "Last", {"orderType": "Market", "triggerPrice": "32000", "triggerDirection": 1, "triggerBy": "LastPrice"},
     "a buy waits for the price to rise"),
    (("bybit", "swap"), "StopLimit", "Sell", "Mark", {"orderType": "Limit", "price": "31234", "triggerDirection": 2, "triggerBy": "MarkPrice"},
     "a sell for it to fall"),
    (("bybit", "swap"), "TakeProfitMarket", "Buy", "Index", {"orderType": "Market", "triggerDirection": 2, "triggerBy": "IndexPrice"}, "a profit the other way"),
    (("bybit", "swap"), "TakeProfitLimit", "Sell", "Last", {"orderType": "Limit", "price": "31234", "triggerDirection": 1}, ""),
    (("kraken", "spot"), "StopMarket", "Sell", "Last", {"ordertype": "stop-loss", "price": "32000", "trigger": "last"}, ""),
    (("kraken", "spot"), "StopLimit", "Buy", "Index", {"ordertype": "stop-loss-limit", "price": "32000", "price2": "31234", "trigger": "index"}, ""),
    (("kraken", "spot"), "TakeProfitMarket", "Buy", "Last", {"ordertype": "take-profit", "price": "32000"}, ""),
    (("kraken", "spot"), "TakeProfitLimit", "Sell", "Last", {"ordertype": "take-profit-limit", "price": "32000", "price2": "31234"}, ""),
])
async def test_a_trigger_is_carried_in_the_one_request(key: tuple[str, str], type_: str, side: str, by: str, expected: dict[str, Any], reason: str) -> None:
    row = ROWS[key]
    market_style = type_.endswith("Market")
    request = a_request(row, type=type_, side=side, trigger_price=Decimal("32000"), trigger_price_type=by, price=None if market_style else Decimal("31234"),
                        time_in_force=None if market_style else "GTC")
    async with connected(row) as (exchange, venue):
        call = exchange._dialect.submit(request, exchange._by_symbol[request.symbol])
        assert expected.items() <= call.params.items(), reason
        assert not call.params.get("reduceOnly"), "a stop may open a position"
        answers(exchange, venue, call, says(200, speech_of(row).accepted(ID)))
        accepted = await exchange.submit(request, Gate())
    assert isinstance(accepted, Accepted), accepted
    assert (accepted.order.type, accepted.order.trigger_price, accepted.order.status) == (type_, Decimal("32000"), OrderStatus.OPEN)
    assert accepted.order.filled_quantity == 0


@pytest.mark.parametrize(("key", "changes", "reason"), [
    (("bybit", "spot"), {}, "a triggered order of its spot market may get another id"),
    (("binanceusdm", "swap"), {}, "its triggers are a service of their own"),
    (("okx", "swap"), {}, "so are these"),
    (("kraken", "spot"), {"trigger_price_type": "Mark"}, "it has no mark price"),
    (("kraken", "spot"), {"trigger_price": None}, "a stop without a trigger would trade at once"),
])
async def test_a_trigger_that_would_be_lost_is_not_sent(key: tuple[str, str], changes: dict[str, Any], reason: str) -> None:
    row = ROWS[key]
    values = {"type": "StopMarket", "price": None, "time_in_force": None, "trigger_price": Decimal("32000"), "trigger_price_type": "Last", **changes}
    async with connected(row) as (exchange, venue):
        venue.received.clear()
        assert isinstance(await exchange.submit(a_request(row, **values), Gate()), NotSent), reason
        assert not venue.received


async def test_a_trigger_that_ccxt_would_bend_is_not_sent() -> None:
    row = ROWS["kraken", "spot"]
    async with connected(row) as (exchange, venue):
        venue.received.clear()
        market = exchange._ccxt.markets["BTC/USDT"]
        market["precision"] = {**market["precision"], "price": "1000"}
        outcome = await exchange.submit(
            a_request(row, type="StopMarket", price=None, time_in_force=None, trigger_price=Decimal("32100"), trigger_price_type="Last"), Gate())
        assert isinstance(outcome, NotSent)
        assert "trigger price" in outcome.reason
        assert not venue.received


def bybit_conditional(side: str, direction: int, **changes: str) -> Any:
    document = bybit_orders(ID)
    document["result"]["list"][0] |= {"triggerPrice": "32000", "triggerDirection": direction, "triggerBy": "LastPrice", "stopOrderType": "Stop", "tpslMode": "",
                                      "orderStatus": "Untriggered", "cumExecQty": "0", "symbol": "BTCUSDTPERP", "reduceOnly": False, "side": side, **changes}
    return document


def kraken_conditional(type_: str, limit: str) -> Any:
    document = kraken_order(ID)
    order = document["result"]["open"][THEIRS]
    order["descr"] |= {"ordertype": type_, "price": "32000", "price2": limit}
    order["vol_exec"] = "0"
    return document


@pytest.mark.parametrize(("key", "document", "type_", "price"), [
    (("bybit", "swap"), bybit_conditional("Buy", 1), "StopLimit", "31234"),
    (("bybit", "swap"), bybit_conditional("Buy", 2), "TakeProfitLimit", "31234"),
    (("bybit", "swap"), bybit_conditional("Sell", 2), "StopLimit", "31234"),
    (("bybit", "swap"), bybit_conditional("Sell", 1, orderType="Market", price="0"), "TakeProfitMarket", None),
    (("kraken", "spot"), kraken_conditional("take-profit-limit", "31000"), "TakeProfitLimit", "31000"),
    (("kraken", "spot"), kraken_conditional("stop-loss", "0"), "StopMarket", None),
])
async def test_an_order_with_a_trigger_is_found_among_the_others(key: tuple[str, str], document: Any, type_: str, price: str | None) -> None:
    row = ROWS[key]
    async with connected(row) as (exchange, venue):
        first, *others = lookup_calls(exchange, row)
        for call in others:
            answers(exchange, venue, call, says(200, speech_of(row).nothing))
        answers(exchange, venue, first, says(200, json.loads(json.dumps(document))))
        found = await exchange.lookup(a_ref(row))
    assert isinstance(found, Found), found
    assert (found.order.type, found.order.trigger_price, found.order.price) == (type_, Decimal("32000"), None if price is None else Decimal(price))
    assert (found.order.status, found.order.filled_quantity) == (OrderStatus.OPEN, 0)


@pytest.mark.parametrize(("exchange_id", "side", "position", "reduce_only", "expected", "reason"), [
    ("binanceusdm", "Buy", "Long", False, {"positionSide": "LONG"}, ""),
    ("binanceusdm", "Sell", "Long", True, {"positionSide": "LONG", "reduceOnly": None}, "the side and the position's say it all, and the venue refuses the word"),
    ("bybit", "Buy", "Short", True, {"positionIdx": 2, "reduceOnly": True}, "this venue takes it"),
    ("bybit", "Sell", "Short", False, {"positionIdx": 2}, ""),
    ("okx", "Sell", "Short", False, {"posSide": "short"}, ""),
    ("okx", "Sell", "Long", True, {"posSide": "long", "reduceOnly": None}, ""),
    ("okx", "Buy", "Long", True, None, "it would open more: the word would be lost"),
    ("hyperliquid", "Buy", "Long", False, None, "no hedge mode"),
])
async def test_the_position_meant_is_one_parameter(exchange_id: str, side: str, position: str, reduce_only: bool, expected: dict[str, Any] | None,
                                                   reason: str) -> None:
    row = ROWS[exchange_id, "swap"]
    request = a_request(row, side=side, position_side=position, reduce_only=reduce_only)
    assert row.capabilities.hedge_mode == (exchange_id != "hyperliquid")
    async with connected(row) as (exchange, _):
        market = exchange._by_symbol[request.symbol]
        if expected is None:
            with pytest.raises(NotBuilt):
                exchange._dialect.submit(request, market)
            return
        params = exchange._dialect.submit(request, market).params
        assert {name: params.get(name) for name in expected} == expected, reason


# ── What is read once ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

async def test_the_accounts_number_is_read_with_its_fingerprint_and_before_it_nothing_is_sent() -> None:
    row = ROWS["htx", "spot"]
    async with connected(row) as (exchange, venue):
        exchange._ccxt.accounts = None
        venue.received.clear()
        assert isinstance(await exchange.submit(a_request(row), Gate()), NotSent), "ccxt would ask for it, and send the order after"
        assert not venue.received
        accounts = {"status": "ok", "data": [{"id": 100009, "type": "spot", "subtype": "", "state": "working"},
                                             {"id": 100010, "type": "margin", "subtype": "btcusdt", "state": "working"}]}
        answers(exchange, venue, exchange._dialect.account(), says(200, accounts))
        assert await exchange.fingerprint() == "100009"
        call = submit_call(exchange, row)
        assert call.params["account-id"] == "100009"
        answers(exchange, venue, call, says(200, SPEECHES["htx"].accepted(ID)))
        assert isinstance(await exchange.submit(a_request(row), Gate()), Accepted)


async def test_a_cancel_that_says_nothing_of_the_order_is_looked_up() -> None:
    row = ROWS["htx", "spot"]
    async with connected(row) as (exchange, venue):
        call = exchange._dialect.cancel(OrderRef("BTC/USDT", ID), exchange._by_symbol["BTC/USDT"])
        for status in (0, -1, 7, "59378"):          # 0: there is no such order
            answers(exchange, venue, call, says(200, {"status": "ok", "data": status}))
            assert isinstance(await exchange.cancel(OrderRef("BTC/USDT", ID), Gate()), Unknown)


async def test_a_venue_without_a_clock_is_believed_by_the_date_of_its_answer() -> None:
    row = ROWS["cryptocom", "spot"]
    async with connected(row) as (exchange, venue):
        answers(exchange, venue, exchange._dialect.clock, says(200, {"id": -1, "method": "public/get-tickers", "code": 0, "result": {"data": []}},
                                                               Date="Tue, 24 Nov 2026 12:00:00 GMT"))
        reading = await exchange.clock()
        assert isinstance(reading, ClockReading), reading
        assert reading.venue_time_ms == 1_795_521_600_000
        for wrong in ("", "yesterday"):
            answers(exchange, venue, exchange._dialect.clock, says(200, {"id": -1, "code": 0, "result": {"data": []}}, **({"Date": wrong} if wrong else {})))
            assert not isinstance(await exchange.clock(), ClockReading)
