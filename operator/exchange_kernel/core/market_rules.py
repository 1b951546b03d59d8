"""From what the user wants to what a market takes: the request on the market's grid, and what a market would refuse, said before it is asked."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from decimal import Decimal

from exchange_kernel.api import ExecutionPolicy, MarketType, OrderIntentSpec, OrderTerms, PositionEffect, TrailingUnit, TriggerPriceType
from exchange_kernel.core.money import is_whole, multiply, plain, quantise_price, quantise_quantity, quantise_trigger
from exchange_kernel.core.venue import Capabilities, GroupRequest, MarketRules, OrderRequest
from exchange_kernel.schema import StandardOrder

#: Types that wake when the market has moved against them.
STOPS = frozenset({"StopMarket", "StopLimit", "TrailingStop"})

#: Types that wait for a price.
TRIGGERED = frozenset({"StopMarket", "StopLimit", "TakeProfitMarket", "TakeProfitLimit", "TrailingStop"})


def market_type_of(symbol: str) -> MarketType | None:
    """The kind of market that a unified symbol names, where it is written as ccxt does: BASE/QUOTE, :SETTLE, -EXPIRY, -STRIKE-C."""
    if "/" not in symbol:
        return None
    _, _, contract = symbol.partition(":")
    if not contract:
        return MarketType.SPOT
    return (MarketType.SWAP, MarketType.FUTURE)[contract.count("-")] if contract.count("-") < 2 else MarketType.OPTION


def request_for(spec: OrderIntentSpec | StandardOrder, client_order_id: str, market: MarketRules, *, quantity: Decimal | None) -> OrderRequest:
    """The order as it goes on the wire: quantity rounded down, the price never past the user's limit."""
    return OrderRequest(
        client_order_id=client_order_id,
        symbol=market.symbol,
        side=spec.side,
        type=spec.type,
        quantity=None if quantity is None else quantise_quantity(quantity, market.quantity_step),
        quote_quantity=spec.quote_quantity,
        price=None if spec.price is None else quantise_price(spec.price, market.price_step, spec.side),
        trigger_price=None if spec.trigger_price is None else quantise_trigger(spec.trigger_price, market.price_step),
        trigger_price_type=(spec.trigger_price_type or TriggerPriceType.LAST) if spec.type in TRIGGERED else None,
        trailing_offset=spec.trailing.offset if spec.trailing is not None else None,
        trailing_unit=spec.trailing.unit if spec.trailing is not None else None,
        position_side=spec.position_side,
        # Absent on a limit order means good till cancelled, as on every venue.
        time_in_force=(spec.time_in_force or "GTC") if spec.price is not None else None,
        expire_time_ms=int(spec.expire_time.timestamp() * 1000) if spec.expire_time is not None else None,
        post_only=spec.execution_policy is ExecutionPolicy.POST_ONLY,
        reduce_only=spec.position_effect is PositionEffect.REDUCE_ONLY,
    )


def emulates_gtd(venue: Capabilities) -> bool:
    """Return whether the operator ends GTD orders itself, as the venue has none.

    They are sent as GTC, and cancelled at their time.
    """
    return "GTD" not in venue.times_in_force and "GTC" in venue.times_in_force


def as_sent(request: OrderRequest, venue: Capabilities) -> OrderRequest:
    """Return the request as its venue takes it: GTD as GTC where the operator keeps the time."""
    if request.time_in_force != "GTD" or not emulates_gtd(venue):
        return request
    return replace(request, time_in_force="GTC", expire_time_ms=None)


def too_small(terms: OrderTerms, quantity: Decimal, market: MarketRules) -> bool:
    """Whether the market takes no order of so little, at these terms' own price."""
    smallest = max(market.min_quantity or Decimal(0), market.quantity_step or Decimal(0))
    price = terms.price or terms.trigger_price
    cheap = price is not None and market.min_notional is not None and multiply(quantity, price) < market.min_notional
    return quantity <= 0 or quantity < smallest or cheap


