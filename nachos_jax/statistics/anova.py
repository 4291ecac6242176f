"""Analysis of variance of a design in blocks: which factors move the values?"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import f as fisher

ROUNDING = 1e-20
"""Share of the values' sum of squares below which what is left of it is rounding."""


@dataclass(frozen=True)
class FactorTest:
    """The test of one factor; all numbers are None where it is undefined."""

    f: float | None  # the statistic
    df: int  # its degrees of freedom
    residual_df: int  # those of the residual
    p: float | None  # p-value of "the levels do not differ"
    p_bonferroni: float | None  # times the number of factors that could be tested, at most 1
    eta_squared: float | None  # partial: variance of the factor over that and the residual
    note: str = ""  # the reason where undefined, else ""


def main_effects(
    values: Sequence[float], factors: Mapping[str, Sequence[Hashable]], blocks: Sequence[Hashable]
) -> dict[str, FactorTest]:
    """F tests of the factors' main effects, without interactions (Fisher, 1925).

    What a factor explains is the residual that the model without it has more than the whole model, so a
    design need not be balanced (type II). The values of a block share a level of their own.

    Args:
        values: N numbers.
        factors: N levels of each factor, by its name.
        blocks: the block of each of the N values.
    """
    y = np.asarray(values, np.float64)
    coded = {name: _one_hot(levels) for name, levels in factors.items()}
    inside = _one_hot(blocks)
    residual, rank = _fitted(y, [inside, *coded.values()])
    left, rounding = len(y) - rank, ROUNDING * float(np.sum(y**2))
    found: dict[str, FactorTest] = {}
    for name in factors:
        others = [columns for other, columns in coded.items() if other != name]
        without, smaller = _fitted(y, [inside, *others])
        df, why = rank - smaller, ""
        if not df:
            why = "its levels cannot be told from those of others"
        elif not left or residual <= rounding:
            why = "no spread is left to test against"
        explained = max(0.0, without - residual)
        test = FactorTest(None, df, left, None, None, None, why)
        found[name] = test if why else _tested(explained, df, residual, left)
    return _corrected(found)


def _tested(explained: float, df: int, residual: float, left: int) -> FactorTest:
    f = (explained / df) / (residual / left)
    return FactorTest(f, df, left, float(fisher.sf(f, df, left)), None, explained / (explained + residual))


def _corrected(found: Mapping[str, FactorTest]) -> dict[str, FactorTest]:
    count = sum(test.p is not None for test in found.values())
    return {
        name: test if test.p is None else replace(test, p_bonferroni=min(1.0, count * test.p))
        for name, test in found.items()
    }


def _one_hot(levels: Sequence[Hashable]) -> np.ndarray:
    """[N, levels] of 0 and 1."""
    places = {level: place for place, level in enumerate(dict.fromkeys(levels))}
    return np.eye(len(places))[[places[level] for level in levels]]


def _fitted(y: np.ndarray, columns: Sequence[np.ndarray]) -> tuple[float, int]:
    """Residual sum of squares and rank of the least squares fit."""
    matrix = np.concatenate(columns, axis=1)
    solution, _, rank, _ = np.linalg.lstsq(matrix, y, rcond=None)
    return float(np.sum((y - matrix @ solution) ** 2)), int(rank)
