"""What goes wrong on purpose: rules for requests, and states of the stream and of the network.

`control.py` sets them; `http.py` and `stream.py` suffer them.
"""

from __future__ import annotations

import asyncio
from enum import StrEnum
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
    """Those in force. The first rule that matches a request is the one it suffers."""

    def __init__(self) -> None:
        self.network = Network.OPEN
        self.events_to_drop = 0
        self._rules: list[tuple[RequestFault, int | None]] = []
        self._lifted = asyncio.Event()

    def add(self, fault: RequestFault) -> None:
        self._rules.append((fault, fault.count))

    def take(self, method: str, path: str, parameters: Parameters | None) -> RequestFault | None:
        """The fault that this request suffers; it counts as suffered."""
        for position, (fault, left) in enumerate(self._rules):
            if fault.matches(method, path, parameters):
                if left == 1:
                    del self._rules[position]
                elif left is not None:
                    self._rules[position] = (fault, left - 1)
                return fault
        return None

    def drops_event(self) -> bool:
        """Whether the next event of a stream gets lost."""
        if self.network is not Network.OPEN:
            return True
        if self.events_to_drop:
            self.events_to_drop -= 1
            return True
        return False

    async def until_lifted(self) -> None:
        await self._lifted.wait()

    def lift(self) -> None:
        """Of requests, streams and the network; what hangs is dropped."""
        self._rules.clear()
        self.events_to_drop = 0
        self.network = Network.OPEN
        self._lifted.set()
        self._lifted = asyncio.Event()

    def document(self) -> dict[str, object]:
        return {
            "faults": [{**fault.model_dump(exclude_defaults=True), "do": fault.do, "left": left} for fault, left in self._rules],
            "network": self.network, "eventsToDrop": self.events_to_drop,
        }
