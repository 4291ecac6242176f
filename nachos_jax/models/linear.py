"""One linear layer on vectors with an L2 penalty: logistic regression, or ridge regression of a number.

Its loss is convex, so a fit has one solution, which `nachos_jax.engine.solving` finds; the optimiser, batches
and epochs of the config do nothing. What is minimised is what scikit-learn's LogisticRegression minimises
with the same C: sum of losses + |w|^2 / (2 C), of standardised features, the intercept without penalty. Of
a number, standardised too, that is its Ridge with alpha = 1 / (2 C); of labels, one regression a label.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax
from jax.typing import DTypeLike

from nachos_jax.core.hparams import Hyperparameter
from nachos_jax.core.types import HParams
from nachos_jax.models.blocks import Convex, Mode, vector_size

CONVOLUTIONS = False
HYPERPARAMETERS = (
    Hyperparameter(
        "linear.c",
        "float",
        1e-6,
        1e6,
        when=("architecture", ("linear",)),
        default=1.0,
        meaning="inverse strength of the L2 penalty, scikit-learn's C",
    ),
)


class LinearModel(nnx.Module):
    """[B, D] -> [B, O], from weights of zero."""

    def __init__(self, inputs: int, outputs: int) -> None:
        self.kernel = nnx.Param(jnp.zeros((inputs, outputs), jnp.float32))
        self.bias = nnx.Param(jnp.zeros((outputs,), jnp.float32))

    def __call__(self, x: jax.Array, mode: Mode) -> jax.Array:  # noqa: ARG002
        """[B, D] float32, standardised -> [B, outputs] float32."""
        # Accelerators round factors to fewer bits unless told otherwise.
        product = jnp.matmul(x, self.kernel[...], precision=lax.Precision.HIGHEST)
        return product + self.bias[...][None]


def _ridge(traced: Mapping[str, Any]) -> jax.Array:
    return 1.0 / traced["linear.c"]


CONVEX = Convex(_ridge)


def build(
    hparams: HParams,  # noqa: ARG001
    shape: tuple[int, ...],
    outputs: int,
    dtype: DTypeLike,  # noqa: ARG001
    lowering: str,  # noqa: ARG001
    rngs: nnx.Rngs,  # noqa: ARG001
) -> nnx.Module:
    """The network, see `nachos_jax.models.registry`."""
    return LinearModel(shape[-1], outputs)


def check(hparams: HParams, shape: tuple[int, ...]) -> None:  # noqa: ARG001
    """Raises UsageError when cases are no vectors."""
    vector_size("linear", shape)
