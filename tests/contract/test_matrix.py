"""Every operation under every fault: the outcome is what the table says, and never one that the exchange's own ledger belies."""

from __future__ import annotations

import pytest

from tests.contract.matrix.asserted import asserted, cells
from tests.contract.matrix.cells import Cell, printed, summary, table


@pytest.mark.proves("rule 1")
async def test_no_outcome_is_belied_by_the_exchange_and_each_is_what_the_table_says(capsys: pytest.CaptureFixture[str]) -> None:
    found = await cells()
    with capsys.disabled():
        print(printed(found))
        print(summary(found))
    assert [cell for cell in found if cell.done_but_refused] == [], "live at the exchange, and we would believe that it never will be"
    assert [cell for cell in found if cell.absent_but_accepted] == [], "not at the exchange, and we would believe that it is"
    assert table(found) == asserted(), "run `python -m tests.contract.matrix --write` if this is what is meant"


@pytest.mark.parametrize(("outcome", "effect", "fault", "wrong", "reason"), [
    ("Refused -2010", True, "drop", (True, False), "it lives"),
    ("NotSent", True, "drop", (True, False), "it lives"),
    ("TimeRefused", True, "drop", (True, False), "it lives"),
    ("Unknown", True, "drop", (False, False), "we will look"),
    ("Duplicate -2010", True, "drop", (False, False), "we will look"),
    ("Accepted Open", False, "drop", (False, True), "there is nothing"),
    ("Accepted Canceled", False, "cancel-lost", (False, False), "the venue's own lie"),
    ("Listing 0", None, "drop", (False, False), "nothing was asked for"),
], ids=lambda value: value if isinstance(value, str) else "")
def test_what_may_never_be_in_a_cell(outcome: str, effect: bool | None, fault: str, wrong: tuple[bool, bool], reason: str) -> None:
    cell = Cell("a matrix", "submit", fault, outcome, effect)
    assert (cell.done_but_refused, cell.absent_but_accepted) == wrong, reason
