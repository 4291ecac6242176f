"""The report on labels: several a case, a probability for each, some of them not known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nachos_jax.metrics import multilabel
from nachos_jax.report.figures.drawing import Figure
from nachos_jax.report.numbers.estimates import Estimates
from nachos_jax.report.reading.evidence import Evidence
from nachos_jax.report.sections.common import Common
from nachos_jax.report.sections.multilabel import facts, labels, tables
from nachos_jax.report.sections.multilabel.figures import drawn
from nachos_jax.report.sections.section import Parts, Summary, Tables, Words
from nachos_jax.report.words.format import MISSING, number


class Multilabel(Common):
    """See `nachos_jax.report.sections.section.Section`."""

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
    )
    figures = ("labels", "roc", "precision_recall")
    also = ("macro_auc",)
    facts = facts.FACTS

    def metrics(self, _run: Mapping[str, Any]) -> Any:
        """Those of `nachos_jax.metrics.multilabel`."""
        return multilabel

    def outcome(self, arrays: Mapping[str, np.ndarray], names: int) -> tuple[np.ndarray, np.ndarray] | None:
        """Truth [n, L] float64, NaN where not known, and probabilities [n, L] float64."""
        truth, predicted = (arrays[key].astype(np.float64) for key in ("targets", "probabilities"))
        return truth.reshape(-1, names), predicted.reshape(-1, names)

    def recorded(self, truth: np.ndarray, predicted: np.ndarray) -> Mapping[str, np.ndarray]:
        """The reverse."""
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

    def group(self, truth: np.ndarray, cases: np.ndarray, names: Sequence[str]) -> dict[str, int]:
        """Cases that have each label."""
        return {name: len(set(cases[truth[:, i] == 1].tolist())) for i, name in enumerate(names)}

    def numbers(self, evidence: Evidence, estimates: Estimates) -> dict[str, Any]:
        """Values of every label."""
        return {**super().numbers(evidence, estimates), "per_label": labels.numbers(evidence, estimates)}

    def extent(self, summary: Summary) -> str:
        """Number of labels."""
        return f"{len(summary['data']['classes']):,} labels"

    def data_rows(self, summary: Summary) -> list[tuple[str, str]]:
        """Cases that have each label."""
        counts = ", ".join(f"{name} {n:,}" for name, n in summary["data"]["counts"].items())
        return [("Labels, with cases that have them", counts)]

    def parameters(self, names: Sequence[str]) -> dict[str, str]:
        """Names of the labels."""
        return {"labels": ", ".join(names)}

    def columns(self, names: Sequence[str]) -> list[str]:
        """The truth of each label, then its probability, in full."""
        return [*(f"label_{name}" for name in names), *(f"probability_{name}" for name in names)]

    def rows(self, truth: np.ndarray, predicted: np.ndarray, _names: Sequence[str]) -> list[list[Any]]:
        """Nothing where a label is not known, or a probability no number."""
        found = []
        for row, values in zip(truth, predicted, strict=True):
            there = [None if np.isnan(value) else int(value) for value in row]
            found.append(there + [float(value) if np.isfinite(value) else None for value in values])
        return found

    def parts(self, summary: Summary) -> Parts:
        """A table of labels, one of thresholds, and curves."""
        found = [
            {
                "name": name,
                "counts": [number(row["known"]), number(row["positive"])],
                "values": [number(row[key]["mean"], 3) for key in tables.COLUMNS],
                "ends": _ends(row["auc_interval"]),
                "thresholds": [number(fold["threshold"]["value"], 3) for fold in row["folds"].values()],
            }
            for name, row in labels.rows(summary)
        ]
        context = {
            "labels": found,
            "columns": list(tables.COLUMNS.values()),
            "label_folds": labels.folds(summary),
            "decided": tables.decided(summary),
        }
        note = "Where a group lacks a label, its value is over the labels that it has."
        noted = any(row["metrics"][summary["headline"]]["note"] for row in summary["subgroups"])
        return Parts("multilabel/page.html.j2", context, note if noted else "")

    def drawn(
        self,
        evidence: Evidence,
        estimates: Estimates,
        summary: Summary,
    ) -> Sequence[Figure | None]:
        """AUC of each label, ROC and precision-recall."""
        return drawn(evidence, summary) if len(estimates.truth) else []

    def tables(self, summary: Summary) -> Tables:
        """Labels and thresholds."""
        return tables.tables(summary)


def _ends(interval: Mapping[str, Any] | None) -> str:
    if interval is None or interval["low"] is None:
        return MISSING
    return f"{number(interval['low'], 3)} to {number(interval['high'], 3)}"


SECTION = Multilabel()
