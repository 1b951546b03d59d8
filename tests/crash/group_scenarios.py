"""What users and venues do to groups while the operator dies: as `scenarios.py`, with members in place of the one order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal

from exchange_kernel.api import AmendQuantity, DesiredState, GroupDesiredState, GroupMode, MemberRole, OrderGroupSpec, RefusalKind
from exchange_kernel.core import extra_members
from exchange_kernel.core.answers import ExchangeOrder, OrderStatus, Position, Refused, Unknown
from exchange_kernel.core.groups import EXITS
from exchange_kernel.core.identity import member_order_id
from tests.crash.scenarios import Scenario, flight, late_fill, reachable, replies
from tests.processes import Processes
from tests.scripted import OWNER, World
from tests.unit.groups.desk import VENUE, Groups, a_bracket, a_group, a_member, an_oco

MOST_ATTEMPTS = 40
ZERO = Decimal(0)


class Watched(Groups):
    """With notes of every member's object that was ever made, and of the group as it was last written."""

    def __init__(self, *arguments, **options) -> None:
        super().__init__(*arguments, **options)
        self.made: list[tuple[str, str]] = []        # member and UID of each object ever made
        self.ids: dict[str, tuple[str, int]] = {}    # client order id → member and attempt
        self.last = None
        self.largest: dict[str, Decimal] = {}        # by member: the largest quantity that any version of the spec had
        self.taken_away: set[str] = set()            # members that a person or the exchange took away
        self.added: dict[str, str] = {}              # orders that the group may add, and the member that each is for
        self.exchange.refuses_exits = self.exchange.refuses_stops = False
        self.watch_stores()

    def watch_stores(self) -> None:
        """From now on; what was not kept was not made."""
        create, put = self.store.create, self.groups._put

        def note_member(uid, spec, **named):
            record = create(uid, spec, **named)
            if spec.group_ref is not None:
                self.made.append((spec.group_ref.member, uid))
            return record

        def note_group(record):
            if self.last is None:
                self.added = {name: member.name for member in record.spec.members for name in extra_members.names(record.spec, member)}
                self.ids = {member_order_id(OWNER, group_uid=record.uid, member=name, attempt=number): (name, number)
                            for name in (*(member.name for member in record.spec.members), *self.added) for number in range(1, MOST_ATTEMPTS)}
            self.largest = {member.name: max(self.largest.get(member.name, ZERO), member.quantity) for member in record.spec.members}
            self.largest |= {name: self.largest[of] for name, of in self.added.items()}
            self.last = put(record)
            return self.last

        self.store.create, self.groups._put = note_member, note_group

    def member_of(self, order: ExchangeOrder) -> str:
        return self.ids[order.client_order_id][0]

    def orders_of(self, *members: str) -> list[ExchangeOrder]:
        return [order for order in self.exchange.orders_by_id.values() if self.member_of(order) in members]

    def live_of(self, member: str) -> ExchangeOrder | None:
        return next((order for order in self.orders_of(member) if not order.status.ended), None)

    def filled_of(self, *members: str) -> Decimal:
        return sum((order.filled_quantity for order in self.orders_of(*members)), ZERO)

    @property
    def spec(self) -> OrderGroupSpec:
        return self.last.spec

    @property
    def entry(self) -> str | None:
        return next((member.name for member in self.spec.members if member.role is MemberRole.ENTRY), None)

    @property
    def exits(self) -> tuple[str, ...]:
        """What closes what the Entry opened."""
        follows = self.entry is not None or self.spec.mode is GroupMode.EXITS
        return (*(member.name for member in self.spec.members if member.role in EXITS), *self.added) if follows else ()

    def with_added(self, member: str) -> tuple[str, ...]:
        """A member, and the orders that its group may add for it."""
        return (member, *(name for name, of in self.added.items() if of == member))

    def working(self, *members: str) -> Decimal:
        """How much of these orders may still fill."""
        return sum((order.quantity - order.filled_quantity for order in self.orders_of(*members) if not order.status.ended), ZERO)

    @property
    def position(self) -> Decimal:
        return self.opened - self.filled_of(*self.exits)

    @property
    def opened(self) -> Decimal:
        """What the Entry has filled, or the account held before."""
        return self.filled_of(self.entry) if self.entry is not None else sum((one.quantity for one in self.exchange.held_positions), ZERO)

    def to_the_step(self, quantity: Decimal) -> Decimal:
        return quantity // self.exchange.market.quantity_step * self.exchange.market.quantity_step

    @property
    def takes_stops(self) -> bool:
        """Whether the exchange would take a stop now."""
        exchange = self.exchange
        return exchange.reachable and exchange.listed and exchange.market.active and not exchange.refuses_exits and not exchange.refuses_stops

    @property
    def bare(self) -> Decimal:
        """How much of the position that the operator has been told of is covered by no live stop, where the operator is to make one."""
        group = self.group()
        stop = next((member.name for member in self.spec.members if member.role is MemberRole.STOP_LOSS), None) if group is not None else None
        if group is None or stop is None or stop in self.taken_away or group.status.native:
            return ZERO
        if self.spec.mode is GroupMode.EXITS:
            return max(self.to_the_step((group.status.position or ZERO) - self.filled_of(*self.exits) - self.working(*self.with_added(stop))), ZERO)
        if self.entry is None:
            return ZERO
        record = self.intent(self.entry)
        told = [member.filled_quantity or ZERO for member in group.status.members if member.name == self.entry] + ([record.status.filled_quantity or ZERO] if record is not None else [])
        open_now = self.to_the_step(max(told, default=ZERO) - self.filled_of(*self.exits))
        # An order that closes the position at market takes the place of a stop that made way for it.
        missing = open_now - self.working(*self.with_added(stop)) - self.working(*self.with_added(self.entry)[1:])
        return max(self.to_the_step(missing), ZERO) if missing > 0 else ZERO     # less than a step is no order

    def take(self, member: str, quantity: str, *, tell: bool = True) -> None:
        """The market takes so much of a member's live order: what is left of it, and of the position that it reduces, is the most."""
        order = self.live_of(member)
        if order is None or self.exchange.waits_in_its_list(order.client_order_id):
            return
        most = order.quantity - order.filled_quantity
        if member in self.exits:
            most = min(most, self.position)
        if (taken := min(Decimal(quantity), most)) > 0:
            self.exchange.fill(order.client_order_id, str(taken), tell=tell)


