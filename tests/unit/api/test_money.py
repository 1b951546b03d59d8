"""Amounts as the kinds write them."""

from __future__ import annotations

import re
from decimal import Decimal, localcontext

import pytest
from pydantic import TypeAdapter, ValidationError

from exchange_kernel.api.money import MAX_LENGTH, NON_NEGATIVE, POSITIVE, SIGNED, NonNegativeDecimal, PositiveDecimal, SignedDecimal, plain

TYPES = {POSITIVE: PositiveDecimal, NON_NEGATIVE: NonNegativeDecimal, SIGNED: SignedDecimal}
NEVER = ["", "abc", ".5", "5.", "01", "+1", "1e3", "1E-8", "1,000", "1_000", " 1", "1 ", "1\n", "0x1", "--1", "NaN", "Infinity", "-0.", "١"]
CASES = [
    *((pattern, text, False) for pattern in TYPES for text in NEVER),
    *((pattern, text, True) for pattern in TYPES for text in ["1", "0.1", "10", "42000.50", "0.000000000000000001", "1" * MAX_LENGTH]),
    *((pattern, "1" * (MAX_LENGTH + 1), False) for pattern in TYPES),
    *((POSITIVE, text, False) for text in ["0", "0.0", "0.000", "-1"]),
    *((NON_NEGATIVE, text, True) for text in ["0", "0.0"]), (NON_NEGATIVE, "-1", False),
    *((SIGNED, text, True) for text in ["0", "-1", "-0.5"]),
]


@pytest.mark.parametrize(("pattern", "text", "good"), CASES)
def test_the_class_takes_what_the_schema_takes(pattern, text, good):
    by_schema = re.search(pattern.replace("$", r"\Z"), text) is not None and len(text) <= MAX_LENGTH
    try:
        by_class = TypeAdapter(TYPES[pattern]).validate_python(text) == Decimal(text)
    except ValidationError:
        by_class = False
    assert by_schema == by_class == good


@pytest.mark.parametrize("number", [1, 0.1, True, None])
def test_a_number_is_not_an_amount(number):
    with pytest.raises(ValidationError, match="as text"):
        TypeAdapter(PositiveDecimal).validate_python(number)


@pytest.mark.parametrize(("value", "text"), [
    ("1E+3", "1000"), ("0.500", "0.5"), ("100", "100"), ("1E-18", "0.000000000000000001"), ("-0.0", "0"), ("0", "0"), ("-12.340", "-12.34"),
])
def test_an_amount_is_written_in_plain_digits(value, text):
    assert plain(Decimal(value)) == text
    assert TypeAdapter(SignedDecimal).dump_python(Decimal(value), mode="json") == text


def test_what_is_asked_for_is_never_rounded():
    with pytest.raises(ValidationError):
        TypeAdapter(PositiveDecimal).validate_python(Decimal("0." + "3" * 50))


def test_what_is_reported_is_rounded_until_it_fits():
    long = Decimal("123456." + "6" * 50)
    with localcontext() as context:
        context.prec = 5        # ccxt changes the context of the whole process
        fitted = TypeAdapter(NonNegativeDecimal).validate_python(long)
    assert plain(fitted) == "123456." + "6" * 32 + "7"
    assert len(plain(fitted)) == MAX_LENGTH


@pytest.mark.parametrize("digits", [MAX_LENGTH - 1, MAX_LENGTH])
def test_a_whole_part_that_just_fits_keeps_all_its_digits(digits):
    assert plain(TypeAdapter(NonNegativeDecimal).validate_python(Decimal("4" * digits + ".25"))) == "4" * digits


def test_an_amount_that_can_never_fit_is_an_error():
    with pytest.raises(ValidationError):
        TypeAdapter(NonNegativeDecimal).validate_python(Decimal("1E+40"))
