"""`make demo-loaded`: the demo, again and again, with two busy loops per core beside it: what a machine that does something else makes of its waits."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import subprocess
import sys
import time
from pathlib import Path

DEMO = Path(__file__).with_name("demo.py")
LOOPS_PER_CORE = 2


def spin() -> None:
    while os.getppid() == STARTED_BY:
        for _ in range(1_000_000):
            pass


STARTED_BY = os.getpid()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10)
    runs = parser.parse_args().runs
    loops = [multiprocessing.get_context("fork").Process(target=spin, daemon=True) for _ in range(LOOPS_PER_CORE * (os.cpu_count() or 1))]
    for loop in loops:
        loop.start()
    try:
        for run in range(1, runs + 1):
            began = time.monotonic()
            done = subprocess.run([sys.executable, "-u", DEMO], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
            print(f"run {run} of {runs}: {'green' if done.returncode == 0 else 'failed'} after {time.monotonic() - began:.0f} s", flush=True)
            if done.returncode != 0:
                print(done.stdout, flush=True)
                return 1
    finally:
        for loop in loops:
            loop.terminate()
    return 0


if __name__ == "__main__":
    sys.exit(main())
