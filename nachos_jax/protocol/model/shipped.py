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
    backbone = backbones.load(run.config.backbone, facts["height"], facts["width"])
    if backbone.facts["sha256"] != facts["sha256"]:
        raise UsageError(
            f"config.backbone.weights = {run.config.backbone.weights!r}: the file has changed since its "
            "features were computed; restore it, or give the run a new --workdir."
        )
    data = save({name: np.ascontiguousarray(value) for name, value in backbone.arrays.items()})
    write_atomic(folder / FILE, data)
    return {SHA256: hashlib.sha256(data).hexdigest()}


def read(folder: Path, description: Mapping[str, Any], cure: str) -> Backbone | None:
    """The backbone of a model that reads images through one; None of another model.

    Raises:
        UsageError: its file is missing or damaged.
    """
    if SHA256 not in description:
        return None
    file, facts = folder / FILE, description["preparation"]["backbone"]
    data = file.read_bytes() if os.path.isfile(file) else b""
    if hashlib.sha256(data).hexdigest() != description[SHA256]:
        raise UsageError(f"{file} is missing or damaged: {cure}.")
    return backbones.made(
        facts["name"], facts["layer"], (facts["height"], facts["width"]), load_arrays(data), facts
    )
