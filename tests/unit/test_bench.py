"""A figure of a benchmark: medians, what they are to each other, and whether that is allowed."""

from __future__ import annotations

from bench.report import Figure, printed


def a_figure(*ours: float, target: float | None = 1.3) -> Figure:
    return Figure("adapter", "CPU for an order", "bare ccxt", "µs", ours, (100, 200, 300), target)


def test_the_ratio_is_of_medians_and_the_spread_of_the_runs_as_they_were_paired():
    figure = a_figure(120, 500, 200)
    assert (figure.ratio, figure.spread) == (1.0, (200 / 300, 2.5)), "one slow run is seen in the spread and not in the ratio"
    assert figure.holds


def test_a_ratio_beyond_its_target_is_marked():
    beyond = a_figure(300, 300, 300)
    assert not beyond.holds
    assert "≤ 1.3 !" in printed([beyond])
    assert beyond.document()["holds"] is False


def test_a_ratio_without_a_target_is_told_and_judged_by_nobody():
    told = a_figure(900, 900, 900, target=None)
    assert told.holds
    assert "4.50" in printed([told])
    assert "≤" not in printed([told])
    assert "!" not in printed([told])


def test_what_is_kept_names_no_machine():
    assert set(a_figure(1, 2, 3).document()) == {"benchmark", "what", "beside", "unit", "ours", "theirs", "ratio", "spread", "target", "holds"}
