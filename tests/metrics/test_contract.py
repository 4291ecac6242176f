"""What the metrics of every task keep, whatever they measure."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nachos_jax.core.errors import UsageError
from nachos_jax.metrics import classification, multilabel, overlap, regression
from nachos_jax.metrics.contract import Metrics, statistic

NAMES = tuple("abcde")


@dataclass(frozen=True)
class Sample:
    """Cases of one kind of problem: what is true, what was predicted, and what a perfect model says."""

    truth: np.ndarray
    predicted: np.ndarray
    perfect: np.ndarray
    names: tuple[str, ...]

    def take(self, index):
        return self.truth[index], self.predicted[index], self.names


def classes(generator, n, width):
    """C classes, probabilities with ties."""
    raw = generator.integers(1, 8, (n, width)).astype(float)
    truth = generator.integers(0, width, n)
    return Sample(truth, raw / raw.sum(axis=1, keepdims=True), np.eye(width)[truth], NAMES[:width])


def labels(generator, n, width):
    """L labels, some not known, probabilities with ties."""
    truth = generator.integers(0, 2, (n, width)).astype(float)
    perfect = truth.copy()
    truth[generator.random((n, width)) < 0.2] = np.nan
    return Sample(truth, generator.integers(1, 9, (n, width)) / 9, perfect, NAMES[:width])


def numbers(generator, n, _width):
    """One number a case, with ties."""
    truth = generator.integers(-3, 4, n).astype(float)
    return Sample(truth, truth + generator.integers(-8, 9, n), truth.copy(), ("age",))


def volumes(generator, n, width):
    """Volumes of K classes and what of them was hit, invented and missed; some classes of cases are empty."""
    truth = generator.integers(0, 5, (n, width)).astype(float)
    hits = np.minimum(truth, generator.integers(0, 5, (n, width)))
    invented = generator.integers(0, 3, (n, width)).astype(float)
    parts = np.stack([hits, invented, truth - hits], axis=-1)
    perfect = np.stack([truth, np.zeros_like(truth), np.zeros_like(truth)], axis=-1)
    return Sample(truth, parts, perfect, NAMES[:width])


KINDS: dict[str, tuple[Metrics, Callable[..., Sample]]] = {
    "classification": (classification, classes),
    "multilabel": (multilabel, labels),
    "regression": (regression, numbers),
    "overlap": (overlap, volumes),
}
EVERY = [(kind, name) for kind, (module, _) in KINDS.items() for name in module.METRICS]
every_kind = pytest.mark.parametrize("kind", KINDS)
every_metric = pytest.mark.parametrize(("kind", "name"), EVERY)
seeds = st.integers(0, 10_000)


def drawn(kind, seed, n=None) -> tuple[Metrics, Sample]:
    module, sample = KINDS[kind]
    generator = np.random.default_rng(seed)
    size = int(generator.integers(1, 30)) if n is None else n
    return module, sample(generator, size, int(generator.integers(2, 5)))


def number(value):
    return math.nan if value is None else value


@every_kind
def test_tables_are_whole(kind):
    module = KINDS[kind][0]
    assert {*module.SHOWN, module.HEADLINE, *module.ADDITIVE} <= set(module.METRICS)
    assert len(set(module.SHOWN)) == len(module.SHOWN)
    for name, metric in module.METRICS.items():
        assert metric.name == name
        assert metric.label
        assert metric.bounds[0] < metric.bounds[1]


@every_metric
@given(seed=seeds)
def test_a_case_of_weight_w_counts_as_w_cases(kind, name, seed):
    module, sample = drawn(kind, seed)
    weights = np.random.default_rng(seed).integers(0, 3, (5, len(sample.truth))).astype(float)
    weights[0], weights[1] = 1, 0
    found = module.weighted(name, sample.truth, sample.predicted, weights)
    assert (found.shape, found.dtype) == ((5,), np.float64)
    for row, value in zip(weights, found, strict=True):
        index = np.repeat(np.arange(len(row)), row.astype(int))
        expected = module.evaluate(name, *sample.take(index)).value
        assert value == pytest.approx(number(expected), abs=1e-9, nan_ok=True)


@every_metric
@given(seed=seeds)
def test_order_and_copies_of_cases_do_not_matter_and_bounds_hold(kind, name, seed):
    module, sample = drawn(kind, seed)
    order = np.random.default_rng(seed).permutation(np.tile(np.arange(len(sample.truth)), 2))
    first, again = (
        module.evaluate(name, *sample.take(slice(None))),
        module.evaluate(name, *sample.take(order)),
    )
    assert again.note == first.note
    assert number(again.value) == pytest.approx(number(first.value), abs=1e-9, nan_ok=True)
    assert first.value is not None or first.note
    low, high = module.METRICS[name].bounds
    assert first.value is None or low <= first.value <= high


@every_metric
@given(seed=seeds)
def test_resampled_is_weighted_or_undefined(kind, name, seed):
    module, sample = drawn(kind, seed)
    weights = np.random.default_rng(seed).integers(0, 3, (5, len(sample.truth))).astype(float)
    weights[0] = 1
    plain = module.weighted(name, sample.truth, sample.predicted, weights)
    found = module.resampled(name, sample.truth, sample.predicted, weights)
    assert found[0] == pytest.approx(plain[0], nan_ok=True)
    kept = ~np.isnan(found)
    np.testing.assert_array_equal(found[kept], plain[kept])
    rows = np.flatnonzero(weights[4])
    of_rows = statistic(module, name, sample.truth, sample.predicted)(rows, weights[:, rows])
    again = module.resampled(name, sample.truth[rows], sample.predicted[rows], weights[:, rows])
    np.testing.assert_array_equal(of_rows, again)


@every_metric
def test_perfect_predictions_are_better_than_random_ones(kind, name):
    module, sample = drawn(kind, 0, n=200)
    random = module.evaluate(name, *sample.take(slice(None))).value
    perfect = module.evaluate(name, sample.truth, sample.perfect, sample.names).value
    assert random is not None
    assert perfect is not None
    assert (perfect > random) == module.METRICS[name].higher_is_better


@every_metric
def test_nothing_to_measure_is_undefined_with_the_reason(kind, name):
    module, sample = drawn(kind, 1, n=20)
    assert module.evaluate(name, *sample.take(slice(0))).note == "no cases"
    assert np.isnan(module.weighted(name, *sample.take(slice(0))[:2], np.zeros((3, 0)))).all()
    broken = sample.predicted.copy()
    broken[3] = np.nan
    found = module.evaluate(name, sample.truth, broken, sample.names)
    assert found.value is None
    assert found.note.endswith("of 1 of 20 cases are not numbers")
    assert np.isnan(module.weighted(name, sample.truth, broken, np.ones((2, 20)))).all()


@every_kind
@given(seed=seeds)
def test_additive_metrics_are_means_of_the_losses_of_cases(kind, seed):
    module, sample = drawn(kind, seed)
    truth = sample.perfect if kind == "multilabel" else sample.truth
    for name, losses in module.ADDITIVE.items():
        each = losses(truth, sample.predicted)
        assert each.shape == (len(truth),)
        value = module.evaluate(name, truth, sample.predicted, sample.names).value
        assert value == pytest.approx(each.mean(), abs=1e-9)


@every_kind
def test_a_metric_that_does_not_exist_is_refused(kind):
    module, sample = drawn(kind, 2)
    with pytest.raises(UsageError, match=f"choose one of .*{module.HEADLINE}"):
        module.evaluate("acuracy", *sample.take(slice(None)))
    with pytest.raises(UsageError, match="acuracy"):
        module.weighted("acuracy", *sample.take(slice(None))[:2], np.ones((1, len(sample.truth))))
    with pytest.raises(UsageError, match="acuracy"):
        statistic(module, "acuracy", *sample.take(slice(None))[:2])
    with pytest.raises(ValueError, match="predictions of"):
        statistic(module, module.HEADLINE, sample.truth, sample.predicted[1:])
    with pytest.raises(ValueError, match="expected"):
        module.evaluate(module.HEADLINE, sample.truth, sample.predicted[1:], sample.names)
