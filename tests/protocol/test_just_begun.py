"""A launch that ended between the first two records: the next one is not bound to it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nachos_jax.core.errors import UsageError
from nachos_jax.protocol.run import begun
from nachos_jax.protocol.run.opening import Run, begin, open_run
from tests import tiny


def opened(folder: Path, count: int) -> Run:
    run = tiny.run_config(folds__scheme="stratified", folds__count=count)
    return open_run(run, str(folder), "evaluate", tiny.cohort())


@pytest.fixture
def killed(tmp_path: Path) -> Path:
    """Holds the case table of a division by three, and nothing that says what the run is."""
    begin(opened(tmp_path, 3))
    (tmp_path / "records/run.json").unlink()
    return tmp_path


def test_folds_of_a_run_that_never_began_are_drawn_anew(killed: Path):
    run = opened(killed, 4)
    assert run.folds.count == 4
    begin(run)
    cases = run.store.cases()
    assert cases is not None
    assert cases.folds.count == 4
    assert opened(killed, 4).folds.hash == run.folds.hash


def test_folds_that_fits_were_trained_by_stay(killed: Path):
    fit = killed / "records/evaluate/fits/0123456789abcdef.json"
    fit.parent.mkdir(parents=True, exist_ok=True)
    fit.write_text("{}")
    assert opened(killed, 4).folds.count == 3


def test_a_run_without_run_json_goes_on_with_cases_that_may_be_meant_in_two_ways(killed: Path):
    """Whoever deletes a damaged run.json has not begun anew."""
    run, cohort = tiny.run_config(folds__scheme="stratified", folds__count=3), tiny.cohort()
    doubtful = replace(cohort, doubts=("it may be 0 or 1; say which.",))
    with pytest.raises(UsageError, match="may be 0 or 1"):
        open_run(run, str(killed), "evaluate", doubtful)
    fit = killed / "records/evaluate/fits/0123456789abcdef.json"
    fit.parent.mkdir(parents=True, exist_ok=True)
    fit.write_text("{}")
    assert doubtful.doubts[0] in open_run(run, str(killed), "evaluate", doubtful).warnings


def test_a_run_without_run_json_keeps_a_space_that_is_refused_now(killed: Path):
    idle = {"search__space__beta1": "uniform(0.6, 0.9)"}
    run = tiny.run_config(folds__scheme="stratified", folds__count=3, **idle)
    with pytest.raises(UsageError, match="does nothing beside optimizer"):
        open_run(run, str(killed), "evaluate", tiny.cohort())
    fit = killed / "records/evaluate/fits/0123456789abcdef.json"
    fit.parent.mkdir(parents=True, exist_ok=True)
    fit.write_text("{}")
    open_run(run, str(killed), "evaluate", tiny.cohort())


def test_runs_by_rungs_say_that_trials_of_all_cohorts_come_back(tmp_path: Path):
    run = open_run(tiny.run_config(search__policy="halving"), str(tmp_path), "evaluate", tiny.cohort())
    begin(run)
    assert not begun.before_all_came_back(run.store)
    earlier: Any = SimpleNamespace(run=dict)
    assert begun.before_all_came_back(earlier)
