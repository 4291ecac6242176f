"""A part of the subjects, for quick runs and learning curves: smaller parts lie within larger ones."""

from __future__ import annotations

import hashlib
import math
from dataclasses import replace

import numpy as np

from nachos_jax.core.errors import UsageError
from nachos_jax.data.table import Cohort
from nachos_jax.data.targets import TargetReader


def rows(subjects: np.ndarray, strata: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Numbers of the cases of a share of the subjects, in table order.

    A subject stands in the rarest stratum of its cases. In each stratum subjects are ordered by a hash of
    seed and name, and the first of them are taken: at least one, and those of a smaller share again in a
    larger one.

    Args:
        subjects: [N] str.
        strata: [N] int, see `nachos_jax.splits.strata`.
        share: of the subjects, above 0 and at most 1.
        seed: of the run.
    """
    common = np.bincount(strata)
    of_subject: dict[str, int] = {}
    for name, stratum in zip(subjects.tolist(), strata.tolist(), strict=True):
        known = of_subject.get(name, stratum)
        of_subject[name] = min(known, stratum, key=lambda number: (common[number], number))
    taken: set[str] = set()
    for stratum in set(of_subject.values()):
        members = sorted((_place(seed, name), name) for name, of in of_subject.items() if of == stratum)
        taken |= {name for _, name in members[: max(1, math.ceil(share * len(members)))]}
    return np.flatnonzero([name in taken for name in subjects.tolist()]).astype(np.int32)


def _place(seed: int, name: str) -> str:
    return hashlib.sha256(f"{seed}/subset/{name}".encode()).hexdigest()


def of(cohort: Cohort, share: float, seed: int, reader: TargetReader) -> Cohort:
    """The cohort of a share of its subjects; the whole one of 1.

    Raises:
        UsageError: what is left could not be learned from.
    """
    if share == 1:
        return cohort
    chosen = rows(cohort.table.subjects, cohort.targets.strata.numbers, share, seed)
    try:
        part = cohort.take(chosen, reader.part(cohort.targets, chosen))
    except UsageError as error:
        raise UsageError(f"config.data.subset = {share:g} takes too few: {error}") from error
    whole = len(set(cohort.table.subjects.tolist()))
    told = (
        f"config.data.subset = {share:g}: only {len(set(part.table.subjects.tolist())):,} of {whole:,} "
        f"subjects take part ({len(part.table):,} of {len(cohort.table):,} cases)."
    )
    return replace(part, cautions=(*part.cautions, told))
