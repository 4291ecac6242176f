"""Figures of predicted classes, from records to drawings."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from nachos_jax.metrics import calibration, classification, curves, decisions
from nachos_jax.report.figures.classification import calibration as draw_calibration
from nachos_jax.report.figures.classification import confusion, decision, ranking
from nachos_jax.report.figures.drawing import Drawing, Figure
from nachos_jax.report.numbers.estimates import Estimates
from nachos_jax.report.reading.evidence import Evidence
from nachos_jax.report.sections.classification import decided
from nachos_jax.report.sections.classification.tables import SQUARED
from nachos_jax.report.sections.ranking import curve
from nachos_jax.report.words.format import in_sentence, number
from nachos_jax.statistics.bootstrap import resamples

WEIGHTS = 20_000_000
"""Replicates times cases of a band: 80 MB; larger cohorts get fewer replicates, at least 100."""
THRESHOLDS = np.arange(1, 100) / 100


def drawings(evidence: Evidence, estimates: Estimates, summary: Mapping[str, Any]) -> list[Drawing]:
    """ROC, precision-recall, calibration, decisions, confusion."""
    if not len(estimates.truth):
        return []
    weights = functools.cache(lambda: _weights(estimates))
    return [
        lambda: _ranking(evidence, summary, curves.roc),
        lambda: _ranking(evidence, summary, curves.precision_recall),
        lambda: _calibration(evidence, estimates, summary, weights()),
        lambda: _decision(evidence, estimates, weights),
        lambda: _confusion(summary),
    ]


def _weights(estimates: Estimates) -> np.ndarray:
    """[R, N] replicates of whole subjects, for bands over all out-of-fold predictions."""
    cases, wanted = estimates.cases, estimates.resampling
    replicates = max(100, min(wanted.replicates, WEIGHTS // len(cases.strata)))
    return resamples(cases.subjects, cases.strata, replicates, wanted.seed)


def _ranking(evidence: Evidence, summary: Mapping[str, Any], make: Any) -> Figure | None:
    """ROC or precision-recall: the decided class of two, else each class against the rest."""
    event = decided.positive(evidence)
    numbers = [event] if event is not None else list(range(len(evidence.classes)))
    auc = summary["metrics"]["auc"]
    quoted = make is curves.roc and len(evidence.classes) == 2 and auc["mean"] is not None
    note = f"mean AUC {number(auc['mean'], 3)}" if quoted else ""
    labels = np.concatenate([labels for labels, _ in evidence.predictions.values()])
    whole = {fold: of for fold, of in evidence.predictions.items() if fold in evidence.whole}
    ranked = [
        curve(
            make,
            {f: (labels == c, _scores(predicted, c)) for f, (labels, predicted) in whole.items()},
            evidence.classes[c] if len(numbers) > 1 or len(evidence.classes) > 2 else "",
            note,
            float(np.mean(labels == c)),
        )
        for c in numbers
    ]
    return ranking([line for line in ranked if line is not None])


def _scores(predicted: np.ndarray, event: int) -> np.ndarray:
    """[N]: of two classes as the areas rank them, see `nachos_jax.metrics.classification.ordered`."""
    if predicted.shape[1] != 2:
        return predicted[:, event]
    return classification.ordered(predicted if event == 1 else predicted[:, ::-1])


def _calibration(
    evidence: Evidence, estimates: Estimates, summary: Mapping[str, Any], weights: np.ndarray
) -> Figure | None:
    happened, predicted, what = decided.event_of(evidence, estimates.truth, estimates.predicted)
    predicted = np.clip(predicted, 0.0, 1.0)
    bins = max(2, min(10, len(predicted) // 20))
    curve = calibration.reliability(happened, predicted, bins, weights, evidence.settings.level)
    note = f"{in_sentence(SQUARED)} {number(summary['calibration']['brier_parts']['brier'], 3)}"
    return draw_calibration(curve, predicted, what.removeprefix("probability of "), note)


def _decision(evidence: Evidence, estimates: Estimates, weights: Callable[[], np.ndarray]) -> Figure | None:
    """Net benefit of acting on the decided class; nothing when no class is."""
    event = decided.positive(evidence)
    if event is None:
        return None
    happened, predicted, _ = decided.event_of(evidence, estimates.truth, estimates.predicted)
    found = decisions.net_benefit(
        happened, np.clip(predicted, 0.0, 1.0), THRESHOLDS, weights(), evidence.settings.level
    )
    return decision(THRESHOLDS, found, evidence.classes[event])


def _confusion(summary: Mapping[str, Any]) -> Figure | None:
    found = summary["confusion"]
    if found["share_mean"] is None:
        return None
    parts = (np.array(found[key], np.float64) for key in ("share_mean", "share_se", "counts"))
    return confusion(found["classes"], *parts)
