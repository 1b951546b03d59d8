"""The venue's time as we can vouch for it, and the stamps that requests are signed with (rule 4)."""

from __future__ import annotations

from exchange_kernel.exchanges.port import ClockReading
from exchange_kernel.reconcile.ports import Clock

JUMP_MS = 500  # a venue clock that moves by more against ours is not believed


class VenueClock:
    """A lower bound of the venue's time: counted from the moment its last reading arrived, by a clock that stands still when this process does."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._reading: tuple[float, int] | None = None  # (our monotonic, the venue's time then)
        self._renewing: tuple[float, int] | None = None  # the same at the start of the renewal under way
        self._base: tuple[float, int] | None = None  # … of the last successful renewal: what stamps are counted from

    def now_ms(self, at: float | None = None) -> int:
        if self._reading is None:
            return self._clock.wall_ms()
        anchor, venue = self._reading
        return venue + int(((self._clock.monotonic() if at is None else at) - anchor) * 1000)

    def take(self, reading: ClockReading) -> bool:
        """Take a new reading; False if the venue's clock jumped against ours since the last one."""
        before = None if self._reading is None else self.now_ms(reading.received_at)
        round_trip_ms = int((reading.received_at - reading.sent_at) * 1000)
        self._reading = (reading.received_at, reading.venue_time_ms)
        return before is None or abs(before - reading.venue_time_ms) <= JUMP_MS + round_trip_ms

    def forget_renewals(self) -> None:
        self._renewing = self._base = None

    def before_renewal(self, at: float) -> None:
        self._renewing = (at, self.now_ms(at))

    def renewed(self, at: float) -> None:
        if self._renewing is not None and self._renewing[0] == at:
            self._base = self._renewing

    def stamp_ms(self) -> int | None:
        """The time to sign with now. A process that was frozen or paused since its last renewal gets one the venue refuses as too old."""
        if self._base is None:
            return None
        anchor, venue = self._base
        return venue + int((self._clock.monotonic() - anchor) * 1000)
