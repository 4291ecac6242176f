"""External cases and their tests as records: who they are, and what a model predicted of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nachos_jax.records import decode
from nachos_jax.records.schema import array, listed


@dataclass(frozen=True, eq=False)
class ExternalCases:
    """The M cases that are kept out of everything.

    Attributes:
        hash: of the external cohort.
        names: [M] str.
        subjects: [M] str.
        sites: [M] str.
        targets: [M, ...] as the task reads them.
        intensity: of images, "inside" and "external": mean and SD [C] of all their pixels by "mean" and "sd".
        people: what is known of the subjects on both sides, see `nachos_jax.data.described.both`.
        after: outer folds whose test was known when these cases were named.
        cautions: sentences that must stand beside every test of them.
    """

    hash: str
    names: np.ndarray
    subjects: np.ndarray
    sites: np.ndarray
    targets: np.ndarray
    intensity: Mapping[str, Mapping[str, list[float | None]]]
    people: Mapping[str, Mapping[str, Mapping[str, Any]]] = field(default_factory=dict)
    after: int = 0
    cautions: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class ExternalTest:
    """What one model predicted of all external cases.

    Attributes:
        model: "fold_03" for the refit of an outer fold, "deploy" for a deployed model.
        fits: ids of its networks; several give the mean of their predictions.
        hash: of the external cohort.
        arrays: as those of an outer test, [M, ...] by name, in the order of the external cases.
    """

    model: str
    fits: tuple[str, ...]
    hash: str
    arrays: Mapping[str, np.ndarray]


_COLUMNS = ("names", "subjects", "sites")
_TEST = ("model", "fits", "hash")


def cases_json(record: ExternalCases) -> dict[str, Any]:
    """Plain JSON values of external cases: one list a column."""
    columns = {name: getattr(record, name).tolist() for name in _COLUMNS}
    told = {"hash": record.hash, "targets": listed(record.targets), "intensity": dict(record.intensity)}
    further = {name: value for name in ("people", "after") if (value := getattr(record, name))}
    cautions = {"cautions": list(record.cautions)} if record.cautions else {}
    return {**columns, **told, **further, **cautions}


def cases(value: Mapping[str, Any]) -> ExternalCases:
    """The record in the JSON form of `cases_json`.

    Raises:
        KeyError, ValueError, TypeError: it is damaged.
    """
    columns = {name: np.asarray(value[name], str) for name in _COLUMNS}
    found = ExternalCases(
        value["hash"],
        **columns,
        targets=array(value["targets"]),
        intensity=value["intensity"],
        people=value.get("people", {}),
        after=value.get("after", 0),
        cautions=tuple(value.get("cautions", ())),
    )
    if {len(column) for column in (*columns.values(), found.targets)} != {len(found.names)}:
        raise ValueError("its columns differ in length")
    return found


def test_json(record: ExternalTest) -> dict[str, Any]:
    """Plain JSON values of a test of external cases."""
    return {
        "model": record.model,
        "fits": list(record.fits),
        "hash": record.hash,
        **{name: listed(values) for name, values in record.arrays.items()},
    }


def test(value: Mapping[str, Any]) -> ExternalTest:
    """The record in the JSON form of `test_json`.

    Raises:
        KeyError, ValueError, TypeError: it is damaged.
    """
    arrays = {name: array(rows) for name, rows in value.items() if name not in _TEST}
    if len({len(values) for values in arrays.values()}) != 1:
        raise ValueError("its columns differ in length")
    plain = {"arrays": {}, **{name: value[name] for name in _TEST}}
    return dataclasses.replace(decode.read(ExternalTest, plain), arrays=arrays)
