"""The crash matrix on a sample of its paths and points, with the orders in a SQLite file: a new process has what the file has, and nothing else."""

from __future__ import annotations

import uuid
from collections import Counter
from functools import partial
from pathlib import Path

import pytest

from exchange_kernel.stores.sqlite import OrdersFile, SqliteGroupStore, SqliteIntentStore
from tests.crash.scenarios import SCENARIOS, Scenario
from tests.crash.stories import OrderStory, tell
from tests.crash.test_matrix import quiet  # noqa: F401
from tests.scripted import LoopClock, World
from tests.virtual_time import run

NAMES = ("sent first, fills", "written ahead, fills", "delete", "replace", "an answer that is none", "with a key")
EVERY = 5      # points


class WorldOnDisk(World):
    """Intents and groups are in a file, which each life opens anew."""

    def __init__(self, *arguments, path: Path, **options) -> None:
        super().__init__(*arguments, **options)
        self._path = path
        self._open()

    def _open(self) -> None:
        self._file = OrdersFile(self._path, "NORMAL")
        self.store = SqliteIntentStore(self._file, lambda uid: self.desk.wake_intent(uid) if self.desk is not None else None, LoopClock().wall_ms)
        self.groups = SqliteGroupStore(self._file, lambda uid: self.desk.groups.wake(uid) if self.desk is not None else None, LoopClock().wall_ms)

    def kill(self) -> None:
        super().kill()
        self._file.close()
        self._open()


def play(directory: Path, scenario: Scenario, *crashes: int) -> OrderStory:
    class OnDisk(OrderStory):
        world = partial(WorldOnDisk, path=directory / f"{uuid.uuid4()}.db")

    return run(OnDisk(scenario, crashes).play())


def the_scenario(name: str) -> Scenario:
    return next(scenario for scenario in SCENARIOS if scenario.name == name)


@pytest.mark.proves("rule 3", "rule 6")
@pytest.mark.parametrize("name", NAMES)
def test_a_sample_of_crash_points_over_sqlite(name, tmp_path):
    scenario, problems, worst = the_scenario(name), Counter(), []
    first = play(tmp_path, scenario)
    points = range(1, len(first.points) + 1, EVERY)
    for number in points:
        told = play(tmp_path, scenario, number)
        problems.update(told.problems)
        if +told.problems:
            worst.append((first.points[number - 1], dict(+told.problems)))
    tell(len(points), len(points) + 1, problems)
    assert not +first.problems
    assert not worst


def test_a_store_that_counts_as_new_what_it_reads_from_its_file_fails(tmp_path, monkeypatch):
    """What `created_version` is for after a restart."""
    monkeypatch.setattr(SqliteIntentStore, "created_version", lambda self, uid: 2**53)
    scenario, problems = the_scenario("market order"), Counter()
    for number in range(1, len(play(tmp_path, scenario).points) + 1):
        problems.update(play(tmp_path, scenario, number).problems)
    assert +problems
