"""What time it is at the API server, by its answers alone."""

from __future__ import annotations

import random
from email.utils import formatdate

import pytest

from exchange_kernel.kube.server_time import ServerClock

T = 1_800_000_000.0


class Clocks:
    """The API server's clock, this machine's, and the monotonic one between them, each to be moved by hand."""

    def __init__(self, machine_off: float = 0.0) -> None:
        self.elapsed, self.server, self.machine = 5000.0, T - 5000, T - 5000 + machine_off
        self.clock = ServerClock(lambda: self.elapsed, lambda: self.machine + self.elapsed)

    def answer(self, *, out: float = 0.01, back: float = 0.01) -> None:
        asked = self.elapsed
        self.elapsed += out
        date = formatdate(int(self.server + self.elapsed), usegmt=True)
        self.elapsed += back
        self.clock.heard(date, asked, self.elapsed)

    @property
    def error_s(self) -> float:
        return self.clock.wall_ms() / 1000 - (self.server + self.elapsed)


@pytest.mark.parametrize("off", [360.0, -360.0, 0.0])
def test_a_machine_six_minutes_off_knows_the_server_s_time_from_one_answer(off):
    clocks = Clocks(off)
    assert clocks.error_s == pytest.approx(off, abs=0.01)
    clocks.answer()
    assert abs(clocks.error_s) <= 0.52
    clocks.elapsed += 3600
    assert abs(clocks.error_s) <= 0.52, "and goes on by itself"


def test_answers_that_are_cut_to_seconds_tell_more_and_more():
    clocks, chance = Clocks(), random.Random(3)
    for _ in range(200):
        clocks.elapsed += chance.uniform(0.1, 3)
        clocks.answer(out=chance.uniform(0.001, 0.05), back=chance.uniform(0.001, 0.05))
    assert abs(clocks.error_s) < 0.06


def test_an_answer_that_took_a_minute_does_not_spoil_what_is_known():
    clocks = Clocks()
    for _ in range(20):
        clocks.elapsed += 0.37
        clocks.answer()
    before = clocks.error_s
    clocks.answer(out=0.01, back=60)
    clocks.answer(out=60, back=0.01)
    assert clocks.error_s == pytest.approx(before, abs=0.03)


def test_a_step_of_the_machine_s_clock_is_nothing_to_it():
    clocks = Clocks()
    clocks.answer()
    before = clocks.error_s
    clocks.machine += 360
    assert clocks.error_s == before
    clocks.answer()
    assert abs(clocks.error_s) <= 1


@pytest.mark.parametrize("step", [-360.0, 360.0])
def test_a_step_of_the_server_s_clock_is_followed_with_the_next_answer(step):
    clocks = Clocks()
    clocks.answer()
    clocks.server += step
    clocks.answer()
    assert abs(clocks.error_s) <= 1.03


def test_a_clock_that_runs_fast_is_followed_for_days():
    clocks = Clocks()
    for _ in range(2000):
        clocks.elapsed += 100
        clocks.server += 100 * 100e-6
        clocks.answer()
    assert abs(clocks.error_s) < 1.03


@pytest.mark.parametrize("date", [None, "", "soon", "Thu, 99 Jan 2026 00:00:00 GMT", "0"])
def test_without_a_date_that_can_be_read_the_machine_s_clock_is_all_there_is(date):
    clocks = Clocks(12.0)
    clocks.clock.heard(date, 1.0, 2.0)
    assert clocks.error_s == pytest.approx(12.0, abs=0.01)
    clocks.answer()
    known = clocks.error_s
    clocks.clock.heard(date, clocks.elapsed, clocks.elapsed)
    assert clocks.error_s == known
