"""A checkpoint that no longer fits the lanes costs the epochs in it and nothing else."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from nachos_jax.engine import bucket_lanes
from nachos_jax.engine.resume import BEST, Checkpoints
from tests import tiny

FIRST = "leaf_00000"


def fewer(arrays: dict[str, np.ndarray]) -> None:
    del arrays[max(name for name in arrays if name != BEST)]


def wider(arrays: dict[str, np.ndarray]) -> None:
    arrays[FIRST] = np.repeat(arrays[FIRST], 2, axis=-1)


def coarser(arrays: dict[str, np.ndarray]) -> None:
    arrays[FIRST] = arrays[FIRST].astype(np.float16)


def more_classes(arrays: dict[str, np.ndarray]) -> None:
    arrays[BEST] = np.repeat(arrays[BEST], 2, axis=-1)


@pytest.mark.parametrize(
    "change",
    [None, fewer, *(pytest.param(one, marks=pytest.mark.thorough) for one in (wider, coarser, more_classes))],
)
def test_a_fit_whose_checkpoint_does_not_fit_begins_anew(tmp_path, monkeypatch, caplog, change):
    cohort, run = tiny.cohort(), tiny.run_config(engine__lanes=2, training__patience=4)
    fits = [tiny.fit(run, (0, 1), learning_rate=rate) for rate in (0.2, 0.3)]
    calm, payloads, _ = tiny.train(fits, run, cohort)
    snapshot = bucket_lanes.snapshot

    def changed(state, running):
        arrays, told = snapshot(state, running)
        if change is not None:
            change(arrays)
        return arrays, told

    with monkeypatch.context() as patch:
        patch.setattr(bucket_lanes, "snapshot", changed)
        first = Checkpoints(tmp_path, "first")
        pool = tiny.LanePool(cohort, tiny.folds(cohort), run, first, jax.devices()[:1])
        pool.submit(fits)
        pool.step()
        pool.save(all_lanes=True)
        pool.close()
    resumed = tiny.train(fits, run, cohort, checkpoints=Checkpoints(tmp_path, "second"))
    assert resumed[:2] == (calm, payloads)
    kept = len(fits) if change is None else 0
    assert resumed[2].spent.epochs == sum(len(record.training_loss) for record in calm.values()) - kept
    told = [record.getMessage() for record in caplog.records if "begins anew" in record.getMessage()]
    assert len(told) == len(fits) - kept
    assert all(fit.id in text for fit, text in zip(fits, told, strict=False))
