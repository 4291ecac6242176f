"""Contrast-limited adaptive histogram equalisation against its definition and scikit-image."""

from __future__ import annotations

import math

import numpy as np
import pytest

from nachos_jax.core.errors import UsageError
from nachos_jax.data.clahe import BINS, equalised
from nachos_jax.data.preparation import prepare


def waves(height: int, width: int) -> np.ndarray:
    """[H, W] uint8 with uneven light, its darkest value 0 and its brightest 255."""
    rows, columns = np.mgrid[:height, :width]
    noise = np.random.default_rng(0).normal(0, 12, (height, width))
    image = np.clip(80 + 60 * np.sin(columns / 17) + 40 * np.cos(rows / 11) + noise, 0, 255).astype(np.uint8)
    image[0, :2] = 0, 255
    return image


def mapping(tile: np.ndarray, limit: float) -> list[float]:
    """Of every level of a tile, its share of pixels up to it once no bin is above the limit."""
    counts = [float((tile == level).sum()) for level in range(BINS)]
    most = limit * tile.size / BINS
    low, high = 0.0, float(tile.size)  # how much each bin with room is given
    for _ in range(100):
        given = (low + high) / 2
        full = sum(min(most, count + given) for count in counts) > tile.size
        low, high = (low, given) if full else (given, high)
    return np.cumsum([min(most, count + low) / tile.size for count in counts]).tolist()


@pytest.mark.parametrize("limit", [1, 2, 4, 1000])
def test_it_is_the_definition_pixel_by_pixel(limit: int) -> None:
    image = waves(32, 24)  # 4 x 3 tiles of 8 x 8 pixels
    maps = [[mapping(image[8 * i : 8 * i + 8, 8 * j : 8 * j + 8], limit) for j in range(3)] for i in range(4)]

    def at(row: int, column: int) -> float:
        y, x = (row + 0.5) / 8 - 0.5, (column + 0.5) / 8 - 0.5
        found = 0.0
        for i, j in ((a, b) for a in (0, 1) for b in (0, 1)):
            tile = min(max(math.floor(y) + i, 0), 3), min(max(math.floor(x) + j, 0), 2)
            near = (1 - abs(y - math.floor(y) - i)) * (1 - abs(x - math.floor(x) - j))
            found += near * maps[tile[0]][tile[1]][image[row, column]]
        return found * 255

    wanted = np.array([[at(row, column) for column in range(24)] for row in range(32)])
    assert np.abs(equalised(image[..., None], limit)[..., 0] - wanted).max() <= 0.5 + 1e-3


@pytest.mark.parametrize("limit", [2, 4, 8])
def test_it_is_near_that_of_scikit_image(limit: int) -> None:
    exposure = pytest.importorskip("skimage.exposure", reason="scikit-image is not installed")
    image = waves(512, 640)
    there = exposure.equalize_adapthist(image, (64, 80), clip_limit=limit / BINS, nbins=BINS) * 255
    found = equalised(image[..., None], limit)[..., 0]
    # It counts in whole numbers, and stretches what it has found to the whole range in the end.
    assert np.abs(found - there).mean() < 3
    assert np.abs(found - there).max() < 15
    assert np.abs(found - image.astype(float)).mean() > 20


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
def test_dtype_and_range_stay_and_a_limit_of_one_changes_at_most_a_bin(dtype: str) -> None:
    image = (waves(70, 50) * (1 if dtype == "uint8" else 16)).astype(dtype)[..., None]
    found = equalised(image, 3)
    assert found.dtype == image.dtype
    assert image.min() <= found.min() < found.max() <= image.max()
    step = float(np.ptp(image.astype(float))) / (BINS - 1)
    assert np.abs(equalised(image, 1).astype(float) - image).max() <= 1.01 * step + 1
    flat = np.full((9, 9, 1), 7, dtype)
    np.testing.assert_array_equal(equalised(flat, 3), flat)


def test_it_is_prepared_before_an_image_is_resized_and_slice_by_slice() -> None:
    image, wanted = waves(40, 30)[..., None], {"height": 20, "width": 15, "channels": 0, "aspect": "stretch"}
    np.testing.assert_array_equal(
        prepare(image, {**wanted, "clahe": 2}), prepare(equalised(image, 2), wanted)
    )
    volume = np.stack([image, image[::-1]])
    found = prepare(volume, {**wanted, "depth": 0, "height": 0, "width": 0, "volume": "whole", "clahe": 2})
    np.testing.assert_array_equal(found, [equalised(image, 2), equalised(image[::-1], 2)])
    with pytest.raises(UsageError, match=r"clahe = 2 takes gray images, .* set config.data.channels = 1"):
        prepare(np.repeat(image, 3, -1), {**wanted, "clahe": 2})
