"""Pictures of masks: white around the reference, dots around the prediction, slices where most of it lies."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from nachos_jax.protocol.model.mask_pictures import picture

SHAPE = (8, 12, 10)


def drawn(reference: np.ndarray, predicted: np.ndarray, spacing=(1.0, 1.0, 1.0)) -> np.ndarray:
    image = np.random.default_rng(0).integers(0, 100, (*reference.shape, 1)).astype(np.uint8)
    return np.asarray(Image.open(io.BytesIO(picture(image, reference, predicted, spacing))))


def block(at: int) -> np.ndarray:
    mask = np.zeros(SHAPE, np.uint8)
    mask[2:5, at : at + 4, 3:7] = 1
    return mask


def colours(pixels: np.ndarray) -> tuple[int, int]:
    """Orange pixels, and those of exact white inside the panels."""
    orange = np.all(pixels == (255, 140, 0), axis=-1)
    return int(orange.sum()), int(np.all(pixels == 255, axis=-1).sum())


def test_reference_and_prediction_are_both_outlined():
    both, alone = drawn(block(2), block(6)), drawn(block(2), np.zeros(SHAPE, np.uint8))
    assert colours(both)[0] > 50
    assert colours(alone)[0] == 0
    assert colours(alone)[1] > colours(drawn(np.zeros(SHAPE, np.uint8), np.zeros(SHAPE, np.uint8)))[1]


def test_a_volume_has_three_panels_and_an_image_one():
    wide = drawn(block(2), block(2)).shape[1]
    flat = drawn(block(2)[3:4], block(2)[3:4]).shape[1]
    assert 2 * flat < wide < 4 * flat


def test_panels_are_stretched_by_the_spacing():
    mask = block(2)[3:4]
    even, tall = drawn(mask, mask), drawn(mask, mask, (1.0, 4.0, 1.0))
    assert even.shape[1] > 2 * tall.shape[1]
