"""What a DICOM header says of its case, as columns: series, view, site, sex, age; no name, no free text."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset, FileDataset

from nachos_jax.core.errors import refuse_transient
from nachos_jax.data.dicom_header import said_frames
from nachos_jax.data.dicom_places import axis_codes

UNKNOWN = "unknown"
CODES = {
    "modality": "Modality",
    "body_part": "BodyPartExamined",
    "view": "ViewPosition",
    "laterality": ("ImageLaterality", "Laterality"),
}
"""Attributes whose values are code words (VR CS)."""
MAKERS = {"manufacturer": "Manufacturer", "model": "ManufacturerModelName"}
COLUMNS = ("subject", "series", *CODES, "site", *MAKERS, "sex", "age")
_READ = (
    *("PatientID", "PatientName", "PatientAge", "PatientBirthDate", "PatientSex", "StudyDate"),
    *("SeriesInstanceUID", "SOPClassUID", "InstitutionName", "NumberOfFrames", "Rows", "Columns"),
    *("BitsAllocated", "SamplesPerPixel", "PhotometricInterpretation", "ImageOrientationPatient"),
    *("Modality", "BodyPartExamined", "ViewPosition", "ImageLaterality", "Laterality"),
    *MAKERS.values(),
)
_CODE = re.compile(r"[A-Z0-9_ ./-]{1,16}")
_UID = re.compile(r"[0-9.]{1,64}")
_DATE = re.compile(r"(\d{4})\.?(\d{2})\.?(\d{2})")
_AGE = re.compile(r"(\d{1,3})([DWMY])")
_YEARS = {"D": 365.25, "W": 365.25 / 7, "M": 12.0, "Y": 1.0}
"""How many of a unit make a year."""


@dataclass(frozen=True)
class Header:
    """What is kept of a DICOM header.

    Attributes:
        cells: by name of COLUMNS; "" where the header is silent, a site is then "unknown".
        names: parts of the patient's name in small letters, to look for in paths; written nowhere.
        frames: images in the file; 0 of an object that holds none.
        size: rows and columns.
        cut: whether the file ends before its pixels do; it then counts as one without image.
        codes: axis codes of a volume of such slices; "" where the header does not say.
    """

    cells: dict[str, str]
    names: frozenset[str]
    frames: int
    size: tuple[int, int]
    cut: bool = False
    codes: str = ""


def read_header(path: Path) -> Header | None:
    """Reads the header of a DICOM file, without its pixels; None of a damaged file.

    The age is PatientAge in whole years, else the years from birth date to study date; neither date is kept.
    Code words that are none, and whatever people write by hand, are left out.

    Raises:
        TransientError: the system could not read it.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they would show values
            return _header(pydicom.dcmread(path, stop_before_pixels=True, specific_tags=list(_READ)), path)
    except Exception as error:  # of a damaged header, anything
        refuse_transient(error, path)
        return None


def _header(header: FileDataset, path: Path) -> Header:
    cells = {
        "subject": _text(header, "PatientID"),
        "series": _matching(_text(header, "SeriesInstanceUID"), _UID),
        **{name: _code(header, tags) for name, tags in CODES.items()},
        **{name: _text(header, tag) for name, tag in MAKERS.items()},
        "sex": _matching(_text(header, "PatientSex").upper(), re.compile("[MFO]")),
        "age": _age(header),
    }
    device = " ".join(filter(None, (cells["manufacturer"], cells["model"])))
    cells["site"] = _text(header, "InstitutionName") or device or UNKNOWN
    size = tuple(int(header.get(name) or 0) for name in ("Rows", "Columns"))
    frames = (said_frames(header) or 0) if all(size) else 0
    cut = _ends_early(header, frames * size[0] * size[1], path)
    return Header(
        cells={name: cells[name] for name in COLUMNS},
        names=frozenset(_name_parts(header)),
        frames=0 if cut else frames,
        size=(size[0], size[1]),
        cut=cut,
        codes=axis_codes(header),
    )


def _ends_early(header: FileDataset, pixels: int, path: Path) -> bool:
    """Whether the file ends within its header, or before so many pixels that are not compressed."""
    if not pixels:
        uid = header.get("SOPClassUID") or header.file_meta.get("MediaStorageSOPClassUID")
        return uid is None or "Image Storage" in getattr(uid, "name", "")
    syntax = header.file_meta.get("TransferSyntaxUID")
    packed = syntax is None or not syntax.is_transfer_syntax or syntax.is_compressed or syntax.is_deflated
    if packed or "422" in _text(header, "PhotometricInterpretation"):  # whose colours share pixels
        return False
    samples, bits = (int(header.get(name) or 1) for name in ("SamplesPerPixel", "BitsAllocated"))
    return pixels * samples * bits // 8 > path.stat().st_size


def _text(header: Dataset, tag: str) -> str:
    return " ".join(str(header.get(tag) or "").split())


def _matching(text: str, pattern: re.Pattern[str]) -> str:
    return text if pattern.fullmatch(text) else ""


def _code(header: Dataset, tags: str | tuple[str, ...]) -> str:
    found = (_text(header, tag).upper() for tag in ((tags,) if isinstance(tags, str) else tags))
    return _matching(next(filter(None, found), ""), _CODE)


def _age(header: Dataset) -> str:
    """In whole years."""
    told = _AGE.fullmatch(_text(header, "PatientAge").upper())
    born, seen = (_DATE.fullmatch(_text(header, tag)) for tag in ("PatientBirthDate", "StudyDate"))
    if told:
        years = int(int(told[1]) / _YEARS[told[2]])
    elif born and seen:
        (birth, *birthday), (year, *day) = (list(map(int, match.groups())) for match in (born, seen))
        years = year - birth - (day < birthday)
    else:
        return ""
    return str(years) if 0 <= years <= 130 else ""


def _name_parts(header: Dataset) -> Iterator[str]:
    for part in re.split(r"[\W\d_]+", _text(header, "PatientName").casefold()):
        if len(part) > 3:
            yield part
