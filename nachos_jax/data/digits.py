"""The handwritten digits that ship with scikit-learn: real images for a first try, without a download."""

from __future__ import annotations

import gzip
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from nachos_jax.config.run_config import DataConfig
from nachos_jax.core.errors import UsageError
from nachos_jax.data.columns import Columns
from nachos_jax.data.pixels import Pixels, ReadCase, Source


def read(data: DataConfig) -> Source:
    """1797 gray images of 8x8 pixels, uint8 values 0 to 16, classes "0" to "9", writers unknown.

    Raises:
        UsageError: the config names a subject, site or fold column, or a file.
    """
    for key in ("path", "subject_key", "site_key", "fold_key"):
        if getattr(data, key):
            raise UsageError(
                f"config.data.{key} = {getattr(data, key)!r}: the source 'digits' has none; set it to ''."
            )
    table = _table()
    images, targets = table[:, :-1].reshape(-1, 8, 8, 1), table[:, -1]

    def where(row: int) -> str:
        return f"digits row {row} (counted from 0)"

    def open_images() -> ReadCase:
        return images.__getitem__

    columns = Columns(
        source="digits",
        names=[f"row-{row:06d}" for row in range(len(images))],
        targets={"label": [str(label) for label in targets.tolist()]},
        where=where,
        subject_cure="scikit-learn does not say who wrote which digit",
    )
    return Source(columns, Pixels(len(images), where, open_images))


def _table() -> np.ndarray:
    """[1797, 65] uint8: 64 pixels and the digit; scikit-learn's own file, whose import would take seconds."""
    found = find_spec("sklearn")
    if found is None or not found.submodule_search_locations:
        raise ImportError("the source 'digits' needs scikit-learn, which is not installed")
    path = Path(found.submodule_search_locations[0]) / "datasets" / "data" / "digits.csv.gz"
    with gzip.open(path, "rt", encoding="ascii") as file:
        return np.loadtxt(file, np.uint8, delimiter=",")
