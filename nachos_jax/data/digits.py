"""The handwritten digits that ship with scikit-learn: real images for a first try, without a download."""

from __future__ import annotations

import numpy as np

from nachos_jax.config.run_config import DataConfig
from nachos_jax.core.errors import UsageError
from nachos_jax.data.columns import Columns
from nachos_jax.data.pixels import Pixels, ReadCase, Source
from nachos_jax.runtime import elsewhere


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
    images, labels = elsewhere.call(scans)

    def where(row: int) -> str:
        return f"digits row {row} (counted from 0)"

    def open_images() -> ReadCase:
        return images.__getitem__

    columns = Columns(
        source="digits",
        names=[f"row-{row:06d}" for row in range(len(images))],
        targets={"label": [str(label) for label in labels.tolist()]},
        where=where,
        subject_cure="scikit-learn does not say who wrote which digit",
    )
    return Source(columns, Pixels(len(images), where, open_images))


def scans() -> tuple[np.ndarray, np.ndarray]:
    """Images [N, 8, 8, 1] uint8 and labels [N] int64, by scikit-learn."""
    from sklearn.datasets import load_digits  # slow to import

    values, targets = load_digits(return_X_y=True)
    return np.asarray(values, np.uint8).reshape(-1, 8, 8, 1), np.asarray(targets)
