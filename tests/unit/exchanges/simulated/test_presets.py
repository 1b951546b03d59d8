"""The faults that have a name: each as a client of the venue meets it."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from exchange_kernel.exchanges.simulated.commands import Reads, VisibilityDelay
from exchange_kernel.exchanges.simulated.faults import Faults, Lane, RequestFault, StreamFaults
from exchange_kernel.exchanges.simulated.http import request_class
from exchange_kernel.exchanges.simulated.presets import PRESETS, read_fault
from tests.support import aeventually
from tests.unit.exchanges.simulated.client import Client, StoppedClock, a_venue, cases
from tests.unit.exchanges.simulated.test_stream import a_stream

MINE = {"symbol": "BTCUSDT", "origClientOrderId": "mine"}


@pytest.fixture
async def venue():
    async with a_venue(StoppedClock()) as client:
        yield client


async def suffer(venue: Client, name: str) -> None:
    await venue.control("POST", "/faults", {"fault": name})


async def later(venue: Client, ms: int) -> None:
    venue.exchange.clock.at += ms


async def fill(venue: Client, quantity: str) -> None:
    await venue.control("POST", "/market", {"fill": {"clientOrderId": "mine", "quantity": quantity}})


async def told(venue: Client, client_order_id: str = "mine") -> list[tuple[str, str]]:
    """The venue's own truth of the orders with this id."""
    orders = (await venue.control("GET", "/ledger"))["orders"]
    return [(order["status"], order["executedQty"].rstrip("0").rstrip(".")) for order in orders if order["clientOrderId"] == client_order_id]


async def open_ids(venue: Client) -> list[str]:
    return [order["clientOrderId"] for order in await venue.call("GET", "/api/v3/openOrders")]


@pytest.mark.parametrize("preset", [preset for preset in PRESETS if preset.endpoint == "faults"], ids=lambda preset: preset.name)
async def test_every_preset_can_be_set_by_its_name_and_lifted(venue, preset):
    before = await venue.control("GET", "/faults")
    await suffer(venue, preset.name)
    await venue.control("DELETE", "/faults")
    assert await venue.control("GET", "/faults") == before


@pytest.mark.parametrize(("reason", "text", "fault"), cases(
    ("its name is enough", "not-found-yet", VisibilityDelay(do="visibility-delay", ms=5000)),
    ("another value", "not-found-yet,ms=7", VisibilityDelay(do="visibility-delay", ms=7)),
    ("another class of requests", "accept-then-502, on=cancel, count=2",
     RequestFault.model_validate({"do": "status", "status": 502, "match": {"on": "cancel"}, "count": 2})),
    ("as the control endpoint takes it", '{"do": "reads", "lagMs": 3}', Reads(do="reads", lag_ms=3)),
))
def test_the_short_form_says_the_same_as_json(reason, text, fault):
    assert read_fault(text) == fault


@pytest.mark.parametrize(("reason", "text", "words"), cases(
    ("no such fault", "meteor", "there are accept-then-drop, "),
    ("no value", "not-found-yet,ms", "write key=value, as in not-found-yet,count=3"),
    ("a key it has not", "not-found-yet,color=red", "color"),
    ("a value of another kind", "not-found-yet,ms=soon", "ms"),
    ("JSON of nothing", '{"do": "explode"}', "explode"),
    ("it needs an order", "trade-bust", "/control/market"),
))
def test_what_makes_no_sense_is_told_in_words(reason, text, words):
    with pytest.raises(ValueError, match=words):
        read_fault(text)


# ── Orders ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

async def test_an_order_may_fill_while_its_cancel_is_on_the_way(venue):
    await venue.place(newClientOrderId="mine", quantity="2")
    await suffer(venue, "fill-during-cancel,fraction=0.25")
    assert (await venue.call("DELETE", "/api/v3/order", **MINE))["executedQty"] == "0.50000000"
    assert await told(venue) == [("CANCELED", "0.5")]
    await venue.place(newClientOrderId="whole")
    await suffer(venue, "fill-during-cancel")
    assert (await venue.refused("DELETE", "/api/v3/order", symbol="BTCUSDT", origClientOrderId="whole"))[1] == -2011
    assert await told(venue, "whole") == [("FILLED", "1")]


async def test_a_cancel_may_be_answered_and_not_done(venue):
    await venue.place(newClientOrderId="mine")
    await suffer(venue, "cancel-lost")
    assert (await venue.call("DELETE", "/api/v3/order", **MINE))["status"] == "CANCELED"
    assert await told(venue) == [("NEW", "0")]


