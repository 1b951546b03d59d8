"""Memory's records of what was sent: made before the adapter is called, and ended only by a definite outcome (rule 3)."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Protocol

from exchange_kernel.api import RefusalKind
from exchange_kernel.core.venue import OrderRequest


@dataclass(frozen=True, slots=True)
class Terms:
    """What can be changed of a live order, on the market's grid."""

    quantity: Decimal | None  # its total, filled part included
    price: Decimal | None
    trigger_price: Decimal | None = None

    @classmethod
    def of(cls, source: HasTerms) -> Terms:
        return cls(source.quantity, source.price, source.trigger_price)

    def only_less_than(self, other: Terms) -> bool:
        """Whether these are the others with a smaller quantity, and nothing else is changed."""
        less = self.quantity is not None and other.quantity is not None and self.quantity < other.quantity
        return less and (self.price, self.trigger_price) == (other.price, other.trigger_price)


class HasTerms(Protocol):
    """Whatever says them: a request, an order at the exchange, a record."""

    @property
    def quantity(self) -> Decimal | None: ...

    @property
    def price(self) -> Decimal | None: ...

    @property
    def trigger_price(self) -> Decimal | None: ...


class SendStage(StrEnum):
    PREPARED = "Prepared"  # written ahead in this session, and provably not on the wire yet
    IN_FLIGHT = "InFlight"  # handed to the adapter
    UNKNOWN = "Unknown"  # the adapter could not tell
    EXISTS = "Exists"  # the venue said the id is taken: it must be found
    NOT_SENT = "NotSent"  # proof that nothing left us
    REFUSED = "Refused"  # definitely no
    ACCEPTED = "Accepted"
    ABSENT = "Absent"  # proved not to exist (rule 5)


@dataclass(slots=True)
class SendRecord:
    """Memory's record of one attempt's request. Made before the adapter is called, outlives the session, ends only with a definite outcome (rule 3)."""

    client_order_id: str
    stage: SendStage
    last_stamp_ms: int | None = None  # the newest stamp the adapter took for it (venue time)
    code: str = ""
    reason: str = ""
    quantity: Decimal | None = None  # as handed to the adapter, quantised
    price: Decimal | None = None
    trigger_price: Decimal | None = None
    tried_ms: int | None = None  # when the adapter was last called (venue time)
    refusals: int = 0  # how often the venue has refused it by now
    refusal: RefusalKind | None = None  # what the last refusal was about
    refused_ms: int | None = None  # when it was heard (venue time)
    version: str | None = None  # the intent's resourceVersion when it was refused

    @classmethod
    def of(cls, stage: SendStage, request: OrderRequest, *, tried_ms: int | None = None, refusals: int = 0) -> SendRecord:
        return cls(
            request.client_order_id, stage, quantity=request.quantity, price=request.price, trigger_price=request.trigger_price,
            tried_ms=tried_ms, refusals=refusals,
        )

    @property
    def terms(self) -> Terms:
        return Terms.of(self)

    @property
    def open_ended(self) -> bool:
        """Whether an order may come of it that we have not been told of."""
        return self.stage in (SendStage.IN_FLIGHT, SendStage.UNKNOWN, SendStage.EXISTS)


@dataclass(frozen=True, slots=True)
class CancelRecord:
    """Memory's record of cancelling one attempt."""

    in_flight: bool = False
    asked_ms: int | None = None  # when the last one went out (venue time)
    refusal: str | None = None  # the venue's definite no, stable text
    unknown: bool = False  # the last one got no readable answer, or "unknown order": read before asking again
    tries: int = 0  # how many went out by now
