"""Scores and choices against NumPy and the rules worked out by hand."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nachos_jax.core.types import TrialScore
from nachos_jax.protocol.design.selection import mean_epochs, score_trial, select, spread
from nachos_jax.records.schema import Curve

LOSSES = st.lists(st.integers(0, 8).map(float), min_size=1, max_size=12)


@st.composite
def curves(draw) -> dict[int, Curve]:
    """What some inner folds saw of a trial that did not fail."""
    folds = draw(st.lists(st.integers(0, 30), min_size=1, max_size=8, unique=True))
    found = {}
    for fold in folds:
        loss = draw(LOSSES)
        score = draw(st.lists(st.floats(-1, 1), min_size=len(loss), max_size=len(loss)))
        found[fold] = Curve(tuple(loss), tuple(score), draw(st.sampled_from(["patience", "limit"])))
    return found


def trial(
    score: float, spread: float = 0.0, parameters: int = 10, epochs: int = 5, folds: int = 4
) -> TrialScore:
    return TrialScore(score, spread, epochs, parameters, "done", dict.fromkeys(range(folds), score))


FAILED = TrialScore(None, None, None, 10, "failed", {0: None})


# --- the score of a trial ----------------------------------------------------------------------------


@given(curves(), st.integers(0, 10**6))
def test_a_trial_is_scored_as_numpy_reads_its_curves(seen, parameters):
    best = {fold: int(np.argmin(curve.loss)) + 1 for fold, curve in seen.items()}
    at_best = np.asarray([seen[fold].score[best[fold] - 1] for fold in seen], float)
    found = score_trial(seen, parameters)
    assert found.score == pytest.approx(at_best.mean(), abs=1e-12)
    assert found.spread == pytest.approx(at_best.std(ddof=1) if len(seen) > 1 else 0.0, abs=1e-12)
    assert found.epochs == max(1, int(np.rint(np.mean(list(best.values())))))
    assert (found.status, found.parameters) == ("done", parameters)
    assert found.by_fold == dict(zip(seen, at_best, strict=True))


@given(curves(), st.randoms(use_true_random=False))
def test_the_order_of_folds_changes_nothing(seen, order: random.Random):
    folds = list(seen)
    order.shuffle(folds)
    assert score_trial({fold: seen[fold] for fold in folds}, 7) == score_trial(seen, 7)


@given(st.permutations([0.1, 0.2, 0.3, 0.7, 0.85, 0.9]))
def test_trials_with_the_same_scores_on_other_folds_tie(scores):
    trials = [
        score_trial({fold: Curve((1.0,), (score,), "limit") for fold, score in enumerate(order)}, 7)
        for order in (scores, sorted(scores))
    ]
    assert select(trials) == 0
    assert select(trials[::-1]) == 0


@given(curves(), st.data())
def test_what_came_after_the_best_epoch_does_not_count(seen, data):
    longer = {}
    for fold, curve in seen.items():
        worse = min(curve.loss) + data.draw(st.integers(0, 3))
        longer[fold] = Curve((*curve.loss, worse), (*curve.score, 1.0), curve.end)
    assert score_trial(longer, 7) == score_trial(seen, 7)


@given(curves(), st.data())
def test_one_fold_that_failed_fails_the_trial(seen, data):
    fold = data.draw(st.sampled_from(list(seen)))
    whole, best = seen[fold], int(np.argmin(seen[fold].loss))
    undefined = tuple(None if epoch == best else score for epoch, score in enumerate(whole.score))
    for broken in (
        Curve((*whole.loss, None), (*whole.score, None), "nan"),
        Curve(whole.loss, undefined, whole.end),
        Curve((None,), (None,), "nan"),
    ):
        found = score_trial({**seen, fold: broken}, 7)
        assert (found.score, found.spread, found.epochs, found.status) == (None, None, None, "failed")
        assert found.by_fold[fold] is None
        assert found.by_fold.keys() == seen.keys()


def test_a_score_that_is_undefined_elsewhere_does_not_matter():
    seen = {0: Curve((0.5, 0.4, 0.6), (None, 0.75, None), "patience")}
    assert score_trial(seen, 1).score == 0.75


def test_no_fold_no_score():
    assert score_trial({}, 3).status == "failed"


@pytest.mark.parametrize(
    ("best", "epochs"), [([1], 1), ([2, 3], 2), ([3, 4], 4), ([1, 1, 2], 1), ([5, 6, 6], 6), ([7] * 9, 7)]
)
def test_mean_best_epochs_are_rounded_half_to_even(best, epochs):
    assert mean_epochs(best) == epochs


def test_spread_is_the_standard_deviation_of_a_sample():
    assert spread([0.5]) == spread([]) == 0.0
    assert spread([0.2, 0.4]) == pytest.approx(0.1 * math.sqrt(2))


# --- the choice among trials -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scores", "selected"),
    [
        ([trial(0.7), trial(0.9), trial(0.8)], 1),
        ([trial(0.9, 0.2), trial(0.9, 0.1)], 1),
        ([trial(0.9, 0.1, 20), trial(0.9, 0.1, 10)], 1),
        ([trial(0.9, 0.1, 10), trial(0.9, 0.1, 10)], 0),
        ([trial(0.9, 0.1, 99), trial(0.9, 0.2, 1)], 0),
        ([trial(0.9, 0.1, 10, epochs=9), trial(0.9, 0.1, 10, epochs=1)], 0),
        ([FAILED, trial(-3.0), FAILED], 1),
        ([FAILED], None),
        ([], None),
    ],
)
def test_highest_score_then_lower_spread_then_fewer_parameters_then_lower_number(scores, selected):
    assert select(scores, "best") == selected


@pytest.mark.parametrize(
    ("scores", "selected"),
    [
        # 0.90 with SD 0.08 over 4 folds: one standard error is 0.04, so 0.86 and above are near.
        ([trial(0.90, 0.08, 100), trial(0.87, 0.0, 50), trial(0.85, 0.0, 1)], 1),
        ([trial(0.90, 0.08, 100), trial(0.87, 0.0, 100, epochs=3), trial(0.88, 0.0, 100, epochs=4)], 1),
        ([trial(0.90, 0.08, 100), trial(0.87, 0.0, 200)], 0),
        ([trial(0.87, 0.3, 50), trial(0.90, 0.08, 100), trial(0.88, 0.0, 50)], 2),
        ([trial(0.90, 0.0, 100), trial(0.8999, 0.5, 1)], 0),
        # The same SD over 16 folds: one standard error is 0.02.
        (
            [
                trial(0.90, 0.08, 100, folds=16),
                trial(0.87, 0.0, 50, folds=16),
                trial(0.885, 0.0, 60, folds=16),
            ],
            2,
        ),
        ([FAILED, trial(0.5, 0.1, 100), FAILED], 1),
        ([FAILED], None),
    ],
)
def test_one_se_takes_the_cheapest_trial_near_the_best(scores, selected):
    assert select(scores, "one-se") == selected


SCORES = st.builds(
    trial,
    st.sampled_from([0.5, 0.6, 0.65, 0.7]),
    st.sampled_from([0.0, 0.1, 0.2]),
    st.sampled_from([10, 20]),
    st.sampled_from([3, 4]),
)


@given(st.lists(st.one_of(SCORES, st.just(FAILED)), max_size=8))
def test_nothing_beats_the_selected_trial(scores):
    selected = select(scores)
    done = [number for number, score in enumerate(scores) if score.status == "done"]
    assert (selected is None) == (not done)
    for number in done:
        assert selected is not None
        a, b = scores[selected], scores[number]
        assert a.score is not None
        assert b.score is not None
        if a.score != b.score:
            assert a.score > b.score
        elif a.spread != b.spread:
            assert a.spread is not None
            assert b.spread is not None
            assert a.spread < b.spread
        elif a.parameters != b.parameters:
            assert a.parameters < b.parameters
        else:
            assert selected <= number


@given(st.lists(SCORES, min_size=1, max_size=8))
def test_one_se_costs_no_more_and_loses_at_most_one_standard_error(scores):
    best, near = select(scores, "best"), select(scores, "one-se")
    assert best is not None
    assert near is not None
    floor = float(scores[best].score or 0) - float(scores[best].spread or 0) / math.sqrt(4)
    assert float(scores[near].score or 0) >= floor - 1e-12
    assert scores[near].parameters <= scores[best].parameters
    cheaper = [s for s in scores if s.parameters < scores[near].parameters]
    assert all(float(s.score or 0) < floor + 1e-12 for s in cheaper)
