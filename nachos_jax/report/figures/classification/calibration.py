"""Calibration: what was observed against what was predicted, above the histogram of the predictions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nachos_jax.report.figures.drawing import Axes, Figure, Sheet, Table, scale, sheet
from nachos_jax.report.figures.scales import defined
from nachos_jax.report.figures.style import FOOT, RIGHT, TOP, WIDTH

LEFT, SIDE, HISTOGRAM = 72.0, 270.0, 66.0


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
    if not any(row[0] is not None and row[1] is not None for row in rows):
        return None
    items = [("strong", "observed"), ("reference", "perfect calibration")]
    items[1:1] = [("band", "band")] if any(row[2] is not None for row in rows) else []
    words = ": ".join(part for part in (label, curve.note) if part)
    top = TOP + 26 + (18 if words else 0)
    base = top + SIDE + 16 + HISTOGRAM
    with sheet(base + FOOT) as page:
        page.legend(TOP, *items, left=LEFT)
        page.text(LEFT, TOP + 32, words, "note", room=WIDTH - LEFT - 4)
        axes = page.axes(LEFT, top, WIDTH - LEFT - RIGHT, SIDE)
        for axis in (axes.xaxis, axes.yaxis):
            scale(axis, [0.0, 1.0])
        axes.tick_params(labelbottom=False)
        page.line(axes, [0, 1], [0, 1], "reference")
        _curve(page, axes, rows, binned=curve.counts is not None)
        page.beside("observed share", top, top + SIDE)
        _histogram(page, curve, base)
        title = "Calibration: observed shares against predicted probabilities" + (
            f" of {label}" if label else ""
        )
        header = ("kind", "predicted", "observed", "low", "high", "cases", "bin_low", "bin_high")
        cells = [("curve", *row, None, None) for row in rows]
        bins = zip(curve.histogram, curve.edges, curve.edges[1:], strict=False)
        cells += [("histogram", None, None, None, None, *map(float, row)) for row in bins]
        told = f"Observed share over predicted probability, above a histogram of these. {curve.note}"
        return page.finished(name, title, told, Table(header, tuple(cells)))


def _columns(curve: Reliability) -> list[tuple[float, ...]]:
    counts = np.full(len(curve.predicted), np.nan) if curve.counts is None else curve.counts
    return list(zip(curve.predicted, curve.observed, curve.low, curve.high, counts, strict=True))


def _curve(page: Sheet, axes: Axes, rows: list[tuple[float | None, ...]], binned: bool) -> None:
    """Band, line and points; the band breaks where an edge is undefined, the line only bridges empty bins."""
    run: list[tuple[float, ...]] = []
    for predicted, _, low, high, _ in [*rows, (None,) * 5]:
        if predicted is not None and low is not None and high is not None:
            run.append((_share(predicted), _share(low), _share(high)))
        elif len(run) == 1:
            page.line(axes, [run[0][0]] * 2, run[0][1:], "interval")
            run = []
        else:
            page.band(axes, *zip(*run, strict=True)) if run else None
            run = []
    known = [(_share(p), _share(o), count) for p, o, _, _, count in rows if p is not None and o is not None]
    page.line(axes, [p for p, *_ in known], [o for _, o, _ in known], "strong")
    for p, o, count in known if binned else ():
        told = "" if count is None else f"{count:g} predictions, mean {p:.3f}, observed {o:.3f}"
        page.line(axes, [p], [o], "selected", told, markersize=8)


def _share(value: float) -> float:
    return min(max(value, 0.0), 1.0)


def _histogram(page: Sheet, curve: Reliability, base: float) -> None:
    counts = [defined(count) or 0.0 for count in curve.histogram]
    axes = page.axes(LEFT, base - HISTOGRAM, WIDTH - LEFT - RIGHT, HISTOGRAM)
    scale(axes.xaxis, [0.0, 1.0])
    scale(axes.yaxis, [0.0, max([1.0, *counts])], steps=2)
    for low, high, count in zip(curve.edges, curve.edges[1:], counts, strict=False):
        if count > 0:
            told = f"{count:g} predictions from {low:.2f} to {high:.2f}"
            gap = min(0.0015, (high - low) / 4)
            page.box(axes, (_share(low) + gap, _share(high) - gap), (0, count), "bar", words=told)
    page.beside("predictions", base - HISTOGRAM, base)
    page.below(axes, "predicted probability")
