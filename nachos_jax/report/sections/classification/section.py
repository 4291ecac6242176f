"""The report on classes: one class a case, a probability for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nachos_jax.metrics import classification
from nachos_jax.metrics.calibration import with_temperature
from nachos_jax.metrics.pooling import Rule
from nachos_jax.records.schema import OuterTest
from nachos_jax.report.figures.drawing import Drawing
from nachos_jax.report.numbers.estimates import Estimates
from nachos_jax.report.reading.evidence import Evidence
from nachos_jax.report.sections.classification import counts, decided, figures, tables
from nachos_jax.report.sections.section import Parts, Section, Summary, Tables, Words
from nachos_jax.report.words.phrases import ESTIMATOR, counted
from nachos_jax.statistics.intervals import Interval, auc_influence


class _Classification(Section):
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
        otherwise={
            ESTIMATOR: {
                "output": "The output of an estimator of scikit-learn is one probability a class.",
                "predicted": "the probabilities of the estimator",
            },
            "cumulative_link": {
                "output": "The output is one probability a class (cumulative logit link, classes in order).",
                "loss": "The loss is cross-entropy of the probabilities that a cumulative link gives.",
                "predicted": "the probabilities that a cumulative logit link makes of the network's output",
            },
        },
        constant={
            "": "the shares of the classes, and so the majority class",
            "mean_class_distance": "the middle class of the cases",
        },
    )
    figures = ("roc", "precision_recall", "calibration", "decision", "confusion")
    also = ("auc",)
    facts = "classification/facts.j2"

    def metrics(self, _run: Mapping[str, Any]) -> Any:
        return classification

    def outcome(self, arrays: Mapping[str, np.ndarray], names: int) -> tuple[np.ndarray, np.ndarray]:
        """Labels [n] int64 and probabilities [n, C] float64."""
        labels = arrays["labels"].astype(np.int64)
        return labels, arrays["probabilities"].astype(np.float64).reshape(len(labels), names)

    def recorded(self, truth: np.ndarray, predicted: np.ndarray) -> Mapping[str, np.ndarray]:
        return {"labels": truth, "probabilities": predicted}

    def predicted(self, outputs: np.ndarray) -> np.ndarray:
        """Probabilities [n, C] float64 of logits [n, C]."""
        return with_temperature(outputs, 1.0)

    def told(self, truth: np.ndarray, names: Sequence[str]) -> list[str]:
        numbers: list[int] = truth.tolist()
        return [names[number] for number in numbers]

    def strata(self, truth: np.ndarray) -> np.ndarray:
        return truth

    def pooling(self, evidence: Evidence) -> Rule:
        event = decided.positive(evidence)
        return Rule("classes", 1 if event is None else event)

    def unit(self, name: str, names: Sequence[str]) -> str:
        """Average precision depends on the class that is ranked first: of two, it is the second."""
        return f" for class {names[1]}" if name == "average_precision" and len(names) == 2 else ""

    def of_unit(self, evidence: Evidence) -> str:
        unit, rule = evidence.settings.unit, self.pooling(evidence)
        if len(evidence.classes) > 2:
            return f"The cases of a {unit} agree in their class, which is that of the {unit}."
        return f"A {unit} has the class {evidence.classes[rule.event]} if one of its cases has it."

    def intervals(self, evidence: Evidence, estimates: Estimates, name: str) -> list[Interval]:
        """The influence curve of AUC, of two classes and without repeats."""
        if name != "auc" or len(evidence.classes) != 2 or evidence.repeats != 1:
            return []
        cases, level = estimates.cases, evidence.settings.level
        scores = classification.ordered(estimates.predicted)
        return [auc_influence(estimates.truth, scores, cases.folds, cases.subjects, level)]

    def observed(self, _evidence: Evidence, name: str) -> str:
        return f"Share of {name}"

    def group(self, truth: np.ndarray, cases: np.ndarray, names: Sequence[str]) -> dict[str, int]:
        return {name: len(set(cases[truth == i].tolist())) for i, name in enumerate(names)}

    def numbers(self, evidence: Evidence, estimates: Estimates) -> dict[str, Any]:
        return {
            "confusion": counts.matrix(evidence),
            "decisions": decided.thresholds(evidence, estimates),
            "calibration": decided.calibrated(evidence, estimates.truth, estimates.predicted),
            "temperature": decided.temperatures(evidence),
        }

    def constant(self, targets: np.ndarray, metric: str) -> np.ndarray:
        counts = np.bincount(targets)
        if metric == "mean_class_distance":
            return np.eye(len(counts))[np.searchsorted(np.cumsum(counts), len(targets) / 2)]
        return counts / len(targets)

    def cautions(self, evidence: Evidence, summary: Summary) -> dict[str, Any]:
        return {
            "one_class": counts.nearly_one(summary["confusion"]),
            "positive_by_default": summary["decisions"]["class"]
            if summary["decisions"] and not evidence.settings.positive
            else None,
        }

    def extent(self, summary: Summary) -> str:
        return counted(len(summary["data"]["classes"]), "class", "classes")

    def without_numbers(self, summary: Summary) -> int:
        return summary["confusion"]["without_numbers"]

    def data_rows(self, summary: Summary) -> list[tuple[str, str]]:
        return [("Classes", ", ".join(f"{name} {n:,}" for name, n in summary["data"]["counts"].items()))]

    def columns(self, names: Sequence[str]) -> list[str]:
        return ["label", "predicted", *(f"probability_{name}" for name in names)]

    def rows(self, truth: np.ndarray, predicted: np.ndarray, names: Sequence[str]) -> list[list[Any]]:
        """No class and no probabilities where they are not numbers."""
        best = self.told(classification.predict(predicted), names)
        nothing: list[Any] = [None] * (1 + len(names))
        return [
            [label, *([guess, *values.tolist()] if np.isfinite(values).all() else nothing)]
            for label, guess, values in zip(self.told(truth, names), best, predicted, strict=True)
        ]

    def pictured(self, test: OuterTest, row: int, names: Sequence[str]) -> dict[str, Any]:
        """Label, class predicted, and its probability."""
        probabilities = test.arrays["probabilities"][row]
        predicted = int(np.argmax(probabilities))
        return {
            **super().pictured(test, row, names),
            "label": names[int(test.arrays["labels"][row])],
            "predicted": names[predicted],
            "probability": float(probabilities[predicted]),
        }

    def parts(self, summary: Summary) -> Parts:
        noted = any(row["metrics"][summary["headline"]]["note"] for row in summary["subgroups"])
        note = "Where a group lacks a class, its value is over the classes that it has."
        found = summary["confusion"]
        rows = [
            {
                "name": name,
                "cells": [(n, n / sum(row) if sum(row) else None) for n in row],
                "total": sum(row),
                "values": found["per_class"][name],
            }
            for name, row in zip(found["classes"], found["counts"], strict=True)
        ]
        decisions = next(iter(tables.decisions(summary)), None)
        context = {"rows_of_confusion": rows, "decided": decisions, "squared": tables.SQUARED}
        return Parts("classification/page.html.j2", context, note if noted else "")

    def drawings(self, evidence: Evidence, estimates: Estimates, summary: Summary) -> Sequence[Drawing]:
        return figures.drawings(evidence, estimates, summary)

    def tables(self, summary: Summary) -> Tables:
        return tables.tables(summary)


SECTION = _Classification()
