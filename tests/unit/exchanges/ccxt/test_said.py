"""What ccxt parsed, read strictly."""

from __future__ import annotations

from decimal import Decimal, localcontext
from typing import Any

import pytest

from exchange_kernel.exchanges.ccxt import said
from exchange_kernel.exchanges.ccxt.parsing import Unreadable


@pytest.mark.parametrize(("value", "amount", "reason"), [
    ("0.10000000", Decimal("0.1"), "the venue's digits"), (3, Decimal(3), "a whole number"), (None, None, "not said"), ("", None, "said as nothing"),
    (0.1, Unreadable, "a float is nobody's money"), ("-1", Unreadable, "less than nothing"), ("NaN", Unreadable, "no number"), ("1e", Unreadable, "no number"),
    (True, Unreadable, "no number"),
])
def test_an_amount_is_the_venues_digits_or_cannot_be_read(value: Any, amount: Any, reason: str) -> None:
    if amount is Unreadable:
        with pytest.raises(Unreadable):
            said.amount({"a": value}, "a")
    else:
        assert said.amount({"a": value}, "a") == amount, reason


def test_numbers_are_looked_for_without_their_sign_and_whatever_the_decimal_context() -> None:
    with localcontext() as hostile:
        hostile.prec = 2
        assert said.number_in("-12.345") == Decimal("12.345")
    assert said.number_in("ID") is None


def test_a_fee_keeps_its_sign_and_an_unnamed_one_is_none() -> None:
    fee = said.fee({"cost": "-0.1", "currency": "BTC"})
    assert fee is not None
    assert (fee.asset, fee.amount) == ("BTC", Decimal("-0.1"))
    assert said.fee({"cost": "0.1", "currency": None}) is None
    with pytest.raises(Unreadable):
        said.fee({"cost": "much", "currency": "BTC"})
