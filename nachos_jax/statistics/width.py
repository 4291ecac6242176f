"""How narrow an interval can be at best, before anything is measured: a few subjects cannot tell much."""

from __future__ import annotations

import math

from scipy import special


def auc_width(positive: int, negative: int, auc: float, level: float = 0.95) -> float:
    """Width of a normal interval of an AUC by the variance of Hanley and McNeil (1982, equation 1).

    Var = (A (1 - A) + (n1 - 1)(A / (2 - A) - A^2) + (n0 - 1)(2 A^2 / (1 + A) - A^2)) / (n1 n0).

    Args:
        positive: n1, independent cases of the class.
        negative: n0, of the others.
        auc: A, the value that is hoped for.
        level: nominal coverage.
    """
    first, second = auc / (2 - auc) - auc**2, 2 * auc**2 / (1 + auc) - auc**2
    variance = (auc * (1 - auc) + (positive - 1) * first + (negative - 1) * second) / (positive * negative)
    return min(1.0, 2 * float(special.ndtri((1 + level) / 2)) * math.sqrt(variance))


def share_width(count: int, share: float, level: float = 0.95) -> float:
    """Width of Wilson's interval (1927) of a share of so many independent cases, such as a recall."""
    z = float(special.ndtri((1 + level) / 2))
    return 2 * z * math.sqrt(share * (1 - share) / count + z**2 / (4 * count**2)) / (1 + z**2 / count)
