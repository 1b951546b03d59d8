"""What a user is told of a group: the Events between one committed status and the next. Pure, as `core/events.py`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from exchange_kernel.api import Condition, OrderGroupStatus
from exchange_kernel.core.events import NORMAL, WARNING, Event

#: Every reason there is for an OrderGroup, with what was being done.
GROUP_ACTIONS: Mapping[str, str] = {
    "MemberGone": "Watch",
    "EditReverted": "Correct",
    "BothLegsFilled": "Watch",
    "Unprotected": "Protect",
    "Protected": "Protect",
    "ExitsCapped": "Correct",
    "Stalled": "Wait",
    "Succeeded": "Finish",
    "Failed": "Finish",
    "StopLeft": "Delete",
}

MEMBER_GONE = Event(WARNING, "MemberGone", "A member's OrderIntent is gone: it is not made again, see status.members.")
EDIT_REVERTED = Event(WARNING, "EditReverted", "A member's OrderIntent was edited and is put back as the group wants it: edit the OrderGroup instead.")
STOP_LEFT = Event(
    WARNING, "StopLeft", "The group is deleted, and the stop of its open position stays as an OrderIntent of its own: delete that one to cancel it."
)
#: What Protected says while a stop is placed or changed: no news, unless it becomes something else.
UNDER_WAY = ("StopPending", "StopResizing")

PROTECTED = Event(NORMAL, "Protected", "The stop of the position works again.")


def of_group(old: OrderGroupStatus, new: OrderGroupStatus) -> list[Event]:
    """What there is to tell of a group whose status was `old` and is now written as `new`."""
    before = {condition.type: condition for condition in old.conditions}
    now = {condition.type: condition for condition in new.conditions}
    gone = {member.name for member in old.members if member.gone}
    told = [MEMBER_GONE] if any(member.gone and member.name not in gone for member in new.members) else []
    return [*told, *_violation(before, now), *_protection(before, now), *_capped(before, now), *_end(old, new, before, now)]


def _violation(before: Mapping[str, Condition], now: Mapping[str, Condition]) -> Iterator[Event]:
    if now["Succeeded"].reason == "BothLegsFilled" and _news(before, now["Succeeded"]):
        yield Event(WARNING, "BothLegsFilled", now["Succeeded"].message)


def _protection(before: Mapping[str, Condition], now: Mapping[str, Condition]) -> Iterator[Event]:
    """A stop that is only being placed is no news; one that fails is."""
    protected, was = now.get("Protected"), before.get("Protected")
    if protected is None or protected.reason in UNDER_WAY:
        return
    if protected.status == "False" and _news(before, protected):
        yield Event(WARNING, "Unprotected", f"{protected.reason}: {protected.message}")
    elif protected.reason == "StopWorking" and was is not None and was.status == "False" and was.reason not in UNDER_WAY:
        yield PROTECTED


def _capped(before: Mapping[str, Condition], now: Mapping[str, Condition]) -> Iterator[Event]:
    if now["Ready"].reason == "ExitsCapped" and _news(before, now["Ready"]):
        yield Event(WARNING, "ExitsCapped", now["Ready"].message)


def _end(old: OrderGroupStatus, new: OrderGroupStatus, before: Mapping[str, Condition], now: Mapping[str, Condition]) -> Iterator[Event]:
    succeeded, stalled = now["Succeeded"], now["Stalled"]
    if new.completion_time is not None and old.completion_time is None:
        good = succeeded.status == "True"
        yield Event(NORMAL if good else WARNING, "Succeeded" if good else "Failed", succeeded.message)
    elif new.completion_time is None and stalled.status == "True" and _news(before, stalled):
        yield Event(WARNING, "Stalled", f"{stalled.reason}: {stalled.message}")


def _news(before: Mapping[str, Condition], condition: Condition) -> bool:
    was = before.get(condition.type)
    return was is None or (was.status, was.reason) != (condition.status, condition.reason)
