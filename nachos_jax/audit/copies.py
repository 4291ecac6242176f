"""Pictures that are there twice, equal or nearly: within and across subjects, parts and targets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nachos_jax.audit.finding import CONTRADICTIONS, DUPLICATES, FAULT, LEAK, NOTE, Finding
from nachos_jax.audit.near import Pairs
from nachos_jax.data.table import Cohort

CURE = "If these are one subject, folds leak: give them one name, or drop the copies."
MEND = "Mend the table or drop the copies."
SHOWN = 5


@dataclass(frozen=True)
class Copies:
    """Groups of cases that are copies of each other, by what is wrong with it.

    Attributes:
        contrary: with targets that contradict each other.
        shared: of different subjects.
        within: of one subject.
    """

    contrary: list[Sequence[int]]
    shared: list[Sequence[int]]
    within: list[Sequence[int]]


def sorted_out(cohort: Cohort, groups: Sequence[Sequence[int]]) -> Copies:
    """What is wrong with each group of copies."""
    subjects, values = cohort.table.subjects, cohort.targets.values
    across = [len(set(subjects[list(rows)].tolist())) > 1 for rows in groups]
    return Copies(
        [rows for rows in groups if _contradict(values[list(rows)])],
        [rows for rows, apart in zip(groups, across, strict=True) if apart],
        [rows for rows, apart in zip(groups, across, strict=True) if not apart],
    )


def findings(
    cohort: Cohort, groups: Sequence[Sequence[int]], divisions: Mapping[str, np.ndarray]
) -> Iterator[Finding]:
    """What is wrong with equal inputs."""
    copies, alike = sorted_out(cohort, groups), alike_words(cohort)
    yield from _told(
        cohort, CONTRADICTIONS, LEAK, f"{alike}, with another {cohort.targets.noun}", MEND, copies.contrary
    )
    yield from _told(cohort, DUPLICATES, LEAK, f"{alike} under different subjects", CURE, copies.shared)
    yield from _told(
        cohort,
        "copies of one subject",
        NOTE,
        f"{alike} within one subject",
        "They count twice.",
        copies.within,
    )
    for name, parts in divisions.items():
        crossing = [rows for rows in groups if len(set(parts[list(rows)].tolist())) > 1]
        told = f"{alike} in different parts of column {name!r}"
        yield from _told(
            cohort, f"duplicates across {name}", LEAK, told, "Drop the copies, or divide anew.", crossing
        )


def near_findings(
    cohort: Cohort, pairs: Pairs, equal: Sequence[Sequence[int]], divisions: Mapping[str, np.ndarray]
) -> Iterator[Finding]:
    """What is wrong with pairs that are nearly equal; `equal` ones have been told."""
    group = {row: number for number, rows in enumerate(equal) for row in rows}
    fresh = [n for n, (i, j) in enumerate(pairs.rows.tolist()) if i not in group or group[i] != group.get(j)]
    likeness = {tuple(pairs.rows[n].tolist()): float(pairs.likeness[n]) for n in fresh}
    rows, noun = [pairs.rows[n].tolist() for n in fresh], cohort.targets.noun
    copies = sorted_out(cohort, rows)
    contrary = [pair for pair in copies.contrary if pair in copies.shared]
    alike = "pairs of images are nearly equal"
    yield from _paired(
        f"near {CONTRADICTIONS}", FAULT, f"{alike}, with another {noun}", MEND, contrary, likeness
    )
    others = [pair for pair in copies.shared if pair not in contrary]
    yield from _paired(
        f"near {DUPLICATES}", FAULT, f"{alike} under different subjects", CURE, others, likeness
    )
    told = f"{alike} within one subject"
    yield from _paired("near copies of one subject", NOTE, told, "They count twice.", copies.within, likeness)
    for name, parts in divisions.items():
        crossing = [pair for pair in copies.shared if parts[pair[0]] != parts[pair[1]]]
        told = f"{alike} in different parts of column {name!r}"
        yield from _paired(f"near duplicates across {name}", FAULT, told, "Look at them.", crossing, likeness)


def alike_words(cohort: Cohort) -> str:
    """What equal inputs are called."""
    return "vectors are equal" if len(cohort.shape) == 1 else "images are equal pixel for pixel"


def counted(cohort: Cohort, told: str, groups: Sequence[Sequence[int]]) -> str:
    """The sentence on groups of copies: how many, and the first of them."""
    names, subjects, texts = cohort.table.names, cohort.table.subjects, cohort.targets.texts()
    shown = [
        " = ".join(f"{names[row]} (subject {subjects[row]}, {texts[row]})" for row in rows[:3])
        for rows in groups[:SHOWN]
    ]
    more = f"; and {len(groups) - SHOWN:,} more" if len(groups) > SHOWN else ""
    return f"{sum(map(len, groups)):,} {told}: {'; '.join(shown)}{more}."


def _told(
    cohort: Cohort, kind: str, weight: str, told: str, cure: str, groups: Sequence[Sequence[int]]
) -> Iterator[Finding]:
    if groups:
        yield Finding(kind, weight, counted(cohort, told, groups), cure, groups)


def _paired(
    kind: str,
    weight: str,
    told: str,
    cure: str,
    pairs: Sequence[Sequence[int]],
    likeness: Mapping[tuple, float],
) -> Iterator[Finding]:
    if pairs:
        values = [likeness[tuple(pair)] for pair in pairs]
        yield Finding(kind, weight, f"{len(pairs):,} {told}.", cure, pairs, values)


def _contradict(values: np.ndarray) -> bool:
    """Whether targets [n, ...] of one image differ where they are known."""
    columns = values.reshape(len(values), -1).astype(np.float64).T
    known = [column[~np.isnan(column)] for column in columns]
    return any(len(set(column.tolist())) > 1 for column in known)
