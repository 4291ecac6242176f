"""What a section says when its task has nothing of its own to say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nachos_jax.report.sections.section import Parts, Summary, Tables

if TYPE_CHECKING:
    from nachos_jax.report.figures.drawing import Figure
    from nachos_jax.report.numbers.estimates import Estimates
    from nachos_jax.report.reading.evidence import Evidence
    from nachos_jax.statistics.intervals import Interval


class Common:
    """See `nachos_jax.report.sections.section.Section`, of which this is a part."""

    also: tuple[str, ...] = ()

    def unit(self, _name: str, _names: Sequence[str]) -> str:
        """Metrics without a unit."""
        return ""

    def strata(self, truth: np.ndarray) -> np.ndarray:
        """None: all subjects are drawn together."""
        return np.zeros(len(truth), np.int64)

    def intervals(self, _evidence: Evidence, _estimates: Estimates, _name: str) -> list[Interval]:
        """None."""
        return []

    def group(self, _truth: np.ndarray, _cases: np.ndarray, _names: Sequence[str]) -> dict[str, int]:
        """Nothing to count."""
        return {}

    def numbers(self, evidence: Evidence, estimates: Estimates) -> dict[str, Any]:
        """Which task it is, and how many predictions are not numbers."""
        made = sum(len(truth) for truth, _ in evidence.predictions.values())
        return {"task": evidence.task, "without_numbers": made - len(estimates.truth)}

    def without_numbers(self, summary: Summary) -> int:
        """As `numbers` counted."""
        return summary["without_numbers"]

    def parts(self, _summary: Summary) -> Parts:
        """None."""
        return Parts()

    def drawn(
        self,
        _evidence: Evidence,
        _estimates: Estimates,
        _summary: Summary,
    ) -> Sequence[Figure | None]:
        """None."""
        return []

    def tables(self, _summary: Summary) -> Tables:
        """None."""
        return Tables()
