"""Folds: which cases are kept out together, made once for a run."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from nachos_jax.core.errors import UsageError
from nachos_jax.core.types import digest
from nachos_jax.runtime import elsewhere
from nachos_jax.splits.strata import Strata

ATTEMPTS = 20
FEWEST = 3
"""Nested cross-validation tests on one fold, validates on another and trains on the rest."""
_SEED_STEP = 1000003


class Cases(Protocol):
    """The columns of a case table that decide its folds, N rows."""

    @property
    def subjects(self) -> np.ndarray:
        """[N] str."""
        ...

    @property
    def sites(self) -> np.ndarray | None:
        """[N] str, or None when unknown."""
        ...

    @property
    def folds(self) -> np.ndarray | None:
        """[N] integer predefined folds counted from 0, or None."""
        ...


@dataclass(frozen=True, eq=False)
class Folds:
    """R repeats of K disjoint sets that together hold all N cases.

    Attributes:
        assignment: [R, N] int32, read-only: the fold of each case. Fold numbers are global: the folds
            of repeat r are r * K to r * K + K - 1.
        count: K, folds a repeat.
        repeats: R.
    """

    assignment: np.ndarray
    count: int
    repeats: int = 1

    def __post_init__(self) -> None:
        rows = np.array(self.assignment, np.int32)
        if rows.ndim != 2 or len(rows) != self.repeats:
            raise ValueError(f"assignment of shape {rows.shape} for {self.repeats} repeats: must be [R, N].")
        for repeat, row in enumerate(rows):
            first = repeat * self.count
            if set(np.unique(row).tolist()) != set(range(first, first + self.count)):
                raise ValueError(
                    f"repeat {repeat} holds folds {np.unique(row).tolist()}: must be "
                    f"{first} to {first + self.count - 1}, none of them empty."
                )
        rows.setflags(write=False)
        object.__setattr__(self, "assignment", rows)

    @cached_property
    def hash(self) -> str:
        """Digest of the fold of every case, in table order: 16 hexadecimal characters."""
        return digest({"count": self.count, "assignment": self.assignment.tolist()})

    def numbers(self) -> tuple[int, ...]:
        """All outer folds, 0 to R * K - 1."""
        return tuple(range(self.repeats * self.count))

    def cases(self, fold: int) -> np.ndarray:
        """[N] bool mask of the cases of one fold.

        Raises:
            ValueError: there is no such fold.
        """
        return self.assignment[self._repeat(fold)] == fold

    def inner(self, outer: int) -> tuple[int, ...]:
        """The other K - 1 folds of the same repeat, which serve as inner folds of `outer`.

        Raises:
            ValueError: there is no such fold.
        """
        first = self._repeat(outer) * self.count
        return tuple(fold for fold in range(first, first + self.count) if fold != outer)

    def training(self, left_out: Sequence[int]) -> np.ndarray:
        """[N] bool mask of the cases that lie in none of the folds left out; () gives all cases.

        Raises:
            ValueError: a fold that does not exist or stands twice, folds of different repeats, or all
                folds of a repeat, which leaves nothing to train on.
        """
        if len(left_out) == 0:
            return np.ones(self.assignment.shape[1], bool)
        repeats = {self._repeat(fold) for fold in left_out}
        if len(repeats) > 1:
            raise ValueError(f"left_out = {tuple(left_out)}: folds of different repeats overlap.")
        if len(set(left_out)) != len(left_out) or len(left_out) == self.count:
            raise ValueError(
                f"left_out = {tuple(left_out)}: must be fewer than {self.count} different folds."
            )
        return ~np.isin(self.assignment[repeats.pop()], left_out)

    def crossing(self, subjects: np.ndarray) -> tuple[str, tuple[int, ...]] | None:
        """The first of subjects [N] by name whose cases lie in several folds of a repeat, and these folds."""
        unique, number = np.unique(subjects, return_inverse=True)
        for row in self.assignment:
            lowest = np.full(len(unique), np.iinfo(np.int32).max, np.int32)
            highest = np.full(len(unique), -1, np.int32)
            np.minimum.at(lowest, number, row)
            np.maximum.at(highest, number, row)
            split = np.flatnonzero(lowest != highest)
            if len(split):
                return str(unique[split[0]]), tuple(np.unique(row[number == split[0]]).tolist())
        return None

    def _repeat(self, fold: int) -> int:
        if not 0 <= fold < self.repeats * self.count:
            raise ValueError(f"fold {fold} does not exist: folds are 0 to {self.repeats * self.count - 1}.")
        return fold // self.count


def make(table: Cases, strata: Strata, scheme: str, count: int, repeats: int, seed: int) -> Folds:
    """Divides the cases of a table; the order of its rows does not matter.

    Args:
        table: the N cases.
        strata: what stratified folds are balanced by.
        scheme: "stratified" (by stratum, grouped by subject, drawn by seed), "predefined" (the table's
            folds) or "site" (a fold a site, in the order of the sorted site names).
        count: K of the stratified scheme, at least 2; the table decides it for the others.
        repeats: R, draws of the stratified scheme; 1 for the others.
        seed: seed of the first draw, from 0.

    Returns:
        Folds in which every subject lies in one fold of each repeat; stratified ones hold every stratum
        that is needed.

    Raises:
        UsageError: the table cannot be divided so.
    """
    if scheme == "stratified":
        return _stratified(table, strata, count, repeats, seed)
    if scheme not in ("predefined", "site"):
        raise UsageError(
            f"config.folds.scheme = {scheme!r}: must be one of 'stratified', 'predefined', 'site'."
        )
    if repeats != 1:
        raise UsageError(
            f"config.folds.repeats = {repeats} with config.folds.scheme = {scheme!r}: there is only one way "
            "to divide these cases; set repeats to 1 or scheme to 'stratified'."
        )
    return _predefined(table) if scheme == "predefined" else _by_site(table)


def _predefined(table: Cases) -> Folds:
    if table.folds is None:
        raise UsageError(
            "config.folds.scheme = 'predefined', but the data have no column of folds: name it in "
            "config.data.fold_key or set scheme to 'stratified'."
        )
    present = np.unique(table.folds).tolist()
    if len(present) < 2 or present != list(range(len(present))):
        raise UsageError(
            f"The column of folds holds {_shown(present)}: number at least 2 folds from 0 without a gap."
        )
    folds = Folds(np.asarray(table.folds)[None], len(present))
    _refuse_crossing(folds, table, "give all cases of the subject the same fold")
    return folds


def _by_site(table: Cases) -> Folds:
    if table.sites is None:
        raise UsageError(
            "config.folds.scheme = 'site', but the data have no column of sites: name it in "
            "config.data.site_key or set scheme to 'stratified'."
        )
    names, number = np.unique(table.sites, return_inverse=True)
    if "" in names.tolist():
        missing = int((np.asarray(table.sites) == "").sum())
        raise UsageError(
            f"config.folds.scheme = 'site', but {missing} cases have an empty site: fill it in or leave "
            "these cases out."
        )
    if len(names) < 2:
        raise UsageError(
            f"config.folds.scheme = 'site', but all cases come from site {str(names[0])!r}: set scheme to "
            "'stratified'."
        )
    folds = Folds(number[None], len(names))
    cure = "give it one site, or tell the subjects apart if they only share a name"
    _refuse_crossing(folds, table, cure)
    return folds


def _refuse_crossing(folds: Folds, table: Cases, cure: str) -> None:
    found = folds.crossing(table.subjects)
    if found:
        raise UsageError(f"Subject {found[0]!r} has cases in folds {_shown(found[1])}: {cure}.")


# --- drawn folds ------------------------------------------------------------------------------------


def _stratified(table: Cases, strata: Strata, count: int, repeats: int, seed: int) -> Folds:
    _check_enough(table, strata, count)
    rows: list[np.ndarray] = []
    for repeat in range(repeats):
        first = seed if repeat == 0 else int(digest(["repeat", seed, repeat], 8), 16)
        rows.append(_draw(table, strata, count, first, rows))
    offsets = count * np.arange(repeats)[:, None]
    return Folds(np.stack(rows) + offsets, count, repeats)


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _check_enough(table: Cases, strata: Strata, count: int) -> None:
    if count < 2:
        raise UsageError(f"config.folds.count = {count}: must be at least 2.")
    everyone = len(np.unique(table.subjects))
    for number, name in enumerate(strata.names if strata.needed else ()):
        of_class = strata.numbers == number
        subjects = len(np.unique(table.subjects[of_class]))
        if subjects < min(count, everyone):
            cure = f"set config.folds.count to at most {subjects}, or " if subjects >= FEWEST else ""
            cases = _counted(int(of_class.sum()), "case")
            raise UsageError(
                f"config.folds.count = {count}, but class {name!r} has {cases} of "
                f"{_counted(subjects, 'subject')}, too few for {count} folds: {cure}merge the class or leave "
                "it out."
            )
    if everyone < count:
        cure = f"set config.folds.count to at most {everyone}, or " if everyone >= FEWEST else ""
        raise UsageError(
            f"config.folds.count = {count}, but there are {everyone} subjects, and a subject lies in one "
            f"fold: {cure}add subjects."
        )


def _draw(table: Cases, strata: Strata, count: int, seed: int, earlier: Sequence[np.ndarray]) -> np.ndarray:
    """[N] int64 folds from 0: the first draw that is new and has what is needed in every fold."""
    known = {_partition(row) for row in earlier}
    lacking = 0
    for attempt in range(ATTEMPTS):
        drawn = strata.numbers, strata.needed, count, (seed + _SEED_STEP * attempt) % 2**32
        row = elsewhere.call(split, table.subjects, *drawn)
        parts = [row[strata.numbers == c] for c in range(len(strata.names))] if strata.needed else [row]
        complete = all(len(np.unique(part)) == count for part in parts)
        lacking += not complete
        if complete and _partition(row) not in known:
            return row
    if lacking == ATTEMPTS and not strata.needed:
        everyone = len(np.unique(table.subjects))
        raise UsageError(
            f"config.folds.count = {count}: {lacking} of {ATTEMPTS} draws left a fold without cases, of "
            f"{everyone} subjects. Use fewer folds."
        )
    if lacking and strata.needed:
        rarest = int(np.argmin(np.bincount(strata.numbers, minlength=len(strata.names))))
        cases = strata.numbers == rarest
        raise UsageError(
            f"config.folds.count = {count}: {lacking} of {ATTEMPTS} draws left a fold without some class; "
            f"the rarest class, {strata.names[rarest]!r}, has {int(cases.sum())} cases of "
            f"{len(np.unique(table.subjects[cases]))} subjects. Use fewer folds or merge rare classes."
        )
    raise UsageError(
        f"config.folds.repeats is more than {len(earlier)}, but {ATTEMPTS} further draws gave only folds of "
        f"earlier repeats: set it to {len(earlier)}."
    )


def split(subjects: np.ndarray, strata: np.ndarray, needed: bool, count: int, seed: int) -> np.ndarray:
    """One draw of folds, by scikit-learn.

    Args:
        subjects: [N], of the cases.
        strata: [N] int, their numbers from 0.
        needed: whether each fold is to hold every stratum.
        count: of folds.
        seed: of the draw.

    Returns:
        [N] int64, from 0.
    """
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold  # slow to import

    # scikit-learn draws by row, so rows are brought into an order of their own first.
    order = np.lexsort((strata, subjects))
    labels, subjects = strata[order], subjects[order]
    if not needed and np.bincount(labels).max() < count:
        labels = np.zeros_like(labels)  # too few cases to tell strata apart
    alone = len(np.unique(subjects)) == len(subjects)
    splitter = (StratifiedKFold if alone else StratifiedGroupKFold)(count, shuffle=True, random_state=seed)
    row = np.empty(len(labels), np.int64)
    with warnings.catch_warnings():
        if not needed:  # of a stratum smaller than the folds are many, some folds hold nothing
            warnings.simplefilter("ignore", UserWarning)
        for fold, (_, held_out) in enumerate(splitter.split(labels, labels, None if alone else subjects)):
            row[order[held_out]] = fold
    return row


def _partition(row: np.ndarray) -> bytes:
    """The same bytes for the same sets of cases, however the sets are numbered."""
    _, first, number = np.unique(row, return_index=True, return_inverse=True)
    return first[number].tobytes()


def _shown(values: Sequence[int]) -> str:
    return ", ".join(map(str, values[:8])) + (", ..." if len(values) > 8 else "")
