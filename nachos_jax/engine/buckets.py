"""Buckets: the fits that can share one compiled program."""

from __future__ import annotations

from collections.abc import Sequence

from nachos_jax.core.hparams import Hyperparameter
from nachos_jax.core.types import Fit, HParamValue
from nachos_jax.engine.optimizer import FAMILIES

Bucket = tuple[tuple[str, HParamValue], ...]
"""Static hyperparameters by name, in the table's order; optimisers of one family count as one."""


def bucket_of(fit: Fit, table: Sequence[Hyperparameter]) -> Bucket:
    """The bucket of a fit: fits with equal buckets can take turns in the same lanes."""
    static = [row.name for row in table if row.static and row.name in fit.hparams]
    values = {name: fit.hparams[name] for name in static}
    if "optimizer" in values:
        values["optimizer"] = FAMILIES[str(values["optimizer"])]
    return tuple(values.items())
