"""Every DICOM file of pydicom, and those of ../shared/data: pydicom's own pixels, or a refusal."""

from __future__ import annotations

import functools
import hashlib
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.processing import apply_color_lut, apply_modality_lut, apply_voi_lut

from nachos_jax.core.errors import UsageError
from nachos_jax.data.dicom_decode import PLUGINS
from nachos_jax.data.image_files import read_image

ODD = ("eCT_Supplemental.dcm",)
"""Rescaled by functional groups, which pydicom's processing does not look at; see test_dicom_headers.py."""

pytestmark = pytest.mark.filterwarnings("ignore")  # pydicom warns of what was broken on purpose


def distinct(paths: Iterator[Path]) -> list[Path]:
    """One path for each content."""
    found: dict[str, Path] = {}
    for path in sorted(filter(Path.is_file, paths)):
        found.setdefault(hashlib.sha256(path.read_bytes()).hexdigest(), path)
    return list(found.values())


@functools.lru_cache(maxsize=4)
def stored(path: Path, frame: int | None) -> np.ndarray:
    """pydicom's pixels of a frame, by the decoders that the project names."""
    dataset: Any = pydicom.dcmread(path)
    syntax = dataset.file_meta.TransferSyntaxUID
    if not syntax.is_encapsulated or syntax == "1.2.840.10008.1.2.5":
        return get_decoder(syntax).as_array(dataset, index=frame)[0]
    reason: Exception = NotImplementedError(str(syntax))
    for plugin in PLUGINS:
        try:
            return get_decoder(syntax).as_array(dataset, index=frame, decoding_plugin=plugin)[0]
        except Exception as error:
            reason = error
    raise reason


def by_pydicom(path: Path, frame: int | None, voi: str) -> np.ndarray:
    """[H, W, C] by pydicom's own processing alone; values of interest as 0 to 255."""
    dataset: Any = pydicom.dcmread(path)
    values, kind = stored(path, frame), dataset.get("PhotometricInterpretation", "MONOCHROME2")
    if kind == "PALETTE COLOR":
        colours = apply_color_lut(values, dataset)
        return colours >> 8 if colours.dtype == np.uint16 else colours
    if values.ndim == 3:
        return values
    if not voi:
        if kind == "MONOCHROME1":
            values = (-1 if values.dtype.kind == "i" else 2**dataset.BitsStored - 1) - values.astype(int)
        scaled = np.asarray(apply_modality_lut(values, dataset))[..., None]
        return scaled * float(dataset.get("DoseGridScaling", 1.0))  # of doses, which pydicom leaves out
    if "PixelRepresentation" not in dataset:  # of floats, which pydicom does not show
        dataset.PixelRepresentation, dataset.BitsStored = 0, 16
    shown = np.asarray(apply_voi_lut(apply_modality_lut(values, dataset), dataset), np.float64)
    if dataset.get("VOILUTSequence"):
        low, high = 0.0, 2.0 ** dataset.VOILUTSequence[0].LUTDescriptor[2] - 1
    else:
        signed = dataset.PixelRepresentation
        low, high = (
            (-(2.0 ** (dataset.BitsStored - 1)) if signed else 0.0),
            2.0 ** (dataset.BitsStored - signed) - 1,
        )
        if "RescaleSlope" in dataset:
            low, high = (end * dataset.RescaleSlope + dataset.RescaleIntercept for end in (low, high))
    levels = np.round((shown - low) / (high - low) * 255)
    return (255 - levels if kind == "MONOCHROME1" else levels)[..., None]


def seen(path: Path, frame: int | None) -> np.ndarray:
    """[H, W] where no pixel is padding."""
    dataset: Any = pydicom.dcmread(path)
    value = dataset.get("PixelPaddingValue")
    values = stored(path, frame)
    return np.ones(values.shape[:2], bool) if value is None or values.ndim == 3 else values != value


