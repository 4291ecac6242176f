"""Cases prepared in several ways: a fit reads the store that its hyperparameters name, and no other."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from safetensors.numpy import load

from nachos_jax.core.errors import UsageError
from nachos_jax.data.store import Dense
from nachos_jax.data.table import Cohort, Prepared
from nachos_jax.engine import memory
from nachos_jax.protocol.plan.memory import cases_memory
from tests import tiny
from tests.inputs import dense

SEARCHED = {"search__space__clahe": "choice(0, 2)"}
NAME = (("clahe", 2),)


def two_stores(first: np.ndarray | None = None) -> Cohort:
    """The tiny cohort, whose second store holds its images upside down; and, if given, another first one."""
    cohort = tiny.cohort()
    turned = Prepared(Dense(255 - dense(cohort)[:, ::-1]), {**cohort.preparation, "clahe": 2})
    store = cohort.store if first is None else Dense(first)
    return dataclasses.replace(cohort, store=store, others={NAME: turned})


def test_a_fit_reads_its_own_store_alone_resident_or_streamed() -> None:
    found = {}
    noise = np.random.default_rng(0).integers(0, 255, dense(tiny.cohort()).shape).astype(np.uint8)
    for residency, first in (("resident", None), ("resident", noise), ("stream", None)):
        run = tiny.run_config(**SEARCHED, data__residency=residency)
        fits = [tiny.fit(run, (2,), 2, clahe=limit) for limit in (0, 2)]
        records, payloads, pool = tiny.train(fits, run, two_stores(first))
        assert list(pool.traces.values()) == [1, 1]
        assert pool.streams == (residency == "stream")
        weights = [load(payloads[fit.id]["weights.safetensors"]) for fit in fits]
        found[residency, first is None] = [records[fit.id] for fit in fits], weights
    (plain, other), weights = found["resident", True]
    (noisy, same), again = found["resident", False]
    assert plain.training_loss != noisy.training_loss
    assert other == same
    for name, value in weights[1].items():
        np.testing.assert_array_equal(again[1][name], value)
    turned = dense(two_stores().prepared({"clahe": 2}))[two_stores().table.folds != 2]
    np.testing.assert_allclose(weights[1]["pixel_mean"], turned.mean(), rtol=1e-6)
    for ours, theirs in zip(found["stream", True][0], (plain, other), strict=True):
        losses = (np.asarray(one.training_loss, float) for one in (ours, theirs))
        np.testing.assert_allclose(*losses, rtol=1e-5)


def test_fits_of_the_store_of_the_config_are_what_they_are_without_a_search() -> None:
    searched, plain = tiny.run_config(**SEARCHED), tiny.run_config()
    assert tiny.fit(searched, clahe=0).id == tiny.fit(plain).id
    assert tiny.fit(searched, clahe=2).hparams == {**tiny.fit(plain).hparams, "clahe": 2}
    always = tiny.run_config(data__clahe=2, **SEARCHED)
    assert tiny.fit(always).id == tiny.fit(plain).id, "of cases with another hash"
    assert tiny.fit(always, clahe=0).hparams["clahe"] == 0


def test_a_part_of_the_cases_has_all_stores_and_all_take_memory() -> None:
    cohort, rows = two_stores(), np.arange(0, 90, 3, dtype=np.int32)
    part = cohort.take(rows, cohort.targets.of(rows))
    np.testing.assert_array_equal(
        dense(part.prepared({"clahe": 2})), dense(cohort.prepared({"clahe": 2}))[rows]
    )
    assert part.prepared({"clahe": 2}).preparation["clahe"] == 2
    run, size = tiny.run_config(**SEARCHED), dense(cohort).nbytes
    one, two = cases_memory(run, tiny.cohort(), 10**9), cases_memory(run, cohort, 10**9)
    assert (one.stores, two.stores, two.nbytes) == (1, 2, 2 * one.nbytes)
    allowed = next(n for n in range(size, 4 * size) if memory.stays("auto", size, n))
    assert not cases_memory(run, tiny.cohort(), allowed).streams
    assert cases_memory(run, cohort, allowed).streams


def test_a_store_that_nobody_prepared_is_refused() -> None:
    run = tiny.run_config(**SEARCHED)
    with pytest.raises(UsageError, match="no store was prepared with config.data.clahe = 2: the cases were"):
        tiny.train([tiny.fit(run, clahe=2)], run, tiny.cohort())
