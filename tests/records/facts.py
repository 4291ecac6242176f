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


@st.composite
def _outcomes(draw: st.DrawFn) -> Outcome:
    """Trials 0 to n - 1, each with its score and fits, and one of them selected."""
    count, study = draw(st.integers(1, 3)), draw(STUDIES)

    def each(of: st.SearchStrategy) -> tuple:
        return tuple(draw(of) for _ in range(count))

    trials = tuple(Trial(study, n, draw(HPARAMS), draw(NAMES)) for n in range(count))
    scores, fits = each(SCORES), each(tuples(IDS, max_size=3))
    selected, epochs = draw(st.integers(0, count - 1)), draw(st.integers(1, 999))
    return Outcome(study, draw(NAMES), draw(NAMES), trials, scores, fits, selected, epochs)


@st.composite
def _tests(draw: st.DrawFn) -> OuterTest:
    """Of n cases, with arrays of n rows."""
    cases = draw(st.lists(NAMES, max_size=4))

    def rows(dims: int) -> st.SearchStrategy[tuple[int, ...]]:
        shape = hnp.array_shapes(min_dims=0, max_dims=dims, max_side=4)
        return shape.map(lambda further: (len(cases), *further))

    numbers = st.one_of(st.just(float("nan")), st.floats(allow_nan=False, allow_infinity=False))
    array = st.one_of(
        hnp.arrays(np.int64, rows(0), elements=st.integers(0, 9)),
        hnp.arrays(np.float64, rows(1), elements=numbers),
    )
    names = st.sampled_from(["targets", "predictions", "labels", "probabilities"])
    arrays = draw(st.dictionaries(names, array, max_size=3)) if cases else {}
    values = draw(st.dictionaries(NAMES, MAYBE, max_size=3))
    return OuterTest(draw(FOLDS), draw(IDS), tuple(cases), arrays, draw(tuples(MAYBE)), values)


OUTCOMES, TESTS = _outcomes(), _tests()


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
