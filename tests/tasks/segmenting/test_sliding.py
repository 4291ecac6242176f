"""Windows over a case: all voxels once, nnU-Net's starts, and what a network would say of the whole."""

from __future__ import annotations

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jax import lax

from nachos_jax.tasks.segmenting import sliding
from nachos_jax.tasks.segmenting.sliding import grid
from tests.tasks.segmenting.examples import cells, waves
from tests.tiers import mostly_thorough

CLASSES = 3
GRIDS = [grid((5, 4), 0.5), grid((4, 7, 3), 0.7), grid((1, 8), 1.0), grid((6,), 0.25)]


@functools.cache
def windows_of(where):
    """Places, starts, first own voxels and those behind of all windows of a shape, compiled once a grid."""

    def of(number, shape):
        place = where.place(number, shape)
        return place, where.starts(place, shape), *where.own(place, shape)

    return jax.jit(jax.vmap(of, (0, None)))


def windows(where, shape):
    """[windows, 4, rank]: what `windows_of` says."""
    many = int(np.prod(where.across(np.array(shape, np.int32))))
    found = windows_of(where)(np.arange(-(-many // 64) * 64, dtype=np.int32), np.array(shape, np.int32))
    return np.stack(found, axis=1)[:many]


def nnunet_starts(length, side, step):
    """nnU-Net 2.8.1, inference/sliding_window_prediction.py, for one axis at least as long as the window."""
    many = int(np.ceil((length - side) / (side * step))) + 1
    gap = (length - side) / (many - 1) if many > 1 else 0
    return [int(np.round(gap * place)) for place in range(many)]


@given(where=st.sampled_from(GRIDS), sides=st.tuples(*[st.integers(1, 17)] * 3))
def test_every_voxel_has_one_owner_that_sees_it(where, sides):
    shape = sides[: len(where.patch)]
    owners, found = np.zeros(shape, int), windows(where, shape)
    assert len({tuple(place) for place in found[:, 0]}) == len(found)
    for _, start, low, high in found:
        assert (start <= low).all()
        assert (high <= np.minimum(start + where.patch, shape)).all()
        owners[tuple(map(slice, low, high))] += 1
    assert (owners == 1).all()


@given(side=st.sampled_from([2, 4, 8, 10]), more=st.integers(0, 40), step=st.sampled_from([0.5, 1.0]))
def test_starts_are_those_of_nnunet(side, more, step):
    found = windows(grid((side,), step), (side + more,))[:, 1, 0].tolist()
    expected = nnunet_starts(side + more, side, step)
    # A start between two voxels is rounded up here, to the even one there.
    assert len(found) == len(expected)
    assert all(a - b in (0, 1) for a, b in zip(found, expected, strict=True))
    assert (found[0], found[-1]) == (0, more)


@pytest.mark.parametrize("step", [0, -0.5, 1.1])
def test_a_step_that_leaves_gaps_is_refused(step):
    with pytest.raises(ValueError, match="above 0 and at most 1"):
        grid((4, 4), step)


def test_importance_is_a_gaussian_that_mirrors():
    weights = sliding.importance((8, 5))
    np.testing.assert_array_equal(weights, weights[::-1, ::-1])
    assert weights.max() == weights[3, 2] == 1
    # Two voxels are two SDs of a side of 8, but for the half voxel to the middle.
    assert weights[1, 2] / weights[3, 2] == pytest.approx(np.exp(-0.5 * (2.5**2 - 0.5**2)), rel=1e-6)
    assert (weights > 0).all()


def reader(image, patch):
    """Windows of an image [*space, C], which repeats its last voxel beyond its end."""
    padded = np.pad(image, [(0, side) for side in patch] + [(0, 0)], mode="edge")
    return lambda start: lax.dynamic_slice(padded, [*start, jnp.int32(0)], (*patch, image.shape[-1]))


def pointwise(images):
    """A network that looks at single voxels."""
    return jnp.concatenate([images, 1 - images, jnp.sin(3 * images)], -1)


def blurred(images):
    """A network that looks one voxel far."""
    rank = images.ndim - 2
    kernel = jnp.asarray(waves((*(3,) * rank, 1, CLASSES), 1.0))
    axes = "DHW"[-rank:]
    return lax.conv_general_dilated(
        images, kernel, (1,) * rank, "SAME", dimension_numbers=(f"N{axes}C", f"{axes}IO", f"N{axes}C")
    )


CASES = {"flat": ((13, 9), (6, 4)), "volume": ((7, 9, 6), (4, 5, 3)), "short": ((3, 11), (6, 4))}
every_case = pytest.mark.parametrize("case", CASES)


def naive_counts(logits, labels):
    called = np.argmax(logits, -1)
    return [
        [
            np.sum((called == k) & (labels == k)),
            np.sum((called == k) & (labels != k)),
            np.sum((called != k) & (labels == k)),
        ]
        for k in range(1, CLASSES)
    ]


@every_case
@mostly_thorough("step", [0.5, 1.0], kept=(0.5,))
def test_counts_over_tiles_are_those_of_the_whole(case, step):
    shape, patch = CASES[case]
    image, labels = waves((*shape, 1)), cells(shape, CLASSES)
    read, of_labels = reader(image, patch), reader(labels[..., None], patch)

    def measure(logits, start, own):
        return sliding.counts(logits, of_labels(start)[..., 0], own)

    def whole(shape):
        return sliding.over_tiles(pointwise, read, shape, grid(patch, step), measure)

    found = jax.jit(whole)(np.array(shape, np.int32))
    assert found.dtype == np.int32
    np.testing.assert_array_equal(found, naive_counts(pointwise(image[None])[0], labels))


def whole_case(case, network, canvas=None, step=0.5, together=1):
    shape, patch = CASES[case]
    image = waves((*shape, 1))
    canvas = canvas or tuple(map(max, shape, patch))
    program = jax.jit(
        lambda shape: sliding.averaged(
            network, reader(image, patch), shape, grid(patch, step), canvas, together
        )
    )
    found = program(np.array(shape, np.int32))
    assert found.shape == (*canvas, CLASSES)
    return image, found[tuple(map(slice, shape))], found


@every_case
def test_the_mean_over_windows_is_the_network_where_it_looks_at_single_voxels(case):
    image, found, _ = whole_case(case, pointwise)
    np.testing.assert_allclose(found, pointwise(image[None])[0], rtol=1e-5, atol=1e-6)


def test_a_network_that_always_says_the_same_is_believed():
    def constant(images):
        return jnp.broadcast_to(jnp.asarray([0.5, -2.0, 7.0]), (*images.shape[:-1], CLASSES))

    _, found, canvas = whole_case("volume", constant, canvas=(9, 9, 8))
    np.testing.assert_allclose(found, constant(found[..., :1]), rtol=1e-6)
    assert (canvas[7:] == 0).all()
    assert (canvas[:, :, 6:] == 0).all()


@pytest.mark.parametrize("case", ["flat", "volume"])
@mostly_thorough("step", [0.5, 1.0], kept=(0.5,))
def test_the_mean_equals_the_whole_image_where_every_window_sees_all_that_the_network_looks_at(case, step):
    shape, patch = CASES[case]
    image, found, _ = whole_case(case, blurred, step=step)
    sees = np.ones(shape, bool)
    for _, start, _, _ in windows(grid(patch, step), shape):
        for axis, (first, side, length) in enumerate(zip(start, patch, shape, strict=True)):
            window = [slice(a, a + n) for a, n in zip(start, patch, strict=True)]
            # At the end of the image the window ends as the image does: with zeros of the padding.
            for last in [first] * int(first > 0) + [first + side - 1] * int(first + side < length):
                sees[(*window[:axis], slice(last, last + 1), *window[axis + 1 :])] = False
    expected = np.asarray(blurred(image[None])[0])
    assert sees.any()
    assert not sees.all()
    np.testing.assert_allclose(found[sees], expected[sees], rtol=1e-5, atol=1e-5)
    assert np.abs(found - expected)[~sees].max() > 1e-2


@mostly_thorough("case", list(CASES), kept=("flat",))
def test_windows_seen_together_give_what_they_give_one_by_one(case):
    _, _, alone = whole_case(case, blurred, canvas=(13, 13, 13)[: len(CASES[case][0])])
    for together in (2, 5, 100):
        *_, found = whole_case(case, blurred, (13, 13, 13)[: len(CASES[case][0])], together=together)
        np.testing.assert_allclose(found, alone, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("canvas", "voxels", "wanted"),
    [((13, 9), 24, 1), ((13, 9), 10, 1), ((13, 9), 24 * 7, 6), ((13, 9), 10**9, 16), ((6, 4), 10**9, 1)],
)
def test_so_many_windows_are_seen_together_as_there_is_room_for(canvas, voxels, wanted):
    """Of 4 x 4 windows of 6 x 4 three calls of 6 leave 2 idle, and three of 7 would leave 5."""
    where = grid((6, 4), 0.5)
    assert len(windows(where, (13, 9))) == 16
    assert where.together(canvas, voxels) == wanted


def test_mirroring_is_the_mean_over_all_mirrorings():
    images = jnp.asarray(waves((2, 5, 4, 3, 1)))
    for axes in ((0, 1, 2), (2,), ()):
        found = jax.jit(sliding.mirrored(blurred, axes))(images)
        each = []
        for many in range(len(axes) + 1):
            for some in itertools.combinations(axes, many):
                turned = tuple(axis + 1 for axis in some)
                each.append(np.flip(blurred(jnp.flip(images, turned)), turned))
        np.testing.assert_allclose(found, np.mean(each, axis=0), rtol=1e-5, atol=1e-6)


def test_a_mirrored_case_gives_the_mirrored_mean():
    shape, patch = (13, 9), (6, 4)
    image = waves((*shape, 1))
    network, where, size = sliding.mirrored(blurred, (0, 1)), grid(patch, 0.5), jnp.array(shape, jnp.int32)
    plain, turned = (
        jax.jit(lambda image: sliding.averaged(network, reader_of(image, patch), size, where, shape))(given)
        for given in (image, image[::-1].copy())
    )
    starts = np.unique(windows(where, shape)[:, 1, 0])
    np.testing.assert_array_equal(13 - 6 - starts[::-1], starts, err_msg="starts lie as in a mirror")
    np.testing.assert_allclose(turned[::-1], plain, rtol=1e-4, atol=1e-5)


def reader_of(image, patch):
    return lambda start: lax.dynamic_slice(image, [*start, jnp.int32(0)], (*patch, image.shape[-1]))


def test_counts_leave_out_what_is_not_own():
    logits, labels = waves((6, 5, CLASSES)), cells((6, 5), CLASSES)
    own = waves((6, 5)) > 0
    found = sliding.counts(jnp.asarray(logits), jnp.asarray(labels), jnp.asarray(own))
    np.testing.assert_array_equal(found, naive_counts(logits[own], labels[own]))
