"""What a run needs of its cases where a fit may be normalised by more than its training cases."""

from __future__ import annotations

from dataclasses import replace

from nachos_jax.config.run_config import RunConfig
from nachos_jax.core.errors import UsageError
from nachos_jax.data.measured import MeasuredDense, measured
from nachos_jax.data.store import Dense
from nachos_jax.data.table import Cohort
from nachos_jax.tasks.dense import NORMALISATION
from nachos_jax.tasks.normalisation import TRAINING, by_case

OF_BACKBONE = "a pretrained network takes pixels by the constants of its pretraining"


def with_statistics(run: RunConfig, cohort: Cohort) -> Cohort:
    """The cases with what is known of the intensities of each, where a fit may be normalised by it.

    Raises:
        UsageError: as `check`.
    """
    if not tried(run):
        return cohort
    check(run, cohort)
    assert isinstance(cohort.store, Dense)
    return replace(cohort, store=MeasuredDense(*measured(cohort.store.values)))


def tried(run: RunConfig) -> bool:
    """Whether a fit may be normalised by more than its training cases."""
    return NORMALISATION.name in run.defaults and by_case(map(str, run.candidates(NORMALISATION.name)))


def check(run: RunConfig, cohort: Cohort) -> None:
    """Refuses another normalisation than that by the training cases, where cases are no pixels of their own.

    Raises:
        UsageError: vectors, beside images too, or what a pretrained network is given.
    """
    if not tried(run):
        return
    if run.backbone.name or "backbone" in cohort.preparation:
        raise refused(run, OF_BACKBONE)
    if len(cohort.shape) == 1:
        raise refused(run, "these cases are vectors of features, which the training cases standardise")
    if cohort.joined:
        raise refused(
            run, "columns of the table stand beside the images, and the training cases standardise both"
        )


def refused(run: RunConfig, why: str) -> UsageError:
    """The field or the space that names another normalisation, and why it cannot be."""
    value = run.defaults[NORMALISATION.name]
    key, idle = (NORMALISATION.key, TRAINING) if value != TRAINING else (NORMALISATION.space_key, "")
    found = repr(value) if value != TRAINING else f"choice{run.candidates(NORMALISATION.name)[1:]!r}"
    return UsageError(f"config.{key} = {found}: {why}; set it back to {idle!r}.")
