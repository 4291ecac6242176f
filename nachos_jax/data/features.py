"""Cohorts of vectors, from files and from Python, and the vectors to predict: the same columns by name."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from nachos_jax.config.data_fields import IMPUTE, WAIVER
from nachos_jax.config.run_config import DataConfig
from nachos_jax.core.errors import UsageError
from nachos_jax.core.paths import expanded
from nachos_jax.data import checks, vectors, views
from nachos_jax.data.columns import Columns, case_table, check_cases
from nachos_jax.data.feature_files import FeatureFile, chosen, doubts, matches, opened
from nachos_jax.data.npz import FeatureArchive
from nachos_jax.data.reading import same_depth
from nachos_jax.data.table import CaseTable, Cohort, identity
from nachos_jax.data.targets import TargetReader, Targets
from nachos_jax.data.vectors import Vectors
from nachos_jax.data.views import Viewed

BACKBONE, IMAGES, VIEWS = "backbone", "images", "views"
"""What `nachos embed` tells of its features; the first and the last are arrays."""
BACKBONE_IDENTITY = ("name", "layer", "sha256", "height", "width", "interpolation", "mean", "sd", "range")
"""Facts of a frozen backbone on which its features depend, beside the pixels."""
_OF_FILE = ("patterns", "others")
"""Of the images' preparation: which columns of their table were not taken."""


def load(data: DataConfig, reader: TargetReader) -> Cohort:
    """Reads and checks the cases of a config whose source is "vectors".

    Args:
        data: config.data.
        reader: the task, which reads its targets from the columns.

    Raises:
        UsageError: anything that the case table or the features have wrong, with row or column and cure.
    """
    file = opened(Path(expanded(data.path)), data)
    columns = replace(file.columns(data), spellings=data.spellings)
    check_cases(columns)
    told = embedding(file.path)
    names = _as_inside(file, told, data) if data.like else chosen(file, data.features, data.exclude)
    learned = not told and not data.like  # units of a backbone may be silent in all cases
    check = vectors.checked if learned else vectors.stored
    values, targets, table, _ = checks.together(
        lambda: check(file.values(names), names, file.where, data.impute),
        lambda: reader.targets(columns, data.classes),
        lambda: case_table(columns, data.subject == WAIVER),
        lambda: _different(columns),
    )
    others = [name for name in file.header if name not in names]
    notes = [f"left out of the features: {checks.listed(others, 20)}"] if others else []
    preparation = {"patterns": list(data.features), "others": others, "case_key": data.case_key}
    preparation |= {key: told[key] for key in (BACKBONE, VIEWS) if key in told}
    plain = Vectors(values, data.impute)
    store: Vectors | Viewed = plain
    if VIEWS in told and not data.like:  # nobody reads another view than the plain one of external cases
        places = [file.header.index(name) for name in names]
        store = views.Viewed(plain, _views(file.path)[..., places])
    found = cohort_of(table, targets, store, names, preparation, notes)
    return replace(found, doubts=(*found.doubts, *doubts(file, names)))


def _views(path: Path) -> np.ndarray:
    """[N, K, D] float32, which `nachos embed` wrote beside the features."""
    with np.load(path, allow_pickle=False) as archive:
        return archive[VIEWS].astype(np.float32)


def _as_inside(file: FeatureFile, told: Mapping[str, Any], data: DataConfig) -> tuple[str, ...]:
    """The features of the cases that these are read like, whatever the order of the columns."""
    same_columns(file, data.like["features"], data.like)
    _same_backbone(file.path, told, data.like)
    here, there = (dict(of.get(IMAGES) or {}) for of in (told, data.like))
    # What a file has besides is its own, and so is its dtype as far as networks can read both.
    depths = [np.dtype(of["dtype"]) for of in (here, there) if "dtype" in of]
    alike = len(depths) == 2 and same_depth(*depths)
    for of in (here, there):
        for name in (*_OF_FILE, *(("dtype",) if alike else ())):
            of.pop(name, None)
    if here != there:
        raise UsageError(
            f"{file.path.name} was embedded from images that were prepared otherwise than those of the cases "
            f"that models learn from: {_differing(here, there)}; run "
            "`nachos embed` on its images with the config of those."
        )
    return tuple(data.like["features"])


def _differing(here: Mapping[str, Any], there: Mapping[str, Any]) -> str:
    names = [name for name in (*here, *there) if here.get(name) != there.get(name)]
    return ", ".join(f"{n} {here.get(n)!r} and {there.get(n)!r}" for n in dict.fromkeys(names))


