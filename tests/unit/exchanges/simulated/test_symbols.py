"""Markets made from their name."""

from __future__ import annotations

from decimal import Decimal

import pytest

from exchange_kernel.exchanges.simulated.symbols import Symbol, symbol


@pytest.mark.parametrize("unified", ["BTC/USDT", "ETH/USDT", "ETH/BTC", "DOGE/USDT", "XRP/EUR", "NEW/USDT", "BTC/DOGE", "DOGE/BTC", "A/B"])
def test_any_market_has_a_price_on_its_grid_and_room_for_orders(unified):
    market = symbol(unified)
    assert market.unified == unified
    market.check_price(market.start_price)
    assert market.start_price >= 100 * market.tick
    least = (market.min_notional / market.start_price / market.step).to_integral_value() + 1
    market.check_quantity(least * market.step, market=True)
    market.check_notional(least * market.step * market.start_price, market=True)


@pytest.mark.parametrize("wrong", ["BTCUSDT", "btc/usdt", "BTC/", "/USDT", "BTC/USDT/X", ""])
def test_a_market_is_written_base_and_quote(wrong):
    with pytest.raises(ValueError, match="write BASE/QUOTE"):
        symbol(wrong)


def test_a_grid_finer_than_amounts_is_refused():
    with pytest.raises(ValueError, match="at most 8 decimals"):
        Symbol(
            base="A", quote="B", start_price=Decimal(1), tick=Decimal("0.00001"), step=Decimal("0.0001"), min_quantity=Decimal(1),
            max_quantity=Decimal(2), max_market_quantity=Decimal(2), max_price=Decimal(2), min_notional=Decimal(1), max_notional=Decimal(2),
        )
