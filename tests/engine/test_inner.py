"""Predictions that a search fit keeps of its watched folds: those of each fold's best epoch."""

from __future__ import annotations

from dataclasses import replace

import jax
import numpy as np
import pytest
from safetensors.numpy import load

from nachos_jax.core.curves import best_epoch
from nachos_jax.core.types import EpochLimit
from nachos_jax.engine.resume import Checkpoints, resumables
from nachos_jax.metrics.classification import cross_entropy_from_logits
from tests import tiny

INNER = "inner.safetensors"


@pytest.fixture(scope="module")
def cohort():
    return tiny.cohort()


def quick(**changes):
    return tiny.run_config(training__learning_rate=0.3, **changes)


def six_epochs(run, left_out=(0, 1), **hparams):
    """A fit of six epochs at most, by the program of a run of the default epochs."""
    return replace(tiny.fit(run, left_out, **hparams), limit=EpochLimit(6, 2))


def test_they_are_those_of_a_fit_that_ends_with_the_best_epoch(cohort):
    run = quick(engine__lanes=2)
    fits = [six_epochs(run, (0, 2)), six_epochs(run, (0, 2), learning_rate=0.6), six_epochs(run, (1, 3))]
    records, payloads, _ = tiny.train(fits, run, cohort)
    best = {}
    for fit in fits:
        found = load(payloads[fit.id][INNER])
        assert set(found) == set(map(str, fit.left_out))
        for fold, curve in records[fit.id].curves.items():
            epochs = best[fit.id, fold] = best_epoch(curve.loss)
            alone = tiny.fit(run, fit.left_out, epochs=epochs, **fit.hparams)
            held = load(tiny.train([alone], run, cohort)[1][alone.id]["logits.safetensors"])["logits"]
            sizes = [int((cohort.table.folds == k).sum()) for k in fit.left_out]
            start = 0 if fold == fit.left_out[0] else sizes[0]
            np.testing.assert_array_equal(found[str(fold)], held[start : start + len(found[str(fold)])])
            labels = cohort.targets.values[cohort.table.folds == fold]
            loss = cross_entropy_from_logits(labels, found[str(fold)]).value
            assert loss == pytest.approx(curve.loss[epochs - 1], rel=1e-6)
    assert len(set(best.values())) > 1, "else a mistaken epoch would not show"


@pytest.mark.thorough
def test_they_survive_a_kill_and_do_not_depend_on_lanes_or_devices(cohort, tmp_path):
    run = quick(engine__lanes=2, engine__checkpoint_epochs=1, engine__checkpoint_seconds=0.0)
    fits = [six_epochs(run, (0, 1), learning_rate=rate) for rate in (0.2, 0.3, 0.6)]
    undisturbed = tiny.train(fits, run, cohort)[1]
    first = tiny.LanePool(cohort, tiny.folds(cohort), run, Checkpoints(tmp_path, "first"), jax.devices()[:1])
    first.submit(fits)
    for _ in range(2):
        assert not first.step()
        first.save()
    first.close()
    resumed = tiny.train(fits, run, cohort, devices=2, checkpoints=Checkpoints(tmp_path, "second"))
    assert resumed[2].spent.epochs < sum(len(r.training_loss) for r in resumed[0].values())
    assert resumed[1] == undisturbed


@pytest.mark.thorough
def test_none_are_kept_of_a_fold_that_met_nan(cohort):
    run = quick(training__precision="float32")
    fit = six_epochs(run, learning_rate=1e30)
    records, payloads, _ = tiny.train([fit], run, cohort)
    assert {curve.end for curve in records[fit.id].curves.values()} == {"nan"}
    assert payloads[fit.id] == {}


def test_a_checkpoint_without_them_is_not_taken_up():
    assert resumables({"leaf_00000": np.zeros((1, 2))}, [{"fit": "f"}]) == {}
