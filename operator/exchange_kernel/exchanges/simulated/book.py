"""One market's order book: what rests, by price and then by time. It moves no money and decides nothing; the engines do."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Generic, Protocol, TypeVar

from sortedcontainers import SortedDict

from exchange_kernel.exchanges.simulated.orders import ZERO, Side


class Resting(Protocol):
    """What a book has to know of an order."""

    order_id: int
    side: Side
    price: Decimal

    @property
    def remaining(self) -> Decimal: ...

    @property
    def limit(self) -> Decimal | None: ...


R = TypeVar("R", bound=Resting)


@dataclass(slots=True)
class Level(Generic[R]):
    """The orders at one price, oldest first."""

    price: Decimal
    quantity: Decimal = ZERO
    orders: OrderedDict[int, R] = field(default_factory=OrderedDict)

    @property
    def first(self) -> R:
        return next(iter(self.orders.values()))


class Book(Generic[R]):
    def __init__(self) -> None:
        self._sides = {Side.BUY: SortedDict(), Side.SELL: SortedDict()}

    def best(self, side: Side) -> Level[R] | None:
        levels = self._sides[side]
        if not levels:
            return None
        level: Level[R] = levels.peekitem(-1 if side is Side.BUY else 0)[1]
        return level

    def levels(self, side: Side) -> Iterator[Level[R]]:
        """Best first."""
        levels = self._sides[side]
        return iter(levels.values()) if side is Side.SELL else reversed(levels.values())

    def crossed(self, side: Side, limit: Decimal | None) -> Iterator[Level[R]]:
        """The levels that an order of this side and limit would trade with, best first."""
        for level in self.levels(side.opposite):
            if not crosses(side, limit, level.price):
                return
            yield level

    def counterpart(self, order: R) -> R | None:
        """Who is first in the queue to trade with it."""
        level = self.best(order.side.opposite)
        return level.first if level is not None and crosses(order.side, order.limit, level.price) else None

    def rest(self, order: R) -> None:
        levels = self._sides[order.side]
        level = levels.get(order.price)
        if level is None:
            level = levels[order.price] = Level(order.price)
        level.orders[order.order_id] = order
        level.quantity += order.remaining

    def reduce(self, order: R, quantity: Decimal) -> None:
        """Less of it rests, in its old place."""
        self._sides[order.side][order.price].quantity -= quantity

    def remove(self, order: R) -> None:
        levels = self._sides[order.side]
        level = levels[order.price]
        del level.orders[order.order_id]
        level.quantity -= order.remaining
        if not level.orders:
            del levels[order.price]

    def discard(self, order: R) -> None:
        """It has ended: it rests no more, if it did."""
        level = self._sides[order.side].get(order.price)
        if level is not None and order.order_id in level.orders:
            self.remove(order)


def crosses(side: Side, limit: Decimal | None, price: Decimal) -> bool:
    if limit is None:
        return True
    return limit >= price if side is Side.BUY else limit <= price
