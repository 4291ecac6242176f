"""The figure of intervals.py: coverage by number of cases, a panel for each interval; marks tell K apart."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

PANELS = {
    "accuracy": ("naive_t", "corrected_t", "percentile", "bca", "bates_outer", "bayle"),
    "auc": ("naive_t", "corrected_t", "percentile", "bca", "auc_influence"),
}
ROWS = (
    ("accuracy", "models", "Accuracy of these K models", False),
    ("accuracy", "procedure", "Accuracy of the procedure", False),
    (
        "accuracy",
        "procedure",
        "Accuracy of the procedure, a learner with half as many features as cases",
        True,
    ),
    ("auc", "procedure", "AUC of the procedure", False),
)
GROWN = {"informative": 10, "distance": 3.0}
"""The task of the learner whose features grow with the cases."""
WIDE, HIGH, GAP, LEFT, TOP = 132, 112, 14, 40, 50
LOWEST, LEVEL, GOAL = 0.7, 0.95, (0.92, 0.98)
STYLE = (
    "text{font:11px sans-serif;fill:#222}.s{font-size:10px;fill:#444}.t{font-weight:bold}"
    "path{fill:none;stroke:#222}.n{stroke-width:1}.e{stroke-width:.8;stroke:#666}.d{stroke-dasharray:4 3}"
    ".k5{fill:#111;stroke:#111}.k10{fill:#fff;stroke:#111;stroke-width:1.3}"
    ".g{fill:#e4e4e4}.f{fill:none;stroke:#999}"
)


def wilson(count: int, total: int, z: float = 1.96) -> tuple[float, float]:
    """Interval of a share (Wilson, 1927)."""
    share = count / total
    centre = (share + z * z / (2 * total)) / (1 + z * z / total)
    half = z / (1 + z * z / total) * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    return centre - half, centre + half


def draw(settings: Sequence[Any], found: Sequence[Mapping[str, Any]], folder: Path) -> Path:
    """Draws the figure.

    Args:
        settings: of the studies; plain ones are drawn: prevalence 0.5, one case a subject, no tuning, and
            of the learner whose features grow with the cases the usual shrinkage.
        found: what was found for each, by metric and method.
        folder: where to.

    Returns:
        intervals.svg.
    """
    from benchmarks.statistics.intervals_study import METHODS

    plain: dict[bool, list[tuple[Any, Mapping[str, Any]]]] = {False: [], True: []}
    for setting, one in zip(settings, found, strict=True):
        kind = type(setting)
        if setting == kind(setting.cases, setting.folds):
            plain[False].append((setting, one))
        elif setting == kind(setting.cases, setting.folds, features=setting.cases // 2, **GROWN):
            plain[True].append((setting, one))
    rows = [row for row in ROWS if plain[row[3]]]
    width = LEFT + max(map(len, PANELS.values())) * (WIDE + GAP)
    height = TOP + len(rows) * (HIGH + 56) + 4
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">',
        "<title>Coverage of 95 % intervals by number of cases</title>",
        f"<style>{STYLE}</style>",
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
        *_legend(),
    ]
    for row, (metric, goal, title, grown) in enumerate(rows):
        y = TOP + row * (HIGH + 56) + 16
        parts.append(f'<text class="t" x="4" y="{y - 22}">{escape(title)}, by number of cases</text>')
        for column, method in enumerate(PANELS[metric]):
            values = [(s.cases, s.folds, one[metric][method]) for s, one in plain[grown]]
            x = LEFT + column * (WIDE + GAP)
            parts += _panel(x, y, METHODS[method], goal, values, column == 0)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "intervals.svg"
    path.write_text("\n".join([*parts, "</svg>", ""]), encoding="utf-8")
    return path


def _legend() -> list[str]:
    return [
        '<circle class="k5" cx="12" cy="13" r="3.5"/><text x="20" y="17">5 folds</text>',
        '<rect class="k10" x="79" y="9.500" width="7" height="7"/><text x="92" y="17">10 folds</text>',
        '<path class="n" d="M152 13h22"/><text x="179" y="17">0.95, promised</text>',
        f'<rect class="g" x="272" y="7" width="22" height="12"/><text x="299" y="17">{GOAL[0]} to {GOAL[1]}'
        "; bars: 95 % error of the simulation; an arrow: below the panel</text>",
    ]


def _height(share: float) -> float:
    """From the top of a panel."""
    return HIGH * (1 - (max(share, LOWEST) - LOWEST) / (1 - LOWEST))


def _panel(
    x: float,
    y: float,
    name: str,
    goal: str,
    values: Sequence[tuple[int, int, Mapping[str, Any]]],
    first: bool,
) -> list[str]:
    top, bottom = _height(GOAL[1]), _height(GOAL[0])
    parts = [
        f'<g transform="translate({x} {y})">',
        f'<rect class="g" y="{top:.1f}" width="{WIDE}" height="{bottom - top:.1f}"/>',
        f'<path class="n" d="M0 {_height(LEVEL):.1f}h{WIDE}"/>',
        f'<rect class="f" width="{WIDE}" height="{HIGH}"/><text class="s" y="-7">{escape(name)}</text>',
    ]
    counts = sorted({cases for cases, _, _ in values})
    places = {cases: (i + 0.5) * WIDE / len(counts) for i, cases in enumerate(counts)}
    if first:
        for tick in (0.7, 0.8, 0.9, 1.0):
            parts.append(
                f'<text class="s" x="-6" y="{_height(tick) + 3:.1f}" text-anchor="end">{tick}</text>'
            )
    for cases, place in places.items():
        parts.append(f'<text class="s" x="{place:.1f}" y="{HIGH + 13}" text-anchor="middle">{cases}</text>')
    for folds, shift in ((5, -3.5), (10, 3.5)):
        for cases, k, found in values:
            if k == folds and found["defined"]:
                parts += _mark(places[cases] + shift, k, found[f"covered_{goal}"], found["defined"])
    return [*parts, "</g>"]


def _mark(x: float, folds: int, count: int, total: int) -> list[str]:
    low, high = (_height(share) for share in wilson(count, total))
    y = _height(count / total)
    if count / total < LOWEST:
        arrow = f'<path class="n" d="M{x:.1f} {HIGH - 12}v9m-3 -4l3 4l3 -4"/>'
        return [f'{arrow}<text class="s" x="{x + 5:.1f}" y="{HIGH - 4}">{count / total:.2f}</text>']
    mark = f'<circle class="k5" cx="{x:.1f}" cy="{y:.1f}" r="3.2"/>'
    if folds != 5:
        mark = f'<rect class="k10" x="{x - 3:.1f}" y="{y - 3:.1f}" width="6" height="6"/>'
    return [f'<path class="e" d="M{x:.1f} {high:.1f}V{low:.1f}"/>{mark}']
