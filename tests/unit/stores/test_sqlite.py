"""The file of a kernel without a cluster: what was written is there, what was not written never was, and it is one process's."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
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
    store.annotate("a", "absent")
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
