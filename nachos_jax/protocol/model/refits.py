"""The refit behind a tested case: a network that has not seen the case's outer fold."""

from __future__ import annotations

from typing import Protocol

from nachos_jax.core.errors import UsageError
from nachos_jax.protocol.run.opening import Run
from nachos_jax.records.schema import FitRecord


class TestedCase(Protocol):
    """A case as a gallery shows it."""

    @property
    def row(self) -> int:
        """In the case table."""
        ...

    @property
    def outer_fold(self) -> int:
        """That it was tested in."""
        ...

    @property
    def fit(self) -> str:
        """Id of the refit that predicted it."""
        ...


def refit_of(run: Run, case: TestedCase) -> FitRecord:
    """The record of the refit that predicted a case.

    Raises:
        UsageError: the test names another fit, or one that has seen the case.
    """
    record = run.store.fit(case.fit)
    unseen = bool(run.folds.cases(case.outer_fold)[case.row])
    if record is None or tuple(record.left_out) != (case.outer_fold,) or not unseen:
        raise UsageError(
            f"the test of outer fold {case.outer_fold} names the fit {case.fit}, which is not the refit "
            "without that fold"
        )
    return record
