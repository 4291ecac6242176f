"""The look of all figures: sizes, colours, and how each kind of mark is drawn.

Lengths are units of the viewBox, which is WIDTH wide: on a phone one unit is nine tenths of a pixel.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

WIDTH = 400.0
TOP, RIGHT, FOOT = 10.0, 16.0, 44.0
"""Margins above, at the right, and below for the labels of ticks and axis."""
LABEL, NOTE, SMALL = 12.5, 11.5, 10.5
"""Sizes of letters."""
LINES = 8
"""Colours of lines, c0 to c7."""

NAMES = ("paper", "ink", "soft", "rule", "grid", "accent", *(f"c{i}" for i in range(LINES)))
COLOURS = {name: f"#5e{i:02x}e5" for i, name in enumerate(NAMES)}
"""What stands for each colour of the page until the SVG is written; nobody ever sees these."""

_INK, _SOFT, _PAPER = COLOURS["ink"], COLOURS["soft"], COLOURS["paper"]
_BEST, _OTHER, _BAD = COLOURS["c0"], COLOURS["c7"], COLOURS["c1"]

SETTINGS: Mapping[str, Any] = {
    "svg.hashsalt": "nachos",
    **{"svg.fonttype": "none", "text.parse_math": False, "font.family": "DejaVu Sans", "font.size": LABEL},
    **{"figure.dpi": 72, "figure.facecolor": "none", "axes.facecolor": "none", "text.color": _INK},
    **{"axes.grid": True, "axes.axisbelow": True, "grid.color": COLOURS["grid"], "grid.linewidth": 1},
    **{f"axes.spines.{side}": False for side in ("left", "right", "top", "bottom")},
    **{f"{axis}tick.{key}.size": 0 for axis in "xy" for key in ("major", "minor")},
    **{f"{axis}tick.color": COLOURS["grid"] for axis in "xy"},
    **{f"{axis}tick.labelcolor": _SOFT for axis in "xy"},
    **{f"{axis}tick.labelsize": NOTE for axis in "xy"},
    **{"xtick.major.pad": 8, "ytick.major.pad": 6},
    **{"legend.frameon": False, "legend.fontsize": NOTE, "legend.labelcolor": _SOFT, "legend.borderpad": 0},
    **{"legend.handlelength": 1.8, "legend.handletextpad": 0.5, "legend.columnspacing": 1.2},
    **{"lines.scale_dashes": False, "lines.solid_capstyle": "round", "lines.solid_joinstyle": "round"},
    **{"lines.dash_capstyle": "butt", "path.simplify": True, "path.simplify_threshold": 0.25},
}
"""Settings of matplotlib."""

TEXTS: Mapping[str, Mapping[str, Any]] = {
    "label": {"size": LABEL},
    "head": {"size": LABEL, "weight": "bold"},
    "note": {"size": NOTE, "color": _SOFT},
    "small": {"size": SMALL, "color": _SOFT},
    "cell": {"size": SMALL},
}
"""Kinds of text."""


def _line(colour: str, width: float, dashes: tuple[float, ...] = (), alpha: float = 1.0) -> dict[str, Any]:
    style = (0, dashes) if dashes else "-"
    return {"color": colour, "linewidth": width, "linestyle": style, "alpha": alpha}


def _point(
    marker: str, size: float, colour: str, edge: str, width: float, alpha: float = 1.0
) -> dict[str, Any]:
    return {
        **{"linestyle": "none", "marker": marker, "markersize": size, "alpha": alpha},
        **{"markerfacecolor": colour, "markeredgecolor": edge, "markeredgewidth": width},
    }


MARKS: Mapping[str, Mapping[str, Any]] = {
    "rule": _line(COLOURS["rule"], 1, (1, 3)),
    "axis": _line(_SOFT, 1),
    "edge": _line(COLOURS["grid"], 1),
    "mean": _line(_INK, 1.25, (4, 3)),
    "curve": _line(_BEST, 1.9),
    "strong": _line(_BEST, 2),
    "taken": _line(_BEST, 1.3),
    "picked": _line(_BEST, 1.9, alpha=0.85),
    "thin": _line(_SOFT, 0.8, alpha=0.6),
    "faint": _line(_OTHER, 0.6, alpha=0.55),
    "trace": _line(_OTHER, 0.8, alpha=0.4),
    "leader": _line(_OTHER, 0.9, alpha=0.7),
    "reference": _line(_SOFT, 1.3, (5, 3)),
    "none": _line(_INK, 1.2, (1.5, 3)),
    "chosen": _line(_BAD, 1.4, (3, 2)),
    "limit": _line(_BAD, 1.4, (5, 3)),
    "interval": _line(_INK, 1.5) | {"solid_capstyle": "butt"},
    "cap": _point("|", 8, _INK, _INK, 1.5),
    "heavy": _line(_BEST, 5) | {"solid_capstyle": "butt"},
    "trial": _point("o", 8, _OTHER, _PAPER, 0.8, alpha=0.55),
    "selected": _point("o", 10, _BEST, _PAPER, 1.2),
    "hollow": _point("o", 7, _PAPER, _SOFT, 1.3),
    "open": _point("D", 6.5, _PAPER, _SOFT, 1.3),
    "middle": _point("D", 6.5, _INK, _PAPER, 1),
    "square": _point("s", 8, _INK, _PAPER, 1),
    "failed": _point("x", 7, _BAD, _BAD, 1.8),
    "case": _point("o", 4.5, _BEST, "none", 0, alpha=0.35),
    "band": {"facecolor": _BEST, "alpha": 0.17, "linewidth": 0},
    "bar": {"facecolor": _BEST, "alpha": 0.8, "linewidth": 0},
    "shade": {"facecolor": COLOURS["accent"], "linewidth": 0},
    "right": {"facecolor": "none", "edgecolor": COLOURS["accent"], "linewidth": 1.5},
    "outline": {"facecolor": "none", "edgecolor": COLOURS["rule"], "linewidth": 1},
    "diamond": {"facecolor": _INK, "edgecolor": _PAPER, "linewidth": 1},
}
"""Kinds of mark: lines and points as matplotlib's Line2D takes them, areas as its Polygon does."""
