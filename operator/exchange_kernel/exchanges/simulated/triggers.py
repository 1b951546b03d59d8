"""The contingent orders of one market that wait for a price: stop prices, and trailing deltas. Source: binance-spot-api-docs, faqs/trailing-stop-faq.md.

Each trade's price counts, in the order of the trades. What an order does once it is due is the engine's.
"""

from __future__ import annotations

from decimal import Decimal

from exchange_kernel.exchanges.simulated.orders import Order, Side, triggers_above

BASIS_POINTS = Decimal(10_000)


class Triggers:
    def __init__(self) -> None:
        self._waiting: dict[int, Order] = {}
        self._due: dict[int, Order] = {}

    def arm(self, order: Order, last: Decimal, now: int) -> None:
        """Without a stop price a trailing order tracks from the last price on. [Scenario E]"""
        if order.stop_price is None:
            order.trailing_time, order.extreme = now, last
        self._waiting[order.order_id] = order

    def disarm(self, order: Order) -> None:
        self._waiting.pop(order.order_id, None)
        self._due.pop(order.order_id, None)

    def traded(self, price: Decimal, now: int) -> None:
        for order in sorted((order for order in self._waiting.values() if _met(order, price, now)), key=lambda order: order.order_id):
            self._due[order.order_id] = self._waiting.pop(order.order_id)

    def next_due(self) -> Order | None:
        """By the trade that met them, and of those of one trade by their acceptance."""
        return self._due.pop(next(iter(self._due))) if self._due else None


def reached(order: Order, price: Decimal) -> bool:
    """Whether this price meets its stop price."""
    if order.stop_price is None:
        return False
    return price >= order.stop_price if triggers_above(order.side, order.type) else price <= order.stop_price


def _met(order: Order, price: Decimal, now: int) -> bool:
    if order.trailing_delta is None:
        return reached(order, price)
    if order.trailing_time is None:
        if reached(order, price):
            order.trailing_time, order.extreme = now, price
        return False
    if order.side is Side.BUY:
        order.extreme = min(order.extreme, price)
        return price * BASIS_POINTS >= order.extreme * (BASIS_POINTS + order.trailing_delta)
    order.extreme = max(order.extreme, price)
    return price * BASIS_POINTS <= order.extreme * (BASIS_POINTS - order.trailing_delta)
