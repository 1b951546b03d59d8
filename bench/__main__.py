"""Runs benchmarks by name, prints their table and writes bench/results/latest.json. Exits 1 if a ratio is beyond its target."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping

import uvloop

from bench import adapter, groups, place_order
from bench.report import Figure, printed, write

#: By name: what to run with how many units and how often.
BENCHMARKS: Mapping[str, Callable[[int, int], Awaitable[list[Figure]]]] = {
    "adapter": adapter.measure, "groups": groups.measure, "place-order": place_order.measure,
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=f"which: {', '.join(BENCHMARKS)}; all of them if none is named")
    parser.add_argument("--units", type=int, default=1000, help="orders in each run")
    parser.add_argument("--runs", type=int, default=5, help="of each of the two sides, taking turns")
    asked = parser.parse_args()
    if unknown := set(asked.names) - set(BENCHMARKS):
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}: there are {', '.join(BENCHMARKS)}")
    figures: list[Figure] = []
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:        # as the operator's own process does
        for name in asked.names or BENCHMARKS:
            figures += runner.run(BENCHMARKS[name](asked.units, asked.runs))
    print(printed(figures))
    write(figures)
    return 0 if all(figure.holds for figure in figures) else 1


sys.exit(main())
