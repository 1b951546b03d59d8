"""Contracts: what one is worth, its grid and its limits, and sensible ones for any BASE/USDT:USDT."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from exchange_kernel.exchanges.simulated.perpetual.errors import invalid, size_too_large, size_too_small
from exchange_kernel.exchanges.simulated.symbols import symbol

#: A contract is worth some tens of dollars, never a whole coin of an expensive one: whoever takes contracts for coins is off by a factor.
WORTH = Decimal(100)

#: All of this venue's contracts are quoted and settled in it.
SETTLE = "USDT"


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """Sizes are whole numbers of contracts; prices are in quote for one unit of base."""

    base: str
    quote: str                      # and what it is settled in
    multiplier: Decimal             # base units of one contract
    start_price: Decimal
    tick: Decimal
    max_size: int = 1_000_000
    max_leverage: int = 100
    maintenance_rate: Decimal = Decimal("0.005")

    @property
    def name(self) -> str:
        return f"{self.base}_{self.quote}"

    @property
    def unified(self) -> str:
        return f"{self.base}/{self.quote}:{self.quote}"

    def value(self, size: int, price: Decimal) -> Decimal:
        """In quote; negative for a negative size."""
        return size * self.multiplier * price

    def check_size(self, size: int) -> None:
        if size < 1:
            raise size_too_small()
        if size > self.max_size:
            raise size_too_large()

    def check_price(self, price: Decimal) -> None:
        if price <= 0 or price % self.tick:
            raise invalid("price")


def contract(unified: str) -> Contract:
    """The linear contract BASE/USDT:USDT. Raises ValueError if it is written otherwise."""
    pair, _, settle = unified.partition(":")
    if settle != SETTLE or pair.partition("/")[2] != SETTLE:
        raise ValueError(f"{unified!r} is no contract here: write BASE/USDT:USDT, as in BTC/USDT:USDT")
    spot = symbol(pair)
    return Contract(
        base=spot.base, quote=spot.quote, start_price=spot.start_price, tick=spot.tick,
        multiplier=Decimal(1).scaleb((WORTH / spot.start_price).adjusted()),
    )
