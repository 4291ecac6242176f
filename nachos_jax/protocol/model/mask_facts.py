"""What model.json says of a model that makes masks, beside what it says of every model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nachos_jax.core.errors import UsageError
from nachos_jax.core.types import HParams
from nachos_jax.data import orientation
from nachos_jax.data.mask_inputs import Sought
from nachos_jax.data.ragged import Ragged
from nachos_jax.metrics.components import Largest
from nachos_jax.protocol.model.segmenter import mirrored
from nachos_jax.protocol.run.opening import Run
from nachos_jax.records.mask_choice import MaskChoice
from nachos_jax.records.schema import FitRecord
from nachos_jax.tasks import registry as tasks
from nachos_jax.tasks.normalisation import OWN_SCALE, words
from nachos_jax.tasks.segmentation import OVERLAP

AXES = ("depth", "height", "width")
"""Of the store: `preparation["axes"]` says which axis of a file each of them is, once the axes of the file
point as `preparation["codes"]` says."""


def of(run: Run, records: Sequence[FitRecord], final: MaskChoice | None) -> dict[str, Any]:
    """Patch, windows, spacing and the names of arrays; nothing of another task.

    Args:
        run: the run.
        records: of the networks; those of the configuration that the model is named by stand first.
        final: what was chosen of final masks, where it was.
    """
    task, data = tasks.of(run.config.task), run.config.data
    if not task.masks:
        return {}
    hparams = records[0].hparams
    store = run.cohort.prepared(hparams).store
    assert isinstance(store, Ragged)
    patch = _patch(run, hparams)
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
        **_final(run, records, final),
    }


def _final(run: Run, records: Sequence[FitRecord], final: MaskChoice | None) -> dict[str, Any]:
    """The configuration of each network, where they differ, and the components that a mask keeps."""
    found: dict[str, Any] = {}
    if run.config.ensemble > 1:
        found["members"] = [
            {"hparams": dict(one.hparams), "epochs": one.epochs, "patch": list(_patch(run, one.hparams))}
            for one in records
        ]
    if final and run.config.largest_component:
        names = run.cohort.targets.names
        found["largest_component"] = {
            "together": final.together,
            "classes": list(final.classes),
            "note": "chosen on masks of inner folds; mean Dice of each class before and after",
            "before": dict(zip(names, final.before, strict=False)),
            "after": dict(zip(names, final.after, strict=False)),
        }
    return found


def _patch(run: Run, hparams: HParams) -> tuple[int, ...]:
    return tasks.of(run.config.task).network_shape(run.cohort.prepared(hparams).shape, hparams)[:-1]


def configurations(description: Mapping[str, Any]) -> list[tuple[HParams, tuple[int, ...]]]:
    """Hyperparameters and patch of the network of each weights file of a model.json."""
    alone = [{"hparams": description["hparams"], "patch": description["patch"]}] * len(description["weights"])
    return [(one["hparams"], tuple(one["patch"])) for one in description.get("members", alone)]


def largest(description: Mapping[str, Any]) -> Largest:
    """The components that the masks of a model.json keep; all of older versions."""
    told = description.get("largest_component", {})
    return Largest(told.get("together", False), tuple(told.get("classes", ())))


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
    if not _sizes(patch) or len(patch) != len(AXES):  # pyrefly: ignore[bad-argument-type]
        raise ValueError(f"its patch is {patch}")
    if not isinstance(axes, list) or sorted(axes) not in ([0, 1], [0, 1, 2]):
        raise ValueError(f"the axes of its preparation are {axes}")
    codes = description["preparation"].get("codes", "RAS")
    if not orientation.is_codes(codes):
        raise ValueError(f"the codes of its preparation are {codes!r}")
    keys = description.get("keys")
    members = description.get("members", description["weights"])
    if not isinstance(members, list) or len(members) != len(description["weights"]):
        raise ValueError("it has not one member for each weights file")
    told, known = description.get("largest_component", {}), range(1, len(description["classes"]) + 1)
    if not isinstance(told, dict) or not set(told.get("classes", ())) <= set(known):
        raise ValueError(f"its largest_component is {told}")
    if not isinstance(keys, dict) or not {"image", "mask", "shape", "spacing"} <= keys.keys():
        raise ValueError("its field 'keys' is missing or not whole")


def check_scale(description: Mapping[str, Any], dtype: np.dtype, where: str) -> None:
    """Refuses 8-bit images for a model of others and the other way round, where their scale matters.

    Raises:
        UsageError: likewise.
    """
    own = np.dtype(description["dtype"])
    choices = [hparams.get("segmentation.normalisation") for hparams, _ in configurations(description)]
    choice = next((one for one in choices if one not in OWN_SCALE), None)
    if choice and (dtype == np.uint8) != (own == np.uint8):
        raise UsageError(
            f"{where} is stored as {dtype}, the training images as {own}, and the model takes intensities by "
            f"one scale for all (segmentation.normalisation = {choice!r}): convert the image to the "
            "bit depth of training."
        )


def _sizes(values: Sequence[Any] | None) -> bool:
    return isinstance(values, list) and all(type(size) is int and size > 0 for size in values)
