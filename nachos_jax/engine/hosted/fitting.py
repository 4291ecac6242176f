"""ONE fit of an estimator of scikit-learn: from training cases to what is seen of the cases asked for."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

FLOOR = 1e-6
"""The least probability that is told: a forest whose trees all agree says 0, and no case proves that."""


@dataclass(frozen=True)
class Order:
    """What one fit is made of.

    Attributes:
        training: [n] row numbers of the training cases.
        asked: [m] row numbers of the cases to predict.
        mean, sd: [C] float32, of the training inputs by channel or feature.
        fill: [C] float32, what stands for a missing value; None where none may be missing.
        weights: [n] float32 of classes or [n, labels], of the training cases; None where all are alike.
        limits: [N, 4, C] float32, what clips (least, most), shifts and scales each case; None where mean and
            sd of the training cases do.
    """

    training: np.ndarray
    asked: np.ndarray
    mean: np.ndarray
    sd: np.ndarray
    fill: np.ndarray | None = None
    weights: np.ndarray | None = None
    limits: np.ndarray | None = None


def seen(
    outcome: str,
    make: Callable[[str], Any],
    inputs: np.ndarray,
    targets: np.ndarray,
    count: int,
    order: Order,
) -> np.ndarray:
    """What is seen of the cases asked for: [m, S] float32, rows of NaN where an input is no number.

    Args:
        outcome: "classes" (log-probabilities [m, C]), "labels" (logits [m, labels]) or "number" [m, 1].
        make: an estimator of scikit-learn that has not been fitted, for "classes" or "number".
        inputs: [N, ...] in stored dtype, possibly memory-mapped.
        targets: [N] class numbers, [N, labels] with NaN where nobody knows, or [N] numbers.
        count: S.
        order: see `Order`.

    Raises:
        ValueError: a training input is no number, or scikit-learn refuses.
    """
    known = _Training(prepared(inputs, order.training, order), targets[order.training], order.weights)
    if not np.isfinite(known.x).all():
        raise ValueError("an input of a training case is no number")
    there = prepared(inputs, order.asked, order)
    usable = np.isfinite(there).all(axis=1)
    found = np.full((len(there), count), np.nan, np.float32)
    if usable.any():
        found[usable] = _WAYS[outcome](make, known, there[usable], count)
    return found


def prepared(inputs: np.ndarray, rows: np.ndarray, order: Order) -> np.ndarray:
    """[n, D] float32: the inputs of some cases as networks get them, pixel after pixel."""
    values = np.asarray(inputs[rows]).astype(np.float32)
    if order.fill is not None:
        values = np.where(np.isnan(values), order.fill, values)
    if order.limits is None:
        return ((values - order.mean) / order.sd).reshape(len(rows), -1)
    wide = np.expand_dims(order.limits[rows], tuple(range(2, values.ndim)))  # [n, 4, 1, ..., C]
    least, most, shift, scale = np.moveaxis(wide, 1, 0)
    return ((np.clip(values, least, most) - shift) / scale).reshape(len(rows), -1)


@dataclass(frozen=True)
class _Training:
    """What an estimator is fitted to: inputs [n, D], targets [n, ...], weights as of `Order`."""

    x: np.ndarray
    targets: np.ndarray
    weights: np.ndarray | None

    def fitted(self, estimator: Any) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that a fit has not converged costs it score, and nothing else
            return estimator.fit(self.x, self.targets, sample_weight=self.weights)


def _classes(make: Callable[[str], Any], known: _Training, asked: np.ndarray, count: int) -> np.ndarray:
    """[m, C] log-probabilities; a class without training cases gets the least."""
    names = np.unique(known.targets)
    probabilities = np.zeros((len(asked), count))
    if len(names) == 1:
        probabilities[:, names] = 1.0
    else:
        probabilities[:, names] = known.fitted(make("classes")).predict_proba(asked)
    floored = np.maximum(probabilities, FLOOR)
    return np.log(floored / floored.sum(axis=1, keepdims=True))


def _labels(make: Callable[[str], Any], known: _Training, asked: np.ndarray, count: int) -> np.ndarray:
    """[m, labels] logits, each label by an estimator of its own from the cases that know it."""
    found = np.zeros((len(asked), count))
    for label in range(count):
        told = np.isfinite(known.targets[:, label])
        if not told.any():
            continue  # as likely as not
        weights = None if known.weights is None else known.weights[told, label]
        alone = _Training(known.x[told], known.targets[told, label].astype(np.int64), weights)
        two = _classes(make, alone, asked, 2)
        found[:, label] = two[:, 1] - two[:, 0]
    return found


def _number(make: Callable[[str], Any], known: _Training, asked: np.ndarray, count: int) -> np.ndarray:  # noqa: ARG001
    """[m, 1] in the unit of the target."""
    return known.fitted(make("number")).predict(asked)[:, None]


_WAYS = {"classes": _classes, "labels": _labels, "number": _number}
