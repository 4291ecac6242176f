"""Which folds a search fit is asked about: both where studies share it, one where a model proposed it."""

from __future__ import annotations

import functools
import shutil
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from nachos_jax.protocol.design import protocols, study
from nachos_jax.protocol.evaluate import evaluate
from nachos_jax.protocol.run import begun
from nachos_jax.protocol.run.opening import open_run
from nachos_jax.protocol.study import cohorts, conduct, noise
from nachos_jax.protocol.study.searching import Searching
from nachos_jax.records.store import RunDirectory
from tests import tiny
from tests.protocol.test_kill import records

RUN = tiny.run_config(search__searcher="bohb", search__trials=8, search__initial=6)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    place = tmp_path_factory.mktemp("asked")
    evaluate(RUN, str(place), None, tiny.cohort(), quiet=True)
    return place


def test_a_proposed_trial_is_asked_about_its_own_inner_folds_alone(finished):
    store, origins = RunDirectory(finished), set()
    fits = {record.fit: record for record in store.fits()}
    for outer in range(tiny.FOLDS):
        outcome = store.outcome(outer)
        assert outcome is not None
        for trial, ids in zip(outcome.trials, outcome.fits, strict=True):
            origins.add(trial.origin)
            for name in ids:
                (inner,) = set(fits[name].left_out) - {outer}
                alone = trial.origin == "bohb"
                assert set(fits[name].curves) == ({inner} if alone else {inner, outer})
                assert fits[name].epochs == max(len(curve.loss) for curve in fits[name].curves.values())
    assert origins == {"default", "sobol", "bohb"}


def test_a_fit_that_another_study_has_drawn_is_none_of_an_older_version(finished):
    """Two studies may come to the same trial, one by chance: what it is trained as depends on no order."""
    run = open_run(RUN, str(finished), "evaluate", tiny.cohort())
    known = {record.fit: record for record in run.store.fits()}
    for one in protocols.of(RUN).studies(range(tiny.FOLDS), run.folds, run.cases, RUN):
        outcome = run.store.outcome(one.outer)
        assert outcome is not None
        proposed = [trial for trial in outcome.trials if trial.origin == "bohb"]
        asked = [fit for trial in proposed for fit in one.search_fits(trial).values()]
        drawn = {study.of_all(fit).id: known[fit.id] for fit in asked if fit.id in known}
        assert drawn
        others = {fit: replace(record, fit=fit) for fit, record in drawn.items()}
        assert searched(run, one, outcome.trials, known | others) == outcome
        assert searched(run, one, outcome.trials, known | others, older=True) != outcome


def searched(run, one, trials, known, older=False):
    search = Searching(one, known, functools.partial(noise.between, run), older)
    of = cohorts.of(RUN.search)
    for number in range(len(of.ends)):
        search.enter([trials[place] for place in of.numbers(number)])
        assert search.wanted() == []
    search.end()
    return search.outcome()


@pytest.mark.parametrize(("data", "told"), [({}, True), ({"subset": 1.0}, False)])
def test_only_runs_of_that_time_may_hold_fits_of_an_older_version(data, told):
    store: Any = SimpleNamespace(run=lambda: {"config": {"data": data}})
    assert begun.before_fits_were_asked(store) == told


def test_a_trial_that_was_lost_beside_its_outcome_is_not_asked_for_again(finished, tmp_path, monkeypatch):
    place = tmp_path / "run"
    shutil.copytree(finished, place)
    before, store = records(place), RunDirectory(place)
    lost = next(trial for trial in store.trials(1) if trial.origin == "bohb")
    (path,) = place.glob(f"records/evaluate/**/*1*/trial_{lost.number:04d}.json")
    path.unlink()
    store.test_path(1).unlink()
    asked: Any = SimpleNamespace(ask=lambda *_: pytest.fail("asked again"))
    monkeypatch.setattr(conduct.searchers, "build", lambda *_: asked)
    evaluate(RUN, str(place), None, tiny.cohort(), quiet=True)
    assert records(place) == before


@pytest.mark.thorough
def test_a_run_of_a_version_that_asked_about_both_goes_on_with_its_fits(finished, tmp_path, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(study, "searchers", SimpleNamespace(looks_at_scores=lambda _: False))
        evaluate(RUN, str(tmp_path), None, tiny.cohort(), quiet=True)
    monkeypatch.setattr(begun, "before_fits_were_asked", lambda _: True)
    before = records(tmp_path)
    assert before.keys() != records(finished).keys()
    (RunDirectory(tmp_path).test_path(1)).unlink()
    evaluate(RUN, str(tmp_path), None, tiny.cohort(), quiet=True)
    assert records(tmp_path) == before


@pytest.mark.thorough
def test_both_ways_choose_the_same(finished, tmp_path, monkeypatch):
    monkeypatch.setattr(study, "searchers", SimpleNamespace(looks_at_scores=lambda _: False))
    evaluate(RUN, str(tmp_path), None, tiny.cohort(), quiet=True)
    for outer in range(tiny.FOLDS):
        one, other = RunDirectory(finished).outcome(outer), RunDirectory(tmp_path).outcome(outer)
        assert one is not None
        assert other is not None
        assert (one.trials, one.scores, one.selected) == (other.trials, other.scores, other.selected)
