"""Stored DICOM values -> values in the units of the modality."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.uid import RTDoseStorage

from nachos_jax.core.errors import UsageError, refuse_transient

DOSE = "RTDOSE"
"""Modality of radiotherapy doses."""
OVERLAYS = range(0x6000, 0x6020, 2)
"""Groups of overlays; one with a bit position lies in the unused bits of the pixels (retired)."""


def within_bits(stored: np.ndarray, padding: np.ndarray | None, dataset: Any, path: Path) -> np.ndarray:
    """The values of the stored bits; those above them may hold an overlay, the sign or padding, nothing else.

    Raises:
        UsageError: pixels that lie beyond the stored bits.
    """
    bits, size = int(dataset.get("BitsStored") or 0), 8 * stored.dtype.itemsize
    if stored.dtype.kind == "f" or not 1 < bits < size:
        return stored
    above = stored >> bits if stored.dtype.kind == "u" else stored >> (bits - 1)
    fits = above == 0 if stored.dtype.kind == "u" else np.isin(above, (0, 1, -1))
    if padding is not None:
        fits |= padding
    overlaid = any((group, 0x0102) in dataset and dataset[group, 0x0102].value for group in OVERLAYS)
    if not fits.all() and not overlaid:
        raise UsageError(
            f"{path} says BitsStored {bits}, and {np.sum(~fits)} pixel(s) lie beyond (the largest is "
            f"{stored.max()}): they would be cut; export it again, or mend BitsStored and HighBit."
        )
    shift = size - bits
    return (stored << shift) >> shift


def padded(stored: np.ndarray, dataset: Any) -> np.ndarray | None:
    """Where the header says that a pixel lies outside of what was seen (part 3, C.7.5.1.1.2); None: nowhere.

    Args:
        stored: [H, W] as decoded.
        dataset: its header.

    Returns:
        [H, W] bool, or None.
    """
    value = dataset.get("PixelPaddingValue")
    limit = dataset.get("PixelPaddingRangeLimit")
    if stored.dtype.kind not in "iu" or not isinstance(value, int):
        return None
    low, high = sorted((value, limit if isinstance(limit, int) else value))
    turn = 1 << 8 * stored.dtype.itemsize  # a sign that was written as another representation's
    where = np.zeros(stored.shape, bool)
    wide = stored.astype(np.int64)
    for shift in (-turn, 0, turn):
        where |= (wide >= low + shift) & (wide <= high + shift)
    return where if where.any() and not where.all() else None


def inverted(stored: np.ndarray, dataset: Any) -> np.ndarray:
    """Mirrors the range of the stored bits, so that all images of a series are mirrored alike."""
    if stored.dtype.kind == "f":
        return -stored
    top = 2 ** int(dataset.BitsStored) - 1
    low = -(top + 1) // 2 if stored.dtype.kind == "i" else 0
    return (2 * low + top - stored.astype(np.int64)).astype(stored.dtype)


def modality(stored: np.ndarray, dataset: Any, path: Path, frame: int = 0) -> np.ndarray:
    """Values through the modality LUT, or rescale slope and intercept (part 3, C.11.1), of a frame.

    Those of a dose are multiplied by its DoseGridScaling (C.8.8.3.2), which gives them their unit.

    Raises:
        UsageError: a table that is not whole, slopes that contradict each other, or a dose without scaling.
    """
    if str(dataset.get("Modality") or "") == DOSE or dataset.get("SOPClassUID") == RTDoseStorage:
        return stored.astype(np.float64) * _dose_scaling(dataset, path, frame)
    if dataset.get("ModalityLUTSequence"):
        return looked_up(stored, dataset.ModalityLUTSequence[0], dataset, path)
    slope, intercept = _rescale(dataset, path, frame)
    return stored if (slope, intercept) == (1.0, 0.0) else stored.astype(np.float64) * slope + intercept


def groups(dataset: Any, frame: int, sequence: str) -> list[pydicom.Dataset]:
    """The items of a functional group that hold for a frame, those of all frames first (C.7.6.16)."""
    shared = (dataset.get("SharedFunctionalGroupsSequence") or [])[:1]
    own = (dataset.get("PerFrameFunctionalGroupsSequence") or [])[frame : frame + 1]
    return [item for group in (*shared, *own) for item in (group.get(sequence) or [])]


def _dose_scaling(dataset: Any, path: Path, frame: int) -> float:
    scaling = number(dataset, "DoseGridScaling", 0.0, path)
    if scaling <= 0:
        raise UsageError(
            f"{path} is a dose with a DoseGridScaling of {scaling:g}, or without: its values have no unit, "
            "and those of other doses other scales; export it again, or mend the header."
        )
    if dataset.get("ModalityLUTSequence") or _rescale(dataset, path, frame) != (1.0, 0.0):
        raise UsageError(
            f"{path} is a dose that has a modality LUT or a rescale slope beside its DoseGridScaling: no "
            "unit follows from that; export it again, or mend the header."
        )
    return scaling


def _rescale(dataset: Any, path: Path, frame: int) -> tuple[float, float]:
    """Slope and intercept, of which one may be missing or empty, in the image or in its functional groups."""
    found = {
        (number(place, "RescaleSlope", 1.0, path), number(place, "RescaleIntercept", 0.0, path))
        for place in (dataset, *groups(dataset, frame, "PixelValueTransformationSequence"))
        if "RescaleSlope" in place or "RescaleIntercept" in place
    }
    if len(found) > 1 or 0.0 in {slope for slope, _ in found}:
        told = " and ".join(f"{slope:g} and {intercept:g}" for slope, intercept in sorted(found))
        raise UsageError(
            f"{path} says rescale slope and intercept {told}: no unit follows from that; export it again, or "
            "mend the header."
        )
    return found.pop() if found else (1.0, 0.0)


def number(place: Any, name: str, absent: float, path: Path) -> float:
    """A finite number of the header, or `absent` where it is not there or empty.

    Raises:
        UsageError: it is none.
    """
    try:
        value = place.get(name)
        found = absent if value is None or value == "" else float(value)
        if np.isfinite(found):
            return found
    except (ValueError, TypeError):
        value = "no number"
    raise UsageError(f"{path}: {name} is {value}; export the file again, or mend the header.")


def looked_up(
    values: np.ndarray, item: pydicom.Dataset, dataset: Any, path: Path, what: str = "modality"
) -> np.ndarray:
    """Values through a LUT of any depth up to 16 bits (DICOM part 3, C.11.1.1 and C.11.2.1.1).

    Raises:
        UsageError: it is not whole.
    """
    try:
        count, first, bits = (int(entry) for entry in item.LUTDescriptor)
        count, data = count or 2**16, item.LUTData
    except Exception as error:  # whatever a damaged header makes of its values
        refuse_transient(error, path)
        raise UsageError(f"{path}: its {what} LUT is not whole ({error}); export it again.") from error
    if isinstance(data, bytes):
        order = "<" if dataset.file_meta.TransferSyntaxUID.is_little_endian else ">"
        data = np.frombuffer(data, f"{order}u2" if bits > 8 or len(data) >= 2 * count else np.uint8)
    table = np.atleast_1d(np.asarray(data)).astype(np.uint8 if bits <= 8 else np.uint16)
    if len(table) < count or bits > 16:
        raise UsageError(
            f"{path}: its {what} LUT holds {len(table)} of {count} entries of {bits} bits; export it again."
        )
    # The sign of the first entry is that of the values.
    if first >= 2**15 and values.dtype.kind != "u" and values.max(initial=0) < 2**15:
        first -= 2**16
    return table[np.clip(values.astype(np.int64) - first, 0, count - 1)]
