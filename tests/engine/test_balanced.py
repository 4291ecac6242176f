"""Rare classes drawn more often: each case its share, the same from disk, and nothing where it is off."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from nachos_jax.core import rng
from nachos_jax.engine import lane
from nachos_jax.tasks.classification import ClassDevice
from nachos_jax.tasks.task import Told
from tests import tiny
from tests.tiers import mostly_thorough

ROWS = 120


def _drawn(targets: np.ndarray, chosen: np.ndarray, exponent: float, epoch: int = 0) -> np.ndarray:
    """The rows that an epoch of one window goes through."""
    run = tiny.run_config(training__balanced_sampling=0.5)
    traced = {"balanced_sampling": jnp.float32(exponent)}
    told: Any = SimpleNamespace(
        streams=jnp.asarray(rng.streams(tiny.fit(run))), epoch=jnp.int32(epoch), training=jnp.asarray(chosen)
    )
    spec: Any = SimpleNamespace(window=len(targets))
    order = lane.shuffled(spec, told, told.training, jnp.int32(0))
    fit = Told(None, None, {}, traced)
    often = ClassDevice(3).draws(jnp.asarray(targets), told.training, fit)
    found = lane.balanced(spec, told, often, order, jnp.int32(0))
    return np.asarray(found)[: chosen.sum()]


@mostly_thorough("exponent", [0.3, 1.0], kept=(1.0,))
def test_each_case_is_drawn_its_share(exponent: float):
    targets = np.repeat([0, 1, 2], [80, 30, 10]).astype(np.int32)
    chosen = np.arange(ROWS) % 6 != 0
    counts = np.bincount(targets[chosen], minlength=3)
    share = np.where(chosen, counts[targets] ** -exponent, 0.0)
    share *= chosen.sum() / share.sum()
    times = np.zeros((40, ROWS))
    for epoch in range(len(times)):
        times[epoch] = np.bincount(_drawn(targets, chosen, exponent, epoch), minlength=ROWS)
    assert (np.abs(times - share) < 1 + 1e-3).all(), "the whole number below or above"
    assert not times[:, ~chosen].any()
    by_class = np.stack([times[:, targets == c].sum(axis=1) for c in range(3)]).mean(axis=1)
    np.testing.assert_allclose(by_class, [share[targets == c].sum() for c in range(3)], atol=1.0)


def test_epochs_differ_and_equal_shares_come_once():
    targets, chosen = np.arange(ROWS, dtype=np.int32) % 3, np.ones(ROWS, bool)
    one, other = (_drawn(targets, chosen, 1.0, epoch) for epoch in (0, 1))
    assert sorted(one.tolist()) == list(range(ROWS))
    assert not np.array_equal(one, other)


@pytest.mark.thorough
def test_a_fit_without_it_is_the_same_beside_fits_with_it():
    cohort, off = tiny.cohort(), tiny.run_config()
    some = tiny.run_config(training__balanced_sampling=1.0)
    plain, drawn = tiny.fit(off), tiny.fit(some)
    assert plain.id == tiny.fit(some, balanced_sampling=0.0).id != drawn.id
    alone, _, _ = tiny.train([plain], off, cohort)
    beside, _, _ = tiny.train([plain, drawn], some, cohort)
    assert beside[plain.id].training_loss == alone[plain.id].training_loss
    assert beside[drawn.id].training_loss != alone[plain.id].training_loss


@pytest.mark.thorough
def test_cases_from_disk_are_drawn_alike():
    fields = {"data__window": 40, "training__batch_size": 8, "training__balanced_sampling": 0.7}
    found = []
    for residency in ("resident", "stream"):
        run = tiny.run_config(data__residency=residency, **fields)
        records, _, pool = tiny.train([tiny.fit(run)], run, tiny.cohort())
        assert pool.streams == (residency == "stream")
        found.append(next(iter(records.values())).training_loss)
    assert found[0] == found[1]
