"""Events (`events.k8s.io/v1`), written by one background task, on nobody's way. What there is to tell is `core/events.py`'s.

Best effort: when too many wait, or the API server does not take them, they are dropped and counted. What repeats is one Event with a series.
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol, TypeAlias

import structlog

from exchange_kernel.core.events import ORDER_ACTIONS, Event
from exchange_kernel.core.group_events import GROUP_ACTIONS
from exchange_kernel.kube.client import EVENTS, GROUP, Answer, ApiClient, Body

log = structlog.get_logger(__name__)

CONTROLLER = f"{GROUP}/operator"
WAITING_LIMIT = 1000  # kinds of Events that may wait to be written
SERIES_LIMIT = 4096  # … and that may go on as a series
SERIES_S = 360.0  # what does not repeat within this time begins anew, as client-go has it
NOTE_LIMIT = 1024  # the API server's
RETRIES_S = (0.5, 2.0, 5.0)


class Named(Protocol):
    """Whatever an Event can regard."""

    @property
    def uid(self) -> str: ...

    @property
    def namespace(self) -> str: ...

    @property
    def name(self) -> str: ...

    @property
    def resource_version(self) -> str: ...


_Kind: TypeAlias = tuple[str, Event]  # UID, and what is told


@dataclass(slots=True)
class _Waiting:
    kind: str
    regarding: Named
    action: str
    first: datetime
    last: datetime
    count: int = 1


@dataclass(slots=True)
class _Series:
    name: str
    count: int
    last: datetime


class EventRecorder:
    """All Events of one process. `count` is told what became of each: Written, Refused or Dropped."""

    def __init__(self, api: ApiClient, instance: str, count: Callable[[str], None], now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._api, self._instance, self._count, self._now = api, instance, count, now
        self._waiting: dict[_Kind, _Waiting] = {}
        self._series: OrderedDict[_Kind, _Series] = OrderedDict()
        self._wanted, self._idle = asyncio.Event(), asyncio.Event()
        self._idle.set()

    def order_event(self, order: Named, event: Event) -> None:
        self._tell("OrderIntent", order, ORDER_ACTIONS.get(event.reason, "Reconcile"), event)

    def group_event(self, group: Named, event: Event) -> None:
        self._tell("OrderGroup", group, GROUP_ACTIONS.get(event.reason, "Reconcile"), event)

    def account_event(self, account: Named, type: str, reason: str, note: str) -> None:
        self._tell("ExchangeAccount", account, "Reconcile", Event(type, reason, note))

    def _tell(self, kind: str, regarding: Named, action: str, event: Event) -> None:
        key, now = (regarding.uid, event), self._now()
        if (waiting := self._waiting.get(key)) is not None:
            waiting.count, waiting.last, waiting.regarding = waiting.count + 1, now, regarding
            return
        if len(self._waiting) >= WAITING_LIMIT:
            self._count("Dropped")
            return
        self._waiting[key] = _Waiting(kind, regarding, action, now, now)
        self._idle.clear()
        self._wanted.set()

    async def run(self) -> None:
        """Write what waits, oldest first, until cancelled."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            while self._waiting:
                key = next(iter(self._waiting))
                await self._write(key, self._waiting.pop(key))
            self._idle.set()

    async def close(self, within: float) -> None:
        """Let what waits be written, if that is soon done."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                await self._idle.wait()

    async def _write(self, key: _Kind, told: _Waiting) -> None:
        series = self._series.pop(key, None)
        if series is not None and (told.first - series.last).total_seconds() <= SERIES_S:
            series.count, series.last = series.count + told.count, told.last
            answer = await self._ask(lambda: self._api.patch(EVENTS.path(told.regarding.namespace, series.name), {"series": _series(series)}))
            if answer.status != 404:  # else it is gone from the API server, which keeps Events for an hour or so
                self._keep(key, series, answer)
                return
        new = _Series(f"{told.regarding.name[:200]}.{uuid.uuid4().hex[:16]}", told.count, told.last)
        body = self._body(key[1], told, new)
        self._keep(key, new, await self._ask(lambda: self._api.create(EVENTS.path(told.regarding.namespace), body)))

    @staticmethod
    async def _ask(request: Callable[[], Awaitable[Answer]]) -> Answer:
        """The API server's answer, asked for again where it had none for us."""
        for delay in RETRIES_S:
            answer = await request()
            if 0 < answer.status < 500 and answer.status != 429:
                return answer
            await asyncio.sleep(delay)
        return await request()

    def _keep(self, key: _Kind, series: _Series, answer: Answer) -> None:
        # A name of our own that is taken is our own earlier request, of which the answer was lost.
        if not answer.ok and answer.status != 409:
            self._count("Refused")
            log.info("an Event was not written", regarding=key[0], reason=key[1].reason, why=answer.message)
            return
        self._count("Written")
        self._series[key] = series
        if len(self._series) > SERIES_LIMIT:
            self._series.popitem(last=False)

    def _body(self, event: Event, told: _Waiting, series: _Series) -> Body:
        regarding = told.regarding
        return {
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {"name": series.name, "namespace": regarding.namespace},
            "eventTime": _time(told.first),
            "type": event.type,
            "reason": event.reason,
            "action": told.action,
            "note": event.note[:NOTE_LIMIT],
            "reportingController": CONTROLLER,
            "reportingInstance": self._instance[:128],
            "regarding": {
                "apiVersion": f"{GROUP}/v1alpha1",
                "kind": told.kind,
                "namespace": regarding.namespace,
                "name": regarding.name,
                "uid": regarding.uid,
                "resourceVersion": regarding.resource_version,
            },
            **({"series": _series(series)} if series.count > 1 else {}),
        }


def _series(series: _Series) -> Body:
    return {"count": series.count, "lastObservedTime": _time(series.last)}


def _time(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
