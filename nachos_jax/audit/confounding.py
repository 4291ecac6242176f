"""Shortcuts: can the class be told from what is written beside a picture, without the picture?"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from nachos_jax.audit.finding import FAULT, Finding
from nachos_jax.data import described
from nachos_jax.data.inspected import Inspected
from nachos_jax.data.spellings import is_missing
from nachos_jax.statistics.intervals import Interval, auc_influence

FOLDS, FEWEST, SUSPECT = 5, 10, 0.65
"""Folds; cases of a class that take part; AUC that the interval must lie above to be a finding."""
TREES = 50
"""Of a forest that tells classes by columns."""
MOST_VALUES = 30
"""Values of a column of words; one with more is a name of some kind and is left out."""


@dataclass(frozen=True)
class Shortcut:
    """How well some columns tell a class.

    Attributes:
        columns: their names.
        target: the class that is told best, against all others.
        auc: its AUC over cases that the model had not seen.
    """

    columns: tuple[str, ...]
    target: str
    auc: Interval


def metadata(found: Inspected) -> dict[str, np.ndarray]:
    """[N] float columns that a model can read, by name: numbers, and words by their frequency's rank."""
    sites = {} if found.cohort.table.sites is None else {"site": found.cohort.table.sites}
    read = {name: _numbers(values) for name, values in {**sites, **found.columns, **found.files}.items()}
    return {name: values for name, values in read.items() if values is not None}


def unread(found: Inspected) -> list[str]:
    """Columns of several values that `metadata` leaves out."""
    read = metadata(found)
    return [
        name for name, cells in found.columns.items() if name not in read and len(set(cells.tolist())) > 1
    ]


def shortcuts(found: Inspected) -> list[Shortcut]:
    """How well all columns together, and each alone, tell the class; [] where there is nothing to tell it by.

    A random forest in five folds that are stratified by class and grouped by subject.
    """
    targets, columns = found.cohort.targets, metadata(found)
    if targets.noun != "class" or targets.has.shape[1] < 2 or not columns:
        return []
    asked = [tuple(columns), *((name,) for name in columns)] if len(columns) > 1 else [tuple(columns)]
    told = [_told(found, names, columns) for names in asked]
    known = [shortcut for shortcut in told if shortcut is not None]
    return [*known[:1], *sorted(known[1:], key=lambda shortcut: -(shortcut.auc.estimate or 0))]


def findings(found: Inspected, told: list[Shortcut]) -> Iterator[Finding]:
    """Classes that the columns tell, and classes that come from one site alone."""
    # A perfect AUC has no spread and so no interval.
    lowest = [one.auc.estimate if one.auc.low is None else one.auc.low for one in told]
    strong = [one for one, low in zip(told, lowest, strict=True) if low is not None and low > SUSPECT]
    if strong:
        shown = "; ".join(f"{_named(one.columns)} (AUC {one.auc.estimate:.2f})" for one in strong[:5])
        yield Finding(
            "class told by metadata",
            FAULT,
            f"The class can be told without the pictures, by {shown}.",
            "A network may learn the scanner and not the disease: test on sites that training has not seen "
            "(config.folds.scheme = 'site'), and leave out columns that are the diagnosis in other words.",
        )
    yield from _one_site(found)


def _one_site(found: Inspected) -> Iterator[Finding]:
    sites, targets = found.cohort.table.sites, found.cohort.targets
    if sites is None or len(set(sites.tolist())) < 2 or targets.noun != "class":
        return
    for name, has in zip(targets.names, targets.has.T, strict=False):
        holders = Counter(sites[has].tolist())
        if len(holders) == 1:
            (site,) = holders
            yield Finding(
                "class of one site",
                FAULT,
                f"All {int(has.sum()):,} cases of class {name!r} come from site {site!r}: a network cannot "
                "tell the class from the site.",
                "Add cases of this class from other sites, and of others from this one.",
            )


def _told(found: Inspected, names: tuple[str, ...], columns: Mapping[str, np.ndarray]) -> Shortcut | None:
    from sklearn.ensemble import RandomForestClassifier  # late: slow to import
    from sklearn.model_selection import StratifiedGroupKFold

    targets, subjects = found.cohort.targets, found.cohort.table.subjects
    _, groups = np.unique(subjects, return_inverse=True)
    per_class = [len(set(groups[has].tolist())) for has in targets.has.T]
    enough = [number for number, count in enumerate(per_class) if count >= FEWEST]
    if len(enough) < 2:
        return None
    values = np.stack([columns[name] for name in names], axis=1)
    chosen = np.flatnonzero(targets.has[:, enough].any(axis=1))
    labels, folds = targets.values[chosen], np.zeros(len(chosen), np.int64)
    scores = np.zeros((len(chosen), len(targets.names)))
    division = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0)
    for number, (train, test) in enumerate(division.split(values[chosen], labels, groups[chosen])):
        forest = RandomForestClassifier(TREES, min_samples_leaf=5, random_state=0)
        forest.fit(values[chosen][train], labels[train])
        scores[np.ix_(test, forest.classes_)] = forest.predict_proba(values[chosen][test])
        folds[test] = number
    intervals = {
        n: auc_influence((labels == n).astype(int), scores[:, n], folds, groups[chosen]) for n in enough
    }
    best = max(intervals, key=lambda n: intervals[n].estimate or 0.0)
    return Shortcut(names, targets.names[best], intervals[best])


def _numbers(values: np.ndarray) -> np.ndarray | None:
    """A column as numbers, -1 where nothing is known; None where it has one value, or names the case."""
    texts = values.tolist()
    counts = Counter(texts)
    read = [math.nan if is_missing(text) else described.number(text) for text in texts]
    if None in read:
        if not 1 < len(counts) <= MOST_VALUES:
            return None
        rank = {
            text: place
            for place, (text, _) in enumerate(sorted(counts.items(), key=lambda row: (-row[1], row)))
        }
        return np.asarray([float(rank[text]) for text in texts])
    numbers = np.asarray(read, float)
    whole = len(counts) == len(texts) and np.all(np.isfinite(numbers)) and np.all(numbers == np.rint(numbers))
    if len(counts) < 2 or whole:  # numbers of the rows say nothing
        return None
    return np.nan_to_num(numbers, nan=-1.0, posinf=-1.0, neginf=-1.0)


def _named(columns: tuple[str, ...]) -> str:
    return columns[0] if len(columns) == 1 else "all columns together"
