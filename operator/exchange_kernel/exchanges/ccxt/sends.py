"""What changes something at a venue: each send is one request, and what became of it is never lost, whoever asked for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

import aiohttp

from exchange_kernel.core.answers import Accepted, AmendOutcome, CancelOutcome, GroupAccepted, GroupOutcome, NotSent, Replaced, SubmitOutcome, Unreachable
from exchange_kernel.core.market_rules import TRIGGERED, group_unacceptable
from exchange_kernel.core.money import ZERO, is_whole, quantise_quantity, quantise_trigger
from exchange_kernel.core.venue import Capabilities, GroupRequest, OrderRequest
from exchange_kernel.exchanges.ccxt.budget import Budget, Priority
from exchange_kernel.exchanges.ccxt.dialect import Call, Dialect, Market
from exchange_kernel.exchanges.ccxt.markets import VenueMarkets
from exchange_kernel.exchanges.ccxt.outcomes import Reply, amend_outcome, cancel_outcome, group_outcome, submit_outcome
from exchange_kernel.exchanges.ccxt.stream import PrivateStream
from exchange_kernel.exchanges.ccxt.unified import NotBuilt
from exchange_kernel.exchanges.ccxt.wire import WireCall
from exchange_kernel.exchanges.port import Clearance, OrderRef, OrderUpdate

Outcome = TypeVar("Outcome", SubmitOutcome, CancelOutcome, GroupOutcome)


LIMITED = frozenset({"Limit", "StopLimit", "TakeProfitLimit"})


class Sends(VenueMarkets):
    def __init__(self, dialect: Dialect, ccxt: Any, http: aiohttp.ClientSession, budget: Budget) -> None:
        super().__init__(dialect, ccxt, http, budget)
        self._calls: set[asyncio.Task[Any]] = set()      # sends on the wire: they outlive whoever asked for them
        self._streams: set[PrivateStream] = set()

    async def submit(self, request: OrderRequest, clearance: Clearance) -> SubmitOutcome:
        market = await self._market(request.symbol, listed=True)
        if isinstance(market, Unreachable):
            return NotSent(market.reason)
        if (problem := unsendable(request, market, self.capabilities)) is not None:
            return NotSent(problem)

        def outcome(reply: Reply) -> SubmitOutcome:
            return submit_outcome(reply, self._dialect, request, market)

        try:
            call = self._dialect.submit(request, market)
        except NotBuilt as problem:
            return NotSent(str(problem))
        return await self._send(call, clearance, Priority.SUBMIT, outcome)

    async def cancel(self, ref: OrderRef, clearance: Clearance) -> CancelOutcome:
        market = await self._market(ref.symbol)
        if isinstance(market, Unreachable):
            return NotSent(market.reason)

        def outcome(reply: Reply) -> CancelOutcome:
            return cancel_outcome(reply, self._dialect, ref, market)

        try:
            call = self._dialect.cancel(ref, market)
        except NotBuilt as problem:
            return NotSent(str(problem))
        return await self._send(call, clearance, Priority.CANCEL, outcome)

    async def amend(self, ref: OrderRef, request: OrderRequest, clearance: Clearance) -> AmendOutcome:
        """`core` has chosen a change that `capabilities.amend` allows: what the venue's request can't say of it is not looked at here."""
        if (amends := self._dialect.amends) is None:
            return NotSent("this exchange's adapter can't amend orders")
        market = await self._market(ref.symbol)
        if isinstance(market, Unreachable):
            return NotSent(market.reason)
        if (problem := unsendable(request, market, self.capabilities)) is not None:
            return NotSent(problem)

        def outcome(reply: Reply) -> AmendOutcome:
            return amend_outcome(reply, self._dialect, amends, ref, market)

        return await self._send(amends.request(ref, request, market), clearance, Priority.SUBMIT, outcome)

    async def submit_group(self, request: GroupRequest, clearance: Clearance) -> GroupOutcome:
        if (groups := self._dialect.groups) is None:
            return NotSent("this exchange's adapter has no order lists")
        market = await self._market(request.legs[0].request.symbol, listed=True)
        if isinstance(market, Unreachable):
            return NotSent(market.reason)
        for leg in request.legs:
            if (problem := unsendable(leg.request, market, self.capabilities)) is not None:
                return NotSent(problem)
        if (problem := group_unacceptable(request, market.rules, self.capabilities)) is not None:
            return NotSent(problem)
        if len(request.list_id) > self.capabilities.client_order_id_max_length:
            return NotSent("the list's id is too long for this exchange")

        def outcome(reply: Reply) -> GroupOutcome:
            return group_outcome(reply, self._dialect, groups, request, market)

        return await self._send(groups.request(request, market), clearance, Priority.SUBMIT, outcome)

    async def replace(self, ref: OrderRef, request: OrderRequest, clearance: Clearance) -> Replaced:
        """No dialect's is fill-aware, so `core` asks for none: what the first order fills on the way would be bought twice."""
        never = NotSent("this exchange's adapter can't replace orders in one request")
        return Replaced(never, never)

    async def _send(self, call: Call, clearance: Clearance, priority: Priority, outcome: Callable[[Reply], Outcome]) -> Outcome:
        """Send, in a task of our own: once a byte is written, nobody's cancellation loses the answer."""
        wire = WireCall(clearance)

        async def send() -> Outcome:
            return outcome(await self._ask(call, wire, priority))

        task = asyncio.create_task(send())
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if wire.written:
                task.add_done_callback(self._tell_streams)
            else:
                wire.abandoned = True
                task.cancel()
            raise

    def _tell_streams(self, task: asyncio.Task[Any]) -> None:
        """An answer that nobody waits for any more reaches the session the other way facts do."""
        if task.cancelled():
            return
        facts: list[OrderUpdate] = []
        match task.result():
            case Accepted(order=order, trades=trades):
                facts = [OrderUpdate(order, trade) for trade in trades] or [OrderUpdate(order)]
            case GroupAccepted(orders=orders, trades=trades):
                for order in orders:
                    own = [OrderUpdate(order, trade) for trade in trades if trade.order_key == order.key]
                    facts += own or [OrderUpdate(order)]
        for stream in self._streams:
            for fact in facts:
                stream.put(fact)


