"""What a status means to who waits for it: whether the exchange has been heard, and which error its no is. Pure."""

from __future__ import annotations

from exchange_kernel.api import DesiredState, GroupMode, MemberRole
from exchange_kernel.kernel.errors import ExchangeError, ValidationError
from exchange_kernel.kernel.groups import GroupObject, MemberOf, member_terms
from exchange_kernel.kernel.models import State
from exchange_kernel.kernel.objects import Body, IntentObject
from exchange_kernel.schema import StandardOrder

#: The exchange has not been heard on the order.
NO_VERDICT = frozenset({State.PENDING, State.SUBMITTING, State.UNKNOWN})
ENDED = frozenset({State.FILLED, State.CANCELED, State.EXPIRED, State.REJECTED, State.DENIED})

#: A change that was not made: by a rule of ours or the market's, or by the exchange.
NOT_PERMITTED = frozenset({"BelowMinimum", "ChangeRefused", "ModifyNotPermitted", "ReplacementWouldUnprotect"})
NOT_TAKEN = frozenset({"AmendRefused", "ReplacementRefused", "ExitRefused"})

#: What is not an order's own term, and stays as it is when another order is put in its place.
MEMBERS_OWN = frozenset({"name", "role", "metadata", "desiredState"})


def has_verdict(intent: IntentObject) -> bool:
    # A rejection's reason is written with its end, at once or as soon as it has settled.
    return intent.finished or intent.status.state not in (*NO_VERDICT, State.REJECTED)


def ended(intent: IntentObject) -> bool:
    return intent.status.state in ENDED


def why(intent: IntentObject) -> str:
    return next((condition.message for condition in intent.status.conditions if condition.type == "Ready"), "")


def raise_if_refused(name: str, intent: IntentObject | None) -> None:
    if intent is None:
        raise ExchangeError(f"The intent {name} was deleted before the exchange had answered.", intent_id=name)
    if intent.status.state is State.DENIED:
        raise ValidationError([why(intent) or "the order was denied"], intent_id=name)
    if intent.status.state is State.REJECTED:
        said = next((attempt.reason for attempt in reversed(intent.status.attempts) if attempt.reason), None)
        raise ExchangeError(why(intent) or "The exchange refused the order.", intent_id=name, reason=said or why(intent))


# ── Cancels and changes ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def cancel_refused(intent: IntentObject) -> bool:
    return intent.answered and _reason(intent) == "CancelRefused"


def change_has_verdict(intent: IntentObject) -> bool:
    if ended(intent):
        return has_verdict(intent)
    ready = next((condition.status == "True" for condition in intent.status.conditions if condition.type == "Ready"), False)
    return intent.answered and (_reason(intent) in NOT_PERMITTED | NOT_TAKEN or (ready and intent.status.operation is None))


def members_change_has_verdict(member: MemberOf, new_order: StandardOrder, intent: IntentObject) -> bool:
    """As `change_has_verdict`, once the group has passed the terms on: until then the intent's own generation is answered, and is that of the old terms."""
    # Elsewhere the size follows from what the others of the group filled.
    as_written = member.spec.role is MemberRole.ENTRY or member.group.spec.mode is GroupMode.BASKET
    terms = ("price", "trigger_price", "quantity") if as_written else ("price", "trigger_price")
    passed_on = all(getattr(intent.spec, name) == getattr(new_order, name) for name in terms)
    return (passed_on or ended(intent)) and change_has_verdict(intent)


def raise_if_change_refused(name: str, intent: IntentObject | None) -> None:
    if intent is None:
        raise ExchangeError(f"The intent {name} was deleted before the change was made.", intent_id=name)
    reason, message = _reason(intent), why(intent)
    if intent.answered and reason in NOT_PERMITTED:
        raise ValidationError([message], intent_id=name)
    if intent.answered and (reason in NOT_TAKEN or intent.status.state is State.REJECTED):
        raise ExchangeError(message, intent_id=name, reason=message)


def _reason(intent: IntentObject) -> str:
    return next((condition.reason for condition in intent.status.conditions if condition.type == "Ready"), "")


# ── Groups ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def group_has_verdict(group: GroupObject) -> bool:
    """The exchange has been heard on every member that is to be placed now."""
    return group.answered and (group.finished or all(member.finished or member.waits or member.state not in NO_VERDICT for member in group.members))


def raise_if_group_refused(name: str, group: GroupObject | None) -> None:
    if group is None:
        raise ExchangeError(f"The group {name} was deleted before the exchange had answered.", intent_id=name)
    if group.denied is not None:
        raise ValidationError([group.denied])
    if denied := _those(group, State.DENIED):
        raise ValidationError([f"{member.spec.name}: {_said(member)}" for member in denied], intent_id=denied[0].intent_id)
    if rejected := _those(group, State.REJECTED):
        raise ExchangeError(f"{rejected[0].spec.name}: {_said(rejected[0])}", intent_id=rejected[0].intent_id, reason=_said(rejected[0]))


def _those(group: GroupObject, state: State) -> list[MemberOf]:
    return [member for member in group.members if member.state is state]


def _said(member: MemberOf) -> str:
    return (member.status.message if member.status is not None else None) or "the order was refused"


def cancelled_member(terms: Body) -> Body:
    return {**terms, "desiredState": str(DesiredState.CANCELED)}


def modified_member(terms: Body, new_order: StandardOrder) -> Body:
    """A member with the terms of another order; what it is in its group stays."""
    return {**{name: value for name, value in terms.items() if name in MEMBERS_OWN}, **member_terms(new_order)}
