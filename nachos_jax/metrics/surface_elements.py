"""What part of a surface passes between neighbouring voxels: line and surface elements of marching cubes.

Around a point where 2^rank voxels meet, each of them is inside or outside the mask: a code with a bit a
voxel, the first voxel the highest bit. The border of the mask is drawn through the middles of the edges
between voxels that differ (Lorensen and Cline 1987); its length or area is the element's weight, as in
DeepMind's surface-distance (Nikolov et al. 2021).
"""

from __future__ import annotations

import functools
import itertools

import numpy as np

Corner = tuple[int, ...]
Edge = frozenset[Corner]


@functools.cache
def weights(spacing: tuple[float, ...]) -> np.ndarray:
    """Weights of the elements by code.

    Args:
        spacing: mm of a voxel along two or three axes.

    Returns:
        [2^(2^rank)] float64: lengths in mm, or areas in mm^2.
    """
    rank = len(spacing)
    scale = np.asarray(spacing, np.float64)
    found = np.zeros(2 ** (2**rank))
    for code in range(len(found)):
        for simplex in _simplices(code, rank):
            scaled = simplex * scale
            found[code] += np.linalg.norm(scaled[1] - scaled[0]) if rank == 2 else _area(scaled)
    return found


def _simplices(code: int, rank: int) -> list[np.ndarray]:
    """Line segments [2, 2] or triangles [3, 3] of a code, in units of the spacing."""
    corners: list[Corner] = list(itertools.product((0, 1), repeat=rank))
    inside = {corner for bit, corner in enumerate(reversed(corners)) if code >> bit & 1}
    # Where a face can be cut in two ways, corners of the rarer kind are kept apart: a mask and what it
    # leaves have the same border.
    rare = inside if len(inside) <= len(corners) // 2 else set(corners) - inside
    links = [link for face in _faces(rank) for link in _links(face, inside, rare)]
    if rank == 2:
        return [np.array([_middle(edge) for edge in link]) for link in links]
    return [triangle for loop in _loops(links) for triangle in _filled(loop)]


def _faces(rank: int) -> list[list[Corner]]:
    """Squares of four corners each, in the order of going round."""
    round_trip = ((0, 0), (1, 0), (1, 1), (0, 1))
    if rank == 2:
        return [list(round_trip)]
    return [[(*at[:axis], side, *at[axis:]) for at in round_trip] for axis in range(rank) for side in (0, 1)]


def _links(face: list[Corner], inside: set[Corner], rare: set[Corner]) -> list[tuple[Edge, Edge]]:
    """Pairs of edges of a face between which the border runs."""
    edges = [frozenset((face[place - 1], face[place])) for place in range(4)]
    crossed = [edge for edge in edges if len(edge & inside) == 1]
    if len(crossed) < 4:
        return [(crossed[0], crossed[1])] if crossed else []
    return [(edges[place], edges[(place + 1) % 4]) for place in range(4) if face[place] in rare]


def _loops(links: list[tuple[Edge, Edge]]) -> list[list[Edge]]:
    """The closed ways that links make; every edge lies in two of them."""
    left, loops = list(links), []
    while left:
        loop = list(left.pop())
        while loop[-1] != loop[0]:
            step = next(link for link in left if loop[-1] in link)
            left.remove(step)
            loop.append(step[0] if step[1] == loop[-1] else step[1])
        loops.append(loop[:-1])
    return loops


def _filled(loop: list[Edge]) -> list[np.ndarray]:
    """Triangles [3, 3] that fill a loop, in a fan about one of its points.

    Where the loop is not flat the fans differ in area: the largest one gives the table of surface-distance.
    """
    points = [_middle(edge) for edge in loop]
    turns = [points[first:] + points[:first] for first in range(len(points))]
    fans = [[np.array([turn[0], *pair]) for pair in itertools.pairwise(turn[1:])] for turn in turns]
    # Rounded: of equal fans the first, whatever the last bits say.
    return max(fans, key=lambda fan: round(sum(_area(triangle) for triangle in fan), 9))


def _area(triangle: np.ndarray) -> float:
    """Area of a triangle [3, 3]."""
    return float(np.linalg.norm(np.cross(triangle[1] - triangle[0], triangle[2] - triangle[0]))) / 2


def _middle(edge: Edge) -> np.ndarray:
    return np.mean([*edge], axis=0)
