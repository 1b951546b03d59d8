"""A position: signed contracts and what they cost. Exact: money that one side makes is the money that the other loses."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from exchange_kernel.exchanges.simulated.orders import ZERO
from exchange_kernel.exchanges.simulated.perpetual.contracts import Contract
from exchange_kernel.exchanges.simulated.perpetual.orders import Slot

#: Where the cost of a part of a position is cut off. What is cut stays with the rest, so nothing is lost.
GRAIN = Decimal("1E-12")


@dataclass(slots=True, eq=False, kw_only=True)
class Position:
    contract: Contract
    slot: Slot
    size: int = 0                   # contracts; negative: short
    cost: Decimal = ZERO            # quote that the contracts were bought for, negative for a short
    closed_pnl: Decimal = ZERO      # realised by closing, since the account was opened
    fees: Decimal = ZERO            # paid, since then
    opened_at: int = 0              # ms
    updated_at: int = 0
    updates: int = 0

    @property
    def entry_price(self) -> Decimal:
        return self.cost / (self.size * self.contract.multiplier) if self.size else ZERO

    def unrealised(self, mark: Decimal) -> Decimal:
        return self.contract.value(self.size, mark) - self.cost

    def reducible(self, sign: int) -> int:
        """How many contracts an order of this direction can take off it."""
        return abs(self.size) if self.size * sign < 0 else 0

    def trade(self, size: int, price: Decimal, now: int) -> tuple[Decimal, int]:
        """Take over `size` more contracts (negative: fewer). What was realised by that in quote, and how many of them closed."""
        closing = max(-abs(self.size), min(abs(self.size), size)) if self.size * size < 0 else 0
        realised = ZERO
        if closing:
            part = self.cost if closing == -self.size else (self.cost * abs(closing) / abs(self.size)).quantize(GRAIN)
            realised = -self.contract.value(closing, price) - part
            self.cost -= part
            self.size += closing
        opening = size - closing
        if opening:
            if not self.size:
                self.opened_at = now
            self.cost += self.contract.value(opening, price)
            self.size += opening
        self.closed_pnl += realised
        self.updated_at = now
        self.updates += 1
        return realised, closing
