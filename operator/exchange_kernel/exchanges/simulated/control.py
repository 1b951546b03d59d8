"""What tests and demos do to the venue: faults, fills on cue, the clock, and the venue's own truth. Not signed, and not part of any real venue."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Literal, TypeVar

import orjson
from aiohttp import web
from aiohttp.typedefs import Handler
from pydantic import BaseModel, Field, ValidationError

from exchange_kernel.exchanges.simulated import render
from exchange_kernel.exchanges.simulated.accounts import Account
from exchange_kernel.exchanges.simulated.commands import FAULT, Breaker, Command
from exchange_kernel.exchanges.simulated.errors import VenueError
from exchange_kernel.exchanges.simulated.exchange import SimulatedExchange
from exchange_kernel.exchanges.simulated.orders import Order
from exchange_kernel.exchanges.simulated.perpetual.control import ledger
from exchange_kernel.exchanges.simulated.presets import read_fault
from exchange_kernel.exchanges.simulated.symbols import Symbol, SymbolStatus

M = TypeVar("M", bound=BaseModel)


class Price(Command):
    symbol: str
    price: Decimal = Field(gt=0)


class Change(Command):
    """What is not said stays."""

    symbol: str
    status: SymbolStatus | None = None
    listed: bool | None = None      # False: exchangeInfo lacks it, and it takes no orders; those that are there can be asked for and cancelled
    tick: Decimal | None = Field(default=None, gt=0)
    step: Decimal | None = Field(default=None, gt=0)
    min_quantity: Decimal | None = Field(default=None, gt=0)
    min_notional: Decimal | None = Field(default=None, gt=0)


class Named(Command):
    fault: str


class OrderName(Command):
    order_id: int | None = None
    client_order_id: str | None = None


class Fill(OrderName):
    quantity: Decimal | None = Field(default=None, gt=0)       # unsaid: all that is left


class Bust(Command):
    symbol: str
    trade_id: int


class MarketCommand(Command):
    """Done in the order of its fields."""

    maker: Literal["start", "stop"] | None = None
    change: Change | None = None
    price: Price | None = None
    fill: Fill | None = None
    fills: list[Fill] = Field(default_factory=list)         # all or none, before anything is told of any
    expire: OrderName | None = None
    bust: Bust | None = None
    ticks: int = Field(default=0, ge=0, le=10_000)


class ClockCommand(Command):
    offset_ms: int


class KeyCommand(Command):
    api_key: str
    api_secret: str
    uid: int | None = None          # of the account that it opens; unsaid: a new one


class ControlError(Exception):
    """What was asked for can't be done; the text says what to do instead."""


