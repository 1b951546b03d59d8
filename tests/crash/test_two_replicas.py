"""Two operator processes over one store, one exchange and one Lease: the holder is killed, or stopped and continued, at each point where it waits.

Stopped, it goes on long after the other took over, with all that it had decided before. The ledger must never show a second order of one attempt.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections import Counter
from decimal import Decimal

import pytest

from exchange_kernel.api import OrderState
from exchange_kernel.core.answers import Unreachable
from tests.builders import a_spec
from tests.crash.crashing import CrashPoints
from tests.crash.group_scenarios import GROUP_SCENARIOS, GroupProcesses, GroupScenario
from tests.crash.group_stories import GroupStory
from tests.crash.scenarios import SCENARIOS, Scenario
from tests.crash.stories import tell
from tests.crash.test_matrix import quiet  # noqa: F401
from tests.crash.workers import on_all_cores
from tests.processes import Processes, ProcessLoop
from tests.scripted import ScriptedExchange
from tests.virtual_time import run

STOPPED_S = 45.0      # far longer than the Lease, the proof of absence and a new send take
END_S = 150.0
GROUPS = ("a leg fills", "bracket closed by its take-profit", "list: a leg fills")
NAMES = ("sent first, fills", "written ahead, fills", "market order", "replace", "an answer that is none")


async def play(scenario: Scenario, at: int | None, kill: bool, at_the_wire: bool = False, refuses_old: bool = True) -> tuple[list[str], Counter]:
    grouped = isinstance(scenario, GroupScenario)
    told_by = GroupStory(scenario)
    world = told_by.watch(GroupProcesses(resyncSeconds=30)) if grouped else Processes(resyncSeconds=30, **scenario.account)
    exchange, problems = world.exchange, Counter()
    exchange.refuses_old, exchange.visibility_ms, exchange.flight_s = refuses_old, 800, 0.5
    scenario.prepare(world)
    began = asyncio.get_running_loop().time()

    def strike() -> None:
        if kill:
            world.kill("a")
        else:
            first.process.stop()
            asyncio.get_running_loop().call_later(STOPPED_S, first.process.go_on, context=contextvars.Context())

    points = CrashPoints(strike, at, survives=not kill)
    first = world.boot("a", points.around)
    await asyncio.sleep(1)
    world.boot("b")

    if at_the_wire:
        async def stop_between_gate_and_bytes() -> None:
            exchange.at_the_wire = None
            first.process.stop()
            asyncio.get_running_loop().call_later(STOPPED_S, first.process.go_on, context=contextvars.Context())
            await asyncio.sleep(0)

        exchange.at_the_wire = stop_between_gate_and_bytes

    for when, step in sorted(scenario.steps, key=lambda entry: entry[0]):
        await asyncio.sleep(max(0.0, began + when - asyncio.get_running_loop().time()))
        step(world)
    await asyncio.sleep(began + END_S - asyncio.get_running_loop().time())
    passed = list(points.passed)
    if grouped:
        told_by.judge(world)
        problems.update(told_by.problems)
    else:
        judge(world, scenario, problems)
    points.spare()
    await world.close()
    return passed, problems


def judge(world: Processes, scenario: Scenario, problems: Counter) -> None:
    ledger = list(world.exchange.orders_by_id.values())
    problems["duplicates"] += sum(count - 1 for count in Counter(order.client_order_id for order in ledger).values())
    filled = sum((order.filled_quantity for order in ledger), Decimal(0))
    exposed = sum((order.filled_quantity if order.status.ended else order.quantity for order in ledger), Decimal(0))
    problems["overexposed"] += exposed > Decimal(scenario.target)
    status, live = world.status("a"), [order for order in ledger if not order.status.ended]
    problems["lost fills"] += (status.filled_quantity or Decimal(0)) != filled or any(entry.inferred for entry in status.fills)
    problems["false terminals"] += status.completion_time is not None and bool(live)
    problems["unconverged"] += status.completion_time is None and len(live) != 1


def _named(name: str) -> Scenario:
    return next(scenario for scenario in (*SCENARIOS, *GROUP_SCENARIOS) if scenario.name == name)


def _struck(given: tuple[str, int, bool]) -> Counter:
    name, number, kill = given
    return run(play(_named(name), number, kill), ProcessLoop)[1]


@pytest.mark.proves("rule 4", "rule 7", "H3", "H5", "F8")
@pytest.mark.parametrize("name", [*NAMES, *GROUPS])
def test_the_holder_is_killed_or_stopped_at_each_point(name):
    scenario = _named(name)
    passed, problems = run(play(scenario, None, kill=True), ProcessLoop)
    worst = []
    numbers = [number for number, point in enumerate(passed, 1) if "LeaseServer" not in point]
    strikes = [(name, number, kill) for number in numbers[::4 if name in GROUPS else 2] for kill in (True, False)]
    for (_, number, kill), seen in zip(strikes, on_all_cores(_struck, strikes), strict=True):
        problems.update(seen)
        if +seen:
            worst.append((number, passed[number - 1], "killed" if kill else "stopped", dict(+seen)))
    _, seen = run(play(scenario, None, kill=False, at_the_wire=True), ProcessLoop)
    if +seen:
        worst.append(("stopped between the gate and the first byte", dict(+seen)))
    tell(len(numbers), 1 + len(strikes), problems)
    assert not worst, worst[:20]


def test_h3_where_the_venue_takes_old_requests_the_thawed_one_makes_a_second_order():
    """What the stamp is for: without assumption A1 nothing else stops a process that was frozen between its gate and its first byte."""
    _, seen = run(play(SCENARIOS[0], None, kill=False, at_the_wire=True, refuses_old=False), ProcessLoop)
    assert seen["duplicates"] or seen["overexposed"]


class _CutOff:
    """The exchange as a process sees it that has no way to it."""

    def __init__(self, exchange: ScriptedExchange) -> None:
        self._exchange = exchange

    def __getattr__(self, name: str):
        return getattr(self._exchange, name)

    async def clock(self):
        return Unreachable("no route")


def test_a_process_that_can_t_connect_does_not_contradict_the_holder():
    async def story():
        world, writes = Processes(), []
        world.boot("a")
        await asyncio.sleep(15)
        world.store.create("x", a_spec())
        await asyncio.sleep(5)
        assert world.status("x").state is OrderState.OPEN
        world.on_change = writes.append
        world.boot("b", lambda room: _CutOff(room) if isinstance(room, ScriptedExchange) else room)
        await asyncio.sleep(60)
        assert writes == []
        assert {condition.type: condition.status for condition in world.accounts.record.status.conditions}["Ready"] == "True"
        world.kill("a")
        await asyncio.sleep(60)
        assert len(writes) <= 2, "with nobody to contradict, it says once that the account can't be used"
        assert {condition.type: condition.status for condition in world.accounts.record.status.conditions}["Ready"] == "False"
        await world.close()

    run(story(), ProcessLoop)
