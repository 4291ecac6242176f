"""All records of an estimation run, read once: what every table, figure and sentence is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from nachos_jax.config.fields import BY_CASE, BY_UNIT
from nachos_jax.config.parsing import report
from nachos_jax.config.run_config import ReportConfig
from nachos_jax.core.errors import UsageError
from nachos_jax.core.types import Trial, TrialScore
from nachos_jax.records.columns import ColumnTest
from nachos_jax.records.mask_choice import MaskChoice
from nachos_jax.records.readable import no_run
from nachos_jax.records.schema import FitRecord, Outcome, OuterTest
from nachos_jax.records.store import RunDirectory
from nachos_jax.report.reading import cases, crosschecks, external, kinds, protocols
from nachos_jax.report.reading.cases import AGAIN, CaseRow
from nachos_jax.report.reading.external import External
from nachos_jax.report.reading.kinds import Kinds
from nachos_jax.report.reading.protocols import FlatSearch, Nested
from nachos_jax.report.sections import registry

if TYPE_CHECKING:
    from nachos_jax.report.sections.section import Section

OLDEST_TASK = "classification"
"""The task of runs that do not name theirs: once there was no other."""
BACKBONE = "backbone"
"""What run.json and records/report.json say of pretrained weights."""


@dataclass(frozen=True)
class Evidence:
    """The records of a run.

    Attributes:
        run: run.json.
        cases: the N cases in table order.
        targets: [N, ...] what is true of them, as tests have it.
        trials: trials asked for so far, by outer fold (None: the one study of the flat protocol).
        outcomes: finished studies, likewise.
        tests: tested outer folds, by number; in the flat protocol, what the selected trial predicted.
        fits: all finished fits.
        sessions: what each process spent.
        settings: what the report is to show.
        groups: of each column of config.report.subgroups, the group of every case, in table order.
        units: the unit of config.report.unit that every case belongs to, likewise; () without one.
        inner: outputs [n, S] by outer fold t and inner fold v, of the fit of t's selected trial that left out
            both, at the best epoch of v (logits [n, C] of a classification); nothing of a run that kept none.
        search: the finished search of the flat protocol; None otherwise.
        external: the cases that were kept out of everything, with their tests; None of a run without.
        columns: what columns beside images were worth to the refits, by outer fold; nothing of a run without
            columns, or of an older one.
        final: what each study chose of its final masks, likewise; nothing of a run that chose nothing.
        sealed: whether every record carries a digest.
    """

    run: Mapping[str, Any]
    cases: tuple[CaseRow, ...]
    targets: np.ndarray
    trials: Mapping[int | None, Sequence[Trial]]
    outcomes: Mapping[int | None, Outcome]
    tests: Mapping[int, OuterTest]
    fits: Sequence[FitRecord]
    sessions: Sequence[Mapping[str, Any]]
    settings: ReportConfig
    groups: Mapping[str, Sequence[str]]
    units: Sequence[str] = ()
    inner: Mapping[int, Mapping[int, np.ndarray]] = field(default_factory=dict)
    search: FlatSearch | None = None
    external: External | None = None
    columns: Mapping[int, ColumnTest] = field(default_factory=dict)
    final: Mapping[int | None, MaskChoice] = field(default_factory=dict)
    sealed: bool = True

    @property
    def protocol(self) -> Nested:
        """The way to the estimate."""
        return protocols.of(self.run["config"].get("protocol"))

    @property
    def flat(self) -> bool:
        """True when the estimate comes from one loop."""
        return self.protocol.one_search

    @cached_property
    def kinds(self) -> Kinds:
        """The kinds of models that were tried; before the first trial, that of the config."""
        return kinds.of((trial for study in self.trials.values() for trial in study), self.run["config"])

    @cached_property
    def versions(self) -> dict[str, list[str]]:
        """Versions by package, in the order in which processes of this run had them: mostly one."""
        found = {name: [str(version)] for name, version in self.run.get("versions", {}).items()}
        for session in self.sessions:
            for name, version in session.get("versions", {}).items():
                known = found.setdefault(name, [])
                known += [version] if version not in known else []
        return found

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
    def task(self) -> str:
        """Name of the task."""
        return str(self.run.get("task", OLDEST_TASK))

    @property
    def section(self) -> Section:
        """What the report says of runs of this task alone."""
        return registry.of(self.task)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of what is predicted: C classes in the order of the probabilities, labels, or one target."""
        return tuple(self.run["classes"])

    @cached_property
    def metrics(self) -> Any:
        """The metrics of the task, a module like `nachos_jax.metrics.classification`."""
        return self.section.metrics(self.run)

    @cached_property
    def headline(self) -> str:
        """The metric that the page leads with: the selection metric.

        Raises:
            UsageError: the task has no metric of this name.
        """
        name = str(self.run.get("inner_metric", self.metrics.HEADLINE))
        if name not in self.metrics.METRICS:
            raise UsageError(
                f"The trials of this run were selected by {name!r}, which is no metric of the task "
                f"{self.task!r} in this version ({', '.join(self.metrics.METRICS)}): report it with the "
                "version that made it."
            )
        return name

    @cached_property
    def _folds(self) -> np.ndarray:
        """[N, R] fold of each case in each repeat."""
        return np.array([row.folds for row in self.cases])

    @cached_property
    def by_case(self) -> dict[str, CaseRow]:
        """The cases by name."""
        return {row.case: row for row in self.cases}

    @cached_property
    def predictions(self) -> dict[int, tuple[np.ndarray, np.ndarray]]:
        """Truth [n, ...] and predictions [n, ...] (NaN where none) of each tested outer fold, in table order.

        Of a classification: labels [n] int and probabilities [n, C] float64. Nothing of a task whose section
        does not know what it recorded.
        """
        found = {
            fold: self.section.outcome(test.arrays, len(self.classes)) for fold, test in self.tests.items()
        }
        return {fold: outcome for fold, outcome in found.items() if outcome is not None}

    @cached_property
    def whole(self) -> frozenset[int]:
        """Tested outer folds of which all predictions are numbers; of the others no number is told."""
        return frozenset(fold for fold, (_, made) in self.predictions.items() if np.isfinite(made).all())

    @cached_property
    def of_sites(self) -> bool:
        """True when each fold is a site of its own, by the scheme or because the case table has it so."""
        pairs = {(row.site, row.folds[0]) for row in self.cases}
        sites, folds = ({pair[place] for pair in pairs} for place in (0, 1))
        parted = len(pairs) == len(sites) == len(folds) and "" not in sites
        return self.run["folds"]["scheme"] == "site" or (self.repeats == 1 and len(folds) > 1 and parted)

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
        return [self.cases[i] for i in np.flatnonzero(self._folds[:, self.repeat(fold)] == fold).tolist()]

    def inner_predictions(self, fold: int) -> tuple[np.ndarray, np.ndarray] | None:
        """Truth [n, ...] and outputs [n, S] of all inner folds of an outer fold; None where one is missing.

        Each case is predicted by a fit that was trained on neither it nor the outer fold, at the epoch that
        was best for the inner fold of the case.
        """
        found = self.inner.get(fold, {})
        first = self.repeat(fold) * self.count
        wanted = [v for v in range(first, first + self.count) if v != fold]
        if any(v not in found for v in wanted):
            return None
        return np.concatenate([self.truth(v) for v in wanted]), np.concatenate([found[v] for v in wanted])

    def truth(self, fold: int) -> np.ndarray:
        """Targets [n, ...] of the cases of a fold, in table order."""
        return self.targets[self._folds[:, self.repeat(fold)] == fold]

    def same_predictions(self, other: Evidence) -> bool:
        """True when the tests of both hold the same, as those of a copy do."""
        return self.tests.keys() == other.tests.keys() and all(
            _same(test, other.tests[fold]) for fold, test in self.tests.items()
        )

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
        raise no_run(directory)
    run = _with_newest_settings(run, directory)
    planned = range(int(run["folds"]["count"]) * int(run["folds"].get("repeats", 1)))
    protocol = protocols.of(run["config"].get("protocol"))
    studies = dict.fromkeys(map(protocol.study, planned))
    outcomes = {fold: directory.outcome(fold) for fold in studies}
    table = cases.table(directory, run["classes"])
    evidence = Evidence(
        run=run,
        cases=table.rows,
        targets=table.targets,
        trials={fold: directory.trials(fold) for fold in studies},
        outcomes={fold: outcome for fold, outcome in outcomes.items() if outcome is not None},
        tests={test.outer_fold: test for test in directory.tests()},
        fits=list(directory.fits()),
        sessions=directory.sessions(),
        settings=_settings(directory),
        groups=cases.groups(directory),
        units=directory.units() or (),
        columns={test.outer_fold: test for test in directory.column_tests()},
        final={fold: choice for fold in studies if (choice := directory.mask_choice(fold))},
        sealed=directory.sealed,
    )
    evidence = protocol.completed(evidence, directory)
    crosschecks.check(evidence, directory)
    found = external.read(directory, run, evidence.tests, evidence.section)
    return replace(evidence, external=found, run=_with_cautions(evidence.run, found))


