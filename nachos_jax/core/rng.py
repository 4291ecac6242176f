"""Randomness is named: a key is a function of (fit stream, purpose, step). No other file makes keys."""

from __future__ import annotations

from enum import IntEnum

import jax
import numpy as np

from nachos_jax.core.types import Fit


class Purpose(IntEnum):
    """What a random number is for; the values are part of every result, never renumber them."""

    INIT = 0
    ORDER = 1
    AUGMENT = 2
    DROPOUT = 3


def stream_data(fit: Fit) -> np.ndarray:
    """Raw key of a fit: [2] uint32 from (seed, folds left out, hyperparameters).

    Threefry keys are used because they give a lane under vmap the bits of a solo run (rbg does not).
    """
    words = bytes.fromhex(fit.stream)
    return np.frombuffer(words, ">u4")[:2].astype(np.uint32)


def key(stream: jax.Array, purpose: Purpose, step: jax.Array | int) -> jax.Array:
    """The key of one purpose at one step.

    Args:
        stream: [2] uint32 raw key of the fit.
        purpose: what it is for.
        step: epoch or training step, counted over the whole fit.

    Returns:
        A scalar typed key.
    """
    base = jax.random.wrap_key_data(stream, impl="threefry2x32")
    return jax.random.fold_in(jax.random.fold_in(base, int(purpose)), step)