def check(path: Path, voi: str = "") -> str:
    """ "read", when the pixels are pydicom's, or the refusal."""
    try:
        frames = int(pydicom.dcmread(path, force=True).get("NumberOfFrames") or 1)
    except Exception:
        frames = 1
    frame = frames - 1 if frames > 1 else -1
    try:
        image = read_image(path, frame, voi)
    except UsageError as error:
        return str(error)
    header = pydicom.dcmread(path, stop_before_pixels=True)
    if path.name in ODD or (voi and "VOILUTSequence" not in header and "WindowWidth" not in header):
        return "read"  # by what stands in functional groups, or as 8 bits are
    index = frame if frames > 1 else None
    expected, mask = by_pydicom(path, index, voi), seen(path, index)
    assert image.shape == expected.shape, path.name
    np.testing.assert_allclose(
        image[mask].astype(np.float64),
        np.asarray(expected, np.float32)[mask],
        rtol=1e-6,
        atol=1 if voi else 0,  # halves are rounded either way
        err_msg=path.name,
    )
    if not mask.all() and mask.any():
        assert (image[~mask] == image[mask].min()).all(), path.name
    return "read"


def told(paths: list[Path], voi: str = "") -> dict[str, str]:
    """What became of each file; refusals name it and are no more than two sentences long."""
    found = {path.name: check(path, voi) for path in paths}
    for name, said in found.items():
        assert said == "read" or (name in said and said.endswith(".") and len(said) < 700), said
    return found


BUNDLED = distinct(
    path
    for name in ("test_files", "charset_files")
    for path in (Path(pydicom.__file__).parent / "data" / name).rglob("*")
)
NO_IMAGE = (
    "not a DICOM file",
    "holds no image",
    "ends before its pixels",
    "ends, or is damaged",
    "cannot be read as",
)


@pytest.mark.thorough
def test_every_file_of_pydicom():
    found = told(BUNDLED)
    refused = {name: said for name, said in found.items() if said != "read"}
    assert len(found) - len(refused) >= 75
    odd = {name for name, said in refused.items() if not any(words in said for words in NO_IMAGE)}
    assert odd - NEEDS_PYLIBJPEG == {
        "JPEG-lossy.dcm",
        "JPEG2000-embedded-sequence-delimiter.dcm",
        "MR_small_padded.dcm",
        "MR_truncated.dcm",
        "SC_rgb_rle_32bit.dcm",
        "SC_rgb_rle_32bit_2frame.dcm",
        "badVR.dcm",
        "meta_missing_tsyntax.dcm",
        "nested_priv_SQ.dcm",
    }


NEEDS_PYLIBJPEG = {"JPGExtended.dcm"}


@pytest.mark.thorough
def test_every_file_of_pydicom_by_its_values_of_interest():
    found = told(BUNDLED, "file")
    without = [name for name, said in found.items() if "names no VOI LUT and no window" in said]
    assert sum(said == "read" for said in found.values()) >= 40
    assert without


def test_compressed_files_need_no_other_decoder():
    pytest.importorskip("libjpeg", reason="pylibjpeg-libjpeg is not installed")
    pytest.importorskip("openjpeg", reason="pylibjpeg-openjpeg is not installed")
    names = {"JPGExtended.dcm", "JPGLosslessP14SV1_1s_1f_8b.dcm", "JLSL_16_15_1_1F.dcm", "693_J2KI.dcm"}
    paths = [path for path in BUNDLED if path.name in names]
    assert paths
    assert set(told(paths).values()) == {"read"}


@pytest.mark.thorough
def test_every_extra_file(shared_data: Path, tmp_path: Path):
    pytest.importorskip("libjpeg", reason="pylibjpeg-libjpeg is not installed")
    pytest.importorskip("openjpeg", reason="pylibjpeg-openjpeg is not installed")
    with tarfile.open(shared_data / "dicom_extra.tar.gz") as archive:
        archive.extractall(tmp_path, filter="data")
    paths = (
        distinct((tmp_path / "pydicom-data").rglob("*")) + sorted((tmp_path / "udacity").rglob("*.dcm"))[::30]
    )
    refused = {name: said for name, said in told(paths).items() if said != "read"}
    assert len(refused) <= 14, refused
    small = [path for path in paths if path.stat().st_size < 100_000]
    assert sum(said == "read" for said in told(small, "file").values()) >= 20
