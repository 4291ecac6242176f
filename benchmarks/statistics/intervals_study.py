"""Simulated studies of intervals.py: nested cross-validation, a flat search, and every interval of each."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from scipy import special

from benchmarks.statistics import intervals_world as world
from nachos_jax.metrics import classification
from nachos_jax.metrics.contract import statistic
from nachos_jax.statistics.bates import PairLosses, bates
from nachos_jax.statistics.bbc import bbc
from nachos_jax.statistics.bootstrap import Cases, Resampling, bca, bootstrap, percentile
from nachos_jax.statistics.folds import summary
from nachos_jax.statistics.intervals import SHARE, Interval, Kind, auc_influence, bayle, corrected_t

LEVEL = 0.95
WEIGHTS = 2**21
"""Numbers in the largest array of models, which sets how many studies are computed together."""
METHODS = {
    "naive_t": "naive t",
    "corrected_t": "corrected t",
    "corrected_t_logit": "corrected t, logit",
    "percentile": "bootstrap, percentile",
    "bca": "bootstrap, BCa",
    "percentile_cases": "bootstrap of cases, percentile",
    "bates": "Bates et al.",
    "bates_outer": "Bates et al., not shifted",
    "bayle": "Bayle et al.",
    "auc_influence": "influence curve",
    "bbc": "BBC, flat",
}
"""Short names of the intervals."""


@dataclass(frozen=True)
class Study:
    """One study.

    Attributes:
        labels: [K, M].
        subjects: [K, M].
        scores: [K, M] of the K outer models on their test folds.
        inner: [K, K, M]; inner[i, j] scores of fold j by the trial that fold i chose, fitted without both.
        flat: [T, K, M] out-of-fold scores of all trials.
        best: the trial with the best flat accuracy.
        accuracies: [K] true, of the outer models; `flat_accuracies` of the best trial's.
        areas: [K] true AUC of the outer models.
        deployed: true accuracy and AUC of the best trial fitted on all cases.
    """

    labels: np.ndarray
    subjects: np.ndarray
    scores: np.ndarray
    inner: np.ndarray
    flat: np.ndarray
    best: int
    accuracies: np.ndarray
    flat_accuracies: np.ndarray
    areas: np.ndarray
    deployed: tuple[float, float]


def hits(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """1.0 where a score is on the side of its label."""
    return ((scores > 0) == (labels == 1)).astype(np.float64)


def studies(setting: world.Setting, count: int, seed: int) -> Iterator[Study]:
    """Draws studies and cross-validates them, some at a time."""
    generator = np.random.default_rng(seed)
    each = setting.folds**2 * setting.trials * max(setting.features, setting.cases // setting.folds)
    size = max(1, min(count, WEIGHTS // each))
    for start in range(0, count, size):
        yield from _block(setting, min(size, count - start), generator)


def _block(setting: world.Setting, count: int, generator: np.random.Generator) -> Iterator[Study]:
    sample, trials = world.draw(setting, count, generator), world.configurations(setting, generator)
    told = world.moments(sample)
    outer, pairs = world.fits_without_a_fold(told, trials), world.fits_without_pairs(told, trials)
    inner = pairs.scores(sample.inputs[:, None, :, None])  # [S, K, K, T, M]
    flat = outer.scores(sample.inputs[:, :, None])  # [S, K, T, M]
    right = hits(inner, sample.labels[:, None, :, None]).mean(axis=-1)
    right[:, np.arange(setting.folds), np.arange(setting.folds)] = 0.0
    chosen = right.sum(axis=2).argmax(axis=-1)  # [S, K]: the first among equals
    best = hits(flat, sample.labels[:, :, None]).mean(axis=(1, 3)).argmax(axis=-1)  # [S]
    rows, folds = np.arange(count)[:, None], np.arange(setting.folds)[None, :]
    models, flat_models = outer.take(rows, folds, chosen), outer.take(rows, folds, best[:, None])
    deployed = world.fit(told.without(), trials).take(np.arange(count), best)
    truths = world.true_accuracy(setting, models), world.true_auc(setting, models)
    flat_truth = world.true_accuracy(setting, flat_models)
    last = world.true_accuracy(setting, deployed), world.true_auc(setting, deployed)
    for s in range(count):
        yield Study(
            labels=sample.labels[s],
            subjects=sample.subjects[s],
            scores=flat[s, np.arange(setting.folds), chosen[s]],
            inner=inner[s, np.arange(setting.folds), :, chosen[s]],
            flat=flat[s].transpose(1, 0, 2),
            best=int(best[s]),
            accuracies=truths[0][s],
            flat_accuracies=flat_truth[s],
            areas=truths[1][s],
            deployed=(float(last[0][s]), float(last[1][s])),
        )


def probabilities_of(scores: np.ndarray) -> np.ndarray:
    """[..., 2] of scores [...]."""
    positive = 1 / (1 + np.exp(-scores))
    return np.stack([1 - positive, positive], axis=-1)


def _naive(values: list[float | None]) -> Interval:
    """What papers print: the mean, with t times the descriptive SE."""
    from scipy import special

    found = summary(values)
    kind = Kind("naive_t", "Naive t", "outer folds", found.count, LEVEL)
    if found.mean is None or not found.se:
        return kind.undefined("no spread", found.mean)
    half = float(special.stdtrit(found.count - 1, (1 + LEVEL) / 2)) * found.se
    return kind.around(found.mean, (found.mean - half, found.mean + half), SHARE)


def intervals(setting: world.Setting, study: Study, options: Resampling) -> dict[str, dict[str, Interval]]:
    """Every interval of a study, by metric and method."""
    folds, size = study.labels.shape
    cases = Cases(study.labels.ravel(), np.repeat(np.arange(folds), size), study.subjects.ravel())
    probabilities = probabilities_of(study.scores)
    found: dict[str, dict[str, Interval]] = {}
    for metric in ("accuracy", "auc"):
        values = [
            classification.evaluate(metric, study.labels[k], probabilities[k], ("0", "1")).value
            for k in range(folds)
        ]
        measured = statistic(classification, metric, cases.strata, probabilities.reshape(-1, 2))
        replicates = bootstrap(measured, cases, options)
        found[metric] = {
            "naive_t": _naive(values),
            "corrected_t": corrected_t(values, folds, LEVEL, bounds=SHARE),
            "corrected_t_logit": _on_logit_scale(corrected_t(values, folds, LEVEL)),
            "percentile": percentile(replicates, LEVEL, SHARE),
            "bca": bca(replicates, LEVEL, SHARE),
        }
        if setting.cluster > 1:
            alone = Cases(cases.strata, cases.folds, np.arange(len(cases.strata)))
            again = bootstrap(measured, alone, options)
            found[metric]["percentile_cases"] = percentile(again, LEVEL, SHARE)
    _additive(study, cases, found["accuracy"])
    scores = study.scores.ravel()
    found["auc"]["auc_influence"] = auc_influence(cases.strata, scores, cases.folds, cases.subjects, LEVEL)
    if setting.trials > 1:
        flat = probabilities_of(study.flat.reshape(len(study.flat), -1))
        trials = [statistic(classification, "accuracy", cases.strata, one) for one in flat]
        found["accuracy"]["bbc"] = bbc(trials, cases, options, LEVEL, bounds=SHARE)
    return found


def _on_logit_scale(plain: Interval) -> Interval:
    """Of a share: symmetric around logit(mean), SE by the delta method; none where the mean is 0 or 1."""
    kind = {"method": "corrected_t_logit", "label": f"{plain.label}, logit scale"}
    mean = plain.estimate
    if mean is None or plain.low is None:
        return replace(plain, **kind)
    if not 0.0 < mean < 1.0:
        note = "the mean lies on the metric's bound: its logit is infinite"
        return replace(plain, **kind, low=None, high=None, note=note)
    away = (mean - plain.low) / (mean * (1 - mean))
    low, high = special.expit(special.logit(mean) + away * np.array([-1.0, 1.0]))
    return replace(plain, **kind, low=float(low), high=float(high))


def _additive(study: Study, cases: Cases, found: dict[str, Interval]) -> None:
    """Adds the intervals of metrics that are means over cases."""
    right, folds = hits(study.scores, study.labels), range(len(study.labels))
    inner = {(i, j): hits(study.inner[i, j], study.labels[j]) for i in folds for j in folds if i != j}
    losses = [PairLosses(list(right), inner, list(study.subjects))]
    found["bates"] = bates(losses, LEVEL, bounds=SHARE)
    found["bates_outer"] = bates(losses, LEVEL, bias=False, bounds=SHARE)
    found["bayle"] = bayle(right.ravel(), cases.subjects, LEVEL, SHARE)


def targets(study: Study, metric: str, method: str) -> tuple[float, float]:
    """True performance of the models at hand (mean of K), and of the one fitted on all cases."""
    if metric == "auc":
        return float(study.areas.mean()), study.deployed[1]
    truth = study.flat_accuracies if method == "bbc" else study.accuracies
    return float(truth.mean()), study.deployed[0]


def measure_setting(setting: world.Setting, count: int, seed: int, replicates: int) -> dict[str, dict]:
    """Coverage, width and bias of every interval over the studies of a setting, by metric and method.

    Coverage of "models": the mean true performance of the K models of each study; of "procedure": its
    mean over studies; of "deployed": the true performance of the model fitted on all cases.
    """
    rows: dict[tuple[str, str], list[tuple[float, ...]]] = {}
    for number, study in enumerate(studies(setting, count, seed)):
        options = Resampling(replicates=replicates, seed=number)
        for metric, methods in intervals(setting, study, options).items():
            for method, one in methods.items():
                ends = [math.nan if end is None else end for end in (one.estimate, one.low, one.high)]
                row = (*ends, *targets(study, metric, method))
                rows.setdefault((metric, method), []).append(row)
    found: dict[str, dict] = {}
    for (metric, method), values in rows.items():
        found.setdefault(metric, {})[method] = _summary(np.array(values))
    return found


def _summary(rows: np.ndarray) -> dict[str, float | int | None]:
    """Of rows (estimate, low, high, truth of the models, truth of the deployed model)."""
    expected, known = float(rows[:, 3].mean()), np.isfinite(rows[:, 1])
    defined = rows[known]
    count, (estimates, low, high, models, deployed) = len(defined), defined.T
    goals = {"models": models, "procedure": np.full(count, expected), "deployed": deployed}
    covered = {name: int(np.sum((low <= goal) & (goal <= high))) for name, goal in goals.items()}
    return {
        "studies": len(rows),
        "defined": count,
        **{f"covered_{name}": number for name, number in covered.items()},
        "width": float(np.mean(high - low)) if count else None,
        "bias": float(np.mean(estimates - models)) if count else None,
        "truth": expected,
        "truth_deployed": float(rows[:, 4].mean()),
    }
