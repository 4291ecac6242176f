"""What the figures of search and training draw: every mark stands for its number."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nachos_jax.report.figures.agreement import INACTIVE, ROWS, agreement
from nachos_jax.report.figures.bars import importance, spent
from nachos_jax.report.figures.learning import FitCurve, curves, learning, thin
from nachos_jax.report.figures.search import MOST, OFF, SearchAxis, TrialLine, parallel
from nachos_jax.report.figures.style import TOP
from tests.report.drawn_marks import Drawn
from tests.report.figure_examples import AXES, TRIALS

RATE, OPTIMIZER = AXES


def test_nothing_to_draw_draws_nothing():
    assert curves({"fold 0": (None,)}, "losses") is None
    assert curves({}, "losses") is None
    assert learning([], {}, {}) is None
    assert learning([FitCurve(0, 0, 1, (float("nan"), None))], {}, {}) is None
    assert parallel([], TRIALS, "score") is None
    assert parallel(AXES, [], "score") is None
    assert agreement([], {"fold 0": {}}) is None
    assert agreement(AXES, {}) is None
    assert importance({"a": None}) is None
    assert spent({}) is None


@settings(deadline=None, max_examples=25)
@given(st.lists(st.lists(st.floats(0, 3), min_size=1, max_size=40), min_size=1, max_size=12))
def test_labels_of_curves_never_touch_and_stay_inside(lines):
    found = Drawn(lambda: curves({f"fold {i}": line for i, line in enumerate(lines)}, "losses"))
    heights = sorted(box.bottom for box in found.boxes if box.words.startswith("fold"))
    assert len(heights) == len(lines)
    assert all(b - a >= 13.8 for a, b in zip(heights, heights[1:], strict=False))
    assert heights[0] > TOP
    assert heights[-1] <= 247


def test_curves_pass_through_their_losses_and_leave_out_gaps():
    found = Drawn(lambda: curves({"fold 0": (0.7, None, 0.5), "fold 1": (0.6,)}, "losses"))
    assert [points.tolist() for points in found.data("curve")] == [[[1, 0.7], [3, 0.5]], [[1, 0.6]]]
    _, dot = found.canvas.findobj(lambda a: a.get_label() == "curve")
    assert dot.get_marker() == "o"
    many = Drawn(lambda: curves({f"fold {i}": (0.7, 0.5) for i in range(13)}, "losses"))
    assert len(many.data("curve")) == 13
    assert "fold 0" not in many.words


def fits(folds, trials, inner, epochs):
    return [
        FitCurve(k, h, j, [1 / (e + h + 1) + (e * (j + 7) % 13) / 50 for e in range(epochs)])
        for k in range(folds)
        for h in range(trials)
        for j in range(inner)
    ]


def test_the_chosen_epoch_stands_at_its_place_and_the_selected_trial_is_on_top():
    made = fits(1, 3, 2, 21)
    found = Drawn(lambda: learning(made, {0: 1}, {0: 11.0}))
    assert found.data("chosen")[0][:, 0].tolist() == [11, 11]
    kinds = [item.get("class") for item in found.root.iter("g")]
    assert [kind for kind in kinds if kind in ("faint", "taken")] == ["faint", "faint", "taken"]
    (taken,) = found.data("taken")
    wanted = [(e, loss) for fit in made if fit.trial == 1 for e, loss in enumerate(fit.losses, 1)]
    assert taken[np.isfinite(taken[:, 0])].tolist() == [list(point) for point in wanted]
    assert "fold 0: trial 1, n* 11" in found.words


def test_ten_folds_of_sixteen_trials_stay_small_and_the_table_stays_whole():
    many = fits(10, 16, 9, 60)
    found = Drawn(lambda: learning(many, {k: k for k in range(10)}, {k: 7.0 for k in range(10)}))
    assert len(found.figure.svg) < 250_000
    assert len(found.figure.table.rows) == 10 * 16 * 9 * 60
    assert len(found.data("taken")) == 10


def test_what_is_not_drawn_is_said():
    found = Drawn(lambda: learning(fits(2, 1500, 1, 3), {0: 0}, {}))
    assert any("one in 2 fits" in words for words in found.words)
    high = Drawn(lambda: learning([FitCurve(0, 0, 1, [0.5] * 99 + [1e6])], {}, {}))
    assert any("upper edge" in words for words in high.words)


@given(st.integers(3, 60))
def test_a_thinned_line_keeps_its_ends_and_a_lone_peak(limit):
    x, y = np.arange(1000.0), np.zeros(1000)
    y[437] = 10.0
    xs, ys = thin(x, y, limit)
    assert len(xs) == limit
    assert (xs[0], xs[-1]) == (0, 999)
    assert ys.max() == 10.0
    assert thin(x[:3], y[:3], 3)[0].tolist() == [0, 1, 2]


def test_selected_trials_are_drawn_with_a_dot_on_every_axis():
    found = Drawn(lambda: parallel(AXES, TRIALS, "score"))
    picked, dots = found.data("picked"), found.data("selected")
    assert (len(found.data("trace")), len(picked)) == (9, 3)
    assert all(np.array_equal(line, points) for line, points in zip(picked, dots, strict=True))
    assert {"learning_rate", "optimizer", "score", "sgd", "adam"} <= found.words


def test_log_axes_space_powers_of_ten_evenly_and_scores_their_differences():
    trials = [TrialLine(0, i, {"rate": 10.0**-i}, float(i)) for i in range(4)]
    found = Drawn(lambda: parallel([SearchAxis("rate", "log")], trials, "score"))
    places = np.array([line[:, 0] for line in found.data("trace")])
    assert np.diff(places[:, 0]) == pytest.approx([np.diff(places[:, 0])[0]] * 3)
    assert np.diff(places[:, 1]) == pytest.approx(-np.diff(places[:, 0]), rel=0.05)
    assert {"0.001", "0.01", "0.1", "1"} <= found.words


def test_inactive_values_and_failed_trials_stand_apart():
    trials = [TrialLine(0, 0, {"rate": None}, None), TrialLine(0, 1, {"rate": 0.1}, 0.5)]
    found = Drawn(lambda: parallel([SearchAxis("rate", "linear")], trials, "score"))
    assert {"off", "failed"} <= found.words
    absent, present = found.data("trace")
    assert absent[:, 0].tolist() == pytest.approx([OFF, OFF])
    assert present[:, 0].min() > OFF + 20


def test_many_trials_are_thinned_out_and_that_is_said():
    trials = [TrialLine(0, i, {"rate": i / 9}, 0.5, i == 0) for i in range(MOST + 2)]
    found = Drawn(lambda: parallel([SearchAxis("rate", "linear")], trials, "score"))
    assert "trial (one in 2)" in found.words
    assert len(found.figure.table.rows) == MOST + 2


def test_most_frequent_choices_are_filled_and_counted():
    chosen = {f"fold {i}": {"optimizer": "adam" if i else "sgd"} for i in range(4)}
    found = Drawn(lambda: agreement([OPTIMIZER], chosen))
    assert [len(points) for points in found.data("selected")] == [3]
    assert [len(points) for points in found.data("hollow")] == [1]
    assert found.data("hollow")[0][0, 0] < found.data("selected")[0][:, 0].min(), "fold 0 is the first column"
    assert {"1 of 4", "3 of 4", "adam", "sgd", "0", "3"} <= found.words


def test_folds_that_differ_or_are_inactive_agree_on_nothing():
    differ = {f"fold {i}": {"learning_rate": 10.0**-i} for i in range(4)}
    assert not Drawn(lambda: agreement([RATE], differ)).data("selected")
    chosen = {"fold 0": {"learning_rate": None}, "fold 1": {}, "fold 2": {"learning_rate": 0.1}}
    found = Drawn(lambda: agreement([RATE], chosen))
    assert {INACTIVE, "1 of 1"} <= found.words
    assert not found.data("selected")


def test_many_numbers_share_intervals_that_hold_all_folds():
    chosen = {f"fold {i}": {"learning_rate": 10 ** -(i / 4)} for i in range(12)}
    found = Drawn(lambda: agreement([RATE], chosen))
    said = [box.words for box in found.boxes]
    shares = [int(m[1]) for text in said if (m := re.fullmatch(r"(\d+) of 12", text))]
    assert len(shares) == ROWS - 1
    assert sum(shares) == 12
    assert any(" to " in text for text in said)


def test_bars_are_as_long_as_their_numbers():
    found = Drawn(lambda: importance({"a": 0.6, "b": 0.3, "c": -0.1, "d": None}))
    assert [bar[:, 0].max() for bar in found.data("bar")] == [0.6, 0.3]
    assert {"0.600", "\N{MINUS SIGN}0.100", "not known"} <= found.words


def test_time_is_told_with_its_share():
    found = Drawn(lambda: spent({"training": 5400.0, "compiling": 600.0}))
    assert {"1 h 30 min, 90\N{NO-BREAK SPACE}%", "10 min 0 s, 10\N{NO-BREAK SPACE}%"} <= found.words
