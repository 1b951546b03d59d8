"""What a power failure finds: at the moment when the first byte of an order leaves, all that the order follows from is on the disk (rule 6)."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from exchange_kernel.kernel import ExchangeError, LocalKernel, State
from exchange_kernel.schema import GroupMember, GroupMode, Side, StandardOrderGroup
from exchange_kernel.stores.memory import NotKept
from exchange_kernel.stores.port import AccountRecord
from exchange_kernel.stores.sqlite import OrdersFile, SqliteAccountStore
from tests.scripted import LoopClock, ScriptedExchange
from tests.unit.groups.desk import PERPETUAL, VENUE
from tests.unit.kernel.desks import LIMIT, a_local_kernel
from tests.virtual_time import scenario


class Looking:
    """Reads a copy of the file at the moment when the bytes of an order leave."""

    def __init__(self, path: Path, exchange: ScriptedExchange) -> None:
        self.found: list[tuple[str, list[str], bool]] = []      # of each send: its id, the intents in the file, and whether the attempt is
        exchange.written = lambda client_order_id: self.look(path, client_order_id)

    def look(self, path: Path, client_order_id: str) -> None:
        copy = path.with_name(f"copy-{len(self.found)}.db")
        for suffix in ("", "-wal"):
            shutil.copyfile(f"{path}{suffix}", f"{copy}{suffix}")
        file = OrdersFile(copy)
        documents, _ = file.read("OrderIntent")
        file.close()
        attempts = {attempt["clientOrderId"] for document in documents for attempt in document["status"].get("attempts", ())}
        self.found.append((client_order_id, [document["name"] for document in documents], client_order_id in attempts))


@pytest.mark.proves("rule 6")
@scenario
async def test_an_intent_is_in_the_file_when_its_order_leaves_and_a_further_attempt_is_too():
    with TemporaryDirectory() as directory:
        path, exchange = Path(directory) / "orders.db", ScriptedExchange()
        looking = Looking(path, exchange)
        async with a_local_kernel(path, exchange) as kernel:
            name = await kernel.place_order(LIMIT)
            await kernel.modify_order(name, LIMIT.model_copy(update={"price": Decimal(49000)}))
        assert [(names, attempt) for _, names, attempt in looking.found] == [([name], False), ([name], True)]


@pytest.mark.proves("rule 6")
@scenario
async def test_members_are_in_the_file_with_their_attempts_when_their_orders_leave():
    with TemporaryDirectory() as directory:
        path, exchange = Path(directory) / "orders.db", ScriptedExchange()
        exchange.market, exchange.capabilities = PERPETUAL, VENUE
        looking = Looking(path, exchange)
        async with a_local_kernel(path, exchange) as kernel:
            legs = [GroupMember(name=name, order=LIMIT.model_copy(update={"side": Side.SELL, "price": Decimal(price)})) for name, price in (("near", 51000), ("far", 60000))]
            await kernel.place_order_group(StandardOrderGroup(mode=GroupMode.ONE_CANCELS_OTHER, members=legs))
        assert [attempt for _, _, attempt in looking.found] == [True, True]


@scenario
async def test_a_disk_that_lost_the_newest_intents_has_nothing_sent_twice_and_the_orders_are_counted():
    """As a disk does that says "synced" and lies."""
    keyed = LIMIT.model_copy(update={"idempotency_key": "entry", "submit_deadline_time": datetime(2030, 1, 1, tzinfo=UTC)})
    with TemporaryDirectory() as directory:
        path, exchange = Path(directory) / "orders.db", ScriptedExchange()
        async with a_local_kernel(path, exchange):
            pass
        shutil.copyfile(path, f"{path}-before")
        async with a_local_kernel(path, exchange) as kernel:
            await kernel.place_order(LIMIT)
            await kernel.place_order(keyed)
        shutil.move(f"{path}-before", path)
        async with a_local_kernel(path, exchange) as kernel:
            await asyncio.sleep(130)
            assert (await kernel.get_reconciliation_metrics())["discrepancies"]["orphans"] == 2
            name = await kernel.place_order(keyed)
            assert (await kernel.get_order_state(name)).state is State.OPEN
        assert len(exchange.orders_by_id) == 2


async def the_account(path: Path) -> AccountRecord:
    """As the file has it, without its WAL."""
    shutil.copyfile(path, copy := path.with_name("without-wal.db"))
    file = OrdersFile(copy)
    (account,) = SqliteAccountStore(file, lambda uid: None, int).everything()
    file.close()
    return account


@scenario
async def test_a_wal_that_was_lost_leaves_the_account_its_name_at_the_exchange_so_its_orders_are_no_strangers():
    """A person copies orders.db to the new machine, and forgets orders.db-wal. By the account's UID the kernel knows its orders."""
    with TemporaryDirectory() as directory:
        path, exchange = Path(directory) / "orders.db", ScriptedExchange()
        async with a_local_kernel(path, exchange) as kernel:
            await kernel.place_order(LIMIT)
            shutil.copyfile(path, moved := path.with_name("moved.db"))
        async with a_local_kernel(moved, exchange) as kernel:
            await asyncio.sleep(130)
            told = (await kernel.get_reconciliation_metrics())["discrepancies"]
            assert told["orphans"] == 1


