"""The report on a task that has no section of its own: what the task measured of each outer fold itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nachos_jax.metrics.contract import Losses, Metric
from nachos_jax.metrics.value import Value
from nachos_jax.report.checklists.item import Fact
from nachos_jax.report.sections.common import Common
from nachos_jax.report.sections.section import Summary, Words
from nachos_jax.statistics.intervals import UNBOUNDED


@dataclass(frozen=True)
class Recorded:
    """Metrics that are known by name, label and direction only, see `nachos_jax.metrics.contract.Metrics`.

    Attributes:
        METRICS: those of run.json.
        HEADLINE: the first of them.
        SHOWN: all.
        ADDITIVE: none.
    """

    METRICS: Mapping[str, Metric]
    HEADLINE: str
    SHOWN: tuple[str, ...]
    ADDITIVE: Mapping[str, Losses]

    def evaluate(self, _name: str, _truth: Any, _predicted: Any, _names: Sequence[str]) -> Value:
        """Undefined: only the task can evaluate them."""
        return Value(None, "this report does not know the task and cannot evaluate it")


class Generic(Common):
    """See `nachos_jax.report.sections.section.Section`."""

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
    facts: Mapping[str, Fact] = {}

    def metrics(self, run: Mapping[str, Any]) -> Recorded:
        """Those that run.json names."""
        rows = {
            name: Metric(name, row["label"], row["higher_is_better"], UNBOUNDED)
            for name, row in run.get("metrics", {}).items()
        }
        return Recorded(rows, next(iter(rows), ""), tuple(rows), {})

    def outcome(self, _arrays: Mapping[str, np.ndarray], _names: int) -> None:
        """Not known: the fold's values stand in its record."""
        return

    def recorded(self, truth: np.ndarray, predicted: np.ndarray) -> Mapping[str, np.ndarray]:
        """Both under plain names."""
        return {"targets": truth, "predictions": predicted}

    def predicted(self, outputs: np.ndarray) -> np.ndarray:
        """The outputs as they are."""
        return outputs

    def told(self, truth: np.ndarray, _names: Sequence[str]) -> list[str]:
        """Each target as it stands in the records."""
        return [str(target) for target in truth.tolist()]

    def extent(self, summary: Summary) -> str:
        """The task by its name."""
        return f"task {summary['task']}"

    def data_rows(self, summary: Summary) -> list[tuple[str, str]]:
        """The task and the names of what it predicts."""
        return [("Task", summary["task"]), ("Predicted", ", ".join(summary["data"]["classes"]))]

    def parameters(self, names: Sequence[str]) -> dict[str, str]:
        """Names of what is predicted."""
        return {"predicted": ", ".join(names)}

    def columns(self, _names: Sequence[str]) -> list[str]:
        """None."""
        return []

    def rows(self, _truth: np.ndarray, _predicted: np.ndarray, _names: Sequence[str]) -> list[list[Any]]:
        """None."""
        return []


SECTION = Generic()
