"""Who is there: what a person should see of the cases before anything trains."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np

from nachos_jax.data.table import Cohort

MOST = 20
"""Classes, and sites of a class, that are listed."""


def lines(cohort: Cohort) -> list[str]:
    """Cases, subjects, sites, images a subject, classes with their sites, sizes, what was left out."""
    return [*_cases(cohort), *_names(cohort), *cohort.notes]


def _cases(cohort: Cohort) -> Iterator[str]:
    table = cohort.table
    cases = f"{len(table):,} cases"
    if table.waived:
        yield f"{cases}, each said to be a subject of its own"
    else:
        numbers = Counter(table.subjects.tolist())
        largest, most = numbers.most_common(1)[0]
        each = sorted(numbers.values())
        spread = f"{each[0]} to {most} a subject, {each[len(each) // 2]} in the middle, most of {largest!r}"
        yield f"{cases} of {len(numbers):,} subjects: {spread if most > each[0] else f'{most} a subject'}"
    if table.sites is None:
        yield "sites: not known"
    else:
        yield f"sites: {_listed(Counter(table.sites.tolist()))}"


def _names(cohort: Cohort) -> Iterator[str]:
    targets, table = cohort.targets, cohort.table
    if not targets.has.shape[1]:
        values = targets.values
        yield f"{targets.names[0]}: {values.min():g} to {values.max():g}, mean {values.mean():g}"
    for name, has in list(zip(targets.names, targets.has.T, strict=False))[:MOST]:
        text = f"{targets.noun} {name!r}: {has.sum():,} cases"
        if not table.waived:
            text += f" of {len(set(table.subjects[has])):,} subjects"
        if targets.values.ndim == 2:
            known = int((~np.isnan(targets.values[:, targets.names.index(name)])).sum())
            text += f", known of {known:,}"
        sites = "" if table.sites is None else f"; {_listed(Counter(table.sites[has].tolist()))}"
        yield text + sites
    if targets.has.shape[1] > MOST:
        yield f"and {targets.has.shape[1] - MOST:,} more"


def sizes(counts: Counter[tuple[int, ...]]) -> str:
    """Sizes of images before they are resized, the commonest first."""
    named = Counter({" x ".join(map(str, shape)): number for shape, number in counts.items()})
    depth = "depth x " if any(len(shape) == 4 for shape in counts) else ""
    return f"sizes as stored ({depth}height x width x channels): {_listed(named)}"


def _listed(counts: Counter[str]) -> str:
    shown = ", ".join(f"{name} ({number:,})" for name, number in counts.most_common(8))
    return shown + (f" and {len(counts) - 8:,} more" if len(counts) > 8 else "")
