import decimal
from decimal import Decimal

import pytest

from exchange_kernel.core.money import average_price, multiply, plain, quantise_price, quantise_quantity


@pytest.mark.parametrize(("value", "text"), [("1E+3", "1000"), ("0.500", "0.5"), ("-0", "0"), ("0E-8", "0"), ("1E-18", "0.000000000000000001"), ("100", "100")])
def test_plain_has_no_exponent_and_no_trailing_zero(value, text):
    assert plain(Decimal(value)) == text


def test_a_price_never_passes_the_limit_and_a_quantity_never_grows():
    step = Decimal("0.05")
    assert quantise_price(Decimal("100.09"), step, "Buy") == Decimal("100.05")
    assert quantise_price(Decimal("100.01"), step, "Sell") == Decimal("100.05")
    assert quantise_quantity(Decimal("0.199"), step) == Decimal("0.15")


def test_nothing_depends_on_the_process_wide_context():
    # ccxt sets it on first use; 28 digits and ROUND_HALF_UP would change these.
    with decimal.localcontext(prec=5, rounding=decimal.ROUND_UP):
        assert multiply(Decimal("123456.789"), Decimal("1000.001")) == Decimal("123456912.456789")
        assert quantise_quantity(Decimal("123456.78999"), Decimal("0.0001")) == Decimal("123456.7899")


def test_average_price():
    assert average_price(Decimal(100), Decimal(3)) == Decimal("33.333333333333")
    assert average_price(Decimal(0), Decimal(0)) is None
