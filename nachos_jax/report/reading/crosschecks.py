"""Do the records of a run belong together? Nothing is reported of a run of which a part is lost or edited."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from safetensors.numpy import load

from nachos_jax.core.errors import UsageError
from nachos_jax.records.schema import FitRecord, OuterTest
from nachos_jax.records.store import RunDirectory
from nachos_jax.report.reading.cases import AGAIN

if TYPE_CHECKING:
    from nachos_jax.report.reading.evidence import Evidence

_APART = 1e-6
"""How far predictions made again may lie from the record: other processors round otherwise."""


def check(evidence: Evidence, directory: RunDirectory) -> None:
    """Compares trials with outcomes, tests with outcomes, fits and cases, and subgroups with cases.

    Raises:
        UsageError: a record is lost or contradicts another one; the message names it and the cure.
    """
    fits = {record.fit: record for record in evidence.fits}
    for study, trials in evidence.trials.items():
        for number, trial in enumerate(trials):
            if trial.number != number:
                folder = directory.outcome_path(study).parent
                raise UsageError(f"{folder / f'trial_{number:04d}.json'} is missing: {AGAIN}")
    for study, outcome in evidence.outcomes.items():
        if list(outcome.trials) != list(evidence.trials[study]):
            folder = directory.outcome_path(study).parent
            raise UsageError(f"{folder}: the trials are not those of outcome.json: {AGAIN}")
        _there({fit for ids in outcome.fits for fit in ids}, fits, directory)
    for fold, test in evidence.tests.items():
        _cases(evidence, directory, test)
        if not evidence.flat:
            _there({test.fit}, fits, directory)
            _refit(evidence, directory, fold, fits[test.fit])
    for fold, asked in evidence.columns.items():
        if fold not in evidence.tests or evidence.tests[fold].fit != asked.fit:
            raise UsageError(
                f"{directory.column_path(fold)} is not of the fit that was tested: delete this file and run "
                "the same `nachos evaluate` again."
            )
    _columns(evidence, directory)


def _columns(evidence: Evidence, directory: RunDirectory) -> None:
    """Subgroups and units are of all cases."""
    if len(evidence.units) not in (0, len(evidence.cases)):
        raise UsageError(
            f"{directory.records / 'units.json'} has {len(evidence.units)} cases, and the run has "
            f"{len(evidence.cases)}: {AGAIN}"
        )
    for name, groups in evidence.groups.items():
        if len(groups) != len(evidence.cases):
            raise UsageError(
                f"{directory.path / 'subgroups.csv'}: column {name!r} has {len(groups)} cases, folds.csv has "
                f"{len(evidence.cases)}: {AGAIN}"
            )


def _there(names: set[str], fits: Mapping[str, FitRecord], directory: RunDirectory) -> None:
    for name in sorted(names - fits.keys()):
        raise UsageError(f"{directory.folder / 'fits' / name}.json is missing: {AGAIN}")


def _cases(evidence: Evidence, directory: RunDirectory, test: OuterTest) -> None:
    """The test of an outer fold has its cases, with what is true of them."""
    fold, rows = test.outer_fold, {row.case: number for number, row in enumerate(evidence.cases)}
    known = {row.case for row in evidence.members(fold)} if fold < evidence.planned else set()
    outcome = (
        evidence.section.outcome(test.arrays, len(evidence.classes)) if set(test.cases) == known else None
    )
    if set(test.cases) != known:
        fault = f"has {len(test.cases)} cases that are not the {len(known)} that folds.csv shows"
    elif outcome and not _equal(outcome[0], evidence.targets[[rows[case] for case in test.cases]]):
        fault = "has other targets than folds.csv shows"
    else:
        return
    # Where the case table is a record, folds.csv only shows it, and the test is what was changed.
    edited = "folds.csv" if directory.cases() is None else str(directory.test_path(fold))
    raise UsageError(
        f"{directory.path}: the test of outer fold {fold} {fault}: {edited} was edited; delete it and run "
        "the same `nachos evaluate` command again."
    )


def _refit(evidence: Evidence, directory: RunDirectory, fold: int, record: FitRecord) -> None:
    """The test of an outer fold tells what the refit of the selected trial predicted."""
    test, outcome = evidence.tests[fold], evidence.outcomes.get(fold)
    if outcome is None:
        raise UsageError(f"{directory.outcome_path(fold)} is missing: {AGAIN}")
    chosen = (fold,), outcome.trials[outcome.selected].hparams, outcome.epochs, test.training_loss
    if (record.left_out, record.hparams, record.limit, record.training_loss) != chosen:
        fault = "is not of the fit that was selected"
    elif record.status == "done" and not _follows(evidence, directory, test, record):
        fault = f"does not tell what fit {record.fit} predicted"
    else:
        return
    path = directory.test_path(fold)
    raise UsageError(f"{path} {fault}: delete this file and run the same `nachos evaluate` command again.")


def _follows(evidence: Evidence, directory: RunDirectory, test: OuterTest, record: FitRecord) -> bool:
    told = evidence.section.outcome(test.arrays, len(evidence.classes))
    if told is None:
        return True
    for suffix in record.payload:
        kind = suffix.removesuffix(".safetensors")
        if kind not in ("weights", "inner"):
            again = evidence.section.predicted(load(directory.payload(record, suffix))[kind])
            if again.size != told[1].size:
                return False
            if not np.allclose(again.reshape(told[1].shape), told[1], _APART, _APART, equal_nan=True):
                return False
    return True


def _equal(one: np.ndarray, other: np.ndarray) -> bool:
    return one.shape == other.shape and np.array_equal(one.astype(float), other.astype(float), equal_nan=True)
