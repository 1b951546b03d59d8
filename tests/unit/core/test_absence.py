"""Rule 5, term by term."""

import pytest

from exchange_kernel.api import ExpiryCheck, LookupAuthority
from exchange_kernel.core.absence import Evidence, beyond_retention, next_pass_at, proved, quiet_from
from exchange_kernel.core.sending import SendStage
from tests.builders import a_send, a_venue

E = 10_000


@pytest.mark.proves("rule 5")
@pytest.mark.parametrize(("reason", "passes", "venue", "want"), [
    ("two passes after E, lookupDelay apart", (E, E + 1000), {}, True),
    ("one pass is not two", (E,), {}, False),
    ("closer together than lookupDelay", (E, E + 999), {}, False),
    ("the first began before E: it does not count (H6)", (E - 1, E + 1000), {}, False),
    ("after the venue may have forgotten (H10)", (E, E + 1000), {"retention_ms": 10_500}, False),
    ("a venue without expiry (H11)", (E, E + 1000), {"request_window_ms": 0}, False),
    ("a window checked on arrival only (H9)", (E, E + 1000), {"expiry_check": ExpiryCheck.ON_ARRIVAL}, False),
    ("a venue that can't look up", (E, E + 1000), {"lookup": LookupAuthority.NONE}, False),
], ids=lambda value: value if isinstance(value, str) else "")
def test_rule_5_proved(reason, passes, venue, want):
    assert proved(Evidence(passes), quiet_ms=E, first_possible_send_ms=0, venue=a_venue(**venue)) is want


@pytest.mark.proves("rule 5", "H9")
def test_rule_5_quiet_counts_what_the_venue_accepts_ahead_its_window_and_its_lookup_delay():
    venue = a_venue(accepts_ahead_ms=1000, request_window_ms=3000, lookup_delay_ms=700)
    assert quiet_from(None, E, venue) == E + 4700
    assert quiet_from(a_send(SendStage.UNKNOWN, last_stamp_ms=E + 500), E, venue) == E + 5200
    assert quiet_from(a_send(SendStage.UNKNOWN, last_stamp_ms=E - 500), E, venue) == E + 4700, "an earlier process may have sent until this session began"


def test_rule_5_the_next_pass_comes_at_e_and_then_lookup_delay_later():
    assert next_pass_at(Evidence(), E, a_venue()) == E
    assert next_pass_at(Evidence((E - 500, E + 10)), E, a_venue()) == E + 1010


@pytest.mark.proves("rule 5", "H10")
def test_h10_beyond_retention_nothing_can_be_proved():
    assert beyond_retention(5000, 0, a_venue(retention_ms=5000))
    assert not beyond_retention(4999, 0, a_venue(retention_ms=5000))
