"""What holds orders, fills and accounts is its owner's alone: new files and those that were there before."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from exchange_kernel.cli.plugin.report import _private
from exchange_kernel.stores.sqlite import FileInUse, OrdersFile
from exchange_kernel.telemetry.journal import open_journal


@pytest.fixture(autouse=True)
def generous_umask():
    before = os.umask(0)
    yield
    os.umask(before)


def journal(path: Path) -> None:
    os.close(open_journal(str(path)))


def bundle(path: Path) -> None:
    _private(path).close()


def orders(path: Path) -> None:
    file = OrdersFile(path)
    for made in path.parent.iterdir():
        assert stat.S_IMODE(made.stat().st_mode) == 0o600, made.name
    file.close()


@pytest.mark.parametrize("write", [journal, bundle, orders], ids=lambda write: write.__name__)
@pytest.mark.parametrize("there", [False, True], ids=["new", "made before, for all to read"])
def test_nobody_else_reads_it(tmp_path, write, there):
    path = tmp_path / "file"
    if there:
        path.touch(0o666)
    write(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_second_kernel_of_this_process_takes_no_lock_away(tmp_path):
    """To open and close the file would: the process's locks on it go with any descriptor of it."""
    path, child = tmp_path / "orders", tmp_path / "child"
    file = OrdersFile(path)
    with pytest.raises(FileInUse):
        OrdersFile(path)
    if (pid := os.fork()) == 0:
        try:
            OrdersFile(path)
        except FileInUse:
            child.write_text("in use")
        os._exit(0)
    os.waitpid(pid, 0)
    assert child.exists()
    file.close()


def test_a_bundle_that_was_longer_is_written_anew(tmp_path):
    path = tmp_path / "file"
    path.write_text("something longer")
    bundle(path)
    assert path.stat().st_size == 0
