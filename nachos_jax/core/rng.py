"""Randomness is named: a key is a function of (fit stream, purpose, step). No other file makes keys."""

from __future__ import annotations

import hashlib
from enum import IntEnum

import jax
import jax.numpy as jnp
import numpy as np

from nachos_jax.core.types import Fit


class Purpose(IntEnum):
    """What a random number is for; the values are part of every result, never renumber them."""

    INIT = 0
    ORDER = 1
    AUGMENT = 2
    DROPOUT = 3
    DRAW = 4


def streams(fit: Fit) -> np.ndarray:
    """Raw keys of a fit: [purposes, 2] uint32 from (seed, folds left out, hyperparameters) and purpose."""
    words = [hashlib.sha256(f"{fit.stream}/{purpose.name}".encode()).digest()[:8] for purpose in Purpose]
    return np.asarray([np.frombuffer(word, ">u4") for word in words], np.uint32)


def key(streams: jax.Array, purpose: Purpose, step: jax.Array | int) -> jax.Array:
    """The key of one purpose at one step, from the raw keys [purposes, 2] uint32 of a fit.

    Steps (epochs, or training steps) count over the whole fit. Threefry keys are used because they give a
    lane under vmap the bits of a solo run (rbg does not).
    """
    return jax.random.fold_in(jax.random.wrap_key_data(streams[purpose], impl="threefry2x32"), step)


def named(name: str) -> np.ndarray:
    """A raw key [2] uint32 that follows from a name alone, whatever the fit."""
    return np.frombuffer(hashlib.sha256(name.encode()).digest()[:8], ">u4").astype(np.uint32)


def of_raw(raw: jax.Array) -> jax.Array:
    """The keys of raw ones [..., 2] uint32."""
    return jax.random.wrap_key_data(raw, impl="threefry2x32")


def unused() -> jax.Array:
    """A key for a place that demands one and draws nothing from it."""
    return jax.random.wrap_key_data(jnp.zeros(2, jnp.uint32), impl="threefry2x32")
