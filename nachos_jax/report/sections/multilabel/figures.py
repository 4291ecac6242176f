"""Figures of labels: AUC of each with its interval, ROC and precision-recall curves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from nachos_jax.metrics import curves
from nachos_jax.report.figures.classification import Ranked, ranking
from nachos_jax.report.figures.drawing import Figure
from nachos_jax.report.figures.rows import Row, ends, forest
from nachos_jax.report.reading.evidence import Evidence
from nachos_jax.report.sections.multilabel import labels
from nachos_jax.report.words.format import number


def drawn(evidence: Evidence, summary: Mapping[str, Any]) -> list[Figure | None]:
    """None for what is empty."""
    return [
        _forest(summary),
        ranking(_curves(evidence, summary, curves.roc)),
        ranking(_curves(evidence, summary, curves.precision_recall)),
    ]


def _forest(summary: Mapping[str, Any]) -> Figure | None:
    rows = []
    for name, row in labels.rows(summary):
        rows.append(Row("", name, row["positive"], None, row["auc"]["mean"], *ends(row["auc_interval"])))
    return forest("labels", rows, None, "AUC", (0.0, 1.0))


def _curves(evidence: Evidence, summary: Mapping[str, Any], make: Any) -> list[Ranked]:
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
        note = f"mean AUC {number(row['auc']['mean'], 3)}" if make is curves.roc else ""
        share = row["positive"] / row["known"] if row["known"] else None
        found.append(Ranked(name, lines, note, share))
    return found
