"""What a kernel tells of orders: one event for each committed fact.

Events of one intent come in order and are numbered from 1, without gaps, by the kernel that tells them; a new kernel counts anew. They derive from
committed status only (`derivation.py`). What they say is cumulative where it matters: the `quantity` of an intent's fill events, less what
FillReversed takes back, adds up to its `filled_quantity` after each of them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Literal, TypeAlias

from pydantic import Field, TypeAdapter

from exchange_kernel.api import Model, NonNegativeDecimal
from exchange_kernel.api.base import Time
from exchange_kernel.kernel.models import Fee, Fill, OrderState, State


class EventType(StrEnum):
    ACCEPTED = "Accepted"
    REPLACED = "Replaced"
    PARTIALLY_FILLED = "PartiallyFilled"
    FILLED = "Filled"
    FILL_EXPLAINED = "FillExplained"
    FILL_REVERSED = "FillReversed"
    CANCELED = "Canceled"
    EXPIRED = "Expired"
    REJECTED = "Rejected"
    DENIED = "Denied"
    OUTCOME_UNKNOWN = "OutcomeUnknown"
    REOPENED = "Reopened"
    STALLED = "Stalled"
    FINISHED = "Finished"
    DELETED = "Deleted"
    RESYNCED = "Resynced"


class BaseEvent(Model):
    """What all events have."""

    event_type: EventType
    intent_id: str
    symbol_id: str
    sequence: int = Field(ge=1, description="Counts the events of this intent.")
    seen_time: Time = Field(description="When the kernel learnt of it, by its own clock.")
    after_gap: bool = Field(default=False, description="The watch had a gap before it: several changes may have become one. A Resynced follows.")


class OrderAccepted(BaseEvent):
    """The exchange has the order."""

    event_type: Literal[EventType.ACCEPTED] = EventType.ACCEPTED
    exchange_order_id: str
    client_order_id: str | None = None


class OrderReplaced(BaseEvent):
    """A change took effect as another order at the exchange: the one that works, or did last, has this id now."""

    event_type: Literal[EventType.REPLACED] = EventType.REPLACED
    exchange_order_id: str
    client_order_id: str | None = None


class OrderPartiallyFilled(BaseEvent):
    """An execution that did not complete the order. `quantity` is less than the fill's where an inferred one had counted part of it."""

    event_type: Literal[EventType.PARTIALLY_FILLED] = EventType.PARTIALLY_FILLED
    fill: Fill
    quantity: NonNegativeDecimal = Field(description="By how much filled_quantity grew.")
    filled_quantity: NonNegativeDecimal = Field(description="Filled so far, this one included.")


class OrderFilled(BaseEvent):
    """The order is filled. Without a fill, and with quantity 0, where its last execution had been told before that was known."""

    event_type: Literal[EventType.FILLED] = EventType.FILLED
    fill: Fill | None = None
    quantity: NonNegativeDecimal = Field(description="By how much filled_quantity grew.")
    filled_quantity: NonNegativeDecimal
    average_price: NonNegativeDecimal | None = None


class OrderFillExplained(BaseEvent):
    """An execution whose whole quantity an inferred fill had counted before: it brings the price, the fee and the id, and counts no more."""

    event_type: Literal[EventType.FILL_EXPLAINED] = EventType.FILL_EXPLAINED
    fill: Fill


class OrderFillReversed(BaseEvent):
    """The exchange took an execution back (a bust)."""

    event_type: Literal[EventType.FILL_REVERSED] = EventType.FILL_REVERSED
    quantity: NonNegativeDecimal = Field(description="By how much filled_quantity fell.")
    filled_quantity: NonNegativeDecimal


class OrderEnded(BaseEvent):
    """What the four ends have. `settled` False: a fill may still turn up; Finished follows once none can."""

    reason: str = Field(default="", description="One CamelCase word for programs, such as CanceledAsAsked.")
    message: str = Field(default="", description="The same as a sentence; of a rejection, with the exchange's own words.")
    settled: bool


class OrderCanceled(OrderEnded):
    """Canceled: as asked, by the exchange, or because nothing (more) was to be had at once."""

    event_type: Literal[EventType.CANCELED] = EventType.CANCELED


class OrderExpired(OrderEnded):
    """It came to its time."""

    event_type: Literal[EventType.EXPIRED] = EventType.EXPIRED


class OrderRejected(OrderEnded):
    """The exchange refused it."""

    event_type: Literal[EventType.REJECTED] = EventType.REJECTED


class OrderDenied(OrderEnded):
    """Never sent, for the reason given."""

    event_type: Literal[EventType.DENIED] = EventType.DENIED


class OrderOutcomeUnknown(BaseEvent):
    """It was sent, or may have been, and what became of it is being found out. Not an end: do not place it again."""

    event_type: Literal[EventType.OUTCOME_UNKNOWN] = EventType.OUTCOME_UNKNOWN
    message: str = ""


class OrderReopened(BaseEvent):
    """An end that had not settled was taken back: the order works."""

    event_type: Literal[EventType.REOPENED] = EventType.REOPENED
    state: State


class OrderStalled(BaseEvent):
    """It goes no further until a person does what `message` says."""

    event_type: Literal[EventType.STALLED] = EventType.STALLED
    reason: str
    message: str = ""


class OrderFinished(BaseEvent):
    """The end has settled: these are the final figures."""

    event_type: Literal[EventType.FINISHED] = EventType.FINISHED
    state: State
    succeeded: bool | None = Field(description="Whether it ended as asked.")
    reason: str = ""
    message: str = ""
    filled_quantity: NonNegativeDecimal
    average_price: NonNegativeDecimal | None = None
    fees: tuple[Fee, ...] = ()


class OrderDeleted(BaseEvent):
    """The intent is gone, or no longer this strategy's; `state` is the last that was known."""

    event_type: Literal[EventType.DELETED] = EventType.DELETED
    state: State
    finished: bool


class OrderResynced(BaseEvent):
    """A checkpoint: all that is known of the order. Told of each intent that is there when a kernel starts, and of each that changed during a gap."""

    event_type: Literal[EventType.RESYNCED] = EventType.RESYNCED
    order: OrderState


Event: TypeAlias = Annotated[
    OrderAccepted
    | OrderReplaced
    | OrderPartiallyFilled
    | OrderFilled
    | OrderFillExplained
    | OrderFillReversed
    | OrderCanceled
    | OrderExpired
    | OrderRejected
    | OrderDenied
    | OrderOutcomeUnknown
    | OrderReopened
    | OrderStalled
    | OrderFinished
    | OrderDeleted
    | OrderResynced,
    Field(discriminator="event_type"),
]

_any_event: TypeAdapter[Event] = TypeAdapter(Event)


def event_from_json(text: str | bytes) -> Event:
    """The event that `event.model_dump_json()` wrote. Raises ValueError (pydantic's ValidationError) for anything else."""
    return _any_event.validate_json(text)


#: Called with each event, on the kernel's event loop; what an async one returns is awaited before the next event is given to it.
EventCallback: TypeAlias = Callable[[BaseEvent], Awaitable[None] | None]


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events a subscription gets: those that fit all that is given."""

    event_type: EventType | frozenset[EventType] | None = None
    symbol_id: str | None = None
    intent_id: str | None = None

    def matches(self, event: BaseEvent) -> bool:
        wanted = frozenset({self.event_type}) if isinstance(self.event_type, str) else self.event_type
        return (
            (wanted is None or event.event_type in wanted)
            and (self.symbol_id is None or event.symbol_id == self.symbol_id)
            and (self.intent_id is None or event.intent_id == self.intent_id)
        )
