"""Building blocks of figures whose rows stand below each other along one horizontal axis."""

from __future__ import annotations

from collections.abc import Sequence

from nachos_jax.report.figures import style
from nachos_jax.report.figures.drawing import Axes, fit, said
from nachos_jax.report.figures.numbers import defined

_AT, _POINTS = ("axes fraction", "data"), "offset points"
_SOFT = {"color": style.SOFT, "fontsize": style.NOTE}
_OVER = {"bbox": {"facecolor": style.PAPER, "linewidth": 0, "pad": 1.5}, "zorder": 4}
"""Of text on paper, so that no line runs through it."""


def stacked(groups: Sequence[str], head: float) -> tuple[list[float], list[tuple[float, str]]]:
    """Places of rows, and of the name of each group, `head` rows high; "" is no group."""
    places, heads, y, before = [], [], 0.0, ""
    for group in groups:
        if group and group != before:
            heads.append((y + head - 0.9, group))
            y += head
        places.append(y)
        before, y = group, y + 1
    return places, heads


def rows(
    axes: Axes, places: Sequence[float], names: Sequence[object], room: float = 130, lines: int = 1
) -> None:
    """Turns axes into a table: a row from top to bottom at each place, its name at the left."""
    axes.set_yticks(places, [fit(name, room, lines=lines) for name in names])
    axes.tick_params(axis="y", labelsize=style.LABEL, labelcolor=style.INK)
    axes.set_ylim(max(places) + 0.6, -0.6)
    axes.locator_params(axis="x", nbins=5)
    axes.grid(axis="y", linestyle=(0, (1, 3)), color=style.RULE)


def above(axes: Axes, heads: Sequence[tuple[float, str]], weight: str = "bold") -> None:
    """Names of groups, from the left edge of the canvas on."""
    look = {"fontsize": style.NOTE, "weight": weight, "va": "center", **_OVER}
    for place, name in heads:
        text, at = fit(name, style.WIDTH - 12, style.NOTE), ("figure fraction", "data")
        axes.annotate(text, (0.01, place), xycoords=at, **look).set_in_layout(False)


def beside(axes: Axes, place: float, words: object) -> None:
    """Text at the right of a row."""
    text = "\n".join(fit(line, 130, style.NOTE) for line in str(words).split("\n"))
    axes.annotate(text, (1, place), (8, 0), _AT, _POINTS, va="center", **_SOFT)


def under(axes: Axes, x: float, place: float, words: str) -> None:
    """Text under a place of a row."""
    axes.annotate(words, (x, place), (0, -5), "data", _POINTS, ha="center", va="top", **_SOFT, **_OVER)


def point(axes: Axes, place: float, value: float | None, look: dict, words: object = "") -> None:
    """A point in a row, which tells words when pointed at; a cross at the left end if it has no value."""
    number = defined(value)
    if number is None:
        axes.plot(0.02, place, transform=axes.get_yaxis_transform(), gid=said(words), **style.FAILED)
    else:
        axes.plot(number, place, gid=said(words), **look)


def missing(axes: Axes, place: float, why: str) -> None:
    """A cross at the left end of a row, and the reason for it over the whole row."""
    point(axes, place, None, {}, why)
    text, look = fit(why, 240, style.NOTE, lines=2), {"va": "center", **_SOFT, **_OVER}
    axes.annotate(text, (0.02, place), (9, 0), _AT, _POINTS, **look).set_in_layout(False)


def level(axes: Axes, value: float | None, words: str = "") -> None:
    """A dashed line down through all rows, such as the mean, with words on top."""
    if (number := defined(value)) is not None:
        axes.axvline(number, **style.MEAN, zorder=1.5)
        axes.annotate(words, (number, 1), (0, 4), ("data", "axes fraction"), _POINTS, ha="center", **_SOFT)