async def test_a_cancel_may_be_done_and_not_answered(venue):
    await venue.place(newClientOrderId="mine")
    await suffer(venue, "cancel-unheard")
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await venue.call("DELETE", "/api/v3/order", **MINE)
    assert await told(venue) == [("CANCELED", "0")]


@pytest.mark.parametrize(("reason", "name", "status"), cases(
    ("in front of the check of its window", "slow-arrival,ms=300", 400),
    ("behind it, as long as it takes", "backlog,ms=300", 200),
))
async def test_a_request_waits(venue, reason, name, status):
    await suffer(venue, name)
    order = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "1", "price": "50000"}
    request = asyncio.create_task(venue.attempt("POST", "/api/v3/order", **order, recvWindow="3000"))
    await aeventually(lambda: venue.exchange.requests.counts["POST /api/v3/order"].count, within=60, every=0.001, what="it has arrived")
    await later(venue, 3001)
    assert (await request)[0] == status


async def test_two_orders_fill_before_anything_is_told_of_either(venue):
    async with a_stream(venue) as stream:
        await venue.place(newClientOrderId="mine")
        await venue.place(newClientOrderId="other", side="SELL", price="51000")
        await venue.control("POST", "/market", {"fills": [{"clientOrderId": "mine"}, {"clientOrderId": "other"}]})
        assert await told(venue) == await told(venue, "other") == [("FILLED", "1")]
        kinds = [(await stream.event())["e"] for _ in range(8)]
        assert kinds.count("executionReport") == 4
    await venue.place(newClientOrderId="mine")
    async with venue.session.post(f"{venue.served.control}/market", json={"fills": [{"clientOrderId": "mine"}, {"clientOrderId": "gone"}]}) as response:
        assert response.status == 400
    assert (await told(venue))[-1] == ("NEW", "0"), "all or none"


async def test_the_venue_may_end_an_order_by_itself(venue):
    async with a_stream(venue) as stream:
        await venue.place(newClientOrderId="mine")
        await venue.control("POST", "/market", {"expire": {"clientOrderId": "mine"}})
        events = [event for _ in range(4) if (event := await stream.event())["e"] == "executionReport"]
        assert [event["X"] for event in events] == ["NEW", "EXPIRED"]
    assert await told(venue) == [("EXPIRED", "0")]


@pytest.mark.parametrize(("reason", "filled", "after"), cases(
    ("of an order that goes on", "0.5", ("NEW", "0")),
    ("of an order that was filled", "2", ("CANCELED", "0")),
))
async def test_a_trade_may_be_taken_back(venue, reason, filled, after):
    before = (await venue.control("GET", "/ledger"))["balances"]
    await venue.place(newClientOrderId="mine", quantity="2")
    await fill(venue, filled)
    [trade] = await venue.call("GET", "/api/v3/myTrades", symbol="BTCUSDT")
    await venue.control("POST", "/market", {"bust": {"symbol": "BTC/USDT", "tradeId": trade["id"]}})
    assert await told(venue) == [after]
    assert await venue.call("GET", "/api/v3/myTrades", symbol="BTCUSDT") == []
    if after[0] == "NEW":
        assert (await venue.call("DELETE", "/api/v3/order", **MINE))["executedQty"] == "0.00000000"
    assert (await venue.control("GET", "/ledger"))["balances"] == before, "and the money with it"


async def test_an_id_may_be_taken_twice_while_both_are_open(venue):
    await venue.place(newClientOrderId="mine")
    assert (await venue.refused("POST", "/api/v3/order", symbol="BTCUSDT", side="BUY", type="LIMIT", timeInForce="GTC", quantity="1", price="50000",
                                newClientOrderId="mine"))[2] == "Duplicate order sent."
    await suffer(venue, "ids-reused")
    await venue.place(newClientOrderId="mine", quantity="2")
    assert await told(venue) == [("NEW", "0")] * 2
    for _ in range(2):
        [first, *_] = await venue.call("GET", "/api/v3/openOrders")
        await venue.call("DELETE", "/api/v3/order", symbol="BTCUSDT", orderId=first["orderId"])
    assert await told(venue) == [("CANCELED", "0")] * 2


async def test_a_second_account_shares_the_address_and_its_limit_and_nothing_else(venue):
    await venue.place(newClientOrderId="mine")
    await suffer(venue, "second-account")
    second = Client(venue.served, venue.session, "second-api-key", "second-api-secret")
    assert await open_ids(second) == []
    used = venue.exchange.weight_limit.used
    await second.call("GET", "/api/v3/account")
    assert venue.exchange.weight_limit.used == used + 20


# ── Reads ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

