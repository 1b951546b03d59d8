"""OrderGroup: orders that depend on each other (`spec`), and how they stand (`status`).

Each member is an OrderIntent of its own; what a group wants of them is `core/groups.py`'s.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, StrictBool, StrictInt, StringConstraints

from exchange_kernel.api.base import (
    INT32_MAX,
    Column,
    Identifier,
    Kind,
    Message,
    Named,
    ObjectName,
    Reason,
    Resource,
    Spec,
    Status,
    Time,
    field,
    forbidden,
    immutable,
    required,
    when_created,
)
from exchange_kernel.api.conditions import MAX_CONDITIONS, Condition
from exchange_kernel.api.money import NonNegativeDecimal, PositiveDecimal
from exchange_kernel.api.order_intent import AccountRef, MemberName, OrderState
from exchange_kernel.api.order_terms import (
    LIMIT_TYPES,
    PRICE_REQUIRED,
    QUANTITY_REQUIRED,
    TRIGGER_OF_ITS_TYPE,
    TRIGGER_REQUIRED,
    TRIGGERED_TYPES,
    OrderTerms,
    PositionEffect,
    fixed_terms,
)

MAX_MEMBERS = 20
MAX_EXTRAS = 20  # orders that a group adds by itself
MAX_STEPS = 10  # prices of an exit over time


# ── What is wanted ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

class GroupMode(StrEnum):
    ONE_CANCELS_OTHER = "OneCancelsOther"
    ONE_TRIGGERS_OTHER = "OneTriggersOther"
    BRACKET = "Bracket"
    EXITS = "Exits"
    BASKET = "Basket"


class MemberRole(StrEnum):
    ENTRY = "Entry"
    TAKE_PROFIT = "TakeProfit"
    STOP_LOSS = "StopLoss"
    LEG = "Leg"


class NativePolicy(StrEnum):
    PREFER = "Prefer"
    REQUIRE = "Require"
    NEVER = "Never"


class PartialFillPolicy(StrEnum):
    CANCEL = "Cancel"
    REDUCE = "Reduce"


class TriggerPassedPolicy(StrEnum):
    MARKET = "Market"
    WAIT = "Wait"
    REPORT = "Report"


class FailurePolicy(StrEnum):
    CANCEL_ALL = "CancelAll"
    CONTINUE = "Continue"


class GroupDesiredState(StrEnum):
    WORKING = "Working"
    CANCELED = "Canceled"
    CLOSED = "Closed"


class GroupDeletionPolicy(StrEnum):
    CANCEL_ENTRIES = "CancelEntries"
    CANCEL_ALL = "CancelAll"
    ORPHAN = "Orphan"


HeldPosition = Annotated[str, StringConstraints(min_length=1, max_length=40)]
Offset = Annotated[str, StringConstraints(min_length=1, max_length=32, pattern=r"^[+-]?[0-9]+(\.[0-9]+)?(%|bp)?$")]


class PriceStep(Spec):
    """The offsets of an exit from some time on."""

    after_seconds: StrictInt = field("From so many seconds after the Entry first filled.", minimum=1, maximum=INT32_MAX)
    price_offset: Offset | None = field("priceOffset from then on; absent: as before.", default=None, examples=["+1%"])
    trigger_offset: Offset | None = field("triggerOffset from then on; absent: as before.", default=None, examples=["0%"])

    rules = (
        required("has(self.priceOffset) || has(self.triggerOffset)", "a step changes something: set priceOffset or triggerOffset", at="priceOffset"),
    )


class GroupMember(OrderTerms, Named):
    """One order of a group. Its OrderIntent is named <group>-<name>."""

    name: MemberName = field("Unique in the group.")
    role: MemberRole = field(
        "What the member is for. Entry opens a position, StopLoss and TakeProfit close it, Leg is any other order.", default=MemberRole.LEG)
    position_effect: PositionEffect | None = field(  # type: ignore[assignment]  # absent means something else here than Any
        "ReduceOnly: the order may make a position smaller, never larger or reversed. Absent: ReduceOnly for StopLoss and TakeProfit on derivatives, else Any.",
        default=None)
    quantity_percent: PositiveDecimal | None = field(
        "How much of what the Entry fills an exit closes, in percent, instead of quantity: \"50\" is half. A StopLoss or a lone TakeProfit without either "
        "closes all of what is open.", default=None, examples=["50"])
    price_offset: Offset | None = field(
        "Instead of price: so far from the average price at which the Entry filled, in percent, basis points or the quote currency, signed. Rounded to the "
        "market's step, up for a Sell and down for a Buy, and kept so as the Entry fills.", default=None, examples=["+3%"])
    trigger_offset: Offset | None = field("The same instead of triggerPrice.", default=None, examples=["-2%", "-150bp", "-500"])
    price_steps: Annotated[list[PriceStep], Field(
        max_length=MAX_STEPS, json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["afterSeconds"]},
    )] | None = Field(default=None, description=(
        "What an exit's offsets become with time: a take that asks for less the longer it waits, a stop that is moved to what was paid. The latest step that "
        "is due holds."))
    on_trigger_passed: TriggerPassedPolicy | None = field(
        "What follows where the market is past triggerPrice already, so that the exchange refuses an exit of an open position. Market: a Market order of the "
        "same size, whatever types a RiskLimit allows. Wait: it is sent again until the market is back. Report: it ends as Rejected. "
        "Absent: Market for StopLoss, Report for TakeProfit.", default=None)

    rules = (
        *(rule for rule in OrderTerms.rules if rule not in (PRICE_REQUIRED, TRIGGER_REQUIRED, TRIGGER_OF_ITS_TYPE, QUANTITY_REQUIRED)),
        required(f"!(self.type in {LIMIT_TYPES}) || has(self.price) || has(self.priceOffset)",
                 "price is required for limit types: set spec.price, or use type: Market", at="price"),
        required(f"!(self.type in {TRIGGERED_TYPES}) || has(self.triggerPrice) || has(self.triggerOffset)",
                 "triggerPrice is required for Stop and TakeProfit types: set triggerPrice, or triggerOffset on an exit", at="triggerPrice"),
        forbidden("has(self.triggerPrice) || has(self.triggerOffset) || self.type == 'TrailingStop' || !has(self.triggerPriceType)",
                  "triggerPriceType needs something to trigger: set triggerPrice or triggerOffset, or remove triggerPriceType", at="triggerPriceType"),
        forbidden("!has(self.price) || !has(self.priceOffset)", "price and priceOffset exclude each other: remove one of them", at="priceOffset"),
        forbidden("!has(self.triggerPrice) || !has(self.triggerOffset)",
                  "triggerPrice and triggerOffset exclude each other: remove one of them", at="triggerOffset"),
        forbidden("self.role in ['StopLoss', 'TakeProfit'] || !(has(self.priceOffset) || has(self.triggerOffset))",
                  "offsets are for StopLoss and TakeProfit, from what the Entry fills at: set price and triggerPrice instead", at="priceOffset"),
        forbidden(f"self.type in {LIMIT_TYPES} || !has(self.priceOffset)",
                  "priceOffset is for limit types only: remove it, or use a limit type", at="priceOffset"),
        forbidden("self.type != 'Limit' || !has(self.triggerOffset)",
                  "triggerOffset is not allowed for Limit: use priceOffset, or a TakeProfit type", at="triggerOffset"),
        forbidden("self.role in ['StopLoss', 'TakeProfit'] || !has(self.priceSteps)",
                  "priceSteps are for StopLoss and TakeProfit: remove them, or correct role", at="priceSteps"),
        forbidden(f"self.type in {LIMIT_TYPES} || !has(self.priceSteps) || self.priceSteps.all(s, !has(s.priceOffset))",
                  "priceOffset is for limit types only: remove it from priceSteps, or use a limit type", at="priceSteps"),
        forbidden(f"self.type in {TRIGGERED_TYPES} || self.type == 'TrailingStop' || !has(self.priceSteps) || self.priceSteps.all(s, !has(s.triggerOffset))",
                  "triggerOffset in priceSteps is for types with a trigger: use priceOffset, or a Stop or TakeProfit type", at="priceSteps"),
        required("has(self.quantity) || has(self.quoteQuantity) || self.role in ['StopLoss', 'TakeProfit']",
                 "a quantity is required: set spec.quantity, or spec.quoteQuantity with type: Market", at="quantity"),
        forbidden("self.role in ['StopLoss', 'TakeProfit'] || !has(self.quantityPercent)",
                  "quantityPercent is for StopLoss and TakeProfit: set quantity instead, or correct role", at="quantityPercent"),
        forbidden("!has(self.quantity) || !has(self.quantityPercent)",
                  "quantity and quantityPercent exclude each other: remove one of them", at="quantityPercent"),
        forbidden("!has(self.quantityPercent) || double(self.quantityPercent) <= double('100')",
                  "quantityPercent is at most 100, all that the Entry fills: make it smaller", at="quantityPercent"),
        forbidden("self.role in ['StopLoss', 'TakeProfit'] || !has(self.onTriggerPassed)",
                  "onTriggerPassed is for StopLoss and TakeProfit: remove it, or correct role", at="onTriggerPassed"),
        forbidden("!(self.role in ['StopLoss', 'TakeProfit']) || !has(self.timeLimitSeconds)",
                  "an exit has no timeLimitSeconds, for the position would stay open without it: remove it, or set it on the Entry", at="timeLimitSeconds"),
        forbidden("self.role != 'StopLoss' || self.type in ['StopMarket', 'StopLimit', 'TrailingStop']",
                  "a StopLoss waits for its price: use type: StopMarket, StopLimit or TrailingStop", at="type"),
        forbidden("self.role != 'TakeProfit' || self.type in ['Limit', 'TakeProfitMarket', 'TakeProfitLimit']",
                  "a TakeProfit waits for its price: use type: Limit, TakeProfitMarket or TakeProfitLimit", at="type"),
        *fixed_terms("role", instead="create a new OrderGroup"),
    )


class OrderGroupSpec(Spec):
    """The orders that are wanted, and how they depend on each other."""

    account_ref: AccountRef = field("The ExchangeAccount to trade on, all members of it. Can't be changed.")
    mode: GroupMode = field(
        "OneCancelsOther: what one member fills, the others are cancelled for or made smaller by. OneTriggersOther: the other members are placed once the "
        "Entry fills: a Leg by its share, a StopLoss or TakeProfit for what is open. Bracket: an Entry or up to five, and a StopLoss for what they "
        "have filled, with up to five TakeProfits that share it: a fill of one makes the others smaller. Exits: the same for a position that is there already. "
        "Basket: orders that are placed together. "
        "Can't be changed.")
    members: Annotated[list[GroupMember], Field(
        min_length=1, max_length=MAX_MEMBERS,
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )] = Field(description="The orders. Their names and roles can't be changed, nor can there be more or fewer later; their order means nothing.")
    position: HeldPosition | None = field(
        "How much of what the account holds the Exits close: a quantity, at most what is held, or Account for all of it: what is free of the base asset on "
        "spot, the position on derivatives. It is read once, before the first exit is placed. Can't be changed.", default=None, examples=["Account", "0.01"])
    native_policy: NativePolicy = field(
        "Whether the exchange's own order lists are used. Prefer: where its list does just what the operator would: that of OneCancelsOther with "
        "onPartialFill Cancel. Require: its list, by its rules (exits are placed once the Entry is filled whole), or else the group is not placed. "
        "Never: the operator keeps the group. Can't be changed.", default=NativePolicy.PREFER)
    on_partial_fill: PartialFillPolicy | None = field(
        "What a fill of one does to the others. Cancel: they are cancelled. Reduce: they are made smaller by its share. Absent: Cancel for OneCancelsOther, "
        "Reduce for the exits of a Bracket and for Exits. Can't be changed.", default=None)
    failure_policy: FailurePolicy = field(
        "What happens once a member is refused. CancelAll: the others are cancelled, and what is filled stays. Continue: they go on. A stop of an open "
        "position is never cancelled for it.", default=FailurePolicy.CANCEL_ALL)
    max_unprotected_seconds: StrictInt = field(
        "How long a change of a StopLoss may leave a position without one, where the exchange can't change it in place. What would take longer is not done: "
        "the stop stays as it was, and the group says so. A position that has no stop for longer is Stalled.", default=5, minimum=0, maximum=INT32_MAX)
    desired_state: GroupDesiredState = field(
        "Working: the group is to work until it ends. Canceled: entries and legs are cancelled; what is done with exits of an open position is "
        "deletionPolicy's to say. Closed: entries, legs and takes are cancelled, and what is open is closed by a Market order; the stop stays until then, or "
        "on spot, where it locks what is to be sold, until that order can be sent. There is no way back.", default=GroupDesiredState.WORKING)
    position_time_limit_seconds: StrictInt | None = field(
        "Close what is open so many seconds after the Entry first filled, as desiredState: Closed does, by the operator's own clock; absent: never.",
        default=None, minimum=1, maximum=INT32_MAX)
    suspend: StrictBool = field("True: nothing is sent or changed until it is false. Cancels, deletes and lookups go on.", default=False)
    deletion_policy: GroupDeletionPolicy = field(
        "What deleting this object, or desiredState Canceled, does to live orders. CancelEntries: all are cancelled but the stop of an open position, which "
        "stays as an OrderIntent of its own. CancelAll: all. Orphan: none, and nobody attends to them.", default=GroupDeletionPolicy.CANCEL_ENTRIES)
    ttl_seconds_after_finished: StrictInt | None = field(
        "Delete this object and its members so many seconds after it finished; absent: keep them.", default=None, minimum=0, maximum=INT32_MAX)

    rules = (
        required("self.mode != 'OneCancelsOther' || (self.members.size() >= 2 && self.members.all(m, m.role != 'Entry'))",
                 "OneCancelsOther has two members or more, and no Entry: add one, or correct spec.members[].role", at="members"),
        required("self.mode != 'OneTriggersOther' || (self.members.size() >= 2 && self.members.filter(m, m.role == 'Entry').size() == 1)",
                 "OneTriggersOther has exactly one Entry and at least one other member: correct spec.members[].role", at="members"),
        required("self.mode != 'Bracket' || (self.members.exists(m, m.role == 'Entry') && self.members.exists(m, m.role == 'StopLoss') "
                 "&& self.members.filter(m, m.role == 'Entry').size() <= 5 && self.members.filter(m, m.role == 'TakeProfit').size() <= 5 "
                 "&& self.members.all(m, m.role != 'Leg'))",
                 "a Bracket has one Entry to five, a StopLoss and at most five TakeProfits: correct spec.members[].role", at="members"),
        required("self.mode != 'Exits' || (self.members.exists(m, m.role == 'StopLoss') && self.members.filter(m, m.role == 'TakeProfit').size() <= 5 "
                 "&& self.members.all(m, m.role in ['StopLoss', 'TakeProfit'] && self.members.all(n, m.symbol == n.symbol && m.side == n.side)))",
                 "Exits have a StopLoss and at most five TakeProfits, on one symbol and side: correct spec.members[]", at="members"),
        required("self.mode != 'Exits' || has(self.position)",
                 "Exits are of a position that is there: set spec.position: Account, or its quantity", at="position"),
        forbidden("self.mode == 'Exits' || !has(self.position)",
                  "position is for mode: Exits: remove it, for the Entry says how much is opened", at="position"),
        forbidden("!has(self.position) || self.position == 'Account' || self.position.matches('^[0-9]{1,20}([.][0-9]{1,18})?$')",
                  "position is Account or a quantity, as \"0.01\": correct spec.position", at="position"),
        forbidden("!(self.mode in ['Bracket', 'Exits']) || self.members.filter(m, m.role == 'StopLoss').size() <= 1 "
                  "|| (self.members.filter(m, m.role == 'StopLoss').size() == 2 "
                  "&& self.members.filter(m, m.role == 'StopLoss' && m.type == 'TrailingStop').size() == 1)",
                  "two stops of a position are one fixed and one TrailingStop, and each covers the whole position: correct spec.members[].type", at="members"),
        forbidden("self.mode != 'Exits' || !has(self.onPartialFill) || self.onPartialFill == 'Reduce' || self.members.size() <= 2",
                  "onPartialFill: Cancel is for Exits of one StopLoss and one TakeProfit: use Reduce", at="onPartialFill"),
        forbidden("self.mode != 'Bracket' || !has(self.onPartialFill) || self.onPartialFill == 'Reduce' || (self.members.size() <= 3 "
                  "&& self.members.filter(m, m.role == 'Entry').size() == 1 && self.members.filter(m, m.role == 'StopLoss').size() == 1)",
                  "onPartialFill: Cancel is for a Bracket of one Entry, one StopLoss and one TakeProfit: use Reduce", at="onPartialFill"),
        forbidden("self.mode != 'Bracket' || self.members.all(m, self.members.all(n, m.symbol == n.symbol && "
                  "((m.role == 'Entry') == (n.role == 'Entry')) == (m.side == n.side)))",
                  "the exits of a Bracket are on the Entry's symbol and the other side: correct spec.members[].symbol and side", at="members"),
        when_created("self.mode != 'OneTriggersOther' || self.members.all(m, m.role != 'Entry' || self.members.all(n, n.role in ['Entry', 'Leg'] || "
                     "(n.symbol == m.symbol && n.side != m.side)))",
                     "a StopLoss or TakeProfit closes what the Entry opens: give it the Entry's symbol and the other side, or use role: Leg",
                     at="members"),
        when_created("!(self.mode in ['OneTriggersOther', 'Bracket']) || self.members.filter(m, m.role == 'Entry').size() != 1 "
                     "|| self.members.all(m, m.role != 'Entry' || !has(m.quantity) || self.members.all(n, "
                     "n.role in ['Entry', 'Leg'] || !has(n.quantity) || double(n.quantity) <= double(m.quantity)))",
                     "a StopLoss or TakeProfit is not larger than the Entry: correct spec.members[].quantity", at="members"),
        forbidden("self.mode != 'Basket' || self.members.all(m, m.role == 'Leg')",
                  "the members of a Basket are Legs: remove spec.members[].role, or use another mode", at="members"),
        forbidden("self.mode == 'Basket' || self.members.all(m, has(m.quantity) || m.role in ['StopLoss', 'TakeProfit'] "
                  "|| (self.mode == 'Bracket' && m.role == 'Entry'))",
                  "members whose size depends on another's fills have a quantity: set spec.members[].quantity instead of quoteQuantity", at="members"),
        required("self.mode in ['OneTriggersOther', 'Bracket', 'Exits'] || self.members.all(m, has(m.quantity) || has(m.quoteQuantity))",
                 "only exits of a position follow how large it is: set spec.members[].quantity", at="members"),
        forbidden("!(self.mode in ['OneTriggersOther', 'Bracket', 'Exits']) || self.members.all(m, has(m.quantity) || has(m.quantityPercent) || "
                  "!(m.role in ['StopLoss', 'TakeProfit']) || (self.mode in ['Bracket', 'Exits'] && m.role == 'StopLoss') "
                  "|| self.members.filter(n, n.role == m.role).size() == 1)",
                  "several exits of one role share what is open: give each a quantity or a quantityPercent", at="members"),
        forbidden("self.mode != 'Bracket' || !self.members.exists(m, m.role == 'Entry' && has(m.quoteQuantity)) "
                  "|| self.members.all(m, m.role == 'Entry' || !has(m.quantity))",
                  "what a quoteQuantity buys is known once it fills: size the exits by quantityPercent, or leave quantity out", at="members"),
        forbidden("self.mode in ['OneTriggersOther', 'Bracket'] || self.members.all(m, !has(m.priceOffset) && !has(m.triggerOffset) && !has(m.priceSteps))",
                  "offsets are from what an Entry fills at, and this mode has none: set price and triggerPrice", at="members"),
        forbidden("self.mode in ['OneCancelsOther', 'Bracket', 'Exits'] || !has(self.onPartialFill)",
                  "onPartialFill is for OneCancelsOther, Bracket and Exits: remove it", at="onPartialFill"),
        forbidden("self.members.size() == oldSelf.members.size() && self.members.all(m, oldSelf.members.exists(o, o.name == m.name))",
                  "members can't be added or removed: create a new OrderGroup", at="members"),
        forbidden("oldSelf.desiredState != 'Canceled' || self.desiredState != 'Working'",
                  "desiredState never goes back to Working: create a new OrderGroup", at="desiredState"),
        forbidden("oldSelf.desiredState != 'Closed' || self.desiredState == 'Closed'",
                  "what is being closed can't be kept: leave desiredState: Closed, or create a new OrderGroup", at="desiredState"),
        forbidden("self.mode in ['OneTriggersOther', 'Bracket'] || self.desiredState != 'Closed'",
                  "Closed is for a position that the group's Entry opened: use desiredState: Canceled", at="desiredState"),
        forbidden("self.mode in ['OneTriggersOther', 'Bracket'] || !has(self.positionTimeLimitSeconds)",
                  "positionTimeLimitSeconds is for a position that the group's Entry opened: remove it", at="positionTimeLimitSeconds"),
        *immutable("accountRef", "mode", "position", "nativePolicy", "onPartialFill", instead="create a new OrderGroup"),
    )


# ── What is ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

class MemberStatus(Status, Named):
    """One member, as it stands."""

    name: MemberName = field("The member's name in the group, or that of an order which the group added.")
    intent_name: ObjectName = field("Its OrderIntent, if there is or was one.")
    uid: Identifier | None = field("metadata.uid of its OrderIntent. A member that has one is never created again.", default=None)
    state: OrderState = field("Where its order stands, as on an OrderIntent. Pending: not created, or not sent.", default=OrderState.PENDING)
    finished: StrictBool = field("Whether nothing about it can change any more.", default=False)
    gone: StrictBool = field("Whether its OrderIntent is gone: deleted by somebody, or at the end of its time. It is not created again.", default=False)
    quantity: NonNegativeDecimal | None = field(
        "Its quantity as the group wants it now: an exit's is what the Entry filled and no other exit closed, at most what spec says of it.", default=None)
    filled_quantity: NonNegativeDecimal | None = field("Filled so far.", default=None)
    arrived_quantity: NonNegativeDecimal | None = field(
        "How much of what filled is there to be closed, where fees were taken in what was bought; absent: all of it.", default=None)
    average_price: NonNegativeDecimal | None = field("Average price of the fills.", default=None)
    extra_of: MemberName | None = field(
        "Set on an order that the group added by itself, and that spec does not name: the StopLoss that it continues, or the Entry whose position it closes.",
        default=None)
    reason: Reason | None = field("Why it is as it is, in one word for programs.", default=None)
    message: Message | None = field("The same in a sentence for people.", default=None)


class MemberCounts(Status):
    """How many members there are in each state."""

    total: StrictInt = field("All of them.", minimum=0, maximum=MAX_MEMBERS + MAX_EXTRAS)
    open: StrictInt = field("Working at the exchange.", minimum=0, maximum=MAX_MEMBERS + MAX_EXTRAS)
    filled: StrictInt = field("Filled.", minimum=0, maximum=MAX_MEMBERS + MAX_EXTRAS)
    ended: StrictInt = field("Ended otherwise.", minimum=0, maximum=MAX_MEMBERS + MAX_EXTRAS)
    unknown: StrictInt = field("Those whose outcome is being found out.", minimum=0, maximum=MAX_MEMBERS + MAX_EXTRAS)


class OrderGroupStatus(Status):
    """The group as it stands."""

    observed_generation: StrictInt = field("metadata.generation this status answers; -1: not looked at yet.", default=-1, minimum=-1)
    members: list[MemberStatus] = field(
        "The members, by name, and the orders that the group added by itself.", max_items=MAX_MEMBERS + MAX_EXTRAS, key="name")
    native: StrictBool = field("Whether the exchange itself keeps the orders as one list.", default=False)
    counts: MemberCounts | None = field("How many members there are in each state.", default=None)
    position: NonNegativeDecimal | None = field("How much of what the account holds the Exits close, as it was read before the first was placed.", default=None)
    opened_time: Time | None = field("When the Entry first filled, by the exchange's clock.", default=None)
    completion_time: Time | None = field("When the last member's end was settled.", default=None)
    conditions: list[Condition] = field(
        "Finished (every member reached a settled end), Succeeded (the end asked for), Ready (every member is as spec says), Stalled (a person is needed) and "
        "Protected (the StopLoss works for as long as there is a position, and is as large).", max_items=MAX_CONDITIONS, key="type")


# ── The kind ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

class OrderGroup(Kind):
    """Orders that depend on each other: one cancels the other, one triggers the other, a bracket, or a basket."""

    kind: Literal["OrderGroup"] = "OrderGroup"
    spec: OrderGroupSpec = field("The orders that are wanted, and how they depend on each other.")
    status: OrderGroupStatus = field("The group as it stands.", default=OrderGroupStatus())

    resource = Resource(
        plural="ordergroups", singular="ordergroup", short_names=("og",),
        columns=(
            Column("Mode", ".spec.mode", "How the members depend on each other."),
            Column("Members", ".status.counts.total", "How many members it has.", type="integer"),
            Column("Open", ".status.counts.open", "Members that work at the exchange.", type="integer"),
            Column("Filled", ".status.counts.filled", "Members that are filled.", type="integer"),
            Column("Succeeded", '.status.conditions[?(@.type=="Succeeded")].status', "Whether it came to the end asked for."),
            Column("Reason", '.status.conditions[?(@.type=="Succeeded")].reason', "Why, or what it is doing."),
            Column("Age", ".metadata.creationTimestamp", "Time since creation.", type="date"),
            Column("Account", ".spec.accountRef.name", "ExchangeAccount it is on.", wide=True),
            Column("Finished", '.status.conditions[?(@.type=="Finished")].status', "Whether every member reached its end.", wide=True),
            Column("Protected", '.status.conditions[?(@.type=="Protected")].status', "Whether a stop works for all of the position.", wide=True),
            Column("Unknown", ".status.counts.unknown", "Members whose outcome is being found out.", type="integer", wide=True),
        ),
        selectable=(".spec.accountRef.name", ".spec.mode"),
    )
