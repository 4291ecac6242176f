"""Normalisation of pixels as a choice of each fit: by the training cases, by the case, or none."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import pytest
from safetensors.numpy import load
from sklearn.linear_model import LogisticRegression

from nachos_jax.core.errors import UsageError
from nachos_jax.data.measured import STATISTICS, MeasuredDense, measured
from nachos_jax.data.store import Dense
from nachos_jax.data.table import Cohort
from nachos_jax.engine import measuring
from nachos_jax.tasks import registry as tasks
from nachos_jax.tasks.dense import NORMALISATION
from nachos_jax.tasks.normalisation import WITHOUT_MASKS
from nachos_jax.tasks.task import Setting, Told
from tests import tiny, vectors
from tests.inputs import dense
from tests.tiers import mostly_thorough

SEARCHED = {"search__space__normalisation": f"choice{WITHOUT_MASKS!r}"}
QUICK = {"training__epochs": 2, "training__learning_rate": 0.002}


def percentiles(x: np.ndarray) -> np.ndarray:
    return np.percentile(x, (0.5, 99.5), axis=tuple(range(x.ndim - 1)))


def by_its_own(x: np.ndarray) -> np.ndarray:
    axes = tuple(range(x.ndim - 1))
    return (x - x.mean(axes)) / x.std(axes)


PLAIN: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "z_score": by_its_own,
    "training": lambda x: (x - np.asarray([3.0, 5.0])) / np.asarray([2.0, 4.0]),
    "percentiles": lambda x: (np.clip(x, *percentiles(x)) - percentiles(x)[0]) / np.ptp(percentiles(x), 0),
    "min_max": lambda x: (x - x.min((0, 1))) / np.ptp(x, (0, 1)),
    "none": lambda x: x,
    "clipped": lambda x: by_its_own(np.clip(x, *percentiles(x))),
}
"""Of one image of two channels, case by case."""


@pytest.mark.parametrize("alone", [True, False])
@pytest.mark.parametrize(
    "task",
    [
        "classification",
        *(pytest.param(name, marks=pytest.mark.thorough) for name in ("multilabel", "regression")),
    ],
)
@pytest.mark.parametrize("choice", WITHOUT_MASKS)
def test_pixels_are_those_of_numpy(choice: str, task: str, alone: bool) -> None:
    images = np.random.default_rng(3).integers(0, 4096, (5, 30, 20, 2)).astype(np.uint16)
    images[..., 1] //= 3
    images[:, 0, 0] = 60_000  # so that clipping moves mean and SD
    tried = (choice,) if alone else WITHOUT_MASKS
    device: Any = tasks.of(task).device(("a", "b"), {}, Setting((30, 20, 2), {NORMALISATION.name: tried}))
    traced = {} if alone else {NORMALISATION.name: np.float32(WITHOUT_MASKS.index(choice))}
    told = Told(np.asarray([3, 5], np.float32), np.asarray([2, 4], np.float32), {}, traced)
    plain = alone and choice == "training"  # of which nothing is measured
    found = jax.jit(device.normalised)(images if plain else measured(images), told)
    expected = [PLAIN[choice](image.astype(np.float64)) for image in images]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_a_case_of_one_value_stays_finite() -> None:
    flat = np.full((1, 3, 4, 1), 7, np.uint8)
    for choice in WITHOUT_MASKS:
        device: Any = tasks.of("regression").device(("a",), {NORMALISATION.name: choice})
        told = Told(np.zeros(1, np.float32), np.ones(1, np.float32), {}, {})
        given = flat if choice == "training" else measured(flat)
        assert np.isfinite(np.asarray(jax.jit(device.normalised)(given, told))).all()


def test_the_rows_of_a_store_bring_what_is_known_of_each_case() -> None:
    images = np.random.default_rng(0).normal(size=(6, 4, 3, 2)).astype(np.float16)
    store = MeasuredDense(*measured(images))
    found = store.rows(np.asarray([4, 1], np.int32))
    np.testing.assert_array_equal(found.values, images[[4, 1]])
    for row, case in enumerate((4, 1)):
        own = images[case].astype(np.float64).reshape(-1, 2)
        np.testing.assert_allclose(found.stats[row, :, STATISTICS.index("mean")], own.mean(0), rtol=1e-6)
        np.testing.assert_allclose(found.stats[row, :, STATISTICS.index("max")], own.max(0), rtol=1e-6)
    part = store.take(np.asarray([1, 4])).rows(np.asarray([0], np.int32))
    np.testing.assert_array_equal(part.stats[0], found.stats[1])
    forms = store.forms(2)
    assert [leaf.shape for leaf in forms] == [leaf.shape for leaf in found]
    assert [leaf.dtype for leaf in forms] == [leaf.dtype for leaf in found]


@pytest.fixture(scope="module")
def together() -> tuple:
    """A fit of each choice in one program, of images."""
    run = tiny.run_config(**SEARCHED, **QUICK)
    fits = [tiny.fit(run, normalisation=choice) for choice in WITHOUT_MASKS]
    return run, fits, tiny.train(fits, run, tiny.cohort())


def test_one_trace_serves_all_choices(together: tuple) -> None:
    _, fits, (records, _, pool) = together
    assert list(pool.traces.values()) == [1]
    assert len({records[fit.id].training_loss for fit in fits}) == len(fits), "each its own numbers"


@pytest.mark.thorough
@pytest.mark.parametrize(
    "choice",
    [pytest.param(choice, marks=[pytest.mark.thorough] * (choice != "clipped")) for choice in WITHOUT_MASKS],
)
def test_each_fit_is_what_it_is_alone(choice: str, together: tuple) -> None:
    _, fits, (records, payloads, _) = together
    fit, alone = fits[WITHOUT_MASKS.index(choice)], tiny.run_config(data__normalisation=choice, **QUICK)
    own = tiny.fit(alone)
    assert own.id == fit.id
    found, inner, _ = tiny.train([own], alone, tiny.cohort())
    losses = [np.asarray(one.training_loss, float) for one in (found[own.id], records[fit.id])]
    np.testing.assert_allclose(*losses, rtol=1e-5)
    ours, theirs = (load(one[own.id]["inner.safetensors"]) for one in (inner, payloads))
    for fold in ours:
        np.testing.assert_allclose(theirs[fold], ours[fold], rtol=1e-3, atol=1e-5)


def test_a_fit_that_does_not_use_the_choice_keeps_its_id_and_brings_nothing_along() -> None:
    run = tiny.run_config()
    assert NORMALISATION.name not in tiny.fit(run).hparams
    assert measuring.with_statistics(run, cohort := tiny.cohort()) is cohort


@pytest.mark.thorough
@pytest.mark.parametrize("make", [tiny.cohort, tiny.volumes])
def test_streamed_cases_give_what_resident_cases_give(make: Callable[[], Cohort]) -> None:
    found = []
    for residency in ("resident", "stream"):
        more = {"data__residency": residency, "data__window": 40, "training__batch_size": 8}
        run = tiny.run_config(**SEARCHED, **QUICK, **more)
        fits = [tiny.fit(run, (0, 1), normalisation=choice) for choice in ("clipped", "min_max")]
        found.append(tiny.train(fits, run, make()))
    (records, payloads, _), (streamed, others, pool) = found
    assert pool.streams
    for name, record in records.items():
        losses = (np.asarray(one.training_loss, float) for one in (streamed[name], record))
        np.testing.assert_allclose(*losses, rtol=1e-5)
        ours, theirs = (load(one[name]["inner.safetensors"]) for one in (payloads, others))
        for fold in ours:
            np.testing.assert_allclose(theirs[fold], ours[fold], rtol=1e-3, atol=1e-5)


@mostly_thorough("choice", WITHOUT_MASKS, kept=("training", "percentiles"))
def test_what_is_left_out_changes_no_fit_and_what_is_trained_on_does(choice: str) -> None:
    run = tiny.run_config(**SEARCHED, **QUICK)
    fit, clean = tiny.fit(run, (2,), 2, normalisation=choice), tiny.cohort("float32")
    assert clean.table.folds is not None

    def trained(spoilt_fold: int | None) -> tuple:
        images = np.array(dense(clean))
        if spoilt_fold is not None:
            images[clean.table.folds == spoilt_fold] *= np.linspace(0.5, 2, tiny.SIZE, dtype=np.float32)[
                :, None
            ]
        records, payloads, _ = tiny.train([fit], run, dataclasses.replace(clean, store=Dense(images)))
        found = load(payloads[fit.id]["weights.safetensors"])
        return records[fit.id].training_loss, {k: v.tobytes() for k, v in found.items()}

    assert trained(2) == trained(None)
    assert trained(1) != trained(None)


@pytest.mark.thorough
def test_estimators_are_given_the_same_pixels() -> None:
    run = tiny.run_config(model__architecture="logistic", data__normalisation="clipped")
    cohort, fit = tiny.cohort(), tiny.fit(run, (2,), 1)
    _, payloads, _ = tiny.train([fit], run, cohort)
    found = load(payloads[fit.id]["logits.safetensors"])["logits"]
    x = np.stack([by_its_own(np.clip(i, *percentiles(i))) for i in dense(cohort).astype(np.float64)])
    assert cohort.table.folds is not None
    held = cohort.table.folds == 2
    x = x.reshape(len(x), -1)
    there = LogisticRegression(C=float(fit.hparams["logistic.c"]), max_iter=2000)
    there.fit(x[~held], cohort.targets.values[~held])
    np.testing.assert_allclose(np.exp(found), there.predict_proba(x[held]), atol=2e-3)


def test_what_is_no_image_is_refused() -> None:
    run = vectors.run_config("mlp", data__normalisation="z_score")
    with pytest.raises(UsageError, match=r"config.data.normalisation = 'z_score': these cases are vectors"):
        tiny.train([], run, vectors.cohort())
    run = vectors.run_config("mlp", search__space__normalisation="choice('none', 'training')")
    with pytest.raises(UsageError, match=r"search.space.normalisation = choice\('none', 'training'\): .* ''"):
        measuring.check(run, vectors.cohort())
