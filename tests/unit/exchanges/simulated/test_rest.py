"""The REST face, asked by a plain client: the venue's shapes, codes, texts and statuses. The real ccxt asks it in tests/contract."""

from __future__ import annotations

import hmac
from decimal import Decimal

import orjson
import pytest

from tests.unit.exchanges.simulated.client import T0, Client, StoppedClock, a_venue, an_account, an_order, cases

HOUR_MS = 3_600_000


@pytest.fixture
def clock():
    return StoppedClock()


@pytest.fixture
async def venue(clock):
    async with a_venue(clock) as client:
        yield client


LIMIT = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "1", "price": "50000"}
MARKET = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "1"}


def without(terms: dict[str, str], *names: str, **others: str) -> dict[str, str]:
    return {name: value for name, value in {**terms, **others}.items() if name not in names}


def sell_to(venue: Client, quantity: str, price: str) -> None:
    venue.exchange.engine.place(an_account(99), an_order("SELL", quantity, price))


# ── Orders ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

async def test_a_limit_order_is_answered_in_full(venue):
    assert await venue.call("POST", "/api/v3/order", **LIMIT, newClientOrderId="mine") == {
        "symbol": "BTCUSDT", "orderId": 1, "orderListId": -1, "clientOrderId": "mine", "transactTime": T0, "price": "50000.00000000",
        "origQty": "1.00000000", "executedQty": "0.00000000", "origQuoteOrderQty": "0.00000000", "cummulativeQuoteQty": "0.00000000",
        "status": "NEW", "timeInForce": "GTC", "type": "LIMIT", "side": "BUY", "workingTime": T0, "selfTradePreventionMode": "NONE", "fills": [],
    }


async def test_a_market_order_is_answered_with_its_fills_and_their_commissions(venue):
    sell_to(venue, "0.4", "50000")
    sell_to(venue, "1", "50010")
    answer = await venue.call("POST", "/api/v3/order", **MARKET)
    assert (answer["status"], answer["executedQty"], answer["cummulativeQuoteQty"], answer["price"]) == ("FILLED", "1.00000000", "50006.00000000", "0.00000000")
    assert answer["fills"] == [
        {"price": "50000.00000000", "qty": "0.40000000", "commission": "0.00040000", "commissionAsset": "BTC", "tradeId": 1},
        {"price": "50010.00000000", "qty": "0.60000000", "commission": "0.00060000", "commissionAsset": "BTC", "tradeId": 2},
    ]


@pytest.mark.parametrize(("reason", "shape", "fields"), cases(
    ("ACK is five fields", {"newOrderRespType": "ACK"}, {"symbol", "orderId", "orderListId", "clientOrderId", "transactTime"}),
    ("LIMIT_MAKER is acknowledged", {"type": "LIMIT_MAKER"}, {"symbol", "orderId", "orderListId", "clientOrderId", "transactTime"}),
))
async def test_shorter_answers(venue, reason, shape, fields):
    terms = {**LIMIT, **shape}
    assert set(await venue.call("POST", "/api/v3/order", **without(terms, *(["timeInForce"] if terms["type"] == "LIMIT_MAKER" else [])))) == fields


async def test_result_is_full_without_fills(venue):
    assert "fills" not in await venue.call("POST", "/api/v3/order", **LIMIT, newOrderRespType="RESULT")


async def test_an_expired_order_is_an_answer_and_says_why(venue):
    answer = await venue.call("POST", "/api/v3/order", **without(LIMIT, timeInForce="FOK"))
    assert (answer["status"], answer["expiryReason"]) == ("EXPIRED", "UNFILLED_FOK_ORDER_EXPIRED")


MANDATORY = "Mandatory parameter '{}' was not sent, was empty/null, or malformed."


