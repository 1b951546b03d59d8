"""The market around the user."""

from __future__ import annotations

from decimal import Decimal

import pytest

from exchange_kernel.exchanges.simulated import Settings, SimulatedExchange
from exchange_kernel.exchanges.simulated.orders import Side
from tests.unit.exchanges.simulated.client import BTC_USDT, StoppedClock, an_order


def an_exchange(seed: int = 7, *, market_maker: bool = True) -> SimulatedExchange:
    return SimulatedExchange(Settings(seed=seed, market_maker=market_maker), clock=StoppedClock())


def course(exchange: SimulatedExchange, ticks: int = 100) -> list[tuple[str, ...]]:
    """All that can be seen of the market."""
    seen = []
    for _ in range(ticks):
        exchange.tick()
        for market in exchange.engine.markets.values():
            levels = [(level.price, level.quantity) for side in Side for level in market.book.levels(side)]
            seen.append((str(levels), str(market.tape)))
    return seen


def test_a_seed_is_a_course_of_the_market():
    assert course(an_exchange(7)) == course(an_exchange(7))
    assert course(an_exchange(7)) != course(an_exchange(8))


def test_it_quotes_several_levels_on_both_sides_and_never_crosses_itself():
    exchange = an_exchange()
    for _ in range(200):
        exchange.tick()
        for market in exchange.engine.markets.values():
            bids, asks = (list(market.book.levels(side)) for side in (Side.BUY, Side.SELL))
            assert len(bids) >= 4
            assert len(asks) >= 4
            assert bids[0].price < asks[0].price


def test_prices_wander_and_are_traded_at():
    exchange = an_exchange()
    course(exchange, 300)
    tape = exchange.engine.markets["BTCUSDT"].tape
    assert tape.trades > 50
    assert tape.low < tape.open
    assert tape.high > tape.low


@pytest.mark.proves("F49")
def test_a_resting_order_of_the_user_is_filled_partly_and_then_wholly():
    exchange = an_exchange()
    order = exchange.engine.place(exchange.user, an_order("BUY", "1", "60011"))      # the best bid by far
    filled = []
    while order.status.open:
        exchange.tick()
        filled.append(order.executed)
    assert order.status == "FILLED"
    assert any(0 < quantity < 1 for quantity in filled)


def test_a_price_that_is_set_goes_through_the_orders_in_its_way():
    exchange = an_exchange()
    order = exchange.engine.place(exchange.user, an_order("BUY", "0.001", "50000"))
    exchange.maker.set_price(BTC_USDT, Decimal("50020"))
    assert order.status == "NEW"
    exchange.maker.set_price(BTC_USDT, Decimal(49000))
    assert order.status == "FILLED"


def test_stopped_it_leaves_what_is_not_its_own():
    exchange = an_exchange()
    order = exchange.engine.place(exchange.user, an_order("BUY", "1", "50000"))
    exchange.maker.stop()
    course(exchange, 3)
    book = exchange.engine.markets["BTCUSDT"].book
    assert [level.quantity for level in book.levels(Side.BUY)] == [Decimal(1)]
    assert order.status == "NEW"
    exchange.maker.start()
    assert len(list(book.levels(Side.SELL))) == 8


def test_it_works_in_any_market_at_any_price():
    exchange = SimulatedExchange(Settings(symbols=["DOGE/BTC", "BTC/DOGE", "A/B", "XRP/USDT"], seed=1), clock=StoppedClock())
    course(exchange, 60)
    for market in exchange.engine.markets.values():
        exchange.maker.set_price(market.symbol, market.symbol.tick)
        exchange.maker.set_price(market.symbol, market.symbol.max_price)
    course(exchange, 20)
