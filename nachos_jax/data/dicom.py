"""DICOM images, one frame at a time; pydicom is imported by the files dicom*.py alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
from pydicom.pixels.processing import apply_color_lut

from nachos_jax.config.windows import CT, OF_FILE
from nachos_jax.core.errors import UsageError, refuse_transient
from nachos_jax.data import dicom_header, dicom_values, dicom_voi, windows
from nachos_jax.data.dicom_decode import decoded
from nachos_jax.data.pixels import chosen_frame, sixteen_bits

GRAY = ("MONOCHROME1", "MONOCHROME2")
COLOUR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")


def read_dicom(path: Path, frame: int = -1, voi: str = "") -> np.ndarray:
    """Reads one image in the units of its modality (e.g. Hounsfield), white is high.

    MONOCHROME1 is inverted within its stored bits, then the modality LUT or rescale slope and intercept
    apply (DICOM part 3, C.11.1), which of enhanced objects stand in their functional groups (C.7.6.16.2.9).
    Where a window is named, its values are mirrored about the centre instead, in its own units.
    Pixels of the padding value or range (C.7.5.1.1.2) take the smallest value of the others.

    Args:
        path: a DICOM file.
        frame: counted from 0; -1 for files with one.
        voi: "file": grey levels by the VOI LUT or the first window of the header, those of MONOCHROME1
            inverted afterwards; a window leaves the values but those of MONOCHROME1, and is checked to suit
            them.

    Returns:
        [H, W, 1] or [H, W, 3]: uint8, uint16, int16, or float32 when rescaled values are not whole; grey
        levels are uint8.

    Raises:
        UsageError: not DICOM, no pixels, several frames and none chosen, a compression without decoder,
            damaged pixels, a header that contradicts them, or names no values of interest.
    """
    dataset = dicom_header.opened(path)
    count = dicom_header.frames(dataset)
    return image_of(dataset, path, chosen_frame(frame, count, path, "frame"), voi)


def image_of(dataset: pydicom.Dataset, path: Path, frame: int, voi: str = "") -> np.ndarray:
    """The pixels of a frame of an open file; otherwise as `read_dicom`.

    Raises:
        UsageError: likewise.
    """
    with dicom_header.damage_told(path):
        return _image(dataset, path, frame, voi)


def _image(dataset: pydicom.Dataset, path: Path, frame: int, voi: str) -> np.ndarray:
    _refuse_window(dataset, path, voi)
    dicom_header.refuse_stream(dataset, path, frame)
    stored = decoded(dataset, path, frame)
    padding = dicom_values.padded(stored, dataset) if stored.ndim == 2 else None
    stored = dicom_values.within_bits(stored, padding, dataset, path)
    kind = str(dataset.get("PhotometricInterpretation", "MONOCHROME2"))
    if kind == "PALETTE COLOR" and stored.ndim == 2:
        return _palette(stored, dataset, path)
    if kind in COLOUR and stored.ndim == 3 and (stored.dtype == np.uint8 or _deep(stored, kind)):
        return stored  # pydicom has made YBR into RGB
    if kind not in GRAY or stored.ndim != 2:
        raise UsageError(
            f"{path} has colours of kind {kind} in {stored.dtype}; export it as gray, or as RGB of 8 or 16 "
            "bits."
        )
    dark = kind == "MONOCHROME1"  # that is what its high values look like
    if voi == OF_FILE:
        levels = dicom_voi.shown(dicom_values.modality(stored, dataset, path, frame), dataset, path, frame)
        image = 255 - levels if dark else levels
    elif voi and dark:
        image = windows.mirrored(dicom_values.modality(stored, dataset, path, frame), voi)
    else:
        stored = dicom_values.inverted(stored, dataset) if dark else stored
        image = _compact(dicom_values.modality(stored, dataset, path, frame))
    if padding is not None:
        image = np.where(padding, image[~padding].min(), image)
    return image[..., None]


def _refuse_window(dataset: pydicom.Dataset, path: Path, voi: str) -> None:
    modality = str(dataset.get("Modality") or "CT")
    if voi in CT and modality != "CT":
        raise UsageError(
            f"{path} is of modality {modality}, and config.data.voi = {voi!r} is a window of CT; give centre "
            "and width in its own units, like '(128, 256)'."
        )


def _deep(stored: np.ndarray, kind: str) -> bool:
    return stored.dtype == np.uint16 and kind == "RGB"


def _palette(stored: np.ndarray, dataset: pydicom.Dataset, path: Path) -> np.ndarray:
    try:
        colours = apply_color_lut(stored, dataset)
    except Exception as error:  # of a damaged header, anything
        refuse_transient(error, path)
        reason = " ".join(str(error).split())
        raise UsageError(f"{path}: its palette cannot be read ({reason}); export it as RGB.") from error
    return (colours >> 8).astype(np.uint8) if colours.dtype == np.uint16 else colours


def _compact(image: np.ndarray) -> np.ndarray:
    """Whole values in 16 bits where they fit (8 bits when stored so), others as float32."""
    if image.dtype in (np.uint8, np.uint16, np.int16):
        return image
    if image.dtype.kind == "f" and not np.array_equal(image, np.round(image)):
        return image.astype(np.float32)
    return sixteen_bits(image)


FACTS = {
    **{
        "height": "Rows",
        "width": "Columns",
        "bits": "BitsStored",
        "photometric": "PhotometricInterpretation",
    },
    **{"modality": "Modality", "manufacturer": "Manufacturer", "model": "ManufacturerModelName"},
    **{"view": "ViewPosition", "kVp": "KVP", "slice thickness": "SliceThickness"},
    **{"field strength": "MagneticFieldStrength", "echo time": "EchoTime", "kernel": "ConvolutionKernel"},
}
"""Attributes of the acquisition; none says who the patient is."""


def facts(path: Path) -> dict[str, str]:
    """What the header says of the acquisition; {} of a damaged file."""
    try:
        header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=list(FACTS.values()))
        return {name: str(header[tag].value) for name, tag in FACTS.items() if tag in header}
    except Exception:  # of a damaged header, anything
        return {}
