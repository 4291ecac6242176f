"""External cases: parted from all others before anything is made of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from nachos_jax.audit.finding import DUPLICATES
from nachos_jax.config.run_config import RunConfig
from nachos_jax.core.errors import UsageError
from nachos_jax.data import checks, duplicates
from nachos_jax.data.joined import Joined
from nachos_jax.data.store import Dense, Store
from nachos_jax.data.table import Cohort
from nachos_jax.models import registry as models
from nachos_jax.records.external import ExternalCases
from nachos_jax.records.schema import listed
from nachos_jax.tasks import registry as tasks


def check_config(run: RunConfig) -> None:
    """Refuses external cases where no model could be tested on them.

    Raises:
        UsageError: the task makes masks, features of a backbone are computed on the way, or an estimator of
            scikit-learn may be tried, of which nothing is kept that could predict again.
    """
    if not run.data.external:
        return
    told, cure = _told(run), "leave config.data.external out"
    if tasks.of(run.task).masks:
        raise UsageError(
            f"{told}: external cases are not tested by models of masks yet; {cure}, and drop their rows."
        )
    if run.backbone.name:
        raise UsageError(
            f"{told}: with a backbone, write the features with `nachos embed` first, which keeps the sites, "
            "and evaluate them with --config=vectors."
        )
    hosted = [str(name) for name in run.candidates("architecture") if models.hosted(str(name))]
    if hosted:
        raise UsageError(
            f"{told}: nothing is kept of {checks.listed(hosted)} that could predict external cases; choose "
            f"another config.model.architecture, or {cure} and drop their rows."
        )


def parted(run: RunConfig, cohort: Cohort) -> Cohort:
    """The cohort without the cases that config.data.external names, which become its `outside`.

    Args:
        run: the checked configuration.
        cohort: all cases; one that is parted already comes back as it is.

    Raises:
        UsageError: a site without cases, a subject on both sides, or too little left inside.
    """
    if not run.data.external or cohort.outside is not None:
        return cohort
    check_config(run)
    table, task = cohort.table, tasks.of(run.task)
    away = _away(run, table.sites)
    _refuse_crossing(run, table.subjects, away)
    inside, outside = np.flatnonzero(~away), np.flatnonzero(away)
    try:
        targets = task.part(cohort.targets, inside)
    except UsageError as error:
        raise UsageError(
            f"{_told(run)} leaves too little for the estimate: {error} Name other sites, or drop the cases "
            "that only those sites have."
        ) from error
    there = cohort.targets.of(outside)
    there = replace(there, facts={"task": run.task, "targets": there.texts()})
    apart = cohort.take(outside, there)
    subjects = len(set(apart.table.subjects.tolist()))
    note = (
        f"external: {len(outside):,} cases of {subjects:,} subjects from {checks.listed(run.data.external)}, "
        "kept out of everything above and tested once"
    )
    found = cohort.take(inside, targets)
    return replace(found, outside=apart, notes=(*cohort.notes, note))


def copies(run: RunConfig, cohort: Cohort, begun: bool) -> list[str]:
    """A sentence on inputs that are equal on both sides.

    Raises:
        UsageError: there are some, which the user has not accepted.
    """
    outside = cohort.outside
    if outside is None:
        return []
    stores = (cohort.store, len(cohort.table)), (outside.store, len(outside.table))
    pairs = duplicates.shared(*stores)
    if not pairs:
        return []
    first, second = pairs[0]
    told = (
        f"{len(pairs):,} external cases are equal to cases inside, like {outside.table.names[second]} = "
        f"{cohort.table.names[first]}: the external test would meet what training has seen."
    )
    if DUPLICATES not in run.data.allowed and not begun:
        raise UsageError(f"{told} Drop the copies; to go on all the same, say --allow={DUPLICATES}.")
    return [f"{told} The user has accepted this (--allow={DUPLICATES})."]


def record(cohort: Cohort) -> ExternalCases:
    """The external cases of a cohort that is parted."""
    outside = cohort.outside
    assert outside is not None
    assert outside.table.sites is not None
    intensity = {}
    inside, beyond = (_images(one.store) for one in (cohort, outside))
    if isinstance(inside, Dense) and len(cohort.shape) > 1:
        for name, store, one in (("inside", inside, cohort), ("external", beyond, outside)):
            mean, sd = store.sums().mean_sd(np.ones(len(one.table), bool))
            intensity[name] = {"mean": listed(mean), "sd": listed(sd)}
    table = outside.table
    who = (table.names, table.subjects, outside.table.sites)
    return ExternalCases(outside.hash, *who, outside.targets.values, intensity)


def _images(store: Store) -> Store:
    """A store without the vectors that stand beside its images."""
    return store.images if isinstance(store, Joined) else store


def _told(run: RunConfig) -> str:
    return f"config.data.external = {run.data.external!r}"


def _away(run: RunConfig, sites: np.ndarray | None) -> np.ndarray:
    """[N] bool: the cases of external sites."""
    if sites is None:
        raise UsageError(
            f"{_told(run)} names sites, and the cases have none: name their array or column in "
            "config.data.site_key (from Python, pass sites)."
        )
    known = sorted(set(sites.tolist()))
    strange = [name for name in run.data.external if name not in known]
    if strange:
        raise UsageError(
            f"{_told(run)}: no case is of site {checks.listed(strange)}; the sites are "
            f"{checks.listed(known, 20)}.{checks.hint(strange[0], known)}"
        )
    away = np.isin(sites, run.data.external)
    if away.all():
        raise UsageError(
            f"{_told(run)} names all sites, and leaves no case for the estimate: keep one out of it."
        )
    return away


def _refuse_crossing(run: RunConfig, subjects: np.ndarray, away: np.ndarray) -> None:
    crossing: Sequence[str] = sorted(set(subjects[away].tolist()) & set(subjects[~away].tolist()))
    if crossing:
        raise UsageError(
            f"{_told(run)}: {len(crossing):,} subjects have cases on both sides, like "
            f"{checks.listed(crossing)}, so the test would not be external: drop their cases on one side, or "
            "name all their sites."
        )
