"""The case table, who is in the study; and the cohort, all that is known of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from nachos_jax.core.errors import UsageError
from nachos_jax.core.hparams import preparation_of
from nachos_jax.core.types import HParams, HParamValue, digest
from nachos_jax.data.store import Store
from nachos_jax.data.targets import Targets


@dataclass(frozen=True)
class CaseTable:
    """One row a case, N cases; checked on construction by the readers, never changed after.

    Attributes:
        names: [N] str, unique: the file as the folder or CSV names it, or "row-000017" of an array.
        subjects: [N] str; equal to `names` when the config waives subjects.
        sites: [N] str, or None when unknown.
        folds: [N] int32 predefined folds counted from 0, or None.
        waived: True when the user stated that every case is a subject of its own.
        columns: further columns by name, [N] str each: for subgroups of the report only.
    """

    names: np.ndarray
    subjects: np.ndarray
    sites: np.ndarray | None = None
    folds: np.ndarray | None = None
    waived: bool = False
    columns: Mapping[str, np.ndarray] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.names)

    def take(self, rows: np.ndarray) -> CaseTable:
        """Some cases alone, [n] row numbers, as if no others had been read."""
        folds = None if self.folds is None else np.unique(self.folds[rows], return_inverse=True)[1]
        return replace(
            self,
            names=self.names[rows],
            subjects=self.subjects[rows],
            sites=None if self.sites is None else self.sites[rows],
            folds=None if folds is None else folds.astype(np.int32),
            columns={name: cells[rows] for name, cells in self.columns.items()},
        )


JOINED = "joined"
"""In a preparation, names of the columns of the vectors that stand beside images."""


@dataclass(frozen=True)
class Prepared:
    """The same cases once more, prepared otherwise; see `Cohort`."""

    store: Store
    preparation: dict


@dataclass(frozen=True)
class Cohort:
    """Cases, their targets and their inputs, ready for the engine.

    Attributes:
        table: the N cases.
        targets: what is to be predicted of each.
        store: their inputs.
        preparation: how the inputs came about, as prediction repeats it. Of images: "height", "width" and
            "channels" of every image, "aspect" (see `preparation.prepare`), "dtype" as stored, "resized" and
            "convert_channels": whether the config asked for that size and for that many channels; where
            cases came as volumes, "volume", "depth" and "spacing" too (see `nachos_jax.data.volumes`); where
            they have masks, "axes", "unit", "codes" and "turned" (see `nachos_jax.data.masks`). Of
            vectors: "features", the names of the columns, "patterns" that chose them from "others",
            and "impute"; of images with a vector beside each, "joined" names its columns, with the same
            three (see `nachos_jax.data.joined`).
        hash: digest of names, targets, subjects, sites, predefined folds and pixels.
        notes: what people should know of how they were read: sizes, files that were left out.
        cautions: sentences that must stand beside every estimate from these cases.
        outside: external cases, which are kept out of everything and tested once; None where there are none.
        weights: by name, those that every fit starts from where a pretrained network is trained on; else {}.
        others: further stores of the same cases by what of the hyperparameters names them, see
            `nachos_jax.core.hparams.preparation_of`; `store` and `preparation` are those of the config.
        skipped: (name, why) of each case that cannot be read and was left out, see config.data.on_error.
        eight_bit: names of cases with masks whose images have 8 bits, where those of others have more.
        doubts: sentences with their cures on what may be meant in two ways: no run begins with such cases.
    """

    table: CaseTable
    targets: Targets
    store: Store
    preparation: dict
    hash: str
    notes: tuple[str, ...] = ()
    cautions: tuple[str, ...] = ()
    outside: Cohort | None = None
    weights: Mapping[str, np.ndarray] = field(default_factory=dict)
    skipped: tuple[tuple[str, str], ...] = ()
    others: Mapping[tuple[tuple[str, HParamValue], ...], Prepared] = field(default_factory=dict)
    eight_bit: frozenset[str] = frozenset()
    doubts: tuple[str, ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one case, (H, W, C) of an image, (D, H, W, C) of a volume."""
        return self.store.shape

    @property
    def joined(self) -> int:
        """Columns of the vector beside each image; 0 where there is none."""
        return len(self.preparation.get(JOINED, ()))

    def prepared(self, hparams: HParams) -> Cohort:
        """The cohort as fits with these hyperparameters see it, its external cases too.

        Raises:
            UsageError: no such store was prepared.
        """
        name = preparation_of(hparams)
        if not name:
            return replace(self, others={}) if self.others else self
        if name not in self.others:
            told = ", ".join(f"config.data.{one} = {value!r}" for one, value in name)
            raise UsageError(
                f"no store was prepared with {told}: the cases were given from Python as they are, or it is "
                "not among the values of config.search.space."
            )
        found = self.others[name]
        outside = self.outside and self.outside.prepared(hparams)
        return replace(self, store=found.store, preparation=found.preparation, outside=outside, others={})

    def take(self, rows: np.ndarray, targets: Targets) -> Cohort:
        """Some cases alone: hash and all, what would have been read had there been no others.

        Args:
            rows: [n] rising row numbers.
            targets: of these cases, see `TargetReader.part`.

        Raises:
            ValueError: a backbone has embedded these cases; its features do not tell the pixels of a part.
        """
        if "backbone" in self.preparation and "images" in self.preparation:
            raise ValueError("take the part of a cohort before it is embedded")
        table, store = self.table.take(rows), self.store.take(rows)
        known = identity(table, targets, store.content(), self.preparation)
        others = {name: replace(one, store=one.store.take(rows)) for name, one in self.others.items()}
        return replace(self, table=table, targets=targets, store=store, hash=known, others=others)


_IN_PREPARATION = ("features", "spacing", JOINED)
"""What of the preparation tells cohorts apart whose inputs are equal."""


def identity(
    table: CaseTable,
    targets: Targets,
    content: Mapping[str, str],
    preparation: Mapping[str, Any] | None = None,
) -> str:
    """The hash of a cohort whose store has this `content`, see `Cohort.hash`."""
    known = preparation or {}
    facts = {
        "names": table.names.tolist(),
        **targets.facts,
        "subjects": table.subjects.tolist(),
        "sites": None if table.sites is None else table.sites.tolist(),
        "folds": None if table.folds is None else table.folds.tolist(),
        **content,
        **{name: known[name] for name in _IN_PREPARATION if name in known},
    }
    return digest(facts, length=32)
