"""The report on classes: one class a case, a probability for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nachos_jax.metrics import classification
from nachos_jax.metrics.calibration import with_temperature
from nachos_jax.report.figures.drawing import Figure
from nachos_jax.report.numbers.estimates import Estimates
from nachos_jax.report.reading.evidence import Evidence
from nachos_jax.report.sections.classification import counts, decided, facts, page, tables
from nachos_jax.report.sections.classification.figures import drawn
from nachos_jax.report.sections.common import Common
from nachos_jax.report.sections.section import Parts, Summary, Tables, Words
from nachos_jax.statistics.intervals import Interval, auc_influence


class Classification(Common):
    """See `nachos_jax.report.sections.section.Section`."""

    words = Words(
        noun="label",
        kinds="classes",
        each="each class",
        setting="config.data.classes",
        counts="cases by class",
        strata="class",
        purpose="classify images",
        output="The output is one probability a class (softmax).",
        loss="The loss is cross-entropy.",
        predicted="softmax of the network's output",
    )
    figures = ("roc", "precision_recall", "calibration", "decision", "confusion")
    also = ("auc",)
    facts = facts.FACTS

    def metrics(self, _run: Mapping[str, Any]) -> Any:
        """Those of `nachos_jax.metrics.classification`."""
        return classification

    def outcome(self, arrays: Mapping[str, np.ndarray], names: int) -> tuple[np.ndarray, np.ndarray] | None:
        """Labels [n] int64 and probabilities [n, C] float64."""
        labels = arrays["labels"].astype(np.int64)
        return labels, arrays["probabilities"].astype(np.float64).reshape(len(labels), names)

    def recorded(self, truth: np.ndarray, predicted: np.ndarray) -> Mapping[str, np.ndarray]:
        """The reverse."""
        return {"labels": truth, "probabilities": predicted}

    def predicted(self, outputs: np.ndarray) -> np.ndarray:
        """Probabilities [n, C] float64 of logits [n, C]."""
        return with_temperature(outputs, 1.0)

    def told(self, truth: np.ndarray, names: Sequence[str]) -> list[str]:
        """The name of the class of each case."""
        numbers: list[int] = truth.tolist()
        return [names[number] for number in numbers]

    def strata(self, truth: np.ndarray) -> np.ndarray:
        """The classes themselves."""
        return truth

    def intervals(self, evidence: Evidence, estimates: Estimates, name: str) -> list[Interval]:
        """The influence curve of AUC, of two classes and without repeats."""
        if name != "auc" or len(evidence.classes) != 2 or evidence.repeats != 1:
            return []
        cases, level = estimates.cases, evidence.settings.level
        return [auc_influence(estimates.truth, estimates.predicted[:, 1], cases.folds, cases.subjects, level)]

    def group(self, truth: np.ndarray, cases: np.ndarray, names: Sequence[str]) -> dict[str, int]:
        """Cases by class."""
        return {name: len(set(cases[truth == i].tolist())) for i, name in enumerate(names)}

    def numbers(self, evidence: Evidence, estimates: Estimates) -> dict[str, Any]:
        """Confusion, decisions at a threshold, calibration and temperature scaling."""
        return {
            "confusion": counts.matrix(evidence),
            "decisions": decided.thresholds(evidence),
            "calibration": decided.calibrated(evidence, estimates.truth, estimates.predicted),
            "temperature": decided.temperatures(evidence),
        }

    def extent(self, summary: Summary) -> str:
        """Number of classes."""
        number = len(summary["data"]["classes"])
        return f"{number:,} {'class' if number == 1 else 'classes'}"

    def without_numbers(self, summary: Summary) -> int:
        """Predictions that no confusion matrix counts."""
        return summary["confusion"]["without_numbers"]

    def data_rows(self, summary: Summary) -> list[tuple[str, str]]:
        """Cases by class."""
        return [("Classes", ", ".join(f"{name} {n:,}" for name, n in summary["data"]["counts"].items()))]

    def parameters(self, names: Sequence[str]) -> dict[str, str]:
        """Names of the classes."""
        return {"classes": ", ".join(names)}

    def columns(self, names: Sequence[str]) -> list[str]:
        """Label, predicted class, a probability a class, in full, so that every number can be recomputed."""
        return ["label", "predicted", *(f"probability_{name}" for name in names)]

    def rows(self, truth: np.ndarray, predicted: np.ndarray, names: Sequence[str]) -> list[list[Any]]:
        """No class and no probabilities where they are not numbers."""
        best = self.told(classification.predict(predicted), names)
        nothing: list[Any] = [None] * (1 + len(names))
        return [
            [label, *([guess, *values.tolist()] if np.isfinite(values).all() else nothing)]
            for label, guess, values in zip(self.told(truth, names), best, predicted, strict=True)
        ]

    def parts(self, summary: Summary) -> Parts:
        """Ranking, calibration, decisions, confusion and the gallery of errors."""
        return page.parts(summary)

    def drawn(self, evidence: Evidence, estimates: Estimates, summary: Summary) -> Sequence[Figure | None]:
        """ROC, precision-recall, calibration, decisions and confusion."""
        return drawn(evidence, estimates, summary)

    def tables(self, summary: Summary) -> Tables:
        """Confusion, decisions, calibration and temperature scaling."""
        return tables.tables(summary)


SECTION = Classification()
