"""Is there enough? Classes against folds, and the narrowest interval that so many subjects can give."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from nachos_jax.audit.counts import Table
from nachos_jax.audit.finding import FAULT, NOTE, Finding
from nachos_jax.config.run_config import RunConfig
from nachos_jax.data.columns import away
from nachos_jax.data.inspected import Inspected
from nachos_jax.data.spellings import canonical
from nachos_jax.splits.folds import FEWEST
from nachos_jax.statistics.width import auc_width, share_width

FEW = 5
"""Subjects of a class in a fold below which its metrics there are a matter of chance."""
HOPED = (0.8, 0.9, 0.95)


class Division(NamedTuple):
    """How the cases are divided into folds."""

    count: int  # K
    drawn: bool = True  # with the classes spread over all folds; else by sites or a column


def inside(found: Inspected, external: tuple[str, ...]) -> np.ndarray:
    """[N] bool: the cases that an estimate is made of, those of no external site (config.data.external)."""
    sites = found.cohort.table.sites
    if sites is None:
        return np.ones(len(found.cohort.table), bool)
    return ~away([canonical(site) for site in sites], [canonical(site) for site in external])


def folds(found: Inspected, config: RunConfig) -> Division:
    """The folds, which the sites, or the fold column, decide where config.folds.scheme says so."""
    column = config.data.fold_key if config.data.fold_key in found.divisions else "fold"
    named = {"site": found.cohort.table.sites, "predefined": found.divisions.get(column)}
    division = named.get(config.folds.scheme)
    if division is None:
        return Division(config.folds.count)
    names = division[inside(found, config.data.external)].tolist()
    return Division(len(set(map(canonical, names))), drawn=False)


def _subjects(found: Inspected, rows: np.ndarray | None) -> tuple[dict[str, int], int]:
    """Subjects that have each name, and all, of some rows or of all."""
    targets, subjects = found.cohort.targets, found.cohort.table.subjects
    rows = np.ones(len(subjects), bool) if rows is None else rows
    counts = {
        name: len(set(subjects[has & rows].tolist()))
        for name, has in zip(targets.names, targets.has.T, strict=False)
    }
    return counts, len(set(subjects[rows].tolist()))


def findings(found: Inspected, folds: Division, rows: np.ndarray | None = None) -> Iterator[Finding]:
    """Names with too few subjects for so many folds, among some of the cases or all."""
    noun, unit = found.cohort.targets.noun, "subjects" if found.known else "cases"
    for name, count in _subjects(found, rows)[0].items():
        has = f"{noun.capitalize()} {name!r} has {count:,} {unit}"
        if count < folds.count and not folds.drawn:
            told = f"{has}, so {folds.count - count} or more of the {folds.count} folds hold none."
            cure = f"Its metrics are undefined there: add cases, or join the {noun} with another."
            yield Finding("missing in folds", NOTE, told, cure)
        elif count < folds.count:
            told = f"{has}, fewer than the {folds.count} folds."
            fewer = f"Take at most {count} folds" if count >= FEWEST else f"Join the {noun} with another"
            yield Finding("too few for the folds", FAULT, told, f"{fewer}, or add cases.")
        elif count < FEW * folds.count:
            share = f"about {count / folds.count:.0f} in each of {folds.count} folds"
            told = f"{has}: {share if folds.drawn else f'few for {folds.count} folds'}."
            yield Finding("few for the folds", NOTE, told, "Its metrics of a fold are a matter of chance.")


def tables(found: Inspected, rows: np.ndarray | None = None) -> Iterator[Table]:
    """The narrowest 95 % intervals of AUC and of recall for each name, likewise."""
    counts, total = _subjects(found, rows)
    lines = []
    for name, count in list(counts.items())[:20]:
        others = total - count
        if count and others > 0:
            widths = [auc_width(count, others, auc) for auc in HOPED] + [share_width(count, HOPED[1])]
            lines.append([name, f"{count:,}", *(f"± {width / 2:.3f}" for width in widths)])
    if lines:
        header = ("", "subjects", *(f"AUC {value:g}" for value in HOPED), f"recall {HOPED[1]:g}")
        note = (
            "Half of a 95 % interval if subjects count once and the model never varies; real ones are wider."
        )
        yield Table("The narrowest intervals", header, lines, (note,))
