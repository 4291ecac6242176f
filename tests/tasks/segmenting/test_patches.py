"""Patches are what NumPy cuts, mirrors and turns; forced ones hold their class, wherever it lies in them."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from nachos_jax.data.ragged import Ragged, Volume, stored
from nachos_jax.tasks.segmenting import patches
from nachos_jax.tasks.segmenting.patches import Frame, Motion

cut, moved = (jax.jit(call, static_argnums=3) for call in (patches.cut, patches.moved))
frame = jax.jit(patches.frame, static_argnums=1)
SIDES = ((9, 10, 12), (4, 12, 7), (1, 11, 13))
STILL = Motion(jnp.zeros(3), jnp.zeros(3), jnp.float32(1.0), jnp.zeros(3))


def store(spacing: tuple[float, float, float] = (1.0, 1.0, 1.0)) -> Ragged:
    draw = np.random.default_rng(3)
    volumes = [
        Volume(
            draw.integers(0, 255, (*sides, 2)).astype(np.uint8),
            draw.integers(0, 3, sides).astype(np.uint8),
            spacing,
        )
        for sides in SIDES
    ]
    return stored(volumes, 3)


def on_device(of: Ragged):
    return jax.tree.map(jnp.asarray, of.rows(np.arange(len(SIDES), dtype=np.int32)))


def plain(of: Ragged, row: int, first: tuple[int, ...], patch: tuple[int, ...]):
    """Image, labels and what lies in the case by NumPy: padded by its last voxels, and by background."""
    image = of.one(row).astype(np.float32)
    start = int(of.sizes[:row].sum())
    labels = of.labels[start : start + int(of.sizes[row])].reshape(SIDES[row])
    around = [
        (max(0, -at), max(0, at + side - n)) for at, side, n in zip(first, patch, SIDES[row], strict=True)
    ]
    here = tuple(slice(max(0, at), max(0, at) + side) for at, side in zip(first, patch, strict=True))
    there = np.pad(np.ones(SIDES[row], bool), around)[here]
    return np.pad(image, (*around, (0, 0)), mode="edge")[here], np.pad(labels, around)[here], there


def same(found, wanted) -> None:
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(one, other)


PLACES = [
    (0, (2, 3, 4), (4, 4, 4)),
    (1, (-1, 5, 2), (6, 5, 6)),
    (2, (0, 4, -3), (1, 6, 16)),
    (0, (7, 0, 9), (4, 4, 4)),
]


@pytest.mark.parametrize(("row", "first", "patch"), PLACES)
def test_a_patch_is_cut_where_it_lies(row: int, first: tuple[int, ...], patch: tuple[int, ...]):
    of = store()
    found = cut(on_device(of), jnp.int32(row), jnp.asarray(first, jnp.int32), patch)
    same(found, plain(of, row, first, patch))


@pytest.mark.parametrize(("row", "first", "patch"), PLACES)
@pytest.mark.parametrize("axes", [(), (0,), (1, 2), (0, 1, 2)])
def test_mirroring_is_exact_by_either_way(row: int, first, patch, axes: tuple[int, ...]):
    of = store()
    volumes = on_device(of)
    at, flips = jnp.asarray(first, jnp.int32), jnp.asarray([float(axis in axes) for axis in range(3)])
    wanted = [np.flip(part, axes) for part in plain(of, row, first, patch)]
    same(cut(volumes, jnp.int32(row), at, patch, flips), wanted)
    where = frame(at, patch, STILL._replace(flips=flips), jnp.ones(3))
    same(moved(volumes, jnp.int32(row), where, patch), wanted)


@pytest.mark.parametrize("turns", [1, 2, 3])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_turns_by_90_degrees_are_exact(axis: int, turns: int):
    of, patch, first = store(), (4, 4, 4), (3, 4, 5)
    angles = jnp.asarray([np.float32(np.pi / 2 * turns) * (k == axis) for k in range(3)], jnp.float32)
    where = frame(jnp.asarray(first, jnp.int32), patch, STILL._replace(angles=angles), jnp.ones(3))
    found = moved(on_device(of), jnp.int32(0), where, patch)
    plane = [(1, 2), (2, 0), (0, 1)][axis]
    # A patch that turns one way shows its case turned the other way.
    wanted = [np.rot90(part, -turns, plane) for part in plain(of, 0, first, patch)]
    same(found, wanted)


def test_a_turn_and_a_scale_are_those_of_scipy():
    """With spacing: the turn is one in mm."""
    of, patch, first, row = store((2.0, 1.0, 1.5)), (5, 6, 5), (2, 2, 3), 0
    motion = Motion(jnp.zeros(3), jnp.asarray([0.3, -0.2, 0.4]), jnp.float32(1.3), jnp.zeros(3))
    where = frame(jnp.asarray(first, jnp.int32), patch, motion, jnp.asarray([2.0, 1.0, 1.5]))
    image, labels, inside = moved(on_device(of), jnp.int32(row), where, patch)
    a, b, c = 0.3, -0.2, 0.4
    x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    y = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    z = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    step = np.diag([2.0, 1.0, 1.5])
    matrix = np.linalg.inv(step) @ z @ y @ x @ step / 1.3
    middle = (np.asarray(patch) - 1) / 2
    offset: Any = np.asarray(first) + middle - matrix @ middle
    case = of.one(row).astype(np.float64)
    for channel in range(2):
        wanted = ndimage.affine_transform(case[..., channel], matrix, offset, patch, order=1, mode="nearest")
        # Places are rounded to parts of a voxel.
        np.testing.assert_allclose(image[..., channel], wanted, atol=1.5)
    mask = of.labels[: of.sizes[0]].reshape(SIDES[0])
    nearest = ndimage.affine_transform(mask, matrix, offset, patch, order=0, mode="nearest")
    there = np.asarray(inside)
    assert np.mean(np.asarray(labels)[there] == nearest[there]) > 0.97
    assert not np.asarray(labels)[~there].any()


def test_thick_slices_and_single_ones_stay_what_they_are():
    angles = jnp.asarray([0.5, 0.4, 0.3])
    for patch, spacing in (((4, 4, 4), [5.0, 1.0, 1.0]), ((1, 4, 4), [1.0, 1.0, 1.0])):
        where = frame(jnp.zeros(3, jnp.int32), patch, STILL._replace(angles=angles), jnp.asarray(spacing))
        np.testing.assert_allclose(where.steps[0], [1, 0, 0], atol=1e-6)
        np.testing.assert_allclose(where.steps[1, 1], np.cos(0.5), rtol=1e-6)


def starts(row: int, patch: tuple[int, ...], foreground: float, count: int = 3000) -> np.ndarray:
    volumes = on_device(store())
    draws = jnp.asarray(np.random.default_rng(0).random((count, 6), np.float32))
    one = jax.jit(
        jax.vmap(lambda d: patches.start(volumes, jnp.int32(row), patch, d, jnp.float32(foreground)))
    )
    return np.asarray(one(draws))


@pytest.mark.parametrize("foreground", [0.0, 1.0])
@pytest.mark.parametrize(("row", "patch"), [(0, (4, 4, 4)), (1, (6, 5, 6)), (2, (1, 8, 16))])
def test_patches_stay_in_their_case_and_reach_all_of_it(row: int, patch: tuple[int, ...], foreground: float):
    found, sides = starts(row, patch, foreground), np.asarray(SIDES[row])
    low, high = np.minimum(sides - patch, 0), np.maximum(sides - patch, 0)
    assert (found >= low).all()
    assert (found <= high).all()
    assert (found.min(axis=0) == low).all()
    assert (found.max(axis=0) == high).all()


def test_forced_patches_hold_a_class_and_every_class_as_often():
    draw = np.random.default_rng(0)
    mask = np.zeros((1, 40, 40), np.uint8)
    mask[0, 3:9, 3:9], mask[0, 30, 31] = 1, 3
    of = stored([Volume(draw.random((1, 40, 40, 1), np.float32), mask, (1.0, 1.0, 1.0))], 3)
    volumes = jax.tree.map(jnp.asarray, of.rows(np.zeros(1, np.int32)))
    draws = jnp.asarray(draw.random((4000, 6), np.float32))
    patch = (1, 8, 8)

    def held(d: jax.Array) -> jax.Array:
        first = patches.start(volumes, jnp.int32(0), patch, d, jnp.float32(0.5))
        _, labels, _ = patches.cut(volumes, jnp.int32(0), first, patch)
        return jnp.stack(
            [*(jnp.any(labels == k) for k in (1, 2, 3)), labels[0, 0, 0] == 3, labels[0, 7, 7] == 3]
        )

    each = np.asarray(jax.jit(jax.vmap(held))(draws))
    shares, forced = each.mean(axis=0), np.asarray(draws)[:, 5] < 0.5
    assert each[forced][:, :3].any(axis=1).all()
    assert shares[1] == 0
    assert 0.25 < shares[2] < 0.32  # half of the forced ones, and a few by chance
    assert shares[0] > 0.25
    assert (shares[3:] > 0).all()  # in this corner of the patch as in that


def test_a_case_without_any_class_gives_patches_all_the_same():
    volume = Volume(np.zeros((4, 5, 6, 1), np.uint8), np.zeros((4, 5, 6), np.uint8), (1.0, 1.0, 1.0))
    volumes = jax.tree.map(jnp.asarray, stored([volume], 2).rows(np.zeros(1, np.int32)))
    draws = jnp.asarray(np.random.default_rng(0).random((50, 6), np.float32))
    start = jax.vmap(lambda d: patches.start(volumes, jnp.int32(0), (2, 2, 2), d, jnp.float32(1.0)))
    found = np.asarray(jax.jit(start)(draws))
    assert (found >= 0).all()
    assert len(np.unique(found, axis=0)) > 20


def test_a_frame_says_where_the_middle_falls():
    where = frame(jnp.asarray([1, 2, 3], jnp.int32), (3, 4, 5), STILL, jnp.ones(3))
    assert isinstance(where, Frame)
    np.testing.assert_allclose(where.centre, [2, 3.5, 5])
    np.testing.assert_allclose(where.steps, np.eye(3), atol=1e-7)
