"""The two inputs of every decision: what is recorded of an order, and what has been seen of it.

Nothing here reads or writes anything; `stores/` makes the record, `reconcile/` fills in what was seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum

from exchange_kernel.api import Attempt, OrderIntentSpec, OrderIntentStatus, TradingMode
from exchange_kernel.core.absence import Evidence
from exchange_kernel.core.answers import ExchangeOrder, Trade
from exchange_kernel.core.venue import Capabilities, MarketRules


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRecord:
    """An OrderIntent as the store has it: the order that is wanted, and what was last written of it."""

    uid: str
    namespace: str
    name: str
    generation: int
    resource_version: str
    created_ms: int  # by the API server's clock
    spec: OrderIntentSpec
    status: OrderIntentStatus
    deleting: bool = False
    finalizer: bool = True
    gone: bool = False  # deleted past its finalizer; the record is our memory of it
    group_owned: bool = False  # a group's member: never sent by the intent's own fast path

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        return tuple(self.status.attempts)

    @property
    def finished(self) -> bool:
        return self.status.completion_time is not None


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
    tried_ms: int | None = None  # when the adapter was last called (venue time)

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


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountFacts:
    """What the account session knows that concerns any order of the account."""

    uid: str
    exchange: str
    fingerprint: str
    capabilities: Capabilities
    trading_mode: TradingMode
    send_first: bool  # spec.sendPolicy
    ready: bool  # held, fenced, swept; False = nothing may be sent yet
    symbols: frozenset[str] = frozenset()  # empty = all
    session_start_ms: int = 0  # venue time at which this session's ownership began


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What has been seen of one order, by attempt number."""

    new: bool  # created after this session's fence (rule 6)
    account: AccountFacts
    market: MarketRules | None
    ids: Mapping[int, str]  # the client order id of each attempt, and of the next
    sends: Mapping[int, SendRecord] = field(default_factory=dict)
    orders: Mapping[int, ExchangeOrder] = field(default_factory=dict)
    trades: Mapping[int, tuple[Trade, ...]] = field(default_factory=dict)
    cancels: Mapping[int, CancelRecord] = field(default_factory=dict)
    evidence: Mapping[int, Evidence] = field(default_factory=dict)
    looked_up_ms: Mapping[int, int] = field(default_factory=dict)  # when the last lookup of any kind began
    ended_ms: Mapping[int, int] = field(default_factory=dict)  # when we first saw it ended
    settle_read_ms: Mapping[int, int] = field(default_factory=dict)  # when the last complete reading of order and trades began
    missing: frozenset[int] = frozenset()  # believed open, and not in a later complete list of open orders


@dataclass(frozen=True, slots=True)
class Now:
    venue_ms: int  # the venue's time, as estimated by the session
    wall_ms: int  # ours, for deadlines that people set
