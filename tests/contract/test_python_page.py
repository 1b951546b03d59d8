"""The snippets of docs/python.md, risk.md and backtests.md that need no cluster run as they stand. The first one of python.md is tests/cluster/test_kernel.py's."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

from exchange_kernel.exchanges.simulated import run_in_virtual_time
from exchange_kernel.kernel import State
from tests.cluster.operating import Exchange
from tests.conformance.bench import local_bench
from tests.conformance.checks import MARKET
from tests.unit.kernel.test_check import a_group

PAGE = Path(__file__).parents[2] / "docs" / "python.md"


def snippet_of(number: int, page: Path) -> str:
    return str(re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)[number])


def room_of(number: int, page: Path = PAGE) -> dict[str, Any]:
    room: dict[str, Any] = {"__name__": "snippet"}
    exec(compile(snippet_of(number, page), str(page), "exec"), room)
    return room


async def test_groups(tmp_path):
    exchange = Exchange(tmp_path)
    bench = local_bench(exchange, tmp_path)
    try:
        kernel = await bench.kernel()
        entry, then = await room_of(1)["buy_then_sell"](kernel)
        assert [(await kernel.get_order_state(name)).state for name in (entry, then)] == [State.OPEN, State.PENDING]
        assert (await kernel.get_order_intent(then)).order.price == 82000
    finally:
        await bench.close()
        exchange.stop()


async def test_a_group_that_can_not_be_protected_is_not_placed(tmp_path, capsys):
    exchange = Exchange(tmp_path)
    bench = local_bench(exchange, tmp_path)
    try:
        kernel = await bench.kernel()
        place = room_of(2)["place_if_it_fits"]
        assert await place(kernel, a_group(trigger="65000", price="64900")) == []
        assert "Member stop: a StopLoss that sells is below the Entry's price" in capsys.readouterr().out
        assert len(await place(kernel, a_group(entry="40000", trigger="35000", price="34900"))) == 2
        assert "stop Sell StopLimit 0.00999 34900 35000 once the entry fills" in capsys.readouterr().out
    finally:
        await bench.close()
        exchange.stop()


async def test_what_is_held(tmp_path):
    exchange = Exchange(tmp_path)
    bench = local_bench(exchange, tmp_path)
    try:
        kernel = await bench.kernel()
        bought = await kernel.place_order(MARKET)
        await bench.until(kernel, bought, "Filled")
        total = await room_of(4)["held"](kernel, "BTC/USDT", [bought])
        assert Decimal("100.01") < total <= Decimal("100.02"), "the fill counts once, and its fee was paid of it"
    finally:
        await bench.close()
        exchange.stop()


async def test_without_a_cluster(tmp_path, capsys):
    await room_of(3)["main"](str(tmp_path / "orders.db"))
    assert "Filled: 0.05 BTC" in capsys.readouterr().out


async def test_limits_without_a_cluster():
    kernel = room_of(0, PAGE.with_name("risk.md"))["guarded"](None)
    assert list(kernel._risk_limits) == ["desk", "pace"]


def test_a_backtest_is_the_same_twice_also_in_another_process(tmp_path):
    page = PAGE.with_name("backtests.md")
    room = room_of(0, page)
    first, second = (run_in_virtual_time(room["backtest"]()) for _ in range(2))
    assert first == second
    assert [line for line in page.read_text().splitlines() if re.match(r"[0-9:]{8} ", line)] == first[:3]
    assert "20:00:00 0.1 at 59500" in first
    script = tmp_path / "backtest.py"
    script.write_text(snippet_of(0, page))
    told = subprocess.run([sys.executable, script], env={**os.environ, "PYTHONHASHSEED": "7"}, capture_output=True, text=True, check=True).stdout
    assert [line for line in told.splitlines() if not re.search(r"\[(debug|info) ", line)] == first
