"""A cell, what may never be in one, and how the matrix is told."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from exchange_kernel.core.answers import (
    Accepted,
    Duplicate,
    Found,
    GroupAccepted,
    GroupFound,
    Listing,
    Refused,
    Replaced,
    UnknownOrder,
)

#: Faults by which the venue lies in a well-formed answer: no reader of the answer can tell. Sweeps and streams do.
LIES = frozenset({"cancel-lost"})


#: What stands for the ten seconds after which no answer came, where none will. By then the exchange has the request.
PATIENCE_S = 1.0


@dataclass(frozen=True, slots=True)
class Cell:
    """One operation under one fault."""

    matrix: str
    operation: str
    fault: str
    outcome: str
    effect: bool | None     # whether the exchange did what was asked, by its own ledger; None for what asks for nothing

    @property
    def told(self) -> str:
        return self.outcome if self.effect is None else f"{self.outcome}; {'done' if self.effect else 'not done'}"

    @property
    def done_but_refused(self) -> bool:
        """It is live at the exchange, and we would believe that it never will be."""
        return self.effect is True and self.outcome.split()[0] in ("Refused", "NotSent", "TimeRefused")

    @property
    def absent_but_accepted(self) -> bool:
        return self.effect is False and self.outcome.startswith(("Accepted", "GroupAccepted")) and self.fault not in LIES


def outcome(answer: object) -> str:
    """The kind of an outcome and what matters of it; no reasons, which are for people."""
    match answer:
        case Accepted(order=order) | Found(order=order):
            filled = f" {order.filled_quantity.normalize():f}" if order.filled_quantity else ""
            return f"{type(answer).__name__} {order.status}{filled}"
        case Refused(code=code) | Duplicate(code=code) | UnknownOrder(code=code):
            return f"{type(answer).__name__} {code}"
        case Listing(items=items, complete=complete):
            return f"Listing {len(items)}{'' if complete else ' incomplete'}"
        case GroupAccepted(orders=orders):
            return f"GroupAccepted {len(orders)}"
        case GroupFound(client_order_ids=named):
            return f"GroupFound {len(named)}"
        case Replaced(cancelled=cancelled, submitted=submitted):
            return f"{outcome(submitted)} (cancel: {outcome(cancelled)})"
    return type(answer).__name__


Table = Mapping[str, Mapping[str, Mapping[str, str]]]      # matrix → operation → fault → what is told


def table(cells: Iterable[Cell]) -> Table:
    told: dict[str, dict[str, dict[str, str]]] = {}
    for cell in cells:
        told.setdefault(cell.matrix, {}).setdefault(cell.operation, {})[cell.fault] = cell.told
    return told


def printed(cells: Iterable[Cell]) -> str:
    """Operation by fault, with equal outcomes on one line."""
    lines = []
    for matrix, operations in table(cells).items():
        lines.append(f"\n{matrix}")
        for operation, faults in operations.items():
            for told in dict.fromkeys(faults.values()):
                named = [fault for fault, one in faults.items() if one == told]
                lines.append(f"  {operation:<20} {told:<42} {', '.join(named)}")
    return "\n".join(lines)


def summary(cells: Iterable[Cell]) -> str:
    found = list(cells)
    refused, accepted = sum(cell.done_but_refused for cell in found), sum(cell.absent_but_accepted for cell in found)
    return f"cells: {len(found)}  live but refused/not sent: {refused}  absent but accepted: {accepted}"
