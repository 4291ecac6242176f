"""One image file -> pixels [H, W, C], by Pillow or (DICOM) pydicom."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from nachos_jax.core.errors import UsageError
from nachos_jax.data import given, jpeg, png
from nachos_jax.data.pixels import ReadCase, narrowed, sixteen_bits
from nachos_jax.data.reading import Opening

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".dcm", ".dicom")
FORMATS = ("PNG", "JPEG", "TIFF")
PHOTOMETRIC, SAMPLE_FORMAT, BITS, COMPRESSION, JPEG_TABLES = 262, 339, 258, 259, 347
"""TIFF tags: 262 (0 = white is zero), 339 (2 = signed), 258, 259 (7 = JPEG), 347."""


def is_image(path: Path) -> bool:
    """Whether a file is PNG, JPEG, TIFF or DICOM by suffix, or DICOM by content (no DICOMDIR)."""
    if path.suffix.lower() in SUFFIXES:
        return True
    return path.name.upper() != "DICOMDIR" and is_dicom(path)


def is_dicom(path: Path) -> bool:
    """Whether the four bytes after the preamble say so (DICOM part 10, section 7.1)."""
    try:
        with open(path, "rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return False


def read_files(paths: Sequence[str | os.PathLike]) -> ReadCase:
    """A function that reads the i-th file."""
    return lambda row: read_image(paths[row])


def opening(paths: Sequence[Path]) -> Opening:
    """The same, for other processes too."""
    return Opening(__name__, "read_files", {"paths": [str(path) for path in paths]})


def read_image(path: str | os.PathLike) -> np.ndarray:
    """Reads one 2-D image, upright (EXIF orientation applied).

    Args:
        path: PNG, JPEG, TIFF or DICOM file.

    Returns:
        [H, W, C] with C 1 (gray) or 3 (RGB): uint8, uint16, int16 or float32. 8 bits become uint8, also
        palettes, CMYK and black-and-white (0 and 255); 16 bits stay; whole numbers of 32 bits become
        16 bits where they fit, else float32.

    Raises:
        UsageError: no such file, not an image, damaged, larger than can be meant, several pages or frames,
            transparent, 16-bit colour, or a colour space that has no meaning here.
    """
    path = Path(path)
    if not os.path.isfile(path):
        raise UsageError(f"{path}: there is no such file; mend the path.")
    try:
        if is_dicom(path) or path.suffix.lower() in (".dcm", ".dicom"):
            # Late, so that those who have no DICOM files never load pydicom.
            from nachos_jax.data.dicom import read_dicom

            return read_dicom(path)
        # From an open file, not a path: of a path Pillow maps plain TIFFs into memory, and those whose
        # orientation swaps the sides then come out scrambled (Pillow 13.0).
        with open(path, "rb") as file, Image.open(file, formats=FORMATS) as image:
            if image.format in ("JPEG", "MPO", "PNG"):
                _refuse_damage(path.read_bytes(), path)
            for strip in _jpeg_strips(image, path):
                _refuse_damage(strip, path)
            return _pixels(image, path)
    except UsageError:
        raise
    except Image.DecompressionBombError as error:
        raise UsageError(
            f"{path} claims more pixels than are read ({error}): scale it down, or cut out what matters."
        ) from error
    except Exception as error:  # decoders of damaged files raise anything
        cure = given.cure_of_image(path) or "replace the file by an intact one, or drop its row"
        known = not isinstance(error, UnidentifiedImageError)
        why = given.content(path) or (f"({error})" if known else "(none of them is recognised in it)")
        raise UsageError(f"{path} cannot be read as PNG, JPEG, TIFF or DICOM {why}; {cure}.") from error


def _refuse_damage(stream: bytes, path: Path) -> None:
    fault = jpeg.fault(stream) or png.fault(stream)
    if fault:
        raise UsageError(
            f"{path}: its picture {fault}, so part of it is lost; replace the file by an intact one, or drop "
            "its row."
        )


def _jpeg_strips(image: Image.Image, path: Path) -> list[bytes]:
    """The strips or tiles of a TIFF that are JPEG streams, with the tables that they share."""
    tags: Any = getattr(image, "tag_v2", {})
    if tags.get(COMPRESSION) != 7:
        return []
    stream, tables = path.read_bytes(), bytes(tags.get(JPEG_TABLES, b""))[:-2]
    starts, counts = (tags.get(tile) or tags.get(strip) for tile, strip in ((324, 273), (325, 279)))
    strips = [stream[start : start + count] for start, count in zip(starts, counts, strict=True)]
    return [tables + strip[2:] if tables else strip for strip in strips]


def _pixels(image: Image.Image, path: Path) -> np.ndarray:
    tags: Any = getattr(image, "tag_v2", {})
    _refuse(image, tags, path)
    # Before anything else: Pillow turns a TIFF upright while it loads, other formats only on request.
    image.load()
    white_is_zero = tags.get(PHOTOMETRIC) == 0 and image.mode.startswith("I;16")
    values = np.asarray(_plain(ImageOps.exif_transpose(image), path))
    if values.dtype == np.int32:
        values = sixteen_bits(values)
    if white_is_zero:  # Pillow inverts 8 bits itself, 16 bits not
        values = 65535 - values
    values = narrowed(values)
    return values[..., None] if values.ndim == 2 else values


def _refuse(image: Image.Image, tags: Any, path: Path) -> None:
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and image.format != "MPO":  # a phone's first picture is the photo
        raise UsageError(f"{path} has {frames} pages or frames; save each 2-D image as a file of its own.")
    # The decoder's raw mode is the only place where Pillow tells that it would drop bits.
    raw = " ".join(str(tile[3]) for tile in getattr(image, "tile", ()))
    deep = ";16" in raw or max(tags.get(BITS, (8,))) > 8
    if deep and image.mode in ("RGB", "RGBA", "LA", "RGBX", "CMYK"):
        raise UsageError(
            f"{path} has 16 bits in each of several channels, of which 8 would be lost; save it as 8-bit "
            "colour or as 16-bit gray."
        )
    if image.mode == "L" and tags.get(SAMPLE_FORMAT, (1,))[0] == 2:
        raise UsageError(f"{path} holds signed 8-bit values, which cannot be read; save it as 16-bit gray.")


def _plain(image: Image.Image, path: Path) -> Image.Image:
    """The image in mode L, RGB, I, I;16 or F."""
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        return _opaque(image, path)
    if image.mode == "1":
        return image.convert("L")
    if image.mode in ("P", "CMYK", "YCbCr", "RGBX"):
        return image.convert("RGB")
    if image.mode in ("L", "RGB", "I", "F") or image.mode.startswith("I;16"):
        return image
    raise UsageError(f"{path} has the colour mode {image.mode}; save it as gray or RGB.")


def _opaque(image: Image.Image, path: Path) -> Image.Image:
    if image.mode.startswith("I"):
        if (np.asarray(image) != image.info["transparency"]).all():
            return image
        lowest = 0
    else:
        gray = image.mode in ("1", "L", "LA", "La")
        image = image.convert("LA" if gray else "RGBA")
        lowest, _ = image.getchannel("A").getextrema()
        if lowest == 255:
            return image.convert("L" if gray else "RGB")
    raise UsageError(
        f"{path} is transparent in places (alpha down to {lowest} of 255), so its colours depend on a "
        "background; save it without alpha channel."
    )


def facts(path: Path) -> dict[str, str]:
    """What the header of an image file says, without reading its pixels; of a damaged file its type alone."""
    if is_dicom(path):
        from nachos_jax.data import dicom

        return {"file type": "DICOM", **dicom.facts(path)}
    found = {"file type": path.suffix.lower().removeprefix(".")}
    try:
        with Image.open(path) as image:
            found |= {"file type": str(image.format), "height": str(image.height), "width": str(image.width)}
            return {**found, "mode": image.mode, "channels": str(len(image.getbands()))}
    except Exception:  # decoders of damaged files raise anything
        return found
