"""What estimators of scikit-learn need, checked before anything is fitted."""

from __future__ import annotations

import math

from nachos_jax.config.run_config import RunConfig
from nachos_jax.core.errors import UsageError
from nachos_jax.core.hparams import by_name
from nachos_jax.data.table import Cohort
from nachos_jax.data.views import Viewed
from nachos_jax.models import registry as models
from nachos_jax.tasks import registry as tasks

WIDEST = 20_000
"""Most features, or pixels, of a case: what is wider takes minutes a fit and learns noise."""


def of(run: RunConfig) -> list[str]:
    """The estimators that may be tried."""
    return [str(name) for name in run.candidates("architecture") if models.hosted(str(name))]


def check(run: RunConfig, cohort: Cohort) -> None:
    """Refuses estimators that cannot predict the target, or would quietly leave out what is asked for.

    Raises:
        UsageError: a task or a loss that is not theirs, augmentation, cases that are too wide.
    """
    for name in of(run):
        _task(run, name)
        if run.augmentations:
            field = by_name(run.table)[sorted(run.augmentations)[0]].key
            raise UsageError(
                f"config.{field}: {name} is fitted once to all training cases as they are, and nothing is "
                "augmented; set it to 0, and its place in config.search.space to ''."
            )
        if cohort.joined:
            raise UsageError(
                f"{name} is given images or vectors, not both: name a backbone, whose features the columns "
                "of config.data.features join, or leave these out."
            )
        if isinstance(cohort.store, Viewed):
            raise UsageError(
                f"{name} is fitted once to one vector a case, and the cases have several views: set "
                "config.backbone.views to 1."
            )
        width = math.prod(cohort.shape)
        if width > WIDEST:
            pixels = "set config.data.height and config.data.width to something smaller"
            features = "name fewer in config.data.features, or leave some out by config.data.exclude"
            raise UsageError(
                f"{name} on cases of {width:,} numbers ({' x '.join(map(str, cohort.shape))}): at most "
                f"{WIDEST:,}; {features if len(cohort.shape) == 1 else pixels}."
            )
        if run.data.residency == "stream":
            raise UsageError(
                f"config.data.residency = 'stream': {name} is fitted to all cases at once; set it to 'auto'."
            )


def check_deployable(run: RunConfig) -> None:
    """Refuses to build a model that could not be written down.

    Raises:
        UsageError: an estimator may be selected.
    """
    for name in of(run):
        raise UsageError(
            f"config.model.architecture: {name} is a baseline and cannot be deployed: a fitted estimator of "
            "scikit-learn is kept as a pickle, which can run any code where it is read. `nachos evaluate` "
            "estimates it; 'linear' is a logistic regression that can be deployed."
        )


def _task(run: RunConfig, name: str) -> None:
    outcome = tasks.of(run.task).outcome
    if outcome not in models.outcomes(name):
        fitting = [one for one in models.names() if models.hosted(one) and outcome in models.outcomes(one)]
        other = f"; {' and '.join(fitting)} do" if fitting else ""
        raise UsageError(
            f"config.model.architecture = {name!r}: it does not predict what config.task.name = "
            f"{run.task!r} is about{other}."
        )
    for row in run.table:
        if row.tasks and row.static and run.candidates(row.name) != (row.default,):
            raise UsageError(
                f"config.{row.key} = {run.defaults[row.name]!r}: {name} has a loss of its own; leave it at "
                f"{row.default!r}."
            )
