"""One run of a scenario with crashes, and what is counted of many: what intents and groups (`test_matrix.py`, `group_stories.py`) are run by."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal

from exchange_kernel.api import DesiredState, OrderState
from exchange_kernel.telemetry import metrics
from tests.crash.crashing import CrashPoints
from tests.crash.scenarios import Scenario, fill
from tests.scripted import World
from tests.virtual_time import run

VERDICTS = ("duplicates", "overexposed", "lost fills", "false terminals", "unconverged", "oco violations unreported", "unprotected unreported", "bare positions")

USER = "user"      # the task that does what is not the operator's


class Story:
    """A timetable is played while the operator dies at each of `crashes`, counted in every life anew."""

    converges_within_s = 60.0     # of the last step and of the last crash
    down_s = 2.0                  # how long nobody runs after a crash
    from_the_first_step = False   # whether crashes before the first step, which are all the same, are left out
    crashes_each = 1              # at every so many points, the odd or the even ones by the scenario
    fills_meanwhile_each = 1      # at every so many points it is also played with fills while nobody runs

    def __init__(self, scenario: Scenario, crashes: tuple[int, ...] = (), filled_meanwhile: bool = False) -> None:
        self.scenario, self.crashes, self.filled_meanwhile = scenario, crashes, filled_meanwhile
        self.points: list[str] = []        # of the first life
        self.before = 0                    # how many of them came before the first step
        self.fillable = False              # whether something was live at a crash
        self.problems: Counter[str] = Counter()

    def build(self, through: Callable[[object], object]) -> World:
        raise NotImplementedError

    def meanwhile(self, world: World) -> None:
        """The market goes on while nobody runs: what is live fills a little."""

    def judge(self, world: World) -> None:
        raise NotImplementedError

    async def play(self) -> Story:
        restless = metrics.RESTLESS_RECONCILES._value.get()
        lives = iter((*self.crashes, None))
        died = asyncio.Event()
        current: list[CrashPoints] = []

        def crash() -> None:
            world.kill()
            died.set()

        def through(room: object) -> object:
            return current[-1].around(room)

        world = self.build(through)
        world.exchange.visibility_ms = 800
        self.scenario.prepare(world)
        began = asyncio.get_running_loop().time()
        steps = asyncio.create_task(self._steps(world, began, current), name=USER)
        while True:
            current.append(CrashPoints(crash, next(lives)))
            died.clear()
            world.boot()
            ends_s = max(at for at, _ in self.scenario.steps) + self.converges_within_s
            left = max(ends_s - (asyncio.get_running_loop().time() - began), self.converges_within_s)
            with suppress(TimeoutError):
                await asyncio.wait_for(died.wait(), left)
            if not died.is_set():
                break
            self.fillable |= any(not order.status.ended for order in world.exchange.orders_by_id.values())
            if self.filled_meanwhile:
                self.meanwhile(world)
            await asyncio.sleep(self.down_s)
        await steps
        self.points = list(current[0].passed)
        self.judge(world)
        self.problems["unconverged"] += int(metrics.RESTLESS_RECONCILES._value.get() - restless)
        current[-1].spare()
        await world.desk.stop()
        return self

    async def _steps(self, world: World, began: float, lives: list[CrashPoints]) -> None:
        for at, step in sorted(self.scenario.steps, key=lambda entry: entry[0]):
            await asyncio.sleep(max(0.0, began + at - asyncio.get_running_loop().time()))
            self.before = self.before or len(lives[0].passed)
            step(world)


class OrderStory(Story):
    """Of one plain intent."""

    world: Callable[..., World] = World

    def build(self, through: Callable[[object], object]) -> World:
        world = self.world(through, resyncSeconds=30, **self.scenario.account)
        world.exchange.accepted = lambda: self._check_exposure(world)
        world.exchange.written = lambda client_order_id: self._check_wish(world)
        return world

    def meanwhile(self, world: World) -> None:
        fill("0.2", tell=False)(world)

    def _check_exposure(self, world: World) -> None:
        exposed = sum(order.filled_quantity if order.status.ended else order.quantity for order in world.exchange.orders_by_id.values())
        if exposed > Decimal(self.scenario.target):
            self.problems["overexposed"] += 1

    def _check_wish(self, world: World) -> None:
        """A submit that leaves after its user took the wish back is more than was wanted, whatever becomes of it."""
        record = world.store.get("a")
        if record is None or record.deleting or record.spec.suspend or record.spec.desired_state is DesiredState.CANCELED:
            self.problems["overexposed"] += 1

    def judge(self, world: World) -> None:
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


def tell(points: int, scenarios: int, problems: Counter, what: str = "crash points") -> None:
    print(f"\n{what}: {points}  scenarios: {scenarios}  " + "  ".join(f"{name}: {problems[name]}" for name in VERDICTS))


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


def die_at_each_point(scenario: Scenario, told_by: type[Story] = OrderStory, *, until_found: bool = False) -> Tally:
    """One scenario, whole and with a crash at each of its points; or only until a problem is found."""
    first = run(told_by(scenario).play())
    begin = first.before + len(scenario.name) % told_by.crashes_each if told_by.from_the_first_step else 1
    numbers = range(begin, len(first.points) + 1, told_by.crashes_each)
    tally = Tally(len(numbers))
    for story in _stories(scenario, told_by, first, numbers):
        tally.played += 1
        tally.problems.update(story.problems)
        if +story.problems:
            tally.worst.append((scenario.name, story.crashes, first.points[story.crashes[0] - 1] if story.crashes else "no crash", dict(+story.problems)))
            if until_found:
                break
    return tally


def _stories(scenario: Scenario, told_by: type[Story], first: Story, numbers: Iterable[int]) -> Iterator[Story]:
    yield first
    for position, number in enumerate(numbers):
        story = run(told_by(scenario, (number,)).play())
        yield story
        # Where nothing was live, nothing could fill meanwhile: it would be the same story.
        if story.fillable and position % told_by.fills_meanwhile_each == 0:
            yield run(told_by(scenario, (number,), True).play())
