"""Colour of 16 bits a channel, and the pages of a TIFF."""

from __future__ import annotations

import struct
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from nachos_jax.core.errors import UsageError
from nachos_jax.data.image_files import read_image

RNG = np.random.default_rng(0)
DEEP = RNG.integers(0, 65536, (5, 6, 4), np.uint16)
GRAY = RNG.integers(0, 200, (5, 6), np.uint8)


def png(image: np.ndarray, *more: tuple[bytes, bytes]) -> bytes:
    """A file of 16 bits with further chunks in front of its pixels."""
    height, width, channels = image.shape
    kind = {2: 4, 3: 2, 4: 6}[channels]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in image)
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0)),
        *more,
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    ]
    packed = [
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


SIDES = st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(4))


@settings(max_examples=20, deadline=None)
@given(arrays(np.uint16, SIDES), st.sampled_from([3, 4]))
def test_colour_of_16_bits_keeps_all_of_them(image: np.ndarray, channels: int):
    image[..., 3] = 65535
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "x.png")
        path.write_bytes(png(image[..., :channels]))
        found = read_image(path)
    assert found.dtype == np.uint16
    np.testing.assert_array_equal(found, image[..., :3])


def test_tiff_in_colour_of_16_bits(tiff: Callable[..., None], tmp_path: Path):
    tiff(tmp_path / "x.tif", DEEP[..., :3], photometric=2)
    np.testing.assert_array_equal(read_image(tmp_path / "x.tif"), DEEP[..., :3])


def test_deep_colour_that_is_transparent_or_cannot_be_kept(tmp_path: Path):
    for name, image, more, words in [
        ("clear.png", np.where(DEEP > 9, DEEP, 9), (), "alpha down to .* of 65535.*without alpha"),
        (
            "key.png",
            DEEP[..., :3],
            [(b"tRNS", DEEP[2, 2, :3].astype(">u2").tobytes())],
            "alpha down to 0 of 65535",
        ),
        ("two.png", DEEP[..., :2], (), "16 bits in each of several channels.*16-bit gray"),
    ]:
        (tmp_path / name).write_bytes(png(image, *more))
        with pytest.raises(UsageError, match=f"{name}.*{words}"):
            read_image(tmp_path / name)
    other = (65535 - DEEP[2, 2, :3]).astype(">u2").tobytes()
    (tmp_path / "none.png").write_bytes(png(np.repeat(DEEP[2:3, 2:3, :3], 2, 0), (b"tRNS", other)))
    assert read_image(tmp_path / "none.png").shape == (2, 1, 3)


def test_pages_of_a_tiff(tmp_path: Path):
    pages = [Image.fromarray(GRAY + row) for row in range(3)]
    pages[0].save(tmp_path / "x.tif", save_all=True, append_images=pages[1:])
    for row in range(3):
        np.testing.assert_array_equal(read_image(tmp_path / "x.tif", row)[..., 0], GRAY + row)
    with pytest.raises(
        UsageError, match=r"x.tif has 3 page\(s\), and config.data.frame = 3 is counted from 0"
    ):
        read_image(tmp_path / "x.tif", 3)
