"""Figures of labels: AUC of each with its interval, ROC and precision-recall curves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from nachos_jax.metrics import curves
from nachos_jax.report.figures.classification.ranking import RankingCurve, precision_recall, roc
from nachos_jax.report.figures.drawing import Figure
from nachos_jax.report.figures.multilabel.labels import labels as forest
from nachos_jax.report.reading.evidence import Evidence
from nachos_jax.report.sections.multilabel import labels
from nachos_jax.report.words.format import number


def drawn(evidence: Evidence, summary: Mapping[str, Any]) -> list[Figure | None]:
    """None for what is empty."""
    return [
        _forest(summary),
        roc(_curves(evidence, summary, curves.roc)),
        precision_recall(_curves(evidence, summary, curves.precision_recall)),
    ]


def _forest(summary: Mapping[str, Any]) -> Figure | None:
    found = labels.rows(summary)
    ends = [row["auc_interval"] or {"low": None, "high": None} for _, row in found]
    return forest(
        [name for name, _ in found],
        [row["auc"]["mean"] for _, row in found],
        [end["low"] for end in ends],
        [end["high"] for end in ends],
        [row["positive"] for _, row in found],
    )


def _curves(evidence: Evidence, summary: Mapping[str, Any], make: Any) -> list[RankingCurve]:
    """A curve for each label that some outer fold defines."""
    found = []
    for column, (name, row) in enumerate(labels.rows(summary)):
        lines = [
            make(truth[known, column] == 1, predicted[known, column])
            for truth, predicted in evidence.predictions.values()
            if (known := ~np.isnan(truth[:, column])).any() and np.isfinite(predicted[known, column]).all()
        ]
        lines = [line for line in lines if not line.note]
        if not lines:
            continue
        band, banded = curves.band(lines), len(lines) > 2
        found.append(
            RankingCurve(
                label=name,
                folds=[(line.x, line.y) for line in lines],
                grid=band.grid,
                mean=band.mean,
                low=band.low if banded else None,
                high=band.high if banded else None,
                note=f"mean AUC {number(row['auc']['mean'], 3)}" if make is curves.roc else "",
                prevalence=row["positive"] / row["known"] if row["known"] else None,
            )
        )
    return found
