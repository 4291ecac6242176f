"""What the figures of search and training draw: every mark stands for its number."""

from __future__ import annotations

import re

import numpy as np
import pytest

from nachos_jax.report.figures import style
from nachos_jax.report.figures.learning import Fit, curves, learning
from nachos_jax.report.figures.lessons import MOST as STUDIES
from nachos_jax.report.figures.lessons import best_so_far, grouped, mattered, ranks
from nachos_jax.report.figures.of_search import time_spent
from nachos_jax.report.figures.search import INACTIVE, MOST, OFF, ROWS, Trial, agreement, parallel, strip
from tests.report.drawn_marks import Drawn
from tests.report.figure_examples import (
    KINDS,
    TRIALS,
    analysis_of,
    forest_of,
    progress,
    ranked_studies,
    spent,
)

RATE = {"learning_rate": "log"}
CURVE = {"linewidth": 1.9}


def chosen(*values):
    """A selected trial of every outer fold, by the values of one hyperparameter."""
    return [Trial(fold, 0, one, 0.5, True) for fold, one in enumerate(values)]


def test_nothing_to_draw_draws_nothing():
    assert strip([Trial(0, 0, {}, None)], "score") is None
    assert curves({"fold 0": (None,)}, "losses") is None
    assert curves({}, "losses") is None
    assert learning([]) is None
    assert learning([Fit(0, 0, 1, (float("nan"), None))]) is None
    assert parallel({}, TRIALS, "score") is None
    assert parallel(KINDS, [], "score") is None
    assert agreement({}, TRIALS) is None
    assert agreement(KINDS, [Trial(0, 0, {}, 0.5)]) is None
    assert mattered(forest_of({"a": None})) is None
    assert mattered(analysis_of({"a": None})) is None
    assert mattered(forest_of({})) is None
    assert ranks(ranked_studies([[None]], [1])) is None
    assert ranks(ranked_studies([], [])) is None
    assert ranks(ranked_studies([[1.0]], [1])) is None, "solved in one epoch"
    assert best_so_far(progress([[None, None]]), "score") is None
    assert grouped([], "accuracy") is None
    assert time_spent(spent(0.0, 0.0)) is None


def test_a_strip_has_a_point_a_trial_the_selected_one_last_and_crosses_for_what_failed():
    trials = [Trial(0, i, {}, score, i == 0) for i, score in enumerate((0.5, None, float("nan"), 0.6))]
    found = Drawn(lambda: strip(trials, "score"))
    assert [p.tolist() for look in (style.TRIAL, style.SELECTED) for p in found.data(look)] == [
        [[0.6, 0]],
        [[0.5, 0]],
    ]
    assert len(found.lines(style.FAILED)) == 2
    (axes,) = found.canvas.axes
    assert axes.lines[-1] is found.lines(style.SELECTED)[0]
    told = {title.text for title in found.root.iter("title")}
    assert {"trial 0: 0.5, selected", "trial 1: failed", "trial 3: 0.6"} <= told


def test_curves_pass_through_their_losses_and_leave_out_gaps():
    found = Drawn(lambda: curves({"fold 0": (0.7, None, 0.5), "fold 1": (0.6,)}, "losses"))
    assert sorted(points[:-1].tolist() for points in found.data(CURVE)) == [[[1, 0.6]], [[1, 0.7], [3, 0.5]]]
    assert [line.get_marker() for line in found.lines(CURVE)] == ["o", ""], "in the order in which they end"
    many = Drawn(lambda: curves({f"fold {i}": (0.7, 0.5) for i in range(13)}, "losses"))
    assert len(many.data(CURVE)) == 13
    assert "fold 0" not in many.words


def fits(folds, trials, inner, epochs, selected=None):
    return [
        Fit(k, h, j, [1 / (e + h + 1) + (e * (j + 7) % 13) / 50 for e in range(epochs)], h == selected, 11.0)
        for k in range(folds)
        for h in range(trials)
        for j in range(inner)
    ]


def test_the_chosen_epoch_stands_at_its_place_and_the_selected_trial_is_on_top():
    made = fits(1, 3, 2, 21, selected=1)
    found = Drawn(lambda: learning(made))
    assert found.data(style.CHOSEN)[0][:, 0].tolist() == [11, 11]
    others, taken = found.lines(style.FAINT), found.lines(style.TAKEN)
    order = found.canvas.axes[0].lines
    assert (len(others), len(taken)) == (2, 1), "the fits of a trial are one path"
    assert max(map(order.index, others)) < min(map(order.index, taken))
    wanted = [(e, loss) for fit in made if fit.selected for e, loss in enumerate(fit.losses, 1)]
    (points,) = found.data(style.TAKEN)
    assert points[np.isfinite(points[:, 0])].tolist() == [list(point) for point in wanted]
    assert "fold 0: trial 1, n* 11" in found.words


