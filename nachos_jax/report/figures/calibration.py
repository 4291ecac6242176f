"""Calibration: what was observed against what was predicted, above the histogram of the predictions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nachos_jax.report.figures import drawing as draw
from nachos_jax.report.figures.axes import Axis, axis, defined, horizontal_grid, share_axis, vertical_grid
from nachos_jax.report.figures.drawing import TOP, WIDTH, Figure, Table

LEFT, SIDE, HISTOGRAM = 62.0, 288.0, 70.0


@dataclass(frozen=True)
class Reliability:
    """A reliability curve and the histogram under it.

    Attributes:
        predicted: [B] mean predicted probability of each bin or grid point; NaN where there is none.
        observed: [B] share of cases with the class, or a smooth estimate of it; NaN where there is none.
        low: [B] lower edge of the band; NaN where there is none.
        high: [B] upper edge of the band; NaN where there is none.
        counts: [B] cases of each bin; None for a smooth curve.
        edges: [H + 1] ascending edges of the bins of the histogram, in [0, 1].
        histogram: [H] cases in each.
        note: such as the Brier score and the expected calibration error, as text.
    """

    predicted: np.ndarray
    observed: np.ndarray
    low: np.ndarray
    high: np.ndarray
    counts: np.ndarray | None
    edges: np.ndarray
    histogram: np.ndarray
    note: str = ""


def calibration(curve: Reliability, label: str = "", name: str = "calibration") -> Figure | None:
    """Reliability curve with its band; on the diagonal predictions say what happens.

    Binned curves have a point for every bin; where a band has no neighbour it is a bar.

    Args:
        curve: the numbers.
        label: the class that is predicted, or "" when there is only one.
        name: stem of the figure's files.

    Returns:
        The figure, or None when no point of the curve is a number.
    """
    rows = [tuple(map(defined, row)) for row in _columns(curve)]
    known = [row for row in rows if row[0] is not None and row[1] is not None]
    if not known:
        return None
    items = [("strong", "observed"), ("reference", "perfect calibration")]
    items[1:1] = [("band c0", "band")] if any(row[2] is not None for row in rows) else []
    parts, below = draw.legend(items, LEFT, TOP + 6, WIDTH)
    if label or curve.note:
        below += 19
        words = ": ".join(part for part in (label, curve.note) if part)
        parts.append(draw.text(LEFT, below, words, style="note", room=WIDTH - LEFT - 4))
    top = below + 16
    x, y = share_axis(LEFT, WIDTH - 14), share_axis(top + SIDE, top)
    parts += horizontal_grid(y, LEFT, x.end)
    parts += [draw.line(x.at(tick), top, x.at(tick), y.start, "grid") for tick in x.ticks]
    parts.append(draw.line(x.start, y.start, x.end, y.end, "reference"))
    parts += _curve(rows, x, y, binned=curve.counts is not None)
    parts.append(draw.upright(14, (top + y.start) / 2, "observed share", SIDE))
    parts += _histogram(curve, x, y.start + 16, y.start + 16 + HISTOGRAM)
    base = y.start + 16 + HISTOGRAM
    parts.append(draw.text((x.start + x.end) / 2, base + 36, "predicted probability", "middle"))
    title = "Calibration: observed shares against predicted probabilities" + (f" of {label}" if label else "")
    header = ("kind", "predicted", "observed", "low", "high", "cases", "bin_low", "bin_high")
    cells = [("curve", *row, None, None) for row in rows]
    bins = zip(curve.histogram, curve.edges, curve.edges[1:], strict=False)
    cells += [("histogram", None, None, None, None, *map(float, row)) for row in bins]
    return Figure(name, draw.frame(parts, base + 42, title), title, Table(header, tuple(cells)))


def _columns(curve: Reliability) -> list[tuple[float, ...]]:
    counts = np.full(len(curve.predicted), np.nan) if curve.counts is None else curve.counts
    return list(zip(curve.predicted, curve.observed, curve.low, curve.high, counts, strict=True))


def _curve(rows: list[tuple[float | None, ...]], x: Axis, y: Axis, binned: bool) -> list[str]:
    """Band, line and points; the band breaks where an edge is undefined, the line only bridges empty bins."""
    bands: list[str] = []
    line: list[draw.Point] = []
    dots: list[str] = []
    run: list[tuple[float, float, float]] = []
    for predicted, observed, low, high, count in [*rows, (None,) * 5]:
        if predicted is not None and low is not None and high is not None:
            run.append((x.at(_share(predicted)), y.at(_share(low)), y.at(_share(high))))
        elif run:
            bands += _band(run)
            run = []
        if predicted is not None and observed is not None:
            line.append((x.at(_share(predicted)), y.at(_share(observed))))
            told = (
                ""
                if count is None
                else f"{count:g} predictions, mean {predicted:.3f}, observed {observed:.3f}"
            )
            dots.append(draw.circle(*line[-1], 4, "selected", told) if binned else "")
    return [*bands, draw.path([draw.thin(line, 200)], "strong"), *dots]


def _band(run: list[tuple[float, float, float]]) -> list[str]:
    if len(run) == 1:
        place, low, high = run[0]
        return [draw.line(place, low, place, high, "interval")]
    return [draw.band([(p, low) for p, low, _ in run], [(p, high) for p, _, high in run], "c0")]


def _share(value: float) -> float:
    return min(max(value, 0.0), 1.0)


def _histogram(curve: Reliability, x: Axis, top: float, base: float) -> list[str]:
    counts = [defined(count) or 0.0 for count in curve.histogram]
    y = axis([0.0, max([1.0, *counts])], base, top, 2)
    parts = [*horizontal_grid(y, x.start, x.end), *vertical_grid(x, top, base)]
    for low, high, count in zip(curve.edges, curve.edges[1:], counts, strict=False):
        left, right = x.at(_share(float(low))), x.at(_share(float(high)))
        told = draw.told(f"{count:g} predictions from {low:.2f} to {high:.2f}")
        if count > 0:
            bar = draw.rect(left + 0.5, y.at(count), max(right - left - 1, 0.5), base - y.at(count), "bar")
            parts.append(bar.replace("/>", f">{told}</rect>"))
    return [*parts, draw.upright(14, (top + base) / 2, "predictions", base - top)]
