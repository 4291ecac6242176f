"""All records of an estimation run, read once: what every table, figure and sentence is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from nachos_jax.config.parsing import report
from nachos_jax.config.run_config import ReportConfig
from nachos_jax.core.errors import UsageError
from nachos_jax.core.types import Trial, TrialScore
from nachos_jax.metrics import classification
from nachos_jax.records.schema import FitRecord, Outcome, OuterTest
from nachos_jax.records.store import RunDirectory
from nachos_jax.report.reading import flat, inner
from nachos_jax.report.reading.flat import FlatSearch

HEADLINE = "balanced_accuracy"
_AGAIN = "run the same `nachos evaluate` command again, it writes the file anew."


@dataclass(frozen=True)
class CaseRow:
    """One row of folds.csv.

    Attributes:
        case: its name.
        subject: its subject.
        site: its site, or "" when unknown.
        label: name of its class.
        folds: its outer fold in each repeat, global fold numbers.
    """

    case: str
    subject: str
    site: str
    label: str
    folds: tuple[int, ...]


@dataclass(frozen=True)
class Evidence:
    """The records of a run.

    Attributes:
        run: run.json.
        cases: the cases in table order.
        trials: trials asked for so far, by outer fold (None: the one study of the flat protocol).
        outcomes: finished studies, likewise.
        tests: tested outer folds, by number; in the flat protocol, what the selected trial predicted.
        fits: all finished fits.
        sessions: what each process spent.
        settings: what the report is to show.
        groups: of each column of config.report.subgroups, the group of every case, in table order.
        inner: logits [n, C] by outer fold t and inner fold v, of the fit of t's selected trial that left out
            both, at the best epoch of v; nothing of a run that kept none.
        search: the finished search of the flat protocol; None otherwise.
    """

    run: Mapping[str, Any]
    cases: tuple[CaseRow, ...]
    trials: Mapping[int | None, Sequence[Trial]]
    outcomes: Mapping[int | None, Outcome]
    tests: Mapping[int, OuterTest]
    fits: Sequence[FitRecord]
    sessions: Sequence[Mapping[str, Any]]
    settings: ReportConfig
    groups: Mapping[str, Sequence[str]]
    inner: Mapping[int, Mapping[int, np.ndarray]]
    search: FlatSearch | None = None

    @property
    def flat(self) -> bool:
        """True when the estimate comes from one loop."""
        return self.run["config"].get("protocol") == "flat"

    @property
    def count(self) -> int:
        """K, the outer folds of one repeat."""
        return int(self.run["folds"]["count"])

    @property
    def repeats(self) -> int:
        """R, the number of divisions into folds."""
        return int(self.run["folds"].get("repeats", 1))

    @property
    def planned(self) -> int:
        """Outer folds of the whole protocol, K times R."""
        return self.count * self.repeats

    @property
    def classes(self) -> tuple[str, ...]:
        """C class names in the order of the probabilities."""
        return tuple(self.run["classes"])

    @property
    def headline(self) -> str:
        """The metric that the page leads with: the selection metric."""
        name = self.run.get("inner_metric", HEADLINE)
        return name if name in classification.METRICS else HEADLINE

    @cached_property
    def by_case(self) -> dict[str, CaseRow]:
        """Rows of folds.csv by case."""
        return {row.case: row for row in self.cases}

    @cached_property
    def predictions(self) -> dict[int, tuple[np.ndarray, np.ndarray]]:
        """Of each tested outer fold: labels [N] int and probabilities [N, C] float64 (NaN where none)."""
        return {
            fold: (test.arrays["labels"], test.arrays["probabilities"].astype(np.float64))
            for fold, test in self.tests.items()
        }

    @property
    def ratio(self) -> float | None:
        """Test cases over training cases, the mean over tested outer folds: 1/(K - 1) when all are equal."""
        sizes = [len(test.cases) for test in self.tests.values()]
        return sum(n / (len(self.cases) - n) for n in sizes) / len(sizes) if sizes else None

    def repeat(self, fold: int) -> int:
        """0-based repeat of an outer fold."""
        return fold // self.count

    def members(self, fold: int) -> list[CaseRow]:
        """The cases of an outer fold."""
        return [row for row in self.cases if row.folds[self.repeat(fold)] == fold]

    def inner_predictions(self, fold: int) -> tuple[np.ndarray, np.ndarray] | None:
        """Labels [n] and logits [n, C] of all inner folds of an outer fold; None where one is missing.

        Each case is predicted by a fit that was trained on neither it nor the outer fold, at the epoch that
        was best for the inner fold of the case.
        """
        found = self.inner.get(fold, {})
        first = self.repeat(fold) * self.count
        wanted = [v for v in range(first, first + self.count) if v != fold]
        if any(v not in found for v in wanted):
            return None
        return np.concatenate([self.labels(v) for v in wanted]), np.concatenate([found[v] for v in wanted])

    def labels(self, fold: int) -> np.ndarray:
        """Class numbers [n] of the cases of a fold, in table order."""
        numbers = {name: number for number, name in enumerate(self.classes)}
        return np.array([numbers[row.label] for row in self.members(fold)], np.int64)

    def score(self, fold: int | None, trial: int) -> TrialScore | None:
        """Score of a trial, or None while its study goes on."""
        return self.outcomes[fold].scores[trial] if fold in self.outcomes else None

    def selected(self, fold: int | None) -> Trial | None:
        """The trial selected for an outer fold, or None while its study goes on."""
        outcome = self.outcomes.get(fold)
        return None if outcome is None else outcome.trials[outcome.selected]


def read(directory: RunDirectory) -> Evidence:
    """Reads the records of a run.

    Raises:
        UsageError: the directory holds no run, its folds.csv is gone, or a record is damaged.
    """
    run = directory.run()
    if run is None:
        raise UsageError(
            f"{directory.path} holds no run (no records/run.json): give the --workdir of a "
            "`nachos evaluate`, or start one there."
        )
    run = _with_newest_settings(run, directory)
    planned = range(int(run["folds"]["count"]) * int(run["folds"].get("repeats", 1)))
    one_loop = run["config"].get("protocol") == "flat"
    studies = [None] if one_loop else list(planned)
    outcomes = {fold: directory.outcome(fold) for fold in studies}
    evidence = Evidence(
        run=run,
        cases=_cases(directory),
        trials={fold: directory.trials(fold) for fold in studies},
        outcomes={fold: outcome for fold, outcome in outcomes.items() if outcome is not None},
        tests={test.outer_fold: test for test in directory.tests()},
        fits=list(directory.fits()),
        sessions=directory.sessions(),
        settings=_settings(directory),
        groups=_groups(directory),
        inner={} if one_loop else inner.of_selected(directory, outcomes),
    )
    if one_loop:
        evidence = _with_search(evidence, directory, planned)
    _check(evidence, directory)
    return evidence


def _with_search(evidence: Evidence, directory: RunDirectory, folds: range) -> Evidence:
    search = flat.read(directory, folds)
    if search is None:
        return evidence
    cases = {fold: ([row.case for row in evidence.members(fold)], evidence.labels(fold)) for fold in folds}
    return replace(evidence, search=search, tests=flat.tests(directory, search, cases))


def _with_newest_settings(run: Mapping[str, Any], directory: RunDirectory) -> dict[str, Any]:
    """run.json with the report section that this report is made by, and a warning where decisions changed."""
    first, newest = run["config"].get("report") or {}, directory.settings() or {}
    changed = [key for key in ("threshold", "positive") if key in first and first[key] != newest.get(key)]
    told = [
        f"config.report.{key} was {first[key]!r} when the run began and is {newest.get(key)!r} now: say "
        "whether it was changed after results were seen."
        for key in changed
    ]
    warnings = [*run.get("warnings", ()), *told]
    return {**run, "config": {**run["config"], "report": newest}, "warnings": warnings}


def _settings(directory: RunDirectory) -> ReportConfig:
    found = directory.settings()
    if found is None:
        raise UsageError(f"{directory.path / 'records/report.json'} is missing: {_AGAIN}")
    try:
        return report(found)
    except (KeyError, TypeError) as error:
        raise UsageError(
            f"{directory.path / 'records/report.json'} is damaged ({error}): {_AGAIN}"
        ) from error


def _groups(directory: RunDirectory) -> dict[str, tuple[str, ...]]:
    rows = directory.read_table("subgroups.csv")
    if rows is None:
        raise UsageError(f"{directory.path / 'subgroups.csv'} is missing: {_AGAIN}")
    columns = [name for name in rows[0] if name and name != "case"] if rows else []
    return {name: tuple(row[name] for row in rows) for name in columns}


def _cases(directory: RunDirectory) -> tuple[CaseRow, ...]:
    rows = directory.read_table("folds.csv")
    if rows is None:
        raise UsageError(f"{directory.path / 'folds.csv'} is missing: {_AGAIN}")
    try:
        return tuple(
            CaseRow(
                row["case"],
                row["subject"],
                row["site"],
                row["label"],
                tuple(int(value) for name, value in row.items() if name and name.startswith("fold")),
            )
            for row in rows
        )
    except (KeyError, ValueError, TypeError) as error:
        raise UsageError(
            f"{directory.path / 'folds.csv'} is damaged ({error}): delete it and run the same "
            "`nachos evaluate` command again."
        ) from error


def _check(evidence: Evidence, directory: RunDirectory) -> None:
    for fold, test in evidence.tests.items():
        known = {row.case for row in evidence.members(fold)} if fold < evidence.planned else set()
        if set(test.cases) != known:
            raise UsageError(
                f"{directory.path}: the test of outer fold {fold} has {len(test.cases)} cases that are not "
                f"the {len(known)} of folds.csv: folds.csv was edited; delete it and run the same "
                "`nachos evaluate` command again."
            )
    for name, groups in evidence.groups.items():
        if len(groups) != len(evidence.cases):
            raise UsageError(
                f"{directory.path / 'subgroups.csv'}: column {name!r} has {len(groups)} cases, folds.csv has "
                f"{len(evidence.cases)}: {_AGAIN}"
            )
