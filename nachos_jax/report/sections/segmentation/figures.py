"""Figures of masks: Dice of every case, class by class, and against the volume of what was to be found."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nachos_jax.report.figures import style
from nachos_jax.report.figures.drawing import Figure, finished, fit, legend, sheet
from nachos_jax.report.words.phrases import counted

MOST = 3000
"""Points of a class that are drawn; of more cases a sample."""


def cases_by_class(
    name: str, dice: np.ndarray, folds: np.ndarray, names: Sequence[str], noun: str = "case"
) -> Figure | None:
    """Dice [n, K] as a strip a class, with the median; folds [n] stand in the table.

    The n are cases, or with several repeats predictions: `noun`.
    """
    with sheet(name, 90 + 46 * len(names)) as (canvas, ((axes,),)):
        draw = np.random.default_rng(0)
        for place, column in enumerate(dice.T):
            drawn = _sample(len(column))
            height = place + draw.uniform(-0.28, 0.28, len(drawn))
            axes.plot(column[drawn], height, **style.CASE)
            axes.plot([np.median(column)] * 2, [place - 0.36, place + 0.36], **style.MEAN)
        axes.set_yticks(range(len(names)), [fit(label, 120) for label in names])
        axes.set(xlabel=f"Dice of a {noun}; the line is the median", xlim=(-0.02, 1.02))
        axes.invert_yaxis()
        title = f"Dice of {counted(len(dice), noun)} by class, out of fold"
        cells = [
            (label, fold, value)
            for k, label in enumerate(names)
            for fold, value in zip(folds, dice[:, k], strict=True)
        ]
        return finished(canvas, title, ("class", "outer_fold", "dice"), cells)


def dice_against_volume(
    name: str,
    dice: np.ndarray,
    volumes: np.ndarray,
    names: Sequence[str],
    unit: str,
    noun: str = "case",
) -> Figure | None:
    """Dice [n, K] against reference volumes [n, K], where a case has the class; None where none has any."""
    there = volumes > 0
    if not there.any():
        return None
    with sheet(name, 330) as (canvas, ((axes,),)):
        cells = []
        for k, label in enumerate(names):
            rows = np.flatnonzero(there[:, k])
            drawn = rows[_sample(len(rows))]
            look = {**style.CASE, "markerfacecolor": style.COLOURS[f"c{k % 8}"]}
            axes.plot(volumes[drawn, k], dice[drawn, k], label=fit(label, 120), **look)
            cells += [(label, volumes[row, k], dice[row, k]) for row in rows.tolist()]
        axes.set(xscale="log", xlabel=f"reference volume, {unit}", ylabel="Dice", ylim=(-0.02, 1.02))
        ends = volumes[there].min(), volumes[there].max()
        ticks = {float(f"{tick:.2g}") for tick in np.geomspace(*ends, 4)}
        axes.set_xticks(sorted(ticks), [f"{tick:,g}" for tick in sorted(ticks)])
        axes.minorticks_off()
        if len(names) > 1:
            legend(canvas, min(3, len(names)))
        shown = counted(int(there.any(axis=1).sum()), noun)
        title = f"Dice against reference volume of {shown}, out of fold"
        return finished(canvas, title, ("class", f"volume_{unit}", "dice"), cells)


def _sample(count: int) -> np.ndarray:
    if count <= MOST:
        return np.arange(count)
    return np.sort(np.random.default_rng(0).choice(count, MOST, replace=False))
