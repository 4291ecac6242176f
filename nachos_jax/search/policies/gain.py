"""What trials may still gain on the leader: expected improvement of a mean over a finite number of folds."""

from __future__ import annotations

import numpy as np
from scipy import special

WEIGHT = 4.0
"""Of all trials' variance beside the trial's own, in degrees of freedom."""


def expected_gain(leads: np.ndarray, variance: np.ndarray, freedom: np.ndarray, folds: int) -> np.ndarray:
    """How much each rival is expected to end above the leader, counting 0 where it ends below.

    Of `folds` inner folds m are known, and all that counts is the mean over all of them. So the variance of a
    lead's mean is s^2/m (1 - m/M) (Cochran 1977, eq. 2.12): with all folds known nothing is left to gain.
    The gain is the expected improvement of a t distribution (Jones et al. 1998; Williams, Santner and Notz
    2000).

    Args:
        leads: what the leader's score is above the rival's, of shape (rivals, folds); NaN where one is not
        known. variance: of one fold's lead, of shape (rivals,). freedom: degrees of freedom of the
        variances, more than 1, of shape (rivals,). folds: M.

    Returns:
        Expected gains in units of the score, of shape (rivals,).
    """
    seen = np.isfinite(leads).sum(1)
    mean = np.nansum(leads, 1) / seen
    error = np.sqrt(variance / seen * (1 - seen / folds))
    certain = np.maximum(-mean, 0.0)
    z = np.divide(-mean, error, out=np.zeros_like(mean), where=error > 0)
    density = np.exp(
        special.gammaln((freedom + 1) / 2)
        - special.gammaln(freedom / 2)
        - (freedom + 1) / 2 * np.log1p(z**2 / freedom)
    ) / np.sqrt(freedom * np.pi)
    gain = error * ((freedom + z**2) / (freedom - 1) * density + z * special.stdtr(freedom, z))
    return np.where(error > 0, np.maximum(gain, 0.0), certain)


def squares(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sums of squares around the mean of each row, and their degrees of freedom; NaN counts as not there."""
    seen = np.isfinite(values).sum(1)
    mean = np.nansum(values, 1) / np.maximum(seen, 1)
    return np.nansum((values - mean[:, None]) ** 2, 1), np.maximum(seen - 1, 0)