async def test_lists_may_be_old_while_lookups_are_not(venue):
    await venue.place(newClientOrderId="mine")
    await later(venue, 1000)
    await suffer(venue, "lists-stale,staleMs=3000")
    assert await open_ids(venue) == [], "as it was two seconds before the order"
    assert (await venue.call("GET", "/api/v3/order", **MINE))["status"] == "NEW"
    await later(venue, 2000)
    await venue.call("DELETE", "/api/v3/order", **MINE)
    assert await open_ids(venue) == ["mine"], "and it still is there when it is gone"
    await later(venue, 3000)
    assert await open_ids(venue) == []


async def test_each_read_may_come_from_another_moment(venue):
    await venue.place(newClientOrderId="mine", quantity="2")
    for _ in range(4):
        await later(venue, 1000)
        await fill(venue, "0.25")
    await later(venue, 500)
    await suffer(venue, "lagging-replicas,lagMs=5000")
    seen = [venue.attempt("GET", "/api/v3/order", **MINE) for _ in range(40)]
    answers = [document.get("executedQty", document.get("code")) for _, document in [await one for one in seen]]
    assert set(answers) == {"0.00000000", "0.25000000", "0.50000000", "0.75000000", "1.00000000", -2013}
    assert answers != sorted(answers, key=str), "time goes back and forth"
    sizes = {len(await venue.call("GET", "/api/v3/myTrades", symbol="BTCUSDT")) for _ in range(40)}
    assert sizes == {0, 1, 2, 3, 4}


async def test_lists_may_end_too_early(venue):
    for name in ("a", "b", "c"):
        await venue.place(newClientOrderId=name)
    await suffer(venue, "lists-truncated,keep=2")
    assert await open_ids(venue) == ["a", "b"]
    assert len(await venue.call("GET", "/api/v3/allOrders", symbol="BTCUSDT")) == 2


async def test_what_ended_long_ago_may_be_gone(venue):
    await venue.place(newClientOrderId="mine", quantity="2")
    await venue.place(newClientOrderId="open")
    await fill(venue, "2")
    await suffer(venue, "purged-history,purgedMs=5000")
    await later(venue, 5000)
    assert (await venue.call("GET", "/api/v3/order", **MINE))["status"] == "FILLED"
    await later(venue, 1)
    assert (await venue.refused("GET", "/api/v3/order", **MINE))[1] == -2013
    assert [order["clientOrderId"] for order in await venue.call("GET", "/api/v3/allOrders", symbol="BTCUSDT")] == ["open"]
    assert await venue.call("GET", "/api/v3/myTrades", symbol="BTCUSDT") == []


@pytest.mark.parametrize(("reason", "name", "at_once", "in_the_end"), cases(
    ("missing", "trades-missing", 0, 0), ("late", "trades-late,tradesLateMs=2000", 0, 1), ("twice", "trades-duplicated", 2, 2),
))
async def test_lists_of_trades_are_not_what_was_traded(venue, reason, name, at_once, in_the_end):
    await suffer(venue, name)
    await venue.place(newClientOrderId="mine", quantity="2")
    await fill(venue, "0.5")
    assert (await venue.call("GET", "/api/v3/order", **MINE))["executedQty"] == "0.50000000"
    for expected in (at_once, in_the_end):
        assert len(await venue.call("GET", "/api/v3/myTrades", symbol="BTCUSDT")) == expected
        await later(venue, 2000)
    await venue.control("DELETE", "/faults")
    assert len(await venue.call("GET", "/api/v3/myTrades", symbol="BTCUSDT")) == 1


# ── Streams ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

@pytest.mark.parametrize(("reason", "faults", "arrives"), cases(
    ("overtaken by the next", StreamFaults(reordering=1), [2, 1, 4, 3]),
    ("an older one again", StreamFaults(staleness=1), [1, 2, 1, 3]),
    ("executions lost", StreamFaults(loss=1, trades_only=True), [1, 3]),
    ("executions twice", StreamFaults(duplication=1, trades_only=True), [1, 2, 2, 3, 4, 4]),
    ("nothing at all", StreamFaults(silent=True), []),
))
def test_events_arrive_otherwise_than_they_happened(reason, faults, arrives):
    there, lane = Faults(), Lane()
    there.stream = faults
    told = [event for number in (1, 2, 3, 4) for event in there.told(lane, number, trade=number % 2 == 0)]
    assert told[:len(arrives)] == arrives
    assert len(told) == len(arrives) or faults.staleness