@pytest.mark.parametrize(("reason", "terms", "code", "message"), cases(
    ("no symbol", without(LIMIT, "symbol"), -1102, MANDATORY.format("symbol")),
    ("no side", without(LIMIT, "side"), -1102, MANDATORY.format("side")),
    ("no price", without(LIMIT, "price"), -1102, MANDATORY.format("price")),
    ("no time in force", without(LIMIT, "timeInForce"), -1102, MANDATORY.format("timeInForce")),
    ("neither quantity", without(MARKET, "quantity"), -1102, "Param 'quantity' or 'quoteOrderQty' must be sent, but both were empty/null!"),
    ("both quantities", without(MARKET, quoteOrderQty="10"), -1128, "Combination of optional parameters invalid."),
    ("a price on a market order", without(MARKET, price="1"), -1106, "Parameter 'price' sent when not required."),
    ("a time in force on a market order", without(MARKET, timeInForce="GTC"), -1106, "Parameter 'timeInForce' sent when not required."),
    ("an empty price", without(LIMIT, price=""), -1105, "Parameter 'price' was empty."),
    ("a symbol that nobody has", without(LIMIT, symbol="NOSUCH"), -1121, "Invalid symbol."),
    ("a side that isn't", without(LIMIT, side="HOLD"), -1117, "Invalid side."),
    ("a type that isn't", without(LIMIT, type="HOPE"), -1116, "Invalid orderType."),
    ("a stop without its price", without(LIMIT, type="STOP_LOSS_LIMIT"), -1102, "Param 'stopPrice' or 'trailingDelta' must be sent, but both were empty/null!"),
    ("a stop price on a limit order", without(LIMIT, stopPrice="1"), -1106, "Parameter 'stopPrice' sent when not required."),
    ("a limit on a stop at the market", without(LIMIT, type="STOP_LOSS", stopPrice="70000"), -1106, "Parameter 'price' sent when not required."),
    ("a stop price between ticks", without(LIMIT, type="STOP_LOSS_LIMIT", stopPrice="70000.001"), -1013, "Filter failure: PRICE_FILTER"),
    ("a stop below the market to buy", without(LIMIT, type="STOP_LOSS_LIMIT", stopPrice="60000"), -2010, "Stop price would trigger immediately."),
    ("an iceberg", without(LIMIT, icebergQty="0.5"), -2010, "Iceberg orders are not supported for this symbol."),
    ("a time in force that isn't", without(LIMIT, timeInForce="GTX"), -1115, "Invalid timeInForce."),
    ("an exponent", without(LIMIT, quantity="1E-3"), -1100, r"Illegal characters found in parameter 'quantity'; legal range is '^([0-9]{1,20})(\.[0-9]{1,20})?$'."),
    ("a negative quantity", without(LIMIT, quantity="-1"), -1100, r"Illegal characters found in parameter 'quantity'; legal range is '^([0-9]{1,20})(\.[0-9]{1,20})?$'."),
    ("nine decimals", without(LIMIT, quantity="1.000000001"), -1111, "Parameter 'quantity' has too much precision."),
    ("a client id too long", without(LIMIT, newClientOrderId="x" * 37), -1100, r"Illegal characters found in parameter 'newClientOrderId'; legal range is '^[\.A-Z\:/a-z0-9_-]{1,36}$'."),
    ("a parameter that isn't", without(LIMIT, hope="1"), -1104, "Not all sent parameters were read; read '8' parameter(s) but was sent '9'."),
    ("a self-trade prevention that the market hasn't", without(LIMIT, selfTradePreventionMode="DECREMENT"), -1013, "This symbol does not allow the specified self-trade prevention mode."),
    ("a self-trade prevention that isn't", without(LIMIT, selfTradePreventionMode="HOPE"), -1130, "Data sent for parameter 'selfTradePreventionMode' is not valid."),
    ("a filter", without(LIMIT, price="50000.001"), -1013, "Filter failure: PRICE_FILTER"),
    ("no funds", without(LIMIT, quantity="150", price="65000"), -2010, "Account has insufficient balance for requested action."),
))
async def test_a_new_order_is_refused(reason, terms, code, message, clock):
    async with a_venue(clock, balances={"USDT": Decimal(9_000_000)}) as venue:
        assert await venue.refused("POST", "/api/v3/order", **terms) == (400, code, message)
        assert not venue.exchange.user.orders["BTCUSDT"]


async def test_decimals_may_end_in_zeros(venue):
    assert (await venue.place(quantity="1.000000000000", price="50000.000000000"))["origQty"] == "1.00000000"


