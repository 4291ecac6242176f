"""May these runs be compared? Only over the same cases, labels, subjects, and tested outer folds."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from nachos_jax.config.fields import BY_CASE, BY_UNIT
from nachos_jax.core.errors import UsageError
from nachos_jax.report.reading.evidence import Evidence

SAME_FOLDS = (
    "differences are paired by outer fold, so give both runs the same data and folds (same config.data and "
    "config.folds and seed, or a fold column and config.folds.scheme='predefined')"
)


@dataclass(frozen=True)
class Compared:
    """A run in a comparison.

    Attributes:
        name: what it is called.
        workdir: its run directory, as the user wrote it.
        evidence: its records.
    """

    name: str
    workdir: str
    evidence: Evidence

    @cached_property
    def facts(self) -> dict[str, dict[str, str]]:
        """Per fact (subject, label, outer fold): its text by case."""
        rows, section = self.evidence.cases, self.evidence.section
        names = [row.case for row in rows]
        truth = dict(zip(names, section.told(self.evidence.targets, self.evidence.classes), strict=True))
        # The truth of tested cases is a record; that of the others may stand in folds.csv alone.
        for fold, (known, _) in self.evidence.predictions.items():
            told = section.told(known, self.evidence.classes)
            truth |= dict(zip(self.evidence.tests[fold].cases, told, strict=True))
        return {
            "subject": {row.case: row.subject for row in rows},
            section.words.noun: truth,
            "outer fold": {row.case: ", ".join(map(str, row.folds)) for row in rows},
        }


def check(runs: Sequence[Compared]) -> None:
    """Refuses runs whose differences would mean nothing.

    Raises:
        UsageError: a run is of the flat protocol or given twice, or runs differ in their task, classes,
            cases, subjects, labels, folds or tested outer folds, or have tested none.
    """
    for run in runs:
        _nested(run)
    for place, run in enumerate(runs):
        for other in runs[:place]:
            not_the_same(other, run, "--runs")
    for run in runs[1:]:
        _same_data(runs[0], run)
        _same_tests(runs[0], run)
    if not runs[0].evidence.tests:
        raise UsageError(
            f"{runs[0].workdir} has tested no outer fold yet, nor have the others: finish their "
            "`nachos evaluate` first."
        )


def leading_by(runs: Sequence[Compared], by: str | None) -> str:
    """Whether runs are compared by "case" or by "unit": as asked, or as all their reports lead.

    Raises:
        UsageError: reports lead by both and nothing is asked, a run has no units, or units differ.
    """
    leads = {run.name: run.evidence.settings.headline for run in runs}
    if by is None and len(set(leads.values())) > 1:
        told = ", ".join(f"{name} by {lead}" for name, lead in leads.items())
        raise UsageError(
            f"the reports of the runs lead by different things ({told}; config.report.headline): say what to "
            f"compare with --by={BY_CASE} or --by={BY_UNIT}."
        )
    if by not in (None, BY_CASE, BY_UNIT):
        raise UsageError(f"--by={by}: must be {BY_CASE!r} or {BY_UNIT!r}.")
    found = by or leads[runs[0].name]
    for run in runs if found == BY_UNIT else ():
        _has_units(run)
        both = f"{runs[0].workdir} and {run.workdir}"
        _same_facts(both, "unit", *(_unit_of(one.evidence) for one in (runs[0], run)))
    return found


def same_unit_targets(runs: Sequence[Compared]) -> None:
    """Refuses runs by unit that were pooled to other targets: their scores are against different truths.

    Raises:
        UsageError: they differ.
    """
    first = runs[0]
    for run in runs[1:]:
        for fold, test in first.evidence.tests.items():
            place = {unit: row for row, unit in enumerate(run.evidence.tests[fold].cases)}
            truth, _ = first.evidence.predictions[fold]
            others = run.evidence.predictions[fold][0][[place[unit] for unit in test.cases]]
            close = np.isclose(truth, others, equal_nan=True)
            other = np.flatnonzero(~close.reshape(len(truth), -1).all(axis=1))
            if len(other):
                raise UsageError(
                    f"{first.workdir} and {run.workdir} differ in the target of {len(other)} of "
                    f"{len(truth)} units of outer fold {fold}, like {test.cases[int(other[0])]!r}: give all "
                    f"runs the same config.report.pool and config.report.positive, or compare "
                    f"with --by={BY_CASE}."
                )


def _has_units(run: Compared) -> None:
    if not run.evidence.units or run.evidence.section.pooling(run.evidence) is None:
        raise UsageError(
            f"{run.workdir} has no units, so it has no scores by unit: run its command again with "
            f"--config.report.unit=COLUMN, which trains nothing, or compare with --by={BY_CASE}."
        )


def _unit_of(evidence: Evidence) -> dict[str, str]:
    return dict(zip((row.case for row in evidence.cases), evidence.units, strict=True))


def _nested(run: Compared) -> None:
    if run.evidence.flat:
        raise UsageError(
            f"{run.workdir} is a run of the flat protocol: its folds chose the trial that they then score, "
            "and the correction has no fold values to pair; compare runs with config.protocol = 'nested'."
        )


def not_the_same(a: Compared, b: Compared, flag: str) -> None:
    """Refuses a run that is given twice, or beside a copy of it, with the flag that names runs.

    Raises:
        UsageError: they are the same.
    """
    if os.path.realpath(a.workdir) == os.path.realpath(b.workdir):
        raise UsageError(f"{flag}: {b.workdir} stands twice; name each run once.")
    tests = a.evidence.tests
    same_config = a.evidence.run["config"] == b.evidence.run["config"]
    if same_config and tests and a.evidence.same_predictions(b.evidence):
        raise UsageError(
            f"{a.workdir} and {b.workdir} hold the same run (same config, same predictions): one is a copy "
            "or a repetition of the other; name each run once."
        )


def _same_data(a: Compared, b: Compared) -> None:
    both = f"{a.workdir} and {b.workdir}"
    if a.evidence.task != b.evidence.task:
        raise UsageError(
            f"{both} are of different tasks, {a.evidence.task} and {b.evidence.task}: they predict different "
            "things, so no difference of theirs means anything; compare runs of one task."
        )
    if a.evidence.classes != b.evidence.classes:
        raise UsageError(
            f"{both} have other {a.evidence.section.words.kinds}, or in another order "
            f"({', '.join(a.evidence.classes)}; {', '.join(b.evidence.classes)}): compare runs with the same "
            f"{a.evidence.section.words.setting}."
        )
    known, others = a.evidence.by_case.keys(), b.evidence.by_case.keys()
    if known != others:
        example = min(known ^ others)
        raise UsageError(
            f"{both} have other cases: {len(known - others)} are only in the first and {len(others - known)} "
            f"only in the second, like {example!r}; {SAME_FOLDS}."
        )
    for fact, texts in a.facts.items():
        _same_facts(both, fact, texts, b.facts[fact])


def _same_facts(both: str, fact: str, texts: Mapping[str, str], others: Mapping[str, str]) -> None:
    changed = [case for case, text in texts.items() if others[case] != text]
    if changed:
        case = changed[0]
        raise UsageError(
            f"{both} differ in the {fact} of {len(changed)} of {len(texts)} cases, like {case!r}: "
            f"{texts[case]!r} and {others[case]!r}; {SAME_FOLDS}."
        )


def _same_tests(a: Compared, b: Compared) -> None:
    for one, other in ((a, b), (b, a)):
        lacking = sorted(set(other.evidence.tests) - set(one.evidence.tests))
        if lacking:
            folds = ",".join(map(str, lacking))
            raise UsageError(
                f"{one.workdir} has not tested outer folds {folds}, which {other.workdir} has: run its "
                f"`nachos evaluate` again with --outer_folds={folds}, then compare."
            )
