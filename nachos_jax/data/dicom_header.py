"""What a DICOM header promises of the pixels, and whether the pixels can be what it says."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pydicom
from pydicom.encaps import get_frame
from pydicom.errors import InvalidDicomError

from nachos_jax.core.errors import UsageError, refuse_transient
from nachos_jax.data import jpeg
from nachos_jax.data.pixels import check_size

PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
INTACT = "replace the file by an intact one, or drop its row"
MOST_FRAMES = 100_000
"""Of one file; more is a damaged header."""


def opened(path: Path) -> pydicom.Dataset:
    """The header of one DICOM file with its pixels, which are not decoded yet.

    Raises:
        UsageError: not DICOM, no pixels, or a header that contradicts itself or the length of the pixels.
    """
    try:
        dataset = pydicom.dcmread(path)
    except InvalidDicomError as error:
        raise UsageError(
            f"{path} is not a DICOM file (no DICM mark after 128 bytes); rename it if it is another format, "
            "or write it again as DICOM part 10."
        ) from error
    except Exception as error:  # of a damaged header, anything
        refuse_transient(error, path)
        reason = " ".join(str(error).split())
        raise UsageError(f"{path} ends, or is damaged, within its header ({reason}); {INTACT}.") from error
    with damage_told(path):
        _refuse(dataset, path)
    return dataset


@contextmanager
def damage_told(path: Path) -> Generator[None]:
    """Turns what damaged values raise when they are asked for, which may be anything, into a UsageError."""
    try:
        yield
    except UsageError:
        raise
    except Exception as error:
        refuse_transient(error, path)
        reason = " ".join(str(error).split())
        raise UsageError(f"{path} is damaged within its header ({reason}); {INTACT}.") from error


def frames(dataset: pydicom.Dataset) -> int:
    """How many frames the file holds; what is no number counts as one."""
    return max(1, said_frames(dataset) or 1)


def said_frames(dataset: pydicom.Dataset) -> int | None:
    """What the header says of them, 1 where it says nothing; None where that is no number."""
    said = str(dataset.get("NumberOfFrames") or 1)
    return int(said) if said.isdecimal() else None


def is_compressed(dataset: pydicom.Dataset) -> bool:
    """Whether each frame is a stream of its own; so are those of transfer syntaxes that nobody knows."""
    syntax = dataset.file_meta.TransferSyntaxUID
    return not syntax.is_transfer_syntax or syntax.is_encapsulated


def _refuse(dataset: pydicom.Dataset, path: Path) -> None:
    if not any(dataset.get(name) for name in PIXELS):
        uid = dataset.get("SOPClassUID") or dataset.file_meta.get("MediaStorageSOPClassUID")
        kind = getattr(uid, "name", "") or "kind not said"
        if uid is None or kind == uid or "Image Storage" in kind or "Rows" in dataset:
            raise UsageError(f"{path} ends before its pixels ({kind}); copy or export it again, or drop it.")
        raise UsageError(f"{path} holds no image ({kind}); leave it out of the data.")
    check_size(int(dataset.get("Rows") or 0), int(dataset.get("Columns") or 0), path)
    if frames(dataset) > MOST_FRAMES:
        raise UsageError(f"{path} claims {frames(dataset):,} frames: its header is damaged; {INTACT}.")
    if "TransferSyntaxUID" not in dataset.file_meta:
        raise UsageError(
            f"{path} does not say how its pixels are stored (no Transfer Syntax UID); write it again with "
            "complete file meta information."
        )
    stored, high = dataset.get("BitsStored"), dataset.get("HighBit")
    if None not in (stored, high) and high != stored - 1:
        raise UsageError(
            f"{path} says HighBit {high} and BitsStored {stored}, whose high bit is {stored - 1}: its values "
            "would be read on another scale; export it again, or mend the header."
        )
    if not is_compressed(dataset):
        _refuse_more(dataset, path)


def _refuse_more(dataset: pydicom.Dataset, path: Path) -> None:
    """Refuses pixels that are a row or more beyond what the header says; less than that is padding."""
    names = ("Rows", "Columns", "SamplesPerPixel", "BitsAllocated")
    rows, columns, samples, bits = (int(dataset.get(name) or 0) for name in names)
    found = max(len(dataset.get(name) or b"") for name in PIXELS)
    row, count = columns * samples * bits // 8, frames(dataset)
    if row and rows and bits % 8 == 0 and found >= row * (rows * count + 1):
        shape = f"{rows} rows of {columns} columns" + (f" in {count} frames" if count > 1 else "")
        raise UsageError(
            f"{path} holds {found:,} bytes of pixels, and its header says {shape}, {row * rows * count:,} "
            "bytes: it is of another picture; export it again, or mend the header."
        )


def refuse_stream(dataset: pydicom.Dataset, path: Path, frame: int) -> None:
    """Refuses a compressed picture of another size than the header's, or a damaged one.

    Raises:
        UsageError: likewise.
    """
    if not is_compressed(dataset):
        return
    try:
        stream = get_frame(dataset.PixelData, frame, number_of_frames=frames(dataset))
    except Exception:  # the decoder tells what is damaged
        return
    found, said = jpeg.size(stream), (dataset.get("Rows"), dataset.get("Columns"))
    if found not in (None, said):
        raise UsageError(
            f"{path} holds a picture of {found} rows and columns, and its header says {said}: the pixels "
            "would be shuffled; export it again, or mend the header."
        )
    fault = jpeg.fault(stream)
    if fault:
        raise UsageError(f"{path}: its JPEG picture {fault}, so part of it is lost; {INTACT}.")
