"""Files of every kind against the pixels that were written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from nachos_jax.core.errors import UsageError
from nachos_jax.data import cache, jpeg, sources
from nachos_jax.data.image_files import is_image, read_files, read_image
from nachos_jax.data.pixels import Pixels

RNG = np.random.default_rng(0)
GRAY = RNG.integers(0, 256, (5, 6), np.uint8)
COLOUR = RNG.integers(0, 256, (5, 6, 3), np.uint8)
DEEP = RNG.integers(0, 65536, (5, 6), np.uint16)
OPAQUE = np.dstack([COLOUR, np.full((5, 6), 255, np.uint8)])
ORIENTATIONS = {
    1: lambda a: a,
    2: np.fliplr,
    3: lambda a: np.rot90(a, 2),
    4: np.flipud,
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a.swapaxes(0, 1), 2),
    8: np.rot90,
}
"""EXIF orientation -> what makes the stored pixels upright (Exif 2.3, table 6)."""


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("image", [GRAY, COLOUR, DEEP], ids=["gray", "colour", "16-bit"])
def test_lossless_files_keep_every_value(suffix: str, image: np.ndarray, tmp_path: Path):
    path = tmp_path / f"x{suffix}"
    Image.fromarray(image).save(path)
    read = read_image(path)
    assert read.dtype == image.dtype
    np.testing.assert_array_equal(read, image.reshape(5, 6, -1))


@pytest.mark.parametrize("image", [GRAY, COLOUR], ids=["gray", "colour"])
def test_jpeg_equals_pillow(image: np.ndarray, tmp_path: Path):
    Image.fromarray(image).save(tmp_path / "x.jpg")
    with Image.open(tmp_path / "x.jpg") as plain:
        np.testing.assert_array_equal(read_image(tmp_path / "x.jpg"), np.asarray(plain).reshape(5, 6, -1))


def test_palette_opaque_alpha_cmyk_and_bits(tmp_path: Path):
    few = Image.fromarray(COLOUR).quantize(7)
    few.save(tmp_path / "palette.png")
    np.testing.assert_array_equal(read_image(tmp_path / "palette.png"), np.asarray(few.convert("RGB")))
    Image.fromarray(OPAQUE).save(tmp_path / "alpha.png")
    np.testing.assert_array_equal(read_image(tmp_path / "alpha.png"), COLOUR)
    cmyk = Image.fromarray(COLOUR).convert("CMYK")
    cmyk.save(tmp_path / "cmyk.tif")
    np.testing.assert_array_equal(read_image(tmp_path / "cmyk.tif"), np.asarray(cmyk.convert("RGB")))
    Image.fromarray(GRAY > 100).save(tmp_path / "bits.png")
    np.testing.assert_array_equal(read_image(tmp_path / "bits.png")[..., 0], (GRAY > 100) * np.uint8(255))


def test_gray_with_opaque_alpha_stays_gray(tmp_path: Path):
    Image.fromarray(GRAY).convert("LA").save(tmp_path / "x.png")
    np.testing.assert_array_equal(read_image(tmp_path / "x.png")[..., 0], GRAY)


@pytest.mark.parametrize("image", [GRAY, COLOUR, DEEP], ids=["gray", "colour", "16-bit"])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_orientation_is_applied(image: np.ndarray, suffix: str, orientation: int, tmp_path: Path):
    exif = Image.Exif()
    exif[274] = orientation
    path = tmp_path / f"x{suffix}"
    Image.fromarray(image).save(path, exif=exif)
    upright = ORIENTATIONS[orientation](image)
    np.testing.assert_array_equal(read_image(path), upright.reshape(*upright.shape[:2], -1))


def test_signed_and_float_and_32_bit_tiff(tiff: Callable[..., None], tmp_path: Path):
    signed = (DEEP.astype(np.int32) - 30000).clip(-32768, 32767).astype(np.int16)
    tiff(tmp_path / "signed.tif", signed, sample_format=2)
    read = read_image(tmp_path / "signed.tif")
    assert read.dtype == np.int16
    np.testing.assert_array_equal(read[..., 0], signed)
    real = GRAY.astype(np.float32) / 7
    tiff(tmp_path / "real.tif", real, sample_format=3)
    np.testing.assert_array_equal(read_image(tmp_path / "real.tif")[..., 0], real)
    tiff(tmp_path / "long.tif", GRAY.astype(np.uint32) * 9, sample_format=1)
    long = read_image(tmp_path / "long.tif")
    assert long.dtype == np.int16
    np.testing.assert_array_equal(long[..., 0], GRAY.astype(int) * 9)


@pytest.mark.parametrize("image", [GRAY, DEEP], ids=["8-bit", "16-bit"])
def test_tiff_whose_white_is_zero_is_inverted(image: np.ndarray, tiff: Callable[..., None], tmp_path: Path):
    tiff(tmp_path / "x.tif", image, photometric=0)
    np.testing.assert_array_equal(read_image(tmp_path / "x.tif")[..., 0], np.iinfo(image.dtype).max - image)


def test_refusals(tiff: Callable[..., None], tmp_path: Path):
    def refused(name: str, words: str) -> None:
        with pytest.raises(UsageError, match=rf"{name}.*{words}"):
            read_image(tmp_path / name)

    refused("none.png", "no such file; mend the path")
    Image.fromarray(GRAY).save(tmp_path / "pages.tif", save_all=True, append_images=[Image.fromarray(GRAY)])
    refused("pages.tif", "2 pages, and one is read a case.*config.data.frame")
    clear = OPAQUE.copy()
    clear[2, 3, 3] = 128
    Image.fromarray(clear).save(tmp_path / "clear.png")
    refused("clear.png", "alpha down to 128 of 255.*without alpha")
    Image.fromarray(GRAY).save(tmp_path / "key.png", transparency=int(GRAY[0, 0]))
    refused("key.png", "transparent in places")
    tiff(tmp_path / "signed.tif", GRAY.astype(np.int8), sample_format=2)
    refused("signed.tif", "signed 8-bit.*16-bit gray")
    Image.fromarray(COLOUR).convert("LAB").save(tmp_path / "lab.tif")
    refused("lab.tif", "colour mode LAB; save it as gray or RGB")
    Image.fromarray(GRAY).save(tmp_path / "bitmap.png", format="BMP")
    refused("bitmap.png", r"cannot be read as PNG, .* \(it is a BMP image\)")
    for content, words in [
        (b"", "it is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "git lfs pull"),
        (b"\n<!DOCTYPE html>", "a web page"),
        (b"hello", "none of them is recognised"),
        (b"\0\0\0\x18ftypheic", "HEIC"),
    ]:
        (tmp_path / "odd.png").write_bytes(content)
        refused("odd.png", rf"cannot be read as PNG, .* \(.*{words}.*\); replace the file")


@given(cut=st.floats(0.0, 0.9))
def test_truncated_files_are_refused(tmp_path_factory: pytest.TempPathFactory, cut: float):
    path = tmp_path_factory.mktemp("cut") / "x.png"
    Image.fromarray(RNG.integers(0, 256, (40, 40), np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[: int(cut * path.stat().st_size)])
    with pytest.raises(UsageError, match=r"x.png(: its picture does not end| cannot be read as PNG)"):
        read_image(path)


def test_is_image_by_suffix_or_mark(tmp_path: Path):
    for name, content, answer in [
        ("a.PNG", b"", True),
        ("a.jpeg", b"", True),
        ("IM0001", bytes(128) + b"DICM", True),
        ("1.2.840.113", bytes(128) + b"DICM", True),
        ("DICOMDIR", bytes(128) + b"DICM", False),
        ("readme.txt", b"hello", False),
    ]:
        (tmp_path / name).write_bytes(content)
        assert is_image(tmp_path / name) is answer, name


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"exif": b"Exif\0\0\xff\xd8\xff\xd9"}])
def test_a_jpeg_whose_end_is_lost(options: dict[str, Any], tmp_path: Path):
    path = tmp_path / "x.jpg"
    pixels = np.random.default_rng(0).integers(0, 256, (32, 40), np.uint8)
    Image.fromarray(pixels).save(path, **options)
    whole = path.read_bytes()
    assert jpeg.size(whole) == (32, 40)
    path.write_bytes(whole + b"trailer of a phone")
    assert read_image(path).shape == (32, 40, 1)
    for kept in (len(whole) // 2, len(whole) - 2):
        for rest in (b"\0" * 500, b"\xff" * 500, b""):
            path.write_bytes(whole[:kept] + rest)
            with pytest.raises(UsageError, match=r"x.jpg.*(part of it is lost|truncated).*drop its row"):
                read_image(path)


SMOOTH = np.add.outer(np.arange(512) // 3, np.arange(512) // 5).astype(np.uint8)
PATTERNS = {"black": SMOOTH * 0, "smooth": SMOOTH, "noise": RNG.integers(0, 256, (512, 512), np.uint8)}
JPEGS: dict[str, dict[str, Any]] = {
    "usual tables": {},
    "own tables": {"optimize": True},
    "progressive": {"progressive": True},
    "restarts": {"restart_marker_blocks": 8},
}


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("options", JPEGS)
def test_a_jpeg_with_a_hole(options: str, pattern: str, tmp_path: Path):
    path = tmp_path / "x.jpg"
    Image.fromarray(PATTERNS[pattern]).save(path, **JPEGS[options])
    whole = path.read_bytes()
    assert read_image(path).shape == (512, 512, 1), "flat regions of sound files are runs of zeros, too"
    if pattern != "noise" and options in ("own tables", "progressive"):
        return
    for hole in (b"\0" * 200, b"\xff" * 200):
        middle = len(whole) * 2 // 3
        path.write_bytes(whole[:middle] + hole + whole[middle + 200 :])
        with pytest.raises(UsageError, match=r"x.jpg: its picture (is damaged from byte|does not end).*drop"):
            read_image(path)


def test_a_tiff_of_jpeg_strips_with_a_hole(tmp_path: Path):
    path = tmp_path / "x.tif"
    Image.fromarray(PATTERNS["noise"]).save(path, compression="jpeg")
    whole, middle = path.read_bytes(), path.stat().st_size // 2
    assert read_image(path).shape == (512, 512, 1)
    path.write_bytes(whole[:middle] + bytes(200) + whole[middle + 200 :])
    with pytest.raises(UsageError, match=r"x.tif: its picture is damaged"):
        read_image(path)


@pytest.mark.parametrize("level", [0, 6])
def test_a_png_with_a_hole(level: int, tmp_path: Path):
    path = tmp_path / "x.png"
    Image.fromarray(SMOOTH).save(path, compress_level=level)
    whole = path.read_bytes()
    middle = len(whole) // 2
    path.write_bytes(whole[:middle] + b"\1" + whole[middle + 1 :])
    with pytest.raises(UsageError, match=r"x.png: its picture is damaged between bytes .*drop its row"):
        read_image(path)


@pytest.mark.parametrize("damaged", [(0, 1, 4), (2, 5), range(6)])
def test_all_damaged_images_are_told_at_once(damaged: Sequence[int], tmp_path: Path):
    files = [tmp_path / f"{i}.png" for i in range(6)]
    for i, file in enumerate(files):
        Image.fromarray(GRAY + i).save(file)
    for i in damaged:
        files[i].write_bytes(files[i].read_bytes()[:-20])
    as_stored = {"height": 0, "width": 0, "channels": 0, "aspect": "stretch"}
    pixels = Pixels(6, lambda row: str(files[row]), lambda: read_files(files))
    for read in (
        lambda: cache.in_memory(pixels, as_stored),
        lambda: sources.read_inputs(files, as_stored),
    ):
        with pytest.raises(UsageError) as caught:
            read()
        assert [i for i, file in enumerate(files) if str(file) in str(caught.value)] == list(damaged)
