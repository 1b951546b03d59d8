"""A short storm, as `make chaos` is a long one: the exchange's ledger and every status must agree at its end."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.proves("F51")
def test_a_short_storm() -> None:
    command = [sys.executable, "-u", "-m", "tests.chaos.storm", "--seed", "1", "--intents", "80"]
    done = subprocess.run(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    print(done.stdout)
    assert done.returncode == 0
