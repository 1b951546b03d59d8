"""A short storm over a sound operator, and one over an operator that is broken on purpose: the judge must tell them apart."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.proves("F51")
@pytest.mark.parametrize(("reason", "arguments"), [
    ("a sound operator: the ledger and every status agree", ["--seed", "1", "--intents", "120"]),
    ("rules 3 and 5 switched off: duplicates are found", ["--seed", "2", "--intents", "90", "--without-recovery"]),
], ids=["sound", "broken"])
def test_a_short_storm(reason: str, arguments: list[str]) -> None:
    done = subprocess.run([sys.executable, "-u", "-m", "tests.chaos.storm", *arguments], cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    print(done.stdout)
    assert done.returncode == 0, reason
