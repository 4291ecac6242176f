"""The case table, who is in the study; and the cohort, all that is known of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

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


@dataclass(frozen=True)
class Cohort:
    """Cases, their targets and their inputs, ready for the engine.

    Attributes:
        table: the N cases.
        targets: what is to be predicted of each.
        store: their inputs.
        preparation: how the inputs came about, as prediction repeats it. Of images: "height", "width" and
            "channels" of every image, "aspect" (see `preparation.prepare`), "dtype" as stored, "resized" and
            "convert_channels": whether the config asked for that size and for that many channels. Of vectors:
            "features", the names of the columns, "patterns" that chose them from "others", and "impute".
        hash: digest of names, targets, subjects, sites, predefined folds and pixels.
        notes: what people should know of how they were read: sizes, files that were left out.
        skipped: (name, why) of each case that cannot be read and was left out, see config.data.on_error.
    """

    table: CaseTable
    targets: Targets
    store: Store
    preparation: dict
    hash: str
    notes: tuple[str, ...] = ()
    skipped: tuple[tuple[str, str], ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one case, (H, W, C) of an image."""
        return self.store.shape
