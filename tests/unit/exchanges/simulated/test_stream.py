"""The websocket API: subscribing, the events and their envelope, and how a stream ends."""

from __future__ import annotations

import hmac
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import aiohttp
import pytest

from exchange_kernel.exchanges.simulated.order_lists import NewOrderList
from exchange_kernel.exchanges.simulated.symbols import SelfTradePrevention
from tests.support import aeventually
from tests.unit.exchanges.simulated.client import BTC_USDT, T0, Client, StoppedClock, a_venue, an_order, cases


@pytest.fixture
async def venue():
    async with a_venue(StoppedClock()) as client:
        yield client


class Stream:
    def __init__(self, venue: Client, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.venue, self.socket = venue, socket

    async def ask(self, method: str, request_id: Any = "1", **params: Any) -> dict[str, Any]:
        await self.socket.send_json({"id": request_id, "method": method, "params": params})
        return dict(await self.socket.receive_json())

    async def subscribe(self, secret: str | None = None, **params: Any) -> dict[str, Any]:
        params = {"apiKey": self.venue.key, "timestamp": T0, **params}
        payload = "&".join(f"{name}={value}" for name, value in sorted(params.items()))
        params["signature"] = hmac.digest((secret or self.venue.secret).encode(), payload.encode(), "sha256").hex()
        return await self.ask("userDataStream.subscribe.signature", **params)

    async def event(self) -> dict[str, Any]:
        message = await self.socket.receive_json()
        assert message["subscriptionId"] == 0
        return dict(message["event"])


@asynccontextmanager
async def a_stream(venue: Client, *, subscribed: bool = True):
    async with venue.session.ws_connect(f"{venue.served.websocket}/ws-api/v3") as socket:
        stream = Stream(venue, socket)
        if subscribed:
            assert (await stream.subscribe())["status"] == 200
        yield stream


async def test_answers_carry_the_requests_id_and_the_weight_used(venue):
    async with a_stream(venue, subscribed=False) as stream:
        limit = {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 6000}
        assert await stream.ask("ping", 7) == {"id": 7, "status": 200, "result": {}, "rateLimits": [{**limit, "count": 3}]}
        assert (await stream.ask("time", None))["result"] == {"serverTime": T0}
        assert await stream.subscribe(recvWindow=3000) == {"id": "1", "status": 200, "result": {"subscriptionId": 0}, "rateLimits": [{**limit, "count": 6}]}
        assert (await stream.ask("session.subscriptions"))["result"] == [{"subscriptionId": 0}]


@pytest.mark.parametrize(("reason", "asked", "status", "code"), cases(
    ("another secret", {"secret": "guess"}, 400, -1022),
    ("a stale stamp", {"timestamp": T0 - 5001}, 400, -1021),
    ("a stamp ahead", {"timestamp": T0 + 1000}, 400, -1021),
    ("a stranger", {"apiKey": "stranger"}, 401, -2015),
    ("a parameter that isn't", {"hope": 1}, 400, -1104),
))
async def test_a_subscription_is_refused(venue, reason, asked, status, code):
    async with a_stream(venue, subscribed=False) as stream:
        answer = await stream.subscribe(**asked)
        assert (answer["status"], answer["error"]["code"]) == (status, code)


async def test_the_timeline_has_each_request_of_an_order_and_each_event_of_it_in_their_order(venue):
    async with a_stream(venue):
        await venue.place(quantity="2", newClientOrderId="mine")
        await venue.control("POST", "/market", {"fill": {"clientOrderId": "mine", "quantity": "0.5"}})
        await venue.call("DELETE", "/api/v3/order", symbol="BTCUSDT", origClientOrderId="mine")
        moments = (await venue.control("GET", "/timeline"))["moments"]
    assert [(moment["what"], moment["clientOrderId"]) for moment in moments[:-1]] == [
        ("POST /api/v3/order", "mine"), ("WS NEW", "mine"), ("WS TRADE", "mine"), ("DELETE /api/v3/order", "mine"),
    ]
    assert moments[-1]["what"] == "WS CANCELED"
    times = [moment["us"] for moment in moments]
    assert times == sorted(times)


async def test_one_account_is_subscribed_once_on_a_connection(venue):
    async with a_stream(venue) as stream, a_stream(venue):
        assert (await stream.subscribe())["error"] == {"code": -2035, "msg": "User Data Stream subscription already active."}


@pytest.mark.parametrize(("reason", "text", "code"), cases(
    ("no JSON", "hello", -1135),
    ("no object", "[]", -1135),
    ("no method", '{"id": 1}', -1135),
    ("a method that isn't", '{"id": 1, "method": "order.place"}', -1020),
))
async def test_a_message_that_makes_no_sense_is_refused(venue, reason, text, code):
    async with a_stream(venue, subscribed=False) as stream:
        await stream.socket.send_str(text)
        answer = await stream.socket.receive_json()
        assert (answer["status"], answer["error"]["code"]) == (400, code)


async def test_an_order_is_told_from_its_acceptance_to_its_cancel(venue):
    async with a_stream(venue) as stream:
        await venue.place(quantity="2", newClientOrderId="mine")
        assert await stream.event() == {
            "e": "executionReport", "E": T0, "s": "BTCUSDT", "c": "mine", "S": "BUY", "o": "LIMIT", "f": "GTC", "q": "2.00000000",
            "p": "50000.00000000", "P": "0.00000000", "F": "0.00000000", "g": -1, "C": "", "x": "NEW", "X": "NEW", "r": "NONE", "i": 1,
            "l": "0.00000000", "z": "0.00000000", "L": "0.00000000", "n": "0", "N": None, "T": T0, "t": -1, "I": 1, "w": True, "m": False,
            "M": False, "O": T0, "Z": "0.00000000", "Y": "0.00000000", "Q": "0.00000000", "W": T0, "V": "NONE",
        }
        assert await stream.event() == {
            "e": "outboundAccountPosition", "E": T0, "u": T0, "B": [{"a": "USDT", "f": "9900000.00000000", "l": "100000.00000000"}],
        }
        await venue.control("POST", "/market", {"fill": {"clientOrderId": "mine", "quantity": "0.5"}})
        traded = await stream.event()
        assert traded | {
            "x": "TRADE", "X": "PARTIALLY_FILLED", "l": "0.50000000", "z": "0.50000000", "L": "50000.00000000", "n": "0.00050000", "N": "BTC",
            "t": 1, "m": True, "Z": "25000.00000000", "Y": "25000.00000000", "C": "",
        } == traded
        assert [balance["a"] for balance in (await stream.event())["B"]] == ["BTC", "USDT"]
        await venue.call("DELETE", "/api/v3/order", symbol="BTCUSDT", origClientOrderId="mine", newClientOrderId="away")
        ended = await stream.event()
        assert ended | {"x": "CANCELED", "X": "CANCELED", "c": "away", "C": "mine", "z": "0.50000000", "w": False} == ended


async def test_an_expiry_says_why_and_a_refusal_too(venue):
    async with a_stream(venue) as stream:
        await venue.place(timeInForce="IOC")
        assert [(await stream.event())["x"], (expired := await stream.event())["x"]] == ["NEW", "EXPIRED"]
        assert expired["eR"] == "UNFILLED_IOC_QUANTITY_EXPIRED"
        await stream.event()
        await venue.attempt("POST", "/api/v3/order", symbol="BTCUSDT", side="BUY", type="LIMIT", timeInForce="GTC", quantity="190", price="52631.57",
                            newClientOrderId="first")
        await stream.event()
        await stream.event()
        assert (await venue.refused("POST", "/api/v3/order", symbol="BTCUSDT", side="BUY", type="LIMIT", timeInForce="GTC", quantity="1", price="60000",
                                    newClientOrderId="poor"))[1] == -2010
        refused = await stream.event()
        assert (refused["x"], refused["X"], refused["r"], refused["c"], refused["i"]) == ("REJECTED", "REJECTED", "INSUFFICIENT_BALANCES", "poor", -1)


async def test_an_amendment_is_told_under_its_new_name(venue):
    async with a_stream(venue) as stream:
        await venue.place(quantity="2", newClientOrderId="mine")
        await stream.event()
        await stream.event()
        await venue.call("PUT", "/api/v3/order/amend/keepPriority", symbol="BTCUSDT", orderId=1, newQty="1", newClientOrderId="mine-2")
        told = await stream.event()
        assert (told["x"], told["X"], told["c"], told["C"], told["q"]) == ("REPLACED", "NEW", "mine-2", "mine", "1.00000000")


async def test_events_are_dropped_as_many_as_asked_for(venue):
    async with a_stream(venue) as stream:
        await venue.control("POST", "/faults", {"do": "drop-events", "count": 3})
        await venue.place(newClientOrderId="lost")
        await venue.place(newClientOrderId="half-lost")
        assert (await stream.event())["e"] == "outboundAccountPosition"
        await venue.place(newClientOrderId="told")
        assert (await stream.event())["c"] == "told"


async def test_a_contingent_order_is_told_as_waiting_and_then_as_working(venue):
    async with a_stream(venue) as stream:
        stop = an_order("SELL", "1", "58900", type="STOP_LOSS_LIMIT", stop="59000", trailing_delta=100, client_order_id="mine")
        venue.exchange.engine.place(venue.exchange.user, stop)
        waiting = await stream.event()
        assert [waiting.get(name) for name in ("x", "X", "o", "P", "p", "w", "W", "d", "D")] == [
            "NEW", "NEW", "STOP_LOSS_LIMIT", "59000.00000000", "58900.00000000", False, None, 100, -1]
        await stream.event()
        for price in ("59000", "58000"):
            venue.exchange.engine.observe(BTC_USDT, Decimal(price))
        working = await stream.event()
        assert [working.get(name) for name in ("x", "X", "w", "W", "D")] == ["NEW", "NEW", True, T0, T0]


async def test_a_prevented_trade_is_told_of_each_order_that_it_ends(venue):
    async with a_stream(venue) as stream:
        for order in (an_order("BUY", "2", "60000"), an_order("SELL", "0.5", "60000", self_trade_prevention=SelfTradePrevention.EXPIRE_BOTH)):
            venue.exchange.engine.place(venue.exchange.user, order)
        events = [event for _ in range(6) if (event := await stream.event())["e"] == "executionReport" and event["x"] == "TRADE_PREVENTION"]
        names = ("i", "X", "v", "A", "B", "U", "Cs", "pl", "pL", "pY", "w")
        both = ("0.50000000", "60000.00000000", "30000.00000000", False)
        assert [tuple(event[name] for name in names) for event in events] == [
            (2, "EXPIRED_IN_MATCH", 0, "0.50000000", "0.50000000", 1, "BTCUSDT", *both),
            (1, "EXPIRED_IN_MATCH", 0, "2.00000000", "2.00000000", 2, "BTCUSDT", *both),
        ]


async def test_a_list_is_told_with_its_orders(venue):
    async with a_stream(venue) as stream:
        pair = (an_order("SELL", "1", None, type="STOP_LOSS", stop="59000", client_order_id="stop"), an_order("SELL", "1", "61000", type="LIMIT_MAKER"))
        venue.exchange.engine.place_list(venue.exchange.user, NewOrderList(symbol=BTC_USDT, working=None, others=pair, client_order_id="pair"))
        assert [(event["x"], event["g"], event["w"]) for event in (await stream.event(), await stream.event())] == [("NEW", 1, False), ("NEW", 1, True)]
        started = await stream.event()
        assert started == {
            "e": "listStatus", "E": T0, "s": "BTCUSDT", "g": 1, "c": "OCO", "l": "EXEC_STARTED", "L": "EXECUTING", "r": "NONE", "C": "pair", "T": T0,
            "O": [{"s": "BTCUSDT", "i": 1, "c": "stop"}, {"s": "BTCUSDT", "i": 2, "c": started["O"][1]["c"]}],
        }
        await stream.event()
        venue.exchange.engine.cancel_list(venue.exchange.user, BTC_USDT, list_id=1, name="away")
        assert [((event := await stream.event())["x"], event["c"], event["C"]) for _ in range(2)] == [
            ("CANCELED", "away", "stop"), ("CANCELED", "away", started["O"][1]["c"])]
        assert [(await stream.event())[name] for name in ("l",)] == ["ALL_DONE"]


async def test_a_disconnected_stream_has_no_goodbye(venue):
    async with a_stream(venue) as stream:
        await venue.control("POST", "/faults", {"do": "disconnect-stream"})
        assert (await stream.socket.receive()).type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)
        assert stream.socket.close_code == 1006
    await venue.place()
    assert len(venue.exchange.user.listeners) == 1, "nobody listens any more but the venue itself"


