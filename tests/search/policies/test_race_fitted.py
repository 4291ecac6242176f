"""The race that waits for nobody who has fitted the training cases: later folds, and the winner."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nachos_jax.core.types import EpochLimit
from nachos_jax.records.schema import Curve
from nachos_jax.search.policies.policy import Asked, Cohort, Known
from nachos_jax.search.policies.registry import build
from tests.search.policies.test_race_short import FITTED, FOLDS, LATE, LEARNED, LIMIT, QUICK, played

HALF = replace(LIMIT, patience=10)


def test_a_late_starter_wins_on_three_folds():
    outcome = played(fitted=True, policy="race-fitted")
    assert outcome.selected == outcome.best == LATE
    assert outcome.regret == 0


@pytest.mark.parametrize("fitted", [True, False])
def test_a_later_fold_that_comes_late_is_waited_for_as_the_first_one_teaches(fitted):
    """The first fold waited for 8 epochs, so the ladder says 20; a fold that has fitted its cases takes 5."""
    epochs = played(fitted, late={0: 8, 1: 1}, policy="race-fitted").epochs
    assert epochs[QUICK, 1] == 1 + 3 + (5 if fitted else 20)


def completed(known: Known) -> list[Asked]:
    """What is asked for the winner until nothing more is, each fit as `tell_fit` has it."""
    asks, policy = [], build("race-fitted")
    while asked := [fit for fit in policy.completion(known, 0) if not known.counts(fit)]:
        for fit in asked:
            tell_fit(known, fit, fitted=fit.fold != FOLDS[2])
        known.look(asked)
        asks += asked
    return asks


def tell_fit(known: Known, asked: Asked, fitted: bool) -> None:
    """A fit of four epochs that improve, and of as many that do not as it is to wait for."""
    wait = (asked.limit.patience or 0) - 6
    training = (*FITTED, *[0.01] * wait) if fitted else (0.7, 0.5, 0.3, *[0.2] * (7 + wait))
    loss, score = (*LEARNED, *[0.21] * wait), (*[0.8] * (10 + wait),)
    known.tell(asked, Curve(loss[: 10 + wait], score, "patience"), training[: 10 + wait])


def test_the_winner_waits_for_half_and_where_it_has_not_fitted_for_all():
    known = Known(FOLDS, LIMIT, trials=[0])
    first = Asked(0, FOLDS[0], replace(LIMIT, patience=6))
    tell_fit(known, first, fitted=True)
    known.look([first])
    whole = Asked(0, FOLDS[2], LIMIT)
    assert completed(known) == [*(Asked(0, fold, HALF) for fold in FOLDS), whole]


def test_what_was_waited_for_longer_is_not_asked_for_again():
    known = Known(FOLDS, LIMIT, trials=[0])
    there = [Asked(0, fold, LIMIT) for fold in FOLDS]
    for fit in there:
        tell_fit(known, fit, fitted=False)
    known.look(there)
    assert completed(known) == []


def test_only_first_folds_are_asked_for_both_studies():
    known, policy = Known(FOLDS, LIMIT, trials=[0, 1]), build("race-fitted")
    opening = policy.opening(known, Cohort(0, (0, 1)))
    assert not any(fit.alone for fit in opening)
    for fit in opening:
        tell_fit(known, replace(fit, limit=replace(LIMIT, patience=6)), fitted=True)
    known.look([replace(fit, limit=replace(LIMIT, patience=6)) for fit in opening])
    later = next(policy.course(known, Cohort(0, (0, 1)))).asked
    assert later
    assert all(fit.alone for fit in [*later, *policy.completion(known, 0)])


def test_what_is_not_trained_in_epochs_is_asked_for_once_and_for_both_studies():
    known, policy, cohort = Known(FOLDS, LIMIT, trials=[0, 1]), build("race-fitted"), Cohort(0, (0, 1))
    asked = policy.opening(known, cohort)
    for one in asked:
        known.tell(one, Curve((0.4,), (0.8 - one.trial / 10,), "patience"))
    known.look(asked)
    stage = next(policy.course(known, cohort))
    assert stage.asked
    assert not any(one.alone or one.fold == FOLDS[0] for one in stage.asked)


def test_without_early_stopping_nothing_is_cut_short_and_fits_serve_both_studies():
    forever = EpochLimit(30, 30)
    known, policy = Known(FOLDS, forever, trials=[0]), build("race-fitted")
    (first,) = policy.opening(known, Cohort(0, (0,)))
    known.tell(first, Curve((0.4,) * 30, (0.8,) * 30, "limit"), (0.4,) * 30)
    known.look([first])
    asked = policy.completion(known, 0)
    assert [fit for fit in asked if not known.counts(fit)] == [Asked(0, fold, forever) for fold in FOLDS[1:]]
    assert not any(fit.alone for fit in asked)
