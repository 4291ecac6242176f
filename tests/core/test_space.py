"""Search spaces: texts read back as written, values within bounds, refusals with words."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from nachos_jax.core import space
from nachos_jax.core.errors import UsageError
from nachos_jax.core.hparams import Hyperparameter
from nachos_jax.core.space import Dimension

REAL = Hyperparameter("rate", "float", -1e6, 1e6)
WHOLE = Hyperparameter("width", "integer", -(10**6), 10**6)
NAMED = Hyperparameter("kind", "choice", choices=("a", "b, c", "it's"))
FLAG = Hyperparameter("flag", "boolean")

QUANTILES = st.floats(0, 1, exclude_max=True)


def ordered(numbers, **bounds):
    pairs = st.tuples(numbers(**bounds), numbers(**bounds))
    return pairs.filter(lambda pair: pair[0] < pair[1])


@st.composite
def texts(draw):
    """A row of the table, the text of a space for it, and the dimension it should be read as."""
    form = draw(st.sampled_from(space.FORMS))
    if form == "choice":
        row = draw(st.sampled_from([NAMED, FLAG, REAL, WHOLE]))
        values = {
            "choice": st.sampled_from(NAMED.choices),
            "boolean": st.booleans(),
            "float": st.floats(-1e6, 1e6),
            "integer": st.integers(-(10**6), 10**6),
        }[row.kind]
        chosen = tuple(draw(st.lists(values, min_size=1, max_size=4, unique=True)))
        return row, space.choice(*chosen), Dimension(row.name, "choice", values=chosen)
    whole, positive = "integer" in form, form.startswith("log")
    if whole:
        low, high = draw(ordered(st.integers, min_value=1 if positive else -(10**6), max_value=10**6))
    else:
        low, high = draw(ordered(st.floats, min_value=1e-12 if positive else -1e6, max_value=1e6))
    row = WHOLE if whole else REAL
    return row, getattr(space, form)(low, high), Dimension(row.name, form, float(low), float(high))


@given(texts())
def test_a_text_is_read_as_what_it_was_written_from(case):
    row, text, dimension = case
    assert space.parse(text, row, "space") == dimension


@given(texts(), QUANTILES)
def test_every_value_lies_within_and_is_allowed(case, u):
    row, text, _ = case
    dimension = space.parse(text, row, "space")
    value = dimension.at(u)
    assert row.check(value, "value") == value
    assert type(value) is type(row.check(value, "value"))
    if dimension.kind == "choice":
        assert value in dimension.values
    else:
        assert dimension.low <= value <= dimension.high


@given(texts(), QUANTILES, QUANTILES)
def test_a_higher_quantile_never_gives_a_lower_value(case, u, v):
    row, text, _ = case
    dimension = space.parse(text, row, "space")
    low, high = dimension.at(min(u, v)), dimension.at(max(u, v))
    if dimension.kind == "choice":
        assert dimension.values.index(low) <= dimension.values.index(high)
    else:
        assert low <= high  # pyrefly: ignore[unsupported-operation]


@given(texts(), QUANTILES)
def test_a_cell_is_where_a_dimension_gives_its_value(case, u):
    row, text, _ = case
    dimension = space.parse(text, row, "space")
    value = dimension.at(u)
    low, high = dimension.cell(value)
    assert dimension.holds(value)
    assert -1e-9 <= low <= high <= 1 + 1e-9
    if dimension.kind in ("uniform", "log"):
        assert low == high
        spread = dimension.high - dimension.low
        assert dimension.at(low) == pytest.approx(value, rel=1e-6, abs=1e-6 * spread)
    else:
        assert low - 1e-6 <= u <= high + 1e-6
        assert dimension.at((low + high) / 2) == value


def test_what_a_dimension_holds():
    width = Dimension("width", "integer", 4, 9)
    assert [width.holds(value) for value in (3, 4, 9, 10, "4")] == [False, True, True, False, False]
    assert Dimension("optimizer", "choice", values=("sgd",)).holds("sgd")
    assert not Dimension("optimizer", "choice", values=("sgd",)).holds("adam")


@pytest.mark.parametrize(
    ("text", "row"),
    [
        ("integer(-3, 3)", WHOLE),
        ("integer(4, 9)", WHOLE),
        ("choice('a', 'b, c', 'it\\'s')", NAMED),
    ],
)
def test_whole_numbers_and_choices_are_equally_likely(text, row):
    dimension = space.parse(text, row, "space")
    values = [dimension.at(u) for u in (np.arange(8400) + 0.5) / 8400]
    counts = [values.count(value) for value in dict.fromkeys(values)]
    assert len(set(counts)) == 1
    assert sum(counts) == 8400


def test_logarithms_are_uniform():
    rates = [space.parse("log(1e-4, 10.0)", REAL, "space").at(u) for u in (np.arange(2000) + 0.5) / 2000]
    assert stats.kstest(np.log10(rates), stats.uniform(-4, 5).cdf).statistic < 1e-3
    dimension = space.parse("log_integer(4, 256)", WHOLE, "space")
    widths = [float(dimension.at(u)) for u in (np.arange(6000) + 0.5) / 6000]
    octaves = [sum(low <= width < 2 * low for width in widths) for low in (8, 16, 32, 64, 128)]
    assert max(octaves) < 1.1 * min(octaves)
    assert (min(widths), max(widths)) == (4, 256)


def test_the_ends_of_a_logarithmic_range_survive_rounding():
    # exp(log(1e-8)) is less than 1e-8, which the hyperparameter itself does not allow.
    assert math.exp(math.log(1e-8)) < 1e-8
    assert Dimension("rate", "log", 1e-8, 100.0).at(0.0) == 1e-8


@pytest.mark.parametrize(
    ("text", "row", "message"),
    [
        ("0.1", REAL, "no search space; write uniform"),
        ("log(1e-3, 1e-1", REAL, "no search space"),
        ("log(low=1, high=2)", REAL, "no search space"),
        ("log(one, two)", REAL, "no search space"),
        ("__import__('os').getcwd()", REAL, "no search space"),
        ("normal(0, 1)", REAL, "no search space"),
        ("log(1e-3)", REAL, r"log\(low, high\) takes two numbers"),
        ("uniform(1, 1)", REAL, "low must be less than high"),
        ("uniform(2, 1)", REAL, "low must be less than high"),
        ("log(0.0, 1)", REAL, "starts above 0"),
        ("log_integer(0, 8)", WHOLE, "starts above 0"),
        ("uniform(0, 1e7)", REAL, "space = 10000000.0: must be a number from -1e"),
        ("uniform('a', 'b')", REAL, "must be a number"),
        ("uniform(True, 2)", REAL, "must be a number"),
        ("uniform(0, 1e999)", Hyperparameter("rate", "float"), "both bounds must be finite"),
        ("integer(1, 2.5)", WHOLE, "must be a whole number"),
        ("uniform(1, 8)", WHOLE, "width is whole; use integer or log_integer"),
        ("integer(1, 8)", REAL, "rate is real; use uniform or log"),
        ("uniform(0, 1)", NAMED, r"kind has no order; use choice\(...\)"),
        ("integer(0, 1)", FLAG, "flag has no order"),
        ("choice()", NAMED, "at least one value"),
        ("choice('a', 'a')", NAMED, "a value stands twice"),
        ("choice(1, 1.0)", REAL, "a value stands twice"),
        ("choice('a', 'd')", NAMED, "'d': must be one of 'a'"),
        ("choice(0, 1)", FLAG, "must be True or False"),
        ("choice(['a'])", NAMED, "must be one of"),
    ],
)
def test_a_text_that_is_no_space_for_the_row_is_refused(text, row, message):
    with pytest.raises(UsageError, match=message) as refusal:
        space.parse(text, row, "space")
    assert "space = " in str(refusal.value)


def test_a_number_in_place_of_a_text_is_refused():
    with pytest.raises(UsageError, match="no search space"):
        space.parse(0.1, REAL, "space")  # pyrefly: ignore[bad-argument-type]
