"""Request weights, limited per minute as an IP is, and unfilled orders, limited per account. Source: binance-spot-api-docs, rest-api.md, "LIMITS"."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from exchange_kernel.exchanges.simulated.errors import banned, too_many_orders, too_much_weight

MINUTE_MS = 60_000
TEN_SECONDS_MS = 10_000
DAY_MS = 24 * 3600 * 1000
PATIENCE = 10           # requests beyond the limit in one minute that are still told 429; then comes the ban
BAN_MS = 120_000        # "from 2 minutes to 3 days"


@dataclass(slots=True)
class Count:
    count: int = 0
    weight: int = 0


class Requests:
    """All requests that were seen, by method and path; what faults swallowed included."""

    def __init__(self) -> None:
        self.counts: defaultdict[str, Count] = defaultdict(Count)

    def seen(self, name: str, weight: int) -> None:
        counted = self.counts[name]
        counted.count += 1
        counted.weight += weight

    def reset(self) -> None:
        self.counts.clear()

    def document(self) -> dict[str, object]:
        return {
            "requests": {name: {"count": counted.count, "weight": counted.weight} for name, counted in sorted(self.counts.items())},
            "count": sum(counted.count for counted in self.counts.values()),
            "weight": sum(counted.weight for counted in self.counts.values()),
        }


class WeightLimit:
    """Fixed windows of a minute of the venue's time. Everyone counts as one address."""

    def __init__(self, now: Callable[[], int], limit: int) -> None:
        self.limit = limit
        self.used = 0
        self._now = now
        self._minute = 0
        self._beyond = 0
        self._banned_until = 0

    def charge(self, weight: int) -> None:
        """Raises the venue's 429, or 418 for who went on after many of those."""
        now = self._now()
        if now < self._banned_until:
            raise banned(self._banned_until, _seconds(self._banned_until - now))
        if (minute := now // MINUTE_MS) != self._minute:
            self._minute, self.used, self._beyond = minute, 0, 0
        self.used += weight
        if self.used <= self.limit:
            return
        self._beyond += 1
        if self._beyond > PATIENCE:
            self._banned_until = now + BAN_MS
            raise banned(self._banned_until, _seconds(BAN_MS))
        raise too_much_weight(self.limit, _seconds((minute + 1) * MINUTE_MS - now))

    def document(self) -> dict[str, object]:
        """As exchangeInfo and the websocket API's answers show it."""
        return {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": self.limit}


class OrderLimit:
    """Unfilled orders of one account, in fixed windows of the venue's time. Source: faqs/order_count_decrement.md.

    At the venue a maker's first fill may give back more than its own.
    """

    def __init__(self, now: Callable[[], int], limits: Mapping[int, int]) -> None:
        """`limits`: orders, by the window's length in ms."""
        self.limits = dict(limits)
        self._now = now
        self._counts = {length: (0, 0) for length in limits}        # the window's number, and what was placed in it

    def charge(self, orders: int) -> None:
        """Raises the venue's 429."""
        now = self._now()
        for length, limit in self.limits.items():
            if self.used(length) + orders > limit:
                raise too_many_orders(limit, _interval(length), _seconds((now // length + 1) * length - now))
        for length in self.limits:
            self._counts[length] = (now // length, self.used(length) + orders)

    def used(self, length: int) -> int:
        window, count = self._counts[length]
        return count if window == self._now() // length else 0

    def document(self) -> list[dict[str, object]]:
        """As exchangeInfo shows them."""
        return [{"rateLimitType": "ORDERS", **_window(length), "limit": limit} for length, limit in self.limits.items()]

    def counts(self) -> list[dict[str, object]]:
        return [{**limit, "count": self.used(length)} for limit, length in zip(self.document(), self.limits, strict=True)]

    def filled(self) -> None:
        """An order of the account for the first time."""
        for length in self.limits:
            self._counts[length] = (self._now() // length, max(0, self.used(length) - 1))


def _window(length: int) -> dict[str, object]:
    return {"interval": "DAY", "intervalNum": 1} if length == DAY_MS else {"interval": "SECOND", "intervalNum": length // 1000}


def _interval(length: int) -> str:
    return "1 DAY" if length == DAY_MS else f"{length // 1000} SECOND"


def _seconds(ms: int) -> int:
    return -(-ms // 1000)