class GroupsUnderWatch(Watched, World):
    """One process after the other."""


class GroupProcesses(Watched, Processes):
    """Several processes at once."""


Step = Callable[[Watched], None]


@dataclass(frozen=True)
class GroupScenario(Scenario):
    ends: str = ""                          # what Succeeded says where nobody dies; empty where the group is gone, or works on
    left: frozenset[str] = frozenset()      # what may live on without its group


def place(spec: OrderGroupSpec) -> Step:
    return lambda world: world.place(spec)


def edit_group(**changes) -> Step:
    def step(world: Watched) -> None:
        group = world.group()
        if group is not None and not group.finished:
            world.groups.edit("pair", group.spec.model_copy(update=changes))

    return step


def edit_quantities(**quantities: str) -> Step:
    """Another quantity for some members of the group."""

    def step(world: Watched) -> None:
        if world.group() is not None:
            changed = {member.name: member.model_copy(update={"quantity": Decimal(quantities.get(member.name, member.quantity))}) for member in world.spec.members}
            edit_group(members=list(changed.values()))(world)

    return step


cancel_group = edit_group(desired_state=GroupDesiredState.CANCELED)
close_group = edit_group(desired_state=GroupDesiredState.CLOSED)


def delete_group(world: Watched) -> None:
    if world.group() is not None:
        world.groups.delete("pair")


def fills(quantity: str, *members: str, tell: bool = True) -> Step:
    def step(world: Watched) -> None:
        for member in members:
            world.take(member, quantity, tell=tell)

    return step


def delete_member(member: str) -> Step:
    def step(world: Watched) -> None:
        world.taken_away.add(member)
        if (found := world.intent(member)) is not None:
            world.store.delete(found.uid)

    return step


def cancel_member(member: str) -> Step:
    def step(world: Watched) -> None:
        world.taken_away.add(member)
        if (found := world.intent(member)) is not None and not found.finished:
            world.store.edit(found.uid, found.spec.model_copy(update={"desired_state": DesiredState.CANCELED}))

    return step


