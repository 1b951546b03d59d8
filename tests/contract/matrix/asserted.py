"""The whole matrix as it is now, and as it is asserted to be: `table.yaml`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from tests.contract.matrix import binance_spot, venue_rows
from tests.contract.matrix.cells import Cell, table

TABLE = Path(__file__).with_name("table.yaml")
NOTICE = "# What each operation's outcome is under each fault, and whether the exchange did it. Written by `python -m tests.contract.matrix --write`.\n"


async def cells() -> list[Cell]:
    return [*await binance_spot.cells(), *await venue_rows.cells()]


def write(found: list[Cell]) -> None:
    TABLE.write_text(NOTICE + yaml.safe_dump(table(found), sort_keys=False, width=150, allow_unicode=True))


def asserted() -> Any:
    return yaml.safe_load(TABLE.read_text())
