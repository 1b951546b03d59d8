"""The second dialect: our adapter and the real ccxt on a perpetual venue, over loopback. Nothing above the adapter knows which venue this is."""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import aiohttp
import ccxt.async_support
import pytest

from exchange_kernel.api import LookupAuthority
from exchange_kernel.core.answers import Accepted, Fee, Found, Listing, NotFound, NotSent, OrderStatus, Position, Refused, TimeRefused, Unknown, UnknownOrder
from exchange_kernel.core.identity import encode
from exchange_kernel.core.market_rules import unacceptable
from exchange_kernel.core.venue import OrderRequest
from exchange_kernel.exchanges.ccxt import open_exchange
from exchange_kernel.exchanges.port import Closed, Credentials, Exchange, OrderRef
from exchange_kernel.exchanges.simulated import DEFAULT_API_KEY, DEFAULT_API_SECRET, Served, Settings, SimulatedExchange, serve
from exchange_kernel.exchanges.simulated.orders import Side
from exchange_kernel.exchanges.simulated.perpetual.accounts import PerpetualAccount
from exchange_kernel.exchanges.simulated.perpetual.orders import NewOrder, Order, Slot

SYMBOL = "BTC/USDT:USDT"
ORDERS = "/api/v4/futures/usdt/orders"
BARE = {
    "enableRateLimit": False,
    "options": {"defaultType": "swap", "fetchMarkets": {"types": ["swap"]}, "swap": {"fetchMarkets": {"settlementCurrencies": ["usdt"]}}, "unifiedAccount": False},
}


class Clearance:
    """Open; `late_by_s` makes the stamp old."""

    def __init__(self, late_by_s: float = 0) -> None:
        self._late_by_s = late_by_s

    def stamp(self) -> int | Closed:
        return int((time.time() - self._late_by_s) * 1000)

    def check(self, stamp: int) -> Closed | None:
        return None


@dataclass
class Venue:
    served: Served
    exchange: Exchange
    http: aiohttp.ClientSession

    @property
    def account(self) -> PerpetualAccount:
        """The venue's own truth."""
        return self.served.exchange.perpetual.accounts[self.served.exchange.user.uid]

    def orders(self, client_order_id: str) -> list[Order]:
        return [order for order in self.account.orders.values() if order.text == f"t-{client_order_id}"]

    def held(self) -> Mapping[str, int]:
        return {slot.value: position.size for (_, slot), position in self.account.positions.items() if position.size}

    async def control(self, path: str, command: dict[str, Any]) -> Any:
        async with self.http.post(f"{self.served.control}/{path}", json=command) as response:
            assert response.status == 200, await response.text()
            return await response.json()

    async def fill(self, request: OrderRequest, size: int) -> Any:
        return await self.control("perpetual/market", {"fill": {"text": f"t-{request.client_order_id}", "size": size}})

    async def sent(self, request: OrderRequest) -> Any:
        return await self.exchange.submit(request, Clearance())

    async def accepted(self, request: OrderRequest) -> str:
        outcome = await self.sent(request)
        assert isinstance(outcome, Accepted), outcome
        return outcome.order.exchange_order_id

    async def opened(self, **terms: Any) -> None:
        """A position, by an order that was filled."""
        request = a_request(**terms)
        await self.accepted(request)
        assert request.quantity is not None
        await self.fill(request, int(request.quantity))


@pytest.fixture
async def venue() -> AsyncIterator[Venue]:
    async with serve(SimulatedExchange(Settings(market_maker=False))) as served, aiohttp.ClientSession() as http:
        exchange = open_exchange(
            "gate", market_type="swap", environment="Simulated", credentials=Credentials({"apiKey": DEFAULT_API_KEY, "secret": DEFAULT_API_SECRET}),
            rest=served.rest, websocket=None, ca_pem=None, requests_per_second=None, cancel_reserve_percent=10)
        try:
            yield Venue(served, exchange, http)
        finally:
            served.exchange.faults.lift()
            await exchange.close()


def a_request(**changes: Any) -> OrderRequest:
    values: dict[str, Any] = {
        "client_order_id": encode(uuid.uuid4().hex, "hex28"), "symbol": SYMBOL, "side": "Buy", "type": "Limit", "quantity": Decimal(10), "price": Decimal(50000),
        "time_in_force": "GTC",
    }
    values |= changes
    if values["type"] == "Market":
        values |= {"price": None, "time_in_force": None}
    return OrderRequest(**values)


def ref(request: OrderRequest, exchange_order_id: str | None = None) -> OrderRef:
    return OrderRef(request.symbol, request.client_order_id, exchange_order_id)


# ── What it is ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

