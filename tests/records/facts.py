"""Strategies that draw any record a run can commit."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from nachos_jax.core.types import Trial, TrialScore
from nachos_jax.records.schema import Curve, FitRecord, Outcome, OuterTest

NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
MAYBE = st.one_of(st.none(), NUMBERS)
NAMES = st.text(min_size=1, max_size=8)
FOLDS = st.integers(0, 40)
STUDIES = st.one_of(st.none(), FOLDS)
HPARAMS = st.dictionaries(NAMES, st.one_of(NUMBERS, st.integers(), st.booleans(), NAMES), max_size=4)
IDS = st.text("0123456789abcdef", min_size=16, max_size=16)


def tuples(of: st.SearchStrategy, max_size: int = 5) -> st.SearchStrategy[tuple]:
    return st.lists(of, max_size=max_size).map(tuple)


CURVES = st.builds(Curve, tuples(MAYBE), tuples(MAYBE), st.sampled_from(["patience", "limit", "nan"]))
FITS = st.builds(
    FitRecord,
    fit=IDS,
    left_out=tuples(FOLDS, max_size=2),
    hparams=HPARAMS,
    limit=st.integers(1, 999),
    status=st.sampled_from(["done", "diverged"]),
    epochs=st.integers(1, 999),
    parameters=st.integers(0, 10**9),
    training_loss=tuples(MAYBE),
    curves=st.dictionaries(FOLDS, CURVES, max_size=2),
)
TRIALS = st.builds(Trial, STUDIES, st.integers(0, 9999), HPARAMS, NAMES)
SCORES = st.builds(
    TrialScore,
    MAYBE,
    MAYBE,
    st.one_of(st.none(), st.integers(1, 99)),
    st.integers(0, 10**9),
    st.sampled_from(["done", "failed"]),
    st.dictionaries(FOLDS, MAYBE, max_size=4),
)
OUTCOMES = st.builds(
    Outcome,
    study=STUDIES,
    metric=NAMES,
    rule=NAMES,
    trials=tuples(TRIALS, max_size=3),
    scores=tuples(SCORES, max_size=3),
    fits=tuples(tuples(IDS, max_size=3), max_size=3),
    selected=st.integers(0, 99),
    epochs=st.integers(1, 999),
)
ARRAYS = st.dictionaries(
    st.sampled_from(["targets", "predictions", "labels", "probabilities"]),
    st.one_of(
        hnp.arrays(np.int64, hnp.array_shapes(max_dims=1, max_side=4), elements=st.integers(0, 9)),
        hnp.arrays(
            np.float64,
            hnp.array_shapes(max_dims=2, max_side=4),
            elements=st.one_of(st.just(float("nan")), st.floats(allow_nan=False, allow_infinity=False)),
        ),
    ),
    max_size=3,
)
TESTS = st.builds(
    OuterTest,
    outer_fold=FOLDS,
    fit=IDS,
    cases=tuples(NAMES),
    arrays=ARRAYS,
    training_loss=tuples(MAYBE),
    values=st.dictionaries(NAMES, MAYBE, max_size=3),
)


def same(first: OuterTest, second: OuterTest) -> bool:
    """Whether two tests are equal, NaN being equal to NaN, with arrays of equal types."""
    plain = ("outer_fold", "fit", "cases", "training_loss", "values")
    return (
        all(getattr(first, name) == getattr(second, name) for name in plain)
        and first.arrays.keys() == second.arrays.keys()
        and all(
            a.dtype == b.dtype and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
            for a, b in ((first.arrays[name], second.arrays[name]) for name in first.arrays)
        )
    )
