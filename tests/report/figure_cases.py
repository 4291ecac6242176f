"""Random input of every figure: ordinary, extreme and hostile, with all the numbers and names in it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from nachos_jax.report.figures import agreement as figure_agreement
from nachos_jax.report.figures import bars as figure_bars
from nachos_jax.report.figures import folds as figure_folds
from nachos_jax.report.figures import learning as figure_learning
from nachos_jax.report.figures import search as figure_search
from nachos_jax.report.figures import subgroups as figure_subgroups
from nachos_jax.report.figures.classification import calibration as figure_calibration
from nachos_jax.report.figures.classification import confusion as figure_confusion
from nachos_jax.report.figures.classification import decision as figure_decision
from nachos_jax.report.figures.classification import ranking as figure_ranking
from nachos_jax.report.figures.drawing import Figure
from nachos_jax.report.figures.multilabel import labels as figure_labels
from nachos_jax.report.figures.regression import predictions as figure_regression

HOSTILE = '$\\frac$ %_</text><script>alert("1")</script>&amp;\'\x00\x1b]\u202e\ud800'
NAMES = st.one_of(
    st.sampled_from(
        [HOSTILE, "", "a", "very " * 30, "MRI scanner " * 5 + "7", "\u533b\u9662" * 20, "W" * 60]
    ),
    st.text(max_size=30),
)
ODD = (None, float("nan"), float("inf"), -float("inf"), 0.0, 1.0, 0.5, 1e-9, 0.9999999)
SCORES = st.one_of(st.sampled_from(ODD), st.floats(0, 1))
LOSSES = st.one_of(st.sampled_from((*ODD, 1e30, 1e300)), st.floats(0, 20), st.floats(-1e6, 1e6))
REAL = st.floats(0, 1)


@dataclass(frozen=True)
class Case:
    """What to draw, and which numbers and names must be in the table."""

    draw: Callable[[], Figure | None]
    numbers: Sequence[float | None]
    names: Sequence[str]


def unique(names: list[str]) -> list[str]:
    return list(dict.fromkeys(names))


@st.composite
def folds(draw: st.DrawFn) -> Case:
    count = draw(st.integers(2, 20))
    values = {f"fold {i}": draw(SCORES) for i in range(count)}
    mean = draw(SCORES)
    intervals = [
        figure_folds.Interval(draw(NAMES), draw(SCORES), draw(SCORES), draw(NAMES))
        for _ in range(draw(st.integers(0, 4)))
    ]
    metric = draw(NAMES)
    numbers = [*values.values(), mean, *(end for i in intervals for end in (i.low, i.high))]
    names = [i.label for i in intervals]
    return Case(lambda: figure_folds.folds(values, metric, mean, intervals, (0, 1)), numbers, names)


@st.composite
def strip(draw: st.DrawFn) -> Case:
    rows = {
        name: [figure_folds.Mark(v, name, i == 1) for i, v in enumerate(draw(st.lists(LOSSES, max_size=5)))]
        for name in unique(draw(st.lists(NAMES, min_size=1, max_size=6)))
    }
    label, mean = draw(NAMES), draw(SCORES)
    numbers = [mark.value for marks in rows.values() for mark in marks]
    return Case(lambda: figure_folds.strip(rows, label, label, mean), numbers, [])


@st.composite
def forest(draw: st.DrawFn) -> Case:
    def group() -> figure_subgroups.Subgroup:
        whole = st.integers(0, 99_999)
        subjects = draw(st.one_of(st.none(), whole))
        ends = [draw(SCORES) for _ in range(3)]
        return figure_subgroups.Subgroup(
            draw(NAMES), draw(whole), subjects, *ends, reason=draw(NAMES), column=draw(NAMES)
        )

    groups = [group() for _ in range(draw(st.integers(0, 7)))]
    overall, metric = group(), draw(NAMES)
    numbers = [n for g in (*groups, overall) for n in (g.value, g.low, g.high, g.cases, g.subjects)]
    names = [text for g in (*groups, overall) for text in (g.label, g.reason, g.column)]
    return Case(lambda: figure_subgroups.forest(groups, overall, metric, (0, 1)), numbers, names)


@st.composite
def ranking(draw: st.DrawFn, roc: bool) -> Case:
    def array(length: int) -> np.ndarray:
        values = draw(st.lists(SCORES, min_size=length, max_size=length))
        return np.array([np.nan if v is None else v for v in values], float)

    classes = []
    for name in draw(st.lists(NAMES, max_size=8)):
        lengths = draw(st.lists(st.integers(0, 6), max_size=3))
        lines = [(array(n), array(n)) for n in lengths]
        grid = draw(st.integers(0, 6))
        low, high = draw(st.sampled_from([(None, None), (array(grid), array(grid))]))
        mean = (array(grid), array(grid))
        curve = figure_ranking.RankingCurve(name, lines, *mean, low, high, draw(NAMES), draw(SCORES))
        classes.append(curve)
    shown = [c for c in classes if len(c.grid) or any(len(x) for x, _ in c.folds)]
    numbers = [float(v) for c in shown for pair in c.folds for line in pair for v in line]
    numbers += [float(v) for c in shown for line in (c.grid, c.mean) for v in line]
    figure = figure_ranking.roc if roc else figure_ranking.precision_recall
    return Case(lambda: figure(classes), numbers, [c.label for c in shown])


@st.composite
def calibration(draw: st.DrawFn) -> Case:
    bins = draw(st.integers(0, 8))
    odd = st.one_of(st.just(float("nan")), st.sampled_from([0.0, 1.0]), REAL)
    predicted, observed, low, high = [
        np.array(draw(st.lists(odd, min_size=bins, max_size=bins))) for _ in range(4)
    ]
    counts = draw(st.one_of(st.none(), st.just(np.arange(bins))))
    histogram = np.array(draw(st.lists(st.integers(0, 10**7), min_size=1, max_size=50)))
    edges = np.linspace(0, 1, len(histogram) + 1)
    curve = figure_calibration.Reliability(
        predicted, observed, low, high, counts, edges, histogram, draw(NAMES)
    )
    label = draw(NAMES)
    numbers = [float(v) for column in (predicted, observed, low, high, histogram) for v in column]
    return Case(lambda: figure_calibration.calibration(curve, label), numbers, [])


@st.composite
def decision(draw: st.DrawFn) -> Case:
    count = draw(st.integers(0, 9))
    thresholds = np.array(sorted(draw(st.lists(st.floats(0, 0.99), min_size=count, max_size=count))))
    number = st.one_of(st.sampled_from([float("nan"), 0.0, -1e6, -float("inf")]), st.floats(-2, 1))
    lines = [np.array(draw(st.lists(number, min_size=count, max_size=count))) for _ in range(4)]
    low, high = draw(st.sampled_from([(None, None), (lines[1], lines[2])]))
    curve = figure_decision.DecisionCurve(thresholds, lines[0], low, high, lines[3])
    label = draw(NAMES)
    numbers = [float(v) for line in (thresholds, lines[0], lines[3]) for v in line]
    return Case(lambda: figure_decision.decision(curve, label), numbers, [])


@st.composite
def confusion(draw: st.DrawFn) -> Case:
    names = draw(st.lists(NAMES, min_size=1, max_size=30))
    count = len(names)
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    mean = rng.dirichlet(np.ones(count) * 0.3, count)
    mean[draw(st.integers(0, count - 1))] = draw(st.sampled_from([np.nan, 0.0, 1.0]))
    se = np.where(rng.random((count, count)) < 0.2, np.nan, rng.random((count, count)))
    counts = rng.integers(0, draw(st.sampled_from([1, 100, 10**7])), (count, count), endpoint=True)
    matrix = figure_confusion.MeanConfusion(names, mean, se, counts)
    numbers = [float(v) for part in (mean, se, counts) for v in part.ravel()]
    return Case(lambda: figure_confusion.confusion(matrix), numbers, names)


@st.composite
def learning(draw: st.DrawFn) -> Case:
    folds = draw(st.integers(1, 12))
    fits = [
        figure_learning.FitCurve(fold, trial, None, draw(st.lists(LOSSES, max_size=5)))
        for fold in range(folds)
        for trial in range(draw(st.integers(1, 3)))
    ]
    selected: dict[int | None, int] = {fold: 0 for fold in range(folds) if draw(st.booleans())}
    chosen: dict[int | None, float | None] = {
        fold: draw(st.one_of(SCORES, st.integers(1, 2000))) for fold in selected
    }
    numbers = [v for fit in fits for v in fit.losses]
    return Case(lambda: figure_learning.learning(fits, selected, chosen, "loss"), numbers, [])


@st.composite
def curves(draw: st.DrawFn) -> Case:
    names = unique(draw(st.lists(NAMES, max_size=20)))
    lines = {name: draw(st.lists(LOSSES, max_size=4)) for name in names}
    numbers = [v for line in lines.values() for v in line]
    return Case(lambda: figure_learning.curves(lines, "losses"), numbers, [n for n in names if lines[n]])


@st.composite
def searched(draw: st.DrawFn, agree: bool) -> Case:
    axes = []
    for name in unique(draw(st.lists(NAMES, max_size=5))):
        kind = draw(st.sampled_from(["linear", "log", "choice"]))
        choices = tuple(unique(draw(st.lists(NAMES, min_size=1, max_size=6)))) if kind == "choice" else ()
        axes.append(figure_search.SearchAxis(name, kind, choices))

    def value(one: figure_search.SearchAxis) -> figure_search.Value:
        if one.kind == "choice":
            return draw(st.one_of(st.none(), st.sampled_from(one.choices)))
        return draw(st.one_of(LOSSES, st.integers(-3, 512)))

    count = draw(st.integers(0, 20))
    values = [{one.name: value(one) for one in axes} for _ in range(count)]
    numbers = [v for row in values for v in row.values() if isinstance(v, int | float)]
    names = [v for row in values for v in row.values() if isinstance(v, str)]
    if agree:
        chosen = {f"fold {i}": row for i, row in enumerate(values)}
        return Case(lambda: figure_agreement.agreement(axes, chosen), numbers, names)
    scores = [draw(LOSSES) for _ in values]
    trials = [
        figure_search.TrialLine(i // 4, i % 4, row, score, i % 4 == 1)
        for i, (row, score) in enumerate(zip(values, scores, strict=True))
    ]
    label = draw(NAMES)
    return Case(lambda: figure_search.parallel(axes, trials, label), [*numbers, *scores], names)


@st.composite
def bars(draw: st.DrawFn, time: bool) -> Case:
    values = {name: draw(LOSSES) for name in unique(draw(st.lists(NAMES, max_size=6)))}
    figure = figure_bars.spent if time else figure_bars.importance
    return Case(lambda: figure(values), list(values.values()), list(values))


@st.composite
def regression(draw: st.DrawFn, figure: Callable) -> Case:
    count = draw(st.integers(0, 30))
    numbers = st.lists(st.one_of(st.floats(-1e6, 1e6), st.just(float("nan"))), min_size=count, max_size=count)
    truth, predicted = np.array(draw(numbers), float), np.array(draw(numbers), float)
    folds = np.array(draw(st.lists(st.integers(0, 12), min_size=count, max_size=count)), int)
    name, unit = draw(NAMES), draw(NAMES)
    known = np.isfinite(truth) & np.isfinite(predicted)
    columns = (truth, predicted) if figure is figure_regression.scatter else (predicted - truth,)
    return Case(
        lambda: figure(truth, predicted, folds, name, unit), [float(v) for c in columns for v in c[known]], []
    )


@st.composite
def labels(draw: st.DrawFn) -> Case:
    names = draw(st.lists(NAMES, max_size=6))
    values, lows, highs = ([draw(SCORES) for _ in names] for _ in range(3))
    counts = [draw(st.integers(0, 99_999)) for _ in names]
    numbers = [*values, *lows, *highs, *counts]
    return Case(lambda: figure_labels.labels(names, values, lows, highs, counts), numbers, names)


CASES: dict[str, st.SearchStrategy[Case]] = {
    "folds": folds(),
    "strip": strip(),
    "forest": forest(),
    "roc": ranking(roc=True),
    "precision_recall": ranking(roc=False),
    "calibration": calibration(),
    "decision": decision(),
    "confusion": confusion(),
    "learning": learning(),
    "curves": curves(),
    "parallel": searched(agree=False),
    "agreement": searched(agree=True),
    "importance": bars(time=False),
    "spent": bars(time=True),
    "scatter": regression(figure_regression.scatter),
    "bland_altman": regression(figure_regression.bland_altman),
    "labels": labels(),
}