def edit_member(member: str, **changes) -> Step:
    """A person changes the child behind its group's back."""

    def step(world: Watched) -> None:
        if (found := world.intent(member)) is not None and not found.finished:
            world.store.edit(found.uid, found.spec.model_copy(update=changes))

    return step


def ended_by_the_exchange(member: str) -> Step:
    def step(world: Watched) -> None:
        world.taken_away.add(member)
        if (order := world.live_of(member)) is not None:
            world.exchange._set(replace(order, status=OrderStatus.CANCELED, update_time_ms=world.exchange.now_ms()))
            world.exchange._end_the_others(order.client_order_id, OrderStatus.CANCELED, True)

    return step


def ended_at_the_market(member: str) -> Step:
    """What is left of a Market order ends, as where nobody is left to trade with."""
    def step(world: Watched) -> None:
        if (order := world.live_of(member)) is not None:
            world.exchange._set(replace(order, status=OrderStatus.EXPIRED, update_time_ms=world.exchange.now_ms()))

    return step


def together(*steps: Step) -> Step:
    def step(world: Watched) -> None:
        for one in steps:
            one(world)

    return step


def on_spot(world: Watched) -> None:
    world.on_spot()
    world.exchange.keeps_lists = True


def on_spot_without_lists(world: Watched) -> None:
    world.on_spot()
    world.exchange.capabilities = replace(world.exchange.capabilities, native_groups=frozenset())


def tells_late(world: Watched) -> None:
    """A replacement takes longer than a position may be bare."""
    world.exchange.capabilities = replace(VENUE, lookup_delay_ms=6000)


def amends(world: Watched) -> None:
    world.exchange.capabilities = replace(VENUE, amend=AmendQuantity.TOTAL)


def loses_the_answer_of_lists(world: Watched) -> None:
    world.exchange.group_reply = lambda accepted: Unknown("the connection was lost before the answer")


def loses_the_first_list(world: Watched) -> None:
    """It never arrives."""
    take = world.exchange._take_group

    async def lose(request, stamp):
        world.exchange._take_group = take
        await asyncio.sleep(1)
        return Unknown("silent")

    world.exchange._take_group = lose


BY_THE_EXCHANGE = {"nativePolicy": "Require", "onPartialFill": "Cancel"}
AN_ENTRY_AND_ITS_EXITS = a_group("OneTriggersOther", a_member("entry", "Entry"), a_member("take", "TakeProfit", quantity="6"), a_member("more", "TakeProfit", quantity="4"), a_member("stop", "StopLoss"))
A_PART_THEN_ALL = ((10, place(a_bracket())), (20, fills("4", "entry")), (32, fills("6", "entry")))

