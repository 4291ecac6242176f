"""Files that are damaged on purpose: whole ones to start from, and what is done to them."""

from __future__ import annotations

import io
import random
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
import pydicom
from PIL import Image

LARGEST = 200_000
"""Bytes of a file to start from: small ones are read often."""
KINDS = ("DICOM", "NIfTI", "PNG", "JPEG", "TIFF")


@dataclass(frozen=True)
class Whole:
    """A file that can be read.

    Attributes:
        kind: one of KINDS.
        name: how it is called in what is told.
        suffix: of the file's name.
        content: its bytes.
    """

    kind: str
    name: str
    suffix: str
    content: bytes


def whole_files() -> dict[str, list[Whole]]:
    """The files to start from, by kind; the same ones wherever the same packages are installed."""
    found = {"DICOM": list(_dicom()), "NIfTI": list(_nifti())}
    return {**found, **{kind: list(_pictures(kind)) for kind in ("PNG", "JPEG", "TIFF")}}


def _dicom():
    root = Path(pydicom.__file__).parent / "data" / "test_files"
    seen: set[tuple[str, ...]] = set()
    for path in sorted(path for path in root.rglob("*.dcm") if path.stat().st_size <= LARGEST):
        try:
            header = pydicom.dcmread(path, stop_before_pixels=True)
            syntax = header.file_meta.TransferSyntaxUID
        except Exception:
            continue
        names = ("PhotometricInterpretation", "BitsAllocated", "PixelRepresentation", "NumberOfFrames")
        kind = (syntax, *(str(header.get(name)) for name in names))
        if "Rows" in header and kind not in seen:
            seen.add(kind)
            yield Whole("DICOM", path.name, ".dcm", path.read_bytes())


def _nifti():
    values = np.arange(6 * 5 * 4).reshape(6, 5, 4)
    for dtype in (np.uint8, np.int16, np.float32):
        image = nibabel.Nifti1Image(values.astype(dtype), np.diag([2.0, 3.0, 4.0, 1.0]))
        yield Whole("NIfTI", np.dtype(dtype).name, ".nii", image.to_bytes())
    packed = zlib.compressobj(wbits=31)
    yield Whole("NIfTI", "gzip", ".nii.gz", packed.compress(image.to_bytes()) + packed.flush())


def _pictures(kind: str):
    shade = np.add.outer(np.arange(48), np.arange(64)).astype(np.uint8)
    colour = Image.fromarray(
        np.stack([shade, shade.T.repeat(2, 0)[:48].repeat(2, 1)[:, :64], 255 - shade], -1)
    )
    gray, deep = Image.fromarray(shade), Image.fromarray(shade.astype(np.uint16) * 257)
    modes = {"gray": gray, "colour": colour, "deep": deep, "palette": colour.quantize(16)}
    modes |= {"bits": gray.convert("1"), "alpha": colour.convert("RGBA"), "cmyk": colour.convert("CMYK")}
    ways = {
        "PNG": [(name, {}) for name in ("gray", "colour", "deep", "palette", "bits", "alpha")],
        "JPEG": [("gray", {}), ("colour", {}), ("colour", {"progressive": True}), ("cmyk", {})],
        "TIFF": [
            (name, {"compression": how} if how else {})
            for name in ("gray", "colour", "deep", "palette")
            for how in ("", "tiff_lzw", "tiff_deflate", "packbits")
        ]
        + [("colour", {"compression": "jpeg"}), ("bits", {"compression": "group4"})],
    }
    for name, options in ways[kind]:
        file = io.BytesIO()
        modes[name].save(file, kind, **options)
        words = " ".join([name, *map(str, options.values())])
        yield Whole(kind, words, "." + kind.lower(), file.getvalue())


def mutated(whole: Whole, name: str) -> tuple[str, bytes]:
    """What was done to a file, and the bytes that it left; the name gives the random numbers."""
    rng = random.Random(name)
    made, done = bytearray(whole.content), []
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        change = rng.choice(CHANGES)
        change(made, rng)
        done.append(change.__name__.strip("_"))
    return ", ".join(done), bytes(made)


def _flip_bits(made: bytearray, rng: random.Random) -> None:
    for _ in range(rng.choice((1, 2, 8, 64)) if made else 0):
        made[rng.randrange(len(made))] ^= 1 << rng.randrange(8)


def _flip_a_bit_of_the_header(made: bytearray, rng: random.Random) -> None:
    if made:
        made[rng.randrange(min(len(made), 1500))] ^= 1 << rng.randrange(8)


def _cut(made: bytearray, rng: random.Random) -> None:
    del made[rng.randrange(len(made) + 1) :]


def _overwrite_a_number(made: bytearray, rng: random.Random) -> None:
    """A length or a size becomes extreme, in either order of bytes; mostly where headers are."""
    size = rng.choice((1, 2, 4))
    values = (0, 1, 0x7F, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, rng.getrandbits(32))
    number = (rng.choice(values) % 256**size).to_bytes(size, rng.choice(("little", "big")))
    place = rng.randrange(max(1, min(len(made), rng.choice((64, 1024, len(made) or 1)))))
    made[place : place + size] = number


def _swap_blocks(made: bytearray, rng: random.Random) -> None:
    size = rng.choice((1, 4, 32, 256))
    first, second = (rng.randrange(max(1, len(made) - size)) for _ in range(2))
    made[first : first + size], made[second : second + size] = (
        made[second : second + size],
        made[first : first + size],
    )


def _remove_a_block(made: bytearray, rng: random.Random) -> None:
    place = rng.randrange(len(made) or 1)
    del made[place : place + rng.choice((1, 2, 7, 100))]


def _repeat_a_block(made: bytearray, rng: random.Random) -> None:
    place, size = rng.randrange(len(made) or 1), rng.choice((1, 2, 7, 100, 5000))
    made[place:place] = made[place : place + size]


def _zero_a_block(made: bytearray, rng: random.Random) -> None:
    place = rng.randrange(len(made) or 1)
    block = made[place : place + rng.choice((2, 16, 200, 4000))]
    made[place : place + len(block)] = bytes(len(block))


CHANGES: tuple[Callable[[bytearray, random.Random], None], ...] = (
    _flip_bits,
    _flip_a_bit_of_the_header,
    _cut,
    _overwrite_a_number,
    _overwrite_a_number,
    _swap_blocks,
    _remove_a_block,
    _repeat_a_block,
    _zero_a_block,
)
