"""The market around the user: quotes on both sides of a mark price that wanders, and somebody who trades with whatever rests.

As `simulated/maker.py` does for the spot venue. Deterministic for a seed and a sequence of calls.
"""

from __future__ import annotations

from decimal import Decimal
from random import Random

from exchange_kernel.exchanges.simulated.maker import HALF_SPREAD, LEVELS, NOISE, STEP_SIGMA
from exchange_kernel.exchanges.simulated.orders import Side
from exchange_kernel.exchanges.simulated.perpetual.accounts import PerpetualAccount
from exchange_kernel.exchanges.simulated.perpetual.contracts import Contract
from exchange_kernel.exchanges.simulated.perpetual.engine import Market, PerpetualEngine
from exchange_kernel.exchanges.simulated.perpetual.orders import NewOrder, Tif

MOST_QUOTED = 400           # contracts a quote
MOST_NOISE = 40             # contracts the taker trades at once


class PerpetualMaker:
    def __init__(self, engine: PerpetualEngine, maker: PerpetualAccount, taker: PerpetualAccount, seed: int) -> None:
        self.running = False
        self._engine = engine
        self._maker, self._taker = maker, taker
        self._random = {name: Random(f"{seed} {name}") for name in engine.markets}

    def start(self) -> None:
        self.running = True
        for market in self._engine.markets.values():
            self._quote(market)

    def stop(self) -> None:
        self.running = False
        for market in self._engine.markets.values():
            self._engine.cancel_all(self._maker, market.contract)

    def tick(self) -> None:
        """One step of the mark, new quotes, and perhaps one trade, in every market. Nothing while it is stopped."""
        if not self.running:
            return
        for name, market in self._engine.markets.items():
            ticks = int(market.mark // market.contract.tick)
            self.set_price(market.contract, (ticks + round(self._random[name].gauss(0, STEP_SIGMA) * ticks)) * market.contract.tick)
            self._trade(market)

    def set_price(self, contract: Contract, price: Decimal) -> None:
        """The mark from now on. Quotes follow at once, and trade with what they meet."""
        market = self._engine.market(contract.name)
        market.mark = max(int(price // contract.tick), 10 * LEVELS) * contract.tick
        if self.running:
            self._quote(market)

    def _quote(self, market: Market) -> None:
        contract, random = market.contract, self._random[market.contract.name]
        self._engine.cancel_all(self._maker, contract)
        gap = max(1, round(int(market.mark // contract.tick) * HALF_SPREAD)) * contract.tick
        for level in range(1, LEVELS + 1):
            for side, price in ((Side.BUY, market.mark - level * gap), (Side.SELL, market.mark + level * gap)):
                self._engine.place(self._maker, NewOrder(contract=contract, side=side, size=random.randint(1, MOST_QUOTED), price=price))

    def _trade(self, market: Market) -> None:
        random = self._random[market.contract.name]
        chance, side, size = random.random(), random.choice((Side.BUY, Side.SELL)), random.randint(1, MOST_NOISE)
        if chance < NOISE:
            self._engine.place(self._taker, NewOrder(contract=market.contract, side=side, size=size, price=None, tif=Tif.IOC))