async def test_it_says_of_itself_that_absence_can_not_be_proved(venue):
    venue_can = venue.exchange.capabilities
    assert (venue_can.lookup, venue_can.request_window_ms) == (LookupAuthority.LISTING, 0)
    assert not venue_can.proves_absence
    assert not venue_can.sends_first, "every send is written ahead"


async def test_a_contract_is_a_part_of_a_coin_and_orders_count_contracts(venue):
    rules = (await venue.exchange.markets())[SYMBOL]
    assert (rules.contract_size, rules.quantity_step, rules.min_quantity, rules.price_step) == (Decimal("0.001"), Decimal(1), Decimal(1), Decimal("0.01"))
    request = a_request(quantity=Decimal(10))
    await venue.accepted(request)
    assert venue.orders(request.client_order_id)[0].size == 10
    await venue.fill(request, 10)
    listed = await venue.exchange.trades(SYMBOL)
    assert isinstance(listed, Listing)
    assert [(trade.quantity, trade.price, trade.fee) for trade in listed.items] == [(Decimal(10), Decimal(50000), Fee("USDT", Decimal("-0.05")))], "a rebate"
    assert isinstance(await venue.sent(a_request(quantity=Decimal("0.5"))), NotSent), "a part of a contract can't be ordered"


async def test_the_account_is_named_by_the_venues_number(venue):
    assert await venue.exchange.fingerprint() == str(venue.served.exchange.user.uid)


# ── An order's life ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

async def test_an_order_from_its_creation_over_fills_to_its_cancel(venue):
    request = a_request()
    theirs = await venue.accepted(request)
    await venue.fill(request, 4)
    found = await venue.exchange.lookup(ref(request, theirs))
    assert isinstance(found, Found)
    assert (found.order.status, found.order.filled_quantity, found.order.quantity) == (OrderStatus.OPEN, Decimal(4), Decimal(10))
    cancelled = await venue.exchange.cancel(ref(request, theirs), Clearance())
    assert isinstance(cancelled, Accepted)
    assert (cancelled.order.status, cancelled.order.filled_quantity) == (OrderStatus.CANCELED, Decimal(4))
    assert isinstance(await venue.exchange.cancel(ref(request, theirs), Clearance()), UnknownOrder)


async def test_an_order_is_cancelled_by_our_id_while_nobody_knows_the_venues(venue):
    request = a_request()
    await venue.accepted(request)
    cancelled = await venue.exchange.cancel(ref(request), Clearance())
    assert isinstance(cancelled, Accepted)
    assert venue.orders(request.client_order_id)[0].finish_as == "cancelled"


@pytest.mark.parametrize(("terms", "status", "filled"), [
    ({"time_in_force": "IOC"}, OrderStatus.EXPIRED, 3), ({"type": "Market"}, OrderStatus.EXPIRED, 3), ({"quantity": Decimal(3)}, OrderStatus.FILLED, 3),
    ({"price": Decimal(49000), "post_only": True}, OrderStatus.OPEN, 0),
])
async def test_what_meets_three_contracts(venue, terms, status, filled):
    other = venue.served.exchange.open_account("other-key", "s3cret")
    engine, somebody = venue.served.exchange.perpetual.engine, venue.served.exchange.perpetual.accounts[other.uid]
    engine.place(somebody, NewOrder(contract=engine.market("BTC_USDT").contract, side=Side.SELL, size=3, price=Decimal(50000)))
    outcome = await venue.sent(a_request(**terms))
    assert isinstance(outcome, Accepted)
    assert (outcome.order.status, outcome.order.filled_quantity) == (status, Decimal(filled))


@pytest.mark.parametrize(("reason", "terms", "code"), [
    ("there is no such margin", {"quantity": Decimal(1_000_000), "price": Decimal(200_000)}, "INSUFFICIENT_AVAILABLE"),
    ("there is nothing to reduce", {"reduce_only": True}, "INCREASE_POSITION"),
    ("nobody sells so much", {"time_in_force": "FOK"}, "ORDER_FOK"),
])
async def test_the_venues_definite_no_is_a_refusal(venue, reason, terms, code):
    request = a_request(**terms)
    outcome = await venue.sent(request)
    assert isinstance(outcome, Refused), reason
    assert outcome.code == code
    assert venue.orders(request.client_order_id) == []


async def test_a_stamp_that_is_minutes_old_is_refused_for_its_time(venue):
    request = a_request()
    assert isinstance(await venue.exchange.submit(request, Clearance(late_by_s=120)), TimeRefused)
    assert venue.orders(request.client_order_id) == []


# ── Doubt ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

