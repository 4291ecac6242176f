"""Fits that end with what one study asks for: whoever comes first, all get what they would have alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nachos_jax import cohort_from_arrays
from nachos_jax.data.table import Cohort
from nachos_jax.engine import paused
from nachos_jax.protocol.deploy import deploy
from nachos_jax.protocol.evaluate import evaluate
from nachos_jax.records.store import RunDirectory
from tests import tiny
from tests.protocol.test_kill import records

RUN = tiny.run_config(
    search__policy="race-fitted",
    search__trials=6,
    training__epochs=8,
    training__patience=7,
    engine__lanes=4,
)


def five() -> Cohort:
    """The tiny cohort in five folds: with an odd number two outer folds do not begin with each other."""
    images, labels, _ = tiny.arrays()
    subjects = np.asarray([f"s{i // 2:02d}" for i in range(len(labels))])
    return cohort_from_arrays(images, labels, subjects=subjects, folds=np.arange(len(labels)) // 6 % 5)


def trained(workdir: Path) -> int:
    """Epochs that lanes have trained in all launches."""
    return sum(session["epochs"] for session in RunDirectory(workdir).sessions())


@pytest.fixture(scope="module")
def at_once(tmp_path_factory) -> Path:
    workdir = tmp_path_factory.mktemp("once") / "run"
    evaluate(RUN, str(workdir), None, five(), quiet=True)
    return workdir


@pytest.mark.thorough
def test_outer_folds_one_after_another_leave_the_bytes_of_all_at_once(at_once, tmp_path):
    for outer in ([1], [4, 0], None):
        evaluate(RUN, str(tmp_path), outer, five(), quiet=True)
        assert paused.folder(tmp_path / "checkpoints/evaluate").exists() == (outer is not None)
    assert records(tmp_path) == records(at_once)
    assert trained(tmp_path) <= 1.05 * trained(at_once), "later launches go on from the lanes of those before"


@pytest.mark.thorough
def test_without_checkpoints_lanes_are_kept_for_other_fits_all_the_same(at_once, tmp_path):
    run = replace(RUN, engine=replace(RUN.engine, checkpoint_epochs=0))
    evaluate(run, str(tmp_path), None, five(), quiet=True)
    assert (records(tmp_path), trained(tmp_path)) == (records(at_once), trained(at_once))
    assert not (tmp_path / "checkpoints").exists()


@pytest.mark.thorough
def test_lanes_that_are_lost_cost_epochs_and_change_nothing(at_once, tmp_path, monkeypatch):
    monkeypatch.setattr(paused.PausedLanes, "take", lambda *_: None)
    evaluate(RUN, str(tmp_path), None, five(), quiet=True)
    assert records(tmp_path) == records(at_once)
    assert trained(tmp_path) > 1.1 * trained(at_once)


def test_networks_to_deploy_are_trained_anew_beside_lanes_of_search_fits(tmp_path):
    """They leave out the same folds, and run for as many epochs as were found, without a watcher."""
    run = tiny.run_config(
        search__policy="race-fitted",
        search__trials=2,
        training__epochs=4,
        training__patience=3,
        deploy__members="folds",
    )
    deploy(run, str(tmp_path), tiny.cohort(), quiet=True)
    fits = list(RunDirectory(tmp_path, "deploy").fits())
    assert len([fit for fit in fits if not fit.curves]) == tiny.FOLDS
