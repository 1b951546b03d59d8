"""Rule 8: fills only grow, ends stay ends, and what trades don't explain is inferred the same way each time."""

from decimal import Decimal

import pytest

from exchange_kernel.core.answers import OrderStatus
from exchange_kernel.core.fills import fees_by_asset, filled, inferred, merge
from tests.builders import T0, a_report, a_trade


@pytest.mark.proves("rule 8", "F32")
def test_rule_8_a_stale_report_never_takes_a_fill_back():
    newest = a_report(filled="0.7", update_time_ms=T0 + 20)
    assert merge(newest, a_report(filled="0.2", update_time_ms=T0 + 10)) == newest


@pytest.mark.proves("rule 8", "F32")
def test_rule_8_an_end_stays_an_end_when_a_fill_overtakes_it():
    ended = a_report(status=OrderStatus.CANCELED, filled="0.3", update_time_ms=T0 + 20)
    merged = merge(ended, a_report(filled="0.5", update_time_ms=T0 + 15))
    assert (merged.status, merged.filled_quantity) == (OrderStatus.CANCELED, Decimal("0.5"))


@pytest.mark.proves("rule 8", "F32")
def test_rule_8_at_equal_fill_the_end_wins_in_either_order():
    open_, ended = a_report(filled="0.3"), a_report(status=OrderStatus.CANCELED, filled="0.3")
    assert merge(open_, ended).status is merge(ended, open_).status is OrderStatus.CANCELED


def test_rule_8_a_whole_fill_is_filled_whatever_the_venue_calls_it():
    assert merge(None, a_report(filled="1")).status is OrderStatus.FILLED


@pytest.mark.proves("H26")
def test_h26_another_order_under_the_same_client_id_is_not_merged():
    first = a_report(filled="0.3")
    assert merge(first, a_report(filled="1", exchange_order_id="9999")) == first


@pytest.mark.proves("rule 8")
def test_rule_8_the_larger_of_the_total_and_the_trades_counts():
    assert filled([a_report(filled="0.2")], [a_trade("1", "0.2"), a_trade("2", "0.1")]).quantity == Decimal("0.3")
    amount = filled([a_report(filled="0.5")], [a_trade("1", "0.2")])
    assert (amount.quantity, amount.unexplained) == (Decimal("0.5"), Decimal("0.3"))


@pytest.mark.proves("rule 8", "F20")
def test_rule_8_inferred_ids_are_deterministic_and_tell_different_gaps_apart():
    one = inferred("id", "BTC/USDT", Decimal(1), Decimal(3), Decimal(50), T0)
    assert one == inferred("id", "BTC/USDT", Decimal(1), Decimal(3), Decimal(50), T0)
    assert one.quantity == 2
    assert one.trade_id != inferred("id", "BTC/USDT", Decimal(2), Decimal(3), Decimal(50), T0).trade_id


@pytest.mark.proves("F26")
def test_fees_add_up_by_asset():
    assert fees_by_asset([a_trade("1", "1", fee="0.1"), a_trade("2", "1", fee="-0.03")]) == {"BTC": Decimal("0.07")}
