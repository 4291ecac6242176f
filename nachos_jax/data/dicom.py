"""Single-frame DICOM images; the only file that imports pydicom."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
from pydicom.encaps import get_frame
from pydicom.errors import InvalidDicomError
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.processing import apply_color_lut

from nachos_jax.core.errors import UsageError
from nachos_jax.data import jpeg
from nachos_jax.data.pixels import check_size, sixteen_bits

PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
GRAY = ("MONOCHROME1", "MONOCHROME2")
COLOUR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_PARTIAL_420", "YBR_ICT", "YBR_RCT")
_INTACT = "replace the file by an intact one, or drop its row"
OVERLAYS = range(0x6000, 0x6020, 2)
"""Groups of overlays; one with a bit position lies in the unused bits of the pixels (retired)."""
PACKAGES = "pylibjpeg pylibjpeg-libjpeg pylibjpeg-openjpeg pylibjpeg-rle"


def read_dicom(path: Path) -> np.ndarray:
    """Reads one image in the units of its modality (e.g. Hounsfield), white is high.

    MONOCHROME1 is inverted within its stored bits, then the modality LUT or rescale slope and intercept
    apply (DICOM part 3, C.11.1), which of enhanced objects stand in their functional groups (C.7.6.16.2.9).
    Window settings (VOI) are for display and are not applied.

    Args:
        path: a DICOM file with one frame.

    Returns:
        [H, W, 1] or [H, W, 3]: uint8, uint16, int16, or float32 when rescaled values are not whole.

    Raises:
        UsageError: not DICOM, no pixels, several frames, a compression without decoder, damaged pixels, or a
            header that contradicts them.
    """
    try:
        dataset = pydicom.dcmread(path)
    except InvalidDicomError as error:
        raise UsageError(
            f"{path} is not a DICOM file (no DICM mark after 128 bytes); rename it if it is another format, "
            "or write it again as DICOM part 10."
        ) from error
    except Exception as error:  # of a damaged header, anything
        raise UsageError(f"{path} ends, or is damaged, within its header ({error}); {_INTACT}.") from error
    _refuse(dataset, path)
    _refuse_stream(dataset, path)
    stored = _within_bits(_decoded(dataset, path), dataset, path)
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
    return _compact(_modality(stored, dataset, path))[..., None]


def _refuse(dataset: pydicom.Dataset, path: Path) -> None:
    if not any(dataset.get(name) for name in PIXELS):
        uid = dataset.get("SOPClassUID") or dataset.file_meta.get("MediaStorageSOPClassUID")
        kind = getattr(uid, "name", "") or "kind not said"
        if uid is None or kind == uid or "Image Storage" in kind or "Rows" in dataset:
            raise UsageError(f"{path} ends before its pixels ({kind}); copy or export it again, or drop it.")
        raise UsageError(f"{path} holds no image ({kind}); leave it out of the data.")
    check_size(int(dataset.get("Rows") or 0), int(dataset.get("Columns") or 0), path)
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
    stored, high = dataset.get("BitsStored"), dataset.get("HighBit")
    if None not in (stored, high) and high != stored - 1:
        raise UsageError(
            f"{path} says HighBit {high} and BitsStored {stored}, whose high bit is {stored - 1}: its values "
            "would be read on another scale; export it again, or mend the header."
        )


def _refuse_stream(dataset: pydicom.Dataset, path: Path) -> None:
    """Refuses a compressed picture of another size than the header's, or a damaged one."""
    if not dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        _refuse_more(dataset, path)
        return
    try:
        stream = get_frame(dataset.PixelData, 0, number_of_frames=1)
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
        raise UsageError(f"{path}: its JPEG picture {fault}, so part of it is lost; {_INTACT}.")


