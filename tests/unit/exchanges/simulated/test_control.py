"""What a test or a demo does to the venue, and the venue's own truth."""

from __future__ import annotations

import pytest

from tests.unit.exchanges.simulated.client import T0, Client, StoppedClock, a_venue, cases


@pytest.fixture
async def venue():
    async with a_venue(StoppedClock()) as client:
        yield client


async def test_the_ledger_has_every_order_and_trade_and_the_balances(venue):
    await venue.place(quantity="2", newClientOrderId="mine")
    await venue.place(newClientOrderId="gone", timeInForce="IOC")
    await venue.control("POST", "/market", {"fill": {"clientOrderId": "mine", "quantity": "0.5"}})
    await venue.call("DELETE", "/api/v3/order", symbol="BTCUSDT", origClientOrderId="mine")
    ledger, uid = await venue.control("GET", "/ledger"), venue.exchange.user.uid
    told = [(order["clientOrderId"], order["status"], order["executedQty"], order["time"], order["uid"], order["unified"]) for order in ledger["orders"]]
    assert told == [
        ("mine", "CANCELED", "0.50000000", T0, uid, "BTC/USDT"), ("gone", "EXPIRED", "0.00000000", T0, uid, "BTC/USDT"),
    ]
    assert [(trade["clientOrderId"], trade["qty"], trade["orderId"]) for trade in ledger["trades"]] == [("mine", "0.50000000", 1)]
    assert {balance["asset"]: balance["free"] for balance in ledger["balances"][str(uid)]} == {
        "BTC": "10000000.49950000", "ETH": "10000000.00000000", "USDT": "9975000.00000000",
    }
    assert ledger["requests"] == {"DELETE /api/v3/order": {"count": 1, "weight": 1}, "POST /api/v3/order": {"count": 2, "weight": 2}}
    assert (ledger["count"], ledger["weight"], ledger["nowMs"]) == (3, 3, T0)


async def test_requests_are_counted_until_they_are_reset(venue):
    await venue.call("GET", "/api/v3/openOrders")
    assert await venue.control("GET", "/requests") == {
        "requests": {"GET /api/v3/openOrders": {"count": 1, "weight": 80}}, "count": 1, "weight": 80, "usedWeight": 80, "weightLimit": 6000,
    }
    assert (await venue.control("POST", "/requests/reset"))["count"] == 0


async def test_an_order_is_filled_on_cue_in_parts_and_then_what_is_left(venue):
    await venue.place(quantity="2", newClientOrderId="mine")
    part = await venue.control("POST", "/market", {"fill": {"clientOrderId": "mine", "quantity": "0.75"}})
    assert (part["trade"]["qty"], part["order"]["status"]) == ("0.75000000", "PARTIALLY_FILLED")
    rest = await venue.control("POST", "/market", {"fill": {"orderId": 1}})
    assert (rest["trade"]["qty"], rest["order"]["status"]) == ("1.25000000", "FILLED")


@pytest.mark.parametrize(("reason", "path", "body", "words"), cases(
    ("a fill of nothing that is open", "/market", {"fill": {"clientOrderId": "other"}}, "no open order has this"),
    ("a fill without a name", "/market", {"fill": {}}, "no open order has this"),
    ("a fill of more than is left", "/market", {"fill": {"orderId": 1, "quantity": "3"}}, "Invalid quantity."),
    ("a fill between steps", "/market", {"fill": {"orderId": 1, "quantity": "0.000001"}}, "Invalid quantity."),
    ("a price of no market", "/market", {"price": {"symbol": "A/B", "price": "1"}}, "BTC/USDT, ETH/USDT"),
    ("a command that isn't", "/market", {"crash": True}, "crash"),
    ("a clock without an offset", "/clock", {}, "offsetMs"),
    ("a key for no account", "/keys", {"apiKey": "k", "apiSecret": "s", "uid": 5}, "there is no account 5"),
    ("a key that can't be one", "/keys", {"apiKey": "a key", "apiSecret": "s"}, "an API key has"),
))
async def test_what_can_not_be_done_is_refused_in_words(venue, reason, path, body, words):
    await venue.place(quantity="2")
    async with venue.session.post(venue.served.control + path, json=body) as response:
        assert response.status == 400
        assert words in (await response.json())["error"]


async def test_the_market_is_stopped_moved_and_started(venue):
    market = await venue.control("POST", "/market", {"maker": "start", "price": {"symbol": "BTC/USDT", "price": "51000"}})
    assert (market["maker"], market["markets"]["BTC/USDT"]["middle"]) == ("started", "51000.00000000")
    assert market["markets"]["BTC/USDT"]["bidPrice"] < "51000" < market["markets"]["BTC/USDT"]["askPrice"]
    moved = await venue.control("POST", "/market", {"ticks": 5})
    assert moved["markets"] != market["markets"]
    stopped = await venue.control("POST", "/market", {"maker": "stop"})
    assert stopped["markets"]["BTC/USDT"]["bidQty"] == "0.00000000"
    assert stopped == await venue.control("GET", "/market")


async def test_the_clock_is_shifted_and_requests_are_judged_by_it(venue):
    query = venue.signed()
    assert await venue.control("POST", "/clock", {"offsetMs": 60_000}) == {"offsetMs": 60_000, "nowMs": T0 + 60_000}
    async with venue.ask("GET", "/api/v3/account", query) as response:
        assert (await response.json())["code"] == -1021
    await venue.control("POST", "/clock", {"offsetMs": -60_000})
    async with venue.ask("GET", "/api/v3/account", query) as response:
        assert "ahead of the server" in (await response.json())["msg"]


async def test_a_key_opens_another_account_or_the_same(venue):
    await venue.place(newClientOrderId="mine")
    uid = venue.exchange.user.uid
    rotated, strange = Client(venue.served, venue.session, "rotated", "s1"), Client(venue.served, venue.session, "strange", "s2")
    assert await venue.control("POST", "/keys", {"apiKey": "rotated", "apiSecret": "s1", "uid": uid}) == {"uid": uid}
    assert (await venue.control("POST", "/keys", {"apiKey": "strange", "apiSecret": "s2"}))["uid"] != uid
    assert len(await rotated.call("GET", "/api/v3/openOrders")) == 1
    assert await strange.call("GET", "/api/v3/openOrders") == []
