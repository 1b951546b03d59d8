"""The crash matrix with the orders in a SQLite file, as LocalKernel keeps them: all stories, and of their points every step from one to another once.

Who dies leaves the file's bytes as they are at that moment, a transaction that was open and a WAL that nobody checkpointed included. The next process
begins at once, for it has no Lease to wait for; it has what it reads from the file, and nothing else.
"""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from exchange_kernel.kernel.local_desk import FileIsOurs
from exchange_kernel.stores.sqlite import FileInUse, OrdersFile, SqliteAccountStore, SqliteGroupStore, SqliteIntentStore
from tests.crash.group_scenarios import GROUP_SCENARIOS, Watched
from tests.crash.group_stories import GroupStory
from tests.crash.scenarios import SCENARIOS, Scenario
from tests.crash.stories import USER, OrderStory, Story, Tally, tell
from tests.crash.test_matrix import quiet  # noqa: F401
from tests.crash.workers import on_all_cores
from tests.scripted import LoopClock, World
from tests.virtual_time import run

ALL = (*SCENARIOS, *GROUP_SCENARIOS)
BESIDES = 16            # of the points that are no new step, every so many
IN_A_TRANSACTION = "in a transaction"


class _Dying:
    """The file's connection, where a process may end before it commits."""

    def __init__(self, database: sqlite3.Connection, before_commit: Callable[[], None]) -> None:
        self._database, self._before_commit = database, before_commit

    def __getattr__(self, name: str):
        return getattr(self._database, name)

    def execute(self, statement: str, *parameters):
        if statement == "COMMIT":
            self._before_commit()
        return self._database.execute(statement, *parameters)


class AccountsOnDisk(SqliteAccountStore):
    @property
    def record(self):
        (record,) = self.everything()
        return record


class WorldOnDisk(World):
    """Its objects are in a file, which each life opens as a process of its own would."""

    lease = staticmethod(lambda: FileIsOurs(LoopClock()))

    def __init__(self, *arguments, directory: Path, **options) -> None:
        super().__init__(*arguments, **options)
        self._directory, self._lives, account = directory, 0, self.accounts.record
        self.forgotten = 0      # lives after which the file had something else than they believed
        self._open()
        self.accounts.create(account.uid, account.spec, namespace=account.namespace, name=account.name)

    @property
    def _path(self) -> Path:
        return self._directory / f"{self._lives}.db"

    def _open(self) -> None:
        self._file = OrdersFile(self._path)
        self._file._database.execute("PRAGMA synchronous = OFF")        # it is processes that die here, and no power fails
        self._file._database = _Dying(self._file._database, self._before_commit)
        wall_ms = LoopClock().wall_ms
        self.accounts = AccountsOnDisk(self._file, self._told(lambda desk, uid: desk.account_keys.wake(uid)), wall_ms)
        self.store = SqliteIntentStore(self._file, self._told(lambda desk, uid: desk.wake_intent(uid)), wall_ms)
        self.groups = SqliteGroupStore(self._file, self._told(lambda desk, uid: desk.groups.wake(uid)), wall_ms)

    def _told(self, wake) -> Callable[[str], None]:
        return lambda uid: wake(self.desk, uid) if self.desk is not None else None

    def _before_commit(self) -> None:
        if self.desk is not None and asyncio.current_task().get_name() != USER:
            self.desk.store._points.reach(IN_A_TRANSACTION)

    def kill(self) -> None:
        super().kill()
        believed = self._believed
        with pytest.raises(FileInUse):      # for as long as it lived
            OrdersFile(self._path)
        left = [(self._path.with_name(self._path.name + suffix), suffix) for suffix in ("", "-wal")]
        self._lives += 1
        for file, suffix in left:
            if file.exists():
                shutil.copyfile(file, f"{self._path}{suffix}")
        self._file.close()
        self._open()
        self.forgotten += self._believed != believed

    @property
    def _believed(self) -> list[dict]:
        return [dict(store._records) for store in (self.accounts, self.store, self.groups)]


