"""A vector beside the image: it joins the features of a network before its last layer.

Features and vector concatenated before a linear layer give W [features, vector] + b: the output of the
network with a product of the vector added to it. So no network knows of it, and what the vector adds is read
off one matrix.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from nachos_jax.core.types import HParams
from nachos_jax.data.joined import Inputs
from nachos_jax.models.blocks import Mode

COLUMNS = "joined"
"""What a network is told beside its hyperparameters: how many columns the vector has."""


class Columns(nnx.Module):
    """The part of the last layer that the vector is given to, without a bias; it starts at zero."""

    def __init__(self, columns: int, outputs: int) -> None:
        self.kernel = nnx.Param(jnp.zeros((columns, outputs), jnp.float32))

    def __call__(self, vectors: jax.Array) -> jax.Array:
        """[B, D] float32, standardised -> [B, O] float32."""
        return vectors @ self.kernel[...]


def told(columns: int) -> dict[str, str]:
    """What a network is told of a cohort with so many columns beside each image; {} without any."""
    return {COLUMNS: str(columns)} if columns else {}


def widened(network: nnx.Module, hparams: HParams, outputs: int) -> nnx.Module:
    """The network, with a part for the vector where `told` says that there is one."""
    if columns := int(hparams.get(COLUMNS, 0)):
        network.columns = Columns(columns, outputs)  # pyrefly: ignore[missing-attribute]
    return network


def outputs(network: Any, inputs: jax.Array | Inputs, mode: Mode) -> jax.Array:
    """[B, O] float32 of a network that is given images, or images and vectors."""
    if not isinstance(inputs, Inputs):
        return network(inputs, mode)
    return network(inputs.images, mode) + network.columns(inputs.vectors)


def completed(network: Any, outputs: jax.Array, inputs: jax.Array | Inputs) -> jax.Array:
    """[B, O] float32: outputs of the images, with what the vectors add to them."""
    return outputs + network.columns(inputs.vectors) if isinstance(inputs, Inputs) else outputs
