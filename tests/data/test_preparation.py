"""Resizing, padding and channels against Pillow and against each other."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from nachos_jax.core.errors import UsageError
from nachos_jax.data.cropping import foreground_box, otsu
from nachos_jax.data.preparation import prepare

SIDES = st.integers(1, 24)


def test_values_far_from_0_have_a_foreground():
    image = np.full((8, 8, 1), 1e6, np.float32)
    image[2:5, 3:6] += 1
    assert prepare(image, {"height": 4, "width": 4, "channels": 0, "aspect": "crop"}).shape == (4, 4, 1)


DTYPES = st.sampled_from([np.uint8, np.uint16, np.int16, np.float16, np.float32])
RNG = np.random.default_rng(0)


@st.composite
def images(draw: st.DrawFn) -> np.ndarray:
    dtype = np.dtype(draw(DTYPES))
    shape = (draw(SIDES), draw(SIDES), draw(st.sampled_from([1, 3])))
    values = st.floats(-100, 100, width=16) if dtype.kind == "f" else None
    return draw(hnp.arrays(dtype, shape, elements=values))


def wanted(height: int = 0, width: int = 0, channels: int = 0, aspect: str = "stretch") -> dict:
    return {"height": height, "width": width, "channels": channels, "aspect": aspect}


@given(images(), st.sampled_from(["left", "right"]))
def test_the_brighter_half_faces_the_side_wanted(image: np.ndarray, side: str):
    got = prepare(image, {**wanted(), "facing": side})
    assert np.array_equal(got, image) or np.array_equal(got, image[:, ::-1])
    half = image.shape[1] // 2
    left, right = got[:, :half].astype(float).sum(), got[:, image.shape[1] - half :].astype(float).sum()
    assert left >= right if side == "left" else right >= left
    turned = prepare(image[:, ::-1], {**wanted(), "facing": side})
    assert left == right or np.array_equal(turned, got), "mirror images of one breast become one"


@given(images(), SIDES, SIDES, st.sampled_from([0, 1, 3]), st.sampled_from(["stretch", "pad", "fit", "crop"]))
def test_shape_dtype_and_range(image: np.ndarray, height: int, width: int, channels: int, aspect: str):
    got = prepare(image, wanted(height, width, channels, aspect))
    assert got.shape == (height, width, channels or image.shape[2])
    assert got.dtype == image.dtype
    black = 0 if image.dtype.kind == "u" else image.min()
    slack = 0.2 if image.dtype.kind == "f" else 1
    assert min(float(image.min()), float(black)) - slack <= got.min()
    assert got.max() <= float(image.max()) + slack


@given(images())
def test_nothing_asked_changes_nothing(image: np.ndarray):
    assert prepare(image, wanted()) is image
    assert prepare(image, wanted(*image.shape)) is image


@given(images(), st.floats(0.001, 50), SIDES, SIDES, st.sampled_from(["stretch", "pad", "fit", "crop"]))
def test_constant_images_stay_constant(image: np.ndarray, value: float, height: int, width: int, aspect: str):
    flat = np.full(image.shape, value, np.float32)
    np.testing.assert_allclose(prepare(flat, wanted(height, width, 0, aspect)), value, rtol=1e-5)


def deep(depth: int = 0, height: int = 0, width: int = 0, aspect: str = "stretch", volume: str = "whole"):
    return {**wanted(height, width, 0, aspect), "depth": depth, "volume": volume}


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32])
@given(sides=st.tuples(*[st.integers(1, 9)] * 3), size=st.tuples(*[st.integers(1, 9)] * 3))
def test_volumes_get_their_size_in_their_range(dtype: type, sides: tuple, size: tuple):
    volume = RNG.integers(-99 if dtype == np.int16 else 0, 99, (*sides, 2)).astype(dtype)
    for aspect in ("stretch", "fit", "window"):
        got = prepare(volume, deep(*size, aspect=aspect))
        assert got.shape == (*size, 2)
        assert got.dtype == dtype
        black = 0 if dtype == np.uint8 else volume.min()
        assert min(volume.min(), black) - 1e-4 <= got.min() <= got.max() <= volume.max() + 1e-4
        flat = prepare(np.full_like(volume, 7), deep(*size, aspect="stretch"))
        np.testing.assert_allclose(flat, 7, rtol=1e-5)
    assert prepare(volume, deep()) is volume


def test_a_volume_is_resized_axis_by_axis_as_pillow_resizes_an_image():
    image = RNG.normal(size=(20, 31)).astype(np.float32)
    oracle = np.asarray(Image.fromarray(image).resize((17, 33), Image.Resampling.BILINEAR))
    for axis in range(3):
        size = np.insert((33, 17), axis, 5).tolist()
        got = prepare(np.repeat(np.expand_dims(image, axis), 2, axis)[..., None], deep(*size))
        np.testing.assert_allclose(got[..., 0], np.repeat(np.expand_dims(oracle, axis), 5, axis), atol=1e-5)


def test_a_window_keeps_voxels_and_their_middle():
    volume = np.arange(4 * 6 * 5, dtype=np.uint8).reshape(4, 6, 5, 1)
    got = prepare(volume, deep(2, 8, 5, "window"))
    np.testing.assert_array_equal(got[:, 1:7], volume[1:3])
    assert not got[:, [0, 7]].any()


@pytest.mark.parametrize("way", ["middle", "mean", "max"])
def test_an_image_of_a_volume(way: str):
    volume = RNG.integers(0, 255, (5, 8, 6, 3), np.uint8)
    oracle = {"middle": volume[2], "mean": np.rint(volume.mean(0)), "max": volume.max(0)}[way]
    got = prepare(volume, {**wanted(), "volume": way})
    np.testing.assert_array_equal(got, oracle)
    assert got.dtype == np.uint8
    assert prepare(volume, {**wanted(4, 4, 1), "volume": way}).shape == (4, 4, 1)


def test_channels_that_are_no_colours_stay():
    volume = np.zeros((2, 3, 4, 5), np.int16)
    with pytest.raises(UsageError, match="5 channels cannot become 1: set config.data.channels = 0"):
        prepare(volume, {**deep(), "channels": 1})


@pytest.mark.parametrize("shape", [(30, 40), (30, 40, 3)])
def test_8_bits_equal_pillow(shape: tuple[int, ...]):
    image = RNG.integers(0, 256, shape, np.uint8)
    oracle = np.asarray(Image.fromarray(image).resize((9, 7), Image.Resampling.BILINEAR))
    got = prepare(image.reshape(30, 40, -1), wanted(7, 9))
    np.testing.assert_array_equal(got, oracle.reshape(7, 9, -1))


@pytest.mark.parametrize("channels", [2, 4, 5])
def test_channels_that_are_no_colours_are_resized_each_by_itself(channels: int):
    image = RNG.integers(0, 256, (30, 40, channels), np.uint8)
    image[..., -1] = 0  # which would be an alpha of 0
    got = prepare(image, wanted(7, 9))
    alone = [prepare(image[..., [channel]], wanted(7, 9)) for channel in range(channels)]
    np.testing.assert_array_equal(got, np.concatenate(alone, axis=-1))


def test_16_bits_equal_8_bits_times_257():
    image = RNG.integers(0, 256, (30, 40, 1), np.uint8)
    deep = prepare(image.astype(np.uint16) * 257, wanted(7, 9))
    np.testing.assert_allclose(deep / 257, prepare(image, wanted(7, 9)), atol=1.0)
    assert deep.dtype == np.uint16
    assert (deep % 257 != 0).any(), "depth was kept"


def test_shrinking_averages():
    """A checkerboard shrunk without antialiasing would be black or white."""
    board = np.indices((64, 64)).sum(0) % 2 * np.uint8(255)
    small = prepare(board[..., None].astype(np.uint8), wanted(8, 8))
    np.testing.assert_allclose(small, 127.5, atol=6)


def test_channels_equal_pillow_luma():
    image = RNG.integers(0, 256, (30, 40, 3), np.uint8)
    luma = prepare(image, wanted(channels=1))
    np.testing.assert_array_equal(luma[..., 0], np.asarray(Image.fromarray(image).convert("L")))
    np.testing.assert_array_equal(prepare(luma, wanted(channels=3)), np.repeat(luma, 3, 2))
    np.testing.assert_allclose(
        prepare(image.astype(np.float32), wanted(channels=1)), luma.astype(float), atol=0.51
    )


@pytest.mark.parametrize("aspect", ["pad", "fit"])
def test_padding_centres_and_keeps_the_ratio(aspect: str):
    image = np.full((10, 20, 1), 200, np.uint8)
    got = prepare(image, wanted(20, 20, 0, aspect))[..., 0]
    assert (got[:5] == 0).all()
    assert (got[15:] == 0).all()
    assert (got[5:15] == 200).all()


@pytest.mark.parametrize("aspect", ["pad", "fit"])
def test_padding_of_signed_images_takes_their_darkest_value(aspect: str):
    image = np.full((10, 20, 1), 40, np.int16)
    image[0, 0] = -1024
    assert prepare(image, wanted(20, 20, 0, aspect))[0, 0] == -1024


@given(images(), SIDES, SIDES)
def test_an_image_of_the_ratio_wanted_is_only_resized(image: np.ndarray, height: int, width: int):
    square = image[: min(image.shape[:2]), : min(image.shape[:2])]
    got = prepare(square, wanted(height, height, 0, "fit"))
    np.testing.assert_array_equal(got, prepare(square, wanted(height, height)))
    strip = prepare(image, wanted(height, width, 0, "fit")), prepare(image, wanted(height, width, 0, "pad"))
    assert strip[0].shape == strip[1].shape


def test_a_strip_takes_no_more_memory_than_itself_and_the_target():
    strip = np.zeros((400_000, 1, 1), np.uint8)
    strip[200_000:] = 200
    tracemalloc.start()
    got = prepare(strip, wanted(64, 64, 0, "fit"))[..., 0]
    assert tracemalloc.get_traced_memory()[1] < 2 * strip.nbytes + got.nbytes + 10_000
    tracemalloc.stop()
    assert (got[40:, 31] == 200).all()
    assert got.sum() == got[:, 31].sum()


def test_crop_keeps_what_is_no_background_with_a_margin():
    image = RNG.integers(0, 8, (100, 120, 1), np.uint8)
    image[20:60, 30:90] = 180
    image[30:50, 40:80] = 3  # dark and enclosed, as lungs are
    image[5, 5] = 255  # a speck
    assert foreground_box(image) == (slice(18, 62), slice(27, 93))
    got = prepare(image, wanted(44, 66, 0, "crop"))
    np.testing.assert_array_equal(got, image[18:62, 27:93])
    signed = image.astype(np.int16) * 10 - 1024
    assert foreground_box(signed) == foreground_box(image)


def test_crop_without_foreground_keeps_the_image():
    flat = np.full((7, 9, 1), 5, np.uint8)
    assert foreground_box(flat) == (slice(0, 7), slice(0, 9))


def test_otsu_equals_scikit_image():
    filters = pytest.importorskip("skimage.filters", reason="scikit-image is not installed")
    gray = (
        np.concatenate([RNG.normal(40, 9, 3000), RNG.normal(150, 20, 1000)]).clip(0, 255).astype(np.float32)
    )
    assert otsu(gray) == pytest.approx(filters.threshold_otsu(gray), abs=1e-3)
