"""The estimate of runs over parts of a cohort against subjects, and the law that is drawn on beyond them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from nachos_jax.report.figures import style
from nachos_jax.report.figures.drawing import Figure, finished, fit, legend, said, sheet
from nachos_jax.report.numbers.learning_curve import Law
from nachos_jax.report.words.format import decimals, number


def learning_curve(found: Mapping[str, Any]) -> Figure:
    """A point with its interval a run; the law as a line, dashed where no run reaches."""
    points, ahead = found["points"], found["ahead"]
    with sheet("learning_curve", 285) as (canvas, ((axes,),)):
        most = max(point["subjects"] for point in points)
        if found["law"]:
            law = Law(**found["law"])
            inside = np.geomspace(min(point["subjects"] for point in points), most, 60)
            beyond = np.geomspace(most, ahead["subjects"], 30)
            axes.plot(inside, law.at(inside), **{**style.STRONG, "label": "fitted law"})
            axes.plot(beyond, law.at(beyond), **{**style.REFERENCE, "label": "extrapolated"})
            axes.plot([ahead["subjects"]] * 2, [ahead["low"], ahead["high"]], **style.REFERENCE)
        for point in points:
            if point["low"] is not None:
                axes.plot(
                    [point["subjects"]] * 2,
                    [point["low"], point["high"]],
                    **{**style.INTERVAL, "marker": "_"},
                )
            value = number(point["value"], decimals(found))
            words = f"{point['run']}: {value} with {point['subjects']:,.0f} subjects"
            axes.plot(point["subjects"], point["value"], gid=said(words), label="runs", **style.SELECTED)
        axes.set_xscale("log")
        ticks = sorted({point["subjects"] for point in points} | ({ahead["subjects"]} if ahead else set()))
        axes.set_xticks(ticks, [f"{tick:,.0f}" for tick in ticks])
        axes.minorticks_off()
        axes.set_title(fit(found["label"], 320, style.NOTE), color=style.SOFT)
        axes.locator_params(axis="y", nbins=5)
        canvas.supxlabel("subjects trained on")
        legend(canvas, 3)
        header = ("run", "subjects", "value", "low", "high")
        rows = [tuple(point[key] for key in header) for point in points]
        if ahead:
            rows.append(("extrapolated", *(ahead[key] for key in header[1:])))
        return finished(canvas, f"{found['label']} against the subjects trained on", header, rows)