class Control:
    def __init__(self, exchange: SimulatedExchange, breaker: Breaker) -> None:
        self._exchange = exchange
        self._breaker = breaker

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/control/faults", self._show_faults), web.post("/control/faults", self._set_fault), web.delete("/control/faults", self._lift),
            web.get("/control/market", self._show_market), web.post("/control/market", self._move_market),
            web.post("/control/clock", self._set_clock), web.post("/control/keys", self._add_key),
            web.get("/control/ledger", self._show_ledger),
            web.get("/control/requests", self._show_requests), web.post("/control/requests/reset", self._reset_requests),
            web.get("/control/timeline", self._show_timeline),
        ]

    # ── Faults ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _show_faults(self, request: web.Request) -> web.Response:
        return _json(self._breaker.document())

    async def _set_fault(self, request: web.Request) -> web.Response:
        """JSON of a fault, or `{"fault": "its name"}` with what is to be otherwise behind commas, as for --fault."""
        body = await request.read()
        try:
            named = Named.model_validate_json(body)
        except ValidationError:
            fault = FAULT.validate_json(body)
        else:
            fault = read_fault(named.fault)
        await self._breaker.set(fault, by=request)
        return await self._show_faults(request)

    async def _lift(self, request: web.Request) -> web.Response:
        await self._breaker.lift()
        return await self._show_faults(request)

    # ── The market ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _show_market(self, request: web.Request) -> web.Response:
        return _json(self._market())

    async def _move_market(self, request: web.Request) -> web.Response:
        command, maker = await _read(MarketCommand, request), self._exchange.maker
        answer: dict[str, Any] = {}
        if command.maker == "start":
            maker.start()
        elif command.maker == "stop":
            maker.stop()
        if command.change is not None:
            changes = command.change.model_dump(exclude={"symbol"}, exclude_none=True)
            self._exchange.change_market(self._symbol(command.change.symbol).unified, **changes)
        if command.price is not None:
            maker.set_price(self._symbol(command.price.symbol), command.price.price)
        if command.fill is not None:
            account, order = self._resting(command.fill)
            answer["trade"] = render.traded(self._exchange.engine.fill(self._exchange.taker, order, command.fill.quantity))
            answer["order"] = _entry(account, order)
        if command.fills:
            answer["trades"] = self._fill_all(command.fills)
        if command.expire is not None:
            account, order = self._resting(command.expire)
            self._exchange.engine.expire(order)
            answer["order"] = _entry(account, order)
        if command.bust is not None:
            self._bust(command.bust)
        for _ in range(command.ticks):
            maker.tick()
        return _json({**self._market(), **answer})

    def _market(self) -> dict[str, Any]:
        return {
            "maker": "started" if self._exchange.maker.running else "stopped",
            "markets": {
                market.symbol.unified: {
                    "middle": render.money(self._exchange.maker.price(market.symbol)), **render.best_prices(market),
                    "status": market.symbol.status, "listed": market.symbol.listed,
                }
                for market in self._exchange.engine.markets.values()
            },
        }

    def _symbol(self, name: str) -> Symbol:
        for market in self._exchange.engine.markets.values():
            if name in (market.symbol.name, market.symbol.unified):
                return market.symbol
        raise ControlError(f"there is no market {name}: {', '.join(market.symbol.unified for market in self._exchange.engine.markets.values())}")

    def _fill_all(self, fills: list[Fill]) -> list[Any]:
        """Nothing is awaited in between: what is told of the first is told when the last is done."""
        found = [(self._resting(fill)[1], fill.quantity) for fill in fills]
        return [render.traded(execution) for execution in self._exchange.engine.fill_together(self._exchange.taker, found)]

    def _bust(self, bust: Bust) -> None:
        symbol = self._symbol(bust.symbol)
        sides = [
            (order, execution)
            for account in self._exchange.accounts for execution in account.executions[symbol.name] if execution.trade_id == bust.trade_id
            for order in account.orders[symbol.name] if order.order_id == execution.order_id
        ]
        if not sides:
            raise ControlError("no account has a trade of this tradeId in this market: /control/ledger lists all trades")
        for order, execution in sides:
            self._exchange.engine.bust(order, execution)

    def _resting(self, fill: OrderName) -> tuple[Account, Order]:
        for account in self._exchange.accounts:
            for order in account.open.values():
                if order.order_id == fill.order_id or (fill.order_id is None and order.client_order_id == fill.client_order_id):
                    return account, order
        raise ControlError("no open order has this orderId or clientOrderId: /control/ledger lists all orders")

    # ── Time, keys, truth ───────────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _set_clock(self, request: web.Request) -> web.Response:
        self._exchange.clock.offset_ms = (await _read(ClockCommand, request)).offset_ms
        return _json({"offsetMs": self._exchange.clock.offset_ms, "nowMs": self._exchange.clock.now_ms()})

    async def _add_key(self, request: web.Request) -> web.Response:
        command = await _read(KeyCommand, request)
        account = next((one for one in self._exchange.accounts if one.uid == command.uid), None)
        if command.uid is not None and account is None:
            raise ControlError(f"there is no account {command.uid}: /control/ledger lists them")
        try:
            if account is None:
                account = self._exchange.open_account(command.api_key, command.api_secret)
            else:
                self._exchange.share_account(command.api_key, command.api_secret, account)
        except ValueError as wrong:
            raise ControlError(str(wrong)) from None
        return _json({"uid": account.uid})

    async def _show_ledger(self, request: web.Request) -> web.Response:
        """Every order that was ever accepted, every trade, and the balances, hidden or not."""
        accounts = self._exchange.accounts
        return _json({
            "nowMs": self._exchange.clock.now_ms(),
            "orders": [_entry(account, order) for account in accounts for orders in account.orders.values() for order in orders],
            "trades": [
                {**render.traded(trade), "clientOrderId": trade.client_order_id, "uid": account.uid}
                for account in accounts for trades in account.executions.values() for trade in trades
            ],
            "balances": {str(account.uid): render.balances(account, omit_zero=False) for account in accounts},
            "fees": {asset: render.money(fee) for asset, fee in sorted(self._exchange.engine.fees.items())},
            "perpetual": ledger(self._exchange.perpetual),
            **self._exchange.requests.document(),
        })

    async def _show_requests(self, request: web.Request) -> web.Response:
        limit = self._exchange.weight_limit
        return _json({**self._exchange.requests.document(), "usedWeight": limit.used, "weightLimit": limit.limit})

    async def _reset_requests(self, request: web.Request) -> web.Response:
        self._exchange.requests.reset()
        return await self._show_requests(request)

    async def _show_timeline(self, request: web.Request) -> web.Response:
        return _json({"moments": self._exchange.timeline.document()})


@web.middleware
async def plainly(request: web.Request, handler: Handler) -> web.StreamResponse:
    """What can't be done is told in words, not as a failure of the server."""
    try:
        return await handler(request)
    except (ValueError, ControlError, VenueError) as wrong:
        return _json({"error": str(wrong)}, status=400)


def _entry(account: Account, order: Order) -> dict[str, Any]:
    return {**render.queried(order), "uid": account.uid, "unified": order.symbol.unified}


async def _read(kind: type[M], request: web.Request) -> M:
    return kind.model_validate_json(await request.read())


def _json(document: Any, *, status: int = 200) -> web.Response:
    return web.Response(status=status, body=orjson.dumps(document), content_type="application/json")


