"""What a book would give an order that takes from it now. Nothing here changes anything."""

from __future__ import annotations

from decimal import Decimal

from exchange_kernel.exchanges.simulated.book import Book
from exchange_kernel.exchanges.simulated.errors import no_liquidity
from exchange_kernel.exchanges.simulated.orders import ZERO, NewOrder, Order, Side


def sized(book: Book[Order], new: NewOrder) -> Decimal:
    """How much base so much quote buys or sells now, in whole steps. [rest-api.md, New order, quoteOrderQty]"""
    left, quantity, step = new.quote_quantity or ZERO, ZERO, new.symbol.step
    for level in book.crossed(new.side, None):
        if (whole := level.price * level.quantity) > left:
            quantity += left // (level.price * step) * step
            break
        quantity += level.quantity
        left -= whole
    if quantity < new.symbol.min_quantity:
        raise no_liquidity()
    return quantity


def cost(book: Book[Order], quantity: Decimal) -> Decimal:
    """What an order to buy at the market will spend, as far as the book reaches."""
    spent = ZERO
    for level in book.crossed(Side.BUY, None):
        taken = min(quantity, level.quantity)
        spent += taken * level.price
        quantity -= taken
        if not quantity:
            break
    return spent


def fills_whole(book: Book[Order], order: Order) -> bool:
    available = ZERO
    for level in book.crossed(order.side, order.limit):
        available += level.quantity
        if available >= order.remaining:
            return True
    return False