def unacceptable(request: OrderRequest, market: MarketRules, venue: Capabilities) -> str | None:
    """Why the market or its venue would refuse this request, as a sentence that says what to change; None if nothing is known against it."""
    if (problem := not_offered(request.type, venue.order_types)) is not None:
        return problem
    if (problem := not_on_market(request, market)) is not None:
        return problem
    request = as_sent(request, venue)
    if request.time_in_force is not None and request.time_in_force not in venue.times_in_force:
        return f"This exchange's adapter has no timeInForce {request.time_in_force}: use one of {', '.join(sorted(venue.times_in_force))}."
    if request.trigger_price_type is not None and request.trigger_price_type not in venue.trigger_prices:
        return f"This exchange's adapter has no triggerPriceType {request.trigger_price_type}: use one of {', '.join(sorted(venue.trigger_prices))}."
    if request.trailing_unit is not None and request.trailing_unit not in venue.trailing_units:
        return f"This exchange's adapter has no trailing.unit {request.trailing_unit}: use one of {', '.join(sorted(venue.trailing_units))}."
    if request.trailing_unit == TrailingUnit.BASIS_POINTS and request.trailing_offset is not None and not is_whole(request.trailing_offset):
        return "trailing.offset counts whole basis points: use a whole number."
    if request.position_side is not None and not venue.hedge_mode:
        return "This account has one position per market: remove spec.positionSide."
    if request.post_only and not venue.post_only:
        return "This exchange's adapter has no post-only orders: set executionPolicy: Any."
    if request.reduce_only and not venue.reduce_only:
        return "This market has no reduce-only orders: set positionEffect: Any."
    return breaks_rules(request, market)


def unsent_parameters(terms: OrderTerms | StandardOrder) -> str | None:
    """Why an order with exchangeParameters is not sent, as a sentence: no adapter sends any yet, and none is dropped in silence."""
    if not terms.exchange_parameters:
        return None
    return f"This exchange's adapter sends no exchangeParameters, and {', '.join(sorted(terms.exchange_parameters))} would be lost: remove them."


def not_offered(order_type: str, offered: Collection[str]) -> str | None:
    """As `unacceptable`, of an order's type alone."""
    return None if order_type in offered else f"This exchange's adapter has no orders of type {order_type}: use one of {', '.join(sorted(offered))}."


def halted(market: MarketRules) -> str | None:
    """Why nothing can be sent to the market now, as a sentence; None if it is open. It may open again: this is a reason to wait."""
    if market.active:
        return None
    word = f" (status {market.status})" if market.status else ""
    return f"The market is not open for trading at the exchange{word}: the order is sent once it opens, if that is before its submit deadline."


def not_on_market(request: OrderRequest, market: MarketRules) -> str | None:
    """As `unacceptable`, of what this market lacks among what its venue has."""
    if market.order_types is not None and request.type not in market.order_types:
        return f"The market {market.symbol} has no orders of type {request.type}: use one of {', '.join(sorted(market.order_types))}."
    if request.post_only and market.post_only is False:
        return f"The market {market.symbol} has no post-only orders: set executionPolicy: Any."
    return None


def out_of_band(request: OrderRequest, market: MarketRules, reference: Decimal) -> str | None:
    """Why a limit price is too far from the market, where the market is at `reference`."""
    band = market.band(request.side)
    if band is None or request.price is None:
        return None
    lowest, highest = multiply(reference, band.lowest), multiply(reference, band.highest)
    if lowest <= request.price <= highest:
        return None
    where = f"between {plain(band.lowest)} and {plain(band.highest)} times the market's price"
    return f"price is too far from the market, which takes prices of this side {where}: bring spec.price nearer."


