"""One ordinary example of every figure."""

from __future__ import annotations

import numpy as np

from nachos_jax.report.figures.agreement import agreement
from nachos_jax.report.figures.bars import importance, spent
from nachos_jax.report.figures.classification.calibration import Reliability, calibration
from nachos_jax.report.figures.classification.confusion import MeanConfusion, confusion
from nachos_jax.report.figures.classification.decision import DecisionCurve, decision
from nachos_jax.report.figures.classification.ranking import RankingCurve, precision_recall, roc
from nachos_jax.report.figures.drawing import Figure
from nachos_jax.report.figures.folds import Interval, Mark, folds, strip
from nachos_jax.report.figures.learning import FitCurve, curves, learning
from nachos_jax.report.figures.multilabel.labels import labels
from nachos_jax.report.figures.regression.predictions import bland_altman, scatter
from nachos_jax.report.figures.search import SearchAxis, TrialLine, parallel
from nachos_jax.report.figures.subgroups import Subgroup, forest

SHARES = np.linspace(0.0, 1.0, 11)
CURVE = RankingCurve(
    "nevus", [(SHARES, SHARES**0.4), (SHARES, SHARES**0.6)], SHARES, SHARES**0.5, SHARES**0.6, SHARES**0.4,
    "AUC 0.67 [0.62, 0.71]", 0.3,
)  # fmt: skip
AXES = (SearchAxis("learning_rate", "log"), SearchAxis("optimizer", "choice", ("sgd", "adam")))
TRIALS = tuple(
    TrialLine(
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
    FitCurve(fold, trial, inner, [1 / (epoch + trial) for epoch in range(1, 9)])
    for fold in range(3)
    for trial in range(2)
    for inner in range(3)
    if inner != fold
)


def mean_confusion(count: int) -> MeanConfusion:
    """The confusion matrix of many classes, most cases right."""
    mean = np.full((count, count), 0.2 / max(1, count - 1))
    np.fill_diagonal(mean, 0.8)
    return MeanConfusion([f"class {i}" for i in range(count)], mean, mean / 10, np.round(mean * 1000))


def drawn(figure: Figure | None) -> Figure:
    assert figure is not None
    return figure


EXAMPLES: tuple[Figure, ...] = tuple(
    map(
        drawn,
        [
            folds(
                {"fold 0": 0.8, "fold 1": 0.9, "fold 2": None},
                "accuracy",
                0.85,
                [Interval("corrected t", 0.7, 0.95), Interval("BHT", None, None, "no loss")],
            ),
            strip({"fold 0": [Mark(0.5, "a", True), Mark(None, "b"), Mark(0.6, "c")]}, "score", "scores"),
            forest(
                [
                    Subgroup("female", 20, 10, 0.8, 0.7, 0.9, column="sex"),
                    Subgroup("male", 30, 20, None, reason="one class", column="sex"),
                    Subgroup("other", 3, None, 0.5),
                ],
                Subgroup("all", 53, 33, 0.81, 0.75, 0.85),
                "accuracy",
            ),
            roc([CURVE]),
            precision_recall([CURVE, CURVE]),
            calibration(
                Reliability(SHARES, SHARES, SHARES - 0.1, SHARES + 0.1, np.arange(11), SHARES, np.arange(10))
            ),
            decision(
                DecisionCurve(SHARES[:-1], SHARES[:-1] / 5, SHARES[:-1] / 6, SHARES[:-1] / 4, -SHARES[:-1])
            ),
            confusion(MeanConfusion(["benign", "malignant"], CONFUSION, CONFUSION / 10, CONFUSION * 100)),
            confusion(mean_confusion(20)),
            learning(FITS, {0: 1, 1: 0}, {0: 5.0, 1: 4.0}),
            curves({f"fold {i}": (0.7, 0.5 + i / 100) for i in range(10)} | {"fold 10": (0.5,)}, "losses"),
            parallel(AXES, TRIALS, "score"),
            agreement(AXES, {f"fold {t.outer_fold}": t.values for t in TRIALS if t.selected}),
            importance({"learning_rate": 0.7, "optimizer": 0.2, "depth": None}),
            spent({"training": 3600.0, "compiling": 60.0}),
            scatter(TRUTH, TRUTH + NOISE, np.arange(40) % 4, "age", "years"),
            bland_altman(TRUTH, TRUTH + NOISE, np.arange(40) % 4, "age", "years"),
            labels(["nodule", "effusion"], [0.8, None], [0.7, None], [0.9, None], [120, 3]),
        ],
    )
)
