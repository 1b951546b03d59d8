"""From what the user wants to what a market takes: the request on the market's grid, and what a market would refuse, said before it is asked."""

from __future__ import annotations

from decimal import Decimal

from exchange_kernel.api import ExecutionPolicy, OrderIntentSpec, OrderTerms, PositionEffect, TriggerPriceType
from exchange_kernel.core.money import multiply, plain, quantise_price, quantise_quantity, quantise_trigger
from exchange_kernel.core.venue import Capabilities, MarketRules, OrderRequest

#: Types that wait for a price.
TRIGGERED = frozenset({"StopMarket", "StopLimit", "TakeProfitMarket", "TakeProfitLimit", "TrailingStop"})


def request_for(spec: OrderIntentSpec, client_order_id: str, market: MarketRules, *, quantity: Decimal | None) -> OrderRequest:
    """The order as it goes on the wire: quantity rounded down, the price never past the user's limit."""
    return OrderRequest(
        client_order_id=client_order_id,
        symbol=spec.symbol,
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


def too_small(terms: OrderTerms, quantity: Decimal, market: MarketRules) -> bool:
    """Whether the market takes no order of so little, at these terms' own price."""
    smallest = max(market.min_quantity or Decimal(0), market.quantity_step or Decimal(0))
    price = terms.price or terms.trigger_price
    cheap = price is not None and market.min_notional is not None and multiply(quantity, price) < market.min_notional
    return quantity <= 0 or quantity < smallest or cheap


def unacceptable(request: OrderRequest, market: MarketRules, venue: Capabilities) -> str | None:
    """Why the market or its venue would refuse this request, as a sentence that says what to change; None if nothing is known against it."""
    if request.type not in venue.order_types:
        return f"This exchange's adapter has no orders of type {request.type}: use one of {', '.join(sorted(venue.order_types))}."
    if request.time_in_force is not None and request.time_in_force not in venue.times_in_force:
        return f"This exchange's adapter has no timeInForce {request.time_in_force}: use one of {', '.join(sorted(venue.times_in_force))}."
    if request.trigger_price_type is not None and request.trigger_price_type not in venue.trigger_prices:
        return f"This exchange's adapter has no triggerPriceType {request.trigger_price_type}: use one of {', '.join(sorted(venue.trigger_prices))}."
    if request.trailing_unit is not None and request.trailing_unit not in venue.trailing_units:
        return f"This exchange's adapter has no trailing.unit {request.trailing_unit}: use one of {', '.join(sorted(venue.trailing_units))}."
    if request.position_side is not None and not venue.hedge_mode:
        return "This account has one position per market: remove spec.positionSide."
    if request.post_only and not venue.post_only:
        return "This exchange's adapter has no post-only orders: set executionPolicy: Any."
    if request.reduce_only and not venue.reduce_only:
        return "This market has no reduce-only orders: set positionEffect: Any."
    if not market.active:
        return "The market is not open for trading: check its status at the exchange."
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
