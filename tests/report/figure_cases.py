"""Random input of every figure: ordinary, extreme and hostile, with all the numbers and names in it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st

from nachos_jax.metrics.calibration import Reliability
from nachos_jax.metrics.curves import Curve
from nachos_jax.metrics.decisions import NetBenefit
from nachos_jax.report.figures import classification, learning, lessons, of_search, predictions, rows, search
from nachos_jax.report.figures.drawing import Figure
from tests.report import figure_examples as examples

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
UNIT = (0.0, 1.0)


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
    values = {str(i): draw(SCORES) for i in range(draw(st.integers(2, 20)))}
    mean = draw(SCORES)
    intervals = []
    for _ in range(draw(st.integers(0, 4))):
        low, high, estimate = (draw(SCORES) for _ in range(3))
        ends = (None, None) if None in (low, high) else (low, high)
        intervals.append(examples.interval(draw(NAMES), *ends, estimate, draw(NAMES)))
    metric = examples.metric(values, mean, *intervals, label=draw(NAMES))
    numbers = [*values.values(), mean, *(end for i in intervals for end in (i["low"], i["high"]))]
    names = [f"{i['label']}, 95 %, subjects" for i in intervals]
    return Case(lambda: rows.folds(metric, UNIT), numbers, names)


@st.composite
def forest(draw: st.DrawFn, labels: bool) -> Case:
    def row() -> rows.Row:
        whole = st.integers(0, 99_999)
        subjects = draw(st.one_of(st.none(), whole))
        value, low, high = (draw(SCORES) for _ in range(3))
        group, name, count = "" if labels else draw(NAMES), draw(NAMES), draw(whole)
        return rows.Row(group, name, count, subjects, value, low, high, draw(NAMES))

    groups = [row() for _ in range(draw(st.integers(0, 7)))]
    overall, metric = None if labels else row(), draw(NAMES)
    whole = [*groups, *([overall] if overall else [])]
    numbers = [n for g in whole for n in g[2:7]]
    names = [text for g in whole for text in (g.column, g.subgroup, g.reason)]
    name = "labels" if labels else "subgroups"
    return Case(lambda: rows.forest(name, groups, overall, metric, UNIT), numbers, names)


@st.composite
def ranking(draw: st.DrawFn, kind: Any) -> Case:
    classes = []
    for name in draw(st.lists(NAMES, max_size=8)):
        lines = []
        for _ in range(draw(st.integers(1, 3))):
            count = draw(st.integers(2, 6))
            x, y = (np.sort(draw(st.lists(REAL, min_size=count, max_size=count))) for _ in range(2))
            x[-1] = 1.0
            lines.append(Curve(kind, x, y if kind == "roc" else y[::-1]))
        classes.append(
            classification.Ranked(
                name, dict(enumerate(lines)), draw(st.sampled_from(["", "AUC 0.5"])), draw(SCORES)
            )
        )
    numbers = [float(v) for c in classes for line in c.lines.values() for v in (*line.x, *line.y)]
    return Case(lambda: classification.ranking(classes), numbers, [c.label for c in classes])


@st.composite
def calibration(draw: st.DrawFn) -> Case:
    bins = draw(st.integers(0, 8))
    columns = [np.array(draw(st.lists(REAL, min_size=bins, max_size=bins)), float) for _ in range(4)]
    predicted, observed, low, high = np.sort(columns, axis=1)
    low = np.where(low < draw(REAL), np.nan, low)
    unknown = np.full(bins, np.nan)
    ends = draw(st.sampled_from([(unknown, unknown), (low, high)]))
    curve = Reliability(np.arange(bins), predicted, observed, *ends)
    cases, label = np.array(draw(st.lists(REAL, max_size=40)), float), draw(NAMES)
    numbers = [float(v) for column in (predicted, observed, *ends) for v in column if not np.isnan(v)]
    return Case(lambda: classification.calibration(curve, cases, label, "Brier 0.1"), numbers, [])


@st.composite
def decision(draw: st.DrawFn) -> Case:
    count = draw(st.integers(0, 9))
    thresholds = np.array(sorted(draw(st.lists(st.floats(0, 0.99), min_size=count, max_size=count))))
    number = st.one_of(st.sampled_from([float("nan"), 0.0, -1e6, -float("inf")]), st.floats(-2, 1))
    lines = [np.array(draw(st.lists(number, min_size=count, max_size=count)), float) for _ in range(4)]
    unknown = np.full(count, np.nan)
    band = draw(st.sampled_from([(unknown, unknown), (lines[1], lines[2])]))
    found = NetBenefit(lines[0], *band, treat_all=lines[3])
    label = draw(NAMES)
    numbers = [float(v) for line in (thresholds, lines[0], lines[3]) for v in line]
    return Case(lambda: classification.decision(thresholds, found, label), numbers, [])


@st.composite
def confusion(draw: st.DrawFn) -> Case:
    names = draw(st.lists(NAMES, min_size=1, max_size=30))
    count = len(names)
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    mean = rng.dirichlet(np.ones(count) * 0.3, count)
    mean[draw(st.integers(0, count - 1))] = draw(st.sampled_from([np.nan, 0.0, 1.0]))
    se = np.where(rng.random((count, count)) < 0.2, np.nan, rng.random((count, count)) / 2)
    counts = rng.integers(0, draw(st.sampled_from([1, 100, 10**6])), (count, count), endpoint=True)
    numbers = [float(v) for part in (mean, se, counts) for v in part.ravel()]
    return Case(lambda: classification.confusion(names, mean, se, counts.astype(float)), numbers, names)


@st.composite
def fits(draw: st.DrawFn) -> Case:
    made = []
    for fold in range(draw(st.integers(1, 12))):
        chosen = draw(st.one_of(st.none(), st.just(float("nan")), st.integers(1, 2000)))
        for trial in range(draw(st.integers(1, 3))):
            losses = draw(st.lists(LOSSES, max_size=5))
            made.append(learning.Fit(fold, trial, None, losses, trial == 0 and fold > 0, chosen))
    numbers = [v for fit in made for v in fit.losses]
    return Case(lambda: learning.learning(made), numbers, [])


@st.composite
def curves(draw: st.DrawFn) -> Case:
    names = unique(draw(st.lists(NAMES, max_size=20)))
    lines = {name: draw(st.lists(LOSSES, max_size=4)) for name in names}
    numbers = [v for line in lines.values() for v in line]
    return Case(lambda: learning.curves(lines, "losses"), numbers, [n for n in names if lines[n]])


@st.composite
def trials(draw: st.DrawFn, figure: str) -> Case:
    names = unique(draw(st.lists(NAMES, max_size=5)))
    kinds = {name: draw(st.sampled_from(["linear", "log", "choice"])) for name in names}
    choices = {name: draw(st.lists(NAMES, min_size=1, max_size=6)) for name in names}

    def value(name: str) -> search.Value:
        if kinds[name] == "choice":
            return draw(st.one_of(st.none(), st.sampled_from(choices[name])))
        return draw(st.one_of(LOSSES, st.integers(-3, 512)))

    made = [
        search.Trial(i // 4, i % 4, {name: value(name) for name in names}, draw(LOSSES), i % 4 == 1)
        for i in range(draw(st.integers(0, 20)))
    ]
    shown = [trial for trial in made if trial.selected or figure != "agreement"]
    values = [v for trial in shown for v in trial.values.values() if figure != "strip"]
    numbers = [v for v in values if isinstance(v, int | float)]
    numbers += [trial.score for trial in shown if figure != "agreement"]
    texts, label = [v for v in values if isinstance(v, str)], draw(NAMES)
    if figure == "strip":
        return Case(lambda: search.strip(made, label), numbers, texts)
    if figure == "agreement":
        return Case(lambda: search.agreement(kinds, made), numbers, texts)
    return Case(lambda: search.parallel(kinds, made, label), numbers, texts)


@st.composite
def importance(draw: st.DrawFn) -> Case:
    values = {name: draw(LOSSES) for name in unique(draw(st.lists(NAMES, max_size=6)))}
    told = draw(st.sampled_from([examples.forest_of, examples.analysis_of]))(values)
    return Case(lambda: lessons.mattered(told), list(values.values()), list(values))


@st.composite
def ranks(draw: st.DrawFn) -> Case:
    count = draw(st.integers(1, 6))
    tau = st.one_of(st.sampled_from(ODD), st.floats(-1, 1))
    taus = draw(st.lists(st.lists(tau, min_size=count, max_size=count), max_size=50))
    told = examples.ranked_studies(
        taus, sorted(draw(st.sets(st.integers(1, 5000), min_size=count, max_size=count)))
    )
    return Case(lambda: lessons.ranks(told), [value for one in taus for value in one], [])


@st.composite
def best_so_far(draw: st.DrawFn) -> Case:
    bests = draw(st.lists(st.lists(LOSSES, min_size=1, max_size=5), max_size=50))
    groups, label = unique(draw(st.lists(NAMES, max_size=10))), draw(NAMES)
    told = examples.progress(bests, groups)
    names = groups if len(groups) > 1 and bests else []
    return Case(lambda: lessons.best_so_far(told, label), [v for one in bests for v in one], names)


@st.composite
def grouped(draw: st.DrawFn) -> Case:
    groups = draw(st.lists(NAMES, max_size=8))
    scores, label = [draw(LOSSES) for _ in groups], draw(NAMES)
    told = examples.run_scores(groups, scores)
    return Case(lambda: lessons.grouped(told, label), scores, groups)


@st.composite
def spent(draw: st.DrawFn) -> Case:
    told = examples.spent(draw(st.floats(0, 1e7)), draw(st.floats(0, 1e7)))
    whole = told["process_seconds"]
    return Case(lambda: of_search.time_spent(told), [told["train_seconds"]] if whole else [], [])


@st.composite
def regression(draw: st.DrawFn, figure: Callable) -> Case:
    count = draw(st.integers(0, 30))
    numbers = st.lists(st.one_of(st.floats(-1e6, 1e6), st.just(float("nan"))), min_size=count, max_size=count)
    truth, predicted = np.array(draw(numbers), float), np.array(draw(numbers), float)
    folds = np.array(draw(st.lists(st.integers(0, 12), min_size=count, max_size=count)), int)
    name = draw(NAMES)
    known = np.isfinite(truth) & np.isfinite(predicted)
    columns = (truth, predicted) if figure is predictions.scatter else (predicted - truth,)
    return Case(
        lambda: figure(truth, predicted, folds, name), [float(v) for c in columns for v in c[known]], []
    )


CASES: dict[str, st.SearchStrategy[Case]] = {
    "folds": folds(),
    "strip": trials("strip"),
    "forest": forest(labels=False),
    "labels": forest(labels=True),
    "roc": ranking("roc"),
    "precision_recall": ranking("precision_recall"),
    "calibration": calibration(),
    "decision": decision(),
    "confusion": confusion(),
    "learning": fits(),
    "curves": curves(),
    "parallel": trials("parallel"),
    "agreement": trials("agreement"),
    "importance": importance(),
    "ranks": ranks(),
    "best_so_far": best_so_far(),
    "grouped": grouped(),
    "spent": spent(),
    "scatter": regression(predictions.scatter),
    "bland_altman": regression(predictions.bland_altman),
}
