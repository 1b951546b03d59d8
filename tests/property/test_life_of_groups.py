"""Groups under everything that users, venues and processes do, chosen by a seed: the exchange's ledger judges them, as in the crash matrix.

`EXCHANGE_KERNEL_EXAMPLES=2000 EXCHANGE_KERNEL_SEED=7 make property` looks longer and elsewhere.
"""

from __future__ import annotations

import asyncio
import logging
import os
from dataclasses import replace
from decimal import Decimal
from random import Random

import pytest
import structlog

from exchange_kernel.api import DesiredState, GroupDeletionPolicy, GroupDesiredState, OrderGroupSpec, OrderGroupStatus
from exchange_kernel.core.answers import OrderStatus
from tests.crash.group_scenarios import (
    AN_ENTRY_AND_ITS_EXITS,
    EXITS_OF_TEN,
    GroupProcesses,
    GroupScenario,
    cancel_group,
    close_group,
    delete_group,
    delete_member,
    edit_member,
    edit_quantities,
    holds_ten,
)
from tests.crash.group_stories import GroupStory
from tests.processes import ProcessLoop
from tests.property.moody import CANCEL_MOODS, EVENT_MOODS, READ_MOODS, MoodyExchange
from tests.unit.groups.desk import a_bracket, a_group, a_member, an_oco
from tests.virtual_time import run

LIVES, STEPS = int(os.environ.get("EXCHANGE_KERNEL_EXAMPLES", "60")), 24
SEED = int(os.environ.get("EXCHANGE_KERNEL_SEED", "0"))
SETTLES_WITHIN_S = 150.0
#: Moods of a submit after which the exchange's own order is as it was asked for; a refusal is no fault of the operator's.
SUBMIT_MOODS = ("lost", "garbage", "silence", "late", "late after silence", "refused", "not sent", "time refused")

SPECS = (
    an_oco(), an_oco(onPartialFill="Reduce"), an_oco(failurePolicy="Continue"), a_bracket(), a_bracket(), a_bracket(deletionPolicy="CancelAll"), a_bracket(onPartialFill="Cancel"),
    AN_ENTRY_AND_ITS_EXITS, a_group("OneTriggersOther", a_member("entry", "Entry"), a_member("then")), a_group("Basket", a_member("take"), a_member("then")),
    EXITS_OF_TEN, EXITS_OF_TEN,
)
LISTS = (an_oco(), a_bracket(nativePolicy="Require", onPartialFill="Cancel"))


