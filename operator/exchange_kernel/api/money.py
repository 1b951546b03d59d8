"""Money as the kinds write it: decimal text in JSON, `Decimal` in Python, never a float and never a Quantity.

Arithmetic is `core/money.py`'s. Bounds: 40 characters, which the API server checks; amounts that we report are rounded to fit, because a status
that breaks one bound is refused whole.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Annotated, TypeAlias

from pydantic import PlainSerializer, PlainValidator, WithJsonSchema

from exchange_kernel.api.wording import NON_NEGATIVE, POSITIVE, SIGNED, WORDINGS

MAX_LENGTH = 40

#: Used explicitly: ccxt changes the decimal context of the whole process.
_EXACT = Context(prec=100)


def plain(value: Decimal) -> str:
    """Digits without exponent and without trailing zeros: `1E+3` → `1000`, `0.500` → `0.5`."""
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def plain_to_fit(value: Decimal) -> str:
    """The digits of the value, or of the nearest one that has at most 40 characters. Raises ValueError if its whole part alone has more."""
    text = plain(value)
    if len(text) <= MAX_LENGTH:
        return text
    decimals = MAX_LENGTH - len(text.partition(".")[0]) - 1
    if decimals < -1:
        raise ValueError(f"must have at most {MAX_LENGTH} characters")
    return plain(value.quantize(Decimal((0, (1,), -max(decimals, 0))), rounding=ROUND_HALF_EVEN, context=_EXACT))


def _reader(pattern: str, kind: str, *, reported: bool) -> Callable[[object], Decimal]:
    matches = re.compile(pattern).fullmatch

    def read(value: object) -> Decimal:
        if isinstance(value, Decimal) and value.is_finite():
            value = plain_to_fit(value) if reported else plain(value)
        if not isinstance(value, str) or len(value) > MAX_LENGTH:
            raise ValueError(f'must be {kind} as text of at most {MAX_LENGTH} digits, such as "0.01", without exponent')
        if not matches(value):
            raise ValueError(WORDINGS[pattern].problem(value))
        return Decimal(value)

    return read


def _schema(pattern: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "maxLength": MAX_LENGTH, "pattern": pattern})


_as_text = PlainSerializer(plain, return_type=str, when_used="json")

#: What an order asks for: more than zero.
PositiveDecimal: TypeAlias = Annotated[Decimal, PlainValidator(_reader(POSITIVE, "a number above zero", reported=False)), _as_text, _schema(POSITIVE)]

#: What is reported of an order.
NonNegativeDecimal: TypeAlias = Annotated[
    Decimal, PlainValidator(_reader(NON_NEGATIVE, "a number not below zero", reported=True)), _as_text, _schema(NON_NEGATIVE)
]

#: Fees, which a maker's rebate makes negative; balances and results.
SignedDecimal: TypeAlias = Annotated[Decimal, PlainValidator(_reader(SIGNED, "a number", reported=True)), _as_text, _schema(SIGNED)]
