"""What goes wrong on purpose: rules for requests, and states of the stream and of the network.

`control.py` sets them; `http.py` and `stream.py` suffer them.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from enum import StrEnum
from random import Random
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from exchange_kernel.exchanges.simulated.parameters import Parameters


class Network(StrEnum):
    OPEN = "open"
    HANGING = "hang"            # connections stand, and nothing is answered
    REFUSING = "refuse"         # nobody listens


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Match(_Strict):
    """Which requests. What isn't named matches all."""

    method: str | None = None
    path: str | None = None
    params: dict[str, str] = Field(default_factory=dict)       # e.g. {"symbol": "BTCUSDT"}


class RequestFault(_Strict):
    """For the next `count` matching requests, or with null until it is lifted.

    `accepted`: whether the request has its effect. Unsaid, it has for what happens to replies and for a status of 500 or more.
    """

    do: Literal["delay-before", "delay-reply", "drop-request", "drop-reply", "status", "garbage", "empty", "truncate", "hang"]
    match: Match = Match()
    count: int | None = Field(default=1, ge=1)
    probability: float = Field(default=1, gt=0, le=1)       # of each matching request; who is spared isn't counted
    ms: int = Field(default=0, ge=0)
    status: int | None = Field(default=None, ge=200, le=599)
    body: str | None = None
    headers: dict[str, str] = Field(default_factory=dict)
    accepted: bool | None = None

    @model_validator(mode="after")
    def _complete(self) -> RequestFault:
        if self.do == "status" and self.status is None:
            raise ValueError("status needs a status, as in {\"do\": \"status\", \"status\": 502}")
        if self.do in ("delay-before", "delay-reply") and not self.ms:
            raise ValueError(f"{self.do} needs ms")
        return self

    @property
    def takes_effect(self) -> bool:
        if self.accepted is not None:
            return self.accepted
        return self.do not in ("drop-request", "hang") and (self.status is None or self.status >= 500)

    def matches(self, method: str, path: str, parameters: Parameters | None) -> bool:
        return (
            self.match.method in (None, method) and self.match.path in (None, path)
            and (not self.match.params or (parameters is not None and all(parameters.peek(name) == value for name, value in self.match.params.items())))
        )


class Faults:
    """Those in force. The first rule that matches a request, and does not spare it, is the one it suffers. One seed, so that a run repeats."""

    def __init__(self, seed: int = 0) -> None:
        self.network = Network.OPEN
        self.events_to_drop = 0
        self.event_loss = 0.0           # probabilities, of each event
        self.event_duplication = 0.0
        self.suffered: Counter[str] = Counter()
        self._random = Random(seed)
        self._rules: list[tuple[RequestFault, int | None]] = []
        self._lifted = asyncio.Event()

    def add(self, fault: RequestFault) -> None:
        self._rules.append((fault, fault.count))

    def take(self, method: str, path: str, parameters: Parameters | None) -> RequestFault | None:
        """The fault that this request suffers; it counts as suffered."""
        for position, (fault, left) in enumerate(self._rules):
            if fault.matches(method, path, parameters) and (fault.probability == 1 or self._random.random() < fault.probability):
                self.suffered[fault.do if fault.status is None else f"{fault.do} {fault.status}"] += 1
                if left == 1:
                    del self._rules[position]
                elif left is not None:
                    self._rules[position] = (fault, left - 1)
                return fault
        return None

    def copies_of_event(self) -> int:
        """How often the next event of a stream arrives: not at all, once or twice."""
        if self.network is not Network.OPEN:
            return 0
        if self.events_to_drop:
            self.events_to_drop -= 1
            return self._event_suffers("event lost", 0)
        if self.event_loss and self._random.random() < self.event_loss:
            return self._event_suffers("event lost", 0)
        if self.event_duplication and self._random.random() < self.event_duplication:
            return self._event_suffers("event duplicated", 2)
        return 1

    def _event_suffers(self, name: str, copies: int) -> int:
        self.suffered[name] += 1
        return copies

    async def until_lifted(self) -> None:
        await self._lifted.wait()

    def lift(self) -> None:
        """Of requests, streams and the network; what hangs is dropped."""
        self._rules.clear()
        self.events_to_drop = 0
        self.event_loss = self.event_duplication = 0.0
        self.network = Network.OPEN
        self._lifted.set()
        self._lifted = asyncio.Event()

    def document(self) -> dict[str, object]:
        return {
            "faults": [{**fault.model_dump(exclude_defaults=True), "do": fault.do, "left": left} for fault, left in self._rules],
            "network": self.network, "eventsToDrop": self.events_to_drop,
            "eventLoss": self.event_loss, "eventDuplication": self.event_duplication, "suffered": dict(sorted(self.suffered.items())),
        }
