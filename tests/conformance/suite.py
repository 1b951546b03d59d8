"""Runs the checks and tells what came of them: method × result, and each thing that is wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conformance.bench import Bench, an_exchange, local_bench
from tests.conformance.checks import CHECKS, METHODS, Check

EACH = 8       # checks before a fresh exchange: its weights of a minute are used up by so many kernels


@dataclass(frozen=True)
class Result:
    check: Check
    wrong: str = ""          # empty: nothing


async def run(new_bench: Callable[[], Bench], checks: Iterable[Check] = CHECKS) -> list[Result]:
    return [await _one(new_bench(), check) for check in checks]


async def run_local(directory: Path) -> list[Result]:
    """All checks on LocalKernel."""
    results = []
    for first in range(0, len(CHECKS), EACH):
        with an_exchange(directory / str(first)) as exchange:
            results += await run(lambda exchange=exchange: local_bench(exchange, directory), CHECKS[first:first + EACH])
    return results


async def _one(bench: Bench, check: Check) -> Result:
    try:
        try:
            await check.run(bench)
        finally:
            await bench.close()
    except (Exception, pytest.fail.Exception) as error:
        return Result(check, f"{type(error).__name__}: {error}".splitlines()[0][:300])
    return Result(check)


def tell(results: dict[str, list[Result]]) -> None:
    """The table, by kernel."""
    print(f"\n{'method':28}" + "".join(f"{kernel:24}" for kernel in results))
    for method in [method for method in METHODS if any(result.check.method == method for told in results.values() for result in told)]:
        print(f"{method:28}" + "".join(f"{_summary([result for result in told if result.check.method == method]):24}" for told in results.values()))
    for kernel, told in results.items():
        for result in told:
            if result.wrong:
                print(f"{kernel}.{result.check.method}: {result.check.says}: {result.wrong}")


def _summary(results: list[Result]) -> str:
    good = sum(not result.wrong for result in results)
    return f"{good}/{len(results)}" + ("" if good == len(results) else " WRONG")
