"""Rule 4: the stamp is the venue's time as of the last renewal plus time that only passes while this process lives."""

import pytest

from exchange_kernel.exchanges.port import ClockReading
from exchange_kernel.reconcile.venue_clock import VenueClock


class HandClock:
    def __init__(self) -> None:
        self.seconds = 100.0

    def monotonic(self) -> float:
        return self.seconds

    def wall_ms(self) -> int:
        return 0


def reading(clock: HandClock, venue_ms: int, round_trip: float = 0.1) -> ClockReading:
    return ClockReading(venue_time_ms=venue_ms, sent_at=clock.seconds - round_trip, received_at=clock.seconds)


@pytest.mark.proves("rule 4")
def test_rule_4_there_is_no_stamp_before_a_renewal_succeeded():
    clock = HandClock()
    venue = VenueClock(clock)
    venue.take(reading(clock, 5_000_000))
    assert venue.stamp_ms() is None
    venue.before_renewal(clock.seconds)
    assert venue.stamp_ms() is None
    venue.renewed(clock.seconds)
    clock.seconds += 1.5
    assert venue.stamp_ms() == 5_001_500


@pytest.mark.proves("rule 4", "H4")
def test_rule_4_h4_after_a_pause_that_stopped_the_clock_the_stamp_is_old_however_fresh_the_reading():
    clock = HandClock()
    venue = VenueClock(clock)
    venue.take(reading(clock, 5_000_000))
    venue.before_renewal(clock.seconds)
    venue.renewed(clock.seconds)
    # The machine was paused for a minute; our monotonic clock did not move. The venue is read again, the Lease is not renewed.
    assert not venue.take(reading(clock, 5_060_000)), "and the jump is noticed"
    assert venue.stamp_ms() == 5_000_000


def test_rule_4_an_answer_to_an_older_renewal_moves_nothing():
    clock = HandClock()
    venue = VenueClock(clock)
    venue.take(reading(clock, 5_000_000))
    venue.before_renewal(1.0)
    venue.before_renewal(2.0)
    venue.renewed(1.0)
    assert venue.stamp_ms() is None


def test_a_slow_answer_is_no_jump():
    clock = HandClock()
    venue = VenueClock(clock)
    venue.take(reading(clock, 5_000_000))
    clock.seconds += 10
    assert venue.take(reading(clock, 5_008_800, round_trip=1.0))