def unsendable(request: OrderRequest, market: Market, venue: Capabilities) -> str | None:
    """What would be lost or bent on the way to this venue. `core.market_rules` has said it before, to the user; here nothing is sent without it."""
    if request.type not in venue.order_types:
        return f"this exchange's adapter has no orders of type {request.type}"
    if request.time_in_force is not None and request.time_in_force not in venue.times_in_force:
        return f"this exchange's adapter has no time in force {request.time_in_force}"
    if request.post_only and not venue.post_only:
        return "this exchange's adapter has no post-only orders"
    if request.reduce_only and not venue.reduce_only:
        return "this market has no reduce-only orders"
    if len(request.client_order_id) > venue.client_order_id_max_length:
        return "the client order id is too long for this exchange"
    if request.position_side is not None and not venue.hedge_mode:
        return "this market has one position, and no sides of it"
    if request.trigger_price_type is not None and request.trigger_price_type not in venue.trigger_prices:
        return f"this exchange's adapter has no triggers on the {request.trigger_price_type} price"
    if request.trailing_unit is not None and request.trailing_unit not in venue.trailing_units:
        return f"this exchange's adapter has no trailing offsets in {request.trailing_unit}"
    if (request.price is not None) != (request.type in LIMITED):
        return "a limit order has a price, and a market order has none"
    if request.post_only and request.type != "Limit":
        return "an order that waits for a price can't be post-only"
    if (request.trailing_offset is not None) != (request.type == "TrailingStop") or (request.trailing_offset is None) != (request.trailing_unit is None):
        return "a trailing stop has an offset and its unit, and no other order has"
    if request.trailing_unit == "BasisPoints" and request.trailing_offset is not None and not is_whole(request.trailing_offset):
        return "a trailing offset counts whole basis points"
    if request.type != "TrailingStop" and (request.trigger_price is not None) != (request.type in TRIGGERED):
        return "an order that waits for a price has a trigger price, and no other order has"
    if request.trigger_price is not None and quantise_trigger(request.trigger_price, market.rules.price_step) <= ZERO:
        return "the trigger price is less than one step of the market"
    if (request.quantity is None) == (request.quote_quantity is None):
        return "an order has a quantity or a quote quantity"
    if request.quantity is not None and quantise_quantity(request.quantity, market.rules.quantity_step) <= ZERO:
        return "the quantity is less than one step of the market"
    if request.quote_quantity is not None and (request.type != "Market" or quantise_quantity(request.quote_quantity, market.quote_step) <= ZERO):
        return "the quote quantity is for market orders, and more than nothing"
    return None
