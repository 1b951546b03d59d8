"""Prints the matrix; `--write` makes it the table that is asserted."""

from __future__ import annotations

import argparse
import asyncio
import sys

from tests.contract.matrix.asserted import cells, write
from tests.contract.matrix.cells import printed, summary


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true")
    found = asyncio.run(cells())
    print(printed(found))
    print(summary(found))
    if parser.parse_args().write:
        write(found)
    return 1 if any(cell.done_but_refused or cell.absent_but_accepted for cell in found) else 0


sys.exit(main())
