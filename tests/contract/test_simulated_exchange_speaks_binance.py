"""The real ccxt, unmodified but for its addresses, takes the simulated exchange for Binance spot.

At other addresses than Binance's own, ccxt uses its general table of errors and not the one for spot (-1008, -2021, …): those classes are not tested here.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import ccxt.pro
import pytest

from exchange_kernel.exchanges.simulated import DEFAULT_API_KEY, DEFAULT_API_SECRET, Served, Settings, SimulatedExchange, serve
from tests.support import aeventually

SYMBOL = "BTC/USDT"


@asynccontextmanager
async def connected(served: Served, **config: Any) -> AsyncIterator[Any]:
    """ccxt at the venue's addresses."""
    options = {"defaultType": "spot", "fetchMarkets": {"types": ["spot"]}}
    exchange = ccxt.pro.binance({"apiKey": DEFAULT_API_KEY, "secret": DEFAULT_API_SECRET, "enableRateLimit": False, "options": options, **config})
    exchange.urls["api"]["public"] = exchange.urls["api"]["private"] = f"{served.rest}/api/v3"
    exchange.urls["api"]["sapi"] = f"{served.rest}/sapi/v1"
    exchange.urls["api"]["ws"]["ws-api"]["spot"] = f"{served.websocket}/ws-api/v3"
    try:
        yield exchange
    finally:
        await exchange.close()


@pytest.fixture
async def venue() -> AsyncIterator[Served]:
    """With an empty market, so that a test knows what it meets."""
    async with serve(SimulatedExchange(Settings(market_maker=False))) as served:
        yield served


@pytest.fixture
async def binance(venue: Served) -> AsyncIterator[Any]:
    async with connected(venue) as exchange:
        await exchange.load_markets()
        yield exchange


def fill(venue: Served, order: dict[str, Any], quantity: str | None = None) -> None:
    """Somebody trades with it."""
    resting = venue.exchange.user.open[int(order["id"])]
    venue.exchange.engine.fill(venue.exchange.taker, resting, None if quantity is None else Decimal(quantity))


async def test_markets_with_their_steps_and_limits(binance):
    market = binance.market(SYMBOL)
    assert (market["id"], market["spot"], market["active"]) == ("BTCUSDT", True, True)
    assert (market["precision"]["amount"], market["precision"]["price"]) == (1e-5, 0.01)
    assert (market["limits"]["amount"]["min"], market["limits"]["cost"]["min"]) == (1e-5, 5.0)
    assert {"BTC", "ETH", "USDT"} <= set(binance.currencies)


async def test_a_limit_order_from_its_creation_to_its_cancel(venue, binance):
    created = await binance.create_order(SYMBOL, "limit", "buy", 2, 50000, {"clientOrderId": "mine"})
    assert (created["status"], created["clientOrderId"], created["amount"], created["filled"]) == ("open", "mine", 2.0, 0.0)
    fill(venue, created, "0.5")
    fetched = await binance.fetch_order(None, SYMBOL, {"clientOrderId": "mine"})
    assert (fetched["id"], fetched["status"], fetched["filled"], fetched["average"], fetched["cost"]) == (created["id"], "open", 0.5, 50000.0, 25000.0)
    assert [order["id"] for order in await binance.fetch_open_orders(SYMBOL)] == [created["id"]]
    cancelled = await binance.cancel_order(created["id"], SYMBOL)
    assert (cancelled["id"], cancelled["status"], cancelled["filled"], cancelled["remaining"]) == (created["id"], "canceled", 0.5, 1.5)
    assert await binance.fetch_open_orders(SYMBOL) == []
    assert [(order["id"], order["status"]) for order in await binance.fetch_orders(SYMBOL)] == [(created["id"], "canceled")]


async def test_market_orders_by_base_and_by_quote_come_back_with_their_trades(venue):
    venue.exchange.maker.start()
    async with connected(venue) as binance:
        bought = await binance.create_order(SYMBOL, "market", "buy", 0.5)
        assert (bought["status"], bought["filled"], bought["fee"]) == ("closed", 0.5, {"currency": "BTC", "cost": 0.0005})
        assert sum(trade["amount"] for trade in bought["trades"]) == pytest.approx(0.5)
        spent = await binance.create_market_buy_order_with_cost(SYMBOL, 1000)
        assert 990 < spent["cost"] <= 1000
        trades = await binance.fetch_my_trades(SYMBOL)
        assert {trade["order"] for trade in trades} == {bought["id"], spent["id"]}
        assert {trade["takerOrMaker"] for trade in trades} == {"taker"}


