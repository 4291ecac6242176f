"""Volumes from files: NIfTI, NRRD, multi-frame DICOM, and folders that hold one DICOM series."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nachos_jax.core.errors import TransientError, UsageError
from nachos_jax.data import nifti, nrrd_file, there, volumes
from nachos_jax.data.columns import Columns
from nachos_jax.data.image_files import is_dicom
from nachos_jax.data.pixels import MOST_VALUES, Pixels, ReadCase, Source, sixteen_bits
from nachos_jax.data.reading import Opening
from nachos_jax.data.resampling import Spacing, sides_at
from nachos_jax.data.volumes import VolumeFile
from nachos_jax.runtime import cores

MOST_CHANNELS = 8
"""Of a file of four axes; more are a film (functional MRI, diffusion), of which no channel can be meant."""


def has_name(path: Path) -> bool:
    """Whether a name is that of a NIfTI or NRRD file."""
    return nifti.is_nifti(path) or nrrd_file.is_nrrd(path)


def is_series(folder: Path) -> bool:
    """Whether the files of a folder, and not those of its sub-folders alone, are DICOM."""
    return any(is_dicom(path) for path in folder.iterdir() if there.is_file(path))


def read_volume(
    path: Path, series: str = "", voi: str = "", header_only: bool = False
) -> tuple[np.ndarray, Spacing | None]:
    """Reads one volume.

    NIfTI and NRRD are brought to one orientation, that of axial DICOM slices: from feet to head, front to
    back, right to left. Slices of DICOM stay as they were taken, in the order of their places.

    Args:
        path: NIfTI, NRRD or multi-frame DICOM file, or a folder with a DICOM series.
        series: Series Instance UID, where a folder holds several.
        voi: see `dicom.read_dicom`.
        header_only: decodes no voxels: the values are zeros that take no memory.

    Returns:
        [D, H, W, C] in a stored dtype, and mm of a voxel along D, H and W, or None where nobody knows.

    Raises:
        UsageError: no such file, not a volume, damaged, or more than MOST_CHANNELS values a voxel.
    """
    if has_name(path):
        return _upright(path, header_only)
    # Late, so that those who have no DICOM files never load pydicom.
    from nachos_jax.data import dicom_series

    if there.is_folder(path):
        return dicom_series.read_series(path, series, voi, header_only)
    if not there.is_file(path):
        raise TransientError(f"{path}: there is no such file or folder; mend the path.")
    if is_dicom(path):
        found = dicom_series.read_frames(path, voi, header_only)
        if len(found[0]) == 1:
            raise UsageError(
                f"{path} is one slice, no volume: name the folder that holds its series (of a folder of "
                "folders, each of them; for training also a CSV table of these folders)."
            )
        return found
    raise UsageError(
        f"{path} is no volume: with config.data.volume a case is a NIfTI, NRRD or multi-frame DICOM file, "
        "or a folder with one DICOM series. For 2-D images set config.data.volume = ''."
    )


def source(
    columns: Columns,
    cases: tuple[VolumeFile, ...],
    where: Callable[[int], str],
    fault: UsageError | None = None,
    voi: str = "",
) -> Source:
    """Cases that are volumes in files."""
    files = tuple(dict.fromkeys(file for case in cases for file in case.files))
    keys = tuple(f"{len(case.files)} {case.path.name} {case.series}" for case in cases)
    return Source(
        columns, Pixels(len(cases), where, opening(cases, voi=voi), files, keys), fault, volumes=cases
    )


def read_volumes(
    cases: Sequence[VolumeFile], spacing: Sequence[float] | None = None, voi: str = ""
) -> ReadCase:
    """A function that reads the i-th volume, interpolated linearly to a spacing where one is given."""

    def read(row: int) -> np.ndarray:
        case = cases[row]
        values, own = read_volume(case.path, case.series, voi)
        if spacing is None:
            return values
        return volumes.resized(values, sides_at(values.shape[:3], _known(own, case), spacing))

    return read


def shown_volumes(cases: Sequence[Sequence[str]], spacing: Sequence[float] | None, voi: str) -> ReadCase:
    """The same, of (path, series) each, through the window that config.data.voi names."""
    from nachos_jax.data import windows

    files = [VolumeFile(Path(path), series) for path, series in cases]
    return windows.reader(read_volumes(files, spacing, voi), voi)


def opening(cases: Sequence[VolumeFile], spacing: Sequence[float] | None = None, voi: str = "") -> Opening:
    """The same, for other processes too."""
    named = [(str(case.path), case.series) for case in cases]
    told = {"cases": named, "spacing": None if spacing is None else list(spacing), "voi": voi}
    return Opening(__name__, "shown_volumes", told, large=True)


@dataclass(frozen=True)
class Grid:
    """What the header of a volume says.

    Attributes:
        sides: voxels along D, H and W; zeros where it cannot be read.
        spacing: mm of a voxel along them, likewise.
        fault: why it cannot be read, or tells no spacing; "" if it can.
    """

    sides: tuple[int, ...] = (0, 0, 0)
    spacing: Spacing = (0.0, 0.0, 0.0)
    fault: str = ""


def grids(cases: Sequence[VolumeFile]) -> list[Grid]:
    """The grid of each volume, by headers alone.

    Raises:
        TransientError: the machine could not read one.
    """

    def grid(case: VolumeFile) -> Grid:
        try:
            values, own = read_volume(case.path, case.series, header_only=True)
            return Grid(values.shape[:3], _known(own, case))
        except TransientError:
            raise
        except UsageError as error:
            return Grid(fault=str(error))

    with ThreadPoolExecutor(min(16, cores.available())) as pool:
        return list(pool.map(grid, cases))


def header(path: Path) -> tuple[tuple[int, ...], tuple[float, ...]] | str:
    """Voxels along depth, height and width and values of a voxel, and mm of a voxel along the three, of one
    NIfTI or NRRD file by its header; NaN where nobody knows. Of a damaged one, what is wrong.

    Raises:
        TransientError: the system could not read it.
    """
    try:
        values, spacing = _upright(path, header_only=True)
    except TransientError:
        raise
    except Exception as error:  # of a damaged header, anything
        return str(error)
    return tuple(values.shape[:4]), tuple(map(float, spacing or (math.nan,) * 3))


def _known(spacing: Spacing | None, case: VolumeFile) -> Spacing:
    if spacing is None or not all(0 < step < np.inf for step in spacing):
        raise UsageError(
            f"{case.path} does not say how many mm a voxel has, and config.data.spacing resamples all "
            "volumes to one spacing: mend its header, drop the case, or set config.data.spacing = ''."
        )
    return spacing


def _upright(path: Path, header_only: bool) -> tuple[np.ndarray, Spacing | None]:
    values, affine = _lying(path, header_only=True)
    if values.size > MOST_VALUES:
        raise UsageError(
            f"{path} claims {values.size:,} voxels, and at most {MOST_VALUES:,} are read: scale it down, or "
            "cut out what matters."
        )
    values, affine = (values, affine) if header_only else _lying(path, header_only=False)
    if values.ndim == 4 and values.shape[3] > MOST_CHANNELS:
        raise UsageError(
            f"{path} holds {values.shape[3]} volumes or values a voxel, and a case has at most "
            f"{MOST_CHANNELS} channels: save the one that is meant as a file of its own."
        )
    try:
        lying, spacing = nifti.upright(values, np.eye(4) if affine is None else affine)
    except ValueError as error:
        raise UsageError(f"{path}: {error}; mend its header.") from error
    lying = lying if lying.ndim == 4 else lying[..., None]
    return (lying if header_only else _stored(lying, path)), (None if affine is None else spacing)


def _lying(path: Path, header_only: bool) -> tuple[np.ndarray, np.ndarray | None]:
    """Values as they are stored, and the affine, as `nrrd_file.read`."""
    if nrrd_file.is_nrrd(path):
        return nrrd_file.read(path, header_only)
    found = nifti.header(path) if header_only else nifti.read(path)
    return found.values, found.affine


def _stored(values: np.ndarray, path: Path) -> np.ndarray:
    """Whole numbers as 8 or 16 bits, others as float32: scaled ones may be whole, as Hounsfield units are."""
    if values.dtype.kind not in "biuf":
        raise UsageError(f"{path} holds values of type {values.dtype}; save one number a channel.")
    if values.dtype == np.uint8:
        return np.ascontiguousarray(values)
    if values.dtype.kind == "f":
        whole = np.isfinite(values).all() and (values == np.rint(values)).all()
        return np.ascontiguousarray(sixteen_bits(values) if whole else values.astype(np.float32))
    return np.ascontiguousarray(sixteen_bits(values))