ONE_CANCELS_OTHER = (
    GroupScenario("a leg fills", ((10, place(an_oco())), (20, fills("10", "take"))), ends="Filled"),
    GroupScenario("a leg fills, and no event tells of it", ((10, place(an_oco())), (20, fills("10", "take", tell=False))), ends="Filled"),
    GroupScenario("a leg fills in parts", ((10, place(an_oco())), (20, fills("3", "take")), (40, fills("7", "take"))), ends="Filled"),
    GroupScenario("both legs fill in the same instant", ((10, place(an_oco())), (20, fills("4", "take", "stop"))), ends="BothLegsFilled"),
    GroupScenario("the sibling fills while it is cancelled", ((10, place(an_oco())), (20, late_fill("2")), (20, fills("10", "take"))), ends="BothLegsFilled"),
    GroupScenario("reduced", ((10, place(an_oco(onPartialFill="Reduce"))), (20, fills("3", "take")), (50, fills("10", "stop"))), ends="Filled"),
    GroupScenario("reduced in place", ((10, place(an_oco(onPartialFill="Reduce"))), (20, fills("3", "take")), (50, fills("10", "stop"))), ends="Filled", prepare=amends),
    GroupScenario("reduced too late", ((10, place(an_oco(onPartialFill="Reduce"))), (20, fills("6", "take", "stop"))), ends="BothLegsFilled"),
    GroupScenario("cancelled", ((10, place(an_oco())), (30, cancel_group)), ends="CanceledAsAsked"),
    GroupScenario("cancelled at once", ((10, place(an_oco())), (10.01, cancel_group)), ends="CanceledAsAsked"),
    GroupScenario("deleted", ((10, place(an_oco())), (30, delete_group))),
    GroupScenario("deleted at once", ((10, place(an_oco())), (10.01, delete_group))),
    GroupScenario("orphaned at once", ((10, place(an_oco(deletionPolicy="Orphan"))), (10.01, delete_group)), left=frozenset({"take", "stop"})),
    GroupScenario("an open child deleted", ((10, place(an_oco())), (20, delete_member("take")), (60, fills("10", "stop"))), ends="Filled"),
    GroupScenario("a filled child deleted", ((10, place(an_oco())), (20, fills("10", "take")), (20, delete_member("take"))), ends="Filled"),
    GroupScenario("a child deleted at once", ((10, place(an_oco())), (10.01, delete_member("take")), (60, fills("10", "stop"))), ends="Filled"),
    GroupScenario("a child changed behind its group's back", ((10, place(an_oco())), (20, edit_member("take", price=Decimal(60000))), (60, fills("10", "take"))), ends="Filled"),
    GroupScenario("a member refused", ((10, place(a_group("OneCancelsOther", a_member("take"), a_member("large", quantity="5000")))),), ends="MemberRefused"),
    GroupScenario("a member refused, the other alone", ((10, place(a_group("Basket", a_member("take"), a_member("large", quantity="5000"), failurePolicy="Continue"))), (40, fills("10", "take"))),
                  ends="MemberRefused"),
    GroupScenario("answers that are none", ((10, place(an_oco())), (40, fills("10", "take"))), prepare=replies(lambda order: Unknown("garbage")), ends="Filled"),
    GroupScenario("requests that arrive after their sender died", ((10, place(an_oco())), (40, fills("10", "take"))), prepare=flight(2), ends="Filled"),
)

TRIGGER_PASSED = Refused("-2010", "Stop price would trigger immediately", RefusalKind.TRIGGER_PASSED)
NO_TABLE_HAS = Refused("-2010", "This action is disabled on this account")
NO_BALANCE = Refused("-2010", "Account has insufficient balance for requested action", RefusalKind.BALANCE)
HALTED = Refused("-1013", "Market is closed", RefusalKind.MARKET_CLOSED)


def refuse_exits(world: Watched, answer: Refused, *, stops_only: bool = False) -> None:
    """The exchange refuses exits until it `takes_exits`; or stops alone, for ever."""
    take = world.exchange._take_order
    world.exchange.refuses_exits, world.exchange.refuses_stops = not stops_only, stops_only

    async def refuse(request, stamp):
        refused = request.type == "StopMarket" if stops_only else request.side == "Sell" and world.exchange.refuses_exits
        return answer if refused else await take(request, stamp)

    world.exchange._take_order = refuse


def takes_exits(world: Watched) -> None:
    world.exchange.refuses_exits = False


def halts(world: Watched) -> None:
    world.exchange.refuses_exits = True


def judges_by_its_market(world: Watched) -> None:
    """Orders are refused by the market as it is, and the list of markets is read once."""
    world.exchange.judges = world.exchange.keeps_markets = True


def market(**changes) -> Step:
    return lambda world: setattr(world.exchange, "market", replace(world.exchange.market, **changes))


def listed(there: bool) -> Step:
    return lambda world: setattr(world.exchange, "listed", there)


