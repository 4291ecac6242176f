"""A cohort as it was found, for people to look at: with all columns, and with faults that a run refuses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from nachos_jax.config.run_config import DataConfig
from nachos_jax.core.paths import expanded
from nachos_jax.data import csv_table, decode, feature_files, given, image_files, npz, sources, spellings
from nachos_jax.data.columns import Columns
from nachos_jax.data.pixels import Source
from nachos_jax.data.table import Cohort
from nachos_jax.data.targets import TargetReader

DIVISIONS = ("fold", "split")
"""Columns that divide the cases, beside the one that config.data.fold_key names."""


@dataclass(frozen=True)
class Inspected:
    """What was found.

    Attributes:
        cohort: the cases; spellings stay apart, predefined folds stand in `divisions` alone, and where
            subjects are not known each case is its own.
        known: whether the data name the subjects.
        waived: whether the user states that each case is a subject of its own.
        divisions: [N] str by name: predefined folds and shipped splits, whoever crosses them.
        columns: [N] str by name: what else the data know of each case.
        files: [N] str by name: what the header of each image file says: type, size, depth, acquisition.
    """

    cohort: Cohort
    known: bool
    waived: bool
    divisions: Mapping[str, np.ndarray]
    columns: Mapping[str, np.ndarray]
    files: Mapping[str, np.ndarray]


def inspect(data: DataConfig, reader: TargetReader, progress: decode.Progress | None = None) -> Inspected:
    """Reads the cases of a config; only what cannot be read at all is refused.

    Raises:
        UsageError: likewise.
    """
    if data.source in sources.READERS or data.source == "vectors":
        given.check_source(data.source, Path(expanded(data.path)))
    fold = "fold" if data.source == "folder" else data.fold_key or "fold"
    waived = data.subject == sources.WAIVER
    named = (*data.target_keys, data.label_key, "label", "labels", data.subject_key, "subject", "patient_id")
    taken = {*named, data.site_key, "site", data.image_key, "path", "mask", data.mask_key, data.case_key}
    columns = [name for name in _column_names(data) if name not in taken - {*DIVISIONS, fold}]
    data = replace(data, columns=tuple(columns), spellings=spellings.APART, predefined=False)
    data = data if data.source == "folder" else replace(data, fold_key="")
    if data.source not in sources.READERS or reader.masks:
        cohort, known, files = sources.load(data, reader, progress), True, {}
        folds = None
    else:
        source = sources.READERS[data.source](data)
        known, folds = source.columns.subjects is not None, source.columns.folds
        cohort = sources.of_source(_lenient(source), _waived(data, source.columns), reader, progress)
        files = _file_facts(source)
    found = dict(cohort.table.columns)
    if folds is not None:
        found[fold] = np.asarray(folds, str)
    divided = {name: found.pop(name) for name in dict.fromkeys((fold, *DIVISIONS)) if name in found}
    return Inspected(cohort, known and not waived, waived, divided, found, files)


def _lenient(source: Source) -> Source:
    return replace(source, columns=replace(source.columns, folds=None))


def _waived(data: DataConfig, columns: Columns) -> DataConfig:
    return replace(data, subject=sources.WAIVER) if columns.subjects is None else data


def _column_names(data: DataConfig) -> Sequence[str]:
    """Columns of the source with a value a case; for tables of vectors those that are no features."""
    path = Path(expanded(data.path))
    if data.source == "npz" or (data.source == "vectors" and path.suffix.lower() == ".npz"):
        return npz.column_names(data)
    if data.source == "csv":
        return csv_table.read_sheet(path).header
    if data.source == "vectors":
        file = feature_files.opened(path, data)
        features = set(feature_files.chosen(file, data.features, data.exclude))
        return [name for name in file.header if name not in features]
    return ()


def _file_facts(source: Source) -> dict[str, np.ndarray]:
    files = source.pixels.files
    if len(files) != source.pixels.count or source.pixels.keys:
        return {}
    facts = [image_files.facts(path) for path in files]
    names = dict.fromkeys(name for fact in facts for name in fact)
    return {name: np.asarray([fact.get(name, "") for fact in facts], str) for name in names}
