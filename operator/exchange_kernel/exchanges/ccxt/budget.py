"""The rate budget of one account: the venue's weights as token buckets, cancels before everything else, and the venue's "stay away" for all.

It stands in front of the signature (rule 4): a request is stamped after it was granted, so it never grows old in this queue. ccxt's own throttle is
off: it knows no priorities, lets cancelled waiters consume their turn, and hears neither Retry-After nor the weights the venue reports.
"""

from __future__ import annotations

import asyncio
import heapq
import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol, TypeAlias


class Priority(IntEnum):
    """Who goes first while the budget is short. Equals wait in the order in which they came."""

    CANCEL = 0     # also draws on the reserve
    SUBMIT = 1
    LOOKUP = 2
    LISTING = 3


@dataclass(frozen=True, slots=True)
class Limit:
    """A venue's limit: so much weight in a window of so many seconds."""

    weight: float
    window_s: float


@dataclass(frozen=True, slots=True)
class Granted:
    weight: float


@dataclass(frozen=True, slots=True)
class StayAway:
    """The venue asked the whole account to wait, for longer than a request should stand in a queue."""

    seconds: float


Turn: TypeAlias = Granted | StayAway


class Timer(Protocol):
    """What the budget needs of an event loop."""

    def time(self) -> float: ...

    def call_at(self, when: float, callback: Callable[[], object], /) -> asyncio.TimerHandle: ...


class _Bucket:
    def __init__(self, size: float, per_second: float, reserve: float, now: float) -> None:
        self.size = size
        self.per_second = per_second
        self.reserve = size * reserve
        self.tokens = size
        self.filled_at = now

    @classmethod
    def under(cls, limit: Limit, reserve: float, now: float) -> _Bucket:
        """Never more than the limit in any window of its length: a quarter at once, the other three spread over the window."""
        return cls(limit.weight / 4, limit.weight * 3 / 4 / limit.window_s, reserve, now)

    def refill(self, now: float) -> None:
        self.tokens = min(self.size, self.tokens + max(0.0, now - self.filled_at) * self.per_second)
        self.filled_at = now

    def missing(self, weight: float, priority: Priority) -> float:
        """How many tokens are missing for this weight; a weight beyond the bucket waits for a full one."""
        floor = 0.0 if priority is Priority.CANCEL else self.reserve
        return min(weight, self.size - floor) + floor - self.tokens


@dataclass(order=True, slots=True)
class _Waiter:
    priority: Priority
    number: int
    weight: float
    turn: asyncio.Future[Turn]


_EPSILON = 1e-9

#: How often a cancel goes out while the account stays away: an order that nobody can cancel costs more than a longer ban (rule 9).
SLOW_CANCEL_S = 10.0


class Budget:
    def __init__(self, limit: Limit, *, timer: Timer, requests_per_second: float | None = None, cancel_reserve_percent: int = 10,
                 patience_s: float = 5.0) -> None:
        """`limit` counts weights; `requests_per_second`, where the account sets it, counts requests, whatever their weight."""
        self._timer = timer
        self._reserve = cancel_reserve_percent / 100
        self._patience_s = patience_s
        self._limit = limit
        self._weights = _Bucket.under(limit, self._reserve, timer.time())
        self._requests = None if requests_per_second is None else _Bucket(
            max(1.0, requests_per_second), requests_per_second, self._reserve, timer.time())
        self._waiting: list[_Waiter] = []
        self._numbers = 0
        self._away_until = 0.0
        self._next_cancel = 0.0            # while the account stays away
        self._closed = False
        self._alarm: asyncio.TimerHandle | None = None

    async def turn(self, weight: float, priority: Priority) -> Turn:
        """Wait for a turn. A waiter that is cancelled consumes nothing."""
        now = self._timer.time()
        away = self._away_until - now
        if self._closed:
            return StayAway(math.inf)
        if away > self._patience_s:
            if priority is not Priority.CANCEL:
                return StayAway(away)
            if now < self._next_cancel:
                return StayAway(min(away, self._next_cancel - now))
            self._next_cancel = now + SLOW_CANCEL_S
            self._take(weight)
            return Granted(weight)
        if away <= 0 and not self._overtaken(priority) and self._wait_for(weight, priority) <= 0:
            self._take(weight)
            return Granted(weight)
        self._numbers += 1
        waiter = _Waiter(priority, self._numbers, weight, asyncio.get_running_loop().create_future())
        heapq.heappush(self._waiting, waiter)
        self._serve()
        try:
            return await waiter.turn
        except asyncio.CancelledError:
            if waiter.turn.done() and not waiter.turn.cancelled() and isinstance(waiter.turn.result(), Granted):
                self.give_back(weight)      # granted and cancelled in the same breath
            self._serve()
            raise

    def give_back(self, weight: float) -> None:
        """The request was never written."""
        for bucket, amount in self._charged(weight):
            bucket.tokens = min(bucket.size, bucket.tokens + amount)
        self._serve()

    def stay_away(self, seconds: float) -> None:
        """429, 418 or Retry-After: nobody of this account asks the venue anything for so long, except for a cancel now and then."""
        self._away_until = max(self._away_until, self._timer.time() + seconds)
        if self._away_until - self._timer.time() > self._patience_s:
            for waiter in self._waiting:
                if not waiter.turn.done():
                    waiter.turn.set_result(StayAway(self._away_until - self._timer.time()))
            self._waiting.clear()
        self._serve()

    def close(self) -> None:
        """Whoever waits for a turn goes home, and nobody gets one any more."""
        self._closed = True
        self.stay_away(math.inf)

    def heard(self, used_weight: float) -> None:
        """The venue's own count for the current window, which includes others behind our address."""
        self._weights.refill(self._timer.time())
        self._weights.tokens = min(self._weights.tokens, max(0.0, self._limit.weight - used_weight))

    def resize(self, limit: Limit) -> None:
        """The venue published another limit than the one we began with."""
        if limit != self._limit:
            self._limit = limit
            self._weights = _Bucket.under(limit, self._reserve, self._timer.time())
            self._serve()

    def _charged(self, weight: float) -> list[tuple[_Bucket, float]]:
        charged = [(self._weights, min(weight, self._weights.size))]
        if self._requests is not None:
            charged.append((self._requests, 1.0))
        return charged

    def _take(self, weight: float) -> None:
        for bucket, amount in self._charged(weight):
            bucket.tokens -= amount

    def _wait_for(self, weight: float, priority: Priority) -> float:
        """Seconds until this request could be granted; 0 or less if it can be now."""
        now = self._timer.time()
        longest = self._away_until - now
        for bucket, amount in self._charged(weight):
            bucket.refill(now)
            missing = bucket.missing(amount, priority)
            if missing > _EPSILON:
                longest = max(longest, missing / bucket.per_second)
        return longest

    def _overtaken(self, priority: Priority) -> bool:
        self._drop_cancelled()
        return bool(self._waiting) and self._waiting[0].priority <= priority

    def _drop_cancelled(self) -> None:
        while self._waiting and self._waiting[0].turn.done():
            heapq.heappop(self._waiting)

    def _serve(self) -> None:
        """Grant in order as far as the tokens go, and set one alarm for the next in line."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        while True:
            self._drop_cancelled()
            if not self._waiting:
                return
            head = self._waiting[0]
            wait = self._wait_for(head.weight, head.priority)
            if wait > 0:
                self._alarm = self._timer.call_at(self._timer.time() + wait, self._serve)
                return
            heapq.heappop(self._waiting)
            self._take(head.weight)
            head.turn.set_result(Granted(head.weight))
