"""What tests and demos do to the perpetual venue, and its truth. Faults, clock and keys are the port's: `simulated/control.py`."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Literal

import orjson
from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from exchange_kernel.exchanges.simulated.perpetual import render
from exchange_kernel.exchanges.simulated.perpetual.contracts import Contract
from exchange_kernel.exchanges.simulated.perpetual.errors import PerpetualError, no_such_order
from exchange_kernel.exchanges.simulated.perpetual.orders import Order
from exchange_kernel.exchanges.simulated.perpetual.venue import PerpetualVenue


class _Command(BaseModel):
    model_config = ConfigDict(extra="forbid", alias_generator=to_camel, populate_by_name=True)


class Price(_Command):
    contract: str                   # BTC_USDT, or as ccxt writes it
    price: Decimal = Field(gt=0)    # the mark


class Fill(_Command):
    order_id: int | None = None
    text: str | None = None
    size: int | None = Field(default=None, gt=0)       # unsaid: all that is left


class MarketCommand(_Command):
    """Done in the order of its fields."""

    maker: Literal["start", "stop"] | None = None
    price: Price | None = None
    fill: Fill | None = None


class PerpetualControl:
    def __init__(self, venue: PerpetualVenue) -> None:
        self._venue = venue

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/control/perpetual/market", self._show), web.post("/control/perpetual/market", self._move)]

    async def _show(self, request: web.Request) -> web.Response:
        return _json(self._markets())

    async def _move(self, request: web.Request) -> web.Response:
        command, venue = MarketCommand.model_validate_json(await request.read()), self._venue
        answer: dict[str, Any] = {}
        try:
            if command.maker is not None:
                venue.maker.start() if command.maker == "start" else venue.maker.stop()
            if command.price is not None:
                venue.maker.set_price(self._contract(command.price.contract), command.price.price)
            if command.fill is not None:
                order = self._resting(command.fill)
                answer["trade"] = render.trade(venue.engine.fill(venue.taker, order, command.fill.size))
                answer["order"] = render.order(order, venue.engine)
        except PerpetualError as refused:
            return _json({"error": str(refused)}, status=400)
        return _json({**self._markets(), **answer})

    def _markets(self) -> dict[str, Any]:
        return {
            "maker": "started" if self._venue.maker.running else "stopped",
            "contracts": {market.contract.unified: render.ticker(market) for market in self._venue.engine.markets.values()},
        }

    def _contract(self, name: str) -> Contract:
        found = next((market.contract for market in self._venue.engine.markets.values() if market.contract.unified == name), None)
        return self._venue.engine.market(name).contract if found is None else found

    def _resting(self, fill: Fill) -> Order:
        for account in self._venue.accounts.values():
            for order in account.open.values():
                if order.order_id == fill.order_id or (fill.order_id is None and order.text == fill.text):
                    return order
        raise no_such_order()


def ledger(venue: PerpetualVenue) -> dict[str, Any]:
    """Every order that was ever accepted, every trade, every position and the money, hidden or not."""
    accounts = venue.accounts.values()
    return {
        "orders": [
            {**render.order(order, venue.engine), "unified": order.contract.unified} for account in accounts for order in account.orders.values()
        ],
        "trades": [{**render.trade(trade), "user": account.uid} for account in accounts for trade in account.executions],
        "positions": [render.position(account, position, venue.engine) for account in accounts for position in account.positions.values()],
        "accounts": [render.account(account, venue.engine) for account in accounts],
        "fees": render.money(venue.engine.fees),
    }


def _json(document: Any, *, status: int = 200) -> web.Response:
    return web.Response(status=status, body=orjson.dumps(document), content_type="application/json")
