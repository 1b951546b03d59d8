"""The outside as this room knows it: Store (`stores/port.py`), Exchange (`exchanges/port.py`), Ownership, Clock, and who is told: Events, Journal."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from exchange_kernel.core.events import Event
from exchange_kernel.core.groups import GroupRecord
from exchange_kernel.core.order import OrderRecord
from exchange_kernel.exchanges.port import Exchange
from exchange_kernel.stores.port import AccountRecord


class Clock(Protocol):
    def monotonic(self) -> float: ...

    def wall_ms(self) -> int:
        """The time by which objects are stamped as created: the API server's, as far as it is known. People's deadlines are judged by it."""
        ...


class SystemClock:
    """The machine's clocks: where the objects are in this process too."""

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
    retry_after_s: float | None = field(default=None, compare=False)  # the venue asked us to stay away for so long
    person: bool = False  # it stays so until the account's spec is another, or the operator is


class Opener(Protocol):
    """Opens the exchange of one account with its credentials: the composition root's, since it knows Secrets and adapters.

    It keeps what it last opened with in memory: a Secret that is deleted does not stop cancels (rule 11).
    """

    async def open(self, account: AccountRecord) -> Exchange | NotConnectable: ...

    async def outdated(self, account: AccountRecord) -> bool:
        """Whether the account's Secrets, where they can be read, say something else than what was last opened with."""
        ...


class Events(Protocol):
    """Tells users (`core/events.py`), after the fact and best effort: it returns at once, never raises, and may lose an Event."""

    def order_event(self, order: OrderRecord, event: Event) -> None: ...

    def group_event(self, group: GroupRecord, event: Event) -> None: ...

    def account_event(self, account: AccountRecord, type: str, reason: str, note: str) -> None:
        """`type`: Normal | Warning; `reason`: CamelCase; `note`: stable text, so that what repeats is one Event with a count."""
        ...


class NoEvents:
    """Nobody is told."""

    def order_event(self, order: OrderRecord, event: Event) -> None: ...

    def group_event(self, group: GroupRecord, event: Event) -> None: ...

    def account_event(self, account: AccountRecord, type: str, reason: str, note: str) -> None: ...


#: Writes the line after, once, with what came of the mutation.
EndLine = Callable[[Mapping[str, object]], None]


class Journal(Protocol):
    """The audit journal: a line before and a line after each mutation outside. It never raises, and keeps nothing waiting but for one write."""

    def begin(self, action: str, facts: Mapping[str, object]) -> EndLine:
        """Write the line before. What is returned writes the line after."""
        ...

    def fact(self, what: str, facts: Mapping[str, object]) -> None:
        """Write one line of something that the exchange did and that no status tells."""
        ...


class NoJournal:
    """Nothing is written."""

    def begin(self, action: str, facts: Mapping[str, object]) -> EndLine:
        return lambda outcome: None

    def fact(self, what: str, facts: Mapping[str, object]) -> None: ...
