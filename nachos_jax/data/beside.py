"""Where vectors beside images come from: columns of the same table, an array of the same file, or Python."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from nachos_jax.config.run_config import DataConfig
from nachos_jax.core.errors import UsageError
from nachos_jax.core.paths import expanded
from nachos_jax.data import checks, csv_table, feature_files, features, vectors
from nachos_jax.data.csv_table import Sheet
from nachos_jax.data.feature_files import FeatureTable
from nachos_jax.data.joined import Inputs, Joined
from nachos_jax.data.store import Dense
from nachos_jax.data.table import JOINED, Cohort, identity
from nachos_jax.data.vectors import Vectors


@dataclass(frozen=True)
class Beside:
    """Vectors of N cases whose images are still to be decoded.

    Attributes:
        values: [N, D] float32, NaN where one is missing.
        names: of the D columns.
        preparation: "patterns" that chose them from "others", and "impute".
        doubts: see `nachos_jax.data.table.Cohort`.
    """

    values: np.ndarray
    names: tuple[str, ...]
    preparation: Mapping[str, Any]
    doubts: tuple[str, ...] = ()

    def without(self, rows: Sequence[int]) -> Beside:
        """The same of all cases but those of some rows."""
        return replace(self, values=np.delete(self.values, list(rows), axis=0))

    def joined(self, cohort: Cohort) -> Cohort:
        """The cohort of images, with a vector beside each."""
        assert isinstance(cohort.store, Dense)
        store = Joined(cohort.store, Vectors(self.values, self.preparation["impute"]))
        told = {JOINED: list(self.names), **self.preparation}
        preparation = {**cohort.preparation, **told}
        known = identity(cohort.table, cohort.targets, store.content(), preparation)
        found = features.noted(store.vectors, self.names)
        notes = (*cohort.notes, f"beside each image {found[0]}", *found[1:], *_left_out(told["others"]))
        doubts = (*cohort.doubts, *self.doubts)
        return replace(cohort, store=store, preparation=preparation, hash=known, notes=notes, doubts=doubts)


def _left_out(others: Sequence[str]) -> list[str]:
    return [f"left out of the features: {checks.listed(others, 20)}"] if others else []


def read(data: DataConfig, count: int) -> Beside:
    """The vectors that config.data.features chooses for the `count` images of a CSV table or an NPZ file.

    Of cases that are read like others (`data.like`) they are the columns of those, by name.

    Raises:
        UsageError: a pattern that finds nothing, a column of the others that is missing, another number of
            rows, or as `nachos_jax.data.vectors.checked`.
    """
    file = feature_files.opened(Path(expanded(data.path)), data)
    if isinstance(file, FeatureTable) and isinstance(file.table, Sheet):
        image = csv_table.image_column(file.table, data)
        file = replace(file, spent=(*file.spent, image, *(("series",) if data.volume else ())))
    if JOINED in data.like:  # of which nothing is learned, so a column may be the same for all cases
        names, check = tuple(data.like[JOINED]), vectors.stored
        features.same_columns(file, names, data.like)
    else:
        names, check = feature_files.chosen(file, data.features, data.exclude), vectors.checked
    values = check(file.values(names), names, file.where, data.impute)
    if len(values) != count:
        raise UsageError(
            f"{file.path.name} has features of {len(values):,} cases and {count:,} images: store a row "
            "an image."
        )
    others = [name for name in file.header if name not in names]
    preparation = {"patterns": list(data.features), "others": others, "impute": data.impute}
    return Beside(values, names, preparation, feature_files.doubts(file, names))


def given(
    values: np.ndarray, count: int, names: Sequence[str], impute: str, like: Mapping[str, Any] | None = None
) -> Beside:
    """Vectors [N, D] given from Python beside `count` images, whose columns have these names.

    `like` is the preparation of other cases that they are read like.

    Raises:
        UsageError: another number of rows, or as `nachos_jax.data.features.checked`.
    """
    if values.ndim != 2 or len(values) != count:
        raise UsageError(f"vectors of shape {values.shape} for {count} images; give [N, D], a row an image.")
    found, names = features.checked(values, names, impute, like.get(JOINED) if like else None)
    return Beside(found, names, {"patterns": [], "others": [], "impute": impute})


def read_vectors(paths: Sequence[Path], preparation: Mapping[str, Any]) -> np.ndarray:
    """[N, D] float32: the columns beside the images of CSV tables to predict, table after table.

    Raises:
        UsageError: an input that is no table, a column that is missing, or a value that is none.
    """
    names = preparation[JOINED]
    other = [path for path in paths if path.suffix.lower() != ".csv"]
    if other:
        raise UsageError(
            f"{other[0]}: this model is given {len(names)} feature(s) beside each image: "
            f"{checks.listed(names)}. Name a CSV table with a column 'path' and these columns."
        )
    files = [FeatureTable(csv_table.read_sheet(Path(expanded(str(path))))) for path in paths]
    return np.concatenate([features.of_training(file, names, preparation) for file in files])


def parted(cases: Any, preparation: Mapping[str, Any]) -> Inputs:
    """What was given to predict, as images and vectors [N, D] float32 whose columns are those of training.

    Raises:
        UsageError: it is no pair of both, or as `nachos_jax.data.features.fitting`.
    """
    names = preparation[JOINED]
    if not isinstance(cases, tuple) or len(cases) != 2:
        raise UsageError(
            f"this model takes the pair (images, vectors), vectors [N, {len(names)}]: {checks.listed(names)}."
        )
    images, values = np.asarray(cases[0]), features.fitting(cases[1], {**preparation, "features": names})
    if len(images) != len(values):
        raise UsageError(f"{len(images)} images and {len(values)} vectors: give a vector an image.")
    return Inputs(images, values)
