"""What tests and demos do to the venue: faults, fills on cue, the clock, and the venue's own truth. Not signed, and not part of any real venue."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Literal, Protocol, TypeVar

import orjson
from aiohttp import web
from aiohttp.typedefs import Handler
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.alias_generators import to_camel

from exchange_kernel.exchanges.simulated import render
from exchange_kernel.exchanges.simulated.accounts import Account
from exchange_kernel.exchanges.simulated.errors import VenueError
from exchange_kernel.exchanges.simulated.exchange import SimulatedExchange
from exchange_kernel.exchanges.simulated.faults import Network, RequestFault
from exchange_kernel.exchanges.simulated.orders import Order
from exchange_kernel.exchanges.simulated.perpetual.control import ledger
from exchange_kernel.exchanges.simulated.stream import Streams
from exchange_kernel.exchanges.simulated.symbols import Symbol

M = TypeVar("M", bound=BaseModel)


class Door(Protocol):
    """The venue's own port."""

    async def open(self) -> None: ...

    async def shut(self, *, but: web.Request) -> None:
        """Connections are refused from now on, and dropped but that of this request."""
        ...


class _Command(BaseModel):
    model_config = ConfigDict(extra="forbid", alias_generator=to_camel, populate_by_name=True)


class VisibilityDelay(_Command):
    do: Literal["visibility-delay"]
    ms: int = Field(ge=0)


class DropEvents(_Command):
    do: Literal["drop-events"]
    count: int = Field(ge=0)


class UnreliableStream(_Command):
    """Until it is lifted: the probability of each event to get lost, and of the others to arrive twice."""

    do: Literal["unreliable-stream"]
    loss: float = Field(default=0, ge=0, le=1)
    duplication: float = Field(default=0, ge=0, le=1)


class StreamFault(_Command):
    do: Literal["disconnect-stream", "terminate-stream"]


class Silence(_Command):
    do: Literal["silence"]
    mode: Literal["hang", "refuse"] = "hang"


class Lift(_Command):
    do: Literal["lift"]


FAULT: TypeAdapter[RequestFault | VisibilityDelay | DropEvents | UnreliableStream | StreamFault | Silence | Lift] = TypeAdapter(
    Annotated[RequestFault | VisibilityDelay | DropEvents | UnreliableStream | StreamFault | Silence | Lift, Field(discriminator="do")])


class Price(_Command):
    symbol: str
    price: Decimal = Field(gt=0)


class Fill(_Command):
    order_id: int | None = None
    client_order_id: str | None = None
    quantity: Decimal | None = Field(default=None, gt=0)       # unsaid: all that is left


class MarketCommand(_Command):
    """Done in the order of its fields."""

    maker: Literal["start", "stop"] | None = None
    price: Price | None = None
    fill: Fill | None = None
    ticks: int = Field(default=0, ge=0, le=10_000)


class ClockCommand(_Command):
    offset_ms: int


class KeyCommand(_Command):
    api_key: str
    api_secret: str
    uid: int | None = None          # of the account that it opens; unsaid: a new one


class ControlError(Exception):
    """What was asked for can't be done; the text says what to do instead."""


class Control:
    def __init__(self, exchange: SimulatedExchange, streams: Streams, door: Door) -> None:
        self._exchange = exchange
        self._streams = streams
        self._door = door

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/control/faults", self._show_faults), web.post("/control/faults", self._set_fault), web.delete("/control/faults", self._lift),
            web.get("/control/market", self._show_market), web.post("/control/market", self._move_market),
            web.post("/control/clock", self._set_clock), web.post("/control/keys", self._add_key),
            web.get("/control/ledger", self._show_ledger),
            web.get("/control/requests", self._show_requests), web.post("/control/requests/reset", self._reset_requests),
        ]

    # ── Faults ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _show_faults(self, request: web.Request) -> web.Response:
        return _json({**self._exchange.faults.document(), "visibilityDelayMs": self._exchange.visibility.delay_ms})

    async def _set_fault(self, request: web.Request) -> web.Response:
        match FAULT.validate_json(await request.read()):
            case RequestFault() as fault:
                self._exchange.faults.add(fault)
            case VisibilityDelay(ms=ms):
                self._exchange.visibility.delay_ms = ms
            case DropEvents(count=count):
                self._exchange.faults.events_to_drop = count
            case UnreliableStream(loss=loss, duplication=duplication):
                self._exchange.faults.event_loss, self._exchange.faults.event_duplication = loss, duplication
            case StreamFault(do="disconnect-stream"):
                self._streams.disconnect()
            case StreamFault():
                self._streams.terminate()
            case Silence(mode=mode):
                self._exchange.faults.network = Network(mode)
                if mode == "refuse":
                    await self._door.shut(but=request)
            case Lift():
                return await self._lift(request)
        return await self._show_faults(request)

    async def _lift(self, request: web.Request) -> web.Response:
        """All is as it was at the start, but what was hidden shows at once."""
        self._exchange.faults.lift()
        self._exchange.visibility.delay_ms = self._exchange.settings.visibility_delay_ms
        self._exchange.visibility.reveal()
        await self._door.open()
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
        if command.price is not None:
            maker.set_price(self._symbol(command.price.symbol), command.price.price)
        if command.fill is not None:
            account, order = self._resting(command.fill)
            answer["trade"] = render.traded(self._exchange.engine.fill(self._exchange.taker, order, command.fill.quantity))
            answer["order"] = _entry(account, order)
        for _ in range(command.ticks):
            maker.tick()
        return _json({**self._market(), **answer})

    def _market(self) -> dict[str, Any]:
        return {
            "maker": "started" if self._exchange.maker.running else "stopped",
            "markets": {
                market.symbol.unified: {"middle": render.money(self._exchange.maker.price(market.symbol)), **render.best_prices(market)}
                for market in self._exchange.engine.markets.values()
            },
        }

    def _symbol(self, name: str) -> Symbol:
        for market in self._exchange.engine.markets.values():
            if name in (market.symbol.name, market.symbol.unified):
                return market.symbol
        raise ControlError(f"there is no market {name}: {', '.join(market.symbol.unified for market in self._exchange.engine.markets.values())}")

    def _resting(self, fill: Fill) -> tuple[Account, Order]:
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


@web.middleware
async def plainly(request: web.Request, handler: Handler) -> web.StreamResponse:
    """What can't be done is told in words, not as a failure of the server."""
    try:
        return await handler(request)
    except (ValidationError, ControlError, VenueError) as wrong:
        return _json({"error": str(wrong)}, status=400)


def _entry(account: Account, order: Order) -> dict[str, Any]:
    return {**render.queried(order), "uid": account.uid, "unified": order.symbol.unified}


async def _read(kind: type[M], request: web.Request) -> M:
    return kind.model_validate_json(await request.read())


def _json(document: Any, *, status: int = 200) -> web.Response:
    return web.Response(status=status, body=orjson.dumps(document), content_type="application/json")


