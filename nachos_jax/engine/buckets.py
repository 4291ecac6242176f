"""Buckets: the fits that can share one compiled program."""

from __future__ import annotations

from collections.abc import Sequence

from nachos_jax.core.hparams import Hyperparameter
from nachos_jax.core.types import Fit, HParamValue
from nachos_jax.engine.optimizer import FAMILIES
from nachos_jax.engine.solving import SOLVER
from nachos_jax.models import registry as models

Bucket = tuple[tuple[str, HParamValue], ...]
"""Static hyperparameters by name, in the table's order; optimisers of one family count as one.

What is solved reads its training cases alone, the room for which is part of the program's shapes: fits on all
cases have more. A lane that another solver has left unsolved is not gone on from.
"""

OF_SOLVED = ("solver", "all cases")
"""Names of what is no hyperparameter."""


def bucket_of(fit: Fit, table: Sequence[Hyperparameter]) -> Bucket:
    """The bucket of a fit: fits with equal buckets can take turns in the same lanes."""
    static = [row.name for row in table if row.static and row.name in fit.hparams]
    values = {name: fit.hparams[name] for name in static}
    if "optimizer" in values:
        values["optimizer"] = FAMILIES[str(values["optimizer"])]
    if models.convex(str(fit.hparams["architecture"])):
        values |= dict(zip(OF_SOLVED, (SOLVER, not fit.left_out), strict=True))
    return tuple(values.items())
