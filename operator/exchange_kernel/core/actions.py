"""What a decision can ask for: one action, a settled end, or the reason for waiting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from exchange_kernel.api import OrderState
from exchange_kernel.core.venue import OrderRequest


@dataclass(frozen=True, slots=True)
class AddFinalizer:
    """Before anything is sent: admission has not put it on."""


@dataclass(frozen=True, slots=True)
class WriteAhead:
    """Record that attempt `number` may be sent, before it is (rule 6)."""

    number: int
    request: OrderRequest


@dataclass(frozen=True, slots=True)
class Submit:
    number: int
    request: OrderRequest


@dataclass(frozen=True, slots=True)
class Cancel:
    number: int


@dataclass(frozen=True, slots=True)
class Replace:
    """Cancel attempt `number` and send the next one in one request, which the venue makes smaller by what is filled meanwhile."""

    number: int
    request: OrderRequest


@dataclass(frozen=True, slots=True)
class WriteAmend:
    """Record what attempt `number` is to be amended to, before it is asked (rule 6)."""

    number: int
    request: OrderRequest


@dataclass(frozen=True, slots=True)
class Amend:
    """Change a live order in place; `request.quantity` is its new total, filled part included."""

    number: int
    request: OrderRequest


@dataclass(frozen=True, slots=True)
class Lookup:
    """One question by id. Finding is believed at any time; not finding proves nothing."""

    number: int


@dataclass(frozen=True, slots=True)
class ProveAbsence:
    """One pass of all the readings of rule 5."""

    number: int


@dataclass(frozen=True, slots=True)
class Settle:
    """Read the order and its trades once more, to see that its quantity is final (rules 10, 11) or to learn what explains it (rule 8)."""

    number: int


@dataclass(frozen=True, slots=True)
class Release:
    """Take the finalizer off: everything there is to know is in status."""


@dataclass(frozen=True, slots=True)
class Delete:
    """Its time after the end is over (ttlSecondsAfterFinished): delete the object."""


Action: TypeAlias = AddFinalizer | WriteAhead | Submit | Cancel | Replace | WriteAmend | Amend | Lookup | ProveAbsence | Settle | Release | Delete


@dataclass(frozen=True, slots=True)
class Verdict:
    """A settled end."""

    state: OrderState
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """Why nothing is done now, for the conditions. `person`: only a person can help."""

    reason: str
    message: str
    person: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    action: Action | None = None
    verdict: Verdict | None = None
    waiting: Waiting | None = None
    operation: str | None = None  # Amending | Replacing | Canceling while one is under way
    markets: bool = False  # what it waits for shows in a new reading of the markets
    holdings: bool = False  # and here in one of what the account holds
    again_ms: int | None = None  # decide again after so long, even if nothing wakes us
