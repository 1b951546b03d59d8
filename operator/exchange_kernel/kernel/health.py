"""Whether what is wanted and what is are reconciled, as far as a kernel can see: figures, and what is wrong as sentences that say what to do."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from exchange_kernel.kernel.derivation import stalled
from exchange_kernel.kernel.following import monotonic
from exchange_kernel.kernel.groups import GroupMirror
from exchange_kernel.kernel.mirror import Mirror, Mirrored
from exchange_kernel.kernel.models import State
from exchange_kernel.kube.client import WATCH_GRACE_S, WATCH_S

ANSWERED_WITHIN_S = 10.0  # an operator that runs looks at a changed intent much sooner


def health(intents: Mirror, groups: GroupMirror, *, started: bool, events_waiting: int, more: Iterable[str] = ()) -> dict[str, Any]:
    """`more`: what else is wrong."""
    age = max(intents.age_seconds, groups.age_seconds) if started else None
    unfinished = [known for known in intents.all() if not known.intent.finished]
    unanswered = [known for known in unfinished if known.unanswered_since is not None and monotonic() - known.unanswered_since > ANSWERED_WITHIN_S]
    unknown = [known for known in unfinished if known.intent.status.state is State.UNKNOWN]
    waiting = [known for known in unfinished if stalled(known.intent)]
    not_followed = intents.problem or groups.problem
    problems = [
        *([] if started else ["The kernel is not started: call start()."]),
        *([f"The API server can't be watched: {not_followed}"] if not_followed else []),
        *(["The API server has been silent for too long."] if age is not None and age > WATCH_S + WATCH_GRACE_S else []),
        *more,
        *([f"The operator has not looked at {_named(unanswered)}: check that it runs, and is ready."] if unanswered else []),
        *([f"What became of {_named(unknown)} at the exchange is not known yet."] if unknown else []),
        *([f"A person is needed for {_named(waiting)}: see the message of its state."] if waiting else []),
    ]
    return {
        "healthy": not problems,
        "problems": problems,
        "started": started,
        "watching": started and not not_followed,
        "age_seconds": age,
        "lists": intents.lists,
        "intents": len(intents.all()),
        "unfinished": len(unfinished),
        "unanswered": len(unanswered),
        "outcome_unknown": len(unknown),
        "stalled": len(waiting),
        "groups": len(groups.all()),
        "events_waiting": events_waiting,
    }


def _named(intents: list[Mirrored]) -> str:
    names = sorted(known.intent.name for known in intents)
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
