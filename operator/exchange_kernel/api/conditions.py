"""Conditions, as Kubernetes has them (`metav1.Condition`). Which ones an OrderIntent has, and when, is `core/conditions.py`'s."""

from __future__ import annotations

from enum import StrEnum

from pydantic import StrictInt

from exchange_kernel.api.base import Message, Reason, Status, Time, field

MAX_CONDITIONS = 16


class ConditionStatus(StrEnum):
    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Condition(Status):
    """One thing that is so, is not so, or is not known."""

    type: Reason = field("What the condition is about.", examples=["Ready", "Finished"])
    status: ConditionStatus = field("True, False or Unknown.")
    reason: Reason = field("Why, in one CamelCase word for programs.", examples=["CanceledAsAsked"])
    message: Message = field("Why, in a sentence for people: stable text, without ids, times or counts.")
    observed_generation: StrictInt | None = field("metadata.generation of the spec this is said of.", default=None, minimum=0)
    last_transition_time: Time = field("When status last became another.")
