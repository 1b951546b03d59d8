"""Binance spot's row: how its words and numbers become ours."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from exchange_kernel.core.answers import OrderStatus
from exchange_kernel.core.venue import MarketRules, PriceBand
from exchange_kernel.exchanges.ccxt import binance_answers as binance
from exchange_kernel.exchanges.ccxt.budget import Limit
from exchange_kernel.exchanges.ccxt.dialect import Market, Said, StreamEnded
from exchange_kernel.exchanges.ccxt.parsing import UnknownMarket, Unreadable
from exchange_kernel.exchanges.port import OrderUpdate
from tests.contract.fake_venue import EXCHANGE_INFO, a_trade, an_order
from tests.contract.test_ccxt_stream import a_report

MARKETS = {"BTCUSDT": Market("BTCUSDT", MarketRules(symbol="BTC/USDT", base="BTC", quote="USDT", active=True, quantity_step=None, price_step=None))}


@pytest.mark.parametrize(("changes", "status", "reason"), [
    ({"status": "NEW"}, OrderStatus.OPEN, "accepted by the engine"),
    ({"status": "PENDING_NEW"}, OrderStatus.OPEN, "waits for its working order"),
    ({"status": "PARTIALLY_FILLED"}, OrderStatus.OPEN, "the rest is open"),
    ({"status": "PENDING_CANCEL"}, OrderStatus.OPEN, "not cancelled yet"),
    ({"status": "FILLED"}, OrderStatus.FILLED, ""),
    ({"status": "CANCELED"}, OrderStatus.CANCELED, "by its owner"),
    ({"status": "REJECTED"}, OrderStatus.REJECTED, ""),
    ({"status": "EXPIRED", "timeInForce": "IOC"}, OrderStatus.EXPIRED, "the rest of an IOC"),
    ({"status": "EXPIRED", "timeInForce": "FOK"}, OrderStatus.EXPIRED, "a FOK"),
    ({"status": "EXPIRED", "type": "MARKET", "timeInForce": "GTC"}, OrderStatus.EXPIRED, "the book was too thin"),
    ({"status": "EXPIRED", "timeInForce": "GTC"}, OrderStatus.CANCELED, "a resting order does not expire: the venue ended it"),
    ({"status": "EXPIRED", "timeInForce": "GTC", "expiryReason": "EXCHANGE_CANCELED"}, OrderStatus.CANCELED, "it says so"),
    ({"status": "EXPIRED", "timeInForce": "IOC", "expiryReason": "EXCHANGE_CANCELED"}, OrderStatus.CANCELED, "the reason outweighs the time in force"),
    ({"status": "EXPIRED", "timeInForce": "IOC", "expiryReason": "UNFILLED_IOC_QUANTITY_EXPIRED"}, OrderStatus.EXPIRED, "it says so"),
    ({"status": "EXPIRED", "timeInForce": "IOC", "expiryReason": "NONE"}, OrderStatus.EXPIRED, "no reason given"),
    ({"status": "EXPIRED", "type": "STOP_LOSS", "expiryReason": "OCO_TRIGGER"}, OrderStatus.CANCELED, "the other of the pair worked"),
    ({"status": "EXPIRED", "type": "STOP_LOSS_LIMIT", "timeInForce": "IOC", "expiryReason": "OCO_TRIGGER"}, OrderStatus.CANCELED, "whatever its time in force"),
    ({"status": "EXPIRED", "type": "MARKET", "expiryReason": "OTO_PHASE_ONE_EXPIRED"}, OrderStatus.CANCELED, "what it waited for has ended"),
    ({"status": "EXPIRED", "type": "STOP_LOSS", "expiryReason": "INSUFFICIENT_LIQUIDITY"}, OrderStatus.EXPIRED, "it worked, and the book was too thin"),
    ({"status": "EXPIRED", "expiryReason": "REJECTED"}, OrderStatus.REJECTED, "refused when its time came"),
    ({"status": "EXPIRED_IN_MATCH"}, OrderStatus.CANCELED, "self-trade prevention is the venue's doing"),
], ids=lambda value: value if isinstance(value, str) else "")
def test_a_status_is_read_by_its_cause(changes: dict[str, Any], status: OrderStatus, reason: str) -> None:
    assert binance.read_order(an_order(**changes), MARKETS).status is status, reason


@pytest.mark.parametrize(("type_", "ours"), binance.TYPES.items())
def test_foreign_orders_of_every_type_are_read(type_: str, ours: str) -> None:
    assert binance.read_order(an_order(type=type_), MARKETS).type == ours


def test_zero_stands_for_none_where_the_venue_writes_it_so() -> None:
    order = binance.read_order(an_order(type="MARKET", price="0.00000000", origQty="0.00000000", origQuoteOrderQty="100.0"), MARKETS)
    assert (order.price, order.quantity, order.filled_quantity) == (None, None, Decimal(0))


def test_a_negative_quote_quantity_is_one_that_the_venue_has_lost() -> None:
    assert binance.read_order(an_order(cummulativeQuoteQty="-1.00000000"), MARKETS).filled_quote_quantity is None


@pytest.mark.parametrize("key", ["symbol", "orderId", "clientOrderId", "status", "side", "type", "executedQty", "cummulativeQuoteQty", "time", "updateTime"])
def test_an_order_without_one_of_its_keys_is_no_order(key: str) -> None:
    document = an_order()
    del document[key]
    with pytest.raises(Unreadable):
        binance.read_order(document, MARKETS)


@pytest.mark.parametrize("key", ["symbol", "id", "orderId", "qty", "price", "time", "commission", "commissionAsset"])
def test_a_trade_without_one_of_its_keys_is_no_trade(key: str) -> None:
    document = a_trade()
    del document[key]
    with pytest.raises(Unreadable):
        binance.read_trade(document, MARKETS)


def test_a_trade_keeps_the_venues_digits_and_its_rebates() -> None:
    trade = binance.read_trade(a_trade(qty="0.00000001", price="123456789.12345678", commission="-0.00000001"), MARKETS)
    assert (str(trade.quantity), str(trade.price)) == ("1E-8", "123456789.12345678")
    assert trade.fee is not None
    assert trade.fee.amount == Decimal("-0.00000001")


def test_an_unknown_market_is_told_apart_from_nonsense() -> None:
    with pytest.raises(UnknownMarket):
        binance.read_order(an_order(symbol="NEWUSDT"), MARKETS)


def test_the_weights_are_those_the_venue_publishes() -> None:
    assert binance.read_limit(EXCHANGE_INFO) == Limit(6000, 60)
    assert binance.read_limit({**EXCHANGE_INFO, "rateLimits": []}) is None
    raised = [{"rateLimitType": "RAW_REQUESTS", "interval": "MINUTE", "intervalNum": 5, "limit": 1},
              {"rateLimitType": "REQUEST_WEIGHT", "interval": "SECOND", "intervalNum": 10, "limit": 99}]
    assert binance.read_limit({"rateLimits": raised}) == Limit(99, 10)
    assert binance.read_used_weight({"X-MBX-USED-WEIGHT-1M": "123"}) == 123
    assert binance.read_used_weight({}) is None
    assert binance.read_used_weight({"X-MBX-USED-WEIGHT-1M": "many"}) is None


@pytest.mark.parametrize(("changes", "client_order_id", "reason"), [
    ({"c": "ours"}, "ours", "a new order"),
    ({"c": "the cancel", "C": "ours", "x": "CANCELED", "X": "CANCELED"}, "ours", "c is the cancel's name"),
    ({"c": "ours", "C": "null", "x": "TRADE", "X": "FILLED", "t": 1, "l": "1", "L": "1"}, "ours", "an old way to say none"),
    ({"c": "ours", "C": None}, "ours", "another"),
    ({"c": "new", "C": "old", "x": "REPLACED"}, "new", "an amend renames the order"),
], ids=lambda value: value if isinstance(value, str) else "")
def test_a_report_is_of_the_order_and_not_of_its_cancel(changes: dict[str, Any], client_order_id: str, reason: str) -> None:
    update = binance.read_stream(a_report(**changes), MARKETS)
    assert isinstance(update, OrderUpdate)
    assert update.order.client_order_id == client_order_id, reason


def test_a_report_of_a_refusal_says_nothing_of_the_order_that_lives_under_that_id() -> None:
    assert binance.read_stream(a_report(x="REJECTED", X="REJECTED", r="NONE", i=-1), MARKETS) is None


def test_self_trade_prevention_ends_an_order_without_an_execution() -> None:
    update = binance.read_stream(a_report(x="TRADE_PREVENTION", X="EXPIRED_IN_MATCH"), MARKETS)
    assert isinstance(update, OrderUpdate)
    assert (update.order.status, update.trade) == (OrderStatus.CANCELED, None)


def test_an_execution_without_its_fee_is_an_execution() -> None:
    update = binance.read_stream(a_report(x="TRADE", X="FILLED", t=1, l="1", L="1", z="1", Z="1", N=None), MARKETS)
    assert isinstance(update, OrderUpdate)
    assert update.trade is not None
    assert update.trade.fee is None


@pytest.mark.parametrize(("document", "want"), [
    ({"id": "7", "status": 200, "result": {}}, Said("7")),
    ({"id": "7", "status": 400, "error": {"code": -1021, "msg": "late"}}, Said("7", ("-1021", "late"))),
    ({"id": "7", "status": 500}, Said("7", ("", ""))),
    ({"event": {"e": "eventStreamTerminated", "E": 1}}, StreamEnded()),
    ({"event": {"e": "serverShutdown", "E": 1}}, StreamEnded()),
    ({"subscriptionId": 0, "event": {"e": "outboundAccountPosition"}}, None),
])
def test_what_else_the_stream_says(document: Any, want: object) -> None:
    assert binance.read_stream(document, MARKETS) == want


# ── What a market has ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def a_listed_market(**changes):
    return {
        "symbol": "BTCUSDT", "status": "TRADING", "baseAsset": "BTC", "quoteAsset": "USDT", "quoteAssetPrecision": 8,
        "orderTypes": ["LIMIT", "LIMIT_MAKER", "MARKET", "STOP_LOSS", "STOP_LOSS_LIMIT", "TAKE_PROFIT", "TAKE_PROFIT_LIMIT"],
        "ocoAllowed": True, "otoAllowed": True, "allowTrailingStop": True,
        "filters": [
            {"filterType": "PERCENT_PRICE_BY_SIDE", "bidMultiplierUp": "5", "bidMultiplierDown": "0.2", "askMultiplierUp": "6", "askMultiplierDown": "0.3", "avgPriceMins": 5},
            {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": 200}, {"filterType": "MAX_NUM_ALGO_ORDERS", "maxNumAlgoOrders": 5},
        ], **changes,
    }


def rules_of(**changes):
    return binance.read_market(a_listed_market(**changes), str).rules


def test_a_markets_own_order_types_and_filters_are_read():
    rules = rules_of()
    assert rules.order_types == {"Market", "Limit", "StopMarket", "StopLimit", "TakeProfitMarket", "TakeProfitLimit", "TrailingStop"}
    assert (rules.post_only, rules.native_groups) == (True, {"OneCancelsOther", "OneTriggersOther", "Bracket"})
    assert (rules.buy_band, rules.sell_band) == (PriceBand(Decimal("0.2"), Decimal(5)), PriceBand(Decimal("0.3"), Decimal(6)))
    assert (rules.max_open_orders, rules.max_trigger_orders) == (200, 5)


def test_a_market_without_stops_has_none_and_no_lists():
    rules = rules_of(orderTypes=["LIMIT", "MARKET"], ocoAllowed=False, filters=[{"filterType": "PERCENT_PRICE", "multiplierUp": "2", "multiplierDown": "0.5"}])
    assert (rules.order_types, rules.post_only, rules.native_groups) == ({"Market", "Limit"}, False, {"OneTriggersOther"})
    assert (rules.buy_band, rules.sell_band, rules.max_open_orders) == (PriceBand(Decimal("0.5"), Decimal(2)), PriceBand(Decimal("0.5"), Decimal(2)), None)


def test_what_a_market_does_not_say_is_not_known():
    silent = {name: value for name, value in a_listed_market(filters=[]).items() if name not in ("orderTypes", "ocoAllowed", "otoAllowed", "allowTrailingStop")}
    rules = binance.read_market(silent, str).rules
    assert (rules.order_types, rules.post_only, rules.native_groups, rules.sell_band, rules.max_trigger_orders) == (None,) * 5


@pytest.mark.parametrize(("said", "fee"), [({"commissionRates": {"taker": "0.00100000"}}, Decimal("0.001")), ({}, None), ({"commissionRates": {"taker": "much"}}, None),
                                           ({"commissionRates": []}, None), ({"commissionRates": {"taker": "3"}}, None)])
def test_the_accounts_fee_is_read_where_it_can_be(said, fee):
    assert binance.read_taker_fee(said) == fee


def test_a_last_price_is_a_price_or_nothing():
    assert binance.read_last_price({"symbol": "BTCUSDT", "price": "60000.00"}) == 60000
    with pytest.raises(Unreadable):
        binance.read_last_price({"symbol": "BTCUSDT", "price": "0.00"})
