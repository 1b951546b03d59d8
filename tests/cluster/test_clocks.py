"""An operator whose machine has the wrong time, on a real API server and against the exchange's own ledger."""

from __future__ import annotations

import pytest

from tests.support import eventually

SKEWED = """
import time
real_s, real_ns = time.time, time.time_ns
time.time, time.time_ns = lambda: real_s() + {off}, lambda: real_ns() + {off} * 10**9
"""


@pytest.mark.parametrize("off", [360, -360], ids=["six minutes ahead", "six minutes behind"])
def test_an_operator_s_clock_that_is_six_minutes_off_denies_no_order_and_forgets_no_deadline(desk, tmp_path, monkeypatch, off):
    (tmp_path / "sitecustomize.py").write_text(SKEWED.format(off=off))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    trading = desk.trading
    operator = desk.start()
    trading.await_account()
    trading.place("in-time")
    trading.await_state("in-time", "Filled")
    eventually(lambda: "this machine's clock is off" in operator.log.read_text(), within=60, what="the log says so")

    trading.run("patch", "xa", "main", "--type=merge", "-p", '{"spec":{"tradingMode":"CancelOnly"}}')
    eventually(lambda: trading.run("get", "xa", "main", "-o", "jsonpath={.status.tradingMode}") == "CancelOnly", within=60, what="the account to be CancelOnly")
    trading.place("late", submitDeadlineSeconds=5)
    trading.await_state("late", "Denied", within=60)
    assert trading.condition("late", "Finished")["reason"] == "SubmitDeadlineExceeded"
    assert len(desk.exchange.orders()) == 1