async def test_an_order_whose_reply_was_lost_is_unknown_and_then_found_in_the_list(venue):
    await venue.exchange.markets()
    await venue.control("faults", {"do": "drop-reply", "match": {"method": "POST", "path": ORDERS}})
    request = a_request()
    assert isinstance(await venue.sent(request), Unknown)
    found = await venue.exchange.lookup(ref(request))
    assert isinstance(found, Found)
    assert found.order.client_order_id == request.client_order_id
    assert venue.served.exchange.requests.counts[f"GET {ORDERS}/{{order_id}}"].count == 0, "nothing is looked up by our id"


async def test_one_that_was_filled_meanwhile_is_found_among_those_that_are_over(venue):
    await venue.exchange.markets()
    await venue.control("faults", {"do": "drop-reply", "match": {"method": "POST", "path": ORDERS}})
    request = a_request()
    assert isinstance(await venue.sent(request), Unknown)
    venue.orders(request.client_order_id)[0].time -= 1_800_000      # half an hour ago: longer than what ended without a fill is kept
    await venue.fill(request, 10)
    found = await venue.exchange.lookup(ref(request))
    assert isinstance(found, Found)
    assert (found.order.status, found.order.filled_quantity) == (OrderStatus.FILLED, Decimal(10))


async def test_one_that_never_arrived_is_not_in_the_lists_which_proves_nothing_here(venue):
    await venue.exchange.markets()
    await venue.control("faults", {"do": "drop-request", "match": {"method": "POST", "path": ORDERS}})
    request = a_request()
    assert isinstance(await venue.sent(request), Unknown)
    assert isinstance(await venue.exchange.lookup(ref(request)), NotFound)
    assert venue.orders(request.client_order_id) == []
    assert not venue.exchange.capabilities.proves_absence, "so the order stays Unknown: see test_decide"


async def test_an_id_is_a_tag_here_so_whoever_sends_twice_has_two_orders(venue):
    request = a_request()
    first, second = await venue.accepted(request), await venue.accepted(request)
    assert first != second
    assert len(venue.orders(request.client_order_id)) == 2


async def test_what_is_accepted_and_not_shown_yet_is_not_found(venue):
    await venue.control("faults", {"do": "visibility-delay", "ms": 60_000})
    request = a_request()
    await venue.accepted(request)
    assert isinstance(await venue.exchange.lookup(ref(request)), NotFound)
    await venue.control("faults", {"do": "lift"})
    assert isinstance(await venue.exchange.lookup(ref(request)), Found)


# ── Lists ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

async def test_the_list_of_open_orders_has_those_of_all_contracts(venue):
    one, other = a_request(), a_request(symbol="ETH/USDT:USDT", price=Decimal(2000))
    for request in (one, other):
        await venue.accepted(request)
    listed = await venue.exchange.open_orders()
    assert isinstance(listed, Listing)
    assert {order.client_order_id for order in listed.items} == {one.client_order_id, other.client_order_id}
    assert listed.complete


async def test_the_trades_of_one_order_are_its_own_though_the_venue_lists_those_of_all(venue):
    one, other = a_request(), a_request(side="Sell", price=Decimal(70000))
    theirs = await venue.accepted(one)
    await venue.accepted(other)
    await venue.fill(one, 4)
    await venue.fill(other, 3)
    await venue.fill(one, 6)
    listed = await venue.exchange.trades(SYMBOL, exchange_order_id=theirs)
    assert isinstance(listed, Listing)
    assert sorted(trade.quantity for trade in listed.items) == [Decimal(4), Decimal(6)]


# ── Positions ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

async def test_a_reduce_only_order_takes_no_more_than_there_is(venue):
    await venue.opened(quantity=Decimal(4))
    assert venue.held() == {"single": 4}
    closing = a_request(side="Sell", quantity=Decimal(10), price=Decimal(60000), reduce_only=True)
    theirs = await venue.accepted(closing)
    await venue.fill(closing, 4)
    assert venue.held() == {}
    found = await venue.exchange.lookup(ref(closing, theirs))
    assert isinstance(found, Found)
    assert (found.order.status, found.order.filled_quantity, found.order.quantity) == (OrderStatus.CANCELED, Decimal(4), Decimal(10)), "the rest ended with it"


async def test_one_that_rests_ends_with_the_position_that_it_was_for(venue):
    await venue.opened(quantity=Decimal(4))
    resting = a_request(side="Sell", price=Decimal(70000), quantity=Decimal(4), reduce_only=True)
    theirs = await venue.accepted(resting)
    await venue.opened(side="Sell", quantity=Decimal(4), price=Decimal(60000))
    found = await venue.exchange.lookup(ref(resting, theirs))
    assert isinstance(found, Found)
    assert (found.order.status, found.order.filled_quantity) == (OrderStatus.CANCELED, Decimal(0))