@scenario
async def test_a_wal_that_was_lost_does_not_let_a_file_be_used_on_another_account():
    """Rule 13: by its fingerprint in the file, other credentials than the first ones are refused."""
    with TemporaryDirectory() as directory:
        path, exchange = Path(directory) / "orders.db", ScriptedExchange()
        async with a_local_kernel(path, exchange):
            assert (await the_account(path)).status.fingerprint == "42"


@scenario
async def test_what_a_killed_process_left_in_the_wal_is_in_the_file_before_anything_is_sent():
    with TemporaryDirectory() as directory:
        path, exchange = Path(directory) / "orders.db", ScriptedExchange()
        async with a_local_kernel(path, exchange) as kernel:
            await kernel.place_order(LIMIT)
            for suffix in ("", "-wal"):
                shutil.copyfile(f"{path}{suffix}", path.with_name(f"killed.db{suffix}"))
        killed = path.with_name("killed.db")
        async with a_local_kernel(killed, exchange):
            before = await the_account(killed)
        assert before.status.fingerprint == "42"
        file = OrdersFile(path.with_name("without-wal.db"))
        assert len(file.read("OrderIntent")[0]) == 1
        file.close()


@scenario
async def test_a_disk_that_takes_the_wal_but_not_the_file_has_the_start_fail_and_nothing_sent():
    with TemporaryDirectory() as directory:
        path, exchange = Path(directory) / "orders.db", ScriptedExchange()
        kernel = LocalKernel("simulated", exchange, path, clock=LoopClock())
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(OrdersFile, "checkpoint", a_full_disk)
            with pytest.raises(ExchangeError, match=r"could not be written: disk I/O error\."):
                await kernel.start()
        assert exchange.calls == []
        async with a_local_kernel(path, exchange) as kernel:
            await kernel.place_order(LIMIT)
        assert (await the_account(path)).status.fingerprint == "42"


def a_full_disk(file: OrdersFile) -> None:
    raise NotKept("orders.db could not be written: disk I/O error.")


STORY = """
import asyncio, os, sys
from decimal import Decimal
from exchange_kernel.exchanges.simulated import InProcessExchange, LoopClock, Settings, SimulatedExchange, run_in_virtual_time
from exchange_kernel.kernel import LocalKernel
from exchange_kernel.schema import OrderType, Side, StandardOrder


class Marking(InProcessExchange):
    async def submit(self, request, clearance):
        os.write(2, b"SENT")
        return await super().submit(request, clearance)


async def main():
    clock = LoopClock()
    exchange = SimulatedExchange(Settings(symbols=["BTC/USDT"]), clock=clock)
    kernel = LocalKernel("simulated", Marking(exchange, clock), sys.argv[1], clock=clock)
    await kernel.start()
    order = StandardOrder(symbol_id="BTC/USDT", side=Side.BUY, type=OrderType.LIMIT, quantity=Decimal("0.1"), price=Decimal(50000))
    os.write(2, b"PLACE")
    name = await kernel.place_order(order)
    os.write(2, b"MODIFY")
    await kernel.modify_order(name, order.model_copy(update={"price": Decimal(51000)}))
    await kernel.stop()

run_in_virtual_time(main())
"""


@pytest.mark.skipif(shutil.which("strace") is None, reason="the system calls of a process are seen by strace only")
def test_the_disk_has_synced_before_an_order_leaves_and_the_directory_once(tmp_path):
    seen = tmp_path / "calls"
    command = ["strace", "-f", "-y", "-e", "trace=pwrite64,fsync,fdatasync,write", "-o", seen, sys.executable, "-c", STORY, tmp_path / "orders.db"]
    subprocess.run(command, check=True, capture_output=True)
    words = {r"pwrite64\(.*orders\.db-wal": "write", r"f(?:data)?sync\(.*orders\.db-wal": "sync", rf"f(?:data)?sync\(\d+<{re.escape(str(tmp_path))}>": "directory",
             r"write\(.*PLACE": "place", r"write\(.*MODIFY": "modify", r"write\(.*SENT": "sent"}
    calls = [word for line in seen.read_text().splitlines() for pattern, word in words.items() if re.search(pattern, line)]
    assert "directory" in calls[:calls.index("place")]
    for asked in ("place", "modify"):
        until_sent = calls[calls.index(asked):]
        until_sent = until_sent[:until_sent.index("sent")]
        assert "write" in until_sent
        assert until_sent[-1] == "sync", until_sent