def _same_backbone(path: Path, told: Mapping[str, Any], preparation: Mapping[str, Any]) -> None:
    """Refuses features whose names are those of training, and whose weights are not.

    What the weights are called, or are said to come from, is free text and no difference.
    """
    here, there = (of.get(BACKBONE) or {} for of in (told, preparation))
    if any(here.get(key) != there.get(key) for key in BACKBONE_IDENTITY):
        raise UsageError(
            f"{path.name} was embedded by another backbone, layer or weights than the cases that models "
            "learn from: run `nachos embed` on its images with the config of those."
        )


def embedding(path: Path) -> dict[str, Any]:
    """What `nachos embed` wrote into an NPZ file of the backbone and its images; {} of another file."""
    if path.suffix.lower() != ".npz":
        return {}
    with np.load(path, allow_pickle=False) as archive:
        if BACKBONE not in archive.files:
            return {}
        try:
            return dict(json.loads(str(archive[BACKBONE])))
        except ValueError as error:
            raise UsageError(
                f"{path.name}: its array {BACKBONE!r} is damaged; run `nachos embed` again."
            ) from error


def cohort_of(
    table: CaseTable,
    targets: Targets,
    store: Vectors | Viewed,
    names: Sequence[str],
    preparation: Mapping[str, Any],
    notes: Sequence[str] = (),
) -> Cohort:
    """Puts a cohort of vectors together, whose columns have these names."""
    plain = store.plain if isinstance(store, Viewed) else store
    told = noted(plain, names)
    preparation = {**preparation, "features": list(names), "impute": plain.impute, "dtype": "float32"}
    known = identity(table, targets, store.content(), preparation)
    return Cohort(table, targets, store, preparation, known, (*told, *notes), doubts=targets.doubts)


def noted(store: Vectors, names: Sequence[str]) -> list[str]:
    """What people should know of vectors: which columns, what is missing, what float32 hardly tells apart."""
    told = [f"{len(names):,} features: {checks.listed(names)}"]
    missing = np.isnan(store.values).any(axis=0)
    if missing.any():
        cells = int(np.isnan(store.values).sum())
        told.append(
            f"{cells:,} values of {int(missing.sum()):,} features are missing: imputed by the {store.impute} "
            "of each fit's training cases"
        )
    return [*told, *vectors.far_from_zero(store.values, names)]


def given(
    table: CaseTable,
    targets: Targets,
    values: np.ndarray,
    names: Sequence[str],
    impute: str,
    like: Mapping[str, Any] | None = None,
) -> Cohort:
    """The cohort of vectors [N, D] given from Python, whose columns have these names; () numbers them.

    Raises:
        UsageError: as `checked`.
    """
    found, names = checked(values, names, impute, like["features"] if like else None)
    return cohort_of(table, targets, Vectors(found, impute), names, {"patterns": [], "others": []})


