"""Numbers of every label: how well it is told from its absence, and decisions at chosen thresholds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from nachos_jax.metrics import decisions, multilabel
from nachos_jax.metrics.contract import statistic
from nachos_jax.metrics.value import Value
from nachos_jax.report.numbers.estimates import NOT_NUMBERS, Estimates
from nachos_jax.report.reading.evidence import Evidence
from nachos_jax.statistics.bootstrap import bootstrap, percentile
from nachos_jax.statistics.folds import summary as over_folds

NO_INNER = "the search fits of this run kept no predictions of their inner folds"
AREAS = {"auc": "macro_auc", "average_precision": "macro_average_precision"}
RATES = ("f1", "sensitivity", "specificity")


def numbers(evidence: Evidence, estimates: Estimates) -> dict[str, Any]:
    """By label: counts, areas and rates as means over outer folds, and the interval of AUC over subjects.

    A threshold is chosen for each label and outer fold on its inner folds' predictions, by fits that were
    trained on neither the case nor the outer fold, and applied to the outer fold; the flat protocol has no
    inner folds, so there decisions are at 0.5.
    """
    chosen = {fold: _thresholds(evidence, fold) for fold in evidence.predictions}
    found = {}
    for column, name in enumerate(evidence.classes):
        folds = {str(fold): _of_fold(evidence, fold, column, chosen[fold][name]) for fold in chosen}
        means = {
            key: asdict(over_folds([row[key]["value"] for row in folds.values()], evidence.count))
            for key in (*AREAS, *RATES)
        }
        known = evidence.targets[:, column]
        found[name] = {
            "known": int(np.sum(~np.isnan(known))),
            "positive": int(np.sum(known == 1)),
            "folds": folds,
            **means,
            "auc_interval": _interval(evidence, estimates, column),
        }
    return {"rule": "at 0.5" if evidence.flat else evidence.settings.threshold, "labels": found}


def constant(targets: np.ndarray, metric: str) -> np.ndarray:
    """The best prediction [L] that is the same for all cases [N, L], by a metric.

    For most metrics it is the share of each label. By F1 this would call no label of less than half of the
    cases and score 0: a label's F1 is best where it is called in all cases. That of all labels together,
    twice what is rightly called over what is called and what is there, is best where labels are called from
    the most frequent one down to some other.
    """
    known = ~np.isnan(targets)
    positive, count = np.where(known, targets, 0.0).sum(axis=0), known.sum(axis=0)
    shares = positive / np.maximum(count, 1)
    if metric == "macro_f1":
        return (positive > 0).astype(np.float64)
    if metric != "micro_f1" or not positive.any():
        return shares
    order = np.argsort(-shares, kind="stable")
    hits, called = np.cumsum(positive[order]), np.cumsum(count[order])
    most = int(np.argmax(2 * hits / (called + positive.sum())))
    found = np.zeros(len(shares))
    found[order[: most + 1]] = 1.0
    return found


def _thresholds(evidence: Evidence, fold: int) -> dict[str, Value]:
    """The threshold of each label in an outer fold."""
    if evidence.flat:
        return dict.fromkeys(evidence.classes, Value(multilabel.HALF))
    inner = evidence.inner_predictions(fold)
    if inner is None:
        return dict.fromkeys(evidence.classes, Value(None, NO_INNER))
    truth, outputs = inner
    rule = decisions.parse_rule(evidence.settings.threshold)
    predicted = evidence.section.predicted(outputs)
    return multilabel.choose_thresholds(truth, predicted, evidence.classes, rule)


def _of_fold(evidence: Evidence, fold: int, column: int, threshold: Value) -> dict[str, Any]:
    """One label of one outer fold."""
    whole, name = fold in evidence.whole, evidence.classes[column]
    own = slice(column, column + 1)
    truth, predicted = (values[:, own] for values in evidence.predictions[fold])
    row: dict[str, Any] = {"threshold": asdict(threshold)}
    row |= {
        key: asdict(
            multilabel.evaluate(area, truth, predicted, evidence.classes[own])
            if whole
            else Value(None, NOT_NUMBERS)
        )
        for key, area in AREAS.items()
    }
    if threshold.value is None or not whole:
        note = (
            NOT_NUMBERS
            if threshold.value is not None
            else f"no decision without a threshold: {threshold.note}"
        )
        return row | dict.fromkeys(RATES, asdict(Value(None, note)))
    found = multilabel.rates(truth[:, 0], predicted[:, 0], name, threshold.value)
    return row | {key: asdict(found[key]) for key in RATES}


def _interval(evidence: Evidence, estimates: Estimates, column: int) -> dict[str, Any] | None:
    """Percentiles over subjects of a label's AUC, the mean over outer folds; None without a known case."""
    if not len(estimates.truth):
        return None
    rows = np.flatnonzero(~np.isnan(estimates.truth[:, column]))
    if not len(rows):
        return None
    truth, predicted = (v[rows, column : column + 1] for v in (estimates.truth, estimates.predicted))
    measured = statistic(multilabel, "macro_auc", truth, predicted)
    drawn = bootstrap(measured, estimates.cases.take(rows), estimates.resampling)
    return asdict(percentile(drawn, evidence.settings.level, multilabel.METRICS["macro_auc"].bounds))


def rows(summary: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """Labels with their numbers, in the order of the records."""
    return list(summary["per_label"]["labels"].items())


def folds(summary: Mapping[str, Any]) -> Sequence[str]:
    """Outer folds that were predicted."""
    return next((list(row["folds"]) for _, row in rows(summary)), [])