ENTRY_AND_STOP = a_group("OneTriggersOther", a_member("entry", "Entry"), a_member("stop", "StopLoss"))
ADDED = (
    GroupScenario("the entry fills as its stop has filled", ((10, place(ENTRY_AND_STOP)), (20, fills("4", "entry")), (40, together(fills("4", "stop"), fills("6", "entry"))), (70, fills("10", "stop", "stop-2"))),
                  ends="Closed"),
    GroupScenario("the entry of a bracket fills as its stop has filled", ((10, place(a_bracket())), (20, fills("4", "entry")), (40, together(fills("4", "stop"), fills("6", "entry"))), (70, fills("10", "stop", "stop-2"))),
                  ends="Closed"),
    GroupScenario("a stop grows by a second one", ((10, place(ENTRY_AND_STOP)), (20, fills("4", "entry")), (40, fills("6", "entry")), (70, fills("4", "stop")), (90, fills("6", "stop-2"))), ends="Closed", prepare=tells_late),
    GroupScenario("closed at market", ((10, place(a_bracket())), (20, fills("4", "entry")), (40, close_group), (70, fills("10", "close"))), ends="Closed"),
    GroupScenario("closed at market in parts", ((10, place(a_bracket())), (20, fills("4", "entry")), (40, close_group), (55, fills("1", "close")), (56, ended_at_the_market("close")), (80, fills("10", "close-2"))), ends="Closed"),
    GroupScenario("closed at market as the entry fills", ((10, place(a_bracket())), (20, fills("4", "entry")), (40, late_fill("3")), (40, close_group), (41, late_fill(None)), (70, fills("10", "close"))), ends="Closed"),
    GroupScenario("closed at market on spot", ((10, place(ENTRY_AND_STOP)), (20, fills("4", "entry")), (40, close_group), (70, fills("4", "close"))), ends="Closed", prepare=on_spot_without_lists),
    GroupScenario("closed at market on spot as the stop fills", ((10, place(ENTRY_AND_STOP)), (20, fills("4", "entry")), (40, late_fill("3")), (40, close_group), (41, late_fill(None)), (70, fills("10", "close"))), ends="Closed",
                  prepare=on_spot_without_lists),
    GroupScenario("closed before anything filled", ((10, place(a_bracket())), (30, close_group)), ends="CanceledAsAsked"),
    GroupScenario("closed, and deleted at once", ((10, place(a_bracket())), (20, fills("4", "entry")), (40, close_group), (40, delete_group), (70, fills("10", "close")))),
    GroupScenario("closed as its time is over", ((10, place(a_bracket(positionTimeLimitSeconds=30))), (20, fills("4", "entry")), (80, fills("10", "close"))), ends="Closed"),
)

def holds_ten(world: Watched) -> None:
    world.exchange.held_positions = [Position("BTC/USDT", "Net", Decimal(10))]


EXITS_OF_TEN = a_group("Exits", a_member("take", "TakeProfit"), a_member("stop", "StopLoss"), position="Account")
OF_WHAT_IS_HELD = (
    GroupScenario("exits of what is held", ((10, place(EXITS_OF_TEN)), (30, fills("4", "take")), (50, fills("6", "stop"))), ends="Closed", prepare=holds_ten),
    GroupScenario("exits of what is held, deleted", ((10, place(EXITS_OF_TEN)), (30, delete_group)), left=frozenset({"stop"}), prepare=holds_ten),
    GroupScenario("exits of nothing", ((10, place(EXITS_OF_TEN)), (30, cancel_group)), ends="CanceledAsAsked"),
)

