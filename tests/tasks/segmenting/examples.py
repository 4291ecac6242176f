"""Logits and labels by formula, so that other libraries can be given the very same ones."""

from __future__ import annotations

import numpy as np


def waves(shape, scale=2.0, phase=0.0):
    """[*shape] float32 between -scale and scale, without order."""
    places = np.arange(np.prod(shape), dtype=np.float64).reshape(shape)
    return (scale * np.sin(1.7 * places + 0.01 * places**2 + phase)).astype(np.float32)


def cells(shape, classes, phase=0.0):
    """[*shape] int32: classes in patches that touch."""
    place = sum((k + 1) * np.sin(0.9 * axis + phase) for k, axis in enumerate(np.indices(shape)))
    return (np.floor(place * 1.3).astype(np.int32) % classes).astype(np.int32)


FLAT, VOLUME = (8, 7), (5, 6, 4)
"""Few shapes, so that few programs are compiled."""


def _of(shape, classes, scale=2.0):
    labels = np.stack([cells(shape, classes, phase) for phase in (0.2, 1.1)])
    return waves((2, *shape, classes), scale), labels


def _absent():
    outputs, labels = _of(FLAT, 3)
    labels[1][labels[1] == 2] = 0
    return outputs, labels


def _empty():
    outputs, labels = _of(VOLUME, 3)
    labels[0] = 0
    return outputs, labels


def _full():
    outputs, labels = _of(FLAT, 3)
    labels[1] = 1
    return outputs, labels


def _silent():
    """An item for which nothing but the background is predicted, and one that is all of one class."""
    outputs, labels = _of(FLAT, 3)
    outputs[0, ..., 0] = 9.0
    outputs[1, ..., 2] = 9.0
    return outputs, labels


EXAMPLES = {
    "flat": _of(FLAT, 3),
    "volume": _of(VOLUME, 3),
    "two classes": _of(FLAT, 2, 4.0),
    "absent": _absent(),
    "empty": _empty(),
    "full": _full(),
    "silent": _silent(),
    "sure": _of(FLAT, 3, 40.0),
}
"""(outputs [2, *space, K] float32, labels [2, *space] int32) by name."""


def summary(gradient):
    """Numbers that two gradients share only if they are the same: three weighted sums, and the largest."""
    flat = np.asarray(gradient, np.float64).ravel()
    sums = [float(flat @ np.cos(k * 0.7 * np.arange(flat.size) + k)) for k in (1, 2, 3)]
    return [*sums, float(np.abs(flat).max())]
