"""The report on numbers: one number a case, in the unit of the target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nachos_jax.metrics import regression
from nachos_jax.metrics.pooling import Rule
from nachos_jax.report.figures.drawing import Drawing
from nachos_jax.report.figures.predictions import bland_altman, scatter
from nachos_jax.report.numbers.estimates import Estimates
from nachos_jax.report.reading.evidence import Evidence
from nachos_jax.report.sections.regression import agreement
from nachos_jax.report.sections.section import Parts, Section, Summary, Tables, Words
from nachos_jax.report.words.phrases import ESTIMATOR

IN_UNIT = ("mae", "rmse", "median_absolute_error")
SQUARED = ("mse",)


class _Regression(Section):
    words = Words(
        noun="target",
        kinds="target",
        each="the target",
        setting="config.data.label_key",
        counts="",
        strata="fifths of the target",
        purpose="estimate a number from images",
        output="The output is one number, in the unit of the target.",
        loss=(
            "The loss compares the standardised target with the output; the target is standardised by mean "
            "and standard deviation of the training cases of each fit."
        ),
        predicted="the network's output in the unit of the target",
        otherwise={ESTIMATOR: {"predicted": "the estimator's output in the unit of the target"}},
        constant={
            "": "the mean of the target",
            "mae": "the median of the target",
            "median_absolute_error": "the middle of the shortest half of the targets",
        },
    )
    figures = ("scatter", "bland_altman")
    also = ("r2",)
    facts = "regression/facts.j2"

    def metrics(self, _run: Mapping[str, Any]) -> Any:
        return regression

    def outcome(self, arrays: Mapping[str, np.ndarray], _names: int) -> tuple[np.ndarray, np.ndarray]:
        """Targets and predictions [n] float64."""
        return arrays["targets"].astype(np.float64), arrays["predictions"].astype(np.float64)

    def predicted(self, outputs: np.ndarray) -> np.ndarray:
        """[n] float64 of [n, 1]."""
        return outputs.astype(np.float64).reshape(len(outputs))

    def told(self, truth: np.ndarray, _names: Sequence[str]) -> list[str]:
        return [f"{value:.15g}" for value in truth.tolist()]

    def unit(self, name: str, names: Sequence[str]) -> str:
        """Errors are in the unit of the target, whose name the table tells."""
        if name in IN_UNIT:
            return f" in the unit of {names[0]}"
        return f" in the squared unit of {names[0]}" if name in SQUARED else ""

    def pooling(self, _evidence: Evidence) -> Rule:
        return Rule("number")

    def of_unit(self, evidence: Evidence) -> str:
        how = {"max": "largest"}.get(evidence.settings.pool, "mean")
        return f"The true number of a {evidence.settings.unit} is the {how} of those of its cases."

    def numbers(self, evidence: Evidence, estimates: Estimates) -> dict[str, Any]:
        return {
            **super().numbers(evidence, estimates),
            "agreement": agreement.numbers(evidence, estimates),
            "target": agreement.spread(evidence.targets),
        }

    def constant(self, targets: np.ndarray, metric: str) -> np.ndarray:
        """The mean has the least squared error, the median the least absolute one; see `half`."""
        found = {"mae": np.median, "median_absolute_error": agreement.half}.get(metric, np.mean)
        return np.asarray(found(targets))

    def extent(self, summary: Summary) -> str:
        target = summary["target"]
        name = summary["data"]["classes"][0]
        return f"target {name} (from {target['smallest']:.4g} to {target['largest']:.4g})"

    def data_rows(self, summary: Summary) -> list[tuple[str, str]]:
        target = summary["target"]
        told = f"mean {target['mean']:.4g}, SD {target['sd']:.4g}, from {target['smallest']:.4g} to "
        return [
            ("Target", summary["data"]["classes"][0]),
            ("Target over cases", f"{told}{target['largest']:.4g}"),
        ]

    def columns(self, names: Sequence[str]) -> list[str]:
        return [names[0], f"predicted_{names[0]}", "difference"]

    def rows(self, truth: np.ndarray, predicted: np.ndarray, _names: Sequence[str]) -> list[list[Any]]:
        """No prediction where it is not a number."""
        return [
            [y, made, made - y] if np.isfinite(made) else [y, None, None]
            for y, made in zip(truth.tolist(), predicted.tolist(), strict=True)
        ]

    def parts(self, summary: Summary) -> Parts:
        context = {
            "agreement": next(iter(agreement.tables(summary)), None),
            "target": summary["data"]["classes"][0],
        }
        return Parts("regression/page.html.j2", context)

    def drawings(self, evidence: Evidence, estimates: Estimates, _summary: Summary) -> Sequence[Drawing]:
        cases = (estimates.truth, estimates.predicted, estimates.cases.folds, evidence.classes[0])
        return [lambda: scatter(*cases), lambda: bland_altman(*cases)] if len(estimates.truth) else []

    def tables(self, summary: Summary) -> Tables:
        return Tables({"Agreement": agreement.tables(summary)})


SECTION = _Regression()
