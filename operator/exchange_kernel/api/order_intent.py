"""OrderIntent: the order that is wanted (`spec`), and the order as the exchange has it (`status`).

What is done about the difference is `core/decide.py`'s. Every description here is what `kubectl explain` and the reference page show.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import SerializerFunctionWrapHandler, StrictBool, StrictInt, StringConstraints, model_serializer

from exchange_kernel.api.base import (
    INT32_MAX,
    Asset,
    Column,
    Identifier,
    Kind,
    Message,
    ObjectName,
    Resource,
    Spec,
    Status,
    Time,
    field,
    forbidden,
    required,
    unchanged,
)
from exchange_kernel.api.conditions import MAX_CONDITIONS, Condition
from exchange_kernel.api.money import NonNegativeDecimal, SignedDecimal
from exchange_kernel.api.order_terms import OrderTerms, OrderType, fixed_terms
from exchange_kernel.api.reconcile_token import ReconcileToken

MAX_FILLS = 20
MAX_ATTEMPTS = 9
MAX_FEES = 16    # assets
MAX_BUSTED = 20  # executions taken back that are remembered of one attempt

IdempotencyKey = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern="^[A-Za-z0-9]([A-Za-z0-9._:-]*[A-Za-z0-9])?$")]
MemberName = Annotated[str, StringConstraints(min_length=1, max_length=63, pattern="^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]


# ── What is wanted ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

class DeletionPolicy(StrEnum):
    CANCEL = "Cancel"
    ORPHAN = "Orphan"


class AccountRef(Spec):
    """The ExchangeAccount to trade on."""

    name: ObjectName = field("Name of an ExchangeAccount in the same namespace.", examples=["simulated"])


class GroupRef(Spec):
    """The OrderGroup that an order is a member of."""

    name: ObjectName = field("Name of the OrderGroup.")
    uid: Identifier = field("metadata.uid of the OrderGroup.")
    member: MemberName = field("The member's name in it.")


class OrderIntentSpec(OrderTerms):
    """The order that is wanted. Change it and the operator changes the order; what can't be changed says so."""

    account_ref: AccountRef = field("The ExchangeAccount to trade on. Can't be changed.")
    deletion_policy: DeletionPolicy = field(
        "What deleting this object does to a live order. Cancel: cancel it, and wait until it is proved gone. Orphan: leave it working, unattended.",
        default=DeletionPolicy.CANCEL)
    idempotency_key: IdempotencyKey | None = field(
        "Names this order across delete and create, restore, and moves between clusters: the same key on the same exchange account and namespace finds the "
        "same order instead of placing another, for as long as the exchange remembers it. Needs submitDeadlineTime. Can't be changed.", default=None)
    suspend: StrictBool = field("True: nothing is sent or changed until it is false. Cancels, deletes and lookups go on.", default=False)
    ttl_seconds_after_finished: StrictInt | None = field(
        "Delete this object so many seconds after it finished; absent: keep it. Not for objects that something else would create again.",
        default=None, minimum=0, maximum=INT32_MAX)
    group_ref: GroupRef | None = field(
        "The OrderGroup that this order is a member of: its group decides when it is sent, how large it is and when it is cancelled. Written by the operator "
        "when it makes the member; not for people. Can't be changed.", default=None)

    rules = (
        *OrderTerms.rules,
        required("!has(self.idempotencyKey) || has(self.submitDeadlineTime)",
                 "idempotencyKey needs submitDeadlineTime, which holds when the object is created again: set spec.submitDeadlineTime", at="submitDeadlineTime"),
        forbidden("!has(self.groupRef) || !has(self.idempotencyKey)",
                  "a group's member has no idempotencyKey: its id is made from the group's", at="idempotencyKey"),
        *fixed_terms("accountRef", "idempotencyKey", "groupRef", instead="create a new OrderIntent"),
    )


# ── What is ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

class OrderState(StrEnum):
    PENDING = "Pending"
    DENIED = "Denied"
    SUBMITTING = "Submitting"
    UNKNOWN = "Unknown"
    OPEN = "Open"
    PARTIALLY_FILLED = "PartiallyFilled"
    FILLED = "Filled"
    CANCELED = "Canceled"
    EXPIRED = "Expired"
    REJECTED = "Rejected"


class Operation(StrEnum):
    AMENDING = "Amending"
    REPLACING = "Replacing"
    CANCELING = "Canceling"


