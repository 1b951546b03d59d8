"""Contingent orders and lists of orders on the REST face: the venue's shapes, codes and texts. What becomes of them is in test_order_lists.py."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.unit.exchanges.simulated.client import BTC_USDT, T0, StoppedClock, a_venue, an_account, an_order, cases


@pytest.fixture
def clock():
    return StoppedClock()


@pytest.fixture
async def venue(clock):
    async with a_venue(clock) as client:
        yield client


OCO = {
    "symbol": "BTCUSDT", "side": "SELL", "quantity": "1", "listClientOrderId": "pair", "aboveType": "LIMIT_MAKER", "abovePrice": "61000",
    "aboveClientOrderId": "profit", "belowType": "STOP_LOSS_LIMIT", "belowStopPrice": "59000", "belowPrice": "58900", "belowTimeInForce": "GTC",
    "belowClientOrderId": "stop",
}
WORKING = {
    "symbol": "BTCUSDT", "listClientOrderId": "bracket", "workingType": "LIMIT", "workingSide": "BUY", "workingPrice": "60000", "workingQuantity": "1",
    "workingTimeInForce": "GTC", "workingClientOrderId": "entry",
}
OTO = {**WORKING, "pendingType": "LIMIT", "pendingSide": "SELL", "pendingPrice": "61000", "pendingQuantity": "1", "pendingTimeInForce": "GTC", "pendingClientOrderId": "exit"}
OTOCO = {
    **WORKING, "pendingSide": "SELL", "pendingQuantity": "1", "pendingAboveType": "TAKE_PROFIT", "pendingAboveStopPrice": "61000",
    "pendingAboveClientOrderId": "profit", "pendingBelowType": "STOP_LOSS", "pendingBelowTrailingDelta": "100", "pendingBelowClientOrderId": "stop",
}


def without(terms: dict[str, str], *names: str, **others: str) -> dict[str, str]:
    return {name: value for name, value in {**terms, **others}.items() if name not in names}


# ── Contingent orders ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

STOP = {"symbol": "BTCUSDT", "side": "SELL", "type": "STOP_LOSS_LIMIT", "timeInForce": "GTC", "quantity": "1", "price": "58900", "stopPrice": "59000"}


async def test_a_contingent_order_is_acknowledged_unless_more_is_asked_for(venue):
    assert set(await venue.call("POST", "/api/v3/order", **STOP)) == {"symbol", "orderId", "orderListId", "clientOrderId", "transactTime"}
    answer = await venue.call("POST", "/api/v3/order", **STOP, newOrderRespType="RESULT")
    assert (answer["status"], answer["stopPrice"], answer["workingTime"]) == ("NEW", "59000.00000000", -1)


async def test_a_contingent_order_works_once_its_price_has_been(venue, clock):
    await venue.call("POST", "/api/v3/order", **STOP, newClientOrderId="mine")
    waiting = await venue.call("GET", "/api/v3/order", symbol="BTCUSDT", origClientOrderId="mine")
    assert (waiting["isWorking"], waiting["workingTime"], waiting["stopPrice"], waiting["status"]) == (False, -1, "59000.00000000", "NEW")
    assert await venue.call("GET", "/api/v3/openOrders") == [waiting]
    clock.at += 5
    await venue.control("POST", "/market", {"price": {"symbol": "BTC/USDT", "price": "59000"}})
    working = await venue.call("GET", "/api/v3/order", symbol="BTCUSDT", origClientOrderId="mine")
    assert (working["isWorking"], working["time"], working["workingTime"], working["status"]) == (True, T0, T0 + 5, "NEW")
    assert (await venue.public("/api/v3/ticker/price", symbol="BTCUSDT"))["price"] == "59000.00000000"


async def test_an_order_that_was_seen_is_still_seen_when_it_is_triggered(clock):
    async with a_venue(clock, visibility_delay_ms=1000) as venue:
        await venue.call("POST", "/api/v3/order", **STOP, newClientOrderId="mine")
        assert await venue.call("GET", "/api/v3/openOrders") == []
        clock.at += 1000
        venue.exchange.engine.observe(BTC_USDT, Decimal(59000))
        assert [order["isWorking"] for order in await venue.call("GET", "/api/v3/openOrders")] == [True]


async def test_a_trailing_order_says_since_when_it_tracks(venue, clock):
    await venue.call("POST", "/api/v3/order", **STOP, trailingDelta="100", newClientOrderId="mine")
    waiting = await venue.call("GET", "/api/v3/order", symbol="BTCUSDT", origClientOrderId="mine")
    assert (waiting["trailingDelta"], waiting["trailingTime"]) == (100, -1)
    clock.at += 5
    venue.exchange.engine.observe(BTC_USDT, Decimal(59000))
    assert (await venue.call("GET", "/api/v3/order", symbol="BTCUSDT", origClientOrderId="mine"))["trailingTime"] == T0 + 5


async def test_cancel_replace_moves_a_stop(venue):
    await venue.call("POST", "/api/v3/order", **STOP, newClientOrderId="mine")
    answer = await venue.call(
        "POST", "/api/v3/order/cancelReplace", **without(STOP, stopPrice="59500"), cancelReplaceMode="STOP_ON_FAILURE", cancelOrigClientOrderId="mine",
        newClientOrderId="mine", newOrderRespType="RESULT")
    assert (answer["cancelResponse"]["status"], answer["newOrderResponse"]["stopPrice"]) == ("CANCELED", "59500.00000000")


async def test_cancel_replace_of_one_of_a_list_cancels_the_list(venue):
    await venue.call("POST", "/api/v3/orderList/oco", **OCO)
    answer = await venue.call("POST", "/api/v3/order/cancelReplace", **STOP, cancelReplaceMode="STOP_ON_FAILURE", cancelOrigClientOrderId="profit")
    assert (answer["cancelResponse"]["listOrderStatus"], answer["newOrderResponse"]["orderId"]) == ("ALL_DONE", 3)
    assert [order["orderId"] for order in await venue.call("GET", "/api/v3/openOrders")] == [3]


# ── Lists ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

async def test_an_oco_is_answered_with_the_list_and_both_orders(venue):
    answer = await venue.call("POST", "/api/v3/orderList/oco", **OCO)
    reports = answer.pop("orderReports")
    assert answer == {
        "orderListId": 1, "contingencyType": "OCO", "listStatusType": "EXEC_STARTED", "listOrderStatus": "EXECUTING", "listClientOrderId": "pair",
        "transactionTime": T0, "symbol": "BTCUSDT", "orders": [
            {"symbol": "BTCUSDT", "orderId": 1, "clientOrderId": "stop"}, {"symbol": "BTCUSDT", "orderId": 2, "clientOrderId": "profit"}],
    }
    assert [(one["orderListId"], one["type"], one["price"], one.get("stopPrice"), one["workingTime"], one["status"]) for one in reports] == [
        (1, "STOP_LOSS_LIMIT", "58900.00000000", "59000.00000000", -1, "NEW"), (1, "LIMIT_MAKER", "61000.00000000", None, T0, "NEW")]
    assert await venue.call("GET", "/api/v3/orderList", origClientOrderId="pair") == answer
    assert await venue.call("GET", "/api/v3/openOrderList") == [answer]


@pytest.mark.parametrize(("reason", "path", "terms", "reports"), cases(
    ("an OTO", "oto", OTO, [("entry", "NEW", "LIMIT"), ("exit", "PENDING_NEW", "LIMIT")]),
    ("an OTOCO", "otoco", OTOCO, [("entry", "NEW", "LIMIT"), ("stop", "PENDING_NEW", "STOP_LOSS"), ("profit", "PENDING_NEW", "TAKE_PROFIT")]),
))
async def test_what_is_pending_is_answered_as_pending(venue, reason, path, terms, reports):
    answer = await venue.call("POST", f"/api/v3/orderList/{path}", **terms)
    assert (answer["contingencyType"], answer["listClientOrderId"]) == ("OTO", "bracket")
    assert [(one["clientOrderId"], one["status"], one["type"]) for one in answer["orderReports"]] == reports
    venue.exchange.engine.place(an_account(99), an_order("SELL", "1", "60000"))
    assert [order["status"] for order in await venue.call("GET", "/api/v3/allOrders", symbol="BTCUSDT")] == ["FILLED", *["NEW"] * (len(reports) - 1)]
    trade, = await venue.call("GET", "/api/v3/myTrades", symbol="BTCUSDT")
    assert trade["orderListId"] == 1


@pytest.mark.parametrize(("reason", "path", "named"), cases(
    ("by the list's id", "/api/v3/orderList", {"orderListId": 1}),
    ("by the list's name", "/api/v3/orderList", {"listClientOrderId": "pair"}),
    ("by one of its orders", "/api/v3/order", {"origClientOrderId": "stop"}),
))
async def test_a_cancelled_list_is_answered_whole(venue, reason, path, named):
    await venue.call("POST", "/api/v3/orderList/oco", **OCO)
    answer = await venue.call("DELETE", path, symbol="BTCUSDT", newClientOrderId="away", **named)
    assert (answer["listStatusType"], answer["listOrderStatus"], answer["orderListId"]) == ("ALL_DONE", "ALL_DONE", 1)
    assert [(one["origClientOrderId"], one["clientOrderId"], one["status"]) for one in answer["orderReports"]] == [
        ("stop", "away", "CANCELED"), ("profit", "away", "CANCELED")]
    assert await venue.call("GET", "/api/v3/openOrderList") == []
    assert [one["listOrderStatus"] for one in await venue.call("GET", "/api/v3/allOrderList")] == ["ALL_DONE"]


async def test_all_open_orders_are_cancelled_with_their_lists(venue):
    await venue.call("POST", "/api/v3/orderList/oco", **OCO)
    await venue.place(newClientOrderId="single")
    single, pair = await venue.call("DELETE", "/api/v3/openOrders", symbol="BTCUSDT")
    assert (single["origClientOrderId"], pair["listClientOrderId"], len(pair["orderReports"])) == ("single", "pair", 2)


async def test_an_amended_leg_comes_with_its_list(venue):
    await venue.call("POST", "/api/v3/orderList/oto", **OTO)
    answer = await venue.call("PUT", "/api/v3/order/amend/keepPriority", symbol="BTCUSDT", origClientOrderId="exit", newQty="0.5", newClientOrderId="less")
    assert (answer["amendedOrder"]["status"], answer["amendedOrder"]["qty"], answer["amendedOrder"]["orderListId"]) == ("PENDING_NEW", "0.50000000", 1)
    assert answer["listStatus"] == {
        "orderListId": 1, "contingencyType": "OTO", "listOrderStatus": "EXECUTING", "listClientOrderId": "bracket", "symbol": "BTCUSDT", "orders": [
            {"symbol": "BTCUSDT", "orderId": 1, "clientOrderId": "entry"}, {"symbol": "BTCUSDT", "orderId": 2, "clientOrderId": "less"}],
    }


@pytest.mark.parametrize(("reason", "path", "terms", "code", "message"), cases(
    ("no type above", "oco", without(OCO, "aboveType"), -1102, "Mandatory parameter 'aboveType' was not sent, was empty/null, or malformed."),
    ("no stop price below", "oco", without(OCO, "belowStopPrice"), -1102, "Param 'belowStopPrice' or 'belowTrailingDelta' must be sent, but both were empty/null!"),
    ("no time in force below", "oco", without(OCO, "belowTimeInForce"), -1102, "Mandatory parameter 'belowTimeInForce' was not sent, was empty/null, or malformed."),
    ("a market order in a pair", "oco", without(OCO, "abovePrice", aboveType="MARKET"), -1158, "Order type not supported in OCO."),
    ("two stop losses", "oco", without(OCO, "abovePrice", aboveType="STOP_LOSS", aboveStopPrice="61000"), -1158, "Order type not supported in OCO."),
    ("two limits", "oco", without(OCO, "belowStopPrice", "belowTimeInForce", belowType="LIMIT_MAKER"), -1168, "At least one OCO order must be contingent."),
    ("a limit above to buy", "oco", without(OCO, side="BUY"), -1165, "A limit order in a buy OCO must be below."),
    ("a limit below to sell", "oco", without(OCO, "abovePrice", "belowStopPrice", "belowTimeInForce", aboveType="STOP_LOSS", aboveStopPrice="61000", belowType="LIMIT_MAKER"), -1166, "A limit order in a sell OCO must be above."),
    ("prices the wrong way round", "oco", without(OCO, abovePrice="59500"), -2010, "The relationship of the prices for the orders is not correct."),
    ("a pending pair the wrong way round", "otoco", without(OTOCO, "pendingBelowTrailingDelta", pendingBelowStopPrice="62000"), -2010, "The relationship of the prices for the orders is not correct."),
    ("a working stop", "oto", without(OTO, workingType="STOP_LOSS"), -1116, "Invalid orderType."),
    ("a pending order by its cost", "oto", without(OTO, pendingQuoteOrderQty="100"), -1106, "Parameter 'pendingQuoteOrderQty' sent when not required."),
    ("a name too long", "oco", without(OCO, listClientOrderId="x" * 37), -1100, r"Illegal characters found in parameter 'listClientOrderId'; legal range is '^[\.A-Z\:/a-z0-9_-]{1,36}$'."),
))
async def test_a_list_is_refused(venue, reason, path, terms, code, message):
    assert await venue.refused("POST", f"/api/v3/orderList/{path}", **terms) == (400, code, message)
    assert not venue.exchange.user.open


@pytest.mark.parametrize(("reason", "method", "asked", "code", "message"), cases(
    ("a cancel of no list", "DELETE", {"symbol": "BTCUSDT", "orderListId": 9}, -2011, "Unknown order list sent."),
    ("a cancel on another market", "DELETE", {"symbol": "ETHUSDT", "orderListId": 1}, -2011, "Unknown order list sent."),
    ("a cancel without a name", "DELETE", {"symbol": "BTCUSDT"}, -1102, "Param 'listClientOrderId' or 'orderListId' must be sent, but both were empty/null!"),
    ("a lookup of no list", "GET", {"origClientOrderId": "other"}, -2013, "Order list does not exist."),
    ("a lookup without a name", "GET", {}, -1102, "Param 'origClientOrderId' or 'orderListId' must be sent, but both were empty/null!"),
))
async def test_no_such_list(venue, reason, method, asked, code, message):
    await venue.call("POST", "/api/v3/orderList/oco", **OCO)
    assert await venue.refused(method, "/api/v3/orderList", **asked) == (400, code, message)


@pytest.mark.parametrize(("reason", "asked", "ids"), cases(
    ("the most recent, oldest first", {"limit": 2}, [2, 3]),
    ("from an id on", {"fromId": 2, "limit": 1}, [2]),
    ("from a time on", {"startTime": T0 + 1, "limit": 1}, [2]),
    ("all", {}, [1, 2, 3]),
))
async def test_all_lists_are_paged(venue, clock, reason, asked, ids):
    for _ in range(3):
        await venue.call("POST", "/api/v3/orderList/oco", **OCO)
        await venue.call("DELETE", "/api/v3/orderList", symbol="BTCUSDT", listClientOrderId="pair")
        clock.at += 1
    assert [one["orderListId"] for one in await venue.call("GET", "/api/v3/allOrderList", **asked)] == ids
