"""A multilayer perceptron on vectors: hidden layers with ReLU and dropout, then a linear layer."""

from __future__ import annotations

import functools

import jax
from flax import nnx
from jax.typing import DTypeLike

from nachos_jax.core.hparams import Hyperparameter
from nachos_jax.core.types import HParams
from nachos_jax.models.blocks import Linear, Mode, draw_weights, dropout, vector_size

CONVOLUTIONS = False
_row = functools.partial(Hyperparameter, kind="integer", static=True, when=("architecture", ("mlp",)))
HYPERPARAMETERS = (
    _row("mlp.layers", low=1, high=6, default=1, meaning="hidden layers, each followed by dropout"),
    _row("mlp.width", low=1, high=8192, default=64, meaning="units of a hidden layer"),
)


class MLP(nnx.Module):
    """Hidden layers of one width, linear layer; in float32."""

    def __init__(self, layers: int, width: int, inputs: int, outputs: int) -> None:
        widths = [inputs, *[width] * (layers - 1)]
        self.hidden = nnx.List([Linear(count, width, gain=2.0) for count in widths])
        self.last = Linear(width, outputs)

    def __call__(self, x: jax.Array, mode: Mode) -> jax.Array:
        """[B, D] float32, standardised -> [B, outputs] float32."""
        for number, layer in enumerate(self.hidden):
            x = jax.nn.relu(layer(x))
            if mode.train:
                x = dropout(x, mode.dropout_rate, jax.random.fold_in(mode.dropout_key, number))
        return self.last(x)


def build(
    hparams: HParams,
    shape: tuple[int, ...],
    outputs: int,
    dtype: DTypeLike,  # noqa: ARG001
    lowering: str,  # noqa: ARG001
    rngs: nnx.Rngs,
) -> nnx.Module:
    """The network, see `nachos_jax.models.registry`."""
    network = MLP(int(hparams["mlp.layers"]), int(hparams["mlp.width"]), shape[-1], outputs)
    draw_weights(network, rngs)
    return network


def check(hparams: HParams, shape: tuple[int, ...]) -> None:  # noqa: ARG001
    """Raises UsageError when cases are no vectors."""
    vector_size("mlp", shape)
