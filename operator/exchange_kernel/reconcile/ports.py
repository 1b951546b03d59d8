"""The outside as this room knows it: Store (`stores/port.py`), Exchange (`exchanges/port.py`), Ownership and Clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from exchange_kernel.exchanges.port import Exchange
from exchange_kernel.stores.port import AccountRecord


class Clock(Protocol):
    def monotonic(self) -> float: ...

    def wall_ms(self) -> int: ...


class SystemClock:
    """The machine's clocks."""

    def monotonic(self) -> float:
        return time.monotonic()

    def wall_ms(self) -> int:
        return time.time_ns() // 1_000_000


class Ownership(Protocol):
    """Whether this account is ours to act for, and until when (rule 7). Times are this process's monotonic clock, in seconds."""

    @property
    def identity(self) -> str:
        """Of this process, unique to it."""
        ...

    @property
    def elsewhere(self) -> bool:
        """Whether another process was seen to hold it, when this one last looked."""
        ...

    @property
    def duration(self) -> float: ...

    @property
    def held_until(self) -> float:
        """The end of the last successful renewal's term, counted from before its request was sent; 0 when not held."""
        ...

    async def look(self) -> None:
        """Find out whether it is `elsewhere`, without seeking it."""
        ...

    async def acquire(self) -> None:
        """Return once it is ours, and any predecessor's term is waited out."""
        ...

    async def hold(self, before_renewal: Callable[[float], None], renewed: Callable[[float], None]) -> None:
        """Renew until lost, then return. `before_renewal(t)` is called just before each request is sent, `renewed(t)` when that one succeeded."""
        ...

    async def release(self) -> None: ...


@dataclass(frozen=True, slots=True)
class NotConnectable:
    """Why an account's exchange can't be opened: a condition's type and reason, and a sentence that says what to do."""

    condition: str  # CredentialsValid | Connected | Ready
    reason: str
    message: str


class Opener(Protocol):
    """Opens the exchange of one account with its credentials: the composition root's, since it knows Secrets and adapters.

    It keeps what it last opened with in memory: a Secret that is deleted does not stop cancels (rule 11).
    """

    async def open(self, account: AccountRecord) -> Exchange | NotConnectable: ...

    async def outdated(self, account: AccountRecord) -> bool:
        """Whether the account's Secrets, where they can be read, say something else than what was last opened with."""
        ...