@pytest.mark.parametrize(("params", "status"), [({"timeInForce": "IOC"}, "expired"), ({"timeInForce": "FOK"}, "expired"), ({"postOnly": True}, "open")])
async def test_times_in_force(binance, params, status):
    created = await binance.create_order(SYMBOL, "limit", "buy", 1, 50000, params)
    assert (created["status"], created["filled"]) == (status, 0.0)


# ── Contingent orders and lists ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

def trade_at(venue: Served, *prices: str) -> None:
    """Others trade at these prices."""
    for price in prices:
        venue.exchange.engine.observe(venue.exchange.engine.market("BTCUSDT").symbol, Decimal(price))


@pytest.mark.parametrize(("kind", "side", "price", "params", "raw_type", "trigger"), [
    ("market", "sell", None, {"stopLossPrice": 59000}, "STOP_LOSS", "59000"),
    ("limit", "sell", 58900, {"stopLossPrice": 59000}, "STOP_LOSS_LIMIT", "59000"),
    ("market", "sell", None, {"takeProfitPrice": 61000}, "TAKE_PROFIT", "61000"),
    ("limit", "sell", 61000, {"takeProfitPrice": 61000}, "TAKE_PROFIT_LIMIT", "61000"),
    ("limit", "buy", 61100, {"triggerPrice": 61000}, "STOP_LOSS_LIMIT", "61000"),
    ("market", "buy", None, {"triggerPrice": 61000}, "STOP_LOSS", "61000"),
])
async def test_a_contingent_order_waits_for_its_price(venue, binance, kind, side, price, params, raw_type, trigger):
    created = await binance.create_order(SYMBOL, kind, side, 1, price, params)
    fetched = await binance.fetch_order(created["id"], SYMBOL)
    assert (fetched["status"], fetched["triggerPrice"], fetched["info"]["type"], fetched["info"]["isWorking"]) == ("open", float(trigger), raw_type, False)
    assert [order["id"] for order in await binance.fetch_open_orders(SYMBOL)] == [created["id"]]
    trade_at(venue, trigger)
    fetched = await binance.fetch_order(created["id"], SYMBOL)
    assert (fetched["status"], fetched["info"]["isWorking"]) == ("open" if kind == "limit" else "expired", True)


async def test_a_trailing_order_follows_the_price(venue, binance):
    created = await binance.create_order(SYMBOL, "limit", "sell", 1, 50000, {"trailingPercent": 5, "stopLossOrTakeProfit": "stopLoss"})
    trade_at(venue, "70000", "66500.01")
    assert (await binance.fetch_order(created["id"], SYMBOL))["info"]["isWorking"] is False
    trade_at(venue, "66500")
    fetched = await binance.fetch_order(created["id"], SYMBOL)
    assert (fetched["info"]["isWorking"], fetched["info"]["trailingDelta"], fetched["status"]) == (True, 500, "open")


async def test_a_contingent_order_is_cancelled(binance):
    created = await binance.create_order(SYMBOL, "market", "sell", 1, None, {"stopLossPrice": 59000})
    assert (await binance.cancel_order(created["id"], SYMBOL))["status"] == "canceled"


PAIR = {
    "symbol": "BTCUSDT", "side": "SELL", "quantity": "1", "listClientOrderId": "pair", "aboveType": "LIMIT_MAKER", "abovePrice": "61000",
    "aboveClientOrderId": "profit", "belowType": "STOP_LOSS", "belowStopPrice": "59000", "belowClientOrderId": "stop",
}


async def test_one_of_a_pair_cancels_the_other(venue, binance):
    answer = await binance.private_post_orderlist_oco(PAIR)
    assert (answer["listOrderStatus"], [order["clientOrderId"] for order in answer["orders"]]) == ("EXECUTING", ["stop", "profit"])
    assert [order["clientOrderId"] for order in await binance.fetch_open_orders(SYMBOL)] == ["stop", "profit"]
    fill(venue, {"id": answer["orders"][1]["orderId"]})
    assert {order["clientOrderId"]: order["status"] for order in await binance.fetch_orders(SYMBOL)} == {"stop": "expired", "profit": "closed"}
    assert (await binance.private_get_orderlist({"origClientOrderId": "pair"}))["listOrderStatus"] == "ALL_DONE"


