"""A network of the zoo with three small stages, its weights, and the tiny study that trains it on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import numpy as np
from safetensors.numpy import save_file

from nachos_jax.config.run_config import RunConfig
from nachos_jax.data.table import Cohort
from nachos_jax.models.zoo.layers import average, batch_norm, biased_conv, conv
from nachos_jax.models.zoo.network import Expected, Network
from nachos_jax.models.zoo.place import Place
from nachos_jax.protocol.run import embedding
from tests import tiny

SIDE = 32
LAST = ("last.bias", "last.weight")
MIDDLE = ("bn.bias", "bn.weight", "mid.weight")


def _middle(w: Place, x: jax.Array) -> jax.Array:
    return jax.nn.relu(batch_norm(w / "bn", conv(w / "mid", x, 8, 3, 2)))


STAGES = (
    ("stem", lambda w, x: jax.nn.relu(biased_conv(w / "stem", x, 6, 3, 4))),
    ("mid", _middle),
    ("last", lambda w, x: jax.nn.relu(biased_conv(w / "last", x, 8, 1))),
    ("pool", average),
)
SMALL = Network(STAGES, "fc", Expected(size=SIDE))


def arrays(seed: int = 0) -> dict[str, np.ndarray]:
    """Weights by name."""
    draw = np.random.default_rng(seed)
    shapes = {"stem.weight": (6, 3, 3, 3), "stem.bias": (6,), "mid.weight": (8, 6, 3, 3), "bn.weight": (8,)}
    shapes |= {"bn.bias": (8,), "bn.running_mean": (8,), "last.weight": (8, 8, 1, 1), "last.bias": (8,)}
    found = {name: draw.normal(0, 0.3, shape).astype(np.float32) for name, shape in shapes.items()}
    found["bn.weight"] += 1
    return {**found, "bn.running_var": draw.uniform(0.5, 2, 8).astype(np.float32)}


def write(folder: Path, seed: int = 0) -> Path:
    """A file of them."""
    save_file(arrays(seed), folder / "w.safetensors")
    return folder / "w.safetensors"


def run_config(folder: Path, **changes: Any) -> RunConfig:
    """The tiny study that trains the network on from its second stage; `folder` holds its weights."""
    given = {
        "backbone__name": "small",
        "backbone__weights": str(folder / "w.safetensors"),
        "backbone__tune": "mid",
        "model__architecture": "tuned",
        "data__cache": str(folder / "cache"),
    }
    return tiny.run_config(**{**given, **changes})


def cohort(run: RunConfig) -> Cohort:
    """The tiny cohort as lanes of the run are given it."""
    return embedding.embedded(run, tiny.cohort())
