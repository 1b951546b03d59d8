"""`exchange-kernel simulate` as the process that it is."""

from __future__ import annotations

import json
import urllib.request
from typing import Any

import pytest
from typer.testing import CliRunner

from exchange_kernel.cli.children import Child
from exchange_kernel.cli.main import app
from tests.support import eventually
from tests.unit.exchanges.simulated.client import cases


def read(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=60) as answer:
        return json.load(answer)


def test_it_says_where_it_is_moves_by_itself_and_stops_when_told(tmp_path):
    with Child("exchange", ["simulate", "--symbols", "BTC/USDT,SOL/EUR", "--seed", "3", "--tick-ms", "20", "--balance", "EUR=7"], tmp_path) as child:
        ready = child.ready
        assert set(ready) == {"pid", "port", "rest", "websocket", "control", "uid"}
        assert [market["symbol"] for market in read(f"{ready['rest']}/api/v3/exchangeInfo")["symbols"]] == ["BTCUSDT", "SOLEUR"]
        balances = read(f"{ready['control']}/ledger")["balances"][str(ready["uid"])]
        assert {"asset": "EUR", "free": "7.00000000", "locked": "0.00000000"} in balances
        before = read(f"{ready['control']}/market")
        eventually(lambda: read(f"{ready['control']}/market") != before, within=60, what="the market moves")
        assert child.stop() == 0


@pytest.mark.parametrize(("reason", "arguments", "words"), cases(
    ("a market without a slash", ["--symbols", "BTCUSDT"], "write BASE/QUOTE"),
    ("a contract that is not settled in USDT", ["--contracts", "BTC/USD:BTC"], "write BASE/USDT:USDT"),
    ("a balance without an amount", ["--balance", "USDT"], "write ASSET=AMOUNT"),
    ("a fault that there is not", ["--fault", "meteor"], "there are accept-then-drop"),
    ("a fee that is no number", ["--taker-fee", "much"], "is not a number of 0 or more"),
))
def test_what_makes_no_sense_is_told_before_it_starts(reason, arguments, words):
    done = CliRunner().invoke(app, ["simulate", *arguments])
    assert done.exit_code == 2
    assert words in " ".join(done.output.replace("│", " ").split())


def test_faults_are_in_force_from_the_start(tmp_path):
    arguments = ["simulate", "--fault", "maintenance", "--fault", '{"do": "visibility-delay", "ms": 7}']
    with Child("exchange", arguments, tmp_path) as child:
        shown = read(f"{child.ready['control']}/faults")
        assert (shown["visibilityDelayMs"], [(fault["do"], fault["status"], fault["left"]) for fault in shown["faults"]]) == (7, [("status", 503, None)])
        assert child.stop() == 0