class AttemptStage(StrEnum):
    """How far an attempt is known to have come."""

    PREPARED = "Prepared"
    SENT = "Sent"
    LIVE = "Live"
    ENDED = "Ended"
    REFUSED = "Refused"
    ABSENT = "Absent"


class RefusalKind(StrEnum):
    """What a refusal was about, where that decides what follows it."""

    MARKET_RULES = "MarketRules"
    MARKET_CLOSED = "MarketClosed"
    TRIGGER_PASSED = "TriggerPassed"
    BALANCE = "Balance"


class AttemptOutcome(StrEnum):
    FILLED = "Filled"
    CANCELED = "Canceled"
    EXPIRED = "Expired"
    REJECTED = "Rejected"


class FeeTotal(Status):
    """What was paid in one asset."""

    asset: Asset = field("Asset the fee is paid in.")
    amount: SignedDecimal = field("Amount paid; negative for a maker's rebate.")


class FillFee(Status):
    """What one fill cost."""

    asset: Asset = field("Asset the fee is paid in.")
    amount: SignedDecimal = field("Amount paid; negative for a maker's rebate.")


class FillEntry(Status):
    """One execution."""

    trade_id: Identifier = field("The exchange's id of the execution; for an inferred one, ours.")
    quantity: NonNegativeDecimal = field("How much, in the unit of spec.quantity.")
    price: NonNegativeDecimal = field("At which price, in the quote currency.")
    fee: FillFee | None = field("What it cost; absent if the exchange did not say.", default=None)
    time: Time = field("When, by the exchange's clock.")
    inferred: StrictBool = field(
        "True: the order's total proves that this much was filled, and the exchange has not shown by which executions. Replaced once it has.", default=False)


class Brief(Status):
    """Without its empty lists in JSON: a small status is a quick one to write."""

    @model_serializer(mode="wrap")
    def _without_empty_lists(self, serialise: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in serialise(self).items() if value != []}


class Attempt(Brief):
    """One order at the exchange, or the sending of one. A replaced order has several."""

    number: StrictInt = field("Counts from 1.", minimum=1, maximum=INT32_MAX)
    client_order_id: Identifier = field("Our id of this attempt's order: the same however often it is sent.")
    exchange_order_id: Identifier | None = field("The exchange's id of it, once known.", default=None)
    quantity: NonNegativeDecimal | None = field("Quantity asked for, on the market's grid.", default=None)
    quote_quantity: NonNegativeDecimal | None = field("Quote quantity asked for.", default=None)
    price: NonNegativeDecimal | None = field("Price asked for, on the market's grid.", default=None)
    trigger_price: NonNegativeDecimal | None = field("Trigger price asked for, on the market's grid.", default=None)
    stage: AttemptStage = field(
        "How far it is known to have come. Prepared: it may be sent from now on. Sent: it was, and no answer is known. Live: the exchange has it. "
        "Ended: it had it. Refused: it said no. Absent: proved never to have arrived.")
    outcome: AttemptOutcome | None = field("How it ended, by the exchange's word, once stage is Ended.", default=None)
    filled_quantity: NonNegativeDecimal | None = field("Filled of this attempt alone; falls only if the exchange takes an execution back.", default=None)
    filled_quote_quantity: NonNegativeDecimal | None = field("The same in the quote currency.", default=None)
    fees: list[FeeTotal] = field(
        "What was paid for this attempt, by asset. Left out where only one attempt is filled: then it is status.fees.", max_items=MAX_FEES, key="asset")
    busted_quantity: NonNegativeDecimal | None = field("Filled once, and taken back by the exchange.", default=None)
    busted_trades: list[Identifier] = field(
        "The exchange's ids of the executions that it took back, the first 20: each is taken back once, whatever restarts in between.",
        max_items=MAX_BUSTED, unique=True)
    amend: AmendTarget | None = field("Amend that is under way; absent once it is known whether the exchange made it.", default=None)
    trade_cursor: Identifier | None = field(
        "Highest id of the executions counted, where the exchange numbers them: one beyond it is new. Absent while some are not known.", default=None)
    prepared_time: Time | None = field("When it was written here before it was sent; absent if it was sent first.", default=None)
    end_time: Time | None = field("When it ended, by the exchange's clock.", default=None)
    reason: Message | None = field("Why it was refused, in the exchange's words.", default=None)
    refusal: RefusalKind | None = field(
        "What a refusal was about, where another attempt may follow it. MarketRules: the market's steps, limits or name, which are read anew. MarketClosed: "
        "the market was not open for trading. TriggerPassed: its trigger would have fired at once. Balance: it was for more than the account has free.",
        default=None)
    type: OrderType | None = field(
        "What it was sent as, where that is not spec.type: Market, in place of an exit whose trigger had been passed.", default=None)


