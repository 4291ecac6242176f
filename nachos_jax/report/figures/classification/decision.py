"""Decision curve: the net benefit of acting on the model, beside acting on all cases and on none."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nachos_jax.report.figures.drawing import Figure, Table, scale, sheet
from nachos_jax.report.figures.scales import defined, known
from nachos_jax.report.figures.style import FOOT, RIGHT, TOP, WIDTH

LEFT, HIGH = 66.0, 230.0


@dataclass(frozen=True)
class DecisionCurve:
    """Net benefit over thresholds (Vickers and Elkin, 2006).

    Attributes:
        thresholds: [T] ascending threshold probabilities, in [0, 1).
        model: [T] net benefit of treating the cases whose probability reaches the threshold.
        low: [T] lower edge of its band; None for no band.
        high: [T] upper edge of its band; None for no band.
        treat_all: [T] net benefit of treating all cases; of treating none it is 0.
    """

    thresholds: np.ndarray
    model: np.ndarray
    low: np.ndarray | None
    high: np.ndarray | None
    treat_all: np.ndarray


def decision(curve: DecisionCurve, label: str = "", name: str = "decision") -> Figure | None:
    """Decision curve; losses greater than a third of the highest benefit are cut off below.

    Treating all goes to minus infinity as the threshold goes to 1, so the axis cannot hold all of it.

    Args:
        curve: the numbers.
        label: the class that is predicted, or "" when there is only one.
        name: stem of the figure's files.

    Returns:
        The figure, or None when the model has no net benefit at any threshold.
    """
    nothing = np.full(len(curve.model), np.nan)
    lines = (
        *(curve.thresholds, curve.model, nothing if curve.low is None else curve.low),
        *(nothing if curve.high is None else curve.high, curve.treat_all),
    )
    rows = [tuple(map(defined, row)) for row in zip(*lines, strict=True)]
    if not known(row[0] for row in rows) or not known(row[1] for row in rows):
        return None
    items = [("strong", "model"), ("reference", "treat all"), ("none", "treat none")]
    items[1:1] = [("band", "band")] if curve.low is not None else []
    benefits = known(value for _, *values in rows for value in values)
    highest = max(0.0, *benefits)
    lowest = max(min(0.0, *benefits), -max(highest / 3, 0.02))
    top = TOP + 26 + (18 if label else 0)
    with sheet(top + HIGH + FOOT) as page:
        page.legend(TOP, *items, left=LEFT)
        page.text(LEFT, TOP + 32, label, "head", room=WIDTH - LEFT - 4)
        axes = page.axes(LEFT, top, WIDTH - LEFT - RIGHT, HIGH)
        scale(axes.xaxis, known(row[0] for row in rows), (0.0, 1.0))
        scale(axes.yaxis, [lowest, highest])
        edges = [(t, low, high) for t, _, low, high, _ in rows if None not in (t, low, high)]
        if edges:
            page.band(axes, *zip(*edges, strict=True), clip_on=True)
        page.line(axes, axes.get_xlim(), [0, 0], "none")
        for kind, column in (("reference", 4), ("strong", 1)):
            line = [(row[0], row[column]) for row in rows if None not in (row[0], row[column])]
            page.line(axes, [t for t, _ in line], [b for _, b in line], kind, clip_on=True)
        page.below(axes, "threshold probability")
        page.beside("net benefit", top, top + HIGH)
        title = "Decision curve: net benefit over threshold probabilities" + (f" of {label}" if label else "")
        header = ("threshold", "model", "low", "high", "treat_all", "treat_none")
        words = "Net benefit over thresholds: of the model, of treating all cases, of treating none."
        return page.finished(name, title, words, Table(header, tuple((*row, 0.0) for row in rows)))