async def test_a_pair_is_cancelled_as_one(binance):
    answer = await binance.private_post_orderlist_oco(PAIR)
    cancelled = await binance.private_delete_orderlist({"symbol": "BTCUSDT", "orderListId": answer["orderListId"]})
    assert [order["status"] for order in cancelled["orderReports"]] == ["CANCELED", "CANCELED"]
    assert await binance.private_get_openorderlist() == []
    assert [one["listClientOrderId"] for one in await binance.private_get_allorderlist()] == ["pair"]


async def test_an_entry_releases_its_pair(venue, binance):
    answer = await binance.private_post_orderlist_otoco({
        "symbol": "BTCUSDT", "workingType": "LIMIT", "workingSide": "BUY", "workingPrice": "60000", "workingQuantity": "1", "workingTimeInForce": "GTC",
        "workingClientOrderId": "entry", "pendingSide": "SELL", "pendingQuantity": "1", "pendingAboveType": "LIMIT_MAKER", "pendingAbovePrice": "61000",
        "pendingAboveClientOrderId": "profit", "pendingBelowType": "STOP_LOSS_LIMIT", "pendingBelowPrice": "58900", "pendingBelowStopPrice": "59000",
        "pendingBelowTimeInForce": "GTC", "pendingBelowClientOrderId": "stop",
    })
    assert [order["status"] for order in answer["orderReports"]] == ["NEW", "PENDING_NEW", "PENDING_NEW"]
    fill(venue, {"id": answer["orders"][0]["orderId"]})
    assert {order["clientOrderId"]: order["status"] for order in await binance.fetch_orders(SYMBOL)} == {"entry": "closed", "stop": "open", "profit": "open"}


async def test_an_entry_releases_one_order(venue, binance):
    answer = await binance.private_post_orderlist_oto({
        "symbol": "BTCUSDT", "workingType": "LIMIT_MAKER", "workingSide": "BUY", "workingPrice": "60000", "workingQuantity": "1",
        "pendingType": "LIMIT", "pendingSide": "SELL", "pendingPrice": "61000", "pendingQuantity": "1", "pendingTimeInForce": "GTC",
    })
    fill(venue, {"id": answer["orders"][0]["orderId"]})
    assert [(order["side"], order["price"]) for order in await binance.fetch_open_orders(SYMBOL)] == [("sell", 61000.0)]


async def test_an_account_does_not_trade_with_itself_where_it_forbids_it(binance):
    resting = await binance.create_order(SYMBOL, "limit", "buy", 1, 60000)
    taking = await binance.create_order(SYMBOL, "limit", "sell", 1, 60000, {"selfTradePreventionMode": "EXPIRE_MAKER"})
    assert (taking["status"], taking["filled"]) == ("open", 0.0)
    prevented = await binance.fetch_order(resting["id"], SYMBOL)
    assert (prevented["status"], prevented["info"]["status"]) == ("expired", "EXPIRED_IN_MATCH")


async def test_fees_are_taken_in_bnb_once_the_account_says_so():
    async with serve(SimulatedExchange(Settings(symbols=["BTC/USDT", "BNB/USDT", "BNB/BTC"]))) as served, connected(served) as binance:
        assert (await binance.sapi_post_bnbburn({"spotBNBBurn": "true"}))["spotBNBBurn"] is True
        bought = await binance.create_order(SYMBOL, "market", "buy", 0.5)
        assert (bought["fee"]["currency"], bought["fee"]["cost"]) == ("BNB", 0.0375)


async def test_the_stream_tells_ccxt_of_a_triggered_stop(venue, binance):
    watching = asyncio.create_task(binance.watch_orders(SYMBOL))
    await aeventually(lambda: len(venue.exchange.user.listeners) == 2, within=60, what="the subscription is done")
    await binance.create_order(SYMBOL, "limit", "sell", 1, 58900, {"stopLossPrice": 59000, "clientOrderId": "mine"})
    assert _told(await watching) == ("mine", "open", 0.0)
    watching = asyncio.create_task(binance.watch_orders(SYMBOL))
    await asyncio.sleep(0)          # ccxt wakes only who waits
    trade_at(venue, "59000")
    assert _told(await watching) == ("mine", "open", 0.0)


