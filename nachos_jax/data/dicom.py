"""Single-frame DICOM images; the only file that imports pydicom."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
from pydicom.errors import InvalidDicomError
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.processing import apply_color_lut, apply_modality_lut

from nachos_jax.core.errors import UsageError
from nachos_jax.data.pixels import sixteen_bits

PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
GRAY = ("MONOCHROME1", "MONOCHROME2")
COLOUR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_PARTIAL_420", "YBR_ICT", "YBR_RCT")
PACKAGES = "pylibjpeg pylibjpeg-libjpeg pylibjpeg-openjpeg pylibjpeg-rle"


def read_dicom(path: Path) -> np.ndarray:
    """Reads one image in the units of its modality (e.g. Hounsfield), white is high.

    MONOCHROME1 is inverted within its stored bits, then the modality LUT or rescale slope and intercept
    apply (DICOM part 3, C.11.1). Window settings (VOI) are for display and are not applied.

    Args:
        path: a DICOM file with one frame.

    Returns:
        [H, W, 1] or [H, W, 3]: uint8, uint16, int16, or float32 when rescaled values are not whole.

    Raises:
        UsageError: not DICOM, no pixels, several frames, a compression without decoder, damaged pixels.
    """
    try:
        dataset = pydicom.dcmread(path)
    except InvalidDicomError as error:
        raise UsageError(
            f"{path} is not a DICOM file (no DICM mark after 128 bytes); rename it if it is another format, "
            "or write it again as DICOM part 10."
        ) from error
    _refuse(dataset, path)
    stored = _decoded(dataset, path)
    kind = str(dataset.get("PhotometricInterpretation", "MONOCHROME2"))
    if kind == "PALETTE COLOR":
        return _palette(stored, dataset)
    if kind in COLOUR and stored.ndim == 3 and stored.dtype == np.uint8:
        return stored  # pydicom has made YBR into RGB
    if kind not in GRAY or stored.ndim != 2:
        raise UsageError(
            f"{path} has colours of kind {kind} in {stored.dtype}; export it as gray or as 8-bit RGB."
        )
    if kind == "MONOCHROME1":
        stored = _inverted(stored, dataset)
    return _compact(_modality(stored, dataset))[..., None]


def _refuse(dataset: pydicom.Dataset, path: Path) -> None:
    if not any(name in dataset for name in PIXELS):
        kind = getattr(dataset.get("SOPClassUID"), "name", "unknown kind")
        raise UsageError(f"{path} holds no image ({kind}); leave it out of the data.")
    frames = str(dataset.get("NumberOfFrames") or 1)
    if frames.isdecimal() and int(frames) > 1:
        raise UsageError(
            f"{path} has {frames} frames; this version reads single 2-D images. Save the frames wanted as "
            "files of their own."
        )
    if "TransferSyntaxUID" not in dataset.file_meta:
        raise UsageError(
            f"{path} does not say how its pixels are stored (no Transfer Syntax UID); write it again with "
            "complete file meta information."
        )


def _decoded(dataset: pydicom.Dataset, path: Path) -> np.ndarray:
    syntax = dataset.file_meta.TransferSyntaxUID
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError as error:
        raise UsageError(
            f"{path}: the transfer syntax {syntax.name} ({syntax}) has no decoder; store the file as "
            "Explicit VR Little Endian, e.g. with dcmdjpeg or gdcmconv --raw."
        ) from error
    try:
        return dataset.pixel_array
    except Exception as error:  # decoders of damaged files raise anything
        reason = " ".join(str(error).split())
        if decoder.missing_dependencies:
            cure = f"install a decoder with: pip install {PACKAGES}; or store the file uncompressed"
        else:
            cure = "replace the file by an intact one, or drop its row"
        raise UsageError(
            f"{path}: the pixels cannot be decoded, transfer syntax {syntax.name} ({reason}); {cure}."
        ) from error


def _palette(stored: np.ndarray, dataset: pydicom.Dataset) -> np.ndarray:
    colours = apply_color_lut(stored, dataset)
    return (colours >> 8).astype(np.uint8) if colours.dtype == np.uint16 else colours


def _inverted(stored: np.ndarray, dataset: pydicom.Dataset) -> np.ndarray:
    """Mirrors the range of the stored bits, so that all images of a series are mirrored alike."""
    if stored.dtype.kind == "f":
        return -stored
    top = 2 ** int(dataset.BitsStored) - 1
    low = -(top + 1) // 2 if stored.dtype.kind == "i" else 0
    return (2 * low + top - stored.astype(np.int64)).astype(stored.dtype)


def _modality(stored: np.ndarray, dataset: pydicom.Dataset) -> np.ndarray:
    slope = float(dataset.get("RescaleSlope") or 1)
    intercept = float(dataset.get("RescaleIntercept") or 0)
    if "ModalityLUTSequence" not in dataset and (slope, intercept) == (1.0, 0.0):
        return stored
    return np.asarray(apply_modality_lut(stored, dataset))


def _compact(image: np.ndarray) -> np.ndarray:
    """Whole values in 16 bits where they fit (8 bits when stored so), others as float32."""
    if image.dtype in (np.uint8, np.uint16, np.int16):
        return image
    if image.dtype.kind == "f" and not np.array_equal(image, np.round(image)):
        return image.astype(np.float32)
    return sixteen_bits(image)
