"""Every metric of a run with its intervals: over outer folds, and over out-of-fold predictions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import cached_property
from typing import Any

import numpy as np

from nachos_jax.metrics import classification
from nachos_jax.metrics.calibration import with_temperature
from nachos_jax.metrics.classification import ADDITIVE, METRICS, SHOWN, Value, evaluate
from nachos_jax.metrics.contract import statistic
from nachos_jax.report.reading.evidence import Evidence
from nachos_jax.statistics.bates import PairLosses, bates
from nachos_jax.statistics.bbc import bbc
from nachos_jax.statistics.bootstrap import Cases, Resampling, bca, bootstrap, percentile
from nachos_jax.statistics.folds import summary as over_folds
from nachos_jax.statistics.intervals import Interval, auc_influence, bayle, corrected_t

POOLED = "all outer folds together: scores of different models, which need not compare"
PAIRS = "around the outer mean, not extrapolated; its inner fits were stopped on the folds that they score"
SITES = "folds are sites: it tells how sites differ, and is meant for further sites like these"


class Estimates:
    """Metrics and intervals of one run.

    "estimate" of a metric is the number to quote: the mean over outer folds, or, in the flat protocol, what
    bias correction leaves of the selected trial's mean.

    Args:
        evidence: the records.
    """

    def __init__(self, evidence: Evidence):
        self._evidence = evidence

    def metric(self, name: str) -> dict[str, Any]:
        """Values of the outer folds, mean, SD, SE, intervals and the out-of-fold value, as plain JSON."""
        evidence, metric = self._evidence, METRICS[name]
        values = {fold: self.of_fold(name, fold) for fold in evidence.predictions}
        numbers = [value.value for value in values.values()]
        intervals = self._corrected(name) if evidence.flat else self._intervals(name, numbers)
        return {
            "label": metric.label,
            "higher_is_better": metric.higher_is_better,
            "unit": "outer folds",
            "estimate": intervals[0].estimate if intervals else None,
            "folds": {str(fold): asdict(value) for fold, value in values.items()},
            **asdict(over_folds(numbers, evidence.count)),
            "intervals": [asdict(interval) for interval in intervals],
            "out_of_fold": asdict(self.out_of_fold(name)),
        }

    def of_fold(self, name: str, fold: int) -> Value:
        """A metric of one outer fold."""
        return evaluate(name, *self._evidence.predictions[fold], self._evidence.classes)

    def out_of_fold(self, name: str) -> Value:
        """A metric of the out-of-fold predictions of all tested folds, mean over repeats."""
        found = [
            evaluate(name, self.labels[rows], self.probabilities[rows], self._evidence.classes)
            for rows in self._rows_of_repeats
        ]
        numbers = [value.value for value in found if value.value is not None]
        if not numbers or len(numbers) < len(found):
            return Value(None, next((v.note for v in found if v.value is None), "no outer fold is tested"))
        notes = [value.note for value in found if value.note]
        if METRICS[name].ranks:
            notes.append(POOLED)
        return Value(float(np.mean(numbers)), "; ".join(dict.fromkeys(notes)))

    @cached_property
    def cases(self) -> Cases:
        """Classes (drawn within), outer folds and subjects of all predictions that are numbers."""
        evidence = self._evidence
        labels, folds, subjects = [], [], []
        for fold, test in evidence.tests.items():
            labels.append(evidence.predictions[fold][0])
            folds.append(np.full(len(test.cases), fold))
            subjects.append(np.array([evidence.by_case[case].subject for case in test.cases], str))
        if not labels:
            return Cases(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, str))
        whole = Cases(np.concatenate(labels), np.concatenate(folds), np.concatenate(subjects))
        return whole.take(self._finite)

    @property
    def labels(self) -> np.ndarray:
        """[N] class numbers of the same cases."""
        return self.cases.strata

    @cached_property
    def probabilities(self) -> np.ndarray:
        """[N, C] of the same predictions."""
        return self._all[self._finite]

    @cached_property
    def names(self) -> np.ndarray:
        """[N] names of the same cases."""
        return np.array([case for test in self._evidence.tests.values() for case in test.cases], str)[
            self._finite
        ]

    @cached_property
    def resampling(self) -> Resampling:
        """How subjects are drawn, the same for every number of the report."""
        seed = int(self._evidence.run["config"].get("seed", 0))
        return Resampling(self._evidence.settings.replicates, seed)

    @cached_property
    def _all(self) -> np.ndarray:
        found = [probabilities for _, probabilities in self._evidence.predictions.values()]
        return np.concatenate(found) if found else np.zeros((0, len(self._evidence.classes)))

    @cached_property
    def _finite(self) -> np.ndarray:
        return np.asarray(np.isfinite(self._all).all(axis=1))

    @property
    def _rows_of_repeats(self) -> list[np.ndarray]:
        repeats = self.cases.folds // self._evidence.count
        return [np.flatnonzero(repeats == repeat) for repeat in np.unique(repeats)]

    @property
    def _wanted(self) -> tuple[str, ...]:
        """Metrics that are worth resampling."""
        return (self._evidence.headline, *SHOWN)

    def _corrected(self, name: str) -> list[Interval]:
        """The flat protocol's estimate: its one loop both chose the trial and scored it."""
        search = self._evidence.search
        if search is None or name not in self._wanted:
            return []
        predictions = np.concatenate([search.probabilities[fold] for fold in self._evidence.tests], axis=1)
        level, selection = self._evidence.settings.level, self._evidence.headline
        trials, selected_by = (
            [statistic(classification, metric, self.labels, of_trial) for of_trial in predictions]
            for metric in (name, selection)
        )
        higher, bounds = METRICS[selection].higher_is_better, METRICS[name].bounds
        return [bbc(trials, self.cases, self.resampling, level, higher, selected_by, bounds)]

    # --- intervals ---------------------------------------------------------------------------------

    def _intervals(self, name: str, values: Sequence[float | None]) -> list[Interval]:
        """The headline first: corrected t over outer folds; then those over subjects."""
        evidence, level = self._evidence, self._evidence.settings.level
        bounds = METRICS[name].bounds
        first = corrected_t(values, evidence.count, level, bounds=bounds, ratio=evidence.ratio)
        sites = evidence.run["folds"]["scheme"] == "site" and first.low is not None
        found = [_noted(first, SITES if sites else "")]
        if name in self._wanted and len(self.labels):
            measured = statistic(classification, name, self.labels, self.probabilities)
            drawn = bootstrap(measured, self.cases, self.resampling)
            found += [percentile(drawn, level, bounds), bca(drawn, level, bounds)]
        if name in ADDITIVE and len(self.labels):
            found.append(
                bayle(ADDITIVE[name](self.labels, self.probabilities), self.cases.subjects, level, bounds)
            )
            pairs = self._pairs(name)
            if pairs:
                whole = len(pairs) == len(set(self.cases.folds // evidence.count))
                parts = "" if whole else f"from {len(pairs)} of {evidence.repeats} repeats, the whole ones"
                interval = bates(pairs, level, bias=False, bounds=bounds)
                found.append(_noted(interval, "; ".join(filter(None, (PAIRS, parts)))))
        if name == "auc" and len(evidence.classes) == 2 and evidence.repeats == 1 and len(self.labels):
            positive = self.probabilities[:, 1]
            found.append(auc_influence(self.labels, positive, self.cases.folds, self.cases.subjects, level))
        return found

    def _pairs(self, name: str) -> list[PairLosses]:
        """Losses of refits and of the fits of pairs behind them; nothing unless a whole division has both."""
        evidence, loss = self._evidence, ADDITIVE[name]
        found = []
        for repeat in range(evidence.repeats):
            folds = range(repeat * evidence.count, (repeat + 1) * evidence.count)
            pairs = {(t, v) for t in folds for v in folds if v != t}
            known = {(t, v) for t in folds for v in evidence.inner.get(t, {}) if v != t}
            whole = all(f in evidence.tests and np.isfinite(evidence.predictions[f][1]).all() for f in folds)
            if not whole or known < pairs:
                continue
            labels = {fold: evidence.labels(fold) for fold in folds}
            found.append(
                PairLosses(
                    outer=[loss(*evidence.predictions[fold]) for fold in folds],
                    inner={
                        (t - folds[0], v - folds[0]): loss(labels[v], _plain(evidence.inner[t][v]))
                        for t, v in sorted(pairs)
                    },
                    subjects=[
                        np.array([evidence.by_case[case].subject for case in evidence.tests[fold].cases], str)
                        for fold in folds
                    ],
                )
            )
        return found


def _noted(interval: Interval, note: str) -> Interval:
    """The interval with something to know before what its note says."""
    return replace(interval, note="; ".join(filter(None, (note, interval.note))))


def _plain(logits: np.ndarray) -> np.ndarray:
    return with_temperature(logits, 1.0)
