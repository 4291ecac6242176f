"""What a picture shows: the image as it is, the map over it, and words that fit."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFont

from nachos_jax.protocol.model import explain, pictures
from nachos_jax.protocol.model.pictures import legend, picture

MARGIN = 12


def opened(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB"), np.int64)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float16", "float32"])
def test_the_left_panel_is_the_image_pixel_by_pixel(dtype: str):
    image = np.random.default_rng(0).integers(0, 200, (16, 8, 1)).astype(dtype)
    image[0, :2] = [[0], [200]]
    drawn = opened(picture(image, np.zeros((16, 8), np.float32)))
    panel = drawn[MARGIN : MARGIN + 256, MARGIN : MARGIN + 128, 0]
    blocks = panel.reshape(16, 16, 8, 16)
    assert (blocks == blocks[:, :1, :, :1]).all(), "enlarged by a whole number, not smoothed"
    values = image[..., 0].astype(float)
    low, high = np.percentile(values, (0.5, 99.5))
    np.testing.assert_allclose(blocks[:, 0, :, 0], 255 * np.clip((values - low) / (high - low), 0, 1), atol=1)


def test_the_right_panel_is_bright_and_coloured_where_the_map_is_high():
    image, heat = np.full((8, 8, 1), 90, np.uint8), np.zeros((8, 8), np.float32)
    image[0, 0], image[7, 7] = 0, 180
    heat[2:4, 5:7] = 1.0
    drawn = opened(picture(image, heat))
    right = drawn[MARGIN : MARGIN + 256, 2 * MARGIN + 256 : 2 * MARGIN + 512]
    inside, outside = right[3 * 32, 6 * 32], right[6 * 32, 2 * 32]
    assert inside[1] > inside[2] + 50, "yellow or green"
    assert inside.sum() > outside.sum() + 100, "brighter in print without colour too"
    white = (right == 255).all(axis=2)
    rows, columns = np.nonzero(white)
    around = (rows.min(), rows.max(), columns.min(), columns.max())
    np.testing.assert_allclose(around, (64, 127, 160, 223), atol=3)


def test_a_volume_is_shown_in_three_planes_through_the_peak_of_its_map():
    volume = np.random.default_rng(0).integers(0, 200, (4, 6, 8, 1)).astype(np.uint8)
    heat = np.zeros((4, 6, 8), np.float32)
    heat[1, 4, 2] = 1.0
    image = pictures.planes(volume, (1, 4, 2), 255)[..., 0]
    assert image.shape == (6 + 1 + 4 + 1 + 4, 8)
    np.testing.assert_array_equal(image[:6], volume[1, ..., 0])
    np.testing.assert_array_equal(image[7:11], volume[:, 4, :, 0])
    np.testing.assert_array_equal(image[12:, :6], volume[:, :, 2, 0])
    assert (image[[6, 11]] == 255).all()
    shown = pictures.planes(heat[..., None], (1, 4, 2), 0.0)[..., 0]
    assert picture(volume, heat) == picture(pictures.planes(volume, (1, 4, 2), volume.max()), shown)
    assert opened(picture(np.repeat(volume, 4, axis=3), np.zeros_like(heat))).size, "channels are no colours"


def test_no_line_where_the_map_is_empty_or_full():
    image = np.arange(64, dtype=np.uint8).reshape(8, 8, 1)
    for level in (0.0, 1.0):
        inner, outer = pictures._rims(np.full((8, 8), level) >= 0.5)
        assert not inner.any()
        assert not outer.any()
        opened(picture(image, np.full((8, 8), level, np.float32)))


@settings(max_examples=15)
@given(
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    channels=st.sampled_from([1, 3]),
    value=st.sampled_from([0, 7, 255]),
    words=st.lists(st.text(max_size=200), max_size=3),
)
def test_any_image_and_any_words_give_a_picture(height, width, channels, value, words):
    image, heat = np.full((height, width, channels), value, np.uint8), np.ones((height, width), np.float32)
    first = picture(image, heat, words)
    assert first == picture(image, heat, words), "the same bytes"
    assert opened(first).shape[1] >= 2 * width


def test_large_images_are_reduced():
    image = np.random.default_rng(0).integers(0, 4000, (900, 300, 1)).astype(np.int16)
    for largest in (320, 512):
        drawn = opened(picture(image, np.zeros((900, 300), np.float32), (), largest))
        assert drawn.shape[0] == largest + 2 * MARGIN


def test_the_legend_says_what_1_stands_for():
    assert set(pictures.METHODS) == set(explain.METHODS)
    assert legend("occlusion", "tumour", 0.1234) == (
        "Occlusion of tumour: 1 = covering it takes 0.12 off the probability; line at 0.5"
    )
    for method in pictures.METHODS:
        assert "2.5" in legend(method, "tumour", 2.5)
        assert legend(method, "tumour", 0.0) == "No place spoke for tumour: the map is empty."


def test_words_are_cut_to_the_room_and_spelled_in_letters_that_the_font_has():
    font = ImageFont.load_default(13)
    assert pictures._short("Läsion 日, é", font, 500) == "Lasion ?, e"
    cut = pictures._short("x" * 500, font, 200)
    assert cut.endswith("x...")
    assert font.getlength(cut) <= 200
