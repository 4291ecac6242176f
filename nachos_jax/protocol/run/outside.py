"""External cases: parted from all others before anything is made of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from nachos_jax.audit.finding import DUPLICATES
from nachos_jax.config.run_config import DataConfig, RunConfig
from nachos_jax.core.errors import UsageError
from nachos_jax.data import checks, columns, described, duplicates, second
from nachos_jax.data.constant import Constant
from nachos_jax.data.joined import Joined
from nachos_jax.data.ragged import Ragged
from nachos_jax.data.spellings import APART, REFUSE, canonical
from nachos_jax.data.store import Dense, Store
from nachos_jax.data.table import Cohort, Prepared
from nachos_jax.records.external import ExternalCases
from nachos_jax.records.schema import listed
from nachos_jax.tasks import registry as tasks


def parted(run: RunConfig, cohort: Cohort, data: DataConfig | None = None) -> Cohort:
    """The cohort with its external cases as `outside`: sites that are taken out, or a source of their own.

    Args:
        run: the checked configuration.
        cohort: all cases; one that is parted already comes back as it is.
        data: by which the cohort was read, where it is not config.data.

    Raises:
        UsageError: a site without cases, a subject on both sides, too little left inside, or a source that
            cannot be read like the one inside.
    """
    if cohort.outside is not None:
        return cohort
    if run.data.external_path:
        return _beside(run, cohort, data or run.data)
    if not run.data.external:
        return cohort
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
    apart = replace(cohort.take(outside, there), cautions=())
    subjects = len(set(apart.table.subjects.tolist()))
    note = (
        f"external: {len(outside):,} cases of {subjects:,} subjects from {checks.listed(run.data.external)}, "
        "kept out of everything above and tested once"
    )
    found = _told_anew(cohort.take(inside, targets))
    return replace(found, outside=apart, notes=(*cohort.notes, note))


def _told_anew(cohort: Cohort) -> Cohort:
    """The cohort of masks with the size in the middle of its own cases, in all its stores."""
    if not isinstance(cohort.store, Ragged):
        return cohort
    others = {
        name: replace(one, preparation=_with_sides(one.preparation, one.store))
        for name, one in cohort.others.items()
    }
    return replace(cohort, preparation=_with_sides(cohort.preparation, cohort.store), others=others)


def _with_sides(preparation: dict, store: Store) -> dict:
    return {**preparation, **dict(zip(("depth", "height", "width"), store.shape, strict=False))}


def _beside(run: RunConfig, cohort: Cohort, data: DataConfig) -> Cohort:
    """The cohort with the cases of config.data.external_path beside it; nothing of itself changes."""
    task = tasks.of(run.task)
    apart, others = second.load(data, task, cohort), {}
    for name, one in cohort.others.items():  # prepared otherwise, like the cases inside
        inside = replace(cohort, store=one.store, preparation=one.preparation, others={})
        prepared: dict[str, Any] = dict(name)
        found = second.load(replace(data, **prepared), task, inside)
        others[name] = Prepared(found.store, found.preparation)
    apart = replace(apart, others=others)
    return beside(cohort, apart, run.data.external_path, run.data.spellings)


def beside(cohort: Cohort, apart: Cohort, path: str = "", spellings: str = REFUSE) -> Cohort:
    """A cohort with external cases beside it that were read for themselves; nothing of itself changes.

    What must stand beside a test of these cases are the `cautions` of theirs.

    Args:
        cohort: the cases inside.
        apart: the external ones, see `nachos_jax.data.second`.
        path: where they come from, config.data.external_path; "" from Python.
        spellings: config.data.spellings, by which subjects are compared.

    Raises:
        UsageError: a subject on both sides.
    """
    if not apart.table.waived:  # then names of files or rows stand for subjects
        _refuse_known(path, spellings, cohort.table.subjects, apart.table.subjects)
    absent = [name for name, count in apart.targets.counts().items() if not count]
    sites = sorted(set(np.asarray(apart.table.sites).tolist()))
    shared = sorted(set(sites) & set([] if cohort.table.sites is None else cohort.table.sites.tolist()))
    told = (
        f"external: {len(apart.table):,} cases of {len(set(apart.table.subjects.tolist())):,} subjects from "
        f"{path or 'Python'}, kept out of everything above and tested once",
        *((f"external: no case of {apart.targets.noun} {checks.listed(absent)}",) if absent else ()),
        *(f"external: {note}" for note in apart.notes),
    )
    cautions = []
    if absent:
        cautions.append(f"The external cases hold none of {apart.targets.noun} {checks.listed(absent)}.")
    if shared:
        cautions.append(
            f"External cases come from {checks.listed(shared)}, which is a site inside too: they tell of "
            "other subjects or times, and not of another site."
        )
    if apart.table.waived != cohort.table.waived:
        side = "the external cases" if apart.table.waived else "the cases inside"
        cautions.append(
            f"Nothing is known of the subjects of {side}: whether some have cases on both sides cannot be "
            "checked."
        )
    if apart.skipped:
        cautions.append(f"{len(apart.skipped):,} external cases cannot be read and are left out.")
    apart = replace(apart, cautions=tuple(cautions))
    return replace(cohort, outside=apart, notes=(*cohort.notes, *told))


def _refuse_known(path: str, spellings: str, inside: np.ndarray, there: np.ndarray) -> None:
    """Refuses subjects of a second source that the first one has too, in any spelling."""

    def form(name: str) -> str:
        return name if spellings == APART else canonical(name)

    known = {form(name) for name in inside.tolist()}
    found = sorted({name for name in there.tolist() if form(name) in known})
    if found:
        what = f"config.data.external_path = {path!r}" if path else "external cases"
        place = f"in {Path(path).name}" if path else "there"
        raise UsageError(
            f"{what}: {len(found):,} subjects have cases inside too, like {checks.listed(found)}, so the "
            f"test would not be external. Drop their cases {place}; if they are other people with the same "
            f"numbers, write them otherwise there, like {'b-' + found[0]!r}."
        )


def cautions(cohort: Cohort) -> tuple[str, ...]:
    """What must stand beside every test of the external cases."""
    return () if cohort.outside is None else cohort.outside.cautions


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


def record(cohort: Cohort, after: int = 0, cautions: Sequence[str] = ()) -> ExternalCases:
    """The external cases of a cohort that is parted; `after` and `cautions` as in `ExternalCases`."""
    outside = cohort.outside
    assert outside is not None
    assert outside.table.sites is not None
    intensity = {}
    inside, beyond = (_images(one.store) for one in (cohort, outside))
    pixels = isinstance(inside, (Dense, Ragged)) and not isinstance(inside, Constant)
    if pixels and len(cohort.shape) > 1:
        for name, store, one in (("inside", inside, cohort), ("external", beyond, outside)):
            mean, sd = store.sums().mean_sd(np.ones(len(one.table), bool))
            intensity[name] = {"mean": listed(mean), "sd": listed(sd)}
    table = outside.table
    who = (table.names, table.subjects, outside.table.sites)
    people = described.both(cohort.table, table)
    told = (intensity, people, after, tuple(cautions))
    return ExternalCases(outside.hash, *who, outside.targets.values, *told)


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
    away = columns.away(sites, run.data.external)
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
