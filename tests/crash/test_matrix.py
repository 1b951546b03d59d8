"""`make crash`: the operator dies at every point where it waits for a store or an exchange, once and twice, and starts again with fresh memory.

Afterwards the exchange's ledger must show at most one order for each attempt, never more live and filled than was wanted, and status must tell it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from decimal import Decimal
from multiprocessing import get_context

import pytest
import structlog

from exchange_kernel.api import AttemptStage, DesiredState, OrderState
from exchange_kernel.core import fills
from exchange_kernel.core.facts import Facts
from exchange_kernel.exchanges.port import Closed
from exchange_kernel.reconcile.session import AccountSession
from tests.crash.crashing import CrashPoints
from tests.crash.scenarios import SCENARIOS, Scenario, fill
from tests.scripted import ScriptedExchange, World
from tests.virtual_time import run

END_S = 130.0          # long after the last step: whatever can settle has settled
CONVERGES_WITHIN_S = 60.0     # of the last crash
MINIMUM_POINTS = 150


@pytest.fixture(autouse=True)
def quiet():
    """Thousands of operators die here; what they have to say of it is no news."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.reset_defaults()


@dataclass
class Story:
    """One run of a scenario, with crashes."""

    scenario: Scenario
    crashes: tuple[int, ...] = ()
    filled_meanwhile: bool = False
    points: list[str] = field(default_factory=list)      # of the first life
    problems: Counter = field(default_factory=Counter)

    async def play(self) -> Story:
        lives = iter((*self.crashes, None))
        died = asyncio.Event()
        current: list[CrashPoints] = []

        def crash() -> None:
            world.kill()
            died.set()

        def through(room: object) -> object:
            return current[-1].around(room)

        world = World(through, resyncSeconds=30, **self.scenario.account)
        world.exchange.visibility_ms = 800
        world.exchange.accepted = lambda: self._check_exposure(world)
        world.exchange.written = lambda client_order_id: self._check_wish(world)
        self.scenario.prepare(world)
        began = asyncio.get_running_loop().time()
        steps = asyncio.create_task(self._steps(world, began))
        while True:
            current.append(CrashPoints(crash, next(lives)))
            died.clear()
            world.boot()
            left = max(END_S - (asyncio.get_running_loop().time() - began), CONVERGES_WITHIN_S)
            try:
                await asyncio.wait_for(died.wait(), left)
            except TimeoutError:
                break
            if self.filled_meanwhile:
                fill("0.2", tell=False)(world)
            await asyncio.sleep(2)
        await steps
        self.points = list(current[0].passed)
        self._judge(world)
        current[-1].spare()
        await world.desk.stop()
        return self

    async def _steps(self, world: World, began: float) -> None:
        for at, step in sorted(self.scenario.steps, key=lambda entry: entry[0]):
            await asyncio.sleep(max(0.0, began + at - asyncio.get_running_loop().time()))
            step(world)

    def _check_exposure(self, world: World) -> None:
        exposed = sum(order.filled_quantity if order.status.ended else order.quantity for order in world.exchange.orders_by_id.values())
        if exposed > Decimal(self.scenario.target):
            self.problems["overexposed"] += 1

    def _check_wish(self, world: World) -> None:
        """A submit that leaves after its user took the wish back is more than was wanted, whatever becomes of it."""
        record = world.store.get("a")
        if record is None or record.deleting or record.spec.suspend or record.spec.desired_state is DesiredState.CANCELED:
            self.problems["overexposed"] += 1

    def _judge(self, world: World) -> None:
        ledger = list(world.exchange.orders_by_id.values())
        self.problems["duplicates"] += sum(count - 1 for count in Counter(order.client_order_id for order in ledger).values())
        filled, live = sum((order.filled_quantity for order in ledger), Decimal(0)), [order for order in ledger if not order.status.ended]
        record = world.store.get("b") or world.store.get("a")
        if record is None:                               # deleted: nothing of it may live on
            self.problems["unconverged"] += len(live)
            return
        status = record.status
        if (status.filled_quantity or Decimal(0)) != filled or any(entry.inferred for entry in status.fills):
            self.problems["lost fills"] += 1
        if status.completion_time is not None:
            if live or (status.state is OrderState.FILLED) != (filled > 0 and filled >= record.spec.quantity):
                self.problems["false terminals"] += 1
        elif not live or status.state not in (OrderState.OPEN, OrderState.PARTIALLY_FILLED) or len(live) > 1:
            self.problems["unconverged"] += 1


