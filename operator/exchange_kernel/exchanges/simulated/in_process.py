"""The simulated exchange's spot markets by calls, without sockets, signatures or waiting: an adapter for backtests, above all in virtual time.

What it leaves out of what the same exchange has behind its REST face: lists of orders that the exchange keeps (groups are kept by us), amends in place
(an order is replaced), limits of requests, visibility delays and faults.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from dataclasses import replace
from decimal import Decimal

from exchange_kernel.api import AmendQuantity, DuplicateIdsRefused, ExpiryCheck, LookupAuthority, RefusalKind
from exchange_kernel.core.answers import (
    Accepted,
    AmendOutcome,
    Balance,
    CancelOutcome,
    Duplicate,
    ExchangeOrder,
    Fee,
    Found,
    GroupLookupOutcome,
    GroupOutcome,
    Listing,
    LookupOutcome,
    NotFound,
    NotSent,
    OrderStatus,
    Position,
    Refused,
    Replaced,
    SubmitOutcome,
    Trade,
    UnknownOrder,
    Unreachable,
)
from exchange_kernel.core.venue import Capabilities, GroupRequest, MarketRules, OrderRequest, PriceBand
from exchange_kernel.exchanges.port import Clearance, ClockReading, Closed, Gap, OrderRef, OrderUpdate, StreamFact
from exchange_kernel.exchanges.simulated.accounts import Account
from exchange_kernel.exchanges.simulated.errors import VenueError, bad_symbol, duplicate_order, market_closed, unknown_order
from exchange_kernel.exchanges.simulated.exchange import SimulatedExchange
from exchange_kernel.exchanges.simulated.order_lists import ListReport
from exchange_kernel.exchanges.simulated.orders import Execution, NewOrder, Order, OrderType, Rejection, Report, Side, Status, TimeInForce
from exchange_kernel.exchanges.simulated.symbols import MOST_ABOVE, MOST_BELOW, Symbol
from exchange_kernel.exchanges.simulated.virtual_time import LoopClock

CAPABILITIES = Capabilities(
    client_order_id_codec="hex32",
    client_order_id_max_length=36,
    duplicate_ids_refused=DuplicateIdsRefused.WHILE_OPEN,
    lookup=LookupAuthority.AUTHORITATIVE,
    lookup_delay_ms=50,  # there is none; but what follows an end comes a moment after it, as anywhere
    request_window_ms=1000,  # a call takes no time: none is ever late
    accepts_ahead_ms=0,
    expiry_check=ExpiryCheck.BY_ENGINE,
    retention_ms=100 * 365 * 24 * 3600 * 1000,
    amend=AmendQuantity.NONE,
    cancel_by_client_id=True,
    order_types=frozenset({"Market", "Limit", "StopMarket", "StopLimit", "TakeProfitMarket", "TakeProfitLimit", "TrailingStop"}),
    times_in_force=frozenset({"GTC", "IOC", "FOK"}),
    post_only=True,
    reduce_only=False,
    trigger_prices=frozenset({"Last"}),
    trailing_units=frozenset({"BasisPoints"}),
)

TYPES = {
    "Market": OrderType.MARKET, "Limit": OrderType.LIMIT, "StopMarket": OrderType.STOP_LOSS, "StopLimit": OrderType.STOP_LOSS_LIMIT,
    "TakeProfitMarket": OrderType.TAKE_PROFIT, "TakeProfitLimit": OrderType.TAKE_PROFIT_LIMIT,
}
NAMES = {kind: name for name, kind in TYPES.items()} | {OrderType.LIMIT_MAKER: "Limit"}

#: EXPIRED is the order's own end for these reasons, REJECTED for that of a trigger that came too late, and else the venue's doing.
BY_ITS_TERMS = frozenset({"UNFILLED_IOC_QUANTITY_EXPIRED", "UNFILLED_FOK_ORDER_EXPIRED", "INSUFFICIENT_LIQUIDITY"})
ENDS = {Status.FILLED: OrderStatus.FILLED, Status.CANCELED: OrderStatus.CANCELED, Status.EXPIRED_IN_MATCH: OrderStatus.CANCELED}
DUPLICATE, UNKNOWN, CLOSED = duplicate_order().message, unknown_order().message, market_closed().message


class InProcessExchange:
    """The user's account at a simulated exchange, as the `Exchange` that LocalKernel and its reconcilers speak to.

    clock: the one that the exchange was made with, and the kernel is.
    """

    def __init__(self, exchange: SimulatedExchange, clock: LoopClock) -> None:
        self._engine, self._account, self._clock = exchange.engine, exchange.user, clock
        self._streams: set[asyncio.Queue[StreamFact]] = set()
        self._account.listeners.append(self)

    @property
    def capabilities(self) -> Capabilities:
        return replace(CAPABILITIES, taker_fee=max(self._engine.maker_fee, self._engine.taker_fee))

    @property
    def _symbols(self) -> Mapping[str, Symbol]:
        return {market.symbol.unified: market.symbol for market in self._engine.markets.values()}

    async def clock(self) -> ClockReading:
        now = self._clock.monotonic()
        return ClockReading(self._clock.now_ms(), now, now)

    async def fingerprint(self) -> str:
        return str(self._account.uid)

    async def markets(self, *, reload: bool = False) -> Mapping[str, MarketRules]:
        return {unified: _rules(symbol) for unified, symbol in self._symbols.items() if symbol.listed}

    def recall(self, market: MarketRules) -> None: ...

    async def last_price(self, symbol: str) -> Decimal | Unreachable:
        if (known := self._symbols.get(symbol)) is None:
            return Unreachable("the venue has no such market")
        return self._engine.markets[known.name].tape.last

    # ── What changes something ──────────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def submit(self, request: OrderRequest, clearance: Clearance) -> SubmitOutcome:
        if (closed := _closed(clearance)) is not None:
            return NotSent(closed.reason)
        if (symbol := self._symbols.get(request.symbol)) is None:
            return _refused(bad_symbol())
        try:
            order = self._engine.place(self._account, _new_order(request, symbol))
        except VenueError as error:
            return Duplicate(str(error.code)) if error.message == DUPLICATE else _refused(error)
        return Accepted(_seen(order), _trades(order))

    async def cancel(self, ref: OrderRef, clearance: Clearance) -> CancelOutcome:
        if (closed := _closed(clearance)) is not None:
            return NotSent(closed.reason)
        number = int(ref.exchange_order_id) if ref.exchange_order_id is not None else None
        try:
            order, _ = self._engine.cancel(self._account, self._symbols[ref.symbol], order_id=number, client_order_id=ref.client_order_id)
        except VenueError as error:
            return UnknownOrder(str(error.code)) if error.message == UNKNOWN else Refused(str(error.code), error.message)
        return Accepted(_seen(order), _trades(order))

    async def amend(self, ref: OrderRef, request: OrderRequest, clearance: Clearance) -> AmendOutcome:
        return NotSent("This adapter amends nothing.")

    async def replace(self, ref: OrderRef, request: OrderRequest, clearance: Clearance) -> Replaced:
        nothing = NotSent("This adapter replaces nothing in one request.")
        return Replaced(nothing, nothing)

    async def submit_group(self, request: GroupRequest, clearance: Clearance) -> GroupOutcome:
        return NotSent("This adapter keeps no lists of orders.")

    # ── What only reads ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def lookup(self, ref: OrderRef) -> LookupOutcome:
        number = int(ref.exchange_order_id) if ref.exchange_order_id is not None else None
        order = self._account.find(self._symbols[ref.symbol], number, ref.client_order_id)
        return Found(_seen(order)) if order is not None else NotFound()

    async def lookup_group(self, symbol: str, list_id: str) -> GroupLookupOutcome:
        return NotFound()

    async def open_orders(self, symbol: str | None = None) -> Listing[ExchangeOrder]:
        return Listing(tuple(_seen(order) for order in self._account.open.values() if symbol in (None, order.symbol.unified)), True)

    async def orders(self, symbol: str, since_ms: int) -> Listing[ExchangeOrder]:
        return Listing(tuple(_seen(order) for order in self._account.orders[self._symbols[symbol].name] if order.time >= since_ms), True)

    async def trades(self, symbol: str, *, since_ms: int | None = None, exchange_order_id: str | None = None) -> Listing[Trade]:
        executions = self._account.executions[self._symbols[symbol].name]
        asked = (one for one in executions if one.time >= (since_ms or 0) and exchange_order_id in (None, str(one.order_id)))
        return Listing(tuple(_trade(one) for one in asked), True)

    async def balances(self) -> Listing[Balance]:
        return Listing(tuple(Balance(asset, held.free, held.locked) for asset, held in self._account.balances.items()), True)

    async def positions(self, symbol: str | None = None) -> Listing[Position]:
        return Listing((), True)

    async def stream(self) -> AsyncGenerator[StreamFact, None]:
        queue: asyncio.Queue[StreamFact] = asyncio.Queue()
        self._streams.add(queue)
        try:
            yield Gap.SUBSCRIBED
            while True:
                yield await queue.get()
        finally:
            self._streams.discard(queue)

    async def close(self) -> None: ...

    # ── What the engine tells ───────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def reported(self, report: Report) -> None:
        trade = _trade(report.execution) if report.execution is not None else None
        for queue in self._streams:
            queue.put_nowait(OrderUpdate(_seen(report.order), trade))

    def rejected(self, rejection: Rejection) -> None: ...

    def list_reported(self, report: ListReport) -> None: ...

    def balances_changed(self, account: Account, assets: set[str], time: int) -> None: ...


def _refused(error: VenueError) -> Refused:
    kind = RefusalKind.MARKET_CLOSED if error.message == CLOSED else RefusalKind.MARKET_RULES if error.code in (-1013, -1121) else None
    return Refused(str(error.code), error.message, kind)


def _closed(clearance: Clearance) -> Closed | None:
    stamp = clearance.stamp()
    return stamp if isinstance(stamp, Closed) else clearance.check(stamp)


def _new_order(request: OrderRequest, symbol: Symbol) -> NewOrder:
    """From an activation price on a trailing stop follows a market that has moved in its favour: that is Binance's TAKE_PROFIT with a delta."""
    if request.type == "TrailingStop":
        kind = OrderType.STOP_LOSS if request.trigger_price is None else OrderType.TAKE_PROFIT
    else:
        kind = OrderType.LIMIT_MAKER if request.post_only else TYPES[request.type]
    return NewOrder(
        symbol=symbol, side=Side(request.side.upper()), type=kind, quantity=request.quantity, quote_quantity=request.quote_quantity, price=request.price,
        stop_price=request.trigger_price, trailing_delta=int(request.trailing_offset) if request.trailing_offset is not None else None,
        time_in_force=TimeInForce(request.time_in_force or "GTC"), client_order_id=request.client_order_id,
    )


