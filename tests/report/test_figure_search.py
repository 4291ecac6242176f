"""Figures of the search: each trial passes its own values, and agreement counts the folds."""

from __future__ import annotations

import re

import pytest

from nachos_jax.report.figures.agreement import INACTIVE, ROWS, agreement
from nachos_jax.report.figures.bars import importance, spent
from nachos_jax.report.figures.search import MOST, SearchAxis, TrialLine, parallel
from tests.report.figure_examples import AXES, TRIALS, drawn
from tests.report.svg_marks import boxes, marks

RATE, OPTIMIZER = AXES


def of(svg, style):
    return [points for kind, points in marks(svg) if kind == style]


def said(svg):
    return [box.words for box in boxes(svg)]


def test_selected_trials_are_drawn_over_the_others_with_a_dot_on_every_axis():
    svg = drawn(parallel(AXES, TRIALS, "score")).svg
    kinds = [kind for kind, points in marks(svg) if kind in ("trace", "picked") and len(points) == 3]
    assert kinds == ["trace"] * 9 + ["picked"] * 3
    dots = {points[0] for points in of(svg, "selected")}
    for line in of(svg, "picked"):
        assert len(line) == 2 or all(
            any(point == pytest.approx(dot, abs=0.11) for dot in dots) for point in line
        )


def test_log_axes_space_powers_of_ten_evenly():
    trials = [TrialLine(0, i, {"rate": 10.0**-i}, float(i)) for i in range(4)]
    svg = drawn(parallel([SearchAxis("rate", "log")], trials, "score")).svg
    starts = [line[0][0] for line in of(svg, "trace") if line[1][1] > line[0][1]]
    steps = [a - b for a, b in zip(starts, starts[1:], strict=False)]
    assert steps == pytest.approx([steps[0]] * 3, abs=0.2)
    assert steps[0] > 50


def test_inactive_values_and_failed_trials_stand_apart():
    trials = [TrialLine(0, 0, {"rate": None}, None), TrialLine(0, 1, {"rate": 0.1}, 0.5)]
    svg = drawn(parallel([SearchAxis("rate", "linear")], trials, "score")).svg
    assert {"off", "failed"} <= set(said(svg))
    lines = [line for line in of(svg, "trace") if line[1][1] > line[0][1]]
    assert max(x for x, _ in lines[0]) < min(x for x, _ in lines[1])


def test_many_trials_are_thinned_out_and_that_is_said():
    trials = [TrialLine(0, i, {"rate": i / 9}, 0.5, i == 0) for i in range(MOST + 2)]
    figure = drawn(parallel([SearchAxis("rate", "linear")], trials, "score"))
    assert "trial (one in 2)" in said(figure.svg)
    assert len(figure.table.rows) == MOST + 2


def test_nothing_searched_draws_nothing():
    assert parallel([], TRIALS, "score") is None
    assert parallel(AXES, [], "score") is None
    assert agreement([], {"fold 0": {}}) is None
    assert agreement(AXES, {}) is None
    assert importance({"a": None}) is None
    assert spent({}) is None


def test_most_frequent_choices_are_filled_and_counted():
    chosen = {f"fold {i}": {"optimizer": "adam" if i else "sgd"} for i in range(4)}
    svg = drawn(agreement([OPTIMIZER], chosen)).svg
    assert (len(of(svg, "selected")), len(of(svg, "hollow"))) == (3, 1)
    assert {"1 of 4", "3 of 4"} <= set(said(svg))


def test_folds_that_all_differ_agree_on_nothing():
    chosen = {f"fold {i}": {"learning_rate": 10.0**-i} for i in range(4)}
    svg = drawn(agreement([RATE], chosen)).svg
    assert not of(svg, "selected")


def test_inactive_folds_neither_agree_nor_count():
    chosen = {"fold 0": {"learning_rate": None}, "fold 1": {}, "fold 2": {"learning_rate": 0.1}}
    svg = drawn(agreement([RATE], chosen)).svg
    assert {INACTIVE, "1 of 1"} <= set(said(svg))
    assert not of(svg, "selected")


def test_many_numbers_share_intervals_that_hold_all_folds():
    chosen = {f"fold {i}": {"learning_rate": 10 ** -(i / 4)} for i in range(12)}
    svg = drawn(agreement([RATE], chosen)).svg
    shares = [int(m[1]) for text in said(svg) if (m := re.fullmatch(r"(\d+) of 12", text))]
    assert len(shares) == ROWS - 1
    assert sum(shares) == 12
    assert any(" to " in text for text in said(svg))


def test_bars_are_as_long_as_their_numbers():
    svg = drawn(importance({"a": 0.6, "b": 0.3, "c": -0.1, "d": None})).svg
    widths = [b[0] - a[0] for a, b in of(svg, "bar")]
    assert widths == pytest.approx([widths[0], widths[0] / 2], abs=0.11)
    assert {"0.600", "\N{MINUS SIGN}0.100", "not known"} <= set(said(svg))


def test_time_is_told_with_its_share():
    svg = drawn(spent({"training": 5400.0, "compiling": 600.0})).svg
    assert {"1 h 30 min, 90\N{NO-BREAK SPACE}%", "10 min 0 s, 10\N{NO-BREAK SPACE}%"} <= set(said(svg))
