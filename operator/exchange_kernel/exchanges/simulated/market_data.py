"""The venue's public endpoints. Source: binance-spot-api-docs, rest-api.md, "General endpoints" and "Market Data endpoints"."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from exchange_kernel.exchanges.simulated import render
from exchange_kernel.exchanges.simulated.errors import bad_combination, bad_symbol, not_valid
from exchange_kernel.exchanges.simulated.exchange import SimulatedExchange
from exchange_kernel.exchanges.simulated.market import Market
from exchange_kernel.exchanges.simulated.parameters import Parameters

MOST_LEVELS = 5000


def ping(exchange: SimulatedExchange, parameters: Parameters) -> Any:
    parameters.finish()
    return {}


def time(exchange: SimulatedExchange, parameters: Parameters) -> Any:
    parameters.finish()
    return {"serverTime": exchange.clock.now_ms()}


def exchange_info(exchange: SimulatedExchange, parameters: Parameters) -> Any:
    for ignored in ("permissions", "showPermissionSets", "symbolStatus"):
        parameters.optional(ignored)
    named = _named(exchange, parameters)
    parameters.finish()
    markets = [market for market in exchange.engine.markets.values() if market.symbol.listed] if named is None else named
    if not all(market.symbol.listed for market in markets):
        raise bad_symbol()
    return {
        "timezone": "UTC", "serverTime": exchange.clock.now_ms(),
        "rateLimits": [exchange.weight_limit.document(), *exchange.order_limits[exchange.user.uid].document()], "exchangeFilters": [],
        "symbols": [render.market(market.symbol) for market in markets],
    }


def price(exchange: SimulatedExchange, parameters: Parameters) -> Any:
    return _of_markets(exchange, parameters, render.last_price)


def book_ticker(exchange: SimulatedExchange, parameters: Parameters) -> Any:
    return _of_markets(exchange, parameters, render.best_prices)


def day_ticker(exchange: SimulatedExchange, parameters: Parameters) -> Any:
    parameters.optional("type")
    return _of_markets(exchange, parameters, render.statistics)


def depth(exchange: SimulatedExchange, parameters: Parameters) -> Any:
    market = exchange.engine.market(parameters.text("symbol"))
    limit = parameters.optional_integer("limit")
    parameters.finish()
    return render.depth(market, min(100 if limit is None else limit, MOST_LEVELS), update_id=exchange.clock.now_ms())


def _of_markets(exchange: SimulatedExchange, parameters: Parameters, shape: Callable[[Market], Any]) -> Any:
    """One object for `symbol`, a list otherwise."""
    one = "symbol" in parameters
    named = _named(exchange, parameters)
    parameters.finish()
    documents = [shape(market) for market in (exchange.engine.markets.values() if named is None else named)]
    return documents[0] if one else documents


def _named(exchange: SimulatedExchange, parameters: Parameters) -> list[Market] | None:
    """The markets that `symbol` or `symbols` name; None if neither was sent."""
    one, several = parameters.optional("symbol"), parameters.optional("symbols")
    if one is not None and several is not None:
        raise bad_combination()
    if one is not None:
        return [exchange.engine.market(one)]
    if several is None:
        return None
    try:
        names = orjson.loads(several)
    except orjson.JSONDecodeError:
        raise not_valid("symbols") from None
    if not isinstance(names, list) or not names:
        raise not_valid("symbols")
    if not all(isinstance(name, str) for name in names):
        raise bad_symbol()
    return [exchange.engine.market(name) for name in names]
