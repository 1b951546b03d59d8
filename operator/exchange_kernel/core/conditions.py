"""Conditions of an OrderIntent, as the design's table has them: one function from a state and its reason to all seven.

Messages are stable text; `lastTransitionTime` moves only with `status`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from exchange_kernel.api import Condition, OrderState
from exchange_kernel.core.actions import Decision
from exchange_kernel.core.lifecycle import ENDED

TRUE, FALSE, UNKNOWN = "True", "False", "Unknown"

_GOOD_ENDS = frozenset({"Filled", "Overfilled", "CanceledAsAsked"})


@dataclass(frozen=True, slots=True)
class Outlook:
    """What the conditions are made from."""

    state: OrderState
    settled: bool  # the end is final: Finished
    decision: Decision
    matches: bool  # spec = exchange
    generation: int


def conditions(outlook: Outlook, old: Iterable[Condition], at: datetime) -> list[Condition]:
    """All conditions of one order now; those whose status did not change keep their lastTransitionTime."""
    before = {condition.type: condition for condition in old}
    made = []
    for kind, (status, reason, message) in _table(outlook).items():
        previous = before.get(kind)
        since = previous.last_transition_time if previous is not None and previous.status == status else at
        made.append(Condition(type=kind, status=status, reason=reason, message=message, observed_generation=outlook.generation, last_transition_time=since))
    return made


def _table(outlook: Outlook) -> dict[str, tuple[str, str, str]]:
    state, verdict, waiting = outlook.state, outlook.decision.verdict, outlook.decision.waiting
    unknown = state is OrderState.UNKNOWN
    person = waiting is not None and waiting.person
    if outlook.settled and verdict is not None:
        reason, message = verdict.reason, verdict.message
        good = reason in _GOOD_ENDS
        return {
            "Finished": (TRUE, reason, message),
            "Succeeded": (TRUE if good else FALSE, reason, message),
            "Ready": (TRUE if good else FALSE, reason, message),
            "Reconciling": (FALSE, "Finished", ""),
            "Stalled": (FALSE if good else TRUE, reason, "" if good else message),
            "Synced": (TRUE, "Finished", ""),
            "OutcomeUnknown": (FALSE, "Finished", ""),
        }
    if waiting is not None:
        reason, message = waiting.reason, waiting.message
    elif outlook.decision.operation is not None:
        reason, message = outlook.decision.operation, ""
    elif state in ENDED:
        reason, message = "Settling", "Ended at the exchange; its fills are being read once more."
    else:
        reason, message = str(state), ""
    working = state in (OrderState.OPEN, OrderState.PARTIALLY_FILLED) and outlook.matches and outlook.decision.operation is None
    synced = outlook.matches and not unknown and state not in (OrderState.PENDING, OrderState.SUBMITTING)
    reconciling = not person and not (working and waiting is None)
    return {
        "Finished": (FALSE, reason, ""),
        "Succeeded": (UNKNOWN, reason, ""),
        "Ready": (TRUE if working and not person else FALSE, reason, message),
        "Reconciling": (TRUE if reconciling else FALSE, reason, ""),
        "Stalled": (TRUE if person else FALSE, reason if person else "Progressing", message if person else ""),
        "Synced": (TRUE if synced else UNKNOWN if unknown else FALSE, reason, ""),
        "OutcomeUnknown": (TRUE if unknown else FALSE, reason if unknown else "Known", message if unknown else ""),
    }
