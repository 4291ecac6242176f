"""Overlap and volumes against plain loops, and how empty references count."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nachos_jax.metrics import overlap as m

NAMES = ("liver", "tumour")


def masks(seed):
    """Labels [N, voxels] of cases with three classes, some without one, and predictions."""
    generator = np.random.default_rng(seed)
    truth, predicted = generator.integers(0, 3, (2, 6, 40))
    truth[0][truth[0] == 2] = 0
    truth[1], predicted[1] = 0, 0
    truth[2], predicted[2][predicted[2] == 1] = 1, 0
    return truth, predicted


def volumes(truth, predicted, voxel=0.5):
    """Truth [N, K] and volumes [N, K, 3] of such labels, by class."""
    sides = [(truth == k, predicted == k) for k in (1, 2)]
    parts = [[t & p, ~t & p, t & ~p] for t, p in sides]
    counts = np.array([[part.sum(axis=1) for part in of] for of in parts]).transpose(2, 0, 1)
    return counts[..., 0] * voxel + counts[..., 2] * voxel, counts * voxel


def loop(truth, predicted, share):
    """[N, K] by sets of voxels."""
    rows = []
    for t, p in zip(truth, predicted, strict=True):
        sets = [(set(np.flatnonzero(t == k)), set(np.flatnonzero(p == k))) for k in (1, 2)]
        rows.append([1.0 if not a | b else share(a, b) for a, b in sets])
    return np.array(rows)


@given(seed=st.integers(0, 10_000))
def test_dice_and_iou_are_those_of_sets_of_voxels(seed):
    labels = masks(seed)
    truth, predicted = volumes(*labels)
    dices = loop(*labels, lambda a, b: 2 * len(a & b) / (len(a) + len(b)))
    ious = loop(*labels, lambda a, b: len(a & b) / len(a | b))
    np.testing.assert_allclose(m.dice(predicted), dices)
    np.testing.assert_allclose(m.iou(predicted), ious)
    assert m.evaluate("mean_dice", truth, predicted, NAMES).value == pytest.approx(dices.mean())
    assert m.evaluate("mean_iou", truth, predicted, NAMES).value == pytest.approx(ious.mean())
    there = truth > 0
    present = np.mean([dices[:, k][there[:, k]].mean() for k in range(2) if there[:, k].any()])
    assert m.evaluate("dice_present", truth, predicted, NAMES).value == pytest.approx(present)


def test_empty_references_are_counted_apart_and_never_dropped():
    parts = np.zeros((4, 1, 3))
    parts[0] = 8, 2, 2  # Dice 0.8
    parts[1] = 0, 0, 0  # nothing there, nothing found
    parts[2] = 0, 5, 0  # found where nothing is
    parts[3] = 0, 0, 4  # missed
    truth = parts[..., 0] + parts[..., 2]
    np.testing.assert_allclose(m.dice(parts)[:, 0], [0.8, 1, 0, 0])
    found = m.evaluate("mean_dice", truth, parts, ["tumour"])
    assert found.value == pytest.approx(1.8 / 4)
    assert (
        found.note == "where the reference of tumour is empty, nothing predicted counts as 1, anything as 0"
    )
    present = m.evaluate("dice_present", truth, parts, ["tumour"])
    assert (present.value, present.note) == (pytest.approx(0.4), "")
    assert m.empties(truth, parts, ["tumour"]) == [m.Empties("tumour", 2, 1, 1)]
    none = m.evaluate("dice_present", truth[1:3], parts[1:3], ["tumour"])
    assert (none.value, none.note) == (None, "no case has any class")


def test_a_class_that_no_case_has_is_in_no_mean_over_those_that_have_it():
    truth, predicted = volumes(np.array([[1, 1, 0, 0]]), np.array([[1, 2, 1, 0]]))
    found = m.evaluate("dice_present", truth, predicted, NAMES)
    assert (found.value, found.note) == (0.5, "over 1 of 2 classes: no case has tumour")
    assert m.evaluate("mean_dice", truth, predicted, NAMES).value == 0.25


def test_a_resampling_without_a_class_is_undefined_where_the_mean_is_over_it():
    truth, predicted = volumes(*masks(0))
    weights = np.ones((2, len(truth)))
    weights[1] = truth[:, 1] == 0
    assert np.isnan(m.resampled("dice_present", truth, predicted, weights)).tolist() == [False, True]
    assert not np.isnan(m.resampled("mean_dice", truth, predicted, weights)).any()


@given(seed=st.integers(0, 10_000), voxel=st.floats(0.01, 50))
def test_overlap_has_no_unit_and_volumes_have(seed, voxel):
    labels = masks(seed)
    truth, predicted = volumes(*labels, voxel)
    for name in ("mean_dice", "mean_iou", "dice_present", "iou_present"):
        assert m.evaluate(name, truth, predicted, NAMES).value == pytest.approx(
            m.evaluate(name, *volumes(*labels), NAMES).value
        )
    errors = [(np.sum(labels[1] == k, axis=1) - np.sum(labels[0] == k, axis=1)) * voxel for k in (1, 2)]
    expected = np.abs(errors).mean()
    assert m.evaluate("volume_error", truth, predicted, NAMES).value == pytest.approx(expected)
    for bias, error in zip(m.volume_bias(truth, predicted), errors, strict=True):
        assert bias.cases == 6
        assert bias.mean == pytest.approx(error.mean(), abs=1e-9)
        assert (bias.high, bias.low) == pytest.approx(
            (error.mean() + 1.96 * error.std(ddof=1), error.mean() - 1.96 * error.std(ddof=1)), abs=1e-9
        )


def test_a_single_case_has_a_bias_without_limits():
    truth, predicted = volumes(np.array([[1, 1, 2, 0]]), np.array([[1, 0, 0, 0]]))
    assert m.volume_bias(truth, predicted)[0] == m.Bias(1, -0.5, None, None, None)


@pytest.mark.parametrize(
    ("truth", "part", "match"),
    [(7.0, (8, 1, 2), "add up"), (10.0, (11, 1, -1), "add up"), (-1.0, (0, 0, 0), "not below 0")],
)
def test_volumes_that_cannot_be_are_refused(truth, part, match):
    with pytest.raises(ValueError, match=match):
        m.evaluate("mean_dice", np.full((1, 1), truth), np.array(part, float).reshape(1, 1, 3), ["liver"])


def test_voxels_of_agreement_and_error_are_counted():
    draw = np.random.default_rng(1)
    truth, mask = draw.integers(0, 3, (2, 8, 12, 10)).astype(np.uint8)
    found = m.voxels(truth, mask, 2)
    for number in (1, 2):
        said, true = mask == number, truth == number
        assert found[number - 1].tolist() == [(said & true).sum(), (said & ~true).sum(), (~said & true).sum()]