def _refuse_more(dataset: pydicom.Dataset, path: Path) -> None:
    """Refuses pixels that are a row or more beyond what the header says; less than that is padding."""
    names = ("Rows", "Columns", "SamplesPerPixel", "BitsAllocated")
    rows, columns, samples, bits = (int(dataset.get(name) or 0) for name in names)
    found = max(len(dataset.get(name) or b"") for name in PIXELS)
    row = columns * samples * bits // 8
    if row and rows and bits % 8 == 0 and found >= row * (rows + 1):
        raise UsageError(
            f"{path} holds {found:,} bytes of pixels, and its header says {rows} rows of {columns} columns, "
            f"{row * rows:,} bytes: it is of another picture; export it again, or mend the header."
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
        dataset.pixel_array_options(correct_unused_bits=False)  # which would hide values beyond them
        return dataset.pixel_array
    except Exception as error:  # decoders of damaged files raise anything
        reason = " ".join(str(error).split())
        cure = f"install a decoder with: pip install {PACKAGES}; or store the file uncompressed"
        if decoder.is_available:
            cure = f"{_INTACT}; or, if it is intact, {cure}" if decoder.missing_dependencies else _INTACT
        raise UsageError(
            f"{path}: the pixels cannot be decoded, transfer syntax {syntax.name} ({reason}); {cure}."
        ) from error


def _within_bits(stored: np.ndarray, dataset: pydicom.Dataset, path: Path) -> np.ndarray:
    """The values of the stored bits; those above them may hold an overlay or the sign, and nothing else."""
    bits, size = int(dataset.get("BitsStored") or 0), 8 * stored.dtype.itemsize
    if stored.dtype.kind == "f" or not 1 < bits < size:
        return stored
    above = stored >> bits if stored.dtype.kind == "u" else stored >> (bits - 1)
    fits = above == 0 if stored.dtype.kind == "u" else np.isin(above, (0, 1, -1))
    overlaid = any((group, 0x0102) in dataset and dataset[group, 0x0102].value for group in OVERLAYS)
    if not fits.all() and not overlaid:
        raise UsageError(
            f"{path} says BitsStored {bits}, and {np.sum(~fits)} pixel(s) lie beyond (the largest is "
            f"{stored.max()}): they would be cut; export it again, or mend BitsStored and HighBit."
        )
    shift = size - bits
    return (stored << shift) >> shift


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


def _modality(stored: np.ndarray, dataset: pydicom.Dataset, path: Path) -> np.ndarray:
    if dataset.get("ModalityLUTSequence"):
        return _looked_up(stored, dataset.ModalityLUTSequence[0], dataset, path)
    slope, intercept = _rescale(dataset, path)
    return stored if (slope, intercept) == (1.0, 0.0) else stored.astype(np.float64) * slope + intercept


def _rescale(dataset: pydicom.Dataset, path: Path) -> tuple[float, float]:
    """Slope and intercept, of which one may be missing or empty, in the image or in its functional groups."""
    places = [dataset]
    for name in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        for group in (dataset.get(name) or [])[:1]:
            places += group.get("PixelValueTransformationSequence") or []
    found = {
        (_number(place, "RescaleSlope", 1.0, path), _number(place, "RescaleIntercept", 0.0, path))
        for place in places
        if "RescaleSlope" in place or "RescaleIntercept" in place
    }
    if len(found) > 1 or 0.0 in {slope for slope, _ in found}:
        told = " and ".join(f"{slope:g} and {intercept:g}" for slope, intercept in sorted(found))
        raise UsageError(
            f"{path} says rescale slope and intercept {told}: no unit follows from that; export it again, or "
            "mend the header."
        )
    return found.pop() if found else (1.0, 0.0)


def _number(place: pydicom.Dataset, name: str, absent: float, path: Path) -> float:
    try:
        value = place.get(name)
        number = absent if value is None or value == "" else float(value)
        if np.isfinite(number):
            return number
    except (ValueError, TypeError):
        value = "no number"
    raise UsageError(f"{path}: {name} is {value}; export the file again, or mend the header.")


def _looked_up(stored: np.ndarray, item: pydicom.Dataset, dataset: pydicom.Dataset, path: Path) -> np.ndarray:
    """Values through a modality LUT of any depth up to 16 bits (DICOM part 3, C.11.1.1)."""
    try:
        count, first, bits = (int(number) for number in item.LUTDescriptor)
        count, data = count or 2**16, item.LUTData
    except (AttributeError, TypeError, ValueError) as error:
        raise UsageError(f"{path}: its modality LUT is not whole ({error}); export it again.") from error
    if isinstance(data, bytes):
        order = "<" if dataset.file_meta.TransferSyntaxUID.is_little_endian else ">"
        data = np.frombuffer(data, f"{order}u2" if bits > 8 or len(data) >= 2 * count else np.uint8)
    table = np.atleast_1d(np.asarray(data)).astype(np.uint8 if bits <= 8 else np.uint16)
    if len(table) < count or bits > 16:
        raise UsageError(
            f"{path}: its modality LUT holds {len(table)} of {count} entries of {bits} bits; export it again."
        )
    if stored.dtype.kind == "i" and first >= 2**15:  # its sign is that of the pixels
        first -= 2**16
    return table[np.clip(stored.astype(np.int64) - first, 0, count - 1)]


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
