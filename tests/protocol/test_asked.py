"""Which folds a search fit is asked about: both where studies share it, one where a model proposed it."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from nachos_jax.protocol.design import study
from nachos_jax.protocol.evaluate import evaluate
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


@pytest.mark.thorough
def test_a_run_of_a_version_that_asked_about_both_goes_on_with_its_fits(finished, tmp_path, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(study, "searchers", SimpleNamespace(looks_at_scores=lambda _: False))
        evaluate(RUN, str(tmp_path), None, tiny.cohort(), quiet=True)
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
