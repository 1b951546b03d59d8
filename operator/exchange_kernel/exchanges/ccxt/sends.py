"""What changes something at a venue: each send is one request, and what became of it is never lost, whoever asked for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

import aiohttp

from exchange_kernel.core.answers import Accepted, AmendOutcome, CancelOutcome, NotSent, Replaced, SubmitOutcome, Unreachable
from exchange_kernel.core.money import ZERO, quantise_quantity
from exchange_kernel.core.venue import Capabilities, OrderRequest
from exchange_kernel.exchanges.ccxt.budget import Budget, Priority
from exchange_kernel.exchanges.ccxt.dialect import Call, Dialect, Market
from exchange_kernel.exchanges.ccxt.markets import VenueMarkets
from exchange_kernel.exchanges.ccxt.outcomes import Reply, cancel_outcome, submit_outcome
from exchange_kernel.exchanges.ccxt.stream import PrivateStream
from exchange_kernel.exchanges.ccxt.unified import NotBuilt
from exchange_kernel.exchanges.ccxt.wire import WireCall
from exchange_kernel.exchanges.port import Clearance, OrderRef, OrderUpdate

Outcome = TypeVar("Outcome", SubmitOutcome, CancelOutcome)


class Sends(VenueMarkets):
    def __init__(self, dialect: Dialect, ccxt: Any, http: aiohttp.ClientSession, budget: Budget) -> None:
        super().__init__(dialect, ccxt, http, budget)
        self._calls: set[asyncio.Task[Any]] = set()      # sends on the wire: they outlive whoever asked for them
        self._streams: set[PrivateStream] = set()

    async def submit(self, request: OrderRequest, clearance: Clearance) -> SubmitOutcome:
        market = await self._market(request.symbol)
        if isinstance(market, Unreachable):
            return NotSent(market.reason)
        if (problem := _unsendable(request, market, self.capabilities)) is not None:
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
        """No dialect of ours has it yet: `capabilities.amend` is None, and nothing is sent."""
        return NotSent("this exchange's adapter can't amend orders")

    async def replace(self, ref: OrderRef, request: OrderRequest, clearance: Clearance) -> Replaced:
        """As with amending: `capabilities.replace` is None."""
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
        if task.cancelled() or not isinstance(accepted := task.result(), Accepted):
            return
        facts = [OrderUpdate(accepted.order, trade) for trade in accepted.trades] or [OrderUpdate(accepted.order)]
        for stream in self._streams:
            for fact in facts:
                stream.put(fact)


def _unsendable(request: OrderRequest, market: Market, venue: Capabilities) -> str | None:
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
    if (request.price is None) != (request.type == "Market"):
        return "a limit order has a price, and a market order has none"
    if (request.quantity is None) == (request.quote_quantity is None):
        return "an order has a quantity or a quote quantity"
    if request.quantity is not None and quantise_quantity(request.quantity, market.rules.quantity_step) <= ZERO:
        return "the quantity is less than one step of the market"
    if request.quote_quantity is not None and (request.type != "Market" or quantise_quantity(request.quote_quantity, market.quote_step) <= ZERO):
        return "the quote quantity is for market orders, and more than nothing"
    return None
