"""Agreement of predictions with a target: bias and limits (Bland and Altman, 1986)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from nachos_jax.metrics.value import Value
from nachos_jax.report.appendix.grid import Cell, Grid, Notes, extent, plain, uncorrected
from nachos_jax.report.numbers.estimates import NOT_NUMBERS, Estimates, mean_over_folds
from nachos_jax.report.reading.evidence import Evidence
from nachos_jax.report.words.format import decimals, number, places
from nachos_jax.report.words.phrases import span

LIMIT = 1.96
"""Standard deviations from the bias to each limit of agreement."""


def spread(targets: np.ndarray) -> dict[str, float]:
    """Mean, standard deviation and range of the target over all cases."""
    found = {"mean": targets.mean(), "sd": targets.std(), "smallest": targets.min(), "largest": targets.max()}
    return {name: float(value) for name, value in found.items()}


def half(targets: np.ndarray) -> float:
    """The middle of the shortest interval that holds half of the targets [N], and one more where N is even.

    It has the least median of squares (Rousseeuw, 1984), and so the least median absolute error but for the
    mean of the two middle errors of an even number of cases.
    """
    ordered, held = np.sort(targets), len(targets) // 2 + 1
    widths = ordered[held - 1 :] - ordered[: len(ordered) - held + 1]
    start = int(np.argmin(widths))
    return float(ordered[start] + widths[start] / 2)


def numbers(evidence: Evidence, estimates: Estimates) -> dict[str, Any] | None:
    """Differences, prediction less target, in the target's unit; None before the first prediction.

    The bias is the mean over outer folds, with a corrected t interval; the limits of agreement, between which
    about 95 % of normal differences lie, are those of all out-of-fold predictions together.
    """
    differences = estimates.predicted - estimates.truth
    if not len(differences):
        return None
    folds = {}
    for fold, (truth, predicted) in evidence.predictions.items():
        broken = not np.isfinite(predicted).all()
        bias = None if broken else float(np.mean(predicted - truth))
        folds[str(fold)] = asdict(Value(bias, NOT_NUMBERS if broken else ""))
    values = [row["value"] for row in folds.values()]
    found, interval = mean_over_folds(evidence, values)
    sd = float(differences.std(ddof=1)) if len(differences) > 1 else None
    pooled = float(differences.mean())
    return {
        "predictions": len(differences),
        "bias": {**found, "interval": asdict(interval)},
        "decimals": places(sd, found["se"]),
        "folds": folds,
        "pooled": pooled,
        "sd": sd,
        "low": None if sd is None else pooled - LIMIT * sd,
        "high": None if sd is None else pooled + LIMIT * sd,
    }


def tables(summary: Mapping[str, Any]) -> list[Grid]:
    """Bias of every outer fold, its mean and interval, and the limits of agreement."""
    found, target = summary["agreement"], summary["data"]["classes"][0]
    if found is None:
        return []
    notes, digits = Notes(), decimals(found)
    rows = [(Cell(fold), notes.value(value, digits)) for fold, value in found["folds"].items()]
    totals = [
        plain(["mean", number(found["bias"]["mean"], digits)]),
        (Cell("interval"), notes.interval(found["bias"]["interval"], digits)),
        plain(["SD of all differences", number(found["sd"], digits)]),
        plain(["limits of agreement", span(found, digits)]),
    ]
    caption = (
        f"Bias (prediction less {target}, in its unit) by outer fold, and limits of agreement of "
        f"{found['predictions']:,} out-of-fold predictions together: bias \N{PLUS-MINUS SIGN} {LIMIT:g} SD "
        f"(Bland and Altman). From {extent(summary)}. {uncorrected(summary)}"
    ).strip()
    return [Grid("agreement", caption, ("Outer fold", "Bias"), tuple(rows), tuple(totals), notes.told())]
