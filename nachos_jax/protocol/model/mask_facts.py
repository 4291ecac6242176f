"""What model.json says of a model that makes masks, beside what it says of every model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nachos_jax.core.errors import UsageError
from nachos_jax.core.types import HParams
from nachos_jax.data.mask_inputs import Sought
from nachos_jax.data.ragged import Ragged
from nachos_jax.protocol.model.segmenter import mirrored
from nachos_jax.protocol.run.opening import Run
from nachos_jax.tasks import registry as tasks
from nachos_jax.tasks.normalisation import words
from nachos_jax.tasks.segmentation import OVERLAP

AXES = ("depth", "height", "width")
"""Of the store: `preparation["axes"]` says which axis of a file each of them is."""
OWN_SCALE = ("z_score", "percentiles", "min_max", "clipped")
"""Normalisations to which the scale of an image does not matter."""


def of(run: Run, hparams: HParams) -> dict[str, Any]:
    """Patch, windows, spacing and the names of arrays; nothing of another task.

    Args:
        run: the run.
        hparams: of the model.
    """
    task, store, data = tasks.of(run.config.task), run.cohort.store, run.config.data
    if not task.masks:
        return {}
    assert isinstance(store, Ragged)
    patch = task.network_shape(store.shape, hparams)[:-1]
    known = run.cohort.preparation["unit"] != "voxels"
    median = [round(float(step), 6) for step in np.median(store.spacing, axis=0)]
    return {
        "patch": list(patch),
        "windows": {
            "overlap": OVERLAP,
            "weights": "Gaussian",
            "mirrored": [AXES[axis] for axis in mirrored(hparams, patch)],
        },
        "spacing": median if known else None,
        "keys": {
            "image": data.image_key or "images",
            "mask": data.mask_key or "masks",
            "shape": data.shape_key,
            "spacing": data.spacing_key,
        },
    }


def normalisation(hparams: HParams) -> str:
    """How the intensities of a case are normalised, for people."""
    return words(str(hparams["segmentation.normalisation"]), "voxel")


def sought(description: Mapping[str, Any]) -> Sought:
    """What inputs a model of a model.json takes."""
    rank = len(description["preparation"]["axes"])
    return Sought(rank, int(description["channels"]), description["keys"])


def check(description: Mapping[str, Any]) -> None:
    """Raises ValueError naming the first field that is missing or makes no sense; knows no other task."""
    if not tasks.of(description.get("task", "classification")).masks:
        return
    patch, axes = description.get("patch"), description["preparation"].get("axes")
    if not _sizes(patch) or len(patch) != len(AXES):  # type: ignore[arg-type]
        raise ValueError(f"its patch is {patch}")
    if not isinstance(axes, list) or sorted(axes) not in ([0, 1], [0, 1, 2]):
        raise ValueError(f"the axes of its preparation are {axes}")
    keys = description.get("keys")
    if not isinstance(keys, dict) or not {"image", "mask", "shape", "spacing"} <= keys.keys():
        raise ValueError("its field 'keys' is missing or not whole")


def check_scale(description: Mapping[str, Any], dtype: np.dtype, where: str) -> None:
    """Refuses 8-bit images for a model of others and the other way round, where their scale matters.

    Raises:
        UsageError: likewise.
    """
    choice, own = description["hparams"].get("segmentation.normalisation"), np.dtype(description["dtype"])
    if choice not in OWN_SCALE and (dtype == np.uint8) != (own == np.uint8):
        raise UsageError(
            f"{where} is stored as {dtype}, the training images as {own}, and the model takes intensities by "
            f"one scale for all (segmentation.normalisation = {choice!r}): convert the image to the "
            "bit depth of training."
        )


def _sizes(values: Sequence[Any] | None) -> bool:
    return isinstance(values, list) and all(type(size) is int and size > 0 for size in values)