class AmendTarget(Status):
    """What an order is being amended to."""

    quantity: NonNegativeDecimal | None = field("Its new total, filled part included.", default=None)
    price: NonNegativeDecimal | None = field("Its new price.", default=None)
    trigger_price: NonNegativeDecimal | None = field("Its new trigger price.", default=None)
    prepared_time: Time = field("When it was written here before it was asked.")


class EarlierAttempts(Brief):
    """Attempts that are no longer listed, summed up."""

    count: StrictInt = field("How many.", minimum=0, maximum=INT32_MAX)
    filled_quantity: NonNegativeDecimal = field("Filled of them together.")
    filled_quote_quantity: NonNegativeDecimal = field("The same in the quote currency.")
    fees: list[FeeTotal] = field("What was paid for them together, by asset.", max_items=MAX_FEES, key="asset")
    filled_through: StrictInt | None = field(
        "Highest number of those that had fills. What is filled of it or of one before it later counts in the ExchangeAccount's status.unattributedFills; what "
        "is filled of a later one brings it back into the list.", default=None, minimum=1, maximum=INT32_MAX)


class AccountSnapshot(Status):
    """The account this order is on, as it was when the order was first sent: needed to find it again whatever becomes of the ExchangeAccount."""

    uid: Identifier = field("metadata.uid of the ExchangeAccount.")
    fingerprint: Identifier = field("Which account at the exchange: a mismatch stops all sends.")
    exchange: Identifier = field("The exchange, by ccxt's id.")


class MarketSnapshot(Status):
    """The market's rules that the order was last asked for by: it is compared on these steps until its terms in spec change."""

    id: Identifier | None = field("The exchange's own name for the market: the order is asked for and cancelled by it should the market leave its list.",
                                  default=None)
    base: Asset = field("Asset that is traded.")
    quote: Asset = field("Asset that prices are in.")
    quantity_step: NonNegativeDecimal | None = field("Quantities are multiples of this.", default=None)
    price_step: NonNegativeDecimal | None = field("Prices are multiples of this.", default=None)
    min_notional: NonNegativeDecimal | None = field("Smallest quantity times price, in the quote currency.", default=None)
    contract_size: NonNegativeDecimal | None = field("Base units of one contract; absent on spot.", default=None)


class AskedTerms(Status):
    """What spec said of the terms that can be changed, as written there."""

    quantity: NonNegativeDecimal | None = field("spec.quantity.", default=None)
    price: NonNegativeDecimal | None = field("spec.price.", default=None)
    trigger_price: NonNegativeDecimal | None = field("spec.triggerPrice.", default=None)


