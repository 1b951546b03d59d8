"""What goes wrong on purpose on the way to the venue and back: rules for requests, and states of the stream and of the network.

`commands.py` sets them; `http.py` and `stream.py` suffer them. What goes wrong in reads is in `visibility.py`.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from exchange_kernel.exchanges.simulated.parameters import Parameters

REMEMBERED = 50     # events of a stream that may be told again


class Network(StrEnum):
    OPEN = "open"
    HANGING = "hang"            # connections stand, and nothing is answered
    REFUSING = "refuse"         # nobody listens


class RequestClass(StrEnum):
    """What a request is for, whatever a dialect calls it."""

    SUBMIT = "submit"
    CANCEL = "cancel"
    AMEND = "amend"
    REPLACE = "replace"
    SUBMIT_LIST = "submit-list"
    CANCEL_LIST = "cancel-list"
    LOOKUP = "lookup"
    LOOKUP_LIST = "lookup-list"
    OPEN_ORDERS = "open-orders"
    ORDERS = "orders"
    TRADES = "trades"
    ACCOUNT = "account"
    MARKETS = "markets"
    CLOCK = "clock"
    OTHER = "other"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Match(_Strict):
    """Which requests. What isn't named matches all."""

    on: RequestClass | None = None
    method: str | None = None
    path: str | None = None
    params: dict[str, str] = Field(default_factory=dict)       # e.g. {"symbol": "BTCUSDT"}


class RequestFault(_Strict):
    """For the next `count` matching requests, or with null until it is lifted.

    `accepted`: whether the request has its effect. Unsaid, it has for what happens to replies and for a status of 500 or more.
    """

    do: Literal[
        "delay-before", "delay-match", "delay-reply", "drop-request", "drop-reply", "status", "garbage", "empty", "truncate", "hang", "fill-first", "pretend",
    ]
    match: Match = Match()
    count: int | None = Field(default=1, ge=1)
    probability: float = Field(default=1, gt=0, le=1)       # of each matching request; who is spared isn't counted
    ms: int = Field(default=0, ge=0)
    fraction: float = Field(default=1, gt=0, le=1)          # of what is left of an order, for fill-first
    status: int | None = Field(default=None, ge=200, le=599)
    body: str | None = None
    headers: dict[str, str] = Field(default_factory=dict)
    accepted: bool | None = None

    @model_validator(mode="after")
    def _complete(self) -> RequestFault:
        if self.do == "status" and self.status is None:
            raise ValueError("status needs a status, as in {\"do\": \"status\", \"status\": 502}")
        if self.do.startswith("delay-") and not self.ms:
            raise ValueError(f"{self.do} needs ms")
        return self

    @property
    def takes_effect(self) -> bool:
        if self.accepted is not None:
            return self.accepted
        return self.do not in ("drop-request", "hang") and (self.status is None or self.status >= 500)

    def matches(self, kind: RequestClass, method: str, path: str, parameters: Parameters | None) -> bool:
        return (
            self.match.on in (None, kind) and self.match.method in (None, method) and self.match.path in (None, path)
            and (not self.match.params or (parameters is not None and all(parameters.peek(name) == value for name, value in self.match.params.items())))
        )


@dataclass(slots=True)
class StreamFaults:
    """What events suffer until it is lifted. Probabilities are of each event."""

    silent: bool = False            # the connection stands, and nothing comes: not even an answer to a ping
    loss: float = 0.0
    duplication: float = 0.0
    reordering: float = 0.0         # it comes after the next one
    staleness: float = 0.0          # an older one is told again after it
    late_ms: int = 0
    trades_only: bool = False       # nothing but executions suffers


@dataclass(slots=True)
class Lane:
    """One stream's events: what was told, and what is held back for the next one to overtake."""

    told: deque[Any] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    held: list[Any] = field(default_factory=list)


class Faults:
    """Those in force. The first rule that matches a request, and does not spare it, is the one it suffers. One seed, so that a run repeats."""

    def __init__(self, seed: int = 0) -> None:
        self.network = Network.OPEN
        self.events_to_drop = 0
        self.stream = StreamFaults()
        self.suffered: Counter[str] = Counter()
        self._random = Random(seed)
        self._rules: list[tuple[RequestFault, int | None]] = []
        self._lifted = asyncio.Event()

    def add(self, fault: RequestFault) -> None:
        self._rules.append((fault, fault.count))

    def take(self, kind: RequestClass, method: str, path: str, parameters: Parameters | None) -> RequestFault | None:
        """The fault that this request suffers; it counts as suffered."""
        for position, (fault, left) in enumerate(self._rules):
            if fault.matches(kind, method, path, parameters) and (fault.probability == 1 or self._random.random() < fault.probability):
                self.suffered[fault.do if fault.status is None else f"{fault.do} {fault.status}"] += 1
                if left == 1:
                    del self._rules[position]
                elif left is not None:
                    self._rules[position] = (fault, left - 1)
                return fault
        return None

    @property
    def mute(self) -> bool:
        """Whether nothing is said on streams, pongs included."""
        return self.network is not Network.OPEN or self.stream.silent

    def told(self, lane: Lane, event: Any, *, trade: bool) -> list[Any]:
        """What arrives of an event, and with it: in this order."""
        if self.mute:
            return []
        faults, random = self.stream, self._random
        if self.events_to_drop:
            self.events_to_drop -= 1
            return self._suffers("lost", [])
        if faults.trades_only and not trade:
            return [*self._said(lane, event), *self.overtaken(lane)]
        if faults.loss and random.random() < faults.loss:
            return self._suffers("lost", [])
        if faults.reordering and not lane.held and random.random() < faults.reordering:
            lane.held.append(event)
            return self._suffers("reordered", [])
        arrives = self._said(lane, event)
        if faults.duplication and random.random() < faults.duplication:
            arrives = self._suffers("duplicated", arrives * 2)
        arrives += self.overtaken(lane)
        if faults.staleness and len(lane.told) > 1 and random.random() < faults.staleness:
            arrives = self._suffers("replayed", [*arrives, random.choice(list(lane.told)[:-1])])
        return arrives

    def overtaken(self, lane: Lane) -> list[Any]:
        """What was held back, and comes now."""
        held = [event for one in lane.held for event in self._said(lane, one)]
        lane.held.clear()
        return held

    @staticmethod
    def _said(lane: Lane, event: Any) -> list[Any]:
        lane.told.append(event)
        return [event]

    def _suffers(self, what: str, arrives: list[Any]) -> list[Any]:
        self.suffered[f"event {what}"] += 1
        return arrives

    async def until_lifted(self) -> None:
        await self._lifted.wait()

    def lift(self) -> None:
        """Of requests, streams and the network; what hangs is dropped."""
        self._rules.clear()
        self.events_to_drop = 0
        self.stream = StreamFaults()
        self.network = Network.OPEN
        self._lifted.set()
        self._lifted = asyncio.Event()

    def document(self) -> dict[str, object]:
        return {
            "faults": [{**fault.model_dump(exclude_defaults=True), "do": fault.do, "left": left} for fault, left in self._rules],
            "network": self.network, "eventsToDrop": self.events_to_drop, "eventLoss": self.stream.loss, "eventDuplication": self.stream.duplication,
            "streamSilent": self.stream.silent, "eventReordering": self.stream.reordering, "eventStaleness": self.stream.staleness,
            "suffered": dict(sorted(self.suffered.items())),
        }
