"""The ways to an estimate: what nested cross-validation and the flat protocol leave to a report.

Each is one object, with what is said of it in `protocols.toml`. Who reads or tells asks the object.
"""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from nachos_jax.records.schema import Outcome, OuterTest
from nachos_jax.records.store import RunDirectory
from nachos_jax.report.reading import inner

if TYPE_CHECKING:
    from nachos_jax.report.reading.evidence import Evidence


@dataclass(frozen=True)
class FlatSearch:
    """A finished search by plain K-fold cross-validation.

    Attributes:
        outcome: its scores and the selected trial.
        trials: numbers of the T trials whose fits all ended with numbers.
        predictions: by fold, [T, n, ...] float64 of the fold's cases in table order: probabilities [T, n, C]
            of a classification.
    """

    outcome: Outcome
    trials: tuple[int, ...]
    predictions: dict[int, np.ndarray]


class Nested:
    """A study inside each outer fold; what it selects is refitted, and tested once.

    Attributes:
        name: as the config has it.
        one_search: the same folds choose the trial and score it.
    """

    name: Literal["nested", "flat"] = "nested"
    one_search = False

    @functools.cached_property
    def words(self) -> Mapping[str, Any]:
        """What is said of it, by what it is about."""
        return tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))[self.name]

    def study(self, fold: int) -> int | None:
        """The study that chose the trial of an outer fold."""
        return fold

    def completed(self, evidence: Evidence, directory: RunDirectory) -> Evidence:
        """The evidence with what the search fits predicted.

        Raises:
            UsageError: a record or payload is missing or damaged.
        """
        return replace(evidence, inner=inner.of_selected(directory, evidence.outcomes))


class _Flat(Nested):
    """One search over all folds: every trial has predicted every case once, from a fit that left it out."""

    name, one_search = "flat", True

    def study(self, _fold: int) -> int | None:
        return None

    def completed(self, evidence: Evidence, directory: RunDirectory) -> Evidence:
        """The selected trial's predictions stand for tests; nothing was refitted for them."""
        outcome = evidence.outcomes.get(None)
        if outcome is None:
            return evidence
        done = tuple(n for n, score in enumerate(outcome.scores) if score.status == "done")
        found = [inner.of_trial(directory, outcome, number) for number in done]
        predicted = {
            fold: np.stack([evidence.section.predicted(outputs[fold]) for outputs in found])
            for fold in range(evidence.planned)
        }
        tests, row = {}, done.index(outcome.selected)
        for name in outcome.fits[outcome.selected]:
            record = directory.fit(name)
            assert record is not None  # read before, with its payload
            (fold,) = record.left_out
            told = evidence.section.recorded(evidence.truth(fold), predicted[fold][row])
            names = tuple(case.case for case in evidence.members(fold))
            tests[fold] = OuterTest(fold, record.fit, names, told, record.training_loss)
        search = FlatSearch(outcome, done, predicted)
        return replace(evidence, search=search, tests=dict(sorted(tests.items())))


NESTED, FLAT = Nested(), _Flat()


def of(name: str | None) -> Nested:
    """The protocol of a name; of runs that name none, once there was no other."""
    return FLAT if name == FLAT.name else NESTED
