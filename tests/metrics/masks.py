"""Pairs of masks by formula, so that other libraries can be given the very same ones."""

from __future__ import annotations

import numpy as np


def ball(shape, centre, radius, spacing):
    """[*shape] bool: the voxels within a radius in mm."""
    away = [(axis - c) * s for axis, c, s in zip(np.indices(shape), centre, spacing, strict=True)]
    return np.sum(np.square(away), axis=0) <= radius**2


def _masks():
    found = {}
    for name, shape, spacing in (
        ("flat", (30, 26), (1.0, 1.0)),
        ("flat wide", (24, 30), (2.5, 0.8)),
        ("volume", (16, 18, 20), (1.0, 1.0, 1.0)),
        ("volume wide", (9, 20, 22), (3.0, 0.7, 0.9)),
    ):
        middle, size = np.array(shape) / 2, float(np.min(np.multiply(shape, spacing)))
        first = ball(shape, middle, size / 3, spacing)
        moved = ball(shape, middle + 1.3, size / 3.5, spacing)
        rough = first ^ (np.sin(1.7 * np.arange(first.size) ** 1.1).reshape(shape) > 0.93)
        edge = ball(shape, np.zeros(len(shape)), size / 2, spacing)
        found |= {
            f"{name}: moved": (first, moved, spacing),
            f"{name}: rough": (first, rough, spacing),
            f"{name}: at the edge": (edge, np.roll(edge, 2, 0), spacing),
            f"{name}: one voxel": (
                first,
                ball(shape, middle, 0.1, spacing) | (np.indices(shape).sum(0) == 3),
                spacing,
            ),
        }
    return found


MASKS = _masks()
"""(reference [*space] bool, prediction, spacing in mm) by name."""