async def test_what_is_held_is_read_with_its_worth_at_the_mark(venue):
    await venue.opened(side="Sell", quantity=Decimal(5), price=Decimal(60000))
    await venue.control("perpetual/market", {"price": {"contract": SYMBOL, "price": "59000"}})
    listed = await venue.exchange.positions(SYMBOL)
    assert isinstance(listed, Listing)
    assert listed.items == (Position(SYMBOL, "Net", Decimal(-5), entry_price=Decimal(60000), unrealised_pnl=Decimal(5), margin=Decimal("29.5")),)
    balances = await venue.exchange.balances()
    assert isinstance(balances, Listing)
    assert [(balance.asset, balance.locked) for balance in balances.items] == [("USDT", Decimal("29.5") - 5)], "what ccxt makes of total and available"


async def test_without_hedge_mode_a_position_side_is_not_sent(venue):
    await venue.exchange.fingerprint()
    request = a_request(position_side="Long")
    assert isinstance(await venue.sent(request), NotSent)
    rules = (await venue.exchange.markets())[SYMBOL]
    assert unacceptable(request, rules, venue.exchange.capabilities) == "This account has one position per market: remove spec.positionSide."


async def test_in_hedge_mode_each_side_of_each_position_is_reached(venue):
    venue.account.set_dual_mode(True)
    await venue.exchange.fingerprint()
    assert venue.exchange.capabilities.hedge_mode, "read with the account"
    await venue.opened(side="Buy", position_side="Long", quantity=Decimal(5))
    await venue.opened(side="Sell", position_side="Short", quantity=Decimal(7), price=Decimal(60000))
    assert venue.held() == {"dual_long": 5, "dual_short": -7}
    await venue.opened(side="Sell", position_side="Long", quantity=Decimal(2), price=Decimal(60000))
    await venue.opened(side="Buy", position_side="Short", quantity=Decimal(3))
    assert venue.held() == {"dual_long": 3, "dual_short": -4}
    listed = await venue.exchange.positions(SYMBOL)
    assert isinstance(listed, Listing)
    assert {position.side: position.quantity for position in listed.items} == {"Long": Decimal(3), "Short": Decimal(4)}
    assert venue.account.position(venue.served.exchange.perpetual.engine.market("BTC_USDT").contract, Slot.LONG).closed_pnl == Decimal(20)


async def test_in_hedge_mode_an_order_that_does_not_say_which_position_is_not_sent(venue):
    venue.account.set_dual_mode(True)
    await venue.exchange.fingerprint()
    request = a_request()
    outcome = await venue.sent(request)
    assert isinstance(outcome, NotSent)
    assert "positionSide" in outcome.reason
    assert venue.orders(request.client_order_id) == []


# ── ccxt itself ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

def rebased(urls: Any, rest: str) -> Any:
    if isinstance(urls, dict):
        return {name: rebased(url, rest) for name, url in urls.items()}
    return f"{rest}/api/v4" if isinstance(urls, str) else urls


async def test_ccxt_takes_it_for_gate_positions_and_money_and_all(venue):
    gate = ccxt.async_support.gate({"apiKey": DEFAULT_API_KEY, "secret": DEFAULT_API_SECRET, **BARE})
    gate.urls["api"] = rebased(gate.urls["api"], venue.served.rest)
    try:
        await gate.load_markets()
        await venue.opened(quantity=Decimal(4))
        [position] = [one for one in await gate.fetch_positions([SYMBOL]) if one["contracts"]]
        assert (position["side"], position["contracts"], position["contractSize"], position["entryPrice"]) == ("long", 4.0, 0.001, 50000.0)
        assert (position["notional"], position["unrealizedPnl"], position["marginMode"]) == (240.0, 40.0, "cross")
        balance = (await gate.fetch_balance())["USDT"]
        assert balance["total"] == 10_000_000.02, "the maker's rebate, and no loss"
        closed = await gate.create_order(SYMBOL, "limit", "sell", 4, 61000, {"reduceOnly": True})
        assert (closed["reduceOnly"], closed["status"]) == (True, "open")
        with pytest.raises(ccxt.async_support.OrderNotFound):
            await gate.cancel_order("t-nobody", SYMBOL)
        with pytest.raises(ccxt.async_support.InsufficientFunds):
            await gate.create_order(SYMBOL, "limit", "buy", 1_000_000, 200_000)
        gate.secret = "another"
        with pytest.raises(ccxt.async_support.AuthenticationError):
            await gate.fetch_balance()
    finally:
        await gate.close()
