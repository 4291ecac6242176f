"""What a report says of runs of one task, and of no other.

Everything that is alike for all tasks (folds, intervals, subgroups, search, time, environment) stands in the
other rooms, which ask the section of the run (`Evidence.section`) for the rest. The section of a task called
NAME is the file `nachos_jax/report/sections/NAME.py`, or the folder of that name with a file `section.py`,
which has one object `SECTION`, a `Section`; see `nachos_jax.report.sections.registry`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from nachos_jax.metrics.contract import Losses, Metric
from nachos_jax.metrics.pooling import Rule
from nachos_jax.metrics.value import Value
from nachos_jax.statistics.intervals import UNBOUNDED, Interval

if TYPE_CHECKING:
    from nachos_jax.records.schema import OuterTest
    from nachos_jax.report.appendix.grid import Grid
    from nachos_jax.report.figures.drawing import Drawing
    from nachos_jax.report.numbers.estimates import Estimates
    from nachos_jax.report.reading.evidence import Evidence

Summary = Mapping[str, Any]
"""What `summary.summarise` makes of the records."""
UNKNOWN = Value(None, "this report does not know the task and cannot evaluate it")


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
        otherwise: what `output`, `loss` and `predicted` are where a trial names this loss, or where its
            architecture is an estimator of scikit-learn, `phrases.ESTIMATOR`.
        absent: a sentence on external cases of which none has a class, "%s".
        constant: what `Section.constant` is, by metric, "" for all others: "the shares of the classes".
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
    absent: str = "None of them is %s: what is averaged over classes leaves that out, or has no value."
    otherwise: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    constant: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Parts:
    """The section's part of the page.

    Attributes:
        template: below `sections/`, shown between the outer folds and the search; "" for none.
        context: what it and the facts know, besides summary, figures and the words of the page.
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


@dataclass(frozen=True)
class Recorded:
    """Metrics known by name, label and direction only, in the form of a module of `nachos_jax.metrics`."""

    METRICS: Mapping[str, Metric]
    HEADLINE: str
    SHOWN: tuple[str, ...]
    ADDITIVE: Mapping[str, Losses] = field(default_factory=dict)

    def evaluate(self, _name: str, _truth: Any, _predicted: Any, _names: Sequence[str]) -> Value:
        """Undefined: only the task can evaluate them."""
        return UNKNOWN


