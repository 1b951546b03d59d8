"""One market: its rules, its book, what was traded there, and the orders that wait for a price."""

from __future__ import annotations

from decimal import Decimal
from itertools import count

from exchange_kernel.exchanges.simulated.book import Book
from exchange_kernel.exchanges.simulated.orders import Order
from exchange_kernel.exchanges.simulated.symbols import Symbol
from exchange_kernel.exchanges.simulated.tape import Tape
from exchange_kernel.exchanges.simulated.triggers import Triggers


class Market:
    def __init__(self, symbol: Symbol, now: int) -> None:
        self.symbol = symbol
        self.book: Book[Order] = Book()
        self.tape = Tape.starting(symbol.start_price, now)
        self.triggers = Triggers()
        self.prevented_ids = count()
        self._trade_ids = count(1)

    def next_trade_id(self) -> int:
        return next(self._trade_ids)

    def traded(self, price: Decimal, quantity: Decimal, now: int) -> None:
        self.tape.traded(price, quantity, price * quantity, now)
        self.triggers.traded(price, now)
