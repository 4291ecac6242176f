"""Forest plot of labels: how well each is told from its absence.

The curves of labels are those of classes against the rest: `classification.ranking` draws both.
"""

from __future__ import annotations

from collections.abc import Sequence

from nachos_jax.report.figures.drawing import Figure
from nachos_jax.report.figures.scales import Bounds
from nachos_jax.report.figures.subgroups import Subgroup, forest


def labels(
    names: Sequence[str],
    values: Sequence[float | None],
    lows: Sequence[float | None],
    highs: Sequence[float | None],
    counts: Sequence[int],
    metric: str = "AUC",
    bounds: Bounds = (0.0, 1.0),
) -> Figure | None:
    """A row for every label, with its estimate and interval.

    Args:
        names: L labels, from top to bottom.
        values: L estimates; None where undefined.
        lows: L lower ends of their intervals; None where undefined.
        highs: L upper ends.
        counts: L numbers of cases that have the label.
        metric: name of the axis.
        bounds: what the metric cannot exceed.

    Returns:
        The figure, or None when no label has an estimate.
    """
    columns = zip(names, counts, values, lows, highs, strict=True)
    rows = [Subgroup(name, count, None, value, low, high) for name, count, value, low, high in columns]
    return forest(rows, None, metric, bounds, name="labels")
