"""The market around the user: a maker that quotes both sides of a price that wanders, and a taker that trades with whatever rests.

Deterministic for a seed and a sequence of calls: time plays no part in it, `tick()` does.
"""

from __future__ import annotations

from decimal import ROUND_CEILING, Decimal
from random import Random

from exchange_kernel.exchanges.simulated.accounts import Account
from exchange_kernel.exchanges.simulated.engine import Engine
from exchange_kernel.exchanges.simulated.market import Market
from exchange_kernel.exchanges.simulated.orders import NewOrder, OrderType, Side
from exchange_kernel.exchanges.simulated.symbols import Symbol

LEVELS = 8                  # a side
STEP_SIGMA = 0.0003         # of the price, a tick
HALF_SPREAD = 0.0002        # of the price, from the middle to the first quote, and between quotes
LEAST_NOTIONALS = 20        # a quote's smallest value, in the market's smallest notionals …
MOST_NOTIONALS = 4000       # … and its greatest
NOISE = 0.5                 # the chance that the taker trades in a tick
MOST_NOISE_NOTIONALS = 400


class MarketMaker:
    """Prices are counted in the market's ticks, so that nothing but the steps of the walk is a float."""

    def __init__(self, engine: Engine, maker: Account, taker: Account, seed: int) -> None:
        self.running = False
        self._engine = engine
        self._maker = maker
        self._taker = taker
        self._random = {name: Random(f"{seed} {name}") for name in engine.markets}
        self._middle = {name: int(market.symbol.start_price // market.symbol.tick) for name, market in engine.markets.items()}

    def start(self) -> None:
        self.running = True
        for market in self._engine.markets.values():
            self._quote(market)

    def stop(self) -> None:
        """The quotes go; what others have resting stays."""
        self.running = False
        for market in self._engine.markets.values():
            self._withdraw(market.symbol)

    def tick(self) -> None:
        """One step of the price, new quotes, and perhaps one trade, in every market. Nothing while it is stopped."""
        if not self.running:
            return
        for name, market in self._engine.markets.items():
            self._move(market, self._middle[name] + round(self._random[name].gauss(0, STEP_SIGMA) * self._middle[name]))
            self._quote(market)
            self._trade(market)

    def price(self, symbol: Symbol) -> Decimal:
        return self._middle[symbol.name] * symbol.tick

    def set_price(self, symbol: Symbol, price: Decimal) -> None:
        """The middle from now on. Quotes follow at once, and trade with what they meet; and it is the last price, which contingent orders wait for."""
        market = self._engine.market(symbol.name)
        self._move(market, int(price // symbol.tick))
        if self.running:
            self._quote(market)
        self._engine.observe(symbol, self.price(symbol))

    def regrid(self, market: Market, price: Decimal) -> None:
        """The market's steps or status changed: quotes are on its grid from now on, or are gone while it takes no orders."""
        self._move(market, int(price // market.symbol.tick))
        if self.running:
            self._quote(market)

    def _move(self, market: Market, middle: int) -> None:
        highest = int(market.symbol.max_price // market.symbol.tick) // 2
        self._middle[market.symbol.name] = min(max(middle, 10 * LEVELS), highest)

    def _quote(self, market: Market) -> None:
        self._withdraw(market.symbol)
        if not market.symbol.takes_orders:
            return
        symbol, middle, random = market.symbol, self._middle[market.symbol.name], self._random[market.symbol.name]
        gap = max(1, round(middle * HALF_SPREAD))
        for level in range(1, LEVELS + 1):
            for side, ticks in ((Side.BUY, middle - level * gap), (Side.SELL, middle + level * gap)):
                price = ticks * symbol.tick
                quantity = self._quantity(symbol, random.randint(LEAST_NOTIONALS, MOST_NOTIONALS), price)
                self._engine.place(self._maker, NewOrder(symbol=symbol, side=side, type=OrderType.LIMIT, quantity=quantity, price=price))

    def _withdraw(self, symbol: Symbol) -> None:
        if any(order.symbol == symbol for order in self._maker.open.values()):
            self._engine.cancel_all(self._maker, symbol)

    def _trade(self, market: Market) -> None:
        symbol, random = market.symbol, self._random[market.symbol.name]
        chance, side = random.random(), random.choice((Side.BUY, Side.SELL))
        if not symbol.takes_orders:
            return
        notionals = random.randint(2, MOST_NOISE_NOTIONALS)
        if chance < NOISE:
            quantity = self._quantity(symbol, notionals, market.tape.last)
            self._engine.place(self._taker, NewOrder(symbol=symbol, side=side, type=OrderType.MARKET, quantity=quantity))

    @staticmethod
    def _quantity(symbol: Symbol, notionals: int, price: Decimal) -> Decimal:
        steps = (notionals * symbol.min_notional / price / symbol.step).to_integral_value(rounding=ROUND_CEILING)
        return min(steps * symbol.step, symbol.max_market_quantity)