BRACKETS = (
    GroupScenario("bracket closed by its take-profit", (*A_PART_THEN_ALL, (50, fills("10", "take"))), ends="Closed"),
    GroupScenario("bracket closed by its stop, changed in place", (*A_PART_THEN_ALL, (50, fills("10", "stop"))), ends="Closed", prepare=amends),
    GroupScenario("fills that no event tells of", ((10, place(a_bracket())), (20, fills("10", "entry", tell=False)), (50, fills("10", "stop", tell=False))), ends="Closed"),
    GroupScenario("an exit's part ends the entry", ((10, place(a_bracket())), (20, fills("6", "entry")), (32, fills("2", "take")), (50, fills("10", "stop"))), ends="Closed"),
    GroupScenario("both exits fill in the same instant", (*A_PART_THEN_ALL, (50, fills("6", "take", "stop"))), ends="Closed"),
    GroupScenario("the entry fills while it is cancelled", ((10, place(a_bracket())), (20, fills("4", "entry")), (32, late_fill("3")), (32, fills("4", "take")), (33, late_fill(None)), (60, fills("10", "stop"))), ends="Closed"),
    GroupScenario("the entry cancelled after a part", ((10, place(a_bracket())), (20, fills("4", "entry")), (32, ended_by_the_exchange("entry")), (60, fills("10", "stop"))), ends="Closed"),
    GroupScenario("the entry ends unfilled", ((10, place(a_bracket())), (20, ended_by_the_exchange("entry"))), ends="EntryNotFilled"),
    GroupScenario("bracket cancelled", ((10, place(a_bracket())), (20, fills("4", "entry")), (40, cancel_group))),
    GroupScenario("bracket cancelled as its entry fills", ((10, place(a_bracket())), (20, fills("4", "entry")), (20, cancel_group))),
    GroupScenario("bracket deleted", ((10, place(a_bracket())), (20, fills("4", "entry")), (40, delete_group)), left=frozenset({"stop"})),
    GroupScenario("bracket deleted as its entry fills", ((10, place(a_bracket())), (20, fills("4", "entry")), (20, delete_group)), left=frozenset({"stop"})),
    GroupScenario("bracket deleted with all its orders", ((10, place(a_bracket(deletionPolicy="CancelAll"))), (20, fills("4", "entry")), (40, delete_group))),
    GroupScenario("bracket orphaned", ((10, place(a_bracket(deletionPolicy="Orphan"))), (20, fills("4", "entry")), (40, delete_group)), left=frozenset({"entry", "take", "stop"})),
    GroupScenario("an open stop deleted", ((10, place(a_bracket())), (20, fills("10", "entry")), (40, delete_member("stop")))),
    GroupScenario("a filled entry deleted", ((10, place(a_bracket())), (20, fills("10", "entry")), (40, delete_member("entry")), (60, fills("10", "take"))), ends="Closed"),
    GroupScenario("a stop that the exchange cancels", ((10, place(a_bracket())), (20, fills("10", "entry")), (40, ended_by_the_exchange("stop")))),
    GroupScenario("a stop that is refused", ((10, place(a_bracket())), (19, replies(None)), (20, fills("10", "entry"))), prepare=lambda world: refuse_stops(world)),
    GroupScenario("a stop whose trigger was passed, closed at market", ((10, place(a_bracket())), (20, fills("10", "entry")), (50, fills("10", "stop"))), ends="Closed",
                  prepare=lambda world: refuse_exits(world, TRIGGER_PASSED, stops_only=True)),
    GroupScenario("exits refused for a while, for what no table has", ((10, place(a_bracket())), (20, fills("4", "entry")), (40, takes_exits), (70, fills("4", "stop"))), ends="Closed",
                  prepare=lambda world: refuse_exits(world, NO_TABLE_HAS)),
    GroupScenario("exits refused by a halt as the entry grows", ((10, place(a_bracket())), (15, takes_exits), (20, fills("4", "entry")), (30, halts), (30, fills("6", "entry")), (45, takes_exits), (80, fills("10", "stop"))),
                  ends="Closed", prepare=lambda world: refuse_exits(world, HALTED)),
    GroupScenario("exits refused for a while, for balance", ((10, place(a_bracket())), (20, fills("4", "entry")), (32, takes_exits), (70, fills("4", "stop"))), ends="Closed",
                  prepare=lambda world: refuse_exits(world, NO_BALANCE)),
    GroupScenario("the step changes between the entry and its exits", ((10, place(a_bracket())), (19, market(quantity_step=Decimal(4), price_step=Decimal(7))), (20, fills("10", "entry")), (70, fills("10", "stop"))),
                  ends="Closed", prepare=judges_by_its_market),
    GroupScenario("a halt between the entry and its stop", ((10, place(a_bracket())), (19.9, market(active=False)), (20, fills("10", "entry")), (30, market(active=True)), (70, fills("10", "stop"))), ends="Closed",
                  prepare=judges_by_its_market),
    GroupScenario("a market that is delisted between the entry and its exits", ((10, place(a_bracket())), (19, listed(False)), (20, fills("10", "entry")), (30, listed(True)), (70, fills("10", "stop"))), ends="Closed"),
    GroupScenario("an exchange that is silent as the entry fills", ((10, place(a_bracket())), (20, fills("10", "entry")), (20, reachable(False)), (30, reachable(True)), (60, fills("10", "take"))), ends="Closed"),
    GroupScenario("a leg that follows its entry", ((10, place(a_group("OneTriggersOther", a_member("entry", "Entry"), a_member("then")))), (20, fills("4", "entry")), (32, fills("6", "entry")), (60, fills("10", "then"))),
                  ends="Filled"),
    GroupScenario("the entry lowered to what it filled", ((10, place(a_bracket())), (20, fills("4", "entry")), (32, edit_quantities(entry="4")), (60, fills("10", "stop"))), ends="Closed"),
    GroupScenario("the entry lowered as it fills, changed in place", ((10, place(a_bracket())), (20, fills("4", "entry")), (20, edit_quantities(entry="6")), (32, fills("2", "entry")), (60, fills("10", "take"))),
                  ends="Closed", prepare=amends),
    GroupScenario("exits edited larger", ((10, place(a_bracket())), (20, fills("4", "entry")), (32, edit_quantities(take="20", stop="30")), (40, fills("6", "entry")), (60, fills("10", "stop"))), ends="Closed"),
    GroupScenario("exits of one entry without a bracket", ((10, place(AN_ENTRY_AND_ITS_EXITS)), (20, fills("10", "entry")), (32, fills("4", "take")), (50, fills("10", "stop"))), ends="Closed"),
)


