"""Decision curve: the net benefit of acting on the model, beside acting on all cases and on none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nachos_jax.report.figures import drawing as draw
from nachos_jax.report.figures.axes import Axis, axis, defined, horizontal_grid, vertical_grid
from nachos_jax.report.figures.drawing import LEFT, RIGHT, TOP, WIDTH, Figure, Table


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
    thresholds = [defined(t) for t in curve.thresholds]
    known = [t for t in thresholds if t is not None]
    model, everyone = [*map(defined, curve.model)], [*map(defined, curve.treat_all)]
    low = [None] * len(model) if curve.low is None else [*map(defined, curve.low)]
    high = [None] * len(model) if curve.high is None else [*map(defined, curve.high)]
    benefits = [v for v in (*model, *everyone, *high) if v is not None]
    if not known or all(value is None for value in model):
        return None
    items = [("strong", "model"), ("reference", "treat all"), ("none", "treat none")]
    items[1:1] = [("band c0", "band")] if curve.low is not None else []
    parts, below = draw.legend(items, LEFT, TOP + 6, WIDTH)
    if label:
        below += 19
        parts.append(draw.text(LEFT, below, label, style="head", room=WIDTH - LEFT - 4))
    top, base = below + 16, below + 16 + 230
    highest = max(0.0, *benefits)
    lowest = max(min(0.0, *benefits, *(v for v in low if v is not None)), -max(highest / 3, 0.02))
    y = axis([lowest, highest], base, top)
    x = axis(known, LEFT, WIDTH - RIGHT, bounds=(0.0, 1.0))
    parts += [*horizontal_grid(y, LEFT, x.end), *vertical_grid(x, top, base)]
    rows = zip(thresholds, low, high, strict=True)
    both = [(t, a, b) for t, a, b in rows if t is not None and a is not None and b is not None]
    lower, upper = [(t, a) for t, a, _ in both], [(t, b) for t, _, b in both]
    parts.append(draw.band(_places(lower, x, y), _places(upper, x, y), "c0"))
    parts.append(draw.line(x.start, y.at(0.0), x.end, y.at(0.0), "none"))
    parts += [draw.path([line], "reference") for line in _inside(thresholds, everyone, x, y)]
    parts += [draw.path([draw.thin(line, 300)], "strong") for line in _inside(thresholds, model, x, y)]
    parts.append(draw.text((x.start + x.end) / 2, base + 36, "threshold probability", "middle"))
    parts.append(draw.upright(14, (top + base) / 2, "net benefit", base - top))
    title = "Decision curve: net benefit over threshold probabilities" + (f" of {label}" if label else "")
    header = ("threshold", "model", "low", "high", "treat_all", "treat_none")
    rows = zip(thresholds, model, low, high, everyone, [0.0] * len(model), strict=True)
    return Figure(name, draw.frame(parts, base + 42, title), title, Table(header, tuple(rows)))


def _places(points: Sequence[tuple[float, float]], x: Axis, y: Axis) -> list[draw.Point]:
    return [(x.at(a), y.at(min(max(b, y.low), y.high))) for a, b in points]


def _inside(
    thresholds: Sequence[float | None], benefits: Sequence[float | None], x: Axis, y: Axis
) -> list[list[draw.Point]]:
    """Pieces of a line above the lower edge of the panel, cut where the line crosses it."""
    points = [(t, b) for t, b in zip(thresholds, benefits, strict=True) if t is not None and b is not None]
    pieces: list[list[draw.Point]] = [[]]
    for i, (t, b) in enumerate(points):
        before = points[i - 1] if i else (t, b)
        if (before[1] < y.low) != (b < y.low):
            cut = before[0] + (t - before[0]) * (y.low - before[1]) / (b - before[1])
            pieces[-1].append((x.at(cut), y.start))
        if b >= y.low:
            pieces[-1].append((x.at(t), y.at(b)))
        elif pieces[-1]:
            pieces.append([])
    return [piece for piece in pieces if piece]