async def test_a_duplicate_is_refused_while_the_first_is_open(venue):
    await venue.place(newClientOrderId="mine")
    assert await venue.refused("POST", "/api/v3/order", **LIMIT, newClientOrderId="mine") == (400, -2010, "Duplicate order sent.")
    await venue.call("DELETE", "/api/v3/order", symbol="BTCUSDT", origClientOrderId="mine")
    await venue.place(price="40000", newClientOrderId="mine")
    assert (await venue.call("GET", "/api/v3/order", symbol="BTCUSDT", origClientOrderId="mine"))["price"] == "40000.00000000", "the latest"


async def test_a_test_order_is_checked_and_forgotten(venue):
    assert await venue.call("POST", "/api/v3/order/test", **LIMIT) == {}
    assert await venue.refused("POST", "/api/v3/order/test", **without(LIMIT, price="0.001")) == (400, -1013, "Filter failure: PRICE_FILTER")
    assert not venue.exchange.user.orders["BTCUSDT"]


async def test_a_cancel_is_named_by_itself_and_names_the_order(venue):
    await venue.place(newClientOrderId="mine")
    answer = await venue.call("DELETE", "/api/v3/order", symbol="BTCUSDT", origClientOrderId="mine", newClientOrderId="away")
    assert (answer["origClientOrderId"], answer["clientOrderId"], answer["status"], answer["transactTime"]) == ("mine", "away", "CANCELED", T0)
    assert await venue.refused("DELETE", "/api/v3/order", symbol="BTCUSDT", origClientOrderId="mine") == (400, -2011, "Unknown order sent.")


@pytest.mark.parametrize(("reason", "named", "code", "message"), cases(
    ("neither id", {}, -1102, "Param 'origClientOrderId' or 'orderId' must be sent, but both were empty/null!"),
    ("no such order", {"orderId": 9}, -2011, "Unknown order sent."),
    ("another's client id", {"orderId": 1, "origClientOrderId": "other"}, -2011, "Unknown order sent."),
    ("of another symbol", {"symbol": "ETHUSDT", "orderId": 1}, -2011, "Unknown order sent."),
    ("not as it should be", {"orderId": 1, "cancelRestrictions": "ONLY_PARTIALLY_FILLED"}, -2011, "Order was not canceled due to cancel restrictions."),
    ("a restriction that isn't", {"orderId": 1, "cancelRestrictions": "ONLY_MINE"}, -1145, "Invalid cancelRestrictions"),
))
async def test_a_cancel_is_refused(venue, reason, named, code, message):
    await venue.place(newClientOrderId="mine")
    assert await venue.refused("DELETE", "/api/v3/order", **{"symbol": "BTCUSDT", **named}) == (400, code, message)
    assert len(venue.exchange.user.open) == 1


async def test_all_open_orders_of_a_symbol_are_cancelled(venue):
    for price in ("50000", "50001"):
        await venue.place(price=price)
    await venue.place(symbol="ETHUSDT", price="3000")
    assert [answer["orderId"] for answer in await venue.call("DELETE", "/api/v3/openOrders", symbol="BTCUSDT")] == [1, 2]
    assert await venue.refused("DELETE", "/api/v3/openOrders", symbol="BTCUSDT") == (400, -2011, "Unknown order sent.")
    assert len(venue.exchange.user.open) == 1


async def test_cancel_replace_does_both(venue):
    await venue.place(newClientOrderId="mine")
    answer = await venue.call(
        "POST", "/api/v3/order/cancelReplace", **without(LIMIT, price="49000"), cancelReplaceMode="STOP_ON_FAILURE", cancelOrigClientOrderId="mine",
        newClientOrderId="mine")
    assert (answer["cancelResult"], answer["newOrderResult"]) == ("SUCCESS", "SUCCESS")
    assert (answer["cancelResponse"]["status"], answer["newOrderResponse"]["status"], answer["newOrderResponse"]["orderId"]) == ("CANCELED", "NEW", 2)


