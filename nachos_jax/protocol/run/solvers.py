"""By which method networks are solved that are: a command is finished by the one that it began with."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from nachos_jax.config.run_config import RunConfig
from nachos_jax.core.errors import UsageError
from nachos_jax.core.types import Fit, HParams
from nachos_jax.engine.solving import SOLVER
from nachos_jax.models import registry as models
from nachos_jax.protocol.design.study import Study
from nachos_jax.records.schema import FitRecord, Outcome
from nachos_jax.records.store import RunDirectory
from nachos_jax.splits.folds import Folds

FIRST = 1
"""What solved networks where neither a fit nor its run tells."""

Unfinished = Callable[[Folds, str], Sequence[Study]]
"""(folds, hash of the cases with them) -> studies of the command with fits after their search, whose result
is not on disk."""
Last = Callable[[Study, Outcome], Sequence[Fit]]
"""What follows the search of a study."""


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
        raise _refused(store, then)


def check_early(store: RunDirectory, config: RunConfig, unfinished: Unfinished, last: Last) -> None:
    """Refuses, before any case is read, what `check` would refuse for certain.

    A search that is not over and may select a network of another kind is left to `check`.

    Args:
        store: the run directory.
        config: the checked configuration, that of the directory.
        unfinished: tells the studies that go on.
        last: tells what follows their search.

    Raises:
        UsageError: as of `check`.
    """
    known, cases = store.run(), store.cases()
    solved = [models.convex(str(name)) is not None for name in config.candidates("architecture")]
    if known is None or cases is None or not any(solved):
        return
    then = other(store, store.fits())
    if then is None:
        return
    for study in unfinished(cases.folds, known["cases"]):
        outcome = store.outcome(study.outer)
        if outcome is not None:
            there = store.fit_ids()
            check(store, then, (fit for fit in last(study, outcome) if fit.id not in there))
        elif all(solved):
            raise _refused(store, then)


def _refused(store: RunDirectory, then: int) -> UsageError:
    return UsageError(
        f"`nachos {store.command}` began in {store.path} with method {then} of solving linear networks, "
        f"and this version has method {SOLVER}: the solutions are the same but for their last digits, "
        "which would depend on when a fit was trained. Finish it with the version of nachos_jax that "
        "began it, or use a new --workdir."
    )


def _solved(hparams: HParams) -> bool:
    return models.convex(str(hparams["architecture"])) is not None