async def test_an_edit_is_a_cancel_and_a_new_order(binance):
    created = await binance.create_order(SYMBOL, "limit", "buy", 1, 50000)
    edited = await binance.edit_order(created["id"], SYMBOL, "limit", "buy", 1, 49000)
    assert (edited["price"], edited["status"]) == (49000.0, "open")
    assert edited["id"] != created["id"]
    assert (await binance.fetch_order(created["id"], SYMBOL))["status"] == "canceled"


async def test_all_orders_of_a_market_are_cancelled_at_once(binance):
    for price in (50000, 49000):
        await binance.create_order(SYMBOL, "limit", "buy", 1, price)
    assert [order["status"] for order in await binance.cancel_all_orders(SYMBOL)] == ["canceled", "canceled"]


async def test_balances_say_what_is_locked(binance):
    await binance.create_order(SYMBOL, "limit", "buy", 2, 50000)
    balance = (await binance.fetch_balance())["USDT"]
    assert (balance["free"], balance["used"], balance["total"]) == (9_900_000.0, 100_000.0, 10_000_000.0)


async def test_the_market_is_seen_as_it_is(venue):
    venue.exchange.maker.start()
    async with connected(venue) as binance:
        book = await binance.fetch_order_book(SYMBOL)
        assert (len(book["bids"]), len(book["asks"])) == (8, 8)
        ticker = await binance.fetch_ticker(SYMBOL)
        assert (ticker["bid"], ticker["ask"]) == (book["bids"][0][0], book["asks"][0][0])
        assert set(await binance.fetch_bids_asks()) == {"BTC/USDT", "ETH/USDT"}
        asked = binance.milliseconds()
        assert asked - 1000 < await binance.fetch_time() < binance.milliseconds() + 1000


LIMIT = ("limit", "buy", 1, 50000)


REFUSALS = [
    ("no funds", lambda b: b.create_order(SYMBOL, "limit", "buy", 198, 50300), ccxt.InsufficientFunds, "insufficient balance"),
    ("a duplicate", lambda b: b.create_order(SYMBOL, *LIMIT, {"clientOrderId": "mine"}), ccxt.InvalidOrder, "Duplicate order sent."),
    ("too small", lambda b: b.create_order(SYMBOL, "limit", "buy", 0.00001, 50000), ccxt.BadRequest, "NOTIONAL"),
    ("off the lot", lambda b: b.private_post_order(raw(quantity="0.000001")), ccxt.InvalidOrder, "lot size"),
    ("off the tick", lambda b: b.private_post_order(raw(price="50000.001")), ccxt.InvalidOrder, "order price is invalid"),
    ("would take", lambda b: b.create_order(SYMBOL, "limit", "sell", 1, 49000, {"postOnly": True}), ccxt.OrderImmediatelyFillable, "immediately match"),
    ("a stop that would trigger", lambda b: b.create_order(SYMBOL, "limit", "sell", 1, 60000, {"stopLossPrice": 60500}), ccxt.OrderImmediatelyFillable, "trigger immediately"),
    ("a pair the wrong way round", lambda b: b.private_post_orderlist_oco({**PAIR, "abovePrice": "59500"}), ccxt.InvalidOrder, "relationship of the prices"),
    ("no such list", lambda b: b.private_get_orderlist({"orderListId": 99}), ccxt.OrderNotFound, "-2013"),
    ("no such order", lambda b: b.fetch_order("99", SYMBOL), ccxt.OrderNotFound, "-2013"),
    ("nothing to cancel", lambda b: b.cancel_order("99", SYMBOL), ccxt.OrderNotFound, "-2011"),
    ("no such market", lambda b: b.private_post_order(raw(symbol="NOSUCH")), ccxt.BadSymbol, "-1121"),
    ("too precise", lambda b: b.private_post_order(raw(quantity="1.0000000001")), ccxt.BadRequest, "-1111"),
    ("incomplete", lambda b: b.private_post_order(raw(timeInForce=None)), ccxt.BadRequest, "-1102"),
    ("stale", lambda b: stamped(b, -60_000).fetch_balance(), ccxt.InvalidNonce, "outside of the recvWindow"),
    ("ahead", lambda b: stamped(b, +60_000).fetch_balance(), ccxt.InvalidNonce, "ahead of the server's time"),
    ("a stranger", lambda b: known_as(b, "stranger").fetch_balance(), ccxt.AuthenticationError, "-2015"),
    ("another secret", lambda b: known_as(b, DEFAULT_API_KEY, "guess").fetch_balance(), ccxt.AuthenticationError, "-1022"),
]


