"""Wrong labels: as many as can be told from models that are sometimes wrong themselves."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.statistics import flips
from nachos_jax.audit import label_errors as module
from nachos_jax.audit.label_errors import label_errors, label_rates, misplaced, probably_wrong


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
    told = label_errors(labels, seen)
    assert (told[:12] < 15).all()
    assert (told < 15).sum() >= 14
    assert len(told) <= 16


def test_labels_without_errors_give_hardly_any():
    labels, seen = _told(0, 300, 6, 0, classes=3)
    assert len(label_errors(labels, seen)) <= 1


def test_a_list_has_no_more_of_the_hard_cases_than_of_the_wrong_ones():
    labels, seen = _told(2, 2000, 6, 100)
    told = label_errors(labels, seen)
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


@pytest.mark.parametrize("model", flips.MODELS)
@pytest.mark.parametrize("accuracy", [0.94, 0.99])
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
    one, two = set(label_errors(labels, seen).tolist()), set(label_errors(labels, other).tolist())
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
    assert label_errors(labels, seen).tolist() == [0, 1, 2]


def test_the_joint_is_that_of_cleanlab():
    count = pytest.importorskip("cleanlab.count", reason="cleanlab is not installed")
    labels, seen = _told(1, 400, 2, 30, classes=3)
    theirs = np.asarray(count.compute_confident_joint(labels, seen, calibrate=True))
    np.fill_diagonal(theirs, 0)
    assert np.abs(misplaced(labels, seen) - theirs).max() <= 1  # they round to whole sums
