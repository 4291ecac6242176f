"""The case table of a run as a record: who its cases are, what is true of them, in which fold each lies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from nachos_jax.core.errors import UsageError
from nachos_jax.records.schema import array, listed
from nachos_jax.splits.folds import Folds


@dataclass(frozen=True, eq=False)
class CaseRecord:
    """N cases.

    Attributes:
        names: [N] str.
        subjects: [N] str.
        sites: [N] str, or None when unknown.
        targets: [N, ...] as the task reads them: class numbers, labels with NaN for unknown, a number.
        folds: R repeats of K folds.
    """

    names: np.ndarray
    subjects: np.ndarray
    sites: np.ndarray | None
    targets: np.ndarray
    folds: Folds

    def folds_of(self, names: np.ndarray, where: str) -> Folds:
        """The folds in the order of a case table with these names.

        Raises:
            UsageError: it holds other cases; `where` names the run directory.
        """
        if np.array_equal(names, self.names):
            return self.folds
        place = {name: i for i, name in enumerate(self.names.tolist())}
        added = [name for name in names.tolist() if name not in place]
        lost = sorted(place.keys() - set(names.tolist()))
        if added or lost:
            told = [f"{len(added)} are new, e.g. {added[0]!r}"] if added else []
            told += [f"{len(lost)} are gone, e.g. {lost[0]!r}"] if lost else []
            raise UsageError(
                f"The cases of {where} have changed since its first run: {' and '.join(told)}. Restore the "
                "data, or give the new data a --workdir of their own."
            )
        order = [place[name] for name in names.tolist()]
        return Folds(self.folds.assignment[:, order], self.folds.count, self.folds.repeats)


def to_json(record: CaseRecord) -> dict[str, Any]:
    """Plain JSON values: one list a column."""
    return {
        "names": record.names.tolist(),
        "subjects": record.subjects.tolist(),
        "sites": None if record.sites is None else record.sites.tolist(),
        "targets": listed(record.targets),
        "folds": record.folds.assignment.tolist(),
        "count": record.folds.count,
    }


def from_json(value: Mapping[str, Any]) -> CaseRecord:
    """The record in the JSON form of `to_json`.

    Raises:
        KeyError, ValueError, TypeError: it is damaged.
    """
    folds = np.asarray(value["folds"], np.int32)
    sites = value["sites"]
    record = CaseRecord(
        names=np.asarray(value["names"], str),
        subjects=np.asarray(value["subjects"], str),
        sites=None if sites is None else np.asarray(sites, str),
        targets=array(value["targets"]),
        folds=Folds(folds, int(value["count"]), len(folds)),
    )
    columns = (record.subjects, record.targets, folds[0], *(() if sites is None else (record.sites,)))
    if {len(column) for column in columns if column is not None} != {len(record.names)}:
        raise ValueError("its columns differ in length")
    return record