@pytest.mark.parametrize(("reason", "asked", "status", "code", "results"), cases(
    ("the cancel fails, and it stops", {"cancelOrderId": 9}, 400, -2022, ("FAILURE", "NOT_ATTEMPTED")),
    ("the cancel fails, and it goes on", {"cancelOrderId": 9, "cancelReplaceMode": "ALLOW_FAILURE"}, 409, -2021, ("FAILURE", "SUCCESS")),
    ("the order fails, and the old one is gone", {"cancelOrderId": 1, "quantity": "199"}, 409, -2021, ("SUCCESS", "FAILURE")),
    ("both fail", {"cancelOrderId": 9, "quantity": "199", "cancelReplaceMode": "ALLOW_FAILURE"}, 400, -2022, ("FAILURE", "FAILURE")),
))
async def test_cancel_replace_says_which_half_failed(reason, asked, status, code, results, clock):
    async with a_venue(clock, balances={"USDT": Decimal(9_000_000)}) as venue:
        await venue.place()
        answered, document = await venue.attempt("POST", "/api/v3/order/cancelReplace", **{**LIMIT, "cancelReplaceMode": "STOP_ON_FAILURE", **asked})
        assert (answered, document["code"]) == (status, code)
        assert (document["data"]["cancelResult"], document["data"]["newOrderResult"]) == results


async def test_an_amended_order_says_what_it_is_now(venue):
    await venue.place(quantity="2", newClientOrderId="mine")
    answer = await venue.call("PUT", "/api/v3/order/amend/keepPriority", symbol="BTCUSDT", origClientOrderId="mine", newClientOrderId="mine", newQty="1.5")
    assert (answer["transactTime"], answer["amendedOrder"]["qty"], answer["amendedOrder"]["clientOrderId"]) == (T0, "1.50000000", "mine")


# ── Lookups ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

async def test_an_order_is_looked_up_by_either_id(venue):
    await venue.place(newClientOrderId="mine")
    by_id = await venue.call("GET", "/api/v3/order", symbol="BTCUSDT", orderId=1)
    assert by_id == await venue.call("GET", "/api/v3/order", symbol="BTCUSDT", origClientOrderId="mine")
    assert (by_id["time"], by_id["updateTime"], by_id["isWorking"], by_id["stopPrice"]) == (T0, T0, True, "0.00000000")


@pytest.mark.parametrize(("reason", "named", "code", "message"), cases(
    ("no such order", {"orderId": 9}, -2013, "Order does not exist."),
    ("no such client id", {"origClientOrderId": "other"}, -2013, "Order does not exist."),
    ("of another symbol", {"symbol": "ETHUSDT", "orderId": 1}, -2013, "Order does not exist."),
    ("another's client id", {"orderId": 1, "origClientOrderId": "other"}, -2039, "Client order ID is not correct for this order ID."),
    ("neither id", {}, -1102, "Param 'origClientOrderId' or 'orderId' must be sent, but both were empty/null!"),
))
async def test_a_lookup_finds_nothing(venue, reason, named, code, message):
    await venue.place(newClientOrderId="mine")
    assert await venue.refused("GET", "/api/v3/order", **{"symbol": "BTCUSDT", **named}) == (400, code, message)


async def test_another_accounts_order_is_not_there(venue):
    venue.exchange.open_account("other-key", "other-secret")
    await venue.place(newClientOrderId="mine")
    other = Client(venue.served, venue.session, "other-key", "other-secret")
    assert await other.refused("GET", "/api/v3/order", symbol="BTCUSDT", origClientOrderId="mine") == (400, -2013, "Order does not exist.")
    assert await other.call("GET", "/api/v3/openOrders") == []


async def test_open_orders_of_all_symbols_or_of_one(venue):
    await venue.place()
    await venue.place(symbol="ETHUSDT", price="3000")
    await venue.place(price="50001", timeInForce="IOC")
    assert [order["orderId"] for order in await venue.call("GET", "/api/v3/openOrders")] == [1, 2]
    assert [order["orderId"] for order in await venue.call("GET", "/api/v3/openOrders", symbol="ETHUSDT")] == [2]