@pytest.mark.parametrize(("reason", "asked", "error", "words"), REFUSALS, ids=[row[0] for row in REFUSALS])
async def test_errors_are_the_classes_that_ccxt_has_for_them(venue, reason, asked, error, words):
    async with connected(venue) as binance:
        await binance.load_markets()
        await binance.create_order(SYMBOL, *LIMIT, {"clientOrderId": "mine"})
        binance.options["hasAlreadyAuthenticatedSuccessfully"] = False     # afterwards, ccxt takes -2015 for a ban
        with pytest.raises(error) as refused:
            await asked(binance)
        assert type(refused.value) is error
        assert words in str(refused.value)


def raw(**others: str | None) -> dict[str, str]:
    terms = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "1", "price": "50000", **others}
    return {name: value for name, value in terms.items() if value is not None}


def stamped(binance: Any, offset_ms: int) -> Any:
    binance.nonce = lambda: binance.milliseconds() + offset_ms
    return binance


def known_as(binance: Any, key: str, secret: str = DEFAULT_API_SECRET) -> Any:
    binance.apiKey, binance.secret = key, secret
    return binance


async def test_too_many_requests_are_ccxts_ddos_protection():
    async with serve(SimulatedExchange(Settings(market_maker=False, weight_limit=100))) as served, connected(served) as binance:
        await binance.load_markets()
        await binance.fetch_orders(SYMBOL)
        with pytest.raises(ccxt.DDoSProtection, match="Too much request weight used"):
            await binance.fetch_tickers()


async def test_watch_orders_is_told_of_every_execution(venue, binance):
    watching = asyncio.create_task(binance.watch_orders(SYMBOL))
    await aeventually(lambda: len(venue.exchange.user.listeners) == 2, within=60, what="the subscription is done")
    created = await binance.create_order(SYMBOL, "limit", "buy", 2, 50000, {"clientOrderId": "mine"})
    seen = [_told(await watching)]
    for quantity in ("0.5", "1.5"):
        watching = asyncio.create_task(binance.watch_orders(SYMBOL))
        await asyncio.sleep(0)          # ccxt wakes only who waits
        fill(venue, created, quantity)
        seen.append(_told(await watching))
    assert seen == [("mine", "open", 0.0), ("mine", "open", 0.5), ("mine", "closed", 2.0)]


def _told(orders: list[dict[str, Any]]) -> tuple[str, str, float]:
    return orders[-1]["clientOrderId"], orders[-1]["status"], orders[-1]["filled"]


async def test_watch_my_trades_and_watch_balance_are_fed_by_the_same_stream(venue, binance):
    trades, balance = asyncio.create_task(binance.watch_my_trades(SYMBOL)), asyncio.create_task(binance.watch_balance())
    await aeventually(lambda: len(venue.exchange.user.listeners) == 2, within=60, what="the subscription is done")
    created = await binance.create_order(SYMBOL, "limit", "buy", 2, 50000)
    assert (await balance)["USDT"]["used"] == 100_000.0
    fill(venue, created, "0.5")
    told = (await trades)[-1]
    assert (told["order"], told["amount"], told["price"], told["takerOrMaker"], told["fee"]) == (
        created["id"], 0.5, 50000.0, "maker", {"currency": "BTC", "cost": 0.0005})


async def test_a_cancel_is_told_under_the_orders_own_name(venue, binance):
    created = await binance.create_order(SYMBOL, "limit", "buy", 2, 50000, {"clientOrderId": "mine"})
    watching = asyncio.create_task(binance.watch_orders(SYMBOL))
    await aeventually(lambda: len(venue.exchange.user.listeners) == 2, within=60, what="the subscription is done")
    await binance.cancel_order(created["id"], SYMBOL)
    assert _told(await watching) == ("mine", "canceled", 0.0)


async def test_a_dropped_stream_is_a_network_error_and_can_be_watched_again(venue, binance):
    for _ in range(2):
        watching = asyncio.create_task(binance.watch_orders(SYMBOL))
        await aeventually(lambda: len(venue.exchange.user.listeners) == 2, within=60, what="the subscription is done")
        async with binance.session.post(f"{venue.control}/faults", json={"do": "disconnect-stream"}) as response:
            assert response.status == 200
        with pytest.raises(ccxt.NetworkError):
            await watching
        await aeventually(lambda: len(venue.exchange.user.listeners) == 1, within=60, what="the venue noticed")