class GroupsOnDisk(Watched, WorldOnDisk):
    def kill(self) -> None:
        super().kill()
        self.watch_stores()


class OnDisk(Story):
    down_s = 0.2

    def __init__(self, directory: Path, *arguments) -> None:
        super().__init__(*arguments)
        self._directory = directory

    def judge(self, world: WorldOnDisk) -> None:
        super().judge(world)
        self.problems["unconverged"] += world.forgotten


class OrderStoryOnDisk(OnDisk, OrderStory):
    @property
    def world(self) -> Callable[..., World]:
        return partial(WorldOnDisk, directory=self._directory)


class GroupStoryOnDisk(OnDisk, GroupStory):
    def build(self, through: Callable[[object], object]) -> GroupsOnDisk:
        return self.watch_all(GroupsOnDisk(through, directory=self._directory, resyncSeconds=30, **self.scenario.account))


def play(scenario: Scenario, crashes: tuple[int, ...] = (), filled_meanwhile: bool = False) -> Story:
    story = OrderStoryOnDisk if scenario in SCENARIOS else GroupStoryOnDisk
    with TemporaryDirectory() as directory:
        return run(story(Path(directory), scenario, crashes, filled_meanwhile).play())


def steps_of(number: int) -> tuple[list[str], int, Counter]:
    whole = play(ALL[number])
    return whole.points, whole.before, whole.problems


def selection(stories: list[tuple[list[str], int, Counter]]) -> Iterator[tuple[int, int, str]]:
    """Each way from one point to the next where it first occurs in any story, and a few of the others: which story, which point, and its name."""
    taken, besides = set(), 0
    for number, (points, before, _) in enumerate(stories):
        for at in range(1, len(points) + 1):
            step = points[at - 2:at] if at > 1 else points[:1]
            new = tuple(step) not in taken
            besides += not new and at >= before
            if new or (at >= before and besides % BESIDES == 0):
                taken.add(tuple(step))
                yield number, at, points[at - 1]


def die_at(chosen: tuple[int, int, str]) -> Tally:
    number, at, point = chosen
    told = play(ALL[number], (at,), filled_meanwhile=at % 2 == 0)
    return Tally(1, 1, told.problems, [(ALL[number].name, at, point, dict(+told.problems))] if +told.problems else [])


@pytest.mark.proves("rule 3", "rule 6")
def test_crash_points_over_sqlite():
    stories = list(on_all_cores(steps_of, range(len(ALL))))
    chosen, tally = list(selection(stories)), Tally(0, len(stories))
    for one in on_all_cores(die_at, chosen):
        tally.add(one)
    for _, _, problems in stories:
        tally.problems.update(problems)
    tell(tally.points, tally.played, tally.problems, "crash points over SQLite")
    assert not tally.worst, tally.worst[:20]
    assert not +tally.problems
    assert {name for points, _, _ in stories for name in points} == {name for _, _, name in chosen}


# ── The same with the store broken on purpose ───────────────────────────────────────────────────────────────────────────────────────────────

def what_is_read_counts_as_new(patch):
    patch.setattr(SqliteIntentStore, "created_version", lambda self, uid: 2**53)


def believed_before_it_is_committed(patch):
    write = OrdersFile.write

    def late(file, *change):
        for earlier in getattr(file, "held", ()):
            write(file, *earlier)
        file.held = [change]

    patch.setattr(OrdersFile, "write", late)


@pytest.mark.parametrize("breakage", [what_is_read_counts_as_new, believed_before_it_is_committed])
def test_a_broken_store_fails(breakage, monkeypatch):
    breakage(monkeypatch)
    (number,) = (number for number, scenario in enumerate(ALL) if scenario.name == "market order")
    points, before, _ = steps_of(number)
    assert [found for at in range(before, len(points) + 1) for found in die_at((number, at, points[at - 1])).worst]
