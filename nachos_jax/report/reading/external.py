"""The external cases of a run and what its models predicted of them, as the records tell it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nachos_jax.core.errors import UsageError
from nachos_jax.records import decode
from nachos_jax.records.external import ExternalCases, ExternalTest
from nachos_jax.records.store import RunDirectory, study_name
from nachos_jax.report.reading.cases import AGAIN

if TYPE_CHECKING:
    from nachos_jax.records.schema import OuterTest
    from nachos_jax.report.sections.section import Section


@dataclass(frozen=True, eq=False)
class External:
    """External cases with their tests.

    Attributes:
        cases: who they are.
        folds: the tests of the refits, by outer fold.
        deployed: those of deployed models, first that of the model that lies in deploy/.
        in_deploy: whether that one is there; the others are those of earlier deployments.
    """

    cases: ExternalCases
    folds: Mapping[int, ExternalTest]
    deployed: Sequence[ExternalTest]
    in_deploy: bool = False


def read(
    directory: RunDirectory,
    run: Mapping[str, Any],
    tests: Mapping[int, OuterTest],
    section: Section,
) -> External | None:
    """What the records say of external cases; None of a run without.

    Raises:
        UsageError: a record is lost or damaged, or contradicts another one.
    """
    cases = directory.external_cases()
    if cases is None and "external" in run:
        raise UsageError(f"{directory.records / 'external.json'} is missing: {AGAIN}")
    if cases is None:  # run.json says who was named at first; others may have taken their place before a test
        return None
    numbers = {study_name(fold): fold for fold in tests}
    found = {numbers[test.model]: test for test in directory.external_tests() if test.model in numbers}
    for fold, test in found.items():
        if test.fits != (tests[fold].fit,):
            raise _edited(directory, study_name(fold), "is not of the fit that was tested")
    shipped = RunDirectory(directory.path, "deploy")
    deployed = shipped.external_tests()
    of = [(directory, study_name(fold), test) for fold, test in sorted(found.items())]
    for place, name, test in (*of, *((shipped, "*", test) for test in deployed)):
        truth = section.outcome(test.arrays, len(run["classes"]))
        same = truth is None or np.array_equal(truth[0], cases.targets, equal_nan=True)
        if test.hash != cases.hash or not same:
            raise _edited(place, name, "is of other cases")
    lies = _lies(directory)
    deployed.sort(key=lambda test: test.fits != lies)
    return External(cases, dict(sorted(found.items())), deployed, lies in [test.fits for test in deployed])


def _lies(directory: RunDirectory) -> tuple[str, ...]:
    """The fits of the model in deploy/; () where none is there or its description is damaged."""
    try:
        return tuple(decode.parse((directory.path / "deploy" / "model.json").read_bytes())["fits"])
    except (OSError, ValueError, KeyError, TypeError):  # the report is none of the model
        return ()


def _edited(directory: RunDirectory, name: str, fault: str) -> UsageError:
    return UsageError(
        f"{directory.external_path(name)} {fault}: delete this file and run the same "
        f"`nachos {directory.command}` again."
    )
