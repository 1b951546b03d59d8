"""Intents, groups and accounts in one SQLite file: the stores of a kernel without a cluster.

What `memory.py` holds, a table of JSON documents keeps: one transaction for each change, committed before the change is believed. The file is in WAL mode
and this process's alone: a lock beside it (`file_lock.py`) is the Ownership of its accounts, held until it is closed or the process is gone. SQLite's own
exclusive lock, on the file itself, keeps out programs that know nothing of ours.

A process that is forked from this one has the file closed: SQLite's connections don't survive a fork, and the end of one in the child would delete the
WAL that the parent goes on writing (https://sqlite.org/howtocorrupt.html, 2.6).

synchronous=FULL has each commit on the disk before it counts (https://sqlite.org/pragma.html#pragma_synchronous), so the order of things is: an intent is
on the disk, then its order is sent; an attempt that is written ahead is on the disk, then it is sent. Neither a crash nor a power failure takes back what
was believed, and what an order's answer said is found again at the exchange. There is no faster setting: NORMAL syncs at checkpoints only, and a power
failure would take back intents whose orders live. On macOS, fullfsync has the drive empty its own cache, which fsync alone does not.

All intents are unsettled after a restart: `created_version` is known only of what was made since the file was opened (rule 6).
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import sqlite3
import uuid
import weakref
from collections.abc import Callable
from dataclasses import fields
from typing import Any, Generic, TypeAlias

from exchange_kernel.api import (
    ExchangeAccountSpec,
    ExchangeAccountStatus,
    Model,
    OrderGroupSpec,
    OrderGroupStatus,
    OrderIntentSpec,
    OrderIntentStatus,
)
from exchange_kernel.core.groups import GroupRecord
from exchange_kernel.core.order import OrderRecord
from exchange_kernel.stores.file_lock import FileLock
from exchange_kernel.stores.memory import MemoryAccountStore, MemoryGroupStore, MemoryIntentStore, NotKept, R, Records
from exchange_kernel.stores.port import AccountRecord

Document: TypeAlias = dict[str, Any]

LAYOUT = 1  # of the tables and documents; PRAGMA user_version

_TABLES = """
CREATE TABLE IF NOT EXISTS objects (kind TEXT NOT NULL, uid TEXT NOT NULL, document TEXT NOT NULL, PRIMARY KEY (kind, uid)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS versions (kind TEXT PRIMARY KEY, version INTEGER NOT NULL) WITHOUT ROWID;
"""


IN_MEMORY = ":memory:"  # SQLite's name for a database that is no file: each connection has one of its own
_CLOSED = sqlite3.connect(IN_MEMORY)
_CLOSED.close()


class FileInUse(Exception):
    """Another process, or another kernel of this one, has the file."""


class NotAnOrdersFile(Exception):
    """The file can't be read as one of ours."""


def keep_private(path: str) -> None:
    """Make the file before SQLite does, for its owner only; SQLite gives its -wal file the same mode. Take others' rights on one that was there.

    One that was there is never opened here: to close a descriptor of it would drop the lock that another kernel of this process holds on it
    (https://sqlite.org/howtocorrupt.html, "POSIX advisory locks canceled by a separate thread doing close()").
    """
    if path == ":memory:":
        return
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        for name in (path, f"{path}-wal", f"{path}-journal"):
            with contextlib.suppress(FileNotFoundError):
                if os.stat(name).st_mode & 0o077:
                    os.chmod(name, 0o600)


class OrdersFile:
    """One file, open and locked. Raises FileInUse, NotAnOrdersFile or NotKept."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path, self._database = os.fspath(path), _CLOSED
        try:
            self._lock = FileLock(self._path) if self._path != IN_MEMORY else None
        except OSError as error:
            raise self._refusal(error) from error
        try:
            keep_private(self._path)
            self._database = sqlite3.connect(self._path, timeout=0, isolation_level=None)
            self._prepare()
            self.checkpoint()  # what a process that was killed left in the WAL
        except (sqlite3.Error, OSError) as error:
            self.close()
            raise self._refusal(error) from error
        except BaseException:
            self.close()
            raise
        _open_files.add(self)

    def _prepare(self) -> None:
        execute = self._database.execute
        execute("PRAGMA locking_mode = EXCLUSIVE")  # before the first access: a WAL without shared memory, and the lock is kept
        execute("PRAGMA journal_mode = WAL")
        execute("PRAGMA synchronous = FULL")
        execute("PRAGMA fullfsync = ON")
        execute("BEGIN EXCLUSIVE")
        (layout,) = execute("PRAGMA user_version").fetchone()
        if layout not in (0, LAYOUT):
            raise NotAnOrdersFile(f"{self._path} was written by a newer version (layout {layout}): use that one, or another file.")
        for statement in filter(str.strip, _TABLES.split(";")):
            execute(statement)
        execute(f"PRAGMA user_version = {LAYOUT}")
        execute("COMMIT")

    def _refusal(self, error: sqlite3.Error | OSError) -> Exception:
        if isinstance(error, BlockingIOError) or (isinstance(error, sqlite3.OperationalError) and "locked" in str(error)):
            return FileInUse(f"{self._path} is in use by another process, or by another kernel of this one: stop that one, or use another file.")
        return NotAnOrdersFile(f"{self._path} can't be used as a file of orders: {error}.")

    def read(self, kind: str) -> tuple[list[Document], int]:
        """All documents of a kind, and the version of its newest change."""
        rows = self._database.execute("SELECT document FROM objects WHERE kind = ?", (kind,)).fetchall()
        version = self._database.execute("SELECT version FROM versions WHERE kind = ?", (kind,)).fetchone()
        return [json.loads(document) for (document,) in rows], version[0] if version is not None else 0

    def write(self, kind: str, uid: str, document: Document | None, version: int) -> None:
        """One change, whole or not at all; None: the object is gone. Raises NotKept."""
        execute = self._database.execute
        try:
            execute("BEGIN IMMEDIATE")
            if document is None:
                execute("DELETE FROM objects WHERE kind = ? AND uid = ?", (kind, uid))
            else:
                execute("INSERT OR REPLACE INTO objects VALUES (?, ?, ?)", (kind, uid, json.dumps(document, ensure_ascii=False)))
            execute("INSERT OR REPLACE INTO versions VALUES (?, ?)", (kind, version))
            execute("COMMIT")
        except sqlite3.Error as error:
            if self._in_transaction:
                self._database.rollback()
            raise NotKept(f"{self._path} could not be written: {error}.") from error

    def checkpoint(self) -> None:
        """Have all that was committed in the file itself, on the disk: a copy of it without its WAL has it then. Raises NotKept."""
        try:
            (busy, *_) = self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        except sqlite3.Error as error:
            raise NotKept(f"{self._path} could not be written: {error}.") from error
        if busy:
            raise NotKept(f"{self._path} could not be written: another program reads it. Stop that one.")

    @property
    def _in_transaction(self) -> bool:
        try:
            return self._database.in_transaction
        except sqlite3.ProgrammingError:
            return False  # closed

    def close(self) -> None:
        """Give the file back. What comes after is not kept."""
        self._database.close()
        if self._lock is not None:
            self._lock.release()

    def leave_to_the_parent(self) -> None:
        """Be closed in a forked child without a word to SQLite, which must never close the parent's connection here."""
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._database))  # kept to the end of the child, and past it
        self._database = _CLOSED
        if self._lock is not None:
            self._lock.forget()


