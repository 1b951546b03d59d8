"""Weights, by the minute."""

from __future__ import annotations

import pytest

from exchange_kernel.exchanges.simulated.errors import VenueError
from exchange_kernel.exchanges.simulated.limits import BAN_MS, PATIENCE, Requests, WeightLimit
from tests.unit.exchanges.simulated.client import StoppedClock


def refusal(limit: WeightLimit, weight: int = 1) -> tuple[int, int, dict[str, str]]:
    with pytest.raises(VenueError) as refused:
        limit.charge(weight)
    return refused.value.status, refused.value.code, dict(refused.value.headers)


def test_beyond_the_limit_it_is_429_until_the_minute_is_over():
    clock = StoppedClock()
    clock.at = 60_000 * 1000 + 45_500
    limit = WeightLimit(clock.now_ms, 100)
    limit.charge(100)
    assert refusal(limit) == (429, -1003, {"Retry-After": "15"})
    clock.at += 14_500
    limit.charge(100)
    assert limit.used == 100


def test_who_goes_on_is_banned_for_longer_than_the_minute():
    clock = StoppedClock()
    limit = WeightLimit(clock.now_ms, 1)
    limit.charge(1)
    assert [refusal(limit)[0] for _ in range(PATIENCE + 1)] == [429] * PATIENCE + [418]
    clock.at += BAN_MS - 1
    assert refusal(limit) == (418, -1003, {"Retry-After": "1"})
    clock.at += 1
    limit.charge(1)


def test_requests_are_counted_by_name_until_they_are_reset():
    requests = Requests()
    for name, weight in (("GET /b", 4), ("GET /a", 1), ("GET /b", 4)):
        requests.seen(name, weight)
    assert requests.document() == {"requests": {"GET /a": {"count": 1, "weight": 1}, "GET /b": {"count": 2, "weight": 8}}, "count": 3, "weight": 9}
    requests.reset()
    assert requests.document() == {"requests": {}, "count": 0, "weight": 0}
