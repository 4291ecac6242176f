"""What XLA is to compute once, or by itself.

Its CPU backend fuses whatever works element by element into all that read it, and computes it again in each:
the maximum of a window once for every pixel that the window looks at. An `optimization_barrier` does not keep
it from that, since the backend takes barriers out before it fuses; the branch of a condition does. On a GPU
barriers hold.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax


def once(function: Callable[..., jax.Array], *args: jax.Array) -> jax.Array:
    """The function's value, which whatever follows reads from memory; on accelerators a plain call.

    Args:
        function: of arrays, to an array; not differentiated.
        args: its arguments; the first one is floating and not empty.
    """
    return lax.platform_dependent(*args, cpu=lambda *given: _apart(function, *given), default=function)


def unfused(x: jax.Array) -> jax.Array:
    """The same array, which a GPU writes out before a matrix product reads it; its gradient likewise.

    Jaxlib 0.10.2 and 0.11.2 abort the process ("triton_tiling_propagation.cc: Check failed") when they fuse
    every second pixel of 7 x 7 images into the product of a 1 x 1 convolution, in any precision and packing.
    """
    return lax.platform_dependent(x, cuda=lax.optimization_barrier, default=lambda given: given)


def _apart(function: Callable[..., jax.Array], *args: jax.Array) -> jax.Array:
    shape = jax.eval_shape(function, *args)
    some = args[0][(0,) * args[0].ndim]
    # True of every number, NaN with them, which XLA does not find out.
    always = (some <= 0) | (some >= 0) | jnp.isnan(some)
    return lax.cond(always, function, lambda *_: jnp.zeros(shape.shape, shape.dtype), *args)
