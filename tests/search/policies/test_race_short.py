"""Fits that end sooner: which of them are at their end, and who is waited for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.statistics.policies_replay import Outcome, Recorded, replay
from nachos_jax.core.types import EpochLimit
from nachos_jax.records.schema import Curve
from nachos_jax.search.policies.ending import ended
from nachos_jax.search.policies.expected import expected
from nachos_jax.search.policies.policy import Asked, Cohort, Known
from nachos_jax.search.policies.registry import build

LIMIT = EpochLimit(60, 20)
FOLDS = (0, 1, 2)
LATE, QUICK = 0, 1
STARTS = 16
"""Epochs in which the late starter learns nothing: more than a quarter of the patience."""

LEARNED = (0.7, 0.5, 0.3, 0.2, *[0.21] * 6)
FITTED = (0.7, 0.3, 0.1, 0.04, *[0.01] * 6)


def test_a_fit_is_at_its_end_when_it_has_started_and_has_fitted_its_training_cases():
    assert ended(LEARNED, FITTED)
    assert ended(LEARNED, (*FITTED, *[9.0] * 5)), "what came after the end of the curve is not looked at"
    assert not ended(LEARNED, (0.7, 0.5, 0.3, 0.2, *[0.15] * 6)), "training goes on"
    assert not ended(LEARNED, ()), "nothing is known"
    astray = (30.0, 0.75, 0.70, *[0.693] * 7)
    assert not ended((2.0, 0.8, 0.71, *[0.70] * 7), astray), "all cases are still guessed"
    rare = (0.55, 0.1, 0.03, *[0.0203] * 7)
    assert not ended((0.5, 0.1, 0.03, *[0.0214] * 7), rare), "how rare a class is was learned, and no case"
    assert not ended(LEARNED, FITTED[:5]), "not all of it is known"
    assert not ended(LEARNED, [value - 0.5 for value in FITTED]), "a loss that has no floor"


@pytest.mark.parametrize("seed", range(20))
def test_a_loss_that_scatters_around_a_level_has_not_started(seed):
    flat = (0.7 + 0.01 * np.random.default_rng(seed).normal(size=20)).tolist()
    assert not ended(flat, (*FITTED, *[0.01] * 10))
    assert not ended([0.7] * 20, (*FITTED, *[0.01] * 10))


def test_what_training_came_to_after_the_end_of_a_curve_is_not_kept():
    """It was trained on for the sake of the other fold that it leaves out."""
    known, asked = Known(FOLDS, LIMIT), Asked(0, 0, LIMIT)
    known.tell(asked, Curve((0.7, 0.6), (0.5, 0.6), "patience"), (0.7, 0.5, 0.1, 0.0))
    assert known.training(0, 0) == ()
    known.look([asked])
    assert known.training(0, 0) == (0.7, 0.5)


def test_a_leader_that_started_late_is_not_cut_by_the_patience_of_another_trial():
    known = Known(FOLDS, LIMIT, trials=[0, 1])
    short, whole = EpochLimit(LIMIT.epochs, 5), LIMIT
    late = Curve((*[0.7] * 8, 0.3, *[0.31] * 20), (*[0.5] * 8, 0.9, *[0.89] * 20), "patience")
    for fold in FOLDS:
        known.tell(Asked(0, fold, whole), late)
    known.tell(Asked(1, FOLDS[0], short), Curve((0.4, *[0.41] * 5), (0.8, *[0.79] * 5), "patience"))
    known.look([Asked(0, fold, whole) for fold in FOLDS] + [Asked(1, FOLDS[0], short)])
    score, _ = expected(known, 1)
    assert score == pytest.approx(0.8)


def test_what_is_not_trained_in_epochs_is_not_asked_for_again():
    """An estimator beside networks says all in one epoch, whatever the patience."""
    known = Known(FOLDS, LIMIT, trials=[0, 1])
    policy, cohort = build("race-short"), Cohort(0, (0, 1))
    asked = policy.opening(known, cohort)
    for one in asked:
        known.tell(one, Curve((0.4,), (0.8 - one.trial / 10,), "patience"))
    known.look(asked)
    stage = next(policy.course(known, cohort))
    assert stage.asked
    assert all(one.fold != FOLDS[0] for one in stage.asked)


def test_without_early_stopping_first_folds_are_whole():
    forever = EpochLimit(30, 30)
    (asked,) = build("race-short").opening(Known(FOLDS, forever), Cohort(0, (0,)))
    assert asked.limit == forever


def test_a_late_starter_wins_on_three_folds():
    outcome = played(fitted=True)
    assert outcome.selected == outcome.best == LATE
    assert outcome.regret == 0


def test_who_has_fitted_its_cases_is_waited_for_a_quarter_as_long():
    soon, late = (played(fitted).epochs[QUICK, 0] for fitted in (True, False))
    assert (soon, late) == (3 + 5, 3 + 20)


def test_later_folds_wait_for_what_the_first_one_teaches():
    """Twice its longest wait, on a ladder of 3, 5, 10 and 20 epochs."""
    assert played(fitted=True).epochs[QUICK, 1] == 3 + 3
    assert played(fitted=True, late={0: 2, 1: 4}).epochs[QUICK, 1] == 4 + 3 + 5


def played(fitted: bool, late: Mapping[int, int] | None = None, policy: str = "race-short") -> Outcome:
    """A late starter that is best in the end, among five that start at once, but for some folds of one."""
    curves, training = {}, {}
    for trial in range(6):
        for fold in FOLDS:
            wait, steps = {LATE: STARTS + fold, QUICK: (late or {}).get(fold, 0)}.get(trial, 0), 3
            score = 0.9 if trial == LATE else 0.8 - 0.002 * trial + 0.001 * ((trial * fold) % 3)
            rise = [0.5 + (score - 0.5) * step / steps for step in range(1, steps + 1)]
            scores = [*[0.5] * wait, *rise]
            losses = [*[0.7] * wait, *[1.2 - value for value in rise]]
            tail = 20 if trial != LATE or wait < 20 else 0
            curves[trial, fold] = Curve(
                (*losses, *[losses[-1] + 0.01] * tail), (*scores, *[score - 0.01] * tail), "patience"
            )
            left = [*[0.7] * wait, *[0.7 * (1 - step / steps) for step in range(1, steps + 1)]]
            training[trial, fold] = (*left, *[0.0 if fitted else 0.3] * tail)
    world = Recorded(curves, FOLDS, LIMIT, 6)
    return replay(replace(world, training=training), build(policy))