def _seen(order: Order) -> ExchangeOrder:
    return ExchangeOrder(
        client_order_id=order.client_order_id, exchange_order_id=str(order.order_id), symbol=order.symbol.unified, side=order.side.capitalize(),
        type="TrailingStop" if order.trailing_delta is not None else NAMES[order.type], status=_status(order), quantity=order.quantity or None,
        filled_quantity=order.executed, filled_quote_quantity=order.cumulative_quote, price=order.price or None, trigger_price=order.stop_price,
        trigger_time_ms=order.working_time if order.type.contingent else None, update_time_ms=order.update_time, created_time_ms=order.time,
    )


def _status(order: Order) -> OrderStatus:
    if order.status.open:
        return OrderStatus.OPEN
    if order.status is Status.EXPIRED:
        if order.expiry_reason in BY_ITS_TERMS:
            return OrderStatus.EXPIRED
        return OrderStatus.REJECTED if order.expiry_reason == "REJECTED" else OrderStatus.CANCELED
    return ENDS[order.status]


def _trades(order: Order) -> tuple[Trade, ...]:
    return tuple(_trade(one) for one in order.executions)


def _trade(execution: Execution) -> Trade:
    return Trade(
        trade_id=str(execution.trade_id), symbol=execution.symbol.unified, exchange_order_id=str(execution.order_id), quantity=execution.quantity,
        price=execution.price, time_ms=execution.time, fee=Fee(execution.commission_asset, execution.commission), client_order_id=execution.client_order_id,
    )


def _rules(symbol: Symbol) -> MarketRules:
    return MarketRules(
        symbol=symbol.unified, base=symbol.base, quote=symbol.quote, active=symbol.takes_orders, status="" if symbol.takes_orders else symbol.status,
        venue_id=symbol.name, quantity_step=symbol.step, price_step=symbol.tick,
        min_quantity=symbol.min_quantity, max_quantity=symbol.max_quantity, min_price=symbol.tick, max_price=symbol.max_price,
        min_notional=symbol.min_notional, order_types=_types(symbol), post_only=symbol.order_types is None or OrderType.LIMIT_MAKER in symbol.order_types,
        buy_band=PriceBand(MOST_BELOW, MOST_ABOVE), sell_band=PriceBand(MOST_BELOW, MOST_ABOVE), max_open_orders=symbol.max_orders,
        max_trigger_orders=symbol.max_algo_orders,
    )


def _types(symbol: Symbol) -> frozenset[str]:
    types = {name for name, kind in TYPES.items() if symbol.order_types is None or kind in symbol.order_types}
    return frozenset(types | {"TrailingStop"} if "StopMarket" in types else types)
