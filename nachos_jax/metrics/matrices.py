"""Metrics of many confusion matrices at once [R, C, C], row = true class, column = predicted class.

0 / 0 marks what is undefined.
"""

from __future__ import annotations

import numpy as np


def accuracy(counts: np.ndarray) -> np.ndarray:
    """[R] share of cases whose class was predicted."""
    return _diagonal(counts).sum(axis=1) / counts.sum(axis=(1, 2))


def balanced_accuracy(counts: np.ndarray) -> np.ndarray:
    """[R] mean recall over the classes that have a case."""
    cases = counts.sum(axis=2)  # an absent class is not counted
    return np.sum(_diagonal(counts) / np.maximum(cases, 1), axis=1) / (cases > 0).sum(axis=1)


def macro_f1(counts: np.ndarray) -> np.ndarray:
    """[R] mean F1 over the classes that have a case or a prediction."""
    either = counts.sum(axis=1) + counts.sum(axis=2)
    values = np.sum(2 * _diagonal(counts) / np.maximum(either, 1), axis=1) / (either > 0).sum(axis=1)
    return np.where(counts.sum(axis=(1, 2)) > 0, values, np.nan)


def mcc(counts: np.ndarray) -> np.ndarray:
    """[R] correlation of true and predicted class (Gorodkin, 2004); 0 when predictions never vary."""
    true, predicted, n = counts.sum(axis=2), counts.sum(axis=1), counts.sum(axis=(1, 2))
    spread = (n**2 - np.sum(true**2, axis=1)) * (n**2 - np.sum(predicted**2, axis=1))
    hits = _diagonal(counts).sum(axis=1) * n - np.sum(true * predicted, axis=1)
    values = np.where(spread > 0, hits / np.sqrt(np.where(spread > 0, spread, 1)), 0.0)
    return np.where(n**2 > np.sum(true**2, axis=1), values, np.nan)


def kappa(counts: np.ndarray) -> np.ndarray:
    """[R] quadratic-weighted kappa (Cohen, 1968)."""
    numbers = np.arange(counts.shape[1])
    distance = (numbers[:, None] - numbers[None, :]) ** 2
    expected = counts.sum(axis=2)[:, :, None] * counts.sum(axis=1)[:, None, :]
    chance = np.sum(distance * (expected / counts.sum(axis=(1, 2))[:, None, None]), axis=(1, 2))
    return 1 - np.sum(distance * counts, axis=(1, 2)) / np.where(chance > 0, chance, np.nan)


def _diagonal(counts: np.ndarray) -> np.ndarray:
    return np.diagonal(counts, axis1=1, axis2=2)
