"""By which method networks are solved that are: a command is finished by the one that it began with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from nachos_jax.core.errors import UsageError
from nachos_jax.core.types import Fit, HParams
from nachos_jax.engine.solving import SOLVER
from nachos_jax.models import registry as models
from nachos_jax.records.schema import FitRecord
from nachos_jax.records.store import RunDirectory

FIRST = 1
"""What solved networks where neither a fit nor its run tells."""


def other(store: RunDirectory, records: Iterable[FitRecord]) -> int | None:
    """A method that has solved fits of the command and is not the one of this version; None without."""
    known: Mapping[str, Any] | None = store.run()
    # Fits tell it themselves, but for those of older versions, whose run may.
    untold = SOLVER if known is None else known.get("solver", FIRST)
    found = (record.solver or untold for record in records if _solved(record.hparams))
    return next((solver for solver in found if solver != SOLVER), None)


def check(store: RunDirectory, then: int | None, fits: Iterable[Fit]) -> None:
    """Refuses to solve fits beside those that another method has solved.

    Args:
        store: the run directory.
        then: what `other` has found in it.
        fits: what is to be trained.

    Raises:
        UsageError: one of them is solved, and there is another method.
    """
    if then is not None and any(_solved(fit.hparams) for fit in fits):
        raise UsageError(
            f"`nachos {store.command}` began in {store.path} with method {then} of solving linear networks, "
            f"and this version has method {SOLVER}: the solutions are the same but for their last digits, "
            "which would depend on when a fit was trained. Finish it with the version of nachos_jax that "
            "began it, or use a new --workdir."
        )


def _solved(hparams: HParams) -> bool:
    return models.convex(str(hparams["architecture"])) is not None
