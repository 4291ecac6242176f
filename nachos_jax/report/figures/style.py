"""The look of all figures: sizes, colours, and how each kind of mark is drawn.

Lengths are units of the viewBox, which is WIDTH wide: on a phone one unit is nine tenths of a pixel.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

WIDTH = 400.0
LABEL, NOTE, SMALL = 12.5, 11.5, 10.5
"""Sizes of letters."""

_NAMES = ("paper", "ink", "soft", "rule", "grid", "accent", *(f"c{i}" for i in range(8)))
COLOURS = {name: f"#5e{i:02x}e5" for i, name in enumerate(_NAMES)}
"""What stands for each colour of the page until the SVG is written; nobody ever sees these."""
PAPER, INK, SOFT, RULE, GRID, ACCENT, BEST, BAD, *_, OTHER = COLOURS.values()

SETTINGS: Mapping[str, Any] = {
    **{"svg.fonttype": "none", "text.parse_math": False, "font.family": "DejaVu Sans", "font.size": LABEL},
    **{"figure.dpi": 72, "figure.facecolor": "none", "axes.facecolor": "none", "text.color": INK},
    **{"figure.labelsize": LABEL, "figure.constrained_layout.h_pad": 0.07},
    **{"axes.labelcolor": INK, "axes.titlesize": NOTE, "axes.titlelocation": "left", "axes.titlepad": 5},
    **{"axes.grid": True, "axes.axisbelow": True, "grid.color": GRID, "grid.linewidth": 1},
    **{"axes.formatter.useoffset": False, "axes.formatter.limits": (-3, 8)},
    "axes.prop_cycle": f"cycler('color', {[colour for name, colour in COLOURS.items() if name[0] == 'c']})",
    **{f"axes.spines.{side}": False for side in ("left", "right", "top", "bottom")},
    **{f"{axis}tick.{part}.size": 0 for axis in "xy" for part in ("major", "minor")},
    **{f"{axis}tick.{key}": value for axis in "xy" for key, value in (("color", SOFT), ("labelsize", NOTE))},
    **{"legend.frameon": False, "legend.fontsize": NOTE, "legend.labelcolor": SOFT},
    **{"legend.handlelength": 1.8, "legend.handletextpad": 0.5, "legend.columnspacing": 1.2},
    **{"lines.scale_dashes": False, "lines.solid_capstyle": "round", "path.simplify_threshold": 0.25},
}
"""Settings of matplotlib."""


def _line(colour: str, width: float, dashes: tuple[float, ...] = (), alpha: float = 1.0) -> dict[str, Any]:
    return {"color": colour, "lw": width, "ls": (0, dashes) if dashes else "-", "alpha": alpha}


def _point(marker: str, size: float, colour: str, edge: str, width: float, alpha: float = 1) -> dict:
    return {
        **{"ls": "none", "marker": marker, "markersize": size, "alpha": alpha},
        **{"markerfacecolor": colour, "markeredgecolor": edge, "markeredgewidth": width},
    }


_DOT = {"marker": "o", "markersize": 6, "markeredgecolor": PAPER, "markeredgewidth": 1}
STRONG, THIN = _line(BEST, 2), {**_line(SOFT, 0.8, alpha=0.6), "label": "outer folds"}
PICKED = {**_line(BEST, 1.6, alpha=0.85), **_DOT, "label": "selected trial"}
TRACE = _line(OTHER, 0.8, alpha=0.45)
TAKEN = {**_line(BEST, 1.3), "label": "selected trial"}
FAINT = {**_line(OTHER, 0.6, alpha=0.55), "label": "other trials"}
CHOSEN = {**_line(BAD, 1.4, (3, 2)), "label": "chosen epoch n*"}
AXIS, TICK, MEAN = _line(SOFT, 1), _point("|", 6, SOFT, SOFT, 1), _line(INK, 1.25, (4, 3))
REFERENCE, LIMIT, NOBODY = _line(SOFT, 1.3, (5, 3)), _line(BAD, 1.4, (5, 3)), _line(INK, 1.2, (1.5, 3))
INTERVAL = {**_line(INK, 1.5), "marker": "|", "markersize": 8, "markeredgewidth": 1.5}
HEAVY = {**_line(BEST, 5), "solid_capstyle": "butt", "zorder": 1.9}
TRIAL, SELECTED = _point("o", 8, OTHER, PAPER, 0.8, alpha=0.55), _point("o", 10, BEST, PAPER, 1.2)
HOLLOW, OPEN = _point("o", 7, PAPER, SOFT, 1.3), _point("D", 6.5, PAPER, SOFT, 1.3)
MIDDLE, WHOLE, SQUARE = (_point(*mark, INK, PAPER, 1) for mark in (("D", 6.5), ("D", 11), ("s", 8)))
FAILED, CASE = _point("x", 7, BAD, BAD, 1.8), _point("o", 4.5, BEST, "none", 0, alpha=0.35)
BAND = {"facecolor": BEST, "alpha": 0.17, "linewidth": 0, "label": "band"}
BAR = {"facecolor": BEST, "alpha": 0.8, "linewidth": 0}
SHADE = {"facecolor": ACCENT, "linewidth": 0}
RIGHT = {"facecolor": "none", "edgecolor": ACCENT, "linewidth": 1.5}
"""Kinds of mark, as matplotlib's Line2D and Polygon take them."""
