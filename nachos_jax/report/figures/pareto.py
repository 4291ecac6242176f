"""Score against the number of parameters, and the front that no trial beats in both."""

from __future__ import annotations

import math
from collections.abc import Sequence

from nachos_jax.report.figures import style
from nachos_jax.report.figures.drawing import Figure, finished, fit, legend, said, sheet
from nachos_jax.report.numbers.pareto import Weighed
from nachos_jax.report.words.format import number


def pareto(trials: Sequence[Weighed], label: str) -> Figure | None:
    """A point a trial, a line along the front of each study; None without trials that differ in cost."""
    if not trials:
        return None
    with sheet("pareto", 285) as (canvas, ((axes,),)):
        for study in dict.fromkeys(trial.study for trial in trials):
            kept = sorted((t.parameters, t.score) for t in trials if t.study == study and t.front)
            axes.plot(*zip(*kept, strict=True), drawstyle="steps-post", **{**style.TRACE, "label": "fronts"})
        for trial in sorted(trials, key=lambda trial: trial.selected):
            look = style.SELECTED if trial.selected else style.TRIAL
            told = (
                f"{trial.study}, trial {trial.trial}: {number(trial.score)}, {trial.parameters:,} parameters"
            )
            name = "selected trials" if trial.selected else "other trials"
            axes.plot(trial.parameters, trial.score, gid=said(told), label=name, **look)
        axes.set_xscale("log")
        low, *_, high = sorted({trial.parameters for trial in trials})
        middle = round(math.sqrt(low * high))
        axes.set_xticks([low, middle, high], [f"{low:,}", f"{middle:,}", f"{high:,}"])
        axes.minorticks_off()
        axes.set_title(fit(label, 320, style.NOTE, lines=2), color=style.SOFT)
        axes.locator_params(axis="y", nbins=5)
        canvas.supxlabel("trained parameters")
        legend(canvas, 3)
        header = ("study", "trial", "parameters", "score", "selected", "front")
        cells = [(*trial[:4], int(trial.selected), int(trial.front)) for trial in trials]
        return finished(canvas, "Scores of trials against their number of parameters", header, cells)