def checked(
    values: np.ndarray, names: Sequence[str], impute: str, like: Sequence[str] | None = None
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Vectors [N, D] given from Python, as they are stored, and the names of their columns.

    Args:
        values: the vectors.
        names: of their columns; () numbers them, or takes those of `like`.
        impute: what stands for a missing value.
        like: names of the columns of other cases, in whose order these are put; nothing is learned of them.

    Raises:
        UsageError: they are no numbers, not one name a column, other columns than those of `like`, or as
            `nachos_jax.data.vectors.checked`.
    """
    if values.dtype.kind not in "biuf" or not values.shape[1]:
        raise UsageError(f"vectors of shape {values.shape}, type {values.dtype}: give numbers [N, D].")
    names = tuple(names) or tuple(like or (f"feature_{column}" for column in range(values.shape[1])))
    if len(names) != values.shape[1] or len(set(names)) != len(names):
        raise UsageError(
            f"features: {len(names)} names, {len(set(names))} of them different, for {values.shape[1]} "
            "columns; give each column its own."
        )
    if impute not in IMPUTE:
        raise UsageError(f"impute = {impute!r}: must be one of {', '.join(map(repr, IMPUTE))}.")
    if like is None:
        return vectors.checked(values, names, _row, impute), names
    if set(names) != set(like):
        odd = checks.listed(sorted(set(names) ^ set(like)))
        raise UsageError(f"features: {odd} are not known of both, the cases inside and the external ones.")
    ordered = values[:, [names.index(name) for name in like]]
    return vectors.stored(ordered, like, _row, impute), tuple(like)


def _row(row: int) -> str:
    return f"row {row} (counted from 0)"


def read_inputs(paths: Sequence[Path], preparation: Mapping[str, Any]) -> tuple[list[str], np.ndarray]:
    """Reads cases to predict, whose columns are those of training by name.

    Args:
        paths: files as training reads them; labels and the like are not needed.
        preparation: `Cohort.preparation` of the training data.

    Returns:
        Names of the cases, and their features [N, D] float32.

    Raises:
        UsageError: nothing to read, a file twice, a missing column, or one that training did not have.
    """
    if not paths:
        raise UsageError("there is nothing to predict; name files with the features of the cases.")
    files = [opened(Path(expanded(os.fspath(path)))) for path in paths]
    for file in files:
        told = embedding(file.path)
        if told and BACKBONE in preparation:
            _same_backbone(file.path, told, preparation)
    parts = [of_training(file, preparation["features"], preparation) for file in files]
    titles = _titles(paths)
    names = [
        case for file, title in zip(files, titles, strict=True) for case in _names(file, preparation, title)
    ]
    return names, np.concatenate(parts)


def _titles(paths: Sequence[Path]) -> list[str]:
    """What stands before the cases of each of several files: its name, or its path where others bear it."""
    places = Counter(Path(expanded(os.fspath(path))).resolve() for path in paths)
    twice = next((place for place, count in places.items() if count > 1), None)
    if twice is not None:
        raise UsageError(f"{twice} is given {places[twice]} times; give each file once.")
    if len(paths) == 1:
        return [""]
    bearing = Counter(path.name for path in map(Path, paths))
    return [f"{path.name if bearing[path.name] == 1 else path}: " for path in map(Path, paths)]


def of_training(file: FeatureFile, names: Sequence[str], preparation: Mapping[str, Any]) -> np.ndarray:
    """[N, D] float32: the columns of a file to predict that have the names of those of training.

    Raises:
        UsageError: one is missing, training did not have one, a number with underscores, or as
            `nachos_jax.data.vectors.stored`.
    """
    same_columns(file, names, preparation)
    values = file.values(names)
    if found := doubts(file, names):
        raise UsageError(found[0])
    return vectors.stored(values, names, file.where, preparation["impute"])


def fitting(values: np.ndarray, preparation: Mapping[str, Any]) -> np.ndarray:
    """[N, D] float32: vectors to predict, whose columns stand in the order of training.

    Raises:
        UsageError: another shape, no numbers, or as `nachos_jax.data.vectors.stored`.
    """
    values, names = np.asarray(values), preparation["features"]
    if values.ndim != 2 or values.shape[1] != len(names) or values.dtype.kind not in "biuf":
        raise UsageError(
            f"vectors of shape {values.shape}, type {values.dtype}: this model takes numbers "
            f"[N, {len(names)}], a column a feature: {checks.listed(names)}."
        )
    return vectors.stored(values, names, _row, preparation["impute"])


def check_preparation(preparation: Mapping[str, Any], count: int) -> None:
    """Raises ValueError where a preparation that was stored is not one of so many features."""
    names = preparation["features"]
    if type(names) is not list or any(type(name) is not str for name in names) or len(names) != count:
        raise ValueError("its features are no names, or not as many as its channels")
    if preparation.get("impute") not in IMPUTE:
        raise ValueError("its preparation does not say how values are imputed")


def _names(file: FeatureFile, preparation: Mapping[str, Any], title: str) -> list[str]:
    try:
        cases = file.cases(preparation.get("case_key", ""))
    except UsageError:  # what names the cases of training need not be there
        cases = file.cases("")
    return [f"{title}{case}" for case in cases]


def same_columns(file: FeatureFile, names: Sequence[str], preparation: Mapping[str, Any]) -> None:
    """Refuses a file without some of the columns of training, or with others that its patterns would choose.

    Args:
        file: cases that are read like those of training.
        names: of the columns of training.
        preparation: "patterns" and "others" of those of training.

    Raises:
        UsageError: likewise.
    """
    missing = [name for name in names if name not in file.header]
    if missing:
        raise UsageError(
            f"{file.path.name} lacks {len(missing)} of the model's {len(names)} features: "
            f"{checks.listed(missing)}; it has {checks.listed(file.header)}. Compute them as for training."
        )
    patterns, known = preparation.get("patterns") or ("*",), {*names, *preparation.get("others", ())}
    others = [name for name in file.header if name not in known and matches(name, patterns)]
    if others and (isinstance(file, FeatureArchive) or "*" not in patterns):
        raise UsageError(
            f"{file.path.name} has {len(others)} feature(s) that the model was not trained on: "
            f"{checks.listed(others)}; leave them out, or compute the features as for training."
        )


def _different(columns: Columns) -> None:
    """Refuses a case name that stands twice."""
    counts = Counter(columns.names)
    twice = [
        (row, f"case {name!r} stands twice") for row, name in enumerate(columns.names) if counts[name] > 1
    ]
    checks.refuse(twice, columns.where, "name each case once, or name another column in config.data.case_key")
    checks.no_empty(columns.names, "case", columns.where)
