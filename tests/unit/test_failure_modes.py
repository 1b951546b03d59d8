"""The page of failure modes can't drift from its table and from the marks on tests."""

from __future__ import annotations

import failure_modes
import pytest
import yaml

TEST = '@pytest.mark.proves({modes})\n@scenario\nasync def test_it():\n    """A story."""\n'


@pytest.fixture
def house(tmp_path):
    """A tree in which every mode has a test."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "tests" / "unit").mkdir(parents=True)

    def build(modes=tuple(failure_modes.MODES), **changes):
        table = {mode: {"title": f"title of {mode}", "does": "what is done"} for mode in failure_modes.MODES}
        for mode, change in changes.items():
            table[mode] = {**table.get(mode, {}), **change}
        (tmp_path / "docs" / "failure-modes.yaml").write_text(yaml.safe_dump(table))
        (tmp_path / "tests" / "unit" / "test_a.py").write_text(TEST.format(modes=", ".join(map(repr, modes))))
        return tmp_path

    return build


def test_the_page_has_every_mode_with_its_tests(house):
    page = failure_modes.page(house())
    assert page.count("`tests/unit/test_a.py::test_it`") == len(failure_modes.MODES) == 17 + 26 + 51
    assert "| H7 | title of H7 | what is done | `tests/unit/test_a.py::test_it` |" in page


WITHOUT_H7 = [mode for mode in failure_modes.MODES if mode != "H7"]


@pytest.mark.parametrize(("modes", "changes", "said"), [
    (WITHOUT_H7, {}, "no test proves H7"),
    ([*failure_modes.MODES, "H99"], {}, "proves H99, which docs/failure-modes.yaml does not have"),
    (failure_modes.MODES, {"H99": {"title": "t", "does": "d"}}, "has H99, which is no mode"),
    (failure_modes.MODES, {"H7": {"pending": "soon"}}, "H7 has tests now"),
    (failure_modes.MODES, {"H7": {"not_applicable": "no"}}, "H7 has tests now"),
    (failure_modes.MODES, {"H7": {"note": "a field that nobody reads"}}, "H7 needs title and does"),
], ids=lambda value: value if isinstance(value, str) else "")
def test_a_disagreement_is_told(house, modes, changes, said):
    with pytest.raises(failure_modes.Disagreement, match=said):
        failure_modes.page(house(modes, **changes))


@pytest.mark.parametrize("reason", ["pending", "not_built", "not_applicable"])
def test_without_a_test_there_is_a_reason(house, reason):
    assert ": because. |" in failure_modes.page(house(WITHOUT_H7, H7={reason: "because"}))


def test_what_is_built_in_part_has_tests_and_says_what_is_missing(house):
    page = failure_modes.page(house(H7={"not_built": "the rest"}))
    assert "`tests/unit/test_a.py::test_it`<br>Not built yet: the rest. |" in page
