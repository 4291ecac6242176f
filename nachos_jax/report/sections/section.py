"""The contract of a report section: what a report says of runs of one task, and of no other.

Everything that is alike for all tasks (folds, intervals, subgroups, search, time, environment) stands in the
other rooms, which ask the section of the run (`Evidence.section`) for the rest. The section of a task called
NAME is the file `nachos_jax/report/sections/NAME.py`, or the folder of that name with a file `section.py`,
which has one object `SECTION` that keeps the Protocol below; see `nachos_jax.report.sections.registry`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from nachos_jax.report.appendix.grid import Grid
    from nachos_jax.report.checklists.item import Fact, Source
    from nachos_jax.report.figures.drawing import Figure
    from nachos_jax.report.numbers.estimates import Estimates
    from nachos_jax.report.reading.evidence import Evidence
    from nachos_jax.statistics.intervals import Interval

Summary = Mapping[str, Any]
"""What `summary.summarise` makes of the records."""


@dataclass(frozen=True)
class Words:
    """Words of a task in sentences that all tasks share, here those of a classification.

    Attributes:
        noun: what is known of a case: "label".
        kinds: what is predicted: "classes".
        each: one of them: "each class".
        setting: the field of the config that names them: "config.data.classes".
        counts: what `Section.group` counts: "cases by class".
        strata: what folds are stratified by: "class".
        purpose: what the networks do: "classify images".
        output: a sentence on what a network gives.
        loss: a sentence on what training minimises.
        predicted: what a prediction is: "softmax of the network's output".
    """

    noun: str
    kinds: str
    each: str
    setting: str
    counts: str
    strata: str
    purpose: str
    output: str
    loss: str
    predicted: str


@dataclass(frozen=True)
class Parts:
    """The section's part of the page.

    Attributes:
        template: below `sections/`, shown between the outer folds and the search; "" for none.
        context: what the template knows besides summary, figures and the words of the page.
        on_subgroups: what must be known to read the figure of subgroups, as a sentence; "" for nothing.
    """

    template: str = ""
    context: Mapping[str, Any] = field(default_factory=dict)
    on_subgroups: str = ""


@dataclass(frozen=True)
class Tables:
    """The section's tables, by the title that they stand under in the appendix.

    Attributes:
        results: they follow the table of the outer folds.
        further: they follow the subgroups.
    """

    results: Mapping[str, Sequence[Grid]] = field(default_factory=dict)
    further: Mapping[str, Sequence[Grid]] = field(default_factory=dict)


class Section(Protocol):
    """What a task adds to a report, from what is read to what is drawn.

    Attributes:
        words: what is said in sentences that all tasks share.
        figures: names of all figures that `drawn` can make.
        also: metrics that subgroups show beside the headline.
        facts: answers of the checklists that depend on the task, by name (see `checklists.task`).
    """

    words: Words
    figures: tuple[str, ...]
    also: tuple[str, ...]
    facts: Mapping[str, Source | Fact]

    # --- what is read --------------------------------------------------------------------------------------

    def metrics(self, run: Mapping[str, Any], /) -> Any:
        """The metrics of a run: a module like `nachos_jax.metrics.classification`."""
        ...

    def outcome(
        self, arrays: Mapping[str, np.ndarray], names: int, /
    ) -> tuple[np.ndarray, np.ndarray] | None:
        """Truth [n, ...] and predictions [n, ...] of an outer test, NaN where the refit met NaN.

        Args:
            arrays: what the task recorded of n cases.
            names: number of classes or labels.

        Returns:
            What the metrics compare; None where the arrays do not say.
        """
        ...

    def recorded(self, truth: np.ndarray, predicted: np.ndarray, /) -> Mapping[str, np.ndarray]:
        """The arrays of an outer test, of truth and predictions: what `outcome` reads."""
        ...

    def predicted(self, outputs: np.ndarray, /) -> np.ndarray:
        """Predictions [n, ...] as the metrics want them, of the outputs [n, S] that search fits kept."""
        ...

    def told(self, truth: np.ndarray, names: Sequence[str], /) -> list[str]:
        """What is true of n cases, in words: the name of the class of each."""
        ...

    def unit(self, name: str, names: Sequence[str], /) -> str:
        """What follows the value of a metric in a sentence: " in the unit of age"; "" without a unit."""
        ...

    # --- what is counted -----------------------------------------------------------------------------------

    def strata(self, truth: np.ndarray, /) -> np.ndarray:
        """[N] int: of each kind as many subjects are resampled as there are."""
        ...

    def intervals(self, evidence: Evidence, estimates: Estimates, name: str, /) -> list[Interval]:
        """Further intervals of a metric, after those that every task has."""
        ...

    def group(self, truth: np.ndarray, cases: np.ndarray, names: Sequence[str], /) -> dict[str, int]:
        """What a subgroup holds: cases by class, or positive ones by label.

        Args:
            truth: [n, ...] of its predictions.
            cases: [n] names of their cases; of several repeats each stands several times.
            names: of what is predicted.
        """
        ...

    def numbers(self, evidence: Evidence, estimates: Estimates, /) -> dict[str, Any]:
        """Further entries of summary.json, as plain JSON values."""
        ...

    # --- what is said --------------------------------------------------------------------------------------

    def extent(self, summary: Summary, /) -> str:
        """What is predicted, after "120 cases of 60 subjects, " in a sentence: "3 classes"."""
        ...

    def without_numbers(self, summary: Summary, /) -> int:
        """Predictions that are not numbers."""
        ...

    def data_rows(self, summary: Summary, /) -> list[tuple[str, str]]:
        """What is predicted, as name and text."""
        ...

    def parameters(self, names: Sequence[str], /) -> dict[str, str]:
        """What is predicted, as trackers log it."""
        ...

    def columns(self, names: Sequence[str], /) -> list[str]:
        """Columns of predictions.csv after the outer fold; `names` are those of what is predicted."""
        ...

    def rows(self, truth: np.ndarray, predicted: np.ndarray, names: Sequence[str], /) -> list[list[Any]]:
        """Their values for n cases of an outer test; None is an empty field."""
        ...

    # --- what is shown -------------------------------------------------------------------------------------

    def parts(self, summary: Summary, /) -> Parts:
        """The section's part of the page."""
        ...

    def drawn(self, evidence: Evidence, estimates: Estimates, summary: Summary, /) -> Sequence[Figure | None]:
        """Its figures; None for what is empty."""
        ...

    def tables(self, summary: Summary, /) -> Tables:
        """Its tables; those that have nothing in them are left out."""
        ...
