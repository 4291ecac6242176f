"""One image file -> pixels [H, W, C], by Pillow or (DICOM) pydicom."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from nachos_jax.config.windows import OF_FILE
from nachos_jax.core.errors import TransientError, UsageError, refuse_transient
from nachos_jax.data import deep_colour, given, jpeg, png, there
from nachos_jax.data.pixels import ReadCase, chosen_frame, narrowed, sixteen_bits
from nachos_jax.data.reading import Opening

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".dcm", ".dicom")
FORMATS = ("PNG", "JPEG", "TIFF")
_PREAMBLE = 132
"""Bytes of a DICOM file that tell it."""
_WHOLE = (b"\x89PNG", b"\xff\xd8")
"""First bytes of PNG and JPEG, whose every byte is looked at for damage."""
PHOTOMETRIC, SAMPLE_FORMAT, BITS, COMPRESSION, JPEG_TABLES = 262, 339, 258, 259, 347
"""TIFF tags: 262 (0 = white is zero), 339 (2 = signed), 258, 259 (7 = JPEG), 347."""


def is_image(path: str | os.PathLike) -> bool:
    """Whether a file is PNG, JPEG, TIFF or DICOM by suffix, or DICOM by content (no DICOMDIR)."""
    if _suffix(path) in SUFFIXES:
        return True
    return os.path.basename(path).upper() != "DICOMDIR" and is_dicom(path)


def _suffix(path: str | os.PathLike) -> str:
    return os.path.splitext(os.fspath(path))[1].lower()


def is_dicom(path: str | os.PathLike) -> bool:
    """Whether the four bytes after the preamble say so (DICOM part 10, section 7.1).

    Raises:
        TransientError: the system could not read them.
    """
    try:
        with open(path, "rb") as file:
            return _says_dicom(file.read(_PREAMBLE))
    except OSError as error:
        # A slice that cannot be read now must not vanish from its volume.
        if error.errno not in there.NOTHING:
            refuse_transient(error, path)
        return False


def _says_dicom(start: bytes) -> bool:
    return start[128:] == b"DICM"


def read_files(paths: Sequence[str | os.PathLike], frame: int = -1, voi: str = "") -> ReadCase:
    """A function that reads the i-th file."""
    return lambda row: read_image(paths[row], frame, voi)


def shown_files(paths: Sequence[str | os.PathLike], frame: int, voi: str) -> ReadCase:
    """The same, through the window that config.data.voi names."""
    from nachos_jax.data import windows

    return windows.reader(read_files(paths, frame, voi), voi)


def opening(paths: Sequence[Path], frame: int = -1, voi: str = "") -> Opening:
    """The same, for other processes too."""
    told = {"paths": [str(path) for path in paths], "frame": frame, "voi": voi}
    return Opening(__name__, "shown_files", told)


def read_image(path: str | os.PathLike[str], frame: int = -1, voi: str = "") -> np.ndarray:
    """Reads one 2-D image, upright (EXIF orientation applied).

    Args:
        path: PNG, JPEG, TIFF or DICOM file.
        frame: of a multi-frame DICOM file, or page of a TIFF, from 0; -1 for files with one.
        voi: see `dicom.read_dicom`.

    Returns:
        [H, W, C] with C 1 (gray) or 3 (RGB): uint8, uint16, int16 or float32. 8 bits become uint8, also
        palettes, CMYK and black-and-white (0 and 255); 16 bits stay, in colour too; whole numbers of 32 bits
        become 16 bits where they fit, else float32.

    Raises:
        UsageError: not an image, damaged, larger than can be meant, several pages or frames and none chosen,
            transparent, or a colour space that has no meaning here; TransientError of no such file, and where
            memory ran out or the system could not read.
    """
    path = os.fspath(path)
    if not there.is_file(path):  # whoever names the files has seen it: it is away, and not damaged
        raise TransientError(f"{path}: there is no such file; mend the path.")
    try:
        with open(path, "rb") as file:
            start = file.read(_PREAMBLE)
            if _says_dicom(start) or _suffix(path) in (".dcm", ".dicom"):
                # Late, so that those who have no DICOM files never load pydicom.
                from nachos_jax.data.dicom import read_dicom

                return read_dicom(Path(path), frame, voi)
            if voi == OF_FILE:
                raise UsageError(
                    f"{path} is no DICOM file, and config.data.voi = 'file' reads DICOM headers: give centre "
                    "and width, like '(40, 400)', or set it to ''."
                )
            return _picture(start, file, path, frame)
    except UsageError:
        raise
    except Image.DecompressionBombError as error:
        raise UsageError(
            f"{path} claims more pixels than are read ({error}): scale it down, or cut out what matters."
        ) from error
    except Exception as error:  # decoders of damaged files raise anything
        refuse_transient(error, path)
        cure = given.cure_of_image(Path(path)) or "replace the file by an intact one, or drop its row"
        known = not isinstance(error, UnidentifiedImageError)
        why = given.content(Path(path)) or (f"({error})" if known else "(none of them is recognised in it)")
        raise UsageError(f"{path} cannot be read as PNG, JPEG, TIFF or DICOM {why}; {cure}.") from error


def _picture(start: bytes, file: IO[bytes], path: str, frame: int) -> np.ndarray:
    """Pixels of an open file, of which the start has been read."""
    # PNG and JPEG whole and once: in small pieces Pillow decodes them more slowly. Others from an open file,
    # not a path: of a path it maps plain TIFFs into memory, and those whose orientation swaps the sides then
    # come out scrambled (Pillow 13.0).
    stream = start + file.read() if start.startswith(_WHOLE) else b""
    with Image.open(io.BytesIO(stream) if stream else file, formats=FORMATS) as image:
        _choose(image, path, frame)
        for part in [stream] if stream else _jpeg_strips(image, path):
            _refuse_damage(part, path)
        return _pixels(image, path)


def _refuse_damage(stream: bytes, path: str) -> None:
    fault = (png if stream.startswith(_WHOLE[0]) else jpeg).fault(stream)
    if fault:
        raise UsageError(
            f"{path}: its picture {fault}, so part of it is lost; replace the file by an intact one, or drop "
            "its row."
        )


def _jpeg_strips(image: Image.Image, path: str) -> list[bytes]:
    """The strips or tiles of a TIFF that are JPEG streams, with the tables that they share."""
    tags: Any = getattr(image, "tag_v2", {})
    if tags.get(COMPRESSION) != 7:
        return []
    stream, tables = Path(path).read_bytes(), bytes(tags.get(JPEG_TABLES, b""))[:-2]
    starts, counts = (tags.get(tile) or tags.get(strip) for tile, strip in ((324, 273), (325, 279)))
    strips = [stream[start : start + count] for start, count in zip(starts, counts, strict=True)]
    return [tables + strip[2:] if tables else strip for strip in strips]


def _choose(image: Image.Image, path: str, frame: int) -> None:
    """Turns a TIFF to the page wanted; of others nothing but the first picture is read."""
    frames = getattr(image, "n_frames", 1)
    if image.format == "MPO":  # a phone's first picture is the photo
        frames = 1
    if frames > 1 and image.format != "TIFF":
        raise UsageError(f"{path} has {frames} frames; save each 2-D image as a file of its own.")
    page = chosen_frame(frame, frames, path, "page")
    if page:
        image.seek(page)


def _pixels(image: Image.Image, path: str) -> np.ndarray:
    tags: Any = getattr(image, "tag_v2", {})
    if _is_deep(image, tags):
        return _deep(image, path)
    if image.mode == "L" and tags.get(SAMPLE_FORMAT, (1,))[0] == 2:
        raise UsageError(f"{path} holds signed 8-bit values, which cannot be read; save it as 16-bit gray.")
    # Before anything else: Pillow turns a TIFF upright while it loads, other formats only on request.
    image.load()
    white_is_zero = tags.get(PHOTOMETRIC) == 0 and image.mode.startswith("I;16")
    # The orientation is looked for where there is anything beside the pixels.
    upright = ImageOps.exif_transpose(image) if image.info or tags else image
    values = np.asarray(_plain(upright, path))
    if values.dtype == np.int32:
        values = sixteen_bits(values)
    if white_is_zero:  # Pillow inverts 8 bits itself, 16 bits not
        values = 65535 - values
    values = narrowed(values)
    return values[..., None] if values.ndim == 2 else values


def _is_deep(image: Image.Image, tags: Any) -> bool:
    """Whether Pillow would drop bits of colours; only its raw mode and the tag say so."""
    raw = " ".join(str(tile[3]) for tile in getattr(image, "tile", ()))
    deep = ";16" in raw or max(tags.get(BITS, (8,))) > 8
    return deep and image.mode in ("RGB", "RGBA", "LA", "RGBX", "CMYK")


def _deep(image: Image.Image, path: str) -> np.ndarray:
    lower = deep_colour.lower_mode(image)
    if not lower:
        raise UsageError(
            f"{path} has 16 bits in each of several channels, stored in a way of which 8 would be lost; save "
            "it as 8-bit colour, as 16-bit RGB or as 16-bit gray."
        )
    stream, page = Path(path).read_bytes(), image.tell()

    def again() -> Image.Image:
        opened = Image.open(io.BytesIO(stream), formats=FORMATS)
        if page:
            opened.seek(page)
        return opened

    values = deep_colour.read(again, lower)
    colours, alpha = values[..., :3], values[..., 3:]
    invisible = image.info.get("transparency")
    hidden = invisible is not None and (colours == np.asarray(invisible)).all(-1).any()
    if hidden or (alpha < 65535).any():
        raise _transparent(path, int(alpha.min(initial=0 if hidden else 65535)), 65535)
    return colours


def _plain(image: Image.Image, path: str) -> Image.Image:
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


def _opaque(image: Image.Image, path: str) -> Image.Image:
    if image.mode.startswith("I"):
        if (np.asarray(image) != image.info["transparency"]).all():
            return image
        lowest = 0
    else:
        gray = image.mode in ("1", "L", "LA", "La")
        image = image.convert("LA" if gray else "RGBA")
        lowest = int(np.asarray(image.getchannel("A")).min())
        if lowest == 255:
            return image.convert("L" if gray else "RGB")
    raise _transparent(path, lowest, 255)


def _transparent(path: str, lowest: int, top: int) -> UsageError:
    return UsageError(
        f"{path} is transparent in places (alpha down to {lowest} of {top}), so its colours depend on a "
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
