"""Wrong labels: as many as can be told from models that are sometimes wrong themselves."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from benchmarks.statistics import flips
from nachos_jax.audit import after
from nachos_jax.audit import label_errors as module
from nachos_jax.audit.label_errors import label_errors, label_rates, misplaced, probably_wrong
from tests.tiers import mostly_thorough


def _told(seed: int, count: int, distance: float, wrong: int, classes: int = 4):
    """Labels of which the first are wrong, and probabilities of a model that has never seen them."""
    random = np.random.default_rng(seed)
    truth = random.integers(0, classes, count)
    odds = random.normal(0, 1, (count, classes)) + distance * np.eye(classes)[truth]
    labels = truth.copy()
    labels[:wrong] = (labels[:wrong] + random.integers(1, classes, wrong)) % classes
    return labels, np.exp(odds) / np.exp(odds).sum(axis=1, keepdims=True)


def test_the_surest_errors_are_those_that_were_planted():
    labels, seen = _told(0, 300, 6, 15, classes=3)
    told = label_errors(labels, seen).rows
    assert (told[:12] < 15).all()
    assert (told < 15).sum() >= 14
    assert len(told) <= 16


def test_labels_without_errors_give_hardly_any():
    labels, seen = _told(0, 300, 6, 0, classes=3)
    assert len(label_errors(labels, seen).rows) <= 1


def test_a_list_has_no_more_of_the_hard_cases_than_of_the_wrong_ones():
    labels, seen = _told(2, 2000, 6, 100)
    told = label_errors(labels, seen).rows
    assert (told < 100).mean() >= 0.9
    assert (told < 100).sum() >= 93
    assert abs(misplaced(labels, seen).sum() - 100) <= 15


def test_the_posterior_is_that_of_the_formula_where_probabilities_and_rates_are_known(
    monkeypatch: pytest.MonkeyPatch,
):
    rates = np.asarray([[0.9, 0.1], [0.2, 0.8]])
    seen = np.asarray([[0.7, 0.3], [0.01, 0.99], [0.5, 0.5]])
    monkeypatch.setattr(module, "label_rates", lambda *_: rates)
    monkeypatch.setattr(module, "_calibrated", lambda logs, *_: np.exp(logs))
    monkeypatch.setattr(np, "maximum", lambda values, _: values)
    found = probably_wrong(np.asarray([0, 0, 1]), seen)
    expected = [0.3 * 0.2 / (0.7 * 0.9 + 0.3 * 0.2), 0.99 * 0.2 / (0.01 * 0.9 + 0.99 * 0.2), 0.1 / 0.9]
    np.testing.assert_allclose(found, expected)


@mostly_thorough("model", flips.MODELS, kept=("exact", "too sure"))
@mostly_thorough("accuracy", [0.94, 0.99], kept=(0.94,))
def test_it_makes_hardly_more_mistakes_than_a_rule_that_knows_everything(model: str, accuracy: float):
    random = np.random.default_rng(3)
    ours, least, plain = [], [], []
    for world in flips.worlds(random, 1000, accuracy, 0.05):
        told = flips.told_by(model, world, random)
        ours.append(((probably_wrong(world.labels, told) > 0.5) != world.wrong).sum())
        least.append(((world.ideal() > 0.5) != world.wrong).sum())
        plain.append(((told.argmax(axis=1) != world.labels) != world.wrong).sum())
    assert sum(ours) <= 2 * sum(least)  # of models that are too sure; of others less
    assert sum(ours) < 0.6 * sum(plain)


@pytest.mark.parametrize("power", [0.3, 3.0])
def test_how_sure_a_model_says_it_is_matters_little(power: float):
    labels, seen = _told(4, 1500, 5, 75)
    other = seen**power / (seen**power).sum(axis=1, keepdims=True)
    one, two = (set(label_errors(labels, values).rows.tolist()) for values in (seen, other))
    assert len(one ^ two) <= 8


def test_names_of_classes_do_not_matter():
    labels, seen = _told(5, 600, 4, 30)
    renamed = np.asarray([2, 0, 3, 1])
    moved = np.empty_like(seen)
    moved[:, renamed] = seen
    np.testing.assert_allclose(
        probably_wrong(renamed[labels], moved), probably_wrong(labels, seen), atol=1e-4
    )


def test_rates_are_probabilities_also_of_classes_without_a_case():
    labels, seen = _told(6, 90, 3, 9, classes=3)
    wider = np.concatenate([seen, np.zeros((90, 2))], axis=1)
    for values in (seen, wider):
        rates = label_rates(labels, values)
        np.testing.assert_allclose(rates.sum(axis=1), 1)
        assert (rates >= 0).all()
        assert np.isfinite(probably_wrong(labels, values)).all()


def test_zeros_and_ones_of_a_forest_are_taken():
    labels = np.repeat([0, 1], 50)
    seen = np.eye(2)[labels]
    labels[:3] = 1
    assert label_errors(labels, seen).rows.tolist() == [0, 1, 2]


def test_the_joint_is_that_of_cleanlab():
    count = pytest.importorskip("cleanlab.count", reason="cleanlab is not installed")
    labels, seen = _told(1, 400, 2, 30, classes=3)
    theirs = np.asarray(count.compute_confident_joint(labels, seen, calibrate=True))
    np.fill_diagonal(theirs, 0)
    assert np.abs(misplaced(labels, seen) - theirs).max() <= 1  # they round to whole sums


def _weak(seed: int, share: float, distance: float) -> tuple[np.ndarray, np.ndarray]:
    """Right labels of a rare class, and exact probabilities by one value that tells it with this distance."""
    random = np.random.default_rng(seed)
    labels = (random.random(600) < share).astype(int)
    value = random.normal(0, 1, 600) + distance * labels
    odds = np.log(share / (1 - share)) + distance * value - distance**2 / 2
    return labels, np.stack([1 / (1 + np.exp(odds)), 1 / (1 + np.exp(-odds))], axis=1)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("share", [0.1, 0.2])
def test_of_a_class_that_the_models_cannot_tell_nothing_is_said(seed: int, share: float):
    labels, seen = _weak(seed, share, 0.36)  # an AUC of 0.6
    assert (probably_wrong(labels, seen) > 0.5)[labels == 1].mean() > 0.5, "without the guard"
    found = label_errors(labels, seen)
    assert found.unknown.tolist() == [1]
    assert len(found.rows) <= 6
    assert label_errors(*_weak(seed, share, 4)).unknown.tolist() == []


@pytest.mark.parametrize("seed", range(3))
def test_models_that_know_nothing_say_nothing(seed: int):
    random = np.random.default_rng(seed)
    labels, seen = random.integers(0, 3, 300), random.dirichlet(np.full(3, 20.0), 300)
    found = label_errors(labels, seen)
    assert found.unknown.tolist() == [0, 1, 2]
    assert not len(found.rows)


@pytest.mark.parametrize("classes", [2, 6])
@pytest.mark.parametrize("accuracy", [0.94, 0.99])
def test_where_the_models_know_all_classes_all_is_told(classes: int, accuracy: float):
    rates = np.eye(classes) * 0.95 + 0.05 * (1 - np.eye(classes)) / (classes - 1)
    random, shares = np.random.default_rng(7), np.full(classes, 1 / classes)
    world = flips.simulated(random, 1000, shares, accuracy, rates)
    for model in flips.MODELS:
        seen = flips.told_by(model, world, random)
        wrong = probably_wrong(world.labels, seen)
        rows = np.argsort(-wrong, kind="stable")[: int((wrong > 0.5).sum())]
        np.testing.assert_array_equal(label_errors(world.labels, seen).rows, rows)


def test_a_run_tells_the_classes_that_its_models_cannot_tell():
    labels, seen = _weak(0, 0.1, 0.36)
    names = [f"case{row}" for row in range(600)]
    test = SimpleNamespace(cases=names, arrays={"labels": labels, "probabilities": seen})
    run: Any = SimpleNamespace(tests=lambda: [test], run=lambda: {"classes": ["healthy", "rare"]})
    found = list(after.findings(run, names))
    assert found[-1].told.startswith("The models cannot tell 'rare' from other classes, or most")
    assert all(labels[row] == 0 for finding in found for (row,) in finding.groups)
