"""`make crash`: the operator dies at every point where it waits for a store or an exchange, once and twice, and starts again with fresh memory.

Afterwards the exchange's ledger must show at most one order for each attempt, never more live and filled than was wanted, and status must tell it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from dataclasses import replace

import pytest
import structlog

from exchange_kernel.api import AttemptStage
from exchange_kernel.core import extras_due, fills, group_status, groups
from exchange_kernel.core.facts import Facts
from exchange_kernel.core.groups import Member, Want
from exchange_kernel.exchanges.port import Closed
from exchange_kernel.reconcile.session import AccountSession
from tests.crash.group_scenarios import GROUP_SCENARIOS
from tests.crash.group_stories import GroupStory
from tests.crash.scenarios import SCENARIOS
from tests.crash.stories import OrderStory, Tally, die_at_each_point, tell
from tests.crash.workers import on_all_cores
from tests.scripted import ScriptedExchange
from tests.virtual_time import run

MINIMUM_POINTS = 150

ALL = (*((scenario, OrderStory) for scenario in SCENARIOS), *((scenario, GroupStory) for scenario in GROUP_SCENARIOS))


@pytest.fixture(autouse=True)
def quiet():
    """Thousands of operators die here; what they have to say of it is no news."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.reset_defaults()


def _by_number(number: int) -> Tally:
    return die_at_each_point(*ALL[number])


@pytest.mark.proves("rule 3", "rule 6", "rule 8", "rule 9", "rule 10", "rule 11", "H12", "H14", "H19", "F40", "F41", "F42", "F43", "F44", "F51")
def test_every_crash_point_of_every_path():
    tally = Tally()
    for number, one in enumerate(on_all_cores(_by_number, range(len(ALL))), 1):
        tally.add(one)
        if number % 10 == 0 or number == len(ALL):
            print(f"\n{number} of {len(ALL)} paths, {tally.played} lives", end="", flush=True)
    tell(tally.points, tally.played, tally.problems)
    assert not tally.worst, tally.worst[:20]
    assert tally.points >= MINIMUM_POINTS


@pytest.mark.parametrize("scenario", GROUP_SCENARIOS, ids=lambda scenario: scenario.name)
def test_each_story_of_a_group_ends_as_it_is_told(scenario):
    assert run(GroupStory(scenario).play()).ending == scenario.ends


# ── The same, with the operator broken on purpose: each breakage must be seen ────────────────────────────────────────────────────────────────

def empty_status_read_as_unsent(patch):
    seen = AccountSession.seen

    def blind(self, record, group=None):
        sight = seen(self, record, group)
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


def members_made_again(patch):
    patch.setattr(Member, "made", property(lambda self: self.order is not None))
    patch.setattr(groups, "to_be_made", lambda group, member, want: want.exists and not want.unwanted and not member.made and not group.finished)


def nothing_is_reduced(patch):
    patch.setattr(groups, "_beside", lambda group, member, others, size, markets: Want(quantity=size))


def finished_before_the_siblings_cancel_is_proved(patch):
    settled = groups.settled
    patch.setattr(group_status, "settled", lambda group, member, want: want.unwanted or settled(group, member, want))
    patch.setattr(groups, "ended_by_nobody", lambda group, members: False)     # which would take the end back


def the_siblings_fill_is_not_looked_at(patch):
    patch.setattr(group_status, "violated", lambda outlook: None)


def a_stop_is_believed_in(patch):
    patch.setattr(group_status, "_protection", lambda outlook: ("True", "StopWorking", ""))


def a_refused_exit_is_an_end(patch):
    patch.setattr(Facts, "goes_on", lambda self, number: False)


def nothing_is_added(patch):
    patch.setattr(extras_due, "due", lambda *arguments: None)


BREAKAGES = (
    (nothing_is_added, "a stop grows by a second one"),
    (nothing_is_added, "closed at market"),
    (a_refused_exit_is_an_end, "exits refused for a while, for balance"),
    (members_made_again, "an open child deleted"),
    (nothing_is_reduced, "reduced"),
    (finished_before_the_siblings_cancel_is_proved, "a leg fills"),
    (the_siblings_fill_is_not_looked_at, "both legs fill in the same instant"),
    (a_stop_is_believed_in, "a stop that the exchange cancels"),
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
    assert die_at_each_point(*next((scenario, told_by) for scenario, told_by in ALL if scenario.name == name), until_found=True).worst


@pytest.mark.parametrize("name", [
    "exits refused for a while, for what no table has", "exits refused for a while, for balance", "the step changes between the entry and its exits", "a halt between the entry and its stop",
])
def test_a_position_whose_stop_is_never_sent_again_is_counted_as_bare(name, monkeypatch):
    a_refused_exit_is_an_end(monkeypatch)
    scenario = next(scenario for scenario in GROUP_SCENARIOS if scenario.name == name)
    assert run(GroupStory(scenario).play()).problems["bare positions"] == 1


PAIRS = (
    ("sent first, fills", 2), ("written ahead, fills", 2), ("replace", 2), ("both legs fill in the same instant", 8), ("an exit's part ends the entry", 16), ("list: a leg fills", 8),
)


def _die_twice(given: tuple[str, tuple[int, int]]) -> Counter:
    name, pair = given
    scenario, told_by = next((scenario, told_by) for scenario, told_by in ALL if scenario.name == name)
    return run(told_by(scenario, pair).play()).problems


def test_pairs_of_crashes_on_the_paths_that_send():
    """At each so many points, and again in the life that follows."""
    pairs = []
    for name, each in PAIRS:
        scenario, told_by = next((scenario, told_by) for scenario, told_by in ALL if scenario.name == name)
        whole = run(told_by(scenario).play())
        firsts = range(whole.before if told_by.from_the_first_step else 1, len(whole.points) + 1, each)
        pairs += [(name, (first, second)) for first in firsts for second in (range(1, 24, 3) if told_by is OrderStory else range(30, 60, 4))]
    problems, worst = Counter(), []
    for pair, seen in zip(pairs, on_all_cores(_die_twice, pairs), strict=True):
        problems.update(seen)
        worst += [(pair, dict(+seen))] if +seen else []
    tell(len(pairs), len(pairs), problems, "pairs of crash points")
    assert not worst, worst[:20]
