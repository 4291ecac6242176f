"""Curves of how well scores rank cases, by outer fold and as their mean, which several tasks draw."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from nachos_jax.metrics import curves
from nachos_jax.report.figures.classification import Ranked

Fold = tuple[np.ndarray, np.ndarray]
"""Whether it happened [n] bool, and the score [n], of the cases of a fold."""
MOST_POINTS = 2000
"""Points of a fold's curve that are drawn and stand in the table of the figure."""


def curve(
    make: Callable[[np.ndarray, np.ndarray], curves.Curve],
    folds: Mapping[int, Fold],
    label: str,
    note: str,
    prevalence: float | None,
) -> Ranked | None:
    """The curve of a class or label; None where no fold defines one.

    Args:
        make: of `nachos_jax.metrics.curves`, ROC or precision-recall.
        folds: cases by number of the outer fold; those with scores that are not numbers draw nothing.
        label: name of the curve.
        note: what stands beside it.
        prevalence: share of the cases in which it happened.
    """
    lines = {fold: make(*of) for fold, of in folds.items() if np.isfinite(of[1]).all()}
    defined = {fold: _thinned(line) for fold, line in lines.items() if not line.note}
    return Ranked(label, defined, note, prevalence) if defined else None


def _thinned(line: curves.Curve) -> curves.Curve:
    at = np.unique(np.linspace(0, len(line.x) - 1, MOST_POINTS).astype(int))
    return replace(line, x=line.x[at], y=line.y[at])
