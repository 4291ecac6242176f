"""One ordinary example of every figure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np

from nachos_jax.metrics.calibration import Reliability
from nachos_jax.metrics.curves import Curve
from nachos_jax.metrics.decisions import NetBenefit
from nachos_jax.report.figures.classification import Ranked, calibration, confusion, decision, ranking
from nachos_jax.report.figures.drawing import Figure
from nachos_jax.report.figures.learning import Fit, curves, learning
from nachos_jax.report.figures.lessons import best_so_far, grouped, mattered, ranks
from nachos_jax.report.figures.of_search import time_spent
from nachos_jax.report.figures.predictions import bland_altman, scatter
from nachos_jax.report.figures.rows import Row, folds, forest
from nachos_jax.report.figures.search import Trial, agreement, parallel, strip

SHARES = np.linspace(0.0, 1.0, 11)
UNIT = (0.0, 1.0)
KINDS = {"learning_rate": "log", "optimizer": "choice"}
TRIALS = tuple(
    Trial(
        fold,
        trial,
        {"learning_rate": None if trial == 2 else 10.0**-trial, "optimizer": ("sgd", "adam")[trial % 2]},
        None if trial == 3 else 0.8 + trial / 100 + fold / 10,
        trial == fold,
    )
    for fold in range(3)
    for trial in range(4)
)
CONFUSION = np.array([[0.9, 0.1], [0.25, 0.75]])
TRUTH, NOISE = np.linspace(20, 80, 40), np.tile([-3.0, 5.0], 20)
FITS = tuple(
    Fit(fold, trial, inner, [1 / (epoch + trial) for epoch in range(1, 9)], trial == 1, 5.0)
    for fold in range(3)
    for trial in range(2)
    for inner in range(3)
    if inner != fold
)


def ranked(kind: Any, label: str = "nevus", lines: int = 3) -> Ranked:
    """Curves of a class; those of ROC rise, those of precision-recall fall."""
    heights = [SHARES**0.4, SHARES**0.6, SHARES**0.8]
    made = [Curve(kind, SHARES, h if kind == "roc" else 1 - h) for h in heights[:lines]]
    return Ranked(label, dict(enumerate(made)), "AUC 0.67", 0.3)


def interval(
    label: str, low: float | None, high: float | None, estimate: float | None, note: str = ""
) -> dict:
    """As it stands in summary.json."""
    row = {"label": label, "level": 0.95, "unit": "subjects", "estimate": estimate, "note": note}
    return {**row, "low": low, "high": high}


def metric(
    values: Mapping[str, float | None], mean: float | None, *intervals: dict, label: str = "accuracy"
) -> dict:
    """A metric of summary.json."""
    folds = {name: {"value": value} for name, value in values.items()}
    return {"label": label, "mean": mean, "folds": folds, "intervals": list(intervals)}


def mean_confusion(count: int) -> tuple[list[str], np.ndarray, np.ndarray, np.ndarray]:
    """The confusion matrix of many classes, most cases right."""
    mean = np.full((count, count), 0.2 / max(1, count - 1))
    np.fill_diagonal(mean, 0.8)
    return [f"class {i}" for i in range(count)], mean, mean / 10, np.round(mean * 1000)


def spent(train: float, compiling: float) -> dict[str, float]:
    seconds = {"train_seconds": train, "compile_seconds": compiling, "tuning_seconds": 0.0}
    return {**seconds, "process_seconds": train + compiling}


def forest_of(values: Mapping[str, float | None]) -> dict[str, Any]:
    """Importance of hyperparameters in a forest, as `mattering` tells it."""
    return {"method": "forest", "rows": {name: {"importance": value} for name, value in values.items()}}


def analysis_of(values: Mapping[str, float | None]) -> dict[str, Any]:
    """Effects of hyperparameters in an analysis of variance, as `mattering` tells it."""
    rows = {}
    for name, value in values.items():
        test = {"f": value, "df": 2, "residual_df": 9, "p": value, "p_bonferroni": value}
        rows[name] = {**test, "eta_squared": value, "note": "no spread" if value is None else ""}
    return {"method": "anova", "rows": rows}


def ranked_studies(taus: Sequence[Sequence[float | None]], epochs: Sequence[int]) -> dict[str, Any]:
    """As `rank_agreement` tells it."""
    told = [
        {"run": "", "study": f"fold {i}", "trials": 9, "tau": tau, "z": tau, "p": tau}
        for i, tau in enumerate(taus)
    ]
    return {"level": 0.8, "epochs": epochs, "studies": told, "mean": taus[0] if taus else []}


def progress(bests: Sequence[Sequence[float | None]], groups: Sequence[str] = ()) -> dict[str, Any]:
    """As `best_so_far` tells it; each study is of a run of its own."""
    studies = []
    for i, best in enumerate(bests):
        numbers = list(range(len(best)))
        epochs = [10 * n + 10 + i for n in numbers]
        told = {"trials": numbers, "epochs": epochs, "score": best, "best": best}
        studies.append({"run": f"run{i}", "study": "fold 0", **told})
    mean = {"epochs": studies[0]["epochs"], "best": bests[0]} if bests else {"epochs": [], "best": []}
    return {"studies": studies, "mean": mean, "groups": dict.fromkeys(groups, mean)}


def run_scores(groups: Sequence[str], scores: Sequence[float | None]) -> list[dict[str, Any]]:
    """Runs in groups, as `of_runs` tells them."""
    runs = enumerate(zip(groups, scores, strict=True))
    return [{"name": f"run{i}", "group": group, "inner": score, "outer": score} for i, (group, score) in runs]


def drawn(figure: Figure | None) -> Figure:
    assert figure is not None
    return figure


RELIABILITY = Reliability(np.arange(11), SHARES, SHARES**2, SHARES**2 - 0.1, SHARES**2 + 0.1)
THRESHOLDS = SHARES[:-1]
BENEFIT = NetBenefit(THRESHOLDS / 5, THRESHOLDS / 6, THRESHOLDS / 4, treat_all=-THRESHOLDS)
EXAMPLES: tuple[Callable[[], Figure | None], ...] = (
    lambda: folds(
        metric(
            {"0": 0.8, "1": 0.9, "2": None},
            0.85,
            interval("corrected t", 0.7, 0.95, 0.85),
            interval("BHT", None, None, None, "no loss"),
        ),
        UNIT,
    ),
    lambda: strip(TRIALS, "score"),
    lambda: forest(
        "subgroups",
        [
            Row("sex", "female", 20, 10, 0.8, 0.7, 0.9),
            Row("sex", "male", 30, 20, None, reason="one class"),
            Row("", "other", 3, None, 0.5),
        ],
        Row("", "all", 53, 33, 0.81, 0.75, 0.85),
        "accuracy",
        UNIT,
    ),
    lambda: ranking([ranked("roc")]),
    lambda: ranking([ranked("precision_recall"), ranked("precision_recall")]),
    lambda: calibration(RELIABILITY, SHARES, "nevus", "Brier 0.1"),
    lambda: decision(THRESHOLDS, BENEFIT, "nevus"),
    lambda: confusion(["benign", "malignant"], CONFUSION, CONFUSION / 10, CONFUSION * 100),
    lambda: learning(FITS),
    lambda: curves({f"fold {i}": (0.7, 0.5 + i / 100) for i in range(10)} | {"fold 10": (0.5,)}, "losses"),
    lambda: parallel(KINDS, TRIALS, "score"),
    lambda: agreement(KINDS, TRIALS),
    lambda: mattered(forest_of({"learning_rate": 0.7, "optimizer": 0.2, "depth": None})),
    lambda: ranks(ranked_studies([[0.2, 0.5, 1.0], [None, 0.9, 1.0]], [1, 2, 3])),
    lambda: best_so_far(progress([[0.6, 0.7, 0.9], [0.5, 0.5]]), "mean accuracy of the inner folds"),
    lambda: grouped(run_scores(["ax", "ax", "random", "random"], [0.8, 0.81, 0.7, 0.72]), "accuracy"),
    lambda: time_spent(spent(3600.0, 60.0)),
    lambda: scatter(TRUTH, TRUTH + NOISE, np.arange(40) % 4, "age"),
    lambda: bland_altman(TRUTH, TRUTH + NOISE, np.arange(40) % 4, "age"),
    lambda: forest("labels", [Row("", "nodule", 120, None, 0.8, 0.7, 0.9)], None, "AUC", UNIT),
)


@cache
def example(number: int) -> Figure:
    """The figure that an example draws; once in a process, for painting takes long."""
    return drawn(EXAMPLES[number]())