@pytest.mark.thorough
def test_ten_folds_of_sixteen_trials_stay_small_and_the_table_stays_whole():
    many = fits(10, 16, 9, 60, selected=3)
    found = Drawn(lambda: learning(many))
    assert len(found.figure.svg) < 250_000
    assert len(found.figure.rows) == 10 * 16 * 9 * 60
    assert len(found.lines(style.TAKEN)) == 10
    ends = [(x[0], x[-2]) for x in (np.asarray(line.get_xdata()) for line in found.lines(style.FAINT))]
    assert set(ends) == {(1, 60)}, "thinned curves keep their ends"


@pytest.mark.thorough
def test_what_is_not_drawn_is_said():
    found = Drawn(lambda: learning(fits(2, 1500, 1, 3, selected=0)))
    assert any("one in 2 fits" in words for words in found.words)
    high = Drawn(lambda: learning([Fit(0, 0, 1, [0.5] * 99 + [1e6])]))
    assert any("are cut off" in words for words in high.words)


def test_selected_trials_are_drawn_with_a_dot_on_every_axis():
    found = Drawn(lambda: parallel(KINDS, TRIALS, "score"))
    assert (len(found.lines(style.TRACE)), len(found.lines(style.PICKED))) == (9, 3)
    assert {"learning_rate", "optimizer", "score", "sgd", "adam"} <= found.words


def test_log_axes_space_powers_of_ten_evenly_and_scores_their_differences():
    trials = [Trial(0, i, {"rate": 10.0**-i}, float(i)) for i in range(4)]
    found = Drawn(lambda: parallel({"rate": "log"}, trials, "score"))
    places = np.array([line[:, 0] for line in found.data(style.TRACE)])
    assert places[:, 0] == pytest.approx([1, 2 / 3, 1 / 3, 0])
    assert places[:, 1] == pytest.approx([0, 1 / 3, 2 / 3, 1])
    assert {"0.001", "0.0316", "1"} <= found.words


def test_inactive_values_and_failed_trials_stand_apart():
    trials = [Trial(0, 0, {"rate": None}, None), Trial(0, 1, {"rate": 0.1}, 0.5)]
    found = Drawn(lambda: parallel({"rate": "linear"}, trials, "score"))
    assert {"off", "failed"} <= found.words
    absent, present = found.data(style.TRACE)
    assert absent[:, 0].tolist() == [OFF, OFF]
    assert present[:, 0].min() >= 0


def test_many_trials_are_thinned_out_and_that_is_said():
    trials = [Trial(0, i, {"rate": i / 9}, 0.5, i == 0) for i in range(MOST + 2)]
    found = Drawn(lambda: parallel({"rate": "linear"}, trials, "score"))
    assert "trial (one in 2)" in found.words
    assert len(found.figure.rows) == MOST + 2


def test_most_frequent_choices_are_filled_and_counted():
    trials = chosen(*({"optimizer": "adam" if i else "sgd"} for i in range(4)))
    found = Drawn(lambda: agreement({"optimizer": "choice"}, trials))
    assert [points[:, 0].tolist() for points in found.data(style.SELECTED)] == [[1, 2, 3]]
    assert [points[:, 0].tolist() for points in found.data(style.HOLLOW)] == [[0]]
    assert {"1 of 4", "3 of 4", "adam", "sgd", "0", "3"} <= found.words


def test_folds_that_differ_or_are_inactive_agree_on_nothing():
    differ = chosen(*({"learning_rate": 10.0**-i} for i in range(4)))
    assert not Drawn(lambda: agreement(RATE, differ)).lines(style.SELECTED)
    found = Drawn(lambda: agreement(RATE, chosen({"learning_rate": None}, {}, {"learning_rate": 0.1})))
    assert {INACTIVE, "1 of 1"} <= found.words
    assert not found.lines(style.SELECTED)


@pytest.mark.parametrize("values", [[10 ** -(i / 4) for i in range(12)], [0.1 + i * 1e-9 for i in range(12)]])
def test_many_numbers_share_rows_that_hold_all_folds(values):
    found = Drawn(lambda: agreement(RATE, chosen(*({"learning_rate": value} for value in values))))
    shares = [int(m[1]) for box in found.boxes if (m := re.fullmatch(r"(\d+) of 12", box.words))]
    assert len(shares) <= ROWS - 1
    assert sum(shares) == 12
    assert (len(shares) > 1) == any(" to " in text for text in found.words)


