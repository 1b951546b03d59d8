"""The groups of one kernel as the API server has them: what a strategy's group becomes there, and where a member stands that has no intent yet."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from exchange_kernel.api import GROUP, VERSION, DesiredState, GroupMember, MemberStatus, OrderGroupSpec, OrderGroupStatus
from exchange_kernel.core.groups import EXITS
from exchange_kernel.kernel.errors import ValidationError
from exchange_kernel.kernel.following import monotonic
from exchange_kernel.kernel.latest import Latest
from exchange_kernel.kernel.mirror import Scope
from exchange_kernel.kernel.models import OrderIntent, OrderState, State
from exchange_kernel.kernel.objects import ORDER_FIELDS, STRATEGY_LABEL, Body, as_text, from_text
from exchange_kernel.kube.client import ORDER_GROUPS
from exchange_kernel.schema import StandardOrder, StandardOrderGroup

FINALIZER: Final = "exchange-kernel.io/group"


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupObject:
    """An OrderGroup as the API server has it."""

    uid: str
    name: str
    version: int
    generation: int
    created: datetime
    strategy: str | None
    spec: OrderGroupSpec
    status: OrderGroupStatus

    @property
    def finished(self) -> bool:
        return self.status.completion_time is not None

    @property
    def answered(self) -> bool:
        """The status is about this spec, not an earlier one."""
        return self.finished or self.status.observed_generation >= self.generation

    @property
    def denied(self) -> str | None:
        """Why nothing of it is placed, where that is so."""
        succeeded = next((condition for condition in self.status.conditions if condition.type == "Succeeded"), None)
        never = self.finished and not any(member.made for member in self.members)
        return succeeded.message if never and succeeded is not None and succeeded.status == "False" else None

    @property
    def members(self) -> list[MemberOf]:
        statuses = {status.name: status for status in self.status.members}
        return [MemberOf(self, spec, statuses.get(spec.name)) for spec in self.spec.members]


@dataclass(frozen=True, slots=True)
class MemberOf:
    """A member, as its group has it."""

    group: GroupObject
    spec: GroupMember
    status: MemberStatus | None

    @property
    def intent_id(self) -> str:
        return self.status.intent_name if self.status is not None else f"{self.group.name}-{self.spec.name}"

    @property
    def created(self) -> datetime:
        return self.group.created

    @property
    def made(self) -> bool:
        """There is, or was, an intent for it."""
        return self.status is not None and self.status.uid is not None

    @property
    def state(self) -> State:
        return self.status.state if self.status is not None else State.PENDING

    @property
    def finished(self) -> bool:
        return self.group.finished or (self.status is not None and self.status.finished)

    @property
    def waits(self) -> bool:
        """It is not to be placed yet: what it follows has not filled."""
        return self.status is not None and not self.made and self.status.quantity is None

    def order_intent(self, *, exchange_id: str, age_seconds: float) -> OrderIntent:
        wanted = self.spec.model_dump(by_alias=False, exclude_none=True, include=set(ORDER_FIELDS))
        if self.spec.role in EXITS and self.spec.quantity is None and self.status is not None and self.status.quantity:
            wanted["quantity"] = self.status.quantity  # it follows what the Entry fills
        canceled = DesiredState.CANCELED in (self.group.spec.desired_state, self.spec.desired_state)
        return OrderIntent(
            intent_id=self.intent_id,
            exchange_id=exchange_id,
            account=self.group.spec.account_ref.name,
            strategy=self.group.strategy,
            order=StandardOrder.model_validate(wanted),
            desired_state=DesiredState.CANCELED if canceled else DesiredState.WORKING,
            suspended=self.group.spec.suspend,
            metadata=from_text(self.spec.metadata or {}),
            create_time=self.group.created,
            age_seconds=age_seconds,
        )

    def order_state(self, *, age_seconds: float) -> OrderState:
        status = self.status
        filled = status.filled_quantity or Decimal(0) if status is not None else Decimal(0)
        average = status.average_price if status is not None else None
        return OrderState(
            intent_id=self.intent_id,
            symbol_id=self.spec.symbol,
            state=self.state,
            finished=self.finished,
            succeeded=None,
            reachable=None,
            reason=status.reason or "" if status is not None else "",
            message=status.message or "" if status is not None else "",
            filled_quantity=filled,
            filled_quote_quantity=filled * (average or 0),
            average_price=average,
            current=self.group.answered,
            sequence=0,
            age_seconds=age_seconds,
        )


def group_object(raw: Body) -> GroupObject:
    """Raises pydantic's ValidationError (a ValueError) if it does not fit this version's schema."""
    metadata = raw["metadata"]
    return GroupObject(
        uid=metadata["uid"],
        name=metadata["name"],
        version=int(metadata["resourceVersion"]),
        generation=metadata.get("generation", 0),
        created=datetime.fromisoformat(metadata["creationTimestamp"]),
        strategy=(metadata.get("labels") or {}).get(STRATEGY_LABEL),
        spec=OrderGroupSpec.model_validate(raw["spec"]),
        status=OrderGroupStatus.model_validate(raw.get("status") or {}),
    )


def group_manifest(name: str, group: StandardOrderGroup, notes: Mapping[str, Any] | None, *, account: str, strategy: str | None) -> Body:
    """The object that wants this group; the notes are each member's. Raises ValidationError if the notes, or a member, can't be kept."""
    if keyed := [member.name for member in group.members if member.order.idempotency_key is not None]:
        raise ValidationError([f"a group's member has no idempotency_key: remove that of {', '.join(keyed)}; its id is made from the group's"])
    metadata: Body = {"name": name, "finalizers": [FINALIZER]}
    if strategy is not None:
        metadata["labels"] = {STRATEGY_LABEL: strategy}
    kept = {"metadata": as_text(notes)} if notes else {}
    spec: Body = {"accountRef": {"name": account}, **group.document()}
    spec["members"] = [{**member.document(), **member_terms(member.order), **kept} for member in group.members]
    for member in spec["members"]:
        member.pop("order")
    return {"apiVersion": f"{GROUP}/{VERSION}", "kind": "OrderGroup", "metadata": metadata, "spec": spec}


def member_terms(order: StandardOrder) -> Body:
    """An order as a member's fields. What it leaves open is its role's to say, and so is not said."""
    return {name: value for name, value in order.document().items() if name != "positionEffect" or "position_effect" in order.model_fields_set}


def problems_of_group(wanted: Body) -> list[str]:
    """The sentences of all rules that the group breaks, in its members and between them."""
    try:
        return OrderGroupSpec.model_validate(wanted["spec"]).problems()
    except ValueError as error:
        return [str(error)]


class GroupMirror(Latest[GroupObject]):
    """The groups of one account, and of one strategy if it is named."""

    def __init__(self, scope: Scope, *, monotonic: Callable[[], float] = monotonic) -> None:
        super().__init__(ORDER_GROUPS, scope.namespace, scope.selector, monotonic)
        self._scope = scope

    def members(self) -> Iterator[MemberOf]:
        return (member for group in self._known.values() for member in group.members)

    def member(self, intent_id: str) -> MemberOf | None:
        """What has or will have an intent of this name."""
        return next((member for member in self.members() if member.intent_id == intent_id), None)

    def _read(self, raw: Body) -> GroupObject | None:
        group = group_object(raw)
        return group if group.spec.account_ref.name == self._scope.account and self._scope.strategy in (None, group.strategy) else None