class OrderIntentStatus(Status):
    """The order as the exchange has it."""

    observed_generation: StrictInt = field("metadata.generation this status answers; -1: not looked at yet.", default=-1, minimum=-1)
    state: OrderState = field(
        "Where the order stands. Pending: not sent. Denied: never sent, for a reason. Submitting: on its way. Unknown: sent, or possibly sent, and what became "
        "of it is being found out. Open, PartiallyFilled: working at the exchange. Filled, Canceled, Expired, Rejected: ended there; final once "
        "completionTime is set.",
        default=OrderState.PENDING)
    operation: Operation | None = field("Change that is under way; absent when there is none.", default=None)
    client_order_id: Identifier | None = field("Our id of the current order at the exchange.", default=None)
    exchange_order_id: Identifier | None = field("The exchange's id of it.", default=None)
    filled_quantity: NonNegativeDecimal | None = field("Filled so far, over all attempts, in the unit of spec.quantity.", default=None)
    filled_quote_quantity: NonNegativeDecimal | None = field("The same in the quote currency.", default=None)
    remaining_quantity: NonNegativeDecimal | None = field("What of spec.quantity is not filled; absent for an order by quoteQuantity.", default=None)
    average_price: NonNegativeDecimal | None = field("filledQuoteQuantity by filledQuantity; absent while nothing is filled.", default=None)
    fees: list[FeeTotal] = field(
        "What was paid so far, by asset, over all attempts. At most 16 assets: those listed stay, and further ones are left out (see moreFeeAssets).",
        max_items=MAX_FEES, key="asset")
    more_fee_assets: StrictBool | None = field(
        "True: fees were paid in more assets than are listed. The amounts listed are whole; the others are in the exchange's own records.", default=None)
    fills: list[FillEntry] = field(
        "The last executions, oldest first, for people to read. What counts is filledQuantity.", max_items=MAX_FILLS, key="tradeId")
    attempts: list[Attempt] = field(
        "The orders made at the exchange for this intent, oldest first: the current one, and eight before it. Those without fills are summed up before those "
        "with fills, the oldest first.", max_items=MAX_ATTEMPTS, key="number")
    earlier_attempts: EarlierAttempts | None = field("Attempts that are no longer listed, summed up.", default=None)
    account: AccountSnapshot | None = field("The account this order is on.", default=None)
    market: MarketSnapshot | None = field("The market's rules that the order was last asked for by.", default=None)
    asked_terms: AskedTerms | None = field(
        "What spec said when the order was last asked for. While it says the same, the order is compared on the steps of status.market.", default=None)
    submit_time: Time | None = field("When it was first sent, by the exchange's clock.", default=None)
    acknowledge_time: Time | None = field("When the exchange took it.", default=None)
    trigger_time: Time | None = field("When its trigger fired.", default=None)
    suspend_time: Time | None = field("Since when it has been suspended before the exchange had it; absent while it is not.", default=None)
    suspended_seconds: StrictInt | None = field(
        "How long it was suspended before that: time that does not count towards submitDeadlineSeconds.", default=None, minimum=0, maximum=INT32_MAX)
    reconciled_token: ReconcileToken | None = field(
        "The last value of the annotation exchange-kernel.io/reconcile for which the order was read from the exchange.", default=None)
    completion_time: Time | None = field(
        "When its end was settled: nothing about the order can change any more, and the trading fields of spec are frozen.", default=None)
    conditions: list[Condition] = field(
        "Finished (it reached a settled end), Succeeded (the end asked for), Ready (the exchange has what spec says), Reconciling, Stalled (a person is "
        "needed), Synced (the exchange answers, and agrees with spec) and OutcomeUnknown.", max_items=MAX_CONDITIONS, key="type")


# ── The kind ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

#: What makes the order; after its end none of it can change. suspend, ttlSecondsAfterFinished, deletionPolicy, metadata and status can.
TRADING_FIELDS = ("accountRef", "symbol", "side", "positionSide", "type", "quantity", "quoteQuantity", "price", "triggerPrice", "triggerPriceType", "trailing",
                  "timeInForce", "expireTime", "executionPolicy", "positionEffect", "desiredState", "exchangeParameters")


class OrderIntent(Kind):
    """An order that is wanted at an exchange. Apply it and it is placed; change it and it is changed; delete it and it is cancelled."""

    kind: Literal["OrderIntent"] = "OrderIntent"
    spec: OrderIntentSpec = field("The order that is wanted.")
    status: OrderIntentStatus = field("The order as the exchange has it.", default=OrderIntentStatus())

    rules = (
        forbidden("!has(oldSelf.status) || !has(oldSelf.status.completionTime) || (" + " && ".join(unchanged(f"spec.{name}") for name in TRADING_FIELDS) + ")",
                  "the order is finished and can't be changed any more: create a new OrderIntent", at="spec"),
    )
    resource = Resource(
        plural="orderintents", singular="orderintent", short_names=("oi",),
        columns=(
            Column("State", ".status.state", "Where the order stands."),
            Column("Side", ".spec.side", "Buy or Sell."),
            Column("Type", ".spec.type", "Type of order."),
            Column("Symbol", ".spec.symbol", "Market."),
            Column("Qty", ".spec.quantity", "Quantity asked for."),
            Column("Price", ".spec.price", "Worst price."),
            Column("Filled", ".status.filledQuantity", "Filled so far."),
            Column("Avg", ".status.averagePrice", "Average price of the fills."),
            Column("Age", ".metadata.creationTimestamp", "Time since creation.", type="date"),
            Column("Account", ".spec.accountRef.name", "ExchangeAccount it is on.", wide=True),
            Column("Operation", ".status.operation", "Change under way.", wide=True),
            Column("Ready", '.status.conditions[?(@.type=="Ready")].status', "Whether the exchange has what spec says.", wide=True),
            Column("Reason", '.status.conditions[?(@.type=="Ready")].reason', "Why it is Ready or not.", wide=True),
            Column("Exchange order id", ".status.exchangeOrderId", "The exchange's id.", wide=True),
            Column("Client order id", ".status.clientOrderId", "Our id.", wide=True),
        ),
        selectable=(".spec.accountRef.name", ".spec.symbol", ".spec.side", ".status.state"),
    )
