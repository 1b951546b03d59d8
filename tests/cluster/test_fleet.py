"""A small fleet, as `make fleet` is a large one: every strategy hears all of its own orders, in order, though the API server is taken away in the middle."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_a_small_fleet_of_strategies() -> None:
    command = [sys.executable, "-u", "-m", "tests.fleet", "--processes", "2", "--kernels", "5", "--orders", "12", "--away", "2"]
    done = subprocess.run(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    print(done.stdout)
    assert done.returncode == 0
    assert "kernels that listed again: 0 " not in done.stdout, "whoever had not come to its end had a gap"
