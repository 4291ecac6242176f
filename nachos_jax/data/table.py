"""The case table: who is in the study, what is known of each case, and where its pixels are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class CaseTable:
    """One row a case, N cases; checked on construction by the readers, never changed after.

    Attributes:
        names: [N] str, unique: the file as the folder or CSV names it, or "row-000017" of an array.
        labels: [N] int32, index into `classes`.
        classes: C class names, in the order of the probabilities.
        subjects: [N] str; equal to `names` when the config waives subjects.
        sites: [N] str, or None when unknown.
        folds: [N] int32 predefined folds counted from 0, or None.
        splits: [N] str: the split that the source shipped with ("train", ...), or None. For
            information only: nothing is trained or tested by it.
        waived: True when the user stated that every case is a subject of its own.
        columns: further columns by name, [N] str each: for subgroups of the report only.
    """

    names: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]
    subjects: np.ndarray
    sites: np.ndarray | None = None
    folds: np.ndarray | None = None
    splits: np.ndarray | None = None
    waived: bool = False
    columns: Mapping[str, np.ndarray] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.names)

    def counts(self) -> dict[str, int]:
        """Number of cases of each class, by class name."""
        n = np.bincount(self.labels, minlength=len(self.classes))
        return dict(zip(self.classes, n.tolist(), strict=True))


@dataclass(frozen=True)
class Cohort:
    """A case table with its decoded pixels, ready for the engine.

    Attributes:
        table: the N cases.
        images: [N, H, W, C] in stored dtype (uint8, uint16, int16, float16 or float32), possibly
            memory-mapped; C is 1 or 3.
        preparation: how the pixels came about, as prediction repeats it: "height", "width" and
            "channels" of every image, "aspect" ("stretch" or "pad"), "dtype" as stored, "resized" and
            "convert_channels": whether the config asked for that size and for that many channels.
        hash: digest of names, labels, classes, subjects, sites, predefined folds and pixels.
    """

    table: CaseTable
    images: np.ndarray
    preparation: dict
    hash: str

    @property
    def shape(self) -> Sequence[int]:
        """(H, W, C) of one case."""
        return self.images.shape[1:]