_OF_EXTERNAL = ("xternal cases", "have cases on both sides cannot be checked")
"""Parts of the sentences on external cases that run.json of older versions has."""


def _with_cautions(run: Mapping[str, Any], found: external.External | None) -> Mapping[str, Any]:
    """run.json with what must stand beside tests of external cases; that of older versions has it.

    Of others that were named there, as in a copy of such a run, nothing is said.
    """
    warnings = list(run.get("warnings", ()))
    if found and run.get("external", {}).get("hash") != found.cases.hash:
        warnings = [text for text in warnings if not any(part in text for part in _OF_EXTERNAL)]
    told = [text for text in found.cases.cautions if text not in warnings] if found else []
    return {**run, "warnings": [*warnings, *told]}


def _with_newest_settings(run: Mapping[str, Any], directory: RunDirectory) -> dict[str, Any]:
    """run.json with the report section that this report is made by, and a warning where decisions changed.

    What the newest launch says of pretrained weights stands in the place of what the first one said.
    """
    first, newest = run["config"].get("report") or {}, dict(directory.settings() or {})
    texts, preparation = newest.pop(BACKBONE, {}), run.get("preparation") or {}
    if texts and BACKBONE in preparation:
        backbone = {**preparation[BACKBONE], **texts}
        run = {**run, "preparation": {**preparation, BACKBONE: backbone}}
    led = [_headline(settings) for settings in (first, newest)]
    asked = ("threshold", "positive", *(("unit", "pool") if BY_UNIT in led else ()))
    changed = [key for key in asked if key in first and first[key] != newest.get(key)]
    changed += ["headline"] if first and led[0] != led[1] else []
    usual = {"headline": BY_CASE}
    told = [
        f"config.report.{key} was {first.get(key, usual.get(key))!r} when the run began and is "
        f"{newest.get(key, usual.get(key))!r} now: say whether it was changed after results were seen."
        for key in changed
    ]
    warnings = [*run.get("warnings", ()), *told]
    return {**run, "config": {**run["config"], "report": newest}, "warnings": warnings}


def _headline(settings: Mapping[str, Any]) -> str:
    """What the report leads with; settings of older versions do not name it."""
    return str(settings.get("headline", BY_CASE))


def _settings(directory: RunDirectory) -> ReportConfig:
    found = directory.settings()
    if found is None:
        raise UsageError(f"{directory.path / 'records/report.json'} is missing: {AGAIN}")
    try:
        return report({name: value for name, value in found.items() if name != BACKBONE})
    except (KeyError, TypeError) as error:
        raise UsageError(f"{directory.path / 'records/report.json'} is damaged ({error}): {AGAIN}") from error


def _same(a: OuterTest, b: OuterTest) -> bool:
    mine, others = a.arrays, b.arrays
    return (
        (a.fit, a.cases, a.training_loss, a.values) == (b.fit, b.cases, b.training_loss, b.values)
        and mine.keys() == others.keys()
        and all(np.array_equal(values, others[name], equal_nan=True) for name, values in mine.items())
    )