def test_bars_are_as_long_as_their_numbers():
    found = Drawn(lambda: mattered(forest_of({"a": 0.6, "b": 0.3, "c": -0.1, "d": None})))
    assert [bar.get_width() for bar in found.canvas.axes[0].patches] == [0.6, 0.3, 0, 0]
    assert {"0.600", "\N{MINUS SIGN}0.100", "not known"} <= found.words


def test_time_is_told_with_its_share():
    found = Drawn(lambda: time_spent(spent(5400.0, 600.0)))
    assert {"1 h 30 min, 90\N{NO-BREAK SPACE}%", "10 min 0 s, 10\N{NO-BREAK SPACE}%"} <= found.words


def test_an_analysis_tells_f_and_the_corrected_p_and_its_table_is_whole():
    found = Drawn(lambda: mattered(analysis_of({"a": 0.6, "b": None})))
    assert [bar.get_width() for bar in found.canvas.axes[0].patches] == [0.6, 0]
    assert {"F 0.6, p 0.600", "no spread"} <= found.words
    columns = ("f", "df", "residual_df", "p", "p_bonferroni", "note")
    assert found.figure.header == ("name", "partial eta squared", *columns)
    assert found.figure.rows[0] == ("a", 0.6, 0.6, 2, 9, 0.6, 0.6, "")


def test_each_study_has_a_thin_line_below_the_mean():
    found = Drawn(lambda: ranks(ranked_studies([[0.2, 0.5], [None, 0.9]], [1, 4])))
    assert np.nan_to_num(found.data(style.THIN), nan=-9).tolist() == [
        [[1, 0.2], [4, 0.5]],
        [[1, -9], [4, 0.9]],
    ]
    assert found.data(style.STRONG)[0].tolist() == [[1, 0.2], [4, 0.5]]
    assert found.data(style.REFERENCE)[0][:, 1].tolist() == [0.8, 0.8]
    one = Drawn(lambda: ranks(ranked_studies([[0.2, 0.5]], [1, 4])))
    assert (len(one.lines(style.THIN)), len(one.lines(style.STRONG))) == (0, 1)
    assert {"studies", "mean"} <= found.words
    assert "search" in one.words


def test_many_studies_are_thinned_out_and_the_table_stays_whole():
    found = Drawn(lambda: ranks(ranked_studies([[0.5, 1.0]] * (STUDIES + 2), [1, 2])))
    assert len(found.lines(style.THIN)) == STUDIES // 2 + 1
    assert any("one in 2 studies" in words for words in found.words)
    assert len(found.figure.rows) == 2 * (STUDIES + 2 + 1)


def test_the_best_so_far_goes_up_in_steps_with_a_colour_a_group():
    found = Drawn(lambda: best_so_far(progress([[None, 0.6, 0.8], [0.7]]), "score"))
    (mean,) = found.lines(style.STRONG)
    assert mean.get_drawstyle() == "steps-post"
    first = found.data(style.THIN)[0]
    assert first[1:].tolist() == [[20, 0.6], [30, 0.8]]
    several = Drawn(lambda: best_so_far(progress([[0.6]], ["ax", "random"]), "score"))
    assert {"ax", "random"} <= several.words
    assert not {"mean", "search"} & several.words


def test_a_best_so_far_of_one_point_is_a_dot_for_no_line_would_show_it():
    found = Drawn(lambda: best_so_far(progress([[None, 0.6], [0.5, 0.7]]), "score"))
    assert [line.get_marker() for line in found.lines(style.THIN)] == ["o", "None"]
    (mean,) = found.lines(style.STRONG)
    assert mean.get_marker() == "o"


def test_every_run_is_a_point_in_the_row_of_its_group_for_each_score():
    told = [
        {"name": "r0", "group": "ax", "inner": 0.9, "outer": 0.8},
        {"name": "r1", "group": "random", "inner": 0.7, "outer": None},
        {"name": "r2", "group": "ax", "inner": 0.95, "outer": 0.85},
    ]
    found = Drawn(lambda: grouped(told, "accuracy"))
    outer = [point[0].tolist() for point in found.data(style.SELECTED)]
    inner = [point[0].tolist() for point in found.data(style.TRIAL)]
    assert [x for x, _ in outer] == [0.8, 0.85]
    assert len({y for _, y in outer}) == 1, "both are of one group"
    assert sorted(x for x, _ in inner) == [0.7, 0.9, 0.95]
    assert len(found.lines(style.FAILED)) == 1
    assert found.figure.rows == (
        ("r0", "ax", 0.9, 0.8),
        ("r1", "random", 0.7, None),
        ("r2", "ax", 0.95, 0.85),
    )
