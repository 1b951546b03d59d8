"""What a market would refuse, as tables: triggers, trailing offsets and order lists."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal, localcontext
from typing import Any

import pytest

from exchange_kernel.core.market_rules import group_unacceptable, unacceptable
from exchange_kernel.core.venue import Capabilities, GroupLeg, GroupRequest, OrderRequest
from tests.builders import a_market, a_venue


def able(**changes: Any) -> Capabilities:
    return a_venue(**{
        "order_types": frozenset({"Market", "Limit", "StopMarket", "StopLimit", "TakeProfitMarket", "TakeProfitLimit", "TrailingStop"}),
        "trigger_prices": frozenset({"Last"}), "trailing_units": frozenset({"BasisPoints"}),
        "native_groups": frozenset({"OneCancelsOther", "OneTriggersOther", "Bracket"}), **changes,
    })


def a_request(**changes: Any) -> OrderRequest:
    values: dict[str, Any] = {
        "client_order_id": "a" * 32, "symbol": "BTC/USDT", "side": "Sell", "type": "Limit", "quantity": Decimal(1), "price": Decimal(52000), "time_in_force": "GTC",
    }
    return OrderRequest(**{**values, **changes})


PROFIT = a_request()
LOSS = a_request(type="StopMarket", price=None, time_in_force=None, trigger_price=Decimal(48000), trigger_price_type="Last")
TRAIL = a_request(type="TrailingStop", price=None, time_in_force=None, trailing_offset=Decimal(100), trailing_unit="BasisPoints", trigger_price_type="Last")
ENTRY = a_request(side="Buy", price=Decimal(50000))
MARKET = a_request(type="Market", price=None, time_in_force=None)


@pytest.mark.parametrize(("request_", "words"), [
    (TRAIL, None),
    (replace(TRAIL, trailing_offset=Decimal("100.5")), "whole basis points"),
    (replace(TRAIL, trailing_unit="Price"), "no trailing.unit Price"),
    (replace(LOSS, trigger_price_type="Mark"), "no triggerPriceType Mark"),
], ids=lambda value: value if isinstance(value, str) else "")
def test_what_a_trailing_stop_or_a_trigger_may_say(request_: OrderRequest, words: str | None) -> None:
    problem = unacceptable(request_, a_market(), able())
    assert problem is None if words is None else problem is not None and words in problem


def test_whole_basis_points_are_counted_whatever_the_decimal_context() -> None:
    with localcontext() as hostile:
        hostile.prec = 1
        assert unacceptable(replace(TRAIL, trailing_offset=Decimal("1234")), a_market(), able()) is None
        assert unacceptable(replace(TRAIL, trailing_offset=Decimal("1234.5")), a_market(), able()) is not None


@pytest.mark.parametrize(("mode", "requests", "words", "reason"), [
    ("OneCancelsOther", (PROFIT, LOSS), None, "a profit and a loss"),
    ("OneCancelsOther", (LOSS, PROFIT), None, "in either order"),
    ("OneCancelsOther", (replace(PROFIT, type="TakeProfitMarket", price=None, time_in_force=None, trigger_price=Decimal(52000)), TRAIL), None, "and a trail"),
    ("OneCancelsOther", (PROFIT,), "another number", "one is no pair"),
    ("OneCancelsOther", (PROFIT, LOSS, LOSS), "another number", "nor are three"),
    ("OneCancelsOther", (PROFIT, PROFIT), "the other a stop", "two profits"),
    ("OneCancelsOther", (LOSS, TRAIL), "the other a stop", "two losses"),
    ("OneCancelsOther", (MARKET, LOSS), "the other a stop", "a market order waits for nothing"),
    ("OneCancelsOther", (PROFIT, replace(LOSS, side="Buy")), "same side", "two sides"),
    ("OneCancelsOther", (PROFIT, replace(LOSS, quantity=Decimal(2))), "same side and quantity", "two sizes"),
    ("OneCancelsOther", (PROFIT, replace(LOSS, symbol="ETH/USDT")), "one market", "two markets"),
    ("OneCancelsOther", (replace(PROFIT, time_in_force="IOC"), LOSS), "rests", "a limit order of a pair may only make"),
    ("OneCancelsOther", (PROFIT, replace(TRAIL, trigger_price=Decimal(53000))), "from the start", "its type would be a profit's there"),
    ("OneCancelsOther", (PROFIT, replace(LOSS, trigger_price_type="Mark")), "no triggerPriceType", "each is judged as an order"),
    ("OneCancelsOther", (replace(PROFIT, quantity=Decimal("0.00002"), price=Decimal(1)), replace(LOSS, quantity=Decimal("0.00002"))), "notional", "by its size too"),
    ("OneTriggersOther", (ENTRY, PROFIT), None, "one after the other"),
    ("OneTriggersOther", (ENTRY, MARKET), None, "at the market"),
    ("OneTriggersOther", (ENTRY, replace(LOSS, quantity=Decimal(2))), None, "of another size"),
    ("OneTriggersOther", (MARKET, PROFIT), "of type Limit", "what triggers must rest"),
    ("OneTriggersOther", (ENTRY, PROFIT, LOSS), "another number", "that is a bracket"),
    ("OneTriggersOther", (ENTRY, replace(MARKET, quantity=None, quote_quantity=Decimal(100))), "quote quantity", "of no known size"),
    ("Bracket", (ENTRY, PROFIT, LOSS), None, "an entry and two exits"),
    ("Bracket", (ENTRY, LOSS, TRAIL), "the other a stop", "its exits are a pair"),
    ("Bracket", (LOSS, PROFIT, LOSS), "of type Limit", "its entry must rest"),
    ("Bracket", (ENTRY, PROFIT), "another number", "without its loss"),
    ("OneUpdatesOther", (PROFIT, LOSS), "no order lists of mode", "nobody keeps these"),
], ids=lambda value: value if isinstance(value, str) else "")
def test_a_list_has_the_shape_that_the_venue_keeps(mode: str, requests: tuple[OrderRequest, ...], words: str | None, reason: str) -> None:
    group = GroupRequest("f" * 32, mode, tuple(GroupLeg("Leg", request) for request in requests))
    problem = group_unacceptable(group, a_market(), able())
    assert problem is None if words is None else problem is not None and words in problem, (reason, problem)


def test_a_venue_without_order_lists_keeps_none() -> None:
    group = GroupRequest("f" * 32, "OneCancelsOther", (GroupLeg("TakeProfit", PROFIT), GroupLeg("StopLoss", LOSS)))
    assert group_unacceptable(group, a_market(), able(native_groups=frozenset())) is not None
