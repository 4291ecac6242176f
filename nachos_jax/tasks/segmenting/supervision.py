"""Deep supervision: the loss of a network that gives masks at several resolutions (nnU-Net).

Each resolution is compared with the labels there, and the losses are added with weights 1, 1/2, 1/4, ...,
made to sum to 1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp


def supervised(
    loss: Callable[[jax.Array, jax.Array], jax.Array], outputs: Sequence[jax.Array], labels: jax.Array
) -> jax.Array:
    """The weighted sum of the losses at all resolutions, float32 scalar.

    Args:
        loss: of logits [B, *sides, K] and labels [B, *sides].
        outputs: logits at each resolution, that of the labels first; each half as fine as the one before
            along some axes, whose sides are rounded up.
        labels: [B, *space] int32.
    """
    weights = [0.5**level for level in range(len(outputs))]
    losses = [loss(logits, coarser(labels, logits.shape[1:-1])) for logits in outputs]
    total = sum(weights)
    return jnp.sum(jnp.stack([weight / total * value for weight, value in zip(weights, losses, strict=True)]))


def coarser(labels: jax.Array, sides: Sequence[int]) -> jax.Array:
    """[B, *sides]: of each pixel of a grid that was halved so often the label nearest to its middle.

    Of the two (four, eight) that are as near, the last one, as PyTorch's "nearest-exact" takes it.
    """
    for axis, side in enumerate(sides, 1):
        step, whole = 1, labels.shape[axis]
        while -(-whole // step) > side:
            step *= 2
        places = jnp.minimum(jnp.arange(side) * step + step // 2, whole - 1)
        labels = jnp.take(labels, places, axis=axis)
    return labels
