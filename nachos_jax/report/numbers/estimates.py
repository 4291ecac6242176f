"""Every metric of a run with its intervals: over outer folds, and over out-of-fold predictions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import cached_property
from typing import Any

import numpy as np

from nachos_jax.metrics.contract import Bounds, statistic
from nachos_jax.metrics.value import Value
from nachos_jax.report.reading.evidence import Evidence
from nachos_jax.report.words.format import places
from nachos_jax.statistics.bates import PairLosses, bates
from nachos_jax.statistics.bbc import bbc
from nachos_jax.statistics.bootstrap import Cases, Replicates, Resampling, bca, bootstrap, kept, percentile
from nachos_jax.statistics.folds import summary as over_folds
from nachos_jax.statistics.intervals import UNBOUNDED, Interval, bayle, corrected_t, prediction_t

POOLED = "all outer folds together: scores of different models, which need not compare"
PAIRS = "around the outer mean, not extrapolated; its inner fits were stopped on the folds that they score"
SITES = "folds are sites: it holds for the mean over these sites, and not for a further one"

NOT_NUMBERS = "not all predictions of this outer fold are numbers"

DRAWS = 100_000_000
"""Most replicates times cases of a bootstrap: more than 50,000 cases get fewer than the usual 2,000,
and no BCa, whose jackknife evaluates all cases a thousand times and which then equals percentiles."""
FEWEST_REPLICATES = 200


def mean_over_folds(
    evidence: Evidence, values: Sequence[float | None], bounds: Bounds = UNBOUNDED
) -> tuple[dict[str, Any], Interval]:
    """Mean, SD, SE and count of values of the outer folds as plain JSON, and the corrected t interval.

    Args:
        evidence: of the run.
        values: of each tested outer fold; None where it has none.
        bounds: the smallest and largest that there can be.
    """
    count, level = evidence.count, evidence.settings.level
    interval = corrected_t(values, count, level, bounds=bounds, ratio=evidence.ratio, scale="inside")
    return asdict(over_folds(values, count)), interval


class Estimates:
    """Metrics and intervals of one run.

    "estimate" of a metric is the number to quote: the mean over outer folds, or, in the flat protocol, what
    bias correction leaves of the selected trial's mean.
    """

    def __init__(self, evidence: Evidence):
        self._evidence = evidence
        self._metrics = evidence.metrics

    def metric(self, name: str) -> dict[str, Any]:
        """Values of the outer folds, mean, SD, SE, intervals and the out-of-fold value, as plain JSON."""
        evidence, metric = self._evidence, self._metrics.METRICS[name]
        values = {fold: self.of_fold(name, fold) for fold in evidence.tests}
        numbers = [value.value for value in values.values()]
        intervals = self._corrected(name) if evidence.flat else self._intervals(name, numbers)
        found = over_folds(numbers, evidence.count)
        return {
            "label": metric.title,
            **({"decimals": places(found.mean, found.se)} if metric.in_unit else {}),
            "higher_is_better": metric.higher_is_better,
            "unit": "outer folds",
            "estimate": intervals[0].estimate if intervals else None,
            "folds": {str(fold): asdict(value) for fold, value in values.items()},
            **asdict(found),
            "intervals": [asdict(interval) for interval in intervals],
            "further_site": self._further_site(name, numbers),
            "out_of_fold": asdict(self.out_of_fold(name)),
        }

    def of_fold(self, name: str, fold: int) -> Value:
        """A metric of one outer fold; what the task measured itself goes first."""
        test = self._evidence.tests[fold]
        if name in test.values:
            value = test.values[name]
            return Value(value, "" if value is not None else "the task could not measure it")
        if fold not in self._evidence.predictions:
            return Value(None, "the task did not measure it, and this report does not know the task")
        found = self._metrics.evaluate(name, *self._evidence.predictions[fold], self._evidence.classes)
        return found if found.value is None or fold in self._evidence.whole else Value(None, NOT_NUMBERS)

    def out_of_fold(self, name: str) -> Value:
        """A metric of the out-of-fold predictions of all tested folds, mean over repeats."""
        found = [self.of_rows(name, rows) for rows in self._rows_of_repeats]
        numbers = [value.value for value in found if value.value is not None]
        if not numbers or len(numbers) < len(found):
            return Value(None, next((v.note for v in found if v.value is None), "no outer fold is tested"))
        notes = [value.note for value in found if value.note]
        if self._metrics.METRICS[name].ranks:
            notes.append(POOLED)
        return Value(float(np.mean(numbers)), "; ".join(dict.fromkeys(notes)))

    def of_rows(self, name: str, rows: np.ndarray) -> Value:
        """A metric of some of the out-of-fold predictions: `rows` are numbers, or [N] bool."""
        return self._metrics.evaluate(name, self.truth[rows], self.predicted[rows], self._evidence.classes)

    def drawn(self, name: str, rows: np.ndarray, wanted: Resampling) -> Replicates:
        """A metric of some of the out-of-fold predictions, over replicates of their subjects."""
        measured = statistic(self._metrics, name, self.truth[rows], self.predicted[rows])
        return bootstrap(measured, self.cases.take(rows), wanted)

    @cached_property
    def kept(self) -> Sequence[np.ndarray] | None:
        """The draws of all cases, see `nachos_jax.statistics.bootstrap.kept`."""
        return kept(self.cases, self.resampling)

    @cached_property
    def cases(self) -> Cases:
        """Strata, outer folds and subjects of all predictions of outer folds in which all are numbers."""
        evidence, folds = self._evidence, self._evidence.predictions
        if not folds:
            return Cases(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, str))
        numbers = [np.full(len(evidence.tests[fold].cases), fold) for fold in folds]
        subjects = [[evidence.by_case[case].subject for case in evidence.tests[fold].cases] for fold in folds]
        names = np.concatenate([np.array(names, str) for names in subjects])
        return Cases(
            evidence.section.strata(self.truth),
            np.concatenate(numbers)[self._finite],
            # Numbers in the order of the names: they are sorted again and again.
            np.unique(names, return_inverse=True)[1][self._finite],
        )

    @cached_property
    def truth(self) -> np.ndarray:
        """[N, ...] of the same predictions."""
        return self._all[0][self._finite]

    @cached_property
    def predicted(self) -> np.ndarray:
        """[N, ...] the predictions themselves: probabilities [N, C] of a classification."""
        return self._all[1][self._finite]

    @cached_property
    def names(self) -> np.ndarray:
        """[N] names of the same cases."""
        tests = self._evidence.tests
        return np.array([case for fold in self._evidence.predictions for case in tests[fold].cases], str)[
            self._finite
        ]

    @cached_property
    def resampling(self) -> Resampling:
        """How subjects are drawn, the same for every number of the report; fewer times of very many cases."""
        seed, wanted = int(self._evidence.run["config"].get("seed", 0)), self._evidence.settings.replicates
        most = max(FEWEST_REPLICATES, DRAWS // max(1, len(self.truth)))
        return Resampling(min(wanted, most), seed)

    @cached_property
    def _all(self) -> tuple[np.ndarray, np.ndarray]:
        found = list(self._evidence.predictions.values())
        if not found:
            evidence = self._evidence
            nothing = evidence.section.predicted(np.zeros((0, len(evidence.classes))))
            return evidence.targets[:0], nothing
        return np.concatenate([truth for truth, _ in found]), np.concatenate([made for _, made in found])

    @cached_property
    def _finite(self) -> np.ndarray:
        """[N] bool: a fold with a prediction that is no number has no value, and is in none of all folds."""
        evidence = self._evidence
        whole = [
            np.full(len(made), fold in evidence.whole) for fold, (_, made) in evidence.predictions.items()
        ]
        return np.concatenate(whole) if whole else np.zeros(0, bool)

    @property
    def _rows_of_repeats(self) -> list[np.ndarray]:
        repeats = self.cases.folds // self._evidence.count
        return [np.flatnonzero(repeats == repeat) for repeat in np.unique(repeats)]

    @property
    def _wanted(self) -> tuple[str, ...]:
        """Metrics that are worth resampling."""
        return (self._evidence.headline, *self._metrics.SHOWN)

    def _corrected(self, name: str) -> list[Interval]:
        """The flat protocol's estimate: its one loop both chose the trial and scored it."""
        search = self._evidence.search
        if search is None or name not in self._wanted:
            return []
        predictions = np.concatenate([search.predictions[fold] for fold in self._evidence.tests], axis=1)
        level, selection = self._evidence.settings.level, self._evidence.headline
        trials, selected_by = (
            [statistic(self._metrics, metric, self.truth, of_trial) for of_trial in predictions]
            for metric in (name, selection)
        )
        higher, bounds = self._metrics.METRICS[selection].higher_is_better, self._metrics.METRICS[name].bounds
        return [bbc(trials, self.cases, self.resampling, level, higher, selected_by, bounds)]

    # --- intervals ---------------------------------------------------------------------------------

    def _intervals(self, name: str, values: Sequence[float | None]) -> list[Interval]:
        """The headline first: corrected t over outer folds; then those over subjects."""
        evidence, level = self._evidence, self._evidence.settings.level
        bounds = self._metrics.METRICS[name].bounds
        _, first = mean_over_folds(evidence, values, bounds)
        found = [noted(first, SITES if evidence.of_sites and first.low is not None else "")]
        if not len(self.truth):
            return found
        if name in self._wanted:
            measured = statistic(self._metrics, name, self.truth, self.predicted)
            drawn = bootstrap(measured, self.cases, self.resampling, self.kept)
            found.append(percentile(drawn, level, bounds))
            if len(self.truth) * evidence.settings.replicates <= DRAWS:
                found.append(bca(drawn, level, bounds))
        if name in self._metrics.ADDITIVE:
            losses = self._metrics.ADDITIVE[name](self.truth, self.predicted)
            if not np.isfinite(losses).all():  # the metric weighs cases by what is known of them
                return [*found, *evidence.section.intervals(evidence, self, name)]
            found.append(bayle(losses, self.cases.subjects, level, bounds))
            pairs = self._pairs(name)
            if pairs:
                whole = len(pairs) == len(set(self.cases.folds // evidence.count))
                parts = "" if whole else f"from {len(pairs)} of {evidence.repeats} repeats, the whole ones"
                interval = bates(pairs, level, bias=False, bounds=bounds)
                found.append(noted(interval, "; ".join(filter(None, (PAIRS, parts)))))
        return [*found, *evidence.section.intervals(evidence, self, name)]

    def _further_site(self, name: str, values: Sequence[float | None]) -> dict[str, Any] | None:
        """Where the score of a site that is none of these may lie; None where folds are no sites."""
        known, evidence = [value for value in values if value is not None], self._evidence
        if not evidence.of_sites or evidence.flat or not known:
            return None
        bounds = self._metrics.METRICS[name].bounds
        return asdict(prediction_t(known, evidence.settings.level, bounds))

    def _pairs(self, name: str) -> list[PairLosses]:
        """Losses of refits and of the fits of pairs behind them; nothing unless a whole division has both."""
        evidence, loss = self._evidence, self._metrics.ADDITIVE[name]
        found = []
        for repeat in range(evidence.repeats):
            folds = range(repeat * evidence.count, (repeat + 1) * evidence.count)
            pairs = {(t, v) for t in folds for v in folds if v != t}
            known = {(t, v) for t in folds for v in evidence.inner.get(t, {}) if v != t}
            whole = all(f in evidence.tests and np.isfinite(evidence.predictions[f][1]).all() for f in folds)
            if not whole or known < pairs:
                continue
            truth, predicted = {fold: evidence.truth(fold) for fold in folds}, evidence.section.predicted
            found.append(
                PairLosses(
                    outer=[loss(*evidence.predictions[fold]) for fold in folds],
                    inner={
                        (t - folds[0], v - folds[0]): loss(truth[v], predicted(evidence.inner[t][v]))
                        for t, v in sorted(pairs)
                    },
                    subjects=[
                        np.array([evidence.by_case[case].subject for case in evidence.tests[fold].cases], str)
                        for fold in folds
                    ],
                )
            )
        return found


def noted(interval: Interval, note: str) -> Interval:
    """The interval with something to know before what its note says."""
    return replace(interval, note="; ".join(filter(None, (note, interval.note))))
