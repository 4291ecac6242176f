"""Decisions of a run: thresholds and temperatures chosen on inner folds, applied to the outer ones."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from nachos_jax.core.types import digest
from nachos_jax.metrics import calibration, decisions
from nachos_jax.metrics.classification import SMALLEST, Value, evaluate
from nachos_jax.report.numbers.estimates import NOT_NUMBERS, Estimates, mean_over_folds
from nachos_jax.report.reading.evidence import Evidence
from nachos_jax.statistics.bootstrap import bootstrap, kept, percentile
from nachos_jax.statistics.folds import summary as over_folds
from nachos_jax.statistics.intervals import SHARE, Interval

RATES = ("sensitivity", "specificity", "ppv", "npv", "accuracy")
SIMULATIONS = 200
"""Sets of outcomes drawn for the ECE of a perfectly calibrated model."""
NO_INNER = "the search fits of this run kept no predictions (it is of an older version)"


def positive(evidence: Evidence) -> int | None:
    """Number of the class that decisions are about; None of several classes without a config."""
    wanted, classes = evidence.settings.positive, evidence.classes
    if wanted:
        return classes.index(wanted)
    return 1 if len(classes) == 2 else None


def thresholds(evidence: Evidence, estimates: Estimates) -> dict[str, Any] | None:
    """What the rule of the config decides: its threshold in every outer fold, and what came of it there.

    The threshold of an outer fold is chosen on the inner folds' predictions, by fits that were trained on
    neither the predicted case nor the outer fold, at the epoch that was best for that inner fold; None when
    no class is named that decisions are about, and in the flat protocol, which has no inner folds. Intervals
    are over subjects, then over folds, where few positive cases a fold make them very wide.
    """
    event = positive(evidence)
    if event is None or evidence.flat:
        return None
    rule = decisions.parse_rule(evidence.settings.threshold)
    folds = {str(fold): _decided(evidence, fold, event, rule) for fold in evidence.tests}
    made = {int(fold): row["decision"] for fold, row in folds.items() if row["decision"]}
    subjects = _over_subjects(evidence, estimates, event, made) if made else {}
    rates = {}
    for name in RATES:
        values = [row["decision"][name]["value"] if row["decision"] else None for row in folds.values()]
        found, interval = mean_over_folds(evidence, values, SHARE)
        intervals = [*filter(None, [subjects.get(name)]), interval]
        rates[name] = {**found, "intervals": [asdict(i) for i in intervals]}
    return {
        "class": evidence.classes[event],
        "rule": evidence.settings.threshold,
        "folds": folds,
        "rates": rates,
        "counts": {key: sum(row[key] for row in made.values()) for key in ("tp", "fp", "fn", "tn")},
    }


def _over_subjects(
    evidence: Evidence, estimates: Estimates, event: int, made: dict[int, dict[str, Any]]
) -> dict[str, Interval]:
    """Intervals of the rates of the decisions, which are held fixed while subjects are drawn again."""
    rows = np.flatnonzero(np.isin(estimates.cases.folds, list(made)))
    cases = estimates.cases.take(rows)
    least = np.array([made[fold]["threshold"] for fold in cases.folds.tolist()])
    happened = estimates.truth[rows] == event
    called = estimates.predicted[rows, event] >= least
    counted = {
        "sensitivity": (called & happened, happened),
        "specificity": (~called & ~happened, ~happened),
        "ppv": (called & happened, called),
        "npv": (~called & ~happened, ~called),
        "accuracy": (called == happened, np.ones(len(rows), bool)),
    }

    everyone = len(rows) == len(estimates.cases.folds)
    draws = estimates.kept if everyone else kept(cases, estimates.resampling)

    def interval(right: np.ndarray, among: np.ndarray) -> Interval:
        def rate(part: slice | np.ndarray, weights: np.ndarray) -> np.ndarray:
            with np.errstate(invalid="ignore"):
                return (weights @ right[part]) / (weights @ among[part])

        drawn = bootstrap(rate, cases, estimates.resampling, draws)
        return percentile(drawn, evidence.settings.level, SHARE)

    return {name: interval(*parts) for name, parts in counted.items()}


def _decided(evidence: Evidence, fold: int, event: int, rule: decisions.Rule) -> dict[str, Any]:
    found = evidence.inner_predictions(fold)
    if found is None:
        return {"threshold": asdict(Value(None, NO_INNER)), "decision": None}
    labels, logits = found
    scores = calibration.with_temperature(logits, 1.0)[:, event]
    threshold = decisions.choose(rule, labels == event, scores)
    outer, probabilities = evidence.predictions[fold]
    if threshold.value is None or not np.isfinite(probabilities).all():
        notes = [threshold.note, "" if threshold.value is None else NOT_NUMBERS]
        note = "; ".join(filter(None, notes))
        return {"threshold": asdict(Value(threshold.value, note)), "decision": None}
    made = decisions.applied(threshold.value, outer == event, probabilities[:, event])
    return {"threshold": asdict(threshold), "decision": asdict(made)}


def temperatures(evidence: Evidence) -> dict[str, Any] | None:
    """Temperature scaling of every outer fold, fitted on its inner folds' predictions.

    Returns:
        By fold the temperature, and log loss and calibration error of the outer fold before and after;
        None when no fold has inner predictions.
    """
    rows = {}
    for fold in evidence.tests:
        found = evidence.inner_predictions(fold)
        if found is None:
            continue
        temperature = calibration.fit_temperature(*found)
        labels, probabilities = evidence.predictions[fold]
        row: dict[str, Any] = {"temperature": asdict(temperature), "before": None, "after": None}
        if temperature.value is not None and np.isfinite(probabilities).all():
            logits = np.log(np.maximum(probabilities, SMALLEST))
            scaled = calibration.with_temperature(logits, temperature.value)
            row["before"] = _proper(evidence, labels, probabilities)
            row["after"] = _proper(evidence, labels, scaled)
        rows[str(fold)] = row
    if not rows:
        return None
    return {"folds": rows, "before": _means(rows, "before"), "after": _means(rows, "after")}


def _proper(evidence: Evidence, labels: np.ndarray, probabilities: np.ndarray) -> dict[str, float | None]:
    names = ("log_loss", "brier", "ece")
    return {name: evaluate(name, labels, probabilities, evidence.classes).value for name in names}


def _means(rows: dict[str, dict[str, Any]], key: str) -> dict[str, float | None] | None:
    found = [row[key] for row in rows.values() if row[key] is not None]
    if not found:
        return None
    return {name: over_folds([row[name] for row in found]).mean for name in found[0]}


def calibrated(evidence: Evidence, labels: np.ndarray, probabilities: np.ndarray) -> dict[str, Any] | None:
    """How far probabilities can be taken at their word: of the decided class, else of the predicted one.

    Args:
        evidence: the records.
        labels: [N] of all out-of-fold predictions.
        probabilities: [N, C] of the same.

    Returns:
        Parts of the Brier score, intercept and slope of logistic recalibration, over all outer folds
        together; None before the first test.
    """
    if not len(labels):
        return None
    happened, predicted, what = event_of(evidence, labels, probabilities)
    again = calibration.recalibration(happened, predicted)
    return {
        "ece": calibration_error(evidence),
        "of": what,
        "predictions": len(labels),
        "brier_parts": asdict(calibration.brier_parts(happened, predicted)),
        "in_the_large": asdict(again.in_the_large),
        "intercept": asdict(again.intercept),
        "slope": asdict(again.slope),
    }


def calibration_error(evidence: Evidence) -> dict[str, Any]:
    """ECE over outer folds beside that of a perfectly calibrated model: what is left at this size.

    Whether a prediction is right is drawn anew with its own probability, `SIMULATIONS` times a fold, by a
    generator named "ece" and the seed of the run; then the error is the one of chance alone.
    """
    seed = int(digest(["ece", evidence.run["config"].get("seed", 0)]), 16)
    found, expected = [], []
    for fold, (labels, probabilities) in evidence.predictions.items():
        if not np.isfinite(probabilities).all():
            continue
        generator, confidence = np.random.default_rng([seed, fold]), np.minimum(probabilities.max(axis=1), 1)
        parts = calibration.equal_mass_bins(confidence, calibration.ECE_BINS)
        promised = np.bincount(parts, weights=confidence)
        drawn = [generator.random(len(confidence)) < confidence for _ in range(SIMULATIONS)]
        gaps = [np.abs(np.bincount(parts, weights=right) - promised).sum() for right in drawn]
        expected.append(float(np.mean(gaps)) / len(confidence))
        found.append(evaluate("ece", labels, probabilities, evidence.classes).value)
    of = over_folds(expected).mean
    return {"mean": over_folds(found).mean, "if_calibrated": of, "simulations": SIMULATIONS}


def event_of(
    evidence: Evidence, labels: np.ndarray, probabilities: np.ndarray
) -> tuple[np.ndarray, np.ndarray, str]:
    """The event whose probability is judged: [N] bool, its predicted probability [N], and its name."""
    event = positive(evidence)
    if event is not None:
        return labels == event, probabilities[:, event], f"probability of {evidence.classes[event]}"
    return (
        np.argmax(probabilities, axis=1) == labels,
        probabilities.max(axis=1),
        "probability of the predicted class",
    )
