"""hack/beside.py: what failed is told at the end of the log, where a reader looks first."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

BESIDE = Path(__file__).resolve().parents[2] / "hack" / "beside.py"
MAKEFILE = """
.PHONY: good bad broken later
good:
	@echo all is well
bad:
	@echo 'E       AssertionError: not within 20 s: the order'
	@echo 'FAILED tests/test_orders.py::test_it_fills'
	@for i in $$(seq 100); do echo noise; done; exit 1
broken:
	@echo no test ran; exit 2
later:
	@sleep 1; echo the end of another lane
"""


def test_the_end_of_the_log_says_what_failed_in_each_lane(tmp_path: Path) -> None:
    (tmp_path / "Makefile").write_text(MAKEFILE)
    ran = subprocess.run([sys.executable, BESIDE, "bad,good", "broken", "later"], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 1
    end = ran.stdout.splitlines()[-5:]
    assert end[:3] == ["      bad| E       AssertionError: not within 20 s: the order", "      bad| FAILED tests/test_orders.py::test_it_fills", "   broken| no test ran"]
    assert end[-1] == "failed: bad, broken"
    assert "good| all is well" in ran.stdout, "a lane runs to its end"


def test_nothing_is_repeated_of_what_passed(tmp_path: Path) -> None:
    (tmp_path / "Makefile").write_text(MAKEFILE)
    ran = subprocess.run([sys.executable, BESIDE, "good"], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (ran.returncode, ran.stdout.count("all is well")) == (0, 1)