async def test_a_silent_stream_answers_no_ping_and_tells_nothing(venue):
    async with a_stream(venue) as stream:
        await suffer(venue, "stream-silent")
        await venue.place()
        await stream.socket.send_json({"id": 1, "method": "ping"})
        with pytest.raises(TimeoutError):
            await stream.socket.receive_json(timeout=0.2)


async def test_an_event_that_nothing_overtakes_comes_by_itself(venue):
    async with a_stream(venue) as stream:
        await suffer(venue, "stream-reordering,reordering=1")
        await venue.place(newClientOrderId="mine")
        assert {(await stream.event())["e"] for _ in range(2)} == {"outboundAccountPosition", "executionReport"}


async def test_late_executions_come_after_all_else(venue):
    async with a_stream(venue) as stream:
        await suffer(venue, "stream-late-trades,lateMs=100")
        await venue.place(newClientOrderId="mine")
        await fill(venue, "1")
        kinds = [(event["e"], event.get("x")) for event in [await stream.event() for _ in range(4)]]
        assert kinds[-1] == ("executionReport", "TRADE")


async def test_a_closed_stream_says_goodbye(venue):
    async with a_stream(venue) as stream:
        await suffer(venue, "stream-closed")
        assert (await stream.socket.receive_json())["event"]["e"] == "serverShutdown"
        assert (await stream.socket.receive()).type is aiohttp.WSMsgType.CLOSE


async def test_both_legs_of_a_pair_fill_where_one_should_have_ended_the_other(venue):
    await venue.control("POST", "/market", {"price": {"symbol": "BTC/USDT", "price": "50000"}})
    await venue.call("POST", "/api/v3/orderList/oco", symbol="BTCUSDT", side="SELL", quantity="1", aboveType="LIMIT_MAKER", abovePrice="51000",
                     belowType="STOP_LOSS_LIMIT", belowStopPrice="49000", belowPrice="48900", belowTimeInForce="GTC",
                     aboveClientOrderId="mine", belowClientOrderId="other")
    before = {balance["asset"]: balance for balance in (await venue.call("GET", "/api/v3/account"))["balances"]}
    await venue.control("POST", "/market", {"fills": [{"clientOrderId": "mine"}, {"clientOrderId": "other"}]})
    assert await told(venue) == await told(venue, "other") == [("FILLED", "1")]
    after = {balance["asset"]: balance for balance in (await venue.call("GET", "/api/v3/account"))["balances"]}
    assert float(after["BTC"]["free"]) + float(after["BTC"]["locked"]) == float(before["BTC"]["free"]) + float(before["BTC"]["locked"]) - 2
    assert float(after["BTC"]["locked"]) == 0
    assert await venue.call("GET", "/api/v3/openOrderList") == []


@pytest.mark.parametrize(("method", "path", "kind"), [
    ("POST", "/api/v3/order", "submit"), ("DELETE", "/fapi/v1/order", "cancel"), ("PUT", "/api/v3/order/amend/keepPriority", "amend"),
    ("POST", "/api/v3/orderList/oco", "submit-list"), ("GET", "/api/v3/myTrades", "trades"), ("GET", "/api/v3/depth", "other"),
    ("POST", "/api/v4/futures/usdt/orders", "submit"), ("DELETE", "/api/v4/futures/usdt/orders/t-7", "cancel"),
    ("GET", "/api/v4/futures/usdt/orders/7", "lookup"), ("GET", "/api/v4/futures/usdt/orders", "open-orders"),
])
def test_a_request_is_of_a_class_whatever_its_venue_calls_it(method, path, kind):
    assert request_class(method, path) == kind


async def test_what_no_replica_can_lag_behind_any_more_is_forgotten(venue):
    await venue.place(newClientOrderId="mine", quantity="2")
    await fill(venue, "0.5")
    await later(venue, 60_001)
    other = await venue.place(newClientOrderId="other")
    assert list(venue.exchange.visibility._looked) == [other["orderId"]]
    assert venue.exchange.visibility._traded_at == {}
    await suffer(venue, "lagging-replicas,lagMs=60000")
    assert {document["executedQty"] for _, document in [await venue.attempt("GET", "/api/v3/order", **MINE) for _ in range(10)]} == {"0.50000000"}


async def test_what_is_needed_to_lag_behind_is_kept(venue):
    await venue.place(newClientOrderId="mine", quantity="2")
    await later(venue, 59_000)
    await fill(venue, "0.5")
    await later(venue, 2_000)
    await venue.place(newClientOrderId="other")
    await suffer(venue, "lists-stale,staleMs=30000")
    [order] = await venue.call("GET", "/api/v3/openOrders")
    assert (order["clientOrderId"], order["executedQty"]) == ("mine", "0.00000000")
