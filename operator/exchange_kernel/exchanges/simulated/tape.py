"""What was traded on one market since the venue began: the figures behind its tickers. They cover all of that time, not a rolling 24 hours."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from exchange_kernel.exchanges.simulated.orders import ZERO


@dataclass(slots=True)
class Tape:
    open_time: int                  # ms
    last: Decimal                   # until the first trade, the price the market starts from
    open: Decimal
    high: Decimal
    low: Decimal
    last_quantity: Decimal = ZERO
    volume: Decimal = ZERO          # base
    quote_volume: Decimal = ZERO
    trades: int = 0
    close_time: int = 0

    @classmethod
    def starting(cls, price: Decimal, time: int) -> Tape:
        return cls(open_time=time, last=price, open=price, high=price, low=price, close_time=time)

    def traded(self, price: Decimal, quantity: Decimal, quote_quantity: Decimal, time: int) -> None:
        self.last, self.last_quantity, self.close_time = price, quantity, time
        self.high, self.low = max(self.high, price), min(self.low, price)
        self.volume += quantity
        self.quote_volume += quote_quantity
        self.trades += 1
