"""The report on labels: several a case, a probability for each, some of them not known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nachos_jax.metrics import curves, multilabel
from nachos_jax.metrics.pooling import Rule
from nachos_jax.report.figures.classification import ranking
from nachos_jax.report.figures.drawing import Drawing
from nachos_jax.report.figures.rows import Row, ends, forest
from nachos_jax.report.numbers.estimates import Estimates
from nachos_jax.report.reading.evidence import Evidence
from nachos_jax.report.sections.multilabel import labels, tables
from nachos_jax.report.sections.ranking import curve
from nachos_jax.report.sections.section import Parts, Section, Summary, Tables, Words
from nachos_jax.report.words.format import number
from nachos_jax.report.words.phrases import ESTIMATOR


class _Multilabel(Section):
    words = Words(
        noun="label",
        kinds="labels",
        each="each label",
        setting="config.data.classes",
        counts="cases with each label",
        strata="the rarest label of a case",
        purpose="tell which labels an image has",
        output="The output is one probability a label (sigmoid), each for itself.",
        loss="The loss is binary cross-entropy, mean over known labels.",
        predicted="sigmoid of the network's output",
        absent="None of them has %s: areas over labels leave that out; its F1 is 0 where it is predicted.",
        otherwise={
            ESTIMATOR: {
                "output": "The output of an estimator of scikit-learn is one probability a label.",
                "predicted": "the probabilities of the estimator",
            }
        },
        constant={
            "": "the share of each label",
            "macro_f1": "every label",
            "micro_f1": "the most frequent labels, as many as score best",
        },
    )
    figures = ("labels", "roc", "precision_recall")
    also = ("macro_auc",)
    facts = "multilabel/facts.j2"

    def metrics(self, _run: Mapping[str, Any]) -> Any:
        return multilabel

    def outcome(self, arrays: Mapping[str, np.ndarray], names: int) -> tuple[np.ndarray, np.ndarray]:
        """Truth [n, L] float64, NaN where not known, and probabilities [n, L] float64."""
        truth, predicted = (arrays[key].astype(np.float64) for key in ("targets", "probabilities"))
        return truth.reshape(-1, names), predicted.reshape(-1, names)

    def recorded(self, truth: np.ndarray, predicted: np.ndarray) -> Mapping[str, np.ndarray]:
        return {"targets": truth, "probabilities": predicted}

    def predicted(self, outputs: np.ndarray) -> np.ndarray:
        """Probabilities [n, L] float64 of logits [n, L]."""
        return np.exp(-np.logaddexp(0.0, -outputs.astype(np.float64)))

    def told(self, truth: np.ndarray, names: Sequence[str]) -> list[str]:
        """The labels of each case, those not known with a question mark."""
        marks = {1.0: "", 0.0: None}
        found = []
        for row in truth.tolist():
            told = [(name, marks.get(value, "?")) for name, value in zip(names, row, strict=True)]
            found.append("; ".join(f"{name}{mark}" for name, mark in told if mark is not None))
        return found

    def pooling(self, _evidence: Evidence) -> Rule:
        return Rule("labels")

    def of_unit(self, evidence: Evidence) -> str:
        return (
            f"A {evidence.settings.unit} has a label if one of its cases is known to have it; of a label "
            "that no case of it is known to have or to lack, nothing is known."
        )

    def observed(self, _evidence: Evidence, name: str) -> str:
        return f"Share of {name}"

    def group(self, truth: np.ndarray, cases: np.ndarray, names: Sequence[str]) -> dict[str, int]:
        return {name: len(set(cases[truth[:, i] == 1].tolist())) for i, name in enumerate(names)}

    def numbers(self, evidence: Evidence, estimates: Estimates) -> dict[str, Any]:
        return {**super().numbers(evidence, estimates), "per_label": labels.numbers(evidence, estimates)}

    def constant(self, targets: np.ndarray, metric: str) -> np.ndarray:
        return labels.constant(targets, metric)

    def extent(self, summary: Summary) -> str:
        return f"{len(summary['data']['classes']):,} labels"

    def data_rows(self, summary: Summary) -> list[tuple[str, str]]:
        counts = ", ".join(f"{name} {n:,}" for name, n in summary["data"]["counts"].items())
        return [("Labels, with cases that have them", counts)]

    def columns(self, names: Sequence[str]) -> list[str]:
        return [*(f"label_{name}" for name in names), *(f"probability_{name}" for name in names)]

    def rows(self, truth: np.ndarray, predicted: np.ndarray, _names: Sequence[str]) -> list[list[Any]]:
        """Nothing where a label is not known, or a probability no number."""
        found = []
        for row, values in zip(truth, predicted, strict=True):
            there = [None if np.isnan(value) else int(value) for value in row]
            found.append(there + [float(value) if np.isfinite(value) else None for value in values])
        return found

    def parts(self, summary: Summary) -> Parts:
        context = {
            "decided": tables.decided(summary),
            "labels": tables.of_labels(summary),
            "thresholds": tables.thresholds(summary),
        }
        note = "Where a group lacks a label, its value is over the labels that it has."
        noted = any(row["metrics"][summary["headline"]]["note"] for row in summary["subgroups"])
        return Parts("multilabel/page.html.j2", context, note if noted else "")

    def drawings(self, evidence: Evidence, estimates: Estimates, summary: Summary) -> Sequence[Drawing]:
        """AUC of each label with its interval, ROC and precision-recall."""
        if not len(estimates.truth):
            return []
        found = [
            Row("", name, row["positive"], None, row["auc"]["mean"], *ends(row["auc_interval"]))
            for name, row in labels.rows(summary)
        ]
        return [
            lambda: ranking(_curves(evidence, summary, curves.roc)),
            lambda: ranking(_curves(evidence, summary, curves.precision_recall)),
            lambda: forest("labels", found, None, "AUC", (0.0, 1.0)),
        ]

    def tables(self, summary: Summary) -> Tables:
        return tables.tables(summary)


def _curves(evidence: Evidence, summary: Summary, make: Any) -> list[Any]:
    """A curve for each label that some outer fold defines."""
    found = []
    for column, (name, row) in enumerate(labels.rows(summary)):
        folds = {}
        for fold, (truth, predicted) in evidence.predictions.items():
            known = ~np.isnan(truth[:, column])
            if known.any() and fold in evidence.whole:
                folds[fold] = (truth[known, column] == 1, predicted[known, column])
        note = f"mean AUC {number(row['auc']['mean'], 3)}" if make is curves.roc else ""
        share = row["positive"] / row["known"] if row["known"] else None
        found.append(curve(make, folds, name, note, share))
    return [line for line in found if line is not None]


SECTION = _Multilabel()
