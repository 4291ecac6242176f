"""What an outer test recorded of its cases, as arrays by name."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from nachos_jax.records.schema import OuterTest


def of(test: OuterTest) -> Mapping[str, np.ndarray]:
    """Arrays [n, ...] by name, NaN where the record has nothing."""
    return {
        "labels": np.array(test.labels, np.int64),
        "probabilities": np.array(test.probabilities, np.float64),
    }


def test(
    outer_fold: int, fit: str, cases: tuple[str, ...], found: Mapping[str, np.ndarray], loss: tuple
) -> OuterTest:
    """A test of such arrays."""
    probabilities = tuple(map(tuple, found["probabilities"].tolist()))
    return OuterTest(outer_fold, fit, cases, tuple(found["labels"].tolist()), probabilities, loss)


def same(a: OuterTest, b: OuterTest) -> bool:
    """True when two tests tell the same."""
    mine, others = of(a), of(b)
    return (
        (a.fit, a.cases, a.training_loss) == (b.fit, b.cases, b.training_loss)
        and mine.keys() == others.keys()
        and all(np.array_equal(values, others[name], equal_nan=True) for name, values in mine.items())
    )
