"""What a statistician would ask of an estimate before believing it, as numbers; `sentence.j2` says them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from nachos_jax.report.reading.evidence import Evidence
from nachos_jax.report.words.leading import leading
from nachos_jax.statistics.folds import summary as over_folds

FEW_FOLDS = 3
"""Outer folds with which an interval over folds is possible and hardly more."""


def cautions(evidence: Evidence, summary: Mapping[str, Any], pooled: Evidence) -> dict[str, Any]:
    """By name what calls for caution; None where nothing does.

    Args:
        evidence: the run.
        summary: its summary, without its words.
        pooled: the run by unit, which is asked where the report leads with units.
    """
    led = leading(summary)
    headline = led["metrics"][summary["headline"]]
    return {
        "epochs_at_limit": _at_limit(evidence, summary),
        "few_folds": headline["count"] == FEW_FOLDS and not evidence.flat,
        "constant": _constant(evidence if led is summary else pooled, headline),
        **evidence.section.cautions(evidence, summary),
    }


def _at_limit(evidence: Evidence, summary: Mapping[str, Any]) -> dict[str, Any] | None:
    """Outer folds whose number of epochs is the most that was allowed; all are in the flat protocol."""
    limit = (evidence.run["config"].get("training") or {}).get("epochs")
    if limit is None or evidence.flat:
        return None
    folds = [row["outer_fold"] for row in summary["outer_folds"] if (row["epochs"] or 0) >= limit]
    return {"limit": limit, "folds": folds} if folds else None


def _constant(evidence: Evidence, headline: Mapping[str, Any]) -> dict[str, Any] | None:
    """What one prediction for all cases scores, where the estimate is not shown to be better."""
    given = evidence.section.constant(evidence.targets, evidence.headline)
    metric = evidence.metrics.METRICS[evidence.headline]
    if given is None or headline["estimate"] is None:
        return None
    values = []
    for truth, predicted in evidence.predictions.values():
        same = np.broadcast_to(given, predicted.shape)
        values.append(evidence.metrics.evaluate(evidence.headline, truth, same, evidence.classes).value)
    value, interval = over_folds(values).mean, headline["intervals"][0]
    worst = interval["low"] if metric.higher_is_better else interval["high"]
    sign = 1 if metric.higher_is_better else -1
    if value is None or sign * (headline["estimate"] if worst is None else worst) > sign * value:
        return None
    return {"value": value, "better": sign * headline["estimate"] > sign * value}
