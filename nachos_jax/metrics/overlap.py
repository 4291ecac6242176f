"""Overlap and volume metrics of masks, from volumes of agreement and error of every case and class.

Truth is [N, K], the reference volume of K classes without the background; predictions are [N, K, 3], volumes
of true positive, false positive and false negative voxels, all in one unit: mm^3, or voxels. Dice and IoU
need no more; distances between surfaces are in `nachos_jax.metrics.surface`.

Empty references: a case without a class scores 1 in it when nothing is predicted, and 0 otherwise, so every
case has a value, whoever predicts, and none is dropped. The implementation beside Metrics Reloaded
(Maier-Hein et al. 2024) does the same; nnU-Net leaves out the first kind and keeps the second, and so its
mean is over other cases for every model. `dice_present` is over the cases that have the class, and `empties`
counts the others apart.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from nachos_jax.metrics.contract import NOT_NEGATIVE, SHARE, Losses, Metric, find, quiet
from nachos_jax.metrics.value import Value

EQUAL = 1e-4
"""Largest relative difference between a reference volume and its parts, which may be sums in float32."""


def evaluate(name: str, truth: np.ndarray, predicted: np.ndarray, names: Sequence[str]) -> Value:
    """A metric of N cases with K classes, or None with the reason; see `contract.Metrics`.

    Args:
        name: key of `METRICS`.
        truth: [N, K] float, reference volumes.
        predicted: [N, K, 3] float, true positive, false positive and false negative volumes, same unit.
        names: K names of classes without the background, for the notes.
    """
    find(METRICS, name)
    truth, predicted = _checked(truth, predicted, names)
    if len(truth) == 0:
        return Value(None, "no cases")
    broken = int((~np.isfinite(predicted)).any(axis=(1, 2)).sum())
    if broken:
        return Value(None, f"predictions of {broken} of {len(truth)} cases are not numbers")
    value = float(weighted(name, truth, predicted, np.ones((1, len(truth))))[0])
    if math.isnan(value):
        return Value(None, "no case has any class")
    return Value(value, _note(name, truth, names))


def weighted(name: str, truth: np.ndarray, predicted: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """A metric under weights [R, N] -> [R] float64, NaN where undefined; see `contract.Metrics`."""
    find(METRICS, name)
    if not np.isfinite(predicted).all() or not len(truth):
        return np.full(len(weights), np.nan)
    if name in PRESENT:
        values = _of_classes(name, truth, predicted, weights)
        there = ~np.isnan(values)
        return quiet(np.divide, np.where(there, values, 0.0).sum(axis=1), there.sum(axis=1).astype(float))
    return quiet(np.divide, weights @ ADDITIVE[name](truth, predicted), weights.sum(axis=1))


def resampled(name: str, truth: np.ndarray, predicted: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """`weighted`, NaN where no case is left that has a class of the mean."""
    values = weighted(name, truth, predicted, weights)
    if name not in PRESENT:
        return values
    there = (truth > 0).astype(np.float64)
    lost = ((weights @ there == 0) & there.any(axis=0)).any(axis=1)
    return np.where(lost, np.nan, values)


def voxels(reference: np.ndarray, mask: np.ndarray, classes: int) -> np.ndarray:
    """[K, 3]: voxels of true positives, false positives and false negatives of a mask.

    Args:
        reference: whole numbers from 0, the background, to K.
        mask: the same shape.
        classes: K.
    """
    table = np.bincount(
        reference.reshape(-1).astype(int) * (classes + 1) + mask.reshape(-1), minlength=(classes + 1) ** 2
    )
    table = table.reshape(classes + 1, classes + 1)
    right = np.diag(table)[1:]
    return np.stack([right, table.sum(axis=0)[1:] - right, table.sum(axis=1)[1:] - right], axis=-1)


def dice(predicted: np.ndarray) -> np.ndarray:
    """[N, K]: 2 TP / (2 TP + FP + FN) of volumes [N, K, 3]; 1 where all are 0."""
    return _share(2 * predicted[..., 0], predicted[..., 1] + predicted[..., 2])


def iou(predicted: np.ndarray) -> np.ndarray:
    """[N, K]: TP / (TP + FP + FN) of volumes [N, K, 3]; 1 where all are 0."""
    return _share(predicted[..., 0], predicted[..., 1] + predicted[..., 2])


def volumes(predicted: np.ndarray) -> np.ndarray:
    """[N, K]: predicted volume, TP + FP, of volumes [N, K, 3]."""
    return predicted[..., 0] + predicted[..., 1]


class Bias(NamedTuple):
    """Predicted less reference volume of one class (Bland and Altman, 1986)."""

    cases: int
    mean: float  # the bias, in the unit of the volumes
    sd: float | None  # between cases, n - 1; None of a single case
    low: float | None  # limits of agreement, 1.96 SD below and above
    high: float | None


def volume_bias(truth: np.ndarray, predicted: np.ndarray) -> list[Bias]:
    """The bias of every class over N cases, empty references among them.

    Args:
        truth: [N, K] reference volumes, N at least 1.
        predicted: [N, K, 3] volumes, finite.
    """
    found = []
    for errors in (volumes(predicted) - truth).T:
        mean = float(errors.mean())
        sd = float(errors.std(ddof=1)) if len(errors) > 1 else None
        limits = (None, None) if sd is None else (mean - 1.96 * sd, mean + 1.96 * sd)
        found.append(Bias(len(errors), mean, sd, *limits))
    return found


class Empties(NamedTuple):
    """Cases without a class."""

    name: str
    cases: int  # whose reference is empty
    right: int  # of these, where nothing is predicted either: they score 1, the others 0
    missed: int  # the other way round: cases that have the class, where nothing is predicted


def empties(truth: np.ndarray, predicted: np.ndarray, names: Sequence[str]) -> list[Empties]:
    """How the cases without a class, and those where none was found, count: one row a class."""
    without, nothing = np.asarray(truth) == 0, volumes(np.asarray(predicted)) == 0
    return [
        Empties(name, int(w.sum()), int((w & n).sum()), int((~w & n).sum()))
        for name, w, n in zip(names, without.T, nothing.T, strict=True)
    ]


def _share(part: np.ndarray, errors: np.ndarray) -> np.ndarray:
    whole = part + errors
    return np.where(whole == 0, 1.0, quiet(np.divide, part, whole))


def _of_classes(name: str, truth: np.ndarray, predicted: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """[R, K]: mean of each class over the cases that have it, NaN where none has weight."""
    there = truth > 0
    total = weights @ np.where(there, PRESENT[name](predicted), 0.0)
    return quiet(np.divide, total, weights @ there.astype(np.float64))


def _checked(truth: np.ndarray, predicted: np.ndarray, names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    truth, predicted = np.asarray(truth, np.float64), np.asarray(predicted, np.float64)
    wanted = (len(truth), len(names))
    if truth.shape != wanted or predicted.shape != (*wanted, 3):
        raise ValueError(
            f"truth {truth.shape} and volumes {predicted.shape}: {wanted} and {(*wanted, 3)} expected"
        )
    if not (np.isfinite(truth) & (truth >= 0)).all():
        raise ValueError("a reference volume must be a number, not below 0")
    parts = predicted[..., 0] + predicted[..., 2]
    known = np.isfinite(predicted).all(axis=2)
    if (np.abs(parts - truth)[known] > EQUAL * truth[known]).any() or (predicted[known] < 0).any():
        raise ValueError("true positives and false negatives must add up to the reference volume")
    return truth, predicted


def _note(name: str, truth: np.ndarray, names: Sequence[str]) -> str:
    """How empty references count, and which classes are in no mean."""
    some = [label for label, empty in zip(names, (truth == 0).any(axis=0), strict=True) if empty]
    none = [label for label, empty in zip(names, (truth == 0).all(axis=0), strict=True) if empty]
    if name in PRESENT:
        over = f"over {len(names) - len(none)} of {len(names)} classes: no case has {', '.join(none)}"
        return over * bool(none)
    empty = f"where the reference of {', '.join(some)} is empty, nothing predicted counts as 1, anything as 0"
    return empty * (bool(some) and name in OVERLAPS)


OVERLAPS: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {"mean_dice": dice, "mean_iou": iou}
"""Means over cases of the mean over classes: of these [N, K]."""
PRESENT: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {"dice_present": dice, "iou_present": iou}
"""Means over classes of the mean over the cases that have the class: of these [N, K]."""


def _of_cases(each: Callable[[np.ndarray], np.ndarray]) -> Losses:
    return lambda _truth, predicted: each(predicted).mean(axis=1)


def _volume_errors(truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    return np.abs(volumes(predicted) - truth).mean(axis=1)


ADDITIVE: Mapping[str, Losses] = {
    **{name: _of_cases(each) for name, each in OVERLAPS.items()},
    "volume_error": _volume_errors,
}
"""Metrics that are means over cases: of these [N]."""
HEADLINE: str = "mean_dice"
SHOWN: tuple[str, ...] = ("mean_dice", "dice_present", "mean_iou", "volume_error")
"""Metrics of the tables, beside the one that trials were selected by."""
METRICS: Mapping[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("mean_dice", "Mean Dice", True, SHARE),
        Metric("mean_iou", "Mean IoU", True, SHARE),
        Metric("dice_present", "Mean Dice where the class is present", True, SHARE),
        Metric("iou_present", "Mean IoU where the class is present", True, SHARE),
        Metric("volume_error", "Mean absolute volume error", False, NOT_NEGATIVE, in_unit=True),
    )
}
"""The metrics by name."""