def breaks_rules(request: OrderRequest, market: MarketRules) -> str | None:
    """As `unacceptable`, of the market's steps and limits alone."""
    quantity, price = request.quantity, request.price
    if quantity is not None:
        smallest = max(market.min_quantity or Decimal(0), market.quantity_step or Decimal(0))
        if quantity < smallest or quantity == 0:
            return f"quantity is below the market's smallest order of {plain(smallest)} {market.base}: raise spec.quantity."
        if market.max_quantity is not None and quantity > market.max_quantity:
            return f"quantity is above the market's largest order of {plain(market.max_quantity)} {market.base}: lower spec.quantity, or split the order."
    if price is not None:
        if market.min_price is not None and price < market.min_price:
            return f"price is below the market's lowest of {plain(market.min_price)} {market.quote}: raise spec.price."
        if market.max_price is not None and price > market.max_price:
            return f"price is above the market's highest of {plain(market.max_price)} {market.quote}: lower spec.price."
        if quantity is not None and market.min_notional is not None and multiply(quantity, price) < market.min_notional:
            return f"quantity times price is below the market's smallest notional of {plain(market.min_notional)} {market.quote}: raise spec.quantity."
    if request.trigger_price is not None and request.trigger_price == 0:
        return f"triggerPrice is below the market's price step of {plain(market.price_step or Decimal(0))} {market.quote}: raise spec.triggerPrice."
    if request.quote_quantity is not None and market.min_notional is not None and request.quote_quantity < market.min_notional:
        return f"quoteQuantity is below the market's smallest notional of {plain(market.min_notional)} {market.quote}: raise spec.quoteQuantity."
    return None


def group_unacceptable(request: GroupRequest, market: MarketRules, venue: Capabilities) -> str | None:
    """Why the venue can't keep these orders as one list, as a sentence; None if nothing is known against it. Its orders can still be sent one by one."""
    if request.mode not in venue.native_groups:
        return f"This exchange's adapter has no order lists of mode {request.mode}."
    if market.native_groups is not None and request.mode not in market.native_groups:
        return f"The market {market.symbol} has no order lists of mode {request.mode}."
    requests = [leg.request for leg in request.legs]
    for one in requests:
        if one.symbol != market.symbol:
            return "An order list is of one market."
        if one.quantity is None:
            return "An order list has no orders by quote quantity."
        if as_sent(one, venue) is not one:
            return "This exchange has no GTD, and the operator keeps no time of an order in its list: use timeInForce GTC, or nativePolicy: Never."
        if (problem := unacceptable(one, market, venue)) is not None:
            return problem
    match request.mode, requests:
        case "OneCancelsOther", [_, _]:
            return _pair_unacceptable(requests)
        case "OneTriggersOther", [first, _]:
            return None if first.type == "Limit" else "The order that triggers the other is of type Limit."
        case "Bracket", [first, *exits] if len(exits) == 2:
            return _pair_unacceptable(exits) if first.type == "Limit" else "The entry of a bracket is of type Limit."
    return f"An order list of mode {request.mode} has another number of orders."


def _pair_unacceptable(pair: list[OrderRequest]) -> str | None:
    """Two orders of which one cancels the other: a profit and a loss of the same size. The limit order among them rests, or is refused."""
    first, second = pair
    if (first.side, first.quantity) != (second.side, second.quantity):
        return "The two orders of which one cancels the other have the same side and quantity."
    if sorted(one.type in STOPS for one in pair) != [False, True] or any(one.type == "Market" for one in pair):
        return "Of two orders of which one cancels the other, one is of type Limit, TakeProfitMarket or TakeProfitLimit, and the other a stop."
    if any(one.type == "TrailingStop" and one.trigger_price is not None for one in pair):
        return "A TrailingStop of an order list follows the market from the start: remove its triggerPrice."
    if any(one.type == "Limit" and one.time_in_force not in (None, "GTC") for one in pair):
        return "A Limit order of which one cancels the other rests until it is filled: use timeInForce GTC."
    return None