class Section:
    """What a task adds to a report, from what is read to what is drawn.

    As it stands it is the section of a task that has none of its own, which shows what the task measured of
    each outer fold itself; those of other tasks say what differs.

    Attributes:
        words: what is said in sentences that all tasks share.
        figures: names of all figures that `drawings` can make.
        also: metrics that subgroups show beside the headline.
        facts: template with the answers of the checklists that depend on the task, a macro each.
        averaged: whether the mean of several models' predictions is a prediction too.
    """

    words = Words(
        noun="target",
        kinds="targets",
        each="the target",
        setting="config.data",
        counts="cases by target",
        strata="what the task says",
        purpose="read images",
        output="What the output means is a matter of the task.",
        loss="The loss is that of the task.",
        predicted="the task reads it from the network's output",
    )
    figures: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    facts = ""
    averaged = True

    # --- what is read --------------------------------------------------------------------------------------

    def metrics(self, run: Mapping[str, Any]) -> Any:
        """The metrics of a run: a module like `nachos_jax.metrics.classification`, or those of run.json."""
        rows = {
            name: Metric(name, row["label"], row["higher_is_better"], UNBOUNDED)
            for name, row in run.get("metrics", {}).items()
        }
        return Recorded(rows, next(iter(rows), ""), tuple(rows))

    def outcome(self, _arrays: Mapping[str, np.ndarray], _names: int) -> tuple[np.ndarray, np.ndarray] | None:
        """Truth [n, ...] and predictions [n, ...] of an outer test, NaN where the refit met NaN.

        Args:
            _arrays: what the task recorded of n cases.
            _names: number of classes or labels.

        Returns:
            What the metrics compare; None where the arrays do not say.
        """
        return None

    def recorded(self, truth: np.ndarray, predicted: np.ndarray) -> Mapping[str, np.ndarray]:
        """The arrays of an outer test, of truth and predictions: what `outcome` reads."""
        return {"targets": truth, "predictions": predicted}

    def predicted(self, outputs: np.ndarray) -> np.ndarray:
        """Predictions [n, ...] as the metrics want them, of the outputs [n, S] that search fits kept."""
        return outputs

    def told(self, truth: np.ndarray, _names: Sequence[str]) -> list[str]:
        """What is true of n cases, in words that differ where it does: the name of the class of each."""
        return [str(target) for target in truth.tolist()]

    def unit(self, _name: str, _names: Sequence[str]) -> str:
        """What follows the value of a metric in a sentence: " in the unit of age", " for class ill", ""."""
        return ""

    def amounts(self, predicted: np.ndarray) -> np.ndarray:
        """What predictions [n, ...] say of the columns that the truth has: [n, columns]."""
        return predicted

    # --- what is counted -----------------------------------------------------------------------------------

    def observed(self, _evidence: Evidence, name: str) -> str:
        """What the mean over cases of one of the names is called, of what is true of them."""
        return f"Mean of {name}"

    def strata(self, truth: np.ndarray) -> np.ndarray:
        """[N] int: of each kind as many subjects are resampled as there are."""
        return np.zeros(len(truth), np.int64)

    def pooling(self, _evidence: Evidence) -> Rule | None:
        """How the predictions of a unit's cases become one; None where they cannot."""
        return None

    def of_unit(self, _evidence: Evidence) -> str:
        """What is true of a unit by what is true of its cases, as a sentence; "" where they cannot be one."""
        return ""

    def intervals(self, _evidence: Evidence, _estimates: Estimates, _name: str) -> list[Interval]:
        """Further intervals of a metric, after those that every task has."""
        return []

    def group(self, _truth: np.ndarray, _cases: np.ndarray, _names: Sequence[str]) -> dict[str, int]:
        """What a subgroup holds: cases by class, or positive ones by label.

        Args:
            _truth: [n, ...] of its predictions.
            _cases: [n] names of their cases; of several repeats each stands several times.
            _names: of what is predicted.
        """
        return {}

    def numbers(self, evidence: Evidence, estimates: Estimates) -> dict[str, Any]:
        """Further entries of summary.json, as plain JSON values."""
        made = sum(len(truth) for truth, _ in evidence.predictions.values())
        return {"task": evidence.task, "without_numbers": made - len(estimates.truth)}

    def constant(self, _targets: np.ndarray, _metric: str) -> np.ndarray | None:
        """The best prediction that is the same for all cases, [...] as in `predicted`; None if unknown.

        Args:
            _targets: [N, ...] of all cases.
            _metric: name of the metric that it is the best by, over all cases together.
        """
        return None

    def cautions(self, _evidence: Evidence, _summary: Summary) -> dict[str, Any]:
        """Further entries of `numbers.cautions`, which `sentence.j2` says."""
        return {}

    # --- what is said --------------------------------------------------------------------------------------

    def extent(self, summary: Summary) -> str:
        """What is predicted, after "120 cases of 60 subjects, " in a sentence: "3 classes"."""
        return f"task {summary['task']}"

    def without_numbers(self, summary: Summary) -> int:
        """Predictions of outer folds in which not all are numbers."""
        return summary["without_numbers"]

    def data_rows(self, summary: Summary) -> list[tuple[str, str]]:
        """What is predicted, as name and text."""
        return [("Task", summary["task"]), ("Predicted", ", ".join(summary["data"]["classes"]))]

    def parameters(self, names: Sequence[str]) -> dict[str, str]:
        """What is predicted, as trackers log it."""
        return {self.words.kinds: ", ".join(names)}

    def columns(self, _names: Sequence[str]) -> list[str]:
        """Columns of predictions.csv after the outer fold; names are those of what is predicted."""
        return []

    def rows(self, _truth: np.ndarray, _predicted: np.ndarray, _names: Sequence[str]) -> list[list[Any]]:
        """Their values for n cases of an outer test, in full; None is an empty field."""
        return []

    # --- what is shown -------------------------------------------------------------------------------------

    def pictured(self, test: OuterTest, row: int, _names: Sequence[str]) -> dict[str, Any]:
        """What the record of a test says of a case of which there is a picture."""
        return {"case": test.cases[row], "outer_fold": test.outer_fold}

    def parts(self, _summary: Summary) -> Parts:
        """The section's part of the page."""
        return Parts()

    def drawings(self, _evidence: Evidence, _estimates: Estimates, _summary: Summary) -> Sequence[Drawing]:
        """Draws each of its figures, those that take longest first."""
        return []

    def tables(self, _summary: Summary) -> Tables:
        """Its tables; those that have nothing in them are left out."""
        return Tables()
