"""Exact decimals on a market's grid. Nothing here depends on the decimal context, which ccxt changes for the whole process."""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_FLOOR, ROUND_HALF_EVEN, Context, Decimal

from exchange_kernel.api import plain as plain

#: Wide enough for 18-decimal assets times 40-character prices; used explicitly, so that nobody else's context decides how our money rounds.
EXACT = Context(prec=100)

ZERO = Decimal(0)

LARGEST_PRICE = 38  # digits before the point: a status has room for 40 characters


def quantise_quantity(quantity: Decimal, step: Decimal | None) -> Decimal:
    """The largest multiple of `step` not above `quantity`: never more than was asked for."""
    return _to_step(quantity, step, ROUND_DOWN)


def quantise_price(price: Decimal, step: Decimal | None, side: str) -> Decimal:
    """The nearest price on the grid that is no worse than the limit: down for a Buy, up for a Sell."""
    return _to_step(price, step, ROUND_FLOOR if side == "Buy" else ROUND_CEILING)


def quantise_trigger(price: Decimal, step: Decimal | None) -> Decimal:
    """The nearest price on the grid: a trigger is where an order wakes, and neither side of it is worse."""
    return _to_step(price, step, ROUND_HALF_EVEN)


def _to_step(value: Decimal, step: Decimal | None, rounding: str) -> Decimal:
    if step is None or step == 0:
        return value
    steps = EXACT.divide(value, step).to_integral_value(rounding=rounding, context=EXACT)
    return EXACT.multiply(steps, step)


def is_whole(value: Decimal) -> bool:
    return value == value.to_integral_value(context=EXACT)


def add(*values: Decimal) -> Decimal:
    total = ZERO
    for value in values:
        total = EXACT.add(total, value)
    return total


def subtract(left: Decimal, right: Decimal) -> Decimal:
    return EXACT.subtract(left, right)


def multiply(left: Decimal, right: Decimal) -> Decimal:
    return EXACT.multiply(left, right)


def share_of(amount: Decimal, part: Decimal, whole: Decimal) -> Decimal:
    """amount × part ÷ whole, multiplied first: what divides evenly stays exact."""
    return EXACT.divide(EXACT.multiply(amount, part), whole)


def average_price(quote: Decimal, quantity: Decimal) -> Decimal | None:
    """Quote per base, to 12 decimals; None while nothing is filled, and where amounts that contradict each other make no price that can be written."""
    if quantity == 0:
        return None
    price = EXACT.divide(quote, quantity)
    return price.quantize(Decimal("1E-12"), context=EXACT) if price.adjusted() < LARGEST_PRICE else None
