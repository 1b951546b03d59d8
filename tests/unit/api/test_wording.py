"""Texts of a wrong form are refused in sentences that offer the right spelling, in Python as at the API server."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from exchange_kernel.api import KINDS
from exchange_kernel.api.base import Time
from exchange_kernel.api.crd import object_schema
from exchange_kernel.api.money import PositiveDecimal
from exchange_kernel.api.order_terms import Symbol
from exchange_kernel.api.wording import WORDINGS

CASES: list[tuple[Any, str, str]] = [
    (Symbol, "BTCUSDT", "write the market as ccxt does: BTC/USDT instead of BTCUSDT"),
    (Symbol, "SOLBTC", "write the market as ccxt does: SOL/BTC instead of SOLBTC"),
    (Symbol, "BTC-USDT", "write the market as ccxt does: BTC/USDT instead of BTC-USDT"),
    (Symbol, "BTC_USDT", "write the market as ccxt does: BTC/USDT instead of BTC_USDT"),
    (Symbol, "USDT", "write the market as ccxt does: BTC/USDT, or ETH/USDT:USDT for a perpetual"),
    (Symbol, "BTC-USDT-SWAP", "write the market as ccxt does: BTC/USDT, or ETH/USDT:USDT for a perpetual"),
    (Symbol, "BTC / USDT", "write the market as ccxt does: BTC/USDT, or ETH/USDT:USDT for a perpetual"),
    (PositiveDecimal, "1e-2", "write it without an exponent, such as 0.01 instead of 1e-2"),
    (PositiveDecimal, "1.5E+3", "write it without an exponent, such as 0.01 instead of 1e-2"),
    (PositiveDecimal, ".01", "write a zero before the point: 0.01 instead of .01"),
    (PositiveDecimal, "0,01", "write a number above zero in plain digits, such as 0.01"),
    (PositiveDecimal, "1_000", "write a number above zero in plain digits, such as 0.01"),
    (PositiveDecimal, "0.00", "write a number above zero in plain digits, such as 0.01"),
    (Time, "2030-01-01T00:00:00", "write the time's zone, for UTC: 2030-01-01T00:00:00Z instead of 2030-01-01T00:00:00"),
    (Time, "tomorrow", "write a time as RFC 3339 does, with its zone: 2026-01-31T12:00:00Z"),
]


@pytest.mark.parametrize(("type_", "text", "sentence"), CASES, ids=lambda value: value if isinstance(value, str) else "")
def test_what_i_write_as_my_exchange_does_is_refused_with_the_right_spelling(type_: Any, text: str, sentence: str) -> None:
    with pytest.raises(ValidationError) as refused:
        TypeAdapter(type_).validate_python(text)
    assert [error["msg"] for error in refused.value.errors()] == [f"Value error, {sentence}"]


@pytest.mark.parametrize(("type_", "text"), [
    (Symbol, "BTC/USDT"), (Symbol, "ETH/USDT:USDT"), (Symbol, "1000PEPE/USDT"), (Time, "2030-01-01T00:00:00Z"), (Time, "2030-01-01T00:00:00.5+02:00"),
])
def test_what_is_written_rightly_is_taken(type_: Any, text: str) -> None:
    TypeAdapter(type_).validate_python(text)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_no_raw_regular_expression_meets_who_writes_one_of_these(kind: Any) -> None:
    def patterns(node: Any) -> list[str]:
        if isinstance(node, dict):
            own = [node["pattern"]] if isinstance(node.get("pattern"), str) else []
            return own + [found for value in node.values() for found in patterns(value)]
        return [found for value in node for found in patterns(value)] if isinstance(node, list) else []

    left = set(patterns(object_schema(kind)["properties"].get("spec", {}))) & WORDINGS.keys()
    assert (not left) or not kind.written_by_people
