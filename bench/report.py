"""A figure, the table of them, and what is kept: numbers, versions and the kind of machine; no names and no paths."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

RESULTS = Path(__file__).with_name("results") / "latest.json"
PACKAGES = ("exchange-kernel", "ccxt", "aiohttp", "uvloop")


@dataclass(frozen=True, slots=True)
class Figure:
    """How many times as much as the other side ours takes: the ratio of medians, and of the runs as they were paired."""

    benchmark: str
    what: str
    beside: str
    unit: str                       # of the runs
    ours: Sequence[float]
    theirs: Sequence[float]
    target: float | None            # the greatest ratio that is allowed; None: it is told for comparison

    @property
    def ratio(self) -> float:
        return median(self.ours) / median(self.theirs)

    @property
    def spread(self) -> tuple[float, float]:
        ratios = [mine / other for mine, other in zip(self.ours, self.theirs, strict=True)]
        return min(ratios), max(ratios)

    @property
    def holds(self) -> bool:
        return self.target is None or self.ratio <= self.target

    def document(self) -> dict[str, Any]:
        low, high = self.spread
        return {
            "benchmark": self.benchmark, "what": self.what, "beside": self.beside, "unit": self.unit, "ours": [round(one, 1) for one in self.ours],
            "theirs": [round(one, 1) for one in self.theirs], "ratio": round(self.ratio, 3), "spread": [round(low, 3), round(high, 3)],
            "target": self.target, "holds": self.holds,
        }


def printed(figures: Sequence[Figure]) -> str:
    lines = [f"{'benchmark':<12}{'what':<34}{'ours':>12}{'beside':>12}{'ratio':>8}{'spread':>16}{'target':>9}"]
    for figure in figures:
        low, high = figure.spread
        ours, theirs = (f"{median(side):.0f} {figure.unit}" for side in (figure.ours, figure.theirs))
        target = f"≤ {figure.target:g}{'' if figure.holds else ' !'}" if figure.target is not None else "-"
        lines.append(f"{figure.benchmark:<12}{figure.what:<34}{ours:>12}{theirs:>12}{figure.ratio:>8.2f}{f'{low:.2f} to {high:.2f}':>16}{target:>9}")
        lines.append(f"{'':<12}beside {figure.beside}")
    return "\n".join(lines)


def write(figures: Sequence[Figure]) -> None:
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps({
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(), "machine": platform.machine(), "processors": os.cpu_count(),
        "packages": {name: version(name) for name in PACKAGES},
        "figures": [figure.document() for figure in figures],
    }, indent=2) + "\n")
