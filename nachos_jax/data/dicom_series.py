"""A DICOM series, or a multi-frame file -> a volume whose slices lie in order, with its spacing."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom

from nachos_jax.core.errors import TransientError, UsageError, refuse_transient
from nachos_jax.data import dicom, dicom_header, dicom_places, there
from nachos_jax.data.checks import listed
from nachos_jax.data.dicom_values import groups
from nachos_jax.data.image_files import is_dicom
from nachos_jax.data.pixels import check_volume
from nachos_jax.data.reading import fits

Spacing = tuple[float, float, float]
_TAGS = (
    *("SeriesInstanceUID", "SeriesDescription", "SOPClassUID", "ImageType", "NumberOfFrames", "Modality"),
    *("Rows", "Columns", "SamplesPerPixel", "PhotometricInterpretation", "RescaleType", "PixelSpacing"),
    *("ImageOrientationPatient", "ImagePositionPatient"),
)
_ALIKE = {
    "sizes": ("Rows", "Columns"),
    "colours": ("SamplesPerPixel", "PhotometricInterpretation"),
    "rescale units": ("RescaleType",),
    "pixel spacings": ("PixelSpacing",),
}

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Slice:
    """A file of a folder and its header."""

    path: Path
    header: pydicom.Dataset

    @property
    def series(self) -> str:
        """Its Series Instance UID; "" where it says none."""
        return str(self.header.get("SeriesInstanceUID") or "")

    @property
    def is_localiser(self) -> bool:
        """Whether it is a scout, on which other series are planned (part 3, C.8.2.1.1.1)."""
        return "LOCALIZER" in [str(value).upper() for value in self.header.get("ImageType") or ()]

    @property
    def is_image(self) -> bool:
        """Whether it has pixels, and is no report or plan."""
        return "Rows" in self.header


def read_series(
    folder: Path, series: str = "", voi: str = "", header_only: bool = False
) -> tuple[np.ndarray, Spacing | None]:
    """Reads the DICOM files that lie in a folder as one volume.

    Slices are sorted by where they lie along the normal of their plane (part 3, C.7.6.2.1.1), which also
    gives their distance; SliceThickness and the order of names or numbers say nothing of either. Each is
    read as a single image is, one at a time.

    Args:
        folder: a folder with the files of the series; sub-folders are not looked into.
        series: Series Instance UID, needed where the folder holds several; localisers and objects without
            pixels need not be named, and are left out when they belong to another series.
        voi: see `dicom.read_dicom`.
        header_only: decodes no pixels: the values are zeros that take no memory, in one channel.

    Returns:
        [D, H, W, C] of the dtype that holds every slice, and mm of a voxel along D, H and W: None where one
        slice alone is there, or no pixel spacing.

    Raises:
        UsageError: no DICOM file, several series, slices that are missing, unevenly spaced, twice at one
            place or without place, or that differ in orientation, size, colour or units.
    """
    with dicom_header.damage_told(folder):
        slices = _of_series(_slices(folder), folder, series)
        if len(slices) == 1 and dicom_header.frames(slices[0].header) > 1:
            return read_frames(slices[0].path, voi, header_only)
        _check_alike(slices)
        places = [dicom_places.of_slice(one.header, one.path) for one in slices]
        order, spacing = [0], None
        if len(slices) > 1:
            order, step = dicom_places.sorted_evenly(places, [str(one.path) for one in slices])
            spacing = None if places[0].pixel is None else (step, *places[0].pixel)
        if header_only:
            return _empty(len(order), slices[0].header), spacing

    def read(row: int) -> np.ndarray:
        return dicom.read_dicom(slices[order[row]].path, voi=voi)

    return _stacked(len(order), read, str(folder)), spacing


def read_frames(path: Path, voi: str = "", header_only: bool = False) -> tuple[np.ndarray, Spacing | None]:
    """Reads all frames of a multi-frame file as one volume.

    Frames that say where they lie (functional groups, part 3, C.7.6.16.2; of doses, C.8.8.3.2) are sorted
    as the slices of a series; frames that do not, as of a film, stay in their order and have no spacing.
    Each takes its own rescale slope and intercept.

    Args:
        path: a DICOM file.
        voi: see `dicom.read_dicom`.
        header_only: as of `read_series`.

    Returns:
        [D, H, W, C] and mm of a voxel along D, H and W, or None.

    Raises:
        UsageError: as for `read_series`.
    """
    dataset = dicom_header.opened(path)
    count = dicom_header.frames(dataset)
    with dicom_header.damage_told(path):
        _check_units(dataset, path, count)
        places = dicom_places.of_frames(dataset, path, count)
    order, spacing = list(range(count)), None
    if places and count > 1:
        names = [f"{path}, frame {frame} (counted from 0)" for frame in range(count)]
        order, step = dicom_places.sorted_evenly(places, names)
        spacing = None if places[0].pixel is None else (step, *places[0].pixel)
    if header_only:
        with dicom_header.damage_told(path):
            return _empty(count, dataset), spacing
    return _stacked(count, lambda row: dicom.image_of(dataset, path, order[row], voi), str(path)), spacing


def _check_units(dataset: pydicom.Dataset, path: Path, count: int) -> None:
    units = {
        str(item.get("RescaleType") or "none")
        for frame in range(count)
        for item in groups(dataset, frame, "PixelValueTransformationSequence")
    }
    if len(units) > 1:
        raise UsageError(
            f"{path} has frames of different rescale units ({', '.join(sorted(units))}); save those of one "
            "kind as a file of their own."
        )


def _slices(folder: Path) -> list[Slice]:
    if not there.is_folder(folder):
        raise TransientError(f"{folder}: there is no such folder; mend the path.")
    found, others = [], []
    for path in sorted(Path(folder).iterdir()):
        if path.name.startswith(".") or path.name.upper() == "DICOMDIR" or not there.is_file(path):
            continue
        if not is_dicom(path) and path.suffix.lower() not in (".dcm", ".dicom"):
            others.append(path.name)
            continue
        try:
            found.append(
                Slice(path, pydicom.dcmread(path, specific_tags=list(_TAGS), stop_before_pixels=True))
            )
        except Exception as error:  # of a damaged header, anything
            refuse_transient(error, path)
            reason = " ".join(str(error).split())
            raise UsageError(f"{path} cannot be read as DICOM ({reason}); {dicom_header.INTACT}.") from error
    if not found:
        raise UsageError(f"{folder} holds no DICOM file; name the folder in which the slices themselves lie.")
    if others:
        log.warning("%s: left out %d file(s) that are not DICOM: %s", folder, len(others), listed(others, 3))
    return found


def _of_series(slices: Sequence[Slice], folder: Path, series: str) -> list[Slice]:
    """The files of the series wanted, or of the only one that can be meant; the others are told."""
    if series:
        wanted = [one for one in slices if one.series == series]
        if not wanted:
            raise UsageError(f"{folder} holds no series {series}; it holds {_told(slices)}.")
        return wanted
    known = {one.series for one in slices}
    if len(known) > 1:
        # A series is left out only as a whole.
        plain = {one.series for one in slices if one.is_image and not one.is_localiser}
        known = plain or known
    if len(known) > 1:
        raise UsageError(
            f"{folder} holds {len(known)} series: {_told([one for one in slices if one.series in known])}. "
            "Give each a folder of its own, or name one by its Series Instance UID (CSV: column 'series')."
        )
    wanted = [one for one in slices if one.series in known]
    left = [one.path.name for one in slices if one.series not in known]
    if left:
        log.warning(
            "%s: left out %d localiser(s) or object(s) without pixels: %s", folder, len(left), listed(left, 3)
        )
    return wanted


def _told(slices: Sequence[Slice]) -> str:
    """Each series with what it says of itself and its number of files; at most eight."""
    counts: dict[str, int] = {}
    kinds: dict[str, str] = {}
    for one in slices:
        counts[one.series] = counts.get(one.series, 0) + 1
        kinds.setdefault(one.series, str(one.header.get("Modality") or "kind not said"))
    told = [f"{series or 'no UID'} ({kinds[series]}, {number} file(s))" for series, number in counts.items()]
    return "; ".join(told[:8]) + ("; ..." if len(told) > 8 else "")


def _check_alike(slices: Sequence[Slice]) -> None:
    """Refuses slices that differ in what makes them one volume, naming a file of either kind."""
    several = [str(one.path) for one in slices if dicom_header.frames(one.header) > 1]
    if several and len(slices) > 1:
        raise UsageError(
            f"{several[0]} holds several frames and lies beside other files of its series; give each "
            "multi-frame file a case of its own."
        )
    for what, names in _ALIKE.items():
        kinds: dict[str, Path] = {}
        for one in slices:
            kinds.setdefault(" x ".join(str(one.header.get(name) or "none") for name in names), one.path)
        if len(kinds) > 1:
            told = ", ".join(f"{kind} ({path})" for kind, path in list(kinds.items())[:3])
            raise UsageError(
                f"{slices[0].path.parent}: slices of one series have different {what}: {told}; take the "
                "files that do not belong to the volume out of the folder."
            )


def _empty(count: int, header: pydicom.Dataset) -> np.ndarray:
    """[D, H, W, 1] zeros that take no memory: so many slices of the size that a header says."""
    return np.broadcast_to(np.int16(0), (count, int(header.Rows), int(header.Columns), 1))


def _stacked(count: int, read: Callable[[int], np.ndarray], where: str) -> np.ndarray:
    """[D, H, W, C]: one slice after the other in one array, which widens to float32 where one needs it."""
    first = read(0)
    check_volume(count, first, where)
    volume = np.empty((count, *first.shape), first.dtype)
    volume[0] = first
    for row in range(1, count):
        image = read(row)
        if image.shape != first.shape:
            raise UsageError(f"{where}: slices have different shapes, {first.shape} and {image.shape}.")
        if not fits(image, volume.dtype):
            volume = volume.astype(np.float32)
        volume[row] = image
    return volume