def refuse_stops(world: Watched) -> None:
    refuse_exits(world, Refused("-2021", "Order would immediately trigger."), stops_only=True)


KEPT_BY_THE_EXCHANGE = tuple(replace(scenario, name=f"list: {scenario.name}", prepare=(lambda before: lambda world: (on_spot(world), before(world)))(scenario.prepare)) for scenario in (
    GroupScenario("a leg fills", ((10, place(an_oco())), (20, fills("10", "take"))), ends="Filled"),
    GroupScenario("a part, then the rest", ((10, place(an_oco())), (20, fills("3", "take", tell=False)), (40, fills("7", "take"))), ends="Filled"),
    GroupScenario("its answer is lost", ((10, place(an_oco())), (40, fills("10", "take"))), prepare=loses_the_answer_of_lists, ends="Filled"),
    GroupScenario("it never arrives", ((10, place(an_oco())), (60, fills("10", "take"))), prepare=loses_the_first_list, ends="Filled"),
    GroupScenario("it arrives after its sender died", ((10, place(an_oco())), (60, fills("10", "take"))), prepare=flight(2), ends="Filled"),
    GroupScenario("refused", ((10, place(a_group("OneCancelsOther", a_member("take", quantity="5000"), a_member("stop", "StopLoss", quantity="5000")))),), ends="MemberRefused"),
    GroupScenario("cancelled", ((10, place(an_oco())), (30, cancel_group)), ends="CanceledAsAsked"),
    GroupScenario("deleted", ((10, place(an_oco())), (30, delete_group))),
    GroupScenario("an open child deleted", ((10, place(an_oco())), (30, delete_member("take"))), ends="CanceledAsAsked"),
    GroupScenario("a child cancelled at once", ((10, place(an_oco())), (10.01, cancel_member("take"))), ends="CanceledAsAsked"),
    GroupScenario("bracket", ((10, place(a_bracket(**BY_THE_EXCHANGE))), (20, fills("4", "entry")), (32, fills("6", "entry")), (60, fills("10", "take"))), ends="Closed"),
    GroupScenario("bracket cancelled after a part", ((10, place(a_bracket(**BY_THE_EXCHANGE))), (20, fills("4", "entry")), (32, cancel_group)), ends="PositionOpen"),
    GroupScenario("bracket deleted", ((10, place(a_bracket(**BY_THE_EXCHANGE))), (20, fills("10", "entry")), (32, delete_group)), left=frozenset({"take", "stop"})),
    GroupScenario("a leg that follows its entry", ((10, place(a_group("OneTriggersOther", a_member("entry", "Entry"), a_member("then"), nativePolicy="Require"))), (20, fills("10", "entry")), (60, fills("10", "then"))), ends="Filled"),
))

GROUP_SCENARIOS = (*ONE_CANCELS_OTHER, *BRACKETS, *ADDED, *OF_WHAT_IS_HELD, *KEPT_BY_THE_EXCHANGE)
