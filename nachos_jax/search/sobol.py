"""Scrambled points of Sobol, bit for bit those of SciPy, whose module of them takes a second to import."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

BITS = 30
# Of each dimension after the first: its primitive polynomial and its first direction numbers
# (Joe and Kuo 2008, new-joe-kuo-6.21201).
_DIRECTIONS: tuple[tuple[int, tuple[int, ...]], ...] = (
    (3, (1,)),
    (7, (1, 3)),
    (11, (1, 3, 1)),
    (13, (1, 1, 1)),
    (19, (1, 1, 3, 3)),
    (25, (1, 3, 5, 13)),
    (37, (1, 1, 5, 5, 17)),
    (41, (1, 1, 5, 5, 5)),
    (47, (1, 1, 7, 11, 19)),
    (55, (1, 1, 5, 1, 1)),
    (59, (1, 1, 1, 3, 11)),
    (61, (1, 3, 5, 5, 31)),
    (67, (1, 3, 3, 9, 7, 49)),
    (91, (1, 1, 1, 15, 21, 21)),
    (97, (1, 3, 1, 13, 27, 49)),
    (103, (1, 1, 1, 15, 7, 5)),
    (109, (1, 3, 1, 15, 13, 25)),
    (115, (1, 1, 5, 5, 19, 61)),
    (131, (1, 3, 7, 11, 23, 15, 103)),
    (137, (1, 3, 7, 13, 13, 15, 69)),
)
DIMENSIONS = len(_DIRECTIONS) + 1
"""Dimensions that these numbers are enough for."""


def points(dimensions: int, generator: np.random.Generator) -> Iterator[np.ndarray]:
    """Points [D] float64 in [0, 1) without end: Sobol (1967), scrambled as by Matousek (1998).

    Args:
        dimensions: D, at most `DIMENSIONS`.
        generator: a child of it draws the scrambling.
    """
    (generator,) = generator.spawn(1)
    weights = 2 ** np.arange(BITS, dtype=np.uint32)
    quasi = generator.integers(2, size=(dimensions, BITS), dtype=np.uint32) @ weights
    matrices = np.tril(generator.integers(2, size=(dimensions, BITS, BITS), dtype=np.uint32))
    matrices[:, np.arange(BITS), np.arange(BITS)] = 1
    directions = _scrambled(_directions(dimensions), matrices)
    yield quasi * 0.5**BITS
    for number in range(2**BITS - 1):
        quasi = quasi ^ directions[:, (~number & (number + 1)).bit_length() - 1]
        yield quasi * 0.5**BITS


def _directions(dimensions: int) -> np.ndarray:
    """[D, BITS] uint32 direction numbers (Bratley and Fox 1988, section 2), the highest bit first."""
    found = np.ones((dimensions, BITS), np.uint32)
    for row, (polynomial, first) in zip(found[1:], _DIRECTIONS, strict=False):
        values, degree = list(first), polynomial.bit_length() - 1
        for j in range(degree, BITS):
            value = values[j - degree]
            for k in range(1, degree + 1):
                if polynomial >> (degree - k) & 1:
                    value ^= values[j - k] << k
            values.append(value)
        row[:] = values
    return found << np.arange(BITS - 1, -1, -1, dtype=np.uint32)


def _scrambled(directions: np.ndarray, matrices: np.ndarray) -> np.ndarray:
    """Direction numbers [D, BITS] with their bits, the highest first, multiplied by [D, BITS, BITS]."""
    places = np.arange(BITS - 1, -1, -1, dtype=np.uint32)
    bits = directions[:, :, None] >> places & 1  # [D, BITS, bit]
    mixed = np.einsum("dpk,djk->djp", matrices, bits) & 1
    return np.sum(mixed << places, axis=2, dtype=np.uint32)