async def test_a_terminated_subscription_says_so_and_the_connection_goes_on(venue):
    async with a_stream(venue) as stream:
        await venue.control("POST", "/faults", {"do": "terminate-stream"})
        assert await stream.event() == {"e": "eventStreamTerminated", "E": T0}
        await venue.place()
        assert (await stream.ask("ping"))["status"] == 200
        assert (await stream.subscribe())["result"] == {"subscriptionId": 1}


async def test_unsubscribing_ends_it_likewise(venue):
    async with a_stream(venue) as stream:
        assert (await stream.ask("userDataStream.unsubscribe", subscriptionId=5))["error"]["code"] == -2036
        assert await stream.ask("userDataStream.unsubscribe") == {"subscriptionId": 0, "event": {"e": "eventStreamTerminated", "E": T0}}
        assert (await stream.socket.receive_json())["result"] == {}
        assert (await stream.ask("userDataStream.unsubscribe"))["error"]["code"] == -2036


async def test_in_silence_a_stream_stands_and_says_nothing_and_what_it_did_not_say_is_lost(venue):
    async with a_stream(venue) as stream:
        await venue.control("POST", "/faults", {"do": "silence"})
        await stream.socket.ping()
        await stream.socket.send_json({"id": "during", "method": "ping"})
        await aeventually(lambda: venue.exchange.requests.counts["WS unanswered"].count == 2, within=60, what="both were read")
        venue.exchange.engine.place(venue.exchange.user, an_order())
        await venue.control("DELETE", "/faults")
        assert (await stream.ask("ping", "after"))["id"] == "after"


async def test_a_venue_that_stops_says_so(venue):
    async with a_venue() as stopping:
        socket = await venue.session.ws_connect(f"{stopping.served.websocket}/ws-api/v3")
    assert (await socket.receive_json())["event"]["e"] == "serverShutdown"
    assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE
    await socket.close()