class Life:
    """One group, from its manifest to its rest."""

    def __init__(self, seed: int) -> None:
        self.random = Random(f"group {seed}")
        self.native = self.random.random() < 0.25
        self.spec: OrderGroupSpec = self.random.choice(LISTS if self.native else SPECS)
        follows = self.spec.mode in ("Bracket", "Exits") or self.spec is AN_ENTRY_AND_ITS_EXITS
        kept = {member.name for member in self.spec.members if member.role == "StopLoss" or self.native} if follows else set()
        left = kept if self.spec.deletion_policy is GroupDeletionPolicy.CANCEL_ENTRIES else set()
        self.statuses: list[OrderGroupStatus] = []
        self.story = GroupStory(GroupScenario("life", (), left=frozenset(left)))

    async def play(self) -> dict[str, int]:
        self.exchange = MoodyExchange()
        world = self.world = self.story.watch(GroupProcesses(self.exchange, resyncSeconds=20))
        self.exchange.written = lambda client_order_id: self._check_recorded(client_order_id)
        if self.native:
            world.on_spot()
            self.exchange.keeps_lists = True
        self.exchange.connects = True
        if self.spec is EXITS_OF_TEN:
            holds_ten(world)
        self.exchange.depth = Decimal(self.random.choice(["0", "2", "100"]))     # what a Market order finds
        world.boot("a")
        await asyncio.sleep(10)
        world.place(self.spec)
        deeds = (self.fill, self.fill, self.fill, self.fill, self.moods, self.moods, self.processes, self.processes, self.users, self.ended, self.silence, self.status)
        for _ in range(STEPS):
            self.random.choice(deeds)()
            await asyncio.sleep(self.random.choice([0, 0.005, 0.3, 1.2, 5, 12]))
        self.exchange.calm()
        for name in "ab":
            if name in world.replicas:
                world.replicas[name].process.go_on()
        if not world.replicas:
            world.boot("a")
        self.exchange.depth = Decimal(100)
        await asyncio.sleep(SETTLES_WITHIN_S)
        assert self.exchange.duplicates == 0, "one order was accepted twice"
        self.story.judge(world)
        await world.close()
        return dict(+self.story.problems)

    def _check_recorded(self, client_order_id: str) -> None:
        name, _ = self.world.ids[client_order_id]
        record, told = self.world.intent(name), next((one for one in self.world.last.status.members if one.name == name), None)
        if record is None or told is None or told.uid != record.uid:
            self.story.problems["overexposed"] += 1

    # ── Deeds ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def fill(self) -> None:
        live = [name for name in self.world.added if self.world.live_of(name) is not None]
        for name in self.random.sample([*(member.name for member in self.spec.members), *live], self.random.choice([1, 1, 1, 2])):
            self.world.take(name, self.random.choice(["1", "3", "10"]), tell=self.random.random() < 0.7)

    def moods(self) -> None:
        which = self.random.choice([(self.exchange.submit_moods, SUBMIT_MOODS), (self.exchange.cancel_moods, [mood for mood in CANCEL_MOODS if not mood.startswith("fills")]),
                                    (self.exchange.read_moods, READ_MOODS), (self.exchange.event_moods, EVENT_MOODS)])
        which[0].append(self.random.choice(which[1]))

    def processes(self) -> None:
        name, replicas = self.random.choice("ab"), self.world.replicas
        if name not in replicas:
            self.world.boot(name)
        else:
            self.random.choice([lambda: self.world.kill(name), replicas[name].process.stop, replicas[name].process.go_on])()

    def users(self) -> None:
        if self.random.random() < 0.4 and self.world.exits:
            sizes = {member.name: self.random.choice(["4", "6", "10", "15"]) for member in self.random.sample(self.spec.members, 2)}
            edit_quantities(**sizes)(self.world)
        if self.random.random() < 0.6:
            return
        member = self.random.choice(self.spec.members)
        if self.world.entry is not None and self.random.random() < 0.3:
            close_group(self.world)
            return
        group = self.world.group()
        closed = group is not None and group.spec.desired_state is GroupDesiredState.CLOSED
        there = [member.name, *(name for name in self.world.added if self.world.intent(name) is not None)]
        self.random.choice([delete_group if closed else cancel_group, delete_group, delete_member(self.random.choice(there)),
                            edit_member(member.name, desired_state=DesiredState.CANCELED), edit_member(member.name, quantity=Decimal(9))])(self.world)

    def ended(self) -> None:
        if self.random.random() < 0.3 and (order := self.world.live_of(self.random.choice(self.spec.members).name)) is not None:
            self.exchange.end(order.client_order_id, self.random.choice([OrderStatus.CANCELED, OrderStatus.EXPIRED]), tell=self.random.random() < 0.7)

    def status(self) -> None:
        """Somebody wipes the group's status or sets it back to an earlier one."""
        group = self.world.group()
        if group is None or self.random.random() < 0.6:
            return
        earlier = self.random.choice([OrderGroupStatus(), *self.statuses])
        self.statuses.append(group.status)
        self.story.set_back = True
        self.world.groups._put(replace(group, status=earlier, resource_version=self.world.groups._next()))

    def silence(self) -> None:
        self.exchange.reachable = not self.exchange.reachable


@pytest.fixture(autouse=True)
def quiet():
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.reset_defaults()


@pytest.mark.proves("H19", "F40", "F41", "F43", "rule 2", "rule 3", "rule 8", "rule 9", "rule 11")
@pytest.mark.timeout(0 if LIVES > 100 else 300)
def test_the_life_of_groups():
    guilty = {seed: problems for seed in range(SEED * LIVES, (SEED + 1) * LIVES) if (problems := run(Life(seed).play(), ProcessLoop))}
    assert not guilty, guilty