def tell(points: int, scenarios: int, problems: Counter) -> None:
    names = ("duplicates", "overexposed", "lost fills", "false terminals", "unconverged")
    print(f"\ncrash points: {points}  scenarios: {scenarios}  " + "  ".join(f"{name}: {problems[name]}" for name in names))


@dataclass
class Tally:
    points: int = 0
    played: int = 0
    problems: Counter = field(default_factory=Counter)
    worst: list[object] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        self.points += other.points
        self.played += other.played
        self.problems.update(other.problems)
        self.worst += other.worst


def die_at_each_point(scenario: Scenario) -> Tally:
    """One scenario, whole and with a crash at each of its points."""
    first = run(Story(scenario).play())
    stories = [first]
    for number in range(1, len(first.points) + 1):
        stories += [run(Story(scenario, (number,), filled_meanwhile).play()) for filled_meanwhile in (False, True)]
    tally = Tally(len(first.points), len(stories))
    for story in stories:
        tally.problems.update(story.problems)
        if +story.problems:
            tally.worst.append((scenario.name, story.crashes, first.points[story.crashes[0] - 1] if story.crashes else "no crash", dict(+story.problems)))
    return tally


def _by_number(number: int) -> Tally:
    return die_at_each_point(SCENARIOS[number])


@pytest.mark.proves("rule 3", "rule 6", "rule 10", "H12", "H14", "F51")
def test_every_crash_point_of_every_path():
    tally = Tally()
    with ProcessPoolExecutor(mp_context=get_context("fork")) as workers:
        for one in workers.map(_by_number, range(len(SCENARIOS))):
            tally.add(one)
    tell(tally.points, tally.played, tally.problems)
    assert not tally.worst, tally.worst[:20]
    assert tally.points >= MINIMUM_POINTS


# ── The same, with the operator broken on purpose: each breakage must be seen ────────────────────────────────────────────────────────────────

def empty_status_read_as_unsent(patch):
    seen = AccountSession.seen

    def blind(self, record):
        sight = seen(self, record)
        return sight and replace(sight, new=True)

    patch.setattr(AccountSession, "seen", blind)


def resend_without_lookup(patch):
    settled, nothing = Facts.settled, Facts.nothing_at_exchange
    patch.setattr(Facts, "settled", lambda self, number: True if self.recorded_stage(number) is AttemptStage.PREPARED else settled(self, number))
    patch.setattr(Facts, "nothing_at_exchange", lambda self, number: nothing(self, number) or (number not in self.seen.orders and self.recorded_stage(number) is AttemptStage.PREPARED))


def remainder_from_the_first_cancel_answer(patch):
    patch.setattr(Facts, "final", lambda self, number: self.nothing_at_exchange(number) or self.end_of(number) is not None)


def fills_counted_from_trades_alone(patch):
    patch.setattr(Facts, "filled", lambda self, number: replace(found := fills.filled((), self.seen.trades.get(number, ())), explained=found.quantity))


def gate_before_the_throttle(patch):
    async def cleared(self, clearance):
        stamp = clearance.stamp()
        closed = stamp if isinstance(stamp, Closed) else clearance.check(stamp)
        await asyncio.sleep(self.budget_s)
        return closed if closed is not None else self.now_ms()      # and signed with the time it is by then

    patch.setattr(ScriptedExchange, "cleared", cleared)


BREAKAGES = (
    (empty_status_read_as_unsent, "market order"),
    (resend_without_lookup, "market order, written ahead"),
    (remainder_from_the_first_cancel_answer, "replace, and a fill that the cancel's answer does not know"),
    (fills_counted_from_trades_alone, "replace, and trades that come long after the totals"),
    (gate_before_the_throttle, "deleted while the rate budget holds the send"),
    (gate_before_the_throttle, "suspended while the rate budget holds the send"),
)


@pytest.mark.parametrize(("breakage", "name"), BREAKAGES, ids=lambda value: getattr(value, "__name__", ""))
def test_a_broken_operator_fails_the_matrix(breakage, name, monkeypatch):
    breakage(monkeypatch)
    assert die_at_each_point(next(scenario for scenario in SCENARIOS if scenario.name == name)).worst


@pytest.mark.parametrize("name", ["sent first, fills", "written ahead, fills", "replace"])
def test_pairs_of_crashes_on_the_paths_that_send(name):
    scenario = next(scenario for scenario in SCENARIOS if scenario.name == name)
    length = len(run(Story(scenario).play()).points)
    problems, played = Counter(), 0
    for first in range(1, length + 1, 2):
        for second in range(1, 24, 3):
            story = run(Story(scenario, (first, second)).play())
            played += 1
            problems.update(story.problems)
    tell(length, played, problems)
    assert not +problems
