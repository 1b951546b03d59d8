"""The rate budget in virtual time: who goes first, what waits, and what costs nothing."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange_kernel.exchanges.ccxt.budget import Budget, Granted, Limit, Priority, StayAway, Turn


@dataclass
class Handle:
    cancelled: bool = False

    def cancel(self) -> None:
        self.cancelled = True


@dataclass
class VirtualTime:
    now: float = 1000.0
    alarms: list[tuple[float, int, Callable[[], object], Handle]] = field(default_factory=list)
    numbers: Any = field(default_factory=itertools.count)

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, callback: Callable[[], object]) -> Any:
        handle = Handle()
        heapq.heappush(self.alarms, (when, next(self.numbers), callback, handle))
        return handle

    async def advance(self, seconds: float) -> None:
        until = self.now + seconds
        while self.alarms and self.alarms[0][0] <= until:
            self.now, _, callback, handle = heapq.heappop(self.alarms)
            if not handle.cancelled:
                callback()
            await settle()
        self.now = until
        await settle()


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


#: A bucket of 100 tokens, refilled with 5 a second.
LIMIT = Limit(400, 60)


def a_budget(time: VirtualTime, **options: Any) -> Budget:
    return Budget(LIMIT, timer=time, **{"cancel_reserve_percent": 10, **options})


@dataclass
class Queue:
    """Starts turns, and keeps in which order they were granted."""

    budget: Budget
    granted: list[str] = field(default_factory=list)
    turns: dict[str, asyncio.Task[Turn]] = field(default_factory=dict)

    async def ask(self, name: str, weight: float, priority: Priority) -> None:
        async def turn() -> Turn:
            answer = await self.budget.turn(weight, priority)
            if isinstance(answer, Granted):
                self.granted.append(name)
            return answer

        self.turns[name] = asyncio.create_task(turn())
        await settle()


async def test_while_there_are_tokens_nobody_waits() -> None:
    queue = Queue(a_budget(VirtualTime()))
    for number in range(90):
        await queue.ask(str(number), 1, Priority.SUBMIT)
    assert len(queue.granted) == 90


@pytest.mark.proves("F46")
async def test_the_reserve_is_for_cancels() -> None:
    queue = Queue(a_budget(VirtualTime()))
    await queue.ask("everything but the reserve", 90, Priority.LISTING)
    await queue.ask("a submit", 1, Priority.SUBMIT)
    for number in range(10):
        await queue.ask(f"cancel {number}", 1, Priority.CANCEL)
    await queue.ask("one cancel too many", 1, Priority.CANCEL)
    assert queue.granted == ["everything but the reserve", *(f"cancel {number}" for number in range(10))]


async def test_who_waits_goes_by_priority_and_then_by_arrival() -> None:
    time = VirtualTime()
    queue = Queue(a_budget(time))
    await queue.ask("emptied", 100, Priority.CANCEL)
    for name, priority in [("listing", Priority.LISTING), ("lookup", Priority.LOOKUP), ("submit 1", Priority.SUBMIT), ("submit 2", Priority.SUBMIT),
                           ("cancel", Priority.CANCEL)]:
        await queue.ask(name, 1, priority)
    await time.advance(10)
    assert queue.granted == ["emptied", "cancel", "submit 1", "submit 2", "lookup", "listing"]


async def test_a_heavy_request_is_not_starved_by_light_ones_of_its_kind() -> None:
    time = VirtualTime()
    queue = Queue(a_budget(time))
    await queue.ask("emptied", 90, Priority.LISTING)
    await queue.ask("heavy", 80, Priority.LISTING)
    for number in range(5):
        await queue.ask(f"light {number}", 1, Priority.LISTING)
    await time.advance(17)
    assert queue.granted == ["emptied", "heavy", "light 0", "light 1", "light 2", "light 3", "light 4"]


async def test_a_weight_beyond_the_bucket_waits_for_a_full_one_and_gets_it() -> None:
    time = VirtualTime()
    queue = Queue(a_budget(time))
    await queue.ask("light", 1, Priority.LISTING)
    await queue.ask("huge", 5000, Priority.LISTING)
    assert queue.granted == ["light"]
    await time.advance(0.3)
    assert queue.granted == ["light", "huge"]


async def test_a_waiter_that_leaves_consumes_nothing() -> None:
    time = VirtualTime()
    queue = Queue(a_budget(time))
    await queue.ask("emptied", 90, Priority.SUBMIT)
    for number in range(4):
        await queue.ask(f"gone {number}", 20, Priority.SUBMIT)
    await queue.ask("stays", 5, Priority.SUBMIT)
    for number in range(4):
        queue.turns[f"gone {number}"].cancel()
    await settle()
    await time.advance(1.01)
    assert queue.granted == ["emptied", "stays"]


async def test_a_waiter_that_leaves_as_it_is_granted_gives_its_tokens_back() -> None:
    time = VirtualTime()
    budget = a_budget(time)
    queue = Queue(budget)
    await queue.ask("emptied", 90, Priority.SUBMIT)
    await queue.ask("granted and gone", 5, Priority.SUBMIT)
    time.now += 1
    budget.give_back(0)                        # serves, and grants
    queue.turns["granted and gone"].cancel()
    await settle()
    await queue.ask("next", 5, Priority.SUBMIT)
    assert queue.granted == ["emptied", "next"]


async def test_what_was_not_written_is_given_back() -> None:
    budget = a_budget(VirtualTime())
    queue = Queue(budget)
    await queue.ask("one", 90, Priority.SUBMIT)
    budget.give_back(90)
    await queue.ask("two", 90, Priority.SUBMIT)
    assert queue.granted == ["one", "two"]


async def test_a_short_stay_away_is_waited_out_by_all_cancels_too() -> None:
    time = VirtualTime()
    queue = Queue(a_budget(time))
    queue.budget.stay_away(3)
    await queue.ask("submit", 1, Priority.SUBMIT)
    await queue.ask("cancel", 1, Priority.CANCEL)
    await time.advance(2.9)
    assert queue.granted == []
    await time.advance(0.2)
    assert queue.granted == ["cancel", "submit"]


@pytest.mark.proves("F46")
async def test_a_long_stay_away_sends_everybody_home_with_its_length() -> None:
    time = VirtualTime()
    queue = Queue(a_budget(time))
    await queue.ask("emptied", 100, Priority.CANCEL)
    await queue.ask("waiting", 50, Priority.SUBMIT)
    queue.budget.stay_away(120)
    await settle()
    assert await queue.turns["waiting"] == StayAway(120)
    await time.advance(20)
    await queue.ask("too early", 1, Priority.SUBMIT)
    assert await queue.turns["too early"] == StayAway(100)
    await time.advance(100)
    await queue.ask("after", 1, Priority.SUBMIT)
    assert queue.granted == ["emptied", "after"]


async def test_a_shorter_stay_away_does_not_shorten_a_longer_one() -> None:
    time = VirtualTime()
    budget = a_budget(time)
    budget.stay_away(120)
    budget.stay_away(1)
    await time.advance(60)
    assert await budget.turn(1, Priority.SUBMIT) == StayAway(60)


async def test_cancels_go_slowly_while_the_account_stays_away() -> None:
    time = VirtualTime()
    budget = a_budget(time)
    budget.stay_away(3 * 24 * 3600)
    assert isinstance(await budget.turn(1, Priority.LOOKUP), StayAway)
    for _ in range(3):
        assert await budget.turn(1, Priority.CANCEL) == Granted(1)
        assert await budget.turn(1, Priority.CANCEL) == StayAway(10)
        budget.stay_away(3 * 24 * 3600)        # the venue refused it too
        await time.advance(10)


async def test_a_closed_budget_lets_no_cancel_through() -> None:
    budget = a_budget(VirtualTime())
    budget.close()
    assert isinstance(await budget.turn(1, Priority.CANCEL), StayAway)


async def test_the_venues_own_count_is_believed_when_it_is_higher_than_ours() -> None:
    time = VirtualTime()
    queue = Queue(a_budget(time))
    queue.budget.heard(5)
    await queue.ask("nothing to fear", 80, Priority.SUBMIT)
    queue.budget.heard(400)                    # others behind our address used it up
    await queue.ask("waits", 1, Priority.CANCEL)
    assert queue.granted == ["nothing to fear"]
    await time.advance(0.21)
    assert queue.granted == ["nothing to fear", "waits"]


async def test_the_accounts_own_rate_counts_requests_and_not_weights() -> None:
    time = VirtualTime()
    queue = Queue(a_budget(time, requests_per_second=2, cancel_reserve_percent=0))
    for number in range(4):
        await queue.ask(str(number), 20, Priority.SUBMIT)
    assert queue.granted == ["0", "1"], "a second's worth at once"
    await time.advance(0.51)
    assert queue.granted == ["0", "1", "2"]
    await time.advance(0.5)
    assert queue.granted == ["0", "1", "2", "3"]


async def test_less_than_one_request_a_second_is_a_rate_too() -> None:
    time = VirtualTime()
    queue = Queue(a_budget(time, requests_per_second=0.5))
    await queue.ask("one", 1, Priority.SUBMIT)
    await queue.ask("two", 1, Priority.SUBMIT)
    await time.advance(1.9)
    assert queue.granted == ["one"]
    await time.advance(0.2)
    assert queue.granted == ["one", "two"]


async def test_another_limit_takes_effect_at_once() -> None:
    queue = Queue(a_budget(VirtualTime()))
    await queue.ask("emptied", 90, Priority.SUBMIT)
    await queue.ask("waits", 50, Priority.SUBMIT)
    queue.budget.resize(Limit(40_000, 60))
    await settle()
    assert queue.granted == ["emptied", "waits"]


@given(st.lists(st.tuples(st.floats(0, 5), st.integers(1, 60), st.sampled_from(Priority)), max_size=60), st.integers(0, 50))
def test_no_window_ever_holds_more_than_the_limit(asked: list[tuple[float, int, Priority]], reserve: int) -> None:
    granted: list[tuple[float, int]] = []

    async def run() -> None:
        time = VirtualTime()
        budget = a_budget(time, cancel_reserve_percent=reserve)

        async def turn(weight: int, priority: Priority) -> None:
            await budget.turn(weight, priority)
            granted.append((time.now, weight))

        turns = []
        for pause, weight, priority in asked:
            await time.advance(pause)
            turns.append(asyncio.create_task(turn(weight, priority)))
            await settle()
        await time.advance(10_000)
        assert all(task.done() for task in turns), "and everybody gets a turn"

    asyncio.run(run())
    for start, _ in granted:
        assert sum(weight for when, weight in granted if start <= when <= start + LIMIT.window_s) <= LIMIT.weight + 1e-6


@pytest.mark.parametrize("priority", list(Priority))
async def test_a_granted_turn_says_what_it_cost(priority: Priority) -> None:
    assert await a_budget(VirtualTime()).turn(7, priority) == Granted(7)