_open_files: weakref.WeakSet[OrdersFile] = weakref.WeakSet()


def _leave_all_to_the_parent() -> None:
    for file in list(_open_files):
        file.leave_to_the_parent()


os.register_at_fork(after_in_child=_leave_all_to_the_parent)


def _document(record: OrderRecord | GroupRecord | AccountRecord) -> Document:
    plain = {field.name: getattr(record, field.name) for field in fields(record)}
    return {name: value.document() if isinstance(value, Model) else value for name, value in plain.items()}


class _Kept(Records[R], Generic[R]):
    """A store of `memory.py` in a file."""

    KIND: str
    RECORD: type[R]
    SPEC: type[Model]
    STATUS: type[Model]

    def __init__(self, file: OrdersFile, changed: Callable[[str], None], wall_ms: Callable[[], int]) -> None:
        super().__init__(changed, wall_ms)
        self._file = file
        documents, self._version = file.read(self.KIND)
        for document in documents:
            record = self.RECORD(**{**document, "spec": self.SPEC.model_validate(document["spec"]), "status": self.STATUS.model_validate(document["status"])})
            self._know(record)

    def _keep(self, record: R) -> None:
        self._file.write(self.KIND, record.uid, _document(record), self._version)

    def _let_go(self, uid: str) -> None:
        self._file.write(self.KIND, uid, None, self._version)


class SqliteIntentStore(_Kept[OrderRecord], MemoryIntentStore):
    KIND, RECORD, SPEC, STATUS = "OrderIntent", OrderRecord, OrderIntentSpec, OrderIntentStatus

    def _new_uid(self, group: GroupRecord, name: str) -> str:
        return str(uuid.uuid4())


class SqliteGroupStore(_Kept[GroupRecord], MemoryGroupStore):
    KIND, RECORD, SPEC, STATUS = "OrderGroup", GroupRecord, OrderGroupSpec, OrderGroupStatus


class SqliteAccountStore(_Kept[AccountRecord], MemoryAccountStore):
    """What tells an account's orders from strangers' is in the file itself before it is believed: a lost WAL must not take it back."""

    KIND, RECORD, SPEC, STATUS = "ExchangeAccount", AccountRecord, ExchangeAccountSpec, ExchangeAccountStatus

    def _keep(self, record: AccountRecord) -> None:
        super()._keep(record)
        known = self.get(record.uid)
        if known is None or known.status.fingerprint != record.status.fingerprint:
            self._file.checkpoint()
