"""Who hears of events. Each subscription has its own queue, so that a slow or failing one holds up nobody, and an order's events stay in order."""

from __future__ import annotations

import asyncio
import inspect
import itertools
from collections import deque
from dataclasses import dataclass, field

import structlog

from exchange_kernel.kernel.events import BaseEvent, EventCallback, EventFilter

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Subscription:
    callback: EventCallback
    filter: EventFilter
    waiting: deque[BaseEvent] = field(default_factory=deque)
    teller: asyncio.Task[None] | None = None

    async def tell(self) -> None:
        try:
            while self.waiting:
                await self._tell_one(self.waiting.popleft())
        finally:
            self.teller = None

    async def _tell_one(self, event: BaseEvent) -> None:
        try:
            answer = self.callback(event)
            if inspect.isawaitable(answer):
                await answer
        except Exception:
            log.exception("a callback failed; it goes on with the next event", event_type=str(event.event_type), intent=event.intent_id)


class Subscriptions:
    """The subscriptions of one kernel."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._all: dict[str, _Subscription] = {}

    @property
    def waiting(self) -> int:
        """Events that have not been given to their callbacks yet."""
        return sum(len(subscription.waiting) for subscription in self._all.values())

    def add(self, callback: EventCallback, event_filter: EventFilter | None) -> str:
        subscription_id = f"subscription-{next(self._numbers)}"
        self._all[subscription_id] = _Subscription(callback, event_filter or EventFilter())
        return subscription_id

    def remove(self, subscription_id: str) -> None:
        if (subscription := self._all.pop(subscription_id, None)) is not None:
            subscription.waiting.clear()

    def publish(self, event: BaseEvent) -> None:
        for subscription in self._all.values():
            if subscription.filter.matches(event):
                subscription.waiting.append(event)
                if subscription.teller is None:
                    subscription.teller = asyncio.get_running_loop().create_task(subscription.tell())

    async def drain(self, within: float) -> None:
        """Let what waits be told, for so many seconds; what is left then is not told."""
        current = asyncio.current_task()
        tellers = [teller for subscription in self._all.values() if (teller := subscription.teller) is not None and teller is not current]
        if tellers:
            _, late = await asyncio.wait(tellers, timeout=within)
            for teller in late:
                teller.cancel()
        for subscription in self._all.values():
            subscription.waiting.clear()
