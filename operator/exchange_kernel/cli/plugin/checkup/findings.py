"""A finding of `doctor`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from exchange_kernel.cli.plugin.cluster import Cluster


class Level(StrEnum):
    OK = "ok"
    WARNING = "warning"
    WRONG = "wrong"
    NOT_CHECKED = "not checked"


@dataclass(frozen=True, slots=True)
class Finding:
    level: Level
    about: str
    says: str
    mend: str = ""


#: What is asked, and the namespace in which the operator is looked for. Raises Failure where it can't be told.
Check: TypeAlias = Callable[[Cluster, str], Iterable[Finding]]
