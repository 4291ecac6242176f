"""Instance normalisation and the leaky ReLU behind it, with the gradients of both written out.

What JAX derives keeps several arrays of the size of the activations between the passes; here the input alone
is kept. A training step of a U-Net is bound by memory on a CPU, so that this saves a part of its time too.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax

from nachos_jax.models import pooling
from nachos_jax.models.normalisation import EPSILON


class InstanceNorm(nnx.Module):
    """Instance normalisation (Ulyanov et al. 2016) with scale and bias, float32, epsilon 1e-5."""

    def __init__(self, channels: int, zero_scale: bool = False) -> None:
        self.scale = nnx.Param(jnp.full((channels,), 0.0 if zero_scale else 1.0, jnp.float32))
        self.bias = nnx.Param(jnp.zeros((channels,), jnp.float32))

    def __call__(self, x: jax.Array, train: bool, pool: int = 1, slope: float = 1.0) -> jax.Array:
        """[B, H, W, C] -> [B, H // pool, W // pool, C], same dtype; training and evaluation are alike.

        Arguments are those of `nachos_jax.models.normalisation.BatchNorm`.
        """
        del train
        return pooling.max_pool(_instance_norm(x, self.scale[...], self.bias[...], slope), pool, pool)


@functools.partial(jax.custom_vjp, nondiff_argnums=(3,))
def _instance_norm(x: jax.Array, scale: jax.Array, bias: jax.Array, slope: float) -> jax.Array:
    return _forward(x, scale, bias, slope)[0]


def _forward(x: jax.Array, scale: jax.Array, bias: jax.Array, slope: float) -> tuple:
    exact, space = x.astype(jnp.float32), _space(x)
    mean = jnp.mean(exact, space, keepdims=True)
    variance = jnp.mean(jnp.square(exact - mean), space, keepdims=True)
    inverse_sd = lax.rsqrt(variance + EPSILON)
    out = (exact - mean) * (inverse_sd * _last(scale, x.ndim)) + _last(bias, x.ndim)
    return _leaky(out, out, slope).astype(x.dtype), (x, mean, inverse_sd, scale, bias)


def _backward(slope: float, saved: tuple, gradient: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Ioffe and Szegedy 2015, section 3, over the pixels of a case instead of those of a batch."""
    x, mean, inverse_sd, scale, bias = saved
    space, steep = _space(x), _last(scale, x.ndim)
    even = (x.astype(jnp.float32) - mean) * inverse_sd
    gradient = _leaky(gradient.astype(jnp.float32), even * steep + _last(bias, x.ndim), slope)
    total = jnp.sum(gradient, space, keepdims=True)
    along = jnp.sum(gradient * even, space, keepdims=True)
    pixels = x.size // (x.shape[0] * x.shape[-1])
    by_x = (inverse_sd * steep) * (gradient - total / pixels - even * (along / pixels))
    others = tuple(range(x.ndim - 1))
    return by_x.astype(x.dtype), jnp.sum(along, others), jnp.sum(total, others)


_instance_norm.defvjp(_forward, _backward)


def _leaky(x: jax.Array, sign: jax.Array, slope: float) -> jax.Array:
    """x where sign is not negative, and slope times x elsewhere."""
    return x if slope == 1.0 else jnp.where(sign >= 0, x, slope * x)


def _space(x: jax.Array) -> tuple[int, ...]:
    return tuple(range(1, x.ndim - 1))


def _last(values: jax.Array, rank: int) -> jax.Array:
    """[C] -> [1, ..., 1, C] of the rank given."""
    return values.reshape((1,) * (rank - 1) + (-1,))
