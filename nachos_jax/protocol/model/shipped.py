"""The backbone in the folder of a deployed model, so that it predicts from pixels without any other file."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save

from nachos_jax.core.errors import UsageError
from nachos_jax.models import tuned
from nachos_jax.models.zoo import backbone as backbones
from nachos_jax.models.zoo.backbone import Backbone
from nachos_jax.protocol.run.opening import Run
from nachos_jax.records.store import write_atomic

FILE, SHA256 = "backbone.safetensors", "backbone_sha256"


def write(run: Run, folder: Path) -> dict[str, str]:
    """Writes the weights that the features of a run come from; what model.json says of the file.

    Raises:
        UsageError: the file of weights is not the one that the features were computed with.
    """
    if not run.config.backbone.name:
        return {}
    facts = run.cohort.preparation["backbone"]
    given = facts.get("inputs", "")
    backbone = backbones.load(run.config.backbone, facts["height"], facts["width"], given)
    if backbone.facts["sha256"] != facts["sha256"]:
        raise UsageError(
            f"config.backbone.weights = {run.config.backbone.weights!r}: the file has changed since its "
            "features were computed; restore it, or give the run a new --workdir."
        )
    if facts.get("inputs") == tuned.PIXELS:
        return {}  # its front is a part of the networks, and lies among their weights
    data = save({name: np.ascontiguousarray(backbone.arrays[name]) for name in backbone.front})
    write_atomic(folder / FILE, data)
    return {SHA256: hashlib.sha256(data).hexdigest()}


def read(folder: Path, description: Mapping[str, Any], cure: str) -> Backbone | None:
    """The backbone of a model that reads images through one; None of another model.

    Raises:
        UsageError: its file is missing or damaged.
    """
    facts = description["preparation"].get("backbone", {})
    if SHA256 not in description or "tune" in facts:
        return None
    size = (facts["height"], facts["width"])
    return backbones.made(facts["name"], facts["layer"], size, _arrays(folder, description, cure), facts)


def front(folder: Path, description: Mapping[str, Any], cure: str) -> dict[str, np.ndarray]:
    """What stands among the weights of networks that were trained on activations, so that they read pixels.

    The weights in front of their freeze point, and the mean and SD of pixels; {} of other networks.

    Raises:
        UsageError: the file of the backbone is missing or damaged.
    """
    facts = description["preparation"].get("backbone", {})
    if facts.get("inputs") != tuned.ACTIVATIONS:
        return {}
    arrays = _arrays(folder, description, cure)
    mean, sd = backbones.mean_sd(facts, np.dtype(description["dtype"]), description["channels"])
    return {f"frozen/frozen/{name}": value for name, value in arrays.items()} | {
        "pixel_mean": mean,
        "pixel_sd": sd,
    }


def from_pixels(
    arrays: Mapping[str, np.ndarray], front: Mapping[str, np.ndarray], columns: int
) -> dict[str, np.ndarray]:
    """The arrays of a weights file with those of `front`; so many columns stand beside each image.

    Mean and SD of columns follow those of channels, of which pixels have others than activations.
    """
    found = {**arrays, **front}
    if not front or not columns:
        return found
    for name in ("pixel_mean", "pixel_sd"):
        found[name] = np.concatenate([front[name], arrays[name][-columns:]])
    if "fill" in arrays:
        found["fill"] = np.concatenate([np.zeros_like(front["pixel_mean"]), arrays["fill"][-columns:]])
    return found


def _arrays(folder: Path, description: Mapping[str, Any], cure: str) -> dict[str, np.ndarray]:
    file = folder / FILE
    data = file.read_bytes() if os.path.isfile(file) else b""
    if hashlib.sha256(data).hexdigest() != description.get(SHA256):
        raise UsageError(f"{file} is missing or damaged: {cure}.")
    return load_arrays(data)
