"""One run of a group's scenario with crashes, judged by the exchange's ledger: who was sent and when, what is left, and whether the status says so."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import TypeVar

from exchange_kernel.api import DesiredState, GroupDeletionPolicy, GroupDesiredState, GroupMode, MemberRole, OrderState, PartialFillPolicy
from exchange_kernel.core.groups import EXITS
from tests.crash.group_scenarios import ZERO, GroupsUnderWatch, Watched
from tests.crash.stories import USER, Story

#: Since a process began, or the exchange took stops again: it reads everything, and the longest back-off of a refused exit passes.
RECOVERS_S = 15.0
#: A look each so often, what an accepted order is hidden for, and a request's way.
LOOKS_EACH_S, ALLOWANCE_S = 0.5, 3.0

AnyWorld = TypeVar("AnyWorld", bound=Watched)


class GroupStory(Story):
    converges_within_s = 40.0
    from_the_first_step, crashes_each, fills_meanwhile_each = True, 2, 3
    _watcher: asyncio.Task[None] | None = None
    set_back = False  # whether somebody wrote the group's status

    def build(self, through: Callable[[object], object]) -> GroupsUnderWatch:
        return self.watch_all(GroupsUnderWatch(through, resyncSeconds=30, **self.scenario.account))

    def watch_all(self, world: AnyWorld) -> AnyWorld:
        """Look on for as long as the story goes, at stops too."""
        self._watcher = asyncio.create_task(self._watch_for_bare_positions(world), name=USER)
        return self.watch(world)

    def watch(self, world: AnyWorld) -> AnyWorld:
        """Look on while orders leave and are accepted."""
        world.exchange.accepted = lambda: self._check_size(world)
        world.exchange.written = lambda client_order_id: self._check_wish(world, client_order_id)
        return world

    def meanwhile(self, world: Watched) -> None:
        """A little of everything that is live: of an OCO both legs, before any cancel can come."""
        for name in (*(member.name for member in world.spec.members), *world.added) if world.last is not None else ():
            world.take(name, "1", tell=False)

    # ── While it goes on ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _watch_for_bare_positions(self, world: Watched) -> None:
        """Count a position that has no stop of its size for too long, in one piece, while an operator runs and the exchange would take one."""
        well_s, bare_s, process = 0.0, 0.0, world.desk
        while True:
            await asyncio.sleep(LOOKS_EACH_S)
            goes_on, process = world.desk is process is not None, world.desk      # one that ended and began within a look has begun anew
            well_s = well_s + LOOKS_EACH_S if goes_on and world.takes_stops and world.last is not None else 0.0
            bare_s = bare_s + LOOKS_EACH_S if well_s > RECOVERS_S and world.bare > 0 else 0.0
            if bare_s > 0 and bare_s > world.spec.max_unprotected_seconds + ALLOWANCE_S:
                self.problems["bare positions"] += 1
                return

    def _check_size(self, world: Watched) -> None:
        """No member is ever larger than it may be by itself; an exit not larger than what the Entry has filled."""
        for member in world.spec.members:
            names = world.with_added(member.name) if member.name in world.exits else (member.name,)
            exposed = sum((order.filled_quantity if order.status.ended else order.quantity for order in world.orders_of(*names)), ZERO)
            opened = world.opened if member.name in world.exits and not world.last.status.native else world.largest[member.name]
            if exposed > min(world.largest[member.name], opened):
                self.problems["overexposed"] += 1
        if world.entry is not None and world.exchange.market.contract_size is None:  # else the exchange itself keeps what reduces from opening
            closing = world.with_added(world.entry)[1:]
            if world.filled_of(*world.exits) + world.working(*closing) > world.filled_of(world.entry):
                self.problems["overexposed"] += world.working(*closing) > 0

    def _check_wish(self, world: Watched, client_order_id: str) -> None:
        """What leaves is wanted, by its own object and by its group, whose status has that very object; and it leaves before a sibling filled."""
        if client_order_id not in world.ids:
            self.problems["duplicates"] += 1
            return
        name, attempt = world.ids[client_order_id]
        record, group = world.intent(name), world.group()
        if record is None or record.deleting or record.spec.suspend or record.spec.desired_state is DesiredState.CANCELED:
            self.problems["overexposed"] += 1
        elif group is None:
            self.problems["overexposed"] += attempt == 1       # the stop that a group left may still be changed
        else:
            unwanted = (group.unwanted or group.spec.desired_state is GroupDesiredState.CLOSED) and name not in world.exits
            told = next((member for member in group.status.members if member.name == name), None)
            beaten = group.spec.mode is GroupMode.ONE_CANCELS_OTHER and not group.reduces and any(
                world.state(other.name) in ("PartiallyFilled", "Filled") for other in group.spec.members if other.name != name)
            if unwanted or group.spec.suspend or beaten or told is None or told.uid != record.uid:
                self.problems["overexposed"] += 1

    # ── At the end ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def judge(self, world: Watched) -> None:
        if self._watcher is not None and self._watcher.done():
            self._watcher.result()      # a watcher that broke has seen nothing
        self.ending = next((one.reason for one in world.last.status.conditions if one.type == "Succeeded"), "") if world.group() is not None and world.group().finished else ""
        ledger = list(world.exchange.orders_by_id.values())
        self.problems["duplicates"] += sum(count - 1 for count in Counter(order.client_order_id for order in ledger).values())
        if not self.set_back:  # objects; where their group's status was lost, it is their orders that are never made again
            self.problems["duplicates"] += sum(count - 1 for count in Counter(member for member, _ in world.made).values())
        for member, uid in world.made:
            self._judge_member(world, uid, member)
        group = world.group()
        live = {world.member_of(order) for order in ledger if not order.status.ended}
        if group is None:
            self.problems["unconverged"] += len(live - self.scenario.left)
        elif group.finished:
            self.problems["false terminals"] += len(live)
        elif group.deleting or not live or group.status.observed_generation != group.generation or self._stays_open(world):
            self.problems["unconverged"] += 1
        if world.last is not None:
            self._judge_status(world)
            self._judge_sizes(world)

    def _stays_open(self, world: Watched) -> bool:
        """Whether a group is to be closed and has no closing order at the exchange, which alone is for the market to fill."""
        closing = world.with_added(world.entry)[1:] if world.entry is not None else ()
        return world.spec.desired_state is GroupDesiredState.CLOSED and world.working(*closing) == 0

    def _judge_member(self, world: Watched, uid: str, member: str) -> None:
        mine = world.orders_of(member)
        filled, live = sum((order.filled_quantity for order in mine), ZERO), [order for order in mine if not order.status.ended]
        told = next((one for one in world.last.status.members if one.name == member), None)
        if world.group() is not None and (told is None or (told.filled_quantity or ZERO) != filled):
            self.problems["lost fills"] += 1
        record = world.store.get(uid)
        if record is None:
            self.problems["unconverged"] += bool(live)
            return
        status = record.status
        if (status.filled_quantity or ZERO) != filled or any(entry.inferred for entry in status.fills):
            self.problems["lost fills"] += 1
        if record.finished:
            # An exchange's own list is sent once: what is asked of it later is not had.
            asked = min(record.spec.quantity, max(order.quantity for order in mine)) if world.last.status.native and mine else record.spec.quantity
            whole = filled > 0 and filled >= (asked if status.state is OrderState.FILLED else record.spec.quantity)
            self.problems["false terminals"] += bool(live) or (status.state is OrderState.FILLED) != whole
        elif not live and any((one.type, str(one.status), one.reason) == ("Stalled", "True", "ExitRefused") for one in status.conditions):
            pass  # an exit of an open position that the exchange refuses for ever is asked for as long, and says so
        elif member not in self.scenario.left and (record.deleting or len(live) != 1 or status.state not in (OrderState.OPEN, OrderState.PARTIALLY_FILLED)):
            self.problems["unconverged"] += 1

    def _judge_status(self, world: Watched) -> None:
        """What went wrong by the ledger is said."""
        said = {condition.type: (str(condition.status), condition.reason) for condition in world.last.status.conditions}
        if self._violated(world) != (said.get("Succeeded") == ("False", "BothLegsFilled")) and world.group() is not None:
            self.problems["oco violations unreported"] += 1
        stop = next((member.name for member in world.spec.members if member.role is MemberRole.STOP_LOSS), None)
        if stop is None or world.entry is None:
            return
        order = world.live_of(stop)
        waits = order is not None and world.exchange.waits_in_its_list(order.client_order_id)
        works = not waits and world.working(*world.with_added(stop)) == world.to_the_step(world.position)
        if world.to_the_step(world.position) <= 0 or works:
            return
        if world.group() is not None:
            self.problems["unprotected unreported"] += said.get("Protected", ("",))[0] != "False"
        elif world.spec.deletion_policy is GroupDeletionPolicy.CANCEL_ENTRIES:
            # Whoever deleted it was promised the stop: until it is cancelled by a person, or by the exchange for a fill of its sibling, or ended before.
            record, ended = world.intent(stop), next(member.finished for member in world.last.status.members if member.name == stop)
            ended = ended or (record is not None and record.finished)
            taken_away = record is None or record.spec.desired_state is DesiredState.CANCELED if world.orders_of(stop) else False
            own = next(member.quantity for member in world.spec.members if member.name == stop)
            as_asked = order is not None and world.filled_of(stop) + order.quantity - order.filled_quantity == own
            self.problems["unprotected unreported"] += not (ended or taken_away or as_asked or (world.last.status.native and world.filled_of(*world.exits) > 0))

    def _violated(self, world: Watched) -> bool:
        filled = {member.name: world.filled_of(member.name) for member in world.spec.members}
        if world.exits:
            return world.position < 0
        if world.spec.mode is not GroupMode.ONE_CANCELS_OTHER:
            return False
        if world.spec.on_partial_fill is PartialFillPolicy.REDUCE:
            return sum((filled[member.name] / member.quantity for member in world.spec.members), ZERO) > 1
        return sum(quantity > 0 for quantity in filled.values()) > 1

    def _judge_sizes(self, world: Watched) -> None:
        """At rest nothing can fill that would be too much, but for an exit that waits for the rest of the Entry."""
        if world.entry is not None and world.live_of(world.entry) is None and world.group() is not None:
            for kind in EXITS if not world.last.status.native else ():
                names = [name for member in world.spec.members if member.role is kind for name in world.with_added(member.name)]
                if world.working(*names) > max(world.position, ZERO):
                    self.problems["overexposed"] += 1
        if world.spec.mode is GroupMode.ONE_CANCELS_OTHER and world.group() is not None:
            shares = sum((world.filled_of(member.name) / member.quantity for member in world.spec.members), ZERO)
            for member in world.spec.members:
                order = world.live_of(member.name)
                others = any(world.filled_of(other.name) for other in world.spec.members if other.name != member.name)
                reduces = world.spec.on_partial_fill is PartialFillPolicy.REDUCE
                if order is not None and (shares + (order.quantity - order.filled_quantity) / member.quantity > 1 if reduces else others):
                    self.problems["overexposed"] += 1

