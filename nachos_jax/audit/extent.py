"""Is there enough? Classes against folds, and the narrowest interval that so many subjects can give."""

from __future__ import annotations

from collections.abc import Iterator

from nachos_jax.audit.counts import Table
from nachos_jax.audit.finding import FAULT, NOTE, Finding
from nachos_jax.data.inspected import Inspected
from nachos_jax.splits.folds import FEWEST
from nachos_jax.statistics.width import auc_width, share_width

FEW = 5
"""Subjects of a class in a fold below which its metrics there are a matter of chance."""
HOPED = (0.8, 0.9, 0.95)


def _subjects(found: Inspected) -> dict[str, int]:
    """Subjects that have each name."""
    targets, subjects = found.cohort.targets, found.cohort.table.subjects
    return {
        name: len(set(subjects[has].tolist()))
        for name, has in zip(targets.names, targets.has.T, strict=False)
    }


def findings(found: Inspected, folds: int) -> Iterator[Finding]:
    """Names with too few subjects for so many folds."""
    noun, unit = found.cohort.targets.noun, "subjects" if found.known else "cases"
    for name, count in _subjects(found).items():
        if count < folds:
            told = f"{noun.capitalize()} {name!r} has {count:,} {unit}, fewer than the {folds} folds."
            fewer = f"Take at most {count} folds" if count >= FEWEST else f"Join the {noun} with another"
            yield Finding("too few for the folds", FAULT, told, f"{fewer}, or add cases.")
        elif count < FEW * folds:
            each = f"about {count / folds:.0f} in each of {folds} folds"
            told = f"{noun.capitalize()} {name!r} has {count:,} {unit}: {each}."
            yield Finding("few for the folds", NOTE, told, "Its metrics of a fold are a matter of chance.")


def tables(found: Inspected) -> Iterator[Table]:
    """The narrowest 95 % intervals of AUC and of recall for each name."""
    counts, total = _subjects(found), len(set(found.cohort.table.subjects.tolist()))
    rows = []
    for name, count in list(counts.items())[:20]:
        others = total - count
        if count and others > 0:
            widths = [auc_width(count, others, auc) for auc in HOPED] + [share_width(count, HOPED[1])]
            rows.append([name, f"{count:,}", *(f"± {width / 2:.3f}" for width in widths)])
    if rows:
        header = ("", "subjects", *(f"AUC {value:g}" for value in HOPED), f"recall {HOPED[1]:g}")
        note = (
            "Half of a 95 % interval if subjects count once and the model never varies; real ones are wider."
        )
        yield Table("The narrowest intervals", header, rows, (note,))
