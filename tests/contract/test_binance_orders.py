"""What Binance spot can do beyond plain orders, through the adapter: triggers, trailing stops, amends, order lists, balances."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from exchange_kernel.api import AmendQuantity
from exchange_kernel.core.answers import (
    Accepted,
    Balance,
    Duplicate,
    Found,
    GroupAccepted,
    GroupFound,
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
from exchange_kernel.core.venue import GroupLeg, GroupRequest, OrderRequest
from exchange_kernel.exchanges.ccxt.row import Row
from exchange_kernel.exchanges.port import OrderRef, OrderUpdate
from tests.contract import test_rows as rows
from tests.contract.fake_venue import Answer, Received, Socket, an_order, drops, error, holds, says, submitted
from tests.contract.test_ccxt_adapter import CANCEL, GARBAGE, ID, LOOKUP, ORDER, REF, Gate, a_request, connected

AMEND = ("PUT", "/api/v3/order/amend/keepPriority")
LIST = ("GET", "/api/v3/orderList")


def a_stop(**changes: Any) -> OrderRequest:
    return a_request(**{"side": "Sell", "type": "StopMarket", "price": None, "time_in_force": None, "trigger_price": Decimal(48000), "trigger_price_type": "Last",
                        **changes})


def a_trail(**changes: Any) -> OrderRequest:
    return a_stop(**{"type": "TrailingStop", "trigger_price": None, "trailing_offset": Decimal(250), "trailing_unit": "BasisPoints", **changes})


# ── Orders that wait for a price ────────────────────────────────────────────────────────────────────────────────────────────────────────────

@pytest.mark.parametrize(("request_", "written", "absent", "reason"), [
    (a_stop(), {"type": "STOP_LOSS", "stopPrice": "48000", "quantity": "1"}, {"price", "timeInForce", "trailingDelta"}, "a stop at the market"),
    (a_stop(type="StopLimit", price=Decimal("47900.001"), time_in_force="GTC"), {"type": "STOP_LOSS_LIMIT", "stopPrice": "48000", "price": "47900.01",
                                                                             "timeInForce": "GTC"}, {"trailingDelta"}, "a stop with a limit, rounded its way"),
    (a_stop(type="StopLimit", price=Decimal(47900), time_in_force="IOC"), {"timeInForce": "IOC"}, set(), "time in force as asked"),
    (a_stop(type="TakeProfitMarket", trigger_price=Decimal(52000)), {"type": "TAKE_PROFIT", "stopPrice": "52000"}, {"price", "timeInForce"}, "a profit"),
    (a_stop(type="TakeProfitLimit", side="Buy", trigger_price=Decimal(48000), price=Decimal("48000.019"), time_in_force=None),
     {"type": "TAKE_PROFIT_LIMIT", "side": "BUY", "price": "48000.01", "timeInForce": "GTC"}, set(), "and with a limit"),
    (a_stop(trigger_price=Decimal("48000.016")), {"stopPrice": "48000.02"}, set(), "a trigger goes to the nearest step"),
    (a_trail(), {"type": "STOP_LOSS", "trailingDelta": "250"}, {"stopPrice", "price"}, "follows the market from the start"),
    (a_trail(trigger_price=Decimal(53000)), {"type": "TAKE_PROFIT", "trailingDelta": "250", "stopPrice": "53000"}, {"price"}, "a sale follows from above on"),
    (a_trail(side="Buy", trigger_price=Decimal(47000)), {"type": "TAKE_PROFIT", "side": "BUY", "stopPrice": "47000"}, set(), "a purchase from below on"),
    (a_trail(trailing_offset=Decimal("1E+2")), {"trailingDelta": "100"}, set(), "digits, never an exponent"),
], ids=lambda value: value if isinstance(value, str) else "")
async def test_an_order_that_waits_is_written_as_the_venue_takes_it(request_: OrderRequest, written: dict[str, str], absent: set[str], reason: str) -> None:
    async with connected() as (exchange, venue):
        venue.on(*ORDER, submitted())
        outcome = await exchange.submit(request_, Gate())
    assert isinstance(outcome, Accepted)
    [sent] = venue.calls(*ORDER)
    assert written.items() <= sent.params.items(), reason
    assert not absent & sent.params.keys(), reason


@pytest.mark.proves("F7")
@pytest.mark.parametrize(("request_", "reason"), [
    (a_stop(trigger_price=None), "a stop without its trigger is a market order"),
    (a_request(trigger_price=Decimal(48000)), "a limit order would not wait"),
    (a_stop(trigger_price_type="Mark"), "another price than the one that was meant"),
    (a_stop(trigger_price=Decimal("0.001")), "nothing is left of the trigger"),
    (a_stop(price=Decimal(47000)), "the limit would be lost"),
    (a_stop(type="StopLimit", price=Decimal(47000), time_in_force="GTC", post_only=True), "the venue's waiting orders may take"),
    (a_trail(trailing_offset=None), "does not follow"),
    (a_trail(trailing_unit="Price"), "another unit"),
    (a_trail(trailing_offset=Decimal("2.5")), "half a basis point"),
    (a_stop(trailing_offset=Decimal(10), trailing_unit="BasisPoints"), "a fixed stop would follow"),
    (a_stop(position_side="Long"), "spot has no positions"),
], ids=lambda value: value if isinstance(value, str) else "")
async def test_an_order_that_would_wait_for_something_else_is_not_sent(request_: OrderRequest, reason: str) -> None:
    async with connected() as (exchange, venue):
        venue.on(*ORDER, submitted())
        assert isinstance(await exchange.submit(request_, Gate()), NotSent), reason
        assert not venue.calls(*ORDER)


@pytest.mark.proves("rule 1")
@pytest.mark.parametrize("words", ["Order would trigger immediately.", "Stop price would trigger immediately.", "Stop loss orders are not supported for this symbol.",
                                   "Trailing stop orders are not supported for this symbol."])
async def test_a_trigger_that_the_market_has_passed_is_refused_and_makes_no_order(words: str) -> None:
    async with connected() as (exchange, venue):
        venue.on(*ORDER, error(400, -2010, words))
        assert await exchange.submit(a_stop(), Gate()) == Refused("-2010", words.rstrip("."))


WAITS: dict[str, Any] = {"clientOrderId": ID, "type": "STOP_LOSS_LIMIT", "side": "SELL", "stopPrice": "48000.00000000", "isWorking": False, "workingTime": -1}


@pytest.mark.proves("F45")
@pytest.mark.parametrize(("changes", "type_", "trigger_price", "trigger_time_ms", "reason"), [
    (WAITS, "StopLimit", "48000", None, "it waits"),
    ({**WAITS, "isWorking": True, "workingTime": 1_800_000_000_700}, "StopLimit", "48000", 1_800_000_000_700, "it is on the book"),
    ({**WAITS, "isWorking": True, "updateTime": 1_800_000_000_800}, "StopLimit", "48000", 1_800_000_000_800, "working, and nobody says since when"),
    ({**WAITS, "status": "CANCELED"}, "StopLimit", "48000", None, "cancelled before its time"),
    ({"clientOrderId": ID}, "Limit", None, None, "a plain order has no trigger, whatever its working time"),
    ({**WAITS, "type": "STOP_LOSS", "trailingDelta": 250, "trailingTime": -1, "stopPrice": "0.00000000"}, "TrailingStop", None, None, "follows from the start"),
    ({**WAITS, "type": "TAKE_PROFIT", "trailingDelta": 250, "stopPrice": "53000.0"}, "TrailingStop", "53000", None, "follows from there on"),
    ({**WAITS, "type": "STOP_LOSS", "trailingDelta": 0}, "StopMarket", "48000", None, "a delta of nothing is none"),
    ({**WAITS, "trailingDelta": 250}, "StopLimit", "48000", None, "somebody else's: a type that we don't have"),
], ids=lambda value: value if isinstance(value, str) else "")
async def test_whether_a_trigger_fired_is_read_from_the_order(changes: dict[str, Any], type_: str, trigger_price: str | None, trigger_time_ms: int | None,
                                                              reason: str) -> None:
    async with connected() as (exchange, venue):
        venue.on(*LOOKUP, says(200, an_order(**changes)))
        found = await exchange.lookup(REF)
    assert isinstance(found, Found)
    order = found.order
    assert (order.type, order.trigger_price, order.trigger_time_ms) == (type_, None if trigger_price is None else Decimal(trigger_price), trigger_time_ms), reason


@pytest.mark.proves("F37")
async def test_orders_that_wait_are_in_the_lists_of_all_orders() -> None:
    async with connected() as (exchange, venue):
        for path in ("openOrders", "allOrders"):
            venue.on("GET", f"/api/v3/{path}", says(200, [an_order(**WAITS)]), says(200, []))
        for listing in (await exchange.open_orders(), await exchange.orders("BTC/USDT", 0)):
            assert isinstance(listing, Listing)
            assert [(order.type, order.trigger_price, order.trigger_time_ms) for order in listing.items] == [("StopLimit", Decimal(48000), None)]


# ── Amend ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

def amended(**changes: Any) -> Answer:
    """What a well-behaved venue says to PUT /api/v3/order/amend/keepPriority."""

    async def answer(request: Received, socket: Socket) -> None:
        params = request.params
        order = {
            "symbol": params["symbol"], "orderId": 28, "orderListId": -1, "origClientOrderId": params["origClientOrderId"],
            "clientOrderId": params.get("newClientOrderId", "made-up"), "price": "50000.00000000", "qty": params["newQty"], "executedQty": "0.10000000",
            "preventedQty": "0.00000000", "quoteOrderQty": "0.00000000", "cumulativeQuoteQty": "5000.00000000", "status": "PARTIALLY_FILLED",
            "timeInForce": "GTC", "type": "LIMIT", "side": "BUY", "workingTime": 1_800_000_000_000, "selfTradePreventionMode": "NONE", **changes,
        }
        await says(200, {"transactTime": 1_800_000_000_900, "executionId": 75, "amendedOrder": order})(request, socket)

    return answer


@pytest.mark.proves("rule 10")
async def test_an_amended_order_keeps_the_id_we_know_it_by() -> None:
    async with connected() as (exchange, venue):
        venue.on(*AMEND, amended())
        gate = Gate()
        outcome = await exchange.amend(OrderRef("BTC/USDT", ID, "28"), a_request(quantity=Decimal("0.4")), gate)
    [sent] = venue.calls(*AMEND)
    assert (sent.params["symbol"], sent.params["origClientOrderId"], sent.params["newClientOrderId"], sent.params["orderId"], sent.params["newQty"]) == (
        "BTCUSDT", ID, ID, "28", "0.4")
    assert (sent.params["timestamp"], sent.params["recvWindow"]) == (str(gate.stamped), "3000")
    assert isinstance(outcome, Accepted)
    order = outcome.order
    assert (order.client_order_id, order.exchange_order_id, order.quantity, order.filled_quantity, order.filled_quote_quantity, order.price, order.status) == (
        ID, "28", Decimal("0.4"), Decimal("0.1"), Decimal(5000), Decimal(50000), OrderStatus.OPEN)
    assert order.update_time_ms == 1_800_000_000_900


@pytest.mark.proves("rule 1", "rule 10")
@pytest.mark.parametrize(("answer", "outcome", "reason"), [
    (error(400, -2038, "The requested action would change no state; rejecting"), Refused("-2038", "The requested action would change no state; rejecting"), ""),
    (error(400, -2038, "Order amend (quantity increase) is not supported."), Refused("-2038", "Order amend (quantity increase) is not supported"), "more"),
    (error(400, -2038, "Order amend is not supported for this symbol."), Refused("-2038", "Order amend is not supported for this symbol"), "not here"),
    (error(400, -2038, "Filter failure: MAX_NUM_ORDER_AMENDS"), Refused("-2038", "Filter failure: MAX_NUM_ORDER_AMENDS"), "too often"),
    (error(400, -2038, "Unknown order sent."), UnknownOrder("-2038"), "filled, or never there: look it up"),
    (error(400, -2013, "Order does not exist."), UnknownOrder("-2013"), "the same"),
    (error(400, -2038, "Something new."), Unknown("the venue answered with error -2038"), "words we don't know prove nothing"),
    (error(400, -1021, "Timestamp for this request is outside of the recvWindow."),
     TimeRefused("Timestamp for this request is outside of the recvWindow"), "amends carry a time too"),
    (amended(clientOrderId="b" * 32), Unknown("the venue answered about another order"), "renamed: it could not be found again"),
    (amended(orderId=29), Unknown("the venue answered about another order"), "another order"),
    (amended(qty=0.4), Unknown("the venue's answer can't be read"), "a float"),
    (drops, Unknown("the connection was lost before the answer"), "hung up"),
], ids=lambda value: value if isinstance(value, str) else "")
async def test_an_amend_that_was_not_taken(answer: Answer, outcome: object, reason: str) -> None:
    async with connected() as (exchange, venue):
        venue.on(*AMEND, answer)
        assert await exchange.amend(OrderRef("BTC/USDT", ID, "28"), a_request(quantity=Decimal("0.4")), Gate()) == outcome, reason
        assert len(venue.calls(*AMEND)) == 1, "PUT is among what aiohttp would send again by itself"


async def test_a_shut_gate_lets_no_amend_and_no_list_through() -> None:
    async with connected() as (exchange, venue):
        assert await exchange.amend(REF, a_request(), Gate(closed_at_check="the lease is lost")) == NotSent("the lease is lost")
        assert await exchange.submit_group(OCO, Gate(closed_at_check="the lease is lost")) == NotSent("the lease is lost")
        assert not [request for request in venue.received if request.method != "GET"]


# ── Order lists ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

PROFIT = a_request(client_order_id="c" * 32, side="Sell", price=Decimal(52000), quantity=Decimal("0.5"))
LOSS = a_stop(client_order_id="d" * 32, quantity=Decimal("0.5"))
ENTRY = a_request(client_order_id="e" * 32, quantity=Decimal("0.5"))
LIST_ID = "f" * 32
OCO = GroupRequest(LIST_ID, "OneCancelsOther", (GroupLeg("TakeProfit", PROFIT), GroupLeg("StopLoss", LOSS)))


def a_group(mode: str, *requests: OrderRequest) -> GroupRequest:
    return GroupRequest(LIST_ID, mode, tuple(GroupLeg("Leg", request) for request in requests))


def buys(request: OrderRequest, **changes: Any) -> OrderRequest:
    return a_request(**{name: getattr(request, name) for name in OrderRequest.__dataclass_fields__} | {"side": "Buy", **changes})


def took(**changes: Any) -> Answer:
    """What a well-behaved venue says to a new list: a report of each of its orders, in an order of its own."""

    async def answer(request: Received, socket: Socket) -> None:
        params = request.params
        names = [name for name in params if name.endswith("ClientOrderId") and name != "listClientOrderId"]
        reports = []
        for number, name in reversed(list(enumerate(names))):
            leg = name.removesuffix("ClientOrderId")
            phase = "pending" if leg.startswith("pending") else "working"
            reports.append({
                "symbol": params["symbol"], "orderId": 30 + number, "orderListId": 1, "clientOrderId": params[name], "transactTime": 1_800_000_000_000,
                "price": params.get(f"{leg}Price", "0.00000000"), "origQty": params.get("quantity") or params[f"{phase}Quantity"], "executedQty": "0.00000000",
                "origQuoteOrderQty": "0.000000", "cummulativeQuoteQty": "0.00000000", "status": "PENDING_NEW" if phase == "pending" else "NEW",
                "timeInForce": params.get(f"{leg}TimeInForce", "GTC"), "type": params[f"{leg}Type"], "side": params.get("side") or params[f"{phase}Side"],
                "workingTime": -1, "selfTradePreventionMode": "NONE",
                **({"stopPrice": params[f"{leg}StopPrice"]} if f"{leg}StopPrice" in params else {}),
                **({"trailingDelta": int(params[f"{leg}TrailingDelta"])} if f"{leg}TrailingDelta" in params else {}),
            })
        await says(200, {
            "orderListId": 1, "contingencyType": "OCO", "listStatusType": "EXEC_STARTED", "listOrderStatus": "EXECUTING",
            "listClientOrderId": params["listClientOrderId"], "transactionTime": 1_800_000_000_000, "symbol": params["symbol"],
            "orders": [{key: report[key] for key in ("symbol", "orderId", "clientOrderId")} for report in reports], "orderReports": reports, **changes,
        })(request, socket)

    return answer


@pytest.mark.parametrize(("request_", "path", "written", "reason"), [
    (OCO, "oco", {
        "side": "SELL", "quantity": "0.5", "aboveType": "LIMIT_MAKER", "abovePrice": "52000", "aboveClientOrderId": "c" * 32,
        "belowType": "STOP_LOSS", "belowStopPrice": "48000", "belowClientOrderId": "d" * 32}, "a sale: the profit is above"),
    (a_group("OneCancelsOther", LOSS, PROFIT), "oco", {"aboveClientOrderId": "c" * 32, "belowClientOrderId": "d" * 32}, "in whatever order they come"),
    (a_group("OneCancelsOther", buys(PROFIT, price=Decimal(48000)), buys(LOSS, trigger_price=Decimal(52000))), "oco", {
        "side": "BUY", "aboveType": "STOP_LOSS", "aboveStopPrice": "52000", "belowType": "LIMIT_MAKER", "belowPrice": "48000"}, "a purchase: the loss is above"),
    (a_group("OneCancelsOther", a_stop(client_order_id="c" * 32, type="TakeProfitLimit", trigger_price=Decimal(52000), price=Decimal(51900), time_in_force="GTC"),
             a_trail(client_order_id="d" * 32)), "oco", {
        "aboveType": "TAKE_PROFIT_LIMIT", "aboveStopPrice": "52000", "abovePrice": "51900", "aboveTimeInForce": "GTC", "belowType": "STOP_LOSS",
        "belowTrailingDelta": "250"}, "a profit with a trigger, and a loss that follows"),
    (a_group("OneTriggersOther", ENTRY, PROFIT), "oto", {
        "workingType": "LIMIT", "workingSide": "BUY", "workingPrice": "50000", "workingQuantity": "0.5", "workingTimeInForce": "GTC",
        "workingClientOrderId": "e" * 32, "pendingType": "LIMIT", "pendingSide": "SELL", "pendingPrice": "52000", "pendingQuantity": "0.5",
        "pendingTimeInForce": "GTC", "pendingClientOrderId": "c" * 32}, "the first works, the second waits"),
    (a_group("OneTriggersOther", buys(ENTRY, post_only=True), a_request(client_order_id="c" * 32, side="Sell", type="Market", price=None, time_in_force=None)),
     "oto", {"workingType": "LIMIT_MAKER", "pendingType": "MARKET", "pendingQuantity": "1"}, "post-only, and at the market"),
    (a_group("Bracket", ENTRY, PROFIT, LOSS), "otoco", {
        "workingType": "LIMIT", "workingSide": "BUY", "workingQuantity": "0.5", "pendingSide": "SELL", "pendingQuantity": "0.5",
        "pendingAboveType": "LIMIT_MAKER", "pendingAbovePrice": "52000", "pendingAboveClientOrderId": "c" * 32, "pendingBelowType": "STOP_LOSS",
        "pendingBelowStopPrice": "48000", "pendingBelowClientOrderId": "d" * 32, "workingClientOrderId": "e" * 32}, "an entry and its two exits"),
], ids=lambda value: value if isinstance(value, str) else "")
async def test_a_list_is_written_as_the_venue_takes_it_and_each_order_has_its_own_id(request_: GroupRequest, path: str, written: dict[str, str],
                                                                                    reason: str) -> None:
    async with connected() as (exchange, venue):
        venue.on("POST", f"/api/v3/orderList/{path}", took())
        gate = Gate()
        outcome = await exchange.submit_group(request_, gate)
    [sent] = venue.calls("POST", f"/api/v3/orderList/{path}")
    assert written.items() <= sent.params.items(), reason
    assert (sent.params["listClientOrderId"], sent.params["timestamp"]) == (LIST_ID, str(gate.stamped))
    assert isinstance(outcome, GroupAccepted)
    assert (outcome.list_id, outcome.exchange_list_id, outcome.trades) == (LIST_ID, "1", ())
    assert [order.client_order_id for order in outcome.orders] == [leg.request.client_order_id for leg in request_.legs], "in the order of the request"
    assert [order.type for order in outcome.orders] == [leg.request.type for leg in request_.legs]
    assert all(order.status is OrderStatus.OPEN for order in outcome.orders)


@pytest.mark.proves("rule 1")
@pytest.mark.parametrize(("answer", "outcome", "reason"), [
    (error(400, -2010, "The relationship of the prices for the orders is not correct."),
     Refused("-2010", "The relationship of the prices for the orders is not correct"), "the market is elsewhere"),
    (error(400, -2010, "Stop price would trigger immediately."), Refused("-2010", "Stop price would trigger immediately"), "one leg refused: none was made"),
    (error(400, -2010, "OCO orders are not supported for this symbol"), Refused("-2010", "OCO orders are not supported for this symbol"), ""),
    (error(400, -1013, "Filter failure: MAX_NUM_ORDER_LISTS"), Refused("-1013", "Filter failure: MAX_NUM_ORDER_LISTS"), "too many lists"),
    (error(400, -2010, "Duplicate order sent."), Duplicate("-2010"), "the list, or one of its orders, is there: look them up"),
    (error(400, -1021, "Timestamp for this request is outside of the recvWindow."),
     TimeRefused("Timestamp for this request is outside of the recvWindow"), "lists carry a time too"),
    (took(listClientOrderId="another"), Unknown("the venue answered about another order"), "another list"),
    (took(orderReports=[]), Unknown("the venue answered about another order"), "a list without its orders"),
    (took(orderReports=["what"]), Unknown("the venue's answer can't be read"), "no report"),
    (drops, Unknown("the connection was lost before the answer"), "hung up"),
], ids=lambda value: value if isinstance(value, str) else "")
async def test_what_the_answer_to_a_list_proves(answer: Answer, outcome: object, reason: str) -> None:
    async with connected() as (exchange, venue):
        venue.on("POST", "/api/v3/orderList/oco", answer)
        assert await exchange.submit_group(OCO, Gate()) == outcome, reason
        assert len(venue.calls("POST", "/api/v3/orderList/oco")) == 1


async def test_a_list_that_the_venue_can_not_keep_is_not_sent() -> None:
    async with connected() as (exchange, venue):
        for request in (a_group("OneUpdatesOther", PROFIT, LOSS), a_group("OneCancelsOther", PROFIT), a_group("OneCancelsOther", PROFIT, buys(LOSS)),
                        a_group("Bracket", LOSS, PROFIT, LOSS), GroupRequest("f" * 37, OCO.mode, OCO.legs)):
            assert isinstance(await exchange.submit_group(request, Gate()), NotSent)
        assert not [request for request in venue.received if request.method == "POST"]


@rows.EVERY
async def test_where_no_dialect_has_them_no_amend_and_no_list_is_sent_and_none_is_proved_absent(row: Row) -> None:
    async with rows.connected(row) as (exchange, venue):
        request = rows.a_request(row)
        group = GroupRequest(LIST_ID, "OneCancelsOther", (GroupLeg("Leg", request), GroupLeg("Leg", request)))
        assert isinstance(await exchange.submit_group(group, Gate()), NotSent)
        assert isinstance(await exchange.amend(OrderRef(request.symbol, request.client_order_id, "28"), request, Gate()), NotSent)
        assert isinstance(await exchange.lookup_group(request.symbol, LIST_ID), Unreachable)
        assert exchange.capabilities.native_groups == frozenset()
        assert exchange.capabilities.amend is AmendQuantity.NONE
        assert not venue.received


async def test_an_order_of_a_list_that_filled_at_once_has_its_trades() -> None:
    fill = {"price": "50000.00000000", "qty": "0.50000000", "commission": "0.00050000", "commissionAsset": "BTC", "tradeId": 56}
    report = {"symbol": "BTCUSDT", "orderId": 30, "orderListId": 1, "transactTime": 1_800_000_000_000, "price": "50000.0", "origQty": "0.5", "side": "BUY",
              "type": "LIMIT", "timeInForce": "GTC", "executedQty": "0.5", "cummulativeQuoteQty": "25000.0", "status": "FILLED", "clientOrderId": "e" * 32}
    reports = [{**report, "fills": [fill]}, {**report, "orderId": 31, "clientOrderId": "c" * 32, "status": "PENDING_NEW", "executedQty": "0.0"}]
    async with connected() as (exchange, venue):
        venue.on("POST", "/api/v3/orderList/oto", took(orderReports=reports))
        outcome = await exchange.submit_group(a_group("OneTriggersOther", ENTRY, PROFIT), Gate())
    assert isinstance(outcome, GroupAccepted)
    assert [(trade.trade_id, trade.exchange_order_id, trade.quantity) for trade in outcome.trades] == [("56", "30", Decimal("0.5"))]
    assert [order.status for order in outcome.orders] == [OrderStatus.FILLED, OrderStatus.OPEN]


@pytest.mark.proves("H6")
async def test_a_caller_that_leaves_after_the_first_byte_of_a_list_loses_no_order() -> None:
    async with connected() as (exchange, venue):
        answer = asyncio.Event()
        venue.on("POST", "/api/v3/orderList/oco", holds(answer, took()))
        facts = exchange.stream()
        await anext(facts)
        sending = asyncio.create_task(exchange.submit_group(OCO, Gate()))
        await venue.arrival("POST", "/api/v3/orderList/oco")
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        answer.set()
        told = [await anext(facts), await anext(facts)]
        assert [fact.order.client_order_id for fact in told if isinstance(fact, OrderUpdate)] == ["c" * 32, "d" * 32]
        await facts.aclose()


@pytest.mark.proves("rule 9")
async def test_to_cancel_an_order_of_a_list_cancels_the_list_and_the_answer_is_read_for_the_order() -> None:
    reports = [an_order(origClientOrderId=one, clientOrderId="the-cancel", orderId=30 + number, status="CANCELED", transactTime=1_800_000_000_900)
               for number, one in enumerate(("c" * 32, "d" * 32))]
    async with connected() as (exchange, venue):
        venue.on(*CANCEL, says(200, {**a_list(listOrderStatus="ALL_DONE"), "orderReports": reports}))
        outcome = await exchange.cancel(OrderRef("BTC/USDT", "d" * 32, "31"), Gate())
        assert isinstance(outcome, Accepted)
        assert (outcome.order.client_order_id, outcome.order.exchange_order_id, outcome.order.status) == ("d" * 32, "31", OrderStatus.CANCELED)
        assert isinstance(await exchange.cancel(REF, Gate()), Unknown), "a list that has no such order"


def a_list(**changes: Any) -> dict[str, Any]:
    return {"orderListId": 27, "contingencyType": "OCO", "listStatusType": "EXEC_STARTED", "listOrderStatus": "EXECUTING", "listClientOrderId": LIST_ID,
            "transactionTime": 1_800_000_000_000, "symbol": "BTCUSDT",
            "orders": [{"symbol": "BTCUSDT", "orderId": 4, "clientOrderId": "c" * 32}, {"symbol": "BTCUSDT", "orderId": 5, "clientOrderId": "d" * 32}], **changes}


@pytest.mark.proves("rule 1")
@pytest.mark.parametrize(("answer", "outcome", "reason"), [
    (says(200, a_list()), GroupFound(LIST_ID, "27", ("c" * 32, "d" * 32)), "it is there, with its orders"),
    (says(200, a_list(listClientOrderId="another")), Unreachable("the venue answered about another order"), "another list"),
    (says(200, a_list(orders="what")), Unreachable("the venue's answer can't be read"), "without its orders"),
    (error(400, -2018, "Order list does not exist."), NotFound(), "as the venue says it"),
    (error(400, -2013, "Order does not exist."), NotFound(), "as it is documented of orders"),
    (error(400, -2018, "Something else."), Unreachable("the venue answered with error -2018"), "other words"),
    (error(500, -2018, "Order list does not exist."), Unreachable("the venue answered with error -2018"), "a venue in trouble proves nothing"),
    *((answer, None, reason) for answer, reason in GARBAGE),
], ids=lambda value: value if isinstance(value, str) else "")
async def test_a_list_is_looked_up_by_our_id(answer: Answer, outcome: object, reason: str) -> None:
    async with connected() as (exchange, venue):
        venue.on(*LIST, answer)
        found = await exchange.lookup_group("BTC/USDT", LIST_ID)
        assert found == outcome if outcome is not None else isinstance(found, Unreachable), reason
    [sent] = venue.calls(*LIST)
    assert sent.params["origClientOrderId"] == LIST_ID


# ── Balances and positions ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────

async def test_balances_are_the_venues_digits_under_the_names_of_the_markets() -> None:
    balances = [{"asset": "BTC", "free": "0.10000001", "locked": "0.50000000"}, {"asset": "YOYO", "free": "3.00000000", "locked": "0.00000000"}]
    async with connected() as (exchange, venue):
        venue.on("GET", "/api/v3/account", says(200, {"uid": 1, "balances": balances}))
        assert await exchange.balances() == Listing((
            Balance("BTC", Decimal("0.10000001"), Decimal("0.5")), Balance("YOYOW", Decimal(3), Decimal(0))), complete=True)
        venue.on("GET", "/api/v3/account", says(200, {"uid": 1, "balances": [*balances, {"asset": "ETH", "free": 1.5, "locked": "0"}]}))
        listing = await exchange.balances()
        assert isinstance(listing, Listing)
        assert (len(listing.items), listing.complete) == (2, False), "a float is nobody's digits"
        assert await exchange.positions() == Listing((), complete=True), "spot has none"


@pytest.mark.parametrize(("answer", "reason"), GARBAGE, ids=lambda value: value if isinstance(value, str) else "")
async def test_no_balances_are_read_from_what_is_no_answer(answer: Answer, reason: str) -> None:
    async with connected() as (exchange, venue):
        await exchange.markets()
        venue.on("GET", "/api/v3/account", answer)
        assert isinstance(await exchange.balances(), Unreachable), reason
