"""The two inputs of every decision: what is recorded of an order, and what has been seen of it.

Nothing here reads or writes anything; `stores/` makes the record, `reconcile/` fills in what was seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from exchange_kernel.api import Attempt, AttemptStage, OrderIntentSpec, OrderIntentStatus, TradingMode, TriggerPassedPolicy
from exchange_kernel.core.absence import Evidence
from exchange_kernel.core.actions import Waiting
from exchange_kernel.core.answers import ExchangeOrder, Trade
from exchange_kernel.core.lifecycle import ENDED
from exchange_kernel.core.risk import Exposure
from exchange_kernel.core.sending import CancelRecord, SendRecord, Terms
from exchange_kernel.core.venue import Capabilities, MarketRules

#: Stages of an attempt that no settled end has.
UNENDED = frozenset({AttemptStage.SENT, AttemptStage.LIVE})


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
    restored: bool = False  # a backup tool's label says that it was created again from a backup: held like a suspended one (rule 7)
    resolve: str | None = None  # a person's word on an unknown outcome, as it stands in the annotation
    resolved_by: str | None = None  # the user's name that admission stamped it with
    unstamped: bool = False  # the word has no such name, and this operator takes none without
    reconcile: str | None = None  # a token with which somebody asks that the order be read from the exchange now

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        return tuple(self.status.attempts)

    def attempt_of(self, client_order_id: str) -> Attempt | None:
        """The recorded attempt that has this id."""
        return next((attempt for attempt in self.attempts if attempt.client_order_id == client_order_id), None)

    @property
    def finished(self) -> bool:
        """Whether its settled end is written. A completionTime beside what has not ended is another hand's, and counts for nothing."""
        if self.status.completion_time is None:
            return False
        return self.status.state in ENDED and all(attempt.stage not in UNENDED for attempt in self.status.attempts)

    @property
    def suspended(self) -> bool:
        return self.spec.suspend or self.restored


@dataclass(frozen=True, slots=True, kw_only=True)
class Closing:
    """An exit of a group whose Entry has filled: a refusal closes its attempt, and not the intent (16)."""

    most: Decimal | None  # how large it may be in all: what the Entry filled and no other exit closed; None: it can't be said now
    trigger_passed: TriggerPassedPolicy
    bare_ms: int | None = None  # of a StopLoss: for how long a change may leave the position without it


@dataclass(frozen=True, slots=True)
class Free:
    """How much of what an order gives the account had free, by one reading: base units on spot, contracts of the position that it closes on derivatives."""

    quantity: Decimal
    asked_ms: int  # venue time at which the reading began


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """What an order's group wants of it now (`core/groups.py`)."""

    held: Waiting | None = None  # why it may not be sent, if it may not
    unwanted: bool = False  # it is to go from the exchange
    native: bool = False  # the exchange keeps the orders as one list: the group sends it whole, and none is changed on its own
    recorded: bool = False  # the group's status tells its end: the object may go
    exit: Decimal | None = None  # it closes what the group's entry opened, and may be so large in all; None: it is no exit
    stranger: bool = False  # the group did not make it, and it was never sent: the ids of its place are another's
    closing: Closing | None = None  # it closes what the group's entry has filled
    at_market: bool = False  # it closes the position at market, as was asked: whatever types a RiskLimit allows
    made_before: bool = False  # an earlier object may have had its place, and sent its orders: its group's status does not tell


@dataclass(frozen=True, slots=True)
class Holder:
    """The intent that has an order which another one names too."""

    name: str
    account: str  # the name of its ExchangeAccount
    agrees: bool  # whether the other asks for this very order: on the same ExchangeAccount, and alike


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
    mode_known: bool = True  # False: the account could not be read for a while, and its mode may have been changed
    symbols: frozenset[str] = frozenset()  # empty = all
    session_start_ms: int = 0  # venue time at which this session's ownership began
    markets_ms: int = 0  # venue time at which the reading of the markets began that is gone by
    answers_since_ms: int = 0  # venue time at which the exchange answered again, after it had not; 0: it always has


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What has been seen of one order, by attempt number."""

    new: bool  # created after this session's fence (rule 6)
    account: AccountFacts
    market: MarketRules | None
    ids: Mapping[int, str]  # the client order id of each attempt, and of the next
    inherited: bool = False  # this session neither saw it being created nor sent its last attempt: status may be older than the order
    sends: Mapping[int, SendRecord] = field(default_factory=dict)
    orders: Mapping[int, ExchangeOrder] = field(default_factory=dict)
    duplicates: Mapping[int, tuple[ExchangeOrder, ...]] = field(default_factory=dict)  # further orders under the id of an attempt
    trades: Mapping[int, tuple[Trade, ...]] = field(default_factory=dict)
    amends: Mapping[int, SendRecord] = field(default_factory=dict)  # the last amend of each attempt's order
    asked: Mapping[int, frozenset[Terms]] = field(default_factory=dict)  # all that this process ever asked of each attempt's order
    busted: Mapping[int, tuple[Trade, ...]] = field(default_factory=dict)  # executions that the venue took back
    cancels: Mapping[int, CancelRecord] = field(default_factory=dict)
    evidence: Mapping[int, Evidence] = field(default_factory=dict)
    looked_up_ms: Mapping[int, int] = field(default_factory=dict)  # when the last lookup of any kind began
    ended_ms: Mapping[int, int] = field(default_factory=dict)  # when we first saw it ended
    settle_read_ms: Mapping[int, int] = field(default_factory=dict)  # when the last complete reading of order and trades began
    missing: Mapping[int, int] = field(default_factory=dict)  # believed open, and since when not in complete lists of open orders
    not_found: Mapping[int, tuple[int, int]] = field(default_factory=dict)  # first and last time the venue answered by id that it knows no such order
    reading: frozenset[int] = frozenset()  # whose reading is under way; its end wakes the order
    reads_in_vain: Mapping[int, int] = field(default_factory=dict)  # readings in a row that explained nothing new
    group: Membership | None = None  # None: no member of a group, or of one that is gone
    free: Free | None = None  # what a member of a group can give, as it was last read
    exposure: Exposure = field(default_factory=Exposure)  # what RiskLimits are held against
    holder: Holder | None = None  # another intent that has the order which this one names


@dataclass(frozen=True, slots=True)
class Now:
    venue_ms: int  # the venue's time, as estimated by the session
    wall_ms: int  # the API server's, which objects are stamped with: for submit deadlines