@pytest.mark.parametrize(("reason", "asked", "ids"), cases(
    ("the most recent, oldest first", {"limit": 2}, [4, 5]),
    ("from an id on", {"orderId": 2, "limit": 2}, [2, 3]),
    ("from a time on, the oldest", {"startTime": T0 + HOUR_MS, "limit": 2}, [2, 3]),
    ("up to a time, the most recent", {"endTime": T0 + 3 * HOUR_MS, "limit": 2}, [3, 4]),
    ("between times, edges included", {"startTime": T0 + HOUR_MS, "endTime": T0 + 2 * HOUR_MS}, [2, 3]),
    ("all", {}, [1, 2, 3, 4, 5]),
))
async def test_all_orders_are_paged(venue, clock, reason, asked, ids):
    for number in range(5):
        await venue.place(price=f"{50000 + number}", **({"timeInForce": "IOC"} if number == 2 else {}))
        clock.at += HOUR_MS
    assert [order["orderId"] for order in await venue.call("GET", "/api/v3/allOrders", symbol="BTCUSDT", **asked)] == ids


@pytest.mark.parametrize(("reason", "asked", "ids"), cases(
    ("the most recent, oldest first", {"limit": 2}, [3, 4]),
    ("from an id on", {"fromId": 2, "limit": 2}, [2, 3]),
    ("of one order", {"orderId": 5}, [1, 2, 3]),
    ("of one order from an id on", {"orderId": 5, "fromId": 2}, [2, 3]),
    ("from a time on", {"startTime": T0 + 1}, [4]),
    ("up to a time", {"endTime": T0}, [1, 2, 3]),
))
async def test_trades_are_paged(venue, clock, reason, asked, ids):
    for price in ("50000", "50001", "50002", "50003"):
        sell_to(venue, "1", price)
    await venue.place(quantity="3", price="50002")
    clock.at += 1
    await venue.place(quantity="1", price="50003")
    assert [trade["id"] for trade in await venue.call("GET", "/api/v3/myTrades", symbol="BTCUSDT", **asked)] == ids


async def test_a_trade_is_told_as_its_account_saw_it(venue):
    await venue.place(newClientOrderId="mine")
    venue.exchange.engine.fill(venue.exchange.taker, venue.exchange.user.open[1], Decimal("0.25"))
    assert await venue.call("GET", "/api/v3/myTrades", symbol="BTCUSDT") == [{
        "symbol": "BTCUSDT", "id": 1, "orderId": 1, "orderListId": -1, "price": "50000.00000000", "qty": "0.25000000", "quoteQty": "12500.00000000",
        "commission": "0.00025000", "commissionAsset": "BTC", "time": T0, "isBuyer": True, "isMaker": True, "isBestMatch": True,
    }]


@pytest.mark.parametrize(("reason", "path", "asked", "code"), cases(
    ("orders of more than a day", "/api/v3/allOrders", {"startTime": T0, "endTime": T0 + 24 * HOUR_MS + 1}, -1127),
    ("trades of more than a day", "/api/v3/myTrades", {"startTime": T0, "endTime": T0 + 24 * HOUR_MS + 1}, -1127),
    ("trades by id and time", "/api/v3/myTrades", {"fromId": 1, "startTime": T0}, -1128),
    ("trades by order and time", "/api/v3/myTrades", {"orderId": 1, "endTime": T0}, -1128),
))
async def test_a_listing_is_refused(venue, reason, path, asked, code):
    assert (await venue.refused("GET", path, symbol="BTCUSDT", **asked))[:2] == (400, code)


async def test_the_account_has_a_uid_that_follows_from_its_key_and_tells_what_is_locked(venue):
    await venue.place(quantity="2")
    account = await venue.call("GET", "/api/v3/account", omitZeroBalances="true")
    async with a_venue() as restarted:
        assert account["uid"] == restarted.exchange.user.uid
    assert {balance["asset"]: (balance["free"], balance["locked"]) for balance in account["balances"]}["USDT"] == ("9900000.00000000", "100000.00000000")
    assert (account["accountType"], account["canTrade"], account["commissionRates"]["taker"]) == ("SPOT", True, "0.00100000")


# ── Public data ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

