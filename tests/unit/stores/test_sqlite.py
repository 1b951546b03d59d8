"""The file of a kernel without a cluster: what was written is there, what was not written never was, and it is one process's."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing, suppress
from pathlib import Path

import pytest

from exchange_kernel.api import ExchangeAccountSpec, OrderIntentStatus
from exchange_kernel.stores.memory import NotKept
from exchange_kernel.stores.port import Conflict, Gone, Unavailable, Written
from exchange_kernel.stores.sqlite import FileInUse, NotAnOrdersFile, OrdersFile, SqliteAccountStore, SqliteGroupStore, SqliteIntentStore
from tests.builders import a_spec
from tests.unit.groups.desk import a_bracket

ACCOUNT = ExchangeAccountSpec.model_validate({"exchange": "binance", "environment": "Live", "credentialsSecretRef": {"name": "none"}})
PARTLY = OrderIntentStatus.model_validate({
    "state": "PartiallyFilled", "observedGeneration": 1, "clientOrderId": "x1", "filledQuantity": "0.10", "remainingQuantity": "0.9",
    "fills": [{"tradeId": "7", "quantity": "0.1", "price": "50000.5", "time": "2026-01-01T00:00:00.000001Z", "fee": {"asset": "BNB", "amount": "-0.001"}}],
    "attempts": [{"number": 1, "clientOrderId": "x1", "stage": "Sent"}],
    "conditions": [{"type": "Ready", "status": "True", "reason": "Open", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}],
})


def unheard(uid: str) -> None:
    """No one watches."""


def intents(file: OrdersFile) -> SqliteIntentStore:
    return SqliteIntentStore(file, unheard, lambda: 1_700_000_000_000)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "orders.db"


async def test_all_that_was_written_is_there_after_a_restart(path):
    file = OrdersFile(path)
    store, groups, accounts = intents(file), SqliteGroupStore(file, unheard, int), SqliteAccountStore(file, unheard, int)
    store.create("a", a_spec(metadata={"why": '["a",null]'}))
    store.create("gone", a_spec(), finalizer=False)
    written = await store.write_status(store.get("a"), PARTLY)
    store.edit("a", a_spec(price="49000"))
    store.annotate("a", "absent", by="ann")
    store.delete("gone")
    groups.create("pair", a_bracket())
    accounts.create("main", ACCOUNT)
    await accounts.add_finalizer(accounts.get("main"))
    assert isinstance(written, Written)
    before = (store.everything(), groups.everything(), accounts.everything(), store.version, groups.version)
    file.close()

    again = OrdersFile(path)
    store, groups, accounts = intents(again), SqliteGroupStore(again, unheard, int), SqliteAccountStore(again, unheard, int)
    assert (store.everything(), groups.everything(), accounts.everything(), store.version, groups.version) == before
    assert store.get("a").status == PARTLY
    again.close()


async def test_an_object_is_found_by_its_name_for_as_long_as_it_has_it(path):
    file = OrdersFile(path)
    store = intents(file)
    store.create("a", a_spec(), name="entry", finalizer=False)
    store.create("b", a_spec(), name="exit")
    file.close()
    again = OrdersFile(path)
    store = intents(again)
    assert [store.named("default", name).uid for name in ("entry", "exit")] == ["a", "b"]
    store.delete("a")
    assert store.named("default", "entry") is None
    assert store.create("c", a_spec(), name="entry") == store.named("default", "entry")
    again.close()


async def test_versions_go_on_after_a_restart_even_if_the_newest_object_is_gone(path):
    file = OrdersFile(path)
    store = intents(file)
    store.create("a", a_spec(), finalizer=False)
    store.delete("a")
    version = store.version
    file.close()
    again = OrdersFile(path)
    assert int(intents(again).create("b", a_spec()).resource_version) > version
    again.close()


async def test_what_is_first_seen_in_the_file_is_unsettled(path):
    file = OrdersFile(path)
    store = intents(file)
    store.create("a", a_spec())
    assert store.created_version("a") is not None
    file.close()
    again = OrdersFile(path)
    assert intents(again).created_version("a") is None
    again.close()


async def test_writes_are_decided_on_a_version_and_end_with_the_finalizer(path):
    file = OrdersFile(path)
    store = intents(file)
    old = store.create("a", a_spec())
    new = store.edit("a", a_spec(price="49000"))
    assert await store.write_status(old, PARTLY) == Conflict()
    store.delete("a")
    assert store.get("a").deleting
    assert await store.remove_finalizer(new) == Conflict()
    assert isinstance(await store.remove_finalizer(store.get("a")), Written)
    assert await store.write_status(new, PARTLY) == Gone()
    file.close()
    again = OrdersFile(path)
    assert intents(again).everything() == []
    again.close()


async def test_what_the_disk_did_not_take_never_was(path):
    file = OrdersFile(path)
    store = intents(file)
    record = store.create("a", a_spec())
    file.close()                                       # as a disk that is gone
    answer = await store.write_status(record, PARTLY)
    assert isinstance(answer, Unavailable)
    assert "could not be written" in answer.reason
    with pytest.raises(NotKept):
        store.create("b", a_spec())
    assert store.get("b") is None
    assert store.created_version("b") is None
    assert store.get("a") == record


def test_the_file_is_one_process_s(path):
    file = OrdersFile(path)
    with pytest.raises(FileInUse, match="in use by another process"):
        OrdersFile(path)
    code = f"import sys; from exchange_kernel.stores.sqlite import *\ntry: OrdersFile({str(path)!r})\nexcept FileInUse: sys.exit(42)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 42
    file.close()
    OrdersFile(path).close()


def test_a_process_that_was_killed_leaves_the_file_to_the_next(path):
    code = f"import os, signal; from exchange_kernel.stores.sqlite import *; file = OrdersFile({str(path)!r}); os.kill(os.getpid(), signal.SIGKILL)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    OrdersFile(path).close()


def another_process_gets(path) -> bool:
    code = f"import sys; from exchange_kernel.stores.sqlite import *\ntry: OrdersFile({str(path)!r})\nexcept FileInUse: sys.exit(42)"
    ended = subprocess.run([sys.executable, "-c", code], check=False).returncode
    assert ended in (0, 42)
    return ended == 0


def looked_at_by_open(path: Path) -> None:
    path.read_bytes()


def looked_at_by_sqlite(path: Path) -> None:
    with closing(sqlite3.connect(path, timeout=0)) as database, suppress(sqlite3.OperationalError):
        database.execute("SELECT * FROM objects").fetchall()


def copied_for_a_backup(path: Path) -> None:
    shutil.copyfile(path, path.with_name("backup.db"))


@pytest.mark.parametrize("look", [looked_at_by_open, looked_at_by_sqlite, copied_for_a_backup])
def test_a_strategy_that_looks_into_its_own_file_does_not_give_it_to_another_process(path, look):
    """POSIX locks of a file are lost when its process closes any descriptor of it (https://sqlite.org/howtocorrupt.html, 2.2)."""
    file = OrdersFile(path)
    intents(file).create("a", a_spec())
    look(path)
    assert not another_process_gets(path)
    file.close()
    assert another_process_gets(path)


def test_another_spelling_of_the_path_is_the_same_lock(path, tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    (link := tmp_path / "elsewhere" / "link.db").symlink_to(path)
    (tmp_path / "here").symlink_to(tmp_path)
    monkeypatch.chdir(tmp_path)
    file = OrdersFile(link)
    for spelling in (path, tmp_path / "here" / "orders.db", "./elsewhere/../orders.db", link):
        looked_at_by_open(path)
        with pytest.raises(FileInUse):
            OrdersFile(spelling)
    file.close()
    assert [found.name for found in sorted(tmp_path.glob("**/*.lock"))] == ["orders.db.lock"]


def test_the_lock_s_file_stays_so_that_nobody_can_lock_one_that_was_unlinked(path):
    OrdersFile(path).close()
    before = Path(f"{path}.lock").stat().st_ino
    OrdersFile(path).close()
    assert Path(f"{path}.lock").stat().st_ino == before


def test_a_lock_s_file_that_was_deleted_and_made_again_does_not_give_the_orders_to_two(path):
    file = OrdersFile(path)
    Path(f"{path}.lock").unlink()
    assert not another_process_gets(path)
    file.close()


def in_a_child(act) -> int:
    """What a forked child ends with; it ends as a script does, with all that Python does at its end."""
    if (pid := os.fork()) == 0:
        try:
            os._exit(act())
        except BaseException:
            os._exit(99)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def refused(path) -> int:
    try:
        OrdersFile(path)
    except FileInUse:
        return 42
    return 0


def test_a_forked_child_neither_gets_the_file_nor_keeps_it_nor_gives_it_away(path):
    file = OrdersFile(path)
    intents(file).create("a", a_spec())
    assert in_a_child(lambda: refused(path)) == 42
    assert in_a_child(lambda: file.close() or 7) == 7
    assert not another_process_gets(path), "the child had nothing to give"
    held, release = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(release)
        os.read(held, 1)                               # until its parent ends it
        os._exit(0)
    file.close()
    assert another_process_gets(path), "a child that lives on does not keep it"
    os.close(release)
    os.waitpid(pid, 0)


FORKING = """
import gc, os, signal, sys
from exchange_kernel.stores.sqlite import OrdersFile
file = OrdersFile(sys.argv[1])
file.write("Kind", "before", {}, 1)
if os.fork() == 0:
    if sys.argv[2] == "writes":
        try: file.write("Kind", "child", {}, 9)
        except Exception: pass
    if sys.argv[2] == "closes": file.close()
    del file
    gc.collect()
    sys.exit()
os.wait()
file.write("Kind", "after", {}, 2)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("child", ["ends", "closes", "writes"])
def test_the_end_of_a_forked_child_takes_no_order_of_its_parent_s_from_the_disk(path, child):
    """SQLite: "do not carry a connection across a fork" (https://sqlite.org/howtocorrupt.html, 2.6). Its close would delete the WAL that the parent writes."""
    assert subprocess.run([sys.executable, "-c", FORKING, path, child], check=False).returncode == -9
    file = OrdersFile(path)
    assert sorted(file._database.execute("SELECT uid FROM objects").fetchall()) == [("after",), ("before",)]
    file.close()


def test_a_process_that_was_killed_leaves_the_lock_though_its_child_lives(path):
    code = (f"import os, signal, time; from exchange_kernel.stores.sqlite import *; file = OrdersFile({str(path)!r})\n"
            "pid = os.fork()\nif pid == 0: os.close(1); time.sleep(60)\nprint(pid, flush=True); os.kill(os.getpid(), signal.SIGKILL)")
    ended = subprocess.run([sys.executable, "-c", code], check=False, stdout=subprocess.PIPE, text=True)
    try:
        assert ended.returncode == -9
        OrdersFile(path).close()
    finally:
        os.kill(int(ended.stdout), signal.SIGKILL)


def test_every_commit_is_on_the_disk_before_it_counts(path):
    file = OrdersFile(path)
    said = {name: file._database.execute(f"PRAGMA {name}").fetchone()[0] for name in ("synchronous", "journal_mode", "locking_mode", "fullfsync")}
    assert said == {"synchronous": 2, "journal_mode": "wal", "locking_mode": "exclusive", "fullfsync": 1}
    file.close()


@pytest.mark.parametrize(("make", "message"), [
    (lambda path: path.write_text("no database at all, but long enough to be read as one" * 50), "can't be used as a file of orders"),
    (lambda path: sqlite3.connect(path).execute("PRAGMA user_version = 99"), "was written by a newer version"),
    (lambda path: path.mkdir(), "can't be used as a file of orders"),
], ids=["garbage", "newer", "a directory"])
def test_another_file_is_refused_with_a_sentence(path, make, message):
    make(path)
    with pytest.raises(NotAnOrdersFile, match=message):
        OrdersFile(path)


def test_an_account_is_in_the_file_itself_once_it_is_made_and_once_it_is_known_whose_it_is(path):
    file = OrdersFile(path)
    accounts = SqliteAccountStore(file, unheard, int)

    def in_a_copy_without_wal() -> list[tuple[str, str | None]]:
        shutil.copyfile(path, copy := path.with_name("copy.db"))
        with closing(OrdersFile(copy)) as other:
            return [(found.uid, found.status.fingerprint) for found in SqliteAccountStore(other, unheard, int).everything()]

    account = accounts.create("main", ACCOUNT)
    assert in_a_copy_without_wal() == [("main", None)]
    asyncio.run(accounts.write_status(account, account.status.model_copy(update={"fingerprint": "42"})))
    assert in_a_copy_without_wal() == [("main", "42")]
    file.close()


class Busy:
    """A database of which another program keeps the file from being written."""

    def __init__(self, database) -> None:
        self._database = database

    def __getattr__(self, name):
        return getattr(self._database, name)

    def execute(self, statement, *values):
        return self._database.execute("SELECT 1, -1, -1" if "checkpoint" in statement else statement, *values)


def test_an_account_that_could_not_be_written_into_the_file_never_was(path):
    file = OrdersFile(path)
    accounts, file._database = SqliteAccountStore(file, unheard, int), Busy(file._database)
    with pytest.raises(NotKept, match="another program reads it"):
        accounts.create("main", ACCOUNT)
    assert accounts.everything() == []
    file.close()


def test_two_backtests_in_memory_are_in_nobody_s_way_and_leave_no_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files = [OrdersFile(":memory:") for _ in range(2)]
    for file in files:
        SqliteAccountStore(file, unheard, int).create("main", ACCOUNT)
        file.close()
    assert list(tmp_path.iterdir()) == []
