"""Mean, standard deviation and standard error of a metric over outer folds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class FoldSummary:
    """A metric over outer folds."""

    mean: float | None  # mean of the defined values; None when there is none
    sd: float | None  # standard deviation (ddof 1); None with fewer than two values
    se: float | None  # standard error sd / sqrt(K); None with fewer than two values
    count: int  # number of defined values
    undefined: int  # number of values skipped because they are None


def summary(values: Sequence[float | None], folds: int | None = None) -> FoldSummary:
    """Summarises one value an outer fold.

    The standard error is descriptive (Calle et al., 2025): folds share training cases, so it is too
    small.

    Args:
        values: one value an outer fold; None where undefined.
        folds: K, the outer folds of one repeat, when the values come from several repeats: repeats
            test the same cases again, so only K of the values count as independent in the standard
            error. Default: all values do.
    """
    defined = np.array([value for value in values if value is not None], np.float64)
    count, undefined = len(defined), len(values) - len(defined)
    if count == 0:
        return FoldSummary(None, None, None, 0, undefined)
    mean = float(defined.mean())
    if count == 1:
        return FoldSummary(mean, None, None, 1, undefined)
    sd = float(defined.std(ddof=1))
    return FoldSummary(mean, sd, sd / math.sqrt(min(folds or count, count)), count, undefined)