async def test_the_clock_and_the_markets_are_public(venue):
    assert await venue.public("/api/v3/ping") == {}
    assert await venue.public("/api/v3/time") == {"serverTime": T0}
    info = await venue.public("/api/v3/exchangeInfo")
    assert [market["symbol"] for market in info["symbols"]] == ["BTCUSDT", "ETHUSDT"]
    assert info["rateLimits"] == [
        {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 6000},
        {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": 10_000},
        {"rateLimitType": "ORDERS", "interval": "DAY", "intervalNum": 1, "limit": 2_000_000},
    ]
    assert {one["filterType"] for one in info["symbols"][0]["filters"]} == {
        "PRICE_FILTER", "LOT_SIZE", "MARKET_LOT_SIZE", "NOTIONAL", "TRAILING_DELTA", "PERCENT_PRICE_BY_SIDE", "MAX_NUM_ORDERS", "MAX_NUM_ALGO_ORDERS",
        "MAX_NUM_ORDER_LISTS"}


async def test_tickers_and_depth_are_those_of_the_book(venue):
    await venue.place(quantity="2")
    await venue.place(quantity="1", price="49999")
    sell_to(venue, "0.5", "50001")
    await venue.place(quantity="0.1", price="50001")
    best = {"symbol": "BTCUSDT", "bidPrice": "50000.00000000", "bidQty": "2.00000000", "askPrice": "50001.00000000", "askQty": "0.40000000"}
    assert await venue.public("/api/v3/ticker/bookTicker", symbol="BTCUSDT") == best
    assert best in await venue.public("/api/v3/ticker/bookTicker")
    assert await venue.public("/api/v3/ticker/price", symbol="BTCUSDT") == {"symbol": "BTCUSDT", "price": "50001.00000000"}
    depth = await venue.public("/api/v3/depth", symbol="BTCUSDT", limit="1")
    assert (depth["bids"], depth["asks"]) == ([["50000.00000000", "2.00000000"]], [["50001.00000000", "0.40000000"]])
    day = await venue.public("/api/v3/ticker/24hr", symbols=orjson.dumps(["BTCUSDT"]).decode())
    assert (day[0]["lastPrice"], day[0]["volume"], day[0]["count"]) == ("50001.00000000", "0.10000000", 1)


async def test_public_data_of_no_market(venue):
    assert await venue.public("/api/v3/depth", symbol="NOSUCH") == {"code": -1121, "msg": "Invalid symbol."}
    assert await venue.public("/api/v3/ticker/price", symbols="BTCUSDT") == {"code": -1130, "msg": "Data sent for parameter 'symbols' is not valid."}


# ── The way of a request ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

async def test_parameters_may_be_in_the_query_the_form_or_both(venue):
    query = venue.signed(**LIMIT, newClientOrderId="by-query")
    async with venue.ask("POST", "/api/v3/order", query) as response:
        assert (await response.json())["clientOrderId"] == "by-query"
    query, form = "symbol=BTCUSDT&side=BUY&price=1", f"type=LIMIT&timeInForce=GTC&quantity=1&price=50000&timestamp={T0}"
    signature = hmac.digest(venue.secret.encode(), f"{query}{form}".encode(), "sha256").hex()
    async with venue.ask("POST", "/api/v3/order", query.replace("price=1", "price=50000"), f"{form}&signature={signature}") as response:
        assert (await response.json())["code"] == -1022, "both are signed"
    async with venue.ask("POST", "/api/v3/order", query, f"{form}&signature={signature}") as response:
        assert (await response.json())["msg"] == "Filter failure: NOTIONAL", "the query's price wins"


async def test_a_parameter_sent_twice_is_refused(venue):
    async with venue.ask("GET", "/api/v3/order", venue.signed(symbol="BTCUSDT") + "&symbol=ETHUSDT") as response:
        assert await response.json() == {"code": -1101, "msg": "Duplicate values for parameter 'symbol'."}


async def test_a_path_that_isnt_is_404(venue):
    async with venue.ask("GET", "/api/v3/nothing") as response:
        assert response.status == 404


async def test_every_answer_says_the_weight_used_and_too_much_is_429(clock):
    async with a_venue(clock, weight_limit=8) as venue:
        async with venue.ask("GET", "/api/v3/openOrders", venue.signed(symbol="BTCUSDT")) as response:
            assert (response.status, response.headers["X-MBX-USED-WEIGHT-1M"]) == (200, "6")
        async with venue.ask("GET", "/api/v3/order", venue.signed(symbol="BTCUSDT", orderId=1)) as response:
            assert (response.status, response.headers["Retry-After"], (await response.json())["code"]) == (429, str(60 - T0 // 1000 % 60), -1003)
            assert response.headers["X-MBX-USED-WEIGHT-1M"] == "10"


async def test_unfilled_orders_are_limited_and_those_that_fill_are_counted_back(clock):
    async with a_venue(clock, order_limit=2) as venue:
        await venue.place()
        await venue.place(price="50001")
        clock.at += 3000
        async with venue.ask("POST", "/api/v3/order", body=venue.signed(**LIMIT)) as response:
            assert (response.status, response.headers["Retry-After"]) == (429, "7")
            assert await response.json() == {"code": -1015, "msg": "Too many new orders; current limit is 2 orders per 10 SECOND."}
        venue.exchange.engine.fill(venue.exchange.taker, venue.exchange.user.open[1], Decimal("0.25"))
        venue.exchange.engine.fill(venue.exchange.taker, venue.exchange.user.open[1], Decimal("0.25"))
        assert [limit["count"] for limit in await venue.call("GET", "/api/v3/rateLimit/order")] == [1, 1]
        await venue.place()
        clock.at += 7000
        assert [limit["count"] for limit in await venue.call("GET", "/api/v3/rateLimit/order")] == [0, 2]


async def test_a_prevented_trade_is_told_by_both_orders_and_looked_up(venue):
    await venue.place(quantity="2")
    answer = await venue.place("SELL", "1", newOrderRespType="FULL", selfTradePreventionMode="EXPIRE_BOTH")
    assert (answer["status"], answer["preventedQuantity"], answer["selfTradePreventionMode"]) == ("EXPIRED_IN_MATCH", "1.00000000", "EXPIRE_BOTH")
    quantities = {"makerPreventedQuantity": "2.00000000", "takerPreventedQuantity": "1.00000000"}
    assert answer["preventedMatches"] == [{"preventedMatchId": 0, "makerOrderId": 1, "price": "50000.00000000", **quantities}]
    maker = await venue.call("GET", "/api/v3/order", symbol="BTCUSDT", orderId=1)
    assert (maker["status"], maker["preventedMatchId"], maker["preventedQuantity"]) == ("EXPIRED_IN_MATCH", 0, "2.00000000")
    match, = await venue.call("GET", "/api/v3/myPreventedMatches", symbol="BTCUSDT", orderId=2)
    assert match == {
        "symbol": "BTCUSDT", "preventedMatchId": 0, "takerOrderId": 2, "makerSymbol": "BTCUSDT", "makerOrderId": 1, "tradeGroupId": -1,
        "selfTradePreventionMode": "EXPIRE_BOTH", "price": "50000.00000000", "transactTime": T0, **quantities}


async def test_commissions_are_taken_in_bnb_once_the_account_says_so(clock):
    async with a_venue(clock, symbols=["BTC/USDT", "BNB/BTC"]) as venue:
        assert await venue.call("POST", "/sapi/v1/bnbBurn", spotBNBBurn="true") == {"spotBNBBurn": True, "interestBNBBurn": False}
        sell_to(venue, "1", "60000")
        assert [(fill["commission"], fill["commissionAsset"]) for fill in (await venue.place(price="60000"))["fills"]] == [("0.07500000", "BNB")]
        assert (await venue.call("POST", "/sapi/v1/bnbBurn", spotBNBBurn="false"))["spotBNBBurn"] is False


async def test_a_stale_request_is_refused_with_the_venues_words(venue, clock):
    query = venue.signed(**LIMIT, recvWindow=3000)
    clock.at += 3001
    async with venue.ask("POST", "/api/v3/order", body=query) as response:
        assert (response.status, await response.json()) == (400, {"code": -1021, "msg": "Timestamp for this request is outside of the recvWindow."})


async def test_who_can_not_be_known_is_401(venue):
    async with venue.ask("GET", "/api/v3/account", venue.signed(), **{"X-MBX-APIKEY": "stranger"}) as response:
        assert (response.status, (await response.json())["code"]) == (401, -2015)
